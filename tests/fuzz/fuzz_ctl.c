/*
 * fuzz_ctl.c - what comes over the control socket, at both of its ends.
 *
 * 'r': a stream of frames as the daemon reads it, 'a': as tallyctl reads the
 * answers, else: words of a command line, one a line.  What is taken keeps to
 * the table of commands; what is framed is read back as the same.
 */
#include <stdlib.h>

#include "ctl/ctl_frame.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 32

static const struct ctl_arg *arg_of(const struct ctl_command *c,
				    struct tl_str name)
{
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++)
		if (tl_str_eq(name, tl_str_c(a->name)))
			return a;
	return NULL;
}

static void value_holds(const struct ctl_arg *a, const struct doc *v)
{
	switch (a->kind) {
	case CTL_ARG_WORD:
	case CTL_ARG_OPTIONAL:
	case CTL_ARG_TEXT:
		tl_assert(v->type == DOC_STR);
		return;
	case CTL_ARG_NUMBER:
		tl_assert(v->type == DOC_INT && v->i >= 0 && v->i <= INT32_MAX);
		return;
	case CTL_ARG_FLAG:
		tl_assert(v->type == DOC_BOOL);
		return;
	case CTL_ARG_REST:
		tl_assert(v->type == DOC_ARRAY);
		for (uint32_t i = 0; i < v->n; i++)
			tl_assert(v->items[i]->type == DOC_STR);
		return;
	}
	tl_assert(!"a kind that there is not");
}

/* Each member is an argument of the command, and none is missing. */
static void args_hold(const struct ctl_command *c, const struct doc *args)
{
	tl_assert(args->type == DOC_OBJECT);
	for (uint32_t i = 0; i < args->n; i++) {
		const struct ctl_arg *a = arg_of(c, args->members[i].name);

		tl_assert(a != NULL);
		value_holds(a, args->members[i].value);
	}
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++)
		tl_assert(!a->required || doc_get(args, a->name) != NULL);
}

/* The body of the frame at the front; false: it is not whole, or too long. */
static bool next_frame(struct tl_str *in, struct tl_str *body)
{
	uint8_t head[CTL_FRAME_HEAD];
	uint32_t len;

	if (in->len < sizeof(head))
		return false;
	memcpy(head, in->ptr, sizeof(head));
	if (ctl_frame_length(head, &len, NULL) != TL_OK)
		return false;
	tl_assert(len <= CTL_FRAME_MAX);
	if (in->len - sizeof(head) < len)
		return false;
	*body = (struct tl_str){ in->ptr + sizeof(head), len };
	in->ptr += sizeof(head) + len;
	in->len -= sizeof(head) + len;
	return true;
}

/* One frame, nothing behind it. */
static struct tl_str only_frame(const struct tl_buf *b)
{
	struct tl_str in = tl_buf_str(b), body;

	tl_assert(next_frame(&in, &body) && in.len == 0);
	return body;
}

static void check_request(struct tl_arena *a, struct tl_str body)
{
	const struct ctl_command *c;
	const struct doc *args, *again;
	struct tl_str cmd, cmd2;
	struct tl_buf out;

	if (ctl_frame_parse_request(a, body, &cmd, &args, NULL) != TL_OK)
		return;
	c = ctl_command_find(cmd);
	if (c == NULL || ctl_args_check(c, args, NULL) != TL_OK)
		return;
	args_hold(c, args);
	tl_buf_init(&out);
	ctl_frame_request(&out, c->name, args);
	tl_assert(ctl_frame_parse_request(a, only_frame(&out), &cmd2, &again,
					  NULL) == TL_OK);
	tl_assert(tl_str_eq(cmd, cmd2) && doc_same(args, again));
	tl_buf_deinit(&out);
}

static void check_answer(struct tl_arena *a, struct tl_str body)
{
	const struct doc *result, *again;
	struct tl_err err, err2;
	struct tl_buf out;
	enum tl_status st = ctl_frame_parse_answer(a, body, &result, &err);

	tl_buf_init(&out);
	if (st == TL_OK) {
		ctl_frame_result(&out, result);
		tl_assert(ctl_frame_parse_answer(a, only_frame(&out), &again,
						 &err) == TL_OK);
		tl_assert(doc_same(result, again));
	} else {
		tl_assert(err.status == st && err.text[0] != '\0');
		ctl_frame_refusal(&out, &err);
		tl_assert(ctl_frame_parse_answer(a, only_frame(&out), &again,
						 &err2) == st);
		tl_assert(strcmp(err.text, err2.text) == 0);
	}
	tl_buf_deinit(&out);
}

/* The first line is the command, the rest its words. */
static void check_words(struct tl_arena *a, struct tl_str text)
{
	char *words[WORDS_MAX];
	const struct ctl_command *c;
	const struct doc *args, *again;
	struct tl_str line = { NULL, 0 }, cmd;
	struct tl_buf out;
	size_t n = 0;

	(void)tl_str_split(&text, '\n', &line);
	c = ctl_command_find(line);
	if (c == NULL)
		return;
	while (n < WORDS_MAX && tl_str_split(&text, '\n', &line))
		words[n++] = tl_arena_strndup(a, line.ptr, line.len);
	if (ctl_args_parse(c, words, n, a, &args, NULL) != TL_OK)
		return;
	args_hold(c, args);
	tl_buf_init(&out);
	ctl_frame_request(&out, c->name, args);
	tl_assert(ctl_frame_parse_request(a, only_frame(&out), &cmd, &again,
					  NULL) == TL_OK);
	tl_assert(doc_same(args, again));
	tl_assert(ctl_args_check(c, again, NULL) == TL_OK);
	tl_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { data, size };
	uint8_t side = fuzz_u8(&b);
	struct tl_str rest = fuzz_rest(&b), body;
	struct tl_arena a;

	tl_arena_init(&a);
	if (side != 'r' && side != 'a')
		check_words(&a, (struct tl_str){ (const char *)data, size });
	while ((side == 'r' || side == 'a') && next_frame(&rest, &body)) {
		if (side == 'r')
			check_request(&a, body);
		else
			check_answer(&a, body);
	}
	tl_arena_deinit(&a);
	return 0;
}
