/*
 * cron_jobs.h - what is done by the clock: one table row a job.
 *
 * Schedule and zone are defaults; the table tallyd.cron_jobs may say another.
 * A job works in short statements or sends tasks: nothing that waits for
 * somebody outside.
 * Runs in: scheduler; the table is read by workers and tallyctl too.
 */
#ifndef TALLY_APP_CRON_CRON_JOBS_H
#define TALLY_APP_CRON_CRON_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "conf/conf.h"
#include "shm/shm.h"

struct pg;

struct cron_call { /* one run */
	struct pg *pg;
	const struct conf *conf;
	struct shm *shm;
	int64_t slot_us;  /* when it was due, or asked for */
	char detail[200]; /* what was done, for the history; "" nothing */
};
/*
 * Suspends: yes.  Ends with TL_DEADLINE or TL_CANCELED when its time is over:
 * what it has done by then stays, so it must be fit to go on the next time.
 */
typedef enum tl_status (*cron_fn)(struct cron_call *call, struct tl_err *err);

/* Slots that came while no scheduler led. */
enum cron_missed {
	CRON_SKIP, /* are gone */
	CRON_ONCE, /* the newest is made up for */
	CRON_ALL,  /* the newest missed_max are, one after another */
};
struct cron_job { /* one row; the table ends with .name NULL */
	const char *name;
	const char *schedule, *zone;
	enum cron_missed missed;
	uint32_t missed_max; /* of CRON_ALL, 1 to CRON_MISSED_MAX */
	uint32_t late_max_s; /* slots older than that are gone; 0: never */
	bool at_once;        /* once, when a database is new to it */
	int64_t lock;        /* advisory; unique, and never changed */
	uint32_t limit_ms;   /* of one run */
	cron_fn fn;
	const char *summary;
};
#define CRON_MISSED_MAX 60

extern const struct cron_job CRON_JOBS[];
#define CRON_JOBS_MAX 16 /* at least as many as there are */

const struct cron_job *cron_job_find(struct tl_str name); /* NULL */
const char *cron_missed_name(enum cron_missed m);

/* ---- cron_house.c: housekeeping ---- */
enum tl_status cron_keep_request_logs(struct cron_call *c, struct tl_err *err);
enum tl_status cron_trim_idempotency(struct cron_call *c, struct tl_err *err);
enum tl_status cron_trim_changes(struct cron_call *c, struct tl_err *err);
enum tl_status cron_trim_runs(struct cron_call *c, struct tl_err *err);
enum tl_status cron_trim_audit(struct cron_call *c, struct tl_err *err);

/* ---- cron_hooks.c: webhooks ---- */
enum tl_status cron_tell_expiring(struct cron_call *c, struct tl_err *err);
enum tl_status cron_keep_webhooks(struct cron_call *c, struct tl_err *err);

#endif
