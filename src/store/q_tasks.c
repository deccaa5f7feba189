/*
 * q_tasks.c - generated from db/queries/tasks.sql: make queries, do not edit.
 */
#include "store/q_tasks.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t task_insert_oids[] = { 20, 21, 25, 25, 25, 3802, 25, 23, 23, 16, 23 };
static const struct pg_column task_insert_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_insert_row, task_id) },
};
static const struct pg_statement task_insert_statement = {
	.name = "task_insert",
	.sql =
		"INSERT INTO tallyd.task (state, rank, name, queue, tenant, payload,\n"
		"\tsingleton_key, run_at, retry_limit, retry_delay_ms, retry_backoff,\n"
		"\ttimeout_ms)\n"
		"VALUES (CASE WHEN $1::int8 > 0 THEN 1 ELSE 0 END, $2, $3, $4,\n"
		"\t$5, $6, $7, clock_timestamp()\n"
		"\t+ $1::int8 * INTERVAL '1 millisecond', $8,\n"
		"\t$9, $10, $11)\n"
		"ON CONFLICT (queue, singleton_key) WHERE singleton_key IS NOT NULL DO NOTHING\n"
		"RETURNING task_id",
	.param_oids = task_insert_oids,
	.n_params = 11,
	.columns = task_insert_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_insert_row),
};

enum tl_status q_task_insert(struct pg *pg,
		const struct q_task_insert_params *p,
		struct tl_arena *arena, struct q_task_insert_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->delay_ms },
		{ .type = PG_INT2, .i2 = p->rank },
		{ .type = PG_TEXT, .str = p->name },
		{ .type = PG_TEXT, .str = p->queue },
		{ .type = PG_TEXT, .str = p->tenant },
		{ .type = PG_JSONB, .str = p->payload },
		{ .type = PG_TEXT, .null = p->singleton_key == NULL },
		{ .type = PG_INT4, .i4 = p->retry_limit },
		{ .type = PG_INT4, .i4 = p->retry_delay_ms },
		{ .type = PG_BOOL, .boolean = p->retry_backoff },
		{ .type = PG_INT4, .i4 = p->timeout_ms },
	};

	if (p->singleton_key != NULL)
		params[6].str = *p->singleton_key;
	return pg_one(pg, &task_insert_statement, params, arena, row_r, err);
}

static const uint32_t event_insert_oids[] = { 25, 3802, 1009, 1009, 1007, 1007, 1000, 1007 };
static const struct pg_column event_insert_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_event_insert_row, event_id) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_event_insert_row, tasks) },
};
static const struct pg_statement event_insert_statement = {
	.name = "event_insert",
	.sql =
		"SELECT e.event_id AS \"event_id!\", e.tasks AS \"tasks!\"\n"
		"  FROM tallyd.event_insert($1, $2, $3, $4, $5,\n"
		"\t$6, $7, $8) AS e",
	.param_oids = event_insert_oids,
	.n_params = 8,
	.columns = event_insert_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_event_insert_row),
};

enum tl_status q_event_insert(struct pg *pg,
		const struct q_event_insert_params *p,
		struct tl_arena *arena, struct q_event_insert_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->event },
		{ .type = PG_JSONB, .str = p->payload },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->names },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->queues },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->retry_limits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->retry_delays_ms },
		{ .type = (enum pg_type)(PG_ARRAY | PG_BOOL), .array = p->retry_backoffs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->timeouts_ms },
	};

	return pg_one(pg, &event_insert_statement, params, arena, row_r, err);
}

static const uint32_t task_register_oids[] = { 1009, 1009, 1009, 1007, 1007, 1000, 1007 };
static const struct pg_column task_register_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_register_row, names) },
};
static const struct pg_statement task_register_statement = {
	.name = "task_register",
	.sql =
		"SELECT tallyd.task_register($1, $2, $3, $4,\n"
		"\t$5, $6, $7) AS \"names!\"",
	.param_oids = task_register_oids,
	.n_params = 7,
	.columns = task_register_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_register_row),
};

enum tl_status q_task_register(struct pg *pg,
		const struct q_task_register_params *p,
		struct tl_arena *arena, struct q_task_register_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->names },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->queues },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->events },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->retry_limits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->retry_delays_ms },
		{ .type = (enum pg_type)(PG_ARRAY | PG_BOOL), .array = p->retry_backoffs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->timeouts_ms },
	};

	return pg_one(pg, &task_register_statement, params, arena, row_r, err);
}

