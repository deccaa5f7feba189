#include "config.h" /* _GNU_SOURCE */

/*
 * resize.c - the same live state in a segment of other sizes.
 *
 * Runs in the master before any child: copies users, keys with all their
 * words, rules and the windows of addresses.  Epoch, sequence and sealed
 * batches go along, so that the flush protocol does not notice.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/entry.h"
#include "shm/extras.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/segment.h"
#include "shm/usage.h"
#include "shm/window.h"

/*
 * Batches name keys by index, which differs after the copy.  A batch that
 * was not confirmed is dropped together with its number: its counts are
 * still pending in the cells, so the next batch holds them again.  That is
 * only right while the database has not applied it; so the number goes with
 * the old epoch, and the caller resizes only when no batch is SEALED.
 */
static bool batches_idle(const struct shm *s)
{
	uint32_t i;

	for (i = 0; i < SHM_BATCHES; i++)
		if (atomic_load(&s->batches[i].state) == SHM_B_SEALED)
			return false;
	return true;
}

static uint32_t copy_entry(const struct entry_table *from,
			   const struct entry_table *to, struct shm *dst,
			   uint32_t i, uint64_t hash, uint32_t hint)
{
	uint32_t j = entry_alloc(dst, to);
	uint8_t *a, *b;

	if (j == SHM_NONE)
		return SHM_NONE;
	a = from->base + (size_t)i * from->stride;
	b = to->base + (size_t)j * to->stride;
	memcpy(b + 8, a + 8, from->stride - 8); /* all but the state word */
	atomic_store(entry_state_of(to, j), entry_word(SHM_LIVE, 1, 0, 0));
	if (hash == 0) /* found through another one: not counted */
		return j;
	if (!dir_insert(to, hash, 1, j, hint))
		return SHM_NONE;
	atomic_fetch_add(to->live, 1);
	return j;
}

/* Extras chains: index+1 of the old to index+1 of the new one. */
static enum tl_status copy_extras(struct shm *src, struct shm *dst,
				  uint32_t *map, struct tl_err *err)
{
	uint32_t n = (uint32_t)atomic_load(&src->head->extras_fresh), i;
	struct entry_table from, to;

	entry_extras(src, &from);
	entry_extras(dst, &to);
	for (i = 0; i < n; i++) {
		if (entry_state(atomic_load(&src->extras[i].state)) != SHM_LIVE)
			continue;
		map[i] = copy_entry(&from, &to, dst, i, src->extras[i].hash,
				    0);
		if (map[i] == SHM_NONE)
			return tl_err_set(err, TL_FULL,
					  "the live scopes and networks do "
					  "not fit; raise shm.max_keys");
	}
	for (i = 0; i < n; i++)
		if (map[i] != SHM_NONE && src->extras[i].next != 0)
			dst->extras[map[i]].next =
				map[src->extras[i].next - 1] + 1;
	return TL_OK;
}

static uint32_t map_extras(const uint32_t *map, uint32_t extras)
{
	if (extras == 0 || map[extras - 1] == SHM_NONE)
		return 0;
	return map[extras - 1] + 1;
}

static enum tl_status copy_users(struct shm *src, struct shm *dst,
				 const uint32_t *extras_map, uint32_t *map,
				 struct tl_err *err)
{
	uint32_t n = (uint32_t)atomic_load(&src->head->user_fresh), i;
	struct entry_table from, to;
	struct shm_user *u;

	entry_users(src, &from);
	entry_users(dst, &to);
	for (i = 0; i < n; i++) {
		if (entry_state(atomic_load(&src->users[i].state)) != SHM_LIVE)
			continue;
		map[i] = copy_entry(&from, &to, dst, i,
				    dir_hash(dst, src->users[i].user_id, 16), 0);
		if (map[i] == SHM_NONE)
			return tl_err_set(err, TL_FULL,
					  "the live users do not fit; raise "
					  "shm.max_users");
		u = &dst->users[map[i]];
		atomic_store(&u->extras,
			     map_extras(extras_map, atomic_load(&u->extras)));
	}
	return TL_OK;
}

