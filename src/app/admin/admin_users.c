/*
 * admin_users.c - who there is, on which plan, and may they come in.
 */
#include <stddef.h>
#include <string.h>

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "app/list.h"
#include "app/words.h"
#include "shm/entries.h"
#include "store/q_admin.h"
#include "store/q_users.h"
#include "tally/input.h"

#define LIST_MAX     200
#define LIST_DEFAULT 50
#define NONE         SHAPE_NO_OFFSET

struct user_new {
	struct tl_str email, name, plan;
};
struct user_change {
	struct tl_str status, plan;
	bool has_status, has_plan;
};

/* clang-format off */
static const struct shape_field list_fields[] = {
	{ "q", SHAPE_STR, 0, offsetof(struct keys_page, text), NONE, 0,
	  ADMIN_QUERY_MAX, NULL,
	  "part of an e-mail or a name, taken literally, in any case" },
	{ "limit", SHAPE_INT, 0, offsetof(struct keys_page, limit), NONE, 1,
	  LIST_MAX, NULL, "most users in the reply; default 50" },
	{ "offset", SHAPE_INT, 0, offsetof(struct keys_page, offset), NONE, 0,
	  INT32_MAX, NULL, "users to pass over; default 0" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct keys_page, cursor), NONE, 1,
	  HTTP_CURSOR_TEXT_MAX, NULL, "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape ADMIN_USER_LIST_SHAPE = {
	"UserListQuery", sizeof(struct keys_page), list_fields
};

static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "of the user" },
	{ "email", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "unique, in any case" },
	{ "name", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE, 0, 0,
	  NULL, "null: none" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  &WORDS_USER_STATUS, "of the account" },
	{ "plan", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "name of the plan" },
	{ "key_count", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "active keys" },
	{ .name = NULL },
};
const struct shape ADMIN_USER_SHAPE = { "AdminUser", 0, view_fields };

static const struct shape_field new_fields[] = {
	{ "email", SHAPE_STR, SHAPE_REQUIRED | SHAPE_TRIM | SHAPE_NO_CONTROL,
	  offsetof(struct user_new, email), NONE, 1, TALLY_EMAIL_MAX, NULL,
	  "of nobody else" },
	{ "name", SHAPE_STR, SHAPE_TRIM | SHAPE_NO_CONTROL | SHAPE_NULLABLE,
	  offsetof(struct user_new, name), NONE, 1, TALLY_NAME_MAX, NULL,
	  "shown to people; default none" },
	{ "plan", SHAPE_STR, SHAPE_REQUIRED, offsetof(struct user_new, plan),
	  NONE, 1, TALLY_PLAN_NAME_MAX, NULL, "name of the plan" },
	{ .name = NULL },
};
const struct shape ADMIN_USER_NEW_SHAPE = {
	"UserNew", sizeof(struct user_new), new_fields
};

static const struct shape_field change_fields[] = {
	{ "status", SHAPE_STR, 0, offsetof(struct user_change, status),
	  offsetof(struct user_change, has_status), 1, 20, NULL,
	  "active; or suspended: every request gets 403" },
	{ "plan", SHAPE_STR, 0, offsetof(struct user_change, plan),
	  offsetof(struct user_change, has_plan), 1, TALLY_PLAN_NAME_MAX, NULL,
	  "name of the plan; credits used today stay used" },
	{ .name = NULL },
};
const struct shape ADMIN_USER_CHANGE_SHAPE = {
	"UserChange", sizeof(struct user_change), change_fields
};
/* clang-format on */

/* ---- list ---- */

static const struct doc *view(struct req *req, const void *row)
{
	const struct q_user_page_row *r = row;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->user_id));
	doc_set(a, d, "email", doc_str(a, r->email));
	doc_set(a, d, "name", r->name_null ? doc_null() : doc_str(a, r->name));
	doc_set(a, d, "status", doc_str(a, r->status));
	doc_set(a, d, "plan", doc_str(a, r->plan));
	doc_set(a, d, "key_count", doc_int(a, r->key_count));
	return d;
}

