/*
 * tail.h - usage that a snapshot of the database does not hold yet, read from
 * the segment and the spool beside a running daemon.
 *
 * For a backup: snapshot + tail = every charge that was answered before
 * tail_take began, each once.
 *
 * The caller stops batches from being applied (a lock on the table that each
 * of them updates first), then takes the snapshot, reads from it the number
 * L of the last batch of each epoch, calls tail_take, and lets go.  Nothing
 * else stands still: workers count, the flusher seals, confirms what was
 * applied before, writes to the spool.
 *
 * Why it is exact.  A cell only grows, and each batch hands over a range of
 * it: up to `snapshot`, from where the batch before ended.  So of the counts
 * 1..c of a cell, read at moment b:
 *   - up to the `snapshot` of the last batch <= L: in the database snapshot,
 *   - from there on those of spooled batches > L: in the spool,
 *   - the rest up to c: nowhere but here.
 * What is known of the two borders:
 *   - `flushed` says how far a confirmed batch reached.  Confirmed means
 *     applied or spooled; applied means before the lock, hence <= L.
 *   - A batch <= L whose confirmation is under way has moved `flushed` of
 *     some keys only.  It lies sealed in its slot until all of them are
 *     moved, so the slots are copied before the cells are read, and the
 *     snapshots of such a batch count as `flushed`.
 *   - A batch that goes to the spool is confirmed after it was written.  The
 *     spool is listed after the cells were read, so it has at least all that
 *     was confirmed by then.  What it has beyond is told by its snapshots: a
 *     cell is pending from the highest of them on.
 * Each border is a maximum of numbers that only grow, so it does not matter
 * when exactly each of them was read.
 *
 * Rows of the request log carry no such numbers.  For their sake all is read
 * again when a batch was sealed or confirmed in between, which is rare: in
 * front of a lock there is one batch on its way and no second.  Then they are
 * in the snapshot, in the spool, in a sealed slot beyond both, or in the ring
 * behind what the slots hold.
 *
 * Files are open from then on: that they are delivered and removed once the
 * lock is gone takes nothing away.
 *
 * Runs in: tallyctl.  Blocks: on reading files.
 */
#ifndef TALLY_FLUSH_TAIL_H
#define TALLY_FLUSH_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "shm/shm.h"

struct tail;
struct tail_epoch { /* a row of the snapshot */
	char node[48];
	uint64_t epoch, last_seq;
};
struct tail_usage {
	uint8_t user_id[16], key_id[16];
	uint32_t day; /* since 1970 */
	uint64_t delta[SHM_METRICS];
	uint64_t last_used_ms; /* 0: not known */
};
struct tail_sink {
	void *arg;
	enum tl_status (*usage)(void *arg, const struct tail_usage *u,
				struct tl_err *err);
	/* One answer may come twice. */
	enum tl_status (*idem)(void *arg, const struct shm_idem_record *r,
			       struct tl_err *err);
	/* The model stands behind it: shm_log_model. */
	enum tl_status (*log)(void *arg, const struct shm_log_row *r,
			      struct tl_err *err);
};

/*
 * s: mapped for reading, NULL when there is none; left out when it belongs to
 * another database.  all_cells: keep what is delivered, too, for tail_counted.
 * TL_BUSY: it is being changed, or a rescue of it was interrupted; err says
 * what to do.
 */
enum tl_status tail_take(const struct shm *s, const char *state_dir,
			 const uint8_t database_id[16],
			 const struct tail_epoch *epochs, uint32_t n_epochs,
			 bool all_cells, struct tail **tail_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* Gives all of it, once.  TL_BROKEN: a file of the spool is damaged. */
enum tl_status tail_read(struct tail *t, const struct tail_sink *sink,
			 struct tl_err *err) TL_MUST_CHECK;
/*
 * What the segment says that a key has used of a day, when the tail was taken:
 * base + count.  The database's row + what tail_read gives is the same, unless
 * others write to the database, or days before `base_day` are asked for.
 */
struct tail_counted {
	uint8_t user_id[16], key_id[16];
	uint32_t day;
	uint32_t base_day;           /* when the key was loaded */
	uint64_t base;               /* credits it had then of `day` */
	uint64_t count[SHM_METRICS]; /* here, since then */
};
/* A day of a key may come in pieces, to be added up. */
void tail_counted(const struct tail *t,
		  void (*fn)(void *arg, const struct tail_counted *c),
		  void *arg);
void tail_free(struct tail **t);

#endif
