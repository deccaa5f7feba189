#include "tallyctl/busy.h"

#include "base/hash.h"
#include "base/mem.h"
#include "decide/decide.h"
#include "shm/ring.h"
#include "tally/addr.h"

#define CAP_FIRST 1024
#define CAP_MAX   (1u << 19) /* who comes later is not ranked */

static const uint8_t nobody[16];

/* ---- tables ---- */

/* The seed of the segment: clients must not choose their place in it. */
static struct busy_row *place(const struct busy_table *t,
			      const uint8_t seed[16], const uint8_t id[16])
{
	uint32_t at = (uint32_t)tl_siphash13(seed, id, 16) & (t->cap - 1);

	while (t->rows[at].decisions > 0 && memcmp(t->rows[at].id, id, 16) != 0)
		at = (at + 1) & (t->cap - 1);
	return &t->rows[at];
}

static void grow(struct busy_table *t, const uint8_t seed[16])
{
	struct busy_table more = { .cap = t->cap == 0 ? CAP_FIRST : 2 * t->cap,
				   .used = t->used };

	more.rows = tl_alloc_array(more.cap, sizeof(*more.rows));
	for (uint32_t i = 0; i < t->cap; i++)
		if (t->rows[i].decisions > 0)
			*place(&more, seed, t->rows[i].id) = t->rows[i];
	tl_free(t->rows);
	*t = more;
}

static void count(struct busy_table *t, const uint8_t seed[16],
		  const uint8_t id[16], const struct shm_decision *d)
{
	struct busy_row *row;

	if (2 * (t->used + 1) > t->cap && t->cap < CAP_MAX)
		grow(t, seed);
	row = place(t, seed, id);
	if (row->decisions == 0) {
		if (2 * (t->used + 1) > t->cap)
			return;
		t->used++;
		memcpy(row->id, id, 16);
	}
	row->decisions++;
	if (d->code == DECIDE_OK)
		row->credits += d->cost;
	else
		row->refused++;
}

static void forget(struct busy_table *t)
{
	if (t->used > 0)
		memset(t->rows, 0, t->cap * sizeof(*t->rows));
	t->used = 0;
}

/* Keeps top_r sorted while going through: max is small. */
uint32_t busy_top(const struct busy_table *t, struct busy_row *top_r,
		  uint32_t max)
{
	uint32_t n = 0, at;

	for (uint32_t i = 0; i < t->cap; i++) {
		const struct busy_row *row = &t->rows[i];

		if (row->decisions == 0 ||
		    (n == max && row->decisions <= top_r[n - 1].decisions))
			continue;
		at = n < max ? n++ : n - 1;
		for (; at > 0 && top_r[at - 1].decisions < row->decisions; at--)
			top_r[at] = top_r[at - 1];
		top_r[at] = *row;
	}
	return n;
}

/* ---- the ring ---- */

void busy_init(struct busy *b)
{
	*b = (struct busy){ 0 };
}

void busy_deinit(struct busy *b)
{
	tl_freep(&b->keys.rows);
	tl_freep(&b->addresses.rows);
}

void busy_reset(struct busy *b)
{
	forget(&b->keys);
	forget(&b->addresses);
	b->seen = b->lost = 0;
}

void busy_attach(struct busy *b, const struct shm *s)
{
	busy_reset(b);
	b->shm = s;
	b->next = shm_ring_next(s);
	b->stuck = false;
}

static void take(struct busy *b, const struct shm_decision *d)
{
	const uint8_t *seed = b->shm->head->k.seed;
	struct tally_addr addr;

	b->seen++;
	if (memcmp(d->key_id, nobody, 16) != 0)
		count(&b->keys, seed, d->key_id, d);
	if (memcmp(d->client, nobody, 16) != 0) {
		memcpy(addr.b, d->client, sizeof(addr.b));
		addr = tally_addr_group(&addr);
		count(&b->addresses, seed, addr.b, d);
	}
}

/* Stops at a record that is being written; at the next look it is whole, or
 * its writer is dead. */
void busy_read(struct busy *b)
{
	uint64_t end = shm_ring_next(b->shm), low;
	struct shm_decision d;

	while (b->next < end) {
		low = shm_ring_next(b->shm);
		low = low > b->shm->n_ring ? low - b->shm->n_ring : 0;
		if (b->next < low) {
			b->lost += low - b->next;
			b->next = low;
		} else if (shm_ring_read(b->shm, b->next, &d)) {
			take(b, &d);
			b->next++;
		} else if (!b->stuck) {
			b->stuck = true;
			return;
		} else {
			b->lost++;
			b->next++;
		}
		b->stuck = false;
	}
}
