/*
 * Keys and users: loading them for the segment, making and ending them, and
 * reading what changed.
 */
#include "config.h"

#include "integration/store_fixture.h"

#include <libpq-fe.h>

#include "pg/pg.h"
#include "store/keysource.h"
#include "store/q_instance.h"
#include "store/q_keys.h"
#include "store/q_users.h"

#define LIMIT_1 "a0000000-0000-0000-0000-00000000000a"
#define LIMIT_2 "a0000000-0000-0000-0000-00000000000b"

static void use(unsigned key_n, int credits, int requests, int days_ago)
{
	sql_exec(db,
		 "INSERT INTO daily_usage (user_id, key_id, date,"
		 " credits_used, request_count) SELECT user_id, key_id,"
		 " '2024-10-04'::date - %d, %d, %d FROM api_keys"
		 " WHERE key_prefix = 'key-%u'",
		 days_ago, credits, requests, key_n);
}

static struct tally_key_row load(unsigned n)
{
	struct tally_digest digest = key_digest(n);
	struct tally_key_row row;

	ck_ok(store_key_load(pg, &digest, DAY, &arena, &row, &err));
	return row;
}

STORE_TEST(plain_key_has_no_restrictions)
{
	struct tl_uuid user = user_id(1), key = key_id(1);
	struct tally_digest digest = key_digest(1);
	struct tally_key_row row;

	store_fixture_user(1);

	row = load(1);

	ck_assert_mem_eq(row.digest.b, digest.b, sizeof(digest.b));
	ck_assert(tl_uuid_eq(&row.key_id, &key));
	ck_assert(tl_uuid_eq(&row.user.user_id, &user));
	ck_assert_int_eq(row.user.plan_id.b[15], 2);
	ck_assert(!row.revoked && !row.user.suspended);
	ck_assert_int_eq(row.expires_at_s, 0);
	ck_assert_int_eq(row.grace_until_s, 0);
	ck_assert_uint_eq(row.rate_limit, 0);
	ck_assert_int_eq(row.daily_credit_limit, -1);
	ck_assert_uint_eq(row.n_scopes, 0);
	ck_assert_uint_eq(row.n_allowed, 0);
	ck_assert_uint_eq(row.n_overrides, 0);
	ck_assert_uint_eq(row.user.n_overrides, 0);
	ck_assert_int_eq(row.base_credits, 0);
	ck_assert_int_eq(row.user.day, DAY);
	ck_assert_int_eq(row.user.base_credits, 0);
	ck_assert_int_eq(row.user.base_requests, 0);
}

STORE_TEST(key_comes_with_all_its_rules)
{
	char allowed[TALLY_ADDR_TEXT + 4];
	struct tally_key_row row;

	store_fixture_user(1);
	sql_exec(db, "UPDATE api_keys SET status = 'revoked',"
		     " expires_at = '2024-10-04 00:00:01Z',"
		     " grace_until = '2024-10-04 00:00:02Z',"
		     " rate_limit = 7, daily_credit_limit = 0,"
		     " scopes = '{read,\"a b\"}',"
		     " allowed_ips = '{10.0.0.0/8,2001:db8::/32,192.0.2.1}'");
	sql_exec(db, "UPDATE users SET status = 'suspended'");

	row = load(1);

	ck_assert(row.revoked && row.user.suspended);
	ck_assert_int_eq(row.expires_at_s, DAY * 86400LL + 1);
	ck_assert_int_eq(row.grace_until_s, DAY * 86400LL + 2);
	ck_assert_uint_eq(row.rate_limit, 7);
	ck_assert_int_eq(row.daily_credit_limit, 0);
	ck_assert_uint_eq(row.n_scopes, 2);
	ck_assert(tl_str_eq(row.scopes[0], TL_STR("read")));
	ck_assert(tl_str_eq(row.scopes[1], TL_STR("a b")));
	ck_assert_uint_eq(row.n_allowed, 3);
	tally_cidr_format(&row.allowed[0], allowed);
	ck_assert_str_eq(allowed, "10.0.0.0/8");
	tally_cidr_format(&row.allowed[1], allowed);
	ck_assert_str_eq(allowed, "2001:db8::/32");
	ck_assert_uint_eq(row.allowed[2].bits, 128);
}

