/*
 * private_pg.h - the state directory for one command, while no daemon runs:
 * its lock, and its embedded PostgreSQL.
 */
#ifndef TALLY_TALLYCTL_PRIVATE_PG_H
#define TALLY_TALLYCTL_PRIVATE_PG_H

#include "tallyctl/tallyctl.h"

struct private_pg;

/*
 * Takes the lock that a daemon would take; it is made when there is none.
 * TL_BUSY: a daemon runs.  TL_DENIED: the directory is another user's, who
 * could not use what we make there.
 */
enum tl_status private_lock(struct tallyctl *t, int *fd_r,
			    struct tl_err *err) TL_MUST_CHECK;
/* Is there a cluster already? */
bool private_pg_exists(const struct tallyctl *t);
/*
 * Starts the embedded cluster (made when there is none) and waits until it
 * answers.  The lock is held.
 */
enum tl_status private_pg_start(struct tallyctl *t, struct private_pg **p_r,
				struct tl_err *err) TL_MUST_CHECK;
const char *private_pg_url(const struct private_pg *p);
/* Stops it and waits for its end. */
void private_pg_stop(struct private_pg **p);

#endif
