/*
 * At each step of a batch, sums of the database as of a known batch, less what
 * shm_books_delivered says, plus what is counted, are all there is.
 */
#include <check.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/books.h"
#include "shm/usage.h"

#define KEYS 64
#define DAY  SEGMENT_DAY

static struct shm *shm;
static struct tally_digest keys[3];
static uint32_t index_of[3];

static void up(void)
{
	struct tally_key_row row;

	shm = segment_open(KEYS, 1000);
	shm_remove(segment_instance());
	shm_slot_set_state(shm, SHM_SLOT_READY);
	for (uint32_t i = 0; i < 3; i++) {
		segment_row(i + 1, 1, &row);
		segment_take_in(shm, &row);
		keys[i] = row.digest;
		index_of[i] = shm_key_find(shm, &row.digest);
	}
}

static void down(void)
{
	shm_close(&shm);
}

static void charge(uint32_t key, uint32_t day, uint64_t credits)
{
	uint64_t delta[SHM_METRICS] = { credits, 1, 10 * credits };

	ck_assert_int_eq(
		shm_usage_add(shm, index_of[key], day, delta, SHM_COUNT_MAX, 1),
		TL_OK);
}

static struct shm_batch *seal(void)
{
	struct shm_scan scan;
	struct shm_batch *b;

	shm_scan_begin(shm, &scan, false);
	b = shm_batch_fill(shm, &scan);
	ck_assert_ptr_nonnull(b);
	return b;
}

/* What is shown of DAY when the database holds `sums` as of batch `seq`. */
static uint64_t shown(uint64_t sums, uint64_t seq, bool whole)
{
	struct shm_sum sent[2] = { 0 }, counted[2] = { 0 };

	ck_assert_int_eq(
		shm_books_delivered(shm, keys, 3, DAY - 1, 2, seq, sent),
		whole);
	shm_books_counted(shm, keys, 3, DAY - 1, 2, counted);
	ck_assert_uint_eq(
		counted[1].n[SHM_COST] - sent[1].n[SHM_COST],
		10 * (counted[1].n[SHM_CREDITS] - sent[1].n[SHM_CREDITS]));
	return sums - sent[1].n[SHM_CREDITS] + counted[1].n[SHM_CREDITS];
}

START_TEST(each_step_of_a_batch_shows_the_same)
{
	struct shm_batch *b;

	charge(0, DAY, 5);
	charge(1, DAY, 7);
	ck_assert_uint_eq(shown(0, 0, true), 12);

	b = seal();
	ck_assert_uint_eq(shown(0, 0, true), 12);  /* not applied yet */
	ck_assert_uint_eq(shown(12, 1, true), 12); /* applied, not heard of */

	charge(0, DAY, 1);
	ck_assert_uint_eq(shown(0, 0, true), 13);
	ck_assert_uint_eq(shown(12, 1, true), 13);

	shm_batch_confirm(shm, b);
	ck_assert_uint_eq(shown(12, 1, true), 13);
}
END_TEST

/* The confirming process was put off, or killed, after the first key. */
START_TEST(half_a_confirmation_shows_the_same)
{
	struct shm_key *k = &shm->keys[index_of[0]];

	charge(0, DAY, 5);
	charge(1, DAY, 7);
	(void)seal();

	for (uint32_t m = 0; m < SHM_METRICS; m++)
		atomic_store(&k->flushed[DAY % SHM_PERIODS][m],
			     atomic_load(&k->cell[DAY % SHM_PERIODS][m]));

	ck_assert_uint_eq(shown(0, 0, true), 12);
	ck_assert_uint_eq(shown(12, 1, true), 12);
}
END_TEST

START_TEST(figures_from_before_a_batch_are_refused)
{
	struct shm_batch *b;

	charge(0, DAY, 5);
	b = seal();
	shm_batch_confirm(shm, b);

	ck_assert_uint_eq(shown(0, 0, false), 0);
	ck_assert_uint_eq(shown(5, 1, true), 5);
}
END_TEST

START_TEST(the_second_batch_of_a_key_goes_on_where_the_first_ended)
{
	struct shm_batch *b;

	charge(0, DAY, 5);
	b = seal();
	shm_batch_confirm(shm, b);
	charge(0, DAY, 3);
	b = seal();

	ck_assert_uint_eq(shown(5, 1, true), 8);
	ck_assert_uint_eq(shown(8, 2, true), 8);
	shm_batch_confirm(shm, b);
	ck_assert_uint_eq(shown(8, 2, true), 8);
}
END_TEST

START_TEST(other_days_and_other_keys_add_nothing)
{
	struct shm_sum days[2] = { 0 };
	struct tally_digest stranger = { { 9 } };

	charge(0, DAY, 5);
	charge(0, DAY + 1, 50);
	charge(1, DAY - 1, 3);

	shm_books_counted(shm, keys, 3, DAY - 1, 2, days);
	ck_assert_uint_eq(days[0].n[SHM_CREDITS], 3);
	ck_assert_uint_eq(days[1].n[SHM_CREDITS], 5);
	ck_assert_uint_eq(days[1].n[SHM_REQUESTS], 1);
	shm_books_counted(shm, &stranger, 1, DAY - 1, 2, days);
	ck_assert_uint_eq(days[1].n[SHM_CREDITS], 5);
}
END_TEST

START_TEST(pages_over_all_keys_add_up)
{
	struct shm_books sum = { 0 };
	uint64_t before, after;
	struct shm_batch *b;
	uint32_t next = 0;

	charge(0, DAY, 5);
	charge(1, DAY, 7);
	ck_assert(shm_books_mark(shm, &before));
	b = seal();
	ck_assert(!shm_books_mark(shm, &after)); /* in work */
	shm_batch_confirm(shm, b);
	ck_assert(shm_books_mark(shm, &after));
	ck_assert_uint_eq(after, before + 1);
	charge(1, DAY, 2);
	charge(2, DAY - 1, 100);

	while (shm_books_page(shm, DAY, 1, &next, &sum))
		;

	ck_assert_uint_eq(sum.counted.n[SHM_CREDITS], 14);
	ck_assert_uint_eq(sum.delivered.n[SHM_CREDITS], 12);
	ck_assert_uint_eq(sum.pending_keys, 2); /* of any day */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm books");
	TCase *tc = tcase_create("books");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, up, down);
	tcase_add_test(tc, each_step_of_a_batch_shows_the_same);
	tcase_add_test(tc, half_a_confirmation_shows_the_same);
	tcase_add_test(tc, figures_from_before_a_batch_are_refused);
	tcase_add_test(tc,
		       the_second_batch_of_a_key_goes_on_where_the_first_ended);
	tcase_add_test(tc, other_days_and_other_keys_add_nothing);
	tcase_add_test(tc, pages_over_all_keys_add_up);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
