/* /api/gate: every parameter, every refusal. */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

static long seconds_to_midnight(void)
{
	return 86400 - (long)(time(NULL) % 86400);
}

START_TEST(cost_is_charged)
{
	up();

	gate(KEY_PRO, "cost=5");

	want(200);
	ck_assert_int_eq(used_today(KEY_PRO), 147);
}
END_TEST

/* Envoy appends what its client asked for: nobody's configuration. */
START_TEST(a_path_below_the_gate_takes_no_parameters)
{
	up();

	client_get(c, "/api/gate/orders/7?cost=5&scope=x", KEY_PRO, &r);

	want(200);
	ck_assert_int_eq(used_today(KEY_PRO), 143);
}
END_TEST

START_TEST(cost_defaults_to_the_setting)
{
	up("metering.request_cost_credits=7");

	gate(KEY_PRO, "");

	want(200);
	ck_assert_int_eq(used_today(KEY_PRO), 149);
}
END_TEST

START_TEST(cost_zero_charges_no_credits_but_counts_on_the_rate)
{
	up();
	gate(KEY_PRO, "cost=0");

	gate(KEY_PRO, "cost=0");

	want(200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 98);
	ck_assert_int_eq(used_today(KEY_PRO), 142);
}
END_TEST

static const char *const bad_queries[] = {
	"cost=1000001", "cost=-1",         "cost=x",          "cost=",
	"cost=1.0",     "limit=nowhere",   "limit=nowhere:2", "limit=",
	"deny=404",     "anonymous=maybe", "limit=some:-1",   "limit=some:x",
	"scope=",       "limit=some:",     "cost=1&cost=2",
};

START_TEST(bad_parameters_are_400_and_charge_nothing)
{
	up(FREE_RATE);
	sql_exec(d->conninfo, "INSERT INTO limits (name, count, window_ms) "
			      "VALUES ('some', 10, 60000)");
	EACH_ROW(bad_queries, query)
	{
		row_name = *query;

		gate(KEY_PRO, *query);

		want_error(400, "bad_request");
		ck_assert_int_eq(used_today(KEY_PRO), 142);
	}
}
END_TEST

START_TEST(scopes_must_be_a_subset)
{
	up();
	make_key("scoped", 100, "scopes = '{read,write}'");
	make_key("free", 100, "");

	ck_assert_int_eq(gate(key_of("scoped"), "scope=read"), 200);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Scopes"), "read,write");
	ck_assert_int_eq(gate(key_of("scoped"), "scope=read,write"), 200);
	ck_assert_int_eq(gate(key_of("free"), "scope=anything"), 200);
	gate(key_of("scoped"), "scope=read,admin");

	want_error(403, "forbidden");
	ck_assert_ptr_nonnull(strstr(header_of(&r, "X-Tally-Reason"), "scope"));
	ck_assert_int_eq(used_today(key_of("scoped")), 2);
}
END_TEST

START_TEST(quota_refusal_is_429_until_midnight_and_returns_the_rate)
{
	long retry, left, before;

	up();
	make_key("small", 3, "");
	ck_assert_int_eq(gate(key_of("small"), "cost=2"), 200);
	before = header_num(&r, "X-RateLimit-Remaining");

	gate(key_of("small"), "cost=2");

	want_error(429, "quota_exceeded");
	left = seconds_to_midnight();
	retry = header_num(&r, "Retry-After");
	ck_assert_int_ge(retry, 1);
	ck_assert_int_ge(retry, left - 5);
	ck_assert_int_le(retry, left + 5);
	ck_assert_int_eq(gate(key_of("small"), "cost=1"), 200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), before - 1);
	ck_assert_int_eq(used_today(key_of("small")), 3);
}
END_TEST

START_TEST(deny_403_turns_429_into_403_and_leaves_401)
{
	up();
	make_key("none", 0, "");

	gate(key_of("none"), "deny=403");
	want(403);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), "429");
	ck_assert_pstr_eq(json_str(&r, "error.code"), "quota_exceeded");
	gate("no_such_key_at_all", "deny=403");

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(anonymous_is_let_in_under_the_address_limit)
{
	unsigned i;

	up();

	for (i = 0; i < 20; i++) {
		gate(NULL, "anonymous=allow");
		want(200);
		ck_assert_ptr_null(header_of(&r, "X-Tally-User"));
		ck_assert_ptr_null(header_of(&r, "X-Tally-Key"));
	}
	gate(NULL, "anonymous=allow");

	want_error(429, "rate_limited");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	/* A good key does not share that budget; a bad one is not anonymous. */
	ck_assert_int_eq(gate(KEY_PRO, "anonymous=allow"), 200);
}
END_TEST

