/*
 * doc_msgpack.c - MessagePack in: a scan of ours, then msgpack-c, the tree.
 *
 * msgpack-c believes the counts it reads (five bytes can make it allocate
 * gigabytes), takes bin, ext and keys of any type and does not look at
 * UTF-8.  So the scan walks the headers first and passes only what the house
 * takes, with every count bounded by the bytes that follow.
 */
#include <msgpack.h>

#include <math.h>

#include "base/fd.h"
#include "base/hash.h"
#include "codec/doc_pool.h"

struct scan {
	const unsigned char *begin, *at, *end;
	uint32_t depth;
	struct {
		uint64_t left; /* values, and names in a map */
		bool map;
	} levels[DOC_DEPTH_MAX];
	struct doc_sizes sizes;
	struct tl_err *err;
};

static enum tl_status refuse(const struct scan *s, const char *why)
{
	return tl_err_set(s->err, TL_INVALID, "at byte %zu: %s",
			  (size_t)(s->at - s->begin), why);
}

/* What a first byte says: how many bytes follow as a number, and as what. */
enum kind { K_SCALAR, K_STR, K_ARRAY, K_MAP, K_BIN, K_EXT, K_NEVER };
struct head {
	enum kind kind;
	unsigned fixed; /* K_SCALAR: bytes behind; else: the count itself */
	unsigned count_bytes; /* 0: the count is in `fixed` */
};

static struct head head_of(unsigned char c)
{
	static const struct head rest[0xe0 - 0xc0] = {
		{ K_SCALAR, 0, 0 }, { K_NEVER, 0, 0 },  /* nil, unused */
		{ K_SCALAR, 0, 0 }, { K_SCALAR, 0, 0 }, /* false, true */
		{ K_BIN, 0, 1 },    { K_BIN, 0, 2 },    { K_BIN, 0, 4 },
		{ K_EXT, 0, 1 },    { K_EXT, 0, 2 },    { K_EXT, 0, 4 },
		{ K_SCALAR, 4, 0 }, { K_SCALAR, 8, 0 }, /* float */
		{ K_SCALAR, 1, 0 }, { K_SCALAR, 2, 0 }, /* uint */
		{ K_SCALAR, 4, 0 }, { K_SCALAR, 8, 0 }, /* uint */
		{ K_SCALAR, 1, 0 }, { K_SCALAR, 2, 0 }, /* int */
		{ K_SCALAR, 4, 0 }, { K_SCALAR, 8, 0 }, /* int */
		{ K_EXT, 0, 0 },    { K_EXT, 0, 0 },    { K_EXT, 0, 0 },
		{ K_EXT, 0, 0 },    { K_EXT, 0, 0 }, /* fixext */
		{ K_STR, 0, 1 },    { K_STR, 0, 2 },    { K_STR, 0, 4 },
		{ K_ARRAY, 0, 2 },  { K_ARRAY, 0, 4 },  { K_MAP, 0, 2 },
		{ K_MAP, 0, 4 },
	};

	if (c <= 0x7f || c >= 0xe0)
		return (struct head){ K_SCALAR, 0, 0 };
	if (c <= 0x8f)
		return (struct head){ K_MAP, c & 0x0f, 0 };
	if (c <= 0x9f)
		return (struct head){ K_ARRAY, c & 0x0f, 0 };
	if (c <= 0xbf)
		return (struct head){ K_STR, c & 0x1f, 0 };
	return rest[c - 0xc0];
}

static enum tl_status scan_str(struct scan *s, const unsigned char *body,
			       uint64_t len)
{
	if (len > (uint64_t)(s->end - body))
		return refuse(s, "string is longer than the input");
	if (!tl_utf8_valid((struct tl_str){ (const char *)body, (size_t)len },
			   NULL))
		return refuse(s, "string is not valid UTF-8");
	if (memchr(body, '\0', (size_t)len) != NULL)
		return refuse(s, "NUL is not allowed in a string");
	s->at = body + len;
	return TL_OK;
}

