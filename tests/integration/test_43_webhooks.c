/*
 * Outgoing webhooks with a real daemon, PostgreSQL and receiver: endpoints,
 * signatures, retries, order and limits.
 */
#include "config.h"

#include "lib/fixture.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "hooks.h"
#include "net/signature.h"

#define db d->conninfo

/* ---- endpoints ---- */

START_TEST(endpoint_is_made_shown_changed_and_removed)
{
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "\"description\": \"mine\"");

	hook_get(KEY_PRO, &h, "");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "description"), "mine");
	ck_assert(json_true(&r, "enabled"));
	ck_assert_ptr_null(strstr(r.body, "whsec_"));
	hook_patch(KEY_PRO, &h,
		   "{\"description\": \"yours\", \"enabled\": false,"
		   " \"events\": [\"key.created\"], \"concurrency\": 3}");
	want(200);
	hook_get(KEY_PRO, &h, "");
	ck_assert_pstr_eq(json_str(&r, "description"), "yours");
	ck_assert_pstr_eq(json_str(&r, "events.0"), "key.created");
	ck_assert_int_eq(json_num(&r, "concurrency"), 3);
	ck_assert(!json_true(&r, "enabled"));
	hook_delete(KEY_PRO, &h);
	want(200);
	hook_get(KEY_PRO, &h, "");
	want_error(404, "not_found");
	ck_assert_str_eq(sql_str(db,
				 "SELECT string_agg(action, ',' ORDER BY id)"
				 "  FROM audit_log WHERE target = '%s'"
				 "   AND actor LIKE '%%@%%'",
				 h.id),
			 "webhook.create,webhook.update,webhook.delete");
}
END_TEST

START_TEST(what_can_not_be_is_refused)
{
	static const struct {
		const char *body, *says;
	} cases[] = {
		{ "{\"url\": \"http://127.0.0.1:9/\", \"events\": [\"*\"]}",
		  "rule 'port'" },
		{ "{\"url\": \"http://10.1.2.3/\", \"events\": [\"*\"]}",
		  "address.private" },
		{ "{\"url\": \"http://2852039166/\", \"events\": [\"*\"]}",
		  "address.link-local" },
		{ "{\"url\": \"ftp://127.0.0.1/\", \"events\": [\"*\"]}",
		  "scheme" },
		{ "{\"url\": \"http://a:b@127.0.0.1/\", \"events\": [\"*\"]}",
		  "userinfo" },
		{ "{\"url\": \"http://127.0.0.1/\", \"events\": [\"no.such\"]}",
		  "events[0]" },
		{ "{\"url\": \"http://127.0.0.1/\", \"events\": []}",
		  "events" },
		{ "{\"events\": [\"*\"]}", "url" },
	};
	char *log;

	hooks_up();
	EACH_ROW(cases, row)
	{
		row_name = row->body;
		client_call(c, "/api/webhooks", KEY_PRO, row->body, "", &r);
		want_error(400, "bad_request");
		ck_assert_msg(strstr(json_str(&r, "error.message"),
				     row->says) != NULL,
			      "%s: %s", row->body,
			      json_str(&r, "error.message"));
	}
	log = daemon_log(d); /* an operator sees who tries */
	ck_assert_ptr_nonnull(strstr(log, "address.private"));
	tl_free(log);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM webhook_endpoints"),
			 0);
}
END_TEST

START_TEST(others_do_not_reach_it_and_twenty_are_the_most)
{
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "");

	hook_get(KEY_STARTER, &h, "");
	want_error(404, "not_found");
	hook_patch(KEY_STARTER, &h, "{\"enabled\": false}");
	want_error(404, "not_found");
	hook_post(KEY_STARTER, &h, "/rotate", "{}");
	want_error(404, "not_found");
	hook_post(KEY_STARTER, &h, "/test", "");
	want_error(404, "not_found");
	hook_get(KEY_STARTER, &h, "/deliveries");
	want_error(404, "not_found");
	hook_post(KEY_STARTER, &h, "/replay",
		  "{\"since\": \"2020-01-01T00:00:00Z\"}");
	want_error(404, "not_found");
	for (int i = 1; i < 20; i++)
		(void)hook_make(KEY_PRO, "");
	client_call(c, "/api/webhooks", KEY_PRO, hook_body(""), "", &r);
	want_error(409, "conflict");
	(void)hook_make(KEY_STARTER, "");
}
END_TEST

