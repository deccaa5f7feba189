/*
 * The rows of request_logs: what they say, and that each is written once
 * through kills of workers and flushers, an outage and the loss of the
 * segment.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "lib/crowd.h"
#include "shm/shm.h"

#define CLIENTS 4
/* The demo data has rows of its own. */
#define EMPTY      "database.seed_demo=no"
#define EMPTY_FREE EMPTY, FREE_RATE

static void record(const char *key, const char *body, const char *idem)
{
	char head[128] = "";

	if (idem != NULL)
		snprintf(head, sizeof(head), "Idempotency-Key: %s\r\n", idem);
	client_call(c, "/api/usage/record", key, body, head, &r);
}

static int64_t rows(void)
{
	return sql_num(d->conninfo, "SELECT count(*) FROM request_logs");
}

static void expect_rows(int64_t n)
{
	WAIT_UNTIL(rows() >= n);
	ck_assert_int_eq(rows(), n);
}

/* Requests that daily_usage knows of keys that only record. */
static int64_t requests(void)
{
	return db_requests("k@test");
}

/* Keys and days whose totals are not the sums of their rows. */
static int64_t unequal(void)
{
	return sql_num(
		d->conninfo,
		"SELECT count(*) FROM (SELECT user_id, key_id, date, "
		"credits_used, request_count, cost_micro_usd FROM daily_usage "
		"JOIN users USING (user_id) WHERE email = 'k@test' EXCEPT "
		"SELECT user_id, key_id, date, sum(credits), count(*), "
		"sum(cost_micro_usd) FROM request_logs GROUP BY 1, 2, 3) t");
}

static int64_t counter(const char *name)
{
	struct json_object *o = NULL;
	int64_t n;

	ck_assert_int_eq(daemon_ctl(d, &o, (const char *[]){ "stats", NULL }),
			 0);
	ck_assert_msg(json_at(o, name) != NULL, "no counter '%s'", name);
	n = json_object_get_int64(json_at(o, name));
	json_object_put(o);
	return n;
}

static void ready(void)
{
	make_key("k", 100000000, "");
	WAIT_UNTIL(gate(key_of("k"), "cost=0") == 200);
}

static void record_some(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		record(key_of("k"), "{\"credits\":2,\"prompt_tokens\":1000}",
		       NULL);
		want(200);
	}
}

/* ---- what a row says ---- */

START_TEST(a_row_has_the_figures_of_its_request)
{
	up(EMPTY, "cost.models.gpt-x=1,2");
	ready();

	record(key_of("k"),
	       "{\"model\":\"gpt-x\",\"prompt_tokens\":1500,"
	       "\"completion_tokens\":250,\"credits\":3}",
	       NULL);
	want(200);
	record(key_of("k"), "{}", NULL);
	want(200);

	expect_rows(2);
	ck_assert_str_eq(
		sql_str(d->conninfo,
			"SELECT string_agg(concat_ws(' ', model, "
			"prompt_tokens, completion_tokens, credits, "
			"cost_micro_usd), ', ' ORDER BY created_at) FROM "
			"request_logs"),
		"gpt-x 1500 250 3 2000000, unknown 0 0 1 0");
	ck_assert_int_eq(
		sql_num(d->conninfo,
			"SELECT count(DISTINCT request_log_id) FROM "
			"request_logs JOIN api_keys USING (key_id, user_id) "
			"WHERE request_logs.created_at BETWEEN now() - "
			"interval '1 min' AND now() AND date = "
			"(request_logs.created_at AT TIME ZONE 'UTC')::date"),
		2);
}
END_TEST

/* 100 code points of four bytes each: nothing is cut. */
START_TEST(the_longest_model_is_kept_whole)
{
	char body[600] = "{\"model\":\"";
	int i;

	up(EMPTY);
	ready();
	for (i = 0; i < 100; i++)
		strcat(body, "\xf0\x9f\xa6\x89");
	strcat(body, "\"}");

	record(key_of("k"), body, NULL);
	want(200);

	expect_rows(1);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM request_logs WHERE "
				 "model = repeat(chr(x'1f989'::int), 100)"),
			 1);
}
END_TEST

