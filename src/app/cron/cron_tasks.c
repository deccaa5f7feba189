/*
 * cron_tasks.c - how the tasks of the bus do, and webhooks that need not wait
 * on, for programs that have cron.token.  Payloads are not shown to them.
 */
#include <inttypes.h>
#include <stddef.h>

#include "app/cron/cron.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "store/q_tasks_admin.h"
#include "store/q_webhooks.h"

#define HOUR_US        (3600 * (int64_t)1000000)
#define STATS_HOURS    24
#define HOURS_MAX      720
#define FAILED_MAX     500
#define FAILED_DEFAULT 100
#define HURRY_MAX      500
#define NONE           SHAPE_NO_OFFSET
#define REPLY          NONE, NONE, 0, 0, NULL
#define MAYBE          (SHAPE_REQUIRED | SHAPE_NULLABLE)
#define Q(m)           offsetof(struct failed_query, m)

struct failed_query {
	struct tl_str name;
	int64_t hours, limit;
};

/* clang-format off */
static const struct shape_field stats_fields[] = {
	{ "total", SHAPE_INT, SHAPE_REQUIRED, REPLY, "of the following" },
	{ "pending", SHAPE_INT, SHAPE_REQUIRED, REPLY, "tasks that wait" },
	{ "active", SHAPE_INT, SHAPE_REQUIRED, REPLY, "tasks that run" },
	{ "completed", SHAPE_INT, SHAPE_REQUIRED, REPLY,
	  "attempts that went well; 0 with runner.audit = failures" },
	{ "failed", SHAPE_INT, SHAPE_REQUIRED, REPLY,
	  "attempts that failed, ran out of time or lost their runner" },
	{ "cancelled", SHAPE_INT, SHAPE_REQUIRED, REPLY,
	  "attempts that an operator ended" },
	{ "successRate", SHAPE_STR, SHAPE_REQUIRED, REPLY,
	  "completed of completed and failed, as 98.50%; N/A: none" },
	{ .name = NULL },
};
static const struct shape stats_shape = { "TaskStats", 0, stats_fields };

static const struct shape_field query_fields[] = {
	{ "taskName", SHAPE_STR, 0, Q(name), NONE, 1, 100, NULL,
	  "attempts of this name only" },
	{ "hours", SHAPE_INT, 0, Q(hours), NONE, 1, HOURS_MAX, NULL,
	  "how far back; default 24" },
	{ "limit", SHAPE_INT, 0, Q(limit), NONE, 1, FAILED_MAX, NULL,
	  "most attempts in the reply; default 100" },
	{ .name = NULL },
};
static const struct shape query_shape = {
	"FailedTasksQuery", sizeof(struct failed_query), query_fields
};

static const struct shape_field failed_fields[] = {
	{ "taskId", SHAPE_INT, SHAPE_REQUIRED, REPLY, "number of the task" },
	{ "taskName", SHAPE_STR, SHAPE_REQUIRED, REPLY, "what it was to do" },
	{ "queue", SHAPE_STR, SHAPE_REQUIRED, REPLY, "where it waited" },
	{ "tenant", SHAPE_STR, SHAPE_REQUIRED, REPLY,
	  "whose turn it took; empty: nobody's" },
	{ "attempt", SHAPE_INT, SHAPE_REQUIRED, REPLY, "1, 2, and so on" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, REPLY,
	  "failed, expired or lost" },
	{ "createdAt", SHAPE_TIME, SHAPE_REQUIRED, REPLY,
	  "when the task was sent" },
	{ "startedAt", SHAPE_TIME, MAYBE, REPLY,
	  "null: its runner died before" },
	{ "completedAt", SHAPE_TIME, SHAPE_REQUIRED, REPLY,
	  "when the attempt ended" },
	{ "errorMessage", SHAPE_STR, MAYBE, REPLY, "why" },
	{ .name = NULL },
};
static const struct shape failed_shape = { "FailedTask", 0, failed_fields };

static const struct shape_field processed_fields[] = {
	{ "processed", SHAPE_INT, SHAPE_REQUIRED, REPLY,
	  "calls that waited; 500: ask again for the rest" },
	{ .name = NULL },
};
static const struct shape processed_shape = {
	"WebhookCallsProcessed", 0, processed_fields
};
/* clang-format on */

static int64_t hours_ago_us(struct req *req, int64_t hours)
{
	return shm_wall_us(req_decide(req)->shm, tl_mono_ns()) -
	       hours * HOUR_US;
}

