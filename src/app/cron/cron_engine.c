#include "app/cron/cron_engine.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/cron/cron_engine_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_lead.h"
#include "shm/metrics.h"
#include "store/q_cron.h"

#define STEP_LIMIT_MS 20000
#define LOOK_MS       60000 /* the clock may be set */
#define ROWS_MAX      1000

_Static_assert(CRON_JOBS_MAX <= SHM_CRON_JOBS, "no room for their metrics");

void cron_engine_arm(struct cron_engine *e, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (!e->stopping)
		evtimer_add(e->timer, &tv);
}

void cron_engine_kick(struct cron_engine *e)
{
	e->again = true;
	if (!e->stepping)
		cron_engine_arm(e, 0);
}

/* ---- what the database says ---- */

/* What runs by the rows and not here went down with another scheduler. */
static enum tl_status bury(struct cron_engine *e, struct tl_arena *a,
			   struct tl_err *err)
{
	int64_t mine[CRON_JOBS_MAX];
	struct q_cron_lost_params p = { .mine = { .items = mine },
					.max = ROWS_MAX };
	struct q_cron_lost_row *rows;
	enum tl_status st;
	uint32_t n;

	for (uint32_t i = 0; i < e->n_jobs; i++) {
		/* Its row may be there already, and we do not know its id. */
		if (e->jobs[i].claiming) {
			e->stale = true;
			return TL_OK;
		}
		if (e->jobs[i].run_id != 0)
			mine[p.mine.n++] = e->jobs[i].run_id;
	}
	st = q_cron_lost(e->o.pg, &p, a, &rows, &n, err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++) {
		const struct cron_job *def = cron_job_find(rows[i].job);

		log_warn("a run of job '%.*s' went down with its scheduler",
			 (int)rows[i].job.len, rows[i].job.ptr);
		if (def != NULL)
			shm_cron_count(e->o.shm, (uint32_t)(def - CRON_JOBS),
				       SHM_CRON_LOST);
	}
	return st;
}

static enum tl_status meet(struct cron_engine *e, struct tl_err *err)
{
	struct tl_str names[CRON_JOBS_MAX], at_once[CRON_JOBS_MAX];
	struct q_cron_meet_params p = {
		.now_us = cron_engine_now_us(e),
		.jobs = { .n = e->n_jobs, .items = names },
		.at_once = { .items = at_once },
	};
	uint64_t n;

	for (uint32_t i = 0; i < e->n_jobs; i++) {
		names[i] = tl_str_c(e->jobs[i].def->name);
		if (e->jobs[i].def->at_once)
			at_once[p.at_once.n++] = names[i];
	}
	return q_cron_meet(e->o.pg, &p, &n, err);
}

static void take_changes(struct cron_engine *e,
			 const struct q_cron_changes_row *rows, uint32_t n)
{
	for (uint32_t i = 0; i < e->n_jobs; i++) {
		struct cron_job_state *j = &e->jobs[i];
		const struct q_cron_changes_row *row =
			cron_changes_of(rows, n, j->def);
		char problem[sizeof(j->plan.problem)];

		memcpy(problem, j->plan.problem, sizeof(problem));
		cron_plan_deinit(&j->plan);
		cron_plan_init(&j->plan, j->def, row);
		if (j->plan.problem[0] != '\0' &&
		    strcmp(problem, j->plan.problem) != 0)
			log_error("job '%s' does not run: %s", j->def->name,
				  j->plan.problem);
		if (row == NULL)
			continue;
		/* While it runs, more is decided here than is written. */
		if (!j->running ||
		    row->decided_until_us / CRON_US_PER_S > j->decided_s)
			j->decided_s = row->decided_until_us / CRON_US_PER_S;
		if (!j->running)
			cron_run_forget(j);
	}
}

static enum tl_status read_asked(struct cron_engine *e, struct tl_arena *a,
				 struct tl_err *err)
{
	struct q_cron_asked_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_cron_asked(e->o.pg, ROWS_MAX, a, &rows, &n, err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++) {
		const struct cron_job *def = cron_job_find(rows[i].job);

