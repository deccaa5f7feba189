/*
 * What usage looks like to its owner and to an admin: overview, history, single
 * requests, sums; bounds of every parameter.
 */
#include "usage_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

/* ---- overview ---- */

START_TEST(overview_tells_who_calls_and_todays_usage)
{
	up(FREE_RATE, "admin.emails=team@codexible.me");

	get(KEY_PRO, "/api/dashboard/overview");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "user.email"), "demo@codexible.me");
	ck_assert_pstr_eq(json_str(&r, "user.name"), "Demo User");
	ck_assert_pstr_eq(json_str(&r, "user.plan"), "Pro");
	ck_assert_pstr_eq(json_str(&r, "user.status"), "active");
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 142);
	ck_assert_int_eq(json_num(&r, "usage.daily_limit"), 250);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 89);
	ck_assert_pstr_eq(json_str(&r, "usage.date"), day(0));
	ck_assert_pstr_eq(json_str(&r, "key.id"), ID_PRO);
	ck_assert_pstr_eq(json_str(&r, "key.prefix"), "codexible_demo");
	ck_assert_pstr_eq(json_str(&r, "key.label"), "Demo Pro Key");
	ck_assert_pstr_eq(json_str(&r, "key.status"), "active");
	ck_assert_ptr_nonnull(json_str(&r, "key.created_at"));
	/* this call counts, and the database does not know it yet */
	ck_assert_pstr_ne(json_str(&r, "key.last_used_at"), NULL);
	ck_assert_pstr_eq(json_str(&r, "role"), "user");
	ck_assert_pstr_eq(json_str(&r, "session_source"), "local");
	ck_assert(!json_true(&r, "degraded"));

	record(KEY_PRO, "{\"credits\":5}");
	get(KEY_PRO, "/api/dashboard/overview");
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 147);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 90);
	get(KEY_BUSINESS, "/api/dashboard/overview");
	ck_assert_pstr_eq(json_str(&r, "role"), "admin");
}
END_TEST

START_TEST(overview_of_a_rotated_key_says_revoked)
{
	up(FREE_RATE);
	client_call(c, "/api/keys/" ID_PRO "/rotate", KEY_PRO,
		    "{\"grace_seconds\":60}", NULL, &r);
	want(201);

	get(KEY_PRO, "/api/dashboard/overview");

	want(200);
	ck_assert_pstr_eq(json_str(&r, "key.status"), "revoked");
}
END_TEST

/* ---- history ---- */

START_TEST(history_sums_all_keys_newest_first)
{
	char dates[3][16];

	up(FREE_RATE, NO_DEMO);
	make_key("h", 1000, "");
	make_second_key("h", "h2");
	make_key("other", 1000, "");
	insert_usage("h", 1, 10, 4, 1000);
	insert_usage("h2", 1, 5, 2, 500);
	insert_usage("h", 29, 7, 7, 7);
	insert_usage("h", 30, 9, 9, 9);
	insert_usage("other", 1, 100, 100, 100);
	sql_exec(d->conninfo, "UPDATE api_keys SET status = 'revoked' WHERE "
			      "key_prefix = 'test_h2'");
	record(key_of("h"), TOKENS);
	for (int i = 0; i < 3; i++)
		snprintf(dates[i], sizeof(dates[i]), "%s",
			 day(i == 2 ? 29 : i));

	get(key_of("h"), "/api/usage/history");
	want(200);
	ck_assert_uint_eq(rows(), 3); /* 30 dates; the 31st is not among them */
	expect_day(0, dates[0], 1, 1, TOKENS_USD);
	expect_day(1, dates[1], 15, 6, 1500);
	expect_day(2, dates[2], 7, 7, 7);

	get(key_of("h"), "/api/usage/history?days=1");
	ck_assert_uint_eq(rows(), 1);
	get(key_of("h"), "/api/usage/history?days=90");
	ck_assert_uint_eq(rows(), 4);
}
END_TEST

