#include "shm/usage.h"

#include "shm/dirty.h"
#include "shm/metrics.h"
#include "shm/pause.h"

static inline _Atomic uint64_t *cell_of(struct shm_key *k, uint32_t day,
					uint32_t metric)
{
	return &k->cell[day % SHM_PERIODS][metric];
}

/* May the cell take counts of `day`?  Yes: its own day, or an older one of
 * which everything has been handed over. */
static bool cell_takes(struct shm_key *k, uint32_t day, uint32_t metric)
{
	uint64_t c = atomic_load(cell_of(k, day, metric));

	return shm_period_of(c) == (day & 0xfffff) || shm_count_of(c) == 0 ||
	       c == atomic_load(&k->flushed[day % SHM_PERIODS][metric]);
}

static bool cell_add(struct shm_key *k, uint32_t day, uint32_t metric,
		     uint64_t delta, uint64_t max)
{
	_Atomic uint64_t *cell = cell_of(k, day, metric);
	uint64_t c = atomic_load(cell);

	do {
		if (shm_count_in(c, day) + delta > max)
			return false;
	} while (!atomic_compare_exchange_weak(
		cell, &c, shm_tagged(day, shm_count_in(c, day) + delta)));
	return true;
}

void shm_usage_touch(struct shm *s, uint32_t key, uint64_t wall_ms)
{
	struct shm_key *k = &s->keys[key];
	uint64_t last = atomic_load_explicit(&k->last_used_ms,
					     memory_order_relaxed);

	/*
	 * Once a second is fine enough for people, and keeps the line of a
	 * hot key from being written at each request for the time alone.
	 */
	if (wall_ms >= last + 1000) {
		atomic_store(&k->last_used_ms, wall_ms);
		dirty_set(s, key);
	}
}

enum tl_status shm_usage_add(struct shm *s, uint32_t key, uint32_t day,
			     const uint64_t delta[SHM_METRICS],
			     uint64_t credits_max, uint64_t wall_ms)
{
	struct shm_key *k = &s->keys[key];
	uint64_t base = shm_count_in(atomic_load(&k->base), day);
	uint32_t m;

	/* the credits cell is written, hence re-tagged, even by 0 credits */
	for (m = 0; m < SHM_METRICS; m++)
		if ((delta[m] != 0 || m == SHM_CREDITS) &&
		    !cell_takes(k, day, m)) {
			shm_count(s, SHM_C_CELL_BUSY, 1);
			return TL_BUSY;
		}
	/* credits decide; the others follow without a bound */
	_Static_assert(SHM_CREDITS == 0, "credits come first");
	if (base > credits_max ||
	    !cell_add(k, day, SHM_CREDITS, delta[SHM_CREDITS],
		      credits_max - base))
		return TL_FULL;
	SHM_PAUSE("usage.credits");
	for (m = SHM_CREDITS + 1; m < SHM_METRICS; m++)
		if (delta[m] != 0)
			cell_add(k, day, m, delta[m], SHM_COUNT_MAX);
	SHM_PAUSE("usage.added");
	dirty_set(s, key);
	shm_usage_touch(s, key, wall_ms);
	return TL_OK;
}

/* ---- quota ---- */

bool shm_quota_reserve(struct shm_user *u, uint32_t day, uint64_t cost,
		       uint64_t limit, uint64_t *used_r)
{
	uint64_t base = shm_count_in(atomic_load(&u->base), day);
	uint64_t w = atomic_load(&u->quota), used;

	do {
		used = shm_count_in(w, day);
		*used_r = base + used;
		if (base + used + cost > limit)
			return false;
	} while (!atomic_compare_exchange_weak(&u->quota, &w,
					       shm_tagged(day, used + cost)));
	*used_r += cost;
	return true;
}

void shm_quota_refund(struct shm_user *u, uint32_t day, uint64_t cost)
{
	uint64_t w = atomic_load(&u->quota);

	while (shm_period_of(w) == (day & 0xfffff) && shm_count_of(w) >= cost)
		if (atomic_compare_exchange_weak(
			    &u->quota, &w,
			    shm_tagged(day, shm_count_of(w) - cost)))
			return;
}

/*
 * Who dies between the two steps leaves the mark to the full scan that follows
 * a death; who comes in between and finds the mark may rely on it likewise.
 */
void shm_quota_refused(struct shm *s, uint32_t key, uint32_t day)
{
	struct shm_user *u = &s->users[atomic_load(&s->keys[key].user)];
	_Atomic uint32_t *word = &u->refused[day % SHM_PERIODS];

	if (atomic_load_explicit(word, memory_order_relaxed) == day)
		return;
	atomic_store(word, day);
	SHM_PAUSE("usage.refused");
	dirty_set(s, key);
}

bool usage_refusal_pending(const struct shm_user *u, uint32_t p,
			   uint32_t *day_r)
{
	/* flushed first: it never passes the other */
	uint32_t flushed = atomic_load(&u->refused_flushed[p]);

	*day_r = atomic_load(&u->refused[p]);
	return *day_r != flushed;
}

uint64_t shm_quota_used(const struct shm_user *u, uint32_t day)
{
	return shm_count_in(atomic_load(&u->base), day) +
	       shm_count_in(atomic_load(&u->quota), day);
}

void shm_requests_add(struct shm_user *u, uint32_t day, uint64_t n)
{
	uint64_t w = atomic_load(&u->requests);

	while (!atomic_compare_exchange_weak(
		&u->requests, &w, shm_tagged(day, shm_count_in(w, day) + n)))
		;
}

uint64_t shm_requests_used(const struct shm_user *u, uint32_t day)
{
	return shm_count_in(atomic_load(&u->requests_base), day) +
	       shm_count_in(atomic_load(&u->requests), day);
}

uint64_t shm_key_credits(const struct shm_key *k, uint32_t day)
{
	return shm_count_in(atomic_load(&k->base), day) +
	       shm_count_in(atomic_load(&k->cell[day % SHM_PERIODS]
					       [SHM_CREDITS]),
			    day);
}

/* What of one cell is not handed over yet. */
uint64_t usage_cell_pending(uint64_t cell, uint64_t flushed)
{
	uint64_t count = shm_count_of(cell);

	if (shm_period_of(flushed) == shm_period_of(cell))
		count -= shm_count_of(flushed);
	return count;
}

void shm_pending(const struct shm *s, uint64_t total_r[SHM_METRICS],
		 uint64_t *keys_r)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->key_fresh), i, p, m;
	uint64_t d;
	bool any;

	memset(total_r, 0, SHM_METRICS * sizeof(total_r[0]));
	*keys_r = 0;
	for (i = 0; i < n; i++) {
		any = false;
		for (p = 0; p < SHM_PERIODS; p++)
			for (m = 0; m < SHM_METRICS; m++) {
				/* flushed first: it never passes the cell */
				uint64_t f = atomic_load(
					&s->keys[i].flushed[p][m]);

				d = usage_cell_pending(
					atomic_load(&s->keys[i].cell[p][m]),
					f);
				total_r[m] += d;
				any |= d != 0;
			}
		*keys_r += any;
	}
}
