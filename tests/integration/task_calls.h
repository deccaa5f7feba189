/*
 * task_calls.h - what tests of the task bus share: sending tasks of the
 * selftest, and what became of them.
 */
#ifndef TALLY_TESTS_TASK_CALLS_H
#define TALLY_TESTS_TASK_CALLS_H

#include <string.h>

#include "lib/fixture.h"

#define WORK "tallyd.selftest.work"
#define db   d->conninfo
/* Other tests have no runners. */
#define bus_up(...) up("runner.selftest=yes", "runner.count=2", ##__VA_ARGS__)

extern int64_t sent; /* the task of the last send_task() */
/* A task of the selftest that leaves a row; options: '"a": 1' or "". */
int64_t send_task(const char *payload, const char *options);
/* "completed", or of the attempts so far: "failed,failed,completed". */
const char *outcomes(int64_t id);
int64_t unfinished(void);
int64_t state_of(int64_t id); /* -1: not there any more */
bool runs(int64_t id);
/* Its process; 0: it does not run. */
pid_t runner_of(int64_t id);
/* No task ran twice at a time: an attempt begins behind the end of the one
 * before, and one that was lost has no end. */
int64_t overlaps(void);

#define want_outcomes(id, words)                                               \
	do {                                                                   \
		WAIT_UNTIL(strcmp(outcomes(id), (words)) == 0);                \
		ck_assert_str_eq(outcomes(id), (words));                       \
	} while (0)
#define want_all_done()                                                        \
	do {                                                                   \
		WAIT_UNTIL(unfinished() == 0);                                 \
		ck_assert_int_eq(unfinished(), 0);                             \
	} while (0)

#endif
