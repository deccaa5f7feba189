/*
 * q_keys.c - generated from db/queries/keys.sql: make queries, do not edit.
 */
#include "store/q_keys.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t key_load_oids[] = { 1082, 17 };
static const struct pg_column key_load_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_load_row, digest) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, key_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, revoked) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, grace_until_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, daily_credit_limit_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, allowed_ips) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, overrides) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, base_credits) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, user_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, plan_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, suspended) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, user_overrides) },
};
static const struct pg_statement key_load_statement = {
	.name = "key_load",
	.sql =
		"SELECT decode(k.key_hash, 'hex') AS \"digest!\", k.key_id,\n"
		"       k.status = 'revoked' AS \"revoked!\", k.expires_at, k.grace_until,\n"
		"       k.rate_limit, k.daily_credit_limit,\n"
		"       coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.key_id = k.key_id)\n"
		"\t\tAS \"overrides!\",\n"
		"       d.own AS \"base_credits!\",\n"
		"       u.user_id, u.plan_id, u.status = 'suspended' AS \"suspended!\",\n"
		"       d.credits AS \"user_base_credits!\", d.requests AS \"user_base_requests!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.user_id = u.user_id)\n"
		"\t\tAS \"user_overrides!\"\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" CROSS JOIN LATERAL (\n"
		"\tSELECT coalesce(sum(d.credits_used) FILTER (WHERE d.key_id = k.key_id),\n"
		"\t\t\t0)::int8 AS own,\n"
		"\t       coalesce(sum(d.credits_used), 0)::int8 AS credits,\n"
		"\t       coalesce(sum(d.request_count), 0)::int8 AS requests\n"
		"\t  FROM daily_usage d\n"
		"\t WHERE d.user_id = u.user_id AND d.date = $1) d\n"
		" WHERE k.key_hash = encode($2, 'hex')",
	.param_oids = key_load_oids,
	.n_params = 2,
	.columns = key_load_columns,
	.n_columns = 17,
	.row_bytes = sizeof(struct q_key_load_row),
};

enum tl_status q_key_load(struct pg *pg,
		const struct q_key_load_params *p,
		struct tl_arena *arena, struct q_key_load_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_DATE, .i4 = p->day },
		{ .type = PG_BYTEA, .str = p->digest },
	};

	return pg_one(pg, &key_load_statement, params, arena, row_r, err);
}

static const uint32_t key_load_many_oids[] = { 1001, 1082, 20 };
static const struct pg_column key_load_many_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_load_row, digest) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, key_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, revoked) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, grace_until_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, daily_credit_limit_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, allowed_ips) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, overrides) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, base_credits) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, user_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, plan_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, suspended) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, user_overrides) },
};
static const struct pg_statement key_load_many_statement = {
	.name = "key_load_many",
	.sql =
		"SELECT decode(k.key_hash, 'hex') AS \"digest!\", k.key_id,\n"
		"       k.status = 'revoked' AS \"revoked!\", k.expires_at, k.grace_until,\n"
		"       k.rate_limit, k.daily_credit_limit,\n"
		"       coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.key_id = k.key_id)\n"
		"\t\tAS \"overrides!\",\n"
		"       d.own AS \"base_credits!\",\n"
		"       u.user_id, u.plan_id, u.status = 'suspended' AS \"suspended!\",\n"
		"       d.credits AS \"user_base_credits!\", d.requests AS \"user_base_requests!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.user_id = u.user_id)\n"
		"\t\tAS \"user_overrides!\"\n"
		"  FROM unnest($1::bytea[]) AS w (digest)\n"
		"  JOIN api_keys k ON k.key_hash = encode(w.digest, 'hex')\n"
		"  JOIN users u ON u.user_id = k.user_id\n"
		" CROSS JOIN LATERAL (\n"
		"\tSELECT coalesce(sum(d.credits_used) FILTER (WHERE d.key_id = k.key_id),\n"
		"\t\t\t0)::int8 AS own,\n"
		"\t       coalesce(sum(d.credits_used), 0)::int8 AS credits,\n"
		"\t       coalesce(sum(d.request_count), 0)::int8 AS requests\n"
		"\t  FROM daily_usage d\n"
		"\t WHERE d.user_id = u.user_id AND d.date = $2) d\n"
		" LIMIT $3::int8",
	.param_oids = key_load_many_oids,
	.n_params = 3,
	.columns = key_load_many_columns,
	.n_columns = 17,
	.row_bytes = sizeof(struct q_key_load_row),
};