static enum tl_status scan_container(struct scan *s, const unsigned char *body,
				     uint64_t n, bool map)
{
	uint64_t need = map ? n * 2 : n; /* at least a byte each */

	if (need > (uint64_t)(s->end - body))
		return refuse(s, map ? "map says more members than follow"
				     : "array says more items than follow");
	if (s->depth == DOC_DEPTH_MAX)
		return refuse(s, "nested too deep");
	s->levels[s->depth].left = need;
	s->levels[s->depth].map = map;
	s->depth++;
	s->at = body;
	return TL_OK;
}

/* One value or name, without what is inside of it. */
static enum tl_status scan_one(struct scan *s, bool name)
{
	struct head h = head_of(*s->at);
	const unsigned char *body = s->at + 1;
	uint64_t n = h.fixed;

	if ((size_t)(s->end - body) < h.count_bytes)
		return refuse(s, "ends inside a value");
	for (unsigned i = 0; i < h.count_bytes; i++)
		n = n << 8 | *body++;
	if (name && h.kind != K_STR)
		return refuse(s, "map key is not a string");
	switch (h.kind) {
	case K_SCALAR:
		if (n > (uint64_t)(s->end - body))
			return refuse(s, "ends inside a value");
		s->at = body + n;
		return TL_OK;
	case K_STR:
		return scan_str(s, body, n);
	case K_ARRAY:
	case K_MAP:
		return scan_container(s, body, n, h.kind == K_MAP);
	case K_BIN:
		return refuse(s, "binary data is not accepted, send a string");
	case K_EXT:
		return refuse(s, "extension types are not accepted");
	default:
		return refuse(s, "byte 0xc1 is not MessagePack");
	}
}

enum tl_status doc_scan_msgpack(struct tl_str in, struct doc_sizes *sizes_r,
				struct tl_err *err)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	struct scan s = { .begin = p, .at = p, .end = p + in.len, .err = err };
	enum tl_status st;
	bool name;

	do {
		if (s.at == s.end)
			return refuse(&s, in.len == 0 ? "no value"
						      : "ends too early");
		name = false;
		if (s.depth > 0) {
			struct {
				uint64_t left;
				bool map;
			} top = { s.levels[s.depth - 1].left--,
				  s.levels[s.depth - 1].map };
			name = top.map && top.left % 2 == 0;
		}
		if (name)
			s.sizes.members++;
		else
			s.sizes.values++;
		if (s.sizes.values + s.sizes.members > DOC_VALUES_MAX)
			return refuse(&s, "too many values");
		st = scan_one(&s, name);
		if (st != TL_OK)
			return st;
		while (s.depth > 0 && s.levels[s.depth - 1].left == 0)
			s.depth--;
	} while (s.depth > 0);
	if (s.at < s.end)
		return refuse(&s, "more bytes behind the value");
	*sizes_r = s.sizes;
	return TL_OK;
}

/* ---- names once each ---- */

static bool unique_small(const struct doc *d)
{
	for (uint32_t i = 1; i < d->n; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (tl_str_eq(d->members[i].name, d->members[k].name))
				return false;
		}
	}
	return true;
}

/* A keyed hash, so that nobody can choose names that all meet. */
static bool unique_large(const struct doc *d)
{
	static uint8_t seed[16];
	static bool seeded;
	uint32_t slots = 64;
	uint32_t *table; /* member index + 1 */
	bool unique = true;

	if (!seeded) {
		tl_random(seed, sizeof(seed));
		seeded = true;
	}
	while (slots < d->n * 2)
		slots *= 2;
	table = tl_alloc_array(slots, sizeof(*table));
	for (uint32_t i = 0; i < d->n && unique; i++) {
		struct tl_str name = d->members[i].name;
		uint32_t at = (uint32_t)tl_siphash13(seed, name.ptr, name.len);

		for (at &= slots - 1; table[at] != 0;
		     at = (at + 1) & (slots - 1)) {
			if (tl_str_eq(d->members[table[at] - 1].name, name))
				unique = false;
		}
		table[at] = i + 1;
	}
	tl_free(table);
	return unique;
}

/* ---- the tree ---- */

static enum tl_status convert(struct doc_pool *p, const msgpack_object *o,
			      const struct doc **doc_r, struct tl_err *err);

