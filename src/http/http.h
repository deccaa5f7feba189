/*
 * http.h - one worker's HTTP server on evhttp, its routes and requests.
 *
 * Takes the request through: framing checks, request id, client address,
 * route, CORS, key and limits, body, handler, one reply, access log, metrics.
 * The order of checks is metering.md 4.1.
 * Runs in: worker.  Suspends: only control-plane handlers.
 */
#ifndef TALLY_HTTP_HTTP_H
#define TALLY_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/doc.h"
#include "codec/shape.h"
#include "conf/conf.h"
#include "decide/decide.h"

struct event_base;
struct evhttp_request;
struct pg;
struct pg_pool;
struct req;
struct http;

enum { HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_PUT = 8,
       HTTP_DELETE = 16, HTTP_OPTIONS = 32, HTTP_PATCH = 64,
       HTTP_OTHER = 128, HTTP_ANY = 255 };

/* What authentication a route asks for; one check function a row. */
enum route_auth {
	AUTH_NONE,    /* nothing at all, no limit: /health */
	AUTH_ADDRESS, /* address limit */
	AUTH_KEY,     /* a good key; its limits */
	AUTH_ADMIN,   /* a good key whose user is an admin */
	AUTH_SELF,    /* the handler decides itself: gate, verify */
	AUTH_CRON,    /* the bearer of cron.token; address limit */
};
enum {
	ROUTE_INLINE = 1,   /* data plane: runs on the loop's stack, replies
			     * before it returns, never suspends */
	ROUTE_METERED = 2,  /* charged when meter_scope = all */
	ROUTE_QUOTA_FREE = 4, /* never blocked by quota (revoke, rotate) */
	ROUTE_NO_BODY_TYPE = 8, /* takes no body; a body is ignored (gate) */
	ROUTE_CREATED = 16,  /* success is 201 with Location */
	ROUTE_LIST = 32,     /* the reply is an array of `out`: req_reply_list */
	ROUTE_CONFLICTS = 64, /* may answer 409 */
	ROUTE_NAMES = 128, /* its body names something: may answer 404 */
	/* the rest is for the description only */
	ROUTE_ETAG = 256, /* a success has an ETag; lists have one anyway */
	ROUTE_IDEMPOTENT = 512, /* takes Idempotency-Key */
	ROUTE_REPORTS = 1024, /* its 503 is a report in the form of `out` */
	ROUTE_KEYLESS = 2048, /* AUTH_SELF that looks at addresses only */
	ROUTE_REDIRECTS = 4096, /* only leads to another: not described */
	ROUTE_EVENTS = 8192, /* a stream (sse.h): each member of `out` is one
			      * kind of event, by its name */
	ROUTE_ACCEPTED = 16384, /* success is 202: it is done soon */
};
/* {"error":{"code","message","status"}}, of every error; 5xx with request_id. */
extern const struct shape HTTP_ERROR_SHAPE;

typedef void (*route_fn)(struct req *req);
struct route { /* one row; tables end with .path NULL */
	const char *id;	  /* operationId: "listKeys"; unique over all tables */
	unsigned methods; /* HEAD is allowed wherever GET is */
	const char *path; /* "/api/keys/{key_id}" */
	enum route_auth auth;
	unsigned flags;
	uint32_t body_max_bytes; /* 0: 16 KiB */
	const struct shape *query; /* parameters of the query: req_query */
	const struct shape *in;	   /* body: req_body */
	const struct shape *out;   /* of a success; NULL: no document */
	const char *content_type;  /* of a success that is none: "text/html" */
	const struct shape *headers; /* of all answers, beside the usual */
	const char *caller; /* who may call, in words; of AUTH_SELF */
	route_fn handler;
	/* The last word on an error of this route, wherever it arose: adds
	 * headers, returns the status to show.  NULL: as it is. */
	unsigned (*on_error)(struct req *req, unsigned status,
			     const char *code);
	const char *summary;
};

struct tls_seed;

enum caller_kind { CALLER_NONE, CALLER_ADDRESS, CALLER_KEY };

struct req { /* freed by the reply; lives in its own arena */
	struct http *http;
	struct evhttp_request *ev; /* NULL once the client is gone */
	const struct route *route; /* NULL before routing */
	struct tl_arena arena;
	unsigned method;
	struct tl_str path, query; /* path decoded, query raw */
	struct tl_str request_id;
	struct tally_addr peer, client;
	bool forwarded; /* carries X-Forwarded-For, Forwarded or X-Real-IP */
	bool client_told; /* and from a trusted peer, who told the client */
	uint64_t start_mono_ns;
	uint64_t deadline_mono_ms;
	enum doc_format out_format;
	struct tl_str body; /* raw */
	enum caller_kind caller;
	struct decide_out d; /* the caller's decision; valid for AUTH_KEY */
	bool d_valid;	     /* rate headers come from d */
	bool record; /* the reply leaves d in the decision ring */
	enum decide_door door; /* as whose it is recorded */
	uint64_t commit_gen; /* not 0: reply waits for it (strict) */
	void *state; /* the handler's own, over a load or a spawn */
	struct http_req_priv *priv;
};

