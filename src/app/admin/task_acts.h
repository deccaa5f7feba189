/*
 * task_acts.h - what operators do with tasks and queues, and what they see of
 * them as documents; for the API and for tallyctl.
 *
 * A change writes its line of the audit log in the same statement and tells
 * the runners of all hosts.
 * Runs in: worker, tallyctl.  Suspends: yes, but for the documents.
 */
#ifndef TALLY_APP_ADMIN_TASK_ACTS_H
#define TALLY_APP_ADMIN_TASK_ACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct doc;
struct pg;
struct q_queue_page_row;
struct q_task_page_row;
struct tl_arena;

/* ptr NULL: any.  state: of a task, or "dead" for all that ended without
 * success; when it is not given, those that are not finished. */
struct task_filter {
	struct tl_str state, queue, name;
};
/* Newest first, those before that number.  TL_INVALID: no such state. */
enum tl_status task_acts_list(struct pg *pg, const struct task_filter *f,
			      int64_t before, int64_t max, struct tl_arena *a,
			      struct q_task_page_row **rows_r, uint32_t *n_r,
			      struct tl_err *err) TL_MUST_CHECK;
struct doc *task_acts_row(struct tl_arena *a, const struct q_task_page_row *r);
/* One task with its attempts, whatever became of it.  TL_NOT_FOUND. */
enum tl_status task_acts_show(struct pg *pg, int64_t id, struct tl_arena *a,
			      struct doc **d_r,
			      struct tl_err *err) TL_MUST_CHECK;

/* TL_NOT_FOUND; *outcome_r: "cancelled", or "cancelling" of one that runs. */
enum tl_status task_acts_cancel(struct pg *pg, int64_t id, struct tl_str actor,
				struct tl_arena *a, struct tl_str *outcome_r,
				struct tl_err *err) TL_MUST_CHECK;
/* payload: JSON text of an object; NULL: its own.  TL_NOT_FOUND; TL_CONFLICT:
 * its singleton key is taken; *outcome_r: "sent", "due" of one that waits,
 * "active" of one that runs already. */
enum tl_status task_acts_retry(struct pg *pg, int64_t id,
			       const struct tl_str *payload,
			       struct tl_str actor, struct tl_arena *a,
			       struct tl_str *outcome_r,
			       struct tl_err *err) TL_MUST_CHECK;

#define TASK_REPLAY_MAX     10000
#define TASK_REPLAY_DEFAULT 1000
struct task_replay {
	struct task_filter which; /* state: how they ended; any is failed,
				   * expired and lost, but not cancelled */
	bool has_since;
	int64_t since_us; /* when they ended */
	int64_t max;      /* 1 to TASK_REPLAY_MAX */
};
struct task_replayed {
	int64_t sent;
	int64_t suppressed; /* their singleton key is taken */
	bool more;          /* the bound came before the end */
};
/* Dead letters once more, oldest first, in batches: what an error or a
 * deadline cuts off is left for the next call.  TL_INVALID: no queue, name or
 * time is given, or no task ends so. */
enum tl_status task_acts_replay(struct pg *pg, const struct task_replay *p,
				struct tl_str actor, struct tl_arena *a,
				struct task_replayed *done_r,
				struct tl_err *err) TL_MUST_CHECK;

struct doc *task_acts_replayed(struct tl_arena *a,
			       const struct task_replayed *done);

#define QUEUE_NAME_MAX 40 /* bytes */
struct doc *task_acts_queue(struct tl_arena *a,
			    const struct q_queue_page_row *r);
/* TL_NOT_FOUND. */
enum tl_status task_acts_queue_find(struct pg *pg, struct tl_str name,
				    struct tl_arena *a,
				    struct q_queue_page_row *row_r,
				    struct tl_err *err) TL_MUST_CHECK;
/* A queue that nobody has used is made.  TL_INVALID: not a name of one. */
enum tl_status task_acts_queue_pause(struct pg *pg, struct tl_str name,
				     bool pause, struct tl_str actor,
				     struct tl_arena *a,
				     struct q_queue_page_row *row_r,
				     struct tl_err *err) TL_MUST_CHECK;

#endif
