/*
 * str.h - strings with a length, a growing buffer, numbers, hex, UUIDs.
 *
 * struct tl_str borrows: it never owns its bytes and need not end in NUL.
 * Parsers are strict: the whole input must be the thing, no blanks, no sign
 * unless signed.  Runs in: all processes.  Suspends: no.
 */
#ifndef TALLY_BASE_STR_H
#define TALLY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

struct tl_str {
	const char *ptr;
	size_t len;
};
#define TL_STR(lit) ((struct tl_str){ (lit), sizeof(lit) - 1 })
static inline struct tl_str tl_str_c(const char *s) /* NULL gives {NULL,0} */
{
	return (struct tl_str){ s, s != NULL ? strlen(s) : 0 };
}
static inline bool tl_str_eq(struct tl_str a, struct tl_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
bool tl_str_ieq(struct tl_str a, struct tl_str b); /* ASCII case folded */
struct tl_str tl_str_trim(struct tl_str s);	   /* blanks: space, \t\r\n */
/*
 * Cuts the next piece up to sep from *rest; false when nothing is left, so a
 * separator at the end adds no piece.
 */
bool tl_str_split(struct tl_str *rest, char sep, struct tl_str *piece_r);

/* A growing buffer.  Always NUL-terminated behind len. */
struct tl_buf {
	char *ptr;
	size_t len;
	size_t cap;
};
void tl_buf_init(struct tl_buf *b);
void tl_buf_deinit(struct tl_buf *b);
void tl_buf_reset(struct tl_buf *b); /* keeps the memory */
void tl_buf_reserve(struct tl_buf *b, size_t more_bytes);
void tl_buf_add(struct tl_buf *b, const void *p, size_t len);
void tl_buf_adds(struct tl_buf *b, const char *s);
void tl_buf_addc(struct tl_buf *b, char c);
void tl_buf_addu(struct tl_buf *b, uint64_t v); /* decimal, fast */
void tl_buf_addf(struct tl_buf *b, const char *fmt, ...) TL_PRINTF(2, 3);
void tl_buf_add_json(struct tl_buf *b, struct tl_str s); /* quoted, escaped */
struct tl_str tl_buf_str(const struct tl_buf *b);

bool tl_parse_u64(struct tl_str s, uint64_t min, uint64_t max, uint64_t *v_r);
bool tl_parse_i64(struct tl_str s, int64_t min, int64_t max, int64_t *v_r);
/* Writes decimal without NUL, returns the length (<= 20). */
size_t tl_fmt_u64(char *dst, uint64_t v);

void tl_hex(const void *src, size_t len, char *dst); /* 2*len, + NUL */
bool tl_unhex(struct tl_str hex, void *dst, size_t len); /* either case */
bool tl_utf8_valid(struct tl_str s, size_t *code_points_r); /* r may be NULL */
/* Bytes of the well-formed sequence at the front; 0: none. */
size_t tl_utf8_next(struct tl_str s);
bool tl_has_control(struct tl_str s); /* C0, DEL (C1 when valid UTF-8) */
/* Time does not depend on where they differ. */
bool tl_equal_const_time(const void *a, const void *b, size_t len);

struct tl_uuid {
	uint8_t b[16];
};
#define TL_UUID_TEXT 37 /* 36 characters and NUL */
void tl_uuid_format(const struct tl_uuid *u, char dst[TL_UUID_TEXT]);
bool tl_uuid_parse(struct tl_str s, struct tl_uuid *u_r); /* 8-4-4-4-12 */
static inline bool tl_uuid_eq(const struct tl_uuid *a, const struct tl_uuid *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}
struct tl_uuid tl_uuid_random(void); /* version 4, kernel random source */

#endif
