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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "chaos/charge.h"
#include "chaos/pest.h"
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

/* The one that lasts longest of each kind of victim. */
struct victim {
	pid_t pid;
	struct rlimit before;
};

static struct pgtest *pg;
static struct slowpath *way;
static struct daemon *d;
static struct victim frozen_worker, frozen_flusher, poor, tight;
static pid_t pests[2];
static bool database_hurt;
static unsigned deaths;  /* processes that may have died with a charge */
static unsigned crashes; /* a new segment may have forgotten names */
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

/* ---- kills ---- */

static bool kill_kind(const char *kind)
{
	/* now and then one that has just begun, which delays the next */
	if (!daemon_kill_child(d, kind, rand() % 8 == 0 ? 0 : 1050))
		return false;
	deaths++;
	return true;
}

static bool kill_worker(void)
{
	return kill_kind("worker");
}

static bool kill_flusher(void)
{
	return kill_kind("flusher");
}

static bool kill_runner(void)
{
	return kill_kind("runner");
}

static bool kill_scheduler(void)
{
	return kill_kind("scheduler");
}

static bool serves(void)
{
	pid_t pids[DAEMON_MAX_CHILDREN];

	return daemon_children(d, "worker", pids) > 0;
}

static bool kill_master(void)
{
	if (!serves() && rand() % 64 != 0) /* rarely in its start */
		return false;
	daemon_stop(d, SIGKILL, 5000);
	daemon_spawn(d); /* at once: the old children still end */
	deaths++;
	return true;
}

static pid_t some(const char *kind)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, kind, pids);

	return n > 0 ? pids[(size_t)rand() % n] : 0;
}

static bool crash_worker(void)
{
	pid_t pid = some("worker");

	if (pid == 0 || kill(pid, SIGSEGV) != 0)
		return false;
	deaths++;
	crashes++;
	return true;
}

static bool reload(void)
{
	/* one that has just begun has no handler yet, and would die of it */
	return serves() && kill(d->pid, SIGHUP) == 0;
}

/* One that follows at once, or finds a master that starts, is as good. */
static bool upgrade(void)
{
	return serves() && kill(d->pid, SIGUSR2) == 0;
}

static bool stop_and_start(void);

/* ---- faults that last ---- */

static bool freeze(struct victim *v, const char *kind)
{
	v->pid = some(kind);
	if (v->pid == 0)
		return false;
	kill(v->pid, SIGSTOP);
	deaths++; /* whoever waits for it may lose patience */
	return true;
}

/* Also one whose master was killed: it must notice and leave. */
static void thaw(struct victim *v)
{
	kill(v->pid, SIGCONT);
}

static bool freeze_worker(void)
{
	return freeze(&frozen_worker, "worker");
}

static void thaw_worker(void)
{
	thaw(&frozen_worker);
}

static bool freeze_flusher(void)
{
	return freeze(&frozen_flusher, "flusher");
}

static void thaw_flusher(void)
{
	thaw(&frozen_flusher);
}

static bool limit(struct victim *v, __rlimit_resource_t what, rlim_t to)
{
	struct rlimit few;

	if (prlimit(v->pid, what, NULL, &v->before) != 0)
		return false;
	few = v->before;
	few.rlim_cur = to;
	return prlimit(v->pid, what, &few, NULL) == 0;
}

static bool files_end(void)
{
	poor.pid = some("worker");
	return poor.pid != 0 && limit(&poor, RLIMIT_NOFILE, 24);
}

static void files_again(void)
{
	(void)prlimit(poor.pid, RLIMIT_NOFILE, &poor.before, NULL);
}

/* As much as it has, and a little. */
static bool memory_ends(void)
{
	char path[64], *text;
	unsigned long pages;

	tight.pid = some("worker");
	if (tight.pid == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)tight.pid);
	text = world_read(path);
	pages = strtoul(text, NULL, 10);
	tl_free(text);
	if (pages == 0 ||
	    !limit(&tight, RLIMIT_AS,
		   pages * (unsigned long)sysconf(_SC_PAGESIZE) + 65536))
		return false;
	deaths++;
	crashes++;
	return true;
}

static void memory_again(void)
{
	(void)prlimit(tight.pid, RLIMIT_AS, &tight.before, NULL);
}

static bool pest(unsigned which, void (*fn)(uint16_t port))
{
	pests[which] = fork();
	if (pests[which] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(d->port);
		_exit(0);
	}
	return pests[which] > 0;
}

static bool slow_clients(void)
{
	return pest(0, pest_slow);
}

static bool garbage(void)
{
	return pest(1, pest_garbage);
}

static void pest_end(unsigned which)
{
	kill(pests[which], SIGKILL);
	waitpid(pests[which], NULL, 0);
}

static void slow_clients_end(void)
{
	pest_end(0);
}

static void garbage_end(void)
{
	pest_end(1);
}

/* ---- the database ---- */

