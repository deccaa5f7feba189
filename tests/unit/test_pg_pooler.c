/*
 * src/pg/ through pgbouncer in transaction mode: what goes with a transaction,
 * what has to go past it, what happens to a statement nobody waits for.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/bouncer.h"
#include "pg/pg_direct.h"
#include "pg/pg_target.h"
#include "unit/pg_harness.h"

#define MANY 12 /* connections; more than the pooler has sessions */

static char *via;

static void setup(void)
{
	harness_setup();
	bouncer_start(server);
	via = bouncer_way(pgtest_conninfo(server));
}

static void teardown(void)
{
	harness_teardown();
	bouncer_kill9();
	tl_freep(&via);
}

static void pool_named(uint32_t size, uint32_t statement_timeout_ms,
		       enum pg_prepared prepared)
{
	struct pg_pool_opts o = {
		.way = { .conninfo = via, .prepared = prepared },
		.size = size,
		.queue_max = 100,
		.statement_timeout_ms = statement_timeout_ms,
	};

	pool = pg_pool_new(&o);
}

static void pool_through(uint32_t size, uint32_t statement_timeout_ms)
{
	pool_named(size, statement_timeout_ms, PG_PREPARED_AUTO);
}

static int64_t server_number(const char *sql)
{
	char *text = pgtest_value(server, sql);
	int64_t n = text != NULL ? strtoll(text, NULL, 10) : -1;

	free(text);
	return n;
}

struct said {
	struct tl_str words;
};
static const struct pg_column said_columns[] = {
	{ .type = PG_TEXT, .offset = offsetof(struct said, words) },
};
static const struct pg_statement settings = {
	.name = "settings",
	.sql = "SELECT current_setting('statement_timeout') || ' ' || "
	       "current_setting('search_path') || ' ' || "
	       "current_setting('TimeZone') || ' ' || "
	       "current_setting('client_connection_check_interval')",
	.columns = said_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct said),
};
/* Where a name of a statement would be left. */
static const struct pg_statement left_behind = {
	.name = "left_behind",
	.sql = "SELECT coalesce(string_agg(name, ' '), 'none') FROM "
	       "pg_prepared_statements",
	.columns = said_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct said),
};

static void expect(struct pg *pg, const struct pg_statement *st,
		   const char *words)
{
	struct tl_arena arena;
	struct said said;
	struct tl_err err;

	tl_arena_init(&arena);
	ck_assert_msg(pg_one(pg, st, NULL, &arena, &said, &err) == TL_OK, "%s",
		      err.text);
	ck_assert_uint_eq(said.words.len, strlen(words));
	ck_assert_str_eq(said.words.ptr, words);
	tl_arena_deinit(&arena);
}

#define OURS "7s public UTC 2s"

static enum tl_status in_transaction(struct pg *tx, void *arg,
				     struct tl_err *err)
{
	(void)arg;
	(void)err;
	expect(tx, &settings, OURS);
	expect(tx, &settings, OURS); /* of all of it, not of one batch */
	expect(tx, &left_behind, "none");
	return TL_OK;
}

static void use(void *arg)
{
	struct tl_err err;

	(void)arg;
	for (int i = 0; i < 5; i++) {
		expect(pg_pool_pg(pool), &settings, OURS);
		ck_assert_int_eq(pg_transaction(pg_pool_pg(pool),
						in_transaction, NULL, &err),
				 TL_OK);
		expect(pg_pool_pg(pool), &left_behind, "none");
	}
	ck_assert(pg_pooled(pg_pool_pg(pool)));
}

/* Many at a time, so that each has every session in turn. */
START_TEST(settings_go_with_each_transaction_and_names_stay_away)
{
	pool_through(MANY, 7000);
	for (int i = 0; i < MANY; i++)
		harness_spawn(use, NULL, 30000);
	harness_run(use, NULL);

	bouncer_expect_clean(via);
}
END_TEST

/* Where nobody stands between. */
static const struct {
	enum pg_prepared prepared;
	const char *left;
} namings[] = {
	{ PG_PREPARED_AUTO, "q0_left_behind" },
	{ PG_PREPARED_ALWAYS, "q0_left_behind" },
	{ PG_PREPARED_NEVER, "none" },
};

static void look_behind(void *arg)
{
	expect(pg_pool_pg(pool), &left_behind, arg);
	expect(pg_pool_pg(pool), &left_behind, arg);
}

START_TEST(direct_statements_are_named_as_the_way_says)
{
	struct pg_pool_opts o = { .way = { .conninfo = pgtest_conninfo(server),
					   .prepared = namings[_i].prepared },
				  .size = 1,
				  .queue_max = 1 };

	pool = pg_pool_new(&o);
	harness_run(look_behind, (void *)(uintptr_t)namings[_i].left);
}
END_TEST

HARNESS_EXEC(breathe, "SELECT pg_sleep(0.02)");

static void name_and_fail(void *arg)
{
	unsigned *advised = arg;
	struct tl_err err;

	for (int i = 0; i < 3; i++)
		*advised += pg_exec(pg_pool_pg(pool), &breathe, NULL, NULL,
				    &err) != TL_OK &&
			    strstr(err.text, "set database.prepared = auto") !=
				    NULL;
}

