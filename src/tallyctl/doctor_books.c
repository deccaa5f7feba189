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

#include "base/clock.h"
#include "tallyctl/doctor.h"
#include "tallyctl/freeze.h"

#define TOLD_MAX 10 /* keys that differ, each with a line */
#define COLUMNS  6  /* of the rows of usage */

struct account { /* a key and a day, or a piece of one */
	uint8_t key_id[16], user_id[16];
	uint32_t day, base_day;
	bool held; /* by the segment; else base_day is not known */
	uint64_t base;
	uint64_t there[SHM_METRICS]; /* database and tail */
	uint64_t here[SHM_METRICS];  /* the segment's cells */
};
struct words { /* of a user, at one moment */
	uint64_t quota, requests;
};
struct holder { /* a user that the segment holds */
	uint8_t user_id[16];
	uint64_t state, base, requests_base;
	struct words before, after;
	uint64_t there[SHM_METRICS]; /* today, over all keys */
};

struct books {
	struct doctor *d;
	struct account *accounts;
	size_t n, cap;
	struct holder *holders;
	uint32_t n_holders;
	uint32_t first_day;
	bool ours;    /* there is a segment, of this database */
	bool dropped; /* usage was given away */
	bool shared;  /* others deliver to the database, too */
	uint64_t id[2];
	char node[48];
	uint32_t told, differ;
};

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

static int holder_cmp(const void *va, const void *vb)
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
	qsort(b->holders, kept, sizeof(*b->holders), holder_cmp);
}

static struct holder *holder_of(struct books *b, const uint8_t user_id[16])
{
	struct holder key;

	memcpy(key.user_id, user_id, 16);
	return b->n_holders == 0 ? NULL
				 : bsearch(&key, b->holders, b->n_holders,
					   sizeof(*b->holders), holder_cmp);
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

/* ---- adding up ---- */

static int account_cmp(const void *va, const void *vb)
{
	const struct account *a = va, *b = vb;
	int d = memcmp(a->key_id, b->key_id, 16);

	return d != 0 ? d : (a->day > b->day) - (a->day < b->day);
}

static void add_up(struct books *b)
{
	size_t out = 0;

	if (b->n == 0)
		return;
	qsort(b->accounts, b->n, sizeof(*b->accounts), account_cmp);
	for (size_t i = 1; i < b->n; i++) {
		struct account *a = &b->accounts[out];
		const struct account *p = &b->accounts[i];

		if (account_cmp(a, p) != 0) {
			b->accounts[++out] = *p;
			continue;
		}
		if (p->held) {
			a->base_day = p->base_day;
			a->held = true;
		}
		a->base += p->base;
		for (int m = 0; m < SHM_METRICS; m++) {
			a->there[m] += p->there[m];
			a->here[m] += p->here[m];
		}
	}
	b->n = out + 1;
}

/* ---- keys ---- */

/* Nobody has used the user's keys before they came here, on that day. */
static bool began_here(struct books *b, const struct account *a)
{
	const struct holder *h = holder_of(b, a->user_id);

	if (a->day != a->base_day)
		return a->day > a->base_day;
	return a->base == 0 && h != NULL &&
	       shm_count_in(h->base, a->day) == 0 &&
	       shm_count_in(h->requests_base, a->day) == 0;
}

static void tell_key(struct books *b, const struct account *a,
		     const uint64_t want[SHM_METRICS])
{
	static const char *const names[] = { "credits", "requests",
					     "micro-USD" };
	char id[TL_UUID_TEXT], day[11], text[256] = "";
	struct tl_uuid u;
	size_t at = 0;

	b->differ++;
	if (b->told++ >= TOLD_MAX)
		return;
	for (int m = 0; m < SHM_METRICS; m++) {
		if (a->there[m] != want[m])
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       "%s%" PRId64 " %s (%" PRIu64
					       " in place of "
					       "%" PRIu64 ")",
					       at > 0 ? ", " : "",
					       (int64_t)(a->there[m] - want[m]),
					       names[m], a->there[m], want[m]);
	}
	memcpy(u.b, a->key_id, 16);
	tl_uuid_format(&u, id);
	tl_day_format((int32_t)a->day, day);
	doctor_say(b->d, DOCTOR_FAIL, "books",
		   "key %s, %s: database and what is on its way differ from "
		   "what was counted by %s",
		   id, day, text);
}

static void compare_key(struct books *b, const struct account *a)
{
	uint64_t want[SHM_METRICS];
	bool exact = began_here(b, a), good = true;

	for (int m = 0; m < SHM_METRICS; m++) {
		want[m] = a->here[m] + (m == SHM_CREDITS ? a->base : 0);
		/* what others or an earlier load have added is not known */
		if (a->there[m] > want[m] &&
		    (b->shared || (m != SHM_CREDITS && !exact)))
			want[m] = a->there[m];
		if (a->there[m] == want[m])
			continue;
		good = false;
		b->d->difference[m] += a->there[m] > want[m]
					       ? a->there[m] - want[m]
					       : want[m] - a->there[m];
	}
	if (!good)
		tell_key(b, a, want);
}

