/*
 * fuzz_shape.c - documents against a shape with a field of every kind.
 *
 * What is stored keeps to the shape's words; a document that the strict check
 * takes is read too; JSON and MessagePack of one document are read the same.
 * The first byte chooses the format of the rest.
 */
#include "base/clock.h"
#include "codec/shape.h"
#include "tests/fuzz/fuzz.h"

#define LABEL_MAX 12

struct item {
	int64_t credits;
	struct tl_str word;
};
struct body {
	bool on, has_on;
	int64_t count, any_int, at_us;
	struct tl_str label;
	struct tl_uuid id;
	struct shape_strs tags;
	struct item one;
	struct shape_array items;
	int32_t day;
	const struct doc *meta;
	bool has_label;
};
#define NONE SHAPE_NO_OFFSET
#define I(m) offsetof(struct item, m)
#define B(m) offsetof(struct body, m)

static const struct shape_field word_fields[] = {
	{ .name = "sliding" },
	{ .name = "gcra" },
	{ .name = NULL },
};
static const struct shape words = { "Word", 0, word_fields };
static const struct shape_field item_fields[] = {
	{ "credits", SHAPE_INT, SHAPE_REQUIRED, I(credits), NONE, 1, 1000, NULL,
	  "" },
	{ "word", SHAPE_STR, 0, I(word), NONE, 0, 0, &words, "" },
	{ .name = NULL },
};
static const struct shape item_shape = { "Item", sizeof(struct item),
					 item_fields };
static const struct shape_field body_fields[] = {
	{ "on", SHAPE_BOOL, 0, B(on), B(has_on), 0, 0, NULL, "" },
	{ "count", SHAPE_INT, 0, B(count), NONE, -5, 100, NULL, "" },
	{ "any", SHAPE_INT, SHAPE_NULLABLE, B(any_int), NONE, 0, 0, NULL, "" },
	{ "label", SHAPE_STR, SHAPE_NULLABLE | SHAPE_NO_CONTROL | SHAPE_TRIM,
	  B(label), B(has_label), 1, LABEL_MAX, NULL, "" },
	{ "id", SHAPE_UUID, 0, B(id), NONE, 0, 0, NULL, "" },
	{ "tags", SHAPE_STRS, SHAPE_NO_CONTROL, B(tags), NONE, 0, 3, NULL, "" },
	{ "one", SHAPE_OBJECT, 0, B(one), NONE, 0, 0, &item_shape, "" },
	{ "items", SHAPE_ARRAY, 0, B(items), NONE, 1, 4, &item_shape, "" },
	{ "at", SHAPE_TIME, 0, B(at_us), NONE, 0, 0, NULL, "" },
	{ "day", SHAPE_DATE, 0, B(day), NONE, 0, 0, NULL, "" },
	{ "usd", SHAPE_USD, 0, NONE, NONE, 0, 0, NULL, "" },
	{ "meta", SHAPE_ANY, 0, B(meta), NONE, 0, 0, NULL, "" },
	{ .name = NULL },
};
static const struct shape body_shape = { "Body", sizeof(struct body),
					 body_fields };

static size_t points_of(struct tl_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static bool is_control(struct tl_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && i + 1 < s.len &&
		     (unsigned char)s.ptr[i + 1] < 0xa0))
			return true;
	}
	return false;
}

static void item_holds(const struct item *i)
{
	tl_assert(i->credits >= 1 && i->credits <= 1000);
	tl_assert(i->word.ptr == NULL ||
		  tl_str_eq(i->word, TL_STR("sliding")) ||
		  tl_str_eq(i->word, TL_STR("gcra")));
}

static void text_holds(const struct doc *d, const struct body *b)
{
	const struct doc *label = doc_get(d, "label");
	struct tl_str s = b->label;

	tl_assert(b->has_label == (label != NULL));
	if (label == NULL || label->type == DOC_NULL) {
		tl_assert(s.ptr == NULL && s.len == 0);
		return;
	}
	tl_assert(points_of(s) >= 1 && points_of(s) <= LABEL_MAX);
	tl_assert(!is_control(s));
	tl_assert(s.ptr[0] != ' ' && s.ptr[s.len - 1] != ' ');
	tl_assert(s.ptr >= label->str.ptr &&
		  s.ptr + s.len <= label->str.ptr + label->str.len);
}

