#include "tallyctl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

static void put(struct table *t, const char *cell)
{
	struct tl_str s = tl_str_c(cell);
	uint32_t column = t->used % t->columns;
	const char **more;
	size_t width;

	if (t->used == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		more = tl_arena_alloc(t->arena, t->cap * sizeof(*more));
		if (t->used > 0)
			memcpy(more, t->cells, t->used * sizeof(*more));
		t->cells = more;
	}
	t->cells[t->used++] = cell;
	if (!tl_utf8_valid(s, &width))
		width = s.len;
	if (width > t->width[column])
		t->width[column] = (uint32_t)width;
}

void table_init(struct table *t, struct tl_arena *a, const char *const *heads,
		uint32_t columns, uint32_t right)
{
	tl_assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .arena = a, .columns = columns, .right = right };
	for (uint32_t i = 0; i < columns; i++)
		put(t, heads[i]);
}

void table_text(struct table *t, struct tl_str cell)
{
	put(t, cell.len > 0 ? tl_arena_strndup(t->arena, cell.ptr, cell.len)
			    : "-");
}

void table_number(struct table *t, int64_t n)
{
	put(t, tl_arena_printf(t->arena, "%" PRId64, n));
}

static void blanks(size_t n)
{
	while (n-- > 0)
		(void)fputc(' ', stdout);
}

void table_print(const struct table *t)
{
	for (uint32_t i = 0; i < t->used; i++) {
		uint32_t column = i % t->columns;
		bool last = column + 1 == t->columns;
		struct tl_str s = tl_str_c(t->cells[i]);
		size_t width;

		if (!tl_utf8_valid(s, &width))
			width = s.len;
		if ((t->right & (1u << column)) != 0) {
			blanks(t->width[column] - width);
			(void)fputs(s.ptr, stdout);
		} else {
			(void)fputs(s.ptr, stdout);
			if (!last)
				blanks(t->width[column] - width);
		}
		(void)fputs(last ? "\n" : "  ", stdout);
	}
}
