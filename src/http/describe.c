/*
 * describe.c - the worker's copy of the API's description.
 */
#include "http/http_internal.h"
#include "http/openapi.h"

struct tl_str req_description(struct req *req)
{
	struct http *h = req->http;
	struct tl_arena a;

	if (h->description.len == 0) {
		tl_arena_init(&a);
		doc_write(openapi_make(h->tables, &a), DOC_JSON,
			  &h->description);
		tl_arena_deinit(&a);
	}
	return tl_buf_str(&h->description);
}
