/*
 * cron.h - cron expressions: which minutes, and which of them comes next.
 *
 * "minute hour day-of-month month day-of-week", as crontab(5) has them: a star,
 * numbers, ranges, lists, steps behind a star or a range, names of months and
 * weekdays in English, 7 as Sunday; or @hourly, @daily, @midnight, @weekly,
 * @monthly, @yearly, @annually.  When both days are restricted, one that fits
 * is enough; a field that begins with a star restricts nothing.
 *
 * Daylight saving: the expression names local times, and each fires at the
 * first moment when the local clock has reached it.  So a time that the clock
 * leaps over fires at the first minute behind the gap (once, however many
 * fall into it), and one that comes twice fires the first time only.
 * Pure.  Runs in: scheduler, worker, tallyctl.
 */
#ifndef TALLY_TALLY_CRON_H
#define TALLY_TALLY_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct tally_zone;

#define TALLY_CRON_TEXT_MAX 200

struct tally_cron { /* a bit for each value that fits */
	uint64_t minutes;
	uint32_t hours, days, months; /* days, months: from bit 1 */
	uint32_t weekdays;            /* bit 0: Sunday */
	bool any_day, any_weekday;    /* the field begins with a star */
};

/* TL_INVALID names the field and what would be right. */
enum tl_status tally_cron_parse(struct tl_str text, struct tally_cron *c_r,
				struct tl_err *err) TL_MUST_CHECK;
/* The first moment behind `after` (Unix seconds).  There is one: what never
 * comes is not parsed. */
int64_t tally_cron_next(const struct tally_cron *c, const struct tally_zone *z,
			int64_t after);

#endif
