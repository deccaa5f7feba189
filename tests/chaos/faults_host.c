/*
 * faults_host.c - what the host runs out of: disk, shared memory, files,
 * memory; and its clock.
 */
#include "config.h" /* _GNU_SOURCE */

#include "chaos/faults.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "chaos/charge.h"
#include "chaos/pest.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/faketime.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

#define PRESS 800

/* What is mounted from now on is ours alone and goes with us. */
static void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		fault_skip("no mount namespace of its own; run it as root");
}

static void small_disk(const char *where, const char *size)
{
	char *options = tl_asprintf("size=%s,mode=0755", size);

	if (mount("tmpfs", where, "tmpfs", 0, options) != 0)
		fault_skip("tmpfs can not be mounted");
	tl_free(options);
}

/* ---- the disk of the spool ---- */

static void disk(void)
{
	char *spool;

	fault_prepare();
	own_mounts();
	spool = tl_asprintf("%s/spool", d->state_dir);
	if (mkdir(spool, 0750) != 0)
		world_die("cannot make '%s'", spool);
	small_disk(spool, "32k");
	tl_free(spool);
	fault_load();

	pgtest_halt(pg);
	fault_want_log("could not be spooled");
	test_sleep_ms(1500);
	pgtest_resume(pg);
	fault_end(0, false);
}

/* ---- /dev/shm ---- */

/* The directories of this test lie in it and stay where they are. */
static void small_shm(const char *size)
{
	const char *kept[] = { pgtest_dir(pg), d->state_dir };
	char *aside[2];

	for (int i = 0; i < 2; i++) {
		aside[i] = tl_asprintf("/tmp/tally-%s-%d", world_tag(), i);
		if (mkdir(aside[i], 0755) != 0 ||
		    mount(kept[i], aside[i], NULL, MS_BIND, NULL) != 0)
			world_die("cannot keep '%s': %s", kept[i],
				  strerror(errno));
	}
	small_disk("/dev/shm", size);
	for (int i = 0; i < 2; i++) {
		char *path = tl_strdup(kept[i]);

		for (char *p = path + 1; (p = strchr(p, '/')) != NULL;
		     *p++ = '/') {
			*p = '\0';
			(void)mkdir(path, 0755);
		}
		(void)mkdir(path, 0755);
		if (mount(aside[i], path, NULL, MS_BIND, NULL) != 0 ||
		    umount2(aside[i], MNT_DETACH) != 0 || rmdir(aside[i]) != 0)
			world_die("cannot bring '%s' back: %s", path,
				  strerror(errno));
		tl_free(path);
		tl_free(aside[i]);
	}
}

/* Its end by itself, with words that say what to do. */
static void expect_refused_start(void)
{
	int status = -1;

	daemon_spawn(d);
	for (int i = 0; i < 3000 && d->pid != 0; i++) {
		if (waitpid(d->pid, &status, WNOHANG) == d->pid)
			d->pid = 0;
		test_sleep_ms(10);
	}
	if (d->pid != 0 || status == 0)
		world_die("it started:\n%s", daemon_story(d));
	fault_want_log("enlarge /dev/shm");
}

