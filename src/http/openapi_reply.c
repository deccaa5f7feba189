/*
 * openapi_reply.c - what a route answers, by status: bodies and headers.
 *
 * Refusals are alike for most routes, so each is a component that is made
 * when the first route refers to it.
 */
#include "http/openapi.h"

#include <string.h>

#include "http/openapi_internal.h"

/* ---- what a row tells ---- */

static bool has_param(const struct route *r)
{
	return strchr(r->path, '{') != NULL;
}

/* A key may be asked for, and may be a bad one. */
static bool knows_keys(const struct route *r)
{
	return r->auth == AUTH_KEY || r->auth == AUTH_ADMIN ||
	       (r->auth == AUTH_SELF && (r->flags & ROUTE_KEYLESS) == 0);
}

static bool is_limited(const struct route *r)
{
	return knows_keys(r) || r->auth == AUTH_ADDRESS || r->auth == AUTH_CRON;
}

unsigned openapi_errors(const struct route *r)
{
	unsigned e = 0;

	if (r->query != NULL || r->in != NULL ||
	    strstr(r->path, "_id}") != NULL ||
	    strstr(r->path, "{task}") != NULL ||
	    strstr(r->path, "{queue}") != NULL)
		e |= OPENAPI_400;
	if (knows_keys(r) || r->auth == AUTH_CRON)
		e |= OPENAPI_401;
	if (knows_keys(r) || r->auth == AUTH_SELF)
		e |= OPENAPI_403;
	/* a page may not have been installed */
	if (has_param(r) || (r->flags & ROUTE_NAMES) != 0 ||
	    (r->out == NULL && r->auth == AUTH_NONE))
		e |= OPENAPI_404;
	if ((r->flags & ROUTE_CONFLICTS) != 0)
		e |= OPENAPI_409;
	if (r->in != NULL)
		e |= OPENAPI_413 | OPENAPI_415;
	if (is_limited(r))
		e |= OPENAPI_429;
	if ((r->flags & ROUTE_INLINE) == 0)
		e |= OPENAPI_500;
	if (r->auth != AUTH_ADDRESS || (r->flags & ROUTE_INLINE) == 0)
		e |= OPENAPI_503;
	return e;
}

const char *openapi_caller(const struct route *r)
{
	switch (r->auth) {
	case AUTH_NONE:
		return "anybody, without a limit";
	case AUTH_ADDRESS:
		return "anybody, under the limit of the address";
	case AUTH_KEY:
		return "a key";
	case AUTH_ADMIN:
		return "a key of an admin";
	case AUTH_CRON:
		return "who knows cron.token";
	case AUTH_SELF:
		break;
	}
	return r->caller;
}

/* ---- headers ---- */

static const struct {
	const char *name, *type, *text;
} headers[] = {
	{ "X-Request-Id", "string",
	  "Names the request: the client's own, or a new one." },
	{ "X-RateLimit-Limit", "integer",
	  "Requests the tightest limit admits." },
	{ "X-RateLimit-Remaining", "integer", "What is left of them." },
	{ "X-RateLimit-Reset", "integer",
	  "Unix time when the oldest request leaves the window." },
	{ "RateLimit", "string",
	  "The same as structured field, by the name of the limit." },
	{ "RateLimit-Policy", "string", "The limits that apply." },
	{ "Retry-After", "integer", "Seconds after which to try again." },
	{ "WWW-Authenticate", "string", "Bearer" },
	{ "Location", "string", "Path of what was made." },
	{ "ETag", "string", "Names this state of the reply." },
	{ "Link", "string",
	  "The next page, with rel=\"next\", when there is one." },
	{ "Idempotency-Replayed", "string",
	  "true: this is the first answer to the same Idempotency-Key." },
};

const struct doc *openapi_headers(struct openapi *m)
{
	struct doc *all = doc_object(m->a), *o, *schema;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		o = doc_object(m->a);
		schema = doc_object(m->a);
		openapi_text(m, o, "description", headers[i].text);
		openapi_text(m, schema, "type", headers[i].type);
		doc_set(m->a, o, "schema", schema);
		doc_set(m->a, all, headers[i].name, o);
	}
	return all;
}

