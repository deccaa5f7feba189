/*
 * Sealing and confirming batches; only the flusher runs this.
 *
 * A slot goes FREE -> FILLING -> SEALED -> FREE.  FILLING found after a
 * crash is thrown away (a full scan finds its usage again, since `flushed`
 * did not move); SEALED is sent again with the same number.
 */
#include <time.h>

#include "base/hash.h"
#include "shm/dirty.h"
#include "shm/pause.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

/* At most: each metric of a place may carry another day, and its user's
 * refusal comes by itself. */
#define RECORDS_PER_WORD (64 * SHM_PERIODS * (SHM_METRICS + 1))

uint64_t shm_scan_begin(struct shm *s, struct shm_scan *scan, bool full)
{
	uint32_t i;

	/* what a sealed batch holds still counts as pending: a second scan
	 * would count it twice */
	for (i = 0; i < SHM_BATCHES; i++)
		tl_assert(atomic_load(&s->batches[i].state) != SHM_B_SEALED);
	*scan = (struct shm_scan){
		.full = full,
		.log_until = atomic_load(&s->head->log_next),
	};
	return atomic_fetch_add(&s->head->flush_gen, 1) + 1;
}

static uint32_t generation_of(const struct shm_key *k)
{
	return (uint32_t)(atomic_load(&k->state) >> 8) & 0xff;
}

static struct shm_record *add_record(struct shm_batch *b, const struct shm *s,
				     uint32_t key, uint32_t day)
{
	struct shm_record *r = &b->records[b->n_records++];
	const struct shm_key *k = &s->keys[key];

	memset(r, 0, sizeof(*r));
	memcpy(r->key_id, k->key_id, 16);
	memcpy(r->user_id, s->users[atomic_load(&k->user)].user_id, 16);
	r->day = day;
	r->key = key;
	r->key_gen = generation_of(k);
	r->last_used_ms = atomic_load(&k->last_used_ms);
	return r;
}

/* One record per day that has something; metrics of one place may carry
 * different days (a cost cell stays behind while no cost is reported). */
static void add_place(struct shm_batch *b, const struct shm *s, uint32_t key,
		      uint32_t p)
{
	const struct shm_key *k = &s->keys[key];
	uint64_t cell[SHM_METRICS], pending[SHM_METRICS];
	struct shm_record *r;
	uint32_t m, q;

	for (m = 0; m < SHM_METRICS; m++) {
		cell[m] = atomic_load(&k->cell[p][m]);
		pending[m] = usage_cell_pending(
			cell[m], atomic_load(&k->flushed[p][m]));
	}
	for (m = 0; m < SHM_METRICS; m++) {
		if (pending[m] == 0)
			continue;
		r = add_record(b, s, key, shm_period_of(cell[m]));
		for (q = m; q < SHM_METRICS; q++) {
			if (shm_period_of(cell[q]) != r->day)
				continue;
			r->delta[q] = pending[q];
			r->snapshot[q] = shm_count_of(cell[q]);
			pending[q] = 0;
		}
	}
}

/* Its user's refusals: with whichever key comes first, or with several, which
 * the database takes for one. */
static void add_refusals(struct shm_batch *b, const struct shm *s,
			 uint32_t key)
{
	const struct shm_user *u = &s->users[atomic_load(&s->keys[key].user)];
	uint32_t p, day;

	for (p = 0; p < SHM_PERIODS; p++)
		if (usage_refusal_pending(u, p, &day))
			add_record(b, s, key, day)->flags = SHM_RECORD_REFUSED;
}

/* Only the time of last use moved: a record without counts. */
static void add_touch(struct shm_batch *b, const struct shm *s, uint32_t key)
{
	const struct shm_key *k = &s->keys[key];

	if (atomic_load(&k->last_used_ms) != atomic_load(&k->flushed_used_ms))
		add_record(b, s, key, 0);
}

static void add_key(struct shm_batch *b, const struct shm *s, uint32_t key)
{
	uint32_t before = b->n_records, p;

	/* INIT: its words are not this key's yet.  FREE: nothing is left. */
	if ((atomic_load(&s->keys[key].state) & 0xff) < SHM_LIVE)
		return;
	for (p = 0; p < SHM_PERIODS; p++)
		add_place(b, s, key, p);
	add_refusals(b, s, key);
	if (b->n_records == before)
		add_touch(b, s, key);
}

