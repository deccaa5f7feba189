/*
 * fuzz_segment.c - a segment that something has written over.
 *
 * A small one with keys, users, chains and rows is made once; each input
 * damages words of it.  'h': the constants, with or without their checksum:
 * what segment_check accepts, the mapping can be laid over.  Else: what
 * changes; shm_verify must refuse it or leave every entry reachable once,
 * named by nobody who is gone, and the lists of free ones whole.  Of a segment
 * that is refused shm_salvage must be able to read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "shm/entries.h"
#include "shm/entry.h"
#include "shm/policy.h"
#include "shm/reqlog.h"
#include "shm/segment.h"
#include "shm/usage.h"
#include "tests/fuzz/fuzz.h"

#define DAY    20000
#define KEYS   6
#define PLACES 11

static struct shm *shm;
static struct shm_batch *batch; /* sealed */
static struct tally_key_row row;
static char scope_text[30][101];

/* What inputs may damage, and how it was before. */
static struct place {
	uint8_t *p, *good;
	size_t bytes;
} places[PLACES];

static void row_of(uint32_t n)
{
	static struct tl_str scopes[30];

	memset(&row, 0, sizeof(row));
	tally_sha256(&n, sizeof(n), row.digest.b);
	row.key_id.b[0] = (uint8_t)(n + 1);
	row.daily_credit_limit = -1;
	row.user.user_id.b[0] = (uint8_t)(n / 2 + 1);
	row.user.plan_id.b[0] = 1;
	row.user.day = DAY;
	for (uint32_t i = 0; i < 30; i++) {
		memset(scope_text[i], (int)('a' + (i + n / 3) % 26), 100);
		scopes[i] = (struct tl_str){ scope_text[i], 100 };
	}
	row.scopes = scopes;
	row.n_scopes = n % 2 == 0 ? 30 : 2;
}

static enum tl_status take_in(uint32_t n)
{
	bool missing;

	row_of(n);
	return shm_key_take_in(shm, &row, shm_change_gen(shm), &missing, NULL);
}

/* One answer under an Idempotency-Key. */
static void answer(void)
{
	const struct shm_idem_record rec = { .key_id = { 1 },
					     .name = "again",
					     .at_ms = (uint64_t)DAY * 86400000,
					     .answer = { .credits_charged = 5,
							 .day = DAY } };

	tl_assert(shm_idem_restore(shm, &rec, false));
}

static void fill(void)
{
	struct tally_plan_row plan = { .name = TL_STR("Pro"),
				       .daily_credit_limit = 1000 };
	const uint64_t delta[SHM_METRICS] = { 5, 1, 7 };
	struct shm_log_row log = { .created_us = 1 };
	struct shm_scan scan;

	plan.plan_id.b[0] = 1;
	tl_assert(shm_policy_set(shm, NULL, 0, &plan, 1, NULL) == TL_OK);
	for (uint32_t n = 0; n < KEYS; n++) {
		tl_assert(take_in(n) == TL_OK);
		tl_assert(shm_usage_add(shm, shm_key_find(shm, &row.digest),
					DAY + n % 2, delta, SHM_COUNT_MAX,
					1) == TL_OK);
	}
	shm_quota_refused(shm, 0, DAY);
	answer();
	for (uint32_t n = 0; n < 3; n++)
		tl_assert(shm_reqlog_append(
			shm, &log,
			(struct tl_str){ scope_text[0], n * 40 + 2 }));
	shm_scan_begin(shm, &scan, true);
	batch = shm_batch_fill(shm, &scan);
	tl_assert(batch != NULL && batch->n_records >= KEYS &&
		  batch->n_records <= 8 && batch->n_idems == 1 &&
		  batch->n_logs == 3);
}

static void add_place(void *p, size_t bytes)
{
	size_t i = 0;

	while (places[i].p != NULL)
		i++;
	tl_assert(i < PLACES);
	places[i] = (struct place){ p, tl_memdup(p, bytes), bytes };
}

static void make(void)
{
	const struct shm_sizes sizes = { .max_keys = 16,
					 .max_addresses = 16,
					 .max_windows = 16,
					 .decision_ring = 16,
					 .idempotency = 16,
					 .request_log = 16,
					 .window_ms = 60000 };
	const struct shm_constants *k;
	char name[64];

	log_set_level(LOG_LV_ERROR);
	snprintf(name, sizeof(name), "/tallyd.fuzz%d", (int)getpid());
	tl_assert(segment_create(name, &sizes, NULL, &shm, NULL) == TL_OK);
	shm_unlink_name(name);
	shm_slot_take(shm, 1, "fuzz", 0, 1);
	fill();
	k = &shm->head->k;
	add_place(&shm->head->state,
		  sizeof(*shm->head) - offsetof(struct shm_head, state));
	add_place(shm->keys, 16 * sizeof(*shm->keys));
	add_place(shm->users, 16 * sizeof(*shm->users));
	add_place(shm->extras, (atomic_load(&shm->head->extras_fresh) + 8) *
				       sizeof(*shm->extras));
	add_place(shm->key_dir, k->key_buckets * sizeof(*shm->key_dir));
	add_place(shm->user_dir, k->user_buckets * sizeof(*shm->user_dir));
	add_place(shm->extras_dir,
		  k->extras_buckets * sizeof(*shm->extras_dir));
	add_place(shm->logs, shm->n_logs * sizeof(*shm->logs));
	add_place(shm->idems, shm->n_idems * sizeof(*shm->idems));
	add_place(batch, offsetof(struct shm_batch, idems[2]));
	add_place(batch->records, 8 * sizeof(*batch->records));
}

