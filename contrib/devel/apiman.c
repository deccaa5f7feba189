/*
 * apiman.c - the route list of tallyd-api(7), from the route tables.
 *
 * Usage: apiman PAGE
 * Writes PAGE to stdout with what stands between its two marks made anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "http/openapi.h"
#include "http/router.h"

static const char begin_mark[] = ".\\\" begin of the routes; make api-manual\n";
static const char end_mark[] = ".\\\" end of the routes\n";

/* ---- words ---- */

/* roff: a backslash and a leading dot mean something. */
static void put(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)putchar(*s);
	}
}

/* One sentence of its own line. */
static void sentence(const char *s)
{
	size_t len = strlen(s);

	put(s);
	(void)puts(len > 0 && strchr(".?", s[len - 1]) != NULL ? "" : ".");
}

static const char *kind_of(const struct shape_field *f)
{
	switch (f->kind) {
	case SHAPE_BOOL:
		return "boolean";
	case SHAPE_INT:
		return "integer";
	case SHAPE_STR:
		return "string";
	case SHAPE_UUID:
		return "UUID";
	case SHAPE_STRS:
		return "array of strings";
	case SHAPE_OBJECT:
		return "object";
	case SHAPE_ARRAY:
		return "array of objects";
	case SHAPE_USD:
		return "number, USD";
	case SHAPE_TIME:
		return "time";
	case SHAPE_DATE:
		return "date";
	case SHAPE_ANY:
		return "any";
	}
	return "?";
}

static void bounds(const struct shape_field *f)
{
	if (f->min == 0 && f->max == 0)
		return;
	if (f->kind == SHAPE_INT)
		(void)printf(" from %" PRId64 " to %" PRId64, f->min, f->max);
	else if (f->kind == SHAPE_STR)
		(void)printf(" of %" PRId64 " to %" PRId64 " characters",
			     f->min, f->max);
	else
		(void)printf(", %" PRId64 " to %" PRId64 " items", f->min,
			     f->max);
}

/* "string", or which strings. */
static void kind(const struct shape_field *f, bool parameter)
{
	const char *sep = "";

	if (f->kind == SHAPE_STR && f->sub != NULL) {
		for (const struct shape_field *w = f->sub->fields;
		     w->name != NULL; w++) {
			(void)printf("%s%s", sep, w->name);
			sep = " | ";
		}
		return;
	}
	if (parameter && f->kind == SHAPE_BOOL)
		(void)fputs("0 | 1", stdout);
	else if (parameter && f->kind == SHAPE_STRS)
		(void)fputs("string, may be repeated", stdout);
	else
		(void)fputs(kind_of(f), stdout);
	bounds(f);
}

static void fields(const struct shape *s, bool parameters);

static void field(const struct shape_field *f, bool parameter)
{
	(void)printf(".It Cm %s\n", f->name);
	kind(f, parameter);
	if ((f->flags & SHAPE_NULLABLE) != 0)
		(void)fputs(" | null", stdout);
	if ((f->flags & SHAPE_REQUIRED) != 0 && f->offset != SHAPE_NO_OFFSET)
		(void)fputs(", required", stdout);
	(void)fputs(f->doc != NULL ? ": " : ".\n", stdout);
	if (f->doc != NULL)
		sentence(f->doc);
	if (f->kind == SHAPE_OBJECT || f->kind == SHAPE_ARRAY)
		fields(f->sub, false);
}

static void fields(const struct shape *s, bool parameters)
{
	(void)puts(".Bl -tag -width Ds -compact");
	for (const struct shape_field *f = s->fields; f->name != NULL; f++)
		field(f, parameters);
	(void)puts(".El");
}

/* ---- routes ---- */

static void methods(const struct route *r)
{
	char names[ROUTER_ALLOW_TEXT];

	if ((r->methods & HTTP_ANY) == HTTP_ANY) {
		(void)printf("any");
		return;
	}
	router_allow(r->methods, names);
	(void)printf("%s", names);
}

