/*
 * tasks.c - kills what it can while tasks run, then looks at every task.
 *
 *	tasks [--tasks N] [--kills N] [--seconds S] [--seed N]
 *	      [--kill-postgres N]
 *
 * Tasks that leave a row when they begin and when they end are sent all the
 * time in SQL; one in eight fails at first.  Meanwhile runners, schedulers and
 * the master are killed at random, PostgreSQL --kill-postgres times.  At the
 * end:
 *
 *	every task is done: one attempt of it is completed, none is dead
 *	each completed attempt has left exactly one row with both ends
 *	no attempt began while one before it was still at work
 *
 * Exit status 0 when all of it held, 1 when not.
 */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

#define END_MS 120000

static struct {
	unsigned tasks, kills, seconds, seed, postgres_kills;
} opt = { 3000, 15, 10, 1, 1 };

static struct pgtest *pg;
static struct daemon *d;
static unsigned killed[4]; /* runners, schedulers, masters, postgres */

static void kill_one(unsigned left)
{
	int dice = rand() % 100;

	if (opt.postgres_kills > killed[3] &&
	    (unsigned)rand() % left < opt.postgres_kills - killed[3]) {
		sql_close();
		pgtest_kill9(pg);
		test_sleep_ms(100);
		pgtest_resume(pg);
		killed[3]++;
	} else if (dice < 10) {
		daemon_stop(d, SIGKILL, 5000);
		daemon_spawn(d);
		killed[2]++;
	} else if (dice < 20) {
		killed[1] += daemon_kill_child(d, "scheduler", 1050);
	} else { /* one in four within its first second: it comes later */
		killed[0] += daemon_kill_child(d, "runner",
					       rand() % 4 == 0 ? 0 : 1050);
	}
	if (d->pid != 0 && waitpid(d->pid, NULL, WNOHANG) == d->pid) {
		d->pid = 0;
		world_die("the master ended by itself:\n%s", daemon_story(d));
	}
}

static unsigned kills_done(void)
{
	return killed[0] + killed[1] + killed[2] + killed[3];
}

/* Which of a piece were sent is known even when its COMMIT was not answered:
 * the numbers are given, not taken. */
static unsigned send_some(unsigned sent, unsigned n)
{
	unsigned to = sent + n < opt.tasks ? sent + n : opt.tasks;

	if (!sql_try(d->conninfo,
		     "INSERT INTO tallyd.task (task_id, name, queue, payload,"
		     " retry_limit, retry_delay_ms, retry_backoff, timeout_ms)"
		     "SELECT g, 'tallyd.selftest.work', 'selftest',"
		     " jsonb_build_object('note', true,"
		     "  'sleep_ms', CASE g %% 16 WHEN 1 THEN 300 ELSE g %% 8"
		     "   END, 'fail', CASE g %% 8 WHEN 0 THEN 1 ELSE 0 END),"
		     " 3, 20, false, 60000 FROM generate_series(%u, %u) g;"
		     "SELECT tallyd.task_notify()",
		     sent + 1, to))
		return sent;
	return to;
}

static void rampage(void)
{
	uint64_t begin = test_mono_ns(), span = opt.seconds * 1000000000ull;
	unsigned sent = 0, goal, tries = 0;
	uint64_t past;

	while ((past = test_mono_ns() - begin) < span || sent < opt.tasks ||
	       kills_done() < opt.kills) {
		goal = (unsigned)((double)opt.kills * (double)past /
				  (double)span);
		if (sent < opt.tasks * (double)past / (double)span + 1)
			sent = send_some(sent, opt.tasks / 50 + 1);
		if (kills_done() < goal && kills_done() < opt.kills)
			kill_one(opt.kills - kills_done());
		test_sleep_ms(5);
		if (++tries > 200 * opt.seconds + 60000)
			break;
	}
}

static int64_t unfinished(void)
{
	return sql_num(d->conninfo, "SELECT count(*) FROM tallyd.task");
}

/* The number that a question finds, which should be `want`. */
static bool is(const char *what, int64_t want, const char *sql)
{
	int64_t n = sql_num(d->conninfo, "%s", sql);

	printf("%-52s %8lld %s\n", what, (long long)n,
	       n == want ? "good" : "WRONG");
	return n == want;
}

static bool look(void)
{
	bool good = true;

	good &= is("tasks that are not finished", 0,
		   "SELECT count(*) FROM tallyd.task");
	good &= is("tasks that ended without success", 0,
		   "SELECT count(*) FROM tallyd.task_dead");
	good &= is("tasks with one completed attempt", opt.tasks,
		   "SELECT count(*) FROM (SELECT task_id"
		   "  FROM tallyd.task_attempt WHERE outcome = 'completed'"
		   " GROUP BY task_id HAVING count(*) = 1) t");
	good &= is("completed attempts without their one effect", 0,
		   "SELECT count(*) FROM tallyd.task_attempt a"
		   " WHERE a.outcome = 'completed' AND 1 <> (SELECT count(*)"
		   "  FROM tallyd.task_selftest s WHERE s.task_id = a.task_id"
		   "   AND s.attempt = a.attempt AND s.ended_at IS NOT NULL)");
	good &= is("attempts that began before one ahead had ended", 0,
		   "SELECT count(*) FROM tallyd.task_selftest a"
		   "  JOIN tallyd.task_selftest b ON b.task_id = a.task_id"
		   "   AND b.attempt > a.attempt"
		   "   AND b.began_at < coalesce(a.ended_at, a.began_at)");
	return good;
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "tasks", required_argument, NULL, 't' },
		{ "kills", required_argument, NULL, 'k' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "kill-postgres", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned *const values[] = { &opt.tasks, &opt.kills, &opt.seconds,
				     &opt.seed, &opt.postgres_kills };
	const char *names = "tksrp", *at;
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		at = strchr(names, o);
		if (at == NULL)
			exit(2);
		*values[at - names] = (unsigned)strtoul(optarg, NULL, 10);
	}
}

static void teardown(void)
{
	daemon_free(&d);
	pgtest_stop(&pg);
}

int main(int argc, char **argv)
{
	uint64_t end;
	int status;
	bool good;

	parse_args(argc, argv);
	srand(opt.seed);
	world_init();
	pg = pgtest_start();
	atexit(teardown);
	d = daemon_start(pg, DAEMON_SETTINGS("runner.count=3",
					     "runner.selftest=yes",
					     "runner.tasks=50"));
	rampage();
	if (!daemon_wait_ready(d, 60000))
		world_die("not ready at the end:\n%s", daemon_story(d));
	end = test_mono_ns() + END_MS * 1000000ull;
	while (unfinished() > 0 && test_mono_ns() < end)
		test_sleep_ms(50);
	printf("killed: %u runners, %u schedulers, %u masters, %u times "
	       "postgresql; %lld attempts lost\n",
	       killed[0], killed[1], killed[2], killed[3],
	       (long long)sql_num(d->conninfo,
				  "SELECT count(*) FROM tallyd.task_attempt"
				  " WHERE outcome = 'lost'"));
	good = look();
	sql_close();
	status = daemon_stop(d, SIGTERM, 60000);
	printf("%s\n", good && status == 0 ? "PASS" : "FAIL");
	if (!good || status != 0)
		printf("log:\n%s\n", daemon_story(d));
	return good && status == 0 ? 0 : 1;
}
