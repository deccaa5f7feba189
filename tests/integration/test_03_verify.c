/* /api/verify and /api/verify/batch, in JSON and in MessagePack. */
#include "lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/mem.h"

#define ENCODINGS 2 /* loop tests: 0 JSON, 1 MessagePack */

static void verify(const char *fmt, const char *key)
{
	char text[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, key);
#pragma GCC diagnostic pop
	client_call(c, "/api/verify", NULL, text, NULL, &r);
}

START_TEST(good_key_is_told_with_all_its_figures)
{
	up();
	c->msgpack = _i;

	verify("{\"key\":\"%s\"}", KEY_PRO);

	want(200);
	ck_assert(json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "code"), "ok");
	ck_assert_pstr_eq(json_str(&r, "user_id"), USER_PRO);
	ck_assert_pstr_eq(json_str(&r, "key_id"), ID_PRO);
	ck_assert_pstr_eq(json_str(&r, "plan"), "Pro");
	ck_assert_ptr_nonnull(json_at(r.json, "scopes"));
	ck_assert_int_eq(json_num(&r, "credits.limit"), 250);
	ck_assert_int_eq(json_num(&r, "credits.used"), 143);
	ck_assert_int_eq(json_num(&r, "credits.remaining"), 107);
	ck_assert_uint_eq(strlen(json_str(&r, "credits.resets_at")), 20);
	ck_assert_pstr_eq(json_str(&r, "rate.0.name"), "key");
	ck_assert_int_eq(json_num(&r, "rate.0.limit"), 100);
	ck_assert_int_eq(json_num(&r, "rate.0.remaining"), 99);
	ck_assert_int_gt(json_num(&r, "rate.0.reset_ms"), 50000);
	ck_assert_pstr_eq(json_str(&r, "request_id"),
			  header_of(&r, "X-Request-Id"));
	ck_assert_pstr_eq(header_of(&r, "Content-Type"),
			  _i ? "application/msgpack" : "application/json");
}
END_TEST

START_TEST(unknown_key_is_a_decided_answer)
{
	up();
	c->msgpack = _i;

	verify("{\"key\":\"%s\"}", "unknown_key_of_nobody");

	want(200);
	ck_assert(!json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "code"), "unauthorized");
	ck_assert_ptr_nonnull(json_str(&r, "reason"));
}
END_TEST

START_TEST(quota_exceeded_is_a_decided_answer)
{
	up();
	c->msgpack = _i;

	verify("{\"key\":\"%s\",\"cost\":109}", KEY_PRO);

	want(200);
	ck_assert(!json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "code"), "quota_exceeded");
	ck_assert_ptr_nonnull(json_str(&r, "reason"));
	ck_assert_int_gt(json_num(&r, "retry_after_ms"), 0);
	ck_assert_int_eq(used_today(KEY_PRO), 142);
}
END_TEST

START_TEST(dry_run_answers_and_charges_nothing)
{
	up();
	c->msgpack = _i;

	verify("{\"key\":\"%s\",\"cost\":108,\"dry_run\":true}", KEY_PRO);
	want(200);
	ck_assert(json_true(&r, "valid"));
	verify("{\"key\":\"%s\",\"cost\":109,\"dry_run\":true}", KEY_PRO);
	ck_assert(!json_true(&r, "valid"));
	verify("{\"key\":\"%s\",\"dry_run\":true}", KEY_PRO);

	ck_assert_int_eq(json_num(&r, "rate.0.limit"), 100);
	ck_assert_int_eq(used_today(KEY_PRO), 142);
	gate(KEY_PRO, "cost=0");
	/* one by usage/today, one by the gate */
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 98);
}
END_TEST

START_TEST(scopes_are_checked)
{
	up();
	make_key("s", 10, "scopes = '{read}'");

	verify("{\"key\":\"%s\",\"scopes\":[\"read\"]}", key_of("s"));
	ck_assert(json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "scopes.0"), "read");
	verify("{\"key\":\"%s\",\"scopes\":[\"read\",\"write\"]}", key_of("s"));

	ck_assert(!json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "code"), "forbidden");
}
END_TEST

