/*
 * decide_bench.c - the decision alone, without HTTP.
 *
 * Random keys of a full segment and one hot key; median of batches, with the
 * time of one SHA-256 of a key in the same run beside it.
 * Usage: decide_bench [KEYS] [DECISIONS]
 */
#include <stdio.h>
#include <stdlib.h>

#include "decide/decide.h"
#include "segment.h"

#define BATCH 64

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static uint64_t rng_state = 88172645463325252ULL;

static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 11) % below;
}

static double digest_ns(void)
{
	struct tally_digest d;
	char text[40];
	uint64_t t0;
	int i;

	segment_key_text(7, text);
	t0 = tl_mono_ns();
	for (i = 0; i < 1000000; i++)
		tally_key_digest((struct tl_str){ text, 37 }, &d);
	return (double)(tl_mono_ns() - t0) / 1e6;
}

/*
 * What one cold access costs on this machine, each waiting for the one
 * before: a decision on a random key cannot be faster than two of them, the
 * directory's bucket and then key and user together.
 */
static double cold_read_ns(const struct shm *s, uint32_t keys)
{
	volatile uint32_t last;
	uint64_t t0 = tl_mono_ns();
	uint32_t i, at = 0;

	for (i = 0; i < 1000000; i++)
		at = (rng(keys) + s->keys[at].key_id[8]) % keys;
	last = at; /* somebody must want to know */
	(void)last;
	return (double)(tl_mono_ns() - t0) / 1e6;
}

static double run(struct decide *d, uint32_t keys, uint32_t n, bool hot)
{
	struct tl_str rid = TL_STR("0123456789abcdef");
	uint32_t batches = n / BATCH, i, j;
	double *ns = calloc(batches, sizeof(*ns)), median;
	char(*text)[40] = calloc(BATCH, 40);
	struct decide_out out;
	uint64_t t0, now;

	for (i = 0; i < batches; i++) {
		for (j = 0; j < BATCH; j++)
			segment_key_text(hot ? 1 : rng(keys), text[j]);
		t0 = tl_mono_ns();
		for (j = 0; j < BATCH; j++) {
			now = tl_mono_ns();
			struct decide_in in = {
				.flags = DECIDE_RATE | DECIDE_CHARGE |
					 DECIDE_401_COUNTS |
					 DECIDE_ADDRESS_KNOWN,
				.key = { text[j], 37 },
				.cost = 1,
				.mono_ns = now,
			};
			decide(d, &in, &out);
			if (out.code != DECIDE_OK) {
				fprintf(stderr, "refused: %s\n",
					decide_code_name(out.code));
				exit(1);
			}
			decide_record(d, &out, DECIDE_D_GATE, &in.client, rid,
				      200, now, now);
		}
		ns[i] = (double)(tl_mono_ns() - t0) / BATCH;
	}
	qsort(ns, batches, sizeof(*ns), by_value);
	median = ns[batches / 2];
	free(ns);
	free(text);
	return median;
}

int main(int argc, char **argv)
{
	uint32_t keys = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000;
	uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 2000000;
	struct shm_sizes z = { .max_keys = keys, .max_addresses = 65536,
			       .max_windows = 65536, .decision_ring = 65536,
			       .idempotency = 65536, .window_ms = 60000 };
	struct shm *s = segment_open_sized(&z, 1ULL << 40);
	struct decide d = { .shm = s, .rules = { .limits_enabled = true,
						 .quota_enabled = true,
						 .metering_enabled = true,
						 .key_count = 2000000000,
						 .address_count = 20,
						 .window_ms = 60000 } };
	struct tally_key_row row;
	uint32_t i;

	for (i = 0; i < keys; i++) {
		segment_row(i, i, &row);
		segment_take_in(s, &row);
	}
	printf("segment: %.1f bytes a key at %u keys and as many users\n",
	       (double)s->total_bytes / keys, keys);
	run(&d, keys, n / 4, false);
	printf("sha-256 of a key:   %6.0f ns\n", digest_ns());
	printf("cold read:          %6.0f ns\n", cold_read_ns(s, keys));
	printf("decision, hot key:  %6.0f ns (median of batches of %d)\n",
	       run(&d, keys, n, true), BATCH);
	printf("decision, random:   %6.0f ns\n", run(&d, keys, n, false));
	segment_close(&s);
	return 0;
}
