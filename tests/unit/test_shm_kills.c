#include <check.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/entry.h"
#include "shm/usage.h"
#include "shm/window.h"

/*
 * The crash table, row by row: a process dies at a named point, then what is
 * promised for that row must hold.
 */

#define KEYS  256
#define DAY   SEGMENT_DAY
#define CHILD 5 /* its slot */

static struct shm *shm;
static struct tally_key_row row;
static struct tl_err err;

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

static void sweep(struct shm_janitor *j, uint32_t rounds)
{
	while (rounds-- > 0)
		shm_janitor_step(shm, j, KEYS, 1, true, tl_mono_ns());
}

static bool die_at(const char *point, uint32_t nth,
		   void (*fn)(struct shm *s, void *arg))
{
	return procs_die_at(shm, CHILD, point, nth, fn, NULL);
}

/* ---- row 1: in the window check ---- */

#define W_NS 60000000000ULL

static void check_window(struct shm *s, void *arg)
{
	struct shm_window_result r;
	struct shm_ticket t;

	(void)arg;
	shm_window_check(s->windows[0].ring, W_NS, 1, 1,
			 s->head->k.created_mono_ns, tl_mono_ns(), &t, &r);
}

static uint32_t charged(uint64_t later_ns)
{
	return shm_window_sum(shm->windows[0].ring, W_NS,
			      tl_mono_ns() + later_ns -
				      shm->head->k.created_mono_ns);
}

START_TEST(row_1_a_charge_of_the_dead_ages_out)
{
	ck_assert(die_at("window.summed", 1, check_window));
	ck_assert_uint_eq(charged(0), 0);

	ck_assert(die_at("window.added", 1, check_window));
	ck_assert_uint_eq(charged(0), 1);                    /* strict by one */
	ck_assert(!die_at("window.added", 1, check_window)); /* refused */
	ck_assert_uint_eq(charged(W_NS - W_NS / 14), 1);
	ck_assert_uint_eq(charged(W_NS + W_NS / 14 + 1), 0);
}
END_TEST

/* ---- row 3: usage ---- */

static void add_usage(struct shm *s, void *arg)
{
	uint64_t delta[SHM_METRICS] = { 5, 1, 9 };

	(void)arg;
	if (shm_usage_add(s, 0, DAY, delta, SHM_COUNT_MAX, 1) != TL_OK)
		_Exit(1);
}

/* Gives the credits; records are confirmed. */
static uint64_t flush(bool full)
{
	struct shm_batch *b;
	struct shm_scan scan;
	uint64_t sum = 0;
	uint32_t i;

	shm_scan_begin(shm, &scan, full);
	while (!scan.done) {
		b = shm_batch_fill(shm, &scan);
		if (b == NULL)
			continue;
		for (i = 0; i < b->n_records; i++)
			sum += b->records[i].delta[SHM_CREDITS];
		shm_batch_confirm(shm, b);
	}
	return sum;
}

static void take_one(uint32_t n)
{
	segment_row(n, n / 4, &row);
	segment_take_in(shm, &row);
}

START_TEST(row_3_a_missing_dirty_bit_is_found_by_the_full_scan)
{
	take_one(0);
	flush(true);
	atomic_store(&shm->head->full_scan_wanted, 0);

	ck_assert(die_at("usage.added", 1, add_usage));
	ck_assert_uint_eq(flush(false), 0); /* the bit is missing indeed */
	ck_assert_uint_eq(atomic_load(&shm->head->full_scan_wanted), 1);
	ck_assert_uint_eq(flush(true), 5);
	ck_assert_uint_eq(flush(true), 0);
}
END_TEST

START_TEST(rows_3_and_4_usage_of_the_dead_is_counted_once)
{
	take_one(0);
	ck_assert(die_at("usage.credits", 1, add_usage));
	ck_assert_uint_eq(flush(true), 5);
	add_usage(shm, NULL); /* answered or not: in the bitmap */

	ck_assert_uint_eq(flush(false), 5);
	ck_assert_uint_eq(flush(true), 0);
}
END_TEST

/* ---- row 5: insertion ---- */

static void take_key_1(struct shm *s, void *arg)
{
	struct tally_key_row r;

	(void)arg;
	segment_row(1, 1, &r);
	segment_take_in(s, &r);
}

static const struct {
	const char *point;
	uint32_t nth; /* the user comes first, then the key */
} insertions[] = {
	{ "entry.popped", 1 },     { "entry.popped", 2 }, { "entry.init", 1 },
	{ "entry.init", 2 },       { "entry.live", 1 },   { "entry.live", 2 },
	{ "entries.inserted", 1 },
};

