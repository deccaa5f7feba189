/*
 * fuzz_msgpack.c - MessagePack in and out.
 *
 * It is taken exactly when a walk over its headers (strict() below) takes it;
 * the tree keeps to doc.h and survives being written and read, as MessagePack
 * and as JSON.
 */
#include <math.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096

struct reading {
	const uint8_t *p, *end;
	unsigned values;
	uint32_t n_names;
};
static struct tl_str names[INPUT_MAX]; /* of the maps that are open */

static bool number(struct reading *r, unsigned bytes, uint64_t *v)
{
	if ((size_t)(r->end - r->p) < bytes)
		return false;
	for (*v = 0; bytes > 0; bytes--)
		*v = *v << 8 | *r->p++;
	return true;
}

static bool text(struct reading *r, uint64_t len, struct tl_str *s)
{
	if ((uint64_t)(r->end - r->p) < len)
		return false;
	*s = (struct tl_str){ (const char *)r->p, (size_t)len };
	r->p += len;
	return utf8_strict(*s) && memchr(s->ptr, '\0', s->len) == NULL;
}

/* A string with its header. */
static bool string(struct reading *r, struct tl_str *s)
{
	uint64_t len;
	uint8_t c;

	if (r->p == r->end)
		return false;
	c = *r->p++;
	if (c >= 0xa0 && c <= 0xbf)
		len = c & 0x1f;
	else if (c < 0xd9 || c > 0xdb || !number(r, 1U << (c - 0xd9), &len))
		return false;
	return text(r, len, s);
}

static bool value(struct reading *r, unsigned depth);

static bool array(struct reading *r, uint64_t n, unsigned depth)
{
	if (depth == DOC_DEPTH_MAX)
		return false;
	for (; n > 0; n--)
		if (!value(r, depth + 1))
			return false;
	return true;
}

static bool map(struct reading *r, uint64_t n, unsigned depth)
{
	uint32_t first = r->n_names;
	struct tl_str name;

	if (depth == DOC_DEPTH_MAX)
		return false;
	for (; n > 0; n--) {
		if (++r->values > DOC_VALUES_MAX || !string(r, &name))
			return false;
		for (uint32_t i = first; i < r->n_names; i++)
			if (tl_str_eq(names[i], name))
				return false;
		names[r->n_names++] = name;
		if (!value(r, depth + 1))
			return false;
	}
	r->n_names = first;
	return true;
}

static bool finite_bits(uint64_t v, bool half)
{
	uint32_t low = (uint32_t)v;
	float f;
	double d;

	memcpy(&f, &low, sizeof(f));
	memcpy(&d, &v, sizeof(d));
	return half ? isfinite(f) != 0 : isfinite(d) != 0;
}

static bool value(struct reading *r, unsigned depth)
{
	struct tl_str s;
	uint64_t v;
	uint8_t c;

	if (r->p == r->end || ++r->values > DOC_VALUES_MAX)
		return false;
	c = *r->p;
	if ((c >= 0xa0 && c <= 0xbf) || (c >= 0xd9 && c <= 0xdb))
		return string(r, &s);
	r->p++;
	if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3)
		return true;
	if (c <= 0x8f)
		return map(r, c & 0x0f, depth);
	if (c <= 0x9f)
		return array(r, c & 0x0f, depth);
	if (c == 0xca || c == 0xcb)
		return number(r, c == 0xca ? 4 : 8, &v) &&
		       finite_bits(v, c == 0xca);
	if (c >= 0xcc && c <= 0xd3)
		return number(r, 1U << (c - 0xcc) % 4, &v);
	if (c == 0xdc || c == 0xdd)
		return number(r, c == 0xdc ? 2 : 4, &v) && array(r, v, depth);
	if (c == 0xde || c == 0xdf)
		return number(r, c == 0xde ? 2 : 4, &v) && map(r, v, depth);
	return false; /* bin, ext, never used */
}

static bool strict(const uint8_t *data, size_t size)
{
	struct reading r = { data, data + size, 0, 0 };

	return value(&r, 0) && r.p == r.end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str in = { (const char *)data, size };
	const struct doc *d;
	struct tl_arena a;
	struct tl_err err;
	bool taken;

	if (size > INPUT_MAX)
		return -1;
	tl_arena_init(&a);
	taken = doc_parse(&a, DOC_MSGPACK, in, &d, &err) == TL_OK;
	tl_assert(taken == strict(data, size));
	if (taken) {
		doc_holds(d, 0);
		doc_survives(d);
	}
	tl_arena_deinit(&a);
	return 0;
}
