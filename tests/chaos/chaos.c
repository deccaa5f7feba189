/*
 * chaos.c - kills what it can under load, then compares the sums.
 *
 *	chaos [--kills N] [--seconds S] [--strict] [--workers N] [--seed N]
 *	      [--outage S] [--kill-postgres N]
 *
 * While the clients of charge.h charge, workers, the flusher and the master
 * (the next one started at once) are killed at random, PostgreSQL is stopped
 * for the time of --outage and killed --kill-postgres times.  At the end the
 * books may hold one charge more for each killed process, in strict mode what
 * was waiting at a kill.  No known key may have been refused.
 * Exit status 0 when all of it held, 1 when not.
 */
#include "config.h" /* _GNU_SOURCE */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "chaos/charge.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

static struct {
	unsigned kills, seconds, outage, postgres_kills, workers, seed;
	bool strict;
} opt = { .kills = 25, .seconds = 15, .workers = 2, .seed = 1 };

static struct pgtest *pg;
static struct daemon *daemon_;
static unsigned killed_workers, killed_flushers, killed_masters;

/* Now and then one that has just begun, which delays its successor. */
static bool kill_child(const char *kind)
{
	return daemon_kill_child(daemon_, kind, rand() % 8 == 0 ? 0 : 1050);
}

static void kill_one(void)
{
	int dice = rand() % 100;

	if (dice < 15) {
		daemon_stop(daemon_, SIGKILL, 5000);
		daemon_spawn(daemon_); /* at once: the old children still end */
		killed_masters++;
	} else if (dice < 40) {
		killed_flushers += kill_child("flusher");
	} else {
		killed_workers += kill_child("worker");
	}
	/* A master that gave up is a finding, not something to hide. */
	if (daemon_->pid != 0 &&
	    waitpid(daemon_->pid, NULL, WNOHANG) == daemon_->pid) {
		daemon_->pid = 0;
		world_die("the master ended by itself:\n%s",
			  daemon_story(daemon_));
	}
}

static unsigned kills_done(void)
{
	return killed_workers + killed_flushers + killed_masters;
}

/* `kills` kills spread over the seconds, with uneven steps. */
static void rampage(unsigned kills, unsigned seconds)
{
	uint64_t until = test_mono_ns() + seconds * 1000000000ull;
	unsigned step_ms = kills > 0 ? seconds * 1000 / kills : 0, goal;

	for (goal = kills_done() + kills; kills_done() < goal;) {
		test_sleep_ms(step_ms > 1 ? (unsigned)rand() % (2 * step_ms)
					  : 1);
		kill_one();
	}
	while (test_mono_ns() < until)
		test_sleep_ms(10);
}

static void teardown(void)
{
	daemon_free(&daemon_);
	pgtest_stop(&pg);
}

static void setup(void)
{
	char workers[32];

	world_init();
	atexit(teardown); /* also when something gives up; before world's own */
	pg = pgtest_start();
	snprintf(workers, sizeof(workers), "server.workers=%u", opt.workers);
	daemon_ = daemon_start(
		pg,
		DAEMON_SETTINGS(workers, CHARGE_SETTINGS,
				opt.strict ? "metering.durability=strict"
					   : "metering.durability=interval"));
	charge_prepare(daemon_, &(struct charge_opts){ .strict = opt.strict });
}

static void outages(void)
{
	unsigned i;

	if (opt.outage > 0) {
		sql_close();
		pgtest_halt(pg);
		rampage(opt.kills / 4, opt.outage);
		pgtest_resume(pg);
	}
	for (i = 0; i < opt.postgres_kills; i++) {
		sql_close();
		test_sleep_ms(500);
		pgtest_kill9(pg);
		test_sleep_ms(500);
		pgtest_resume(pg);
	}
}

/* In strict mode those that were waiting for their commit. */
static uint64_t allowed(void)
{
	struct charge_sums s = charge_sums();
	uint64_t lost = s.unanswered + s.away + s.busy, most;

	if (!opt.strict)
		return kills_done();
	most = kills_done() * CHARGE_CLIENTS + s.away;
	return lost < most ? lost : most;
}

static bool compare(void)
{
	printf("mode                  %s, %u workers, seed %u\n"
	       "killed                %u workers, %u flushers, %u masters\n"
	       "PostgreSQL            stopped %u s, killed %u times\n",
	       opt.strict ? "strict" : "interval", opt.workers, opt.seed,
	       killed_workers, killed_flushers, killed_masters, opt.outage,
	       opt.postgres_kills);
	return charge_compare(allowed());
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "kills", required_argument, NULL, 'k' },
		{ "seconds", required_argument, NULL, 's' },
		{ "strict", no_argument, NULL, 'S' },
		{ "workers", required_argument, NULL, 'w' },
		{ "seed", required_argument, NULL, 'r' },
		{ "outage", required_argument, NULL, 'o' },
		{ "kill-postgres", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned *const values[] = { &opt.kills,   &opt.seconds,
				     &opt.workers, &opt.seed,
				     &opt.outage,  &opt.postgres_kills };
	const char *names = "kswrop";
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o == 'S')
			opt.strict = true;
		else if (strchr(names, o) != NULL)
			*values[strchr(names, o) - names] =
				(unsigned)strtoul(optarg, NULL, 10);
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	int status;
	bool good;

	parse_args(argc, argv);
	srand(opt.seed);
	setup();
	charge_warm_up();
	charge_start();
	rampage(opt.kills - (opt.outage > 0 ? opt.kills / 4 : 0), opt.seconds);
	outages();
	if (!daemon_wait_ready(daemon_, 60000))
		world_die("not ready at the end:\n%s", daemon_story(daemon_));
	charge_stop();

	/* The last kill may have been the flusher's: a stop before there is a
	 * new one leaves usage in the segment, for the next start. */
	test_sleep_ms(2000);
	daemon_child(daemon_, "flusher");
	status = daemon_stop(daemon_, SIGTERM, 60000);
	good = compare();
	good = charge_compare_rows(kills_done()) && good;
	if (status != 0)
		printf("the last stop ended with status %d\n", status);
	printf("%s\n", good && status == 0 ? "PASS" : "FAIL");
	if (!good || status != 0)
		printf("log:\n%s\n", daemon_story(daemon_));
	return good && status == 0 ? 0 : 1;
}
