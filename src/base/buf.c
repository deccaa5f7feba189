/*
 * buf.c - the growing buffer of str.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* What an empty buffer shows, so that ptr can always be read. */
static char nothing[1];

void tl_buf_init(struct tl_buf *b)
{
	*b = (struct tl_buf){ nothing, 0, 0 };
}

void tl_buf_deinit(struct tl_buf *b)
{
	if (b->cap > 0)
		tl_free(b->ptr);
	tl_buf_init(b);
}

void tl_buf_reset(struct tl_buf *b)
{
	b->len = 0;
	if (b->cap > 0)
		b->ptr[0] = '\0';
}

/* Room for more_bytes and the NUL.  A buffer of all zeroes is fine too. */
void tl_buf_reserve(struct tl_buf *b, size_t more_bytes)
{
	size_t want, cap;

	tl_assert(!__builtin_add_overflow(b->len, more_bytes, &want) &&
		  want < SIZE_MAX / 2);
	want++;
	if (want <= b->cap)
		return;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < want)
		cap *= 2;
	b->ptr = tl_realloc(b->cap > 0 ? b->ptr : NULL, cap);
	b->cap = cap;
	b->ptr[b->len] = '\0';
}

void tl_buf_add(struct tl_buf *b, const void *p, size_t len)
{
	tl_buf_reserve(b, len);
	if (len > 0)
		memcpy(b->ptr + b->len, p, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

void tl_buf_adds(struct tl_buf *b, const char *s)
{
	tl_buf_add(b, s, strlen(s));
}

void tl_buf_addc(struct tl_buf *b, char c)
{
	tl_buf_add(b, &c, 1);
}

void tl_buf_addu(struct tl_buf *b, uint64_t v)
{
	tl_buf_reserve(b, 20);
	b->len += tl_fmt_u64(b->ptr + b->len, v);
	b->ptr[b->len] = '\0';
}

void tl_buf_addf(struct tl_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	tl_buf_reserve(b, 64);
	va_start(ap, fmt);
	n = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	tl_assert(n >= 0);
	if ((size_t)n >= b->cap - b->len) {
		tl_buf_reserve(b, (size_t)n);
		va_start(ap, fmt);
		(void)vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

/* Escapes what RFC 8259 demands, and DEL, which upsets terminals. */
static void add_escape(struct tl_buf *b, uint8_t c)
{
	switch (c) {
	case '"':
		tl_buf_add(b, "\\\"", 2);
		break;
	case '\\':
		tl_buf_add(b, "\\\\", 2);
		break;
	case '\n':
		tl_buf_add(b, "\\n", 2);
		break;
	case '\r':
		tl_buf_add(b, "\\r", 2);
		break;
	case '\t':
		tl_buf_add(b, "\\t", 2);
		break;
	default:
		tl_buf_addf(b, "\\u%04x", (unsigned)c);
	}
}

void tl_buf_add_json(struct tl_buf *b, struct tl_str s)
{
	size_t run = 0, i = 0;

	tl_buf_reserve(b, s.len + 2);
	tl_buf_addc(b, '"');
	while (i < s.len) {
		uint8_t c = (uint8_t)s.ptr[i];
		size_t n = 1;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		if (c >= 0x80) {
			n = tl_utf8_next(
				(struct tl_str){ s.ptr + i, s.len - i });
			if (n > 0) {
				i += n;
				continue;
			}
		}
		tl_buf_add(b, s.ptr + run, i - run);
		if (n == 0) /* not UTF-8: the replacement character */
			tl_buf_add(b, "\\ufffd", 6);
		else
			add_escape(b, c);
		run = ++i;
	}
	if (i > run)
		tl_buf_add(b, s.ptr + run, i - run);
	tl_buf_addc(b, '"');
}

struct tl_str tl_buf_str(const struct tl_buf *b)
{
	return (struct tl_str){ b->ptr, b->len };
}
