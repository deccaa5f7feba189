/*
 * zone_rule.h - the rule for ever at the end of a TZif file; inside zone.c.
 *
 * The form of the TZ variable, POSIX 8.3, with the hours of RFC 8536, 3.3.1:
 * "CET-1CEST,M3.5.0,M10.5.0/3".  Pure.
 */
#ifndef TALLY_TALLY_ZONE_RULE_H
#define TALLY_TALLY_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum zone_day { ZONE_JULIAN, ZONE_ZERO_BASED, ZONE_WEEKDAY };
struct zone_change { /* a day of each year, and a local time on it */
	enum zone_day kind;
	int day;                  /* of the first two kinds */
	int month, week, weekday; /* week 5: the last one */
	int32_t time_s;           /* -167 to 167 hours */
};
struct zone_rule {
	int32_t std_s, dst_s; /* offsets from UTC, east is positive */
	bool has_dst;
	struct zone_change start, end; /* of daylight saving time */
};
bool zone_rule_parse(struct tl_str text, struct zone_rule *r);
/* As tally_zone_offset. */
int32_t zone_rule_offset(const struct zone_rule *r, int64_t t,
			 int64_t *until_r);

#endif
