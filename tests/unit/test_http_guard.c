/*
 * test_http_guard.c - the framing validator as a pure function.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "http/guard.h"
#include "http/http.h"

static struct evkeyvalq headers;

static void setup(void)
{
	TAILQ_INIT(&headers);
}

static void teardown(void)
{
	evhttp_clear_headers(&headers);
}

static void header(const char *name, const char *value)
{
	ck_assert_int_eq(evhttp_add_header(&headers, name, value), 0);
}

static unsigned check(unsigned method, const char *target, size_t body_bytes,
		      struct guard_out *out)
{
	const struct guard_refusal *why =
		guard_check(&(struct guard_in){ .method = method,
						.major = 1,
						.minor = 1,
						.target = target,
						.headers = &headers,
						.body_bytes = body_bytes },
			    out);

	return why != NULL ? why->status : 0;
}

START_TEST(picks_what_the_server_needs)
{
	struct guard_out out;

	header("hOsT", "a:80");
	header("X-API-KEY", "k");
	header("x-forwarded-for", "1.2.3.4");
	header("X-Forwarded-For", "5.6.7.8");
	header("Access-Control-Request-Method", "POST");
	header("X-Something-Else", "z");

	ck_assert_uint_eq(check(HTTP_GET, "/a/b?c=d?e", 0, &out), 0);

	ck_assert(tl_str_eq(out.path, TL_STR("/a/b")));
	ck_assert(tl_str_eq(out.query, TL_STR("c=d?e")));
	ck_assert(tl_str_eq(out.h[GH_API_KEY], TL_STR("k")));
	ck_assert(tl_str_eq(out.h[GH_PREFLIGHT], TL_STR("POST")));
	ck_assert(tl_str_eq(out.h[GH_FORWARDED_FOR], TL_STR("1.2.3.4")));
	ck_assert_uint_eq(out.n_forwarded_for, 2);
	ck_assert_ptr_null(out.h[GH_AUTHORIZATION].ptr);
	ck_assert(!out.close && !out.encoded);
}
END_TEST

static const struct {
	const char *target;
	unsigned status;
} targets[] = {
	{ "/", 0 },
	{ "/a%20b", 0 },
	{ "/a?b=%2f", 0 },
	{ "/a%2Fb", 400 },
	{ "/a%2fb", 400 },
	{ "/%", 400 },
	{ "/%4", 400 },
	{ "/%41", 0 },
	{ "/%00", 400 },
	{ "/?%00", 400 },
	{ "/?%g0", 400 },
	{ "//", 400 },
	{ "//a/b", 400 },
	{ "/a//b", 0 },
	{ "", 400 },
	{ "a", 400 },
	{ "*", 400 },
	{ "http://h/a", 0 },
	{ "HTTP://h", 400 },
	{ "http://h?a", 400 },
	{ "https://H/a", 0 },
	{ "http://x/a", 400 },
	{ "http://h//a", 400 },
	{ "ftp://h/a", 400 },
	{ "/a b", 400 },
	{ "/a\tb", 400 },
	{ "/a\x80", 400 },
	{ "/a\x7f", 400 },
	{ "/a#b", 400 },
	{ "/a\\b", 400 },
};

START_TEST(judges_targets)
{
	struct guard_out out;

	header("Host", "h");

	ck_assert_msg(check(HTTP_GET, targets[_i].target, 0, &out) ==
			      targets[_i].status,
		      "'%s'", targets[_i].target);
}
END_TEST

static const struct {
	const char *value;
	size_t body_bytes;
	unsigned status;
} lengths[] = {
	{ "0", 0, 0 },     { "5", 5, 0 },
	{ "5", 4, 400 },   { "+5", 5, 400 },
	{ "-5", 5, 400 },  { "0x5", 5, 400 },
	{ "5 5", 5, 400 }, { "5,5", 5, 400 },
	{ "", 0, 400 },    { "9223372036854775808", 5, 400 },
	{ "\t5", 5, 400 },
};

START_TEST(judges_lengths)
{
	struct guard_out out;

	header("Host", "h");
	header("Content-Length", lengths[_i].value);

	ck_assert_msg(check(HTTP_POST, "/", lengths[_i].body_bytes, &out) ==
			      lengths[_i].status,
		      "'%s'", lengths[_i].value);
}
END_TEST

/* Each byte, at each place of a word that is looked at eight at a time. */
START_TEST(finds_control_characters_anywhere)
{
	for (int c = 1; c < 256; c++) {
		bool bad = (c < 0x20 && c != '\t') || c == 0x7f;

		for (size_t at = 0; at < 19; at++) {
			char text[20] = "abcdefghi\x80klmnop\xff rs";

			text[at] = (char)c;
			ck_assert_msg(guard_value_clean(text, 19) == !bad,
				      "byte %d at %zu", c, at);
		}
	}
}
END_TEST

START_TEST(takes_a_hundred_headers_and_no_more)
{
	struct guard_out out;

	header("Host", "h");
	for (int i = 0; i < 99; i++)
		header("A", "b");
	ck_assert_uint_eq(check(HTTP_GET, "/", 0, &out), 0);

	header("A", "b");

	ck_assert_uint_eq(check(HTTP_GET, "/", 0, &out), 431);
}
END_TEST

static const char *const names[] = { "",   " A",  "A ",       "A B",
				     "A(", "A\t", "\xc3\xa4", "A\"" };

START_TEST(refuses_names_that_are_no_tokens)
{
	struct guard_out out;

	header("Host", "h");
	header(names[_i], "v");

	ck_assert_msg(check(HTTP_GET, "/", 0, &out) == 400, "'%s'", names[_i]);
}
END_TEST

static const struct {
	const char *connection;
	int minor;
	bool close, keep_alive;
} connections[] = {
	{ "close", 1, true, false },
	{ "Close", 1, true, false },
	{ "upgrade, close", 1, true, false },
	{ "closed", 1, false, false },
	{ "keep-alive", 1, false, false },
	{ "Keep-Alive", 0, false, true },
	{ "x", 0, true, false },
	{ "keep-alive, close", 0, true, false },
};

START_TEST(agrees_with_evhttp_on_closing)
{
	struct guard_out out;

	header("Host", "h");
	header("Connection", connections[_i].connection);

	ck_assert_ptr_null(
		guard_check(&(struct guard_in){ .method = HTTP_GET,
						.major = 1,
						.minor = connections[_i].minor,
						.target = "/",
						.headers = &headers },
			    &out));

	ck_assert(out.close == connections[_i].close);
	ck_assert(out.keep_alive == connections[_i].keep_alive);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

int main(void)
{
	Suite *s = suite_create("http_guard");
	TCase *tc = tcase_create("guard");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, picks_what_the_server_needs);
	tcase_add_loop_test(tc, judges_targets, 0, N(targets));
	tcase_add_loop_test(tc, judges_lengths, 0, N(lengths));
	tcase_add_test(tc, finds_control_characters_anywhere);
	tcase_add_test(tc, takes_a_hundred_headers_and_no_more);
	tcase_add_loop_test(tc, refuses_names_that_are_no_tokens, 0, N(names));
	tcase_add_loop_test(tc, agrees_with_evhttp_on_closing, 0,
			    N(connections));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
