/*
 * What the segment has to know before the first request: where the change
 * log ends, plans and limits, the keys with usage of today.  Then loads are
 * open to everybody, and the change log is followed.
 *
 * The position in the change log is taken first and everything read after,
 * so a change in between is read twice, never missed.
 *
 * Loads of a fresh segment stay closed until the spools of older epochs are
 * delivered: what the database holds of today is the base of each quota.
 * An attached segment knows its counts and opens at once; its rules are read
 * anew in the background.
 */
#include "flush/flush_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "shm/policy.h"
#include "shm/usage.h"
#include "store/keysource.h"
#include "store/q_flush.h"
#include "store/q_instance.h"

#define PAGE_KEYS       1000
#define REFRESH_KEYS    500
#define TRIES           5
#define RETRY_MS        1000
#define BUSY_MS         5
#define ANSWERS_KEEP_US 86400000000LL /* 24 h */

static void tell_ready(struct flush *f)
{
	if (f->ready_told)
		return;
	f->ready_told = true;
	f->o.ready(f->o.arg);
}

enum tl_status load_policies(struct flush *f, struct tl_err *err)
{
	struct tally_limit_row *limits;
	struct tally_plan_row *plans;
	uint32_t n_limits, n_plans;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	shm_change_begin(f->shm);
	st = store_limits(f->pg, &arena, &limits, &n_limits, err);
	if (st == TL_OK)
		st = store_plans(f->pg, &arena, &plans, &n_plans, err);
	if (st == TL_OK) {
		for (int i = 0; i < TRIES; i++) {
			st = shm_policy_set(f->shm, limits, n_limits, plans,
					    n_plans, err);
			if (st != TL_BUSY || co_sleep_ms(BUSY_MS, err) != TL_OK)
				break;
		}
	}
	tl_arena_deinit(&arena);
	if (st != TL_FULL)
		return st;
	/* what was in force stays in force; everything else goes on */
	log_error("plans and limits are not taken: %s", err->text);
	return TL_OK;
}

/* ---- keys that are held ---- */

static bool among(const struct tally_digest *d,
		  const struct tally_key_row *rows, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (memcmp(&rows[i].digest, d, sizeof(*d)) == 0)
			return true;
	}
	return false;
}

static bool held(struct flush *f, const struct tally_digest *d)
{
	bool yes;

	shm_enter(f->shm);
	yes = shm_key_find(f->shm, d) != SHM_NONE;
	shm_leave(f->shm);
	return yes;
}

/* Rules of what is held; one that left the segment meanwhile loads itself. */
static enum tl_status take_held(struct flush *f,
				const struct tally_key_row *rows, uint32_t n,
				uint64_t gen, struct tl_err *err)
{
	enum tl_status st;
	bool missing;

	for (uint32_t i = 0; i < n; i++) {
		if (!held(f, &rows[i].digest))
			continue;
		missing = false;
		st = shm_key_take_in(f->shm, &rows[i], gen, &missing, err);
		if (missing) {
			st = load_policies(f, err);
			return st == TL_OK ? TL_BUSY : st;
		}
		if (st != TL_OK)
			return st;
	}
	return TL_OK;
}

static enum tl_status load_keys_once(struct flush *f,
				     const struct tally_digest *digests,
				     uint32_t n, struct tl_err *err)
{
	uint64_t gen = shm_change_gen(f->shm);
	struct tally_key_row *rows;
	struct tl_arena arena;
	uint32_t n_rows;
	enum tl_status st;

	tl_arena_init(&arena);
	st = store_key_load_many(f->pg, digests, n, flush_day(f), &arena, &rows,
				 &n_rows, err);
	if (st == TL_OK)
		st = take_held(f, rows, n_rows, gen, err);
	if (st == TL_OK && n_rows < n) {
		for (uint32_t i = 0; i < n; i++) {
			if (!among(&digests[i], rows, n_rows))
				shm_key_delete(f->shm, &digests[i]);
		}
	}
	tl_arena_deinit(&arena);
	return st;
}

/* Reads again when somebody changed something while we read. */
enum tl_status load_keys(struct flush *f, const struct tally_digest *digests,
			 uint32_t n, struct tl_err *err)
{
	enum tl_status st = TL_BUSY;

	for (int i = 0; i < TRIES && st == TL_BUSY; i++)
		st = load_keys_once(f, digests, n, err);
	return st;
}

/* The next live entries from the hand on. */
static uint32_t collect_held(struct flush *f,
			     struct tally_digest dst[REFRESH_KEYS])
{
	struct shm *s = f->shm;
	uint64_t fresh = atomic_load(&s->head->key_fresh);
	uint32_t n = 0;

