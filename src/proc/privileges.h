/*
 * privileges.h - from root to the account that the daemon runs as.
 *
 * All of the daemon changes, the master too: no process of root is left that
 * writes into a directory of the account.  One capability stays with the
 * master, to listen on a port below 1024 at a later reload; the others give it
 * up.  This happens before the log, the lock and the segment are opened, so
 * that all that follows is the same as in a daemon that a service manager
 * started as that account.
 * Runs in: master.  Suspends: no.  Blocks: on the file system.
 */
#ifndef TALLY_PROC_PRIVILEGES_H
#define TALLY_PROC_PRIVILEGES_H

#include <sys/types.h>

#include "base/status.h"
#include "conf/conf.h"

/*
 * Does nothing unless started by root.  Hands over what an earlier life as
 * root left, then changes to server.user and server.group for good.
 *
 * *stays_r: NULL, or why root is kept, in words for the log, the caller's.
 * That happens when server.user was not set and its default does not exist or
 * cannot work; an account that was set and cannot be taken is an error.
 */
enum tl_status privileges_drop(const struct conf *conf, char **stays_r,
			       struct tl_err *err) TL_MUST_CHECK;
/* The accounts of the configuration exist. */
enum tl_status privileges_check(const struct conf *conf,
				struct tl_err *err) TL_MUST_CHECK;
/* Of server.group, which is not empty. */
enum tl_status privileges_group(const struct conf *conf, gid_t *gid_r,
				struct tl_err *err) TL_MUST_CHECK;
/* In a child of the master: no capability either.  Async-signal-safe. */
void privileges_none(void);

#endif
