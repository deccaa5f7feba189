/*
 * qgen_write.c - q_<feature>.h and q_<feature>.c.
 *
 * The output is committed and must not depend on what is installed, so it is
 * laid out here and not by a formatter.
 */
#include "qgen.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

/* How a type is written; one row for each element type. */
struct type_text {
	const char *c_type;
	const char *constant;
	const char *member; /* of struct pg_param */
};
static const struct type_text TYPES[] = {
	[PG_BOOL] = { "bool", "PG_BOOL", "boolean" },
	[PG_INT2] = { "int16_t", "PG_INT2", "i2" },
	[PG_INT4] = { "int32_t", "PG_INT4", "i4" },
	[PG_INT8] = { "int64_t", "PG_INT8", "i8" },
	[PG_FLOAT8] = { "double", "PG_FLOAT8", "f8" },
	[PG_TEXT] = { "struct tl_str", "PG_TEXT", "str" },
	[PG_BYTEA] = { "struct tl_str", "PG_BYTEA", "str" },
	[PG_UUID] = { "struct tl_uuid", "PG_UUID", "uuid" },
	[PG_TIMESTAMPTZ] = { "int64_t", "PG_TIMESTAMPTZ", "i8" },
	[PG_DATE] = { "int32_t", "PG_DATE", "i4" },
	[PG_JSONB] = { "struct tl_str", "PG_JSONB", "str" },
};

static const struct type_text *element(const struct qgen_field *f)
{
	return &TYPES[f->type & ~PG_ARRAY];
}

static bool is_array(const struct qgen_field *f)
{
	return (f->type & PG_ARRAY) != 0;
}

static const char *c_type(const struct qgen_field *f)
{
	return is_array(f) ? "struct pg_array" : element(f)->c_type;
}

/* "type name" or "type *name" */
static void add_declarator(struct tl_buf *b, const struct qgen_field *f,
			   bool pointer)
{
	tl_buf_addf(b, "%s%s %s%s", pointer ? "const " : "", c_type(f),
		    pointer ? "*" : "", f->c_name);
}

static void add_text_comment(struct tl_buf *b, const struct tl_buf *text)
{
	struct tl_str rest = tl_buf_str(text), line;

	tl_buf_adds(b, "/*\n");
	while (tl_str_split(&rest, '\n', &line))
		tl_buf_addf(b, " *%s%.*s\n", line.len > 0 ? " " : "",
			    (int)line.len, line.ptr);
	tl_buf_adds(b, " */\n");
}

static void add_field_note(struct tl_buf *b, const struct qgen_field *f)
{
	if (is_array(f))
		tl_buf_addf(b, " /* of %s */", element(f)->c_type);
}

static void add_params_struct(struct tl_buf *b, const struct qgen_query *q)
{
	if (q->n_params < 2)
		return;
	tl_buf_addf(b, "struct q_%s_params {\n", q->name);
	for (uint32_t i = 0; i < q->n_params; i++) {
		const struct qgen_field *f = &q->params[i];

		tl_buf_addc(b, '\t');
		add_declarator(b, f, f->nullable);
		tl_buf_addc(b, ';');
		add_field_note(b, f);
		if (f->nullable)
			tl_buf_adds(b, " /* may be NULL */");
		tl_buf_addc(b, '\n');
	}
	tl_buf_adds(b, "};\n");
}

static void add_row_struct(struct tl_buf *b, const struct qgen_query *q)
{
	if (q->kind == QGEN_EXEC || q->row_of != NULL)
		return;
	tl_buf_addf(b, "struct q_%s_row {\n", q->name);
	for (uint32_t i = 0; i < q->n_columns; i++) {
		const struct qgen_field *f = &q->columns[i];

		tl_buf_addc(b, '\t');
		add_declarator(b, f, false);
		tl_buf_addc(b, ';');
		add_field_note(b, f);
		tl_buf_addc(b, '\n');
		if (f->nullable)
			tl_buf_addf(b, "\tbool %s_null;\n", f->name);
	}
	tl_buf_adds(b, "};\n");
}

