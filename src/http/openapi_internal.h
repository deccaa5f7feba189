/*
 * openapi_internal.h - what the two halves of the description share: openapi.c
 * asks, openapi_reply.c answers.
 */
#ifndef TALLY_HTTP_OPENAPI_INTERNAL_H
#define TALLY_HTTP_OPENAPI_INTERNAL_H

#include "codec/schema.h"
#include "http/http.h"

/* One description in the making; all of it lies in the arena. */
struct openapi {
	struct tl_arena *a;
	struct doc *paths;
	/* of its components, those that grow with the routes */
	struct doc *schemas, *responses;
};

void openapi_text(struct openapi *m, struct doc *o, const char *name,
		  const char *text);
/* {"$ref":"#/components/<kind>/<name>"} */
const struct doc *openapi_ref(struct openapi *m, const char *kind,
			      const char *name);
/* The two media types of a body. */
const struct doc *openapi_content(struct openapi *m, const struct doc *schema);

/* Components "headers"; and a route's answers by status. */
const struct doc *openapi_headers(struct openapi *m);
const struct doc *openapi_responses(struct openapi *m, const struct route *r);

#endif
