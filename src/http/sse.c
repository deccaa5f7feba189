/*
 * sse.c - see sse.h.
 *
 * To evhttp a stream is a request that is not answered yet: reading stays
 * off, nothing is queued, no callback comes.  Bytes go straight to the socket,
 * and an epoll of our own, which the loop watches as one descriptor, tells of
 * hang-ups and of room in sockets that were full.  (An EV_CLOSED event would
 * not do: libevent 2.1 reports a reset as readable and writable, and an event
 * that waits for neither spins.)  When a stream has ended evhttp gets its
 * answer after all, and closes.
 *
 * Ended streams are collected: they are freed where nobody walks over them.
 */
#include "http/sse.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "base/log.h"
#include "http/http_internal.h"

#define HEARTBEATS_MS  500
#define READY_MAX      64
#define SHOWN_MAX      256   /* bytes of a header in the log */
#define SOCKET_BYTES   32768 /* the kernel doubles it */
#define UNACKED_MAX_MS 60000 /* a client that is gone without a word */

struct sse_hub {
	struct tl_list link;
	const struct sse_kind *kind;
	void *state;
	uint32_t n;
};
struct sse {
	struct tl_list link; /* open, or ended */
	struct sse_hub *hub;
	struct http_conn *conn;
	struct evhttp_request *ev;
	void *item;
	struct tl_buf waiting; /* of it `sent` bytes are sent */
	size_t sent;
	uint64_t start_mono_ns, last_mono_ms, bytes;
	char *path, *referer, *agent; /* for its line in the log */
	struct tally_addr client;
	unsigned minor;
	char trace_id[TRACE_ID_TEXT];
	struct tl_uuid user_id, key_id;
	bool have_key, ended;
	uint8_t request_id_len;
	enum sse_why why;
	char request_id[64];
};
struct http_sse {
	struct http *http;
	int epoll_fd;
	struct event *ready, *timer;
	struct tl_list open, ended, hubs;
	uint32_t n;
	uint64_t heartbeats_ms; /* last look at who needs one */
};

const char *sse_why_name(enum sse_why why)
{
	static const char *const names[SSE_WHYS] = {
		[SSE_CLIENT] = "client",       [SSE_LIMIT] = "limit",
		[SSE_STOPPING] = "stopping",   [SSE_REVOKED] = "revoked",
		[SSE_SUSPENDED] = "suspended", [SSE_EXPIRED] = "expired",
	};

	return names[why];
}

static struct http_sse *sse_of(const struct sse *s)
{
	return s->conn->http->sse;
}

/* ---- hubs ---- */

static struct sse_hub *hub_find(const struct http *h,
				const struct sse_kind *kind)
{
	struct tl_list *pos, *tmp;

	if (h->sse == NULL)
		return NULL;
	TL_LIST_EACH(pos, tmp, &h->sse->hubs)
	{
		struct sse_hub *hub = TL_CONTAINER(pos, struct sse_hub, link);

		if (hub->kind == kind)
			return hub;
	}
	return NULL;
}

static struct sse_hub *hub_take(struct req *req, const struct sse_kind *kind)
{
	struct sse_hub *hub = hub_find(req->http, kind);

	if (hub == NULL) {
		hub = tl_alloc(sizeof(*hub));
		hub->kind = kind;
		hub->state = kind->hub_new(req);
		tl_list_append(&req->http->sse->hubs, &hub->link);
	}
	hub->n++;
	return hub;
}

static void hub_release(struct sse_hub *hub)
{
	if (--hub->n > 0)
		return;
	tl_list_unlink(&hub->link);
	hub->kind->hub_free(hub->state);
	tl_free(hub);
}

void *sse_hub(struct req *req, const struct sse_kind *kind)
{
	struct sse_hub *hub = hub_find(req->http, kind);

	return hub != NULL ? hub->state : NULL;
}

void *sse_hub_of(const struct sse *s)
{
	return s->hub->state;
}

/* ---- sending ---- */

