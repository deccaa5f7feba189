#include "config.h" /* _GNU_SOURCE */

#include "procs.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shm/pause.h"

#define FIRST_SLOT 2

static _Atomic uint32_t *over; /* shared */
static uint64_t rng_state = 88172645463325252ULL;
static uint64_t spawn_number = 1;
static const char *die_point;
static uint32_t die_left;
static bool delays;

static void die(const char *what)
{
	fprintf(stderr, "procs: %s\n", what);
	exit(99);
}

void *procs_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no shared memory");
	return p;
}

static void sleep_us(uint32_t us)
{
	nanosleep(&(struct timespec){ 0, (long)us * 1000 }, NULL);
}

bool procs_over(void)
{
	return atomic_load(over) != 0;
}

uint32_t procs_random(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 11) % below;
}

void procs_delays(bool on)
{
	delays = on;
}

void shm_pause(const char *point);
void shm_pause(const char *point)
{
	if (delays && procs_random(8) == 0) {
		if (procs_random(4) == 0)
			sleep_us(procs_random(300));
		else
			sched_yield();
	}
	if (die_point != NULL && strcmp(point, die_point) == 0 &&
	    --die_left == 0)
		kill(getpid(), SIGKILL);
}

void procs_breathe(void)
{
	shm_pause("test");
}

static pid_t start(const struct procs_job *j, uint32_t who)
{
	pid_t pid;

	spawn_number++;
	pid = fork();
	if (pid < 0)
		die("no process");
	if (pid > 0)
		return pid;
	rng_state ^= (uint64_t)getpid() << 20 | spawn_number;
	shm_slot_take(j->shm, FIRST_SLOT + who, "test", who, spawn_number);
	shm_slot_set_state(j->shm, SHM_SLOT_READY);
	j->run(j->shm, who, j->arg);
	_exit(0);
}

/* True: ended by itself. */
static bool reap(const struct procs_job *j, uint32_t who, pid_t pid)
{
	int st;

	if (waitpid(pid, &st, 0) != pid)
		die("lost a process");
	if (!WIFSIGNALED(st) || WTERMSIG(st) != SIGKILL)
		if (!WIFEXITED(st) || WEXITSTATUS(st) != 0)
			die("a process failed");
	shm_slot_reap(j->shm, FIRST_SLOT + who);
	return WIFEXITED(st);
}

static bool ended(pid_t pid)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) ==
		       0 &&
	       si.si_pid == pid;
}

static uint32_t turn(const struct procs_job *j, pid_t *pid)
{
	uint32_t who = procs_random(j->n);

	sleep_us(2000);
	if (pid[who] == 0)
		return 0;
	if (j->stop_every != 0 && procs_random(j->stop_every) == 0) {
		kill(pid[who], SIGSTOP);
		sleep_us(1000 + procs_random(8000));
		kill(pid[who], SIGCONT);
	}
	if (j->kill_every == 0 || procs_random(j->kill_every) != 0)
		return 0;
	kill(pid[who], SIGKILL);
	if (reap(j, who, pid[who])) {
		pid[who] = 0; /* it was faster */
		return 0;
	}
	pid[who] = start(j, who);
	return 1;
}

uint32_t procs_run(const struct procs_job *j)
{
	uint64_t due_mono_ms = tl_mono_ms() + j->ms;
	uint32_t kills = 0, left, i;
	pid_t pid[PROCS_MAX];

	if (over == NULL)
		over = procs_shared(sizeof(*over));
	atomic_store(over, 0);
	rng_state ^= tl_mono_ns();
	for (i = 0; i < j->n; i++)
		pid[i] = start(j, i);
	do {
		kills += turn(j, pid);
		for (left = 0, i = 0; i < j->n; i++)
			if (pid[i] != 0 && ended(pid[i])) {
				reap(j, i, pid[i]);
				pid[i] = 0;
			} else if (pid[i] != 0) {
				left++;
			}
	} while (left > 0 && (j->ms == 0 || kills < j->kills ||
			      tl_mono_ms() < due_mono_ms));
	atomic_store(over, 1);
	for (i = 0; i < j->n; i++)
		if (pid[i] != 0)
			reap(j, i, pid[i]);
	return kills;
}

bool procs_die_at(struct shm *s, uint32_t slot, const char *point, uint32_t nth,
		  void (*fn)(struct shm *s, void *arg), void *arg)
{
	pid_t pid;
	int st;

	spawn_number++;
	pid = fork();
	if (pid < 0)
		die("no process");
	if (pid == 0) {
		shm_slot_take(s, slot, "test", 0, spawn_number);
		shm_slot_set_state(s, SHM_SLOT_READY);
		die_point = point;
		die_left = nth;
		fn(s, arg);
		_exit(0);
	}
	if (waitpid(pid, &st, 0) != pid)
		die("lost a process");
	shm_slot_reap(s, slot);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 0)
		return false;
	if (!WIFSIGNALED(st) || WTERMSIG(st) != SIGKILL)
		die("a process failed");
	return true;
}
