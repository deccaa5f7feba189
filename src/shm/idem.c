#include "base/hash.h"

#include "shm/dirty.h"
#include "shm/pause.h"
#include "shm/stripe.h"
#include "shm/usage.h"

#define KEEP_MS 86400000ULL /* 24 h, gate.md section 7 */

static inline uint64_t state_word(enum shm_idem_state st, uint64_t identity)
{
	return (identity << 24) | (identity >> 48 & 0xffff) << 8 |
	       (uint64_t)st;
}

static inline uint64_t owner_of(uint64_t word)
{
	return ((word >> 8 & 0xffff) << 48) | word >> 24;
}

static uint64_t tag_of(const struct shm *s, const uint8_t key_id[16],
		       struct tl_str name)
{
	uint8_t buf[16 + 64];

	memcpy(buf, key_id, 16);
	memcpy(buf + 16, name.ptr, name.len);
	return tl_siphash13(s->head->k.seed, buf, 16 + name.len) | 1;
}

static bool is_this(const struct shm_idem *r, const uint8_t key_id[16],
		    struct tl_str name)
{
	return memcmp(r->rec.key_id, key_id, 16) == 0 &&
	       memcmp(r->rec.name, name.ptr, name.len) == 0 &&
	       (name.len == 64 || r->rec.name[name.len] == 0);
}

/* A claim whose owner died was never answered: void. */
static enum shm_idem_state effective(const struct shm *s, uint64_t word)
{
	enum shm_idem_state st = (enum shm_idem_state)(word & 0xff);

	if (st == SHM_I_CLAIMED && !shm_identity_alive(s, owner_of(word)))
		return SHM_I_FREE;
	return st;
}

static struct shm_idem *find(struct shm *s, struct shm_idem *set, uint64_t tag,
			     const uint8_t key_id[16], struct tl_str name,
			     uint64_t wall_ms)
{
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++) {
		struct shm_idem *r = &set[i];

		if (atomic_load(&r->tag) != tag ||
		    effective(s, atomic_load(&r->state)) == SHM_I_FREE)
			continue;
		if (is_this(r, key_id, name) &&
		    r->rec.at_ms + KEEP_MS > wall_ms)
			return r;
	}
	return NULL;
}

/* Free or expired, else the oldest that has been handed over. */
static struct shm_idem *make_room(struct shm *s, struct shm_idem *set,
				  uint64_t wall_ms)
{
	struct shm_idem *oldest = NULL;
	uint64_t floor;
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++) {
		struct shm_idem *r = &set[i];
		enum shm_idem_state st =
			effective(s, atomic_load(&r->state));

		if (st == SHM_I_FREE)
			return r;
		if (st != SHM_I_FLUSHED)
			continue;
		if (r->rec.at_ms + KEEP_MS <= wall_ms)
			return r;
		if (oldest == NULL || r->rec.at_ms < oldest->rec.at_ms)
			oldest = r;
	}
	if (oldest == NULL)
		return NULL;
	/* from now on, who is not found here is asked for in PostgreSQL */
	floor = atomic_load(&s->head->idem_floor_ms);
	while (floor <= oldest->rec.at_ms &&
	       !atomic_compare_exchange_weak(&s->head->idem_floor_ms, &floor,
					     oldest->rec.at_ms + 1))
		;
	return oldest;
}

static void claim(struct shm *s, struct shm_idem *r, uint64_t tag,
		  const uint8_t key_id[16], struct tl_str name,
		  const uint8_t body_hash[16], uint64_t wall_ms)
{
	/* state first: a kill in between leaves a void claim */
	atomic_store(&r->state, state_word(SHM_I_CLAIMED, s->identity));
	atomic_store(&r->tag, 0);
	memset(&r->rec, 0, sizeof(r->rec));
	memcpy(r->rec.key_id, key_id, 16);
	memcpy(r->rec.body_hash, body_hash, 16);
	memcpy(r->rec.name, name.ptr, name.len);
	r->rec.at_ms = wall_ms;
	atomic_store(&r->commit_gen, 0);
	atomic_store(&r->tag, tag);
	/* before the charge, so that its batch cannot miss this record */
	dirty_idem_set(s, (uint32_t)(r - s->idems));
}

