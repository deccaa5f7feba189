/*
 * The acceptance checks of the metering specification, by their numbers.
 *
 * Each stands for itself here, though finer tests of the same things are in
 * the files before: this is the list a customer would go through.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crowd.h"
#include "lib/midnight.h"

#define ORIGIN "https://app.example"

static void validate(const char *token)
{
	char body[256];

	(void)snprintf(body, sizeof(body), "{\"token\":\"%s\"}", token);
	client_call(c, "/api/auth/validate", NULL, body, NULL, &r);
	want(200);
}

static char made_id[64], made_key[160];

static void take_made(void)
{
	want(201);
	(void)snprintf(made_id, sizeof(made_id), "%s", json_str(&r, "id"));
	(void)snprintf(made_key, sizeof(made_key), "%s", json_str(&r, "key"));
}

static void act(const char *method, const char *target, const char *key)
{
	char headers[256];

	(void)snprintf(headers, sizeof(headers),
		       "Authorization: Bearer %s\r\nContent-Length: 0\r\n",
		       key);
	client_request(c, method, target, headers, NULL, 0, &r);
}

/* True: some text column of the schema holds it. */
static bool dump_holds(const char *text)
{
	char command[1024], *file = world_path("dump.sql"), *dump;
	bool found;

	(void)snprintf(command, sizeof(command),
		       "psql -X -q -d '%s' -c \"SELECT * FROM users, api_keys, "
		       "audit_log\" >'%s'",
		       d->conninfo, file);
	ck_assert_int_eq(system(command), 0);
	dump = world_read(file);
	ck_assert_ptr_nonnull(strstr(dump, "codexible_demo"));
	found = strstr(dump, text) != NULL;
	free(dump);
	free(file);
	return found;
}

START_TEST(acceptance_01_a_created_key_is_nowhere_but_in_its_reply)
{
	char part[160];

	up();

	act("POST", "/api/keys", KEY_PRO);
	take_made();
	ck_assert_uint_eq(strlen(made_key), 42);
	ck_assert_uint_eq(strspn(made_key + 10, "0123456789abcdef"), 32);
	ck_assert_int_eq(strncmp(made_key, "codexible_", 10), 0);
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-store");

	client_get(c, "/api/keys", KEY_PRO, &r);
	want(200);
	ck_assert_ptr_null(strstr(r.body, made_key));
	ck_assert(!dump_holds(made_key));
	(void)snprintf(part, sizeof(part), "%s", made_key);
	part[20] = '\0';
	ck_assert(dump_holds(part)); /* the prefix is there */
	(void)snprintf(part, sizeof(part), "%s", made_key + 20);
	part[8] = '\0';
	ck_assert(!dump_holds(part));
}
END_TEST

/* Whichever worker answers: each connection is most likely another's. */
static void want_everywhere(const char *key, int status)
{
	for (int i = 0; i < 40; i++) {
		client_close(c);
		client_get(c, "/api/usage/today", key, &r);
		want(status);
	}
}

START_TEST(acceptance_03_a_revoked_key_is_401_in_every_worker)
{
	char target[128];

	up("server.workers=4", "server.reuseport=yes", "limits.enabled=no");
	act("POST", "/api/keys", KEY_PRO);
	take_made();
	want_everywhere(made_key, 200);

	(void)snprintf(target, sizeof(target), "/api/keys/%s", made_id);
	act("DELETE", target, KEY_PRO);
	want(200);

	want_everywhere(made_key, 401);
}
END_TEST

START_TEST(acceptance_03_a_suspended_user_is_403_in_every_worker)
{
	static const char suspend[] = "{\"status\":\"suspended\"}";

	up("server.workers=4", "server.reuseport=yes", "limits.enabled=no",
	   "admin.emails=demo@codexible.me");
	want_everywhere(KEY_STARTER, 200);

	client_request(c, "PATCH", "/api/admin/users/" USER_STARTER,
		       "Authorization: Bearer " KEY_PRO "\r\n"
		       "Content-Type: application/json\r\n",
		       suspend, sizeof(suspend) - 1, &r);
	want(200);

	want_everywhere(KEY_STARTER, 403);
	client_get(c, "/api/keys", KEY_STARTER, &r);
	want_error(403, "forbidden");
}
END_TEST

