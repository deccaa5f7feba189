/*
 * keysource.c - rows of q_keys, q_users and q_policy to struct tally_*_row.
 */
#include "store/keysource.h"

#include <endian.h>
#include <string.h>

#include "pg/pg.h"
#include "store/q_keys.h"
#include "store/q_policy.h"
#include "store/q_users.h"

#define US_PER_S 1000000

/* Whole seconds; a time that is set is never 0, which says "none". */
static int64_t seconds(int64_t at_us, bool null)
{
	int64_t at_s;

	if (null)
		return 0;
	at_s = at_us / US_PER_S;
	return at_s != 0 ? at_s : -1;
}

/* Each as the query packs it: 16 bytes of limit_id, 4 of count. */
#define OVERRIDE_BYTES 20

static enum tl_status overrides_convert(struct pg_array packed,
					struct tl_arena *arena,
					const struct tally_override **items_r,
					uint32_t *n_r, struct tl_err *err)
{
	const struct tl_str *from = packed.items;
	struct tally_override *items = NULL;
	uint32_t count;

	if (packed.n > 0)
		items = tl_arena_alloc(arena, packed.n * sizeof(*items));
	for (uint32_t i = 0; i < packed.n; i++) {
		if (from[i].len != OVERRIDE_BYTES)
			return tl_err_set(err, TL_BROKEN,
					  "override of %zu bytes", from[i].len);
		memcpy(items[i].limit_id.b, from[i].ptr,
		       sizeof(items[i].limit_id.b));
		memcpy(&count, from[i].ptr + sizeof(items[i].limit_id.b),
		       sizeof(count));
		items[i].count = be32toh(count);
	}
	*items_r = items;
	*n_r = packed.n;
	return TL_OK;
}

static enum tl_status allowed_convert(struct pg_array texts,
				      struct tl_arena *arena,
				      const struct tally_cidr **items_r,
				      struct tl_err *err)
{
	const struct tl_str *text = texts.items;
	struct tally_cidr *items = NULL;
	enum tl_status st;

	if (texts.n > 0)
		items = tl_arena_alloc(arena, texts.n * sizeof(*items));
	for (uint32_t i = 0; i < texts.n; i++) {
		st = tally_cidr_parse(text[i], &items[i], err);
		if (st != TL_OK)
			return tl_err_wrap(err, "allowed address");
	}
	*items_r = items;
	return TL_OK;
}

static enum tl_status user_part(const struct q_key_load_row *q, int32_t day,
				struct tl_arena *arena,
				struct tally_user_row *user_r,
				struct tl_err *err)
{
	user_r->user_id = q->user_id;
	user_r->plan_id = q->plan_id;
	user_r->suspended = q->suspended;
	user_r->day = day;
	user_r->base_credits = q->user_base_credits;
	user_r->base_requests = q->user_base_requests;
	return overrides_convert(q->user_overrides, arena, &user_r->overrides,
				 &user_r->n_overrides, err);
}

static enum tl_status key_part(const struct q_key_load_row *q,
			       struct tl_arena *arena,
			       struct tally_key_row *row, struct tl_err *err)
{
	enum tl_status st;

	if (q->digest.len != sizeof(row->digest.b))
		return tl_err_set(err, TL_BROKEN, "digest of %zu bytes",
				  q->digest.len);
	memcpy(row->digest.b, q->digest.ptr, sizeof(row->digest.b));
	row->key_id = q->key_id;
	row->revoked = q->revoked;
	row->expires_at_s = seconds(q->expires_at_us, q->expires_at_null);
	row->grace_until_s =
		q->grace_until_null ? 0 : tally_grace_s(q->grace_until_us);
	row->rate_limit = q->rate_limit_null ? 0 : (uint32_t)q->rate_limit;
	row->daily_credit_limit =
		q->daily_credit_limit_null ? -1 : q->daily_credit_limit;
	row->scopes = q->scopes.items;
	row->n_scopes = q->scopes.n;
	row->n_allowed = q->allowed_ips.n;
	row->base_credits = q->base_credits;
	st = allowed_convert(q->allowed_ips, arena, &row->allowed, err);
	if (st != TL_OK)
		return st;
	return overrides_convert(q->overrides, arena, &row->overrides,
				 &row->n_overrides, err);
}

enum tl_status store_key_convert(const struct q_key_load_row *q, int32_t day,
				 struct tl_arena *arena,
				 struct tally_key_row *row_r,
				 struct tl_err *err)
{
	struct tally_key_row row = { .revoked = false };
	char id[TL_UUID_TEXT];
	enum tl_status st;

