/*
 * test_http_router.c - which route a path finds, and escapes in queries.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_internal.h"
#include "http/router.h"

static struct router *router;

static void handler(struct req *req)
{
	(void)req;
}

#define ROW(m, p)                                                              \
	{                                                                      \
		.id = #m " " p, .methods = (m), .path = (p), .auth = AUTH_KEY, \
		.handler = handler                                             \
	}

static const struct route keys[] = {
	ROW(HTTP_GET, "/api/keys"),
	ROW(HTTP_POST, "/api/keys"),
	ROW(HTTP_PATCH | HTTP_DELETE, "/api/keys/{key_id}"),
	ROW(HTTP_GET, "/api/keys/{key_id}/{part}"),
	ROW(HTTP_POST, "/api/keys/{key_id}/rotate"),
	{ .path = NULL },
};
static const struct route others[] = {
	{ .id = "health",
	  .methods = HTTP_GET,
	  .path = "/health",
	  .auth = AUTH_NONE,
	  .handler = handler },
	ROW(HTTP_ANY, "/api/gate"),
	ROW(HTTP_ANY, "/api/gate/*"),
	{ .path = NULL },
};

static void setup(void)
{
	const struct route *const tables[] = { keys, others, NULL };
	struct tl_err err;

	ck_assert_int_eq(router_new(tables, &router, &err), TL_OK);
}

static void teardown(void)
{
	router_free(&router);
}

static const struct {
	unsigned method;
	const char *path, *route, *params;
	const char *allow; /* when no route */
} cases[] = {
	{ HTTP_GET, "/api/keys", "/api/keys", "", NULL },
	{ HTTP_PUT, "/api/gate", "/api/gate", "", NULL },
	{ HTTP_GET, "/api/gate/a", "/api/gate/*", "", NULL },
	{ HTTP_GET, "/api/gate/a/b/", "/api/gate/*", "", NULL },
	{ HTTP_HEAD, "/api/keys", "/api/keys", "", NULL },
	{ HTTP_PUT, "/api/keys", NULL, "", "GET, HEAD, POST" },
	{ HTTP_GET, "/api/keys/", NULL, "", "" },
	{ HTTP_GET, "/api/keysx", NULL, "", "" },
	{ HTTP_GET, "/api", NULL, "", "" },
	{ HTTP_GET, "/", NULL, "", "" },
	{ HTTP_DELETE, "/api/keys/7", "/api/keys/{key_id}", "key_id=7;", NULL },
	{ HTTP_GET, "/api/keys/7", NULL, "key_id=7;", "DELETE, PATCH" },
	{ HTTP_GET, "/api/keys/7/x", "/api/keys/{key_id}/{part}",
	  "key_id=7;part=x;", NULL },
	{ HTTP_POST, "/api/keys/7/rotate", "/api/keys/{key_id}/rotate",
	  "key_id=7;", NULL },
	{ HTTP_POST, "/api/keys//rotate", NULL, "", "" },
	{ HTTP_POST, "/api/keys/7/rotate/", NULL, "", "" },
	{ HTTP_OTHER, "/api/gate", "/api/gate", "", NULL },
	{ HTTP_POST, "/health", NULL, "", "GET, HEAD" },
};

START_TEST(finds_the_route)
{
	char allow[ROUTER_ALLOW_TEXT], params[128] = "";
	struct router_match m;

	router_find(router, cases[_i].method, tl_str_c(cases[_i].path), &m);
	router_allow(m.allowed, allow);

	if (cases[_i].route == NULL) {
		ck_assert_ptr_null(m.route);
		ck_assert_str_eq(allow, cases[_i].allow);
		return;
	}
	ck_assert_ptr_nonnull(m.route);
	ck_assert_str_eq(m.route->path, cases[_i].route);
	for (uint32_t i = 0; i < m.n_params; i++) {
		strncat(params, m.params[i].name.ptr, m.params[i].name.len);
		strcat(params, "=");
		strncat(params, m.params[i].value.ptr, m.params[i].value.len);
		strcat(params, ";");
	}
	ck_assert_str_eq(params, cases[_i].params);
}
END_TEST

/* In whatever order the tables have them, a shorter one in between too. */
START_TEST(a_literal_goes_before_a_parameter)
{
	static const struct route rows[] = {
		ROW(HTTP_GET, "/t/{a}/{b}"),
		ROW(HTTP_GET, "/t/{a}"),
		ROW(HTTP_GET, "/t/{a}/copy"),
	};
	static const uint8_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 },
					     { 1, 0, 2 }, { 1, 2, 0 },
					     { 2, 0, 1 }, { 2, 1, 0 } };
	struct route table[4] = { { .path = NULL } };
	const struct route *const tables[] = { table, NULL };
	struct router_match m;
	struct router *r;

	for (int i = 0; i < 3; i++)
		table[i] = rows[orders[_i][i]];

	ck_assert_int_eq(router_new(tables, &r, NULL), TL_OK);
	router_find(r, HTTP_GET, TL_STR("/t/7/copy"), &m);

	ck_assert_str_eq(m.route->path, "/t/{a}/copy");
	router_free(&r);
}
END_TEST

