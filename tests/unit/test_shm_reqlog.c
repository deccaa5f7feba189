#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "procs.h"
#include "segment.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

#define SLOTS 16
#define CHILD 5 /* its slot */

static struct shm_sizes sizes = { .max_keys = 64,
				  .max_addresses = 1024,
				  .max_windows = 1024,
				  .decision_ring = 1024,
				  .idempotency = 256,
				  .request_log = SLOTS,
				  .window_ms = 60000 };
static struct shm *shm;
static struct tl_err err;

static void up(void)
{
	shm = segment_open_sized(&sizes, 1000);
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	segment_close(&shm);
}

static uint64_t dropped(void)
{
	return shm_counter_sum(shm, SHM_C_LOG_DROPPED);
}

/* A model of that many bytes, in as few code points as can be. */
static struct tl_str model_of(uint32_t bytes)
{
	static const char *const chars[] = { "\xf0\x9f\xa6\x89", "m",
					     "\xc3\xa9", "\xe2\x82\xac" };
	static char text[SHM_MODEL_MAX];
	uint32_t at = 0, n;

	while (at < bytes) {
		n = bytes % 4 != 0 && at == 0 ? bytes % 4 : 4;
		memcpy(text + at, chars[n % 4], n);
		at += n;
	}
	return (struct tl_str){ text, bytes };
}

static bool put(uint32_t n, uint32_t model_bytes)
{
	struct shm_log_row row = { .created_us = 1700000000000000 + n,
				   .cost_micro_usd = n * 3ULL,
				   .prompt_tokens = n * 5,
				   .completion_tokens = n * 7,
				   .credits = n,
				   .day = SEGMENT_DAY };

	memset(row.user_id, (int)n % 251, sizeof(row.user_id));
	memset(row.key_id, (int)n % 241, sizeof(row.key_id));
	return shm_reqlog_append(shm, &row, model_of(model_bytes));
}

static void check_row(const struct shm_log_row *r, uint32_t n,
		      uint32_t model_bytes)
{
	struct tl_str want = model_of(model_bytes);

	ck_assert_uint_eq(r->credits, n);
	ck_assert_int_eq(r->created_us, 1700000000000000 + n);
	ck_assert_uint_eq(r->cost_micro_usd, n * 3ULL);
	ck_assert_uint_eq(r->prompt_tokens, n * 5);
	ck_assert_uint_eq(r->completion_tokens, n * 7);
	ck_assert_uint_eq(r->day, SEGMENT_DAY);
	ck_assert_uint_eq(r->user_id[15], n % 251);
	ck_assert_uint_eq(r->key_id[0], n % 241);
	ck_assert_uint_eq(r->model_len, want.len);
	ck_assert_mem_eq(shm_log_model(r).ptr, want.ptr, want.len);
}

/* The credits of all rows that come out of one scan, confirmed. */
static uint32_t flush(uint32_t credits_r[], uint32_t max)
{
	const struct shm_log_row *r;
	struct shm_batch *b;
	struct shm_scan scan;
	uint32_t n = 0, at, rows;

	shm_scan_begin(shm, &scan, false);
	while (!scan.done) {
		b = shm_batch_fill(shm, &scan);
		if (b == NULL)
			continue;
		ck_assert_uint_eq(b->crc, shm_batch_crc(b));
		rows = 0;
		for (at = 0; (r = shm_log_next(b->logs, b->log_bytes, &at));) {
			ck_assert_uint_lt(n, max);
			credits_r[n++] = r->credits;
			rows++;
		}
		ck_assert_uint_eq(rows, b->n_logs);
		ck_assert_uint_eq(at, b->log_bytes);
		shm_batch_confirm(shm, b);
	}
	return n;
}

static void expect(uint32_t first, uint32_t last)
{
	uint32_t got[SLOTS + 1], n = flush(got, SLOTS + 1), i;

	ck_assert_uint_eq(n, last - first + 1);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(got[i], first + i);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 0);
}

/* ---- rows ---- */

/* Models at the borders between one slot and four. */
START_TEST(a_row_comes_out_as_it_went_in)
{
	static const uint32_t lens[] = { 1, 7, 47, 48, 49, 168, 169, 288, 400 };
	struct shm_scan scan;
	struct shm_batch *b;
	uint32_t i, at;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		at = 0;
		ck_assert(put(i + 1, lens[i]));
		ck_assert_uint_eq(shm_reqlog_pending(shm), 1);
		shm_scan_begin(shm, &scan, false);
		b = shm_batch_fill(shm, &scan);
		ck_assert_ptr_nonnull(b);
		ck_assert_uint_eq(b->n_logs, 1);
		check_row(shm_log_next(b->logs, b->log_bytes, &at), i + 1,
			  lens[i]);
		ck_assert_uint_eq(at, b->log_bytes);
		shm_batch_confirm(shm, b);
	}
	ck_assert_uint_eq(shm_counter_sum(shm, SHM_C_LOG_ROWS), i);
	ck_assert_uint_eq(dropped(), 0);
}
END_TEST

