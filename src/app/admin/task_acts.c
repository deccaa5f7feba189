#include "app/admin/task_acts.h"

#include <inttypes.h>

#include "codec/doc.h"
#include "pg/pg.h"
#include "store/q_tasks_admin.h"

#define BATCH 500 /* of a replay */

static const char *const open_states[] = { "ready", "delayed", "active",
					   "parked" };
static const char *const ends[] = { "failed", "expired", "lost", "cancelled" };
#define N_ENDS (sizeof(ends) / sizeof(ends[0]))

/* ---- lists ---- */

static const struct tl_str *given(const struct tl_str *s)
{
	return s->ptr != NULL ? s : NULL;
}

static bool is_end(struct tl_str state)
{
	for (size_t i = 0; i < N_ENDS; i++)
		if (tl_str_eq(state, tl_str_c(ends[i])))
			return true;
	return false;
}

enum tl_status task_acts_list(struct pg *pg, const struct task_filter *f,
			      int64_t before, int64_t max, struct tl_arena *a,
			      struct q_task_page_row **rows_r, uint32_t *n_r,
			      struct tl_err *err)
{
	struct q_task_dead_page_params dead = { .queue = given(&f->queue),
						.name = given(&f->name),
						.before = before,
						.max = max };
	struct q_task_page_params open = { .queue = dead.queue,
					   .name = dead.name,
					   .before = before,
					   .max = max };

	if (f->state.ptr == NULL)
		return q_task_page(pg, &open, a, rows_r, n_r, err);
	for (int16_t i = 0; i < 4; i++)
		if (tl_str_eq(f->state, tl_str_c(open_states[i]))) {
			open.state = &i;
			return q_task_page(pg, &open, a, rows_r, n_r, err);
		}
	if (is_end(f->state))
		dead.outcome = &f->state;
	else if (!tl_str_eq(f->state, TL_STR("dead")))
		return tl_err_set(err, TL_INVALID,
				  "state: must be ready, delayed, active, "
				  "parked, dead, failed, expired, lost or "
				  "cancelled");
	return q_task_dead_page(pg, &dead, a, rows_r, n_r, err);
}

static const struct doc *text_or_null(struct tl_arena *a, bool null,
				      struct tl_str s)
{
	return null ? doc_null() : doc_str(a, s);
}

static const struct doc *int_or_null(struct tl_arena *a, bool null, int64_t v)
{
	return null ? doc_null() : doc_int(a, v);
}

struct doc *task_acts_row(struct tl_arena *a, const struct q_task_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_int(a, r->task_id));
	doc_set(a, d, "state", doc_str(a, r->state));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "queue", doc_str(a, r->queue));
	doc_set(a, d, "tenant", doc_str(a, r->tenant));
	doc_set(a, d, "priority", doc_int(a, r->priority));
	doc_set(a, d, "attempt", doc_int(a, r->attempt));
	doc_set(a, d, "cancelling", doc_bool(r->cancelling));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "run_at",
		doc_time_or_null(a, r->run_at_null, r->run_at_us));
	doc_set(a, d, "ended_at",
		doc_time_or_null(a, r->ended_at_null, r->ended_at_us));
	doc_set(a, d, "error", text_or_null(a, r->error_null, r->error));
	return d;
}

/* ---- one task ---- */

/* What PostgreSQL wrote as JSON; deeper than we read is given as text. */
static const struct doc *json(struct tl_arena *a, struct tl_str s)
{
	const struct doc *d;
	struct tl_err err;

	return doc_parse(a, DOC_JSON, s, &d, &err) == TL_OK ? d : doc_str(a, s);
}

/* whole false: it went well, and its attempts are all that is left. */
static struct doc *one_doc(struct tl_arena *a, const struct q_task_find_row *r,
			   bool whole)
{
	const struct q_task_page_row row = {
		.task_id = r->task_id,
		.state = r->state,
		.name = r->name,
		.queue = r->queue,
		.tenant = r->tenant,
		.priority = r->priority,
		.attempt = r->attempt,
		.cancelling = r->cancelling,
		.created_at_us = r->created_at_us,
		.run_at_us = r->run_at_us,
		.run_at_null = r->run_at_null,
		.ended_at_us = r->ended_at_us,
		.ended_at_null = r->ended_at_null,
		.error = r->error,
		.error_null = r->error_null,
	};
	struct doc *d = task_acts_row(a, &row);

	doc_set(a, d, "priority", int_or_null(a, !whole, r->priority));
	doc_set(a, d, "failures",
		int_or_null(a, r->failures_null, r->failures));
	doc_set(a, d, "losses", int_or_null(a, r->losses_null, r->losses));
	doc_set(a, d, "payload", whole ? json(a, r->payload) : doc_null());
	doc_set(a, d, "singleton_key",
		text_or_null(a, r->singleton_key_null, r->singleton_key));
	doc_set(a, d, "event_id",
		int_or_null(a, r->event_id_null, r->event_id));
	doc_set(a, d, "retry_limit", int_or_null(a, !whole, r->retry_limit));
	doc_set(a, d, "retry_delay_ms",
		int_or_null(a, !whole, r->retry_delay_ms));
	doc_set(a, d, "retry_backoff",
		whole ? doc_bool(r->retry_backoff) : doc_null());
	doc_set(a, d, "timeout_ms", int_or_null(a, !whole, r->timeout_ms));
	return d;
}

