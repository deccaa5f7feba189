/*
 * doc_json.c - JSON in: a scan of ours, then json-c, then the tree.
 *
 * json-c 0.16, strict, still lets pass what RFC 8259 forbids or leaves open:
 * control characters in strings, lone surrogates (it writes U+FFFD), "1.",
 * "00", NaN and Infinity, UTF-8 encoded surrogates; it cuts integers beyond 64
 * bits to the largest and keeps the last of several members of one name.
 * The scan refuses all of these with their place, before anything is
 * allocated; json-c checks the grammar.  Repeated names show as a member
 * count that differs between the two.
 */
#include <json-c/json.h>

#include <limits.h>
#include <math.h>

#include "codec/doc_pool.h"

struct scan {
	const unsigned char *begin, *at, *end;
	uint32_t depth;
	uint32_t tokens; /* values and member names */
	uint32_t members;
	struct tl_err *err;
};

static enum tl_status refuse(const struct scan *s, const char *why)
{
	return tl_err_set(s->err, TL_INVALID, "at byte %zu: %s",
			  (size_t)(s->at - s->begin), why);
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* The 4 digits behind \u; false when they are not. */
static bool scan_hex4(const struct scan *s, uint32_t *unit_r)
{
	struct tl_str hex = { (const char *)s->at + 2, 4 };
	uint8_t b[2];

	if (s->end - s->at < 6 || !tl_unhex(hex, b, sizeof(b)))
		return false;
	*unit_r = (uint32_t)b[0] << 8 | b[1];
	return true;
}

/* At a backslash.  U+0000 would end strings early in C code further on. */
static enum tl_status scan_escape(struct scan *s)
{
	uint32_t unit, low;

	if (s->end - s->at < 2)
		return refuse(s, "string does not end");
	if (s->at[1] != 'u') {
		if (s->at[1] == '\0' || strchr("\"\\/bfnrt", s->at[1]) == NULL)
			return refuse(s, "unknown escape in a string");
		s->at += 2;
		return TL_OK;
	}
	if (!scan_hex4(s, &unit))
		return refuse(s, "\\u needs four hex digits");
	if (unit == 0)
		return refuse(s, "\\u0000 is not allowed in a string");
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return refuse(s, "\\u escape is half a surrogate pair");
	s->at += 6;
	if (unit < 0xd800 || unit > 0xdbff)
		return TL_OK;
	if (s->at == s->end || s->at[0] != '\\' || !scan_hex4(s, &low) ||
	    s->at[1] != 'u' || low < 0xdc00 || low > 0xdfff)
		return refuse(s, "\\u escape is half a surrogate pair");
	s->at += 6;
	return TL_OK;
}

/* Bytes of a string that need no look; bit 7 set: look at UTF-8 later. */
static const unsigned char *skip_plain(const unsigned char *p,
				       const unsigned char *end,
				       unsigned char *seen)
{
	unsigned char any = 0;

	while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
		any |= *p++;
	*seen |= any;
	return p;
}

static enum tl_status scan_string(struct scan *s)
{
	const unsigned char *open = s->at++;
	unsigned char seen = 0;
	struct tl_str body;
	enum tl_status st;

	for (;;) {
		s->at = skip_plain(s->at, s->end, &seen);
		if (s->at == s->end) {
			s->at = open;
			return refuse(s, "string does not end");
		}
		if (*s->at == '"')
			break;
		if (*s->at != '\\')
			return refuse(s, "control character in a string");
		st = scan_escape(s);
		if (st != TL_OK)
			return st;
	}
	body = (struct tl_str){ (const char *)open + 1,
				(size_t)(s->at - open) - 1 };
	s->at++;
	if ((seen & 0x80) == 0 || tl_utf8_valid(body, NULL))
		return TL_OK;
	s->at = open;
	return refuse(s, "string is not valid UTF-8");
}

static bool skip_digits(struct scan *s)
{
	const unsigned char *from = s->at;

	while (s->at < s->end && is_digit(*s->at))
		s->at++;
	return s->at > from;
}

static enum tl_status scan_number(struct scan *s)
{
	const unsigned char *from = s->at;
	bool whole = true;
	struct tl_str text;
	uint64_t u;
	int64_t i;

	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0') {
		s->at++;
		if (s->at < s->end && is_digit(*s->at))
			return refuse(s, "number begins with a zero");
	} else if (!skip_digits(s)) {
		return refuse(s, "number without digits");
	}
	if (s->at < s->end && *s->at == '.') {
		whole = false;
		s->at++;
		if (!skip_digits(s))
			return refuse(s, "number ends behind its point");
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		whole = false;
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (!skip_digits(s))
			return refuse(s, "number without exponent digits");
	}
	text = (struct tl_str){ (const char *)from, (size_t)(s->at - from) };
	if (!whole || text.len < 19)
		return TL_OK; /* 18 digits always fit */
	if (*from == '-' ? !tl_parse_i64(text, INT64_MIN, INT64_MAX, &i)
			 : !tl_parse_u64(text, 0, UINT64_MAX, &u)) {
		s->at = from;
		return refuse(s, "integer needs more than 64 bits");
	}
	return TL_OK;
}

