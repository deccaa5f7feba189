/*
 * import_row.h - the lines of a file of keys: CSV or JSON Lines to rows.
 *
 * A row that breaks a rule is told with words and the number of its line, and
 * reading goes on with the next one; what breaks the file as such (its head,
 * a quote that never ends) stops it.
 */
#ifndef TALLY_TALLYCTL_IMPORT_ROW_H
#define TALLY_TALLYCTL_IMPORT_ROW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"
#include "tally/key.h"

#define IMPORT_COLUMNS_MAX 32

struct import_row { /* texts lie in the arena that was given */
	uint32_t line;
	struct tally_digest digest;
	struct tl_str email;    /* len 0: of --user */
	struct tl_str label;    /* "Default" unless given */
	struct tl_str prefix;   /* "sha256:01234567" unless given */
	struct tl_str status;   /* "active", "revoked" */
	struct tl_str scopes;   /* with a space in between; empty: all */
	struct tl_str networks; /* the same; empty: any */
	struct tl_str metadata; /* a JSON object; empty: none */
	int64_t created_us, expires_us; /* 0: now; never */
	int32_t rate_limit;             /* 0: none */
	int32_t daily_limit;            /* -1: none */
};

enum import_format { IMPORT_GUESS, IMPORT_CSV, IMPORT_JSONL };

struct import_reader {
	FILE *file; /* borrowed */
	enum import_format format;
	uint32_t line; /* of the last one that was read */
	char *text;    /* of getline */
	size_t cap;
	struct tl_buf record;
	/* CSV: which member each column is; SIZE_MAX behind the last one */
	size_t columns[IMPORT_COLUMNS_MAX];
	size_t n_columns;
};

void import_reader_init(struct import_reader *r, FILE *file,
			enum import_format format);
void import_reader_deinit(struct import_reader *r);
/*
 * The next row.  TL_NOT_FOUND: the file is through.  TL_INVALID: this one is
 * bad, row_r->line says which, go on.  Anything else: stop.
 */
enum tl_status import_next(struct import_reader *r, struct tl_arena *a,
			   struct import_row *row_r,
			   struct tl_err *err) TL_MUST_CHECK;

#endif
