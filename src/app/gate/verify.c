/*
 * verify.c - one question about a key, and who may ask.
 */
#include "app/gate/verify.h"

#include <stddef.h>
#include <stdio.h>

#include "app/gate/gate.h"
#include "shm/entries.h"
#include "shm/policy.h"

#define F(m)   offsetof(struct verify_item, m)
#define L(m)   offsetof(struct verify_limit, m)
#define ABSENT SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field limit_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, L(name), ABSENT, 1, SHM_NAME_MAX,
	  NULL, "a named limit that counts as well" },
	{ "cost", SHAPE_INT, 0, L(cost), L(has_cost), 0, DECIDE_COST_MAX,
	  NULL, "what to charge on it; default 1" },
	{ .name = NULL },
};
static const struct shape limit_shape = {
	"VerifyLimit", sizeof(struct verify_limit), limit_fields
};
static const struct shape_field item_fields[] = {
	/* as long as a body can be: what a stranger presented is refused
	 * on its own, not with the batch that carries it */
	{ "key", SHAPE_STR, SHAPE_REQUIRED, F(key), ABSENT, 0, 256 * 1024,
	  NULL, "the key as it was presented" },
	{ "cost", SHAPE_INT, 0, F(cost), F(has_cost), 0, DECIDE_COST_MAX,
	  NULL, "credits; default metering.request_cost_credits" },
	{ "scopes", SHAPE_STRS, SHAPE_NULLABLE, F(scopes), ABSENT, 0,
	  DECIDE_SCOPES_MAX, NULL, "scopes the key must have" },
	{ "limits", SHAPE_ARRAY, SHAPE_NULLABLE, F(limits), ABSENT, 0,
	  DECIDE_EXTRAS_MAX, &limit_shape, "named limits that count as well" },
	{ "ip", SHAPE_STR, SHAPE_NULLABLE, F(ip), F(has_ip), 0, 64, NULL,
	  "address of the end client" },
	{ "dry_run", SHAPE_BOOL, 0, F(dry_run), ABSENT, 0, 0, NULL,
	  "answer as if, charge nothing" },
	{ .name = NULL },
};
const struct shape VERIFY_ITEM_SHAPE = {
	"VerifyRequest", sizeof(struct verify_item), item_fields
};
/* clang-format on */

/* ---- the question ---- */

static bool fail_item(struct req *req, int index, const char *what)
{
	if (index >= 0)
		req_fail(req, 400, "bad_request", "items[%d].%s", index, what);
	else
		req_fail(req, 400, "bad_request", "%s", what);
	return false;
}

void verify_question_make(struct req *req, const struct verify_item *item,
			  struct verify_question *q_r)
{
	const struct verify_limit *l = item->limits.items;
	uint32_t i;

	q_r->in = (struct decide_in){
		.flags = DECIDE_RATE | DECIDE_CHARGE |
			 (item->dry_run ? (unsigned)DECIDE_DRY : 0U),
		.key = tl_str_trim(item->key),
		.cost = item->has_cost ?
				(uint32_t)item->cost :
				req_conf(req)->metering.request_cost_credits,
		.scopes = item->scopes.items,
		.n_scopes = item->scopes.n,
		.extras = q_r->extras,
		.n_extras = item->limits.n,
		.mono_ns = req->start_mono_ns,
	};
	if (item->has_ip && item->ip.ptr != NULL &&
	    tally_addr_parse(item->ip, &q_r->in.client))
		q_r->in.flags |= DECIDE_ADDRESS_KNOWN;
	for (i = 0; i < item->limits.n; i++)
		q_r->extras[i] = (struct decide_extra){
			l[i].name, l[i].has_cost ? (uint32_t)l[i].cost : 1
		};
}

bool verify_question_check(struct req *req, const struct verify_item *item,
			   int index, const struct verify_question *q)
{
	bool have_address = (q->in.flags & DECIDE_ADDRESS_KNOWN) != 0;
	char where[48];
	uint32_t i;

	if (item->has_ip && item->ip.ptr != NULL && !have_address)
		return fail_item(req, index,
				 "ip: must be an IPv4 or IPv6 address");
	for (i = 0; i < item->limits.n; i++) {
		if (index >= 0)
			snprintf(where, sizeof(where), "items[%d].limits[%u]",
				 index, i);
		else
			snprintf(where, sizeof(where), "limits[%u]", i);
		if (!gate_limit_ok(req, &q->extras[i], have_address, where))
			return false;
	}
	return true;
}

/* ---- the answer ---- */