static void shm(void)
{
	/* the server first: it goes on with the /dev/shm it has */
	fault_prepare();
	daemon_set(d, "metering.flush_interval_ms=10000");
	own_mounts();
	small_shm("64k");
	expect_refused_start();
	if (mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=24m") != 0)
		world_die("no larger /dev/shm: %s", strerror(errno));

	/* it does; then a larger one has no place beside it */
	fault_load();
	charge_stop();
	daemon_stop(d, SIGKILL, 5000);
	daemon_set(d, "shm.max_keys=200000");
	expect_refused_start();
	daemon_set(d, "shm.max_keys=4096");
	daemon_spawn(d);
	if (!daemon_wait_ready(d, 60000))
		world_die("not as before:\n%s", daemon_story(d));
	charge_start();
	fault_end(1, true);
}

/* ---- files, memory ---- */

static void limit_of(pid_t pid, __rlimit_resource_t what, rlim_t to)
{
	struct rlimit few;

	if (prlimit(pid, what, NULL, &few) == 0) {
		few.rlim_cur = to;
		(void)prlimit(pid, what, &few, NULL);
	}
}

/* Whoever comes meanwhile waits or goes to the other worker. */
static void files(void)
{
	int fds[100];
	pid_t pid;

	fault_begin();
	pid = daemon_child(d, "worker");
	limit_of(pid, RLIMIT_NOFILE, 24);
	for (unsigned i = 0; i < 100; i++)
		fds[i] = pest_connect(d->port, i);
	fault_want_log("raise the limit of open files");
	test_sleep_ms(1000);
	limit_of(pid, RLIMIT_NOFILE, 1024);
	for (unsigned i = 0; i < 100; i++)
		close(fds[i]);
	fault_end(0, false);
}

/* Bodies that never end fill what it has. */
static void press(int *fds, unsigned n)
{
	static const char head[] =
		"POST /api/verify/batch HTTP/1.1\r\nHost: a\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: 60000\r\n\r\n";
	static char body[50000];

	memset(body, ' ', sizeof(body));
	for (unsigned i = 0; i < n; i++) {
		fds[i] = pest_connect(d->port, i);
		if (fds[i] < 0)
			continue;
		(void)!send(fds[i], head, sizeof(head) - 1, MSG_NOSIGNAL);
		(void)!send(fds[i], body, sizeof(body),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void no_more_memory(pid_t pid)
{
	char path[64], *text;
	unsigned long pages;

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
	text = world_read(path);
	pages = strtoul(text, NULL, 10);
	tl_free(text);
	limit_of(pid, RLIMIT_AS, pages * (unsigned long)sysconf(_SC_PAGESIZE));
}

static bool memory_ended(void)
{
	return fault_logged("out of memory") ||
	       fault_logged("Cannot allocate memory");
}

/* It ends, or serves on and says so where it can not. */
static void memory(void)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	int fds[PRESS];
	unsigned n = 0;

#ifdef TALLY_SANITIZERS
	fault_skip("a sanitizer takes all addresses there are");
#endif
	fault_begin();
	WAIT_UNTIL(daemon_children(d, "worker", pids) == 2);
	no_more_memory(pids[0]);
	kill(pids[1], SIGSTOP); /* what comes now is the other one's */
	while (n < PRESS && !memory_ended()) {
		press(fds + n, PRESS / 8);
		n += PRESS / 8;
		test_sleep_ms(100);
	}
	kill(pids[1], SIGCONT);
	WAIT_UNTIL(memory_ended());
	if (!memory_ended())
		fault_want_log("out of memory");
	limit_of(pids[0], RLIMIT_AS, RLIM_INFINITY);
	while (n > 0)
		close(fds[--n]);
	WAIT_UNTIL(daemon_children(d, "worker", pids) == 2);
	fault_end(1, true);
}

/* ---- the clock ---- */

static void need_faketime(void)
{
	if (!faketime_possible())
		fault_skip("libfaketime is not installed, or there is a "
			   "sanitizer");
}

static void step_to(const char *file, long offset_s)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%+lds\n", offset_s);
	FILE *f = fopen(file, "w");

	if (f == NULL || fwrite(text, 1, (size_t)n, f) != (size_t)n)
		world_die("cannot write '%s'", file);
	fclose(f);
	test_sleep_ms(2500); /* the master looks once a second */
}

static int64_t days_used(void)
{
	return sql_num(d->conninfo, "SELECT count(DISTINCT date) FROM "
				    "daily_usage JOIN api_keys USING (key_id) "
				    "WHERE key_prefix = 'chaos'");
}

/* Of this host alone: the database's clock does not agree, periods stay. */
static void clock_steps(void)
{
	char *file;

	need_faketime();
	fault_prepare();
	file = tl_asprintf("%s/clock", d->state_dir);
	step_to(file, 0);
	faketime_file(d, file);
	fault_load();

	step_to(file, 7200);
	fault_want_log("the wall clock was set by 7");
	step_to(file, 0);
	step_to(file, -7200);
	fault_want_log("the wall clock was set by -7");
	step_to(file, 400 * 86400);
	step_to(file, 0);
	tl_free(file);
	if (days_used() != 1)
		world_die("the usage is of %ld days", (long)days_used());
	fault_end(0, false);
}

/* That day begins under load. */
static void into_day(int year, int month, int day)
{
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day };
	char shift[32];

	need_faketime();
	fault_prepare();
	snprintf(shift, sizeof(shift), "%+lds",
		 (long)(timegm(&tm) - time(NULL)) - 5);
	faketime_shift(d, shift);
	fault_load();
	WAIT_UNTIL(days_used() == 2);
	if (days_used() != 2)
		world_die("no new day:\n%s", daemon_story(d));
	fault_end(0, false);
}

static void midnight(void)
{
	time_t t = time(NULL);
	struct tm now;

	gmtime_r(&t, &now);
	into_day(now.tm_year + 1900, now.tm_mon + 1, now.tm_mday + 1);
}

static void leap_day(void)
{
	into_day(2028, 2, 29);
}

static void after_leap_day(void)
{
	into_day(2028, 3, 1);
}

const struct fault FAULTS_OF_HOST[] = {
	{ "disk", true, disk },
	{ "shm", true, shm },
	{ "files", false, files },
	{ "memory", true, memory },
	{ "clock", false, clock_steps },
	{ "midnight", false, midnight },
	{ "leapday", false, leap_day },
	{ "leapday-end", false, after_leap_day },
	{ NULL, false, NULL },
};
