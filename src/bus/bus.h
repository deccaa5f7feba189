/*
 * bus.h - the task bus: what tasks and events are, and how to send them.
 *
 * A feature has one table of tasks and one of events; the program hands all of
 * them to bus_open in every process that sends or runs.  A row names the task,
 * says what its payload looks like, where it queues, how often it is tried,
 * and what it does.
 *
 * A handler is a coroutine and reads as one of a request: calls that wait
 * suspend, the next line has the answer.  It runs at least once for each task,
 * so what it does must bear to be done twice; `task_id` is the same each time.
 * TL_OK ends the task.  TL_INVALID means that no further attempt can help; on
 * all else the task is tried again by its policy.  When it is out of time or
 * cancelled, every wait returns at once with TL_DEADLINE or TL_CANCELED: give
 * back what is held and return.
 * Runs in: worker, runner, scheduler.
 */
#ifndef TALLY_BUS_BUS_H
#define TALLY_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct conf;
struct doc;
struct pg;
struct shape;
struct shm;
struct task;
struct tl_arena;

/* Suspends: yes. */
typedef enum tl_status (*task_fn)(struct task *t, struct tl_err *err);

struct task_def {
	const char *name; /* "webhook.deliver"; NULL ends the table */
	const char *queue;
	const char *event; /* it is sent for each event of this name; NULL */
	const struct shape *payload; /* NULL: any object */
	uint32_t retry_limit;        /* attempts after the first that fail */
	uint32_t retry_delay_ms;
	bool retry_backoff; /* twice the delay each time, and up to twice that
			     * at random */
	uint32_t retry_max_ms; /* no delay is longer; 0: none is too long */
	uint32_t timeout_ms;   /* of an attempt */
	task_fn run;
	const char *doc; /* one line */
};

struct event_def {
	const char *name; /* NULL ends the table */
	const struct shape *payload;
	const char *doc;
};

/* What a handler gets.  Borrowed, all of it, until it returns. */
struct task {
	const struct task_def *def;
	struct pg *pg;          /* for its queries */
	struct tl_arena *arena; /* dies with the attempt */
	const struct conf *conf;
	struct shm *shm;
	int64_t task_id;
	int32_t attempt;  /* 1, 2, ...: every time it was begun or lost */
	int32_t failures; /* before this attempt */
	struct tl_str queue, tenant;
	int64_t event_id; /* that made it; 0: none */
	int64_t created_us;
	const struct doc *payload;
	const void *in; /* the struct of def->payload, read */
	/* A handler may say, when it fails: */
	uint64_t retry_after_ms; /* instead of the policy's delay; 0: policy */
	bool hopeless;           /* no further attempt */
};

/*
 * Limits that only this tenant of the task's queue has, beside those of the
 * queue; 0: none.  A handler's first act, once.  False: not now, return
 * TL_BUSY; the task goes back, which is no failure, and its tenant is left
 * out until there may be room.  A place is held until the attempt ends.
 */
bool task_tenant_admit(struct task *t, uint32_t concurrency,
		       uint32_t rate_count, uint32_t rate_window_ms);

/* The tables of all features, each list ends with NULL. */
struct bus_tables {
	const struct task_def *const *tasks;
	const struct event_def *const *events;
};
/*
 * Once per process.  TL_BROKEN names the row that breaks a rule: two of one
 * name, a task for an event that nobody defines, no handler.  task_eventfd
 * wakes runners, -1: none.  selftest: rows named tallyd.selftest.* count.
 */
enum tl_status bus_open(const struct bus_tables *t, struct shm *shm,
			int task_eventfd, bool selftest,
			struct tl_err *err) TL_MUST_CHECK;
const struct task_def *bus_task(struct tl_str name);   /* NULL */
const struct event_def *bus_event(struct tl_str name); /* NULL */
/* i from 0 until NULL. */
const struct task_def *bus_task_at(uint32_t i);

/* What is left out is taken from the definition. */
struct task_send {
	const char *name; /* of a row: asserted */
	const struct doc *payload;
	const char *queue;
	struct tl_str tenant;
	struct tl_str singleton_key; /* one unfinished task of a queue has it */
	int priority;                /* -1000 to 1000, higher goes first */
	uint64_t delay_ms;
	uint32_t timeout_ms;
};
/*
 * In the transaction of pg, if it is one.  *id_r (may be NULL) is its number;
 * TL_EXISTS: suppressed, another one has the singleton key; TL_INVALID: the
 * payload breaks its shape.  Suspends: yes.  After the COMMIT call bus_wake().
 */
enum tl_status task_send(struct pg *pg, const struct task_send *s,
			 struct tl_arena *arena, int64_t *id_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* Writes the event and one task for each handler; as task_send. */
enum tl_status event_emit(struct pg *pg, const char *name,
			  const struct doc *payload, struct tl_arena *arena,
			  int64_t *id_r, struct tl_err *err) TL_MUST_CHECK;
/* Something was sent and is committed: this host's runners look at once.
 * Without it they find it within a second. */
void bus_wake(void);

#endif
