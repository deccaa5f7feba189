/*
 * cron_plan.h - a job as it is in force: its row of the table, and what the
 * database says otherwise.
 *
 * Reading a zone's file blocks for as long as a page of the cache takes.
 */
#ifndef TALLY_APP_CRON_CRON_PLAN_H
#define TALLY_APP_CRON_CRON_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "app/cron/cron_jobs.h"
#include "tally/cron.h"
#include "tally/zone.h"

struct q_cron_changes_row;

struct cron_plan {
	const struct cron_job *job;
	char schedule[TALLY_CRON_TEXT_MAX + 1];
	char zone_name[TALLY_ZONE_NAME_MAX + 1];
	bool paused;
	char problem[200]; /* why it can not run; "" it can */
	/* only without a problem: */
	struct tally_cron when;
	struct tally_zone *zone;
};
/* row: of this job; NULL: nothing was changed. */
void cron_plan_init(struct cron_plan *p, const struct cron_job *job,
		    const struct q_cron_changes_row *row);
void cron_plan_deinit(struct cron_plan *p);
/* The next slot behind a moment, Unix seconds; INT64_MAX: none, it is paused
 * or has a problem. */
int64_t cron_plan_next(const struct cron_plan *p, int64_t after_s);
/* "UTC" is built in; others are files of tzdata. */
enum tl_status cron_zone_load(struct tl_str name, struct tally_zone **zone_r,
			      struct tl_err *err) TL_MUST_CHECK;
/* The row of a job; NULL. */
const struct q_cron_changes_row *
cron_changes_of(const struct q_cron_changes_row *rows, uint32_t n,
		const struct cron_job *job);

#endif
