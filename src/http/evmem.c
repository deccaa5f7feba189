/*
 * evmem.c - see evmem.h.
 */
#include "http/evmem.h"

#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#ifdef TALLY_SANITIZERS

void http_evmem_install(void)
{
}

#else

#define STEP_BYTES 16
#define CLASSES    64 /* up to 1 KiB */
#define LARGE      CLASSES
#define SLAB_BYTES 65536

/* In front of each piece; keeps the alignment that malloc promises. */
struct head {
	uint32_t class;
	uint32_t pad;
	struct head *next; /* while it is free */
};
_Static_assert(sizeof(struct head) == 16, "pieces would be misaligned");

static struct head *lists[CLASSES];
static char *slab;
static size_t slab_left;

static size_t piece_bytes(uint32_t class)
{
	return sizeof(struct head) + ((size_t) class + 1) * STEP_BYTES;
}

/* The rest of an old slab, less than one piece, stays unused. */
static struct head *carve(uint32_t class)
{
	size_t n = piece_bytes(class);
	struct head *h;

	if (slab_left < n) {
		slab = malloc(SLAB_BYTES);
		slab_left = slab != NULL ? SLAB_BYTES : 0;
		if (slab == NULL)
			return NULL;
	}
	h = (struct head *)(void *)slab;
	h->class = class;
	slab += n;
	slab_left -= n;
	return h;
}

static void *take(size_t size)
{
	struct head *h;
	uint32_t class;

	if (size > (size_t)CLASSES * STEP_BYTES) {
		if (size > SIZE_MAX - sizeof(*h))
			return NULL;
		h = malloc(sizeof(*h) + size);
		if (h != NULL)
			h->class = LARGE;
		return h != NULL ? h + 1 : NULL;
	}
	class = size == 0 ? 0 : (uint32_t)((size - 1) / STEP_BYTES);
	h = lists[class];
	if (h != NULL)
		lists[class] = h->next;
	else
		h = carve(class);
	return h != NULL ? h + 1 : NULL;
}

static void give(void *p)
{
	struct head *h = p;

	if (p == NULL)
		return;
	h--;
	if (h->class == LARGE) {
		free(h);
		return;
	}
	h->next = lists[h->class];
	lists[h->class] = h;
}

static void *resize(void *p, size_t size)
{
	struct head *h = p;
	size_t had;
	void *q;

	if (p == NULL)
		return take(size);
	if (size == 0) {
		give(p);
		return NULL;
	}
	h--;
	if (h->class == LARGE) {
		if (size > SIZE_MAX - sizeof(*h))
			return NULL;
		h = realloc(h, sizeof(*h) + size);
		return h != NULL ? h + 1 : NULL;
	}
	had = ((size_t)h->class + 1) * STEP_BYTES;
	if (size <= had)
		return p;
	q = take(size);
	if (q != NULL) {
		memcpy(q, p, had);
		give(p);
	}
	return q;
}

void http_evmem_install(void)
{
	event_set_mem_functions(take, resize, give);
}

#endif
