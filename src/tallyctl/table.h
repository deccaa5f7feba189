/*
 * table.h - rows for people: aligned columns under a head line.
 */
#ifndef TALLY_TALLYCTL_TABLE_H
#define TALLY_TALLYCTL_TABLE_H

#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

#define TABLE_COLUMNS_MAX 12

struct table {
	struct tl_arena *arena;
	uint32_t columns, used, cap;
	uint32_t right; /* bit of a column: numbers */
	const char **cells;
	uint32_t width[TABLE_COLUMNS_MAX]; /* in characters */
};
/* heads: `columns` words; borrowed. */
void table_init(struct table *t, struct tl_arena *a, const char *const *heads,
		uint32_t columns, uint32_t right);
/* The next cell, from left to right; "-" for an empty text. */
void table_text(struct table *t, struct tl_str cell);
void table_number(struct table *t, int64_t n);
void table_print(const struct table *t); /* on stdout */

#endif
