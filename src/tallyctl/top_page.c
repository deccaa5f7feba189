#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tallyctl/screen.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/top.h"
#include "tallyctl/top_queues.h"
#include "tallyctl/view.h"

#define HEADS      3 /* a blank line and the heads of keys and addresses */
#define LIST_MIN   3
#define QUEUES_MAX 8

struct page {
	const struct doc *d;
	struct tl_arena *a;
	struct tl_buf *out;
	uint32_t lines;
	bool bold;
};

static void line(struct page *p, bool head, const char *fmt, ...)
	TL_PRINTF(3, 4);
static void line(struct page *p, bool head, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tl_buf_adds(p->out, head && p->bold ? SCREEN_BOLD : "");
	tl_buf_adds(p->out, text);
	tl_buf_adds(p->out, head && p->bold ? SCREEN_PLAIN "\n" : "\n");
	p->lines++;
}

static double real(const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v != NULL && v->type == DOC_DOUBLE ? v->d : 0;
}

/* "rate_limited 12.5, unauthorized 3": those that are not 0. */
static const char *rates(struct page *p, const struct doc *o)
{
	struct tl_buf b;
	const char *text;

	tl_buf_init(&b);
	for (uint32_t i = 0; i < o->n; i++)
		if (o->members[i].value->d > 0)
			tl_buf_addf(&b, "%s%.*s %.1f", b.len > 0 ? ", " : "",
				    (int)o->members[i].name.len,
				    o->members[i].name.ptr,
				    o->members[i].value->d);
	text = b.len > 0 ? tl_arena_strndup(p->a, b.ptr, b.len) : "-";
	tl_buf_deinit(&b);
	return text;
}

static void add_head(struct page *p)
{
	const struct doc *s = doc_get(p->d, "segment");
	const struct doc *keys = doc_get(s, "keys");
	const struct doc *r = doc_get(p->d, "requests");
	const struct doc *c = doc_get(p->d, "decisions");
	const struct doc *x = doc_get(p->d, "refused");

	line(p, true, "%s  %s  keys %" PRId64 " of %" PRId64 "%s",
	     member_text(p->d, "time"), member_text(s, "name"),
	     member_number(keys, "held"), member_number(keys, "max"),
	     doc_get(p->d, "running")->boolean ? "" : "  NOT RUNNING");
	line(p, false,
	     "requests  %10.1f/s  2xx %.1f  4xx %.1f  5xx %.1f  other %.1f",
	     real(r, "per_second"), real(r, "http_2xx"), real(r, "http_4xx"),
	     real(r, "http_5xx"), real(r, "http_other"));
	line(p, false,
	     "decisions %10.1f/s  let in %.1f  credits %.1f  "
	     "connections %" PRId64 " open, %.1f/s new",
	     real(c, "per_second"), real(c, "let_in"), real(c, "credits"),
	     member_number(r, "connections_open"), real(r, "connections"));
	line(p, false, "refused   %10.1f/s  %s", real(x, "per_second"),
	     rates(p, doc_get(x, "codes")));
	line(p, false, "reasons                 %s",
	     rates(p, doc_get(x, "reasons")));
}

static void add_flush(struct page *p)
{
	const struct doc *f = doc_get(p->d, "flush");
	const struct doc *w = doc_get(f, "pending");
	const struct doc *s = doc_get(p->d, "spool");

	line(p, false,
	     "flush     level %" PRId64 " (%s), last commit %s; database %s",
	     member_number(f, "level"),
	     view_level_words(member_number(f, "level")),
	     ago_text(p->a, member_number(f, "last_commit_age_ms")),
	     doc_get(p->d, "database_up")->boolean ? "up" : "away");
	line(p, false,
	     "waiting   %" PRId64 " keys, %" PRId64 " credits, %" PRId64
	     " requests, %" PRId64 " log rows; spool %" PRId64
	     " records, %" PRId64 " bytes",
	     member_number(w, "keys"), member_number(w, "credits"),
	     member_number(w, "requests"), member_number(w, "log_rows"),
	     member_number(s, "records"), member_number(s, "bytes"));
}

static const char *limit_text(struct page *p, const struct doc *o,
			      const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v->type == DOC_DOUBLE ? tl_arena_printf(p->a, "%g ms", v->d)
				     : "-";
}

/* Doors that nobody uses take no line. */
static void add_doors(struct page *p)
{
	const struct doc *list = doc_get(p->d, "doors");

	line(p, true, "%-10s %12s %12s %12s", "DOOR", "REQUESTS/S",
	     "HALF UNDER", "99% UNDER");
	for (uint32_t i = 0; i < list->n; i++) {
		const struct doc *o = list->items[i];

		if (real(o, "per_second") > 0)
			line(p, false, "%-10s %12.1f %12s %12s",
			     member_text(o, "door"), real(o, "per_second"),
			     limit_text(p, o, "p50_ms"),
			     limit_text(p, o, "p99_ms"));
	}
}

/* Where there is work by tasks. */
static void add_tasks(struct page *p)
{
	const struct doc *t = doc_get(p->d, "tasks");
	int64_t ready = member_number(t, "ready");
	int64_t delayed = member_number(t, "delayed");

	if (real(t, "claimed") > 0 || ready + delayed > 0)
		line(p, false,
		     "tasks     %10.1f/s  completed %.1f  failed %.1f  dead "
		     "%.1f; %" PRId64 " ready, %" PRId64 " delayed",
		     real(t, "claimed"), real(t, "completed"),
		     real(t, "failed"), real(t, "dead"), ready, delayed);
}

static bool is_busy(const struct doc *queue)
{
	return member_number(queue, "ready") + member_number(queue, "delayed") +
			       member_number(queue, "active") +
			       member_number(queue, "parked") +
			       member_number(queue, "dead") >
		       0 ||
	       doc_get(queue, "paused")->boolean ||
	       real(queue, "per_second") > 0;
}

