/*
 * The task bus with a real daemon and PostgreSQL: what is sent is done, once,
 * in turn and within its limits.
 */
#include "config.h"

#include <signal.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "integration/task_calls.h"

static bool selftest_is_known(void)
{
	return sql_num(db, "SELECT count(*) FROM tallyd.task_definition"
			   " WHERE name LIKE 'tallyd.selftest.%%'") == 3;
}

static void want_selftest_known(void)
{
	WAIT_UNTIL(selftest_is_known());
	ck_assert(selftest_is_known());
}

/* The most that ran at a time. */
static int64_t most_at_a_time(void)
{
	return sql_num(db, "SELECT max(n) FROM (SELECT a.task_id, count(*) AS n"
			   "  FROM tallyd.task_selftest a"
			   "  JOIN tallyd.task_selftest b"
			   "    ON b.began_at <= a.began_at"
			   "   AND b.ended_at > a.began_at"
			   " GROUP BY a.task_id, a.attempt) t");
}

/* ---- sending ---- */

START_TEST(task_runs_and_leaves_its_attempt)
{
	bus_up();

	send_task("", "");

	want_outcomes(sent, "completed");
	ck_assert_int_eq(unfinished(), 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_selftest"
				     " WHERE ended_at IS NOT NULL"),
			 1);
}
END_TEST

START_TEST(rolled_back_send_never_runs)
{
	bus_up();

	sql_exec(db, "BEGIN; SELECT tallyd.enqueue('" WORK
		     "', '{\"note\": true}'); ROLLBACK");
	send_task("", "");

	want_outcomes(sent, "completed");
	ck_assert_int_eq(sql_num(db, "SELECT count(*)"
				     "  FROM tallyd.task_selftest"),
			 1);
}
END_TEST

START_TEST(event_makes_one_task_for_each_handler)
{
	bus_up();
	want_selftest_known();

	sql_exec(db, "SELECT tallyd.emit('tallyd.selftest.happened')");
	sql_exec(db, "SELECT tallyd.emit('nobody.listens')");

	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task_attempt") ==
		   1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_attempt"
				     " WHERE outcome = 'completed'"),
			 1);
	ck_assert_int_eq(sql_num(db, "SELECT sum(tasks) FROM tallyd.event"), 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.event"), 2);
}
END_TEST

START_TEST(singleton_key_suppresses_until_the_task_is_done)
{
	int64_t first;

	bus_up();
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, paused_at)"
		     " VALUES ('q', now())");

	first = send_task("", "\"queue\": \"q\", \"singleton_key\": \"k\"");

	ck_assert_int_gt(first, 0);
	ck_assert_int_eq(
		send_task("", "\"queue\": \"q\", \"singleton_key\": \"k\""), 0);
	ck_assert_int_gt(
		send_task("", "\"queue\": \"r\", \"singleton_key\": \"k\""), 0);
	sql_exec(db, "DELETE FROM tallyd.task_queue; NOTIFY tallyd_task");
	want_outcomes(first, "completed");
	ck_assert_int_gt(
		send_task("", "\"queue\": \"q\", \"singleton_key\": \"k\""), 0);
	want_all_done();
}
END_TEST

START_TEST(wrong_options_and_payloads_are_refused_or_dead)
{
	bus_up();

	ck_assert(!sql_try(db, "SELECT tallyd.enqueue('" WORK
			       "', '{}', '{\"colour\": 1}')"));
	ck_assert(!sql_try(db, "SELECT tallyd.enqueue('" WORK "', '[]')"));
	send_task("\"sleep_ms\": \"long\"", "");

	want_outcomes(sent, "failed");
	ck_assert_str_eq(
		sql_str(db, "SELECT error FROM tallyd.task_dead"),
		"payload: sleep_ms: must be an integer from 0 to 3600000");
}
END_TEST

