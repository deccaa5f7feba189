/*
 * router.c - see router.h.
 */
#include "http/router.h"

#include <stdlib.h>

#include "http/http_internal.h"

struct segment {
	struct tl_str text; /* literal, or the name of the parameter */
	bool param;
	bool rest; /* "*", the last one: whatever follows */
};
struct entry { /* one path and the routes of its methods */
	struct tl_str path;
	const struct route **routes;
	uint32_t n_routes;
	unsigned allowed;
	bool open;
	struct segment *segments; /* NULL: no parameter in it */
	uint32_t n_segments;
	struct entry *next; /* in the hash bucket */
};
struct router {
	struct entry *entries;
	uint32_t n_entries;
	struct entry **buckets; /* exact paths */
	uint32_t mask;
	struct entry **patterns; /* sorted: literals first */
	uint32_t n_patterns;
};

/*
 * FNV-1a (Fowler, Noll, Vo).  Nothing is inserted on a client's behalf, so
 * nobody can make the buckets long.
 */
static uint32_t hash_path(struct tl_str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
	return h;
}

static unsigned with_head(unsigned methods)
{
	return methods | ((methods & HTTP_GET) != 0 ? HTTP_HEAD : 0u);
}

static struct entry *entry_of(struct router *r, struct tl_str path)
{
	for (uint32_t i = 0; i < r->n_entries; i++)
		if (tl_str_eq(r->entries[i].path, path))
			return &r->entries[i];
	r->entries[r->n_entries].path = path;
	r->entries[r->n_entries].open = true;
	return &r->entries[r->n_entries++];
}

static bool id_is_taken(const struct router *r, const char *id)
{
	for (uint32_t i = 0; i < r->n_entries; i++)
		for (uint32_t j = 0; j < r->entries[i].n_routes; j++)
			if (strcmp(r->entries[i].routes[j]->id, id) == 0)
				return true;
	return false;
}

/* Does the row say one thing only?  The description and the tests of replies
 * are made of it, and would be wrong without a word. */
static enum tl_status check_row(const struct router *r,
				const struct route *route, struct tl_err *err)
{
	unsigned kind =
		route->flags & (ROUTE_LIST | ROUTE_CREATED | ROUTE_EVENTS);
	const char *why = NULL;

	if (route->path[0] != '/' || route->handler == NULL)
		why = "has no handler or no '/'";
	else if (route->id == NULL || route->id[0] == '\0')
		why = "has no id";
	else if (id_is_taken(r, route->id))
		why = "has the id of another";
	else if (kind != 0 && route->out == NULL)
		why = "is a list, creates or streams, and has no shape of its "
		      "reply";
	else if ((kind & (kind - 1)) != 0)
		why = "is two of: a list, what creates, a stream";
	else if (kind == ROUTE_EVENTS && (route->flags & ROUTE_INLINE) == 0)
		why = "is a stream and a coroutine";
	else if (route->out != NULL && route->content_type != NULL)
		why = "has a shape and another content type";
	else if ((route->auth == AUTH_SELF) != (route->caller != NULL))
		why = "decides by itself and does not say for whom, or says "
		      "so and does not";
	if (why == NULL)
		return TL_OK;
	return tl_err_set(err, TL_INVALID, "route '%s' %s", route->path, why);
}

static enum tl_status add_route(struct router *r, const struct route *route,
				struct tl_err *err)
{
	enum tl_status st = check_row(r, route, err);
	struct entry *e;

	if (st != TL_OK)
		return st;
	e = entry_of(r, tl_str_c(route->path));
	if ((e->allowed & with_head(route->methods)) != 0)
		return tl_err_set(err, TL_INVALID,
				  "route '%s' is there twice for a method",
				  route->path);
	e->allowed |= with_head(route->methods);
	e->open = e->open && route->auth == AUTH_NONE;
	e->routes = tl_realloc(e->routes,
			       (e->n_routes + 1) * sizeof(struct route *));
	e->routes[e->n_routes++] = route;
	return TL_OK;
}

static enum tl_status cut_segments(struct entry *e, struct tl_err *err)
{
	struct tl_str rest = { e->path.ptr + 1, e->path.len - 1 }, piece;
	uint32_t n_params = 0;
	bool has_rest = false;

	if (memchr(e->path.ptr, '{', e->path.len) == NULL &&
	    e->path.ptr[e->path.len - 1] != '*')
		return TL_OK;
	while (tl_str_split(&rest, '/', &piece)) {
		struct segment s = { piece, false,
				     tl_str_eq(piece, TL_STR("*")) };

		if (s.rest && rest.len > 0)
			return tl_err_set(err, TL_INVALID,
					  "route '%s': * must come last",
					  e->path.ptr);
		has_rest |= s.rest;

		if (piece.len > 2 && piece.ptr[0] == '{' &&
		    piece.ptr[piece.len - 1] == '}') {
			s.text =
				(struct tl_str){ piece.ptr + 1, piece.len - 2 };
			s.param = true;
			n_params++;
		}
		e->segments = tl_realloc(e->segments,
					 (e->n_segments + 1) * sizeof(s));
		e->segments[e->n_segments++] = s;
	}
	if ((n_params == 0 && !has_rest) || n_params > HTTP_PARAMS_MAX)
		return tl_err_set(err, TL_INVALID,
				  "route '%s' has a bad parameter",
				  e->path.ptr);
	return TL_OK;
}

