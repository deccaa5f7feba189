/*
 * auth.c - the middleware: the order of checks of metering.md 4.1.
 *
 * CORS, preflight, routes that ask for nothing, key, rate limit, 401/403,
 * route and method, body, quota, handler.  A path or method that does not
 * exist is charged like any other request, so that guessing has its price:
 * on the key's limit with a good key, on the address's without.
 */
#include "base/log.h"
#include "http/http_internal.h"
#include "http/router.h"
#include "loop/co.h"
#include "pg/pg.h"

struct pg *req_pg(struct req *req)
{
	return pg_pool_pg(req->http->pool);
}

static void refuse_method(struct req *req)
{
	char allow[ROUTER_ALLOW_TEXT];

	router_allow(req->priv->match.allowed, allow);
	req_header_add(req, "Allow", "%s", allow);
	req_fail(req, 405, "method_not_allowed", "this path takes %s only",
		 allow);
}

static void refuse_route(struct req *req)
{
	if (req->priv->match.allowed != 0) {
		refuse_method(req);
		return;
	}
	req_fail(req, 404, "not_found", "there is nothing at this path");
}

/* False: refused and answered. */
static bool body_is_acceptable(struct req *req)
{
	const struct route *route = req->route;
	uint32_t max = route->body_max_bytes != 0 ? route->body_max_bytes
						  : HTTP_BODY_DEFAULT_BYTES;
	struct tl_str type = req->priv->g.h[GH_CONTENT_TYPE], essence;

	if (req->body.len == 0)
		return true;
	if (req->body.len > max) {
		req_fail(req, 413, "payload_too_large",
			 "the body is above the %u bytes of this route", max);
		return false;
	}
	if ((route->flags & ROUTE_NO_BODY_TYPE) != 0)
		return true;
	if (type.len > 0 && tl_str_split(&type, ';', &essence)) {
		essence = tl_str_trim(essence);
		if (tl_str_ieq(essence, TL_STR("application/json")) ||
		    tl_str_ieq(essence, TL_STR("application/msgpack")))
			return true;
	}
	req_fail(req, 415, "unsupported_media_type",
		 "send application/json or application/msgpack");
	return false;
}

static bool quota_allows(struct req *req);

