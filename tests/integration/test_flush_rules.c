/*
 * test_flush_rules.c - what the flusher brings from the database into the
 * segment, when strict answers may go, and what is saved of a lost segment.
 */
#include "flush_harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flush/flush.h"
#include "shm/policy.h"

static uint32_t flags_of(const char *key_name)
{
	uint32_t key = index_of(key_name);

	ck_assert_uint_ne(key, SHM_NONE);
	return atomic_load(&seg->keys[key].flags);
}

static struct shm_user *user_of(const char *key_name)
{
	uint32_t key = index_of(key_name);

	ck_assert_uint_ne(key, SHM_NONE);
	return &seg->users[atomic_load(&seg->keys[key].user)];
}

static void started(void)
{
	flusher_start();
	flusher_ready();
	until(shm_counter_sum(seg, SHM_C_FLUSH_FAILURES) == 0 &&
	      head_word(database_up) == 1);
}

START_TEST(keys_of_today_and_their_bases_are_loaded)
{
	uint32_t key;

	started();

	ck_assert_uint_eq(head_word(key_live), n_keys);
	key = index_of("key-5");
	ck_assert_uint_ne(key, SHM_NONE);
	ck_assert_uint_eq(shm_count_of(atomic_load(&seg->keys[key].base)),
			  BASE_CREDITS);
	ck_assert_uint_eq(shm_count_of(atomic_load(&user_of("key-5")->base)),
			  BASE_CREDITS);
	ck_assert_uint_eq(atomic_load(&user_of("key-5")->limit), 1000000000);
}
END_TEST

START_TEST(a_revoked_key_dies_when_notified)
{
	started();
	ck_assert_uint_eq(flags_of("key-5") & SHM_KEY_REVOKED, 0);

	sql_run("UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5'");

	until(flags_of("key-5") & SHM_KEY_REVOKED);
	ck_assert_uint_eq(flags_of("key-6") & SHM_KEY_REVOKED, 0);
}
END_TEST

START_TEST(users_plans_limits_and_deletions_follow)
{
	started();

	sql_run("UPDATE users SET status = 'suspended' WHERE email = "
		"'u7@test'");
	until(atomic_load(&user_of("key-7")->flags) & SHM_USER_SUSPENDED);

	sql_run("UPDATE plans SET daily_credit_limit = 77");
	until(atomic_load(&user_of("key-8")->limit) == 77);

	sql_run("INSERT INTO limits (name, count, window_ms)"
		" VALUES ('images', 5, 60000)");
	until(shm_policy_limit(shm_policy(seg), TL_STR("images")) != NULL);

	sql_run("DELETE FROM api_keys WHERE label = 'key-9'");
	until(index_of("key-9") == SHM_NONE ||
	      (flags_of("key-9") & SHM_KEY_REVOKED));
}
END_TEST

/* A row in the log without a NOTIFY, as when the listener was away. */
START_TEST(an_unnotified_change_is_found_by_the_clock)
{
	conf.keys.refresh_seconds = 1;
	started();

	sql_run("ALTER TABLE api_keys DISABLE TRIGGER USER;"
		"UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5';"
		"INSERT INTO tallyd.change_log (kind, key_hash)"
		" SELECT 'key', decode(key_hash, 'hex') FROM api_keys"
		" WHERE label = 'key-5'");

	until(flags_of("key-5") & SHM_KEY_REVOKED);
}
END_TEST

START_TEST(refresh_wanted_is_heeded)
{
	started();
	sql_run("ALTER TABLE api_keys DISABLE TRIGGER USER;"
		"UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5';"
		"INSERT INTO tallyd.change_log (kind, key_hash)"
		" SELECT 'key', decode(key_hash, 'hex') FROM api_keys"
		" WHERE label = 'key-5'");

	(void)shm_refresh_want(seg);
	flusher_wake();

	until(flags_of("key-5") & SHM_KEY_REVOKED);
}
END_TEST

/* An older writer holds the position in the change log back, and nothing else:
 * a suspension is heeded, and so is what that writer brings in the end. */
