#include "app/keys/keys.h"
#include "app/list.h"

#include <string.h>

#include "app/words.h"
#include "store/q_keys.h"

#define NONE      SHAPE_NO_OFFSET
#define LIST_MAX  1000
#define GRACE_MAX 86400

/* ---- shapes ---- */

/* clang-format off */
static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL, "the key" },
	{ "prefix", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "first characters, to tell keys apart" },
	{ "label", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "what its owner calls it" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  &WORDS_KEY_STATUS, "of those listed: active" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when it was made" },
	{ "last_used_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE,
	  NONE, 0, 0, NULL, "null: never" },
	{ "expires_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE,
	  NONE, 0, 0, NULL, "null: never" },
	{ "scopes", SHAPE_STRS, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "what it may do; empty: all" },
	{ "allowed_ips", SHAPE_STRS, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "where it may come from; empty: anywhere" },
	{ "rate_limit", SHAPE_INT, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE,
	  0, 0, NULL, "requests per limits.window_ms; null: the usual" },
	{ "daily_credit_limit", SHAPE_INT, SHAPE_REQUIRED | SHAPE_NULLABLE,
	  NONE, NONE, 0, 0, NULL, "credits a day of this key; null: none" },
	{ "metadata", SHAPE_ANY, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE,
	  0, 0, NULL, "the object it was made with, or null" },
	{ .name = NULL },
};
const struct shape KEY_VIEW_SHAPE = { "KeyView", 0, view_fields };

static const struct shape_field created_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL, "the key" },
	{ "key", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "the secret; shown this once" },
	{ "prefix", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "first characters, to tell keys apart" },
	{ "label", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "what its owner calls it" },
	{ .name = NULL },
};
const struct shape KEY_CREATED_SHAPE = { "KeyCreated", 0, created_fields };

static const struct shape_field new_fields[] = {
	KEY_NEW_FIELDS,
	{ .name = NULL },
};
const struct shape KEY_NEW_SHAPE = {
	"KeyNew", sizeof(struct key_new), new_fields
};

static const struct shape_field label_fields[] = {
	{ "label", SHAPE_STR, SHAPE_REQUIRED | SHAPE_TRIM | SHAPE_NO_CONTROL,
	  0, NONE, 1, TALLY_LABEL_MAX, NULL, "the new label" },
	{ .name = NULL },
};
const struct shape KEY_LABEL_SHAPE = {
	"KeyLabel", sizeof(struct tl_str), label_fields
};

static const struct shape_field rotate_fields[] = {
	{ "grace_seconds", SHAPE_INT, 0, 0, NONE, 0, GRACE_MAX, NULL,
	  "how long the old key still works; default 0" },
	{ .name = NULL },
};
const struct shape KEY_ROTATE_SHAPE = {
	"KeyRotate", sizeof(int64_t), rotate_fields
};

static const struct shape_field deleted_fields[] = {
	{ "deleted", SHAPE_BOOL, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "true" },
	{ .name = NULL },
};
const struct shape DELETED_SHAPE = { "Deleted", 0, deleted_fields };
static const struct shape_field updated_fields[] = {
	{ "updated", SHAPE_BOOL, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "true" },
	{ .name = NULL },
};
const struct shape UPDATED_SHAPE = { "Updated", 0, updated_fields };

static const struct shape_field list_fields[] = {
	{ "limit", SHAPE_INT, 0, offsetof(struct keys_page, limit), NONE, 1,
	  LIST_MAX, NULL, "most keys in the reply; default 1000" },
	{ "offset", SHAPE_INT, 0, offsetof(struct keys_page, offset), NONE, 0,
	  INT32_MAX, NULL, "keys to pass over; default 0" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct keys_page, cursor), NONE, 1,
	  HTTP_CURSOR_TEXT_MAX, NULL, "from the Link of the page before" },
	{ .name = NULL },
};
static const struct shape list_query = {
	"KeyListQuery", sizeof(struct keys_page), list_fields
};
/* clang-format on */

/* ---- the list ---- */

bool keys_page_start(struct req *req, const struct keys_page *p,
		     struct http_cursor *from_r)
{
	struct tl_err err;

	/* behind the newest there can be */
	from_r->at_us = INT64_MAX / 2;
	memset(from_r->id.b, 0xff, sizeof(from_r->id.b));
	if (p->cursor.ptr == NULL)
		return true;
	if (http_cursor_parse(p->cursor, from_r, &err) == TL_OK)
		return true;
	req_fail(req, 400, "bad_request", "%s", err.text);
	return false;
}

