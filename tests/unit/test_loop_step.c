/*
 * test_loop_step.c - a step comes when it said, or earlier when it is told,
 * never twice at a time, and not any more once it is stopped.
 */
#include <check.h>
#include <event2/event.h>

#include "base/clock.h"
#include "loop/co.h"
#include "loop/co_step.h"

#define LIMIT_MS 60000

static struct event_base *base;
static struct co_step step;
static struct co_wait hold;
static struct {
	uint64_t next[4]; /* what the runs say; the last one: never */
	bool holds;       /* each waits until it is let go */
	enum tl_status held;
	int runs, inside, most;
} it;

static uint64_t run(void *arg)
{
	struct tl_err err;
	uint64_t next = CO_STEP_NEVER;

	ck_assert_ptr_eq(arg, &it);
	if (it.runs < 4)
		next = it.next[it.runs];
	it.runs++;
	if (++it.inside > it.most)
		it.most = it.inside;
	if (it.holds) {
		co_wait_init(&hold);
		it.held = co_wait(&hold, &err);
	}
	it.inside--;
	return next;
}

static void setup(void)
{
	struct tl_err err;

	it.runs = it.inside = it.most = 0;
	it.holds = false;
	for (int i = 0; i < 4; i++)
		it.next[i] = CO_STEP_NEVER;
	base = event_base_new();
	ck_assert_int_eq(co_init(base, 4, &err), TL_OK);
	co_step_init(&step, base, run, &it, LIMIT_MS);
}

static void teardown(void)
{
	co_step_deinit(&step);
	co_deinit();
	event_base_free(base);
}

/* All that is due now; nobody waits for time here. */
static void turns(int n)
{
	while (n-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

START_TEST(nothing_runs_before_it_is_asked_for)
{
	ck_assert_int_eq(event_base_dispatch(base), 1); /* no event at all */

	ck_assert_int_eq(it.runs, 0);
}
END_TEST

START_TEST(step_comes_again_when_it_said)
{
	it.next[0] = it.next[1] = CO_STEP_NOW;
	it.next[2] = tl_mono_ms() + 5;
	co_step_at(&step, CO_STEP_NOW);

	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 4);
	ck_assert_uint_ge(tl_mono_ms(), it.next[2]);
}
END_TEST

START_TEST(earlier_time_wins_and_a_later_one_does_not)
{
	it.next[0] = tl_mono_ms() + LIMIT_MS;
	co_step_at(&step, CO_STEP_NOW);
	turns(3);
	ck_assert_int_eq(it.runs, 1);

	co_step_at(&step, tl_mono_ms() + 2 * LIMIT_MS);
	ck_assert_uint_eq(step.due_mono_ms, it.next[0]);
	co_step_at(&step, CO_STEP_NOW);
	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 2);
}
END_TEST

START_TEST(step_asked_for_while_it_runs_runs_once_more_behind_it)
{
	it.holds = true;
	co_step_at(&step, CO_STEP_NOW);
	turns(2);
	ck_assert_int_eq(it.inside, 1);

	co_step_at(&step, CO_STEP_NOW);
	co_step_at(&step, CO_STEP_NOW);
	turns(3);
	ck_assert_int_eq(it.runs, 1);
	co_wake(&hold);
	turns(4);
	ck_assert_int_eq(it.runs, 2);
	co_wake(&hold);
	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 2);
	ck_assert_int_eq(it.most, 1);
}
END_TEST

START_TEST(each_run_has_a_deadline_of_its_own)
{
	it.holds = true;
	it.next[0] = CO_STEP_NOW;
	step.limit_ms = 1;
	co_step_at(&step, CO_STEP_NOW);

	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 2);
	ck_assert_int_eq(it.held, TL_DEADLINE);
}
END_TEST

START_TEST(stopped_step_ends_its_run_and_comes_no_more)
{
	it.holds = true;
	it.next[0] = CO_STEP_NOW;
	co_step_at(&step, CO_STEP_NOW);
	turns(2);

	co_step_stop(&step);
	co_wake(&hold);
	event_base_dispatch(base);
	co_step_at(&step, CO_STEP_NOW);
	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 1);
	ck_assert_int_eq(it.held, TL_OK);
}
END_TEST

static void nap(void *arg)
{
	struct co_wait w;
	struct tl_err err;

	(void)arg;
	co_wait_init(&w);
	ck_assert_int_eq(co_wait(&w, &err), TL_CANCELED);
}

START_TEST(without_room_for_a_coroutine_it_tries_again)
{
	struct tl_err err;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(co_spawn(nap, NULL, CO_NO_DEADLINE, &err),
				 TL_OK);
	co_step_at(&step, CO_STEP_NOW);
	turns(3);
	ck_assert_int_eq(it.runs, 0);

	co_cancel_all("room is wanted");
	event_base_dispatch(base);

	ck_assert_int_eq(it.runs, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop_step");
	TCase *tc = tcase_create("step");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_runs_before_it_is_asked_for);
	tcase_add_test(tc, step_comes_again_when_it_said);
	tcase_add_test(tc, earlier_time_wins_and_a_later_one_does_not);
	tcase_add_test(tc,
		       step_asked_for_while_it_runs_runs_once_more_behind_it);
	tcase_add_test(tc, each_run_has_a_deadline_of_its_own);
	tcase_add_test(tc, stopped_step_ends_its_run_and_comes_no_more);
	tcase_add_test(tc, without_room_for_a_coroutine_it_tries_again);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
