/*
 * http_internal.h - what the files of this room share with each other.
 */
#ifndef TALLY_HTTP_HTTP_INTERNAL_H
#define TALLY_HTTP_HTTP_INTERNAL_H

#include "base/clock.h"
#include "base/list.h"
#include "base/trace.h"
#include "http/guard.h"
#include "http/http.h"
#include "shm/metrics.h"

struct bufferevent;
struct event;
struct evbuffer_cb_entry;
struct evconnlistener;
struct evhttp;
struct evhttp_connection;
struct http_accesslog;
struct http_address;
struct http_loads;
struct http_profiles;
struct http_sse;
struct http_static;
struct http_strict;
struct http_trace;
struct router;
struct http_tls;
struct sse;
struct tls;
struct tls_seed;

#define HTTP_BODY_DEFAULT_BYTES 16384
#define HTTP_SWEEP_MS           100
#define HTTP_ARENA_INLINE_BYTES 4096
#define HTTP_PARAMS_MAX         8
#define HTTP_REQUEST_ID_BYTES   24
#define HTTP_SOON_S             1 /* Retry-After of a 503 */

/* One accepted connection; evhttp owns its own half, we hold a reference on
 * the bufferevent until evhttp has let go of it. */
struct http_conn {
	struct tl_list link;
	struct http *http;
	struct bufferevent *bev;
	struct evhttp_connection *evcon; /* from the first request on */
	struct evbuffer_cb_entry *watch; /* waits for a first byte */
	struct http_address *address;    /* counts for the cap; may be NULL */
	struct http_tls *tls;            /* NULL: plain */
	struct tally_addr peer;
	int fd;
	bool adopted;              /* fd and peer are known */
	bool linger;               /* take what still comes in before close */
	struct req *req;           /* in hand */
	struct sse *stream;        /* open; then there is no request */
	size_t unwritten_bytes;    /* at the last sweep */
	uint64_t reading_since_ms; /* mono; 0: no byte of a request yet */
	uint64_t writing_since_ms; /* mono; 0: nothing is queued */
	uint64_t last_ms;          /* mono; last answer, or accepted */
};

struct http_param {
	struct tl_str name, value;
};
struct router_match {
	const struct route *route; /* NULL: see allowed */
	unsigned allowed;          /* methods of the path; 0: no such path */
	bool open_path;            /* its routes ask for nothing (AUTH_NONE) */
	struct http_param params[HTTP_PARAMS_MAX];
	uint32_t n_params;
};

#define HTTP_ETAG_TEXT 35 /* 16 bytes in hex, quoted, and a NUL */

/* What stays the same as long as the worker lives: sent without a copy, its
 * ETag made once.  However slowly a client reads, it holds none. */
struct http_kept {
	struct tl_buf bytes;
	char etag[HTTP_ETAG_TEXT];
};

struct http_req_priv {
	struct http_conn *conn; /* NULL once the client is gone */
	struct tl_list link;    /* open requests, or the pool */
	struct tl_list parked;  /* strict.c */
	struct guard_out g;
	struct router_match match;
	struct tl_buf extra; /* header lines of the handler */
	struct tl_buf body;  /* encoded here: errors, documents */
	struct tl_str reply_body;
	unsigned status;
	const struct http_kept *kept; /* whose bytes reply_body may be */
	bool close;
	bool endless; /* a stream: no length, no body here */
	bool has_cache_control, has_content_type;
	bool cors;     /* the origin is allowed */
	bool api;      /* path under /api/ */
	bool metered;  /* to be charged with a successful answer */
	struct http_trace *trace; /* trace.c; NULL: none, or nobody asks */
	uint64_t parked_until_ms;
	uint32_t retry_after_s; /* 0: no such header */
	void (*again)(struct req *req, bool unknown);
	struct tally_digest load_digest;
	route_fn spawned;
	char id[HTTP_REQUEST_ID_BYTES];
	_Alignas(16) char inline_mem[HTTP_ARENA_INLINE_BYTES];
};

