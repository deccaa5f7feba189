/*
 * Through a pooler in transaction mode, with fewer sessions than the daemon
 * has processes: all works, nothing stays behind in its sessions, and its
 * death loses and doubles nothing.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "hooks.h"
#include "lib/bouncer.h"
#include "lib/crowd.h"

#define db     d->conninfo
#define EMAIL  "a@test"
#define ROUNDS 3
#define TASKS  8 /* a round */
/* Of the flusher, the scheduler and two runners. */
#define DIRECT_SESSIONS 4

static char *via; /* d's database, through the pooler */

static void set_way(struct daemon *of, const char *setting, const char *value)
{
	char *text = tl_asprintf("%s=%s", setting, value);

	daemon_set(of, text);
	tl_free(text);
}

/* Prepares d, whose database.url leads through the pooler. */
static void pooled(void)
{
	char ports[64];

	rec = receiver_start();
	snprintf(ports, sizeof(ports), "egress.allowed_ports=%u", rec->port);
	prepare(FREE_RATE, "runner.count=2", "runner.selftest=yes",
		"egress.private_allow=127.0.0.0/8", "egress.allow_http=yes",
		/* so that a change is seen by LISTEN or not at all */
		"keys.refresh_seconds=3600", ports);
	bouncer_start(pg);
	via = bouncer_way(db);
	set_way(d, "database.url", via);
}

static void down(void)
{
	fixture_down();
	bouncer_kill9();
	tl_freep(&via);
}

/* ---- what works ---- */

static void verify(const char *key)
{
	char *body = tl_asprintf("{\"key\": \"%s\"}", key);

	client_call(c, "/api/verify", NULL, body, "", &r);
	want(200);
	ck_assert(json_true(&r, "valid"));
	tl_free(body);
}

static void keys_change_at_once(void)
{
	const char *key;

	make_key("b", 1000, "");
	key = key_of("b");
	ck_assert_int_eq(gate(key, "cost=1"), 200);
	sql_exec(db, "UPDATE api_keys SET status = 'revoked' WHERE user_id = "
		     "(SELECT user_id FROM users WHERE email = 'b@test')");
	WAIT_UNTIL(gate(key, "cost=0") == 401);
	ck_assert_int_eq(gate(key, "cost=0"), 401);
}

/* A key is made over the API; a webhook tells of it, by a task of tallyd. */
static void keys_and_webhooks(void)
{
	struct hook h = hook_make(KEY_PRO, "");
	char id[40], key[160];

	client_call(c, "/api/keys", KEY_PRO, "{\"label\": \"told\"}", "", &r);
	want(201);
	snprintf(id, sizeof(id), "%s", json_str(&r, "id"));
	snprintf(key, sizeof(key), "%s", json_str(&r, "key"));
	ck_assert_int_eq(gate(key, "cost=0"), 200);
	WAIT_UNTIL(receiver_got(rec, "key.created") == 1);
	ck_assert_uint_eq(receiver_got(rec, id), 1);
	WAIT_UNTIL(hook_deliveries(&h, "delivered") == 1);
	ck_assert_int_eq(hook_deliveries(&h, "delivered"), 1);
}

/* Sent by another program, which uses the pooler as well. */
static void tasks_of_others(void)
{
	sql_exec(via, "BEGIN; SELECT tallyd.enqueue('tallyd.selftest.work', "
		      "'{\"note\": true}'); COMMIT");
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task_selftest "
			       "WHERE ended_at IS NOT NULL") == 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM "
				     "tallyd.task_selftest"),
			 1);
}

static bool leads(const struct daemon *of)
{
	struct client *k = client_new(of->port);
	bool yes;

	client_get(k, "/metrics", NULL, &r);
	want(200);
	yes = strstr(r.body, "tallyd_cron_leading 1\n") != NULL;
	client_free(&k);
	return yes;
}

/* Who asked for the lead and did not get it. */
static int64_t followers(void)
{
	return sql_num(db,
		       "SELECT count(*) FROM pg_stat_activity a WHERE query = "
		       "'SELECT pg_try_advisory_lock(823401102000)' AND state "
		       "= 'idle' AND NOT EXISTS (SELECT FROM pg_locks l WHERE "
		       "l.pid = a.pid AND locktype = 'advisory')");
}

