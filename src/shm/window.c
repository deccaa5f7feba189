#include "shm/window.h"

#include "base/hash.h"
#include "shm/pause.h"
#include "shm/stripe.h"

/*
 * Why the sliding check never admits more than L in any W
 * --------------------------------------------------------
 * Bucket width w = ceil(W / B), so W touches at most B + 1 buckets.  Of all
 * admitted adds in some B + 1 neighbouring buckets take the last in the total
 * order of the CAS operations.  It reads every other cell after its own add,
 * and the adds to its own cell before it are in `mine`; so it saw all of
 * them.  A cell it needed can only have been recycled by an epoch >= k + 2,
 * which it notices and starts again.  Its sum was <= L, hence so is theirs.
 * A kill between add and second look leaves a charge that ages out: strict.
 */

#define EPOCH_BASE 64U /* so that epoch 0, an unused cell, is long past */
#define TRIES_MAX  100

static inline uint64_t cell_make(uint32_t epoch, uint32_t count)
{
	return ((uint64_t)epoch << 32) | count;
}

static inline uint32_t cell_epoch(uint64_t c)
{
	return (uint32_t)(c >> 32);
}

static inline uint32_t cell_count(uint64_t c)
{
	return (uint32_t)c;
}

static inline uint64_t bucket_ns(uint64_t window_ns)
{
	return (window_ns + SHM_SPAN - 1) / SHM_SPAN;
}

static inline uint32_t epoch_of(uint64_t since_ns, uint64_t w)
{
	return (uint32_t)(since_ns / w) + EPOCH_BASE;
}

/*
 * Sums the cells that are charged at bucket k, newer ones included.  False:
 * somebody wrote at k + 2 or later, so this k is too old to judge by.
 */
static inline bool ring_sum(const _Atomic uint64_t *ring, uint32_t k,
			    uint32_t skip, uint64_t *sum_r)
{
	uint32_t oldest = k - SHM_SPAN, i;
	uint64_t sum = 0, c;
	uint32_t d;

	for (i = 0; i < SHM_CELLS; i++) {
		if (i == skip)
			continue;
		c = atomic_load(&ring[i]);
		d = cell_epoch(c) - oldest;
		if (d <= SHM_SPAN + 1)
			sum += cell_count(c);
		else if ((int32_t)d > 0)
			return false;
	}
	*sum_r = sum;
	return true;
}

/*
 * Time until `need` more fits: the end of the bucket that frees enough, plus
 * the window.  need 0: until the oldest charged bucket leaves.
 */
static uint64_t ring_reset(const _Atomic uint64_t *ring, uint64_t w,
			   uint32_t k, uint64_t since_ns, uint64_t sum,
			   uint64_t need, uint64_t limit)
{
	uint32_t e, i;
	uint64_t c, at;

	for (i = 0; i <= SHM_SPAN + 1; i++) {
		e = k - SHM_SPAN + i;
		c = atomic_load_explicit(&ring[e % SHM_CELLS],
					 memory_order_relaxed);
		if (cell_epoch(c) != e || cell_count(c) == 0)
			continue;
		sum = sum > cell_count(c) ? sum - cell_count(c) : 0;
		if (need == 0 || sum + need <= limit) {
			at = (uint64_t)(e - EPOCH_BASE + SHM_SPAN + 1) * w;
			return at > since_ns ? at - since_ns : 1;
		}
	}
	return w * (SHM_SPAN + 1); /* a whole window and its bucket */
}

static void ticket_take_back(_Atomic uint64_t *cell, uint32_t epoch,
			     uint32_t cost)
{
	uint64_t c = atomic_load(cell);

	while (cell_epoch(c) == epoch && cell_count(c) >= cost)
		if (atomic_compare_exchange_weak(
			    cell, &c, cell_make(epoch, cell_count(c) - cost)))
			return;
}

void shm_window_check(_Atomic uint64_t ring[SHM_CELLS], uint64_t window_ns,
		      uint32_t limit, uint32_t cost, uint64_t base_ns,
		      uint64_t now_mono_ns, struct shm_ticket *t_r,
		      struct shm_window_result *r_r)
{
	uint64_t w = bucket_ns(window_ns), sum, c, since;
	uint32_t k, own, mine = 0, tries;