static uint32_t compare_keys(struct books *b)
{
	uint32_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct account *a = &b->accounts[i];

		if (!a->held || a->day < a->base_day || a->day < b->first_day)
			continue;
		compare_key(b, a);
		n++;
	}
	return n;
}

/* ---- users ---- */

static uint32_t holder_day(const struct holder *h)
{
	uint32_t quota = shm_period_of(h->after.quota);
	uint32_t base = shm_period_of(h->base);

	return quota > base ? quota : base;
}

static void add_users(struct books *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct account *a = &b->accounts[i];
		struct holder *h = holder_of(b, a->user_id);

		if (h == NULL || a->day != holder_day(h))
			continue;
		for (int m = 0; m < SHM_METRICS; m++)
			h->there[m] += a->there[m];
	}
}

struct quota_sums {
	uint64_t admitted, counted, in_hand, over, late;
	uint32_t users, wrong;
};

static void compare_user(const struct books *b, const struct holder *h,
			 struct quota_sums *q)
{
	uint32_t day = holder_day(h);
	uint64_t base = shm_count_in(h->base, day);
	uint64_t low = base + shm_count_in(h->before.quota, day);
	uint64_t high = base + shm_count_in(h->after.quota, day);
	uint64_t requests = shm_count_in(h->requests_base, day) +
			    shm_count_in(h->before.requests, day);

	/* yesterday's word at the first look, or too old for the database's
	 * rows: nothing to compare */
	if (day < b->first_day ||
	    (shm_period_of(h->before.quota) != shm_period_of(h->after.quota)))
		return;
	q->users++;
	q->admitted += high;
	q->counted += h->there[SHM_CREDITS];
	if (low > h->there[SHM_CREDITS])
		q->in_hand += low - h->there[SHM_CREDITS];
	if (h->there[SHM_CREDITS] > high) {
		q->over += h->there[SHM_CREDITS] - high;
		q->wrong++;
	}
	if (requests > h->there[SHM_REQUESTS] && !b->dropped)
		q->late += requests - h->there[SHM_REQUESTS];
}

static void compare_users(struct books *b)
{
	struct quota_sums q = { 0 };
	const char *why = "";

	if (b->shared) {
		doctor_say(b->d, DOCTOR_OK, "quota",
			   "not compared: other hosts deliver to this "
			   "database, too");
		return;
	}
	add_users(b);
	for (uint32_t i = 0; i < b->n_holders; i++)
		compare_user(b, &b->holders[i], &q);
	if (q.over > 0 || q.late > 0) {
		doctor_say(b->d, DOCTOR_FAIL, "quota",
			   "%" PRIu32 " users have %" PRIu64 " credits more "
			   "counted than admitted, and %" PRIu64 " requests "
			   "answered that are not counted; was daily_usage "
			   "changed by hand?",
			   q.wrong, q.over, q.late);
		return;
	}
	if (q.in_hand > 0)
		why = b->dropped ? ": given away in an outage, in hand, or "
				   "left by processes that were killed"
				 : ": in hand, or left by processes that were "
				   "killed, one charge each";
	doctor_say(b->d, DOCTOR_OK, "quota",
		   "%" PRIu32 " users: %" PRIu64 " credits admitted today, "
		   "%" PRIu64 " not in the books%s",
		   q.users, q.admitted, q.in_hand, why);
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
	}
	freeze_end(&f);
	return st;
}

static void compare(struct books *b)
{
	uint32_t n;

	b->d->compared = true;
	if (!b->ours) {
		doctor_say(b->d, DOCTOR_OK, "books",
			   "no segment of this database, so nothing counts "
			   "beside it; %zu records wait in the spool",
			   b->n);
		return;
	}
	add_up(b);
	n = compare_keys(b);
	if (b->differ > 0)
		doctor_say(b->d, DOCTOR_FAIL, "books",
			   "%" PRIu32 " of %" PRIu32 " days of keys differ; "
			   "who changed daily_usage by hand?  else keep a "
			   "'tallyctl backup' and report it",
			   b->differ, n);
	else
		doctor_say(b->d, DOCTOR_OK, "books",
			   "%" PRIu32 " days of keys: segment, spool and "
			   "database agree%s",
			   n,
			   b->shared ? " (other hosts deliver, too: only "
				       "losses would show)"
				     : "");
	compare_users(b);
}

void doctor_books(struct doctor *d, const char *url)
{
	struct books b = { .d = d };
	enum tl_status st;
	struct tl_err err;

	st = collect(&b, url, &err);
	if (st == TL_OK) {
		compare(&b);
	} else {
		d->database_away |= st == TL_UNAVAILABLE;
		doctor_say(d, DOCTOR_FAIL, "books", "not compared: %s",
			   err.text);
	}
	tl_free(b.accounts);
	tl_free(b.holders);
}