/* Many laps, with rows of all sizes over the end of the ring. */
START_TEST(order_is_kept_over_many_laps)
{
	uint32_t n = 0, first, i;

	for (i = 0; i < 5000; i++) {
		first = n + 1;
		while (put(n + 1, 1 + n * 37 % 400))
			n++;
		expect(first, n);
	}
	ck_assert_uint_gt(n, 5000 * SLOTS / 5);
	ck_assert_uint_eq(dropped(), 5000);
}
END_TEST

START_TEST(a_full_ring_drops_and_counts)
{
	uint32_t i;

	for (i = 1; i <= SLOTS; i++)
		ck_assert(put(i, 10));
	for (i = 0; i < 3; i++)
		ck_assert(!put(99, 10));
	ck_assert_uint_eq(dropped(), 3);
	expect(1, SLOTS);

	for (i = 1; i <= SLOTS - 3; i++)
		ck_assert(put(i, 10));
	ck_assert(!put(99, 400)); /* needs four */
	ck_assert(put(i++, 10));
	ck_assert_uint_eq(dropped(), 4);
	expect(1, SLOTS - 2);
}
END_TEST

START_TEST(no_ring_no_rows)
{
	struct shm_sizes none = sizes;

	down();
	none.request_log = 0;
	shm = segment_open_sized(&none, 1000);
	shm_slot_set_state(shm, SHM_SLOT_READY);

	ck_assert(put(1, 10));
	ck_assert_uint_eq(flush(NULL, 0), 0);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 0);
	ck_assert_uint_eq(dropped(), 0);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

/* One row that the database refuses would stop all usage behind it. */
START_TEST(a_damaged_row_is_not_handed_over)
{
	ck_assert(put(1, 10));
	ck_assert(put(2, 10));
	ck_assert(put(3, 10));
	shm->logs[1].body[sizeof(struct shm_log_row)] = 0xff; /* no UTF-8 */

	ck_assert_uint_eq(shm_reqlog_pending(shm), 3);
	{
		uint32_t got[3];

		ck_assert_uint_eq(flush(got, 3), 2);
		ck_assert_uint_eq(got[0], 1);
		ck_assert_uint_eq(got[1], 3);
	}
	ck_assert_uint_eq(dropped(), 1);
}
END_TEST

/* A scan takes what was there when it began, then it is over. */
START_TEST(rows_that_keep_coming_do_not_keep_a_scan)
{
	struct shm_scan scan;
	struct shm_batch *b;
	uint32_t i;

	ck_assert(put(1, 10));
	shm_scan_begin(shm, &scan, false);
	ck_assert(put(2, 10)); /* goes along */
	b = shm_batch_fill(shm, &scan);
	ck_assert_uint_eq(b->n_logs, 2);
	ck_assert(scan.done);
	shm_batch_confirm(shm, b);

	ck_assert(put(3, 10));
	shm_scan_begin(shm, &scan, false);
	scan.no_logs = true;
	ck_assert_ptr_null(shm_batch_fill(shm, &scan));
	ck_assert(scan.done);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 1);
	for (i = 4; i <= SLOTS; i++)
		ck_assert(put(i, 10));
	expect(3, SLOTS);
}
END_TEST

/* Two batches in work at a time hold different rows. */
START_TEST(a_second_batch_begins_behind_the_first)
{
	struct shm_scan scan;
	struct shm_batch *a, *b;
	uint32_t at = 0;

	ck_assert(put(1, 10));
	shm_scan_begin(shm, &scan, false);
	a = shm_batch_fill(shm, &scan);
	ck_assert(put(2, 10));
	scan.done = false;
	b = shm_batch_fill(shm, &scan);

	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->n_logs, 1);
	check_row(shm_log_next(b->logs, b->log_bytes, &at), 2, 10);
	shm_batch_confirm(shm, a);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 1);
	shm_batch_confirm(shm, b);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 0);
}
END_TEST

/* ---- the dead ---- */

static void put_one(struct shm *s, void *arg)
{
	(void)s;
	put(77, *(const uint32_t *)arg);
}

static const char *const writer_points[] = { "reqlog.claimed",
					     "reqlog.written" };

