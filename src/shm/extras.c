#include "shm/extras.h"

#include "base/hash.h"
#include "shm/entry.h"
#include "shm/policy.h"
#include "shm/stripe.h"

#define ITEMS_BYTES (sizeof(((struct shm_extras *)0)->items))
#define CHAIN_MAX   16 /* chunks: 3.5 KiB of scopes and networks a key */
#define SCOPE_MAX   200

/* The contents, laid out as in the chunks, before any is allocated. */
struct image {
	uint8_t bytes[CHAIN_MAX][ITEMS_BYTES];
	uint32_t chunks, used; /* used: of the last chunk */
	bool has_scopes, has_cidrs, has_overrides, full;
};

static void image_add(struct image *im, enum shm_extra_type type,
		      const void *p, uint32_t len)
{
	uint8_t *at;

	if (im->chunks == 0 || im->used + 2 + len + 1 > ITEMS_BYTES) {
		if (im->chunks == CHAIN_MAX) {
			im->full = true;
			return;
		}
		im->chunks++;
		im->used = 0;
	}
	at = im->bytes[im->chunks - 1] + im->used;
	at[0] = (uint8_t)type;
	at[1] = (uint8_t)len;
	memcpy(at + 2, p, len);
	im->used += 2 + len;
}

static enum tl_status image_make(const struct shm *s,
				 const struct extras_source *src,
				 struct image *im, struct tl_err *err)
{
	uint8_t item[17];
	uint64_t id64;
	uint32_t i;

	memset(im, 0, sizeof(*im));
	for (i = 0; i < src->n_scopes; i++) {
		if (src->scopes[i].len > SCOPE_MAX)
			return tl_err_set(err, TL_FULL,
					  "a scope is longer than %d bytes",
					  SCOPE_MAX);
		image_add(im, SHM_X_SCOPE, src->scopes[i].ptr,
			  (uint32_t)src->scopes[i].len);
		im->has_scopes = true;
	}
	for (i = 0; i < src->n_allowed; i++) {
		memcpy(item, src->allowed[i].net.b, 16);
		item[16] = src->allowed[i].bits;
		image_add(im, SHM_X_CIDR, item, 17);
		im->has_cidrs = true;
	}
	for (i = 0; i < src->n_overrides; i++) {
		id64 = shm_limit_id64(s, &src->overrides[i].limit_id);
		memcpy(item, &id64, 8);
		memcpy(item + 8, &src->overrides[i].count, 4);
		image_add(im, SHM_X_OVERRIDE, item, 12);
		im->has_overrides = true;
	}
	if (im->full)
		return tl_err_set(err, TL_FULL,
				  "scopes, networks and overrides of one key "
				  "take more than %u bytes; use fewer",
				  (unsigned)(CHAIN_MAX * ITEMS_BYTES));
	return TL_OK;
}

static bool chain_equals(const struct shm *s, uint32_t i,
			 const struct image *im)
{
	uint32_t c;

	for (c = 0; c < im->chunks; c++) {
		if (memcmp(s->extras[i].items, im->bytes[c], ITEMS_BYTES) != 0)
			return false;
		if (c + 1 < im->chunks) {
			if (s->extras[i].next == 0)
				return false;
			i = s->extras[i].next - 1;
		}
	}
	return s->extras[i].next == 0;
}

/*
 * Names the chain as used, then looks whether it is still LIVE: the janitor
 * sets DYING, then reads the mark, so one of the two sees the other.
 */
static bool chain_keep(struct shm *s, uint32_t i)
{
	atomic_store(&s->extras[i].mark,
		     (uint32_t)atomic_load(&s->head->sweep) + 1);
	return entry_keep(&s->extras[i].state);
}

bool extras_keep(struct shm *s, uint32_t extras)
{
	return extras == 0 || chain_keep(s, extras - 1);
}

static uint32_t chain_find(struct shm *s, uint64_t hash,
			   const struct image *im)
{
	struct entry_table t;
	uint32_t which, w, i;

	entry_extras(s, &t);
	for (which = 0; which < 2; which++) {
		struct shm_bucket *b =
			&t.dir[dir_bucket(hash, which, t.buckets)];

		for (w = 0; w < SHM_BUCKET_WORDS; w++) {
			uint64_t word = atomic_load(&b->word[w]);

			i = dir_index(word);
			if (word == 0 || i >= t.n || s->extras[i].hash != hash)
				continue;
			if (chain_keep(s, i) && chain_equals(s, i, im))
				return i;
		}
	}
	return SHM_NONE;
}