static enum tl_status scan_word(struct scan *s)
{
	static const struct tl_str words[] = { { "true", 4 },
					       { "false", 5 },
					       { "null", 4 } };
	size_t left = (size_t)(s->end - s->at);

	for (size_t i = 0; i < 3; i++) {
		if (left >= words[i].len &&
		    memcmp(s->at, words[i].ptr, words[i].len) == 0) {
			s->at += words[i].len;
			return TL_OK;
		}
	}
	return refuse(s, "unexpected character");
}

static enum tl_status scan_token(struct scan *s)
{
	switch (*s->at) {
	case '{':
	case '[':
		if (s->depth == DOC_DEPTH_MAX)
			return refuse(s, "nested too deep");
		s->depth++;
		s->tokens++;
		s->at++;
		return TL_OK;
	case '}':
	case ']':
		if (s->depth == 0)
			return refuse(s, "unexpected closing bracket");
		s->depth--;
		s->at++;
		return TL_OK;
	case ':':
		s->members++;
		s->at++;
		return TL_OK;
	case ',':
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		s->at++;
		return TL_OK;
	case '"':
		s->tokens++;
		return scan_string(s);
	default:
		s->tokens++;
		if (*s->at == '-' || is_digit(*s->at))
			return scan_number(s);
		return scan_word(s);
	}
}

enum tl_status doc_scan_json(struct tl_str in, struct doc_sizes *sizes_r,
			     struct tl_err *err)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	struct scan s = { .begin = p, .at = p, .end = p + in.len, .err = err };
	enum tl_status st;

	while (s.at < s.end) {
		st = scan_token(&s);
		if (st != TL_OK)
			return st;
		if (s.tokens > DOC_VALUES_MAX)
			return refuse(&s, "too many values");
	}
	if (s.tokens == 0)
		return refuse(&s, "no value");
	if (s.depth > 0)
		return refuse(&s, "ends inside an array or object");
	/* Each colon follows a name, or json-c will refuse the text. */
	sizes_r->members = s.members;
	sizes_r->values = s.tokens > s.members ? s.tokens - s.members : 1;
	return TL_OK;
}

/*
 * One parser for the process, used from start to end within a call: making
 * one costs as much as parsing a small body.
 */
static struct json_tokener *tokener_get(void)
{
	static struct json_tokener *tok;

	if (tok == NULL) {
		/* It counts the level of scalars too. */
		tok = json_tokener_new_ex(DOC_DEPTH_MAX + 1);
		tl_assert(tok != NULL);
		json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	}
	json_tokener_reset(tok);
	return tok;
}

/* *root_r is NULL for the text "null", as json-c has it. */
static enum tl_status grammar(struct tl_str in, struct json_object **root_r,
			      struct tl_err *err)
{
	struct json_tokener *tok = tokener_get();
	enum json_tokener_error e;
	size_t at;

	*root_r = json_tokener_parse_ex(tok, in.ptr, (int)in.len);
	e = json_tokener_get_error(tok);
	at = json_tokener_get_parse_end(tok);
	if (e == json_tokener_continue) { /* a number alone has no end mark */
		*root_r = json_tokener_parse_ex(tok, "", 1);
		e = json_tokener_get_error(tok);
		at = in.len;
	}
	if (e == json_tokener_success && at == in.len)
		return TL_OK;
	/* It ends early and says well: at a NUL, and when an allocation
	 * failed, which must not become the client's fault. */
	if (e == json_tokener_success && in.ptr[at] != '\0')
		tl_out_of_memory();
	json_object_put(*root_r);
	if (e == json_tokener_success)
		return tl_err_set(err, TL_INVALID,
				  "at byte %zu: more text behind the value",
				  at);
	return tl_err_set(err, TL_INVALID, "at byte %zu: %s", at,
			  json_tokener_error_desc(e));
}

