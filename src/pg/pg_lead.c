/*
 * pg_lead.c - see pg_lead.h.
 *
 * One coroutine, the keeper, owns the connection.  What others want of it
 * waits in a queue.
 */
#include "pg/pg_lead.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "pg/pg_fail.h"
#include "pg/pg_internal.h"

#define ASK_MS  5000
#define TRY_MS  2000
#define PING_MS 5000

enum want { WANT_LOCK, WANT_UNLOCK };
/* The keeper frees it, unless the one who waits is there to do so. */
struct request {
	struct tl_list link;
	enum want want;
	int64_t lock;
	struct co_wait *wait; /* NULL: nobody waits for it, or any more */
	bool done;
	enum tl_status st;
};

struct pg_lead {
	struct pg_target target;
	struct pg_lead_opts o;
	char *channel;
	PGconn *pq;
	struct event *readable, *start;
	struct co_wait *wait; /* of the keeper, while it waits */
	struct tl_list requests;
	uint64_t try_mono_ms, ping_mono_ms;
	uint32_t backoff_ms;
	bool leads, failed, resigning, ended;
	struct co_wait *resign; /* who waits for the end */
};

/* ---- words to the server ---- */

/* The only column of the only row: 't' or another. */
static enum tl_status ask(struct pg_lead *l, const char *sql, bool *yes_r,
			  struct tl_err *err)
{
	PGresult *res = NULL;
	enum tl_status st;

	st = pg_ask(l->pq, sql, tl_mono_ms() + ASK_MS, &res, err);
	if (st != TL_OK)
		return st;
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		*yes_r = PQntuples(res) == 1 && PQnfields(res) == 1 &&
			 PQgetvalue(res, 0, 0)[0] == 't';
	else if (PQresultStatus(res) != PGRES_COMMAND_OK)
		st = pg_fail(res, "ask as the leader", err);
	PQclear(res);
	return st;
}

static enum tl_status ask_lock(struct pg_lead *l, const char *function,
			       int64_t lock, bool *yes_r, struct tl_err *err)
{
	char sql[96];

	snprintf(sql, sizeof(sql), "SELECT %s(%" PRId64 ")", function, lock);
	return ask(l, sql, yes_r, err);
}

static enum tl_status listen_there(struct pg_lead *l, struct tl_err *err)
{
	char *name = PQescapeIdentifier(l->pq, l->channel, strlen(l->channel));
	enum tl_status st;
	char *sql;
	bool yes;

	tl_assert(name != NULL);
	sql = tl_asprintf("LISTEN %s", name);
	st = ask(l, sql, &yes, err);
	PQfreemem(name);
	tl_free(sql);
	return st;
}

/* ---- the queue ---- */

static void wake(struct pg_lead *l)
{
	if (l->wait != NULL)
		co_wake(l->wait);
}

static struct request *take_request(struct pg_lead *l)
{
	struct tl_list *first = l->requests.next;

	tl_list_unlink(first);
	return TL_CONTAINER(first, struct request, link);
}

/* True: somebody has the answer; r is his. */
static bool answer(struct request *r, enum tl_status st)
{
	if (r->wait == NULL) {
		tl_free(r);
		return false;
	}
	r->st = st;
	r->done = true;
	co_wake(r->wait);
	return true;
}

static void refuse_all(struct pg_lead *l)
{
	while (!tl_list_empty(&l->requests))
		(void)answer(take_request(l), TL_UNAVAILABLE);
}

static enum tl_status serve(struct pg_lead *l, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	while (st == TL_OK && !tl_list_empty(&l->requests)) {
		struct request *r = take_request(l);
		const int64_t lock = r->lock;
		const bool unlock = r->want == WANT_UNLOCK;
		bool yes = false, left;

		st = ask_lock(l,
			      unlock ? "pg_advisory_unlock"
				     : "pg_try_advisory_lock",
			      lock, &yes, err);
		left = !answer(r, st != TL_OK ? TL_UNAVAILABLE
				  : yes       ? TL_OK
					      : TL_BUSY);
		/* Who left while we asked does not give it back. */
		if (left && !unlock && st == TL_OK && yes)
			st = ask_lock(l, "pg_advisory_unlock", lock, &yes, err);
	}
	return st;
}

