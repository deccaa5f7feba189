/*
 * ctl_args.c - commands by name, their usage, their arguments.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/doc.h"

const struct ctl_command *ctl_command_find(struct tl_str name)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		if (tl_str_eq(name, tl_str_c(c->name)))
			return c;
	}
	return NULL;
}

static const struct ctl_arg *args_of(const struct ctl_command *c)
{
	static const struct ctl_arg none[] = { { 0 } };

	return c->args != NULL ? c->args : none;
}

static bool is_option(const struct ctl_arg *a)
{
	return a->kind == CTL_ARG_TEXT || a->kind == CTL_ARG_NUMBER ||
	       a->kind == CTL_ARG_FLAG;
}

/* rate_limit on the wire is --rate-limit on the command line. */
static void add_option_name(struct tl_buf *out, const char *name)
{
	tl_buf_adds(out, "--");
	for (; *name != '\0'; name++)
		tl_buf_addc(out, *name == '_' ? '-' : *name);
}

static void add_arg_usage(const struct ctl_arg *a, struct tl_buf *out)
{
	tl_buf_adds(out, a->required ? " " : " [");
	if (is_option(a)) {
		add_option_name(out, a->name);
		if (a->kind != CTL_ARG_FLAG)
			tl_buf_addc(out, ' ');
	}
	if (a->kind != CTL_ARG_FLAG)
		tl_buf_adds(out, a->value);
	if (a->kind == CTL_ARG_REST)
		tl_buf_adds(out, " ...");
	if (!a->required)
		tl_buf_addc(out, ']');
}

void ctl_command_usage(const struct ctl_command *c, struct tl_buf *out)
{
	tl_buf_adds(out, c->name);
	for (const struct ctl_arg *a = args_of(c); a->name != NULL; a++)
		add_arg_usage(a, out);
}

/* ---- words to an object ---- */

struct words {
	const struct ctl_command *cmd;
	char *const *at, *const *end;
	bool options_end; /* behind "--" */
	struct tl_arena *a;
	struct doc *args;
	struct doc *rest; /* the array of CTL_ARG_REST, once there */
	struct tl_err *err;
};

static bool option_is(const struct ctl_arg *a, struct tl_str word)
{
	if (!is_option(a) || strlen(a->name) != word.len)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		char want = a->name[i] == '_' ? '-' : a->name[i];

		if (word.ptr[i] != want)
			return false;
	}
	return true;
}

static enum tl_status set_value(struct words *w, const struct ctl_arg *a,
				struct tl_str text)
{
	int64_t n;

	if (doc_get(w->args, a->name) != NULL)
		return tl_err_set(w->err, TL_INVALID, "%s is given twice",
				  a->value);
	if (!tl_utf8_valid(text, NULL))
		return tl_err_set(w->err, TL_INVALID, "%s is not valid UTF-8",
				  a->value);
	if (a->kind == CTL_ARG_NUMBER) {
		if (!tl_parse_i64(text, 0, INT32_MAX, &n))
			return tl_err_set(w->err, TL_INVALID,
					  "'%.*s' is not a number from 0 to "
					  "2147483647",
					  (int)text.len, text.ptr);
		doc_set(w->a, w->args, a->name, doc_int(w->a, n));
	} else {
		doc_set(w->a, w->args, a->name, doc_str(w->a, text));
	}
	return TL_OK;
}

/* `word` begins with "--". */
static enum tl_status take_option(struct words *w, struct tl_str word)
{
	struct tl_str name = { word.ptr + 2, word.len - 2 }, value = { 0 };
	const char *eq = memchr(name.ptr, '=', name.len);
	const struct ctl_arg *a = args_of(w->cmd);

	if (eq != NULL) {
		value.ptr = eq + 1;
		value.len = (size_t)(name.ptr + name.len - value.ptr);
		name.len = (size_t)(eq - name.ptr);
	}
	while (a->name != NULL && !option_is(a, name))
		a++;
	if (a->name == NULL)
		return tl_err_set(w->err, TL_INVALID,
				  "'%s' has no option '--%.*s'", w->cmd->name,
				  (int)name.len, name.ptr);
	if (a->kind == CTL_ARG_FLAG) {
		if (eq != NULL)
			return tl_err_set(w->err, TL_INVALID,
					  "option '--%.*s' takes no value",
					  (int)name.len, name.ptr);
		doc_set(w->a, w->args, a->name, doc_bool(true));
		return TL_OK;
	}
	if (eq == NULL) {
		if (w->at == w->end)
			return tl_err_set(w->err, TL_INVALID,
					  "option '--%.*s' needs %s",
					  (int)name.len, name.ptr, a->value);
		value = tl_str_c(*w->at++);
	}
	return set_value(w, a, value);
}