START_TEST(history_filled_has_each_date_once)
{
	char path[32];

	up(FREE_RATE, NO_DEMO);
	make_key("f", 1000, "");
	insert_usage("f", 2, 3, 1, 10);

	get(key_of("f"), "/api/usage/history?days=7&fill=1");

	want(200);
	ck_assert_uint_eq(rows(), 7);
	for (int i = 0; i < 7; i++) {
		snprintf(path, sizeof(path), "%d.date", i);
		ck_assert_pstr_eq(json_str(&r, path), day(i));
	}
	expect_day(2, day(2), 3, 1, 10);
	expect_day(6, day(6), 0, 0, 0);
	get(key_of("f"), "/api/usage/history?days=2&fill=0");
	ck_assert_uint_eq(rows(), 0);
}
END_TEST

/* ---- parameters ---- */

static const struct {
	const char *target;
	int status;
} bounds[] = {
	{ "/api/usage/history?days=1", 200 },
	{ "/api/usage/history?days=90", 200 },
	{ "/api/usage/history?days=0", 400 },
	{ "/api/usage/history?days=91", 400 },
	{ "/api/usage/history?days=-1", 400 },
	{ "/api/usage/history?days=1.5", 400 },
	{ "/api/usage/history?days=x", 400 },
	{ "/api/usage/history?days=", 400 },
	{ "/api/usage/history?fill=2", 400 },
	{ "/api/usage/history?fill=yes", 400 },
	{ "/api/usage/history?unknown=1", 200 },
	{ "/api/usage/detailed?days=1&limit=1&offset=0", 200 },
	{ "/api/usage/detailed?limit=500", 200 },
	{ "/api/usage/detailed?limit=501", 400 },
	{ "/api/usage/detailed?limit=0", 400 },
	{ "/api/usage/detailed?limit=-1", 400 },
	{ "/api/usage/detailed?offset=-1", 400 },
	{ "/api/usage/detailed?offset=99999999999999999999", 400 },
	{ "/api/usage/detailed?days=91", 400 },
	{ "/api/usage/detailed?cursor=abc", 400 },
	{ "/api/usage/models?days=90", 200 },
	{ "/api/usage/models?days=0", 400 },
	{ "/api/usage/hourly?date=2024-02-29", 200 },
	{ "/api/usage/hourly?date=2023-02-29", 400 },
	{ "/api/usage/hourly?date=2024-2-1", 400 },
	{ "/api/usage/hourly?date=today", 400 },
	{ "/api/usage/insights?days=90", 200 },
	{ "/api/usage/insights?days=91", 400 },
};

START_TEST(parameters_have_their_bounds)
{
	up(FREE_RATE);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		get(KEY_PRO, bounds[i].target);
		ck_assert_msg(r.status == bounds[i].status, "%s: answer %d\n%s",
			      bounds[i].target, r.status, r.body);
		if (bounds[i].status == 400)
			want_error(400, "bad_request");
	}
}
END_TEST

/* ---- single requests and their sums ---- */

static void record_model(const char *model, int prompt)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"model\":\"%s\",\"prompt_tokens\":%d}",
		 model, prompt);
	record(key_of("d"), body);
}

static int64_t logged(void)
{
	return sql_num(d->conninfo, "SELECT count(*) FROM request_logs");
}

START_TEST(requests_page_by_page_without_repeats)
{
	char target[256], seen[12][40];
	const char *link, *end;
	int n = 0, more = 0;

	up(FREE_RATE, NO_DEMO, "metering.flush_interval_ms=10");
	make_key("d", 1000, "");
	for (int i = 0; i < 12; i++)
		record_model("m", i);
	WAIT_UNTIL(logged() == 12);

	snprintf(target, sizeof(target), "/api/usage/detailed?limit=5");
	for (;;) {
		get(key_of("d"), target);
		want(200);
		for (size_t i = 0; i < rows(); i++, n++) {
			char path[48];

			ck_assert_int_lt(n, 12);
			snprintf(path, sizeof(path), "%zu.prompt_tokens", i);
			ck_assert_int_eq(json_num(&r, path), 11 - n);
			snprintf(path, sizeof(path), "%zu.id", i);
			snprintf(seen[n], sizeof(seen[n]), "%s",
				 json_str(&r, path));
		}
		link = header_of(&r, "Link");
		if (link == NULL)
			break;
		end = strchr(link, '>');
		snprintf(target, sizeof(target), "%.*s", (int)(end - link - 1),
			 link + 1);
		more++;
		record_model("later", 1000); /* does not move the pages */
		WAIT_UNTIL(logged() == 12 + more);
	}
	ck_assert_int_eq(n, 12);
	ck_assert_str_ne(seen[0], seen[11]);

	ck_assert_int_eq(more, 2);
	get(key_of("d"), "/api/usage/detailed?limit=2&offset=5");
	ck_assert_uint_eq(rows(), 2);
	ck_assert_int_eq(json_num(&r, "0.prompt_tokens"), 8);
	ck_assert_pstr_eq(json_str(&r, "0.model"), "m");
	ck_assert_int_eq(json_num(&r, "0.credits"), 1);
	ck_assert_int_eq(usd("0.cost_usd"), 8 * 30);
	ck_assert_pstr_eq(json_str(&r, "0.date"), day(0));
	ck_assert_ptr_nonnull(json_str(&r, "0.created_at"));
}
END_TEST

