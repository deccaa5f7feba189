/*
 * openapi.h - the API's description (OpenAPI 3.1), made of the route tables.
 *
 * What a route's row says is what its description says: parameters and bodies
 * from the shapes that read them, replies from the shapes that tests hold them
 * to, errors from what the row asks for.  Pure.
 */
#ifndef TALLY_HTTP_OPENAPI_H
#define TALLY_HTTP_OPENAPI_H

#include "codec/doc.h"

struct route;

/* tables: NULL-terminated, as for router_new. */
const struct doc *openapi_make(const struct route *const *tables,
			       struct tl_arena *a);

/*
 * What a route may answer beside its success, from its row alone; for the
 * description, the manual and tests.  Bits of enum openapi_error.
 */
enum openapi_error {
	OPENAPI_400 = 1, OPENAPI_401 = 2, OPENAPI_403 = 4, OPENAPI_404 = 8,
	OPENAPI_409 = 16, OPENAPI_413 = 32, OPENAPI_415 = 64,
	OPENAPI_429 = 128, OPENAPI_503 = 256, OPENAPI_500 = 512,
};
unsigned openapi_errors(const struct route *route);
/* Who may call: "a key of an admin". */
const char *openapi_caller(const struct route *route);

#endif
