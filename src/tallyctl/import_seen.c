#include "tallyctl/import_seen.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 4096

void import_seen_init(struct import_seen *s)
{
	s->n = 0;
	s->cap = FIRST_CAP;
	s->entries = tl_alloc_array(s->cap, sizeof(*s->entries));
}

void import_seen_deinit(struct import_seen *s)
{
	tl_freep(&s->entries);
}

/* Whoever writes the file may choose its hashes and make this slow for
 * himself, nobody else: no keyed hash is needed. */
static struct import_seen_entry *place(const struct import_seen *s,
				       const struct tally_digest *d)
{
	uint32_t at;

	memcpy(&at, d->b, sizeof(at));
	for (at &= s->cap - 1; s->entries[at].line != 0;
	     at = (at + 1) & (s->cap - 1)) {
		if (memcmp(&s->entries[at].digest, d, sizeof(*d)) == 0)
			break;
	}
	return &s->entries[at];
}

static void grow(struct import_seen *s)
{
	struct import_seen_entry *old = s->entries;
	uint32_t cap = s->cap;

	s->cap *= 2;
	s->entries = tl_alloc_array(s->cap, sizeof(*s->entries));
	for (uint32_t i = 0; i < cap; i++) {
		if (old[i].line != 0)
			*place(s, &old[i].digest) = old[i];
	}
	tl_free(old);
}

uint32_t import_seen_add(struct import_seen *s, const struct tally_digest *d,
			 uint32_t line)
{
	struct import_seen_entry *e;

	if (s->n >= s->cap / 2)
		grow(s);
	e = place(s, d);
	if (e->line != 0)
		return e->line;
	e->line = line;
	e->digest = *d;
	s->n++;
	return 0;
}
