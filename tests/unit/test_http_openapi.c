/*
 * test_http_openapi.c - what a route's row becomes in the description.
 */
#include <check.h>
#include <stdlib.h>

#include "http/http.h"
#include "http/openapi.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
#define SHAPE(n, ...)                                                          \
	{                                                                      \
		n, 0, (const struct shape_field[])                             \
		{                                                              \
			__VA_ARGS__,                                           \
			{                                                      \
				.name = NULL                                   \
			}                                                      \
		}                                                              \
	}

/* clang-format off */
static const struct shape thing = SHAPE("Thing",
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "of it" });
static const struct shape query = SHAPE("Query",
	{ "days", SHAPE_INT, 0, REPLY, 1, 90, NULL, "how many" },
	{ "fill", SHAPE_BOOL, 0, REPLY, 0, 0, NULL, "all of them" },
	{ "scope", SHAPE_STRS, 0, REPLY, 0, 0, NULL, "several" });
static const struct shape body = SHAPE("Body",
	{ "label", SHAPE_STR, SHAPE_REQUIRED, REPLY, 1, 9, NULL, "shown" });
static const struct shape headers = SHAPE("Own",
	{ "X-Own", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "mine" });

static const struct route routes[] = {
	{ .id = "list", .methods = HTTP_GET, .path = "/api/keys",
	  .auth = AUTH_KEY, .flags = ROUTE_LIST, .query = &query,
	  .out = &thing, .summary = "List them" },
	{ .id = "make", .methods = HTTP_POST, .path = "/api/keys",
	  .auth = AUTH_ADMIN, .flags = ROUTE_CREATED | ROUTE_CONFLICTS,
	  .in = &body, .out = &thing, .summary = "Make one" },
	{ .id = "drop", .methods = HTTP_DELETE, .path = "/api/keys/{key_id}",
	  .auth = AUTH_KEY, .out = &thing, .summary = "Drop one" },
	{ .id = "charge", .methods = HTTP_POST, .path = "/api/usage/record",
	  .auth = AUTH_KEY, .flags = ROUTE_INLINE | ROUTE_IDEMPOTENT,
	  .in = &body, .out = &thing, .summary = "Charge" },
	{ .id = "ask", .methods = HTTP_ANY, .path = "/api/gate/*",
	  .auth = AUTH_SELF, .flags = ROUTE_INLINE, .headers = &headers,
	  .caller = "anybody", .summary = "Ask" },
	{ .id = "health", .methods = HTTP_GET, .path = "/health",
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_REPORTS,
	  .out = &thing, .summary = "Well?" },
	{ .id = "figures", .methods = HTTP_GET, .path = "/metrics",
	  .auth = AUTH_SELF, .flags = ROUTE_INLINE | ROUTE_KEYLESS,
	  .caller = "some addresses", .content_type = "text/plain",
	  .summary = "Figures" },
	{ .id = "live", .methods = HTTP_GET, .path = "/api/live",
	  .auth = AUTH_KEY, .flags = ROUTE_INLINE | ROUTE_EVENTS,
	  .out = &thing, .summary = "Things as they happen" },
	{ .path = NULL },
};
/* clang-format on */

static struct tl_arena arena;
static const struct doc *made;

static void setup(void)
{
	static const struct route *const tables[] = { routes, NULL };

	tl_arena_init(&arena);
	made = openapi_make(tables, &arena);
}

static void teardown(void)
{
	tl_arena_deinit(&arena);
}

static const struct doc *operation(const char *path, const char *method)
{
	const struct doc *o =
		doc_get(doc_get(doc_get(made, "paths"), path), method);

	ck_assert_msg(o != NULL, "no %s %s", method, path);
	return o;
}

static void is_text(const struct doc *o, const char *name, const char *want)
{
	const struct doc *d = doc_get(o, name);

	ck_assert_msg(d != NULL && d->type == DOC_STR &&
			      tl_str_eq(d->str, tl_str_c(want)),
		      "%s is '%.*s', not '%s'", name,
		      d != NULL ? (int)d->str.len : 0,
		      d != NULL ? d->str.ptr : "", want);
}

static void is_json(const struct doc *d, const char *want)
{
	struct tl_buf b;

	ck_assert_ptr_nonnull(d);
	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	tl_buf_addc(&b, '\0');
	ck_assert_str_eq(b.ptr, want);
	tl_buf_deinit(&b);
}

