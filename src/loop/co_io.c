/*
 * co_io.c - waiting for a descriptor.
 */
#include "loop/co.h"

#include <event2/event.h>
#include <event2/event_struct.h>

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	co_wake(arg);
}

enum tl_status co_wait_fd_until(int fd, short events, uint64_t due_mono_ms,
				bool *ready_r, struct tl_err *err)
{
	struct co_wait w;
	struct event ev;
	enum tl_status st;

	co_wait_init(&w);
	if (event_assign(&ev, co_base(), fd, events, on_ready, &w) < 0 ||
	    event_add(&ev, NULL) < 0)
		return tl_err_set(err, TL_SYSTEM, "can not watch fd %d", fd);
	st = due_mono_ms == CO_NO_DEADLINE
		     ? co_wait(&w, err)
		     : co_wait_until(&w, due_mono_ms, err);
	event_del(&ev); /* before the stack it lives on unwinds */
	if (st == TL_OK)
		*ready_r = w.woken;
	return st;
}

enum tl_status co_wait_fd(int fd, short events, struct tl_err *err)
{
	bool ready;

	return co_wait_fd_until(fd, events, CO_NO_DEADLINE, &ready, err);
}
