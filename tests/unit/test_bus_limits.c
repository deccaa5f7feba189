/*
 * What two runners of a host may claim and begin under the limits of a queue
 * and of its tenants: never more than the limit together, and all of it comes
 * back.
 */
#include <check.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus_internal.h"
#include "pg/pg.h"
#include "segment.h"
#include "shm/places.h"
#include "store/q_tasks.h"

#define RUNNERS 2
#define JOBS    64

static struct event_base *base;
static struct shm *segment;
static struct shm views[RUNNERS]; /* of two processes in one */
static struct runner runners[RUNNERS];
static struct job jobs[JOBS];
static struct tl_arena arena;

static uint64_t no_claim(void *arg)
{
	(void)arg;
	return CO_STEP_NEVER;
}

static void setup(void)
{
	tl_arena_init(&arena);
	base = event_base_new();
	segment = segment_open(64, 1000);
	shm_remove(segment_instance());
	memset(jobs, 0, sizeof(jobs));
	memset(runners, 0, sizeof(runners));
	for (uint32_t i = 0; i < RUNNERS; i++) {
		views[i] = *segment;
		shm_slot_take(&views[i], 2 + i, "runner", i, 10 + i);
		runners[i].o.shm = &views[i];
		co_step_init(&runners[i].claim, base, no_claim, NULL, 1);
	}
}

static void teardown(void)
{
	for (uint32_t i = 0; i < RUNNERS; i++) {
		limits_deinit(&runners[i]);
		co_step_deinit(&runners[i].claim);
	}
	shm_close(&segment);
	event_base_free(base);
	tl_arena_deinit(&arena);
}

/* ---- helpers ---- */

static struct q_task_queues_row rule(void)
{
	return (struct q_task_queues_row){ .queue = TL_STR("q"),
					   .concurrency_null = true,
					   .rate_count_null = true,
					   .rate_window_ms = 60000,
					   .tenant_concurrency_null = true,
					   .tenant_rate_count_null = true,
					   .tenant_rate_window_ms = 60000 };
}

static void rules(const struct q_task_queues_row *row)
{
	for (uint32_t i = 0; i < RUNNERS; i++)
		limits_rules(&runners[i], row, 1);
}

/* What the claim of runner i would ask of the queue; -1: no limit known. */
static int32_t ask(uint32_t i, uint32_t max)
{
	struct q_task_claim_params p;

	limits_ask(&runners[i], max, &arena, &p);
	if (p.queues.n == 0)
		return -1;
	ck_assert_uint_eq(p.queues.n, 1);
	return ((const int32_t *)p.wants.items)[0];
}

static struct job *job(uint32_t i, uint32_t n, const char *tenant)
{
	jobs[n] = (struct job){ .r = &runners[i],
				.t = { .queue = TL_STR("q"),
				       .tenant = tl_str_c(tenant) } };
	return &jobs[n];
}

static bool admit(uint32_t i, uint32_t n, const char *tenant)
{
	uint64_t delay_ms = 0;
	bool good = limits_admit(&runners[i], job(i, n, tenant), &delay_ms);

	ck_assert(good || delay_ms > 0);
	return good;
}

/* Tasks of the queue that run, over both runners. */
static uint64_t running(void)
{
	return shm_place_sum(&views[0], runners[0].limits.queues[0]->tag);
}

/* ---- queues ---- */

START_TEST(queue_without_rules_is_not_asked_about)
{
	ck_assert_int_eq(ask(0, 10), -1);
	ck_assert(admit(0, 0, ""));
	limits_settle(&runners[0]);
	limits_leave(&jobs[0]);
}
END_TEST

