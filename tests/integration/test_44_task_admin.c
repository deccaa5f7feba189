/*
 * Tasks and queues as operators see and change them, over the API and with
 * tallyctl.  No runner: what stands in the tables is what the test put there.
 */
#include "config.h"

#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include "admin_calls.h"
#include "lib/ctl.h"

#define db     d->conninfo
#define TASKS  "/api/admin/tasks"
#define REPLAY "/api/admin/dead-tasks/replay"
#define TOKEN  "0123456789abcdef0123456789abcdef"

static void begin(void)
{
	up(ADMINS, FREE_RATE, "cron.token=" TOKEN, "runner.count=0");
}

static void down(void)
{
	ctl_forget();
	fixture_down();
}

/* ---- what there is ---- */

/* Tasks first to last of a state, in queue 'mail' or 'other' by turns. */
static void put_open(int first, int last, int state, const char *name)
{
	sql_exec(db,
		 "INSERT INTO tallyd.task (task_id, state, name, queue,"
		 " payload, retry_limit, retry_delay_ms, retry_backoff,"
		 " timeout_ms)"
		 " SELECT g, %d, '%s', (ARRAY['mail', 'other'])[g %% 2 + 1],"
		 " '{\"n\": 1}', 3, 5000, true, 1000"
		 "  FROM generate_series(%d, %d) g",
		 state, name, first, last);
}

static void put_dead(int first, int last, const char *outcome, const char *name,
		     const char *key, int hours_ago)
{
	sql_exec(db,
		 "SELECT tallyd.week_ensure('task_dead', ((now() -"
		 " %d * INTERVAL '1 hour') AT TIME ZONE 'UTC')::date)",
		 hours_ago);
	sql_exec(db,
		 "INSERT INTO tallyd.task_dead (task_id, outcome, attempts,"
		 " name, queue, tenant, payload, priority, retry_limit,"
		 " retry_delay_ms, retry_backoff, timeout_ms, singleton_key,"
		 " created_at, ended_at, error)"
		 " SELECT g, '%s', 4, '%s', 'mail', 't', '{\"n\": 2}', 7, 3,"
		 " 5000, true, 1000, %s, now(), now() - %d * INTERVAL '1 hour',"
		 " 'it broke' FROM generate_series(%d, %d) g",
		 outcome, name, key, hours_ago, first, last);
}

static int64_t open_tasks(void)
{
	return sql_num(db, "SELECT count(*) FROM tallyd.task");
}

static int64_t dead_tasks(void)
{
	return sql_num(db, "SELECT count(*) FROM tallyd.task_dead");
}

/* "actor action target details" of the newest entry. */
static const char *audited(void)
{
	return sql_str(db, "SELECT concat_ws(' ', actor, action, target,"
			   " nullif(details, ''))"
			   "  FROM audit_log ORDER BY id DESC LIMIT 1");
}

static int64_t id_at(unsigned i)
{
	char path_[16];

	snprintf(path_, sizeof(path_), "%u.id", i);
	return json_num(&r, path_);
}

/* ---- looking ---- */

