#include "config.h"

#include "http/openapi.h"

#include <string.h>

#include "codec/schema.h"
#include "http/http.h"

struct make {
	struct tl_arena *a;
	struct doc *schemas, *paths;
};

static void set(struct make *m, struct doc *o, const char *name,
		const char *text)
{
	doc_set(m->a, o, name, doc_str(m->a, tl_str_c(text)));
}

static const struct doc *ref_to(struct make *m, const char *kind,
				const char *name)
{
	struct doc *o = doc_object(m->a);

	set(m, o, "$ref",
	    tl_arena_printf(m->a, "#/components/%s/%s", kind, name));
	return o;
}

/* ---- what a row tells ---- */

static bool has_param(const struct route *r)
{
	return strchr(r->path, '{') != NULL;
}

unsigned openapi_errors(const struct route *r)
{
	unsigned e = 0;

	if (r->query != NULL || r->in != NULL || has_param(r))
		e |= OPENAPI_400;
	if (r->auth == AUTH_KEY || r->auth == AUTH_ADMIN ||
	    r->auth == AUTH_SELF)
		e |= OPENAPI_401 | OPENAPI_403;
	/* a page may not have been installed */
	if (has_param(r) || (r->flags & ROUTE_NAMES) != 0 ||
	    (r->out == NULL && r->auth == AUTH_NONE))
		e |= OPENAPI_404;
	if ((r->flags & ROUTE_CONFLICTS) != 0)
		e |= OPENAPI_409;
	if (r->in != NULL)
		e |= OPENAPI_413 | OPENAPI_415;
	if (r->auth != AUTH_NONE)
		e |= OPENAPI_429;
	if (r->auth != AUTH_ADDRESS || (r->flags & ROUTE_INLINE) == 0)
		e |= OPENAPI_503;
	return e;
}

/* ---- components ---- */

static const struct {
	unsigned bit;
	const char *status, *name, *text;
} errors[] = {
	{ OPENAPI_400, "400", "BadRequest",
	  "A parameter or the body is malformed; the message names it." },
	{ OPENAPI_401, "401", "Unauthorized",
	  "No key, or one that is unknown, expired or revoked." },
	{ OPENAPI_403, "403", "Forbidden",
	  "The account is suspended, or the key may not do this." },
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
	{ OPENAPI_503, "503", "Unavailable",
	  "Something that this needs is not reachable at the moment." },
};
#define N_ERRORS (sizeof(errors) / sizeof(errors[0]))

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
	{ "Location", "string", "Path of what was made." },
	{ "ETag", "string", "Names this state of the list." },
	{ "Link", "string",
	  "The next page, with rel=\"next\", when there is one." },
};

static const struct doc *header_components(struct make *m)
{
	struct doc *all = doc_object(m->a), *o, *schema;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		o = doc_object(m->a);
		schema = doc_object(m->a);
		set(m, o, "description", headers[i].text);
		set(m, schema, "type", headers[i].type);
		doc_set(m->a, o, "schema", schema);
		doc_set(m->a, all, headers[i].name, o);
	}
	return all;
}

static void add_header(struct make *m, struct doc *to, const char *name)
{
	doc_set(m->a, to, name, ref_to(m, "headers", name));
}

/* Of replies under a limit: which, and how far. */
static void add_limit_headers(struct make *m, struct doc *to)
{
	add_header(m, to, "X-RateLimit-Limit");
	add_header(m, to, "X-RateLimit-Remaining");
	add_header(m, to, "X-RateLimit-Reset");
	add_header(m, to, "RateLimit");
	add_header(m, to, "RateLimit-Policy");
}

static const struct doc *in_both_encodings(struct make *m,
					   const struct doc *schema)
{
	struct doc *content = doc_object(m->a), *media = doc_object(m->a);

	doc_set(m->a, media, "schema", schema);
	doc_set(m->a, content, "application/json", media);
	doc_set(m->a, content, "application/msgpack", media);
	return content;
}

