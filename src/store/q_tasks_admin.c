/*
 * q_tasks_admin.c - generated from db/queries/tasks_admin.sql: make queries, do not edit.
 */
#include "store/q_tasks_admin.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t task_page_oids[] = { 20, 21, 25, 25, 20 };
static const struct pg_column task_page_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_page_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_page_row, priority) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_page_row, attempt) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_page_row, cancelling) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, run_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, run_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, ended_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, ended_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, error_null) },
};
static const struct pg_statement task_page_statement = {
	.name = "task_page",
	.sql =
		"SELECT t.task_id AS \"task_id!\",\n"
		"       (ARRAY['ready', 'delayed', 'active', 'parked'])[t.state + 1]\n"
		"\t\tAS \"state!\",\n"
		"       t.name AS \"name!\", t.queue AS \"queue!\", t.tenant AS \"tenant!\",\n"
		"       (-t.rank)::int4 AS \"priority!\", t.attempt AS \"attempt!\",\n"
		"       t.cancel_wanted AS \"cancelling!\", t.created_at AS \"created_at!\",\n"
		"       t.run_at AS \"run_at?\", NULL::timestamptz AS \"ended_at?\",\n"
		"       NULL::text AS \"error?\"\n"
		"  FROM tallyd.task t\n"
		" WHERE t.task_id < $1::int8\n"
		"   AND ($2::int2 IS NULL OR t.state = $2)\n"
		"   AND ($3::text IS NULL OR t.queue = $3)\n"
		"   AND ($4::text IS NULL OR t.name = $4)\n"
		" ORDER BY t.task_id DESC\n"
		" LIMIT $5::int8",
	.param_oids = task_page_oids,
	.n_params = 5,
	.columns = task_page_columns,
	.n_columns = 12,
	.row_bytes = sizeof(struct q_task_page_row),
};

enum tl_status q_task_page(struct pg *pg,
		const struct q_task_page_params *p,
		struct tl_arena *arena,
		struct q_task_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->before },
		{ .type = PG_INT2, .null = p->state == NULL },
		{ .type = PG_TEXT, .null = p->queue == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->state != NULL)
		params[1].i2 = *p->state;
	if (p->queue != NULL)
		params[2].str = *p->queue;
	if (p->name != NULL)
		params[3].str = *p->name;
	st = pg_many(pg, &task_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_dead_page_oids[] = { 20, 25, 25, 25, 20 };
static const struct pg_column task_dead_page_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_page_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_page_row, priority) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_page_row, attempt) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_page_row, cancelling) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, run_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, run_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, ended_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, ended_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_page_row, error_null) },
};
static const struct pg_statement task_dead_page_statement = {
	.name = "task_dead_page",
	.sql =
		"SELECT d.task_id AS \"task_id!\", d.outcome AS \"state!\", d.name AS \"name!\",\n"
		"       d.queue AS \"queue!\", d.tenant AS \"tenant!\",\n"
		"       d.priority::int4 AS \"priority!\", d.attempts AS \"attempt!\",\n"
		"       false AS \"cancelling!\", d.created_at AS \"created_at!\",\n"
		"       NULL::timestamptz AS \"run_at?\", d.ended_at AS \"ended_at?\",\n"
		"       d.error AS \"error?\"\n"
		"  FROM tallyd.task_dead d\n"
		" WHERE d.task_id < $1::int8\n"
		"   AND ($2::text IS NULL OR d.outcome = $2)\n"
		"   AND ($3::text IS NULL OR d.queue = $3)\n"
		"   AND ($4::text IS NULL OR d.name = $4)\n"
		" ORDER BY d.task_id DESC\n"
		" LIMIT $5::int8",
	.param_oids = task_dead_page_oids,
	.n_params = 5,
	.columns = task_dead_page_columns,
	.n_columns = 12,
	.row_bytes = sizeof(struct q_task_page_row),
};

