/*
 * webhooks_log.c - what was sent to an endpoint, and sending it again.
 */
#include "config.h"

#include "app/webhooks/webhooks.h"

#include "app/keys/keys.h"
#include "app/list.h"
#include "bus/bus.h"
#include "store/q_webhooks.h"

#define PAGE_DEFAULT 50
#define LOG_MAX      20 /* attempts shown */

/* What PostgreSQL holds as JSON, or text that is. */
static const struct doc *parsed(struct tl_arena *a, struct tl_str json)
{
	const struct doc *d;
	struct tl_err err;

	return doc_parse(a, DOC_JSON, json, &d, &err) == TL_OK ? d : doc_null();
}

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_webhook_deliveries_row *r = row;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->delivery_id));
	doc_set(a, d, "message_id", doc_str(a, r->message_id));
	doc_set(a, d, "event", doc_str(a, r->event));
	doc_set(a, d, "state", doc_str(a, r->state));
	doc_set(a, d, "attempts", doc_int(a, r->attempts));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "next_at",
		doc_time_or_null(a, r->next_at_null, r->next_at_us));
	doc_set(a, d, "ended_at",
		doc_time_or_null(a, r->ended_at_null, r->ended_at_us));
	doc_set(a, d, "body", parsed(a, r->body));
	doc_set(a, d, "log", parsed(a, r->log));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_webhook_deliveries_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->delivery_id };
}

/* The endpoint of the path, when the owner may see it.  False: answered. */
static bool find(struct req *req, const struct tl_uuid *owner,
		 struct tl_uuid *webhook_id_r)
{
	struct q_webhook_one_params p = { .user_id = owner };
	struct q_webhook_own_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "webhook_id", &p.webhook_id))
		return false;
	*webhook_id_r = p.webhook_id;
	st = q_webhook_one(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND)
		webhooks_fail_none(req);
	else if (st != TL_OK)
		req_fail_status(req, st, &err);
	return st == TL_OK;
}

void webhooks_deliveries(struct req *req, const struct tl_uuid *owner)
{
	struct webhook_page in = { .limit = PAGE_DEFAULT, .state = TL_STR("") };
	struct keys_page page = { .limit = 0 };
	struct q_webhook_deliveries_params p = { .attempts_max = LOG_MAX };
	struct q_webhook_deliveries_row *rows = NULL;
	struct http_cursor from;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &in))
		return;
	page.cursor = in.cursor;
	if (!keys_page_start(req, &page, &from) ||
	    !find(req, owner, &p.webhook_id))
		return;
	p.state = in.state;
	p.before_us = from.at_us;
	p.before_id = from.id;
	p.max = in.limit + 1; /* is there another page? */
	st = q_webhook_deliveries(req_pg(req), &p, &req->arena, &rows, &n,
				  &err);
	list_reply(req, LIST(rows, n, in.limit, view, place), st, &err);
}

/* ---- once more ---- */

static bool replay(struct req *req, struct q_webhook_replay_params *p,
		   int32_t *n_r)
{
	struct q_webhook_replay_row row;
	enum tl_status st;
	struct tl_err err;

	p->max = WEBHOOKS_REPLAY_MAX;
	if (!req_actor(req, &p->actor))
		return false;
	st = q_webhook_replay(req_pg(req), p, &req->arena, &row, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return false;
	}
	*n_r = row.replayed;
	bus_wake();
	return true;
}

static void reply_replayed(struct req *req, int32_t n)
{
	struct doc *d = doc_object(&req->arena);

	doc_set(&req->arena, d, "replayed", doc_int(&req->arena, n));
	req_reply(req, 202, d);
}

void webhooks_replay_one(struct req *req, const struct tl_uuid *owner)
{
	struct q_webhook_replay_params p = { .since_us = NULL };
	struct tl_uuid delivery_id;
	int32_t n;

	if (!req_path_uuid(req, "delivery_id", &delivery_id) ||
	    !find(req, owner, &p.webhook_id))
		return;
	p.delivery_id = &delivery_id;
	if (!replay(req, &p, &n))
		return;
	if (n == 0)
		req_fail(req, 404, "not_found",
			 "there is no such delivery, or it is under way");
	else
		reply_replayed(req, n);
}

void webhooks_replay_since(struct req *req, const struct tl_uuid *owner)
{
	struct q_webhook_replay_params p = { .delivery_id = NULL };
	int64_t since_us = 0;
	int32_t n;

	if (!req_body(req, &since_us) || !find(req, owner, &p.webhook_id))
		return;
	p.since_us = &since_us;
	if (replay(req, &p, &n))
		reply_replayed(req, n);
}
