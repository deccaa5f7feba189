#include "shm/dirty.h"
#include "shm/entries.h"
#include "shm/entry.h"
#include "shm/extras.h"
#include "shm/window.h"

/*
 * Frees what nobody uses any more: only here, in the flusher.
 *
 * LIVE -> DYING: then look again.  A user of the entry stores last_used_ms
 * and then reads the state, so either it sees DYING and looks anew, or we
 * see its time and go back to LIVE.  RETIRED entries are out of the
 * directory; they are freed when every process has passed the epoch and
 * nothing is left to hand over.
 */

static bool key_pending(const struct shm *s, const struct shm_key *k)
{
	const struct shm_user *u = &s->users[atomic_load(&k->user)];
	uint32_t p, m, day;

	for (p = 0; p < SHM_PERIODS; p++)
		for (m = 0; m < SHM_METRICS; m++)
			if (atomic_load(&k->cell[p][m]) !=
			    atomic_load(&k->flushed[p][m]))
				return true;
	for (p = 0; p < SHM_PERIODS; p++)
		if (usage_refusal_pending(u, p, &day))
			return true;
	return atomic_load(&k->last_used_ms) !=
	       atomic_load(&k->flushed_used_ms);
}

/* The wall clock may be moved by hours, so the window is asked as well: an
 * entry that goes takes its charges along. */
static bool key_idle(const struct shm *s, const struct shm_key *k,
		     uint64_t wall_ms, uint64_t idle_ms)
{
	const struct shm_constants *c = &s->head->k;

	return atomic_load(&k->last_used_ms) + idle_ms < wall_ms &&
	       !key_pending(s, k) &&
	       shm_window_sum(k->ring, c->window_ms * TL_NS_PER_MS,
			      tl_mono_ns() - c->created_mono_ns) == 0;
}

static void key_retire(struct shm *s, const struct entry_table *t, uint32_t i,
		       uint64_t wall_ms, uint64_t idle_ms)
{
	struct shm_key *k = &s->keys[i];
	uint64_t live = atomic_load(&k->state);

	if (entry_state(live) != SHM_LIVE ||
	    !key_idle(s, k, wall_ms, idle_ms) ||
	    !atomic_compare_exchange_strong(
		    &k->state, &live,
		    entry_word(SHM_DYING, entry_gen(live), 0, 0)))
		return;
	if (!key_idle(s, k, wall_ms, idle_ms))
		(void)entry_keep(&k->state);
	else if (entry_retire(s, t, i, dir_hash(s, k->digest, 32)))
		atomic_fetch_sub(t->live, 1);
}

/* What this key names is in use: also by a retired one, whose last usage is
 * handed over under its user's id. */
static void key_names(struct shm *s, const struct shm_key *k)
{
	uint32_t sweep = (uint32_t)atomic_load(&s->head->sweep);
	uint32_t user = atomic_load(&k->user);

	extras_mark(s, atomic_load(&k->extras), sweep);
	if (user < s->n_users && atomic_load(&s->users[user].mark) < sweep)
		atomic_store(&s->users[user].mark, sweep);
}

static void key_step(struct shm *s, const struct entry_table *t,
		     struct shm_janitor *j, uint32_t i, uint64_t wall_ms,
		     uint64_t idle_ms, bool may_retire)
{
	struct shm_key *k = &s->keys[i];
	uint64_t w = atomic_load(&k->state);

	if (entry_state(w) >= SHM_LIVE)
		key_names(s, k);
	switch (entry_state(w)) {
	case SHM_FREE:
		return;
	case SHM_INIT: /* its maker died before it was published */
		if (!entry_owner_alive(s, w)) {
			entry_free(t, i);
			j->freed_keys++;
		}
		return;
	case SHM_DYING: /* a janitor died here: undo, judge anew later */
		(void)entry_keep(&k->state);
		return;
	case SHM_RETIRED:
		if (entry_passed(s, t, i, dir_hash(s, k->digest, 32)) &&
		    !key_pending(s, k)) {
			entry_free(t, i);
			j->freed_keys++;
		}
		return;
	case SHM_LIVE:
		if (may_retire)
			key_retire(s, t, i, wall_ms, idle_ms);
		return;
	}
}

static bool user_idle(const struct shm *s, const struct shm_user *u,
		      uint64_t wall_ms, uint64_t idle_ms)
{
	/* no key of it was seen in the last whole round, nor since */
	return atomic_load(&u->last_used_ms) + idle_ms < wall_ms &&
	       atomic_load(&u->mark) + 2 <= atomic_load(&s->head->sweep);
}

static void user_step(struct shm *s, const struct entry_table *t,
		      struct shm_janitor *j, uint32_t i, uint64_t wall_ms,
		      uint64_t idle_ms, bool may_retire)
{
	struct shm_user *u = &s->users[i];
	uint64_t w = atomic_load(&u->state);

	if (entry_state(w) == SHM_INIT && !entry_owner_alive(s, w)) {
		entry_free(t, i);
		j->freed_users++;
	} else if (entry_state(w) == SHM_DYING) {
		(void)entry_keep(&u->state);
	} else if (entry_state(w) == SHM_RETIRED &&
		   entry_passed(s, t, i, dir_hash(s, u->user_id, 16))) {
		entry_free(t, i);
		j->freed_users++;
	}
	if (entry_state(w) != SHM_LIVE)
		return;
	extras_mark(s, atomic_load(&u->extras),
		    (uint32_t)atomic_load(&s->head->sweep));
	if (!may_retire || !user_idle(s, u, wall_ms, idle_ms) ||
	    !atomic_compare_exchange_strong(&u->state, &w,
					    entry_word(SHM_DYING, entry_gen(w), 0,
						       0)))
		return;
	if (!user_idle(s, u, wall_ms, idle_ms))
		(void)entry_keep(&u->state);
	else if (entry_retire(s, t, i, dir_hash(s, u->user_id, 16)))
		atomic_fetch_sub(t->live, 1);
}

void shm_janitor_step(struct shm *s, struct shm_janitor *j, uint32_t n,
		      uint32_t idle_s, bool spool_empty, uint64_t now_mono_ns)
{
	uint64_t wall_ms = shm_wall_ms(s, now_mono_ns);
	uint32_t keys = (uint32_t)atomic_load(&s->head->key_fresh);
	uint32_t users = (uint32_t)atomic_load(&s->head->user_fresh);
	/* last_used_ms lags up to a second, and a reading of the clock more */
	uint64_t idle_ms = (uint64_t)idle_s * 1000 + 2000;
	struct entry_table tk, tu;
	uint32_t i;

	entry_keys(s, &tk);
	entry_users(s, &tu);
	for (i = 0; i < n && j->user_hand < users; i++)
		user_step(s, &tu, j, j->user_hand++, wall_ms, idle_ms,
			  spool_empty);
	if (j->user_hand >= users)
		j->user_hand = 0;
	for (i = 0; i < n && j->key_hand < keys; i++)
		key_step(s, &tk, j, j->key_hand++, wall_ms, idle_ms,
			 spool_empty);
	if (j->key_hand < keys)
		return;
	j->key_hand = 0;
	atomic_fetch_add(&s->head->sweep, 1);
	extras_sweep(s, j);
}