STORE_TEST(overrides_come_with_key_and_user)
{
	struct tally_key_row row;

	store_fixture_user(1);
	store_fixture_user(2);
	sql_exec(db, "INSERT INTO limits (limit_id, name, count, window_ms)"
		     " VALUES ('" LIMIT_1 "', 'a', 1, 1000),"
		     " ('" LIMIT_2 "', 'b', 1, 1000)");
	sql_exec(db, "INSERT INTO limit_overrides (limit_id, key_id, count)"
		     " SELECT '" LIMIT_1 "', key_id, 70000 FROM api_keys"
		     " WHERE key_prefix = 'key-1'");
	sql_exec(db, "INSERT INTO limit_overrides (limit_id, user_id, count)"
		     " SELECT '" LIMIT_2 "', user_id, 2147483647 FROM users"
		     " WHERE email = 'user-1@test'");

	row = load(1);
	ck_assert_uint_eq(row.n_overrides, 1);
	ck_assert_uint_eq(row.overrides[0].count, 70000);
	ck_assert_int_eq(row.overrides[0].limit_id.b[15], 0x0a);
	ck_assert_uint_eq(row.user.n_overrides, 1);
	ck_assert_uint_eq(row.user.overrides[0].count, 2147483647);
	ck_assert_int_eq(row.user.overrides[0].limit_id.b[15], 0x0b);

	row = load(2);
	ck_assert_uint_eq(row.n_overrides + row.user.n_overrides, 0);
}

/* Quota is the user's: revoked keys count, other days and users do not. */
STORE_TEST(usage_is_of_key_and_of_all_keys_of_the_user)
{
	struct tally_key_row row;

	store_fixture_user(1);
	store_fixture_key(2, 1);
	store_fixture_user(3);
	sql_exec(db, "UPDATE api_keys SET status = 'revoked'"
		     " WHERE key_prefix = 'key-2'");
	use(1, 10, 4, 0);
	use(2, 30, 5, 0);
	use(3, 100, 1, 0);
	use(1, 1000, 1, 1);

	row = load(1);

	ck_assert_int_eq(row.base_credits, 10);
	ck_assert_int_eq(row.user.base_credits, 40);
	ck_assert_int_eq(row.user.base_requests, 9);
}

STORE_TEST(unknown_key_is_not_found)
{
	struct tally_digest digest = key_digest(9);
	struct tally_key_row row;

	store_fixture_user(1);

	ck_assert_int_eq(store_key_load(pg, &digest, DAY, &arena, &row, &err),
			 TL_NOT_FOUND);
}

STORE_TEST(many_keys_leave_out_the_unknown)
{
	struct tally_digest digests[3];
	struct tally_key_row *rows;
	uint32_t n;

	store_fixture_user(1);
	store_fixture_user(2);
	use(2, 8, 1, 0);
	for (unsigned i = 0; i < 3; i++)
		digests[i] = key_digest(i + 1);

	ck_ok(store_key_load_many(pg, digests, 3, DAY, &arena, &rows, &n,
				  &err));
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(rows[0].base_credits + rows[1].base_credits, 8);
	ck_ok(store_key_load_many(pg, digests, 0, DAY, &arena, &rows, &n,
				  &err));
	ck_assert_uint_eq(n, 0);
}

STORE_TEST(many_users_come_with_usage)
{
	struct tl_uuid ids[2] = { user_id(1), user_id(9) };
	struct tally_user_row *rows;
	uint32_t n;

	store_fixture_user(1);
	store_fixture_key(2, 1);
	use(1, 8, 1, 0);
	use(2, 3, 2, 0);

	ck_ok(store_user_load_many(pg, ids, 2, DAY, &arena, &rows, &n, &err));

	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].base_credits, 11);
	ck_assert_int_eq(rows[0].base_requests, 3);
	ck_assert_int_eq(rows[0].day, DAY);
}

/* Each key of the day once, whatever the size of a page. */
STORE_TEST(pages_of_today_hold_each_key_once)
{
	uint32_t max = (uint32_t)loop_i, n, n_all = 0;
	struct tl_uuid after = { .b = { 0 } };
	struct tally_key_row *rows;
	int64_t own = 0;

	for (unsigned i = 1; i <= 5; i++) {
		store_fixture_user(i);
		store_fixture_key(10 + i, i);
		use(i, 1, 1, 0);
		use(10 + i, 2, 1, 0);
	}
	store_fixture_user(6);
	use(6, 50, 1, 1);

	do {
		ck_ok(store_key_load_today(pg, DAY, &after, max, &arena, &rows,
					   &n, &err));
		for (uint32_t i = 0; i < n; i++) {
			own += rows[i].base_credits;
			ck_assert_int_eq(rows[i].user.base_credits, 3);
			ck_assert_int_eq(rows[i].user.base_requests, 2);
		}
		n_all += n;
	} while (n >= max);

	ck_assert_uint_eq(n_all, 10);
	ck_assert_int_eq(own, 15);
}

