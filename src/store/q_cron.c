/*
 * q_cron.c - generated from db/queries/cron.sql: make queries, do not edit.
 */
#include "store/q_cron.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t cron_changes_oids[] = { 20 };
static const struct pg_column cron_changes_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_changes_row, job) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_changes_row, schedule),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_changes_row, schedule_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_changes_row, time_zone),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_changes_row, time_zone_null) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_cron_changes_row, paused) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_changes_row, decided_until_us) },
};
static const struct pg_statement cron_changes_statement = {
	.name = "cron_changes",
	.sql =
		"SELECT job, schedule, time_zone, paused, decided_until\n"
		"  FROM tallyd.cron_jobs\n"
		" ORDER BY job\n"
		" LIMIT $1::int8",
	.param_oids = cron_changes_oids,
	.n_params = 1,
	.columns = cron_changes_columns,
	.n_columns = 5,
	.row_bytes = sizeof(struct q_cron_changes_row),
};

enum tl_status q_cron_changes(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_changes_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &cron_changes_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t cron_meet_oids[] = { 1184, 1009, 1009 };
static const struct pg_statement cron_meet_statement = {
	.name = "cron_meet",
	.sql =
		"WITH met AS (\n"
		"\tINSERT INTO tallyd.cron_jobs (job, decided_until)\n"
		"\tSELECT j.job, $1::timestamptz FROM unnest($2::text[]) AS j (job)\n"
		"\tON CONFLICT (job) DO NOTHING\n"
		"\tRETURNING job\n"
		")\n"
		"INSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome)\n"
		"SELECT m.job, $1::timestamptz, 'tallyd', 'asked'\n"
		"  FROM met m\n"
		" WHERE m.job = ANY ($3::text[])\n"
		"ON CONFLICT DO NOTHING",
	.param_oids = cron_meet_oids,
	.n_params = 3,
};

enum tl_status q_cron_meet(struct pg *pg,
		const struct q_cron_meet_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->now_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->jobs },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->at_once },
	};

	return pg_exec(pg, &cron_meet_statement, params, affected_r, err);
}

static const uint32_t cron_change_oids[] = { 25, 16, 25, 16, 25, 16, 1184, 25 };
static const struct pg_column cron_change_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_change_row, job) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_change_row, told),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_change_row, told_null) },
};
static const struct pg_statement cron_change_statement = {
	.name = "cron_change",
	.sql =
		"WITH changed AS (\n"
		"\tINSERT INTO tallyd.cron_jobs AS j (job, schedule, time_zone, paused,\n"
		"\t\tdecided_until)\n"
		"\tVALUES ($1::text, CASE WHEN $2::bool THEN $3::text END,\n"
		"\t\tCASE WHEN $4::bool THEN $5::text END,\n"
		"\t\tcoalesce($6::bool, false), $7::timestamptz)\n"
		"\tON CONFLICT (job) DO UPDATE\n"
		"\t   SET schedule = CASE WHEN $2::bool THEN EXCLUDED.schedule\n"
		"\t\t\tELSE j.schedule END,\n"
		"\t       time_zone = CASE WHEN $4::bool THEN EXCLUDED.time_zone\n"
		"\t\t\tELSE j.time_zone END,\n"
		"\t       paused = coalesce($6::bool, j.paused),\n"
		"\t       decided_until = greatest(j.decided_until,\n"
		"\t\t\tEXCLUDED.decided_until)\n"
		"\tRETURNING *\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $8::text, 'cron.update', NULL, c.job\n"
		"\t\t|| coalesce(', schedule ' || c.schedule, '')\n"
		"\t\t|| coalesce(', time zone ' || c.time_zone, '')\n"
		"\t\t|| CASE WHEN c.paused THEN ', paused' ELSE '' END\n"
		"\t  FROM changed c\n"
		")\n"
		"SELECT c.job AS \"job!\", pg_notify('tallyd_cron', '')::text AS told\n"
		"  FROM changed c",
	.param_oids = cron_change_oids,
	.n_params = 8,
	.columns = cron_change_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_cron_change_row),
};

