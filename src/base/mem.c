/*
 * mem.c - see mem.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Chunks are what malloc serves well; larger wishes get their own. */
#define ARENA_CHUNK_BYTES 4096
#define ARENA_ALIGN       16

struct tl_arena_chunk {
	struct tl_arena_chunk *older;
	size_t size_bytes;
	_Alignas(ARENA_ALIGN) char data[];
};

/* No log_write: it takes memory itself.  _exit: no handlers on a torn heap. */
_Noreturn void tl_out_of_memory(void)
{
	static const char line[] =
		"{\"level\":\"error\",\"msg\":\"out of memory\"}\n";
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)n;
	_exit(71); /* EX_OSERR */
}

void *tl_alloc(size_t size_bytes)
{
	return tl_alloc_array(1, size_bytes);
}

void *tl_alloc_array(size_t count, size_t size_bytes)
{
	size_t whole;
	void *p;

	if (__builtin_mul_overflow(count, size_bytes, &whole))
		tl_out_of_memory();
	/* NULL for 0 bytes must not be mistaken for a failure. */
	p = calloc(1, whole == 0 ? 1 : whole);
	if (p == NULL)
		tl_out_of_memory();
	return p;
}

void *tl_realloc(void *p, size_t size_bytes)
{
	p = realloc(p, size_bytes == 0 ? 1 : size_bytes);
	if (p == NULL)
		tl_out_of_memory();
	return p;
}

void *tl_memdup(const void *p, size_t size_bytes)
{
	void *copy = tl_alloc(size_bytes);

	if (size_bytes > 0)
		memcpy(copy, p, size_bytes);
	return copy;
}

char *tl_strdup(const char *s)
{
	return tl_memdup(s, strlen(s) + 1);
}

char *tl_strndup(const char *s, size_t len)
{
	size_t n = len == 0 ? 0 : strnlen(s, len);
	char *copy = tl_alloc(n + 1);

	if (n > 0)
		memcpy(copy, s, n);
	return copy;
}

char *tl_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		tl_out_of_memory();
	return s;
}

void tl_free(void *p)
{
	free(p);
}

void tl_arena_init(struct tl_arena *a)
{
	*a = (struct tl_arena){ NULL, NULL, 0 };
}

void tl_arena_deinit(struct tl_arena *a)
{
	while (a->chunks != NULL) {
		struct tl_arena_chunk *older = a->chunks->older;

		free(a->chunks);
		a->chunks = older;
	}
	tl_arena_init(a);
}

static struct tl_arena_chunk *chunk_new(size_t data_bytes)
{
	struct tl_arena_chunk *c;

	if (data_bytes > SIZE_MAX - sizeof(*c))
		tl_out_of_memory();
	c = tl_alloc(sizeof(*c) + data_bytes);
	c->size_bytes = data_bytes;
	return c;
}

void *tl_arena_alloc(struct tl_arena *a, size_t size_bytes)
{
	const size_t usual = ARENA_CHUNK_BYTES - sizeof(struct tl_arena_chunk);
	struct tl_arena_chunk *c;
	char *p;

	if (size_bytes > SIZE_MAX - ARENA_ALIGN)
		tl_out_of_memory();
	size_bytes =
		(size_bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (size_bytes == 0)
		size_bytes = ARENA_ALIGN;
	if (size_bytes <= a->left_bytes) {
		p = a->next;
		a->next += size_bytes;
		a->left_bytes -= size_bytes;
		return p;
	}
	if (size_bytes > usual / 2 && a->chunks != NULL) {
		/* Its own chunk, behind the newest, which is not full yet. */
		c = chunk_new(size_bytes);
		c->older = a->chunks->older;
		a->chunks->older = c;
		return c->data;
	}
	c = chunk_new(size_bytes > usual ? size_bytes : usual);
	c->older = a->chunks;
	a->chunks = c;
	a->next = c->data + size_bytes;
	a->left_bytes = c->size_bytes - size_bytes;
	return c->data;
}

char *tl_arena_strndup(struct tl_arena *a, const char *s, size_t len)
{
	size_t n = len == 0 ? 0 : strnlen(s, len);
	char *copy = tl_arena_alloc(a, n + 1);

	if (n > 0)
		memcpy(copy, s, n);
	return copy;
}

char *tl_arena_printf(struct tl_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	tl_assert(n >= 0);
	s = tl_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}