/* ---- what is sent ---- */

START_TEST(test_event_arrives_signed)
{
	const struct receiver_call *call;
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "");

	hook_post(KEY_PRO, &h, "/test", "");
	want(202);

	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 1);
	call = &rec->calls[0];
	ck_assert_uint_eq(receiver_count(rec, NULL), 1);
	ck_assert_int_eq(hook_verify(call, h.secret), SIGNATURE_GOOD);
	ck_assert_ptr_nonnull(strstr(call->body, "\"webhook.test\""));
	ck_assert_int_eq(strncmp(call->id, "msg_", 4), 0);
	hook_get(KEY_PRO, &h, "/deliveries");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "0.message_id"), call->id);
	ck_assert_pstr_eq(json_str(&r, "0.state"), "delivered");
	ck_assert_pstr_eq(json_str(&r, "0.body.type"), "webhook.test");
	ck_assert_int_eq(json_num(&r, "0.log.0.status"), 200);
	ck_assert_pstr_eq(json_str(&r, "0.log.0.request.headers.webhook-id"),
			  call->id);
	ck_assert_pstr_eq(json_str(&r, "0.log.0.response.headers.x-request-id"),
			  "r0");
	ck_assert_ptr_null(strstr(r.body, "et-cookie"));
	client_get(c, "/metrics", NULL, &r);
	ck_assert_ptr_nonnull(strstr(r.body, "tallyd_webhook_calls_total"
					     "{outcome=\"delivered\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(
		r.body, "tallyd_webhook_call_duration_seconds_count 1\n"));
	ck_assert_ptr_nonnull(
		strstr(r.body, "tallyd_webhook_delivery_seconds_count 1\n"));
}
END_TEST

START_TEST(failure_is_tried_again_with_the_same_id)
{
	struct hook h;

	hooks_up();
	atomic_store(&rec->fail_first, 1);
	snprintf(rec->body, sizeof(rec->body), "no \x01 \xff");
	h = hook_make(KEY_PRO, "");

	hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(receiver_count(rec, NULL) == 1);
	WAIT_UNTIL(hook_attempts(&h) == 1);
	hook_get(KEY_PRO, &h, "/deliveries?state=pending");
	ck_assert_pstr_eq(json_str(&r, "0.log.0.error_code"), "HTTP_ERROR");
	ck_assert_pstr_eq(json_str(&r, "0.log.0.response.body"), "no \x01 ?");
	ck_assert_int_eq(hook_next_in_s(&h), 5);
	hooks_due();

	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 1);
	ck_assert_uint_eq(receiver_count(rec, NULL), 2);
	ck_assert_str_eq(rec->calls[0].id, rec->calls[1].id);
	ck_assert_str_eq(rec->calls[0].body, rec->calls[1].body);
	ck_assert_int_eq(hook_verify(&rec->calls[1], h.secret), SIGNATURE_GOOD);
}
END_TEST

