/*
 * Admins: users and the audit log over HTTP, and that each change is in force
 * in every worker when it is answered.
 */
#include "admin_calls.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "lib/crowd.h"

/* ---- who may ---- */

static const struct {
	const char *method, *target, *body;
} routes[] = {
	{ "GET", "/api/admin/users", NULL },
	{ "POST", "/api/admin/users", "{\"email\":\"x@y\",\"plan\":\"Pro\"}" },
	{ "PATCH", "/api/admin/users/" USER_STARTER, "{\"plan\":\"Pro\"}" },
	{ "GET", "/api/admin/plans", NULL },
	{ "POST", "/api/admin/plans",
	  "{\"name\":\"x\",\"daily_credit_limit\":1,\"price_cents\":1}" },
	{ "PATCH", "/api/admin/plans/" NOBODY, "{\"price_cents\":1}" },
	{ "GET", "/api/admin/limits", NULL },
	{ "POST", "/api/admin/limits",
	  "{\"name\":\"x\",\"count\":1,\"window_ms\":1000}" },
	{ "PATCH", "/api/admin/limits/" NOBODY, "{\"count\":1}" },
	{ "DELETE", "/api/admin/limits/" NOBODY, NULL },
	{ "GET", "/api/admin/limits/" NOBODY "/overrides", NULL },
	{ "POST", "/api/admin/limits/" NOBODY "/overrides",
	  "{\"user_id\":\"" USER_PRO "\",\"count\":1}" },
	{ "DELETE", "/api/admin/limits/" NOBODY "/overrides/" NOBODY, NULL },
	{ "GET", "/api/admin/logs", NULL },
};

START_TEST(others_are_refused_and_it_is_logged)
{
	size_t i, n = sizeof(routes) / sizeof(*routes);
	char *log;

	up(ADMINS);
	for (i = 0; i < n; i++) {
		client_request(c, routes[i].method, routes[i].target,
			       "Authorization: Bearer " KEY_PRO "\r\n"
			       "Content-Type: application/json\r\n",
			       routes[i].body,
			       routes[i].body != NULL ? strlen(routes[i].body)
						      : 0,
			       &r);
		want_error(403, "forbidden");
		client_request(
			c, routes[i].method, routes[i].target,
			"Content-Type: application/json\r\n", routes[i].body,
			routes[i].body != NULL ? strlen(routes[i].body) : 0,
			&r);
		want_error(401, "unauthorized");
	}
	/* nor are they told that the body is wrong */
	client_request(c, "POST", "/api/admin/users",
		       "Authorization: Bearer " KEY_PRO "\r\n"
		       "Content-Type: text/plain\r\n",
		       "x", 1, &r);
	want_error(403, "forbidden");
	client_request(c, "POST", "/api/admin/users",
		       "Authorization: Bearer " ADMIN "\r\n"
		       "Content-Type: text/plain\r\n",
		       "x", 1, &r);
	want_error(415, "unsupported_media_type");

	log = daemon_log(d);
	ck_assert_ptr_nonnull(strstr(log, "refused: the user is no admin"));
	tl_free(log);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log"),
			 0);
}
END_TEST

/* ---- users ---- */

START_TEST(users_are_found_by_literal_text_in_any_case)
{
	static const struct {
		const char *q;
		size_t n;
	} asked[] = {
		{ "", 7 },
		{ "100%25", 1 },
		{ "%25", 1 },
		{ "_", 1 },
		{ "%5C", 1 },
		{ "SNAKE", 1 },
		{ "codexible.me", 3 },
		{ "dEMO", 1 },
		{ "nobody", 0 },
	};
	char target[100];

	up(ADMINS);
	sql_exec(d->conninfo,
		 "INSERT INTO users (email, name, plan_id) SELECT v.e, v.n, "
		 "'a0000000-0000-0000-0000-000000000002' FROM (VALUES "
		 "('all@test', '100%% sure'), ('snake_case@test', NULL), "
		 "('back@test', 'a\\b'), ('plain@test', 'Plain')) v (e, n)");

	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		snprintf(target, sizeof(target), "/api/admin/users?q=%s",
			 asked[i].q);
		get(target);
		ck_assert_msg(rows() == asked[i].n, "q=%s gives %s", asked[i].q,
			      r.body);
	}
	get("/api/admin/users?q=snake");
	ck_assert_pstr_eq(json_str(&r, "0.email"), "snake_case@test");
	ck_assert_ptr_null(json_str(&r, "0.name"));
	ck_assert_pstr_eq(json_str(&r, "0.status"), "active");
	ck_assert_pstr_eq(json_str(&r, "0.plan"), "Pro");
	ck_assert_int_eq(json_num(&r, "0.key_count"), 0);
	get("/api/admin/users?q=demo@");
	ck_assert_int_eq(json_num(&r, "0.key_count"), 1);
}
END_TEST

