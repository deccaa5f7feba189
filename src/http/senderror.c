/*
 * senderror.c - what evhttp refuses by itself, in our error form.
 *
 * A bad request line, a header section or body above its limits, an unknown
 * expectation: libevent 2.1 answers these inside its parser with an HTML
 * page, and has no call to change that.  It reaches evhttp_send_error by
 * name, so the definition in the program takes precedence when libevent is
 * linked dynamically.  tests/integration/test_http_raw notices if that stops.
 * Runs in: worker.  Suspends: no.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "http/http_internal.h"

/* evhttp gives the request only; a worker has one server. */
static struct http *server;

void http_send_error_install(struct http *h)
{
	server = h;
}

struct http *http_of_process(void)
{
	return server;
}

struct refusal {
	unsigned status;
	const char *code;
	const char *message;
};

static struct refusal words_for(const struct evhttp_request *req, int status)
{
	if (status == 413 && req->chunked) /* it could not read the chunks */
		return (struct refusal){ 411, "length_required",
					 "chunked requests are not taken; "
					 "send Content-Length" };
	if (status == 413 || req->headers_size > GUARD_HEADER_BYTES_MAX) {
		if (req->headers_size > GUARD_HEADER_BYTES_MAX)
			return (struct refusal){
				431, "bad_request",
				"the header section is above 16384 bytes"
			};
		return (struct refusal){ 413, "payload_too_large",
					 "the body is too large" };
	}
	if (status == 417)
		return (struct refusal){
			417, "bad_request",
			"the only expectation known is 100-continue"
		};
	if (status == 503)
		return (struct refusal){ 503, "service_unavailable",
					 "try again soon" };
	if (status >= 500)
		return (struct refusal){ (unsigned)status, "internal_error",
					 "the request could not be handled" };
	return (struct refusal){ 400, "bad_request",
				 "the request is not well-formed HTTP" };
}

static void write_refusal(struct bufferevent *bev, const struct refusal *r,
			  struct tl_str origin, bool tls)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	struct tl_buf head, body;

	tl_buf_init(&head);
	tl_buf_init(&body);
	http_error_body(&body, DOC_JSON, r->status, r->code,
			tl_str_c(r->message), (struct tl_str){ NULL, 0 });
	tl_buf_addf(&head, "HTTP/1.1 %u %s\r\n", r->status,
		    http_reason(r->status));
	http_common_headers(server, tl_mono_ns(), &head);
	if (tls)
		http_put(&head, server->hsts.ptr, server->hsts.len);
	if (http_cors_allows(server->conf, origin))
		http_cors_put(origin, &head);
	tl_buf_addf(&head,
		    "X-Request-Id: %.*s-%llx\r\n"
		    "Cache-Control: no-store\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		    (int)sizeof(server->id_prefix), server->id_prefix,
		    (unsigned long long)server->id_next++, body.len);
	evbuffer_add(out, head.ptr, head.len);
	evbuffer_add(out, body.ptr, body.len);
	tl_buf_deinit(&head);
	tl_buf_deinit(&body);
}

/* Takes precedence over libevent's; the reason text is not ours to show. */
void evhttp_send_error(struct evhttp_request *req, int error,
		       const char *reason)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct refusal r = words_for(req, error);
	struct bufferevent *bev;
	struct http_conn *c;

	(void)reason;
	if (evcon == NULL || server == NULL) {
		evhttp_send_reply_end(req); /* frees it */
		return;
	}
	if (req->major == 0) { /* the first line was not understood */
		req->major = 1;
		req->minor = 1;
	}
	c = http_conn_of(server, req);
	if (c != NULL) {
		c->linger = true;
		http_conn_answered(c, tl_mono_ms());
	}
	http_count(server, SHM_C_REFUSED_FRAMING);
	bev = evhttp_connection_get_bufferevent(evcon);
	bufferevent_disable(bev, EV_READ);
	write_refusal(
		bev, &r,
		tl_str_c(evhttp_find_header(req->input_headers, "Origin")),
		c != NULL && c->tls != NULL);
	http_mark_close(req);
	bufferevent_enable(bev, EV_WRITE);
	evhttp_send_reply_end(req);
}
