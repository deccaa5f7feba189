/*
 * Listeners with tls: in front: who gets which certificate, what is refused,
 * and that a reload changes all of it or nothing.
 */
#include "config.h" /* _GNU_SOURCE */

#include "tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/mem.h"

#define BOTH "certificates = @/site.pem @/site.key, @/other.pem @/other.key\n"
#define SITE "certificates = @/site.pem @/site.key\n"

/* ---- helpers ---- */

static bool log_has(const char *words)
{
	char *log = daemon_log(d);
	bool has = strstr(log, words) != NULL;

	tl_free(log);
	return has;
}

#define want_log(words)                                                        \
	do {                                                                   \
		WAIT_UNTIL(log_has(words));                                    \
		ck_assert_msg(log_has(words), "not in the log: %s", (words));  \
	} while (0)

/* Who answered: the front of the request's id is the worker's own. */
static void worker_of(const struct tls_conn *t, char id_r[13])
{
	const char *at = strstr(t->text, "\r\nX-Request-Id: ");

	ck_assert_ptr_nonnull(at);
	memcpy(id_r, at + 16, 12);
	id_r[12] = '\0';
}

/* Old workers accept until they hear of the reload: waits until none of them
 * is left, so no connection of theirs may be open. */
static pid_t before[DAEMON_MAX_CHILDREN];
static size_t n_before;

static void begin_reload(const char *text)
{
	n_before = daemon_children(d, "worker", before);
	tls_configure(text);
	daemon_hup(d);
}

static bool old_ones_left(void)
{
	pid_t now[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, "worker", now);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_before; k++)
			if (now[i] == before[k])
				return true;
	return false;
}

static void end_reload(void)
{
	client_close(c); /* it asks again when it wants to */
	WAIT_UNTIL(!old_ones_left());
	ck_assert(!old_ones_left());
}

/* ---- the handshake ---- */

static void names_choose_the_certificate(void)
{
	static const struct {
		const char *name, *shows;
	} rows[] = {
		{ "localhost", "localhost" },
		{ "other.test", "other.test" },
		{ "OTHER.test", "other.test" },
		{ "a.wild.test", "other.test" },
		{ "a.b.wild.test", "localhost" },
		{ "wild.test", "localhost" },
		{ "nobody.test", "localhost" },
		{ NULL, "localhost" },
	};
	struct tls_conn t;

	EACH_ROW(rows, row)
	{
		char *shows;

		ck_assert(tls_open(&t, &(struct tls_how){ .name = row->name }));
		shows = tls_subject(&t);
		ck_assert_msg(strcmp(shows, row->shows) == 0,
			      "'%s' is shown '%s'", row->name, shows);
		tl_free(shows);
		tls_close(&t);
	}
}

