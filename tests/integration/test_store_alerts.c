/*
 * What is told of usage, decided behind a batch: keys and hosts add up, what
 * comes next follows plans, a refusal is told once.
 */
#include "config.h"

#include "integration/store_fixture.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "pg/pg.h"
#include "store/q_flush.h"

#define EPOCH 77

struct use {
	unsigned user, key;
	int64_t credits; /* 0: only a refusal */
	bool refused;
};

static int32_t today(void)
{
	return (int32_t)(time(NULL) / 86400);
}

static void flush_day(const char *node, int64_t seq, int32_t day, struct use u)
{
	struct tl_uuid user = user_id(u.user), key = key_id(u.key);
	int64_t one = u.credits > 0, none = 0;
	uint32_t n_refused = u.refused;
	const struct q_flush_apply_params p = {
		.node = tl_str_c(node),
		.epoch = EPOCH,
		.seq = seq,
		.replay = true,
		.user_ids = { 1, &user },
		.key_ids = { 1, &key },
		.days = { 1, &day },
		.credits = { 1, &u.credits },
		.requests = { 1, &one },
		.costs = { 1, &none },
		.last_used_us = { 1, &none },
		.refused_user_ids = { n_refused, &user },
		.refused_days = { n_refused, &day },
	};
	struct q_flush_apply_row row;

	ck_ok(q_flush_apply(pg, &p, &arena, &row, &err));
	ck_assert(tl_str_eq(row.outcome, TL_STR("applied")));
}

static void use(unsigned user, unsigned key, int64_t credits)
{
	static int64_t seq; /* each test is a process of its own */

	flush_day("eu-1", ++seq, today(),
		  (struct use){ user, key, credits, 0 });
}

static int64_t told(const char *event)
{
	return sql_num(db,
		       "SELECT count(*) FROM tallyd.webhook_delivery"
		       " WHERE event = '%s'",
		       event);
}

static int64_t noted(const char *column)
{
	return sql_num(db, "SELECT %s FROM tallyd.usage_watch", column);
}

/* User 1 with keys 1 and 11, a thousand credits a day, and who listens. */
static void world(void)
{
	sql_exec(db, "UPDATE plans SET daily_credit_limit = 1000"
		     " WHERE name = 'Pro'");
	store_fixture_user(1);
	store_fixture_key(11, 1);
	sql_exec(db, "INSERT INTO webhook_endpoints (user_id, url, events,"
		     " secret) SELECT user_id, 'https://h/', '{*}',"
		     " decode(repeat('2a', 32), 'hex') FROM users");
}

STORE_TEST(keys_of_a_user_add_up)
{
	world();

	use(1, 1, 300);
	ck_assert_int_eq(noted("keys"), 1);
	use(1, 11, 199);
	ck_assert_int_eq(noted("keys"), 2);
	ck_assert_int_eq(noted("due"), 500);
	ck_assert_int_eq(told("usage.threshold"), 0);
	use(1, 11, 1);
	ck_assert_int_eq(told("usage.threshold"), 1);
	ck_assert_int_eq(noted("due"), 800);
	use(1, 1, 299);
	ck_assert_int_eq(told("usage.threshold"), 1);
	use(1, 1, 1);
	ck_assert_int_eq(told("usage.threshold"), 2);
	store_fixture_key(12, 1);
	use(1, 12, 100); /* a key that it had not used so far */
	ck_assert_int_eq(told("usage.threshold"), 3);
	use(1, 12, 99);
	ck_assert_int_eq(told("usage.threshold"), 3);
	use(1, 1, 1);
	ck_assert_int_eq(told("usage.threshold"), 4);
	ck_assert_int_eq(noted("(due IS NULL)::int"), 1);
	use(1, 1, 1000);
	ck_assert_int_eq(told("usage.threshold"), 4);
}

STORE_TEST(what_comes_next_follows_the_plan)
{
	world();
	use(1, 1, 399);
	ck_assert_int_eq(noted("due"), 500);

	sql_exec(db, "UPDATE plans SET daily_credit_limit = 500"
		     " WHERE name = 'Pro'");
	use(1, 1, 1);
	ck_assert_int_eq(told("usage.threshold"), 2); /* 50 and 80 */
	ck_assert_int_eq(noted("due"), 450);

	sql_exec(db, "WITH p AS (INSERT INTO plans (name, daily_credit_limit,"
		     " price_cents) VALUES ('Vast', 10000, 0)"
		     " RETURNING plan_id)"
		     " UPDATE users SET plan_id = p.plan_id FROM p");
	use(1, 1, 100);
	ck_assert_int_eq(told("usage.threshold"), 2);
	ck_assert_int_eq(noted("due"), 9000);
}

