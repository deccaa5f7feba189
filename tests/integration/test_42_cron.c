/*
 * Jobs by the clock: one scheduler of all leads, a slot runs at most once
 * whoever dies, what was missed, and how people and programs reach it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "lib/ctl.h"
#include "lib/fixture.h"

#define ADMIN  KEY_BUSINESS
#define ADMINS "admin.emails=team@codexible.me"
#define TOKEN  "0123456789abcdef0123456789abcdef"
#define BEARER "Authorization: Bearer "
#define ONE    "server.workers=1"
/* What a run of a job waits for, when a test holds it. */
#define TABLE     "tallyd.idempotency_record"
#define JOB       "idempotency_records"
#define JOB_LOCK  823401102002LL
#define LEAD_LOCK 823401102000LL

static int64_t lead_pid(void)
{
	return sql_num(d->conninfo,
		       "SELECT pid FROM pg_locks WHERE locktype = 'advisory' "
		       "AND granted AND classid = %lld AND objid = %lld AND "
		       "database = (SELECT oid FROM pg_database WHERE datname "
		       "= current_database())",
		       LEAD_LOCK >> 32, LEAD_LOCK & 0xffffffff);
}

/* It leads, and the first run on a new database is over. */
static void led(void)
{
	WAIT_UNTIL(sql_num(d->conninfo, "SELECT count(*) FROM tallyd.cron_runs "
					"WHERE job = 'request_logs' AND "
					"outcome = 'done'") > 0);
	ck_assert_int_ne(lead_pid(), 0);
}

static void ask(const char *job)
{
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome) "
		 "VALUES ('%s', now(), 'test', 'asked')",
		 job);
	sql_exec(d->conninfo, "NOTIFY tallyd_cron");
}

static int64_t count(const char *job, const char *outcome)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM tallyd.cron_runs WHERE job = '%s' "
		       "AND outcome = '%s'",
		       job, outcome);
}

/* The schedule wants a minute's slot that is some minutes old. */
static void fall_behind(const char *job, const char *schedule, int minutes)
{
	sql_exec(d->conninfo,
		 "UPDATE tallyd.cron_jobs SET schedule = '%s', decided_until = "
		 "date_trunc('minute', now()) - %d * interval '1 minute' WHERE "
		 "job = '%s'",
		 schedule, minutes, job);
	sql_exec(d->conninfo, "NOTIFY tallyd_cron");
}

static PGconn *holder(const char *sql)
{
	PGconn *pq = PQconnectdb(d->conninfo);
	PGresult *res;

	PQclear(PQexec(pq, "BEGIN"));
	res = PQexec(pq, sql);
	ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK ||
			      PQresultStatus(res) == PGRES_TUPLES_OK,
		      "%s: %s", sql, PQerrorMessage(pq));
	PQclear(res);
	return pq;
}

/* ---- who leads ---- */

static bool leads(struct daemon *of)
{
	struct client *k = client_new(of->port);
	bool yes;

	ck_assert(client_get(k, "/metrics", NULL, &r));
	ck_assert_int_eq(r.status, 200);
	yes = strstr(r.body, "tallyd_cron_leading 1\n") != NULL;
	ck_assert(yes || strstr(r.body, "tallyd_cron_leading 0\n") != NULL);
	client_free(&k);
	return yes;
}

/* Somebody has asked for the lead and not got it. */
static bool somebody_follows(void)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
		       "'SELECT pg_try_advisory_lock(%lld)' AND pid <> %lld "
		       "AND state = 'idle'",
		       LEAD_LOCK, (long long)lead_pid()) > 0;
}

static struct daemon *second_on_the_database(void)
{
	struct daemon *two = daemon_new(NULL, DAEMON_SETTINGS(ONE));

	daemon_on_database(two, tl_strdup(d->conninfo));
	daemon_spawn(two);
	ck_assert(daemon_wait_ready(two, 60000));
	return two;
}