static void add_queue(struct page *p, const struct doc *o)
{
	const struct doc *rate = doc_get(o, "per_second");
	int64_t oldest_ms = member_number(o, "oldest_age_ms");

	line(p, false,
	     "%-19.19s %-6s %8" PRId64 " %8" PRId64 " %7" PRId64
	     " %7s %11s %7" PRId64,
	     member_text(o, "queue"),
	     doc_get(o, "paused")->boolean ? "paused" : "open",
	     member_number(o, "ready"), member_number(o, "delayed"),
	     member_number(o, "active"),
	     rate->type == DOC_DOUBLE ? tl_arena_printf(p->a, "%.1f", rate->d)
				      : "-",
	     oldest_ms >= 0 ? span_text(p->a, oldest_ms) : "-",
	     member_number(o, "dead"));
}

/* Queues that have nothing take no line. */
static void add_queues(struct page *p)
{
	const struct doc *q = doc_get(p->d, "queues");
	const struct doc *list = doc_get(q, "list");
	int64_t age_ms = member_number(q, "age_ms");
	uint32_t shown = 0, more = 0;

	if (list->type != DOC_ARRAY) {
		line(p, false, "queues    not known: %s",
		     member_text(q, "problem"));
		return;
	}
	for (uint32_t i = 0; i < list->n; i++) {
		if (!is_busy(list->items[i]))
			continue;
		if (shown == 0)
			line(p, true, "%-19s %-6s %8s %8s %7s %7s %11s %7s",
			     "QUEUE", "STATE", "READY", "DELAYED", "RUNNING",
			     "ENDED/S", "OLDEST", "DEAD");
		if (shown == QUEUES_MAX) {
			more++;
			continue;
		}
		add_queue(p, list->items[i]);
		shown++;
	}
	if (more > 0)
		line(p, false,
		     "          and %" PRIu32 " more, see 'tallyctl "
		     "queue list'",
		     more);
	if (age_ms > TOP_QUEUES_OLD_MS)
		line(p, false, "          queues as of %s ago: %s",
		     span_text(p->a, age_ms), member_text(q, "problem"));
}

static const char *mib(struct page *p, const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v->type == DOC_INT
		       ? tl_arena_printf(p->a, "%.1f", (double)v->i / (1 << 20))
		       : "-";
}

static void add_processes(struct page *p)
{
	const struct doc *list = doc_get(p->d, "processes");

	line(p, true, "%-11s %8s %-9s %13s %9s %6s %8s %8s", "PROCESS", "PID",
	     "STATE", "UP", "LAST SIGN", "CPU %", "RSS MIB", "OWN MIB");
	for (uint32_t i = 0; i < list->n; i++) {
		const struct doc *o = list->items[i];
		const struct doc *cpu = doc_get(o, "cpu_percent");

		line(p, false, "%-11s %8" PRId64 " %-9s %13s %9s %6s %8s %8s",
		     tl_arena_printf(p->a, "%s/%" PRId64,
				     member_text(o, "kind"),
				     member_number(o, "number")),
		     member_number(o, "pid"),
		     doc_get(o, "alive")->boolean ? member_text(o, "state")
						  : "gone",
		     span_text(p->a, member_number(o, "uptime_ms")),
		     span_text(p->a, member_number(o, "beat_age_ms")),
		     cpu->type == DOC_DOUBLE
			     ? tl_arena_printf(p->a, "%.1f", cpu->d)
			     : "-",
		     mib(p, o, "rss_bytes"), mib(p, o, "own_bytes"));
	}
}

static void add_busy(struct page *p, const char *head, const char *list_name,
		     const char *name, uint32_t max)
{
	const struct doc *list = doc_get(p->d, list_name);

	line(p, true, "%-43s %12s %10s %10s", head, "DECISIONS/S", "REFUSED/S",
	     "CREDITS/S");
	for (uint32_t i = 0; i < list->n && i < max; i++)
		line(p, false, "%-43s %12.1f %10.1f %10.1f",
		     member_text(list->items[i], name),
		     real(list->items[i], "per_second"),
		     real(list->items[i], "refused"),
		     real(list->items[i], "credits"));
}

static void add_lost(struct page *p)
{
	const struct doc *ring = doc_get(p->d, "ring");
	int64_t lost = member_number(ring, "lost");

	if (lost > 0)
		line(p, false,
		     "          %" PRId64 " of %" PRId64 " decisions were "
		     "overwritten before they were read: raise "
		     "shm.decision_ring",
		     lost, lost + member_number(ring, "seen"));
}

/* What is left of the rows goes to keys and addresses. */
void top_page(const struct doc *d, uint32_t rows, bool bold, struct tl_arena *a,
	      struct tl_buf *out)
{
	struct page p = { .d = d, .a = a, .out = out, .bold = bold };
	uint32_t left, n_keys = doc_get(d, "keys")->n;
	uint32_t n_addresses = doc_get(d, "addresses")->n, keys;

	add_head(&p);
	add_flush(&p);
	add_lost(&p);
	add_doors(&p);
	add_tasks(&p);
	add_queues(&p);
	add_processes(&p);
	left = rows > p.lines + HEADS ? rows - p.lines - HEADS : 0;
	left = left > 2 * LIST_MIN ? left : 2 * LIST_MIN;
	keys = left / 2;
	if (n_addresses < left - keys)
		keys = left - n_addresses;
	if (n_keys < keys)
		keys = n_keys;
	add_busy(&p, "KEY", "keys", "key_id", keys);
	add_busy(&p, "ADDRESS", "addresses", "address", left - keys);
}
