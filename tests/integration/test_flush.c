/*
 * test_flush.c - usage reaches PostgreSQL exactly once, whoever dies when.
 *
 * A real segment, a real PostgreSQL, the flusher as a process that is killed.
 * The sum in the database must be the sum of what was added, to the unit.
 */
#include "flush_harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static uint32_t spool_files(void)
{
	char path[128];
	struct dirent *de;
	uint32_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/spool", state_dir);
	d = opendir(path);
	while (d != NULL && (de = readdir(d)) != NULL)
		n += de->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

START_TEST(usage_arrives_while_it_is_made)
{
	flusher_start();
	flusher_ready();
	writers_start(3, 50);
	until(shm_counter_sum(seg, SHM_C_FLUSH_BATCHES) > 20);
	writers_stop();

	until(pending_keys() == 0);
	check_sums();

	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);
	check_sums();
}
END_TEST

START_TEST(a_stop_delivers_the_last_of_it)
{
	conf.metering.flush_interval_ms = 60000;
	conf.metering.flush_interval_max_ms = 60000;
	flusher_start();
	flusher_ready();
	until(head_word(last_scan_mono_ms) > 0);
	for (uint32_t i = 0; i < n_keys; i++)
		add_usage(i, i + 1);

	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);

	check_sums();
	ck_assert_uint_eq(pending_keys(), 0);
}
END_TEST

START_TEST(kills_at_random_lose_and_double_nothing)
{
	uint64_t seen = 0;

	srand(4711);
	conf.metering.flush_interval_ms = 2;
	flusher_start();
	flusher_ready();
	writers_start(3, 20);
	for (int i = 0; i < 60; i++) {
		harness_sleep_ms((unsigned)rand() % 60);
		flusher_kill();
		flusher_start();
		if (i % 10 == 0) {
			flusher_ready();
			seen = shm_counter_sum(seg, SHM_C_FLUSH_BATCHES);
			until(shm_counter_sum(seg, SHM_C_FLUSH_BATCHES) > seen);
		}
	}
	writers_stop();
	until(head_word(database_up) == 1); /* else it goes to the spool */

	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);

	check_sums();
}
END_TEST

/* The server goes on with a batch whose sender is dead: nobody reads the
 * answer.  The next flusher sends it again and is told so. */
START_TEST(an_answer_nobody_read_is_a_duplicate)
{
	int64_t before;

	flusher_start();
	flusher_ready();
	add_usage(0, 5);
	until(pending_keys() == 0);
	before = sql_int("SELECT last_seq FROM tallyd.flush_node");
	sql_run("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
		" $$BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END$$;"
		"CREATE TRIGGER slow AFTER INSERT OR UPDATE ON daily_usage"
		" FOR EACH STATEMENT EXECUTE FUNCTION slow()");

	add_usage(1, 7);
	until(sql_int("SELECT count(*) FROM pg_stat_activity"
		      " WHERE wait_event = 'PgSleep'") > 0);
	flusher_kill();
	until(sql_int("SELECT last_seq FROM tallyd.flush_node") > before);
	ck_assert_uint_gt(pending_keys(), 0);
	sql_run("DROP TRIGGER slow ON daily_usage");

	flusher_start();
	until(pending_keys() == 0);
	ck_assert_uint_eq(shm_counter_sum(seg, SHM_C_FLUSH_DUPLICATES), 1);
	check_sums();
}
END_TEST

/* Killed again and again while the server is killed and restarted too. */
START_TEST(kills_of_both_sides_lose_and_double_nothing)
{
	srand(42);
	conf.metering.flush_interval_ms = 2;
	flusher_start();
	flusher_ready();
	writers_start(2, 50);
	for (int i = 0; i < 4; i++) {
		harness_sleep_ms(100 + (unsigned)rand() % 200);
		pgtest_halt(server);
		harness_sleep_ms((unsigned)rand() % 300);
		flusher_kill();
		flusher_start();
		pgtest_resume(server);
		until(head_word(database_up) == 1);
	}
	writers_stop();

	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);
	if (spool_files() > 0) { /* the last outage may have left one */
		flusher_start();
		until(head_word(database_up) == 1 &&
		      head_word(spool_records) == 0);
	}
	check_sums();
}
END_TEST

