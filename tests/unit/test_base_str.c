/* Strings, numbers, hex, UTF-8, the growing buffer, UUIDs. */
#include <check.h>
#include <stdlib.h>

#include "base/str.h"

START_TEST(case_is_folded_for_ascii_only)
{
	ck_assert(tl_str_ieq(TL_STR("BeArEr"), TL_STR("bEaReR")));
	ck_assert(!tl_str_ieq(TL_STR("a"), TL_STR("ab")));
	ck_assert(!tl_str_ieq(TL_STR("["), TL_STR("{")));
	ck_assert(!tl_str_ieq(TL_STR("\xc3\x84"), TL_STR("\xc3\xa4")));
	ck_assert(tl_str_eq(tl_str_c(NULL), TL_STR("")));
}
END_TEST

START_TEST(split_yields_each_piece_once)
{
	struct tl_str rest = TL_STR("a,,bc,"), piece;
	const char *want[] = { "a", "", "bc" };

	for (size_t i = 0; i < 3; i++) {
		ck_assert(tl_str_split(&rest, ',', &piece));
		ck_assert(tl_str_eq(piece, tl_str_c(want[i])));
	}
	ck_assert(!tl_str_split(&rest, ',', &piece));
	ck_assert(tl_str_eq(tl_str_trim(TL_STR(" \t x y\r\n")), TL_STR("x y")));
	ck_assert_uint_eq(tl_str_trim(TL_STR(" \t")).len, 0);
}
END_TEST

START_TEST(numbers_are_whole_and_in_range)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t v;
	} u[] = {
		{ "0", true, 0 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "+1", false, 0 },
		{ "-1", false, 0 },
		{ "0x1", false, 0 },
		{ "1.0", false, 0 },
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(u) / sizeof(u[0]); i++) {
		v = 7;
		ck_assert_msg(tl_parse_u64(tl_str_c(u[i].text), 0, UINT64_MAX,
					   &v) == u[i].ok,
			      "'%s'", u[i].text);
		ck_assert_uint_eq(v, u[i].ok ? u[i].v : 7);
	}
	ck_assert(!tl_parse_u64(TL_STR("9"), 10, 20, &v));
	ck_assert(tl_parse_u64(TL_STR("10"), 10, 20, &v));
	ck_assert(!tl_parse_u64(TL_STR("21"), 10, 20, &v));
}
END_TEST

START_TEST(signed_numbers_reach_both_ends)
{
	int64_t v = 0;

	ck_assert(tl_parse_i64(TL_STR("-9223372036854775808"), INT64_MIN,
			       INT64_MAX, &v));
	ck_assert_int_eq(v, INT64_MIN);
	ck_assert(tl_parse_i64(TL_STR("9223372036854775807"), INT64_MIN,
			       INT64_MAX, &v));
	ck_assert_int_eq(v, INT64_MAX);
	ck_assert(!tl_parse_i64(TL_STR("9223372036854775808"), INT64_MIN,
				INT64_MAX, &v));
	ck_assert(!tl_parse_i64(TL_STR("-9223372036854775809"), INT64_MIN,
				INT64_MAX, &v));
	ck_assert(tl_parse_i64(TL_STR("-0"), 0, 0, &v));
	ck_assert_int_eq(v, 0);
	ck_assert(!tl_parse_i64(TL_STR("-"), -9, 9, &v));
	ck_assert(!tl_parse_i64(TL_STR("--1"), -9, 9, &v));
	ck_assert(!tl_parse_i64(TL_STR("-1"), 0, 9, &v));
}
END_TEST

START_TEST(decimal_survives_a_round_trip)
{
	uint64_t v = 1, back;
	char text[21];

	for (int i = 0; i < 64; i++, v = v * 2 + (uint64_t)(i % 3)) {
		size_t n = tl_fmt_u64(text, v);

		text[n] = '\0';
		ck_assert(tl_parse_u64(tl_str_c(text), v, v, &back));
	}
	ck_assert_uint_eq(tl_fmt_u64(text, 0), 1);
	ck_assert_uint_eq(tl_fmt_u64(text, UINT64_MAX), 20);
	ck_assert_mem_eq(text, "18446744073709551615", 20);
}
END_TEST

START_TEST(hex_reads_both_cases_and_nothing_else)
{
	uint8_t b[3] = { 0 };
	char text[7];

	tl_hex("\x00\xab\xff", 3, text);
	ck_assert_str_eq(text, "00abff");
	ck_assert(tl_unhex(TL_STR("00aBFf"), b, 3));
	ck_assert_mem_eq(b, "\x00\xab\xff", 3);
	ck_assert(!tl_unhex(TL_STR("11111g"), b, 3));
	ck_assert(!tl_unhex(TL_STR("1111"), b, 3));
	ck_assert_mem_eq(b, "\x00\xab\xff", 3); /* a failure writes nothing */
}
END_TEST

