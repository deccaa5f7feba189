/*
 * str.c - see str.h.  The growing buffer is in buf.c, UUIDs in uuid.c.
 */
#include "base/str.h"

static inline char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool tl_str_ieq(struct tl_str a, struct tl_str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (fold(a.ptr[i]) != fold(b.ptr[i]))
			return false;
	return true;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct tl_str tl_str_trim(struct tl_str s)
{
	while (s.len > 0 && is_blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool tl_str_split(struct tl_str *rest, char sep, struct tl_str *piece_r)
{
	const char *at;
	size_t n;

	if (rest->len == 0)
		return false;
	at = memchr(rest->ptr, sep, rest->len);
	n = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
	*piece_r = (struct tl_str){ rest->ptr, n };
	if (at != NULL)
		n++;
	rest->ptr += n;
	rest->len -= n;
	return true;
}

bool tl_parse_u64(struct tl_str s, uint64_t min, uint64_t max, uint64_t *v_r)
{
	uint64_t v = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
			return false;
	}
	if (v < min || v > max)
		return false;
	*v_r = v;
	return true;
}

bool tl_parse_i64(struct tl_str s, int64_t min, int64_t max, int64_t *v_r)
{
	bool negative = s.len > 0 && s.ptr[0] == '-';
	uint64_t top = INT64_MAX, magnitude;
	int64_t v;

	if (negative) {
		s.ptr++;
		s.len--;
		top++; /* INT64_MIN has no positive twin */
	}
	if (!tl_parse_u64(s, 0, top, &magnitude))
		return false;
	if (!negative)
		v = (int64_t)magnitude;
	else
		v = magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
	if (v < min || v > max)
		return false;
	*v_r = v;
	return true;
}

size_t tl_fmt_u64(char *dst, uint64_t v)
{
	static const char pairs[] = "0001020304050607080910111213141516171819"
				    "2021222324252627282930313233343536373839"
				    "4041424344454647484950515253545556575859"
				    "6061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";
	char tmp[20];
	size_t at = sizeof(tmp);

	while (v >= 100) {
		at -= 2;
		memcpy(tmp + at, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (v >= 10) {
		at -= 2;
		memcpy(tmp + at, pairs + v * 2, 2);
	} else {
		tmp[--at] = (char)('0' + v);
	}
	memcpy(dst, tmp + at, sizeof(tmp) - at);
	return sizeof(tmp) - at;
}

void tl_hex(const void *src, size_t len, char *dst)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = src;

	for (size_t i = 0; i < len; i++) {
		*dst++ = digits[b[i] >> 4];
		*dst++ = digits[b[i] & 15];
	}
	*dst = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = fold(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool tl_unhex(struct tl_str hex, void *dst, size_t len)
{
	uint8_t *b = dst;

	/* Checked first, so that dst is written on success only. */
	if (hex.len != len * 2)
		return false;
	for (size_t i = 0; i < hex.len; i++)
		if (nibble(hex.ptr[i]) < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(nibble(hex.ptr[2 * i]) << 4 |
				 nibble(hex.ptr[2 * i + 1]));
	return true;
}

/* Length of the well-formed sequence at p (Unicode table 3-7), 0: none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80, hi = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		hi = 0x8f; /* above U+10FFFF */
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

size_t tl_utf8_next(struct tl_str s)
{
	return s.len == 0 ? 0 : utf8_sequence((const uint8_t *)s.ptr, s.len);
}

bool tl_utf8_valid(struct tl_str s, size_t *code_points_r)
{
	const uint8_t *p = (const uint8_t *)s.ptr;
	size_t count = 0;

	for (size_t i = 0, n; i < s.len; i += n, count++) {
		n = utf8_sequence(p + i, s.len - i);
		if (n == 0)
			return false;
	}
	if (code_points_r != NULL)
		*code_points_r = count;
	return true;
}

bool tl_has_control(struct tl_str s)
{
	const uint8_t *p = (const uint8_t *)s.ptr;

	for (size_t i = 0; i < s.len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return true;
		/* U+0080..U+009F; 0xc2 is never inside a sequence. */
		if (p[i] == 0xc2 && i + 1 < s.len && p[i + 1] >= 0x80 &&
		    p[i + 1] <= 0x9f)
			return true;
	}
	return false;
}

bool tl_equal_const_time(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}
