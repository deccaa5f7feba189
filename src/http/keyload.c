/*
 * keyload.c - takes a key that the segment does not hold from the database.
 *
 * Within a process one load runs per key and others wait for it; between
 * processes the negative cache says who loads.  Unknown keys are remembered
 * there for a while.  A flood of keys that nobody has ever asked about gets
 * past both, each being another: so a process looks for so many unknown keys
 * a second and no more.  Keys that exist cost nothing of that.
 */
#include <stdatomic.h>

#include "base/log.h"
#include "http/http_internal.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "shm/policy.h"
#include "store/keysource.h"

#define UNKNOWN_MS      5000
#define LOADS_MAX       64 /* at a time in this process */
#define OTHER_LOADS_MS  5  /* between looks at another process's load */
#define TAKE_IN_TRIES   20
#define TAKE_IN_WAIT_MS 10
#define WAIT_MAX_MS     4000 /* longest we look at others loading */
#define UNKNOWN_EACH_MS 20   /* 50 a second, */
#define UNKNOWN_BURST   200  /* after so many at once */
#define TELL_FLOOD_MS   60000

struct load {
	struct tl_list link;
	struct tally_digest digest;
	struct tl_list waiters;
	enum tl_status result;
};
struct waiter {
	struct tl_list link;
	struct co_wait wait;
	enum tl_status result;
};
struct http_loads {
	struct tl_list running;
	uint32_t n;
	uint64_t unknown_mono_ms; /* paid for until then */
	uint64_t told_mono_ms;
};

void http_loads_init(struct http *h)
{
	h->loads = tl_alloc(sizeof(*h->loads));
	tl_list_init(&h->loads->running);
}

void http_loads_deinit(struct http *h)
{
	tl_freep(&h->loads);
}

static bool held(struct http *h, const struct tally_digest *digest)
{
	uint32_t key;

	shm_enter(h->shm);
	key = shm_key_find(h->shm, digest);
	shm_leave(h->shm);
	return key != SHM_NONE;
}

/* Reads the row and takes it in, anew as long as the world moves. */
static enum tl_status read_and_take(struct http *h,
				    const struct tally_digest *digest,
				    struct tl_arena *arena, struct tl_err *err)
{
	enum tl_status st = TL_BUSY;

	for (int i = 0; i < TAKE_IN_TRIES && st == TL_BUSY; i++) {
		uint64_t now_ns = tl_mono_ns();
		uint64_t gen = shm_change_gen(h->shm);
		bool policy_missing = false;
		struct tally_key_row row;

		st = store_key_load(pg_pool_pg(h->pool), digest,
				    (int32_t)shm_day(h->shm, now_ns), arena,
				    &row, err);
		if (st != TL_OK)
			break;
		shm_enter(h->shm);
		st = shm_key_take_in(h->shm, &row, gen, &policy_missing, err);
		shm_leave(h->shm);
		if (st == TL_BUSY) {
			enum tl_status slept;

			if (policy_missing) {
				(void)shm_refresh_want(h->shm);
				http_flusher_wake(h);
			}
			slept = co_sleep_ms(TAKE_IN_WAIT_MS, err);
			if (slept != TL_OK)
				return slept;
		}
	}
	return st;
}

static void unknown_note(struct http_loads *l)
{
	uint64_t now_ms = tl_mono_ms();

	if (l->unknown_mono_ms < now_ms)
		l->unknown_mono_ms = now_ms;
	l->unknown_mono_ms += UNKNOWN_EACH_MS;
}

/*
 * A key of a customer that was never seen waits with the others then: that
 * is the price, and it says when to come again.
 */
static bool unknown_flood(struct http_loads *l)
{
	uint64_t now_ms = tl_mono_ms();

	if (l->unknown_mono_ms < now_ms + UNKNOWN_BURST * UNKNOWN_EACH_MS)
		return false;
	if (l->told_mono_ms == 0 || now_ms > l->told_mono_ms + TELL_FLOOD_MS) {
		log_warn("a flood of unknown keys; %d a second are looked for, "
			 "who brings another that is not held gets 503",
			 1000 / UNKNOWN_EACH_MS);
		l->told_mono_ms = now_ms;
	}
	return true;
}

static enum tl_status load_claimed(struct http *h,
				   const struct tally_digest *digest,
				   struct tl_err *err)
{
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = read_and_take(h, digest, &arena, err);
	tl_arena_deinit(&arena);
	shm_negative_settle(h->shm, digest, tl_mono_ms(),
			    st == TL_NOT_FOUND ? UNKNOWN_MS : 0);
	if (st == TL_NOT_FOUND)
		unknown_note(h->loads);
	http_count(h, st == TL_OK          ? SHM_C_KEY_LOADS
		      : st == TL_NOT_FOUND ? SHM_C_KEY_LOAD_UNKNOWN
					   : SHM_C_KEY_LOAD_FAILED);
	return st;
}

