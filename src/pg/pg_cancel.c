/*
 * pg_cancel.c - stopping statements nobody waits for any more.
 *
 * PQcancel blocks (3 ms each, without bound to a dead host), PQfinish alone
 * leaves the backend working, and asking through the pool fails just when it
 * is needed: all its connections are busy.  So one reserved connection asks
 * pg_cancel_backend, one at a time; what does not end in time is closed, and
 * client_connection_check_interval ends its backend.
 */
#include <stdio.h>

#include <event2/event.h>

#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_internal.h"

static void on_kill(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	pg_conn_lose(arg, "a canceled statement did not end");
}

static void set_kill_timer(struct pg_conn *c)
{
	const struct timeval tv = { .tv_sec = PG_CANCEL_LIMIT_MS / 1000 };

	c->kill_timer = evtimer_new(co_base(), on_kill, c);
	tl_assert(c->kill_timer != NULL &&
		  evtimer_add(c->kill_timer, &tv) == 0);
}

void pg_cancel_drain(struct pg_conn *c)
{
	c->state = PG_CONN_DRAINING;
	c->owner = NULL;
	c->rolled_back = false;
	set_kill_timer(c);
	if (!c->in_flight) {
		pg_cancel_drained(c);
		return;
	}
	if (c->no_cancel || c->backend_pid == 0)
		return;
	c->cancel_open = true;
	c->cancel_sent = false;
	tl_list_append(&c->pool->cancels, &c->cancel_link);
	pg_cancel_next(c->pool);
}

static void back_to_pool(struct pg_conn *c)
{
	event_free(c->kill_timer);
	c->kill_timer = NULL;
	c->no_cancel = false;
	pg_pool_put(c);
}

void pg_cancel_drained(struct pg_conn *c)
{
	if (c->cancel_open && !c->cancel_sent) { /* not needed any more */
		tl_list_unlink(&c->cancel_link);
		c->cancel_open = false;
	}
	if (c->in_flight || c->cancel_open)
		return;
	if (PQtransactionStatus(c->pq) == PQTRANS_IDLE) {
		back_to_pool(c);
		return;
	}
	if (c->rolled_back) {
		pg_conn_lose(c, "a transaction could not be rolled back");
		return;
	}
	c->rolled_back = true;
	pg_conn_send_alone(c, "ROLLBACK");
}

void pg_cancel_next(struct pg_pool *pool)
{
	struct pg_conn *control = pool->control, *c;
	char sql[64];

	if (control == NULL || control->in_flight ||
	    tl_list_empty(&pool->cancels))
		return;
	c = TL_CONTAINER(pool->cancels.next, struct pg_conn, cancel_link);
	if (c->cancel_sent)
		return;
	c->cancel_sent = true;
	snprintf(sql, sizeof(sql), "SELECT pg_cancel_backend(%d)",
		 c->backend_pid);
	pg_conn_send_alone(control, sql);
}

/* The one that was sent stands first, if its connection still lives. */
static struct pg_conn *take_sent(struct pg_pool *pool)
{
	struct pg_conn *c;

	if (tl_list_empty(&pool->cancels))
		return NULL;
	c = TL_CONTAINER(pool->cancels.next, struct pg_conn, cancel_link);
	if (!c->cancel_sent)
		return NULL;
	tl_list_unlink(&c->cancel_link);
	c->cancel_open = false;
	return c;
}

void pg_cancel_answered(struct pg_pool *pool)
{
	struct pg_conn *c = take_sent(pool);

	if (c != NULL && !c->in_flight)
		pg_cancel_drained(c);
	pg_cancel_next(pool);
}

/* Nobody knows whether the cancel will still strike: close its target. */
void pg_cancel_lost_control(struct pg_pool *pool)
{
	struct pg_conn *c = take_sent(pool);

	if (c != NULL)
		pg_conn_lose(c, "its cancel was lost");
}