/* At the first segment where two patterns differ the literal goes first.  The
 * one that is the other's beginning goes first too: no path fits both, but
 * without an order for each two of them the sort has none for the third. */
static int compare_patterns(const void *va, const void *vb)
{
	const struct entry *a = *(struct entry *const *)va;
	const struct entry *b = *(struct entry *const *)vb;

	for (uint32_t i = 0; i < a->n_segments && i < b->n_segments; i++)
		if (a->segments[i].rest != b->segments[i].rest)
			return a->segments[i].rest ? 1 : -1;
		else if (a->segments[i].param != b->segments[i].param)
			return a->segments[i].param ? 1 : -1;
	return a->n_segments > b->n_segments   ? 1
	       : a->n_segments < b->n_segments ? -1
					       : 0;
}

static void index_entries(struct router *r)
{
	uint32_t n_buckets = 16;

	while (n_buckets < 2 * r->n_entries)
		n_buckets *= 2;
	r->mask = n_buckets - 1;
	r->buckets = tl_alloc_array(n_buckets, sizeof(*r->buckets));
	r->patterns = tl_alloc_array(r->n_entries + 1, sizeof(*r->patterns));
	for (uint32_t i = 0; i < r->n_entries; i++) {
		struct entry *e = &r->entries[i], **bucket;

		if (e->segments != NULL) {
			r->patterns[r->n_patterns++] = e;
			continue;
		}
		bucket = &r->buckets[hash_path(e->path) & r->mask];
		e->next = *bucket;
		*bucket = e;
	}
	qsort(r->patterns, r->n_patterns, sizeof(*r->patterns),
	      compare_patterns);
}

enum tl_status router_new(const struct route *const *tables,
			  struct router **r_r, struct tl_err *err)
{
	struct router *r = tl_alloc(sizeof(*r));
	enum tl_status st = TL_OK;
	uint32_t n = 0;

	for (uint32_t t = 0; tables[t] != NULL; t++)
		for (const struct route *x = tables[t]; x->path != NULL; x++)
			n++;
	r->entries = tl_alloc_array(n + 1, sizeof(*r->entries));
	for (uint32_t t = 0; tables[t] != NULL && st == TL_OK; t++)
		for (const struct route *x = tables[t];
		     x->path != NULL && st == TL_OK; x++)
			st = add_route(r, x, err);
	for (uint32_t i = 0; i < r->n_entries && st == TL_OK; i++)
		st = cut_segments(&r->entries[i], err);
	if (st != TL_OK) {
		router_free(&r);
		return st;
	}
	index_entries(r);
	*r_r = r;
	return TL_OK;
}

void router_free(struct router **rp)
{
	struct router *r = *rp;

	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->n_entries; i++) {
		tl_free(r->entries[i].routes);
		tl_free(r->entries[i].segments);
	}
	tl_free(r->entries);
	tl_free(r->buckets);
	tl_free(r->patterns);
	tl_freep(rp);
}

static bool match_pattern(const struct entry *e, struct tl_str path,
			  struct router_match *m)
{
	size_t at = 1; /* behind the first '/' */

	m->n_params = 0;
	for (uint32_t i = 0; i < e->n_segments; i++) {
		const struct segment *s = &e->segments[i];
		const char *end;
		struct tl_str piece;

		if (at > path.len)
			return false;
		if (s->rest)
			return true;
		end = memchr(path.ptr + at, '/', path.len - at);
		piece.ptr = path.ptr + at;
		piece.len =
			end != NULL ? (size_t)(end - piece.ptr) : path.len - at;
		at += piece.len + 1;
		if (!s->param) {
			if (!tl_str_eq(piece, s->text))
				return false;
			continue;
		}
		if (piece.len == 0)
			return false;
		m->params[m->n_params++] =
			(struct http_param){ s->text, piece };
	}
	return at == path.len + 1;
}

void router_find(const struct router *r, unsigned method, struct tl_str path,
		 struct router_match *m)
{
	const struct entry *e = r->buckets[hash_path(path) & r->mask];

	m->route = NULL;
	m->allowed = 0;
	m->open_path = false;
	m->n_params = 0;
	while (e != NULL && !tl_str_eq(e->path, path))
		e = e->next;
	for (uint32_t i = 0; e == NULL && i < r->n_patterns; i++)
		if (match_pattern(r->patterns[i], path, m))
			e = r->patterns[i];
	if (e == NULL)
		return;
	m->allowed = e->allowed;
	m->open_path = e->open;
	for (uint32_t i = 0; i < e->n_routes; i++) {
		if ((with_head(e->routes[i]->methods) & method) != 0) {
			m->route = e->routes[i];
			return;
		}
	}
}

size_t router_allow(unsigned methods, char dst[ROUTER_ALLOW_TEXT])
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{ HTTP_GET, "GET" },       { HTTP_HEAD, "HEAD" },
		{ HTTP_POST, "POST" },     { HTTP_PUT, "PUT" },
		{ HTTP_DELETE, "DELETE" }, { HTTP_OPTIONS, "OPTIONS" },
		{ HTTP_PATCH, "PATCH" },
	};
	size_t n = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((methods & names[i].bit) == 0)
			continue;
		if (n > 0) {
			memcpy(dst + n, ", ", 3);
			n += 2;
		}
		memcpy(dst + n, names[i].name, strlen(names[i].name) + 1);
		n += strlen(names[i].name);
	}
	return n;
}
