#include "codec/shape.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

/* Where we are in the document, for the error: "items[3].key". */
struct place {
	const struct place *up;
	const char *name; /* NULL: an item of `up` */
	uint32_t index;
};

struct walk {
	struct tl_arena *a; /* NULL: check only, nothing is stored */
	bool strict;        /* unknown members are errors */
	struct tl_err *err;
};

static size_t place_text(const struct place *p, char *dst, size_t size)
{
	size_t at = 0;
	int n;

	if (p == NULL)
		return 0;
	at = place_text(p->up, dst, size);
	if (p->name != NULL)
		n = snprintf(dst + at, size - at, "%s%s", at > 0 ? "." : "",
			     p->name);
	else
		n = snprintf(dst + at, size - at, "[%" PRIu32 "]", p->index);
	if (n < 0 || (size_t)n >= size - at)
		return size - 1; /* cut; names are ours and short */
	return at + (size_t)n;
}

static enum tl_status refuse(const struct walk *w, const struct place *p,
			     const char *rule)
{
	char where[200] = "body";

	(void)place_text(p, where, sizeof(where));
	return tl_err_set(w->err, TL_INVALID, "%s: %s", where, rule);
}

static bool unbounded(const struct shape_field *f)
{
	return f->min == 0 && f->max == 0;
}

static bool within(const struct shape_field *f, uint64_t n)
{
	return unbounded(f) ||
	       (n <= INT64_MAX && (int64_t)n >= f->min && (int64_t)n <= f->max);
}

/* "must be a string of 1 to 100 characters". */
static enum tl_status refuse_count(const struct walk *w, const struct place *p,
				   const struct shape_field *f,
				   const char *what, const char *of)
{
	char rule[120];

	if (unbounded(f))
		(void)snprintf(rule, sizeof(rule), "must be %s", what);
	else
		(void)snprintf(rule, sizeof(rule),
			       "must be %s of %" PRId64 " to %" PRId64 " %s",
			       what, f->min, f->max, of);
	return refuse(w, p, rule);
}

static enum tl_status refuse_int(const struct walk *w, const struct place *p,
				 const struct shape_field *f)
{
	char rule[120];

	if (unbounded(f))
		return refuse(w, p, "must be an integer");
	(void)snprintf(rule, sizeof(rule),
		       "must be an integer from %" PRId64 " to %" PRId64,
		       f->min, f->max);
	return refuse(w, p, rule);
}

static enum tl_status read_struct(const struct walk *w, const struct place *up,
				  const struct shape *s, const struct doc *d,
				  char *to);

static enum tl_status read_int(const struct walk *w, const struct place *p,
			       const struct shape_field *f, const struct doc *d,
			       void *to)
{
	int64_t v;
	bool good = unbounded(f) ? doc_is_int(d, INT64_MIN, INT64_MAX, &v)
				 : doc_is_int(d, f->min, f->max, &v);

	if (!good)
		return refuse_int(w, p, f);
	if (to != NULL)
		memcpy(to, &v, sizeof(v));
	return TL_OK;
}

/* "must be one of sliding, gcra". */
static enum tl_status refuse_word(const struct walk *w, const struct place *p,
				  const struct shape *words)
{
	char rule[300] = "must be one of";
	size_t at = strlen(rule);

	for (const struct shape_field *f = words->fields; f->name != NULL; f++)
		if (at < sizeof(rule))
			at += (size_t)snprintf(rule + at, sizeof(rule) - at,
					       "%s %s",
					       f == words->fields ? "" : ",",
					       f->name);
	return refuse(w, p, rule);
}

static bool is_word(const struct shape *words, const struct doc *d)
{
	const struct shape_field *f = words->fields;

	while (f->name != NULL && !(d->type == DOC_STR &&
				    tl_str_eq(d->str, tl_str_c(f->name))))
		f++;
	return f->name != NULL;
}

