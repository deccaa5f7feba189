/*
 * pg_pool.c - who gets a connection, and how there are enough of them.
 *
 * One coroutine connects at a time (a SCRAM exchange is 3 ms of the loop);
 * it is started by a timer, so losing a connection inside a coroutine needs
 * no spawn from there.
 */
#include <stdio.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_internal.h"

#define SHORT_LIFE_MS 1000

uint32_t pg_jitter(uint32_t ms)
{
	uint32_t dice;

	tl_random(&dice, sizeof(dice));
	return ms - ms / 4 + (ms < 2 ? 0 : dice % (ms / 2));
}

/* ---- connecting ---- */
static bool wants_more(const struct pg_pool *pool)
{
	/* Through a pooler there is no number to cancel by. */
	return pool->target.n_hosts > 0 &&
	       (pool->n_conns < pool->size ||
		(pool->control == NULL && !pool->pooled));
}

static void schedule_connect(struct pg_pool *pool)
{
	uint32_t ms = pg_jitter(pool->backoff_ms);
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (pool->connecting || !wants_more(pool) ||
	    evtimer_pending(pool->connect_timer, NULL))
		return;
	tl_assert(evtimer_add(pool->connect_timer, &tv) == 0);
}

static void admit(struct pg_pool *pool, struct pg_conn *c)
{
	if (pool->failed)
		log_info("postgresql answers again");
	pool->failed = false;
	pool->served = true;
	pool->backoff_ms = 0;
	pool->trouble[0] = '\0';
	pool->pooled = c->backend_pid == 0;
	/* Requests first; then the means to cancel them; then the rest. */
	if (pool->n_conns > 0 && pool->control == NULL && !pool->pooled) {
		c->state = PG_CONN_CONTROL;
		pool->control = c;
		pg_cancel_next(pool);
		return;
	}
	pool->n_conns++;
	pg_pool_put(c);
}

static void connect_failed(struct pg_pool *pool, const struct tl_err *err)
{
	bool first = !pool->failed && err->status != TL_CANCELED;

	pool->failed = true;
	pool->backoff_ms = pg_backoff_next(pool->backoff_ms);
	if (pool->n_conns == 0)
		snprintf(pool->trouble, sizeof(pool->trouble), "%.255s",
			 err->text);
	/* The decider speaks once for each outage, not for each attempt. */
	if (first)
		log_warn("no connection to postgresql: %s; trying on",
			 err->text);
}

static void connector(void *arg)
{
	struct pg_pool *pool = arg;
	struct pg_conn *c = NULL;
	struct pg_session session;
	PGconn *pq = NULL;
	struct tl_err err;
	enum tl_status st;

	st = pg_connect(&pool->target, &pq, &session, &err);
	if (st == TL_OK) {
		c = pg_conn_new(pool, pq, &session, &err);
		if (c == NULL)
			PQfinish(pq);
	}
	pool->connecting = false;
	if (c != NULL)
		admit(pool, c);
	else
		connect_failed(pool, &err);
	schedule_connect(pool);
}

static void on_connect_timer(evutil_socket_t fd, short events, void *arg)
{
	struct pg_pool *pool = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	if (pool->connecting || !wants_more(pool))
		return;
	pool->connecting = true;
	if (co_spawn(connector, pool, CO_NO_DEADLINE, &err) == TL_OK)
		return;
	pool->connecting = false;
	pool->backoff_ms = pg_backoff_next(pool->backoff_ms);
	schedule_connect(pool);
}

struct pg_pool *pg_pool_new(const struct pg_pool_opts *o)
{
	struct pg_pool *pool = tl_alloc(sizeof(*pool));
	struct tl_err err;

