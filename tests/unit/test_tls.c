/* Contexts of TLS listeners: which files are taken, how long a ticket lives. */
#include "config.h" /* _GNU_SOURCE */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "tls/tls.h"

static char dir[] = "/tmp/tallyd-test-tls-XXXXXX";

/* '@' of a pair is the directory. */
static struct conf *conf_of(const char *pair, const char *more)
{
	const char *options[] = { "server.listen=tls:127.0.0.1:1", NULL, more };
	struct conf_source src = { .overrides = options,
				   .n_overrides = more != NULL ? 3 : 2 };
	struct conf *conf = NULL;
	struct tl_err err;
	struct tl_buf b;

	tl_buf_init(&b);
	tl_buf_adds(&b, "tls.certificates=");
	for (; *pair != '\0'; pair++)
		if (*pair == '@')
			tl_buf_adds(&b, dir);
		else
			tl_buf_addc(&b, *pair);
	options[1] = b.ptr;
	ck_assert_msg(conf_load(&src, &conf, &err) == TL_OK, "%s", err.text);
	tl_buf_deinit(&b);
	return conf;
}

/* ---- files ---- */

static const struct {
	const char *pair, *more, *words; /* words NULL: good */
} files[] = {
	{ "@/site.pem @/site.key", NULL, NULL },
	{ "@/both.pem", NULL, NULL },
	{ "@/site.pem  @/site.key,@/other.pem @/other.key", NULL, NULL },
	{ "@/site.pem @/other.key", NULL,
	  "/other.key' does not belong to the certificate '" },
	{ "@/site.pem @/none.key", NULL, "open the key '" },
	{ "@/none.pem @/site.key", NULL, "read the certificate '" },
	{ "@/site.pem @/world.key", NULL, "has mode 0604" },
	{ "@/site.pem @/write.key", NULL, "has mode 0620" },
	{ "@/site.pem @", NULL, "is no regular file" },
	{ "@/site.pem @/locked.key", NULL, "without a passphrase" },
	{ "@/site.key @/site.key", NULL, "has no certificate" },
	{ "@/site.pem @/empty.key", NULL, "has no private key" },
	{ "@/both.pem", "tls.ciphers=NOTHING",
	  "tls.ciphers: 'NOTHING' names no cipher" },
	{ "@/both.pem", "tls.ciphersuites=NOTHING",
	  "tls.ciphersuites: 'NOTHING' is no list" },
};

START_TEST(files_are_checked)
{
	struct conf *conf = conf_of(files[_i].pair, files[_i].more);
	enum tl_status st;
	struct tl_err err = { .text = "" };

	st = tls_check(conf, NULL, &err);

	if (files[_i].words == NULL)
		ck_assert_msg(st == TL_OK, "%s", err.text);
	else
		ck_assert_msg(st != TL_OK && strstr(err.text, files[_i].words),
			      "%s", err.text);
	ck_assert_uint_eq(ERR_peek_error(), 0); /* all was said */
	conf_free(&conf);
}
END_TEST

/* As Debian's ssl-cert has it. */
START_TEST(a_group_may_read_keys_of_root_alone)
{
	struct conf *conf = conf_of("@/site.pem @/group.key", NULL);
	struct tl_err err;
	char path[64];

	ck_assert_int_eq(tls_check(conf, NULL, &err),
			 getuid() == 0 ? TL_OK : TL_DENIED);
	snprintf(path, sizeof(path), "%s/group.key", dir);
	if (getuid() == 0) {
		ck_assert_int_eq(chown(path, 65534, (gid_t)-1), 0);
		ck_assert_int_eq(tls_check(conf, NULL, &err), TL_DENIED);
	}
	conf_free(&conf);
}
END_TEST

START_TEST(old_certificates_are_taken_and_told)
{
	struct conf *conf = conf_of("@/old.pem @/old.key", NULL);
	struct tl_buf notes;
	struct tl_err err;

	tl_buf_init(&notes);
	ck_assert_int_eq(tls_check(conf, &notes, &err), TL_OK);
	ck_assert_ptr_nonnull(strstr(notes.ptr, "old.pem' has expired on "));
	ck_assert_ptr_nonnull(strstr(notes.ptr, " GMT\n"));
	tl_buf_deinit(&notes);
	conf_free(&conf);
}
END_TEST

/* ---- tickets ---- */

static SSL_SESSION *given;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(given);
	given = session;
	return 1;
}

