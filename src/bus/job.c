/*
 * job.c - one attempt: a coroutine from claim to end.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/span.h"
#include "bus/bus_internal.h"
#include "codec/doc.h"
#include "conf/conf.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/metrics.h"
#include "store/q_tasks.h"

#define TASK_POOL_QUEUE   8192
#define STATEMENT_MORE_MS 1000

/* Connections of handlers are made when the first task comes: a daemon
 * without tasks holds none. */
static struct pg *task_pg(struct runner *r)
{
	char name[32];
	const struct pg_pool_opts po = {
		.way = pg_way(r->o.conf, r->o.conninfo),
		.application_name = name,
		.size = r->o.conf->database.pool_size,
		.queue_max = TASK_POOL_QUEUE,
		.statement_timeout_ms = r->o.conf->server.request_timeout_ms +
					STATEMENT_MORE_MS,
	};

	snprintf(name, sizeof(name), "tallyd tasks/%u", r->o.number);
	if (r->task_pool == NULL)
		r->task_pool = pg_pool_new(&po);
	return pg_pool_pg(r->task_pool);
}

static struct tl_str copy(struct tl_arena *a, struct tl_str s)
{
	return (struct tl_str){ tl_arena_strndup(a, s.ptr, s.len), s.len };
}

struct job *job_new(struct runner *r, const struct task_def *d,
		    const struct q_task_claim_row *row)
{
	struct job *j = tl_alloc(sizeof(*j));

	j->r = r;
	tl_arena_init(&j->arena);
	j->t = (struct task){
		.def = d,
		.arena = &j->arena,
		.conf = r->o.conf,
		.shm = r->o.shm,
		.task_id = row->task_id,
		.attempt = row->attempt,
		.failures = row->failures,
		.queue = copy(&j->arena, row->queue),
		.tenant = copy(&j->arena, row->tenant),
		.event_id = row->event_id_null ? 0 : row->event_id,
		.created_us = row->created_at_us,
	};
	j->payload_text = copy(&j->arena, row->payload);
	if (!row->trace_null)
		j->trace_text = copy(&j->arena, row->trace);
	j->retry_limit = row->retry_limit;
	j->retry_delay_ms = row->retry_delay_ms;
	j->retry_backoff = row->retry_backoff;
	j->timeout_ms = row->timeout_ms;
	j->due_us = row->run_at_us;
	j->claimed_mono_ms = tl_mono_ms();
	tl_list_append(&r->ready, &j->link);
	r->n_jobs++;
	return j;
}

static void job_free(struct job *j)
{
	struct runner *r = j->r;

	limits_leave(j);
	tl_list_unlink(&j->link);
	r->n_jobs--;
	atomic_store(&r->o.shm->slots[r->o.shm->slot].tasks_running, r->n_jobs);
	if (tl_list_empty(&r->jobs)) /* before the next claim, or a stop */
		jobs_publish_due(r);
	tl_arena_deinit(&j->arena);
	tl_free(j);
	if (r->hungry)
		co_step_at(&r->claim, CO_STEP_NOW);
}

void job_put_back(struct job *j, uint64_t delay_ms)
{
	finish_add(j->r, &(struct ending){ .task_id = j->t.task_id,
					   .attempt = j->t.attempt,
					   .action = ACT_BACK,
					   .outcome = "",
					   .delay_ms = (int64_t)delay_ms });
	job_free(j);
}

void job_cancel(struct job *j, const char *why)
{
	if (j->co != NULL)
		co_cancel(j->co, why);
}

void jobs_publish_due(struct runner *r)
{
	struct shm_slot *s = &r->o.shm->slots[r->o.shm->slot];
	uint64_t due = 0;
	struct tl_list *pos;

	for (pos = r->jobs.next; pos != &r->jobs; pos = pos->next) {
		const struct job *j = TL_CONTAINER(pos, struct job, link);

		if (due == 0 || j->deadline_mono_ms < due)
			due = j->deadline_mono_ms;
	}
	atomic_store(&s->task_due_mono_ms, due);
}

/* ---- how it ended ---- */

static void count(struct runner *r, const struct ending *e)
{
	enum shm_counter c = SHM_C_TASKS_FAILED;

	if (e->action == ACT_BACK)
		return;
	if (e->action == ACT_DONE)
		c = SHM_C_TASKS_COMPLETED;
	else if (strcmp(e->outcome, "expired") == 0)
		c = SHM_C_TASKS_EXPIRED;
	else if (strcmp(e->outcome, "cancelled") == 0)
		c = SHM_C_TASKS_CANCELLED;
	shm_count(r->o.shm, c, 1);
	if (e->action == ACT_DEAD)
		shm_count(r->o.shm, SHM_C_TASKS_DEAD, 1);
}

/* ---- its trace ---- */