START_TEST(refuses_a_route_that_is_there_twice)
{
	static const struct route again[] = { ROW(HTTP_HEAD, "/health"),
					      { .path = NULL } };
	const struct route *const tables[] = { others, again, NULL };
	struct router *r = NULL;
	struct tl_err err;

	ck_assert_int_eq(router_new(tables, &r, &err), TL_INVALID);
	ck_assert_ptr_null(r);
	ck_assert_str_eq(err.text,
			 "route '/health' is there twice for a method");
}
END_TEST

static const struct shape_field no_fields[] = { { .name = NULL } };
static const struct shape empty = { "Empty", 0, no_fields };
#define CONTRADICTION(...)                                                     \
	{                                                                      \
		.methods = HTTP_GET, .path = "/x", .handler = handler,         \
		__VA_ARGS__                                                    \
	}

static const struct {
	struct route row;
	const char *why;
} contradictions[] = {
	{ CONTRADICTION(.id = NULL), "has no id" },
	{ CONTRADICTION(.id = ""), "has no id" },
	{ CONTRADICTION(.id = "health"), "has the id of another" },
	{ CONTRADICTION(.id = "x", .flags = ROUTE_LIST),
	  "is a list, creates or streams, and has no shape of its reply" },
	{ CONTRADICTION(.id = "x", .flags = ROUTE_CREATED),
	  "is a list, creates or streams, and has no shape of its reply" },
	{ CONTRADICTION(.id = "x", .flags = ROUTE_LIST | ROUTE_CREATED,
			.out = &empty),
	  "is two of: a list, what creates, a stream" },
	{ CONTRADICTION(.id = "x", .flags = ROUTE_EVENTS | ROUTE_INLINE),
	  "is a list, creates or streams, and has no shape of its reply" },
	{ CONTRADICTION(.id = "x", .out = &empty,
			.flags = ROUTE_EVENTS | ROUTE_INLINE | ROUTE_LIST),
	  "is two of: a list, what creates, a stream" },
	{ CONTRADICTION(.id = "x", .flags = ROUTE_EVENTS, .out = &empty),
	  "is a stream and a coroutine" },
	{ CONTRADICTION(.id = "x", .content_type = "text/html", .out = &empty),
	  "has a shape and another content type" },
};

START_TEST(refuses_a_row_that_contradicts_itself_or_another)
{
	const struct route rows[] = { contradictions[_i].row,
				      { .path = NULL } };
	const struct route *const tables[] = { others, rows, NULL };
	struct router *r = NULL;
	struct tl_err err;
	char want[128];

	(void)snprintf(want, sizeof(want), "route '/x' %s",
		       contradictions[_i].why);

	ck_assert_int_eq(router_new(tables, &r, &err), TL_INVALID);
	ck_assert_ptr_null(r);
	ck_assert_str_eq(err.text, want);
}
END_TEST

static const struct {
	const char *in, *plain, *form;
} escapes[] = {
	{ "", "", "" },           { "a+b", "a+b", "a b" },
	{ "%41%7a", "Az", "Az" }, { "%c3%A9", "\xc3\xa9", "\xc3\xa9" },
	{ "a%", "a%", "a%" },     { "%4", "%4", "%4" },
	{ "%zz", "%zz", "%zz" },  { "%2B+", "++", "+ " },
};

START_TEST(decodes_escapes)
{
	char dst[64];
	size_t n;

	n = http_percent_decode(tl_str_c(escapes[_i].in), false, dst);
	dst[n] = '\0';
	ck_assert_str_eq(dst, escapes[_i].plain);
	n = http_percent_decode(tl_str_c(escapes[_i].in), true, dst);
	dst[n] = '\0';
	ck_assert_str_eq(dst, escapes[_i].form);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

int main(void)
{
	Suite *s = suite_create("http_router");
	TCase *tc = tcase_create("router");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, finds_the_route, 0, N(cases));
	tcase_add_loop_test(tc, a_literal_goes_before_a_parameter, 0, 6);
	tcase_add_test(tc, refuses_a_route_that_is_there_twice);
	tcase_add_loop_test(tc,
			    refuses_a_row_that_contradicts_itself_or_another, 0,
			    N(contradictions));
	tcase_add_loop_test(tc, decodes_escapes, 0, N(escapes));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