enum tl_status q_key_load_many(struct pg *pg,
		const struct q_key_load_many_params *p,
		struct tl_arena *arena,
		struct q_key_load_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA), .array = p->digests },
		{ .type = PG_DATE, .i4 = p->day },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_load_many_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_load_today_oids[] = { 1082, 2950, 20 };
static const struct pg_column key_load_today_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_load_row, digest) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, key_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, revoked) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_load_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, grace_until_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_load_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_load_row, daily_credit_limit_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_load_row, allowed_ips) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, overrides) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, base_credits) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, user_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_load_row, plan_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_key_load_row, suspended) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_key_load_row, user_base_requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_key_load_row, user_overrides) },
};
static const struct pg_statement key_load_today_statement = {
	.name = "key_load_today",
	.sql =
		"SELECT decode(k.key_hash, 'hex') AS \"digest!\", k.key_id,\n"
		"       k.status = 'revoked' AS \"revoked!\", k.expires_at, k.grace_until,\n"
		"       k.rate_limit, k.daily_credit_limit,\n"
		"       coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.key_id = k.key_id)\n"
		"\t\tAS \"overrides!\",\n"
		"       w.own AS \"base_credits!\",\n"
		"       u.user_id, u.plan_id, u.status = 'suspended' AS \"suspended!\",\n"
		"       w.credits::int8 AS \"user_base_credits!\", w.requests::int8 AS \"user_base_requests!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.user_id = u.user_id)\n"
		"\t\tAS \"user_overrides!\"\n"
		"  FROM (SELECT t.user_id, t.key_id, t.credits_used AS own,\n"
		"\t       sum(t.credits_used) OVER mine AS credits,\n"
		"\t       sum(t.request_count) OVER mine AS requests\n"
		"\t  FROM daily_usage t\n"
		"\t WHERE t.date = $1 AND t.user_id > $2\n"
		"\t   AND t.user_id <= (SELECT z.user_id\n"
		"\t\t  FROM (SELECT p.user_id FROM daily_usage p\n"
		"\t\t\t WHERE p.date = $1 AND p.user_id > $2\n"
		"\t\t\t ORDER BY p.user_id\n"
		"\t\t\t LIMIT $3::int8) z\n"
		"\t\t ORDER BY z.user_id DESC\n"
		"\t\t LIMIT 1)\n"
		"\tWINDOW mine AS (PARTITION BY t.user_id)) w\n"
		"  JOIN api_keys k ON k.key_id = w.key_id AND (k.user_id = w.user_id) IS TRUE\n"
		"  JOIN users u ON u.user_id = w.user_id\n"
		" ORDER BY w.user_id",
	.param_oids = key_load_today_oids,
	.n_params = 3,
	.columns = key_load_today_columns,
	.n_columns = 17,
	.row_bytes = sizeof(struct q_key_load_row),
};

enum tl_status q_key_load_today(struct pg *pg,
		const struct q_key_load_today_params *p,
		struct tl_arena *arena,
		struct q_key_load_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_DATE, .i4 = p->day },
		{ .type = PG_UUID, .uuid = p->after_user_id },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_load_today_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_insert_oids[] = { 25, 2950, 17, 25, 25, 23, 1184, 1009, 1009, 23, 23, 3802 };
static const struct pg_column key_insert_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_insert_row, outcome) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_insert_row, key_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_insert_row, key_id_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_insert_row, created_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_insert_row, created_at_null) },
};
static const struct pg_statement key_insert_statement = {
	.name = "key_insert",
	.sql =
		"SELECT outcome AS \"outcome!\", key_id, created_at\n"
		"  FROM tallyd.key_insert($1, $2, $3, $4, $5,\n"
		"\t$6, $7, $8, $9, $10,\n"
		"\t$11, $12)",
	.param_oids = key_insert_oids,
	.n_params = 12,
	.columns = key_insert_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_key_insert_row),
};

enum tl_status q_key_insert(struct pg *pg,
		const struct q_key_insert_params *p,
		struct tl_arena *arena, struct q_key_insert_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->actor },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_BYTEA, .str = p->digest },
		{ .type = PG_TEXT, .str = p->prefix },
		{ .type = PG_TEXT, .str = p->label },
		{ .type = PG_INT4, .i4 = p->max_active },
		{ .type = PG_TIMESTAMPTZ, .null = p->expires_at_us == NULL },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->scopes },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->allowed_ips },
		{ .type = PG_INT4, .null = p->rate_limit == NULL },
		{ .type = PG_INT4, .null = p->daily_credit_limit == NULL },
		{ .type = PG_JSONB, .null = p->metadata == NULL },
	};

	if (p->expires_at_us != NULL)
		params[6].i8 = *p->expires_at_us;
	if (p->rate_limit != NULL)
		params[9].i4 = *p->rate_limit;
	if (p->daily_credit_limit != NULL)
		params[10].i4 = *p->daily_credit_limit;
	if (p->metadata != NULL)
		params[11].str = *p->metadata;
	return pg_one(pg, &key_insert_statement, params, arena, row_r, err);
}

