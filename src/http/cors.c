/*
 * cors.c - requests from browsers on other origins (metering.md 4.2).
 *
 * `Vary: Origin` is one of the constant lines of every reply; here is what
 * only an allowed origin gets.  `*` is never sent, credentials never allowed.
 */
#include "http/http_internal.h"

void http_cors_note(struct req *req)
{
	const struct conf_strings *allowed =
		&req->http->conf->server.allowed_origins;
	struct tl_str origin = req->priv->g.h[GH_ORIGIN];

	if (origin.len == 0)
		return;
	for (size_t i = 0; i < allowed->n && !req->priv->cors; i++)
		req->priv->cors =
			tl_str_eq(origin, tl_str_c(allowed->items[i]));
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
			       "Idempotency-Key, X-Request-Id");
		req_header_add(req, "Access-Control-Max-Age", "600");
	}
	req_reply_buf(req, 204, (struct tl_str){ NULL, 0 });
	return true;
}

void http_cors_headers(const struct req *req, struct tl_buf *b)
{
	if (!req->priv->cors)
		return;
	HTTP_PUT(b, "Access-Control-Allow-Origin: ");
	http_put(b, req->priv->g.h[GH_ORIGIN].ptr,
		 req->priv->g.h[GH_ORIGIN].len);
	HTTP_PUT(b, "\r\nAccess-Control-Expose-Headers: X-RateLimit-Limit, "
		    "X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, "
		    "RateLimit-Policy, Retry-After, Link, X-Request-Id\r\n");
}
