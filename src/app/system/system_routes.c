#include "config.h"

#include "app/system/system.h"

/* How late the flusher may be beyond its longest interval. */
#define FLUSH_LATE_MS 5000

/*
 * Ready: the database answers, and the flusher has looked at the segment
 * lately.  While it is not, decisions go on: this is for those who balance
 * load or watch.
 */
static bool is_ready(struct req *req)
{
	const struct shm_head *head = req_decide(req)->shm->head;
	const struct conf *conf = req_conf(req);
	uint64_t now_ms = req->start_mono_ns / TL_NS_PER_MS;

	return atomic_load(&head->database_up) != 0 &&
	       atomic_load(&head->loads_open) != 0 &&
	       atomic_load(&head->flush_level) == 0 &&
	       atomic_load(&head->last_scan_mono_ms) +
			       conf->metering.flush_interval_max_ms +
			       FLUSH_LATE_MS >
		       now_ms;
}

static void health(struct req *req)
{
	int64_t ready;
	bool ok;
	struct doc *d;

	if (!req_query_int(req, "ready", 0, 0, 1, &ready))
		return;
	ok = ready == 0 || is_ready(req);
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
	{ .path = NULL },
};