static void mend(void)
{
	for (size_t i = 0; i < PLACES; i++)
		memcpy(places[i].p, places[i].good, places[i].bytes);
}

/* A word anywhere gets a small number, another word, or any bytes.  In
 * sparse places (directories) it is more often one that is in use. */
static void damage(struct fuzz_bytes *b, uint8_t *p, size_t bytes)
{
	size_t words = bytes / 8, at = fuzz_u16(b) % words;
	uint8_t how = fuzz_u8(b);
	uint64_t w;

	for (size_t i = 0; (how & 0x80) != 0 && i < words; i++) {
		memcpy(&w, p + (at + i) % words * 8, 8);
		if (w != 0) {
			at = (at + i) % words;
			break;
		}
	}
	memcpy(&w, p + at * 8, 8);
	switch (how % 6) {
	case 0:
		w = fuzz_u8(b);
		break;
	case 1:
		w = (w & ~0xffULL) | fuzz_u8(b);
		break;
	case 2:
		w ^= 1ULL << fuzz_u8(b) % 64;
		break;
	case 3:
		w = fuzz_u64(b);
		break;
	case 4:
		w += (uint64_t)(int8_t)fuzz_u8(b);
		break;
	default:
		memcpy(&w, p + fuzz_u16(b) % words * 8, 8);
	}
	memcpy(p + at * 8, &w, 8);
}

/* ---- the constants ---- */

static void check_constants(struct fuzz_bytes *b)
{
	struct shm_constants k = shm->head->k;
	uint64_t file_bytes = k.total_bytes, at = 0;
	bool power = true;

	while (b->n > 0)
		damage(b, (uint8_t *)&k, sizeof(k));
	k.crc = tl_crc32c(0, &k, offsetof(struct shm_constants, crc));
	if (segment_check(&k, file_bytes, NULL) != TL_OK)
		return;
	/* each behind the one before and behind a page that is no one's */
	at = sizeof(struct shm_head);
	for (uint32_t i = 0; i < SHM_REGIONS; i++) {
		const struct shm_region *r = &k.regions[i];

		tl_assert(r->offset % SHM_PAGE == 0);
		tl_assert(r->offset >= at + SHM_PAGE);
		tl_assert(r->size_bytes == (uint64_t)r->stride * r->count);
		tl_assert(r->size_bytes <= file_bytes &&
			  r->offset <= file_bytes - r->size_bytes);
		at = r->offset + r->size_bytes;
	}
	tl_assert(k.regions[SHM_R_SLOTS].count == SHM_SLOTS);
	tl_assert(k.regions[SHM_R_KEYS].stride == sizeof(struct shm_key));
	tl_assert(k.regions[SHM_R_KEYS].count <= SHM_INDEX_MAX);
	tl_assert(k.regions[SHM_R_KEY_DIR].count == k.key_buckets);
	tl_assert(k.regions[SHM_R_BATCHES].count == SHM_BATCHES);
	power &= (k.key_buckets & (k.key_buckets - 1)) == 0;
	power &= (k.regions[SHM_R_RING].count &
		  (k.regions[SHM_R_RING].count - 1)) == 0;
	power &= (k.regions[SHM_R_REQUEST_LOG].count &
		  (k.regions[SHM_R_REQUEST_LOG].count - 1)) == 0;
	tl_assert(power && k.regions[SHM_R_RING].count > 0);
}

/* ---- what changes ---- */

/* Entries in the directory, each once; returns how many. */
static uint64_t check_dir(const struct entry_table *t, uint8_t *seen)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < t->buckets * SHM_BUCKET_WORDS; i++) {
		uint64_t w = atomic_load(&t->dir[i / SHM_BUCKET_WORDS]
						  .word[i % SHM_BUCKET_WORDS]);
		uint32_t at = dir_index(w);

		if (w == 0)
			continue;
		tl_assert(at < t->n && at < atomic_load(t->fresh));
		tl_assert(entry_state(atomic_load(entry_state_of(t, at))) ==
			  SHM_LIVE);
		tl_assert(seen[at]++ == 0);
		n++;
	}
	return n;
}

