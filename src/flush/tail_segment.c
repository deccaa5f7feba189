#include "flush/tail_internal.h"

#include <string.h>

#include "base/mem.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

#define READ_TRIES 1000

struct tail_mark tail_mark_of(const struct shm *s)
{
	struct tail_mark m = {
		.next_seq = atomic_load(&s->head->next_seq),
		.log_done = atomic_load(&s->head->log_done),
	};

	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		if (atomic_load(&s->batches[i].state) == SHM_B_SEALED)
			m.sealed[i] = s->batches[i].seq;
	}
	return m;
}

/* One that is confirmed while we copy says nothing that `flushed` does not. */
static struct shm_batch *copy_slot(const struct shm *s,
				   const struct shm_batch *b)
{
	struct shm_batch *copy;

	if (atomic_load(&b->state) != SHM_B_SEALED)
		return NULL;
	copy = tl_memdup(b, sizeof(*b));
	if (atomic_load(&b->state) == SHM_B_SEALED && b->seq == copy->seq &&
	    shm_batch_whole(s, copy))
		return copy;
	tl_free(copy);
	return NULL;
}

static struct tail_cell *cell_new(struct tail *t)
{
	if (t->n_cells == t->cap_cells) {
		t->cap_cells = t->cap_cells == 0 ? 1024 : 2 * t->cap_cells;
		t->cells =
			tl_realloc(t->cells, t->cap_cells * sizeof(*t->cells));
	}
	memset(&t->cells[t->n_cells], 0, sizeof(*t->cells));
	return &t->cells[t->n_cells++];
}

struct word { /* a cell and what of it is confirmed, read as a pair */
	uint32_t day;
	uint64_t count, flushed;
};

/* The cell twice: its day may not change while `flushed` is read between. */
static bool read_word(const struct shm_key *k, uint32_t p, uint32_t m,
		      struct word *w_r)
{
	uint64_t before, flushed, after;

	for (int i = 0; i < READ_TRIES; i++) {
		before = atomic_load(&k->cell[p][m]);
		flushed = atomic_load(&k->flushed[p][m]);
		after = atomic_load(&k->cell[p][m]);
		if (shm_period_of(before) != shm_period_of(after))
			continue;
		*w_r = (struct word){ .day = shm_period_of(after),
				      .count = shm_count_of(after),
				      .flushed = shm_count_in(
					      flushed, shm_period_of(after)) };
		return true;
	}
	return false;
}

/* Metrics of one place may carry different days: one struct tail_cell for each.
 */
static bool read_place(struct tail *t, const struct shm *s, uint32_t key,
		       uint32_t gen, uint32_t p)
{
	const struct shm_key *k = &s->keys[key];
	uint32_t user = atomic_load(&k->user);
	struct word w[SHM_METRICS];
	struct tail_cell *c;

	if (user >= s->n_users)
		return false;
	for (uint32_t m = 0; m < SHM_METRICS; m++) {
		if (!read_word(k, p, m, &w[m]))
			return false;
	}
	for (uint32_t m = 0; m < SHM_METRICS; m++) {
		if (w[m].count <= (t->all_cells ? 0 : w[m].flushed))
			continue;
		c = cell_new(t);
		memcpy(c->user_id, s->users[user].user_id, 16);
		memcpy(c->key_id, k->key_id, 16);
		c->key = key;
		c->key_gen = gen;
		c->day = w[m].day;
		c->last_used_ms = atomic_load(&k->last_used_ms);
		c->base_day = shm_period_of(atomic_load(&k->base));
		for (uint32_t q = m; q < SHM_METRICS; q++) {
			if (w[q].day != c->day)
				continue;
			c->count[q] = w[q].count;
			c->handed[q] = w[q].flushed;
			w[q].count = w[q].flushed = 0;
		}
	}
	return true;
}

/* What the database had of the key is in a cell of its own. */
static bool read_base(struct tail *t, const struct shm *s, uint32_t key,
		      uint32_t gen)
{
	const struct shm_key *k = &s->keys[key];
	uint32_t user = atomic_load(&k->user);
	uint64_t base = atomic_load(&k->base);
	struct tail_cell *c;

	if (user >= s->n_users)
		return false;
	c = cell_new(t);
	memcpy(c->user_id, s->users[user].user_id, 16);
	memcpy(c->key_id, k->key_id, 16);
	c->key = key;
	c->key_gen = gen;
	c->day = c->base_day = shm_period_of(base);
	c->base = shm_count_of(base);
	return true;
}

