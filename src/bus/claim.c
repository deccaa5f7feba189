/*
 * claim.c - the next tasks, and their start.
 *
 * A round asks for as many tasks as there is room for.  When fewer come, those
 * whose time has come are made ready, and the next round waits for a wake-up,
 * for the next task that is due, or for the slow poll.
 */
#include "config.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_internal.h"
#include "conf/conf.h"
#include "loop/co.h"
#include "shm/metrics.h"
#include "store/q_tasks.h"

#define FAILED_AGAIN_MS 500
#define PROMOTE_MAX     1000

/* After a notification: those that came within 5 ms behind it kept quiet, and
 * some of them are committed only later. */
static const uint32_t look_ms[] = { 100, 20, 6 }; /* by looks left */

static uint32_t room(const struct runner *r)
{
	uint32_t max = r->o.conf->runner.tasks;

	return r->n_jobs < max ? max - r->n_jobs : 0;
}

static void take(struct runner *r, const struct q_task_claim_row *rows,
		 uint32_t n)
{
	uint64_t delay_ms;

	for (uint32_t i = 0; i < n; i++) {
		const struct task_def *d = bus_task(rows[i].name);
		struct job *j;

		tl_assert(d != NULL); /* only our names were asked for */
		j = job_new(r, d, &rows[i]);
		if (r->draining)
			job_put_back(j, 0);
		else if (!limits_admit(r, j, &delay_ms))
			job_put_back(j, delay_ms);
	}
	shm_count(r->o.shm, SHM_C_TASKS_CLAIMED, n);
	event_active(r->starter, EV_TIMEOUT, 0);
}

/* From here on coroutines are made, which only the loop may do. */
void claim_start_jobs(struct runner *r)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &r->ready)
	job_begin(TL_CONTAINER(pos, struct job, link));
	runner_check_drained(r);
}

static enum tl_status claim(struct runner *r, uint32_t max, uint32_t *n_r,
			    struct tl_err *err)
{
	struct q_task_claim_params p = { .epoch = (int64_t)r->epoch,
					 .spawn = (int64_t)r->o.shm->identity,
					 .max = (int32_t)max };
	struct q_task_claim_row *rows = NULL;
	struct bus_policies b;
	struct tl_arena a;
	enum tl_status st;
	uint32_t n = 0;

	tl_arena_init(&a);
	bus_policies(&a, NULL, &b);
	p.names = (struct pg_array){ b.n, b.names };
	limits_ask(r, max, &a, &p);
	st = q_task_claim(pg_pool_pg(r->pool), &p, &a, &rows, &n, err);
	if (st == TL_OK)
		take(r, rows, n);
	else
		r->in_doubt = true;
	limits_settle(r);
	tl_arena_deinit(&a);
	*n_r = n;
	return st;
}

static enum tl_status look(struct runner *r, struct q_task_look_row *l_r,
			   struct tl_err *err)
{
	struct bus_policies b;
	struct tl_arena a;
	enum tl_status st;

	tl_arena_init(&a);
	bus_policies(&a, NULL, &b);
	st = q_task_look(
		pg_pool_pg(r->pool),
		&(struct q_task_look_params){ .max = PROMOTE_MAX,
					      .names = { b.n, b.names } },
		&a, l_r, err);
	tl_arena_deinit(&a);
	return st;
}

/* When to come again, with nothing more to claim now. */
static uint64_t later(struct runner *r, const struct q_task_look_row *l)
{
	uint64_t now = tl_mono_ms(), due = now + POLL_MS;

	if (!l->next_ms_null && l->next_ms < POLL_MS)
		due = now + (l->next_ms > 1 ? (uint64_t)l->next_ms : 1);
	if (r->looks > 0 && now + look_ms[r->looks - 1] < due)
		due = now + look_ms[--r->looks];
	if (r->limits.due_mono_ms < due)
		due = r->limits.due_mono_ms > now ? r->limits.due_mono_ms
						  : now + 1;
	return due;
}

static uint64_t claim_round(struct runner *r)
{
	struct q_task_look_row l;
	struct tl_err err;
	enum tl_status st;
	uint32_t max = room(r), n;

	/* register_mono_ms 0: the database does not know our names yet */
	if (r->draining || r->register_mono_ms == 0)
		return CO_STEP_NEVER;
	r->hungry = max == 0;
	if (max == 0)
		return CO_STEP_NEVER; /* the end of a job comes back here */
	st = claim(r, max, &n, &err);
	if (st == TL_OK && n == max) {
		r->hungry = true;
		return room(r) > 0 ? CO_STEP_NOW : CO_STEP_NEVER;
	}
	if (st == TL_OK)
		st = look(r, &l, &err);
	if (st != TL_OK) {
		runner_failed(r, "claiming tasks", &err);
		return tl_mono_ms() + FAILED_AGAIN_MS;
	}
	runner_worked(r);
	return n > 0 || l.promoted > 0 ? CO_STEP_NOW : later(r, &l);
}

uint64_t claim_step(void *arg)
{
	struct runner *r = arg;
	uint64_t due = claim_round(r);

	if (r->draining) /* who waits for the last claim may go */
		event_active(r->starter, EV_TIMEOUT, 0);
	return due;
}
