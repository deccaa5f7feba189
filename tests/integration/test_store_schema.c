/*
 * Migrations, constraints, triggers, seed.
 */
#include "config.h"

#include "integration/store_fixture.h"

#include <libpq-fe.h>

#include "pg/migrate.h"

#define USER_1 "b0000000-0000-0000-0000-000000000001"
#define KEY_1  "c0000000-0000-0000-0000-000000000001"

/* Everything that is not the server's own. */
static int64_t objects(const char *conninfo)
{
	return sql_num(conninfo,
		       "SELECT (SELECT count(*) FROM pg_class c JOIN"
		       " pg_namespace n ON n.oid = relnamespace"
		       " WHERE nspname IN ('public', 'tallyd'))"
		       " + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n"
		       " ON n.oid = pronamespace"
		       " WHERE nspname IN ('public', 'tallyd'))"
		       " + (SELECT count(*) FROM pg_type t JOIN pg_namespace n"
		       " ON n.oid = typnamespace"
		       " WHERE nspname IN ('public', 'tallyd'))"
		       " + (SELECT count(*) FROM pg_namespace"
		       " WHERE nspname = 'tallyd')");
}

START_TEST(all_down_leaves_an_empty_schema)
{
	char *empty = store_fixture_empty_db();
	char *dir = store_fixture_file("db/migrations");
	uint32_t n_up, n_down, n_again;

	ck_assert_int_eq(objects(empty), 0);
	ck_ok(migrate_up(empty, dir, UINT32_MAX, &n_up, &err));
	sql_exec(empty, "INSERT INTO users (email, plan_id)"
			" SELECT 'a@test', plan_id FROM plans LIMIT 1");
	ck_ok(migrate_down(empty, dir, 0, &n_down, &err));

	ck_assert_int_eq(objects(empty), 0);
	ck_assert_uint_eq(n_up, n_down);
	ck_ok(migrate_up(empty, dir, UINT32_MAX, &n_again, &err));
	ck_assert_uint_eq(n_again, n_up);
	tl_free(dir);
	tl_free(empty);
}
END_TEST

/* One step down and up again must keep what customers have. */
START_TEST(each_step_goes_down_and_up_and_keeps_users)
{
	char *dir = store_fixture_file("db/migrations");
	int64_t top;
	uint32_t n;

	store_fixture_user(1);
	top = sql_num(db, "SELECT max(number) FROM tallyd.schema_migration");
	for (int64_t to = top - 1; to >= 1; to--) {
		ck_ok(migrate_down(db, dir, (uint32_t)to, &n, &err));
		ck_ok(migrate_up(db, dir, UINT32_MAX, &n, &err));
		ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM api_keys"),
				 1);
		ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM plans"), 3);
	}
	tl_free(dir);
}
END_TEST

START_TEST(plans_are_those_of_the_specification)
{
	ck_assert_str_eq(
		sql_str(db, "SELECT string_agg(format('%%s %%s %%s %%s %%s',"
			    " right(plan_id::text, 2), name,"
			    " daily_credit_limit, price_cents,"
			    " features->>'rate_limit'), ',' ORDER BY plan_id)"
			    " FROM plans"),
		"01 Starter 75 1000 50,02 Pro 250 3000 100,"
		"03 Business 500 5000 200");
}
END_TEST

START_TEST(seed_runs_twice_and_keeps_what_is_there)
{
	char *seed = store_fixture_file("db/seed/demo.sql");

	ck_ok(migrate_run_file(db, seed, &err));
	ck_assert_str_eq(
		sql_str(db, "SELECT string_agg(credits_used || '/' ||"
			    " request_count, ' ' ORDER BY key_id)"
			    " FROM daily_usage JOIN api_keys USING (key_id)"
			    " WHERE date = (now() AT TIME ZONE 'UTC')::date"),
		"142/89 310/156 23/12");
	sql_exec(db, "UPDATE daily_usage SET credits_used = 200");
	sql_exec(db, "UPDATE users SET status = 'suspended'");
	ck_ok(migrate_run_file(db, seed, &err));

	ck_assert_int_eq(sql_num(db, "SELECT sum(credits_used)::int"
				     " FROM daily_usage"),
			 3 * 30 * 200);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM api_keys"), 3);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM users"
				     " WHERE status = 'active'"),
			 0);
	tl_free(seed);
}
END_TEST

