/*
 * conn.c - the connections: caps, deadlines, drain.
 *
 * evhttp 2.1 has no list of connections, no cap and only per-read timeouts,
 * so each connection is noted here when evhttp asks for its bufferevent.  At
 * that moment neither descriptor nor peer is known: an event that is made
 * active then completes the note in the same turn of the loop.
 * One timer compares deadlines and shuts sockets down; evhttp cleans up by
 * itself.  A reference on the bufferevent keeps our note valid until the
 * close callback (set at the first request) or cleared callbacks (found by
 * the sweep) say that evhttp is done with it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "base/hash.h"
#include "base/log.h"
#include "http/http_internal.h"

#define ADDRESS_BUCKETS 1024
#define LINGER_READS    64

struct http_address { /* one peer address and how many it has open */
	struct http_address *next;
	struct tally_addr addr;
	uint32_t n;
};

static struct http_address **address_bucket(struct http *h,
					    const struct tally_addr *a)
{
	static const uint8_t seed[16] = { 0 };

	/* Peers choose few of their bits: no need for a secret seed. */
	return &h->addresses[tl_siphash13(seed, a->b, sizeof(a->b)) %
			     ADDRESS_BUCKETS];
}

static struct http_address *address_take(struct http *h,
					 const struct tally_addr *a)
{
	struct http_address **bucket = address_bucket(h, a), *x;

	for (x = *bucket; x != NULL; x = x->next)
		if (memcmp(&x->addr, a, sizeof(*a)) == 0)
			break;
	if (x == NULL) {
		x = tl_alloc(sizeof(*x));
		x->addr = *a;
		x->next = *bucket;
		*bucket = x;
	}
	x->n++;
	return x;
}

static void address_release(struct http *h, struct http_address *x)
{
	struct http_address **at = address_bucket(h, &x->addr);

	if (--x->n > 0)
		return;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	tl_free(x);
}

static void drain_check(struct http *h)
{
	void (*done)(void *) = h->drained;

	if (!h->draining || h->n_conns > 0 || h->n_open > 0 || done == NULL)
		return;
	h->drained = NULL;
	done(h->drained_arg);
}

static void conn_drop(struct http_conn *c)
{
	struct http *h = c->http;

	if (c->watch != NULL)
		evbuffer_remove_cb_entry(bufferevent_get_input(c->bev),
					 c->watch);
	if (c->req != NULL)
		c->req->priv->conn = NULL;
	if (c->stream != NULL)
		http_sse_gone(c->stream);
	if (c->fd >= 0 && h->by_fd[c->fd] == c)
		h->by_fd[c->fd] = NULL;
	if (c->address != NULL)
		address_release(h, c->address);
	http_tls_free(c);
	bufferevent_decref(c->bev);
	tl_list_unlink(&c->link);
	if (h->shm != NULL && c->adopted)
		shm_count(h->shm, SHM_C_CONNECTIONS_OPEN_DELTA, UINT64_MAX);
	tl_free(c);
	if (--h->n_conns == 0) {
		event_del(h->sweep);
		if (h->draining) /* not from inside evhttp's callback */
			event_active(h->adopt, 0, 0);
	}
}

/*
 * A close with unread input makes the kernel send a reset, and that can
 * overtake the answer that says why.  Take what is there; what comes later
 * is the client's loss.
 */
void http_swallow_input(int fd)
{
	char sink[4096];

	for (int i = 0; i < LINGER_READS; i++)
		if (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) <= 0)
			return;
}

static void on_close(struct evhttp_connection *evcon, void *arg)
{
	struct http_conn *c = arg;

	(void)evcon;
	http_tls_bye(c);
	if (c->linger)
		http_swallow_input(c->fd);
	conn_drop(c);
}

static void on_first_byte(struct evbuffer *in,
			  const struct evbuffer_cb_info *info, void *arg)
{
	struct http_conn *c = arg;

	if (info->n_added == 0)
		return;
	evbuffer_remove_cb_entry(in, c->watch);
	c->watch = NULL;
	if (c->req == NULL && c->reading_since_ms == 0)
		c->reading_since_ms = tl_mono_ms();
}

/*
 * Callbacks on the input buffer cost at every line that evhttp takes out of
 * it, so one stands there only until it fires: from accept on, and again
 * when a sweep finds the connection idle.
 */
static void watch(struct http_conn *c)
{
	if (c->watch == NULL)
		c->watch = evbuffer_add_cb(bufferevent_get_input(c->bev),
					   on_first_byte, c);
}

static struct http_conn *conn_new(struct http *h, struct event_base *base)
{
	struct http_conn *c;
	struct bufferevent *bev;