	tl_assert(co_base() != NULL && o->size > 0);
	pool->handle.pool = pool;
	pool->size = o->size;
	pool->queue_max = o->queue_max;
	pool->prepared = o->way.prepared;
	tl_list_init(&pool->idle);
	tl_list_init(&pool->busy);
	tl_list_init(&pool->waiters);
	tl_list_init(&pool->cancels);
	pg_encoded_init(&pool->encoded);
	pool->connect_timer = evtimer_new(co_base(), on_connect_timer, pool);
	tl_assert(pool->connect_timer != NULL);
	snprintf(pool->trouble, sizeof(pool->trouble), "not connected yet");
	if (pg_target_init(&pool->target, o, &err) != TL_OK) {
		log_error("no connection to postgresql: %s", err.text);
		pool->failed = true; /* for good: there is nothing to try */
		snprintf(pool->trouble, sizeof(pool->trouble), "%.255s",
			 err.text);
	}
	schedule_connect(pool);
	return pool;
}

static void forget_known(struct pg_pool *pool);

void pg_pool_free(struct pg_pool **pool_r)
{
	struct pg_pool *pool = *pool_r;
	struct tl_list *pos, *tmp;

	*pool_r = NULL;
	if (pool == NULL)
		return;
	tl_assert(!pool->connecting && pool->n_waiters == 0);
	event_free(pool->connect_timer);
	TL_LIST_EACH(pos, tmp, &pool->idle)
	pg_conn_free(TL_CONTAINER(pos, struct pg_conn, link));
	TL_LIST_EACH(pos, tmp, &pool->busy)
	pg_conn_free(TL_CONTAINER(pos, struct pg_conn, link));
	if (pool->control != NULL)
		pg_conn_free(pool->control);
	pg_encoded_deinit(&pool->encoded);
	pg_target_deinit(&pool->target);
	forget_known(pool);
	tl_free(pool);
}

bool pg_pool_healthy(const struct pg_pool *pool)
{
	return pool->trouble[0] == '\0';
}

const char *pg_pool_trouble(const struct pg_pool *pool)
{
	return pool->trouble;
}

struct pg *pg_pool_pg(struct pg_pool *pool)
{
	return &pool->handle;
}

bool pg_pooled(const struct pg *pg)
{
	return pg->pool->pooled;
}

/* ---- lending ---- */
void pg_pool_put(struct pg_conn *c)
{
	struct pg_pool *pool = c->pool;
	struct pg_waiter *w;

	tl_list_unlink(&c->link);
	if (tl_list_empty(&pool->waiters)) {
		c->state = PG_CONN_IDLE;
		c->owner = NULL;
		tl_list_prepend(&pool->idle, &c->link); /* warmest first */
		return;
	}
	w = TL_CONTAINER(pool->waiters.next, struct pg_waiter, link);
	tl_list_unlink(&w->link);
	w->conn = c;
	c->state = PG_CONN_HELD;
	c->owner = w->wait->co;
	tl_list_append(&pool->busy, &c->link);
	co_wake(w->wait);
}

/* How pools deadlock: everybody holds one and waits for a second. */
static void assert_holds_none(const struct pg_pool *pool)
{
	struct tl_list *pos;

	for (pos = pool->busy.next; pos != &pool->busy; pos = pos->next)
		tl_assert(TL_CONTAINER(pos, struct pg_conn, link)->owner !=
			  co_self());
}

static enum tl_status wait_in_queue(struct pg_pool *pool, struct pg_waiter *w,
				    struct co_wait *wait, struct tl_err *err)
{
	/* While the database is away an answer now is better than one late;
	 * also when all is lost and nobody has tried to connect since. */
	bool away = pool->n_conns == 0 && (pool->failed || pool->served);
	enum tl_status st;

	tl_list_append(&pool->waiters, &w->link);
	pool->n_waiters++;
	st = away ? co_wait_until(wait, tl_mono_ms() + PG_UNHEALTHY_WAIT_MS,
				  err)
		  : co_wait(wait, err);
	tl_list_unlink(&w->link);
	pool->n_waiters--;
	if (st == TL_OK && w->conn == NULL)
		st = tl_err_set(err, TL_UNAVAILABLE, "%s", pool->trouble);
	return st;
}

