/*
 * webhooks_task.c - webhook.deliver: one call, and what becomes of it.
 *
 * The delivery's row says how often it was tried; the task is only its clock.
 * An attempt is noted before the task ends, so a runner that dies in between
 * leaves a task that finds the delivery ended, or tries it once more early.
 */
#include "config.h"

#include "app/webhooks/webhooks.h"

#include <inttypes.h>
#include <stdio.h>

#include "app/webhooks/webhooks_record.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/fetch.h"
#include "net/signature.h"
#include "shm/metrics.h"
#include "store/q_webhooks.h"

#define TIMEOUT_MS     30000
#define DEAD_AFTER_S   (5 * TL_DAY_S)
#define BUSY_MS        1000
#define WINDOW_MS      60000 /* of rate_per_minute */
#define SIGNATURES_MAX (2 * SIGNATURE_TEXT)

/* Behind the first attempt, the second, ...: 75 hours in all.  Up to a tenth
 * more at random, so that what failed together does not come back together. */
static const uint32_t schedule_s[] = { 5,     300,   1800,  7200, 18000,
				       36000, 50400, 72000, 86400 };
#define ATTEMPTS_MAX ((int32_t)(sizeof(schedule_s) / sizeof(schedule_s[0])) + 1)

/* clang-format off */
static const struct shape_field payload_fields[] = {
	{ "delivery_id", SHAPE_UUID, SHAPE_REQUIRED, 0, SHAPE_NO_OFFSET, 0, 0,
	  NULL, "the delivery" },
	{ .name = NULL },
};
/* clang-format on */
static const struct shape payload_shape = { .name = "WebhookDeliver",
					    .size_bytes =
						    sizeof(struct tl_uuid),
					    .fields = payload_fields };

enum outcome { OUT_DELIVERED, OUT_AGAIN, OUT_FAILED };

struct call {
	struct task *t;
	struct tl_uuid delivery_id;
	struct q_webhook_load_row d;
	struct fetch_request rq;
	struct fetch_header headers[6];
	char timestamp[24], signatures[SIGNATURES_MAX + 1];
	struct fetch_reply reply;
	int64_t started_us;
	enum outcome outcome;
	bool gone;
	uint64_t next_ms;
	struct tl_str code, words; /* ptr NULL: success */
};

/* ---- the request ---- */

static void add_signature(struct call *c, struct tl_str key, int64_t now_s)
{
	struct signature_secret secret = { .len = key.len };
	size_t n = strlen(c->signatures);

	if (key.ptr == NULL || key.len > sizeof(secret.key))
		return;
	memcpy(secret.key, key.ptr, key.len);
	if (n > 0)
		c->signatures[n++] = ' ';
	signature_make(&secret, c->d.message_id, now_s, c->d.body,
		       c->signatures + n);
	signature_secret_wipe(&secret);
}

static void add_header(struct call *c, const char *name, const char *value)
{
	c->headers[c->rq.n_headers++] = (struct fetch_header){ name, value };
}

static void prepare(struct call *c)
{
	struct tl_arena *a = c->t->arena;
	int64_t now_s = tl_wall_us() / 1000000;

	c->signatures[0] = '\0';
	add_signature(c, c->d.secret, now_s);
	if (!c->d.previous_secret_null)
		add_signature(c, c->d.previous_secret, now_s);
	snprintf(c->timestamp, sizeof(c->timestamp), "%" PRId64, now_s);
	add_header(c, "Content-Type", "application/json");
	add_header(c, "User-Agent", "tallyd/" PACKAGE_VERSION);
	add_header(
		c, "webhook-id",
		tl_arena_strndup(a, c->d.message_id.ptr, c->d.message_id.len));
	add_header(c, "webhook-timestamp", c->timestamp);
	add_header(c, "webhook-signature", c->signatures);
	c->rq.method = "POST";
	c->rq.url = tl_arena_strndup(a, c->d.url.ptr, c->d.url.len);
	c->rq.headers = c->headers;
	c->rq.body = c->d.body.ptr;
	c->rq.body_bytes = c->d.body.len;
	c->rq.timeout_ms = TIMEOUT_MS;
}

/* ---- the verdict ---- */

static uint64_t schedule_ms(int32_t tried)
{
	uint64_t ms = (uint64_t)schedule_s[tried - 1] * 1000;
	uint32_t dice;

	tl_random(&dice, sizeof(dice));
	return ms + ms / 10 * (dice % 1000) / 1000;
}

static bool permanent_status(unsigned status)
{
	static const unsigned list[] = { 400, 401, 403, 404, 410, 422 };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (status == list[i])
			return true;
	return false;
}

static void judge_answer(struct call *c)
{
	unsigned status = c->reply.status;
	uint64_t wish_ms;

	if (status >= 200 && status < 300) {
		c->outcome = OUT_DELIVERED;
		return;
	}
	c->code = TL_STR("HTTP_ERROR");
	c->words = tl_str_c(tl_arena_printf(c->t->arena, "answer %u", status));
	c->gone = status == 410;
	if (permanent_status(status))
		c->outcome = OUT_FAILED;
	else if (c->outcome == OUT_AGAIN && (status == 429 || status == 503)) {
		wish_ms = webhook_retry_after_ms(&c->reply,
						 tl_wall_us() / 1000000);
		if (wish_ms > 0)
			c->next_ms = wish_ms;
	}
}

