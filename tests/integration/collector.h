/*
 * collector.h - somebody whom spans are sent to, for tests.
 *
 * A thread that takes one call after another: POST /v1/traces is OTLP, and
 * what it took with a status of 2xx is kept as spans; the head of a call of
 * any other path is kept as it came.  The check of the form is its own,
 * written against the protocol and not against tallyd's code.
 */
#ifndef TALLY_TESTS_COLLECTOR_H
#define TALLY_TESTS_COLLECTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

#define COLLECTOR_SPANS 4096

struct collector {
	uint16_t port;
	int listen_fd;
	/* how it answers calls of /v1/traces */
	_Atomic int status;
	char header[64]; /* one more, "Name: value\r\n" */
	char answer[128];
	/* what came */
	_Atomic unsigned calls, n_spans, others;
	struct json_object *spans[COLLECTOR_SPANS];
	char other_head[8192]; /* of the last other call */
	char head[8192];       /* of the last call of /v1/traces */
	char wrong[256];       /* what was not OTLP about one; "" */
	bool leaked;           /* a body had the forbidden text */
	const char *forbidden;
};

struct collector *collector_start(void);  /* ends with the process */
void collector_deaf(struct collector *c); /* nobody listens any more */
/* The i-th span of that name, from 0; NULL: it has not come. */
struct json_object *collector_span(struct collector *c, const char *name,
				   unsigned i);
/* "traceId" and the like; "" when absent. */
const char *span_text(struct json_object *span, const char *member);
/* The value of an attribute as text; NULL: it has none of that name. */
const char *span_attr(struct json_object *span, const char *key);
/* Value of a header in a head; "" when it is absent. */
const char *head_value(const char *head, const char *name);

#endif
