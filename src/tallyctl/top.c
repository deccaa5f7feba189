#include "tallyctl/top.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "decide/decide.h"
#include "tally/addr.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/view.h"

/* ---- a look ---- */

/* Fields 14 and 15 of proc_pid_stat(5), behind a name that may hold blanks. */
static bool read_cpu(uint64_t pid, uint64_t *ticks_r)
{
	char path[48], line[512], *p;
	uint64_t user, system;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	p = fgets(line, sizeof(line), f);
	(void)fclose(f);
	p = p != NULL ? strrchr(line, ')') : NULL;
	if (p == NULL || sscanf(p + 1,
				" %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
				" %" SCNu64 " %" SCNu64,
				&user, &system) != 2)
		return false;
	*ticks_r = user + system;
	return true;
}

static bool in_use(const struct shm_slot *slot)
{
	return atomic_load(&slot->state) != SHM_SLOT_FREE &&
	       atomic_load(&slot->pid) != 0;
}

void top_sample_take(const struct shm *s, struct top_sample *r)
{
	*r = (struct top_sample){ .mono_ns = tl_mono_ns() };
	for (int c = 0; c < SHM_C_COUNT; c++)
		r->counter[c] = shm_counter_sum(s, (enum shm_counter)c);
	for (uint32_t i = 0; i < SHM_REASONS; i++)
		r->reason[i] = shm_refused_sum(s, i);
	for (int h = 0; h < SHM_H_COUNT; h++)
		shm_histogram_sum(s, (enum shm_histogram)h, &r->door[h]);
	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		uint64_t pid = atomic_load(&s->slots[i].pid);

		if (in_use(&s->slots[i]) &&
		    read_cpu(pid, &r->process[i].cpu_ticks))
			r->process[i].pid = pid;
	}
}

/* ---- between two of them ---- */

struct span {
	const struct shm *shm;
	const struct top_sample *from, *to;
	const struct busy *busy;
	double seconds;
	struct tl_arena *a;
};

static double tenths(double v)
{
	return (double)(int64_t)(v * 10 + 0.5) / 10;
}

static void set_rate(const struct span *p, struct doc *o, const char *name,
		     uint64_t n)
{
	doc_set(p->a, o, name,
		doc_double(p->a, tenths((double)n / p->seconds)));
}

static void set_counter(const struct span *p, struct doc *o, const char *name,
			enum shm_counter c)
{
	set_rate(p, o, name, p->to->counter[c] - p->from->counter[c]);
}

static const struct doc *requests_doc(const struct span *p)
{
	struct doc *o = doc_object(p->a);

	set_counter(p, o, "per_second", SHM_C_REQUESTS);
	set_counter(p, o, "http_2xx", SHM_C_HTTP_2XX);
	set_counter(p, o, "http_4xx", SHM_C_HTTP_4XX);
	set_counter(p, o, "http_5xx", SHM_C_HTTP_5XX);
	set_counter(p, o, "http_other", SHM_C_HTTP_OTHER);
	set_counter(p, o, "connections", SHM_C_CONNECTIONS);
	doc_set(p->a, o, "connections_open",
		doc_int(p->a,
			(int64_t)p->to->counter[SHM_C_CONNECTIONS_OPEN_DELTA]));
	return o;
}

static const struct doc *decisions_doc(const struct span *p)
{
	struct doc *o = doc_object(p->a);

	set_counter(p, o, "per_second", SHM_C_DECISIONS);
	set_counter(p, o, "let_in", SHM_C_DECIDE_OK);
	set_counter(p, o, "credits", SHM_C_CREDITS);
	return o;
}

static const struct doc *refused_doc(const struct span *p)
{
	static const struct {
		enum decide_code code;
		enum shm_counter counter;
	} codes[] = {
		{ DECIDE_UNAUTHORIZED, SHM_C_DECIDE_UNAUTHORIZED },
		{ DECIDE_FORBIDDEN, SHM_C_DECIDE_FORBIDDEN },
		{ DECIDE_RATE_LIMITED, SHM_C_DECIDE_RATE_LIMITED },
		{ DECIDE_QUOTA_EXCEEDED, SHM_C_DECIDE_QUOTA },
		{ DECIDE_UNAVAILABLE, SHM_C_DECIDE_UNAVAILABLE },
	};
	struct doc *o = doc_object(p->a), *by_code = doc_object(p->a);
	struct doc *by_reason = doc_object(p->a);
	uint64_t n, sum = 0;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		sum += p->to->counter[codes[i].counter] -
		       p->from->counter[codes[i].counter];
		set_counter(p, by_code, decide_code_name(codes[i].code),
			    codes[i].counter);
	}
	for (uint32_t i = DECIDE_R_NONE + 1; i < DECIDE_REASONS; i++) {
		n = p->to->reason[i] - p->from->reason[i];
		set_rate(p, by_reason,
			 decide_reason_name((enum decide_reason)i), n);
	}
	set_rate(p, o, "per_second", sum);
	doc_set(p->a, o, "codes", by_code);
	doc_set(p->a, o, "reasons", by_reason);
	return o;
}

