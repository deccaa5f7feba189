/*
 * fuzz.h - what the harnesses share.
 *
 * A harness hands libFuzzer's bytes to one reader of tallyd and asserts what
 * that reader promises, tl_assert being the finding.  Where a promise has two
 * sides the other one is told by a reading of its own that is short, slow and
 * shares no code with tallyd (json_strict.c and the like).
 */
#ifndef TALLY_TESTS_FUZZ_FUZZ_H
#define TALLY_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes to make decisions of; zeroes when they are used up. */
struct fuzz_bytes {
	const uint8_t *p;
	size_t n;
};
static inline uint8_t fuzz_u8(struct fuzz_bytes *b)
{
	if (b->n == 0)
		return 0;
	b->n--;
	return *b->p++;
}
static inline uint32_t fuzz_u16(struct fuzz_bytes *b)
{
	uint32_t high = fuzz_u8(b);

	return high << 8 | fuzz_u8(b);
}
static inline uint64_t fuzz_u64(struct fuzz_bytes *b)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | fuzz_u8(b);
	return v;
}
static inline struct tl_str fuzz_rest(const struct fuzz_bytes *b)
{
	return (struct tl_str){ (const char *)b->p, b->n };
}

/* doc_same.c: the same tree, numbers to the last bit. */
bool doc_same(const struct doc *a, const struct doc *b);
/* What every accepted document keeps to. */
void doc_holds(const struct doc *d, unsigned depth);
/* Written in both formats and read again it is the same tree, and its second
 * writing has the bytes of the first. */
void doc_survives(const struct doc *d);

/* json_strict.c: RFC 8259 and the rules of codec/doc.h, in one sentence. */
bool json_strict(struct tl_str in);
/* RFC 3629. */
bool utf8_strict(struct tl_str s);

#endif
