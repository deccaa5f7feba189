/*
 * test_33_explain.c - what people are told of refusals and of the daemon's
 * state: the words of tallyctl, for those whom they concern.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "base/mem.h"

/* ---- explain ---- */

/* Asks the gate as that key and under that id. */
static int gate_as(const char *key, const char *query, const char *id)
{
	char *headers =
		tl_asprintf("X-API-Key: %s\r\nX-Request-Id: %s\r\n", key, id);
	char *target = tl_asprintf("/api/gate?%s", query);

	client_request(c, "GET", target, headers, NULL, 0, &r);
	tl_free(target);
	tl_free(headers);
	return r.status;
}

static int explain(const char *key, const char *id)
{
	char *target = tl_asprintf("/api/explain/%s", id);

	client_get(c, target, key, &r);
	tl_free(target);
	return r.status;
}

static void begin(void)
{
	up("admin.emails=admin@test", "limits.key_count=1000");
	make_key("mine", 10, "");
	make_key("other", 10, "");
	make_key("admin", 10, "");
}

START_TEST(a_refusal_is_explained_in_the_words_of_tallyctl)
{
	struct json_object *told = NULL;

	begin();
	ck_assert_int_eq(gate_as(key_of("mine"), "cost=11", "r.1"), 429);

	ck_assert_int_eq(explain(key_of("mine"), "r.1"), 200);

	ck_assert_pstr_eq(json_str(&r, "request_id"), "r.1");
	ck_assert_pstr_eq(json_str(&r, "code"), "quota_exceeded");
	ck_assert_pstr_eq(json_str(&r, "reason"), "quota");
	ck_assert_pstr_eq(json_str(&r, "door"), "gate");
	ck_assert_int_eq(json_num(&r, "status"), 429);
	ck_assert_int_eq(json_num(&r, "credits.cost"), 11);
	ck_assert_int_eq(json_num(&r, "credits.limit"), 10);
	ck_assert_pstr_eq(json_str(&r, "lines.0"),
			  "refused with 429: daily credits left do not "
			  "suffice (0/10 used)");
	ck_assert_ptr_nonnull(
		strstr(json_str(&r, "lines.1"), "it passes from "));
	ck_assert_ptr_null(json_at(r.json, "lines.2"));
	ck_assert_int_eq(
		daemon_ctl(d, &told,
			   (const char *const[]){ "explain", "r.1", NULL }),
		0);
	ck_assert_pstr_eq(json_str(&r, "text"),
			  json_object_get_string(json_at(told, "text")));
	json_object_put(told);
}
END_TEST

START_TEST(what_was_let_in_has_no_reason)
{
	begin();
	ck_assert_int_eq(gate_as(key_of("mine"), "cost=3", "let-in"), 200);

	ck_assert_int_eq(explain(key_of("mine"), "let-in"), 200);

	ck_assert_pstr_eq(json_str(&r, "code"), "ok");
	ck_assert_ptr_null(json_at(r.json, "reason"));
	ck_assert_pstr_eq(json_str(&r, "limit.name"), "key");
	ck_assert_int_eq(json_num(&r, "credits.used"), 3);
	ck_assert_ptr_nonnull(
		strstr(json_str(&r, "text"), "let in for 3 credits"));
}
END_TEST

/* Nobody learns that an id is somebody else's. */
START_TEST(of_others_nothing_is_told)
{
	char *unknown;

	begin();
	gate_as(key_of("mine"), "", "secret-1");
	gate_as("codexible_00000000000000000000000000000000", "", "nobody-1");

	ck_assert_int_eq(explain(key_of("other"), "no-such-1"), 404);
	want_error(404, "not_found");
	ck_assert_ptr_nonnull(
		strstr(json_str(&r, "error.message"), "no longer"));
	unknown = tl_strdup(r.body);
	ck_assert_int_eq(explain(key_of("other"), "secret-1"), 404);
	ck_assert_str_eq(r.body, unknown);
	ck_assert_int_eq(explain(key_of("other"), "nobody-1"), 404);
	ck_assert_str_eq(r.body, unknown);
	tl_free(unknown);

	ck_assert_int_eq(explain(key_of("admin"), "secret-1"), 200);
	ck_assert_int_eq(explain(key_of("admin"), "nobody-1"), 200);
	ck_assert_ptr_null(json_at(r.json, "key_id"));
	ck_assert_pstr_eq(json_str(&r, "reason"), "unknown");
}
END_TEST

