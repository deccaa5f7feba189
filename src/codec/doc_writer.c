/*
 * doc_writer.c - values out, as JSON or as MessagePack.
 *
 * The hot doors write some 35 values a decision through here, so there is
 * no printf for anything but fractions, and the buffer is asked for room
 * once a value.  MessagePack's bytes are made by msgpack-c: its packer is a
 * header of inline functions, and with the sink known they fold into the
 * same few stores that hand-written code has.
 */
#include <msgpack.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/doc.h"

/* Bytes of the longest number, its comma and its closing brackets' start. */
#define SCALAR_MAX 40

static inline void put(struct tl_buf *b, const void *p, size_t len)
{
	if (b->cap - b->len <= len) /* also a buffer without memory: 0 <= 0 */
		tl_buf_reserve(b, len);
	memcpy(b->ptr + b->len, p, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

static inline void put_char(struct tl_buf *b, char c)
{
	put(b, &c, 1);
}

static int sink(void *out, const char *p, size_t len)
{
	put(out, p, len);
	return 0;
}

static inline msgpack_packer packer(const struct doc_writer *w)
{
	return (msgpack_packer){ .data = w->out, .callback = sink };
}

void docw_init(struct doc_writer *w, enum doc_format f, struct tl_buf *out)
{
	w->out = out;
	w->format = f;
	w->first = true;
	w->depth = 0;
}

/* ---- JSON's commas and brackets ---- */

static inline struct docw_level *innermost(struct doc_writer *w)
{
	return &w->levels[w->depth - 1];
}

/* A value in an array brings its comma; in an object the name did. */
static inline void json_begin(struct doc_writer *w)
{
	if (w->depth > 0 && !innermost(w)->object && !w->first)
		put_char(w->out, ',');
}

static void json_close(struct doc_writer *w)
{
	while (w->depth > 0 && innermost(w)->left == 0) {
		put_char(w->out, innermost(w)->object ? '}' : ']');
		w->depth--;
		if (w->depth > 0)
			innermost(w)->left--;
	}
}

static inline void json_end(struct doc_writer *w)
{
	w->first = false;
	if (w->depth > 0) {
		tl_assert(innermost(w)->left > 0);
		if (--innermost(w)->left == 0)
			json_close(w);
	}
}

static void json_open(struct doc_writer *w, uint32_t n, bool object)
{
	tl_assert(w->depth < DOC_WRITE_DEPTH_MAX);
	json_begin(w);
	put_char(w->out, object ? '{' : '[');
	w->levels[w->depth].left = n;
	w->levels[w->depth].object = object;
	w->depth++;
	w->first = true;
	if (n == 0) {
		json_close(w);
		w->first = false;
	}
}

void docw_object(struct doc_writer *w, uint32_t n_members)
{
	if (w->format == DOC_JSON) {
		json_open(w, n_members, true);
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_map(&pk, n_members);
	}
}

void docw_array(struct doc_writer *w, uint32_t n_items)
{
	if (w->format == DOC_JSON) {
		json_open(w, n_items, false);
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_array(&pk, n_items);
	}
}

/* ---- strings ---- */

static bool needs_no_escape(struct tl_str s)
{
	unsigned char odd = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		odd |= (unsigned char)(c < 0x20) | (c >= 0x7f) | (c == '"') |
		       (c == '\\');
	}
	return odd == 0;
}

static void json_quoted(struct tl_buf *b, struct tl_str s)
{
	char *p;

	tl_buf_reserve(b, s.len + 2);
	p = b->ptr + b->len;
	*p++ = '"';
	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '"';
	p[s.len + 1] = '\0';
	b->len += s.len + 2;
}

static inline void msgpack_str(struct doc_writer *w, struct tl_str s)
{
	msgpack_packer pk = packer(w);

	tl_assert(s.len <= UINT32_MAX);
	(void)msgpack_pack_str(&pk, s.len);
	if (s.len > 0)
		put(w->out, s.ptr, s.len);
}

void docw_name(struct doc_writer *w, struct tl_str name)
{
	if (w->format != DOC_JSON) {
		msgpack_str(w, name);
		return;
	}
	tl_assert(w->depth > 0 && innermost(w)->object);
	if (!w->first)
		put_char(w->out, ',');
	json_quoted(w->out, name);
	put_char(w->out, ':');
}

void docw_str(struct doc_writer *w, struct tl_str s)
{
	if (w->format != DOC_JSON) {
		msgpack_str(w, s);
		return;
	}
	json_begin(w);
	if (needs_no_escape(s))
		json_quoted(w->out, s);
	else
		tl_buf_add_json(w->out, s);
	json_end(w);
}

/* ---- numbers and words ---- */

static void json_text(struct doc_writer *w, const char *p, size_t len)
{
	json_begin(w);
	put(w->out, p, len);
	json_end(w);
}

void docw_uint(struct doc_writer *w, uint64_t v)
{
	char text[SCALAR_MAX];

	if (w->format == DOC_JSON) {
		json_text(w, text, tl_fmt_u64(text, v));
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_uint64(&pk, v);
	}
}

void docw_int(struct doc_writer *w, int64_t v)
{
	char text[SCALAR_MAX] = "-";

	if (v >= 0) {
		docw_uint(w, (uint64_t)v);
	} else if (w->format == DOC_JSON) {
		json_text(w, text, 1 + tl_fmt_u64(text + 1, -(uint64_t)v));
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_int64(&pk, v);
	}
}

/* The shortest text that reads back as the same double, with a fraction. */
static size_t json_double(double v, char text[SCALAR_MAX])
{
	int n = 0;

	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(text, SCALAR_MAX - 2, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	if (strpbrk(text, ".e") == NULL) {
		memcpy(text + n, ".0", 3);
		n += 2;
	}
	return (size_t)n;
}

void docw_double(struct doc_writer *w, double v)
{
	char text[SCALAR_MAX];

	if (!isfinite(v)) {
		docw_null(w);
	} else if (w->format == DOC_JSON) {
		json_text(w, text, json_double(v, text));
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_double(&pk, v);
	}
}

void docw_bool(struct doc_writer *w, bool v)
{
	if (w->format == DOC_JSON) {
		json_text(w, v ? "true" : "false", v ? 4 : 5);
	} else {
		msgpack_packer pk = packer(w);

		(void)(v ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk));
	}
}

void docw_null(struct doc_writer *w)
{
	if (w->format == DOC_JSON) {
		json_text(w, "null", 4);
	} else {
		msgpack_packer pk = packer(w);

		(void)msgpack_pack_nil(&pk);
	}
}

void docw_usd(struct doc_writer *w, uint64_t micro_usd)
{
	uint64_t whole = micro_usd / 1000000, rest = micro_usd % 1000000;
	char text[SCALAR_MAX];
	size_t len;

	if (rest == 0) {
		docw_uint(w, whole);
		return;
	}
	if (w->format != DOC_JSON) {
		docw_double(w, (double)micro_usd / 1e6);
		return;
	}
	len = tl_fmt_u64(text, whole);
	text[len] = '.';
	for (size_t i = 6; i > 0; i--, rest /= 10)
		text[len + i] = (char)('0' + rest % 10);
	len += 7;
	while (text[len - 1] == '0')
		len--;
	json_text(w, text, len);
}

/* ---- trees ---- */

/* Names of a tree may come from outside: unlike docw_name's they escape. */
static void tree_name(struct doc_writer *w, struct tl_str name)
{
	if (w->format != DOC_JSON || needs_no_escape(name)) {
		docw_name(w, name);
		return;
	}
	if (!w->first)
		put_char(w->out, ',');
	tl_buf_add_json(w->out, name);
	put_char(w->out, ':');
}

void docw_doc(struct doc_writer *w, const struct doc *d)
{
	switch (d->type) {
	case DOC_NULL:
		docw_null(w);
		break;
	case DOC_BOOL:
		docw_bool(w, d->boolean);
		break;
	case DOC_INT:
		docw_int(w, d->i);
		break;
	case DOC_UINT:
		docw_uint(w, d->u);
		break;
	case DOC_DOUBLE:
		docw_double(w, d->d);
		break;
	case DOC_USD:
		docw_usd(w, d->u);
		break;
	case DOC_STR:
		docw_str(w, d->str);
		break;
	case DOC_ARRAY:
		docw_array(w, d->n);
		for (uint32_t i = 0; i < d->n; i++)
			docw_doc(w, d->items[i]);
		break;
	case DOC_OBJECT:
		docw_object(w, d->n);
		for (uint32_t i = 0; i < d->n; i++) {
			tree_name(w, d->members[i].name);
			docw_doc(w, d->members[i].value);
		}
		break;
	}
}

void doc_write(const struct doc *d, enum doc_format f, struct tl_buf *out)
{
	struct doc_writer w;

	docw_init(&w, f, out);
	docw_doc(&w, d);
}