static void assert_one_live(void)
{
	struct shm_census c;

	shm_census_keys(shm, &c);
	ck_assert_uint_eq(c.live, 1);
	ck_assert_uint_eq(c.fresh + c.free + c.live, KEYS);
	shm_census_users(shm, &c);
	ck_assert_uint_eq(c.live, 1);
	ck_assert_uint_eq(c.fresh + c.free + c.live, KEYS);
}

/* The next one takes over the lock at once; what was half made is freed. */
START_TEST(row_5_an_insertion_is_taken_over)
{
	uint32_t k;

	ck_assert(die_at(insertions[_i].point, insertions[_i].nth, take_key_1));
	take_key_1(shm, NULL);
	segment_row(1, 1, &row);
	k = shm_key_find(shm, &row.digest);
	ck_assert_uint_ne(k, SHM_NONE);

	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	assert_one_live();
}
END_TEST

/* Without a new master: the janitor frees what the dead left INIT. */
START_TEST(row_5_the_janitor_frees_what_was_being_made)
{
	struct shm_janitor j = { 0 };
	struct shm_census c;

	ck_assert(die_at("entry.init", 2, take_key_1));
	shm_census_keys(shm, &c);
	ck_assert_uint_eq(c.init, 1);

	sweep(&j, 1);
	shm_census_keys(shm, &c);
	ck_assert_uint_eq(c.init, 0);
	ck_assert_uint_eq(c.free, 1);
	take_key_1(shm, NULL);
	assert_one_live();
}
END_TEST

static void take_long_scopes(struct shm *s, void *arg)
{
	static char text[10][101];
	struct tl_str scopes[10];
	struct tally_key_row r;
	uint32_t i;

	(void)arg;
	for (i = 0; i < 10; i++) {
		memset(text[i], (int)('a' + i), 100);
		scopes[i] = (struct tl_str){ text[i], 100 };
	}
	segment_row(1, 1, &r);
	r.scopes = scopes;
	r.n_scopes = 10;
	segment_take_in(s, &r);
}

static uint32_t extras_in(enum shm_entry_state st)
{
	uint32_t n = (uint32_t)atomic_load(&shm->head->extras_fresh), i, c = 0;

	for (i = 0; i < n; i++)
		c += entry_state(atomic_load(&shm->extras[i].state)) == st;
	return c;
}

/* Five chunks of a chain; killed in the middle, then made whole by another. */
START_TEST(row_5_a_chain_half_made_is_freed)
{
	struct shm_janitor j = { 0 };
	uint32_t k, x;

	ck_assert(die_at("entry.init", (uint32_t)_i + 1, take_long_scopes));
	take_long_scopes(shm, NULL);
	segment_row(1, 1, &row);
	k = shm_key_find(shm, &row.digest);
	x = atomic_load(&shm->keys[k].extras);

	sweep(&j, 6);
	ck_assert_uint_eq(extras_in(SHM_INIT), 0);
	ck_assert_uint_eq(extras_in(SHM_LIVE), 5);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	sweep(&j, 6);
	ck_assert_uint_eq(extras_in(SHM_LIVE), 5); /* tails as well */
	ck_assert_uint_eq(atomic_load(&shm->keys[k].extras), x);
	ck_assert_uint_eq(extras_in(SHM_FREE), (uint32_t)_i + 1);
}
END_TEST

/* ---- rows 6 to 9: the flusher ---- */

static void flush_without_server(struct shm *s, void *arg)
{
	struct shm_batch *b;
	struct shm_scan scan;

	(void)arg;
	shm_scan_begin(s, &scan, true);
	b = shm_batch_fill(s, &scan);
	if (b != NULL)
		shm_batch_confirm(s, b);
}

static struct shm_batch *held_after_death(const char *point, uint32_t nth)
{
	struct shm_batch *held[SHM_BATCHES] = { NULL };
	uint32_t i;

	for (i = 0; i < 4; i++) {
		take_one(i);
		flush(true);
	}
	for (i = 0; i < 4; i++) {
		uint64_t delta[SHM_METRICS] = { 10, 1, 0 };

		ck_assert_int_eq(
			shm_usage_add(shm, i, DAY, delta, SHM_COUNT_MAX, 1),
			TL_OK);
	}
	ck_assert(die_at(point, nth, flush_without_server));
	return shm_batch_sealed(shm, held) > 0 ? held[0] : NULL;
}

START_TEST(row_6_a_batch_not_sealed_is_thrown_away)
{
	uint64_t seq = 0;

	ck_assert_ptr_null(held_after_death("batch.filled", 1));
	seq = atomic_load(&shm->head->next_seq);

	ck_assert_uint_eq(flush(true), 40);
	ck_assert_uint_eq(atomic_load(&shm->head->next_seq), seq + 1);
}
END_TEST

