/*
 * q_limits.c - generated from db/queries/limits.sql: make queries, do not edit.
 */
#include "store/q_limits.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const struct pg_column limit_all_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_all_row, limit_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, count) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, window_ms) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, algorithm) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, burst) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, scope) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_limit_all_row, shadow) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_limit_all_row, created_at_us) },
};
static const struct pg_statement limit_all_statement = {
	.name = "limit_all",
	.sql =
		"SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow,\n"
		"       created_at\n"
		"  FROM limits\n"
		" ORDER BY name",
	.columns = limit_all_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_limit_all_row),
};

enum tl_status q_limit_all(struct pg *pg,
		struct tl_arena *arena,
		struct q_limit_all_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &limit_all_statement, NULL, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t limit_find_oids[] = { 25 };
static const struct pg_column limit_find_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_all_row, limit_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, count) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, window_ms) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, algorithm) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_all_row, burst) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_all_row, scope) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_limit_all_row, shadow) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_limit_all_row, created_at_us) },
};
static const struct pg_statement limit_find_statement = {
	.name = "limit_find",
	.sql =
		"SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow,\n"
		"       created_at\n"
		"  FROM limits\n"
		" WHERE name = $1::text",
	.param_oids = limit_find_oids,
	.n_params = 1,
	.columns = limit_find_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_limit_all_row),
};

enum tl_status q_limit_find(struct pg *pg,
		struct tl_str name,
		struct tl_arena *arena, struct q_limit_all_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = name },
	};

	return pg_one(pg, &limit_find_statement, params, arena, row_r, err);
}

static const uint32_t limit_insert_oids[] = { 25, 23, 23, 25, 23, 25, 16, 20, 25 };
static const struct pg_column limit_insert_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_insert_row, limit_id) },
};
static const struct pg_statement limit_insert_statement = {
	.name = "limit_insert",
	.sql =
		"WITH made AS (\n"
		"\tINSERT INTO limits (name, count, window_ms, algorithm, burst, scope,\n"
		"\t\tshadow)\n"
		"\tSELECT $1::text, $2::int4, $3::int4, $4::text,\n"
		"\t       $5::int4, $6::text, $7::bool\n"
		"\t WHERE (SELECT count(*) FROM limits) < $8::int8\n"
		"\tRETURNING *\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $9::text, 'limit.create', m.limit_id::text,\n"
		"\t       m.name || ': ' || m.count || ' in ' || m.window_ms || ' ms, '\n"
		"\t\t|| m.algorithm || CASE WHEN m.algorithm = 'gcra'\n"
		"\t\t\tTHEN ', burst ' || m.burst ELSE '' END\n"
		"\t\t|| ', scope ' || m.scope\n"
		"\t\t|| CASE WHEN m.shadow THEN ', shadow' ELSE '' END\n"
		"\t  FROM made m\n"
		")\n"
		"SELECT limit_id AS \"limit_id!\" FROM made",
	.param_oids = limit_insert_oids,
	.n_params = 9,
	.columns = limit_insert_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_limit_insert_row),
};

enum tl_status q_limit_insert(struct pg *pg,
		const struct q_limit_insert_params *p,
		struct tl_arena *arena, struct q_limit_insert_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->name },
		{ .type = PG_INT4, .i4 = p->count },
		{ .type = PG_INT4, .i4 = p->window_ms },
		{ .type = PG_TEXT, .str = p->algorithm },
		{ .type = PG_INT4, .i4 = p->burst },
		{ .type = PG_TEXT, .str = p->scope },
		{ .type = PG_BOOL, .boolean = p->shadow },
		{ .type = PG_INT8, .i8 = p->max },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &limit_insert_statement, params, arena, row_r, err);
}