/* Client and server in this process; true: the session went on. */
static bool meet(const struct conf *conf, const struct tls_seed *seed,
		 SSL_SESSION *session)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *ours, *theirs;
	struct tls *tls = NULL;
	struct tl_err err;
	SSL *client, *server;
	char byte;
	bool reused;

	ck_assert_int_eq(tls_new(conf, seed, &tls, NULL, &err), TL_OK);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	client = SSL_new(ctx);
	server = tls_accept(tls);
	ck_assert_int_eq(BIO_new_bio_pair(&ours, 65536, &theirs, 65536), 1);
	SSL_set_bio(client, ours, ours);
	SSL_set_bio(server, theirs, theirs);
	SSL_set_connect_state(client);
	if (session != NULL) { /* OpenSSL uses one only once */
		session = SSL_SESSION_dup(session);
		SSL_set_session(client, session);
		SSL_SESSION_free(session);
	}
	for (int i = 0; i < 4; i++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
	}
	ck_assert(SSL_is_init_finished(client));
	ck_assert(SSL_is_init_finished(server));
	(void)SSL_read(client, &byte, 1); /* takes the tickets */
	reused = SSL_session_reused(server) == 1;
	SSL_shutdown(client);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	tls_free(&tls);
	return reused;
}

START_TEST(tickets_live_for_one_period_more)
{
	struct conf *conf = conf_of("@/both.pem", NULL);
	uint64_t now_ms = tl_mono_ms();
	struct tls_seed seed, moved, other;
	SSL_SESSION *first;

	tls_seed_init(&seed, now_ms);
	tls_seed_init(&other, now_ms);
	given = NULL;
	ck_assert(!meet(conf, &seed, NULL));
	first = given;
	given = NULL;

	ck_assert(meet(conf, &seed, first));   /* another worker */
	ck_assert(!meet(conf, &other, first)); /* another daemon */
	moved = seed;
	tls_seed_advance(&moved, now_ms + TLS_PERIOD_MS);
	ck_assert(meet(conf, &moved, first));
	tls_seed_advance(&moved, now_ms + 2 * TLS_PERIOD_MS);
	ck_assert(!meet(conf, &moved, first));
	SSL_SESSION_free(first);
	SSL_SESSION_free(given);
	conf_free(&conf);
}
END_TEST

/* A worker that starts late has what the others have come to. */
START_TEST(all_come_to_the_same_seed)
{
	struct tls_seed a, b, was;

	tls_seed_init(&a, 5 * TLS_PERIOD_MS);
	b = was = a;
	for (uint64_t p = 5; p <= 50; p++)
		tls_seed_advance(&a, p * TLS_PERIOD_MS + 17);
	tls_seed_advance(&b, 50 * TLS_PERIOD_MS);

	ck_assert_uint_eq(a.period, 49);
	ck_assert_uint_eq(b.period, 49);
	ck_assert_mem_eq(a.key, b.key, sizeof(a.key));
	ck_assert_mem_ne(a.key, was.key, sizeof(a.key));
	tls_seed_advance(&a, 5 * TLS_PERIOD_MS); /* there is no way back */
	ck_assert_mem_eq(a.key, b.key, sizeof(a.key));
}
END_TEST

/* ---- what is made before ---- */

/* In the directory; before and after the tests. */
static void shell(const char *command)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "cd '%s' && %s", dir, command);
	if (system(whole) != 0) {
		fprintf(stderr, "failed: %s\n", command);
		exit(1);
	}
}

/* Once for all tests: keys cost. */
static void make_files(void)
{
	if (mkdtemp(dir) == NULL)
		exit(1);
	shell(TEST_SRCDIR "/tests/lib/certs.sh .");
	shell("cat site.pem site.key >both.pem && chmod 600 both.pem");
	shell("cp site.key world.key && chmod 604 world.key");
	shell("cp site.key write.key && chmod 620 write.key");
	shell("cp site.key group.key && chmod 640 group.key");
	shell("install -m 600 /dev/null empty.key");
	shell("openssl pkey -in site.key -aes128 -passout pass:x "
	      "-out locked.key && chmod 600 locked.key");
}

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *tc = tcase_create("tls");
	SRunner *sr;
	int failed;

	make_files();
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, files_are_checked, 0,
			    sizeof(files) / sizeof(files[0]));
	tcase_add_test(tc, a_group_may_read_keys_of_root_alone);
	tcase_add_test(tc, old_certificates_are_taken_and_told);
	tcase_add_test(tc, tickets_live_for_one_period_more);
	tcase_add_test(tc, all_come_to_the_same_seed);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	shell("rm -rf \"$PWD\"");
	return failed > 0;
}
