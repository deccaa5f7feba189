/*
 * query.c - percent escapes, query parameters, path parameters.
 *
 * guard.c has seen to it that escapes are whole and none of them is NUL.
 */
#include "http/http_internal.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t http_percent_decode(struct tl_str in, bool form, char *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];

		if (c == '%' && i + 2 < in.len) {
			int hi = hex_digit(in.ptr[i + 1]);
			int lo = hex_digit(in.ptr[i + 2]);

			if (hi >= 0 && lo >= 0) {
				c = (char)(hi * 16 + lo);
				i += 2;
			}
		} else if (form && c == '+') {
			c = ' ';
		}
		dst[n++] = c;
	}
	return n;
}

/* Most have no escape and are borrowed as they are. */
static struct tl_str decoded(struct req *req, struct tl_str raw)
{
	struct tl_str s = raw;
	char *copy;

	if (raw.len == 0 || (memchr(raw.ptr, '%', raw.len) == NULL &&
			     memchr(raw.ptr, '+', raw.len) == NULL))
		return s;
	copy = tl_arena_alloc(&req->arena, raw.len);
	s.ptr = copy;
	s.len = http_percent_decode(raw, true, copy);
	return s;
}

bool req_query_next(struct req *req, struct tl_str *rest, struct tl_str *name_r,
		    struct tl_str *value_r)
{
	struct tl_str pair, name;

	do {
		if (!tl_str_split(rest, '&', &pair))
			return false;
	} while (pair.len == 0);
	name = pair;
	(void)tl_str_split(&pair, '=', &name); /* without one: all is name */
	*name_r = decoded(req, name);
	*value_r = decoded(req, pair);
	return true;
}

bool req_query_int(struct req *req, const char *name, int64_t def, int64_t min,
		   int64_t max, int64_t *v_r)
{
	struct tl_str rest = req->query, n, value, want = tl_str_c(name);
	int64_t v;

	while (req_query_next(req, &rest, &n, &value)) {
		if (!tl_str_eq(n, want))
			continue;
		if (tl_parse_i64(value, min, max, &v)) {
			*v_r = v;
			return true;
		}
		req_fail(req, 400, "bad_request",
			 "%s: must be an integer from %lld to %lld", name,
			 (long long)min, (long long)max);
		return false;
	}
	*v_r = def;
	return true;
}

/* What a parameter is in a document: numbers and switches by the field's
 * kind, where they read as such; all else stays text, for shape_read to
 * refuse in its own words. */
static const struct doc *parameter(struct tl_arena *a,
				   const struct shape_field *f,
				   struct tl_str value)
{
	int64_t v;

	if (f->kind == SHAPE_INT &&
	    tl_parse_i64(value, INT64_MIN, INT64_MAX, &v))
		return doc_int(a, v);
	if (f->kind == SHAPE_BOOL && tl_str_eq(value, TL_STR("1")))
		return doc_bool(true);
	if (f->kind == SHAPE_BOOL && tl_str_eq(value, TL_STR("0")))
		return doc_bool(false);
	return doc_str(a, value);
}

bool req_query(struct req *req, void *struct_r)
{
	const struct shape *s = req->route->query;
	struct tl_str rest = req->query, name, value;
	struct doc *d = doc_object(&req->arena);
	const struct shape_field *f;
	struct tl_err err;

	while (req_query_next(req, &rest, &name, &value)) {
		for (f = s->fields; f->name != NULL; f++)
			if (tl_str_eq(name, tl_str_c(f->name)))
				break;
		if (f->name != NULL && doc_get(d, f->name) == NULL)
			doc_set(&req->arena, d, f->name,
				parameter(&req->arena, f, value));
	}
	for (f = s->fields; f->name != NULL; f++) {
		const struct doc *v = doc_get(d, f->name);

		if (f->kind == SHAPE_BOOL && v != NULL &&
		    v->type != DOC_BOOL) {
			req_fail(req, 400, "bad_request", "%s: must be 0 or 1",
				 f->name);
			return false;
		}
	}
	if (shape_read(s, &req->arena, d, struct_r, &err) == TL_OK)
		return true;
	req_fail(req, 400, "bad_request", "%s", err.text);
	return false;
}

struct tl_str req_path_param(struct req *req, const char *name)
{
	const struct router_match *m = &req->priv->match;
	struct tl_str want = tl_str_c(name);

	for (uint32_t i = 0; i < m->n_params; i++)
		if (tl_str_eq(m->params[i].name, want))
			return m->params[i].value;
	return (struct tl_str){ NULL, 0 };
}

bool req_path_uuid(struct req *req, const char *name, struct tl_uuid *u_r)
{
	if (tl_uuid_parse(req_path_param(req, name), u_r))
		return true;
	req_fail(req, 400, "bad_request", "%s: must be a UUID", name);
	return false;
}
