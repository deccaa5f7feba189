/*
 * books.h - what the segment has counted of some keys, and how much of it the
 * database held at a known moment.
 *
 * The counts of a day are: what the database holds, and what of the cells it
 * does not hold yet.  `flushed` alone does not tell that to a reader: it moves
 * some time after the COMMIT.  But a batch has a number, and the database tells
 * its last one in the same snapshot as the sums.  So with L = last_seq there,
 *
 *	counted ever = sums - delivered(L) + counted now
 *
 * where delivered(L) is what of today's cells lies in the batches up to L.
 * The first two terms belong together and do not change any more; the third
 * only grows, and may be read at any later time: there is no race left.
 *
 * Both calls bracket themselves with shm_enter and shm_leave.
 * Runs in: worker, tallyctl.  Suspends: no.
 */
#ifndef TALLY_SHM_BOOKS_H
#define TALLY_SHM_BOOKS_H

#include "shm/shm.h"
#include "tally/key.h"

struct shm_sum { /* of a day */
	uint64_t n[SHM_METRICS];
};

/* Adds what the cells hold to days[day - first_day]; keys that are not held
 * and other days add nothing. */
void shm_books_counted(struct shm *s, const struct tally_digest *keys,
		       uint32_t n_keys, uint32_t first_day, uint32_t n_days,
		       struct shm_sum *days);
/*
 * Adds what of it the batches up to last_seq hold.  False: later ones were
 * handed over, so the caller's figures of the database are behind: take them
 * anew.  If that stays so they went to the spool (head->spool_records), and
 * what was added is all that was handed over, to whomever.
 */
bool shm_books_delivered(struct shm *s, const struct tally_digest *keys,
			 uint32_t n_keys, uint32_t first_day, uint32_t n_days,
			 uint64_t last_seq,
			 struct shm_sum *days) TL_MUST_CHECK;

/*
 * For sums over all keys, which take several turns of the loop.  False: a
 * batch is in work; look again in some milliseconds.  While *mark_r stays the
 * same no `flushed` moves, and the last number handed over is *mark_r.
 */
bool shm_books_mark(const struct shm *s, uint64_t *mark_r) TL_MUST_CHECK;
/* Of all keys. */
struct shm_books {
	struct shm_sum counted, delivered; /* of one day */
	uint64_t pending_keys;		   /* with anything on its way */
};
/*
 * Adds the entries [*next, *next + max) and moves *next on.  False: there are
 * no more.
 */
bool shm_books_page(const struct shm *s, uint32_t day, uint32_t max,
		    uint32_t *next, struct shm_books *sum);

#endif