START_TEST(only_what_was_charged_has_a_row)
{
	up(EMPTY_FREE);
	make_key("k", 5, "");
	WAIT_UNTIL(gate(key_of("k"), "cost=0") == 200);

	record(key_of("k"), "{\"credits\":2}", "once");
	want(200);
	record(key_of("k"), "{\"credits\":2}", "once"); /* replayed */
	want(200);
	record(key_of("k"), "{\"credits\":2}", NULL);
	want(200);
	record(key_of("k"), "{\"credits\":2}", NULL);
	want_error(429, "quota_exceeded");
	record(key_of("k"), "{\"credits\":-2}", NULL);
	want_error(400, "bad_request");
	ck_assert_int_eq(gate(key_of("k"), ""), 200); /* no usage/record */

	WAIT_UNTIL(db_credits("k@test") == 5);
	expect_rows(2);
	ck_assert_int_eq(counter("request_log_rows"), 2);
}
END_TEST

START_TEST(without_metering_there_are_no_rows)
{
	up(EMPTY, "metering.enabled=no");
	ready();

	record(key_of("k"), "{}", NULL);
	want(200);
	test_sleep_ms(600);

	ck_assert_int_eq(rows(), 0);
	ck_assert_int_eq(counter("request_log_rows"), 0);
}
END_TEST

START_TEST(strict_answers_have_their_row)
{
	unsigned i;

	up(EMPTY_FREE, "metering.durability=strict",
	   "metering.flush_interval_ms=10000");
	ready();

	for (i = 1; i <= 20; i++) {
		record_some(1);
		ck_assert_int_eq(rows(), i);
	}
}
END_TEST

/* ---- exactly once ---- */

static void recorder(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));
	const char *key = arg;
	char body[256];
	unsigned i;

	for (i = 0; !crowd_stopped(w); i++) {
		snprintf(body, sizeof(body),
			 "{\"credits\":%u,\"prompt_tokens\":%u,\"model\":"
			 "\"model of client %u %.*s\"}",
			 1 + i % 3, i, number, (int)(i % 70),
			 "a name that is long enough to take two of the slots "
			 "of the ring, often");
		client_call(own, "/api/usage/record", key, body, NULL, a);
		if (a->status == 0)
			test_sleep_ms(2); /* a worker was killed */
		else
			crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
				   a->status, 0);
		test_sleep_ms(1); /* the ring shall not overflow */
	}
	client_free(&own);
}

static unsigned kill_some(const char *kind, unsigned n)
{
	unsigned killed = 0;

	while (killed < n) {
		test_sleep_ms(50 + (unsigned)rand() % 200);
		killed += daemon_kill_child(d, kind, 1050);
	}
	return killed;
}

/* All that was charged is in the database: a flusher that had just begun
 * would leave it in the spool. */
static void settle(int64_t answered)
{
	WAIT_UNTIL(requests() >= answered);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	if (rows() >= answered)
		return;
	fixture_again(); /* a stop on a slow machine has spooled the last */
	WAIT_UNTIL(rows() >= answered);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
}

START_TEST(rows_and_totals_agree_though_workers_are_killed)
{
	int64_t answered, kills, more;
	struct crowd *w;

	up(EMPTY_FREE, "server.workers=2", "metering.flush_interval_ms=50",
	   "shm.request_log=65536");
	ready();

	w = crowd_start(CLIENTS, recorder, (void *)(uintptr_t)key_of("k"));
	kills = kill_some("worker", 6);
	crowd_stop(w);
	answered = (int64_t)crowd_count(w, 200, -1);
	settle(answered);

	ck_assert_int_gt(answered, 500);
	ck_assert_int_ge(rows(), answered);
	more = requests() - rows(); /* charged, killed before the row */
	ck_assert_int_ge(more, 0);
	ck_assert_int_le(more, kills);
	ck_assert_int_le(requests(), answered + kills);
	if (more == 0)
		ck_assert_int_eq(unequal(), 0);
	crowd_free(&w);
}
END_TEST

START_TEST(killed_flushers_lose_and_double_no_row)
{
	int64_t answered;
	struct crowd *w;

	up(EMPTY_FREE, "server.workers=2", "metering.flush_interval_ms=20",
	   "shm.request_log=65536");
	ready();

	w = crowd_start(CLIENTS, recorder, (void *)(uintptr_t)key_of("k"));
	kill_some("flusher", 8);
	crowd_stop(w);
	answered = (int64_t)crowd_count(w, 200, -1);
	settle(answered);

	ck_assert_msg(rows() == answered, "%lld rows of %lld answers:\n%s",
		      (long long)rows(), (long long)answered, daemon_story(d));
	ck_assert_int_eq(requests(), answered);
	ck_assert_int_eq(unequal(), 0);
	crowd_free(&w);
}
END_TEST