struct http_opts {
	struct event_base *base;
	const struct conf *conf;
	struct shm *shm;
	struct pg_pool *pool;
	const int *listen_fds; /* owned by the caller (master's) */
	uint32_t n_listen_fds;
	char *const *listen_names; /* of server.listen; NULL: all are plain */
	const struct tls_seed *tls_seed; /* read by http_new alone */
	const struct route *const *tables; /* NULL-terminated */
	uint32_t worker;
	int commit_eventfd; /* signalled when committed_gen rises; -1 */
	int flusher_eventfd; /* to wake the flusher: strict, policy; -1 */
};
enum tl_status http_new(const struct http_opts *o, struct http **http_r,
			struct tl_err *err) TL_MUST_CHECK;
void http_stop_accepting(struct http *h);
/*
 * Finishes requests in hand; idle keep-alive connections are closed (at
 * once when `idle_now`, else after their next answer).  done(arg) runs on
 * the loop when none is left.
 */
void http_drain(struct http *h, bool idle_now, void (*done)(void *),
		void *arg);
uint32_t http_requests_open(const struct http *h);
uint32_t http_connections_open(const struct http *h);
void http_free(struct http **h);

/* ---- what handlers use ---- */
struct decide *req_decide(struct req *req);
/* Of the trace it belongs to, 16 bytes; NULL: none. */
const uint8_t *req_trace_id(const struct req *req);
const struct conf *req_conf(struct req *req);
struct pg *req_pg(struct req *req); /* suspending calls: not in ROUTE_INLINE */
/* May it be a request id?  1 to 64 of A-Z a-z 0-9 . _ - */
bool http_request_id_good(struct tl_str s);
/* Header of the request; {NULL,0} when absent. */
struct tl_str req_header(struct req *req, const char *name);
/* The one credential: Bearer or X-API-Key.  TL_NOT_FOUND none, TL_INVALID
 * not Bearer or empty, TL_CONFLICT both and different. */
enum tl_status req_credential(struct req *req, struct tl_str *key_r);
/* A 401's reason in the decision, as req_credential saw it. */
void req_credential_reason(struct req *req, enum tl_status credential);
/*
 * meter_scope = all: charges now what the answer would be charged for, so
 * that an answer which shows usage counts itself.  The handler can not fail
 * after it.  False: refused and answered.
 */
bool req_charge_now(struct req *req);
/* Path parameter as text; as UUID (bad: 400 sent, false). */
struct tl_str req_path_param(struct req *req, const char *name);
bool req_path_uuid(struct req *req, const char *name, struct tl_uuid *u_r);
/*
 * Query parameters, decoded.  _next walks all in order (repeatable ones).
 * _int: absent gives def; bad: 400 sent, false.
 */
bool req_query_next(struct req *req, struct tl_str *rest, struct tl_str *name_r,
		    struct tl_str *value_r); /* start: rest = req->query */
bool req_query_int(struct req *req, const char *name, int64_t def, int64_t min,
		   int64_t max, int64_t *v_r);
/*
 * All query parameters, read by the route's `query` shape (SHAPE_INT,
 * SHAPE_STR, SHAPE_BOOL as 0 or 1, SHAPE_UUID, SHAPE_DATE): defaults first, as
 * for shape_read.  Unknown parameters are ignored, the first of a repeated
 * one counts; bad: 400 that names it is sent, false.
 */
bool req_query(struct req *req, void *struct_r);
/* Body decoded by Content-Type and read by the route's `in` shape; on
 * trouble the 400/413/415 is sent and false returned. */
bool req_body(struct req *req, void *struct_r);
bool req_body_doc(struct req *req, const struct doc **doc_r);

/* A reply header beside the usual ones; name and value are copied. */
void req_header_add(struct req *req, const char *name, const char *fmt, ...)
	TL_PRINTF(3, 4);
/* The same for a UUID, without a detour over its text. */
void req_header_add_uuid(struct req *req, const char *name,
			 const struct tl_uuid *u);
/* Exactly one of these ends the request.  req is gone afterwards. */
void req_reply(struct req *req, unsigned status, const struct doc *body);
/* body: already in out_format (docw_*); may be empty. */
void req_reply_buf(struct req *req, unsigned status, struct tl_str body);
/*
 * A list (ROUTE_LIST): 200 with an ETag over the encoded bytes and
 * `Cache-Control: private, no-cache`, or 304 when If-None-Match names it.
 * next: the position behind the last row shown, when there is more: handed
 * on in `Link: <path?...&cursor=...>; rel="next"` beside the query's own
 * parameters (without offset).  NULL: this was the last page.
 */
struct http_cursor { /* of lists in order (at_us, id), newest first */
	int64_t at_us;
	struct tl_uuid id;
};
void req_reply_list(struct req *req, const struct doc *array,
		    const struct http_cursor *next);
/* The same Link for a list inside an object; the route names it in .headers. */
void req_link_next(struct req *req, const struct http_cursor *next);
/* The `cursor` parameter as it was handed on; opaque to clients (base64url).
 * TL_INVALID: it is not one of ours. */
enum tl_status http_cursor_parse(struct tl_str text, struct http_cursor *c_r,
				 struct tl_err *err) TL_MUST_CHECK;
