/*
 * validate.c - POST /api/auth/validate: whose key is this?  Always 200 for a
 * decided answer; a fault of the store is a 503, never valid:false.
 */
#include <stddef.h>

#include "app/metering/metering.h"
#include "store/q_users.h"

struct validate_body {
	struct tl_str token;
};

/* clang-format off */
static const struct shape_field fields[] = {
	{ "token", SHAPE_STR, SHAPE_REQUIRED,
	  offsetof(struct validate_body, token), SHAPE_NO_OFFSET, 0, 16384,
	  NULL, "the key" },
	{ .name = NULL },
};
const struct shape VALIDATE_SHAPE = {
	"ValidateRequest", sizeof(struct validate_body), fields
};
/* clang-format on */

static void reply(struct req *req, bool valid, const struct doc *user,
		  const char *role, const char *message)
{
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);

	doc_set(a, d, "valid", doc_bool(valid));
	doc_set(a, d, "user", user != NULL ? user : doc_null());
	doc_set(a, d, "role",
		role != NULL ? doc_str(a, tl_str_c(role)) : doc_null());
	doc_set(a, d, "session_source",
		valid ? doc_str(a, TL_STR("local")) : doc_null());
	doc_set(a, d, "degraded", doc_bool(false));
	doc_set(a, d, "message",
		message != NULL ? doc_str(a, tl_str_c(message)) : doc_null());
	req_reply(req, 200, d);
}

static const char *role_of(const struct conf *conf, struct tl_str email)
{
	size_t i;

	for (i = 0; i < conf->admin.emails.n; i++)
		if (tl_str_ieq(email, tl_str_c(conf->admin.emails.items[i])))
			return "admin";
	return "user";
}

static void reply_user(struct req *req, const struct tl_uuid *user_id)
{
	struct tl_arena *a = &req->arena;
	struct q_user_view_row row;
	enum tl_status st;
	struct tl_err err;
	struct doc *user;

	st = q_user_view(req_pg(req), *user_id, a, &row, &err);
	if (st == TL_NOT_FOUND) {
		reply(req, false, NULL, NULL, "Invalid token");
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	user = doc_object(a);
	doc_set(a, user, "email", doc_str(a, row.email));
	doc_set(a, user, "name",
		row.name_null ? doc_null() : doc_str(a, row.name));
	doc_set(a, user, "plan", doc_str(a, row.plan));
	doc_set(a, user, "status", doc_str(a, row.status));
	reply(req, true, user, role_of(req_conf(req), row.email), NULL);
}

void validate_handle(struct req *req)
{
	struct validate_body body;
	struct decide_in in = { .mono_ns = req->start_mono_ns };
	struct decide_out out;
	enum tl_status st;
	struct tl_err err;

	if (!req_body(req, &body))
		return;
	req->door = DECIDE_D_VALIDATE;
	in.key = tl_str_trim(body.token);
	if (in.key.len == 0) {
		reply(req, false, NULL, NULL, "Token is required");
		return;
	}
	/* an address the key is not allowed from does not make it invalid */
	decide(req_decide(req), &in, &out);
	while (out.code == DECIDE_LOAD) {
		st = http_key_load(req->http, &out.digest, &err);
		if (st == TL_NOT_FOUND) {
			in.flags |= DECIDE_UNKNOWN;
		} else if (st != TL_OK) {
			req_fail_status(req, st, &err);
			return;
		}
		decide(req_decide(req), &in, &out);
	}
	if (out.reason == DECIDE_R_SUSPENDED)
		reply(req, false, NULL, NULL, "Account is suspended");
	else if (out.have_key && out.code != DECIDE_UNAUTHORIZED)
		reply_user(req, &out.user_id);
	else
		reply(req, false, NULL, NULL, "Invalid token");
}
