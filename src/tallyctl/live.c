#include "tallyctl/live.h"

#include "base/clock.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "shm/policy.h"
#include "store/keysource.h"

#define WATCH_MS 5000
#define STEP_MS  5
#define LOAD_MS  100

enum exit_status live_open(struct live *l, struct tallyctl *t)
{
	struct tl_err err;
	enum tl_status st;

	*l = (struct live){ .shm = NULL };
	st = shm_open_reader(t->conf->server.instance, &l->shm, &err);
	if (st == TL_OK || st == TL_NOT_FOUND)
		return EXIT_OK;
	return complain(EXIT_FAILED,
			"cannot see the segment, so nothing was changed: %s",
			err.text);
}

void live_close(struct live *l)
{
	shm_close(&l->shm);
}

void live_before(struct live *l)
{
	if (l->shm != NULL)
		l->gen_before = shm_change_gen(l->shm);
}

void live_after(struct live *l)
{
	if (l->shm != NULL)
		l->gen_after = shm_change_gen(l->shm);
	l->commit_mono_ms = tl_mono_ms();
}

/*
 * For what is not held: a worker may be loading the row as it was, and gives
 * that up only when it finds change_gen raised after it began.  A raise
 * between the statement and its answer may be from before the commit; then a
 * load from before the commit is given LOAD_MS to show itself.
 */
static bool loads_passed(const struct live *l)
{
	uint64_t gen = shm_change_gen(l->shm);

	return gen != l->gen_after ||
	       (gen != l->gen_before &&
		tl_mono_ms() - l->commit_mono_ms >= LOAD_MS);
}

/* ---- looking once ---- */

struct what {
	const struct tl_uuid *id, *limit_id;
	const struct tally_digest *digest;
	int64_t grace_until_s;
	struct tl_arena *arena; /* of this look */
};
/* Does the segment show what the database holds now? */
typedef enum tl_status (*look_fn)(struct live *l, struct pg *pg,
				  const struct what *w, bool *there_r,
				  struct tl_err *err);

static int32_t today(void)
{
	return (int32_t)(tl_wall_us() / 86400000000LL);
}

static bool plan_is(const struct shm *s, uint32_t plan,
		    const struct tl_uuid *plan_id)
{
	const struct shm_policy *p = shm_policy(s);

	return plan < SHM_PLANS && p->plans[plan].used &&
	       memcmp(p->plans[plan].plan_id, plan_id->b, 16) == 0;
}

static enum tl_status look_user(struct live *l, struct pg *pg,
				const struct what *w, bool *there_r,
				struct tl_err *err)
{
	struct tally_user_row *row;
	const struct shm_user *u;
	enum tl_status st;
	uint32_t n, at;

	st = store_user_load_many(pg, w->id, 1, today(), w->arena, &row, &n,
				  err);
	if (st != TL_OK)
		return st;
	at = shm_user_find(l->shm, w->id);
	if (n == 0 || at == SHM_NONE) {
		*there_r = loads_passed(l);
		return TL_OK;
	}
	u = &l->shm->users[at];
	*there_r = ((atomic_load(&u->flags) & SHM_USER_SUSPENDED) != 0) ==
			   row->suspended &&
		   plan_is(l->shm, atomic_load(&u->plan), &row->plan_id);
	return TL_OK;
}

static enum tl_status look_plan(struct live *l, struct pg *pg,
				const struct what *w, bool *there_r,
				struct tl_err *err)
{
	struct tally_plan_row row;
	enum tl_status st;

	st = store_plan_load(pg, w->id, w->arena, &row, err);
	*there_r = st == TL_NOT_FOUND ||
		   (st == TL_OK && shm_policy_shows_plan(l->shm, &row));
	return st == TL_NOT_FOUND ? TL_OK : st;
}

static enum tl_status look_limit(struct live *l, struct pg *pg,
				 const struct what *w, bool *there_r,
				 struct tl_err *err)
{
	struct tally_limit_row row;
	enum tl_status st;

	st = store_limit_load(pg, w->id, w->arena, &row, err);
	if (st != TL_OK && st != TL_NOT_FOUND)
		return st;
	*there_r = shm_policy_shows_limit(l->shm, w->id,
					  st == TL_OK ? &row : NULL);
	return TL_OK;
}