START_TEST(tasks_are_listed_by_state_queue_and_name)
{
	static const struct {
		const char *query;
		size_t n;
		int64_t first;
	} rows_[] = {
		{ "", 20, 20 },
		{ "?state=ready", 10, 10 },
		{ "?state=delayed", 5, 15 },
		{ "?state=active", 2, 17 },
		{ "?state=parked", 3, 20 },
		{ "?state=ready&queue=mail", 5, 10 },
		{ "?queue=nobodys", 0, 0 },
		{ "?name=b", 10, 20 },
		{ "?state=dead", 4, 34 },
		{ "?state=cancelled", 1, 34 },
		{ "?state=failed&name=d", 3, 33 },
		{ "?state=lost", 0, 0 },
	};

	begin();
	put_open(1, 10, 0, "a");
	put_open(11, 15, 1, "b");
	put_open(16, 17, 2, "b");
	put_open(18, 20, 3, "b");
	put_dead(31, 33, "failed", "d", "NULL", 1);
	put_dead(34, 34, "cancelled", "d", "NULL", 1);

	EACH_ROW(rows_, row)
	{
		row_name = row->query;
		get(path(TASKS "%s", row->query));
		ck_assert_msg(rows() == row->n, "%s: %zu", row->query, rows());
		if (row->n > 0)
			ck_assert_int_eq(id_at(0), row->first);
	}
	get(TASKS "?state=dead&limit=1");
	ck_assert_pstr_eq(json_str(&r, "0.state"), "cancelled");
	ck_assert_pstr_eq(json_str(&r, "0.error"), "it broke");
	ck_assert_int_eq(json_num(&r, "0.priority"), 7);
	ck_assert_int_eq(json_num(&r, "0.attempt"), 4);

	ck_assert_int_eq(ctl("task", "list", "--state", "parked"), 0);
	ck_assert_uint_eq(items("tasks"), 3);
	ck_assert_int_eq(ctl("task", "list", "--dead", "--name", "d"), 0);
	ck_assert_uint_eq(items("tasks"), 4);
	ck_assert_int_eq(ctl("task", "list", "--state", "odd"), 2);
	ck_assert_int_eq(ctl("task", "list", "--state", "lost", "--dead"), 2);
}
END_TEST

START_TEST(lists_go_on_behind_the_last_row_and_know_what_a_client_has)
{
	char next[400], etag[100];
	int64_t want_ = 20;

	begin();
	put_open(1, 20, 0, "a");

	get(TASKS "?limit=6&state=ready");
	while (true) {
		size_t n = rows();

		for (unsigned i = 0; i < n; i++)
			ck_assert_int_eq(id_at(i), want_--);
		put_open((int)(100 + want_), (int)(100 + want_), 0, "new");
		if (!next_page(next))
			break;
		get(next);
	}
	ck_assert_int_eq(want_, 0);

	for (unsigned i = 0; i < 2; i++) {
		const char *of = i == 0 ? TASKS : "/api/admin/queues";
		char headers[300];

		get(of);
		ck_assert_uint_gt(rows(), 0);
		snprintf(etag, sizeof(etag), "%s", header_of(&r, "ETag"));
		snprintf(headers, sizeof(headers),
			 "Authorization: Bearer " ADMIN "\r\n"
			 "If-None-Match: %s\r\n",
			 etag);
		client_request(c, "GET", of, headers, NULL, 0, &r);
		want(304);
		sql_exec(db, "DELETE FROM tallyd.task WHERE task_id = 1");
		client_request(c, "GET", of, headers, NULL, 0, &r);
		want(i == 0 ? 200 : 304);
	}
	sql_exec(db, "DELETE FROM tallyd.task WHERE task_id = 2");
	get("/api/admin/queues");
	ck_assert_pstr_ne(header_of(&r, "ETag"), etag);
}
END_TEST