START_TEST(retry_after_is_obeyed_up_to_an_hour)
{
	static const struct {
		const char *header;
		int status, at_least, at_most;
	} cases[] = {
		{ "Retry-After: 70\r\n", 503, 65, 70 },
		{ "Retry-After: 70\r\n", 429, 65, 70 },
		{ "Retry-After: 70\r\n", 500, 0, 6 }, /* not its place */
		{ "Retry-After: 99999\r\n", 503, 3590, 3600 },
		{ "Retry-After: soon\r\n", 503, 0, 6 },
		{ "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n", 503, 3590,
		  3600 },
	};
	struct hook h;

	hooks_up();
	EACH_ROW(cases, row)
	{
		row_name = row->header;
		h = hook_make(KEY_PRO, "");
		atomic_store(&rec->status, row->status);
		snprintf(rec->header, sizeof(rec->header), "%s", row->header);
		hook_post(KEY_PRO, &h, "/test", "");
		WAIT_UNTIL(hook_attempts(&h) == 1);
		ck_assert_int_ge(hook_next_in_s(&h), row->at_least);
		ck_assert_int_le(hook_next_in_s(&h), row->at_most);
	}
}
END_TEST

START_TEST(permanent_answers_end_it_and_redirects_are_not_followed)
{
	static const struct {
		int status;
		const char *state;
	} cases[] = { { 400, "failed" },  { 401, "failed" },
		      { 403, "failed" },  { 404, "failed" },
		      { 422, "failed" },  { 301, "pending" },
		      { 500, "pending" }, { 204, "delivered" } };
	unsigned calls = 0;
	struct hook h;

	hooks_up();
	snprintf(rec->header, sizeof(rec->header), "Location: /other\r\n");
	EACH_ROW(cases, row)
	{
		h = hook_make(KEY_PRO, "");
		atomic_store(&rec->status, row->status);
		hook_post(KEY_PRO, &h, "/test", "");
		WAIT_UNTIL(hook_attempts(&h) == 1);
		WAIT_UNTIL(hook_deliveries(&h, row->state) == 1);
		ck_assert_msg(hook_deliveries(&h, row->state) == 1, "%d",
			      row->status);
		ck_assert_uint_eq(receiver_count(rec, NULL), ++calls);
	}
	ck_assert_uint_eq(receiver_count(rec, "/other"), 0);
}
END_TEST

START_TEST(tenth_failure_is_the_last)
{
	struct hook h;

	hooks_up();
	atomic_store(&rec->status, 500);
	h = hook_make(KEY_PRO, "");
	hook_post(KEY_PRO, &h, "/test", "");

	for (int i = 1; i < 10; i++) {
		WAIT_UNTIL(hook_attempts(&h) == i);
		ck_assert_int_eq(hook_attempts(&h), i);
		ck_assert_int_eq(hook_deliveries(&h, "pending"), 1);
		hooks_due();
	}

	WAIT_UNTIL(hook_deliveries(&h, "failed") == 1);
	ck_assert_int_eq(hook_attempts(&h), 10);
	hook_get(KEY_PRO, &h, "/deliveries");
	ck_assert_int_eq(json_num(&r, "0.attempts"), 10);
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task_dead") == 1);
}
END_TEST

START_TEST(address_that_became_forbidden_is_not_called)
{
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "");
	sql_exec(db, "UPDATE webhook_endpoints"
		     "   SET url = 'http://169.254.169.254/'");
	hook_post(KEY_PRO, &h, "/test", "");

	WAIT_UNTIL(hook_deliveries(&h, "failed") == 1);
	hook_get(KEY_PRO, &h, "/deliveries");
	ck_assert_pstr_eq(json_str(&r, "0.log.0.error_code"), "SSRF_BLOCKED");
}
END_TEST

/* ---- endpoints that are gone ---- */

START_TEST(answer_410_disables_and_others_are_told)
{
	struct hook gone, other;

	hooks_up();
	gone = hook_make(KEY_PRO, "");
	atomic_store(&rec->status, 410);

	hook_post(KEY_PRO, &gone, "/test", "");
	WAIT_UNTIL(hook_deliveries(&gone, "failed") == 1);

	hook_get(KEY_PRO, &gone, "");
	ck_assert(!json_true(&r, "enabled"));
	ck_assert_pstr_eq(json_str(&r, "disabled_reason"), "gone");
	hook_post(KEY_PRO, &gone, "/test", "");
	want_error(404, "not_found");
	hook_patch(KEY_PRO, &gone, "{\"enabled\": true}");
	other = hook_make(KEY_PRO, "");
	sql_exec(db,
		 "UPDATE webhook_endpoints SET url = url || '/x',"
		 " events = '{webhook.disabled}' WHERE webhook_id = '%s'",
		 other.id);
	hook_post(KEY_PRO, &gone, "/test", "");
	WAIT_UNTIL(receiver_count(rec, "/hook/x") == 1);
	ck_assert_uint_eq(receiver_count(rec, "/hook/x"), 1);
}
END_TEST

