#include "tallyctl/import_row.h"

#include <stdlib.h>

#include "codec/doc.h"
#include "tallyctl/import_field.h"

#define RECORD_MAX (64u << 10) /* a quote that never ends is found here */

void import_reader_init(struct import_reader *r, FILE *file,
			enum import_format format)
{
	*r = (struct import_reader){ .file = file, .format = format };
	tl_buf_init(&r->record);
}

void import_reader_deinit(struct import_reader *r)
{
	free(r->text);
	tl_buf_deinit(&r->record);
}

/* ---- physical lines ---- */

/* With its end; TL_NOT_FOUND when there is none. */
static enum tl_status read_line(struct import_reader *r, struct tl_str *line_r,
				struct tl_err *err)
{
	ssize_t n = getline(&r->text, &r->cap, r->file);

	if (n < 0 && ferror(r->file))
		return tl_err_sys(err, "read the file");
	if (n < 0)
		return tl_err_set(err, TL_NOT_FOUND, "the file is through");
	r->line++;
	*line_r = (struct tl_str){ r->text, (size_t)n };
	if (r->line == 1 && n >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0)
		*line_r = (struct tl_str){ r->text + 3, (size_t)n - 3 };
	return TL_OK;
}

static bool blank(struct tl_str s)
{
	return tl_str_trim(s).len == 0;
}

/* ---- CSV, as RFC 4180 has it ---- */

static bool quotes_even(struct tl_str s)
{
	bool even = true;

	for (size_t i = 0; i < s.len; i++)
		even ^= s.ptr[i] == '"';
	return even;
}

/* One record, which may hold line ends between quotes, in r->record. */
static enum tl_status read_record(struct import_reader *r, uint32_t *line_r,
				  struct tl_err *err)
{
	struct tl_str line = { NULL, 0 };
	enum tl_status st;
	bool whole = true;

	tl_buf_reset(&r->record);
	do {
		st = read_line(r, &line, err);
		if (st == TL_NOT_FOUND && !whole)
			return tl_err_set(err, TL_BROKEN,
					  "line %u: a quote is opened and "
					  "never closed",
					  *line_r);
		if (st != TL_OK)
			return st;
		if (whole && blank(line))
			continue;
		if (r->record.len == 0)
			*line_r = r->line;
		if (r->record.len + line.len > RECORD_MAX)
			return tl_err_set(err, TL_BROKEN,
					  "line %u: the record is longer than "
					  "%u bytes; is a quote not closed?",
					  *line_r, RECORD_MAX);
		tl_buf_add(&r->record, line.ptr, line.len);
		whole = quotes_even(line) == whole;
	} while (!whole || r->record.len == 0);
	while (r->record.len > 0 && (r->record.ptr[r->record.len - 1] == '\n' ||
				     r->record.ptr[r->record.len - 1] == '\r'))
		r->record.len--;
	return TL_OK;
}

/* The next field from *rest, unquoted into the arena; false: none is left. */
static bool next_field(struct tl_str *rest, struct tl_arena *a,
		       struct tl_str *field_r)
{
	char *out;
	size_t i = 0, n = 0;
	bool quoted = false;

	if (rest->ptr == NULL)
		return false;
	out = tl_arena_alloc(a, rest->len + 1);
	for (; i < rest->len && (quoted || rest->ptr[i] != ','); i++) {
		if (rest->ptr[i] != '"') {
			out[n++] = rest->ptr[i];
		} else if (quoted && i + 1 < rest->len &&
			   rest->ptr[i + 1] == '"') {
			out[n++] = '"';
			i++;
		} else {
			quoted = !quoted;
		}
	}
	*field_r = (struct tl_str){ out, n };
	if (i == rest->len)
		*rest = (struct tl_str){ NULL, 0 };
	else
		*rest = (struct tl_str){ rest->ptr + i + 1, rest->len - i - 1 };
	return true;
}

static enum tl_status add_column(struct import_reader *r, struct tl_str name,
				 struct tl_err *err)
{
	size_t field = import_field_find(tl_str_trim(name));
	struct tl_buf names;

	for (size_t i = 0; field != SIZE_MAX && i < r->n_columns; i++) {
		if (r->columns[i] == field)
			return tl_err_set(err, TL_BROKEN,
					  "line 1: column '%.*s' is there "
					  "twice",
					  (int)name.len, name.ptr);
	}
	if (field != SIZE_MAX && r->n_columns < IMPORT_COLUMNS_MAX) {
		r->columns[r->n_columns++] = field;
		return TL_OK;
	}
	tl_buf_init(&names);
	import_field_names(&names);
	tl_err_set(err, TL_BROKEN,
		   "line %u, the head: there is no column '%.*s'; the columns "
		   "are %s",
		   r->line, (int)(name.len < 60 ? name.len : 60), name.ptr,
		   names.ptr);
	tl_buf_deinit(&names);
	return TL_BROKEN;
}

