/*
 * What becomes of a task whose attempt failed: the retry policy, and who had
 * a hand in its end.
 */
#include <check.h>
#include <string.h>

#include "bus/bus_internal.h"

#define DUE_MS 1000000 /* the attempt's deadline */

static const struct task_def def = { .name = "test", .queue = "test" };
static const struct task_def capped = { .name = "capped",
					.queue = "test",
					.retry_max_ms = 6000 };
static struct job job;
static struct ending e;

static void setup(void)
{
	job = (struct job){ .t = { .def = &def },
			    .retry_limit = 3,
			    .retry_delay_ms = 1000,
			    .deadline_mono_ms = DUE_MS };
	e = (struct ending){ .action = ACT_DONE };
}

static void judge(enum tl_status st, uint32_t dice)
{
	judge_failure(&job, st, DUE_MS - 1, dice, &e);
}

/* ---- delays ---- */

static const struct {
	bool backoff, capped;
	int32_t failures;
	uint32_t dice;
	uint64_t retry_after_ms;
	int64_t delay_ms;
} delays[] = {
	{ false, false, 0, UINT32_MAX, 0, 1000 },
	{ false, false, 2, 7, 0, 1000 },
	/* twice as much each time, and up to that much again at random */
	{ true, false, 0, 0, 0, 1000 },
	{ true, false, 0, UINT32_MAX, 0, 2000 },
	{ true, false, 1, 0, 0, 2000 },
	{ true, false, 2, 0, 0, 4000 },
	{ true, false, 2, UINT32_MAX / 2, 0, 5999 },
	{ true, false, 2, UINT32_MAX, 0, 8000 },
	/* no further than fifteen times */
	{ true, false, 15, 0, 0, 32768000 },
	{ true, false, 16, 0, 0, 32768000 },
	{ true, false, 900, UINT32_MAX, 0, 65536000 },
	{ true, true, 2, UINT32_MAX, 0, 6000 },
	{ true, true, 900, 0, 0, 6000 },
	{ false, true, 2, 0, 0, 1000 },
	/* the handler knows better */
	{ true, true, 2, UINT32_MAX, 77, 77 },
	{ false, false, 0, 0, 90000000, 90000000 },
};

START_TEST(delay_of_a_retry_is_that_of_the_policy)
{
	job.t.def = delays[_i].capped ? &capped : &def;
	job.retry_limit = 1000;
	job.retry_backoff = delays[_i].backoff;
	job.t.failures = delays[_i].failures;
	job.t.retry_after_ms = delays[_i].retry_after_ms;

	judge(TL_UNAVAILABLE, delays[_i].dice);

	ck_assert_int_eq(e.action, ACT_AGAIN);
	ck_assert_int_eq(e.delay_ms, delays[_i].delay_ms);
}
END_TEST

/* The longest delay a task can have must not wrap. */
START_TEST(delay_of_the_largest_policy_stays_positive)
{
	job.retry_limit = 1000;
	job.retry_delay_ms = INT32_MAX;
	job.retry_backoff = true;
	job.t.failures = 900;

	judge(TL_UNAVAILABLE, UINT32_MAX);

	ck_assert_int_eq(e.delay_ms, 2 * ((int64_t)INT32_MAX << 15));
}
END_TEST

/* ---- ends ---- */

START_TEST(task_is_tried_once_more_than_its_retry_limit)
{
	for (job.t.failures = 0; job.t.failures < 3; job.t.failures++) {
		judge(TL_UNAVAILABLE, 0);
		ck_assert_int_eq(e.action, ACT_AGAIN);
		ck_assert_str_eq(e.outcome, "failed");
	}
	judge(TL_UNAVAILABLE, 0);

	ck_assert_int_eq(e.action, ACT_DEAD);
	ck_assert_str_eq(e.outcome, "failed");
}
END_TEST

START_TEST(what_no_attempt_can_help_is_not_tried_again)
{
	judge(TL_INVALID, 0);
	ck_assert_int_eq(e.action, ACT_DEAD);

	job.t.hopeless = true;
	judge(TL_UNAVAILABLE, 0);
	ck_assert_int_eq(e.action, ACT_DEAD);
	ck_assert_str_eq(e.outcome, "failed");
}
END_TEST

START_TEST(only_its_own_deadline_makes_it_expired)
{
	judge_failure(&job, TL_DEADLINE, DUE_MS, 0, &e);
	ck_assert_str_eq(e.outcome, "expired");
	ck_assert_int_eq(e.action, ACT_AGAIN);

	/* of a call within it */
	judge_failure(&job, TL_DEADLINE, DUE_MS - 1, 0, &e);
	ck_assert_str_eq(e.outcome, "failed");

	judge_failure(&job, TL_UNAVAILABLE, DUE_MS, 0, &e);
	ck_assert_str_eq(e.outcome, "failed");
}
END_TEST

START_TEST(cancelled_task_is_not_tried_again)
{
	job.cancelled = job.dropped = true;

	judge(TL_CANCELED, 0);

	ck_assert_int_eq(e.action, ACT_DEAD);
	ck_assert_str_eq(e.outcome, "cancelled");
}
END_TEST

START_TEST(task_put_back_has_not_failed)
{
	job.t.failures = 3; /* one more would be its last */

	job.dropped = true;
	judge(TL_CANCELED, 0);
	ck_assert_int_eq(e.action, ACT_BACK);
	ck_assert_int_eq(e.delay_ms, 0);

	job.dropped = false;
	job.postpone_ms = 40; /* its tenant's own limits */
	judge(TL_BUSY, 0);
	ck_assert_int_eq(e.action, ACT_BACK);
	ck_assert_int_eq(e.delay_ms, 40);
}
END_TEST

/* It failed by itself just when the runner stopped: that counts. */
START_TEST(failure_of_a_dropped_task_is_one)
{
	job.dropped = true;

	judge(TL_UNAVAILABLE, 0);

	ck_assert_int_eq(e.action, ACT_AGAIN);
	ck_assert_int_eq(e.delay_ms, 1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus_judge");
	TCase *tc = tcase_create("judge");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, delay_of_a_retry_is_that_of_the_policy, 0,
			    sizeof(delays) / sizeof(delays[0]));
	tcase_add_test(tc, delay_of_the_largest_policy_stays_positive);
	tcase_add_test(tc, task_is_tried_once_more_than_its_retry_limit);
	tcase_add_test(tc, what_no_attempt_can_help_is_not_tried_again);
	tcase_add_test(tc, only_its_own_deadline_makes_it_expired);
	tcase_add_test(tc, cancelled_task_is_not_tried_again);
	tcase_add_test(tc, task_put_back_has_not_failed);
	tcase_add_test(tc, failure_of_a_dropped_task_is_one);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
