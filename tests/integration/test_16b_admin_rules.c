/*
 * Plans, limits and overrides over HTTP, in force in every worker when the
 * change is answered.
 */
#include "admin_calls.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>
#include <libpq-fe.h>

/* ---- plans ---- */

START_TEST(a_plan_is_made_listed_and_changed_for_its_users)
{
	const char *id;

	up(ADMINS, WORKERS, FREE_RATE);
	admin_send("POST", "/api/admin/plans",
		   "{\"name\":\"Tiny\",\"daily_credit_limit\":30,"
		   "\"price_cents\":100,\"features\":{\"support\":\"none\","
		   "\"rate_limit\":7}}");
	id = made("/api/admin/plans");
	/* at once: no worker says that it does not know the plan */
	admin_send("PATCH", "/api/admin/users/" USER_STARTER,
		   "{\"plan\":\"Tiny\"}");
	want(200);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=7"), 200);
	ck_assert(all_say(KEY_STARTER, "", 429));

	get("/api/admin/plans");
	ck_assert_uint_eq(rows(), 4);
	ck_assert_pstr_eq(json_str(&r, "0.name"), "Tiny");
	ck_assert_pstr_eq(json_str(&r, "0.id"), id);
	ck_assert_int_eq(json_num(&r, "0.features.rate_limit"), 7);
	ck_assert_int_eq(json_num(&r, "3.price_cents"), 5000);

	admin_send("PATCH", path("/api/admin/plans/%s", id),
		   "{\"daily_credit_limit\":50,\"name\":\"Small\"}");
	want(200);
	ck_assert(all_say(KEY_STARTER, "", 200));
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Plan"), "Small");
	admin_send("PATCH", path("/api/admin/plans/%s", id),
		   "{\"daily_credit_limit\":0,\"features\":{}}");
	want(200);
	ck_assert(all_say(KEY_STARTER, "", 429));
	get("/api/admin/plans");
	ck_assert_int_eq(
		json_object_object_length(json_at(r.json, "0.features")), 0);
	ck_assert_pstr_eq(sql_str(d->conninfo,
				  "SELECT string_agg(action, ' ' ORDER BY "
				  "id) FROM audit_log"),
			  "plan.create user.update plan.update plan.update");
}
END_TEST

START_TEST(bad_plans_are_refused)
{
	static const struct {
		const char *method, *target, *body;
		int status;
	} tried[] = {
		{ "POST", "",
		  "{\"name\":\"Pro\",\"daily_credit_limit\":1,"
		  "\"price_cents\":1}",
		  409 },
		{ "POST", "",
		  "{\"name\":\"x\",\"daily_credit_limit\":-1,"
		  "\"price_cents\":1}",
		  400 },
		{ "POST", "", "{\"name\":\"x\",\"daily_credit_limit\":1}",
		  400 },
		{ "POST", "",
		  "{\"name\":\" \",\"daily_credit_limit\":1,"
		  "\"price_cents\":1}",
		  400 },
		{ "POST", "",
		  "{\"name\":\"x\",\"daily_credit_limit\":1,"
		  "\"price_cents\":1,\"features\":[]}",
		  400 },
		{ "POST", "",
		  "{\"name\":\"x\",\"daily_credit_limit\":1,"
		  "\"price_cents\":1,\"features\":"
		  "{\"rate_limit\":0}}",
		  400 },
		{ "PATCH", "/a0000000-0000-0000-0000-000000000002", "{}", 400 },
		{ "PATCH", "/a0000000-0000-0000-0000-000000000002",
		  "{\"name\":\"Starter\"}", 409 },
		{ "PATCH", "/" NOBODY, "{\"price_cents\":1}", 404 },
		{ "PATCH", "/x", "{\"price_cents\":1}", 400 },
	};

	up(ADMINS);
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		admin_send(tried[i].method,
			   path("/api/admin/plans%s", tried[i].target),
			   tried[i].body);
		want(tried[i].status);
	}
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM plans"), 3);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log"),
			 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(a_limit_is_known_to_the_gate_when_it_is_made)
{
	const char *id;

	up(ADMINS, WORKERS, FREE_RATE);
	ck_assert_int_eq(gate(KEY_PRO, "limit=images"), 400);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"images\",\"count\":20,\"window_ms\":60000}");
	id = made("/api/admin/limits");

	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(gate(KEY_PRO, "limit=images&cost=0"), 200);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 429));

	admin_send("PATCH", path("/api/admin/limits/%s", id),
		   "{\"shadow\":true}");
	want(200);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));
	admin_send("PATCH", path("/api/admin/limits/%s", id),
		   "{\"shadow\":false,\"count\":1000}");
	want(200);
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 200));

	get("/api/admin/limits");
	ck_assert_uint_eq(rows(), 1);
	ck_assert_pstr_eq(json_str(&r, "0.id"), id);
	ck_assert_pstr_eq(json_str(&r, "0.name"), "images");
	ck_assert_int_eq(json_num(&r, "0.count"), 1000);
	ck_assert_int_eq(json_num(&r, "0.burst"), 0);
	ck_assert_pstr_eq(json_str(&r, "0.scope"), "key");
	ck_assert(!json_true(&r, "0.shadow"));

	admin_send("DELETE", path("/api/admin/limits/%s", id), NULL);
	want(200);
	ck_assert(json_true(&r, "deleted"));
	ck_assert(all_say(KEY_PRO, "limit=images&cost=0", 400));
	admin_send("DELETE", path("/api/admin/limits/%s", id), NULL);
	want_error(404, "not_found");
	ck_assert_pstr_eq(
		sql_str(d->conninfo, "SELECT string_agg(action, ' ' ORDER BY "
				     "id) FROM audit_log"),
		"limit.create limit.update limit.update limit.delete");
}
END_TEST

