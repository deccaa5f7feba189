/*
 * test_pg_query.c - statements, types, transactions, errors, on a real server.
 */
#include "unit/pg_harness.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

static struct tl_arena arena;

static void setup(void)
{
	harness_setup();
	tl_arena_init(&arena);
	pgtest_sql(server, "DROP TABLE IF EXISTS things; CREATE TABLE things ("
			   " id bigint PRIMARY KEY,"
			   " name text NOT NULL CONSTRAINT name_is_given"
			   " CHECK (name <> ''))");
	harness_pool(2, 100);
}

static void teardown(void)
{
	harness_teardown();
	tl_arena_deinit(&arena);
}

/* ---- every type, there and back ---- */
struct types_row {
	bool boolean;
	int16_t i2;
	int32_t i4;
	int64_t i8;
	double f8;
	struct tl_str text;
	struct tl_str bytea;
	struct tl_uuid uuid;
	int64_t at_us;
	int32_t on_day;
	struct tl_str doc;
	struct pg_array numbers;
	struct pg_array words;
	struct pg_array uuids;
	int64_t maybe;
	bool maybe_null;
	struct tl_str note;
	bool note_null;
};
#define COL(t, field)                                                          \
	{                                                                      \
		.type = (t), .offset = offsetof(struct types_row, field)       \
	}