/* Of the row: traceparent and, behind a blank, tracestate. */
static bool trace_of(struct tl_str text, struct trace *t_r)
{
	struct tl_str parent;

	if (text.ptr == NULL || !tl_str_split(&text, ' ', &parent) ||
	    !trace_parse(parent, t_r))
		return false;
	(void)trace_state_add(t_r, text);
	return true;
}

/*
 * A task goes on with the trace of the request or task that sent it; one that
 * nobody sent, such as those of the clock, begins its own.
 */
static void trace_take(struct job *j)
{
	const struct conf *conf = j->r->o.conf;
	struct trace t;

	j->follows = trace_of(j->trace_text, &t);
	if (j->follows) {
		memcpy(j->parent, t.span_id, sizeof(j->parent));
	} else if (span_recording) {
		trace_begin(&t);
		t.sampled = trace_chosen(
			&t, conf_ratio_ppm(conf->tracing.sample_ratio));
	} else {
		return;
	}
	if (span_recording)
		trace_span_id(t.span_id);
	co_local_take(tl_memdup(&t, sizeof(t)));
}

static void trace_record(const struct job *j, enum tl_status st)
{
	const struct trace *t = co_local();
	struct span s = {
		.trace = t,
		.parent = j->follows ? j->parent : NULL,
		.kind = SPAN_CONSUMER,
		.name = tl_str_c(j->t.def->name),
		.start_us = j->started_us,
		.end_us = tl_wall_us(),
		.failed = st != TL_OK,
	};

	if (t == NULL || !t->sampled || !span_recording)
		return;
	span_attr_int(&s, "tallyd.task.id", j->t.task_id);
	span_attr_int(&s, "tallyd.task.attempt", j->t.attempt);
	span_attr_str(&s, "tallyd.task.queue", j->t.queue);
	if (j->t.event_id != 0)
		span_attr_int(&s, "tallyd.event.id", j->t.event_id);
	span_add(&s);
}

static void job_end(struct job *j, enum tl_status st, const struct tl_err *err)
{
	struct ending e = { .task_id = j->t.task_id,
			    .attempt = j->t.attempt,
			    .action = ACT_DONE,
			    .outcome = "completed",
			    .started_us = j->started_us,
			    .ended_us = tl_wall_us() };
	uint32_t dice;

	if (st != TL_OK) {
		tl_random(&dice, sizeof(dice));
		judge_failure(j, st, tl_mono_ms(), dice, &e);
		e.error = tl_strdup(err->text);
	}
	if (e.action == ACT_DEAD && !j->cancelled)
		log_warn("task %lld '%s' ended without success after %d "
			 "attempts: %s",
			 (long long)e.task_id, j->t.def->name, e.attempt,
			 err->text);
	count(j->r, &e);
	finish_add(j->r, &e);
	job_free(j);
}

/* ---- running ---- */

static enum tl_status run(struct job *j, struct tl_err *err)
{
	struct task *t = &j->t;
	enum tl_status st;

	t->pg = task_pg(j->r);
	st = doc_parse(t->arena, DOC_JSON, j->payload_text, &t->payload, err);
	if (st == TL_OK)
		st = bus_payload_read(t->def->payload, t->arena, t->payload,
				      &t->in, err);
	if (st != TL_OK) { /* it was sent in SQL, or by another release */
		t->hopeless = true;
		return tl_err_wrap(err, "payload");
	}
	return t->def->run(t, err);
}

static void body(void *arg)
{
	struct job *j = arg;
	struct tl_err err = { .text = "" };
	enum tl_status st;
	uint64_t begin_ns;

	j->co = co_self();
	trace_take(j);
	begin_ns = tl_mono_ns();
	st = run(j, &err);
	trace_record(j, st);
	shm_observe(j->r->o.shm, SHM_H_TASK_RUN, tl_mono_ns() - begin_ns);
	job_end(j, st, &err);
}

void job_begin(struct job *j)
{
	struct shm *s = j->r->o.shm;
	struct shm_slot *slot = &s->slots[s->slot];
	uint64_t due = atomic_load(&slot->task_due_mono_ms);
	struct tl_err err;
	int64_t lag_us;

	j->deadline_mono_ms = tl_mono_ms() + (uint64_t)j->timeout_ms;
	j->started_us = tl_wall_us();
	lag_us = j->started_us - j->due_us;
	shm_observe(s, SHM_H_TASK_LAG,
		    lag_us > 0 ? (uint64_t)lag_us * 1000 : 0);
	tl_list_unlink(&j->link);
	tl_list_append(&j->r->jobs, &j->link);
	if (due == 0 || j->deadline_mono_ms < due)
		atomic_store(&slot->task_due_mono_ms, j->deadline_mono_ms);
	atomic_store(&slot->tasks_running, j->r->n_jobs);
	if (co_spawn(body, j, j->deadline_mono_ms, &err) == TL_OK)
		return;
	log_warn("task %lld: %s", (long long)j->t.task_id, err.text);
	job_put_back(j, POLL_MS);
}
