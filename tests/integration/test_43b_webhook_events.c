/*
 * What webhooks are told: thresholds once a day whoever dies, keys, and all of
 * it at least once to a receiver that fails as it likes.
 */
#include "config.h"

#include "lib/fixture.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "app/webhooks/webhooks.h"
#include "base/mem.h"
#include "hooks.h"

#define db d->conninfo

static int64_t told(const char *event)
{
	return sql_num(db,
		       "SELECT count(*) FROM tallyd.webhook_delivery"
		       " WHERE event = '%s'",
		       event);
}

/* The newest body of an event keeps to the event's row. */
static void check_shape(const char *event)
{
	const char *body = sql_str(db,
				   "SELECT body FROM tallyd.webhook_delivery"
				   " WHERE event = '%s'"
				   " ORDER BY seq DESC LIMIT 1",
				   event);
	const struct event_def *e = WEBHOOKS_EVENTS;
	const struct doc *tree;
	struct tl_arena a;
	struct tl_err err;

	tl_arena_init(&a);
	while (e->name != NULL && strcmp(e->name, event) != 0)
		e++;
	ck_assert_ptr_nonnull(e->name);
	ck_assert_int_eq(doc_parse(&a, DOC_JSON, tl_str_c(body), &tree, &err),
			 TL_OK);
	ck_assert_uint_eq(tree->n, 3);
	ck_assert(tl_str_eq(doc_get(tree, "type")->str, tl_str_c(event)));
	ck_assert_ptr_nonnull(doc_get(tree, "timestamp"));
	ck_assert_msg(shape_check(e->payload, doc_get(tree, "data"), &err) ==
			      TL_OK,
		      "%s: %s", event, err.text);
	tl_arena_deinit(&a);
}

/* ---- usage ---- */

START_TEST(each_threshold_is_told_once_whoever_dies)
{
	static const char *const kinds[] = { "worker", "flusher", "runner" };
	unsigned kills = 0;
	struct hook h;

	hooks_up("metering.flush_interval_ms=20", "server.workers=2");
	make_key("alice", 300, "");
	h = hook_make(key_of("alice"), "");

	for (unsigned i = 0; i < 3000; i++) {
		if (gate(key_of("alice"), "") == 429)
			break;
		if (i % 10 == 0)
			kills += daemon_kill_child(d, kinds[kills % 3], 300);
		test_sleep_ms(5);
	}

	ck_assert_uint_gt(kills, 2);
	WAIT_UNTIL(db_credits("alice@test") == 300);
	ck_assert_int_eq(db_credits("alice@test"), 300);
	/* some have met a dying runner */
	WAIT_UNTIL((hooks_due(), hook_deliveries(&h, "delivered") == 5));
	ck_assert_int_eq(told("usage.threshold"), 4);
	ck_assert_int_eq(told("quota.exceeded"), 1);
	ck_assert_str_eq(sql_str(db,
				 "SELECT string_agg(percent::text, ','"
				 " ORDER BY percent) FROM tallyd.usage_alert"),
			 "0,50,80,90,100");
	ck_assert_uint_ge(receiver_got(rec, "\"threshold_percent\": 50"), 1);
	ck_assert_uint_ge(receiver_got(rec, "\"threshold_percent\": 100"), 1);
	ck_assert_uint_ge(receiver_got(rec, "\"quota.exceeded\""), 1);
	check_shape("usage.threshold");
	check_shape("quota.exceeded");
}
END_TEST

/* A batch of a host that is not there: user and key alice, today. */
static void flush_of(const char *node, int seq, int credits)
{
	sql_exec(db,
		 "SELECT tallyd.flush_apply('%s', 1, %d, true,"
		 " array_agg(k.user_id), array_agg(k.key_id),"
		 " array_agg((now() AT TIME ZONE 'UTC')::date), '{%d}', '{1}',"
		 " '{0}', '{0}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
		 " '{}', '{}', '{}', '2020-01-01', '{}', '{}', '{}', '{}',"
		 " '{}', '{}', '{}', '{}', '{}')"
		 "  FROM api_keys k JOIN users u USING (user_id)"
		 " WHERE u.email = 'alice@test'",
		 node, seq, credits);
}