START_TEST(ip_of_the_end_client_decides)
{
	up();
	make_key("b", 10, "allowed_ips = '{203.0.113.0/24}'");

	verify("{\"key\":\"%s\",\"ip\":\"203.0.113.9\"}", key_of("b"));
	ck_assert(json_true(&r, "valid"));
	verify("{\"key\":\"%s\",\"ip\":\"203.0.114.9\"}", key_of("b"));
	ck_assert_pstr_eq(json_str(&r, "code"), "forbidden");
	verify("{\"key\":\"%s\"}", key_of("b"));
	ck_assert_pstr_eq(json_str(&r, "code"), "forbidden");
	verify("{\"key\":\"%s\",\"ip\":\"not an ip\"}", key_of("b"));

	want_error(400, "bad_request");
}
END_TEST

START_TEST(address_limit_without_ip_is_400)
{
	up();
	sql_exec(d->conninfo, "INSERT INTO limits (name, count, window_ms, "
			      "scope) VALUES ('perip', 1, 60000, 'address')");
	WAIT_UNTIL((verify("{\"key\":\"%s\",\"dry_run\":true,\"ip\":\"::1\","
			   "\"limits\":[{\"name\":\"perip\"}]}",
			   KEY_PRO),
		    r.status == 200));

	verify("{\"key\":\"%s\",\"limits\":[{\"name\":\"perip\"}]}", KEY_PRO);
	want_error(400, "bad_request");
	verify("{\"key\":\"%s\",\"ip\":\"1.1.1.1\","
	       "\"limits\":[{\"name\":\"perip\"}]}",
	       KEY_PRO);
	ck_assert(json_true(&r, "valid"));
	verify("{\"key\":\"%s\",\"ip\":\"1.1.1.1\","
	       "\"limits\":[{\"name\":\"perip\"}]}",
	       KEY_PRO);
	ck_assert_pstr_eq(json_str(&r, "code"), "rate_limited");
	verify("{\"key\":\"%s\",\"ip\":\"1.1.1.2\","
	       "\"limits\":[{\"name\":\"perip\"}]}",
	       KEY_PRO);

	ck_assert(json_true(&r, "valid"));
}
END_TEST

static const char *const bad_bodies[] = {
	"{}",
	"[]",
	"{\"key\":7}",
	"{\"key\":\"k\",\"cost\":-1}",
	"{\"key\":\"k\",\"cost\":1000001}",
	"{\"key\":\"k\",\"cost\":\"1\"}",
	"{\"key\":\"k\",\"scopes\":\"read\"}",
	"{\"key\":\"k\",\"limits\":[{\"name\":\"nowhere\"}]}",
	"{\"key\":\"k\",\"dry_run\":\"yes\"}",
};

START_TEST(bad_bodies_are_400)
{
	up(FREE_RATE);
	c->msgpack = _i == 1;
	EACH_ROW(bad_bodies, body)
	{
		row_name = *body;

		client_call(c, "/api/verify", NULL, *body, NULL, &r);

		want_error(400, "bad_request");
	}
}
END_TEST

START_TEST(malformed_and_foreign_bodies_are_refused)
{
	up();

	client_call(c, "/api/verify", NULL, "{\"key\":", NULL, &r);
	want_error(400, "bad_request");
	client_request(c, "POST", "/api/verify",
		       "Content-Type: application/msgpack\r\n", "\x81\xa3k", 3,
		       &r);
	want_error(400, "bad_request");
	client_request(c, "POST", "/api/verify", "Content-Type: text/plain\r\n",
		       "{}", 2, &r);

	want_error(415, "unsupported_media_type");
}
END_TEST

START_TEST(large_bodies_are_413)
{
	size_t len = 16385;
	char *body = tl_alloc(300000);

	up();
	memset(body, ' ', 300000);
	memcpy(body, "{}", 2);

	client_request(c, "POST", "/api/verify",
		       "Content-Type: application/json\r\n", body, len, &r);
	want_error(413, "payload_too_large");
	client_request(c, "POST", "/api/verify/batch",
		       "Content-Type: application/json\r\n", body, 256 * 1024,
		       &r);
	want_error(400, "bad_request"); /* fits, but has no items */
	client_request(c, "POST", "/api/verify/batch",
		       "Content-Type: application/json\r\n", body,
		       256 * 1024 + 1, &r);

	want_error(413, "payload_too_large");
	tl_free(body);
}
END_TEST

