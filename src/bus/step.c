/*
 * step.c - a coroutine that comes again.
 */
#include "config.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_internal.h"
#include "loop/co.h"

#define STEP_LIMIT_MS 15000
#define NO_ROOM_MS    100

static void arm(struct step *s)
{
	uint64_t now = tl_mono_ms(), left;
	struct timeval tv;

	if (s->running)
		return; /* its end arms */
	if (s->due_mono_ms == STEP_NEVER) {
		evtimer_del(s->timer);
		return;
	}
	left = s->due_mono_ms > now ? s->due_mono_ms - now : 0;
	tv.tv_sec = (time_t)(left / 1000);
	tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	evtimer_add(s->timer, &tv);
}

void step_at(struct step *s, uint64_t due_mono_ms)
{
	if (due_mono_ms >= s->due_mono_ms)
		return;
	s->due_mono_ms = due_mono_ms;
	arm(s);
}

static void body(void *arg)
{
	struct step *s = arg;
	uint64_t due = s->fn(s->r);

	s->running = false;
	if (due < s->due_mono_ms)
		s->due_mono_ms = due;
	arm(s);
	runner_check_drained(s->r);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct step *s = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	s->due_mono_ms = STEP_NEVER;
	s->running = true;
	if (co_spawn(body, s, tl_mono_ms() + STEP_LIMIT_MS, &err) == TL_OK)
		return;
	log_warn("runner: %s", err.text);
	s->running = false;
	step_at(s, tl_mono_ms() + NO_ROOM_MS);
}

void step_init(struct step *s, struct runner *r,
	       uint64_t (*fn)(struct runner *r))
{
	s->r = r;
	s->fn = fn;
	s->due_mono_ms = STEP_NEVER;
	s->timer = evtimer_new(r->o.base, on_timer, s);
	tl_assert(s->timer != NULL);
}

void step_deinit(struct step *s)
{
	tl_assert(!s->running);
	event_free(s->timer);
}