	shm_enter(s);
	for (; f->page_hand < s->n_keys && f->page_hand < fresh &&
	       n < REFRESH_KEYS;
	     f->page_hand++) {
		const struct shm_key *k = &s->keys[f->page_hand];
		struct tally_digest d;

		memcpy(&d, k->digest, sizeof(d));
		/* Found by its digest: live, and the digest is whole. */
		if (shm_key_find(s, &d) == f->page_hand)
			dst[n++] = d;
	}
	shm_leave(s);
	return n;
}

static uint64_t refresh_page(struct flush *f, struct tl_err *err,
			     enum tl_status *st_r)
{
	struct tally_digest *digests =
		tl_alloc_array(REFRESH_KEYS, sizeof(*digests));
	uint32_t from = f->page_hand;
	uint32_t n = collect_held(f, digests);

	*st_r = n > 0 ? load_keys(f, digests, n, err) : TL_OK;
	tl_free(digests);
	if (*st_r != TL_OK) {
		f->page_hand = from;
		return CO_STEP_NOW;
	}
	f->loaded += n;
	if (n == 0) {
		log_info("read %" PRIu64 " held keys anew", f->loaded);
		f->load_state = LOAD_WATCH;
	}
	return CO_STEP_NOW;
}

/* ---- keys of today ---- */

static enum tl_status take_today(struct flush *f,
				 const struct tally_key_row *rows, uint32_t n,
				 uint64_t gen, struct tl_err *err)
{
	enum tl_status st;
	bool missing = false;

	for (uint32_t i = 0; i < n; i++) {
		st = shm_key_take_in(f->shm, &rows[i], gen, &missing, err);
		if (missing) {
			st = load_policies(f, err);
			return st == TL_OK ? TL_BUSY : st;
		}
		if (st != TL_OK)
			return st;
		f->loaded++;
	}
	return TL_OK;
}

static enum tl_status today_page(struct flush *f, struct tl_err *err)
{
	uint64_t gen = shm_change_gen(f->shm);
	struct tl_uuid after = f->page_key;
	struct tally_key_row *rows;
	struct tl_arena arena;
	uint32_t n = 0;
	enum tl_status st;

	tl_arena_init(&arena);
	st = store_key_load_today(f->pg, flush_day(f), &after, PAGE_KEYS,
				  &arena, &rows, &n, err);
	if (st == TL_OK)
		st = take_today(f, rows, n, gen, err);
	tl_arena_deinit(&arena);
	if (st == TL_FULL) {
		log_warn("the segment is full after %" PRIu64 " keys of today; "
			 "others are loaded when they are asked for, and "
			 "shm.max_keys should be larger",
			 f->loaded);
		f->load_state = LOAD_ANSWERS;
		return TL_OK;
	}
	if (st != TL_OK)
		return st == TL_BUSY ? TL_OK : st; /* the same page again */
	f->page_key = after;
	if (n < PAGE_KEYS)
		f->load_state = LOAD_ANSWERS;
	return TL_OK;
}

/* ---- answers ---- */

static bool take_answer(struct flush *f,
			const struct q_idempotency_recent_row *row)
{
	struct shm_idem_record rec = {
		.at_ms = (uint64_t)(row->at_us / 1000),
		.answer = { .credits_charged = (uint32_t)row->credits,
			    .day = (uint32_t)row->day,
			    .cost_micro_usd = (uint64_t)row->cost_micro_usd,
			    .credits_used = (uint64_t)row->used,
			    .daily_limit = (uint64_t)row->daily_limit,
			    .request_count = (uint64_t)row->requests },
	};

	if (row->idem_key.len == 0 || row->idem_key.len > sizeof(rec.name) ||
	    row->body_hash.len != sizeof(rec.body_hash))
		return true; /* not of ours: nobody can ask for it */
	memcpy(rec.key_id, row->key_id.b, sizeof(rec.key_id));
	memcpy(rec.body_hash, row->body_hash.ptr, sizeof(rec.body_hash));
	memcpy(rec.name, row->idem_key.ptr, row->idem_key.len);
	return shm_idem_restore(f->shm, &rec, true);
}

/*
 * A fresh segment asks the database about each Idempotency-Key that it does
 * not hold, for 24 h, and refuses while the database is away.  If all answers
 * of that time fit, they are taken in, and nothing needs to be asked.
 */
static enum tl_status answers_state(struct flush *f, struct tl_err *err)
{
	struct q_idempotency_recent_params p = {
		.since_us = tl_wall_us() - ANSWERS_KEEP_US,
		.max = f->shm->n_idems / 2,
	};
	struct q_idempotency_recent_row *rows;
	struct tl_arena arena;
	enum tl_status st;
	uint32_t n, i;
	bool all;

	tl_arena_init(&arena);
	st = q_idempotency_recent(f->pg, &p, &arena, &rows, &n, err);
	if (st == TL_OK) {
		all = n < p.max;
		for (i = 0; i < n; i++)
			all = take_answer(f, &rows[i]) && all;
		if (all)
			shm_idem_complete(f->shm);
		f->load_state = LOAD_OPEN;
	}
	tl_arena_deinit(&arena);
	return st;
}

