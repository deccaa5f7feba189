/*
 * pg_decode.c - binary rows to structs.
 */
#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "pg/pg.h"
#include "pg/pg_codec.h"
#include "pg/pg_oids.h"

static uint32_t get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static bool oid_fits(enum pg_type type, uint32_t oid)
{
	if (type == PG_TEXT)
		return oid == PG_OID_TEXT || oid == PG_OID_VARCHAR ||
		       oid == PG_OID_BPCHAR || oid == PG_OID_NAME ||
		       oid >= PG_OID_FIRST_OF_USERS;
	return oid == pg_type_oid(type);
}

/* Arrays tell their element's type inside; built-in scalars are not arrays. */
static bool column_fits(enum pg_type type, uint32_t oid)
{
	if (type & PG_ARRAY)
		return oid != pg_type_oid((enum pg_type)(type & ~PG_ARRAY));
	return oid_fits(type, oid);
}

static size_t item_bytes(enum pg_type type)
{
	switch (type) {
	case PG_BOOL:
		return sizeof(bool);
	case PG_INT2:
		return sizeof(int16_t);
	case PG_INT4:
	case PG_DATE:
		return sizeof(int32_t);
	case PG_INT8:
	case PG_TIMESTAMPTZ:
		return sizeof(int64_t);
	case PG_FLOAT8:
		return sizeof(double);
	case PG_UUID:
		return sizeof(struct tl_uuid);
	case PG_TEXT:
	case PG_BYTEA:
	case PG_JSONB:
		return sizeof(struct tl_str);
	case PG_ARRAY:
	default:
		tl_assert(!"no such element type");
	}
	return 0;
}

/* Bytes on the wire; -1: any number. */
static int wire_bytes(enum pg_type type)
{
	switch (type) {
	case PG_BOOL:
		return 1;
	case PG_INT2:
		return 2;
	case PG_INT4:
	case PG_DATE:
		return 4;
	case PG_INT8:
	case PG_TIMESTAMPTZ:
	case PG_FLOAT8:
		return 8;
	case PG_UUID:
		return 16;
	default:
		return -1;
	}
}

static bool get_timestamp(const char *p, void *dst)
{
	int64_t us = (int64_t)get64(p), unix_us;

	if (us == INT64_MAX || us == INT64_MIN) /* infinity is no time */
		return false;
	if (__builtin_add_overflow(us, (int64_t)PG_EPOCH_US, &unix_us))
		return false;
	memcpy(dst, &unix_us, sizeof(unix_us));
	return true;
}

static bool get_date(const char *p, void *dst)
{
	int32_t day = (int32_t)get32(p);

	if (day == INT32_MAX || day == INT32_MIN)
		return false;
	if (__builtin_add_overflow(day, (int32_t)PG_EPOCH_DAYS, &day))
		return false;
	memcpy(dst, &day, sizeof(day));
	return true;
}

static bool get_str(enum pg_type type, const char *p, size_t len,
		    struct tl_arena *arena, void *dst)
{
	struct tl_str s;
	char *copy;

	if (type == PG_JSONB) {
		if (len < 1 || p[0] != PG_JSONB_VERSION)
			return false;
		p++;
		len--;
	}
	/* Not strndup: a bytea may hold NULs. */
	copy = tl_arena_alloc(arena, len + 1);
	memcpy(copy, p, len);
	s = (struct tl_str){ copy, len };
	memcpy(dst, &s, sizeof(s));
	return true;
}

static bool get_item(enum pg_type type, const char *p, int len,
		     struct tl_arena *arena, void *dst)
{
	uint16_t half;
	uint32_t word;
	uint64_t wide;
	bool flag;

