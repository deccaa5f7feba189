/*
 * keyrow.h - what the database says about a key, on its way to the segment.
 *
 * store/ makes one from rows, shm/ takes one in.  All memory is borrowed
 * from the maker's arena.
 */
#ifndef TALLY_TALLY_KEYROW_H
#define TALLY_TALLY_KEYROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "tally/addr.h"
#include "tally/key.h"

/* A row of limit_overrides: this subject has its own count for a limit. */
struct tally_override {
	struct tl_uuid limit_id;
	uint32_t count;
};

struct tally_user_row {
	struct tl_uuid user_id;
	struct tl_uuid plan_id;
	bool suspended;
	const struct tally_override *overrides;
	uint32_t n_overrides;
	/* What the database held for `day` when read. */
	int32_t day;
	int64_t base_credits, base_requests;
};

struct tally_key_row {
	struct tally_digest digest;
	struct tl_uuid key_id;
	bool revoked;
	int64_t expires_at_s;	    /* Unix; 0 never */
	int64_t grace_until_s;	    /* Unix; 0 none */
	uint32_t rate_limit;	    /* per limits.window_ms; 0 none */
	int64_t daily_credit_limit; /* -1 none */
	const struct tl_str *scopes; /* n 0: all */
	uint32_t n_scopes;
	const struct tally_cidr *allowed; /* n 0: any address */
	uint32_t n_allowed;
	const struct tally_override *overrides;
	uint32_t n_overrides;
	int64_t base_credits; /* of this key, same day as the user's */
	struct tally_user_row user;
};

/* Rounded up: the last second of a grace may be longer, never shorter. */
static inline int64_t tally_grace_s(int64_t until_us)
{
	return (until_us + 999999) / 1000000;
}

enum tally_algorithm { TALLY_SLIDING, TALLY_GCRA };
enum tally_scope { TALLY_SCOPE_KEY, TALLY_SCOPE_USER, TALLY_SCOPE_ADDRESS };

struct tally_limit_row {
	struct tl_uuid limit_id;
	struct tl_str name; /* 1..40 of [a-z0-9_.-] */
	uint32_t count;	    /* 0..2^31-1 per window */
	uint32_t window_ms; /* 1000.. */
	uint32_t burst;	    /* gcra */
	enum tally_algorithm algorithm;
	enum tally_scope scope;
	bool shadow;
};
struct tally_plan_row {
	struct tl_uuid plan_id;
	struct tl_str name; /* at most 50 code points */
	int64_t daily_credit_limit;
	uint32_t rate_limit; /* features.rate_limit; 0 none */
};
#endif