static const struct {
	const char *path, *method, *id, *statuses;
} operations[] = {
	{ "/api/keys", "get", "list", "200 304 400 401 403 429 500 503 " },
	{ "/api/keys", "post", "make",
	  "201 400 401 403 409 413 415 429 500 503 " },
	{ "/api/keys/{key_id}", "delete", "drop",
	  "200 400 401 403 404 429 500 503 " },
	{ "/api/usage/record", "post", "charge",
	  "200 400 401 403 413 415 429 503 " },
	{ "/api/gate/{path}", "get", "ask", "200 401 403 429 503 " },
	{ "/api/gate/{path}", "delete", "askDelete", "200 401 403 429 503 " },
	{ "/health", "get", "health", "200 503 " },
	{ "/metrics", "get", "figures", "200 403 503 " },
};

START_TEST(each_operation_lists_what_its_row_may_answer)
{
	const struct doc *o =
		operation(operations[_i].path, operations[_i].method);
	const struct doc *responses = doc_get(o, "responses");
	struct tl_buf b;

	tl_buf_init(&b);
	for (uint32_t i = 0; i < responses->n; i++)
		tl_buf_addf(&b, "%.*s ", (int)responses->members[i].name.len,
			    responses->members[i].name.ptr);
	tl_buf_addc(&b, '\0');

	is_text(o, "operationId", operations[_i].id);
	ck_assert_str_eq(b.ptr, operations[_i].statuses);
	tl_buf_deinit(&b);
}
END_TEST

START_TEST(parameters_come_from_path_query_and_flags)
{
	is_json(doc_get(operation("/api/keys", "get"), "parameters"),
		"[{\"name\":\"days\",\"in\":\"query\","
		"\"description\":\"how many\",\"schema\":{\"type\":\"integer\","
		"\"format\":\"int64\",\"minimum\":1,\"maximum\":90}},"
		"{\"name\":\"fill\",\"in\":\"query\","
		"\"description\":\"all of them\",\"schema\":{"
		"\"type\":\"integer\",\"enum\":[0,1]}},"
		"{\"name\":\"scope\",\"in\":\"query\","
		"\"description\":\"several\",\"schema\":{\"type\":\"array\","
		"\"items\":{\"type\":\"string\"}}},"
		"{\"$ref\":\"#/components/parameters/If-None-Match\"}]");
	is_json(doc_get(operation("/api/keys/{key_id}", "delete"),
			"parameters"),
		"[{\"name\":\"key_id\",\"in\":\"path\",\"required\":true,"
		"\"description\":\"id of the key\",\"schema\":{"
		"\"type\":\"string\",\"format\":\"uuid\"}}]");
	is_json(doc_get(operation("/api/usage/record", "post"), "parameters"),
		"[{\"$ref\":\"#/components/parameters/Idempotency-Key\"}]");
	ck_assert_ptr_null(doc_get(operation("/health", "get"), "parameters"));
}
END_TEST

START_TEST(a_body_may_come_in_both_encodings)
{
	is_json(doc_get(operation("/api/keys", "post"), "requestBody"),
		"{\"required\":true,\"content\":{"
		"\"application/json\":{\"schema\":"
		"{\"$ref\":\"#/components/schemas/Body\"}},"
		"\"application/msgpack\":{\"schema\":"
		"{\"$ref\":\"#/components/schemas/Body\"}}}}");
}
END_TEST

static const struct doc *response(const char *path, const char *method,
				  const char *status)
{
	return doc_get(doc_get(operation(path, method), "responses"), status);
}

static const struct doc *json_schema(const struct doc *r)
{
	return doc_get(doc_get(doc_get(r, "content"), "application/json"),
		       "schema");
}

START_TEST(a_list_is_an_array_and_pages_have_their_type)
{
	is_json(json_schema(response("/api/keys", "get", "200")),
		"{\"type\":\"array\",\"items\":"
		"{\"$ref\":\"#/components/schemas/Thing\"}}");
	is_json(json_schema(response("/api/keys", "post", "201")),
		"{\"$ref\":\"#/components/schemas/Thing\"}");
	is_json(doc_get(response("/metrics", "get", "200"), "content"),
		"{\"text/plain\":{}}");
	ck_assert_ptr_null(
		doc_get(response("/api/gate/{path}", "get", "200"), "content"));
}
END_TEST

