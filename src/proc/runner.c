/*
 * runner.c - the process that does the work which outlives a request.
 */
#include "config.h"

#include "bus/runner.h"

#include <event2/event.h>

#include "app/app.h"
#include "bus/bus.h"
#include "loop/co.h"
#include "net/net.h"
#include "net/otlp.h"
#include "proc/proc.h"

#define SPANS_END_MS    500 /* for the last of them to be sent */
#define COROUTINES_MORE 64  /* beside the tasks: claims, connections, names */

struct runner_process {
	struct runner *runner;
};

static void drained(void *arg)
{
	proc_child_exit(arg, 0);
}

/* Part of the time that a stop may take is for the tasks, the rest for
 * writing down how they ended. */
static void on_stop(struct proc *p, bool graceful)
{
	struct runner_process *w = p->state;

	runner_drain(w->runner,
		     graceful ? p->conf->server.drain_timeout_ms / 4 * 3
			      : p->conf->server.stop_timeout_ms / 2,
		     drained, p);
}

int runner_main(struct proc *p)
{
	struct runner_process w = { .runner = NULL };
	struct runner_opts ro = {
		.conf = p->conf,
		.shm = p->shm,
		.conninfo = p->conninfo,
		.number = p->number,
		.task_eventfd = p->task_eventfd,
	};
	struct tl_err err;
	int code;

	p->state = &w;
	p->on_stop = on_stop;
	if (proc_child_init(p, &err) != TL_OK ||
	    co_init(p->base, p->conf->runner.tasks + COROUTINES_MORE, &err) !=
		    TL_OK ||
	    net_init(p->base, p->conf, &err) != TL_OK ||
	    bus_open(&APP_BUS, p->shm, p->task_eventfd,
		     p->conf->runner.selftest, &err) != TL_OK)
		return proc_fail(p, err.text);
	otlp_open(p->base, p->conf, p->kind->name, p->number);
	ro.base = p->base;
	w.runner = runner_new(&ro);
	proc_ready(p); /* the database may come later */
	code = proc_child_run(p);
	otlp_flush(SPANS_END_MS);
	if (proc_coroutines_end(p->base, "the runner stops")) {
		runner_free(&w.runner);
		otlp_close();
		net_deinit();
		co_deinit();
		proc_child_deinit(p);
	}
	return code;
}
