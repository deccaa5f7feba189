#include "tally/cron.h"

#include "base/clock.h"
#include "tally/zone.h"

#define FIELDS    5
#define HOUR_S    3600
#define WEEKDAY_7 7
/* The rarest is 29 February on one weekday: 40 years, over a year like 2100. */
#define DAYS_MAX (60 * 366)

/* ---- fields ---- */

struct field {
	const char *name;
	unsigned min, max;
	const char *const *words; /* from min on; NULL: numbers only */
	const char *example;
};
static const char *const months[] = { "jan", "feb", "mar", "apr", "may",
				      "jun", "jul", "aug", "sep", "oct",
				      "nov", "dec", NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed",
					"thu", "fri", "sat", NULL };
enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY };
static const struct field fields[FIELDS] = {
	[MINUTE] = { "minute", 0, 59, NULL, NULL },
	[HOUR] = { "hour", 0, 23, NULL, NULL },
	[DAY] = { "day of month", 1, 31, NULL, NULL },
	[MONTH] = { "month", 1, 12, months, "jan" },
	[WEEKDAY] = { "day of week", 0, WEEKDAY_7, weekdays, "mon" },
};

static enum tl_status not_a_value(const struct field *f, struct tl_str s,
				  struct tl_err *err)
{
	if (s.len == 0)
		return tl_err_set(err, TL_INVALID,
				  "%s: a number is missing; give %u to %u",
				  f->name, f->min, f->max);
	if (f->words != NULL)
		return tl_err_set(err, TL_INVALID,
				  "%s: '%.*s' is neither a number nor a name "
				  "such as %s",
				  f->name, (int)s.len, s.ptr, f->example);
	return tl_err_set(err, TL_INVALID, "%s: '%.*s' is not a number",
			  f->name, (int)s.len, s.ptr);
}

static enum tl_status read_value(const struct field *f, struct tl_str s,
				 unsigned *v_r, struct tl_err *err)
{
	uint64_t n;

	for (unsigned i = 0; f->words != NULL && f->words[i] != NULL; i++) {
		if (tl_str_ieq(s, tl_str_c(f->words[i]))) {
			*v_r = f->min + i;
			return TL_OK;
		}
	}
	if (!tl_parse_u64(s, 0, UINT32_MAX, &n))
		return not_a_value(f, s, err);
	if (n < f->min || n > f->max)
		return tl_err_set(err, TL_INVALID, "%s: %.*s is not %u to %u",
				  f->name, (int)s.len, s.ptr, f->min, f->max);
	*v_r = (unsigned)n;
	return TL_OK;
}

static enum tl_status read_step(const struct field *f, struct tl_str s,
				unsigned *step_r, struct tl_err *err)
{
	uint64_t n;

	if (!tl_parse_u64(s, 1, f->max, &n))
		return tl_err_set(err, TL_INVALID,
				  "%s: '%.*s' is no step; give 1 to %u",
				  f->name, (int)s.len, s.ptr, f->max);
	*step_r = (unsigned)n;
	return TL_OK;
}

/* "a" or "a-b" */
static enum tl_status read_range(const struct field *f, struct tl_str s,
				 unsigned *from_r, unsigned *to_r,
				 struct tl_err *err)
{
	const char *dash = memchr(s.ptr, '-', s.len);
	struct tl_str first = s, second;
	enum tl_status st;

	if (dash == NULL) {
		st = read_value(f, s, from_r, err);
		*to_r = *from_r;
		return st;
	}
	first.len = (size_t)(dash - s.ptr);
	second = (struct tl_str){ dash + 1, s.len - first.len - 1 };
	st = read_value(f, first, from_r, err);
	if (st == TL_OK)
		st = read_value(f, second, to_r, err);
	if (st != TL_OK)
		return st;
	if (f->max == WEEKDAY_7 && *to_r == 0 && *from_r > 0)
		*to_r = WEEKDAY_7; /* fri-sun */
	if (*from_r > *to_r)
		return tl_err_set(err, TL_INVALID,
				  "%s: %.*s runs backwards; give two ranges",
				  f->name, (int)s.len, s.ptr);
	return TL_OK;
}

