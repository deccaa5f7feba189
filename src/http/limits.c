/*
 * limits.c - the rate-limit header lines of gate.md section 5.
 *
 * Written on nearly every reply, so by hand: digits and copies, no printf.
 */
#include "http/http_internal.h"

static uint64_t seconds_up(uint64_t ms)
{
	return (ms + 999) / 1000;
}

/* A good key was asked about: its own limit then comes first.  What an
 * address is refused for tells nothing of a revoked key's account. */
static bool of_good_key(const struct decide_out *d)
{
	return d->have_key && tl_str_eq((struct tl_str){ d->rates[0].name,
							 d->rates[0].name_len },
					TL_STR("key"));
}

/* "key";q=100;w=60 - and a shadow limit refuses nothing, so it is left out */
static void put_policy(struct tl_buf *b, const struct decide_out *d, bool quota)
{
	bool first = true;

	HTTP_PUT(b, "RateLimit-Policy: ");
	for (uint32_t i = 0; i < d->n_rates; i++) {
		const struct decide_rate *r = &d->rates[i];

		if (r->shadow)
			continue;
		if (!first)
			HTTP_PUT(b, ", ");
		first = false;
		HTTP_PUT(b, "\"");
		http_put(b, r->name, r->name_len);
		HTTP_PUT(b, "\";q=");
		http_put_u64(b, r->per_window);
		HTTP_PUT(b, ";w=");
		http_put_u64(b, seconds_up(r->window_ms));
	}
	if (quota && of_good_key(d)) {
		if (!first)
			HTTP_PUT(b, ", ");
		HTTP_PUT(b, "\"credits\";q=");
		http_put_u64(b, d->credits_limit);
		HTTP_PUT(b, ";w=86400");
	}
	HTTP_PUT(b, "\r\n");
}

void http_limit_headers(const struct req *req, struct tl_buf *b)
{
	const struct decide_out *d = &req->d;
	const struct decide_rate *t;
	uint64_t wall_ms;

	if (!req->d_valid || d->n_rates == 0 || d->tightest >= d->n_rates)
		return;
	t = &d->rates[d->tightest];
	wall_ms = (uint64_t)http_wall_us(req->http, req->start_mono_ns) / 1000;
	HTTP_PUT(b, "X-RateLimit-Limit: ");
	http_put_u64(b, t->limit);
	HTTP_PUT(b, "\r\nX-RateLimit-Remaining: ");
	http_put_u64(b, t->remaining);
	HTTP_PUT(b, "\r\nX-RateLimit-Reset: ");
	http_put_u64(b, seconds_up(wall_ms + t->reset_ms));
	HTTP_PUT(b, "\r\n");
	put_policy(b, d, req->http->decide.rules.quota_enabled);
	HTTP_PUT(b, "RateLimit: \"");
	http_put(b, t->name, t->name_len);
	HTTP_PUT(b, "\";r=");
	http_put_u64(b, t->remaining);
	HTTP_PUT(b, ";t=");
	http_put_u64(b, seconds_up(t->reset_ms));
	HTTP_PUT(b, "\r\n");
}
