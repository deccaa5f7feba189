#include "config.h" /* _GNU_SOURCE */

#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "lib/shapecheck.h"

struct pgtest *pg;
struct daemon *d;
struct client *c;
struct reply r;
const char *row_name = "here";

void fixture_prepare(const char *const *settings)
{
	pgtest_resume(pg); /* a test that stopped it may have ended */
	d = daemon_new(pg, settings);
	c = client_new(d->port);
	client_on_reply = shapecheck;
}

void fixture_up(const char *const *settings)
{
	fixture_prepare(settings);
	fixture_again();
}

void fixture_again(void)
{
	char *log;

	client_close(c);
	daemon_spawn(d);
	if (!daemon_wait_ready(d, 60000)) {
		log = daemon_story(d);
		ck_abort_msg("tallyd did not get ready:\n%s", log);
	}
}

/* What a sanitizer or an assertion said in any process of the daemon. */
static void expect_no_complaint(void)
{
	static const char *const words[] = { "ERROR: AddressSanitizer",
					     "ERROR: LeakSanitizer",
					     "runtime error:", "assertion" };
	const char *found;
	char *log;
	size_t i;

	daemon_stop(d, SIGTERM, 15000);
	log = daemon_log(d);
	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		found = strstr(log, words[i]);
		ck_assert_msg(found == NULL, "the daemon said:\n%.3000s",
			      found != NULL ? found : "");
	}
	tl_free(log);
}

void fixture_down(void)
{
	reply_deinit(&r);
	client_free(&c);
	if (d != NULL)
		expect_no_complaint();
	daemon_free(&d);
	sql_close();
}

const char *key_of(const char *name)
{
	static char texts[8][96];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "test_%s_0123456789", name);
	return text;
}

static void insert_key(const char *owner, const char *name, const char *columns)
{
	sql_exec(d->conninfo,
		 "INSERT INTO api_keys (user_id, key_prefix, key_hash) "
		 "SELECT user_id, 'test_%.12s', "
		 "encode(sha256('%s'::bytea), 'hex') "
		 "FROM users WHERE email = '%s@test'",
		 name, key_of(name), owner);
	if (*columns != '\0')
		sql_exec(d->conninfo,
			 "UPDATE api_keys SET %s WHERE key_hash = "
			 "encode(sha256('%s'::bytea), 'hex')",
			 columns, key_of(name));
}

void make_key(const char *name, long daily_limit, const char *columns)
{
	sql_exec(d->conninfo,
		 "WITH p AS (INSERT INTO plans (name, daily_credit_limit, "
		 "price_cents) VALUES ('Plan of %s', %ld, 0) RETURNING "
		 "plan_id) INSERT INTO users (email, name, plan_id) "
		 "SELECT '%s@test', 'Test', plan_id FROM p",
		 name, daily_limit, name);
	insert_key(name, name, columns);
}

void make_second_key(const char *name, const char *second)
{
	insert_key(name, second, "");
}

void call(const char *method, const char *target, const char *key,
	  const char *body)
{
	const char *more = "";
	char headers[512];

	if (body != NULL)
		more = "Content-Type: application/json\r\n";
	else if (method[0] == 'P')
		more = "Content-Length: 0\r\n"; /* or it is a 411 */
	(void)snprintf(headers, sizeof(headers),
		       "Authorization: Bearer %s\r\n%s", key, more);
	client_request(c, method, target, headers, body,
		       body != NULL ? strlen(body) : 0, &r);
}

int gate(const char *key, const char *query)
{
	char target[512];

	snprintf(target, sizeof(target), "/api/gate%s%s",
		 *query != '\0' ? "?" : "", query);
	client_get(c, target, key, &r);
	return r.status;
}

int64_t used_today(const char *key)
{
	struct reply *own = tl_alloc(sizeof(*own));
	int64_t used;

	client_get(c, "/api/usage/today", key, own);
	ck_assert_msg(own->status == 200, "usage/today: %d %s", own->status,
		      own->body != NULL ? own->body : "");
	used = json_num(own, "credits_used");
	reply_deinit(own);
	tl_free(own);
	return used;
}

static int64_t db_sum(const char *column, const char *email)
{
	return sql_num(d->conninfo,
		       "SELECT coalesce(sum(%s), 0) FROM daily_usage "
		       "JOIN users USING (user_id) WHERE '%s' IN ('', email) "
		       "AND date = (now() AT TIME ZONE 'UTC')::date",
		       column, email != NULL ? email : "");
}

int64_t db_credits(const char *email)
{
	return db_sum("credits_used", email);
}

int64_t db_requests(const char *email)
{
	return db_sum("request_count", email);
}

TCase *fixture_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, NULL, fixture_down);
	tcase_set_timeout(tc, 90);
	suite_add_tcase(s, tc);
	return tc;
}

int fixture_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	world_init();
	pg = pgtest_start();
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	pgtest_stop(&pg);
	world_deinit();
	return failed == 0 ? 0 : 1;
}