START_TEST(user_list_refuses_what_is_out_of_range)
{
	static const char *const bad[] = {
		"limit=0",   "limit=201", "limit=x",
		"offset=-1", "offset=",   "cursor=nonsense",
	};
	char target[400];

	up(ADMINS);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(target, sizeof(target), "/api/admin/users?%s", bad[i]);
		get(target);
		want_error(400, "bad_request");
	}
	snprintf(target, sizeof(target), "/api/admin/users?q=%0101d", 0);
	get(target);
	want_error(400, "bad_request");
	snprintf(target, sizeof(target), "/api/admin/users?q=%0100d", 0);
	get(target);
	want(200);
	get("/api/admin/users?limit=2&offset=2");
	ck_assert_uint_eq(rows(), 1);
}
END_TEST

START_TEST(pages_of_users_are_stable_under_inserts)
{
	char target[400] = "/api/admin/users?q=page&limit=3";
	char seen[40][8] = { "" };
	unsigned n = 0, inserted = 0;
	bool more;

	up(ADMINS);
	sql_exec(d->conninfo,
		 "INSERT INTO users (email, plan_id, created_at) "
		 "SELECT 'page' || g || '@test', "
		 "'a0000000-0000-0000-0000-000000000002', "
		 /* some at the same moment: the id decides between them */
		 "now() - g / 4 * interval '1 minute' "
		 "FROM generate_series(10, 19) g");
	do {
		size_t here;

		get(target);
		here = rows();
		ck_assert_uint_le(here, 3);
		more = next_page(target);
		for (size_t i = 0; i < here; i++) {
			char at[20];

			snprintf(at, sizeof(at), "%zu.email", i);
			snprintf(seen[n++], sizeof(seen[0]), "%.6s",
				 json_str(&r, at));
		}
		sql_exec(d->conninfo,
			 "INSERT INTO users (email, plan_id) VALUES "
			 "('pagenew%u@test', "
			 "'a0000000-0000-0000-0000-000000000002')",
			 inserted++);
	} while (more && n < 30);

	ck_assert_uint_eq(n, 10);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(seen[i], seen[j]);
	ck_assert_uint_eq(inserted, 4);
}
END_TEST

START_TEST(a_user_list_has_a_validator)
{
	char etag[80], headers[200];

	up(ADMINS);
	get("/api/admin/users");
	snprintf(etag, sizeof(etag), "%s", header_of(&r, "ETag"));
	snprintf(headers, sizeof(headers),
		 "Authorization: Bearer " ADMIN "\r\nIf-None-Match: %s\r\n",
		 etag);

	client_request(c, "GET", "/api/admin/users", headers, NULL, 0, &r);
	want(304);
	admin_send("PATCH", "/api/admin/users/" USER_PRO,
		   "{\"plan\":\"Business\"}");
	want(200);
	client_request(c, "GET", "/api/admin/users", headers, NULL, 0, &r);
	want(200);
}
END_TEST

START_TEST(a_user_is_made_once)
{
	static const struct {
		const char *body;
		int status;
		const char *code;
	} tried[] = {
		{ "{\"email\":\"NEW@test.example\",\"plan\":\"Pro\"}", 409,
		  "conflict" },
		{ "{\"email\":\"nowhere\",\"plan\":\"Pro\"}", 400,
		  "bad_request" },
		{ "{\"email\":\"a b@test\",\"plan\":\"Pro\"}", 400,
		  "bad_request" },
		{ "{\"email\":\"b@test\",\"plan\":\"None\"}", 400,
		  "bad_request" },
		{ "{\"email\":\"b@test\"}", 400, "bad_request" },
		{ "{\"plan\":\"Pro\"}", 400, "bad_request" },
		{ "{\"email\":\"b@test\",\"name\":\"\",\"plan\":\"Pro\"}", 400,
		  "bad_request" },
		{ "{\"email\":\"b@test\",\"name\":\"a\\nb\",\"plan\":\"Pro\"}",
		  400, "bad_request" },
		{ "[]", 400, "bad_request" },
	};
	const char *id;

	up(ADMINS);
	admin_send("POST", "/api/admin/users",
		   "{\"email\":\"new@test.example\",\"name\":\"Nguy\u1ec5n\","
		   "\"plan\":\"Pro\"}");
	id = made("/api/admin/users");
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		admin_send("POST", "/api/admin/users", tried[i].body);
		want_error(tried[i].status, tried[i].code);
	}

	get("/api/admin/users?q=nguy%E1%BB%84n");
	ck_assert_uint_eq(rows(), 1);
	ck_assert_pstr_eq(json_str(&r, "0.id"), id);
	ck_assert_int_eq(
		sql_num(d->conninfo,
			"SELECT count(*) FROM audit_log WHERE actor = "
			"'team@codexible.me' AND action = 'user.create' AND "
			"target = '%s'",
			id),
		1);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log"),
			 1);
}
END_TEST