static const uint32_t key_rotate_oids[] = { 25, 2950, 2950, 17, 25, 23 };
static const struct pg_column key_rotate_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_rotate_row, key_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_rotate_row, label) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_rotate_row, old_digest) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_rotate_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_rotate_row, grace_until_null) },
};
static const struct pg_statement key_rotate_statement = {
	.name = "key_rotate",
	.sql =
		"SELECT key_id AS \"key_id!\", label AS \"label!\", old_digest AS \"old_digest!\",\n"
		"       grace_until\n"
		"  FROM tallyd.key_rotate($1, $2, $3, $4, $5,\n"
		"\t$6)\n"
		" WHERE key_id IS NOT NULL",
	.param_oids = key_rotate_oids,
	.n_params = 6,
	.columns = key_rotate_columns,
	.n_columns = 4,
	.row_bytes = sizeof(struct q_key_rotate_row),
};

enum tl_status q_key_rotate(struct pg *pg,
		const struct q_key_rotate_params *p,
		struct tl_arena *arena, struct q_key_rotate_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->actor },
		{ .type = PG_UUID, .uuid = p->key_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
		{ .type = PG_BYTEA, .str = p->digest },
		{ .type = PG_TEXT, .str = p->prefix },
		{ .type = PG_INT4, .i4 = p->grace_seconds },
	};

	if (p->user_id != NULL)
		params[2].uuid = *p->user_id;
	return pg_one(pg, &key_rotate_statement, params, arena, row_r, err);
}

static const uint32_t key_rename_oids[] = { 2950, 2950, 1043, 1043 };
static const struct pg_column key_rename_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_rename_row, key_id) },
};
static const struct pg_statement key_rename_statement = {
	.name = "key_rename",
	.sql =
		"WITH old AS (\n"
		"\tSELECT k.key_id, k.label FROM api_keys k\n"
		"\t WHERE k.key_id = $1 AND k.status = 'active'\n"
		"\t   AND ($2::uuid IS NULL OR k.user_id = $2::uuid)\n"
		"\t   FOR UPDATE\n"
		"), done AS (\n"
		"\tUPDATE api_keys k SET label = $3\n"
		"\t  FROM old WHERE k.key_id = old.key_id\n"
		"\tRETURNING k.key_id\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $4, 'token.update', old.key_id::text,\n"
		"\t       format('label %L, was %L', $3::text, old.label) FROM old\n"
		")\n"
		"SELECT key_id FROM done",
	.param_oids = key_rename_oids,
	.n_params = 4,
	.columns = key_rename_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_key_rename_row),
};

enum tl_status q_key_rename(struct pg *pg,
		const struct q_key_rename_params *p,
		struct tl_arena *arena, struct q_key_rename_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->key_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
		{ .type = PG_TEXT, .str = p->label },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->user_id != NULL)
		params[1].uuid = *p->user_id;
	return pg_one(pg, &key_rename_statement, params, arena, row_r, err);
}

static const uint32_t key_revocable_oids[] = { 2950, 2950 };
static const struct pg_column key_revocable_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_revocable_row, digest) },
};
static const struct pg_statement key_revocable_statement = {
	.name = "key_revocable",
	.sql =
		"SELECT decode(key_hash, 'hex') AS \"digest!\"\n"
		"  FROM api_keys\n"
		" WHERE key_id = $1\n"
		"   AND ($2::uuid IS NULL OR user_id = $2::uuid)\n"
		"   AND (status = 'active' OR grace_until > now())",
	.param_oids = key_revocable_oids,
	.n_params = 2,
	.columns = key_revocable_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_key_revocable_row),
};

enum tl_status q_key_revocable(struct pg *pg,
		const struct q_key_revocable_params *p,
		struct tl_arena *arena, struct q_key_revocable_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->key_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
	};

	if (p->user_id != NULL)
		params[1].uuid = *p->user_id;
	return pg_one(pg, &key_revocable_statement, params, arena, row_r, err);
}

