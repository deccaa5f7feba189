/*
 * A PostgreSQL that is reached by TLS and a SCRAM password alone: certificate
 * and name are checked, and what does not fit is no database.
 */
#include "config.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "egress_rig.h"
#include "lib/fixture.h"

#define db       d->conninfo
#define PASSWORD "open sesame"

static struct rig_certs certs;
static char address[48], stranger[96]; /* stranger: another authority */

static void give_to_postgres(const char *path)
{
	const struct passwd *pw = getpwnam("postgres");

	ck_assert_int_eq(chmod(path, 0600), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, pw->pw_uid, pw->pw_gid), 0);
}

static void write_pem(const char *path, SSL_CTX *of, bool key)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	if (key)
		PEM_write_PrivateKey(f, SSL_CTX_get0_privatekey(of), NULL, NULL,
				     0, NULL, NULL);
	else
		PEM_write_X509(f, SSL_CTX_get0_certificate(of));
	fclose(f);
}

static char *in_data(const char *name)
{
	return tl_asprintf("%s/data/%s", pgtest_dir(pg), name);
}

/* An address of our own, so that the port may be everybody's. */
static void make_secure(void)
{
	char *crt = in_data("server.crt"), *key = in_data("server.key"),
	     *hba = in_data("pg_hba.conf");
	FILE *f;

	rig_certs_make(&certs);
	snprintf(stranger, sizeof(stranger), "%s-stranger", certs.ca_path);
	write_pem(stranger, certs.self, false);
	write_pem(crt, certs.good, false);
	write_pem(key, certs.good, true);
	give_to_postgres(crt);
	give_to_postgres(key);
	f = fopen(hba, "w");
	ck_assert_ptr_nonnull(f);
	fputs("local all all trust\n"
	      "hostssl all all 127.0.0.0/8 scram-sha-256\n",
	      f);
	fclose(f);
	pgtest_sql(pg, "CREATE ROLE secure SUPERUSER LOGIN PASSWORD '" PASSWORD
		       "'");
	pgtest_sql(pg, "ALTER SYSTEM SET ssl = on");
	snprintf(address, sizeof(address), "127.46.%u.%u",
		 (unsigned)getpid() >> 8 & 255, (unsigned)getpid() & 255);
	pgtest_listen(pg, address);
	pgtest_restart(pg);
	sql_close();
	tl_free(crt);
	tl_free(key);
	tl_free(hba);
}

static char *url(const char *host, const char *password, const char *ca)
{
	return tl_asprintf("database.url=host=%s user=secure password='%s' "
			   "sslmode=verify-full sslrootcert=%s %s",
			   host, password, ca, strstr(db, "dbname="));
}

/* Of the pool's way, and of the blocking one. */
static void expect_status(char *setting, int status)
{
	char *hostaddr = tl_asprintf("database.hostaddr=%s", address);

	ck_assert_int_eq(
		daemon_ctl(d, NULL,
			   (const char *const[]){ "-o", setting, "-o", hostaddr,
						  "plan", "list", NULL }),
		status);
	ck_assert_int_eq(
		daemon_ctl(d, NULL,
			   (const char *const[]){ "-o", setting, "-o", hostaddr,
						  "migrate", "status", NULL }),
		status);
	tl_free(hostaddr);
	tl_free(setting);
}

START_TEST(all_sessions_are_encrypted_and_checked)
{
	char *way, *hostaddr, *log;

	prepare("keys.refresh_seconds=3600", "runner.count=1", FREE_RATE);
	make_secure();
	way = url("good.test", PASSWORD, certs.ca_path);
	hostaddr = tl_asprintf("database.hostaddr=%s", address);
	daemon_set(d, way);
	daemon_set(d, hostaddr);
	fixture_again();
	make_key("s", 1000, "");
	ck_assert_int_eq(gate(key_of("s"), "cost=3"), 200);
	WAIT_UNTIL(db_credits("s@test") == 3);
	ck_assert_int_eq(db_credits("s@test"), 3);
	/* LISTEN works there as well */
	sql_exec(db, "UPDATE api_keys SET status = 'revoked' WHERE user_id = "
		     "(SELECT user_id FROM users WHERE email = 's@test')");
	WAIT_UNTIL(gate(key_of("s"), "cost=0") == 401);
	ck_assert_int_eq(gate(key_of("s"), "cost=0"), 401);
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM pg_stat_activity WHERE "
			       "application_name = 'tallyd scheduler'") > 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM pg_stat_ssl s JOIN "
				     "pg_stat_activity a USING (pid) WHERE "
				     "application_name LIKE 'tallyd%%' AND NOT "
				     "(s.ssl AND usename = 'secure')"),
			 0);
	ck_assert_int_gt(sql_num(db, "SELECT count(*) FROM pg_stat_activity "
				     "WHERE application_name LIKE 'tallyd%%'"),
			 4);

	expect_status(url("good.test", PASSWORD, certs.ca_path), 0);
	expect_status(url("good.test", "guessed", certs.ca_path), 69);
	expect_status(url("other.test", PASSWORD, certs.ca_path), 69);
	expect_status(url("good.test", PASSWORD, stranger), 69);
	log = daemon_log(d);
	ck_assert_ptr_null(strstr(log, PASSWORD));
	tl_free(log);
	tl_free(hostaddr);
	tl_free(way);
	unlink(stranger);
	rig_certs_free(&certs);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("secure database");
	TCase *tc = fixture_case(s, "TLS and SCRAM");

	tcase_add_test(tc, all_sessions_are_encrypted_and_checked);
	return fixture_run(s);
}
