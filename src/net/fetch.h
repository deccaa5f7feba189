/*
 * fetch.h - one outgoing HTTP exchange, guarded by the egress rules.
 *
 * A call suspends the calling coroutine until the answer, the failure or the
 * refusal is there.  The name is looked up first and each of its addresses
 * checked (guard.h); the address that is connected to is checked again.  TLS
 * is always verified, proxies are not used, nothing is decompressed, no
 * cookie is kept.  Connections are kept and used again.  A coroutine that has
 * a trace (co_local) hands it on as traceparent and tracestate, to the origin
 * that was asked for and no other.
 * Runs in: worker, runner, after net_init.  Suspends: yes.  Blocks: never.
 */
#ifndef TALLY_NET_FETCH_H
#define TALLY_NET_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"
#include "net/guard.h"

#define FETCH_TIMEOUT_MS         30000
#define FETCH_CONNECT_TIMEOUT_MS 10000
#define FETCH_RESPONSE_MAX_BYTES ((size_t)1024 * 1024)
#define FETCH_HEAD_MAX_BYTES     ((size_t)32 * 1024)
#define FETCH_HEADERS_MAX        128

struct fetch_header {
	const char *name, *value;
};

/* All pointers are borrowed until fetch() returns; 0 takes the default. */
struct fetch_request {
	const char *method;                 /* upper case */
	const char *url;                    /* absolute */
	const struct fetch_header *headers; /* not Host, Content-Length, … */
	uint32_t n_headers;
	const void *body; /* may be NULL */
	size_t body_bytes;
	uint32_t timeout_ms; /* whole call: waiting, look-up, redirects */
	uint32_t connect_timeout_ms;
	size_t response_max_bytes; /* of the body */
	/*
	 * 0: a redirect is an answer as any other.  Else this many are
	 * followed, each checked; 301 and 302 make GET of POST, 303 of all but
	 * HEAD.  Another origin gets no headers but Accept, Accept-Language,
	 * Content-Type and User-Agent.
	 */
	uint32_t max_redirects;
};

enum fetch_why {
	FETCH_DONE = 0,     /* TL_OK: an answer, whatever its status */
	FETCH_INVALID,      /* TL_INVALID: the request, before any look-up */
	FETCH_REFUSED,      /* TL_DENIED: the egress rules; see rule */
	FETCH_BUSY,         /* TL_FULL: egress.max_waiting are waiting */
	FETCH_STOPPED,      /* TL_DEADLINE, TL_CANCELED of the coroutine */
	FETCH_NAME_UNKNOWN, /* TL_UNAVAILABLE, as all that follow */
	FETCH_NAME_FAILED,
	FETCH_CONNECT,
	FETCH_TLS,
	FETCH_TIMEOUT, /* of the request */
	FETCH_BROKEN_OFF,
	FETCH_PROTOCOL,
	FETCH_HEAD_TOO_LARGE,
	FETCH_BODY_TOO_LARGE,
	FETCH_REDIRECTS,
	FETCH_FAULT, /* TL_BROKEN: our own */
};

struct fetch_times { /* 0: did not come to it, or not needed */
	uint64_t queue_us, resolve_us;
	/* of the last exchange, if it made a connection */
	uint64_t connect_us, tls_us;
	uint64_t first_byte_us; /* request sent to first byte of the answer */
	uint64_t total_us;
};

/*
 * Filled on failure too, as far as it came.  Headers and body are the bytes
 * that were sent: they need not be UTF-8.
 */
struct fetch_reply {
	enum fetch_why why;
	const char *rule; /* FETCH_REFUSED: see guard.h; static */
	uint16_t status;
	char reason[64];              /* as sent; may be empty */
	struct fetch_header *headers; /* of the answer, in its order */
	uint32_t n_headers;
	struct tl_buf body;
	char remote[TALLY_ADDR_TEXT]; /* empty: never connected */
	uint16_t remote_port;
	bool reused;        /* a connection that was there */
	uint32_t redirects; /* followed */
	struct fetch_times times;
	struct tl_arena arena; /* of headers */
};

/*
 * A refusal is logged here, with host and rule; all else is the caller's.
 * After TL_DEADLINE or TL_CANCELED: release, answer once, return.
 */
enum tl_status fetch(const struct fetch_request *rq, struct fetch_reply *reply,
		     struct tl_err *err) TL_MUST_CHECK;
/* In any case, whatever fetch() returned. */
void fetch_reply_deinit(struct fetch_reply *reply);
/* NULL: not sent.  Names do not depend on case; the first of several. */
const char *fetch_reply_header(const struct fetch_reply *reply,
			       const char *name);
/* "name_unknown": for logs, tables and programs. */
const char *fetch_why_name(enum fetch_why why);
const char *fetch_why_text(enum fetch_why why); /* for people */

/*
 * For a URL that is about to be stored: the rules, the look-up and its
 * addresses, but no connection.  TL_DENIED with *rule, and logged, when it
 * would be refused now; TL_NOT_FOUND, TL_UNAVAILABLE of the look-up.
 */
enum tl_status fetch_check(const char *url, uint32_t timeout_ms,
			   const char **rule, struct tl_err *err) TL_MUST_CHECK;

#endif
