/*
 * places.h - how many tasks of a kind run on this host, crash-proof.
 *
 * A tag stands for a queue or a tenant of it, see shm_tag.  A process takes
 * and gives places in its own table only, so one that dies takes its places
 * along; see struct shm_task_place.
 * Runs in: runner; reading: all.  Suspends: no.
 */
#ifndef TALLY_SHM_PLACES_H
#define TALLY_SHM_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/shm.h"

/* One more of the tag, if fewer than limit run.  False also when this process
 * runs tasks of too many tags at a time. */
bool shm_place_take(struct shm *s, uint64_t tag, uint32_t limit);
void shm_place_give(struct shm *s, uint64_t tag);
/* How many run on this host. */
uint64_t shm_place_sum(const struct shm *s, uint64_t tag);
/* Of a process that begins, or is dead. */
void shm_places_clear(struct shm *s, uint32_t slot);

#endif