START_TEST(acceptance_04_rotate_keeps_the_label_and_changes_the_rest)
{
	char old_id[64], old_key[160], target[128];

	up();
	client_call(c, "/api/keys", KEY_PRO, "{\"label\":\"CI\"}", NULL, &r);
	take_made();
	strcpy(old_id, made_id);
	strcpy(old_key, made_key);

	(void)snprintf(target, sizeof(target), "/api/keys/%s/rotate", old_id);
	act("POST", target, KEY_PRO);
	take_made();

	ck_assert_pstr_eq(json_str(&r, "label"), "CI");
	ck_assert_str_ne(made_id, old_id);
	ck_assert_str_ne(made_key, old_key);
	ck_assert_int_ne(strncmp(json_str(&r, "prefix"), old_key, 20), 0);
	client_get(c, "/api/usage/today", old_key, &r);
	want_error(401, "unauthorized");
	client_get(c, "/api/usage/today", made_key, &r);
	want(200);
}
END_TEST

START_TEST(acceptance_02_validate_and_the_missing_header)
{
	up();

	validate(KEY_PRO);
	ck_assert(json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "user.plan"), "Pro");

	validate("codexible_00000000000000000000000000000000");
	ck_assert_ptr_nonnull(json_at(r.json, "valid"));
	ck_assert(!json_true(&r, "valid"));

	client_get(c, "/api/usage/today", NULL, &r);
	want_error(401, "unauthorized");
}
END_TEST

static void charge_once(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	static struct reply a;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		client_call(own, "/api/usage/record", KEY_STARTER, "{}", NULL,
			    &a);
		crowd_note(w, number, a.sent_mono_ns, a.got_mono_ns, a.status,
			   0);
	}
	reply_deinit(&a);
	client_free(&own);
}

START_TEST(acceptance_05_starter_has_52_left)
{
	up();
	ck_assert_int_eq(used_today(KEY_STARTER), 23);

	for (int i = 0; i < 52; i++) {
		client_call(c, "/api/usage/record", KEY_STARTER, "{}", NULL,
			    &r);
		want(200);
	}
	client_call(c, "/api/usage/record", KEY_STARTER, "{}", NULL, &r);

	want_error(429, "quota_exceeded");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	ck_assert_int_le(header_num(&r, "Retry-After"), 86400);
}
END_TEST

START_TEST(acceptance_05_starter_has_52_left_in_parallel)
{
	struct crowd *w;

	up("server.workers=2", "limits.enabled=no");

	w = crowd_start(20, charge_once, NULL); /* of 10 calls each */
	crowd_wait(w);

	ck_assert_uint_eq(crowd_count(w, 200, -1), 52);
	ck_assert_uint_eq(crowd_count(w, 429, -1), 148);
	ck_assert_int_eq(used_today(KEY_STARTER), 75);
	crowd_free(&w);
}
END_TEST

START_TEST(acceptance_06_failed_calls_change_nothing_and_a_kill_loses_nothing)
{
	int64_t credits, requests;

	up("limits.enabled=no", "server.workers=1");
	client_get(c, "/api/usage/today", KEY_PRO, &r);
	credits = json_num(&r, "credits_used");
	requests = json_num(&r, "request_count");

	client_call(c, "/api/usage/record", KEY_PRO, "{\"credits\":0}", NULL,
		    &r);
	want_error(400, "bad_request");
	client_call(c, "/api/usage/record", KEY_PRO, "{\"credits\":1000000}",
		    NULL, &r);
	want_error(429, "quota_exceeded");
	client_get(c, "/api/usage/today", KEY_PRO, &r);
	ck_assert_int_eq(json_num(&r, "credits_used"), credits);
	ck_assert_int_eq(json_num(&r, "request_count"), requests);

	for (int i = 0; i < 10; i++) {
		client_call(c, "/api/usage/record", KEY_PRO, "{}", NULL, &r);
		want(200);
	}
	ck_assert_int_eq(kill(daemon_child(d, "worker"), SIGKILL), 0);
	client_close(c);
	r.status = 0;
	WAIT_UNTIL((client_get(c, "/api/usage/today", KEY_PRO, &r),
		    r.status == 200));
	ck_assert_int_eq(json_num(&r, "credits_used"), credits + 10);
	ck_assert_int_eq(json_num(&r, "request_count"), requests + 10);

	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(db_credits("demo@codexible.me"), credits + 10);
	ck_assert_int_eq(db_requests("demo@codexible.me"), requests + 10);
}
END_TEST