/* Another host asks for the lead: only with a lock of a session is it one. */
static void one_leads(void)
{
	struct daemon *two =
		daemon_new(NULL, DAEMON_SETTINGS("server.workers=1"));

	WAIT_UNTIL(leads(d));
	set_way(two, "database.url", via);
	set_way(two, "database.direct_url", db);
	daemon_spawn(two);
	ck_assert(daemon_wait_ready(two, 60000));
	WAIT_UNTIL(followers() == 1);
	ck_assert_int_eq(followers(), 1);
	ck_assert(leads(d));
	ck_assert(!leads(two));
	daemon_free(&two);
}

static void a_job_runs(void)
{
	ck_assert_int_eq(
		daemon_ctl(d, NULL,
			   (const char *const[]){ "cron", "run", "change_log",
						  NULL }),
		0);
	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.cron_runs WHERE "
			       "job = 'change_log' AND asked_by = 'tallyctl' "
			       "AND outcome = 'done'") == 1);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.cron_runs "
				     "WHERE asked_by = 'tallyctl' AND "
				     "outcome = 'done'"),
			 1);
}

/* Fewer sessions than it has clients, and none of our settings in them. */
static void sessions_are_few_and_clean(void)
{
	bouncer_expect_clean(via);
	ck_assert_int_le(sql_num(db, "SELECT count(*) FROM pg_stat_activity "
				     "WHERE datname = current_database() AND "
				     "application_name LIKE 'tallyd%%'"),
			 BOUNCER_SESSIONS + DIRECT_SESSIONS);
}

/* ---- what survives ---- */

static void knock(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	while (!crowd_stopped(w)) {
		client_get(own, "/api/gate?cost=1", arg, a);
		crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
			   a->status, 0);
		test_sleep_ms(2);
	}
	client_free(&own);
}

static void send_tasks(void)
{
	sql_exec(db,
		 "SELECT tallyd.enqueue('tallyd.selftest.work', "
		 "'{\"note\": true, \"sleep_ms\": 20}') FROM "
		 "generate_series(1, %d)",
		 TASKS);
}

static void kill_under_load(struct crowd *w)
{
	uint64_t seen = crowd_count(w, 200, 0);
	int64_t stored = db_credits(EMAIL);

	send_tasks();
	WAIT_UNTIL(crowd_count(w, 200, 0) > seen + 50);
	bouncer_kill9();
	seen = crowd_count(w, 200, 0);
	WAIT_UNTIL(crowd_count(w, 200, 0) > seen + 50);
	ck_assert_uint_gt(crowd_count(w, 200, 0), seen + 50);
	bouncer_start(pg);
	WAIT_UNTIL(db_credits(EMAIL) > stored);
	ck_assert_int_gt(db_credits(EMAIL), stored);
}

static void its_death_changes_no_sum(int64_t charged)
{
	char key[96];
	struct crowd *w;

	snprintf(key, sizeof(key), "%s", key_of("a"));
	sql_exec(db, "TRUNCATE tallyd.task_selftest");
	w = crowd_start(2, knock, key);
	for (int i = 0; i < ROUNDS; i++)
		kill_under_load(w);
	crowd_stop(w);
	charged += (int64_t)crowd_count(w, 200, 0);
	WAIT_UNTIL(db_credits(EMAIL) == charged);
	ck_assert_int_eq(db_credits(EMAIL), charged);
	crowd_free(&w);

	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task") == 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.task"), 0);
	ck_assert_int_eq(
		sql_num(db, "SELECT count(DISTINCT task_id) FROM "
			    "tallyd.task_selftest WHERE ended_at IS NOT NULL"),
		ROUNDS * TASKS);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM (SELECT FROM "
				     "tallyd.task_attempt WHERE outcome = "
				     "'completed' GROUP BY task_id HAVING "
				     "count(*) > 1) twice"),
			 0);
}