static const uint32_t task_claim_oids[] = { 20, 20, 1009, 23, 1009, 1007, 1007, 1009, 1009, 1009 };
static const struct pg_column task_claim_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_claim_row, task_id) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_claim_row, attempt) },
	{ .type = PG_INT2,
	  .offset = offsetof(struct q_task_claim_row, failures) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_claim_row, name) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_claim_row, queue) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_claim_row, tenant) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_task_claim_row, payload) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_claim_row, event_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_claim_row, event_id_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_claim_row, retry_limit) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_claim_row, retry_delay_ms) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_claim_row, retry_backoff) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_claim_row, timeout_ms) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_claim_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_claim_row, run_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_claim_row, trace),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_claim_row, trace_null) },
};
static const struct pg_statement task_claim_statement = {
	.name = "task_claim",
	.sql =
		"SELECT c.task_id AS \"task_id!\", c.attempt AS \"attempt!\",\n"
		"       c.failures AS \"failures!\", c.name AS \"name!\", c.queue AS \"queue!\",\n"
		"       c.tenant AS \"tenant!\", c.payload AS \"payload!\", c.event_id,\n"
		"       c.retry_limit AS \"retry_limit!\", c.retry_delay_ms AS \"retry_delay_ms!\",\n"
		"       c.retry_backoff AS \"retry_backoff!\", c.timeout_ms AS \"timeout_ms!\",\n"
		"       c.created_at AS \"created_at!\", c.run_at AS \"run_at!\",\n"
		"       c.trace\n"
		"  FROM tallyd.task_claim($1, $2, $3, $4, $5, $6,\n"
		"\t$7, $8, $9, $10) AS c",
	.param_oids = task_claim_oids,
	.n_params = 10,
	.columns = task_claim_columns,
	.n_columns = 15,
	.row_bytes = sizeof(struct q_task_claim_row),
};

enum tl_status q_task_claim(struct pg *pg,
		const struct q_task_claim_params *p,
		struct tl_arena *arena,
		struct q_task_claim_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_INT8, .i8 = p->spawn },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->names },
		{ .type = PG_INT4, .i4 = p->max },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->queues },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->wants },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->tenant_wants },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->turns },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->full_queues },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->full_tenants },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &task_claim_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_look_oids[] = { 23, 1009 };
static const struct pg_column task_look_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_look_row, promoted) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_look_row, next_ms),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_look_row, next_ms_null) },
};
static const struct pg_statement task_look_statement = {
	.name = "task_look",
	.sql =
		"SELECT l.promoted AS \"promoted!\", l.next_ms FROM tallyd.task_look($1, $2) AS l",
	.param_oids = task_look_oids,
	.n_params = 2,
	.columns = task_look_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_task_look_row),
};

enum tl_status q_task_look(struct pg *pg,
		const struct q_task_look_params *p,
		struct tl_arena *arena, struct q_task_look_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = p->max },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->names },
	};

	return pg_one(pg, &task_look_statement, params, arena, row_r, err);
}

static const uint32_t task_finish_oids[] = { 20, 20, 1016, 1007, 1007, 1009, 1016, 1016, 1016, 1009, 16 };
static const struct pg_column task_finish_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_finish_row, accepted) },
};
static const struct pg_statement task_finish_statement = {
	.name = "task_finish",
	.sql =
		"SELECT tallyd.task_finish($1, $2, $3, $4, $5, $6,\n"
		"\t$7, $8, $9, $10, $11)\n"
		"\tAS \"accepted!\"",
	.param_oids = task_finish_oids,
	.n_params = 11,
	.columns = task_finish_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_finish_row),
};

enum tl_status q_task_finish(struct pg *pg,
		const struct q_task_finish_params *p,
		struct tl_arena *arena, struct q_task_finish_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_INT8, .i8 = p->spawn },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->attempts },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->actions },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->outcomes },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->delays_ms },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->started_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->ended_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->errors },
		{ .type = PG_BOOL, .boolean = p->audit_all },
	};

	return pg_one(pg, &task_finish_statement, params, arena, row_r, err);
}

