/*
 * pg_lead.h - one leader among all that are connected to a database.
 *
 * A session advisory lock on a connection of its own, which also LISTENs: who
 * holds the lock leads, and a lost connection is a lost lead, at the server at
 * once and here as soon as it is noticed (PING_MS at the latest).  In between
 * two may believe that they lead, so what must not be done twice needs a row
 * in the database beside.
 * Followers ask for the lock every TRY_MS and when they are told something: a
 * lock that is waited for in the server would hold back its vacuum.
 * It goes the direct way: through a pooler the lock would be some other
 * session's, so nobody leads there.
 * Runs in: scheduler.  Suspends: where said.
 */
#ifndef TALLY_PG_PG_LEAD_H
#define TALLY_PG_PG_LEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct pg_lead;
struct pg_pool_opts;

struct pg_lead_opts {
	int64_t lock;
	const char *channel; /* of LISTEN and of a leader that resigns */
	/* From within its coroutine; neither may suspend. */
	void (*changed)(void *arg, bool leads);
	void (*told)(void *arg); /* also when the connection is new */
	void *arg;
};
/* Connects in the background; needs co_init. */
struct pg_lead *pg_lead_new(const struct pg_pool_opts *o,
			    const struct pg_lead_opts *lo);
bool pg_lead_leads(const struct pg_lead *l);
/*
 * One more lock of the leader's session, for a piece of work that others may
 * do too.  TL_BUSY: somebody has it.  TL_UNAVAILABLE: we do not lead.
 * Suspends: yes.
 */
enum tl_status pg_lead_lock(struct pg_lead *l, int64_t lock,
			    struct tl_err *err) TL_MUST_CHECK;
/* Gives it back; when the lead is lost, so was the lock. */
void pg_lead_unlock(struct pg_lead *l, int64_t lock);
/* Lets the next one lead, and tells them.  Suspends: yes, until it is done. */
void pg_lead_resign(struct pg_lead *l);
/* After the last coroutine ended. */
void pg_lead_free(struct pg_lead **l);

#endif