START_TEST(a_task_is_shown_with_its_attempts_whatever_became_of_it)
{
	begin();
	put_open(1, 1, 1, "a");
	put_dead(2, 2, "failed", "d", "'k'", 0);
	sql_exec(db, "INSERT INTO tallyd.task_attempt (task_id, attempt,"
		     " outcome, name, queue, tenant, created_at, started_at,"
		     " ended_at, owner_epoch, owner_spawn, error)"
		     " VALUES (2, 1, 'lost', 'd', 'mail', 't', now(), NULL,"
		     " now(), 1, 1, 'its runner died'),"
		     " (3, 1, 'failed', 'e', 'mail', '', now(), now(), now(),"
		     " 1, 1, 'no'),"
		     " (3, 2, 'completed', 'e', 'mail', '', now(), now(),"
		     " now(), 1, 1, NULL)");

	get(TASKS "/1");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "state"), "delayed");
	ck_assert_int_eq(json_num(&r, "payload.n"), 1);
	ck_assert_int_eq(json_num(&r, "timeout_ms"), 1000);
	get(TASKS "/2");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "state"), "failed");
	ck_assert_pstr_eq(json_str(&r, "singleton_key"), "k");
	ck_assert_int_eq(json_num(&r, "payload.n"), 2);
	ck_assert_pstr_eq(json_str(&r, "attempts.0.outcome"), "lost");
	get(TASKS "/3");
	want(200);
	ck_assert_pstr_eq(json_str(&r, "state"), "completed");
	ck_assert_pstr_eq(json_str(&r, "name"), "e");
	ck_assert_int_eq(json_num(&r, "attempt"), 2);
	ck_assert_pstr_eq(json_str(&r, "attempts.0.error"), "no");
	get(TASKS "/4");
	want_error(404, "not_found");
	get(TASKS "/0");
	want_error(400, "bad_request");
	get(TASKS "/9223372036854775808");
	want_error(400, "bad_request");

	ck_assert_int_eq(ctl("task", "show", "3"), 0);
	ck_assert_str_eq(text("state"), "completed");
	ck_assert_uint_eq(items("attempts"), 2);
	ck_assert_int_eq(ctl("task", "show", "4"), 4);
}
END_TEST

/* ---- changing ---- */

START_TEST(changes_are_made_and_audited)
{
	begin();
	put_open(1, 2, 0, "a");
	put_open(3, 3, 2, "a");
	put_dead(4, 6, "failed", "d", "NULL", 0);
	put_dead(7, 8, "failed", "d", "'k'", 0);

	admin_send("POST", TASKS "/1/cancel", NULL);
	want(202);
	ck_assert_pstr_eq(json_str(&r, "outcome"), "cancelled");
	ck_assert_str_eq(audited(), "team@codexible.me task.cancel 1");
	admin_send("POST", TASKS "/3/cancel", NULL);
	want(202);
	ck_assert_pstr_eq(json_str(&r, "outcome"), "cancelling");
	admin_send("POST", TASKS "/99/cancel", NULL);
	want_error(404, "not_found");

	admin_send("POST", TASKS "/4/retry", "{}");
	want(202);
	ck_assert_pstr_eq(json_str(&r, "outcome"), "sent");
	ck_assert_str_eq(audited(), "team@codexible.me task.retry 4");
	admin_send("POST", TASKS "/5/retry", "{\"payload\": {\"n\": 9}}");
	want(202);
	ck_assert_str_eq(audited(),
			 "team@codexible.me task.retry 5 new payload");
	ck_assert_str_eq(sql_str(db, "SELECT string_agg(payload::text || state"
				     " || failures || attempt, ' '"
				     " ORDER BY task_id)"
				     "  FROM tallyd.task"
				     " WHERE task_id IN (4, 5)"),
			 "{\"n\": 2}004 {\"n\": 9}004");
	admin_send("POST", TASKS "/6/retry", "{\"payload\": [1]}");
	want_error(400, "bad_request");
	admin_send("POST", TASKS "/6/retry",
		   "{\"payload\": {\"n\": \"\\u0000\"}}");
	want_error(400, "bad_request");
	admin_send("POST", TASKS "/2/retry", "{}");
	want(202);
	ck_assert_pstr_eq(json_str(&r, "outcome"), "due");
	admin_send("POST", TASKS "/3/retry", "{}");
	want_error(409, "conflict");
	admin_send("POST", TASKS "/7/retry", "{}");
	want(202);
	admin_send("POST", TASKS "/8/retry", "{}"); /* 7 has its key */
	want_error(409, "conflict");
	admin_send("POST", TASKS "/99/retry", "{}");
	want_error(404, "not_found");
	ck_assert_int_eq(dead_tasks(), 3); /* 1, 6, 8 */
}
END_TEST

