/*
 * q_flush.c - generated from db/queries/flush.sql: make queries, do not edit.
 */
#include "store/q_flush.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t flush_node_open_oids[] = { 25, 20 };
static const struct pg_column flush_node_open_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_flush_node_open_row, last_seq) },
};
static const struct pg_statement flush_node_open_statement = {
	.name = "flush_node_open",
	.sql =
		"SELECT tallyd.flush_node_open($1, $2) AS \"last_seq!\"",
	.param_oids = flush_node_open_oids,
	.n_params = 2,
	.columns = flush_node_open_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_flush_node_open_row),
};

enum tl_status q_flush_node_open(struct pg *pg,
		const struct q_flush_node_open_params *p,
		struct tl_arena *arena, struct q_flush_node_open_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->epoch },
	};

	return pg_one(pg, &flush_node_open_statement, params, arena, row_r, err);
}

static const uint32_t flush_apply_oids[] = { 25, 20, 20, 16, 2951, 2951, 1182, 1016, 1016, 1016, 1016, 2951, 1009, 1001, 1182, 1016, 1016, 1016, 1016, 1016, 1016, 1082, 2951, 2951, 1009, 1016, 1016, 1016, 1016, 1016, 1182, 2951, 1182 };
static const struct pg_column flush_apply_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_flush_apply_row, outcome) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_flush_apply_row, logs_added) },
};
static const struct pg_statement flush_apply_statement = {
	.name = "flush_apply",
	.sql =
		"SELECT a.outcome AS \"outcome!\", a.logs_added AS \"logs_added!\"\n"
		"  FROM tallyd.flush_apply($1, $2, $3, $4,\n"
		"\t$5, $6, $7, $8, $9, $10, $11,\n"
		"\t$12, $13, $14, $15,\n"
		"\t$16, $17, $18, $19, $20,\n"
		"\t$21, $22, $23, $24, $25,\n"
		"\t$26, $27, $28, $29,\n"
		"\t$30, $31, $32, $33) AS a",
	.param_oids = flush_apply_oids,
	.n_params = 33,
	.columns = flush_apply_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_flush_apply_row),
};

enum tl_status q_flush_apply(struct pg *pg,
		const struct q_flush_apply_params *p,
		struct tl_arena *arena, struct q_flush_apply_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_INT8, .i8 = p->seq },
		{ .type = PG_BOOL, .boolean = p->replay },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->user_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->key_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_DATE), .array = p->days },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->credits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->requests },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->costs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->last_used_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->idem_key_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->idem_keys },
		{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA), .array = p->idem_body_hashes },
		{ .type = (enum pg_type)(PG_ARRAY | PG_DATE), .array = p->idem_days },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_credits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_costs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_used },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_limits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_requests },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->idem_at_us },
		{ .type = PG_DATE, .i4 = p->log_since_day },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->log_user_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->log_key_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->log_models },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->log_prompt_tokens },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->log_completion_tokens },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->log_credits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->log_costs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->log_at_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_DATE), .array = p->log_days },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->refused_user_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_DATE), .array = p->refused_days },
	};

	return pg_one(pg, &flush_apply_statement, params, arena, row_r, err);
}

static const uint32_t request_logs_keep_oids[] = { 1082, 1082 };
static const struct pg_column request_logs_keep_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_request_logs_keep_row, outcome) },
};
static const struct pg_statement request_logs_keep_statement = {
	.name = "request_logs_keep",
	.sql =
		"SELECT tallyd.request_logs_keep($1, $2) AS \"outcome!\"",
	.param_oids = request_logs_keep_oids,
	.n_params = 2,
	.columns = request_logs_keep_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_request_logs_keep_row),
};

enum tl_status q_request_logs_keep(struct pg *pg,
		const struct q_request_logs_keep_params *p,
		struct tl_arena *arena, struct q_request_logs_keep_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_DATE, .i4 = p->day },
		{ .type = PG_DATE, .i4 = p->since_day },
	};

	return pg_one(pg, &request_logs_keep_statement, params, arena, row_r, err);
}

static const uint32_t idempotency_find_oids[] = { 2950, 25, 1184 };
static const struct pg_column idempotency_find_columns[] = {
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_idempotency_find_row, body_hash) },
	{ .type = PG_DATE,
	  .offset = offsetof(struct q_idempotency_find_row, day) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_find_row, credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_find_row, cost_micro_usd) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_find_row, used) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_find_row, daily_limit) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_find_row, requests) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_idempotency_find_row, at_us) },
};
static const struct pg_statement idempotency_find_statement = {
	.name = "idempotency_find",
	.sql =
		"SELECT body_hash, day, credits, cost_micro_usd, used, daily_limit, requests, at\n"
		"  FROM tallyd.idempotency_record\n"
		" WHERE key_id = $1 AND idem_key = $2 AND at > $3",
	.param_oids = idempotency_find_oids,
	.n_params = 3,
	.columns = idempotency_find_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_idempotency_find_row),
};

enum tl_status q_idempotency_find(struct pg *pg,
		const struct q_idempotency_find_params *p,
		struct tl_arena *arena, struct q_idempotency_find_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->key_id },
		{ .type = PG_TEXT, .str = p->idem_key },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
	};

	return pg_one(pg, &idempotency_find_statement, params, arena, row_r, err);
}

static const uint32_t idempotency_recent_oids[] = { 1184, 20 };
static const struct pg_column idempotency_recent_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_idempotency_recent_row, key_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_idempotency_recent_row, idem_key) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_idempotency_recent_row, body_hash) },
	{ .type = PG_DATE,
	  .offset = offsetof(struct q_idempotency_recent_row, day) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_recent_row, credits) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_recent_row, cost_micro_usd) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_recent_row, used) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_recent_row, daily_limit) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_idempotency_recent_row, requests) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_idempotency_recent_row, at_us) },
};
static const struct pg_statement idempotency_recent_statement = {
	.name = "idempotency_recent",
	.sql =
		"SELECT key_id, idem_key, body_hash, day, credits, cost_micro_usd, used,\n"
		"       daily_limit, requests, at\n"
		"  FROM tallyd.idempotency_record\n"
		" WHERE at > $1\n"
		" ORDER BY at DESC\n"
		" LIMIT $2::int8",
	.param_oids = idempotency_recent_oids,
	.n_params = 2,
	.columns = idempotency_recent_columns,
	.n_columns = 10,
	.row_bytes = sizeof(struct q_idempotency_recent_row),
};

enum tl_status q_idempotency_recent(struct pg *pg,
		const struct q_idempotency_recent_params *p,
		struct tl_arena *arena,
		struct q_idempotency_recent_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &idempotency_recent_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t idempotency_trim_oids[] = { 1184, 20 };
static const struct pg_statement idempotency_trim_statement = {
	.name = "idempotency_trim",
	.sql =
		"DELETE FROM tallyd.idempotency_record\n"
		" WHERE ctid = ANY (ARRAY(SELECT i.ctid FROM tallyd.idempotency_record i\n"
		"\t\t\t  WHERE i.at <= $1\n"
		"\t\t\t  ORDER BY i.at\n"
		"\t\t\t  LIMIT $2::int8))",
	.param_oids = idempotency_trim_oids,
	.n_params = 2,
};

enum tl_status q_idempotency_trim(struct pg *pg,
		const struct q_idempotency_trim_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_exec(pg, &idempotency_trim_statement, params, affected_r, err);
}
