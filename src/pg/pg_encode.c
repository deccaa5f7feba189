/*
 * pg_encode.c - C values to binary parameters.
 */
#include <endian.h>
#include <string.h>

#include "pg/pg.h"
#include "pg/pg_codec.h"
#include "pg/pg_oids.h"

void pg_encoded_init(struct pg_encoded *e)
{
	*e = (struct pg_encoded){ .cap = 0 };
	tl_buf_init(&e->bytes);
}

void pg_encoded_deinit(struct pg_encoded *e)
{
	tl_free(e->values);
	tl_free(e->lengths);
	tl_free(e->formats);
	tl_buf_deinit(&e->bytes);
}

static void put16(struct tl_buf *b, uint16_t v)
{
	v = htobe16(v);
	tl_buf_add(b, &v, sizeof(v));
}

static void put32(struct tl_buf *b, uint32_t v)
{
	v = htobe32(v);
	tl_buf_add(b, &v, sizeof(v));
}

static void put64(struct tl_buf *b, uint64_t v)
{
	v = htobe64(v);
	tl_buf_add(b, &v, sizeof(v));
}

static void put_float8(struct tl_buf *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put64(b, bits);
}

/* Unsigned arithmetic: a nonsense time must not be undefined behaviour. */
static void put_timestamp(struct tl_buf *b, int64_t unix_us)
{
	put64(b, (uint64_t)unix_us - PG_EPOCH_US);
}

static void put_date(struct tl_buf *b, int32_t unix_day)
{
	put32(b, (uint32_t)unix_day - PG_EPOCH_DAYS);
}

static void put_str(struct tl_buf *b, enum pg_type type, struct tl_str s)
{
	if (type == PG_JSONB)
		tl_buf_addc(b, PG_JSONB_VERSION);
	if (s.len > 0)
		tl_buf_add(b, s.ptr, s.len);
}

static void put_item(struct tl_buf *b, enum pg_type type, const void *items,
		     uint32_t i)
{
	switch (type) {
	case PG_BOOL:
		tl_buf_addc(b, ((const bool *)items)[i] ? 1 : 0);
		break;
	case PG_INT2:
		put16(b, (uint16_t)((const int16_t *)items)[i]);
		break;
	case PG_INT4:
		put32(b, (uint32_t)((const int32_t *)items)[i]);
		break;
	case PG_INT8:
		put64(b, (uint64_t)((const int64_t *)items)[i]);
		break;
	case PG_FLOAT8:
		put_float8(b, ((const double *)items)[i]);
		break;
	case PG_TIMESTAMPTZ:
		put_timestamp(b, ((const int64_t *)items)[i]);
		break;
	case PG_DATE:
		put_date(b, ((const int32_t *)items)[i]);
		break;
	case PG_UUID:
		tl_buf_add(b, ((const struct tl_uuid *)items)[i].b, 16);
		break;
	case PG_TEXT:
	case PG_BYTEA:
	case PG_JSONB:
		put_str(b, type, ((const struct tl_str *)items)[i]);
		break;
	case PG_ARRAY:
	default:
		tl_assert(!"no such element type");
	}
}

/* Dimensions, flags, element type, (length, lower bound), items. */
static void put_array(struct tl_buf *b, enum pg_type type,
		      const struct pg_array *a)
{
	enum pg_type element = (enum pg_type)(type & ~PG_ARRAY);

	put32(b, a->n > 0 ? 1 : 0);
	put32(b, 0);
	put32(b, pg_type_oid(element));
	if (a->n == 0)
		return;
	put32(b, a->n);
	put32(b, 1);
	for (uint32_t i = 0; i < a->n; i++) {
		size_t at = b->len;
		uint32_t len;

		put32(b, 0);
		put_item(b, element, a->items, i);
		len = htobe32((uint32_t)(b->len - at - 4));
		memcpy(b->ptr + at, &len, sizeof(len));
	}
}

static void put_param(struct tl_buf *b, uint32_t oid, const struct pg_param *p)
{
	if (p->type & PG_ARRAY)
		put_array(b, p->type, &p->array);
	else if (p->type == PG_JSONB && oid == PG_OID_JSON)
		put_str(b, PG_TEXT, p->str);
	else if (p->type == PG_TEXT || p->type == PG_BYTEA ||
		 p->type == PG_JSONB)
		put_str(b, p->type, p->str);
	else
		put_item(b, p->type, &p->boolean, 0); /* all start there */
}

static void reserve(struct pg_encoded *e, uint32_t n)
{
	if (n <= e->cap)
		return;
	e->values = tl_realloc(e->values, n * sizeof(*e->values));
	e->lengths = tl_realloc(e->lengths, n * sizeof(*e->lengths));
	e->formats = tl_realloc(e->formats, n * sizeof(*e->formats));
	e->cap = n;
}

void pg_encode(struct pg_encoded *e, const struct pg_statement *st,
	       const struct pg_param *params)
{
	size_t at = 0;

	reserve(e, st->n_params);
	tl_buf_reset(&e->bytes);
	tl_buf_reserve(&e->bytes, 1); /* an empty text must not be NULL */
	for (uint32_t i = 0; i < st->n_params; i++) {
		uint32_t oid = st->param_oids != NULL ? st->param_oids[i] : 0;

		e->formats[i] = 1;
		at = e->bytes.len;
		if (!params[i].null)
			put_param(&e->bytes, oid, &params[i]);
		e->lengths[i] = (int)(e->bytes.len - at);
	}
	/* Pointers last: the buffer moved while it grew. */
	at = 0;
	for (uint32_t i = 0; i < st->n_params; i++) {
		e->values[i] = params[i].null ? NULL : e->bytes.ptr + at;
		at += (size_t)e->lengths[i];
	}
}