START_TEST(gcra_lets_a_burst_through)
{
	const char *id;

	up(ADMINS, FREE_RATE);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"even\",\"count\":10,\"window_ms\":3600000,"
		   "\"algorithm\":\"gcra\",\"burst\":3,\"scope\":\"user\"}");
	id = made("/api/admin/limits");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 429);
	admin_send("PATCH", path("/api/admin/limits/%s", id), "{\"burst\":5}");
	want(200);

	ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=even&cost=0"), 429);
	/* a sliding limit has no burst */
	admin_send("PATCH", path("/api/admin/limits/%s", id),
		   "{\"algorithm\":\"sliding\",\"burst\":2}");
	want_error(400, "bad_request");
	admin_send("PATCH", path("/api/admin/limits/%s", id),
		   "{\"algorithm\":\"sliding\"}");
	want(200);
	get("/api/admin/limits");
	ck_assert_int_eq(json_num(&r, "0.burst"), 0);
	admin_send("PATCH", path("/api/admin/limits/%s", id),
		   "{\"algorithm\":\"gcra\"}");
	want(200);
	get("/api/admin/limits");
	ck_assert_int_eq(json_num(&r, "0.burst"), 1);
}
END_TEST

START_TEST(bad_limits_are_refused)
{
	static const char *const bodies[] = {
		"{\"name\":\"key\",\"count\":1,\"window_ms\":1000}",
		"{\"name\":\"address\",\"count\":1,\"window_ms\":1000}",
		"{\"name\":\"Upper\",\"count\":1,\"window_ms\":1000}",
		"{\"name\":\"a b\",\"count\":1,\"window_ms\":1000}",
		"{\"name\":\"a\",\"count\":-1,\"window_ms\":1000}",
		"{\"name\":\"a\",\"count\":1,\"window_ms\":999}",
		"{\"name\":\"a\",\"count\":1}",
		"{\"name\":\"a\",\"window_ms\":1000}",
		"{\"name\":\"a\",\"count\":1,\"window_ms\":1000,"
		"\"algorithm\":\"fixed\"}",
		"{\"name\":\"a\",\"count\":1,\"window_ms\":1000,"
		"\"scope\":\"plan\"}",
		"{\"name\":\"a\",\"count\":1,\"window_ms\":1000,\"burst\":2}",
		"{\"name\":\"a\",\"count\":1,\"window_ms\":1000,"
		"\"shadow\":\"yes\"}",
	};

	up(ADMINS);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		admin_send("POST", "/api/admin/limits", bodies[i]);
		want_error(400, "bad_request");
	}
	admin_send("PATCH", "/api/admin/limits/" NOBODY, "{\"count\":1}");
	want_error(404, "not_found");
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"a\",\"count\":1,\"window_ms\":1000}");
	want(201);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"a\",\"count\":1,\"window_ms\":1000}");
	want_error(409, "conflict");
}
END_TEST