static const uint32_t task_mine_oids[] = { 20, 20 };
static const struct pg_column task_mine_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_mine_row, task_id) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_mine_row, attempt) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_task_mine_row, cancel_wanted) },
};
static const struct pg_statement task_mine_statement = {
	.name = "task_mine",
	.sql =
		"SELECT t.task_id, t.attempt, t.cancel_wanted\n"
		"  FROM tallyd.task t\n"
		" WHERE t.state = 2 AND t.owner_epoch = $1 AND t.owner_spawn = $2\n"
		" LIMIT 10000",
	.param_oids = task_mine_oids,
	.n_params = 2,
	.columns = task_mine_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_task_mine_row),
};

enum tl_status q_task_mine(struct pg *pg,
		const struct q_task_mine_params *p,
		struct tl_arena *arena,
		struct q_task_mine_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_INT8, .i8 = p->spawn },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &task_mine_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_owned_oids[] = { 20 };
static const struct pg_column task_owned_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_owned_row, owner_spawn) },
};
static const struct pg_statement task_owned_statement = {
	.name = "task_owned",
	.sql =
		"SELECT DISTINCT t.owner_spawn AS \"owner_spawn!\"\n"
		"  FROM tallyd.task t\n"
		" WHERE t.state = 2 AND t.owner_epoch = $1\n"
		" LIMIT 1000",
	.param_oids = task_owned_oids,
	.n_params = 1,
	.columns = task_owned_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_owned_row),
};

enum tl_status q_task_owned(struct pg *pg,
		int64_t epoch,
		struct tl_arena *arena,
		struct q_task_owned_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = epoch },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &task_owned_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_release_oids[] = { 23, 20, 20 };
static const struct pg_column task_release_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_release_row, released),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_release_row, released_null) },
};
static const struct pg_statement task_release_statement = {
	.name = "task_release",
	.sql =
		"SELECT tallyd.task_lose(array_agg(t.task_id), array_agg(t.attempt), $1,\n"
		"\t'its runner died') AS \"released?\"\n"
		"  FROM (SELECT t.task_id, t.attempt FROM tallyd.task t\n"
		"\t WHERE t.state = 2 AND t.owner_epoch = $2\n"
		"\t   AND t.owner_spawn = $3\n"
		"\t ORDER BY t.task_id FOR UPDATE) t",
	.param_oids = task_release_oids,
	.n_params = 3,
	.columns = task_release_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_release_row),
};

enum tl_status q_task_release(struct pg *pg,
		const struct q_task_release_params *p,
		struct tl_arena *arena, struct q_task_release_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = p->limit },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_INT8, .i8 = p->spawn },
	};

	return pg_one(pg, &task_release_statement, params, arena, row_r, err);
}

static const uint32_t task_expire_oids[] = { 23, 20, 25 };
static const struct pg_column task_expire_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_expire_row, released),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_expire_row, released_null) },
};
static const struct pg_statement task_expire_statement = {
	.name = "task_expire",
	.sql =
		"SELECT tallyd.task_lose(array_agg(t.task_id), array_agg(t.attempt), $1,\n"
		"\t'its host is gone') AS \"released?\"\n"
		"  FROM (SELECT t.task_id, t.attempt FROM tallyd.task t\n"
		"\t WHERE t.state = 2\n"
		"\t   AND (t.owner_epoch < $2 OR t.owner_epoch > $2)\n"
		"\t   AND (t.lease_until < clock_timestamp()\n"
		"\t\tOR EXISTS (SELECT FROM tallyd.flush_node n\n"
		"\t\t\tWHERE n.node_id = $3 AND n.epoch = t.owner_epoch))\n"
		"\t LIMIT 1000 FOR UPDATE SKIP LOCKED) t",
	.param_oids = task_expire_oids,
	.n_params = 3,
	.columns = task_expire_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_expire_row),
};

enum tl_status q_task_expire(struct pg *pg,
		const struct q_task_expire_params *p,
		struct tl_arena *arena, struct q_task_expire_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = p->limit },
		{ .type = PG_INT8, .i8 = p->epoch },
		{ .type = PG_TEXT, .str = p->node },
	};

	return pg_one(pg, &task_expire_statement, params, arena, row_r, err);
}

