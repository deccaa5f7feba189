/*
 * reqlog.h - rows for the table request_logs on their way to the flusher.
 *
 * A bounded ring, many writers, one reader.  A worker that has charged a
 * request appends its row in the same turn, after the charge: a kill in
 * between leaves a charge without a row, never a row without a charge.  A
 * full ring drops the row and counts it; credits are never dropped.
 *
 * The flusher copies rows into the batch that it seals (shm_batch_fill) and
 * gives their slots back when the batch has been handed over, so each row is
 * written exactly once, by the same transaction as the batch's totals.  Cells
 * are read before rows: a charge of that very moment may have its row in the
 * batch before or behind the one of its total.
 *
 * Who dies between claim and publish leaves a slot that names its owner: the
 * flusher skips it and counts it as dropped.  One that is stopped there holds
 * up the rows behind it (never the totals) until it goes on or dies.
 *
 * Runs in: worker (append), flusher and master (the rest).  Suspends: no.
 */
#ifndef TALLY_SHM_REQLOG_H
#define TALLY_SHM_REQLOG_H

#include "shm/shm.h"

/*
 * model: 1 to SHM_MODEL_MAX bytes, row->model_len is set from it.  False: the
 * ring is full, the row is dropped and counted.  Without a ring
 * (shm.request_log = 0) true, and nothing happens.
 */
bool shm_reqlog_append(struct shm *s, const struct shm_log_row *row,
		       struct tl_str model);

/* Rows that wait in the ring: not yet handed over.  Reads up to all words. */
uint64_t shm_reqlog_pending(const struct shm *s);

/* More of the ring is taken than free: the flusher should not rest. */
static inline bool shm_reqlog_half_full(const struct shm *s)
{
	return atomic_load(&s->head->log_next) -
		       atomic_load(&s->head->log_done) >
	       s->n_logs / 2;
}

/* A row in a batch or in the spool. */
static inline struct tl_str shm_log_model(const struct shm_log_row *r)
{
	return (struct tl_str){ (const char *)(r + 1), r->model_len };
}
static inline uint32_t shm_log_bytes(uint32_t model_len)
{
	return (uint32_t)sizeof(struct shm_log_row) + (model_len + 7) / 8 * 8;
}
/*
 * The row at *at_ (0 at first) of `bytes` bytes of rows; moves *at behind it.
 * NULL: the end, or what stands there is no row.
 */
const struct shm_log_row *shm_log_next(const void *logs, uint32_t bytes,
				       uint32_t *at);

/* ---- flusher, master ---- */
/*
 * Adds rows from slot `from` on to b, which has none yet.  True: all that is
 * there is in it; false: b is full.  alone: no writer lives any more, so
 * whatever is claimed is lost, and damaged slots are stepped over.
 */
bool shm_reqlog_fill(const struct shm *s, uint64_t from, bool alone,
		     struct shm_batch *b);
/* The slots before `end` are free again; lost is counted as dropped. */
void shm_reqlog_release(struct shm *s, uint64_t end, uint32_t lost);
/* No process runs: is it whole?  Finishes what a kill left half done. */
enum tl_status shm_reqlog_verify(struct shm *s,
				 struct tl_err *err) TL_MUST_CHECK;
/* All rows of another segment, none of whose processes runs. */
void shm_reqlog_copy(struct shm *from, struct shm *to);

#endif