/* ---- the order of it all ---- */

static enum tl_status take_tail(struct flush *f, struct tl_err *err)
{
	struct q_change_tail_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_change_tail(f->pg, &arena, &row, err);
	tl_arena_deinit(&arena);
	if (st != TL_OK)
		return st;
	f->change_xid = row.xid;
	f->change_id = 0;
	f->load_state = LOAD_POLICY;
	return TL_OK;
}

static enum tl_status policy_state(struct flush *f, struct tl_err *err)
{
	enum tl_status st = load_policies(f, err);

	if (st == TL_BUSY)
		return TL_OK; /* a reader is slow: again */
	if (st != TL_OK)
		return st;
	f->load_state = f->refresh_after ? LOAD_OPEN : LOAD_TODAY;
	return TL_OK;
}

static void open_state(struct flush *f)
{
	if (!f->refresh_after)
		log_info("%" PRIu64 " keys of today loaded in %" PRIu64 " ms",
			 f->loaded, tl_mono_ms() - f->load_from_mono_ms);
	atomic_store(&f->shm->head->loads_open, 1);
	tell_ready(f);
	f->page_hand = 0;
	f->loaded = 0;
	f->load_state = f->refresh_after ? LOAD_REFRESH : LOAD_WATCH;
	f->refresh_after = true; /* from now on the segment is not fresh */
	f->change_poll_ms = 0;
	f->refresh_mono_ms = tl_mono_ms();
}

static bool may_begin(struct flush *f)
{
	struct spool_stat sp;

	if (atomic_load(&f->shm->head->loads_open) != 0)
		tell_ready(f);
	if (!f->home)
		return false;
	spool_stat(f->spool, f->database_id, &sp);
	return sp.old_records == 0 && (sp.records == 0 || f->ready_told);
}

/* Only a note: the step that runs just now would step over a new state. */
void load_restart(struct flush *f)
{
	f->restart_wanted = true;
	co_step_at(&f->load, CO_STEP_NOW);
}

/*
 * What an admin has just changed and waits for.  It is committed, so reading
 * the tables once is enough, and the ticket says that it was done.
 */
static enum tl_status serve_wanted(struct flush *f, struct tl_err *err)
{
	enum tl_status st;
	uint32_t ticket;

	if (f->load_state < LOAD_REFRESH ||
	    !shm_refresh_wanted(f->shm, &ticket))
		return TL_OK;
	st = load_policies(f, err);
	if (st == TL_OK) {
		shm_refresh_did(f->shm, ticket);
		f->refresh_mono_ms = tl_mono_ms(); /* and the log, too */
	}
	return st;
}

/* Round after round; asked by a notification, by the clock. */
static uint64_t watch(struct flush *f, enum tl_status *st_r, struct tl_err *err)
{
	uint64_t now = tl_mono_ms(), due;
	bool more = false;

	due = f->change_poll_mono_ms < f->refresh_mono_ms
		      ? f->change_poll_mono_ms
		      : f->refresh_mono_ms;
	*st_r = TL_OK;
	if (now < due)
		return due;
	*st_r = changes_read(f, &more, err);
	return CO_STEP_NOW;
}

uint64_t load_step(void *arg)
{
	struct flush *f = arg;
	enum tl_status st = TL_OK;
	uint64_t due = CO_STEP_NOW;
	struct tl_err err;

	if (f->restart_wanted && f->load_state >= LOAD_REFRESH) {
		f->restart_wanted = false;
		f->load_state = LOAD_TAIL;
	}
	st = serve_wanted(f, &err);
	if (st != TL_OK)
		goto out;
	switch (f->load_state) {
	case LOAD_WAIT:
		if (!may_begin(f))
			return tl_mono_ms() + 20;
		f->load_from_mono_ms = tl_mono_ms();
		f->load_state = LOAD_TAIL;
		break;
	case LOAD_TAIL:
		st = take_tail(f, &err);
		break;
	case LOAD_POLICY:
		st = policy_state(f, &err);
		break;
	case LOAD_TODAY:
		st = today_page(f, &err);
		break;
	case LOAD_ANSWERS:
		st = answers_state(f, &err);
		break;
	case LOAD_OPEN:
		open_state(f);
		break;
	case LOAD_REFRESH:
		due = refresh_page(f, &err, &st);
		break;
	case LOAD_WATCH:
		due = watch(f, &st, &err);
		break;
	}
out:
	if (st == TL_OK || st == TL_BUSY)
		return due;
	if (st != TL_UNAVAILABLE && st != TL_CANCELED && st != TL_DEADLINE)
		log_warn("keys and rules could not be read: %s; trying again",
			 err.text);
	return tl_mono_ms() + RETRY_MS;
}
