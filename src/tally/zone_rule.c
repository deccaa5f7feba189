#include "tally/zone_rule.h"

#include "base/clock.h"

/* ---- reading ---- */

struct cursor {
	const char *p, *end;
};

static bool at(const struct cursor *c, char ch)
{
	return c->p < c->end && *c->p == ch;
}

static bool take(struct cursor *c, char ch)
{
	if (!at(c, ch))
		return false;
	c->p++;
	return true;
}

static bool digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

static bool number(struct cursor *c, int min, int max, int *n_r)
{
	int n = 0;

	if (!digit(c))
		return false;
	for (; digit(c); c->p++) {
		n = n * 10 + (*c->p - '0');
		if (n > max)
			return false;
	}
	*n_r = n;
	return n >= min;
}

/* "CET" or "<+0330>"; the name itself is nobody's business here. */
static bool name(struct cursor *c)
{
	const char *from = c->p;

	if (take(c, '<')) {
		while (c->p < c->end && *c->p != '>')
			c->p++;
		return take(c, '>');
	}
	while (c->p < c->end && ((*c->p >= 'A' && *c->p <= 'Z') ||
				 (*c->p >= 'a' && *c->p <= 'z')))
		c->p++;
	return c->p - from >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool clock_time(struct cursor *c, int hours_max, int32_t *s_r)
{
	bool minus = take(c, '-');
	int h, m = 0, s = 0;

	if (!minus)
		(void)take(c, '+');
	if (!number(c, 0, hours_max, &h) ||
	    (take(c, ':') && (!number(c, 0, 59, &m) ||
			      (take(c, ':') && !number(c, 0, 59, &s)))))
		return false;
	*s_r = (h * 60 + m) * 60 + s;
	if (minus)
		*s_r = -*s_r;
	return true;
}

static bool change(struct cursor *c, struct zone_change *ch)
{
	bool good;

	ch->time_s = 2 * 3600;
	if (take(c, 'M')) {
		ch->kind = ZONE_WEEKDAY;
		good = number(c, 1, 12, &ch->month) && take(c, '.') &&
		       number(c, 1, 5, &ch->week) && take(c, '.') &&
		       number(c, 0, 6, &ch->weekday);
	} else if (take(c, 'J')) {
		ch->kind = ZONE_JULIAN;
		good = number(c, 1, 365, &ch->day);
	} else {
		ch->kind = ZONE_ZERO_BASED;
		good = number(c, 0, 365, &ch->day);
	}
	return good && (!take(c, '/') || clock_time(c, 167, &ch->time_s));
}

bool zone_rule_parse(struct tl_str text, struct zone_rule *r)
{
	struct cursor c = { text.ptr, text.ptr + text.len };
	int32_t west;

	*r = (struct zone_rule){ 0 };
	if (!name(&c) || !clock_time(&c, 24, &west))
		return false;
	r->std_s = -west;
	if (c.p == c.end)
		return true;
	r->has_dst = true;
	r->dst_s = r->std_s + 3600;
	if (!name(&c))
		return false;
	if (!at(&c, ',')) {
		if (!clock_time(&c, 24, &west))
			return false;
		r->dst_s = -west;
	}
	return take(&c, ',') && change(&c, &r->start) && take(&c, ',') &&
	       change(&c, &r->end) && c.p == c.end;
}

/* ---- asking ---- */

static bool leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30,
				    31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && leap(year) ? 1 : 0);
}

/* The local time of a change, as if it were UTC. */
static int64_t change_at(const struct zone_change *ch, int year)
{
	int32_t day = tl_day_of_civil((struct tl_civil){ year, 1, 1 });
	int first, mday;

	if (ch->kind == ZONE_ZERO_BASED) {
		day += ch->day;
	} else if (ch->kind == ZONE_JULIAN) { /* 29 February is not counted */
		day += ch->day - 1 + (ch->day >= 60 && leap(year) ? 1 : 0);
	} else {
		day = tl_day_of_civil((struct tl_civil){ year, ch->month, 1 });
		first = ((day + 4) % 7 + 7) % 7; /* 1970-01-01: a Thursday */
		mday = (ch->weekday - first + 7) % 7 + 7 * (ch->week - 1);
		while (mday >= days_of(year, ch->month))
			mday -= 7;
		day += mday;
	}
	return (int64_t)day * TL_DAY_S + ch->time_s;
}

int32_t zone_rule_offset(const struct zone_rule *r, int64_t t, int64_t *until_r)
{
	/* Times of a change reach a week into the years beside. */
	int64_t day = t / TL_DAY_S - (t % TL_DAY_S < 0 ? 1 : 0);
	int year = tl_civil_of_day((int32_t)day).year;
	int64_t last = INT64_MIN, next = INT64_MAX;
	int32_t offset = r->std_s;

	*until_r = INT64_MAX;
	if (!r->has_dst)
		return offset;
	for (int y = year - 2; y <= year + 2; y++) {
		int64_t start = change_at(&r->start, y) - r->std_s;
		int64_t end = change_at(&r->end, y) - r->dst_s;

		if (end <= t && end > last) {
			last = end;
			offset = r->std_s;
		}
		/* Daylight saving for ever: a year's end is the next one's
		 * start, and the start counts. */
		if (start <= t && start >= last) {
			last = start;
			offset = r->dst_s;
		}
		if (end > t && end < next)
			next = end;
		if (start > t && start < next)
			next = start;
	}
	*until_r = next;
	return offset;
}
