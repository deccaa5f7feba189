/*
 * admin_tokens.c - everybody's keys, for admins: the acts of app/keys without
 * an owner to respect, and a list with a search.
 */
#include <stddef.h>

#include "app/admin/admin_tokens.h"
#include "app/keys/keys.h"
#include "app/list.h"
#include "app/words.h"
#include "store/q_keys.h"

#define NONE     SHAPE_NO_OFFSET
#define LIST_MAX 200
#define LIST_DEF 50
#define TEXT_MAX 100

/* clang-format off */
static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL, "the key" },
	{ "user_id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "its owner" },
	{ "user_email", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "the owner's e-mail" },
	{ "prefix", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "first characters of the key" },
	{ "label", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "what its owner calls it" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  &WORDS_KEY_STATUS, "revoked ones are shown too" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when it was made" },
	{ "last_used_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE,
	  NONE, 0, 0, NULL, "null: never" },
	{ "revoked_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE,
	  NONE, 0, 0, NULL, "null: it is active" },
	{ .name = NULL },
};
static const struct shape view_shape = { "AdminToken", 0, view_fields };

static const struct shape_field list_fields[] = {
	{ "q", SHAPE_STR, SHAPE_TRIM, offsetof(struct keys_page, text), NONE, 0,
	  TEXT_MAX, NULL, "part of e-mail, label or prefix; any case" },
	{ "limit", SHAPE_INT, 0, offsetof(struct keys_page, limit), NONE, 1,
	  LIST_MAX, NULL, "most keys in the reply; default 50" },
	{ "offset", SHAPE_INT, 0, offsetof(struct keys_page, offset), NONE, 0,
	  INT32_MAX, NULL, "keys to pass over; default 0" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct keys_page, cursor), NONE, 1,
	  HTTP_CURSOR_TEXT_MAX, NULL, "from the Link of the page before" },
	{ .name = NULL },
};
static const struct shape list_query = {
	"AdminTokenListQuery", sizeof(struct keys_page), list_fields
};

static const struct shape_field new_fields[] = {
	{ "user_id", SHAPE_UUID, SHAPE_REQUIRED,
	  offsetof(struct key_new, user_id), NONE, 0, 0, NULL,
	  "whose key it will be" },
	KEY_NEW_FIELDS,
	{ .name = NULL },
};
static const struct shape new_shape = {
	"AdminTokenNew", sizeof(struct key_new), new_fields
};
/* clang-format on */

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_key_search_row *r = row;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->key_id));
	doc_set(a, d, "user_id", doc_uuid(a, &r->user_id));
	doc_set(a, d, "user_email", doc_str(a, r->email));
	doc_set(a, d, "prefix", doc_str(a, r->key_prefix));
	doc_set(a, d, "label", doc_str(a, r->label));
	doc_set(a, d, "status", doc_str(a, r->status));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "last_used_at",
		doc_time_or_null(a, r->last_used_at_null, r->last_used_at_us));
	doc_set(a, d, "revoked_at",
		doc_time_or_null(a, r->revoked_at_null, r->revoked_at_us));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_key_search_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->key_id };
}

static void list_handle(struct req *req)
{
	struct keys_page page = { .limit = LIST_DEF, .text = TL_STR("") };
	struct http_cursor from;
	struct q_key_search_params p;
	struct q_key_search_row *rows = NULL;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &page) || !keys_page_start(req, &page, &from))
		return;
	p = (struct q_key_search_params){
		.before_us = from.at_us,
		.before_id = from.id,
		.text = page.text,
		.skip = page.offset,
		.max = page.limit + 1, /* is there another page? */
	};
	st = q_key_search(req_pg(req), &p, &req->arena, &rows, &n, &err);
	list_reply(req, LIST(rows, n, page.limit, view, place), st, &err);
}

static void create_handle(struct req *req)
{
	struct key_new k = KEY_NEW_INIT;

	if (req_body(req, &k))
		keys_create(req, &k.user_id, &k, "/api/admin/tokens");
}

static void rename_handle(struct req *req)
{
	keys_rename(req, NULL);
}

static void revoke_handle(struct req *req)
{
	keys_revoke(req, NULL);
}

static void rotate_handle(struct req *req)
{
	keys_rotate(req, NULL, "/api/admin/tokens");
}

/* clang-format off */
const struct route ADMIN_TOKENS_ROUTES[] = {
	{ .id = "adminListTokens", .methods = HTTP_GET,
	  .path = "/api/admin/tokens", .auth = AUTH_ADMIN, .flags = ROUTE_LIST,
	  .query = &list_query, .out = &view_shape, .handler = list_handle,
	  .summary = "Keys of all users, revoked ones too, newest first" },
	{ .id = "adminCreateToken", .methods = HTTP_POST,
	  .path = "/api/admin/tokens", .auth = AUTH_ADMIN,
	  .flags = ROUTE_CREATED | ROUTE_CONFLICTS | ROUTE_NAMES,
	  .in = &new_shape, .out = &KEY_CREATED_SHAPE,
	  .handler = create_handle,
	  .summary = "Make a key for a user; its secret is shown this once" },
	{ .id = "adminRenameToken", .methods = HTTP_PATCH,
	  .path = "/api/admin/tokens/{key_id}", .auth = AUTH_ADMIN,
	  .in = &KEY_LABEL_SHAPE, .out = &UPDATED_SHAPE,
	  .handler = rename_handle, .summary = "Rename anybody's key" },
	{ .id = "adminRevokeToken", .methods = HTTP_DELETE,
	  .path = "/api/admin/tokens/{key_id}", .auth = AUTH_ADMIN,
	  .out = &DELETED_SHAPE, .handler = revoke_handle,
	  .summary = "Revoke anybody's key" },
	{ .id = "adminRotateToken", .methods = HTTP_POST,
	  .path = "/api/admin/tokens/{key_id}/rotate", .auth = AUTH_ADMIN,
	  .flags = ROUTE_CREATED, .in = &KEY_ROTATE_SHAPE,
	  .out = &KEY_CREATED_SHAPE, .handler = rotate_handle,
	  .summary = "Put a new key in the place of anybody's" },
	{ .path = NULL },
};
/* clang-format on */
