/*
 * policy.h - plans and named limits in the segment, two copies.
 *
 * Written by the flusher (the loader) only.  A reader takes the current copy
 * once per decision and uses it within one shm_enter/shm_leave bracket; the
 * loader waits for all readers to pass before it writes the other copy again.
 * Rows keep their index while they exist.
 */
#ifndef TALLY_SHM_POLICY_H
#define TALLY_SHM_POLICY_H

#include "shm/shm.h"
#include "tally/keyrow.h"

static inline const struct shm_policy *shm_policy(const struct shm *s)
{
	return &s->policies[atomic_load_explicit(&s->head->policy_gen,
						 memory_order_acquire) &
			    1];
}
/*
 * Publishes a new set.  TL_BUSY: a reader still uses the other copy, try
 * again in some ms.  TL_FULL: more than SHM_LIMITS or SHM_PLANS rows.
 * Users' limits follow their plan's at once: all held users are walked.
 */
enum tl_status shm_policy_set(struct shm *s,
			      const struct tally_limit_row *limits,
			      uint32_t n_limits,
			      const struct tally_plan_row *plans,
			      uint32_t n_plans, struct tl_err *err)
	TL_MUST_CHECK;
const struct shm_limit *shm_policy_limit(const struct shm_policy *p,
					 struct tl_str name); /* NULL */
/* Is this what decisions go by now?  row NULL: that there is none of the id.
 * For those who only look on: tallyctl. */
bool shm_policy_shows_limit(const struct shm *s, const struct tl_uuid *limit_id,
			    const struct tally_limit_row *row);
bool shm_policy_shows_plan(const struct shm *s,
			   const struct tally_plan_row *row);

/*
 * Asks for a round of reading plans and limits that begins after this call;
 * the caller then wakes the flusher.  Done: decisions go by what was read, and
 * users' limits follow.
 */
uint32_t shm_refresh_want(struct shm *s);
bool shm_refresh_done(const struct shm *s, uint32_t ticket);
/* The flusher's side: take the ticket, read, say so. */
bool shm_refresh_wanted(const struct shm *s, uint32_t *ticket_r);
void shm_refresh_did(struct shm *s, uint32_t ticket);

uint64_t shm_limit_id64(const struct shm *s, const struct tl_uuid *limit_id);

#endif