static struct http_cursor place(const void *row)
{
	const struct q_user_page_row *r = row;

	return (struct http_cursor){ r->created_at_us, r->user_id };
}

void admin_users_list(struct req *req)
{
	struct keys_page page = { .limit = LIST_DEFAULT, .text = TL_STR("") };
	struct http_cursor from;
	struct q_user_page_params p;
	struct q_user_page_row *rows = NULL;
	enum tl_status st;
	struct tl_err err;
	uint32_t n = 0;

	if (!req_query(req, &page) || !keys_page_start(req, &page, &from))
		return;
	p = (struct q_user_page_params){
		.before_at_us = from.at_us,
		.before_id = from.id,
		.q = page.text,
		.offset = page.offset,
		.max = page.limit + 1, /* is there another page? */
	};
	st = q_user_page(req_pg(req), &p, &req->arena, &rows, &n, &err);
	list_reply(req, LIST(rows, n, page.limit, view, place), st, &err);
}

/* ---- create ---- */

static void fail_plan(struct req *req, struct tl_str plan)
{
	req_fail(req, 400, "bad_request", "plan: there is no plan '%.*s'",
		 (int)plan.len, plan.ptr);
}

void admin_user_create(struct req *req)
{
	struct user_new u = { .name = { NULL, 0 } };
	struct q_user_insert_params p;
	struct q_user_insert_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_body(req, &u))
		return;
	if (tally_email_check(u.email, &err) != TL_OK) {
		req_fail(req, 400, "bad_request", "email: %s", err.text);
		return;
	}
	p = (struct q_user_insert_params){
		.email = u.email,
		.name = u.name.ptr != NULL ? &u.name : NULL,
		.plan = u.plan,
	};
	if (!admin_actor(req, &p.actor))
		return;
	st = q_user_insert(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_OK)
		admin_reply_created(req, "/api/admin/users", &row.user_id);
	else if (st == TL_NOT_FOUND)
		fail_plan(req, u.plan);
	else
		admin_fail_taken(req, st, &err, "email", u.email);
}

/* ---- change ---- */

static bool change_good(struct req *req, const struct user_change *c)
{
	if (!c->has_status && !c->has_plan) {
		req_fail(req, 400, "bad_request", "give status, plan or both");
		return false;
	}
	if (c->has_status && !tl_str_eq(c->status, TL_STR("active")) &&
	    !tl_str_eq(c->status, TL_STR("suspended"))) {
		req_fail(req, 400, "bad_request",
			 "status: must be active or suspended");
		return false;
	}
	return true;
}

static bool store_change(struct req *req, const struct user_change *c,
			 const struct tl_uuid *user_id)
{
	struct q_user_change_params p = {
		.user_id = *user_id,
		.status = c->has_status ? &c->status : NULL,
		.plan = c->has_plan ? &c->plan : NULL,
	};
	struct q_user_change_row row;
	enum tl_status st;
	struct tl_err err;

	if (!admin_actor(req, &p.actor))
		return false;
	st = q_user_change(req_pg(req), &p, &req->arena, &row, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return false;
	}
	if (tl_str_eq(row.outcome, TL_STR("no_user")))
		req_fail(req, 404, "not_found", "there is no such user");
	else if (tl_str_eq(row.outcome, TL_STR("no_plan")))
		fail_plan(req, c->plan);
	else
		return true;
	return false;
}

void admin_user_change(struct req *req)
{
	struct user_change c = { .has_status = false };
	struct tl_uuid user_id;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "user_id", &user_id) || !req_body(req, &c) ||
	    !change_good(req, &c) || !store_change(req, &c, &user_id))
		return;
	/* needs nothing that could fail, so a suspension never waits for the
	 * database to be read again */
	if (c.has_status && tl_str_eq(c.status, TL_STR("suspended")))
		shm_user_suspend(req_decide(req)->shm, &user_id, true);
	st = http_user_live(req->http, &user_id, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_flag(req, "updated");
}
