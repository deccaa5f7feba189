#include "app/admin/admin_tasks.h"

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "app/list.h"
#include "bus/bus.h"
#include "store/q_tasks_admin.h"

#define LIST_DEFAULT 100

/* ---- tasks ---- */

static const struct doc *view(struct req *req, const void *row)
{
	return task_acts_row(&req->arena, row);
}

static struct http_cursor place(const void *row)
{
	const struct q_task_page_row *r = row;

	return (struct http_cursor){ .at_us = r->task_id };
}

static void list_handle(struct req *req)
{
	struct admin_tasks_query q = { .limit = LIST_DEFAULT };
	struct keys_page page = { .limit = 0 };
	struct q_task_page_row *rows = NULL;
	struct http_cursor from;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &q))
		return;
	page.cursor = q.cursor;
	if (!keys_page_start(req, &page, &from))
		return;
	/* the number of a task is its place */
	st = task_acts_list(req_pg(req), &q.which, from.at_us, q.limit + 1,
			    &req->arena, &rows, &n, &err);
	list_reply(req, LIST(rows, n, q.limit, view, place), st, &err);
}

/* False: answered. */
static bool read_id(struct req *req, int64_t *id_r)
{
	if (tl_parse_i64(req_path_param(req, "task"), 1, INT64_MAX, id_r))
		return true;
	req_fail(req, 400, "bad_request", "task: must be the number of a task");
	return false;
}

static void show_handle(struct req *req)
{
	enum tl_status st;
	struct tl_err err;
	struct doc *d;
	int64_t id;

	if (!read_id(req, &id))
		return;
	st = task_acts_show(req_pg(req), id, &req->arena, &d, &err);
	if (st == TL_OK)
		req_reply(req, 200, d);
	else
		req_fail_status(req, st, &err);
}

static void reply_changed(struct req *req, enum tl_status st, int64_t id,
			  struct tl_str outcome, const struct tl_err *err)
{
	struct doc *d = doc_object(&req->arena);

	if (st != TL_OK) {
		req_fail_status(req, st, err);
		return;
	}
	bus_wake();
	doc_set(&req->arena, d, "id", doc_int(&req->arena, id));
	doc_set(&req->arena, d, "outcome", doc_str(&req->arena, outcome));
	req_reply(req, 202, d);
}

static void cancel_handle(struct req *req)
{
	struct tl_str actor, outcome = TL_STR("");
	enum tl_status st;
	struct tl_err err;
	int64_t id;

	if (!read_id(req, &id) || !req_actor(req, &actor))
		return;
	st = task_acts_cancel(req_pg(req), id, actor, &req->arena, &outcome,
			      &err);
	reply_changed(req, st, id, outcome, &err);
}

static void retry_handle(struct req *req)
{
	struct tl_str actor, payload, outcome = TL_STR("");
	struct admin_tasks_retry in = { .payload = NULL };
	enum tl_status st;
	struct tl_err err;
	int64_t id;

	if (!read_id(req, &id) || !req_body(req, &in))
		return;
	if (in.payload != NULL && in.payload->type == DOC_NULL)
		in.payload = NULL;
	if (in.payload != NULL && in.payload->type != DOC_OBJECT) {
		req_fail(req, 400, "bad_request", "payload: must be an object");
		return;
	}
	if (in.payload != NULL)
		payload = doc_json(&req->arena, in.payload);
	if (!req_actor(req, &actor))
		return;
	st = task_acts_retry(req_pg(req), id,
			     in.payload != NULL ? &payload : NULL, actor,
			     &req->arena, &outcome, &err);
	if (st == TL_OK && tl_str_eq(outcome, TL_STR("active")))
		req_fail(req, 409, "conflict", "the task runs already");
	else
		reply_changed(req, st, id, outcome, &err);
}