/* As many as the segment has room for: the next is refused, not lost. */
START_TEST(the_256th_limit_is_the_last)
{
	up(ADMINS);
	sql_exec(d->conninfo, "INSERT INTO limits (name, count, window_ms) "
			      "SELECT 'l' || g, 1, 1000 FROM "
			      "generate_series(1, 255) g");
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"last\",\"count\":1,\"window_ms\":60000}");
	want(201);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"more\",\"count\":1,\"window_ms\":60000}");
	want_error(409, "conflict");

	ck_assert_int_eq(gate(KEY_PRO, "limit=last&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_PRO, "limit=last&cost=0"), 429);
}
END_TEST

START_TEST(overrides_hold_for_their_user_or_key_at_once)
{
	const char *id, *of_user, *of_key;

	up(ADMINS, WORKERS, FREE_RATE);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"l\",\"count\":1000,\"window_ms\":3600000}");
	id = made("/api/admin/limits");
	ck_assert_int_eq(gate(KEY_PRO, "limit=l&cost=0"), 200);
	ck_assert_int_eq(gate(KEY_STARTER, "limit=l&cost=0"), 200);

	admin_send("POST", path("/api/admin/limits/%s/overrides", id),
		   "{\"user_id\":\"" USER_PRO "\",\"count\":0}");
	of_user = made(path("/api/admin/limits/%s/overrides", id));
	ck_assert(all_say(KEY_PRO, "limit=l&cost=0", 429));
	ck_assert(all_say(KEY_STARTER, "limit=l&cost=0", 200));
	/* a key's goes before its user's */
	admin_send("POST", path("/api/admin/limits/%s/overrides", id),
		   "{\"key_id\":\"" ID_PRO "\",\"count\":500}");
	of_key = made(path("/api/admin/limits/%s/overrides", id));
	ck_assert(all_say(KEY_PRO, "limit=l&cost=0", 200));
	/* set anew: the same override */
	admin_send("POST", path("/api/admin/limits/%s/overrides", id),
		   "{\"key_id\":\"" ID_PRO "\",\"count\":1}");
	ck_assert_str_eq(made(path("/api/admin/limits/%s/overrides", id)),
			 of_key);
	ck_assert(all_say(KEY_PRO, "limit=l&cost=0", 429));

	get(path("/api/admin/limits/%s/overrides?limit=1", id));
	ck_assert_uint_eq(rows(), 1);
	ck_assert_pstr_eq(json_str(&r, "0.key_id"), ID_PRO);
	ck_assert_pstr_eq(json_str(&r, "0.key_prefix"), "codexible_demo");
	ck_assert_ptr_null(json_str(&r, "0.user_id"));
	ck_assert_int_eq(json_num(&r, "0.count"), 1);
	{
		char target[400];

		ck_assert(next_page(target));
		get(target);
		ck_assert_uint_eq(rows(), 1);
		ck_assert_pstr_eq(json_str(&r, "0.user_email"),
				  "demo@codexible.me");
		ck_assert(!next_page(target));
	}

	admin_send("DELETE",
		   path("/api/admin/limits/%s/overrides/%s", id, of_key), NULL);
	want(200);
	ck_assert(all_say(KEY_PRO, "limit=l&cost=0", 429)); /* the user's */
	admin_send("DELETE",
		   path("/api/admin/limits/%s/overrides/%s", id, of_user),
		   NULL);
	want(200);
	ck_assert(all_say(KEY_PRO, "limit=l&cost=0", 200));
	admin_send("DELETE",
		   path("/api/admin/limits/%s/overrides/%s", id, of_user),
		   NULL);
	want_error(404, "not_found");
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM audit_log WHERE "
				 "action = 'limit.override'"),
			 5);
}
END_TEST

