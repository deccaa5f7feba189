/*
 * mixed.c - all kinds of kills and faults at once under load, then the books.
 *
 *	mixed [--kills N] [--seconds S] [--seed N] [--workers N] [--only NAME]
 *	      [--log FILE]
 *
 * While the clients of charge.h charge, N faults are picked at random and
 * spread over the seconds: processes are killed, crashed and frozen, the
 * master is stopped and told to reload and to upgrade; PostgreSQL is killed,
 * stopped, frozen, slow and cut off; descriptors and memory of workers run
 * out; slow connections and garbage come in.  Those that last overlap with
 * others.  At the end the books may hold one charge more for each process that
 * died.  --only leaves the others out; the daemon logs to FILE, with a line
 * for each fault between its own.  Exit status 0 when the books balance.
 */
#include "config.h" /* _GNU_SOURCE */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "chaos/charge.h"
#include "chaos/mixed.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/slowpath.h"
#include "lib/sql.h"
#include "lib/world.h"

#define STOP_MS     90000
#define PATIENCE_MS 1500

static struct {
	unsigned kills, seconds, seed, workers;
	const char *only, *log;
} opt = { 150, 45, 1, 3, NULL, NULL };

struct pgtest *pg;
struct slowpath *way;
struct daemon *d;
static unsigned bad_stops;

