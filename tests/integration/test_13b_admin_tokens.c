/*
 * Keys as admins see them: everybody's, found by a search, and changed with
 * the same rules and the same speed as their owners'.
 */
#include "admin_calls.h"

#include <stdio.h>
#include <string.h>

#define TOKENS "/api/admin/tokens"

static char key[160]; /* of the KeyCreated just answered */

/* Makes a key for the owner of the Starter key; its id. */
static const char *make(const char *more)
{
	const char *id;

	admin_send("POST", TOKENS,
		   path("{\"user_id\":\"" USER_STARTER "\"%s}", more));
	id = made(TOKENS);
	(void)snprintf(key, sizeof(key), "%s", json_str(&r, "key"));
	return id;
}

START_TEST(all_keys_are_listed_revoked_ones_too)
{
	const char *id;

	up(ADMINS, FREE_RATE);
	id = make(",\"label\":\"CI\"");
	admin_send("DELETE", path(TOKENS "/%s", id), NULL);
	want(200);

	get(TOKENS);

	ck_assert_uint_eq(rows(), 4);
	ck_assert_pstr_eq(json_str(&r, "0.id"), id); /* newest first */
	ck_assert_pstr_eq(json_str(&r, "0.user_id"), USER_STARTER);
	ck_assert_pstr_eq(json_str(&r, "0.user_email"), "starter@codexible.me");
	ck_assert_int_eq(strncmp(json_str(&r, "0.prefix"), key, 20), 0);
	ck_assert_pstr_eq(json_str(&r, "0.label"), "CI");
	ck_assert_pstr_eq(json_str(&r, "0.status"), "revoked");
	ck_assert_ptr_nonnull(json_str(&r, "0.revoked_at"));
	ck_assert_ptr_null(json_str(&r, "0.last_used_at"));
	ck_assert_pstr_eq(json_str(&r, "1.status"), "active");
	ck_assert_ptr_null(json_str(&r, "1.revoked_at"));
	ck_assert_ptr_null(strstr(r.body, key));
}
END_TEST

static const struct {
	const char *q;
	size_t n;
} searches[] = {
	{ "STARTER@", 1 },       /* e-mail */
	{ "pro%20key", 1 },      /* label */
	{ "codexible_DEMO", 3 }, /* prefix */
	{ "%25", 0 },            /* a percent sign, not anything */
	{ "e_demo", 3 },
	{ "d_mo", 0 },
	{ "'", 0 },
	{ "%20", 3 }, /* blanks are none */
	{ "%C3%A9", 0 },
};

START_TEST(a_search_takes_its_text_literally)
{
	up(ADMINS, FREE_RATE);
	EACH_ROW(searches, s)
	{
		get(path(TOKENS "?q=%s", s->q));

		ck_assert_msg(rows() == s->n, "%s: %zu", s->q, rows());
	}
}
END_TEST

START_TEST(a_list_has_its_bounds)
{
	static const char *const bad[] = { "limit=0",    "limit=201",
					   "limit=x",    "offset=-1",
					   "cursor=abc", "limit=1.5" };
	char text[102];

	up(ADMINS, FREE_RATE);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		get(path(TOKENS "?%s", bad[i]));
		want_error(400, "bad_request");
	}
	memset(text, 'a', 101);
	text[101] = '\0';
	get(path(TOKENS "?q=%s", text));
	want_error(400, "bad_request");
	get(path(TOKENS "?q=%s", text + 1));
	ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(pages_lead_through_all_of_them_once)
{
	char target[400] = TOKENS "?limit=2&q=codexible";
	size_t seen = 0, pages = 0;
	bool more;

	up(ADMINS, FREE_RATE);
	(void)make("");
	(void)make("");

	do {
		get(target);
		seen += rows();
		more = next_page(target);
		if (++pages == 1)
			(void)make(""); /* newer than what was read */
	} while (more);

	ck_assert_uint_eq(pages, 3);
	ck_assert_uint_eq(seen, 5);
}
END_TEST

START_TEST(a_key_for_a_user_has_the_rules_it_was_given)
{
	up(ADMINS, WORKERS, FREE_RATE);

	(void)make(",\"label\":\"L\",\"scopes\":[\"read\"],\"rate_limit\":9,"
		   "\"metadata\":{\"for\":\"tests\"}");

	ck_assert_pstr_eq(json_str(&r, "label"), "L");
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-store");
	ck_assert(all_say(key, "scope=write", 403));
	client_get(c, "/api/keys", KEY_STARTER, &r); /* it is theirs */
	ck_assert_pstr_eq(json_str(&r, "0.label"), "L");
	ck_assert_int_eq(json_num(&r, "0.rate_limit"), 9);
	ck_assert_pstr_eq(json_str(&r, "0.metadata.for"), "tests");
}
END_TEST

