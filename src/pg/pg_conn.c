/*
 * pg_conn.c - one connection in pipeline mode: batches out, answers in.
 *
 * A batch is a few commands and one sync.  libpq answers each command with
 * results and a NULL, and the sync with a result of its own.
 */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_fail.h"
#include "pg/pg_internal.h"

static void on_socket(evutil_socket_t fd, short events, void *arg);

struct pg_conn *pg_conn_new(struct pg_pool *pool, PGconn *pq,
			    const struct pg_session *session,
			    struct tl_err *err)
{
	struct pg_conn *c;

	if (!PQenterPipelineMode(pq)) {
		(void)pg_words(err, TL_UNAVAILABLE, "pipeline mode",
			       PQerrorMessage(pq));
		return NULL;
	}
	c = tl_alloc(sizeof(*c));
	tl_list_init(&c->link);
	tl_list_init(&c->cancel_link);
	c->pool = pool;
	c->pq = pq;
	c->backend_pid = session->backend_pid;
	if (c->backend_pid == 0)
		c->settings = pg_transaction_settings(&pool->target, session);
	c->unnamed =
		pool->prepared == PG_PREPARED_NEVER ||
		(pool->prepared == PG_PREPARED_AUTO && c->backend_pid == 0);
	c->since_mono_ms = tl_mono_ms();
	c->readable = event_new(co_base(), PQsocket(pq), EV_READ | EV_PERSIST,
				on_socket, c);
	c->writable =
		event_new(co_base(), PQsocket(pq), EV_WRITE, on_socket, c);
	tl_assert(c->readable != NULL && c->writable != NULL);
	tl_assert(event_add(c->readable, NULL) == 0);
	return c;
}

static void drop_answers(struct pg_conn *c)
{
	PQclear(c->failure);
	PQclear(c->result);
	c->failure = c->result = NULL;
}

static void close_socket(struct pg_conn *c)
{
	if (c->pq == NULL)
		return;
	event_free(c->readable);
	event_free(c->writable);
	if (c->kill_timer != NULL)
		event_free(c->kill_timer);
	c->readable = c->writable = c->kill_timer = NULL;
	PQfinish(c->pq);
	c->pq = NULL;
	c->in_flight = false;
	tl_list_unlink(&c->cancel_link);
	c->cancel_open = false;
}

void pg_conn_free(struct pg_conn *c)
{
	tl_list_unlink(&c->link);
	close_socket(c);
	drop_answers(c);
	tl_free(c->prepared);
	tl_free(c->settings);
	tl_free(c);
}

void pg_conn_lose(struct pg_conn *c, const char *why)
{
	struct tl_err err;

	if (c->pq == NULL)
		return;
	(void)pg_words(&err, TL_UNAVAILABLE, "connection lost", why);
	snprintf(c->lost, sizeof(c->lost), "%.*s", (int)sizeof(c->lost) - 1,
		 err.text);
	close_socket(c);
	pg_pool_lost(c);
	if (c->state != PG_CONN_HELD)
		pg_conn_free(c);
	else if (c->wait != NULL)
		co_wake(c->wait);
}

/* ---- out ---- */
void pg_conn_begin_batch(struct pg_conn *c)
{
	tl_assert(!c->in_flight);
	drop_answers(c);
	c->n_steps = c->at_step = 0;
}

static bool sent(struct pg_conn *c, enum pg_step step, int ok)
{
	if (!ok) {
		pg_conn_lose(c, PQerrorMessage(c->pq));
		return false;
	}
	tl_assert(c->n_steps < PG_BATCH_STEPS);
	c->steps[c->n_steps++] = (uint8_t)step;
	return true;
}

bool pg_conn_send(struct pg_conn *c, enum pg_step step, const char *sql)
{
	return sent(
		c, step,
		PQsendQueryParams(c->pq, sql, 0, NULL, NULL, NULL, NULL, 1));
}

bool pg_conn_send_prepare(struct pg_conn *c, const struct pg_known *known)
{
	c->preparing = known->number;
	return sent(c, PG_STEP_PREPARE,
		    PQsendPrepare(c->pq, known->name, known->st->sql,
				  (int)known->st->n_params,
				  known->st->param_oids));
}

bool pg_conn_send_run(struct pg_conn *c, const struct pg_known *known,
		      const struct pg_encoded *params)
{
	const struct pg_statement *st = known->st;

	if (c->unnamed)
		return sent(c, PG_STEP_RUN,
			    PQsendQueryParams(c->pq, st->sql, (int)st->n_params,
					      st->param_oids, params->values,
					      params->lengths, params->formats,
					      1));
	return sent(c, PG_STEP_RUN,
		    PQsendQueryPrepared(c->pq, known->name, (int)st->n_params,
					params->values, params->lengths,
					params->formats, 1));
}

