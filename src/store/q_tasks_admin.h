/*
 * q_tasks_admin.h - generated from db/queries/tasks_admin.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_TASKS_ADMIN_H
#define TALLY_STORE_Q_TASKS_ADMIN_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * What an operator asks of the task bus.
 */

struct q_task_page_params {
	int64_t before;
	const int16_t *state; /* may be NULL */
	const struct tl_str *queue; /* may be NULL */
	const struct tl_str *name; /* may be NULL */
	int64_t max;
};
struct q_task_page_row {
	int64_t task_id;
	struct tl_str state;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	int32_t priority;
	int32_t attempt;
	bool cancelling;
	int64_t created_at_us;
	int64_t run_at_us;
	bool run_at_null;
	int64_t ended_at_us;
	bool ended_at_null;
	struct tl_str error;
	bool error_null;
};
/*
 * Tasks that are not finished, before that one, newest first; of a state, a
 * queue and a name, if given.
 */
enum tl_status q_task_page(struct pg *pg,
		const struct q_task_page_params *p,
		struct tl_arena *arena,
		struct q_task_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_dead_page_params {
	int64_t before;
	const struct tl_str *outcome; /* may be NULL */
	const struct tl_str *queue; /* may be NULL */
	const struct tl_str *name; /* may be NULL */
	int64_t max;
};
/*
 * The same of tasks that ended without success; their state is how.
 */
enum tl_status q_task_dead_page(struct pg *pg,
		const struct q_task_dead_page_params *p,
		struct tl_arena *arena,
		struct q_task_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_find_row {
	int64_t task_id;
	struct tl_str state;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	int32_t priority;
	int32_t attempt;
	bool cancelling;
	int64_t created_at_us;
	int64_t run_at_us;
	bool run_at_null;
	int64_t ended_at_us;
	bool ended_at_null;
	struct tl_str error;
	bool error_null;
	int32_t failures;
	bool failures_null;
	int32_t losses;
	bool losses_null;
	struct tl_str payload;
	struct tl_str singleton_key;
	bool singleton_key_null;
	int64_t event_id;
	bool event_id_null;
	int32_t retry_limit;
	int32_t retry_delay_ms;
	bool retry_backoff;
	int32_t timeout_ms;
};
/*
 * One task that is not finished.
 */
enum tl_status q_task_find(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena, struct q_task_find_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One that ended without success.
 */
enum tl_status q_task_dead_find(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena, struct q_task_find_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_attempts_row {
	int32_t attempt;
	struct tl_str outcome;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	int64_t created_at_us;
	int64_t started_at_us;
	bool started_at_null;
	int64_t ended_at_us;
	struct tl_str error;
	bool error_null;
};
/*
 * How its attempts ended, oldest first.
 */
enum tl_status q_task_attempts(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena,
		struct q_task_attempts_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_cancel_params {
	int64_t task_id;
	struct tl_str actor;
};
struct q_task_cancel_row {
	struct tl_str outcome;
	bool outcome_null;
};
/*
 * 'cancelled', 'cancelling', or null for no such task.
 */
enum tl_status q_task_cancel(struct pg *pg,
		const struct q_task_cancel_params *p,
		struct tl_arena *arena, struct q_task_cancel_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_retry_params {
	int64_t task_id;
	const struct tl_str *payload; /* may be NULL */
	struct tl_str actor;
};
struct q_task_retry_row {
	struct tl_str outcome;
	bool outcome_null;
};
/*
 * 'sent', 'due', 'active', 'suppressed', or null for no such task.
 */
enum tl_status q_task_retry(struct pg *pg,
		const struct q_task_retry_params *p,
		struct tl_arena *arena, struct q_task_retry_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_replay_params {
	const struct tl_str *queue; /* may be NULL */
	const struct tl_str *name; /* may be NULL */
	struct pg_array outcomes; /* of struct tl_str */
	int64_t since_us;
	int64_t after;
	int32_t max;
	struct tl_str actor;
};
struct q_task_replay_row {
	int32_t looked;
	int32_t sent;
	int64_t last_id;
};
/*
 * One batch of dead letters sent again, see the migration.
 */
enum tl_status q_task_replay(struct pg *pg,
		const struct q_task_replay_params *p,
		struct tl_arena *arena, struct q_task_replay_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_stats_row {
	int64_t pending;
	int64_t active;
	int64_t completed;
	int64_t failed;
	int64_t cancelled;
};
/*
 * What is unfinished, and how attempts ended since then.
 */
enum tl_status q_task_stats(struct pg *pg,
		int64_t since_us,
		struct tl_arena *arena, struct q_task_stats_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_failed_params {
	int64_t since_us;
	const struct tl_str *name; /* may be NULL */
	int64_t max;
};
struct q_task_failed_row {
	int64_t task_id;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	int32_t attempt;
	struct tl_str outcome;
	int64_t created_at_us;
	int64_t started_at_us;
	bool started_at_null;
	int64_t ended_at_us;
	struct tl_str error;
	bool error_null;
};
/*
 * Attempts that failed since then, newest first, of a name if given.
 */
enum tl_status q_task_failed(struct pg *pg,
		const struct q_task_failed_params *p,
		struct tl_arena *arena,
		struct q_task_failed_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_queue_page_row {
	struct tl_str queue;
	int64_t ready;
	int64_t delayed;
	int64_t active;
	int64_t parked;
	int64_t dead;
	int64_t oldest_at_us;
	bool oldest_at_null;
	int64_t paused_at_us;
	bool paused_at_null;
	int32_t concurrency;
	bool concurrency_null;
	int32_t rate_count;
	bool rate_count_null;
	int32_t rate_window_ms;
	bool rate_window_ms_null;
	int32_t tenant_concurrency;
	bool tenant_concurrency_null;
	int32_t tenant_rate_count;
	bool tenant_rate_count_null;
	int32_t tenant_rate_window_ms;
	bool tenant_rate_window_ms_null;
};
/*
 * Queues that are set up, have tasks or belong to a definition; of one name
 * if given.  oldest_at: since when the oldest of those that are ready waits.
 */
enum tl_status q_queue_page(struct pg *pg,
		const struct tl_str *queue,
		struct tl_arena *arena,
		struct q_queue_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_queue_ended_row {
	struct tl_str queue;
	int64_t ended;
};
/*
 * How many attempts ended in the last seconds, by queue.
 */
enum tl_status q_queue_ended(struct pg *pg,
		int32_t seconds,
		struct tl_arena *arena,
		struct q_queue_ended_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_queue_pause_params {
	struct tl_str queue;
	bool pause;
	struct tl_str actor;
};
struct q_queue_pause_row {
	struct tl_str done;
	bool done_null;
};
/*
 * Holds a queue, or lets it go.
 */
enum tl_status q_queue_pause(struct pg *pg,
		const struct q_queue_pause_params *p,
		struct tl_arena *arena, struct q_queue_pause_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_queue_set_params {
	struct tl_str queue;
	const int32_t *concurrency; /* may be NULL */
	const int32_t *rate; /* may be NULL */
	const int32_t *rate_window_ms; /* may be NULL */
	const int32_t *tenant_concurrency; /* may be NULL */
	const int32_t *tenant_rate; /* may be NULL */
	const int32_t *tenant_rate_window_ms; /* may be NULL */
	struct tl_str actor;
};
struct q_queue_set_row {
	struct tl_str done;
	bool done_null;
};
/*
 * Limits of a queue; null: as it was, 0: none.
 */
enum tl_status q_queue_set(struct pg *pg,
		const struct q_queue_set_params *p,
		struct tl_arena *arena, struct q_queue_set_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
