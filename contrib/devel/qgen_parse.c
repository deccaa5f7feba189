/*
 * qgen_parse.c - cuts a query file into statements, :labels to $n.
 */
#include "qgen.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The number of the parameter, made when it is new. */
static uint32_t param_number(struct qgen_query *q, const char *name, size_t len,
			     bool nullable)
{
	struct qgen_field *f;

	for (uint32_t i = 0; i < q->n_params; i++)
		if (strncmp(q->params[i].name, name, len) == 0 &&
		    q->params[i].name[len] == '\0') {
			q->params[i].nullable |= nullable;
			return i + 1;
		}
	q->params =
		tl_realloc(q->params, (q->n_params + 1) * sizeof(*q->params));
	f = &q->params[q->n_params++];
	*f = (struct qgen_field){ .name = tl_strndup(name, len),
				  .nullable = nullable };
	return q->n_params;
}

/* Past what starts with a quote; E'' and standard strings end alike unless a
 * backslash stands before the quote, which our files do not do. */
static const char *skip_quoted(const char *p)
{
	const char *end = strchr(p + 1, *p);

	return end != NULL ? end + 1 : p + strlen(p);
}

static const char *skip_dollar_quoted(const char *p)
{
	const char *tag_end = p + 1, *end;
	char *tag;

	while (is_name(*tag_end))
		tag_end++;
	if (*tag_end != '$')
		return p + 1;
	tag = tl_strndup(p, (size_t)(tag_end - p) + 1);
	end = strstr(tag_end + 1, tag);
	end = end != NULL ? end + strlen(tag) : p + strlen(p);
	tl_free(tag);
	return end;
}

static const char *skip_comment(const char *p)
{
	const char *end = p[0] == '-' ? strchr(p, '\n') : strstr(p, "*/");

	if (end == NULL)
		return p + strlen(p);
	return p[0] == '-' ? end : end + 2;
}

static const char *take_label(struct qgen_query *q, const char *p)
{
	const char *end = p + 1;
	bool nullable;

	while (is_name(*end))
		end++;
	nullable = *end == '?';
	tl_buf_addf(&q->sql, "$%u",
		    param_number(q, p + 1, (size_t)(end - p) - 1, nullable));
	return nullable ? end + 1 : end;
}

static void take_sql(struct qgen_query *q, const char *p)
{
	while (*p != '\0') {
		const char *start = p;

		if (*p == '\'' || *p == '"') {
			p = skip_quoted(p);
		} else if (*p == '$' && !isdigit((unsigned char)p[1])) {
			p = skip_dollar_quoted(p);
		} else if ((p[0] == '-' && p[1] == '-') ||
			   (p[0] == '/' && p[1] == '*')) {
			p = skip_comment(p);
			continue;
		} else if (p[0] == ':' && p[1] == ':') {
			p += 2;
		} else if (p[0] == ':' &&
			   (isalpha((unsigned char)p[1]) || p[1] == '_')) {
			p = take_label(q, p);
			continue;
		} else {
			p++;
		}
		tl_buf_add(&q->sql, start, (size_t)(p - start));
	}
	while (q->sql.len > 0 &&
	       (isspace((unsigned char)q->sql.ptr[q->sql.len - 1]) ||
		q->sql.ptr[q->sql.len - 1] == ';'))
		q->sql.ptr[--q->sql.len] = '\0';
}

/* "x :many" or "x :many row=y" */
static bool take_name(struct qgen_query *q, struct tl_str line)
{
	struct tl_str name, kind, row;

	q->name = tl_strndup(line.ptr, line.len); /* for messages until known */
	if (!tl_str_split(&line, ' ', &name) ||
	    !tl_str_split(&line, ' ', &kind) || name.len == 0)
		return qgen_complain(q, "want '-- name: x :one|:many|:exec'");
	for (size_t i = 0; i < name.len; i++)
		if (!is_name(name.ptr[i]))
			return qgen_complain(q, "no C name");
	q->name[name.len] = '\0';
	if (tl_str_eq(kind, TL_STR(":one")))
		q->kind = QGEN_ONE;
	else if (tl_str_eq(kind, TL_STR(":many")))
		q->kind = QGEN_MANY;
	else if (tl_str_eq(kind, TL_STR(":exec")))
		q->kind = QGEN_EXEC;
	else
		return qgen_complain(q, "want :one, :many or :exec");
	if (!tl_str_split(&line, ' ', &row))
		return true;
	if (row.len < 5 || memcmp(row.ptr, "row=", 4) != 0)
		return qgen_complain(q, "want row=NAME");
	q->row_of = tl_strndup(row.ptr + 4, row.len - 4);
	return true;
}

