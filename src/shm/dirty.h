/*
 * dirty.h - the dirty bits: keys first, idempotency records behind them.
 *
 * Only a hint: a full scan finds what a killed worker did not mark.
 */
#ifndef TALLY_SHM_DIRTY_H
#define TALLY_SHM_DIRTY_H

#include "shm/shm.h"

static inline void dirty_bit(struct shm *s, uint32_t word, uint32_t bit)
{
	_Atomic uint64_t *w = &s->dirty[word];

	/* seq_cst load: set after the add, read by the flusher before it
	 * reads the cells */
	if ((atomic_load(w) & (1ULL << bit)) == 0)
		atomic_fetch_or(w, 1ULL << bit);
}
static inline void dirty_set(struct shm *s, uint32_t key)
{
	dirty_bit(s, key / 64, key % 64);
}
static inline uint32_t dirty_idem_word(const struct shm *s)
{
	return (s->n_keys + 63) / 64;
}
static inline void dirty_idem_set(struct shm *s, uint32_t idem)
{
	dirty_bit(s, dirty_idem_word(s) + idem / 64, idem % 64);
}
uint64_t usage_cell_pending(uint64_t cell, uint64_t flushed);
/* Has place p a refusal that is not handed over yet?  Of which day. */
bool usage_refusal_pending(const struct shm_user *u, uint32_t p,
			   uint32_t *day_r);

#endif