START_TEST(the_same_id_is_explained_to_each_of_its_users)
{
	begin();
	gate_as(key_of("mine"), "cost=11", "same");
	gate_as(key_of("mine"), "cost=2", "same");
	gate_as(key_of("other"), "cost=4", "same");

	ck_assert_int_eq(explain(key_of("mine"), "same"), 200);
	ck_assert_int_eq(json_num(&r, "credits.cost"), 2); /* the newest */
	ck_assert_int_eq(explain(key_of("other"), "same"), 200);
	ck_assert_int_eq(json_num(&r, "credits.cost"), 4);
	ck_assert_int_eq(explain(key_of("admin"), "same"), 200);
	ck_assert_int_eq(json_num(&r, "credits.cost"), 4);
}
END_TEST

/* Why does my key fail?  Asked with another key of mine. */
START_TEST(a_revoked_key_is_explained_to_its_user)
{
	begin();
	make_second_key("mine", "second");
	sql_exec(d->conninfo,
		 "UPDATE api_keys SET status = 'revoked' WHERE key_hash = "
		 "encode(sha256('%s'::bytea), 'hex')",
		 key_of("second"));
	ck_assert_int_eq(gate_as(key_of("second"), "", "r-2"), 401);

	ck_assert_int_eq(explain(key_of("mine"), "r-2"), 200);

	ck_assert_pstr_eq(json_str(&r, "reason"), "revoked");
	ck_assert_pstr_eq(json_str(&r, "code"), "unauthorized");
}
END_TEST

START_TEST(an_id_that_none_can_have_is_refused)
{
	static const char *const odd[] = {
		"a~b",
		"%2e%2e%2fx%20",
		("0123456789012345678901234567890123456789"
		 "0123456789012345678901234"),
	};

	begin();
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		ck_assert_int_eq(explain(key_of("mine"), odd[i]), 400);
		want_error(400, "bad_request");
	}
}
END_TEST

START_TEST(what_left_the_ring_is_no_longer_known)
{
	up("shm.decision_ring=64", "limits.key_count=1000");
	make_key("mine", 1000, "");
	ck_assert_int_eq(gate_as(key_of("mine"), "", "early"), 200);
	ck_assert_int_eq(explain(key_of("mine"), "early"), 200);
	for (int i = 0; i < 70; i++)
		ck_assert_int_eq(gate(key_of("mine"), ""), 200);

	ck_assert_int_eq(explain(key_of("mine"), "early"), 404);

	ck_assert_ptr_nonnull(
		strstr(json_str(&r, "error.message"), "the last 64"));
}
END_TEST

START_TEST(own_requests_are_explained_without_the_database)
{
	begin();
	gate_as(key_of("mine"), "cost=11", "r-3");
	pgtest_halt(pg);

	ck_assert_int_eq(explain(key_of("mine"), "r-3"), 200);

	pgtest_resume(pg);
}
END_TEST

/* ---- doctor ---- */

static const char *state_of(const char *name)
{
	static char path[64];

	for (int i = 0;; i++) {
		(void)snprintf(path, sizeof(path), "checks.%d.name", i);
		if (json_str(&r, path) == NULL)
			return NULL;
		if (strcmp(json_str(&r, path), name) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "checks.%d.state", i);
		return json_str(&r, path);
	}
}

static void doctor(void)
{
	client_get(c, "/api/admin/doctor", key_of("admin"), &r);
	want(200);
}

START_TEST(doctor_says_what_the_command_says)
{
	struct json_object *told = NULL, *list;

	begin();
	for (int i = 0; i < 3; i++)
		gate(key_of("mine"), "");
	doctor();
	ck_assert_int_eq(json_num(&r, "failures"), 0);
	ck_assert_int_eq(json_num(&r, "difference.credits"), 0);
	ck_assert_int_eq(json_num(&r, "difference.requests"), 0);
	ck_assert_pstr_eq(state_of("books"), "ok");
	ck_assert_pstr_eq(state_of("configuration"), "ok");
	ck_assert_pstr_eq(state_of("schema"), "ok");
	ck_assert_ptr_nonnull(state_of("open files"));

	ck_assert_int_eq(
		daemon_ctl(d, &told, (const char *const[]){ "doctor", NULL }),
		0);
	list = json_at(told, "findings");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *f = json_object_array_get_idx(list, i);

		ck_assert_ptr_nonnull(
			state_of(json_object_get_string(json_at(f, "name"))));
	}
	json_object_put(told);
}
END_TEST

