#include "shm/entries.h"

#include "shm/entry.h"
#include "shm/extras.h"
#include "shm/pause.h"
#include "shm/policy.h"
#include "shm/stripe.h"

/*
 * All lines that a decision will touch, at once: cold, each costs a walk of
 * the page tables and a memory access.
 */
static inline void key_prefetch(const struct shm *s, const struct shm_key *k,
				uint32_t user)
{
	const struct shm_user *u = &s->users[user < s->n_users ? user : 0];

	/* A function that only prefetches is "pure" for gcc 12, which then
	 * leaves the call out, its result being unused. */
	__asm__ volatile("");
	__builtin_prefetch(&k->state);
	__builtin_prefetch(&k->flags, 1);
	__builtin_prefetch(&k->cell[1][1], 1);
	__builtin_prefetch(&k->ring[0], 1);
	__builtin_prefetch(&k->ring[8], 1);
	__builtin_prefetch(&u->state, 1);
	__builtin_prefetch(&u->flags, 1);
	__builtin_prefetch(&s->dirty[(k - s->keys) / 64], 1);
}

static uint32_t key_lookup(const struct shm *s, const struct tally_digest *d,
			   uint64_t hash)
{
	uint32_t mask = s->head->k.key_buckets - 1, print = dir_print(hash);
	const struct shm_bucket *b[2] = {
		&s->key_dir[(uint32_t)hash & mask],
		&s->key_dir[(uint32_t)(hash >> 20) & mask]
	};
	const struct shm_key *k;
	uint32_t which, i, index;
	uint64_t w;

	__builtin_prefetch(b[1]);
	__builtin_prefetch(b[0]);
	for (which = 0; which < 2; which++) {
		for (i = 0; i < SHM_BUCKET_WORDS; i++) {
			w = atomic_load_explicit(&b[which]->word[i],
						 memory_order_acquire);
			if (w == 0 || dir_word_print(w) != print)
				continue;
			index = dir_index(w);
			if (index >= s->n_keys)
				continue;
			k = &s->keys[index];
			key_prefetch(s, k, dir_word_hint(w));
			if (entry_findable(atomic_load_explicit(
				    &k->state, memory_order_acquire)) &&
			    tl_equal_const_time(k->digest, d->b, 32))
				return index;
		}
	}
	return SHM_NONE;
}

uint32_t shm_key_find(const struct shm *s, const struct tally_digest *d)
{
	return key_lookup(s, d, dir_hash(s, d->b, 32));
}

static uint32_t user_lookup(const struct shm *s, const struct tl_uuid *id,
			    uint64_t hash)
{
	struct entry_table t;
	uint32_t which, i, index;
	uint64_t w;

	entry_users(s, &t);
	for (which = 0; which < 2; which++) {
		const struct shm_bucket *b =
			&t.dir[dir_bucket(hash, which, t.buckets)];

		for (i = 0; i < SHM_BUCKET_WORDS; i++) {
			w = atomic_load(&b->word[i]);
			index = dir_index(w);
			if (w == 0 || dir_word_print(w) != dir_print(hash) ||
			    index >= s->n_users)
				continue;
			if (entry_findable(
				    atomic_load(&s->users[index].state)) &&
			    memcmp(s->users[index].user_id, id->b, 16) == 0)
				return index;
		}
	}
	return SHM_NONE;
}

uint32_t shm_user_find(const struct shm *s, const struct tl_uuid *user_id)
{
	return user_lookup(s, user_id, dir_hash(s, user_id->b, 16));
}

/* ---- taking in ---- */

static uint32_t plan_index(const struct shm *s, const struct tl_uuid *plan_id)
{
	const struct shm_policy *p = shm_policy(s);
	uint32_t i;

	for (i = 0; i < SHM_PLANS; i++)
		if (p->plans[i].used &&
		    memcmp(p->plans[i].plan_id, plan_id->b, 16) == 0)
			return i;
	return SHM_NONE;
}

static uint64_t tagged_base(int32_t day, int64_t count)
{
	return shm_tagged((uint32_t)day, count > 0 ? (uint64_t)count : 0);
}

/*
 * The plan's limit.  shm_policy_set switches, then walks the LIVE users; we
 * store, then look whether it has switched: one side sees the other.
 */
static void user_limit(struct shm *s, struct shm_user *u, uint32_t plan)
{
	uint64_t gen;

	do {
		gen = atomic_load(&s->head->policy_gen);
		atomic_store(&u->limit,
			     s->policies[gen & 1].plans[plan].daily_credit_limit);
	} while (atomic_load(&s->head->policy_gen) != gen);
}