void pg_conn_send_alone(struct pg_conn *c, const char *sql)
{
	pg_conn_begin_batch(c);
	if (pg_conn_send(c, PG_STEP_RUN, sql))
		pg_conn_end_batch(c);
}

static bool flush(struct pg_conn *c)
{
	int left = PQflush(c->pq);

	if (left < 0) {
		pg_conn_lose(c, PQerrorMessage(c->pq));
		return false;
	}
	if (left > 0)
		tl_assert(event_add(c->writable, NULL) == 0);
	return true;
}

void pg_conn_end_batch(struct pg_conn *c)
{
	if (!PQpipelineSync(c->pq)) {
		pg_conn_lose(c, PQerrorMessage(c->pq));
		return;
	}
	c->in_flight = true;
	(void)flush(c);
}

enum tl_status pg_conn_wait(struct pg_conn *c, struct tl_err *err)
{
	struct co_wait w;
	enum tl_status st = TL_OK;

	tl_assert(c->state == PG_CONN_HELD && c->owner == co_self());
	if (c->in_flight) {
		co_wait_init(&w);
		c->wait = &w;
		st = co_wait(&w, err);
		c->wait = NULL;
	}
	if (c->pq == NULL)
		return tl_err_set(err, TL_UNAVAILABLE, "%s", c->lost);
	/* Stopped while it waits is what st says; an answer counts more. */
	return c->in_flight ? st : TL_OK;
}

/* ---- in ---- */
bool pg_conn_has(const struct pg_conn *c, uint32_t number)
{
	return number / 8 < c->prepared_bytes &&
	       (c->prepared[number / 8] >> (number % 8) & 1) != 0;
}

static void note_prepared(struct pg_conn *c)
{
	uint32_t need = c->preparing / 8 + 1;

	if (need > c->prepared_bytes) {
		c->prepared = tl_realloc(c->prepared, need + 16);
		memset(c->prepared + c->prepared_bytes, 0,
		       need + 16 - c->prepared_bytes);
		c->prepared_bytes = need + 16;
	}
	c->prepared[c->preparing / 8] |= (uint8_t)(1 << c->preparing % 8);
}

void pg_conn_forget_statements(struct pg_conn *c)
{
	if (c->prepared != NULL)
		memset(c->prepared, 0, c->prepared_bytes);
}

static void take_result(struct pg_conn *c, PGresult *res)
{
	enum pg_step step =
		c->at_step < c->n_steps ? c->steps[c->at_step] : PG_STEP_RUN;

	switch (PQresultStatus(res)) {
	case PGRES_PIPELINE_SYNC:
		c->in_flight = false;
		break;
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		if (step == PG_STEP_PREPARE)
			note_prepared(c);
		if (step == PG_STEP_DEALLOCATE) {
			pg_conn_forget_statements(c);
			c->stale = false;
		}
		if (step == PG_STEP_RUN && c->result == NULL) {
			c->result = res;
			return;
		}
		break;
	case PGRES_PIPELINE_ABORTED:
		break;
	default:
		if (c->failure == NULL) {
			c->failure = res;
			return;
		}
	}
	PQclear(res);
}

static void batch_done(struct pg_conn *c)
{
	switch (c->state) {
	case PG_CONN_HELD:
		if (c->wait != NULL)
			co_wake(c->wait);
		break;
	case PG_CONN_DRAINING:
		pg_cancel_drained(c);
		break;
	case PG_CONN_CONTROL:
		pg_cancel_answered(c->pool);
		break;
	case PG_CONN_IDLE:
		break;
	}
}

/* Takes what has arrived; c may be gone afterwards. */
static void collect(struct pg_conn *c)
{
	PGnotify *note;

	while ((note = PQnotifies(c->pq)) != NULL)
		PQfreemem(note); /* nobody listens on these */
	while (c->in_flight && !PQisBusy(c->pq)) {
		PGresult *res = PQgetResult(c->pq);

		if (res != NULL)
			take_result(c, res);
		else if (c->at_step++ > PG_BATCH_STEPS) {
			pg_conn_lose(c, "answers do not match the batch");
			return;
		}
		if (PQstatus(c->pq) == CONNECTION_BAD) {
			pg_conn_lose(c, PQerrorMessage(c->pq));
			return;
		}
		if (!c->in_flight) {
			batch_done(c);
			return;
		}
	}
}

static void on_socket(evutil_socket_t fd, short events, void *arg)
{
	struct pg_conn *c = arg;

	(void)fd;
	if ((events & EV_READ) != 0 && !PQconsumeInput(c->pq)) {
		pg_conn_lose(c, PQerrorMessage(c->pq));
		return;
	}
	if ((events & EV_WRITE) != 0 && !flush(c))
		return;
	collect(c);
}