START_TEST(a_dead_writer_holds_up_nobody)
{
	uint32_t bytes = _i < 2 ? 10 : 400;

	ck_assert(put(1, 10));
	ck_assert(procs_die_at(shm, CHILD, writer_points[_i % 2], 1, put_one,
			       &bytes));
	ck_assert(put(2, 10));
	ck_assert(put(3, 400));

	expect(1, 3);
	ck_assert_uint_eq(dropped(), 1); /* its row */
	while (put(4, 10))
		;
	ck_assert_uint_eq(shm_reqlog_pending(shm), SLOTS); /* no slot lost */
}
END_TEST

/* Nothing else is there: no batch is made of it. */
START_TEST(a_dead_claim_alone_is_freed)
{
	uint32_t bytes = 10, i;

	for (i = 0; i < 3 * SLOTS; i++) {
		ck_assert(procs_die_at(shm, CHILD, writer_points[i % 2], 1,
				       put_one, &bytes));
		ck_assert_uint_eq(flush(NULL, 0), 0);
	}
	ck_assert_uint_eq(dropped(), 3 * SLOTS);
	ck_assert(put(1, 10));
	expect(1, 1);
}
END_TEST

/* One that lives and stands still holds up those behind it, nothing more. */
START_TEST(a_living_claim_is_waited_for)
{
	uint32_t bytes = 10;

	ck_assert(
		procs_die_at(shm, CHILD, "reqlog.claimed", 1, put_one, &bytes));
	atomic_store(&shm->slots[CHILD].state, SHM_SLOT_READY); /* stopped */
	ck_assert(put(1, 10));
	ck_assert_uint_eq(flush(NULL, 0), 0);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 1);

	shm_slot_reap(shm, CHILD);
	expect(1, 1);
}
END_TEST

static uint64_t *taken; /* shared: rows of the batch that was sealed */

static void flush_child(struct shm *s, void *arg)
{
	struct shm_scan scan;
	struct shm_batch *b;

	(void)arg;
	shm_scan_begin(s, &scan, false);
	b = shm_batch_fill(s, &scan);
	if (b != NULL) {
		*taken = b->n_logs;
		shm_batch_confirm(s, b);
	}
}

/* Its successor confirms what is sealed: it was handed over by its number. */
static uint32_t successor(void)
{
	struct shm_batch *held[SHM_BATCHES];
	uint32_t got[SLOTS], n = 0;

	if (shm_batch_sealed(shm, held) > 0) {
		n = held[0]->n_logs;
		shm_batch_confirm(shm, held[0]);
	}
	return n + flush(got, SLOTS);
}

static const struct {
	const char *point;
	uint32_t nth;
} flusher_points[] = {
	{ "batch.filled", 1 },    { "batch.sealed", 1 },
	{ "reqlog.release", 1 },  { "reqlog.release", 2 },
	{ "reqlog.release", 3 },  { "reqlog.release", 4 },
	{ "reqlog.release", 6 },  { "reqlog.released", 1 },
	{ "batch.confirmed", 1 },
};

START_TEST(a_dead_flusher_hands_over_nothing_twice)
{
	uint32_t n, i, all;

	*taken = 0;
	ck_assert(put(1, 10));
	ck_assert(put(2, 400));
	ck_assert(put(3, 10));
	ck_assert(procs_die_at(shm, CHILD, flusher_points[_i].point,
			       flusher_points[_i].nth, flush_child, NULL));
	/* what was given back is used again before the next one comes */
	for (n = 0; put(4, 10); n++)
		;

	all = successor();
	if (_i == 0) /* not sealed: all of it anew */
		ck_assert_uint_eq(all, 3 + n);
	else if (strcmp(flusher_points[_i].point, "batch.confirmed") == 0)
		ck_assert_uint_eq(all, n + 3); /* still sealed */
	else
		ck_assert_uint_eq(all, 3 + n);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 0);
	for (i = 0; i < SLOTS; i++)
		ck_assert(put(i, 10)); /* no slot was lost */
	ck_assert(!put(i, 10));
}
END_TEST

/* The master died with the flusher: a row that is half given back is no
 * damage, also when the log is full up to it. */
START_TEST(verify_bears_a_release_that_was_cut_short)
{
	uint32_t n, i;

	ck_assert(put(1, 10));
	ck_assert(put(2, 400));
	ck_assert(put(3, 10));
	ck_assert(procs_die_at(shm, CHILD, flusher_points[_i].point,
			       flusher_points[_i].nth, flush_child, NULL));
	for (n = 0; put(4, 10); n++)
		;

	ck_assert_msg(shm_verify(shm, &err) == TL_OK, "%s", err.text);
	ck_assert_uint_eq(successor(), n + 3);
	for (i = 0; i < SLOTS; i++)
		ck_assert(put(i, 10));
}
END_TEST