START_TEST(one_host_leads_and_the_other_takes_over)
{
	struct daemon *two;
	int64_t first;

	up(ONE);
	led();
	two = second_on_the_database();
	WAIT_UNTIL(somebody_follows());
	ck_assert(somebody_follows());
	first = lead_pid();
	ask("change_log");
	WAIT_UNTIL(count("change_log", "done") == 1);
	ck_assert(leads(d) && !leads(two));
	ck_assert_int_eq(lead_pid(), first);

	/* it goes in peace: the other is told */
	daemon_stop(d, SIGTERM, 15000);
	WAIT_UNTIL(leads(two));
	ck_assert(leads(two));
	ask("change_log");
	WAIT_UNTIL(count("change_log", "done") == 2);

	/* back again it follows, until the other dies at once */
	fixture_again();
	WAIT_UNTIL(somebody_follows());
	ck_assert(somebody_follows());
	ask("change_log");
	WAIT_UNTIL(count("change_log", "done") == 3);
	ck_assert(leads(two) && !leads(d));
	daemon_stop(two, SIGKILL, 15000);
	WAIT_UNTIL(leads(d));
	ck_assert(leads(d));
	ask("change_log");
	WAIT_UNTIL(count("change_log", "done") == 4);
	ck_assert_int_eq(count("change_log", "done"), 4);
	daemon_free(&two);
}
END_TEST

START_TEST(a_lost_connection_is_a_lost_lead)
{
	PGconn *lock;
	int64_t pid;

	up(ONE);
	led();
	lock = holder("LOCK TABLE " TABLE);
	ask(JOB);
	WAIT_UNTIL(count(JOB, "running") == 1);

	pid = lead_pid();
	sql_exec(d->conninfo, "SELECT pg_terminate_backend(%lld)",
		 (long long)pid);
	WAIT_UNTIL(count(JOB, "failed") == 1); /* it was canceled */
	ck_assert_ptr_nonnull(
		strstr(sql_str(d->conninfo, "SELECT detail FROM "
					    "tallyd.cron_runs WHERE outcome "
					    "= 'failed'"),
		       "the lead was lost"));
	PQfinish(lock);
	WAIT_UNTIL(lead_pid() != 0 && lead_pid() != pid);
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_int_eq(count(JOB, "done"), 1);
}
END_TEST

START_TEST(without_a_database_it_waits)
{
	up(ONE);
	led();
	pgtest_halt(pg);
	WAIT_UNTIL(!leads(d));
	ck_assert(!leads(d));
	pgtest_resume(pg);
	sql_close();
	WAIT_UNTIL(leads(d));
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_int_eq(count(JOB, "done"), 1);
}
END_TEST

START_TEST(a_reload_hands_the_lead_on)
{
	pid_t before;

	up(ONE);
	led();
	before = daemon_child(d, "scheduler");
	daemon_hup(d);
	WAIT_UNTIL(daemon_child(d, "scheduler") != before && leads(d));
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_int_eq(count(JOB, "done"), 1);
	ck_assert_int_ne(daemon_child(d, "scheduler"), before);
}
END_TEST

/* ---- a slot runs at most once ---- */

START_TEST(a_slot_of_a_killed_scheduler_does_not_run_again)
{
	PGconn *lock;
	int64_t pid;

	up(ONE);
	led();
	lock = holder("LOCK TABLE " TABLE);
	fall_behind(JOB, "* * * * *", 1);
	WAIT_UNTIL(count(JOB, "running") == 1);
	sql_exec(d->conninfo,
		 "UPDATE tallyd.cron_jobs SET paused = true WHERE job = '" JOB
		 "'");

	pid = lead_pid();
	kill(daemon_child(d, "scheduler"), SIGKILL);
	WAIT_UNTIL(lead_pid() != 0 && lead_pid() != pid &&
		   count(JOB, "lost") == 1);
	PQfinish(lock);

	/* its slot again: it was taken */
	sql_exec(d->conninfo, "UPDATE tallyd.cron_jobs SET paused = false "
			      "WHERE job = '" JOB "'");
	fall_behind(JOB, "* * * * *", 30);
	WAIT_UNTIL(sql_num(d->conninfo,
			   "SELECT count(*) FROM tallyd.cron_jobs WHERE job = "
			   "'" JOB "' AND decided_until > now() - interval "
			   "'90 seconds'") == 1);
	ask(JOB);
	WAIT_UNTIL(sql_num(d->conninfo,
			   "SELECT count(*) FROM tallyd.cron_runs WHERE "
			   "asked_by = 'test' AND outcome = 'done'") == 1);
	ck_assert_int_eq(count(JOB, "lost"), 1);
	ck_assert_int_eq(
		sql_num(d->conninfo,
			"SELECT count(*) FROM tallyd.cron_runs WHERE job = "
			"'" JOB "' AND slot = (SELECT slot FROM "
			"tallyd.cron_runs WHERE outcome = 'lost')"),
		1);
	ck_assert_ptr_nonnull(
		strstr(sql_str(d->conninfo, "SELECT detail FROM "
					    "tallyd.cron_runs WHERE outcome "
					    "= 'lost'"),
		       "its scheduler is gone"));
}
END_TEST