		if (def != NULL)
			e->jobs[def - CRON_JOBS].asked_run = rows[i].run_id;
	}
	return st;
}

static enum tl_status refresh(struct cron_engine *e, struct tl_err *err)
{
	struct q_cron_changes_row *rows;
	struct tl_arena arena;
	enum tl_status st;
	uint32_t n;

	tl_arena_init(&arena);
	e->stale = false; /* what comes meanwhile is looked at again */
	st = bury(e, &arena, err);
	if (st == TL_OK)
		st = meet(e, err);
	if (st == TL_OK)
		st = q_cron_changes(e->o.pg, ROWS_MAX, &arena, &rows, &n, err);
	if (st == TL_OK) {
		take_changes(e, rows, n);
		st = read_asked(e, &arena, err);
	}
	tl_arena_deinit(&arena);
	e->stale = e->stale || st != TL_OK;
	return st;
}

/* ---- what is due ---- */

static enum tl_status tell_missed(struct cron_job_state *j,
				  const struct cron_due *d, struct tl_err *err)
{
	char why[120], since[TL_RFC3339_TEXT];

	tl_rfc3339_format(j->decided_s * CRON_US_PER_S, since);
	snprintf(why, sizeof(why),
		 "%s%" PRIu64 " slot%s since %s had no scheduler",
		 d->more_missed ? "more than " : "", d->missed,
		 d->missed == 1 ? "" : "s", since);
	shm_cron_count(j->e->o.shm, j->index, SHM_CRON_MISSED);
	return cron_run_pass(j, d->missed_last, "missed", why, err);
}

static void enqueue(struct cron_job_state *j, const struct cron_due *d)
{
	const uint32_t room = sizeof(j->queue.slots) / sizeof(d->slots[0]);

	for (uint32_t i = 0; i < d->n && j->queue.n < room; i++)
		j->queue.slots[j->queue.n++] = d->slots[i];
}

static enum tl_status decide(struct cron_engine *e, struct cron_job_state *j,
			     struct tl_err *err)
{
	int64_t now_s = cron_engine_now_us(e) / CRON_US_PER_S;
	enum tl_status st = TL_OK;
	struct cron_due d;

	if (!cron_due(&j->plan, j->decided_s, now_s, &d))
		return TL_OK;
	if (d.missed > 0)
		st = tell_missed(j, &d, err);
	if (st == TL_OK && d.n > 0 && j->running &&
	    j->def->missed != CRON_ALL) {
		st = cron_run_pass(j, d.slots[d.n - 1], "skipped",
				   "the run before was still going on", err);
		shm_cron_count(e->o.shm, j->index, SHM_CRON_SKIPPED);
		d.n = 0;
	}
	if (st != TL_OK)
		return st;
	j->decided_s = d.decided;
	enqueue(j, &d);
	return TL_OK;
}

static uint64_t next_ms(const struct cron_engine *e)
{
	int64_t now = cron_engine_now_us(e), next, left;
	uint64_t ms = LOOK_MS;

	for (uint32_t i = 0; i < e->n_jobs; i++) {
		next = cron_plan_next(&e->jobs[i].plan, e->jobs[i].decided_s);
		if (next == INT64_MAX)
			continue;
		left = next * CRON_US_PER_S - now;
		if (left < 0)
			left = 0;
		if ((uint64_t)left / 1000 + 1 < ms)
			ms = (uint64_t)left / 1000 + 1;
	}
	return ms;
}

/* ---- steps ---- */

static enum tl_status step(struct cron_engine *e, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	if (e->stale)
		st = refresh(e, err);
	for (uint32_t i = 0; st == TL_OK && i < e->n_jobs; i++)
		st = decide(e, &e->jobs[i], err);
	return st;
}