/* False: the entry went to another key meanwhile, look again. */
static bool read_key(struct tail *t, const struct shm *s, uint32_t key)
{
	const struct shm_key *k = &s->keys[key];
	uint64_t state = atomic_load(&k->state);
	size_t before = t->n_cells;
	bool good = true;

	if ((state & 0xff) < SHM_LIVE)
		return true; /* FREE and INIT hold nothing */
	for (uint32_t p = 0; good && p < SHM_PERIODS; p++)
		good = read_place(t, s, key, (uint32_t)(state >> 8) & 0xff, p);
	if (good && t->all_cells)
		good = read_base(t, s, key, (uint32_t)(state >> 8) & 0xff);
	/* LIVE, DYING and RETIRED have the same words. */
	if (good && ((atomic_load(&k->state) ^ state) & 0xff00) == 0 &&
	    (atomic_load(&k->state) & 0xff) >= SHM_LIVE)
		return true;
	t->n_cells = before;
	return false;
}

static enum tl_status read_cells(struct tail *t, const struct shm *s,
				 struct tl_err *err)
{
	uint64_t fresh = atomic_load(&s->head->key_fresh);

	for (uint32_t i = 0; i < s->n_keys && i < fresh; i++) {
		int tries = 0;

		while (!read_key(t, s, i)) {
			if (++tries == READ_TRIES)
				return tl_err_set(err, TL_BUSY,
						  "a key of the segment does "
						  "not hold still");
		}
	}
	return TL_OK;
}

/* Answers that were given.  FLUSHED ones are where their charges are. */
static void read_idems(struct tail *t, const struct shm *s)
{
	t->idems = tl_alloc_array((size_t)s->n_idems + 1, sizeof(*t->idems));
	for (uint32_t i = 0; i < s->n_idems; i++) {
		const struct shm_idem *in = &s->idems[i];
		uint64_t state = atomic_load(&in->state);

		if ((state & 0xff) != SHM_I_DONE)
			continue;
		t->idems[t->n_idems] = in->rec;
		/* Evicted and filled anew meanwhile: it was FLUSHED. */
		if ((atomic_load(&in->state) & 0xff) >= SHM_I_DONE)
			t->n_idems++;
	}
}

/*
 * Rows behind all that a sealed batch holds.  Whoever died while writing one
 * left nothing to read; one that lives is waited for, as the flusher does.
 */
static void read_logs(struct tail *t, const struct shm *s)
{
	struct shm_batch *b = tl_alloc(sizeof(*b));
	uint64_t from = atomic_load(&s->head->log_done), pid;
	bool alone = !shm_slots_alive(s, &pid), all;

	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		if (t->slots[i] != NULL && t->slots[i]->log_end > from)
			from = t->slots[i]->log_end;
	}
	do {
		all = shm_reqlog_fill(s, from, alone, b);
		from = b->log_end;
		if (b->log_bytes == 0)
			continue;
		t->logs =
			tl_realloc(t->logs, (t->n_logs + 1) * sizeof(*t->logs));
		t->logs[t->n_logs++] = (struct tail_logs){
			.bytes = tl_memdup(b->logs, b->log_bytes),
			.n_bytes = b->log_bytes,
		};
	} while (!all);
	tl_free(b);
}

enum tl_status tail_segment_read(struct tail *t, const struct shm *s,
				 struct tl_err *err)
{
	enum tl_status st;

	t->epoch = s->head->k.epoch;
	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		t->slots[i] = copy_slot(s, &s->batches[i]);
	st = read_cells(t, s, err);
	if (st != TL_OK)
		return st;
	read_idems(t, s);
	read_logs(t, s);
	return TL_OK;
}

void tail_segment_forget(struct tail *t)
{
	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		tl_freep(&t->slots[i]);
	for (size_t i = 0; i < t->n_logs; i++)
		tl_free(t->logs[i].bytes);
	tl_freep(&t->logs);
	tl_freep(&t->idems);
	tl_freep(&t->cells);
	t->n_logs = t->n_idems = t->n_cells = t->cap_cells = 0;
	t->epoch = 0;
}
