/*
 * q_plans.h - generated from db/queries/plans.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_PLANS_H
#define TALLY_STORE_Q_PLANS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Plans as people see and change them.
 *
 * What the segment takes of them is in policy.sql.  Every change writes its
 * audit_log row in the same statement.
 */

struct q_plan_all_row {
	struct tl_uuid plan_id;
	struct tl_str name;
	int32_t daily_credit_limit;
	int32_t price_cents;
	struct tl_str features;
	int64_t created_at_us;
};
/*
 * All plans, cheapest first.
 */
enum tl_status q_plan_all(struct pg *pg,
		struct tl_arena *arena,
		struct q_plan_all_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One by its name.
 */
enum tl_status q_plan_find(struct pg *pg,
		struct tl_str name,
		struct tl_arena *arena, struct q_plan_all_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_plan_insert_params {
	struct tl_str name;
	int32_t daily_credit_limit;
	int32_t price_cents;
	struct tl_str features;
	int64_t max;
	struct tl_str actor;
};
struct q_plan_insert_row {
	struct tl_uuid plan_id;
};
/*
 * Makes a plan; no row when there are :max already, TL_CONFLICT
 * (plans_name_key) when the name is taken.
 */
enum tl_status q_plan_insert(struct pg *pg,
		const struct q_plan_insert_params *p,
		struct tl_arena *arena, struct q_plan_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_plan_change_params {
	struct tl_uuid plan_id;
	const struct tl_str *name; /* may be NULL */
	const int32_t *daily_credit_limit; /* may be NULL */
	const int32_t *price_cents; /* may be NULL */
	const struct tl_str *features; /* may be NULL */
	const struct tl_str *merge; /* may be NULL */
	struct pg_array drop; /* of struct tl_str */
	struct tl_str actor;
};
struct q_plan_change_row {
	struct tl_uuid plan_id;
};
/*
 * What is given of a plan, and the features: :features in place of all, then
 * those of :merge over them, then without those named in :drop.  No row when
 * there is no such plan; TL_CONFLICT (plans_name_key) when the name is taken.
 */
enum tl_status q_plan_change(struct pg *pg,
		const struct q_plan_change_params *p,
		struct tl_arena *arena, struct q_plan_change_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