enum tl_status q_task_dead_page(struct pg *pg,
		const struct q_task_dead_page_params *p,
		struct tl_arena *arena,
		struct q_task_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->before },
		{ .type = PG_TEXT, .null = p->outcome == NULL },
		{ .type = PG_TEXT, .null = p->queue == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->outcome != NULL)
		params[1].str = *p->outcome;
	if (p->queue != NULL)
		params[2].str = *p->queue;
	if (p->name != NULL)
		params[3].str = *p->name;
	st = pg_many(pg, &task_dead_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_find_oids[] = { 20 };
static const struct pg_column task_find_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_find_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, priority) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, attempt) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_find_row, cancelling) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, run_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, run_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, ended_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, ended_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, error_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, failures),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, failures_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, losses),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, losses_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_task_find_row, payload) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, singleton_key),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, singleton_key_null) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_find_row, event_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, event_id_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, retry_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, retry_delay_ms) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_find_row, retry_backoff) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, timeout_ms) },
};
static const struct pg_statement task_find_statement = {
	.name = "task_find",
	.sql =
		"SELECT t.task_id AS \"task_id!\",\n"
		"       (ARRAY['ready', 'delayed', 'active', 'parked'])[t.state + 1]\n"
		"\t\tAS \"state!\",\n"
		"       t.name AS \"name!\", t.queue AS \"queue!\", t.tenant AS \"tenant!\",\n"
		"       (-t.rank)::int4 AS \"priority!\", t.attempt AS \"attempt!\",\n"
		"       t.cancel_wanted AS \"cancelling!\", t.created_at AS \"created_at!\",\n"
		"       t.run_at AS \"run_at?\", NULL::timestamptz AS \"ended_at?\",\n"
		"       NULL::text AS \"error?\", t.failures::int4 AS \"failures?\",\n"
		"       t.losses::int4 AS \"losses?\", t.payload AS \"payload!\",\n"
		"       t.singleton_key AS \"singleton_key?\", t.event_id AS \"event_id?\",\n"
		"       t.retry_limit AS \"retry_limit!\", t.retry_delay_ms AS \"retry_delay_ms!\",\n"
		"       t.retry_backoff AS \"retry_backoff!\", t.timeout_ms AS \"timeout_ms!\"\n"
		"  FROM tallyd.task t\n"
		" WHERE t.task_id = $1",
	.param_oids = task_find_oids,
	.n_params = 1,
	.columns = task_find_columns,
	.n_columns = 21,
	.row_bytes = sizeof(struct q_task_find_row),
};

enum tl_status q_task_find(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena, struct q_task_find_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = task_id },
	};

	return pg_one(pg, &task_find_statement, params, arena, row_r, err);
}

static const uint32_t task_dead_find_oids[] = { 20 };
static const struct pg_column task_dead_find_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_find_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, priority) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, attempt) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_find_row, cancelling) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, run_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, run_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, ended_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, ended_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, error_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, failures),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, failures_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, losses),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, losses_null) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_task_find_row, payload) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, singleton_key),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, singleton_key_null) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_find_row, event_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_find_row, event_id_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, retry_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, retry_delay_ms) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_find_row, retry_backoff) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, timeout_ms) },
};
static const struct pg_statement task_dead_find_statement = {
	.name = "task_dead_find",
	.sql =
		"SELECT d.task_id AS \"task_id!\", d.outcome AS \"state!\", d.name AS \"name!\",\n"
		"       d.queue AS \"queue!\", d.tenant AS \"tenant!\",\n"
		"       d.priority::int4 AS \"priority!\", d.attempts AS \"attempt!\",\n"
		"       false AS \"cancelling!\", d.created_at AS \"created_at!\",\n"
		"       NULL::timestamptz AS \"run_at?\", d.ended_at AS \"ended_at?\",\n"
		"       d.error AS \"error?\", NULL::int4 AS \"failures?\",\n"
		"       NULL::int4 AS \"losses?\", d.payload AS \"payload!\",\n"
		"       d.singleton_key AS \"singleton_key?\", d.event_id AS \"event_id?\",\n"
		"       d.retry_limit AS \"retry_limit!\", d.retry_delay_ms AS \"retry_delay_ms!\",\n"
		"       d.retry_backoff AS \"retry_backoff!\", d.timeout_ms AS \"timeout_ms!\"\n"
		"  FROM tallyd.task_dead d\n"
		" WHERE d.task_id = $1\n"
		" ORDER BY d.ended_at DESC\n"
		" LIMIT 1",
	.param_oids = task_dead_find_oids,
	.n_params = 1,
	.columns = task_dead_find_columns,
	.n_columns = 21,
	.row_bytes = sizeof(struct q_task_find_row),
};

enum tl_status q_task_dead_find(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena, struct q_task_find_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = task_id },
	};

	return pg_one(pg, &task_dead_find_statement, params, arena, row_r, err);
}

