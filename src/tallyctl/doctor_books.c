/*
 * doctor_books.c - the books: what the database has and what is on its way to
 * it is what the segment has counted.
 *
 * Of a moment that freeze.h gives, while the daemon goes on.  Per key and day,
 *
 *	row of the database + tail  =  base + cells
 *
 * base is what the row held when the key was loaded.  The segment keeps it for
 * credits of the day of loading; on later days all began here and base is 0.
 * Requests and costs of the day of loading have none: they are compared when
 * the user had no usage yet, else only for loss.
 *
 * Per user, of today,
 *
 *	base + quota word  =  sum of all the user's rows and tails + in hand
 *
 * for credits are reserved before they are counted.  A process that is killed
 * in between leaves its one charge in hand for ever: that is no error, the
 * other direction is.  Of requests it is the reverse: the user's word follows
 * the cells.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/doctor_books.h"

#define COLUMNS 6 /* of the rows of usage */

static struct account *account_new(struct books *b)
{
	if (b->n == b->cap) {
		b->cap = b->cap == 0 ? 1024 : 2 * b->cap;
		b->accounts =
			tl_realloc(b->accounts, b->cap * sizeof(*b->accounts));
	}
	memset(&b->accounts[b->n], 0, sizeof(*b->accounts));
	return &b->accounts[b->n++];
}

/* ---- the segment ---- */

int books_holder_cmp(const void *va, const void *vb)
{
	return memcmp(((const struct holder *)va)->user_id,
		      ((const struct holder *)vb)->user_id, 16);
}

/* Before the cells are read: what was admitted by then. */
static void see_before(void *arg, const struct shm *s)
{
	struct books *b = arg;
	uint64_t fresh, last;

	tl_freep(&b->holders);
	b->n_holders = 0;
	b->ours = s != NULL;
	if (s == NULL)
		return;
	fresh = atomic_load(&s->head->user_fresh);
	last = atomic_load(&s->head->max_period);
	b->first_day =
		last < SHM_PERIODS ? 0 : (uint32_t)last - SHM_PERIODS + 1;
	b->id[0] = atomic_load(&s->head->database_id[0]);
	b->id[1] = atomic_load(&s->head->database_id[1]);
	memcpy(b->node, s->head->k.node_id, sizeof(b->node));
	b->node[sizeof(b->node) - 1] = '\0';
	b->n_holders = fresh < s->n_users ? (uint32_t)fresh : s->n_users;
	b->holders =
		tl_alloc_array((size_t)b->n_holders + 1, sizeof(*b->holders));
	for (uint32_t i = 0; i < b->n_holders; i++) {
		const struct shm_user *u = &s->users[i];
		struct holder *h = &b->holders[i];

		h->state = atomic_load(&u->state);
		memcpy(h->user_id, u->user_id, 16);
		h->base = atomic_load(&u->base);
		h->requests_base = atomic_load(&u->requests_base);
		h->before.quota = atomic_load(&u->quota);
		h->before.requests = atomic_load(&u->requests);
	}
}

/* After it.  An entry that changed hands meanwhile is left out. */
static void see_after(void *arg, const struct shm *s)
{
	struct books *b = arg;
	uint32_t kept = 0;

	if (s == NULL)
		return;
	b->dropped = atomic_load(&s->head->usage_dropped) != 0;
	for (uint32_t i = 0; i < b->n_holders; i++) {
		const struct shm_user *u = &s->users[i];
		struct holder h = b->holders[i];

		h.after.quota = atomic_load(&u->quota);
		h.after.requests = atomic_load(&u->requests);
		if ((h.state & 0xff) == SHM_LIVE &&
		    atomic_load(&u->state) == h.state)
			b->holders[kept++] = h;
	}
	b->n_holders = kept;
	qsort(b->holders, kept, sizeof(*b->holders), books_holder_cmp);
}

struct holder *books_holder(struct books *b, const uint8_t user_id[16])
{
	struct holder key;

	memcpy(key.user_id, user_id, 16);
	return b->n_holders == 0
		       ? NULL
		       : bsearch(&key, b->holders, b->n_holders,
				 sizeof(*b->holders), books_holder_cmp);
}

/* ---- pieces of accounts ---- */

static void add_counted(void *arg, const struct tail_counted *c)
{
	struct books *b = arg;
	struct account *a = account_new(b);

	memcpy(a->key_id, c->key_id, 16);
	memcpy(a->user_id, c->user_id, 16);
	a->day = c->day;
	a->base_day = c->base_day;
	a->base = c->base;
	a->held = true;
	memcpy(a->here, c->count, sizeof(a->here));
}

static enum tl_status add_tail(void *arg, const struct tail_usage *u,
			       struct tl_err *err)
{
	struct account *a = account_new(arg);

