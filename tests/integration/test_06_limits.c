/* Rate limits: built in and by name, both algorithms, scopes, overrides. */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>

#define NAMED_LIMIT                                                            \
	"INSERT INTO limits (name, count, window_ms, algorithm, burst, "       \
	"scope, shadow) VALUES "

static void make_limit(const char *values)
{
	sql_exec(d->conninfo, NAMED_LIMIT "%s", values);
}

START_TEST(the_101st_call_of_a_key_is_429)
{
	unsigned i;

	up();
	make_key("a", 1000, "");
	make_second_key("a", "b");

	for (i = 0; i < 100; i++)
		ck_assert_int_eq(gate(key_of("a"), ""), 200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 0);
	gate(key_of("a"), "");

	want_error(429, "rate_limited");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	ck_assert_int_le(header_num(&r, "Retry-After"), 65);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 0);
	/* another key of the same user has its own window */
	ck_assert_int_eq(gate(key_of("b"), ""), 200);
	ck_assert_int_eq(used_today(key_of("b")), 101);
}
END_TEST

START_TEST(other_routes_share_the_window_of_the_key)
{
	unsigned i;

	up();
	make_key("a", 1000, "");

	for (i = 0; i < 60; i++)
		client_get(c, "/api/usage/today", key_of("a"), &r);
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(gate(key_of("a"), ""), 200);
	client_get(c, "/api/usage/today", key_of("a"), &r);

	want_error(429, "rate_limited");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
}
END_TEST

/* With the window at a second: full, refused, and free again in time even
 * though the client keeps knocking. */
START_TEST(a_window_frees_itself_while_the_client_knocks)
{
	uint64_t first_ns, freed_ns;
	unsigned i;

	up("limits.window_ms=1000", "limits.key_count=5");
	make_key("a", 1000, "");
	gate(key_of("a"), "");
	first_ns = r.sent_mono_ns;
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(gate(key_of("a"), ""), 200);
	ck_assert_int_eq(gate(key_of("a"), ""), 429);

	WAIT_UNTIL(gate(key_of("a"), "") == 200);

	want(200);
	freed_ns = r.got_mono_ns;
	ck_assert_uint_ge(freed_ns - first_ns, 1000000000u);
}
END_TEST

START_TEST(sliding_limits_by_name_count_what_they_are_told)
{
	up();
	make_limit("('img', 5, 60000, 'sliding', 0, 'key', false)");
	make_key("a", 1000, "");

	WAIT_UNTIL(gate(key_of("a"), "limit=img:3") == 200);
	gate(key_of("a"), "limit=img:3");
	want_error(429, "rate_limited");
	ck_assert_ptr_nonnull(strstr(json_str(&r, "error.message"), "img"));
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "RateLimit-Policy"), "\"img\";q=5;w=60"));

	ck_assert_int_eq(gate(key_of("a"), "limit=img:2"), 200);
}
END_TEST

START_TEST(gcra_lets_a_burst_in_and_then_one_by_one)
{
	unsigned i, ok = 0;

	up();
	/* 2 a second, 3 at once on top of the one that is due */
	make_limit("('g', 2, 1000, 'gcra', 3, 'key', false)");
	make_key("a", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "limit=g:0") == 200);

	for (i = 0; i < 20; i++)
		ok += gate(key_of("a"), "limit=g") == 200;
	ck_assert_uint_ge(ok, 3);
	ck_assert_uint_le(ok, 8);
	ck_assert_int_eq(gate(key_of("a"), "limit=g"), 429);
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);

	WAIT_UNTIL(gate(key_of("a"), "limit=g") == 200);
	want(200);
}
END_TEST

START_TEST(a_shadow_limit_reports_and_refuses_nothing)
{
	unsigned i;

	up();
	make_limit("('sh', 2, 60000, 'sliding', 0, 'key', true)");
	make_key("a", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "limit=sh:0") == 200);

	for (i = 0; i < 10; i++) {
		gate(key_of("a"), "limit=sh");
		want(200);
	}

	ck_assert_int_eq(used_today(key_of("a")), 11);
}
END_TEST

START_TEST(scope_user_is_shared_by_the_keys_of_the_user)
{
	up();
	make_limit("('u', 2, 60000, 'sliding', 0, 'user', false)");
	make_key("a", 1000, "");
	make_second_key("a", "b");
	make_key("x", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "limit=u") == 200);

	ck_assert_int_eq(gate(key_of("b"), "limit=u"), 200);
	ck_assert_int_eq(gate(key_of("a"), "limit=u"), 429);
	ck_assert_int_eq(gate(key_of("b"), "limit=u"), 429);

	ck_assert_int_eq(gate(key_of("x"), "limit=u"), 200);
}
END_TEST

START_TEST(a_user_limit_set_for_a_user_applies_unasked)
{
	up();
	make_limit("('u', 100, 60000, 'sliding', 0, 'user', false)");
	make_key("a", 1000, "");
	sql_exec(d->conninfo,
		 "INSERT INTO limit_overrides (limit_id, user_id, count) "
		 "SELECT limit_id, user_id, 2 FROM limits, users "
		 "WHERE email = 'a@test'");
	WAIT_UNTIL(gate(key_of("a"), "cost=0&limit=u:0") != 400);

	WAIT_UNTIL(gate(key_of("a"), "") == 429);

	want_error(429, "rate_limited");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 2);
}
END_TEST

