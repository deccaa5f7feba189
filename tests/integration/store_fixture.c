/*
 * store_fixture.c - server, database, pool.
 */
#include "config.h" /* _GNU_SOURCE */

#include "integration/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "lib/pgtest.h"
#include "loop/co.h"
#include "pg/migrate.h"
#include "pg/pg.h"

char *db;
struct pg *pg;
struct tl_arena arena;
struct tl_err err;

static struct pgtest *server;
static struct event_base *base;
static struct pg_pool *pool;

char *store_fixture_file(const char *path)
{
	const char *srcdir = getenv("srcdir");

	return tl_asprintf("%s/%s", srcdir != NULL ? srcdir : ".", path);
}

static char *conninfo_of(const char *name)
{
	return tl_asprintf("host=%s user=postgres dbname=%s",
			   pgtest_dir(server), name);
}

static char *make_db(const char *name)
{
	sql_exec(pgtest_conninfo(server), "CREATE DATABASE %s", name);
	sql_close();
	return conninfo_of(name);
}

char *store_fixture_empty_db(void)
{
	char *name = tl_asprintf("empty%ld", (long)getpid());
	char *conninfo = make_db(name);

	tl_free(name);
	return conninfo;
}

static bool make_store(void)
{
	char *conninfo = make_db("store");
	char *dir = store_fixture_file("db/migrations");
	enum tl_status st;
	uint32_t n;

	st = migrate_up(conninfo, dir, UINT32_MAX, &n, &err);
	if (st != TL_OK)
		fprintf(stderr, "migrate: %s\n", err.text);
	tl_free(dir);
	tl_free(conninfo);
	return st == TL_OK;
}

/* As after the migrations; a fresh database takes fifty times as long. */
static void clean(void)
{
	char *plans = store_fixture_file("db/migrations/0004_plans.up.sql");

	sql_exec(db, "DELETE FROM limits; DELETE FROM users; DELETE FROM plans;"
		     " DELETE FROM tallyd.flush_node;"
		     " DELETE FROM tallyd.usage_orphan;"
		     " DELETE FROM tallyd.idempotency_record;"
		     " UPDATE tallyd.instance SET changes_trimmed_xid = '0'");
	ck_ok(migrate_run_file(db, plans, &err));
	sql_exec(db, "DELETE FROM tallyd.change_log");
	tl_free(plans);
}

static void setup(void)
{
	struct pg_pool_opts opts = { .application_name = "store under test",
				     .size = 3,
				     .queue_max = 10,
				     .statement_timeout_ms = 30000 };

	db = conninfo_of("store");
	clean();

	log_set_level(LOG_LV_ERROR);
	tl_arena_init(&arena);
	base = event_base_new();
	ck_ok(co_init(base, 100, &err));
	opts.way.conninfo = db;
	pool = pg_pool_new(&opts);
	pg = pg_pool_pg(pool);
}

static void teardown(void)
{
	pg_pool_free(&pool);
	co_deinit();
	event_base_free(base);
	tl_arena_deinit(&arena);
	sql_close();
	tl_freep(&db);
}

struct job {
	void (*body)(int loop_i);
	int loop_i;
};

static void start(void *arg)
{
	const struct job *job = arg;

	job->body(job->loop_i);
}

void store_fixture_run(void (*body)(int loop_i), int loop_i)
{
	const struct timeval tick = { .tv_usec = 5000 };
	struct job job = { body, loop_i };

	ck_ok(co_spawn(start, &job, CO_NO_DEADLINE, &err));
	while (co_live() > 0) {
		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

struct tl_uuid user_id(unsigned n)
{
	return (struct tl_uuid){
		.b = { [0] = 0xb0, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n }
	};
}

struct tl_uuid key_id(unsigned n)
{
	return (struct tl_uuid){
		.b = { [0] = 0xc0, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n }
	};
}

struct tally_digest key_digest(unsigned n)
{
	struct tally_digest d;
	char text[32];
	int len = snprintf(text, sizeof(text), "key-%u", n);

	tally_sha256(text, (size_t)len, d.b);
	return d;
}

void store_fixture_key(unsigned n, unsigned user_n)
{
	struct tl_uuid key = key_id(n), user = user_id(user_n);
	struct tally_digest digest = key_digest(n);
	char key_text[TL_UUID_TEXT], user_text[TL_UUID_TEXT], hex[65];

	tl_uuid_format(&key, key_text);
	tl_uuid_format(&user, user_text);
	tl_hex(digest.b, sizeof(digest.b), hex);
	sql_exec(db,
		 "INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash)"
		 " VALUES ('%s', '%s', 'key-%u', '%s')",
		 key_text, user_text, n, hex);
}

void store_fixture_user(unsigned n)
{
	struct tl_uuid user = user_id(n);
	char text[TL_UUID_TEXT];

	tl_uuid_format(&user, text);
	sql_exec(db,
		 "INSERT INTO users (user_id, email, plan_id) SELECT '%s', "
		 "'user-%u@test', plan_id FROM plans WHERE name = 'Pro'",
		 text, n);
	store_fixture_key(n, n);
}

TCase *store_fixture_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

int store_fixture_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	bool good;

	server = pgtest_start();
	good = make_store();
	if (good) {
		srunner_run_all(sr, CK_ENV);
		good = srunner_ntests_failed(sr) == 0;
	}
	srunner_free(sr);
	pgtest_stop(&server);
	return good ? 0 : 1;
}