START_TEST(anonymous_does_not_cover_a_bad_key)
{
	up();

	gate("no_such_key_at_all", "anonymous=allow");

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(key_may_come_in_x_api_key)
{
	up();

	client_request(c, "GET", "/api/gate", "X-API-Key: " KEY_PRO "\r\n",
		       NULL, 0, &r);
	want(200);
	client_request(c, "GET", "/api/gate",
		       "X-API-Key: " KEY_PRO
		       "\r\nAuthorization: bearer  " KEY_PRO " \r\n",
		       NULL, 0, &r);
	want(200);
	client_request(c, "GET", "/api/gate",
		       "X-API-Key: " KEY_PRO
		       "\r\nAuthorization: Bearer " KEY_STARTER "\r\n",
		       NULL, 0, &r);

	want_error(401, "unauthorized");
}
END_TEST

static const char *const bad_credentials[] = {
	"Authorization: Basic dXNlcjpwdw==\r\n",
	"Authorization: Bearer\r\n",
	"Authorization: Bearer short\r\n",
	"Authorization: Bearer with(bad)characters\r\n",
	"X-API-Key: \r\n",
	"Authorization: Bearer codexible_00000000000000000000000000000000\r\n",
};

START_TEST(bad_credentials_are_401)
{
	up(FREE_RATE);
	EACH_ROW(bad_credentials, head)
	{
		row_name = *head;

		client_request(c, "GET", "/api/gate", *head, NULL, 0, &r);

		want_error(401, "unauthorized");
		ck_assert_ptr_nonnull(header_of(&r, "WWW-Authenticate"));
	}
}
END_TEST

START_TEST(random_keys_share_the_budget_of_the_address)
{
	char key[64];
	unsigned i;

	up();

	for (i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "random_key_number_%u", i);
		gate(key, "");
		want_error(401, "unauthorized");
	}
	gate("random_key_number_20", "");
	want_error(429, "rate_limited");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);

	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

START_TEST(addresses_of_a_key_are_checked_against_the_client)
{
	static const char *const forwarded[] = { "203.0.113.9", "203.0.113.200",
						 "1.2.3.4, 203.0.113.9" };
	char head[256];
	unsigned i;

	up("server.trusted_proxies=127.0.0.0/8");
	make_key("bound", 100, "allowed_ips = '{203.0.113.0/25}'");

	for (i = 0; i < 3; i++) {
		snprintf(head, sizeof(head),
			 "Authorization: Bearer %s\r\n"
			 "X-Forwarded-For: %s\r\n",
			 key_of("bound"), forwarded[i]);
		client_request(c, "GET", "/api/gate", head, NULL, 0, &r);
		want(i == 1 ? 403 : 200);
	}
	gate(key_of("bound"), ""); /* from the proxy itself */

	want_error(403, "forbidden");
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "X-Tally-Reason"), "address"));
}
END_TEST

START_TEST(forwarded_address_counts_only_from_a_trusted_peer)
{
	char head[256];

	up(); /* nobody is trusted */
	make_key("bound", 100, "allowed_ips = '{203.0.113.0/25}'");
	snprintf(head, sizeof(head),
		 "Authorization: Bearer %s\r\n"
		 "X-Forwarded-For: 203.0.113.9\r\n",
		 key_of("bound"));

	client_request(c, "GET", "/api/gate", head, NULL, 0, &r);

	want_error(403, "forbidden");
}
END_TEST

START_TEST(ipv6_clients_are_limited_by_their_64)
{
	char head[128];
	unsigned i;

	up("server.trusted_proxies=127.0.0.0/8");

	for (i = 0; i < 21; i++) {
		snprintf(head, sizeof(head),
			 "X-Forwarded-For: 2001:db8:0:1::%x\r\n", i + 1);
		client_request(c, "GET", "/api/gate", head, NULL, 0, &r);
	}
	want_error(429, "rate_limited");
	client_request(c, "GET", "/api/gate",
		       "X-Forwarded-For: 2001:db8:0:2::1\r\n", NULL, 0, &r);

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(named_limits_are_charged_all_or_none)
{
	unsigned i;

	up();
	sql_exec(d->conninfo,
		 "INSERT INTO limits (name, count, window_ms) VALUES "
		 "('images', 4, 60000), ('tight', 2, 60000)");
	make_key("k", 1000, "");
	WAIT_UNTIL(gate(key_of("k"), "cost=0&limit=images:0&limit=tight:0") !=
		   400);

	ck_assert_int_eq(gate(key_of("k"), "limit=images:2&limit=tight"), 200);
	ck_assert_int_eq(gate(key_of("k"), "limit=tight"), 200);
	for (i = 0; i < 3; i++) { /* tight is full: images must not move */
		gate(key_of("k"), "limit=images&limit=tight");
		want_error(429, "rate_limited");
	}
	ck_assert_int_eq(gate(key_of("k"), "limit=images:2"), 200);
	gate(key_of("k"), "limit=images");

	want_error(429, "rate_limited");
	ck_assert_int_eq(used_today(key_of("k")), 3);
}
END_TEST

START_TEST(quota_and_limits_can_be_switched_off)
{
	unsigned i;

	up("limits.enabled=no", "quota.enabled=no");
	make_key("none", 0, "rate_limit = 2");

	for (i = 0; i < 130; i++) {
		gate(key_of("none"), "");
		want(200);
	}

	ck_assert_ptr_null(header_of(&r, "X-RateLimit-Limit"));
	ck_assert_int_eq(used_today(key_of("none")), 130); /* still recorded */
}
END_TEST

START_TEST(every_refusal_tells_its_status_and_deny_covers_it)
{
	static const struct {
		const char *query;
		int status;
		const char *reason;
	} cases[] = {
		{ "cost=x", 400, "bad_request" },
		{ "limit=nowhere", 400, "bad_request" },
		{ "scope=admin", 403, "scope" },
		{ "cost=1000000", 429, "quota" },
	};
	char query[64], status[8];
	unsigned i;

	up();
	make_key("k", 10, "scopes = '{read}'");

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(status, sizeof(status), "%d", cases[i].status);
		ck_assert_int_eq(gate(key_of("k"), cases[i].query),
				 cases[i].status);
		ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), status);
		ck_assert_pstr_eq(header_of(&r, "X-Tally-Reason"),
				  cases[i].reason);
		snprintf(query, sizeof(query), "%s&deny=403", cases[i].query);
		ck_assert_int_eq(gate(key_of("k"), query), 403);
		ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), status);
	}
	/* the key's limit is told on a 403 too, and not charged by it */
	gate(key_of("k"), "scope=admin");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 100);
}
END_TEST

