#include "app/gate/gate.h"
#include "app/gate/verify.h"

/* The handler reads them itself: some may be repeated. */
#define ASKED SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field gate_fields[] = {
	{ "cost", SHAPE_INT, 0, ASKED, 0, DECIDE_COST_MAX, NULL,
	  "credits; default metering.request_cost_credits" },
	{ "scope", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "scopes that the key must have, parted by commas; may be repeated" },
	{ "limit", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "NAME or NAME:COST of a limit to charge too; may be repeated" },
	{ "deny", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "403: refusals have that status, for proxies that know no other" },
	{ "anonymous", SHAPE_STR, 0, ASKED, 0, 0, NULL,
	  "allow: requests without a key pass under the address limit" },
	{ .name = NULL },
};
static const struct shape gate_query = { "GateQuery", 0, gate_fields };

const struct route GATE_ROUTES[] = {
	{ .id = "gate", .methods = HTTP_ANY, .path = "/api/gate",
	  .auth = AUTH_SELF, .query = &gate_query,
	  .flags = ROUTE_INLINE | ROUTE_NO_BODY_TYPE, .handler = gate_handle,
	  .on_error = gate_error,
	  .summary = "Decide on a proxy's request" },
	{ .id = "gateBelow", .methods = HTTP_ANY, .path = "/api/gate/*",
	  .auth = AUTH_SELF,
	  .flags = ROUTE_INLINE | ROUTE_NO_BODY_TYPE,
	  .handler = gate_below_handle, .on_error = gate_error,
	  .summary = "The same for proxies that append the path they ask "
		     "about" },
	{ .id = "verify", .methods = HTTP_POST, .path = "/api/verify",
	  .auth = AUTH_SELF,
	  .flags = ROUTE_INLINE, .in = &VERIFY_ITEM_SHAPE,
	  .out = &VERIFY_REPLY_SHAPE,
	  .handler = verify_handle, .summary = "Decide on a key" },
	{ .id = "verifyBatch", .methods = HTTP_POST,
	  .path = "/api/verify/batch", .auth = AUTH_SELF,
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