	st = key_part(q, arena, &row, err);
	if (st == TL_OK)
		st = user_part(q, day, arena, &row.user, err);
	if (st != TL_OK) {
		tl_uuid_format(&q->key_id, id);
		tl_err_wrap(err, "key %s", id);
		return TL_BROKEN;
	}
	*row_r = row;
	return TL_OK;
}

enum tl_status store_user_convert(const struct q_user_load_many_row *q,
				  int32_t day, struct tl_arena *arena,
				  struct tally_user_row *row_r,
				  struct tl_err *err)
{
	struct tally_user_row row = {
		.user_id = q->user_id,
		.plan_id = q->plan_id,
		.suspended = q->suspended,
		.day = day,
		.base_credits = q->base_credits,
		.base_requests = q->base_requests,
	};
	enum tl_status st;

	st = overrides_convert(q->overrides, arena, &row.overrides,
			       &row.n_overrides, err);
	if (st != TL_OK)
		return st;
	*row_r = row;
	return TL_OK;
}

static enum tl_status keys_convert(const struct q_key_load_row *q, uint32_t n,
				   int32_t day, struct tl_arena *arena,
				   struct tally_key_row **rows_r, uint32_t *n_r,
				   struct tl_err *err)
{
	struct tally_key_row *rows;
	enum tl_status st;

	rows = tl_arena_alloc(arena, (n + (size_t)1) * sizeof(*rows));
	for (uint32_t i = 0; i < n; i++) {
		st = store_key_convert(&q[i], day, arena, &rows[i], err);
		if (st != TL_OK)
			return st;
	}
	*rows_r = rows;
	*n_r = n;
	return TL_OK;
}

static struct tl_str digest_str(const struct tally_digest *d)
{
	return (struct tl_str){ (const char *)d->b, sizeof(d->b) };
}

enum tl_status store_key_load(struct pg *pg, const struct tally_digest *digest,
			      int32_t day, struct tl_arena *arena,
			      struct tally_key_row *row_r, struct tl_err *err)
{
	struct q_key_load_row q;
	enum tl_status st;

	st = q_key_load(pg,
			&(struct q_key_load_params){
				.day = day, .digest = digest_str(digest) },
			arena, &q, err);
	if (st != TL_OK)
		return st;
	return store_key_convert(&q, day, arena, row_r, err);
}

enum tl_status store_key_load_many(struct pg *pg,
				   const struct tally_digest *digests,
				   uint32_t n_digests, int32_t day,
				   struct tl_arena *arena,
				   struct tally_key_row **rows_r, uint32_t *n_r,
				   struct tl_err *err)
{
	struct q_key_load_row *q;
	struct tl_str *items;
	enum tl_status st;
	uint32_t n;

	items = tl_arena_alloc(arena, (n_digests + (size_t)1) * sizeof(*items));
	for (uint32_t i = 0; i < n_digests; i++)
		items[i] = digest_str(&digests[i]);
	st = q_key_load_many(pg,
			     &(struct q_key_load_many_params){
				     .digests = { n_digests, items },
				     .day = day,
				     .max = n_digests },
			     arena, &q, &n, err);
	if (st != TL_OK)
		return st;
	return keys_convert(q, n, day, arena, rows_r, n_r, err);
}

enum tl_status store_key_load_today(struct pg *pg, int32_t day,
				    struct tl_uuid *after, uint32_t max,
				    struct tl_arena *arena,
				    struct tally_key_row **rows_r,
				    uint32_t *n_r, struct tl_err *err)
{
	struct q_key_load_row *q;
	enum tl_status st;
	uint32_t n;

	st = q_key_load_today(
		pg,
		&(struct q_key_load_today_params){
			.day = day, .after_user_id = *after, .max = max },
		arena, &q, &n, err);
	if (st == TL_OK)
		st = keys_convert(q, n, day, arena, rows_r, n_r, err);
	if (st == TL_OK && n > 0)
		*after = q[n - 1].user_id;
	return st;
}

enum tl_status store_user_load_many(struct pg *pg,
				    const struct tl_uuid *user_ids,
				    uint32_t n_user_ids, int32_t day,
				    struct tl_arena *arena,
				    struct tally_user_row **rows_r,
				    uint32_t *n_r, struct tl_err *err)
{
	struct q_user_load_many_row *q;
	struct tally_user_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_user_load_many(pg,
			      &(struct q_user_load_many_params){
				      .user_ids = { n_user_ids, user_ids },
				      .day = day,
				      .max = n_user_ids },
			      arena, &q, &n, err);
	if (st != TL_OK)
		return st;
	rows = tl_arena_alloc(arena, (n + (size_t)1) * sizeof(*rows));
	for (uint32_t i = 0; i < n; i++) {
		st = store_user_convert(&q[i], day, arena, &rows[i], err);
		if (st != TL_OK)
			return st;
	}
	*rows_r = rows;
	*n_r = n;
	return TL_OK;
}

