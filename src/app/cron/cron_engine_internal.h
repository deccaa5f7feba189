/*
 * cron_engine_internal.h - the engine's state, and one run of a job.
 */
#ifndef TALLY_APP_CRON_CRON_ENGINE_INTERNAL_H
#define TALLY_APP_CRON_CRON_ENGINE_INTERNAL_H

#include "app/cron/cron_due.h"
#include "app/cron/cron_engine.h"
#include "base/clock.h"

#define CRON_RETRY_MS 1000
#define CRON_US_PER_S 1000000

struct co;
struct event;

struct cron_job_state {
	struct cron_engine *e;
	const struct cron_job *def;
	uint32_t index;
	struct cron_plan plan;
	int64_t decided_s;     /* slots up to here are */
	struct cron_due queue; /* its slots are to be run */
	int64_t asked_run;     /* 0: none */
	bool running, claiming;
	int64_t run_id; /* of what runs; 0: not known */
	struct co *co;
};

struct cron_engine {
	struct cron_engine_opts o;
	struct pg_lead *lead;
	struct event *timer;
	struct cron_job_state jobs[CRON_JOBS_MAX];
	uint32_t n_jobs;
	bool stopping;
	bool stepping, again; /* one step at a time */
	bool stale;           /* the database knows more than we */
	bool troubled;        /* said so */
};

static inline int64_t cron_engine_now_us(const struct cron_engine *e)
{
	return shm_wall_us(e->o.shm, tl_mono_ns());
}

/* ---- cron_engine.c ---- */
void cron_engine_arm(struct cron_engine *e, uint64_t ms);
void cron_engine_kick(struct cron_engine *e);

/* ---- cron_run.c ---- */
/* From the loop: begins what waits, unless it runs already. */
enum tl_status cron_run_start(struct cron_job_state *j,
			      struct tl_err *err) TL_MUST_CHECK;
/* A slot that is not run: 'skipped' or 'missed'.  Suspends: yes. */
enum tl_status cron_run_pass(struct cron_job_state *j, int64_t slot_s,
			     const char *outcome, const char *why,
			     struct tl_err *err) TL_MUST_CHECK;
void cron_run_forget(struct cron_job_state *j); /* what waits */
static inline bool cron_job_waits(const struct cron_job_state *j)
{
	return !j->running && (j->queue.n > 0 || j->asked_run != 0);
}

#endif
