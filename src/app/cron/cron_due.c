#include "app/cron/cron_due.h"

#include <string.h>

#define KEPT_MAX (CRON_MISSED_MAX + 2)

struct found {
	int64_t slots[KEPT_MAX]; /* the newest, oldest first */
	uint32_t n, max;
	uint64_t all;
	bool more; /* it was not looked back to the begin */
};

static void look(const struct cron_plan *p, int64_t from, int64_t to,
		 struct found *f)
{
	int64_t t = from;

	f->n = 0;
	f->all = 0;
	while ((t = cron_plan_next(p, t)) <= to) {
		f->all++;
		if (f->n == f->max)
			memmove(f->slots, f->slots + 1,
				--f->n * sizeof(f->slots[0]));
		f->slots[f->n++] = t;
	}
}

/*
 * Only the newest count, so it looks back in growing steps: a job of every
 * minute after a year without a scheduler is not walked through.
 */
static void look_back(const struct cron_plan *p, int64_t from, int64_t to,
		      struct found *f)
{
	static const int64_t spans_s[] = { 3600, 86400, 32 * 86400, 366 * 86400,
					   10LL * 366 * 86400 };

	for (size_t i = 0; i < sizeof(spans_s) / sizeof(spans_s[0]); i++) {
		int64_t since = to - spans_s[i];

		f->more = since > from;
		look(p, f->more ? since : from, to, f);
		if (!f->more || f->n == f->max)
			return;
	}
}

/* Index of the first slot that is run; f->n: none is. */
static uint32_t first_to_run(const struct cron_job *job, const struct found *f,
			     bool on_time, int64_t now_s)
{
	const uint32_t last = on_time ? f->n - 1 : f->n;
	uint32_t i = last;

	if (job->missed == CRON_ONCE && !on_time)
		i = f->n - 1;
	else if (job->missed == CRON_ALL)
		i = last > job->missed_max ? last - job->missed_max : 0;
	while (i < last && job->late_max_s > 0 &&
	       f->slots[i] < now_s - job->late_max_s)
		i++;
	return i;
}

bool cron_due(const struct cron_plan *p, int64_t decided, int64_t now_s,
	      struct cron_due *d)
{
	struct found f = { .max = 2 };
	uint32_t from;

	if (p->job->missed == CRON_ALL)
		f.max = p->job->missed_max + 2; /* one on time, one given up */
	look_back(p, decided, now_s, &f);
	if (f.n == 0)
		return false;
	memset(d, 0, sizeof(*d));
	d->decided = f.slots[f.n - 1];
	d->on_time = now_s - d->decided < CRON_ON_TIME_S;
	from = first_to_run(p->job, &f, d->on_time, now_s);
	d->n = f.n - from;
	memcpy(d->slots, f.slots + from, d->n * sizeof(d->slots[0]));
	d->missed = f.all - d->n;
	if (d->missed > 0) {
		d->more_missed = f.more;
		d->missed_last = f.slots[from - 1];
	}
	return true;
}
