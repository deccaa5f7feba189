/*
 * runner.c - a runner's life, and what wakes it.
 */
#include "config.h"

#include "bus/runner.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_internal.h"
#include "conf/conf.h"
#include "pg/pg.h"
#include "shm/shm.h"

#define POOL_SIZE     2 /* claims; results and the rest */
#define POOL_QUEUE    16
#define STATEMENT_MS  15000
#define LOOKS         3 /* after a notification, see claim.c */
#define WATCH_SOON_MS 50
#define STEP_MS       15000
#define TURN_MS       2
#define RECOVERIES    3 /* after a death, see watch.c */

/* The decider speaks once for each outage. */
void runner_failed(struct runner *r, const char *what, const struct tl_err *err)
{
	if (!r->failing && err->status != TL_CANCELED)
		log_warn("%s failed: %s; trying on", what, err->text);
	r->failing = true;
}

void runner_worked(struct runner *r)
{
	if (r->failing)
		log_info("the task bus works again");
	r->failing = false;
}

/* ---- what wakes it ---- */

/* One runner is enough for a task that comes alone; the others look a moment
 * later, for it may be full. */
static void claim_soon(struct runner *r)
{
	co_step_at(&r->claim, r->o.number == 0
				      ? CO_STEP_NOW
				      : tl_mono_ms() + r->o.number * TURN_MS);
}

/* Someone of this host sent tasks, or a runner died. */
static void on_wake(evutil_socket_t fd, short events, void *arg)
{
	struct runner *r = arg;
	const struct shm_head *h = r->o.shm->head;
	uint64_t sends = atomic_load(&h->task_sends);
	uint64_t deaths = atomic_load(&h->task_deaths);

	(void)fd;
	(void)events;
	if (sends != r->sends_seen)
		claim_soon(r);
	if (deaths != r->deaths_seen) {
		r->recoveries = RECOVERIES;
		co_step_at(&r->watch, CO_STEP_NOW);
	}
	r->sends_seen = sends;
	r->deaths_seen = deaths;
}

/* Someone sent tasks in SQL, or an operator changed something. */
static void on_notified(void *arg)
{
	struct runner *r = arg;

	r->looks = LOOKS;
	r->rules_mono_ms = 0;
	claim_soon(r); /* first: most notifications are sends */
	co_step_at(&r->watch, tl_mono_ms() + WATCH_SOON_MS);
}

static void on_start(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	claim_start_jobs(arg);
}

/* ---- stopping ---- */

void runner_check_drained(struct runner *r)
{
	void (*done)(void *arg) = r->drained;

	if (done == NULL || r->n_jobs > 0 || r->pending.n > 0 ||
	    r->sent.n > 0 || r->claim.running)
		return;
	r->drained = NULL;
	done(r->drained_arg);
}

static void on_hurry(evutil_socket_t fd, short events, void *arg)
{
	struct runner *r = arg;
	struct tl_list *pos, *tmp;

	(void)fd;
	(void)events;
	if (r->n_jobs > 0)
		log_info("%u tasks are cancelled and put back", r->n_jobs);
	r->dropping = true;
	TL_LIST_EACH(pos, tmp, &r->jobs)
	{
		struct job *j = TL_CONTAINER(pos, struct job, link);

		j->dropped = true;
		job_cancel(j, "the runner stops");
	}
}

void runner_drain(struct runner *r, uint32_t limit_ms, void (*done)(void *arg),
		  void *arg)
{
	struct timeval tv = { .tv_sec = limit_ms / 1000,
			      .tv_usec =
				      (suseconds_t)(limit_ms % 1000 * 1000) };
	struct tl_list *pos, *tmp;

	r->draining = true;
	r->drained = done;
	r->drained_arg = arg;
	TL_LIST_EACH(pos, tmp, &r->ready)
	job_put_back(TL_CONTAINER(pos, struct job, link), 0);
	evtimer_add(r->hurry, &tv);
	runner_check_drained(r);
}

/* ---- life ---- */

static void open_database(struct runner *r)
{
	char name[32];
	const struct pg_pool_opts po = {
		.way = pg_way(r->o.conf, r->o.conninfo),
		.application_name = name,
		.size = POOL_SIZE,
		.queue_max = POOL_QUEUE,
		.statement_timeout_ms = STATEMENT_MS,
	};

	snprintf(name, sizeof(name), "tallyd runner/%u", r->o.number);
	r->pool = pg_pool_new(&po);
	r->listener = pg_listener_new(&po, "tallyd_task", on_notified, r);
}

/* As the flusher names this node: its claims are known by it. */
static void identify(struct runner *r)
{
	const struct shm_constants *k = &r->o.shm->head->k;

	r->epoch = k->epoch;
	snprintf(r->node, sizeof(r->node), "%s", k->node_id);
	if (r->node[0] == '\0' && gethostname(r->node, sizeof(r->node) - 1) < 0)
		snprintf(r->node, sizeof(r->node), "localhost");
}

struct runner *runner_new(const struct runner_opts *o)
{
	struct runner *r = tl_alloc(sizeof(*r));

	r->o = *o;
	identify(r);
	tl_list_init(&r->jobs);
	tl_list_init(&r->ready);
	co_step_init(&r->claim, o->base, claim_step, r, STEP_MS);
	co_step_init(&r->finish, o->base, finish_step, r, STEP_MS);
	co_step_init(&r->watch, o->base, watch_step, r, STEP_MS);
	r->sends_seen = atomic_load(&o->shm->head->task_sends);
	r->deaths_seen = atomic_load(&o->shm->head->task_deaths);
	/* Nobody reads the eventfd, so that one edge wakes all runners. */
	r->wake = event_new(o->base, o->task_eventfd,
			    EV_READ | EV_PERSIST | EV_ET, on_wake, r);
	r->starter = event_new(o->base, -1, 0, on_start, r);
	r->hurry = evtimer_new(o->base, on_hurry, r);
	tl_assert(r->wake != NULL && r->starter != NULL && r->hurry != NULL);
	event_add(r->wake, NULL);
	open_database(r);
	/* The dead of before we came; claims come behind the first watch. */
	r->recoveries = RECOVERIES;
	co_step_at(&r->watch, CO_STEP_NOW);
	return r;
}

void runner_free(struct runner **rp)
{
	struct runner *r = *rp;

	if (r == NULL)
		return;
	tl_assert(r->n_jobs == 0);
	co_step_deinit(&r->claim);
	co_step_deinit(&r->finish);
	co_step_deinit(&r->watch);
	event_free(r->wake);
	event_free(r->starter);
	event_free(r->hurry);
	pg_listener_free(&r->listener);
	pg_pool_free(&r->pool);
	pg_pool_free(&r->task_pool);
	endings_deinit(&r->pending);
	endings_deinit(&r->sent);
	limits_deinit(r);
	tl_freep(rp);
}
