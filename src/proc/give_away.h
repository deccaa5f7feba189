/*
 * give_away.h - what root's daemon left becomes the account's.
 *
 * The state directory with all below it, the log file, the segments of the
 * instance: what belongs to root there is given to the account.  Works on
 * descriptors of the very files it looked at, follows no link and leaves a
 * file with a second name alone, so that nobody who may write there is made
 * the owner of something else.
 * Runs in: master, as root, before it changes.  Suspends: no.  Blocks: on the
 * file system.
 */
#ifndef TALLY_PROC_GIVE_AWAY_H
#define TALLY_PROC_GIVE_AWAY_H

#include <sys/types.h>

#include "base/status.h"
#include "conf/conf.h"

/* Makes state directory and log file where there are none. */
enum tl_status give_away(const struct conf *conf, uid_t uid, gid_t gid,
			 struct tl_err *err) TL_MUST_CHECK;

#endif