static const char *row_name(const struct qgen_query *q)
{
	return q->row_of != NULL ? q->row_of : q->name;
}

/* The function's head, without what ends it. */
static void add_head(struct tl_buf *b, const struct qgen_query *q)
{
	tl_buf_addf(b, "enum tl_status q_%s(struct pg *pg,\n\t\t", q->name);
	if (q->n_params == 1) {
		add_declarator(b, &q->params[0], q->params[0].nullable);
		tl_buf_adds(b, ",\n\t\t");
	} else if (q->n_params > 1) {
		tl_buf_addf(b, "const struct q_%s_params *p,\n\t\t", q->name);
	}
	if (q->kind == QGEN_ONE)
		tl_buf_addf(b,
			    "struct tl_arena *arena, struct q_%s_row *row_r,"
			    "\n\t\t",
			    row_name(q));
	else if (q->kind == QGEN_MANY)
		tl_buf_addf(b,
			    "struct tl_arena *arena,\n\t\t"
			    "struct q_%s_row **rows_r, uint32_t *n_r,\n\t\t",
			    row_name(q));
	else
		tl_buf_adds(b, "uint64_t *affected_r, ");
	tl_buf_adds(b, "struct tl_err *err)");
}

static bool uses_arrays(const struct qgen_file *f)
{
	for (uint32_t i = 0; i < f->n_queries; i++) {
		const struct qgen_query *q = &f->queries[i];

		for (uint32_t j = 0; j < q->n_params; j++)
			if (is_array(&q->params[j]))
				return true;
		for (uint32_t j = 0; j < q->n_columns; j++)
			if (is_array(&q->columns[j]))
				return true;
	}
	return false;
}

static void add_guard(struct tl_buf *b, const char *start, const char *feature)
{
	tl_buf_adds(b, start);
	tl_buf_adds(b, "TALLY_STORE_Q_");
	for (const char *p = feature; *p != '\0'; p++)
		tl_buf_addc(b, (char)toupper((unsigned char)*p));
	tl_buf_adds(b, "_H\n");
}

static void add_header(struct tl_buf *b, const struct qgen_file *f)
{
	tl_buf_addf(b,
		    "/*\n * q_%s.h - generated from db/queries/%s.sql: "
		    "make queries, do not edit.\n *\n"
		    " * Results and what they point to live in the arena.\n"
		    " * Runs in: worker, flusher.  Suspends: yes, all.\n */\n",
		    f->feature, f->feature);
	add_guard(b, "#ifndef ", f->feature);
	add_guard(b, "#define ", f->feature);
	tl_buf_adds(b, "\n/* clang-format off */\n\n"
		       "#include <stdbool.h>\n#include <stdint.h>\n\n"
		       "#include \"base/status.h\"\n#include \"base/str.h\"\n");
	if (uses_arrays(f))
		tl_buf_adds(b, "#include \"pg/pg.h\"\n");
	tl_buf_adds(b, "\nstruct pg;\nstruct tl_arena;\n\n");
	if (f->about.len > 0)
		add_text_comment(b, &f->about);
	for (uint32_t i = 0; i < f->n_queries; i++) {
		const struct qgen_query *q = &f->queries[i];

		tl_buf_addc(b, '\n');
		add_params_struct(b, q);
		add_row_struct(b, q);
		add_text_comment(b, &q->promise);
		add_head(b, q);
		tl_buf_adds(b, " TL_MUST_CHECK;\n");
	}
	tl_buf_adds(b, "\n#endif\n");
}

static void add_type(struct tl_buf *b, const struct qgen_field *f)
{
	if (is_array(f))
		tl_buf_addf(b, "(enum pg_type)(PG_ARRAY | %s)",
			    element(f)->constant);
	else
		tl_buf_adds(b, element(f)->constant);
}

