#include <check.h>
#include <stdlib.h>

#include "segment.h"
#include "shm/metrics.h"

static struct shm *s;

static void setup(void)
{
	s = segment_open(16, 100);
}
static void teardown(void)
{
	segment_close(&s);
}

/* A bound belongs to the bucket below it, one more to the next. */
START_TEST(observations_fall_into_the_bucket_of_their_bound)
{
	enum shm_histogram h = (enum shm_histogram)_i;
	struct shm_histogram_sum sum;
	const uint64_t *bounds;
	uint64_t total = 0;
	uint32_t n;

	bounds = shm_histogram_bounds(h, &n);
	for (uint32_t i = 0; i < n; i++) {
		shm_observe(s, h, bounds[i]);
		shm_observe(s, h, bounds[i] + 1);
		total += 2 * bounds[i] + 1;
	}
	shm_histogram_sum(s, h, &sum);

	ck_assert_uint_eq(sum.bucket[0], 1);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_uint_eq(sum.bucket[i], 2);
	ck_assert_uint_eq(sum.bucket[n], 1);
	ck_assert_uint_eq(sum.count, 2 * (uint64_t)n);
	ck_assert_uint_eq(sum.sum_ns, total);
}
END_TEST

START_TEST(bounds_ascend)
{
	const uint64_t *bounds;
	uint32_t n;

	bounds = shm_histogram_bounds((enum shm_histogram)_i, &n);

	ck_assert_uint_lt(n, SHM_BUCKETS);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_uint_lt(bounds[i - 1], bounds[i]);
}
END_TEST

/* Histograms, refusals and counters share a page and no word of it. */
START_TEST(words_do_not_overlap)
{
	struct shm_histogram_sum sum;

	for (int c = 0; c < SHM_C_COUNT; c++)
		shm_count(s, (enum shm_counter)c, 1);
	for (uint32_t i = 0; i < SHM_REASONS; i++)
		shm_count_refused(s, i);

	for (int h = 0; h < SHM_H_COUNT; h++) {
		shm_histogram_sum(s, (enum shm_histogram)h, &sum);
		ck_assert_uint_eq(sum.count, 0);
		shm_observe(s, (enum shm_histogram)h, 7);
	}

	for (int c = 0; c < SHM_C_COUNT; c++)
		ck_assert_uint_eq(shm_counter_sum(s, (enum shm_counter)c), 1);
	for (uint32_t i = 0; i < SHM_REASONS; i++)
		ck_assert_uint_eq(shm_refused_sum(s, i), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shm_metrics");
	TCase *tc = tcase_create("metrics");
	SRunner *sr = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc,
			    observations_fall_into_the_bucket_of_their_bound, 0,
			    SHM_H_COUNT);
	tcase_add_loop_test(tc, bounds_ascend, 0, SHM_H_COUNT);
	tcase_add_test(tc, words_do_not_overlap);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