	(void)err;
	memcpy(a->key_id, u->key_id, 16);
	memcpy(a->user_id, u->user_id, 16);
	a->day = u->day;
	memcpy(a->there, u->delta, sizeof(a->there));
	return TL_OK;
}

static enum tl_status no_idem(void *arg, const struct shm_idem_record *r,
			      struct tl_err *err)
{
	(void)arg;
	(void)r;
	(void)err;
	return TL_OK;
}

static enum tl_status no_log(void *arg, const struct shm_log_row *r,
			     struct tl_err *err)
{
	(void)arg;
	(void)r;
	(void)err;
	return TL_OK;
}

/* "user <tab> key <tab> day <tab> credits <tab> requests <tab> cost" */
static enum tl_status add_row(void *arg, const void *p, size_t len,
			      struct tl_err *err)
{
	struct account *a = account_new(arg);
	struct tl_str v[COLUMNS] = { { p, 0 } };
	struct tl_uuid user, key;
	uint32_t at = 0;
	int64_t n[4];
	bool good;

	for (size_t i = 0; i < len; i++) {
		char c = ((const char *)p)[i];

		if (c == '\n')
			break;
		if (c != '\t')
			v[at].len++;
		else if (++at < COLUMNS)
			v[at].ptr = (const char *)p + i + 1;
		else
			break;
	}
	good = at == COLUMNS - 1 && tl_uuid_parse(v[0], &user) &&
	       tl_uuid_parse(v[1], &key);
	for (uint32_t i = 0; good && i < 4; i++)
		good = tl_parse_i64(v[2 + i], 0, INT64_MAX, &n[i]);
	if (!good)
		return tl_err_set(
			err, TL_BROKEN, "a row of usage is out of bounds: %.*s",
			(int)(len > 200 ? 200 : len), (const char *)p);
	memcpy(a->user_id, user.b, 16);
	memcpy(a->key_id, key.b, 16);
	a->day = (uint32_t)n[0];
	a->there[SHM_CREDITS] = (uint64_t)n[1];
	a->there[SHM_REQUESTS] = (uint64_t)n[2];
	a->there[SHM_COST] = (uint64_t)n[3];
	return TL_OK;
}

static enum tl_status read_database(struct books *b, struct freeze *f,
				    struct tl_err *err)
{
	struct tl_arena *a = b->d->t->arena;
	struct bulk_rows rows;
	enum tl_status st;
	uint64_t n;

	st = bulk_run(f->snapshot,
		      tl_arena_printf(a,
				      "SET LOCAL tallyd.first_day = '%" PRIu32
				      "'; SET LOCAL tallyd.node = '%s'",
				      b->first_day, b->node),
		      "look at usage", err);
	if (st == TL_OK)
		st = freeze_file(b->d->t, f->snapshot, "doctor", "hosts", &rows,
				 err);
	if (st == TL_OK)
		b->shared = !tl_str_eq(rows.values[0], TL_STR("0"));
	if (st == TL_OK)
		st = freeze_file(b->d->t, f->snapshot, "doctor", "usage", &rows,
				 err);
	return st == TL_OK ? bulk_copy_out(f->snapshot, rows.values[0].ptr,
					   add_row, b, &n, err)
			   : st;
}

/* ---- both ---- */

static enum tl_status collect(struct books *b, const char *url,
			      struct tl_err *err)
{
	const struct freeze_watch watch = { .arg = b,
					    .before = see_before,
					    .after = see_after };
	const struct tail_sink sink = {
		.arg = b, .usage = add_tail, .idem = no_idem, .log = no_log
	};
	struct freeze f = { 0 };
	enum tl_status st;

	st = freeze_take(b->d->t, url, true, &watch, &f, err);
	if (st != TL_OK)
		return st;
	b->ours = b->ours && memcmp(b->id, f.database_id.b, 16) == 0;
	st = tail_read(f.tail, &sink, err);
	if (st == TL_OK && b->ours) {
		tail_counted(f.tail, add_counted, b);
		st = read_database(b, &f, err);
		books_add_up(b);
		if (st == TL_OK)
			st = books_find_gone(b, &f, err);
	}
	freeze_end(&f);
	return st;
}

void doctor_books(struct doctor *d, const char *url)
{
	struct books b = { .d = d };
	enum tl_status st;
	struct tl_err err;

	st = collect(&b, url, &err);
	if (st == TL_OK) {
		books_compare(&b);
	} else {
		d->database_away |= st == TL_UNAVAILABLE;
		doctor_say(d, DOCTOR_FAIL, "books", "not compared: %s",
			   err.text);
	}
	tl_free(b.accounts);
	tl_free(b.holders);
}
