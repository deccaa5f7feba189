/*
 * reply.c - one reply: the bytes on the wire, all of them ours.
 *
 * evhttp's own reply path makes each header line with malloc and printf and
 * waits for the next writable event.  Here the block is put together in one
 * buffer and written at once; evhttp_send_reply_end, called without its
 * _start, only tells evhttp that the request is over: at once when nothing
 * is queued, else when the queue has been written.  A reply that closes the
 * connection goes through the queue, because evhttp frees the connection at
 * the end and must not do so inside its own read callback.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "http/http_internal.h"

static void put_date(struct http *h, int64_t wall_s)
{
	static const char day[7][4] = { "Sun", "Mon", "Tue", "Wed",
					"Thu", "Fri", "Sat" };
	static const char month[12][4] = { "Jan", "Feb", "Mar", "Apr",
					   "May", "Jun", "Jul", "Aug",
					   "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)wall_s;
	struct tm tm;
	int n;

	gmtime_r(&t, &tm);
	/* not strftime: the names must not follow a locale */
	n = snprintf(h->common, sizeof(h->common),
		     "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n"
		     "X-Content-Type-Options: nosniff\r\nVary: Origin\r\n",
		     day[tm.tm_wday], tm.tm_mday, month[tm.tm_mon],
		     tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	tl_assert(n > 0 && (size_t)n < sizeof(h->common));
	h->common_len = (size_t)n;
	h->date_s = wall_s;
}

void http_common_headers(struct http *h, uint64_t now_mono_ns, struct tl_buf *b)
{
	int64_t wall_s = http_wall_us(h, now_mono_ns) / 1000000;

	if (wall_s != h->date_s)
		put_date(h, wall_s);
	http_put(b, h->common, h->common_len);
}

void http_reply_init(struct http *h)
{
	tl_buf_init(&h->head);
	h->date_s = -1;
	h->wall_offset_us = tl_wall_us() - (int64_t)(tl_mono_ns() / 1000);
}

static void put_status(struct tl_buf *b, unsigned status)
{
	const char *reason;

	if (status == 200) { /* nearly always */
		HTTP_PUT(b, "HTTP/1.1 200 OK\r\n");
		return;
	}
	reason = http_reason(status);
	HTTP_PUT(b, "HTTP/1.1 ");
	http_put_u64(b, status);
	HTTP_PUT(b, " ");
	http_put(b, reason, strlen(reason));
	HTTP_PUT(b, "\r\n");
}

static bool has_no_body(unsigned status)
{
	return status == 204 || status == 304 || status < 200;
}

static void put_content(const struct req *req, struct tl_buf *b)
{
	const struct http_req_priv *p = req->priv;

	if (has_no_body(p->status))
		return;
	if (p->reply_body.len > 0 && !p->has_content_type) {
		if (req->out_format == DOC_MSGPACK)
			HTTP_PUT(b, "Content-Type: application/msgpack\r\n");
		else
			HTTP_PUT(b, "Content-Type: application/json\r\n");
	}
	if (p->endless)
		return;
	HTTP_PUT(b, "Content-Length: ");
	http_put_u64(b, p->reply_body.len);
	HTTP_PUT(b, "\r\n");
}

static void put_head(struct req *req, struct tl_buf *b)
{
	struct http_req_priv *p = req->priv;

	tl_buf_reset(b);
	put_status(b, p->status);
	http_common_headers(req->http, req->start_mono_ns, b);
	HTTP_PUT(b, "X-Request-Id: ");
	http_put(b, req->request_id.ptr, req->request_id.len);
	HTTP_PUT(b, "\r\n");
	if (p->api && !p->has_cache_control)
		HTTP_PUT(b, "Cache-Control: no-store\r\n");
	http_limit_headers(req, b);
	if (p->retry_after_s > 0) {
		HTTP_PUT(b, "Retry-After: ");
		http_put_u64(b, p->retry_after_s);
		HTTP_PUT(b, "\r\n");
	}
	if (p->conn != NULL && p->conn->tls != NULL)
		http_put(b, req->http->hsts.ptr, req->http->hsts.len);
	http_cors_headers(req, b);
	http_put(b, p->extra.ptr, p->extra.len);
	put_content(req, b);
	if (p->close)
		HTTP_PUT(b, "Connection: close\r\n");
	else if (p->g.keep_alive)
		HTTP_PUT(b, "Connection: keep-alive\r\n");
	HTTP_PUT(b, "\r\n");
}