/* Schedulers die in the middle of it all: each slot has one row, and
 * no row is left running. */
START_TEST(kills_double_no_run)
{
	int64_t left = -1;

	up(ONE);
	led();
	for (int i = 0; i < 12; i++) {
		fall_behind(JOB, "* * * * *", 2 + i % 3);
		fall_behind("change_log", "*/2 * * * *", 5);
		if (i == 0) /* not all of them die before they did anything */
			WAIT_UNTIL(count(JOB, "done") > 0);
		test_sleep_ms((unsigned)(20 * i % 170));
		kill(daemon_child(d, "scheduler"), SIGKILL);
	}
	WAIT_UNTIL(sql_num(d->conninfo, "SELECT count(*) FROM tallyd.cron_runs "
					"WHERE outcome = 'running'") == 0 &&
		   lead_pid() != 0);
	ask(JOB);
	WAIT_UNTIL(sql_num(d->conninfo,
			   "SELECT count(*) FROM tallyd.cron_runs WHERE "
			   "asked_by = 'test' AND outcome = 'done'") == 1);
	/* the clock goes on: one may just be at work */
	WAIT_UNTIL((left = sql_num(d->conninfo,
				   "SELECT count(*) FROM tallyd.cron_runs "
				   "WHERE outcome = 'running'")) == 0);
	ck_assert_int_eq(left, 0);
	ck_assert_int_ge(count(JOB, "done") + count(JOB, "lost"), 2);
}
END_TEST

START_TEST(what_was_missed_is_made_up_for_once)
{
	char schedule[40];

	up(ONE);
	led();
	/* each hour, and not just now */
	snprintf(schedule, sizeof(schedule), "%s * * * *",
		 sql_str(d->conninfo, "SELECT extract(minute FROM now() - "
				      "interval '30 minutes')::int::text"));
	fall_behind("change_log", schedule, 180);
	WAIT_UNTIL(count("change_log", "done") == 1);
	ck_assert_int_eq(count("change_log", "done"), 1);
	ck_assert_int_eq(count("change_log", "missed"), 1);
	ck_assert_ptr_nonnull(strstr(
		sql_str(d->conninfo, "SELECT detail FROM tallyd.cron_runs "
				     "WHERE outcome = 'missed'"),
		"had no scheduler"));

	/* a pause is no absence */
	ck_assert_int_eq(ctl("cron", "pause", "change_log"), 0);
	ck_assert_int_eq(ctl("cron", "resume", "change_log"), 0);
	sql_exec(d->conninfo,
		 "UPDATE tallyd.cron_jobs SET schedule = '0 0 1 1 *', paused = "
		 "true, decided_until = now() - interval '3 years' WHERE job = "
		 "'cron_runs'");
	sql_exec(d->conninfo, "NOTIFY tallyd_cron");
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_int_eq(ctl("cron", "resume", "cron_runs"), 0);
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") == 2);
	ck_assert_int_eq(count("cron_runs", "done"), 0);
	ck_assert_int_eq(count("cron_runs", "missed"), 0);
}
END_TEST

