/*
 * Usage reaches PostgreSQL exactly once: through stops, kills of each kind
 * of process, and an outage of the database.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/layout.h"

#define DEMO_CREDITS  (142 + 310 + 23)
#define DEMO_REQUESTS (89 + 156 + 12)

/* N charges with the key of "k"; all must pass. */
static void charge(unsigned n)
{
	while (n-- > 0)
		ck_assert_int_eq(gate(key_of("k"), ""), 200);
}

static void ready_to_charge(void)
{
	make_key("k", 100000, "");
	WAIT_UNTIL(gate(key_of("k"), "cost=0") == 200);
}

static void expect_in_database(int64_t credits)
{
	WAIT_UNTIL(db_credits("k@test") == credits);
	ck_assert_int_eq(db_credits("k@test"), credits);
}

START_TEST(charges_reach_the_database_within_the_interval)
{
	up(FREE_RATE);
	ready_to_charge();

	charge(37);

	expect_in_database(37);
	ck_assert_int_eq(db_credits(NULL), DEMO_CREDITS + 37);
	client_call(c, "/api/usage/record", key_of("k"),
		    "{\"credits\":3,\"prompt_tokens\":1000}", NULL, &r);
	want(200);
	expect_in_database(40);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT sum(cost_micro_usd) FROM daily_usage "
				 "JOIN users USING (user_id) WHERE email = "
				 "'k@test'"),
			 30000);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM api_keys k JOIN users "
				 "USING (user_id) WHERE email = 'k@test' AND "
				 "last_used_at > now() - interval '60 s'"),
			 1);
}
END_TEST

START_TEST(refused_calls_change_nothing)
{
	unsigned i;

	up(FREE_RATE);
	make_key("k", 10, "");
	WAIT_UNTIL(gate(key_of("k"), "cost=0") == 200);
	for (i = 0; i < 10; i++)
		gate(key_of("k"), "");
	expect_in_database(10);

	for (i = 0; i < 20; i++)
		ck_assert_int_eq(gate(key_of("k"), ""), 429);
	client_call(c, "/api/usage/record", key_of("k"), "{\"credits\":-1}",
		    NULL, &r);
	want(400);
	test_sleep_ms(500);

	ck_assert_int_eq(db_credits("k@test"), 10);
	client_get(c, "/api/usage/today", key_of("k"), &r);
	ck_assert_int_eq(json_num(&r, "credits_used"), 10);
}
END_TEST

static const int stops[] = { SIGTERM, SIGINT, SIGQUIT };

START_TEST(a_stop_leaves_nothing_unflushed)
{
	up(FREE_RATE, "metering.flush_interval_ms=10000");
	ready_to_charge();
	charge(50);
	client_close(c);

	ck_assert_int_eq(daemon_stop(d, stops[_i], 15000), 0);

	ck_assert_int_eq(db_credits("k@test"), 50);
	fixture_again();
	ck_assert_int_eq(used_today(key_of("k")), 50);
}
END_TEST

START_TEST(killed_workers_lose_nothing)
{
	unsigned i;

	up(FREE_RATE, "server.workers=2");
	ready_to_charge();

	for (i = 0; i < 6; i++) {
		charge(20);
		kill(daemon_child(d, "worker"), SIGKILL);
		client_close(c);
	}

	charge(1);
	expect_in_database(121);
	ck_assert_int_eq(used_today(key_of("k")), 121);
}
END_TEST

START_TEST(killed_flushers_double_nothing)
{
	unsigned i;

	up(FREE_RATE, "metering.flush_interval_ms=50");
	ready_to_charge();

	for (i = 0; i < 5; i++) {
		charge(20);
		WAIT_UNTIL(daemon_kill_child(d, "flusher", 1050));
		charge(20);
	}

	expect_in_database(200);
	test_sleep_ms(300);
	ck_assert_int_eq(db_credits("k@test"), 200);
}
END_TEST

START_TEST(the_next_master_goes_on_where_the_killed_one_was)
{
	unsigned i;

	up(FREE_RATE, "metering.flush_interval_ms=10000");
	ready_to_charge();

	for (i = 0; i < 3; i++) {
		charge(20);
		daemon_stop(d, SIGKILL, 5000);
		fixture_again();
		ck_assert_int_eq(used_today(key_of("k")), 20 * (i + 1));
	}

	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(db_credits("k@test"), 60);
}
END_TEST

START_TEST(children_end_with_their_master)
{
	pid_t pids[DAEMON_MAX_CHILDREN], flusher;
	size_t n, i;

	up("server.workers=2");
	WAIT_UNTIL((n = daemon_children(d, "worker", pids)) == 2);
	ck_assert_uint_eq(n, 2);
	flusher = daemon_child(d, "flusher");

	daemon_stop(d, SIGKILL, 5000);

	for (i = 0; i < n; i++)
		WAIT_UNTIL(kill(pids[i], 0) != 0);
	WAIT_UNTIL(kill(flusher, 0) != 0);
	ck_assert_int_ne(kill(pids[0], 0), 0);
	ck_assert_int_ne(kill(pids[1], 0), 0);
	ck_assert_int_ne(kill(flusher, 0), 0);
}
END_TEST