static void errors(const struct route *r)
{
	static const struct {
		unsigned bit;
		int status;
	} all[] = {
		{ OPENAPI_400, 400 }, { OPENAPI_401, 401 },
		{ OPENAPI_403, 403 }, { OPENAPI_404, 404 },
		{ OPENAPI_409, 409 }, { OPENAPI_413, 413 },
		{ OPENAPI_415, 415 }, { OPENAPI_429, 429 },
		{ OPENAPI_503, 503 },
	};
	unsigned may = openapi_errors(r);
	const char *sep = "Refusals: ";

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if ((may & all[i].bit) == 0)
			continue;
		(void)printf("%s%d", sep, all[i].status);
		sep = ", ";
	}
	if (may != 0)
		(void)puts(".");
}

static void reply(const struct route *r)
{
	if (r->out == NULL) {
		(void)printf("Reply: %s.\n", r->content_type != NULL
						     ? r->content_type
						     : "200 without a body");
	} else if ((r->flags & ROUTE_EVENTS) != 0) {
		(void)puts("Reply: 200, text/event-stream.\n"
			   "Events by name, and what their data hold:");
		fields(r->out, false);
	} else {
		(void)printf("Reply: %d, %s of\n",
			     (r->flags & ROUTE_CREATED) != 0	? 201
			     : (r->flags & ROUTE_ACCEPTED) != 0 ? 202
								: 200,
			     (r->flags & ROUTE_LIST) != 0 ? "an array of "
							    "objects"
							  : "an object");
		fields(r->out, false);
	}
	if ((r->flags & ROUTE_REPORTS) != 0)
		(void)puts("The reply of status 503 has the same members.");
	if (r->headers == NULL)
		return;
	(void)puts("Headers of the reply:");
	fields(r->headers, false);
}

/* Those in the path are ids; what they name is in their name. */
static void parameters(const struct route *r)
{
	if (r->query != NULL) {
		(void)puts("Parameters:");
		fields(r->query, true);
	}
	if ((r->flags & ROUTE_IDEMPOTENT) != 0)
		(void)puts("With the header\n"
			   ".Li Idempotency-Key ,\n"
			   "1 to 64 of\n"
			   ".Li A-Z a-z 0-9 . _ - ,\n"
			   "a request that is sent again within 24 hours gets "
			   "the first answer and is charged once.");
	if ((r->flags & ROUTE_EVENTS) != 0)
		(void)puts("With the header\n"
			   ".Li Last-Event-ID\n"
			   "what happened since that event is told again.");
}

static void route(const struct route *r)
{
	(void)printf(".It Sy ");
	methods(r);
	(void)printf(" Pa %s\n", r->path);
	sentence(r->summary);
	(void)printf("For %s.\n", openapi_caller(r));
	parameters(r);
	if (r->in != NULL) {
		(void)puts("Body:");
		fields(r->in, false);
	}
	reply(r);
	errors(r);
}

static void routes(void)
{
	(void)puts(".Bl -tag -width Ds");
	for (const struct route *const *t = APP_TABLES; *t != NULL; t++)
		for (const struct route *r = *t; r->path != NULL; r++)
			route(r);
	(void)puts(".El");
}

/* ---- the page ---- */

static char *read_page(const char *path)
{
	FILE *f = fopen(path, "r");
	struct tl_buf b;
	int ch;

	if (f == NULL) {
		(void)fprintf(stderr, "apiman: %s: %s\n", path,
			      strerror(errno));
		exit(1);
	}
	tl_buf_init(&b);
	while ((ch = getc(f)) != EOF)
		tl_buf_addc(&b, (char)ch);
	(void)fclose(f);
	tl_buf_addc(&b, '\0');
	return b.ptr;
}

int main(int argc, char **argv)
{
	char *page, *begin, *end;

	if (argc != 2) {
		(void)fputs("usage: apiman PAGE\n", stderr);
		return 2;
	}
	page = read_page(argv[1]);
	begin = strstr(page, begin_mark);
	end = strstr(page, end_mark);
	if (begin == NULL || end == NULL || end < begin) {
		(void)fprintf(stderr, "apiman: %s has not both marks\n",
			      argv[1]);
		return 1;
	}
	begin += sizeof(begin_mark) - 1;
	(void)fwrite(page, 1, (size_t)(begin - page), stdout);
	routes();
	(void)fputs(end, stdout);
	tl_free(page);
	return 0;
}
