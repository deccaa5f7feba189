/*
 * q_usage.c - generated from db/queries/usage.sql: make queries, do not edit.
 */
#include "store/q_usage.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t usage_days_oids[] = { 25, 20, 2950, 1184, 1082, 1082 };
static const struct pg_column usage_days_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_days_row, last_seq) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA),
	  .offset = offsetof(struct q_usage_days_row, digests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_DATE),
	  .offset = offsetof(struct q_usage_days_row, days) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_days_row, credits) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_days_row, requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_days_row, costs) },
};
static const struct pg_statement usage_days_statement = {
	.name = "usage_days",
	.sql =
		"SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n\n"
		"\t\t  WHERE n.node_id = $1 AND n.epoch = $2), 0)\n"
		"\t\tAS \"last_seq!\",\n"
		"       ARRAY(SELECT decode(k.key_hash, 'hex') FROM api_keys k\n"
		"\t      WHERE k.user_id = $3\n"
		"\t\tAND (k.status = 'active' OR k.revoked_at > $4))\n"
		"\t\tAS \"digests!\",\n"
		"       coalesce(array_agg(d.date), '{}') AS \"days!\",\n"
		"       coalesce(array_agg(d.credits), '{}') AS \"credits!\",\n"
		"       coalesce(array_agg(d.requests), '{}') AS \"requests!\",\n"
		"       coalesce(array_agg(d.costs), '{}') AS \"costs!\"\n"
		"  FROM (SELECT u.date, sum(u.credits_used)::int8 AS credits,\n"
		"\t       sum(u.request_count)::int8 AS requests,\n"
		"\t       sum(u.cost_micro_usd)::int8 AS costs\n"
		"\t  FROM daily_usage u\n"
		"\t WHERE u.user_id = $3 AND u.date BETWEEN $5 AND $6\n"
		"\t GROUP BY u.date) d",
	.param_oids = usage_days_oids,
	.n_params = 6,
	.columns = usage_days_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_usage_days_row),
};

enum tl_status q_usage_days(struct pg *pg,
		const struct q_usage_days_params *p,
		struct tl_arena *arena, struct q_usage_days_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_DATE, .i4 = p->first_day },
		{ .type = PG_DATE, .i4 = p->last_day },
	};

	return pg_one(pg, &usage_days_statement, params, arena, row_r, err);
}

static const uint32_t usage_requests_oids[] = { 2950, 1184, 1184, 2950, 20, 20 };
static const struct pg_column usage_requests_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_usage_requests_row, request_log_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_usage_requests_row, model) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_usage_requests_row, prompt_tokens) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_usage_requests_row, completion_tokens) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_usage_requests_row, credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_requests_row, cost_micro_usd) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_usage_requests_row, created_at_us) },
	{ .type = PG_DATE,
	  .offset = offsetof(struct q_usage_requests_row, date_day) },
};
static const struct pg_statement usage_requests_statement = {
	.name = "usage_requests",
	.sql =
		"SELECT r.request_log_id, r.model, r.prompt_tokens, r.completion_tokens,\n"
		"       r.credits, r.cost_micro_usd, r.created_at, r.date\n"
		"  FROM request_logs r\n"
		" WHERE r.user_id = $1\n"
		"   AND r.created_at >= $2 AND r.created_at <= $3\n"
		"   AND (r.created_at < $3 OR r.request_log_id > $4)\n"
		" ORDER BY r.created_at DESC, r.request_log_id\n"
		"OFFSET $5::int8 LIMIT $6::int8",
	.param_oids = usage_requests_oids,
	.n_params = 6,
	.columns = usage_requests_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_usage_requests_row),
};

enum tl_status q_usage_requests(struct pg *pg,
		const struct q_usage_requests_params *p,
		struct tl_arena *arena,
		struct q_usage_requests_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_INT8, .i8 = p->skip },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &usage_requests_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t usage_models_oids[] = { 2950, 1184, 20 };
