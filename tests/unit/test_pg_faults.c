/*
 * test_pg_faults.c - deadlines, cancels, lost connections, full queues, and a
 * server that is killed, on a real server.
 */
#include "unit/pg_harness.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static struct tl_arena arena;

static void setup(void)
{
	harness_setup();
	tl_arena_init(&arena);
	pgtest_sql(server, "DROP TABLE IF EXISTS things;"
			   "CREATE TABLE things (id bigint PRIMARY KEY)");
}

static void teardown(void)
{
	harness_teardown();
	tl_arena_deinit(&arena);
}

static int server_number(const char *sql)
{
	char *text = pgtest_value(server, sql);
	int n = atoi(text);

	free(text);
	return n;
}

/* All of the pool and its control connection are there. */
static void wait_for_connections(int n)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT (count(*) = %d)::int FROM pg_stat_activity"
		 " WHERE application_name = 'pool under test'",
		 n);
	harness_until(server_number(sql) == 1);
}

static int sleeping_backends(void)
{
	return server_number("SELECT count(*) FROM pg_stat_activity WHERE"
			     " state = 'active' AND query LIKE '%pg_sleep%'"
			     " AND pid <> pg_backend_pid()");
}

HARNESS_EXEC(sleep_long, "SELECT pg_sleep(600)");
HARNESS_EXEC(sleep_short, "SELECT pg_sleep(0.3)");
HARNESS_EXEC(nothing, "SELECT");
HARNESS_EXEC(insert_one, "INSERT INTO things VALUES (1)");

static const struct pg_column pid_columns[] = { { .type = PG_INT4 } };
static const struct pg_statement pid_st = { .name = "pid",
					    .sql = "SELECT pg_backend_pid()",
					    .columns = pid_columns,
					    .n_columns = 1,
					    .row_bytes = sizeof(int32_t) };

static void get_pid(void *arg)
{
	struct tl_err err = { .text = "" };
	enum tl_status st =
		pg_one(pg_pool_pg(pool), &pid_st, NULL, &arena, arg, &err);

	ck_assert_msg(st == TL_OK, "%s", err.text);
}

/* One call whose outcome the test looks at. */
struct attempt {
	const struct pg_statement *st;
	enum tl_status got;
	bool done, in_doubt;
};

static void attempt(void *arg)
{
	struct attempt *a = arg;
	struct tl_err err;

	a->got = pg_exec(pg_pool_pg(pool), a->st, NULL, NULL, &err);
	a->in_doubt = a->got != TL_OK && pg_err_in_doubt(&err);
	a->done = true;
}

START_TEST(a_deadline_stops_the_backend_and_keeps_the_connection)
{
	struct attempt a = { .st = &sleep_long };
	int32_t before = 0, after = 0;

	harness_pool(1, 10);
	harness_run(get_pid, &before);
	wait_for_connections(2);
	harness_spawn(attempt, &a, 100);
	harness_until(a.done);

	ck_assert_int_eq(a.got, TL_DEADLINE);
	ck_assert(a.in_doubt);
	harness_run(get_pid, &after); /* waits for the connection's return */
	ck_assert_int_eq(after, before);
	ck_assert_int_eq(sleeping_backends(), 0);
}
END_TEST

START_TEST(a_cancel_stops_the_backend_and_keeps_the_connection)
{
	struct attempt a = { .st = &sleep_long };
	int32_t before = 0, after = 0;

	harness_pool(1, 10);
	harness_run(get_pid, &before);
	wait_for_connections(2);
	harness_spawn(attempt, &a, CO_NO_DEADLINE);
	harness_until(sleeping_backends() == 1);
	co_cancel_all("client left");
	harness_until(a.done);

	ck_assert_int_eq(a.got, TL_CANCELED);
	harness_run(get_pid, &after);
	ck_assert_int_eq(after, before);
	ck_assert_int_eq(sleeping_backends(), 0);
}
END_TEST

/* More stuck statements than connections: the control connection is no one's.
 */
