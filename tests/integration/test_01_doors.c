/* The doors' frame: health, one error form, request ids, HEAD, 404, 405. */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

START_TEST(health_says_ok_and_the_version)
{
	up();

	client_get(c, "/health", NULL, &r);

	want(200);
	ck_assert_pstr_eq(json_str(&r, "status"), "ok");
	ck_assert_ptr_nonnull(json_str(&r, "version"));
}
END_TEST

START_TEST(health_is_never_limited)
{
	unsigned i;

	up();

	for (i = 0; i < 150; i++) {
		client_get(c, "/health", NULL, &r);
		want(200);
	}
	client_get(c, "/health?ready=1", NULL, &r);

	want(200);
}
END_TEST

START_TEST(gate_lets_a_good_key_in)
{
	up();

	gate(KEY_PRO, "");

	want(200);
	ck_assert_int_eq(header_num(&r, "Content-Length"), 0);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-User"), USER_PRO);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Key"), ID_PRO);
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Plan"), "Pro");
	ck_assert_ptr_nonnull(header_of(&r, "X-Tally-Scopes"));
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), "200");
	ck_assert_ptr_nonnull(header_of(&r, "X-Request-Id"));
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-store");
}
END_TEST

START_TEST(gate_tells_limits_in_both_families)
{
	long reset, now;

	up();

	gate(KEY_PRO, "");
	gate(KEY_PRO, "");

	want(200);
	now = (long)time(NULL);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 100);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 98);
	reset = header_num(&r, "X-RateLimit-Reset");
	ck_assert_int_ge(reset, now + 50);
	ck_assert_int_le(reset, now + 70);
	ck_assert_pstr_eq(header_of(&r, "RateLimit-Policy"),
			  "\"key\";q=100;w=60, \"credits\";q=250;w=86400");
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "RateLimit"), "\"key\";r=98;t="));
}
END_TEST

START_TEST(gate_refuses_without_credential)
{
	up();

	gate(NULL, "");

	want_error(401, "unauthorized");
	ck_assert_pstr_eq(header_of(&r, "WWW-Authenticate"), "Bearer");
	ck_assert_pstr_eq(header_of(&r, "X-Tally-Status"), "401");
	ck_assert_ptr_nonnull(header_of(&r, "X-Tally-Reason"));
	ck_assert_ptr_nonnull(header_of(&r, "X-RateLimit-Limit"));
}
END_TEST

/* What a client may send as its id, and whether it is kept. */
static const struct {
	const char *id;
	bool kept;
} ids[] = {
	{ "a", true },
	{ "Trace-1.2_3", true },
	{ "0123456789012345678901234567890123456789012345678901234567890123",
	  true },
	{ "01234567890123456789012345678901234567890123456789012345678901234",
	  false },
	{ "two words", false },
	{ "x/y", false },
	{ "\xc3\xa4", false },
};

START_TEST(request_id_is_kept_when_well_formed)
{
	const char *got;
	char head[160];

	up();
	EACH_ROW(ids, id)
	{
		snprintf(head, sizeof(head), "X-Request-Id: %s\r\n", id->id);
		row_name = id->id;

		client_request(c, "GET", "/health", head, NULL, 0, &r);

		want(200);
		got = header_of(&r, "X-Request-Id");
		ck_assert_ptr_nonnull(got);
		ck_assert_msg((strcmp(got, id->id) == 0) == id->kept,
			      "'%s' became '%s'", id->id, got);
		ck_assert_uint_ge(strlen(got), 1);
		ck_assert_uint_le(strlen(got), 64);
	}
}
END_TEST

START_TEST(head_has_no_body_and_stays_in_step)
{
	static const char *const targets[] = { "/health", "/api/gate",
					       "/nowhere" };
	unsigned i;
	int fd;

	up();
	client_get(c, "/health", NULL, &r);
	fd = c->fd;

	for (i = 0; i < 3; i++) {
		ck_assert(client_request(c, "HEAD", targets[i], NULL, NULL, 0,
					 &r));
		ck_assert_uint_eq(c->len, 0);
		client_get(c, "/health", NULL, &r);
		want(200);
		ck_assert_pstr_eq(json_str(&r, "status"), "ok");
	}

	ck_assert_int_eq(c->fd, fd);
}
END_TEST

START_TEST(connection_is_kept_alive)
{
	unsigned i;
	int fd;

	up();
	gate(KEY_PRO, "cost=0");
	fd = c->fd;

	for (i = 0; i < 50; i++)
		gate(KEY_PRO, "cost=0");

	want(200);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(c->fd, fd);
}
END_TEST

START_TEST(unknown_route_is_404_in_the_one_form)
{
	up();

	client_get(c, "/api/nothing", KEY_PRO, &r);

	want_error(404, "not_found");
}
END_TEST

START_TEST(wrong_method_is_405_and_says_which)
{
	static const struct {
		const char *method, *target, *allow;
	} rows[] = {
		{ "POST", "/health", "GET" },
		{ "GET", "/api/verify", "POST" },
		{ "DELETE", "/api/verify/batch", "POST" },
		{ "GET", "/api/usage/record", "POST" },
		{ "POST", "/api/usage/today", "GET" },
		{ "PATCH", "/api/auth/validate", "POST" },
		{ "BREW", "/health", "GET" },
	};
	bool with_body;
	unsigned i;

	up();

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		with_body = rows[i].method[0] == 'P'; /* POST, PATCH */
		client_request(c, rows[i].method, rows[i].target,
			       "Authorization: Bearer " KEY_PRO
			       "\r\nContent-Type: application/json\r\n",
			       with_body ? "{}" : NULL, with_body ? 2 : 0, &r);
		want_error(405, "method_not_allowed");
		ck_assert_ptr_nonnull(header_of(&r, "Allow"));
		ck_assert_ptr_nonnull(
			strstr(header_of(&r, "Allow"), rows[i].allow));
	}
}
END_TEST

