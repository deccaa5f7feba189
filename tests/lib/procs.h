/*
 * procs.h - several processes on one segment, killed and stopped at random
 * or at a named point.
 */
#ifndef TALLY_TESTS_PROCS_H
#define TALLY_TESTS_PROCS_H

#include "shm/shm.h"

#define PROCS_MAX 16

/* Zeroed memory that forked processes share; lives as long as the test. */
void *procs_shared(size_t bytes);

struct procs_job {
	struct shm *shm;
	uint32_t n;          /* processes, in slots 2, 3, ... */
	uint32_t ms;         /* how long; then procs_over() is true; 0: each
			      * runs to its end, and again when killed */
	uint32_t kill_every; /* in about so many turns of 2 ms one is killed
			      * and started anew; 0 never */
	uint32_t kills;      /* and longer, until so many were killed: a busy
			      * machine must not make a tame test */
	uint32_t stop_every; /* as kill_every, stopped for 1 to 9 ms */
	void (*run)(struct shm *s, uint32_t who, void *arg);
	void *arg;
};
/* Runs them; gives the number of kills.  A process that ends with another
 * status than 0 ends the test program. */
uint32_t procs_run(const struct procs_job *j);
bool procs_over(void);
uint32_t procs_random(uint32_t below); /* each process its own row */

/*
 * Runs fn in a process of slot `slot` that dies at the nth passing of the
 * point.  True: it died there (and is reaped); false: it ended before.
 * Only in programs linked with the library built for this.
 */
bool procs_die_at(struct shm *s, uint32_t slot, const char *point, uint32_t nth,
		  void (*fn)(struct shm *s, void *arg), void *arg);
/* From now on each point of this process and its children waits now and
 * then, up to some hundred microseconds. */
void procs_delays(bool on);
void procs_breathe(void); /* a point of the test's own */

#endif