START_TEST(queues_are_held_and_let_go)
{
	begin();
	put_open(1, 3, 0, "a");
	put_dead(4, 5, "lost", "d", "NULL", 0);
	sql_exec(db, "UPDATE tallyd.task SET run_at = now() - INTERVAL '1 h'");

	admin_send("POST", "/api/admin/queues/mail/pause", NULL);
	want(200);
	ck_assert_pstr_eq(json_str(&r, "queue"), "mail");
	ck_assert_ptr_nonnull(json_str(&r, "paused_at"));
	ck_assert_str_eq(audited(), "team@codexible.me queue.pause mail");
	admin_send("POST", "/api/admin/queues/not%20one/pause", NULL);
	want_error(400, "bad_request");

	get("/api/admin/queues?x=1");
	ck_assert_uint_ge(rows(), 2);
	for (unsigned i = 0; i < rows(); i++)
		if (strcmp(json_str(&r, path("%u.queue", i)), "mail") == 0) {
			ck_assert_int_eq(json_num(&r, path("%u.ready", i)), 1);
			ck_assert_int_eq(json_num(&r, path("%u.dead", i)), 2);
			ck_assert_ptr_nonnull(
				json_str(&r, path("%u.oldest_at", i)));
		}
	ck_assert_int_eq(ctl("queue", "resume", "mail"), 0);
	ck_assert_ptr_null(json_at(answer, "queues.0.paused_at"));
	ck_assert_int_eq(number("queues.0.dead"), 2);
	ck_assert_str_eq(audited(), "tallyctl queue.resume mail");
}
END_TEST

/* ---- dead letters by the many ---- */

START_TEST(dead_letters_are_sent_again_in_batches)
{
	begin();
	put_dead(1, 1100, "failed", "d", "NULL", 0);
	put_dead(1101, 1103, "expired", "e", "'same'", 0);
	put_dead(1201, 1210, "cancelled", "d", "NULL", 0);
	put_dead(1301, 1305, "lost", "d", "NULL", 30);

	admin_send("POST", REPLAY, "{}");
	want_error(400, "bad_request");
	admin_send("POST", REPLAY, "{\"name\": \"d\", \"state\": \"odd\"}");
	want_error(400, "bad_request");
	ck_assert_int_eq(dead_tasks(), 1118);

	/* the bound holds, the oldest go first */
	admin_send("POST", REPLAY, "{\"name\": \"d\", \"max\": 600}");
	want(202);
	ck_assert_int_eq(json_num(&r, "replayed"), 600);
	ck_assert(json_true(&r, "more"));
	ck_assert_int_eq(sql_num(db, "SELECT max(task_id) FROM tallyd.task"),
			 600);
	ck_assert_int_eq(sql_num(db, "SELECT sum(substr(details, 1,"
				     " position(' ' IN details))::int)"
				     "  FROM audit_log WHERE actor ="
				     " 'team@codexible.me'"
				     "   AND action = 'task.replay'"),
			 600);

	/* one of those that share a key goes; none that was cancelled, none
	 * of before */
	admin_send("POST", REPLAY,
		   path("{\"queue\": \"mail\", \"since\": \"%s\"}",
			sql_str(db, "SELECT to_char(now() AT TIME ZONE 'UTC'"
				    " - INTERVAL '1 day',"
				    " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")));
	want(202);
	ck_assert_int_eq(json_num(&r, "replayed"), 501);
	ck_assert_int_eq(json_num(&r, "suppressed"), 2);
	ck_assert(!json_true(&r, "more"));
	ck_assert_int_eq(open_tasks(), 1101);
	ck_assert_int_eq(dead_tasks(), 17);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task"
				     " WHERE state = 0 AND attempt = 4"
				     "   AND rank = -7 AND failures = 0"),
			 1101);

	ck_assert_int_eq(ctl("task", "replay"), 2);
	ck_assert_int_eq(ctl("task", "replay", "--queue", "mail", "--state",
			     "cancelled", "--max", "4"),
			 0);
	ck_assert_int_eq(number("replayed"), 4);
	ck_assert_int_eq(dead_tasks(), 13);
	ck_assert_int_eq(ctl("task", "replay", "--name", "d", "--max", "0"), 2);
	ck_assert_int_eq(ctl("task", "replay", "--since", "noon"), 2);
}
END_TEST