#define COL_NULL(t, field)                                                     \
	{                                                                      \
		.type = (t), .nullable = true,                                 \
		.offset = offsetof(struct types_row, field),                   \
		.null_offset = offsetof(struct types_row, field##_null)        \
	}
/* clang-format off */
static const struct pg_column types_columns[] = {
	COL(PG_BOOL, boolean), COL(PG_INT2, i2), COL(PG_INT4, i4),
	COL(PG_INT8, i8), COL(PG_FLOAT8, f8), COL(PG_TEXT, text),
	COL(PG_BYTEA, bytea), COL(PG_UUID, uuid), COL(PG_TIMESTAMPTZ, at_us),
	COL(PG_DATE, on_day), COL(PG_JSONB, doc),
	COL(PG_ARRAY | PG_INT8, numbers), COL(PG_ARRAY | PG_TEXT, words),
	COL(PG_ARRAY | PG_UUID, uuids), COL_NULL(PG_INT8, maybe),
	COL_NULL(PG_TEXT, note),
};
/* clang-format on */
static const uint32_t types_oids[] = { 16,   21,   23,   20,   701,  25,
				       17,   2950, 1184, 1082, 3802, 1016,
				       1009, 2951, 20,   25 };
static const struct pg_statement types_st = {
	.name = "types",
	.sql = "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
	       " $14, $15, $16",
	.param_oids = types_oids,
	.n_params = 16,
	.columns = types_columns,
	.n_columns = 16,
	.row_bytes = sizeof(struct types_row),
};

static void types_there_and_back(void *arg)
{
	static const int64_t numbers[] = { 1, -2, INT64_MAX };
	static const struct tl_str words[] = { { "", 0 }, { "z\xc3\xa4h", 4 } };
	struct tl_uuid uuid = tl_uuid_random(), uuids[1] = { uuid };
	struct pg_param p[16] = {
		{ .type = PG_BOOL, .boolean = true },
		{ .type = PG_INT2, .i2 = -7 },
		{ .type = PG_INT4, .i4 = INT32_MIN },
		{ .type = PG_INT8, .i8 = INT64_MIN },
		{ .type = PG_FLOAT8, .f8 = 0.1 },
		{ .type = PG_TEXT, .str = TL_STR("") },
		{ .type = PG_BYTEA, .str = { "\0\xff", 2 } },
		{ .type = PG_UUID, .uuid = uuid },
		{ .type = PG_TIMESTAMPTZ, .i8 = 1772368496789012 },
		{ .type = PG_DATE, .i4 = 20513 },
		{ .type = PG_JSONB, .str = TL_STR("{\"a\": [1, null]}") },
		{ .type = PG_ARRAY | PG_INT8, .array = { 3, numbers } },
		{ .type = PG_ARRAY | PG_TEXT, .array = { 2, words } },
		{ .type = PG_ARRAY | PG_UUID, .array = { 0, NULL } },
		{ .type = PG_INT8, .null = true },
		{ .type = PG_TEXT, .str = TL_STR("there") },
	};
	struct types_row row;
	struct tl_err err = { .text = "" };
	enum tl_status st;

	(void)arg;
	for (int round = 0; round < 2; round++) { /* prepared, then not again */
		st = pg_one(pg_pool_pg(pool), &types_st, p, &arena, &row, &err);
		ck_assert_msg(st == TL_OK, "%s", err.text);
		ck_assert(row.boolean);
		ck_assert_int_eq(row.i2, -7);
		ck_assert_int_eq(row.i4, INT32_MIN);
		ck_assert(row.i8 == INT64_MIN);
		ck_assert(row.f8 == 0.1);
		ck_assert_uint_eq(row.text.len, 0);
		ck_assert_uint_eq(row.bytea.len, 2);
		ck_assert_mem_eq(row.bytea.ptr, "\0\xff", 2);
		ck_assert(tl_uuid_eq(&row.uuid, &uuid));
		ck_assert(row.at_us == 1772368496789012);
		ck_assert_int_eq(row.on_day, 20513);
		ck_assert(tl_str_eq(row.doc, TL_STR("{\"a\": [1, null]}")));
		ck_assert_uint_eq(row.numbers.n, 3);
		ck_assert_mem_eq(row.numbers.items, numbers, sizeof(numbers));
		ck_assert_uint_eq(row.words.n, 2);
		ck_assert(tl_str_eq(((const struct tl_str *)row.words.items)[1],
				    words[1]));
		ck_assert_uint_eq(row.uuids.n, 0);
		ck_assert(row.maybe_null);
		ck_assert(row.maybe == 0);
		ck_assert(!row.note_null);
		ck_assert(tl_str_eq(row.note, TL_STR("there")));
	}
	p[13].array = (struct pg_array){ 1, uuids };
	st = pg_one(pg_pool_pg(pool), &types_st, p, &arena, &row, &err);
	ck_assert_int_eq(st, TL_OK);
	ck_assert_uint_eq(row.uuids.n, 1);
	ck_assert_mem_eq(row.uuids.items, &uuid, 16);
}

START_TEST(every_type_goes_there_and_back)
{
	harness_run(types_there_and_back, NULL);
}
END_TEST

/* What the client thinks these are must be what the server means. */
static void server_reads_times(void *arg)
{
	static const struct pg_column columns[] = { { .type = PG_TEXT } };
	static const uint32_t oids[] = { 1184, 1082 };
	static const struct pg_statement st = {
		.name = "times",
		.sql = "SELECT $1::text || ' ' || $2::text",
		.param_oids = oids,
		.n_params = 2,
		.columns = columns,
		.n_columns = 1,
		.row_bytes = sizeof(struct tl_str),
	};
	struct pg_param p[] = { { .type = PG_TIMESTAMPTZ, .i8 = -1 },
				{ .type = PG_DATE, .i4 = 0 } };
	struct tl_str text;
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(pg_one(pg_pool_pg(pool), &st, p, &arena, &text, &err),
			 TL_OK);
	ck_assert_str_eq(text.ptr, "1969-12-31 23:59:59.999999+00 1970-01-01");
}

START_TEST(times_mean_the_same_on_both_sides)
{
	harness_run(server_reads_times, NULL);
}
END_TEST

/* ---- rows that must not be ---- */
static const struct pg_column int8_columns[] = { { .type = PG_INT8 } };
static const struct {
	const char *sql;
	enum pg_type type;
	enum tl_status want;
	const char *words;
} bad_rows[] = {
	{ "SELECT NULL::bigint", PG_INT8, TL_BROKEN, "NULL" },
	{ "SELECT 1::int", PG_INT8, TL_BROKEN, "type 23" },
	{ "SELECT 1::bigint, 2::bigint", PG_INT8, TL_BROKEN, "2 columns" },
	{ "SELECT 1::bigint WHERE false", PG_INT8, TL_NOT_FOUND, "no row" },
	{ "SELECT generate_series(1, 2)::bigint", PG_INT8, TL_BROKEN,
	  "2 rows" },
	{ "SELECT 'infinity'::timestamptz", PG_TIMESTAMPTZ, TL_BROKEN,
	  "does not fit" },
	{ "SELECT '-infinity'::date", PG_DATE, TL_BROKEN, "does not fit" },
	{ "SELECT ARRAY[1, NULL]::bigint[]", PG_ARRAY | PG_INT8, TL_BROKEN,
	  "does not fit" },
	{ "SELECT ARRAY[[1],[2]]::bigint[]", PG_ARRAY | PG_INT8, TL_BROKEN,
	  "does not fit" },
	{ "SELECT ARRAY[1]::int[]", PG_ARRAY | PG_INT8, TL_BROKEN,
	  "does not fit" },
	{ "SELECT 'x'::text", PG_BYTEA, TL_BROKEN, "type 25" },
	{ "SELECT 1 / (SELECT 0)::bigint", PG_INT8, TL_BROKEN, "[22012]" },
	{ "SELEC", PG_INT8, TL_BROKEN, "[42601]" },
};

static void bad_row(void *arg)
{
	int i = *(int *)arg;
	struct pg_column columns[] = { { .type = bad_rows[i].type } };
	struct pg_statement st = { .name = "bad",
				   .sql = bad_rows[i].sql,
				   .columns = columns,
				   .n_columns = 1,
				   .row_bytes = 64 };
	char row[64] = "untouched";
	struct tl_err err;

	ck_assert_int_eq(pg_one(pg_pool_pg(pool), &st, NULL, &arena, row, &err),
			 bad_rows[i].want);
	ck_assert_msg(strstr(err.text, bad_rows[i].words) != NULL, "%s",
		      err.text);
	ck_assert_str_eq(row, "untouched");
}

START_TEST(what_must_not_be_is_refused)
{
	harness_run(bad_row, &_i);
}
END_TEST

static void many_rows(void *arg)
{
	static const uint32_t oids[] = { 20 };
	static const struct pg_statement st = {
		.name = "series",
		.sql = "SELECT i FROM generate_series(1, $1) AS i ORDER BY i",
		.param_oids = oids,
		.n_params = 1,
		.columns = int8_columns,
		.n_columns = 1,
		.row_bytes = sizeof(int64_t),
	};
	struct pg_param p = { .type = PG_INT8, .i8 = 100000 };
	struct tl_err err;
	void *rows;
	uint32_t n;

	(void)arg;
	ck_assert_int_eq(
		pg_many(pg_pool_pg(pool), &st, &p, &arena, &rows, &n, &err),
		TL_OK);
	ck_assert_uint_eq(n, 100000);
	for (uint32_t i = 0; i < n; i++)
		ck_assert(((int64_t *)rows)[i] == i + 1);
	p.i8 = 0;
	ck_assert_int_eq(
		pg_many(pg_pool_pg(pool), &st, &p, &arena, &rows, &n, &err),
		TL_OK);
	ck_assert_uint_eq(n, 0);
}

START_TEST(many_rows_come_in_order_and_none_is_fine)
{
	harness_run(many_rows, NULL);
}
END_TEST

/* ---- writing ---- */
static const uint32_t insert_oids[] = { 20, 25 };
static const struct pg_statement insert_st = {
	.name = "thing_insert",
	.sql = "INSERT INTO things (id, name) VALUES ($1, $2)",
	.param_oids = insert_oids,
	.n_params = 2,
};

static enum tl_status insert(struct pg *pg, int64_t id, const char *name,
			     struct tl_err *err)
{
	struct pg_param p[] = { { .type = PG_INT8, .i8 = id },
				{ .type = PG_TEXT, .str = tl_str_c(name) } };
	uint64_t n = 0;
	enum tl_status st = pg_exec(pg, &insert_st, p, &n, err);

	if (st == TL_OK)
		ck_assert_uint_eq(n, 1);
	return st;
}

static void check_things(const char *want)
{
	char *have = pgtest_value(server, "SELECT coalesce(string_agg(id::text,"
					  " ' ' ORDER BY id), '') FROM things");

	ck_assert_str_eq(have, want);
	free(have);
}

static void constraints(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(insert(pg_pool_pg(pool), 1, "one", &err), TL_OK);
	ck_assert_int_eq(insert(pg_pool_pg(pool), 1, "two", &err), TL_CONFLICT);
	ck_assert_str_eq(pg_err_constraint(&err), "things_pkey");
	ck_assert_str_eq(pg_err_sqlstate(&err), "23505");
	ck_assert_int_eq(insert(pg_pool_pg(pool), 2, "", &err), TL_CONFLICT);
	(void)tl_err_wrap(&err, "keeping things");
	ck_assert_str_eq(pg_err_constraint(&err), "name_is_given");
	ck_assert_str_eq(pg_err_sqlstate(&err), "23514");
	ck_assert_int_eq(insert(pg_pool_pg(pool), 2, "two", &err), TL_OK);
}

START_TEST(a_conflict_names_its_constraint)
{
	harness_run(constraints, NULL);

	check_things("1 2");
}
END_TEST

HARNESS_EXEC(raise_own, "DO $$BEGIN RAISE EXCEPTION 'no such batch'"
			" USING ERRCODE = 'TL002'; END$$");
HARNESS_EXEC(raise_busy, "DO $$BEGIN RAISE EXCEPTION 'again'"
			 " USING ERRCODE = '40001'; END$$");

static void own_states(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(
		pg_exec(pg_pool_pg(pool), &raise_own, NULL, NULL, &err),
		TL_CONFLICT);
	ck_assert_str_eq(pg_err_sqlstate(&err), "TL002");
	ck_assert_str_eq(pg_err_constraint(&err), "");
	ck_assert_str_eq(err.text, "raise_own: no such batch [TL002]");
	ck_assert_int_eq(
		pg_exec(pg_pool_pg(pool), &raise_busy, NULL, NULL, &err),
		TL_BUSY);
}

START_TEST(states_of_our_own_come_through)
{
	harness_run(own_states, NULL);
}
END_TEST

/*
 * Ten coroutines stop and start among two hundred statements, so the table of
 * the known ones grows while some wait for theirs.
 */
static struct pg_statement crowd[200];

static void run_crowd(void *arg)
{
	int first = *(int *)arg;

	for (int i = first; i < 200; i += 10) {
		struct tl_err err;
		int64_t n;

		ck_assert_int_eq(pg_one(pg_pool_pg(pool), &crowd[i], NULL,
					&arena, &n, &err),
				 TL_OK);
		ck_assert_int_eq((int)n, i);
	}
}

START_TEST(statements_are_kept_apart)
{
	static char sql[200][32];
	int numbers[10];

	for (int i = 0; i < 200; i++) {
		snprintf(sql[i], sizeof(sql[i]), "SELECT %d::bigint", i);
		crowd[i] = (struct pg_statement){ .name = "same",
						  .sql = sql[i],
						  .columns = int8_columns,
						  .n_columns = 1,
						  .row_bytes = 8 };
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			numbers[i] = i;
			harness_spawn(run_crowd, &numbers[i], 30000);
		}
		harness_run(run_crowd, &numbers[0]);
	}
}
END_TEST

