/*
 * span.h - what was recorded of this process's work, until it is exported.
 *
 * A bounded queue of spans, each kept as the JSON text that OTLP wants.  What
 * finds it full is dropped and counted: nothing ever waits here.  A process
 * that exports none has no queue, and whoever would record looks at one word.
 * Runs in: worker, runner.  Suspends: no.
 */
#ifndef TALLY_BASE_SPAN_H
#define TALLY_BASE_SPAN_H

#include "base/trace.h"

/* The numbers of OTLP. */
enum span_kind {
	SPAN_INTERNAL = 1,
	SPAN_SERVER,
	SPAN_CLIENT,
	SPAN_PRODUCER,
	SPAN_CONSUMER
};

struct span {
	const struct trace *trace; /* its own context: trace and span id */
	const uint8_t *parent;     /* 8 bytes; NULL: it is the first */
	enum span_kind kind;
	struct tl_str name;
	int64_t start_us, end_us; /* wall, Unix */
	bool failed;
	struct tl_buf attrs; /* of span_attr_*; span_add frees it */
};

extern bool span_recording; /* spans_open was called */
/* on_add: told how many wait, after each span. */
void spans_open(uint32_t max, void (*on_add)(uint32_t n));
void spans_close(void); /* what is left counts as dropped */

/* key: a constant of ours.  v is cut at 1024 bytes. */
void span_attr_str(struct span *s, const char *key, struct tl_str v);
void span_attr_int(struct span *s, const char *key, int64_t v);
void span_add(struct span *s);

uint32_t spans_waiting(void);
/*
 * Adds the texts of up to max spans, the oldest first and with commas between,
 * to out; how many.  They stay until _done says that they are gone for good.
 */
uint32_t spans_peek(struct tl_buf *out, uint32_t max);
/* The n oldest: exported, but `refused` of them. */
void spans_done(uint32_t n, uint32_t refused);

struct span_counts { /* since the last call */
	uint64_t exported, dropped;
};
struct span_counts span_counts_take(void);

#endif
