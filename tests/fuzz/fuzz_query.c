/*
 * fuzz_query.c - the path to a route, the query to parameters.
 *
 * The router finds what trying every row in order of preference finds.
 * Pairs of the query are those of a plain reading, and a route's query shape
 * takes exactly what its words say, the first of each name.
 */
#include <stdarg.h>
#include <stdio.h>

#include "http/http_internal.h"
#include "http/router.h"
#include "tests/fuzz/fuzz.h"

static bool refused;

/* Of reply.c; here it only takes note. */
void req_fail(struct req *req, unsigned status, const char *code,
	      const char *fmt, ...)
{
	char text[600];
	va_list ap;

	(void)req;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tl_assert(status == 400 && strcmp(code, "bad_request") == 0);
	tl_assert(text[0] != '\0');
	refused = true;
}

static void handler(struct req *req)
{
	(void)req;
}

/* ---- routes ---- */

#define ROW(m, p)                                                              \
	{                                                                      \
		.id = #m " " p, .methods = (m), .path = (p), .auth = AUTH_KEY, \
		.handler = handler                                             \
	}
/* In no order, so that the router has to make one. */
static const struct route routes[] = {
	ROW(HTTP_GET, "/a/*"),      ROW(HTTP_GET, "/a/{x}/{y}"),
	ROW(HTTP_POST, "/a/{x}"),   ROW(HTTP_PUT, "/a/{x}/b"),
	ROW(HTTP_GET, "/a"),        ROW(HTTP_DELETE, "/a/b/{z}/c"),
	ROW(HTTP_GET, "/a/b"),      ROW(HTTP_PATCH, "/{w}/b"),
	ROW(HTTP_POST, "/a/{x}/*"), ROW(HTTP_POST | HTTP_GET, "/c/{x}/d/{y}"),
	ROW(HTTP_GET, "/c/{x}/d"),  ROW(HTTP_GET, "/c/e/{x}/{y}"),
	ROW(HTTP_GET, "/"),         { .path = NULL },
};

/* Kinds of the segments as letters that sort by preference; false: the
 * pattern does not fit. */
static bool fits(const char *pattern, struct tl_str path, char kinds[16])
{
	struct tl_str p = tl_str_c(pattern + 1);
	size_t at = 1, n = 0;

	if (path.len == 0)
		return false;
	for (;;) {
		const char *pe = memchr(p.ptr, '/', p.len);
		size_t pn = pe != NULL ? (size_t)(pe - p.ptr) : p.len;
		const char *se = memchr(path.ptr + at, '/', path.len - at);
		size_t sn = se != NULL ? (size_t)(se - path.ptr) - at
				       : path.len - at;

		kinds[n + 1] = '\0';
		if (pn == 1 && p.ptr[0] == '*') {
			kinds[n] = 'c';
			return true;
		}
		kinds[n++] = pn > 0 && p.ptr[0] == '{' ? 'b' : 'a';
		if (kinds[n - 1] == 'b'
			    ? sn == 0
			    : sn != pn || memcmp(p.ptr, path.ptr + at, sn) != 0)
			return false;
		if (pe == NULL || se == NULL)
			return pe == NULL && se == NULL;
		p = (struct tl_str){ pe + 1, p.len - pn - 1 };
		at += sn + 1;
	}
}

static bool literal(const char *pattern)
{
	return strchr(pattern, '{') == NULL && strchr(pattern, '*') == NULL;
}

static void check_route(const struct router *r, unsigned method,
			struct tl_str path)
{
	const char *want = NULL;
	char best[16] = "", kinds[16];
	struct router_match m;

	for (const struct route *x = routes; x->path != NULL; x++) {
		if (!fits(x->path, path, kinds))
			continue;
		if (want == NULL ||
		    (!literal(want) &&
		     (literal(x->path) || strcmp(kinds, best) < 0))) {
			want = x->path;
			memcpy(best, kinds, sizeof(best));
		}
	}
	router_find(r, method, path, &m);
	tl_assert((m.allowed != 0) == (want != NULL));
	tl_assert(m.route == NULL || strcmp(m.route->path, want) == 0);
	tl_assert(m.route == NULL || (m.allowed & method) != 0);
	tl_assert(m.route != NULL || (m.allowed & method) == 0);
	for (uint32_t i = 0; m.allowed != 0 && i < m.n_params; i++)
		tl_assert(m.params[i].value.len > 0 &&
			  memchr(m.params[i].value.ptr, '/',
				 m.params[i].value.len) == NULL);
}

/* ---- parameters ---- */

struct params {
	int64_t n;
	bool all, has_q;
	struct tl_str q;
};
#define P(m) offsetof(struct params, m)
static const struct shape_field param_fields[] = {
	{ "n", SHAPE_INT, 0, P(n), SHAPE_NO_OFFSET, 1, 1000, NULL, "" },
	{ "all", SHAPE_BOOL, 0, P(all), SHAPE_NO_OFFSET, 0, 0, NULL, "" },
	{ "q", SHAPE_STR, SHAPE_NO_CONTROL, P(q), P(has_q), 1, 5, NULL, "" },
	{ .name = NULL },
};
static const struct shape param_shape = { "Params", sizeof(struct params),
					  param_fields };
static const struct route list_route = { .query = &param_shape };

