/*
 * Exactness: at most L admitted in any window, exactly N of a quota, with
 * 1, 2 and 4 workers, 8 parallel clients, workers killed in between.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/crowd.h"

#define CLIENTS 8
#define QUOTA   15000 /* about as many as can be had before the last kill */

static const char *const worker_counts[] = { "server.workers=1",
					     "server.workers=2",
					     "server.workers=4" };

/* Knocks at the gate until told to stop, or refused `patience` times; with a
 * rest of so long after each answer, and of 2 ms after a refusal: thousands of
 * tries a second are enough. */
struct knocking {
	const char *key, *query;
	unsigned patience, rest_ms;
};

static void knock(struct crowd *w, unsigned number, void *arg)
{
	const struct knocking *k = arg;
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned refused = 0;
	char target[128];

	snprintf(target, sizeof(target), "/api/gate?%s", k->query);
	while (!crowd_stopped(w) && refused < k->patience) {
		client_get(own, target, k->key, a);
		if (a->status == 0)
			test_sleep_ms(2); /* a worker was killed; again */
		else
			crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
				   a->status, 0);
		refused += a->status == 429;
		if (k->rest_ms > 0 || a->status == 429)
			test_sleep_ms(k->rest_ms > 0 ? k->rest_ms : 2);
	}
	client_free(&own);
}

/* n kills of random workers, each as soon as one is old enough. */
static unsigned kill_workers(unsigned n)
{
	unsigned killed = 0;

	while (killed < n) {
		test_sleep_ms(50 + (unsigned)rand() % 200);
		killed += daemon_kill_child(d, "worker", 1050);
	}
	return killed;
}

static void nothing(struct crowd *w, unsigned number, void *arg)
{
	(void)w;
	(void)number;
	(void)arg;
}

/* The checker must be able to say no. */
START_TEST(the_checker_sees_a_violation)
{
	struct crowd *w = crowd_start(2, nothing, NULL);
	unsigned i;

	crowd_wait(w);
	for (i = 0; i < 10; i++) /* every 100 ns, an exchange takes 50 */
		crowd_note(w, i % 2, i * 100, i * 100 + 50, 200, 0);
	crowd_note(w, 0, 120, 130, 429, 0); /* no admission */

	ck_assert_uint_eq(crowd_worst_window(w, 250), 3);
	ck_assert_uint_eq(crowd_worst_window(w, 249), 2);
	ck_assert_uint_eq(crowd_worst_window(w, 49), 0);
	crowd_free(&w);
}
END_TEST

static void window_run(const char *workers, unsigned limit, unsigned kills,
		       unsigned ms)
{
	struct knocking k = { .query = "cost=0", .patience = 1000000 };
	struct crowd *w;
	char columns[64];
	uint64_t worst;

	up(workers, FREE_RATE, "limits.window_ms=1000");
	snprintf(columns, sizeof(columns), "rate_limit = %u", limit);
	make_key("w", 1000000, columns);
	k.key = key_of("w");

	w = crowd_start(CLIENTS, knock, &k);
	if (kills > 0)
		kill_workers(kills);
	else
		test_sleep_ms(ms);
	crowd_stop(w);

	worst = crowd_worst_window(w, 1000000000u);
	ck_assert_msg(worst <= limit, "%lu admitted in a window, limit %u",
		      (unsigned long)worst, limit);
	ck_assert_uint_ge(crowd_count(w, 200, -1), limit); /* it did work */
	ck_assert_uint_gt(crowd_count(w, 429, -1), 0);
	crowd_free(&w);
}

START_TEST(no_window_admits_more_than_its_limit)
{
	window_run(worker_counts[_i], 40, 0, 3000);
}
END_TEST

START_TEST(no_window_admits_more_while_workers_are_killed)
{
	window_run(worker_counts[_i], 40, 4, 0);
}
END_TEST

START_TEST(a_limit_of_one_is_one)
{
	window_run("server.workers=4", 1, 0, 3000);
}
END_TEST

START_TEST(exactly_n_of_the_quota_pass)
{
	struct knocking k = { .query = "", .patience = 5 };
	struct crowd *w;

	up(worker_counts[_i], FREE_RATE, "metering.flush_interval_ms=50");
	make_key("q", 1500, "");
	k.key = key_of("q");

	w = crowd_start(CLIENTS, knock, &k);
	crowd_wait(w);

	ck_assert_uint_eq(crowd_count(w, 200, -1), 1500);
	ck_assert_int_eq(used_today(key_of("q")), 1500);
	WAIT_UNTIL(db_credits("q@test") == 1500);
	ck_assert_int_eq(db_credits("q@test"), 1500);
	ck_assert_int_eq(db_requests("q@test"), 1500);
	crowd_free(&w);
}
END_TEST

START_TEST(kills_cost_at_most_one_charge_each)
{
	struct knocking k = { .query = "", .patience = 50, .rest_ms = 2 };
	uint64_t answered, kills;
	struct crowd *w;
	int64_t sum;

	up(worker_counts[_i], FREE_RATE, "metering.flush_interval_ms=50");
	make_key("q", QUOTA, "");
	k.key = key_of("q");

	w = crowd_start(CLIENTS, knock, &k);
	kills = kill_workers(6);
	crowd_wait(w);
	answered = crowd_count(w, 200, -1);

	ck_assert_uint_le(answered, QUOTA);
	ck_assert_msg(answered + kills >= QUOTA,
		      "%lu answered after %lu kills, want %d",
		      (unsigned long)answered, (unsigned long)kills, QUOTA);
	WAIT_UNTIL(db_credits("q@test") >= (int64_t)answered);
	test_sleep_ms(500);
	sum = db_credits("q@test");
	ck_assert_int_ge(sum, (int64_t)answered);
	ck_assert_int_le(sum, QUOTA);
	crowd_free(&w);
}
END_TEST

START_TEST(starter_at_23_has_52_left_for_200_parallel_calls)
{
	struct knocking k = { .key = KEY_STARTER, .query = "", .patience = 19 };
	struct crowd *w;
	unsigned i;

	up("server.workers=2", "limits.enabled=no");

	w = crowd_start(CLIENTS, knock, &k);
	crowd_wait(w);
	ck_assert_uint_eq(crowd_count(w, 200, -1), 52);

	for (i = 0; i < 3; i++) {
		gate(KEY_STARTER, "");
		want_error(429, "quota_exceeded");
		ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	}
	crowd_free(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exact");
	TCase *tc = fixture_case(s, "exact");

	srand(7); /* which worker is killed when: the same in each run */
	tcase_add_test(tc, the_checker_sees_a_violation);
	tcase_add_test(tc, starter_at_23_has_52_left_for_200_parallel_calls);
	tcase_add_loop_test(tc, exactly_n_of_the_quota_pass, 0, 3);
	tcase_add_loop_test(tc, no_window_admits_more_than_its_limit, 0, 3);
	tcase_add_test(tc, a_limit_of_one_is_one);
	tcase_add_loop_test(tc, kills_cost_at_most_one_charge_each, 0, 3);
	tcase_add_loop_test(tc, no_window_admits_more_while_workers_are_killed,
			    0, 3);
	return fixture_run(s);
}
