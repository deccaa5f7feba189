/*
 * pg_direct.h - one blocking connection with a session of its own.
 *
 * For locks, snapshots and temporary tables, which a pooler would leave in
 * somebody else's session.
 * Runs in: short-lived processes (a child of the master, tallyctl).
 * Blocks: yes.
 */
#ifndef TALLY_PG_PG_DIRECT_H
#define TALLY_PG_PG_DIRECT_H

#include <libpq-fe.h>

#include "base/status.h"

/* TL_DENIED: a pooler stands between.  The name is for a string that sets
 * none. */
enum tl_status pg_direct_open(const char *conninfo,
			      const char *application_name, PGconn **pq_r,
			      struct tl_err *err) TL_MUST_CHECK;
/* TL_DENIED, and what to do about a pooler. */
enum tl_status pg_direct_refuse(struct tl_err *err);

#endif