START_TEST(gate_takes_any_method_and_ignores_a_body)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE",
					       "PATCH" };
	unsigned i;

	up();

	for (i = 0; i < 5; i++) {
		client_request(c, methods[i], "/api/gate",
			       "Authorization: Bearer " KEY_PRO
			       "\r\nContent-Type: text/plain\r\n",
			       "hello", 5, &r);
		want(200);
	}
}
END_TEST

/* What evhttp refuses while it parses never reaches a handler. */
START_TEST(parse_errors_have_the_one_form)
{
	static const char *const raws[] = {
		"GARBAGE\r\n\r\n",
		"GET /health\r\n\r\n",
		"GET /health HTTP/9.9x\r\nHost: a\r\n\r\n",
	};
	unsigned i;

	up();

	for (i = 0; i < 3; i++) {
		ck_assert(client_raw(c, raws[i], strlen(raws[i]), &r));
		want_error(400, "bad_request");
		ck_assert_pstr_eq(header_of(&r, "Connection"), "close");
	}
}
END_TEST

START_TEST(errors_come_in_messagepack_when_asked)
{
	up();

	client_request(c, "GET", "/api/nothing",
		       "Accept: application/msgpack\r\n", NULL, 0, &r);

	want_error(404, "not_found");
	ck_assert_pstr_eq(header_of(&r, "Content-Type"), "application/msgpack");
}
END_TEST

START_TEST(cors_is_for_allowed_origins_only)
{
	up("server.allowed_origins=https://app.example");

	client_request(c, "OPTIONS", "/api/usage/today",
		       "Origin: https://app.example\r\n"
		       "Access-Control-Request-Method: GET\r\n",
		       NULL, 0, &r);
	ck_assert(r.status == 200 || r.status == 204);
	ck_assert_pstr_eq(header_of(&r, "Access-Control-Allow-Origin"),
			  "https://app.example");
	client_request(c, "OPTIONS", "/api/usage/today",
		       "Origin: https://evil.example\r\n"
		       "Access-Control-Request-Method: GET\r\n",
		       NULL, 0, &r);

	ck_assert_ptr_null(header_of(&r, "Access-Control-Allow-Origin"));
}
END_TEST

START_TEST(accept_weighs_the_two_encodings)
{
	static const struct {
		const char *accept, *want;
	} cases[] = {
		{ "application/msgpack", "application/msgpack" },
		{ "*/*", "application/json" },
		{ "application/json, application/msgpack;q=0",
		  "application/json" },
		{ "application/msgpack;q=0.5, application/json",
		  "application/json" },
		{ "application/json;q=0.1, application/msgpack;q=0.2",
		  "application/msgpack" },
	};
	char head[128];
	unsigned i;

	up();

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(head, sizeof(head), "Accept: %s\r\n", cases[i].accept);
		client_request(c, "GET", "/health", head, NULL, 0, &r);
		want(200);
		ck_assert_pstr_eq(header_of(&r, "Content-Type"), cases[i].want);
	}
}
END_TEST

START_TEST(a_429_carries_cors_headers)
{
	unsigned i;

	up("server.allowed_origins=https://app.example");

	for (i = 0; i < 21; i++)
		client_request(c, "GET", "/api/usage/today",
			       "Origin: https://app.example\r\n", NULL, 0, &r);

	want_error(429, "rate_limited");
	ck_assert_pstr_eq(header_of(&r, "Access-Control-Allow-Origin"),
			  "https://app.example");
	ck_assert_ptr_nonnull(strstr(
		header_of(&r, "Access-Control-Expose-Headers"), "Retry-After"));
	ck_assert_ptr_nonnull(strstr(header_of(&r, "Vary"), "Origin"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doors");
	TCase *tc = fixture_case(s, "frame");

	tcase_add_test(tc, health_says_ok_and_the_version);
	tcase_add_test(tc, health_is_never_limited);
	tcase_add_test(tc, gate_lets_a_good_key_in);
	tcase_add_test(tc, gate_tells_limits_in_both_families);
	tcase_add_test(tc, gate_refuses_without_credential);
	tcase_add_test(tc, request_id_is_kept_when_well_formed);
	tcase_add_test(tc, head_has_no_body_and_stays_in_step);
	tcase_add_test(tc, connection_is_kept_alive);
	tcase_add_test(tc, unknown_route_is_404_in_the_one_form);
	tcase_add_test(tc, wrong_method_is_405_and_says_which);
	tcase_add_test(tc, gate_takes_any_method_and_ignores_a_body);
	tcase_add_test(tc, parse_errors_have_the_one_form);
	tcase_add_test(tc, errors_come_in_messagepack_when_asked);
	tcase_add_test(tc, cors_is_for_allowed_origins_only);
	tcase_add_test(tc, a_429_carries_cors_headers);
	tcase_add_test(tc, accept_weighs_the_two_encodings);
	return fixture_run(s);
}