/* How much the socket took; SIZE_MAX: the client is gone. */
static size_t put_now(const struct sse *s, const char *p, size_t len)
{
	ssize_t n;

	if (s->conn->tls != NULL)
		return http_tls_write(s->conn, (struct tl_str){ p, len },
				      (struct tl_str){ NULL, 0 });
	n = send(s->conn->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		return (size_t)n;
	return errno == EAGAIN || errno == EINTR ? 0 : SIZE_MAX;
}

static bool is_waiting(const struct sse *s)
{
	return s->waiting.len > s->sent;
}

static void keep(struct sse *s, const char *p, size_t len)
{
	if (s->sent > 0) {
		memmove(s->waiting.ptr, s->waiting.ptr + s->sent,
			s->waiting.len - s->sent);
		s->waiting.len -= s->sent;
		s->sent = 0;
	}
	tl_buf_add(&s->waiting, p, len);
}

static void put(struct sse *s, struct tl_str bytes)
{
	size_t n = is_waiting(s) ? 0 : put_now(s, bytes.ptr, bytes.len);

	if (n == SIZE_MAX) {
		sse_end(s, SSE_CLIENT);
		return;
	}
	s->bytes += n;
	s->last_mono_ms = tl_mono_ms();
	if (n == bytes.len)
		return;
	if (s->waiting.len - s->sent + bytes.len - n > SSE_WAITING_MAX)
		sse_end(s, SSE_LIMIT);
	else
		keep(s, bytes.ptr + n, bytes.len - n);
}

/* There is room again. */
static void put_waiting(struct sse *s)
{
	size_t n;

	if (!is_waiting(s))
		return;
	n = put_now(s, s->waiting.ptr + s->sent, s->waiting.len - s->sent);
	if (n == SIZE_MAX) {
		sse_end(s, SSE_CLIENT);
		return;
	}
	s->bytes += n;
	s->sent += n;
	if (!is_waiting(s)) { /* most never need it again */
		tl_buf_deinit(&s->waiting);
		s->sent = 0;
	}
}

void sse_send(struct sse *s, struct tl_str events, uint32_t n)
{
	if (s->ended || events.len == 0)
		return;
	put(s, events);
	if (s->conn->http->shm != NULL)
		shm_count(s->conn->http->shm, SHM_C_STREAM_EVENTS, n);
}

void sse_end(struct sse *s, enum sse_why why)
{
	if (s->ended)
		return;
	s->ended = true;
	s->why = why;
	tl_list_unlink(&s->link);
	tl_list_append(&sse_of(s)->ended, &s->link);
}

/* ---- the end ---- */

static void log_end(struct http *h, const struct sse *s)
{
	if (h->shm != NULL) {
		http_count(h, (enum shm_counter)(SHM_C_STREAMS_CLIENT +
						 (int)s->why));
		shm_count(h->shm, SHM_C_STREAMS_OPEN_DELTA, UINT64_MAX);
	}
	if (h->accesslog == NULL)
		return;
	http_accesslog_put(
		h, &(struct http_log_line){
			   .request_id = { s->request_id, s->request_id_len },
			   .method = HTTP_GET,
			   .path = tl_str_c(s->path),
			   .status = 200,
			   .start_mono_ns = s->start_mono_ns,
			   .end_mono_ns = tl_mono_ns(),
			   .user_id = s->have_key ? &s->user_id : NULL,
			   .key_id = &s->key_id,
			   .tls_client = http_tls_client(s->conn),
			   .bytes = s->bytes,
			   .closed = sse_why_name(s->why),
			   .client = s->client,
			   .minor = s->minor,
			   .trace_id = s->trace_id,
			   .target = tl_str_c(s->path),
			   .referer = tl_str_c(s->referer),
			   .agent = tl_str_c(s->agent) });
}

static void stream_free(struct http_sse *x, struct sse *s)
{
	s->hub->kind->gone(s->hub->state, s->item);
	hub_release(s->hub);
	tl_list_unlink(&s->link);
	tl_buf_deinit(&s->waiting);
	tl_free(s->path);
	tl_free(s->referer);
	tl_free(s->agent);
	tl_free(s);
	if (--x->n == 0)
		event_del(x->timer);
}

/*
 * The rest of the event that is half sent, if one is, and then the last one.
 * What waits behind it would come too late anyway.  False: nobody reads it.
 */
static bool put_bye(struct sse *s, struct tl_str bye)
{
	struct evbuffer *out = bufferevent_get_output(s->conn->bev);
	const char *rest, *end;
	size_t held, n = 0;

	if (!is_waiting(s)) {
		n = put_now(s, bye.ptr, bye.len);
		if (n == SIZE_MAX)
			return false;
		s->bytes += n;
	} else if (s->why != SSE_STOPPING) {
		rest = s->waiting.ptr + s->sent;
		held = http_tls_held(s->conn); /* half of a record is sent */
		end = strstr(rest + (held > 2 ? held - 2 : 0), "\n\n");
		evbuffer_add(out, rest,
			     end != NULL ? (size_t)(end - rest) + 2
					 : s->waiting.len - s->sent);
	}
	/* a stop waits for nobody */
	if (n == bye.len || s->why == SSE_STOPPING)
		return false;
	evbuffer_add(out, bye.ptr + n, bye.len - n);
	return true;
}

/* evhttp closes: at once, or when it has written what is queued; the sweep of
 * the connections sees to it that this does not take for ever. */
static void conn_end(struct http_conn *c, struct evhttp_request *ev,
		     bool queued)
{
	c->stream = NULL;
	c->linger = true;
	http_conn_answered(c, tl_mono_ms());
	http_mark_close(ev);
	if (queued)
		bufferevent_enable(c->bev, EV_WRITE);
	evhttp_send_reply_end(ev);
}

static void finish(struct http_sse *x, struct sse *s)
{
	struct evhttp_request *ev = s->ev;
	struct http_conn *c = s->conn;
	bool queued = false;
	struct tl_buf bye;

	(void)epoll_ctl(x->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	if (s->why != SSE_CLIENT) {
		tl_buf_init(&bye);
		s->hub->kind->bye(s->hub->state, s->item, s->why, &bye);
		queued = put_bye(s, tl_buf_str(&bye));
		tl_buf_deinit(&bye);
	}
	log_end(x->http, s);
	stream_free(x, s);
	conn_end(c, ev, queued);
}

static void reap(struct http_sse *x)
{
	while (!tl_list_empty(&x->ended))
		finish(x, TL_CONTAINER(x->ended.next, struct sse, link));
}

/* evhttp closed it: the server is being freed. */
void http_sse_gone(struct sse *s)
{
	struct http_sse *x = sse_of(s);

	if (!s->ended)
		s->why = SSE_STOPPING;
	log_end(x->http, s);
	stream_free(x, s);
}

void http_sse_stop(struct http *h)
{
	if (h->sse == NULL)
		return;
	while (!tl_list_empty(&h->sse->open))
		sse_end(TL_CONTAINER(h->sse->open.next, struct sse, link),
			SSE_STOPPING);
	reap(h->sse);
}

/* ---- events of the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct epoll_event ready[READY_MAX];
	struct http_sse *x = arg;
	int n = epoll_wait(fd, ready, READY_MAX, 0);

	(void)what;
	for (int i = 0; i < n; i++) {
		struct sse *s = ready[i].data.ptr;

		if ((ready[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0)
			sse_end(s, SSE_CLIENT);
		else if (!s->ended)
			put_waiting(s);
	}
	reap(x);
}

/* So that proxies and clients see that it lives, and we that they do. */
static void heartbeats(struct http_sse *x)
{
	uint64_t now_ms = tl_mono_ms();
	uint64_t after_ms = x->http->conf->events.heartbeat_s * 1000ULL;
	struct tl_list *pos, *tmp;

	if (now_ms - x->heartbeats_ms < HEARTBEATS_MS)
		return;
	x->heartbeats_ms = now_ms;
	TL_LIST_EACH(pos, tmp, &x->open)
	{
		struct sse *s = TL_CONTAINER(pos, struct sse, link);

		if (now_ms - s->last_mono_ms >= after_ms)
			put(s, TL_STR(":\n\n"));
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_sse *x = arg;
	struct tl_list *pos, *tmp;

	(void)fd;
	(void)what;
	TL_LIST_EACH(pos, tmp, &x->hubs)
	{
		struct sse_hub *hub = TL_CONTAINER(pos, struct sse_hub, link);

		hub->kind->tick(hub->state, tl_mono_ns());
	}
	heartbeats(x);
	reap(x);
}

/* ---- the beginning ---- */

static struct http_sse *sse_new(struct http *h)
{
	struct http_sse *x = tl_alloc(sizeof(*x));

	x->http = h;
	tl_list_init(&x->open);
	tl_list_init(&x->ended);
	tl_list_init(&x->hubs);
	x->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	x->timer = event_new(h->base, -1, EV_PERSIST, on_timer, x);
	x->ready = event_new(h->base, x->epoll_fd, EV_READ | EV_PERSIST,
			     on_ready, x);
	tl_assert(x->timer != NULL && x->ready != NULL);
	if (x->epoll_fd >= 0)
		event_add(x->ready, NULL);
	return x;
}

void http_sse_deinit(struct http *h)
{
	struct http_sse *x = h->sse;

	if (x == NULL)
		return;
	event_free(x->ready);
	event_free(x->timer);
	if (x->epoll_fd >= 0)
		close(x->epoll_fd);
	tl_freep(&h->sse);
}

/* False: refused and answered. */
static bool may_open(struct req *req)
{
	struct http *h = req->http;
	const char *why = NULL;

	if (h->sse == NULL)
		h->sse = sse_new(h);
	if (h->draining)
		why = "this process is about to stop; connect again";
	else if (h->sse->n >= h->conf->events.max_streams)
		why = "as many streams are open as may be; try again later";
	else if (req->priv->conn == NULL || h->sse->epoll_fd < 0)
		why = "no stream can be opened at the moment; try again";
	if (why == NULL)
		return true;
	http_count(h, SHM_C_STREAMS_REFUSED);
	req_fail(req, 503, "service_unavailable", "%s", why);
	return false;
}

/* A stream lives long: what a client says of itself may not take much. */
static char *shown_header(struct req *req, const char *name)
{
	struct tl_str v = req_header(req, name);

	if (v.ptr == NULL ||
	    req->http->conf->log.access_format != CONF_ACCESS_COMBINED)
		return NULL;
	return tl_strndup(v.ptr, v.len < SHOWN_MAX ? v.len : SHOWN_MAX);
}

static struct sse *stream_new(struct req *req)
{
	struct sse *s = tl_alloc(sizeof(*s));

	s->conn = req->priv->conn;
	s->ev = req->ev;
	s->start_mono_ns = req->start_mono_ns;
	s->path = tl_strndup(req->path.ptr, req->path.len);
	s->referer = shown_header(req, "Referer");
	s->agent = shown_header(req, "User-Agent");
	http_trace_text(req, s->trace_id);
	s->client = req->client;
	s->minor = (unsigned)req->ev->minor;
	s->have_key = req->d_valid && req->d.have_key;
	if (s->have_key) {
		s->user_id = req->d.user_id;
		s->key_id = req->d.key_id;
	}
	s->request_id_len = (uint8_t)req->request_id.len; /* 64 at most */
	memcpy(s->request_id, req->request_id.ptr, s->request_id_len);
	tl_buf_init(&s->waiting);
	return s;
}

/* Little may wait in the kernel, and not for ever: a page that nobody looks at
 * any more must not hold memory. */
static void set_socket(int fd)
{
	int bytes = SOCKET_BYTES, ms = UNACKED_MAX_MS;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* What evhttp has queued before the answer: its "100 Continue". */
static void take_queued(struct sse *s)
{
	struct evbuffer *out = bufferevent_get_output(s->conn->bev);
	char bytes[256];
	int n;

	while ((n = evbuffer_remove(out, bytes, sizeof(bytes))) > 0)
		put(s, (struct tl_str){ bytes, (size_t)n });
}

struct sse *sse_open(struct req *req, const struct sse_kind *kind, void *item)
{
	struct http *h = req->http;
	struct epoll_event e = { .events = EPOLLRDHUP | EPOLLOUT | EPOLLET };
	struct sse *s;

	if (!may_open(req))
		return NULL;
	s = stream_new(req);
	s->item = item;
	s->hub = hub_take(req, kind);
	e.data.ptr = s;
	if (epoll_ctl(h->sse->epoll_fd, EPOLL_CTL_ADD, s->conn->fd, &e) < 0)
		log_warn("cannot watch a stream: %s; it ends late",
			 strerror(errno));
	set_socket(s->conn->fd);
	s->conn->stream = s;
	tl_list_append(&h->sse->open, &s->link);
	if (h->sse->n++ == 0) {
		static const struct timeval tv = { 0, SSE_TICK_MS * 1000 };

		event_add(h->sse->timer, &tv);
	}
	http_count(h, SHM_C_STREAMS_OPEN_DELTA);
	req_header_add(req, "Content-Type", "text/event-stream");
	req_header_add(req, "Cache-Control", "no-store");
	req_header_add(req, "X-Accel-Buffering", "no");
	take_queued(s);
	put(s, http_reply_head(req)); /* the end of req */
	return s;
}
