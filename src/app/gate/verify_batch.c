/*
 * verify_batch.c - POST /api/verify/batch: up to 1000 questions, each its
 * own decision, in order.
 *
 * All items are checked before the first is charged.  The answer grows as
 * decisions are made; a key that must be loaded first turns the rest into a
 * coroutine and holds up this answer only.
 */
#include <stddef.h>
#include <string.h>

#include "app/gate/gate.h"
#include "app/gate/verify.h"

struct batch_body {
	struct shape_array items; /* of struct verify_item */
};

/* clang-format off */
static const struct shape_field batch_fields[] = {
	{ "items", SHAPE_ARRAY, SHAPE_REQUIRED,
	  offsetof(struct batch_body, items), SHAPE_NO_OFFSET, 1,
	  VERIFY_ITEMS_MAX, &VERIFY_ITEM_SHAPE, "the questions" },
	{ .name = NULL },
};
const struct shape VERIFY_BATCH_SHAPE = {
	"VerifyBatch", sizeof(struct batch_body), batch_fields
};
/* clang-format on */

struct batch_call {
	struct verify_item *items;
	uint32_t n, i;
	bool charged;
	struct decide_out last_charged;
	struct doc_writer w;
	struct tl_buf out;
};

/* "ID.17": each item can be explained on its own. */
static struct tl_str item_id(struct req *req, uint32_t i, char dst[72])
{
	size_t n = req->request_id.len < 58 ? req->request_id.len : 58;

	memcpy(dst, req->request_id.ptr, n);
	dst[n++] = '.';
	n += tl_fmt_u64(dst + n, i);
	return (struct tl_str){ dst, n };
}

static void decided(struct req *req, struct batch_call *c,
		    const struct decide_out *d)
{
	char text[72];
	struct tl_str id = item_id(req, c->i, text);

	decide_record(req_decide(req), d, DECIDE_D_VERIFY, &req->client, id,
		      req_trace_id(req), 200, req->start_mono_ns,
		      req->start_mono_ns);
	verify_write(req, &c->w, d, id);
	if (d->charged) {
		c->charged = true;
		c->last_charged = *d;
	}
	c->i++;
}

static void finish(struct req *req, struct batch_call *c)
{
	struct tl_buf out = c->out; /* the call dies with the request */

	if (c->charged)
		req_charged(req, &c->last_charged);
	req_reply_buf(req, 200, tl_buf_str(&out));
	tl_buf_deinit(&out);
}

/* What to do with an item whose key could not be loaded. */
static void unavailable(struct decide_out *d)
{
	d->code = DECIDE_UNAVAILABLE;
	d->reason = DECIDE_R_DATABASE;
	d->retry_after_ms = 1000;
}

static void batch_co(struct req *req)
{
	struct batch_call *c = req->state;
	struct verify_question q;
	struct decide_out d;
	struct tl_err err;
	enum tl_status st;

	while (c->i < c->n) {
		verify_question_make(req, &c->items[c->i], &q);
		decide(req_decide(req), &q.in, &d);
		while (d.code == DECIDE_LOAD) {
			st = http_key_load(req->http, &d.digest, &err);
			if (st == TL_CANCELED) {
				tl_buf_deinit(&c->out);
				req_fail_status(req, st, &err);
				return;
			}
			if (st == TL_NOT_FOUND)
				q.in.flags |= DECIDE_UNKNOWN;
			if (st == TL_OK || st == TL_NOT_FOUND)
				decide(req_decide(req), &q.in, &d);
			else
				unavailable(&d);
		}
		decided(req, c, &d);
	}
	finish(req, c);
}

static void batch_run(struct req *req, struct batch_call *c)
{
	struct verify_question q;
	struct decide_out d;
	struct tl_buf out;

	while (c->i < c->n) {
		verify_question_make(req, &c->items[c->i], &q);
		decide(req_decide(req), &q.in, &d);
		if (d.code == DECIDE_LOAD) {
			out = c->out;
			req->state = c;
			if (!req_spawn(req, batch_co))
				tl_buf_deinit(&out);
			return;
		}
		decided(req, c, &d);
	}
	finish(req, c);
}

static bool all_well_formed(struct req *req, const struct batch_call *c)
{
	struct verify_question q;
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		/* only limits and addresses can be wrong beyond the shape */
		if (c->items[i].limits.n == 0 && !c->items[i].has_ip)
			continue;
		verify_question_make(req, &c->items[i], &q);
		if (!verify_question_check(req, &c->items[i], (int)i, &q))
			return false;
	}
	return true;
}

static void batch_next(struct req *req)
{
	struct batch_body body;
	struct batch_call *c;

	if (!req_body(req, &body))
		return;
	c = tl_arena_alloc(&req->arena, sizeof(*c));
	c->items = body.items.items;
	c->n = body.items.n;
	if (!all_well_formed(req, c))
		return;
	tl_buf_init(&c->out);
	tl_buf_reserve(&c->out, (size_t)c->n * 400 + 64);
	docw_init(&c->w, req->out_format, &c->out);
	docw_object(&c->w, 1);
	docw_name(&c->w, TL_STR("results"));
	docw_array(&c->w, c->n);
	batch_run(req, c);
}

void verify_batch_handle(struct req *req)
{
	verify_caller(req, batch_next);
}
