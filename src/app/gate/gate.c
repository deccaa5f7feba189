/*
 * gate.c - GET|HEAD|POST... /api/gate: a proxy asks about its client's
 * request.  The hottest path of the daemon: runs on the loop's stack, and
 * only a key that is not held makes it a coroutine.
 */
#include "app/gate/gate.h"

#include <string.h>

#include "shm/entries.h"
#include "shm/policy.h"

struct gate_call {
	struct decide_in in;
	struct tl_str scopes[DECIDE_SCOPES_MAX];
	struct decide_extra extras[DECIDE_EXTRAS_MAX];
	bool has_cost;
	enum tl_status credential;
};

static bool bad(struct req *req, const char *name, const char *rule)
{
	req_fail(req, 400, "bad_request", "%s: %s", name, rule);
	return false;
}

static bool take_scopes(struct req *req, struct gate_call *c,
			struct tl_str value)
{
	struct tl_str piece;

	/* a variable that came out empty must not let everybody in */
	if (value.len == 0)
		return bad(req, "scope", "must name a scope");
	while (tl_str_split(&value, ',', &piece)) {
		if (piece.len == 0)
			continue;
		if (c->in.n_scopes == DECIDE_SCOPES_MAX)
			return bad(req, "scope", "at most 16 scopes");
		c->scopes[c->in.n_scopes++] = piece;
	}
	c->in.scopes = c->scopes;
	return true;
}

static bool take_limit(struct req *req, struct gate_call *c,
		       struct tl_str value)
{
	struct decide_extra *x = &c->extras[c->in.n_extras];
	struct tl_str name;
	uint64_t cost = 1;
	bool with_cost;

	if (c->in.n_extras == DECIDE_EXTRAS_MAX)
		return bad(req, "limit", "at most 8 limits");
	with_cost = memchr(value.ptr, ':', value.len) != NULL;
	if (!tl_str_split(&value, ':', &name))
		return bad(req, "limit", "must be NAME or NAME:COST");
	if (with_cost && !tl_parse_u64(value, 0, DECIDE_COST_MAX, &cost))
		return bad(req, "limit", "COST must be 0 to 1000000");
	*x = (struct decide_extra){ name, (uint32_t)cost };
	c->in.extras = c->extras;
	c->in.n_extras++;
	return gate_limit_ok(req, x, true, "limit");
}

static bool take_parameter(struct req *req, struct gate_call *c,
			   struct tl_str name, struct tl_str value)
{
	uint64_t v;

	if (tl_str_eq(name, TL_STR("cost"))) {
		if (!tl_parse_u64(value, 0, DECIDE_COST_MAX, &v))
			return bad(req, "cost", "must be 0 to 1000000");
		if (c->has_cost)
			return bad(req, "cost", "must be given once");
		c->has_cost = true;
		c->in.cost = (uint32_t)v;
		return true;
	}
	if (tl_str_eq(name, TL_STR("scope")))
		return take_scopes(req, c, value);
	if (tl_str_eq(name, TL_STR("limit")))
		return take_limit(req, c, value);
	if (tl_str_eq(name, TL_STR("deny"))) /* gate_error looks for it */
		return tl_str_eq(value, TL_STR("403")) ||
		       bad(req, "deny", "must be 403");
	if (tl_str_eq(name, TL_STR("anonymous"))) {
		if (!tl_str_eq(value, TL_STR("allow")))
			return bad(req, "anonymous", "must be allow");
		c->in.flags |= DECIDE_ANONYMOUS;
		return true;
	}
	/* a mistyped `scope` must not let everybody in */
	req_fail(req, 400, "bad_request",
		 "'%.*s' is no parameter of the gate; it takes cost, scope, "
		 "limit, deny, anonymous",
		 (int)name.len, name.ptr);
	return false;
}

static bool take_query(struct req *req, struct gate_call *c)
{
	struct tl_str rest = req->query, name, value;

	while (req_query_next(req, &rest, &name, &value))
		if (!take_parameter(req, c, name, value))
			return false;
	return true;
}