/* What a dashboard shows of one day must not differ from widget to widget. */
START_TEST(seed_requests_add_up_to_the_days)
{
	char *seed = store_fixture_file("db/seed/demo.sql");
	int64_t rows;

	ck_ok(migrate_run_file(db, seed, &err));

	ck_assert_int_eq(
		sql_num(db,
			"SELECT count(*) FROM daily_usage d FULL JOIN (SELECT"
			" key_id, date, sum(credits) c, count(*) n,"
			" sum(cost_micro_usd) s FROM request_logs GROUP BY 1,"
			" 2) r USING (key_id, date) WHERE (c, n, s) IS"
			" DISTINCT FROM (credits_used, request_count,"
			" cost_micro_usd)"),
		0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM daily_usage"), 90);
	ck_assert_int_eq(
		sql_num(db, "SELECT count(*) FROM request_logs WHERE"
			    " created_at > now() OR date <> (created_at AT"
			    " TIME ZONE 'UTC')::date OR cost_micro_usd <>"
			    " prompt_tokens * 30 + completion_tokens * 60"),
		0);
	ck_assert_int_gt(
		sql_num(db, "SELECT count(DISTINCT model) FROM request_logs"),
		3);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM daily_usage d JOIN"
				     " users USING (user_id) JOIN plans p"
				     " USING (plan_id) WHERE credits_used >"
				     " p.daily_credit_limit"),
			 0);
	rows = sql_num(db, "SELECT count(*) FROM request_logs");
	ck_ok(migrate_run_file(db, seed, &err));
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM request_logs"),
			 rows);
	tl_free(seed);
}
END_TEST

/* The demo hashes are those of the demo keys. */
START_TEST(seed_hashes_are_of_the_demo_keys)
{
	char *seed = store_fixture_file("db/seed/demo.sql");

	ck_ok(migrate_run_file(db, seed, &err));
	ck_assert_int_eq(
		sql_num(db,
			"SELECT count(*) FROM (VALUES ('pro', 'Pro'),"
			" ('business', 'Business'), ('starter', 'Starter'))"
			" v (word, plan) JOIN api_keys k ON k.key_hash ="
			" encode(sha256(format('codexible_demo_%%s_2026',"
			" word)::bytea), 'hex') JOIN users USING (user_id)"
			" JOIN plans p USING (plan_id) WHERE p.name = plan"),
		3);
	tl_free(seed);
}
END_TEST

static const char *const REFUSED[] = {
	"INSERT INTO limits (name, count, window_ms) VALUES ('key', 1, 1000)",
	"INSERT INTO limits (name, count, window_ms)"
	" VALUES ('address', 1, 1000)",
	"INSERT INTO limits (name, count, window_ms) VALUES ('A', 1, 1000)",
	"INSERT INTO limits (name, count, window_ms) VALUES ('a', 1, 999)",
	"INSERT INTO limits (name, count, window_ms) VALUES ('a', -1, 1000)",
	"INSERT INTO limit_overrides (limit_id, user_id, key_id, count)"
	" VALUES ('a0000000-0000-0000-0000-00000000000a',"
	" '" USER_1 "', '" KEY_1 "', 1)",
	"INSERT INTO limit_overrides (limit_id, count)"
	" VALUES ('a0000000-0000-0000-0000-00000000000a', 1)",
	"UPDATE api_keys SET key_hash = upper(key_hash)",
	"UPDATE api_keys SET scopes = '{read,NULL}'",
	"UPDATE api_keys SET expires_at = 'infinity'",
	"UPDATE api_keys SET status = 'gone'",
	"UPDATE users SET status = 'gone'",
	"UPDATE users SET email = 'USER-2@test' WHERE user_id = '" USER_1 "'",
	"UPDATE plans SET daily_credit_limit = -1",
};

