/*
 * test_http_raw.c - odd and hostile bytes: each gets one answer in our form.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "http_rig.h"

static struct rig rig;

static void allow_an_origin(struct conf *conf)
{
	struct conf_strings *o = &conf->server.allowed_origins;

	for (size_t i = 0; i < o->n; i++)
		tl_free(o->items[i]);
	tl_free(o->items);
	o->items = tl_alloc_array(1, sizeof(char *));
	o->items[0] = tl_strdup("https://a.test");
	o->n = 1;
}

static void setup(void)
{
	rig_start(&rig, allow_an_origin, 0);
}

static void teardown(void)
{
	rig_stop(&rig);
}

/* Refused once, closed, and what follows is not taken for a request. */
static const struct {
	const char *name, *bytes, *status;
} refused[] = {
#define REFUSED(name, status, bytes)                                           \
	{                                                                      \
		name, bytes, status                                            \
	}
#define HOST "Host: a\r\n"
#define NEXT "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define POST "POST /echo HTTP/1.1\r\n" HOST
	REFUSED("two lengths", "400",
		POST "Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" NEXT),
	REFUSED("the same length twice", "400",
		POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" NEXT),
	REFUSED("length and coding", "400",
		POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "0\r\n\r\n" NEXT),
	REFUSED("two codings", "400",
		POST "Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n"
		     "\r\n0\r\n\r\n" NEXT),
	REFUSED("unknown coding alone", "400",
		POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT),
	REFUSED("blank before the colon", "400",
		POST "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n"
		     "\r\n0\r\n\r\n" NEXT),
	REFUSED("folded coding", "400",
		POST "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n"
		     "\r\n0\r\n\r\n" NEXT),
	REFUSED("length with sign", "400",
		POST "Content-Length: +5\r\n\r\n01234" NEXT),
	REFUSED("length in hex", "400",
		POST "Content-Length: 0x5\r\n\r\n01234" NEXT),
	REFUSED("length with a tab", "400",
		POST "Content-Length: \t5\r\n\r\n01234" NEXT),
	REFUSED("negative length", "400",
		POST "Content-Length: -1\r\n\r\n" NEXT),
	REFUSED("chunked", "411",
		POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
	REFUSED("chunk size in hex form", "411",
		POST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n"
		     "0\r\n\r\n"),
	REFUSED("chunk size with sign", "411",
		POST "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n"
		     "0\r\n\r\n"),
	REFUSED("chunks with bare line feeds", "411",
		POST "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"),
	REFUSED("chunked with trailer", "411",
		POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n"),
	REFUSED("POST without length", "411", POST "\r\n" NEXT),
	REFUSED("PUT without length", "411",
		"PUT /echo HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("HEAD with a body", "400",
		"HEAD /echo HTTP/1.1\r\n" HOST
		"Content-Length: 44\r\n\r\n" NEXT),
	REFUSED("unknown method with a body", "400",
		"BREW /echo HTTP/1.1\r\n" HOST
		"Content-Length: 44\r\n\r\n" NEXT),
	REFUSED("no Host", "400", "GET /echo HTTP/1.1\r\n\r\n" NEXT),
	REFUSED("two Hosts", "400",
		"GET /echo HTTP/1.1\r\n" HOST "Host: b\r\n\r\n" NEXT),
	REFUSED("malformed Host", "400",
		"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n" NEXT),
	REFUSED("absolute form of another host", "400",
		"GET http://b/echo HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("two slashes", "400",
		"GET //other/echo HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("no path", "400", "GET echo HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("asterisk", "400", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("CONNECT", "400", "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n"),
	REFUSED("bad escape", "400",
		"GET /echo%zz HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("cut escape", "400",
		"GET /echo%4 HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("escaped NUL", "400",
		"GET /echo%00 HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("escaped NUL in the query", "400",
		"GET /echo?a=%00 HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("escaped slash", "400",
		"GET /item/a%2fb HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("raw byte above 7f", "400",
		"GET /echo\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("blank in the target", "400",
		"GET /echo x HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("fragment", "400", "GET /echo#x HTTP/1.1\r\n" HOST "\r\n" NEXT),
	REFUSED("empty header name", "400",
		"GET /echo HTTP/1.1\r\n" HOST ": x\r\n\r\n" NEXT),
	REFUSED("control character in a value", "400",
		"GET /echo HTTP/1.1\r\n" HOST "X-A: b\001c\r\n\r\n" NEXT),
	REFUSED("two credentials of a kind", "400",
		"GET /key HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\n"
		"Authorization: Bearer b\r\n\r\n" NEXT),
	REFUSED("HTTP/0.9 in words", "400",
		"GET /echo HTTP/0.9\r\n" HOST "\r\n" NEXT),
	/* what evhttp refuses by itself */
	REFUSED("no version", "400", "GET /\r\n\r\n"),
	REFUSED("nonsense", "400", "\x16\x03\x01\x02\r\n\r\n"),
	REFUSED("version 2", "400", "GET /echo HTTP/2.0\r\n" HOST "\r\n" NEXT),
	REFUSED("header line without colon", "400",
		"GET /echo HTTP/1.1\r\n" HOST "broken\r\n\r\n" NEXT),
	REFUSED("length that is no number", "400",
		POST "Content-Length: five\r\n\r\n" NEXT),
	REFUSED("other expectation", "417",
		POST "Content-Length: 2\r\nExpect: tea\r\n\r\n{}" NEXT),
	REFUSED("body above all limits", "413",
		POST "Content-Length: 99999999\r\n\r\n" NEXT),
};

static void assert_one_refusal(const char *name, const char *text,
			       const char *status)
{
	char line[32] = "HTTP/1.1 ";
	const char *body = strstr(text, "\r\n\r\n");

	strcat(line, status);
	ck_assert_msg(strncmp(text, line, strlen(line)) == 0,
		      "%s: want %s, got '%s'", name, status, text);
	ck_assert_msg(rig_count(text, "X-Request-Id: ") == 1,
		      "%s: more than one answer: '%s'", name, text);
	/* the refusal of a HEAD has no body either */
	ck_assert_msg(
		body != NULL &&
			(strncmp(body + 4, "{\"error\":{\"code\":\"", 18) ==
				 0 ||
			 (strncmp(name, "HEAD", 4) == 0 && body[4] == '\0')),
		"%s: not the error form: '%s'", name, text);
	ck_assert_msg(strstr(text, "\r\nConnection: close\r\n") != NULL &&
			      strstr(text, "\r\nX-Request-Id: ") != NULL,
		      "%s: headers missing: '%s'", name, text);
	ck_assert_ptr_null(strstr(text, "<HTML>"));
}

START_TEST(refuses_and_closes)
{
	char *text =
		rig_closed(&rig, refused[_i].bytes, strlen(refused[_i].bytes));

	assert_one_refusal(refused[_i].name, text, refused[_i].status);
	free(text);
}
END_TEST

static void append_lines(struct tl_buf *b, unsigned n, const char *line)
{
	for (unsigned i = 0; i < n; i++)
		tl_buf_adds(b, line);
}

START_TEST(refuses_more_than_a_hundred_headers)
{
	struct tl_buf b = { 0 };
	char *text;

	tl_buf_adds(&b, "GET /echo HTTP/1.1\r\n" HOST);
	append_lines(&b, 100, "A: b\r\n");
	tl_buf_adds(&b, "\r\n" NEXT);
	text = rig_closed(&rig, b.ptr, b.len);

	assert_one_refusal("101 headers", text, "431");
	free(text);
	tl_buf_deinit(&b);
}
END_TEST

START_TEST(refuses_a_large_header_section)
{
	struct tl_buf b = { 0 };
	char *text;

	tl_buf_adds(&b, "GET /echo HTTP/1.1\r\n" HOST "X-Long: ");
	append_lines(&b, 17000, "x");
	tl_buf_adds(&b, "\r\n\r\n");
	text = rig_closed(&rig, b.ptr, b.len);

	assert_one_refusal("17 KB of headers", text, "431");
	free(text);
	tl_buf_deinit(&b);
}
END_TEST

static char *post_bytes(int fd, const char *path, unsigned n)
{
	struct tl_buf b = { 0 };
	char *text;

	tl_buf_addf(&b,
		    "POST %s HTTP/1.1\r\n" HOST
		    "Content-Type: application/json\r\n"
		    "Content-Length: %u\r\n\r\n",
		    path, n);
	append_lines(&b, n, "x");
	rig_send(fd, b.ptr, b.len);
	text = rig_read_one(fd, 0);
	tl_buf_deinit(&b);
	return text;
}

START_TEST(refuses_a_body_above_the_routes_own_limit)
{
	int fd = rig_connect(&rig);
	char *over = post_bytes(fd, "/echo", 16385);
	char *fits = post_bytes(fd, "/echo", 16384);

	ck_assert_int_eq(strncmp(over, "HTTP/1.1 413 ", 13), 0);
	ck_assert_int_eq(strncmp(fits, "HTTP/1.1 200 ", 13), 0);
	free(over);
	free(fits);
	close(fd);
}
END_TEST

/* The read mark must leave room for it. */
START_TEST(takes_the_largest_body)
{
	int fd = rig_connect(&rig);
	char *text = post_bytes(fd, "/large", 262144);

	ck_assert_str_eq(strstr(text, "\r\n\r\n") + 4, "262144");
	free(text);
	close(fd);
}
END_TEST

static char *ask(int fd, const char *bytes, int head)
{
	rig_send(fd, bytes, strlen(bytes));
	return rig_read_one(fd, head);
}

#define ASK_STATUS(fd, bytes, status)                                          \
	do {                                                                   \
		char *t_ = ask((fd), (bytes), 0);                              \
		ck_assert_msg(strncmp(t_, "HTTP/1.1 " status " ", 13) == 0,    \
			      "want %s: %s", status, t_);                      \
		free(t_);                                                      \
	} while (0)

START_TEST(good_requests_keep_the_connection)
{
	int fd = rig_connect(&rig);

	ASK_STATUS(fd, NEXT, "200");
	ASK_STATUS(fd,
		   "GET http://a/echo HTTP/1.1\r\n" HOST
		   "Proxy-Connection: keep-alive\r\n\r\n",
		   "200");
	close(fd);
	fd = rig_connect(&rig);
	ASK_STATUS(fd,
		   "POST /echo HTTP/1.1\r\n" HOST
		   "Content-Type: application/json; charset=utf-8\r\n"
		   "Content-Length: 2\r\n\r\n{}",
		   "200");
	ASK_STATUS(fd,
		   "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}",
		   "415");
	ASK_STATUS(fd,
		   "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		   "200");
	ASK_STATUS(fd, "GET /item/a%20b HTTP/1.1\r\n" HOST "\r\n", "200");
	ASK_STATUS(fd, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404");
	ASK_STATUS(fd, "GET /echo/ HTTP/1.1\r\n" HOST "\r\n", "404");
	ASK_STATUS(fd, NEXT, "200");
	close(fd);
}
END_TEST

START_TEST(old_clients_are_closed_unless_they_ask)
{
	char *text = RIG_CLOSED(&rig, "GET /echo HTTP/1.0\r\n\r\n");
	int fd = rig_connect(&rig);
	char *kept = ask(fd,
			 "GET /echo HTTP/1.0\r\n"
			 "Connection: keep-alive\r\n\r\n",
			 0);
	char *list;

	ck_assert_ptr_nonnull(strstr(text, "\r\nConnection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(kept, "\r\nConnection: keep-alive\r\n"));
	ASK_STATUS(fd, NEXT, "200");
	close(fd);
	list = RIG_CLOSED(&rig, "GET /echo HTTP/1.1\r\n" HOST
				"Connection: foo, Close\r\n\r\n" NEXT);
	ck_assert_uint_eq(rig_count(list, "HTTP/1.1 200"), 1);
	free(text);
	free(kept);
	free(list);
}
END_TEST

START_TEST(head_has_the_length_and_no_body)
{
	int fd = rig_connect(&rig);
	char *head = ask(fd, "HEAD /echo HTTP/1.1\r\n" HOST "\r\n", 1);
	char *next = ask(fd, NEXT, 0);

	ck_assert_ptr_nonnull(strstr(head, "\r\nContent-Length: 2\r\n"));
	ck_assert_int_eq(strncmp(next, "HTTP/1.1 200 OK\r\n", 17), 0);
	free(head);
	free(next);
	close(fd);
}
END_TEST

START_TEST(wrong_methods_name_the_right_ones)
{
	static const char *const methods[] = { "PATCH", "OPTIONS", "DELETE",
					       "TRACE", "BREW",    "PUT" };
	int fd = rig_connect(&rig);

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		char bytes[128], *text;

		strcpy(bytes, methods[i]);
		strcat(bytes,
		       " /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
		text = ask(fd, bytes, 0);
		ck_assert_msg(strncmp(text, "HTTP/1.1 405 ", 13) == 0, "%s",
			      text);
		ck_assert_ptr_nonnull(
			strstr(text, "\r\nAllow: GET, HEAD, POST\r\n"));
		free(text);
	}
	close(fd);
}
END_TEST

START_TEST(a_credential_ends_at_a_nul)
{
	static const char bytes[] = "GET /key HTTP/1.1\r\n" HOST
				    "Authorization: Bearer abcd\0efgh\r\n\r\n";
	int fd = rig_connect(&rig);
	char *text;

	rig_send(fd, bytes, sizeof(bytes) - 1);
	text = rig_read_one(fd, 0);

	/* four characters: what is left is refused as a key by its length */
	ck_assert_str_eq(strstr(text, "\r\n\r\n") + 4, "0 4");
	free(text);
	close(fd);
}
END_TEST

START_TEST(queries_are_decoded_with_their_length)
{
	int fd = rig_connect(&rig);
	char *text = ask(
		fd,
		"GET /query?a=1&b=x%26y+z&c&&d=%C3%A9 HTTP/1.1\r\n" HOST "\r\n",
		0);

	ck_assert_str_eq(strstr(text, "\r\n\r\n") + 4,
			 "a=1;b=x&y z;c=;d=\xc3\xa9;");
	free(text);
	close(fd);
}
END_TEST

START_TEST(request_ids_are_kept_when_good)
{
	int fd = rig_connect(&rig);
	char *kept = ask(fd,
			 "GET /echo HTTP/1.1\r\n" HOST
			 "X-Request-Id: a.B_c-9\r\n\r\n",
			 0);
	char *made = ask(
		fd, "GET /echo HTTP/1.1\r\n" HOST "X-Request-Id: a b\r\n\r\n",
		0);

	ck_assert_ptr_nonnull(strstr(kept, "\r\nX-Request-Id: a.B_c-9\r\n"));
	ck_assert_ptr_nonnull(strstr(made, "\r\nX-Request-Id: "));
	ck_assert_ptr_null(strstr(made, "a b"));
	free(kept);
	free(made);
	close(fd);
}
END_TEST

START_TEST(reply_lines_hold_no_line_ends)
{
	int fd = rig_connect(&rig);
	char *text = ask(fd, "GET /item/x HTTP/1.1\r\n" HOST "\r\n", 0);

	ck_assert_ptr_nonnull(strstr(text, "\r\nX-Odd: one  X-Two: 2\r\n"));
	free(text);
	close(fd);
}
END_TEST

START_TEST(errors_speak_messagepack)
{
	int fd = rig_connect(&rig);
	char *text = ask(fd,
			 "PATCH /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n"
			 "Accept: text/x, application/msgpack\r\n\r\n",
			 0);

	ck_assert_ptr_nonnull(
		strstr(text, "\r\nContent-Type: application/msgpack\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\x81\xa5"
					   "error\x83\xa4"
					   "code"));
	free(text);
	close(fd);
}
END_TEST

START_TEST(only_allowed_origins_get_cors)
{
	int fd = rig_connect(&rig);
	char *yes = ask(fd,
			"OPTIONS /echo HTTP/1.1\r\n" HOST
			"Origin: https://a.test\r\n"
			"Access-Control-Request-Method: POST\r\n\r\n",
			0);
	char *no = ask(fd,
		       "GET /echo HTTP/1.1\r\n" HOST
		       "Origin: https://b.test\r\n\r\n",
		       0);

	ck_assert_int_eq(strncmp(yes, "HTTP/1.1 204 ", 13), 0);
	ck_assert_ptr_nonnull(
		strstr(yes, "Access-Control-Allow-Origin: https://a.test\r\n"));
	ck_assert_ptr_nonnull(strstr(yes, "Access-Control-Max-Age: 600\r\n"));
	ck_assert_ptr_null(strstr(no, "Access-Control"));
	ck_assert_ptr_nonnull(strstr(no, "\r\nVary: Origin\r\n"));
	free(yes);
	free(no);
	close(fd);
}
END_TEST

/* Refused by our guard, and by evhttp's parser. */
START_TEST(refusals_of_framing_carry_cors)
{
	static const char *const lengths[] = { "+5", "99999999" };

	for (size_t i = 0; i < 2; i++) {
		int fd = rig_connect(&rig);
		char request[256], *text;

		snprintf(request, sizeof(request),
			 POST "Origin: https://%s.test\r\n"
			      "Content-Length: %s\r\n\r\n01234",
			 _i == 0 ? "a" : "b", lengths[i]);
		text = ask(fd, request, 0);
		ck_assert_int_eq(strncmp(text, "HTTP/1.1 4", 10), 0);
		ck_assert_int_eq(strstr(text,
					"\r\nAccess-Control-Allow-Origin: "
					"https://a.test\r\n") != NULL,
				 _i == 0);
		free(text);
		close(fd);
	}
}
END_TEST

START_TEST(continues_when_asked)
{
	int fd = rig_connect(&rig);
	char *go, *text;

	go = ask(fd,
		 "POST /echo HTTP/1.1\r\n" HOST
		 "Content-Type: application/json\r\n"
		 "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		 0);
	text = ask(fd, "{}", 0);

	ck_assert_int_eq(strncmp(go, "HTTP/1.1 100 ", 13), 0);
	ck_assert_int_eq(strncmp(text, "HTTP/1.1 200 ", 13), 0);
	free(go);
	free(text);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_raw");
	TCase *tc = tcase_create("bytes");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, refuses_and_closes, 0,
			    (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(tc, refuses_more_than_a_hundred_headers);
	tcase_add_test(tc, refuses_a_large_header_section);
	tcase_add_test(tc, refuses_a_body_above_the_routes_own_limit);
	tcase_add_test(tc, takes_the_largest_body);
	tcase_add_test(tc, good_requests_keep_the_connection);
	tcase_add_test(tc, old_clients_are_closed_unless_they_ask);
	tcase_add_test(tc, head_has_the_length_and_no_body);
	tcase_add_test(tc, wrong_methods_name_the_right_ones);
	tcase_add_test(tc, a_credential_ends_at_a_nul);
	tcase_add_test(tc, queries_are_decoded_with_their_length);
	tcase_add_test(tc, request_ids_are_kept_when_good);
	tcase_add_test(tc, reply_lines_hold_no_line_ends);
	tcase_add_test(tc, errors_speak_messagepack);
	tcase_add_test(tc, only_allowed_origins_get_cors);
	tcase_add_loop_test(tc, refusals_of_framing_carry_cors, 0, 2);
	tcase_add_test(tc, continues_when_asked);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
