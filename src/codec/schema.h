/*
 * schema.h - shapes as JSON Schema (draft 2020-12, as OpenAPI 3.1 takes it).
 *
 * Named shapes become entries of one object of schemas and are referred to
 * from everywhere else.
 */
#ifndef TALLY_CODEC_SCHEMA_H
#define TALLY_CODEC_SCHEMA_H

#include "codec/shape.h"

/* The schema of one field: of a query parameter, say. */
const struct doc *schema_of_field(struct tl_arena *a,
				  const struct shape_field *f,
				  struct doc *schemas);
/* {"$ref":"#/components/schemas/<name>"}; adds the shape and those it is made
 * of to schemas when they are not in it. */
const struct doc *schema_ref(struct tl_arena *a, const struct shape *s,
			     struct doc *schemas);

#endif
