#include "loop/co_step.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/co.h"

#define NO_ROOM_MS 100

static void arm(struct co_step *s)
{
	uint64_t now = tl_mono_ms(), left;
	struct timeval tv;

	if (s->running)
		return; /* its end arms */
	if (s->stopped || s->due_mono_ms == CO_STEP_NEVER) {
		evtimer_del(s->timer);
		return;
	}
	left = s->due_mono_ms > now ? s->due_mono_ms - now : 0;
	tv.tv_sec = (time_t)(left / 1000);
	tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	evtimer_add(s->timer, &tv);
}

void co_step_at(struct co_step *s, uint64_t due_mono_ms)
{
	if (due_mono_ms >= s->due_mono_ms)
		return;
	s->due_mono_ms = due_mono_ms;
	arm(s);
}

void co_step_stop(struct co_step *s)
{
	s->stopped = true;
	arm(s);
}

static void body(void *arg)
{
	struct co_step *s = arg;
	uint64_t due = s->fn(s->arg);

	s->running = false;
	if (due < s->due_mono_ms)
		s->due_mono_ms = due;
	arm(s);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct co_step *s = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	s->due_mono_ms = CO_STEP_NEVER;
	s->running = true;
	if (co_spawn(body, s, tl_mono_ms() + s->limit_ms, &err) == TL_OK)
		return;
	log_warn("%s; trying again in %d ms", err.text, NO_ROOM_MS);
	s->running = false;
	co_step_at(s, tl_mono_ms() + NO_ROOM_MS);
}

void co_step_init(struct co_step *s, struct event_base *base, co_step_fn fn,
		  void *arg, uint32_t limit_ms)
{
	*s = (struct co_step){ .fn = fn,
			       .arg = arg,
			       .limit_ms = limit_ms,
			       .due_mono_ms = CO_STEP_NEVER };
	s->timer = evtimer_new(base, on_timer, s);
	tl_assert(s->timer != NULL);
}

void co_step_deinit(struct co_step *s)
{
	if (s->timer == NULL)
		return;
	tl_assert(!s->running);
	event_free(s->timer);
}