START_TEST(five_days_of_failures_disable)
{
	struct hook h;

	hooks_up();
	atomic_store(&rec->status, 500);
	h = hook_make(KEY_PRO, "");
	hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(hook_attempts(&h) == 1);
	sql_exec(db, "UPDATE webhook_endpoints"
		     "   SET failing_since = now() - INTERVAL '6 days'");

	hooks_due();
	WAIT_UNTIL(hook_attempts(&h) == 2);

	hook_get(KEY_PRO, &h, "");
	ck_assert_pstr_eq(json_str(&r, "disabled_reason"), "failing");
	hooks_due(); /* what is left of it is not sent */
	WAIT_UNTIL(hook_deliveries(&h, "skipped") == 1);
	ck_assert_int_eq(hook_attempts(&h), 2);
}
END_TEST

START_TEST(replay_sends_what_did_not_arrive)
{
	char path[128];
	struct hook h;

	hooks_up();
	atomic_store(&rec->status, 400);
	h = hook_make(KEY_PRO, "");
	for (int i = 0; i < 3; i++)
		hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(hook_deliveries(&h, "failed") == 3);
	atomic_store(&rec->status, 200);
	hook_get(KEY_PRO, &h, "/deliveries?limit=1");
	snprintf(path, sizeof(path), "/deliveries/%s/replay",
		 json_str(&r, "0.id"));

	hook_post(KEY_PRO, &h, path, "");
	want(202);
	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 1);
	hook_post(KEY_PRO, &h, "/replay",
		  "{\"since\": \"2020-01-01T00:00:00Z\"}");
	want(202);
	ck_assert_int_eq(json_num(&r, "replayed"), 2);

	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 3);
	ck_assert_uint_eq(receiver_count(rec, NULL), 6);
	for (int i = 0; i < 3; i++) /* each under its own id */
		ck_assert_int_eq(sql_num(db,
					 "SELECT count(*)"
					 "  FROM tallyd.webhook_delivery"
					 " WHERE message_id = '%s'"
					 "   AND attempts = 2",
					 rec->calls[i].id),
				 1);
	hook_post(KEY_PRO, &h, "/replay",
		  "{\"since\": \"2020-01-01T00:00:00Z\"}");
	ck_assert_int_eq(json_num(&r, "replayed"), 0);
}
END_TEST

START_TEST(rotated_secret_signs_beside_the_new_one_for_a_while)
{
	char fresh[96];
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "");
	hook_post(KEY_PRO, &h, "/rotate", "{\"overlap_seconds\": 3600}");
	want(200);
	snprintf(fresh, sizeof(fresh), "%s", json_str(&r, "secret"));

	hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(receiver_count(rec, NULL) == 1);
	ck_assert_int_eq(hook_verify(&rec->calls[0], h.secret), SIGNATURE_GOOD);
	ck_assert_int_eq(hook_verify(&rec->calls[0], fresh), SIGNATURE_GOOD);
	sql_exec(db, "UPDATE webhook_endpoints SET previous_until = now()");
	hook_post(KEY_PRO, &h, "/test", "");
	WAIT_UNTIL(receiver_count(rec, NULL) == 2);

	ck_assert_int_eq(hook_verify(&rec->calls[1], h.secret),
			 SIGNATURE_MISMATCH);
	ck_assert_int_eq(hook_verify(&rec->calls[1], fresh), SIGNATURE_GOOD);
}
END_TEST

