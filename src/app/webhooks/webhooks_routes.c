/*
 * webhooks_routes.c - endpoints: made, changed, removed, tested.
 */
#include "config.h"

#include "app/webhooks/webhooks.h"

#include <stdio.h>

#include "app/keys/keys.h"
#include "bus/bus.h"
#include "net/fetch.h"
#include "net/signature.h"
#include "store/q_webhooks.h"

#define CHECK_TIMEOUT_MS  5000
#define OVERLAP_DEFAULT_S 86400

void webhooks_fail_none(struct req *req)
{
	req_fail(req, 404, "not_found", "there is no such endpoint");
}

/* ---- what was written ---- */

static bool known_event(struct tl_str name)
{
	if (tl_str_eq(name, TL_STR("*")))
		return true;
	for (const struct event_def *e = WEBHOOKS_EVENTS; e->name != NULL; e++)
		if (tl_str_eq(name, tl_str_c(e->name)))
			return true;
	return false;
}

static bool events_ok(struct req *req, const struct shape_strs *events)
{
	for (uint32_t i = 0; i < events->n; i++) {
		if (known_event(events->items[i]))
			continue;
		req_fail(req, 400, "bad_request",
			 "events[%u]: there is no event of this name; see "
			 "tallyd-api(7), or give *",
			 i);
		return false;
	}
	return true;
}

/* As the call will be made; the address is looked at again then. */
static bool url_ok(struct req *req, struct tl_str url)
{
	char *text = tl_arena_strndup(&req->arena, url.ptr, url.len);
	const char *rule = NULL;
	struct tl_err err;
	enum tl_status st = fetch_check(text, CHECK_TIMEOUT_MS, &rule, &err);

	if (st == TL_DENIED && rule != NULL)
		req_fail(req, 400, "bad_request",
			 "url: refused by rule '%s': %s", rule, err.text);
	else if (st == TL_DENIED || st == TL_INVALID || st == TL_NOT_FOUND)
		req_fail(req, 400, "bad_request", "url: %s", err.text);
	else if (st != TL_OK)
		req_fail_status(req, st, &err);
	return st == TL_OK;
}

static bool input_ok(struct req *req, const struct webhook_new *in)
{
	return (!in->has_events || events_ok(req, &in->events)) &&
	       (!in->has_url || url_ok(req, in->url));
}

/* ---- replies ---- */

static const struct doc *view(struct tl_arena *a,
			      const struct q_webhook_own_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->webhook_id));
	doc_set(a, d, "url", doc_str(a, r->url));
	doc_set(a, d, "description", doc_str(a, r->description));
	doc_set(a, d, "events", doc_strs(a, r->events.items, r->events.n));
	doc_set(a, d, "enabled", doc_bool(r->enabled));
	doc_set(a, d, "ordered", doc_bool(r->ordered));
	doc_set(a, d, "rate_per_minute",
		r->rate_per_minute_null ? doc_null()
					: doc_int(a, r->rate_per_minute));
	doc_set(a, d, "concurrency",
		r->concurrency_null ? doc_null() : doc_int(a, r->concurrency));
	doc_set(a, d, "disabled_reason",
		r->disabled_reason_null ? doc_null()
					: doc_str(a, r->disabled_reason));
	doc_set(a, d, "failing_since",
		doc_time_or_null(a, r->failing_since_null,
				 r->failing_since_us));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "disabled_at",
		doc_time_or_null(a, r->disabled_at_null, r->disabled_at_us));
	doc_set(a, d, "previous_secret_until",
		doc_time_or_null(a, r->previous_until_null,
				 r->previous_until_us));
	doc_set(a, d, "updated_at", doc_time(a, r->updated_at_us));
	return d;
}

static void reply_flag(struct req *req, const char *name)
{
	struct doc *d = doc_object(&req->arena);

	doc_set(&req->arena, d, name, doc_bool(true));
	req_reply(req, 200, d);
}

static struct doc *secret_doc(struct req *req, const struct tl_uuid *id,
			      const struct signature_secret *secret)
{
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);
	char text[SIGNATURE_SECRET_TEXT];

	signature_secret_format(secret, text);
	doc_set(a, d, "id", doc_uuid(a, id));
	doc_set(a, d, "secret",
		doc_str(a, tl_str_c(tl_arena_strndup(a, text, sizeof(text)))));
	explicit_bzero(text, sizeof(text));
	return d;
}

static struct tl_str secret_bytes(const struct signature_secret *s)
{
	return (struct tl_str){ (const char *)s->key, s->len };
}

/* Of a statement that found no row. */
static bool done(struct req *req, enum tl_status st, const struct tl_err *err)
{
	if (st == TL_NOT_FOUND)
		webhooks_fail_none(req);
	else if (st != TL_OK)
		req_fail_status(req, st, err);
	return st == TL_OK;
}

/* ---- the acts ---- */

