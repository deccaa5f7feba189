/*
 * mixed_faults.c - the kills and faults of mixed.c, and how likely each is.
 */
#include "config.h" /* _GNU_SOURCE */

#include "chaos/mixed.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "chaos/pest.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/slowpath.h"
#include "lib/world.h"

/* The one that lasts longest of each kind of victim. */
struct victim {
	pid_t pid;
	struct rlimit before;
};

static struct victim frozen_worker, frozen_flusher, poor, tight;
static pid_t pests[2];
static bool database_hurt;
unsigned mixed_deaths, mixed_crashes;

/* ---- kills ---- */

static bool kill_kind(const char *kind)
{
	/* now and then one that has just begun, which delays the next */
	if (!daemon_kill_child(d, kind, rand() % 8 == 0 ? 0 : 1050))
		return false;
	mixed_deaths++;
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

bool mixed_serves(void)
{
	pid_t pids[DAEMON_MAX_CHILDREN];

	return daemon_children(d, "worker", pids) > 0;
}

static bool kill_master(void)
{
	if (!mixed_serves() && rand() % 64 != 0) /* rarely in its start */
		return false;
	daemon_stop(d, SIGKILL, 5000);
	daemon_spawn(d); /* at once: the old children still end */
	mixed_deaths++;
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
	mixed_deaths++;
	mixed_crashes++;
	return true;
}

static bool reload(void)
{
	/* one that has just begun has no handler yet, and would die of it */
	return mixed_serves() && kill(d->pid, SIGHUP) == 0;
}

/* One that follows at once, or finds a master that starts, is as good. */
static bool upgrade(void)
{
	return mixed_serves() && kill(d->pid, SIGUSR2) == 0;
}

/* ---- faults that last ---- */

static bool freeze(struct victim *v, const char *kind)
{
	v->pid = some(kind);
	if (v->pid == 0)
		return false;
	kill(v->pid, SIGSTOP);
	mixed_deaths++; /* whoever waits for it may lose patience */
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
	mixed_deaths++;
	mixed_crashes++;
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

struct mixed_fault MIXED_FAULTS[] = {
	{ "worker killed", 350, kill_worker, NULL, 0, 0, 0, 0 },
	{ "flusher killed", 150, kill_flusher, NULL, 0, 0, 0, 0 },
	{ "runner killed", 80, kill_runner, NULL, 0, 0, 0, 0 },
	{ "scheduler killed", 40, kill_scheduler, NULL, 0, 0, 0, 0 },
	{ "master killed", 80, kill_master, NULL, 0, 0, 0, 0 },
	{ "worker crashed", 10, crash_worker, NULL, 0, 0, 0, 0 },
	{ "reload", 40, reload, NULL, 0, 0, 0, 0 },
	{ "upgrade", 40, upgrade, NULL, 0, 0, 0, 0 },
	{ "stop and start", 20, mixed_stop_and_start, NULL, 0, 0, 0, 0 },
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
	{ NULL, 0, NULL, NULL, 0, 0, 0, 0 },
};