static const struct {
	const char *point;
	uint32_t nth;
} confirmations[] = { { "batch.confirm", 1 },
		      { "batch.confirm", 3 },
		      { "batch.confirmed", 1 } };

/* The same batch with the same number once more; its receiver knows it. */
START_TEST(rows_7_to_9_a_sealed_batch_is_there_to_be_sent_again)
{
	struct shm_batch *b = held_after_death(confirmations[_i].point,
					       confirmations[_i].nth);
	uint64_t total[SHM_METRICS], n;

	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->n_records, 4);
	ck_assert_uint_eq(b->crc, shm_batch_crc(b));
	ck_assert_uint_eq(b->seq, atomic_load(&shm->head->next_seq) - 1);

	shm_batch_confirm(shm, b);
	shm_pending(shm, total, &n);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(flush(true), 0);
}
END_TEST

/* ---- row 13: the janitor ---- */

static void retire_key_1(struct shm *s, void *arg)
{
	struct shm_janitor j = { 0 };

	(void)arg;
	atomic_store(&s->keys[0].last_used_ms, 1);
	atomic_store(&s->keys[0].flushed_used_ms, 1);
	shm_janitor_step(s, &j, KEYS, 1, true, tl_mono_ns());
}

static const char *const retirements[] = { "entry.dying", "entry.retired",
					   "entry.unlisted" };

static uint32_t keys_in(enum shm_entry_state st)
{
	uint32_t i, n = 0;

	for (i = 0; i < KEYS; i++)
		n += entry_state(atomic_load(&shm->keys[i].state)) == st;
	return n;
}

/* Wanted at once: it comes back, or a new one is made; never both. */
START_TEST(row_13_a_key_half_retired_can_be_used)
{
	struct shm_janitor j = { 0 };
	uint32_t k;

	take_key_1(shm, NULL);
	segment_row(1, 1, &row);
	ck_assert(die_at(retirements[_i], 1, retire_key_1));
	ck_assert_uint_eq(keys_in(SHM_LIVE), 0);

	take_key_1(shm, NULL);
	k = shm_key_find(shm, &row.digest);
	ck_assert_uint_ne(k, SHM_NONE);
	ck_assert_uint_eq(k == 0, _i == 0); /* DYING came back */
	/* as a use does */
	atomic_store(&shm->keys[k].last_used_ms, UINT64_MAX / 4);
	sweep(&j, 3);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	ck_assert_uint_eq(keys_in(SHM_LIVE), 1);
	ck_assert_uint_eq(keys_in(SHM_RETIRED), 0);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	assert_one_live();
}
END_TEST

START_TEST(row_13_the_next_janitor_finishes_or_undoes)
{
	struct shm_janitor j = { 0 };

	take_key_1(shm, NULL);
	segment_row(1, 1, &row);
	ck_assert(die_at(retirements[_i], 1, retire_key_1));

	sweep(&j, 4);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);
	ck_assert_uint_eq(keys_in(SHM_FREE), KEYS);
}
END_TEST

/* Row 14: the same, but the next master checks first. */
START_TEST(row_14_a_new_master_finds_it_whole)
{
	uint32_t user;

	take_key_1(shm, NULL);
	segment_row(1, 1, &row);
	ck_assert(die_at(retirements[_i], 1, retire_key_1));

	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest) == 0, _i == 0);
	take_key_1(shm, NULL);
	user = shm_user_find(shm, &row.user.user_id);
	ck_assert_uint_eq(
		atomic_load(&shm->keys[shm_key_find(shm, &row.digest)].user),
		user);
	assert_one_live();
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

int main(void)
{
	Suite *s = suite_create("shm/kills");
	TCase *tc = tcase_create("kills");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, row_1_a_charge_of_the_dead_ages_out);
	tcase_add_test(tc, row_3_a_missing_dirty_bit_is_found_by_the_full_scan);
	tcase_add_test(tc, rows_3_and_4_usage_of_the_dead_is_counted_once);
	tcase_add_loop_test(tc, row_5_an_insertion_is_taken_over, 0,
			    N(insertions));
	tcase_add_test(tc, row_5_the_janitor_frees_what_was_being_made);
	tcase_add_loop_test(tc, row_5_a_chain_half_made_is_freed, 0, 5);
	tcase_add_test(tc, row_6_a_batch_not_sealed_is_thrown_away);
	tcase_add_loop_test(
		tc, rows_7_to_9_a_sealed_batch_is_there_to_be_sent_again, 0,
		N(confirmations));
	tcase_add_loop_test(tc, row_13_a_key_half_retired_can_be_used, 0,
			    N(retirements));
	tcase_add_loop_test(tc, row_13_the_next_janitor_finishes_or_undoes, 0,
			    N(retirements));
	tcase_add_loop_test(tc, row_14_a_new_master_finds_it_whole, 0,
			    N(retirements));
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
