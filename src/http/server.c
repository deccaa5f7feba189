/*
 * server.c - makes, drains and frees a worker's HTTP server.
 */
#include <errno.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "base/fd.h"
#include "base/log.h"
#include "http/http_internal.h"
#include "http/router.h"
#include "tls/tls.h"

#define RELISTEN_MS 200

static void on_relisten(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;

	(void)fd;
	(void)what;
	if (!h->accepting)
		return;
	for (uint32_t i = 0; i < h->n_listeners; i++)
		(void)evconnlistener_enable(h->listeners[i]);
}

/*
 * Out of descriptors, mostly.  The socket stays readable, so listening on
 * would spin; look again soon.  The log hears of it once.
 */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval tv = { 0, RELISTEN_MS * 1000 };
	int e = errno;
	struct http *h = http_of_process(); /* arg is evhttp's since the bind */

	(void)l;
	(void)arg;
	if (!h->out_of_fds)
		log_error("cannot accept connections: %s; trying again every "
			  "%d ms, raise the limit of open files",
			  strerror(e), RELISTEN_MS);
	h->out_of_fds = true;
	for (uint32_t i = 0; i < h->n_listeners; i++)
		(void)evconnlistener_disable(h->listeners[i]);
	event_add(h->relisten, &tv);
}

static enum tl_status listen_on(struct http *h, struct evhttp *ev, int fd,
				struct tl_err *err)
{
	struct evconnlistener *l;
	enum tl_status st;

	st = tl_fd_nonblock(fd, err);
	if (st != TL_OK)
		return st;
	/* No LEV_OPT_CLOSE_ON_FREE: the socket is the master's. */
	l = evconnlistener_new(h->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0,
			       fd);
	if (l == NULL)
		return tl_err_set(err, TL_SYSTEM, "cannot listen on fd %d", fd);
	evconnlistener_set_error_cb(l, on_accept_error);
	if (evhttp_bind_listener(ev, l) == NULL) {
		evconnlistener_free(l);
		return tl_err_set(err, TL_SYSTEM, "cannot bind fd %d", fd);
	}
	h->listeners[h->n_listeners++] = l; /* evhttp frees it */
	return TL_OK;
}

static uint32_t largest_body(const struct route *const *tables)
{
	uint32_t max = HTTP_BODY_DEFAULT_BYTES;

	for (uint32_t t = 0; tables[t] != NULL; t++)
		for (const struct route *r = tables[t]; r->path != NULL; r++)
			if (r->body_max_bytes > max)
				max = r->body_max_bytes;
	return max;
}

static enum tl_status
make_one(struct http *h, uint32_t body_max,
	 struct bufferevent *(*accept)(struct event_base *, void *),
	 struct evhttp **ev_r, struct tl_err *err)
{
	struct evhttp *ev = evhttp_new(h->base);

	if (ev == NULL)
		return tl_err_set(err, TL_SYSTEM, "cannot make the server");
	evhttp_set_max_headers_size(ev, GUARD_HEADER_BYTES_MAX);
	evhttp_set_max_body_size(ev, body_max);
	evhttp_set_allowed_methods(ev, 0xffff);
	evhttp_set_bevcb(ev, accept, h);
	evhttp_set_gencb(ev, http_on_request, h);
	*ev_r = ev;
	return TL_OK;
}

/* Two of them, because evhttp does not say on which listener it accepts. */
static enum tl_status make_evhttp(struct http *h, const struct http_opts *o,
				  struct tl_err *err)
{
	uint32_t body_max = largest_body(o->tables);
	enum tl_status st;

	st = make_one(h, body_max, http_conn_accept, &h->ev, err);
	if (st == TL_OK && h->tls != NULL)
		st = make_one(h, body_max, http_conn_accept_tls, &h->ev_tls,
			      err);
	if (st != TL_OK)
		return st;
	/* evhttp waits for the whole body in the buffer: a smaller mark hangs
	 * the request. */
	h->read_mark_bytes = GUARD_HEADER_BYTES_MAX + (size_t)body_max + 4096;
	http_send_error_install(h);
	h->relisten = evtimer_new(h->base, on_relisten, h);
	if (h->relisten == NULL)
		return tl_err_set(err, TL_SYSTEM, "cannot make a timer");
	return TL_OK;
}

