#include "config.h"

#include "app/system/system.h"

static void health(struct req *req)
{
	int64_t ready;
	bool ok;
	struct doc *d;

	if (!req_query_int(req, "ready", 0, 0, 1, &ready))
		return;
	ok = ready == 0 || !req_degraded(req);
	d = doc_object(&req->arena);
	doc_set(&req->arena, d, "status",
		doc_str(&req->arena, ok ? TL_STR("ok") : TL_STR("degraded")));
	doc_set(&req->arena, d, "version",
		doc_str(&req->arena, TL_STR(PACKAGE_VERSION)));
	req_reply(req, ok ? 200 : 503, d);
}

const struct route SYSTEM_ROUTES[] = {
	{ .methods = HTTP_GET, .path = "/health", .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE, .handler = health,
	  .summary = "Is the daemon up; with ready=1: is all well" },
	{ .id = "getMetrics", .methods = HTTP_GET, .path = "/metrics",
	  .auth = AUTH_SELF, .flags = ROUTE_INLINE, .handler = metrics_handle,
	  .summary = "Figures of the daemon for Prometheus, in its text "
		     "format" },
	{ .path = NULL },
};