/* One piece of a list: a star, a number, a range; a step behind. */
static enum tl_status read_item(const struct field *f, struct tl_str s,
				uint64_t *bits, struct tl_err *err)
{
	const char *slash = s.len > 0 ? memchr(s.ptr, '/', s.len) : NULL;
	struct tl_str base = s;
	unsigned from = f->min, to = f->max, step = 1;
	enum tl_status st = TL_OK;

	if (s.len == 0)
		return tl_err_set(err, TL_INVALID,
				  "%s: there is nothing between two commas",
				  f->name);
	if (slash != NULL) {
		base.len = (size_t)(slash - s.ptr);
		st = read_step(
			f, (struct tl_str){ slash + 1, s.len - base.len - 1 },
			&step, err);
	}
	if (st == TL_OK && !tl_str_eq(base, TL_STR("*"))) {
		st = base.len > 0 ? read_range(f, base, &from, &to, err)
				  : not_a_value(f, base, err);
		if (st == TL_OK && slash != NULL &&
		    memchr(base.ptr, '-', base.len) == NULL)
			return tl_err_set(err, TL_INVALID,
					  "%s: a step needs a range; write "
					  "%u-%u/%u",
					  f->name, from, f->max, step);
	} else if (f->max == WEEKDAY_7) {
		to = WEEKDAY_7 - 1; /* Sunday once: a step would miss a day */
	}
	if (st != TL_OK)
		return st;
	for (unsigned v = from; v <= to; v += step)
		*bits |= 1ULL << v;
	return TL_OK;
}

static enum tl_status read_field(const struct field *f, struct tl_str s,
				 uint64_t *bits_r, struct tl_err *err)
{
	struct tl_str rest = s, item;
	enum tl_status st = TL_OK;

	*bits_r = 0;
	if (s.ptr[s.len - 1] == ',')
		return read_item(f, (struct tl_str){ s.ptr, 0 }, bits_r, err);
	while (st == TL_OK && tl_str_split(&rest, ',', &item))
		st = read_item(f, item, bits_r, err);
	return st;
}

/* ---- the expression ---- */