static const uint32_t task_attempts_oids[] = { 20 };
static const struct pg_column task_attempts_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_attempts_row, attempt) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_attempts_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_attempts_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_attempts_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_attempts_row, tenant) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_attempts_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_attempts_row, started_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_attempts_row, started_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_attempts_row, ended_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_attempts_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_attempts_row, error_null) },
};
static const struct pg_statement task_attempts_statement = {
	.name = "task_attempts",
	.sql =
		"SELECT a.attempt, a.outcome, a.name, a.queue, a.tenant, a.created_at,\n"
		"       a.started_at, a.ended_at, a.error\n"
		"  FROM tallyd.task_attempt a\n"
		" WHERE a.task_id = $1\n"
		" ORDER BY a.attempt\n"
		" LIMIT 1000",
	.param_oids = task_attempts_oids,
	.n_params = 1,
	.columns = task_attempts_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_task_attempts_row),
};

enum tl_status q_task_attempts(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena,
		struct q_task_attempts_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = task_id },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &task_attempts_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_cancel_oids[] = { 20, 25 };
static const struct pg_column task_cancel_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_cancel_row, outcome),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_cancel_row, outcome_null) },
};
static const struct pg_statement task_cancel_statement = {
	.name = "task_cancel",
	.sql =
		"SELECT tallyd.task_cancel($1, $2) AS outcome",
	.param_oids = task_cancel_oids,
	.n_params = 2,
	.columns = task_cancel_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_cancel_row),
};

enum tl_status q_task_cancel(struct pg *pg,
		const struct q_task_cancel_params *p,
		struct tl_arena *arena, struct q_task_cancel_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->task_id },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &task_cancel_statement, params, arena, row_r, err);
}

static const uint32_t task_retry_oids[] = { 20, 3802, 25 };
static const struct pg_column task_retry_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_retry_row, outcome),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_retry_row, outcome_null) },
};
static const struct pg_statement task_retry_statement = {
	.name = "task_retry",
	.sql =
		"SELECT tallyd.task_retry($1, $2, $3) AS outcome",
	.param_oids = task_retry_oids,
	.n_params = 3,
	.columns = task_retry_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_retry_row),
};

enum tl_status q_task_retry(struct pg *pg,
		const struct q_task_retry_params *p,
		struct tl_arena *arena, struct q_task_retry_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->task_id },
		{ .type = PG_JSONB, .null = p->payload == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->payload != NULL)
		params[1].str = *p->payload;
	return pg_one(pg, &task_retry_statement, params, arena, row_r, err);
}

static const uint32_t task_replay_oids[] = { 25, 25, 1009, 1184, 20, 23, 25 };
static const struct pg_column task_replay_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_replay_row, looked) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_replay_row, sent) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_replay_row, last_id) },
};
static const struct pg_statement task_replay_statement = {
	.name = "task_replay",
	.sql =
		"SELECT r.looked AS \"looked!\", r.sent AS \"sent!\", r.last_id AS \"last_id!\"\n"
		"  FROM tallyd.task_replay($1, $2, $3, $4, $5, $6,\n"
		"\t$7) AS r",
	.param_oids = task_replay_oids,
	.n_params = 7,
	.columns = task_replay_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_task_replay_row),
};

enum tl_status q_task_replay(struct pg *pg,
		const struct q_task_replay_params *p,
		struct tl_arena *arena, struct q_task_replay_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->queue == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->outcomes },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_INT8, .i8 = p->after },
		{ .type = PG_INT4, .i4 = p->max },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->queue != NULL)
		params[0].str = *p->queue;
	if (p->name != NULL)
		params[1].str = *p->name;
	return pg_one(pg, &task_replay_statement, params, arena, row_r, err);
}

static const uint32_t task_stats_oids[] = { 1184 };
static const struct pg_column task_stats_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_stats_row, pending) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_stats_row, active) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_stats_row, completed) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_stats_row, failed) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_stats_row, cancelled) },
};
static const struct pg_statement task_stats_statement = {
	.name = "task_stats",
	.sql =
		"SELECT (SELECT count(*) FROM tallyd.task t WHERE t.state <> 2) AS \"pending!\",\n"
		"       (SELECT count(*) FROM tallyd.task t WHERE t.state = 2) AS \"active!\",\n"
		"       count(*) FILTER (WHERE a.outcome = 'completed') AS \"completed!\",\n"
		"       count(*) FILTER (WHERE a.outcome IN ('failed', 'expired', 'lost'))\n"
		"\t\tAS \"failed!\",\n"
		"       count(*) FILTER (WHERE a.outcome = 'cancelled') AS \"cancelled!\"\n"
		"  FROM tallyd.task_attempt a\n"
		" WHERE a.ended_at >= $1",
	.param_oids = task_stats_oids,
	.n_params = 1,
	.columns = task_stats_columns,
	.n_columns = 5,
	.row_bytes = sizeof(struct q_task_stats_row),
};

