/*
 * Rules of keys, and that changes reach every worker: edits in SQL by
 * notification, by re-reading and at HUP; a revoke before its answer.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

/* Every worker has its say: connections are dealt out by the kernel. */
static bool all_say(const char *key, int status)
{
	unsigned i;

	for (i = 0; i < 12; i++) {
		client_close(c);
		if (gate(key, "cost=0") != status)
			return false;
	}
	return true;
}

#define edit(sql_) sql_exec(d->conninfo, sql_)
/* The condition is not asked again once it held: asking may charge. */
#define eventually(cond)                                                       \
	do {                                                                   \
		bool held_ = false;                                            \
		WAIT_UNTIL(held_ = (cond));                                    \
		ck_assert_msg(held_, "last answer:\n%s%s", r.head,             \
			      r.body ? r.body : "");                           \
	} while (0)

/* What is done in SQL to a key in use, and what the gate says then. */
static const struct {
	const char *sql;
	int status;
	const char *reason; /* part of X-Tally-Reason */
} edits[] = {
	{ "UPDATE api_keys SET status = 'revoked' WHERE key_id = '" ID_PRO "'",
	  401, "revoked" },
	{ "UPDATE api_keys SET expires_at = now() - interval '1 second' "
	  "WHERE key_id = '" ID_PRO "'",
	  401, "expired" },
	{ "UPDATE users SET status = 'suspended' WHERE user_id = '" USER_PRO
	  "'",
	  403, "suspended" },
	{ "UPDATE api_keys SET allowed_ips = '{192.0.2.0/24}' WHERE key_id = "
	  "'" ID_PRO "'",
	  403, "address" },
	{ "DELETE FROM api_keys WHERE key_id = '" ID_PRO "'", 401, "" },
	{ "DELETE FROM users WHERE user_id = '" USER_PRO "'", 401, "" },
};

START_TEST(edits_in_sql_are_noticed)
{
	up(FREE_RATE);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	sql_exec(d->conninfo, "%s", edits[_i].sql);

	eventually(gate(KEY_PRO, "") == edits[_i].status);
	ck_assert(all_say(KEY_PRO, edits[_i].status));
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "X-Tally-Reason"), edits[_i].reason));
}
END_TEST

/* NOTIFY is only a wake-up: a change that committed unheard must be found by
 * the re-read, also when its transaction began before what was read since. */
START_TEST(edits_without_notification_are_read_within_refresh_seconds)
{
	up(FREE_RATE, "keys.refresh_seconds=1");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	edit("SET session_replication_role = replica; "
	     "UPDATE users SET status = 'suspended' "
	     "WHERE user_id = '" USER_PRO "'; "
	     "INSERT INTO tallyd.change_log (kind, user_id) "
	     "VALUES ('user', '" USER_PRO "'); "
	     "SELECT pg_sleep(1.5)");

	eventually(gate(KEY_PRO, "") == 403);
}
END_TEST

START_TEST(hup_reads_again_at_once)
{
	up(FREE_RATE, "keys.refresh_seconds=3600");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	/* Nothing tells: no trigger runs in a replica session. */
	edit("SET session_replication_role = replica; "
	     "UPDATE users SET status = 'suspended' "
	     "WHERE user_id = '" USER_PRO "'");
	test_sleep_ms(300);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	daemon_hup(d);

	eventually(gate(KEY_PRO, "") == 403);
	ck_assert(all_say(KEY_PRO, 403));
}
END_TEST

START_TEST(a_plan_change_keeps_what_was_used)
{
	up(FREE_RATE);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=52"), 200);
	ck_assert_int_eq(gate(KEY_STARTER, ""), 429);

	edit("UPDATE users SET plan_id = (SELECT plan_id FROM plans WHERE "
	     "name = 'Pro') WHERE user_id = '" USER_STARTER "'");

	eventually(gate(KEY_STARTER, "") == 200);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Plan"), "Pro");
	ck_assert_int_eq(used_today(KEY_STARTER), 76);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=175"), 429);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=174"), 200);
}
END_TEST

START_TEST(a_lower_limit_of_the_plan_bites_at_once)
{
	up(FREE_RATE);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	edit("UPDATE plans SET daily_credit_limit = 143 WHERE name = 'Pro'");

	eventually(gate(KEY_PRO, "") == 429);
	ck_assert_pstr_eq(json_str(&r, "error.code"), "quota_exceeded");
}
END_TEST

START_TEST(a_new_key_works_though_it_was_asked_for_before)
{
	up(FREE_RATE);
	ck_assert_int_eq(gate(key_of("later"), ""), 401); /* remembered */

	make_key("later", 10, "");

	eventually(gate(key_of("later"), "") == 200);
}
END_TEST

START_TEST(a_key_expires_by_the_clock_alone)
{
	up(FREE_RATE);
	make_key("brief", 1000, "expires_at = now() + interval '2 seconds'");

	ck_assert_int_eq(gate(key_of("brief"), ""), 200);
	eventually(gate(key_of("brief"), "") == 401);

	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "X-Tally-Reason"), "expired"));
}
END_TEST

