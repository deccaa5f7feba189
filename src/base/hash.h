/*
 * hash.h - keyed hash for tables, CRC32C for what is stored.
 *
 * SipHash-1-3 (Aumasson, Bernstein 2012; the reduced rounds as used by
 * hash tables since 2015): table positions that outsiders cannot choose.
 * CRC32C: Castagnoli polynomial 0x1EDC6F41, as iSCSI (RFC 3720).
 */
#ifndef TALLY_BASE_HASH_H
#define TALLY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t tl_siphash13(const uint8_t seed[16], const void *p, size_t len);
uint32_t tl_crc32c(uint32_t crc, const void *p, size_t len); /* start: 0 */
/* The same on machines without the instruction; also what tests compare. */
uint32_t tl_crc32c_portable(uint32_t crc, const void *p, size_t len);

#endif
