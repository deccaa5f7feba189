/*
 * pg_query.c - one statement from parameters to rows; transactions.
 */
#include "pg/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/span.h"
#include "loop/co.h"
#include "pg/pg_codec.h"
#include "pg/pg_fail.h"
#include "pg/pg_internal.h"
#include "pg/pg_trace.h"

/*
 * What stands before one sync is sent in one piece: old statements dropped,
 * BEGIN, a pooled transaction's settings, on whose behalf it is done (for
 * tasks that it makes), the prepare on first use, the statement.  It is one
 * transaction, with BEGIN or without, and a pooler gives it one session.
 */
static void send_batch(struct pg_conn *c, bool open_transaction,
		       const struct pg_known *known,
		       const struct pg_param *params)
{
	struct pg_encoded *e = &c->pool->encoded;
	bool first = PQtransactionStatus(c->pq) == PQTRANS_IDLE;
	bool drop = c->stale && first;

	pg_encode(e, known->st, params);
	pg_conn_begin_batch(c);
	if (drop && !pg_conn_send(c, PG_STEP_DEALLOCATE, "DEALLOCATE ALL"))
		return;
	if (open_transaction && !pg_conn_send(c, PG_STEP_BEGIN, "BEGIN"))
		return;
	if (c->settings != NULL && first &&
	    !pg_conn_send(c, PG_STEP_SETTINGS, c->settings))
		return;
	if (first && !pg_trace_send(c, co_local()))
		return;
	if (!c->unnamed && (drop || !pg_conn_has(c, known->number)) &&
	    !pg_conn_send_prepare(c, known))
		return;
	if (pg_conn_send_run(c, known, e))
		pg_conn_end_batch(c);
}

/* Turns the answers of a finished batch into a status. */
static enum tl_status judge(struct pg_conn *c, const char *name,
			    struct tl_err *err)
{
	enum tl_status st;

	if (c->failure == NULL && c->result != NULL)
		return TL_OK;
	if (c->failure == NULL)
		return tl_err_set(err, TL_BROKEN, "%.100s: no answer", name);
	st = pg_fail(c->failure, name, err);
	if (!c->unnamed && pg_sqlstate_is_stale(pg_sqlstate(c->failure)))
		c->stale = true;
	if (c->settings != NULL && !c->unnamed && err != NULL &&
	    pg_sqlstate_is_of_names(pg_sqlstate(c->failure)))
		(void)tl_err_wrap(err, "the pooler keeps no prepared "
				       "statements, so set database.prepared "
				       "= auto");
	if (pg_sqlstate_is_lost(pg_sqlstate(c->failure)))
		/* It would be closed under its next user. */
		pg_conn_lose(c, "the server said goodbye");
	return st;
}

/* Nobody answered what was sent: st and err say why. */
static enum tl_status unanswered(const struct pg *tx, const char *name,
				 enum tl_status st, struct tl_err *err)
{
	char why[256];

	if (tx != NULL || err == NULL)
		return st;
	/* cut, for what follows must stand at the end */
	snprintf(why, sizeof(why), "%.255s", err->text);
	return tl_err_set(err, st, "%.100s: %s; " PG_IN_DOUBT, name, why);
}

static enum tl_status run_rounds(struct pg_conn *c, struct pg *tx,
				 const struct pg_statement *st,
				 const struct pg_param *params,
				 struct tl_err *err)
{
	const struct pg_known *known = pg_pool_know(c->pool, st);
	bool open_transaction = tx != NULL && !tx->begun, was_known;
	enum tl_status status;

	for (int round = 0;; round++) {
		if (c->pq == NULL)
			return tl_err_set(err, TL_UNAVAILABLE, "%s", c->lost);
		was_known = pg_conn_has(c, known->number) && !c->stale;
		send_batch(c, open_transaction, known, params);
		status = pg_conn_wait(c, err);
		if (status != TL_OK)
			return unanswered(tx, st->name, status, err);
		if (tx != NULL)
			tx->begun = PQtransactionStatus(c->pq) != PQTRANS_IDLE;
		status = judge(c, st->name, err);
		/* It leaves in the middle of work, perhaps behind its end. */
		if (status != TL_OK && c->pq == NULL)
			return unanswered(tx, st->name, status, err);
		/* A prepare of just now that fails so would fail again. */
		if (status == TL_OK || tx != NULL || !was_known || !c->stale ||
		    c->pq == NULL || round > 0)
			return status;
	}
}

