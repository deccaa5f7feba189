/*
 * guard.h - the framing validator: what evhttp lets through and we refuse.
 *
 * evhttp reads bodies by the first Content-Length it finds, takes header
 * names with blanks, accepts NUL escapes and so on.  Every request passes
 * here once, before anything else looks at it; the same walk over the
 * headers picks those the server itself needs.  Pure: no I/O, no memory.
 * Runs in: worker.  Suspends: no.
 */
#ifndef TALLY_HTTP_GUARD_H
#define TALLY_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct evkeyvalq;

#define GUARD_HEADERS_MAX      100
#define GUARD_HEADER_BYTES_MAX 16384

enum guard_header {
	GH_HOST,
	GH_CONTENT_LENGTH,
	GH_CONTENT_TYPE,
	GH_TRANSFER_ENCODING,
	GH_CONNECTION,
	GH_ACCEPT,
	GH_AUTHORIZATION,
	GH_API_KEY,
	GH_REQUEST_ID,
	GH_ORIGIN,
	GH_PREFLIGHT,
	GH_FORWARDED_FOR,
	GH_REAL_IP,
	GH_FORWARDED,
	GH_TRACEPARENT,
	GH_COUNT
};

struct guard_in {
	unsigned method; /* HTTP_GET ... of http.h */
	int major, minor;
	const char *target; /* as on the request line */
	const struct evkeyvalq *headers;
	size_t body_bytes; /* what evhttp read */
};
struct guard_out {
	struct tl_str h[GH_COUNT]; /* the first of each; {NULL,0} absent */
	uint32_t n_forwarded_for;  /* more than one: join them */
	struct tl_str path, query; /* raw, query without '?' */
	bool encoded;              /* the path holds a '%' */
	bool close;                /* no further request on the connection */
	bool keep_alive;           /* HTTP/1.0 that asked to stay */
	uint64_t content_length;
};
struct guard_refusal {
	unsigned status;
	const char *code;
	const char *why;
};
/* NULL: fine.  On refusal out_r is filled as far as it was read. */
const struct guard_refusal *guard_check(const struct guard_in *in,
					struct guard_out *out_r);
/* No control character but tabs. */
bool guard_value_clean(const char *s, size_t len);
#endif
