/*
 * q_instance.h - generated from db/queries/instance.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_INSTANCE_H
#define TALLY_STORE_Q_INSTANCE_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct pg;
struct tl_arena;

/*
 * The database itself: who it is, and what changed in it.
 */

struct q_instance_get_row {
	struct tl_uuid database_id;
	int64_t created_at_us;
};
/*
 * The identity a segment is bound to.
 */
enum tl_status q_instance_get(struct pg *pg,
		struct tl_arena *arena, struct q_instance_get_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_change_tail_row {
	int64_t xid;
	int64_t trimmed_xid;
};
/*
 * Where a reader stands that has just read everything: take this first, read
 * the tables, then go on with change_read from (xid, 0).  A reader whose own
 * xid is below trimmed_xid, or above xid (a restored copy), may have missed
 * changes and starts again from here.
 */
enum tl_status q_change_tail(struct pg *pg,
		struct tl_arena *arena, struct q_change_tail_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_change_read_params {
	int64_t xid;
	int64_t change_id;
	int64_t max;
};
struct q_change_read_row {
	int64_t xid;
	int64_t change_id;
	struct tl_str kind;
	struct tl_str digest;
	bool digest_null;
	struct tl_uuid user_id;
	bool user_id_null;
	bool final;
};
/*
 * Changes after the position (xid, change_id), oldest first.  The next
 * position is that of the last final row: below the oldest running
 * transaction.  Rows behind that are new as well, but one that commits later
 * may still come to lie before them, so they are read again.
 */
enum tl_status q_change_read(struct pg *pg,
		const struct q_change_read_params *p,
		struct tl_arena *arena,
		struct q_change_read_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_change_trim_params {
	int64_t keep_s;
	int64_t max;
};
struct q_change_trim_row {
	int64_t trimmed;
};
/*
 * Forgets changes older than so many seconds; says how many, at most :max.
 */
enum tl_status q_change_trim(struct pg *pg,
		const struct q_change_trim_params *p,
		struct tl_arena *arena, struct q_change_trim_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_clock_row {
	int64_t now_us;
};
/*
 * What time the database has, as one look at its clock.
 */
enum tl_status q_clock(struct pg *pg,
		struct tl_arena *arena, struct q_clock_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
