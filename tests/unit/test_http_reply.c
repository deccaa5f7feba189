/*
 * test_http_reply.c - the bytes of header lines and error bodies.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_internal.h"

static struct http http;
static struct http_req r;
static struct tl_buf out;

static void setup(void)
{
	memset(&r, 0, sizeof(r));
	memset(&http, 0, sizeof(http));
	http.wall_offset_us = 1772323200LL * 1000000; /* 2026-03-01 */
	r.req.http = &http;
	r.req.priv = &r.priv;
	tl_buf_init(&r.priv.extra);
	tl_buf_init(&out);
}

static void teardown(void)
{
	tl_buf_deinit(&r.priv.extra);
	tl_buf_deinit(&out);
}

static void rate(const char *name, uint32_t limit, uint32_t remaining,
		 uint32_t reset_ms)
{
	struct decide_rate *x = &r.req.d.rates[r.req.d.n_rates++];

	strcpy(x->name, name);
	x->name_len = (uint8_t)strlen(name);
	x->limit = x->per_window = limit;
	x->remaining = remaining;
	x->window_ms = 60000;
	x->reset_ms = reset_ms;
}

START_TEST(limit_lines_are_exact)
{
	r.req.d_valid = true;
	r.req.start_mono_ns = 7000000000; /* 7 s */
	http.decide.rules.quota_enabled = true;
	r.req.d.have_key = true;
	r.req.d.credits_limit = 250;
	rate("key", 100, 41, 52310);
	rate("images", 5, 0, 1);
	rate("trial", 3, 3, 1);
	r.req.d.rates[1].per_window = 60; /* a gcra with a burst of 5 */
	r.req.d.rates[2].shadow = true;
	r.req.d.tightest = 1;

	http_limit_headers(&r.req, &out);

	ck_assert_str_eq(out.ptr,
			 "X-RateLimit-Limit: 5\r\n"
			 "X-RateLimit-Remaining: 0\r\n"
			 "X-RateLimit-Reset: 1772323208\r\n"
			 "RateLimit-Policy: \"key\";q=100;w=60, "
			 "\"images\";q=60;w=60, \"credits\";q=250;w=86400\r\n"
			 "RateLimit: \"images\";r=0;t=1\r\n");
}
END_TEST

START_TEST(no_limit_lines_without_limits)
{
	r.req.d_valid = true;
	http_limit_headers(&r.req, &out);
	r.req.d_valid = false;
	rate("key", 1, 1, 1);
	http_limit_headers(&r.req, &out);

	ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(common_lines_follow_the_clock)
{
	http_reply_init(&http);
	http.wall_offset_us = 1772323200LL * 1000000;

	http_common_headers(&http, 61 * TL_NS_PER_S, &out);
	http_common_headers(&http, 62 * TL_NS_PER_S, &out);

	ck_assert_str_eq(out.ptr,
			 "Date: Sun, 01 Mar 2026 00:01:01 GMT\r\n"
			 "X-Content-Type-Options: nosniff\r\nVary: Origin\r\n"
			 "Date: Sun, 01 Mar 2026 00:01:02 GMT\r\n"
			 "X-Content-Type-Options: nosniff\r\n"
			 "Vary: Origin\r\n");
	tl_buf_deinit(&http.head);
}
END_TEST

START_TEST(handlers_lines_are_formatted)
{
	struct tl_uuid u;

	ck_assert(tl_uuid_parse(TL_STR("b0000000-0000-4000-8000-0000000000ff"),
				&u));

	req_header_add(&r.req, "A", "%s", "x");
	req_header_add(&r.req, "B", "%.*s-%u", 2, "xyz", 7u);
	req_header_add(&r.req, "C", "%lu%%", 5ul);
	req_header_add(&r.req, "D", "%d/%5.2f", -3, 1.5);
	req_header_add(&r.req, "E", "a\r\nb\x7f");
	req_header_add(&r.req, "Cache-Control", "private");
	req_header_add_uuid(&r.req, "F", &u);

	ck_assert_str_eq(r.priv.extra.ptr,
			 "A: x\r\nB: xy-7\r\nC: 5%\r\nD: -3/ 1.50\r\n"
			 "E: a  b \r\nCache-Control: private\r\n"
			 "F: b0000000-0000-4000-8000-0000000000ff\r\n");
	ck_assert(r.priv.has_cache_control && !r.priv.has_content_type);
}
END_TEST

START_TEST(errors_have_one_form)
{
	http_error_body(&out, DOC_JSON, 429, "rate_limited",
			TL_STR("say \"please\""), (struct tl_str){ NULL, 0 });
	ck_assert_str_eq(out.ptr,
			 "{\"error\":{\"code\":\"rate_limited\",\"message\":"
			 "\"say \\\"please\\\"\",\"status\":429}}");

	tl_buf_reset(&out);
	http_error_body(&out, DOC_JSON, 500, "internal_error", TL_STR("m"),
			TL_STR("id-1"));
	ck_assert_str_eq(out.ptr, "{\"error\":{\"code\":\"internal_error\","
				  "\"message\":\"m\",\"status\":500,"
				  "\"request_id\":\"id-1\"}}");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_reply");
	TCase *tc = tcase_create("reply");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, limit_lines_are_exact);
	tcase_add_test(tc, no_limit_lines_without_limits);
	tcase_add_test(tc, common_lines_follow_the_clock);
	tcase_add_test(tc, handlers_lines_are_formatted);
	tcase_add_test(tc, errors_have_one_form);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
