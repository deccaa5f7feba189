/*
 * validate.c - POST /api/auth/validate: whose key is this?  Always 200 for a
 * decided answer; a fault of the store is a 503, never valid:false.
 */
#include <stddef.h>

#include "app/metering/metering.h"
#include "app/words.h"

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
#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
static const struct shape_field reply_fields[] = {
	{ "valid", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "may its owner come in?" },
	{ "user", SHAPE_OBJECT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &USER_VIEW_SHAPE, "the owner; null when not valid" },
	{ "role", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &WORDS_ROLE, "null when not valid" },
	{ "session_source", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY,
	  0, 0, NULL, "local; null when not valid" },
	{ "degraded", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the database is away or the flusher late" },
	{ "message", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "why not, when not valid" },
	{ .name = NULL },
};
const struct shape VALIDATE_REPLY_SHAPE = {
	"ValidateReply", 0, reply_fields
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
	doc_set(a, d, "degraded", doc_bool(valid && req_degraded(req)));
	doc_set(a, d, "message",
		message != NULL ? doc_str(a, tl_str_c(message)) : doc_null());
	req_reply(req, 200, d);
}

static void reply_user(struct req *req, const struct tl_uuid *key_id)
{
	struct tl_arena *a = &req->arena;
	const struct req_profile *who;
	enum tl_status st;
	struct tl_err err;

	st = http_profile(req, key_id, &who, &err);
	if (st == TL_NOT_FOUND) {
		reply(req, false, NULL, NULL, "Invalid token");
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	reply(req, true, metering_user_view(a, who),
	      who->admin ? "admin" : "user", NULL);
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
		reply_user(req, &out.key_id);
	else
		reply(req, false, NULL, NULL, "Invalid token");
}