static void chain_release(const struct shm *s, uint32_t head)
{
	struct entry_table t;
	uint32_t next;

	entry_extras(s, &t);
	while (head != SHM_NONE) {
		next = s->extras[head].next;
		entry_free(&t, head);
		head = next != 0 ? next - 1 : SHM_NONE;
	}
}

static void chunk_live(struct shm *s, uint32_t i)
{
	_Atomic uint64_t *state = &s->extras[i].state;

	atomic_store(state, entry_word(SHM_LIVE, entry_gen(atomic_load(state)),
				       0, 0));
}

/* From the last chunk to the first, so that each knows its next. */
static uint32_t chain_build(struct shm *s, uint64_t hash,
			    const struct image *im)
{
	uint32_t head = SHM_NONE, c, i;
	struct entry_table t;
	struct shm_extras *x;

	entry_extras(s, &t);
	for (c = im->chunks; c-- > 0;) {
		i = entry_alloc(s, &t);
		if (i == SHM_NONE) {
			chain_release(s, head);
			return SHM_NONE;
		}
		x = &s->extras[i];
		x->hash = c == 0 ? hash : 0;
		x->next = head != SHM_NONE ? head + 1 : 0;
		x->has_scopes = im->has_scopes;
		x->has_cidrs = im->has_cidrs;
		x->has_overrides = im->has_overrides;
		memcpy(x->items, im->bytes[c], ITEMS_BYTES);
		atomic_store(&x->mark,
			     (uint32_t)atomic_load(&s->head->sweep) + 1);
		head = i;
	}
	/* the head last: while it is INIT the janitor may free the chunks of a
	 * dead maker one by one, from then on only the chain as a whole */
	for (i = s->extras[head].next; i != 0; i = s->extras[i - 1].next)
		chunk_live(s, i - 1);
	chunk_live(s, head);
	return head;
}

enum tl_status extras_intern(struct shm *s, const struct extras_source *src,
			     uint32_t *extras_r, struct tl_err *err)
{
	enum tl_status st = TL_OK;
	struct entry_table t;
	struct image im;
	uint64_t hash;
	uint32_t i;

	*extras_r = 0;
	if (src->n_scopes + src->n_allowed + src->n_overrides == 0)
		return TL_OK;
	st = image_make(s, src, &im, err);
	if (st != TL_OK)
		return st;
	hash = dir_hash(s, im.bytes, im.chunks * (uint32_t)ITEMS_BYTES);
	i = chain_find(s, hash, &im);
	if (i != SHM_NONE) {
		*extras_r = i + 1;
		return TL_OK;
	}
	if (!shm_stripe_lock(s, hash))
		return tl_err_set(err, TL_BUSY, "the segment is busy");
	i = chain_find(s, hash, &im);
	if (i == SHM_NONE) {
		entry_extras(s, &t);
		i = chain_build(s, hash, &im);
		if (i != SHM_NONE &&
		    !dir_insert(&t, hash,
				entry_gen(atomic_load(&s->extras[i].state)),
				i, 0)) {
			chain_release(s, i);
			i = SHM_NONE;
		}
		if (i != SHM_NONE)
			atomic_fetch_add(t.live, 1);
	}
	shm_stripe_unlock(s, hash);
	if (i == SHM_NONE)
		return tl_err_set(err, TL_FULL,
				  "no room for more kinds of scopes and "
				  "networks; raise shm.max_keys");
	*extras_r = i + 1;
	return TL_OK;
}

/* ---- reading ---- */

struct walk {
	const struct shm *s;
	uint32_t chunk, at; /* chunk: index+1 */
};

static bool walk_next(struct walk *w, enum shm_extra_type *type_r,
		      struct tl_str *item_r)
{
	const struct shm_extras *x;
	const uint8_t *p;

	while (w->chunk != 0 && w->chunk <= w->s->n_extras) {
		x = &w->s->extras[w->chunk - 1];
		p = x->items + w->at;
		if (w->at + 2 <= ITEMS_BYTES && p[0] != SHM_X_END &&
		    w->at + 2U + p[1] <= ITEMS_BYTES) {
			*type_r = (enum shm_extra_type)p[0];
			*item_r = (struct tl_str){ (const char *)p + 2, p[1] };
			w->at += 2U + p[1];
			return true;
		}
		w->chunk = x->next;
		w->at = 0;
	}
	return false;
}

