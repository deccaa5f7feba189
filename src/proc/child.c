/*
 * child.c - the frame of every process that the master forks: loop, signals,
 * the master's death, the heartbeat, the limit of a stop.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/span.h"
#include "loop/co.h"
#include "proc/backoff.h"
#include "proc/proc.h"
#include "shm/metrics.h"

/* Usage that could not be delivered stays in the segment, so a flusher gets
 * time for a large backlog; a second signal of the operator cuts it short. */
#define FLUSH_LIMIT_MS 60000
#define OTHERS_MS	5
#define OTHERS_GRACE_MS 500
#define COROUTINES_END_MS 2000

/* There is one per process. */
static struct {
	struct event *term, *quit, *usr1, *orphan, *others, *beat, *limit;
	uint64_t others_due_mono_ms;
	bool stopping;
	int code;
} child;

void proc_child_exit(struct proc *p, int code)
{
	child.code = code;
	event_base_loopexit(p->base, NULL);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p = arg;

	(void)fd;
	(void)what;
	log_warn("stop took too long; leaving with work in hand");
	event_base_loopbreak(p->base);
}

static void stop(struct proc *p, bool graceful)
{
	uint32_t limit_ms = graceful ? p->conf->server.drain_timeout_ms
				     : p->conf->server.stop_timeout_ms;
	struct timeval tv;

	if (p->kind->stop_rank > 1)
		limit_ms = FLUSH_LIMIT_MS;
	tv = backoff_timeval(limit_ms);
	/* A TERM behind a QUIT hurries: the shorter limit counts. */
	evtimer_add(child.limit, &tv);
	child.stopping = true;
	shm_slot_set_state(p->shm, SHM_SLOT_DRAINING);
	p->on_stop(p, graceful);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	stop(arg, sig == SIGQUIT);
}

/*
 * Without a master nobody stops the processes by rank: who writes usage down
 * goes on until those who produce it have left.  Their strict answers wait
 * for its commits.
 */
static void on_others(evutil_socket_t fd, short what, void *arg)
{
	struct timeval again = backoff_timeval(OTHERS_MS);
	struct proc *p = arg;
	uint64_t pid;

	(void)fd;
	(void)what;
	if (child.stopping)
		return;
	if (p->kind->stop_rank > 1 && shm_slots_alive(p->shm, &pid) &&
	    tl_mono_ms() < child.others_due_mono_ms)
		evtimer_add(child.others, &again);
	else
		stop(p, false);
}

static void on_orphaned(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p = arg;

	(void)fd;
	(void)what;
	event_del(child.orphan); /* stays readable */
	log_warn("the master is gone; finishing");
	child.others_due_mono_ms = tl_mono_ms() +
				   p->conf->server.stop_timeout_ms +
				   OTHERS_GRACE_MS;
	on_others(-1, 0, p);
}

static void on_reopen(evutil_socket_t sig, short what, void *arg)
{
	struct tl_err err;

	(void)sig;
	(void)what;
	(void)arg;
	if (log_reopen(&err) != TL_OK)
		log_error("%s; keeping the old log file", err.text);
}

/* What base/ counted, which knows no segment. */
static void count_lost(struct proc *p)
{
	struct span_counts spans = span_counts_take();

	shm_count(p->shm, SHM_C_SPANS_EXPORTED, spans.exported);
	shm_count(p->shm, SHM_C_SPANS_DROPPED, spans.dropped);
	shm_count(p->shm, SHM_C_LOG_LINES_LOST, log_lost_take());
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p = arg;

	(void)fd;
	(void)what;
	shm_slot_beat(p->shm);
	count_lost(p);
}

static struct event *watch(struct proc *p, int sig, event_callback_fn fn)
{
	struct event *ev = evsignal_new(p->base, sig, fn, p);

	event_add(ev, NULL);
	return ev;
}

enum tl_status proc_child_init(struct proc *p, struct tl_err *err)
{
	struct event_config *cfg = event_config_new();
	struct timeval second = { .tv_sec = 1 };

	event_config_set_flag(cfg, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST |
					   EVENT_BASE_FLAG_NOLOCK);
	p->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (p->base == NULL)
		return tl_err_sys(err, "make an event base");
	child.term = watch(p, SIGTERM, on_signal);
	child.quit = watch(p, SIGQUIT, on_signal);
	child.usr1 = watch(p, SIGUSR1, on_reopen);
	child.orphan = event_new(p->base, p->master_pipe, EV_READ | EV_PERSIST,
				 on_orphaned, p);
	event_add(child.orphan, NULL);
	child.beat = event_new(p->base, -1, EV_PERSIST, on_beat, p);
	event_add(child.beat, &second);
	child.limit = evtimer_new(p->base, on_limit, p);
	child.others = evtimer_new(p->base, on_others, p);
	return TL_OK;
}

void proc_child_deinit(struct proc *p)
{
	struct event **all[] = { &child.term,  &child.quit,  &child.usr1,
				 &child.beat,  &child.limit, &child.orphan,
				 &child.others };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		event_free(*all[i]);
		*all[i] = NULL;
	}
	event_base_free(p->base);
	p->base = NULL;
	count_lost(p); /* what the end itself had no room for */
}

/* A master that died meanwhile is noticed on the other pipe. */
static void tell(struct proc *p, const char *text, size_t len)
{
	if (p->ready_pipe < 0)
		return;
	(void)!write(p->ready_pipe, text, len);
	close(p->ready_pipe);
	p->ready_pipe = -1;
}

void proc_ready(struct proc *p)
{
	if (!child.stopping)
		shm_slot_set_state(p->shm, SHM_SLOT_READY);
	tell(p, "R", 1);
}

int proc_fail(struct proc *p, const char *why)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "E%s", why);

	if (p->ready_pipe < 0) /* it ran: nobody reads there any more */
		log_error("cannot go on: %s", why);
	else if (len > 0)
		tell(p, text, strlen(text));
	return 1;
}

int proc_child_run(struct proc *p)
{
	event_base_dispatch(p->base);
	count_lost(p);
	return child.code;
}

bool proc_coroutines_end(struct event_base *base, const char *why)
{
	struct timeval limit = backoff_timeval(COROUTINES_END_MS);
	uint64_t due_mono_ms = tl_mono_ms() + COROUTINES_END_MS;

	event_base_loopexit(base, &limit); /* the last wait ends, too */
	while (co_live() > 0 && tl_mono_ms() < due_mono_ms) {
		/* again and again: a pool may have begun to connect anew */
		co_cancel_all(why);
		event_base_loop(base, EVLOOP_ONCE);
	}
	return co_live() == 0;
}