/* Another window length starts pre-charged with what the old one holds. */
static void ring_rescale(_Atomic uint64_t ring[SHM_CELLS], uint64_t old_ms,
			 uint64_t new_ms, uint64_t base_ns, uint64_t now_ns)
{
	struct shm_window_result r;
	struct shm_ticket t;
	uint32_t sum, i;

	if (old_ms == new_ms)
		return;
	sum = shm_window_sum(ring, old_ms * TL_NS_PER_MS, now_ns - base_ns);
	for (i = 0; i < SHM_CELLS; i++)
		atomic_store(&ring[i], 0);
	if (sum > 0)
		shm_window_check(ring, new_ms * TL_NS_PER_MS, UINT32_MAX, sum,
				 base_ns, now_ns, &t, &r);
}

static enum tl_status copy_keys(struct shm *src, struct shm *dst,
				const uint32_t *extras_map,
				const uint32_t *user_map, struct tl_err *err)
{
	uint32_t n = (uint32_t)atomic_load(&src->head->key_fresh), i, j, user;
	const struct shm_constants *a = &src->head->k, *b = &dst->head->k;
	uint64_t now_ns = tl_mono_ns();
	struct entry_table from, to;
	struct shm_key *k;
	bool live;

	entry_keys(src, &from);
	entry_keys(dst, &to);
	for (i = 0; i < n; i++) {
		user = atomic_load(&src->keys[i].user);
		/* RETIRED after shm_verify: has usage to hand over */
		if (entry_state(atomic_load(&src->keys[i].state)) < SHM_LIVE ||
		    user_map[user] == SHM_NONE)
			continue;
		live = entry_state(atomic_load(&src->keys[i].state)) ==
		       SHM_LIVE;
		j = copy_entry(&from, &to, dst, i,
			       live ? dir_hash(dst, src->keys[i].digest, 32)
				    : 0,
			       user_map[user]);
		if (j == SHM_NONE)
			return tl_err_set(err, TL_FULL,
					  "the live keys do not fit; raise "
					  "shm.max_keys");
		k = &dst->keys[j];
		if (!live)
			atomic_store(&k->state,
				     entry_word(SHM_RETIRED, 1, 0, 0));
		atomic_store(&k->user, user_map[user]);
		atomic_store(&k->extras,
			     map_extras(extras_map, atomic_load(&k->extras)));
		ring_rescale(k->ring, a->window_ms, b->window_ms,
			     b->created_mono_ns, now_ns);
	}
	return TL_OK;
}

static void copy_windows(struct shm *src, struct shm *dst)
{
	const struct shm_constants *a = &src->head->k, *b = &dst->head->k;
	uint64_t now_ns = tl_mono_ns(), tag;
	struct shm_window *w, *from;
	uint32_t i, c;
	bool own;

	for (i = 0; i < src->n_addresses + src->n_windows; i++) {
		own = i < src->n_addresses;
		from = own ? &src->addresses[i]
			   : &src->windows[i - src->n_addresses];
		tag = atomic_load(&from->tag);
		if (tag == 0)
			continue;
		w = shm_window_get(dst, own ? dst->addresses : dst->windows,
				   own ? dst->n_addresses : dst->n_windows,
				   tag, from->subject,
				   atomic_load(&from->window_ms),
				   atomic_load(&from->last_mono_ms));
		for (c = 0; w != NULL && c < SHM_CELLS; c++)
			atomic_store(&w->ring[c], atomic_load(&from->ring[c]));
		if (w != NULL && own) {
			ring_rescale(w->ring, a->window_ms, b->window_ms,
				     b->created_mono_ns, now_ns);
			atomic_store(&w->window_ms, b->window_ms);
		}
	}
}

static void copy_idems(struct shm *src, struct shm *dst)
{
	uint64_t st;
	uint32_t i;

	for (i = 0; i < src->n_idems; i++) {
		struct shm_idem *r = &src->idems[i];

		st = atomic_load(&r->state) & 0xff;
		if (st >= SHM_I_DONE && r->rec.name[0] != 0)
			shm_idem_restore(dst, &r->rec, st == SHM_I_FLUSHED);
	}
}

