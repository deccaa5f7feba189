/*
 * usage.h - usage cells, quota words, the dirty bitmap, batches.
 *
 * Workers add; the flusher (one process) seals batches and confirms them.
 * Order in a worker: add to cells, then set the dirty bit.
 */
#ifndef TALLY_SHM_USAGE_H
#define TALLY_SHM_USAGE_H

#include "shm/shm.h"

/*
 * Adds to the three cells of the key's day, if its credits (base included)
 * stay within credits_max, the key's own limit; SHM_COUNT_MAX: none.
 * TL_FULL: they would not.  TL_BUSY: a cell still holds unflushed usage of
 * an older day (three days of outage).  Nothing changed then.
 * Sets the dirty bit and last_used_ms.
 */
enum tl_status shm_usage_add(struct shm *s, uint32_t key, uint32_t day,
			     const uint64_t delta[SHM_METRICS],
			     uint64_t credits_max,
			     uint64_t wall_ms) TL_MUST_CHECK;
/* A use without charge: only last_used_ms, and the dirty bit once a second. */
void shm_usage_touch(struct shm *s, uint32_t key, uint64_t wall_ms);

/* used_r: base + used after (or at refusal).  False: refused, unchanged. */
bool shm_quota_reserve(struct shm_user *u, uint32_t day, uint64_t cost,
		       uint64_t limit, uint64_t *used_r);
void shm_quota_refund(struct shm_user *u, uint32_t day, uint64_t cost);
/*
 * A request of this key was refused for want of its user's credits: the first
 * time of a day it becomes a record for the flusher.
 */
void shm_quota_refused(struct shm *s, uint32_t key, uint32_t day);
uint64_t shm_quota_used(const struct shm_user *u, uint32_t day);
void shm_requests_add(struct shm_user *u, uint32_t day, uint64_t n);
uint64_t shm_requests_used(const struct shm_user *u, uint32_t day);
/* The key's own credits of the day: base + cell. */
uint64_t shm_key_credits(const struct shm_key *k, uint32_t day);

/* ---- flusher ---- */
struct shm_scan {
	bool full;	    /* all keys, not only dirty ones */
	uint32_t next_word; /* where the next batch goes on */
	uint32_t next_idem_word;
	uint64_t log_until; /* rows before it belong to this scan */
	bool no_logs; /* the caller's: rows of request_logs stay behind */
	bool done;
};
/*
 * Begins a scan: raises flush_gen (returned, and in the batch's scan_gen).
 * No batch may be SEALED then: confirm what is left first.  Within one scan
 * batches hold different keys, so two of them may be in work.
 */
uint64_t shm_scan_begin(struct shm *s, struct shm_scan *scan, bool full);
/*
 * Fills a free batch slot from where the scan stands and seals it with the
 * next seq.  NULL with scan->done: nothing (more) was pending.  TL_FULL
 * (NULL, not done): no free slot, confirm one first.
 * Idempotency records claimed before the snapshot are waited for (bounded).
 */
struct shm_batch *shm_batch_fill(struct shm *s, struct shm_scan *scan);
/* Sealed batches after a restart, in seq order; discards FILLING ones. */
uint32_t shm_batch_sealed(struct shm *s, struct shm_batch *out[SHM_BATCHES]);
uint32_t shm_batch_crc(const struct shm_batch *b);
/* Is a sealed one, or a copy of it, as it was sealed?  Its counts, its sum, and
 * that all it names is there: what is not must not be confirmed. */
bool shm_batch_whole(const struct shm *s, const struct shm_batch *b);
/* It is safe in the database or the spool: flushed := snapshot, slot free. */
void shm_batch_confirm(struct shm *s, struct shm_batch *b);
/* All scans up to gen are safe: strict answers may go. */
void shm_committed(struct shm *s, uint64_t gen);

/* Sum over all keys of cell - flushed (for status, tests, doctor). */
void shm_pending(const struct shm *s, uint64_t total_r[SHM_METRICS],
		 uint64_t *keys_r);

/* ---- idempotency ---- */
enum shm_idem_found {
	SHM_IDEM_CLAIMED, /* new: charge, then _done; or _drop */
	SHM_IDEM_REPLAY,  /* answer_r is the first answer */
	SHM_IDEM_OTHER,	  /* same name, another body: 409 */
	SHM_IDEM_PENDING, /* in progress elsewhere: 503, try again */
	SHM_IDEM_ASK,	  /* not here, but may be in the database: ask, then
			   * call again with asked = true */
	SHM_IDEM_FULL,	  /* no room: 503 */
};
enum shm_idem_found
shm_idem_begin(struct shm *s, const uint8_t key_id[16], struct tl_str name,
	       const uint8_t body_hash[16], uint64_t wall_ms, bool asked,
	       uint32_t *index_r, struct shm_answer *answer_r,
	       uint64_t *commit_gen_r);
void shm_idem_done(struct shm *s, uint32_t index, const struct shm_answer *a,
		   uint64_t commit_gen);
void shm_idem_drop(struct shm *s, uint32_t index); /* nothing was charged */
/* Takes in an answer of before; safe: it is in the database.  False: its set
 * is full. */
bool shm_idem_restore(struct shm *s, const struct shm_idem_record *rec,
		      bool safe);
/* All answers since then are here now: older ones need not be asked for. */
void shm_idem_complete(struct shm *s);

#endif