static void expect_in_spool(void)
{
	WAIT_UNTIL(counter("spool_records") > 0);
	ck_assert_int_gt(counter("spool_records"), 0);
}

START_TEST(an_outage_is_spooled_and_replayed_once)
{
	up(EMPTY_FREE);
	ready();
	record_some(10);
	expect_rows(10);

	sql_close();
	pgtest_halt(pg);
	record_some(30);
	expect_in_spool();
	kill(daemon_child(d, "flusher"), SIGKILL);
	record_some(20);
	pgtest_resume(pg);

	expect_rows(60);
	WAIT_UNTIL(db_credits("k@test") == 120);
	ck_assert_int_eq(unequal(), 0);
	ck_assert_int_eq(counter("request_log_dropped"), 0);
}
END_TEST

START_TEST(a_stop_in_an_outage_leaves_the_rows_on_disk)
{
	char name[64], path[96];

	up(EMPTY_FREE);
	ready();
	record_some(10);
	expect_rows(10);
	sql_close();
	pgtest_halt(pg);
	record_some(30);
	client_close(c);

	ck_assert_int_eq(daemon_stop(d, SIGTERM, 30000), 0);
	/* The machine goes down too: only the disk is left. */
	shm_name(d->instance, name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	ck_assert_int_eq(unlink(path), 0);
	pgtest_resume(pg);
	fixture_again();

	expect_rows(40);
	ck_assert_int_eq(unequal(), 0);
}
END_TEST

/* Credits are never dropped; rows are, and say so. */
START_TEST(what_does_not_fit_is_dropped_and_counted)
{
	struct json_object *o = NULL;
	int64_t dropped;

	up(EMPTY_FREE, "shm.request_log=16", "server.workers=1",
	   "metering.flush_interval_ms=60000",
	   "metering.flush_interval_max_ms=60000");
	ready();
	record_some(100);
	dropped = counter("request_log_dropped");
	ck_assert_int_ge(dropped, 100 - 2 * 16); /* a flush at the start */
	ck_assert_int_eq(daemon_ctl(d, &o, (const char *[]){ "status", NULL }),
			 0);
	ck_assert_int_eq(
		json_object_get_int64(json_at(o, "flush.logs_dropped")),
		dropped);
	ck_assert_int_eq(
		json_object_get_int64(json_at(o, "flush.pending.log_rows")),
		16);
	json_object_put(o);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	fixture_again(); /* what a slow stop has spooled is written now */

	expect_rows(100 - dropped);
	WAIT_UNTIL(db_credits("k@test") == 200);
	ck_assert_int_eq(db_credits("k@test"), 200);
	ck_assert_int_eq(requests(), 100);
}
END_TEST

/* ---- partitions ---- */

static bool has_week(const char *day_sql)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM pg_class WHERE oid = "
		       "to_regclass('public.request_logs_' || to_char("
		       "date_trunc('week', (%s)::timestamp), 'YYYYMMDD'))",
		       day_sql) == 1;
}

#define TODAY "(now() AT TIME ZONE 'UTC')::date"

/* The scheduler's job, as tallyctl cron run asks for it. */
static void keep_now(void)
{
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome) "
		 "VALUES ('request_logs', now(), 'test', 'asked')");
	sql_exec(d->conninfo, "NOTIFY tallyd_cron");
	WAIT_UNTIL(sql_num(d->conninfo,
			   "SELECT count(*) FROM tallyd.cron_runs WHERE "
			   "outcome IN ('asked', 'running')") == 0);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT outcome FROM tallyd.cron_runs "
				 "ORDER BY run_id DESC LIMIT 1"),
			 "done");
}

START_TEST(weeks_ahead_are_there_and_old_ones_go)
{
	up(EMPTY, "metering.request_log_retention_days=30");
	WAIT_UNTIL(has_week(TODAY " + 7"));
	ck_assert(has_week(TODAY));
	ck_assert(has_week(TODAY " + 7"));

	sql_exec(d->conninfo,
		 "SELECT tallyd.request_logs_ensure(" TODAY " - n) FROM "
		 "unnest(ARRAY[400, 60, 45, 30, 20]) n");
	keep_now();

	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT detail FROM tallyd.cron_runs "
				 "ORDER BY run_id DESC LIMIT 1"),
			 "dropped 3 weeks of request_logs");
	ck_assert(!has_week(TODAY " - 400"));
	ck_assert(!has_week(TODAY " - 60"));
	ck_assert(!has_week(TODAY " - 45"));
	ck_assert(has_week(TODAY " - 30"));
	ck_assert(has_week(TODAY " - 20"));
	ck_assert(has_week(TODAY " + 7"));
}
END_TEST