/* The headers are those of the original request: what looks like a preflight
 * is decided as anything else. */
START_TEST(a_preflight_does_not_pass_undecided)
{
	up("server.allowed_origins=https://app.example");

	client_request(c, "OPTIONS", "/api/gate",
		       "Origin: https://app.example\r\n"
		       "Access-Control-Request-Method: GET\r\n",
		       NULL, 0, &r);

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(a_revoked_key_tells_nothing_of_its_credits)
{
	up();
	make_key("old", 77, "status = 'revoked', revoked_at = now()");

	gate(key_of("old"), "");

	want_error(401, "unauthorized");
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Reason"), "revoked");
	ck_assert_pstr_eq(header_of(&r, "RateLimit-Policy"),
			  "\"address\";q=20;w=60");
}
END_TEST

START_TEST(what_a_refusal_gives_back_is_in_its_answer)
{
	up();
	make_key("k", 1, "");
	gate(key_of("k"), "cost=1");

	gate(key_of("k"), "cost=1");

	want_error(429, "quota_exceeded");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 99);
	gate(key_of("k"), "cost=0");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 98);
}
END_TEST

START_TEST(deny_covers_what_the_database_is_missing_for)
{
	up("metering.durability=strict", "metering.strict_timeout_ms=300");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	pgtest_halt(pg);

	gate("a_key_never_seen_before", "deny=403");
	want_error(403, "service_unavailable");
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), "503");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	/* charged, but not confirmed: nothing of the 200 may be left */
	gate(KEY_PRO, "deny=403");
	want_error(403, "service_unavailable");
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), "503");
	ck_assert_ptr_null(header_of(&r, "X-Tally-User"));
	pgtest_resume(pg);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gate");
	TCase *tc = fixture_case(s, "gate");

	tcase_add_test(tc, cost_is_charged);
	tcase_add_test(tc, cost_defaults_to_the_setting);
	tcase_add_test(tc, cost_zero_charges_no_credits_but_counts_on_the_rate);
	tcase_add_test(tc, bad_parameters_are_400_and_charge_nothing);
	tcase_add_test(tc, scopes_must_be_a_subset);
	tcase_add_test(
		tc, quota_refusal_is_429_until_midnight_and_returns_the_rate);
	tcase_add_test(tc, deny_403_turns_429_into_403_and_leaves_401);
	tcase_add_test(tc, anonymous_is_let_in_under_the_address_limit);
	tcase_add_test(tc, anonymous_does_not_cover_a_bad_key);
	tcase_add_test(tc, key_may_come_in_x_api_key);
	tcase_add_test(tc, bad_credentials_are_401);
	tcase_add_test(tc, random_keys_share_the_budget_of_the_address);
	tcase_add_test(tc, addresses_of_a_key_are_checked_against_the_client);
	tcase_add_test(tc, forwarded_address_counts_only_from_a_trusted_peer);
	tcase_add_test(tc, ipv6_clients_are_limited_by_their_64);
	tcase_add_test(tc, named_limits_are_charged_all_or_none);
	tcase_add_test(tc, quota_and_limits_can_be_switched_off);
	tcase_add_test(tc, every_refusal_tells_its_status_and_deny_covers_it);
	tcase_add_test(tc, a_preflight_does_not_pass_undecided);
	tcase_add_test(tc, a_path_below_the_gate_takes_no_parameters);
	tcase_add_test(tc, a_revoked_key_tells_nothing_of_its_credits);
	tcase_add_test(tc, what_a_refusal_gives_back_is_in_its_answer);
	tcase_add_test(tc, deny_covers_what_the_database_is_missing_for);
	return fixture_run(s);
}