/* False: the batch is full, more is left. */
static bool fill_records(struct shm *s, struct shm_scan *scan,
			 struct shm_batch *b)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->key_fresh);
	uint32_t words = (n + 63) / 64, bit, key;
	uint64_t bits;

	for (; scan->next_word < words; scan->next_word++) {
		if (b->n_records + RECORDS_PER_WORD > SHM_BATCH_RECORDS)
			return false;
		/* seq_cst: a strict answer waits for the scan that began after
		 * its bit was set, so that scan must see it */
		bits = atomic_load(&s->dirty[scan->next_word]);
		if (bits != 0)
			bits = atomic_exchange(&s->dirty[scan->next_word], 0);
		if (scan->full)
			bits = UINT64_MAX;
		for (; bits != 0; bits &= bits - 1) {
			bit = (uint32_t)__builtin_ctzll(bits);
			key = scan->next_word * 64 + bit;
			if (key < n)
				add_key(b, s, key);
		}
	}
	return true;
}

/*
 * A record that is CLAIMED now belongs to a charge that may be in this
 * batch's snapshot: its owner needs some hundred nanoseconds more.  Waits up
 * to 50 ms, unless the owner is dead (then the claim is void).
 */
static uint64_t idem_settled(const struct shm *s, const struct shm_idem *r)
{
	uint64_t st = atomic_load(&r->state);
	int i;

	for (i = 0; i < 500 && (st & 0xff) == SHM_I_CLAIMED; i++) {
		if (!shm_identity_alive(s, ((st >> 8 & 0xffff) << 48) |
						   st >> 24))
			break;
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
		st = atomic_load(&r->state);
	}
	return st & 0xff;
}

static bool fill_idems(struct shm *s, struct shm_scan *scan,
		       struct shm_batch *b)
{
	uint32_t first = dirty_idem_word(s), w, i;
	uint64_t bits, left;

	for (; first + scan->next_idem_word < s->n_dirty_words;
	     scan->next_idem_word++) {
		w = first + scan->next_idem_word;
		bits = atomic_load(&s->dirty[w]);
		if (bits != 0)
			bits = atomic_exchange(&s->dirty[w], 0);
		if (scan->full)
			bits = UINT64_MAX;
		for (left = bits; left != 0; left &= left - 1) {
			i = (w - first) * 64 + (uint32_t)__builtin_ctzll(left);
			if (i >= s->n_idems ||
			    idem_settled(s, &s->idems[i]) != SHM_I_DONE)
				continue;
			if (b->n_idems == SHM_BATCH_IDEMS) {
				atomic_fetch_or(&s->dirty[w], left);
				return false;
			}
			b->idem_index[b->n_idems] = i;
			b->idems[b->n_idems++] = s->idems[i].rec;
		}
	}
	return true;
}

uint32_t shm_batch_crc(const struct shm_batch *b)
{
	uint32_t crc = tl_crc32c(0, b->records,
				 b->n_records * sizeof(b->records[0]));

	crc = tl_crc32c(crc, b->idems, b->n_idems * sizeof(b->idems[0]));
	return tl_crc32c(crc, b->logs, b->log_bytes);
}

bool shm_batch_whole(const struct shm *s, const struct shm_batch *b)
{
	uint32_t i;

	if (b->seq == 0 || b->epoch != s->head->k.epoch ||
	    b->n_records > SHM_BATCH_RECORDS || b->n_idems > SHM_BATCH_IDEMS ||
	    b->n_logs > SHM_BATCH_LOGS || b->log_bytes > SHM_BATCH_LOG_BYTES ||
	    b->log_end > atomic_load(&s->head->log_done) + s->n_logs ||
	    b->crc != shm_batch_crc(b))
		return false;
	for (i = 0; i < b->n_records; i++)
		if (b->records[i].key >= s->n_keys)
			return false;
	for (i = 0; i < b->n_idems; i++)
		if (b->idem_index[i] >= s->n_idems)
			return false;
	return true;
}

/* Behind what a sealed batch holds already.  Done with all that was there
 * when the scan began: what comes meanwhile goes along while there is room,
 * but a scan must come to its end. */
static bool fill_logs(struct shm *s, const struct shm_scan *scan,
		      struct shm_batch *b)
{
	uint64_t from = atomic_load(&s->head->log_done);
	uint32_t i;

	for (i = 0; i < SHM_BATCHES; i++)
		if (atomic_load(&s->batches[i].state) == SHM_B_SEALED &&
		    s->batches[i].log_end > from)
			from = s->batches[i].log_end;
	if (scan->no_logs) {
		b->n_logs = b->log_bytes = b->n_logs_lost = 0;
		b->log_end = from;
		return true;
	}
	return shm_reqlog_fill(s, from, false, b) ||
	       b->log_end >= scan->log_until;
}

static struct shm_batch *free_slot(struct shm *s)
{
	uint32_t i;