static enum tl_status policy_full(const char *what, struct tl_err *err)
{
	return tl_err_set(err, TL_FULL, "more than %d %s", STORE_POLICY_MAX,
			  what);
}

static void plan_convert(const struct q_plan_list_row *q,
			 struct tally_plan_row *row)
{
	*row = (struct tally_plan_row){
		.plan_id = q->plan_id,
		.name = q->name,
		.daily_credit_limit = q->daily_credit_limit,
		.rate_limit = (uint32_t)q->rate_limit,
	};
}

enum tl_status store_plans(struct pg *pg, struct tl_arena *arena,
			   struct tally_plan_row **rows_r, uint32_t *n_r,
			   struct tl_err *err)
{
	struct tally_plan_row *rows;
	struct q_plan_list_row *q;
	enum tl_status st;
	uint32_t n;

	st = q_plan_list(pg, STORE_POLICY_MAX + 1, arena, &q, &n, err);
	if (st != TL_OK)
		return st;
	if (n > STORE_POLICY_MAX)
		return policy_full("plans", err);
	rows = tl_arena_alloc(arena, (n + (size_t)1) * sizeof(*rows));
	for (uint32_t i = 0; i < n; i++)
		plan_convert(&q[i], &rows[i]);
	*rows_r = rows;
	*n_r = n;
	return TL_OK;
}

static enum tl_status limit_convert(const struct q_limit_list_row *q,
				    struct tally_limit_row *row,
				    struct tl_err *err)
{
	*row = (struct tally_limit_row){
		.limit_id = q->limit_id,
		.name = q->name,
		.count = (uint32_t)q->count,
		.window_ms = (uint32_t)q->window_ms,
		.burst = (uint32_t)q->burst,
		.shadow = q->shadow,
	};
	if (tl_str_eq(q->algorithm, TL_STR("sliding")))
		row->algorithm = TALLY_SLIDING;
	else if (tl_str_eq(q->algorithm, TL_STR("gcra")))
		row->algorithm = TALLY_GCRA;
	else
		return tl_err_set(err, TL_BROKEN,
				  "limit '%.*s' has algorithm '%.*s'",
				  (int)q->name.len, q->name.ptr,
				  (int)q->algorithm.len, q->algorithm.ptr);
	if (tl_str_eq(q->scope, TL_STR("key")))
		row->scope = TALLY_SCOPE_KEY;
	else if (tl_str_eq(q->scope, TL_STR("user")))
		row->scope = TALLY_SCOPE_USER;
	else if (tl_str_eq(q->scope, TL_STR("address")))
		row->scope = TALLY_SCOPE_ADDRESS;
	else
		return tl_err_set(err, TL_BROKEN,
				  "limit '%.*s' has scope '%.*s'",
				  (int)q->name.len, q->name.ptr,
				  (int)q->scope.len, q->scope.ptr);
	return TL_OK;
}

enum tl_status store_limits(struct pg *pg, struct tl_arena *arena,
			    struct tally_limit_row **rows_r, uint32_t *n_r,
			    struct tl_err *err)
{
	struct tally_limit_row *rows;
	struct q_limit_list_row *q;
	enum tl_status st;
	uint32_t n;

	st = q_limit_list(pg, STORE_POLICY_MAX + 1, arena, &q, &n, err);
	if (st != TL_OK)
		return st;
	if (n > STORE_POLICY_MAX)
		return policy_full("limits", err);
	rows = tl_arena_alloc(arena, (n + (size_t)1) * sizeof(*rows));
	for (uint32_t i = 0; i < n; i++) {
		st = limit_convert(&q[i], &rows[i], err);
		if (st != TL_OK)
			return st;
	}
	*rows_r = rows;
	*n_r = n;
	return TL_OK;
}

enum tl_status store_plan_load(struct pg *pg, const struct tl_uuid *plan_id,
			       struct tl_arena *arena,
			       struct tally_plan_row *row_r, struct tl_err *err)
{
	struct q_plan_list_row q;
	enum tl_status st;

	st = q_plan_load(pg, *plan_id, arena, &q, err);
	if (st == TL_OK)
		plan_convert(&q, row_r);
	return st;
}

enum tl_status store_limit_load(struct pg *pg, const struct tl_uuid *limit_id,
				struct tl_arena *arena,
				struct tally_limit_row *row_r,
				struct tl_err *err)
{
	struct q_limit_list_row q;
	enum tl_status st;

	st = q_limit_load(pg, *limit_id, arena, &q, err);
	return st == TL_OK ? limit_convert(&q, row_r, err) : st;
}
