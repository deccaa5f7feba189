/*
 * q_admin.c - generated from db/queries/admin.sql: make queries, do not edit.
 */
#include "store/q_admin.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t user_page_oids[] = { 1184, 2950, 25, 20, 20 };
static const struct pg_column user_page_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_page_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_page_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_page_row, name),
	  .nullable = true,
	  .null_offset = offsetof(struct q_user_page_row, name_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_page_row, status) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_page_row, plan) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_user_page_row, created_at_us) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_user_page_row, key_count) },
};
static const struct pg_statement user_page_statement = {
	.name = "user_page",
	.sql =
		"SELECT u.user_id, u.email, u.name, u.status, p.name AS plan, u.created_at,\n"
		"       (SELECT count(*) FROM api_keys k\n"
		"\t WHERE k.user_id = u.user_id AND k.status = 'active') AS \"key_count!\"\n"
		"  FROM (SELECT w.* FROM users w\n"
		"\t WHERE (w.created_at, w.user_id) < ($1, $2)\n"
		"\t   AND (position(lower($3::text) IN lower(w.email)) > 0\n"
		"\t\tOR position(lower($3::text) IN lower(w.name)) > 0)\n"
		"\t ORDER BY w.created_at DESC, w.user_id DESC\n"
		"\tOFFSET $4::int8\n"
		"\t LIMIT $5::int8) u\n"
		"  JOIN plans p ON p.plan_id = u.plan_id\n"
		" ORDER BY u.created_at DESC, u.user_id DESC",
	.param_oids = user_page_oids,
	.n_params = 5,
	.columns = user_page_columns,
	.n_columns = 7,
	.row_bytes = sizeof(struct q_user_page_row),
};

enum tl_status q_user_page(struct pg *pg,
		const struct q_user_page_params *p,
		struct tl_arena *arena,
		struct q_user_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_at_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_TEXT, .str = p->q },
		{ .type = PG_INT8, .i8 = p->offset },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &user_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t user_show_oids[] = { 25 };
static const struct pg_column user_show_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_show_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_show_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_show_row, name),
	  .nullable = true,
	  .null_offset = offsetof(struct q_user_show_row, name_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_show_row, status) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_show_row, plan) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_user_show_row, daily_credit_limit) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_user_show_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_user_show_row, updated_at_us) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_user_show_row, key_count) },
};
static const struct pg_statement user_show_statement = {
	.name = "user_show",
	.sql =
		"SELECT u.user_id, u.email, u.name, u.status, p.name AS plan,\n"
		"       p.daily_credit_limit, u.created_at, u.updated_at,\n"
		"       (SELECT count(*) FROM api_keys k\n"
		"\t WHERE k.user_id = u.user_id AND k.status = 'active') AS \"key_count!\"\n"
		"  FROM users u JOIN plans p ON p.plan_id = u.plan_id\n"
		" WHERE lower(u.email) = lower($1::text)",
	.param_oids = user_show_oids,
	.n_params = 1,
	.columns = user_show_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_user_show_row),
};

enum tl_status q_user_show(struct pg *pg,
		struct tl_str email,
		struct tl_arena *arena, struct q_user_show_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = email },
	};

	return pg_one(pg, &user_show_statement, params, arena, row_r, err);
}

