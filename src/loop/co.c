/*
 * co.c - spawning, waiting, waking, deadlines, cancels and shields.
 */
#include "loop/co.h"

#include <stdio.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/co_internal.h"

struct co_loop co_loop;

static void enter(struct co *co)
{
	tl_assert(co_loop.running == NULL);
	co_loop.running = co;
	co_switch_enter(co);
	co_loop.running = NULL;
}

static void free_co(struct co *co)
{
	co_stack_unmap(co);
	tl_free(co);
}

/* Enters a coroutine; when its job is done, keeps or frees the stack. */
static void resume(struct co *co)
{
	enter(co);
	if (!co->ended)
		return;
	co_stack_measure(co);
	tl_list_unlink(&co->link);
	co_loop.n_live--;
	if (co_loop.n_idle >= CO_STACKS_POOLED) {
		free_co(co);
		return;
	}
	/* The warmest stack is taken first. */
	tl_list_prepend(&co_loop.idle, &co->link);
	co_loop.n_idle++;
}

/*
 * Runs what stood in the queue when it began, and what that woke, in this loop
 * pass: an event that is activated inside its own callback runs again.
 */
static void on_wake(evutil_socket_t fd, short events, void *arg)
{
	struct tl_list todo;

	(void)fd;
	(void)events;
	(void)arg;
	tl_list_init(&todo);
	tl_list_append(&co_loop.ready, &todo);
	tl_list_unlink(&co_loop.ready);
	while (!tl_list_empty(&todo)) {
		struct co *co = TL_CONTAINER(todo.next, struct co, ready);

		tl_list_unlink(&co->ready);
		resume(co);
	}
}

static void make_ready(struct co *co)
{
	if (!tl_list_empty(&co->ready))
		return;
	if (tl_list_empty(&co_loop.ready))
		event_active(co_loop.wake_event, EV_TIMEOUT, 0);
	tl_list_append(&co_loop.ready, &co->ready);
}

enum tl_status co_init(struct event_base *base, uint32_t max,
		       struct tl_err *err)
{
	enum tl_status st;

	tl_assert(co_loop.base == NULL && max > 0);
	co_loop.base = base;
	co_loop.max = max;
	tl_list_init(&co_loop.live);
	tl_list_init(&co_loop.idle);
	tl_list_init(&co_loop.ready);
	co_loop.wake_event = event_new(base, -1, 0, on_wake, NULL);
	if (co_loop.wake_event == NULL) {
		co_loop.base = NULL;
		return tl_err_set(err, TL_SYSTEM, "no event for wake-ups");
	}
	st = co_timer_init(err);
	if (st != TL_OK) {
		event_free(co_loop.wake_event);
		co_loop.base = NULL;
		return st;
	}
	co_stack_guard_watch();
	return TL_OK;
}

void co_deinit(void)
{
	struct tl_list *pos, *tmp;

	tl_assert(co_loop.base != NULL && co_loop.n_live == 0);
	co_stack_guard_unwatch();
	co_resolve_deinit();
	TL_LIST_EACH(pos, tmp, &co_loop.idle)
	free_co(TL_CONTAINER(pos, struct co, link));
	co_timer_deinit();
	event_free(co_loop.wake_event);
	co_loop = (struct co_loop){ .base = NULL };
}

struct event_base *co_base(void)
{
	return co_loop.base;
}

struct co *co_self(void)
{
	return co_loop.running;
}

void co_local_take(void *p)
{
	tl_assert(co_loop.running != NULL);
	tl_free(co_loop.running->local);
	co_loop.running->local = p;
}

void *co_local(void)
{
	return co_loop.running != NULL ? co_loop.running->local : NULL;
}

uint32_t co_live(void)
{
	return co_loop.n_live;
}

/* When the timer must look at this coroutine again. */
static uint64_t co_due(const struct co *co)
{
	uint64_t due = CO_NO_DEADLINE;

	if (co->shielded && co->shield_stopped == TL_OK)
		due = co->shield_mono_ms;
	else if (!co->shielded && co->stopped == TL_OK)
		due = co->deadline_mono_ms;
	return co->until_mono_ms < due ? co->until_mono_ms : due;
}

static struct co *take_stack(struct tl_err *err)
{
	struct co *co;

	if (!tl_list_empty(&co_loop.idle)) {
		co = TL_CONTAINER(co_loop.idle.next, struct co, link);
		tl_list_unlink(&co->link);
		co_loop.n_idle--;
		co_stack_reuse(co);
		return co;
	}
	co = tl_alloc(sizeof(*co));
	if (co_stack_map(co, err) != TL_OK) {
		tl_free(co);
		return NULL;
	}
	tl_list_init(&co->link);
	tl_list_init(&co->ready);
	co->heap_at = CO_NOT_IN_HEAP;
	co->due_mono_ms = CO_NO_DEADLINE;
	return co;
}

enum tl_status co_spawn(co_fn fn, void *arg, uint64_t deadline_mono_ms,
			struct tl_err *err)
{
	struct co *co;