START_TEST(unknown_names_stay_queued)
{
	int64_t id;

	bus_up();

	id = sql_num(db, "SELECT tallyd.enqueue('of.a.later.release')");
	send_task("", "");

	want_outcomes(sent, "completed");
	ck_assert_int_eq(state_of(id), 3);
	/* as a release that knows it does at its start */
	sql_exec(db, "SELECT tallyd.task_register('{of.a.later.release}',"
		     " '{new}', '{\"\"}', '{0}', '{0}', '{f}', '{1000}')");
	sql_exec(db, "SELECT tallyd.task_look(9, '{of.a.later.release}')");
	ck_assert_int_eq(state_of(id), 0);
	ck_assert_str_eq(sql_str(db, "SELECT queue FROM tallyd.task"), "new");
}
END_TEST

/* Commits that notify queue behind one lock of the whole server.  Those that
 * keep quiet are found all the same. */
START_TEST(sends_in_sql_notify_once_in_5_ms_at_most)
{
	const char *clock = "SELECT (1000 * extract(epoch FROM"
			    " clock_timestamp()))::int8";
	int64_t begin_ms, past_ms, n = 0;
	PGnotify *told;
	PGconn *listener;

	bus_up();
	want_selftest_known();
	listener = PQconnectdb(db);
	PQclear(PQexec(listener, "LISTEN tallyd_task"));

	begin_ms = sql_num(db, "%s", clock);
	sql_exec(db, "DO $$ BEGIN FOR i IN 1 .. 500 LOOP"
		     " PERFORM tallyd.enqueue('tallyd.selftest.nothing');"
		     " COMMIT; END LOOP; END $$");
	past_ms = sql_num(db, "%s", clock) - begin_ms;

	PQclear(PQexec(listener, "SELECT 1"));
	for (; (told = PQnotifies(listener)) != NULL; n++)
		PQfreemem(told);
	PQfinish(listener);
	ck_assert_int_ge(n, 1);
	ck_assert_int_le(n, past_ms / 5 + 2);
	want_all_done();
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_attempt"
				     " WHERE outcome = 'completed'"),
			 500);
}
END_TEST

/* ---- order ---- */

START_TEST(higher_priority_goes_first_and_delays_are_kept)
{
	int64_t low, high, late;

	bus_up("runner.count=1", "runner.tasks=1");
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, paused_at)"
		     " VALUES ('selftest', now())");
	late = send_task("", "\"delay_ms\": 1500, \"priority\": 9");
	low = send_task("", "\"priority\": -5");
	high = send_task("", "\"priority\": 5");

	sql_exec(db, "DELETE FROM tallyd.task_queue; NOTIFY tallyd_task");

	want_all_done();
	ck_assert_int_eq(sql_num(db,
				 "SELECT count(*) FROM tallyd.task_selftest l,"
				 " tallyd.task_selftest h"
				 " WHERE l.task_id = %lld AND h.task_id = %lld"
				 "   AND h.began_at < l.began_at",
				 (long long)low, (long long)high),
			 1);
	ck_assert_int_eq(
		sql_num(db,
			"SELECT count(*) FROM tallyd.task_attempt"
			" WHERE task_id = %lld"
			"   AND started_at >= created_at + INTERVAL '1000 ms'",
			(long long)late),
		1);
}
END_TEST

START_TEST(tenants_of_a_queue_take_turns)
{
	bus_up("runner.count=1", "runner.tasks=4");
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, paused_at)"
		     " VALUES ('selftest', now())");
	sql_exec(db, "SELECT tallyd.enqueue('" WORK "', '{\"note\": true}',"
		     " '{\"tenant\": \"big\"}') FROM generate_series(1, 60)");
	sql_exec(db, "SELECT tallyd.enqueue('" WORK "', '{\"note\": true}',"
		     " '{\"tenant\": \"small\"}') FROM generate_series(1, 3)");

	sql_exec(db, "DELETE FROM tallyd.task_queue; NOTIFY tallyd_task");

	want_all_done();
	/* Two of four places are the small one's while it has tasks. */
	ck_assert_int_le(
		sql_num(db, "SELECT count(*) FROM tallyd.task_attempt b"
			    " WHERE tenant = 'big' AND started_at <"
			    " (SELECT max(started_at) FROM tallyd.task_attempt"
			    "   WHERE tenant = 'small')"),
		8);
}
END_TEST