static void read_rules(struct http *h)
{
	const struct conf *c = h->conf;

	h->decide = (struct decide){
		.shm = h->shm,
		.worker = h->worker,
		.rules = {
			.limits_enabled = c->limits.enabled,
			.quota_enabled = c->quota.enabled,
			.metering_enabled = c->metering.enabled,
			.limits_from_plan = c->limits.from_plan,
			.outage_open = c->metering.outage_policy == CONF_OPEN,
			.key_count = c->limits.key_count,
			.address_count = c->limits.address_count,
			.window_ms = c->limits.window_ms,
		},
	};
}

static enum tl_status start(struct http *h, const struct http_opts *o,
			    struct tl_err *err)
{
	enum tl_status st;

	h->tables = o->tables;
	tl_buf_init(&h->description.bytes);
	st = router_new(o->tables, &h->router, err);
	if (st == TL_OK)
		st = http_conns_init(h, err);
	if (st == TL_OK)
		st = http_strict_init(h, err);
	if (st == TL_OK)
		st = http_tls_init(h, o->tls_seed, err);
	if (st == TL_OK)
		st = make_evhttp(h, o, err);
	h->listeners = tl_alloc_array(o->n_listen_fds + 1,
				      sizeof(struct evconnlistener *));
	h->accepting = true;
	for (uint32_t i = 0; i < o->n_listen_fds && st == TL_OK; i++) {
		bool tls = o->listen_names != NULL &&
			   tls_is_address(o->listen_names[i]);

		st = listen_on(h, tls ? h->ev_tls : h->ev, o->listen_fds[i],
			       err);
	}
	return st;
}

enum tl_status http_new(const struct http_opts *o, struct http **http_r,
			struct tl_err *err)
{
	struct http *h = tl_alloc(sizeof(*h));
	enum tl_status st;

	h->base = o->base;
	h->conf = o->conf;
	h->shm = o->shm;
	h->pool = o->pool;
	h->worker = o->worker;
	h->commit_eventfd = o->commit_eventfd;
	h->flusher_eventfd = o->flusher_eventfd;
	h->sample_ppm = conf_ratio_ppm(o->conf->tracing.sample_ratio);
	read_rules(h);
	http_requests_init(h);
	http_reply_init(h);
	http_loads_init(h);
	http_profiles_init(h);
	http_accesslog_init(h);
	st = start(h, o, err);
	if (st != TL_OK) {
		http_free(&h);
		return st;
	}
	*http_r = h;
	return TL_OK;
}

void http_stop_accepting(struct http *h)
{
	h->accepting = false;
	for (uint32_t i = 0; i < h->n_listeners; i++)
		(void)evconnlistener_disable(h->listeners[i]);
}

void http_drain(struct http *h, bool idle_now, void (*done)(void *), void *arg)
{
	http_stop_accepting(h);
	h->draining = true;
	h->drain_idle_now = h->drain_idle_now || idle_now;
	h->drained = done;
	h->drained_arg = arg;
	http_sse_stop(h);
	http_conns_drain(h);
}

uint32_t http_requests_open(const struct http *h)
{
	return h->n_open;
}

uint32_t http_connections_open(const struct http *h)
{
	return h->n_conns;
}

void http_free(struct http **hp)
{
	struct http *h = *hp;

	if (h == NULL)
		return;
	http_send_error_install(NULL);
	h->draining = false;
	if (h->ev != NULL)
		evhttp_free(h->ev); /* listeners and connections with it */
	if (h->ev_tls != NULL)
		evhttp_free(h->ev_tls);
	http_conns_deinit(h);
	http_sse_deinit(h);
	http_strict_deinit(h);
	http_requests_deinit(h);
	http_accesslog_deinit(h);
	http_loads_deinit(h);
	http_profiles_deinit(h);
	router_free(&h->router);
	if (h->relisten != NULL)
		event_free(h->relisten);
	tl_buf_deinit(&h->head);
	tl_buf_deinit(&h->description.bytes);
	http_static_deinit(h);
	http_tls_deinit(h);
	tl_free(h->listeners);
	tl_freep(hp);
}
