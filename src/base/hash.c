/*
 * hash.c - see hash.h.
 */
#include "base/hash.h"

#include <stdbool.h>
#include <string.h>

/* Loads are little-endian; the machines we run on are, so this is a move. */
static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t tl_siphash13(const uint8_t seed[16], const void *p, size_t len)
{
	uint64_t k0 = load64(seed), k1 = load64(seed + 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575ULL,
			  k1 ^ 0x646f72616e646f6dULL,
			  k0 ^ 0x6c7967656e657261ULL,
			  k1 ^ 0x7465646279746573ULL };
	uint64_t last = (uint64_t)len << 56;
	const uint8_t *b = p;
	size_t left = len;

	for (; left >= 8; left -= 8, b += 8) {
		uint64_t m = load64(b);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)b[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#define CRC32C_REFLECTED 0x82f63b78u

static uint32_t crc_table[256];

/* Before main, so that no caller can meet a half-filled table. */
__attribute__((constructor)) static void crc_table_fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_REFLECTED : 0);
		crc_table[i] = crc;
	}
}

uint32_t tl_crc32c_portable(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *b = p;

	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ crc_table[(crc ^ b[i]) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)
/* SSE 4.2 has the very polynomial: eight bytes an instruction. */
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const void *p, size_t len)
{
	uint64_t wide = ~crc;
	const uint8_t *b = p;

	for (; len >= 8; len -= 8, b += 8)
		wide = __builtin_ia32_crc32di(wide, load64(b));
	crc = (uint32_t)wide;
	for (; len > 0; len--, b++)
		crc = __builtin_ia32_crc32qi(crc, *b);
	return ~crc;
}
#endif

uint32_t tl_crc32c(uint32_t crc, const void *p, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, p, len);
#endif
	return tl_crc32c_portable(crc, p, len);
}
