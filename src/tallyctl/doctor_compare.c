/*
 * doctor_compare.c - the books, compared: why they must agree is told in
 * doctor_books.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tallyctl/doctor_books.h"

#define TOLD_MAX 10  /* keys that differ, each with a line */
#define GONE_MAX 500 /* deleted keys that are told from losses */

/* ---- adding up ---- */

static int account_cmp(const void *va, const void *vb)
{
	const struct account *a = va, *b = vb;
	int d = memcmp(a->key_id, b->key_id, 16);

	return d != 0 ? d : (a->day > b->day) - (a->day < b->day);
}

void books_add_up(struct books *b)
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
	const struct holder *h = books_holder(b, a->user_id);

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

/* What `there` should be, as far as it is known. */
static bool differs(struct books *b, const struct account *a,
		    uint64_t want[SHM_METRICS])
{
	bool exact, any = false;

	if (!a->held || a->gone || a->day < a->base_day ||
	    a->day < b->first_day)
		return false;
	exact = began_here(b, a);
	for (int m = 0; m < SHM_METRICS; m++) {
		want[m] = a->here[m] + (m == SHM_CREDITS ? a->base : 0);
		/* what others or an earlier load have added is not known */
		if (a->there[m] > want[m] &&
		    (b->shared || (m != SHM_CREDITS && !exact)))
			want[m] = a->there[m];
		any |= a->there[m] != want[m];
	}
	return any;
}

static enum tl_status ask_gone(struct books *b, struct freeze *f,
			       struct account **list, uint32_t n,
			       struct tl_err *err)
{
	char id[TL_UUID_TEXT];
	struct bulk_rows rows;
	enum tl_status st;
	struct tl_buf sql;
	struct tl_uuid u;

	tl_buf_init(&sql);
	tl_buf_adds(&sql, "SET LOCAL tallyd.keys = '");
	for (uint32_t i = 0; i < n; i++) {
		memcpy(u.b, list[i]->key_id, 16);
		tl_uuid_format(&u, id);
		tl_buf_addf(&sql, "%s%s", i > 0 ? "," : "", id);
	}
	tl_buf_addc(&sql, '\'');
	st = bulk_run(f->snapshot, sql.ptr, "look for keys", err);
	tl_buf_deinit(&sql);
	if (st == TL_OK)
		st = freeze_file(b->d->t, f->snapshot, "doctor", "gone", &rows,
				 err);
	for (uint32_t r = 0; st == TL_OK && r < rows.n; r++) {
		if (!tl_uuid_parse(rows.values[r], &u))
			continue;
		for (uint32_t i = 0; i < n; i++) {
			struct holder *h;

			if (memcmp(list[i]->key_id, u.b, 16) != 0)
				continue;
			list[i]->gone = true;
			h = books_holder(b, list[i]->user_id);
			if (h != NULL)
				h->gone_keys = true;
		}
		b->gone++;
	}
	return st;
}

/* Deleting a key deletes its rows: nothing to compare, and no loss. */
enum tl_status books_find_gone(struct books *b, struct freeze *f,
			       struct tl_err *err)
{
	struct account *list[GONE_MAX];
	uint64_t want[SHM_METRICS];
	uint32_t n = 0;

	for (size_t i = 0; i < b->n && n < GONE_MAX; i++) {
		if (differs(b, &b->accounts[i], want))
			list[n++] = &b->accounts[i];
	}
	return n > 0 ? ask_gone(b, f, list, n, err) : TL_OK;
}

static uint32_t compare_keys(struct books *b)
{
	uint64_t want[SHM_METRICS];
	uint32_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct account *a = &b->accounts[i];

		n += a->held && !a->gone && a->day >= a->base_day &&
		     a->day >= b->first_day;
		if (!differs(b, a, want))
			continue;
		for (int m = 0; m < SHM_METRICS; m++)
			b->d->difference[m] += a->there[m] > want[m]
						       ? a->there[m] - want[m]
						       : want[m] - a->there[m];
		tell_key(b, a, want);
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
		struct holder *h = books_holder(b, a->user_id);

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
	if (day < b->first_day || h->gone_keys ||
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

void books_compare(struct books *b)
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