START_TEST(hosts_add_up_and_a_batch_that_comes_twice_tells_nothing)
{
	struct hook h;

	hooks_up();
	make_key("alice", 1000, "");
	h = hook_make(key_of("alice"), "\"enabled\": false");

	flush_of("a", 1, 499); /* nobody is to be told yet */
	hook_patch(key_of("alice"), &h, "{\"enabled\": true}");
	want(200);
	ck_assert_int_eq(told("usage.threshold"), 0);
	flush_of("b", 1, 1);
	flush_of("b", 1, 1);
	ck_assert_int_eq(told("usage.threshold"), 1);
	flush_of("a", 2, 400); /* 80 and 90 at once */
	flush_of("a", 2, 400);
	ck_assert_int_eq(told("usage.threshold"), 3);
	flush_of("b", 2, 99);
	ck_assert_int_eq(told("usage.threshold"), 3);
	flush_of("b", 3, 1);
	ck_assert_int_eq(told("usage.threshold"), 4);
	flush_of("b", 4, 5000);
	ck_assert_int_eq(told("usage.threshold"), 4);
	hook_delete(key_of("alice"), &h);
	want(200);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.usage_watch"),
			 0);
}
END_TEST

/* ---- keys ---- */

START_TEST(keys_are_told_of_where_somebody_listens)
{
	char id[40], path[128];
	struct hook all, some;

	hooks_up();
	all = hook_make(KEY_PRO, "");
	some = hook_make(KEY_PRO, "");
	hook_patch(KEY_PRO, &some, "{\"events\": [\"key.revoked\"]}");

	client_call(c, "/api/keys", KEY_STARTER, "{}", "", &r); /* another's */
	client_call(c, "/api/keys", KEY_PRO, "{\"label\": \"x\"}", "", &r);
	want(201);
	snprintf(path, sizeof(path), "/api/keys/%s/rotate", json_str(&r, "id"));
	client_call(c, path, KEY_PRO, "{\"grace_seconds\": 60}", "", &r);
	want(201);
	snprintf(id, sizeof(id), "%s", json_str(&r, "id"));
	key_delete(KEY_PRO, id);
	want(200);

	WAIT_UNTIL(hook_deliveries(&all, "delivered") == 3);
	WAIT_UNTIL(hook_deliveries(&some, "delivered") == 1);
	ck_assert_int_eq(told("key.created"), 1);
	ck_assert_int_eq(told("key.rotated"), 1);
	ck_assert_int_eq(told("key.revoked"), 2);
	check_shape("key.created");
	check_shape("key.rotated");
	check_shape("key.revoked");
	ck_assert_int_eq(/* both know it by the same message */
			 sql_num(db, "SELECT count(DISTINCT message_id)"
				     "  FROM tallyd.webhook_delivery"
				     " WHERE event = 'key.revoked'"),
			 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.event"
				     " WHERE name LIKE 'key.%%'"),
			 3);
	ck_assert_int_eq(sql_num(db,
				 "SELECT count(*) FROM tallyd.event"
				 " WHERE payload ->> 'user_id' = '%s'",
				 USER_STARTER),
			 0);
}
END_TEST

START_TEST(key_that_expires_is_told_of_twice)
{
	static const struct {
		const char *left;
		int64_t told; /* so far */
	} cases[] = { { "8 days", 0 },   { "6 days", 1 }, { "5 days", 1 },
		      { "23 hours", 2 }, { "1 hour", 2 }, { "-1 hour", 2 } };

	hooks_up();
	(void)hook_make(KEY_PRO, "");
	sql_exec(db,
		 "UPDATE api_keys SET created_at = now() - INTERVAL '1 year'"
		 " WHERE key_id = '" ID_PRO "'");
	EACH_ROW(cases, row)
	{
		row_name = row->left;
		sql_exec(db,
			 "UPDATE api_keys SET expires_at = now() + '%s'"
			 " WHERE key_id = '" ID_PRO "'",
			 row->left);
		sql_exec(db, "SELECT tallyd.keys_expiring(100)");
		ck_assert_int_eq(told("key.expiring"), row->told);
	}
	check_shape("key.expiring");
}
END_TEST

/* ---- at least once ---- */

