/* usage/record with Idempotency-Key, auth/validate, usage/today. */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "shm/layout.h"

#define ENCODINGS 2

static void record(const char *key, const char *body, const char *idem)
{
	char head[128] = "";

	if (idem != NULL)
		snprintf(head, sizeof(head), "Idempotency-Key: %s\r\n", idem);
	client_call(c, "/api/usage/record", key, body, head, &r);
}

static double json_real(const char *path)
{
	return json_object_get_double(json_at(r.json, path));
}

START_TEST(record_charges_and_tells_usage_with_its_own_charge)
{
	char today[11];
	time_t now = time(NULL);

	up();
	c->msgpack = _i;
	strftime(today, sizeof(today), "%Y-%m-%d", gmtime(&now));

	record(KEY_PRO,
	       "{\"model\":\"m\",\"prompt_tokens\":1500,"
	       "\"completion_tokens\":500}",
	       NULL);

	want(200);
	ck_assert(json_true(&r, "recorded"));
	ck_assert_int_eq(json_num(&r, "credits_charged"), 1);
	ck_assert_double_eq_tol(json_real("cost_usd"), 0.075, 1e-9);
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 143);
	ck_assert_int_eq(json_num(&r, "usage.daily_limit"), 250);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 90);
	ck_assert_pstr_eq(json_str(&r, "usage.date"), today);
}
END_TEST

START_TEST(rates_of_a_model_apply_by_exact_name)
{
	up("cost.models.big=1,2");

	record(KEY_PRO,
	       "{\"model\":\"big\",\"prompt_tokens\":1000,"
	       "\"completion_tokens\":500,\"credits\":3}",
	       NULL);

	want(200);
	ck_assert_double_eq_tol(json_real("cost_usd"), 2.0, 1e-9);
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 145);
	record(KEY_PRO, "{\"model\":\"Big\",\"prompt_tokens\":1000}", NULL);
	ck_assert_double_eq_tol(json_real("cost_usd"), 0.03, 1e-9);
}
END_TEST

static const char *const bad_bodies[] = {
	"{\"credits\":0}",
	"{\"credits\":1000001}",
	"{\"credits\":-5}",
	"{\"credits\":1.5}",
	"{\"credits\":\"1\"}",
	"{\"model\":\"\"}",
	"{\"model\":7}",
	"{\"prompt_tokens\":-1}",
	"{\"prompt_tokens\":2147483648}",
	"{\"completion_tokens\":2147483648}",
	"[1]",
	"7",
};

START_TEST(out_of_range_is_400_and_charges_nothing)
{
	up(FREE_RATE);
	c->msgpack = _i == 1;
	EACH_ROW(bad_bodies, body)
	{
		row_name = *body;

		record(KEY_PRO, *body, NULL);

		want_error(400, "bad_request");
		ck_assert_int_eq(used_today(KEY_PRO), 142);
	}
}
END_TEST

START_TEST(record_needs_a_key)
{
	up();

	record(NULL, "{}", NULL);
	want_error(401, "unauthorized");
	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' "
			      "WHERE user_id = '" USER_PRO "'");
	WAIT_UNTIL((record(KEY_PRO, "{}", NULL), r.status != 200));

	want_error(403, "forbidden");
}
END_TEST

START_TEST(without_credits_record_is_429_and_changes_nothing)
{
	up();

	record(KEY_PRO, "{\"credits\":109}", NULL);

	want_error(429, "quota_exceeded");
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	client_get(c, "/api/usage/today", KEY_PRO, &r);
	ck_assert_int_eq(json_num(&r, "credits_used"), 142);
	ck_assert_int_eq(json_num(&r, "request_count"), 89);
}
END_TEST

/* The first answer again, but for the request id of course. */
static void record_twice_once(const char *idem)
{
	char *first;

	record(KEY_PRO, "{\"credits\":4}", idem);
	want(200);
	first = tl_strdup(r.body);
	record(KEY_PRO, "{\"credits\":1}", NULL);
	record(KEY_PRO, "{\"credits\":4}", idem);
	want(200);
	ck_assert_str_eq(r.body, first);
	tl_free(first);
}

START_TEST(same_idempotency_key_charges_once)
{
	up();

	record_twice_once("order-1.a_B");

	ck_assert_int_eq(used_today(KEY_PRO), 147);
}
END_TEST

START_TEST(same_idempotency_key_with_another_body_is_409)
{
	up();
	record(KEY_PRO, "{\"credits\":4}", "k1");

	record(KEY_PRO, "{\"credits\":5}", "k1");

	want_error(409, "conflict");
	ck_assert_int_eq(used_today(KEY_PRO), 146);
}
END_TEST

