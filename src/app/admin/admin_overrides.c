/*
 * admin_overrides.c - one user's or one key's own count for a limit.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "app/list.h"
#include "store/q_limits.h"
#include "store/q_policy.h"
#include "tally/input.h"

#define LIST_MAX     500
#define LIST_DEFAULT 100
#define NONE         SHAPE_NO_OFFSET
#define O(m)         offsetof(struct override_input, m)

struct override_input {
	struct tl_uuid user_id, key_id;
	int64_t count;
	bool has_user, has_key;
};

/* clang-format off */
static const struct shape_field list_fields[] = {
	{ "limit", SHAPE_INT, 0, offsetof(struct keys_page, limit), NONE, 1,
	  LIST_MAX, NULL, "most overrides in the reply; default 100" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct keys_page, cursor), NONE, 1,
	  HTTP_CURSOR_TEXT_MAX, NULL, "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape ADMIN_OVERRIDE_LIST_SHAPE = {
	"OverrideListQuery", sizeof(struct keys_page), list_fields
};

static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "of the override" },
	{ "user_id", SHAPE_UUID, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE,
	  0, 0, NULL, "whose it is; null: a key's" },
	{ "user_email", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE,
	  0, 0, NULL, "of that user" },
	{ "key_id", SHAPE_UUID, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE, 0,
	  0, NULL, "whose it is; null: a user's" },
	{ "key_prefix", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE,
	  0, 0, NULL, "of that key" },
	{ "count", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "in place of the limit's" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when it was first set" },
	{ .name = NULL },
};
const struct shape ADMIN_OVERRIDE_SHAPE = { "LimitOverride", 0, view_fields };

static const struct shape_field set_fields[] = {
	{ "user_id", SHAPE_UUID, 0, O(user_id), O(has_user), 0, 0, NULL,
	  "whose count; this or key_id" },
	{ "key_id", SHAPE_UUID, 0, O(key_id), O(has_key), 0, 0, NULL,
	  "whose count; it goes before one of its user" },
	{ "count", SHAPE_INT, SHAPE_REQUIRED, O(count), NONE, 0, INT32_MAX,
	  NULL, "in place of the limit's, and of one set before" },
	{ .name = NULL },
};
const struct shape ADMIN_OVERRIDE_SET_SHAPE = {
	"LimitOverrideSet", sizeof(struct override_input), set_fields
};
/* clang-format on */

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_override_page_row *r = row;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->limit_override_id));
	doc_set(a, d, "user_id",
		r->user_id_null ? doc_null() : doc_uuid(a, &r->user_id));
	doc_set(a, d, "user_email",
		r->email_null ? doc_null() : doc_str(a, r->email));
	doc_set(a, d, "key_id",
		r->key_id_null ? doc_null() : doc_uuid(a, &r->key_id));
	doc_set(a, d, "key_prefix",
		r->key_prefix_null ? doc_null() : doc_str(a, r->key_prefix));
	doc_set(a, d, "count", doc_int(a, r->count));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_override_page_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->limit_override_id };
}

void admin_overrides_list(struct req *req)
{
	struct keys_page page = { .limit = LIST_DEFAULT };
	struct http_cursor from;
	struct q_override_page_params p;
	struct q_override_page_row *rows = NULL;
	struct q_limit_list_row limit;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_path_uuid(req, "limit_id", &p.limit_id) ||
	    !req_query(req, &page) || !keys_page_start(req, &page, &from))
		return;
	p.before_at_us = from.at_us;
	p.before_id = from.id;
	p.max = page.limit + 1; /* is there another page? */
	st = q_override_page(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st == TL_OK && n == 0) /* of what is there, or of nothing? */
		st = q_limit_load(req_pg(req), p.limit_id, &req->arena, &limit,
				  &err);
	if (st == TL_NOT_FOUND) {
		req_fail(req, 404, "not_found", "there is no such limit");
		return;
	}
	list_reply(req, LIST(rows, n, page.limit, view, place), st, &err);
}

/* ---- set, remove ---- */

/* The segment takes overrides in with their user or key.  The row tells the
 * digest of a key. */
static enum tl_status subject_live(struct req *req,
				   const struct tl_uuid *user_id,
				   struct tl_str digest, struct tl_err *err)
{
	struct tally_digest d;

	if (user_id != NULL)
		return http_user_live(req->http, user_id, err);
	if (digest.len != sizeof(d.b))
		return TL_OK; /* no key of ours: nobody can present it */
	memcpy(d.b, digest.ptr, sizeof(d.b));
	return http_key_live(req->http, &d, err);
}

static bool outcome_good(struct req *req, struct tl_str outcome)
{
	if (tl_str_eq(outcome, TL_STR("no_limit")))
		req_fail(req, 404, "not_found", "there is no such limit");
	else if (tl_str_eq(outcome, TL_STR("no_subject")))
		req_fail(req, 404, "not_found", "there is no such user or key");
	else if (tl_str_eq(outcome, TL_STR("too_many")))
		req_fail(req, 409, "conflict",
			 "at most %d overrides of one user or key, and %d "
			 "limits of scope user for one user",
			 TALLY_OVERRIDES_MAX, DECIDE_USER_MAX);
	else
		return true;
	return false;
}

void admin_override_set(struct req *req)
{
	struct override_input in = { .has_user = false };
	struct q_override_set_params p = { .max = TALLY_OVERRIDES_MAX,
					   .max_user = DECIDE_USER_MAX };
	struct q_override_set_row row;
	char base[64 + TL_UUID_TEXT], id[TL_UUID_TEXT];
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "limit_id", &p.limit_id) || !req_body(req, &in))
		return;
	if (in.has_user == in.has_key) {
		req_fail(req, 400, "bad_request", "give user_id or key_id");
		return;
	}
	p.user_id = in.has_user ? &in.user_id : NULL;
	p.key_id = in.has_key ? &in.key_id : NULL;
	p.count = (int32_t)in.count;
	if (!admin_actor(req, &p.actor))
		return;
	st = q_override_set(req_pg(req), &p, &req->arena, &row, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	if (!outcome_good(req, row.outcome))
		return;
	st = subject_live(req, p.user_id, row.digest, &err);
	if (!admin_in_force(req, st, &err))
		return;
	tl_uuid_format(&p.limit_id, id);
	snprintf(base, sizeof(base), "/api/admin/limits/%s/overrides", id);
	admin_reply_created(req, base, &row.limit_override_id);
}

void admin_override_remove(struct req *req)
{
	struct q_override_remove_params p = { .user_id = NULL };
	struct q_override_remove_row row;
	struct tl_uuid override_id;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "limit_id", &p.limit_id) ||
	    !req_path_uuid(req, "override_id", &override_id) ||
	    !admin_actor(req, &p.actor))
		return;
	p.limit_override_id = &override_id;
	st = q_override_remove(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND) {
		req_fail(req, 404, "not_found", "there is no such override");
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	st = subject_live(req, row.user_id_null ? NULL : &row.user_id,
			  row.digest, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_flag(req, "deleted");
}
