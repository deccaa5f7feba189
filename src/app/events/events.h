/*
 * events.h - GET /api/events: what happens to the caller's keys, as it does.
 *
 * Every worker follows the decision ring for those of its streams: what was
 * decided in any worker arrives.  Its positions, with the segment's identity,
 * are the ids of the events, so a client can go on in another worker and after
 * a restart of the daemon, as long as the ring holds what came since.
 * Runs in: worker.  Suspends: no.
 */
#ifndef TALLY_APP_EVENTS_EVENTS_H
#define TALLY_APP_EVENTS_EVENTS_H

#include "http/http.h"
#include "http/sse.h"

extern const struct route EVENTS_ROUTES[];
extern const struct shape EVENTS_SHAPE;

void events_handle(struct req *req);

/* ---- what is written; inside this room ---- */

struct events_ring {
	const struct shm *shm;
	bool metering; /* otherwise nothing was charged, whatever was asked */
};
/* What somebody is to be told of: the newest positions. */
struct events_recent {
	uint64_t seen; /* how many there were */
	uint32_t max;  /* of them are kept: pos[seen % max] is the oldest */
	uint64_t *pos;
};
/* The record there is one of that somebody's requests. */
void events_note(const struct events_ring *ring, struct events_recent *r,
		 uint64_t pos);

/* pos: where a client that has got the event goes on. */
void events_write_usage(const struct events_ring *ring, uint64_t pos,
			const struct decide_usage *u, struct tl_buf *b);
/* reason: "too_old", "unknown". */
void events_write_reset(const struct events_ring *ring, uint64_t pos,
			const char *reason, struct tl_buf *b);
/* Without an id: who connects again goes on behind the last event that has
 * come, and something may not have come. */
void events_write_bye(const char *reason, struct tl_buf *b);
/* What r has seen, oldest first; how many events that became. */
uint32_t events_write_requests(const struct events_ring *ring,
			       const struct events_recent *r, struct tl_buf *b);

/*
 * Last-Event-ID.  TL_INVALID: not of this segment; TL_NOT_FOUND: the ring has
 * gone over what came since.
 */
enum tl_status events_resume(const struct events_ring *ring, struct tl_str id,
			     uint64_t *pos_r);

#endif