enum tl_status q_task_stats(struct pg *pg,
		int64_t since_us,
		struct tl_arena *arena, struct q_task_stats_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = since_us },
	};

	return pg_one(pg, &task_stats_statement, params, arena, row_r, err);
}

static const uint32_t task_failed_oids[] = { 1184, 25, 20 };
static const struct pg_column task_failed_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_failed_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_failed_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_failed_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_failed_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_failed_row, attempt) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_failed_row, outcome) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_failed_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_failed_row, started_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_failed_row, started_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_failed_row, ended_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_failed_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_failed_row, error_null) },
};
static const struct pg_statement task_failed_statement = {
	.name = "task_failed",
	.sql =
		"SELECT a.task_id, a.name, a.queue, a.tenant, a.attempt, a.outcome,\n"
		"       a.created_at, a.started_at, a.ended_at, a.error\n"
		"  FROM tallyd.task_attempt a\n"
		" WHERE a.ended_at >= $1\n"
		"   AND a.outcome IN ('failed', 'expired', 'lost')\n"
		"   AND ($2::text IS NULL OR a.name = $2)\n"
		" ORDER BY a.ended_at DESC, a.task_id DESC\n"
		" LIMIT $3::int8",
	.param_oids = task_failed_oids,
	.n_params = 3,
	.columns = task_failed_columns,
	.n_columns = 10,
	.row_bytes = sizeof(struct q_task_failed_row),
};

enum tl_status q_task_failed(struct pg *pg,
		const struct q_task_failed_params *p,
		struct tl_arena *arena,
		struct q_task_failed_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->since_us },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->name != NULL)
		params[1].str = *p->name;
	st = pg_many(pg, &task_failed_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t queue_page_oids[] = { 25 };
static const struct pg_column queue_page_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_queue_page_row, queue) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_page_row, ready) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_page_row, delayed) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_page_row, active) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_page_row, parked) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_page_row, dead) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_queue_page_row, oldest_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, oldest_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_queue_page_row, paused_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, paused_at_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, concurrency_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, rate_count),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, rate_count_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, rate_window_ms),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, rate_window_ms_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, tenant_concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, tenant_concurrency_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, tenant_rate_count),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, tenant_rate_count_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_queue_page_row, tenant_rate_window_ms),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_page_row, tenant_rate_window_ms_null) },
};
static const struct pg_statement queue_page_statement = {
	.name = "queue_page",
	.sql =
		"SELECT n.queue AS \"queue!\", coalesce(c.ready, 0) AS \"ready!\",\n"
		"       coalesce(c.delayed, 0) AS \"delayed!\",\n"
		"       coalesce(c.active, 0) AS \"active!\", coalesce(c.parked, 0) AS \"parked!\",\n"
		"       coalesce(x.dead, 0) AS \"dead!\", c.oldest_at AS \"oldest_at?\",\n"
		"       q.paused_at AS \"paused_at?\", q.concurrency AS \"concurrency?\",\n"
		"       q.rate_count AS \"rate_count?\", q.rate_window_ms AS \"rate_window_ms?\",\n"
		"       q.tenant_concurrency AS \"tenant_concurrency?\",\n"
		"       q.tenant_rate_count AS \"tenant_rate_count?\",\n"
		"       q.tenant_rate_window_ms AS \"tenant_rate_window_ms?\"\n"
		"  FROM (SELECT k.queue FROM tallyd.task_queue k\n"
		"\t UNION SELECT d.queue FROM tallyd.task_definition d\n"
		"\t UNION SELECT DISTINCT t.queue FROM tallyd.task t) n\n"
		"  LEFT JOIN (SELECT t.queue, count(*) FILTER (WHERE t.state = 0) AS ready,\n"
		"\t\tcount(*) FILTER (WHERE t.state = 1) AS delayed,\n"
		"\t\tcount(*) FILTER (WHERE t.state = 2) AS active,\n"
		"\t\tcount(*) FILTER (WHERE t.state = 3) AS parked,\n"
		"\t\tmin(t.run_at) FILTER (WHERE t.state = 0) AS oldest_at\n"
		"\t  FROM tallyd.task t GROUP BY t.queue) c ON c.queue = n.queue\n"
		"  LEFT JOIN (SELECT d.queue, count(*) AS dead\n"
		"\t  FROM tallyd.task_dead d GROUP BY d.queue) x ON x.queue = n.queue\n"
		"  LEFT JOIN tallyd.task_queue q ON q.queue = n.queue\n"
		" WHERE $1::text IS NULL OR n.queue = $1\n"
		" ORDER BY n.queue\n"
		" LIMIT 1000",
	.param_oids = queue_page_oids,
	.n_params = 1,
	.columns = queue_page_columns,
	.n_columns = 14,
	.row_bytes = sizeof(struct q_queue_page_row),
};