	if (len < 0 || (wire_bytes(type) >= 0 && len != wire_bytes(type)))
		return false;
	switch (type) {
	case PG_BOOL:
		flag = p[0] != 0;
		memcpy(dst, &flag, sizeof(flag));
		return true;
	case PG_INT2:
		memcpy(&half, p, sizeof(half));
		half = be16toh(half);
		memcpy(dst, &half, sizeof(half));
		return true;
	case PG_INT4:
		word = get32(p);
		memcpy(dst, &word, sizeof(word));
		return true;
	case PG_INT8:
	case PG_FLOAT8:
		wide = get64(p);
		memcpy(dst, &wide, sizeof(wide));
		return true;
	case PG_TIMESTAMPTZ:
		return get_timestamp(p, dst);
	case PG_DATE:
		return get_date(p, dst);
	case PG_UUID:
		memcpy(dst, p, 16);
		return true;
	default:
		return get_str(type, p, (size_t)len, arena, dst);
	}
}

static bool get_array(enum pg_type element, const char *p, size_t len,
		      struct tl_arena *arena, void *dst)
{
	struct pg_array a = { .n = 0 };
	const char *end = p + len;
	char *items;

	if (len < 12 || !oid_fits(element, get32(p + 8)))
		return false;
	if (get32(p) == 0) {
		memcpy(dst, &a, sizeof(a));
		return true;
	}
	if (get32(p) != 1 || len < 20)
		return false;
	a.n = get32(p + 12);
	p += 20;
	if (a.n > (size_t)(end - p) / 4) /* each item has a length in front */
		return false;
	items = tl_arena_alloc(arena, a.n * item_bytes(element));
	a.items = items;
	for (uint32_t i = 0; i < a.n; i++) {
		int item_len;

		if (end - p < 4)
			return false;
		item_len = (int)get32(p); /* -1: NULL, refused below */
		p += 4;
		if (item_len > end - p ||
		    !get_item(element, p, item_len, arena, items))
			return false;
		p += item_len;
		items += item_bytes(element);
	}
	memcpy(dst, &a, sizeof(a));
	return p == end;
}

enum tl_status pg_decode_check(const PGresult *res,
			       const struct pg_statement *st,
			       struct tl_err *err)
{
	if (PQnfields(res) != (int)st->n_columns)
		return tl_err_set(err, TL_BROKEN,
				  "%.100s: %d columns came, want %u", st->name,
				  PQnfields(res), st->n_columns);
	for (int i = 0; i < PQnfields(res); i++)
		if (!column_fits(st->columns[i].type, PQftype(res, i)) ||
		    PQfformat(res, i) != 1)
			return tl_err_set(err, TL_BROKEN,
					  "%.100s: column '%.64s' came with "
					  "type %u",
					  st->name, PQfname(res, i),
					  PQftype(res, i));
	return TL_OK;
}

static bool get_column(const struct pg_column *c, const char *p, int len,
		       struct tl_arena *arena, char *dst)
{
	if (c->type & PG_ARRAY)
		return get_array((enum pg_type)(c->type & ~PG_ARRAY), p,
				 (size_t)len, arena, dst);
	return get_item(c->type, p, len, arena, dst);
}

enum tl_status pg_decode_row(const PGresult *res, int row,
			     const struct pg_statement *st,
			     struct tl_arena *arena, void *row_r,
			     struct tl_err *err)
{
	const bool yes = true;

	memset(row_r, 0, st->row_bytes);
	for (int i = 0; i < (int)st->n_columns; i++) {
		const struct pg_column *c = &st->columns[i];

		if (PQgetisnull(res, row, i)) {
			if (!c->nullable)
				return tl_err_set(err, TL_BROKEN,
						  "%.100s: column '%.64s' is "
						  "NULL and must not be",
						  st->name, PQfname(res, i));
			memcpy((char *)row_r + c->null_offset, &yes,
			       sizeof(yes));
			continue;
		}
		if (!get_column(c, PQgetvalue(res, row, i),
				PQgetlength(res, row, i), arena,
				(char *)row_r + c->offset))
			return tl_err_set(err, TL_BROKEN,
					  "%.100s: column '%.64s' does not fit "
					  "its type",
					  st->name, PQfname(res, i));
	}
	return TL_OK;
}
