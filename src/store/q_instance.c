/*
 * q_instance.c - generated from db/queries/instance.sql: make queries, do not edit.
 */
#include "store/q_instance.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const struct pg_column instance_get_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_instance_get_row, database_id) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_instance_get_row, created_at_us) },
};
static const struct pg_statement instance_get_statement = {
	.name = "instance_get",
	.sql =
		"SELECT database_id, created_at FROM tallyd.instance",
	.columns = instance_get_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_instance_get_row),
};

enum tl_status q_instance_get(struct pg *pg,
		struct tl_arena *arena, struct q_instance_get_row *row_r,
		struct tl_err *err)
{
	return pg_one(pg, &instance_get_statement, NULL, arena, row_r, err);
}

static const struct pg_column change_tail_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_change_tail_row, xid) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_change_tail_row, trimmed_xid) },
};
static const struct pg_statement change_tail_statement = {
	.name = "change_tail",
	.sql =
		"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8 AS \"xid!\",\n"
		"       changes_trimmed_xid::text::int8 AS \"trimmed_xid!\"\n"
		"  FROM tallyd.instance",
	.columns = change_tail_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_change_tail_row),
};

enum tl_status q_change_tail(struct pg *pg,
		struct tl_arena *arena, struct q_change_tail_row *row_r,
		struct tl_err *err)
{
	return pg_one(pg, &change_tail_statement, NULL, arena, row_r, err);
}

static const uint32_t change_read_oids[] = { 20, 20, 20 };
static const struct pg_column change_read_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_change_read_row, xid) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_change_read_row, change_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_change_read_row, kind) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_change_read_row, digest),
	  .nullable = true,
	  .null_offset = offsetof(struct q_change_read_row, digest_null) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_change_read_row, user_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_change_read_row, user_id_null) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_change_read_row, final) },
};
static const struct pg_statement change_read_statement = {
	.name = "change_read",
	.sql =
		"SELECT c.xid::text::int8 AS \"xid!\", c.change_id, c.kind,\n"
		"       c.key_hash AS digest, c.user_id,\n"
		"       c.xid < pg_snapshot_xmin(pg_current_snapshot()) AS \"final!\"\n"
		"  FROM tallyd.change_log c\n"
		" WHERE (c.xid, c.change_id) > ($1::int8::text::xid8, $2::int8)\n"
		" ORDER BY c.xid, c.change_id\n"
		" LIMIT $3::int8",
	.param_oids = change_read_oids,
	.n_params = 3,
	.columns = change_read_columns,
	.n_columns = 6,
	.row_bytes = sizeof(struct q_change_read_row),
};

enum tl_status q_change_read(struct pg *pg,
		const struct q_change_read_params *p,
		struct tl_arena *arena,
		struct q_change_read_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->xid },
		{ .type = PG_INT8, .i8 = p->change_id },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &change_read_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t change_trim_oids[] = { 20, 20 };
static const struct pg_column change_trim_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_change_trim_row, trimmed) },
};
static const struct pg_statement change_trim_statement = {
	.name = "change_trim",
	.sql =
		"WITH gone AS (\n"
		"\tDELETE FROM tallyd.change_log\n"
		"\t WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM tallyd.change_log c\n"
		"\t\tWHERE c.at < now() - $1::int8 * INTERVAL '1 second'\n"
		"\t\t  AND c.xid < pg_snapshot_xmin(pg_current_snapshot())\n"
		"\t\tORDER BY c.at\n"
		"\t\tLIMIT $2::int8))\n"
		"\tRETURNING xid\n"
		"), mark AS (\n"
		"\tUPDATE tallyd.instance i\n"
		"\t   SET changes_trimmed_xid = greatest(i.changes_trimmed_xid, t.xid)\n"
		"\t  FROM (SELECT max(xid::text::int8)::text::xid8 AS xid FROM gone) t\n"
		"\t WHERE t.xid IS NOT NULL\n"
		")\n"
		"SELECT count(*) AS \"trimmed!\" FROM gone",
	.param_oids = change_trim_oids,
	.n_params = 2,
	.columns = change_trim_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_change_trim_row),
};

enum tl_status q_change_trim(struct pg *pg,
		const struct q_change_trim_params *p,
		struct tl_arena *arena, struct q_change_trim_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->keep_s },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_one(pg, &change_trim_statement, params, arena, row_r, err);
}

static const struct pg_column clock_columns[] = {
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_clock_row, now_us) },
};
static const struct pg_statement clock_statement = {
	.name = "clock",
	.sql =
		"SELECT clock_timestamp() AS \"now!\"",
	.columns = clock_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_clock_row),
};

enum tl_status q_clock(struct pg *pg,
		struct tl_arena *arena, struct q_clock_row *row_r,
		struct tl_err *err)
{
	return pg_one(pg, &clock_statement, NULL, arena, row_r, err);
}