/* The bound that so many of a thousand stay under; null: none, or above all. */
static const struct doc *quantile(const struct span *p, enum shm_histogram h,
				  uint64_t count, uint64_t thousandths)
{
	uint64_t want = (count * thousandths + 999) / 1000, sum = 0;
	uint32_t n;
	const uint64_t *bounds = shm_histogram_bounds(h, &n);

	for (uint32_t i = 0; i < n && count > 0; i++) {
		sum += p->to->door[h].bucket[i] - p->from->door[h].bucket[i];
		if (sum >= want)
			return doc_double(p->a, (double)bounds[i] / 1e6);
	}
	return doc_null();
}

static const struct doc *doors_doc(const struct span *p)
{
	static const struct {
		const char *name;
		enum shm_histogram h;
	} doors[] = {
		{ "gate", SHM_H_GATE },         { "verify", SHM_H_VERIFY },
		{ "record", SHM_H_RECORD },     { "api", SHM_H_API },
		{ "validate", SHM_H_VALIDATE },
	};
	struct doc *list = doc_array(p->a);

	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		enum shm_histogram h = doors[i].h;
		uint64_t n = p->to->door[h].count - p->from->door[h].count;
		struct doc *o = doc_object(p->a);

		doc_set(p->a, o, "door",
			doc_str(p->a, tl_str_c(doors[i].name)));
		set_rate(p, o, "per_second", n);
		doc_set(p->a, o, "p50_ms", quantile(p, h, n, 500));
		doc_set(p->a, o, "p99_ms", quantile(p, h, n, 990));
		doc_push(p->a, list, o);
	}
	return list;
}

static uint64_t risen(const struct span *p, enum shm_counter c)
{
	return p->to->counter[c] - p->from->counter[c];
}

/* What waits is counted by a runner every ten seconds. */
static const struct doc *tasks_doc(const struct span *p)
{
	const struct shm_head *h = p->shm->head;
	struct doc *o = doc_object(p->a);

	set_counter(p, o, "claimed", SHM_C_TASKS_CLAIMED);
	set_counter(p, o, "completed", SHM_C_TASKS_COMPLETED);
	set_rate(p, o, "failed",
		 risen(p, SHM_C_TASKS_FAILED) + risen(p, SHM_C_TASKS_EXPIRED) +
			 risen(p, SHM_C_TASKS_LOST));
	set_counter(p, o, "dead", SHM_C_TASKS_DEAD);
	doc_set(p->a, o, "ready",
		doc_int(p->a, (int64_t)atomic_load(&h->tasks_ready)));
	doc_set(p->a, o, "delayed",
		doc_int(p->a, (int64_t)atomic_load(&h->tasks_delayed)));
	return o;
}

/* ---- who ---- */

static const char *key_text(struct tl_arena *a, const uint8_t id[16])
{
	char text[TL_UUID_TEXT];
	struct tl_uuid u;

	memcpy(u.b, id, sizeof(u.b));
	tl_uuid_format(&u, text);
	return tl_arena_strndup(a, text, strlen(text));
}

static const char *address_text(struct tl_arena *a, const uint8_t id[16])
{
	char text[TALLY_ADDR_TEXT];
	struct tally_addr addr;
	size_t len;

	memcpy(addr.b, id, sizeof(addr.b));
	len = tally_addr_format(&addr, text);
	if (memchr(text, ':', len) == NULL)
		return tl_arena_strndup(a, text, len);
	return tl_arena_printf(a, "%.*s/64", (int)len, text);
}