/* A migration changed a column under a prepared statement. */
HARNESS_EXEC(add_column, "ALTER TABLE things ADD COLUMN more int");

static void stale_plan(void *arg)
{
	static const struct pg_column columns[] = {
		{ .type = PG_INT8 }, { .type = PG_TEXT, .offset = 8 }
	};
	static const struct pg_statement star = { .name = "star",
						  .sql = "SELECT * FROM things",
						  .columns = columns,
						  .n_columns = 2,
						  .row_bytes = 64 };
	struct tl_err err;
	void *rows;
	uint32_t n;

	(void)arg;
	ck_assert_int_eq(
		pg_many(pg_pool_pg(pool), &star, NULL, &arena, &rows, &n, &err),
		TL_OK);
	ck_assert_int_eq(
		pg_exec(pg_pool_pg(pool), &add_column, NULL, NULL, &err),
		TL_OK);
	/* Prepared anew: the fault is now that three columns came. */
	ck_assert_int_eq(
		pg_many(pg_pool_pg(pool), &star, NULL, &arena, &rows, &n, &err),
		TL_BROKEN);
	ck_assert_ptr_nonnull(strstr(err.text, "3 columns"));
}

HARNESS_EXEC(drop_plans, "DEALLOCATE ALL");

static void lost_plan(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(insert(pg_pool_pg(pool), 1, "x", &err), TL_OK);
	ck_assert_int_eq(
		pg_exec(pg_pool_pg(pool), &drop_plans, NULL, NULL, &err),
		TL_OK);
	ck_assert_int_eq(insert(pg_pool_pg(pool), 2, "x", &err), TL_OK);
}