/* Two who send the same ones again at a time: each of them once. */
START_TEST(two_replays_at_a_time_send_each_once)
{
	PGconn *other;

	begin();
	put_dead(1, 10, "failed", "d", "NULL", 0);
	other = PQconnectdb(d->conninfo);
	PQclear(PQexec(other, "BEGIN"));
	PQclear(PQexec(other, "SELECT tallyd.task_retry(3)"));

	admin_send("POST", REPLAY, "{\"name\": \"d\"}");
	want(202);
	ck_assert_int_eq(json_num(&r, "replayed"), 9);
	PQclear(PQexec(other, "COMMIT"));
	PQfinish(other);

	ck_assert_int_eq(open_tasks(), 10);
	ck_assert_int_eq(dead_tasks(), 0);
}
END_TEST

/* ---- what is kept ---- */

static bool has_week(const char *table)
{
	return sql_num(db,
		       "SELECT count(*) FROM pg_class WHERE relname = '%s_'"
		       " || to_char(date_trunc('week', (now() AT TIME ZONE"
		       " 'UTC') - INTERVAL '400 days'), 'YYYYMMDD')",
		       table) > 0;
}

START_TEST(nothing_is_forgotten_where_nothing_is_to_be)
{
	static const char *const tables[] = { "task_attempt", "task_dead",
					      "event" };

	up(ADMINS, "runner.count=1", "runner.attempts_retention_days=0",
	   "runner.dead_retention_days=0", "runner.events_retention_days=1");
	for (size_t i = 0; i < 3; i++) {
		sql_exec(db,
			 "SELECT tallyd.week_ensure('%s', ((now() AT TIME ZONE"
			 " 'UTC') - INTERVAL '400 days')::date)",
			 tables[i]);
		ck_assert(has_week(tables[i]));
	}
	sql_exec(db, "SELECT tallyd.week_ensure('event', '2024-01-01')");

	daemon_hup(d); /* runners look when they start; events come last */
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM pg_class WHERE relname ="
			       " 'event_20240101'") == 0);

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM pg_class WHERE"
				     " relname = 'event_20240101'"),
			 0);
	ck_assert(has_week("task_attempt"));
	ck_assert(has_week("task_dead"));
}
END_TEST

/* ---- programs with cron.token ---- */

static void cron_call(const char *method, const char *target)
{
	client_request(c, method, target, "Authorization: Bearer " TOKEN "\r\n",
		       "", 0, &r);
}

static void cron_get(const char *target)
{
	cron_call("GET", target);
}

