/*
 * q_limits.h - generated from db/queries/limits.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_LIMITS_H
#define TALLY_STORE_Q_LIMITS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct pg;
struct tl_arena;

/*
 * Named limits and their overrides as people see and change them.
 *
 * What the segment takes of them is in policy.sql.  Every change writes its
 * audit_log row in the same statement.
 */

struct q_limit_all_row {
	struct tl_uuid limit_id;
	struct tl_str name;
	int32_t count;
	int32_t window_ms;
	struct tl_str algorithm;
	int32_t burst;
	struct tl_str scope;
	bool shadow;
	int64_t created_at_us;
};
/*
 * All limits, by name.
 */
enum tl_status q_limit_all(struct pg *pg,
		struct tl_arena *arena,
		struct q_limit_all_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One by its name.
 */
enum tl_status q_limit_find(struct pg *pg,
		struct tl_str name,
		struct tl_arena *arena, struct q_limit_all_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_limit_insert_params {
	struct tl_str name;
	int32_t count;
	int32_t window_ms;
	struct tl_str algorithm;
	int32_t burst;
	struct tl_str scope;
	bool shadow;
	int64_t max;
	struct tl_str actor;
};
struct q_limit_insert_row {
	struct tl_uuid limit_id;
};
/*
 * Makes a limit; no row when there are :max already, TL_CONFLICT
 * (limits_name_key) when the name is taken.
 */
enum tl_status q_limit_insert(struct pg *pg,
		const struct q_limit_insert_params *p,
		struct tl_arena *arena, struct q_limit_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_limit_change_params {
	const struct tl_str *algorithm; /* may be NULL */
	struct tl_uuid limit_id;
	const int32_t *count; /* may be NULL */
	const int32_t *window_ms; /* may be NULL */
	const int32_t *burst; /* may be NULL */
	const bool *shadow; /* may be NULL */
	struct tl_str actor;
};
struct q_limit_change_row {
	struct tl_str outcome;
};
/*
 * What is given of a limit.  burst belongs to gcra and is at least 1 there.
 * outcome: 'changed', 'no_limit', 'not_gcra' (a burst for a sliding limit);
 * the last two change nothing.
 */
enum tl_status q_limit_change(struct pg *pg,
		const struct q_limit_change_params *p,
		struct tl_arena *arena, struct q_limit_change_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_limit_delete_params {
	struct tl_uuid limit_id;
	struct tl_str actor;
};
struct q_limit_delete_row {
	struct tl_uuid limit_id;
};
/*
 * Removes a limit with its overrides; no row when there is none.
 */
enum tl_status q_limit_delete(struct pg *pg,
		const struct q_limit_delete_params *p,
		struct tl_arena *arena, struct q_limit_delete_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_override_page_params {
	struct tl_uuid limit_id;
	int64_t before_at_us;
	struct tl_uuid before_id;
	int64_t max;
};
struct q_override_page_row {
	struct tl_uuid limit_override_id;
	struct tl_uuid user_id;
	bool user_id_null;
	struct tl_str email;
	bool email_null;
	struct tl_uuid key_id;
	bool key_id_null;
	struct tl_str key_prefix;
	bool key_prefix_null;
	int32_t count;
	int64_t created_at_us;
};
/*
 * Overrides of a limit, newest first, those behind the place only.
 */
enum tl_status q_override_page(struct pg *pg,
		const struct q_override_page_params *p,
		struct tl_arena *arena,
		struct q_override_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_override_set_params {
	struct tl_uuid limit_id;
	const struct tl_uuid *user_id; /* may be NULL */
	const struct tl_uuid *key_id; /* may be NULL */
	int64_t max;
	int64_t max_user;
	int32_t count;
	struct tl_str actor;
};
struct q_override_set_row {
	struct tl_str outcome;
	struct tl_uuid limit_override_id;
	bool limit_override_id_null;
	struct tl_str digest;
	bool digest_null;
};
/*
 * The count of one user or one key for a limit, made or changed.  outcome:
 * 'set', 'no_limit', 'no_subject', 'too_many' (the subject has :max already,
 * or the user :max_user of scope user); all but the first change nothing.
 * digest: of a key.
 */
enum tl_status q_override_set(struct pg *pg,
		const struct q_override_set_params *p,
		struct tl_arena *arena, struct q_override_set_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_override_remove_params {
	struct tl_uuid limit_id;
	const struct tl_uuid *limit_override_id; /* may be NULL */
	const struct tl_uuid *user_id; /* may be NULL */
	const struct tl_uuid *key_id; /* may be NULL */
	struct tl_str actor;
};
struct q_override_remove_row {
	struct tl_uuid user_id;
	bool user_id_null;
	struct tl_str digest;
	bool digest_null;
};
/*
 * Removes an override of a limit, by its id or by its subject; no row when
 * there is none.  digest: of a key.
 */
enum tl_status q_override_remove(struct pg *pg,
		const struct q_override_remove_params *p,
		struct tl_arena *arena, struct q_override_remove_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
