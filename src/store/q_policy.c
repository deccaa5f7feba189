/*
 * q_policy.c - generated from db/queries/policy.sql: make queries, do not edit.
 */
#include "store/q_policy.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t plan_list_oids[] = { 20 };
static const struct pg_column plan_list_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_list_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_plan_list_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_list_row, daily_credit_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_list_row, rate_limit) },
};
static const struct pg_statement plan_list_statement = {
	.name = "plan_list",
	.sql =
		"SELECT plan_id, name, daily_credit_limit,\n"
		"       CASE WHEN jsonb_typeof(features->'rate_limit') = 'number'\n"
		"\t    THEN least(greatest((features->'rate_limit')::numeric, 0),\n"
		"\t\t       2147483647)::int4\n"
		"\t    ELSE 0 END AS \"rate_limit!\"\n"
		"  FROM plans\n"
		" ORDER BY plan_id\n"
		" LIMIT $1::int8",
	.param_oids = plan_list_oids,
	.n_params = 1,
	.columns = plan_list_columns,
	.n_columns = 4,
	.row_bytes = sizeof(struct q_plan_list_row),
};

enum tl_status q_plan_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_plan_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &plan_list_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t plan_load_oids[] = { 2950 };
static const struct pg_column plan_load_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_plan_list_row, plan_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_plan_list_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_list_row, daily_credit_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_plan_list_row, rate_limit) },
};
static const struct pg_statement plan_load_statement = {
	.name = "plan_load",
	.sql =
		"SELECT plan_id, name, daily_credit_limit,\n"
		"       CASE WHEN jsonb_typeof(features->'rate_limit') = 'number'\n"
		"\t    THEN least(greatest((features->'rate_limit')::numeric, 0),\n"
		"\t\t       2147483647)::int4\n"
		"\t    ELSE 0 END AS \"rate_limit!\"\n"
		"  FROM plans\n"
		" WHERE plan_id = $1",
	.param_oids = plan_load_oids,
	.n_params = 1,
	.columns = plan_load_columns,
	.n_columns = 4,
	.row_bytes = sizeof(struct q_plan_list_row),
};

enum tl_status q_plan_load(struct pg *pg,
		struct tl_uuid plan_id,
		struct tl_arena *arena, struct q_plan_list_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = plan_id },
	};

	return pg_one(pg, &plan_load_statement, params, arena, row_r, err);
}

static const uint32_t limit_list_oids[] = { 20 };
static const struct pg_column limit_list_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_list_row, limit_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, count) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, window_ms) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, algorithm) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, burst) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, scope) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_limit_list_row, shadow) },
};
static const struct pg_statement limit_list_statement = {
	.name = "limit_list",
	.sql =
		"SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow\n"
		"  FROM limits\n"
		" ORDER BY limit_id\n"
		" LIMIT $1::int8",
	.param_oids = limit_list_oids,
	.n_params = 1,
	.columns = limit_list_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_limit_list_row),
};

enum tl_status q_limit_list(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_limit_list_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &limit_list_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t limit_load_oids[] = { 2950 };
static const struct pg_column limit_load_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_limit_list_row, limit_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, name) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, count) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, window_ms) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, algorithm) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_limit_list_row, burst) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_limit_list_row, scope) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_limit_list_row, shadow) },
};
static const struct pg_statement limit_load_statement = {
	.name = "limit_load",
	.sql =
		"SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow\n"
		"  FROM limits\n"
		" WHERE limit_id = $1",
	.param_oids = limit_load_oids,
	.n_params = 1,
	.columns = limit_load_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_limit_list_row),
};

enum tl_status q_limit_load(struct pg *pg,
		struct tl_uuid limit_id,
		struct tl_arena *arena, struct q_limit_list_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = limit_id },
	};

	return pg_one(pg, &limit_load_statement, params, arena, row_r, err);
}
