/*
 * q_keys.h - generated from db/queries/keys.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_KEYS_H
#define TALLY_STORE_Q_KEYS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Keys: what the segment loads, and what people do with them.
 *
 * The three key_load* statements give the same columns, those of struct
 * tally_key_row; keysource.c converts them.  Usage is as of :day, of this key
 * and of its user over all keys, revoked ones included.  An override travels
 * as 20 bytes, limit_id and count in network order: one array in place of two.
 */

struct q_key_load_params {
	int32_t day;
	struct tl_str digest;
};
struct q_key_load_row {
	struct tl_str digest;
	struct tl_uuid key_id;
	bool revoked;
	int64_t expires_at_us;
	bool expires_at_null;
	int64_t grace_until_us;
	bool grace_until_null;
	int32_t rate_limit;
	bool rate_limit_null;
	int32_t daily_credit_limit;
	bool daily_credit_limit_null;
	struct pg_array scopes; /* of struct tl_str */
	struct pg_array allowed_ips; /* of struct tl_str */
	struct pg_array overrides; /* of struct tl_str */
	int64_t base_credits;
	struct tl_uuid user_id;
	struct tl_uuid plan_id;
	bool suspended;
	int64_t user_base_credits;
	int64_t user_base_requests;
	struct pg_array user_overrides; /* of struct tl_str */
};
/*
 * One key by its digest.
 */
