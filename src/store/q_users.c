/*
 * q_users.c - generated from db/queries/users.sql: make queries, do not edit.
 */
#include "store/q_users.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t user_insert_oids[] = { 25, 25, 25, 25 };
static const struct pg_column user_insert_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_insert_row, user_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_insert_row, plan_id) },
};
static const struct pg_statement user_insert_statement = {
	.name = "user_insert",
	.sql =
		"WITH made AS (\n"
		"\tINSERT INTO users (email, name, plan_id)\n"
		"\tSELECT $1::text, $2::text, p.plan_id\n"
		"\t  FROM plans p WHERE p.name = $3::text\n"
		"\tRETURNING user_id, plan_id, email\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $4::text, 'user.create', m.user_id::text,\n"
		"\t       m.email || ', plan ' || $3::text\n"
		"\t  FROM made m\n"
		")\n"
		"SELECT user_id AS \"user_id!\", plan_id AS \"plan_id!\" FROM made",
	.param_oids = user_insert_oids,
	.n_params = 4,
	.columns = user_insert_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_user_insert_row),
};

enum tl_status q_user_insert(struct pg *pg,
		const struct q_user_insert_params *p,
		struct tl_arena *arena, struct q_user_insert_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->email },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_TEXT, .str = p->plan },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->name != NULL)
		params[1].str = *p->name;
	return pg_one(pg, &user_insert_statement, params, arena, row_r, err);
}

static const uint32_t user_find_by_email_oids[] = { 25 };
static const struct pg_column user_find_by_email_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_find_by_email_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, name),
	  .nullable = true,
	  .null_offset = offsetof(struct q_user_find_by_email_row, name_null) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_find_by_email_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_user_find_by_email_row, created_at_us) },
};
static const struct pg_statement user_find_by_email_statement = {
	.name = "user_find_by_email",
	.sql =
		"SELECT user_id, email, name, plan_id, status, created_at\n"
		"  FROM users\n"
		" WHERE lower(email) = lower($1)",
	.param_oids = user_find_by_email_oids,
	.n_params = 1,
	.columns = user_find_by_email_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_user_find_by_email_row),
};

enum tl_status q_user_find_by_email(struct pg *pg,
		struct tl_str email,
		struct tl_arena *arena, struct q_user_find_by_email_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = email },
	};

	return pg_one(pg, &user_find_by_email_statement, params, arena, row_r, err);
}

static const uint32_t user_by_id_oids[] = { 2950 };
static const struct pg_column user_by_id_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_find_by_email_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, name),
	  .nullable = true,
	  .null_offset = offsetof(struct q_user_find_by_email_row, name_null) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_find_by_email_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_user_find_by_email_row, status) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_user_find_by_email_row, created_at_us) },
};
static const struct pg_statement user_by_id_statement = {
	.name = "user_by_id",
	.sql =
		"SELECT user_id, email, name, plan_id, status, created_at\n"
		"  FROM users\n"
		" WHERE user_id = $1",
	.param_oids = user_by_id_oids,
	.n_params = 1,
	.columns = user_by_id_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_user_find_by_email_row),
};

enum tl_status q_user_by_id(struct pg *pg,
		struct tl_uuid user_id,
		struct tl_arena *arena, struct q_user_find_by_email_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = user_id },
	};

	return pg_one(pg, &user_by_id_statement, params, arena, row_r, err);
}

static const uint32_t user_load_many_oids[] = { 2951, 1082, 20 };
static const struct pg_column user_load_many_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_load_many_row, user_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_user_load_many_row, plan_id) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_user_load_many_row, suspended) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_user_load_many_row, base_credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_user_load_many_row, base_requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_user_load_many_row, overrides) },
};
static const struct pg_statement user_load_many_statement = {
	.name = "user_load_many",
	.sql =
		"SELECT u.user_id, u.plan_id, u.status = 'suspended' AS \"suspended!\",\n"
		"       d.credits AS \"base_credits!\", d.requests AS \"base_requests!\",\n"
		"       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)\n"
		"\t       FROM limit_overrides o WHERE o.user_id = u.user_id)\n"
		"\t\tAS \"overrides!\"\n"
		"  FROM unnest($1::uuid[]) AS w (user_id)\n"
		"  JOIN users u ON u.user_id = w.user_id\n"
		" CROSS JOIN LATERAL (\n"
		"\tSELECT coalesce(sum(credits_used), 0)::int8 AS credits,\n"
		"\t       coalesce(sum(request_count), 0)::int8 AS requests\n"
		"\t  FROM daily_usage\n"
		"\t WHERE user_id = u.user_id AND date = $2) d\n"
		" LIMIT $3::int8",
	.param_oids = user_load_many_oids,
	.n_params = 3,
	.columns = user_load_many_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_user_load_many_row),
};

enum tl_status q_user_load_many(struct pg *pg,
		const struct q_user_load_many_params *p,
		struct tl_arena *arena,
		struct q_user_load_many_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->user_ids },
		{ .type = PG_DATE, .i4 = p->day },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &user_load_many_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}
