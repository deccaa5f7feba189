/*
 * fuzz_cron.c - cron expressions, and zones to keep them in.
 *
 * The first two bytes choose a moment and a rule of summer time, the rest is
 * the expression.  What comes next is later, at a whole minute, and is what
 * comes next from every moment before it; in UTC it fits the expression, and
 * of the minutes in between none does.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "tally/cron.h"
#include "tally/zone.h"
#include "tests/fuzz/fuzz.h"

#define WALK_MINUTES 1500

/* A file of tzdata that has nothing but the rule at its end. */
static struct tally_zone *zone_of(const char *rule)
{
	static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0";
	struct tally_zone *z = NULL;
	struct tl_buf b;

	tl_buf_init(&b);
	for (int i = 0; i < 2; i++) /* 44 bytes, a type of six, a name of one */
		tl_buf_add(&b, head, 51);
	tl_buf_addf(&b, "\n%s\n", rule);
	tl_assert(tally_zone_parse(b.ptr, b.len, &z, NULL) == TL_OK);
	tl_buf_deinit(&b);
	return z;
}

/* In UTC, of the fields as crontab(5) has them. */
static bool fits(const struct tally_cron *c, int64_t t)
{
	int64_t day = t / TL_DAY_S;
	struct tl_civil d = tl_civil_of_day((int32_t)day);
	unsigned minute = (unsigned)(t % 3600 / 60);
	unsigned hour = (unsigned)(t % TL_DAY_S / 3600);
	bool mday = (c->days >> d.day & 1) != 0;
	bool wday = (c->weekdays >> (day + 4) % 7 & 1) != 0;

	return (c->minutes >> minute & 1) != 0 && (c->hours >> hour & 1) != 0 &&
	       (c->months >> d.month & 1) != 0 &&
	       (c->any_day || c->any_weekday ? mday && wday : mday || wday);
}

static void check_bits(const struct tally_cron *c)
{
	tl_assert(c->minutes != 0 && c->minutes >> 60 == 0);
	tl_assert(c->hours != 0 && c->hours >> 24 == 0);
	tl_assert(c->days != 0 && (c->days & 1) == 0);
	tl_assert(c->months != 0 && (c->months & 1) == 0 &&
		  c->months >> 13 == 0);
	tl_assert(c->weekdays != 0 && c->weekdays >> 7 == 0);
}

static void check_utc(const struct tally_cron *c, const struct tally_zone *utc,
		      int64_t after)
{
	int64_t next = tally_cron_next(c, utc, after);
	int64_t t = after - after % 60 + 60;

	tl_assert(next > after && next % 60 == 0);
	tl_assert(fits(c, next));
	for (int i = 0; i < WALK_MINUTES && t < next; i++, t += 60)
		tl_assert(!fits(c, t));
}

static void check_zone(const struct tally_cron *c, const struct tally_zone *z,
		       int64_t after)
{
	int64_t next = tally_cron_next(c, z, after), middle, until;
	int32_t offset = tally_zone_offset(z, next, &until);

	tl_assert(next > after);
	tl_assert((next + offset) % 60 == 0);
	tl_assert(until > next);
	tl_assert(tally_zone_offset(z, until - 1, &middle) == offset);
	middle = after + (next - after) / 2;
	tl_assert(tally_cron_next(c, z, middle) == next);
	tl_assert(tally_cron_next(c, z, next - 1) == next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const rules[] = {
		"UTC0",
		"CET-1CEST,M3.5.0,M10.5.0/3",
		"EST5EDT,M3.2.0,M11.1.0",
		"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
		"AAA-5:07:30BBB,J60/0,J300/-25",
	};
	enum { RULES = sizeof(rules) / sizeof(rules[0]) };
	static struct tally_zone *zones[RULES];
	struct fuzz_bytes b = { data, size };
	/* 2026 to 2031, in steps that meet every minute of an hour */
	int64_t after = 1767225600LL + fuzz_u8(&b) * 617411LL;
	unsigned zone = fuzz_u8(&b) % RULES;
	struct tally_cron c;
	struct tl_err err;

	for (unsigned i = 0; zones[i % RULES] == NULL; i++)
		zones[i] = zone_of(rules[i]);
	if (tally_cron_parse(fuzz_rest(&b), &c, &err) != TL_OK) {
		tl_assert(err.text[0] != '\0');
		return 0;
	}
	check_bits(&c);
	check_utc(&c, zones[0], after);
	check_zone(&c, zones[zone], after);
	return 0;
}
