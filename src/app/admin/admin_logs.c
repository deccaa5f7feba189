/*
 * admin_logs.c - the audit log: who changed what.
 */
#include <stddef.h>

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "store/q_admin.h"

#define LIST_MAX     500
#define LIST_DEFAULT 100
#define NONE         SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field list_fields[] = {
	{ "q", SHAPE_STR, 0, offsetof(struct keys_page, text), NONE, 0,
	  ADMIN_QUERY_MAX, NULL,
	  "part of any text of an entry, taken literally, in any case" },
	{ "limit", SHAPE_INT, 0, offsetof(struct keys_page, limit), NONE, 1,
	  LIST_MAX, NULL, "most entries in the reply; default 100" },
	{ "cursor", SHAPE_STR, 0, offsetof(struct keys_page, cursor), NONE, 1,
	  HTTP_CURSOR_TEXT_MAX, NULL, "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape ADMIN_LOG_LIST_SHAPE = {
	"LogListQuery", sizeof(struct keys_page), list_fields
};

static const struct shape_field entry_fields[] = {
	{ "timestamp", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when" },
	{ "actor", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "e-mail of who did it, or tallyctl" },
	{ "action", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "as user.update" },
	{ "target", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE, 0,
	  0, NULL, "id of what was changed" },
	{ "details", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, NONE, 0,
	  0, NULL, "in words" },
	{ .name = NULL },
};
static const struct shape entry_shape = { "LogEntry", 0, entry_fields };
static const struct shape_field logs_fields[] = {
	{ "logs", SHAPE_ARRAY, SHAPE_REQUIRED, NONE, NONE, 0, 0, &entry_shape,
	  "newest first" },
	{ .name = NULL },
};
const struct shape ADMIN_LOGS_SHAPE = { "Logs", 0, logs_fields };
static const struct shape_field header_fields[] = {
	{ "Link", SHAPE_STR, 0, NONE, NONE, 0, 0, NULL,
	  "rel=next: the following page; none behind the last one" },
	{ .name = NULL },
};
const struct shape ADMIN_LOGS_HEADERS = { "LogsHeaders", 0, header_fields };
/* clang-format on */

static const struct doc *view(struct tl_arena *a,
			      const struct q_audit_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "timestamp", doc_time(a, r->ts_us));
	doc_set(a, d, "actor", doc_str(a, r->actor));
	doc_set(a, d, "action", doc_str(a, r->action));
	doc_set(a, d, "target",
		r->target_null ? doc_null() : doc_str(a, r->target));
	doc_set(a, d, "details",
		r->details_null ? doc_null() : doc_str(a, r->details));
	return d;
}

void admin_logs_list(struct req *req)
{
	struct keys_page page = { .limit = LIST_DEFAULT, .text = TL_STR("") };
	struct http_cursor from, next;
	struct q_audit_page_params p;
	struct q_audit_page_row *rows;
	struct doc *d, *list;
	enum tl_status st;
	struct tl_err err;
	uint32_t n, i;

	if (!req_query(req, &page) || !keys_page_start(req, &page, &from))
		return;
	p = (struct q_audit_page_params){
		.before = from.at_us, /* the number of an entry: its order */
		.q = page.text,
		.max = page.limit + 1, /* is there another page? */
	};
	st = q_audit_page(req_pg(req), &p, &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	d = doc_object(&req->arena);
	list = doc_array(&req->arena);
	for (i = 0; i < n && i < page.limit; i++) {
		doc_push(&req->arena, list, view(&req->arena, &rows[i]));
		next = (struct http_cursor){ .at_us = rows[i].id };
	}
	doc_set(&req->arena, d, "logs", list);
	if (i < n)
		req_link_next(req, &next);
	req_reply(req, 200, d);
}
