/*
 * The admin command: users, plans, limits and overrides, in force in every
 * worker when it returns, and without a daemon.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "lib/ctl.h"
#include "lib/fixture.h"

#define WORKERS   "server.workers=4"
#define DEMO      "demo@codexible.me"

/* Workers serve a moment before the master listens to commands. */
#define up_ctl(...)                                                            \
	do {                                                                   \
		up(__VA_ARGS__);                                               \
		WAIT_UNTIL(ctl("database") == 0);                              \
	} while (0)

/* Every worker has its say: connections are dealt out by the kernel. */
static bool all_say(const char *key, const char *query, int status)
{
	for (unsigned i = 0; i < 16; i++) {
		client_close(c);
		if (gate(key, query) != status)
			return false;
	}
	return true;
}

/* What people see: standard output of the command in words. */
static char *words(const char *args)
{
	char *program = world_program("tallyctl"), command[1000];
	char *out = tl_alloc(16384);
	FILE *p;

	snprintf(command, sizeof(command),
		 "%s -o server.state_dir=%s -o server.instance=%s -o "
		 "'database.url=%s' %s",
		 program, d->state_dir, d->instance, d->conninfo, args);
	tl_free(program);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	out[fread(out, 1, 16383, p)] = '\0';
	ck_assert_int_eq(pclose(p), 0);
	return out;
}

START_TEST(a_user_is_out_and_in_when_the_command_returns)
{
	up_ctl(WORKERS, FREE_RATE);
	ck_assert(all_say(KEY_PRO, "cost=0", 200));
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(ctl("user", "suspend", "DEMO@codexible.me"),
				 0);
		ck_assert(all_say(KEY_PRO, "cost=0", 403));
		ck_assert_str_eq(text("status"), "suspended");
		ck_assert_int_eq(ctl("user", "activate", DEMO), 0);
		ck_assert(all_say(KEY_PRO, "cost=0", 200));
	}
	ck_assert_int_eq(ctl("user", "suspend", "nobody@test"), 4);
	/* one whom the segment does not hold: nothing hangs */
	ck_assert_int_eq(ctl("user", "suspend", "starter@codexible.me"), 0);
	ck_assert_int_eq(ctl("user", "suspend", "starter@codexible.me"), 0);
	ck_assert(all_say(KEY_STARTER, "cost=0", 403));
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM audit_log WHERE actor "
				 "= 'tallyctl' AND action = 'user.update'"),
			 10);
}
END_TEST

START_TEST(a_user_gets_another_plan_and_name)
{
	up_ctl(WORKERS, FREE_RATE);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=52"), 200);
	ck_assert(all_say(KEY_STARTER, "", 429));

	ck_assert_int_eq(ctl("user", "set", "starter@codexible.me", "--plan",
			     "Pro", "--name", "St. Arter"),
			 0);

	ck_assert(all_say(KEY_STARTER, "", 200));
	ck_assert_str_eq(text("plan"), "Pro");
	ck_assert_str_eq(text("name"), "St. Arter");
	ck_assert_int_eq(ctl("user", "show", "starter@codexible.me"), 0);
	ck_assert_int_eq(number("daily_credit_limit"), 250);
	ck_assert_int_eq(number("key_count"), 1);
	ck_assert_int_eq(ctl("user", "set", DEMO, "--name", ""), 0);
	ck_assert_int_eq(ctl("user", "show", DEMO), 0);
	ck_assert_ptr_null(json_at(answer, "name"));
	ck_assert_int_eq(ctl("user", "set", DEMO), 2);
	ck_assert_int_eq(ctl("user", "set", DEMO, "--plan", "None"), 4);
	ck_assert_int_eq(ctl("user", "set", DEMO, "--name", "a\nb"), 2);

	ck_assert_int_eq(ctl("user", "list", "--q", "ST. A"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "users")),
			  1);
	ck_assert_str_eq(text("users.0.email"), "starter@codexible.me");
	ck_assert_int_eq(ctl("user", "list"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "users")),
			  3);
	ck_assert_int_eq(ctl("user", "list", "--q", "%"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "users")),
			  0);
}
END_TEST