enum tl_status q_queue_page(struct pg *pg,
		const struct tl_str *queue,
		struct tl_arena *arena,
		struct q_queue_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = queue == NULL },
	};
	enum tl_status st;
	void *rows;

	if (queue != NULL)
		params[0].str = *queue;
	st = pg_many(pg, &queue_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t queue_ended_oids[] = { 23 };
static const struct pg_column queue_ended_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_queue_ended_row, queue) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_queue_ended_row, ended) },
};
static const struct pg_statement queue_ended_statement = {
	.name = "queue_ended",
	.sql =
		"SELECT a.queue, count(*) AS \"ended!\"\n"
		"  FROM tallyd.task_attempt a\n"
		" WHERE a.ended_at >= now() - $1::int4 * INTERVAL '1 second'\n"
		" GROUP BY a.queue\n"
		" LIMIT 1000",
	.param_oids = queue_ended_oids,
	.n_params = 1,
	.columns = queue_ended_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_queue_ended_row),
};

enum tl_status q_queue_ended(struct pg *pg,
		int32_t seconds,
		struct tl_arena *arena,
		struct q_queue_ended_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = seconds },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &queue_ended_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t queue_pause_oids[] = { 25, 16, 25 };
static const struct pg_column queue_pause_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_queue_pause_row, done),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_pause_row, done_null) },
};
static const struct pg_statement queue_pause_statement = {
	.name = "queue_pause",
	.sql =
		"SELECT tallyd.queue_pause($1, $2, $3)::text AS done",
	.param_oids = queue_pause_oids,
	.n_params = 3,
	.columns = queue_pause_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_queue_pause_row),
};

enum tl_status q_queue_pause(struct pg *pg,
		const struct q_queue_pause_params *p,
		struct tl_arena *arena, struct q_queue_pause_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->queue },
		{ .type = PG_BOOL, .boolean = p->pause },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &queue_pause_statement, params, arena, row_r, err);
}

static const uint32_t queue_set_oids[] = { 25, 23, 23, 23, 23, 23, 23, 25 };
static const struct pg_column queue_set_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_queue_set_row, done),
	  .nullable = true,
	  .null_offset = offsetof(struct q_queue_set_row, done_null) },
};
static const struct pg_statement queue_set_statement = {
	.name = "queue_set",
	.sql =
		"SELECT tallyd.queue_set($1, $2, $3, $4,\n"
		"\t$5, $6, $7,\n"
		"\t$8)::text AS done",
	.param_oids = queue_set_oids,
	.n_params = 8,
	.columns = queue_set_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_queue_set_row),
};

enum tl_status q_queue_set(struct pg *pg,
		const struct q_queue_set_params *p,
		struct tl_arena *arena, struct q_queue_set_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->queue },
		{ .type = PG_INT4, .null = p->concurrency == NULL },
		{ .type = PG_INT4, .null = p->rate == NULL },
		{ .type = PG_INT4, .null = p->rate_window_ms == NULL },
		{ .type = PG_INT4, .null = p->tenant_concurrency == NULL },
		{ .type = PG_INT4, .null = p->tenant_rate == NULL },
		{ .type = PG_INT4, .null = p->tenant_rate_window_ms == NULL },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->concurrency != NULL)
		params[1].i4 = *p->concurrency;
	if (p->rate != NULL)
		params[2].i4 = *p->rate;
	if (p->rate_window_ms != NULL)
		params[3].i4 = *p->rate_window_ms;
	if (p->tenant_concurrency != NULL)
		params[4].i4 = *p->tenant_concurrency;
	if (p->tenant_rate != NULL)
		params[5].i4 = *p->tenant_rate;
	if (p->tenant_rate_window_ms != NULL)
		params[6].i4 = *p->tenant_rate_window_ms;
	return pg_one(pg, &queue_set_statement, params, arena, row_r, err);
}
