/*
 * stripe.h - the insertion locks: robust mutexes shared by the processes.
 *
 * Held only while one word is published; no fork, malloc, log or system call
 * under one.  A dead holder's lock is taken over: every step under it was one
 * published word, so there is nothing to repair.
 */
#ifndef TALLY_SHM_STRIPE_H
#define TALLY_SHM_STRIPE_H

#include "shm/shm.h"

/* Which stripe: the bits of the hash above these. */
#define SHM_STRIPE_SHIFT 50

void shm_stripes_init(struct shm *s); /* fresh segment */
/* False after 50 ms (counted): the caller answers 503, never waits longer. */
bool shm_stripe_lock(struct shm *s, uint64_t hash);
void shm_stripe_unlock(struct shm *s, uint64_t hash);

#endif