/* ---- the keeper ---- */

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	wake(arg);
}

static void set_leads(struct pg_lead *l, bool leads)
{
	if (l->leads == leads)
		return;
	l->leads = leads;
	if (!leads)
		refuse_all(l);
	l->o.changed(l->o.arg, leads);
}

static bool take_notes(struct pg_lead *l)
{
	bool told = false;
	PGnotify *note;

	while ((note = PQnotifies(l->pq)) != NULL) {
		PQfreemem(note);
		told = true;
	}
	return told;
}

/* Until the socket, a request or the time. */
static enum tl_status pause_until(struct pg_lead *l, uint64_t due_mono_ms,
				  struct tl_err *err)
{
	struct co_wait w;
	enum tl_status st;

	if (!tl_list_empty(&l->requests) || l->resigning)
		return TL_OK;
	co_wait_init(&w);
	l->wait = &w;
	event_add(l->readable, NULL);
	st = co_wait_until(&w, due_mono_ms, err);
	event_del(l->readable);
	l->wait = NULL;
	if (st == TL_OK && !PQconsumeInput(l->pq))
		st = pg_words(err, TL_UNAVAILABLE, "listen",
			      PQerrorMessage(l->pq));
	return st;
}

static enum tl_status turn(struct pg_lead *l, struct tl_err *err)
{
	uint64_t now = tl_mono_ms();
	enum tl_status st = TL_OK;
	bool yes = false, told = take_notes(l);

	if (!l->leads && (told || now >= l->try_mono_ms)) {
		st = ask_lock(l, "pg_try_advisory_lock", l->o.lock, &yes, err);
		l->try_mono_ms = tl_mono_ms() + TRY_MS;
		l->ping_mono_ms = tl_mono_ms() + PING_MS;
		if (st == TL_OK && yes)
			set_leads(l, true);
	} else if (l->leads && now >= l->ping_mono_ms) {
		st = ask(l, "SELECT true", &yes, err);
		l->ping_mono_ms = tl_mono_ms() + PING_MS;
	}
	if (told && st == TL_OK)
		l->o.told(l->o.arg);
	if (st == TL_OK)
		st = serve(l, err);
	told = take_notes(l); /* that came with the answers */
	if (told && st == TL_OK)
		l->o.told(l->o.arg);
	if (st == TL_OK)
		st = pause_until(l, l->leads ? l->ping_mono_ms : l->try_mono_ms,
				 err);
	return st;
}

static enum tl_status session(struct pg_lead *l, struct tl_err *err)
{
	enum tl_status st;
	bool yes;

	st = pg_connect_direct(&l->target, &l->pq, err);
	if (st != TL_OK)
		return st;
	l->readable = event_new(co_base(), PQsocket(l->pq),
				EV_READ | EV_PERSIST, on_readable, l);
	tl_assert(l->readable != NULL);
	l->try_mono_ms = 0;
	st = listen_there(l, err);
	if (st != TL_OK)
		return st;
	l->failed = false;
	l->backoff_ms = 0;
	l->o.told(l->o.arg);
	while (st == TL_OK && !l->resigning)
		st = turn(l, err);
	if (st == TL_OK && l->leads) {
		char *sql = tl_asprintf("SELECT pg_advisory_unlock_all()::text "
					"|| pg_notify('%s', '')::text",
					l->channel);

		st = ask(l, sql, &yes, err);
		tl_free(sql);
	}
	return st;
}

static void hang_up(struct pg_lead *l)
{
	if (l->readable != NULL)
		event_free(l->readable);
	l->readable = NULL;
	PQfinish(l->pq);
	l->pq = NULL;
	set_leads(l, false);
	refuse_all(l);
}