START_TEST(a_stale_statement_is_prepared_again)
{
	harness_run(stale_plan, NULL);
}
END_TEST

START_TEST(a_lost_statement_is_prepared_again)
{
	harness_run(lost_plan, NULL);

	check_things("1 2");
}
END_TEST

/* ---- transactions ---- */
struct tx_plan {
	enum tl_status returns; /* of the function, when all went well */
	int64_t ids[3];         /* 0: no statement */
	bool swallow;           /* a failure of a statement */
	enum tl_status want;
};

static enum tl_status tx_body(struct pg *tx, void *arg, struct tl_err *err)
{
	const struct tx_plan *plan = arg;

	for (int i = 0; i < 3; i++) {
		enum tl_status st = TL_OK;

		if (plan->ids[i] != 0)
			st = insert(tx, plan->ids[i], "x", err);
		if (st != TL_OK && !plan->swallow)
			return st;
	}
	if (plan->returns != TL_OK)
		return tl_err_set(err, plan->returns, "as planned");
	return TL_OK;
}

static void transact(void *arg)
{
	const struct tx_plan *plan = arg;
	struct tl_err err = { .text = "" };
	struct tx_plan copy = *plan;
	enum tl_status st;

	st = pg_transaction(pg_pool_pg(pool), tx_body, &copy, &err);
	ck_assert_msg(st == plan->want, "%d, want %d: %s", st, plan->want,
		      err.text);
	if (plan->returns != TL_OK && plan->want == plan->returns)
		ck_assert_str_eq(err.text, "as planned");
}

