/*
 * mem.h - memory that does not fail, and arenas.
 *
 * Out of memory ends the process (the master starts a new one), so nothing
 * here returns NULL.  Sizes that come from outside are bounded before.
 * Runs in: all processes.  Suspends: no.
 */
#ifndef TALLY_BASE_MEM_H
#define TALLY_BASE_MEM_H

#include <stddef.h>

#include "base/status.h"

/* For libraries that say so instead: their caller must not go on either. */
_Noreturn void tl_out_of_memory(void);
void *tl_alloc(size_t size_bytes); /* zeroed */
void *tl_alloc_array(size_t count, size_t size_bytes); /* zeroed, checked */
void *tl_realloc(void *p, size_t size_bytes);
void *tl_memdup(const void *p, size_t size_bytes);
char *tl_strdup(const char *s);
char *tl_strndup(const char *s, size_t len); /* stops at len or NUL */
char *tl_asprintf(const char *fmt, ...) TL_PRINTF(1, 2);
void tl_free(void *p);
/* tl_freep(&p): frees and sets NULL; p may be NULL. */
#define tl_freep(pp)                                                           \
	do {                                                                   \
		tl_free(*(pp));                                                \
		*(pp) = NULL;                                                  \
	} while (0)

/* Memory that lives as long as one request or job and dies in one step. */
struct tl_arena_chunk;
struct tl_arena {
	struct tl_arena_chunk *chunks; /* newest first */
	char *next;
	size_t left_bytes;
};
void tl_arena_init(struct tl_arena *a);
void tl_arena_deinit(struct tl_arena *a); /* also fit for reuse */
void *tl_arena_alloc(struct tl_arena *a, size_t size_bytes); /* zeroed, 16 */
char *tl_arena_strndup(struct tl_arena *a, const char *s, size_t len);
char *tl_arena_printf(struct tl_arena *a, const char *fmt, ...) TL_PRINTF(2, 3);

#endif
