/*
 * clock.h - clocks and their words.
 *
 * mono: CLOCK_MONOTONIC, for windows, timeouts, ages.  wall: CLOCK_REALTIME,
 * Unix time in UTC.  Never mix the two; names carry _mono_ or _wall_/_at_.
 */
#ifndef TALLY_BASE_CLOCK_H
#define TALLY_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define TL_NS_PER_S  1000000000ULL
#define TL_NS_PER_MS 1000000ULL
#define TL_DAY_S     86400

uint64_t tl_mono_ns(void);
uint64_t tl_mono_ms(void);
int64_t tl_wall_us(void);

#define TL_RFC3339_TEXT 32
/*
 * 2026-03-01T12:34:56.789012Z; without fraction when it is 0.  Both formats
 * stop at the years 0000 and 9999, the ends of what the text can say.
 */
size_t tl_rfc3339_format(int64_t wall_us, char dst[TL_RFC3339_TEXT]);
/* Accepts what RFC 3339 allows, offsets included. */
bool tl_rfc3339_parse(struct tl_str s, int64_t *wall_us_r);
/* YYYY-MM-DD of days since 1970-01-01. */
void tl_day_format(int32_t day, char dst[11]);
bool tl_day_parse(struct tl_str s, int32_t *day_r); /* real dates only */

struct tl_civil {
	int year, month, day; /* 1 to 12, 1 to 31 */
};
/* Gregorian, before 1582 too; days since 1970-01-01. */
int32_t tl_day_of_civil(struct tl_civil c);
struct tl_civil tl_civil_of_day(int32_t day);

#endif