START_TEST(an_outage_goes_to_the_spool_and_comes_back)
{
	flusher_start();
	flusher_ready();
	writers_start(2, 1000);
	until(shm_counter_sum(seg, SHM_C_FLUSH_BATCHES) > 3);
	pgtest_halt(server);

	until(head_word(flush_level) == 1 && head_word(spool_records) > 10);
	ck_assert_uint_eq(head_word(database_up), 0);
	for (int i = 0; i < 5; i++) { /* and the flusher dies in it */
		harness_sleep_ms(17 * (unsigned)i);
		flusher_kill();
		flusher_start();
		flusher_ready(); /* attached: without the database */
	}
	until(head_word(flush_level) == 1);
	pgtest_resume(server);

	until(head_word(flush_level) == 0 && head_word(database_up) == 1);
	ck_assert_uint_eq(head_word(spool_records), 0);
	writers_stop();
	until(pending_keys() == 0);
	check_sums();
	ck_assert_uint_eq(spool_files(), 0);
	ck_assert(flusher_said("flush level 1"));
	ck_assert(flusher_said("flush level 0"));
}
END_TEST

START_TEST(a_replay_that_is_killed_is_done_again)
{
	conf.metering.flush_interval_ms = 5;
	flusher_start();
	flusher_ready();
	pgtest_halt(server);
	writers_start(2, 1000);
	until(head_word(spool_records) > 100);
	flusher_kill();
	pgtest_resume(server);

	for (int i = 0; i < 8; i++) {
		flusher_start();
		harness_sleep_ms(10 + 8 * (unsigned)i);
		flusher_kill();
	}
	flusher_start();

	until(head_word(database_up) == 1 && head_word(spool_records) == 0);
	writers_stop();
	until(pending_keys() == 0);
	check_sums();
}
END_TEST

START_TEST(a_stop_in_an_outage_leaves_all_in_the_spool)
{
	flusher_start();
	flusher_ready();
	pgtest_halt(server);
	for (uint32_t i = 0; i < n_keys; i++)
		add_usage(i, 3);

	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);

	ck_assert_uint_eq(pending_keys(), 0);
	ck_assert_uint_eq(spool_files(), 1);
	pgtest_resume(server);
	flusher_start();
	until(spool_files() == 0);
	check_sums();
}
END_TEST

/* The machine died: the segment is gone, the spool is there. */
START_TEST(a_fresh_segment_delivers_the_old_spool_first)
{
	uint32_t key;

	flusher_start();
	flusher_ready();
	pgtest_halt(server);
	for (uint32_t i = 0; i < n_keys; i++)
		add_usage(i, 3);
	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);
	harness_segment();

	flusher_start();
	harness_sleep_ms(200);
	ck_assert_uint_eq(head_word(loads_open), 0); /* not without it */
	pgtest_resume(server);
	flusher_ready();

	check_sums();
	ck_assert_uint_eq(spool_files(), 0);
	key = index_of("key-3");
	ck_assert_uint_ne(key, SHM_NONE);
	ck_assert_uint_eq(shm_count_of(atomic_load(&seg->keys[key].base)),
			  BASE_CREDITS + 3);
	add_usage(key, 1);
	until(pending_keys() == 0);
	check_sums();
}
END_TEST

START_TEST(another_database_gets_nothing)
{
	flusher_start();
	flusher_ready();
	pgtest_halt(server);
	add_usage(0, 3);
	ck_assert_int_eq(flusher_stop(), EXIT_CLEAN);
	pgtest_resume(server);
	harness_database(n_keys);

	flusher_start(); /* its segment belongs to the other one */
	ck_assert_int_eq(flusher_wait(), EXIT_FAILED);
	ck_assert(flusher_said("the segment belongs to database"));

	harness_segment();
	flusher_start(); /* a new segment, and the other one's spool */
	flusher_ready();
	until(head_word(flush_level) == 0);
	ck_assert_uint_eq(spool_files(), 1);
	ck_assert(flusher_said("left aside"));
	ck_assert_int_eq(sql_int("SELECT sum(credits_used) FROM daily_usage"),
			 (int64_t)n_keys * BASE_CREDITS);
}
END_TEST

