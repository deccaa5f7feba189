/*
 * webhooks.h - outgoing webhooks: endpoints, deliveries, what is told.
 *
 * Events are told in SQL, in the transaction of what happened (see
 * tallyd.user_event), which leaves one delivery and one task for each endpoint
 * that wants it.  The task webhook.deliver makes the call, signed by the
 * Standard Webhooks rules, and notes how it went.
 * Routes run in: worker.  Tasks run in: runner.  Suspends: yes, all.
 */
#ifndef TALLY_APP_WEBHOOKS_WEBHOOKS_H
#define TALLY_APP_WEBHOOKS_WEBHOOKS_H

#include <stddef.h>

#include "bus/bus.h"
#include "codec/shape.h"
#include "http/http.h"

extern const struct route WEBHOOKS_ROUTES[];
extern const struct route WEBHOOKS_ADMIN_ROUTES[];
extern const struct task_def WEBHOOKS_TASKS[];
extern const struct event_def WEBHOOKS_EVENTS[]; /* endpoints choose of them */

#define WEBHOOKS_MAX         20 /* of one user */
#define WEBHOOKS_REPLAY_MAX  10000 /* at a time */
#define WEBHOOKS_DESCRIPTION 200

/* ---- webhooks_shape.c ---- */
struct webhook_new { /* of WEBHOOK_NEW_SHAPE and WEBHOOK_CHANGE_SHAPE */
	struct tl_str url, description;
	struct shape_strs events;
	int64_t rate_per_minute, concurrency; /* 0: none */
	bool enabled, ordered;
	bool has_url, has_description, has_events, has_rate, has_concurrency;
	bool has_enabled, has_ordered;
};
struct webhook_page { /* of WEBHOOK_PAGE_SHAPE */
	int64_t limit;
	struct tl_str cursor, state, text;
};
extern const struct shape WEBHOOK_NEW_SHAPE, WEBHOOK_CHANGE_SHAPE;
extern const struct shape WEBHOOK_VIEW_SHAPE, WEBHOOK_CREATED_SHAPE;
extern const struct shape WEBHOOK_ROTATE_SHAPE, WEBHOOK_ROTATED_SHAPE;
extern const struct shape WEBHOOK_TESTED_SHAPE;
extern const struct shape WEBHOOK_PAGE_SHAPE, WEBHOOK_DELIVERY_SHAPE;
extern const struct shape WEBHOOK_SINCE_SHAPE, WEBHOOK_REPLAYED_SHAPE;
extern const struct shape WEBHOOK_ADMIN_PAGE_SHAPE, WEBHOOK_ADMIN_VIEW_SHAPE;

/* ---- webhooks_log.c: what was sent; owner NULL: everybody's ---- */
void webhooks_deliveries(struct req *req, const struct tl_uuid *owner);
/* The delivery of the path, or those since `since`. */
void webhooks_replay_one(struct req *req, const struct tl_uuid *owner);
void webhooks_replay_since(struct req *req, const struct tl_uuid *owner);
/* ---- webhooks_routes.c ---- */
void webhooks_fail_none(struct req *req); /* 404 */

#endif