STORE_TEST(yesterday_does_not_hide_today)
{
	world();
	use(1, 1, 600);
	flush_day("eu-2", 1, today() - 1, (struct use){ 1, 1, 10, false });
	ck_assert_int_eq(noted("due"), 800);
	flush_day("eu-2", 2, today() - 1, (struct use){ 1, 1, 490, false });
	flush_day("eu-2", 3, today() - 8, (struct use){ 1, 1, 900, false });

	use(1, 1, 200);

	ck_assert_str_eq(sql_str(db, "SELECT string_agg(percent::text, ','"
				     " ORDER BY day DESC, percent)"
				     "  FROM tallyd.usage_alert"),
			 "50,80,50");
}

STORE_TEST(a_refusal_is_told_once_whichever_host_refused)
{
	const struct use refusal = { 1, 1, 0, true };

	world();
	store_fixture_user(2); /* nobody listens */

	flush_day("eu-1", 1, today(), (struct use){ 2, 2, 5, true });
	flush_day("eu-1", 2, today(), refusal);
	flush_day("eu-2", 1, today(), refusal);
	flush_day("eu-2", 2, today() - 8, refusal);
	ck_assert_int_eq(told("quota.exceeded"), 1);

	flush_day("eu-2", 3, today() - 1, (struct use){ 1, 11, 3, true });
	ck_assert_int_eq(told("quota.exceeded"), 2);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.usage_alert"
				     " WHERE percent = 0"),
			 2);
}

#define APPLY(node, key)                                                       \
	"SELECT tallyd.flush_apply('" node "', 1, 1, true, '{" USER "}',"      \
	" '{" key "}', ARRAY[(now() AT TIME ZONE 'UTC')::date],"               \
	" '{300}', '{1}', '{0}', '{0}', '{}', '{}', '{}', '{}', '{}', '{}',"   \
	" '{}', '{}', '{}', '{}', '2020-01-01', '{}', '{}', '{}', '{}', '{}'," \
	" '{}', '{}', '{}', '{}')"
#define USER   "b0000000-0000-0000-0000-000000000001"
#define KEY_1  "c0000000-0000-0000-0000-000000000001"
#define KEY_11 "c0000000-0000-0000-0000-00000000000b"

/* Neither sees the rows of the other, so one must wait for the other's end. */
STORE_TEST(batches_of_two_hosts_take_turns)
{
	PGconn *one = PQconnectdb(db), *other = PQconnectdb(db);
	PGresult *res;

	world();
	use(1, 1, 1);
	use(1, 11, 1);
	PQclear(PQexec(one, "BEGIN"));
	PQclear(PQexec(one, APPLY("eu-2", KEY_1)));
	ck_assert_int_eq(PQsendQuery(other, APPLY("eu-3", KEY_11)), 1);
	while (sql_num(db,
		       "SELECT count(*) FROM pg_locks"
		       " WHERE pid = %d AND NOT granted",
		       PQbackendPID(other)) == 0)
		ck_assert(!PQconsumeInput(other) || PQisBusy(other));
	PQclear(PQexec(one, "COMMIT"));

	res = PQgetResult(other);
	ck_assert_str_eq(PQgetvalue(res, 0, 0), "(applied,0)");
	PQclear(res);
	ck_assert_int_eq(told("usage.threshold"), 1);
	PQfinish(one);
	PQfinish(other);
}

int main(void)
{
	Suite *s = suite_create("store alerts");
	TCase *tc = store_fixture_case(s, "alerts");

	tcase_add_test(tc, keys_of_a_user_add_up);
	tcase_add_test(tc, what_comes_next_follows_the_plan);
	tcase_add_test(tc, yesterday_does_not_hide_today);
	tcase_add_test(tc, a_refusal_is_told_once_whichever_host_refused);
	tcase_add_test(tc, batches_of_two_hosts_take_turns);
	return store_fixture_main(s);
}