static void replay_handle(struct req *req)
{
	struct task_replay in = { .max = TASK_REPLAY_DEFAULT };
	struct task_replayed done;
	struct tl_str actor;
	enum tl_status st;
	struct tl_err err;

	if (!req_body(req, &in) || !req_actor(req, &actor))
		return;
	st = task_acts_replay(req_pg(req), &in, actor, &req->arena, &done,
			      &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	bus_wake();
	req_reply(req, 202, task_acts_replayed(&req->arena, &done));
}

/* ---- queues ---- */

static void queues_handle(struct req *req)
{
	struct doc *list = doc_array(&req->arena);
	struct q_queue_page_row *rows;
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	st = q_queue_page(req_pg(req), NULL, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		doc_push(&req->arena, list,
			 task_acts_queue(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

static void pause_queue(struct req *req, bool pause)
{
	struct tl_str name = req_path_param(req, "queue"), actor;
	struct q_queue_page_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_actor(req, &actor))
		return;
	st = task_acts_queue_pause(req_pg(req), name, pause, actor, &req->arena,
				   &row, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	bus_wake();
	req_reply(req, 200, task_acts_queue(&req->arena, &row));
}

static void pause_handle(struct req *req)
{
	pause_queue(req, true);
}

static void resume_handle(struct req *req)
{
	pause_queue(req, false);
}

#define TASKS  "/api/admin/tasks"
#define QUEUES "/api/admin/queues"
/* clang-format off */
const struct route ADMIN_TASKS_ROUTES[] = {
	{ .id = "listTasks", .methods = HTTP_GET, .path = TASKS,
	  .auth = AUTH_ADMIN, .flags = ROUTE_LIST,
	  .query = &ADMIN_TASKS_QUERY_SHAPE, .out = &ADMIN_TASK_SHAPE,
	  .handler = list_handle,
	  .summary = "Tasks that are not finished, or ended without success; "
		     "newest first" },
	{ .id = "getTask", .methods = HTTP_GET, .path = TASKS "/{task}",
	  .auth = AUTH_ADMIN, .out = &ADMIN_TASK_WHOLE_SHAPE,
	  .handler = show_handle,
	  .summary = "A task, its payload and its attempts" },
	{ .id = "cancelTask", .methods = HTTP_POST,
	  .path = TASKS "/{task}/cancel", .auth = AUTH_ADMIN,
	  .flags = ROUTE_ACCEPTED, .out = &ADMIN_TASK_CHANGED_SHAPE,
	  .handler = cancel_handle,
	  .summary = "Take a task out of the way; one that runs ends at its "
		     "next wait" },
	{ .id = "retryTask", .methods = HTTP_POST,
	  .path = TASKS "/{task}/retry", .auth = AUTH_ADMIN,
	  .flags = ROUTE_ACCEPTED | ROUTE_CONFLICTS,
	  .in = &ADMIN_TASK_RETRY_SHAPE, .out = &ADMIN_TASK_CHANGED_SHAPE,
	  .handler = retry_handle,
	  .summary = "Send a task again that ended without success, with "
		     "another payload if wanted; 409 while it runs or its "
		     "singleton key is taken" },
	{ .id = "replayTasks", .methods = HTTP_POST,
	  .path = "/api/admin/dead-tasks/replay", .auth = AUTH_ADMIN,
	  .flags = ROUTE_ACCEPTED, .in = &ADMIN_TASK_REPLAY_SHAPE,
	  .out = &ADMIN_TASK_REPLAYED_SHAPE, .handler = replay_handle,
	  .summary = "Send tasks again that ended without success: those of a "
		     "queue, of a name, or since then; oldest first" },
	{ .id = "listQueues", .methods = HTTP_GET, .path = QUEUES,
	  .auth = AUTH_ADMIN, .flags = ROUTE_LIST, .out = &ADMIN_QUEUE_SHAPE,
	  .handler = queues_handle,
	  .summary = "Queues of tasks, what waits in them, and their limits" },
	{ .id = "pauseQueue", .methods = HTTP_POST,
	  .path = QUEUES "/{queue}/pause", .auth = AUTH_ADMIN,
	  .out = &ADMIN_QUEUE_SHAPE, .handler = pause_handle,
	  .summary = "Begin none of a queue's tasks; what runs, runs on" },
	{ .id = "resumeQueue", .methods = HTTP_POST,
	  .path = QUEUES "/{queue}/resume", .auth = AUTH_ADMIN,
	  .out = &ADMIN_QUEUE_SHAPE, .handler = resume_handle,
	  .summary = "Begin its tasks again" },
	{ .path = NULL },
};
/* clang-format on */