static const uint32_t limit_change_oids[] = { 25, 2950, 23, 23, 23, 16, 25 };
static const struct pg_column limit_change_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_change_row, outcome) },
};
static const struct pg_statement limit_change_statement = {
	.name = "limit_change",
	.sql =
		"WITH old AS (\n"
		"\tSELECT l.*, coalesce($1::text, l.algorithm) = 'gcra' AS gcra\n"
		"\t  FROM limits l WHERE l.limit_id = $2\n"
		"\t   FOR NO KEY UPDATE\n"
		"), changed AS (\n"
		"\tUPDATE limits l\n"
		"\t   SET count = coalesce($3::int4, l.count),\n"
		"\t       window_ms = coalesce($4::int4, l.window_ms),\n"
		"\t       algorithm = coalesce($1::text, l.algorithm),\n"
		"\t       burst = CASE WHEN old.gcra\n"
		"\t\t\tTHEN greatest(coalesce($5::int4, l.burst), 1)\n"
		"\t\t\tELSE 0 END,\n"
		"\t       shadow = coalesce($6::bool, l.shadow)\n"
		"\t  FROM old\n"
		"\t WHERE l.limit_id = old.limit_id\n"
		"\t   AND ($5::int4 IS NULL OR old.gcra)\n"
		"\tRETURNING l.*\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $7::text, 'limit.update', c.limit_id::text,\n"
		"\t       concat_ws(', ', c.name,\n"
		"\t\t'count ' || old.count || ' to ' || $3::int4,\n"
		"\t\t'window_ms ' || old.window_ms || ' to ' || $4::int4,\n"
		"\t\t'algorithm ' || old.algorithm || ' to ' || $1::text,\n"
		"\t\t'burst ' || old.burst || ' to ' || $5::int4,\n"
		"\t\t'shadow ' || old.shadow || ' to ' || $6::bool)\n"
		"\t  FROM changed c JOIN old ON old.limit_id = c.limit_id\n"
		")\n"
		"SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'changed'\n"
		"\t    WHEN EXISTS (SELECT FROM old) THEN 'not_gcra'\n"
		"\t    ELSE 'no_limit' END AS \"outcome!\"",
	.param_oids = limit_change_oids,
	.n_params = 7,
	.columns = limit_change_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_limit_change_row),
};

enum tl_status q_limit_change(struct pg *pg,
		const struct q_limit_change_params *p,
		struct tl_arena *arena, struct q_limit_change_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->algorithm == NULL },
		{ .type = PG_UUID, .uuid = p->limit_id },
		{ .type = PG_INT4, .null = p->count == NULL },
		{ .type = PG_INT4, .null = p->window_ms == NULL },
		{ .type = PG_INT4, .null = p->burst == NULL },
		{ .type = PG_BOOL, .null = p->shadow == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->algorithm != NULL)
		params[0].str = *p->algorithm;
	if (p->count != NULL)
		params[2].i4 = *p->count;
	if (p->window_ms != NULL)
		params[3].i4 = *p->window_ms;
	if (p->burst != NULL)
		params[4].i4 = *p->burst;
	if (p->shadow != NULL)
		params[5].boolean = *p->shadow;
	return pg_one(pg, &limit_change_statement, params, arena, row_r, err);
}

static const uint32_t limit_delete_oids[] = { 2950, 25 };
static const struct pg_column limit_delete_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_delete_row, limit_id) },
};
static const struct pg_statement limit_delete_statement = {
	.name = "limit_delete",
	.sql =
		"WITH gone AS (\n"
		"\tDELETE FROM limits WHERE limit_id = $1 RETURNING *\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $2::text, 'limit.delete', g.limit_id::text,\n"
		"\t       g.name || ': ' || g.count || ' in ' || g.window_ms || ' ms'\n"
		"\t  FROM gone g\n"
		")\n"
		"SELECT limit_id AS \"limit_id!\" FROM gone",
	.param_oids = limit_delete_oids,
	.n_params = 2,
	.columns = limit_delete_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_limit_delete_row),
};

enum tl_status q_limit_delete(struct pg *pg,
		const struct q_limit_delete_params *p,
		struct tl_arena *arena, struct q_limit_delete_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->limit_id },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &limit_delete_statement, params, arena, row_r, err);
}