/* On a connection that the caller holds.  The answer is c->result. */
static enum tl_status run(struct pg_conn *c, struct pg *tx,
			  const struct pg_statement *st,
			  const struct pg_param *params, struct tl_err *err)
{
	const struct trace *t = co_local();
	int64_t start_us;
	enum tl_status status;

	if (t == NULL || !t->sampled || !span_recording)
		return run_rounds(c, tx, st, params, err);
	start_us = tl_wall_us();
	status = run_rounds(c, tx, st, params, err);
	pg_trace_record(t, st->name, start_us, status);
	return status;
}

/* What a take_fn makes of the result while the connection still holds it. */
struct answer {
	struct tl_arena *arena;
	void *row;      /* pg_one */
	void *rows;     /* pg_many */
	uint32_t n;     /* pg_many */
	uint64_t count; /* pg_exec */
};
typedef enum tl_status (*take_fn)(const PGresult *res,
				  const struct pg_statement *st,
				  struct answer *a, struct tl_err *err);

static enum tl_status call_in_transaction(struct pg *tx,
					  const struct pg_statement *st,
					  const struct pg_param *params,
					  take_fn take, struct answer *a,
					  struct tl_err *err)
{
	enum tl_status status;

	if (tx->failed != TL_OK)
		return tl_err_set(err, tx->failed,
				  "%.100s: the transaction failed before",
				  st->name);
	status = run(tx->conn, tx, st, params, err);
	if (status != TL_OK) {
		tx->failed = status;
		return status;
	}
	return take(tx->conn->result, st, a, err);
}

static enum tl_status call(struct pg *pg, const struct pg_statement *st,
			   const struct pg_param *params, take_fn take,
			   struct answer *a, struct tl_err *err)
{
	struct pg_conn *c;
	enum tl_status status;

	if (pg->conn != NULL)
		return call_in_transaction(pg, st, params, take, a, err);
	status = pg_pool_acquire(pg->pool, &c, err);
	if (status != TL_OK)
		return status;
	status = run(c, NULL, st, params, err);
	if (status == TL_OK)
		status = take(c->result, st, a, err);
	pg_pool_release(c);
	return status;
}

static enum tl_status take_one(const PGresult *res,
			       const struct pg_statement *st, struct answer *a,
			       struct tl_err *err)
{
	enum tl_status status;
	void *row;

	status = pg_decode_check(res, st, err);
	if (status != TL_OK)
		return status;
	if (PQntuples(res) == 0)
		return tl_err_set(err, TL_NOT_FOUND, "%.100s: no row",
				  st->name);
	if (PQntuples(res) > 1)
		return tl_err_set(err, TL_BROKEN, "%.100s: %d rows, want one",
				  st->name, PQntuples(res));
	row = tl_alloc(st->row_bytes); /* the caller's only on success */
	status = pg_decode_row(res, 0, st, a->arena, row, err);
	if (status == TL_OK)
		memcpy(a->row, row, st->row_bytes);
	tl_free(row);
	return status;
}

static enum tl_status take_many(const PGresult *res,
				const struct pg_statement *st, struct answer *a,
				struct tl_err *err)
{
	int n = PQntuples(res);
	enum tl_status status;
	char *rows;

	status = pg_decode_check(res, st, err);
	if (status != TL_OK || n == 0)
		return status;
	rows = tl_arena_alloc(a->arena, (size_t)n * st->row_bytes);
	for (int i = 0; i < n; i++) {
		status = pg_decode_row(res, i, st, a->arena,
				       rows + (size_t)i * st->row_bytes, err);
		if (status != TL_OK)
			return status;
	}
	a->rows = rows;
	a->n = (uint32_t)n;
	return TL_OK;
}

