/*
 * The task bus when somebody dies: a runner, the master, a whole host, the
 * database.  What was at work runs elsewhere, and never twice at a time.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "integration/task_calls.h"

#define CROWD 30

static bool gone(pid_t pid)
{
	return kill(pid, 0) < 0;
}

/* ---- runners ---- */

/* How long each of them waited for its second begin is printed; a busy
 * machine may need longer than the second that is promised. */
START_TEST(tasks_of_a_killed_runner_run_elsewhere)
{
	const char *killed_at;
	int64_t lost;
	pid_t dead;

	bus_up();
	for (int i = 0; i < CROWD; i++)
		send_task("\"sleep_ms\": 2000", "");
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task_selftest") ==
		   CROWD);
	dead = runner_of(sent);
	ck_assert_int_gt(dead, 0);

	killed_at = sql_str(db, "SELECT clock_timestamp()");
	kill(dead, SIGKILL);

	want_all_done();
	lost = sql_num(db, "SELECT count(*) FROM tallyd.task_attempt"
			   " WHERE outcome = 'lost'");
	ck_assert_int_gt(lost, 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_attempt"
				     " WHERE outcome = 'completed'"),
			 CROWD);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_selftest"
				     " WHERE attempt = 2"),
			 lost);
	ck_assert_int_eq(overlaps(), 0);
	printf("%lld tasks of a killed runner ran elsewhere after %s ms at "
	       "most\n",
	       (long long)lost,
	       sql_str(db,
		       "SELECT round(1000 * extract(epoch FROM max(began_at)"
		       " - '%s')) FROM tallyd.task_selftest WHERE attempt = 2",
		       killed_at));
}
END_TEST

START_TEST(only_runner_is_replaced_and_takes_its_own_tasks_back)
{
	pid_t dead;

	bus_up("runner.count=1");
	send_task("\"sleep_ms\": 1500", "");
	WAIT_UNTIL(runs(sent));
	dead = daemon_child(d, "runner");

	kill(dead, SIGKILL);

	want_outcomes(sent, "lost,completed");
	ck_assert_int_eq(overlaps(), 0);
}
END_TEST

START_TEST(runner_whose_loop_stands_still_is_replaced)
{
	pid_t stuck;

	bus_up("runner.count=1");
	stuck = daemon_child(d, "runner");

	/* its failure would be told at 120 s: far behind the kill */
	send_task("\"spin_ms\": 120000", "\"timeout_ms\": 100");

	WAIT_UNTIL(gone(stuck));
	ck_assert(gone(stuck));
	WAIT_UNTIL(strstr(outcomes(sent), "lost") != NULL);
	ck_assert_ptr_nonnull(strstr(outcomes(sent), "lost"));
}
END_TEST

START_TEST(master_that_dies_takes_no_task_along)
{
	bus_up();
	send_task("\"sleep_ms\": 2000", "");
	WAIT_UNTIL(runs(sent));

	daemon_stop(d, SIGKILL, 15000);
	fixture_again();

	WAIT_UNTIL(strstr(outcomes(sent), "completed") != NULL);
	ck_assert_ptr_nonnull(strstr(outcomes(sent), "completed"));
	ck_assert_int_eq(overlaps(), 0);
}
END_TEST

/* ---- hosts ---- */

static struct daemon *second_host(void)
{
	struct daemon *two = daemon_new(
		NULL, DAEMON_SETTINGS("runner.selftest=yes", "runner.count=1"));

	daemon_on_database(two, tl_strdup(d->conninfo));
	daemon_spawn(two);
	ck_assert(daemon_wait_ready(two, 60000));
	return two;
}

/* The master first, so that it replaces nobody, and whoever serves there. */
static void signal_host(const struct daemon *host, int sig)
{
	static const char *const kinds[] = { "runner", "worker", "flusher",
					     "scheduler" };
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
	pid_t pids[KINDS][DAEMON_MAX_CHILDREN];
	size_t n[KINDS];

	for (size_t k = 0; k < KINDS; k++)
		n[k] = daemon_children(host, kinds[k], pids[k]);
	kill(host->pid, sig);
	for (size_t k = 0; k < KINDS; k++)
		while (n[k] > 0)
			kill(pids[k][--n[k]], sig);
}

