/*
 * All charges so far are in every figure, once: while batches are on their
 * way, beside killed flushers, over an outage and over midnight.
 */
#include "usage_calls.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "lib/midnight.h"

/*
 * Each answer holds every charge before it, and each of them once, whenever
 * the batch with it is sealed, committed or confirmed: flushes follow each
 * other as fast as they can, and a longer range each time goes to the database.
 */
START_TEST(history_is_exact_while_batches_are_on_their_way)
{
	char target[64], name[16];
	int64_t charged = 0;

	up(FREE_RATE, NO_DEMO, "metering.flush_interval_ms=10",
	   "server.workers=2");
	for (int u = 0; u < 12; u++) {
		snprintf(name, sizeof(name), "u%d", u);
		make_key(name, 1000000, "");
		charged = 0;
		client_close(c); /* the other worker, perhaps */
		for (int days = 1; days <= 90; days++) {
			record(key_of(name), TOKENS);
			charged++;
			snprintf(target, sizeof(target),
				 "/api/usage/history?days=%d", days);
			get(key_of(name), target);
			want(200);
			ck_assert_uint_eq(rows(), 1);
			ck_assert_int_eq(json_num(&r, "0.credits_used"),
					 charged);
			ck_assert_int_eq(json_num(&r, "0.request_count"),
					 charged);
			ck_assert_int_eq(usd("0.cost_usd"),
					 charged * TOKENS_USD);
		}
	}
}
END_TEST

START_TEST(history_is_exact_beside_killed_flushers)
{
	char target[64];

	up(FREE_RATE, NO_DEMO, "metering.flush_interval_ms=10",
	   "server.workers=1");
	make_key("k", 1000000, "");
	for (int i = 1; i <= 90; i++) {
		if (i % 20 == 0)
			(void)daemon_kill_child(d, "flusher", 0);
		record(key_of("k"), TOKENS);
		snprintf(target, sizeof(target), "/api/usage/history?days=%d",
			 i);
		get(key_of("k"), target);
		want(200);
		ck_assert_int_eq(usd("0.cost_usd"), (int64_t)i * TOKENS_USD);
		test_sleep_ms(20);
	}
}
END_TEST

/* ---- the database away ---- */

START_TEST(without_the_database_reads_go_on)
{
	up(FREE_RATE, NO_DEMO, "server.workers=1", "admin.emails=a@test");
	make_key("a", 1000, "");
	make_key("never", 1000, "");
	insert_usage("a", 3, 4, 4, 40);
	record(key_of("a"), TOKENS);
	gate(key_of("never"), "");
	get(key_of("a"), "/api/usage/history");
	get(key_of("a"), "/api/dashboard/overview");
	get(key_of("a"), "/api/admin/status");
	want(200);
	WAIT_UNTIL(db_credits("a@test") == 1);
	sql_close();
	pgtest_halt(pg);
	WAIT_UNTIL((get(NULL, "/health?ready=1"), r.status == 503));

	for (int i = 2; i <= 20; i++) {
		record(key_of("a"), TOKENS);
		get(key_of("a"), "/api/dashboard/overview");
		want(200);
		ck_assert(json_true(&r, "degraded"));
		ck_assert_int_eq(json_num(&r, "usage.credits_used"), i);
		get(key_of("a"), "/api/usage/history");
		want(200);
		ck_assert_uint_eq(rows(), 2);
		ck_assert_int_eq(json_num(&r, "0.credits_used"), i);
		ck_assert_int_eq(usd("0.cost_usd"), (int64_t)i * TOKENS_USD);
		ck_assert_int_eq(usd("1.cost_usd"), 40);
		test_sleep_ms(400);
	}
	get(key_of("a"), "/api/admin/status");
	want(200);
	ck_assert(!json_true(&r, "store.database_reachable"));
	ck_assert_ptr_nonnull(json_str(&r, "store.last_error"));
	ck_assert_int_eq(json_num(&r, "today_credits_used"), 21);
	ck_assert_int_eq(json_num(&r, "user_count"), 2);
	get(key_of("never"), "/api/usage/history");
	want_error(503, "service_unavailable");
	get(key_of("a"), "/api/usage/detailed");
	want_error(503, "service_unavailable");

	pgtest_resume(pg);
	for (int i = 0; i < 200; i++) { /* while the spool is replayed, too */
		get(key_of("a"), "/api/usage/history");
		want(200);
		ck_assert_int_eq(usd("0.cost_usd"), 20 * TOKENS_USD);
		if (db_credits("a@test") == 20 && i > 20)
			break;
		test_sleep_ms(100);
	}
	ck_assert_int_eq(db_credits("a@test"), 20);
	WAIT_UNTIL((get(key_of("a"), "/api/dashboard/overview"),
		    !json_true(&r, "degraded")));
	get(key_of("a"), "/api/admin/status");
	ck_assert(json_true(&r, "store.database_reachable"));
}
END_TEST

/* ---- midnight ---- */

START_TEST(yesterday_is_whole_before_it_is_flushed)
{
	char yesterday[16] = "", date[16] = "";
	int64_t old_day = 0, new_day = 0;

	if (!midnight_possible())
		return;
	prepare(FREE_RATE, NO_DEMO, "metering.flush_interval_ms=60000",
		"metering.flush_interval_max_ms=60000", "server.workers=1");
	midnight_up(6);
	make_key("y", 1000000, "");
	for (int tries = 0; new_day < 10 && tries < 20000; tries++) {
		record(key_of("y"), TOKENS);
		snprintf(date, sizeof(date), "%s", json_str(&r, "usage.date"));
		if (old_day == 0)
			snprintf(yesterday, sizeof(yesterday), "%s", date);
		if (strcmp(date, yesterday) == 0)
			old_day++;
		else
			new_day++;
		if (tries % 64 == 0)
			get(key_of("y"), "/api/usage/history?days=2");
		test_sleep_ms(2);
	}
	ck_assert_int_eq(new_day, 10);

	get(key_of("y"), "/api/usage/history?days=2");
	ck_assert_uint_eq(rows(), 2);
	expect_day(0, date, new_day, new_day, new_day * TOKENS_USD);
	expect_day(1, yesterday, old_day, old_day, old_day * TOKENS_USD);
	ck_assert_int_eq(
		sql_num(d->conninfo, "SELECT count(*) FROM daily_usage"), 0);

	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT cost_micro_usd FROM daily_usage "
				 "WHERE date = '%s'",
				 yesterday),
			 old_day * TOKENS_USD);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("usage exact");
	TCase *tc = fixture_case(s, "exact");

	tcase_add_test(tc, history_is_exact_while_batches_are_on_their_way);
	tcase_add_test(tc, history_is_exact_beside_killed_flushers);
	tcase_add_test(tc, without_the_database_reads_go_on);
	tcase_add_test(tc, yesterday_is_whole_before_it_is_flushed);
	return fixture_run(s);
}
