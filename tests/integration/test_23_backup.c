/*
 * test_23_backup.c - a backup holds each charge once, wherever it was on its
 * way, and a restore gives it back once.
 */
#include "config.h"

#include "lib/ctl.h"
#include "lib/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "lib/crowd.h"

#define CLIENTS   4
#define STARTER_CREDITS                                                        \
	"SELECT sum(credits_used) FROM daily_usage WHERE user_id = "           \
	"'" USER_STARTER "'"

static struct daemon *copy; /* of the restored database */
static unsigned recorded;   /* rows for request_logs */
static char *file;          /* of the backup */

/* tallyctl of a daemon that does not run is told its database. */
static int ctl_url(struct daemon *of, const char *command, const char *option)
{
	char *url = tl_asprintf("database.url=%s", of->conninfo);
	int status = ctl_at(of, "-o", url, command, file, option);

	tl_free(url);
	return status;
}

static void backup(void)
{
	struct stat sb;

	ck_assert_int_eq(ctl_url(d, "backup", NULL), 0);
	ck_assert_int_eq(stat(file, &sb), 0);
	ck_assert_uint_eq(sb.st_mode & 07777, 0600);
}

/* With an empty database and a state directory of its own; not started. */
static void make_copy(void)
{
	copy = daemon_new(NULL, DAEMON_SETTINGS(FREE_RATE));
	daemon_on_database(copy, daemon_database(pg));
}

static void restore(void)
{
	make_copy();
	ck_assert_int_eq(ctl_url(copy, "restore", NULL), 0);
}

static int64_t sum_of(const struct daemon *of, const char *column)
{
	return sql_num(of->conninfo,
		       "SELECT sum(%s) FROM daily_usage JOIN users USING "
		       "(user_id) WHERE email = 'busy@test'",
		       column);
}

static void expect_copy(int64_t credits, int64_t requests)
{
	ck_assert_int_eq(sum_of(copy, "credits_used"), credits);
	ck_assert_int_eq(sum_of(copy, "request_count"), requests);
	ck_assert_int_eq(sql_num(copy->conninfo,
				 "SELECT count(*) FROM request_logs JOIN users "
				 "USING (user_id) WHERE email = 'busy@test'"),
			 recorded);
	/* the usage of others came along as well */
	ck_assert_int_eq(sql_num(copy->conninfo, STARTER_CREDITS),
			 sql_num(d->conninfo, STARTER_CREDITS));
}

/* Every other one leaves a row in the request log. */
static void charge(unsigned n)
{
	static const char body[] =
		"{\"model\":\"model \\\\ one\",\"prompt_tokens\":10,"
		"\"completion_tokens\":20,\"credits\":3}";

	for (unsigned i = 0; i < n; i++) {
		if (i % 2 == 0) {
			ck_assert_int_eq(gate(key_of("busy"), "cost=3"), 200);
			continue;
		}
		client_call(c, "/api/usage/record", key_of("busy"), body, "",
			    &r);
		want(200);
		recorded++;
	}
}

static pid_t stop_flusher(void)
{
	pid_t pid = daemon_child(d, "flusher");

	kill(pid, SIGSTOP);
	return pid;
}

static void begin(const char *interval)
{
	file = world_path("backup");
	copy = NULL;
	recorded = 0;
	up(FREE_RATE, interval, "server.workers=2");
	make_key("busy", 2000000000, "");
}

static void down(void)
{
	daemon_free(&copy);
	ctl_forget();
	fixture_down();
}

