/*
 * Keys over HTTP: what may be made, who reaches what, and that a change is in
 * force in every worker when its answer comes.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/crowd.h"

/* The id and the secret of the KeyCreated just answered. */
static char made_id[64], made_key[160];
static void take_made(void)
{
	want(201);
	(void)snprintf(made_id, sizeof(made_id), "%s", json_str(&r, "id"));
	(void)snprintf(made_key, sizeof(made_key), "%s", json_str(&r, "key"));
}

static const char *key_path(const char *id, const char *act)
{
	static char target[200];

	(void)snprintf(target, sizeof(target), "/api/keys/%s%s", id, act);
	return target;
}

START_TEST(a_key_is_made_with_its_rules_and_they_hold)
{
	up(FREE_RATE);

	call("POST", "/api/keys", KEY_PRO,
	     "{\"label\":\" CI \",\"scopes\":[\"read\"],\"rate_limit\":3,"
	     "\"daily_credit_limit\":2,\"allowed_ips\":[\"127.0.0.0/8\"],"
	     "\"expires_at\":\"2099-01-01T00:00:00Z\",\"metadata\":{\"a\":1}}");
	take_made();
	ck_assert_pstr_eq(json_str(&r, "label"), "CI");
	ck_assert_pstr_eq(header_of(&r, "Location"), key_path(made_id, ""));
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-store");

	gate(made_key, "scope=write");
	want_error(403, "forbidden");
	gate(made_key, "scope=read");
	want(200);
	gate(made_key, "scope=read");
	want(200);
	gate(made_key, "scope=read");
	want_error(429, "quota_exceeded"); /* its own two credits */

	call("GET", "/api/keys", KEY_PRO, NULL);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), made_id); /* newest first */
	ck_assert_pstr_eq(json_str(&r, "0.scopes.0"), "read");
	ck_assert_pstr_eq(json_str(&r, "0.allowed_ips.0"), "127.0.0.0/8");
	ck_assert_int_eq(json_num(&r, "0.rate_limit"), 3);
	ck_assert_int_eq(json_num(&r, "0.daily_credit_limit"), 2);
	ck_assert_int_eq(json_num(&r, "0.metadata.a"), 1);
	ck_assert_pstr_eq(json_str(&r, "0.expires_at"), "2099-01-01T00:00:00Z");
	ck_assert_ptr_nonnull(json_str(&r, "0.last_used_at"));
	ck_assert_ptr_null(strstr(r.body, made_key));
}
END_TEST

START_TEST(there_is_a_most_of_active_keys)
{
	up(FREE_RATE, "keys.max_per_user=3");

	for (int i = 0; i < 2; i++) {
		call("POST", "/api/keys", KEY_PRO, NULL);
		take_made();
	}
	call("POST", "/api/keys", KEY_PRO, NULL);
	want_error(409, "key_limit_reached");

	/* a rotation needs no room, and a revocation makes some */
	call("POST", key_path(made_id, "/rotate"), KEY_PRO, NULL);
	take_made();
	call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
	want(200);
	call("POST", "/api/keys", KEY_PRO, NULL);
	want(201);
}
END_TEST

/* Another's, a revoked and an unknown one look the same. */
START_TEST(what_is_not_theirs_is_not_there)
{
	static const char *const acts[][2] = {
		{ "PATCH", "" },
		{ "DELETE", "" },
		{ "POST", "/rotate" },
	};
	const char *ids[] = { ID_STARTER,
			      "c0000000-0000-0000-0000-00000000ffff", NULL };
	char first[512];

	up(FREE_RATE);
	call("POST", "/api/keys", KEY_PRO, NULL);
	take_made();
	call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
	want(200);
	ids[2] = made_id;

	for (size_t a = 0; a < 3; a++) {
		for (size_t i = 0; i < 3; i++) {
			call(acts[a][0], key_path(ids[i], acts[a][1]), KEY_PRO,
			     a == 0 ? "{\"label\":\"x\"}" : NULL);
			want_error(404, "not_found");
			if (a == 0 && i == 0)
				(void)snprintf(first, sizeof(first), "%s",
					       r.body);
			ck_assert_str_eq(r.body, first);
		}
		call(acts[a][0], key_path("nonsense", acts[a][1]), KEY_PRO,
		     a == 0 ? "{\"label\":\"x\"}" : NULL);
		want_error(400, "bad_request");
	}
	gate(KEY_STARTER, "");
	want(200);
}
END_TEST