static enum tl_status read_str(const struct walk *w, const struct place *p,
			       const struct shape_field *f, const struct doc *d,
			       void *to)
{
	size_t n = 0;
	struct tl_str s;

	if (f->sub != NULL && !is_word(f->sub, d))
		return refuse_word(w, p, f->sub);
	if (d->type != DOC_STR)
		return refuse_count(w, p, f, "a string", "characters");
	s = (f->flags & SHAPE_TRIM) ? tl_str_trim(d->str) : d->str;
	if (!tl_utf8_valid(s, &n) || !within(f, n))
		return refuse_count(w, p, f, "a string", "characters");
	if ((f->flags & SHAPE_NO_CONTROL) && tl_has_control(s))
		return refuse(w, p, "must hold no control characters");
	if (to != NULL)
		memcpy(to, &s, sizeof(s));
	return TL_OK;
}

static enum tl_status read_strs(const struct walk *w, const struct place *p,
				const struct shape_field *f,
				const struct doc *d, void *to)
{
	const struct shape_field item = { .flags = f->flags };
	struct shape_strs list = { NULL, 0 };
	enum tl_status st;

	if (d->type != DOC_ARRAY || !within(f, d->n))
		return refuse_count(w, p, f, "an array", "strings");
	if (to != NULL && d->n > 0)
		list.items = tl_arena_alloc(w->a, d->n * sizeof(*list.items));
	list.n = d->n;
	for (uint32_t i = 0; i < d->n; i++) {
		struct place here = { .up = p, .index = i };

		st = read_str(w, &here, &item, d->items[i],
			      list.items != NULL ? &list.items[i] : NULL);
		if (st != TL_OK)
			return st;
	}
	if (to != NULL)
		memcpy(to, &list, sizeof(list));
	return TL_OK;
}

static enum tl_status read_array(const struct walk *w, const struct place *p,
				 const struct shape_field *f,
				 const struct doc *d, void *to)
{
	struct shape_array list = { NULL, 0 };
	enum tl_status st;
	char *at = NULL;

	if (d->type != DOC_ARRAY || !within(f, d->n))
		return refuse_count(w, p, f, "an array", "items");
	if (to != NULL && d->n > 0)
		at = list.items =
			tl_arena_alloc(w->a, d->n * f->sub->size_bytes);
	list.n = d->n;
	for (uint32_t i = 0; i < d->n; i++) {
		struct place here = { .up = p, .index = i };

		st = read_struct(w, &here, f->sub, d->items[i], at);
		if (st != TL_OK)
			return st;
		if (at != NULL)
			at += f->sub->size_bytes;
	}
	if (to != NULL)
		memcpy(to, &list, sizeof(list));
	return TL_OK;
}

static enum tl_status read_uuid(const struct walk *w, const struct place *p,
				const struct doc *d, void *to)
{
	struct tl_uuid u;

	if (d->type != DOC_STR || !tl_uuid_parse(d->str, &u))
		return refuse(w, p, "must be a UUID");
	if (to != NULL)
		memcpy(to, &u, sizeof(u));
	return TL_OK;
}

static enum tl_status read_time(const struct walk *w, const struct place *p,
				const struct doc *d, void *to)
{
	int64_t us;

	if (d->type != DOC_STR || !tl_rfc3339_parse(d->str, &us))
		return refuse(w, p, "must be a time like 2026-03-01T12:34:56Z");
	if (to != NULL)
		memcpy(to, &us, sizeof(us));
	return TL_OK;
}

static bool is_number(const struct doc *d)
{
	return d->type == DOC_INT || d->type == DOC_UINT ||
	       d->type == DOC_DOUBLE || d->type == DOC_USD;
}

static enum tl_status read_value(const struct walk *w, const struct place *p,
				 const struct shape_field *f,
				 const struct doc *d, void *to)
{
	int32_t day;

	switch (f->kind) {
	case SHAPE_BOOL:
		if (d->type != DOC_BOOL)
			return refuse(w, p, "must be true or false");
		if (to != NULL)
			memcpy(to, &d->boolean, sizeof(d->boolean));
		return TL_OK;
	case SHAPE_INT:
		return read_int(w, p, f, d, to);
	case SHAPE_STR:
		return read_str(w, p, f, d, to);
	case SHAPE_UUID:
		return read_uuid(w, p, d, to);
	case SHAPE_STRS:
		return read_strs(w, p, f, d, to);
	case SHAPE_OBJECT:
		return read_struct(w, p, f->sub, d, to);
	case SHAPE_ARRAY:
		return read_array(w, p, f, d, to);
	case SHAPE_TIME:
		return read_time(w, p, d, to);
	case SHAPE_USD:
		tl_assert(to == NULL);
		return is_number(d) ? TL_OK : refuse(w, p, "must be a number");
	case SHAPE_DATE:
		if (d->type != DOC_STR || !tl_day_parse(d->str, &day))
			return refuse(w, p, "must be a date like 2026-03-01");
		if (to != NULL)
			memcpy(to, &day, sizeof(day));
		return TL_OK;
	case SHAPE_ANY:
		if (to != NULL)
			memcpy(to, &d, sizeof(d));
		return TL_OK;
	}
	return tl_err_set(w->err, TL_BROKEN, "shape of unknown kind");
}