static struct doc *completed_doc(struct tl_arena *a, int64_t id,
				 const struct q_task_attempts_row *last)
{
	const struct q_task_find_row r = {
		.task_id = id,
		.state = TL_STR("completed"),
		.name = last->name,
		.queue = last->queue,
		.tenant = last->tenant,
		.attempt = last->attempt,
		.created_at_us = last->created_at_us,
		.run_at_null = true,
		.ended_at_us = last->ended_at_us,
		.error_null = true,
		.failures_null = true,
		.losses_null = true,
		.singleton_key_null = true,
		.event_id_null = true,
	};

	return one_doc(a, &r, false);
}

static const struct doc *attempts_doc(struct tl_arena *a,
				      const struct q_task_attempts_row *rows,
				      uint32_t n)
{
	struct doc *list = doc_array(a);

	for (uint32_t i = 0; i < n; i++) {
		const struct q_task_attempts_row *r = &rows[i];
		struct doc *d = doc_object(a);

		doc_set(a, d, "attempt", doc_int(a, r->attempt));
		doc_set(a, d, "outcome", doc_str(a, r->outcome));
		doc_set(a, d, "started_at",
			doc_time_or_null(a, r->started_at_null,
					 r->started_at_us));
		doc_set(a, d, "ended_at", doc_time(a, r->ended_at_us));
		doc_set(a, d, "error",
			text_or_null(a, r->error_null, r->error));
		doc_push(a, list, d);
	}
	return list;
}

static enum tl_status no_task(int64_t id, struct tl_err *err)
{
	return tl_err_set(err, TL_NOT_FOUND, "there is no task %" PRId64, id);
}

enum tl_status task_acts_show(struct pg *pg, int64_t id, struct tl_arena *a,
			      struct doc **d_r, struct tl_err *err)
{
	struct q_task_attempts_row *rows;
	struct q_task_find_row row;
	enum tl_status found, st;
	struct doc *d;
	uint32_t n;

	found = q_task_find(pg, id, a, &row, err);
	if (found == TL_NOT_FOUND)
		found = q_task_dead_find(pg, id, a, &row, err);
	if (found != TL_OK && found != TL_NOT_FOUND)
		return found;
	st = q_task_attempts(pg, id, a, &rows, &n, err);
	if (st != TL_OK)
		return st;
	if (found == TL_NOT_FOUND && n == 0)
		return no_task(id, err);
	d = found == TL_OK ? one_doc(a, &row, true)
			   : completed_doc(a, id, &rows[n - 1]);
	doc_set(a, d, "attempts", attempts_doc(a, rows, n));
	*d_r = d;
	return TL_OK;
}

/* ---- changes ---- */

enum tl_status task_acts_cancel(struct pg *pg, int64_t id, struct tl_str actor,
				struct tl_arena *a, struct tl_str *outcome_r,
				struct tl_err *err)
{
	const struct q_task_cancel_params p = { .task_id = id, .actor = actor };
	struct q_task_cancel_row row;
	enum tl_status st = q_task_cancel(pg, &p, a, &row, err);

	if (st != TL_OK)
		return st;
	if (row.outcome_null)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no task %" PRId64
				  " that is not finished",
				  id);
	*outcome_r = row.outcome;
	return TL_OK;
}

enum tl_status task_acts_retry(struct pg *pg, int64_t id,
			       const struct tl_str *payload,
			       struct tl_str actor, struct tl_arena *a,
			       struct tl_str *outcome_r, struct tl_err *err)
{
	const struct q_task_retry_params p = { .task_id = id,
					       .payload = payload,
					       .actor = actor };
	struct q_task_retry_row row;
	enum tl_status st = q_task_retry(pg, &p, a, &row, err);

	if (st != TL_OK)
		return st;
	if (row.outcome_null)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no task %" PRId64
				  " that could be sent again",
				  id);
	if (tl_str_eq(row.outcome, TL_STR("suppressed")))
		return tl_err_set(err, TL_CONFLICT,
				  "an unfinished task has the singleton key of "
				  "task %" PRId64,
				  id);
	*outcome_r = row.outcome;
	return TL_OK;
}

