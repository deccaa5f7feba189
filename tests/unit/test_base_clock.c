/* Dates and RFC 3339. */
#include <check.h>
#include <stdlib.h>

#include "base/clock.h"

static const struct {
	const char *text;
	int64_t wall_us;
} good[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "2026-03-01T12:34:56.789012Z", 1772368496789012 },
	{ "2026-03-01t12:34:56.789012z", 1772368496789012 },
	{ "2026-03-01 12:34:56.789012999Z", 1772368496789012 },
	{ "2026-03-01T14:04:56.789012+01:30", 1772368496789012 },
	{ "2026-02-28T23:34:56.789012-13:00", 1772368496789012 },
	{ "2024-02-29T00:00:00Z", 1709164800000000 },
	{ "2000-02-29T23:59:59.5Z", 951868799500000 },
	{ "1969-12-31T23:59:59.999999Z", -1 },
	{ "1900-03-01T00:00:00-00:00", -2203891200000000 },
	{ "0000-01-01T00:00:00Z", -62167219200000000 },
	{ "9999-12-31T23:59:59.999999Z", 253402300799999999 },
	{ "2016-12-31T23:59:60Z", 1483228800000000 },
	{ "2017-01-01T00:59:60+01:00", 1483228800000000 },
};

START_TEST(moments_are_read)
{
	int64_t us = 42;

	ck_assert_msg(tl_rfc3339_parse(tl_str_c(good[_i].text), &us), "%s",
		      good[_i].text);
	ck_assert_int_eq(us, good[_i].wall_us);
}
END_TEST

START_TEST(moments_survive_a_round_trip)
{
	char text[TL_RFC3339_TEXT];
	int64_t us;

	ck_assert_uint_eq(tl_rfc3339_format(good[_i].wall_us, text),
			  strlen(text));
	ck_assert(tl_rfc3339_parse(tl_str_c(text), &us));
	ck_assert_int_eq(us, good[_i].wall_us);
}
END_TEST

static const char *const bad[] = {
	"",
	"2026-03-01",
	"2026-03-01T12:34:56",
	"2026-03-01T12:34Z",
	"2026-03-01T12:34:56.Z",
	"2026-03-01T12:34:56,5Z",
	"2026-03-01T24:00:00Z",
	"2026-03-01T23:60:00Z",
	"2026-03-01T23:59:61Z",
	"2026-03-01T12:34:60Z",
	"2023-02-29T00:00:00Z",
	"1900-02-29T00:00:00Z",
	"2026-04-31T00:00:00Z",
	"2026-13-01T00:00:00Z",
	"2026-00-01T00:00:00Z",
	"2026-01-00T00:00:00Z",
	"2026-3-01T00:00:00Z",
	"+2026-03-01T00:00:00Z",
	"2026-03-01T12:34:56+1:00",
	"2026-03-01T12:34:56+0100",
	"2026-03-01T12:34:56+24:00",
	"2026-03-01T12:34:56Zx",
	" 2026-03-01T12:34:56Z",
};

START_TEST(other_texts_are_refused)
{
	int64_t us = 42;

	ck_assert_msg(!tl_rfc3339_parse(tl_str_c(bad[_i]), &us), "%s", bad[_i]);
	ck_assert_int_eq(us, 42);
}
END_TEST

START_TEST(format_drops_an_empty_fraction_and_stops_at_the_ends)
{
	char text[TL_RFC3339_TEXT];

	tl_rfc3339_format(1772368496000000, text);
	ck_assert_str_eq(text, "2026-03-01T12:34:56Z");
	tl_rfc3339_format(1772368496000001, text);
	ck_assert_str_eq(text, "2026-03-01T12:34:56.000001Z");
	tl_rfc3339_format(INT64_MAX, text);
	ck_assert_str_eq(text, "9999-12-31T23:59:59.999999Z");
	tl_rfc3339_format(INT64_MIN, text);
	ck_assert_str_eq(text, "0000-01-01T00:00:00Z");
}
END_TEST

START_TEST(every_day_of_ten_thousand_years_round_trips)
{
	int32_t back = 0, last = 2932896;
	char text[11];

	for (int32_t day = -719528; day <= last; day++) {
		tl_day_format(day, text);
		if (!tl_day_parse(tl_str_c(text), &back) || back != day)
			ck_abort_msg("day %d became %s became %d", day, text,
				     back);
	}
	ck_assert_str_eq(text, "9999-12-31");
	tl_day_format(INT32_MAX, text);
	ck_assert_str_eq(text, "9999-12-31");
	tl_day_format(INT32_MIN, text);
	ck_assert_str_eq(text, "0000-01-01");
	ck_assert(!tl_day_parse(TL_STR("2026-02-29"), &back));
	ck_assert(!tl_day_parse(TL_STR("2026-02-280"), &back));
	ck_assert(!tl_day_parse(TL_STR("2026-02"), &back));
}
END_TEST

START_TEST(clocks_move_forward)
{
	uint64_t ns = tl_mono_ns();

	ck_assert_uint_ge(tl_mono_ns(), ns);
	ck_assert_uint_ge(tl_mono_ms(), ns / TL_NS_PER_MS);
	ck_assert_int_gt(tl_wall_us(), 1700000000000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/clock");
	TCase *tc = tcase_create("clock");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, moments_are_read, 0,
			    sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, moments_survive_a_round_trip, 0,
			    sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, other_texts_are_refused, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc,
		       format_drops_an_empty_fraction_and_stops_at_the_ends);
	tcase_add_test(tc, every_day_of_ten_thousand_years_round_trips);
	tcase_add_test(tc, clocks_move_forward);
	tcase_set_timeout(tc, 60);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
