#include "ctl/ctl_frame.h"

#include "codec/doc.h"

/* Names of statuses on the wire; by enum tl_status. */
static const char *const codes[] = {
	[TL_OK] = "ok",
	[TL_NOT_FOUND] = "not_found",
	[TL_EXISTS] = "exists",
	[TL_INVALID] = "invalid",
	[TL_DENIED] = "denied",
	[TL_FULL] = "full",
	[TL_BUSY] = "busy",
	[TL_UNAVAILABLE] = "unavailable",
	[TL_DEADLINE] = "deadline",
	[TL_CANCELED] = "canceled",
	[TL_CONFLICT] = "conflict",
	[TL_VERSION] = "version",
	[TL_BROKEN] = "broken",
	[TL_SYSTEM] = "system",
};
#define N_CODES (sizeof(codes) / sizeof(codes[0]))

/* What a newer daemon may say and we do not know is TL_BROKEN. */
static enum tl_status code_parse(const struct doc *d)
{
	for (size_t i = 1; d != NULL && d->type == DOC_STR && i < N_CODES;
	     i++) {
		if (tl_str_eq(d->str, tl_str_c(codes[i])))
			return (enum tl_status)i;
	}
	return TL_BROKEN;
}

static void put_length(struct tl_buf *out, size_t head_at)
{
	size_t n = out->len - head_at - CTL_FRAME_HEAD;

	for (size_t i = 0; i < CTL_FRAME_HEAD; i++)
		out->ptr[head_at + i] = (char)(n >> (8 * i) & 0xff);
}

static size_t begin(struct tl_buf *out, struct doc_writer *w)
{
	size_t head_at = out->len;

	tl_buf_add(out, "\0\0\0\0", CTL_FRAME_HEAD);
	docw_init(w, DOC_JSON, out);
	return head_at;
}

void ctl_frame_request(struct tl_buf *out, const char *cmd,
		       const struct doc *args)
{
	struct doc_writer w;
	size_t at = begin(out, &w);

	docw_object(&w, args != NULL ? 2 : 1);
	docw_name(&w, TL_STR("cmd"));
	docw_str(&w, tl_str_c(cmd));
	if (args != NULL) {
		docw_name(&w, TL_STR("args"));
		docw_doc(&w, args);
	}
	put_length(out, at);
}

void ctl_frame_result(struct tl_buf *out, const struct doc *result)
{
	struct doc_writer w;
	size_t at = begin(out, &w);

	docw_object(&w, 2);
	docw_name(&w, TL_STR("ok"));
	docw_bool(&w, true);
	docw_name(&w, TL_STR("result"));
	docw_doc(&w, result);
	if (out->len - at - CTL_FRAME_HEAD > CTL_FRAME_MAX) {
		struct tl_err err;

		out->len = at;
		(void)tl_err_set(&err, TL_FULL, "the answer is over 1 MiB");
		ctl_frame_refusal(out, &err);
		return;
	}
	put_length(out, at);
}

void ctl_frame_refusal(struct tl_buf *out, const struct tl_err *err)
{
	struct doc_writer w;
	size_t at = begin(out, &w);

	tl_assert(err->status != TL_OK && err->status < N_CODES);
	docw_object(&w, 2);
	docw_name(&w, TL_STR("ok"));
	docw_bool(&w, false);
	docw_name(&w, TL_STR("error"));
	docw_object(&w, 2);
	docw_name(&w, TL_STR("code"));
	docw_str(&w, tl_str_c(codes[err->status]));
	docw_name(&w, TL_STR("message"));
	docw_str(&w, tl_str_c(err->text));
	put_length(out, at);
}

enum tl_status ctl_frame_length(const uint8_t head[CTL_FRAME_HEAD],
				uint32_t *body_bytes_r, struct tl_err *err)
{
	uint32_t n = (uint32_t)head[0] | (uint32_t)head[1] << 8 |
		     (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;

	if (n > CTL_FRAME_MAX)
		return tl_err_set(err, TL_INVALID,
				  "a frame of %u bytes is over the limit of %u",
				  n, CTL_FRAME_MAX);
	*body_bytes_r = n;
	return TL_OK;
}

enum tl_status ctl_frame_parse_request(struct tl_arena *a, struct tl_str body,
				       struct tl_str *cmd_r,
				       const struct doc **args_r,
				       struct tl_err *err)
{
	const struct doc *d, *cmd, *args;
	enum tl_status st;

	st = doc_parse(a, DOC_JSON, body, &d, err);
	if (st != TL_OK)
		return st;
	cmd = doc_get(d, "cmd");
	args = doc_get(d, "args");
	if (cmd == NULL || cmd->type != DOC_STR)
		return tl_err_set(err, TL_INVALID,
				  "a request needs the string 'cmd'");
	if (args != NULL && args->type != DOC_OBJECT)
		return tl_err_set(err, TL_INVALID, "'args' is not an object");
	*cmd_r = cmd->str;
	*args_r = args != NULL ? args : doc_object(a);
	return TL_OK;
}

enum tl_status ctl_frame_parse_answer(struct tl_arena *a, struct tl_str body,
				      const struct doc **result_r,
				      struct tl_err *err)
{
	const struct doc *d, *ok, *error, *message;
	enum tl_status st;

	st = doc_parse(a, DOC_JSON, body, &d, err);
	if (st != TL_OK)
		return tl_err_wrap(err, "answer of the daemon");
	ok = doc_get(d, "ok");
	if (ok == NULL || ok->type != DOC_BOOL)
		return tl_err_set(err, TL_BROKEN,
				  "the answer of the daemon lacks 'ok'");
	if (ok->boolean) {
		const struct doc *result = doc_get(d, "result");

		*result_r = result != NULL ? result : doc_null();
		return TL_OK;
	}
	error = doc_get(d, "error");
	message = doc_get(error, "message");
	return tl_err_set(err, code_parse(doc_get(error, "code")), "%s",
			  message != NULL && message->type == DOC_STR
				  ? message->str.ptr
				  : "refused without a reason");
}