START_TEST(concurrency_is_shared_by_the_runners)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 5;
	q.concurrency_null = false;
	rules(&q);

	ck_assert_int_eq(ask(0, 3), 3);
	ck_assert_int_eq(ask(1, 10),
			 2); /* while the first one's claim is out */
	for (uint32_t n = 0; n < 3; n++)
		ck_assert(admit(0, n, ""));
	limits_settle(&runners[0]);
	limits_settle(&runners[1]); /* found nothing */
	ck_assert_uint_eq(running(), 3);
	ck_assert_int_eq(ask(1, 10), 2);
	limits_settle(&runners[1]);

	for (uint32_t n = 0; n < 3; n++)
		limits_leave(&jobs[n]);
	ck_assert_uint_eq(running(), 0);
	ck_assert_int_eq(ask(1, 10), 5);
	limits_settle(&runners[1]);
	ck_assert_uint_eq(running(), 0);
}
END_TEST

START_TEST(places_of_a_dead_runner_are_free)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 4;
	q.concurrency_null = false;
	rules(&q);
	ck_assert_int_eq(ask(0, 3), 3);
	ck_assert(admit(0, 0, ""));

	shm_slot_reap(segment, 2); /* in the middle of its claim */

	ck_assert_int_eq(ask(1, 10), 4);
	limits_settle(&runners[1]);
}
END_TEST

START_TEST(end_of_a_task_wakes_the_next_claim)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 1;
	q.concurrency_null = false;
	rules(&q);
	ck_assert_int_eq(ask(0, 9), 1);
	ck_assert(admit(0, 0, ""));
	limits_settle(&runners[0]);
	ck_assert_int_eq(ask(0, 9), 0);
	ck_assert_uint_ne(runners[0].limits.due_mono_ms, CO_STEP_NEVER);

	limits_leave(&jobs[0]);

	ck_assert_uint_eq(runners[0].claim.due_mono_ms, CO_STEP_NOW);
}
END_TEST

START_TEST(rate_gives_back_what_the_claim_did_not_find)
{
	struct q_task_queues_row q = rule();

	q.rate_count = 10;
	q.rate_count_null = false;
	rules(&q);

	ck_assert_int_eq(ask(0, 6), 6);
	ck_assert_int_eq(ask(1, 6), 4);
	for (uint32_t n = 0; n < 2; n++)
		ck_assert(admit(0, n, ""));
	limits_settle(&runners[0]);
	limits_settle(&runners[1]);

	/* two have begun: eight are left, whoever asks, and an end frees none
	 */
	limits_leave(&jobs[0]);
	ck_assert_int_eq(ask(1, 20), 8);
	for (uint32_t n = 2; n < 10; n++)
		ck_assert(admit(1, n, ""));
	limits_settle(&runners[1]);
	ck_assert_int_eq(ask(0, 1), 0);
	ck_assert_uint_gt(runners[0].limits.due_mono_ms, tl_mono_ms());
	limits_settle(&runners[0]);
}
END_TEST

START_TEST(rule_that_is_gone_rules_no_more)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 1;
	q.concurrency_null = false;
	rules(&q);
	ck_assert_int_eq(ask(0, 9), 1);
	limits_settle(&runners[0]);

	for (uint32_t i = 0; i < RUNNERS; i++)
		limits_rules(&runners[i], NULL, 0);

	ck_assert_int_eq(ask(0, 9), 9);
	limits_settle(&runners[0]);
}
END_TEST

/* A place taken under one rule is given back under the next. */
START_TEST(tasks_outlive_the_rule_that_let_them_in)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 2;
	q.concurrency_null = false;
	rules(&q);
	ck_assert_int_eq(ask(0, 2), 2);
	ck_assert(admit(0, 0, ""));
	ck_assert(admit(0, 1, ""));
	limits_settle(&runners[0]);

	q.concurrency = 1;
	rules(&q);
	ck_assert_int_eq(ask(1, 2), 0);
	limits_leave(&jobs[0]);
	ck_assert_int_eq(ask(1, 2), 0);
	limits_leave(&jobs[1]);

	ck_assert_int_eq(ask(1, 2), 1);
	limits_settle(&runners[1]);
	ck_assert_uint_eq(running(), 0);
}
END_TEST

/* ---- tenants ---- */