START_TEST(a_new_label_is_seen_by_every_worker_at_once)
{
	up(FREE_RATE, "server.workers=4", "server.reuseport=yes");

	for (int i = 0; i < 20; i++) {
		char body[64];

		(void)snprintf(body, sizeof(body), "{\"label\":\"n%d\"}", i);
		call("PATCH", key_path(ID_PRO, ""), KEY_PRO, body);
		want(200);
		client_close(c); /* most likely another worker */
		call("GET", "/api/dashboard/overview", KEY_PRO, NULL);
		want(200);
		(void)snprintf(body, sizeof(body), "n%d", i);
		ck_assert_pstr_eq(json_str(&r, "key.label"), body);
	}
}
END_TEST

START_TEST(a_rotated_key_works_through_its_grace_and_can_be_ended)
{
	char old_id[64], old_key[160];

	up(FREE_RATE);
	call("POST", "/api/keys", KEY_PRO,
	     "{\"label\":\"R\",\"scopes\":[\"read\"],\"metadata\":{\"m\":2}}");
	take_made();
	strcpy(old_id, made_id);
	strcpy(old_key, made_key);

	call("POST", key_path(old_id, "/rotate"), KEY_PRO,
	     "{\"grace_seconds\":3600}");
	take_made();
	ck_assert_pstr_eq(json_str(&r, "label"), "R");
	ck_assert_str_ne(made_id, old_id);

	gate(old_key, "scope=read");
	want(200);
	gate(made_key, "scope=write"); /* the rules came along */
	want_error(403, "forbidden");
	call("GET", "/api/keys", KEY_PRO, NULL);
	ck_assert_ptr_null(strstr(r.body, old_id));
	ck_assert_int_eq(json_num(&r, "0.metadata.m"), 2);

	call("POST", key_path(old_id, "/rotate"), KEY_PRO, NULL);
	want_error(404, "not_found");
	call("DELETE", key_path(old_id, ""), KEY_PRO, NULL);
	want(200);
	gate(old_key, "scope=read");
	want_error(401, "unauthorized");
	call("DELETE", key_path(old_id, ""), KEY_PRO, NULL);
	want_error(404, "not_found");
}
END_TEST

START_TEST(a_key_may_rotate_and_revoke_itself)
{
	up(FREE_RATE);

	call("POST", key_path(ID_PRO, "/rotate"), KEY_PRO, NULL);
	take_made();
	gate(KEY_PRO, "");
	want_error(401, "unauthorized");
	call("DELETE", key_path(made_id, ""), made_key, NULL);
	want(200);
	gate(made_key, "");
	want_error(401, "unauthorized");
}
END_TEST

START_TEST(each_act_is_audited_without_secrets)
{
	up(FREE_RATE);
	call("POST", "/api/keys", KEY_PRO, "{\"label\":\"Audit\"}");
	take_made();
	call("PATCH", key_path(made_id, ""), KEY_PRO, "{\"label\":\"Other\"}");
	want(200);
	call("POST", key_path(made_id, "/rotate"), KEY_PRO, NULL);
	take_made();
	call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
	want(200);
	call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
	want_error(404, "not_found"); /* nothing done, nothing told */

	ck_assert_str_eq(
		sql_str(d->conninfo,
			"SELECT string_agg(action, ' ' ORDER BY id) FROM "
			"audit_log WHERE actor = 'demo@codexible.me'"),
		"token.create token.update token.rotate token.revoke");
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM audit_log WHERE "
				 "position('%s' IN details) > 0",
				 made_key),
			 0);
}
END_TEST

/* ---- in force everywhere ---- */

/* Asks without a pause, each time on a new connection: whichever worker. */
static void hammer(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	while (!crowd_stopped(w)) {
		client_get(own, "/api/usage/today", arg, a);
		if (a->status != 0)
			crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
				   a->status, 0);
		client_close(own);
	}
	client_free(&own);
}

/* Answers of that status to requests sent after then. */
static uint64_t after(const struct crowd *w, uint64_t mono_ns, int status)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->n; i++)
		for (uint32_t j = 0; j < w->logs[i].n; j++)
			n += w->logs[i].notes[j].sent_mono_ns > mono_ns &&
			     w->logs[i].notes[j].status == status;
	return n;
}

