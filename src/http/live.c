/*
 * live.c - a change that is committed, in force in every worker.
 *
 * The database would tell the flusher and the flusher the segment, some
 * milliseconds later; whoever has answered a change by then has promised too
 * much.  So what a handler has changed is taken in here, before its answer.
 *
 * A user or a key: change_gen is raised after the commit and the row is read
 * again.  It is taken in only when nobody raised the number meanwhile, so of
 * two changes at once the later commit is what stays, and a load that read the
 * row as it was gives up.
 * Plans and limits have one writer, the flusher: it is asked, and says so.
 */
#include <unistd.h>

#include "http/http_internal.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "shm/policy.h"
#include "store/keysource.h"

#define LIVE_MAX_MS 3000 /* longest wait for it */
#define AGAIN_MS    5

void http_flusher_wake(struct http *h)
{
	uint64_t one = 1;

	if (h->flusher_eventfd >= 0 &&
	    write(h->flusher_eventfd, &one, sizeof(one)) < 0)
		return; /* full: it is awake already */
}

enum tl_status http_policy_live(struct http *h, struct tl_err *err)
{
	uint64_t until_ms = tl_mono_ms() + LIVE_MAX_MS;
	uint32_t ticket = shm_refresh_want(h->shm);
	enum tl_status st;

	http_flusher_wake(h);
	while (!shm_refresh_done(h->shm, ticket)) {
		if (tl_mono_ms() >= until_ms)
			return tl_err_set(err, TL_UNAVAILABLE,
					  "the flusher has not read plans and "
					  "limits within %d ms",
					  LIVE_MAX_MS);
		st = co_sleep_ms(AGAIN_MS, err);
		if (st != TL_OK)
			return st;
	}
	return TL_OK;
}

/* One try; TL_BUSY: again. */
typedef enum tl_status (*take_fn)(struct http *h, const void *what,
				  uint64_t change_gen, struct tl_arena *arena,
				  struct tl_err *err);

static enum tl_status take_user(struct http *h, const void *what,
				uint64_t change_gen, struct tl_arena *arena,
				struct tl_err *err)
{
	struct tally_user_row *rows;
	enum tl_status st;
	uint32_t n;

	st = store_user_load_many(pg_pool_pg(h->pool), what, 1,
				  (int32_t)shm_day(h->shm, tl_mono_ns()), arena,
				  &rows, &n, err);
	if (st == TL_OK && n > 0)
		st = shm_user_change(h->shm, &rows[0], change_gen, err);
	return st == TL_NOT_FOUND ? TL_OK : st; /* loads it when it comes */
}

static enum tl_status take_key(struct http *h, const void *what,
			       uint64_t change_gen, struct tl_arena *arena,
			       struct tl_err *err)
{
	const struct tally_digest *digest = what;
	bool held, policy_missing = false;
	struct tally_key_row row;
	enum tl_status st;

	st = store_key_load(pg_pool_pg(h->pool), digest,
			    (int32_t)shm_day(h->shm, tl_mono_ns()), arena, &row,
			    err);
	if (st != TL_OK)
		return st == TL_NOT_FOUND ? TL_OK : st;
	shm_enter(h->shm);
	held = shm_key_find(h->shm, digest) != SHM_NONE;
	if (held)
		st = shm_key_take_in(h->shm, &row, change_gen, &policy_missing,
				     err);
	shm_leave(h->shm);
	return st;
}

static enum tl_status take(struct http *h, take_fn fn, const void *what,
			   struct tl_err *err)
{
	uint64_t until_ms = tl_mono_ms() + LIVE_MAX_MS, gen;
	struct tl_arena arena;
	enum tl_status st;

	shm_change_begin(h->shm);
	for (;;) {
		gen = shm_change_gen(h->shm);
		tl_arena_init(&arena);
		st = fn(h, what, gen, &arena, err);
		tl_arena_deinit(&arena);
		if (st != TL_BUSY || tl_mono_ms() >= until_ms)
			return st;
		/* Nobody came in between: it is the plan that is not known
		 * yet.  Reading plans raises the number as well, so asking for
		 * it at each try would be a race that nobody wins. */
		if (shm_change_gen(h->shm) == gen)
			st = http_policy_live(h, err);
		else
			st = co_sleep_ms(AGAIN_MS, err);
		if (st != TL_OK)
			return st;
	}
}

enum tl_status http_user_live(struct http *h, const struct tl_uuid *user_id,
			      struct tl_err *err)
{
	return take(h, take_user, user_id, err);
}

enum tl_status http_key_live(struct http *h, const struct tally_digest *digest,
			     struct tl_err *err)
{
	return take(h, take_key, digest, err);
}
