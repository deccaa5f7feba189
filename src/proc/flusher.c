/*
 * flusher.c - the process that carries usage to PostgreSQL.
 */
#include "config.h"

#include <event2/event.h>

#include "base/log.h"
#include "flush/flush.h"
#include "loop/co.h"
#include "proc/proc.h"

#define COROUTINES_MAX 64

struct flusher {
	struct flush *flush;
	bool draining;
};

static void ready(void *arg)
{
	struct proc *p = arg;
	struct flusher *f = p->state;

	proc_ready(p);
	/* What was changed in the database by hand is seen at a reload. */
	if (p->refresh && f->flush != NULL)
		flush_refresh_all(f->flush);
}

static void failed(void *arg, const char *why)
{
	struct proc *p = arg;

	proc_child_exit(p, proc_fail(p, why));
}

static void drained(void *arg, bool clean)
{
	if (!clean)
		log_warn("usage stays in the segment: neither the database "
			 "nor the spool takes it now");
	proc_child_exit(arg, 0);
}

static void on_stop(struct proc *p, bool graceful)
{
	struct flusher *f = p->state;

	(void)graceful; /* workers are gone, there is nothing to wait for */
	if (f->draining)
		return;
	f->draining = true;
	flush_drain(f->flush, drained, p);
}

int flusher_main(struct proc *p)
{
	struct flusher f = { NULL, false };
	struct flush_opts fo = {
		.conf = p->conf,
		.shm = p->shm,
		.conninfo = p->conninfo,
		.wake_eventfd = p->flusher_eventfd,
		.commit_eventfds = p->commit_eventfds,
		.n_commit_eventfds = p->n_commit_eventfds,
		.ready = ready,
		.failed = failed,
		.arg = p,
	};
	struct tl_err err;
	int code;

	p->state = &f;
	p->on_stop = on_stop;
	if (proc_child_init(p, &err) != TL_OK ||
	    co_init(p->base, COROUTINES_MAX, &err) != TL_OK)
		return proc_fail(p, err.text);
	fo.base = p->base;
	if (flush_new(&fo, &f.flush, &err) != TL_OK)
		return proc_fail(p, err.text);
	code = proc_child_run(p);
	if (proc_coroutines_end(p->base, "the flusher stops")) {
		flush_free(&f.flush);
		co_deinit();
		proc_child_deinit(p);
	}
	return code;
}
