/*
 * live.h - waits until the daemon has taken in what a command has changed.
 *
 * The database tells the flusher, the flusher the segment; here the segment is
 * only watched, read-only.  Without a living daemon there is nothing to wait
 * for: its next start reads the database.
 */
#ifndef TALLY_TALLYCTL_LIVE_H
#define TALLY_TALLYCTL_LIVE_H

#include "tally/key.h"
#include "tallyctl/tallyctl.h"

struct pg;

struct live {
	struct shm *shm;                /* NULL: no daemon has run */
	uint64_t gen_before, gen_after; /* change_gen around the commit */
	uint64_t commit_mono_ms;
};
/* Complains itself, when the segment can not be watched. */
enum exit_status live_open(struct live *l, struct tallyctl *t);
void live_close(struct live *l);
/* Around the statement that changes something. */
void live_before(struct live *l);
void live_after(struct live *l);

/*
 * Suspend: yes, all.  TL_BUSY: it is stored, but the daemon has not taken it
 * in within 5 s; err says what to do.
 */
enum tl_status live_user(struct live *l, struct pg *pg,
			 const struct tl_uuid *user_id,
			 struct tl_err *err) TL_MUST_CHECK;
enum tl_status live_plan(struct live *l, struct pg *pg,
			 const struct tl_uuid *plan_id,
			 struct tl_err *err) TL_MUST_CHECK;
/* Also one that is deleted. */
enum tl_status live_limit(struct live *l, struct pg *pg,
			  const struct tl_uuid *limit_id,
			  struct tl_err *err) TL_MUST_CHECK;
/* The count of a user (digest NULL) or of a key for a limit, or that there is
 * none. */
enum tl_status live_override(struct live *l, struct pg *pg,
			     const struct tl_uuid *limit_id,
			     const struct tl_uuid *user_id,
			     const struct tally_digest *digest,
			     struct tl_err *err) TL_MUST_CHECK;
/* A revoked key: no worker takes it at that second (0: now) or later. */
enum tl_status live_key(struct live *l, const struct tally_digest *digest,
			int64_t grace_until_s,
			struct tl_err *err) TL_MUST_CHECK;
#endif