static const struct doc *error_components(struct make *m)
{
	struct doc *all = doc_object(m->a);

	for (size_t i = 0; i < N_ERRORS; i++) {
		struct doc *o = doc_object(m->a), *h = doc_object(m->a);

		set(m, o, "description", errors[i].text);
		add_header(m, h, "X-Request-Id");
		if (errors[i].bit == OPENAPI_429)
			add_limit_headers(m, h);
		if (errors[i].bit == OPENAPI_429 ||
		    errors[i].bit == OPENAPI_503)
			add_header(m, h, "Retry-After");
		doc_set(m->a, o, "headers", h);
		doc_set(m->a, o, "content",
			in_both_encodings(m, schema_ref(m->a, &HTTP_ERROR_SHAPE,
							m->schemas)));
		doc_set(m->a, all, errors[i].name, o);
	}
	return all;
}

static const struct doc *security_components(struct make *m)
{
	struct doc *all = doc_object(m->a), *bearer = doc_object(m->a);
	struct doc *key = doc_object(m->a);

	set(m, bearer, "type", "http");
	set(m, bearer, "scheme", "bearer");
	set(m, bearer, "description", "Authorization: Bearer KEY");
	set(m, key, "type", "apiKey");
	set(m, key, "in", "header");
	set(m, key, "name", "X-API-Key");
	doc_set(m->a, all, "bearer", bearer);
	doc_set(m->a, all, "apiKey", key);
	return all;
}

/* ---- one operation ---- */

static const struct {
	const char *prefix, *name, *text;
} tags[] = {
	/* the first whose prefix fits */
	{ "/api/gate", "decisions",
	  "May this request pass, and what does it "
	  "cost?" },
	{ "/api/verify", "decisions", NULL },
	{ "/api/keys", "keys", "The caller's API keys." },
	{ "/api/usage", "usage", "What the caller has used." },
	{ "/api/dashboard", "usage", NULL },
	{ "/api/auth", "usage", NULL },
	{ "/api/admin", "admin", "Users, keys, plans and limits, for admins." },
	{ "/", "system", "The daemon itself." },
};
#define N_TAGS (sizeof(tags) / sizeof(tags[0]))

static const char *tag_of(const struct route *r)
{
	size_t i = 0;

	while (strncmp(r->path, tags[i].prefix, strlen(tags[i].prefix)) != 0)
		i++;
	return tags[i].name;
}

static const struct doc *tag_list(struct make *m)
{
	struct doc *all = doc_array(m->a);

	for (size_t i = 0; i < N_TAGS; i++) {
		struct doc *o = doc_object(m->a);

		if (tags[i].text == NULL)
			continue;
		set(m, o, "name", tags[i].name);
		set(m, o, "description", tags[i].text);
		doc_push(m->a, all, o);
	}
	return all;
}

static const struct doc *security_of(struct make *m, const struct route *r)
{
	static const char *const schemes[] = { "bearer", "apiKey" };
	struct doc *all = doc_array(m->a);

	if (r->auth == AUTH_NONE || r->auth == AUTH_ADDRESS)
		return all;
	if (r->auth == AUTH_SELF) /* may do without */
		doc_push(m->a, all, doc_object(m->a));
	for (size_t i = 0; i < 2; i++) {
		struct doc *o = doc_object(m->a);

		doc_set(m->a, o, schemes[i], doc_array(m->a));
		doc_push(m->a, all, o);
	}
	return all;
}

static struct doc *parameter(struct make *m, const char *name, const char *in,
			     bool required, const char *text)
{
	struct doc *o = doc_object(m->a);

	set(m, o, "name", name);
	set(m, o, "in", in);
	if (required)
		doc_set(m->a, o, "required", doc_bool(true));
	set(m, o, "description", text);
	return o;
}

/* "{key_id}" in the path; all of ours are UUIDs but the gate's rest. */
static void path_parameters(struct make *m, const char *path, struct doc *all)
{
	const char *at = path, *end;

	while ((at = strchr(at, '{')) != NULL) {
		struct doc *schema = doc_object(m->a), *o;
		char *name;

		end = strchr(at, '}');
		name = tl_arena_strndup(m->a, at + 1, (size_t)(end - at) - 1);
		set(m, schema, "type", "string");
		if (strcmp(name, "path") == 0) {
			o = parameter(m, name, "path", true,
				      "the path that is asked about; may hold "
				      "slashes");
		} else if (strcmp(name, "file") == 0) {
			o = parameter(m, name, "path", true, "its name");
		} else {
			set(m, schema, "format", "uuid");
			o = parameter(m, name, "path", true, "which one");
		}
		doc_set(m->a, o, "schema", schema);
		doc_push(m->a, all, o);
		at = end;
	}
}