START_TEST(bad_overrides_are_refused)
{
	const char *id, *target;
	char body[120];

	up(ADMINS);
	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"l\",\"count\":9,\"window_ms\":60000,"
		   "\"scope\":\"user\"}");
	id = made("/api/admin/limits");
	target = path("/api/admin/limits/%s/overrides", id);
	admin_send("POST", target, "{\"count\":1}");
	want_error(400, "bad_request");
	admin_send("POST", target,
		   "{\"user_id\":\"" USER_PRO "\",\"key_id\":\"" ID_PRO
		   "\",\"count\":1}");
	want_error(400, "bad_request");
	admin_send("POST", target,
		   "{\"user_id\":\"" USER_PRO "\",\"count\":-1}");
	want_error(400, "bad_request");
	admin_send("POST", target, "{\"user_id\":\"" NOBODY "\",\"count\":1}");
	want_error(404, "not_found");
	admin_send("POST", "/api/admin/limits/" NOBODY "/overrides",
		   "{\"user_id\":\"" USER_PRO "\",\"count\":1}");
	want_error(404, "not_found");

	/* each of scope user counts on every request, so they are few */
	sql_exec(d->conninfo,
		 "WITH l AS (INSERT INTO limits (name, count, window_ms, "
		 "scope) SELECT 'u' || g, 9, 60000, 'user' FROM "
		 "generate_series(1, 8) g RETURNING limit_id) INSERT INTO "
		 "limit_overrides (limit_id, user_id, count) SELECT limit_id, "
		 "'" USER_PRO "', 5 FROM l");
	snprintf(body, sizeof(body),
		 "{\"user_id\":\"" USER_PRO "\",\"count\":1}");
	admin_send("POST", target, body);
	want_error(409, "conflict");
	admin_send("POST", target, "{\"key_id\":\"" ID_PRO "\",\"count\":1}");
	want(201);
}
END_TEST

/* ---- whatever else goes on ---- */

/* The change log stops at the oldest writer; an admin's change does not. */
START_TEST(a_change_does_not_wait_for_older_writers)
{
	PGconn *writer;

	up(ADMINS, WORKERS, FREE_RATE);
	ck_assert(all_say(KEY_PRO, "cost=0", 200));
	writer = PQconnectdb(d->conninfo);
	PQclear(PQexec(writer, "BEGIN"));
	PQclear(PQexec(writer, "INSERT INTO audit_log (actor, action) VALUES "
			       "('x', 'x')"));
	ck_assert_int_eq(PQtransactionStatus(writer), PQTRANS_INTRANS);

	admin_send("POST", "/api/admin/limits",
		   "{\"name\":\"now\",\"count\":1,\"window_ms\":60000}");
	want(201);
	ck_assert_int_eq(gate(KEY_PRO, "limit=now&cost=0"), 200);
	admin_send("PATCH", "/api/admin/users/" USER_PRO,
		   "{\"status\":\"suspended\"}");
	want(200);
	ck_assert(all_say(KEY_PRO, "cost=0", 403));
	PQfinish(writer);
}
END_TEST

START_TEST(messagepack_serves_as_well)
{
	up(ADMINS);
	c->msgpack = true;
	client_call(c, "/api/admin/plans", ADMIN,
		    "{\"name\":\"Packed\",\"daily_credit_limit\":5,"
		    "\"price_cents\":1,\"features\":{\"a\":[1,true,null]}}",
		    NULL, &r);
	want(201);
	c->msgpack = false;

	get("/api/admin/plans");
	ck_assert_pstr_eq(json_str(&r, "0.name"), "Packed");
	ck_assert_int_eq(json_num(&r, "0.features.a.0"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("admin rules");
	TCase *tc = fixture_case(s, "plans");

	tcase_add_test(tc, a_plan_is_made_listed_and_changed_for_its_users);
	tcase_add_test(tc, bad_plans_are_refused);
	tcase_add_test(tc, messagepack_serves_as_well);
	tc = fixture_case(s, "limits");
	tcase_add_test(tc, a_limit_is_known_to_the_gate_when_it_is_made);
	tcase_add_test(tc, gcra_lets_a_burst_through);
	tcase_add_test(tc, bad_limits_are_refused);
	tcase_add_test(tc, the_256th_limit_is_the_last);
	tcase_add_test(tc, overrides_hold_for_their_user_or_key_at_once);
	tcase_add_test(tc, bad_overrides_are_refused);
	tcase_add_test(tc, a_change_does_not_wait_for_older_writers);
	return fixture_run(s);
}
