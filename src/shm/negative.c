#include "base/hash.h"
#include "shm/entries.h"

/*
 * Sets of 4.  A lost race overwrites a neighbour's note: then one more
 * look-up goes to the database, which is all that can happen.
 */
#define NEG_WAYS	4
#define LOAD_LIMIT_MS	2000

static struct shm_negative *set_of(const struct shm *s,
				   const struct tally_digest *d, uint64_t *tag_r)
{
	/* the digest is public arithmetic, the place must not be */
	uint64_t tag = tl_siphash13(s->head->k.seed, d->b, 32);

	*tag_r = tag != 0 ? tag : 1;
	return &s->negative[tag % (s->n_negative / NEG_WAYS) * NEG_WAYS];
}

static struct shm_negative *note_find(struct shm_negative *set, uint64_t tag)
{
	uint32_t i;

	for (i = 0; i < NEG_WAYS; i++)
		if (atomic_load(&set[i].tag) == tag)
			return &set[i];
	return NULL;
}

enum shm_negative_answer shm_negative_look(const struct shm *s,
					   const struct tally_digest *d,
					   uint64_t now_mono_ms)
{
	struct shm_negative *n;
	uint64_t tag, owner;

	n = set_of(s, d, &tag);
	n = note_find(n, tag);
	if (n == NULL || atomic_load(&n->until_mono_ms) <= now_mono_ms)
		return SHM_NEG_NONE;
	owner = atomic_load(&n->owner);
	if (owner == 0)
		return SHM_NEG_UNKNOWN;
	return shm_identity_alive(s, owner) ? SHM_NEG_LOADING : SHM_NEG_NONE;
}

/* The way whose note ends first. */
static struct shm_negative *note_oldest(struct shm_negative *set)
{
	struct shm_negative *n = &set[0];
	uint32_t i;

	for (i = 1; i < NEG_WAYS; i++)
		if (atomic_load(&set[i].until_mono_ms) <
		    atomic_load(&n->until_mono_ms))
			n = &set[i];
	return n;
}

bool shm_negative_claim(struct shm *s, const struct tally_digest *d,
			uint64_t now_mono_ms)
{
	struct shm_negative *set, *n;
	uint64_t tag, until;

	set = set_of(s, d, &tag);
	n = note_find(set, tag);
	if (n == NULL)
		n = note_oldest(set);
	until = atomic_load(&n->until_mono_ms);
	if (atomic_load(&n->tag) == tag && until > now_mono_ms &&
	    shm_identity_alive(s, atomic_load(&n->owner)))
		return false;
	/* expired until whole: a note that is half the old one would call a
	 * key unknown that is not */
	if (!atomic_compare_exchange_strong(&n->until_mono_ms, &until,
					    now_mono_ms))
		return false;
	atomic_store(&n->owner, s->identity);
	atomic_store(&n->tag, tag);
	atomic_store(&n->until_mono_ms, now_mono_ms + LOAD_LIMIT_MS);
	return true;
}

void shm_negative_settle(struct shm *s, const struct tally_digest *d,
			 uint64_t now_mono_ms, uint32_t unknown_ms)
{
	struct shm_negative *n;
	uint64_t tag;

	n = set_of(s, d, &tag);
	n = note_find(n, tag);
	if (n == NULL || atomic_load(&n->owner) != s->identity)
		return;
	atomic_store(&n->until_mono_ms,
		     unknown_ms > 0 ? now_mono_ms + unknown_ms : 0);
	atomic_store(&n->owner, 0);
}
