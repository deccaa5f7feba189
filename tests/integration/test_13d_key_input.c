/*
 * What a new key may be given, and where each rule ends.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>

#define ROTATE    "/api/keys/" ID_PRO "/rotate"

static void create(const char *body)
{
	call("POST", "/api/keys", KEY_PRO, body);
}

static char made_key[160]; /* of the KeyCreated just answered */
static void take_made(void)
{
	want(201);
	(void)snprintf(made_key, sizeof(made_key), "%s", json_str(&r, "key"));
}

START_TEST(a_label_is_optional)
{
	static const char *const bodies[] = { NULL, "{}", "{\"label\":null}" };

	up(FREE_RATE);

	for (size_t i = 0; i < 3; i++) {
		call("POST", "/api/keys", KEY_PRO, bodies[i]);
		take_made();
		ck_assert_pstr_eq(json_str(&r, "label"), "Default");
	}
}
END_TEST

static const struct {
	const char *body, *member;
} bad[] = {
	{ "{\"label\":\"\"}", "label" },
	{ "{\"label\":\"   \"}", "label" },
	{ "{\"label\":\"a\\u0007b\"}", "label" },
	{ "{\"label\":7}", "label" },
	{ "{\"expires_at\":\"soon\"}", "expires_at" },
	{ "{\"expires_at\":\"1970-01-01T00:00:00Z\"}", "expires_at" },
	{ "{\"scopes\":\"read\"}", "scopes" },
	{ "{\"scopes\":[\"a,b\"]}", "scopes" },
	{ "{\"scopes\":[\"a b\"]}", "scopes" },
	{ "{\"scopes\":[\"\"]}", "scopes" },
	{ "{\"allowed_ips\":[\"10.0.0.1/8\"]}", "allowed_ips" },
	{ "{\"allowed_ips\":[\"host\"]}", "allowed_ips" },
	{ "{\"rate_limit\":0}", "rate_limit" },
	{ "{\"rate_limit\":2147483648}", "rate_limit" },
	{ "{\"daily_credit_limit\":-1}", "daily_credit_limit" },
	{ "{\"metadata\":[1]}", "metadata" },
	{ "{\"metadata\":\"x\"}", "metadata" },
	{ "{\"metadata\":{\"a\":\"\\u0000\"}}", "u0000" },
	{ "{\"label\":\"a\\u0085b\"}", "label" },
	{ "{\"scopes\":[1]}", "scopes" },
	{ "{\"scopes\":[\"\u00e9\"]}", "scopes" },
	{ "{\"allowed_ips\":[\"10.0.0.0/33\"]}", "allowed_ips" },
	{ "{\"rate_limit\":1.5}", "rate_limit" },
	{ "{\"daily_credit_limit\":2147483648}", "daily_credit_limit" },
	{ "{\"expires_at\":4102444800}", "expires_at" },
	{ "[]", "object" },
};

START_TEST(bad_members_are_400_and_named)
{
	up(FREE_RATE);
	EACH_ROW(bad, row)
	{
		row_name = row->body;

		call("POST", "/api/keys", KEY_PRO, row->body);

		want_error(400, "bad_request");
		ck_assert_msg(strstr(json_str(&r, "error.message"),
				     row->member) != NULL,
			      "%s: %s", row->body,
			      json_str(&r, "error.message"));
	}
}
END_TEST

START_TEST(grace_has_its_bounds)
{
	up(FREE_RATE);

	call("POST", ROTATE, KEY_PRO, "{\"grace_seconds\":86401}");
	want_error(400, "bad_request");
	call("POST", ROTATE, KEY_PRO, "{\"grace_seconds\":-1}");
	want_error(400, "bad_request");
	gate(KEY_PRO, "");
	want(200);
}
END_TEST

/* "{"MEMBER":BEFORE", n times the item, "AFTER}"; valid until the next. */
static const char *repeated(const char *before, const char *item, size_t n,
			    const char *after)
{
	static char text[16384];
	size_t len = strlen(item), at;

	at = (size_t)snprintf(text, sizeof(text), "{%s", before);
	ck_assert_uint_lt(at + n * len + strlen(after) + 2, sizeof(text));
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(text + at, item, len);
	(void)snprintf(text + at, sizeof(text) - at, "%s}", after);
	return text;
}

START_TEST(a_label_has_100_characters_of_any_length)
{
	up(FREE_RATE);

	create(repeated("\"label\":\"", "\xf0\x9f\x94\x91", 100, "\""));
	take_made();
	call("GET", "/api/keys", KEY_PRO, NULL);
	ck_assert_uint_eq(strlen(json_str(&r, "0.label")), 400);
	create(repeated("\"label\":\"", "\xf0\x9f\x94\x91", 101, "\""));
	want_error(400, "bad_request");
}
END_TEST

