/*
 * clock.c - see clock.h.
 *
 * Dates are counted here and not by timegm and strftime: those know time
 * zones, locales and a 64-bit year that an RFC 3339 text has no room for.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#define US_PER_S  1000000LL
#define DAY_FIRST (-719528) /* 0000-01-01 */
#define DAY_LAST  2932896   /* 9999-12-31 */

uint64_t tl_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * TL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t tl_mono_ms(void)
{
	return tl_mono_ns() / TL_NS_PER_MS;
}

int64_t tl_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

/*
 * Days from civil and back, Howard Hinnant's "chrono-Compatible Low-Level
 * Date Algorithms": years begin in March, so the leap day is the last one,
 * and 400 years are always 146097 days.
 */
int32_t tl_day_of_civil(struct tl_civil c)
{
	int y = c.month <= 2 ? c.year - 1 : c.year;
	int era = (y >= 0 ? y : y - 399) / 400;
	int yoe = y - era * 400;
	int doy =
		(153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
	int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

struct tl_civil tl_civil_of_day(int32_t day)
{
	int z = day + 719468;
	int era = (z >= 0 ? z : z - 146096) / 146097;
	int doe = z - era * 146097;
	int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int mp = (5 * doy + 2) / 153;
	struct tl_civil c;

	c.day = doy - (153 * mp + 2) / 5 + 1;
	c.month = mp < 10 ? mp + 3 : mp - 9;
	c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
	return c;
}

static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30,
				    31, 31, 30, 31, 30, 31 };

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* Writes v with exactly n digits. */
static char *put(char *p, int64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return p + n;
}

void tl_day_format(int32_t day, char dst[11])
{
	struct tl_civil c;
	char *p;

	if (day < DAY_FIRST)
		day = DAY_FIRST;
	if (day > DAY_LAST)
		day = DAY_LAST;
	c = tl_civil_of_day(day);
	p = put(dst, c.year, 4);
	*p++ = '-';
	p = put(p, c.month, 2);
	*p++ = '-';
	p = put(p, c.day, 2);
	*p = '\0';
}

size_t tl_rfc3339_format(int64_t wall_us, char dst[TL_RFC3339_TEXT])
{
	const int64_t first_us = (int64_t)DAY_FIRST * TL_DAY_S * US_PER_S;
	const int64_t end_us = ((int64_t)DAY_LAST + 1) * TL_DAY_S * US_PER_S;
	int64_t day, us, s;
	char *p = dst;

	if (wall_us < first_us)
		wall_us = first_us;
	if (wall_us >= end_us)
		wall_us = end_us - 1;
	day = wall_us / (TL_DAY_S * US_PER_S);
	us = wall_us % (TL_DAY_S * US_PER_S);
	if (us < 0) { /* before 1970 division rounds the wrong way */
		us += TL_DAY_S * US_PER_S;
		day--;
	}
	s = us / US_PER_S;
	us %= US_PER_S;
	tl_day_format((int32_t)day, p);
	p += 10;
	*p++ = 'T';
	p = put(p, s / 3600, 2);
	*p++ = ':';
	p = put(p, s / 60 % 60, 2);
	*p++ = ':';
	p = put(p, s % 60, 2);
	if (us != 0) {
		*p++ = '.';
		p = put(p, us, 6);
	}
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - dst);
}

/* Takes exactly n digits from the front of *s. */
static bool take_digits(struct tl_str *s, size_t n, int *v_r)
{
	uint64_t v;

	if (s->len < n ||
	    !tl_parse_u64((struct tl_str){ s->ptr, n }, 0, 9999, &v))
		return false;
	s->ptr += n;
	s->len -= n;
	*v_r = (int)v;
	return true;
}

static bool take_one_of(struct tl_str *s, const char *set, char *c_r)
{
	if (s->len == 0 || s->ptr[0] == '\0' || strchr(set, s->ptr[0]) == NULL)
		return false;
	*c_r = s->ptr[0];
	s->ptr++;
	s->len--;
	return true;
}

static bool take_date(struct tl_str *s, int32_t *day_r)
{
	struct tl_civil c;
	char dash;

	if (!take_digits(s, 4, &c.year) || !take_one_of(s, "-", &dash) ||
	    !take_digits(s, 2, &c.month) || !take_one_of(s, "-", &dash) ||
	    !take_digits(s, 2, &c.day))
		return false;
	if (c.month < 1 || c.month > 12 || c.day < 1 ||
	    c.day > month_days(c.year, c.month))
		return false;
	*day_r = tl_day_of_civil(c);
	return true;
}

bool tl_day_parse(struct tl_str s, int32_t *day_r)
{
	int32_t day;

	if (!take_date(&s, &day) || s.len != 0)
		return false;
	*day_r = day;
	return true;
}

/* ".5" and the like to microseconds; finer digits are cut off. */
static bool take_fraction(struct tl_str *s, int *us_r)
{
	int unit = 100000, us = 0;
	size_t n = 1;

	*us_r = 0;
	if (s->len == 0 || s->ptr[0] != '.')
		return true;
	for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++) {
		us += (s->ptr[n] - '0') * unit;
		unit /= 10;
	}
	if (n == 1)
		return false;
	s->ptr += n;
	s->len -= n;
	*us_r = us;
	return true;
}

static bool take_offset(struct tl_str *s, int *offset_s_r)
{
	int h, m;
	char c;

	if (!take_one_of(s, "Zz+-", &c))
		return false;
	if (c == 'Z' || c == 'z') {
		*offset_s_r = 0;
		return true;
	}
	*offset_s_r = c == '-' ? -1 : 1;
	if (!take_digits(s, 2, &h) || !take_one_of(s, ":", &c) ||
	    !take_digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*offset_s_r *= h * 3600 + m * 60;
	return true;
}

bool tl_rfc3339_parse(struct tl_str s, int64_t *wall_us_r)
{
	int h, m, sec, us, offset_s;
	int64_t wall_s;
	int32_t day;
	char c;

	if (!take_date(&s, &day) || !take_one_of(&s, "Tt ", &c) ||
	    !take_digits(&s, 2, &h) || !take_one_of(&s, ":", &c) ||
	    !take_digits(&s, 2, &m) || !take_one_of(&s, ":", &c) ||
	    !take_digits(&s, 2, &sec) || !take_fraction(&s, &us) ||
	    !take_offset(&s, &offset_s) || s.len != 0)
		return false;
	if (h > 23 || m > 59 || sec > 60)
		return false;
	wall_s = (int64_t)day * TL_DAY_S + h * 3600 + m * 60 + sec - offset_s;
	/* A leap second ends a UTC day; Unix time gives it the next second. */
	if (sec == 60 && wall_s % TL_DAY_S != 0)
		return false;
	*wall_us_r = wall_s * US_PER_S + us;
	return true;
}