static bool add_query(struct qgen_file *f, struct tl_str line, unsigned number)
{
	struct qgen_query *q;

	f->queries = tl_realloc(f->queries,
				(f->n_queries + 1) * sizeof(*f->queries));
	q = &f->queries[f->n_queries++];
	*q = (struct qgen_query){ .file = f->path, .line = number };
	tl_buf_init(&q->promise);
	tl_buf_init(&q->sql);
	return take_name(q, line);
}

/* A comment's text, "--" and one blank taken off. */
static struct tl_str comment_text(struct tl_str line)
{
	size_t skip = line.len > 2 && line.ptr[2] == ' ' ? 3 : 2;

	return (struct tl_str){ line.ptr + skip, line.len - skip };
}

static void add_line(struct tl_buf *b, struct tl_str line)
{
	tl_buf_add(b, line.ptr, line.len);
	tl_buf_addc(b, '\n');
}

static bool starts(struct tl_str line, struct tl_str with)
{
	return line.len >= with.len &&
	       memcmp(line.ptr, with.ptr, with.len) == 0;
}

static bool finish(struct qgen_query *q, struct tl_buf *body)
{
	take_sql(q, body->ptr != NULL ? body->ptr : "");
	tl_buf_reset(body);
	if (q->promise.len == 0)
		return qgen_complain(q, "say in a comment what it promises");
	if (q->sql.len == 0)
		return qgen_complain(q, "no statement");
	return true;
}

static bool take_lines(struct qgen_file *f, struct tl_str text)
{
	const struct tl_str mark = TL_STR("-- name: ");
	struct qgen_query *q = NULL;
	struct tl_str line;
	struct tl_buf body;
	unsigned number = 0;

	tl_buf_init(&body);
	while (tl_str_split(&text, '\n', &line)) {
		number++;
		if (starts(line, mark)) {
			if (q != NULL && !finish(q, &body))
				return false;
			if (!add_query(f,
				       (struct tl_str){ line.ptr + mark.len,
							line.len - mark.len },
				       number))
				return false;
			q = &f->queries[f->n_queries - 1];
		} else if (q == NULL) {
			if (starts(line, TL_STR("--")))
				add_line(&f->about, comment_text(line));
		} else if (body.len == 0 && starts(line, TL_STR("--"))) {
			add_line(&q->promise, comment_text(line));
		} else {
			add_line(&body, line);
		}
	}
	if (q == NULL) {
		fprintf(stderr, "%s: no '-- name:' line\n", f->path);
		return false;
	}
	if (!finish(q, &body))
		return false;
	tl_buf_deinit(&body);
	return true;
}

bool qgen_parse(const char *path, struct qgen_file *file_r)
{
	const char *base = strrchr(path, '/');
	struct tl_err err;
	size_t len;
	char *text;
	bool good;

	*file_r = (struct qgen_file){ .path = path };
	tl_buf_init(&file_r->about);
	base = base != NULL ? base + 1 : path;
	snprintf(file_r->feature, sizeof(file_r->feature), "%.*s",
		 (int)strcspn(base, "."), base);
	if (tl_file_read(path, FILE_MAX_BYTES, &text, &len, &err) != TL_OK) {
		fprintf(stderr, "qgen: %s\n", err.text);
		return false;
	}
	good = take_lines(file_r, (struct tl_str){ text, len });
	tl_free(text);
	return good;
}
