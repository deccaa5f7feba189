#include "app/cron/cron_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "store/q_cron.h"

/* As the C library: TZDIR, then where distributions put them. */
static const char *zone_dir(void)
{
	const char *dir = getenv("TZDIR");

	return dir != NULL && dir[0] == '/' ? dir : "/usr/share/zoneinfo";
}

enum tl_status cron_zone_load(struct tl_str name, struct tally_zone **zone_r,
			      struct tl_err *err)
{
	char *path, *data = NULL;
	enum tl_status st;
	size_t len;

	st = tally_zone_name_check(name, err);
	if (st != TL_OK)
		return st;
	if (tl_str_eq(name, TL_STR("UTC"))) {
		*zone_r = tally_zone_utc_new();
		return TL_OK;
	}
	path = tl_asprintf("%s/%.*s", zone_dir(), (int)name.len, name.ptr);
	if (tl_file_read(path, TALLY_ZONE_FILE_MAX, &data, &len, err) != TL_OK)
		st = tl_err_set(err, TL_INVALID,
				"no time zone '%.*s' on this host (tzdata in "
				"%s)",
				(int)name.len, name.ptr, zone_dir());
	else if (tally_zone_parse(data, len, zone_r, err) != TL_OK) {
		tl_err_wrap(err, "time zone '%.*s'", (int)name.len, name.ptr);
		st = TL_INVALID;
	}
	tl_free(data);
	tl_free(path);
	return st;
}

/* Cut where it is too long to be right anyway. */
static void copy(char *dst, size_t size, struct tl_str s)
{
	size_t n = s.len < size ? s.len : size - 1;

	memcpy(dst, s.ptr, n);
	dst[n] = '\0';
}

void cron_plan_init(struct cron_plan *p, const struct cron_job *job,
		    const struct q_cron_changes_row *row)
{
	struct tl_str schedule = tl_str_c(job->schedule);
	struct tl_str zone = tl_str_c(job->zone);
	struct tl_err err;
	enum tl_status st;

	*p = (struct cron_plan){ .job = job };
	if (row != NULL && !row->schedule_null)
		schedule = row->schedule;
	if (row != NULL && !row->time_zone_null)
		zone = row->time_zone;
	copy(p->schedule, sizeof(p->schedule), schedule);
	copy(p->zone_name, sizeof(p->zone_name), zone);
	p->paused = row != NULL && row->paused;
	st = tally_cron_parse(schedule, &p->when, &err);
	if (st == TL_OK)
		st = cron_zone_load(zone, &p->zone, &err);
	if (st != TL_OK)
		copy(p->problem, sizeof(p->problem), tl_str_c(err.text));
}

void cron_plan_deinit(struct cron_plan *p)
{
	tally_zone_free(&p->zone);
}

int64_t cron_plan_next(const struct cron_plan *p, int64_t after_s)
{
	if (p->paused || p->problem[0] != '\0')
		return INT64_MAX;
	return tally_cron_next(&p->when, p->zone, after_s);
}

const struct q_cron_changes_row *
cron_changes_of(const struct q_cron_changes_row *rows, uint32_t n,
		const struct cron_job *job)
{
	for (uint32_t i = 0; i < n; i++)
		if (tl_str_eq(rows[i].job, tl_str_c(job->name)))
			return &rows[i];
	return NULL;
}
