/*
 * requests.c - what the request log tells its owner: single requests, sums by
 * model, by hour of the day.  It follows the charges with one flush.
 */
#include <stddef.h>

#include "app/metering/days.h"
#include "app/metering/metering.h"
#include "store/q_usage.h"

#define DAYS_DEFAULT  30
#define LIMIT_DEFAULT 100
#define LIMIT_MAX     500
#define MODELS_MAX    1000 /* names are the clients' own: any number */
#define US_PER_DAY    86400000000LL

struct requests_query {
	int64_t days, limit, offset;
	struct tl_str cursor;
};
struct hourly_query {
	int32_t date;
};

#define NONE  SHAPE_NO_OFFSET
#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
#define DAYS_FIELD                                                             \
	{ "days", SHAPE_INT, 0, offsetof(struct requests_query, days), NONE,   \
	  1, DAYS_MAX, NULL, "calendar dates up to today; default 30" }
static const struct shape_field requests_query_fields[] = {
	DAYS_FIELD,
	{ "limit", SHAPE_INT, 0, offsetof(struct requests_query, limit), NONE,
	  1, LIMIT_MAX, NULL, "most requests in the reply; default 100" },
	{ "offset", SHAPE_INT, 0, offsetof(struct requests_query, offset),
	  NONE, 0, INT32_MAX, NULL, "requests to pass over; default 0" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct requests_query, cursor),
	  NONE, 1, HTTP_CURSOR_TEXT_MAX, NULL,
	  "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape REQUESTS_QUERY_SHAPE = {
	"RequestListQuery", sizeof(struct requests_query),
	requests_query_fields
};
static const struct shape_field request_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of the request's row" },
	{ "model", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "as it was recorded; unknown when it was not told" },
	{ "prompt_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "as recorded" },
	{ "completion_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "as recorded" },
	{ "credits", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits that were charged" },
	{ "cost_usd", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what it cost" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was charged" },
	{ "date", SHAPE_DATE, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the day it counts for, UTC" },
	{ .name = NULL },
};
const struct shape REQUEST_VIEW_SHAPE = { "UsageRequest", 0, request_fields };

static const struct shape_field models_query_fields[] = {
	DAYS_FIELD,
	{ .name = NULL },
};
const struct shape MODELS_QUERY_SHAPE = {
	"ModelsQuery", sizeof(struct requests_query), models_query_fields
};
static const struct shape_field model_fields[] = {
	{ "model", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "as it was recorded" },
	{ "total_cost", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what its requests cost, USD" },
	{ "requests", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "how many were recorded" },
	{ "prompt_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of all of them" },
	{ "completion_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of all of them" },
	{ .name = NULL },
};
const struct shape MODEL_SUM_SHAPE = { "ModelUsage", 0, model_fields };

static const struct shape_field hourly_query_fields[] = {
	{ "date", SHAPE_DATE, 0, offsetof(struct hourly_query, date), NONE, 0,
	  0, NULL, "the day, UTC; default today" },
	{ .name = NULL },
};
const struct shape HOURLY_QUERY_SHAPE = {
	"HourlyQuery", sizeof(struct hourly_query), hourly_query_fields
};
static const struct shape_field hour_fields[] = {
	{ "hour", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 23, NULL,
	  "of the day, UTC" },
	{ "requests", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "recorded in it" },
	{ .name = NULL },
};
const struct shape HOUR_SHAPE = { "HourUsage", 0, hour_fields };
/* clang-format on */

/* Midnight before the first of `days` dates that end today. */
static int64_t since_us(struct req *req, int64_t days)
{
	return ((int64_t)req->d.day - days + 1) * US_PER_DAY;
}

/* ---- single requests ---- */

static const struct doc *request_view(struct tl_arena *a,
				      const struct q_usage_requests_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->request_log_id));
	doc_set(a, d, "model", doc_str(a, r->model));
	doc_set(a, d, "prompt_tokens", doc_int(a, r->prompt_tokens));
	doc_set(a, d, "completion_tokens", doc_int(a, r->completion_tokens));
	doc_set(a, d, "credits", doc_int(a, r->credits));
	doc_set(a, d, "cost_usd", doc_usd(a, (uint64_t)r->cost_micro_usd));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "date", doc_date(a, r->date_day));
	return d;
}

/* Where the page starts: behind the cursor, else before the newest there can
 * be.  False: the cursor is bad, and the 400 is sent. */
static bool page_start(struct req *req, const struct requests_query *q,
		       struct http_cursor *from_r)
{
	struct tl_err err;

	*from_r = (struct http_cursor){ .at_us = INT64_MAX / 2 };
	if (q->cursor.ptr == NULL ||
	    http_cursor_parse(q->cursor, from_r, &err) == TL_OK)
		return true;
	req_fail(req, 400, "bad_request", "%s", err.text);
	return false;
}

void detailed_handle(struct req *req)
{
	struct requests_query q = { .days = DAYS_DEFAULT,
				    .limit = LIMIT_DEFAULT };
	struct http_cursor from, next = { 0 };
	struct q_usage_requests_params p;
	struct q_usage_requests_row *rows;
	struct doc *list;
	enum tl_status st;
	struct tl_err err;
	uint32_t n, i;

	if (!req_query(req, &q) || !page_start(req, &q, &from))
		return;
	p = (struct q_usage_requests_params){
		.user_id = req->d.user_id,
		.since_us = since_us(req, q.days),
		.before_us = from.at_us,
		.before_id = from.id,
		.skip = q.offset,
		.max = q.limit + 1, /* is there another page? */
	};
	st = q_usage_requests(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	list = doc_array(&req->arena);
	for (i = 0; i < n && i < q.limit; i++) {
		doc_push(&req->arena, list,
			 request_view(&req->arena, &rows[i]));
		next = (struct http_cursor){ rows[i].created_at_us,
					     rows[i].request_log_id };
	}
	req_reply_list(req, list, i < n ? &next : NULL);
}

/* ---- by model ---- */

static const struct doc *model_view(struct tl_arena *a,
				    const struct q_usage_models_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "model", doc_str(a, r->model));
	doc_set(a, d, "total_cost", doc_usd(a, (uint64_t)r->cost_micro_usd));
	doc_set(a, d, "requests", doc_int(a, r->requests));
	doc_set(a, d, "prompt_tokens", doc_int(a, r->prompt_tokens));
	doc_set(a, d, "completion_tokens", doc_int(a, r->completion_tokens));
	return d;
}

void models_handle(struct req *req)
{
	struct requests_query q = { .days = DAYS_DEFAULT };
	struct q_usage_models_params p;
	struct q_usage_models_row *rows;
	struct doc *list;
	enum tl_status st;
	struct tl_err err;
	uint32_t n, i;

	if (!req_query(req, &q))
		return;
	p = (struct q_usage_models_params){ .user_id = req->d.user_id,
					    .since_us = since_us(req, q.days),
					    .max = MODELS_MAX };
	st = q_usage_models(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	list = doc_array(&req->arena);
	for (i = 0; i < n; i++)
		doc_push(&req->arena, list, model_view(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

/* ---- by hour ---- */

static void reply_hours(struct req *req, const int64_t requests[24])
{
	struct tl_arena *a = &req->arena;
	struct doc *list = doc_array(a), *d;

	for (int hour = 0; hour < 24; hour++) {
		d = doc_object(a);
		doc_set(a, d, "hour", doc_int(a, hour));
		doc_set(a, d, "requests", doc_int(a, requests[hour]));
		doc_push(a, list, d);
	}
	req_reply_list(req, list, NULL);
}

void hourly_handle(struct req *req)
{
	struct hourly_query q = { .date = (int32_t)req->d.day };
	struct q_usage_hours_params p;
	struct q_usage_hours_row *rows;
	int64_t requests[24] = { 0 };
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	if (!req_query(req, &q))
		return;
	p = (struct q_usage_hours_params){ .user_id = req->d.user_id,
					   .since_us = q.date * US_PER_DAY,
					   .until_us =
						   (q.date + 1) * US_PER_DAY };
	st = q_usage_hours(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (rows[i].hour >= 0 && rows[i].hour < 24)
			requests[rows[i].hour] = rows[i].requests;
	reply_hours(req, requests);
}
