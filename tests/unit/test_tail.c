/*
 * test_tail.c - wherever a batch was left, snapshot and tail hold each charge
 * once.
 *
 * A segment is charged a hundred times or so, and at random batches are
 * sealed, "applied" (the test plays the database), spooled and confirmed, each
 * of which may be left undone, as a kill would.  Then the tail is taken with
 * what the database holds.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "flush/spool.h"
#include "flush/tail.h"
#include "lib/segment.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

#define KEYS  5
#define STEPS 60

static char dir[64];
static struct shm *s;
static struct spool *sp;
static const uint8_t db[16] = "this database";
static struct tl_err err;
static uint32_t keys[KEYS];
static uint64_t charged, applied, last_applied, logged, applied_logs;

struct sums {
	uint64_t counted, credits, requests, logs;
};

static void setup(void)
{
	struct tally_key_row row;
	struct tally_digest digest;
	struct spool_opts o = { .state_dir = dir,
				.node = "node",
				.max_bytes = 64 << 20 };
	const struct shm_sizes z = { .max_keys = 1000,
				     .max_addresses = 1024,
				     .max_windows = 1024,
				     .decision_ring = 1024,
				     .idempotency = 256,
				     .request_log = 1024,
				     .window_ms = 60000 };
	uint64_t id[2];

	log_set_level(LOG_LV_ERROR);
	snprintf(dir, sizeof(dir), "/tmp/test_tail.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	s = segment_open_sized(&z, 1000000);
	memcpy(id, db, sizeof(id));
	atomic_store(&s->head->database_id[0], id[0]);
	atomic_store(&s->head->database_id[1], id[1]);
	for (uint32_t i = 0; i < KEYS; i++) {
		segment_row(i, i, &row);
		segment_take_in(s, &row);
		digest = row.digest;
		keys[i] = shm_key_find(s, &digest);
	}
	o.epoch = s->head->k.epoch;
	ck_assert_int_eq(spool_open(&o, &sp, &err), TL_OK);
	charged = applied = last_applied = logged = applied_logs = 0;
}

static void teardown(void)
{
	char *command = tl_asprintf("rm -rf '%s'", dir);

	spool_close(&sp);
	segment_close(&s);
	ck_assert_int_eq(system(command), 0);
	tl_free(command);
}

static void charge(uint32_t key)
{
	const uint64_t delta[SHM_METRICS] = { 3, 1, 7 };
	struct shm_log_row row = { .day = SEGMENT_DAY,
				   .credits = 3,
				   .created_us = 1 };

	ck_assert_int_eq(shm_usage_add(s, keys[key], SEGMENT_DAY, delta,
				       SHM_COUNT_MAX, 1000),
			 TL_OK);
	ck_assert(shm_reqlog_append(s, &row, TL_STR("model")));
	charged++;
	logged++;
}

/* What the database does with a batch. */
static void apply(const struct shm_batch *b)
{
	if (b->seq <= last_applied)
		return;
	ck_assert_uint_eq(b->seq, last_applied + 1);
	last_applied = b->seq;
	for (uint32_t i = 0; i < b->n_records; i++)
		applied += b->records[i].delta[SHM_REQUESTS];
	applied_logs += b->n_logs;
}

static enum tl_status add_usage(void *arg, const struct tail_usage *u,
				struct tl_err *e)
{
	struct sums *sums = arg;

	(void)e;
	ck_assert_uint_eq(u->delta[SHM_COST], 7 * u->delta[SHM_REQUESTS]);
	sums->credits += u->delta[SHM_CREDITS];
	sums->requests += u->delta[SHM_REQUESTS];
	return TL_OK;
}

static enum tl_status add_idem(void *arg, const struct shm_idem_record *r,
			       struct tl_err *e)
{
	(void)arg;
	(void)r;
	(void)e;
	return TL_OK;
}

static enum tl_status add_log(void *arg, const struct shm_log_row *r,
			      struct tl_err *e)
{
	struct sums *sums = arg;

	(void)r;
	(void)e;
	sums->logs++;
	return TL_OK;
}

static void add_counted(void *arg, const struct tail_counted *c)
{
	struct sums *sums = arg;

	sums->counted += c->base + c->count[SHM_REQUESTS];
}

static void expect_whole(void)
{
	bool all = charged % 2 == 0;
	struct tail_epoch epoch = { .node = "node",
				    .epoch = s->head->k.epoch,
				    .last_seq = last_applied };
	struct sums sums = { 0 };
	const struct tail_sink sink = { .arg = &sums,
					.usage = add_usage,
					.idem = add_idem,
					.log = add_log };
	struct tail *t = NULL;

	ck_assert_msg(tail_take(s, dir, db, &epoch, 1, all, &t, &err) == TL_OK,
		      "%s", err.text);
	ck_assert_msg(tail_read(t, &sink, &err) == TL_OK, "%s", err.text);
	if (all) {
		tail_counted(t, add_counted, &sums);
		ck_assert_uint_eq(sums.counted, charged);
	}
	tail_free(&t);

	ck_assert_uint_eq(applied + sums.requests, charged);
	ck_assert_uint_eq(sums.credits, 3 * sums.requests);
	ck_assert_uint_eq(applied_logs + sums.logs, logged);
}

/* One way of a batch; false: it was left on the way. */
static bool deliver(struct shm_batch *b, bool spooling)
{
	if (rand() % 4 == 0)
		return false; /* sealed only */
	if (spooling)
		ck_assert_int_eq(spool_append(sp, db, b, &err), TL_OK);
	else
		apply(b);
	if (rand() % 4 == 0)
		return false; /* not confirmed */
	shm_batch_confirm(s, b);
	return true;
}

START_TEST(each_charge_is_there_once)
{
	struct shm_batch *held[SHM_BATCHES], *b;
	struct shm_scan scan;
	int spool_from; /* once in the spool, all later ones go there */

	srand((unsigned)_i);
	spool_from = rand() % STEPS;
	for (int step = 0; step < STEPS; step++) {
		for (int n = rand() % 4; n > 0; n--)
			charge((uint32_t)rand() % KEYS);
		expect_whole();
		if (shm_batch_sealed(s, held) > 0) {
			/* left before; the next flusher goes on with it */
			(void)deliver(held[0], step >= spool_from);
			continue;
		}
		shm_scan_begin(s, &scan, true);
		b = shm_batch_fill(s, &scan);
		if (b != NULL)
			(void)deliver(b, step >= spool_from);
		expect_whole();
	}
	ck_assert_uint_gt(charged, STEPS / 2);
}
END_TEST

/* Its usage must not get into the backup of another database. */
START_TEST(the_segment_of_another_database_is_left_out)
{
	charge(1);
	atomic_store(&s->head->database_id[0], 1);

	charged = logged = 0;
	expect_whole();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tail");
	TCase *tc = tcase_create("tail");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, each_charge_is_there_once, 0, 40);
	tcase_add_test(tc, the_segment_of_another_database_is_left_out);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