/* Settings of the daemon's own command line reach it, too. */
START_TEST(doctor_sees_a_difference_and_a_bad_setting)
{
	up("admin.emails=admin@test,demo@codexible.me",
	   "metering.flush_interval_ms=10", "limits.key_count=1000");
	make_key("admin", 100, "");
	for (int i = 0; i < 5; i++)
		gate(key_of("admin"), "");
	WAIT_UNTIL(db_credits("admin@test") == 5);
	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = "
			      "credits_used + 7 WHERE user_id = (SELECT "
			      "user_id FROM users WHERE email = 'admin@test')");

	doctor();

	ck_assert_pstr_eq(state_of("admin.emails"), "warn");
	ck_assert_pstr_eq(state_of("books"), "fail");
	ck_assert_int_eq(json_num(&r, "difference.credits"), 7);
	ck_assert_int_ge(json_num(&r, "failures"), 1);
}
END_TEST

static int send_doctor(struct client *to)
{
	char *rq = tl_asprintf("GET /api/admin/doctor HTTP/1.1\r\nHost: a\r\n"
			       "X-API-Key: %s\r\n\r\n",
			       key_of("admin"));
	size_t len = strlen(rq);
	bool sent = client_connect(to) &&
		    send(to->fd, rq, len, MSG_NOSIGNAL) == (ssize_t)len;

	tl_free(rq);
	return sent;
}

static bool doctor_runs(void)
{
	return sql_num(d->conninfo, "SELECT count(*) FROM pg_locks WHERE "
				    "NOT granted AND mode = 'ShareLock'") > 0;
}

/* The only worker goes on while doctor waits for a lock, and gives up in
 * time when it is not to be had. */
START_TEST(nobody_waits_for_doctor)
{
	struct client *other;

	up("admin.emails=admin@test", "server.workers=1",
	   "limits.key_count=1000", "server.request_timeout_ms=2000");
	make_key("admin", 1000, "");
	other = client_new(d->port);
	ck_assert_int_eq(gate(key_of("admin"), ""), 200);
	sql_exec(d->conninfo, "BEGIN; LOCK TABLE tallyd.flush_node");
	ck_assert(send_doctor(other));
	WAIT_UNTIL(doctor_runs());
	ck_assert(doctor_runs());

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(gate(key_of("admin"), ""), 200);
	ck_assert(client_read(other, &r));
	want_error(503, "service_unavailable");

	sql_exec(d->conninfo, "COMMIT");
	doctor();
	client_free(&other);
}
END_TEST

START_TEST(doctor_works_without_the_database)
{
	begin();
	gate(key_of("admin"), "");
	doctor();
	pgtest_halt(pg);
	test_sleep_ms(1100); /* what was found is kept for a second */

	doctor();

	ck_assert_pstr_eq(state_of("database"), "fail");
	ck_assert_ptr_null(json_at(r.json, "difference"));
	pgtest_resume(pg);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("explain");
	TCase *tc = fixture_case(s, "explain");

	tcase_add_test(tc, a_refusal_is_explained_in_the_words_of_tallyctl);
	tcase_add_test(tc, what_was_let_in_has_no_reason);
	tcase_add_test(tc, of_others_nothing_is_told);
	tcase_add_test(tc, the_same_id_is_explained_to_each_of_its_users);
	tcase_add_test(tc, a_revoked_key_is_explained_to_its_user);
	tcase_add_test(tc, an_id_that_none_can_have_is_refused);
	tcase_add_test(tc, what_left_the_ring_is_no_longer_known);
	tcase_add_test(tc, own_requests_are_explained_without_the_database);
	tcase_add_test(tc, doctor_says_what_the_command_says);
	tcase_add_test(tc, doctor_sees_a_difference_and_a_bad_setting);
	tcase_add_test(tc, nobody_waits_for_doctor);
	tcase_add_test(tc, doctor_works_without_the_database);
	return fixture_run(s);
}
