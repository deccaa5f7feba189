/*
 * HTTP over TLS is the HTTP of a plain listener: bodies, pipelines, streams,
 * readers that are slow, caps.
 */
#include "config.h" /* _GNU_SOURCE */

#include "tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"

#define SITE "certificates = @/site.pem @/site.key\n"

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

/* Two workers with two connections each, of which `c` has one already. */
static void connections_are_capped(void)
{
	struct tls_conn all[8];
	int refused = 0;

	for (size_t i = 0; i < 8; i++)
		refused += !tls_open(&all[i], NULL);
	ck_assert_int_ge(refused, 5);
	ck_assert_double_ge(
		tls_metric("tallyd_http_refused_total{reason=\"connections\"}"),
		5);
	for (size_t i = 0; i < 8; i++)
		tls_close(&all[i]);
}

START_TEST(streams_tell_and_end)
{
	static const char ask[] = "GET /api/events HTTP/1.1\r\nHost: x\r\n"
				  "Authorization: Bearer " KEY_PRO "\r\n\r\n";
	struct tls_conn t;
	char text[4096] = "";
	size_t len = 0;
	int n;

	tls_up(SITE, "server.max_connections_per_address=2");
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
	WAIT_UNTIL(tls_metric("tallyd_streams") == 0);
	ck_assert_double_eq(tls_metric("tallyd_streams"), 0);
	connections_are_capped();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("50c_tls_http");
	TCase *tc = fixture_case(s, "http");

	tcase_add_test(tc, http_is_that_of_a_plain_listener);
	tcase_add_test(tc, streams_tell_and_end);
	return fixture_run(s);
}