START_TEST(an_outage_refuses_no_known_key)
{
	up(FREE_RATE);
	ready_to_charge();
	charge(10);
	expect_in_database(10);
	sql_close();

	pgtest_halt(pg);
	charge(50);
	WAIT_UNTIL(
		(client_get(c, "/health?ready=1", NULL, &r), r.status == 503));
	want(503);
	ck_assert_pstr_eq(json_str(&r, "status"), "degraded");
	client_get(c, "/health", NULL, &r);
	want(200);
	charge(50);
	gate(key_of("unseen"), "");
	want_error(503, "service_unavailable");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	pgtest_resume(pg);
	charge(10);

	expect_in_database(120);
	WAIT_UNTIL(
		(client_get(c, "/health?ready=1", NULL, &r), r.status == 200));
	want(200);
}
END_TEST

START_TEST(a_killed_postgres_loses_and_doubles_nothing)
{
	unsigned i;

	up(FREE_RATE, "metering.flush_interval_ms=50");
	ready_to_charge();

	for (i = 0; i < 3; i++) {
		charge(100);
		sql_close();
		pgtest_kill9(pg);
		charge(100);
		pgtest_resume(pg);
	}

	expect_in_database(600);
}
END_TEST

START_TEST(a_stop_in_an_outage_keeps_usage_in_the_spool)
{
	char path[128];

	up(FREE_RATE);
	ready_to_charge();
	charge(10);
	expect_in_database(10);
	sql_close();
	pgtest_halt(pg);
	charge(30);
	client_close(c);

	ck_assert_int_eq(daemon_stop(d, SIGTERM, 30000), 0);
	/* The machine goes down too: only the disk is left. */
	snprintf(path, sizeof(path), "/dev/shm/tallyd.%s.v%u", d->instance,
		 SHM_LAYOUT);
	ck_assert_int_eq(unlink(path), 0);
	pgtest_resume(pg);
	fixture_again();

	expect_in_database(40);
	ck_assert_int_eq(used_today(key_of("k")), 40);
}
END_TEST

START_TEST(strict_answers_are_in_the_database)
{
	unsigned i;

	up(FREE_RATE, "metering.durability=strict",
	   "metering.flush_interval_ms=10000");
	ready_to_charge();

	for (i = 1; i <= 20; i++) {
		charge(1);
		ck_assert_int_eq(db_credits("k@test"), i);
	}
}
END_TEST

START_TEST(another_database_gets_none_of_the_old_counts)
{
	char *other;

	up(FREE_RATE, "metering.flush_interval_ms=10000");
	ready_to_charge();
	charge(10);
	daemon_stop(d, SIGKILL, 5000);
	other = daemon_database(pg);
	tl_free(d->conninfo);
	d->conninfo = other;
	other = tl_asprintf("database.url=%s", d->conninfo);
	daemon_set(d, other);
	tl_free(other);

	fixture_again();
	test_sleep_ms(500);

	ck_assert_int_eq(gate(key_of("k"), ""), 401);
	ck_assert_int_eq(db_credits(NULL), DEMO_CREDITS);
	ck_assert_int_eq(db_requests(NULL), DEMO_REQUESTS);
}
END_TEST

START_TEST(reload_drops_no_count_and_no_request)
{
	unsigned i;

	up(FREE_RATE);
	ready_to_charge();

	for (i = 0; i < 4; i++) {
		charge(20);
		daemon_hup(d);
		/* A drained worker closes our kept connection after an answer
		 * or while it is idle; a new one goes to a new worker. */
		client_close(c);
	}

	charge(20);
	expect_in_database(100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flush");
	TCase *tc = fixture_case(s, "flush");

	tcase_add_test(tc, charges_reach_the_database_within_the_interval);
	tcase_add_test(tc, refused_calls_change_nothing);
	tcase_add_loop_test(tc, a_stop_leaves_nothing_unflushed, 0, 3);
	tcase_add_test(tc, killed_workers_lose_nothing);
	tcase_add_test(tc, killed_flushers_double_nothing);
	tcase_add_test(tc, the_next_master_goes_on_where_the_killed_one_was);
	tcase_add_test(tc, children_end_with_their_master);
	tcase_add_test(tc, an_outage_refuses_no_known_key);
	tcase_add_test(tc, a_killed_postgres_loses_and_doubles_nothing);
	tcase_add_test(tc, a_stop_in_an_outage_keeps_usage_in_the_spool);
	tcase_add_test(tc, strict_answers_are_in_the_database);
	tcase_add_test(tc, another_database_gets_none_of_the_old_counts);
	tcase_add_test(tc, reload_drops_no_count_and_no_request);
	return fixture_run(s);
}