START_TEST(lists_and_metadata_have_their_ends)
{
	up(FREE_RATE);

	create(repeated("\"scopes\":[\"a\"", ",\"b\"", 31, "]"));
	want(201);
	create(repeated("\"scopes\":[\"a\"", ",\"b\"", 32, "]"));
	want_error(400, "bad_request");
	create(repeated("\"scopes\":[\"", "x", 64, "\"]"));
	want(201);
	create(repeated("\"scopes\":[\"", "x", 65, "\"]"));
	want_error(400, "bad_request");
	create(repeated("\"allowed_ips\":[\"::1\"", ",\"10.0.0.0/8\"", 63,
			"]"));
	want(201);
	create(repeated("\"allowed_ips\":[\"::1\"", ",\"10.0.0.0/8\"", 64,
			"]"));
	want_error(400, "bad_request");
	/* {"a":"..."} is 8 bytes around it */
	create(repeated("\"metadata\":{\"a\":\"", "x", 4088, "\"}"));
	want(201);
	call("GET", "/api/keys?limit=1", KEY_PRO, NULL);
	ck_assert_uint_eq(strlen(json_str(&r, "0.metadata.a")), 4088);
	create(repeated("\"metadata\":{\"a\":\"", "x", 4089, "\"}"));
	want_error(400, "bad_request");
}
END_TEST

START_TEST(metadata_comes_back_as_it_was)
{
	up(FREE_RATE);

	create("{\"metadata\":{\"n\":null,\"list\":[1,-2,2.5,\"\\u00e9\"],"
	       "\"big\":9007199254740993,\"deep\":{\"t\":true}}}");
	want(201);
	call("GET", "/api/keys?limit=1", KEY_PRO, NULL);
	want(200);
	ck_assert_int_eq(json_num(&r, "0.metadata.big"), 9007199254740993);
	ck_assert_pstr_eq(json_str(&r, "0.metadata.list.3"), "\xc3\xa9");
	ck_assert(json_true(&r, "0.metadata.deep.t"));
	ck_assert_ptr_nonnull(strstr(r.body, "\"n\":null"));
	create("{\"metadata\":{}}");
	want(201);
	call("GET", "/api/keys?limit=1", KEY_PRO, NULL);
	ck_assert_ptr_nonnull(strstr(r.body, "\"metadata\":{}"));
}
END_TEST

START_TEST(an_empty_list_is_no_rule)
{
	up(FREE_RATE);

	create("{\"scopes\":[],\"allowed_ips\":null,\"rate_limit\":null,"
	       "\"daily_credit_limit\":null,\"expires_at\":null,"
	       "\"metadata\":null}");
	take_made();

	gate(made_key, "scope=anything");
	want(200);
	call("GET", "/api/keys?limit=1", KEY_PRO, NULL);
	ck_assert_ptr_nonnull(strstr(r.body, "\"scopes\":[],"));
	ck_assert_ptr_nonnull(strstr(r.body, "\"allowed_ips\":[],"));
	ck_assert_ptr_nonnull(strstr(r.body, "\"metadata\":null"));
}
END_TEST

/* The year does not fit into 32 bits of seconds. */
START_TEST(a_key_may_end_in_the_far_future)
{
	up(FREE_RATE);

	create("{\"expires_at\":\"2110-01-01T01:00:00+01:00\"}");
	take_made();

	gate(made_key, "");
	want(200);
	call("GET", "/api/keys?limit=1", KEY_PRO, NULL);
	ck_assert_pstr_eq(json_str(&r, "0.expires_at"), "2110-01-01T00:00:00Z");
}
END_TEST

START_TEST(a_key_ends_at_its_time)
{
	up(FREE_RATE);
	create("{\"expires_at\":\"2099-01-01T00:00:00Z\"}");
	take_made();
	gate(made_key, "");
	want(200);

	sql_exec(d->conninfo, "UPDATE api_keys SET expires_at = '1969-07-20' "
			      "WHERE expires_at IS NOT NULL");
	WAIT_UNTIL(gate(made_key, "") == 401);

	want_error(401, "unauthorized");
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "X-Tally-Reason"), "expired"));
	call("GET", "/api/keys", KEY_PRO, NULL); /* it is listed still */
	ck_assert_pstr_eq(json_str(&r, "0.expires_at"), "1969-07-20T00:00:00Z");
}
END_TEST

START_TEST(unknown_members_are_ignored)
{
	up(FREE_RATE);

	create("{\"label\":\"x\",\"key_hash\":\"00\",\"user_id\":"
	       "\"" USER_STARTER "\"}");
	take_made();

	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM api_keys WHERE label = "
				 "'x' AND user_id = '" USER_PRO "'"),
			 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("key input");
	TCase *tc = fixture_case(s, "input");

	tcase_add_test(tc, a_label_is_optional);
	tcase_add_test(tc, bad_members_are_400_and_named);
	tcase_add_test(tc, grace_has_its_bounds);
	tcase_add_test(tc, a_label_has_100_characters_of_any_length);
	tcase_add_test(tc, lists_and_metadata_have_their_ends);
	tcase_add_test(tc, metadata_comes_back_as_it_was);
	tcase_add_test(tc, an_empty_list_is_no_rule);
	tcase_add_test(tc, a_key_may_end_in_the_far_future);
	tcase_add_test(tc, a_key_ends_at_its_time);
	tcase_add_test(tc, unknown_members_are_ignored);
	return fixture_run(s);
}