START_TEST(eight_stuck_statements_are_all_stopped)
{
	struct attempt a[8];
	int n_done = 0;

	harness_pool(4, 10);
	wait_for_connections(5);
	for (int i = 0; i < 8; i++) {
		a[i] = (struct attempt){ .st = &sleep_long };
		harness_spawn(attempt, &a[i], 150);
	}
	harness_until((n_done = a[0].done + a[1].done + a[2].done + a[3].done +
				a[4].done + a[5].done + a[6].done +
				a[7].done) == 8);

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(a[i].got, TL_DEADLINE);
	harness_until(sleeping_backends() == 0);
	for (int i = 0; i < 8; i++) {
		int32_t pid;

		harness_run(get_pid, &pid);
	}
	ck_assert_int_eq(n_done, 8);
}
END_TEST

static enum tl_status insert_and_sleep(struct pg *tx, void *arg,
				       struct tl_err *err)
{
	enum tl_status st = pg_exec(tx, &insert_one, NULL, NULL, err);

	(void)arg;
	if (st != TL_OK)
		return st;
	return pg_exec(tx, &sleep_long, NULL, NULL, err);
}

static void slow_transaction(void *arg)
{
	struct attempt *a = arg;
	struct tl_err err;

	a->got = pg_transaction(pg_pool_pg(pool), insert_and_sleep, NULL, &err);
	a->done = true;
}

START_TEST(a_deadline_inside_a_transaction_rolls_it_back)
{
	struct attempt a = { .got = TL_OK };
	int32_t before = 0, after = 0;

	harness_pool(1, 10);
	harness_run(get_pid, &before);
	wait_for_connections(2);
	harness_spawn(slow_transaction, &a, 150);
	harness_until(a.done);

	ck_assert_int_eq(a.got, TL_DEADLINE);
	harness_run(get_pid, &after);
	ck_assert_int_eq(after, before);
	ck_assert_int_eq(server_number("SELECT count(*) FROM things"), 0);
	ck_assert_int_eq(server_number("SELECT count(*) FROM pg_stat_activity"
				       " WHERE state LIKE 'idle in%'"),
			 0);
}
END_TEST

/* statement_timeout of the server is the belt below our deadline. */
START_TEST(the_servers_own_timeout_is_a_deadline)
{
	struct attempt a = { .st = &sleep_long };
	struct pg_pool_opts o = { .way.conninfo = pgtest_conninfo(server),
				  .size = 1,
				  .queue_max = 10,
				  .statement_timeout_ms = 50 };

	pool = pg_pool_new(&o);
	harness_run(attempt, &a);

	ck_assert_int_eq(a.got, TL_DEADLINE);
	ck_assert(!a.in_doubt); /* it said that it stopped */
}
END_TEST

START_TEST(a_waiter_leaves_the_queue_at_its_deadline)
{
	struct attempt slow = { .st = &sleep_short }, late = { .st = &nothing };

	harness_pool(1, 10);
	harness_spawn(attempt, &slow, CO_NO_DEADLINE);
	harness_spawn(attempt, &late, 30);
	harness_until(slow.done && late.done);

	ck_assert_int_eq(late.got, TL_DEADLINE);
	ck_assert(!late.in_doubt); /* it never went off */
	ck_assert_int_eq(slow.got, TL_OK);
}
END_TEST

START_TEST(a_full_queue_says_so_at_once)
{
	struct attempt a[4] = { { .st = &sleep_short },
				{ .st = &nothing },
				{ .st = &nothing },
				{ .st = &nothing } };
	int pid;

	harness_pool(1, 2);
	harness_run(get_pid, &pid); /* its connection is there, and idle */
	for (int i = 0; i < 4; i++)
		harness_spawn(attempt, &a[i], CO_NO_DEADLINE);

	ck_assert(a[3].done); /* before any pass of the loop */
	ck_assert_int_eq(a[3].got, TL_FULL);
	harness_until(a[0].done && a[1].done && a[2].done);
	ck_assert_int_eq(a[0].got, TL_OK);
	ck_assert_int_eq(a[1].got, TL_OK);
	ck_assert_int_eq(a[2].got, TL_OK);
}
END_TEST