static enum shm_idem_found replay(const struct shm_idem *r,
				  const uint8_t body_hash[16],
				  struct shm_answer *answer_r,
				  uint64_t *commit_gen_r)
{
	if (memcmp(r->rec.body_hash, body_hash, 16) != 0)
		return SHM_IDEM_OTHER;
	if ((atomic_load(&r->state) & 0xff) == SHM_I_CLAIMED)
		return SHM_IDEM_PENDING;
	*answer_r = r->rec.answer;
	*commit_gen_r = atomic_load(&r->commit_gen);
	return SHM_IDEM_REPLAY;
}

enum shm_idem_found
shm_idem_begin(struct shm *s, const uint8_t key_id[16], struct tl_str name,
	       const uint8_t body_hash[16], uint64_t wall_ms, bool asked,
	       uint32_t *index_r, struct shm_answer *answer_r,
	       uint64_t *commit_gen_r)
{
	uint64_t tag = tag_of(s, key_id, name);
	uint64_t at = tag / 2 % (s->n_idems / SHM_WAYS);
	struct shm_idem *set = &s->idems[at * SHM_WAYS];
	enum shm_idem_found found;
	struct shm_idem *r;

	tl_assert(name.len >= 1 && name.len <= 64);
	/* under the stripe of the set, so that one name is claimed once and
	 * one place is given to one name */
	if (!shm_stripe_lock(s, at << SHM_STRIPE_SHIFT))
		return SHM_IDEM_PENDING;
	r = find(s, set, tag, key_id, name, wall_ms);
	if (r != NULL)
		found = replay(r, body_hash, answer_r, commit_gen_r);
	else if (!asked && atomic_load(&s->head->idem_floor_ms) + KEEP_MS >
				   wall_ms)
		found = SHM_IDEM_ASK;
	else if ((r = make_room(s, set, wall_ms)) == NULL)
		found = SHM_IDEM_FULL;
	else {
		SHM_PAUSE("idem.chosen");
		claim(s, r, tag, key_id, name, body_hash, wall_ms);
		*index_r = (uint32_t)(r - s->idems);
		found = SHM_IDEM_CLAIMED;
	}
	shm_stripe_unlock(s, at << SHM_STRIPE_SHIFT);
	return found;
}

void shm_idem_done(struct shm *s, uint32_t index, const struct shm_answer *a,
		   uint64_t commit_gen)
{
	struct shm_idem *r = &s->idems[index];

	r->rec.answer = *a;
	atomic_store(&r->commit_gen, commit_gen);
	atomic_store(&r->state, state_word(SHM_I_DONE, s->identity));
	dirty_idem_set(s, index);
}

void shm_idem_drop(struct shm *s, uint32_t index)
{
	atomic_store(&s->idems[index].tag, 0);
	atomic_store(&s->idems[index].state, SHM_I_FREE);
}

bool shm_idem_restore(struct shm *s, const struct shm_idem_record *rec,
		      bool safe)
{
	struct tl_str name = { rec->name, strnlen(rec->name, 64) };
	struct shm_answer answer;
	uint32_t index;
	uint64_t gen;

	switch (shm_idem_begin(s, rec->key_id, name, rec->body_hash,
			       rec->at_ms, true, &index, &answer, &gen)) {
	case SHM_IDEM_CLAIMED:
		break;
	case SHM_IDEM_REPLAY:
		return true;
	default:
		return false;
	}
	shm_idem_done(s, index, &rec->answer, 0);
	if (safe)
		atomic_store(&s->idems[index].state, SHM_I_FLUSHED);
	return true;
}

void shm_idem_complete(struct shm *s)
{
	atomic_store(&s->head->idem_floor_ms, 0);
}
