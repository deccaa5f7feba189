/*
 * decide.h - the decision of gate.md on the segment.
 *
 * Is this key good, may it do this, is it within its limits and its quota,
 * and what does it cost?  One call, no I/O, never suspends, never allocates.
 * Two phases for callers that read a body between the rate limit and the
 * charge: DECIDE_RATE first, decide_charge() later; doors do both at once.
 * Runs in: worker (doors, middleware), tallyctl bench.
 */
#ifndef TALLY_DECIDE_DECIDE_H
#define TALLY_DECIDE_DECIDE_H

#include "shm/shm.h"
#include "shm/window.h"
#include "tally/addr.h"
#include "tally/key.h"
#include "tally/keyrow.h"

#define DECIDE_EXTRAS_MAX 8
#define DECIDE_USER_MAX	  8 /* limits set for one user */
#define DECIDE_RATES_MAX  (DECIDE_EXTRAS_MAX + DECIDE_USER_MAX + 1)
#define DECIDE_SCOPES_MAX 16
#define DECIDE_COST_MAX	  1000000

enum decide_code {
	DECIDE_OK,
	DECIDE_UNAUTHORIZED,
	DECIDE_FORBIDDEN,
	DECIDE_RATE_LIMITED,
	DECIDE_QUOTA_EXCEEDED,
	DECIDE_UNAVAILABLE, /* 503: stripe, table or usage cell busy */
	DECIDE_LOAD, /* no answer yet: the key is not held; load, ask again */
};
enum decide_reason {
	DECIDE_R_NONE, DECIDE_R_MISSING, DECIDE_R_MALFORMED, DECIDE_R_UNKNOWN,
	DECIDE_R_REVOKED, DECIDE_R_EXPIRED, DECIDE_R_SUSPENDED,
	DECIDE_R_ADDRESS, DECIDE_R_SCOPE, DECIDE_R_LIMIT, DECIDE_R_QUOTA,
	DECIDE_R_KEY_QUOTA, DECIDE_R_BUSY, DECIDE_R_FULL, DECIDE_R_TWO_KEYS,
	DECIDE_R_DATABASE, /* the key is not held and could not be loaded */
	DECIDE_REASONS,
};
enum decide_door { DECIDE_D_API, DECIDE_D_GATE, DECIDE_D_VERIFY,
		   DECIDE_D_RECORD, DECIDE_D_VALIDATE };

/* Settings a decision needs; made from struct conf by the process. */
struct decide_rules {
	bool limits_enabled, quota_enabled, metering_enabled;
	bool limits_from_plan, outage_open;
	uint32_t key_count, address_count;
	uint32_t window_ms;
};
struct decide {
	struct shm *shm;
	struct decide_rules rules;
	uint32_t worker; /* for the decision ring */
};

struct decide_extra { /* "limit=NAME:COST" */
	struct tl_str name;
	uint32_t cost;
};

enum {
	DECIDE_RATE = 1,	 /* check and charge rate limits */
	DECIDE_CHARGE = 2,	 /* reserve quota, count usage */
	DECIDE_DRY = 4,		 /* answers as if, charges nothing */
	DECIDE_401_COUNTS = 8,	 /* a 401 counts on the client's address */
	DECIDE_UNKNOWN = 16,	 /* the loader found no such key: do not ask
				  * for a load again, answer unauthorized */
	DECIDE_ANONYMOUS = 32,	 /* no credential is let through under the
				  * address limit and the extras by address */
	DECIDE_ADDRESS_KNOWN = 64, /* `client` is given */
};
struct decide_in {
	unsigned flags;
	struct tl_str key;    /* as presented; len 0: none */
	bool digest_given;    /* then `digest` stands for key */
	struct tally_digest digest;
	struct tally_addr client;
	uint32_t cost; /* credits */
	uint64_t cost_micro_usd;
	const struct tl_str *scopes; /* wanted */
	uint32_t n_scopes;
	const struct decide_extra *extras; /* names exist: decide_limit_known */
	uint32_t n_extras;
	uint64_t mono_ns; /* the one clock reading; tl_mono_ns() */
};

