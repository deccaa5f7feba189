/*
 * test_spool.c - what was spooled comes back whole, in order, to its database.
 */
#define _GNU_SOURCE /* nftw */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "flush/spool.h"
#include "shm/layout.h"

#define EPOCH 0x1122334455667788ULL
#define OLD   0x7fffffffffffffffULL /* sorts behind EPOCH by number */

static char dir[64];
static struct spool *sp;
static struct shm_batch *batch;
static uint8_t db[16] = "this database", other_db[16] = "another";
static struct tl_err err;

static void reopen_as(uint64_t epoch, uint64_t max_bytes, uint32_t file_bytes)
{
	struct spool_opts o = { .state_dir = dir,
				.epoch = epoch,
				.node = "node-1",
				.max_bytes = max_bytes,
				.file_bytes = file_bytes };

	spool_close(&sp);
	ck_assert_int_eq(spool_open(&o, &sp, &err), TL_OK);
}

static void reopen(void)
{
	reopen_as(EPOCH, 64 << 20, 0);
}

static void setup(void)
{
	log_set_level(LOG_LV_ERROR);
	snprintf(dir, sizeof(dir), "/tmp/test_spool.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	batch = tl_alloc(sizeof(*batch));
	batch->epoch = EPOCH;
	reopen();
}

static int remove_one(const char *path, const struct stat *sb, int flag,
		      struct FTW *ftw)
{
	(void)sb;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	spool_close(&sp);
	tl_freep(&batch);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Rows of request_logs, one for each record; the model has two bytes. */
static void put_logs(uint64_t seq, uint32_t n)
{
	const size_t bytes = sizeof(struct shm_log_row) + 8;
	struct shm_log_row row = { .model_len = 2 };

	batch->n_logs = n;
	batch->log_bytes = (uint32_t)(n * bytes);
	for (uint32_t i = 0; i < n; i++) {
		row.credits = (uint32_t)(seq * 1000 + i);
		memcpy(batch->logs + i * bytes, &row, sizeof(row));
		memcpy(batch->logs + i * bytes + sizeof(row), "m1\0\0\0\0\0",
		       8);
	}
}

static void expect_logs(const struct spool_view *v, uint64_t seq, uint32_t n)
{
	const size_t bytes = sizeof(struct shm_log_row) + 8;
	struct shm_log_row row;

	ck_assert_uint_eq(v->rec->n_logs, n);
	ck_assert_uint_eq(v->rec->log_bytes, n * bytes);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(&row, (const char *)v->logs + i * bytes, sizeof(row));
		ck_assert_uint_eq(row.credits, seq * 1000 + i);
		ck_assert_mem_eq((const char *)v->logs + i * bytes +
					 sizeof(row),
				 "m1", 3);
	}
}

/* Batch `seq`: n records whose credits are seq * 1000 + i, one answer. */
static enum tl_status append_to(const uint8_t *id, uint64_t epoch, uint64_t seq,
				uint32_t n)
{
	batch->epoch = epoch;
	batch->seq = seq;
	batch->scan_gen = seq + 100;
	batch->n_records = n;
	batch->n_idems = 1;
	for (uint32_t i = 0; i < n; i++)
		batch->records[i].delta[SHM_CREDITS] = seq * 1000 + i;
	snprintf(batch->idems[0].name, sizeof(batch->idems[0].name),
		 "answer-%u", (unsigned)seq);
	put_logs(seq, n);
	return spool_append(sp, id, batch, &err);
}

static void append(uint64_t seq, uint32_t n)
{
	ck_assert_msg(append_to(db, EPOCH, seq, n) == TL_OK, "%s", err.text);
}

static void expect_next(uint64_t epoch, uint64_t seq, uint32_t n)
{
	struct spool_view v;
	uint64_t whose;
	char name[64];

	ck_assert_msg(spool_peek(sp, db, &v, &whose, &err) == TL_OK, "%s",
		      err.text);
	ck_assert_uint_eq(v.rec->epoch, epoch);
	ck_assert_uint_eq(v.rec->seq, seq);
	ck_assert_uint_eq(v.rec->scan_gen, seq + 100);
	ck_assert_str_eq(v.rec->node, "node-1");
	ck_assert_uint_eq(v.rec->n_records, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(v.records[i].delta[SHM_CREDITS],
				  seq * 1000 + i);
	snprintf(name, sizeof(name), "answer-%u", (unsigned)seq);
	ck_assert_str_eq(v.idems[0].name, name);
	expect_logs(&v, seq, n);
	spool_drop(sp);
}

static void expect_empty(void)
{
	struct spool_view v;
	uint64_t whose;

	ck_assert_int_eq(spool_peek(sp, db, &v, &whose, &err), TL_NOT_FOUND);
}

static void path_of(uint64_t epoch, uint64_t first_seq, char path[256])
{
	snprintf(path, 256, "%s/spool/%016llx.%016llx", dir,
		 (unsigned long long)epoch, (unsigned long long)first_seq);
}

static off_t size_of(uint64_t epoch, uint64_t first_seq)
{
	struct stat sb;
	char path[256];

	path_of(epoch, first_seq, path);
	return stat(path, &sb) == 0 ? sb.st_size : -1;
}

/* Changes one byte, `at` counted from the end when negative. */
static void flip(uint64_t first_seq, off_t at)
{
	char path[256], c;
	int fd;

	path_of(EPOCH, first_seq, path);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	if (at < 0)
		at += size_of(EPOCH, first_seq);
	ck_assert_int_eq(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 0x10);
	ck_assert_int_eq(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

START_TEST(batches_come_back_in_order_and_whole)
{
	for (uint64_t seq = 1; seq <= 20; seq++)
		append(seq, (uint32_t)seq * 7);
	append(21, SHM_BATCH_RECORDS);

	for (uint64_t seq = 1; seq <= 20; seq++)
		expect_next(EPOCH, seq, (uint32_t)seq * 7);
	expect_next(EPOCH, 21, SHM_BATCH_RECORDS);

	expect_empty();
	ck_assert_int_eq(size_of(EPOCH, 1), -1); /* the file is gone */
}
END_TEST

START_TEST(a_successor_goes_on_where_the_file_ends)
{
	append(5, 3);
	append(6, 3);
	reopen();
	append(7, 3);
	expect_next(EPOCH, 5, 3);
	append(8, 3); /* while it is read */

	reopen(); /* what was dropped but not removed comes again */

	for (uint64_t seq = 5; seq <= 8; seq++)
		expect_next(EPOCH, seq, 3);
	expect_empty();
}
END_TEST

START_TEST(a_batch_that_is_there_is_not_written_again)
{
	off_t size;

	append(1, 3);
	append(2, 3);
	size = size_of(EPOCH, 1);
	reopen();

	append(2, 3);

	ck_assert_int_eq(size_of(EPOCH, 1), size);
	expect_next(EPOCH, 1, 3);
	expect_next(EPOCH, 2, 3);
	expect_empty();
}
END_TEST

START_TEST(a_gap_in_the_numbers_is_refused)
{
	append(1, 3);

	ck_assert_int_eq(append_to(db, EPOCH, 3, 3), TL_BROKEN);
}
END_TEST

START_TEST(files_end_at_their_size_and_go_one_by_one)
{
	struct spool_stat st;

	reopen_as(EPOCH, 64 << 20, 6000);
	for (uint64_t seq = 1; seq <= 10; seq++)
		append(seq, 12); /* 2448 bytes: two a file */
	reopen_as(EPOCH, 64 << 20, 6000);

	spool_stat(sp, db, &st);
	ck_assert_uint_eq(st.records, 10);
	ck_assert_uint_eq(st.last_seq, 10);
	ck_assert_int_gt(size_of(EPOCH, 3), 0);
	expect_next(EPOCH, 1, 12);
	ck_assert_int_gt(size_of(EPOCH, 1), 0);
	expect_next(EPOCH, 2, 12);
	ck_assert_int_eq(size_of(EPOCH, 1), -1);
	for (uint64_t seq = 3; seq <= 10; seq++)
		expect_next(EPOCH, seq, 12);
	expect_empty();
}
END_TEST

/* Whatever the length at which a write was cut off, batch 3 can be added. */
START_TEST(a_torn_tail_is_cut)
{
	char path[256];
	off_t whole;

	append(1, 2);
	whole = size_of(EPOCH, 1);
	append(2, 2);
	path_of(EPOCH, 1, path);
	ck_assert_int_eq(truncate(path, whole + _i), 0);

	reopen();

	ck_assert_int_eq(size_of(EPOCH, 1), whole);
	append(2, 5);
	expect_next(EPOCH, 1, 2);
	expect_next(EPOCH, 2, 5);
	expect_empty();
}
END_TEST

/* A machine that died may leave the length without the bytes. */
START_TEST(a_tail_of_zeros_is_cut)
{
	char path[256];
	off_t whole;

	append(1, 2);
	whole = size_of(EPOCH, 1);
	path_of(EPOCH, 1, path);
	ck_assert_int_eq(truncate(path, whole + 5000), 0);

	reopen();

	ck_assert_int_eq(size_of(EPOCH, 1), whole);
	expect_next(EPOCH, 1, 2);
	expect_empty();
}
END_TEST

START_TEST(a_file_without_a_record_goes)
{
	char path[256];

	append(1, 2);
	path_of(EPOCH, 1, path);
	ck_assert_int_eq(truncate(path, _i), 0);

	reopen();

	ck_assert_int_eq(size_of(EPOCH, 1), -1);
	append(1, 2);
	expect_next(EPOCH, 1, 2);
}
END_TEST

START_TEST(damage_in_the_middle_stops_and_cuts_nothing)
{
	struct spool_view v;
	uint64_t whose = 0;
	off_t first, whole;

	append(1, 2);
	first = size_of(EPOCH, 1);
	append(2, 2);
	append(3, 2);
	whole = size_of(EPOCH, 1);
	flip(1, first + 100); /* in the body of batch 2 */

	log_set_level(LOG_LV_ERROR);
	reopen();

	ck_assert_int_eq(size_of(EPOCH, 1), whole);
	expect_next(EPOCH, 1, 2);
	ck_assert_int_eq(spool_peek(sp, db, &v, &whose, &err), TL_BROKEN);
	ck_assert_uint_eq(whose, EPOCH);
	ck_assert_int_eq(spool_peek(sp, db, &v, &whose, &err), TL_BROKEN);
	spool_set_aside(sp, EPOCH);
	expect_empty();
	ck_assert_int_eq(size_of(EPOCH, 1), whole);
}
END_TEST

/* The length of a record is damaged too, so the next one must be found. */
START_TEST(a_damaged_length_is_no_torn_tail)
{
	struct spool_view v;
	uint64_t whose;

	append(1, 2);
	append(2, 2);
	flip(1, sizeof(struct spool_head)); /* body_bytes of batch 1 */

	reopen();

	ck_assert_int_eq(spool_peek(sp, db, &v, &whose, &err), TL_BROKEN);
}
END_TEST

START_TEST(a_damaged_head_keeps_the_file_apart)
{
	char path[300];

	append(1, 2);
	flip(1, 20 + _i * 15);

	reopen();

	expect_empty();
	path_of(EPOCH, 1, path);
	strcat(path, ".bad");
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(the_limit_holds_and_ends_with_delivery)
{
	const uint64_t one =
		sizeof(struct spool_head) + sizeof(struct spool_record) +
		10 * (sizeof(struct shm_record) + sizeof(struct shm_log_row) +
		      8) +
		sizeof(struct shm_idem_record);

	reopen_as(EPOCH, 2 * one, 0);
	append(1, 10);
	append(2, 10);

	ck_assert_int_eq(append_to(db, EPOCH, 3, 10), TL_FULL);
	ck_assert_int_eq(append_to(db, EPOCH, 3, 10), TL_FULL);

	expect_next(EPOCH, 1, 10);
	expect_next(EPOCH, 2, 10);
	append(3, 10);
	expect_next(EPOCH, 3, 10);
}
END_TEST

START_TEST(other_epochs_come_first)
{
	reopen_as(OLD, 64 << 20, 0);
	ck_assert_int_eq(append_to(db, OLD, 8, 4), TL_OK);
	ck_assert_int_eq(append_to(db, OLD, 9, 4), TL_OK);
	reopen();
	append(1, 4);

	expect_next(OLD, 8, 4);
	expect_next(OLD, 9, 4);
	expect_next(EPOCH, 1, 4);
	expect_empty();
}
END_TEST

START_TEST(an_epoch_set_aside_does_not_stop_the_others)
{
	struct spool_view v;
	uint64_t whose;
	struct spool_stat st;

	reopen_as(OLD, 64 << 20, 0);
	ck_assert_int_eq(append_to(db, OLD, 8, 4), TL_OK);
	reopen();
	append(1, 4);

	ck_assert_int_eq(spool_peek(sp, db, &v, &whose, &err), TL_OK);
	spool_set_aside(sp, OLD);

	spool_stat(sp, db, &st);
	ck_assert_uint_eq(st.records, 1);
	ck_assert_uint_eq(st.old_records, 0);
	expect_next(EPOCH, 1, 4);
	expect_empty();
	ck_assert_int_gt(size_of(OLD, 8), 0);
}
END_TEST

START_TEST(another_database_never_gets_it)
{
	struct spool_stat st;

	reopen_as(OLD, 64 << 20, 0);
	ck_assert_int_eq(append_to(other_db, OLD, 1, 4), TL_OK);
	reopen();

	expect_empty();

	log_set_level(LOG_LV_ERROR);
	ck_assert_uint_eq(spool_report_foreign(sp, db), 1);
	spool_stat(sp, db, &st);
	ck_assert_uint_eq(st.records, 0);
	ck_assert_int_gt(size_of(OLD, 1), 0);
	append(1, 4);
	expect_next(EPOCH, 1, 4);
	expect_empty();
}
END_TEST

/* A full disk: /dev/full accepts nothing, so the append can not succeed. */
START_TEST(a_failed_write_leaves_no_trace)
{
	struct spool_stat st;
	struct spool_view v;
	uint64_t whose;
	char path[256];

	append(1, 2);
	reopen(); /* opens the file anew at the next append */
	path_of(EPOCH, 1, path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/dev/full", path), 0);

	ck_assert_int_eq(append_to(db, EPOCH, 2, 2), TL_SYSTEM);
	ck_assert_int_eq(append_to(db, EPOCH, 2, 2), TL_SYSTEM);

	spool_stat(sp, db, &st);
	ck_assert_uint_eq(st.records, 1);
	ck_assert_uint_eq(st.last_seq, 1);
	ck_assert_int_ne(spool_peek(sp, db, &v, &whose, &err), TL_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spool");
	TCase *tc = tcase_create("spool");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, batches_come_back_in_order_and_whole);
	tcase_add_test(tc, a_successor_goes_on_where_the_file_ends);
	tcase_add_test(tc, a_batch_that_is_there_is_not_written_again);
	tcase_add_test(tc, a_gap_in_the_numbers_is_refused);
	tcase_add_test(tc, files_end_at_their_size_and_go_one_by_one);
	tcase_add_loop_test(tc, a_torn_tail_is_cut, 1, 440);
	tcase_add_test(tc, a_tail_of_zeros_is_cut);
	tcase_add_loop_test(tc, a_file_without_a_record_goes, 0, 129);
	tcase_add_test(tc, damage_in_the_middle_stops_and_cuts_nothing);
	tcase_add_test(tc, a_damaged_length_is_no_torn_tail);
	tcase_add_loop_test(tc, a_damaged_head_keeps_the_file_apart, 0, 7);
	tcase_add_test(tc, the_limit_holds_and_ends_with_delivery);
	tcase_add_test(tc, other_epochs_come_first);
	tcase_add_test(tc, an_epoch_set_aside_does_not_stop_the_others);
	tcase_add_test(tc, another_database_never_gets_it);
	tcase_add_test(tc, a_failed_write_leaves_no_trace);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
