/*
 * q_tasks.h - generated from db/queries/tasks.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_TASKS_H
#define TALLY_STORE_Q_TASKS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * The task bus; the rules are in the migration.
 */

struct q_task_insert_params {
	int64_t delay_ms;
	int16_t rank;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	struct tl_str payload;
	const struct tl_str *singleton_key; /* may be NULL */
	int32_t retry_limit;
	int32_t retry_delay_ms;
	bool retry_backoff;
	int32_t timeout_ms;
};
struct q_task_insert_row {
	int64_t task_id;
};
/*
 * Sends one task, in the caller's transaction when there is one.  No row: its
 * singleton key is taken.
 */
enum tl_status q_task_insert(struct pg *pg,
		const struct q_task_insert_params *p,
		struct tl_arena *arena, struct q_task_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_event_insert_params {
	struct tl_str event;
	struct tl_str payload;
	struct pg_array names; /* of struct tl_str */
	struct pg_array queues; /* of struct tl_str */
	struct pg_array retry_limits; /* of int32_t */
	struct pg_array retry_delays_ms; /* of int32_t */
	struct pg_array retry_backoffs; /* of bool */
	struct pg_array timeouts_ms; /* of int32_t */
};
struct q_event_insert_row {
	int64_t event_id;
	int32_t tasks;
};
/*
 * Tells an event, and makes one task for each of its handlers.
 */
enum tl_status q_event_insert(struct pg *pg,
		const struct q_event_insert_params *p,
		struct tl_arena *arena, struct q_event_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_register_params {
	struct pg_array names; /* of struct tl_str */
	struct pg_array queues; /* of struct tl_str */
	struct pg_array events; /* of struct tl_str */
	struct pg_array retry_limits; /* of int32_t */
	struct pg_array retry_delays_ms; /* of int32_t */
	struct pg_array retry_backoffs; /* of bool */
	struct pg_array timeouts_ms; /* of int32_t */
};
struct q_task_register_row {
	int32_t names;
};
/*
 * What this runner can do; how many names.
 */
enum tl_status q_task_register(struct pg *pg,
		const struct q_task_register_params *p,
		struct tl_arena *arena, struct q_task_register_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_claim_params {
	int64_t epoch;
	int64_t spawn;
	struct pg_array names; /* of struct tl_str */
	int32_t max;
	struct pg_array queues; /* of struct tl_str */
	struct pg_array wants; /* of int32_t */
	struct pg_array tenant_wants; /* of int32_t */
	struct pg_array turns; /* of struct tl_str */
	struct pg_array full_queues; /* of struct tl_str */
	struct pg_array full_tenants; /* of struct tl_str */
};
struct q_task_claim_row {
	int64_t task_id;
	int32_t attempt;
	int16_t failures;
	struct tl_str name;
	struct tl_str queue;
	struct tl_str tenant;
	struct tl_str payload;
	int64_t event_id;
	bool event_id_null;
	int32_t retry_limit;
	int32_t retry_delay_ms;
	bool retry_backoff;
	int32_t timeout_ms;
	int64_t created_at_us;
	int64_t run_at_us;
	struct tl_str trace;
	bool trace_null;
};
/*
 * The next tasks of these names, at most :max.
 */
enum tl_status q_task_claim(struct pg *pg,
		const struct q_task_claim_params *p,
		struct tl_arena *arena,
		struct q_task_claim_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_look_params {
	int32_t max;
	struct pg_array names; /* of struct tl_str */
};
struct q_task_look_row {
	int32_t promoted;
	int64_t next_ms;
	bool next_ms_null;
};
/*
 * Makes ready what is due; how many, and when the next one is.
 */
enum tl_status q_task_look(struct pg *pg,
		const struct q_task_look_params *p,
		struct tl_arena *arena, struct q_task_look_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_finish_params {
	int64_t epoch;
	int64_t spawn;
	struct pg_array ids; /* of int64_t */
	struct pg_array attempts; /* of int32_t */
	struct pg_array actions; /* of int32_t */
	struct pg_array outcomes; /* of struct tl_str */
	struct pg_array delays_ms; /* of int64_t */
	struct pg_array started_us; /* of int64_t */
	struct pg_array ended_us; /* of int64_t */
	struct pg_array errors; /* of struct tl_str */
	bool audit_all;
};
struct q_task_finish_row {
	int32_t accepted;
};
/*
 * How attempts ended; how many of them still counted.
 */
enum tl_status q_task_finish(struct pg *pg,
		const struct q_task_finish_params *p,
		struct tl_arena *arena, struct q_task_finish_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_mine_params {
	int64_t epoch;
	int64_t spawn;
};
struct q_task_mine_row {
	int64_t task_id;
	int32_t attempt;
	bool cancel_wanted;
};
/*
 * What this runner holds as the database knows it.
 */
enum tl_status q_task_mine(struct pg *pg,
		const struct q_task_mine_params *p,
		struct tl_arena *arena,
		struct q_task_mine_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_owned_row {
	int64_t owner_spawn;
};
/*
 * The processes of this segment that hold tasks.
 */
enum tl_status q_task_owned(struct pg *pg,
		int64_t epoch,
		struct tl_arena *arena,
		struct q_task_owned_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_release_params {
	int32_t limit;
	int64_t epoch;
	int64_t spawn;
};
struct q_task_release_row {
	int32_t released;
	bool released_null;
};
/*
 * The claims of a process that died; how many.
 */
enum tl_status q_task_release(struct pg *pg,
		const struct q_task_release_params *p,
		struct tl_arena *arena, struct q_task_release_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_expire_params {
	int32_t limit;
	int64_t epoch;
	struct tl_str node;
};
struct q_task_expire_row {
	int32_t released;
	bool released_null;
};
/*
 * The claims of whole hosts that are gone: those whose lease is over, and
 * those of earlier segments of this node; how many.
 */
enum tl_status q_task_expire(struct pg *pg,
		const struct q_task_expire_params *p,
		struct tl_arena *arena, struct q_task_expire_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_weeks_keep_params {
	struct tl_str table;
	int32_t since_day;
};
struct q_task_weeks_keep_row {
	struct tl_str outcome;
};
/*
 * This week's and the next one's partition of a table, and the oldest that
 * ends before :since dropped: 'dropped', 'done', 'busy'.
 */
enum tl_status q_task_weeks_keep(struct pg *pg,
		const struct q_task_weeks_keep_params *p,
		struct tl_arena *arena, struct q_task_weeks_keep_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_queues_row {
	struct tl_str queue;
	int64_t paused_at_us;
	bool paused_at_null;
	int32_t concurrency;
	bool concurrency_null;
	int32_t rate_count;
	bool rate_count_null;
	int32_t rate_window_ms;
	int32_t tenant_concurrency;
	bool tenant_concurrency_null;
	int32_t tenant_rate_count;
	bool tenant_rate_count_null;
	int32_t tenant_rate_window_ms;
};
/*
 * Queues that somebody has set up.
 */
enum tl_status q_task_queues(struct pg *pg,
		struct tl_arena *arena,
		struct q_task_queues_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_task_selftest_begin_params {
	int64_t task_id;
	int32_t attempt;
	int32_t pid;
};
/*
 * The attempt of a test's task begins.
 */
enum tl_status q_task_selftest_begin(struct pg *pg,
		const struct q_task_selftest_begin_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_task_selftest_end_params {
	int64_t task_id;
	int32_t attempt;
};
/*
 * And ends.
 */
enum tl_status q_task_selftest_end(struct pg *pg,
		const struct q_task_selftest_end_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_task_depth_row {
	int64_t ready;
	int64_t delayed;
};
/*
 * How many tasks are ready and how many wait for their time; counts no
 * further than :max.
 */
enum tl_status q_task_depth(struct pg *pg,
		int64_t max,
		struct tl_arena *arena, struct q_task_depth_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