static const uint32_t override_page_oids[] = { 2950, 1184, 2950, 20 };
static const struct pg_column override_page_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_override_page_row, limit_override_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_override_page_row, user_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_page_row, user_id_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_override_page_row, email),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_page_row, email_null) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_override_page_row, key_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_page_row, key_id_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_override_page_row, key_prefix),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_page_row, key_prefix_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_override_page_row, count) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_override_page_row, created_at_us) },
};
static const struct pg_statement override_page_statement = {
	.name = "override_page",
	.sql =
		"SELECT o.limit_override_id, o.user_id,\n"
		"       (SELECT u.email FROM users u WHERE u.user_id = o.user_id) AS email,\n"
		"       o.key_id,\n"
		"       (SELECT k.key_prefix FROM api_keys k WHERE k.key_id = o.key_id)\n"
		"\t\tAS key_prefix,\n"
		"       o.count, o.created_at\n"
		"  FROM limit_overrides o\n"
		" WHERE o.limit_id = $1\n"
		"   AND (o.created_at, o.limit_override_id) < ($2, $3)\n"
		" ORDER BY o.created_at DESC, o.limit_override_id DESC\n"
		" LIMIT $4::int8",
	.param_oids = override_page_oids,
	.n_params = 4,
	.columns = override_page_columns,
	.n_columns = 7,
	.row_bytes = sizeof(struct q_override_page_row),
};

enum tl_status q_override_page(struct pg *pg,
		const struct q_override_page_params *p,
		struct tl_arena *arena,
		struct q_override_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->limit_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_at_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &override_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t override_set_oids[] = { 2950, 2950, 2950, 20, 20, 23, 25 };
static const struct pg_column override_set_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_override_set_row, outcome) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_override_set_row, limit_override_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_set_row, limit_override_id_null) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_override_set_row, digest),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_set_row, digest_null) },
};
static const struct pg_statement override_set_statement = {
	.name = "override_set",
	.sql =
		"WITH lim AS (\n"
		"\tSELECT l.limit_id, l.name, l.scope FROM limits l\n"
		"\t WHERE l.limit_id = $1\n"
		"\t   FOR KEY SHARE\n"
		"), subject AS (\n"
		"\tSELECT u.user_id, NULL::uuid AS key_id, NULL::bytea AS digest,\n"
		"\t       u.email AS shown\n"
		"\t  FROM users u WHERE u.user_id = $2::uuid\n"
		"\tUNION ALL\n"
		"\tSELECT NULL, k.key_id, decode(k.key_hash, 'hex'), k.key_prefix\n"
		"\t  FROM api_keys k WHERE k.key_id = $3::uuid\n"
		"), room AS (\n"
		"\tSELECT count(*) < $4::int8\n"
		"\t       AND (lim.scope <> 'user' OR $2::uuid IS NULL\n"
		"\t\tOR count(*) FILTER (WHERE l.scope = 'user') < $5::int8)\n"
		"\t\tAS yes\n"
		"\t  FROM lim\n"
		"\t  LEFT JOIN limit_overrides o ON o.limit_id <> lim.limit_id\n"
		"\t   AND (o.user_id = $2::uuid OR o.key_id = $3::uuid)\n"
		"\t  LEFT JOIN limits l ON l.limit_id = o.limit_id\n"
		"\t GROUP BY lim.scope\n"
		"), of_user AS (\n"
		"\tINSERT INTO limit_overrides (limit_id, user_id, count)\n"
		"\tSELECT lim.limit_id, s.user_id, $6::int4\n"
		"\t  FROM lim, subject s, room\n"
		"\t WHERE room.yes AND s.user_id IS NOT NULL\n"
		"\tON CONFLICT (user_id, limit_id) DO UPDATE SET count = EXCLUDED.count\n"
		"\tRETURNING limit_override_id\n"
		"), of_key AS (\n"
		"\tINSERT INTO limit_overrides (limit_id, key_id, count)\n"
		"\tSELECT lim.limit_id, s.key_id, $6::int4\n"
		"\t  FROM lim, subject s, room\n"
		"\t WHERE room.yes AND s.key_id IS NOT NULL\n"
		"\tON CONFLICT (key_id, limit_id) DO UPDATE SET count = EXCLUDED.count\n"
		"\tRETURNING limit_override_id\n"
		"), made AS (\n"
		"\tSELECT * FROM of_user UNION ALL SELECT * FROM of_key\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $7::text, 'limit.override', lim.limit_id::text,\n"
		"\t       lim.name || ': ' || $6::int4 || ' for ' || s.shown\n"
		"\t\t|| ' (' || coalesce(s.user_id, s.key_id) || ')'\n"
		"\t  FROM lim, subject s, made\n"
		")\n"
		"SELECT CASE WHEN EXISTS (SELECT FROM made) THEN 'set'\n"
		"\t    WHEN NOT EXISTS (SELECT FROM lim) THEN 'no_limit'\n"
		"\t    WHEN NOT EXISTS (SELECT FROM subject) THEN 'no_subject'\n"
		"\t    ELSE 'too_many' END AS \"outcome!\",\n"
		"       (SELECT limit_override_id FROM made) AS limit_override_id,\n"
		"       (SELECT digest FROM subject) AS digest",
	.param_oids = override_set_oids,
	.n_params = 7,
	.columns = override_set_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_override_set_row),
};