START_TEST(lists_that_have_not_changed_are_304)
{
	char head[256];

	up(FREE_RATE);
	get(KEY_PRO, "/api/usage/models");
	want(200);
	snprintf(head, sizeof(head),
		 "Authorization: Bearer " KEY_PRO "\r\nIf-None-Match: %s\r\n",
		 header_of(&r, "ETag"));

	client_request(c, "GET", "/api/usage/models", head, NULL, 0, &r);

	want(304);
}
END_TEST

START_TEST(sums_by_model_and_hour_and_in_all)
{
	int64_t total = 0;
	char path[32];
	int hour;

	up(FREE_RATE, NO_DEMO, "metering.flush_interval_ms=10");
	make_key("d", 1000, "");
	get(key_of("d"), "/api/usage/insights");
	ck_assert(json_at(r.json, "peak_hour") == NULL);
	ck_assert_int_eq(json_num(&r, "total_requests"), 0);
	record_model("b", 1000);
	record_model("dear", 5000);
	record_model("a", 1000);
	record(key_of("d"), "{\"credits\":2,\"completion_tokens\":7}");
	hour = (int)(time(NULL) / 3600 % 24);
	WAIT_UNTIL(logged() == 4);

	get(key_of("d"), "/api/usage/models?days=1");
	ck_assert_uint_eq(rows(), 4);
	ck_assert_pstr_eq(json_str(&r, "0.model"), "dear");
	ck_assert_int_eq(usd("0.total_cost"), 150000);
	ck_assert_pstr_eq(json_str(&r, "1.model"), "a");
	ck_assert_pstr_eq(json_str(&r, "2.model"), "b");
	ck_assert_int_eq(json_num(&r, "2.prompt_tokens"), 1000);
	ck_assert_pstr_eq(json_str(&r, "3.model"), "unknown");
	ck_assert_int_eq(json_num(&r, "3.completion_tokens"), 7);

	get(key_of("d"), "/api/usage/hourly");
	ck_assert_uint_eq(rows(), 24);
	for (int i = 0; i < 24; i++) {
		snprintf(path, sizeof(path), "%d.hour", i);
		ck_assert_int_eq(json_num(&r, path), i);
		snprintf(path, sizeof(path), "%d.requests", i);
		total += json_num(&r, path);
	}
	ck_assert_int_eq(total, 4);
	get(key_of("d"), "/api/usage/hourly?date=2024-01-01");
	ck_assert_uint_eq(rows(), 24);
	ck_assert_int_eq(json_num(&r, "13.requests"), 0);

	get(key_of("d"), "/api/usage/insights?days=10");
	ck_assert_int_eq(json_num(&r, "total_requests"), 4);
	ck_assert_int_eq(json_num(&r, "total_credits"), 5);
	ck_assert_int_eq(usd("total_cost_usd"), 210420);
	ck_assert_int_eq(usd("avg_daily_cost_usd"), 21042);
	ck_assert_int_eq(json_num(&r, "prompt_tokens"), 7000);
	ck_assert_int_eq(json_num(&r, "completion_tokens"), 7);
	/* the hour may just have turned */
	ck_assert_int_le((json_num(&r, "peak_hour") - hour + 24) % 24, 1);
}
END_TEST