static enum tl_status convert_map(struct doc_pool *p,
				  const msgpack_object_map *map,
				  const struct doc **doc_r, struct tl_err *err)
{
	struct doc *d = doc_pool_node(p, DOC_OBJECT);
	enum tl_status st;

	doc_pool_object(p, d, map->size);
	for (uint32_t i = 0; i < d->n; i++) {
		const msgpack_object_kv *kv = &map->ptr[i];

		d->members[i].name = doc_pool_str(p, kv->key.via.str.ptr,
						  kv->key.via.str.size);
		st = convert(p, &kv->val, &d->members[i].value, err);
		if (st != TL_OK)
			return st;
	}
	if (!(d->n <= 16 ? unique_small(d) : unique_large(d)))
		return tl_err_set(err, TL_INVALID,
				  "an object names a member twice");
	*doc_r = d;
	return TL_OK;
}

static enum tl_status convert_array(struct doc_pool *p,
				    const msgpack_object_array *array,
				    const struct doc **doc_r,
				    struct tl_err *err)
{
	struct doc *d = doc_pool_node(p, DOC_ARRAY);
	enum tl_status st;

	doc_pool_array(p, d, array->size);
	for (uint32_t i = 0; i < d->n; i++) {
		st = convert(p, &array->ptr[i], &d->items[i], err);
		if (st != TL_OK)
			return st;
	}
	*doc_r = d;
	return TL_OK;
}

static enum tl_status convert(struct doc_pool *p, const msgpack_object *o,
			      const struct doc **doc_r, struct tl_err *err)
{
	struct doc *d;

	switch (o->type) {
	case MSGPACK_OBJECT_MAP:
		return convert_map(p, &o->via.map, doc_r, err);
	case MSGPACK_OBJECT_ARRAY:
		return convert_array(p, &o->via.array, doc_r, err);
	case MSGPACK_OBJECT_NIL:
		*doc_r = doc_null();
		return TL_OK;
	case MSGPACK_OBJECT_BOOLEAN:
		*doc_r = doc_bool(o->via.boolean);
		return TL_OK;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		d = doc_pool_node(p,
				  o->via.u64 > INT64_MAX ? DOC_UINT : DOC_INT);
		d->u = o->via.u64; /* the same bits as i */
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		d = doc_pool_node(p, DOC_INT);
		d->i = o->via.i64;
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		if (!isfinite(o->via.f64))
			return tl_err_set(err, TL_INVALID,
					  "NaN and infinity are not accepted");
		d = doc_pool_node(p, DOC_DOUBLE);
		d->d = o->via.f64;
		break;
	case MSGPACK_OBJECT_STR:
		d = doc_pool_node(p, DOC_STR);
		d->str = doc_pool_str(p, o->via.str.ptr, o->via.str.size);
		break;
	default: /* the scan lets no other pass */
		return tl_err_set(err, TL_BROKEN, "msgpack-c has a new type");
	}
	*doc_r = d;
	return TL_OK;
}

enum tl_status doc_parse_msgpack(struct tl_arena *a, struct tl_str in,
				 const struct doc **doc_r, struct tl_err *err)
{
	const struct doc *d = NULL;
	msgpack_unpacked up;
	struct doc_sizes sizes;
	struct doc_pool pool;
	msgpack_unpack_return got;
	enum tl_status st;
	size_t at = 0;

	st = doc_scan_msgpack(in, &sizes, err);
	if (st != TL_OK)
		return st;
	msgpack_unpacked_init(&up);
	got = msgpack_unpack_next(&up, in.ptr, in.len, &at);
	if (got == MSGPACK_UNPACK_NOMEM_ERROR)
		tl_out_of_memory();
	if (got != MSGPACK_UNPACK_SUCCESS || at != in.len) {
		st = tl_err_set(err, TL_INVALID, "at byte %zu: not MessagePack",
				at);
	} else {
		/* Each string has a header byte that its NUL can take. */
		doc_pool_init(&pool, a, &sizes, in.len);
		st = convert(&pool, &up.data, &d, err);
	}
	msgpack_unpacked_destroy(&up);
	if (st == TL_OK)
		*doc_r = d;
	return st;
}
