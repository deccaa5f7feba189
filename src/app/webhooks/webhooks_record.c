/*
 * webhooks_record.c - see webhooks_record.h.
 */
#include "config.h"

#include "app/webhooks/webhooks_record.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "codec/doc.h"
#include "net/fetch.h"

#define HEADER_MAX      512  /* bytes of a value */
#define BODY_MAX        2048 /* bytes of a text */
#define RETRY_AFTER_MAX 3600 /* seconds */

/* Up to max bytes; what is no UTF-8, and NUL, which JSON of PostgreSQL can
 * not hold, becomes '?'. */
static struct tl_str clean(struct tl_arena *a, struct tl_str s, size_t max)
{
	struct tl_buf b;
	struct tl_str out;

	tl_buf_init(&b);
	while (s.len > 0) {
		size_t n = tl_utf8_next(s);

		if (b.len + (n > 0 ? n : 1) > max)
			break;
		if (n == 0 || *s.ptr == '\0')
			tl_buf_addc(&b, '?');
		else
			tl_buf_add(&b, s.ptr, n);
		n = n > 0 ? n : 1;
		s.ptr += n;
		s.len -= n;
	}
	out.len = b.len;
	out.ptr = tl_arena_strndup(a, b.len > 0 ? b.ptr : "", b.len);
	tl_buf_deinit(&b);
	return out;
}

struct tl_str webhook_request_json(struct tl_arena *a,
				   const struct fetch_request *rq)
{
	struct doc *d = doc_object(a), *h = doc_object(a);

	doc_set(a, d, "method", doc_str(a, tl_str_c(rq->method)));
	doc_set(a, d, "url", doc_str(a, tl_str_c(rq->url)));
	for (uint32_t i = 0; i < rq->n_headers; i++)
		doc_set(a, h, rq->headers[i].name,
			doc_str(a, tl_str_c(rq->headers[i].value)));
	doc_set(a, d, "headers", h);
	return doc_json(a, d);
}

static const struct doc *kept_headers(struct tl_arena *a,
				      const struct fetch_reply *reply)
{
	static const char *const names[] = { "content-type", "content-length",
					     "date", "x-request-id",
					     "x-correlation-id" };
	struct doc *h = doc_object(a);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = fetch_reply_header(reply, names[i]);

		if (v != NULL)
			doc_set(a, h, names[i],
				doc_str(a, clean(a, tl_str_c(v), HEADER_MAX)));
	}
	return h;
}

static bool is_text(const struct fetch_reply *reply)
{
	static const char *const types[] = { "application/json",
					     "application/problem+json",
					     "text/plain" };
	const char *type = fetch_reply_header(reply, "content-type");

	for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]);
	     i++) {
		size_t n = strlen(types[i]);

		if (strncasecmp(type, types[i], n) == 0 &&
		    (type[n] == '\0' || strchr("; \t", type[n]) != NULL))
			return true;
	}
	return false;
}

struct tl_str webhook_response_json(struct tl_arena *a,
				    const struct fetch_reply *reply,
				    bool with_body)
{
	struct tl_str body = { reply->body.ptr, reply->body.len };
	struct doc *d = doc_object(a);

	doc_set(a, d, "status", doc_int(a, reply->status));
	doc_set(a, d, "reason",
		doc_str(a, clean(a, tl_str_c(reply->reason), HEADER_MAX)));
	doc_set(a, d, "headers", kept_headers(a, reply));
	if (with_body && body.len == 0)
		doc_set(a, d, "body_omitted",
			doc_str(a, TL_STR("there was none")));
	else if (with_body && !is_text(reply))
		doc_set(a, d, "body_omitted",
			doc_str(a, TL_STR("neither JSON nor plain text")));
	else if (with_body)
		doc_set(a, d, "body", doc_str(a, clean(a, body, BODY_MAX)));
	return doc_json(a, d);
}

uint64_t webhook_retry_after_ms(const struct fetch_reply *reply, int64_t now_s)
{
	const char *text = fetch_reply_header(reply, "retry-after");
	int64_t s = 0;
	struct tm tm;
	const char *end;

	if (text == NULL)
		return 0;
	memset(&tm, 0, sizeof(tm));
	if (!tl_parse_i64(tl_str_trim(tl_str_c(text)), 0, INT64_MAX, &s)) {
		end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s = end != NULL && *end == '\0' ? timegm(&tm) - now_s : 0;
	}
	if (s <= 0)
		return 0;
	return (uint64_t)(s < RETRY_AFTER_MAX ? s : RETRY_AFTER_MAX) * 1000;
}
