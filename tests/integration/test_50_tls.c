/*
 * Listeners with tls: in front: who gets which certificate, what is refused,
 * that HTTP over it is the HTTP of a plain one, and that a reload changes all
 * of it or nothing.
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
#include "base/str.h"

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

static double metric(const char *name)
{
	char *line = tl_asprintf("\n%s ", name);
	const char *at;
	double v;

	ck_assert(client_get(c, "/metrics", NULL, &r));
	at = strstr(r.body, line);
	ck_assert_ptr_nonnull(at);
	v = atof(at + strlen(line));
	tl_free(line);
	return v;
}

static void wait_metric(const char *name, double at_least)
{
	WAIT_UNTIL(metric(name) >= at_least);
	ck_assert_double_ge(metric(name), at_least);
}

/* Who answered: the front of the request's id is the worker's own. */
static void worker_of(const struct tls_conn *t, char id_r[13])
{
	const char *at = strstr(t->text, "\r\nX-Request-Id: ");

	ck_assert_ptr_nonnull(at);
	memcpy(id_r, at + 16, 12);
	id_r[12] = '\0';
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
	done = metric("tallyd_tls_handshakes_total");
	failed = metric("tallyd_tls_failures_total");
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
	wait_metric("tallyd_tls_resumed_total", 1);
}
END_TEST

/* ---- HTTP ---- */

/* What a route answers in one worker or the other is the same but for this. */
static void expect_as_plain(struct tls_conn *t, const char *target)
{
	const char *body;

	ck_assert_int_eq(tls_get(t, target, NULL), 200);
	ck_assert(client_get(c, target, NULL, &r));
	body = strstr(t->text, "\r\n\r\n") + 4;
	ck_assert_uint_eq(t->len - (size_t)(body - t->text), r.body_len);
	ck_assert_mem_eq(body, r.body, r.body_len);
	/* only a browser that came over TLS is told to come so again */
	ck_assert_ptr_nonnull(strstr(
		t->text, "\r\nStrict-Transport-Security: max-age=3600\r\n"));
	ck_assert_ptr_null(header_of(&r, "Strict-Transport-Security"));
}

static void pipelined(struct tls_conn *t)
{
	static const char *const targets[] = { "/health", "/api/keys",
					       "/api/gate", "/nowhere" };
	static const int statuses[] = { 200, 200, 200, 404 };
	struct tl_buf b;

	tl_buf_init(&b);
	for (int i = 0; i < 400; i++)
		tl_buf_addf(&b,
			    "GET %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: "
			    "r%d\r\nAuthorization: Bearer %s\r\n\r\n",
			    targets[i % 4], i, KEY_BUSINESS);
	tls_put(t, b.ptr, b.len);
	for (int i = 0; i < 400; i++) {
		char id[40];

		ck_assert_int_eq(tls_answer(t), statuses[i % 4]);
		snprintf(id, sizeof(id), "\r\nX-Request-Id: r%d\r\n", i);
		ck_assert_ptr_nonnull(strstr(t->text, id));
	}
	tl_buf_deinit(&b);
}

/* A batch near the limit of a body, in small records. */
static void large_body(struct tls_conn *t)
{
	struct tl_buf body, head;

	tl_buf_init(&body);
	tl_buf_init(&head);
	tl_buf_adds(&body, "{\"items\":[");
	for (int i = 0; i < 100; i++)
		tl_buf_addf(&body, "%s{\"key\":\"%s\",\"scope\":\"%.60s\"}",
			    i > 0 ? "," : "", KEY_PRO,
			    "a.scope.that.nobody.has.and.that.makes.the.body."
			    "large");
	tl_buf_adds(&body, "]}");
	tl_buf_addf(&head,
		    "POST /api/verify/batch HTTP/1.1\r\nHost: x\r\n"
		    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		    "Expect: 100-continue\r\n\r\n",
		    body.len);
	tls_put(t, head.ptr, head.len);
	ck_assert_int_eq(tls_answer(t), 100);
	for (size_t i = 0; i < body.len; i += 97)
		tls_put(t, body.ptr + i, body.len - i < 97 ? body.len - i : 97);
	ck_assert_int_eq(tls_answer(t), 200);
	tl_buf_deinit(&body);
	tl_buf_deinit(&head);
}

/* More than both sockets hold, and nobody reads at first.  One by one: those
 * that come while an answer is stuck wait in the socket. */