START_TEST(tenant_has_its_share_over_both_runners)
{
	struct q_task_queues_row q = rule();
	struct q_task_claim_params p;

	q.tenant_concurrency = 2;
	q.tenant_concurrency_null = false;
	rules(&q);

	ck_assert_int_eq(ask(0, 9), 9);
	ck_assert(admit(0, 0, "a"));
	ck_assert_int_eq(ask(1, 9), 9);
	ck_assert(admit(1, 1, "a"));
	ck_assert(!admit(1, 2, "a"));
	ck_assert(admit(1, 3, "b"));
	limits_settle(&runners[1]);

	/* the full one is left out of the next claim, and it is b's turn
	 * behind a's */
	limits_ask(&runners[1], 9, &arena, &p);
	ck_assert_uint_eq(p.full_tenants.n, 1);
	ck_assert(tl_str_eq(((const struct tl_str *)p.full_tenants.items)[0],
			    TL_STR("a")));
	ck_assert(tl_str_eq(((const struct tl_str *)p.turns.items)[0],
			    TL_STR("b")));
	ck_assert_int_eq(((const int32_t *)p.tenant_wants.items)[0], 2);
	limits_settle(&runners[1]);

	limits_leave(&jobs[0]);
	ck_assert(admit(1, 2, "a"));
}
END_TEST

START_TEST(refused_tenant_keeps_no_place)
{
	struct q_task_queues_row q = rule();

	q.concurrency = 4;
	q.concurrency_null = false;
	q.tenant_concurrency = 4;
	q.tenant_concurrency_null = false;
	q.tenant_rate_count = 1;
	q.tenant_rate_count_null = false;
	rules(&q);

	ck_assert_int_eq(ask(0, 4), 4);
	ck_assert(admit(0, 0, "a"));
	ck_assert(!admit(0, 1, "a")); /* one in the window */
	limits_settle(&runners[0]);
	limits_leave(&jobs[1]); /* as its going back does */
	ck_assert_uint_eq(running(), 1);
	limits_leave(&jobs[0]);

	ck_assert_uint_eq(running(), 0);
	ck_assert_uint_eq(shm_place_sum(&views[0], jobs[0].tenant_tag), 0);
	ck_assert_uint_eq(shm_place_sum(&views[0], jobs[1].tenant_tag), 0);
}
END_TEST

START_TEST(tenants_own_limits_hold_beside_those_of_the_queue)
{
	struct job *a = job(0, 0, "a"), *b = job(1, 1, "a"),
		   *c = job(1, 2, "c");

	ck_assert(task_tenant_admit(&a->t, 1, 0, 0));
	ck_assert(!task_tenant_admit(&b->t, 1, 0, 0));
	ck_assert_uint_gt(b->postpone_ms, 0);
	ck_assert(task_tenant_admit(&c->t, 1, 0, 0));

	limits_leave(b); /* had none */
	limits_leave(a);
	b = job(1, 1, "a");
	ck_assert(task_tenant_admit(&b->t, 1, 2, 60000));
	limits_leave(b);
	b = job(1, 1, "a");
	ck_assert(task_tenant_admit(&b->t, 1, 2, 60000));
	limits_leave(b);
	b = job(1, 1, "a");
	ck_assert(!task_tenant_admit(&b->t, 1, 2, 60000)); /* the third */
	limits_leave(b);

	ck_assert_uint_eq(shm_place_sum(&views[0], b->own_tag), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus_limits");
	TCase *tc = tcase_create("limits");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, queue_without_rules_is_not_asked_about);
	tcase_add_test(tc, concurrency_is_shared_by_the_runners);
	tcase_add_test(tc, places_of_a_dead_runner_are_free);
	tcase_add_test(tc, end_of_a_task_wakes_the_next_claim);
	tcase_add_test(tc, rate_gives_back_what_the_claim_did_not_find);
	tcase_add_test(tc, rule_that_is_gone_rules_no_more);
	tcase_add_test(tc, tasks_outlive_the_rule_that_let_them_in);
	tcase_add_test(tc, tenant_has_its_share_over_both_runners);
	tcase_add_test(tc, refused_tenant_keeps_no_place);
	tcase_add_test(tc, tenants_own_limits_hold_beside_those_of_the_queue);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
