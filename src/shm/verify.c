/*
 * verify.c - is a segment whose master died whole?  And what can be saved
 * from one that is not.  No other process runs meanwhile.
 */
#include <unistd.h>

#include "base/mem.h"
#include "shm/dirty.h"
#include "shm/entry.h"
#include "shm/reqlog.h"
#include "shm/stripe.h"
#include "shm/usage.h"

/* Each directory word must name a LIVE entry of its generation; what a kill
 * left half published or half removed is finished here. */
static enum tl_status check_dir(const struct entry_table *t, uint8_t *seen,
				const char *what, struct tl_err *err)
{
	uint32_t b, w, i;
	uint64_t word, st;

	for (b = 0; b < t->buckets; b++)
		for (w = 0; w < SHM_BUCKET_WORDS; w++) {
			word = atomic_load(&t->dir[b].word[w]);
			if (word == 0)
				continue;
			i = dir_index(word);
			if (i >= t->n || i >= atomic_load(t->fresh))
				return tl_err_set(err, TL_BROKEN,
						  "%s directory names entry %u "
						  "of %u",
						  what, i, t->n);
			st = atomic_load(entry_state_of(t, i));
			if (entry_state(st) != SHM_LIVE ||
			    !dir_word_gen_is(word, entry_gen(st))) {
				atomic_store(&t->dir[b].word[w], 0);
				continue;
			}
			if (seen[i]++ != 0)
				return tl_err_set(err, TL_BROKEN,
						  "%s %u stands twice in the "
						  "directory",
						  what, i);
		}
	return TL_OK;
}

/* No process is left: INIT and what nobody finds are free; the free list is
 * made anew. */
static void rebuild(struct shm *s, const struct entry_table *t,
		    const uint8_t *seen, bool (*keep)(struct shm *, uint32_t))
{
	uint32_t n = (uint32_t)atomic_load(t->fresh), i;
	uint64_t live = 0;

	atomic_store(t->free_head, 0);
	for (i = 0; i < n; i++) {
		_Atomic uint64_t *state = entry_state_of(t, i);
		uint64_t w = atomic_load(state);
		enum shm_entry_state st = entry_state(w);

		if (st == SHM_LIVE && seen[i]) {
			live++;
			continue;
		}
		if (keep(s, i)) {
			/* something is left to hand over: the janitor frees
			 * it when that is done */
			atomic_store(state, entry_word(SHM_RETIRED,
						       entry_gen(w), 0, 0));
			continue;
		}
		entry_free(t, i);
	}
	atomic_store(t->live, live);
}

static bool key_has_pending(struct shm *s, uint32_t i)
{
	const struct shm_user *u = &s->users[atomic_load(&s->keys[i].user)];
	uint32_t p, m, day;

	if (entry_state(atomic_load(&s->keys[i].state)) < SHM_LIVE)
		return false;
	for (p = 0; p < SHM_PERIODS; p++)
		if (usage_refusal_pending(u, p, &day))
			return true;
	for (p = 0; p < SHM_PERIODS; p++)
		for (m = 0; m < SHM_METRICS; m++)
			if (usage_cell_pending(
				    atomic_load(&s->keys[i].cell[p][m]),
				    atomic_load(&s->keys[i].flushed[p][m])))
				return true;
	return false;
}

static bool keep_none(struct shm *s, uint32_t i)
{
	(void)s;
	(void)i;
	return false;
}

/* A chain is several entries; only heads stand in the directory. */
static enum tl_status see_chains(struct shm *s, uint8_t *seen,
				 struct tl_err *err)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->extras_fresh), i, at;

	/* before any chain is walked, only heads are seen */
	for (i = 0; i < n; i++)
		if (seen[i] && s->extras[i].hash == 0)
			return tl_err_set(err, TL_BROKEN,
					  "extra %u: the head of a chain has "
					  "no hash",
					  i);
	for (i = 0; i < n; i++) {
		if (!seen[i] || s->extras[i].hash == 0)
			continue;
		for (at = s->extras[i].next; at != 0;
		     at = s->extras[at - 1].next)
			if (at > n || seen[at - 1]++ != 0 ||
			    entry_state(atomic_load(
				    &s->extras[at - 1].state)) != SHM_LIVE)
				return tl_err_set(err, TL_BROKEN,
						  "extra %u: its chain is "
						  "broken",
						  i);
	}
	return TL_OK;
}

/* A janitor died over it; whether it goes is judged anew. */
static void undo_dying(const struct entry_table *t)
{
	uint32_t n = (uint32_t)atomic_load(t->fresh), i;

	for (i = 0; i < n; i++)
		(void)entry_keep(entry_state_of(t, i));
}

static enum tl_status check_keys(struct shm *s, struct tl_err *err)
{
	uint64_t n = atomic_load(&s->head->key_fresh);
	uint32_t i, p, m;

	if (n > s->n_keys)
		return tl_err_set(err, TL_BROKEN, "more keys than fit");
	for (i = 0; i < n; i++) {
		struct shm_key *k = &s->keys[i];

		if (entry_state(atomic_load(&k->state)) < SHM_LIVE)
			continue;
		if (atomic_load(&k->user) >= s->n_users ||
		    atomic_load(&k->extras) > s->n_extras)
			return tl_err_set(err, TL_BROKEN,
					  "key %u names what is not there", i);
		for (p = 0; p < SHM_PERIODS; p++)
			for (m = 0; m < SHM_METRICS; m++) {
				uint64_t c = atomic_load(&k->cell[p][m]);
				uint64_t f = atomic_load(&k->flushed[p][m]);

				if (shm_period_of(c) == shm_period_of(f) &&
				    shm_count_of(f) > shm_count_of(c))
					return tl_err_set(
						err, TL_BROKEN,
						"key %u: more flushed than "
						"used",
						i);
			}
	}
	return TL_OK;
}

