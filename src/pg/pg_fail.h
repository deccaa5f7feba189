/*
 * pg_fail.h - what a failed statement means.
 *
 * Runs in: worker, flusher, migrations.  Suspends: no.
 */
#ifndef TALLY_PG_PG_FAIL_H
#define TALLY_PG_PG_FAIL_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "base/status.h"

/* Five characters, or "" when libpq made the result by itself. */
const char *pg_sqlstate(const PGresult *res);
/* Fills err: "message [23505] (constraint users_email_key)". */
enum tl_status pg_fail(const PGresult *res, const char *doing,
		       struct tl_err *err);
/* What pg_err_in_doubt looks for at the end of the words. */
#define PG_IN_DOUBT "its outcome is not known"
/* The statement was prepared for a schema that is gone, or never here. */
bool pg_sqlstate_is_stale(const char *sqlstate);
/* A name that another session prepared, or should have. */
bool pg_sqlstate_is_of_names(const char *sqlstate);
/* The server is leaving: the connection is of no more use. */
bool pg_sqlstate_is_lost(const char *sqlstate);

#endif