START_TEST(no_worker_takes_a_key_after_its_revocation_was_answered)
{
	uint64_t answered_ns;
	struct crowd *w;

	up(FREE_RATE, "server.workers=4", "server.reuseport=yes");

	for (int round = 0; round < 3; round++) {
		call("POST", "/api/keys", KEY_PRO, NULL);
		take_made();
		w = crowd_start(8, hammer, made_key);
		WAIT_UNTIL(crowd_count(w, 200, -1) > 200);

		call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
		answered_ns = test_mono_ns();
		want(200);
		WAIT_UNTIL(after(w, answered_ns, 401) > 200);
		crowd_stop(w);

		ck_assert_uint_eq(after(w, answered_ns, 200), 0);
		ck_assert_uint_gt(after(w, answered_ns, 401), 200);
		crowd_free(&w);
	}
}
END_TEST

static void set_status(const char *status)
{
	char body[64];

	(void)snprintf(body, sizeof(body), "{\"status\":\"%s\"}", status);
	call("PATCH", "/api/admin/users/" USER_STARTER, KEY_PRO, body);
	want(200);
}

START_TEST(no_worker_takes_a_user_after_the_suspension_was_answered)
{
	static char starter[] = KEY_STARTER;
	uint64_t out_ns, in_ns;
	struct crowd *w;

	up(FREE_RATE, "server.workers=4", "server.reuseport=yes",
	   "admin.emails=demo@codexible.me");

	for (int round = 0; round < 3; round++) {
		w = crowd_start(8, hammer, starter);
		WAIT_UNTIL(crowd_count(w, 200, -1) > 200);

		set_status("suspended");
		out_ns = test_mono_ns();
		WAIT_UNTIL(after(w, out_ns, 403) > 200);
		ck_assert_uint_eq(after(w, out_ns, 200), 0);

		set_status("active");
		in_ns = test_mono_ns();
		WAIT_UNTIL(after(w, in_ns, 200) > 200);
		crowd_stop(w);
		ck_assert_uint_gt(after(w, in_ns, 200), 200);
		ck_assert_uint_eq(after(w, in_ns, 403), 0);
		crowd_free(&w);
	}
}
END_TEST

START_TEST(a_database_that_is_away_changes_nothing)
{
	up(FREE_RATE);
	gate(KEY_PRO, "");
	want(200);

	pgtest_halt(pg);
	call("POST", "/api/keys", KEY_PRO, NULL);
	want_error(503, "service_unavailable");
	call("DELETE", key_path(ID_PRO, ""), KEY_PRO, NULL);
	want_error(503, "service_unavailable");
	call("POST", key_path(ID_PRO, "/rotate"), KEY_PRO, NULL);
	want_error(503, "service_unavailable");
	gate(KEY_PRO, "");
	want(200);
	pgtest_resume(pg);

	WAIT_UNTIL((call("GET", "/api/keys", KEY_PRO, NULL), r.status == 200));
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), ID_PRO);
	ck_assert_ptr_null(json_at(r.json, "1"));
}
END_TEST

static void revoke_made(struct crowd *w, unsigned number, void *arg)
{
	(void)arg;
	c = client_new(d->port);
	call("DELETE", key_path(made_id, ""), KEY_PRO, NULL);
	crowd_note(w, number, r.sent_mono_ns, r.got_mono_ns, r.status, 0);
	client_free(&c);
}

/* The server dies while the statement waits for the row. */
START_TEST(a_revocation_in_doubt_is_refused_until_it_is_known)
{
	static const char waiting[] =
		"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
		"'Lock' AND query LIKE '%UPDATE api_keys%'";
	struct crowd *w;
	char *n = NULL;

	up(FREE_RATE, "server.workers=4", "server.reuseport=yes");
	call("POST", "/api/keys", KEY_PRO, NULL);
	take_made();
	gate(made_key, "");
	want(200);
	sql_exec(d->conninfo, "BEGIN");
	sql_exec(d->conninfo,
		 "SELECT FROM api_keys WHERE key_id = '%s' FOR UPDATE",
		 made_id);
	w = crowd_start(1, revoke_made, NULL);
	WAIT_UNTIL((free(n), n = pgtest_value(pg, waiting), *n == '1'));
	free(n);

	pgtest_kill9(pg);
	crowd_wait(w);

	ck_assert_uint_eq(crowd_count(w, 503, -1), 1);
	for (int i = 0; i < 20; i++) {
		client_close(c);
		gate(made_key, "");
		want_error(401, "unauthorized");
	}
	gate(KEY_PRO, "");
	want(200);
	sql_close();
	pgtest_resume(pg);
	/* it was not done, and that is found out */
	WAIT_UNTIL((client_close(c), gate(made_key, "") == 200));
	want(200);
	/* each worker has its own connections to make anew */
	WAIT_UNTIL((call("DELETE", key_path(made_id, ""), KEY_PRO, NULL),
		    r.status == 200));
	want(200);
	gate(made_key, "");
	want_error(401, "unauthorized");
	crowd_free(&w);
}
END_TEST