static const uint32_t user_change_oids[] = { 25, 2950, 25, 25, 25 };
static const struct pg_column user_change_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_change_row, outcome) },
};
static const struct pg_statement user_change_statement = {
	.name = "user_change",
	.sql =
		"WITH plan AS (\n"
		"\tSELECT p.plan_id, p.name FROM plans p WHERE p.name = $1::text\n"
		"), old AS (\n"
		"\tSELECT u.user_id, u.status, u.name, p.name AS plan\n"
		"\t  FROM users u JOIN plans p ON p.plan_id = u.plan_id\n"
		"\t WHERE u.user_id = $2\n"
		"\t   FOR NO KEY UPDATE OF u\n"
		"), changed AS (\n"
		"\tUPDATE users u\n"
		"\t   SET status = coalesce($3::text, u.status),\n"
		"\t       plan_id = coalesce((SELECT p.plan_id FROM plan p), u.plan_id),\n"
		"\t       name = CASE WHEN $4::text IS NULL THEN u.name\n"
		"\t\t\t   ELSE nullif($4::text, '') END\n"
		"\t  FROM old\n"
		"\t WHERE u.user_id = old.user_id\n"
		"\t   AND ($1::text IS NULL OR EXISTS (SELECT FROM plan))\n"
		"\tRETURNING u.user_id, u.status, u.name\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $5::text, 'user.update', c.user_id::text,\n"
		"\t       concat_ws(', ',\n"
		"\t\t'status ' || old.status || ' to ' || $3::text,\n"
		"\t\t'plan ' || old.plan || ' to ' || $1::text,\n"
		"\t\tCASE WHEN $4::text IS NOT NULL\n"
		"\t\t     THEN 'name ''' || coalesce(old.name, '') || ''' to '''\n"
		"\t\t\t|| coalesce(c.name, '') || '''' END)\n"
		"\t  FROM changed c JOIN old ON old.user_id = c.user_id\n"
		")\n"
		"SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'changed'\n"
		"\t    WHEN EXISTS (SELECT FROM old) THEN 'no_plan'\n"
		"\t    ELSE 'no_user' END AS \"outcome!\"",
	.param_oids = user_change_oids,
	.n_params = 5,
	.columns = user_change_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_user_change_row),
};

enum tl_status q_user_change(struct pg *pg,
		const struct q_user_change_params *p,
		struct tl_arena *arena, struct q_user_change_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->plan == NULL },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TEXT, .null = p->status == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->plan != NULL)
		params[0].str = *p->plan;
	if (p->status != NULL)
		params[2].str = *p->status;
	if (p->name != NULL)
		params[3].str = *p->name;
	return pg_one(pg, &user_change_statement, params, arena, row_r, err);
}

static const uint32_t audit_page_oids[] = { 20, 25, 20 };
static const struct pg_column audit_page_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_audit_page_row, id) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_audit_page_row, ts_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_audit_page_row, actor) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_audit_page_row, action) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_audit_page_row, target),
	  .nullable = true,
	  .null_offset = offsetof(struct q_audit_page_row, target_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_audit_page_row, details),
	  .nullable = true,
	  .null_offset = offsetof(struct q_audit_page_row, details_null) },
};
static const struct pg_statement audit_page_statement = {
	.name = "audit_page",
	.sql =
		"SELECT a.id, a.ts, a.actor, a.action, a.target, a.details\n"
		"  FROM audit_log a\n"
		" WHERE a.id < $1::int8\n"
		"   AND position(lower($2::text) IN lower(concat_ws(' ', a.actor, a.action,\n"
		"\ta.target, a.details))) > 0\n"
		" ORDER BY a.id DESC\n"
		" LIMIT $3::int8",
	.param_oids = audit_page_oids,
	.n_params = 3,
	.columns = audit_page_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_audit_page_row),
};

enum tl_status q_audit_page(struct pg *pg,
		const struct q_audit_page_params *p,
		struct tl_arena *arena,
		struct q_audit_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->before },
		{ .type = PG_TEXT, .str = p->q },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &audit_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t audit_trim_oids[] = { 1184, 20 };
static const struct pg_statement audit_trim_statement = {
	.name = "audit_trim",
	.sql =
		"DELETE FROM audit_log\n"
		" WHERE id = ANY (ARRAY(\n"
		"\tSELECT a.id FROM audit_log a\n"
		"\t WHERE a.id < coalesce((SELECT b.id FROM audit_log b\n"
		"\t\t\t\t WHERE b.ts >= $1::timestamptz\n"
		"\t\t\t\t ORDER BY b.id\n"
		"\t\t\t\t LIMIT 1), 9223372036854775807)\n"
		"\t ORDER BY a.id\n"
		"\t LIMIT $2::int8))",
	.param_oids = audit_trim_oids,
	.n_params = 2,
};

enum tl_status q_audit_trim(struct pg *pg,
		const struct q_audit_trim_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_exec(pg, &audit_trim_statement, params, affected_r, err);
}