enum tl_status pg_pool_acquire(struct pg_pool *pool, struct pg_conn **conn_r,
			       struct tl_err *err)
{
	struct pg_waiter w = { .conn = NULL };
	struct co_wait wait;
	enum tl_status st;

	co_wait_init(&wait);
	assert_holds_none(pool);
	if (!tl_list_empty(&pool->idle)) {
		struct pg_conn *c =
			TL_CONTAINER(pool->idle.next, struct pg_conn, link);

		tl_list_unlink(&c->link);
		tl_list_append(&pool->busy, &c->link);
		c->state = PG_CONN_HELD;
		c->owner = co_self();
		*conn_r = c;
		return TL_OK;
	}
	if (pool->n_waiters >= pool->queue_max)
		return tl_err_set(err, TL_FULL,
				  "%u requests wait for a connection already",
				  pool->n_waiters);
	w.wait = &wait;
	st = wait_in_queue(pool, &w, &wait, err);
	if (st != TL_OK) {
		if (w.conn != NULL)
			pg_pool_release(w.conn);
		return st;
	}
	*conn_r = w.conn;
	return TL_OK;
}

void pg_pool_release(struct pg_conn *c)
{
	if (c->pq == NULL)
		pg_conn_free(c);
	else if (c->in_flight || PQtransactionStatus(c->pq) != PQTRANS_IDLE)
		pg_cancel_drain(c);
	else
		pg_pool_put(c);
}

void pg_pool_lost(struct pg_conn *c)
{
	struct pg_pool *pool = c->pool;

	if (c->state == PG_CONN_CONTROL) {
		pool->control = NULL;
		pg_cancel_lost_control(pool);
	} else {
		pool->n_conns--;
	}
	/* A server that takes us in and throws us out again is no quick one. */
	if (tl_mono_ms() - c->since_mono_ms < SHORT_LIFE_MS)
		pool->backoff_ms = pg_backoff_next(pool->backoff_ms);
	if (pool->n_conns == 0)
		snprintf(pool->trouble, sizeof(pool->trouble), "%s", c->lost);
	schedule_connect(pool);
}

/* ---- statements ---- */
static uint32_t slot_of(const struct pg_pool *pool,
			const struct pg_statement *st)
{
	uint32_t mask = pool->known_cap - 1;
	uint32_t i = (uint32_t)((uintptr_t)st >> 4) * 2654435761U;

	while (pool->known[i & mask] != NULL && pool->known[i & mask]->st != st)
		i++;
	return i & mask;
}

static void grow_known(struct pg_pool *pool)
{
	struct pg_known **old = pool->known;
	uint32_t old_cap = pool->known_cap;

	pool->known_cap = old_cap == 0 ? 64 : old_cap * 2;
	pool->known = tl_alloc_array(pool->known_cap, sizeof(*old));
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i] != NULL)
			pool->known[slot_of(pool, old[i]->st)] = old[i];
	tl_free(old);
}

/* Callers keep the answer while they wait, and others add statements then. */
const struct pg_known *pg_pool_know(struct pg_pool *pool,
				    const struct pg_statement *st)
{
	struct pg_known *k;
	uint32_t slot;

	if (2 * (pool->known_n + 1) > pool->known_cap)
		grow_known(pool);
	slot = slot_of(pool, st);
	k = pool->known[slot];
	if (k == NULL) {
		k = tl_alloc(sizeof(*k));
		k->st = st;
		k->number = pool->known_n++;
		snprintf(k->name, sizeof(k->name), "q%u_%.60s", k->number,
			 st->name);
		pool->known[slot] = k;
	}
	return k;
}

static void forget_known(struct pg_pool *pool)
{
	for (uint32_t i = 0; i < pool->known_cap; i++)
		tl_free(pool->known[i]);
	tl_free(pool->known);
}
