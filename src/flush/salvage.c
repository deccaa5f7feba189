/*
 * A segment that can not go on (damaged, or of another layout): what it has
 * not handed over becomes batches in the spool of its epoch.
 *
 * Its sealed batches come first and as they are, with their numbers: any of
 * them may be in the database already, and only the same number makes it a
 * duplicate there.  What is pending beyond them follows with the next
 * numbers.  Pending is counted from `flushed`, which a sealed batch has not
 * moved, so its deltas are taken off again.  Rows of the request log follow
 * from behind those that sealed batches hold.
 */
#include "flush/flush.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "flush/spool.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

struct salvage {
	const struct shm *old;
	struct spool *spool;
	uint8_t database_id[16];
	struct shm_batch *batch;   /* being filled */
	struct shm_record *sealed; /* of all sealed batches, sorted */
	size_t n_sealed;
	uint64_t batches, records;
	uint64_t log_pos; /* rows before it are in sealed batches */
	enum tl_status st; /* the first failure */
	struct tl_err *err;
};

static int record_cmp(const void *va, const void *vb)
{
	const struct shm_record *a = va, *b = vb;
	int d = memcmp(a->key_id, b->key_id, sizeof(a->key_id));

	if (d == 0)
		d = memcmp(a->user_id, b->user_id, sizeof(a->user_id));
	return d != 0 ? d : (a->day > b->day) - (a->day < b->day);
}

static void put_batch(struct salvage *sv, const struct shm_batch *b)
{
	if (sv->st != TL_OK)
		return;
	sv->st = spool_append(sv->spool, sv->database_id, b, sv->err);
	if (sv->st != TL_OK)
		return;
	sv->batches++;
	sv->records += b->n_records;
}

static void put_filled(struct salvage *sv)
{
	if (sv->batch->n_records + sv->batch->n_idems + sv->batch->n_logs == 0)
		return;
	put_batch(sv, sv->batch);
	sv->batch->seq++;
	sv->batch->n_records = sv->batch->n_idems = 0;
	sv->batch->n_logs = sv->batch->log_bytes = 0;
}

/* Two sealed batches may hold the same key. */
static void take_sealed_off(const struct salvage *sv, struct shm_record *r)
{
	const struct shm_record *end = sv->sealed + sv->n_sealed;
	const struct shm_record *at;

	if (sv->n_sealed == 0)
		return;
	at = bsearch(r, sv->sealed, sv->n_sealed, sizeof(*r), record_cmp);
	if (at == NULL)
		return;
	while (at > sv->sealed && record_cmp(at - 1, r) == 0)
		at--;
	for (; at < end && record_cmp(at, r) == 0; at++) {
		for (int m = 0; m < SHM_METRICS; m++)
			r->delta[m] -= at->delta[m] < r->delta[m] ? at->delta[m]
								  : r->delta[m];
	}
}

static void on_records(void *arg, const struct shm_record *records, uint32_t n,
		       uint64_t epoch)
{
	struct salvage *sv = arg;
	struct shm_record r;

	(void)epoch; /* the same for all */
	for (uint32_t i = 0; i < n; i++) {
		r = records[i];
		take_sealed_off(sv, &r);
		if (r.delta[0] == 0 && r.delta[1] == 0 && r.delta[2] == 0 &&
		    r.flags == 0)
			continue;
		sv->batch->records[sv->batch->n_records++] = r;
		if (sv->batch->n_records == SHM_BATCH_RECORDS)
			put_filled(sv);
	}
}

/* Answers that were given; a kill may have left claims without one. */
static void put_idems(struct salvage *sv)
{
	const struct shm *s = sv->old;

	for (uint32_t i = 0; i < s->n_idems; i++) {
		uint64_t kind = atomic_load(&s->idems[i].state) & 0xff;

		if (kind != SHM_I_DONE)
			continue;
		sv->batch->idems[sv->batch->n_idems++] = s->idems[i].rec;
		if (sv->batch->n_idems == SHM_BATCH_IDEMS)
			put_filled(sv);
	}
}

static void put_logs(struct salvage *sv)
{
	bool all;

	do {
		all = shm_reqlog_fill(sv->old, sv->log_pos, true, sv->batch);
		sv->log_pos = sv->batch->log_end;
		put_filled(sv);
	} while (!all);
}

static bool good(const struct shm *s, const struct shm_batch *b)
{
	return atomic_load(&b->state) == SHM_B_SEALED &&
	       shm_batch_whole(s, b);
}

/* In the order of their numbers; the highest is given. */
static uint64_t put_sealed(struct salvage *sv)
{
	const struct shm_batch *b[SHM_BATCHES], *swap;
	uint32_t n = 0;

	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		if (good(sv->old, &sv->old->batches[i]))
			b[n++] = &sv->old->batches[i];
	}
	if (n == 2 && b[0]->seq > b[1]->seq) {
		swap = b[0];
		b[0] = b[1];
		b[1] = swap;
	}
	for (uint32_t i = 0; i < n; i++) {
		put_batch(sv, b[i]);
		memcpy(sv->sealed + sv->n_sealed, b[i]->records,
		       b[i]->n_records * sizeof(*sv->sealed));
		sv->n_sealed += b[i]->n_records;
		if (b[i]->log_end > sv->log_pos)
			sv->log_pos = b[i]->log_end;
	}
	qsort(sv->sealed, sv->n_sealed, sizeof(*sv->sealed), record_cmp);
	return n > 0 ? b[n - 1]->seq : 0;
}

/*
 * Numbers come from the segment alone, so that doing all this once more (the
 * master may be killed too) makes the same batches again, which are there.
 */
static void put_all(struct salvage *sv)
{
	uint64_t sealed;

	sv->log_pos = atomic_load(&sv->old->head->log_done);
	sealed = put_sealed(sv);
	sv->batch->epoch = sv->old->head->k.epoch;
	sv->batch->seq =
		sealed > 0 ? sealed + 1 : atomic_load(&sv->old->head->next_seq);
	shm_salvage(sv->old, on_records, sv);
	put_idems(sv);
	put_filled(sv);
	put_logs(sv);
}

enum tl_status flush_spool_salvage(const char *state_dir, const struct shm *old,
				   struct tl_err *err)
{
	struct salvage sv = { .old = old, .err = err };
	struct spool_opts so = { .state_dir = state_dir,
				 .epoch = old->head->k.epoch,
				 .max_bytes = UINT64_MAX };
	char node[sizeof(old->head->k.node_id) + 1] = "";
	uint64_t id[2] = { atomic_load(&old->head->database_id[0]),
			   atomic_load(&old->head->database_id[1]) };

	if (id[0] == 0)
		return TL_OK; /* never met a database: no key, no usage */
	memcpy(sv.database_id, id, sizeof(id));
	memcpy(node, old->head->k.node_id, sizeof(old->head->k.node_id));
	so.node = node;
	sv.st = spool_open(&so, &sv.spool, err);
	if (sv.st != TL_OK)
		return sv.st;
	sv.batch = tl_alloc(sizeof(*sv.batch));
	sv.sealed = tl_alloc_array(SHM_BATCHES * SHM_BATCH_RECORDS,
				   sizeof(*sv.sealed));
	put_all(&sv);
	if (sv.st == TL_OK && sv.batches > 0)
		log_warn("saved %llu records of the old segment in %llu "
			 "spooled batches",
			 (unsigned long long)sv.records,
			 (unsigned long long)sv.batches);
	tl_free(sv.batch);
	tl_free(sv.sealed);
	spool_close(&sv.spool);
	return sv.st;
}