START_TEST(a_key_needs_a_user_and_room)
{
	up(ADMINS, FREE_RATE, "keys.max_per_user=2");

	admin_send("POST", TOKENS, "{\"user_id\":\"" NOBODY "\"}");
	want_error(404, "not_found");
	admin_send("POST", TOKENS, "{\"user_id\":\"nonsense\"}");
	want_error(400, "bad_request");
	admin_send("POST", TOKENS, "{\"label\":\"x\"}");
	want_error(400, "bad_request");
	(void)make("");
	admin_send("POST", TOKENS, "{\"user_id\":\"" USER_STARTER "\"}");
	want_error(409, "key_limit_reached");
}
END_TEST

START_TEST(anybodys_key_is_renamed_rotated_and_revoked)
{
	char first[160];
	const char *id, *next;

	up(ADMINS, WORKERS, FREE_RATE);
	id = make(",\"scopes\":[\"read\"]");
	strcpy(first, key);
	ck_assert(all_say(first, "scope=read&cost=0", 200));

	admin_send("PATCH", path(TOKENS "/%s", id), "{\"label\":\" New \"}");
	want(200);
	ck_assert(json_true(&r, "updated"));
	admin_send("POST", path(TOKENS "/%s/rotate", id),
		   "{\"grace_seconds\":600}");
	next = made(TOKENS);
	strcpy(key, json_str(&r, "key"));
	ck_assert_pstr_eq(json_str(&r, "label"), "New");
	ck_assert(all_say(first, "scope=read&cost=0", 200));
	ck_assert(all_say(key, "scope=read&cost=0", 200));

	/* the grace ends, then the key */
	admin_send("DELETE", path(TOKENS "/%s", id), NULL);
	want(200);
	ck_assert(json_true(&r, "deleted"));
	ck_assert(all_say(first, "scope=read&cost=0", 401));
	ck_assert(all_say(key, "scope=read&cost=0", 200));
	admin_send("DELETE", path(TOKENS "/%s", next), NULL);
	want(200);
	ck_assert(all_say(key, "scope=read&cost=0", 401));
}
END_TEST

START_TEST(what_is_not_there_is_404)
{
	static const char *const acts[][3] = {
		{ "PATCH", "", "{\"label\":\"x\"}" },
		{ "DELETE", "", NULL },
		{ "POST", "/rotate", "{}" },
	};
	const char *gone;

	up(ADMINS, FREE_RATE);
	gone = make("");
	admin_send("DELETE", path(TOKENS "/%s", gone), NULL);
	want(200);

	for (size_t i = 0; i < 3; i++) {
		admin_send(acts[i][0], path(TOKENS "/%s%s", gone, acts[i][1]),
			   acts[i][2]);
		want_error(404, "not_found");
		admin_send(acts[i][0], path(TOKENS "/" NOBODY "%s", acts[i][1]),
			   acts[i][2]);
		want_error(404, "not_found");
		admin_send(acts[i][0], path(TOKENS "/17%s", acts[i][1]),
			   acts[i][2]);
		want_error(400, "bad_request");
	}
}
END_TEST

START_TEST(admins_are_named_in_the_audit_log)
{
	const char *id, *next;

	up(ADMINS, FREE_RATE);
	id = make(",\"label\":\"Secret plan\"");
	admin_send("PATCH", path(TOKENS "/%s", id), "{\"label\":\"b\"}");
	admin_send("POST", path(TOKENS "/%s/rotate", id), "{}");
	next = made(TOKENS);
	admin_send("DELETE", path(TOKENS "/%s", next), NULL);
	want(200);

	get("/api/admin/logs?limit=4");

	want(200);
	ck_assert_pstr_eq(json_str(&r, "logs.0.action"), "token.revoke");
	ck_assert_pstr_eq(json_str(&r, "logs.0.target"), next);
	ck_assert_pstr_eq(json_str(&r, "logs.1.action"), "token.rotate");
	ck_assert_pstr_eq(json_str(&r, "logs.1.target"), id);
	ck_assert_pstr_eq(json_str(&r, "logs.2.action"), "token.update");
	ck_assert_pstr_eq(json_str(&r, "logs.3.action"), "token.create");
	for (int i = 0; i < 4; i++)
		ck_assert_pstr_eq(json_str(&r, path("logs.%d.actor", i)),
				  "team@codexible.me");
	ck_assert_ptr_null(strstr(r.body, key));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("admin tokens");
	TCase *tc = fixture_case(s, "tokens");

	tcase_add_test(tc, all_keys_are_listed_revoked_ones_too);
	tcase_add_test(tc, a_search_takes_its_text_literally);
	tcase_add_test(tc, a_list_has_its_bounds);
	tcase_add_test(tc, pages_lead_through_all_of_them_once);
	tcase_add_test(tc, a_key_for_a_user_has_the_rules_it_was_given);
	tcase_add_test(tc, a_key_needs_a_user_and_room);
	tcase_add_test(tc, anybodys_key_is_renamed_rotated_and_revoked);
	tcase_add_test(tc, what_is_not_there_is_404);
	tcase_add_test(tc, admins_are_named_in_the_audit_log);
	return fixture_run(s);
}
