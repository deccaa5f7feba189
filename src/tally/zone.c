#include "tally/zone.h"

#include <string.h>

#include "base/mem.h"
#include "tally/zone_rule.h"

#define HEAD_BYTES 44
#define TIMES_MAX  20000

struct tally_zone {
	uint32_t n_times, n_types;
	int64_t *times;   /* of changes, ascending */
	uint8_t *types;   /* the type from then on */
	int32_t *offsets; /* of types; the first holds before all changes */
	bool has_rule;    /* for what comes behind the last change */
	struct zone_rule rule;
};

enum tl_status tally_zone_name_check(struct tl_str name, struct tl_err *err)
{
	char before = '/';

	if (name.len == 0 || name.len > TALLY_ZONE_NAME_MAX)
		return tl_err_set(err, TL_INVALID,
				  "a time zone has 1 to %d letters, such as "
				  "Europe/Berlin",
				  TALLY_ZONE_NAME_MAX);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '+' ||
			    c == '-' || (c == '/' && before != '/');

		if (!good || (c == '/' && i + 1 == name.len))
			return tl_err_set(
				err, TL_INVALID,
				"'%.*s' is not the name of a time "
				"zone; give one such as Europe/Berlin",
				(int)name.len, name.ptr);
		before = c;
	}
	return TL_OK;
}

/* ---- the file ---- */

struct counts {
	uint32_t ut, std, leap, time, type, chars;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static enum tl_status broken(struct tl_err *err)
{
	return tl_err_set(err, TL_BROKEN,
			  "it is not a file of tzdata (TZif, RFC 8536)");
}

/* One header; its data have time_bytes for each moment. */
static bool head(const uint8_t *p, size_t len, size_t time_bytes,
		 struct counts *c, size_t *data_bytes_r)
{
	if (len < HEAD_BYTES || memcmp(p, "TZif", 4) != 0)
		return false;
	c->ut = be32(p + 20);
	c->std = be32(p + 24);
	c->leap = be32(p + 28);
	c->time = be32(p + 32);
	c->type = be32(p + 36);
	c->chars = be32(p + 40);
	if (c->ut > 256 || c->std > 256 || c->leap > TIMES_MAX ||
	    c->time > TIMES_MAX || c->type > 256 || c->chars > 4096)
		return false;
	*data_bytes_r = c->time * (time_bytes + 1) + c->type * 6 + c->chars +
			c->leap * (time_bytes + 4) + c->std + c->ut;
	return *data_bytes_r <= len - HEAD_BYTES;
}

static bool read_times(struct tally_zone *z, const uint8_t *p)
{
	const uint8_t *types = p + z->n_times * 8, *t;

	for (uint32_t i = 0; i < z->n_times; i++) {
		z->times[i] = be64(p + i * 8);
		z->types[i] = types[i];
		if (z->types[i] >= z->n_types ||
		    (i > 0 && z->times[i] <= z->times[i - 1]))
			return false;
	}
	t = types + z->n_times;
	for (uint32_t i = 0; i < z->n_types; i++) {
		z->offsets[i] = (int32_t)be32(t + i * 6);
		if (z->offsets[i] < -TALLY_ZONE_OFFSET_MAX_S ||
		    z->offsets[i] > TALLY_ZONE_OFFSET_MAX_S)
			return false;
	}
	return true;
}

/* "\nRULE\n"; without a rule the last type holds for ever. */
static bool read_footer(struct tally_zone *z, const uint8_t *p, size_t len)
{
	const uint8_t *end;

	if (len < 2 || p[0] != '\n' ||
	    (end = memchr(p + 1, '\n', len - 1)) == NULL)
		return false;
	z->has_rule = end > p + 1;
	return !z->has_rule ||
	       zone_rule_parse((struct tl_str){ (const char *)p + 1,
						(size_t)(end - p) - 1 },
			       &z->rule);
}

static struct tally_zone *zone_new(uint32_t n_times, uint32_t n_types)
{
	struct tally_zone *z = tl_alloc(sizeof(*z));

	z->n_times = n_times;
	z->n_types = n_types;
	z->times = tl_alloc_array(n_times + 1, sizeof(*z->times));
	z->types = tl_alloc_array(n_times + 1, sizeof(*z->types));
	z->offsets = tl_alloc_array(n_types, sizeof(*z->offsets));
	return z;
}

enum tl_status tally_zone_parse(const void *tzif, size_t len,
				struct tally_zone **zone_r, struct tl_err *err)
{
	const uint8_t *p = tzif;
	struct tally_zone *z;
	struct counts c;
	size_t data;

	/* The first block has 32-bit moments and is there for old readers. */
	if (!head(p, len, 4, &c, &data))
		return broken(err);
	if (p[4] < '2')
		return tl_err_set(err, TL_VERSION,
				  "its format is version 1, which ends in "
				  "2038; install a newer tzdata");
	p += HEAD_BYTES + data;
	len -= HEAD_BYTES + data;
	if (!head(p, len, 8, &c, &data) || c.type == 0)
		return broken(err);
	if (c.leap > 0)
		return tl_err_set(err, TL_VERSION,
				  "it counts leap seconds; take the zone "
				  "without 'right/'");
	z = zone_new(c.time, c.type);
	if (!read_times(z, p + HEAD_BYTES) ||
	    !read_footer(z, p + HEAD_BYTES + data, len - HEAD_BYTES - data)) {
		tally_zone_free(&z);
		return broken(err);
	}
	*zone_r = z;
	return TL_OK;
}

struct tally_zone *tally_zone_utc_new(void)
{
	return zone_new(0, 1);
}

void tally_zone_free(struct tally_zone **zone)
{
	struct tally_zone *z = *zone;

	if (z == NULL)
		return;
	tl_free(z->times);
	tl_free(z->types);
	tl_free(z->offsets);
	tl_freep(zone);
}

int32_t tally_zone_offset(const struct tally_zone *z, int64_t t,
			  int64_t *until_r)
{
	uint32_t low = 0, high = z->n_times; /* how many changes are <= t */

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (z->times[mid] <= t)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == z->n_times && z->has_rule)
		return zone_rule_offset(&z->rule, t, until_r);
	*until_r = low < z->n_times ? z->times[low] : INT64_MAX;
	return z->offsets[low == 0 ? 0 : z->types[low - 1]];
}