static const struct pg_column usage_models_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_usage_models_row, model) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_models_row, cost_micro_usd) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_models_row, requests) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_models_row, prompt_tokens) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_models_row, completion_tokens) },
};
static const struct pg_statement usage_models_statement = {
	.name = "usage_models",
	.sql =
		"SELECT r.model, sum(r.cost_micro_usd)::int8 AS \"cost_micro_usd!\",\n"
		"       count(*) AS \"requests!\", sum(r.prompt_tokens)::int8 AS \"prompt_tokens!\",\n"
		"       sum(r.completion_tokens)::int8 AS \"completion_tokens!\"\n"
		"  FROM request_logs r\n"
		" WHERE r.user_id = $1 AND r.created_at >= $2\n"
		" GROUP BY r.model\n"
		" ORDER BY 2 DESC, r.model COLLATE \"C\"\n"
		" LIMIT $3::int8",
	.param_oids = usage_models_oids,
	.n_params = 3,
	.columns = usage_models_columns,
	.n_columns = 5,
	.row_bytes = sizeof(struct q_usage_models_row),
};

enum tl_status q_usage_models(struct pg *pg,
		const struct q_usage_models_params *p,
		struct tl_arena *arena,
		struct q_usage_models_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &usage_models_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t usage_hours_oids[] = { 2950, 1184, 1184 };
static const struct pg_column usage_hours_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_usage_hours_row, hour) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_hours_row, requests) },
};
static const struct pg_statement usage_hours_statement = {
	.name = "usage_hours",
	.sql =
		"SELECT extract(hour FROM r.created_at AT TIME ZONE 'UTC')::int4 AS \"hour!\",\n"
		"       count(*) AS \"requests!\"\n"
		"  FROM request_logs r\n"
		" WHERE r.user_id = $1\n"
		"   AND r.created_at >= $2 AND r.created_at < $3\n"
		" GROUP BY 1",
	.param_oids = usage_hours_oids,
	.n_params = 3,
	.columns = usage_hours_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_usage_hours_row),
};

enum tl_status q_usage_hours(struct pg *pg,
		const struct q_usage_hours_params *p,
		struct tl_arena *arena,
		struct q_usage_hours_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->until_us },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &usage_hours_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t usage_tokens_oids[] = { 2950, 1184 };
static const struct pg_column usage_tokens_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_tokens_row, prompt_tokens) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_tokens_row, completion_tokens) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_usage_tokens_row, peak_hour),
	  .nullable = true,
	  .null_offset = offsetof(struct q_usage_tokens_row, peak_hour_null) },
};
static const struct pg_statement usage_tokens_statement = {
	.name = "usage_tokens",
	.sql =
		"WITH hours AS (\n"
		"\tSELECT extract(hour FROM r.created_at AT TIME ZONE 'UTC')::int4\n"
		"\t\t\tAS hour,\n"
		"\t       count(*) AS requests, sum(r.prompt_tokens)::int8 AS prompt,\n"
		"\t       sum(r.completion_tokens)::int8 AS completion\n"
		"\t  FROM request_logs r\n"
		"\t WHERE r.user_id = $1 AND r.created_at >= $2\n"
		"\t GROUP BY 1\n"
		")\n"
		"SELECT coalesce(sum(h.prompt), 0)::int8 AS \"prompt_tokens!\",\n"
		"       coalesce(sum(h.completion), 0)::int8 AS \"completion_tokens!\",\n"
		"       (SELECT p.hour FROM hours p ORDER BY p.requests DESC, p.hour LIMIT 1)\n"
		"\t\tAS \"peak_hour?\"\n"
		"  FROM hours h",
	.param_oids = usage_tokens_oids,
	.n_params = 2,
	.columns = usage_tokens_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_usage_tokens_row),
};