START_TEST(receiver_that_fails_at_random_gets_each_event)
{
	char text[32];
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "");
	atomic_store(&rec->fail_percent, 40);

	for (int i = 100; i < 130; i++)
		sql_exec(db,
			 "SELECT tallyd.user_event('" USER_PRO
			 "', 'key.created', '{\"n\": %d}', 'k')",
			 i);
	WAIT_UNTIL((hooks_due(), hook_deliveries(&h, "delivered") == 30));

	ck_assert_int_eq(hook_deliveries(&h, "delivered"), 30);
	for (int i = 100; i < 130; i++) {
		snprintf(text, sizeof(text), "\"n\": %d", i);
		ck_assert_uint_ge(receiver_got(rec, text), 1);
	}
	ck_assert_uint_gt(receiver_count(rec, NULL), 30);
}
END_TEST

/* A task that an operator took away does not leave its delivery hanging. */
START_TEST(delivery_whose_task_is_gone_has_failed)
{
	struct hook h;

	hooks_up();
	atomic_store(&rec->status, 500);
	h = hook_make(KEY_PRO, "");
	hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task"
			       " WHERE state = 1") == 1);
	ck_assert_int_eq(sql_num(db, "SELECT tallyd.webhook_sweep(10)"), 0);

	sql_exec(db, "SELECT tallyd.task_cancel(task_id) FROM tallyd.task");

	ck_assert_int_eq(sql_num(db, "SELECT tallyd.webhook_sweep(10)"), 1);
	ck_assert_int_eq(hook_deliveries(&h, "failed"), 1);
}
END_TEST

/* ---- operators ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(operators_see_replay_and_verify)
{
	char *secret = world_path("secret"), *body = world_path("body");
	const struct receiver_call *call;
	struct json_object *j = NULL;
	char path[128];
	struct hook h;

	hooks_up("admin.emails=demo@codexible.me");
	call = &rec->calls[1];
	h = hook_make(KEY_STARTER, "");
	atomic_store(&rec->status, 400);
	hook_post(KEY_STARTER, &h, "/test", "");
	WAIT_UNTIL(hook_deliveries(&h, "failed") == 1);
	atomic_store(&rec->status, 200);

	client_get(c, "/api/admin/webhooks", KEY_STARTER, &r);
	want_error(403, "forbidden");
	client_get(c, "/api/admin/webhooks?q=HOOK", KEY_PRO, &r);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.id"), h.id);
	snprintf(path, sizeof(path), "/api/admin/webhooks/%s/deliveries", h.id);
	client_get(c, path, KEY_PRO, &r);
	ck_assert_pstr_eq(json_str(&r, "0.state"), "failed");
	ck_assert_int_eq(daemon_ctl(d, &j, DAEMON_SETTINGS("webhook", "list")),
			 0);
	ck_assert_str_eq(json_object_get_string(json_at(j, "webhooks.0.id")),
			 h.id);
	json_object_put(j);

	ck_assert_int_eq(
		daemon_ctl(d, &j,
			   DAEMON_SETTINGS("webhook", "replay", h.id, "--since",
					   "2020-01-01T00:00:00Z")),
		0);
	ck_assert_int_eq(json_object_get_int(json_at(j, "replayed")), 1);
	json_object_put(j);
	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 1);

	write_file(secret, h.secret);
	write_file(body, call->body);
	ck_assert_int_eq(
		daemon_ctl(d, &j,
			   DAEMON_SETTINGS("webhook", "verify", secret, body,
					   "--id", call->id, "--timestamp",
					   call->timestamp, "--signature",
					   call->signature)),
		0);
	json_object_put(j);
	ck_assert_int_eq(
		daemon_ctl(d, &j,
			   DAEMON_SETTINGS("webhook", "verify", secret, body,
					   "--id", "msg_other", "--timestamp",
					   call->timestamp, "--signature",
					   call->signature)),
		1);
	json_object_put(j);
	tl_free(secret);
	tl_free(body);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("webhook_events");
	TCase *tc = fixture_case(s, "webhook_events");

	tcase_add_test(tc, each_threshold_is_told_once_whoever_dies);
	tcase_add_test(tc,
		       hosts_add_up_and_a_batch_that_comes_twice_tells_nothing);
	tcase_add_test(tc, keys_are_told_of_where_somebody_listens);
	tcase_add_test(tc, key_that_expires_is_told_of_twice);
	tcase_add_test(tc, receiver_that_fails_at_random_gets_each_event);
	tcase_add_test(tc, delivery_whose_task_is_gone_has_failed);
	tcase_add_test(tc, operators_see_replay_and_verify);
	return fixture_run(s);
}