bool shm_extras_scope(const struct shm *s, uint32_t extras, uint32_t i,
		      struct tl_str *scope_r)
{
	struct walk w = { s, extras, 0 };
	enum shm_extra_type type;
	struct tl_str item;

	while (walk_next(&w, &type, &item)) {
		if (type != SHM_X_SCOPE || i-- > 0)
			continue;
		*scope_r = item;
		return true;
	}
	return false;
}

bool shm_extras_any_scope(const struct shm *s, uint32_t extras)
{
	return extras != 0 && s->extras[extras - 1].has_scopes;
}

bool shm_extras_has_scope(const struct shm *s, uint32_t extras,
			  struct tl_str scope)
{
	struct walk w = { s, extras, 0 };
	enum shm_extra_type type;
	struct tl_str item;

	while (walk_next(&w, &type, &item))
		if (type == SHM_X_SCOPE && tl_str_eq(item, scope))
			return true;
	return false;
}

bool shm_extras_address_ok(const struct shm *s, uint32_t extras,
			   const struct tally_addr *a, bool have_address)
{
	struct walk w = { s, extras, 0 };
	enum shm_extra_type type;
	struct tally_cidr c;
	struct tl_str item;

	if (extras == 0 || !s->extras[extras - 1].has_cidrs)
		return true;
	while (have_address && walk_next(&w, &type, &item)) {
		if (type != SHM_X_CIDR)
			continue;
		memcpy(c.net.b, item.ptr, 16);
		c.bits = (uint8_t)item.ptr[16];
		if (tally_cidr_has(&c, a))
			return true;
	}
	return false;
}

bool shm_extras_override(const struct shm *s, uint32_t extras,
			 uint64_t limit_id64, uint32_t *count_r)
{
	struct walk w = { s, extras, 0 };
	enum shm_extra_type type;
	struct tl_str item;
	uint64_t id64;

	if (extras == 0 || !s->extras[extras - 1].has_overrides)
		return false;
	while (walk_next(&w, &type, &item)) {
		if (type != SHM_X_OVERRIDE)
			continue;
		memcpy(&id64, item.ptr, 8);
		if (id64 != limit_id64)
			continue;
		memcpy(count_r, item.ptr + 8, 4);
		return true;
	}
	return false;
}

/* ---- janitor ---- */

void extras_mark(struct shm *s, uint32_t extras, uint32_t sweep)
{
	if (extras != 0 && extras <= s->n_extras &&
	    atomic_load(&s->extras[extras - 1].mark) < sweep)
		atomic_store(&s->extras[extras - 1].mark, sweep);
}

static void chain_retire(struct shm *s, const struct entry_table *t,
			 uint32_t i, uint32_t sweep)
{
	_Atomic uint64_t *state = entry_state_of(t, i);
	uint64_t live = atomic_load(state);

	if (entry_state(live) != SHM_LIVE ||
	    !atomic_compare_exchange_strong(
		    state, &live,
		    entry_word(SHM_DYING, entry_gen(live), 0, 0)))
		return;
	if (atomic_load(&s->extras[i].mark) + 2 > sweep)
		(void)entry_keep(state);
	else
		(void)entry_retire(s, t, i, s->extras[i].hash);
}

void extras_sweep(struct shm *s, struct shm_janitor *j)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->extras_fresh), i;
	uint32_t sweep = (uint32_t)atomic_load(&s->head->sweep);
	struct entry_table t;
	uint64_t w;

	entry_extras(s, &t);
	for (i = 0; i < n; i++) {
		w = atomic_load(entry_state_of(&t, i));
		if (entry_state(w) == SHM_INIT && !entry_owner_alive(s, w)) {
			entry_free(&t, i);
		} else if (entry_state(w) == SHM_DYING) {
			(void)entry_keep(entry_state_of(&t, i));
		} else if (entry_state(w) == SHM_RETIRED &&
			   entry_passed(s, &t, i, s->extras[i].hash)) {
			chain_release(s, i);
			atomic_fetch_sub(t.live, 1);
			j->freed_extras++;
		} else if (entry_state(w) == SHM_LIVE && s->extras[i].hash &&
			   atomic_load(&s->extras[i].mark) + 2 <= sweep) {
			chain_retire(s, &t, i, sweep);
		}
	}
}