	/* Without BEV_OPT_CLOSE_ON_FREE evhttp closes the socket itself, at
	 * once, whatever references there are. */
	bev = bufferevent_socket_new(base, -1, 0);
	if (bev == NULL)
		tl_out_of_memory();
	bufferevent_incref(bev);
	c = tl_alloc(sizeof(*c));
	c->http = h;
	c->bev = bev;
	c->fd = -1;
	c->last_ms = tl_mono_ms();
	tl_list_append(&h->fresh, &c->link);
	if (h->n_conns++ == 0) {
		static const struct timeval tv = { 0, HTTP_SWEEP_MS * 1000 };

		event_add(h->sweep, &tv);
	}
	event_active(h->adopt, 0, 0);
	return c;
}

struct bufferevent *http_conn_accept(struct event_base *base, void *arg)
{
	struct http *h = arg;
	struct http_conn *c = conn_new(h, base);

	bufferevent_setwatermark(c->bev, EV_READ, 0, h->read_mark_bytes);
	return c->bev;
}

struct bufferevent *http_conn_accept_tls(struct event_base *base, void *arg)
{
	struct http_conn *c = conn_new(arg, base);

	http_tls_new(c);
	return c->bev;
}

static void by_fd_set(struct http *h, int fd, struct http_conn *c)
{
	if ((uint32_t)fd >= h->n_by_fd) {
		uint32_t n = h->n_by_fd < 1024 ? 1024 : h->n_by_fd;

		while (n <= (uint32_t)fd)
			n *= 2;
		h->by_fd = tl_realloc(h->by_fd, n * sizeof(*h->by_fd));
		memset(h->by_fd + h->n_by_fd, 0,
		       (n - h->n_by_fd) * sizeof(*h->by_fd));
		h->n_by_fd = n;
	}
	if (h->by_fd[fd] != NULL) /* its socket is closed: we got its number */
		conn_drop(h->by_fd[fd]);
	h->by_fd[fd] = c;
}

static void read_peer(struct http_conn *c)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
		struct sockaddr_un un;
	} u;
	socklen_t len = sizeof(u);
	int one = 1;

	memset(&u, 0, sizeof(u));
	if (getpeername(c->fd, &u.sa, &len) < 0 ||
	    !tally_addr_from_sockaddr(&u.sa, &c->peer))
		memset(&c->peer, 0, sizeof(c->peer)); /* gone already */
	if (u.sa.sa_family == AF_INET || u.sa.sa_family == AF_INET6)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one,
				 sizeof(one));
}

static void adopt(struct http_conn *c)
{
	struct http *h = c->http;
	const struct conf *conf = h->conf;

	tl_list_unlink(&c->link);
	tl_list_append(&h->conns, &c->link);
	c->fd = bufferevent_getfd(c->bev);
	if (c->fd < 0) { /* evhttp gave it up before we came to look */
		conn_drop(c);
		return;
	}
	by_fd_set(h, c->fd, c);
	if (c->tls != NULL)
		http_tls_begin(c);
	read_peer(c);
	c->adopted = true;
	http_count(h, SHM_C_CONNECTIONS);
	http_count(h, SHM_C_CONNECTIONS_OPEN_DELTA);
	watch(c);
	/* A proxy brings the connections of many. */
	if (!tally_cidr_list_has(&conf->server.trusted_proxies, &c->peer))
		c->address = address_take(h, &c->peer);
	if (h->n_conns > conf->server.max_connections ||
	    (c->address != NULL &&
	     c->address->n > conf->server.max_connections_per_address)) {
		http_count(h, SHM_C_REFUSED_CONNECTIONS);
		(void)shutdown(c->fd, SHUT_RDWR);
	}
}

static void on_adopt(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	struct tl_list *pos, *tmp;

	(void)fd;
	(void)what;
	TL_LIST_EACH(pos, tmp, &h->fresh)
	adopt(TL_CONTAINER(pos, struct http_conn, link));
	drain_check(h);
}

static bool let_go(const struct http_conn *c)
{
	bufferevent_event_cb cb = NULL;

	bufferevent_getcb(c->bev, NULL, NULL, &cb, NULL);
	return cb == NULL;
}