enum tl_status q_cron_change(struct pg *pg,
		const struct q_cron_change_params *p,
		struct tl_arena *arena, struct q_cron_change_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->job },
		{ .type = PG_BOOL, .boolean = p->set_schedule },
		{ .type = PG_TEXT, .null = p->schedule == NULL },
		{ .type = PG_BOOL, .boolean = p->set_zone },
		{ .type = PG_TEXT, .null = p->time_zone == NULL },
		{ .type = PG_BOOL, .null = p->paused == NULL },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->now_us },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->schedule != NULL)
		params[2].str = *p->schedule;
	if (p->time_zone != NULL)
		params[4].str = *p->time_zone;
	if (p->paused != NULL)
		params[5].boolean = *p->paused;
	return pg_one(pg, &cron_change_statement, params, arena, row_r, err);
}

static const uint32_t cron_claim_oids[] = { 25, 1184, 25 };
static const struct pg_column cron_claim_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_claim_row, run_id) },
};
static const struct pg_statement cron_claim_statement = {
	.name = "cron_claim",
	.sql =
		"WITH claimed AS (\n"
		"\tINSERT INTO tallyd.cron_runs (job, slot, node, started_at, outcome)\n"
		"\tVALUES ($1::text, $2::timestamptz, $3::text, now(), 'running')\n"
		"\tON CONFLICT (job, slot) DO NOTHING\n"
		"\tRETURNING run_id\n"
		"), decided AS (\n"
		"\tUPDATE tallyd.cron_jobs\n"
		"\t   SET decided_until = greatest(decided_until, $2::timestamptz)\n"
		"\t WHERE job = $1::text\n"
		")\n"
		"SELECT run_id AS \"run_id!\" FROM claimed",
	.param_oids = cron_claim_oids,
	.n_params = 3,
	.columns = cron_claim_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_cron_claim_row),
};

enum tl_status q_cron_claim(struct pg *pg,
		const struct q_cron_claim_params *p,
		struct tl_arena *arena, struct q_cron_claim_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->job },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->slot_us },
		{ .type = PG_TEXT, .str = p->node },
	};

	return pg_one(pg, &cron_claim_statement, params, arena, row_r, err);
}

static const uint32_t cron_pass_oids[] = { 1184, 25, 25, 25, 25 };
static const struct pg_statement cron_pass_statement = {
	.name = "cron_pass",
	.sql =
		"WITH decided AS (\n"
		"\tUPDATE tallyd.cron_jobs\n"
		"\t   SET decided_until = greatest(decided_until, $1::timestamptz)\n"
		"\t WHERE job = $2::text\n"
		")\n"
		"INSERT INTO tallyd.cron_runs (job, slot, node, finished_at, outcome, detail)\n"
		"VALUES ($2::text, $1::timestamptz, $3::text, now(), $4::text,\n"
		"\t$5::text)\n"
		"ON CONFLICT (job, slot) DO NOTHING",
	.param_oids = cron_pass_oids,
	.n_params = 5,
};

enum tl_status q_cron_pass(struct pg *pg,
		const struct q_cron_pass_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->slot_us },
		{ .type = PG_TEXT, .str = p->job },
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_TEXT, .str = p->outcome },
		{ .type = PG_TEXT, .str = p->detail },
	};

	return pg_exec(pg, &cron_pass_statement, params, affected_r, err);
}

static const uint32_t cron_asked_oids[] = { 20 };
static const struct pg_column cron_asked_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_asked_row, run_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_asked_row, job) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_asked_row, slot_us) },
};
static const struct pg_statement cron_asked_statement = {
	.name = "cron_asked",
	.sql =
		"SELECT run_id, job, slot\n"
		"  FROM tallyd.cron_runs\n"
		" WHERE outcome = 'asked'\n"
		" ORDER BY run_id\n"
		" LIMIT $1::int8",
	.param_oids = cron_asked_oids,
	.n_params = 1,
	.columns = cron_asked_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_cron_asked_row),
};

enum tl_status q_cron_asked(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_asked_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &cron_asked_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t cron_begin_oids[] = { 25, 20 };
static const struct pg_statement cron_begin_statement = {
	.name = "cron_begin",
	.sql =
		"UPDATE tallyd.cron_runs\n"
		"   SET outcome = 'running', started_at = now(), node = $1::text\n"
		" WHERE run_id = $2 AND outcome = 'asked'",
	.param_oids = cron_begin_oids,
	.n_params = 2,
};

enum tl_status q_cron_begin(struct pg *pg,
		const struct q_cron_begin_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->node },
		{ .type = PG_INT8, .i8 = p->run_id },
	};

	return pg_exec(pg, &cron_begin_statement, params, affected_r, err);
}