	tl_assert(co_loop.base != NULL && co_self() == NULL);
	if (co_loop.n_live >= co_loop.max)
		return tl_err_set(err, TL_FULL, "%u coroutines are alive",
				  co_loop.max);
	co = take_stack(err);
	if (co == NULL)
		return TL_SYSTEM;
	co->fn = fn;
	co->arg = arg;
	co->wait = NULL;
	co->stopped = co->shield_stopped = TL_OK;
	co->shielded = co->ended = false;
	co->deadline_mono_ms = deadline_mono_ms;
	co->until_mono_ms = CO_NO_DEADLINE;
	tl_list_append(&co_loop.live, &co->link);
	co_loop.n_live++;
	co_timer_set(co, co_due(co));
	resume(co);
	return TL_OK;
}

void co_run_job(struct co *co)
{
	co->fn(co->arg);
	tl_assert(!co->shielded);
	tl_freep(&co->local);
	co_timer_set(co, CO_NO_DEADLINE);
	co->ended = true;
}

uint64_t co_deadline_mono_ms(void)
{
	const struct co *co = co_self();

	tl_assert(co != NULL);
	return co->shielded ? co->shield_mono_ms : co->deadline_mono_ms;
}

uint64_t co_left_ms(void)
{
	uint64_t now = tl_mono_ms(), due = co_deadline_mono_ms();

	if (due == CO_NO_DEADLINE)
		return due;
	return due > now ? due - now : 0;
}

static enum tl_status stop_words(const struct co *co, enum tl_status st,
				 struct tl_err *err)
{
	if (st == TL_CANCELED)
		return tl_err_set(err, st, "canceled: %s", co->why);
	return tl_err_set(err, st, "deadline passed");
}

void co_wait_init(struct co_wait *w)
{
	tl_assert(co_self() != NULL);
	w->co = co_self();
	w->woken = false;
}

enum tl_status co_wait(struct co_wait *w, struct tl_err *err)
{
	struct co *co = co_self();
	enum tl_status st;

	tl_assert(co != NULL && w->co == co);
	st = co->shielded ? co->shield_stopped : co->stopped;
	if (st != TL_OK)
		return stop_words(co, st, err);
	if (w->woken)
		return TL_OK;
	co->wait = w;
	co->result = TL_OK;
	co_switch_leave(co);
	co->wait = NULL;
	return co->result == TL_OK ? TL_OK : stop_words(co, co->result, err);
}

enum tl_status co_wait_until(struct co_wait *w, uint64_t due_mono_ms,
			     struct tl_err *err)
{
	struct co *co = co_self();
	enum tl_status st;

	tl_assert(co != NULL);
	co->until_mono_ms = due_mono_ms;
	co_timer_set(co, co_due(co));
	st = co_wait(w, err);
	co->until_mono_ms = CO_NO_DEADLINE;
	co_timer_set(co, co_due(co));
	return st;
}

enum tl_status co_sleep_ms(uint64_t ms, struct tl_err *err)
{
	struct co_wait w;

	co_wait_init(&w);
	return co_wait_until(&w, tl_mono_ms() + ms, err);
}

void co_wake(struct co_wait *w)
{
	if (w->woken)
		return;
	w->woken = true;
	if (w->co->wait == w)
		make_ready(w->co);
}

/* The first reason stays; a wait that was already woken ends as woken. */
static void stop(struct co *co, enum tl_status st)
{
	enum tl_status *sticky =
		co->shielded ? &co->shield_stopped : &co->stopped;

	if (*sticky == TL_OK)
		*sticky = st;
	if (co->wait == NULL || !tl_list_empty(&co->ready))
		return;
	co->result = *sticky;
	make_ready(co);
}

/* The loop runs, so every live coroutine is suspended in a wait. */
void co_fire(struct co *co, uint64_t now_mono_ms)
{
	if (co->until_mono_ms <= now_mono_ms) {
		co->until_mono_ms = CO_NO_DEADLINE;
		make_ready(co);
	} else {
		stop(co, TL_DEADLINE);
	}
	co_timer_set(co, co_due(co));
}

void co_cancel(struct co *co, const char *why)
{
	if (co->stopped != TL_OK)
		return;
	snprintf(co->why, sizeof(co->why), "%s", why);
	if (co->shielded) { /* clean-up goes on; what follows it stops */
		co->stopped = TL_CANCELED;
		return;
	}
	stop(co, TL_CANCELED);
	co_timer_set(co, co_due(co));
}

void co_cancel_all(const char *why)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &co_loop.live)
	co_cancel(TL_CONTAINER(pos, struct co, link), why);
}

void co_shield_begin(uint64_t limit_ms)
{
	struct co *co = co_self();

	tl_assert(co != NULL && !co->shielded);
	co->shielded = true;
	co->shield_stopped = TL_OK;
	co->shield_mono_ms = tl_mono_ms() + limit_ms;
	co_timer_set(co, co_due(co));
}

void co_shield_end(void)
{
	struct co *co = co_self();

	tl_assert(co != NULL && co->shielded);
	co->shielded = false;
	co_timer_set(co, co_due(co));
}