static enum tl_status convert(struct doc_pool *p, struct json_object *o,
			      const struct doc **doc_r, struct tl_err *err);

static enum tl_status convert_object(struct doc_pool *p, struct json_object *o,
				     const struct doc **doc_r,
				     struct tl_err *err)
{
	struct doc *d = doc_pool_node(p, DOC_OBJECT);
	struct doc_member *m;
	enum tl_status st;

	doc_pool_object(p, d, (uint32_t)json_object_object_length(o));
	m = d->members;
	json_object_object_foreach(o, name, value)
	{
		m->name = doc_pool_str(p, name, strlen(name));
		st = convert(p, value, &m->value, err);
		if (st != TL_OK)
			return st;
		m++;
	}
	*doc_r = d;
	return TL_OK;
}

static enum tl_status convert_array(struct doc_pool *p, struct json_object *o,
				    const struct doc **doc_r,
				    struct tl_err *err)
{
	struct doc *d = doc_pool_node(p, DOC_ARRAY);
	enum tl_status st;

	doc_pool_array(p, d, (uint32_t)json_object_array_length(o));
	for (uint32_t i = 0; i < d->n; i++) {
		st = convert(p, json_object_array_get_idx(o, i), &d->items[i],
			     err);
		if (st != TL_OK)
			return st;
	}
	*doc_r = d;
	return TL_OK;
}

static const struct doc *convert_int(struct doc_pool *p, struct json_object *o)
{
	int64_t i = json_object_get_int64(o); /* cut when it does not fit */
	uint64_t u = i == INT64_MAX ? json_object_get_uint64(o) : 0;
	struct doc *d = doc_pool_node(p, u > INT64_MAX ? DOC_UINT : DOC_INT);

	if (u > INT64_MAX)
		d->u = u;
	else
		d->i = i;
	return d;
}

static enum tl_status convert(struct doc_pool *p, struct json_object *o,
			      const struct doc **doc_r, struct tl_err *err)
{
	struct doc *d;

	switch (json_object_get_type(o)) {
	case json_type_object:
		return convert_object(p, o, doc_r, err);
	case json_type_array:
		return convert_array(p, o, doc_r, err);
	case json_type_int:
		*doc_r = convert_int(p, o);
		return TL_OK;
	case json_type_null:
		*doc_r = doc_null();
		return TL_OK;
	case json_type_boolean:
		*doc_r = doc_bool(json_object_get_boolean(o));
		return TL_OK;
	case json_type_double:
		d = doc_pool_node(p, DOC_DOUBLE);
		d->d = json_object_get_double(o);
		if (!isfinite(d->d))
			return tl_err_set(err, TL_INVALID,
					  "number '%.40s' is too large",
					  json_object_get_string(o));
		break;
	case json_type_string:
		d = doc_pool_node(p, DOC_STR);
		d->str = doc_pool_str(p, json_object_get_string(o),
				      (size_t)json_object_get_string_len(o));
		break;
	default:
		return tl_err_set(err, TL_BROKEN, "json-c has a new type");
	}
	*doc_r = d;
	return TL_OK;
}

enum tl_status doc_parse_json(struct tl_arena *a, struct tl_str in,
			      const struct doc **doc_r, struct tl_err *err)
{
	struct json_object *root;
	const struct doc *d = NULL;
	struct doc_sizes sizes;
	struct doc_pool pool;
	enum tl_status st;

	if (in.len > INT_MAX - 1) /* json-c counts in int */
		return tl_err_set(err, TL_INVALID, "longer than 2 GiB");
	st = doc_scan_json(in, &sizes, err);
	if (st != TL_OK)
		return st;
	st = grammar(in, &root, err);
	if (st != TL_OK)
		return st;
	/* A string is at least its quotes longer than its text. */
	doc_pool_init(&pool, a, &sizes, in.len);
	st = convert(&pool, root, &d, err);
	json_object_put(root);
	if (st != TL_OK)
		return st;
	if (pool.left.members != 0)
		return tl_err_set(err, TL_INVALID,
				  "an object names a member twice");
	*doc_r = d;
	return TL_OK;
}