START_TEST(changes_do_not_wait_for_older_writers)
{
	struct pg_conn *writer;

	started();
	writer = sql_hold("UPDATE api_keys SET status = 'revoked' "
			  "WHERE label = 'key-7'");
	sql_run("UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5'");

	until(flags_of("key-5") & SHM_KEY_REVOKED);
	ck_assert(!(flags_of("key-7") & SHM_KEY_REVOKED));
	sql_release(writer);
	until(flags_of("key-7") & SHM_KEY_REVOKED);
}
END_TEST

START_TEST(a_ticket_is_done_when_policies_are_read)
{
	uint32_t ticket;

	started();
	sql_run("ALTER TABLE limits DISABLE TRIGGER USER;"
		"INSERT INTO limits (name, count, window_ms)"
		" VALUES ('wanted', 7, 60000)");

	ticket = shm_refresh_want(seg);
	ck_assert(!shm_refresh_done(seg, ticket));
	flusher_wake();

	until(shm_refresh_done(seg, ticket));
	ck_assert_ptr_nonnull(
		shm_policy_limit(shm_policy(seg), TL_STR("wanted")));
	ck_assert(!shm_refresh_done(seg, ticket + 1));
}
END_TEST

/* Changes while no flusher ran, even ones that left no row. */
START_TEST(a_restart_reads_what_is_held_anew)
{
	uint32_t key;

	started();
	key = index_of("key-5");
	add_usage(key, 4);
	until(pending_keys() == 0);
	flusher_kill();
	sql_run("ALTER TABLE api_keys DISABLE TRIGGER USER;"
		"UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5'");

	flusher_start();
	flusher_ready();

	until(flags_of("key-5") & SHM_KEY_REVOKED);
	ck_assert_uint_eq(shm_count_of(atomic_load(&seg->keys[key].base)),
			  BASE_CREDITS); /* and not base plus own usage */
}
END_TEST

START_TEST(a_log_that_was_trimmed_means_everything)
{
	started();

	sql_run("ALTER TABLE api_keys DISABLE TRIGGER USER;"
		"UPDATE api_keys SET status = 'revoked' WHERE label = 'key-5';"
		"UPDATE tallyd.instance SET changes_trimmed_xid = "
		"pg_current_xact_id();"
		"NOTIFY tallyd_change");

	until(flags_of("key-5") & SHM_KEY_REVOKED);
	ck_assert(flusher_said("does not reach back"));
}
END_TEST

/* ---- strict ---- */

/* As a worker that holds an answer back. */
static void strict_wait(unsigned timeout_ms)
{
	uint64_t gen = head_word(flush_gen);

	shm_strict_wait(seg, 1);
	flusher_wake();
	while (head_word(committed_gen) < gen + 1)
		ck_assert_msg(commit_wait(timeout_ms), "no commit");
	shm_strict_wait(seg, -1);
}

static void strict_conf(enum conf_strict_accepts accepts)
{
	conf.metering.durability = CONF_STRICT;
	conf.metering.strict_accepts = accepts;
	conf.metering.flush_interval_ms = 60000;
	conf.metering.flush_interval_max_ms = 60000;
}

START_TEST(a_strict_answer_waits_for_its_commit_only)
{
	strict_conf(CONF_DATABASE);
	started();
	until(head_word(last_scan_mono_ms) > 0);

	for (uint32_t i = 0; i < 20; i++) {
		add_usage(i, i + 1);
		strict_wait(10000); /* the interval is a minute */
		check_sums();
	}
}
END_TEST

START_TEST(a_strict_answer_may_go_from_disk)
{
	strict_conf(CONF_DISK);
	started();
	until(head_word(last_scan_mono_ms) > 0);
	pgtest_halt(server);

	add_usage(0, 5);
	strict_wait(20000);

	ck_assert_uint_eq(head_word(spool_records), 1);
	ck_assert_uint_eq(pending_keys(), 0);
	pgtest_resume(server);
	until(head_word(flush_level) == 0 && head_word(spool_records) == 0);
	check_sums();
}
END_TEST

