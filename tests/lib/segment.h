/*
 * segment.h - a small segment with one plan, for tests of shm and decide.
 */
#ifndef TALLY_TESTS_SEGMENT_H
#define TALLY_TESTS_SEGMENT_H

#include "shm/entries.h"
#include "shm/policy.h"
#include "shm/shm.h"

#define SEGMENT_DAY 20000

/* Fresh segment of a name of this process; slot 1 taken.  Plan 1 has
 * `plan_limit` credits.  Ends the test program on failure. */
struct shm *segment_open(uint32_t max_keys, uint64_t plan_limit);
struct shm *segment_open_sized(const struct shm_sizes *z, uint64_t plan_limit);
void segment_close(struct shm **s);
const char *segment_instance(void);
/* Key number n of user number u: "key-000000n" padded; ids from numbers. */
void segment_row(uint32_t n, uint32_t u, struct tally_key_row *row_r);
void segment_key_text(uint32_t n, char dst[40]);
/* Takes the row in and asserts success. */
void segment_take_in(struct shm *s, const struct tally_key_row *row);

#endif
