/*
 * test_pg_migrate.c - migrations up, down, changed, broken, on a real server.
 */
#include "config.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "lib/pgtest.h"
#include "pg/migrate.h"

#define ALL UINT32_MAX

static struct pgtest *server;
static char dir[64];
static const char *conninfo;

static void start(void)
{
	server = pgtest_start();
}

static void stop(void)
{
	pgtest_stop(&server);
}

static void write_file(const char *name, const char *text)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void setup(void)
{
	conninfo = pgtest_conninfo(server);
	pgtest_sql(server, "DROP SCHEMA IF EXISTS tallyd CASCADE;"
			   "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	snprintf(dir, sizeof(dir), "/tmp/pgt-migrate.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	write_file("0001_first.up.sql",
		   "CREATE TABLE one (id int PRIMARY KEY);\n"
		   "CREATE SCHEMA IF NOT EXISTS tallyd;\n");
	write_file("0001_first.down.sql", "DROP TABLE one;");
	write_file("0002_second.up.sql",
		   "CREATE TABLE two (id int REFERENCES one);\n"
		   "INSERT INTO one VALUES (1); INSERT INTO two VALUES (1);\n"
		   "CREATE FUNCTION tallyd.f() RETURNS int LANGUAGE sql AS\n"
		   "$$ SELECT 1; $$;\n");
	write_file("0002_second.down.sql",
		   "DROP FUNCTION tallyd.f; DROP TABLE two; DELETE FROM one;");
	write_file("notes.txt", "not a migration");
}

static int remove_entry(const char *path, const struct stat *sb, int type,
			struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	nftw(dir, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
}

static void up(uint32_t to, uint32_t want_n)
{
	struct tl_err err = { .text = "" };
	uint32_t n = 99;
	enum tl_status st = migrate_up(conninfo, dir, to, &n, &err);

	ck_assert_msg(st == TL_OK, "%s", err.text);
	ck_assert_uint_eq(n, want_n);
}

static void down(uint32_t to, uint32_t want_n)
{
	struct tl_err err = { .text = "" };
	uint32_t n = 99;
	enum tl_status st = migrate_down(conninfo, dir, to, &n, &err);

	ck_assert_msg(st == TL_OK, "%s", err.text);
	ck_assert_uint_eq(n, want_n);
}

static void up_fails(enum tl_status want, const char *words)
{
	struct tl_err err = { .text = "" };
	uint32_t n;

	ck_assert_int_eq(migrate_up(conninfo, dir, ALL, &n, &err), want);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

static void check_value(const char *sql, const char *want)
{
	char *have = pgtest_value(server, sql);

	ck_assert_str_eq(have, want);
	free(have);
}

static bool is_current(void)
{
	struct tl_err err = { .text = "" };
	bool current = false;

	ck_assert_msg(migrate_check(conninfo, dir, &current, &err) == TL_OK,
		      "%s", err.text);
	return current;
}

START_TEST(up_applies_each_once_and_in_order)
{
	ck_assert(!is_current());
	up(1, 1);
	ck_assert(!is_current());
	up(ALL, 1);
	up(ALL, 0);

	ck_assert(is_current());
	check_value("SELECT count(*) FROM two", "1");
	check_value("SELECT string_agg(name, ' ' ORDER BY number)"
		    " FROM tallyd.schema_migration",
		    "first second");
}
END_TEST

START_TEST(down_goes_back_to_an_empty_database)
{
	up(ALL, 2);
	down(1, 1);
	check_value("SELECT count(*) FROM one", "0");
	up(ALL, 1);
	down(0, 2);

	check_value("SELECT count(*) FROM pg_class c JOIN pg_namespace n"
		    " ON n.oid = relnamespace"
		    " WHERE nspname IN ('public', 'tallyd')",
		    "0");
	check_value("SELECT count(*) FROM pg_namespace"
		    " WHERE nspname = 'tallyd'",
		    "0");
	down(0, 0);
	up(ALL, 2); /* and up again */
}
END_TEST

START_TEST(a_schema_that_is_used_by_others_stays)
{
	up(ALL, 2);
	pgtest_sql(server, "CREATE TABLE tallyd.foreign_thing ()");
	down(0, 2);

	check_value("SELECT to_regclass('tallyd.foreign_thing') IS NOT NULL",
		    "t");
	check_value("SELECT to_regclass('tallyd.schema_migration') IS NULL",
		    "t");
}
END_TEST

START_TEST(status_lists_what_is_and_what_is_to_come)
{
	struct migrate_list list;
	struct tl_err err;

	up(1, 1);
	ck_assert_int_eq(migrate_status(conninfo, dir, &list, &err), TL_OK);

	ck_assert_uint_eq(list.n, 2);
	ck_assert_str_eq(list.steps[0].name, "first");
	ck_assert(list.steps[0].applied && !list.steps[0].changed);
	ck_assert(list.steps[0].applied_at_us > 1700000000000000);
	ck_assert_uint_eq(list.steps[1].number, 2);
	ck_assert(!list.steps[1].applied);
	migrate_list_deinit(&list);
}
END_TEST

START_TEST(a_file_that_changed_is_refused)
{
	struct migrate_list list;
	struct tl_err err;

	up(ALL, 2);
	write_file("0001_first.up.sql", "CREATE TABLE one (id bigint)");

	up_fails(TL_CONFLICT, "0001_first.up.sql changed");
	ck_assert_int_eq(migrate_status(conninfo, dir, &list, &err), TL_OK);
	ck_assert(list.steps[0].changed);
	ck_assert(!list.steps[1].changed);
	migrate_list_deinit(&list);
}
END_TEST

START_TEST(a_file_that_came_late_is_refused)
{
	write_file("0003_third.up.sql", "SELECT 1");
	up(ALL, 3);
	pgtest_sql(server, "DELETE FROM tallyd.schema_migration"
			   " WHERE number = 2");

	up_fails(TL_CONFLICT, "0002_second.up.sql is not applied but 0003 is");
}
END_TEST

/* The release before works on the schema of the one after. */
START_TEST(an_older_release_leaves_newer_steps_alone)
{
	char path[160];
	struct tl_err err;
	uint32_t n;

	up(ALL, 2);
	snprintf(path, sizeof(path), "%s/0002_second.up.sql", dir);
	ck_assert_int_eq(unlink(path), 0);

	up(ALL, 0);
	ck_assert(is_current());
	ck_assert_int_eq(migrate_down(conninfo, dir, 0, &n, &err),
			 TL_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "0002_second"));
}
END_TEST

static const struct {
	const char *sql;
	enum tl_status want;
	const char *words;
} broken[] = {
	{ "SELECT 1;\n-- \xc3\xa4\xc3\xb6\nSELEC 2;", TL_BROKEN,
	  "/0003_bad.up.sql:3: syntax error" },
	{ "CREATE TABLE three ();\nSELECT 1;\n\nSELECT nonesuch FROM one;",
	  TL_BROKEN, "/0003_bad.up.sql:4: column \"nonesuch\"" },
	{ "CREATE TABLE three (); INSERT INTO one VALUES (1);", TL_CONFLICT,
	  "/0003_bad.up.sql: statement 2: duplicate key" },
	{ "CREATE TABLE three (); COMMIT;", TL_INVALID,
	  "ends the transaction" },
	{ "COPY one FROM STDIN;", TL_INVALID, "COPY" },
};

START_TEST(a_broken_file_leaves_nothing_and_names_its_line)
{
	write_file("0003_bad.up.sql", broken[_i].sql);

	up_fails(broken[_i].want, broken[_i].words);

	check_value("SELECT max(number) FROM tallyd.schema_migration", "2");
	if (broken[_i].want != TL_INVALID)
		check_value("SELECT to_regclass('three') IS NULL", "t");
}
END_TEST

START_TEST(names_are_checked)
{
	write_file("0002_again.up.sql", "SELECT 1");
	up_fails(TL_INVALID, "two migrations 0002");
	write_file("12_short.up.sql", "SELECT 1");
	up_fails(TL_INVALID, "12_short.up.sql");
}
END_TEST

/* Two hosts start at the same time. */
START_TEST(two_runners_do_not_collide)
{
	pid_t pids[4];
	int status;

	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct tl_err err;
			uint32_t n;

			_exit(migrate_up(conninfo, dir, ALL, &n, &err));
		}
	}

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	check_value("SELECT count(*) FROM two", "1");
}
END_TEST