static void user_rules(struct shm *s, struct shm_user *u,
		       const struct tally_user_row *row, uint32_t plan,
		       uint32_t extras)
{
	atomic_store(&u->plan, plan);
	user_limit(s, u, plan);
	atomic_store(&u->extras, extras);
	atomic_store(&u->flags, row->suspended ? SHM_USER_SUSPENDED : 0);
}

/*
 * Stores the time of use, then looks at the state: the janitor sets DYING,
 * then reads the time, so one of the two sees the other.  Named by a key soon,
 * so this round of the janitor counts as one that saw it.
 */
static bool user_keep(const struct shm *s, struct shm_user *u,
		      uint64_t wall_ms)
{
	atomic_store(&u->last_used_ms, wall_ms);
	atomic_store(&u->mark, (uint32_t)atomic_load(&s->head->sweep) + 1);
	return entry_keep(&u->state);
}

static uint32_t user_insert(struct shm *s, const struct tally_user_row *row,
			    uint64_t hash, uint32_t plan, uint32_t extras,
			    uint64_t wall_ms)
{
	struct entry_table t;
	struct shm_user *u;
	uint32_t i;
	uint8_t gen;

	entry_users(s, &t);
	i = entry_alloc(s, &t);
	if (i == SHM_NONE)
		return SHM_NONE;
	u = &s->users[i];
	gen = entry_gen(atomic_load(&u->state));
	memcpy(u->user_id, row->user_id.b, 16);
	atomic_store(&u->quota, 0);
	atomic_store(&u->requests, 0);
	for (uint32_t p = 0; p < SHM_PERIODS; p++) {
		atomic_store(&u->refused[p], 0);
		atomic_store(&u->refused_flushed[p], 0);
	}
	atomic_store(&u->base, tagged_base(row->day, row->base_credits));
	atomic_store(&u->requests_base,
		     tagged_base(row->day, row->base_requests));
	atomic_store(&u->last_used_ms, wall_ms);
	atomic_store(&u->mark, (uint32_t)atomic_load(&s->head->sweep) + 1);
	user_rules(s, u, row, plan, extras);
	atomic_store(&u->state, entry_word(SHM_LIVE, gen, 0, 0));
	user_limit(s, u, plan); /* LIVE: from here on it is walked */
	if (!dir_insert(&t, hash, gen, i, 0)) {
		entry_free(&t, i);
		return SHM_NONE;
	}
	atomic_fetch_add(t.live, 1);
	return i;
}

static enum tl_status user_take_in(struct shm *s,
				   const struct tally_user_row *row,
				   uint64_t change_gen, uint32_t plan,
				   uint64_t wall_ms, bool insert,
				   uint32_t *index_r, struct tl_err *err)
{
	uint64_t hash = dir_hash(s, row->user_id.b, 16);
	struct extras_source src = { .overrides = row->overrides,
				     .n_overrides = row->n_overrides };
	enum tl_status st;
	uint32_t extras, i;

	st = extras_intern(s, &src, &extras, err);
	if (st != TL_OK)
		return st;
	if (!shm_stripe_lock(s, hash))
		return tl_err_set(err, TL_BUSY, "the segment is busy");
	st = TL_OK;
	i = user_lookup(s, &row->user_id, hash);
	if (shm_change_gen(s) != change_gen)
		st = TL_BUSY;
	else if (i != SHM_NONE && user_keep(s, &s->users[i], wall_ms))
		user_rules(s, &s->users[i], row, plan, extras);
	else if (!insert)
		st = TL_NOT_FOUND;
	else if ((i = user_insert(s, row, hash, plan, extras, wall_ms)) ==
		 SHM_NONE)
		st = TL_FULL;
	if (st == TL_OK && !extras_keep(s, extras))
		st = TL_BUSY;
	shm_stripe_unlock(s, hash);
	if (st == TL_OK)
		*index_r = i;
	else
		tl_err_set(err, st, "%s",
			   st == TL_FULL ? "no room for another user; raise "
					   "shm.max_users" :
					   "the rules changed meanwhile");
	return st;
}

/* 0: none.  What lies before 1970 or after 2106 stays on its side of now. */
static uint32_t second_word(int64_t at_s)
{
	if (at_s <= 0)
		return at_s < 0;
	return at_s < UINT32_MAX ? (uint32_t)at_s : UINT32_MAX;
}