static size_t stored_bytes(const struct shape_field *f)
{
	switch (f->kind) {
	case SHAPE_BOOL:
		return sizeof(bool);
	case SHAPE_INT:
	case SHAPE_TIME:
		return sizeof(int64_t);
	case SHAPE_STR:
		return sizeof(struct tl_str);
	case SHAPE_UUID:
		return sizeof(struct tl_uuid);
	case SHAPE_STRS:
		return sizeof(struct shape_strs);
	case SHAPE_OBJECT:
		return f->sub->size_bytes;
	case SHAPE_ARRAY:
		return sizeof(struct shape_array);
	case SHAPE_ANY:
		return sizeof(const struct doc *);
	case SHAPE_DATE:
		return sizeof(int32_t);
	case SHAPE_USD:
		break;
	}
	return 0;
}

static void say_given(const struct shape_field *f, char *to)
{
	const bool given = true;

	if (to != NULL && f->has_offset != SHAPE_NO_OFFSET)
		memcpy(to + f->has_offset, &given, sizeof(given));
}

/* `to` is the struct that holds the field. */
static enum tl_status read_member(const struct walk *w, const struct place *p,
				  const struct shape_field *f,
				  const struct doc *d, char *to)
{
	bool store = to != NULL && f->offset != SHAPE_NO_OFFSET;
	enum tl_status st;

	if (d == NULL) {
		if ((f->flags & SHAPE_REQUIRED) == 0)
			return TL_OK;
		return refuse(w, p, "is required");
	}
	if (d->type == DOC_NULL && (f->flags & SHAPE_NULLABLE)) {
		if (store && f->has_offset != SHAPE_NO_OFFSET)
			memset(to + f->offset, 0, stored_bytes(f));
		say_given(f, to);
		return TL_OK;
	}
	st = read_value(w, p, f, d, store ? to + f->offset : NULL);
	if (st == TL_OK)
		say_given(f, to);
	return st;
}

static enum tl_status refuse_unknown(const struct walk *w,
				     const struct place *up,
				     const struct shape *s, const struct doc *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		const struct shape_field *f = s->fields;

		while (f->name != NULL &&
		       !tl_str_eq(d->members[i].name, tl_str_c(f->name)))
			f++;
		if (f->name == NULL) {
			/* Of the parser or a literal: ends in a NUL. */
			struct place here = { .up = up,
					      .name = d->members[i].name.ptr };

			return refuse(w, &here, "is not in the shape");
		}
	}
	return TL_OK;
}

static enum tl_status read_struct(const struct walk *w, const struct place *up,
				  const struct shape *s, const struct doc *d,
				  char *to)
{
	enum tl_status st;

	if (d->type != DOC_OBJECT)
		return refuse(w, up, "must be an object");
	for (const struct shape_field *f = s->fields; f->name != NULL; f++) {
		struct place here = { .up = up, .name = f->name };

		st = read_member(w, &here, f, doc_get(d, f->name), to);
		if (st != TL_OK)
			return st;
	}
	return w->strict ? refuse_unknown(w, up, s, d) : TL_OK;
}

enum tl_status shape_read(const struct shape *s, struct tl_arena *a,
			  const struct doc *d, void *struct_r,
			  struct tl_err *err)
{
	struct walk w = { .a = a, .err = err };

	return read_struct(&w, NULL, s, d, struct_r);
}

enum tl_status shape_check(const struct shape *s, const struct doc *d,
			   struct tl_err *err)
{
	struct walk w = { .strict = true, .err = err };

	return read_struct(&w, NULL, s, d, NULL);
}
