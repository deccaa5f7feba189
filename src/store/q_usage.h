/*
 * q_usage.h - generated from db/queries/usage.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_USAGE_H
#define TALLY_STORE_Q_USAGE_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Usage as its owner sees it: sums by day, rows of the request log.
 *
 * Days and moments are parameters, by the clock of the request.
 */

struct q_usage_days_params {
	struct tl_str node;
	int64_t epoch;
	struct tl_uuid user_id;
	int64_t since_us;
	int32_t first_day;
	int32_t last_day;
};
struct q_usage_days_row {
	int64_t last_seq;
	struct pg_array digests; /* of struct tl_str */
	struct pg_array days; /* of int32_t */
	struct pg_array credits; /* of int64_t */
	struct pg_array requests; /* of int64_t */
	struct pg_array costs; /* of int64_t */
};
/*
 * A user's sums of each day that has a row, over all keys; and, of the same
 * snapshot, what the caller needs to add what is on its way (shm/books.h):
 * the last batch of (:node, :epoch) that was applied, and the digests of the
 * keys that are active or were so since then.
 */
enum tl_status q_usage_days(struct pg *pg,
		const struct q_usage_days_params *p,
		struct tl_arena *arena, struct q_usage_days_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_requests_params {
	struct tl_uuid user_id;
	int64_t since_us;
	int64_t before_us;
	struct tl_uuid before_id;
	int64_t skip;
	int64_t max;
};
struct q_usage_requests_row {
	struct tl_uuid request_log_id;
	struct tl_str model;
	int32_t prompt_tokens;
	int32_t completion_tokens;
	int32_t credits;
	int64_t cost_micro_usd;
	int64_t created_at_us;
	int32_t date_day;
};
/*
 * Rows of the request log of a user since then, newest first, behind the
 * place (:before, :before_id).
 */
enum tl_status q_usage_requests(struct pg *pg,
		const struct q_usage_requests_params *p,
		struct tl_arena *arena,
		struct q_usage_requests_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_models_params {
	struct tl_uuid user_id;
	int64_t since_us;
	int64_t max;
};
struct q_usage_models_row {
	struct tl_str model;
	int64_t cost_micro_usd;
	int64_t requests;
	int64_t prompt_tokens;
	int64_t completion_tokens;
};
/*
 * Sums by model since then, the dearest first, then by name.
 */
enum tl_status q_usage_models(struct pg *pg,
		const struct q_usage_models_params *p,
		struct tl_arena *arena,
		struct q_usage_models_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_hours_params {
	struct tl_uuid user_id;
	int64_t since_us;
	int64_t until_us;
};
struct q_usage_hours_row {
	int32_t hour;
	int64_t requests;
};
/*
 * Requests by hour of the day, UTC, in [:since, :until).
 */
enum tl_status q_usage_hours(struct pg *pg,
		const struct q_usage_hours_params *p,
		struct tl_arena *arena,
		struct q_usage_hours_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_tokens_params {
	struct tl_uuid user_id;
	int64_t since_us;
};
struct q_usage_tokens_row {
	int64_t prompt_tokens;
	int64_t completion_tokens;
	int32_t peak_hour;
	bool peak_hour_null;
};
/*
 * Tokens since then, and the hour of the day with most requests, the earlier
 * of equals.
 */
enum tl_status q_usage_tokens(struct pg *pg,
		const struct q_usage_tokens_params *p,
		struct tl_arena *arena, struct q_usage_tokens_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_totals_params {
	struct tl_str node;
	int64_t epoch;
	int32_t day;
};
struct q_usage_totals_row {
	int64_t last_seq;
	int64_t users;
	int64_t active_keys;
	int64_t daily_limit;
	int64_t credits;
	int64_t requests;
};
/*
 * All users: how many there are, active keys, what all active users may use
 * in a day, what the database holds of :day as of the last batch of (:node,
 * :epoch).  Reads whole tables: not for every request.
 */
enum tl_status q_usage_totals(struct pg *pg,
		const struct q_usage_totals_params *p,
		struct tl_arena *arena, struct q_usage_totals_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_usage_all_days_params {
	struct tl_str node;
	int64_t epoch;
	int32_t first_day;
	int32_t last_day;
};
struct q_usage_all_days_row {
	int64_t last_seq;
	struct pg_array days; /* of int32_t */
	struct pg_array credits; /* of int64_t */
	struct pg_array requests; /* of int64_t */
	struct pg_array costs; /* of int64_t */
};
/*
 * The sums of all users of each day that has a row, and the last batch of
 * (:node, :epoch) in them.  For people at a terminal, not for requests.
 */
enum tl_status q_usage_all_days(struct pg *pg,
		const struct q_usage_all_days_params *p,
		struct tl_arena *arena, struct q_usage_all_days_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