START_TEST(headers_are_those_that_come)
{
	const struct doc *list =
		doc_get(response("/api/keys", "get", "200"), "headers");
	const struct doc *new =
		doc_get(response("/api/keys", "post", "201"), "headers");
	const struct doc *well =
		doc_get(response("/health", "get", "200"), "headers");

	ck_assert_ptr_nonnull(doc_get(list, "Link"));
	ck_assert_ptr_nonnull(doc_get(list, "ETag"));
	ck_assert_ptr_nonnull(doc_get(list, "RateLimit"));
	ck_assert_ptr_null(doc_get(list, "Location"));
	ck_assert_ptr_nonnull(doc_get(new, "Location"));
	ck_assert_ptr_null(doc_get(new, "Link"));
	ck_assert_ptr_null(doc_get(well, "RateLimit"));
	ck_assert_ptr_nonnull(doc_get(well, "X-Request-Id"));
}
END_TEST

START_TEST(own_headers_are_on_refusals_too)
{
	const struct doc *all =
		doc_get(doc_get(made, "components"), "responses");
	const struct doc *own =
		doc_get(doc_get(all, "OwnForbidden"), "headers");

	is_json(doc_get(own, "X-Own"),
		"{\"description\":\"mine\",\"required\":true,"
		"\"schema\":{\"type\":\"string\"}}");
	is_json(response("/api/gate/{path}", "get", "403"),
		"{\"$ref\":\"#/components/responses/OwnForbidden\"}");
	ck_assert_ptr_null(doc_get(
		doc_get(doc_get(all, "Forbidden"), "headers"), "X-Own"));
}
END_TEST

START_TEST(a_report_of_503_has_the_form_of_a_success)
{
	is_json(json_schema(response("/health", "get", "503")),
		"{\"$ref\":\"#/components/schemas/Thing\"}");
	is_json(response("/api/keys", "get", "503"),
		"{\"$ref\":\"#/components/responses/Unavailable\"}");
}
END_TEST

START_TEST(a_stream_is_no_document)
{
	const struct doc *content =
		doc_get(response("/api/live", "get", "200"), "content");

	ck_assert_uint_eq(content->n, 1);
	is_json(doc_get(content, "text/event-stream"),
		"{\"schema\":{\"$ref\":\"#/components/schemas/Thing\"}}");
	is_json(doc_get(operation("/api/live", "get"), "parameters"),
		"[{\"$ref\":\"#/components/parameters/Last-Event-ID\"}]");
}
END_TEST

START_TEST(security_is_what_the_row_asks_for)
{
	is_json(doc_get(operation("/api/keys", "get"), "security"),
		"[{\"bearer\":[]},{\"apiKey\":[]}]");
	is_json(doc_get(operation("/api/gate/{path}", "get"), "security"),
		"[{},{\"bearer\":[]},{\"apiKey\":[]}]");
	is_json(doc_get(operation("/health", "get"), "security"), "[]");
	is_json(doc_get(operation("/metrics", "get"), "security"), "[]");
	is_text(operation("/metrics", "get"), "description",
		"For some addresses.");
	is_text(operation("/api/keys", "post"), "description",
		"For a key of an admin.");
}
END_TEST

START_TEST(error_codes_are_an_enum)
{
	const struct doc *schemas =
		doc_get(doc_get(made, "components"), "schemas");
	const struct doc *words =
		doc_get(doc_get(schemas, "ErrorCode"), "enum");

	ck_assert_ptr_nonnull(words);
	ck_assert_uint_eq(words->n, 15);
	is_json(doc_get(doc_get(doc_get(schemas, "ErrorDetail"), "properties"),
			"code"),
		"{\"$ref\":\"#/components/schemas/ErrorCode\","
		"\"description\":\"what to switch on\"}");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_openapi");
	TCase *c = tcase_create("description");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, each_operation_lists_what_its_row_may_answer, 0,
			    (int)(sizeof(operations) / sizeof(operations[0])));
	tcase_add_test(c, parameters_come_from_path_query_and_flags);
	tcase_add_test(c, a_body_may_come_in_both_encodings);
	tcase_add_test(c, a_list_is_an_array_and_pages_have_their_type);
	tcase_add_test(c, headers_are_those_that_come);
	tcase_add_test(c, own_headers_are_on_refusals_too);
	tcase_add_test(c, a_report_of_503_has_the_form_of_a_success);
	tcase_add_test(c, a_stream_is_no_document);
	tcase_add_test(c, security_is_what_the_row_asks_for);
	tcase_add_test(c, error_codes_are_an_enum);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
