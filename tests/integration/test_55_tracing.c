/*
 * test_55_tracing.c - W3C Trace Context from a request to the calls that come
 * of it, and spans to a collector that is there, busy, or gone.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "base/trace.h"
#include "collector.h"

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define CALLER "00f067aa0ba902b7"

static struct collector *col;

/* A collector, and a daemon that sends its spans there, with settings. */
#define traced(...)                                                            \
	traced_up((const char *const[]){ NULL, ##__VA_ARGS__, NULL } + 1)
static void traced_up(const char *const *settings)
{
	static char ports[64], endpoint[80];
	const char *all[24] = { "runner.count=1",
				"server.workers=1",
				"egress.private_allow=127.0.0.0/8",
				"egress.allow_http=yes",
				"tracing.interval_ms=50",
				"tracing.headers=X-Token=open sesame",
				FREE_RATE,
				ports,
				endpoint };
	size_t n = 0;

	col = collector_start();
	col->forbidden = KEY_PRO;
	snprintf(ports, sizeof(ports), "egress.allowed_ports=%u", col->port);
	snprintf(endpoint, sizeof(endpoint),
		 "tracing.endpoint=http://127.0.0.1:%u/v1/traces", col->port);
	while (all[n] != NULL)
		n++;
	while (*settings != NULL)
		all[n++] = *settings++;
	fixture_up(all);
}

/* A request within the trace of a caller. */
static void ask_traced(const char *method, const char *target,
		       const char *flags, const char *json)
{
	char *headers = tl_asprintf(
		"X-API-Key: " KEY_PRO "\r\nX-Request-Id: t-1\r\n"
		"traceparent: 00-" TRACE "-" CALLER "-%s\r\n"
		"tracestate: a=1\r\ntracestate: b=2'\r\n%s",
		flags,
		json != NULL ? "Content-Type: application/json\r\n" : "");

	client_request(c, method, target, headers, json,
		       json != NULL ? strlen(json) : 0, &r);
	tl_free(headers);
}

static void ask_plain(const char *target, const char *headers)
{
	client_request(c, "GET", target, headers, NULL, 0, &r);
}

static struct json_object *await_span(const char *name, unsigned i)
{
	struct json_object *s = NULL;

	WAIT_UNTIL((s = collector_span(col, name, i)) != NULL);
	ck_assert_msg(s != NULL, "no span '%s'; %u came", name, col->n_spans);
	return s;
}

static long counter(const char *name)
{
	const char *at;
	char line[80];

	snprintf(line, sizeof(line), "\n%s ", name);
	ask_plain("/metrics", "");
	at = strstr(r.body, line);
	ck_assert_ptr_nonnull(at);
	return strtol(at + strlen(line), NULL, 10);
}

static bool log_has(const char *text)
{
	char *log = daemon_log(d);
	bool has = strstr(log, text) != NULL;

	tl_free(log);
	return has;
}

static void make_hook(void)
{
	char body[160];

	snprintf(body, sizeof(body),
		 "{\"url\": \"http://127.0.0.1:%u/secret-path\","
		 " \"events\": [\"*\"]}",
		 col->port);
	client_call(c, "/api/webhooks", KEY_PRO, body, "", &r);
	want(201);
}

static void the_request_has_a_span(struct json_object *s)
{
	ck_assert_str_eq(span_text(s, "traceId"), TRACE);
	ck_assert_str_eq(span_text(s, "parentSpanId"), CALLER);
	ck_assert_str_eq(span_text(s, "traceState"), "a=1,b=2'");
	ck_assert_str_eq(span_text(s, "kind"), "2");
	ck_assert_str_eq(span_attr(s, "http.request.method"), "POST");
	ck_assert_str_eq(span_attr(s, "url.path"), "/api/keys");
	ck_assert_str_eq(span_attr(s, "http.route"), "/api/keys");
	ck_assert_str_eq(span_attr(s, "http.response.status_code"), "201");
	ck_assert_str_eq(span_attr(s, "client.address"), "127.0.0.1");
	ck_assert_str_eq(span_attr(s, "tallyd.decision"), "ok");
	ck_assert_str_eq(span_attr(s, "tallyd.user_id"), USER_PRO);
	ck_assert_str_eq(span_attr(s, "tallyd.request_id"), "t-1");
}

/* POST makes a key, which is an event, which is a task, which is a call. */
START_TEST(a_trace_leads_from_a_request_to_the_webhook)
{
	struct json_object *request, *query, *task, *out;
	char parent[TRACE_PARENT_TEXT];

	traced("tracing.sample_ratio=0");
	make_hook();
	ask_traced("POST", "/api/keys", "01", "{\"label\": \"traced\"}");
	want(201);

	client_get(c, "/api/explain/t-1", KEY_PRO, &r);
	ck_assert_pstr_eq(json_str(&r, "trace_id"), TRACE);

	request = await_span("POST /api/keys", 0);
	the_request_has_a_span(request);
	query = await_span("key_insert", 0);
	ck_assert_str_eq(span_text(query, "parentSpanId"),
			 span_text(request, "spanId"));
	ck_assert_str_eq(span_attr(query, "db.system.name"), "postgresql");
	task = await_span("webhook.deliver", 0);
	ck_assert_str_eq(span_text(task, "traceId"), TRACE);
	ck_assert_str_eq(span_text(task, "parentSpanId"),
			 span_text(request, "spanId"));
	ck_assert_str_eq(span_text(task, "kind"), "5");
	ck_assert_str_eq(span_attr(task, "tallyd.task.attempt"), "1");
	out = await_span("POST", 0);
	ck_assert_str_eq(span_text(out, "parentSpanId"),
			 span_text(task, "spanId"));
	ck_assert_str_eq(span_attr(out, "server.address"), "127.0.0.1");
	ck_assert_str_eq(span_attr(out, "http.response.status_code"), "200");

	snprintf(parent, sizeof(parent), "00-" TRACE "-%.16s-01",
		 span_text(out, "spanId"));
	ck_assert_str_eq(head_value(col->other_head, "traceparent"), parent);
	ck_assert_str_eq(head_value(col->other_head, "tracestate"), "a=1,b=2'");
	ck_assert_str_eq(head_value(col->head, "X-Token"), "open sesame");
	ck_assert_str_eq(head_value(col->head, "traceparent"), "");
	ck_assert_str_eq(col->wrong, "");
	ck_assert(!col->leaked);
	for (unsigned i = 0; i < col->n_spans; i++)
		ck_assert_ptr_null(strstr(
			json_object_to_json_string(col->spans[i]), "secret"));
	WAIT_UNTIL(log_has("\"trace_id\":\"" TRACE "\""));
	ck_assert(log_has("\"trace_id\":\"" TRACE "\""));
	WAIT_UNTIL(counter("tallyd_spans_exported_total") >= 4);
	ck_assert_int_eq(counter("tallyd_spans_dropped_total"), 0);
}
END_TEST

/* Who is followed decides; whoever begins here is drawn by lot, here never. */
static void only_what_a_caller_wants(void)
{
	unsigned before;

	ask_traced("GET", "/api/keys", "01", NULL); /* the mark behind which */
	await_span("GET /api/keys", 0);
	before = col->n_spans;
	ask_traced("GET", "/api/usage/today", "00", NULL);
	ask_plain("/api/usage/today",
		  "traceparent: 00-" TRACE "-" CALLER "-01-more\r\n");
	ask_plain("/api/usage/today",
		  "traceparent: 00-" TRACE "-" CALLER "-01\r\n"
		  "traceparent: 00-" TRACE "-" CALLER "-01\r\n");
	ask_plain("/api/usage/today", "");
	ask_traced("GET", "/api/keys", "01", NULL);
	await_span("GET /api/keys", 1);
	ck_assert_ptr_null(collector_span(col, "GET /api/usage/today", 0));
	ck_assert_uint_gt(col->n_spans, before);
}

/* A call that fails for now is made again, with all that had gathered. */
static void busy_collectors_are_waited_for(void)
{
	unsigned calls;

	strcpy(col->header, "Retry-After: 1\r\n");
	col->status = 503;
	calls = col->calls;
	ask_traced("GET", "/health", "01", NULL);
	WAIT_UNTIL(col->calls > calls);
	ask_traced("GET", "/api/keys", "01", NULL);
	col->status = 200;
	await_span("GET /health", 0);
	await_span("GET /api/keys", 2);
	ck_assert_int_eq(counter("tallyd_spans_dropped_total"), 0);
}

static void refused_spans_are_dropped(void)
{
	col->header[0] = '\0';
	col->status = 400;
	ask_traced("GET", "/health", "01", NULL);
	WAIT_UNTIL(counter("tallyd_spans_dropped_total") == 1);
	ck_assert_int_eq(counter("tallyd_spans_dropped_total"), 1);

	col->status = 200;
	strcpy(col->answer, "{\"partialSuccess\": {\"rejectedSpans\": \"1\"}}");
	ask_traced("GET", "/health", "01", NULL);
	WAIT_UNTIL(counter("tallyd_spans_dropped_total") == 2);
	ck_assert_int_eq(counter("tallyd_spans_dropped_total"), 2);
}

/* Nobody waits for one that is gone. */
static void dead_collectors_cost_only_spans(void)
{
	collector_deaf(col);
	for (int i = 0; i < 60; i++) {
		ask_traced("GET", "/api/gate", "01", NULL);
		want(200);
	}
	WAIT_UNTIL(counter("tallyd_spans_dropped_total") >= 2 + 60 - 20);
	ck_assert_int_ge(counter("tallyd_spans_dropped_total"), 42);
}

START_TEST(spans_of_whom_and_what_becomes_of_them)
{
	traced("tracing.sample_ratio=0", "tracing.queue_spans=16");
	only_what_a_caller_wants();
	busy_collectors_are_waited_for();
	refused_spans_are_dropped();
	dead_collectors_cost_only_spans();
	ck_assert_str_eq(col->wrong, "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tracing");
	TCase *tc = fixture_case(s, "traces");

	tcase_add_test(tc, a_trace_leads_from_a_request_to_the_webhook);
	tcase_add_test(tc, spans_of_whom_and_what_becomes_of_them);
	return fixture_run(s);
}