/* ---- meter_scope = all ---- */

START_TEST(with_meter_scope_all_replies_count_themselves)
{
	static const char *const free_of_credits[] = { "/api/usage/detailed",
						       "/api/usage/models",
						       "/api/usage/hourly",
						       "/api/usage/insights" };

	up(FREE_RATE, NO_DEMO, "metering.meter_scope=all");
	make_key("m", 6, "");

	get(key_of("m"), "/api/dashboard/overview");
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 1);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 1);
	get(key_of("m"), "/api/usage/today");
	ck_assert_int_eq(json_num(&r, "credits_used"), 2);
	get(key_of("m"), "/api/usage/history");
	expect_day(0, day(0), 3, 3, 0);
	get(key_of("m"), "/api/keys");
	want(200);
	get(key_of("m"), "/api/usage/history?days=0");
	want_error(400, "bad_request");
	for (int i = 0; i < 4; i++) {
		get(key_of("m"), free_of_credits[i]);
		want(200);
	}
	get(key_of("m"), "/api/usage/history?days=2");
	expect_day(0, day(0), 5, 5, 0);
	get(key_of("m"), "/api/dashboard/overview");
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 6);

	get(key_of("m"), "/api/dashboard/overview");
	want_error(429, "quota_exceeded");
	get(key_of("m"), "/api/usage/history");
	want_error(429, "quota_exceeded");
	get(key_of("m"), "/api/usage/insights");
	want(200);
	ck_assert_int_eq(json_num(&r, "total_credits"), 6);
}
END_TEST

/* ---- admins ---- */

START_TEST(admins_see_all_users_together)
{
	up(FREE_RATE, "admin.emails=DEMO@codexible.me", "server.workers=1");
	get(KEY_STARTER, "/api/admin/status");
	want_error(403, "forbidden");
	get(KEY_STARTER, "/api/admin/usage");
	want_error(403, "forbidden");

	get(KEY_PRO, "/api/admin/status");
	want(200);
	ck_assert_int_eq(json_num(&r, "user_count"), 3);
	ck_assert_int_eq(json_num(&r, "active_token_count"), 3);
	ck_assert_int_eq(json_num(&r, "today_credits_used"), 475);
	ck_assert(json_true(&r, "store.database_reachable"));
	ck_assert_int_eq(json_num(&r, "store.dropped_logs"), 0);
	ck_assert_int_le(json_num(&r, "store.flush_lag_seconds"), 5);
	ck_assert_int_ge(json_num(&r, "store.pending_rows"), 0);
	ck_assert(json_at(r.json, "store.last_error") == NULL);

	for (int i = 1; i <= 30; i++) {
		record(KEY_STARTER, "{}");
		test_sleep_ms(50); /* flushes come in between */
	}
	/* a figure is kept for 20 times what it took to make */
	WAIT_UNTIL((get(KEY_PRO, "/api/admin/usage"),
		    json_num(&r, "usage.credits_used") >= 505));
	ck_assert_int_eq(json_num(&r, "usage.credits_used"), 505);
	ck_assert_int_eq(json_num(&r, "usage.request_count"), 257 + 30);
	ck_assert_int_eq(json_num(&r, "usage.daily_limit"), 825);
	ck_assert_pstr_eq(json_str(&r, "usage.date"), day(0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("usage");
	TCase *tc = fixture_case(s, "usage");

	tcase_add_test(tc, overview_tells_who_calls_and_todays_usage);
	tcase_add_test(tc, overview_of_a_rotated_key_says_revoked);
	tcase_add_test(tc, history_sums_all_keys_newest_first);
	tcase_add_test(tc, history_filled_has_each_date_once);
	tcase_add_test(tc, parameters_have_their_bounds);
	tcase_add_test(tc, requests_page_by_page_without_repeats);
	tcase_add_test(tc, lists_that_have_not_changed_are_304);
	tcase_add_test(tc, sums_by_model_and_hour_and_in_all);
	tcase_add_test(tc, with_meter_scope_all_replies_count_themselves);
	tcase_add_test(tc, admins_see_all_users_together);
	return fixture_run(s);
}