/* The statement as a C string, one line of SQL a line. */
static void add_sql(struct tl_buf *b, const struct qgen_query *q)
{
	struct tl_str rest = tl_buf_str(&q->sql), line;

	tl_buf_adds(b, "\t.sql =");
	while (tl_str_split(&rest, '\n', &line)) {
		tl_buf_adds(b, "\n\t\t\"");
		for (size_t i = 0; i < line.len; i++) {
			if (line.ptr[i] == '\t') {
				tl_buf_adds(b, "\\t");
				continue;
			}
			if (line.ptr[i] == '"' || line.ptr[i] == '\\')
				tl_buf_addc(b, '\\');
			tl_buf_addc(b, line.ptr[i]);
		}
		tl_buf_adds(b, rest.len > 0 ? "\\n\"" : "\"");
	}
	tl_buf_adds(b, ",\n");
}

static void add_columns(struct tl_buf *b, const struct qgen_query *q)
{
	tl_buf_addf(b, "static const struct pg_column %s_columns[] = {\n",
		    q->name);
	for (uint32_t i = 0; i < q->n_columns; i++) {
		const struct qgen_field *f = &q->columns[i];

		tl_buf_adds(b, "\t{ .type = ");
		add_type(b, f);
		tl_buf_addf(b, ",\n\t  .offset = offsetof(struct q_%s_row, %s)",
			    row_name(q), f->c_name);
		if (f->nullable)
			tl_buf_addf(b,
				    ",\n\t  .nullable = true,\n\t  "
				    ".null_offset = offsetof(struct q_%s_row, "
				    "%s_null)",
				    row_name(q), f->name);
		tl_buf_adds(b, " },\n");
	}
	tl_buf_adds(b, "};\n");
}

static void add_statement(struct tl_buf *b, const struct qgen_query *q)
{
	if (q->n_params > 0) {
		tl_buf_addf(b, "static const uint32_t %s_oids[] = {", q->name);
		for (uint32_t i = 0; i < q->n_params; i++)
			tl_buf_addf(b, "%s%u", i == 0 ? " " : ", ",
				    q->params[i].oid);
		tl_buf_adds(b, " };\n");
	}
	if (q->n_columns > 0)
		add_columns(b, q);
	tl_buf_addf(b,
		    "static const struct pg_statement %s_statement = {\n"
		    "\t.name = \"%s\",\n",
		    q->name, q->name);
	add_sql(b, q);
	if (q->n_params > 0)
		tl_buf_addf(b, "\t.param_oids = %s_oids,\n\t.n_params = %u,\n",
			    q->name, q->n_params);
	if (q->n_columns > 0)
		tl_buf_addf(b,
			    "\t.columns = %s_columns,\n\t.n_columns = %u,\n"
			    "\t.row_bytes = sizeof(struct q_%s_row),\n",
			    q->name, q->n_columns, row_name(q));
	tl_buf_adds(b, "};\n\n");
}

static void add_param_value(struct tl_buf *b, const struct qgen_query *q,
			    const struct qgen_field *f)
{
	const char *at = q->n_params > 1 ? "p->" : "";
	const char *member = is_array(f) ? "array" : element(f)->member;

	tl_buf_adds(b, "\t\t{ .type = ");
	add_type(b, f);
	tl_buf_addf(b, ", .%s = %s%s },\n", member, at, f->c_name);
}

/* A nullable one is filled behind: there may be nothing to copy. */
static void add_nullable_value(struct tl_buf *b, const struct qgen_query *q,
			       uint32_t i)
{
	const struct qgen_field *f = &q->params[i];
	const char *at = q->n_params > 1 ? "p->" : "";

	tl_buf_addf(b, "\tif (%s%s != NULL)\n\t\tparams[%u].%s = *%s%s;\n", at,
		    f->c_name, i, is_array(f) ? "array" : element(f)->member,
		    at, f->c_name);
}