struct decide_rate { /* one limit that applied */
	char name[SHM_NAME_MAX + 1];
	uint8_t name_len;
	bool shadow, shadow_refused;
	uint32_t limit, remaining; /* of a gcra: its burst */
	uint32_t window_ms, reset_ms;
	uint32_t per_window; /* the limit's count; `limit` unless gcra */
	uint32_t charged;    /* what this request holds of it */
};
struct decide_out {
	enum decide_code code;
	enum decide_reason reason;
	struct tally_digest digest; /* when a well-formed key was presented */
	bool have_key;		    /* key_id and the following are set */
	bool charged;		    /* credits and usage were counted */
	struct tl_uuid key_id, user_id;
	uint32_t key, user; /* indices: valid until the next suspension only */
	uint32_t extras;    /* of the key, for shm_extras_scope, same rule */
	uint32_t plan;	    /* index in shm_policy.plans */
	uint32_t day;
	uint64_t credits_limit, credits_used; /* of the user, after this */
	uint64_t request_count;		      /* of the user, after this */
	uint32_t cost;
	struct decide_rate rates[DECIDE_RATES_MAX];
	uint32_t n_rates;
	uint32_t tightest;   /* index in rates; the refusing one if refused */
	uint32_t retry_after_ms; /* 0: none */
	struct shm_ticket tickets[DECIDE_RATES_MAX];
	uint32_t n_tickets;
};

/* Clears only what it must: out may be uninitialised. */
void decide(struct decide *d, const struct decide_in *in,
	    struct decide_out *out);
/*
 * The second phase after DECIDE_RATE gave DECIDE_OK: quota and usage.  On
 * refusal the rate charge is taken back.  out is the first phase's.
 * It finds the key anew, so a suspension in between is allowed.
 */
void decide_charge(struct decide *d, const struct decide_in *in,
		   struct decide_out *out);
/* Only the address limit: unauthenticated routes. */
void decide_address(struct decide *d, const struct tally_addr *client,
		    uint64_t mono_ns, struct decide_out *out);
/* False: the name does not exist (400), scope_r tells what it counts by.
 * `key` and `address` are built in. */
bool decide_limit_known(const struct decide *d, struct tl_str name,
			enum tally_scope *scope_r);

/* Today's figures of the user for replies, from the segment. */
struct decide_usage {
	uint64_t credits_used, credits_limit, request_count;
	uint32_t day;
};
bool decide_usage(const struct decide *d, const struct tl_uuid *user_id,
		  uint64_t mono_ns, struct decide_usage *u_r);

/*
 * Would the key still be let in?  For what goes on after the decision: a
 * stream that is open.  Counts and charges nothing.  NONE, or why not: REVOKED,
 * EXPIRED, SUSPENDED, ADDRESS; UNKNOWN: it is not held, and nobody says.
 * keep: a use of the key, so that the segment goes on to hold it.
 */
enum decide_reason decide_standing(struct decide *d,
				   const struct tally_digest *digest,
				   const struct tally_addr *client, bool keep,
				   uint64_t mono_ns);

const char *decide_code_name(enum decide_code c);     /* "rate_limited" */
const char *decide_reason_name(enum decide_reason r); /* "revoked" */
const char *decide_door_name(enum decide_door d);
unsigned decide_http_status(enum decide_code c);
/* What a person reads: "daily credits used up (250/250)".  NUL-terminated. */
size_t decide_message(const struct decide_out *out, char *dst, size_t cap);
/* Leaves the record for explain and tail.  trace_id: 16 bytes, NULL: none. */
void decide_record(struct decide *d, const struct decide_out *out,
		   enum decide_door door, const struct tally_addr *client,
		   struct tl_str request_id, const uint8_t *trace_id,
		   unsigned http_status, uint64_t start_mono_ns,
		   uint64_t end_mono_ns);
#endif