static void key_rules(struct shm_key *k, const struct tally_key_row *row,
		      uint32_t extras)
{
	uint32_t limit = SHM_NO_LIMIT;

	if (row->daily_credit_limit >= 0)
		limit = row->daily_credit_limit < SHM_NO_LIMIT ?
				(uint32_t)row->daily_credit_limit :
				SHM_NO_LIMIT - 1;
	atomic_store(&k->expires_at_s, second_word(row->expires_at_s));
	atomic_store(&k->grace_until_s, second_word(row->grace_until_s));
	atomic_store(&k->rate_limit, row->rate_limit);
	atomic_store(&k->daily_limit, limit);
	atomic_store(&k->extras, extras);
	atomic_store(&k->flags, row->revoked ? SHM_KEY_REVOKED : 0);
}

static enum tl_status key_insert(struct shm *s, const struct tally_key_row *row,
				 uint64_t hash, uint32_t user, uint32_t extras,
				 uint64_t wall_ms)
{
	struct entry_table t;
	struct shm_key *k;
	uint32_t i, p;
	uint8_t gen;

	entry_keys(s, &t);
	i = entry_alloc(s, &t);
	if (i == SHM_NONE)
		return TL_FULL;
	k = &s->keys[i];
	gen = entry_gen(atomic_load(&k->state));
	memcpy(k->digest, row->digest.b, 32);
	memcpy(k->key_id, row->key_id.b, 16);
	atomic_store(&k->user, user);
	atomic_store(&k->base,
		     tagged_base(row->user.day, row->base_credits));
	atomic_store(&k->last_used_ms, wall_ms);
	atomic_store(&k->flushed_used_ms, wall_ms);
	/* a freed entry has no usage that is not handed over */
	for (p = 0; p < SHM_CELLS; p++)
		atomic_store_explicit(&k->ring[p], 0, memory_order_relaxed);
	for (p = 0; p < SHM_PERIODS * SHM_METRICS; p++) {
		atomic_store(&(&k->cell[0][0])[p], 0);
		atomic_store(&(&k->flushed[0][0])[p], 0);
	}
	key_rules(k, row, extras);
	atomic_store(&k->state, entry_word(SHM_LIVE, gen, 0, 0));
	if (!dir_insert(&t, hash, gen, i, user)) {
		entry_free(&t, i);
		return TL_FULL;
	}
	atomic_fetch_add(t.live, 1);
	return TL_OK;
}

enum tl_status shm_key_take_in(struct shm *s, const struct tally_key_row *row,
			       uint64_t change_gen, bool *policy_missing_r,
			       struct tl_err *err)
{
	uint64_t hash = dir_hash(s, row->digest.b, 32);
	uint64_t wall_ms = shm_wall_ms(s, tl_mono_ns());
	struct extras_source src = {
		row->scopes,	row->n_scopes,	 row->allowed,
		row->n_allowed, row->overrides, row->n_overrides
	};
	uint32_t plan, extras = 0, user = SHM_NONE, i;
	enum tl_status st;

	shm_enter(s);
	plan = plan_index(s, &row->user.plan_id);
	*policy_missing_r = plan == SHM_NONE;
	if (plan == SHM_NONE)
		st = tl_err_set(err, TL_BUSY, "the plan is not loaded yet");
	else
		st = extras_intern(s, &src, &extras, err);
	if (st == TL_OK)
		st = user_take_in(s, &row->user, change_gen, plan, wall_ms,
				  true, &user, err);
	if (st == TL_OK && !shm_stripe_lock(s, hash))
		st = tl_err_set(err, TL_BUSY, "the segment is busy");
	else if (st == TL_OK) {
		i = key_lookup(s, &row->digest, hash);
		if (shm_change_gen(s) != change_gen)
			st = TL_BUSY;
		else if (i != SHM_NONE && entry_keep(&s->keys[i].state)) {
			atomic_store(&s->keys[i].user, user);
			key_rules(&s->keys[i], row, extras);
		} else
			st = key_insert(s, row, hash, user, extras, wall_ms);
		SHM_PAUSE("entries.inserted");
		shm_stripe_unlock(s, hash);
		/* stopped for minutes since they were found, they may have
		 * gone before the key named them */
		if (st == TL_OK && (!user_keep(s, &s->users[user], wall_ms) ||
				    !extras_keep(s, extras)))
			st = TL_BUSY;
		/* whoever changes rules raises the number first and then takes
		 * the stripe, unless that took too long: look once more */
		if (st == TL_OK && shm_change_gen(s) != change_gen)
			st = TL_BUSY;
		if (st == TL_BUSY)
			tl_err_set(err, st, "the rules changed meanwhile");
		else if (st == TL_FULL)
			tl_err_set(err, st, "no room for another key; raise "
					    "shm.max_keys");
	}
	shm_leave(s);
	return st;
}

