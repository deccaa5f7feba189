/*
 * history.c - GET /api/usage/history and /api/usage/insights: sums by day.
 *
 * Exactly `days` calendar dates ending today, by the request's one reading of
 * the clock.
 */
#include <stddef.h>

#include "app/metering/days.h"
#include "app/metering/metering.h"
#include "store/q_usage.h"

#define HISTORY_DAYS  30
#define INSIGHTS_DAYS 7
#define US_PER_DAY    86400000000LL

struct history_query {
	int64_t days;
	bool fill;
};

#define NONE  SHAPE_NO_OFFSET
#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field history_query_fields[] = {
	{ "days", SHAPE_INT, 0, offsetof(struct history_query, days), NONE, 1,
	  DAYS_MAX, NULL, "calendar dates up to today; default 30" },
	{ "fill", SHAPE_BOOL, 0, offsetof(struct history_query, fill), NONE, 0,
	  0, NULL, "1: dates without usage too; default 0" },
	{ .name = NULL },
};
const struct shape HISTORY_QUERY_SHAPE = {
	"HistoryQuery", sizeof(struct history_query), history_query_fields
};
static const struct shape_field history_fields[] = {
	{ "date", SHAPE_DATE, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the day, UTC" },
	{ "credits_used", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of all keys of the caller" },
	{ "request_count", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "requests that were charged" },
	{ "cost_usd", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what they cost" },
	{ .name = NULL },
};
const struct shape HISTORY_SHAPE = { "HistoryDay", 0, history_fields };

static const struct shape_field insights_query_fields[] = {
	{ "days", SHAPE_INT, 0, offsetof(struct history_query, days), NONE, 1,
	  DAYS_MAX, NULL, "calendar dates up to today; default 7" },
	{ .name = NULL },
};
const struct shape INSIGHTS_QUERY_SHAPE = {
	"InsightsQuery", sizeof(struct history_query), insights_query_fields
};
static const struct shape_field insights_fields[] = {
	{ "total_requests", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "requests that were charged" },
	{ "total_credits", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits used" },
	{ "total_cost_usd", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what they cost" },
	{ "avg_daily_cost_usd", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the cost divided by days" },
	{ "prompt_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of the requests that were recorded" },
	{ "completion_tokens", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of the requests that were recorded" },
	{ "peak_hour", SHAPE_INT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0,
	  23, NULL, "hour of the day, UTC, with most of them; null: no data" },
	{ .name = NULL },
};
const struct shape INSIGHTS_SHAPE = { "Insights", 0, insights_fields };
/* clang-format on */

static bool unused(const struct days_sum *d)
{
	return d->credits == 0 && d->requests == 0 && d->cost_micro_usd == 0;
}

static const struct doc *day_view(struct tl_arena *a, uint32_t day,
				  const struct days_sum *sum)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "date", doc_date(a, (int32_t)day));
	doc_set(a, d, "credits_used", doc_int(a, (int64_t)sum->credits));
	doc_set(a, d, "request_count", doc_int(a, (int64_t)sum->requests));
	doc_set(a, d, "cost_usd", doc_usd(a, sum->cost_micro_usd));
	return d;
}

void history_handle(struct req *req)
{
	struct history_query q = { .days = HISTORY_DAYS };
	struct days_sum days[DAYS_MAX];
	const struct days_book *book;
	uint32_t today = req->d.day;
	struct doc *list;
	enum tl_status st;
	struct tl_err err;

	if (!req_query(req, &q))
		return;
	st = days_open(req, today, (uint32_t)q.days, &book, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	if (!req_charge_now(req))
		return;
	days_sum(req, book, days);
	list = doc_array(&req->arena);
	for (uint32_t i = 0; i < q.days; i++)
		if (q.fill || !unused(&days[i]))
			doc_push(&req->arena, list,
				 day_view(&req->arena, today - i, &days[i]));
	req_reply_list(req, list, NULL);
}

/* ---- insights ---- */

static void reply_insights(struct req *req, uint32_t n_days,
			   const struct days_sum *sum,
			   const struct q_usage_tokens_row *t)
{
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "total_requests", doc_int(a, (int64_t)sum->requests));
	doc_set(a, d, "total_credits", doc_int(a, (int64_t)sum->credits));
	doc_set(a, d, "total_cost_usd", doc_usd(a, sum->cost_micro_usd));
	/* half up, as costs are */
	doc_set(a, d, "avg_daily_cost_usd",
		doc_usd(a, (2 * sum->cost_micro_usd + n_days) / (2 * n_days)));
	doc_set(a, d, "prompt_tokens", doc_int(a, t->prompt_tokens));
	doc_set(a, d, "completion_tokens", doc_int(a, t->completion_tokens));
	doc_set(a, d, "peak_hour",
		t->peak_hour_null ? doc_null() : doc_int(a, t->peak_hour));
	req_reply(req, 200, d);
}

void insights_handle(struct req *req)
{
	struct history_query q = { .days = INSIGHTS_DAYS };
	struct days_sum days[DAYS_MAX], sum = { 0 };
	struct q_usage_tokens_params p = { .user_id = req->d.user_id };
	struct q_usage_tokens_row tokens;
	const struct days_book *book;
	enum tl_status st;
	struct tl_err err;

	if (!req_query(req, &q))
		return;
	p.since_us = ((int64_t)req->d.day - q.days + 1) * US_PER_DAY;
	st = q_usage_tokens(req_pg(req), &p, &req->arena, &tokens, &err);
	if (st == TL_OK)
		st = days_open(req, req->d.day, (uint32_t)q.days, &book, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	days_sum(req, book, days);
	for (uint32_t i = 0; i < q.days; i++) {
		sum.credits += days[i].credits;
		sum.requests += days[i].requests;
		sum.cost_micro_usd += days[i].cost_micro_usd;
	}
	reply_insights(req, (uint32_t)q.days, &sum, &tokens);
}