/* ---- failing ---- */

START_TEST(failures_are_tried_again_and_end_as_dead_letters)
{
	int64_t twice, always;

	bus_up();

	twice = send_task("\"fail\": 2", "");
	always = send_task("\"fail\": 99", "\"retry_limit\": 1");

	want_outcomes(twice, "failed,failed,completed");
	want_outcomes(always, "failed,failed");
	ck_assert_str_eq(sql_str(db, "SELECT string_agg(task_id || outcome ||"
				     " error || attempts, ',')"
				     "  FROM tallyd.task_dead"),
			 sql_str(db, "SELECT '%lldfailedtold to fail2'",
				 (long long)always));
	/* edited and sent again */
	ck_assert_str_eq(sql_str(db,
				 "SELECT tallyd.task_retry(%lld,"
				 " '{\"note\": true}')",
				 (long long)always),
			 "sent");
	want_outcomes(always, "failed,failed,completed");
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_dead"),
			 0);
}
END_TEST

START_TEST(hopeless_task_is_tried_once)
{
	bus_up();

	send_task("\"hopeless\": true", "");

	want_outcomes(sent, "failed");
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_dead"),
			 1);
}
END_TEST

START_TEST(task_past_its_time_ends_at_its_next_wait)
{
	bus_up();

	send_task("\"sleep_ms\": 600000",
		  "\"timeout_ms\": 100, \"retry_limit\": 1");

	want_outcomes(sent, "expired,expired");
	ck_assert_str_eq(sql_str(db, "SELECT outcome FROM tallyd.task_dead"),
			 "expired");
}
END_TEST

START_TEST(cancelled_tasks_do_not_run_on)
{
	int64_t waits, busy;

	bus_up();
	busy = send_task("\"sleep_ms\": 600000", "");
	waits = send_task("", "\"delay_ms\": 600000");
	WAIT_UNTIL(runs(busy));

	ck_assert_str_eq(
		sql_str(db, "SELECT tallyd.task_cancel(%lld)", (long long)busy),
		"cancelling");
	ck_assert_str_eq(sql_str(db, "SELECT tallyd.task_cancel(%lld)",
				 (long long)waits),
			 "cancelled");

	want_outcomes(busy, "cancelled");
	want_all_done();
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_dead"
				     " WHERE outcome = 'cancelled'"),
			 2);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM audit_log"
				     " WHERE action = 'task.cancel'"),
			 2);
}
END_TEST

/* ---- limits ---- */

START_TEST(concurrency_of_a_queue_holds_over_all_runners)
{
	bus_up("runner.count=3");
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, concurrency)"
		     " VALUES ('selftest', 2); NOTIFY tallyd_task");
	want_selftest_known();
	test_sleep_ms(300); /* the rules are read 50 ms after they are told */

	sql_exec(db, "SELECT tallyd.enqueue('" WORK
		     "', '{\"note\": true, \"sleep_ms\": 30}')"
		     "  FROM generate_series(1, 20)");

	want_all_done();
	ck_assert_int_eq(sql_num(db, "SELECT count(*)"
				     "  FROM tallyd.task_selftest"),
			 20);
	ck_assert_int_eq(most_at_a_time(), 2);
}
END_TEST

START_TEST(concurrency_of_a_tenant_holds_over_all_runners)
{
	bus_up("runner.count=3");
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, tenant_concurrency)"
		     " VALUES ('selftest', 1); NOTIFY tallyd_task");
	want_selftest_known();
	test_sleep_ms(300);

	sql_exec(db, "SELECT tallyd.enqueue('" WORK
		     "', '{\"note\": true, \"sleep_ms\": 20}',"
		     " '{\"tenant\": \"t\"}')  FROM generate_series(1, 10)");

	want_all_done();
	ck_assert_int_eq(sql_num(db, "SELECT count(*)"
				     "  FROM tallyd.task_selftest"),
			 10);
	ck_assert_int_eq(most_at_a_time(), 1);
}
END_TEST