/* It was valid when it was stored; by hand in SQL it may nest too deep. */
static const struct doc *metadata(struct tl_arena *a, bool null,
				  struct tl_str json)
{
	const struct doc *d;
	struct tl_err err;

	if (null || doc_parse(a, DOC_JSON, json, &d, &err) != TL_OK)
		return doc_null();
	return d;
}

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_key_own_row *r = row;
	int64_t used_us = keys_last_used_us(
		req, r->digest, r->last_used_at_null ? 0 : r->last_used_at_us);
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->key_id));
	doc_set(a, d, "prefix", doc_str(a, r->key_prefix));
	doc_set(a, d, "label", doc_str(a, r->label));
	doc_set(a, d, "status", doc_str(a, r->status));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "last_used_at",
		doc_time_or_null(a, used_us == 0, used_us));
	doc_set(a, d, "expires_at",
		doc_time_or_null(a, r->expires_at_null, r->expires_at_us));
	doc_set(a, d, "scopes", doc_strs(a, r->scopes.items, r->scopes.n));
	doc_set(a, d, "allowed_ips",
		doc_strs(a, r->allowed_ips.items, r->allowed_ips.n));
	doc_set(a, d, "rate_limit",
		r->rate_limit_null ? doc_null() : doc_int(a, r->rate_limit));
	doc_set(a, d, "daily_credit_limit",
		r->daily_credit_limit_null ? doc_null()
					   : doc_int(a, r->daily_credit_limit));
	doc_set(a, d, "metadata", metadata(a, r->metadata_null, r->metadata));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_key_own_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->key_id };
}

static void list_handle(struct req *req)
{
	struct keys_page page = { .limit = LIST_MAX };
	struct http_cursor from;
	struct q_key_own_params p;
	struct q_key_own_row *rows = NULL;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &page) || !keys_page_start(req, &page, &from))
		return;
	p = (struct q_key_own_params){
		.user_id = req->d.user_id,
		.before_us = from.at_us,
		.before_id = from.id,
		.skip = page.offset,
		.max = page.limit + 1, /* is there another page? */
	};
	st = q_key_own(req_pg(req), &p, &req->arena, &rows, &n, &err);
	list_reply(req, LIST(rows, n, page.limit, view, place), st, &err);
}

/* ---- one's own keys ---- */

static void create_handle(struct req *req)
{
	struct key_new k = KEY_NEW_INIT;

	if (req_body(req, &k))
		keys_create(req, &req->d.user_id, &k, "/api/keys");
}

static void rename_handle(struct req *req)
{
	keys_rename(req, &req->d.user_id);
}

static void revoke_handle(struct req *req)
{
	keys_revoke(req, &req->d.user_id);
}

static void rotate_handle(struct req *req)
{
	keys_rotate(req, &req->d.user_id, "/api/keys");
}

/* clang-format off */
const struct route KEYS_ROUTES[] = {
	{ .id = "listKeys", .methods = HTTP_GET, .path = "/api/keys",
	  .auth = AUTH_KEY, .flags = ROUTE_METERED | ROUTE_LIST,
	  .query = &list_query, .out = &KEY_VIEW_SHAPE, .handler = list_handle,
	  .summary = "Active keys of the caller, newest first" },
	{ .id = "createKey", .methods = HTTP_POST, .path = "/api/keys",
	  .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_CREATED | ROUTE_CONFLICTS,
	  .in = &KEY_NEW_SHAPE, .out = &KEY_CREATED_SHAPE,
	  .handler = create_handle,
	  .summary = "Make a key; its secret is shown this once" },
	{ .id = "renameKey", .methods = HTTP_PATCH, .path = "/api/keys/{key_id}",
	  .auth = AUTH_KEY, .flags = ROUTE_METERED, .in = &KEY_LABEL_SHAPE,
	  .out = &UPDATED_SHAPE, .handler = rename_handle,
	  .summary = "Rename a key" },
	{ .id = "revokeKey", .methods = HTTP_DELETE,
	  .path = "/api/keys/{key_id}", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_QUOTA_FREE, .out = &DELETED_SHAPE,
	  .handler = revoke_handle,
	  .summary = "Revoke a key; in force in every worker before the "
		     "answer" },
	{ .id = "rotateKey", .methods = HTTP_POST,
	  .path = "/api/keys/{key_id}/rotate", .auth = AUTH_KEY,
	  .flags = ROUTE_METERED | ROUTE_QUOTA_FREE | ROUTE_CREATED,
	  .in = &KEY_ROTATE_SHAPE, .out = &KEY_CREATED_SHAPE,
	  .handler = rotate_handle,
	  .summary = "Put a new key in the place of one, with its label and "
		     "rules" },
	{ .path = NULL },
};
/* clang-format on */