static enum tl_status expand(struct tl_str *text, struct tl_err *err)
{
	static const struct {
		const char *name, *text;
	} short_forms[] = {
		{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
		{ "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
		{ "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
		{ "@annually", "0 0 1 1 *" },
	};

	if (text->len == 0 || text->ptr[0] != '@')
		return TL_OK;
	for (size_t i = 0; i < sizeof(short_forms) / sizeof(short_forms[0]);
	     i++) {
		if (tl_str_ieq(*text, tl_str_c(short_forms[i].name))) {
			*text = tl_str_c(short_forms[i].text);
			return TL_OK;
		}
	}
	return tl_err_set(err, TL_INVALID,
			  "'%.*s' is not known; give @hourly, @daily, @weekly, "
			  "@monthly or @yearly",
			  (int)text->len, text->ptr);
}

/* Words between blanks; how many, at most max + 1 are looked at. */
static unsigned words_of(struct tl_str text, struct tl_str *words, unsigned max)
{
	unsigned n = 0;
	size_t i = 0, from;

	while (n <= max) {
		while (i < text.len && text.ptr[i] == ' ')
			i++;
		if (i == text.len)
			break;
		from = i;
		while (i < text.len && text.ptr[i] != ' ')
			i++;
		if (n < max)
			words[n] = (struct tl_str){ text.ptr + from, i - from };
		n++;
	}
	return n;
}

static bool fits_day(const struct tally_cron *c, unsigned mday,
		     unsigned weekday)
{
	bool day = (c->days >> mday & 1) != 0;
	bool wday = (c->weekdays >> weekday & 1) != 0;

	return c->any_day || c->any_weekday ? day && wday : day || wday;
}

/* Over 400 years each date falls on each weekday, so only the length of the
 * months can be in the way. */
static bool ever_comes(const struct tally_cron *c)
{
	static const unsigned days[] = { 0,  31, 29, 31, 30, 31, 30,
					 31, 31, 30, 31, 30, 31 };

	if (!c->any_day && !c->any_weekday)
		return true; /* by its weekday */
	for (unsigned month = 1; month <= 12; month++)
		if ((c->months >> month & 1) != 0 &&
		    (c->days & ((2ULL << days[month]) - 1)) != 0)
			return true;
	return false;
}

enum tl_status tally_cron_parse(struct tl_str text, struct tally_cron *c_r,
				struct tl_err *err)
{
	struct tl_str words[FIELDS];
	uint64_t bits[FIELDS];
	struct tally_cron c;
	enum tl_status st;
	unsigned n;

	text = tl_str_trim(text);
	if (text.len > TALLY_CRON_TEXT_MAX)
		return tl_err_set(err, TL_INVALID,
				  "an expression has at most %d characters",
				  TALLY_CRON_TEXT_MAX);
	if (tl_has_control(text)) /* it ends up in lists and logs */
		return tl_err_set(err, TL_INVALID,
				  "an expression has no control characters");
	st = expand(&text, err);
	if (st != TL_OK)
		return st;
	n = words_of(text, words, FIELDS);
	if (n != FIELDS)
		return tl_err_set(
			err, TL_INVALID,
			"five fields are needed: minute, hour, day of "
			"month, month, day of week; there %s %s%u",
			n == 1 ? "is" : "are", n > FIELDS ? "more than " : "",
			n > FIELDS ? FIELDS : n);
	for (unsigned i = 0; st == TL_OK && i < FIELDS; i++)
		st = read_field(&fields[i], words[i], &bits[i], err);
	if (st != TL_OK)
		return st;
	c = (struct tally_cron){
		.minutes = bits[MINUTE],
		.hours = (uint32_t)bits[HOUR],
		.days = (uint32_t)bits[DAY],
		.months = (uint32_t)bits[MONTH],
		.weekdays =
			(uint32_t)(bits[WEEKDAY] | bits[WEEKDAY] >> WEEKDAY_7) &
			0x7f,
		.any_day = words[DAY].ptr[0] == '*',
		.any_weekday = words[WEEKDAY].ptr[0] == '*',
	};
	if (!ever_comes(&c))
		return tl_err_set(err, TL_INVALID,
				  "day of month: no month that is named has "
				  "such a day, so it would never come");
	*c_r = c;
	return TL_OK;
}

/* ---- what comes next ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* The first local time from l on (seconds, of a whole minute) that fits. */
static int64_t next_local(const struct tally_cron *c, int64_t l)
{
	int32_t day = (int32_t)floor_div(l, TL_DAY_S);
	unsigned from = (unsigned)((l - (int64_t)day * TL_DAY_S) / 60);

	for (int i = 0; i < DAYS_MAX; i++, day++, from = 0) {
		struct tl_civil d = tl_civil_of_day(day);
		unsigned weekday = (unsigned)(((day + 4) % 7 + 7) % 7);

		if ((c->months >> d.month & 1) == 0 ||
		    !fits_day(c, (unsigned)d.day, weekday))
			continue;
		for (unsigned h = from / 60; h < 24; h++) {
			unsigned m = h == from / 60 ? from % 60 : 0;

			if ((c->hours >> h & 1) == 0 || c->minutes >> m == 0)
				continue;
			m += (unsigned)__builtin_ctzll(c->minutes >> m);
			return (int64_t)day * TL_DAY_S + h * HOUR_S + m * 60;
		}
	}
	tl_assert(!"an expression that never comes");
	return INT64_MAX;
}

/* The first moment when the local clock shows l or later, at a whole minute. */
static int64_t moment_of(const struct tally_zone *z, int64_t l)
{
	int64_t from = l - TALLY_ZONE_OFFSET_MAX_S, until, t;
	int32_t offset;

	for (;;) {
		offset = tally_zone_offset(z, from, &until);
		if (until == INT64_MAX || until - 1 + offset >= l)
			break;
		from = until;
	}
	t = l - offset > from ? l - offset : from;
	/* Behind a gap that did not end at a whole minute. */
	return t + (60 - (t + offset) % 60) % 60;
}

int64_t tally_cron_next(const struct tally_cron *c, const struct tally_zone *z,
			int64_t after)
{
	int64_t until, l, t;

	l = after + tally_zone_offset(z, after, &until);
	l = floor_div(l, 60) * 60 + 60;
	/* In an hour that comes a second time, what fits has been. */
	while ((t = moment_of(z, next_local(c, l))) <= after)
		l += 60;
	return t;
}
