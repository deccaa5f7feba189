/*
 * chaos.c - kills what it can under load, then compares the sums.
 *
 *	chaos [--kills N] [--seconds S] [--strict] [--workers N] [--seed N]
 *	      [--outage S] [--kill-postgres N]
 *
 * Eight clients charge a set of known keys and count every answer; half of
 * them at the gate, half with usage/record and an Idempotency-Key that they
 * repeat until it is answered.  Meanwhile workers, the flusher and the master
 * (the next one started at once) are killed at random, PostgreSQL is stopped
 * for the time of --outage and killed --kill-postgres times.  At the end:
 *
 *	answered <= sum in the database <= answered + killed processes
 *
 * for all keys together, answered <= sum for each key; in strict mode what
 * was waiting at a kill may be added.  No known key may have been refused.
 * And for request_logs, which usage/record writes: each name that was answered
 * has exactly one row, and there are no more rows than answers and kills.
 * Exit status 0 when all of it held, 1 when not.
 */
#include "config.h" /* _GNU_SOURCE */

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

#define CLIENTS 8
#define KEYS    24

struct counts {                          /* shared by all clients */
	_Atomic uint64_t answered[KEYS]; /* charges that were answered */
	_Atomic uint64_t recorded;       /* of them, by usage/record */
	_Atomic uint64_t unanswered;     /* requests without any answer */
	_Atomic uint64_t refused;        /* known key, answer not 200 */
	_Atomic uint64_t busy;           /* 503 to a repeated Idempotency-Key */
	_Atomic uint64_t
		timeouts; /* strict: 503, may be charged all the same */
	_Atomic int first_refusal;
	char refusal[600];
	_Atomic uint32_t stop;
};

static struct {
	unsigned kills, seconds, outage, postgres_kills, workers, seed;
	bool strict;
} opt = { .kills = 25, .seconds = 15, .workers = 2, .seed = 1 };

static struct counts *counts;
static struct pgtest *pg;
static struct daemon *daemon_;
static unsigned killed_workers, killed_flushers, killed_masters;

static const char *key_text(unsigned i)
{
	static char text[64];

	snprintf(text, sizeof(text), "chaos_key_number_%03u", i);
	return text;
}

static void note_refusal(const struct reply *a)
{
	atomic_fetch_add(&counts->refused, 1);
	if (atomic_exchange(&counts->first_refusal, 1) == 0)
		snprintf(counts->refusal, sizeof(counts->refusal), "%.400s%s",
			 a->head, a->body != NULL ? a->body : "");
}

/* One charge at the gate; no answer is no answer, there is no repeating. */
static void charge_gate(struct client *c, struct reply *a, unsigned key)
{
	client_get(c, "/api/gate", key_text(key), a);
	if (a->status == 200)
		atomic_fetch_add(&counts->answered[key], 1);
	else if (a->status == 0)
		atomic_fetch_add(&counts->unanswered, 1);
	else if (a->status == 503 && opt.strict)
		atomic_fetch_add(&counts->timeouts, 1);
	else
		note_refusal(a);
}

/* One charge, repeated under one name until it is answered: counts once. */
static void charge_record(struct client *c, struct reply *a, unsigned key,
			  const char *name)
{
	char head[96], body[128];

	/* the name again: each row tells whose it is */
	snprintf(body, sizeof(body), "{\"credits\":1,\"model\":\"%s\"}", name);
	snprintf(head, sizeof(head), "Idempotency-Key: %s\r\n", name);
	do {
		client_call(c, "/api/usage/record", key_text(key), body, head,
			    a);
		if (a->status == 0) {
			atomic_fetch_add(&counts->unanswered, 1);
			test_sleep_ms(1);
		} else if (a->status == 503) {
			atomic_fetch_add(&counts->busy, 1);
			test_sleep_ms(20);
		}
	} while (a->status == 0 || a->status == 503);
	if (a->status == 200) {
		atomic_fetch_add(&counts->recorded, 1);
		atomic_fetch_add(&counts->answered[key], 1);
	} else {
		note_refusal(a);
	}
}

static void client_main(unsigned number)
{
	struct client *c = client_new(daemon_->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned long i;
	char name[64];

	for (i = number; atomic_load(&counts->stop) == 0; i++) {
		if (number % 2 == 0) {
			charge_gate(c, a, (unsigned)(i % KEYS));
		} else {
			snprintf(name, sizeof(name), "c%u-%lu", number, i);
			charge_record(c, a, (unsigned)(i % KEYS), name);
			test_sleep_ms(3); /* records are kept for 24 h */
		}
		if (a->status == 0)
			test_sleep_ms(1);
	}
	client_free(&c);
	reply_deinit(a);
	tl_free(a);
	_exit(0);
}

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
	unsigned i;

	world_init();
	atexit(teardown); /* also when something gives up; before world's own */
	pg = pgtest_start();
	snprintf(workers, sizeof(workers), "server.workers=%u", opt.workers);
	daemon_ = daemon_start(
		pg, DAEMON_SETTINGS(workers, "limits.key_count=100000000",
				    "metering.flush_interval_ms=100",
				    "log.access=no", /* or gigabytes of it */
				    opt.strict ? "metering.durability=strict"
					       : "metering.durability="
						 "interval"));
	sql_exec(daemon_->conninfo,
		 "INSERT INTO plans (name, daily_credit_limit, price_cents) "
		 "VALUES ('Chaos', 2000000000, 0)");
	for (i = 0; i < KEYS; i++)
		sql_exec(daemon_->conninfo,
			 "WITH u AS (INSERT INTO users (email, plan_id) SELECT "
			 "'chaos%u@test', plan_id FROM plans WHERE name = "
			 "'Chaos' RETURNING user_id) INSERT INTO api_keys "
			 "(user_id, key_prefix, key_hash, label) SELECT "
			 "user_id, 'chaos', encode(sha256('%s'), 'hex'), '%u' "
			 "FROM u",
			 i, key_text(i), i);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		world_die("no memory for the counts");
}