/* ---- lists ---- */

START_TEST(pages_are_stable_under_inserts)
{
	char seen[4][64], target[400], *end;
	const char *link;

	up(FREE_RATE);
	for (int i = 0; i < 3; i++) {
		call("POST", "/api/keys", KEY_PRO, NULL);
		take_made();
		strcpy(seen[i], made_id);
	}

	call("GET", "/api/keys?limit=2", KEY_PRO, NULL);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), seen[2]);
	ck_assert_pstr_eq(json_str(&r, "1.id"), seen[1]);
	link = header_of(&r, "Link");
	ck_assert_ptr_nonnull(link);
	ck_assert_ptr_nonnull(strstr(link, ">; rel=\"next\""));
	(void)snprintf(target, sizeof(target), "%s", link + 1);
	end = strchr(target, '>');
	*end = '\0';

	call("POST", "/api/keys", KEY_PRO, NULL); /* a newer one comes */
	want(201);
	call("GET", target, KEY_PRO, NULL);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), seen[0]);
	ck_assert_pstr_eq(json_str(&r, "1.id"), ID_PRO);
	ck_assert_ptr_null(header_of(&r, "Link")); /* the last page */

	call("GET", "/api/keys?limit=2&offset=1", KEY_PRO, NULL);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), seen[2]);
	call("GET", "/api/keys?cursor=nonsense", KEY_PRO, NULL);
	want_error(400, "bad_request");
}
END_TEST

static void get_if_not(const char *etag)
{
	char headers[512];

	(void)snprintf(headers, sizeof(headers),
		       "Authorization: Bearer " KEY_STARTER "\r\n"
		       "If-None-Match: %s\r\n",
		       etag);
	client_request(c, "GET", "/api/keys", headers, NULL, 0, &r);
}

START_TEST(a_list_that_did_not_change_is_304)
{
	char etag[100], several[200];

	up(FREE_RATE);
	call("GET", "/api/keys", KEY_STARTER, NULL);
	call("GET", "/api/keys", KEY_STARTER, NULL); /* last_used_at is there */
	want(200);
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "private, no-cache");
	(void)snprintf(etag, sizeof(etag), "%s", header_of(&r, "ETag"));

	(void)snprintf(several, sizeof(several), "\"x\", W/%s", etag);
	get_if_not(several);
	want(304);
	ck_assert_uint_eq(r.body_len, 0);
	ck_assert_pstr_eq(header_of(&r, "ETag"), etag);

	call("PATCH", key_path(ID_STARTER, ""), KEY_STARTER,
	     "{\"label\":\"Changed\"}");
	want(200);
	get_if_not(etag);
	want(200);
	ck_assert_str_ne(header_of(&r, "ETag"), etag);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keys");
	TCase *tc = fixture_case(s, "keys");

	tcase_add_test(tc, a_key_is_made_with_its_rules_and_they_hold);
	tcase_add_test(tc, there_is_a_most_of_active_keys);
	tcase_add_test(tc, what_is_not_theirs_is_not_there);
	tcase_add_test(tc, a_new_label_is_seen_by_every_worker_at_once);
	tcase_add_test(tc,
		       a_rotated_key_works_through_its_grace_and_can_be_ended);
	tcase_add_test(tc, a_key_may_rotate_and_revoke_itself);
	tcase_add_test(tc, each_act_is_audited_without_secrets);
	tcase_add_test(tc,
		       no_worker_takes_a_key_after_its_revocation_was_answered);
	tcase_add_test(
		tc, no_worker_takes_a_user_after_the_suspension_was_answered);
	tcase_add_test(tc, a_database_that_is_away_changes_nothing);
	tcase_add_test(tc, a_revocation_in_doubt_is_refused_until_it_is_known);
	tcase_add_test(tc, pages_are_stable_under_inserts);
	tcase_add_test(tc, a_list_that_did_not_change_is_304);
	return fixture_run(s);
}