START_TEST(a_lock_that_is_held_elsewhere_holds_the_job_off)
{
	char sql[80];
	PGconn *lock;

	up(ONE);
	led();
	snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%lld)", JOB_LOCK);
	lock = holder(sql);
	ask(JOB);
	WAIT_UNTIL(count(JOB, "skipped") == 1);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT detail FROM tallyd.cron_runs WHERE "
				 "outcome = 'skipped'"),
			 "its lock is held elsewhere");
	fall_behind(JOB, "* * * * *", 1);
	WAIT_UNTIL(count(JOB, "skipped") >= 2);
	ck_assert_int_eq(count(JOB, "done"), 0);
	PQfinish(lock);
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") >= 1);
	ck_assert_int_ge(count(JOB, "done"), 1);
	/* given back after each run */
	ask(JOB);
	WAIT_UNTIL(count(JOB, "done") >= 2);
	ck_assert_int_ge(count(JOB, "done"), 2);
}
END_TEST

/* ---- housekeeping ---- */

START_TEST(housekeeping_keeps_what_is_young)
{
	up(ONE);
	led();
	sql_exec(d->conninfo,
		 "INSERT INTO " TABLE " SELECT gen_random_uuid(), n::text, "
		 "'x', current_date, 1, 1, 1, 1, 1, now() - n * interval "
		 "'1 minute' FROM generate_series(1, 12000) n");
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.cron_runs (job, slot, outcome) SELECT "
		 "'change_log', now() - n * interval '1 day', 'done' FROM "
		 "generate_series(1, 100) n");
	sql_exec(d->conninfo,
		 "INSERT INTO audit_log (actor, action, ts) SELECT 'a', 'b', "
		 "now() - (6401 - n) * interval '2 hours' FROM "
		 "generate_series(0, 6400) n");
	ask(JOB);
	ask("cron_runs");
	ask("audit_log");
	WAIT_UNTIL(count(JOB, "done") == 1 &&
		   count("cron_runs", "done") == 1 &&
		   count("audit_log", "done") == 1);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM " TABLE),
			 1439);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT detail FROM tallyd.cron_runs WHERE "
				 "job = '" JOB "'"),
			 "10561 answers gone");
	ck_assert_int_eq(count("change_log", "done"), 89);
	/* 400 days, of twelve a day */
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM audit_log "
					      "WHERE actor = 'a'"),
			 4799);
}
END_TEST

/* ---- people ---- */

static void send(const char *method, const char *target, const char *key,
		 const char *body)
{
	char headers[300];

	snprintf(headers, sizeof(headers),
		 BEARER "%s\r\nContent-Type: application/json\r\n", key);
	ck_assert(client_request(c, method, target, headers,
				 body != NULL ? body : "",
				 body != NULL ? strlen(body) : 0, &r));
}

static const struct {
	const char *body, *words;
} refused[] = {
	{ "{}", "give what to change" },
	{ "{\"schedule\":\"* 24 * * *\"}",
	  "schedule: hour: 24 is not 0 to 23" },
	{ "{\"schedule\":\"\"}", "schedule" },
	{ "{\"time_zone\":\"Europe/Atlantis\"}",
	  "no time zone 'Europe/Atlantis'" },
	{ "{\"time_zone\":\"../../etc/passwd\"}",
	  "is not the name of a time zone" },
	{ "{\"paused\":1}", "paused" },
};

