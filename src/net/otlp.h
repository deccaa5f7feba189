/*
 * otlp.h - sends the spans of this process to a collector: OTLP over HTTP, as
 * JSON, by the rules of all outgoing calls (fetch.h).
 *
 * One call at a time, each with many spans.  When the collector is away or
 * says that it has enough (429, 502, 503, 504), its Retry-After or a time that
 * doubles is waited for; meanwhile spans gather up to tracing.queue_spans, and
 * what finds no room is dropped.  What it refuses otherwise is dropped.
 * Runs in: worker, runner, after net_init.  Blocks: never.
 */
#ifndef TALLY_NET_OTLP_H
#define TALLY_NET_OTLP_H

#include <stdint.h>

struct conf;
struct event_base;

/* Nothing when tracing.endpoint is empty.  conf stays till otlp_close. */
void otlp_open(struct event_base *base, const struct conf *conf,
	       const char *kind, uint32_t number);
/* Runs the loop until all is sent, the collector does not take it, or limit_ms
 * are over.  From the loop's owner, when it has ended. */
void otlp_flush(uint32_t limit_ms);
/* When no coroutine lives any more. */
void otlp_close(void);

#endif
