#include "app/metering/metering.h"

#include "app/words.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field usage_fields[] = {
	{ "credits_used", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits used that day" },
	{ "daily_limit", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits a day of the plan" },
	{ "request_count", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "requests that were charged" },
	{ "date", SHAPE_DATE, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the day, UTC" },
	{ .name = NULL },
};
const struct shape USAGE_SUMMARY_SHAPE = { "UsageSummary", 0, usage_fields };

static const struct shape_field user_fields[] = {
	{ "email", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "the e-mail" },
	{ "name", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "null: none was given" },
	{ "plan", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "name of the plan" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0,
	  &WORDS_USER_STATUS, "of the account" },
	{ .name = NULL },
};
const struct shape USER_VIEW_SHAPE = { "UserView", 0, user_fields };

const struct route METERING_ROUTES[] = {
	{ .id = "recordUsage", .methods = HTTP_POST,
	  .path = "/api/usage/record", .auth = AUTH_KEY,
	  .flags = ROUTE_INLINE | ROUTE_CONFLICTS | ROUTE_IDEMPOTENT,
	  .in = &RECORD_SHAPE,
	  .out = &RECORD_REPLY_SHAPE, .handler = record_handle,
	  .summary = "Charge credits and report usage" },
	{ .id = "usageToday", .methods = HTTP_GET,
	  .path = "/api/usage/today", .auth = AUTH_KEY,
	  .flags = ROUTE_INLINE | ROUTE_METERED, .out = &USAGE_SUMMARY_SHAPE,
	  .handler = today_handle,
	  .summary = "Today's usage of the caller" },
	{ .id = "usageHistory", .methods = HTTP_GET,
	  .path = "/api/usage/history", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_LIST, .query = &HISTORY_QUERY_SHAPE,
	  .out = &HISTORY_SHAPE, .handler = history_handle,
	  .summary = "Usage by day, newest first" },
	{ .id = "usageDetailed", .methods = HTTP_GET,
	  .path = "/api/usage/detailed", .auth = AUTH_KEY, .flags = ROUTE_LIST,
	  .query = &REQUESTS_QUERY_SHAPE, .out = &REQUEST_VIEW_SHAPE,
	  .handler = detailed_handle,
	  .summary = "Recorded requests, newest first" },
	{ .id = "usageModels", .methods = HTTP_GET,
	  .path = "/api/usage/models", .auth = AUTH_KEY, .flags = ROUTE_LIST,
	  .query = &MODELS_QUERY_SHAPE, .out = &MODEL_SUM_SHAPE,
	  .handler = models_handle,
	  .summary = "Recorded usage by model, highest cost first" },
	{ .id = "usageHourly", .methods = HTTP_GET,
	  .path = "/api/usage/hourly", .auth = AUTH_KEY, .flags = ROUTE_LIST,
	  .query = &HOURLY_QUERY_SHAPE, .out = &HOUR_SHAPE,
	  .handler = hourly_handle,
	  .summary = "Recorded requests by hour of a day" },
	{ .id = "usageInsights", .methods = HTTP_GET,
	  .path = "/api/usage/insights", .auth = AUTH_KEY,
	  .query = &INSIGHTS_QUERY_SHAPE, .out = &INSIGHTS_SHAPE,
	  .handler = insights_handle,
	  .summary = "Totals of the last days" },
	{ .id = "overview", .methods = HTTP_GET,
	  .path = "/api/dashboard/overview", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED, .out = &OVERVIEW_SHAPE,
	  .handler = overview_handle,
	  .summary = "Who calls, with which key, and today's usage" },
	{ .id = "validateKey", .methods = HTTP_POST,
	  .path = "/api/auth/validate",
	  .auth = AUTH_ADDRESS, .in = &VALIDATE_SHAPE,
	  .out = &VALIDATE_REPLY_SHAPE,
	  .handler = validate_handle, .summary = "Whose key is this" },
	{ .path = NULL },
};
/* clang-format on */

void metering_write_usage(struct doc_writer *w, uint64_t credits_used,
			  uint64_t daily_limit, uint64_t request_count,
			  uint32_t day)
{
	char date[11];

	tl_day_format((int32_t)day, date);
	docw_object(w, 4);
	docw_name(w, TL_STR("credits_used"));
	docw_uint(w, credits_used);
	docw_name(w, TL_STR("daily_limit"));
	docw_uint(w, daily_limit);
	docw_name(w, TL_STR("request_count"));
	docw_uint(w, request_count);
	docw_name(w, TL_STR("date"));
	docw_str(w, (struct tl_str){ date, 10 });
}

const struct doc *metering_user_view(struct tl_arena *a,
				     const struct req_profile *who)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "email", doc_str(a, who->email));
	doc_set(a, d, "name",
		who->name.ptr != NULL ? doc_str(a, who->name) : doc_null());
	doc_set(a, d, "plan", doc_str(a, who->plan));
	doc_set(a, d, "status", doc_str(a, who->status));
	return d;
}