struct http {
	struct event_base *base;
	const struct conf *conf;
	struct shm *shm;
	struct pg_pool *pool;
	struct evhttp *ev, *ev_tls; /* the second: NULL without TLS */
	struct tls *tls;
	struct tl_buf hsts; /* a header line, or empty */
	struct decide decide;
	struct router *router;
	const struct route *const *tables;
	struct http_kept description; /* describe.c; empty until asked for */
	struct http_static *statics; /* static.c; directories that were read */
	struct http_accesslog *accesslog; /* NULL: off */
	uint32_t sample_ppm; /* of traces that begin here */
	struct http_loads *loads;
	struct http_profiles *profiles;
	struct http_strict *strict;
	struct http_sse *sse; /* sse.c; NULL until the first stream */
	uint32_t worker;
	int commit_eventfd, flusher_eventfd;
	/* conn.c */
	struct tl_list conns, fresh;
	uint32_t n_conns;
	struct http_conn **by_fd;
	uint32_t n_by_fd;
	struct http_address **addresses;
	struct event *adopt, *sweep;
	size_t read_mark_bytes;
	bool draining, drain_idle_now;
	void (*drained)(void *arg);
	void *drained_arg;
	/* server.c */
	struct evconnlistener **listeners;
	uint32_t n_listeners;
	struct event *relisten;
	bool accepting, out_of_fds;
	/* request.c */
	struct tl_list open, pool_free;
	uint32_t n_open, n_pooled;
	char id_prefix[12];
	uint64_t id_next;
	/* reply.c */
	struct tl_buf head;
	int64_t date_s;
	char common[192]; /* Date and the constant header lines */
	size_t common_len;
	int64_t wall_offset_us; /* wall - mono, without a segment */
};

static inline struct req *req_of(struct http_req_priv *p);

/* A request and its private half are one piece of memory. */
struct http_req {
	struct req req;
	struct http_req_priv priv;
};
static inline struct req *req_of(struct http_req_priv *p)
{
	return &TL_CONTAINER(p, struct http_req, priv)->req;
}

static inline void http_count(struct http *h, enum shm_counter c)
{
	if (h->shm != NULL)
		shm_count(h->shm, c, 1);
}
static inline int64_t http_wall_us(const struct http *h, uint64_t mono_ns)
{
	if (h->shm != NULL)
		return shm_wall_us(h->shm, mono_ns);
	return (int64_t)(mono_ns / 1000) + h->wall_offset_us;
}
/* As tl_buf_add, but without a call when there is room: replies are made of
 * many small pieces, most of them constants. */
