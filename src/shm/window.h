/*
 * window.h - exact sliding windows and GCRA in shared words.
 *
 * Sliding: a ring of N = 16 cells (epoch:32 | count:32), buckets of
 * W / 14; in no interval of length W are more than L admitted.  Algorithm
 * and proof: check, add, check again with the own cell's value as of the add
 * (`mine`); see window.c.  An admission stays charged for at most W + W/14.
 * GCRA: generic cell rate algorithm (ITU-T I.371), one word, the theoretical
 * arrival time.
 * Time is the monotonic clock, counted from the segment's creation (base_ns).
 */
#ifndef TALLY_SHM_WINDOW_H
#define TALLY_SHM_WINDOW_H

#include "shm/shm.h"

struct shm_ticket { /* how to take a charge back */
	_Atomic uint64_t *cell;
	uint32_t epoch, cost;
	uint64_t gcra_step; /* ns added to the TAT; 0: sliding */
};
struct shm_window_result {
	bool admitted;
	uint32_t sum;	   /* charged now, own cost included if admitted */
	uint64_t reset_ns; /* until the oldest charged bucket leaves; when
			    * refused: until enough is free for cost */
};

/* A reading that proves too old is replaced by a fresh one of the clock. */
void shm_window_check(_Atomic uint64_t ring[SHM_CELLS], uint64_t window_ns,
		      uint32_t limit, uint32_t cost, uint64_t base_ns,
		      uint64_t now_mono_ns, struct shm_ticket *t_r,
		      struct shm_window_result *r_r);
/* As check, writes nothing (dry run, headers). */
void shm_window_peek(const _Atomic uint64_t ring[SHM_CELLS],
		     uint64_t window_ns, uint32_t limit, uint32_t cost,
		     uint64_t now_ns, struct shm_window_result *r_r);
void shm_gcra_check(_Atomic uint64_t *tat, uint64_t window_ns, uint32_t limit,
		    uint32_t burst, uint32_t cost, uint64_t now_ns, bool dry,
		    struct shm_ticket *t_r, struct shm_window_result *r_r);
void shm_ticket_return(const struct shm_ticket *t);
/* Sum of what is charged at now_ns. */
uint32_t shm_window_sum(const _Atomic uint64_t ring[SHM_CELLS],
			uint64_t window_ns, uint64_t now_ns);

/* ---- windows outside keys ---- */
/* Two bits of a tag say what the window is; the caller sets them. */
#define SHM_TAG_STEAL (1ULL << 63) /* address: may be taken over in use */
#define SHM_TAG_GCRA  (1ULL << 62)
#define SHM_TAG_KIND  (SHM_TAG_STEAL | SHM_TAG_GCRA)
/*
 * Finds or makes the window of `tag`.  NULL: the set is full of windows
 * that are in use, or a stripe was not free in 50 ms.  With SHM_TAG_STEAL the
 * oldest one of the same kind is then taken over with its charges.
 * window_ms: how long its charges last.
 */
struct shm_window *shm_window_get(struct shm *s, struct shm_window *table,
				  uint32_t n, uint64_t tag,
				  const uint8_t subject[16],
				  uint64_t window_ms, uint64_t now_mono_ms);
/* Still the window of tag?  Asked after a charge, before it counts. */
bool shm_window_is(const struct shm_window *w, uint64_t tag);
uint64_t shm_tag(const struct shm *s, uint64_t salt, const void *p,
		 uint32_t len); /* never 0; kind bits clear */

#endif
