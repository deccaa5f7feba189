/*
 * q_admin.h - generated from db/queries/admin.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_ADMIN_H
#define TALLY_STORE_Q_ADMIN_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct pg;
struct tl_arena;

/*
 * What an admin sees and changes of users, and the audit log.
 *
 * Every change writes its audit_log row in the same statement.
 */

struct q_user_page_params {
	int64_t before_at_us;
	struct tl_uuid before_id;
	struct tl_str q;
	int64_t offset;
	int64_t max;
};
struct q_user_page_row {
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str name;
	bool name_null;
	struct tl_str status;
	struct tl_str plan;
	int64_t created_at_us;
	int64_t key_count;
};
/*
 * Users whose e-mail or name holds :q, without regard to case, newest first,
 * those behind the place (before_at, before_id) only.  key_count: active keys.
 */
enum tl_status q_user_page(struct pg *pg,
		const struct q_user_page_params *p,
		struct tl_arena *arena,
		struct q_user_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_user_show_row {
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str name;
	bool name_null;
	struct tl_str status;
	struct tl_str plan;
	int32_t daily_credit_limit;
	int64_t created_at_us;
	int64_t updated_at_us;
	int64_t key_count;
};
/*
 * A user by e-mail, without regard to case.  key_count: active keys.
 */
enum tl_status q_user_show(struct pg *pg,
		struct tl_str email,
		struct tl_arena *arena, struct q_user_show_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_user_change_params {
	const struct tl_str *plan; /* may be NULL */
	struct tl_uuid user_id;
	const struct tl_str *status; /* may be NULL */
	const struct tl_str *name; /* may be NULL */
	struct tl_str actor;
};
struct q_user_change_row {
	struct tl_str outcome;
};
/*
 * Status, plan and name of a user, each only where given; an empty name means
 * none.  outcome: 'changed', 'no_user', 'no_plan'; the last two change nothing.
 */
enum tl_status q_user_change(struct pg *pg,
		const struct q_user_change_params *p,
		struct tl_arena *arena, struct q_user_change_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_audit_page_params {
	int64_t before;
	struct tl_str q;
	int64_t max;
};
struct q_audit_page_row {
	int64_t id;
	int64_t ts_us;
	struct tl_str actor;
	struct tl_str action;
	struct tl_str target;
	bool target_null;
	struct tl_str details;
	bool details_null;
};
/*
 * The newest entries before that one that hold :q in any of their texts,
 * without regard to case.
 */
enum tl_status q_audit_page(struct pg *pg,
		const struct q_audit_page_params *p,
		struct tl_arena *arena,
		struct q_audit_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_audit_trim_params {
	int64_t before_us;
	int64_t max;
};
/*
 * Forgets the oldest entries up to the first that is not older than that, at
 * most :max of them.
 */
enum tl_status q_audit_trim(struct pg *pg,
		const struct q_audit_trim_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

#endif