/* A switch is 0 or 1 in a query. */
static const struct doc *query_schema(struct make *m,
				      const struct shape_field *f)
{
	struct doc *o, *values;

	if (f->kind != SHAPE_BOOL)
		return schema_of_field(m->a, f, m->schemas);
	o = doc_object(m->a);
	values = doc_array(m->a);
	set(m, o, "type", "integer");
	doc_push(m->a, values, doc_int(m->a, 0));
	doc_push(m->a, values, doc_int(m->a, 1));
	doc_set(m->a, o, "enum", values);
	return o;
}

static const struct doc *parameters_of(struct make *m, const struct route *r,
				       const char *path)
{
	struct doc *all = doc_array(m->a);

	path_parameters(m, path, all);
	if (r->query == NULL)
		return all;
	for (const struct shape_field *f = r->query->fields; f->name != NULL;
	     f++) {
		struct doc *o =
			parameter(m, f->name, "query",
				  (f->flags & SHAPE_REQUIRED) != 0, f->doc);

		doc_set(m->a, o, "schema", query_schema(m, f));
		doc_push(m->a, all, o);
	}
	return all;
}

static const struct doc *body_of(struct make *m, const struct route *r)
{
	struct doc *o = doc_object(m->a);
	bool required = false;

	for (const struct shape_field *f = r->in->fields; f->name != NULL; f++)
		required = required || (f->flags & SHAPE_REQUIRED) != 0;
	doc_set(m->a, o, "required", doc_bool(required));
	doc_set(m->a, o, "content",
		in_both_encodings(m, schema_ref(m->a, r->in, m->schemas)));
	return o;
}

static const struct doc *success_content(struct make *m, const struct route *r)
{
	struct doc *array, *content;

	if (r->out == NULL) { /* a page, a file */
		content = doc_object(m->a);
		doc_set(m->a, content, r->content_type, doc_object(m->a));
		return content;
	}
	if ((r->flags & ROUTE_LIST) == 0)
		return in_both_encodings(m,
					 schema_ref(m->a, r->out, m->schemas));
	array = doc_object(m->a);
	set(m, array, "type", "array");
	doc_set(m->a, array, "items", schema_ref(m->a, r->out, m->schemas));
	return in_both_encodings(m, array);
}

static const struct doc *success_of(struct make *m, const struct route *r)
{
	struct doc *o = doc_object(m->a), *h = doc_object(m->a);

	set(m, o, "description",
	    (r->flags & ROUTE_CREATED) != 0 ? "It was made." : "Done.");
	add_header(m, h, "X-Request-Id");
	if (r->auth == AUTH_KEY || r->auth == AUTH_ADMIN ||
	    r->auth == AUTH_ADDRESS)
		add_limit_headers(m, h);
	if ((r->flags & ROUTE_CREATED) != 0)
		add_header(m, h, "Location");
	if ((r->flags & ROUTE_LIST) != 0) {
		add_header(m, h, "ETag");
		add_header(m, h, "Link");
	}
	doc_set(m->a, o, "headers", h);
	if (r->out != NULL || r->content_type != NULL)
		doc_set(m->a, o, "content", success_content(m, r));
	return o;
}

static const struct doc *not_modified(struct make *m)
{
	struct doc *o = doc_object(m->a), *h = doc_object(m->a);

	set(m, o, "description", "It is what If-None-Match named.");
	add_header(m, h, "X-Request-Id");
	add_header(m, h, "ETag");
	doc_set(m->a, o, "headers", h);
	return o;
}

static const struct doc *responses_of(struct make *m, const struct route *r)
{
	unsigned may = openapi_errors(r);
	struct doc *all = doc_object(m->a);

	doc_set(m->a, all, (r->flags & ROUTE_CREATED) != 0 ? "201" : "200",
		success_of(m, r));
	if ((r->flags & ROUTE_LIST) != 0)
		doc_set(m->a, all, "304", not_modified(m));
	for (size_t i = 0; i < N_ERRORS; i++)
		if ((may & errors[i].bit) != 0)
			doc_set(m->a, all, errors[i].status,
				ref_to(m, "responses", errors[i].name));
	return all;
}

