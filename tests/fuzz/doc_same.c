/*
 * doc_same.c - what holds for every document, whatever it was read from.
 */
#include <math.h>

#include "tests/fuzz/fuzz.h"

bool doc_same(const struct doc *a, const struct doc *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case DOC_NULL:
		return true;
	case DOC_BOOL:
		return a->boolean == b->boolean;
	case DOC_INT:
	case DOC_UINT:
	case DOC_USD:
		return a->u == b->u;
	case DOC_DOUBLE:
		return memcmp(&a->d, &b->d, sizeof(a->d)) == 0;
	case DOC_STR:
		return tl_str_eq(a->str, b->str);
	case DOC_ARRAY:
	case DOC_OBJECT:
		break;
	}
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->type == DOC_ARRAY && !doc_same(a->items[i], b->items[i]))
			return false;
		if (a->type == DOC_OBJECT &&
		    (!tl_str_eq(a->members[i].name, b->members[i].name) ||
		     !doc_same(a->members[i].value, b->members[i].value)))
			return false;
	}
	return true;
}

static void text_holds(struct tl_str s)
{
	tl_assert(utf8_strict(s));
	tl_assert(memchr(s.ptr, '\0', s.len) == NULL);
	tl_assert(s.ptr[s.len] == '\0');
}

void doc_holds(const struct doc *d, unsigned depth)
{
	switch (d->type) {
	case DOC_UINT: /* what fits int64 is told so */
		tl_assert(d->u > INT64_MAX);
		return;
	case DOC_DOUBLE:
		tl_assert(isfinite(d->d));
		return;
	case DOC_STR:
		text_holds(d->str);
		return;
	case DOC_ARRAY:
		tl_assert(depth < DOC_DEPTH_MAX);
		for (uint32_t i = 0; i < d->n; i++)
			doc_holds(d->items[i], depth + 1);
		return;
	case DOC_OBJECT:
		tl_assert(depth < DOC_DEPTH_MAX);
		for (uint32_t i = 0; i < d->n; i++) {
			text_holds(d->members[i].name);
			/* doc_get finds the first: it is the only one */
			tl_assert(doc_get(d, d->members[i].name.ptr) ==
				  d->members[i].value);
			doc_holds(d->members[i].value, depth + 1);
		}
		return;
	case DOC_USD:
		tl_assert(!"no parser makes one");
		return;
	case DOC_NULL:
	case DOC_BOOL:
	case DOC_INT:
		return;
	}
	tl_assert(!"a type that there is not");
}

void doc_survives(const struct doc *d)
{
	static const enum doc_format formats[] = { DOC_JSON, DOC_MSGPACK };
	struct tl_buf once, twice;
	const struct doc *again;
	struct tl_arena a;

	tl_buf_init(&once);
	tl_buf_init(&twice);
	for (size_t i = 0; i < 2; i++) {
		tl_buf_reset(&once);
		tl_buf_reset(&twice);
		tl_arena_init(&a);
		doc_write(d, formats[i], &once);
		tl_assert(doc_parse(&a, formats[i], tl_buf_str(&once), &again,
				    NULL) == TL_OK);
		tl_assert(doc_same(d, again));
		doc_write(again, formats[i], &twice);
		tl_assert(tl_str_eq(tl_buf_str(&once), tl_buf_str(&twice)));
		tl_arena_deinit(&a);
	}
	tl_buf_deinit(&once);
	tl_buf_deinit(&twice);
}