/* ---- order and limits ---- */

START_TEST(events_of_one_key_come_in_order)
{
	struct hook h;

	hooks_up();
	h = hook_make(KEY_PRO, "\"ordered\": true");
	atomic_store(&rec->fail_first, 1);
	for (int i = 0; i < 3; i++)
		sql_exec(db,
			 "SELECT tallyd.user_event('" USER_PRO
			 "', 'key.created', '{\"n\": %d}', 'one')",
			 i);
	/* or the other one might be the first that comes, and fails */
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.webhook_attempt"
			       " WHERE status = 500") == 1);
	sql_exec(db, "SELECT tallyd.user_event('" USER_PRO
		     "', 'key.created', '{\"n\": 9}', 'another')");
	WAIT_UNTIL(receiver_got(rec, "\"n\": 9") == 1);

	ck_assert_int_ge(hook_deliveries(&h, "waiting"), 2);
	ck_assert_uint_eq(receiver_count(rec, NULL), 2);
	hooks_due();

	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 4);
	ck_assert_int_eq(hook_deliveries(&h, "delivered"), 4);
	for (unsigned i = 2; i < 5; i++) {
		char text[16];

		snprintf(text, sizeof(text), "\"n\": %u", i - 2);
		ck_assert_ptr_nonnull(strstr(rec->calls[i].body, text));
	}
}
END_TEST

START_TEST(concurrency_and_rate_are_the_endpoints_own)
{
	struct hook narrow, slow;

	hooks_up();
	atomic_store(&rec->delay_ms, 50);
	narrow = hook_make(KEY_PRO, "\"concurrency\": 1");
	for (int i = 0; i < 5; i++)
		hook_post(KEY_PRO, &narrow, "/test", "");
	WAIT_UNTIL(hook_deliveries(&narrow, "delivered") == 5);
	ck_assert_int_eq(hook_deliveries(&narrow, "delivered"), 5);
	ck_assert_uint_eq(atomic_load(&rec->peak), 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task_attempt"
				     " WHERE outcome <> 'completed'"),
			 0);

	slow = hook_make(KEY_STARTER, "\"rate_per_minute\": 2");
	for (int i = 0; i < 4; i++)
		hook_post(KEY_STARTER, &slow, "/test", "");
	WAIT_UNTIL(hook_deliveries(&slow, "delivered") == 2);
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task"
			       " WHERE state = 1 AND run_at"
			       " > now() + INTERVAL '20 s'") == 2);
	ck_assert_int_eq(hook_deliveries(&slow, "delivered"), 2);
	ck_assert_int_eq(hook_deliveries(&slow, "pending"), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("webhooks");
	TCase *tc = fixture_case(s, "webhooks");

	tcase_add_test(tc, endpoint_is_made_shown_changed_and_removed);
	tcase_add_test(tc, what_can_not_be_is_refused);
	tcase_add_test(tc, others_do_not_reach_it_and_twenty_are_the_most);
	tcase_add_test(tc, test_event_arrives_signed);
	tcase_add_test(tc, failure_is_tried_again_with_the_same_id);
	tcase_add_test(tc, retry_after_is_obeyed_up_to_an_hour);
	tcase_add_test(tc,
		       permanent_answers_end_it_and_redirects_are_not_followed);
	tcase_add_test(tc, tenth_failure_is_the_last);
	tcase_add_test(tc, address_that_became_forbidden_is_not_called);
	tcase_add_test(tc, answer_410_disables_and_others_are_told);
	tcase_add_test(tc, five_days_of_failures_disable);
	tcase_add_test(tc, replay_sends_what_did_not_arrive);
	tcase_add_test(tc, rotated_secret_signs_beside_the_new_one_for_a_while);
	tcase_add_test(tc, events_of_one_key_come_in_order);
	tcase_add_test(tc, concurrency_and_rate_are_the_endpoints_own);
	return fixture_run(s);
}
