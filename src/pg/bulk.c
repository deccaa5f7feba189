#include "pg/bulk.h"

#include <string.h>

#include <libpq-fe.h>

#include "pg/migrate_files.h"
#include "pg/pg_direct.h"
#include "pg/pg_fail.h"
#include "pg/pg_target.h"

#define PIECE_BYTES (256u << 10)

struct bulk {
	PGconn *pq;
};

enum tl_status bulk_open(const char *conninfo, struct bulk **b_r,
			 struct tl_err *err)
{
	PGconn *pq = NULL;
	enum tl_status st = pg_direct_open(conninfo, "tallyctl", &pq, err);

	if (st != TL_OK)
		return st;
	*b_r = tl_alloc(sizeof(**b_r));
	(*b_r)->pq = pq;
	return TL_OK;
}

void bulk_close(struct bulk **bp)
{
	if (*bp == NULL)
		return;
	PQfinish((*bp)->pq);
	tl_freep(bp);
}

/* ---- statements ---- */

static void take_rows(const PGresult *res, struct tl_arena *a,
		      struct bulk_rows *rows)
{
	rows->n = (uint32_t)PQntuples(res);
	rows->n_columns = (uint32_t)PQnfields(res);
	rows->values = tl_arena_alloc(a, ((size_t)rows->n * rows->n_columns +
					  1) * sizeof(*rows->values));
	for (uint32_t i = 0; i < rows->n * rows->n_columns; i++) {
		int row = (int)(i / rows->n_columns);
		int column = (int)(i % rows->n_columns);
		size_t len = (size_t)PQgetlength(res, row, column);

		rows->values[i].ptr =
			tl_arena_strndup(a, PQgetvalue(res, row, column), len);
		rows->values[i].len = len;
	}
}

static enum tl_status run(struct bulk *b, const char *sql, const char *doing,
			  struct tl_arena *a, struct bulk_rows *rows_r,
			  struct tl_err *err)
{
	enum tl_status st = TL_OK;
	PGresult *res;

	if (!PQsendQuery(b->pq, sql))
		return pg_words(err, TL_UNAVAILABLE, doing,
				PQerrorMessage(b->pq));
	while ((res = PQgetResult(b->pq)) != NULL) {
		ExecStatusType got = PQresultStatus(res);

		if (got == PGRES_TUPLES_OK && rows_r != NULL)
			take_rows(res, a, rows_r);
		if (st == TL_OK && got != PGRES_COMMAND_OK &&
		    got != PGRES_TUPLES_OK && got != PGRES_EMPTY_QUERY)
			st = pg_fail(res, doing, err);
		PQclear(res);
		if (got == PGRES_COPY_IN || got == PGRES_COPY_OUT)
			break; /* would wait for data for ever */
	}
	return st;
}

enum tl_status bulk_file(struct bulk *b, const char *path, struct tl_arena *a,
			 struct bulk_rows *rows_r, struct tl_err *err)
{
	struct bulk_rows rows = { 0 };
	enum tl_status st;
	char *sql;

	st = migrate_files_read(path, &sql, err);
	if (st != TL_OK)
		return st;
	st = run(b, sql, path, a, rows_r != NULL ? &rows : NULL, err);
	tl_free(sql);
	if (st == TL_OK && rows_r != NULL)
		*rows_r = rows;
	return st;
}

enum tl_status bulk_run(struct bulk *b, const char *sql, const char *doing,
			struct tl_err *err)
{
	return run(b, sql, doing, NULL, NULL, err);
}

/* ---- COPY ---- */

static enum tl_status copy_begin(struct bulk *b, const char *what,
				 const char *direction, ExecStatusType want,
				 struct tl_err *err)
{
	char *sql = tl_asprintf("COPY %s %s", what, direction);
	PGresult *res = PQexec(b->pq, sql);
	enum tl_status st = TL_OK;

	if (PQresultStatus(res) != want)
		st = pg_fail(res, what, err);
	PQclear(res);
	tl_free(sql);
	return st;
}

/* The statement's own outcome, and that nothing is behind it. */
static enum tl_status copy_end(struct bulk *b, const char *what,
			       struct tl_err *err)
{
	enum tl_status st = TL_OK;
	PGresult *res;

	while ((res = PQgetResult(b->pq)) != NULL) {
		if (st == TL_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
			st = pg_fail(res, what, err);
		PQclear(res);
	}
	return st;
}

enum tl_status bulk_copy_out(struct bulk *b, const char *what, bulk_sink_fn fn,
			     void *arg, uint64_t *rows_r, struct tl_err *err)
{
	enum tl_status st;
	uint64_t rows = 0;
	char *data;
	int n;

	st = copy_begin(b, what, "TO STDOUT", PGRES_COPY_OUT, err);
	if (st != TL_OK)
		return st;
	while ((n = PQgetCopyData(b->pq, &data, 0)) > 0) {
		st = fn(arg, data, (size_t)n, err);
		PQfreemem(data);
		rows++;
		/* The connection is of no more use: a table may be long, and
		 * nobody wants the rest of it. */
		if (st != TL_OK)
			return st;
	}
	if (n == -2)
		return pg_words(err, TL_UNAVAILABLE, what,
				PQerrorMessage(b->pq));
	st = copy_end(b, what, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

enum tl_status bulk_copy_in(struct bulk *b, const char *what, bulk_source_fn fn,
			    void *arg, struct tl_err *err)
{
	char *piece = tl_alloc(PIECE_BYTES);
	enum tl_status st;
	size_t len = 1;

	st = copy_begin(b, what, "FROM STDIN", PGRES_COPY_IN, err);
	while (st == TL_OK) {
		st = fn(arg, piece, PIECE_BYTES, &len, err);
		if (st != TL_OK || len == 0)
			break;
		if (PQputCopyData(b->pq, piece, (int)len) != 1)
			st = pg_words(err, TL_UNAVAILABLE, what,
				      PQerrorMessage(b->pq));
	}
	if (st == TL_OK && PQputCopyEnd(b->pq, NULL) != 1)
		st = pg_words(err, TL_UNAVAILABLE, what, PQerrorMessage(b->pq));
	if (st == TL_OK)
		st = copy_end(b, what, err);
	tl_free(piece);
	return st;
}

void bulk_add_text(struct tl_buf *out, struct tl_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		switch (s.ptr[i]) {
		case '\\':
			tl_buf_adds(out, "\\\\");
			break;
		case '\t':
			tl_buf_adds(out, "\\t");
			break;
		case '\n':
			tl_buf_adds(out, "\\n");
			break;
		case '\r':
			tl_buf_adds(out, "\\r");
			break;
		default:
			tl_buf_addc(out, s.ptr[i]);
		}
	}
}
