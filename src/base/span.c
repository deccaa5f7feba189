/*
 * span.c - see span.h.
 */
#include "base/span.h"

#include "base/mem.h"

#define VALUE_MAX 1024

bool span_recording;

static struct {
	char **texts; /* a ring */
	uint32_t max, first, n;
	void (*on_add)(uint32_t n);
	struct span_counts counts;
} queue;

void spans_open(uint32_t max, void (*on_add)(uint32_t n))
{
	queue.on_add = on_add;
	queue.texts = tl_alloc_array(max, sizeof(*queue.texts));
	queue.max = max;
	queue.first = queue.n = 0;
	span_recording = true;
}

void spans_close(void)
{
	if (!span_recording)
		return;
	span_recording = false;
	spans_done(queue.n, queue.n);
	tl_freep(&queue.texts);
}

static void begin_attr(struct span *s, const char *key)
{
	if (s->attrs.ptr == NULL)
		tl_buf_init(&s->attrs);
	tl_buf_adds(&s->attrs,
		    s->attrs.len > 0 ? ",{\"key\":\"" : "{\"key\":\"");
	tl_buf_adds(&s->attrs, key);
}

void span_attr_str(struct span *s, const char *key, struct tl_str v)
{
	if (v.len > VALUE_MAX)
		v.len = VALUE_MAX;
	begin_attr(s, key);
	tl_buf_adds(&s->attrs, "\",\"value\":{\"stringValue\":");
	tl_buf_add_json(&s->attrs, v);
	tl_buf_adds(&s->attrs, "}}");
}

/* 64 bits are a string in the JSON of protocol buffers. */
void span_attr_int(struct span *s, const char *key, int64_t v)
{
	begin_attr(s, key);
	tl_buf_addf(&s->attrs, "\",\"value\":{\"intValue\":\"%lld\"}}",
		    (long long)v);
}

static char *text_of(const struct span *s)
{
	char trace_id[TRACE_ID_TEXT], id[TRACE_SPAN_ID_TEXT];
	struct tl_buf b;

	tl_buf_init(&b);
	tl_hex(s->trace->trace_id, 16, trace_id);
	tl_hex(s->trace->span_id, 8, id);
	tl_buf_addf(&b, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", trace_id, id);
	if (s->parent != NULL) {
		tl_hex(s->parent, 8, id);
		tl_buf_addf(&b, ",\"parentSpanId\":\"%s\"", id);
	}
	if (s->trace->state[0] != '\0') {
		tl_buf_adds(&b, ",\"traceState\":");
		tl_buf_add_json(&b, tl_str_c(s->trace->state));
	}
	tl_buf_adds(&b, ",\"name\":");
	tl_buf_add_json(&b, s->name);
	tl_buf_addf(&b,
		    ",\"kind\":%d,\"startTimeUnixNano\":\"%lld000\","
		    "\"endTimeUnixNano\":\"%lld000\",\"attributes\":[%s],"
		    "\"status\":{%s}}",
		    (int)s->kind, (long long)s->start_us, (long long)s->end_us,
		    s->attrs.ptr != NULL ? s->attrs.ptr : "",
		    s->failed ? "\"code\":2" : "");
	return b.ptr; /* tl_free takes it */
}

void span_add(struct span *s)
{
	if (!span_recording || queue.n == queue.max) {
		queue.counts.dropped++;
	} else {
		queue.texts[(queue.first + queue.n) % queue.max] = text_of(s);
		queue.n++;
		queue.on_add(queue.n);
	}
	tl_buf_deinit(&s->attrs);
}

uint32_t spans_waiting(void)
{
	return queue.n;
}

uint32_t spans_peek(struct tl_buf *out, uint32_t max)
{
	uint32_t n = queue.n < max ? queue.n : max;

	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			tl_buf_addc(out, ',');
		tl_buf_adds(out, queue.texts[(queue.first + i) % queue.max]);
	}
	return n;
}

void spans_done(uint32_t n, uint32_t refused)
{
	tl_assert(n <= queue.n && refused <= n);
	for (uint32_t i = 0; i < n; i++) {
		tl_free(queue.texts[queue.first]);
		queue.first = (queue.first + 1) % queue.max;
	}
	queue.n -= n;
	queue.counts.exported += n - refused;
	queue.counts.dropped += refused;
}

struct span_counts span_counts_take(void)
{
	struct span_counts c = queue.counts;

	queue.counts = (struct span_counts){ 0, 0 };
	return c;
}
