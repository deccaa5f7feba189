/*
 * The ring of the request log between writers and a flusher that are killed
 * and stopped at random: nothing is lost, doubled or out of order.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "procs.h"
#include "segment.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

#define WRITERS 4
#define ROWS    200000 /* each, at most */

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

static struct shm *up(uint32_t slots)
{
	const struct shm_sizes z = { .max_keys = 64,
				     .max_addresses = 1024,
				     .max_windows = 1024,
				     .decision_ring = 1024,
				     .idempotency = 256,
				     .request_log = slots,
				     .window_ms = 60000 };
	struct shm *s = segment_open_sized(&z, 1000);

	shm_remove(segment_instance()); /* nothing is left when a test fails */
	shm_slot_set_state(s, SHM_SLOT_READY);
	return s;
}

struct crowd {
	_Atomic uint32_t next[WRITERS];
	_Atomic uint8_t sure[WRITERS][ROWS];      /* append said true */
	_Atomic uint32_t in_batch[WRITERS][ROWS]; /* the database */
	_Atomic uint64_t no, doubles, disorders, damaged;
};

/* The number of the batch makes a resend harmless, as in the database. */
static void deliver(struct crowd *cr, const struct shm_batch *b)
{
	uint32_t at = 0, last[WRITERS] = { 0 }, who, n, seq, was;
	const struct shm_log_row *r;

	while ((r = shm_log_next(b->logs, b->log_bytes, &at)) != NULL) {
		who = r->prompt_tokens;
		n = r->credits;
		seq = (uint32_t)b->seq;
		if (r->completion_tokens != (who ^ n) ||
		    r->cost_micro_usd != n || who >= WRITERS || n >= ROWS) {
			atomic_fetch_add(&cr->damaged, 1);
			continue;
		}
		was = atomic_exchange(&cr->in_batch[who][n], seq);
		atomic_fetch_add(&cr->doubles, was != 0 && was != seq);
		atomic_fetch_add(&cr->disorders, n <= last[who]);
		last[who] = n;
	}
	atomic_fetch_add(&cr->damaged, at != b->log_bytes);
}

static void flush_some(struct shm *s, struct crowd *cr)
{
	struct shm_batch *held[SHM_BATCHES], *b;
	struct shm_scan scan;
	uint32_t i, n = shm_batch_sealed(s, held);

	for (i = 0; i < n; i++) {
		deliver(cr, held[i]);
		shm_batch_confirm(s, held[i]);
	}
	shm_scan_begin(s, &scan, false);
	while (!scan.done) {
		b = shm_batch_fill(s, &scan);
		if (b == NULL)
			continue;
		deliver(cr, b);
		shm_batch_confirm(s, b);
	}
}

static void crowd_run(struct shm *s, uint32_t who, void *arg)
{
	struct crowd *cr = arg;
	uint32_t n;

	procs_delays(true);
	while (!procs_over()) {
		struct shm_log_row row = { .created_us = 1700000000000000,
					   .day = SEGMENT_DAY };

		if (who == WRITERS) {
			flush_some(s, cr);
			continue;
		}
		n = atomic_fetch_add(&cr->next[who], 1) + 1;
		if (n >= ROWS)
			return;
		row.prompt_tokens = who;
		row.credits = n;
		row.cost_micro_usd = n;
		row.completion_tokens = who ^ n;
		while (!shm_reqlog_append(s, &row, model_of(1 + n % 400))) {
			atomic_fetch_add(&cr->no, 1);
			if (procs_over())
				return;
			procs_breathe();
		}
		atomic_store(&cr->sure[who][n], 1);
	}
}

START_TEST(a_crowd_loses_and_doubles_nothing)
{
	static const uint32_t sizes_of[] = { 16, 64, 1024 };
	struct crowd *cr = procs_shared(sizeof(*cr));
	struct procs_job job = { .n = WRITERS + 1,
				 .ms = 4000,
				 .kill_every = 5,
				 .kills = 21,
				 .stop_every = 9,
				 .run = crowd_run,
				 .arg = cr };
	uint32_t kills, who, n;
	uint64_t sure = 0, extra = 0, lost = 0;
	struct shm *shm = up(sizes_of[_i]);
	struct tl_err err;

	job.shm = shm;
	kills = procs_run(&job);
	ck_assert_msg(shm_verify(shm, &err) == TL_OK, "%s", err.text);
	flush_some(shm, cr);

	for (who = 0; who < WRITERS; who++)
		for (n = 1; n < ROWS; n++) {
			bool is = atomic_load(&cr->in_batch[who][n]) != 0;

			sure += atomic_load(&cr->sure[who][n]);
			lost += atomic_load(&cr->sure[who][n]) && !is;
			extra += !atomic_load(&cr->sure[who][n]) && is;
		}
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(atomic_load(&cr->doubles), 0);
	ck_assert_uint_eq(atomic_load(&cr->disorders), 0);
	ck_assert_uint_eq(atomic_load(&cr->damaged), 0);
	ck_assert_uint_le(extra, kills); /* published, not noted */
	ck_assert_uint_gt(kills, 20);
	ck_assert_uint_gt(sure, 100); /* it was a crowd */
	ck_assert_uint_le(shm_counter_sum(shm, SHM_C_LOG_DROPPED),
			  atomic_load(&cr->no) + 2 * kills);
	ck_assert_uint_eq(shm_reqlog_pending(shm), 0);
	shm_close(&shm);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/reqlog crowd");
	TCase *tc = tcase_create("crowd");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_crowd_loses_and_doubles_nothing, 0, 3);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
