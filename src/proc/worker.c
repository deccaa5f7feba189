/*
 * worker.c - the process that serves HTTP.
 */
#include "config.h"

#include <string.h>

#include <event2/event.h>

#include "app/app.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "http/http.h"
#include "loop/co.h"
#include "net/net.h"
#include "net/otlp.h"
#include "pg/pg.h"
#include "proc/proc.h"

#define COROUTINES_MAX 4096
#define QUEUE_MAX      1024
#define SPANS_END_MS   500 /* for the last of them to be sent */

struct worker {
	struct pg_pool *pool;
	struct http *http;
};

static void drained(void *arg)
{
	proc_child_exit(arg, 0);
}

static void on_stop(struct proc *p, bool graceful)
{
	struct worker *w = p->state;

	http_stop_accepting(w->http);
	http_drain(w->http, !graceful, drained, p);
}

static enum tl_status worker_open(struct proc *p, struct worker *w,
				  struct tl_err *err)
{
	char name[32];
	struct pg_pool_opts po = {
		.way = pg_way(p->conf, p->conninfo),
		.application_name = name,
		.size = p->conf->database.pool_size,
		.queue_max = QUEUE_MAX,
		.statement_timeout_ms = p->conf->server.request_timeout_ms,
	};
	struct http_opts ho = {
		.base = p->base,
		.conf = p->conf,
		.shm = p->shm,
		.listen_fds = p->listen_fds,
		.n_listen_fds = p->n_listen_fds,
		.listen_names = p->conf->server.listen.items,
		.tls_seed = &p->tls_seed,
		.tables = APP_TABLES,
		.worker = p->number,
		.commit_eventfd = p->commit_eventfd,
		.flusher_eventfd = p->flusher_eventfd,
	};
	enum tl_status st = co_init(p->base, COROUTINES_MAX, err);

	if (st == TL_OK)
		st = net_init(p->base, p->conf, err);
	if (st == TL_OK)
		otlp_open(p->base, p->conf, p->kind->name, p->number);
	if (st == TL_OK)
		st = bus_open(&APP_BUS, p->shm, p->task_eventfd,
			      p->conf->runner.selftest, err);
	if (st != TL_OK)
		return st;
	snprintf(name, sizeof(name), "tallyd worker/%u", p->number);
	w->pool = pg_pool_new(&po);
	ho.pool = w->pool;
	st = http_new(&ho, &w->http, err);
	explicit_bzero(&p->tls_seed, sizeof(p->tls_seed));
	return st;
}

/* Where a coroutine does not end, the process goes without cleaning up. */
static void worker_close(struct proc *p, struct worker *w)
{
	otlp_flush(SPANS_END_MS);
	if (!proc_coroutines_end(p->base, "the worker stops"))
		return;
	http_free(&w->http);
	pg_pool_free(&w->pool);
	otlp_close();
	net_deinit();
	co_deinit();
	proc_child_deinit(p);
}

int worker_main(struct proc *p)
{
	struct worker w = { NULL, NULL };
	struct tl_err err;
	int code;

	p->state = &w;
	p->on_stop = on_stop;
	if (proc_child_init(p, &err) != TL_OK ||
	    worker_open(p, &w, &err) != TL_OK)
		return proc_fail(p, err.text);
	proc_ready(p);
	code = proc_child_run(p);
	worker_close(p, &w);
	return code;
}
