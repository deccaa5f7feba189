#include "shm/books.h"

#include "shm/entries.h"
#include "shm/usage.h"

/* A reader that is put off between two looks tries again; the flusher needs
 * milliseconds from one change of a slot to the next. */
#define TRIES 16

/* tallyctl has no slot and maps for reading only; an entry that is freed under
 * its eyes costs it a figure, no crash: there are no pointers. */
static void enter(struct shm *s)
{
	if (!s->read_only)
		shm_enter(s);
}

static void leave(struct shm *s)
{
	if (!s->read_only)
		shm_leave(s);
}

/* What says whether a slot's batch stayed the same while it was read. */
struct slots {
	uint64_t next_seq;
	uint64_t seq[SHM_BATCHES]; /* 0: not sealed */
};

static struct slots slots_look(const struct shm *s)
{
	struct slots l = { .next_seq = atomic_load(&s->head->next_seq) };

	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		const struct shm_batch *b = &s->batches[i];

		if (atomic_load(&b->state) == SHM_B_SEALED)
			l.seq[i] = b->seq;
	}
	return l;
}

static bool slots_same(const struct slots *a, const struct slots *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* All batches up to this number have been handed over. */
static uint64_t slots_confirmed(const struct slots *l)
{
	uint64_t last = l->next_seq - 1;

	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		if (l->seq[i] != 0 && l->seq[i] <= last)
			last = l->seq[i] - 1;
	return last;
}

/* The first record of that key or behind it: a scan goes by index. */
static uint32_t first_record(const struct shm_batch *b, uint32_t key)
{
	uint32_t from = 0, to = b->n_records;

	if (to > SHM_BATCH_RECORDS) /* it is being filled anew */
		return SHM_BATCH_RECORDS;
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (b->records[mid].key < key)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/*
 * A sealed batch may be confirmed while we read, so `flushed` of its keys is
 * either side; its records say what lies before it and what with it.
 */
static uint64_t settled(const struct shm *s, const struct slots *l,
			uint32_t key, uint32_t day, uint32_t metric,
			uint64_t last_seq, uint64_t flushed)
{
	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		const struct shm_batch *b = &s->batches[i];

		if (l->seq[i] == 0)
			continue;
		for (uint32_t at = first_record(b, key);
		     at < SHM_BATCH_RECORDS && at < b->n_records &&
		     b->records[at].key == key;
		     at++) {
			const struct shm_record *r = &b->records[at];

			if (r->day != day || r->delta[metric] == 0)
				continue;
			flushed = l->seq[i] <= last_seq
					  ? r->snapshot[metric]
					  : r->snapshot[metric] -
						    r->delta[metric];
		}
	}
	return flushed;
}

static void add_delivered(struct shm *s, const struct slots *l, uint32_t key,
			  uint32_t first_day, uint32_t n_days,
			  uint64_t last_seq, struct shm_sum *days)
{
	const struct shm_key *k = &s->keys[key];

	for (uint32_t p = 0; p < SHM_PERIODS; p++)
		for (uint32_t m = 0; m < SHM_METRICS; m++) {
			/* flushed first: it never passes the cell */
			uint64_t f = atomic_load(&k->flushed[p][m]);
			uint32_t day =
				shm_period_of(atomic_load(&k->cell[p][m]));

			if (day - first_day >= n_days)
				continue;
			days[day - first_day].n[m] +=
				settled(s, l, key, day, m, last_seq,
					shm_count_in(f, day));
		}
}

bool shm_books_delivered(struct shm *s, const struct tally_digest *keys,
			 uint32_t n_keys, uint32_t first_day, uint32_t n_days,
			 uint64_t last_seq, struct shm_sum *days)
{
	struct slots before, after;
	int tries = 0;

	enter(s);
	do {
		before = slots_look(s);
		memset(days, 0, n_days * sizeof(*days));
		for (uint32_t i = 0; i < n_keys; i++) {
			uint32_t key = shm_key_find(s, &keys[i]);

			if (key != SHM_NONE)
				add_delivered(s, &before, key, first_day,
					      n_days, last_seq, days);
		}
		after = slots_look(s);
	} while (!slots_same(&before, &after) && ++tries < TRIES);
	leave(s);
	return tries < TRIES && slots_confirmed(&after) <= last_seq;
}

void shm_books_counted(struct shm *s, const struct tally_digest *keys,
		       uint32_t n_keys, uint32_t first_day, uint32_t n_days,
		       struct shm_sum *days)
{
	enter(s);
	for (uint32_t i = 0; i < n_keys; i++) {
		uint32_t key = shm_key_find(s, &keys[i]);

		for (uint32_t p = 0; key != SHM_NONE && p < SHM_PERIODS; p++)
			for (uint32_t m = 0; m < SHM_METRICS; m++) {
				uint64_t c =
					atomic_load(&s->keys[key].cell[p][m]);
				uint32_t at = shm_period_of(c) - first_day;

				if (at < n_days)
					days[at].n[m] += shm_count_of(c);
			}
	}
	leave(s);
}

/* ---- all keys ---- */

bool shm_books_mark(const struct shm *s, uint64_t *mark_r)
{
	uint64_t next = atomic_load(&s->head->next_seq);

	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		if (atomic_load(&s->batches[i].state) == SHM_B_SEALED)
			return false;
	*mark_r = next - 1;
	return next == atomic_load(&s->head->next_seq);
}

static void add_key(const struct shm_key *k, uint32_t day,
		    struct shm_books *sum)
{
	bool pending = false;

	for (uint32_t p = 0; p < SHM_PERIODS; p++)
		for (uint32_t m = 0; m < SHM_METRICS; m++) {
			/* flushed first: it never passes the cell */
			uint64_t f = atomic_load(&k->flushed[p][m]);
			uint64_t c = atomic_load(&k->cell[p][m]);
			uint64_t sent = shm_count_in(f, shm_period_of(c));

			pending |= shm_count_of(c) != sent;
			if (shm_period_of(c) != (day & 0xfffff))
				continue;
			sum->counted.n[m] += shm_count_of(c);
			sum->delivered.n[m] += sent;
		}
	sum->pending_keys += pending;
}

bool shm_books_page(const struct shm *s, uint32_t day, uint32_t max,
		    uint32_t *next, struct shm_books *sum)
{
	uint32_t fresh = (uint32_t)atomic_load(&s->head->key_fresh);
	uint32_t end;

	if (*next >= fresh)
		return false;
	end = fresh - *next < max ? fresh : *next + max;
	/* FREE entries have nothing pending, those being made have no counts */
	for (; *next < end; (*next)++)
		add_key(&s->keys[*next], day, sum);
	return end < fresh;
}
