/*
 * filter.h - which decisions tail shows.
 */
#ifndef TALLY_TALLYCTL_FILTER_H
#define TALLY_TALLYCTL_FILTER_H

#include "base/status.h"
#include "base/str.h"
#include "shm/layout.h"
#include "tally/addr.h"

#define FILTER_KEYS_MAX 100
struct filter {
	struct tl_str code, reason, door, limit, request; /* len 0: any */
	struct tl_str key, user;  /* beginning of the id's text */
	struct tl_str key_prefix; /* to be looked up: see filter_wants_keys */
	struct tl_uuid keys[FILTER_KEYS_MAX]; /* what the look-up found */
	uint32_t n_keys;
	bool have_client;
	struct tally_cidr client;
	bool have_status, have_worker;
	uint64_t status, worker;
};
/* "code=rate_limited"; more than one call narrows further. */
enum tl_status filter_add(struct filter *f, struct tl_str word,
			  struct tl_err *err) TL_MUST_CHECK;
/*
 * key= was given the text that people see ("codexible_0123456789"), which
 * the ring does not hold: the caller must find the ids in the database.
 */
bool filter_wants_keys(const struct filter *f);
bool filter_match(const struct filter *f, const struct shm_decision *d);

#endif