static int hex(char c)
{
	const char *digits = "0123456789abcdefABCDEF", *at = strchr(digits, c);

	if (c == '\0' || at == NULL)
		return -1;
	return at - digits > 15 ? (int)(at - digits) - 6 : (int)(at - digits);
}

static size_t decode(struct tl_str s, char *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		dst[n] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
		if (s.ptr[i] == '%' && i + 2 < s.len &&
		    hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
			dst[n] = (char)(hex(s.ptr[i + 1]) * 16 +
					hex(s.ptr[i + 2]));
			i += 2;
		}
		n++;
	}
	return n;
}

/* What the shape says of one value; only the first of a name is asked. */
static bool good(struct params *p, struct tl_str name, struct tl_str value)
{
	if (tl_str_eq(name, TL_STR("n"))) {
		size_t minus = value.len > 0 && value.ptr[0] == '-';
		int64_t v = 0;

		for (size_t i = minus; i < value.len; i++) {
			if (value.ptr[i] < '0' || value.ptr[i] > '9' ||
			    v > 1000)
				return false;
			v = v * 10 + value.ptr[i] - '0';
		}
		p->n = v;
		return value.len > minus && minus == 0 && v >= 1 && v <= 1000;
	}
	if (tl_str_eq(name, TL_STR("all"))) {
		p->all = tl_str_eq(value, TL_STR("1"));
		return p->all || tl_str_eq(value, TL_STR("0"));
	}
	if (tl_str_eq(name, TL_STR("q"))) {
		size_t points = 0;

		for (size_t i = 0; i < value.len; i++)
			points += (value.ptr[i] & 0xc0) != 0x80;
		p->q = value;
		return utf8_strict(value) && points >= 1 && points <= 5 &&
		       !tl_has_control(value);
	}
	return true;
}

static bool seen_before(uint32_t *seen, struct tl_str name)
{
	static const char *const names[] = { "n", "all", "q" };

	for (uint32_t i = 0; i < 3; i++) {
		if (!tl_str_eq(name, tl_str_c(names[i])))
			continue;
		if ((*seen >> i & 1) != 0)
			return true;
		*seen |= 1U << i;
	}
	return false;
}

/* The next pair that is not empty, decoded. */
static bool next_pair(struct tl_arena *a, struct tl_str *rest,
		      struct tl_str *name, struct tl_str *value)
{
	struct tl_str pair;
	const char *end, *eq;
	char *copy;

	do {
		if (rest->len == 0)
			return false;
		end = memchr(rest->ptr, '&', rest->len);
		pair = *rest;
		if (end != NULL)
			pair.len = (size_t)(end - rest->ptr);
		rest->ptr += pair.len + (end != NULL);
		rest->len -= pair.len + (end != NULL);
	} while (pair.len == 0);
	eq = memchr(pair.ptr, '=', pair.len);
	*name = *value = pair;
	if (eq != NULL)
		name->len = (size_t)(eq - pair.ptr);
	value->len = eq != NULL ? pair.len - name->len - 1 : 0;
	value->ptr = pair.ptr + pair.len - value->len;
	copy = tl_arena_alloc(a, pair.len + 1);
	*name = (struct tl_str){ copy, decode(*name, copy) };
	copy += name->len;
	*value = (struct tl_str){ copy, decode(*value, copy) };
	return true;
}

static void check_query(struct req *req)
{
	struct tl_str rest = req->query, plain = req->query;
	struct tl_str name, value, key, val;
	struct params want = { .n = 7 }, got = want;
	bool all_good = true;
	uint32_t seen = 0;

	while (next_pair(&req->arena, &plain, &key, &val)) {
		tl_assert(req_query_next(req, &rest, &name, &value));
		tl_assert(tl_str_eq(name, key) && tl_str_eq(value, val));
		if (!seen_before(&seen, key))
			all_good &= good(&want, key, val);
	}
	tl_assert(!req_query_next(req, &rest, &name, &value));
	refused = false;
	tl_assert(req_query(req, &got) == all_good && refused == !all_good);
	tl_assert(!all_good || (got.n == want.n && got.all == want.all &&
				tl_str_eq(got.q, want.q) &&
				got.has_q == ((seen >> 2 & 1) != 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct route *const tables[] = { routes, NULL };
	static struct router *router;
	static struct http_req whole;
	struct req *req = &whole.req;
	struct fuzz_bytes b = { data, size };
	unsigned method = 1U << fuzz_u8(&b) % 8;
	struct tl_str path = fuzz_rest(&b);
	const char *question;

	if (router == NULL)
		tl_assert(router_new(tables, &router, NULL) == TL_OK);
	if (path.len == 0 || path.ptr[0] != '/')
		return -1; /* the guard has seen to it */
	question = memchr(path.ptr, '?', path.len);
	req->query = (struct tl_str){ path.ptr, 0 };
	if (question != NULL) {
		req->query.ptr = question + 1;
		req->query.len = (size_t)(path.ptr + path.len - req->query.ptr);
		path.len = (size_t)(question - path.ptr);
	}
	req->priv = &whole.priv;
	req->route = &list_route;
	tl_arena_init(&req->arena);
	check_route(router, method, path);
	check_query(req);
	tl_arena_deinit(&req->arena);
	return 0;
}
