#include "codec/doc.h"

#include <math.h>

#include "base/clock.h"
#include "codec/doc_pool.h"

enum tl_status doc_parse(struct tl_arena *a, enum doc_format f,
			 struct tl_str in, const struct doc **doc_r,
			 struct tl_err *err)
{
	if (f == DOC_JSON)
		return doc_parse_json(a, in, doc_r, err);
	return doc_parse_msgpack(a, in, doc_r, err);
}

const struct doc *doc_get(const struct doc *obj, const char *name)
{
	struct tl_str want = tl_str_c(name);

	if (obj == NULL || obj->type != DOC_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < obj->n; i++) {
		if (tl_str_eq(obj->members[i].name, want))
			return obj->members[i].value;
	}
	return NULL;
}

bool doc_is_int(const struct doc *d, int64_t min, int64_t max, int64_t *v_r)
{
	if (d == NULL || d->type != DOC_INT || d->i < min || d->i > max)
		return false;
	*v_r = d->i;
	return true;
}

/* ---- the memory of a parsed document ---- */

void doc_pool_init(struct doc_pool *p, struct tl_arena *a,
		   const struct doc_sizes *sizes, size_t text_bytes)
{
	p->left = *sizes;
	p->text_left = text_bytes;
	p->nodes = tl_arena_alloc(a, sizes->values * sizeof(*p->nodes));
	p->items = tl_arena_alloc(a, sizes->values * sizeof(*p->items));
	p->members = NULL;
	if (sizes->members > 0)
		p->members =
			tl_arena_alloc(a, sizes->members * sizeof(*p->members));
	p->text = tl_arena_alloc(a, text_bytes);
}

struct doc *doc_pool_node(struct doc_pool *p, enum doc_type type)
{
	tl_assert(p->left.values > 0);
	p->left.values--;
	p->nodes->type = type;
	return p->nodes++;
}

struct tl_str doc_pool_str(struct doc_pool *p, const char *s, size_t len)
{
	struct tl_str copy = { p->text, len };

	tl_assert(len < p->text_left);
	if (len > 0) /* an empty string of msgpack-c has no address */
		memcpy(p->text, s, len);
	p->text[len] = '\0';
	p->text += len + 1;
	p->text_left -= len + 1;
	return copy;
}

void doc_pool_array(struct doc_pool *p, struct doc *array, uint32_t n)
{
	array->n = n;
	array->items = p->items; /* each item is a value: it fits */
	if (n > 0) /* without any there is no memory to move on in */
		p->items += n;
}

void doc_pool_object(struct doc_pool *p, struct doc *object, uint32_t n)
{
	tl_assert(n <= p->left.members);
	p->left.members -= n;
	object->n = n;
	object->members = p->members;
	if (n > 0)
		p->members += n;
}

/* ---- making one ---- */

static struct doc *make(struct tl_arena *a, enum doc_type type)
{
	struct doc *d = tl_arena_alloc(a, sizeof(*d));

	d->type = type;
	return d;
}

struct doc *doc_object(struct tl_arena *a)
{
	return make(a, DOC_OBJECT);
}

struct doc *doc_array(struct tl_arena *a)
{
	return make(a, DOC_ARRAY);
}

const struct doc *doc_null(void)
{
	static const struct doc null = { .type = DOC_NULL };

	return &null;
}

const struct doc *doc_bool(bool v)
{
	static const struct doc no = { .type = DOC_BOOL };
	static const struct doc yes = { .type = DOC_BOOL, .boolean = true };

	return v ? &yes : &no;
}

const struct doc *doc_int(struct tl_arena *a, int64_t v)
{
	struct doc *d = make(a, DOC_INT);

	d->i = v;
	return d;
}

const struct doc *doc_double(struct tl_arena *a, double v)
{
	struct doc *d;

	if (!isfinite(v))
		return doc_null();
	d = make(a, DOC_DOUBLE);
	d->d = v;
	return d;
}

const struct doc *doc_str(struct tl_arena *a, struct tl_str s)
{
	struct doc *d = make(a, DOC_STR);

	d->str = s;
	return d;
}

const struct doc *doc_usd(struct tl_arena *a, uint64_t micro_usd)
{
	struct doc *d = make(a, DOC_USD);

	d->u = micro_usd;
	return d;
}

/*
 * A table of n entries has room for the next power of two, at least 4, so
 * the size need not be kept: it is full exactly when n is such a power.
 */
static void *grown(struct tl_arena *a, void *table, uint32_t n, size_t each)
{
	void *bigger;

	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return table;
	bigger = tl_arena_alloc(a, (n == 0 ? 4 : (size_t)n * 2) * each);
	if (n != 0)
		memcpy(bigger, table, n * each);
	return bigger;
}

void doc_set(struct tl_arena *a, struct doc *obj, const char *name,
	     const struct doc *value)
{
	struct tl_str key = tl_str_c(name);

	tl_assert(obj->type == DOC_OBJECT);
	for (uint32_t i = 0; i < obj->n; i++) {
		if (tl_str_eq(obj->members[i].name, key)) {
			obj->members[i].value = value;
			return;
		}
	}
	obj->members = grown(a, obj->members, obj->n, sizeof(*obj->members));
	obj->members[obj->n++] = (struct doc_member){ key, value };
}

void doc_push(struct tl_arena *a, struct doc *arr, const struct doc *value)
{
	tl_assert(arr->type == DOC_ARRAY);
	arr->items = grown(a, arr->items, arr->n, sizeof(*arr->items));
	arr->items[arr->n++] = value;
}

static const struct doc *text(struct tl_arena *a, const char *s, size_t len)
{
	return doc_str(a, (struct tl_str){ tl_arena_strndup(a, s, len), len });
}

const struct doc *doc_time(struct tl_arena *a, int64_t wall_us)
{
	char s[TL_RFC3339_TEXT];

	return text(a, s, tl_rfc3339_format(wall_us, s));
}

const struct doc *doc_time_or_null(struct tl_arena *a, bool null,
				   int64_t wall_us)
{
	return null ? doc_null() : doc_time(a, wall_us);
}

const struct doc *doc_date(struct tl_arena *a, int32_t day)
{
	char s[11];

	tl_day_format(day, s);
	return text(a, s, sizeof(s) - 1);
}

const struct doc *doc_uuid(struct tl_arena *a, const struct tl_uuid *u)
{
	char s[TL_UUID_TEXT];

	tl_uuid_format(u, s);
	return text(a, s, sizeof(s) - 1);
}

const struct doc *doc_strs(struct tl_arena *a, const struct tl_str *items,
			   uint32_t n)
{
	struct doc *d = doc_array(a);

	for (uint32_t i = 0; i < n; i++)
		doc_push(a, d, doc_str(a, items[i]));
	return d;
}

struct tl_str doc_json(struct tl_arena *a, const struct doc *d)
{
	struct tl_str s;
	struct tl_buf b;

	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	s.len = b.len;
	s.ptr = tl_arena_strndup(a, b.ptr, b.len);
	tl_buf_deinit(&b);
	return s;
}