START_TEST(rate_of_a_queue_holds_in_every_window)
{
	bus_up();
	sql_exec(db, "INSERT INTO tallyd.task_queue (queue, rate_count,"
		     " rate_window_ms) VALUES ('selftest', 4, 1000);"
		     " NOTIFY tallyd_task");
	want_selftest_known();
	test_sleep_ms(300);

	sql_exec(db, "SELECT tallyd.enqueue('tallyd.selftest.nothing')"
		     "  FROM generate_series(1, 10)");

	want_all_done();
	/* The fifth of any five begins a window behind the first.  A start is
	 * stamped a moment behind its admission. */
	ck_assert_int_eq(
		sql_num(db, "SELECT count(*) FROM (SELECT started_at,"
			    " lag(started_at, 4) OVER (ORDER BY started_at)"
			    " AS before FROM tallyd.task_attempt) t"
			    " WHERE started_at < before + INTERVAL '800 ms'"),
		0);
}
END_TEST

/* ---- stopping ---- */

START_TEST(reload_lets_running_tasks_end)
{
	bus_up();
	send_task("\"sleep_ms\": 1500", "");
	WAIT_UNTIL(runs(sent));

	daemon_hup(d);

	want_outcomes(sent, "completed");
	send_task("", "");
	want_outcomes(sent, "completed");
}
END_TEST

START_TEST(stop_puts_back_what_does_not_end)
{
	bus_up("server.stop_timeout_ms=1000");
	send_task("\"sleep_ms\": 600000", "");
	WAIT_UNTIL(runs(sent));

	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);

	ck_assert_int_eq(state_of(sent), 0);
	ck_assert_str_eq(outcomes(sent), "");
}
END_TEST

START_TEST(no_runners_leave_tasks_to_other_hosts)
{
	bus_up("runner.count=0");

	send_task("", "");

	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(
		daemon_children(d, "runner", (pid_t[DAEMON_MAX_CHILDREN]){ 0 }),
		0);
	ck_assert_int_eq(state_of(sent), 3); /* nobody has said the name */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tasks");
	TCase *tc = fixture_case(s, "sending");

	tcase_add_test(tc, task_runs_and_leaves_its_attempt);
	tcase_add_test(tc, rolled_back_send_never_runs);
	tcase_add_test(tc, event_makes_one_task_for_each_handler);
	tcase_add_test(tc, singleton_key_suppresses_until_the_task_is_done);
	tcase_add_test(tc, wrong_options_and_payloads_are_refused_or_dead);
	tcase_add_test(tc, unknown_names_stay_queued);
	tcase_add_test(tc, sends_in_sql_notify_once_in_5_ms_at_most);
	tc = fixture_case(s, "order");
	tcase_add_test(tc, higher_priority_goes_first_and_delays_are_kept);
	tcase_add_test(tc, tenants_of_a_queue_take_turns);
	tc = fixture_case(s, "failing");
	tcase_add_test(tc, failures_are_tried_again_and_end_as_dead_letters);
	tcase_add_test(tc, hopeless_task_is_tried_once);
	tcase_add_test(tc, task_past_its_time_ends_at_its_next_wait);
	tcase_add_test(tc, cancelled_tasks_do_not_run_on);
	tc = fixture_case(s, "limits");
	tcase_add_test(tc, concurrency_of_a_queue_holds_over_all_runners);
	tcase_add_test(tc, concurrency_of_a_tenant_holds_over_all_runners);
	tcase_add_test(tc, rate_of_a_queue_holds_in_every_window);
	tc = fixture_case(s, "stopping");
	tcase_add_test(tc, reload_lets_running_tasks_end);
	tcase_add_test(tc, stop_puts_back_what_does_not_end);
	tcase_add_test(tc, no_runners_leave_tasks_to_other_hosts);
	return fixture_run(s);
}