/* No batch remembers it when only dead claims were given back. */
START_TEST(a_release_without_a_batch_may_be_cut_short)
{
	uint32_t bytes = 400;

	ck_assert(
		procs_die_at(shm, CHILD, "reqlog.written", 1, put_one, &bytes));
	ck_assert(procs_die_at(shm, CHILD, "reqlog.release", (uint32_t)_i,
			       flush_child, NULL));
	ck_assert(put(1, 10));
	ck_assert(put(2, 400));

	expect(1, 2);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

/* ---- the master ---- */

START_TEST(verify_finishes_what_the_dead_began)
{
	uint32_t bytes = 400;

	ck_assert(put(1, 10));
	ck_assert(
		procs_die_at(shm, CHILD, "reqlog.claimed", 1, put_one, &bytes));
	ck_assert_uint_eq(atomic_load(&shm->head->log_next), 1);

	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	ck_assert_uint_eq(atomic_load(&shm->head->log_next), 5);
	expect(1, 1);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

START_TEST(verify_sees_damage)
{
	ck_assert(put(1, 10));
	ck_assert(put(2, 10));
	if (_i == 0)
		atomic_store(&shm->logs[1].word, 0x123456789abcdefULL);
	else if (_i == 1)
		atomic_store(&shm->head->log_next, 1000000);
	else
		atomic_store(&shm->head->log_next, 0);
	ck_assert_int_eq(shm_verify(shm, &err),
			 _i == 2 ? TL_OK : TL_BROKEN); /* 2: one may lag */
}
END_TEST

START_TEST(rows_go_along_into_another_size)
{
	struct shm_sizes other = sizes;
	uint32_t i;

	for (i = 1; i <= 12; i++)
		ck_assert(put(i, 10));
	expect(1, 12);
	for (i = 1; i <= 12; i++) /* over the end of the ring */
		ck_assert(put(i, 10));
	other.request_log = _i == 0 ? 64 : 16;
	other.max_keys = 80; /* 16 to 16 would be no change */
	ck_assert_int_eq(shm_resize(segment_instance(), &other, &shm, &err),
			 TL_OK);

	shm_slot_take(shm, 1, "test", 0, 2);
	ck_assert_uint_eq(shm->n_logs, other.request_log);
	expect(1, 12);
	ck_assert_uint_eq(dropped(), 0);
}
END_TEST

START_TEST(a_smaller_ring_drops_and_counts)
{
	struct shm_sizes none = sizes, big = sizes;
	uint32_t i;

	down();
	big.request_log = 64;
	shm = segment_open_sized(&big, 1000);
	shm_slot_set_state(shm, SHM_SLOT_READY);
	for (i = 1; i <= 40; i++)
		ck_assert(put(i, 10));
	ck_assert_int_eq(shm_resize(segment_instance(), &none, &shm, &err),
			 TL_OK);

	shm_slot_take(shm, 1, "test", 0, 2);
	expect(1, SLOTS); /* the oldest */
	ck_assert_uint_eq(dropped(), 40 - SLOTS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/reqlog");
	TCase *tc = tcase_create("reqlog");
	SRunner *sr;
	int failed;

	taken = procs_shared(sizeof(*taken));
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_row_comes_out_as_it_went_in);
	tcase_add_test(tc, order_is_kept_over_many_laps);
	tcase_add_test(tc, a_full_ring_drops_and_counts);
	tcase_add_test(tc, no_ring_no_rows);
	tcase_add_test(tc, a_damaged_row_is_not_handed_over);
	tcase_add_test(tc, rows_that_keep_coming_do_not_keep_a_scan);
	tcase_add_test(tc, a_second_batch_begins_behind_the_first);
	tcase_add_loop_test(tc, a_dead_writer_holds_up_nobody, 0, 4);
	tcase_add_test(tc, a_dead_claim_alone_is_freed);
	tcase_add_test(tc, a_living_claim_is_waited_for);
	tcase_add_loop_test(tc, a_dead_flusher_hands_over_nothing_twice, 0,
			    sizeof(flusher_points) / sizeof(flusher_points[0]));
	tcase_add_loop_test(tc, verify_bears_a_release_that_was_cut_short, 0,
			    sizeof(flusher_points) / sizeof(*flusher_points));
	tcase_add_loop_test(tc, a_release_without_a_batch_may_be_cut_short, 1,
			    5);
	tcase_add_test(tc, verify_finishes_what_the_dead_began);
	tcase_add_loop_test(tc, verify_sees_damage, 0, 3);
	tcase_add_loop_test(tc, rows_go_along_into_another_size, 0, 2);
	tcase_add_test(tc, a_smaller_ring_drops_and_counts);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