static void judge(struct call *c, const struct tl_err *err)
{
	int32_t tried = c->d.attempts - c->d.attempts_before + 1;

	c->outcome = tried < ATTEMPTS_MAX ? OUT_AGAIN : OUT_FAILED;
	if (c->outcome == OUT_AGAIN)
		c->next_ms = schedule_ms(tried);
	if (c->reply.why == FETCH_DONE) {
		judge_answer(c);
		return;
	}
	c->words = tl_str_c(
		tl_arena_strndup(c->t->arena, err->text, strlen(err->text)));
	if (c->reply.why == FETCH_REFUSED || c->reply.why == FETCH_INVALID) {
		c->code = TL_STR("SSRF_BLOCKED");
		c->outcome = OUT_FAILED;
	} else if (c->reply.why == FETCH_FAULT) {
		c->code = TL_STR("INTERNAL_ERROR");
	} else {
		c->code = tl_str_c(fetch_why_name(c->reply.why));
	}
}

/* ---- noting it ---- */

static const char *const outcome_names[] = { [OUT_DELIVERED] = "delivered",
					     [OUT_AGAIN] = "again",
					     [OUT_FAILED] = "failed" };

static enum tl_status note(struct call *c, struct tl_err *err)
{
	bool answered = c->reply.why == FETCH_DONE;
	int32_t status = c->reply.status;
	struct tl_arena *a = c->t->arena;
	struct q_webhook_attempted_params p = {
		.delivery_id = c->delivery_id,
		.attempt = c->d.attempts + 1,
		.outcome = tl_str_c(outcome_names[c->outcome]),
		.next_ms = (int64_t)c->next_ms,
		.gone = c->gone,
		.dead_after_s = DEAD_AFTER_S,
		.started_us = c->started_us,
		.duration_ms = (int32_t)(c->reply.times.total_us / 1000),
		.status = answered ? &status : NULL,
		.error_code = c->code.ptr != NULL ? &c->code : NULL,
		.error = c->words.ptr != NULL ? &c->words : NULL,
		.request = webhook_request_json(a, &c->rq),
	};
	struct q_webhook_attempted_row row;
	struct tl_str response;

	if (answered) {
		response = webhook_response_json(a, &c->reply,
						 c->outcome != OUT_DELIVERED);
		p.response = &response;
	}
	return q_webhook_attempted(c->t->pg, &p, a, &row, err);
}

static void count(const struct call *c)
{
	static const enum shm_counter counters[] = {
		[OUT_DELIVERED] = SHM_C_WEBHOOKS_DELIVERED,
		[OUT_AGAIN] = SHM_C_WEBHOOKS_AGAIN,
		[OUT_FAILED] = SHM_C_WEBHOOKS_FAILED,
	};

	int64_t since_us = tl_wall_us() - c->d.created_at_us;

	shm_count(c->t->shm, counters[c->outcome], 1);
	shm_observe(c->t->shm, SHM_H_WEBHOOK_CALL,
		    (uint64_t)c->reply.times.total_us * 1000);
	/* not what was replayed: nobody waited for that */
	if (c->outcome == OUT_DELIVERED && c->d.attempts_before == 0 &&
	    since_us >= 0)
		shm_observe(c->t->shm, SHM_H_WEBHOOK_DELIVERY,
			    (uint64_t)since_us * 1000);
}

/* What the task says of it to the bus. */
static enum tl_status end(struct call *c, struct tl_err *err)
{
	struct task *t = c->t;

	if (c->outcome == OUT_DELIVERED)
		return TL_OK;
	t->hopeless = c->outcome == OUT_FAILED;
	t->retry_after_ms = c->next_ms;
	return tl_err_set(err, TL_UNAVAILABLE, "%.*s: %.*s", (int)c->code.len,
			  c->code.ptr, (int)c->words.len, c->words.ptr);
}

static enum tl_status call(struct call *c, struct tl_err *err)
{
	enum tl_status st;

	prepare(c);
	c->started_us = tl_wall_us();
	st = fetch(&c->rq, &c->reply, err);
	if (c->reply.why == FETCH_STOPPED)
		return st;
	if (c->reply.why == FETCH_BUSY) { /* our own fault: no attempt */
		c->t->retry_after_ms = BUSY_MS;
		return st;
	}
	judge(c, err);
	count(c);
	st = note(c, err);
	return st == TL_OK ? end(c, err) : st;
}

static enum tl_status deliver(struct task *t, struct tl_err *err)
{
	const struct tl_uuid *id = t->in;
	struct call *c = tl_arena_alloc(t->arena, sizeof(*c));
	struct q_webhook_skip_row skipped;
	enum tl_status st;

	c->t = t;
	c->delivery_id = *id;
	st = q_webhook_load(t->pg, *id, t->arena, &c->d, err);
	if (st == TL_NOT_FOUND) /* its endpoint was deleted */
		return TL_OK;
	if (st != TL_OK || !tl_str_eq(c->d.state, TL_STR("pending")))
		return st;
	if (!c->d.enabled)
		return q_webhook_skip(t->pg, *id, t->arena, &skipped, err);
	if (!task_tenant_admit(
		    t, c->d.concurrency_null ? 0 : (uint32_t)c->d.concurrency,
		    c->d.rate_per_minute_null ? 0
					      : (uint32_t)c->d.rate_per_minute,
		    WINDOW_MS))
		return tl_err_set(err, TL_BUSY, "the endpoint has no room now");
	st = call(c, err);
	fetch_reply_deinit(&c->reply);
	return st;
}

const struct task_def WEBHOOKS_TASKS[] = {
	{ .name = "webhook.deliver",
	  .queue = "webhook",
	  .payload = &payload_shape,
	  .retry_limit = 1000, /* the delivery's own count ends it */
	  .retry_delay_ms = 5000,
	  .timeout_ms = 60000,
	  .run = deliver,
	  .doc = "calls an endpoint of a webhook" },
	{ .name = NULL },
};