/* So that the log tells what the daemon had to suffer when. */
static void note(const char *name, const char *what)
{
	FILE *f = opt.log != NULL ? fopen(d->log_file, "a") : NULL;
	struct timespec ts;

	if (f == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	fprintf(f, "%ld.%03ld ---- %s%s\n", (long)ts.tv_sec,
		ts.tv_nsec / 1000000, name, what);
	fclose(f);
}

/* A master that gave up is a finding, not something to hide. */
static void expect_master(void)
{
	int status;

	if (d->pid == 0 || waitpid(d->pid, &status, WNOHANG) != d->pid)
		return;
	d->pid = 0;
	world_die("the master ended by itself, status 0x%x:\n%s", status,
		  daemon_story(d));
}

static void end_faults(bool all)
{
	for (struct mixed_fault *f = MIXED_FAULTS; f->name != NULL; f++) {
		if (f->until_ns == 0 || (!all && test_mono_ns() < f->until_ns))
			continue;
		note(f->name, " ends");
		f->end();
		f->until_ns = 0;
	}
}

/* What lasts goes on and ends meanwhile. */
bool mixed_stop_and_start(void)
{
	static const int sigs[] = { SIGTERM, SIGTERM, SIGINT, SIGQUIT };
	uint64_t until_ns = test_mono_ns() + STOP_MS * 1000000ull;
	int status;

	if (!mixed_serves() && rand() % 64 != 0)
		return false;
	note("stop and start", " begins");
	kill(d->pid, sigs[rand() % 4]);
	while (waitpid(d->pid, &status, WNOHANG) != d->pid) {
		if (test_mono_ns() > until_ns)
			world_die("the master does not stop:\n%s",
				  daemon_story(d));
		end_faults(false);
		test_sleep_ms(5);
	}
	bad_stops += status != 0;
	daemon_spawn(d);
	return true;
}

static unsigned weight_of(const struct mixed_fault *f)
{
	return opt.only == NULL || strcmp(opt.only, f->name) == 0 ? f->weight
								  : 0;
}

static struct mixed_fault *some_fault(void)
{
	unsigned total = 0, dice;
	struct mixed_fault *f;

	for (f = MIXED_FAULTS; f->name != NULL; f++)
		total += weight_of(f);
	if (total == 0)
		world_die("there is no fault '%s'", opt.only);
	dice = (unsigned)rand() % total;
	for (f = MIXED_FAULTS; dice >= weight_of(f); f++)
		dice -= weight_of(f);
	return f;
}

/*
 * One that is not possible now is waited for, or those that always are would
 * be all there is; but not for ever.
 */
static bool one_fault(void)
{
	static struct mixed_fault *f;
	static uint64_t until_ns;
	uint64_t now_ns = test_mono_ns();

	expect_master();
	if (f == NULL || now_ns >= until_ns) {
		f = some_fault();
		until_ns = now_ns + PATIENCE_MS * 1000000ull;
	}
	if (f->until_ns != 0 || !f->begin())
		return false;
	note(f->name, f->end != NULL ? " begins" : "");
	f->times++;
	if (f->end != NULL)
		f->until_ns = test_mono_ns() +
			      (f->min_ms +
			       (unsigned)rand() % (f->max_ms - f->min_ms)) *
				      1000000ull;
	f = NULL;
	return true;
}

static void progress(unsigned done, unsigned seconds)
{
	struct charge_sums s = charge_sums();

	printf("%4u s  %5u faults  %8lu answered  %6lu unanswered  %6lu of "
	       "503\n",
	       seconds, done, (unsigned long)s.answered,
	       (unsigned long)s.unanswered, (unsigned long)(s.busy + s.away));
	fflush(stdout);
}

static void rampage(void)
{
	uint64_t begin = test_mono_ns(), span = opt.seconds * 1000000000ull;
	uint64_t past;
	unsigned done = 0, told = 0;

	while ((past = test_mono_ns() - begin) < span || done < opt.kills) {
		end_faults(false);
		if (past / 30000000000ull > told) {
			told++;
			progress(done, (unsigned)(past / 1000000000));
		}
		if (done < opt.kills &&
		    done < (double)opt.kills * (double)past / (double)span)
			done += one_fault();
		test_sleep_ms(5);
	}
	end_faults(true);
	progress(done, (unsigned)((test_mono_ns() - begin) / 1000000000));
}

/* ---- around it ---- */

static void teardown(void)
{
	daemon_free(&d);
	slowpath_stop(&way);
	pgtest_stop(&pg);
}

static void setup(void)
{
	char workers[32], *info, *url;

	world_init();
	atexit(teardown);
	pg = pgtest_start();
	way = slowpath_start(pg);
	snprintf(workers, sizeof(workers), "server.workers=%u", opt.workers);
	d = daemon_new(pg, DAEMON_SETTINGS(workers, CHARGE_SETTINGS,
					   "runner.count=2",
					   "shm.request_log=65536",
					   "server.request_timeout_ms=5000"));
	info = slowpath_way(way, d->conninfo);
	url = tl_asprintf("database.url=%s", info);
	daemon_set(d, url);
	if (opt.log != NULL) {
		tl_free(d->log_file);
		d->log_file = tl_strdup(opt.log);
	}
	tl_free(info);
	tl_free(url);
	daemon_spawn(d);
	if (!daemon_wait_ready(d, 60000))
		world_die("tallyd did not get ready:\n%s", daemon_story(d));
	charge_prepare(d, &(struct charge_opts){ .busy_is_fair = true,
						 .pause_ms = 4 });
}

static bool compare(void)
{
	/* a name that is forgotten is charged again when it is repeated */
	uint64_t allowed =
		mixed_deaths + (uint64_t)mixed_crashes * CHARGE_CLIENTS / 2;
	bool good;

	printf("seed                  %u, %u workers\n", opt.seed, opt.workers);
	for (const struct mixed_fault *f = MIXED_FAULTS; f->name != NULL; f++)
		printf("%-21s %u\n", f->name, f->times);
	printf("stops that were not clean %u\n", bad_stops);
	good = charge_compare(allowed);
	return charge_compare_rows(allowed) && good;
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "kills", required_argument, NULL, 'k' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "workers", required_argument, NULL, 'w' },
		{ "only", required_argument, NULL, 'o' },
		{ "log", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned *const values[] = { &opt.kills, &opt.seconds, &opt.seed,
				     &opt.workers };
	const char *names = "ksrw", *at;
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		at = strchr(names, o);
		if (o == 'o')
			opt.only = optarg;
		else if (o == 'l')
			opt.log = optarg;
		else if (at != NULL)
			*values[at - names] =
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
	rampage();
	if (!daemon_wait_ready(d, 60000))
		world_die("not ready at the end:\n%s", daemon_story(d));
	charge_stop();
	/* the last one may have been the flusher's */
	test_sleep_ms(2000);
	daemon_child(d, "flusher");
	status = daemon_stop(d, SIGTERM, STOP_MS);
	good = compare() && status == 0;
	if (status != 0)
		printf("the last stop ended with status %d\n", status);
	printf("%s\n", good ? "PASS" : "FAIL");
	if (!good)
		printf("log:\n%s\n", daemon_story(d));
	return good ? 0 : 1;
}