/* This one has fewer sessions than we have connections, and keeps no names. */
START_TEST(names_that_get_lost_are_told_of_with_the_cure)
{
	unsigned advised = 0;

	pool_named(MANY, 7000, PG_PREPARED_ALWAYS);
	for (int i = 0; i < MANY; i++)
		harness_spawn(name_and_fail, &advised, 30000);
	harness_run(name_and_fail, &advised);

	ck_assert_uint_gt(advised, 0);
}
END_TEST

START_TEST(a_direct_way_is_no_pooled_one)
{
	harness_pool(1, 10);
	harness_until(pg_pool_healthy(pool));

	ck_assert(!pg_pooled(pg_pool_pg(pool)));
}
END_TEST

HARNESS_EXEC(sleep_long, "SELECT pg_sleep(60)");
HARNESS_EXEC(nothing, "SELECT WHERE false");

static void wait_in_vain(void *arg)
{
	enum tl_status *st_r = arg;
	struct tl_err err;

	*st_r = pg_exec(pg_pool_pg(pool), &sleep_long, NULL, NULL, &err);
}

static void do_nothing(void *arg)
{
	enum tl_status *st_r = arg;
	struct tl_err err;

	*st_r = pg_exec(pg_pool_pg(pool), &nothing, NULL, NULL, &err);
}

START_TEST(the_time_limit_reaches_the_server)
{
	enum tl_status st = TL_OK;

	pool_through(1, 50);
	harness_run(wait_in_vain, &st);

	ck_assert_int_eq(st, TL_DEADLINE);
}
END_TEST

/* No number to cancel it by: its connection goes, and the server looks. */
START_TEST(a_statement_nobody_waits_for_ends)
{
	enum tl_status st = TL_OK;

	pool_through(1, 60000);
	harness_spawn(wait_in_vain, &st, 300);
	harness_until(st == TL_DEADLINE);

	harness_run(do_nothing, &st);
	ck_assert_int_eq(st, TL_OK);
	harness_until(server_number("SELECT count(*) FROM pg_stat_activity "
				    "WHERE query LIKE '%pg_sleep(60)' AND "
				    "state = 'active'") == 0);
}
END_TEST

/* ---- past it ---- */

static void told(void *arg)
{
	++*(unsigned *)arg;
}

START_TEST(listeners_take_the_direct_way)
{
	struct pg_pool_opts o = {
		.way = { .conninfo = via, .direct = pgtest_conninfo(server) },
		.size = 1,
		.queue_max = 1,
	};
	struct pg_listener *l;
	unsigned n = 0;

	harness_pool(1, 1);
	l = pg_listener_new(&o, "news", told, &n);
	harness_until(n == 1); /* connected */
	pgtest_sql(server, "NOTIFY news");
	harness_until(n == 2);
	pg_listener_free(&l);
}
END_TEST

struct refusal {
	enum tl_status st;
	struct tl_err err;
};

static void connect_direct(void *arg)
{
	struct refusal *r = arg;
	struct pg_pool_opts o = { .way.conninfo = via };
	struct pg_target t;
	PGconn *pq = NULL;

	ck_assert_int_eq(pg_target_init(&t, &o, &r->err), TL_OK);
	r->st = pg_connect_direct(&t, &pq, &r->err);
	pg_target_deinit(&t);
}

#define CURE "name the server itself in database.direct_url"

START_TEST(what_needs_a_session_is_refused)
{
	struct refusal r = { .st = TL_OK };
	PGconn *pq = NULL;

	harness_pool(1, 1);
	harness_run(connect_direct, &r);
	ck_assert_int_eq(r.st, TL_DENIED);
	ck_assert_ptr_nonnull(strstr(r.err.text, CURE));

	ck_assert_int_eq(pg_direct_open(via, "test", &pq, &r.err), TL_DENIED);
	ck_assert_ptr_nonnull(strstr(r.err.text, CURE));
	ck_assert_int_eq(
		pg_direct_open(pgtest_conninfo(server), "test", &pq, &r.err),
		TL_OK);
	PQfinish(pq);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg_pooler");
	TCase *tc = tcase_create("pgbouncer");

	if (bouncer_program() == NULL) {
		puts("pgbouncer is not installed");
		return 77;
	}
	tcase_add_unchecked_fixture(tc, harness_start, harness_stop);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tcase_add_test(tc,
		       settings_go_with_each_transaction_and_names_stay_away);
	tcase_add_loop_test(tc, direct_statements_are_named_as_the_way_says, 0,
			    sizeof(namings) / sizeof(namings[0]));
	tcase_add_test(tc, names_that_get_lost_are_told_of_with_the_cure);
	tcase_add_test(tc, a_direct_way_is_no_pooled_one);
	tcase_add_test(tc, the_time_limit_reaches_the_server);
	tcase_add_test(tc, a_statement_nobody_waits_for_ends);
	tcase_add_test(tc, listeners_take_the_direct_way);
	tcase_add_test(tc, what_needs_a_session_is_refused);
	return harness_main(s);
}
