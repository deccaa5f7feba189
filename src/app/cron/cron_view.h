/*
 * cron_view.h - jobs and runs as documents, for the API and tallyctl; and the
 * checks of what people change.
 */
#ifndef TALLY_APP_CRON_CRON_VIEW_H
#define TALLY_APP_CRON_CRON_VIEW_H

#include "app/cron/cron_plan.h"
#include "codec/doc.h"

struct pg;
struct q_cron_run_find_row;
struct tl_arena;

#define CRON_VIEW_TIMES 5

/* All jobs with their next times and last runs, in the order of the table.
 * Suspends: yes. */
enum tl_status cron_view_jobs(struct pg *pg, int64_t now_us, struct tl_arena *a,
			      struct doc **jobs_r,
			      struct tl_err *err) TL_MUST_CHECK;
struct doc *cron_view_run(struct tl_arena *a,
			  const struct q_cron_run_find_row *r);

struct cron_change { /* of a job */
	bool set_schedule, set_zone, set_paused;
	struct tl_str schedule, zone; /* ptr NULL: as tallyd defines it */
	bool paused;
};
/* TL_INVALID: says which and why. */
enum tl_status cron_change_check(const struct cron_change *c,
				 struct tl_err *err) TL_MUST_CHECK;
/* Checked before.  Suspends: yes. */
enum tl_status cron_change_store(struct pg *pg, const struct cron_job *job,
				 const struct cron_change *c,
				 struct tl_str actor, int64_t now_us,
				 struct tl_arena *a,
				 struct tl_err *err) TL_MUST_CHECK;
/* TL_CONFLICT: one is asked for or going on.  Suspends: yes. */
enum tl_status cron_ask(struct pg *pg, const struct cron_job *job,
			struct tl_str actor, int64_t now_us, struct tl_arena *a,
			int64_t *run_id_r, int64_t *slot_us_r,
			struct tl_err *err) TL_MUST_CHECK;

#endif
