/*
 * days.h - a user's usage by day, all charges so far included.
 *
 * In two steps, because one waits and the other must come after the request's
 * own charge: days_open gets what the database holds, days_sum adds what the
 * segment has counted (shm/books.h says why that is exact).
 *
 * Credits and requests of today are the segment's own words, the same as
 * /api/usage/today.  The cost of today, and all figures of yesterday while
 * they are on their way, are the database's plus what it has not yet got.
 * What is behind for a while:
 *  - batches that an outage has put into the spool are in no other figure
 *    than today's credits and requests until they are replayed, unless this
 *    worker knew the user before;
 *  - other hosts' usage: until their next flush, and keys.refresh_seconds.
 */
#ifndef TALLY_APP_METERING_DAYS_H
#define TALLY_APP_METERING_DAYS_H

#include "http/http.h"

#define DAYS_MAX 90

struct days_sum {
	uint64_t credits, requests, cost_micro_usd;
};
struct days_book; /* lives in the request's arena */

/*
 * The caller's n_days dates up to `last`.  With the database away the last
 * known will do: the segment has counted everything since.  TL_UNAVAILABLE:
 * this worker knows nothing of the user.  Suspends: yes.
 */
enum tl_status days_open(struct req *req, uint32_t last, uint32_t n_days,
			 const struct days_book **book_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* days: n_days of them, newest first.  Suspends: no. */
void days_sum(struct req *req, const struct days_book *book,
	      struct days_sum *days);

#endif
