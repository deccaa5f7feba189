/*
 * q_flush.h - generated from db/queries/flush.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_FLUSH_H
#define TALLY_STORE_Q_FLUSH_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * The flusher's way into the database; the rules are in the migration.
 */

struct q_flush_node_open_params {
	struct tl_str node;
	int64_t epoch;
};
struct q_flush_node_open_row {
	int64_t last_seq;
};
/*
 * Takes (node, epoch) for a live segment, replacing other epochs of the node;
 * the number of its last batch that was applied, 0 for a new one.
 * SQLSTATE TL002: another epoch has replaced this one.
 */
enum tl_status q_flush_node_open(struct pg *pg,
		const struct q_flush_node_open_params *p,
		struct tl_arena *arena, struct q_flush_node_open_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_flush_apply_params {
	struct tl_str node;
	int64_t epoch;
	int64_t seq;
	bool replay;
	struct pg_array user_ids; /* of struct tl_uuid */
	struct pg_array key_ids; /* of struct tl_uuid */
	struct pg_array days; /* of int32_t */
	struct pg_array credits; /* of int64_t */
	struct pg_array requests; /* of int64_t */
	struct pg_array costs; /* of int64_t */
	struct pg_array last_used_us; /* of int64_t */
	struct pg_array idem_key_ids; /* of struct tl_uuid */
	struct pg_array idem_keys; /* of struct tl_str */
	struct pg_array idem_body_hashes; /* of struct tl_str */
	struct pg_array idem_days; /* of int32_t */
	struct pg_array idem_credits; /* of int64_t */
	struct pg_array idem_costs; /* of int64_t */
	struct pg_array idem_used; /* of int64_t */
	struct pg_array idem_limits; /* of int64_t */
	struct pg_array idem_requests; /* of int64_t */
	struct pg_array idem_at_us; /* of int64_t */
	int32_t log_since_day;
	struct pg_array log_user_ids; /* of struct tl_uuid */
	struct pg_array log_key_ids; /* of struct tl_uuid */
	struct pg_array log_models; /* of struct tl_str */
	struct pg_array log_prompt_tokens; /* of int64_t */
	struct pg_array log_completion_tokens; /* of int64_t */
	struct pg_array log_credits; /* of int64_t */
	struct pg_array log_costs; /* of int64_t */
	struct pg_array log_at_us; /* of int64_t */
	struct pg_array log_days; /* of int32_t */
	struct pg_array refused_user_ids; /* of struct tl_uuid */
	struct pg_array refused_days; /* of int32_t */
};
struct q_flush_apply_row {
	struct tl_str outcome;
	int64_t logs_added;
};
/*
 * Applies one batch: 'applied' or 'duplicate', and how many rows of
 * request_logs were added.  Arrays of a group have equal length.  replay:
 * from a spool, so a replaced epoch is welcome.  log_since: older rows are
 * skipped.  refused: users that had a request refused for want of credits, and
 * the days.
 * SQLSTATE TL001: a batch before is missing; TL002: epoch was replaced.
 */
enum tl_status q_flush_apply(struct pg *pg,
		const struct q_flush_apply_params *p,
		struct tl_arena *arena, struct q_flush_apply_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_request_logs_keep_params {
	int32_t day;
	int32_t since_day;
};
struct q_request_logs_keep_row {
	struct tl_str outcome;
};
/*
 * Partitions of that day's week and the next, and the oldest that ends before
 * `since` dropped: 'dropped', 'done', 'busy' (try again later).
 */
enum tl_status q_request_logs_keep(struct pg *pg,
		const struct q_request_logs_keep_params *p,
		struct tl_arena *arena, struct q_request_logs_keep_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_idempotency_find_params {
	struct tl_uuid key_id;
	struct tl_str idem_key;
	int64_t since_us;
};
struct q_idempotency_find_row {
	struct tl_str body_hash;
	int32_t day;
	int64_t credits;
	int64_t cost_micro_usd;
	int64_t used;
	int64_t daily_limit;
	int64_t requests;
	int64_t at_us;
};
/*
 * The answer that was given under this key since then (the caller says 24 h
 * ago by its own clock).
 */
enum tl_status q_idempotency_find(struct pg *pg,
		const struct q_idempotency_find_params *p,
		struct tl_arena *arena, struct q_idempotency_find_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_idempotency_recent_params {
	int64_t since_us;
	int64_t max;
};
struct q_idempotency_recent_row {
	struct tl_uuid key_id;
	struct tl_str idem_key;
	struct tl_str body_hash;
	int32_t day;
	int64_t credits;
	int64_t cost_micro_usd;
	int64_t used;
	int64_t daily_limit;
	int64_t requests;
	int64_t at_us;
};
/*
 * The newest answers since then, at most :max of them.
 */
enum tl_status q_idempotency_recent(struct pg *pg,
		const struct q_idempotency_recent_params *p,
		struct tl_arena *arena,
		struct q_idempotency_recent_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_idempotency_trim_params {
	int64_t before_us;
	int64_t max;
};
/*
 * Forgets answers from before then, at most :max of them.
 */
enum tl_status q_idempotency_trim(struct pg *pg,
		const struct q_idempotency_trim_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

#endif
