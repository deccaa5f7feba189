/*
 * qgen.h - the query generator: named SQL statements to typed C.
 *
 * qgen_parse.c reads db/queries/x.sql, qgen_describe.c lets a server explain
 * each statement, qgen_write.c prints q_x.h and q_x.c.  A build tool: blocks,
 * and keeps what it has made to its end.
 */
#ifndef TALLY_TOOLS_QGEN_H
#define TALLY_TOOLS_QGEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "base/str.h"
#include "pg/pg.h"

enum qgen_kind { QGEN_ONE, QGEN_MANY, QGEN_EXEC };

struct qgen_field {
	char *name;   /* as in SQL, without mark */
	char *c_name; /* "x_us" for times, "x_day" for dates */
	enum pg_type type;
	Oid oid;
	bool nullable;
};

struct qgen_query {
	const char *file; /* for messages */
	unsigned line;
	char *name;
	enum qgen_kind kind;
	char *row_of; /* the query whose row struct it shares, or NULL */
	struct tl_buf promise; /* its comment, one line or more */
	struct tl_buf sql;     /* with $1, $2 */
	struct qgen_field *params;
	uint32_t n_params;
	struct qgen_field *columns;
	uint32_t n_columns;
};

struct qgen_file {
	const char *path;
	char feature[64]; /* base name without .sql */
	struct tl_buf about;
	struct qgen_query *queries;
	uint32_t n_queries;
};

/* All of these print what is wrong, with file and line, and give false. */
bool qgen_parse(const char *path, struct qgen_file *file_r);
bool qgen_describe(PGconn *conn, struct qgen_query *q);
/* Prints its plan as the server would run it whatever the parameters. */
bool qgen_plan(PGconn *conn, const struct qgen_query *q);
bool qgen_write(const struct qgen_file *f, const char *out_dir);

bool qgen_complain(const struct qgen_query *q, const char *fmt, ...)
	TL_PRINTF(2, 3);

#endif