START_TEST(idempotency_keys_belong_to_the_api_key)
{
	up();
	record(KEY_PRO, "{\"credits\":4}", "k1");

	record(KEY_BUSINESS, "{\"credits\":5}", "k1");

	want(200);
	ck_assert_int_eq(json_num(&r, "credits_charged"), 5);
}
END_TEST

static const char *const bad_names[] = {
	"has blank",
	"sl/ash",
	"",
	"x2345678901234567890123456789012345678901234567890123456789012345",
};

START_TEST(malformed_idempotency_keys_are_400)
{
	up(FREE_RATE);
	EACH_ROW(bad_names, name)
	{
		row_name = *name;

		record(KEY_PRO, "{}", *name);

		want_error(400, "bad_request");
		ck_assert_int_eq(used_today(KEY_PRO), 142);
	}
}
END_TEST

START_TEST(a_refused_record_may_be_tried_again)
{
	up();
	record(KEY_PRO, "{\"credits\":109}", "k1");
	want_error(429, "quota_exceeded");
	sql_exec(d->conninfo, "UPDATE plans SET daily_credit_limit = 400 "
			      "WHERE name = 'Pro'");

	WAIT_UNTIL(
		(record(KEY_PRO, "{\"credits\":109}", "k1"), r.status == 200));

	want(200);
	ck_assert_int_eq(used_today(KEY_PRO), 251);
}
END_TEST

START_TEST(first_answer_survives_a_restart)
{
	char *first;

	up();
	record(KEY_PRO, "{\"credits\":4}", "k1");
	first = tl_strdup(r.body);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	fixture_again();

	record(KEY_PRO, "{\"credits\":4}", "k1");

	want(200);
	ck_assert_str_eq(r.body, first);
	ck_assert_int_eq(used_today(KEY_PRO), 146);
	tl_free(first);
}
END_TEST

START_TEST(first_answer_survives_the_loss_of_the_segment)
{
	char *first, path[128];

	up();
	record(KEY_PRO, "{\"credits\":4}", "k1");
	first = tl_strdup(r.body);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	snprintf(path, sizeof(path), "/dev/shm/tallyd.%s.v%u", d->instance,
		 SHM_LAYOUT);
	ck_assert_int_eq(unlink(path), 0); /* as after a reboot */
	fixture_again();

	record(KEY_PRO, "{\"credits\":4}", "k1");
	want(200);
	ck_assert_str_eq(r.body, first);
	record(KEY_PRO, "{\"credits\":5}", "k1");
	want_error(409, "conflict");

	ck_assert_int_eq(used_today(KEY_PRO), 146);
	tl_free(first);
}
END_TEST

START_TEST(first_answer_survives_a_killed_worker)
{
	char *first;

	up("server.workers=1");
	record(KEY_PRO, "{\"credits\":4}", "k1");
	first = tl_strdup(r.body);
	kill(daemon_child(d, "worker"), SIGKILL);
	client_close(c);

	record(KEY_PRO, "{\"credits\":4}", "k1");

	want(200);
	ck_assert_str_eq(r.body, first);
	ck_assert_int_eq(used_today(KEY_PRO), 146);
	tl_free(first);
}
END_TEST

START_TEST(validate_tells_the_user)
{
	up();
	c->msgpack = _i;

	client_call(c, "/api/auth/validate", NULL,
		    "{\"token\":\"  " KEY_PRO " \"}", NULL, &r);

	want(200);
	ck_assert(json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "user.email"), "demo@codexible.me");
	ck_assert_pstr_eq(json_str(&r, "user.name"), "Demo User");
	ck_assert_pstr_eq(json_str(&r, "user.plan"), "Pro");
	ck_assert_pstr_eq(json_str(&r, "user.status"), "active");
	ck_assert_pstr_eq(json_str(&r, "role"), "user");
	ck_assert_pstr_eq(json_str(&r, "session_source"), "local");
	ck_assert(!json_true(&r, "degraded"));
}
END_TEST

static const struct {
	const char *body, *message;
} invalid[] = {
	{ "{\"token\":\"\"}", "Token is required" },
	{ "{\"token\":\"   \"}", "Token is required" },
	{ "{\"token\":\"no_such_key_anywhere\"}", "Invalid token" },
	{ "{\"token\":\"x\"}", "Invalid token" },
};

START_TEST(validate_tells_why_not)
{
	up(FREE_RATE);
	EACH_ROW(invalid, row)
	{
		row_name = row->body;

		client_call(c, "/api/auth/validate", NULL, row->body, NULL, &r);

		want(200);
		ck_assert(!json_true(&r, "valid"));
		ck_assert_ptr_null(json_at(r.json, "user"));
		ck_assert_pstr_eq(json_str(&r, "message"), row->message);
	}
}
END_TEST