START_TEST(schema_refuses)
{
	store_fixture_user(1);
	store_fixture_user(2);
	sql_exec(db, "INSERT INTO limits (limit_id, name, count, window_ms)"
		     " VALUES ('a0000000-0000-0000-0000-00000000000a', 'ok',"
		     " 1, 1000)");

	ck_assert_msg(!sql_try(db, "%s", REFUSED[_i]), "%s", REFUSED[_i]);
}
END_TEST

START_TEST(times_of_change_are_kept)
{
	store_fixture_user(1);
	sql_exec(db, "UPDATE users SET updated_at = '2020-01-01' WHERE false");
	sql_exec(db, "UPDATE users SET name = 'x'");
	sql_exec(db, "UPDATE api_keys SET status = 'revoked'");

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM users"
				     " WHERE updated_at > created_at"),
			 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM api_keys"
				     " WHERE revoked_at IS NOT NULL"),
			 1);
}
END_TEST

/* What is written, and which rows it leaves in the change log. */
static const struct change {
	const char *sql;
	const char *want;
} CHANGES[] = {
	{ "INSERT INTO users (user_id, email, plan_id)"
	  " SELECT 'b0000000-0000-0000-0000-000000000009', 'z@test', plan_id"
	  " FROM plans WHERE name = 'Pro'",
	  "user 09" },
	{ "UPDATE users SET status = 'suspended'", "user 01" },
	{ "UPDATE users SET plan_id ="
	  " 'a0000000-0000-0000-0000-000000000001'",
	  "user 01" },
	{ "UPDATE users SET name = 'new'", "" },
	{ "UPDATE users SET status = status, plan_id = plan_id", "" },
	{ "DELETE FROM users WHERE false", "" },
	/* The override that goes along leaves a row of its own. */
	{ "DELETE FROM users", "key 01 user 01 user 01" },
	{ "INSERT INTO api_keys (user_id, key_prefix, key_hash) VALUES"
	  " ('" USER_1 "', 'x', repeat('0', 64))",
	  "key 01" },
	{ "UPDATE api_keys SET status = 'revoked'", "key 01" },
	{ "UPDATE api_keys SET scopes = '{a}'", "key 01" },
	{ "UPDATE api_keys SET allowed_ips = '{10.0.0.0/8}'", "key 01" },
	{ "UPDATE api_keys SET rate_limit = 7", "key 01" },
	{ "UPDATE api_keys SET daily_credit_limit = 7", "key 01" },
	{ "UPDATE api_keys SET expires_at = now()", "key 01" },
	{ "UPDATE api_keys SET grace_until = now()", "key 01" },
	{ "UPDATE api_keys SET key_hash = repeat('1', 64)", "key 01 key 01" },
	{ "UPDATE api_keys SET last_used_at = now()", "" },
	{ "UPDATE api_keys SET label = 'new', metadata = '{}'", "" },
	{ "UPDATE api_keys SET status = status", "" },
	{ "DELETE FROM api_keys", "key 01" },
	{ "UPDATE plans SET daily_credit_limit = 9 WHERE name = 'Pro'",
	  "plan " },
	{ "UPDATE plans SET features = '{}' WHERE name = 'Pro'", "plan " },
	{ "UPDATE plans SET price_cents = 9", "" },
	{ "INSERT INTO limits (name, count, window_ms) VALUES ('b', 1, 1000)",
	  "limit " },
	{ "UPDATE limits SET count = 9 WHERE name = 'a'", "limit " },
	{ "UPDATE limits SET count = count", "" },
	{ "DELETE FROM limits WHERE name = 'a'", "key 01 limit  user 01" },
	{ "INSERT INTO limit_overrides (limit_id, user_id, count)"
	  " SELECT limit_id, '" USER_1 "', 3 FROM limits WHERE name = 'c'",
	  "user 01" },
	{ "UPDATE limit_overrides SET count = 8 WHERE key_id IS NOT NULL",
	  "key 01 key 01" },
	{ "DELETE FROM limit_overrides WHERE user_id IS NOT NULL", "user 01" },
	{ "TRUNCATE limit_overrides", "all " },
	{ "TRUNCATE users CASCADE", "all  all  all " },
	{ "INSERT INTO daily_usage (user_id, key_id, date)"
	  " VALUES ('" USER_1 "', '" KEY_1 "', '2024-10-04')",
	  "" },
};

