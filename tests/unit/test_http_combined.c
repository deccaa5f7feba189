/* The combined format: no client writes a line or a field of its own. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_internal.h"

static const struct {
	const char *in, *out;
} texts[] = {
	{ "plain ~!", "plain ~!" },
	{ "a\"b", "a\\\"b" },
	{ "a\\b", "a\\\\b" },
	{ "\b\n\r\t\v", "\\b\\n\\r\\t\\v" },
	{ "\x01\x1b[31m\x7f", "\\x01\\x1b[31m\\x7f" },
	{ "\xc3\xa9\xff", "\\xc3\\xa9\\xff" },
	{ "", "" },
};
START_TEST(escapes_are_apaches)
{
	struct tl_buf b;

	tl_buf_init(&b);
	http_combined_escape(tl_str_c(texts[_i].in), &b);
	ck_assert_uint_eq(b.len, strlen(texts[_i].out));
	ck_assert_mem_eq(b.ptr != NULL ? b.ptr : "", texts[_i].out, b.len);
	tl_buf_deinit(&b);
}
END_TEST

START_TEST(nul_is_escaped)
{
	struct tl_buf b;

	tl_buf_init(&b);
	http_combined_escape((struct tl_str){ "a\0b", 3 }, &b);
	ck_assert_str_eq(b.ptr, "a\\x00b");
	tl_buf_deinit(&b);
}
END_TEST

static const char *line_of(const struct http_log_line *l, struct tl_buf *b)
{
	static struct http h; /* no segment: wall is mono and this */

	h.wall_offset_us = 1792000000000000;
	tl_buf_reset(b);
	http_combined_put(&h, l, b);
	return b->ptr;
}

START_TEST(a_line_has_nine_fields)
{
	struct http_log_line l = { .method = HTTP_POST,
				   .status = 200,
				   .end_mono_ns = 5000000000,
				   .target = TL_STR("/a b"),
				   .minor = 1,
				   .bytes = 17,
				   .referer = TL_STR("http://x/?key=k#y"),
				   .agent = TL_STR("curl/8 \"q\"") };
	struct tl_uuid user = { { 0xb0 } };
	struct tl_buf b;

	tl_buf_init(&b);
	ck_assert(tally_addr_parse(TL_STR("192.0.2.7"), &l.client));
	l.user_id = &user;
	ck_assert_str_eq(line_of(&l, &b),
			 "192.0.2.7 - b0000000-0000-0000-0000-000000000000 "
			 "[14/Oct/2026:17:46:45 +0000] \"POST /a b HTTP/1.1\" "
			 "200 17 \"http://x/\" \"curl/8 \\\"q\\\"\"\n");
	l = (struct http_log_line){ .method = HTTP_OTHER, .client = l.client };
	ck_assert_str_eq(line_of(&l, &b),
			 "192.0.2.7 - - [14/Oct/2026:17:46:40 +0000] "
			 "\"OTHER - HTTP/1.0\" 0 - \"-\" \"-\"\n");
	tl_buf_deinit(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http/combined");
	TCase *tc = tcase_create("combined");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, escapes_are_apaches, 0,
			    sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(tc, nul_is_escaped);
	tcase_add_test(tc, a_line_has_nine_fields);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