static void keeper(void *arg)
{
	struct pg_lead *l = arg;
	enum tl_status st = TL_OK;
	struct tl_err err;

	while (st != TL_CANCELED && !l->resigning) {
		st = session(l, &err);
		hang_up(l);
		if (st == TL_CANCELED || l->resigning)
			break;
		if (!l->failed && st == TL_DENIED)
			log_error("nobody leads through '%s': %s", l->channel,
				  err.text);
		else if (!l->failed)
			log_warn("no way to lead through '%s': %s; trying on",
				 l->channel, err.text);
		l->failed = true;
		l->backoff_ms = pg_backoff_next(l->backoff_ms);
		st = co_sleep_ms(pg_jitter(l->backoff_ms), &err);
	}
	l->ended = true;
	if (l->resign != NULL)
		co_wake(l->resign);
}

static void on_start(evutil_socket_t fd, short events, void *arg)
{
	struct pg_lead *l = arg;
	struct tl_err err;

	(void)fd;
	(void)events;
	l->ended = false;
	if (co_spawn(keeper, l, CO_NO_DEADLINE, &err) == TL_OK)
		return;
	log_error("nobody leads through '%s': %s", l->channel, err.text);
	l->ended = true;
}

/* ---- for others ---- */

struct pg_lead *pg_lead_new(const struct pg_pool_opts *o,
			    const struct pg_lead_opts *lo)
{
	struct pg_lead *l = tl_alloc(sizeof(*l));
	struct pg_pool_opts direct = *o;
	struct timeval now = { 0, 0 };
	struct tl_err err;

	direct.way = pg_way_direct(&o->way);
	l->o = *lo;
	l->channel = tl_strdup(lo->channel);
	l->ended = true;
	tl_list_init(&l->requests);
	l->start = evtimer_new(co_base(), on_start, l);
	tl_assert(l->start != NULL);
	if (pg_target_init(&l->target, &direct, &err) == TL_OK)
		evtimer_add(l->start, &now);
	else
		log_error("nobody leads through '%s': %s", l->channel,
			  err.text);
	return l;
}

bool pg_lead_leads(const struct pg_lead *l)
{
	return l->leads;
}

static struct request *request(struct pg_lead *l, enum want want, int64_t lock)
{
	struct request *r = tl_alloc(sizeof(*r));

	r->want = want;
	r->lock = lock;
	tl_list_append(&l->requests, &r->link);
	wake(l);
	return r;
}

enum tl_status pg_lead_lock(struct pg_lead *l, int64_t lock, struct tl_err *err)
{
	struct request *r;
	struct co_wait w;
	enum tl_status st, got;

	if (!l->leads)
		return tl_err_set(err, TL_UNAVAILABLE, "we do not lead");
	co_wait_init(&w);
	r = request(l, WANT_LOCK, lock);
	r->wait = &w;
	st = co_wait(&w, err);
	if (!r->done) { /* the keeper finds it without us */
		r->wait = NULL;
		return st;
	}
	got = r->st;
	tl_free(r);
	if (st != TL_OK) {
		if (got == TL_OK)
			pg_lead_unlock(l, lock);
		return st;
	}
	if (got == TL_BUSY)
		return tl_err_set(err, TL_BUSY, "its lock is held elsewhere");
	if (got != TL_OK)
		return tl_err_set(err, got, "the lead was lost");
	return TL_OK;
}

void pg_lead_unlock(struct pg_lead *l, int64_t lock)
{
	if (l->leads)
		(void)request(l, WANT_UNLOCK, lock);
}

void pg_lead_resign(struct pg_lead *l)
{
	struct co_wait w;
	struct tl_err err;

	l->resigning = true;
	if (l->ended)
		return;
	co_wait_init(&w);
	l->resign = &w;
	wake(l);
	if (!l->ended &&
	    co_wait_until(&w, tl_mono_ms() + ASK_MS, &err) != TL_OK)
		log_debug("not waiting for the end of the lead: %s", err.text);
	l->resign = NULL;
}

void pg_lead_free(struct pg_lead **l_r)
{
	struct pg_lead *l = *l_r;

	*l_r = NULL;
	if (l == NULL)
		return;
	tl_assert(l->ended);
	event_free(l->start);
	pg_target_deinit(&l->target);
	tl_free(l->channel);
	tl_free(l);
}