static inline void http_put(struct tl_buf *b, const char *p, size_t len)
{
	if (b->cap - b->len <= len)
		tl_buf_reserve(b, len);
	if (len > 0)
		memcpy(b->ptr + b->len, p, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}
void http_put_u64(struct tl_buf *b, uint64_t v);
void http_put_uuid(struct tl_buf *b, const struct tl_uuid *u);
#define HTTP_PUT(b, lit) http_put((b), (lit), sizeof(lit) - 1)

/* conn.c */
enum tl_status http_conns_init(struct http *h,
			       struct tl_err *err) TL_MUST_CHECK;
void http_conns_deinit(struct http *h); /* after evhttp_free */
struct bufferevent *http_conn_accept(struct event_base *base, void *http);
struct bufferevent *http_conn_accept_tls(struct event_base *base, void *http);
/* Takes what has come in already, so that a close is no reset. */
void http_swallow_input(int fd);
/* The connection of a request; NULL: evhttp has closed it. */
struct http_conn *http_conn_of(struct http *h, struct evhttp_request *ev);
void http_conn_answered(struct http_conn *c, uint64_t now_mono_ms);
void http_conns_drain(struct http *h);

/* tls_io.c */
enum tl_status http_tls_init(struct http *h, const struct tls_seed *seed,
			     struct tl_err *err) TL_MUST_CHECK;
void http_tls_deinit(struct http *h);
void http_tls_new(struct http_conn *c);
void http_tls_begin(struct http_conn *c); /* its descriptor is known */
void http_tls_free(struct http_conn *c);  /* these three: plain ones too */
void http_tls_resume(struct http_conn *c); /* a request was answered */
void http_tls_bye(struct http_conn *c);	   /* before the socket is closed */
/* How much was taken; SIZE_MAX: the client is gone. */
size_t http_tls_write(struct http_conn *c, struct tl_str head,
		      struct tl_str body);
/* Of what was not taken so many bytes must come next, and unchanged. */
size_t http_tls_held(const struct http_conn *c);
bool http_tls_shaking(const struct http_conn *c); /* hands, still */
bool http_tls_has_input(const struct http_conn *c);
/* The descriptor of a connection's bufferevent. */
int http_bev_fd(struct bufferevent *bev);
struct http_tls_client { /* of its certificate; {NULL,0}: there is none */
	struct tl_str subject, serial;
};
struct http_tls_client http_tls_client(const struct http_conn *c);

/* request.c */
void http_requests_init(struct http *h);
void http_requests_deinit(struct http *h);
void http_on_request(struct evhttp_request *ev, void *http);
void http_request_done(struct req *req); /* back to the pool */
/* The weight of a range in thousandths by its parameters (RFC 9110, 12.4.2);
 * 1000 without. */
unsigned http_weight_of(struct tl_str params);

/* auth.c */
void http_middleware(struct req *req);
/* meter_scope = all.  False: refused and answered. */
bool http_charge_answer(struct req *req);

/* trace.c */
void http_trace_begin(struct req *req);
void http_trace_end(struct req *req, uint64_t end_mono_ns);
/* For the coroutine that goes on with the request. */
void http_trace_lend(struct req *req);
/* The id of its trace in hex; "": none. */
void http_trace_text(const struct req *req, char dst[TRACE_ID_TEXT]);

/* cors.c */
void http_cors_note(struct req *req);
bool http_cors_preflight(struct req *req); /* true: answered */
void http_cors_headers(const struct req *req, struct tl_buf *b);
/* The parts of these, for a refusal that has no struct req. */
bool http_cors_allows(const struct conf *conf, struct tl_str origin);
void http_cors_put(struct tl_str origin, struct tl_buf *b);

/* limits.c */
void http_limit_headers(const struct req *req, struct tl_buf *b);

/* errors.c */
const char *http_reason(unsigned status);
/* The one error form.  request_id.len 0: left out. */
void http_error_body(struct tl_buf *b, enum doc_format f, unsigned status,
		     const char *code, struct tl_str message,
		     struct tl_str request_id);

/* reply.c */
void http_reply_init(struct http *h);
/* What strict.c calls when the wait is over. */
void http_reply_now(struct req *req);
/* Of a stream: counts the answer, gives the head to send, which is good until
 * the next reply.  req is gone; evhttp still waits for its answer. */
struct tl_str http_reply_head(struct req *req);
void http_mark_close(struct evhttp_request *ev);
/* The date and constant lines, for senderror.c too. */
void http_common_headers(struct http *h, uint64_t now_mono_ns,
			 struct tl_buf *b);

/* list.c */
void http_kept_seal(struct http_kept *k); /* its bytes are complete */
/* 200 with them, or 304; Content-Type is the caller's, and how long others
 * may keep it. */
void http_reply_kept(struct req *req, const struct http_kept *k,
		     const char *cache_control);

/* strict.c */
enum tl_status http_strict_init(struct http *h,
				struct tl_err *err) TL_MUST_CHECK;
void http_strict_deinit(struct http *h);
/* True: the reply waits for its batch; http_reply_now comes later. */
bool http_strict_park(struct req *req);

/* keyload.c */
void http_loads_init(struct http *h);
void http_loads_deinit(struct http *h);

/* live.c */
void http_flusher_wake(struct http *h);

/* static.c */
void http_static_deinit(struct http *h);

/* profile.c */
void http_profiles_init(struct http *h);
void http_profiles_deinit(struct http *h);

/* accesslog.c */
void http_accesslog_init(struct http *h);
void http_accesslog_deinit(struct http *h); /* writes what is left */
struct http_log_line {
	struct tl_str request_id;
	unsigned method;
	struct tl_str path;
	unsigned status;
	uint64_t start_mono_ns, end_mono_ns;
	const struct tl_uuid *user_id, *key_id; /* user_id NULL: nobody */
	struct http_tls_client tls_client;
	uint64_t bytes; /* of the body */
	const char *closed; /* why a stream has ended; NULL: no stream */
	/* for the combined format */
	struct tally_addr client;
	unsigned minor;        /* of HTTP/1.x */
	struct tl_str target;  /* as it was sent, without the query */
	struct tl_str referer, agent; /* {NULL,0}: not sent */
	const char *trace_id;         /* "": none */
};
void http_accesslog_put(struct http *h, const struct http_log_line *line);
const char *http_method_name(unsigned method);

/* combined.c */
void http_combined_put(const struct http *h, const struct http_log_line *line,
		       struct tl_buf *b);
/* As Apache does it: what is printable ASCII stays, '"' and '\\' get a
 * backslash, the rest is \n, \t and so on, or \xhh. */
void http_combined_escape(struct tl_str s, struct tl_buf *b);

/* sse.c */
void http_sse_stop(struct http *h);
/* The connection of a stream is gone, by evhttp's doing. */
void http_sse_gone(struct sse *s);
void http_sse_deinit(struct http *h);

/* query.c */
/* Decodes %XX, and '+' when form; copies to dst (len bytes suffice). */
size_t http_percent_decode(struct tl_str in, bool form, char *dst);

/* senderror.c: evhttp's own refusals come out in our form.  Called by
 * http_new, which also makes the linker take the file. */
void http_send_error_install(struct http *h);
/* For callbacks whose argument is evhttp's.  A process has one server. */
struct http *http_of_process(void);

#endif