START_TEST(a_rotated_key_lives_through_its_grace)
{
	up(FREE_RATE);
	make_key("old", 1000,
		 "status = 'revoked', "
		 "grace_until = now() + interval '2 seconds'");

	ck_assert_int_eq(gate(key_of("old"), ""), 200);

	eventually(gate(key_of("old"), "") == 401);
}
END_TEST

START_TEST(rate_limit_of_a_key_replaces_the_built_in_one)
{
	unsigned i;

	up();
	make_key("slow", 1000, "rate_limit = 3");

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(gate(key_of("slow"), ""), 200);
	gate(key_of("slow"), "");

	want_error(429, "rate_limited");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 3);
	edit("UPDATE api_keys SET rate_limit = 5 "
	     "WHERE rate_limit = 3");
	eventually(gate(key_of("slow"), "") == 200);
	ck_assert_int_eq(gate(key_of("slow"), ""), 200);
	ck_assert_int_eq(gate(key_of("slow"), ""), 429);
}
END_TEST

START_TEST(daily_limit_of_a_key_binds_beside_the_users)
{
	up();
	make_key("two", 10, "daily_credit_limit = 4");
	make_second_key("two", "other");

	ck_assert_int_eq(gate(key_of("two"), "cost=4"), 200);
	gate(key_of("two"), "");
	want_error(429, "quota_exceeded");
	ck_assert_int_eq(gate(key_of("other"), "cost=6"), 200);
	gate(key_of("other"), "");
	want_error(429, "quota_exceeded");

	ck_assert_int_eq(used_today(key_of("two")), 10); /* the user's */
}
END_TEST

START_TEST(plan_rate_applies_when_configured)
{
	up("limits.from_plan=yes");

	gate(KEY_STARTER, "");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 50);
	gate(KEY_BUSINESS, "");

	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 200);
}
END_TEST

START_TEST(tallyctl_revoke_is_effective_when_it_returns)
{
	struct json_object *o = NULL;

	up(FREE_RATE, "keys.refresh_seconds=3600", "server.workers=3");
	ck_assert(all_say(KEY_PRO, 200));

	ck_assert_int_eq(daemon_ctl(d, &o,
				    (const char *const[]){ "key", "revoke",
							   ID_PRO, NULL }),
			 0);

	ck_assert(all_say(KEY_PRO, 401));
	ck_assert_pstr_eq(sql_str(d->conninfo,
				  "SELECT status FROM api_keys WHERE key_id = "
				  "'" ID_PRO "'"),
			  "revoked");
	json_object_put(o);
}
END_TEST

START_TEST(tallyctl_makes_users_and_keys_that_work)
{
	struct json_object *o = NULL;
	char key[64];

	up(FREE_RATE);

	ck_assert_int_eq(
		daemon_ctl(d, &o,
			   (const char *const[]){ "user", "create", "new@test",
						  "--plan", "Pro", NULL }),
		0);
	ck_assert_ptr_nonnull(json_at(o, "key"));
	snprintf(key, sizeof(key), "%s",
		 json_object_get_string(json_at(o, "key")));
	json_object_put(o);
	ck_assert_int_eq(gate(key, ""), 200);
	ck_assert_int_eq(strncmp(key, "codexible_", 10), 0);
	ck_assert_uint_eq(strlen(key), 42);
	ck_assert_uint_eq(strspn(key + 10, "0123456789abcdef"), 32);

	/* The database knows the hash and 20 characters, nothing more. */
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM api_keys k WHERE "
				 "k::text LIKE '%%%s%%'",
				 key + 11),
			 0);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM api_keys WHERE "
				 "key_hash = encode(sha256('%s'), 'hex') AND "
				 "key_prefix = left('%s', 20)",
				 key, key),
			 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keys");
	TCase *tc = fixture_case(s, "keys");

	tcase_add_loop_test(tc, edits_in_sql_are_noticed, 0,
			    sizeof(edits) / sizeof(*edits));
	tcase_add_test(
		tc, edits_without_notification_are_read_within_refresh_seconds);
	tcase_add_test(tc, hup_reads_again_at_once);
	tcase_add_test(tc, a_plan_change_keeps_what_was_used);
	tcase_add_test(tc, a_lower_limit_of_the_plan_bites_at_once);
	tcase_add_test(tc, a_new_key_works_though_it_was_asked_for_before);
	tcase_add_test(tc, a_key_expires_by_the_clock_alone);
	tcase_add_test(tc, a_rotated_key_lives_through_its_grace);
	tcase_add_test(tc, rate_limit_of_a_key_replaces_the_built_in_one);
	tcase_add_test(tc, daily_limit_of_a_key_binds_beside_the_users);
	tcase_add_test(tc, plan_rate_applies_when_configured);
	tcase_add_test(tc, tallyctl_revoke_is_effective_when_it_returns);
	tcase_add_test(tc, tallyctl_makes_users_and_keys_that_work);
	return fixture_run(s);
}
