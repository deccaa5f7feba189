/*
 * entries.h - keys and users of the segment: find, insert, change, retire.
 *
 * Finding takes no lock.  Inserting takes the stripe of the digest (robust
 * mutex, 50 ms limit: TL_BUSY).  Nothing suspends, allocates or logs under
 * it.  Callers bracket with shm_enter/shm_leave and keep no index across a
 * suspension.
 */
#ifndef TALLY_SHM_ENTRIES_H
#define TALLY_SHM_ENTRIES_H

#include "shm/shm.h"
#include "tally/keyrow.h"

/* SHM_NONE when not held. */
uint32_t shm_key_find(const struct shm *s, const struct tally_digest *d);
uint32_t shm_user_find(const struct shm *s, const struct tl_uuid *user_id);
/* Before usage is added to what was found, after last_used_ms was stored: it
 * may be DYING; this keeps it.  False: gone, look anew. */
bool shm_key_keep(struct shm *s, uint32_t key);

/* Read before the SELECT, handed to the insert: a change in between gives
 * TL_BUSY, and the caller reads the row anew. */
static inline uint64_t shm_change_gen(const struct shm *s)
{
	return atomic_load(&s->head->change_gen);
}
/*
 * Takes a row in: user first, then key; an entry that is held is changed in
 * place (rules only; usage and quota words stay).  TL_FULL: no free entry.
 * TL_BUSY: change_gen moved, or a stripe was not free within 50 ms, or the
 * plan is not in the policy table yet (policy_missing_r set).
 */
enum tl_status shm_key_take_in(struct shm *s, const struct tally_key_row *row,
			       uint64_t change_gen, bool *policy_missing_r,
			       struct tl_err *err) TL_MUST_CHECK;
/* Changes only what is held; TL_NOT_FOUND otherwise (which is fine). */
enum tl_status shm_user_change(struct shm *s, const struct tally_user_row *row,
			       uint64_t change_gen, struct tl_err *err)
	TL_MUST_CHECK;
/* For a mutation that has just been committed: raises change_gen (so that
 * loads in flight read anew), then marks.  grace_until_s 0: dies at once.
 * Effective in every process when it returns. */
void shm_key_revoke(struct shm *s, const struct tally_digest *d,
		    int64_t grace_until_s);
void shm_user_suspend(struct shm *s, const struct tl_uuid *user_id,
		      bool suspended);
void shm_change_begin(struct shm *s); /* raises change_gen, nothing else */
/* A key row that is gone from the database. */
void shm_key_delete(struct shm *s, const struct tally_digest *d);

/* ---- unknown keys and loads in progress ---- */
enum shm_negative_answer {
	SHM_NEG_NONE,	 /* nothing known: try shm_negative_claim */
	SHM_NEG_UNKNOWN, /* the database does not know it (5 s) */
	SHM_NEG_LOADING, /* another process reads it now: look again soon */
};
enum shm_negative_answer shm_negative_look(const struct shm *s,
					   const struct tally_digest *d,
					   uint64_t now_mono_ms);
/* True: this process loads it now (until 2 s); false: somebody else does. */
bool shm_negative_claim(struct shm *s, const struct tally_digest *d,
			uint64_t now_mono_ms);
/* After the load: unknown_ms > 0 remembers it as unknown for so long. */
void shm_negative_settle(struct shm *s, const struct tally_digest *d,
			 uint64_t now_mono_ms, uint32_t unknown_ms);

/* ---- extras: scopes, networks, overrides ---- */
bool shm_extras_has_scope(const struct shm *s, uint32_t extras,
			  struct tl_str scope);
/* Does the key list any scope at all?  (None: all are allowed.) */
bool shm_extras_any_scope(const struct shm *s, uint32_t extras);
/* True when no networks are listed or one holds the address. */
bool shm_extras_address_ok(const struct shm *s, uint32_t extras,
			   const struct tally_addr *a, bool have_address);
bool shm_extras_override(const struct shm *s, uint32_t extras,
			 uint64_t limit_id64, uint32_t *count_r);
/* Scope i from 0 until false; for replies. */
bool shm_extras_scope(const struct shm *s, uint32_t extras, uint32_t i,
		      struct tl_str *scope_r);

/* ---- janitor, flusher only ---- */
struct shm_janitor {
	uint32_t key_hand, user_hand, sweep;
	uint64_t retire_epoch;
	uint64_t freed_keys, freed_users, freed_extras;
};
/*
 * One step over at most n keys and users: retires what is idle longer than
 * idle_s, has nothing pending and (spool_empty) nothing spooled; frees what
 * was retired and passed.  Call each second.
 */
void shm_janitor_step(struct shm *s, struct shm_janitor *j, uint32_t n,
		      uint32_t idle_s, bool spool_empty, uint64_t now_mono_ns);
/* Counts for checks: free + live + init + dying + retired = capacity. */
struct shm_census {
	uint32_t fresh, free, init, live, dying, retired;
};
void shm_census_keys(const struct shm *s, struct shm_census *c_r);
void shm_census_users(const struct shm *s, struct shm_census *c_r);

#endif