static void slow_reader(struct tls_conn *t)
{
	static const char ask[] = "GET /openapi.json HTTP/1.1\r\n"
				  "Host: x\r\n\r\n";
	uint64_t first = 0, sum;
	int bytes = 65536;

	setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	for (int i = 0; i < 40; i++) {
		TLS_PUT(t, ask);
		test_sleep_ms(3);
	}
	for (int i = 0; i < 40; i++) {
		const char *body;

		ck_assert_int_eq(tls_answer(t), 200);
		body = strstr(t->text, "\r\n\r\n") + 4;
		sum = 0;
		for (const char *p = body; p < t->text + t->len; p++)
			sum = sum * 31 + (unsigned char)*p;
		if (i == 0)
			first = sum;
		ck_assert_uint_eq(sum, first);
	}
	ck_assert_int_eq(tls_get(t, "/health", NULL), 200);
}

static void head_has_no_body(struct tls_conn *t)
{
	char *text;

	TLS_PUT(t, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
		   "GET /health HTTP/1.1\r\nHost: x\r\n"
		   "Connection: close\r\n\r\n");
	text = tl_alloc(8192);
	for (size_t len = 0; len < 8000;) {
		int n = SSL_read(t->ssl, text + len, (int)(8000 - len));

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	ck_assert_ptr_eq(strstr(strstr(text, "\r\n\r\n"), "HTTP/1.1 200"),
			 strstr(text, "\r\n\r\n") + 4);
	/* the end is told, so that nobody can cut an answer short */
	ck_assert_int_ne(SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN, 0);
	tl_free(text);
}

/* It has asked, and said that it will not ask again. */
static void half_closed(const char *target)
{
	struct tls_conn t;
	char *text = tl_asprintf("GET %s HTTP/1.1\r\nHost: x\r\n"
				 "Authorization: Bearer %s\r\n\r\n",
				 target, KEY_BUSINESS);

	ck_assert(tls_open(&t, NULL));
	tls_put(&t, text, strlen(text));
	SSL_shutdown(t.ssl);
	ck_assert_int_eq(tls_answer(&t), 200);
	ck_assert_int_eq(tls_answer(&t), 0);
	tl_free(text);
	tls_close(&t);
}

static void refused_head(struct tls_conn *t)
{
	TLS_PUT(t, "GET /health HTTP/1.1 \r\nno header\r\n\r\n");
	ck_assert_int_eq(tls_answer(t), 400);
	ck_assert_int_eq(tls_answer(t), 0);
}

START_TEST(http_is_that_of_a_plain_listener)
{
	static void (*const steps[])(
		struct tls_conn *) = { pipelined, large_body, slow_reader,
				       head_has_no_body, refused_head };
	struct tls_conn t;

	tls_up(SITE "hsts_max_age_s = 3600", "gate.verify_allow=127.0.0.1");
	ck_assert(tls_open(&t, NULL));
	expect_as_plain(&t, "/health");
	expect_as_plain(&t, "/openapi.json");
	tls_close(&t);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		ck_assert(tls_open(&t, NULL));
		steps[i](&t);
		tls_close(&t);
	}
	half_closed("/health");
	half_closed("/api/keys");
}
END_TEST

START_TEST(streams_tell_and_end)
{
	static const char ask[] = "GET /api/events HTTP/1.1\r\nHost: x\r\n"
				  "Authorization: Bearer " KEY_PRO "\r\n\r\n";
	struct tls_conn t;
	char text[4096] = "";
	size_t len = 0;
	int n;

	tls_up(SITE, NULL);
	ck_assert(tls_open(&t, NULL));
	TLS_PUT(&t, ask);
	while (strstr(text, "\n\n") == NULL) {
		n = SSL_read(t.ssl, text + len, (int)(sizeof(text) - 1 - len));
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	ck_assert_ptr_nonnull(strstr(text, "text/event-stream"));
	tls_close(&t);
	/* a hang-up is seen */
	WAIT_UNTIL(metric("tallyd_streams") == 0);
	ck_assert_double_eq(metric("tallyd_streams"), 0);
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

	tls_up(SITE, "tls.handshake_timeout_ms=300");
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
	wait_metric("tallyd_tls_failures_total", 50);
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

	tls_configure(CLIENTS("optional"));
	daemon_hup(d);
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

	tls_configure("certificates = @/other.pem @/other.key\n"
		      "min_version = 1.3");
	daemon_hup(d);

	/* who was there is answered once more; who comes sees the new one */
	ck_assert_int_eq(tls_get(&t, "/health", NULL), 200);
	tls_close(&t);
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

	tls_configure("certificates = @/old.pem @/old.key");
	daemon_hup(d);
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
	tcase_add_test(tc, http_is_that_of_a_plain_listener);
	tcase_add_test(tc, streams_tell_and_end);
	tcase_add_test(tc, what_is_no_tls_is_hung_up_on);
	tcase_add_test(tc, client_certificates_are_asked_for);
	tcase_add_test(tc, a_reload_takes_all_or_nothing);
	return fixture_run(s);
}