START_TEST(a_full_spool_keeps_usage_in_the_segment)
{
	harness_database(20000);
	harness_segment();
	conf.metering.spool_max_mib = 1;
	flusher_start();
	flusher_ready();
	until(head_word(last_scan_mono_ms) > 0);
	pgtest_halt(server);
	ck_assert_int_lt(flusher_busy_percent(2000), 80); /* nothing to do */
	until(head_word(flush_level) == 1);
	for (uint32_t i = 0; i < n_keys; i++)
		add_usage(i, 2);

	until(head_word(flush_level) == 2);
	harness_sleep_ms(300);
	ck_assert_uint_gt(pending_keys(), 10000);
	ck_assert_uint_le(head_word(spool_bytes), 1 << 20);

	pgtest_resume(server);
	until(head_word(flush_level) == 0 && pending_keys() == 0);
	check_sums();
}
END_TEST

START_TEST(a_gap_in_the_database_stops_the_flusher)
{
	flusher_start();
	flusher_ready();
	add_usage(0, 1);
	until(pending_keys() == 0);
	add_usage(0, 1);
	until(pending_keys() == 0);
	sql_run("UPDATE tallyd.flush_node SET last_seq = last_seq - 1");

	add_usage(0, 1);

	ck_assert_int_eq(flusher_wait(), EXIT_FAILED);
	ck_assert(flusher_said("gap"));
	ck_assert_uint_gt(pending_keys(), 0);
}
END_TEST

START_TEST(another_segment_under_our_name_ends_us)
{
	flusher_start();
	flusher_ready();
	add_usage(0, 1);
	until(pending_keys() == 0);
	sql_run("UPDATE tallyd.flush_node SET replaced_by = 1");

	add_usage(0, 1);

	ck_assert_int_eq(flusher_wait(), EXIT_FAILED);
	ck_assert(flusher_said("replaced"));
}
END_TEST

/* Not a promise, only told: rows a second of a flush of many keys. */
START_TEST(many_keys_in_one_flush)
{
	uint64_t from, ms;

	harness_database(20000);
	harness_segment();
	from = tl_mono_ms();
	flusher_start();
	flusher_ready();
	printf("flush: %u keys of today loaded in %llu ms\n", n_keys,
	       (unsigned long long)(tl_mono_ms() - from));
	for (int round = 0; round < 2; round++) {
		from = tl_mono_ms();
		for (uint32_t i = 0; i < n_keys; i++)
			add_usage(i, 2);
		until(pending_keys() == 0);
		ms = tl_mono_ms() - from;
		printf("flush: %u rows in %llu ms, %llu rows/s\n", n_keys,
		       (unsigned long long)ms,
		       (unsigned long long)(n_keys * 1000ULL / (ms + 1)));
	}
	fflush(stdout);
	check_sums();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flush");
	TCase *tc = harness_case(s, "exactly once");

	tcase_add_test(tc, usage_arrives_while_it_is_made);
	tcase_add_test(tc, a_stop_delivers_the_last_of_it);
	tcase_add_test(tc, kills_at_random_lose_and_double_nothing);
	tcase_add_test(tc, an_answer_nobody_read_is_a_duplicate);
	tcase_add_test(tc, many_keys_in_one_flush);
	tc = harness_case(s, "outage");
	tcase_add_test(tc, kills_of_both_sides_lose_and_double_nothing);
	tcase_add_test(tc, an_outage_goes_to_the_spool_and_comes_back);
	tcase_add_test(tc, a_replay_that_is_killed_is_done_again);
	tcase_add_test(tc, a_stop_in_an_outage_leaves_all_in_the_spool);
	tcase_add_test(tc, a_fresh_segment_delivers_the_old_spool_first);
	tcase_add_test(tc, a_full_spool_keeps_usage_in_the_segment);
	tc = harness_case(s, "refusals");
	tcase_add_test(tc, another_database_gets_nothing);
	tcase_add_test(tc, a_gap_in_the_database_stops_the_flusher);
	tcase_add_test(tc, another_segment_under_our_name_ends_us);
	return harness_main(s);
}
