/*
 * sse.h - server-sent events: a reply that stays open.
 *
 * A stream takes its request over: the head goes out at once, without a
 * length, and the connection ends with the stream.  Routes of streams have
 * ROUTE_EVENTS and ROUTE_INLINE.
 *
 * Streams of one kind share a hub, which looks at the world once for all of
 * them: one timer of the worker serves every stream, and runs only while there
 * are any.  A hub lives from the first to the last of its streams.
 *
 * Who does not read is dropped when SSE_WAITING_MAX bytes wait for it; who
 * hangs up is noticed at once.  All of them end when the worker drains.
 * Runs in: worker.  Suspends: no.
 */
#ifndef TALLY_HTTP_SSE_H
#define TALLY_HTTP_SSE_H

#include "http/http.h"

#define SSE_TICK_MS	25
#define SSE_WAITING_MAX 65536

struct sse; /* one open stream */

enum sse_why { /* it ends; order of SHM_C_STREAMS_CLIENT and on */
	SSE_CLIENT, /* hung up, or cannot be reached */
	SSE_LIMIT,  /* too much waits for it */
	SSE_STOPPING,
	SSE_REVOKED, SSE_SUSPENDED, SSE_EXPIRED,
	SSE_WHYS
};
const char *sse_why_name(enum sse_why why);

struct sse_kind {
	/* For the first stream; its request is good until sse_open returns. */
	void *(*hub_new)(struct req *req);
	/* Each SSE_TICK_MS: a hub takes its streams in turns, so that no tick
	 * is long.  Streams that end meanwhile stay until later. */
	void (*tick)(void *hub, uint64_t mono_ns);
	void (*hub_free)(void *hub);
	/* The stream has ended: its item is the kind's to free.  Never from
	 * inside tick, sse_open, sse_send or sse_end. */
	void (*gone)(void *hub, void *item);
	/* Adds the last event of a stream that the server ends. */
	void (*bye)(void *hub, void *item, enum sse_why why, struct tl_buf *b);
};

/* The hub, if there is one now. */
void *sse_hub(struct req *req, const struct sse_kind *kind);
/*
 * Makes the request a stream.  NULL: refused and answered, the item is still
 * the caller's (as many streams as may be; the worker is about to stop).  In
 * both cases req is gone.
 */
struct sse *sse_open(struct req *req, const struct sse_kind *kind, void *item);
void *sse_hub_of(const struct sse *s);
/*
 * Whole events, each with the empty line behind it; n: how many they are.
 * What the socket does not take waits.
 */
void sse_send(struct sse *s, struct tl_str events, uint32_t n);
/* It ends soon; nothing that is sent from now on arrives. */
void sse_end(struct sse *s, enum sse_why why);

#endif
