#include "config.h"

#include "http/openapi.h"

#include <string.h>

#include "http/openapi_internal.h"

#define ID_PATTERN "^[A-Za-z0-9._-]{1,64}$" /* of requests, idempotency */

void openapi_text(struct openapi *m, struct doc *o, const char *name,
		  const char *text)
{
	doc_set(m->a, o, name, doc_str(m->a, tl_str_c(text)));
}

const struct doc *openapi_ref(struct openapi *m, const char *kind,
			      const char *name)
{
	struct doc *o = doc_object(m->a);

	openapi_text(m, o, "$ref",
		     tl_arena_printf(m->a, "#/components/%s/%s", kind, name));
	return o;
}

const struct doc *openapi_content(struct openapi *m, const struct doc *schema)
{
	struct doc *content = doc_object(m->a), *media = doc_object(m->a);

	doc_set(m->a, media, "schema", schema);
	doc_set(m->a, content, "application/json", media);
	doc_set(m->a, content, "application/msgpack", media);
	return content;
}

/* ---- components ---- */

static const struct doc *security_components(struct openapi *m)
{
	struct doc *all = doc_object(m->a), *bearer = doc_object(m->a);
	struct doc *key = doc_object(m->a), *cron = doc_object(m->a);

	openapi_text(m, bearer, "type", "http");
	openapi_text(m, bearer, "scheme", "bearer");
	openapi_text(m, bearer, "description", "Authorization: Bearer KEY");
	openapi_text(m, key, "type", "apiKey");
	openapi_text(m, key, "in", "header");
	openapi_text(m, key, "name", "X-API-Key");
	doc_set(m->a, all, "bearer", bearer);
	doc_set(m->a, all, "apiKey", key);
	openapi_text(m, cron, "type", "http");
	openapi_text(m, cron, "scheme", "bearer");
	openapi_text(m, cron, "description",
		     "Authorization: Bearer TOKEN, the secret of cron.token");
	doc_set(m->a, all, "cronToken", cron);
	return all;
}

static struct doc *parameter(struct openapi *m, const char *name,
			     const char *in, bool required, const char *text,
			     const struct doc *schema)
{
	struct doc *o = doc_object(m->a);

	openapi_text(m, o, "name", name);
	openapi_text(m, o, "in", in);
	if (required)
		doc_set(m->a, o, "required", doc_bool(true));
	openapi_text(m, o, "description", text);
	doc_set(m->a, o, "schema", schema);
	return o;
}

static struct doc *text_schema(struct openapi *m)
{
	struct doc *o = doc_object(m->a);

	openapi_text(m, o, "type", "string");
	return o;
}