/* The pooler stays and holds its clients: they find out by their limits. */
static void without_a_server(void)
{
	int64_t stored;

	WAIT_UNTIL(sql_num(db, "SELECT count(*) FROM tallyd.task") == 0);
	stored = db_credits(EMAIL);
	pgtest_halt(pg);
	sql_close();
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(gate(key_of("a"), "cost=1"), 200);
	pgtest_resume(pg);
	WAIT_UNTIL(db_credits(EMAIL) == stored + 10);
	ck_assert_int_eq(db_credits(EMAIL), stored + 10);
	WAIT_UNTIL(leads(d));
	ck_assert(leads(d));
}

/* ---- the doctor ---- */

static const char *finding(struct json_object *doc, const char *name,
			   const char **level_r)
{
	struct json_object *list = json_at(doc, "findings");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *f = json_object_array_get_idx(list, i);

		*level_r = json_object_get_string(json_at(f, "level"));
		if (strcmp(json_object_get_string(json_at(f, "name")), name) ==
		    0)
			return json_object_get_string(json_at(f, "text"));
	}
	*level_r = "none";
	return "";
}

static void the_books_balance(void)
{
	struct json_object *doc = NULL;
	char *url = tl_asprintf("database.url=%s", via);
	char *direct = tl_asprintf("database.direct_url=%s", db);
	const char *level, *words;

	daemon_ctl(d, &doc,
		   (const char *const[]){ "-o", url, "-o", direct, "doctor",
					  NULL });
	ck_assert_ptr_nonnull(doc);
	words = finding(doc, "pooler", &level);
	ck_assert_str_eq(level, "ok");
	ck_assert_ptr_nonnull(strstr(words, "one stands before"));
	ck_assert_int_eq(
		json_object_get_int64(json_at(doc, "difference.credits")), 0);
	ck_assert_int_eq(
		json_object_get_int64(json_at(doc, "difference.requests")), 0);
	json_object_put(doc);
	tl_free(direct);
	tl_free(url);
}

START_TEST(everything_works_through_a_pooler)
{
	pooled();
	set_way(d, "database.direct_url", db);
	fixture_again();
	make_key("a", 1000000, "");
	ck_assert_int_eq(gate(key_of("a"), "cost=2"), 200);
	verify(key_of("a"));
	client_call(c, "/api/usage/record", key_of("a"), "{\"credits\": 5}", "",
		    &r);
	want(200);
	WAIT_UNTIL(db_credits(EMAIL) == 8);
	ck_assert_int_eq(db_credits(EMAIL), 8);

	keys_change_at_once();
	keys_and_webhooks();
	tasks_of_others();
	one_leads();
	a_job_runs();
	its_death_changes_no_sum(8);
	without_a_server();
	sessions_are_few_and_clean();
	the_books_balance();
}
END_TEST

/* ---- what cannot work ---- */

/* It ends by itself; its log has the words. */
static void expect_refusal(const char *words)
{
	int status = 0;
	char *log;

	daemon_spawn(d);
	waitpid(d->pid, &status, 0);
	d->pid = 0;
	ck_assert_int_ne(status, 0);
	log = daemon_story(d);
	ck_assert_msg(strstr(log, words) != NULL, "no '%s' in:\n%s", words,
		      log);
	tl_free(log);
}

START_TEST(without_a_direct_way_it_says_so)
{
	struct json_object *doc = NULL;
	char *other, *url;
	const char *level;

	pooled();
	expect_refusal("name the server itself in database.direct_url");
	url = tl_asprintf("database.url=%s", via);
	ck_assert_int_eq(
		daemon_ctl(d, &doc,
			   (const char *const[]){ "-o", url, "doctor", NULL }),
		1);
	ck_assert_ptr_nonnull(strstr(finding(doc, "database", &level),
				     "database.direct_url"));
	ck_assert_str_eq(level, "FAIL");
	json_object_put(doc);
	tl_free(url);

	/* the direct way leads elsewhere */
	other = daemon_database(pg);
	set_way(d, "database.direct_url", other);
	expect_refusal("it is another database than that of database.url");
	tl_free(other);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pooler");
	TCase *tc = tcase_create("pgbouncer");

	if (bouncer_program() == NULL) {
		puts("pgbouncer is not installed");
		return 77;
	}
	tcase_add_checked_fixture(tc, NULL, down);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, everything_works_through_a_pooler);
	tcase_add_test(tc, without_a_direct_way_it_says_so);
	return fixture_run(s);
}
