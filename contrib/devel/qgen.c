/*
 * qgen.c - qgen OUT_DIR FILE.sql ...: writes q_<feature>.h and .c.
 *          qgen --plans FILE.sql ...: prints each statement's plan.
 *
 * The database is the one of the environment (PGHOST ...), freshly migrated.
 */
#include "qgen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool qgen_complain(const struct qgen_query *q, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%u: %s: ", q->file, q->line, q->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return false;
}

static const struct qgen_query *find(const struct qgen_file *files,
				     uint32_t n_files, const char *name,
				     const struct qgen_query *before)
{
	for (uint32_t i = 0; i < n_files; i++)
		for (uint32_t j = 0; j < files[i].n_queries; j++) {
			const struct qgen_query *q = &files[i].queries[j];

			if (q == before)
				return NULL;
			if (strcmp(q->name, name) == 0)
				return q;
		}
	return NULL;
}

static bool same_columns(const struct qgen_query *a, const struct qgen_query *b)
{
	if (a->n_columns != b->n_columns)
		return false;
	for (uint32_t i = 0; i < a->n_columns; i++)
		if (strcmp(a->columns[i].name, b->columns[i].name) != 0 ||
		    a->columns[i].type != b->columns[i].type ||
		    a->columns[i].nullable != b->columns[i].nullable)
			return false;
	return true;
}

/* Names are the server's names of prepared statements, so unique. */
static bool check(const struct qgen_file *files, uint32_t n_files,
		  const struct qgen_query *q)
{
	if (find(files, n_files, q->name, q) != NULL)
		return qgen_complain(q, "there is another one of this name");
	if (q->row_of != NULL) {
		const struct qgen_query *of =
			find(files, n_files, q->row_of, q);

		if (of == NULL)
			return qgen_complain(q, "no query '%s' before it",
					     q->row_of);
		if (of->row_of != NULL || !same_columns(q, of))
			return qgen_complain(q,
					     "its columns are not those of "
					     "'%s'",
					     q->row_of);
	}
	return true;
}

/* out_dir NULL: plans only. */
static bool run(PGconn *conn, const char *out_dir, char **paths,
		uint32_t n_files)
{
	static struct qgen_file *files; /* to the end of the program */
	bool good = true;

	files = tl_alloc_array(n_files, sizeof(*files));

	for (uint32_t i = 0; i < n_files; i++)
		good = qgen_parse(paths[i], &files[i]) && good;
	/* All faults of all statements at once. */
	for (uint32_t i = 0; i < n_files; i++)
		for (uint32_t j = 0; j < files[i].n_queries; j++) {
			struct qgen_query *q = &files[i].queries[j];

			good = qgen_describe(conn, q) &&
			       check(files, n_files, q) &&
			       (out_dir != NULL || qgen_plan(conn, q)) && good;
		}
	for (uint32_t i = 0; i < n_files && good && out_dir != NULL; i++)
		good = qgen_write(&files[i], out_dir);
	return good;
}

int main(int argc, char **argv)
{
	PGconn *conn;
	bool good;

	if (argc < 3) {
		fprintf(stderr, "usage: qgen OUT_DIR|--plans FILE.sql ...\n");
		return 2;
	}
	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK) {
		fprintf(stderr, "qgen: %s", PQerrorMessage(conn));
		PQfinish(conn);
		return 1;
	}
	good = run(conn, strcmp(argv[1], "--plans") == 0 ? NULL : argv[1],
		   argv + 2, (uint32_t)(argc - 2));
	PQfinish(conn);
	return good ? 0 : 1;
}
