/*
 * test_21_tallyctl_doctor.c - doctor says that the books balance when they
 * do, by how much they do not when they do not, and what else is wrong.
 */
#include "config.h"

#include "lib/ctl.h"
#include "lib/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "lib/crowd.h"
#include "shm/shm.h"

#define CLIENTS   4
#define ROW_OF(name)                                                           \
	"key_id = (SELECT key_id FROM api_keys JOIN users USING (user_id) "    \
	"WHERE email = '" name "@test' LIMIT 1)"

/* tallyctl of a daemon that does not run is told its database. */
static int doctor(void)
{
	char *url = tl_asprintf("database.url=%s", d->conninfo);
	int status = ctl("-o", url, "doctor");

	tl_free(url);
	ck_assert_ptr_nonnull(answer);
	return status;
}

/* The first finding of that name with that level (NULL: any); its words. */
static const char *finding(const char *level, const char *name)
{
	struct json_object *list = json_at(answer, "findings");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *f = json_object_array_get_idx(list, i);

		if (strcmp(json_object_get_string(json_at(f, "name")), name) ==
			    0 &&
		    (level == NULL ||
		     strcmp(json_object_get_string(json_at(f, "level")),
			    level) == 0))
			return json_object_get_string(json_at(f, "text"));
	}
	return NULL;
}

#define expect_finding(level, name)                                            \
	ck_assert_msg(finding(level, name) != NULL, "no %s '%s' in %s", level, \
		      name, json_object_to_json_string(answer))

static void expect_difference(int64_t credits, int64_t requests, int64_t cost)
{
	ck_assert_msg(json_at(answer, "difference") != NULL, "%s",
		      json_object_to_json_string(answer));
	ck_assert_msg(number("difference.credits") == credits &&
			      number("difference.requests") == requests &&
			      number("difference.cost_micro_usd") == cost,
		      "%s", json_object_to_json_string(answer));
}

static void expect_balance(void)
{
	int status = doctor();

	ck_assert_msg(status == 0, "%d: %s", status,
		      json_object_to_json_string(answer));
	expect_difference(0, 0, 0);
	expect_finding("ok", "books");
	expect_finding("ok", "quota");
	expect_finding("ok", "segment");
}

static void charge(const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(gate(key_of(name), "cost=3"), 200);
}

static void begin(const char *interval)
{
	answer = NULL;
	up(FREE_RATE, interval, "server.workers=2");
	make_key("busy", 2000000000, "");
	make_key("other", 2000000000, "");
}

static void down(void)
{
	ctl_forget();
	fixture_down();
}

static void knock(struct crowd *w, unsigned n, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	(void)arg;
	while (!crowd_stopped(w)) {
		const char *key = key_of(n < 2 ? "busy" : "other");

		if (n % 2 == 0)
			client_get(own, "/api/gate?cost=3", key, a);
		else
			client_call(own, "/api/usage/record", key,
				    "{\"model\":\"m\",\"prompt_tokens\":7,"
				    "\"completion_tokens\":1,\"credits\":2}",
				    "", a);
		crowd_note(w, n, a->sent_mono_ns, a->got_mono_ns, a->status, 0);
		test_sleep_ms(1); /* a note each, and their room is bounded */
	}
	client_free(&own);
}

START_TEST(a_fresh_daemon_is_in_order)
{
	begin("metering.flush_interval_ms=50");

	expect_balance();

	ck_assert_int_eq(number("failures"), 0);
	expect_finding("ok", "configuration");
	expect_finding("ok", "daemon");
	expect_finding("ok", "database");
	expect_finding("ok", "schema");
	expect_finding("ok", "clock");
	expect_finding("ok", "admin.emails");
}
END_TEST

START_TEST(the_books_balance_under_load)
{
	struct crowd *w;

	begin("metering.flush_interval_ms=10");
	w = crowd_start(CLIENTS, knock, NULL);
	for (int i = 0; i < 15; i++) {
		test_sleep_ms(30);
		expect_balance();
	}
	crowd_stop(w);
	ck_assert_uint_gt(crowd_count(w, 200, -1), 100);
	ck_assert_uint_eq(crowd_count(w, 503, -1), 0); /* nobody waited */
	crowd_free(&w);
	expect_balance();
	/* nothing is in hand any more, nothing was left */
	ck_assert_ptr_nonnull(
		strstr(finding("ok", "quota"), " 0 not in the books"));
}
END_TEST

