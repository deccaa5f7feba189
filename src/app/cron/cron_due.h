/*
 * cron_due.h - which slots of a plan are run, and which are given up.
 *
 * Pure but for the plan's zone; the clock is passed in.
 */
#ifndef TALLY_APP_CRON_CRON_DUE_H
#define TALLY_APP_CRON_CRON_DUE_H

#include "app/cron/cron_plan.h"

/* A slot is on time for so long. */
#define CRON_ON_TIME_S 60

struct cron_due {
	int64_t slots[CRON_MISSED_MAX + 2]; /* to run, oldest first */
	uint32_t n;
	bool on_time;        /* the last of them is of this minute */
	uint64_t missed;     /* slots that are given up */
	bool more_missed;    /* and more before them */
	int64_t missed_last; /* the newest of them */
	int64_t decided;     /* the newest slot, run or not */
};
/* Slots behind `decided`, up to now.  False: there are none. */
bool cron_due(const struct cron_plan *p, int64_t decided, int64_t now_s,
	      struct cron_due *d_r);

#endif