#define HTTP_CURSOR_TEXT_MAX 64
/* "bad_request", "not_found", ... with the words; status by the code. */
void req_fail(struct req *req, unsigned status, const char *code,
	      const char *fmt, ...) TL_PRINTF(4, 5);
/* TL_NOT_FOUND 404, TL_INVALID 400, TL_CONFLICT 409, TL_UNAVAILABLE,
 * TL_FULL, TL_BUSY, TL_DEADLINE 503, others 500 (logged, no internals). */
void req_fail_status(struct req *req, enum tl_status st,
		     const struct tl_err *err);
/* The refusal of a decision: 401, 403, 429 or 503 in the one error form. */
void req_refuse(struct req *req, const struct decide_out *d);
/*
 * The key of `digest` is not held (DECIDE_LOAD): loads it in a coroutine
 * (one load at a time per key, others wait for it), then calls
 * again(req, unknown) on a coroutine's stack.  Database away: 503 sent.
 */
void req_load_key(struct req *req, const struct tally_digest *digest,
		  void (*again)(struct req *req, bool unknown));
/* Same, from a handler that is a coroutine already.  Suspends: yes.
 * TL_OK held now, TL_NOT_FOUND unknown, TL_UNAVAILABLE. */
enum tl_status http_key_load(struct http *h, const struct tally_digest *digest,
			     struct tl_err *err) TL_MUST_CHECK;
/*
 * After the commit of a change and before its answer: takes it in, so that it
 * is in force in every worker.  Within 3 s, else TL_UNAVAILABLE or what went
 * wrong; then it takes effect when the database tells the flusher.
 * Plans and limits by _policy_live.  Suspends: yes, all.
 */
enum tl_status http_user_live(struct http *h, const struct tl_uuid *user_id,
			      struct tl_err *err) TL_MUST_CHECK;
enum tl_status http_key_live(struct http *h, const struct tally_digest *digest,
			     struct tl_err *err) TL_MUST_CHECK;
enum tl_status http_policy_live(struct http *h,
				struct tl_err *err) TL_MUST_CHECK;
/*
 * Who calls, for replies and for the audit log.  Valid for CALLER_KEY.
 * Suspends, unless the worker still knows it: what it knows is good until
 * the segment's change_gen moves or keys.refresh_seconds have passed.  While
 * the database is away the last known is given and `stale` set.
 */
struct req_profile { /* lives in the request's arena */
	struct tl_str email, plan, status;
	struct tl_str name; /* ptr NULL: none */
	bool admin;	    /* the e-mail is in admin.emails */
	bool stale;
	struct tl_uuid key_id;
	struct tl_str key_prefix, key_label;
	int64_t key_created_us;
};
enum tl_status req_profile(struct req *req, const struct req_profile **p_r,
			   struct tl_err *err) TL_MUST_CHECK;
/* Who does it, for the audit log.  False: answered. */
bool req_actor(struct req *req, struct tl_str *email_r);
/* The same of another key: validate shows the one in its body. */
enum tl_status http_profile(struct req *req, const struct tl_uuid *key_id,
			    const struct req_profile **p_r,
			    struct tl_err *err) TL_MUST_CHECK;
/*
 * For replies that are not lists but may be asked for again: adds an ETag over
 * the bytes; true when If-None-Match names it (then reply 304 without body).
 */
bool http_etag_matches(struct req *req, struct tl_str body);
/* Is the address one of admin.emails?  Without regard to case. */
bool http_is_admin(const struct conf *conf, struct tl_str email);
/* The database is unreachable or the flusher late: `degraded` in replies. */
bool req_degraded(struct req *req);
/*
 * One file of a directory below the web directory, for browsers: read at the
 * first request and kept by the worker, with ETag and the headers that keep a
 * page to its own origin; compressed where a .br or .gz stands beside it and
 * the client takes that.  Only names that are there; 404 for any other.
 */
struct http_files {
	const char *dir;    /* below the web directory; lives for ever */
	const char *policy; /* Content-Security-Policy */
	const char *absent; /* to whom asks and none were installed */
	bool hashed; /* what a name stands for never changes: it is kept for
		      * a year without asking again */
};
void req_reply_file(struct req *req, const struct http_files *files,
		    struct tl_str name);
bool req_has_files(struct req *req, const struct http_files *files);
/* Nothing from elsewhere, nothing inline, in nobody's frame. */
#define HTTP_POLICY                                                            \
	"default-src 'self'; object-src 'none'; base-uri 'none'; "             \
	"form-action 'self'; frame-ancestors 'none'"
/* The OpenAPI description of all tables, as JSON with an ETag; made at the
 * first call and kept by the worker. */
void req_reply_description(struct req *req);
/* Runs fn(req) as a coroutine with the request's deadline.  False: there are
 * too many; the 503 is sent. */
bool req_spawn(struct req *req, void (*fn)(struct req *req));
/* After a charge in strict mode: sets commit_gen, so that the reply waits
 * and wakes the flusher.  Call it after each charging decision. */
void req_charged(struct req *req, const struct decide_out *d);

#endif
