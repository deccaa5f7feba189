/*
 * days.c - what is remembered of a user: for each day what the database held
 * less what it had got from us.  With the cells added that is the truth of
 * any later moment, so it serves the next request too, and an outage.
 *
 * An entry is good while the segment's change_gen is what it was before the
 * SELECT (a new key of the user would raise it) and keys.refresh_seconds at
 * most (other hosts).  There is one HTTP server in a process, so the memory
 * of it is the file's; nobody is suspended while he looks into it.
 */
#include "app/metering/days.h"

#include "base/hash.h"
#include "shm/books.h"
#include "shm/entries.h"
#include "store/q_usage.h"

#define ENTRIES    2048 /* direct mapped; about 1 KiB each when used */
#define TRIES      3
#define KEY_DAYS   4 /* a key that ended before has nothing on its way */
#define US_PER_DAY 86400000000LL

struct base {
	int64_t n[SHM_METRICS];     /* database less delivered */
	uint64_t held[SHM_METRICS]; /* database: never less is shown */
};
struct days_book {
	struct tl_uuid user_id;
	uint64_t change_gen, loaded_mono_ms;
	uint32_t first, n_days, n_keys;
	struct base *days;         /* n_days, oldest first */
	struct tally_digest *keys; /* n_keys */
};

static struct days_book *entries[ENTRIES];

/* ---- memory ---- */

/* Hashed: ids that were chosen, not drawn, may differ in their last byte. */
static struct days_book **slot_of(const struct tl_uuid *user_id)
{
	static const uint8_t seed[16];
	uint64_t n = tl_siphash13(seed, user_id->b, sizeof(user_id->b));

	return &entries[n % ENTRIES];
}

static size_t book_bytes(uint32_t n_days, uint32_t n_keys)
{
	return sizeof(struct days_book) + n_days * sizeof(struct base) +
	       n_keys * sizeof(struct tally_digest);
}

/* Days and keys lie behind the struct, in one piece. */
static struct days_book *book_at(void *mem, uint32_t n_days, uint32_t n_keys)
{
	struct days_book *b = mem;

	memset(b, 0, book_bytes(n_days, n_keys));
	b->n_days = n_days;
	b->n_keys = n_keys;
	b->days = (struct base *)(b + 1);
	b->keys = (struct tally_digest *)(b->days + n_days);
	return b;
}

static struct days_book *book_copy(void *mem, const struct days_book *from)
{
	struct days_book *b = book_at(mem, from->n_days, from->n_keys);

	b->user_id = from->user_id;
	b->change_gen = from->change_gen;
	b->loaded_mono_ms = from->loaded_mono_ms;
	b->first = from->first;
	memcpy(b->days, from->days, from->n_days * sizeof(*b->days));
	memcpy(b->keys, from->keys, from->n_keys * sizeof(*b->keys));
	return b;
}

static void remember(const struct days_book *b)
{
	struct days_book **slot = slot_of(&b->user_id);

	tl_free(*slot);
	*slot = book_copy(tl_alloc(book_bytes(b->n_days, b->n_keys)), b);
}

/*
 * The dates [last - n_days + 1, last] of a book, or NULL when it begins later.
 * A day behind its end had no row yet: everything of it is in the cells.
 */
static const struct days_book *part(struct req *req, const struct days_book *e,
				    uint32_t last, uint32_t n_days)
{
	uint32_t first = last - n_days + 1;
	struct days_book *b;

	if (e == NULL || first < e->first)
		return NULL;
	b = book_at(tl_arena_alloc(&req->arena, book_bytes(n_days, e->n_keys)),
		    n_days, e->n_keys);
	b->change_gen = e->change_gen;
	b->loaded_mono_ms = e->loaded_mono_ms;
	b->first = first;
	memcpy(b->keys, e->keys, e->n_keys * sizeof(*b->keys));
	for (uint32_t i = 0; i < n_days; i++)
		if (first + i - e->first < e->n_days)
			b->days[i] = e->days[first + i - e->first];
	return b;
}

static const struct days_book *known_of(const struct tl_uuid *user_id)
{
	const struct days_book *e = *slot_of(user_id);

	return e != NULL && tl_uuid_eq(&e->user_id, user_id) ? e : NULL;
}

static bool fresh(struct req *req, const struct days_book *b)
{
	return b != NULL &&
	       b->change_gen == shm_change_gen(req_decide(req)->shm) &&
	       tl_mono_ms() <
		       b->loaded_mono_ms +
			       1000ULL * req_conf(req)->keys.refresh_seconds;
}

/* ---- the database ---- */

static void take_keys(struct days_book *b, const struct pg_array *digests)
{
	const struct tl_str *d = digests->items;

	b->n_keys = 0;
	for (uint32_t i = 0; i < digests->n; i++)
		if (d[i].len == sizeof(b->keys[0].b))
			memcpy(b->keys[b->n_keys++].b, d[i].ptr, d[i].len);
}