static bool override_shown(const struct live *l, uint32_t extras,
			   const struct tl_uuid *limit_id,
			   const struct tally_override *rows, uint32_t n)
{
	uint64_t id64 = shm_limit_id64(l->shm, limit_id);
	uint32_t count, i;
	bool has = shm_extras_override(l->shm, extras, id64, &count);

	for (i = 0; i < n && !tl_uuid_eq(&rows[i].limit_id, limit_id); i++)
		;
	return i < n ? has && count == rows[i].count : !has;
}

static enum tl_status look_override(struct live *l, struct pg *pg,
				    const struct what *w, bool *there_r,
				    struct tl_err *err)
{
	struct tally_user_row *user = NULL;
	struct tally_key_row key;
	enum tl_status st;
	uint32_t n = 0, at;

	if (w->digest != NULL) {
		st = store_key_load(pg, w->digest, today(), w->arena, &key,
				    err);
		n = st == TL_OK;
		at = shm_key_find(l->shm, w->digest);
	} else {
		st = store_user_load_many(pg, w->id, 1, today(), w->arena,
					  &user, &n, err);
		at = shm_user_find(l->shm, w->id);
	}
	if (st != TL_OK && st != TL_NOT_FOUND)
		return st;
	if (n == 0 || at == SHM_NONE)
		*there_r = loads_passed(l);
	else if (w->digest != NULL)
		*there_r = override_shown(
			l, atomic_load(&l->shm->keys[at].extras), w->limit_id,
			key.overrides, key.n_overrides);
	else
		*there_r = override_shown(
			l, atomic_load(&l->shm->users[at].extras), w->limit_id,
			user->overrides, user->n_overrides);
	return TL_OK;
}

static enum tl_status look_key(struct live *l, struct pg *pg,
			       const struct what *w, bool *there_r,
			       struct tl_err *err)
{
	uint32_t at = shm_key_find(l->shm, w->digest);
	const struct shm_key *k;

	(void)pg; /* nothing brings it back, so there is nothing to ask */
	(void)err;
	if (at == SHM_NONE) {
		*there_r = loads_passed(l);
		return TL_OK;
	}
	k = &l->shm->keys[at];
	*there_r = (atomic_load(&k->flags) & SHM_KEY_REVOKED) != 0 &&
		   atomic_load(&k->grace_until_s) <= w->grace_until_s;
	return TL_OK;
}

/* ---- until it is so ---- */

static enum tl_status watch(struct live *l, struct pg *pg, look_fn look,
			    struct what *w, struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + WATCH_MS, pid;
	struct tl_arena arena;
	enum tl_status st;
	bool there = false;

	if (l->shm == NULL)
		return TL_OK;
	w->arena = &arena;
	for (;;) {
		tl_arena_init(&arena);
		st = look(l, pg, w, &there, err);
		tl_arena_deinit(&arena);
		if (st != TL_OK || there || !shm_slots_alive(l->shm, &pid))
			return st;
		if (tl_mono_ms() >= due_mono_ms)
			return tl_err_set(err, TL_BUSY,
					  "it is stored, but the daemon has "
					  "not taken it in within %d ms; it "
					  "does with its next look at the "
					  "database: see 'tallyctl status'",
					  WATCH_MS);
		st = co_sleep_ms(STEP_MS, err);
		if (st != TL_OK)
			return st;
	}
}

enum tl_status live_user(struct live *l, struct pg *pg,
			 const struct tl_uuid *user_id, struct tl_err *err)
{
	return watch(l, pg, look_user, &(struct what){ .id = user_id }, err);
}

enum tl_status live_plan(struct live *l, struct pg *pg,
			 const struct tl_uuid *plan_id, struct tl_err *err)
{
	return watch(l, pg, look_plan, &(struct what){ .id = plan_id }, err);
}

enum tl_status live_limit(struct live *l, struct pg *pg,
			  const struct tl_uuid *limit_id, struct tl_err *err)
{
	return watch(l, pg, look_limit, &(struct what){ .id = limit_id }, err);
}

enum tl_status live_override(struct live *l, struct pg *pg,
			     const struct tl_uuid *limit_id,
			     const struct tl_uuid *user_id,
			     const struct tally_digest *digest,
			     struct tl_err *err)
{
	return watch(l, pg, look_override,
		     &(struct what){ .id = user_id,
				     .limit_id = limit_id,
				     .digest = digest },
		     err);
}

enum tl_status live_key(struct live *l, const struct tally_digest *digest,
			int64_t grace_until_s, struct tl_err *err)
{
	return watch(l, NULL, look_key,
		     &(struct what){ .digest = digest,
				     .grace_until_s = grace_until_s },
		     err);
}
