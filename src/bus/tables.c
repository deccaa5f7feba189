/*
 * tables.c - the rows that define tasks and events: checked, looked up.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bus/bus_internal.h"
#include "shm/shm.h"

#define SELFTEST "tallyd.selftest."

/* There is one per process, as there is one event loop. */
static struct {
	struct bus_tables tables;
	struct shm *shm;
	int eventfd;
	bool selftest;
} bus = { .eventfd = -1 };

static bool counts(const char *name)
{
	return bus.selftest || strncmp(name, SELFTEST, strlen(SELFTEST)) != 0;
}

const struct task_def *bus_task_at(uint32_t i)
{
	for (const struct task_def *const *t = bus.tables.tasks;
	     t != NULL && *t != NULL; t++)
		for (const struct task_def *d = *t; d->name != NULL; d++)
			if (counts(d->name) && i-- == 0)
				return d;
	return NULL;
}

const struct task_def *bus_task(struct tl_str name)
{
	const struct task_def *d;

	for (uint32_t i = 0; (d = bus_task_at(i)) != NULL; i++)
		if (tl_str_eq(name, tl_str_c(d->name)))
			return d;
	return NULL;
}

const struct event_def *bus_event(struct tl_str name)
{
	for (const struct event_def *const *t = bus.tables.events;
	     t != NULL && *t != NULL; t++)
		for (const struct event_def *d = *t; d->name != NULL; d++)
			if (tl_str_eq(name, tl_str_c(d->name)))
				return d;
	return NULL;
}

static enum tl_status check_task(const struct task_def *d, struct tl_err *err)
{
	if (bus_task(tl_str_c(d->name)) != d)
		return tl_err_set(err, TL_BROKEN, "two tasks are named '%s'",
				  d->name);
	if (d->run == NULL || d->queue == NULL || d->timeout_ms == 0)
		return tl_err_set(err, TL_BROKEN,
				  "task '%s' has no handler, queue or timeout",
				  d->name);
	if (d->event != NULL && bus_event(tl_str_c(d->event)) == NULL)
		return tl_err_set(err, TL_BROKEN,
				  "task '%s' is for event '%s', which nobody "
				  "defines",
				  d->name, d->event);
	return TL_OK;
}

static enum tl_status check_events(struct tl_err *err)
{
	for (const struct event_def *const *t = bus.tables.events;
	     t != NULL && *t != NULL; t++)
		for (const struct event_def *d = *t; d->name != NULL; d++)
			if (bus_event(tl_str_c(d->name)) != d)
				return tl_err_set(err, TL_BROKEN,
						  "two events are named '%s'",
						  d->name);
	return TL_OK;
}

enum tl_status bus_open(const struct bus_tables *t, struct shm *shm,
			int task_eventfd, bool selftest, struct tl_err *err)
{
	const struct task_def *d;
	enum tl_status st;

	bus.tables = *t;
	bus.shm = shm;
	bus.eventfd = task_eventfd;
	bus.selftest = selftest;
	st = check_events(err);
	for (uint32_t i = 0; st == TL_OK && (d = bus_task_at(i)) != NULL; i++)
		st = check_task(d, err);
	return st;
}

void bus_wake(void)
{
	uint64_t one = 1;

	if (bus.shm != NULL)
		atomic_fetch_add(&bus.shm->head->task_sends, 1);
	if (bus.eventfd >= 0) /* full: they are awake already */
		(void)!write(bus.eventfd, &one, sizeof(one));
}

void bus_policies(struct tl_arena *a, const char *event,
		  struct bus_policies *p_r)
{
	const struct task_def *d;
	uint32_t n = 0, max = 0;

	while (bus_task_at(max) != NULL)
		max++;
	p_r->names = tl_arena_alloc(a, (max + 1) * sizeof(*p_r->names));
	p_r->queues = tl_arena_alloc(a, (max + 1) * sizeof(*p_r->queues));
	p_r->events = tl_arena_alloc(a, (max + 1) * sizeof(*p_r->events));
	p_r->limits = tl_arena_alloc(a, (max + 1) * sizeof(*p_r->limits));
	p_r->delays_ms = tl_arena_alloc(a, (max + 1) * sizeof(int32_t));
	p_r->backoffs = tl_arena_alloc(a, (max + 1) * sizeof(bool));
	p_r->timeouts_ms = tl_arena_alloc(a, (max + 1) * sizeof(int32_t));
	for (uint32_t i = 0; (d = bus_task_at(i)) != NULL; i++) {
		if (event != NULL &&
		    (d->event == NULL || strcmp(d->event, event) != 0))
			continue;
		p_r->names[n] = tl_str_c(d->name);
		p_r->queues[n] = tl_str_c(d->queue);
		p_r->events[n] = tl_str_c(d->event != NULL ? d->event : "");
		p_r->limits[n] = (int32_t)d->retry_limit;
		p_r->delays_ms[n] = (int32_t)d->retry_delay_ms;
		p_r->backoffs[n] = d->retry_backoff;
		p_r->timeouts_ms[n] = (int32_t)d->timeout_ms;
		n++;
	}
	p_r->n = n;
}
