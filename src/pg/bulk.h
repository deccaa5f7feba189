/*
 * bulk.h - one blocking connection for whole tables: files of SQL, COPY.
 *
 * For backup and restore.  Knows no table names: what is to be asked stands
 * in files beside the migrations, which table is to be copied in the caller's
 * hands.
 * Runs in: tallyctl.  Blocks: yes.
 */
#ifndef TALLY_PG_BULK_H
#define TALLY_PG_BULK_H

#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

struct bulk;

/* TL_DENIED: conninfo leads through a pooler. */
enum tl_status bulk_open(const char *conninfo, struct bulk **b_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* What is not committed is rolled back. */
void bulk_close(struct bulk **b);

struct bulk_rows { /* texts, NULL is "" */
	uint32_t n, n_columns;
	struct tl_str *values; /* row after row */
};
/*
 * All statements of a file, which may begin and end transactions; rows_r
 * (may be NULL) gets the rows of the last one that gave any.  The file is
 * ours: it holds no COPY.
 */
enum tl_status bulk_file(struct bulk *b, const char *path, struct tl_arena *a,
			 struct bulk_rows *rows_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* The same for one text that is not of a file; `doing` for its errors. */
enum tl_status bulk_run(struct bulk *b, const char *sql, const char *doing,
			struct tl_err *err) TL_MUST_CHECK;

typedef enum tl_status (*bulk_sink_fn)(void *arg, const void *p, size_t len,
				       struct tl_err *err);
/* `what` is "schema.table (column, column)", quoted where needed.  Text
 * format.  When the sink fails, so does the copy. */
enum tl_status bulk_copy_out(struct bulk *b, const char *what, bulk_sink_fn fn,
			     void *arg, uint64_t *rows_r,
			     struct tl_err *err) TL_MUST_CHECK;
/* Fills up to max bytes; 0 at the end. */
typedef enum tl_status (*bulk_source_fn)(void *arg, void *p, size_t max,
					 size_t *len_r, struct tl_err *err);
enum tl_status bulk_copy_in(struct bulk *b, const char *what, bulk_source_fn fn,
			    void *arg, struct tl_err *err) TL_MUST_CHECK;

/* Texts of COPY: without the tab or line end around them. */
void bulk_add_text(struct tl_buf *out, struct tl_str s);

#endif
