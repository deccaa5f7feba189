/*
 * db.h - tallyctl's way to the database: one loop, one coroutine, one
 * connection, for one command.
 */
#ifndef TALLY_TALLYCTL_DB_H
#define TALLY_TALLYCTL_DB_H

#include "tallyctl/tallyctl.h"

struct pg;
struct pg_way;

/* Suspends: yes. */
typedef enum tl_status (*db_fn)(struct pg *pg, void *arg, struct tl_err *err);

/*
 * The connection string for a session of one's own: database.direct_url or
 * database.url, else what the daemon uses (the embedded cluster's).
 * Complains itself; *url_r lives in the arena.
 */
enum exit_status db_direct_url(struct tallyctl *t, const char **url_r);
/*
 * Runs fn; *st_r is what it returned.  Complains itself, with
 * EXIT_DATABASE, when the database is away; then *st_r is not set.
 */
enum exit_status db_run(struct tallyctl *t, db_fn fn, void *arg,
			enum tl_status *st_r, struct tl_err *err);
/* The same without complaints, by a way of the caller's. */
enum tl_status db_look(const struct pg_way *way, db_fn fn, void *arg,
		       struct tl_err *err) TL_MUST_CHECK;
/* As db_run, and complains of what fn returned: EXIT_NOT_FOUND of
 * TL_NOT_FOUND, EXIT_USAGE of TL_INVALID, else EXIT_FAILED. */
enum exit_status db_do(struct tallyctl *t, db_fn fn, void *arg);
/* As db_run, for a command that takes long; a statement gets ten minutes. */
enum exit_status db_run_long(struct tallyctl *t, db_fn fn, void *arg,
			     enum tl_status *st_r, struct tl_err *err);

#endif