START_TEST(change_log_holds_what_matters)
{
	const struct change *change = &CHANGES[_i];

	store_fixture_user(1);
	sql_exec(db, "INSERT INTO limits (name, count, window_ms)"
		     " VALUES ('a', 1, 1000), ('c', 1, 1000)");
	sql_exec(db, "INSERT INTO limit_overrides (limit_id, user_id, key_id,"
		     " count) SELECT limit_id, u, k, 2 FROM limits, (VALUES"
		     " ('" USER_1 "'::uuid, NULL), (NULL, '" KEY_1 "'::uuid))"
		     " v (u, k) WHERE name = 'a'");
	sql_exec(db, "DELETE FROM tallyd.change_log");

	sql_exec(db, "%s", change->sql);

	ck_assert_str_eq(sql_str(db,
				 "SELECT coalesce(string_agg(kind || ' ' ||"
				 " coalesce(right(user_id::text, 2), ''), ' '"
				 " ORDER BY kind, user_id), '')"
				 " FROM tallyd.change_log"),
			 change->want);
}
END_TEST

START_TEST(key_changes_carry_the_digest)
{
	store_fixture_user(1);
	sql_exec(db, "DELETE FROM tallyd.change_log");

	sql_exec(db, "UPDATE api_keys SET status = 'revoked'");

	ck_assert_int_eq(sql_num(db,
				 "SELECT count(*) FROM tallyd.change_log c JOIN"
				 " api_keys k ON c.key_hash ="
				 " decode(k.key_hash, 'hex')"),
			 1);
}
END_TEST

static int n_notified(PGconn *conn)
{
	PGnotify *note;
	int n = 0;

	PQclear(PQexec(conn, "SELECT 1"));
	while ((note = PQnotifies(conn)) != NULL) {
		ck_assert_str_eq(note->relname, "tallyd_change");
		ck_assert_str_eq(note->extra, "");
		PQfreemem(note);
		n++;
	}
	return n;
}

START_TEST(changes_notify_once_and_usage_never)
{
	PGconn *conn = PQconnectdb(db);

	store_fixture_user(1);
	store_fixture_user(2);
	PQclear(PQexec(conn, "LISTEN tallyd_change"));

	sql_exec(db, "UPDATE api_keys SET rate_limit = 5");
	ck_assert_int_eq(n_notified(conn), 1);

	sql_exec(db, "UPDATE api_keys SET last_used_at = now()");
	sql_exec(db, "INSERT INTO daily_usage (user_id, key_id, date)"
		     " SELECT user_id, key_id, '2024-10-04' FROM api_keys");
	ck_assert_int_eq(n_notified(conn), 0);
	PQfinish(conn);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store schema");
	TCase *tc = store_fixture_case(s, "schema");

	tcase_add_test(tc, all_down_leaves_an_empty_schema);
	tcase_add_test(tc, each_step_goes_down_and_up_and_keeps_users);
	tcase_add_test(tc, plans_are_those_of_the_specification);
	tcase_add_test(tc, seed_runs_twice_and_keeps_what_is_there);
	tcase_add_test(tc, seed_requests_add_up_to_the_days);
	tcase_add_test(tc, seed_hashes_are_of_the_demo_keys);
	tcase_add_loop_test(tc, schema_refuses, 0,
			    sizeof(REFUSED) / sizeof(REFUSED[0]));
	tcase_add_test(tc, times_of_change_are_kept);
	tcase_add_loop_test(tc, change_log_holds_what_matters, 0,
			    sizeof(CHANGES) / sizeof(CHANGES[0]));
	tcase_add_test(tc, key_changes_carry_the_digest);
	tcase_add_test(tc, changes_notify_once_and_usage_never);
	return store_fixture_main(s);
}
