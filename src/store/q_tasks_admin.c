/*
 * q_tasks_admin.c - generated from db/queries/tasks_admin.sql: make queries, do not edit.
 */
#include "store/q_tasks_admin.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t task_page_oids[] = { 25, 25, 20 };
static const struct pg_column task_page_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_page_row, task_id) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_page_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_page_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_page_row, attempt) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_page_row, failures) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_page_row, priority) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_page_row, cancel_wanted) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, run_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_page_row, created_at_us) },
};
static const struct pg_statement task_page_statement = {
	.name = "task_page",
	.sql =
		"SELECT t.task_id, t.state, t.name, t.queue, t.tenant, t.attempt, t.failures,\n"
		"       -t.rank AS \"priority!\", t.cancel_wanted, t.run_at, t.created_at\n"
		"  FROM tallyd.task t\n"
		" WHERE ($1::text IS NULL OR t.queue = $1)\n"
		"   AND ($2::text IS NULL OR t.name = $2)\n"
		" ORDER BY t.task_id DESC\n"
		" LIMIT $3::int8",
	.param_oids = task_page_oids,
	.n_params = 3,
	.columns = task_page_columns,
	.n_columns = 11,
	.row_bytes = sizeof(struct q_task_page_row),
};

enum tl_status q_task_page(struct pg *pg,
		const struct q_task_page_params *p,
		struct tl_arena *arena,
		struct q_task_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->queue == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->queue != NULL)
		params[0].str = *p->queue;
	if (p->name != NULL)
		params[1].str = *p->name;
	st = pg_many(pg, &task_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_dead_page_oids[] = { 25, 25, 20 };
static const struct pg_column task_dead_page_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_dead_page_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_page_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_page_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_page_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_page_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_dead_page_row, attempts) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_dead_page_row, ended_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_page_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_dead_page_row, error_null) },
};
static const struct pg_statement task_dead_page_statement = {
	.name = "task_dead_page",
	.sql =
		"SELECT d.task_id, d.outcome, d.name, d.queue, d.tenant, d.attempts,\n"
		"       d.ended_at, d.error\n"
		"  FROM tallyd.task_dead d\n"
		" WHERE ($1::text IS NULL OR d.queue = $1)\n"
		"   AND ($2::text IS NULL OR d.name = $2)\n"
		" ORDER BY d.task_id DESC\n"
		" LIMIT $3::int8",
	.param_oids = task_dead_page_oids,
	.n_params = 3,
	.columns = task_dead_page_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_task_dead_page_row),
};

enum tl_status q_task_dead_page(struct pg *pg,
		const struct q_task_dead_page_params *p,
		struct tl_arena *arena,
		struct q_task_dead_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->queue == NULL },
		{ .type = PG_TEXT, .null = p->name == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->queue != NULL)
		params[0].str = *p->queue;
	if (p->name != NULL)
		params[1].str = *p->name;
	st = pg_many(pg, &task_dead_page_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_find_oids[] = { 20 };
static const struct pg_column task_find_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_find_row, task_id) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_find_row, state) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_find_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_find_row, attempt) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_find_row, failures) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_find_row, losses) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_find_row, priority) },
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
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, run_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_find_row, created_at_us) },
};
static const struct pg_statement task_find_statement = {
	.name = "task_find",
	.sql =
		"SELECT t.task_id, t.state, t.name, t.queue, t.tenant, t.attempt, t.failures,\n"
		"       t.losses, -t.rank AS \"priority!\", t.payload, t.singleton_key,\n"
		"       t.event_id, t.retry_limit, t.retry_delay_ms, t.retry_backoff,\n"
		"       t.timeout_ms, t.run_at, t.created_at\n"
		"  FROM tallyd.task t\n"
		" WHERE t.task_id = $1",
	.param_oids = task_find_oids,
	.n_params = 1,
	.columns = task_find_columns,
	.n_columns = 18,
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
	  .offset = offsetof(struct q_task_dead_find_row, task_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, tenant) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_dead_find_row, attempts) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_dead_find_row, priority) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_task_dead_find_row, payload) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, singleton_key),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_dead_find_row, singleton_key_null) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_dead_find_row, event_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_dead_find_row, event_id_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_dead_find_row, retry_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_dead_find_row, retry_delay_ms) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_dead_find_row, retry_backoff) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_dead_find_row, timeout_ms) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_dead_find_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_dead_find_row, ended_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_dead_find_row, error),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_dead_find_row, error_null) },
};
static const struct pg_statement task_dead_find_statement = {
	.name = "task_dead_find",
	.sql =
		"SELECT d.task_id, d.outcome, d.name, d.queue, d.tenant, d.attempts,\n"
		"       d.priority, d.payload, d.singleton_key, d.event_id, d.retry_limit,\n"
		"       d.retry_delay_ms, d.retry_backoff, d.timeout_ms, d.created_at,\n"
		"       d.ended_at, d.error\n"
		"  FROM tallyd.task_dead d\n"
		" WHERE d.task_id = $1\n"
		" ORDER BY d.ended_at DESC\n"
		" LIMIT 1",
	.param_oids = task_dead_find_oids,
	.n_params = 1,
	.columns = task_dead_find_columns,
	.n_columns = 17,
	.row_bytes = sizeof(struct q_task_dead_find_row),
};

enum tl_status q_task_dead_find(struct pg *pg,
		int64_t task_id,
		struct tl_arena *arena, struct q_task_dead_find_row *row_r,
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
		"SELECT a.attempt, a.outcome, a.name, a.started_at, a.ended_at, a.error\n"
		"  FROM tallyd.task_attempt a\n"
		" WHERE a.task_id = $1\n"
		" ORDER BY a.attempt\n"
		" LIMIT 1000",
	.param_oids = task_attempts_oids,
	.n_params = 1,
	.columns = task_attempts_columns,
	.n_columns = 6,
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
		"\t\tcount(*) FILTER (WHERE t.state = 3) AS parked\n"
		"\t  FROM tallyd.task t GROUP BY t.queue) c ON c.queue = n.queue\n"
		"  LEFT JOIN tallyd.task_queue q ON q.queue = n.queue\n"
		" ORDER BY n.queue\n"
		" LIMIT 1000",
	.columns = queue_page_columns,
	.n_columns = 12,
	.row_bytes = sizeof(struct q_queue_page_row),
};

enum tl_status q_queue_page(struct pg *pg,
		struct tl_arena *arena,
		struct q_queue_page_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &queue_page_statement, NULL, arena, &rows, n_r, err);
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