START_TEST(admins_list_change_and_run_jobs)
{
	up(ONE, ADMINS, "limits.key_count=100000");
	led();
	send("PATCH", "/api/admin/cron/change_log", ADMIN,
	     "{\"schedule\":\" 30 4 * * mon \",\"time_zone\":"
	     "\"America/New_York\"}");
	want(200);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		send("PATCH", "/api/admin/cron/change_log", ADMIN,
		     refused[i].body);
		want_error(400, "bad_request");
		ck_assert_msg(strstr(json_str(&r, "error.message"),
				     refused[i].words) != NULL,
			      "%s", r.body);
	}
	send("PATCH", "/api/admin/cron/nothing", ADMIN, "{\"paused\":true}");
	want_error(404, "not_found");

	ck_assert(client_get(c, "/api/admin/cron", ADMIN, &r));
	want(200);
	ck_assert_str_eq(json_str(&r, "0.name"), "request_logs");
	ck_assert_str_eq(json_str(&r, "0.last.outcome"), "done");
	ck_assert_str_eq(json_str(&r, "2.schedule"), "30 4 * * mon");
	ck_assert_str_eq(json_str(&r, "2.time_zone"), "America/New_York");
	ck_assert(json_true(&r, "2.changed") && !json_true(&r, "0.changed"));
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "2.next")),
			  5);
	send("PATCH", "/api/admin/cron/change_log", ADMIN,
	     "{\"schedule\":null,\"time_zone\":null,\"paused\":true}");
	want(200);
	ck_assert(client_get(c, "/api/admin/cron", ADMIN, &r));
	ck_assert_str_eq(json_str(&r, "2.schedule"), "27 * * * *");
	ck_assert(json_true(&r, "2.paused") && !json_true(&r, "2.changed"));
	ck_assert_uint_eq(json_object_array_length(json_at(r.json, "2.next")),
			  0);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT actor || ' ' || action || ' ' || "
				 "details FROM audit_log ORDER BY id DESC "
				 "LIMIT 1"),
			 "team@codexible.me cron.update change_log, paused");
}
END_TEST

START_TEST(runs_are_asked_for_and_listed_in_pages)
{
	char target[400];
	PGconn *lock;
	const char *link;
	int n;

	up(ONE, ADMINS, "limits.key_count=100000");
	led();
	lock = holder("LOCK TABLE " TABLE);
	send("POST", "/api/admin/cron/" JOB "/run", ADMIN, NULL);
	want(202);
	ck_assert_str_eq(json_str(&r, "job"), JOB);
	send("POST", "/api/admin/cron/" JOB "/run", ADMIN, NULL);
	want_error(409, "conflict");
	WAIT_UNTIL(count(JOB, "running") == 1);
	send("POST", "/api/admin/cron/" JOB "/run", ADMIN, NULL);
	want_error(409, "conflict");
	PQfinish(lock);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_int_eq(ctl("cron", "run", JOB), 0);
	ck_assert_str_eq(json_object_get_string(json_at(answer, "outcome")),
			 "done");
	ck_assert_int_eq(ctl("cron", "run", "nothing"), 4);

	ck_assert(client_get(c, "/api/admin/cron-runs?limit=1&job=" JOB, ADMIN,
			     &r));
	want(200);
	ck_assert_str_eq(json_str(&r, "0.asked_by"), "tallyctl");
	link = header_of(&r, "Link");
	ck_assert_ptr_nonnull(link);
	n = (int)strcspn(link + 1, ">");
	snprintf(target, sizeof(target), "%.*s", n, link + 1);
	ck_assert(client_get(c, target, ADMIN, &r));
	want(200);
	ck_assert_str_eq(json_str(&r, "0.asked_by"), "team@codexible.me");
	ck_assert_ptr_null(header_of(&r, "Link"));
	ck_assert_int_eq(ctl("cron", "history", "--last", "2"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "runs")), 2);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM audit_log WHERE action "
				 "= 'cron.run'"),
			 2);
}
END_TEST

START_TEST(the_command_changes_schedules)
{
	up(ONE);
	led();
	ck_assert_int_eq(ctl("cron", "set", JOB, "--schedule", "*/10 * * * *",
			     "--time-zone", "Asia/Kathmandu"),
			 0);
	ck_assert_str_eq(json_object_get_string(json_at(answer, "time_zone")),
			 "Asia/Kathmandu");
	ck_assert_int_eq(ctl("cron", "set", JOB, "--schedule", "5 * * *"), 2);
	ck_assert_int_eq(ctl("cron", "set", JOB), 2);
	ck_assert_int_eq(ctl("cron", "set", JOB, "--schedule", "5 * * * *",
			     "--defaults"),
			 0);
	ck_assert_str_eq(json_object_get_string(json_at(answer, "time_zone")),
			 "UTC");
	ck_assert_str_eq(json_object_get_string(json_at(answer, "schedule")),
			 "5 * * * *");
	ck_assert_int_eq(ctl("cron", "list"), 0);
	ck_assert_uint_eq(
		json_object_array_length(json_at(answer, "jobs.1.next")), 5);
	/* by hand and wrong: it is told, and does not run */
	sql_exec(d->conninfo, "UPDATE tallyd.cron_jobs SET schedule = 'never' "
			      "WHERE job = '" JOB "'");
	ck_assert_int_eq(ctl("cron", "list"), 0);
	ck_assert_ptr_nonnull(strstr(
		json_object_get_string(json_at(answer, "jobs.1.problem")),
		"five fields are needed"));
}
END_TEST