START_TEST(kills_leave_no_difference)
{
	struct crowd *w;

	begin("metering.flush_interval_ms=10");
	w = crowd_start(CLIENTS, knock, NULL);
	for (int i = 0; i < 6; i++) {
		test_sleep_ms(200);
		(void)daemon_kill_child(d, i % 3 == 0 ? "flusher" : "worker",
					0);
		expect_balance();
	}
	crowd_stop(w);
	ck_assert_uint_gt(crowd_count(w, 200, -1), 100);
	crowd_free(&w);
	daemon_stop(d, SIGKILL, 5000);
	WAIT_UNTIL(ctl("status") == 3); /* workers follow their master */
	/* nobody runs: what waits is in the segment */
	expect_balance();
	expect_finding("warn", "daemon");
	fixture_again();
	charge("busy", 3);
	expect_balance();
}
END_TEST

START_TEST(usage_in_the_spool_is_in_the_books)
{
	pid_t flusher;

	begin("metering.flush_interval_ms=50");
	charge("busy", 5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	sql_close();
	pgtest_halt(pg);
	for (unsigned i = 0; i < 1500; i++) {
		charge("busy", 2);
		if (i > 10 && ctl("status") == 0 && number("spool.records") > 3)
			break;
		test_sleep_ms(5);
	}
	ck_assert_int_gt(number("spool.records"), 3);
	/* the database is away: said, and not taken for a difference */
	ck_assert_int_eq(doctor(), 69);
	expect_finding("FAIL", "database");
	ck_assert(json_object_get_type(json_at(answer, "difference")) ==
		  json_type_null);

	flusher = daemon_child(d, "flusher");
	kill(flusher, SIGSTOP);
	pgtest_resume(pg);
	charge("busy", 4);
	(void)doctor();
	expect_difference(0, 0, 0);
	expect_finding("ok", "books");
	expect_finding("ok", "quota");
	kill(flusher, SIGCONT);
	WAIT_UNTIL(ctl("status") == 0 && number("spool.records") == 0 &&
		   number("flush.level") == 0);
	expect_balance();
}
END_TEST

/* What somebody changed by hand is told to the credit. */
START_TEST(a_changed_row_is_told_exactly)
{
	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	charge("other", 4);
	WAIT_UNTIL(db_credits("busy@test") == 15 &&
		   db_credits("other@test") == 12);
	expect_balance();

	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = "
			      "credits_used + 7 WHERE " ROW_OF("busy"));
	ck_assert_int_eq(doctor(), 1);
	expect_difference(7, 0, 0);
	ck_assert_ptr_nonnull(strstr(finding("FAIL", "books"),
				     "by 7 credits (22 in place of 15)"));
	/* usage goes on, and the difference stays what it is */
	charge("busy", 2);
	ck_assert_int_eq(doctor(), 1);
	expect_difference(7, 0, 0);

	/* the other direction, of another key: they do not cancel out */
	sql_exec(d->conninfo,
		 "UPDATE daily_usage SET credits_used = credits_used - 7, "
		 "request_count = request_count - 2 WHERE " ROW_OF("other"));
	ck_assert_int_eq(doctor(), 1);
	expect_difference(14, 2, 0);
	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = "
			      "credits_used - 7 WHERE " ROW_OF("busy"));
	sql_exec(d->conninfo,
		 "UPDATE daily_usage SET credits_used = credits_used + 7, "
		 "request_count = request_count + 3, "
		 "cost_micro_usd = cost_micro_usd + 5 WHERE " ROW_OF("other"));
	ck_assert_int_eq(doctor(), 1);
	expect_difference(0, 1, 5);
	sql_exec(d->conninfo,
		 "UPDATE daily_usage SET request_count = request_count - 1, "
		 "cost_micro_usd = cost_micro_usd - 5 WHERE " ROW_OF("other"));
	expect_balance();
}
END_TEST

/* Its rows went with it: nothing was lost. */
START_TEST(a_deleted_key_is_no_loss)
{
	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	charge("other", 4);
	WAIT_UNTIL(db_credits("busy@test") == 15 &&
		   db_credits("other@test") == 12);
	sql_exec(d->conninfo, "DELETE FROM api_keys WHERE " ROW_OF("other"));
	expect_balance();
	/* and those that are there are looked at as before */
	sql_exec(d->conninfo, "DELETE FROM daily_usage WHERE " ROW_OF("busy"));
	ck_assert_int_eq(doctor(), 1);
	expect_difference(15, 5, 0);
}
END_TEST