/* The free list: ends, and has each FREE entry that was ever used. */
static void check_free(const struct entry_table *t)
{
	uint32_t fresh = (uint32_t)atomic_load(t->fresh), n = 0, is_free = 0;
	uint32_t at = (uint32_t)(atomic_load(t->free_head) >> 32);

	for (; at != 0; n++) {
		const uint8_t *e = t->base + (size_t)(at - 1) * t->stride;

		tl_assert(at <= fresh && n < fresh);
		tl_assert(entry_state(atomic_load(entry_state_of(t, at - 1))) ==
			  SHM_FREE);
		memcpy(&at, e + t->next_off, sizeof(at));
	}
	for (uint32_t i = 0; i < fresh; i++)
		is_free += entry_state(atomic_load(entry_state_of(t, i))) ==
			   SHM_FREE;
	tl_assert(n == is_free);
}

static void check_keys(void)
{
	for (uint32_t i = 0; i < atomic_load(&shm->head->key_fresh); i++) {
		const struct shm_key *k = &shm->keys[i];
		uint32_t x = atomic_load(&k->extras);

		if (entry_state(atomic_load(&k->state)) != SHM_LIVE)
			continue;
		tl_assert(atomic_load(&k->user) < shm->n_users);
		tl_assert(entry_state(atomic_load(
				  &shm->users[atomic_load(&k->user)].state)) ==
			  SHM_LIVE);
		tl_assert(x <= shm->n_extras);
		for (unsigned n = 0; x != 0; n++) {
			tl_assert(n < shm->n_extras && x <= shm->n_extras);
			tl_assert(entry_state(atomic_load(
					  &shm->extras[x - 1].state)) ==
				  SHM_LIVE);
			x = shm->extras[x - 1].next;
		}
	}
}

static void check_whole(void)
{
	static uint8_t seen[3][2048];
	struct entry_table t[3];

	memset(seen, 0, sizeof(seen));
	entry_keys(shm, &t[0]);
	entry_users(shm, &t[1]);
	entry_extras(shm, &t[2]);
	for (int i = 0; i < 3; i++) {
		tl_assert(t[i].n <= sizeof(seen[i]));
		tl_assert(atomic_load(t[i].fresh) <= t[i].n);
		tl_assert(check_dir(&t[i], seen[i]) <= atomic_load(t[i].live));
		check_free(&t[i]);
	}
	check_keys();
	tl_assert(atomic_load(&shm->head->state) == SHM_READY);
	(void)shm_reqlog_pending(shm);
}

static void on_salvage(void *arg, const struct shm_record *records, uint32_t n,
		       uint64_t epoch)
{
	uint64_t *sum = arg;

	tl_assert(epoch == shm->head->k.epoch);
	for (uint32_t i = 0; i < n; i++)
		for (int m = 0; m < SHM_METRICS; m++)
			*sum += records[i].delta[m];
}

static bool counts_fit(void)
{
	return batch->n_records <= SHM_BATCH_RECORDS &&
	       batch->n_idems <= SHM_BATCH_IDEMS &&
	       batch->log_bytes <= SHM_BATCH_LOG_BYTES;
}

/* What the next flusher does with it. */
static void check_batch(bool damaged)
{
	struct shm_batch *sealed[SHM_BATCHES];
	uint32_t n = shm_batch_sealed(shm, sealed);

	tl_assert(n <= SHM_BATCHES);
	for (uint32_t i = 0; i < n; i++) {
		if (!shm_batch_whole(shm, sealed[i]))
			continue;
		shm_batch_confirm(shm, sealed[i]);
		tl_assert(atomic_load(&sealed[i]->state) == SHM_B_FREE);
		tl_assert(atomic_load(&shm->head->log_done) >=
			  sealed[i]->log_end);
	}
	if (damaged)
		return;
	tl_assert(n == 1);
	for (uint32_t i = 0; i < KEYS; i++)
		for (int m = 0; m < SHM_METRICS; m++)
			tl_assert(atomic_load(&shm->keys[i].cell[(DAY + i % 2) %
								 3][m]) ==
				  atomic_load(
					  &shm->keys[i].flushed[(DAY + i % 2) %
								3][m]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { data, size };
	uint8_t mode = fuzz_u8(&b);
	struct tl_err err;
	uint64_t sum = 0;
	bool good;

	if (shm == NULL)
		make();
	if (mode == 'h') {
		check_constants(&b);
		return 0;
	}
	while (b.n > 0) {
		const struct place *p = &places[fuzz_u8(&b) % PLACES];

		damage(&b, p->p, p->bytes);
	}
	if (mode == 'b' && counts_fit())
		batch->crc = shm_batch_crc(batch);
	good = shm_verify(shm, &err) == TL_OK;
	if (good)
		check_whole();
	else
		tl_assert(err.text[0] != '\0' && size > 1);
	shm_salvage(shm, on_salvage, &sum);
	if (size <= 1)
		tl_assert(sum == KEYS * 13);
	if (good)
		check_batch(size > 1);
	mend();
	return 0;
}