/* Attempts of it that have begun. */
static int64_t begun(int64_t id)
{
	return sql_num(db,
		       "SELECT count(*) FROM tallyd.task_selftest"
		       " WHERE task_id = %lld",
		       (long long)id);
}

static void let_lease_end(int64_t id)
{
	sql_exec(db,
		 "UPDATE tallyd.task SET lease_until = now() - INTERVAL '1 s'"
		 " WHERE task_id = %lld AND state = 2",
		 (long long)id);
}

/* A host that stands still has lost its task when the lease is over.  What it
 * says of it later counts for nothing, and what it still holds is its own. */
START_TEST(late_result_of_a_lost_attempt_changes_nothing)
{
	struct daemon *two;
	int64_t lost, held;

	bus_up("runner.count=1");
	lost = send_task("\"sleep_ms\": 1500", "");
	held = send_task("\"sleep_ms\": 1500", "");
	WAIT_UNTIL(runs(lost) && runs(held));

	signal_host(d, SIGSTOP);
	let_lease_end(lost);
	two = second_host();
	WAIT_UNTIL(begun(lost) == 2);
	ck_assert_int_eq(state_of(held), 2);
	signal_host(d, SIGCONT); /* while the second attempt is at work */

	want_outcomes(lost, "lost,completed");
	want_outcomes(held, "completed");
	send_task("", ""); /* both hosts serve */
	want_outcomes(sent, "completed");
	want_outcomes(lost, "lost,completed");
	ck_assert_int_eq(begun(lost), 2);
	ck_assert_int_eq(sql_num(db,
				 "SELECT attempt FROM tallyd.task_attempt"
				 " WHERE task_id = %lld"
				 "   AND outcome = 'completed'",
				 (long long)lost),
			 2);
	ck_assert_int_eq(unfinished(), 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_dead"),
			 0);
	daemon_stop(two, SIGTERM, 15000);
	daemon_free(&two);
}
END_TEST

START_TEST(tasks_of_a_dead_host_return_when_their_lease_ends)
{
	struct daemon *two;
	int64_t early, late;

	bus_up("runner.count=1");
	early = send_task("\"sleep_ms\": 2000", "");
	late = send_task("\"sleep_ms\": 2000", "");
	WAIT_UNTIL(runs(early) && runs(late));

	signal_host(d, SIGKILL);
	daemon_stop(d, SIGKILL, 15000);
	let_lease_end(early);
	two = second_host();
	want_outcomes(early, "lost,completed");
	ck_assert_int_eq(state_of(late), 2);
	/* leases are looked at twice a minute, and by who begins */
	let_lease_end(late);
	ck_assert(daemon_kill_child(two, "runner", 0));

	WAIT_UNTIL(unfinished() == 0);
	ck_assert_int_eq(unfinished(), 0);
	ck_assert_ptr_nonnull(strstr(outcomes(late), "completed"));
	ck_assert_int_eq(overlaps(), 0);
	daemon_stop(two, SIGTERM, 15000);
	daemon_free(&two);
}
END_TEST

/* ---- the database ---- */

START_TEST(database_that_was_away_changes_nothing)
{
	bus_up();
	send_task("\"sleep_ms\": 500", "");
	WAIT_UNTIL(runs(sent));

	sql_close();
	pgtest_halt(pg);
	test_sleep_ms(200);
	pgtest_resume(pg);

	WAIT_UNTIL(strstr(outcomes(sent), "completed") != NULL);
	ck_assert_ptr_nonnull(strstr(outcomes(sent), "completed"));
	want_all_done();
	ck_assert_int_eq(overlaps(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("task_deaths");
	TCase *tc = fixture_case(s, "deaths");

	tcase_add_test(tc, tasks_of_a_killed_runner_run_elsewhere);
	tcase_add_test(tc,
		       only_runner_is_replaced_and_takes_its_own_tasks_back);
	tcase_add_test(tc, runner_whose_loop_stands_still_is_replaced);
	tcase_add_test(tc, master_that_dies_takes_no_task_along);
	tcase_add_test(tc, late_result_of_a_lost_attempt_changes_nothing);
	tcase_add_test(tc, tasks_of_a_dead_host_return_when_their_lease_ends);
	tcase_add_test(tc, database_that_was_away_changes_nothing);
	return fixture_run(s);
}
