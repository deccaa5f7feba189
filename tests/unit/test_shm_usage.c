#include <check.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/usage.h"

#define KEYS 64
#define DAY  SEGMENT_DAY

static struct shm *shm;
static struct tally_key_row row;

static uint32_t taken(uint32_t n)
{
	segment_row(n, n, &row);
	segment_take_in(shm, &row);
	return shm_key_find(shm, &row.digest);
}

static void up(void)
{
	shm = segment_open(KEYS, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	shm_close(&shm);
}

static enum tl_status add(uint32_t key, uint32_t day, uint64_t credits,
			  uint64_t cost, uint64_t max)
{
	uint64_t delta[SHM_METRICS] = { credits, 1, cost };

	return shm_usage_add(shm, key, day, delta, max, 1);
}

static uint64_t cell(uint32_t key, uint32_t day, enum shm_metric m)
{
	return shm_count_in(
		atomic_load(&shm->keys[key].cell[day % SHM_PERIODS][m]), day);
}

/* One whole scan, confirmed; gives the sum of the credits handed over. */
static uint64_t flush(bool full, uint32_t *records_r)
{
	struct shm_batch *b;
	struct shm_scan scan;
	uint64_t sum = 0;
	uint32_t i;

	*records_r = 0;
	shm_scan_begin(shm, &scan, full);
	while (!scan.done) {
		b = shm_batch_fill(shm, &scan);
		if (b == NULL)
			continue;
		ck_assert_uint_eq(b->crc, shm_batch_crc(b));
		for (i = 0; i < b->n_records; i++)
			sum += b->records[i].delta[SHM_CREDITS];
		*records_r += b->n_records;
		shm_batch_confirm(shm, b);
	}
	return sum;
}

/* ---- cells ---- */

START_TEST(the_limit_of_a_key_is_exact)
{
	uint32_t k;

	segment_row(1, 1, &row);
	row.base_credits = 4;
	segment_take_in(shm, &row);
	k = shm_key_find(shm, &row.digest);

	ck_assert_int_eq(add(k, DAY, 6, 0, 10), TL_OK);
	ck_assert_int_eq(add(k, DAY, 1, 0, 10), TL_FULL);
	ck_assert_uint_eq(cell(k, DAY, SHM_REQUESTS), 1); /* unchanged */
	ck_assert_int_eq(add(k, DAY, 0, 9, 10), TL_OK);
	ck_assert_int_eq(add(k, DAY + 1, 10, 0, 10), TL_OK); /* no base */
	ck_assert_uint_eq(shm_key_credits(&shm->keys[k], DAY), 10);
	ck_assert_uint_eq(cell(k, DAY, SHM_COST), 9);
	ck_assert_int_eq(add(k, DAY, 0, 0, 3), TL_FULL); /* base above it */
}
END_TEST

/* Three days stand side by side; the fourth waits for the first's flush. */
START_TEST(a_cell_takes_a_new_day_when_the_old_one_is_handed_over)
{
	uint32_t k = taken(1), n, m;
	uint64_t zero_credits[SHM_METRICS] = { 0, 0, 3 };

	for (m = 0; m < 3; m++)
		ck_assert_int_eq(add(k, DAY + m, 5, 7, SHM_COUNT_MAX), TL_OK);
	ck_assert_int_eq(add(k, DAY + 3, 1, 0, SHM_COUNT_MAX), TL_BUSY);
	ck_assert_int_eq(
		shm_usage_add(shm, k, DAY + 3, zero_credits, SHM_COUNT_MAX, 1),
		TL_BUSY);
	ck_assert_uint_eq(cell(k, DAY, SHM_CREDITS), 5);

	ck_assert_uint_eq(flush(false, &n), 15);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(add(k, DAY + 3, 1, 0, SHM_COUNT_MAX), TL_OK);
	ck_assert_uint_eq(cell(k, DAY + 3, SHM_CREDITS), 1);
	ck_assert_uint_eq(cell(k, DAY, SHM_CREDITS), 0);
	ck_assert_uint_eq(cell(k, DAY, SHM_COST), 7); /* its own tag */
	ck_assert_uint_eq(flush(false, &n), 1);
	ck_assert_uint_eq(flush(true, &n), 0);
}
END_TEST

/* ---- quota ---- */

START_TEST(quota_is_exact_and_a_day_of_its_own)
{
	struct shm_user *u = &shm->users[0];
	uint64_t used;

	segment_row(1, 1, &row);
	row.user.base_credits = 4;
	segment_take_in(shm, &row);

	ck_assert(shm_quota_reserve(u, DAY, 6, 10, &used));
	ck_assert_uint_eq(used, 10);
	ck_assert(!shm_quota_reserve(u, DAY, 1, 10, &used));
	ck_assert_uint_eq(used, 10);
	shm_quota_refund(u, DAY, 2);
	ck_assert(!shm_quota_reserve(u, DAY, 3, 10, &used));
	ck_assert(shm_quota_reserve(u, DAY, 2, 10, &used));

	ck_assert(shm_quota_reserve(u, DAY + 1, 9, 10, &used));
	ck_assert_uint_eq(used, 9);
	shm_quota_refund(u, DAY, 2); /* of yesterday: too late */
	ck_assert_uint_eq(shm_quota_used(u, DAY + 1), 9);
	shm_requests_add(u, DAY, 3);
	shm_requests_add(u, DAY + 1, 1);
	ck_assert_uint_eq(shm_requests_used(u, DAY + 1), 1);
}
END_TEST

struct tally {
	_Atomic uint64_t admitted;
};

static void reserve_all(struct shm *s, uint32_t who, void *arg)
{
	struct tally *t = arg;
	uint64_t used;
	uint32_t i;

	(void)who;
	for (i = 0; i < 20000; i++)
		if (shm_quota_reserve(&s->users[0], DAY, 1, 30000, &used))
			atomic_fetch_add(&t->admitted, 1);
}

START_TEST(four_processes_share_a_quota_exactly)
{
	struct tally *t = procs_shared(sizeof(*t));

	taken(1);
	procs_run(&(struct procs_job){
		.shm = shm, .n = 4, .run = reserve_all, .arg = t });

	ck_assert_uint_eq(atomic_load(&t->admitted), 30000);
	ck_assert_uint_eq(shm_quota_used(&shm->users[0], DAY), 30000);
}
END_TEST

/* ---- batches ---- */

START_TEST(a_scan_hands_over_what_is_dirty_once)
{
	uint32_t a = taken(1), b = taken(2), n;

	flush(true, &n); /* the keys' first use */
	add(a, DAY, 2, 0, SHM_COUNT_MAX);
	add(a, DAY, 3, 0, SHM_COUNT_MAX);
	add(b, DAY, 4, 0, SHM_COUNT_MAX);

	ck_assert_uint_eq(flush(false, &n), 9);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(flush(false, &n), 0);
	ck_assert_uint_eq(flush(true, &n), 0);
	ck_assert_uint_eq(n, 0);
	add(a, DAY, 1, 0, SHM_COUNT_MAX);
	ck_assert_uint_eq(flush(false, &n), 1); /* the difference */
}
END_TEST

START_TEST(a_use_without_charge_is_told_too)
{
	uint32_t k = taken(1), n;
	struct shm_batch *b;
	struct shm_scan scan;

	flush(true, &n);
	shm_usage_touch(shm, k, UINT64_MAX / 4);
	shm_scan_begin(shm, &scan, false);
	b = shm_batch_fill(shm, &scan);

	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->n_records, 1);
	ck_assert_uint_eq(b->records[0].last_used_ms, UINT64_MAX / 4);
	ck_assert_uint_eq(b->records[0].delta[SHM_REQUESTS], 0);
	shm_batch_confirm(shm, b);
	ck_assert_uint_eq(flush(true, &n), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* ---- refusals ---- */

/* The days that one whole scan tells a refusal of, as bits from DAY on. */
static uint32_t refusals(bool full)
{
	struct shm_batch *b;
	struct shm_scan scan;
	uint32_t days = 0;

	shm_scan_begin(shm, &scan, full);
	while (!scan.done) {
		b = shm_batch_fill(shm, &scan);
		for (uint32_t i = 0; b != NULL && i < b->n_records; i++)
			if (b->records[i].flags == SHM_RECORD_REFUSED)
				days |= 1u << (b->records[i].day - DAY);
		if (b != NULL)
			shm_batch_confirm(shm, b);
	}
	return days;
}

START_TEST(the_first_refusal_of_a_day_is_handed_over_once)
{
	uint32_t k = taken(1), n;

	flush(true, &n);
	shm_quota_refused(shm, k, DAY);
	shm_quota_refused(shm, k, DAY);

	ck_assert_uint_eq(refusals(false), 1);
	shm_quota_refused(shm, k, DAY);
	ck_assert_uint_eq(refusals(false), 0);
	ck_assert_uint_eq(refusals(true), 0);
	shm_quota_refused(shm, k, DAY + 1); /* two days of outage */
	shm_quota_refused(shm, k, DAY + 2);
	ck_assert_uint_eq(refusals(false), 6);
	shm_quota_refused(shm, k, DAY + 3);
	ck_assert_uint_eq(refusals(false), 8);
}
END_TEST

START_TEST(a_refusal_is_not_lost_with_its_dirty_bit_nor_with_its_batch)
{
	uint32_t k = taken(1), n;
	struct shm_batch *b;
	struct shm_scan scan;

	flush(true, &n);
	shm_quota_refused(shm, k, DAY);
	atomic_store(&shm->dirty[k / 64], 0); /* killed before it was set */
	ck_assert_uint_eq(refusals(false), 0);
	ck_assert_uint_eq(refusals(true), 1);

	shm_quota_refused(shm, k, DAY + 1);
	shm_scan_begin(shm, &scan, false);
	b = shm_batch_fill(shm, &scan);
	ck_assert_uint_eq(b->n_records, 1);
	ck_assert_uint_eq(b->records[0].flags, SHM_RECORD_REFUSED);
	ck_assert_uint_eq(b->records[0].day, DAY + 1);
	ck_assert_uint_eq(b->records[0].delta[SHM_REQUESTS], 0);
	atomic_store(&b->state, SHM_B_FREE); /* killed while it was filled */
	ck_assert_uint_eq(refusals(false), 0);
	ck_assert_uint_eq(refusals(true), 2);
}
END_TEST

/* A batch that was sent twice, and whose key has gone in between. */
START_TEST(a_late_confirm_does_not_touch_another_key)
{
	uint32_t k = taken(1), n;
	struct shm_batch *b;
	struct shm_scan scan;

	flush(true, &n);
	add(k, DAY, 9, 0, SHM_COUNT_MAX);
	shm_scan_begin(shm, &scan, false);
	b = shm_batch_fill(shm, &scan);
	shm_batch_confirm(shm, b);
	atomic_fetch_add(&shm->keys[k].state, 1 << 8); /* another key's now */
	atomic_store(&shm->keys[k].cell[DAY % 3][0], shm_tagged(DAY, 2));
	atomic_store(&shm->keys[k].flushed[DAY % 3][0], 0);
	shm_batch_confirm(shm, b);

	ck_assert_uint_eq(atomic_load(&shm->keys[k].flushed[DAY % 3][0]), 0);
	ck_assert_uint_eq(flush(true, &n), 2);
}
END_TEST

/* ---- what a database would hold, exactly once ---- */

struct database {
	_Atomic uint64_t now; /* seq << 1 | which copy */
	struct {
		uint64_t total[KEYS][SHM_METRICS];
	} copy[2];
	_Atomic uint64_t answered[KEYS][SHM_METRICS];
	uint32_t keys;
};

/* A batch and its number change together, as in a transaction. */
static void apply(struct database *db, const struct shm_batch *b)
{
	uint64_t now = atomic_load(&db->now);
	uint32_t next = (now & 1) ^ 1, i, m;

	if (b->seq <= now >> 1)
		return; /* DUPLICATE */
	tl_assert(b->seq == (now >> 1) + 1 && b->crc == shm_batch_crc(b));
	db->copy[next] = db->copy[now & 1];
	for (i = 0; i < b->n_records; i++)
		for (m = 0; m < SHM_METRICS; m++)
			db->copy[next].total[b->records[i].key][m] +=
				b->records[i].delta[m];
	procs_breathe();
	atomic_store(&db->now, b->seq << 1 | next);
}

static void deliver_held(struct shm *s, struct database *db)
{
	struct shm_batch *held[SHM_BATCHES];
	uint32_t n = shm_batch_sealed(s, held), i;

	for (i = 0; i < n; i++) {
		apply(db, held[i]);
		shm_batch_confirm(s, held[i]);
	}
}

static void scan_once(struct shm *s, struct database *db, bool full)
{
	struct shm_batch *b;
	struct shm_scan scan;

	shm_scan_begin(s, &scan, full);
	while (!scan.done) {
		b = shm_batch_fill(s, &scan);
		if (b == NULL)
			continue;
		apply(db, b);
		shm_batch_confirm(s, b);
	}
}

static void flusher(struct shm *s, struct database *db)
{
	deliver_held(s, db);
	atomic_store(&s->head->full_scan_wanted, 1);
	while (!procs_over())
		scan_once(s, db,
			  atomic_exchange(&s->head->full_scan_wanted, 0) != 0);
}

static void use_or_flush(struct shm *s, uint32_t who, void *arg)
{
	struct database *db = arg;
	uint64_t delta[SHM_METRICS];
	uint32_t k, m;

	procs_delays(true);
	if (who == 0) {
		flusher(s, db);
		return;
	}
	while (!procs_over()) {
		k = procs_random(db->keys);
		delta[0] = 1 + procs_random(3);
		delta[1] = 1;
		delta[2] = procs_random(5);
		if (shm_usage_add(s, k, DAY + procs_random(2), delta,
				  SHM_COUNT_MAX, 1) != TL_OK)
			continue;
		for (m = 0; m < SHM_METRICS; m++)
			atomic_fetch_add(&db->answered[k][m], delta[m]);
	}
}

/* Killed anywhere: what the database holds is what the cells hold. */
START_TEST(nothing_is_lost_and_nothing_doubled)
{
	struct database *db = procs_shared(sizeof(*db));
	uint64_t sum, answered = 0, held = 0, total[SHM_METRICS], n;
	uint32_t k, m, kills;

	for (db->keys = 0; db->keys < 40; db->keys++)
		taken(db->keys);
	kills = procs_run(&(struct procs_job){ .shm = shm,
					       .n = 5,
					       .ms = 1500,
					       .kill_every = 3,
					       .kills = 1,
					       .stop_every = 5,
					       .run = use_or_flush,
					       .arg = db });
	deliver_held(shm, db);
	scan_once(shm, db, true);

	ck_assert_uint_gt(kills, 0);
	shm_pending(shm, total, &n);
	ck_assert_uint_eq(n, 0);
	for (k = 0; k < db->keys; k++)
		for (m = 0; m < SHM_METRICS; m++) {
			sum = cell(k, DAY, m) + cell(k, DAY + 1, m);
			ck_assert_uint_eq(
				db->copy[atomic_load(&db->now) & 1].total[k][m],
				sum);
			held += m == SHM_REQUESTS ? sum : 0;
			answered += m == SHM_REQUESTS
					    ? atomic_load(&db->answered[k][m])
					    : 0;
		}
	ck_assert_uint_ge(held, answered);
	ck_assert_uint_le(held, answered + kills);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/usage");
	TCase *tc = tcase_create("usage");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_limit_of_a_key_is_exact);
	tcase_add_test(tc,
		       a_cell_takes_a_new_day_when_the_old_one_is_handed_over);
	tcase_add_test(tc, quota_is_exact_and_a_day_of_its_own);
	tcase_add_test(tc, four_processes_share_a_quota_exactly);
	tcase_add_test(tc, a_scan_hands_over_what_is_dirty_once);
	tcase_add_test(tc, a_use_without_charge_is_told_too);
	tcase_add_test(tc, the_first_refusal_of_a_day_is_handed_over_once);
	tcase_add_test(
		tc, a_refusal_is_not_lost_with_its_dirty_bit_nor_with_its_batch);
	tcase_add_test(tc, a_late_confirm_does_not_touch_another_key);
	tcase_add_test(tc, nothing_is_lost_and_nothing_doubled);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