/* Headers that some requests may have; If-None-Match and the like. */
static const struct doc *parameter_components(struct openapi *m)
{
	struct doc *all = doc_object(m->a), *schema = text_schema(m);

	doc_set(m->a, all, "If-None-Match",
		parameter(m, "If-None-Match", "header", false,
			  "an ETag that was given before: 304 if it still is",
			  text_schema(m)));
	openapi_text(m, schema, "pattern", ID_PATTERN);
	doc_set(m->a, all, "Idempotency-Key",
		parameter(m, "Idempotency-Key", "header", false,
			  "the same one within 24 hours gets the first answer "
			  "again and is charged once",
			  schema));
	doc_set(m->a, all, "Last-Event-ID",
		parameter(m, "Last-Event-ID", "header", false,
			  "id of the last event that came: what happened since "
			  "is told again",
			  text_schema(m)));
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
	{ "/api/events", "usage", NULL },
	{ "/api/explain", "decisions", NULL },
	{ "/api/auth", "usage", NULL },
	{ "/api/admin", "admin", "Users, keys, plans and limits, for admins." },
	{ "/cron", "admin", NULL },
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

static const struct doc *tag_list(struct openapi *m)
{
	struct doc *all = doc_array(m->a);

	for (size_t i = 0; i < N_TAGS; i++) {
		struct doc *o = doc_object(m->a);

		if (tags[i].text == NULL)
			continue;
		openapi_text(m, o, "name", tags[i].name);
		openapi_text(m, o, "description", tags[i].text);
		doc_push(m->a, all, o);
	}
	return all;
}

static const struct doc *security_of(struct openapi *m, const struct route *r)
{
	static const char *const schemes[] = { "bearer", "apiKey" };
	struct doc *all = doc_array(m->a), *cron;

	if (r->auth == AUTH_NONE || r->auth == AUTH_ADDRESS ||
	    (r->flags & ROUTE_KEYLESS) != 0)
		return all;
	if (r->auth == AUTH_CRON) {
		cron = doc_object(m->a);
		doc_set(m->a, cron, "cronToken", doc_array(m->a));
		doc_push(m->a, all, cron);
		return all;
	}
	if (r->auth == AUTH_SELF) /* may do without */
		doc_push(m->a, all, doc_object(m->a));
	for (size_t i = 0; i < 2; i++) {
		struct doc *o = doc_object(m->a);

		doc_set(m->a, o, schemes[i], doc_array(m->a));
		doc_push(m->a, all, o);
	}
	return all;
}

/* "key_id" is the id of a key; the gate's rest, files and what clients name
 * themselves are no UUIDs. */
static const struct doc *path_parameter(struct openapi *m, const char *name)
{
	struct doc *schema = text_schema(m);
	const char *text, *end = strstr(name, "_id");

	if (strcmp(name, "path") == 0) {
		text = "the path that is asked about; may hold slashes";
	} else if (strcmp(name, "file") == 0) {
		text = "its name";
	} else if (strcmp(name, "job") == 0) {
		text = "name of the job";
	} else if (strcmp(name, "queue") == 0) {
		text = "name of the queue";
	} else if (strcmp(name, "task") == 0) {
		openapi_text(m, schema, "type", "integer");
		text = "number of the task";
	} else if (strcmp(name, "request_id") == 0) {
		openapi_text(m, schema, "pattern", ID_PATTERN);
		text = "the X-Request-Id of an answer";
	} else {
		openapi_text(m, schema, "format", "uuid");
		text = tl_arena_printf(m->a, "id of the %.*s",
				       (int)(end != NULL
						     ? end - name
						     : (ptrdiff_t)strlen(name)),
				       name);
	}
	return parameter(m, name, "path", true, text, schema);
}

static void path_parameters(struct openapi *m, const char *path,
			    struct doc *all)
{
	const char *at = path, *end;

	while ((at = strchr(at, '{')) != NULL) {
		end = strchr(at, '}');
		doc_push(m->a, all,
			 path_parameter(
				 m, tl_arena_strndup(m->a, at + 1,
						     (size_t)(end - at) - 1)));
		at = end;
	}
}

/* A switch is 0 or 1 in a query.  The parameter has the words already. */
static const struct doc *query_schema(struct openapi *m,
				      const struct shape_field *f)
{
	struct shape_field bare = *f;
	struct doc *o, *values;

	bare.doc = NULL;
	if (f->kind != SHAPE_BOOL)
		return schema_of_field(m->a, &bare, m->schemas);
	o = doc_object(m->a);
	values = doc_array(m->a);
	openapi_text(m, o, "type", "integer");
	doc_push(m->a, values, doc_int(m->a, 0));
	doc_push(m->a, values, doc_int(m->a, 1));
	doc_set(m->a, o, "enum", values);
	return o;
}

static void query_parameters(struct openapi *m, const struct shape *query,
			     struct doc *all)
{
	for (const struct shape_field *f = query->fields; f->name != NULL; f++)
		doc_push(m->a, all,
			 parameter(m, f->name, "query",
				   (f->flags & SHAPE_REQUIRED) != 0, f->doc,
				   query_schema(m, f)));
}

static const struct doc *parameters_of(struct openapi *m, const struct route *r,
				       const char *path)
{
	struct doc *all = doc_array(m->a);

	path_parameters(m, path, all);
	if (r->query != NULL)
		query_parameters(m, r->query, all);
	if ((r->flags & (ROUTE_LIST | ROUTE_ETAG)) != 0)
		doc_push(m->a, all,
			 openapi_ref(m, "parameters", "If-None-Match"));
	if ((r->flags & ROUTE_IDEMPOTENT) != 0)
		doc_push(m->a, all,
			 openapi_ref(m, "parameters", "Idempotency-Key"));
	if ((r->flags & ROUTE_EVENTS) != 0)
		doc_push(m->a, all,
			 openapi_ref(m, "parameters", "Last-Event-ID"));
	return all;
}

static const struct doc *body_of(struct openapi *m, const struct route *r)
{
	struct doc *o = doc_object(m->a);
	bool required = false;

	for (const struct shape_field *f = r->in->fields; f->name != NULL; f++)
		required = required || (f->flags & SHAPE_REQUIRED) != 0;
	doc_set(m->a, o, "required", doc_bool(required));
	doc_set(m->a, o, "content",
		openapi_content(m, schema_ref(m->a, r->in, m->schemas)));
	return o;
}

static const struct doc *operation(struct openapi *m, const struct route *r,
				   const char *path, const char *id)
{
	struct doc *o = doc_object(m->a), *tag = doc_array(m->a);
	const struct doc *parameters = parameters_of(m, r, path);

	doc_push(m->a, tag, doc_str(m->a, tl_str_c(tag_of(r))));
	doc_set(m->a, o, "tags", tag);
	openapi_text(m, o, "operationId", id);
	openapi_text(m, o, "summary", r->summary);
	openapi_text(m, o, "description",
		     tl_arena_printf(m->a, "For %s.", openapi_caller(r)));
	doc_set(m->a, o, "security", security_of(m, r));
	if (parameters->n > 0)
		doc_set(m->a, o, "parameters", parameters);
	if (r->in != NULL)
		doc_set(m->a, o, "requestBody", body_of(m, r));
	doc_set(m->a, o, "responses", openapi_responses(m, r));
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
static const char *path_of(struct openapi *m, const struct route *r)
{
	size_t len = strlen(r->path);

	if (r->path[len - 1] != '*')
		return r->path;
	return tl_arena_printf(m->a, "%.*s{path}", (int)len - 1, r->path);
}

static void add_route(struct openapi *m, const struct route *r)
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

static const struct doc *info(struct openapi *m)
{
	struct doc *o = doc_object(m->a), *license = doc_object(m->a);

	openapi_text(m, o, "title", "tallyd");
	openapi_text(m, o, "version", PACKAGE_VERSION);
	openapi_text(m, o, "summary",
		     "API keys, rate limits, daily credits and usage.");
	openapi_text(m, o, "description",
		     "Bodies and replies are JSON, or MessagePack with the "
		     "same members "
		     "(`application/msgpack` in `Content-Type` and `Accept`). "
		     "Times are "
		     "RFC 3339 in UTC, money is USD. Every error has one form; "
		     "switch "
		     "on "
		     "its `code`.");
	openapi_text(m, license, "name", "Terms of the operator");
	openapi_text(m, license, "identifier", "LicenseRef-Operator");
	doc_set(m->a, o, "license", license);
	return o;
}

static const struct doc *server_list(struct openapi *m)
{
	struct doc *all = doc_array(m->a), *o = doc_object(m->a);

	openapi_text(m, o, "url", "/");
	doc_push(m->a, all, o);
	return all;
}

const struct doc *openapi_make(const struct route *const *tables,
			       struct tl_arena *a)
{
	struct openapi m = { .a = a,
			     .schemas = doc_object(a),
			     .responses = doc_object(a),
			     .paths = doc_object(a) };
	struct doc *d = doc_object(a), *components = doc_object(a);

	openapi_text(&m, d, "openapi", "3.1.0");
	doc_set(a, d, "info", info(&m));
	doc_set(a, d, "servers", server_list(&m));
	doc_set(a, d, "tags", tag_list(&m));
	for (size_t t = 0; tables[t] != NULL; t++)
		for (const struct route *r = tables[t]; r->path != NULL; r++)
			if ((r->flags & ROUTE_REDIRECTS) == 0)
				add_route(&m, r);
	doc_set(a, d, "paths", m.paths);
	doc_set(a, components, "securitySchemes", security_components(&m));
	doc_set(a, components, "headers", openapi_headers(&m));
	doc_set(a, components, "parameters", parameter_components(&m));
	doc_set(a, components, "responses", m.responses);
	doc_set(a, components, "schemas", m.schemas);
	doc_set(a, d, "components", components);
	return d;
}
