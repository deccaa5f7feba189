/*
 * q_plans.c - generated from db/queries/plans.sql: make queries, do not edit.
 */
#include "store/q_plans.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const struct pg_column plan_all_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_all_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_plan_all_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_all_row, daily_credit_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_all_row, price_cents) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_plan_all_row, features) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_plan_all_row, created_at_us) },
};
static const struct pg_statement plan_all_statement = {
	.name = "plan_all",
	.sql =
		"SELECT plan_id, name, daily_credit_limit, price_cents, features, created_at\n"
		"  FROM plans\n"
		" ORDER BY price_cents, name",
	.columns = plan_all_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_plan_all_row),
};

enum tl_status q_plan_all(struct pg *pg,
		struct tl_arena *arena,
		struct q_plan_all_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &plan_all_statement, NULL, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t plan_find_oids[] = { 25 };
static const struct pg_column plan_find_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_all_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_plan_all_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_all_row, daily_credit_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_all_row, price_cents) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_plan_all_row, features) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_plan_all_row, created_at_us) },
};
static const struct pg_statement plan_find_statement = {
	.name = "plan_find",
	.sql =
		"SELECT plan_id, name, daily_credit_limit, price_cents, features, created_at\n"
		"  FROM plans\n"
		" WHERE name = $1::text",
	.param_oids = plan_find_oids,
	.n_params = 1,
	.columns = plan_find_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_plan_all_row),
};

enum tl_status q_plan_find(struct pg *pg,
		struct tl_str name,
		struct tl_arena *arena, struct q_plan_all_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = name },
	};

	return pg_one(pg, &plan_find_statement, params, arena, row_r, err);
}

static const uint32_t plan_insert_oids[] = { 25, 23, 23, 3802, 20, 25 };
static const struct pg_column plan_insert_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_insert_row, plan_id) },
};
static const struct pg_statement plan_insert_statement = {
	.name = "plan_insert",
	.sql =
		"WITH made AS (\n"
		"\tINSERT INTO plans (name, daily_credit_limit, price_cents, features)\n"
		"\tSELECT $1::text, $2::int4, $3::int4,\n"
		"\t       $4::jsonb\n"
		"\t WHERE (SELECT count(*) FROM plans) < $5::int8\n"
		"\tRETURNING plan_id, name, daily_credit_limit, price_cents, features\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $6::text, 'plan.create', m.plan_id::text,\n"
		"\t       m.name || ': daily_credit_limit ' || m.daily_credit_limit\n"
		"\t\t|| ', price_cents ' || m.price_cents\n"
		"\t\t|| ', features ' || left(m.features::text, 1000)\n"
		"\t  FROM made m\n"
		")\n"
		"SELECT plan_id AS \"plan_id!\" FROM made",
	.param_oids = plan_insert_oids,
	.n_params = 6,
	.columns = plan_insert_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_plan_insert_row),
};

enum tl_status q_plan_insert(struct pg *pg,
		const struct q_plan_insert_params *p,
		struct tl_arena *arena, struct q_plan_insert_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->name },
		{ .type = PG_INT4, .i4 = p->daily_credit_limit },
		{ .type = PG_INT4, .i4 = p->price_cents },
		{ .type = PG_JSONB, .str = p->features },
		{ .type = PG_INT8, .i8 = p->max },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &plan_insert_statement, params, arena, row_r, err);
}

static const uint32_t plan_change_oids[] = { 2950, 25, 23, 23, 3802, 3802, 1009, 25 };
static const struct pg_column plan_change_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_change_row, plan_id) },
};
static const struct pg_statement plan_change_statement = {
	.name = "plan_change",
	.sql =
		"WITH old AS (\n"
		"\tSELECT p.* FROM plans p WHERE p.plan_id = $1\n"
		"\t   FOR NO KEY UPDATE\n"
		"), changed AS (\n"
		"\tUPDATE plans p\n"
		"\t   SET name = coalesce($2::text, p.name),\n"
		"\t       daily_credit_limit = coalesce($3::int4,\n"
		"\t\t\tp.daily_credit_limit),\n"
		"\t       price_cents = coalesce($4::int4, p.price_cents),\n"
		"\t       features = (coalesce($5::jsonb, p.features)\n"
		"\t\t\t|| coalesce($6::jsonb, '{}')) - $7::text[]\n"
		"\t  FROM old\n"
		"\t WHERE p.plan_id = old.plan_id\n"
		"\tRETURNING p.plan_id, p.name, p.daily_credit_limit, p.price_cents,\n"
		"\t\tp.features\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $8::text, 'plan.update', c.plan_id::text,\n"
		"\t       concat_ws(', ', old.name,\n"
		"\t\t'name to ' || $2::text,\n"
		"\t\t'daily_credit_limit ' || old.daily_credit_limit || ' to '\n"
		"\t\t\t|| $3::int4,\n"
		"\t\t'price_cents ' || old.price_cents || ' to '\n"
		"\t\t\t|| $4::int4,\n"
		"\t\tCASE WHEN c.features <> old.features\n"
		"\t\t     THEN 'features to ' || left(c.features::text, 1000) END)\n"
		"\t  FROM changed c JOIN old ON old.plan_id = c.plan_id\n"
		")\n"
		"SELECT plan_id AS \"plan_id!\" FROM changed",
	.param_oids = plan_change_oids,
	.n_params = 8,
	.columns = plan_change_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_plan_change_row),
};

enum tl_status q_plan_change(struct pg *pg,
		const struct q_plan_change_params *p,
		struct tl_arena *arena, struct q_plan_change_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->plan_id },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT4, .null = p->daily_credit_limit == NULL },
		{ .type = PG_INT4, .null = p->price_cents == NULL },
		{ .type = PG_JSONB, .null = p->features == NULL },
		{ .type = PG_JSONB, .null = p->merge == NULL },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->drop },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->name != NULL)
		params[1].str = *p->name;
	if (p->daily_credit_limit != NULL)
		params[2].i4 = *p->daily_credit_limit;
	if (p->price_cents != NULL)
		params[3].i4 = *p->price_cents;
	if (p->features != NULL)
		params[4].str = *p->features;
	if (p->merge != NULL)
		params[5].str = *p->merge;
	return pg_one(pg, &plan_change_statement, params, arena, row_r, err);
}
