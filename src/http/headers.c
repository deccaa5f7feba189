/*
 * headers.c - header lines that handlers add to their reply.
 *
 * They go straight into the block that the reply is made of.
 */
#include <stdarg.h>
#include <stdio.h>

#include "http/http_internal.h"

void http_put_u64(struct tl_buf *b, uint64_t v)
{
	char digits[20];
	size_t n = 1;

	if (v < 10) /* many are: remaining, seconds, lengths */
		digits[0] = (char)('0' + v);
	else
		n = tl_fmt_u64(digits, v);
	http_put(b, digits, n);
}

/* Two of these stand in each gate reply and in its line of the log. */
void http_put_uuid(struct tl_buf *b, const struct tl_uuid *u)
{
	static const char hex[] = "0123456789abcdef";
	char text[TL_UUID_TEXT - 1], *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[u->b[i] >> 4];
		*p++ = hex[u->b[i] & 15];
	}
	http_put(b, text, sizeof(text));
}

/*
 * The conversions that header lines need: %s %.*s %u %d %zu %lu %llu.  False:
 * another one, printf does it.  About a tenth of printf's time.
 */
static bool put_plain(struct tl_buf *b, const char *fmt, va_list ap)
{
	for (; *fmt != '\0'; fmt++) {
		const char *run = fmt;
		struct tl_str s;

		while (*fmt != '\0' && *fmt != '%')
			fmt++;
		http_put(b, run, (size_t)(fmt - run));
		if (*fmt == '\0')
			return true;
		fmt++;
		if (*fmt == 's') {
			s = tl_str_c(va_arg(ap, const char *));
			http_put(b, s.ptr, s.len);
		} else if (fmt[0] == '.' && fmt[1] == '*' && fmt[2] == 's') {
			s.len = (size_t)va_arg(ap, int);
			s.ptr = va_arg(ap, const char *);
			http_put(b, s.ptr, s.len);
			fmt += 2;
		} else if (*fmt == 'u') {
			http_put_u64(b, va_arg(ap, unsigned));
		} else if (fmt[0] == 'l' && fmt[1] == 'u') {
			http_put_u64(b, va_arg(ap, unsigned long));
			fmt++;
		} else {
			return false;
		}
	}
	return true;
}

TL_PRINTF(2, 0)
static void put_printf(struct tl_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n <= 0)
		return;
	tl_buf_reserve(b, (size_t)n + 1);
	(void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

/* A value must not end its line: it may come from a database. */
static void no_line_ends(char *p, size_t len)
{
	if (guard_value_clean(p, len))
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			p[i] = ' ';
}

void req_header_add(struct req *req, const char *name, const char *fmt, ...)
{
	struct http_req_priv *p = req->priv;
	struct tl_buf *b = &p->extra;
	size_t value_at;
	va_list ap;
	bool whole;

	if (name[0] == 'C') {
		if (strcmp(name, "Cache-Control") == 0)
			p->has_cache_control = true;
		else if (strcmp(name, "Content-Type") == 0)
			p->has_content_type = true;
	}
	http_put(b, name, strlen(name));
	HTTP_PUT(b, ": ");
	value_at = b->len;
	va_start(ap, fmt);
	whole = put_plain(b, fmt, ap);
	va_end(ap);
	if (!whole) {
		b->len = value_at;
		va_start(ap, fmt);
		put_printf(b, fmt, ap);
		va_end(ap);
	}
	no_line_ends(b->ptr + value_at, b->len - value_at);
	HTTP_PUT(b, "\r\n");
}

void req_header_add_uuid(struct req *req, const char *name,
			 const struct tl_uuid *u)
{
	struct tl_buf *b = &req->priv->extra;

	http_put(b, name, strlen(name));
	HTTP_PUT(b, ": ");
	http_put_uuid(b, u);
	HTTP_PUT(b, "\r\n");
}
