/*
 * pg_trace.c - see pg_trace.h.
 */
#include "pg/pg_trace.h"

#include "base/clock.h"
#include "base/span.h"
#include "pg/pg_internal.h"

/* The text goes into SQL: hex and dashes, and a tracestate of printable
 * ASCII, whose quotes are doubled (standard_conforming_strings is on). */
bool pg_trace_send(struct pg_conn *c, const struct trace *t)
{
	char parent[TRACE_PARENT_TEXT];
	struct tl_buf sql;
	bool sent;

	if (t == NULL)
		return true;
	trace_format(t, parent);
	tl_buf_init(&sql);
	tl_buf_addf(&sql, "SELECT set_config('tallyd.trace', '%s", parent);
	if (t->state[0] != '\0')
		tl_buf_addc(&sql, ' ');
	for (const char *p = t->state; *p != '\0'; p++) {
		if (*p == '\'')
			tl_buf_addc(&sql, '\'');
		tl_buf_addc(&sql, *p);
	}
	tl_buf_adds(&sql, "', true)");
	sent = pg_conn_send(c, PG_STEP_TRACE, sql.ptr);
	tl_buf_deinit(&sql);
	return sent;
}

void pg_trace_record(const struct trace *parent, const char *statement,
		     int64_t start_us, enum tl_status status)
{
	struct trace own = *parent;
	struct span s = { .trace = &own,
			  .parent = parent->span_id,
			  .kind = SPAN_CLIENT,
			  .name = tl_str_c(statement),
			  .start_us = start_us,
			  .end_us = tl_wall_us(),
			  .failed = status != TL_OK };

	trace_span_id(own.span_id);
	span_attr_str(&s, "db.system.name", TL_STR("postgresql"));
	span_attr_str(&s, "db.query.summary", s.name);
	span_add(&s);
}
