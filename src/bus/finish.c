/*
 * finish.c - how attempts ended, into the database, in batches.
 *
 * What is on its way stays here until the database has said that it has it;
 * saying it twice is harmless, the second one finds no such attempt.
 */
#include "config.h"

#include "base/clock.h"
#include "bus/bus_internal.h"
#include "conf/conf.h"
#include "pg/pg.h"
#include "shm/metrics.h"
#include "store/q_tasks.h"

#define BATCH_MAX       1000
#define GATHER_N        50
#define GATHER_MS       3
#define FAILED_AGAIN_MS 500

void finish_add(struct runner *r, const struct ending *e)
{
	struct endings *p = &r->pending;

	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? 2 * p->cap : 64;
		p->items = tl_realloc(p->items, p->cap * sizeof(*p->items));
	}
	p->items[p->n++] = *e;
	/* Nothing else may be to come: then nobody is waited for. */
	co_step_at(&r->finish, p->n >= GATHER_N || r->n_jobs <= 1
				       ? CO_STEP_NOW
				       : tl_mono_ms() + GATHER_MS);
}

static bool has(const struct endings *e, int64_t task_id, int32_t attempt)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (e->items[i].task_id == task_id &&
		    e->items[i].attempt == attempt)
			return true;
	return false;
}

bool finish_has(const struct runner *r, int64_t task_id, int32_t attempt)
{
	return has(&r->pending, task_id, attempt) ||
	       has(&r->sent, task_id, attempt);
}

void endings_deinit(struct endings *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		tl_free(e->items[i].error);
	tl_freep(&e->items);
	e->n = e->cap = 0;
}

/* One batch's worth changes from pending to sent. */
static void load(struct runner *r)
{
	struct endings *p = &r->pending, *s = &r->sent;
	uint32_t n = p->n < BATCH_MAX ? p->n : BATCH_MAX;

	if (s->cap < n) {
		s->cap = n;
		s->items = tl_realloc(s->items, n * sizeof(*s->items));
	}
	memcpy(s->items, p->items, n * sizeof(*s->items));
	memmove(p->items, p->items + n, (p->n - n) * sizeof(*p->items));
	s->n = n;
	p->n -= n;
}

static void clear_sent(struct runner *r)
{
	for (uint32_t i = 0; i < r->sent.n; i++)
		tl_free(r->sent.items[i].error);
	r->sent.n = 0;
}

struct columns {
	int64_t *ids, *delays_ms, *started_us, *ended_us;
	int32_t *attempts, *actions;
	struct tl_str *outcomes, *errors;
};

static void fill(const struct endings *s, struct tl_arena *a, struct columns *c)
{
	c->ids = tl_arena_alloc(a, s->n * sizeof(int64_t));
	c->delays_ms = tl_arena_alloc(a, s->n * sizeof(int64_t));
	c->started_us = tl_arena_alloc(a, s->n * sizeof(int64_t));
	c->ended_us = tl_arena_alloc(a, s->n * sizeof(int64_t));
	c->attempts = tl_arena_alloc(a, s->n * sizeof(int32_t));
	c->actions = tl_arena_alloc(a, s->n * sizeof(int32_t));
	c->outcomes = tl_arena_alloc(a, s->n * sizeof(struct tl_str));
	c->errors = tl_arena_alloc(a, s->n * sizeof(struct tl_str));
	for (uint32_t i = 0; i < s->n; i++) {
		const struct ending *e = &s->items[i];

		c->ids[i] = e->task_id;
		c->attempts[i] = e->attempt;
		c->actions[i] = e->action;
		c->outcomes[i] = tl_str_c(e->outcome);
		c->delays_ms[i] = e->delay_ms;
		c->started_us[i] = e->started_us;
		c->ended_us[i] = e->ended_us;
		c->errors[i] = tl_str_c(e->error != NULL ? e->error : "");
	}
}

static enum tl_status store(struct runner *r, struct tl_err *err)
{
	uint32_t n = r->sent.n;
	struct q_task_finish_row row;
	struct columns c;
	struct tl_arena a;
	enum tl_status st;

	tl_arena_init(&a);
	fill(&r->sent, &a, &c);
	st = q_task_finish(pg_pool_pg(r->pool),
			   &(struct q_task_finish_params){
				   .epoch = (int64_t)r->epoch,
				   .spawn = (int64_t)r->o.shm->identity,
				   .ids = { n, c.ids },
				   .attempts = { n, c.attempts },
				   .actions = { n, c.actions },
				   .outcomes = { n, c.outcomes },
				   .delays_ms = { n, c.delays_ms },
				   .started_us = { n, c.started_us },
				   .ended_us = { n, c.ended_us },
				   .errors = { n, c.errors },
				   .audit_all = r->o.conf->runner.audit ==
						CONF_AUDIT_ALL },
			   &a, &row, err);
	tl_arena_deinit(&a);
	if (st == TL_OK && row.accepted < (int32_t)n)
		shm_count(r->o.shm, SHM_C_TASKS_STALE,
			  n - (uint32_t)row.accepted);
	return st;
}

/* A task that was put back or will be tried again is due sooner than the
 * claim step may think. */
static void remind(struct runner *r)
{
	uint64_t now = tl_mono_ms();

	for (uint32_t i = 0; i < r->sent.n; i++) {
		const struct ending *e = &r->sent.items[i];

		if (e->action == ACT_AGAIN || e->action == ACT_BACK)
			co_step_at(&r->claim, now + (uint64_t)e->delay_ms + 1);
	}
}

uint64_t finish_step(void *arg)
{
	struct runner *r = arg;
	struct tl_err err;

	if (r->sent.n == 0)
		load(r);
	if (r->sent.n == 0)
		return CO_STEP_NEVER;
	if (store(r, &err) != TL_OK) {
		runner_failed(r, "storing how tasks ended", &err);
		r->keep_mono_ms = 0; /* is this week's table missing? */
		co_step_at(&r->watch, CO_STEP_NOW);
		return tl_mono_ms() + FAILED_AGAIN_MS;
	}
	runner_worked(r);
	remind(r);
	clear_sent(r);
	runner_check_drained(r);
	return r->pending.n > 0 ? CO_STEP_NOW : CO_STEP_NEVER;
}