START_TEST(a_bad_change_of_a_user_changes_nothing)
{
	static const struct {
		const char *id, *body;
		int status;
	} tried[] = {
		{ USER_PRO, "{}", 400 },
		{ USER_PRO, "{\"status\":\"gone\"}", 400 },
		{ USER_PRO, "{\"status\":null}", 400 },
		{ USER_PRO, "{\"plan\":\"None\"}", 400 },
		{ USER_PRO, "{\"status\":\"suspended\",\"plan\":\"None\"}",
		  400 },
		{ "x", "{\"plan\":\"Pro\"}", 400 },
		{ NOBODY, "{\"plan\":\"Pro\"}", 404 },
	};

	up(ADMINS);
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		admin_send("PATCH", path("/api/admin/users/%s", tried[i].id),
			   tried[i].body);
		want(tried[i].status);
	}

	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log"),
			 0);
}
END_TEST

static void knock(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	(void)arg;
	while (!crowd_stopped(w)) {
		client_get(own, "/api/gate?cost=0", KEY_PRO, a);
		crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
			   a->status, 0);
		test_sleep_ms(1); /* leave some of the machine to the rest */
	}
	reply_deinit(a);
	tl_free(a);
	client_free(&own);
}

/* Answers that were asked for in between and are not as they must be. */
static uint64_t wrong(const struct crowd *w, uint64_t from_ns, uint64_t to_ns,
		      int right)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->n; i++)
		for (uint32_t k = 0; k < w->logs[i].n; k++) {
			const struct crowd_note *o = &w->logs[i].notes[k];

			n += o->sent_mono_ns > from_ns &&
			     o->got_mono_ns < to_ns && o->status != right;
		}
	return n;
}

/* Twelve clients on four workers: nobody is let in after the answer, and
 * everybody again after the next. */
START_TEST(a_suspension_is_in_force_in_all_workers_when_it_is_answered)
{
	uint64_t off_ns[8], back_ns[8], on_ns[8], again_ns[8];
	struct crowd *w;

	up(ADMINS, WORKERS, FREE_RATE);
	w = crowd_start(12, knock, NULL);
	WAIT_UNTIL(crowd_count(w, 200, -1) > 500);
	for (int i = 0; i < 8; i++) {
		admin_send("PATCH", "/api/admin/users/" USER_PRO,
			   "{\"status\":\"suspended\"}");
		want(200);
		ck_assert(json_true(&r, "updated"));
		off_ns[i] = r.got_mono_ns;
		test_sleep_ms(30);
		back_ns[i] = test_mono_ns();
		admin_send("PATCH", "/api/admin/users/" USER_PRO,
			   "{\"status\":\"active\"}");
		want(200);
		on_ns[i] = r.got_mono_ns;
		test_sleep_ms(30);
		again_ns[i] = test_mono_ns();
	}
	crowd_stop(w);

	for (int i = 0; i < 8; i++) {
		ck_assert_uint_eq(wrong(w, off_ns[i], back_ns[i], 403), 0);
		ck_assert_uint_eq(wrong(w, on_ns[i], again_ns[i], 200), 0);
	}
	ck_assert_uint_gt(crowd_count(w, 403, -1), 100);
	crowd_free(&w);
	ck_assert_int_eq(
		sql_num(d->conninfo,
			"SELECT count(*) FROM audit_log WHERE action = "
			"'user.update' AND target = '" USER_PRO "'"),
		16);
}
END_TEST

START_TEST(a_plan_change_counts_from_the_next_request_on)
{
	up(ADMINS, WORKERS, FREE_RATE);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=52"), 200);
	ck_assert(all_say(KEY_STARTER, "", 429));

	admin_send("PATCH", "/api/admin/users/" USER_STARTER,
		   "{\"plan\":\"Pro\"}");
	want(200);

	ck_assert_int_eq(gate(KEY_STARTER, ""), 200);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Plan"), "Pro");
	ck_assert_int_eq(used_today(KEY_STARTER), 76);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=175"), 429);
	admin_send("PATCH", "/api/admin/users/" USER_STARTER,
		   "{\"plan\":\"Starter\"}");
	want(200);
	ck_assert(all_say(KEY_STARTER, "", 429));
	/* what is said of the caller follows as well */
	client_get(c, "/api/usage/today", KEY_STARTER, &r);
	ck_assert_int_eq(json_num(&r, "daily_limit"), 75);
}
END_TEST

/* ---- whatever else goes on ---- */

