/*
 * pg_trace.h - statements as parts of a trace.
 *
 * The transaction learns on whose behalf it is done: the setting
 * tallyd.trace holds traceparent and, behind a blank, tracestate.  Tasks that
 * are made in it keep that (a column's default), so that their work belongs to
 * the same trace, wherever it is done.
 * Inside pg/.
 */
#ifndef TALLY_PG_PG_TRACE_H
#define TALLY_PG_PG_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct pg_conn;
struct trace;

/* t NULL: nothing to send.  As pg_conn_send: false, the connection is lost. */
bool pg_trace_send(struct pg_conn *c, const struct trace *t);
/* A statement that has ended just now, as a span. */
void pg_trace_record(const struct trace *parent, const char *statement,
		     int64_t start_us, enum tl_status status);

#endif