START_TEST(utf8_is_strict)
{
	static const struct {
		const char *text;
		int points; /* -1: refused */
	} t[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "\xc3\xa4", 1 },
		{ "\xe2\x82\xac", 1 },
		{ "\xf0\x9f\x98\x80", 1 },
		{ "\xf4\x8f\xbf\xbf", 1 },
		{ "\xc0\x80", -1 },         /* overlong NUL */
		{ "\xe0\x80\x80", -1 },     /* overlong */
		{ "\xf0\x80\x80\x80", -1 }, /* overlong */
		{ "\xed\xa0\x80", -1 },     /* surrogate */
		{ "\xf4\x90\x80\x80", -1 }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", -1 },
		{ "\x80", -1 },
		{ "\xe2\x82", -1 }, /* cut */
		{ "\xe2\x82x", -1 },
		{ "a\xff", -1 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t points = 99;
		bool ok = tl_utf8_valid(tl_str_c(t[i].text), &points);

		ck_assert_msg(ok == (t[i].points >= 0), "row %zu", i);
		if (ok)
			ck_assert_int_eq((int)points, t[i].points);
	}
	ck_assert(tl_utf8_valid(TL_STR("x"), NULL));
	ck_assert(tl_has_control(TL_STR("a\tb")));
	ck_assert(tl_has_control(TL_STR("a\x7f")));
	ck_assert(tl_has_control(TL_STR("\xc2\x85")));
	ck_assert(!tl_has_control(TL_STR("\xc2\xa0 \xc3\x85")));
}
END_TEST

START_TEST(const_time_compare_sees_every_byte)
{
	for (size_t i = 0; i < 32; i++) {
		uint8_t a[32] = { 0 }, b[32] = { 0 };

		ck_assert(tl_equal_const_time(a, b, 32));
		b[i] = 0x80;
		ck_assert(!tl_equal_const_time(a, b, 32));
	}
}
END_TEST

START_TEST(buffer_grows_and_stays_terminated)
{
	struct tl_buf b;

	tl_buf_init(&b);
	ck_assert_str_eq(b.ptr, "");
	for (int i = 0; i < 1000; i++) {
		tl_buf_addc(&b, 'x');
		ck_assert_uint_eq(strlen(b.ptr), b.len);
	}
	tl_buf_addf(&b, "%01000d", 7);
	ck_assert_uint_eq(b.len, 2000);
	ck_assert_str_eq(b.ptr + 1998, "07");
	tl_buf_reset(&b);
	ck_assert_str_eq(b.ptr, "");
	tl_buf_adds(&b, "n=");
	tl_buf_addu(&b, 1234567);
	tl_buf_addf(&b, "/%d", -3);
	ck_assert(tl_str_eq(tl_buf_str(&b), TL_STR("n=1234567/-3")));
	tl_buf_deinit(&b);
	ck_assert_str_eq(b.ptr, "");
}
END_TEST

START_TEST(json_text_is_escaped)
{
	static const struct {
		struct tl_str in;
		const char *out;
	} t[] = {
		{ { "", 0 }, "\"\"" },
		{ { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"" },
		{ { "\n\r\t\b\0\x1f\x7f", 7 },
		  "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\"" },
		{ { "\xc3\xa4\xe2\x82\xac", 5 }, "\"\xc3\xa4\xe2\x82\xac\"" },
		{ { "x\xff\xc3y", 4 }, "\"x\\ufffd\\ufffdy\"" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tl_buf b;

		tl_buf_init(&b);
		tl_buf_add_json(&b, t[i].in);
		ck_assert_str_eq(b.ptr, t[i].out);
		tl_buf_deinit(&b);
	}
}
END_TEST

START_TEST(uuid_has_one_form)
{
	static const char *const bad[] = {
		"",
		"c0000000-0000-0000-0000-00000000000",
		"c0000000-0000-0000-0000-0000000000011",
		"c0000000+0000-0000-0000-000000000001",
		"c00000000000-0000-0000-0000-00000001",
		"{0000000-0000-0000-0000-00000000000}",
		"g0000000-0000-0000-0000-000000000001",
	};
	struct tl_uuid u, r;
	char text[TL_UUID_TEXT];

	ck_assert(tl_uuid_parse(TL_STR("C0FFEE00-0123-4567-89ab-cdef01234567"),
				&u));
	tl_uuid_format(&u, text);
	ck_assert_str_eq(text, "c0ffee00-0123-4567-89ab-cdef01234567");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!tl_uuid_parse(tl_str_c(bad[i]), &u), "'%s'",
			      bad[i]);
	u = tl_uuid_random();
	r = tl_uuid_random();
	ck_assert(!tl_uuid_eq(&u, &r));
	tl_uuid_format(&u, text);
	ck_assert_int_eq(text[14], '4');
	ck_assert_ptr_nonnull(strchr("89ab", text[19]));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/str");
	TCase *tc = tcase_create("str");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, case_is_folded_for_ascii_only);
	tcase_add_test(tc, split_yields_each_piece_once);
	tcase_add_test(tc, numbers_are_whole_and_in_range);
	tcase_add_test(tc, signed_numbers_reach_both_ends);
	tcase_add_test(tc, decimal_survives_a_round_trip);
	tcase_add_test(tc, hex_reads_both_cases_and_nothing_else);
	tcase_add_test(tc, utf8_is_strict);
	tcase_add_test(tc, const_time_compare_sees_every_byte);
	tcase_add_test(tc, buffer_grows_and_stays_terminated);
	tcase_add_test(tc, json_text_is_escaped);
	tcase_add_test(tc, uuid_has_one_form);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