static void add_scopes(struct req *req)
{
	struct shm *s = req_decide(req)->shm;
	struct tl_buf b;
	struct tl_str scope;
	uint32_t i;

	tl_buf_init(&b);
	for (i = 0; req->d.extras != 0 &&
		    shm_extras_scope(s, req->d.extras, i, &scope);
	     i++) {
		if (i > 0)
			tl_buf_addc(&b, ',');
		tl_buf_add(&b, scope.ptr, scope.len);
	}
	/* empty too: a proxy that copies it must not leave the client's own */
	req_header_add(req, "X-Tally-Scopes", "%.*s", (int)b.len, b.ptr);
	tl_buf_deinit(&b);
}

static void add_identity(struct req *req)
{
	struct shm *s = req_decide(req)->shm;

	req_header_add_uuid(req, "X-Tally-User", &req->d.user_id);
	req_header_add_uuid(req, "X-Tally-Key", &req->d.key_id);
	shm_enter(s);
	if (req->d.plan < SHM_PLANS)
		req_header_add(req, "X-Tally-Plan", "%s",
			       shm_policy(s)->plans[req->d.plan].name);
	add_scopes(req);
	shm_leave(s);
}

/*
 * Also for what is refused before the query was read, and for a key that
 * could not be loaded.  nginx passes on 2xx, 401 and 403 only.
 */
unsigned gate_error(struct req *req, unsigned status, const char *code)
{
	struct tl_str rest = req->query, name, value;

	req_header_add(req, "X-Tally-Status", "%u", status);
	req_header_add(req, "X-Tally-Reason", "%s",
		       req->d_valid && req->d.code != DECIDE_OK ?
			       decide_reason_name(req->d.reason) :
			       code);
	if (status == 401)
		return 401;
	while (req_query_next(req, &rest, &name, &value))
		if (tl_str_eq(name, TL_STR("deny")) &&
		    tl_str_eq(value, TL_STR("403")))
			return 403;
	return status;
}

static void gate_decide(struct req *req, struct gate_call *c);

static void gate_again(struct req *req, bool unknown)
{
	struct gate_call *c = req->state;

	c->in.flags |= unknown ? (unsigned)DECIDE_UNKNOWN : 0U;
	gate_decide(req, c);
}

/* The call lies on the stack of the loop: a wait needs it elsewhere. */
static void gate_wait(struct req *req, const struct gate_call *c)
{
	struct gate_call *kept = tl_arena_alloc(&req->arena, sizeof(*kept));

	*kept = *c;
	kept->in.scopes = kept->scopes;
	kept->in.extras = kept->extras;
	req->state = kept;
	req_load_key(req, &req->d.digest, gate_again);
}

static void gate_decide(struct req *req, struct gate_call *c)
{
	decide(req_decide(req), &c->in, &req->d);
	if (req->d.code == DECIDE_LOAD) {
		gate_wait(req, c);
		return;
	}
	req_credential_reason(req, c->credential);
	req->d_valid = true;
	req->record = true;
	if (req->d.code != DECIDE_OK) {
		req_refuse(req, &req->d);
		return;
	}
	req_header_add(req, "X-Tally-Status", "200");
	if (req->d.have_key)
		add_identity(req);
	req_charged(req, &req->d);
	req_reply_buf(req, 200, (struct tl_str){ NULL, 0 });
}

void gate_handle(struct req *req)
{
	struct gate_call c;

	c.in = (struct decide_in){
		.flags = DECIDE_RATE | DECIDE_CHARGE | DECIDE_401_COUNTS |
			 DECIDE_ADDRESS_KNOWN,
		.client = req->client,
		.cost = req_conf(req)->metering.request_cost_credits,
		.mono_ns = req->start_mono_ns,
	};
	c.has_cost = false;
	req->door = DECIDE_D_GATE;
	if (!take_query(req, &c))
		return;
	c.credential = req_credential(req, &c.in.key);
	if (c.credential != TL_OK) {
		c.in.key = (struct tl_str){ NULL, 0 };
		/* a wrong credential is not the same as none at all */
		if (c.credential != TL_NOT_FOUND)
			c.in.flags &= ~(unsigned)DECIDE_ANONYMOUS;
	}
	gate_decide(req, &c);
}

/*
 * Envoy appends the path and query of its client's request to its prefix:
 * that query is nobody's configuration, so it must not set cost or scope.
 */
void gate_below_handle(struct req *req)
{
	req->query = (struct tl_str){ NULL, 0 };
	gate_handle(req);
}