enum tl_status q_override_set(struct pg *pg,
		const struct q_override_set_params *p,
		struct tl_arena *arena, struct q_override_set_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->limit_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
		{ .type = PG_UUID, .null = p->key_id == NULL },
		{ .type = PG_INT8, .i8 = p->max },
		{ .type = PG_INT8, .i8 = p->max_user },
		{ .type = PG_INT4, .i4 = p->count },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->user_id != NULL)
		params[1].uuid = *p->user_id;
	if (p->key_id != NULL)
		params[2].uuid = *p->key_id;
	return pg_one(pg, &override_set_statement, params, arena, row_r, err);
}

static const uint32_t override_remove_oids[] = { 2950, 2950, 2950, 2950, 25 };
static const struct pg_column override_remove_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_override_remove_row, user_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_remove_row, user_id_null) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_override_remove_row, digest),
	  .nullable = true,
	  .null_offset = offsetof(struct q_override_remove_row, digest_null) },
};
static const struct pg_statement override_remove_statement = {
	.name = "override_remove",
	.sql =
		"WITH gone AS (\n"
		"\tDELETE FROM limit_overrides o\n"
		"\t WHERE o.limit_id = $1\n"
		"\t   AND o.limit_override_id = (SELECT w.limit_override_id\n"
		"\t\t  FROM limit_overrides w\n"
		"\t\t WHERE w.limit_override_id = $2::uuid\n"
		"\t\tUNION ALL\n"
		"\t\tSELECT w.limit_override_id FROM limit_overrides w\n"
		"\t\t WHERE w.user_id = $3::uuid AND w.limit_id = $1\n"
		"\t\tUNION ALL\n"
		"\t\tSELECT w.limit_override_id FROM limit_overrides w\n"
		"\t\t WHERE w.key_id = $4::uuid AND w.limit_id = $1\n"
		"\t\t LIMIT 1)\n"
		"\tRETURNING o.limit_id, o.user_id, o.key_id, o.count\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $5::text, 'limit.override', g.limit_id::text,\n"
		"\t       l.name || ': no longer ' || g.count || ' for '\n"
		"\t\t|| coalesce(u.email, k.key_prefix) || ' ('\n"
		"\t\t|| coalesce(g.user_id, g.key_id) || ')'\n"
		"\t  FROM gone g JOIN limits l ON l.limit_id = g.limit_id\n"
		"\t  LEFT JOIN users u ON u.user_id = g.user_id\n"
		"\t  LEFT JOIN api_keys k ON k.key_id = g.key_id\n"
		")\n"
		"SELECT g.user_id, decode(k.key_hash, 'hex') AS digest\n"
		"  FROM gone g LEFT JOIN api_keys k ON k.key_id = g.key_id",
	.param_oids = override_remove_oids,
	.n_params = 5,
	.columns = override_remove_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_override_remove_row),
};

enum tl_status q_override_remove(struct pg *pg,
		const struct q_override_remove_params *p,
		struct tl_arena *arena, struct q_override_remove_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->limit_id },
		{ .type = PG_UUID, .null = p->limit_override_id == NULL },
		{ .type = PG_UUID, .null = p->user_id == NULL },
		{ .type = PG_UUID, .null = p->key_id == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->limit_override_id != NULL)
		params[1].uuid = *p->limit_override_id;
	if (p->user_id != NULL)
		params[2].uuid = *p->user_id;
	if (p->key_id != NULL)
		params[3].uuid = *p->key_id;
	return pg_one(pg, &override_remove_statement, params, arena, row_r, err);
}
