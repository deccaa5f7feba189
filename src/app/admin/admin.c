#include "app/admin/admin.h"

#include "base/log.h"

/* clang-format off */
static const struct shape_field created_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, SHAPE_NO_OFFSET, SHAPE_NO_OFFSET,
	  0, 0, NULL, "of what was made" },
	{ .name = NULL },
};
const struct shape ADMIN_CREATED_SHAPE = { "Created", 0, created_fields };
/* clang-format on */

bool admin_actor(struct req *req, struct tl_str *actor_r)
{
	const struct req_profile *who;
	enum tl_status st;
	struct tl_err err;

	st = req_profile(req, &who, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return false;
	}
	*actor_r = who->email;
	return true;
}

void admin_reply_created(struct req *req, const char *base,
			 const struct tl_uuid *id)
{
	struct doc *d = doc_object(&req->arena);
	char text[TL_UUID_TEXT];

	tl_uuid_format(id, text);
	doc_set(&req->arena, d, "id", doc_uuid(&req->arena, id));
	req_header_add(req, "Location", "%s/%s", base, text);
	req_reply(req, 201, d);
}

void admin_reply_flag(struct req *req, const char *name)
{
	struct doc *d = doc_object(&req->arena);

	doc_set(&req->arena, d, name, doc_bool(true));
	req_reply(req, 200, d);
}

bool admin_in_force(struct req *req, enum tl_status st,
		    const struct tl_err *err)
{
	if (st == TL_OK)
		return true;
	log_warn("request '%.*s' to '%.*s': the change is stored, but not in "
		 "force yet: %s; answered 503",
		 (int)req->request_id.len, req->request_id.ptr,
		 (int)req->path.len, req->path.ptr, err->text);
	req_fail(req, 503, "service_unavailable",
		 "the change is stored and takes effect as soon as the "
		 "database answers again; look before you repeat it");
	return false;
}

void admin_fail_taken(struct req *req, enum tl_status st,
		      const struct tl_err *err, const char *what,
		      struct tl_str value)
{
	if (st == TL_CONFLICT)
		req_fail(req, 409, "conflict", "%s: '%.*s' is in use already",
			 what, (int)value.len, value.ptr);
	else
		req_fail_status(req, st, err);
}