static enum tl_status take_count(const PGresult *res,
				 const struct pg_statement *st,
				 struct answer *a, struct tl_err *err)
{
	(void)st;
	(void)err;
	/* libpq takes a non-const result here, and only reads it. */
	a->count = strtoull(PQcmdTuples((PGresult *)(uintptr_t)res), NULL, 10);
	return TL_OK;
}

enum tl_status pg_one(struct pg *pg, const struct pg_statement *st,
		      const struct pg_param *params, struct tl_arena *arena,
		      void *row_r, struct tl_err *err)
{
	struct answer a = { .arena = arena, .row = row_r };

	return call(pg, st, params, take_one, &a, err);
}

enum tl_status pg_many(struct pg *pg, const struct pg_statement *st,
		       const struct pg_param *params, struct tl_arena *arena,
		       void **rows_r, uint32_t *n_r, struct tl_err *err)
{
	struct answer a = { .arena = arena };
	enum tl_status status = call(pg, st, params, take_many, &a, err);

	if (status == TL_OK) {
		*rows_r = a.rows;
		*n_r = a.n;
	}
	return status;
}

enum tl_status pg_exec(struct pg *pg, const struct pg_statement *st,
		       const struct pg_param *params, uint64_t *affected_r,
		       struct tl_err *err)
{
	struct answer a = { .count = 0 };
	enum tl_status status = call(pg, st, params, take_count, &a, err);

	if (status == TL_OK && affected_r != NULL)
		*affected_r = a.count;
	return status;
}

/* ---- transactions ---- */
/*
 * Under a shield: once COMMIT is on its way, coming back early only means not
 * to know.  A COMMIT of a failed transaction answers success, with the tag
 * ROLLBACK.
 */
static enum tl_status commit(struct pg *tx, struct tl_err *err)
{
	struct pg_conn *c = tx->conn;
	enum tl_status st;

	if (c->pq == NULL) /* before COMMIT: nothing happened */
		return tl_err_set(err, TL_UNAVAILABLE, "%s", c->lost);
	c->no_cancel = true;
	co_shield_begin(PG_COMMIT_LIMIT_MS);
	pg_conn_send_alone(c, "COMMIT");
	st = pg_conn_wait(c, err);
	co_shield_end();
	if (st != TL_OK)
		return tl_err_set(err, TL_UNAVAILABLE,
				  "no answer to COMMIT; " PG_IN_DOUBT);
	c->no_cancel = false;
	st = judge(c, "COMMIT", err);
	if (st == TL_OK && strcmp(PQcmdStatus(c->result), "COMMIT") != 0)
		st = tl_err_set(err, TL_BROKEN,
				"the transaction was rolled back");
	return st;
}

/* What is still in flight, or does not end, is rolled back by the pool. */
static void roll_back(struct pg *tx)
{
	struct pg_conn *c = tx->conn;

	if (c->pq == NULL || c->in_flight ||
	    PQtransactionStatus(c->pq) == PQTRANS_IDLE)
		return;
	co_shield_begin(PG_ROLLBACK_LIMIT_MS);
	pg_conn_send_alone(c, "ROLLBACK");
	if (pg_conn_wait(c, NULL) == TL_OK)
		(void)judge(c, "ROLLBACK", NULL);
	co_shield_end();
}

enum tl_status pg_transaction(struct pg *pg, pg_tx_fn fn, void *arg,
			      struct tl_err *err)
{
	struct pg tx = { .pool = pg->pool };
	enum tl_status st;

	tl_assert(pg->conn == NULL); /* they do not nest */
	st = pg_pool_acquire(pg->pool, &tx.conn, err);
	if (st != TL_OK)
		return st;
	st = fn(&tx, arg, err);
	if (st == TL_OK && tx.failed != TL_OK)
		st = tl_err_set(err, tx.failed,
				"a statement of the transaction failed");
	if (st != TL_OK)
		roll_back(&tx);
	else if (tx.begun)
		st = commit(&tx, err);
	pg_pool_release(tx.conn);
	return st;
}