/* A text that was read means what we would write for it. */
static void texts_hold(struct tl_arena *a, const struct doc *d,
		       const struct body *b)
{
	const struct doc *v = doc_get(d, "day");
	int64_t us;
	int32_t day;

	if (v != NULL)
		tl_assert(tl_day_parse(doc_date(a, b->day)->str, &day) &&
			  day == b->day &&
			  tl_str_eq(doc_date(a, day)->str, v->str));
	if (doc_get(d, "at") != NULL)
		tl_assert(tl_rfc3339_parse(doc_time(a, b->at_us)->str, &us) &&
			  us == b->at_us);
	v = doc_get(d, "id");
	if (v != NULL)
		tl_assert(tl_str_ieq(doc_uuid(a, &b->id)->str, v->str));
	v = doc_get(d, "any");
	if (v != NULL && v->type != DOC_NULL)
		tl_assert(v->type == DOC_INT && v->i == b->any_int);
}

static void body_holds(struct tl_arena *a, const struct doc *d,
		       const struct body *b)
{
	const struct item *items = b->items.items;

	tl_assert(b->has_on == (doc_get(d, "on") != NULL));
	tl_assert(b->count >= -5 && b->count <= 100);
	text_holds(d, b);
	tl_assert(b->tags.n <= 3);
	for (uint32_t i = 0; i < b->tags.n; i++)
		tl_assert(!is_control(b->tags.items[i]));
	if (doc_get(d, "one") != NULL)
		item_holds(&b->one);
	tl_assert(b->items.n <= 4);
	tl_assert((b->items.n > 0) == (doc_get(d, "items") != NULL));
	for (uint32_t i = 0; i < b->items.n; i++)
		item_holds(&items[i]);
	tl_assert(b->meta == doc_get(d, "meta"));
	texts_hold(a, d, b);
}

/* The same document in the other format gives the same struct. */
static void check_other_format(struct tl_arena *a, enum doc_format f,
			       const struct doc *d, enum tl_status want,
			       const struct tl_err *err)
{
	struct body b = { .on = false };
	const struct doc *again;
	struct tl_err other;
	struct tl_buf out;

	tl_buf_init(&out);
	doc_write(d, f == DOC_JSON ? DOC_MSGPACK : DOC_JSON, &out);
	tl_assert(doc_parse(a, f == DOC_JSON ? DOC_MSGPACK : DOC_JSON,
			    tl_buf_str(&out), &again, NULL) == TL_OK);
	tl_assert(shape_read(&body_shape, a, again, &b, &other) == want);
	if (want == TL_OK)
		body_holds(a, again, &b);
	else
		tl_assert(strcmp(other.text, err->text) == 0);
	tl_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	enum doc_format f = fuzz_u8(&bytes) == 'm' ? DOC_MSGPACK : DOC_JSON;
	struct body b = { .on = false };
	const struct doc *d;
	struct tl_arena a;
	struct tl_err err;
	enum tl_status st;

	tl_arena_init(&a);
	if (doc_parse(&a, f, fuzz_rest(&bytes), &d, &err) != TL_OK) {
		tl_arena_deinit(&a);
		return -1;
	}
	st = shape_read(&body_shape, &a, d, &b, &err);
	tl_assert(st == TL_OK || st == TL_INVALID);
	if (st == TL_OK)
		body_holds(&a, d, &b);
	else
		tl_assert(strchr(err.text, ':') != NULL);
	check_other_format(&a, f, d, st, &err);
	if (shape_check(&body_shape, d, &err) == TL_OK)
		tl_assert(st == TL_OK);
	tl_arena_deinit(&a);
	return 0;
}