START_TEST(scope_address_counts_the_client)
{
	char head[160];
	int want_status;
	unsigned i;

	up("server.trusted_proxies=127.0.0.0/8");
	make_limit("('ip', 1, 60000, 'sliding', 0, 'address', false)");
	make_key("a", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "limit=ip:0") == 200);

	for (i = 0; i < 3; i++) {
		want_status = i == 1 ? 429 : 200;
		snprintf(head, sizeof(head),
			 "Authorization: Bearer %s\r\n"
			 "X-Forwarded-For: 198.51.100.%u\r\n",
			 key_of("a"), i == 2 ? 2u : 1u);
		client_request(c, "GET", "/api/gate?limit=ip", head, NULL, 0,
			       &r);
		want(want_status);
	}
}
END_TEST

START_TEST(overrides_give_a_key_its_own_count)
{
	unsigned i;

	up();
	make_limit("('img', 2, 60000, 'sliding', 0, 'key', false)");
	make_key("a", 1000, "");
	make_key("b", 1000, "");
	sql_exec(d->conninfo,
		 "INSERT INTO limit_overrides (limit_id, key_id, count) "
		 "SELECT limit_id, key_id, 4 FROM limits, api_keys "
		 "JOIN users USING (user_id) WHERE email = 'a@test'");
	WAIT_UNTIL(gate(key_of("b"), "limit=img:0") == 200);

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(gate(key_of("a"), "limit=img"), 200);
	ck_assert_int_eq(gate(key_of("a"), "limit=img"), 429);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(gate(key_of("b"), "limit=img"), 200);
	ck_assert_int_eq(gate(key_of("b"), "limit=img"), 429);
}
END_TEST

START_TEST(a_changed_count_applies_to_the_next_check)
{
	up();
	make_limit("('img', 1, 60000, 'sliding', 0, 'key', false)");
	make_key("a", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "limit=img") == 200);
	ck_assert_int_eq(gate(key_of("a"), "limit=img"), 429);

	sql_exec(d->conninfo, "UPDATE limits SET count = 2");

	WAIT_UNTIL(gate(key_of("a"), "limit=img") == 200);
	want(200);
	ck_assert_int_eq(gate(key_of("a"), "limit=img"), 429);
}
END_TEST

START_TEST(a_limit_named_twice_weighs_twice)
{
	up();
	make_limit("('images', 4, 60000, 'sliding', 0, 'key', false)");
	make_key("a", 1000, "");
	WAIT_UNTIL(gate(key_of("a"), "cost=0&limit=images:0") != 400);

	ck_assert_int_eq(gate(key_of("a"), "limit=images:2&limit=images"), 200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 1);
	gate(key_of("a"), "limit=images&limit=images");

	want_error(429, "rate_limited");
}
END_TEST

START_TEST(built_in_limits_can_be_named)
{
	up();
	make_key("a", 1000, "rate_limit = 10");

	gate(key_of("a"), "limit=key:4");
	want(200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 6);
	gate(key_of("a"), "limit=address:18");
	want(200);
	ck_assert_pstr_eq(header_of(&r, "RateLimit-Policy"),
			  "\"key\";q=10;w=60, \"address\";q=20;w=60, "
			  "\"credits\";q=1000;w=86400");
	gate(key_of("a"), "limit=address:3");

	want_error(429, "rate_limited");
}
END_TEST

START_TEST(anonymous_callers_count_on_limits_by_address)
{
	up();
	make_limit("('door', 2, 60000, 'sliding', 0, 'address', false)");
	WAIT_UNTIL(gate(KEY_PRO, "cost=0&limit=door:0") != 400);

	ck_assert_int_eq(gate(NULL, "anonymous=allow&limit=door:2"), 200);
	gate(NULL, "anonymous=allow&limit=door");

	want_error(429, "rate_limited");
}
END_TEST

START_TEST(an_override_of_a_user_reaches_all_his_keys)
{
	up();
	make_limit("('images', 1, 60000, 'sliding', 0, 'key', false)");
	make_key("a", 1000, "");
	make_second_key("a", "b");
	sql_exec(d->conninfo,
		 "INSERT INTO limit_overrides (limit_id, user_id, count) "
		 "SELECT l.limit_id, u.user_id, 3 FROM limits l, users u "
		 "WHERE l.name = 'images' AND u.email = 'a@test'");
	WAIT_UNTIL(gate(key_of("b"), "cost=0&limit=images:0") != 400);

	ck_assert_int_eq(gate(key_of("b"), "limit=images:3"), 200);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("limits");
	TCase *tc = fixture_case(s, "limits");

	tcase_add_test(tc, the_101st_call_of_a_key_is_429);
	tcase_add_test(tc, other_routes_share_the_window_of_the_key);
	tcase_add_test(tc, a_window_frees_itself_while_the_client_knocks);
	tcase_add_test(tc, sliding_limits_by_name_count_what_they_are_told);
	tcase_add_test(tc, gcra_lets_a_burst_in_and_then_one_by_one);
	tcase_add_test(tc, a_shadow_limit_reports_and_refuses_nothing);
	tcase_add_test(tc, scope_user_is_shared_by_the_keys_of_the_user);
	tcase_add_test(tc, a_user_limit_set_for_a_user_applies_unasked);
	tcase_add_test(tc, scope_address_counts_the_client);
	tcase_add_test(tc, overrides_give_a_key_its_own_count);
	tcase_add_test(tc, a_changed_count_applies_to_the_next_check);
	tcase_add_test(tc, a_limit_named_twice_weighs_twice);
	tcase_add_test(tc, built_in_limits_can_be_named);
	tcase_add_test(tc, anonymous_callers_count_on_limits_by_address);
	tcase_add_test(tc, an_override_of_a_user_reaches_all_his_keys);
	return fixture_run(s);
}