START_TEST(plans_are_made_and_changed_for_their_users)
{
	up_ctl(WORKERS, FREE_RATE);
	ck_assert_int_eq(ctl("plan", "create", "Tiny", "--daily-credits", "30",
			     "--price-cents", "995", "--rate-limit", "7",
			     "support=email", "sso=true"),
			 0);
	ck_assert_int_eq(number("features.rate_limit"), 7);
	ck_assert_str_eq(text("features.support"), "email");
	ck_assert(json_object_is_type(json_at(answer, "features.sso"),
				      json_type_boolean));
	ck_assert_int_eq(ctl("plan", "create", "Tiny", "--daily-credits", "1",
			     "--price-cents", "1"),
			 1);
	ck_assert_int_eq(
		ctl("user", "set", "starter@codexible.me", "--plan", "Tiny"),
		0);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=7"), 200);
	ck_assert(all_say(KEY_STARTER, "", 429));

	ck_assert_int_eq(ctl("plan", "set", "Tiny", "--daily-credits", "60",
			     "--name", "Small", "sso=", "seats=3"),
			 0);

	ck_assert(all_say(KEY_STARTER, "", 200));
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Plan"), "Small");
	ck_assert_ptr_null(json_at(answer, "features.sso"));
	ck_assert_int_eq(number("features.seats"), 3);
	ck_assert_str_eq(text("features.support"), "email");
	ck_assert_int_eq(ctl("plan", "set", "Tiny", "--price-cents", "1"), 4);
	ck_assert_int_eq(ctl("plan", "set", "Small"), 2);
	ck_assert_int_eq(ctl("plan", "set", "Small", "--rate-limit", "0"), 2);
	ck_assert_int_eq(ctl("plan", "set", "Small", "word"), 2);
	ck_assert_int_eq(ctl("plan", "set", "Small", "--name", "Pro"), 1);
	ck_assert_int_eq(ctl("plan", "create", "x", "--price-cents", "1"), 2);
	ck_assert_int_eq(ctl("plan", "list"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "plans")),
			  4);
	ck_assert_str_eq(text("plans.0.name"), "Small");
	ck_assert_int_eq(number("plans.0.price_cents"), 995);
}
END_TEST

START_TEST(limits_are_in_force_when_the_command_returns)
{
	up_ctl(WORKERS, FREE_RATE);
	ck_assert_int_eq(gate(KEY_PRO, "limit=images"), 400);
	ck_assert_int_eq(ctl("limit", "create", "images", "--count", "16",
			     "--window", "3600"),
			 0);
	ck_assert_int_eq(number("window_ms"), 3600000);
	ck_assert_str_eq(text("algorithm"), "sliding");
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 429));
	ck_assert_int_eq(ctl("limit", "set", "images", "--shadow", "on"), 0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	ck_assert_int_eq(ctl("limit", "set", "images", "--shadow", "off",
			     "--count", "1000"),
			 0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));

	ck_assert_int_eq(ctl("limit", "override", "images", "--user", DEMO,
			     "--count", "0"),
			 0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 429));
	ck_assert_int_eq(ctl("limit", "override", "images", "--key", ID_PRO,
			     "--count", "500"),
			 0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	ck_assert_int_eq(ctl("limit", "show", "images"), 0);
	ck_assert_int_eq(number("count"), 1000);
	ck_assert_str_eq(text("overrides.0.key_id"), ID_PRO);
	ck_assert_str_eq(text("overrides.1.user"), DEMO);
	ck_assert_int_eq(
		ctl("limit", "override", "images", "--key", ID_PRO, "--remove"),
		0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 429));
	ck_assert_int_eq(
		ctl("limit", "override", "images", "--user", DEMO, "--remove"),
		0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	ck_assert_int_eq(
		ctl("limit", "override", "images", "--user", DEMO, "--remove"),
		4);

	ck_assert_int_eq(ctl("limit", "delete", "images"), 0);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 400));
	ck_assert_int_eq(ctl("limit", "delete", "images"), 4);
}
END_TEST

