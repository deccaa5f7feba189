/*
 * trace.h - W3C Trace Context: who calls whom, over several programs.
 *
 * traceparent is "00-<32 hex>-<16 hex>-<2 hex>": the trace, the span that
 * calls, and whether it is recorded; tracestate is what others want to be
 * handed on.  Both are read strictly: what is not valid is no context.
 * Runs in: all processes.  Suspends: no.
 */
#ifndef TALLY_BASE_TRACE_H
#define TALLY_BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define TRACE_PARENT_TEXT  56 /* with NUL */
#define TRACE_ID_TEXT      33
#define TRACE_SPAN_ID_TEXT 17
#define TRACE_STATE_MAX    512

struct trace {
	uint8_t trace_id[16];
	uint8_t span_id[8]; /* who calls: the parent of what is called */
	bool sampled;
	/* "" when there is none; else valid as a tracestate */
	char state[TRACE_STATE_MAX + 1];
};

/* False: not valid, *t_r is not touched.  Its state is "" afterwards. */
bool trace_parse(struct tl_str traceparent, struct trace *t_r);
/* Several headers: called with each in turn.  What is not valid, or too much,
 * is left out as a whole. */
bool trace_state_add(struct trace *t, struct tl_str tracestate);
void trace_format(const struct trace *t, char dst[TRACE_PARENT_TEXT]);
/* A trace of our own: its id, no span yet. */
void trace_begin(struct trace *t_r);
/* Another span within it. */
void trace_span_id(uint8_t id_r[8]);
/*
 * Is a trace that begins here recorded?  By its id, so that all who know the
 * ratio (millionths) come to the same answer.
 */
bool trace_chosen(const struct trace *t, uint32_t ratio_ppm);

#endif