/* Somebody reads the table for hours: he is left alone, usage goes on. */
START_TEST(a_reader_only_delays_the_drop)
{
	static const char keep[] =
		"SELECT tallyd.request_logs_keep(" TODAY ", " TODAY " - 90)";
	PGconn *reader;

	up(EMPTY_FREE);
	ready();
	WAIT_UNTIL(has_week(TODAY " + 7")); /* the first round is over */
	sql_exec(d->conninfo,
		 "SELECT tallyd.request_logs_ensure(" TODAY " - 400)");
	reader = PQconnectdb(d->conninfo);
	PQclear(PQexec(reader, "BEGIN"));
	PQclear(PQexec(reader, "SELECT FROM request_logs"));

	ck_assert_str_eq(sql_str(d->conninfo, keep), "busy");
	ck_assert(has_week(TODAY " - 400"));
	record_some(3);
	expect_rows(3);
	PQfinish(reader);
	ck_assert_str_eq(sql_str(d->conninfo, keep), "dropped");
	ck_assert(!has_week(TODAY " - 400"));
	ck_assert_str_eq(sql_str(d->conninfo, keep), "done");
}
END_TEST

/* A spool of long ago: its weeks are made, what is too old is left out. */
START_TEST(rows_of_older_weeks_find_their_partition)
{
	up(EMPTY);
	ready();

	sql_exec(d->conninfo,
		 "SELECT tallyd.flush_apply('other', 7, 1, true, '{}', '{}', "
		 "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', "
		 "'{}', '{}', '{}', '{}', '{}', " TODAY " - 90, "
		 "array_agg(user_id), array_agg(CASE WHEN n = 10 THEN "
		 "gen_random_uuid() ELSE key_id END), "
		 "array_agg('m'::text), "
		 "array_agg(1::int8), array_agg(1::int8), array_agg(1::int8), "
		 "array_agg(1::int8), array_agg((extract(epoch FROM now() - n "
		 "* interval '1 day') * 1000000)::int8), array_agg(" TODAY
		 " - n)) FROM unnest(ARRAY[0, 10, 40, 80, 120, 300]) n, "
		 "api_keys");

	ck_assert_int_eq(rows(), 3); /* 10: of a key that is gone */
	ck_assert(has_week(TODAY " - 80"));
	ck_assert(!has_week(TODAY " - 120"));
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM request_logs WHERE date "
				 "IN (" TODAY ", " TODAY " - 40, " TODAY
				 " - 80)"),
			 3);
}
END_TEST

START_TEST(rows_of_a_deleted_key_stop_nothing)
{
	up(EMPTY_FREE, "metering.flush_interval_ms=3000");
	ready();
	make_key("gone", 1000, "");
	WAIT_UNTIL(gate(key_of("gone"), "cost=0") == 200);
	record(key_of("gone"), "{}", NULL);
	want(200);
	sql_exec(d->conninfo, "DELETE FROM users WHERE email = 'gone@test'");
	record_some(5);

	WAIT_UNTIL(requests() == 5);
	ck_assert_int_eq(requests(), 5);
	ck_assert_int_eq(rows(), 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("request logs");
	TCase *tc = fixture_case(s, "request logs");

	srand(11);
	tcase_add_test(tc, a_row_has_the_figures_of_its_request);
	tcase_add_test(tc, the_longest_model_is_kept_whole);
	tcase_add_test(tc, only_what_was_charged_has_a_row);
	tcase_add_test(tc, without_metering_there_are_no_rows);
	tcase_add_test(tc, strict_answers_have_their_row);
	tcase_add_test(tc, weeks_ahead_are_there_and_old_ones_go);
	tcase_add_test(tc, a_reader_only_delays_the_drop);
	tcase_add_test(tc, rows_of_older_weeks_find_their_partition);
	tcase_add_test(tc, rows_of_a_deleted_key_stop_nothing);
	tcase_add_test(tc, what_does_not_fit_is_dropped_and_counted);
	tcase_add_test(tc, an_outage_is_spooled_and_replayed_once);
	tcase_add_test(tc, a_stop_in_an_outage_leaves_the_rows_on_disk);
	tcase_add_test(tc, killed_flushers_lose_and_double_no_row);
	tcase_add_test(tc, rows_and_totals_agree_though_workers_are_killed);
	return fixture_run(s);
}