START_TEST(acceptance_07_the_101st_call_and_the_address)
{
	char stranger[64];

	up();
	make_key("k", 1000, "");
	make_second_key("k", "k2");

	for (int i = 0; i < 100; i++) {
		client_get(c, "/api/usage/today", key_of("k"), &r);
		want(200);
	}
	client_get(c, "/api/usage/today", key_of("k"), &r);
	want_error(429, "rate_limited");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	client_get(c, "/api/usage/today", key_of("k2"), &r);
	want(200);

	for (int i = 0; i < 20; i++) {
		(void)snprintf(stranger, sizeof(stranger), "codexible_%032x",
			       (unsigned)i);
		client_get(c, "/api/usage/today", stranger, &r);
		want_error(401, "unauthorized");
	}
	client_get(c, "/api/usage/today", "codexible_yet_another_one", &r);
	want_error(429, "rate_limited");
}
END_TEST

START_TEST(acceptance_08_midnight_starts_anew_and_keeps_yesterday)
{
	char yesterday[16] = "", date[16] = "";
	int64_t charged = 0;

	if (!midnight_possible())
		return;
	prepare("limits.enabled=no");
	midnight_up(8);
	make_key("m", 1000000, "");

	for (int i = 0; i < 20000; i++) {
		client_call(c, "/api/usage/record", key_of("m"), "{}", NULL,
			    &r);
		want(200);
		(void)snprintf(date, sizeof(date), "%s",
			       json_str(&r, "usage.date"));
		if (charged == 0)
			(void)snprintf(yesterday, sizeof(yesterday), "%s",
				       date);
		if (strcmp(date, yesterday) != 0)
			break;
		charged++;
		ck_assert_int_eq(json_num(&r, "usage.credits_used"), charged);
		test_sleep_ms(5);
	}

	/* this was the first of the new day */
	ck_assert_str_ne(date, yesterday);
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 1);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 1);
	client_get(c, "/api/usage/history?days=2", key_of("m"), &r);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.date"), date);
	ck_assert_int_eq(json_num(&r, "0.credits_used"), 1);
	ck_assert_pstr_eq(json_str(&r, "1.date"), yesterday);
	ck_assert_int_eq(json_num(&r, "1.credits_used"), charged);
	ck_assert_int_eq(json_num(&r, "1.request_count"), charged);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT credits_used FROM daily_usage JOIN "
				 "users USING (user_id) WHERE email = 'm@test' "
				 "AND date = '%s'",
				 yesterday),
			 charged);
}
END_TEST

static void mutations_are_503(void)
{
	static const char path[] = "/api/keys/" ID_PRO;
	static const char head[] = "Authorization: Bearer " KEY_PRO "\r\n"
				   "Content-Type: application/json\r\n";
	static const char label[] = "{\"label\":\"New\"}";

	client_call(c, "/api/keys", KEY_PRO, label, NULL, &r);
	want_error(503, "service_unavailable");
	client_call(c, "/api/keys/" ID_PRO "/rotate", KEY_PRO, "{}", NULL, &r);
	want_error(503, "service_unavailable");
	client_request(c, "PATCH", path, head, label, sizeof(label) - 1, &r);
	want_error(503, "service_unavailable");
	client_request(c, "DELETE", path, head, NULL, 0, &r);
	want_error(503, "service_unavailable");
}