/* Coroutine: admins are named by e-mail, and only the database knows it. */
static void admin_route(struct req *req)
{
	const struct req_profile *who;
	enum tl_status st;
	struct tl_err err;

	st = req_profile(req, &who, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	if (who->admin) {
		if (body_is_acceptable(req))
			req->route->handler(req);
		return;
	}
	log_warn("request '%.*s' to '%.*s' refused: the user is no admin",
		 (int)req->request_id.len, req->request_id.ptr,
		 (int)req->path.len, req->path.ptr);
	req_fail(req, 403, "forbidden", "this needs the admin role");
}

static void run_route(struct req *req)
{
	const struct route *route = req->priv->match.route;

	req->route = route;
	if (route->auth == AUTH_ADMIN) { /* who it is comes before the body */
		req_spawn(req, admin_route);
		return;
	}
	if (!body_is_acceptable(req))
		return;
	if ((route->flags & ROUTE_METERED) != 0 && route->auth >= AUTH_KEY &&
	    route->auth != AUTH_SELF && route->auth != AUTH_CRON &&
	    req->http->conf->metering.meter_scope == CONF_ALL &&
	    !quota_allows(req))
		return;
	if ((route->flags & ROUTE_INLINE) != 0)
		route->handler(req);
	else
		req_spawn(req, route->handler);
}

static void run_or_refuse(struct req *req)
{
	if (req->priv->match.route != NULL)
		run_route(req);
	else
		refuse_route(req);
}

static void spawned(void *arg)
{
	struct req *req = arg;

	http_trace_lend(req);
	req->priv->spawned(req);
}

bool req_spawn(struct req *req, void (*fn)(struct req *req))
{
	struct tl_err err;
	enum tl_status st;

	if (co_self() != NULL) { /* after the load of a key */
		http_trace_lend(req);
		fn(req);
		return true;
	}
	req->priv->spawned = fn;
	st = co_spawn(spawned, req, req->deadline_mono_ms, &err);
	if (st != TL_OK)
		req_fail_status(req, st == TL_FULL ? TL_FULL : TL_UNAVAILABLE,
				&err);
	return st == TL_OK;
}

/* ---- the address ---- */

static void check_address(struct req *req)
{
	struct http *h = req->http;

	decide_address(&h->decide, &req->client, req->start_mono_ns, &req->d);
	req->d_valid = true;
	req->record = true;
	req->caller = CALLER_ADDRESS;
	if (req->d.code != DECIDE_OK)
		req_refuse(req, &req->d);
	else
		run_or_refuse(req);
}

/* ---- the secret of cron ---- */

/* Digests of equal length, so that the time tells nothing of either. */
static bool has_cron_token(struct req *req)
{
	const char *want = req->http->conf->cron.token;
	uint8_t wanted[32], given[32];
	struct tl_str token;

	if (req_credential(req, &token) != TL_OK || want[0] == '\0' ||
	    req_header(req, "X-API-Key").ptr != NULL)
		return false;
	tally_sha256(want, strlen(want), wanted);
	tally_sha256(token.ptr, token.len, given);
	return tl_equal_const_time(wanted, given, sizeof(given));
}

/* The address's limit comes first: a secret is not guessed at full speed. */
static void check_cron(struct req *req)
{
	struct http *h = req->http;

	decide_address(&h->decide, &req->client, req->start_mono_ns, &req->d);
	req->d_valid = true;
	req->record = true;
	req->caller = CALLER_ADDRESS;
	if (req->d.code != DECIDE_OK)
		req_refuse(req, &req->d);
	else if (!has_cron_token(req))
		req_fail(req, 401, "unauthorized",
			 "send the secret of cron.token as Authorization: "
			 "Bearer");
	else
		run_or_refuse(req);
}

/* ---- the key ---- */

static void key_question(struct req *req, unsigned flags, struct decide_in *in)
{
	const struct conf *conf = req->http->conf;

	*in = (struct decide_in){
		.flags = flags | DECIDE_401_COUNTS | DECIDE_ADDRESS_KNOWN,
		.client = req->client,
		.cost = conf->metering.request_cost_credits,
		.mono_ns = req->start_mono_ns,
	};
}

void req_credential_reason(struct req *req, enum tl_status credential)
{
	if (req->d.code != DECIDE_UNAUTHORIZED)
		return;
	if (credential == TL_CONFLICT)
		req->d.reason = DECIDE_R_TWO_KEYS;
	else if (credential == TL_INVALID)
		req->d.reason = DECIDE_R_MALFORMED;
}

static void check_key(struct req *req, bool unknown);

static void loaded(struct req *req, bool unknown)
{
	check_key(req, unknown);
}

static void check_key(struct req *req, bool unknown)
{
	struct http *h = req->http;
	struct decide_in in;
	enum tl_status st;

	key_question(req, DECIDE_RATE | (unknown ? DECIDE_UNKNOWN : 0u), &in);
	st = req_credential(req, &in.key);
	decide(&h->decide, &in, &req->d);
	req_credential_reason(req, st);
	if (req->d.code == DECIDE_LOAD) {
		req_load_key(req, &req->d.digest, loaded);
		return;
	}
	req->d_valid = true;
	req->record = true;
	req->caller = req->d.have_key ? CALLER_KEY : CALLER_ADDRESS;
	if (req->d.code != DECIDE_OK)
		req_refuse(req, &req->d);
	else
		run_or_refuse(req);
}

static void charge_question(struct req *req, unsigned flags,
			    struct decide_in *in)
{
	key_question(req, flags, in);
	in->digest_given = true;
	in->digest = req->d.digest;
}

/*
 * meter_scope = all: only success is recorded, and a charge can not be taken
 * back, so the quota is looked at before the handler and charged with its
 * answer.  Revoking and rotating are never blocked by quota.
 */
static bool quota_allows(struct req *req)
{
	struct http *h = req->http;
	struct decide_in in;
	struct decide_out look;

	req->priv->metered = true;
	if ((req->route->flags & ROUTE_QUOTA_FREE) != 0)
		return true;
	charge_question(req, DECIDE_CHARGE | DECIDE_DRY, &in);
	decide(&h->decide, &in, &look);
	if (look.code != DECIDE_QUOTA_EXCEEDED)
		return true;
	/* the real question, which also gives the rate limit its slot back */
	in.flags &= ~(unsigned)DECIDE_DRY;
	decide_charge(&h->decide, &in, &req->d);
	req->priv->metered = false;
	if (req->d.code == DECIDE_OK) { /* midnight came in between */
		req_charged(req, &req->d);
		return true;
	}
	req_refuse(req, &req->d);
	return false;
}

bool http_charge_answer(struct req *req)
{
	struct decide_in in;

	req->priv->metered = false;
	charge_question(req, DECIDE_CHARGE, &in);
	decide_charge(&req->http->decide, &in, &req->d);
	if (req->d.code == DECIDE_OK) {
		req_charged(req, &req->d);
		return true;
	}
	/* Others took the last credits meanwhile.  What only reads is refused
	 * after all; what has changed something tells so. */
	if ((req->method & (HTTP_GET | HTTP_HEAD)) != 0) {
		req_refuse(req, &req->d);
		return false;
	}
	req->d.code = DECIDE_OK;
	return true;
}

bool req_charge_now(struct req *req)
{
	return !req->priv->metered || http_charge_answer(req);
}

void http_middleware(struct req *req)
{
	struct router_match *m = &req->priv->match;
	struct tl_str key;

	router_find(req->http->router, req->method, req->path, m);
	/* A route that takes OPTIONS itself is asked about other people's
	 * requests: a 204 of ours would let every preflight, and all that
	 * looks like one, through the proxy undecided. */
	if (m->route == NULL && http_cors_preflight(req))
		return;
	if (m->route == NULL && m->open_path) {
		refuse_method(req);
		return;
	}
	if (m->route == NULL) {
		if (req_credential(req, &key) == TL_NOT_FOUND)
			check_address(req);
		else
			check_key(req, false);
		return;
	}
	switch (m->route->auth) {
	case AUTH_NONE:
	case AUTH_SELF:
		run_route(req);
		return;
	case AUTH_ADDRESS:
		check_address(req);
		return;
	case AUTH_CRON:
		check_cron(req);
		return;
	case AUTH_KEY:
	case AUTH_ADMIN:
		check_key(req, false);
		return;
	}
}
