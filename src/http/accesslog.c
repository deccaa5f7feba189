/*
 * accesslog.c - a line per request, many lines per write.
 *
 * {"time":"…","level":"info","process":"worker/0","pid":7,"msg":"request",
 *  "request_id":"…","method":"GET","path":"/api/gate","status":200,
 *  "duration_us":41,"user_id":"…","key_id":"…","trace_id":"…"}.  A stream's
 * line comes when it has ended, with "bytes" and "closed".  Or the combined
 * format of Apache (combined.c).  Never a key, never the query (it may hold
 * one).  Lines are kept for at most 100 ms; a worker that is killed loses
 * those, one that ends writes them.  What the log's target has no room for is
 * tried again, and lost when there is too much of it: a request never waits for
 * it.
 */
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "http/http_internal.h"

#define KEEP_MS     100
#define FLUSH_BYTES 49152
#define KEPT_MAX    ((size_t)1 << 20) /* for a target without room */

struct http_accesslog {
	struct tl_buf lines;
	size_t full_bytes; /* so many before the next try by number */
	struct event *timer;
	bool armed;
	int64_t second;             /* of `when` */
	char when[TL_RFC3339_TEXT]; /* up to the seconds */
	size_t when_len;
	struct tl_buf fixed; /* level, process, pid, msg */
};

static void arm(struct http_accesslog *a)
{
	static const struct timeval keep = { 0, KEEP_MS * 1000 };

	if (a->armed)
		return;
	a->armed = true;
	event_add(a->timer, &keep);
}

static void flush(struct http_accesslog *a)
{
	struct tl_buf *b = &a->lines;
	size_t n = log_lines(LOG_LV_INFO, tl_buf_str(b));

	if (n < b->len && n > 0)
		memmove(b->ptr, b->ptr + n, b->len - n);
	b->len -= n;
	a->full_bytes = b->len + FLUSH_BYTES;
	if (b->len > 0)
		arm(a);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_accesslog *a = arg;

	(void)fd;
	(void)what;
	a->armed = false;
	flush(a);
}

static void put_time(struct http_accesslog *a, int64_t wall_us)
{
	struct tl_buf *b = &a->lines;
	char fraction[9] = ".000000Z";
	int64_t us = wall_us % 1000000;

	if (wall_us / 1000000 != a->second) {
		a->second = wall_us / 1000000;
		/* "2026-03-01T12:34:56Z": no fraction, and the Z goes */
		a->when_len =
			tl_rfc3339_format(a->second * 1000000, a->when) - 1;
	}
	for (int i = 6; i >= 1; i--) {
		fraction[i] = (char)('0' + us % 10);
		us /= 10;
	}
	HTTP_PUT(b, "{\"time\":\"");
	http_put(b, a->when, a->when_len);
	http_put(b, fraction, 8);
}

const char *http_method_name(unsigned method)
{
	switch (method) {
	case HTTP_GET:
		return "GET";
	case HTTP_HEAD:
		return "HEAD";
	case HTTP_POST:
		return "POST";
	case HTTP_PUT:
		return "PUT";
	case HTTP_DELETE:
		return "DELETE";
	case HTTP_OPTIONS:
		return "OPTIONS";
	case HTTP_PATCH:
		return "PATCH";
	default:
		return "OTHER";
	}
}

static void put_ids(struct tl_buf *b, const struct http_log_line *l)
{
	HTTP_PUT(b, ",\"user_id\":\"");
	http_put_uuid(b, l->user_id);
	HTTP_PUT(b, "\",\"key_id\":\"");
	http_put_uuid(b, l->key_id);
	HTTP_PUT(b, "\"");
}

static void put_stream(struct tl_buf *b, const struct http_log_line *l)
{
	HTTP_PUT(b, ",\"bytes\":");
	http_put_u64(b, l->bytes);
	HTTP_PUT(b, ",\"closed\":\"");
	http_put(b, l->closed, strlen(l->closed));
	HTTP_PUT(b, "\"");
}

static void put_tls_client(struct tl_buf *b, const struct http_tls_client *c)
{
	HTTP_PUT(b, ",\"tls_client\":");
	tl_buf_add_json(b, c->subject);
	HTTP_PUT(b, ",\"tls_client_serial\":");
	tl_buf_add_json(b, c->serial);
}

static void put_json(struct http *h, const struct http_log_line *l)
{
	struct http_accesslog *a = h->accesslog;
	struct tl_buf *b = &a->lines;
	const char *method = http_method_name(l->method);

	put_time(a, http_wall_us(h, l->end_mono_ns));
	http_put(b, a->fixed.ptr, a->fixed.len);
	http_put(b, l->request_id.ptr, l->request_id.len);
	HTTP_PUT(b, "\",\"method\":\"");
	http_put(b, method, strlen(method));
	HTTP_PUT(b, "\",\"path\":");
	tl_buf_add_json(b, l->path);
	HTTP_PUT(b, ",\"status\":");
	http_put_u64(b, l->status);
	HTTP_PUT(b, ",\"duration_us\":");
	http_put_u64(b, (l->end_mono_ns - l->start_mono_ns) / 1000);
	if (l->user_id != NULL)
		put_ids(b, l);
	if (l->trace_id[0] != '\0') {
		HTTP_PUT(b, ",\"trace_id\":\"");
		http_put(b, l->trace_id, strlen(l->trace_id));
		HTTP_PUT(b, "\"");
	}
	if (l->tls_client.serial.len > 0)
		put_tls_client(b, &l->tls_client);
	if (l->closed != NULL)
		put_stream(b, l);
	HTTP_PUT(b, "}\n");
}

void http_accesslog_put(struct http *h, const struct http_log_line *l)
{
	struct http_accesslog *a = h->accesslog;

	if (log_get_level() < LOG_LV_INFO)
		return;
	if (a->lines.len >= KEPT_MAX) {
		log_lost_add(1);
		return;
	}
	if (h->conf->log.access_format == CONF_ACCESS_COMBINED)
		http_combined_put(h, l, &a->lines);
	else
		put_json(h, l);
	if (a->lines.len >= a->full_bytes)
		flush(a);
	else
		arm(a);
}

void http_accesslog_init(struct http *h)
{
	struct http_accesslog *a;

	if (!h->conf->log.access)
		return;
	a = tl_alloc(sizeof(*a));
	a->second = -1;
	a->full_bytes = FLUSH_BYTES;
	tl_buf_init(&a->lines);
	tl_buf_init(&a->fixed);
	tl_buf_adds(&a->fixed, "\",\"level\":\"info\",\"process\":");
	tl_buf_add_json(&a->fixed, tl_str_c(log_process()));
	tl_buf_addf(&a->fixed,
		    ",\"pid\":%d,\"msg\":\"request\",\"request_id\":\"",
		    (int)getpid());
	a->timer = evtimer_new(h->base, on_timer, a);
	tl_assert(a->timer != NULL);
	h->accesslog = a;
}

void http_accesslog_deinit(struct http *h)
{
	struct http_accesslog *a = h->accesslog;

	if (a == NULL)
		return;
	flush(a);
	for (size_t i = 0; i < a->lines.len; i++)
		if (a->lines.ptr[i] == '\n')
			log_lost_add(1);
	event_free(a->timer);
	tl_buf_deinit(&a->lines);
	tl_buf_deinit(&a->fixed);
	tl_freep(&h->accesslog);
}