START_TEST(a_strict_answer_for_the_database_outwaits_the_spool)
{
	uint64_t gen;

	strict_conf(CONF_DATABASE);
	started();
	until(head_word(last_scan_mono_ms) > 0);
	pgtest_halt(server);
	gen = head_word(flush_gen);
	add_usage(0, 5);
	shm_strict_wait(seg, 1);
	flusher_wake();

	until(head_word(spool_records) == 1 && pending_keys() == 0);
	harness_sleep_ms(100);
	ck_assert_uint_le(head_word(committed_gen), gen);

	pgtest_resume(server);
	until(head_word(committed_gen) >= gen + 1);
	check_sums();
}
END_TEST

/* ---- salvage ---- */

/* A batch that may or may not be there already, and usage beyond it. */
static void leave_a_sealed_batch(bool delivered)
{
	started();
	add_usage(1, 2);
	until(pending_keys() == 0);
	flusher_kill();
	for (uint32_t i = 0; i < n_keys; i++)
		add_usage(i, 3);
	if (delivered) {
		sql_run("CREATE FUNCTION slow() RETURNS trigger LANGUAGE "
			"plpgsql AS $$BEGIN PERFORM pg_sleep(0.7);"
			" RETURN NULL; END$$;"
			"CREATE TRIGGER slow AFTER INSERT OR UPDATE ON "
			"daily_usage EXECUTE FUNCTION slow()");
		flusher_start();
		until(sql_int("SELECT count(*) FROM pg_stat_activity"
			      " WHERE wait_event = 'PgSleep'") > 0);
		flusher_kill();
		until(sql_int("SELECT last_seq FROM tallyd.flush_node") == 2);
		sql_run("DROP TRIGGER slow ON daily_usage");
	} else {
		struct shm_scan scan;

		shm_scan_begin(seg, &scan, true);
		ck_assert_ptr_nonnull(shm_batch_fill(seg, &scan));
	}
	for (uint32_t i = 0; i < n_keys; i += 2)
		add_usage(i, 1000);
}

START_TEST(a_lost_segment_is_saved_to_the_unit)
{
	struct tl_err err;

	leave_a_sealed_batch(_i == 1);

	for (int i = 0; i < 2; i++) /* the master was killed after the first */
		ck_assert_msg(flush_spool_salvage(state_dir, seg, &err) ==
				      TL_OK,
			      "%s", err.text);
	harness_segment();
	started();

	check_sums();
	ck_assert_uint_eq(
		shm_count_of(atomic_load(&seg->keys[index_of("key-0")].base)),
		(uint64_t)sql_int("SELECT credits_used FROM daily_usage JOIN "
				  "api_keys USING (key_id) WHERE label = "
				  "'key-0'"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flush rules");
	TCase *tc = harness_case(s, "changes");

	tcase_add_test(tc, keys_of_today_and_their_bases_are_loaded);
	tcase_add_test(tc, a_revoked_key_dies_when_notified);
	tcase_add_test(tc, users_plans_limits_and_deletions_follow);
	tcase_add_test(tc, an_unnotified_change_is_found_by_the_clock);
	tcase_add_test(tc, refresh_wanted_is_heeded);
	tcase_add_test(tc, changes_do_not_wait_for_older_writers);
	tcase_add_test(tc, a_ticket_is_done_when_policies_are_read);
	tcase_add_test(tc, a_restart_reads_what_is_held_anew);
	tcase_add_test(tc, a_log_that_was_trimmed_means_everything);
	tc = harness_case(s, "strict");
	tcase_add_test(tc, a_strict_answer_waits_for_its_commit_only);
	tcase_add_test(tc, a_strict_answer_may_go_from_disk);
	tcase_add_test(tc, a_strict_answer_for_the_database_outwaits_the_spool);
	tc = harness_case(s, "salvage");
	tcase_add_loop_test(tc, a_lost_segment_is_saved_to_the_unit, 0, 2);
	return harness_main(s);
}
