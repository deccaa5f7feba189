#include "app/gate/gate.h"
#include "app/gate/verify.h"

/* clang-format off */
const struct route GATE_ROUTES[] = {
	{ .id = "gate", .methods = HTTP_ANY, .path = "/api/gate",
	  .auth = AUTH_SELF,
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