static const struct doc *operation(struct make *m, const struct route *r,
				   const char *path, const char *id)
{
	struct doc *o = doc_object(m->a), *tag = doc_array(m->a);
	const struct doc *parameters = parameters_of(m, r, path);

	doc_push(m->a, tag, doc_str(m->a, tl_str_c(tag_of(r))));
	doc_set(m->a, o, "tags", tag);
	set(m, o, "operationId", id);
	set(m, o, "summary", r->summary);
	doc_set(m->a, o, "security", security_of(m, r));
	if (parameters->n > 0)
		doc_set(m->a, o, "parameters", parameters);
	if (r->in != NULL)
		doc_set(m->a, o, "requestBody", body_of(m, r));
	doc_set(m->a, o, "responses", responses_of(m, r));
	return o;
}

/* ---- all of them ---- */

static const struct {
	unsigned bit;
	const char *name, *suffix;
} methods[] = {
	{ HTTP_GET, "get", "" },
	{ HTTP_POST, "post", "Post" },
	{ HTTP_PUT, "put", "Put" },
	{ HTTP_PATCH, "patch", "Patch" },
	{ HTTP_DELETE, "delete", "Delete" },
	{ HTTP_OPTIONS, "options", "Options" },
	{ HTTP_HEAD, "head", "Head" },
};

/* OpenAPI knows no path with a rest: "*" is told as one parameter. */
static const char *path_of(struct make *m, const struct route *r)
{
	size_t len = strlen(r->path);

	if (r->path[len - 1] != '*')
		return r->path;
	return tl_arena_printf(m->a, "%.*s{path}", (int)len - 1, r->path);
}

static void add_route(struct make *m, const struct route *r)
{
	bool many = (r->methods & (r->methods - 1)) != 0;
	const char *path = path_of(m, r);
	const struct doc *there = doc_get(m->paths, path);
	struct doc *item = doc_object(m->a);

	for (uint32_t i = 0; there != NULL && i < there->n; i++)
		doc_set(m->a, item, there->members[i].name.ptr,
			there->members[i].value);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const char *id = r->id;

		if ((r->methods & methods[i].bit) == 0)
			continue;
		if (many)
			id = tl_arena_printf(m->a, "%s%s", r->id,
					     methods[i].suffix);
		doc_set(m->a, item, methods[i].name, operation(m, r, path, id));
	}
	doc_set(m->a, m->paths, path, item);
}

static const struct doc *info(struct make *m)
{
	struct doc *o = doc_object(m->a), *license = doc_object(m->a);

	set(m, o, "title", "tallyd");
	set(m, o, "version", PACKAGE_VERSION);
	set(m, o, "summary", "API keys, rate limits, daily credits and usage.");
	set(m, o, "description",
	    "Bodies and replies are JSON, or MessagePack with the same members "
	    "(`application/msgpack` in `Content-Type` and `Accept`). Times are "
	    "RFC 3339 in UTC, money is USD. Every error has one form; switch "
	    "on "
	    "its `code`.");
	set(m, license, "name", "Terms of the operator");
	set(m, license, "identifier", "LicenseRef-Operator");
	doc_set(m->a, o, "license", license);
	return o;
}

static const struct doc *server_list(struct make *m)
{
	struct doc *all = doc_array(m->a), *o = doc_object(m->a);

	set(m, o, "url", "/");
	doc_push(m->a, all, o);
	return all;
}

const struct doc *openapi_make(const struct route *const *tables,
			       struct tl_arena *a)
{
	struct make m = { .a = a,
			  .schemas = doc_object(a),
			  .paths = doc_object(a) };
	struct doc *d = doc_object(a), *components = doc_object(a);

	set(&m, d, "openapi", "3.1.0");
	doc_set(a, d, "info", info(&m));
	doc_set(a, d, "servers", server_list(&m));
	doc_set(a, d, "tags", tag_list(&m));
	for (size_t t = 0; tables[t] != NULL; t++)
		for (const struct route *r = tables[t]; r->path != NULL; r++)
			add_route(&m, r);
	doc_set(a, d, "paths", m.paths);
	doc_set(a, components, "securitySchemes", security_components(&m));
	doc_set(a, components, "headers", header_components(&m));
	doc_set(a, components, "responses", error_components(&m));
	doc_set(a, components, "schemas", m.schemas);
	doc_set(a, d, "components", components);
	return d;
}