static void add_header(struct openapi *m, struct doc *to, const char *name)
{
	doc_set(m->a, to, name, openapi_ref(m, "headers", name));
}

/* Of replies under a limit: which, and how far. */
static void add_limit_headers(struct openapi *m, struct doc *to)
{
	add_header(m, to, "X-RateLimit-Limit");
	add_header(m, to, "X-RateLimit-Remaining");
	add_header(m, to, "X-RateLimit-Reset");
	add_header(m, to, "RateLimit");
	add_header(m, to, "RateLimit-Policy");
}

/* Those that the row adds to the usual ones. */
static void add_own_headers(struct openapi *m, struct doc *to,
			    const struct shape *own)
{
	if (own == NULL)
		return;
	for (const struct shape_field *f = own->fields; f->name != NULL; f++) {
		struct shape_field bare = *f;
		struct doc *o = doc_object(m->a);

		bare.doc = NULL;
		openapi_text(m, o, "description", f->doc);
		if ((f->flags & SHAPE_REQUIRED) != 0)
			doc_set(m->a, o, "required", doc_bool(true));
		doc_set(m->a, o, "schema",
			schema_of_field(m->a, &bare, m->schemas));
		doc_set(m->a, to, f->name, o);
	}
}

/* ---- refusals ---- */

static const struct {
	unsigned bit;
	const char *status, *name, *text;
} errors[] = {
	{ OPENAPI_400, "400", "BadRequest",
	  "A parameter or the body is malformed; the message names it." },
	{ OPENAPI_401, "401", "Unauthorized",
	  "No key, or one that is unknown, expired or revoked." },
	{ OPENAPI_403, "403", "Forbidden",
	  "The account is suspended, or the caller may not do this." },
	{ OPENAPI_404, "404", "NotFound",
	  "There is no such thing, or it is not the caller's." },
	{ OPENAPI_409, "409", "Conflict",
	  "It is taken already, or there is no room for another." },
	{ OPENAPI_413, "413", "PayloadTooLarge", "The body is too large." },
	{ OPENAPI_415, "415", "UnsupportedMediaType",
	  "The body is neither application/json nor application/msgpack." },
	{ OPENAPI_429, "429", "TooManyRequests",
	  "rate_limited: too many requests; quota_exceeded: the day's credits "
	  "are used up." },
	{ OPENAPI_500, "500", "InternalError",
	  "It went wrong here; request_id is what to ask about." },
	{ OPENAPI_503, "503", "Unavailable",
	  "Something that this needs is not reachable at the moment." },
};
#define N_ERRORS (sizeof(errors) / sizeof(errors[0]))

static const struct doc *refusal(struct openapi *m, size_t i,
				 const struct shape *own)
{
	struct doc *o = doc_object(m->a), *h = doc_object(m->a);
	unsigned bit = errors[i].bit;

	openapi_text(m, o, "description", errors[i].text);
	add_header(m, h, "X-Request-Id");
	if (bit == OPENAPI_401)
		add_header(m, h, "WWW-Authenticate");
	if (bit == OPENAPI_429)
		add_limit_headers(m, h);
	if (bit == OPENAPI_429 || bit == OPENAPI_503)
		add_header(m, h, "Retry-After");
	add_own_headers(m, h, own);
	doc_set(m->a, o, "headers", h);
	doc_set(m->a, o, "content",
		openapi_content(
			m, schema_ref(m->a, &HTTP_ERROR_SHAPE, m->schemas)));
	return o;
}

static const struct doc *refusal_ref(struct openapi *m, size_t i,
				     const struct route *r)
{
	const char *name = tl_arena_printf(
		m->a, "%s%s", r->headers != NULL ? r->headers->name : "",
		errors[i].name);

	if (doc_get(m->responses, name) == NULL)
		doc_set(m->a, m->responses, name, refusal(m, i, r->headers));
	return openapi_ref(m, "responses", name);
}

/* ---- successes ---- */

