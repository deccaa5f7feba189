/*
 * The rows that define tasks and events: what breaks a rule is refused by
 * name, and what SQL gets of them is complete.
 */
#include <check.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/bus_internal.h"
#include "segment.h"

static enum tl_status nothing(struct task *t, struct tl_err *err)
{
	(void)t;
	(void)err;
	return TL_OK;
}

#define ROW(name_, ...)                                                        \
	{                                                                      \
		.name = (name_), .queue = "q", .timeout_ms = 1000,             \
		.run = nothing, __VA_ARGS__                                    \
	}
static const struct event_def born[] = { { .name = "born" },
					 { .name = "died" },
					 { .name = NULL } };
static const struct event_def twice[] = { { .name = "born" },
					  { .name = NULL } };
static const struct task_def first[] = {
	ROW("one", .retry_limit = 3, .retry_delay_ms = 50, .event = "born"),
	ROW("two", .retry_backoff = true, .event = "died"),
	{ .name = NULL },
};
static const struct task_def second[] = {
	ROW("tallyd.selftest.x", .event = "born"),
	ROW("three", .event = "born"),
	{ .name = NULL },
};
static struct tl_err err;
static struct tl_arena arena;

static enum tl_status open_with(const struct task_def *more,
				const struct event_def *more_events,
				bool selftest)
{
	static const struct task_def *tasks[4];
	static const struct event_def *events[3];

	tasks[0] = first;
	tasks[1] = second;
	tasks[2] = more;
	events[0] = born;
	events[1] = more_events;
	return bus_open(&(struct bus_tables){ tasks, events }, NULL, -1,
			selftest, &err);
}

static void setup(void)
{
	tl_arena_init(&arena);
}

static void teardown(void)
{
	tl_arena_deinit(&arena);
}

START_TEST(rows_are_found_by_name)
{
	ck_assert_int_eq(open_with(NULL, NULL, false), TL_OK);

	ck_assert_ptr_eq(bus_task(TL_STR("one")), &first[0]);
	ck_assert_ptr_eq(bus_task(TL_STR("three")), &second[1]);
	ck_assert_ptr_null(bus_task(TL_STR("on")));
	ck_assert_ptr_null(bus_task(TL_STR("")));
	ck_assert_ptr_eq(bus_event(TL_STR("died")), &born[1]);
	ck_assert_ptr_null(bus_event(TL_STR("one")));
}
END_TEST

START_TEST(rows_of_the_selftest_count_only_when_asked_for)
{
	ck_assert_int_eq(open_with(NULL, NULL, false), TL_OK);
	ck_assert_ptr_null(bus_task(TL_STR("tallyd.selftest.x")));
	ck_assert_ptr_eq(bus_task_at(2), &second[1]);
	ck_assert_ptr_null(bus_task_at(3));

	ck_assert_int_eq(open_with(NULL, NULL, true), TL_OK);
	ck_assert_ptr_eq(bus_task(TL_STR("tallyd.selftest.x")), &second[0]);
	ck_assert_ptr_eq(bus_task_at(3), &second[1]);
	ck_assert_ptr_null(bus_task_at(4));
}
END_TEST

static const struct {
	struct task_def rows[2];
	const char *says;
} broken[] = {
	{ { ROW("two") }, "two tasks are named 'two'" },
	{ { ROW("new", .event = "lost") },
	  "task 'new' is for event 'lost', which nobody defines" },
	{ { { .name = "new", .queue = "q", .timeout_ms = 1 } },
	  "task 'new' has no handler, queue or timeout" },
	{ { { .name = "new", .run = nothing, .timeout_ms = 1 } },
	  "task 'new' has no handler, queue or timeout" },
	{ { { .name = "new", .run = nothing, .queue = "q" } },
	  "task 'new' has no handler, queue or timeout" },
};

START_TEST(row_that_breaks_a_rule_is_named)
{
	ck_assert_int_eq(open_with(broken[_i].rows, NULL, false), TL_BROKEN);

	ck_assert_str_eq(err.text, broken[_i].says);
}
END_TEST

START_TEST(two_events_of_one_name_are_refused)
{
	ck_assert_int_eq(open_with(NULL, twice, false), TL_BROKEN);

	ck_assert_str_eq(err.text, "two events are named 'born'");
}
END_TEST

START_TEST(sql_gets_each_row_whole)
{
	struct bus_policies p;

	ck_assert_int_eq(open_with(NULL, NULL, false), TL_OK);

	bus_policies(&arena, NULL, &p);

	ck_assert_uint_eq(p.n, 3);
	ck_assert(tl_str_eq(p.names[0], TL_STR("one")));
	ck_assert(tl_str_eq(p.queues[0], TL_STR("q")));
	ck_assert(tl_str_eq(p.events[0], TL_STR("born")));
	ck_assert_int_eq(p.limits[0], 3);
	ck_assert_int_eq(p.delays_ms[0], 50);
	ck_assert_int_eq(p.timeouts_ms[0], 1000);
	ck_assert(!p.backoffs[0]);
	ck_assert(p.backoffs[1]);
}
END_TEST

START_TEST(event_has_the_tasks_that_are_for_it)
{
	struct bus_policies p;

	ck_assert_int_eq(open_with(NULL, NULL, false), TL_OK);

	bus_policies(&arena, "born", &p);
	ck_assert_uint_eq(p.n, 2);
	ck_assert(tl_str_eq(p.names[1], TL_STR("three")));

	bus_policies(&arena, "nobody", &p);
	ck_assert_uint_eq(p.n, 0);
}
END_TEST

START_TEST(wake_is_seen_in_the_segment_and_by_the_eventfd)
{
	const struct task_def *none = NULL;
	const struct bus_tables t = { &none, NULL };
	struct shm *shm = segment_open(64, 1000);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t n = 0;

	ck_assert_int_eq(bus_open(&t, shm, fd, false, &err), TL_OK);

	bus_wake();
	bus_wake();

	ck_assert_uint_eq(atomic_load(&shm->head->task_sends), 2);
	ck_assert_int_eq(read(fd, &n, sizeof(n)), sizeof(n));
	ck_assert_uint_eq(n, 2);
	close(fd);
	segment_close(&shm);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus_tables");
	TCase *tc = tcase_create("tables");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rows_are_found_by_name);
	tcase_add_test(tc, rows_of_the_selftest_count_only_when_asked_for);
	tcase_add_loop_test(tc, row_that_breaks_a_rule_is_named, 0,
			    sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(tc, two_events_of_one_name_are_refused);
	tcase_add_test(tc, sql_gets_each_row_whole);
	tcase_add_test(tc, event_has_the_tasks_that_are_for_it);
	tcase_add_test(tc, wake_is_seen_in_the_segment_and_by_the_eventfd);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
