/*
 * errors.c - the one error form, and what each kind of failure becomes.
 *
 * {"error":{"code":"not_found","message":"…","status":404}}, in JSON or
 * MessagePack.  Replies of 5xx also name the request id: support asks for it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "http/http_internal.h"

#define MESSAGE_MAX_BYTES 512
#define REPLY		  SHAPE_NO_OFFSET, SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field code_words[] = {
	{ .name = "bad_request", .doc = "400; also 417 and 431" },
	{ .name = "unauthorized", .doc = "401" },
	{ .name = "forbidden", .doc = "403" },
	{ .name = "not_found", .doc = "404" },
	{ .name = "method_not_allowed", .doc = "405" },
	{ .name = "not_acceptable", .doc = "406" },
	{ .name = "conflict", .doc = "409" },
	{ .name = "key_limit_reached", .doc = "409: as many keys as may be" },
	{ .name = "length_required", .doc = "411" },
	{ .name = "payload_too_large", .doc = "413" },
	{ .name = "unsupported_media_type", .doc = "415" },
	{ .name = "rate_limited", .doc = "429: too many requests" },
	{ .name = "quota_exceeded",
	  .doc = "429: the day's credits are used up" },
	{ .name = "internal_error", .doc = "500" },
	{ .name = "service_unavailable", .doc = "503" },
	{ .name = NULL },
};
static const struct shape code_shape = { "ErrorCode", 0, code_words };
static const struct shape_field error_fields[] = {
	{ "code", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &code_shape,
	  "what to switch on" },
	{ "message", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what to read" },
	{ "status", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the HTTP status" },
	{ "request_id", SHAPE_STR, 0, REPLY, 0, 0, NULL,
	  "for support; with 5xx" },
	{ .name = NULL },
};
static const struct shape error_shape = { "ErrorDetail", 0, error_fields };
static const struct shape_field errors_fields[] = {
	{ "error", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0, &error_shape,
	  "the one form of every error" },
	{ .name = NULL },
};
const struct shape HTTP_ERROR_SHAPE = { "Error", 0, errors_fields };
/* clang-format on */

const char *http_reason(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 302:
		return "Found";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 409:
		return "Conflict";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 417:
		return "Expectation Failed";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return "Status"; /* a reason must not be empty for old clients
				  */
	}
}

void http_error_body(struct tl_buf *b, enum doc_format f, unsigned status,
		     const char *code, struct tl_str message,
		     struct tl_str request_id)
{
	struct doc_writer w;

	docw_init(&w, f, b);
	docw_object(&w, 1);
	docw_name(&w, TL_STR("error"));
	docw_object(&w, request_id.len > 0 ? 4 : 3);
	docw_name(&w, TL_STR("code"));
	docw_str(&w, tl_str_c(code));
	docw_name(&w, TL_STR("message"));
	docw_str(&w, message);
	docw_name(&w, TL_STR("status"));
	docw_uint(&w, status);
	if (request_id.len > 0) {
		docw_name(&w, TL_STR("request_id"));
		docw_str(&w, request_id);
	}
}

static void fail_with(struct req *req, unsigned status, const char *code,
		      struct tl_str message)
{
	struct http_req_priv *p = req->priv;

	if (status == 401)
		req_header_add(req, "WWW-Authenticate", "Bearer");
	if (status == 503 && p->retry_after_s == 0)
		p->retry_after_s = HTTP_SOON_S;
	if (req->route != NULL && req->route->on_error != NULL)
		status = req->route->on_error(req, status, code);
	tl_buf_reset(&p->body);
	http_error_body(&p->body, req->out_format, status, code, message,
			status >= 500 ? req->request_id
				      : (struct tl_str){ NULL, 0 });
	req_reply_buf(req, status, tl_buf_str(&p->body));
}

void req_fail(struct req *req, unsigned status, const char *code,
	      const char *fmt, ...)
{
	char text[MESSAGE_MAX_BYTES];
	struct tl_str message = { text, 0 };
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		message.len =
			(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	/* a long word of the client's may be cut within a character */
	while (message.len > 0 && !tl_utf8_valid(message, NULL))
		message.len--;
	fail_with(req, status, code, message);
}

static void fail_internal(struct req *req, enum tl_status st,
			  const struct tl_err *err)
{
	log_error("request '%.*s' to '%.*s' failed: %s; answered 500",
		  (int)req->request_id.len, req->request_id.ptr,
		  (int)req->path.len, req->path.ptr,
		  err != NULL && err->text[0] != '\0' ? err->text
						      : tl_status_text(st));
	req_fail(req, 500, "internal_error",
		 "something went wrong here; the log has it under this "
		 "request id");
}

void req_fail_status(struct req *req, enum tl_status st,
		     const struct tl_err *err)
{
	const char *text = err != NULL && err->text[0] != '\0'
				   ? err->text
				   : tl_status_text(st);

	switch (st) {
	case TL_NOT_FOUND:
		req_fail(req, 404, "not_found", "%s", text);
		return;
	case TL_INVALID:
		req_fail(req, 400, "bad_request", "%s", text);
		return;
	case TL_EXISTS:
	case TL_CONFLICT:
		req_fail(req, 409, "conflict", "%s", text);
		return;
	case TL_DENIED:
		req_fail(req, 403, "forbidden", "%s", text);
		return;
	case TL_UNAVAILABLE:
	case TL_FULL:
	case TL_BUSY:
	case TL_DEADLINE:
	case TL_CANCELED:
		log_warn("request '%.*s' to '%.*s': %s; answered 503",
			 (int)req->request_id.len, req->request_id.ptr,
			 (int)req->path.len, req->path.ptr, text);
		req_fail(req, 503, "service_unavailable",
			 "this needs something that is not reachable at the "
			 "moment; try again");
		return;
	case TL_OK:
	case TL_VERSION:
	case TL_BROKEN:
	case TL_SYSTEM:
		break;
	}
	fail_internal(req, st, err);
}

void req_refuse(struct req *req, const struct decide_out *d)
{
	char text[MESSAGE_MAX_BYTES];
	size_t n = decide_message(d, text, sizeof(text));

	if (d->retry_after_ms > 0)
		req->priv->retry_after_s = (d->retry_after_ms + 999) / 1000;
	fail_with(req, decide_http_status(d->code), decide_code_name(d->code),
		  (struct tl_str){ text, n });
}
