/*
 * record.c - POST /api/usage/record: the work is done, its cost is known.
 *
 * With Idempotency-Key the first answer is kept for 24 h: claimed before the
 * charge, done after it, so that a kill in between leaves at most the one
 * charge.  Refusals are not kept: the same key may be tried again.
 */
#include <stddef.h>
#include <string.h>

#include "app/metering/metering.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/usage.h"
#include "store/q_flush.h"

#define KEEP_US	      86400000000LL /* 24 h */
#define NAME_MAX_LEN  64
#define TOKENS_MAX    2147483647
#define MODEL_MAX_LEN 100

struct record_body {
	int64_t credits, prompt_tokens, completion_tokens;
	struct tl_str model;
};

#define F(m) offsetof(struct record_body, m)
/* clang-format off */
static const struct shape_field fields[] = {
	{ "credits", SHAPE_INT, 0, F(credits), SHAPE_NO_OFFSET, 1,
	  DECIDE_COST_MAX, NULL, "default metering.request_cost_credits" },
	{ "model", SHAPE_STR, SHAPE_NO_CONTROL, F(model), SHAPE_NO_OFFSET, 1,
	  MODEL_MAX_LEN, NULL, "for the price; default unknown" },
	{ "prompt_tokens", SHAPE_INT, 0, F(prompt_tokens), SHAPE_NO_OFFSET, 0,
	  TOKENS_MAX, NULL, "default 0" },
	{ "completion_tokens", SHAPE_INT, 0, F(completion_tokens),
	  SHAPE_NO_OFFSET, 0, TOKENS_MAX, NULL, "default 0" },
	{ .name = NULL },
};
const struct shape RECORD_SHAPE = {
	"UsageRecord", sizeof(struct record_body), fields
};
#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
static const struct shape_field reply_fields[] = {
	{ "recorded", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "false: metering is switched off" },
	{ "credits_charged", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits of this request" },
	{ "cost_usd", SHAPE_USD, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "price of its tokens" },
	{ "usage", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0,
	  &USAGE_SUMMARY_SHAPE, "the caller's day, this request included" },
	{ .name = NULL },
};
const struct shape RECORD_REPLY_SHAPE = { "UsageRecorded", 0, reply_fields };
/* clang-format on */

struct record_call {
	struct decide_in in;
	struct record_body body;
	struct tl_str name; /* Idempotency-Key; len 0: none */
	uint8_t body_hash[16];
};

static void reply_answer(struct req *req, const struct shm_answer *a)
{
	struct doc_writer w;
	struct tl_buf b;

	tl_buf_init(&b);
	docw_init(&w, req->out_format, &b);
	docw_object(&w, 4);
	docw_name(&w, TL_STR("recorded"));
	docw_bool(&w, a->credits_charged > 0);
	docw_name(&w, TL_STR("credits_charged"));
	docw_uint(&w, a->credits_charged);
	docw_name(&w, TL_STR("cost_usd"));
	docw_usd(&w, a->cost_micro_usd);
	docw_name(&w, TL_STR("usage"));
	metering_write_usage(&w, a->credits_used, a->daily_limit,
			     a->request_count, a->day);
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}

static void replay(struct req *req, const struct shm_answer *a,
		   uint64_t commit_gen)
{
	struct shm *s = req_decide(req)->shm;

	shm_count(s, SHM_C_IDEM_REPLAYS, 1);
	req_header_add(req, "Idempotency-Replayed", "true");
	/* strict: nor is the second answer given before its commit */
	if (commit_gen > atomic_load(&s->head->committed_gen))
		req->commit_gen = commit_gen;
	reply_answer(req, a);
}

/* After the charge: a kill in between leaves a charge without a row, never
 * the other way round. */
static void log_row(struct req *req, const struct record_call *c)
{
	struct shm *s = req_decide(req)->shm;
	struct shm_log_row row = {
		.created_us = shm_wall_us(s, c->in.mono_ns),
		.day = req->d.day,
		.credits = c->in.cost,
		.cost_micro_usd = c->in.cost_micro_usd,
		.prompt_tokens = (uint32_t)c->body.prompt_tokens,
		.completion_tokens = (uint32_t)c->body.completion_tokens,
	};

	memcpy(row.user_id, req->d.user_id.b, sizeof(row.user_id));
	memcpy(row.key_id, req->d.key_id.b, sizeof(row.key_id));
	(void)shm_reqlog_append(s, &row, c->body.model);
}

/* index SHM_NONE: no idempotency record. */
static void charge(struct req *req, const struct record_call *c,
		   uint32_t index)
{
	struct shm *s = req_decide(req)->shm;
	struct shm_answer a;

	decide_charge(req_decide(req), &c->in, &req->d);
	if (req->d.code != DECIDE_OK) {
		if (index != SHM_NONE)
			shm_idem_drop(s, index);
		req_refuse(req, &req->d);
		return;
	}
	a = (struct shm_answer){
		/* metering.enabled = no: nothing was recorded */
		.credits_charged = req->d.charged ? c->in.cost : 0,
		.day = req->d.day,
		.cost_micro_usd = c->in.cost_micro_usd,
		.credits_used = req->d.credits_used,
		.daily_limit = req->d.credits_limit,
		.request_count = req->d.request_count,
	};
	if (req->d.charged)
		log_row(req, c);
	/* then only: strict answers wait for the row's commit as well */
	req_charged(req, &req->d);
	if (index != SHM_NONE)
		shm_idem_done(s, index, &a, req->commit_gen);
	reply_answer(req, &a);
}

static bool ask_segment(struct req *req, const struct record_call *c,
			bool asked);

/* Older than this segment, or pushed out of it: the database knows. */
static void ask_database(struct req *req)
{
	struct record_call *c = req->state;
	struct q_idempotency_find_params p = {
		.key_id = req->d.key_id,
		.idem_key = c->name,
		.since_us = tl_wall_us() - KEEP_US,
	};
	struct q_idempotency_find_row row;
	struct shm_answer a;
	enum tl_status st;
	struct tl_err err;

	st = q_idempotency_find(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND) {
		(void)ask_segment(req, c, true);
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	if (row.body_hash.len != 16 ||
	    memcmp(row.body_hash.ptr, c->body_hash, 16) != 0) {
		req_fail(req, 409, "conflict",
			 "this Idempotency-Key was used with another body");
		return;
	}
	a = (struct shm_answer){
		.credits_charged = (uint32_t)row.credits,
		.day = (uint32_t)row.day,
		.cost_micro_usd = (uint64_t)row.cost_micro_usd,
		.credits_used = (uint64_t)row.used,
		.daily_limit = (uint64_t)row.daily_limit,
		.request_count = (uint64_t)row.requests,
	};
	replay(req, &a, 0);
}

/* False: the database must be asked first. */
static bool ask_segment(struct req *req, const struct record_call *c,
			bool asked)
{
	struct shm *s = req_decide(req)->shm;
	struct shm_answer a;
	uint32_t index = SHM_NONE;
	uint64_t commit_gen = 0;

	switch (shm_idem_begin(s, req->d.key_id.b, c->name, c->body_hash,
			       shm_wall_ms(s, tl_mono_ns()), asked, &index, &a,
			       &commit_gen)) {
	case SHM_IDEM_CLAIMED:
		charge(req, c, index);
		break;
	case SHM_IDEM_REPLAY:
		replay(req, &a, commit_gen);
		break;
	case SHM_IDEM_OTHER:
		req_fail(req, 409, "conflict",
			 "this Idempotency-Key was used with another body");
		break;
	case SHM_IDEM_PENDING:
		req_fail(req, 503, "service_unavailable",
			 "the first request with this Idempotency-Key is still "
			 "in work; try again");
		break;
	case SHM_IDEM_FULL:
		req_fail(req, 503, "service_unavailable",
			 "no room for another Idempotency-Key; try again, or "
			 "raise shm.idempotency");
		break;
	case SHM_IDEM_ASK:
		return false;
	}
	return true;
}

static bool name_ok(struct tl_str name)
{
	size_t i;

	for (i = 0; i < name.len; i++) {
		char ch = name.ptr[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		      (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' ||
		      ch == '-'))
			return false;
	}
	return name.len >= 1 && name.len <= NAME_MAX_LEN;
}

static bool read_call(struct req *req, struct record_call *c)
{
	const struct conf *conf = req_conf(req);
	uint8_t hash[32];

	c->body = (struct record_body){
		.credits = conf->metering.request_cost_credits,
		.model = TL_STR("unknown"),
	};
	c->name = req_header(req, "Idempotency-Key");
	if (c->name.ptr != NULL && !name_ok(c->name)) {
		req_fail(req, 400, "bad_request",
			 "Idempotency-Key: must be 1 to 64 of A-Z a-z 0-9 . _ "
			 "-");
		return false;
	}
	if (!req_body(req, &c->body))
		return false;
	c->in = (struct decide_in){
		.flags = DECIDE_CHARGE | DECIDE_ADDRESS_KNOWN,
		.digest_given = true,
		.digest = req->d.digest,
		.client = req->client,
		.cost = (uint32_t)c->body.credits,
		.cost_micro_usd = tally_cost_micro_usd(
			&conf->cost, c->body.model,
			(uint32_t)c->body.prompt_tokens,
			(uint32_t)c->body.completion_tokens),
		.mono_ns = req->start_mono_ns,
	};
	if (c->name.len > 0) {
		tally_sha256(req->body.ptr, req->body.len, hash);
		memcpy(c->body_hash, hash, 16);
	}
	return true;
}

void record_handle(struct req *req)
{
	struct record_call c, *kept;

	req->door = DECIDE_D_RECORD;
	if (!read_call(req, &c))
		return;
	if (c.name.len == 0) {
		charge(req, &c, SHM_NONE);
		return;
	}
	if (ask_segment(req, &c, false))
		return;
	kept = tl_arena_alloc(&req->arena, sizeof(*kept));
	*kept = c;
	req->state = kept;
	req_spawn(req, ask_database);
}