static void write_credits(struct req *req, struct doc_writer *w,
			  const struct decide_out *d)
{
	uint64_t left = d->credits_used < d->credits_limit ?
				d->credits_limit - d->credits_used :
				0;
	char midnight[TL_RFC3339_TEXT];
	size_t n;

	(void)req;
	n = tl_rfc3339_format(((int64_t)d->day + 1) * TL_DAY_S * 1000000,
			      midnight);
	docw_object(w, 4);
	docw_name(w, TL_STR("limit"));
	docw_uint(w, d->credits_limit);
	docw_name(w, TL_STR("used"));
	docw_uint(w, d->credits_used);
	docw_name(w, TL_STR("remaining"));
	docw_uint(w, left);
	docw_name(w, TL_STR("resets_at"));
	docw_str(w, (struct tl_str){ midnight, n });
}

static void write_rates(struct doc_writer *w, const struct decide_out *d)
{
	uint32_t i;

	docw_array(w, d->n_rates);
	for (i = 0; i < d->n_rates; i++) {
		const struct decide_rate *r = &d->rates[i];

		docw_object(w, r->shadow_refused ? 5 : 4);
		docw_name(w, TL_STR("name"));
		docw_str(w, (struct tl_str){ r->name, r->name_len });
		docw_name(w, TL_STR("limit"));
		docw_uint(w, r->limit);
		docw_name(w, TL_STR("remaining"));
		docw_uint(w, r->remaining);
		docw_name(w, TL_STR("reset_ms"));
		docw_uint(w, r->reset_ms);
		if (r->shadow_refused) {
			docw_name(w, TL_STR("shadow_refused"));
			docw_bool(w, true);
		}
	}
}

static void write_scopes(const struct shm *s, struct doc_writer *w,
			 const struct decide_out *d)
{
	struct tl_str scope;
	uint32_t n = 0, i;

	while (d->extras != 0 && shm_extras_scope(s, d->extras, n, &scope))
		n++;
	docw_array(w, n);
	for (i = 0; i < n && shm_extras_scope(s, d->extras, i, &scope); i++)
		docw_str(w, scope);
}

static void write_identity(struct req *req, struct doc_writer *w,
			   const struct decide_out *d)
{
	struct shm *s = req_decide(req)->shm;
	const struct shm_plan *plan;
	char text[TL_UUID_TEXT];

	tl_uuid_format(&d->user_id, text);
	docw_name(w, TL_STR("user_id"));
	docw_str(w, (struct tl_str){ text, TL_UUID_TEXT - 1 });
	tl_uuid_format(&d->key_id, text);
	docw_name(w, TL_STR("key_id"));
	docw_str(w, (struct tl_str){ text, TL_UUID_TEXT - 1 });
	shm_enter(s);
	plan = &shm_policy(s)->plans[d->plan < SHM_PLANS ? d->plan : 0];
	docw_name(w, TL_STR("plan"));
	docw_str(w, (struct tl_str){ plan->name, plan->name_len });
	docw_name(w, TL_STR("scopes"));
	write_scopes(s, w, d);
	shm_leave(s);
	docw_name(w, TL_STR("credits"));
	write_credits(req, w, d);
}

static void write_reason(struct doc_writer *w, const struct decide_out *d)
{
	char text[160];
	int n;

	docw_name(w, TL_STR("reason"));
	if (d->reason != DECIDE_R_QUOTA && d->reason != DECIDE_R_KEY_QUOTA) {
		docw_str(w, tl_str_c(decide_reason_name(d->reason)));
		return;
	}
	n = snprintf(text, sizeof(text), "daily credits%s used up (%llu/%llu)",
		     d->reason == DECIDE_R_KEY_QUOTA ? " of the key" : "",
		     (unsigned long long)d->credits_used,
		     (unsigned long long)d->credits_limit);
	docw_str(w, (struct tl_str){ text, (size_t)n });
}

void verify_write(struct req *req, struct doc_writer *w,
		  const struct decide_out *d, struct tl_str request_id)
{
	bool ok = d->code == DECIDE_OK;

	docw_object(w, 4U + (d->have_key ? 5U : 0U) + (ok ? 0U : 1U) +
			       (d->retry_after_ms > 0 ? 1U : 0U));
	docw_name(w, TL_STR("valid"));
	docw_bool(w, ok);
	docw_name(w, TL_STR("code"));
	docw_str(w, tl_str_c(decide_code_name(d->code)));
	if (!ok)
		write_reason(w, d);
	if (d->retry_after_ms > 0) {
		docw_name(w, TL_STR("retry_after_ms"));
		docw_uint(w, d->retry_after_ms);
	}
	if (d->have_key)
		write_identity(req, w, d);
	docw_name(w, TL_STR("rate"));
	write_rates(w, d);
	docw_name(w, TL_STR("request_id"));
	docw_str(w, request_id);
}