static enum tl_status take_word(struct words *w, struct tl_str word)
{
	const struct ctl_arg *a = args_of(w->cmd);

	while (a->name != NULL &&
	       (is_option(a) ||
		(a->kind != CTL_ARG_REST && doc_get(w->args, a->name) != NULL)))
		a++;
	if (a->name == NULL)
		return tl_err_set(w->err, TL_INVALID,
				  "'%s' does not take '%.*s'", w->cmd->name,
				  (int)word.len, word.ptr);
	if (a->kind != CTL_ARG_REST)
		return set_value(w, a, word);
	if (!tl_utf8_valid(word, NULL))
		return tl_err_set(w->err, TL_INVALID, "%s is not valid UTF-8",
				  a->value);
	if (w->rest == NULL) {
		w->rest = doc_array(w->a);
		doc_set(w->a, w->args, a->name, w->rest);
	}
	doc_push(w->a, w->rest, doc_str(w->a, word));
	return TL_OK;
}

enum tl_status ctl_args_parse(const struct ctl_command *c, char *const *words,
			      size_t n, struct tl_arena *a,
			      const struct doc **args_r, struct tl_err *err)
{
	struct words w = { .cmd = c,
			   .at = words,
			   .end = words + n,
			   .a = a,
			   .args = doc_object(a),
			   .err = err };
	enum tl_status st = TL_OK;

	while (w.at < w.end && st == TL_OK) {
		struct tl_str word = tl_str_c(*w.at++);

		if (w.options_end || word.len < 2 || word.ptr[0] != '-')
			st = take_word(&w, word);
		else if (tl_str_eq(word, TL_STR("--")))
			w.options_end = true;
		else if (word.ptr[1] == '-')
			st = take_option(&w, word);
		else
			st = tl_err_set(err, TL_INVALID,
					"'%s' has no option '%s'", c->name,
					word.ptr);
	}
	if (st == TL_OK)
		st = ctl_args_check(c, w.args, err);
	if (st == TL_OK)
		*args_r = w.args;
	return st;
}

/* ---- the rules for an object ---- */

static bool kind_fits(const struct ctl_arg *a, const struct doc *v)
{
	int64_t n;

	switch (a->kind) {
	case CTL_ARG_WORD:
	case CTL_ARG_OPTIONAL:
	case CTL_ARG_TEXT:
		return v->type == DOC_STR;
	case CTL_ARG_NUMBER:
		return doc_is_int(v, 0, INT32_MAX, &n);
	case CTL_ARG_FLAG:
		return v->type == DOC_BOOL;
	case CTL_ARG_REST:
		break;
	}
	if (v->type != DOC_ARRAY)
		return false;
	for (uint32_t i = 0; i < v->n; i++) {
		if (v->items[i]->type != DOC_STR)
			return false;
	}
	return true;
}

static enum tl_status refuse_missing(const struct ctl_command *c,
				     const struct ctl_arg *a,
				     struct tl_err *err)
{
	struct tl_buf b;
	enum tl_status st;

	tl_buf_init(&b);
	if (is_option(a)) {
		add_option_name(&b, a->name);
		tl_buf_addc(&b, ' ');
	}
	tl_buf_adds(&b, a->value);
	st = tl_err_set(err, TL_INVALID, "'%s' needs %s", c->name, b.ptr);
	tl_buf_deinit(&b);
	return st;
}

enum tl_status ctl_args_check(const struct ctl_command *c,
			      const struct doc *args, struct tl_err *err)
{
	uint32_t known = 0;

	for (const struct ctl_arg *a = args_of(c); a->name != NULL; a++) {
		const struct doc *v = doc_get(args, a->name);

		if (v == NULL) {
			if (a->required)
				return refuse_missing(c, a, err);
			continue;
		}
		known++;
		if (!kind_fits(a, v))
			return tl_err_set(err, TL_INVALID,
					  "'%s' of '%s' has the wrong type",
					  a->name, c->name);
	}
	if (known != args->n)
		return tl_err_set(err, TL_INVALID,
				  "'%s' got a member of 'args' that it does "
				  "not know",
				  c->name);
	return TL_OK;
}

bool ctl_flag(const struct doc *args, const char *name)
{
	const struct doc *v = doc_get(args, name);

	return v != NULL && v->type == DOC_BOOL && v->boolean;
}

struct tl_str ctl_text(const struct doc *args, const char *name)
{
	const struct doc *v = doc_get(args, name);

	if (v == NULL || v->type != DOC_STR)
		return (struct tl_str){ NULL, 0 };
	return v->str;
}

int64_t ctl_number(const struct doc *args, const char *name, int64_t absent)
{
	int64_t n;

	return doc_is_int(doc_get(args, name), 0, INT32_MAX, &n) ? n : absent;
}
