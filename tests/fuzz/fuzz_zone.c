/*
 * fuzz_zone.c - files of time zones.
 *
 * The first byte chooses: 'r': the rest is a rule in the form of TZ, else a
 * whole file.  Of a zone that is taken the offset is within a day and two
 * hours, the same until the moment that is named for it, and that moment is
 * later than the one asked for.
 */
#include <stdlib.h>

#include "tally/zone.h"
#include "tally/zone_rule.h"
#include "tests/fuzz/fuzz.h"

static const int64_t moments[] = {
	-5000000000LL, -1,           0,
	1767225600LL,  1774746000LL, 1792890000LL,
	1835395199LL,  4102444800LL,
};
#define MOMENTS (sizeof(moments) / sizeof(moments[0]))

static void holds(int32_t offset, int64_t t, int64_t until)
{
	tl_assert(until > t);
	tl_assert(offset >= -TALLY_ZONE_OFFSET_MAX_S &&
		  offset <= TALLY_ZONE_OFFSET_MAX_S);
}

static void check_rule(struct tl_str text)
{
	struct zone_rule r;
	int64_t until, later;

	if (!zone_rule_parse(text, &r))
		return;
	for (size_t i = 0; i < MOMENTS; i++) {
		int32_t offset = zone_rule_offset(&r, moments[i], &until);

		holds(offset, moments[i], until);
		tl_assert(r.has_dst == (until != INT64_MAX));
		if (r.has_dst)
			tl_assert(zone_rule_offset(&r, until - 1, &later) ==
					  offset &&
				  later == until);
	}
}

static void check_file(const uint8_t *data, size_t size)
{
	struct tally_zone *z;
	struct tl_err err;
	int64_t until, later;
	enum tl_status st = tally_zone_parse(data, size, &z, &err);

	if (st != TL_OK) {
		tl_assert(st == TL_BROKEN || st == TL_VERSION);
		return;
	}
	for (size_t i = 0; i < MOMENTS; i++) {
		int32_t offset = tally_zone_offset(z, moments[i], &until);

		holds(offset, moments[i], until);
		if (until != INT64_MAX)
			tl_assert(tally_zone_offset(z, until - 1, &later) ==
					  offset &&
				  later == until);
	}
	tally_zone_free(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { data, size };

	if (size > 0 && data[0] == 'r') {
		(void)fuzz_u8(&b);
		check_rule(fuzz_rest(&b));
	} else {
		check_file(data, size);
	}
	return 0;
}