	*t_r = (struct shm_ticket){ .cell = NULL };
	sum = limit;
	for (tries = 0;; now_mono_ns = tl_mono_ns()) {
		since = now_mono_ns - base_ns;
		k = epoch_of(since, w);
		own = k % SHM_CELLS;
		/* more than a few fresh readings are never too old: then the
		 * ring is not one of this clock, and who cannot know refuses */
		if (tries++ == TRIES_MAX)
			break;
		if (!ring_sum(ring, k, SHM_CELLS, &sum))
			continue;
		if (sum + cost > limit)
			break;
		SHM_PAUSE("window.summed");
		c = atomic_load(&ring[own]);
		do {
			if ((int32_t)(cell_epoch(c) - k) > 0)
				break;
			mine = cost;
			if (cell_epoch(c) == k)
				mine += cell_count(c);
		} while (!atomic_compare_exchange_weak(&ring[own], &c,
						       cell_make(k, mine)));
		if ((int32_t)(cell_epoch(c) - k) > 0)
			continue;
		SHM_PAUSE("window.added");
		if (!ring_sum(ring, k, own, &sum) ||
		    cell_epoch(atomic_load(&ring[own])) != k) {
			ticket_take_back(&ring[own], k, cost);
			continue;
		}
		SHM_PAUSE("window.looked");
		sum += mine;
		if (sum > limit) {
			ticket_take_back(&ring[own], k, cost);
			sum -= cost;
			break;
		}
		*t_r = (struct shm_ticket){ &ring[own], k, cost, 0 };
		*r_r = (struct shm_window_result){
			true, (uint32_t)sum,
			ring_reset(ring, w, k, since, sum, 0, limit)
		};
		return;
	}
	*r_r = (struct shm_window_result){
		false, (uint32_t)sum,
		ring_reset(ring, w, k, since, sum, cost, limit)
	};
}

void shm_window_peek(const _Atomic uint64_t ring[SHM_CELLS],
		     uint64_t window_ns, uint32_t limit, uint32_t cost,
		     uint64_t now_ns, struct shm_window_result *r_r)
{
	uint64_t w = bucket_ns(window_ns), sum = 0;
	uint32_t k = epoch_of(now_ns, w);
	bool fits;

	while (!ring_sum(ring, k, SHM_CELLS, &sum))
		k++;
	fits = sum + cost <= limit;
	*r_r = (struct shm_window_result){
		fits, (uint32_t)sum,
		ring_reset(ring, w, k, now_ns, sum, fits ? 0 : cost, limit)
	};
}

uint32_t shm_window_sum(const _Atomic uint64_t ring[SHM_CELLS],
			uint64_t window_ns, uint64_t now_ns)
{
	struct shm_window_result r;

	shm_window_peek(ring, window_ns, UINT32_MAX, 0, now_ns, &r);
	return r.sum;
}

#define GCRA_AHEAD_MAX_NS (1ULL << 62) /* 146 years: sums stay in 64 bits */

/*
 * The theoretical arrival time moves on by cost x T with each admission; one
 * is refused when it would lie more than burst x T ahead of now.
 */
void shm_gcra_check(_Atomic uint64_t *tat, uint64_t window_ns, uint32_t limit,
		    uint32_t burst, uint32_t cost, uint64_t now_ns, bool dry,
		    struct shm_ticket *t_r, struct shm_window_result *r_r)
{
	uint64_t step, tolerance, charge, old, start, next, ahead;

	*t_r = (struct shm_ticket){ .cell = NULL };
	if (burst == 0)
		burst = 1;
	if (limit == 0 || cost > burst) { /* never fits */
		*r_r = (struct shm_window_result){ false, 0, window_ns };
		return;
	}
	/* rounded up: never faster than the limit says */
	step = (window_ns + limit - 1) / limit;
	if (__builtin_mul_overflow(step, burst, &tolerance) ||
	    tolerance > GCRA_AHEAD_MAX_NS)
		tolerance = GCRA_AHEAD_MAX_NS;
	if (__builtin_mul_overflow(step, cost, &charge) ||
	    charge > GCRA_AHEAD_MAX_NS)
		charge = GCRA_AHEAD_MAX_NS + 1;
	old = atomic_load(tat);
	do {
		start = old > now_ns ? old : now_ns;
		next = start + charge;
		ahead = next - now_ns;
		if (ahead > tolerance) {
			*r_r = (struct shm_window_result){
				false, (uint32_t)((start - now_ns) / step),
				ahead - tolerance
			};
			return;
		}
	} while (!dry && !atomic_compare_exchange_weak(tat, &old, next));
	if (!dry)
		*t_r = (struct shm_ticket){ tat, 0, cost, charge };
	*r_r = (struct shm_window_result){
		true, (uint32_t)((ahead + step - 1) / step), ahead
	};
}

void shm_ticket_return(const struct shm_ticket *t)
{
	uint64_t c;

	if (t->cell == NULL)
		return;
	if (t->gcra_step == 0) {
		ticket_take_back(t->cell, t->epoch, t->cost);
		return;
	}
	/* the window may have been emptied since: never below zero, which
	 * would be an arrival time at the end of all days */
	c = atomic_load(t->cell);
	while (c >= t->gcra_step &&
	       !atomic_compare_exchange_weak(t->cell, &c, c - t->gcra_step))
		;
}

/* ---- windows outside keys ---- */