START_TEST(a_proxied_request_is_not_allowed_by_address)
{
	static const char *const heads[] = {
		"X-Forwarded-For: 10.0.0.1\r\n",
		"Forwarded: for=10.0.0.1\r\n",
		"X-Real-IP: 10.0.0.1\r\n",
	};
	unsigned i;

	up();

	for (i = 0; i < 3; i++) {
		client_call(c, "/api/verify", NULL, "{\"key\":\"" KEY_PRO "\"}",
			    heads[i], &r);
		want_error(401, "unauthorized");
	}
	ck_assert_int_eq(used_today(KEY_PRO), 142);
}
END_TEST

START_TEST(a_caller_needs_the_named_scope)
{
	up("gate.verify_allow=192.0.2.0/24"); /* not us */
	make_key("service", 100, "scopes = '{tally.verify}'");
	make_key("other", 100, "scopes = '{read}'");

	client_call(c, "/api/verify", key_of("service"),
		    "{\"key\":\"" KEY_PRO "\"}", NULL, &r);
	want(200);
	ck_assert(json_true(&r, "valid"));
	ck_assert_int_eq(used_today(key_of("service")), 0);
	client_call(c, "/api/verify", key_of("other"),
		    "{\"key\":\"" KEY_PRO "\"}", NULL, &r);
	want_error(403, "forbidden");
	/* an empty list is not all here */
	client_call(c, "/api/verify", KEY_STARTER, "{\"key\":\"" KEY_PRO "\"}",
		    NULL, &r);
	want_error(403, "forbidden");
	client_call(c, "/api/verify", NULL, "{\"key\":\"" KEY_PRO "\"}", NULL,
		    &r);

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(batch_answers_in_order_each_its_own_decision)
{
	up();
	c->msgpack = _i;
	make_key("three", 100, "rate_limit = 3");

	client_call(c, "/api/verify/batch", NULL,
		    "{\"items\":[{\"key\":\"" KEY_PRO "\",\"cost\":2},"
		    "{\"key\":\"test_three_0123456789\"},"
		    "{\"key\":\"nobody_has_this_key\"},"
		    "{\"key\":\"test_three_0123456789\"},"
		    "{\"key\":\"test_three_0123456789\"},"
		    "{\"key\":\"test_three_0123456789\"},"
		    "{\"key\":\"" KEY_PRO "\",\"cost\":107}]}",
		    NULL, &r);

	want(200);
	ck_assert_int_eq(json_num(&r, "results.0.credits.used"), 144);
	ck_assert(json_true(&r, "results.1.valid"));
	ck_assert_pstr_eq(json_str(&r, "results.2.code"), "unauthorized");
	ck_assert(json_true(&r, "results.3.valid"));
	ck_assert(json_true(&r, "results.4.valid"));
	ck_assert_pstr_eq(json_str(&r, "results.5.code"), "rate_limited");
	ck_assert_pstr_eq(json_str(&r, "results.6.code"), "quota_exceeded");
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "results")),
			  7);
}
END_TEST

/* {"items":[N times the item]} */
static char *batch_of(unsigned n, const char *item, unsigned bad_at)
{
	char *text = tl_alloc(64 + n * (strlen(item) + 1)), *p = text;
	unsigned i;

	p = stpcpy(p, "{\"items\":[");
	for (i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ',';
		p = stpcpy(p, i == bad_at ? "{\"key\":7}" : item);
	}
	stpcpy(p, "]}");
	return text;
}

START_TEST(batch_takes_1_to_1000_items)
{
	static const unsigned sizes[] = { 0, 1, 1000, 1001 };
	static const char item[] = "{\"key\":\"" KEY_PRO "\",\"cost\":0,"
				   "\"dry_run\":true}";
	unsigned i;
	char *text;

	up();
	c->msgpack = _i;

	for (i = 0; i < 4; i++) {
		text = batch_of(sizes[i], item, 9999);
		client_call(c, "/api/verify/batch", NULL, text, NULL, &r);
		tl_free(text);
		want(i == 1 || i == 2 ? 200 : 400);
		if (r.status == 200)
			ck_assert_uint_eq(json_object_array_length(
						  json_at(r.json, "results")),
					  sizes[i]);
	}
}
END_TEST

START_TEST(a_bad_item_refuses_the_whole_batch_and_names_it)
{
	char *text = batch_of(20, "{\"key\":\"" KEY_PRO "\"}", 13);

	up();
	c->msgpack = _i;

	client_call(c, "/api/verify/batch", NULL, text, NULL, &r);

	want_error(400, "bad_request");
	ck_assert_ptr_nonnull(strstr(r.body, "13"));
	ck_assert_int_eq(used_today(KEY_PRO), 142);
	tl_free(text);
}
END_TEST