static enum tl_status check_table(struct shm *s, const struct entry_table *t,
				  const char *what,
				  bool (*keep)(struct shm *, uint32_t),
				  struct tl_err *err)
{
	uint8_t *seen = tl_alloc(t->n + 1);
	enum tl_status st = TL_BROKEN;

	if (atomic_load(t->fresh) > t->n) {
		tl_err_set(err, TL_BROKEN, "more %ss than fit", what);
	} else {
		undo_dying(t);
		st = check_dir(t, seen, what, err);
	}
	if (st == TL_OK && t->dir == s->extras_dir)
		st = see_chains(s, seen, err);
	if (st == TL_OK)
		rebuild(s, t, seen, keep);
	tl_free(seen);
	return st;
}

/* What a LIVE key names must be LIVE as well, or it would soon be another's;
 * behind what was ever used nothing is. */
static enum tl_status check_names(struct shm *s, struct tl_err *err)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->key_fresh), i, u, x;

	for (i = 0; i < n; i++) {
		const struct shm_key *k = &s->keys[i];

		if (entry_state(atomic_load(&k->state)) != SHM_LIVE)
			continue;
		u = atomic_load(&k->user);
		x = atomic_load(&k->extras);
		if (u >= atomic_load(&s->head->user_fresh) ||
		    x > atomic_load(&s->head->extras_fresh) ||
		    entry_state(atomic_load(&s->users[u].state)) != SHM_LIVE ||
		    (x != 0 && entry_state(atomic_load(
				       &s->extras[x - 1].state)) != SHM_LIVE))
			return tl_err_set(err, TL_BROKEN,
					  "key %u names what is gone", i);
	}
	return TL_OK;
}

enum tl_status shm_verify(struct shm *s, struct tl_err *err)
{
	struct entry_table t;
	enum tl_status st;
	uint32_t i;

	st = check_keys(s, err);
	entry_users(s, &t);
	if (st == TL_OK)
		st = check_table(s, &t, "user", keep_none, err);
	entry_keys(s, &t);
	if (st == TL_OK)
		st = check_table(s, &t, "key", key_has_pending, err);
	entry_extras(s, &t);
	if (st == TL_OK)
		st = check_table(s, &t, "extra", keep_none, err);
	if (st == TL_OK)
		st = check_names(s, err);
	if (st == TL_OK)
		st = shm_reqlog_verify(s, err);
	if (st != TL_OK)
		return st;
	for (i = 0; i < SHM_SLOTS; i++)
		if (atomic_load(&s->slots[i].state) != SHM_SLOT_FREE &&
		    atomic_load(&s->slots[i].pid) != (uint64_t)getpid())
			shm_slot_reap(s, i);
	shm_stripes_init(s);
	atomic_store(&s->head->full_scan_wanted, 1);
	atomic_store(&s->head->state, SHM_READY);
	return TL_OK;
}

/* ---- salvage ---- */

#define SALVAGE_RECORDS 1024

struct salvage_out {
	const struct shm *s;
	shm_salvage_fn fn;
	void *arg;
	struct shm_record *records;
	uint32_t n;
};

static void salvage_give(struct salvage_out *o)
{
	if (o->n > 0)
		o->fn(o->arg, o->records, o->n, o->s->head->k.epoch);
	o->n = 0;
}

static struct shm_record *salvage_record(struct salvage_out *o,
					 const struct shm_key *k, uint32_t day)
{
	struct shm_record *r;

	if (o->n == SALVAGE_RECORDS)
		salvage_give(o);
	r = &o->records[o->n++];
	memset(r, 0, sizeof(*r));
	memcpy(r->key_id, k->key_id, 16);
	memcpy(r->user_id, o->s->users[atomic_load(&k->user)].user_id, 16);
	r->day = day;
	return r;
}

static void salvage_key(struct salvage_out *o, const struct shm_key *k)
{
	const struct shm_user *u = &o->s->users[atomic_load(&k->user)];
	uint32_t p, m, day;
	uint64_t c, d;

	for (p = 0; p < SHM_PERIODS; p++) {
		for (m = 0; m < SHM_METRICS; m++) {
			c = atomic_load(&k->cell[p][m]);
			d = usage_cell_pending(c,
					       atomic_load(&k->flushed[p][m]));
			if (d != 0 && d <= SHM_COUNT_MAX / 2)
				salvage_record(o, k, shm_period_of(c))
					->delta[m] = d;
		}
		if (usage_refusal_pending(u, p, &day))
			salvage_record(o, k, day)->flags = SHM_RECORD_REFUSED;
	}
}

void shm_salvage(const struct shm *s, shm_salvage_fn fn, void *arg)
{
	struct salvage_out o = { .s = s, .fn = fn, .arg = arg };
	uint64_t fresh = atomic_load(&s->head->key_fresh);
	uint32_t i;

	o.records = tl_alloc_array(SALVAGE_RECORDS, sizeof(*o.records));
	for (i = 0; i < s->n_keys && i < fresh; i++) {
		const struct shm_key *k = &s->keys[i];

		if (entry_state(atomic_load(&k->state)) >= SHM_LIVE &&
		    atomic_load(&k->user) < s->n_users)
			salvage_key(&o, k);
	}
	salvage_give(&o);
	tl_free(o.records);
}