static const uint32_t key_revoke_oids[] = { 2950, 2950, 1043 };
static const struct pg_column key_revoke_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_revoke_row, digest) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_revoke_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_revoke_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_revoke_row, label) },
};
static const struct pg_statement key_revoke_statement = {
	.name = "key_revoke",
	.sql =
		"WITH done AS (\n"
		"\tUPDATE api_keys\n"
		"\t   SET status = 'revoked', revoked_at = coalesce(revoked_at, now()),\n"
		"\t       grace_until = NULL\n"
		"\t WHERE key_id = $1\n"
		"\t   AND ($2::uuid IS NULL OR user_id = $2::uuid)\n"
		"\t   AND (status = 'active' OR grace_until > now())\n"
		"\tRETURNING key_id, key_hash, user_id, key_prefix, label\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $3, 'token.revoke', key_id::text,\n"
		"\t       key_prefix || ' ''' || label || '''' FROM done\n"
		"), told AS (\n"
		"\tSELECT done.*, tallyd.user_event(user_id, 'key.revoked',\n"
		"\t\tjsonb_build_object('key_id', key_id, 'prefix', key_prefix,\n"
		"\t\t\t'label', label), key_id::text) AS deliveries\n"
		"\t  FROM done\n"
		")\n"
		"SELECT decode(key_hash, 'hex') AS \"digest!\", user_id, key_prefix, label\n"
		"  FROM told\n"
		" WHERE deliveries >= 0",
	.param_oids = key_revoke_oids,
	.n_params = 3,
	.columns = key_revoke_columns,
	.n_columns = 4,
	.row_bytes = sizeof(struct q_key_revoke_row),
};

enum tl_status q_key_revoke(struct pg *pg,
		const struct q_key_revoke_params *p,
		struct tl_arena *arena, struct q_key_revoke_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->key_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->user_id != NULL)
		params[1].uuid = *p->user_id;
	return pg_one(pg, &key_revoke_statement, params, arena, row_r, err);
}

static const uint32_t key_own_oids[] = { 2950, 1184, 2950, 20, 20 };
static const struct pg_column key_own_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_own_row, key_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_own_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_own_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_own_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_own_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_own_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_own_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_own_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_own_row, expires_at_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_own_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_own_row, allowed_ips) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_own_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_own_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_own_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_own_row, daily_credit_limit_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_key_own_row, metadata),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_own_row, metadata_null) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_key_own_row, digest) },
};
static const struct pg_statement key_own_statement = {
	.name = "key_own",
	.sql =
		"SELECT k.key_id, k.key_prefix, k.label, k.status, k.created_at,\n"
		"       k.last_used_at, k.expires_at,\n"
		"       coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       k.rate_limit, k.daily_credit_limit, k.metadata,\n"
		"       decode(k.key_hash, 'hex') AS \"digest!\"\n"
		"  FROM api_keys k\n"
		" WHERE k.user_id = $1 AND k.status = 'active'\n"
		"   AND (k.created_at, k.key_id) < ($2::timestamptz, $3::uuid)\n"
		" ORDER BY k.created_at DESC, k.key_id DESC\n"
		" OFFSET $4::int8 LIMIT $5::int8",
	.param_oids = key_own_oids,
	.n_params = 5,
	.columns = key_own_columns,
	.n_columns = 13,
	.row_bytes = sizeof(struct q_key_own_row),
};

enum tl_status q_key_own(struct pg *pg,
		const struct q_key_own_params *p,
		struct tl_arena *arena,
		struct q_key_own_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_INT8, .i8 = p->skip },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_own_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_search_oids[] = { 1184, 2950, 25, 20, 20 };
static const struct pg_column key_search_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_search_row, key_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_search_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_search_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_search_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_search_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_search_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_search_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_search_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_search_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_search_row, revoked_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_search_row, revoked_at_null) },
};
static const struct pg_statement key_search_statement = {
	.name = "key_search",
	.sql =
		"SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,\n"
		"       k.created_at, k.last_used_at, k.revoked_at\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" WHERE (k.created_at, k.key_id) < ($1::timestamptz, $2::uuid)\n"
		"   AND ($3::text = '' OR position(lower($3::text) IN lower(u.email)) > 0\n"
		"\tOR position(lower($3::text) IN lower(k.label)) > 0\n"
		"\tOR position(lower($3::text) IN lower(k.key_prefix)) > 0)\n"
		" ORDER BY k.created_at DESC, k.key_id DESC\n"
		" OFFSET $4::int8 LIMIT $5::int8",
	.param_oids = key_search_oids,
	.n_params = 5,
	.columns = key_search_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_key_search_row),
};