START_TEST(batch_loads_keys_it_has_never_seen)
{
	char name[32], *text = tl_alloc(65536), *p = text;
	unsigned i;

	up();
	sql_exec(d->conninfo,
		 "INSERT INTO api_keys (user_id, key_prefix, key_hash) "
		 "SELECT '" USER_PRO "', 'x', encode(sha256("
		 "('new_key_number_' || i)::bytea), 'hex') "
		 "FROM generate_series(0, 199) i");
	p = stpcpy(p, "{\"items\":[");
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "new_key_number_%u", i);
		p += sprintf(p, "%s{\"key\":\"%s\",\"cost\":0}",
			     i > 0 ? "," : "", name);
	}
	stpcpy(p, "]}");

	client_call(c, "/api/verify/batch", NULL, text, NULL, &r);

	want(200);
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "results.%u.valid", i);
		ck_assert_msg(json_true(&r, name), "%s", name);
	}
	tl_free(text);
}
END_TEST

/* A trusted proxy vouches for the address it names, not for one it leaves
 * out. */
START_TEST(a_trusted_proxy_must_tell_for_whom_it_asks)
{
	static const struct {
		const char *head;
		int status;
	} cases[] = {
		{ NULL, 200 },
		{ "X-Forwarded-For: 127.0.0.1\r\n", 200 },
		{ "X-Forwarded-For: 203.0.113.9\r\n", 401 },
		{ "Forwarded: for=203.0.113.9\r\n", 401 },
		{ "X-Forwarded-For: unknown\r\n", 401 },
		{ "X-Forwarded-For: 127.0.0.1, unknown\r\n", 401 },
		{ "X-Real-IP: junk\r\n", 401 },
	};
	unsigned i;

	up("server.trusted_proxies=127.0.0.0/8");

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		client_call(c, "/api/verify", NULL, "{\"key\":\"" KEY_PRO "\"}",
			    cases[i].head, &r);
		want(cases[i].status);
	}
}
END_TEST

/* What a stranger presented must not refuse the questions beside it. */
START_TEST(a_very_long_key_is_unknown_and_no_bad_request)
{
	char *body = tl_alloc(8192);

	up();
	snprintf(body, 8192,
		 "{\"items\":[{\"key\":\"%06000d\"},{\"key\":\"%s\"}]}", 0,
		 KEY_PRO);

	client_call(c, "/api/verify/batch", NULL, body, NULL, &r);

	want(200);
	ck_assert_pstr_eq(json_str(&r, "results.0.code"), "unauthorized");
	ck_assert_pstr_eq(json_str(&r, "results.1.code"), "ok");
	tl_free(body);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("verify");
	TCase *tc = fixture_case(s, "verify");

	tcase_add_loop_test(tc, good_key_is_told_with_all_its_figures, 0,
			    ENCODINGS);
	tcase_add_loop_test(tc, unknown_key_is_a_decided_answer, 0, ENCODINGS);
	tcase_add_loop_test(tc, quota_exceeded_is_a_decided_answer, 0,
			    ENCODINGS);
	tcase_add_loop_test(tc, dry_run_answers_and_charges_nothing, 0,
			    ENCODINGS);
	tcase_add_test(tc, scopes_are_checked);
	tcase_add_test(tc, ip_of_the_end_client_decides);
	tcase_add_test(tc, address_limit_without_ip_is_400);
	tcase_add_loop_test(tc, bad_bodies_are_400, 0, ENCODINGS);
	tcase_add_test(tc, malformed_and_foreign_bodies_are_refused);
	tcase_add_test(tc, large_bodies_are_413);
	tcase_add_test(tc, a_proxied_request_is_not_allowed_by_address);
	tcase_add_test(tc, a_caller_needs_the_named_scope);
	tcase_add_loop_test(tc, batch_answers_in_order_each_its_own_decision, 0,
			    ENCODINGS);
	tcase_add_loop_test(tc, batch_takes_1_to_1000_items, 0, ENCODINGS);
	tcase_add_loop_test(tc, a_bad_item_refuses_the_whole_batch_and_names_it,
			    0, ENCODINGS);
	tcase_add_test(tc, batch_loads_keys_it_has_never_seen);
	tcase_add_test(tc, a_trusted_proxy_must_tell_for_whom_it_asks);
	tcase_add_test(tc, a_very_long_key_is_unknown_and_no_bad_request);
	return fixture_run(s);
}