enum tl_status shm_user_change(struct shm *s, const struct tally_user_row *row,
			       uint64_t change_gen, struct tl_err *err)
{
	uint64_t wall_ms = shm_wall_ms(s, tl_mono_ns());
	uint32_t plan, index;
	enum tl_status st;

	shm_enter(s);
	plan = plan_index(s, &row->plan_id);
	if (plan == SHM_NONE)
		st = tl_err_set(err, TL_BUSY, "the plan is not loaded yet");
	else
		st = user_take_in(s, row, change_gen, plan, wall_ms, false,
				  &index, err);
	shm_leave(s);
	return st;
}

/* ---- changes by a mutation that is committed ---- */

void shm_change_begin(struct shm *s)
{
	atomic_fetch_add(&s->head->change_gen, 1);
}

/*
 * Whoever changes a key commits and then marks it, so two may mark in another
 * order than they have committed.  A key that is revoked can only lose its
 * grace: the shorter one is the later.
 */
static void key_mark(struct shm *s, const struct tally_digest *d,
		     int64_t grace_until_s)
{
	uint32_t grace = second_word(grace_until_s);
	struct shm_key *k;
	uint64_t hash = dir_hash(s, d->b, 32);
	bool locked;
	uint32_t i;

	shm_change_begin(s);
	shm_enter(s);
	locked = shm_stripe_lock(s, hash);
	i = key_lookup(s, d, hash);
	if (i != SHM_NONE) {
		k = &s->keys[i];
		if ((atomic_load(&k->flags) & SHM_KEY_REVOKED) == 0 ||
		    grace < atomic_load(&k->grace_until_s))
			atomic_store(&k->grace_until_s, grace);
		atomic_fetch_or(&k->flags, SHM_KEY_REVOKED);
	}
	if (locked)
		shm_stripe_unlock(s, hash);
	shm_leave(s);
}

void shm_key_revoke(struct shm *s, const struct tally_digest *d,
		    int64_t grace_until_s)
{
	key_mark(s, d, grace_until_s);
}

void shm_key_delete(struct shm *s, const struct tally_digest *d)
{
	/* usage that is left is handed over (and kept as orphan there); the
	 * janitor frees the entry once it is idle */
	key_mark(s, d, 0);
}

void shm_user_suspend(struct shm *s, const struct tl_uuid *user_id,
		      bool suspended)
{
	uint64_t hash = dir_hash(s, user_id->b, 16);
	bool locked;
	uint32_t i;

	shm_change_begin(s);
	shm_enter(s);
	locked = shm_stripe_lock(s, hash);
	i = user_lookup(s, user_id, hash);
	if (i != SHM_NONE && suspended)
		atomic_fetch_or(&s->users[i].flags, SHM_USER_SUSPENDED);
	else if (i != SHM_NONE)
		atomic_fetch_and(&s->users[i].flags, ~SHM_USER_SUSPENDED);
	if (locked)
		shm_stripe_unlock(s, hash);
	shm_leave(s);
}

bool shm_key_keep(struct shm *s, uint32_t key)
{
	return entry_keep(&s->keys[key].state);
}

/* ---- census ---- */

static void census(const struct entry_table *t, struct shm_census *c_r)
{
	uint32_t n = (uint32_t)atomic_load(t->fresh), i;

	memset(c_r, 0, sizeof(*c_r));
	c_r->fresh = t->n - n;
	for (i = 0; i < n; i++)
		switch (entry_state(atomic_load(entry_state_of(t, i)))) {
		case SHM_FREE:
			c_r->free++;
			break;
		case SHM_INIT:
			c_r->init++;
			break;
		case SHM_LIVE:
			c_r->live++;
			break;
		case SHM_DYING:
			c_r->dying++;
			break;
		case SHM_RETIRED:
			c_r->retired++;
			break;
		}
}

void shm_census_keys(const struct shm *s, struct shm_census *c_r)
{
	struct entry_table t;

	entry_keys(s, &t);
	census(&t, c_r);
}

void shm_census_users(const struct shm *s, struct shm_census *c_r)
{
	struct entry_table t;

	entry_users(s, &t);
	census(&t, c_r);
}