static enum tl_status replay_check(const struct task_replay *p,
				   struct tl_err *err)
{
	if (p->which.queue.ptr == NULL && p->which.name.ptr == NULL &&
	    !p->has_since)
		return tl_err_set(err, TL_INVALID,
				  "say which: by queue, name or since");
	if (p->which.state.ptr != NULL && !is_end(p->which.state))
		return tl_err_set(err, TL_INVALID,
				  "state: must be failed, expired, lost or "
				  "cancelled");
	return TL_OK;
}

enum tl_status task_acts_replay(struct pg *pg, const struct task_replay *p,
				struct tl_str actor, struct tl_arena *a,
				struct task_replayed *done_r,
				struct tl_err *err)
{
	struct tl_str outcomes[] = { TL_STR("failed"), TL_STR("expired"),
				     TL_STR("lost") };
	struct q_task_replay_params q = {
		.queue = given(&p->which.queue),
		.name = given(&p->which.name),
		.outcomes = { 3, outcomes },
		.since_us = p->has_since ? p->since_us : 0,
		.actor = actor,
	};
	struct task_replayed done = { 0 };
	struct q_task_replay_row row;
	enum tl_status st = replay_check(p, err);
	int64_t left = p->max;

	if (p->which.state.ptr != NULL) {
		q.outcomes.n = 1;
		outcomes[0] = p->which.state;
	}
	do {
		q.max = (int32_t)(left < BATCH ? left : BATCH);
		if (st == TL_OK)
			st = q_task_replay(pg, &q, a, &row, err);
		if (st != TL_OK)
			return st;
		done.sent += row.sent;
		done.suppressed += row.looked - row.sent;
		left -= row.looked;
		q.after = row.last_id;
	} while (row.looked == q.max && left > 0);
	done.more = row.looked == q.max;
	*done_r = done;
	return TL_OK;
}

struct doc *task_acts_replayed(struct tl_arena *a,
			       const struct task_replayed *done)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "replayed", doc_int(a, done->sent));
	doc_set(a, d, "suppressed", doc_int(a, done->suppressed));
	doc_set(a, d, "more", doc_bool(done->more));
	return d;
}

/* ---- queues ---- */

struct doc *task_acts_queue(struct tl_arena *a,
			    const struct q_queue_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "queue", doc_str(a, r->queue));
	doc_set(a, d, "ready", doc_int(a, r->ready));
	doc_set(a, d, "delayed", doc_int(a, r->delayed));
	doc_set(a, d, "active", doc_int(a, r->active));
	doc_set(a, d, "parked", doc_int(a, r->parked));
	doc_set(a, d, "dead", doc_int(a, r->dead));
	doc_set(a, d, "oldest_at",
		doc_time_or_null(a, r->oldest_at_null, r->oldest_at_us));
	doc_set(a, d, "paused_at",
		doc_time_or_null(a, r->paused_at_null, r->paused_at_us));
	doc_set(a, d, "concurrency",
		int_or_null(a, r->concurrency_null, r->concurrency));
	doc_set(a, d, "rate",
		int_or_null(a, r->rate_count_null, r->rate_count));
	doc_set(a, d, "rate_window_ms",
		int_or_null(a, r->rate_count_null, r->rate_window_ms));
	doc_set(a, d, "tenant_concurrency",
		int_or_null(a, r->tenant_concurrency_null,
			    r->tenant_concurrency));
	doc_set(a, d, "tenant_rate",
		int_or_null(a, r->tenant_rate_count_null,
			    r->tenant_rate_count));
	doc_set(a, d, "tenant_rate_window_ms",
		int_or_null(a, r->tenant_rate_count_null,
			    r->tenant_rate_window_ms));
	return d;
}

enum tl_status task_acts_queue_find(struct pg *pg, struct tl_str name,
				    struct tl_arena *a,
				    struct q_queue_page_row *row_r,
				    struct tl_err *err)
{
	struct q_queue_page_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_queue_page(pg, &name, a, &rows, &n, err);
	if (st != TL_OK)
		return st;
	if (n == 0)
		return tl_err_set(err, TL_NOT_FOUND, "there is no such queue");
	*row_r = rows[0];
	return TL_OK;
}

enum tl_status task_acts_queue_pause(struct pg *pg, struct tl_str name,
				     bool pause, struct tl_str actor,
				     struct tl_arena *a,
				     struct q_queue_page_row *row_r,
				     struct tl_err *err)
{
	const struct q_queue_pause_params p = { .queue = name,
						.pause = pause,
						.actor = actor };
	struct q_queue_pause_row row;
	enum tl_status st = q_queue_pause(pg, &p, a, &row, err);

	if (st == TL_CONFLICT) /* by the CHECK of the table */
		return tl_err_set(err, TL_INVALID,
				  "queue: its name is 1 to %d of A-Z a-z 0-9 "
				  "_ . : -",
				  QUEUE_NAME_MAX);
	return st == TL_OK ? task_acts_queue_find(pg, name, a, row_r, err) : st;
}
