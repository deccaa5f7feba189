/*
 * entry.h - what keys, users and extras share: state words, free lists,
 * directories.  Private to this room.
 */
#ifndef TALLY_SHM_ENTRY_H
#define TALLY_SHM_ENTRY_H

#include "shm/shm.h"

/* state:8 | generation:8 | owner slot:16 | gc epoch or spawn:32 */
static inline uint64_t entry_word(enum shm_entry_state st, uint8_t gen,
				  uint32_t slot, uint32_t low)
{
	return ((uint64_t)low << 32) | ((uint64_t)(slot & 0xffff) << 16) |
	       ((uint64_t)gen << 8) | (uint64_t)st;
}
static inline enum shm_entry_state entry_state(uint64_t w)
{
	return (enum shm_entry_state)(w & 0xff);
}
static inline uint8_t entry_gen(uint64_t w)
{
	return (uint8_t)(w >> 8);
}
static inline uint32_t entry_slot(uint64_t w)
{
	return (uint32_t)(w >> 16) & 0xffff;
}
static inline uint32_t entry_low(uint64_t w)
{
	return (uint32_t)(w >> 32);
}
/*
 * DYING is decided by one CAS: the janitor's to RETIRED, or the one of a
 * process that wants the entry, back to LIVE.  So nobody makes a second entry
 * for something that may come back.  True: it is LIVE now.
 */
static inline bool entry_keep(_Atomic uint64_t *state)
{
	uint64_t w = atomic_load(state);

	while (entry_state(w) == SHM_DYING)
		if (atomic_compare_exchange_weak(
			    state, &w, entry_word(SHM_LIVE, entry_gen(w), 0, 0)))
			return true;
	return entry_state(w) == SHM_LIVE;
}
/* To be found: also one that is DYING, see entry_keep. */
static inline bool entry_findable(uint64_t w)
{
	return entry_state(w) == SHM_LIVE || entry_state(w) == SHM_DYING;
}
/* INIT entries: is the process that makes it still there? */
bool entry_owner_alive(const struct shm *s, uint64_t w);

/* One kind of entry: where its words lie.  Makes the code below generic. */
struct entry_table {
	uint8_t *base;
	uint32_t stride, n, state_off, next_off;
	_Atomic uint64_t *free_head, *fresh, *live;
	struct shm_bucket *dir;
	uint32_t buckets;
};
void entry_keys(const struct shm *s, struct entry_table *t_r);
void entry_users(const struct shm *s, struct entry_table *t_r);
void entry_extras(const struct shm *s, struct entry_table *t_r);

static inline _Atomic uint64_t *entry_state_of(const struct entry_table *t,
					       uint32_t i)
{
	return (_Atomic uint64_t *)(void *)(t->base + (size_t)i * t->stride +
					    t->state_off);
}
/* Takes a free entry and marks it INIT of this process; SHM_NONE: full. */
uint32_t entry_alloc(struct shm *s, const struct entry_table *t);
/* State FREE, onto the free list.  Unlinked from the directory before. */
void entry_free(const struct entry_table *t, uint32_t i);

/*
 * Janitor: takes a DYING entry out of the directory, RETIRED with the epoch
 * that begins then.  False: somebody wanted it meanwhile, it is LIVE.
 */
bool entry_retire(struct shm *s, const struct entry_table *t, uint32_t i,
		  uint64_t hash);
/* Janitor: may a RETIRED entry be freed?  Finishes what a kill left. */
bool entry_passed(struct shm *s, const struct entry_table *t, uint32_t i,
		  uint64_t hash);

/* ---- directory: two buckets a hash, entries never move ---- */
static inline uint32_t dir_bucket(uint64_t hash, uint32_t which,
				  uint32_t buckets)
{
	return (uint32_t)(which == 0 ? hash : hash >> 20) & (buckets - 1);
}
static inline uint32_t dir_print(uint64_t hash)
{
	return (uint32_t)(hash >> 52);
}
static inline uint64_t dir_word(uint64_t hash, uint8_t gen, uint32_t index,
				uint32_t hint)
{
	return ((uint64_t)(hint & 0xffffff) << 40) |
	       ((uint64_t)dir_print(hash) << 28) |
	       ((uint64_t)(gen & 0xf) << 24) | (index + 1);
}
static inline uint32_t dir_word_print(uint64_t word)
{
	return (uint32_t)(word >> 28) & 0xfff;
}
static inline bool dir_word_gen_is(uint64_t word, uint8_t gen)
{
	return ((word >> 24) & 0xf) == (gen & 0xf);
}
static inline uint32_t dir_word_hint(uint64_t word)
{
	return (uint32_t)(word >> 40);
}
static inline uint32_t dir_index(uint64_t word)
{
	return ((uint32_t)word & 0xffffff) - 1;
}
/* Publishes in the emptier bucket; false: both are full.  hint: an index
 * worth fetching together with this entry, 0 none. */
bool dir_insert(const struct entry_table *t, uint64_t hash, uint8_t gen,
		uint32_t index, uint32_t hint);
void dir_remove(const struct entry_table *t, uint64_t hash, uint32_t index);
uint64_t dir_hash(const struct shm *s, const void *p, uint32_t len);

#endif