enum tl_status q_usage_tokens(struct pg *pg,
		const struct q_usage_tokens_params *p,
		struct tl_arena *arena, struct q_usage_tokens_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
	};

	return pg_one(pg, &usage_tokens_statement, params, arena, row_r, err);
}

static const uint32_t usage_totals_oids[] = { 25, 20, 1082 };
static const struct pg_column usage_totals_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, last_seq) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, users) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, active_keys) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, daily_limit) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_totals_row, requests) },
};
static const struct pg_statement usage_totals_statement = {
	.name = "usage_totals",
	.sql =
		"SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n\n"
		"\t\t  WHERE n.node_id = $1 AND n.epoch = $2), 0)\n"
		"\t\tAS \"last_seq!\",\n"
		"       (SELECT count(*) FROM users) AS \"users!\",\n"
		"       (SELECT count(*) FROM api_keys WHERE status = 'active')\n"
		"\t\tAS \"active_keys!\",\n"
		"       (SELECT coalesce(sum(p.daily_credit_limit::int8 * n.n), 0)::int8\n"
		"\t  FROM (SELECT u.plan_id, count(*) AS n FROM users u\n"
		"\t\t WHERE u.status = 'active' GROUP BY u.plan_id) n\n"
		"\t  JOIN plans p ON p.plan_id = n.plan_id) AS \"daily_limit!\",\n"
		"       coalesce(sum(d.credits_used), 0)::int8 AS \"credits!\",\n"
		"       coalesce(sum(d.request_count), 0)::int8 AS \"requests!\"\n"
		"  FROM daily_usage d\n"
		" WHERE d.date = $3",
	.param_oids = usage_totals_oids,
	.n_params = 3,
	.columns = usage_totals_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_usage_totals_row),
};

enum tl_status q_usage_totals(struct pg *pg,
		const struct q_usage_totals_params *p,
		struct tl_arena *arena, struct q_usage_totals_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_DATE, .i4 = p->day },
	};

	return pg_one(pg, &usage_totals_statement, params, arena, row_r, err);
}

static const uint32_t usage_all_days_oids[] = { 25, 20, 1082, 1082 };
static const struct pg_column usage_all_days_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_usage_all_days_row, last_seq) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_DATE),
	  .offset = offsetof(struct q_usage_all_days_row, days) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_all_days_row, credits) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_all_days_row, requests) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT8),
	  .offset = offsetof(struct q_usage_all_days_row, costs) },
};
static const struct pg_statement usage_all_days_statement = {
	.name = "usage_all_days",
	.sql =
		"SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n\n"
		"\t\t  WHERE n.node_id = $1 AND n.epoch = $2), 0)\n"
		"\t\tAS \"last_seq!\",\n"
		"       coalesce(array_agg(d.date), '{}') AS \"days!\",\n"
		"       coalesce(array_agg(d.credits), '{}') AS \"credits!\",\n"
		"       coalesce(array_agg(d.requests), '{}') AS \"requests!\",\n"
		"       coalesce(array_agg(d.costs), '{}') AS \"costs!\"\n"
		"  FROM (SELECT u.date, sum(u.credits_used)::int8 AS credits,\n"
		"\t       sum(u.request_count)::int8 AS requests,\n"
		"\t       sum(u.cost_micro_usd)::int8 AS costs\n"
		"\t  FROM daily_usage u\n"
		"\t WHERE u.date BETWEEN $3 AND $4\n"
		"\t GROUP BY u.date) d",
	.param_oids = usage_all_days_oids,
	.n_params = 4,
	.columns = usage_all_days_columns,
	.n_columns = 5,
	.row_bytes = sizeof(struct q_usage_all_days_row),
};

enum tl_status q_usage_all_days(struct pg *pg,
		const struct q_usage_all_days_params *p,
		struct tl_arena *arena, struct q_usage_all_days_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_DATE, .i4 = p->first_day },
		{ .type = PG_DATE, .i4 = p->last_day },
	};

	return pg_one(pg, &usage_all_days_statement, params, arena, row_r, err);
}