static const uint32_t cron_finish_oids[] = { 25, 25, 20 };
static const struct pg_statement cron_finish_statement = {
	.name = "cron_finish",
	.sql =
		"UPDATE tallyd.cron_runs\n"
		"   SET outcome = $1::text, detail = nullif($2::text, ''),\n"
		"       finished_at = now()\n"
		" WHERE run_id = $3 AND outcome = 'running'",
	.param_oids = cron_finish_oids,
	.n_params = 3,
};

enum tl_status q_cron_finish(struct pg *pg,
		const struct q_cron_finish_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->outcome },
		{ .type = PG_TEXT, .str = p->detail },
		{ .type = PG_INT8, .i8 = p->run_id },
	};

	return pg_exec(pg, &cron_finish_statement, params, affected_r, err);
}

static const uint32_t cron_lost_oids[] = { 1016, 20 };
static const struct pg_column cron_lost_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_lost_row, job) },
};
static const struct pg_statement cron_lost_statement = {
	.name = "cron_lost",
	.sql =
		"WITH lost AS (\n"
		"\tUPDATE tallyd.cron_runs\n"
		"\t   SET outcome = 'lost', finished_at = now(),\n"
		"\t       detail = 'its scheduler is gone; nobody knows how far it came'\n"
		"\t WHERE outcome = 'running' AND run_id <> ALL ($1::int8[])\n"
		"\tRETURNING job\n"
		")\n"
		"SELECT job AS \"job!\" FROM lost LIMIT $2::int8",
	.param_oids = cron_lost_oids,
	.n_params = 2,
	.columns = cron_lost_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_cron_lost_row),
};

enum tl_status q_cron_lost(struct pg *pg,
		const struct q_cron_lost_params *p,
		struct tl_arena *arena,
		struct q_cron_lost_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->mine },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &cron_lost_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t cron_ask_oids[] = { 25, 1184, 25 };
static const struct pg_column cron_ask_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_ask_row, run_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_ask_row, run_id_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_ask_row, slot_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_ask_row, slot_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_ask_row, told),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_ask_row, told_null) },
};
static const struct pg_statement cron_ask_statement = {
	.name = "cron_ask",
	.sql =
		"WITH made AS (\n"
		"\tINSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome)\n"
		"\tSELECT $1::text, $2::timestamptz, $3::text, 'asked'\n"
		"\t WHERE NOT EXISTS (SELECT FROM tallyd.cron_runs r\n"
		"\t\t\t    WHERE r.job = $1::text\n"
		"\t\t\t      AND r.outcome IN ('asked', 'running'))\n"
		"\tON CONFLICT DO NOTHING\n"
		"\tRETURNING run_id, job, slot\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $3::text, 'cron.run', NULL, m.job FROM made m\n"
		")\n"
		"SELECT m.run_id, m.slot,\n"
		"       CASE WHEN m.run_id IS NOT NULL\n"
		"\t\tTHEN pg_notify('tallyd_cron', '')::text END AS told\n"
		"  FROM (SELECT 1) AS one LEFT JOIN made m ON true",
	.param_oids = cron_ask_oids,
	.n_params = 3,
	.columns = cron_ask_columns,
	.n_columns = 3,
	.row_bytes = sizeof(struct q_cron_ask_row),
};

enum tl_status q_cron_ask(struct pg *pg,
		const struct q_cron_ask_params *p,
		struct tl_arena *arena, struct q_cron_ask_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->job },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->now_us },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &cron_ask_statement, params, arena, row_r, err);
}

