/*
 * freeze.h - a snapshot of the database and what it does not hold yet, of one
 * moment, beside a running daemon.
 *
 * Two connections.  The first stops batches of usage from being applied; the
 * second takes its snapshot then, and the tail of segment and spool is read;
 * the first lets go.  That takes some milliseconds, and only the flusher
 * waits.  The snapshot stays, however long it is read.  Why snapshot and tail
 * fit together exactly: flush/tail.h.
 *
 * The daemon takes no part, so it may hang, be killed meanwhile, or not run.
 */
#ifndef TALLY_TALLYCTL_FREEZE_H
#define TALLY_TALLYCTL_FREEZE_H

#include "flush/tail.h"
#include "pg/bulk.h"
#include "tallyctl/tallyctl.h"

struct freeze {
	struct bulk *hold;     /* NULL once it has let go */
	struct bulk *snapshot; /* a transaction that only reads */
	struct tail *tail;
	struct tail_epoch *epochs; /* of the snapshot */
	uint32_t n_epochs;
	struct tl_uuid database_id;
	const char *server_version;
	struct tl_str taken_at;
	bool has_segment;
};
/* What is to be seen of the segment before and after the tail was taken; s:
 * NULL when there is none. */
struct freeze_watch {
	void *arg;
	void (*before)(void *arg, const struct shm *s);
	void (*after)(void *arg, const struct shm *s);
};

/* `share`/DIR/NAME.sql on that connection. */
enum tl_status freeze_file(struct tallyctl *t, struct bulk *b, const char *dir,
			   const char *name, struct bulk_rows *rows_r,
			   struct tl_err *err) TL_MUST_CHECK;
/*
 * TL_BUSY is tried again for about a second.  all_cells, watch (may be NULL):
 * for whom compares, see tail_take.
 */
enum tl_status freeze_take(struct tallyctl *t, const char *url, bool all_cells,
			   const struct freeze_watch *watch, struct freeze *f_r,
			   struct tl_err *err) TL_MUST_CHECK;
void freeze_end(struct freeze *f);

#endif
