/*
 * bench.h - how fast this machine decides, on a segment of our own that no
 * daemon sees.
 *
 * It has no name, so nothing is left of it however we end.  Each measurement
 * takes the time it is given; single ones are the median of small batches, so
 * that what else the machine does counts little.
 * Runs in: tallyctl.  Blocks: yes.
 */
#ifndef TALLY_TALLYCTL_BENCH_H
#define TALLY_TALLYCTL_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define BENCH_BATCH 64

struct bench;

/* A segment with so many keys and as many users.  TL_FULL: no room for it. */
enum tl_status bench_new(uint32_t keys, struct bench **b_r,
			 struct tl_err *err) TL_MUST_CHECK;
void bench_free(struct bench **b);
uint64_t bench_bytes(const struct bench *b); /* of the segment */

/* One SHA-256 of a key: the part of a decision that is pure computation. */
double bench_sha256_ns(const struct bench *b, uint32_t ms);
/* One access to memory that waits for the one before it: a decision on a
 * random key cannot be faster than two of them. */
double bench_cold_read_ns(const struct bench *b, uint32_t ms);
/* One decision, charge and record in the ring included; always on one key, or
 * on one of all. */
enum tl_status bench_decision_ns(struct bench *b, bool hot, uint32_t ms,
				 double *ns_r,
				 struct tl_err *err) TL_MUST_CHECK;
/* Of n processes at once, on random keys of the same segment. */
enum tl_status bench_rate(struct bench *b, uint32_t n, uint32_t ms,
			  double *per_second_r,
			  struct tl_err *err) TL_MUST_CHECK;
/* That we may run on. */
uint32_t bench_cpus(void);

#endif