START_TEST(a_killed_backend_costs_what_was_in_flight_and_no_more)
{
	struct attempt a[6];

	harness_pool(2, 10);
	wait_for_connections(3);
	for (int i = 0; i < 6; i++) {
		a[i] = (struct attempt){ .st = i < 2 ? &sleep_long : &nothing };
		harness_spawn(attempt, &a[i], 30000);
	}
	harness_until(sleeping_backends() == 2);
	/* The postmaster then ends all backends and recovers. */
	ck_assert_int_eq(kill(server_number("SELECT pid FROM pg_stat_activity"
					    " WHERE query LIKE '%pg_sleep%'"
					    " AND pid <> pg_backend_pid()"
					    " LIMIT 1"),
			      SIGKILL),
			 0);
	harness_until(a[0].done && a[1].done && a[2].done && a[3].done &&
		      a[4].done && a[5].done);

	ck_assert_int_eq(a[0].got, TL_UNAVAILABLE);
	ck_assert_int_eq(a[1].got, TL_UNAVAILABLE);
	ck_assert(a[0].in_doubt && a[1].in_doubt);
	for (int i = 2; i < 6; i++)
		ck_assert_int_eq(a[i].got, TL_OK);
}
END_TEST

START_TEST(waiters_survive_a_restart)
{
	struct attempt a[5];

	harness_pool(1, 10);
	wait_for_connections(2);
	for (int i = 0; i < 5; i++) {
		a[i] = (struct attempt){ .st = i == 0 ? &sleep_long
						      : &nothing };
		harness_spawn(attempt, &a[i], 30000);
	}
	harness_until(sleeping_backends() == 1);
	pgtest_restart(server);
	harness_until(a[0].done && a[1].done && a[2].done && a[3].done &&
		      a[4].done);

	ck_assert_int_eq(a[0].got, TL_UNAVAILABLE);
	ck_assert(a[0].in_doubt);
	for (int i = 1; i < 5; i++)
		ck_assert_int_eq(a[i].got, TL_OK);
	ck_assert(pg_pool_healthy(pool));
}
END_TEST

/* The request has half a minute, and is told long before. */
static void short_of_patience(void *arg)
{
	struct attempt *a = arg;
	struct tl_err err;

	a->got = pg_exec(pg_pool_pg(pool), &nothing, NULL, NULL, &err);
	a->in_doubt = pg_err_in_doubt(&err);
	ck_assert_uint_gt(co_left_ms(), 20000);
	a->done = true;
}

START_TEST(while_the_server_is_away_the_answer_comes_soon)
{
	struct attempt a = { .done = false };
	int32_t pid;

	harness_pool(2, 10);
	wait_for_connections(3);
	ck_assert(pg_pool_healthy(pool));
	ck_assert_str_eq(pg_pool_trouble(pool), "");
	pgtest_kill9(server);
	harness_until(!pg_pool_healthy(pool) &&
		      strstr(pg_pool_trouble(pool), "connect:") != NULL);
	harness_run(short_of_patience, &a);
	ck_assert_int_eq(a.got, TL_UNAVAILABLE);
	ck_assert(!a.in_doubt);

	pgtest_resume(server);
	harness_until(pg_pool_healthy(pool));
	harness_run(get_pid, &pid);
}
END_TEST

/* ---- where to connect ---- */
static void connect_with(const char *conninfo, enum tl_status want)
{
	struct pg_pool_opts o = { .way.conninfo = conninfo,
				  .application_name = "pool under test",
				  .size = 1,
				  .queue_max = 10,
				  .statement_timeout_ms = 1000 };
	struct attempt a = { .st = &nothing };

	pool = pg_pool_new(&o);
	harness_spawn(attempt, &a, 20000);
	harness_until(a.done || pg_pool_healthy(pool) ||
		      strncmp(pg_pool_trouble(pool), "not", 3) != 0);
	if (want == TL_OK) {
		harness_until(a.done);
	} else if (!a.done) {
		co_cancel_all("seen enough");
		harness_until(a.done);
	}
	ck_assert_int_eq(a.got == TL_OK, want == TL_OK);
}

/* A socket that takes every caller in and never says a word. */
static int silent_socket(char dir[64])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(dir, 64, "/tmp/pgt-silent.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.63s/.s.PGSQL.5432",
		 dir);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	return fd;
}

