/* W3C Trace Context: what is one, and what only looks like it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "base/trace.h"

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static const struct {
	const char *text;
	bool good, sampled;
} parents[] = {
	{ "00-" ID "-" SPAN "-01", true, true },
	{ "00-" ID "-" SPAN "-00", true, false },
	{ "00-" ID "-" SPAN "-fe", true, false },
	{ "00-" ID "-" SPAN "-ff", true, true },
	/* later versions: as far as we know them */
	{ "cc-" ID "-" SPAN "-01", true, true },
	{ "cc-" ID "-" SPAN "-01-what-the-future-brings", true, true },
	{ "cc-" ID "-" SPAN "-01.what", false, false },
	{ "00-" ID "-" SPAN "-01-more", false, false },
	{ "00-" ID "-" SPAN "-01-", false, false },
	{ "00-" ID "-" SPAN "-1", false, false },
	{ "00-" ID "-" SPAN "-", false, false },
	{ "00-" ID "-" SPAN, false, false },
	{ "00-" ID "-" SPAN "-0g", false, false },
	{ "ff-" ID "-" SPAN "-01", false, false },
	{ "0-" ID "-" SPAN "-01", false, false },
	{ "00-00000000000000000000000000000000-" SPAN "-01", false, false },
	{ "00-" ID "-0000000000000000-01", false, false },
	{ "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false, false },
	{ "00_" ID "_" SPAN "_01", false, false },
	{ " 00-" ID "-" SPAN "-01", false, false },
	{ "00-" ID "-" SPAN "-01 ", false, false },
	{ "", false, false },
	{ "00", false, false },
};
START_TEST(traceparents)
{
	struct trace t = { .state = "untouched" };
	char text[TRACE_PARENT_TEXT];

	ck_assert_msg(trace_parse(tl_str_c(parents[_i].text), &t) ==
			      parents[_i].good,
		      "%s", parents[_i].text);
	if (!parents[_i].good) {
		ck_assert_str_eq(t.state, "untouched");
		return;
	}
	ck_assert_int_eq(t.sampled, parents[_i].sampled);
	ck_assert_str_eq(t.state, "");
	trace_format(&t, text);
	ck_assert_str_eq(text, t.sampled ? "00-" ID "-" SPAN "-01"
					 : "00-" ID "-" SPAN "-00");
}
END_TEST

static const struct {
	const char *first, *second, *all;
} states[] = {
	{ "a=1", NULL, "a=1" },
	{ " a=1 , b=x y ", NULL, "a=1 , b=x y" },
	{ "a=1", "b=2", "a=1,b=2" },
	{ "", "b=2", "b=2" },
	{ "a=1,,", NULL, "a=1,," },
	{ "0a@b-c_d*/=!'\"", NULL, "0a@b-c_d*/=!'\"" },
	{ "A=1", NULL, "" },
	{ "=1", NULL, "" },
	{ "a", NULL, "" },
	{ "a=", NULL, "" },
	{ "a=b=c", NULL, "" },
	{ "a=\x01", NULL, "" },
	{ "a=\xc3\xa9", NULL, "" },
	{ "a=1", "no", "" },
};
START_TEST(tracestates)
{
	struct trace t;

	trace_begin(&t);
	(void)trace_state_add(&t, tl_str_c(states[_i].first));
	(void)trace_state_add(&t, tl_str_c(states[_i].second));
	ck_assert_str_eq(t.state, states[_i].all);
}
END_TEST

START_TEST(tracestates_have_bounds)
{
	char many[200], longer[600];
	struct trace t;

	many[0] = '\0';
	for (int i = 0; i < 33; i++)
		strcat(many, "a=1,");
	trace_begin(&t);
	ck_assert(!trace_state_add(&t, tl_str_c(many)));
	many[32 * 4] = '\0';
	ck_assert(trace_state_add(&t, tl_str_c(many)));
	ck_assert(!trace_state_add(&t, TL_STR("b=2"))); /* 32 in all */
	ck_assert(!trace_state_add(&t, TL_STR("a=1\r\n,b=2")));
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "a=", 2);
	longer[2 + 257] = '\0';
	trace_begin(&t);
	ck_assert(!trace_state_add(&t, tl_str_c(longer)));
	longer[2 + 256] = '\0';
	ck_assert(trace_state_add(&t, tl_str_c(longer)));
	ck_assert(!trace_state_add(&t, tl_str_c(longer))); /* 512 in all */
	ck_assert_str_eq(t.state, "");
}
END_TEST