START_TEST(without_the_database_nothing_is_changed)
{
	up(ADMINS, FREE_RATE);
	get("/api/admin/users");
	want(200);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	pgtest_halt(pg);

	admin_send("PATCH", "/api/admin/users/" USER_PRO,
		   "{\"status\":\"suspended\"}");
	want_error(503, "service_unavailable");
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"x\",\"count\":1,\"window_ms\":60000}");
	want_error(503, "service_unavailable");

	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=x"), 400);
	pgtest_resume(pg);
}
END_TEST

START_TEST(logs_tell_who_changed_what)
{
	up(ADMINS);
	admin_send("PATCH", "/api/admin/users/" USER_STARTER,
		   "{\"plan\":\"Pro\"}");
	want(200);
	admin_send("PATCH", "/api/admin/users/" USER_PRO,
		   "{\"status\":\"suspended\"}");
	want(200);

	get("/api/admin/logs");
	want(200);
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "logs")), 2);
	ck_assert_pstr_eq(json_str(&r, "logs.0.actor"), "team@codexible.me");
	ck_assert_pstr_eq(json_str(&r, "logs.0.action"), "user.update");
	ck_assert_pstr_eq(json_str(&r, "logs.0.target"), USER_PRO);
	ck_assert_pstr_eq(json_str(&r, "logs.0.details"),
			  "status active to suspended");
	ck_assert_pstr_eq(json_str(&r, "logs.1.details"),
			  "plan Starter to Pro");
	ck_assert_ptr_nonnull(json_str(&r, "logs.0.timestamp"));
	get("/api/admin/logs?q=STARTER%20to");
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "logs")), 1);
	get("/api/admin/logs?q=%25");
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "logs")), 0);
	get("/api/admin/logs?limit=1");
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "logs")), 1);
	get("/api/admin/logs?limit=501");
	want_error(400, "bad_request");
}
END_TEST

START_TEST(logs_go_on_where_the_page_before_ended)
{
	char target[400] = "/api/admin/logs?q=plan&limit=2";
	unsigned n;

	up(ADMINS, FREE_RATE);
	sql_exec(d->conninfo, "INSERT INTO audit_log (actor, action, details) "
			      "SELECT 'a@test', 'x', 'plan ' || g "
			      "FROM generate_series(1, 5) g");
	for (n = 5; n > 0; n -= n > 1 ? 2 : 1) {
		get(target);
		want(200);
		ck_assert_str_eq(json_str(&r, "logs.0.details"),
				 path("plan %u", n));
		ck_assert_int_eq(next_page(target), n > 2);
		/* what is new stands before the first page */
		sql_exec(d->conninfo, "INSERT INTO audit_log (actor, action, "
				      "details) VALUES ('a', 'x', 'plan 9')");
	}
	get("/api/admin/logs?cursor=nonsense");
	want_error(400, "bad_request");
}
END_TEST

static bool warned_of(const char *email)
{
	char *log = daemon_log(d);
	char words[96];
	bool has;

	snprintf(words, sizeof(words), "DANGER: admin.emails names '%s'",
		 email);
	has = strstr(log, words) != NULL;
	tl_free(log);
	return has;
}

START_TEST(an_admin_with_a_public_key_is_warned_of)
{
	up("admin.emails=ann@example.org", "database.seed_demo=no");
	ck_assert(!warned_of("ann@example.org"));
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	daemon_set(d, "admin.emails=ann@example.org, Team@codexible.me");
	fixture_again();

	WAIT_UNTIL(warned_of("team@codexible.me"));
	ck_assert(warned_of("team@codexible.me"));
	ck_assert(!warned_of("ann@example.org"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("admin");
	TCase *tc = fixture_case(s, "who");

	tcase_add_test(tc, others_are_refused_and_it_is_logged);
	tcase_add_test(tc, an_admin_with_a_public_key_is_warned_of);
	tc = fixture_case(s, "users");
	tcase_add_test(tc, users_are_found_by_literal_text_in_any_case);
	tcase_add_test(tc, user_list_refuses_what_is_out_of_range);
	tcase_add_test(tc, pages_of_users_are_stable_under_inserts);
	tcase_add_test(tc, a_user_list_has_a_validator);
	tcase_add_test(tc, a_user_is_made_once);
	tcase_add_test(tc, a_bad_change_of_a_user_changes_nothing);
	tcase_add_test(
		tc,
		a_suspension_is_in_force_in_all_workers_when_it_is_answered);
	tcase_add_test(tc, a_plan_change_counts_from_the_next_request_on);
	tc = fixture_case(s, "always");
	tcase_add_test(tc, without_the_database_nothing_is_changed);
	tcase_add_test(tc, logs_tell_who_changed_what);
	tcase_add_test(tc, logs_go_on_where_the_page_before_ended);
	return fixture_run(s);
}