START_TEST(usage_that_is_in_the_segment_only)
{
	pid_t flusher;

	begin("metering.flush_interval_ms=10");
	charge(5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	flusher = stop_flusher();
	charge(7);

	backup();

	ck_assert_int_eq(number("tail_credits"), 21);
	ck_assert_int_eq(number("tail_requests"), 7);
	kill(flusher, SIGCONT);
	restore();
	expect_copy(36, 12);
	WAIT_UNTIL(db_credits("busy@test") == 36);
	ck_assert_int_eq(db_credits("busy@test"), 36);
}
END_TEST

/* The server has applied it, the flusher has not heard: sealed, in the
 * snapshot, and still pending in the cells. */
START_TEST(a_batch_that_is_applied_and_not_confirmed)
{
	pid_t flusher;

	begin("metering.flush_interval_ms=10");
	charge(5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	sql_exec(d->conninfo, "BEGIN");
	sql_exec(d->conninfo, "LOCK TABLE tallyd.flush_node IN SHARE MODE");
	charge(7);
	/* the call waits in the server by now */
	WAIT_UNTIL(sql_num(d->conninfo,
			   "SELECT count(*) FROM pg_locks WHERE NOT granted "
			   "AND relation = 'tallyd.flush_node'::regclass") ==
		   1);
	flusher = stop_flusher();
	charge(2);
	sql_exec(d->conninfo, "COMMIT");
	WAIT_UNTIL(db_credits("busy@test") > 15);

	backup();

	kill(flusher, SIGCONT);
	restore();
	expect_copy(42, 14);
}
END_TEST

static void charge_in_an_outage(void)
{
	sql_close();
	pgtest_halt(pg);
	for (unsigned i = 0; i < 1500; i++) {
		charge(2);
		if (i > 10 && ctl_at(d, "status") == 0 &&
		    number("spool.records") > 3)
			break;
		test_sleep_ms(5);
	}
	ck_assert_int_gt(number("spool.records"), 3);
}

/* In the spool, sealed for a database that was away, and in the cells. */
START_TEST(usage_of_an_outage)
{
	pid_t flusher;
	int64_t n;

	begin("metering.flush_interval_ms=50");
	charge(5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	charge_in_an_outage();
	charge(1);
	flusher = stop_flusher();
	charge(9);
	pgtest_resume(pg);

	backup();

	kill(flusher, SIGCONT);
	ck_assert_int_eq(ctl_at(d, "stats"), 0);
	n = number("decide_ok");
	restore();
	expect_copy(3 * n, n);
}
END_TEST

/* The master, and until its children have noticed. */
static void kill_all(void)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, "", pids);

	ck_assert_uint_ge(n, 4);
	daemon_stop(d, SIGKILL, 5000);
	while (n-- > 0) {
		WAIT_UNTIL(kill(pids[n], 0) != 0);
		ck_assert_int_ne(kill(pids[n], 0), 0);
	}
}

/* Nobody runs: what a killed daemon left in segment and spool is there. */
START_TEST(usage_of_a_daemon_that_was_killed)
{
	begin("metering.flush_interval_ms=15000");
	charge(11);
	kill_all();

	backup();

	restore();
	expect_copy(33, 11);
	/* and the same charges reach the first database, once */
	fixture_again();
	daemon_stop(d, SIGTERM, 20000);
	ck_assert_int_eq(db_credits("busy@test"), 33);
}
END_TEST

static void knock(struct crowd *w, unsigned n, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	(void)arg;
	while (!crowd_stopped(w)) {
		if (n % 2 == 0)
			client_get(own, "/api/gate?cost=3", key_of("busy"), a);
		else
			client_call(own, "/api/usage/record", key_of("busy"),
				    "{\"model\":\"m\",\"prompt_tokens\":1,"
				    "\"completion_tokens\":1,\"credits\":3}",
				    "", a);
		crowd_note(w, n, a->sent_mono_ns, a->got_mono_ns, a->status,
			   n % 2 == 0 ? 0 : 1);
		test_sleep_ms(1); /* a note each, and their room is bounded */
	}
	client_free(&own);
}

/* Answered before that moment; sent before it; tag -1: all. */
static void count(const struct crowd *w, uint64_t mono_ns, int tag,
		  int64_t *answered_r, int64_t *sent_r)
{
	*answered_r = *sent_r = 0;
	for (unsigned i = 0; i < w->n; i++) {
		for (uint32_t k = 0; k < w->logs[i].n; k++) {
			const struct crowd_note *n = &w->logs[i].notes[k];

			if (tag >= 0 && n->tag != tag)
				continue;
			*answered_r +=
				n->status == 200 && n->got_mono_ns < mono_ns;
			*sent_r += n->sent_mono_ns < mono_ns;
		}
	}
}

START_TEST(under_load_nothing_is_lost_and_nothing_doubled)
{
	int64_t from, to, low, ignored, high, got;
	struct crowd *w;

	begin("metering.flush_interval_ms=10");
	w = crowd_start(CLIENTS, knock, NULL);
	for (int i = 0; i < 4; i++) {
		test_sleep_ms(100);
		from = (int64_t)test_mono_ns();
		backup();
		to = (int64_t)test_mono_ns();
		restore();
		got = sum_of(copy, "request_count");
		count(w, (uint64_t)from, -1, &low, &ignored);
		count(w, (uint64_t)to, -1, &ignored, &high);

		ck_assert_int_gt(low, 0);
		ck_assert_int_le(low, got);
		/* one more of each client may be on its way unnoted */
		ck_assert_int_le(got, high + CLIENTS);
		ck_assert_int_eq(sum_of(copy, "credits_used"), 3 * got);
		got = sql_num(copy->conninfo,
			      "SELECT count(*) FROM request_logs JOIN users "
			      "USING (user_id) WHERE email = 'busy@test'");
		count(w, (uint64_t)from, 1, &low, &ignored);
		count(w, (uint64_t)to, 1, &ignored, &high);
		ck_assert_int_le(low, got);
		ck_assert_int_le(got, high + CLIENTS);
		daemon_free(&copy);
	}
	crowd_stop(w);
	ck_assert_uint_eq(crowd_count(w, 503, -1), 0); /* nobody waited */
	crowd_free(&w);
}
END_TEST

/* Answers to Idempotency-Keys are part of it: a retry charges nothing. */
START_TEST(an_answer_is_remembered_by_the_copy)
{
	static const char body[] = "{\"model\":\"m\",\"prompt_tokens\":1000,"
				   "\"completion_tokens\":0,\"credits\":5}";

	begin("metering.flush_interval_ms=15000");
	client_call(c, "/api/usage/record", key_of("busy"), body,
		    "Idempotency-Key: one\r\n", &r);
	want(200);

	backup();

	restore();
	daemon_spawn(copy);
	ck_assert(daemon_wait_ready(copy, 60000));
	client_free(&c);
	c = client_new(copy->port);
	client_call(c, "/api/usage/record", key_of("busy"), body,
		    "Idempotency-Key: one\r\n", &r);
	want(200);
	ck_assert_int_eq(used_today(key_of("busy")), 5);
	ck_assert_int_eq(sum_of(copy, "cost_micro_usd"), 30000);
}
END_TEST

/* The copy serves, and is a database of its own. */
START_TEST(the_copy_serves_with_the_right_figures)
{
	begin("metering.flush_interval_ms=15000");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(gate(KEY_STARTER, ""), 200);
	backup();
	ck_assert_int_eq(ctl_url(d, "backup", "--verify"), 0);

	restore();

	daemon_spawn(copy);
	ck_assert(daemon_wait_ready(copy, 60000));
	client_free(&c);
	c = client_new(copy->port);
	ck_assert_int_eq(used_today(KEY_STARTER), 27);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(used_today(KEY_PRO), 143);
	ck_assert_str_ne(json_object_get_string(json_at(answer, "database_id")),
			 sql_str(d->conninfo, "SELECT database_id FROM "
					      "tallyd.instance"));
	/* a change is heard of: the change log began anew */
	make_key("fresh", 10, "");
	sql_exec(
		copy->conninfo,
		"UPDATE api_keys SET status = 'revoked' WHERE key_id = '" ID_PRO
		"'");
	WAIT_UNTIL(gate(KEY_PRO, "") == 401);
	ck_assert_int_eq(gate(KEY_PRO, ""), 401);
	/* triggers, foreign keys and sequences are back */
	ck_assert(!sql_try(copy->conninfo,
			   "INSERT INTO api_keys (user_id, key_prefix, "
			   "key_hash) VALUES (gen_random_uuid(), 'x', "
			   "repeat('a', 64))"));
	ck_assert_int_eq(sql_num(copy->conninfo,
				 "SELECT count(*) FROM audit_log WHERE action ="
				 " 'database.restore'"),
			 1);
}
END_TEST

/* The schema after a restore is the one that migrations make. */
START_TEST(the_schema_is_that_of_migrations)
{
	static const char ask[] =
		"SELECT md5(string_agg(t, E'\\n' ORDER BY t)) FROM ("
		"SELECT concat(conrelid::regclass, conname, "
		"pg_get_constraintdef(oid)) AS t FROM pg_constraint "
		"WHERE connamespace IN ('public'::regnamespace, "
		"'tallyd'::regnamespace) UNION ALL "
		"SELECT concat(tgrelid::regclass, tgname, tgenabled) "
		"FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
		"SELECT concat(indexrelid::regclass, indisvalid) FROM pg_index "
		"WHERE indexrelid > 16383 AND indrelid::regclass::text NOT "
		"LIKE 'pg_toast.%%') t";
	char here[64];

	begin("metering.flush_interval_ms=1000");
	sql_exec(d->conninfo, "SELECT tallyd.request_logs_ensure('2026-01-05'),"
			      " tallyd.request_logs_ensure('2026-03-03')");
	sql_exec(d->conninfo,
		 "INSERT INTO request_logs (user_id, key_id, credits, "
		 "created_at, date) SELECT user_id, key_id, 7, '2026-03-03', "
		 "'2026-03-03' FROM api_keys");
	daemon_stop(d, SIGTERM, 20000); /* it makes partitions by itself */
	backup();

	restore();

	snprintf(here, sizeof(here), "%s", sql_str(d->conninfo, ask));
	ck_assert_str_eq(sql_str(copy->conninfo, ask), here);
	ck_assert_int_eq(sql_num(copy->conninfo,
				 "SELECT sum(credits) FROM request_logs "
				 "WHERE date = '2026-03-03' AND credits = 7 "
				 "AND created_at = '2026-03-03'"),
			 28);
}
END_TEST

static void change_byte(off_t at, int from_end)
{
	int fd = open(file, O_RDWR);
	char byte = 0;

	if (from_end)
		at = lseek(fd, 0, SEEK_END) - at;
	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 2;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

START_TEST(a_damaged_file_is_refused_and_nothing_is_changed)
{
	static const struct {
		off_t at;
		int from_end;
	} places[] = {
		{ 0, 0 },   /* the first word */
		{ 8, 0 },   /* the format: a later one */
		{ 40, 0 },  /* rows */
		{ 200, 1 }, /* the contents */
		{ 60, 1 },  /* their checksum */
		{ 12, 1 },  /* the format at the end */
		{ 1, 1 },   /* the last word */
	};

	begin("metering.flush_interval_ms=1000");
	backup();
	make_copy();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		change_byte(places[i].at, places[i].from_end);

		ck_assert_int_eq(ctl_url(copy, "restore", NULL), 1);
		ck_assert_int_eq(ctl_url(copy, "backup", "--verify"), 1);

		change_byte(places[i].at, places[i].from_end);
	}
	ck_assert_int_eq(truncate(file, 1000), 0);
	ck_assert_int_eq(ctl_url(copy, "restore", NULL), 1);
	ck_assert_int_eq(sql_num(copy->conninfo,
				 "SELECT count(*) FROM pg_tables WHERE "
				 "schemaname IN ('public', 'tallyd')"),
			 0);
}
END_TEST

START_TEST(a_later_schema_is_refused)
{
	begin("metering.flush_interval_ms=1000");
	sql_exec(d->conninfo, "INSERT INTO tallyd.schema_migration (number, "
			      "name, up_sha256) VALUES (9000, 'later', 'x')");
	backup();
	make_copy();

	ck_assert_int_eq(ctl_url(copy, "restore", NULL), 1);

	ck_assert_int_eq(sql_num(copy->conninfo,
				 "SELECT count(*) FROM pg_tables WHERE "
				 "schemaname IN ('public', 'tallyd')"),
			 0);
}
END_TEST

START_TEST(a_running_daemon_and_a_full_database_are_in_the_way)
{
	begin("metering.flush_interval_ms=15000");
	charge(2);
	backup();
	charge(5);

	ck_assert_int_eq(ctl_url(d, "restore", "--clean"), 1);
	ck_assert_int_eq(gate(key_of("busy"), "cost=3"), 200);
	/* the same database by another state directory */
	make_copy();
	tl_free(copy->conninfo);
	copy->conninfo = tl_strdup(d->conninfo);
	ck_assert_int_eq(ctl_url(copy, "restore", "--clean"), 1);
	ck_assert_int_eq(db_credits("busy@test"), 0);

	daemon_stop(d, SIGTERM, 20000);
	ck_assert_int_eq(db_credits("busy@test"), 24);
	ck_assert_int_eq(ctl_url(d, "restore", NULL), 1);
	ck_assert_int_eq(db_credits("busy@test"), 24);
	ck_assert_int_eq(ctl_url(d, "restore", "--clean"), 0);
	ck_assert_int_eq(db_credits("busy@test"), 6);
}
END_TEST

/* What the old daemon had not delivered must not reach the restored copy,
 * though it takes the old one's place in every way. */
START_TEST(old_segment_and_spool_do_not_reach_the_restored)
{
	begin("metering.flush_interval_ms=50");
	charge(2);
	backup();
	charge_in_an_outage();
	kill_all();
	pgtest_resume(pg);

	ck_assert_int_eq(ctl_url(d, "restore", "--clean"), 0);

	ck_assert_ptr_nonnull(
		json_object_get_string(json_at(answer, "spool_aside")));
	fixture_again();
	charge(1);
	daemon_stop(d, SIGTERM, 20000);
	ck_assert_int_eq(db_credits("busy@test"), 9);
}
END_TEST

/* The embedded database, daemon running and not. */
START_TEST(the_embedded_database)
{
	struct daemon *own = daemon_start(NULL, DAEMON_SETTINGS(FREE_RATE));
	struct client *k = client_new(own->port);

	file = world_path("backup");
	copy = NULL;
	d = own;
	c = k;
	ck_assert_int_eq(gate(KEY_STARTER, ""), 200);
	ck_assert_int_eq(ctl_at(own, "backup", file), 0);
	ck_assert_int_eq(ctl_at(own, "restore", file, "--clean"), 1);
	ck_assert_int_eq(gate(KEY_STARTER, ""), 200);
	daemon_stop(own, SIGTERM, 30000);
	ck_assert_int_eq(ctl_at(own, "backup", file), 0);
	ck_assert_int_eq(ctl_at(own, "restore", file), 1);

	copy = daemon_new(NULL, DAEMON_SETTINGS(FREE_RATE));
	ck_assert_int_eq(ctl_at(copy, "restore", file), 0);

	daemon_spawn(copy);
	ck_assert(daemon_wait_ready(copy, 60000));
	client_free(&c);
	c = client_new(copy->port);
	ck_assert_int_eq(used_today(KEY_STARTER), 25);
	daemon_stop(copy, SIGTERM, 30000);
	ck_assert_int_eq(ctl_at(copy, "restore", file, "--clean"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("23_backup");
	TCase *tc = tcase_create("backup");

	tcase_add_checked_fixture(tc, NULL, down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, usage_that_is_in_the_segment_only);
	tcase_add_test(tc, a_batch_that_is_applied_and_not_confirmed);
	tcase_add_test(tc, usage_of_an_outage);
	tcase_add_test(tc, usage_of_a_daemon_that_was_killed);
	tcase_add_test(tc, under_load_nothing_is_lost_and_nothing_doubled);
	tcase_add_test(tc, an_answer_is_remembered_by_the_copy);
	tcase_add_test(tc, the_copy_serves_with_the_right_figures);
	tcase_add_test(tc, the_schema_is_that_of_migrations);
	tcase_add_test(tc, a_damaged_file_is_refused_and_nothing_is_changed);
	tcase_add_test(tc, a_later_schema_is_refused);
	tcase_add_test(tc, a_running_daemon_and_a_full_database_are_in_the_way);
	tcase_add_test(tc, old_segment_and_spool_do_not_reach_the_restored);
	tcase_add_test(tc, the_embedded_database);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