/* ---- programs ---- */

static int trigger(const char *job, const char *headers)
{
	char target[80];

	snprintf(target, sizeof(target), "/cron/run/%s", job);
	ck_assert(client_request(c, "POST", target, headers, "", 0, &r));
	return r.status;
}

START_TEST(the_trigger_wants_its_secret)
{
	static const char *const bad[] = {
		"",
		BEARER "\r\n",
		BEARER "0123456789abcdef0123456789abcdee\r\n",
		BEARER "0123456789abcdef0123456789abcde\r\n",
		BEARER TOKEN "0\r\n",
		BEARER ADMIN "\r\n",
		"Authorization: Basic " TOKEN "\r\n",
		"X-API-Key: " TOKEN "\r\n",
		BEARER TOKEN "\r\nX-API-Key: " TOKEN "\r\n",
	};

	up(ONE, ADMINS, "cron.token=" TOKEN, "limits.address_count=1000");
	led();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(trigger(JOB, bad[i]) == 401, "%s: %d", bad[i],
			      r.status);
		want_error(401, "unauthorized");
		ck_assert_str_eq(header_of(&r, "WWW-Authenticate"), "Bearer");
	}
	ck_assert_int_eq(trigger("nothing", BEARER TOKEN "\r\n"), 404);
	ck_assert_int_eq(trigger(JOB, BEARER TOKEN "\r\n"), 202);
	ck_assert_str_eq(json_str(&r, "job"), JOB);
	WAIT_UNTIL(count(JOB, "done") == 1);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT asked_by FROM tallyd.cron_runs WHERE "
				 "job = '" JOB "'"),
			 "cron.token");
	ck_assert_int_eq(ctl("config", "dump"), 0);
	ck_assert_ptr_null(strstr(json_object_to_json_string(answer), TOKEN));
}
END_TEST

START_TEST(without_a_secret_the_trigger_is_closed)
{
	up(ONE, "limits.address_count=3");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(trigger(JOB, BEARER "\r\n"), 401);
	/* guessing has its price */
	ck_assert_int_eq(trigger(JOB, BEARER TOKEN "\r\n"), 429);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cron");
	TCase *tc = fixture_case(s, "cron");
	int code;

	tcase_add_test(tc, one_host_leads_and_the_other_takes_over);
	tcase_add_test(tc, a_lost_connection_is_a_lost_lead);
	tcase_add_test(tc, without_a_database_it_waits);
	tcase_add_test(tc, a_reload_hands_the_lead_on);
	tcase_add_test(tc, a_slot_of_a_killed_scheduler_does_not_run_again);
	tcase_add_test(tc, kills_double_no_run);
	tcase_add_test(tc, what_was_missed_is_made_up_for_once);
	tcase_add_test(tc, a_lock_that_is_held_elsewhere_holds_the_job_off);
	tcase_add_test(tc, housekeeping_keeps_what_is_young);
	tcase_add_test(tc, admins_list_change_and_run_jobs);
	tcase_add_test(tc, runs_are_asked_for_and_listed_in_pages);
	tcase_add_test(tc, the_command_changes_schedules);
	tcase_add_test(tc, the_trigger_wants_its_secret);
	tcase_add_test(tc, without_a_secret_the_trigger_is_closed);
	code = fixture_run(s);
	json_object_put(answer);
	return code;
}
