/*
 * spool.h - sealed batches on disk while PostgreSQL is away.
 *
 * Append-only files of about 16 MiB, see spool_read.h for their names and
 * bytes.  One process at a time (the flusher, or the master before it).
 *
 * What is promised, and why it holds at each crash point:
 *  - spool_append returns TL_OK after fdatasync of the record (and, for a new
 *    file, fsync of the directory).  Only then may the caller confirm the
 *    batch in the segment, so a batch is always in at least one of the two.
 *  - Killed before that: the batch is still sealed in its slot.  What lies on
 *    disk is a torn record, which the next spool_open cuts off, or a whole
 *    one; then the next append of that seq finds it there and writes nothing
 *    (spool_open has synced it).
 *  - Killed after it, before the confirm: the same, the slot comes again and
 *    is found.  Or the database is back: the spool goes first, the slot's
 *    batch is a duplicate there.
 *  - A write or sync that failed is cut off again.  While that can not be
 *    done nothing is appended, so no damage ends up between records.
 *  - A file goes when its last record was committed.  Killed before that, its
 *    records are sent once more and the database knows their numbers.
 *  - A machine that dies takes the segment with it, never a synced record:
 *    the next start has a new epoch and delivers the old one's files first.
 *
 * Runs in: flusher, master.  Suspends: no.  Blocks: spool_append on fdatasync,
 * spool_open and spool_peek on reading.
 */
#ifndef TALLY_FLUSH_SPOOL_H
#define TALLY_FLUSH_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "flush/spool_read.h"

#define SPOOL_FILE_BYTES (16u << 20)

struct spool;
struct spool_opts {
	const char *state_dir; /* the spool is `<state_dir>/spool` */
	uint64_t epoch;        /* of the segment; its files come last */
	const char *node;
	uint64_t max_bytes;  /* of all files that are delivered some day */
	uint32_t file_bytes; /* 0: SPOOL_FILE_BYTES; tests take less */
};
/*
 * Makes the directory, looks through it, cuts torn tails.  Files that can not
 * be read are renamed to `<name>.bad` with an error in the log.
 */
enum tl_status spool_open(const struct spool_opts *o, struct spool **sp_r,
			  struct tl_err *err) TL_MUST_CHECK;
void spool_close(struct spool **sp);

/*
 * Durable when TL_OK; a seq that is there already is TL_OK too.
 * TL_FULL: would pass max_bytes.  TL_SYSTEM: could not be written.
 * TL_BROKEN: does not follow the last one of this epoch.
 */
enum tl_status spool_append(struct spool *sp, const uint8_t database_id[16],
			    const struct shm_batch *b,
			    struct tl_err *err) TL_MUST_CHECK;

/*
 * The oldest record for this database: other epochs first, each by seq.  The
 * view is borrowed until the next call.  TL_NOT_FOUND: none.  TL_BROKEN:
 * damaged, *epoch_r (else untouched) is whose.
 */
enum tl_status spool_peek(struct spool *sp, const uint8_t database_id[16],
			  struct spool_view *view_r, uint64_t *epoch_r,
			  struct tl_err *err) TL_MUST_CHECK;
/* The record that spool_peek gave is in the database. */
void spool_drop(struct spool *sp);
/* Ignores an epoch's files until the next spool_open; they stay on disk. */
void spool_set_aside(struct spool *sp, uint64_t epoch);

/* Files of other databases: logs each (loudly), returns how many. */
uint32_t spool_report_foreign(const struct spool *sp,
			      const uint8_t database_id[16]);

struct spool_stat {
	uint64_t bytes, records; /* to be delivered to this database */
	uint64_t old_records;    /* of them, of other epochs */
	uint64_t max_bytes;
	uint64_t last_seq; /* of this epoch, 0: none here */
	uint64_t appends, sync_us_total, sync_us_max;
};
/* database_id NULL: all databases. */
void spool_stat(const struct spool *sp, const uint8_t *database_id,
		struct spool_stat *st_r);
#endif
