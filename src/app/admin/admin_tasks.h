/*
 * admin_tasks.h - tasks and queues of the bus, for admins: what tallyctl task
 * and tallyctl queue do.
 * Runs in: worker.  Suspends: yes, all.
 */
#ifndef TALLY_APP_ADMIN_ADMIN_TASKS_H
#define TALLY_APP_ADMIN_ADMIN_TASKS_H

#include "app/admin/task_acts.h"
#include "http/http.h"

extern const struct route ADMIN_TASKS_ROUTES[];

/* ---- admin_tasks_shape.c ---- */
struct admin_tasks_query {
	int64_t limit;
	struct tl_str cursor;
	struct task_filter which;
};
struct admin_tasks_retry {
	const struct doc *payload;
};
extern const struct shape ADMIN_TASKS_QUERY_SHAPE, ADMIN_TASK_SHAPE;
extern const struct shape ADMIN_TASK_WHOLE_SHAPE, ADMIN_TASK_RETRY_SHAPE;
extern const struct shape ADMIN_TASK_CHANGED_SHAPE; /* {"id","outcome"} */
extern const struct shape ADMIN_TASK_REPLAY_SHAPE;  /* struct task_replay */
extern const struct shape ADMIN_TASK_REPLAYED_SHAPE, ADMIN_QUEUE_SHAPE;

#endif
