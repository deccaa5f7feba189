/*
 * q_users.h - generated from db/queries/users.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_USERS_H
#define TALLY_STORE_Q_USERS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Users.
 */

struct q_user_insert_params {
	struct tl_str email;
	const struct tl_str *name; /* may be NULL */
	struct tl_str plan;
	struct tl_str actor;
};
struct q_user_insert_row {
	struct tl_uuid user_id;
	struct tl_uuid plan_id;
};
/*
 * Makes a user on the plan of that name; no row when there is no such plan,
 * TL_CONFLICT (users_email_key) when the e-mail is taken.  Audited.
 */
enum tl_status q_user_insert(struct pg *pg,
		const struct q_user_insert_params *p,
		struct tl_arena *arena, struct q_user_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_user_find_by_email_row {
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str name;
	bool name_null;
	struct tl_uuid plan_id;
	struct tl_str status;
	int64_t created_at_us;
};
/*
 * E-mail without regard to case.
 */
enum tl_status q_user_find_by_email(struct pg *pg,
		struct tl_str email,
		struct tl_arena *arena, struct q_user_find_by_email_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One user.
 */
enum tl_status q_user_by_id(struct pg *pg,
		struct tl_uuid user_id,
		struct tl_arena *arena, struct q_user_find_by_email_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_user_load_many_params {
	struct pg_array user_ids; /* of struct tl_uuid */
	int32_t day;
	int64_t max;
};
struct q_user_load_many_row {
	struct tl_uuid user_id;
	struct tl_uuid plan_id;
	bool suspended;
	int64_t base_credits;
	int64_t base_requests;
	struct pg_array overrides; /* of struct tl_str */
};
/*
 * What the segment holds of these users, usage as of :day; unknown ids give
 * no row.
 */
enum tl_status q_user_load_many(struct pg *pg,
		const struct q_user_load_many_params *p,
		struct tl_arena *arena,
		struct q_user_load_many_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
