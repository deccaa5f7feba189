/*
 * webhooks_admin.c - everybody's endpoints, for admins.
 */
#include "config.h"

#include "app/webhooks/webhooks.h"

#include "app/keys/keys.h"
#include "app/list.h"
#include "store/q_webhooks.h"

#define LIST_DEFAULT 100

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_webhook_search_row *r = row;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->webhook_id));
	doc_set(a, d, "url", doc_str(a, r->url));
	doc_set(a, d, "description", doc_str(a, r->description));
	doc_set(a, d, "events", doc_strs(a, r->events.items, r->events.n));
	doc_set(a, d, "enabled", doc_bool(r->enabled));
	doc_set(a, d, "ordered", doc_bool(r->ordered));
	doc_set(a, d, "disabled_reason",
		r->disabled_reason_null ? doc_null()
					: doc_str(a, r->disabled_reason));
	doc_set(a, d, "failing_since",
		r->failing_since_null ? doc_null()
				      : doc_time(a, r->failing_since_us));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "user_id", doc_uuid(a, &r->user_id));
	doc_set(a, d, "user_email", doc_str(a, r->email));
	doc_set(a, d, "unfinished", doc_int(a, r->unfinished));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_webhook_search_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->webhook_id };
}

static void list_handle(struct req *req)
{
	struct webhook_page in = { .limit = LIST_DEFAULT, .text = TL_STR("") };
	struct keys_page page = { .limit = 0 };
	struct q_webhook_search_params p;
	struct q_webhook_search_row *rows = NULL;
	struct http_cursor from;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &in))
		return;
	page.cursor = in.cursor;
	if (!keys_page_start(req, &page, &from))
		return;
	p = (struct q_webhook_search_params){
		.before_us = from.at_us,
		.before_id = from.id,
		.text = in.text,
		.max = in.limit + 1, /* is there another page? */
	};
	st = q_webhook_search(req_pg(req), &p, &req->arena, &rows, &n, &err);
	list_reply(req, LIST(rows, n, in.limit, view, place), st, &err);
}

static void deliveries_handle(struct req *req)
{
	webhooks_deliveries(req, NULL);
}

static void replay_handle(struct req *req)
{
	webhooks_replay_one(req, NULL);
}

static void replay_since_handle(struct req *req)
{
	webhooks_replay_since(req, NULL);
}

#define ALL "/api/admin/webhooks"
#define ONE ALL "/{webhook_id}"
/* clang-format off */
const struct route WEBHOOKS_ADMIN_ROUTES[] = {
	{ .id = "listAllWebhooks", .methods = HTTP_GET, .path = ALL,
	  .auth = AUTH_ADMIN, .flags = ROUTE_LIST,
	  .query = &WEBHOOK_ADMIN_PAGE_SHAPE, .out = &WEBHOOK_ADMIN_VIEW_SHAPE,
	  .handler = list_handle,
	  .summary = "Endpoints of all users, newest first" },
	{ .id = "listAnyWebhookDeliveries", .methods = HTTP_GET,
	  .path = ONE "/deliveries", .auth = AUTH_ADMIN, .flags = ROUTE_LIST,
	  .query = &WEBHOOK_PAGE_SHAPE, .out = &WEBHOOK_DELIVERY_SHAPE,
	  .handler = deliveries_handle,
	  .summary = "What was sent to any endpoint, newest first" },
	{ .id = "replayAnyWebhookDelivery", .methods = HTTP_POST,
	  .path = ONE "/deliveries/{delivery_id}/replay", .auth = AUTH_ADMIN,
	  .flags = ROUTE_ACCEPTED, .out = &WEBHOOK_REPLAYED_SHAPE,
	  .handler = replay_handle,
	  .summary = "Send a delivery that has ended once more" },
	{ .id = "replayAnyWebhook", .methods = HTTP_POST,
	  .path = ONE "/replay", .auth = AUTH_ADMIN, .flags = ROUTE_ACCEPTED,
	  .in = &WEBHOOK_SINCE_SHAPE, .out = &WEBHOOK_REPLAYED_SHAPE,
	  .handler = replay_since_handle,
	  .summary = "Send all that failed or was skipped since then once "
		     "more" },
	{ .path = NULL },
};
/* clang-format on */