	for (i = 0; i < SHM_BATCHES; i++)
		if (atomic_load(&s->batches[i].state) == SHM_B_FREE)
			return &s->batches[i];
	return NULL;
}

struct shm_batch *shm_batch_fill(struct shm *s, struct shm_scan *scan)
{
	struct shm_batch *b = free_slot(s);
	bool records_done, idems_done, logs_done;

	if (b == NULL || scan->done)
		return NULL;
	atomic_store(&b->state, SHM_B_FILLING);
	b->n_records = 0;
	b->n_idems = 0;
	records_done = fill_records(s, scan, b);
	/* after the cells were read, hence covering each charge in them; a
	 * later batch of this scan looks again for what came meanwhile */
	idems_done = fill_idems(s, scan, b);
	logs_done = fill_logs(s, scan, b);
	scan->done = idems_done && records_done && logs_done;
	if (!scan->done && (idems_done || !scan->full))
		scan->next_idem_word = 0;
	if (b->n_records + b->n_idems + b->n_logs == 0) {
		shm_reqlog_release(s, b->log_end, b->n_logs_lost);
		atomic_store(&b->state, SHM_B_FREE);
		return NULL;
	}
	SHM_PAUSE("batch.filled");
	b->seq = atomic_load(&s->head->next_seq);
	b->epoch = s->head->k.epoch;
	b->scan_gen = atomic_load(&s->head->flush_gen);
	b->crc = shm_batch_crc(b);
	atomic_store(&b->state, SHM_B_SEALED);
	SHM_PAUSE("batch.sealed");
	/* after SEALED: a number raised before would be a gap for ever when a
	 * kill came between; shm_batch_sealed makes up for one that came here */
	atomic_store(&s->head->next_seq, b->seq + 1);
	return b;
}

uint32_t shm_batch_sealed(struct shm *s, struct shm_batch *out[SHM_BATCHES])
{
	struct shm_batch *b, *swap;
	uint32_t n = 0, i;

	for (i = 0; i < SHM_BATCHES; i++) {
		b = &s->batches[i];
		if (atomic_load(&b->state) == SHM_B_SEALED) {
			out[n++] = b;
			if (b->seq >= atomic_load(&s->head->next_seq))
				atomic_store(&s->head->next_seq, b->seq + 1);
		} else if (atomic_load(&b->state) == SHM_B_FILLING) {
			atomic_store(&b->state, SHM_B_FREE);
		}
	}
	_Static_assert(SHM_BATCHES == 2, "sort more than two properly");
	if (n == 2 && out[0]->seq > out[1]->seq) {
		swap = out[0];
		out[0] = out[1];
		out[1] = swap;
	}
	return n;
}

/* The key is the one that the record names, so it holds its user. */
static void confirm_refusal(struct shm *s, const struct shm_key *k,
			    const struct shm_record *r)
{
	struct shm_user *u = &s->users[atomic_load(&k->user)];

	if ((r->flags & SHM_RECORD_REFUSED) != 0)
		atomic_store(&u->refused_flushed[r->day % SHM_PERIODS], r->day);
}

void shm_batch_confirm(struct shm *s, struct shm_batch *b)
{
	uint32_t i, m;

	for (i = 0; i < b->n_records; i++) {
		const struct shm_record *r = &b->records[i];
		struct shm_key *k = &s->keys[r->key];

		SHM_PAUSE("batch.confirm");
		/* all was stored before a kill, and the place has been given
		 * to another key since */
		if (generation_of(k) != r->key_gen)
			continue;
		/* absolute values: doing it twice is harmless */
		for (m = 0; m < SHM_METRICS; m++)
			if (r->delta[m] != 0)
				atomic_store(
					&k->flushed[r->day % SHM_PERIODS][m],
					shm_tagged(r->day, r->snapshot[m]));
		confirm_refusal(s, k, r);
		atomic_store(&k->flushed_used_ms, r->last_used_ms);
	}
	for (i = 0; i < b->n_idems; i++) {
		_Atomic uint64_t *st = &s->idems[b->idem_index[i]].state;
		uint64_t w = atomic_load(st);

		if ((w & 0xff) == SHM_I_DONE)
			atomic_store(st, (w & ~0xffULL) | SHM_I_FLUSHED);
	}
	shm_reqlog_release(s, b->log_end, b->n_logs_lost);
	SHM_PAUSE("batch.confirmed");
	atomic_store(&b->state, SHM_B_FREE);
}

void shm_committed(struct shm *s, uint64_t gen)
{
	if (atomic_load(&s->head->committed_gen) < gen)
		atomic_store(&s->head->committed_gen, gen);
}