START_TEST(gcra_and_scopes_can_be_chosen)
{
	up_ctl(FREE_RATE);
	ck_assert_int_eq(ctl("limit", "create", "even", "--count", "10",
			     "--window-ms", "3600000", "--algorithm", "gcra",
			     "--burst", "3", "--scope", "user", "--shadow"),
			 0);
	ck_assert_str_eq(text("scope"), "user");
	ck_assert_int_eq(number("burst"), 3);
	ck_assert(json_object_get_boolean(json_at(answer, "shadow")));
	ck_assert_int_eq(ctl("limit", "set", "even", "--shadow", "off"), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 429);
	ck_assert_int_eq(ctl("limit", "list"), 0);
	ck_assert_str_eq(text("limits.0.algorithm"), "gcra");
}
END_TEST

/* Refused before anything is changed: exit status 2 and words. */
static const char *const wrong[][10] = {
	{ "limit", "create", "key", "--count", "1", "--window", "1" },
	{ "limit", "create", "Upper", "--count", "1", "--window", "1" },
	{ "limit", "create", "a", "--count", "1" },
	{ "limit", "create", "a", "--window", "1" },
	{ "limit", "create", "a", "--count", "1", "--window", "0" },
	{ "limit", "create", "a", "--count", "1", "--window-ms", "999" },
	{ "limit", "create", "a", "--count", "1", "--window", "2147484" },
	{ "limit", "create", "a", "--count", "1", "--window", "1",
	  "--window-ms", "1000" },
	{ "limit", "create", "a", "--count", "1", "--window", "1",
	  "--algorithm", "fixed" },
	{ "limit", "create", "a", "--count", "1", "--window", "1", "--scope",
	  "plan" },
	{ "limit", "create", "a", "--count", "1", "--window", "1", "--burst",
	  "2" },
	{ "limit", "set", "there" },
	{ "limit", "set", "there", "--shadow", "yes" },
	{ "limit", "set", "there", "--burst", "2" },
	{ "limit", "override", "there", "--count", "1" },
	{ "limit", "override", "there", "--user", DEMO },
	{ "limit", "override", "there", "--user", DEMO, "--count", "1",
	  "--remove" },
	{ "limit", "override", "there", "--user", DEMO, "--key", ID_PRO,
	  "--remove" },
	{ "limit", "override", "there", "--key", "x", "--count", "1" },
	{ "plan", "create", "", "--daily-credits", "1", "--price-cents", "1" },
	{ "plan", "create", "a", "--daily-credits", "-1", "--price-cents",
	  "1" },
	{ "user", "suspend" },
};

START_TEST(wrong_usage_changes_nothing)
{
	up_ctl();
	sql_exec(d->conninfo, "INSERT INTO limits (name, count, window_ms) "
			      "VALUES ('there', 1, 1000)");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_msg(ctl_of(d, wrong[i]) == 2, "line %zu: %s %s", i,
			      wrong[i][0], wrong[i][1]);

	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log"),
			 0);
	ck_assert_int_eq(ctl("limit", "set", "absent", "--count", "1"), 4);
	ck_assert_int_eq(ctl("limit", "show", "absent"), 4);
	ck_assert_int_eq(ctl("limit", "override", "there", "--key",
			     "00000000-0000-4000-8000-000000000000", "--count",
			     "1"),
			 4);
}
END_TEST

/* An import may write for minutes; who is suspended is out at once. */
START_TEST(a_suspension_does_not_wait_for_older_writers)
{
	PGconn *writer;

	up_ctl(WORKERS, FREE_RATE);
	ck_assert(all_say(KEY_PRO, "cost=0", 200));
	writer = PQconnectdb(d->conninfo);
	PQclear(PQexec(writer, "BEGIN"));
	PQclear(PQexec(writer, "INSERT INTO audit_log (actor, action) VALUES "
			       "('x', 'x')"));
	ck_assert_int_eq(PQtransactionStatus(writer), PQTRANS_INTRANS);

	ck_assert_int_eq(ctl("user", "suspend", DEMO), 0);
	ck_assert(all_say(KEY_PRO, "cost=0", 403));
	ck_assert_int_eq(
		ctl("limit", "create", "now", "--count", "5", "--window", "60"),
		0);
	ck_assert_int_eq(ctl("key", "revoke", ID_STARTER), 0);
	ck_assert(all_say(KEY_STARTER, "cost=0", 401));
	PQfinish(writer);
}
END_TEST