static void list_handle(struct req *req)
{
	struct doc *list = doc_array(&req->arena);
	struct q_webhook_own_row *rows;
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	st = q_webhook_own(req_pg(req), req->d.user_id, &req->arena, &rows, &n,
			   &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		doc_push(&req->arena, list, view(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

static void get_handle(struct req *req)
{
	struct q_webhook_one_params p = { .user_id = &req->d.user_id };
	struct q_webhook_own_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id))
		return;
	st = q_webhook_one(req_pg(req), &p, &req->arena, &row, &err);
	if (done(req, st, &err))
		req_reply(req, 200, view(&req->arena, &row));
}

static void insert(struct req *req, struct q_webhook_insert_params *p)
{
	struct q_webhook_insert_row row;
	struct signature_secret secret;
	char id[TL_UUID_TEXT];
	enum tl_status st;
	struct tl_err err;

	signature_secret_new(&secret);
	p->secret = secret_bytes(&secret);
	st = q_webhook_insert(req_pg(req), p, &req->arena, &row, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
	} else if (tl_str_eq(row.outcome, TL_STR("too_many"))) {
		req_fail(req, 409, "conflict",
			 "%d endpoints are the most; delete one first",
			 WEBHOOKS_MAX);
	} else if (!tl_str_eq(row.outcome, TL_STR("made"))) {
		req_fail(req, 404, "not_found", "there is no such user");
	} else {
		tl_uuid_format(&row.webhook_id, id);
		req_header_add(req, "Location", "/api/webhooks/%s", id);
		req_reply(req, 201, secret_doc(req, &row.webhook_id, &secret));
	}
	signature_secret_wipe(&secret);
}

static void create_handle(struct req *req)
{
	struct webhook_new in = { .enabled = true, .description = TL_STR("") };
	struct q_webhook_insert_params p = { .max = WEBHOOKS_MAX };
	int32_t rate, concurrency;

	if (!req_body(req, &in) || !input_ok(req, &in) ||
	    !req_actor(req, &p.actor))
		return;
	rate = (int32_t)in.rate_per_minute;
	concurrency = (int32_t)in.concurrency;
	p.user_id = req->d.user_id;
	p.url = in.url;
	p.description = in.description;
	p.events = (struct pg_array){ in.events.n, in.events.items };
	p.enabled = in.enabled;
	p.ordered = in.ordered;
	p.rate_per_minute = rate > 0 ? &rate : NULL;
	p.concurrency = concurrency > 0 ? &concurrency : NULL;
	insert(req, &p);
}

static void change_handle(struct req *req)
{
	struct webhook_new in = { .enabled = false };
	struct q_webhook_change_params p = { .user_id = req->d.user_id };
	struct q_webhook_change_row row;
	int32_t rate, concurrency;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id) ||
	    !req_body(req, &in) || !input_ok(req, &in) ||
	    !req_actor(req, &p.actor))
		return;
	rate = (int32_t)in.rate_per_minute;
	concurrency = (int32_t)in.concurrency;
	p.url = in.has_url ? &in.url : NULL;
	p.description = in.has_description ? &in.description : NULL;
	p.has_events = in.has_events;
	p.events = (struct pg_array){ in.events.n, in.events.items };
	p.enabled = in.has_enabled ? &in.enabled : NULL;
	p.ordered = in.has_ordered ? &in.ordered : NULL;
	p.rate_per_minute = in.has_rate ? &rate : NULL;
	p.concurrency = in.has_concurrency ? &concurrency : NULL;
	st = q_webhook_change(req_pg(req), &p, &req->arena, &row, &err);
	if (done(req, st, &err))
		reply_flag(req, "updated");
}

static void delete_handle(struct req *req)
{
	struct q_webhook_delete_params p = { .user_id = req->d.user_id };
	struct q_webhook_delete_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id) ||
	    !req_actor(req, &p.actor))
		return;
	st = q_webhook_delete(req_pg(req), &p, &req->arena, &row, &err);
	if (done(req, st, &err))
		reply_flag(req, "deleted");
}

static void rotate_handle(struct req *req)
{
	struct q_webhook_rotate_params p = { .user_id = req->d.user_id };
	struct q_webhook_rotate_row row;
	int64_t overlap_s = OVERLAP_DEFAULT_S;
	struct signature_secret secret;
	enum tl_status st;
	struct tl_err err;
	struct doc *d;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id) ||
	    !req_body(req, &overlap_s) || !req_actor(req, &p.actor))
		return;
	signature_secret_new(&secret);
	p.secret = secret_bytes(&secret);
	p.overlap_s = (int32_t)overlap_s;
	st = q_webhook_rotate(req_pg(req), &p, &req->arena, &row, &err);
	if (done(req, st, &err)) {
		d = secret_doc(req, &p.webhook_id, &secret);
		doc_set(&req->arena, d, "previous_secret_until",
			doc_time_or_null(&req->arena, row.previous_until_null,
					 row.previous_until_us));
		req_reply(req, 200, d);
	}
	signature_secret_wipe(&secret);
}