static void take_days(struct days_book *b, const struct q_usage_days_row *row)
{
	const int32_t *day = row->days.items;
	const int64_t *credits = row->credits.items;
	const int64_t *requests = row->requests.items;
	const int64_t *costs = row->costs.items;

	for (uint32_t i = 0; i < row->days.n; i++) {
		uint32_t at = (uint32_t)day[i] - b->first;

		if (at >= b->n_days)
			continue;
		b->days[at].held[SHM_CREDITS] = (uint64_t)credits[i];
		b->days[at].held[SHM_REQUESTS] = (uint64_t)requests[i];
		b->days[at].held[SHM_COST] = (uint64_t)costs[i];
	}
}

/* False: the segment has handed over more than this row has seen. */
static bool take_row(struct req *req, const struct q_usage_days_row *row,
		     uint64_t gen, uint32_t first, uint32_t n_days,
		     struct days_book **b_r)
{
	struct shm_sum sent[DAYS_MAX];
	struct days_book *b;
	bool whole;

	b = book_at(
		tl_arena_alloc(&req->arena, book_bytes(n_days, row->digests.n)),
		n_days, row->digests.n);
	b->user_id = req->d.user_id;
	b->change_gen = gen;
	b->loaded_mono_ms = tl_mono_ms();
	b->first = first;
	take_keys(b, &row->digests);
	take_days(b, row);
	whole = shm_books_delivered(req_decide(req)->shm, b->keys, b->n_keys,
				    first, n_days, (uint64_t)row->last_seq,
				    sent);
	for (uint32_t i = 0; i < n_days; i++)
		for (uint32_t m = 0; m < SHM_METRICS; m++)
			b->days[i].n[m] = (int64_t)b->days[i].held[m] -
					  (int64_t)sent[i].n[m];
	*b_r = b;
	return whole;
}

/* *whole_r: nothing of what was handed over is missing in it. */
static enum tl_status ask(struct req *req, uint32_t last, uint32_t n_days,
			  struct days_book **b_r, bool *whole_r,
			  struct tl_err *err)
{
	const struct shm_head *head = req_decide(req)->shm->head;
	struct q_usage_days_params p = {
		.user_id = req->d.user_id,
		.first_day = (int32_t)(last - n_days + 1),
		.last_day = (int32_t)last,
		.since_us = (last - KEY_DAYS) * US_PER_DAY,
		.node = tl_str_c(head->k.node_id),
		.epoch = (int64_t)head->k.epoch,
	};
	struct q_usage_days_row row;
	enum tl_status st;

	for (int i = 0; i < TRIES; i++) {
		uint64_t gen = shm_change_gen(req_decide(req)->shm);

		st = q_usage_days(req_pg(req), &p, &req->arena, &row, err);
		if (st != TL_OK)
			return st;
		*whole_r = take_row(req, &row, gen, last - n_days + 1, n_days,
				    b_r);
		if (*whole_r || atomic_load(&head->spool_records) != 0)
			break;
	}
	return TL_OK;
}

/* The database can not answer now; anything else is a fault of ours. */
static bool away(enum tl_status st)
{
	return st == TL_UNAVAILABLE || st == TL_FULL || st == TL_DEADLINE ||
	       st == TL_BUSY;
}

enum tl_status days_open(struct req *req, uint32_t last, uint32_t n_days,
			 const struct days_book **book_r, struct tl_err *err)
{
	const struct days_book *e = known_of(&req->d.user_id);
	const struct days_book *known = part(req, e, last, n_days);
	uint32_t ask_days = n_days;
	struct days_book *b;
	enum tl_status st;
	bool whole;

	if (fresh(req, known)) {
		*book_r = known;
		return TL_OK;
	}
	if (e != NULL && e->n_days > ask_days) /* it is to stay as long */
		ask_days = e->n_days;
	st = ask(req, last, ask_days, &b, &whole, err);
	if (st != TL_OK && (known == NULL || !away(st)))
		return st;
	if (st == TL_OK && whole)
		remember(b);
	/* what we knew before and have counted since is whole, what the
	 * database has got so far is not */
	if (st == TL_OK && (whole || known == NULL))
		known = part(req, b, last, n_days);
	*book_r = known;
	return TL_OK;
}

void days_sum(struct req *req, const struct days_book *b, struct days_sum *days)
{
	struct decide *d = req_decide(req);
	struct shm_sum counted[DAYS_MAX] = { 0 };
	struct decide_usage today;
	uint64_t n[SHM_METRICS];

	shm_books_counted(d->shm, b->keys, b->n_keys, b->first, b->n_days,
			  counted);
	for (uint32_t i = 0; i < b->n_days; i++) {
		const struct base *base = &b->days[i];

		for (uint32_t m = 0; m < SHM_METRICS; m++) {
			int64_t v = base->n[m] + (int64_t)counted[i].n[m];

			n[m] = v > (int64_t)base->held[m] ? (uint64_t)v
							  : base->held[m];
		}
		days[b->n_days - 1 - i] =
			(struct days_sum){ n[SHM_CREDITS], n[SHM_REQUESTS],
					   n[SHM_COST] };
	}
	/* midnight may have passed since the request began */
	if (decide_usage(d, &req->d.user_id, req->start_mono_ns, &today) &&
	    today.day == b->first + b->n_days - 1) {
		days[0].credits = today.credits_used;
		days[0].requests = today.request_count;
	}
}