static void versions_and_ciphers(void)
{
	static const struct {
		int version;
		const char *ciphers;
		bool good;
	} rows[] = {
		{ TLS1_3_VERSION, NULL, true },
		{ TLS1_2_VERSION, NULL, true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false }, /* CBC */
		{ TLS1_2_VERSION, "AES128-GCM-SHA256", false }, /* no ECDHE */
		{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", false },
		{ TLS1_VERSION, "ALL:@SECLEVEL=0", false },
	};
	struct tls_conn t;

	EACH_ROW(rows, row)
	{
		bool good = tls_open(
			&t, &(struct tls_how){ .version = row->version,
					       .ciphers = row->ciphers });

		ck_assert_msg(good == row->good, "version %x with %s: %d",
			      (unsigned)row->version, row->ciphers, good);
		tls_close(&t);
	}
}

static void protocols(void)
{
	const unsigned char *got;
	struct tls_conn t;
	unsigned len;

	ck_assert(tls_open(&t,
			   &(struct tls_how){ .alpn = "\x02h2\x08http/1.1" }));
	SSL_get0_alpn_selected(t.ssl, &got, &len);
	ck_assert_uint_eq(len, 8);
	ck_assert_mem_eq(got, "http/1.1", 8);
	tls_close(&t);
	ck_assert(!tls_open(&t, &(struct tls_how){ .alpn = "\x02h2" }));
	tls_close(&t);
}

START_TEST(handshakes)
{
	struct tls_conn t;
	double done, failed;

	tls_up(BOTH, NULL);
	names_choose_the_certificate();
	versions_and_ciphers();
	protocols();
	done = tls_metric("tallyd_tls_handshakes_total");
	failed = tls_metric("tallyd_tls_failures_total");
	ck_assert_double_ge(done, 12);
	ck_assert_double_ge(failed, 5);

	/* no renegotiation, and whoever asks for one is still served */
	ck_assert(tls_open(&t, &(struct tls_how){ .version = TLS1_2_VERSION }));
	SSL_renegotiate(t.ssl);
	ck_assert_int_ne(SSL_do_handshake(t.ssl), 1);
	tls_close(&t);
	ck_assert_int_eq(tls_once(&t, NULL, "/health"), 200);
	ck_assert_ptr_null(SSL_get_current_compression(t.ssl));
	tls_close(&t);
}
END_TEST

/* ---- sessions ---- */

static SSL_SESSION *kept;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

/* A session that the worker made which is not stopped now. */
static SSL_SESSION *session_of(int version, char id_r[13])
{
	struct tls_conn t;

	kept = NULL;
	ck_assert(tls_open(&t, &(struct tls_how){ .version = version }));
	SSL_CTX_set_session_cache_mode(
		t.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(t.ctx, on_session);
	ck_assert_int_eq(tls_get(&t, "/health", NULL), 200);
	worker_of(&t, id_r);
	if (kept == NULL) /* of TLS 1.2: it came with the handshake */
		kept = SSL_get1_session(t.ssl);
	tls_close(&t);
	return kept;
}

/* One worker alone is left to accept, then the other. */
START_TEST(a_session_goes_on_at_another_worker)
{
	int version = _i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	pid_t workers[DAEMON_MAX_CHILDREN];
	char first[13], second[13];
	SSL_SESSION *session;
	struct tls_conn t;

	tls_up(SITE, NULL);
	ck_assert_uint_eq(daemon_children(d, "worker", workers), 2);
	kill(workers[0], SIGSTOP);
	session = session_of(version, first);
	kill(workers[0], SIGCONT);
	kill(workers[1], SIGSTOP);

	ck_assert_int_eq(tls_once(&t,
				  &(struct tls_how){ .version = version,
						     .session = session },
				  "/health"),
			 200);

	worker_of(&t, second);
	ck_assert_str_ne(first, second);
	ck_assert(SSL_session_reused(t.ssl));
	kill(workers[1], SIGCONT);
	tls_close(&t);
	SSL_SESSION_free(session);
	tls_wait_metric("tallyd_tls_resumed_total", 1);
}
END_TEST

/* ---- who does not speak TLS ---- */

static int raw(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(tls_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* All until the end, which is no reset. */
static void read_to_end(int fd, char *text, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, text + len, room - 1 - len, 0)) > 0)
		len += (size_t)n;
	ck_assert_msg(n == 0, "no clean end: %s", strerror(errno));
	text[len] = '\0';
	close(fd);
}

START_TEST(what_is_no_tls_is_hung_up_on)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00";
	pid_t workers[DAEMON_MAX_CHILDREN], after[DAEMON_MAX_CHILDREN];
	char text[4096];
	int fd, waiting;

	tls_up(SITE, "tls.handshake_timeout_ms=1500");
	ck_assert_uint_eq(daemon_children(d, "worker", workers), 2);

	waiting = raw(); /* says nothing at all */
	fd = raw();
	ck_assert_int_gt(send(fd, hello, sizeof(hello) - 1, 0), 0);
	read_to_end(fd, text, sizeof(text)); /* and then waits in vain */
	read_to_end(waiting, text, sizeof(text));

	fd = raw();
	ck_assert_int_gt(dprintf(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
	read_to_end(fd, text, sizeof(text));
	ck_assert_ptr_eq(strstr(text, "HTTP/1.1 400 "), text);
	ck_assert_ptr_nonnull(strstr(text, "https://"));

	srand(7);
	for (int i = 0; i < 50; i++) {
		size_t len = (size_t)(rand() % 2000) + 1;
		char bytes[2001];

		for (size_t k = 0; k < len; k++)
			bytes[k] = (char)rand();
		if (i % 2 == 0) /* so that it looks like a record */
			memcpy(bytes, hello, 3);
		fd = raw();
		(void)!send(fd, bytes, len, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		while (recv(fd, text, sizeof(text), 0) > 0)
			;
		close(fd);
	}
	tls_wait_metric("tallyd_tls_failures_total", 50);
	ck_assert_uint_eq(daemon_children(d, "worker", after), 2);
	ck_assert_mem_eq(workers, after, 2 * sizeof(*after));
	ck_assert(!log_has("TLS handshake with")); /* at debug alone */
}
END_TEST

/* ---- client certificates ---- */

#define CLIENTS(word) SITE "client_ca = @/ca.pem\nclient_certificates = " word

START_TEST(client_certificates_are_asked_for)
{
	static const struct tls_how known = { .cert = "client" },
				    stranger = { .cert = "stranger" };
	struct tls_conn t;

	tls_up(CLIENTS("required"), NULL);
	ck_assert_int_eq(tls_once(&t, NULL, "/health"), 0);
	tls_close(&t);
	ck_assert_int_eq(tls_once(&t, &stranger, "/health"), 0);
	tls_close(&t);
	ck_assert_int_eq(tls_once(&t, &known, "/health?who=client"), 200);
	tls_close(&t);
	want_log("\"tls_client\":\"CN=client\\\\, number 7,O=tallyd test\","
		 "\"tls_client_serial\":\"");

	begin_reload(CLIENTS("optional"));
	end_reload();
	ck_assert_int_eq(tls_once(&t, NULL, "/health"), 200);
	tls_close(&t);
	ck_assert_int_eq(tls_once(&t, &stranger, "/health"), 0);
	tls_close(&t);
	ck_assert_int_eq(tls_once(&t, &known, "/health"), 200);
	tls_close(&t);
}
END_TEST

/* ---- reload ---- */

static void refused_reload(const char *text, const char *words)
{
	tls_configure(text);
	kill(d->pid, SIGHUP);
	want_log(words);
}

START_TEST(a_reload_takes_all_or_nothing)
{
	static const struct tls_how old = { .version = TLS1_2_VERSION };
	char *subject, *key = tls_file("site.key");
	SSL_SESSION *session;
	struct tls_conn t;
	char id[13];

	tls_up(SITE, NULL);
	session = session_of(TLS1_3_VERSION, id);
	refused_reload("certificates = @/site.pem @/other.key",
		       "other.key' does not belong to the certificate '");
	refused_reload("certificates = @/gone.pem @/site.key",
		       "gone.pem': No such file");
	ck_assert_int_eq(chmod(key, 0644), 0);
	refused_reload(SITE, "has mode 0644");
	ck_assert_int_eq(chmod(key, 0600), 0);
	ck_assert_int_eq(tls_once(&t, &old, "/health"), 200);
	subject = tls_subject(&t);
	ck_assert_str_eq(subject, "localhost");
	tl_free(subject);

	begin_reload("certificates = @/other.pem @/other.key\n"
		     "min_version = 1.3");

	/* who was there is answered once more; who comes sees the new one */
	ck_assert_int_eq(tls_get(&t, "/health", NULL), 200);
	tls_close(&t);
	end_reload();
	ck_assert(!tls_open(&t, &old));
	tls_close(&t);
	ck_assert(tls_open(&t, &(struct tls_how){ .session = session }));
	ck_assert(!SSL_session_reused(t.ssl)); /* of another certificate */
	subject = tls_subject(&t);
	ck_assert_str_eq(subject, "other.test");
	tl_free(subject);
	tls_close(&t);
	SSL_SESSION_free(session);
	tl_free(key);

	begin_reload("certificates = @/old.pem @/old.key");
	end_reload();
	want_log("old.pem' has expired on ");
	ck_assert(!tls_open(&t, NULL)); /* the client looks at the date */
	tls_close(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("50_tls");
	TCase *tc = fixture_case(s, "tls");

	tcase_add_test(tc, handshakes);
	tcase_add_loop_test(tc, a_session_goes_on_at_another_worker, 0, 2);
	tcase_add_test(tc, what_is_no_tls_is_hung_up_on);
	tcase_add_test(tc, client_certificates_are_asked_for);
	tcase_add_test(tc, a_reload_takes_all_or_nothing);
	return fixture_run(s);
}