static void test_handle(struct req *req)
{
	struct q_webhook_test_params p = { .user_id = &req->d.user_id };
	struct q_webhook_test_row row;
	enum tl_status st;
	struct tl_err err;
	struct doc *d;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id) ||
	    !req_actor(req, &p.actor))
		return;
	st = q_webhook_test(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_OK && row.delivery_id_null) {
		req_fail(req, 404, "not_found",
			 "there is no such endpoint, or it is disabled");
		return;
	}
	if (!done(req, st, &err))
		return;
	bus_wake();
	d = doc_object(&req->arena);
	doc_set(&req->arena, d, "delivery_id",
		doc_uuid(&req->arena, &row.delivery_id));
	req_reply(req, 202, d);
}

static void deliveries_handle(struct req *req)
{
	webhooks_deliveries(req, &req->d.user_id);
}

static void replay_handle(struct req *req)
{
	webhooks_replay_one(req, &req->d.user_id);
}

static void replay_since_handle(struct req *req)
{
	webhooks_replay_since(req, &req->d.user_id);
}

#define ONE "/api/webhooks/{webhook_id}"
/* clang-format off */
const struct route WEBHOOKS_ROUTES[] = {
	{ .id = "listWebhooks", .methods = HTTP_GET, .path = "/api/webhooks",
	  .auth = AUTH_KEY, .flags = ROUTE_METERED | ROUTE_LIST,
	  .out = &WEBHOOK_VIEW_SHAPE, .handler = list_handle,
	  .summary = "Endpoints of the caller, oldest first" },
	{ .id = "createWebhook", .methods = HTTP_POST, .path = "/api/webhooks",
	  .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_CREATED | ROUTE_CONFLICTS,
	  .in = &WEBHOOK_NEW_SHAPE, .out = &WEBHOOK_CREATED_SHAPE,
	  .handler = create_handle,
	  .summary = "Be told of events; the secret that signs them is shown "
		     "this once" },
	{ .id = "getWebhook", .methods = HTTP_GET, .path = ONE,
	  .auth = AUTH_KEY, .flags = ROUTE_METERED,
	  .out = &WEBHOOK_VIEW_SHAPE, .handler = get_handle,
	  .summary = "One endpoint" },
	{ .id = "changeWebhook", .methods = HTTP_PATCH, .path = ONE,
	  .auth = AUTH_KEY, .flags = ROUTE_METERED,
	  .in = &WEBHOOK_CHANGE_SHAPE, .out = &UPDATED_SHAPE,
	  .handler = change_handle,
	  .summary = "Change an endpoint, disable it or enable it again" },
	{ .id = "deleteWebhook", .methods = HTTP_DELETE, .path = ONE,
	  .auth = AUTH_KEY, .flags = ROUTE_METERED, .out = &DELETED_SHAPE,
	  .handler = delete_handle,
	  .summary = "Remove an endpoint with its deliveries" },
	{ .id = "rotateWebhookSecret", .methods = HTTP_POST,
	  .path = ONE "/rotate", .auth = AUTH_KEY, .flags = ROUTE_METERED,
	  .in = &WEBHOOK_ROTATE_SHAPE, .out = &WEBHOOK_ROTATED_SHAPE,
	  .handler = rotate_handle,
	  .summary = "A new secret; the one before signs too for a while" },
	{ .id = "testWebhook", .methods = HTTP_POST, .path = ONE "/test",
	  .auth = AUTH_KEY, .flags = ROUTE_METERED | ROUTE_ACCEPTED,
	  .out = &WEBHOOK_TESTED_SHAPE, .handler = test_handle,
	  .summary = "Send the event webhook.test" },
	{ .id = "listWebhookDeliveries", .methods = HTTP_GET,
	  .path = ONE "/deliveries", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_LIST, .query = &WEBHOOK_PAGE_SHAPE,
	  .out = &WEBHOOK_DELIVERY_SHAPE, .handler = deliveries_handle,
	  .summary = "What was sent to an endpoint, newest first, with what it "
		     "answered" },
	{ .id = "replayWebhookDelivery", .methods = HTTP_POST,
	  .path = ONE "/deliveries/{delivery_id}/replay", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_ACCEPTED,
	  .out = &WEBHOOK_REPLAYED_SHAPE, .handler = replay_handle,
	  .summary = "Send a delivery that has ended once more" },
	{ .id = "replayWebhook", .methods = HTTP_POST, .path = ONE "/replay",
	  .auth = AUTH_KEY, .flags = ROUTE_METERED | ROUTE_ACCEPTED,
	  .in = &WEBHOOK_SINCE_SHAPE, .out = &WEBHOOK_REPLAYED_SHAPE,
	  .handler = replay_since_handle,
	  .summary = "Send all that failed or was skipped since then once "
		     "more" },
	{ .path = NULL },
};
/* clang-format on */
