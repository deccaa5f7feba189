#include "lib/shapecheck.h"

#include <check.h>
#include <string.h>

#include "app/app.h"
#include "http/http_internal.h"
#include "http/openapi.h"
#include "http/router.h"

static unsigned method_bit(const char *method)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {
		{ "GET", HTTP_GET },       { "HEAD", HTTP_HEAD },
		{ "POST", HTTP_POST },     { "PUT", HTTP_PUT },
		{ "DELETE", HTTP_DELETE }, { "OPTIONS", HTTP_OPTIONS },
		{ "PATCH", HTTP_PATCH },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(method, names[i].name) == 0)
			return names[i].bit;
	return HTTP_OTHER;
}

/* NULL: there is none, or the target is no plain path. */
static const struct route *route_of(const char *method, const char *target)
{
	static struct router *router;
	struct tl_str path = { target, strcspn(target, "?") };
	struct router_match m;
	struct tl_err err;

	if (router == NULL && router_new(APP_TABLES, &router, &err) != TL_OK)
		ck_abort_msg("the route tables: %s", err.text);
	if (path.len == 0 || memchr(path.ptr, '%', path.len) != NULL)
		return NULL;
	router_find(router, method_bit(method), path, &m);
	return m.route;
}

static const struct doc *document(const struct reply *r, struct tl_arena *a)
{
	const char *type = header_of(r, "Content-Type");
	struct tl_str body = { r->body, r->body_len };
	enum doc_format format;
	const struct doc *d;
	struct tl_err err;

	if (body.len == 0 || type == NULL)
		return NULL;
	if (strcmp(type, "application/json") == 0)
		format = DOC_JSON;
	else if (strcmp(type, "application/msgpack") == 0)
		format = DOC_MSGPACK;
	else
		return NULL;
	if (doc_parse(a, format, body, &d, &err) != TL_OK)
		ck_abort_msg("a body that cannot be read: %s\n%s", err.text,
			     r->body);
	return d;
}

static bool is_health(const struct route *route)
{
	return strcmp(route->path, "/health") == 0;
}

/* The line "NAME: VALUE" of an event; len 0: it has none. */
static struct tl_str line_of(struct tl_str event, const char *name)
{
	struct tl_str line;
	size_t len = strlen(name);

	while (tl_str_split(&event, '\n', &line))
		if (line.len > len + 2 && memcmp(line.ptr, name, len) == 0 &&
		    memcmp(line.ptr + len, ": ", 2) == 0)
			return (struct tl_str){ line.ptr + len + 2,
						line.len - len - 2 };
	return (struct tl_str){ NULL, 0 };
}

enum tl_status shapecheck_event(const struct route *route, struct tl_str event,
				struct tl_err *err)
{
	struct tl_str name = line_of(event, "event");
	const struct shape_field *f = route->out->fields;
	const struct doc *d;
	enum tl_status st;
	struct tl_arena a;

	/* the last event leaves the id of the one before */
	if ((line_of(event, "id").len == 0) != tl_str_eq(name, TL_STR("bye")))
		return tl_err_set(err, TL_INVALID,
				  "the event '%.*s' has no id, or has one",
				  (int)name.len, name.ptr);
	while (f->name != NULL && !tl_str_eq(name, tl_str_c(f->name)))
		f++;
	if (f->name == NULL)
		return tl_err_set(err, TL_INVALID,
				  "the route has no event "
				  "'%.*s'",
				  (int)name.len, name.ptr);
	tl_arena_init(&a);
	st = doc_parse(&a, DOC_JSON, line_of(event, "data"), &d, err);
	if (st == TL_OK)
		st = shape_check(f->sub, d, err);
	tl_arena_deinit(&a);
	return st;
}

/* d: NULL when the body is none of the two encodings, or empty. */
static enum tl_status success_check(const struct route *route,
				    const struct reply *r, const struct doc *d,
				    struct tl_err *err)
{
	enum tl_status st = TL_OK;

	if (route->out == NULL && route->content_type == NULL &&
	    r->body_len > 0)
		return tl_err_set(err, TL_INVALID,
				  "the route says it has no body");
	if (route->out == NULL)
		return TL_OK;
	if ((route->flags & ROUTE_EVENTS) != 0)
		return shapecheck_event(
			route, (struct tl_str){ r->body, r->body_len }, err);
	if (d == NULL)
		return tl_err_set(err, TL_INVALID, "it is no document");
	if ((route->flags & ROUTE_LIST) == 0)
		return shape_check(route->out, d, err);
	if (d->type != DOC_ARRAY)
		return tl_err_set(err, TL_INVALID, "it is no array");
	for (uint32_t i = 0; st == TL_OK && i < d->n; i++)
		st = shape_check(route->out, d->items[i], err);
	return st;
}

static bool has_no_body(const char *method, int status)
{
	return strcmp(method, "HEAD") == 0 || status == 204 || status == 304;
}

static enum tl_status body_check(const char *method, const struct route *route,
				 const struct reply *r, const struct doc *d,
				 struct tl_err *err)
{
	if (has_no_body(method, r->status))
		return r->body_len == 0
			       ? TL_OK
			       : tl_err_set(err, TL_INVALID, "it has a body");
	/* "degraded" is a report of its own, not an error */
	if (r->status >= 400 &&
	    (route == NULL || !is_health(route) || r->status != 503))
		return d != NULL ? shape_check(&HTTP_ERROR_SHAPE, d, err)
				 : tl_err_set(err, TL_INVALID,
					      "the error is no document");
	return route != NULL ? success_check(route, r, d, err) : TL_OK;
}

/* Statuses that hang on the route; any may be refused before it is found. */
static void status_check(const char *method, const char *target,
			 const struct route *route, int status)
{
	static const struct {
		int status;
		unsigned bit;
	} listed[] = {
		{ 401, OPENAPI_401 }, { 403, OPENAPI_403 },
		{ 404, OPENAPI_404 }, { 409, OPENAPI_409 },
		{ 415, OPENAPI_415 }, { 429, OPENAPI_429 },
		{ 503, OPENAPI_503 },
	};
	unsigned may = openapi_errors(route);

	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		ck_assert_msg(listed[i].status != status ||
				      (may & listed[i].bit) != 0,
			      "%s %s answered %d, which its description does "
			      "not list",
			      method, target, status);
	if (status >= 200 && status <= 202)
		ck_assert_msg(
			(status == 201) ==
					((route->flags & ROUTE_CREATED) != 0) &&
				(status == 202) ==
					((route->flags & ROUTE_ACCEPTED) != 0),
			"%s %s answered %d", method, target, status);
}

void shapecheck(const char *method, const char *target, const struct reply *r)
{
	const struct route *route = route_of(method, target);
	const struct doc *d;
	enum tl_status st;
	struct tl_arena a;
	struct tl_err err;

	tl_arena_init(&a);
	d = document(r, &a);
	if (route != NULL && !is_health(route))
		status_check(method, target, route, r->status);
	st = body_check(method, route, r, d, &err);
	ck_assert_msg(st == TL_OK, "%s %s (%d): %s\n%s", method, target,
		      r->status, st == TL_OK ? "" : err.text,
		      r->body != NULL ? r->body : "");
	tl_arena_deinit(&a);
}
