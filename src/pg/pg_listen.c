/*
 * pg_listen.c - LISTEN on a connection of its own.
 *
 * Not the pool's: a pooler between gives the backend away after each
 * statement, and a busy connection would tell late.
 */
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "pg/pg_fail.h"
#include "pg/pg_internal.h"

#define LISTEN_LIMIT_MS 5000

struct pg_listener {
	struct pg_target target;
	char *channel;
	void (*fn)(void *arg);
	void *arg;
	PGconn *pq;
	struct event *readable;
	struct event *timer;  /* the next attempt */
	struct event *caller; /* fn, on the loop's stack */
	uint32_t backoff_ms;
	bool connecting; /* its coroutine lives, and frees a dead listener */
	bool dead, failed;
};

static void on_timer(evutil_socket_t fd, short events, void *arg);

static void schedule(struct pg_listener *l)
{
	uint32_t ms = pg_jitter(l->backoff_ms);
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	l->backoff_ms = pg_backoff_next(l->backoff_ms);
	tl_assert(evtimer_add(l->timer, &tv) == 0);
}

static void hang_up(struct pg_listener *l)
{
	if (l->readable != NULL)
		event_free(l->readable);
	l->readable = NULL;
	PQfinish(l->pq);
	l->pq = NULL;
}

static void destroy(struct pg_listener *l)
{
	hang_up(l);
	event_free(l->timer);
	event_free(l->caller);
	pg_target_deinit(&l->target);
	tl_free(l->channel);
	tl_free(l);
}

static void on_call(evutil_socket_t fd, short events, void *arg)
{
	struct pg_listener *l = arg;

	(void)fd;
	(void)events;
	l->fn(l->arg);
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	struct pg_listener *l = arg;
	bool told = false;
	PGnotify *note;

	(void)fd;
	(void)events;
	if (!PQconsumeInput(l->pq)) {
		hang_up(l);
		schedule(l);
		return;
	}
	while ((note = PQnotifies(l->pq)) != NULL) {
		PQfreemem(note);
		told = true;
	}
	if (told)
		l->fn(l->arg); /* last: it may free the listener */
}

static enum tl_status start_listening(struct pg_listener *l, PGconn *pq,
				      struct tl_err *err)
{
	char *name = PQescapeIdentifier(pq, l->channel, strlen(l->channel));
	PGresult *res = NULL;
	enum tl_status st;
	char *sql;

	tl_assert(name != NULL);
	sql = tl_asprintf("LISTEN %s", name);
	PQfreemem(name);
	st = pg_ask(pq, sql, tl_mono_ms() + LISTEN_LIMIT_MS, &res, err);
	tl_free(sql);
	if (st != TL_OK)
		return st;
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		st = pg_fail(res, "LISTEN", err);
	PQclear(res);
	return st;
}

static void connector(void *arg)
{
	struct pg_listener *l = arg;
	PGconn *pq = NULL;
	struct tl_err err;
	enum tl_status st;

	st = pg_connect_direct(&l->target, &pq, &err);
	if (st == TL_OK)
		st = start_listening(l, pq, &err);
	l->connecting = false;
	if (st != TL_OK || l->dead) {
		PQfinish(pq);
		if (l->dead) {
			destroy(l);
			return;
		}
		if (!l->failed && st == TL_DENIED)
			log_error("not listening on '%s': %s", l->channel,
				  err.text);
		else if (!l->failed && st != TL_CANCELED)
			log_warn("not listening on '%s': %s; trying on",
				 l->channel, err.text);
		l->failed = true;
		schedule(l);
		return;
	}
	l->failed = false;
	l->backoff_ms = 0;
	l->pq = pq;
	l->readable = event_new(co_base(), PQsocket(pq), EV_READ | EV_PERSIST,
				on_readable, l);
	tl_assert(l->readable != NULL && event_add(l->readable, NULL) == 0);
	event_active(l->caller, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct pg_listener *l = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	l->connecting = true;
	if (co_spawn(connector, l, CO_NO_DEADLINE, &err) != TL_OK) {
		l->connecting = false;
		schedule(l);
	}
}

struct pg_listener *pg_listener_new(const struct pg_pool_opts *o,
				    const char *channel, void (*fn)(void *arg),
				    void *arg)
{
	struct pg_listener *l = tl_alloc(sizeof(*l));
	struct pg_pool_opts direct = *o;
	struct tl_err err;

	l->channel = tl_strdup(channel);
	l->fn = fn;
	l->arg = arg;
	l->timer = evtimer_new(co_base(), on_timer, l);
	l->caller = event_new(co_base(), -1, 0, on_call, l);
	tl_assert(l->timer != NULL && l->caller != NULL);
	direct.way = pg_way_direct(&o->way);
	if (pg_target_init(&l->target, &direct, &err) == TL_OK)
		schedule(l);
	else
		log_error("not listening on '%s': %s", channel, err.text);
	return l;
}

void pg_listener_free(struct pg_listener **l_r)
{
	struct pg_listener *l = *l_r;

	*l_r = NULL;
	if (l == NULL)
		return;
	if (!l->connecting) {
		destroy(l);
		return;
	}
	l->dead = true; /* its coroutine is the last one out */
}