STORE_TEST(plans_and_limits_come_as_rows)
{
	struct tally_limit_row *limits;
	struct tally_plan_row *plans;
	uint32_t n;

	sql_exec(db, "UPDATE plans SET features = '{\"rate_limit\": \"x\"}'"
		     " WHERE name = 'Pro'");
	sql_exec(db, "INSERT INTO limits (name, count, window_ms, algorithm,"
		     " burst, scope, shadow)"
		     " VALUES ('a', 5, 1000, 'gcra', 9, 'address', true)");

	ck_ok(store_plans(pg, &arena, &plans, &n, &err));
	ck_assert_uint_eq(n, 3);
	ck_assert(tl_str_eq(plans[0].name, TL_STR("Starter")));
	ck_assert_int_eq(plans[0].daily_credit_limit, 75);
	ck_assert_uint_eq(plans[0].rate_limit, 50);
	ck_assert_uint_eq(plans[1].rate_limit, 0); /* no number */

	ck_ok(store_limits(pg, &arena, &limits, &n, &err));
	ck_assert_uint_eq(n, 1);
	ck_assert(tl_str_eq(limits[0].name, TL_STR("a")));
	ck_assert_uint_eq(limits[0].count, 5);
	ck_assert_uint_eq(limits[0].window_ms, 1000);
	ck_assert_uint_eq(limits[0].burst, 9);
	ck_assert_int_eq(limits[0].algorithm, TALLY_GCRA);
	ck_assert_int_eq(limits[0].scope, TALLY_SCOPE_ADDRESS);
	ck_assert(limits[0].shadow);
}

static const char *insert(unsigned user_n, unsigned key_n, int32_t max_active)
{
	struct tally_digest digest = key_digest(key_n);
	const struct tl_str scope = TL_STR("read"), net = TL_STR("10.0.0.0/8");
	struct q_key_insert_row row;
	const int32_t rate = 9;

	ck_ok(q_key_insert(pg,
			   &(struct q_key_insert_params){
				   .actor = TL_STR("test"),
				   .user_id = user_id(user_n),
				   .digest = { (const char *)digest.b, 32 },
				   .prefix = TL_STR("new"),
				   .label = TL_STR("CI"),
				   .max_active = max_active,
				   .scopes = { 1, &scope },
				   .allowed_ips = { 1, &net },
				   .rate_limit = &rate },
			   &arena, &row, &err));
	return row.outcome.ptr;
}

STORE_TEST(key_limit_counts_active_keys_only)
{
	struct tally_key_row row;

	store_fixture_user(1);

	ck_assert_str_eq(insert(1, 5, 2), "made");
	ck_assert_str_eq(insert(1, 6, 2), "too_many");
	sql_exec(db, "UPDATE api_keys SET status = 'revoked'"
		     " WHERE key_prefix = 'key-1'");
	ck_assert_str_eq(insert(1, 6, 2), "made");
	ck_assert_str_eq(insert(9, 7, 2), "no_user");

	row = load(5);
	ck_assert_uint_eq(row.rate_limit, 9);
	ck_assert_int_eq(row.daily_credit_limit, -1);
	ck_assert_uint_eq(row.n_scopes, 1);
	ck_assert_uint_eq(row.n_allowed, 1);
}

/* The second caller must count after the first has committed. */
STORE_TEST(two_inserts_at_once_cannot_pass_the_limit)
{
#define INSERT(hex)                                                            \
	"SELECT outcome FROM tallyd.key_insert('test',"                         \
	"'b0000000-0000-0000-0000-000000000001', decode(repeat('" hex          \
	"', 32), 'hex'), 'p', 'l', 2, NULL, '{}', '{}', NULL, NULL, NULL)"
	PGconn *first = PQconnectdb(db), *second = PQconnectdb(db);
	PGresult *res;

	store_fixture_user(1);
	PQclear(PQexec(first, "BEGIN"));
	PQclear(PQexec(first, INSERT("aa")));
	ck_assert_int_eq(PQsendQuery(second, INSERT("bb")), 1);
	while (sql_num(db,
		       "SELECT count(*) FROM pg_locks"
		       " WHERE pid = %d AND NOT granted",
		       PQbackendPID(second)) == 0)
		ck_assert(!PQconsumeInput(second) || PQisBusy(second));
	PQclear(PQexec(first, "COMMIT"));

	res = PQgetResult(second);
	ck_assert_str_eq(PQgetvalue(res, 0, 0), "too_many");
	PQclear(res);
	PQfinish(first);
	PQfinish(second);
}