/* Others may add what this host cannot know; nobody may take away. */
START_TEST(beside_other_hosts_only_losses_are_told)
{
	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.flush_node (node_id, epoch, last_seq, "
		 "applied_at) VALUES ('elsewhere/x', 1, 1, now())");
	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = "
			      "credits_used + 9 WHERE " ROW_OF("busy"));
	expect_balance();
	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = "
			      "credits_used - 10 WHERE " ROW_OF("busy"));
	ck_assert_int_eq(doctor(), 1);
	expect_difference(1, 0, 0);
}
END_TEST

/* A key that is loaded with a base: what the row held then is known. */
START_TEST(a_row_changed_under_a_loaded_key)
{
	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	daemon_stop(d, SIGTERM, 20000);
	ck_assert_int_eq(db_credits("busy@test"), 15);
	/* a new segment: loads the key with its 15 credits */
	ck_assert_int_eq(ctl("status"), 3);
	{
		char *name = tl_asprintf("/dev/shm/tallyd.%s.v%d", d->instance,
					 SHM_LAYOUT);

		ck_assert_int_eq(unlink(name), 0);
		tl_free(name);
	}
	fixture_again();
	charge("busy", 1);
	expect_balance();
	sql_exec(d->conninfo, "UPDATE daily_usage SET credits_used = 0, "
			      "request_count = 0 WHERE " ROW_OF("busy"));
	WAIT_UNTIL(ctl("status") == 0 && number("flush.pending.keys") == 0);
	ck_assert_int_eq(doctor(), 1);
	ck_assert_int_gt(number("difference.credits"), 0);
	ck_assert_int_le(number("difference.credits"), 18);
}
END_TEST

/* The one user whose word has that count: it gets another. */
static void change_quota(uint64_t from, uint64_t to)
{
	struct shm *s = NULL;
	struct tl_err err;
	uint64_t word = 0;
	char name[64];
	off_t at = 0;
	int fd;

	ck_assert_int_eq(shm_open_reader(d->instance, &s, &err), TL_OK);
	for (uint32_t i = 0; i < s->n_users; i++) {
		uint64_t w = atomic_load(&s->users[i].quota);

		if (shm_count_of(w) != from)
			continue;
		word = shm_tagged(shm_period_of(w), to);
		at = (off_t)(s->head->k.regions[SHM_R_USERS].offset +
			     i * sizeof(struct shm_user) +
			     offsetof(struct shm_user, quota));
	}
	shm_close(&s);
	ck_assert_uint_ne(word, 0);
	shm_name(d->instance, name);
	fd = shm_open(name, O_RDWR, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &word, sizeof(word), at), sizeof(word));
	close(fd);
}

/* Reserved, and then killed: the user has lost it, the books are right.  What
 * is counted and was never admitted is wrong. */
START_TEST(a_charge_in_hand_is_no_failure_and_the_reverse_is)
{
	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	change_quota(15, 18);
	expect_balance();
	ck_assert_ptr_nonnull(
		strstr(finding("ok", "quota"), " 3 not in the books: in hand"));
	change_quota(18, 11);
	ck_assert_int_eq(doctor(), 1);
	ck_assert_ptr_nonnull(strstr(finding("FAIL", "quota"),
				     "1 users have 4 credits more counted "
				     "than admitted"));
	expect_difference(0, 0, 0); /* which is of the books */
}
END_TEST

START_TEST(a_damaged_key_is_seen)
{
	uint64_t key = 0, f = 0;
	struct shm *s = NULL;
	struct tl_err err;
	char name[64];
	off_t at = 0;
	int fd;

	begin("metering.flush_interval_ms=10");
	charge("busy", 5);
	WAIT_UNTIL(db_credits("busy@test") == 15);
	daemon_stop(d, SIGTERM, 20000);
	expect_balance();
	ck_assert_int_eq(shm_open_reader(d->instance, &s, &err), TL_OK);
	for (; f == 0 && key < s->n_keys; key++) {
		for (uint32_t p = 0; f == 0 && p < SHM_PERIODS; p++) {
			f = atomic_load(&s->keys[key].flushed[p][0]);
			at = (off_t)(s->head->k.regions[SHM_R_KEYS].offset +
				     key * sizeof(struct shm_key) +
				     offsetof(struct shm_key, flushed) +
				     p * SHM_METRICS * sizeof(f));
		}
	}
	shm_close(&s);
	ck_assert_uint_ne(f, 0);
	shm_name(d->instance, name);
	fd = shm_open(name, O_RDWR, 0);
	ck_assert_int_ge(fd, 0);
	f += 1000; /* more than its cell has */
	ck_assert_int_eq(pwrite(fd, &f, sizeof(f), at), sizeof(f));
	close(fd);

	ck_assert_int_eq(doctor(), 1);
	expect_finding("FAIL", "segment");
}
END_TEST

