/*
 * The change log: what other processes and hosts changed in the database.
 *
 * A row says what to read again, not what it is now, so reading it twice is
 * harmless.  Only what is held is read; the rest loads when it is asked for,
 * and a load that is under way sees change_gen move and reads anew.
 *
 * All rows that can be seen are heeded at once; an import that runs for minutes
 * shall not hold back a suspension.  But the position moves only below the
 * oldest running transaction, for what commits later may lie before what is
 * seen now.  Rows above are read again, and since no second notification will
 * come for a late one, the log is looked at again in growing steps.
 */
#include "flush/flush_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shm/metrics.h"
#include "store/keysource.h"
#include "store/q_instance.h"

#define READ_MAX      500
#define BUSY_AGAIN_MS 5
#define POLL_FROM_MS  20
#define POLL_TO_MS    20000

/* What a round has to read, each thing once. */
struct touched {
	bool policies, all;
	struct tally_digest *digests;
	struct tl_uuid *users;
	uint32_t n_digests, n_users;
};

static bool has_user(const struct touched *t, const struct tl_uuid *id)
{
	for (uint32_t i = 0; i < t->n_users; i++) {
		if (tl_uuid_eq(&t->users[i], id))
			return true;
	}
	return false;
}

static bool has_digest(const struct touched *t, const struct tally_digest *d)
{
	for (uint32_t i = 0; i < t->n_digests; i++) {
		if (memcmp(&t->digests[i], d, sizeof(*d)) == 0)
			return true;
	}
	return false;
}

static void touch_key(struct flush *f, struct touched *t, struct tl_str digest)
{
	struct tally_digest d;
	struct shm *s = f->shm;

	if (digest.len != sizeof(d))
		return;
	memcpy(&d, digest.ptr, sizeof(d));
	shm_enter(s);
	if (shm_key_find(s, &d) != SHM_NONE) {
		if (!has_digest(t, &d))
			t->digests[t->n_digests++] = d;
	} else if (shm_negative_look(s, &d, tl_mono_ms()) == SHM_NEG_UNKNOWN) {
		shm_negative_settle(s, &d, tl_mono_ms(), 0); /* it is new */
	}
	shm_leave(s);
}

static void touch_user(struct flush *f, struct touched *t,
		       const struct tl_uuid *id)
{
	shm_enter(f->shm);
	if (shm_user_find(f->shm, id) != SHM_NONE && !has_user(t, id))
		t->users[t->n_users++] = *id;
	shm_leave(f->shm);
}

static void sort_out(struct flush *f, const struct q_change_read_row *rows,
		     uint32_t n, struct touched *t)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct q_change_read_row *r = &rows[i];

		if (tl_str_eq(r->kind, TL_STR("key")) && !r->digest_null)
			touch_key(f, t, r->digest);
		else if (tl_str_eq(r->kind, TL_STR("user")) && !r->user_id_null)
			touch_user(f, t, &r->user_id);
		else if (tl_str_eq(r->kind, TL_STR("plan")) ||
			 tl_str_eq(r->kind, TL_STR("limit")))
			t->policies = true;
		else
			t->all = true; /* also what a later release writes */
	}
}

/* They come first. */
static uint32_t count_final(const struct q_change_read_row *rows, uint32_t n)
{
	uint32_t final = 0;

	while (final < n && rows[final].final)
		final++;
	return final;
}

static enum tl_status load_users(struct flush *f, const struct touched *t,
				 struct tl_arena *arena, struct tl_err *err)
{
	/* a row read before a suspension must not lift it again */
	uint64_t gen = shm_change_gen(f->shm);
	struct tally_user_row *rows;
	uint32_t n;
	enum tl_status st;

	st = store_user_load_many(f->pg, t->users, t->n_users, flush_day(f),
				  arena, &rows, &n, err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++) {
		st = shm_user_change(f->shm, &rows[i], gen, err);
		if (st == TL_NOT_FOUND)
			st = TL_OK;
	}
	return st;
}

static enum tl_status read_touched(struct flush *f, const struct touched *t,
				   struct tl_arena *arena, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	shm_change_begin(f->shm);
	if (t->policies)
		st = load_policies(f, err);
	if (st == TL_OK && t->n_users > 0)
		st = load_users(f, t, arena, err);
	if (st == TL_OK && t->n_digests > 0)
		st = load_keys(f, t->digests, t->n_digests, err);
	return st;
}

/* The position must still be one that nothing was trimmed behind. */
static enum tl_status position_good(struct flush *f, struct tl_arena *arena,
				    bool *good_r, struct tl_err *err)
{
	struct q_change_tail_row tail;
	enum tl_status st;

	st = q_change_tail(f->pg, arena, &tail, err);
	if (st != TL_OK)
		return st;
	*good_r = f->change_xid <= tail.xid &&
		  (f->change_xid > tail.trimmed_xid ||
		   (f->change_xid == tail.trimmed_xid && f->change_id > 0));
	return st;
}

static void next_poll(struct flush *f, bool found)
{
	uint64_t now = tl_mono_ms();

	f->refresh_mono_ms =
		now + (uint64_t)f->o.conf->keys.refresh_seconds * 1000;
	if (f->change_poll_mono_ms > now)
		return;
	if (found)
		f->change_poll_ms = 0;
	f->change_poll_ms =
		f->change_poll_ms == 0 ? POLL_FROM_MS : f->change_poll_ms * 2;
	f->change_poll_mono_ms = f->change_poll_ms > POLL_TO_MS
					 ? CO_STEP_NEVER
					 : now + f->change_poll_ms;
}

enum tl_status changes_read(struct flush *f, bool *more_r, struct tl_err *err)
{
	struct touched t = { 0 };
	struct q_change_read_row *rows;
	struct tl_arena arena;
	uint32_t n = 0, final;
	bool good = false;
	enum tl_status st;

	tl_arena_init(&arena);
	t.digests = tl_arena_alloc(&arena, READ_MAX * sizeof(*t.digests));
	t.users = tl_arena_alloc(&arena, READ_MAX * sizeof(*t.users));
	st = position_good(f, &arena, &good, err);
	if (st == TL_OK && !good) {
		log_warn("the change log does not reach back to where it was "
			 "read last; everything is read anew");
		load_restart(f);
		goto out;
	}
	if (st == TL_OK)
		st = q_change_read(f->pg,
				   &(struct q_change_read_params){
					   .xid = f->change_xid,
					   .change_id = f->change_id,
					   .max = READ_MAX },
				   &arena, &rows, &n, err);
	if (st == TL_OK && n > 0) {
		sort_out(f, rows, n, &t);
		st = read_touched(f, &t, &arena, err);
	}
	if (st == TL_BUSY) /* somebody changed the same meanwhile */
		f->refresh_mono_ms = tl_mono_ms() + BUSY_AGAIN_MS;
	if (st != TL_OK)
		goto out;
	final = count_final(rows, n);
	if (final > 0) {
		f->change_xid = rows[final - 1].xid;
		f->change_id = rows[final - 1].change_id;
		shm_count(f->shm, SHM_C_CHANGES, final);
	}
	if (t.all)
		load_restart(f);
	*more_r = n == READ_MAX && final > 0;
	if (!*more_r)
		next_poll(f, final > 0);
out:
	tl_arena_deinit(&arena);
	return st;
}