enum tl_status q_key_search(struct pg *pg,
		const struct q_key_search_params *p,
		struct tl_arena *arena,
		struct q_key_search_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_TEXT, .str = p->text },
		{ .type = PG_INT8, .i8 = p->skip },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_search_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_list_oids[] = { 20 };
static const struct pg_column key_list_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, key_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, revoked_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, revoked_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, grace_until_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, allowed_ips) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, daily_credit_limit_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_key_list_row, metadata),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, metadata_null) },
};
static const struct pg_statement key_list_statement = {
	.name = "key_list",
	.sql =
		"SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,\n"
		"       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,\n"
		"       k.grace_until, coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       k.rate_limit, k.daily_credit_limit, k.metadata\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" ORDER BY k.created_at DESC, k.key_id DESC\n"
		" LIMIT $1::int8",
	.param_oids = key_list_oids,
	.n_params = 1,
	.columns = key_list_columns,
	.n_columns = 16,
	.row_bytes = sizeof(struct q_key_list_row),
};

enum tl_status q_key_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_list_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_list_by_user_oids[] = { 2950, 20 };
static const struct pg_column key_list_by_user_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, key_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, revoked_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, revoked_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, grace_until_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, allowed_ips) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, daily_credit_limit_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_key_list_row, metadata),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, metadata_null) },
};
static const struct pg_statement key_list_by_user_statement = {
	.name = "key_list_by_user",
	.sql =
		"SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,\n"
		"       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,\n"
		"       k.grace_until, coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       k.rate_limit, k.daily_credit_limit, k.metadata\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" WHERE k.user_id = $1\n"
		" ORDER BY k.created_at DESC, k.key_id DESC\n"
		" LIMIT $2::int8",
	.param_oids = key_list_by_user_oids,
	.n_params = 2,
	.columns = key_list_by_user_columns,
	.n_columns = 16,
	.row_bytes = sizeof(struct q_key_list_row),
};

enum tl_status q_key_list_by_user(struct pg *pg,
		const struct q_key_list_by_user_params *p,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_list_by_user_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_find_by_prefix_oids[] = { 25, 20 };
static const struct pg_column key_find_by_prefix_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, key_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, revoked_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, revoked_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, grace_until_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, allowed_ips) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, daily_credit_limit_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_key_list_row, metadata),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, metadata_null) },
};
static const struct pg_statement key_find_by_prefix_statement = {
	.name = "key_find_by_prefix",
	.sql =
		"SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,\n"
		"       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,\n"
		"       k.grace_until, coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       k.rate_limit, k.daily_credit_limit, k.metadata\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" WHERE k.key_prefix = $1\n"
		" ORDER BY k.created_at DESC, k.key_id DESC\n"
		" LIMIT $2::int8",
	.param_oids = key_find_by_prefix_oids,
	.n_params = 2,
	.columns = key_find_by_prefix_columns,
	.n_columns = 16,
	.row_bytes = sizeof(struct q_key_list_row),
};

enum tl_status q_key_find_by_prefix(struct pg *pg,
		const struct q_key_find_by_prefix_params *p,
		struct tl_arena *arena,
		struct q_key_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->prefix },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &key_find_by_prefix_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t key_find_by_id_oids[] = { 2950 };
static const struct pg_column key_find_by_id_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, key_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_key_list_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, label) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_key_list_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, last_used_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, last_used_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, revoked_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, revoked_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, expires_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, expires_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_key_list_row, grace_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, grace_until_null) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, scopes) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_list_row, allowed_ips) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, rate_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, rate_limit_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_list_row, daily_credit_limit),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, daily_credit_limit_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_key_list_row, metadata),
	  .nullable = true,
	  .null_offset = offsetof(struct q_key_list_row, metadata_null) },
};
static const struct pg_statement key_find_by_id_statement = {
	.name = "key_find_by_id",
	.sql =
		"SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,\n"
		"       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,\n"
		"       k.grace_until, coalesce(k.scopes, '{}')::text[] AS \"scopes!\",\n"
		"       coalesce(k.allowed_ips, '{}')::text[] AS \"allowed_ips!\",\n"
		"       k.rate_limit, k.daily_credit_limit, k.metadata\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		" WHERE k.key_id = $1",
	.param_oids = key_find_by_id_oids,
	.n_params = 1,
	.columns = key_find_by_id_columns,
	.n_columns = 16,
	.row_bytes = sizeof(struct q_key_list_row),
};

enum tl_status q_key_find_by_id(struct pg *pg,
		struct tl_uuid key_id,
		struct tl_arena *arena, struct q_key_list_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = key_id },
	};

	return pg_one(pg, &key_find_by_id_statement, params, arena, row_r, err);
}
