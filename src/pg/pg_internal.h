/*
 * pg_internal.h - pool, connection and transaction, as the files of this room
 * share them.
 *
 * Who may touch a connection: its owner (a coroutine) while HELD, the loop's
 * callbacks in the other states.  A coroutine that stops waiting hands the
 * connection back with the batch still in flight; DRAINING then means: cancel,
 * wait for both answers, roll back what is open, and only then be idle again.
 */
#ifndef TALLY_PG_PG_INTERNAL_H
#define TALLY_PG_PG_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/list.h"
#include "base/status.h"
#include "pg/pg.h"
#include "pg/pg_codec.h"
#include "pg/pg_target.h"

#define PG_CANCEL_LIMIT_MS   2000
#define PG_ROLLBACK_LIMIT_MS 2000
#define PG_COMMIT_LIMIT_MS   5000
#define PG_UNHEALTHY_WAIT_MS 250
#define PG_BATCH_STEPS       6
#define PG_STATEMENT_NAME    80

struct co;
struct co_wait;
struct event;

enum pg_step {
	PG_STEP_DEALLOCATE,
	PG_STEP_BEGIN,
	PG_STEP_SETTINGS,
	PG_STEP_TRACE,
	PG_STEP_PREPARE,
	PG_STEP_RUN
};
enum pg_conn_state {
	PG_CONN_IDLE,     /* in pool->idle */
	PG_CONN_HELD,     /* by owner; in pool->busy */
	PG_CONN_DRAINING, /* orphaned; in pool->busy */
	PG_CONN_CONTROL,  /* pool->control; carries cancels */
};

/*
 * Invariants:
 *  - pq is NULL once the connection is lost; then only a HELD one exists, and
 *    its owner frees it by releasing it.
 *  - wait is set only while the owner is suspended on this connection.
 *  - while cancel_open the connection is neither idle nor held: a cancel that
 *    is on its way must not hit the next user's statement.
 */
struct pg_conn {
	struct tl_list link;
	struct pg_pool *pool;
	PGconn *pq;
	int backend_pid; /* 0: a pooler's, not to be canceled by number */
	uint64_t since_mono_ms;
	struct event *readable, *writable;
	enum pg_conn_state state;
	const struct co *owner;
	struct co_wait *wait;
	char lost[160]; /* why */

	uint8_t *prepared; /* bit per number in pool->statements */
	uint32_t prepared_bytes;
	bool stale; /* drop the statements before the next use */
	bool unnamed;   /* a name may be another session's a moment later */
	char *settings; /* SQL for each transaction; NULL: the session's */

	bool in_flight; /* until the answer to the sync */
	uint8_t steps[PG_BATCH_STEPS];
	uint32_t n_steps, at_step;
	uint32_t preparing; /* number of the statement in PG_STEP_PREPARE */
	PGresult *failure;  /* the first error of the batch */
	PGresult *result;   /* of PG_STEP_RUN */

	bool no_cancel; /* COMMIT is in flight */
	bool rolled_back;
	bool cancel_open, cancel_sent;
	struct tl_list cancel_link;
	struct event *kill_timer;
};

struct pg { /* the pool's own, or a transaction */
	struct pg_pool *pool;
	struct pg_conn *conn;  /* NULL: the pool's own */
	bool begun;            /* BEGIN is behind us */
	enum tl_status failed; /* of the first statement that failed */
};

struct pg_known { /* stays where it is while the pool lives */
	const struct pg_statement *st;
	uint32_t number;
	char name[PG_STATEMENT_NAME];
};

struct pg_pool {
	struct pg handle;
	struct pg_target target;
	uint32_t size, queue_max;
	struct tl_list idle, busy, waiters, cancels;
	uint32_t n_conns; /* connected, the control connection not counted */
	uint32_t n_waiters;
	struct pg_conn *control;
	struct event *connect_timer;
	bool connecting;     /* its coroutine lives */
	bool failed;         /* the last attempt to connect */
	bool served;         /* there was a connection, once */
	bool pooled;         /* the last one led through a pooler */
	enum pg_prepared prepared;
	uint32_t backoff_ms; /* of the next attempt */
	char trouble[256];

	struct pg_known **known; /* open addressing; a power of two of slots */
	uint32_t known_n, known_cap;
	struct pg_encoded encoded;
};

struct pg_waiter { /* on the waiting stack */
	struct tl_list link;
	struct co_wait *wait;
	struct pg_conn *conn;
};

/* ---- pg_conn.c ---- */
struct pg_conn *pg_conn_new(struct pg_pool *pool, PGconn *pq,
			    const struct pg_session *session,
			    struct tl_err *err);
void pg_conn_free(struct pg_conn *c); /* unlinks */
/* Closes it; frees it too unless somebody holds it. */
void pg_conn_lose(struct pg_conn *c, const char *why);
void pg_conn_begin_batch(struct pg_conn *c);
/* False: the connection is lost and, unless it is held, c is gone. */
bool pg_conn_send(struct pg_conn *c, enum pg_step step, const char *sql);
bool pg_conn_send_prepare(struct pg_conn *c, const struct pg_known *known);
bool pg_conn_send_run(struct pg_conn *c, const struct pg_known *known,
		      const struct pg_encoded *params);
void pg_conn_end_batch(struct pg_conn *c);
/* A batch of one; c may be gone afterwards, unless it is held. */
void pg_conn_send_alone(struct pg_conn *c, const char *sql);
/*
 * Suspends: yes.  TL_OK: the answers are in failure and result.
 * TL_UNAVAILABLE: lost.  TL_DEADLINE, TL_CANCELED: still in flight.
 */
enum tl_status pg_conn_wait(struct pg_conn *c,
			    struct tl_err *err) TL_MUST_CHECK;
bool pg_conn_has(const struct pg_conn *c, uint32_t number);
void pg_conn_forget_statements(struct pg_conn *c);

/* ---- pg_pool.c ---- */
enum tl_status pg_pool_acquire(struct pg_pool *pool, struct pg_conn **conn_r,
			       struct tl_err *err) TL_MUST_CHECK;
void pg_pool_release(struct pg_conn *c); /* in any condition */
void pg_pool_put(struct pg_conn *c);     /* clean: to a waiter or idle */
void pg_pool_lost(struct pg_conn *c);    /* told by pg_conn_lose */
const struct pg_known *pg_pool_know(struct pg_pool *pool,
				    const struct pg_statement *st);

/* ---- pg_cancel.c ---- */
void pg_cancel_drain(struct pg_conn *c);   /* HELD to DRAINING */
void pg_cancel_drained(struct pg_conn *c); /* its own answer is there */
void pg_cancel_next(struct pg_pool *pool); /* control is free or new */
void pg_cancel_answered(struct pg_pool *pool);
void pg_cancel_lost_control(struct pg_pool *pool);

/* A step of 0, 50, 100 … 2000 ms; jitter is added where it is used. */
static inline uint32_t pg_backoff_next(uint32_t ms)
{
	return ms == 0 ? 50 : ms >= 1000 ? 2000 : ms * 2;
}
uint32_t pg_jitter(uint32_t ms); /* three to five quarters of it */

#endif
