/*
 * json_strict.c - is it JSON that tallyd takes?  By recursive descent over
 * RFC 8259 and the rules of codec/doc.h: depth, integers of 64 bits, finite
 * numbers, no NUL, whole surrogate pairs, each name once.
 */
#include <math.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

#define NAMES_MAX 4096
#define TEXT_MAX  8192

struct reading {
	const unsigned char *p, *end;
	unsigned values;
	uint32_t n_names;
};
/* Names of the objects that are open, decoded one behind the other. */
static struct tl_str names[NAMES_MAX];
static char texts[TEXT_MAX];
static size_t texts_len;

bool utf8_strict(struct tl_str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	const unsigned char *end = p + s.len;

	while (p < end) {
		uint32_t c = *p++;
		int more = c < 0x80   ? 0
			   : c < 0xc0 ? -1
			   : c < 0xe0 ? 1
			   : c < 0xf0 ? 2
			   : c < 0xf8 ? 3
				      : -1;
		static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

		if (more < 0 || end - p < more)
			return false;
		if (more > 0)
			c &= 0x3fU >> more;
		for (int i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff ||
		    (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

static void blanks(struct reading *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' ||
				 *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool hex4(struct reading *r, uint32_t *v)
{
	*v = 0;
	if (r->end - r->p < 4)
		return false;
	for (int i = 0; i < 4; i++, r->p++) {
		unsigned c = *r->p;

		if (c >= '0' && c <= '9')
			*v = *v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*v = *v * 16 + (c | 0x20) - 'a' + 10;
		else
			return false;
	}
	return true;
}

static size_t utf8_of(uint32_t c, char *dst)
{
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (char)(0xc0 | c >> 6);
		dst[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (char)(0xe0 | c >> 12);
		dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | c >> 18);
	dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Behind the backslash. */
static bool escape(struct reading *r, char *dst, size_t *n)
{
	static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t c, low;

	if (r->p == r->end)
		return false;
	if (*r->p != 'u') {
		at = *r->p != '\0' ? strchr(plain, *r->p) : NULL;
		if (at == NULL)
			return false;
		dst[(*n)++] = means[at - plain];
		r->p++;
		return true;
	}
	r->p++;
	if (!hex4(r, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
			return false;
		r->p += 2;
		if (!hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*n += utf8_of(c, dst + *n);
	return true;
}

/* Decoded to dst, which has room for all of the input. */
static bool string(struct reading *r, char *dst, size_t *n)
{
	*n = 0;
	if (r->p == r->end || *r->p++ != '"')
		return false;
	for (;;) {
		if (r->p == r->end || *r->p < 0x20)
			return false;
		if (*r->p == '"')
			break;
		if (*r->p != '\\') {
			dst[(*n)++] = (char)*r->p++;
			continue;
		}
		r->p++;
		if (!escape(r, dst, n))
			return false;
	}
	r->p++;
	return utf8_strict((struct tl_str){ dst, *n });
}

static bool digits(struct reading *r)
{
	const unsigned char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

/* Does the text of an integer fit 64 bits?  Compared as text. */
static bool fits(const char *text, size_t len)
{
	bool minus = text[0] == '-';
	const char *most =
		minus ? "9223372036854775808" : "18446744073709551615";
	size_t n = minus ? len - 1 : len;

	return n < strlen(most) ||
	       (n == strlen(most) && memcmp(text + minus, most, n) <= 0);
}

static bool number(struct reading *r)
{
	const unsigned char *from = r->p;
	static char text[TEXT_MAX];
	bool whole = true;
	size_t len;

	if (r->p < r->end && *r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (!digits(r))
		return false;
	if (r->p < r->end && *r->p == '.') {
		whole = false;
		r->p++;
		if (!digits(r))
			return false;
	}
	if (r->p < r->end && (*r->p | 0x20) == 'e') {
		whole = false;
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (!digits(r))
			return false;
	}
	len = (size_t)(r->p - from);
	memcpy(text, from, len);
	text[len] = '\0';
	return whole ? fits(text, len) : isfinite(strtod(text, NULL)) != 0;
}

static bool word(struct reading *r, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool value(struct reading *r, unsigned depth);

static bool array(struct reading *r, unsigned depth)
{
	r->p++;
	blanks(r);
	if (r->p < r->end && *r->p == ']') {
		r->p++;
		return true;
	}
	for (;;) {
		if (!value(r, depth + 1) || r->p == r->end)
			return false;
		if (*r->p == ']') {
			r->p++;
			return true;
		}
		if (*r->p++ != ',')
			return false;
	}
}

/* first: where the names of this object begin. */
static bool member(struct reading *r, uint32_t first, unsigned depth)
{
	struct tl_str name = { texts + texts_len, 0 };

	blanks(r);
	if (!string(r, texts + texts_len, &name.len))
		return false;
	r->values++;
	for (uint32_t i = first; i < r->n_names; i++)
		if (tl_str_eq(names[i], name))
			return false;
	names[r->n_names++] = name;
	texts_len += name.len;
	blanks(r);
	return r->p < r->end && *r->p++ == ':' && value(r, depth + 1);
}

static bool object(struct reading *r, unsigned depth)
{
	uint32_t first = r->n_names;
	size_t len = texts_len;

	r->p++;
	blanks(r);
	if (r->p < r->end && *r->p == '}') {
		r->p++;
		return true;
	}
	for (;;) {
		if (!member(r, first, depth) || r->p == r->end)
			return false;
		if (*r->p == '}')
			break;
		if (*r->p++ != ',')
			return false;
	}
	r->p++;
	r->n_names = first;
	texts_len = len;
	return true;
}

static bool value(struct reading *r, unsigned depth)
{
	bool good;
	size_t n;

	blanks(r);
	if (r->p == r->end || ++r->values > DOC_VALUES_MAX)
		return false;
	switch (*r->p) {
	case '{':
		good = depth < DOC_DEPTH_MAX && object(r, depth);
		break;
	case '[':
		good = depth < DOC_DEPTH_MAX && array(r, depth);
		break;
	case '"':
		good = string(r, texts + texts_len, &n);
		break;
	case 't':
		good = word(r, "true");
		break;
	case 'f':
		good = word(r, "false");
		break;
	case 'n':
		good = word(r, "null");
		break;
	default:
		good = number(r);
	}
	blanks(r);
	return good;
}

bool json_strict(struct tl_str in)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	struct reading r = { p, p + in.len, 0, 0 };

	tl_assert(in.len < NAMES_MAX);
	texts_len = 0;
	return value(&r, 0) && r.p == r.end;
}
