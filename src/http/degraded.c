/*
 * degraded.c - are the parts behind the segment well?
 *
 * Ready: the database answers, and the flusher has looked at the segment
 * lately.  While it is not, decisions go on: this is for those who balance
 * load, watch, or show figures that may be behind.
 */
#include "http/http_internal.h"

/* How late the flusher may be beyond its longest interval. */
#define FLUSH_LATE_MS 5000

bool req_degraded(struct req *req)
{
	const struct shm_head *head = req->http->shm->head;
	uint64_t now_ms = req->start_mono_ns / TL_NS_PER_MS;

	return atomic_load(&head->database_up) == 0 ||
	       atomic_load(&head->loads_open) == 0 ||
	       atomic_load(&head->flush_level) != 0 ||
	       atomic_load(&head->last_scan_mono_ms) +
			       req->http->conf->metering.flush_interval_max_ms +
			       FLUSH_LATE_MS <=
		       now_ms;
}
