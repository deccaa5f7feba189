#include "flush/flush_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "shm/policy.h"

#define POOL_SIZE     2 /* batches, reading */
#define POOL_QUEUE    16
#define STATEMENT_MS  15000
#define GATHER_MS     2 /* strict answers join the same batch */
#define CALL_MS       10000
#define CALL_DRAIN_MS 3000 /* then it goes to the spool */

void flush_stop(struct flush *f)
{
	co_step_stop(&f->deliver);
	co_step_stop(&f->load);
	co_step_stop(&f->house);
}

void flush_fail(struct flush *f, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	if (f->dead)
		return;
	f->dead = true;
	flush_stop(f);
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_error("the flusher can not go on: %s", why);
	if (f->draining)
		f->drained(f->drained_arg, false);
	else
		f->o.failed(f->o.arg, why);
}

/* ---- what wakes it ---- */

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
	struct flush *f = arg;
	uint32_t ticket;
	uint64_t n;

	(void)events;
	if (read((int)fd, &n, sizeof(n)) < 0)
		return; /* somebody else's wake-up, or none */
	if (shm_strict_waiting(f->shm) > 0)
		deliver_now(f, GATHER_MS);
	if (shm_refresh_wanted(f->shm, &ticket))
		co_step_at(&f->load, CO_STEP_NOW);
}

static void on_change(void *arg)
{
	struct flush *f = arg;

	f->change_poll_mono_ms = 0;
	f->change_poll_ms = 0;
	co_step_at(&f->load, CO_STEP_NOW);
}

/* ---- life ---- */

static enum tl_status open_spool(struct flush *f, struct tl_err *err)
{
	const struct spool_opts so = {
		.state_dir = f->o.conf->server.state_dir,
		.epoch = f->shm->head->k.epoch,
		.node = f->node,
		.max_bytes = (uint64_t)f->o.conf->metering.spool_max_mib << 20,
	};

	return spool_open(&so, &f->spool, err);
}

static void identify(struct flush *f)
{
	const struct shm_head *head = f->shm->head;
	uint64_t id[2];

	/* The segment keeps its node id even when the host gets a new name:
	 * (node, epoch) is what its batches are counted under. */
	memcpy(f->node, head->k.node_id, sizeof(f->node) - 1);
	if (f->node[0] == '\0' && gethostname(f->node, sizeof(f->node) - 1) < 0)
		snprintf(f->node, sizeof(f->node), "localhost");
	id[0] = atomic_load(&head->database_id[0]);
	id[1] = atomic_load(&head->database_id[1]);
	if (id[0] != 0)
		memcpy(f->database_id, id, sizeof(f->database_id));
}

static enum tl_status open_events(struct flush *f, struct tl_err *err)
{
	const struct pg_pool_opts po = {
		.way = pg_way(f->o.conf, f->o.conninfo),
		.application_name = "tallyd flusher",
		.size = POOL_SIZE,
		.queue_max = POOL_QUEUE,
		.statement_timeout_ms = STATEMENT_MS,
	};

	f->wake = event_new(f->o.base, f->o.wake_eventfd, EV_READ | EV_PERSIST,
			    on_wake, f);
	if (f->wake == NULL || event_add(f->wake, NULL) < 0)
		return tl_err_set(err, TL_SYSTEM, "no event for wake-ups");
	f->pool = pg_pool_new(&po);
	f->pg = pg_pool_pg(f->pool);
	f->listener = pg_listener_new(&po, "tallyd_change", on_change, f);
	return TL_OK;
}

static void start(struct flush *f)
{
	uint64_t now = tl_mono_ms();

	f->begun_mono_ms = now;
	f->full_due = true;
	f->scan_due_mono_ms = now;
	f->refresh_after = atomic_load(&f->shm->head->loads_open) != 0;
	f->change_poll_mono_ms = CO_STEP_NEVER;
	atomic_store(&f->shm->head->flush_level, 0);
	atomic_store(&f->shm->head->database_up, 0);
	co_step_at(&f->deliver, CO_STEP_NOW);
	co_step_at(&f->load, CO_STEP_NOW);
	co_step_at(&f->house, now + 1000);
}

enum tl_status flush_new(const struct flush_opts *o, struct flush **f_r,
			 struct tl_err *err)
{
	struct flush *f = tl_alloc(sizeof(*f));
	enum tl_status st;

	f->o = *o;
	f->shm = o->shm;
	co_step_init(&f->deliver, o->base, deliver_step, f, CALL_MS);
	co_step_init(&f->load, o->base, load_step, f, CALL_MS);
	co_step_init(&f->house, o->base, house_step, f, CALL_MS);
	identify(f);
	st = open_spool(f, err);
	if (st == TL_OK)
		st = open_events(f, err);
	if (st != TL_OK) {
		flush_free(&f);
		return st;
	}
	start(f);
	*f_r = f;
	return TL_OK;
}

void flush_drain(struct flush *f, void (*done)(void *arg, bool clean),
		 void *arg)
{
	if (f->dead) {
		done(arg, false);
		return;
	}
	f->drained = done;
	f->drained_arg = arg;
	f->draining = true;
	f->deliver.limit_ms = CALL_DRAIN_MS;
	deliver_now(f, 0);
	co_step_at(&f->deliver, CO_STEP_NOW);
}

void flush_refresh_all(struct flush *f)
{
	load_restart(f);
}

void flush_free(struct flush **fp)
{
	struct flush *f = *fp;

	if (f == NULL)
		return;
	co_step_deinit(&f->deliver);
	co_step_deinit(&f->load);
	co_step_deinit(&f->house);
	if (f->wake != NULL)
		event_free(f->wake);
	pg_listener_free(&f->listener);
	if (f->pool != NULL)
		pg_pool_free(&f->pool);
	spool_close(&f->spool);
	tl_freep(fp);
}
