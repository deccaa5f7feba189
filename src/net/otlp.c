/*
 * otlp.c - see otlp.h.
 */
#include "config.h"

#include "net/otlp.h"

#include <event2/event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "conf/conf.h"
#include "loop/co_step.h"
#include "net/fetch.h"

#define HEADERS_MAX       (CONF_TRACING_HEADERS_MAX + 2) /* ours first */
#define REPLY_MAX         65536
#define BACKOFF_MS        1000
#define BACKOFF_MAX       60000
#define RETRY_AFTER_MAX_S 3600
#define STEP_MORE_MS      1000

static struct {
	struct event_base *base;
	const struct conf *conf;
	struct co_step step;
	struct tl_buf head; /* what stands before the spans */
	struct fetch_header headers[HEADERS_MAX];
	char *names[HEADERS_MAX]; /* owned; headers point into them */
	uint32_t n_headers;
	uint32_t failures; /* in a row */
	uint64_t retry_mono_ms;
} otlp;

/* ---- what is sent ---- */

static void put_attr(struct tl_buf *b, const char *key, const char *value)
{
	tl_buf_addf(b, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	tl_buf_add_json(b, tl_str_c(value));
	tl_buf_adds(b, "}}");
}

static void make_head(const char *kind, uint32_t number)
{
	struct tl_buf *b = &otlp.head;
	char host[256] = "", process[64];

	(void)gethostname(host, sizeof(host) - 1);
	snprintf(process, sizeof(process), "%s/%u", kind, number);
	tl_buf_init(b);
	tl_buf_adds(b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	put_attr(b, "service.name", otlp.conf->tracing.service_name);
	tl_buf_addc(b, ',');
	put_attr(b, "service.version", PACKAGE_VERSION);
	tl_buf_addc(b, ',');
	put_attr(b, "service.instance.id", otlp.conf->server.instance);
	tl_buf_addc(b, ',');
	put_attr(b, "host.name", host);
	tl_buf_addc(b, ',');
	put_attr(b, "tallyd.process", process);
	tl_buf_addf(b,
		    ",{\"key\":\"process.pid\",\"value\":{\"intValue\":\"%d\"}}"
		    "]},\"scopeSpans\":[{\"scope\":{\"name\":\"tallyd\","
		    "\"version\":\"" PACKAGE_VERSION "\"},\"spans\":[",
		    (int)getpid());
}

static void add_header(const char *text)
{
	const char *eq = strchr(text, '=');
	char *name = tl_strdup(text);

	otlp.names[otlp.n_headers] = name;
	name[eq - text] = '\0';
	otlp.headers[otlp.n_headers++] =
		(struct fetch_header){ name, name + (eq - text) + 1 };
}

static void make_headers(void)
{
	const struct conf_strings *more = &otlp.conf->tracing.headers;

	otlp.n_headers = 0;
	add_header("Content-Type=application/json");
	add_header("User-Agent=tallyd/" PACKAGE_VERSION);
	for (size_t i = 0; i < more->n; i++)
		add_header(more->items[i]);
}

/* ---- how it went ---- */

static bool passes_by_itself(unsigned status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

static uint64_t pause_ms(const struct fetch_reply *reply)
{
	const char *after = fetch_reply_header(reply, "Retry-After");
	uint64_t s, ms = BACKOFF_MS;

	/* 0 would be a loop of calls */
	if (tl_parse_u64(tl_str_trim(tl_str_c(after)), 1, RETRY_AFTER_MAX_S,
			 &s))
		return s * 1000;
	for (uint32_t i = 1; i < otlp.failures && ms < BACKOFF_MAX; i++)
		ms *= 2;
	return ms < BACKOFF_MAX ? ms : BACKOFF_MAX;
}

static void try_later(const struct fetch_reply *reply, const char *why)
{
	uint64_t ms;

	otlp.failures++;
	ms = pause_ms(reply);
	otlp.retry_mono_ms = tl_mono_ms() + ms;
	if (otlp.failures == 1) /* and then again when it is over */
		log_warn("export of spans failed: %s; retry in %llu ms", why,
			 (unsigned long long)ms);
}

/* {"partialSuccess":{"rejectedSpans":"3"}}, with or without the quotes. */
static uint32_t refused_of(const struct fetch_reply *reply, uint32_t n)
{
	static const char name[] = "\"rejectedSpans\"";
	const char *at = strstr(reply->body.ptr, name);
	uint64_t refused = 0;

	if (at == NULL)
		return 0;
	at += sizeof(name) - 1;
	at += strspn(at, " \t\r\n:\"");
	for (; *at >= '0' && *at <= '9' && refused < n; at++)
		refused = refused * 10 + (uint64_t)(*at - '0');
	return refused < n ? (uint32_t)refused : n;
}

static void taken(const struct fetch_reply *reply, uint32_t n)
{
	if (otlp.failures > 0)
		log_info("export of spans works again");
	otlp.failures = 0;
	spans_done(n, refused_of(reply, n));
}

/* Suspends: yes. */
static void send_batch(void)
{
	struct fetch_request rq = {
		.method = "POST",
		.url = otlp.conf->tracing.endpoint,
		.headers = otlp.headers,
		.n_headers = otlp.n_headers,
		.timeout_ms = otlp.conf->tracing.timeout_ms,
		.response_max_bytes = REPLY_MAX,
	};
	struct fetch_reply reply;
	struct tl_buf body;
	struct tl_err err;
	enum tl_status st;
	char words[64];
	uint32_t n;

	tl_buf_init(&body);
	tl_buf_add(&body, otlp.head.ptr, otlp.head.len);
	n = spans_peek(&body, otlp.conf->tracing.batch_spans);
	tl_buf_adds(&body, "]}]}]}");
	rq.body = body.ptr;
	rq.body_bytes = body.len;
	st = fetch(&rq, &reply, &err);
	snprintf(words, sizeof(words), "answer %u", (unsigned)reply.status);
	if (st != TL_OK) {
		try_later(&reply, err.text);
	} else if (reply.status >= 200 && reply.status < 300) {
		taken(&reply, n);
	} else if (passes_by_itself(reply.status)) {
		try_later(&reply, words);
	} else {
		log_warn("collector refused %u spans: answer %u; dropping them",
			 n, (unsigned)reply.status);
		spans_done(n, n);
	}
	fetch_reply_deinit(&reply);
	tl_buf_deinit(&body);
}

/* ---- when ---- */

static uint64_t step(void *arg)
{
	uint32_t left;

	(void)arg;
	if (spans_waiting() > 0)
		send_batch();
	left = spans_waiting();
	if (left == 0)
		return CO_STEP_NEVER;
	if (otlp.failures > 0)
		return otlp.retry_mono_ms;
	return left >= otlp.conf->tracing.batch_spans
		       ? CO_STEP_NOW
		       : tl_mono_ms() + otlp.conf->tracing.interval_ms;
}

static void on_span(uint32_t n)
{
	if (otlp.failures > 0 || otlp.step.running)
		return; /* it knows by itself when to go on */
	if (n >= otlp.conf->tracing.batch_spans)
		co_step_at(&otlp.step, CO_STEP_NOW);
	else if (n == 1)
		co_step_at(&otlp.step,
			   tl_mono_ms() + otlp.conf->tracing.interval_ms);
}

void otlp_open(struct event_base *base, const struct conf *conf,
	       const char *kind, uint32_t number)
{
	if (conf->tracing.endpoint[0] == '\0')
		return;
	otlp.base = base;
	otlp.conf = conf;
	otlp.failures = 0;
	make_head(kind, number);
	make_headers();
	co_step_init(&otlp.step, base, step, NULL,
		     conf->tracing.timeout_ms + STEP_MORE_MS);
	spans_open(conf->tracing.queue_spans, on_span);
}

void otlp_flush(uint32_t limit_ms)
{
	struct timeval limit = { .tv_sec = limit_ms / 1000,
				 .tv_usec = limit_ms % 1000 * 1000 };
	uint64_t due_mono_ms = tl_mono_ms() + limit_ms;

	if (otlp.base == NULL)
		return;
	event_base_loopexit(otlp.base, &limit);
	while (spans_waiting() > 0 && otlp.failures == 0 &&
	       tl_mono_ms() < due_mono_ms) {
		co_step_at(&otlp.step, CO_STEP_NOW);
		event_base_loop(otlp.base, EVLOOP_ONCE);
	}
}

void otlp_close(void)
{
	if (otlp.base == NULL)
		return;
	spans_close();
	co_step_stop(&otlp.step);
	co_step_deinit(&otlp.step);
	tl_buf_deinit(&otlp.head);
	for (uint32_t i = 0; i < otlp.n_headers; i++)
		tl_freep(&otlp.names[i]);
	otlp.base = NULL;
}