static bool overdue(struct http_conn *c, uint64_t now_ms)
{
	const struct conf *conf = c->http->conf;
	uint32_t limit_ms = conf->server.request_timeout_ms;
	size_t unwritten = evbuffer_get_length(bufferevent_get_output(c->bev));

	if (http_tls_shaking(c))
		return now_ms - c->last_ms > conf->tls.handshake_timeout_ms;
	if (unwritten > 0) { /* some progress within each period */
		if (c->writing_since_ms == 0 || unwritten < c->unwritten_bytes)
			c->writing_since_ms = now_ms;
		c->unwritten_bytes = unwritten;
		return now_ms - c->writing_since_ms > limit_ms;
	}
	c->writing_since_ms = 0;
	c->unwritten_bytes = 0;
	if (c->req != NULL || c->stream != NULL)
		return false; /* its coroutine has the deadline; or none */
	if (c->reading_since_ms != 0)
		return now_ms - c->reading_since_ms > limit_ms;
	if (evbuffer_get_length(bufferevent_get_input(c->bev)) > 0)
		c->reading_since_ms = now_ms;
	return now_ms - c->last_ms > conf->server.idle_timeout_ms;
}

static void hang_up(struct http_conn *c)
{
	http_tls_bye(c);
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void sweep_one(struct http_conn *c, uint64_t now_ms)
{
	if (let_go(c)) {
		conn_drop(c);
		return;
	}
	if (overdue(c, now_ms)) {
		if (c->reading_since_ms != 0 || c->writing_since_ms != 0 ||
		    http_tls_shaking(c))
			http_count(c->http, SHM_C_TIMEOUTS);
		hang_up(c);
		return;
	}
	if (c->req == NULL && c->stream == NULL && c->reading_since_ms == 0)
		watch(c);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	uint64_t now_ms = tl_mono_ms();
	struct tl_list *pos, *tmp;

	(void)fd;
	(void)what;
	TL_LIST_EACH(pos, tmp, &h->conns)
	sweep_one(TL_CONTAINER(pos, struct http_conn, link), now_ms);
	drain_check(h);
}

struct http_conn *http_conn_of(struct http *h, struct evhttp_request *ev)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
	struct bufferevent *bev;
	struct http_conn *c;
	int fd;

	if (evcon == NULL)
		return NULL;
	bev = evhttp_connection_get_bufferevent(evcon);
	fd = http_bev_fd(bev);
	if (fd < 0 || (uint32_t)fd >= h->n_by_fd)
		return NULL;
	c = h->by_fd[fd];
	if (c == NULL || c->bev != bev)
		return NULL;
	if (c->evcon == NULL) {
		c->evcon = evcon;
		evhttp_connection_set_closecb(evcon, on_close, c);
	}
	return c;
}

/* Before evhttp hears of it: it may go on to the next request, or close. */
void http_conn_answered(struct http_conn *c, uint64_t now_ms)
{
	c->req = NULL;
	c->last_ms = now_ms;
	c->reading_since_ms =
		evbuffer_get_length(bufferevent_get_input(c->bev)) > 0 ? now_ms
								       : 0;
	http_tls_resume(c);
}

/* Idle connections; what is on its way in is answered first. */
void http_conns_drain(struct http *h)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &h->conns)
	{
		struct http_conn *c = TL_CONTAINER(pos, struct http_conn, link);
		int waiting = 0;

		if (let_go(c) || !h->drain_idle_now || c->req != NULL || c->stream != NULL ||
		    c->reading_since_ms != 0 ||
		    evbuffer_get_length(bufferevent_get_output(c->bev)) > 0)
			continue;
		if (ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0)
			continue;
		if (http_tls_has_input(c))
			continue;
		hang_up(c);
	}
	event_active(h->adopt, 0, 0);
}

enum tl_status http_conns_init(struct http *h, struct tl_err *err)
{
	tl_list_init(&h->conns);
	tl_list_init(&h->fresh);
	h->addresses = tl_alloc_array(ADDRESS_BUCKETS, sizeof(*h->addresses));
	h->adopt = event_new(h->base, -1, 0, on_adopt, h);
	h->sweep = event_new(h->base, -1, EV_PERSIST, on_sweep, h);
	if (h->adopt == NULL || h->sweep == NULL)
		return tl_err_set(err, TL_SYSTEM,
				  "cannot make the connection events");
	return TL_OK;
}

void http_conns_deinit(struct http *h)
{
	struct tl_list *heads[] = { &h->fresh, &h->conns };

	if (h->addresses == NULL)
		return;
	h->draining = false;
	for (size_t i = 0; i < 2; i++) {
		struct tl_list *pos, *tmp;

		TL_LIST_EACH(pos, tmp, heads[i])
		conn_drop(TL_CONTAINER(pos, struct http_conn, link));
	}
	if (h->adopt != NULL)
		event_free(h->adopt);
	if (h->sweep != NULL)
		event_free(h->sweep);
	tl_freep(&h->addresses);
	tl_freep(&h->by_fd);
}