static void add_params(struct tl_buf *b, const struct qgen_query *q)
{
	bool varies = false;

	for (uint32_t i = 0; i < q->n_params; i++)
		varies |= q->params[i].nullable;
	tl_buf_addf(b, "\t%sstruct pg_param params[] = {\n",
		    varies ? "" : "const ");
	for (uint32_t i = 0; i < q->n_params; i++) {
		const struct qgen_field *f = &q->params[i];

		if (!f->nullable) {
			add_param_value(b, q, f);
			continue;
		}
		tl_buf_adds(b, "\t\t{ .type = ");
		add_type(b, f);
		tl_buf_addf(b, ", .null = %s%s == NULL },\n",
			    q->n_params > 1 ? "p->" : "", f->c_name);
	}
	tl_buf_adds(b, "\t};\n");
}

static void add_function(struct tl_buf *b, const struct qgen_query *q)
{
	const char *params = q->n_params > 0 ? "params" : "NULL";

	add_head(b, q);
	tl_buf_adds(b, "\n{\n");
	if (q->n_params > 0)
		add_params(b, q);
	if (q->kind == QGEN_MANY)
		tl_buf_adds(b, "\tenum tl_status st;\n\tvoid *rows;\n");
	if (q->n_params > 0 || q->kind == QGEN_MANY)
		tl_buf_addc(b, '\n');
	for (uint32_t i = 0; i < q->n_params; i++)
		if (q->params[i].nullable)
			add_nullable_value(b, q, i);
	if (q->kind == QGEN_ONE)
		tl_buf_addf(b,
			    "\treturn pg_one(pg, &%s_statement, %s, arena, "
			    "row_r, err);\n",
			    q->name, params);
	else if (q->kind == QGEN_EXEC)
		tl_buf_addf(b,
			    "\treturn pg_exec(pg, &%s_statement, %s, "
			    "affected_r, err);\n",
			    q->name, params);
	else
		tl_buf_addf(b,
			    "\tst = pg_many(pg, &%s_statement, %s, arena, "
			    "&rows, n_r, err);\n"
			    "\tif (st == TL_OK)\n\t\t*rows_r = rows;\n"
			    "\treturn st;\n",
			    q->name, params);
	tl_buf_adds(b, "}\n");
}

static void add_source(struct tl_buf *b, const struct qgen_file *f)
{
	tl_buf_addf(b,
		    "/*\n * q_%s.c - generated from db/queries/%s.sql: "
		    "make queries, do not edit.\n */\n"
		    "#include \"store/q_%s.h\"\n\n/* clang-format off */\n\n"
		    "#include <stddef.h>\n\n#include \"pg/pg.h\"\n",
		    f->feature, f->feature, f->feature);
	for (uint32_t i = 0; i < f->n_queries; i++) {
		tl_buf_addc(b, '\n');
		add_statement(b, &f->queries[i]);
		add_function(b, &f->queries[i]);
	}
}

static bool save(const char *out_dir, const char *feature, const char *suffix,
		 const struct tl_buf *b)
{
	char *path = tl_asprintf("%s/q_%s%s", out_dir, feature, suffix);
	struct tl_err err;
	bool good;

	good = tl_file_replace(path, b->ptr, b->len, 0644, &err) == TL_OK;
	if (!good)
		fprintf(stderr, "qgen: %s\n", err.text);
	tl_free(path);
	return good;
}

bool qgen_write(const struct qgen_file *f, const char *out_dir)
{
	struct tl_buf header, source;
	bool good;

	tl_buf_init(&header);
	tl_buf_init(&source);
	add_header(&header, f);
	add_source(&source, f);
	good = save(out_dir, f->feature, ".h", &header) &&
	       save(out_dir, f->feature, ".c", &source);
	tl_buf_deinit(&header);
	tl_buf_deinit(&source);
	return good;
}
