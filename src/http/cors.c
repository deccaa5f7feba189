/*
 * cors.c - requests from browsers on other origins (metering.md 4.2).
 *
 * `Vary: Origin` is one of the constant lines of every reply; here is what
 * only an allowed origin gets.  `*` is never sent, credentials never allowed.
 */
#include "http/http_internal.h"

bool http_cors_allows(const struct conf *conf, struct tl_str origin)
{
	const struct conf_strings *allowed = &conf->server.allowed_origins;

	for (size_t i = 0; i < allowed->n && origin.len > 0; i++)
		if (tl_str_eq(origin, tl_str_c(allowed->items[i])))
			return true;
	return false;
}

void http_cors_note(struct req *req)
{
	req->priv->cors =
		http_cors_allows(req->http->conf, req->priv->g.h[GH_ORIGIN]);
}

bool http_cors_preflight(struct req *req)
{
	const struct guard_out *g = &req->priv->g;

	if (req->method != HTTP_OPTIONS || g->h[GH_ORIGIN].len == 0 ||
	    g->h[GH_PREFLIGHT].len == 0)
		return false;
	if (req->priv->cors) {
		req_header_add(req, "Access-Control-Allow-Methods",
			       "GET, POST, PATCH, DELETE, OPTIONS");
		req_header_add(req, "Access-Control-Allow-Headers",
			       "Authorization, Content-Type, X-API-Key, "
			       "Idempotency-Key, Last-Event-ID, X-Request-Id");
		req_header_add(req, "Access-Control-Max-Age", "600");
	}
	req_reply_buf(req, 204, (struct tl_str){ NULL, 0 });
	return true;
}

void http_cors_headers(const struct req *req, struct tl_buf *b)
{
	if (req->priv->cors)
		http_cors_put(req->priv->g.h[GH_ORIGIN], b);
}

void http_cors_put(struct tl_str origin, struct tl_buf *b)
{
	HTTP_PUT(b, "Access-Control-Allow-Origin: ");
	http_put(b, origin.ptr, origin.len);
	HTTP_PUT(b, "\r\nAccess-Control-Expose-Headers: X-RateLimit-Limit, "
		    "X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, "
		    "RateLimit-Policy, Retry-After, Link, X-Request-Id\r\n");
}
