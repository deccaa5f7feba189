/*
 * pg_codec.h - parameters and rows in PostgreSQL's binary form.
 *
 * Rows come from a server that may have been migrated by another release, so
 * nothing about them is believed: type, length, NULL are checked, and what
 * does not fit is TL_BROKEN, never a zero.
 * Runs in: worker, flusher.  Suspends: no.
 */
#ifndef TALLY_PG_PG_CODEC_H
#define TALLY_PG_PG_CODEC_H

#include <stdint.h>

#include <libpq-fe.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

struct pg_param;
struct pg_statement;

/* What PQsendQueryPrepared wants; used again from call to call. */
struct pg_encoded {
	const char **values;
	int *lengths;
	int *formats; /* all 1 */
	uint32_t cap;
	struct tl_buf bytes;
};
void pg_encoded_init(struct pg_encoded *e);
void pg_encoded_deinit(struct pg_encoded *e);
/* The values point into e and into the params: send before either changes. */
void pg_encode(struct pg_encoded *e, const struct pg_statement *st,
	       const struct pg_param *params);

/* Number and types of the columns. */
enum tl_status pg_decode_check(const PGresult *res,
			       const struct pg_statement *st,
			       struct tl_err *err) TL_MUST_CHECK;
/* row_r: st->row_bytes, zeroed first; texts go to arena. */
enum tl_status pg_decode_row(const PGresult *res, int row,
			     const struct pg_statement *st,
			     struct tl_arena *arena, void *row_r,
			     struct tl_err *err) TL_MUST_CHECK;

#endif
