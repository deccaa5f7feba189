/*
 * faults.c - one fault after the other under load, and the books after each.
 *
 *	faults [NAME ...]
 *
 * Without names all of them, with "short" those of make check.  A row each:
 * how many charges were answered, how many had no answer or 503, and by how
 * much the database differs from what was answered.  Exit status 0 when all
 * books balance and users saw no more than README.md says; 77 when nothing
 * could be run here.
 */
#include "config.h" /* _GNU_SOURCE */

#include "chaos/faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "chaos/charge.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/slowpath.h"
#include "lib/sql.h"
#include "lib/world.h"

#define STOP_MS 90000

struct pgtest *pg;
struct daemon *d;
static const char *running;

/* ---- around each ---- */

void fault_prepare(void)
{
	pgtest_resume(pg);
	d = daemon_new(pg, DAEMON_SETTINGS(CHARGE_SETTINGS));
}

void fault_load(void)
{
	daemon_spawn(d);
	if (!daemon_wait_ready(d, 60000))
		world_die("tallyd did not get ready:\n%s", daemon_story(d));
	charge_prepare(d, &(struct charge_opts){ .busy_is_fair = true,
						 .pause_ms = 4 });
	charge_warm_up();
	charge_start();
	test_sleep_ms(300);
}

void fault_begin(void)
{
	fault_prepare();
	fault_load();
}

static const char *complaint(void)
{
	static const char *const words[] = { "ERROR: AddressSanitizer",
					     "ERROR: LeakSanitizer",
					     "runtime error:", "assertion" };
	const char *found = NULL;
	char *log = daemon_log(d);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(log, words[i]) != NULL)
			found = words[i];
	tl_free(log);
	return found;
}

void fault_end(uint64_t allowed, bool seen)
{
	struct charge_sums s;
	int status;
	bool good;

	/* also: it has noticed that the database is there again */
	if (!daemon_wait_ready(d, 60000))
		world_die("not ready at the end:\n%s", daemon_story(d));
	test_sleep_ms(300);
	charge_stop();
	daemon_child(d, "flusher");
	status = daemon_stop(d, SIGTERM, STOP_MS);
	s = charge_sums();
	good = charge_balanced(allowed) && complaint() == NULL &&
	       (status == 0 || allowed > 0) &&
	       (seen || s.unanswered + s.away == 0);
	printf("%-11s %7lu answered %5lu no answer %4lu 503 at the gate %4lu "
	       "503 to a record %3ld more in the books  %s\n",
	       running, (unsigned long)s.answered, (unsigned long)s.unanswered,
	       (unsigned long)s.away, (unsigned long)s.busy,
	       (long)charge_difference(), good ? "good" : "WRONG");
	if (!good)
		printf("stopped with status 0x%x; log:\n%s\n", status,
		       daemon_story(d));
	exit(good ? 0 : 1);
}

void fault_skip(const char *why)
{
	printf("%-11s skipped: %s\n", running, why);
	exit(FAULT_SKIPPED);
}

bool fault_logged(const char *words)
{
	char *log = daemon_log(d);
	bool has = strstr(log, words) != NULL;

	tl_free(log);
	return has;
}

void fault_want_log(const char *words)
{
	WAIT_UNTIL(fault_logged(words));
	if (!fault_logged(words))
		world_die("%s: no '%s' in the log:\n%s", running, words,
			  daemon_story(d));
}

/* ---- stops ---- */

static void stops(void)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGQUIT };

	fault_prepare();
	daemon_set(d, "metering.flush_interval_ms=10000");
	fault_load();
	for (size_t i = 0; i < 3; i++) {
		if (daemon_stop(d, sigs[i], STOP_MS) != 0)
			world_die("signal %d is no clean stop:\n%s", sigs[i],
				  daemon_story(d));
		daemon_spawn(d);
		if (!daemon_wait_ready(d, 60000))
			world_die("no start:\n%s", daemon_story(d));
		test_sleep_ms(300);
	}
	fault_end(0, true);
}

/* ---- the database ---- */

/* Known keys are served as if nothing were. */
static void stopped(void)
{
	fault_begin();
	pgtest_halt(pg);
	test_sleep_ms(3000);
	pgtest_resume(pg);
	fault_end(0, false);
}

static void frozen(void)
{
	fault_begin();
	pgtest_freeze(pg);
	test_sleep_ms(3000);
	pgtest_thaw(pg);
	fault_end(0, false);
}

static void slow(void)
{
	struct slowpath *way = slowpath_start(pg);
	char *info, *url;

	fault_prepare();
	info = slowpath_way(way, d->conninfo);
	url = tl_asprintf("database.url=%s", info);
	daemon_set(d, url);
	tl_free(info);
	tl_free(url);
	fault_load();
	slowpath_delay(way, 100);
	test_sleep_ms(3000);
	slowpath_cut(way);
	test_sleep_ms(500);
	slowpath_delay(way, 0);
	fault_end(0, false);
}

static struct pgtest *first, *second;

static void stop_both(void)
{
	pgtest_stop(&second);
	pgtest_stop(&first);
}

/* The primary dies; its synchronous standby is promoted a second later. */
static void failover(void)
{
	const char *database;
	char *url;

	atexit(stop_both);
	first = pg = pgtest_start();
	fault_prepare();
	sql_close();
	second = pgtest_standby(first);
	database = strstr(d->conninfo, "dbname=");
	url = tl_asprintf("database.url=host=%s,%s user=postgres %s "
			  "target_session_attrs=read-write",
			  pgtest_dir(first), pgtest_dir(second), database);
	daemon_set(d, url);
	tl_free(url);
	pgtest_sql(first, "ALTER SYSTEM SET synchronous_standby_names = '*'");
	pgtest_sql(first, "SELECT pg_reload_conf()");
	fault_load();

	pgtest_kill9(first);
	test_sleep_ms(1000);
	pgtest_sql(second, "SELECT pg_promote()");
	url = d->conninfo;
	d->conninfo = tl_asprintf("host=%s user=postgres %s",
				  pgtest_dir(second), database);
	tl_free(url);
	fault_end(0, false);
}

/* ---- all of them ---- */

static const struct fault faults_of_database[] = {
	{ "stop", true, stops },         { "stopped", false, stopped },
	{ "frozen", true, frozen },      { "slow", true, slow },
	{ "failover", false, failover }, { NULL, false, NULL },
};
static const struct fault *const all[] = { faults_of_database, FAULTS_OF_HOST };

static int run_one(const struct fault *f)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		running = f->name;
		f->run();
		_exit(1); /* it ends by fault_end */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		printf("%-11s died with status 0x%x\n", f->name, status);
		return 1;
	}
	return WEXITSTATUS(status);
}

static bool wanted(const struct fault *f, char *const *names)
{
	if (names[0] == NULL)
		return true;
	for (; *names != NULL; names++)
		if (strcmp(*names, f->name) == 0 ||
		    (f->in_short && strcmp(*names, "short") == 0))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned ran = 0, skipped = 0, bad = 0;

	(void)argc;
	world_init();
	pg = pgtest_start();
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (const struct fault *f = all[i]; f->name != NULL; f++)
			if (wanted(f, argv + 1)) {
				int code = run_one(f);

				ran++;
				skipped += code == FAULT_SKIPPED;
				bad += code != 0 && code != FAULT_SKIPPED;
			}
	pgtest_stop(&pg);
	if (ran == 0) {
		fprintf(stderr, "faults: no fault has that name\n");
		return 2;
	}
	return bad > 0 ? 1 : ran == skipped ? FAULT_SKIPPED : 0;
}
