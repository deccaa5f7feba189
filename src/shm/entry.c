#include "shm/entry.h"

#include "base/hash.h"
#include "shm/pause.h"

bool entry_owner_alive(const struct shm *s, uint64_t w)
{
	uint32_t slot = entry_slot(w);
	uint64_t st;

	if (slot >= SHM_SLOTS)
		return false;
	st = atomic_load(&s->slots[slot].state);
	return st != SHM_SLOT_FREE && st != SHM_SLOT_DEAD &&
	       (uint32_t)atomic_load(&s->slots[slot].identity) == entry_low(w);
}

void entry_keys(const struct shm *s, struct entry_table *t_r)
{
	*t_r = (struct entry_table){
		(uint8_t *)s->keys, sizeof(struct shm_key), s->n_keys,
		offsetof(struct shm_key, state),
		offsetof(struct shm_key, free_next), &s->head->key_free,
		&s->head->key_fresh, &s->head->key_live, s->key_dir,
		s->head->k.key_buckets
	};
}

void entry_users(const struct shm *s, struct entry_table *t_r)
{
	*t_r = (struct entry_table){
		(uint8_t *)s->users, sizeof(struct shm_user), s->n_users,
		offsetof(struct shm_user, state),
		offsetof(struct shm_user, free_next), &s->head->user_free,
		&s->head->user_fresh, &s->head->user_live, s->user_dir,
		s->head->k.user_buckets
	};
}

void entry_extras(const struct shm *s, struct entry_table *t_r)
{
	*t_r = (struct entry_table){
		(uint8_t *)s->extras, sizeof(struct shm_extras), s->n_extras,
		offsetof(struct shm_extras, state),
		offsetof(struct shm_extras, free_next), &s->head->extras_free,
		&s->head->extras_fresh, &s->head->extras_live, s->extras_dir,
		s->head->k.extras_buckets
	};
}

static _Atomic uint32_t *next_of(const struct entry_table *t, uint32_t i)
{
	return (_Atomic uint32_t *)(void *)(t->base + (size_t)i * t->stride +
					    t->next_off);
}

/* Free list: index+1:32 | tag:32; the tag defeats ABA. */
static uint32_t pop_free(const struct entry_table *t)
{
	uint64_t head = atomic_load(t->free_head), next;
	uint32_t i;

	do {
		i = (uint32_t)(head >> 32);
		if (i == 0)
			return SHM_NONE;
		next = ((uint64_t)atomic_load(next_of(t, i - 1)) << 32) |
		       (uint32_t)(head + 1);
	} while (!atomic_compare_exchange_weak(t->free_head, &head, next));
	return i - 1;
}

uint32_t entry_alloc(struct shm *s, const struct entry_table *t)
{
	uint32_t i = pop_free(t);
	_Atomic uint64_t *state;
	uint64_t fresh;

	if (i == SHM_NONE) {
		fresh = atomic_load(t->fresh);
		do {
			if (fresh >= t->n)
				return SHM_NONE;
		} while (!atomic_compare_exchange_weak(t->fresh, &fresh,
						       fresh + 1));
		i = (uint32_t)fresh;
	}
	SHM_PAUSE("entry.popped");
	state = entry_state_of(t, i);
	atomic_store(state,
		     entry_word(SHM_INIT,
				(uint8_t)(entry_gen(atomic_load(state)) + 1),
				s->slot, (uint32_t)s->identity));
	SHM_PAUSE("entry.init");
	return i;
}

void entry_free(const struct entry_table *t, uint32_t i)
{
	_Atomic uint64_t *state = entry_state_of(t, i);
	uint64_t head = atomic_load(t->free_head), next;

	atomic_store(state,
		     entry_word(SHM_FREE, entry_gen(atomic_load(state)), 0, 0));
	do {
		atomic_store(next_of(t, i), (uint32_t)(head >> 32));
		next = ((uint64_t)(i + 1) << 32) | (uint32_t)(head + 1);
	} while (!atomic_compare_exchange_weak(t->free_head, &head, next));
}

/* As epoch of a RETIRED entry: it may still stand in the directory. */
#define STILL_LISTED UINT32_MAX

static void unlist(struct shm *s, const struct entry_table *t, uint32_t i,
		   uint64_t hash)
{
	_Atomic uint64_t *state = entry_state_of(t, i);

	dir_remove(t, hash, i);
	SHM_PAUSE("entry.unlisted");
	atomic_store(state, entry_word(SHM_RETIRED,
				       entry_gen(atomic_load(state)), 0,
				       (uint32_t)shm_gc_raise(s)));
}

bool entry_retire(struct shm *s, const struct entry_table *t, uint32_t i,
		  uint64_t hash)
{
	_Atomic uint64_t *state = entry_state_of(t, i);
	uint64_t w = atomic_load(state);

	SHM_PAUSE("entry.dying");
	if (entry_state(w) != SHM_DYING ||
	    !atomic_compare_exchange_strong(
		    state, &w,
		    entry_word(SHM_RETIRED, entry_gen(w), 0, STILL_LISTED)))
		return false;
	SHM_PAUSE("entry.retired");
	unlist(s, t, i, hash);
	return true;
}

bool entry_passed(struct shm *s, const struct entry_table *t, uint32_t i,
		  uint64_t hash)
{
	uint32_t epoch = entry_low(atomic_load(entry_state_of(t, i)));

	if (epoch == STILL_LISTED) {
		unlist(s, t, i, hash);
		return false;
	}
	return shm_gc_passed(s, epoch);
}

static uint32_t bucket_load(const struct shm_bucket *b)
{
	uint32_t n = 0, i;

	for (i = 0; i < SHM_BUCKET_WORDS; i++)
		n += atomic_load(&b->word[i]) != 0;
	return n;
}

static bool bucket_put(struct shm_bucket *b, uint64_t word)
{
	uint32_t i;

	for (i = 0; i < SHM_BUCKET_WORDS; i++) {
		uint64_t none = 0;

		if (atomic_load(&b->word[i]) == 0 &&
		    atomic_compare_exchange_strong(&b->word[i], &none, word))
			return true;
	}
	return false;
}

bool dir_insert(const struct entry_table *t, uint64_t hash, uint8_t gen,
		uint32_t index, uint32_t hint)
{
	struct shm_bucket *a = &t->dir[dir_bucket(hash, 0, t->buckets)];
	struct shm_bucket *b = &t->dir[dir_bucket(hash, 1, t->buckets)];
	uint64_t word = dir_word(hash, gen, index, hint);

	SHM_PAUSE("entry.live");
	if (bucket_load(a) <= bucket_load(b))
		return bucket_put(a, word) || bucket_put(b, word);
	return bucket_put(b, word) || bucket_put(a, word);
}

void dir_remove(const struct entry_table *t, uint64_t hash, uint32_t index)
{
	uint32_t which, i;

	for (which = 0; which < 2; which++) {
		struct shm_bucket *b =
			&t->dir[dir_bucket(hash, which, t->buckets)];

		for (i = 0; i < SHM_BUCKET_WORDS; i++) {
			uint64_t w = atomic_load(&b->word[i]);

			if (w != 0 && dir_index(w) == index)
				atomic_compare_exchange_strong(&b->word[i], &w,
							       0);
		}
	}
}

uint64_t dir_hash(const struct shm *s, const void *p, uint32_t len)
{
	return tl_siphash13(s->head->k.seed, p, len);
}
