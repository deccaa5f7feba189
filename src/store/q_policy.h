/*
 * q_policy.h - generated from db/queries/policy.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_POLICY_H
#define TALLY_STORE_Q_POLICY_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct pg;
struct tl_arena;

/*
 * What holds for everybody: plans and named limits.
 */

struct q_plan_list_row {
	struct tl_uuid plan_id;
	struct tl_str name;
	int32_t daily_credit_limit;
	int32_t rate_limit;
};
/*
 * All plans.  rate_limit is features.rate_limit, 0 when absent or no number.
 */
enum tl_status q_plan_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_plan_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One of them.
 */
enum tl_status q_plan_load(struct pg *pg,
		struct tl_uuid plan_id,
		struct tl_arena *arena, struct q_plan_list_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_limit_list_row {
	struct tl_uuid limit_id;
	struct tl_str name;
	int32_t count;
	int32_t window_ms;
	struct tl_str algorithm;
	int32_t burst;
	struct tl_str scope;
	bool shadow;
};
/*
 * All named limits.
 */
enum tl_status q_limit_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_limit_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One of them.
 */
enum tl_status q_limit_load(struct pg *pg,
		struct tl_uuid limit_id,
		struct tl_arena *arena, struct q_limit_list_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
