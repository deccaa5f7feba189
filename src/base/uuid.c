/*
 * uuid.c - the UUIDs of str.h (RFC 9562).
 */
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

/* Bytes of each group: 8-4-4-4-12 hex digits. */
static const uint8_t groups[] = { 4, 2, 2, 2, 6 };

void tl_uuid_format(const struct tl_uuid *u, char dst[TL_UUID_TEXT])
{
	const uint8_t *b = u->b;

	for (size_t g = 0; g < sizeof(groups); g++) {
		if (g > 0)
			*dst++ = '-';
		tl_hex(b, groups[g], dst);
		dst += (size_t)groups[g] * 2;
		b += groups[g];
	}
}

bool tl_uuid_parse(struct tl_str s, struct tl_uuid *u_r)
{
	struct tl_uuid u;
	uint8_t *b = u.b;
	size_t at = 0;

	if (s.len != TL_UUID_TEXT - 1)
		return false;
	for (size_t g = 0; g < sizeof(groups); g++) {
		size_t n = (size_t)groups[g] * 2;

		if (g > 0 && s.ptr[at++] != '-')
			return false;
		if (!tl_unhex((struct tl_str){ s.ptr + at, n }, b, groups[g]))
			return false;
		at += n;
		b += groups[g];
	}
	*u_r = u;
	return true;
}

struct tl_uuid tl_uuid_random(void)
{
	struct tl_uuid u;

	tl_random(u.b, sizeof(u.b));
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40); /* version 4 */
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80); /* variant of the RFC */
	return u;
}
