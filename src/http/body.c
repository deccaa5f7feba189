/*
 * body.c - the request's body: decoded once, read by the route's shape.
 *
 * Size and Content-Type were checked by the middleware (auth.c).
 */
#include "http/http_internal.h"

static enum doc_format body_format(const struct req *req)
{
	struct tl_str type = req->priv->g.h[GH_CONTENT_TYPE], essence;

	if (type.len > 0 && tl_str_split(&type, ';', &essence) &&
	    tl_str_ieq(tl_str_trim(essence), TL_STR("application/msgpack")))
		return DOC_MSGPACK;
	return DOC_JSON;
}

/* No body at all reads as an empty object: all members may be optional. */
bool req_body_doc(struct req *req, const struct doc **doc_r)
{
	struct tl_err err;

	if (req->body.len == 0) {
		*doc_r = doc_object(&req->arena);
		return true;
	}
	if (doc_parse(&req->arena, body_format(req), req->body, doc_r, &err) ==
	    TL_OK)
		return true;
	req_fail(req, 400, "bad_request", "the body is malformed: %s",
		 err.text);
	return false;
}

bool req_body(struct req *req, void *struct_r)
{
	const struct doc *doc;
	struct tl_err err;

	tl_assert(req->route != NULL && req->route->in != NULL);
	if (!req_body_doc(req, &doc))
		return false;
	if (shape_read(req->route->in, &req->arena, doc, struct_r, &err) ==
	    TL_OK)
		return true;
	req_fail(req, 400, "bad_request", "%s", err.text);
	return false;
}