START_TEST(a_silent_host_is_left_for_the_next)
{
	char dir[64], path[128], conninfo[256];
	int fd = silent_socket(dir);

	snprintf(conninfo, sizeof(conninfo),
		 "host=%s,%s user=postgres dbname=postgres connect_timeout=1",
		 dir, pgtest_dir(server));
	connect_with(conninfo, TL_OK);

	close(fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", dir);
	unlink(path);
	rmdir(dir);
}
END_TEST

static const struct {
	const char *format; /* of the socket directory */
	enum tl_status want;
} strings[] = {
	{ "host=/nowhere,%s user=postgres dbname=postgres", TL_OK },
	{ "postgresql://postgres@/postgres?host=%s", TL_OK },
	{ "host=localhost,%s port=1,5432 user=postgres dbname=postgres",
	  TL_OK },
	{ "host=%s user=postgres dbname=postgres"
	  " target_session_attrs=read-write",
	  TL_OK },
	{ "host=%s user=postgres dbname=postgres target_session_attrs=standby",
	  TL_UNAVAILABLE },
	{ "host=%s user=postgres dbname=postgres"
	  " target_session_attrs=prefer-standby",
	  TL_OK },
	{ "host=%s user=postgres dbname=nonesuch", TL_UNAVAILABLE },
	{ "host=localhost port=1 user=%s", TL_UNAVAILABLE },
	{ "host=%s nonsense", TL_INVALID },
};

START_TEST(connection_strings_mean_what_libpq_says)
{
	char conninfo[256];
	struct tl_err err;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(conninfo, sizeof(conninfo), strings[_i].format,
		 pgtest_dir(server));
#pragma GCC diagnostic pop

	ck_assert_int_eq(pg_conninfo_check(conninfo, NULL, &err) == TL_INVALID,
			 strings[_i].want == TL_INVALID);
	connect_with(conninfo, strings[_i].want);
}
END_TEST

/* ---- LISTEN ---- */
static unsigned n_told;

static void told(void *arg)
{
	ck_assert_ptr_null(co_self());
	ck_assert_ptr_eq(arg, &n_told);
	n_told++;
}

START_TEST(a_listener_is_told_and_comes_back)
{
	struct pg_pool_opts o = { .way.conninfo = pgtest_conninfo(server) };
	struct pg_listener *l =
		pg_listener_new(&o, "Some channel", told, &n_told);

	harness_until(n_told == 1); /* it listens */
	pgtest_sql(server, "NOTIFY \"Some channel\"");
	harness_until(n_told == 2);
	pgtest_restart(server);
	harness_until(n_told == 3); /* listens again */
	pgtest_sql(server, "NOTIFY \"Some channel\"");
	harness_until(n_told == 4);

	pg_listener_free(&l);
	ck_assert_ptr_null(l);
}
END_TEST

START_TEST(a_listener_can_go_while_it_connects)
{
	char dir[64], path[128], conninfo[128];
	int fd = silent_socket(dir);
	struct pg_pool_opts o = { .way.conninfo = conninfo };
	struct pg_listener *l;

	snprintf(conninfo, sizeof(conninfo), "host=%s connect_timeout=1", dir);
	l = pg_listener_new(&o, "x", told, &n_told);
	harness_until(co_live() == 1);
	pg_listener_free(&l);
	harness_until(co_live() == 0);

	ck_assert_uint_eq(n_told, 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", dir);
	unlink(path);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg_faults");
	TCase *tc = tcase_create("faults");

	tcase_add_unchecked_fixture(tc, harness_start, harness_stop);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 90);
	tcase_add_test(tc,
		       a_deadline_stops_the_backend_and_keeps_the_connection);
	tcase_add_test(tc, a_cancel_stops_the_backend_and_keeps_the_connection);
	tcase_add_test(tc, eight_stuck_statements_are_all_stopped);
	tcase_add_test(tc, a_deadline_inside_a_transaction_rolls_it_back);
	tcase_add_test(tc, the_servers_own_timeout_is_a_deadline);
	tcase_add_test(tc, a_waiter_leaves_the_queue_at_its_deadline);
	tcase_add_test(tc, a_full_queue_says_so_at_once);
	tcase_add_test(tc,
		       a_killed_backend_costs_what_was_in_flight_and_no_more);
	tcase_add_test(tc, waiters_survive_a_restart);
	tcase_add_test(tc, while_the_server_is_away_the_answer_comes_soon);
	tcase_add_test(tc, a_silent_host_is_left_for_the_next);
	tcase_add_loop_test(tc, connection_strings_mean_what_libpq_says, 0,
			    sizeof(strings) / sizeof(strings[0]));
	tcase_add_test(tc, a_listener_is_told_and_comes_back);
	tcase_add_test(tc, a_listener_can_go_while_it_connects);
	suite_add_tcase(s, tc);
	return harness_main(s);
}
