/*
 * describe.c - the worker's copy of the API's description.
 */
#include "http/http_internal.h"
#include "http/openapi.h"

void req_reply_description(struct req *req)
{
	struct http_kept *k = &req->http->description;
	struct tl_arena a;

	if (k->bytes.len == 0) {
		tl_arena_init(&a);
		doc_write(openapi_make(req->http->tables, &a), DOC_JSON,
			  &k->bytes);
		tl_arena_deinit(&a);
		http_kept_seal(k);
	}
	req_header_add(req, "Content-Type", "application/json");
	http_reply_kept(req, k, "no-cache");
}