static enum tl_status revoke(unsigned key_n, const struct tl_uuid *owner)
{
	struct tally_digest digest = key_digest(key_n);
	struct q_key_revoke_row row;
	enum tl_status st;

	st = q_key_revoke(pg,
			  &(struct q_key_revoke_params){
				   .actor = TL_STR("test"),
				  .key_id = key_id(key_n), .user_id = owner },
			  &arena, &row, &err);
	if (st == TL_OK)
		ck_assert_mem_eq(row.digest.ptr, digest.b, 32);
	return st;
}

STORE_TEST(revoke_is_final_and_the_owners)
{
	struct tl_uuid mine = user_id(1), other = user_id(2);

	store_fixture_user(1);
	store_fixture_user(2);
	store_fixture_key(3, 1);

	ck_assert_int_eq(revoke(1, &other), TL_NOT_FOUND);
	ck_ok(revoke(1, &mine));
	ck_assert_int_eq(revoke(1, &mine), TL_NOT_FOUND);
	ck_ok(revoke(3, NULL));
	ck_assert_int_eq(revoke(9, NULL), TL_NOT_FOUND);
}

STORE_TEST(revoke_ends_the_grace_of_a_rotated_key)
{
	store_fixture_user(1);
	sql_exec(db, "UPDATE api_keys SET status = 'revoked',"
		     " revoked_at = '2024-01-01',"
		     " grace_until = now() + INTERVAL '1 hour'");

	ck_ok(revoke(1, NULL));

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM api_keys WHERE"
				     " grace_until IS NULL AND"
				     " revoked_at = '2024-01-01'"),
			 1);
	ck_assert_int_eq(revoke(1, NULL), TL_NOT_FOUND);
}

STORE_TEST(lists_are_newest_first)
{
	struct q_key_list_row *rows, row;
	uint32_t n;

	store_fixture_user(1);
	store_fixture_user(2);
	store_fixture_key(3, 1);
	sql_exec(db,
		 "UPDATE api_keys SET created_at = '2024-01-01'::timestamptz"
		 " + right(key_prefix, 1)::int * INTERVAL '1 day'");

	ck_ok(q_key_list(pg, 2, &arena, &rows, &n, &err));
	ck_assert_uint_eq(n, 2);
	ck_assert(tl_str_eq(rows[0].key_prefix, TL_STR("key-3")));
	ck_assert(tl_str_eq(rows[1].email, TL_STR("user-2@test")));

	ck_ok(q_key_list_by_user(pg,
				 &(struct q_key_list_by_user_params){
					 .user_id = user_id(1), .max = 9 },
				 &arena, &rows, &n, &err));
	ck_assert_uint_eq(n, 2);
	ck_assert(rows[0].last_used_at_null && rows[0].metadata_null);

	ck_ok(q_key_find_by_prefix(
		pg,
		&(struct q_key_find_by_prefix_params){
			.prefix = TL_STR("key-2"), .max = 9 },
		&arena, &rows, &n, &err));
	ck_assert_uint_eq(n, 1);
	ck_ok(q_key_find_by_id(pg, key_id(3), &arena, &row, &err));
	ck_assert(tl_str_eq(row.key_prefix, TL_STR("key-3")));
}

STORE_TEST(users_are_made_and_found)
{
	struct q_user_insert_params p = { .email = TL_STR("New@Test"),
					  .plan = TL_STR("Business") };
	struct q_user_find_by_email_row found;
	struct q_user_insert_row made;

	ck_ok(q_user_insert(pg, &p, &arena, &made, &err));
	ck_ok(q_user_find_by_email(pg, TL_STR("nEW@test"), &arena, &found,
				   &err));

	ck_assert(tl_uuid_eq(&found.user_id, &made.user_id));
	ck_assert(tl_str_eq(found.email, TL_STR("New@Test")));
	ck_assert(found.name_null);
	ck_assert(tl_uuid_eq(&found.plan_id, &made.plan_id));
	ck_assert(tl_str_eq(found.status, TL_STR("active")));

	p.email = TL_STR("NEW@test");
	ck_assert_int_eq(q_user_insert(pg, &p, &arena, &made, &err),
			 TL_CONFLICT);
	ck_assert_str_eq(pg_err_constraint(&err), "users_email_key");
	p.plan = TL_STR("None");
	ck_assert_int_eq(q_user_insert(pg, &p, &arena, &made, &err),
			 TL_NOT_FOUND);
}