/* Nobody to wait for: the next start reads the database. */
START_TEST(without_a_daemon_the_database_is_enough)
{
	char url[300];

	up_ctl(FREE_RATE);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 20000), 0);
	snprintf(url, sizeof(url), "database.url=%s", d->conninfo);

	ck_assert_int_eq(ctl("-o", url, "user", "suspend", DEMO), 0);
	ck_assert_int_eq(ctl("-o", url, "limit", "create", "l", "--count", "1",
			     "--window", "60"),
			 0);
	ck_assert_int_eq(ctl("-o", url, "plan", "set", "Starter",
			     "--daily-credits", "23"),
			 0);

	fixture_again();
	/* the segment lives on and serves; what it holds is read anew then */
	WAIT_UNTIL(gate(KEY_PRO, "cost=0") == 403);
	want(403);
	WAIT_UNTIL(gate(KEY_STARTER, "limit=l&cost=0") != 400);
	want(200);
	WAIT_UNTIL(gate(KEY_STARTER, "") == 429);
	want_error(429, "quota_exceeded");
}
END_TEST

START_TEST(a_database_that_is_away_is_said_to_be)
{
	up_ctl();
	pgtest_halt(pg);
	ck_assert_int_eq(ctl("user", "suspend", DEMO), 69);
	ck_assert_int_eq(ctl("plan", "list"), 69);
	pgtest_resume(pg);
}
END_TEST

START_TEST(people_see_aligned_columns)
{
	char *out;

	up_ctl();
	ck_assert_int_eq(ctl("user", "set", "team@codexible.me", "--name",
			     "\xc4\x90\xe1\xbb\x99i"),
			 0);
	ck_assert_int_eq(ctl("limit", "create", "images", "--count", "16",
			     "--window", "60"),
			 0);
	out = words("plan list");
	ck_assert_str_eq(out,
			 "NAME      CREDITS/DAY  PRICE/MONTH  FEATURES\n"
			 "Starter            75        10.00  {\"support\": "
			 "\"community\", \"rate_limit\": 50}\n"
			 "Pro               250        30.00  {\"support\": "
			 "\"email\", \"rate_limit\": 100}\n"
			 "Business          500        50.00  {\"support\": "
			 "\"priority\", \"rate_limit\": 200}\n");
	tl_free(out);
	out = words("limit list");
	ck_assert_str_eq(out,
			 "NAME    COUNT  WINDOW  SCOPE  SHADOW  ALGORITHM\n"
			 "images     16    60 s  key    off     sliding\n");
	tl_free(out);
	out = words("user list --q team");
	ck_assert_str_eq(out,
			 "E-MAIL             STATUS  PLAN      KEYS  NAME\n"
			 "team@codexible.me  active  Business     1  "
			 "\xc4\x90\xe1\xbb\x99i\n");
	tl_free(out);
	out = words("user show team@codexible.me");
	ck_assert_ptr_nonnull(
		strstr(out, "plan     Business, 500 credits a day\n"));
	tl_free(out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("admin command");
	TCase *tc = fixture_case(s, "admin command");
	int code;

	tcase_add_test(tc, a_user_is_out_and_in_when_the_command_returns);
	tcase_add_test(tc, a_user_gets_another_plan_and_name);
	tcase_add_test(tc, plans_are_made_and_changed_for_their_users);
	tcase_add_test(tc, limits_are_in_force_when_the_command_returns);
	tcase_add_test(tc, gcra_and_scopes_can_be_chosen);
	tcase_add_test(tc, wrong_usage_changes_nothing);
	tcase_add_test(tc, a_suspension_does_not_wait_for_older_writers);
	tcase_add_test(tc, without_a_daemon_the_database_is_enough);
	tcase_add_test(tc, a_database_that_is_away_is_said_to_be);
	tcase_add_test(tc, people_see_aligned_columns);
	code = fixture_run(s);
	json_object_put(answer);
	return code;
}