static const uint32_t task_weeks_keep_oids[] = { 25, 1082 };
static const struct pg_column task_weeks_keep_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_weeks_keep_row, outcome) },
};
static const struct pg_statement task_weeks_keep_statement = {
	.name = "task_weeks_keep",
	.sql =
		"SELECT tallyd.weeks_keep($1, $2) AS \"outcome!\"",
	.param_oids = task_weeks_keep_oids,
	.n_params = 2,
	.columns = task_weeks_keep_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_task_weeks_keep_row),
};

enum tl_status q_task_weeks_keep(struct pg *pg,
		const struct q_task_weeks_keep_params *p,
		struct tl_arena *arena, struct q_task_weeks_keep_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->table },
		{ .type = PG_DATE, .i4 = p->since_day },
	};

	return pg_one(pg, &task_weeks_keep_statement, params, arena, row_r, err);
}

static const struct pg_column task_queues_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_task_queues_row, queue) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_task_queues_row, paused_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_queues_row, paused_at_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_queues_row, concurrency_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, rate_count),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_queues_row, rate_count_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, rate_window_ms) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, tenant_concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_queues_row, tenant_concurrency_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, tenant_rate_count),
	  .nullable = true,
	  .null_offset = offsetof(struct q_task_queues_row, tenant_rate_count_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_task_queues_row, tenant_rate_window_ms) },
};
static const struct pg_statement task_queues_statement = {
	.name = "task_queues",
	.sql =
		"SELECT queue, paused_at, concurrency, rate_count, rate_window_ms,\n"
		"       tenant_concurrency, tenant_rate_count, tenant_rate_window_ms\n"
		"  FROM tallyd.task_queue\n"
		" ORDER BY queue\n"
		" LIMIT 1000",
	.columns = task_queues_columns,
	.n_columns = 8,
	.row_bytes = sizeof(struct q_task_queues_row),
};

enum tl_status q_task_queues(struct pg *pg,
		struct tl_arena *arena,
		struct q_task_queues_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &task_queues_statement, NULL, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t task_selftest_begin_oids[] = { 20, 23, 23 };
static const struct pg_statement task_selftest_begin_statement = {
	.name = "task_selftest_begin",
	.sql =
		"INSERT INTO tallyd.task_selftest (task_id, attempt, pid)\n"
		"VALUES ($1, $2, $3)",
	.param_oids = task_selftest_begin_oids,
	.n_params = 3,
};

enum tl_status q_task_selftest_begin(struct pg *pg,
		const struct q_task_selftest_begin_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->task_id },
		{ .type = PG_INT4, .i4 = p->attempt },
		{ .type = PG_INT4, .i4 = p->pid },
	};

	return pg_exec(pg, &task_selftest_begin_statement, params, affected_r, err);
}

static const uint32_t task_selftest_end_oids[] = { 20, 23 };
static const struct pg_statement task_selftest_end_statement = {
	.name = "task_selftest_end",
	.sql =
		"UPDATE tallyd.task_selftest SET ended_at = clock_timestamp()\n"
		" WHERE task_id = $1 AND attempt = $2",
	.param_oids = task_selftest_end_oids,
	.n_params = 2,
};

enum tl_status q_task_selftest_end(struct pg *pg,
		const struct q_task_selftest_end_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->task_id },
		{ .type = PG_INT4, .i4 = p->attempt },
	};

	return pg_exec(pg, &task_selftest_end_statement, params, affected_r, err);
}

static const uint32_t task_depth_oids[] = { 20 };
static const struct pg_column task_depth_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_depth_row, ready) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_task_depth_row, delayed) },
};
static const struct pg_statement task_depth_statement = {
	.name = "task_depth",
	.sql =
		"SELECT (SELECT count(*) FROM (SELECT FROM tallyd.task t\n"
		"\t\tWHERE t.state = 0 LIMIT $1::int8) r) AS \"ready!\",\n"
		"       (SELECT count(*) FROM (SELECT FROM tallyd.task t\n"
		"\t\tWHERE t.state = 1 LIMIT $1::int8) w) AS \"delayed!\"",
	.param_oids = task_depth_oids,
	.n_params = 1,
	.columns = task_depth_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_task_depth_row),
};

enum tl_status q_task_depth(struct pg *pg,
		int64_t max,
		struct tl_arena *arena, struct q_task_depth_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};

	return pg_one(pg, &task_depth_statement, params, arena, row_r, err);
}
