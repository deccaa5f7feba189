/*
 * co_step.h - a coroutine that comes again and again.
 *
 * A step is run in a fresh coroutine with a deadline of its own (deadlines are
 * sticky, so a coroutine that lived for ever could fail only once) and says
 * when it wants to run next; co_step_at() may make that earlier.  Two runs of
 * one step never overlap.
 * Runs in: flusher, runner.
 */
#ifndef TALLY_LOOP_CO_STEP_H
#define TALLY_LOOP_CO_STEP_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

#define CO_STEP_NEVER UINT64_MAX /* until co_step_at() */
#define CO_STEP_NOW   0

/* Suspends: yes.  Gives the next due_mono_ms. */
typedef uint64_t (*co_step_fn)(void *arg);

struct co_step {
	co_step_fn fn;
	void *arg;
	struct event *timer;
	uint32_t limit_ms; /* of one run; may be changed between two */
	uint64_t due_mono_ms;
	bool running, stopped;
};

/* Due never. */
void co_step_init(struct co_step *s, struct event_base *base, co_step_fn fn,
		  void *arg, uint32_t limit_ms);
/* It must not run.  One that was never made, all bytes 0, is fine. */
void co_step_deinit(struct co_step *s);
/* Runs it at that time at the latest (again, when it runs just now). */
void co_step_at(struct co_step *s, uint64_t due_mono_ms);
/* It does not run any more; a run in hand ends as it likes. */
void co_step_stop(struct co_step *s);

#endif