START_TEST(validate_knows_admins_and_the_suspended)
{
	up("admin.emails=DEMO@codexible.me");
	client_call(c, "/api/auth/validate", NULL,
		    "{\"token\":\"" KEY_PRO "\"}", NULL, &r);
	ck_assert_pstr_eq(json_str(&r, "role"), "admin");
	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' "
			      "WHERE user_id = '" USER_STARTER "'");
	WAIT_UNTIL(gate(KEY_STARTER, "") == 403);

	client_call(c, "/api/auth/validate", NULL,
		    "{\"token\":\"" KEY_STARTER "\"}", NULL, &r);

	want(200);
	ck_assert(!json_true(&r, "valid"));
	ck_assert_pstr_eq(json_str(&r, "message"), "Account is suspended");
}
END_TEST

START_TEST(validate_is_limited_by_address_and_strict_in_form)
{
	unsigned i;

	up();
	client_call(c, "/api/auth/validate", NULL, "{\"token\":7}", NULL, &r);
	want_error(400, "bad_request");
	client_call(c, "/api/auth/validate", NULL, "{}", NULL, &r);
	want_error(400, "bad_request");

	for (i = 0; i < 19; i++)
		client_call(c, "/api/auth/validate", NULL,
			    "{\"token\":\"" KEY_PRO "\"}", NULL, &r);

	want_error(429, "rate_limited");
}
END_TEST

START_TEST(today_is_free_and_needs_a_key)
{
	up();

	client_get(c, "/api/usage/today", KEY_STARTER, &r);
	want(200);
	ck_assert_int_eq(json_num(&r, "credits_used"), 23);
	ck_assert_int_eq(json_num(&r, "daily_limit"), 75);
	ck_assert_int_eq(json_num(&r, "request_count"), 12);
	ck_assert_int_eq(used_today(KEY_STARTER), 23);
	client_get(c, "/api/usage/today", NULL, &r);

	want_error(401, "unauthorized");
}
END_TEST

START_TEST(with_meter_scope_all_today_counts_itself)
{
	up("metering.meter_scope=all");

	client_get(c, "/api/usage/today", KEY_STARTER, &r);

	want(200);
	ck_assert_int_eq(json_num(&r, "credits_used"), 24);
	ck_assert_int_eq(json_num(&r, "request_count"), 13);
	client_get(c, "/api/usage/today", KEY_STARTER, &r);
	ck_assert_int_eq(json_num(&r, "credits_used"), 25);
}
END_TEST

START_TEST(without_metering_nothing_is_recorded)
{
	up("metering.enabled=no");

	client_call(c, "/api/usage/record", KEY_STARTER, "{\"credits\":5}",
		    NULL, &r);
	want(200);
	ck_assert(!json_true(&r, "recorded"));
	ck_assert_int_eq(json_num(&r, "credits_charged"), 0);
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 23);
	client_call(c, "/api/usage/record", KEY_STARTER, "{\"credits\":53}",
		    NULL, &r);

	want_error(429, "quota_exceeded"); /* the quota still holds */
	ck_assert_int_eq(used_today(KEY_STARTER), 23);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("record");
	TCase *tc = fixture_case(s, "record");

	tcase_add_loop_test(tc,
			    record_charges_and_tells_usage_with_its_own_charge,
			    0, ENCODINGS);
	tcase_add_test(tc, rates_of_a_model_apply_by_exact_name);
	tcase_add_loop_test(tc, out_of_range_is_400_and_charges_nothing, 0,
			    ENCODINGS);
	tcase_add_test(tc, record_needs_a_key);
	tcase_add_test(tc, without_credits_record_is_429_and_changes_nothing);
	tcase_add_test(tc, same_idempotency_key_charges_once);
	tcase_add_test(tc, same_idempotency_key_with_another_body_is_409);
	tcase_add_test(tc, idempotency_keys_belong_to_the_api_key);
	tcase_add_test(tc, malformed_idempotency_keys_are_400);
	tcase_add_test(tc, a_refused_record_may_be_tried_again);
	tcase_add_test(tc, first_answer_survives_a_restart);
	tcase_add_test(tc, first_answer_survives_the_loss_of_the_segment);
	tcase_add_test(tc, first_answer_survives_a_killed_worker);
	tcase_add_loop_test(tc, validate_tells_the_user, 0, ENCODINGS);
	tcase_add_test(tc, validate_tells_why_not);
	tcase_add_test(tc, validate_knows_admins_and_the_suspended);
	tcase_add_test(tc, validate_is_limited_by_address_and_strict_in_form);
	tcase_add_test(tc, today_is_free_and_needs_a_key);
	tcase_add_test(tc, with_meter_scope_all_today_counts_itself);
	tcase_add_test(tc, without_metering_nothing_is_recorded);
	return fixture_run(s);
}
