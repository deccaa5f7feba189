/*
 * qgen_describe.c - what the server says about a statement.
 */
#include "qgen.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/pg_oids.h"

#define STATEMENT "qgen"

static bool builtin_type(Oid oid, enum pg_type *type_r)
{
	static const enum pg_type TYPES[] = {
		PG_BOOL,  PG_INT2,        PG_INT4, PG_INT8, PG_FLOAT8, PG_TEXT,
		PG_BYTEA, PG_TIMESTAMPTZ, PG_DATE, PG_UUID, PG_JSONB,
	};

	for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
		if (pg_type_oid(TYPES[i]) == oid) {
			*type_r = TYPES[i];
			return true;
		}
	if (oid == PG_OID_VARCHAR || oid == PG_OID_BPCHAR ||
	    oid == PG_OID_NAME) {
		*type_r = PG_TEXT;
		return true;
	}
	return false;
}

/* One row of text columns, or NULL. */
static PGresult *ask(PGconn *conn, const char *sql, Oid oid, int number)
{
	char oid_text[16], number_text[16];
	const char *values[] = { oid_text, number_text };
	PGresult *res;

	snprintf(oid_text, sizeof(oid_text), "%u", oid);
	snprintf(number_text, sizeof(number_text), "%d", number);
	res = PQexecParams(conn, sql, 2, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		return res;
	PQclear(res);
	return NULL;
}

/* Domains are what they rest on, enums are text. */
static bool find_type(PGconn *conn, Oid oid, enum pg_type *type_r,
		      char name_r[64])
{
	PGresult *res;
	bool found = false;
	Oid base, element;
	char kind;

	if (builtin_type(oid, type_r))
		return true;
	res = ask(conn,
		  "SELECT typtype, typbasetype, CASE typcategory WHEN 'A' "
		  "THEN typelem ELSE 0 END, format_type(oid, NULL) "
		  "FROM pg_type WHERE oid = $1::oid AND $2::int4 = 0",
		  oid, 0);
	if (res == NULL)
		return false;
	kind = PQgetvalue(res, 0, 0)[0];
	base = (Oid)strtoul(PQgetvalue(res, 0, 1), NULL, 10);
	element = (Oid)strtoul(PQgetvalue(res, 0, 2), NULL, 10);
	snprintf(name_r, 64, "%s", PQgetvalue(res, 0, 3));
	PQclear(res);
	if (kind == 'e') {
		*type_r = PG_TEXT;
		found = true;
	} else if (base != 0) {
		found = find_type(conn, base, type_r, name_r);
	} else if (element != 0 && find_type(conn, element, type_r, name_r) &&
		   !(*type_r & PG_ARRAY)) {
		*type_r = (enum pg_type)(*type_r | PG_ARRAY);
		found = true;
	}
	return found;
}

/* An array parameter names its element's type, and the server compares. */
static bool array_param_fits(PGconn *conn, const struct qgen_field *f)
{
	PGresult *res;
	Oid element;

	if (!(f->type & PG_ARRAY))
		return true;
	res = ask(conn,
		  "SELECT typelem FROM pg_type "
		  "WHERE oid = $1::oid AND $2::int4 = 0",
		  f->oid, 0);
	if (res == NULL)
		return false;
	element = (Oid)strtoul(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return element == pg_type_oid((enum pg_type)(f->type & ~PG_ARRAY));
}

/* Unless the name says so already. */
static char *make_c_name(const struct qgen_field *f)
{
	const char *suffix;
	size_t len = strlen(f->name), suffix_len;

	if (f->type == PG_TIMESTAMPTZ)
		suffix = "_us";
	else if (f->type == PG_DATE)
		suffix = "_day";
	else
		return tl_strdup(f->name);
	suffix_len = strlen(suffix);
	if (strcmp(f->name, suffix + 1) == 0 ||
	    (len > suffix_len &&
	     strcmp(f->name + len - suffix_len, suffix) == 0))
		return tl_strdup(f->name);
	return tl_asprintf("%s%s", f->name, suffix);
}

static bool describe_params(PGconn *conn, struct qgen_query *q,
			    const PGresult *res)
{
	char type_name[64];

	if (PQnparams(res) != (int)q->n_params)
		return qgen_complain(q, "%d parameters, found %u labels",
				     PQnparams(res), q->n_params);
	for (uint32_t i = 0; i < q->n_params; i++) {
		struct qgen_field *f = &q->params[i];

		f->oid = PQparamtype(res, (int)i);
		if (!find_type(conn, f->oid, &f->type, type_name))
			return qgen_complain(q,
					     "parameter ':%s' is of type "
					     "%s; cast it",
					     f->name, type_name);
		if (!array_param_fits(conn, f))
			return qgen_complain(q,
					     "parameter ':%s': cast it to "
					     "an array of a plain type",
					     f->name);
		f->c_name = make_c_name(f);
	}
	return true;
}

/* Views hide what their columns are, so only tables count. */
static bool is_not_null(PGconn *conn, Oid table, int column)
{
	PGresult *res;
	bool not_null;

	if (table == InvalidOid || column <= 0)
		return false;
	res = ask(conn,
		  "SELECT attnotnull AND relkind IN ('r', 'p') "
		  "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
		  "WHERE attrelid = $1::oid AND attnum = $2::int4",
		  table, column);
	not_null = res != NULL && PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return not_null;
}

/* EXPLAIN of the prepared statement, its parameters unknown. */
static PGresult *explain(PGconn *conn, const struct qgen_query *q,
			 const char *options)
{
	struct tl_buf sql;
	PGresult *res;

	tl_buf_init(&sql);
	tl_buf_addf(&sql, "EXPLAIN (%s) EXECUTE " STATEMENT, options);
	for (uint32_t i = 0; i < q->n_params; i++)
		tl_buf_adds(&sql, i == 0 ? "(NULL" : ", NULL");
	if (q->n_params > 0)
		tl_buf_addc(&sql, ')');
	res = PQexec(conn, sql.ptr);
	tl_buf_deinit(&sql);
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		return res;
	qgen_complain(q, "%s", PQresultErrorMessage(res));
	PQclear(res);
	return NULL;
}

/*
 * An outer join makes any column NULL.  The plan tells, with what a WHERE
 * has reduced to an inner join already taken away.
 */
static bool has_outer_join(PGconn *conn, const struct qgen_query *q,
			   bool *outer_r)
{
	static const char *const MARKS[] = {
		"\"Join Type\": \"Left\"",
		"\"Join Type\": \"Right\"",
		"\"Join Type\": \"Full\"",
	};
	PGresult *res = explain(conn, q, "VERBOSE, FORMAT JSON");

	if (res == NULL)
		return false;
	*outer_r = false;
	for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++)
		if (strstr(PQgetvalue(res, 0, 0), MARKS[i]) != NULL)
			*outer_r = true;
	PQclear(res);
	return true;
}

bool qgen_plan(PGconn *conn, const struct qgen_query *q)
{
	PGresult *res = explain(conn, q, "COSTS OFF");

	if (res == NULL)
		return false;
	printf("%s:\n", q->name);
	for (int i = 0; i < PQntuples(res); i++)
		printf("    %s\n", PQgetvalue(res, i, 0));
	PQclear(res);
	return true;
}

/* "total!" and "note?" say it themselves. */
static void take_mark(struct qgen_field *f)
{
	size_t len = strlen(f->name);

	if (len > 0 && (f->name[len - 1] == '!' || f->name[len - 1] == '?')) {
		f->nullable = f->name[len - 1] == '?';
		f->name[len - 1] = '\0';
	}
}

static bool describe_columns(PGconn *conn, struct qgen_query *q,
			     const PGresult *res)
{
	char type_name[64];
	bool outer;

	if ((q->kind == QGEN_EXEC) != (PQnfields(res) == 0))
		return qgen_complain(q, q->kind == QGEN_EXEC
						? ":exec gives no columns"
						: "no columns");
	if (!has_outer_join(conn, q, &outer))
		return false;
	q->n_columns = (uint32_t)PQnfields(res);
	q->columns = tl_alloc_array(q->n_columns, sizeof(*q->columns));
	for (int i = 0; i < PQnfields(res); i++) {
		struct qgen_field *f = &q->columns[i];

		f->name = tl_strdup(PQfname(res, i));
		f->oid = PQftype(res, i);
		f->nullable = outer || !is_not_null(conn, PQftable(res, i),
						    PQftablecol(res, i));
		take_mark(f);
		if (strspn(f->name, "abcdefghijklmnopqrstuvwxyz_0123456789") !=
		    strlen(f->name))
			return qgen_complain(q,
					     "column '%s': give it a plain "
					     "name",
					     f->name);
		if (!find_type(conn, f->oid, &f->type, type_name))
			return qgen_complain(q,
					     "column '%s' is of type %s; "
					     "cast it",
					     f->name, type_name);
		f->c_name = make_c_name(f);
	}
	return true;
}

bool qgen_describe(PGconn *conn, struct qgen_query *q)
{
	PGresult *res;
	bool good;

	PQclear(PQexec(conn, "SET plan_cache_mode = force_generic_plan"));
	PQclear(PQexec(conn, "DEALLOCATE ALL"));
	res = PQprepare(conn, STATEMENT, q->sql.ptr, 0, NULL);
	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		res = PQdescribePrepared(conn, STATEMENT);
	}
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		good = qgen_complain(q, "%s", PQresultErrorMessage(res));
	else
		good = describe_params(conn, q, res) &&
		       describe_columns(conn, q, res);
	PQclear(res);
	return good;
}