static void copy_head(const struct shm *src, struct shm *dst)
{
	struct shm_head *a = src->head, *b = dst->head;

	atomic_store(&b->generation, atomic_load(&a->generation) + 1);
	atomic_store(&b->database_id[0], atomic_load(&a->database_id[0]));
	atomic_store(&b->database_id[1], atomic_load(&a->database_id[1]));
	atomic_store(&b->max_period, atomic_load(&a->max_period));
	atomic_store(&b->wall_offset_us, atomic_load(&a->wall_offset_us));
	atomic_store(&b->loads_open, atomic_load(&a->loads_open));
	atomic_store(&b->next_seq, atomic_load(&a->next_seq));
	atomic_store(&b->flush_gen, atomic_load(&a->flush_gen));
	atomic_store(&b->committed_gen, atomic_load(&a->committed_gen));
	atomic_store(&b->sweep, atomic_load(&a->sweep));
	atomic_store(&b->idem_floor_ms, atomic_load(&a->idem_floor_ms));
	atomic_store(&b->policy_gen, atomic_load(&a->policy_gen) & 1);
	memcpy(dst->policies, src->policies, 2 * sizeof(struct shm_policy));
	memcpy(dst->metrics, src->metrics,
	       SHM_SLOTS * sizeof(struct shm_metrics));
}

static enum tl_status copy_all(struct shm *src, struct shm *dst,
			       struct tl_err *err)
{
	uint32_t *extras_map = tl_alloc_array(src->n_extras + 1, 4);
	uint32_t *user_map = tl_alloc_array(src->n_users + 1, 4);
	enum tl_status st;

	memset(extras_map, 0xff, (src->n_extras + 1) * 4UL);
	memset(user_map, 0xff, (src->n_users + 1) * 4UL);
	copy_head(src, dst);
	st = copy_extras(src, dst, extras_map, err);
	if (st == TL_OK)
		st = copy_users(src, dst, extras_map, user_map, err);
	if (st == TL_OK)
		st = copy_keys(src, dst, extras_map, user_map, err);
	if (st == TL_OK) {
		copy_windows(src, dst);
		copy_idems(src, dst);
		/* a smaller ring drops what it can not hold, counted here */
		dst->my_metrics = &dst->metrics[SHM_SLOT_MASTER];
		shm_reqlog_copy(src, dst);
	}
	tl_free(extras_map);
	tl_free(user_map);
	return st;
}

enum tl_status shm_resize(const char *instance, const struct shm_sizes *z,
			  struct shm **shm, struct tl_err *err)
{
	char name[64], old_name[96], new_name[64], from[128], to[128];
	struct shm *dst = NULL;
	enum tl_status st;

	st = shm_verify(*shm, err);
	if (st != TL_OK)
		return st;
	if (!batches_idle(*shm))
		return tl_err_set(err, TL_BUSY,
				  "a batch is on its way; start once with the "
				  "former sizes, then change them");
	shm_name(instance, name);
	/* one that a killed master left in the middle of this */
	snprintf(new_name, sizeof(new_name), "/new.%.50s", name + 1);
	shm_unlink_name(new_name);
	st = segment_create(new_name, z, &(*shm)->head->k, &dst, err);
	if (st == TL_OK)
		st = copy_all(*shm, dst, err);
	if (st != TL_OK) {
		shm_close(&dst);
		shm_unlink_name(new_name);
		return st;
	}
	snprintf(old_name, sizeof(old_name), "/dev/shm%s", name);
	snprintf(from, sizeof(from), "/dev/shm%s", new_name);
	snprintf(to, sizeof(to), "%s", old_name);
	if (rename(from, to) < 0) {
		st = tl_err_sys(err, "put the resized segment in place");
		shm_close(&dst);
		shm_unlink_name(new_name);
		return st;
	}
	shm_close(shm);
	*shm = dst;
	return TL_OK;
}
