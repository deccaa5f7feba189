/*
 * co_timer.c - one heap and one libevent timer for all deadlines and sleeps.
 *
 * A coroutine has one place in the heap, kept from its start to its end, so a
 * wait that ends by a wake-up touches no timer at all.  The libevent timer is
 * moved only to an earlier time; when it fires too early it is set again.
 */
#include "loop/co_internal.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"

static void put(uint32_t at, struct co *co)
{
	co_loop.heap[at] = co;
	co->heap_at = at;
}

static void sift_up(uint32_t at, struct co *co)
{
	while (at > 0) {
		uint32_t up = (at - 1) / 2;

		if (co_loop.heap[up]->due_mono_ms <= co->due_mono_ms)
			break;
		put(at, co_loop.heap[up]);
		at = up;
	}
	put(at, co);
}

static void sift_down(uint32_t at, struct co *co)
{
	for (;;) {
		uint32_t down = 2 * at + 1;

		if (down >= co_loop.heap_n)
			break;
		if (down + 1 < co_loop.heap_n &&
		    co_loop.heap[down + 1]->due_mono_ms <
			    co_loop.heap[down]->due_mono_ms)
			down++;
		if (co->due_mono_ms <= co_loop.heap[down]->due_mono_ms)
			break;
		put(at, co_loop.heap[down]);
		at = down;
	}
	put(at, co);
}

static void heap_remove(struct co *co)
{
	uint32_t at = co->heap_at;
	struct co *last = co_loop.heap[--co_loop.heap_n];

	co->heap_at = CO_NOT_IN_HEAP;
	if (last == co)
		return;
	if (last->due_mono_ms < co->due_mono_ms)
		sift_up(at, last);
	else
		sift_down(at, last);
}

static void arm(void)
{
	uint64_t now = tl_mono_ms(), due, left;
	struct timeval tv;

	if (co_loop.heap_n == 0)
		return;
	due = co_loop.heap[0]->due_mono_ms;
	if (due >= co_loop.armed_mono_ms)
		return;
	left = due > now ? due - now : 0;
	tv.tv_sec = (time_t)(left / 1000);
	tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	tl_assert(evtimer_add(co_loop.timer_event, &tv) == 0);
	co_loop.armed_mono_ms = due;
}

void co_timer_set(struct co *co, uint64_t due_mono_ms)
{
	uint64_t old = co->due_mono_ms;

	if (due_mono_ms == CO_NO_DEADLINE) {
		if (co->heap_at != CO_NOT_IN_HEAP)
			heap_remove(co);
		co->due_mono_ms = due_mono_ms;
		/* An idle process shall not be kept in the loop by it. */
		if (co_loop.heap_n == 0 &&
		    co_loop.armed_mono_ms != CO_NO_DEADLINE) {
			evtimer_del(co_loop.timer_event);
			co_loop.armed_mono_ms = CO_NO_DEADLINE;
		}
		return;
	}
	co->due_mono_ms = due_mono_ms;
	if (co->heap_at == CO_NOT_IN_HEAP)
		sift_up(co_loop.heap_n++, co);
	else if (due_mono_ms < old)
		sift_up(co->heap_at, co);
	else if (due_mono_ms > old)
		sift_down(co->heap_at, co);
	arm();
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	uint64_t now = tl_mono_ms();

	(void)fd;
	(void)events;
	(void)arg;
	co_loop.armed_mono_ms = CO_NO_DEADLINE;
	/* co_fire moves the coroutine to a later time or out of the heap. */
	while (co_loop.heap_n > 0 && co_loop.heap[0]->due_mono_ms <= now)
		co_fire(co_loop.heap[0], now);
	arm();
}

enum tl_status co_timer_init(struct tl_err *err)
{
	co_loop.timer_event = evtimer_new(co_loop.base, on_timer, NULL);
	if (co_loop.timer_event == NULL)
		return tl_err_set(err, TL_SYSTEM, "no event for the timer");
	co_loop.heap = tl_alloc_array(co_loop.max, sizeof(struct co *));
	co_loop.heap_n = 0;
	co_loop.armed_mono_ms = CO_NO_DEADLINE;
	return TL_OK;
}

void co_timer_deinit(void)
{
	event_free(co_loop.timer_event);
	co_loop.timer_event = NULL;
	tl_freep(&co_loop.heap);
}