uint64_t shm_tag(const struct shm *s, uint64_t salt, const void *p,
		 uint32_t len)
{
	uint8_t buf[8 + 64];
	uint64_t h;

	tl_assert(len <= 64);
	memcpy(buf, &salt, 8);
	memcpy(buf + 8, p, len);
	h = tl_siphash13(s->head->k.seed, buf, 8 + len) & ~SHM_TAG_KIND;
	return h != 0 ? h : 1;
}

bool shm_window_is(const struct shm_window *w, uint64_t tag)
{
	return atomic_load(&w->tag) == tag;
}

static struct shm_window *window_find(struct shm_window *set, uint64_t tag)
{
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++)
		if (atomic_load(&set[i].tag) == tag)
			return &set[i];
	return NULL;
}

static bool window_idle(const struct shm_window *w, uint64_t now_mono_ms)
{
	uint64_t ms = atomic_load(&w->window_ms);

	/* W + w, and one bucket for readings of the clock that are late */
	return atomic_load(&w->last_mono_ms) + ms + ms / 7 + 2 < now_mono_ms;
}

/*
 * Takes the window from its owner: unpublish, look once more whether it was
 * used (its user stores last_mono_ms, then reads the tag: one side sees the
 * other), then empty it.  Under the stripe of the set.
 */
static bool window_empty(struct shm_window *w)
{
	uint64_t old = atomic_load(&w->tag);
	uint64_t last = atomic_load(&w->last_mono_ms);
	uint32_t i;

	if (old != 0) {
		atomic_store(&w->tag, 0);
		SHM_PAUSE("window.unpublished");
		if (atomic_load(&w->last_mono_ms) != last) {
			atomic_store(&w->tag, old);
			return false;
		}
	}
	for (i = 0; i < SHM_CELLS; i++)
		atomic_store_explicit(&w->ring[i], 0, memory_order_relaxed);
	return true;
}

/* Only windows of the same kind and length may be taken over in use: a ring
 * read as another kind is no limit, or one for ever. */
static bool same_kind(const struct shm_window *w, uint64_t tag,
		      uint64_t window_ms)
{
	return ((atomic_load(&w->tag) ^ tag) & SHM_TAG_KIND) == 0 &&
	       atomic_load(&w->window_ms) == window_ms;
}

static struct shm_window *window_make(struct shm_window *set, uint64_t tag,
				      uint64_t window_ms,
				      uint64_t now_mono_ms)
{
	struct shm_window *oldest = NULL;
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++)
		if (atomic_load(&set[i].tag) == 0 && window_empty(&set[i]))
			return &set[i];
	for (i = 0; i < SHM_WAYS; i++)
		if (window_idle(&set[i], now_mono_ms) && window_empty(&set[i]))
			return &set[i];
	if ((tag & SHM_TAG_STEAL) == 0)
		return NULL;
	for (i = 0; i < SHM_WAYS; i++)
		if (same_kind(&set[i], tag, window_ms) &&
		    (oldest == NULL || atomic_load(&set[i].last_mono_ms) <
					       atomic_load(&oldest->last_mono_ms)))
			oldest = &set[i];
	return oldest; /* with its charges: a full table is never no limit */
}

/* Only rises: who was stopped for a while must not make it look idle. */
static void window_used(struct shm_window *w, uint64_t now_mono_ms)
{
	uint64_t last = atomic_load(&w->last_mono_ms);

	while (last < now_mono_ms &&
	       !atomic_compare_exchange_weak(&w->last_mono_ms, &last,
					     now_mono_ms))
		;
}

struct shm_window *shm_window_get(struct shm *s, struct shm_window *table,
				  uint32_t n, uint64_t tag,
				  const uint8_t subject[16],
				  uint64_t window_ms, uint64_t now_mono_ms)
{
	uint64_t at = tag % (n / SHM_WAYS);
	struct shm_window *set = table + at * SHM_WAYS;
	struct shm_window *w = window_find(set, tag);

	if (w != NULL) {
		window_used(w, now_mono_ms);
		return w;
	}
	/* the lock of the set, not of the tag: two tags must not choose the
	 * same place at once */
	if (!shm_stripe_lock(s, at << SHM_STRIPE_SHIFT))
		return NULL;
	w = window_find(set, tag);
	if (w == NULL) {
		w = window_make(set, tag, window_ms, now_mono_ms);
		SHM_PAUSE("window.chosen");
		if (w != NULL) {
			atomic_store(&w->tag, 0);
			memcpy(w->subject, subject, 16);
			atomic_store(&w->window_ms, window_ms);
			atomic_store(&w->last_mono_ms, now_mono_ms);
			atomic_store(&w->tag, tag);
		}
	}
	shm_stripe_unlock(s, at << SHM_STRIPE_SHIFT);
	return w;
}