/* How much the socket took; SIZE_MAX: the client is gone. */
static size_t write_now(int fd, struct tl_str head, struct tl_str body)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)head.ptr, head.len },
		{ (void *)(uintptr_t)body.ptr, body.len },
	};
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = body.len > 0 ? 2 : 1 };
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return (size_t)n;
	return errno == EAGAIN || errno == EINTR ? 0 : SIZE_MAX;
}

static void queue_rest(struct evbuffer *out, struct tl_str part, size_t *skip)
{
	size_t cut = *skip < part.len ? *skip : part.len;

	*skip -= cut;
	if (part.len > cut)
		evbuffer_add(out, part.ptr + cut, part.len - cut);
}

/* Large and everybody's: a client that reads slowly must not hold a copy. */
static void queue_kept(struct evbuffer *out, struct tl_str part, size_t skip)
{
	if (part.len > skip)
		evbuffer_add_reference(out, part.ptr + skip, part.len - skip,
				       NULL, NULL);
}

/* True: bytes are queued, and evhttp is to write them. */
static bool send_bytes(struct req *req, struct tl_str head, struct tl_str body)
{
	const struct http_kept *kept = req->priv->kept;
	struct http_conn *c = req->priv->conn;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t sent = 0;

	/* something may be queued: the "100 Continue" of evhttp */
	if (!req->priv->close && evbuffer_get_length(out) == 0) {
		sent = c->tls == NULL ? write_now(c->fd, head, body)
				      : http_tls_write(c, head, body);
		if (sent == head.len + body.len)
			return false;
		if (sent == SIZE_MAX) {
			/* evhttp reads the end and cleans up by itself */
			(void)shutdown(c->fd, SHUT_RDWR);
			return false;
		}
	}
	queue_rest(out, head, &sent);
	if (kept != NULL && body.ptr == kept->bytes.ptr)
		queue_kept(out, body, sent);
	else
		queue_rest(out, body, &sent);
	return true;
}

static void count_reply(struct http *h, unsigned status)
{
	http_count(h, SHM_C_REQUESTS);
	if (status < 300 && status >= 200)
		http_count(h, SHM_C_HTTP_2XX);
	else if (status >= 400 && status < 500)
		http_count(h, SHM_C_HTTP_4XX);
	else if (status >= 500)
		http_count(h, SHM_C_HTTP_5XX);
	else
		http_count(h, SHM_C_HTTP_OTHER);
}

static void settle(struct req *req, uint64_t end_ns)
{
	struct http *h = req->http;
	struct http_req_priv *p = req->priv;

	count_reply(h, p->status);
	if (h->shm != NULL)
		shm_observe(h->shm,
			    (enum shm_histogram)(SHM_H_API + (int)req->door),
			    end_ns - req->start_mono_ns);
	if (req->record)
		decide_record(&h->decide, &req->d, req->door, &req->client,
			      req->request_id, req_trace_id(req), p->status,
			      req->start_mono_ns, end_ns);
	if (p->trace != NULL)
		http_trace_end(req, end_ns);
	if (p->conn != NULL)
		http_conn_answered(p->conn, end_ns / TL_NS_PER_MS);
}

static size_t body_bytes(const struct req *req)
{
	const struct http_req_priv *p = req->priv;

	return req->method == HTTP_HEAD || has_no_body(p->status)
		       ? 0
		       : p->reply_body.len;
}

