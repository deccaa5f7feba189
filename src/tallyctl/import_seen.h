/*
 * import_seen.h - which hashes a file has named, and on what line.
 *
 * All of them: 36 bytes each, at most half of the room again.
 */
#ifndef TALLY_TALLYCTL_IMPORT_SEEN_H
#define TALLY_TALLYCTL_IMPORT_SEEN_H

#include <stdint.h>

#include "tally/key.h"

struct import_seen_entry {
	uint32_t line; /* 0: free */
	struct tally_digest digest;
};
struct import_seen {
	struct import_seen_entry *entries;
	uint32_t n, cap; /* cap is a power of two */
};

void import_seen_init(struct import_seen *s);
void import_seen_deinit(struct import_seen *s);
/* 0, and it is noted; or the line that named it before. */
uint32_t import_seen_add(struct import_seen *s, const struct tally_digest *d,
			 uint32_t line);

#endif
