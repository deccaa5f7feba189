#include "app/gate/gate.h"
#include "app/gate/verify.h"

/* The handler reads them itself: some may be repeated. */
#define ASKED SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field deny_fields[] = {
	{ .name = "403" }, { .name = NULL },
};
static const struct shape deny_words = { "GateDeny", 0, deny_fields };
static const struct shape_field anonymous_fields[] = {
	{ .name = "allow" }, { .name = NULL },
};
static const struct shape anonymous_words = {
	"GateAnonymous", 0, anonymous_fields
};
static const struct shape_field gate_fields[] = {
	{ "cost", SHAPE_INT, 0, ASKED, 0, DECIDE_COST_MAX, NULL,
	  "credits; default metering.request_cost_credits" },
	{ "scope", SHAPE_STRS, 0, ASKED, 1, DECIDE_SCOPES_MAX, NULL,
	  "scopes that the key must have, parted by commas or repeated" },
	{ "limit", SHAPE_STRS, 0, ASKED, 1, DECIDE_EXTRAS_MAX, NULL,
	  "NAME or NAME:COST of a limit to charge too" },
	{ "deny", SHAPE_STR, 0, ASKED, 0, 0, &deny_words,
	  "the status of refusals that are not 401, for proxies that know no "
	  "other" },
	{ "anonymous", SHAPE_STR, 0, ASKED, 0, 0, &anonymous_words,
	  "requests without a key pass under the address limit" },
	{ .name = NULL },
};
static const struct shape gate_query = { "GateQuery", 0, gate_fields };

static const struct shape_field header_fields[] = {
	{ "X-Tally-Status", SHAPE_INT, SHAPE_REQUIRED, ASKED, 0, 0, NULL,
	  "the status, also where deny=403 shows another" },
	{ "X-Tally-User", SHAPE_UUID, 0, ASKED, 0, 0, NULL,
	  "the key's owner; of a request that passes with a key" },
	{ "X-Tally-Key", SHAPE_UUID, 0, ASKED, 0, 0, NULL, "that key" },
	{ "X-Tally-Plan", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "the owner's plan" },
	{ "X-Tally-Scopes", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "the key's scopes, parted by commas; empty: all" },
	{ "X-Tally-Reason", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "why not; of a refusal" },
	{ .name = NULL },
};
static const struct shape gate_headers = { "Gate", 0, header_fields };

#define ANYBODY  "anybody: the key that the request carries is in question"
#define SERVICES "addresses of gate.verify_allow, and a key with the scope " \
		 "tally.verify"
const struct route GATE_ROUTES[] = {
	{ .id = "gate", .methods = HTTP_ANY, .path = "/api/gate",
	  .auth = AUTH_SELF, .caller = ANYBODY,
	  .query = &gate_query, .headers = &gate_headers,
	  .flags = ROUTE_INLINE | ROUTE_NO_BODY_TYPE, .handler = gate_handle,
	  .on_error = gate_error,
	  .summary = "Decide on a proxy's request" },
	{ .id = "gateBelow", .methods = HTTP_ANY, .path = "/api/gate/*",
	  .auth = AUTH_SELF, .caller = ANYBODY, .headers = &gate_headers,
	  .flags = ROUTE_INLINE | ROUTE_NO_BODY_TYPE,
	  .handler = gate_below_handle, .on_error = gate_error,
	  .summary = "The same for proxies that append the path they ask "
		     "about" },
	{ .id = "verify", .methods = HTTP_POST, .path = "/api/verify",
	  .auth = AUTH_SELF, .caller = SERVICES,
	  .flags = ROUTE_INLINE, .in = &VERIFY_ITEM_SHAPE,
	  .out = &VERIFY_REPLY_SHAPE,
	  .handler = verify_handle, .summary = "Decide on a key" },
	{ .id = "verifyBatch", .methods = HTTP_POST,
	  .path = "/api/verify/batch", .auth = AUTH_SELF, .caller = SERVICES,
	  .flags = ROUTE_INLINE, .in = &VERIFY_BATCH_SHAPE,
	  .out = &VERIFY_BATCH_REPLY_SHAPE,
	  .body_max_bytes = 256 * 1024, .handler = verify_batch_handle,
	  .summary = "Decide on up to 1000 keys, in order" },
	{ .path = NULL },
};
/* clang-format on */

bool gate_limit_ok(struct req *req, const struct decide_extra *x,
		   bool have_address, const char *where)
{
	enum tally_scope scope;

	if (!decide_limit_known(req_decide(req), x->name, &scope)) {
		req_fail(req, 400, "bad_request",
			 "%s: there is no limit '%.*s'; make it first or "
			 "correct the name",
			 where, (int)x->name.len, x->name.ptr);
		return false;
	}
	if (scope == TALLY_SCOPE_ADDRESS && !have_address) {
		req_fail(req, 400, "bad_request",
			 "%s: limit '%.*s' counts by address; send ip", where,
			 (int)x->name.len, x->name.ptr);
		return false;
	}
	return true;
}