static enum tl_status read_head(struct import_reader *r, struct tl_arena *a,
				struct tl_err *err)
{
	struct tl_str rest, name;
	enum tl_status st;
	uint32_t line = 0;

	st = read_record(r, &line, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_BROKEN,
				  "the file is empty; its first line names the "
				  "columns");
	rest = tl_buf_str(&r->record);
	while (st == TL_OK && next_field(&rest, a, &name))
		st = add_column(r, name, err);
	if (st != TL_OK)
		return st;
	for (size_t i = 0; i < r->n_columns; i++) {
		if (r->columns[i] == import_field_find(TL_STR("key_hash")))
			return TL_OK;
	}
	return tl_err_set(err, TL_BROKEN,
			  "line %u, the head, names no column key_hash", line);
}

static enum tl_status next_csv(struct import_reader *r, struct tl_arena *a,
			       struct import_row *row, struct tl_err *err)
{
	bool given[IMPORT_COLUMNS_MAX] = { false };
	enum tl_status st = TL_OK;
	struct tl_str rest, text;
	size_t n = 0;

	if (r->n_columns == 0)
		st = read_head(r, a, err);
	if (st == TL_OK)
		st = read_record(r, &row->line, err);
	if (st != TL_OK)
		return st;
	rest = tl_buf_str(&r->record);
	for (; st == TL_OK && next_field(&rest, a, &text); n++) {
		if (n == r->n_columns)
			return tl_err_set(err, TL_INVALID,
					  "more fields than the head has "
					  "columns; put what holds a comma "
					  "between quotes");
		given[r->columns[n]] = !blank(text);
		st = import_field_set(r->columns[n], text, a, row, err);
	}
	if (st == TL_OK && n < r->n_columns)
		return tl_err_set(err, TL_INVALID,
				  "%zu fields, but the head has %zu columns", n,
				  r->n_columns);
	return st == TL_OK ? import_field_finish(given, a, row, err) : st;
}

/* ---- JSON Lines ---- */

/* What CSV would say in its place. */
static struct tl_str text_of(const struct doc *v, struct tl_arena *a)
{
	struct tl_buf b;
	struct tl_str s;

	if (v->type == DOC_NULL)
		return (struct tl_str){ NULL, 0 };
	if (v->type == DOC_STR)
		return v->str;
	tl_buf_init(&b);
	if (v->type == DOC_ARRAY) {
		for (uint32_t i = 0; i < v->n; i++) {
			s = text_of(v->items[i], a);
			tl_buf_addf(&b, "%s%.*s", i > 0 ? " " : "", (int)s.len,
				    s.ptr != NULL ? s.ptr : "");
		}
	} else {
		doc_write(v, DOC_JSON, &b);
	}
	s = (struct tl_str){ tl_arena_strndup(a, b.ptr, b.len), b.len };
	tl_buf_deinit(&b);
	return s;
}

static enum tl_status next_json(struct import_reader *r, struct tl_arena *a,
				struct import_row *row, struct tl_err *err)
{
	bool given[IMPORT_COLUMNS_MAX] = { false };
	struct tl_str line = { NULL, 0 }, text;
	const struct doc *o;
	enum tl_status st;
	size_t field;

	do {
		st = read_line(r, &line, err);
	} while (st == TL_OK && blank(line));
	if (st != TL_OK)
		return st;
	row->line = r->line;
	if (line.len > RECORD_MAX)
		return tl_err_set(err, TL_INVALID,
				  "the line is longer than %u bytes",
				  RECORD_MAX);
	st = doc_parse(a, DOC_JSON, tl_str_trim(line), &o, err);
	if (st != TL_OK)
		return err->status = TL_INVALID; /* whatever, it is the line */
	if (o->type != DOC_OBJECT)
		return tl_err_set(err, TL_INVALID, "not a JSON object");
	for (uint32_t i = 0; st == TL_OK && i < o->n; i++) {
		field = import_field_find(o->members[i].name);
		if (field == SIZE_MAX)
			return tl_err_set(err, TL_INVALID,
					  "there is no member '%.*s'",
					  (int)o->members[i].name.len,
					  o->members[i].name.ptr);
		text = text_of(o->members[i].value, a);
		given[field] = !blank(text);
		st = import_field_set(field, text, a, row, err);
	}
	return st == TL_OK ? import_field_finish(given, a, row, err) : st;
}

/* ---- both ---- */

static enum import_format guess(FILE *f)
{
	int c = getc(f);

	if (c != EOF)
		ungetc(c, f);
	return c == '{' ? IMPORT_JSONL : IMPORT_CSV;
}

enum tl_status import_next(struct import_reader *r, struct tl_arena *a,
			   struct import_row *row_r, struct tl_err *err)
{
	*row_r = (struct import_row){ .daily_limit = -1 };
	if (r->format == IMPORT_GUESS)
		r->format = guess(r->file);
	return r->format == IMPORT_CSV ? next_csv(r, a, row_r, err)
				       : next_json(r, a, row_r, err);
}