enum tl_status q_key_load(struct pg *pg,
		const struct q_key_load_params *p,
		struct tl_arena *arena, struct q_key_load_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_load_many_params {
	struct pg_array digests; /* of struct tl_str */
	int32_t day;
	int64_t max;
};
/*
 * Keys by their digests; unknown ones give no row.
 */
enum tl_status q_key_load_many(struct pg *pg,
		const struct q_key_load_many_params *p,
		struct tl_arena *arena,
		struct q_key_load_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_load_today_params {
	int32_t day;
	struct tl_uuid after_user_id;
	int64_t max;
};
/*
 * Keys with usage on :day, in order of user_id, after :after_user_id: about
 * :max of them, for a user is never cut in two (that way one pass over the
 * day gives the sums of users and keys alike).
 */
enum tl_status q_key_load_today(struct pg *pg,
		const struct q_key_load_today_params *p,
		struct tl_arena *arena,
		struct q_key_load_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_insert_params {
	struct tl_str actor;
	struct tl_uuid user_id;
	struct tl_str digest;
	struct tl_str prefix;
	struct tl_str label;
	int32_t max_active;
	const int64_t *expires_at_us; /* may be NULL */
	struct pg_array scopes; /* of struct tl_str */
	struct pg_array allowed_ips; /* of struct tl_str */
	const int32_t *rate_limit; /* may be NULL */
	const int32_t *daily_credit_limit; /* may be NULL */
	const struct tl_str *metadata; /* may be NULL */
};
struct q_key_insert_row {
	struct tl_str outcome;
	struct tl_uuid key_id;
	bool key_id_null;
	int64_t created_at_us;
	bool created_at_null;
};
/*
 * Makes a key unless its owner has :max_active active ones: outcome 'made',
 * 'no_user' or 'too_many'; key_id and created_at with the first only.
 */
enum tl_status q_key_insert(struct pg *pg,
		const struct q_key_insert_params *p,
		struct tl_arena *arena, struct q_key_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_rotate_params {
	struct tl_str actor;
	struct tl_uuid key_id;
	const struct tl_uuid *user_id; /* may be NULL */
	struct tl_str digest;
	struct tl_str prefix;
	int32_t grace_seconds;
};
struct q_key_rotate_row {
	struct tl_uuid key_id;
	struct tl_str label;
	struct tl_str old_digest;
	int64_t grace_until_us;
	bool grace_until_null;
};
/*
 * A new secret in the place of an active key; no row when there is none.
 * With a user_id only when it is theirs.
 */
enum tl_status q_key_rotate(struct pg *pg,
		const struct q_key_rotate_params *p,
		struct tl_arena *arena, struct q_key_rotate_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_rename_params {
	struct tl_uuid key_id;
	const struct tl_uuid *user_id; /* may be NULL */
	struct tl_str label;
	struct tl_str actor;
};
struct q_key_rename_row {
	struct tl_uuid key_id;
};
/*
 * Another label for an active key; no row when there is none.  With a
 * user_id only when it is theirs.
 */
enum tl_status q_key_rename(struct pg *pg,
		const struct q_key_rename_params *p,
		struct tl_arena *arena, struct q_key_rename_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_revocable_params {
	struct tl_uuid key_id;
	const struct tl_uuid *user_id; /* may be NULL */
};
struct q_key_revocable_row {
	struct tl_str digest;
};
/*
 * The digest of a key that key_revoke would end.
 */
enum tl_status q_key_revocable(struct pg *pg,
		const struct q_key_revocable_params *p,
		struct tl_arena *arena, struct q_key_revocable_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_revoke_params {
	struct tl_uuid key_id;
	const struct tl_uuid *user_id; /* may be NULL */
	struct tl_str actor;
};
struct q_key_revoke_row {
	struct tl_str digest;
	struct tl_uuid user_id;
	struct tl_str key_prefix;
	struct tl_str label;
};
/*
 * Ends an active key, or the grace of a rotated one, and tells so; no row for
 * any other.  With a user_id only when it is theirs.
 */
enum tl_status q_key_revoke(struct pg *pg,
		const struct q_key_revoke_params *p,
		struct tl_arena *arena, struct q_key_revoke_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_own_params {
	struct tl_uuid user_id;
	int64_t before_us;
	struct tl_uuid before_id;
	int64_t skip;
	int64_t max;
};
struct q_key_own_row {
	struct tl_uuid key_id;
	struct tl_str key_prefix;
	struct tl_str label;
	struct tl_str status;
	int64_t created_at_us;
	int64_t last_used_at_us;
	bool last_used_at_null;
	int64_t expires_at_us;
	bool expires_at_null;
	struct pg_array scopes; /* of struct tl_str */
	struct pg_array allowed_ips; /* of struct tl_str */
	int32_t rate_limit;
	bool rate_limit_null;
	int32_t daily_credit_limit;
	bool daily_credit_limit_null;
	struct tl_str metadata;
	bool metadata_null;
	struct tl_str digest;
};
/*
 * A user's active keys, newest first, behind the place (:before, :before_id).
 */
enum tl_status q_key_own(struct pg *pg,
		const struct q_key_own_params *p,
		struct tl_arena *arena,
		struct q_key_own_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_search_params {
	int64_t before_us;
	struct tl_uuid before_id;
	struct tl_str text;
	int64_t skip;
	int64_t max;
};
struct q_key_search_row {
	struct tl_uuid key_id;
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str key_prefix;
	struct tl_str label;
	struct tl_str status;
	int64_t created_at_us;
	int64_t last_used_at_us;
	bool last_used_at_null;
	int64_t revoked_at_us;
	bool revoked_at_null;
};
/*
 * All keys, newest first, behind a place; those only whose owner's e-mail,
 * label or prefix has the text, whose case does not matter.
 */
enum tl_status q_key_search(struct pg *pg,
		const struct q_key_search_params *p,
		struct tl_arena *arena,
		struct q_key_search_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_list_row {
	struct tl_uuid key_id;
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str key_prefix;
	struct tl_str label;
	struct tl_str status;
	int64_t created_at_us;
	int64_t last_used_at_us;
	bool last_used_at_null;
	int64_t revoked_at_us;
	bool revoked_at_null;
	int64_t expires_at_us;
	bool expires_at_null;
	int64_t grace_until_us;
	bool grace_until_null;
	struct pg_array scopes; /* of struct tl_str */
	struct pg_array allowed_ips; /* of struct tl_str */
	int32_t rate_limit;
	bool rate_limit_null;
	int32_t daily_credit_limit;
	bool daily_credit_limit_null;
	struct tl_str metadata;
	bool metadata_null;
};
/*
 * All keys, newest first.
 */
enum tl_status q_key_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_list_by_user_params {
	struct tl_uuid user_id;
	int64_t max;
};
/*
 * All keys of a user, newest first.
 */
enum tl_status q_key_list_by_user(struct pg *pg,
		const struct q_key_list_by_user_params *p,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_key_find_by_prefix_params {
	struct tl_str prefix;
	int64_t max;
};
/*
 * Keys shown under this prefix (demo keys share one), newest first.
 */
enum tl_status q_key_find_by_prefix(struct pg *pg,
		const struct q_key_find_by_prefix_params *p,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * One key.
 */
enum tl_status q_key_find_by_id(struct pg *pg,
		struct tl_uuid key_id,
		struct tl_arena *arena, struct q_key_list_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
