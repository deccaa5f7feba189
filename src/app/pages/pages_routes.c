/*
 * pages_routes.c - the files that contrib/dashboard was built to.
 *
 * The pages of the dashboard are one file, which looks at its own path.
 */
#include "app/pages/pages.h"

#define ABSENT                                                                 \
	"the dashboard was not installed: build without --without-dashboard"

static const struct http_files pages = {
	.dir = "dashboard",
	.policy = HTTP_POLICY,
	.absent = ABSENT,
};
static const struct http_files assets = {
	.dir = "dashboard/assets",
	.policy = HTTP_POLICY,
	.absent = ABSENT,
	.hashed = true,
};

/* Of db/seed/demo.sql, and in every copy of this program: no secrets. */
static const struct {
	const char *name, *plan, *key;
} demo_keys[] = {
	{ "Demo Pro Key", "Pro", "codexible_demo_pro_2026" },
	{ "Demo Business Key", "Business", "codexible_demo_business_2026" },
	{ "Demo Starter Key", "Starter", "codexible_demo_starter_2026" },
};

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field demo_key_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "its label" },
	{ "plan", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the plan of its user" },
	{ "key", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the key itself" },
	{ .name = NULL },
};
static const struct shape demo_key_shape = { "DemoKey", 0, demo_key_fields };
static const struct shape_field demo_fields[] = {
	{ "demo_keys", SHAPE_ARRAY, SHAPE_REQUIRED, REPLY, 0, 0,
	  &demo_key_shape, "empty without database.seed_demo" },
	{ .name = NULL },
};
static const struct shape demo_shape = { "DemoKeys", 0, demo_fields };
/* clang-format on */

static void root_handle(struct req *req)
{
	if (!req_has_files(req, &pages)) {
		req_fail(req, 404, "not_found", "%s", ABSENT);
		return;
	}
	/* not for good: the next release may have another page here */
	req_header_add(req, "Location", "/dashboard");
	req_header_add(req, "Cache-Control", "no-cache");
	req_reply_buf(req, 302, (struct tl_str){ NULL, 0 });
}

static void dashboard_handle(struct req *req)
{
	req_reply_file(req, &pages, TL_STR("index.html"));
}

static void docs_handle(struct req *req)
{
	req_reply_file(req, &pages, TL_STR("docs.html"));
}

static void asset_handle(struct req *req)
{
	req_reply_file(req, &assets, req_path_param(req, "file"));
}

static void demo_handle(struct req *req)
{
	struct tl_arena *a = &req->arena;
	struct doc *list = doc_array(a), *d = doc_object(a);

	for (size_t i = 0; req_conf(req)->database.seed_demo &&
			   i < sizeof(demo_keys) / sizeof(demo_keys[0]);
	     i++) {
		struct doc *k = doc_object(a);

		doc_set(a, k, "name", doc_str(a, tl_str_c(demo_keys[i].name)));
		doc_set(a, k, "plan", doc_str(a, tl_str_c(demo_keys[i].plan)));
		doc_set(a, k, "key", doc_str(a, tl_str_c(demo_keys[i].key)));
		doc_push(a, list, k);
	}
	doc_set(a, d, "demo_keys", list);
	req_header_add(req, "Cache-Control", "no-cache");
	req_reply(req, 200, d);
}

/* clang-format off */
#define PAGE(id_, path_, handler_, summary_)                                   \
	{ .id = (id_), .methods = HTTP_GET, .path = (path_),                   \
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_ETAG,               \
	  .content_type = "text/html", .handler = (handler_),                  \
	  .summary = (summary_) }

const struct route PAGES_ROUTES[] = {
	{ .id = "getRoot", .methods = HTTP_GET, .path = "/",
	  .auth = AUTH_NONE, .flags = ROUTE_INLINE | ROUTE_REDIRECTS,
	  .handler = root_handle, .summary = "To the dashboard" },
	PAGE("getDashboard", "/dashboard", dashboard_handle,
	     "The dashboard: what was used"),
	PAGE("getDashboardLogin", "/dashboard/login", dashboard_handle,
	     "The dashboard: the door"),
	PAGE("getDashboardSettings", "/dashboard/settings", dashboard_handle,
	     "The dashboard: keys and preferences"),
	PAGE("getDashboardAdmin", "/dashboard/admin", dashboard_handle,
	     "The dashboard: for admins"),
	{ .id = "getDashboardFile", .methods = HTTP_GET,
	  .path = "/dashboard/assets/{file}", .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE | ROUTE_ETAG,
	  .content_type = "application/octet-stream", .handler = asset_handle,
	  .summary = "What the dashboard is made of" },
	PAGE("getDocsPage", "/docs", docs_handle, "How to use the API"),
	{ .id = "getDemoKeys", .methods = HTTP_GET, .path = "/docs/demo.json",
	  .auth = AUTH_ADDRESS, .flags = ROUTE_INLINE, .out = &demo_shape,
	  .handler = demo_handle, .summary = "Keys of the demo data" },
	{ .path = NULL },
};
/* clang-format on */
