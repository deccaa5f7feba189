/*
 * internal.h - what the files of the decision share.
 */
#ifndef TALLY_DECIDE_INTERNAL_H
#define TALLY_DECIDE_INTERNAL_H

#include "decide/decide.h"
#include "shm/policy.h"

static inline bool refuse(struct decide_out *out, enum decide_code code,
			  enum decide_reason reason)
{
	out->code = code;
	out->reason = reason;
	return false;
}

/* One limit to check: where its words are and what it allows. */
struct rate_want {
	const char *name;
	uint8_t name_len;
	_Atomic uint64_t *ring;
	struct shm_window *window; /* NULL: ring lies in a key */
	uint64_t tag;
	enum tally_algorithm algorithm;
	bool shadow;
	bool named; /* by an extra: cost is the extras' sum */
	uint32_t limit, burst, window_ms, cost;
};
/* False: refused (out says why); charges stand in out->tickets. */
bool rates_check(struct decide *d, const struct decide_in *in,
		 const struct rate_want *wants, uint32_t n,
		 struct decide_out *out);
void rates_return(struct decide_out *out);
/* All limits of a known key: its own, its user's, the named ones. */
bool rates_of_key(struct decide *d, const struct decide_in *in,
		  const struct shm_policy *policy, struct decide_out *out);
bool rates_of_address(struct decide *d, const struct decide_in *in,
		      struct decide_out *out);
/* The address, and the named ones that count by it. */
bool rates_of_anonymous(struct decide *d, const struct decide_in *in,
			const struct shm_policy *policy,
			struct decide_out *out);
/* Reports the key's own limit without touching it. */
void rates_show_key(struct decide *d, const struct decide_in *in,
		    const struct shm_policy *policy, struct decide_out *out);

#endif