START_TEST(a_seed_file_runs_whole_or_not_at_all)
{
	char path[160];
	struct tl_err err;

	up(1, 1);
	write_file("seed.sql", "INSERT INTO one VALUES (7);\nnonsense;");
	snprintf(path, sizeof(path), "%s/seed.sql", dir);
	ck_assert_int_eq(migrate_run_file(conninfo, path, &err), TL_BROKEN);
	ck_assert_ptr_nonnull(strstr(err.text, "seed.sql:2:"));
	check_value("SELECT count(*) FROM one", "0");
	write_file("seed.sql", "INSERT INTO one VALUES (7);");
	ck_assert_int_eq(migrate_run_file(conninfo, path, &err), TL_OK);

	check_value("SELECT count(*) FROM one", "1");
}
END_TEST

START_TEST(no_server_is_unavailable)
{
	struct tl_err err;
	uint32_t n;

	ck_assert_int_eq(migrate_up("host=/nowhere", dir, ALL, &n, &err),
			 TL_UNAVAILABLE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg_migrate");
	TCase *tc = tcase_create("migrate");
	SRunner *sr;
	int failed;

	tcase_add_unchecked_fixture(tc, start, stop);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, up_applies_each_once_and_in_order);
	tcase_add_test(tc, down_goes_back_to_an_empty_database);
	tcase_add_test(tc, a_schema_that_is_used_by_others_stays);
	tcase_add_test(tc, status_lists_what_is_and_what_is_to_come);
	tcase_add_test(tc, a_file_that_changed_is_refused);
	tcase_add_test(tc, a_file_that_came_late_is_refused);
	tcase_add_test(tc, an_older_release_leaves_newer_steps_alone);
	tcase_add_loop_test(tc, a_broken_file_leaves_nothing_and_names_its_line,
			    0, sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(tc, names_are_checked);
	tcase_add_test(tc, two_runners_do_not_collide);
	tcase_add_test(tc, a_seed_file_runs_whole_or_not_at_all);
	tcase_add_test(tc, no_server_is_unavailable);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