static const struct doc *
busiest(const struct span *p, const struct busy_table *t, const char *name,
	const char *(*text)(struct tl_arena *, const uint8_t *))
{
	struct busy_row *rows = tl_arena_alloc(p->a, BUSY_TOP * sizeof(*rows));
	uint32_t n = busy_top(t, rows, BUSY_TOP);
	struct doc *list = doc_array(p->a);

	for (uint32_t i = 0; i < n; i++) {
		struct doc *o = doc_object(p->a);

		doc_set(p->a, o, name,
			doc_str(p->a, tl_str_c(text(p->a, rows[i].id))));
		set_rate(p, o, "per_second", rows[i].decisions);
		set_rate(p, o, "refused", rows[i].refused);
		set_rate(p, o, "credits", rows[i].credits);
		doc_push(p->a, list, o);
	}
	return list;
}

static const struct doc *ring_doc(const struct span *p)
{
	struct doc *o = doc_object(p->a);

	doc_set(p->a, o, "seen", doc_int(p->a, (int64_t)p->busy->seen));
	doc_set(p->a, o, "lost", doc_int(p->a, (int64_t)p->busy->lost));
	return o;
}

/* ---- processes ---- */

static void set_memory(const struct span *p, struct doc *o, uint64_t pid)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	uint64_t resident, shared;
	char path[48];
	bool known;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/statm", pid);
	f = fopen(path, "re");
	known = f != NULL &&
		fscanf(f, "%*s %" SCNu64 " %" SCNu64, &resident, &shared) == 2;
	if (f != NULL)
		(void)fclose(f);
	doc_set(p->a, o, "rss_bytes",
		known ? doc_int(p->a, (int64_t)resident * page) : doc_null());
	doc_set(p->a, o, "own_bytes",
		known ? doc_int(p->a, (int64_t)(resident - shared) * page)
		      : doc_null());
}

static const struct doc *processes_doc(const struct span *p)
{
	struct doc *list = doc_array(p->a);

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		uint64_t pid = p->to->process[i].pid, ticks;
		struct doc *o;

		if (!in_use(&p->shm->slots[i]))
			continue;
		o = view_process(&p->shm->slots[i], p->a);
		ticks = p->to->process[i].cpu_ticks -
			p->from->process[i].cpu_ticks;
		doc_set(p->a, o, "cpu_percent",
			pid != 0 && pid == p->from->process[i].pid
				? doc_double(p->a, tenths((double)ticks * 100 /
							  (double)sysconf(
								  _SC_CLK_TCK) /
							  p->seconds))
				: doc_null());
		set_memory(p, o, atomic_load(&p->shm->slots[i].pid));
		doc_push(p->a, list, o);
	}
	return list;
}

const struct doc *top_doc(const struct shm *s, const struct conf *conf,
			  const struct top_sample *from,
			  const struct top_sample *to, const struct busy *b,
			  const struct doc *queues, struct tl_arena *a)
{
	uint64_t ns = to->mono_ns - from->mono_ns, pid;
	const struct span p = { .shm = s,
				.from = from,
				.to = to,
				.busy = b,
				.seconds = (double)(ns > 0 ? ns : 1) / 1e9,
				.a = a };
	struct doc *o = doc_object(a);

	doc_set(a, o, "time", doc_time(a, tl_wall_us() / 1000000 * 1000000));
	doc_set(a, o, "interval_ms", doc_int(a, (int64_t)(ns / TL_NS_PER_MS)));
	doc_set(a, o, "running", doc_bool(shm_slots_alive(s, &pid)));
	doc_set(a, o, "requests", requests_doc(&p));
	doc_set(a, o, "decisions", decisions_doc(&p));
	doc_set(a, o, "refused", refused_doc(&p));
	doc_set(a, o, "doors", doors_doc(&p));
	doc_set(a, o, "tasks", tasks_doc(&p));
	doc_set(a, o, "queues", queues);
	doc_set(a, o, "keys", busiest(&p, &b->keys, "key_id", key_text));
	doc_set(a, o, "addresses",
		busiest(&p, &b->addresses, "address", address_text));
	doc_set(a, o, "ring", ring_doc(&p));
	doc_set(a, o, "processes", processes_doc(&p));
	doc_set(a, o, "segment", view_segment(s, conf->server.instance, a));
	doc_set(a, o, "flush", view_flush(s, a));
	doc_set(a, o, "database_up",
		doc_bool(atomic_load(&s->head->database_up) != 0));
	doc_set(a, o, "spool", view_spool(s, conf, a));
	return o;
}
