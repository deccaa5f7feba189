/*
 * runner.h - what a runner process does: claims tasks, runs each as a
 * coroutine, writes down how they ended, and takes back what the dead left.
 *
 * Claims and results go in batches, one of each on its way at a time.  While
 * the database is away the runner waits; results are kept until they are
 * stored.
 * Runs in: runner.  Needs co_init and bus_open.
 */
#ifndef TALLY_BUS_RUNNER_H
#define TALLY_BUS_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct conf;
struct event_base;
struct runner;
struct shm;

struct runner_opts {
	struct event_base *base;
	const struct conf *conf;
	struct shm *shm; /* slot taken */
	const char *conninfo;
	uint32_t number;  /* among the runners of this host */
	int task_eventfd; /* edges only, never read */
};
struct runner *runner_new(const struct runner_opts *o);
/*
 * No new claims; tasks in hand may end until limit_ms have passed, then they
 * are cancelled and put back.  done is called once, when nothing is left.
 */
void runner_drain(struct runner *r, uint32_t limit_ms, void (*done)(void *arg),
		  void *arg);
/* After the last coroutine ended. */
void runner_free(struct runner **r);

#endif