static uint32_t read_changes(struct q_change_read_params *at)
{
	struct q_change_read_row *rows;
	uint32_t n, i;

	at->max = 100;
	ck_ok(q_change_read(pg, at, &arena, &rows, &n, &err));
	for (i = 0; i < n && rows[i].final; i++) {
		at->xid = rows[i].xid;
		at->change_id = rows[i].change_id;
	}
	return n;
}

static int64_t tail_xid(void)
{
	struct q_change_tail_row tail;

	ck_ok(q_change_tail(pg, &arena, &tail, &err));
	return tail.xid;
}

STORE_TEST(changes_are_read_once_and_in_order)
{
	struct q_change_read_params at = { .xid = tail_xid() };

	store_fixture_user(1);
	ck_assert_uint_eq(read_changes(&at), 2);
	ck_assert_uint_eq(read_changes(&at), 0);
	sql_exec(db, "UPDATE plans SET features = '{}' WHERE name = 'Pro'");
	ck_assert_uint_eq(read_changes(&at), 1);
}

/* A transaction that began first and commits last must not be skipped. */
STORE_TEST(late_commit_is_not_passed_over)
{
	struct q_change_read_params at = { .xid = tail_xid() };
	PGconn *slow = PQconnectdb(db);

	PQclear(PQexec(slow, "BEGIN"));
	PQclear(PQexec(slow, "UPDATE plans SET daily_credit_limit = 1"
			     " WHERE name = 'Pro'"));
	store_fixture_user(1);
	/* seen, but not passed */
	ck_assert_uint_eq(read_changes(&at), 2);
	ck_assert_uint_eq(read_changes(&at), 2);
	ck_assert_int_le(tail_xid(), at.xid + 1);

	PQclear(PQexec(slow, "COMMIT"));
	ck_assert_uint_eq(read_changes(&at), 3);
	PQfinish(slow);
}

STORE_TEST(trim_tells_who_was_left_behind)
{
	struct q_change_trim_params p = { .keep_s = 3600, .max = 100 };
	struct q_change_trim_row trimmed;
	struct q_change_tail_row tail;
	int64_t before = tail_xid();

	store_fixture_user(1);
	ck_ok(q_change_trim(pg, &p, &arena, &trimmed, &err));
	ck_assert_int_eq(trimmed.trimmed, 0);
	sql_exec(db, "UPDATE tallyd.change_log SET at = at"
		     " - INTERVAL '2 hours'");

	ck_ok(q_change_trim(pg, &p, &arena, &trimmed, &err));

	ck_assert_int_eq(trimmed.trimmed, 2);
	ck_ok(q_change_tail(pg, &arena, &tail, &err));
	ck_assert_int_ge(tail.trimmed_xid, before);
	ck_assert_int_lt(tail.trimmed_xid, tail.xid);
}

STORE_TEST(database_keeps_its_identity)
{
	struct q_instance_get_row a, b;

	ck_ok(q_instance_get(pg, &arena, &a, &err));
	ck_ok(q_instance_get(pg, &arena, &b, &err));

	ck_assert(tl_uuid_eq(&a.database_id, &b.database_id));
	ck_assert(!sql_try(db, "INSERT INTO tallyd.instance DEFAULT VALUES"));
}

int main(void)
{
	Suite *s = suite_create("store keys");
	TCase *tc = store_fixture_case(s, "keys");

	tcase_add_test(tc, plain_key_has_no_restrictions);
	tcase_add_test(tc, key_comes_with_all_its_rules);
	tcase_add_test(tc, overrides_come_with_key_and_user);
	tcase_add_test(tc, usage_is_of_key_and_of_all_keys_of_the_user);
	tcase_add_test(tc, unknown_key_is_not_found);
	tcase_add_test(tc, many_keys_leave_out_the_unknown);
	tcase_add_test(tc, many_users_come_with_usage);
	tcase_add_loop_test(tc, pages_of_today_hold_each_key_once, 1, 12);
	tcase_add_test(tc, plans_and_limits_come_as_rows);
	tcase_add_test(tc, key_limit_counts_active_keys_only);
	tcase_add_test(tc, two_inserts_at_once_cannot_pass_the_limit);
	tcase_add_test(tc, revoke_is_final_and_the_owners);
	tcase_add_test(tc, revoke_ends_the_grace_of_a_rotated_key);
	tcase_add_test(tc, lists_are_newest_first);
	tcase_add_test(tc, users_are_made_and_found);
	tcase_add_test(tc, changes_are_read_once_and_in_order);
	tcase_add_test(tc, late_commit_is_not_passed_over);
	tcase_add_test(tc, trim_tells_who_was_left_behind);
	tcase_add_test(tc, database_keeps_its_identity);
	return store_fixture_main(s);
}