/* Cut, not rounded: 100.00% means that none failed. */
static const char *rate_text(struct tl_arena *a, int64_t good, int64_t bad)
{
	int64_t n;

	if (good + bad == 0)
		return "N/A";
	n = good * 10000 / (good + bad);
	return tl_arena_printf(a, "%" PRId64 ".%02d%%", n / 100,
			       (int)(n % 100));
}

static void stats_handle(struct req *req)
{
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);
	struct q_task_stats_row r;
	enum tl_status st;
	struct tl_err err;

	st = q_task_stats(req_pg(req), hours_ago_us(req, STATS_HOURS), a, &r,
			  &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	doc_set(a, d, "total",
		doc_int(a, r.pending + r.active + r.completed + r.failed +
				   r.cancelled));
	doc_set(a, d, "pending", doc_int(a, r.pending));
	doc_set(a, d, "active", doc_int(a, r.active));
	doc_set(a, d, "completed", doc_int(a, r.completed));
	doc_set(a, d, "failed", doc_int(a, r.failed));
	doc_set(a, d, "cancelled", doc_int(a, r.cancelled));
	doc_set(a, d, "successRate",
		doc_str(a, tl_str_c(rate_text(a, r.completed, r.failed))));
	req_reply(req, 200, d);
}

static const struct doc *failed_doc(struct tl_arena *a,
				    const struct q_task_failed_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "taskId", doc_int(a, r->task_id));
	doc_set(a, d, "taskName", doc_str(a, r->name));
	doc_set(a, d, "queue", doc_str(a, r->queue));
	doc_set(a, d, "tenant", doc_str(a, r->tenant));
	doc_set(a, d, "attempt", doc_int(a, r->attempt));
	doc_set(a, d, "status", doc_str(a, r->outcome));
	doc_set(a, d, "createdAt", doc_time(a, r->created_at_us));
	doc_set(a, d, "startedAt",
		r->started_at_null ? doc_null()
				   : doc_time(a, r->started_at_us));
	doc_set(a, d, "completedAt", doc_time(a, r->ended_at_us));
	doc_set(a, d, "errorMessage",
		r->error_null ? doc_null() : doc_str(a, r->error));
	return d;
}

static void failed_handle(struct req *req)
{
	struct failed_query q = { .hours = STATS_HOURS,
				  .limit = FAILED_DEFAULT };
	struct doc *list = doc_array(&req->arena);
	struct q_task_failed_params p = { 0 };
	struct q_task_failed_row *rows;
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	if (!req_query(req, &q))
		return;
	p.since_us = hours_ago_us(req, q.hours);
	p.name = q.name.ptr != NULL ? &q.name : NULL;
	p.max = q.limit;
	st = q_task_failed(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		doc_push(&req->arena, list, failed_doc(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

static void hurry_handle(struct req *req)
{
	const struct q_webhook_hurry_params p = {
		.max = HURRY_MAX, .actor = TL_STR("cron.token")
	};
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);
	struct q_webhook_hurry_row r;
	enum tl_status st;
	struct tl_err err;

	st = q_webhook_hurry(req_pg(req), &p, a, &r, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	bus_wake();
	doc_set(a, d, "processed", doc_int(a, r.processed));
	req_reply(req, 200, d);
}

/* clang-format off */
const struct route CRON_TASKS_ROUTES[] = {
	{ .id = "getTaskStats", .methods = HTTP_GET,
	  .path = "/cron/task-stats", .auth = AUTH_CRON, .out = &stats_shape,
	  .handler = stats_handle,
	  .summary = "What waits and runs, and how the attempts of the last 24 "
		     "hours ended" },
	{ .id = "listFailedTasks", .methods = HTTP_GET,
	  .path = "/cron/failed-tasks", .auth = AUTH_CRON,
	  .flags = ROUTE_LIST, .query = &query_shape, .out = &failed_shape,
	  .handler = failed_handle,
	  .summary = "Attempts that failed lately, newest first" },
	{ .id = "processWebhookCalls", .methods = HTTP_POST,
	  .path = "/cron/process-webhook-calls", .auth = AUTH_CRON,
	  .out = &processed_shape, .handler = hurry_handle,
	  .summary = "Make webhook calls that wait for another attempt due "
		     "now, 500 at most" },
	{ .path = NULL },
};
/* clang-format on */