START_TEST(transactions_keep_all_or_nothing)
{
	struct tx_plan good = { TL_OK, { 1, 2, 0 }, false, TL_OK };
	struct tx_plan regret = { TL_DENIED, { 3, 4, 0 }, false, TL_DENIED };
	struct tx_plan clash = { TL_OK, { 5, 1, 6 }, false, TL_CONFLICT };
	struct tx_plan deaf = { TL_OK, { 7, 1, 8 }, true, TL_CONFLICT };
	struct tx_plan empty = { TL_OK, { 0, 0, 0 }, false, TL_OK };
	struct tx_plan late = { TL_OK, { 9, 0, 0 }, false, TL_OK };

	harness_run(transact, &good);
	harness_run(transact, &regret);
	harness_run(transact, &clash);
	harness_run(transact, &deaf);
	harness_run(transact, &empty);
	harness_run(transact, &late);

	check_things("1 2 9");
}
END_TEST

START_TEST(a_deferred_constraint_fails_the_commit)
{
	struct tx_plan twice = { TL_OK, { 1, 1, 0 }, false, TL_CONFLICT };

	pgtest_sql(server, "ALTER TABLE things DROP CONSTRAINT things_pkey,"
			   " ADD PRIMARY KEY (id) DEFERRABLE INITIALLY"
			   " DEFERRED");
	harness_run(transact, &twice);

	check_things("");
}
END_TEST

static enum tl_status second_connection(struct pg *tx, void *arg,
					struct tl_err *err)
{
	(void)tx;
	(void)arg;
	return insert(pg_pool_pg(pool), 1, "x", err);
}

static void hold_two(void *arg)
{
	struct tl_err err;

	(void)arg;
	(void)!pg_transaction(pg_pool_pg(pool), second_connection, NULL, &err);
}

START_TEST(a_second_connection_is_a_bug)
{
	harness_run(hold_two, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg_query");
	TCase *tc = tcase_create("query");

	tcase_add_unchecked_fixture(tc, harness_start, harness_stop);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 90);
	tcase_add_test(tc, every_type_goes_there_and_back);
	tcase_add_test(tc, times_mean_the_same_on_both_sides);
	tcase_add_loop_test(tc, what_must_not_be_is_refused, 0,
			    sizeof(bad_rows) / sizeof(bad_rows[0]));
	tcase_add_test(tc, many_rows_come_in_order_and_none_is_fine);
	tcase_add_test(tc, a_conflict_names_its_constraint);
	tcase_add_test(tc, states_of_our_own_come_through);
	tcase_add_test(tc, statements_are_kept_apart);
	tcase_add_test(tc, a_stale_statement_is_prepared_again);
	tcase_add_test(tc, a_lost_statement_is_prepared_again);
	tcase_add_test(tc, transactions_keep_all_or_nothing);
	tcase_add_test(tc, a_deferred_constraint_fails_the_commit);
	tcase_add_test_raise_signal(tc, a_second_connection_is_a_bug, 6);
	suite_add_tcase(s, tc);
	return harness_main(s);
}
