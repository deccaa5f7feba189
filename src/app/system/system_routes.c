#include "config.h"

#include "app/system/system.h"

/* clang-format off */
static const struct shape_field query_fields[] = {
	{ "ready", SHAPE_BOOL, 0, 0, SHAPE_NO_OFFSET, 0, 0, NULL,
	  "1: 503 unless the database and the flusher are well too" },
	{ .name = NULL },
};
static const struct shape health_query = {
	"HealthQuery", sizeof(bool), query_fields
};
static const struct shape_field status_fields[] = {
	{ .name = "ok" },
	{ .name = "degraded", .doc = "only when ready=1 asked" },
	{ .name = NULL },
};
static const struct shape status_words = { "HealthStatus", 0, status_fields };
static const struct shape_field health_fields[] = {
	{ "status", SHAPE_STR, SHAPE_REQUIRED, SHAPE_NO_OFFSET,
	  SHAPE_NO_OFFSET, 0, 0, &status_words,
	  "of the daemon, its database and the flusher" },
	{ "version", SHAPE_STR, SHAPE_REQUIRED, SHAPE_NO_OFFSET,
	  SHAPE_NO_OFFSET, 0, 0, NULL, "of the daemon" },
	{ .name = NULL },
};
static const struct shape health_shape = { "Health", 0, health_fields };
/* clang-format on */

static void health(struct req *req)
{
	bool ready = false, ok;
	struct doc *d;

	if (!req_query(req, &ready))
		return;
	ok = !ready || !req_degraded(req);
	d = doc_object(&req->arena);
	doc_set(&req->arena, d, "status",
		doc_str(&req->arena, ok ? TL_STR("ok") : TL_STR("degraded")));
	doc_set(&req->arena, d, "version",
		doc_str(&req->arena, TL_STR(PACKAGE_VERSION)));
	req_reply(req, ok ? 200 : 503, d);
}

/* clang-format off */
const struct route SYSTEM_ROUTES[] = {
	{ .id = "health", .methods = HTTP_GET, .path = "/health",
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_REPORTS,
	  .query = &health_query,
	  .out = &health_shape, .handler = health,
	  .summary = "Is the daemon up; with ready=1: is all well" },
	{ .id = "getMetrics", .methods = HTTP_GET, .path = "/metrics",
	  .auth = AUTH_SELF, .caller = "addresses of metrics.allow",
	  .flags = ROUTE_INLINE | ROUTE_KEYLESS, .content_type = "text/plain",
	  .handler = metrics_handle,
	  .summary = "Figures of the daemon for Prometheus, in its text "
		     "format" },
	{ .path = NULL },
};
/* clang-format on */
