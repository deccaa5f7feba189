#include "app/docs/docs.h"

/* The viewer draws icons from data: addresses. */
static const struct http_files viewer = {
	.dir = "docs",
	.policy = HTTP_POLICY "; img-src 'self' data:",
	.absent = "these pages were not installed: build without "
		  "--without-web",
};

/* Public, and the same for everybody until the next release. */
static void openapi_handle(struct req *req)
{
	req_reply_description(req);
}

static void page_handle(struct req *req)
{
	req_reply_file(req, &viewer, TL_STR("index.html"));
}

static void file_handle(struct req *req)
{
	req_reply_file(req, &viewer, req_path_param(req, "file"));
}

/* clang-format off */
const struct route DOCS_ROUTES[] = {
	{ .id = "getOpenapi", .methods = HTTP_GET, .path = "/openapi.json",
	  .auth = AUTH_ADDRESS, .flags = ROUTE_INLINE | ROUTE_ETAG,
	  .content_type = "application/json", .handler = openapi_handle,
	  .summary = "This description" },
	{ .id = "getDocs", .methods = HTTP_GET, .path = "/docs/api",
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_ETAG,
	  .content_type = "text/html", .handler = page_handle,
	  .summary = "This description, to read and to try" },
	{ .id = "getDocsFile", .methods = HTTP_GET, .path = "/docs/api/{file}",
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_ETAG,
	  .content_type = "application/octet-stream", .handler = file_handle,
	  .summary = "What that page is made of" },
	{ .path = NULL },
};
/* clang-format on */