START_TEST(programs_are_told_how_tasks_do)
{
	begin();
	cron_get("/cron/task-stats");
	want(200);
	ck_assert_int_eq(json_num(&r, "total"), 0);
	ck_assert_pstr_eq(json_str(&r, "successRate"), "N/A");

	put_open(1, 5, 0, "a");
	put_open(6, 7, 2, "a");
	sql_exec(db, "SELECT tallyd.week_ensure('task_attempt', ((now() -"
		     " g * INTERVAL '5 h') AT TIME ZONE 'UTC')::date)"
		     "  FROM generate_series(1, 6) g");
	sql_exec(db, "INSERT INTO tallyd.task_attempt (task_id, attempt,"
		     " outcome, name, queue, tenant, created_at, started_at,"
		     " ended_at, owner_epoch, owner_spawn, error)"
		     " SELECT g, 1, (ARRAY['completed', 'completed', 'failed',"
		     " 'cancelled', 'lost', 'expired'])[g], 'n' || g %% 2, 'q',"
		     " '', now(), now(), now() - g * INTERVAL '5 h', 1, 1, 'e'"
		     "  FROM generate_series(1, 6) g");

	cron_get("/cron/task-stats"); /* the sixth is of 30 hours ago */
	want(200);
	ck_assert_int_eq(json_num(&r, "total"), 11);
	ck_assert_int_eq(json_num(&r, "pending"), 5);
	ck_assert_int_eq(json_num(&r, "active"), 2);
	ck_assert_int_eq(json_num(&r, "completed"), 2);
	ck_assert_int_eq(json_num(&r, "failed"), 1);
	ck_assert_int_eq(json_num(&r, "cancelled"), 1);
	ck_assert_pstr_eq(json_str(&r, "successRate"), "66.66%");

	cron_get("/cron/failed-tasks");
	ck_assert_uint_eq(rows(), 1);
	ck_assert_int_eq(json_num(&r, "0.taskId"), 3);
	ck_assert_pstr_eq(json_str(&r, "0.status"), "failed");
	cron_get("/cron/failed-tasks?hours=48");
	ck_assert_uint_eq(rows(), 3);
	ck_assert_int_eq(json_num(&r, "0.taskId"), 3);
	cron_get("/cron/failed-tasks?hours=48&taskName=n0");
	ck_assert_uint_eq(rows(), 1);
	ck_assert_int_eq(json_num(&r, "0.taskId"), 6);
	cron_get("/cron/failed-tasks?hours=48&limit=2");
	ck_assert_uint_eq(rows(), 2);
	cron_get("/cron/failed-tasks?hours=721");
	want_error(400, "bad_request");
	client_get(c, "/cron/task-stats", ADMIN, &r);
	want_error(401, "unauthorized");
}
END_TEST

static void hurry(int processed)
{
	cron_call("POST", "/cron/process-webhook-calls");
	want(200);
	ck_assert_int_eq(json_num(&r, "processed"), processed);
}

START_TEST(programs_make_webhook_calls_due)
{
	PGconn *ear;
	PGnotify *note;

	begin();
	hurry(0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM audit_log"
				     " WHERE action = 'webhook.hurry'"),
			 0);
	put_open(1, 520, 1, "webhook.deliver");
	put_open(521, 521, 1, "other");
	put_open(522, 522, 2, "webhook.deliver");
	sql_exec(db, "UPDATE tallyd.task SET run_at = now() + task_id *"
		     " INTERVAL '1 min'");
	ear = PQconnectdb(db);
	PQclear(PQexec(ear, "LISTEN tallyd_task"));

	hurry(500);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task WHERE"
				     " state = 0 AND run_at <= now()"
				     " AND task_id <= 500"),
			 500);
	PQclear(PQexec(ear, "SELECT 1"));
	note = PQnotifies(ear);
	ck_assert_ptr_nonnull(note);
	PQfreemem(note);
	PQfinish(ear);
	hurry(20);
	hurry(0);

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task WHERE"
				     " run_at > now()"),
			 2);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM audit_log WHERE"
				     " actor = 'cron.token' AND action ="
				     " 'webhook.hurry' AND details IN"
				     " ('500 tasks', '20 tasks')"),
			 2);
	client_request(c, "POST", "/cron/process-webhook-calls",
		       "Authorization: Bearer " ADMIN "\r\n", "", 0, &r);
	want_error(401, "unauthorized");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("task admin");
	TCase *tc = tcase_create("task admin");

	tcase_add_checked_fixture(tc, NULL, down);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, tasks_are_listed_by_state_queue_and_name);
	tcase_add_test(
		tc, lists_go_on_behind_the_last_row_and_know_what_a_client_has);
	tcase_add_test(tc,
		       a_task_is_shown_with_its_attempts_whatever_became_of_it);
	tcase_add_test(tc, changes_are_made_and_audited);
	tcase_add_test(tc, queues_are_held_and_let_go);
	tcase_add_test(tc, dead_letters_are_sent_again_in_batches);
	tcase_add_test(tc, two_replays_at_a_time_send_each_once);
	tcase_add_test(tc, nothing_is_forgotten_where_nothing_is_to_be);
	tcase_add_test(tc, programs_are_told_how_tasks_do);
	tcase_add_test(tc, programs_make_webhook_calls_due);
	return fixture_run(s);
}