START_TEST(lots_are_drawn_by_the_id)
{
	struct trace t;
	int n = 0;

	memset(&t, 0, sizeof(t));
	ck_assert(!trace_chosen(&t, 999999));
	ck_assert(trace_chosen(&t, 1000000));
	memset(t.trace_id + 9, 0xff, 7);
	ck_assert(trace_chosen(&t, 1));
	ck_assert(!trace_chosen(&t, 0));
	for (int i = 0; i < 20000; i++) {
		trace_begin(&t);
		n += trace_chosen(&t, 250000);
	}
	ck_assert_int_gt(n, 4500);
	ck_assert_int_lt(n, 5500);
}
END_TEST

/* ---- spans ---- */

static uint32_t told;
static void on_add(uint32_t n)
{
	told = n;
}

static void add(const char *name)
{
	struct trace t = { .state = "" };
	struct span s = { .trace = &t,
			  .kind = SPAN_INTERNAL,
			  .name = tl_str_c(name) };

	span_add(&s);
}

START_TEST(a_span_is_one_of_otlp)
{
	struct trace t;
	struct span s = { .trace = &t,
			  .kind = SPAN_SERVER,
			  .name = TL_STR("GET \"x\""),
			  .start_us = 1792000000123456,
			  .end_us = 1792000000123999,
			  .failed = true };
	const uint8_t parent[8] = { 1, 2, 3, 4, 5, 6, 7, 0xab };
	struct tl_buf out;

	tl_buf_init(&out);
	spans_open(2, on_add);
	ck_assert(trace_parse(TL_STR("00-" ID "-" SPAN "-01"), &t));
	ck_assert(trace_state_add(&t, TL_STR("a=\"")));
	s.parent = parent;
	span_attr_str(&s, "url.path", TL_STR("/\xff\n"));
	span_attr_int(&s, "http.response.status_code", -5);
	span_add(&s);

	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(spans_peek(&out, 10), 1);
	ck_assert_str_eq(
		out.ptr,
		"{\"traceId\":\"" ID "\",\"spanId\":\"" SPAN "\","
		"\"parentSpanId\":\"01020304050607ab\","
		"\"traceState\":\"a=\\\"\",\"name\":\"GET \\\"x\\\"\","
		"\"kind\":2,\"startTimeUnixNano\":\"1792000000123456000\","
		"\"endTimeUnixNano\":\"1792000000123999000\","
		"\"attributes\":[{\"key\":\"url.path\",\"value\":"
		"{\"stringValue\":\"/\\ufffd\\n\"}},"
		"{\"key\":\"http.response.status_code\",\"value\":"
		"{\"intValue\":\"-5\"}}],\"status\":{\"code\":2}}");
	tl_buf_deinit(&out);
	spans_close();
}
END_TEST

START_TEST(the_queue_drops_what_finds_no_room)
{
	struct span_counts counts;
	struct tl_buf out;

	tl_buf_init(&out);
	ck_assert(!span_recording);
	spans_open(2, on_add);
	add("a");
	add("b");
	add("c");
	ck_assert_uint_eq(spans_waiting(), 2);
	ck_assert_uint_eq(spans_peek(&out, 1), 1);
	ck_assert_ptr_nonnull(strstr(out.ptr, "\"name\":\"a\""));
	spans_done(1, 0);
	add("d");
	tl_buf_reset(&out);
	ck_assert_uint_eq(spans_peek(&out, 9), 2);
	ck_assert_ptr_nonnull(strstr(out.ptr, "\"name\":\"b\""));
	ck_assert_ptr_nonnull(strstr(out.ptr, "},{"));
	ck_assert_ptr_nonnull(strstr(out.ptr, "\"name\":\"d\""));
	spans_done(2, 1);
	add("e");
	spans_close();

	counts = span_counts_take();
	ck_assert_uint_eq(counts.exported, 2);
	ck_assert_uint_eq(counts.dropped, 3); /* c, b or d, e */
	ck_assert_uint_eq(span_counts_take().dropped, 0);
	ck_assert(!span_recording);
	tl_buf_deinit(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/trace");
	TCase *tc = tcase_create("trace");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, traceparents, 0,
			    sizeof(parents) / sizeof(parents[0]));
	tcase_add_loop_test(tc, tracestates, 0,
			    sizeof(states) / sizeof(states[0]));
	tcase_add_test(tc, tracestates_have_bounds);
	tcase_add_test(tc, lots_are_drawn_by_the_id);
	tcase_add_test(tc, a_span_is_one_of_otlp);
	tcase_add_test(tc, the_queue_drops_what_finds_no_room);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