/* Until this process may load it, or another one has. */
static enum tl_status load_alone(struct http *h,
				 const struct tally_digest *digest,
				 struct tl_err *err)
{
	uint64_t until_ms = tl_mono_ms() + WAIT_MAX_MS;

	for (;;) {
		uint64_t now_ms = tl_mono_ms();
		enum tl_status st;

		if (held(h, digest))
			return TL_OK;
		if (atomic_load(&h->shm->head->loads_open) == 0)
			return tl_err_set(err, TL_UNAVAILABLE,
					  "keys can not be loaded yet: older "
					  "usage is still on its way to the "
					  "database");
		switch (shm_negative_look(h->shm, digest, now_ms)) {
		case SHM_NEG_UNKNOWN:
			http_count(h, SHM_C_NEGATIVE_HITS);
			return TL_NOT_FOUND;
		case SHM_NEG_NONE:
			if (shm_negative_claim(h->shm, digest, now_ms))
				return load_claimed(h, digest, err);
			break;
		case SHM_NEG_LOADING:
			break;
		}
		if (now_ms > until_ms)
			return tl_err_set(err, TL_UNAVAILABLE,
					  "another process loads the key and "
					  "does not finish");
		st = co_sleep_ms(OTHER_LOADS_MS, err);
		if (st != TL_OK)
			return st;
	}
}

static struct load *running_load(struct http_loads *loads,
				 const struct tally_digest *digest)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &loads->running)
	{
		struct load *l = TL_CONTAINER(pos, struct load, link);

		if (memcmp(&l->digest, digest, sizeof(*digest)) == 0)
			return l;
	}
	return NULL;
}

static enum tl_status wait_for(struct load *l, struct tl_err *err)
{
	struct waiter w = { .result = TL_UNAVAILABLE };
	enum tl_status st;

	co_wait_init(&w.wait);
	tl_list_append(&l->waiters, &w.link);
	st = co_wait(&w.wait, err);
	tl_list_unlink(&w.link);
	if (st != TL_OK)
		return st;
	if (w.result == TL_OK || w.result == TL_NOT_FOUND)
		return w.result;
	return tl_err_set(err, w.result, "the load of the key failed");
}

enum tl_status http_key_load(struct http *h, const struct tally_digest *digest,
			     struct tl_err *err)
{
	struct load *running = running_load(h->loads, digest);
	struct load mine = { .digest = *digest };

	tl_assert(co_self() != NULL);
	if (running != NULL)
		return wait_for(running, err);
	if (h->loads->n >= LOADS_MAX)
		return tl_err_set(err, TL_FULL, "%u keys are being loaded",
				  h->loads->n);
	if (unknown_flood(h->loads))
		return tl_err_set(err, TL_FULL,
				  "too many unknown keys are asked about");
	tl_list_init(&mine.waiters);
	tl_list_append(&h->loads->running, &mine.link);
	h->loads->n++;
	mine.result = load_alone(h, digest, err);
	h->loads->n--;
	tl_list_unlink(&mine.link);
	while (!tl_list_empty(&mine.waiters)) {
		struct waiter *w =
			TL_CONTAINER(mine.waiters.next, struct waiter, link);

		/* one of ours that ran out of time says nothing of theirs */
		w->result =
			mine.result == TL_DEADLINE || mine.result == TL_CANCELED
				? TL_BUSY
				: mine.result;
		tl_list_unlink(&w->link);
		co_wake(&w->wait);
	}
	return mine.result;
}

static void load_for_request(struct req *req)
{
	struct http_req_priv *p = req->priv;
	enum tl_status st;
	struct tl_err err;

	st = http_key_load(req->http, &p->load_digest, &err);
	if (st == TL_OK || st == TL_NOT_FOUND) {
		p->again(req, st == TL_NOT_FOUND);
		return;
	}
	/* no decision, but somebody will ask why */
	req->d.code = DECIDE_UNAVAILABLE;
	req->d.reason = DECIDE_R_DATABASE;
	req->record = true;
	req_fail_status(req, st == TL_FULL ? TL_FULL : TL_UNAVAILABLE, &err);
}

void req_load_key(struct req *req, const struct tally_digest *digest,
		  void (*again)(struct req *req, bool unknown))
{
	struct http *h = req->http;

	/* A flood of random keys shall not even cost a coroutine. */
	if (shm_negative_look(h->shm, digest, tl_mono_ms()) ==
	    SHM_NEG_UNKNOWN) {
		http_count(h, SHM_C_NEGATIVE_HITS);
		again(req, true);
		return;
	}
	req->priv->load_digest = *digest;
	req->priv->again = again;
	req_spawn(req, load_for_request);
}
