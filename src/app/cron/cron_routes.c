#include <stddef.h>

#include "app/admin/admin.h"
#include "app/cron/cron.h"
#include "app/cron/cron_view.h"
#include "app/keys/keys.h"
#include "base/clock.h"
#include "store/q_cron.h"

#define RUNS_MAX     500
#define RUNS_DEFAULT 100
#define REPLY        SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
#define C(m)         offsetof(struct cron_change, m)
#define NONE         SHAPE_NO_OFFSET

struct runs_query {
	struct tl_str job, cursor;
	int64_t limit;
};
#define Q(m) offsetof(struct runs_query, m)

/* clang-format off */
static const struct shape_field outcome_fields[] = {
	{ .name = "asked", .doc = "waits for the scheduler" },
	{ .name = "running" },
	{ .name = "done" },
	{ .name = "failed", .doc = "detail says why" },
	{ .name = "lost", .doc = "its scheduler died, nobody knows how far it "
				 "came" },
	{ .name = "skipped", .doc = "the lock was taken, or the run before "
				    "still went on" },
	{ .name = "missed", .doc = "no scheduler led then" },
	{ .name = NULL },
};
static const struct shape outcome_words = { "CronOutcome", 0, outcome_fields };
static const struct shape_field run_fields[] = {
	{ "id", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "of the run" },
	{ "job", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "its name" },
	{ "slot", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was due, or asked for" },
	{ "outcome", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &outcome_words,
	  "how it ended, or stands" },
	{ "detail", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "what was done, or why not" },
	{ "asked_by", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "who wanted it; null: the schedule" },
	{ "node", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0, NULL,
	  "whose scheduler ran it" },
	{ "started_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0,
	  0, NULL, "null: not begun" },
	{ "finished_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0,
	  0, NULL, "null: not ended" },
	{ .name = NULL },
};
static const struct shape run_shape = { "CronRun", 0, run_fields };
static const struct shape_field missed_fields[] = {
	{ .name = "skip", .doc = "they are gone" },
	{ .name = "once", .doc = "the newest is made up for" },
	{ .name = "all", .doc = "the newest ones are, one after another" },
	{ .name = NULL },
};
static const struct shape missed_words = { "CronMissed", 0, missed_fields };
static const struct shape_field job_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "of the job" },
	{ "summary", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what it does" },
	{ "schedule", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "cron expression in force" },
	{ "time_zone", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "that the schedule is read in" },
	{ "changed", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "schedule or time zone are not what tallyd comes with" },
	{ "paused", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "runs only when it is asked for" },
	{ "missed", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &missed_words,
	  "what becomes of slots that no scheduler saw" },
	{ "problem", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "why it can not run; null: it can" },
	{ "next", SHAPE_STRS, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "its next five times, as slot; fewer when it is paused" },
	{ "last", SHAPE_OBJECT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &run_shape, "its newest run" },
	{ .name = NULL },
};
static const struct shape job_shape = { "CronJob", 0, job_fields };
static const struct shape_field change_fields[] = {
	{ "schedule", SHAPE_STR, SHAPE_NULLABLE | SHAPE_NO_CONTROL,
	  C(schedule), C(set_schedule), 1, TALLY_CRON_TEXT_MAX, NULL,
	  "cron expression of five fields, or @hourly and the like; null: what "
	  "tallyd comes with" },
	{ "time_zone", SHAPE_STR, SHAPE_NULLABLE | SHAPE_NO_CONTROL, C(zone),
	  C(set_zone), 1, TALLY_ZONE_NAME_MAX, NULL,
	  "such as Europe/Berlin; null: what tallyd comes with" },
	{ "paused", SHAPE_BOOL, 0, C(paused), C(set_paused), 0, 0, NULL,
	  "slots of a pause are not made up for" },
	{ .name = NULL },
};
static const struct shape change_shape = {
	"CronChange", sizeof(struct cron_change), change_fields
};
static const struct shape_field asked_fields[] = {
	{ "id", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "of the run" },
	{ "job", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "its name" },
	{ "slot", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was asked for" },
	{ .name = NULL },
};
static const struct shape asked_shape = { "CronAsked", 0, asked_fields };
static const struct shape triggered_shape = {
	"CronTriggered", 0, asked_fields + 1
};
static const struct shape_field runs_fields[] = {
	{ "job", SHAPE_STR, 0, Q(job), NONE, 1, 64, NULL,
	  "runs of this one only" },
	{ "limit", SHAPE_INT, 0, Q(limit), NONE, 1, RUNS_MAX, NULL,
	  "most runs in the reply; default 100" },
	{ "cursor", SHAPE_STR, 0, Q(cursor), NONE, 1, HTTP_CURSOR_TEXT_MAX,
	  NULL, "from the Link of the page before" },
	{ .name = NULL },
};
static const struct shape runs_shape = {
	"CronRunListQuery", sizeof(struct runs_query), runs_fields
};
/* clang-format on */

static int64_t now_us(struct req *req)
{
	return shm_wall_us(req_decide(req)->shm, tl_mono_ns());
}

/* NULL: answered. */
static const struct cron_job *job_of(struct req *req)
{
	struct tl_str name = req_path_param(req, "job");
	const struct cron_job *job = cron_job_find(name);

	if (job == NULL)
		req_fail(req, 404, "not_found", "there is no job '%.*s'",
			 (int)name.len, name.ptr);
	return job;
}

static void list_jobs(struct req *req)
{
	struct doc *list;
	enum tl_status st;
	struct tl_err err;

	st = cron_view_jobs(req_pg(req), now_us(req), &req->arena, &list, &err);
	if (st == TL_OK)
		req_reply_list(req, list, NULL);
	else
		req_fail_status(req, st, &err);
}

static void change_job(struct req *req)
{
	struct cron_change c = { 0 };
	const struct cron_job *job;
	struct tl_str actor;
	enum tl_status st;
	struct tl_err err;

	if (!req_body(req, &c) || (job = job_of(req)) == NULL ||
	    !admin_actor(req, &actor))
		return;
	st = cron_change_check(&c, &err);
	if (st == TL_OK)
		st = cron_change_store(req_pg(req), job, &c, actor, now_us(req),
				       &req->arena, &err);
	if (st == TL_OK)
		admin_reply_flag(req, "updated");
	else
		req_fail_status(req, st, &err);
}

/* 202 with what was asked for. */
static void ask_for(struct req *req, struct tl_str actor, bool with_id)
{
	const struct cron_job *job = job_of(req);
	struct tl_arena *a = &req->arena;
	int64_t run_id, slot_us;
	struct doc *d;
	enum tl_status st;
	struct tl_err err;

	if (job == NULL)
		return;
	st = cron_ask(req_pg(req), job, actor, now_us(req), a, &run_id,
		      &slot_us, &err);
	if (st != TL_OK) {
		if (st == TL_CONFLICT)
			req_fail(req, 409, "conflict", "%s", err.text);
		else
			req_fail_status(req, st, &err);
		return;
	}
	d = doc_object(a);
	if (with_id)
		doc_set(a, d, "id", doc_int(a, run_id));
	doc_set(a, d, "job", doc_str(a, tl_str_c(job->name)));
	doc_set(a, d, "slot", doc_time(a, slot_us));
	req_reply(req, 202, d);
}

static void run_job(struct req *req)
{
	struct tl_str actor;

	if (admin_actor(req, &actor))
		ask_for(req, actor, true);
}

static void trigger_job(struct req *req)
{
	ask_for(req, TL_STR("cron.token"), false);
}

static void list_runs(struct req *req)
{
	struct runs_query q = { .limit = RUNS_DEFAULT };
	struct q_cron_history_params p = { 0 };
	struct http_cursor from, next = { 0 };
	struct q_cron_run_find_row *rows;
	struct doc *list = doc_array(&req->arena);
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	if (!req_query(req, &q))
		return;
	if (q.cursor.ptr != NULL) {
		if (http_cursor_parse(q.cursor, &from, &err) != TL_OK) {
			req_fail_status(req, TL_INVALID, &err);
			return;
		}
		p.before = &from.at_us; /* runs are numbered in order */
	}
	p.job = q.job.ptr != NULL ? &q.job : NULL;
	p.max = q.limit + 1;
	st = q_cron_history(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	for (uint32_t i = 0; i < n && i < q.limit; i++) {
		doc_push(&req->arena, list,
			 cron_view_run(&req->arena, &rows[i]));
		next.at_us = rows[i].run_id;
	}
	req_reply_list(req, list, n > q.limit ? &next : NULL);
}

/* clang-format off */
const struct route CRON_ROUTES[] = {
	{ .id = "listCronJobs", .methods = HTTP_GET,
	  .path = "/api/admin/cron", .auth = AUTH_ADMIN, .flags = ROUTE_LIST,
	  .out = &job_shape, .handler = list_jobs,
	  .summary = "Jobs by the clock, their next times and last runs" },
	{ .id = "changeCronJob", .methods = HTTP_PATCH,
	  .path = "/api/admin/cron/{job}", .auth = AUTH_ADMIN,
	  .in = &change_shape, .out = &UPDATED_SHAPE, .handler = change_job,
	  .summary = "Another schedule or time zone for a job, or a pause; on "
		     "all hosts" },
	{ .id = "runCronJob", .methods = HTTP_POST,
	  .path = "/api/admin/cron/{job}/run", .auth = AUTH_ADMIN,
	  .flags = ROUTE_ACCEPTED | ROUTE_CONFLICTS, .out = &asked_shape,
	  .handler = run_job,
	  .summary = "Run a job at once; 409 while it is asked for or "
		     "running" },
	{ .id = "listCronRuns", .methods = HTTP_GET,
	  .path = "/api/admin/cron-runs", .auth = AUTH_ADMIN,
	  .flags = ROUTE_LIST, .query = &runs_shape, .out = &run_shape,
	  .handler = list_runs, .summary = "Runs of jobs, newest first" },
	{ .id = "triggerCronJob", .methods = HTTP_POST,
	  .path = "/cron/run/{job}", .auth = AUTH_CRON,
	  .flags = ROUTE_ACCEPTED | ROUTE_CONFLICTS, .out = &triggered_shape,
	  .handler = trigger_job,
	  .summary = "Run a job at once, for programs that have cron.token and "
		     "no key; 409 while it is asked for or running" },
	{ .path = NULL },
};
/* clang-format on */
