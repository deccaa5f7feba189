/*
 * key.h - the text of API keys (metering.md section 3).
 *
 * Pure but for the digest object, fetched at the first use in a process.
 */
#ifndef TALLY_TALLY_KEY_H
#define TALLY_TALLY_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

#define TALLY_KEY_TEXT_MAX   128
#define TALLY_KEY_PREFIX_LEN 20 /* shown; never used for look-up */

struct tally_digest {
	uint8_t b[32];
};

/* 12..128 characters of [A-Za-z0-9._~+/=-]. */
bool tally_key_well_formed(struct tl_str key);
/* SHA-256.  About 0.09 us: digest fetched once, context reused. */
void tally_key_digest(struct tl_str key, struct tally_digest *d_r);
/* brand + "_" + 32 hex digits of the 16 random bytes; NUL-terminated. */
void tally_key_make(const char *brand, const uint8_t random[16],
		    char dst[TALLY_KEY_TEXT_MAX + 1]);
/*
 * "Bearer x" of an Authorization header: scheme without case, blanks around
 * ignored.  False when it is not Bearer or empty.
 */
bool tally_key_from_bearer(struct tl_str header, struct tl_str *key_r);
/* Plain SHA-256 of anything (idempotency bodies, ETags). */
void tally_sha256(const void *p, size_t len, uint8_t d_r[32]);

#endif