static void log_line(struct req *req, uint64_t end_ns)
{
	bool combined =
		req->http->conf->log.access_format == CONF_ACCESS_COMBINED;
	bool known = req->d_valid && req->d.have_key;
	struct tl_str none = { NULL, 0 };
	char trace_id[TRACE_ID_TEXT];

	http_trace_text(req, trace_id);
	http_accesslog_put(
		req->http,
		&(struct http_log_line){
			.request_id = req->request_id,
			.method = req->method,
			.path = req->path,
			.status = req->priv->status,
			.start_mono_ns = req->start_mono_ns,
			.end_mono_ns = end_ns,
			.user_id = known ? &req->d.user_id : NULL,
			.key_id = &req->d.key_id,
			.tls_client = http_tls_client(req->priv->conn),
			.bytes = body_bytes(req),
			.client = req->client,
			.minor = (unsigned)req->ev->minor,
			.trace_id = trace_id,
			.target = req->priv->g.path,
			.referer = combined ? req_header(req, "Referer") : none,
			.agent = combined ? req_header(req, "User-Agent")
					  : none });
}

/* The last look at the request: its strings die with evhttp's half. */
static void settle_and_log(struct req *req)
{
	uint64_t end_ns = tl_mono_ns();

	settle(req, end_ns);
	if (req->http->accesslog != NULL)
		log_line(req, end_ns);
}

struct tl_str http_reply_head(struct req *req)
{
	struct http_req_priv *p = req->priv;
	struct http *h = req->http;

	tl_assert(p->status == 0); /* one answer a request */
	p->status = 200;
	p->close = p->endless = true;
	put_head(req, &h->head);
	settle(req, tl_mono_ns());
	req->ev = NULL;
	http_request_done(req);
	return tl_buf_str(&h->head);
}

/*
 * What makes evhttp close after the answer: its own header list, as a proxy
 * request it would ask another header, and a CONNECT it would never close.
 */
void http_mark_close(struct evhttp_request *ev)
{
	evhttp_remove_header(ev->output_headers, "Connection");
	evhttp_add_header(ev->output_headers, "Connection", "close");
	ev->flags &= ~EVHTTP_PROXY_REQUEST;
	if (ev->type == EVHTTP_REQ_CONNECT)
		ev->type = EVHTTP_REQ_GET;
}

void http_reply_now(struct req *req)
{
	struct http_req_priv *p = req->priv;
	struct evhttp_request *ev = req->ev;
	struct http *h = req->http;
	struct bufferevent *bev = NULL;
	struct tl_str body = p->reply_body;

	if (h->draining)
		p->close = true;
	put_head(req, &h->head);
	if (req->method == HTTP_HEAD || has_no_body(p->status))
		body.len = 0;
	if (p->conn != NULL && send_bytes(req, tl_buf_str(&h->head), body))
		bev = p->conn->bev;
	settle_and_log(req);
	if (p->close && bev != NULL)
		http_mark_close(ev);
	if (bev != NULL)
		bufferevent_enable(bev, EV_WRITE);
	req->ev = NULL;
	evhttp_send_reply_end(ev);
	http_request_done(req);
}

void req_reply_buf(struct req *req, unsigned status, struct tl_str body)
{
	struct http_req_priv *p = req->priv;

	tl_assert(p->status == 0); /* one answer a request */
	if (p->metered && status < 400 && !http_charge_answer(req))
		return;
	p->status = status;
	p->reply_body = body;
	if (req->commit_gen != 0 && http_strict_park(req))
		return;
	http_reply_now(req);
}

void req_reply(struct req *req, unsigned status, const struct doc *body)
{
	struct http_req_priv *p = req->priv;

	tl_buf_reset(&p->body);
	if (body != NULL)
		doc_write(body, req->out_format, &p->body);
	req_reply_buf(req, status, tl_buf_str(&p->body));
}