START_TEST(dangerous_settings_are_told)
{
	begin("metering.flush_interval_ms=50");

	ck_assert_int_eq(ctl("-o", "admin.emails=demo@codexible.me", "doctor"),
			 0);
	expect_finding("warn", "admin.emails");
	ck_assert_int_eq(ctl("-o", "admin.emails=demo@codexible.me", "-o",
			     "server.listen=0.0.0.0:3001", "-o",
			     "database.seed_demo=yes", "doctor"),
			 1);
	expect_finding("FAIL", "admin.emails");
	expect_finding("FAIL", "seed_demo");
	/* loopback with TLS is loopback; a file that is not there is told */
	ck_assert_int_eq(ctl("-o", "server.listen=tls:127.0.0.1:3001", "-o",
			     "tls.certificates=/nonexistent/x.pem", "-o",
			     "database.seed_demo=yes", "doctor"),
			 1);
	expect_finding("ok", "seed_demo");
	expect_finding("FAIL", "tls");
	ck_assert_int_eq(ctl("-o", "server.max_connections=65536", "-o",
			     "database.pool_size=64", "-o", "server.workers=64",
			     "doctor"),
			 1);
	expect_finding("FAIL", "connections");
	/* a runner has pools as well */
	ck_assert_int_eq(ctl("-o", "database.pool_size=4", "-o",
			     "server.workers=1", "-o", "runner.count=16",
			     "doctor"),
			 1);
	expect_finding("FAIL", "connections");
}
END_TEST

START_TEST(a_schema_behind_this_release_is_told)
{
	begin("metering.flush_interval_ms=50");
	sql_exec(d->conninfo, "UPDATE tallyd.schema_migration SET up_sha256 = "
			      "repeat('0', 64) WHERE number = 2");

	ck_assert_int_eq(doctor(), 1);

	expect_finding("FAIL", "schema");
	ck_assert_ptr_nonnull(
		strstr(finding("FAIL", "schema"), "1 migrations differ"));
}
END_TEST

/* The embedded database runs for the time of the command. */
START_TEST(a_stopped_daemon_with_its_own_database)
{
	answer = NULL;
	d = daemon_start(NULL, DAEMON_SETTINGS(FREE_RATE));
	c = client_new(d->port);
	ck_assert_int_eq(gate(KEY_PRO, "cost=3"), 200);
	ck_assert_int_eq(ctl("doctor"), 0);
	expect_difference(0, 0, 0);
	daemon_stop(d, SIGTERM, 20000);

	ck_assert_int_eq(ctl("doctor"), 0);

	expect_difference(0, 0, 0);
	expect_finding("warn", "daemon");
	expect_finding("ok", "books");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tallyctl doctor");
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, NULL, down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_fresh_daemon_is_in_order);
	tcase_add_test(t, the_books_balance_under_load);
	tcase_add_test(t, kills_leave_no_difference);
	tcase_add_test(t, usage_in_the_spool_is_in_the_books);
	tcase_add_test(t, a_changed_row_is_told_exactly);
	tcase_add_test(t, a_deleted_key_is_no_loss);
	tcase_add_test(t, beside_other_hosts_only_losses_are_told);
	tcase_add_test(t, a_row_changed_under_a_loaded_key);
	tcase_add_test(t, a_charge_in_hand_is_no_failure_and_the_reverse_is);
	tcase_add_test(t, a_damaged_key_is_seen);
	tcase_add_test(t, dangerous_settings_are_told);
	tcase_add_test(t, a_schema_behind_this_release_is_told);
	tcase_add_test(t, a_stopped_daemon_with_its_own_database);
	suite_add_tcase(s, t);
	return fixture_run(s);
}