static void step_body(void *arg)
{
	struct cron_engine *e = arg;
	enum tl_status st;
	struct tl_err err;

	e->again = false;
	st = step(e, &err);
	if (st == TL_OK)
		e->troubled = false;
	else if (!e->troubled && st != TL_CANCELED) {
		log_warn("jobs wait for the database: %s; trying on", err.text);
		e->troubled = true;
	}
	e->stepping = false;
	if (!pg_lead_leads(e->lead))
		return;                          /* the next lead begins anew */
	for (uint32_t i = 0; i < e->n_jobs; i++) /* a coroutine begins none */
		e->again = e->again || cron_job_waits(&e->jobs[i]);
	if (st != TL_OK)
		e->stale = true;
	cron_engine_arm(e, e->stale   ? CRON_RETRY_MS
			   : e->again ? 0
				      : next_ms(e));
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct cron_engine *e = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	if (e->stepping || e->stopping || !pg_lead_leads(e->lead))
		return;
	/* What the last step has decided. */
	for (uint32_t i = 0; i < e->n_jobs && !e->stale; i++) {
		if (cron_run_start(&e->jobs[i], &err) != TL_OK) {
			log_warn("job '%s' waits: %s", e->jobs[i].def->name,
				 err.text);
			cron_engine_arm(e, CRON_RETRY_MS);
			return;
		}
	}
	e->stepping = true;
	if (co_spawn(step_body, e, tl_mono_ms() + STEP_LIMIT_MS, &err) == TL_OK)
		return;
	log_warn("jobs wait: %s", err.text);
	e->stepping = false;
	cron_engine_arm(e, CRON_RETRY_MS);
}

/* ---- life ---- */

struct cron_engine *cron_engine_new(const struct cron_engine_opts *o)
{
	struct cron_engine *e = tl_alloc(sizeof(*e));

	e->o = *o;
	e->timer = evtimer_new(o->base, on_timer, e);
	tl_assert(e->timer != NULL);
	for (; CRON_JOBS[e->n_jobs].name != NULL; e->n_jobs++) {
		struct cron_job_state *j = &e->jobs[e->n_jobs];

		j->e = e;
		j->def = &CRON_JOBS[e->n_jobs];
		j->index = e->n_jobs;
		cron_plan_init(&j->plan, j->def, NULL);
	}
	return e;
}

void cron_engine_set_lead(struct cron_engine *e, struct pg_lead *lead)
{
	e->lead = lead;
}

void cron_engine_leads(struct cron_engine *e, bool leads)
{
	shm_cron_lead(e->o.shm, leads);
	if (e->stopping)
		return;
	if (leads) {
		log_info("leads: jobs are fired from here");
		e->stale = true;
		cron_engine_kick(e);
		return;
	}
	log_warn("the lead is lost: no job is fired from here");
	evtimer_del(e->timer);
	for (uint32_t i = 0; i < e->n_jobs; i++) {
		cron_run_forget(&e->jobs[i]);
		if (e->jobs[i].co != NULL)
			co_cancel(e->jobs[i].co, "the lead was lost");
	}
}

void cron_engine_told(struct cron_engine *e)
{
	e->stale = true;
	if (pg_lead_leads(e->lead))
		cron_engine_kick(e);
}

void cron_engine_stop(struct cron_engine *e)
{
	e->stopping = true;
	evtimer_del(e->timer);
	for (uint32_t i = 0; i < e->n_jobs; i++)
		cron_run_forget(&e->jobs[i]);
}

uint32_t cron_engine_running(const struct cron_engine *e)
{
	uint32_t n = e->stepping;

	for (uint32_t i = 0; i < e->n_jobs; i++)
		n += e->jobs[i].running;
	return n;
}

void cron_engine_free(struct cron_engine **e_r)
{
	struct cron_engine *e = *e_r;

	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->n_jobs; i++)
		cron_plan_deinit(&e->jobs[i].plan);
	event_free(e->timer);
	tl_freep(e_r);
}