static const uint32_t cron_run_find_oids[] = { 20 };
static const struct pg_column cron_run_find_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_run_find_row, run_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, job) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, slot_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, asked_by),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, asked_by_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, node),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, node_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, started_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, started_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, finished_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, finished_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, detail),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, detail_null) },
};
static const struct pg_statement cron_run_find_statement = {
	.name = "cron_run_find",
	.sql =
		"SELECT run_id, job, slot, asked_by, node, started_at, finished_at, outcome,\n"
		"       detail\n"
		"  FROM tallyd.cron_runs\n"
		" WHERE run_id = $1",
	.param_oids = cron_run_find_oids,
	.n_params = 1,
	.columns = cron_run_find_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_cron_run_find_row),
};

enum tl_status q_cron_run_find(struct pg *pg,
		int64_t run_id,
		struct tl_arena *arena, struct q_cron_run_find_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = run_id },
	};

	return pg_one(pg, &cron_run_find_statement, params, arena, row_r, err);
}

static const uint32_t cron_history_oids[] = { 25, 20, 20 };
static const struct pg_column cron_history_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_run_find_row, run_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, job) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, slot_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, asked_by),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, asked_by_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, node),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, node_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, started_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, started_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, finished_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, finished_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, detail),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, detail_null) },
};
static const struct pg_statement cron_history_statement = {
	.name = "cron_history",
	.sql =
		"SELECT run_id, job, slot, asked_by, node, started_at, finished_at, outcome,\n"
		"       detail\n"
		"  FROM tallyd.cron_runs\n"
		" WHERE ($1::text IS NULL OR job = $1::text)\n"
		"   AND ($2::int8 IS NULL OR run_id < $2::int8)\n"
		" ORDER BY run_id DESC\n"
		" LIMIT $3::int8",
	.param_oids = cron_history_oids,
	.n_params = 3,
	.columns = cron_history_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_cron_run_find_row),
};

enum tl_status q_cron_history(struct pg *pg,
		const struct q_cron_history_params *p,
		struct tl_arena *arena,
		struct q_cron_run_find_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->job == NULL },
		{ .type = PG_INT8, .null = p->before == NULL },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	if (p->job != NULL)
		params[0].str = *p->job;
	if (p->before != NULL)
		params[1].i8 = *p->before;
	st = pg_many(pg, &cron_history_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t cron_last_oids[] = { 20 };
static const struct pg_column cron_last_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_cron_run_find_row, run_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, job) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, slot_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, asked_by),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, asked_by_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, node),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, node_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, started_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, started_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_cron_run_find_row, finished_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, finished_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, outcome) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_cron_run_find_row, detail),
	  .nullable = true,
	  .null_offset = offsetof(struct q_cron_run_find_row, detail_null) },
};
static const struct pg_statement cron_last_statement = {
	.name = "cron_last",
	.sql =
		"SELECT r.run_id, r.job, r.slot, r.asked_by, r.node, r.started_at,\n"
		"       r.finished_at, r.outcome, r.detail\n"
		"  FROM (SELECT DISTINCT j.job FROM tallyd.cron_jobs j) AS j\n"
		" CROSS JOIN LATERAL (SELECT * FROM tallyd.cron_runs c\n"
		"\t\t      WHERE c.job = j.job\n"
		"\t\t      ORDER BY c.run_id DESC\n"
		"\t\t      LIMIT 1) AS r\n"
		" ORDER BY r.job\n"
		" LIMIT $1::int8",
	.param_oids = cron_last_oids,
	.n_params = 1,
	.columns = cron_last_columns,
	.n_columns = 9,
	.row_bytes = sizeof(struct q_cron_run_find_row),
};

enum tl_status q_cron_last(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_run_find_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &cron_last_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t cron_trim_oids[] = { 1184, 20 };
static const struct pg_statement cron_trim_statement = {
	.name = "cron_trim",
	.sql =
		"DELETE FROM tallyd.cron_runs\n"
		" WHERE run_id = ANY (ARRAY(SELECT r.run_id FROM tallyd.cron_runs r\n"
		"\t\t\t    WHERE r.slot < $1::timestamptz\n"
		"\t\t\t      AND r.outcome NOT IN ('asked', 'running')\n"
		"\t\t\t    ORDER BY r.slot\n"
		"\t\t\t    LIMIT $2::int8))",
	.param_oids = cron_trim_oids,
	.n_params = 2,
};

enum tl_status q_cron_trim(struct pg *pg,
		const struct q_cron_trim_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_exec(pg, &cron_trim_statement, params, affected_r, err);
}