/* ---- the caller ---- */

struct caller_call {
	void (*next)(struct req *req);
};

/* A service's key must name the scope: here an empty list is not all. */
static void ask_caller(struct req *req, bool unknown)
{
	enum tl_status credential;
	static const struct tl_str scope = { "tally.verify", 12 };
	struct caller_call *c = req->state;
	struct decide *d = req_decide(req);
	struct decide_in in = {
		.flags = DECIDE_401_COUNTS | DECIDE_ADDRESS_KNOWN |
			 (unknown ? (unsigned)DECIDE_UNKNOWN : 0U),
		.client = req->client,
		.scopes = &scope,
		.n_scopes = 1,
		.mono_ns = req->start_mono_ns,
	};

	credential = req_credential(req, &in.key);
	if (credential != TL_OK)
		in.key = (struct tl_str){ NULL, 0 };
	decide(d, &in, &req->d);
	if (req->d.code == DECIDE_LOAD) {
		req_load_key(req, &req->d.digest, ask_caller);
		return;
	}
	if (req->d.code == DECIDE_OK) {
		shm_enter(d->shm);
		if (!shm_extras_any_scope(d->shm, req->d.extras)) {
			req->d.code = DECIDE_FORBIDDEN;
			req->d.reason = DECIDE_R_SCOPE;
		}
		shm_leave(d->shm);
	}
	if (req->d.code == DECIDE_OK) {
		in.flags |= DECIDE_RATE;
		decide(d, &in, &req->d);
		req->d_valid = true;
	}
	if (req->d.code == DECIDE_OK) {
		c->next(req);
		return;
	}
	req_credential_reason(req, credential);
	req->d_valid = true;
	req->record = true;
	req_refuse(req, &req->d);
}

void verify_caller(struct req *req, void (*next)(struct req *req))
{
	const struct conf *conf = req_conf(req);
	struct caller_call *c;

	req->door = DECIDE_D_VERIFY;
	/* a proxy on this host must not open the door to the world, nor one
	 * that is trusted and does not say for whom it asks */
	if ((!req->forwarded || req->client_told) &&
	    tally_cidr_list_has(&conf->gate.verify_allow, &req->client)) {
		next(req);
		return;
	}
	c = tl_arena_alloc(&req->arena, sizeof(*c));
	c->next = next;
	req->state = c;
	ask_caller(req, false);
}

/* ---- POST /api/verify ---- */

static void verify_reply(struct req *req, const struct decide_out *d)
{
	struct doc_writer w;
	struct tl_buf b;

	tl_buf_init(&b);
	docw_init(&w, req->out_format, &b);
	verify_write(req, &w, d, req->request_id);
	req_charged(req, d);
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}

static void verify_decided(struct req *req, const struct decide_out *d)
{
	/* the ring tells of the key that was asked about, not of the caller;
	 * the caller's own limit stands in the headers */
	decide_record(req_decide(req), d, DECIDE_D_VERIFY, &req->client,
		      req->request_id, req_trace_id(req), 200,
		      req->start_mono_ns, tl_mono_ns());
	verify_reply(req, d);
}

static void verify_co(struct req *req)
{
	struct verify_question *q = req->state;
	struct decide_out out;
	struct tl_err err;
	enum tl_status st;

	decide(req_decide(req), &q->in, &out);
	while (out.code == DECIDE_LOAD) {
		st = http_key_load(req->http, &out.digest, &err);
		if (st == TL_NOT_FOUND) {
			q->in.flags |= DECIDE_UNKNOWN;
		} else if (st != TL_OK) {
			req_fail_status(req, st, &err);
			return;
		}
		decide(req_decide(req), &q->in, &out);
	}
	verify_decided(req, &out);
}

static void verify_next(struct req *req)
{
	struct verify_item item = { .dry_run = false };
	struct verify_question q, *kept;
	struct decide_out out;

	if (!req_body(req, &item))
		return;
	verify_question_make(req, &item, &q);
	if (!verify_question_check(req, &item, -1, &q))
		return;
	decide(req_decide(req), &q.in, &out);
	if (out.code != DECIDE_LOAD) {
		verify_decided(req, &out);
		return;
	}
	kept = tl_arena_alloc(&req->arena, sizeof(*kept));
	*kept = q;
	kept->in.extras = kept->extras;
	req->state = kept;
	req_spawn(req, verify_co);
}

void verify_handle(struct req *req)
{
	verify_caller(req, verify_next);
}