START_TEST(acceptance_10_the_database_stops_and_comes_back)
{
	static const char *const reads[] = { "/api/usage/today",
					     "/api/dashboard/overview",
					     "/api/usage/history?days=7",
					     "/health" };
	int64_t before;

	up("limits.enabled=no", "server.workers=1");
	/* one worker remembers both callers, though their ids are alike */
	for (int i = 0; i < 8; i++) {
		client_get(c, reads[i % 4], i < 4 ? KEY_PRO : KEY_STARTER, &r);
		want(200);
	}
	before = used_today(KEY_PRO);
	sql_close();
	pgtest_halt(pg);

	for (int i = 1; i <= 50; i++) {
		client_call(c, "/api/usage/record", KEY_PRO,
			    "{\"prompt_tokens\":1000}", NULL, &r);
		want(200);
		for (int j = 0; j < 4; j++) {
			client_get(c, reads[j], KEY_PRO, &r);
			want(200);
		}
		ck_assert_int_eq(used_today(KEY_PRO), before + i);
		test_sleep_ms(20);
	}
	client_get(c, "/api/dashboard/overview", KEY_PRO, &r);
	ck_assert_pstr_eq(json_str(&r, "user.email"), "demo@codexible.me");
	ck_assert(json_true(&r, "degraded"));
	client_get(c, "/api/dashboard/overview", KEY_STARTER, &r);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "user.email"), "starter@codexible.me");
	mutations_are_503();
	client_get(c, "/api/usage/history?days=7", KEY_PRO, &r);
	ck_assert_int_eq(json_num(&r, "0.credits_used"), before + 50);

	pgtest_resume(pg);
	WAIT_UNTIL(db_credits("demo@codexible.me") == before + 50);
	ck_assert_int_eq(db_credits("demo@codexible.me"), before + 50);
	client_get(c, "/api/usage/history?days=7", KEY_PRO, &r);
	ck_assert_int_eq(json_num(&r, "0.credits_used"), before + 50);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(db_credits("demo@codexible.me"), before + 50);
}
END_TEST

static void preflight(const char *origin)
{
	char headers[512];

	(void)snprintf(headers, sizeof(headers),
		       "Origin: %s\r\n"
		       "Access-Control-Request-Method: POST\r\n"
		       "Access-Control-Request-Headers: authorization\r\n",
		       origin);
	client_request(c, "OPTIONS", "/api/keys", headers, NULL, 0, &r);
}

START_TEST(acceptance_09_cors)
{
	up("server.allowed_origins=" ORIGIN);

	preflight(ORIGIN);
	want(204);
	ck_assert_pstr_eq(header_of(&r, "Access-Control-Allow-Origin"), ORIGIN);
	ck_assert_pstr_eq(header_of(&r, "Access-Control-Max-Age"), "600");

	preflight("https://evil.example");
	ck_assert_ptr_null(header_of(&r, "Access-Control-Allow-Origin"));

	for (int i = 0; i < 21; i++)
		client_request(c, "GET", "/api/keys", "Origin: " ORIGIN "\r\n",
			       NULL, 0, &r);
	want_error(429, "rate_limited");
	ck_assert_pstr_eq(header_of(&r, "Access-Control-Allow-Origin"), ORIGIN);

	/* and preflights are not counted */
	preflight(ORIGIN);
	want(204);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("acceptance");
	TCase *tc = fixture_case(s, "acceptance");

	tcase_add_test(tc,
		       acceptance_01_a_created_key_is_nowhere_but_in_its_reply);
	tcase_add_test(tc, acceptance_03_a_revoked_key_is_401_in_every_worker);
	tcase_add_test(tc,
		       acceptance_03_a_suspended_user_is_403_in_every_worker);
	tcase_add_test(
		tc, acceptance_04_rotate_keeps_the_label_and_changes_the_rest);
	tcase_add_test(tc, acceptance_02_validate_and_the_missing_header);
	tcase_add_test(tc, acceptance_05_starter_has_52_left);
	tcase_add_test(tc, acceptance_05_starter_has_52_left_in_parallel);
	tcase_add_test(
		tc,
		acceptance_06_failed_calls_change_nothing_and_a_kill_loses_nothing);
	tcase_add_test(tc, acceptance_07_the_101st_call_and_the_address);
	tcase_add_test(tc,
		       acceptance_08_midnight_starts_anew_and_keeps_yesterday);
	tcase_add_test(tc, acceptance_09_cors);
	tcase_add_test(tc, acceptance_10_the_database_stops_and_comes_back);
	return fixture_run(s);
}