static bool hurt_database(void (*how)(void))
{
	if (database_hurt)
		return false;
	database_hurt = true;
	how();
	return true;
}

static void do_kill(void)
{
	pgtest_kill9(pg);
}

static void do_halt(void)
{
	pgtest_halt(pg);
}

static void do_freeze(void)
{
	pgtest_freeze(pg);
}

static bool database_killed(void)
{
	return hurt_database(do_kill);
}

static bool database_stopped(void)
{
	return hurt_database(do_halt);
}

static bool database_frozen(void)
{
	return hurt_database(do_freeze);
}

static void database_back(void)
{
	pgtest_resume(pg);
	database_hurt = false;
}

static void database_thaws(void)
{
	pgtest_thaw(pg);
	database_hurt = false;
}

static bool database_slow(void)
{
	slowpath_delay(way, 100);
	return true;
}

static void database_fast(void)
{
	slowpath_delay(way, 0);
}

static bool cut(void)
{
	slowpath_cut(way);
	return true;
}

/* ---- all of them ---- */

static struct fault {
	const char *name;
	unsigned weight;
	bool (*begin)(void); /* false: not possible now */
	void (*end)(void);   /* NULL: it is over at once */
	unsigned min_ms, max_ms;
	uint64_t until_ns; /* it lasts */
	unsigned times;
} faults[] = {
	{ "worker killed", 350, kill_worker, NULL, 0, 0, 0, 0 },
	{ "flusher killed", 150, kill_flusher, NULL, 0, 0, 0, 0 },
	{ "runner killed", 80, kill_runner, NULL, 0, 0, 0, 0 },
	{ "scheduler killed", 40, kill_scheduler, NULL, 0, 0, 0, 0 },
	{ "master killed", 80, kill_master, NULL, 0, 0, 0, 0 },
	{ "worker crashed", 10, crash_worker, NULL, 0, 0, 0, 0 },
	{ "reload", 40, reload, NULL, 0, 0, 0, 0 },
	{ "upgrade", 40, upgrade, NULL, 0, 0, 0, 0 },
	{ "stop and start", 20, stop_and_start, NULL, 0, 0, 0, 0 },
	{ "worker frozen", 30, freeze_worker, thaw_worker, 50, 1500, 0, 0 },
	{ "flusher frozen", 30, freeze_flusher, thaw_flusher, 50, 3000, 0, 0 },
	{ "worker out of files", 30, files_end, files_again, 100, 1000, 0, 0 },
	{ "worker out of memory", 10, memory_ends, memory_again, 100, 2000, 0,
	  0 },
	{ "slow clients", 20, slow_clients, slow_clients_end, 500, 5000, 0, 0 },
	{ "garbage", 20, garbage, garbage_end, 200, 2000, 0, 0 },
	{ "database slow", 20, database_slow, database_fast, 500, 5000, 0, 0 },
	{ "database cut off", 30, cut, NULL, 0, 0, 0, 0 },
	{ "database frozen", 20, database_frozen, database_thaws, 100, 4000, 0,
	  0 },
	{ "database stopped", 15, database_stopped, database_back, 100, 4000, 0,
	  0 },
	{ "database killed", 15, database_killed, database_back, 50, 1000, 0,
	  0 },
};
#define N_FAULTS (sizeof(faults) / sizeof(faults[0]))

static void end_faults(bool all)
{
	for (struct fault *f = faults; f < faults + N_FAULTS; f++) {
		if (f->until_ns == 0 || (!all && test_mono_ns() < f->until_ns))
			continue;
		note(f->name, " ends");
		f->end();
		f->until_ns = 0;
	}
}

/* What lasts goes on and ends meanwhile. */
static bool stop_and_start(void)
{
	static const int sigs[] = { SIGTERM, SIGTERM, SIGINT, SIGQUIT };
	uint64_t until_ns = test_mono_ns() + STOP_MS * 1000000ull;
	int status;

	if (!serves() && rand() % 64 != 0)
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

static unsigned weight_of(const struct fault *f)
{
	return opt.only == NULL || strcmp(opt.only, f->name) == 0 ? f->weight
								  : 0;
}

static struct fault *some_fault(void)
{
	unsigned total = 0, dice;
	struct fault *f;

	for (f = faults; f < faults + N_FAULTS; f++)
		total += weight_of(f);
	if (total == 0)
		world_die("there is no fault '%s'", opt.only);
	dice = (unsigned)rand() % total;
	for (f = faults; dice >= weight_of(f); f++)
		dice -= weight_of(f);
	return f;
}

/*
 * One that is not possible now is waited for, or those that always are would
 * be all there is; but not for ever.
 */
static bool one_fault(void)
{
	static struct fault *f;
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
	uint64_t allowed = deaths + (uint64_t)crashes * CHARGE_CLIENTS / 2;
	bool good;

	printf("seed                  %u, %u workers\n", opt.seed, opt.workers);
	for (const struct fault *f = faults; f < faults + N_FAULTS; f++)
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
