/*
 * scheduler.c - the process that fires jobs by the clock.
 *
 * Of all hosts on one database one leads; the others wait for its end.  It
 * needs nothing but the database, and without one it waits: nobody's request
 * depends on it.
 */
#include "config.h"

#include <event2/event.h>
#include <stdio.h>
#include <unistd.h>

#include "app/cron/cron_engine.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "pg/pg_lead.h"
#include "proc/proc.h"

#define COROUTINES_MAX 64
#define POOL_SIZE      3 /* steps and runs; most are short */
#define POOL_QUEUE     32
#define STATEMENT_MS   30000
#define STOP_LOOK_MS   20
#define FAST_STOP_MS   1000 /* jobs are short, or wait for a database */
#define LEAD_LOCK      823401102000 /* never changed: hosts of all releases */
#define LEAD_CHANNEL   "tallyd_cron"
/* The processor belongs to those who begin to serve. */
#define START_S 1

struct scheduler {
	struct proc *p;
	struct pg_pool *pool;
	struct pg_lead *lead;
	struct cron_engine *engine;
	struct event *start;
	char node[48];
	uint32_t stop_limit_ms;
	bool stopping;
};

static void on_lead(void *arg, bool leads)
{
	struct scheduler *s = arg;

	cron_engine_leads(s->engine, leads);
}

static void on_told(void *arg)
{
	struct scheduler *s = arg;

	cron_engine_told(s->engine);
}

static void node_name(const struct proc *p, char *name, size_t size)
{
	snprintf(name, size, "%.*s", (int)sizeof(p->shm->head->k.node_id),
		 p->shm->head->k.node_id);
	if (name[0] == '\0' && gethostname(name, size - 1) < 0)
		snprintf(name, size, "localhost");
}

static void scheduler_open(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;
	struct proc *p = s->p;
	const struct pg_pool_opts po = {
		.way = pg_way(p->conf, p->conninfo),
		.application_name = "tallyd scheduler",
		.size = POOL_SIZE,
		.queue_max = POOL_QUEUE,
		.statement_timeout_ms = STATEMENT_MS,
	};
	const struct pg_lead_opts lo = {
		.lock = LEAD_LOCK,
		.channel = LEAD_CHANNEL,
		.changed = on_lead,
		.told = on_told,
		.arg = s,
	};
	struct cron_engine_opts eo = {
		.base = p->base, .conf = p->conf, .shm = p->shm, .node = s->node
	};

	(void)fd;
	(void)what;
	if (s->stopping)
		return;
	s->pool = pg_pool_new(&po);
	eo.pg = pg_pool_pg(s->pool);
	s->engine = cron_engine_new(&eo);
	s->lead = pg_lead_new(&po, &lo);
	cron_engine_set_lead(s->engine, s->lead);
}

/* What runs may end, within the limit; then the next host leads. */
static void closer(void *arg)
{
	struct scheduler *s = arg;
	uint64_t due_mono_ms = tl_mono_ms() + s->stop_limit_ms;
	struct tl_err err;
	enum tl_status st = TL_OK;

	while (st == TL_OK && cron_engine_running(s->engine) > 0 &&
	       tl_mono_ms() < due_mono_ms)
		st = co_sleep_ms(STOP_LOOK_MS, &err);
	if (cron_engine_running(s->engine) > 0)
		log_warn("leaving with jobs in hand; they count as lost");
	pg_lead_resign(s->lead);
	proc_child_exit(s->p, 0);
}

static void on_stop(struct proc *p, bool graceful)
{
	struct scheduler *s = p->state;
	struct tl_err err;

	s->stop_limit_ms = graceful ? p->conf->server.drain_timeout_ms
				    : FAST_STOP_MS;
	if (s->stopping)
		return;
	s->stopping = true;
	if (s->engine == NULL) {
		proc_child_exit(p, 0);
		return;
	}
	cron_engine_stop(s->engine);
	if (co_spawn(closer, s, CO_NO_DEADLINE, &err) != TL_OK)
		proc_child_exit(p, 0);
}

int scheduler_main(struct proc *p)
{
	const struct timeval soon = { .tv_sec = START_S };
	struct scheduler s = { .p = p };
	struct tl_err err;
	int code;

	p->state = &s;
	p->on_stop = on_stop;
	if (proc_child_init(p, &err) != TL_OK ||
	    co_init(p->base, COROUTINES_MAX, &err) != TL_OK)
		return proc_fail(p, err.text);
	node_name(p, s.node, sizeof(s.node));
	s.start = evtimer_new(p->base, scheduler_open, &s);
	evtimer_add(s.start, &soon);
	proc_ready(p);
	code = proc_child_run(p);
	if (proc_coroutines_end(p->base, "the scheduler stops")) {
		cron_engine_free(&s.engine);
		pg_lead_free(&s.lead);
		if (s.pool != NULL)
			pg_pool_free(&s.pool);
		event_free(s.start);
		co_deinit();
		proc_child_deinit(p);
	}
	return code;
}
