/*
 * ring.h - the decision ring: why each request was let in or refused.
 */
#ifndef TALLY_SHM_RING_H
#define TALLY_SHM_RING_H

#include "shm/shm.h"

/* A record to fill in place; publish it with shm_ring_publish. */
struct shm_decision *shm_ring_claim(struct shm *s, uint64_t *pos_r);
void shm_ring_publish(struct shm_decision *d, uint64_t pos);
/* Copies the record at pos; false when overwritten or not yet whole. */
bool shm_ring_read(const struct shm *s, uint64_t pos,
		   struct shm_decision *copy_r);
uint64_t shm_ring_next(const struct shm *s); /* positions below exist */
/*
 * Whose record stands at pos, a position below shm_ring_next?  For readers who
 * follow the ring and want the records of a few: it looks at one cache line.
 * NOT_YET: it is being written, or its writer died meanwhile; GONE:
 * overwritten.  All zero: nobody's.
 */
enum shm_ring_found { SHM_RING_NOT_YET, SHM_RING_WHOLE, SHM_RING_GONE };
enum shm_ring_found shm_ring_owner(const struct shm *s, uint64_t pos,
				   struct tl_uuid *user_id_r);
/* Newest record of a request id; false when none is left. */
bool shm_ring_find(const struct shm *s, struct tl_str request_id,
		   struct shm_decision *copy_r);

#endif
