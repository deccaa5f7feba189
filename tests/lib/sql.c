#include "config.h" /* _GNU_SOURCE */

#include "lib/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/mem.h"

static PGconn *conn;
static char *conn_info;
static pid_t conn_pid;

void sql_close(void)
{
	/* In a fork's child the connection is the parent's. */
	if (conn != NULL && conn_pid == getpid())
		PQfinish(conn);
	conn = NULL;
	tl_freep(&conn_info);
}

static void notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static PGresult *run(const char *conninfo, const char *fmt, va_list ap)
	TL_PRINTF(2, 0);
static PGresult *run(const char *conninfo, const char *fmt, va_list ap)
{
	char *text = NULL;
	PGresult *res;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	if (conn != NULL &&
	    (conn_pid != getpid() || strcmp(conn_info, conninfo) != 0 ||
	     PQstatus(conn) != CONNECTION_OK))
		sql_close();
	if (conn == NULL) {
		conn = PQconnectdb(conninfo);
		conn_info = tl_strdup(conninfo);
		conn_pid = getpid();
		PQsetNoticeProcessor(conn, notice, NULL);
	}
	res = PQexec(conn, text);
	free(text);
	return res;
}

static bool good(const PGresult *res)
{
	ExecStatusType st = PQresultStatus(res);

	return st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK;
}

static void must(const PGresult *res, const char *fmt)
{
	if (good(res))
		return;
	fprintf(stderr, "sql: %s: %s\n", fmt, PQerrorMessage(conn));
	exit(1);
}

void sql_exec(const char *conninfo, const char *fmt, ...)
{
	PGresult *res;
	va_list ap;

	va_start(ap, fmt);
	res = run(conninfo, fmt, ap);
	va_end(ap);
	must(res, fmt);
	PQclear(res);
}

bool sql_try(const char *conninfo, const char *fmt, ...)
{
	PGresult *res;
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	res = run(conninfo, fmt, ap);
	va_end(ap);
	ok = good(res);
	PQclear(res);
	return ok;
}

static const char *first(const PGresult *res)
{
	if (PQntuples(res) == 0 || PQgetisnull(res, 0, 0))
		return "";
	return PQgetvalue(res, 0, 0);
}

int64_t sql_num(const char *conninfo, const char *fmt, ...)
{
	PGresult *res;
	va_list ap;
	int64_t n;

	va_start(ap, fmt);
	res = run(conninfo, fmt, ap);
	va_end(ap);
	must(res, fmt);
	n = strtoll(first(res), NULL, 10);
	PQclear(res);
	return n;
}

const char *sql_str(const char *conninfo, const char *fmt, ...)
{
	static char text[4096];
	PGresult *res;
	va_list ap;

	va_start(ap, fmt);
	res = run(conninfo, fmt, ap);
	va_end(ap);
	must(res, fmt);
	snprintf(text, sizeof(text), "%s", first(res));
	PQclear(res);
	return text;
}