static const struct doc *success_content(struct openapi *m,
					 const struct route *r)
{
	struct doc *array, *content, *media;

	if ((r->flags & ROUTE_EVENTS) != 0) {
		content = doc_object(m->a);
		media = doc_object(m->a);
		doc_set(m->a, media, "schema",
			schema_ref(m->a, r->out, m->schemas));
		doc_set(m->a, content, "text/event-stream", media);
		return content;
	}
	if (r->out == NULL) { /* a page, a file */
		content = doc_object(m->a);
		doc_set(m->a, content, r->content_type, doc_object(m->a));
		return content;
	}
	if ((r->flags & ROUTE_LIST) == 0)
		return openapi_content(m, schema_ref(m->a, r->out, m->schemas));
	array = doc_object(m->a);
	openapi_text(m, array, "type", "array");
	doc_set(m->a, array, "items", schema_ref(m->a, r->out, m->schemas));
	return openapi_content(m, array);
}

static const struct doc *success_headers(struct openapi *m,
					 const struct route *r)
{
	struct doc *h = doc_object(m->a);

	add_header(m, h, "X-Request-Id");
	if (is_limited(r))
		add_limit_headers(m, h);
	if ((r->flags & ROUTE_CREATED) != 0)
		add_header(m, h, "Location");
	if ((r->flags & (ROUTE_LIST | ROUTE_ETAG)) != 0)
		add_header(m, h, "ETag");
	if ((r->flags & ROUTE_LIST) != 0)
		add_header(m, h, "Link");
	if ((r->flags & ROUTE_IDEMPOTENT) != 0)
		add_header(m, h, "Idempotency-Replayed");
	add_own_headers(m, h, r->headers);
	return h;
}

static const char *success_words(const struct route *r)
{
	if ((r->flags & ROUTE_CREATED) != 0)
		return "It was made.";
	if ((r->flags & ROUTE_ACCEPTED) != 0)
		return "It is done soon.";
	if ((r->flags & ROUTE_EVENTS) != 0)
		return "Events until one side closes. Each member of the "
		       "schema is one kind of event: its name is the event's, "
		       "its value what `data` holds.";
	return "Done.";
}

static const struct doc *success(struct openapi *m, const struct route *r)
{
	struct doc *o = doc_object(m->a);

	openapi_text(m, o, "description", success_words(r));
	doc_set(m->a, o, "headers", success_headers(m, r));
	if (r->out != NULL || r->content_type != NULL)
		doc_set(m->a, o, "content", success_content(m, r));
	return o;
}

static const struct doc *not_modified(struct openapi *m)
{
	struct doc *o = doc_object(m->a), *h = doc_object(m->a);

	openapi_text(m, o, "description", "It is what If-None-Match named.");
	add_header(m, h, "X-Request-Id");
	add_header(m, h, "ETag");
	doc_set(m->a, o, "headers", h);
	return o;
}

/* Not an error of the request's: it was asked how things are. */
static const struct doc *report(struct openapi *m, const struct route *r)
{
	struct doc *o = doc_object(m->a);

	openapi_text(m, o, "description", "Not all is well.");
	doc_set(m->a, o, "headers", success_headers(m, r));
	doc_set(m->a, o, "content", success_content(m, r));
	return o;
}

const struct doc *openapi_responses(struct openapi *m, const struct route *r)
{
	unsigned may = openapi_errors(r);
	struct doc *all = doc_object(m->a);

	doc_set(m->a, all,
		(r->flags & ROUTE_CREATED) != 0    ? "201"
		: (r->flags & ROUTE_ACCEPTED) != 0 ? "202"
						   : "200",
		success(m, r));
	if ((r->flags & (ROUTE_LIST | ROUTE_ETAG)) != 0)
		doc_set(m->a, all, "304", not_modified(m));
	for (size_t i = 0; i < N_ERRORS; i++) {
		if ((may & errors[i].bit) == 0)
			continue;
		doc_set(m->a, all, errors[i].status,
			errors[i].bit == OPENAPI_503 &&
					(r->flags & ROUTE_REPORTS) != 0
				? report(m, r)
				: refusal_ref(m, i, r));
	}
	return all;
}
