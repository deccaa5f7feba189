#include "pg/pg_direct.h"

#include <stdlib.h>

#include "base/mem.h"
#include "pg/pg_fail.h"
#include "pg/pg_target.h"

static void ignore_notice(void *arg, const char *words)
{
	(void)arg;
	(void)words;
}

enum tl_status pg_direct_refuse(struct tl_err *err)
{
	return tl_err_set(err, TL_DENIED,
			  "a pooler stands between, which may give each "
			  "transaction another session; name the server itself "
			  "in database.direct_url");
}

/* The hand-shake's number is the backend's, unless a pooler made it up. */
static enum tl_status check(PGconn *pq, struct tl_err *err)
{
	PGresult *res = PQexec(pq, "SELECT pg_backend_pid()");
	enum tl_status st = TL_OK;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		st = pg_fail(res, "connect", err);
	else if (atoi(PQgetvalue(res, 0, 0)) != PQbackendPID(pq))
		st = pg_direct_refuse(err);
	PQclear(res);
	return st;
}

enum tl_status pg_direct_open(const char *conninfo,
			      const char *application_name, PGconn **pq_r,
			      struct tl_err *err)
{
	/* What stands later wins, so the string may set both itself. */
	const char *keys[] = { "connect_timeout", "application_name", "dbname",
			       NULL };
	const char *values[] = { "10", application_name, conninfo, NULL };
	PGconn *pq = PQconnectdbParams(keys, values, 1);
	enum tl_status st;

	tl_assert(pq != NULL); /* out of memory */
	PQsetNoticeProcessor(pq, ignore_notice, NULL);
	if (PQstatus(pq) != CONNECTION_OK)
		st = pg_words(err, TL_UNAVAILABLE, "connect",
			      PQerrorMessage(pq));
	else
		st = check(pq, err);
	if (st != TL_OK) {
		PQfinish(pq);
		return st;
	}
	*pq_r = pq;
	return TL_OK;
}