/* All keys become known before anything is killed. */
static void warm_up(void)
{
	struct client *c = client_new(daemon_->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned i;

	for (i = 0; i < KEYS; i++) {
		client_get(c, "/api/gate?cost=0", key_text(i), a);
		if (a->status != 200)
			world_die("key %u is not let in: %d", i, a->status);
	}
	client_free(&c);
	reply_deinit(a);
	tl_free(a);
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

/* False: a sum is out of its bounds.  Says it either way. */
static bool compare(void)
{
	uint64_t answered = 0, allowed, lost, kills = kills_done();
	int64_t sum = 0, one;
	bool good = true;
	unsigned i;

	for (i = 0; i < KEYS; i++) {
		one = sql_num(daemon_->conninfo,
			      "SELECT coalesce(sum(credits_used), 0) FROM "
			      "daily_usage JOIN api_keys USING (key_id) WHERE "
			      "label = '%u' AND key_prefix = 'chaos'",
			      i);
		if ((uint64_t)one < counts->answered[i]) {
			printf("key %u: %lu answered, only %ld in the "
			       "database\n",
			       i, (unsigned long)counts->answered[i],
			       (long)one);
			good = false;
		}
		answered += counts->answered[i];
		sum += one;
	}
	lost = counts->unanswered + counts->timeouts + counts->busy;
	allowed = kills;
	if (opt.strict) /* those that were waiting for their commit */
		allowed = lost < kills * CLIENTS + counts->timeouts
				  ? lost
				  : kills * CLIENTS + counts->timeouts;
	printf("mode                  %s, %u workers, seed %u\n"
	       "killed                %u workers, %u flushers, %u masters\n"
	       "PostgreSQL            stopped %u s, killed %u times\n"
	       "charges answered      %lu\n"
	       "requests unanswered   %lu\n"
	       "503 to a repetition   %lu\n"
	       "503 in strict mode    %lu\n"
	       "known keys refused    %lu\n"
	       "sum in the database   %ld\n"
	       "more than answered    %ld (allowed %lu)\n",
	       opt.strict ? "strict" : "interval", opt.workers, opt.seed,
	       killed_workers, killed_flushers, killed_masters, opt.outage,
	       opt.postgres_kills, (unsigned long)answered,
	       (unsigned long)counts->unanswered, (unsigned long)counts->busy,
	       (unsigned long)counts->timeouts, (unsigned long)counts->refused,
	       (long)sum, (long)(sum - (int64_t)answered),
	       (unsigned long)allowed);
	if (counts->refused > 0) {
		printf("first refusal:\n%s\n", counts->refusal);
		good = false;
	}
	return good && answered > 0 && sum >= (int64_t)answered &&
	       (uint64_t)sum <= answered + allowed;
}

/*
 * A kill between charge and row leaves a charge whose name is free again, so
 * the repetition is charged and has the row: doubled names would be rows that
 * were written twice, missing ones rows that were lost.  A worker that dies
 * after the row and before the answer leaves a row more than answers; the
 * name of that one is free as well (it was not done), hence up to a double a
 * kill, which a row written twice by the flusher would exceed at once.
 */
static bool compare_rows(unsigned kills)
{
	int64_t n = sql_num(daemon_->conninfo,
			    "SELECT count(*) FROM request_logs WHERE model "
			    "LIKE 'c_-%%'");
	int64_t names = sql_num(daemon_->conninfo,
				"SELECT count(DISTINCT model) FROM "
				"request_logs WHERE model LIKE 'c_-%%'");
	int64_t answered = (int64_t)counts->recorded;

	printf("records answered      %ld\n"
	       "rows of request_logs  %ld, of %ld names\n",
	       (long)answered, (long)n, (long)names);
	return answered > 0 && names >= answered && n - names <= kills &&
	       n <= answered + kills;
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
	pid_t pids[CLIENTS];
	unsigned i;
	int status;
	bool good;

	parse_args(argc, argv);
	srand(opt.seed);
	setup();
	warm_up();
	sql_close();
	fflush(NULL);
	for (i = 0; i < CLIENTS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			client_main(i);
		}
	}
	rampage(opt.kills - (opt.outage > 0 ? opt.kills / 4 : 0), opt.seconds);
	outages();
	if (!daemon_wait_ready(daemon_, 60000))
		world_die("not ready at the end:\n%s", daemon_story(daemon_));
	atomic_store(&counts->stop, 1);
	for (i = 0; i < CLIENTS; i++)
		waitpid(pids[i], NULL, 0);

	status = daemon_stop(daemon_, SIGTERM, 60000);
	good = compare();
	good = compare_rows(kills_done()) && good;
	if (status != 0)
		printf("the last stop ended with status %d\n", status);
	printf("%s\n", good && status == 0 ? "PASS" : "FAIL");
	if (!good || status != 0)
		printf("log:\n%s\n", daemon_story(daemon_));
	return good && status == 0 ? 0 : 1;
}
