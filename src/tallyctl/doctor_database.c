/*
 * doctor_database.c - the server as a client meets it, and its schema.
 */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/paths.h"
#include "pg/bulk.h"
#include "pg/migrate.h"
#include "pg/pg.h"
#include "store/q_instance.h"
#include "tallyctl/db.h"
#include "tallyctl/doctor.h"
#include "tallyctl/freeze.h"

#define VERSION_MIN   130000
#define CLOCK_WARN_US 500000LL
#define CLOCK_FAIL_US 30000000LL
/* Pools with the connection that cancels, and what listens or leads. */
#define FLUSHER_SESSIONS   4
#define SCHEDULER_SESSIONS 5
#define RUNNER_SESSIONS    4
#define DIRECT_SESSIONS    2 /* of the flusher, of the one that may lead */

enum {
	S_VERSION,
	S_NUMBER,
	S_CLOCK,
	S_MAX,
	S_OTHERS,
	S_STANDBY,
	S_READ_ONLY,
	S_ZONE,
	S_COMMIT,
	S_COLUMNS
};

static int64_t wall_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t number(struct tl_str s)
{
	int64_t n = 0;

	return tl_parse_i64(s, INT64_MIN, INT64_MAX, &n) ? n : 0;
}

static void say_version(struct doctor *d, const struct tl_str *v)
{
	bool standby = v[S_STANDBY].ptr[0] == 't';

	if (number(v[S_NUMBER]) < VERSION_MIN)
		doctor_say(d, DOCTOR_FAIL, "database",
			   "PostgreSQL %s; tallyd needs 13 or later",
			   v[S_VERSION].ptr);
	else if (standby || tl_str_eq(v[S_READ_ONLY], TL_STR("on")))
		doctor_say(d, DOCTOR_FAIL, "database",
			   "it cannot be written: %s; name the primary in "
			   "database.url",
			   standby ? "a standby" : "transactions only read");
	else if (tl_str_eq(v[S_COMMIT], TL_STR("off")))
		doctor_say(d, DOCTOR_WARN, "database",
			   "PostgreSQL %s with synchronous_commit = off: its "
			   "crash may lose usage that counts as delivered",
			   v[S_VERSION].ptr);
	else
		doctor_say(d, DOCTOR_OK, "database",
			   "reachable, PostgreSQL %s, TimeZone '%s' (tallyd's "
			   "sessions set UTC)",
			   v[S_VERSION].ptr, v[S_ZONE].ptr);
}

/* The server's reading lies between two of ours. */
static void say_clock(struct doctor *d, int64_t theirs_us, int64_t before_us,
		      int64_t after_us)
{
	int64_t off = theirs_us < before_us  ? theirs_us - before_us
		      : theirs_us > after_us ? theirs_us - after_us
					     : 0;
	int64_t far = off < 0 ? -off : off;

	doctor_say(d,
		   far >= CLOCK_FAIL_US   ? DOCTOR_FAIL
		   : far >= CLOCK_WARN_US ? DOCTOR_WARN
					  : DOCTOR_OK,
		   "clock", "the server's is %" PRId64 " ms %s%s", far / 1000,
		   off < 0 ? "behind" : "ahead",
		   far >= CLOCK_WARN_US
			   ? "; days would end at different times: run NTP on "
			     "both"
			   : "");
}

struct look {
	struct tl_uuid database_id;
	bool pooled;
};

static enum tl_status look(struct pg *pg, void *arg, struct tl_err *err)
{
	struct look *l = arg;
	struct q_instance_get_row row;
	struct tl_arena a;
	enum tl_status st;

	tl_arena_init(&a);
	st = q_instance_get(pg, &a, &row, err);
	if (st == TL_OK)
		l->database_id = row.database_id;
	l->pooled = pg_pooled(pg);
	tl_arena_deinit(&a);
	return st;
}

static void say_ways(struct doctor *d, const struct look *url,
		     const struct look *direct)
{
	if (memcmp(&url->database_id, &direct->database_id,
		   sizeof(url->database_id)) != 0)
		doctor_say(d, DOCTOR_FAIL, "pooler",
			   "database.direct_url leads to another database than "
			   "database.url; changes of keys would not be heard");
	else if (!url->pooled)
		doctor_say(d, DOCTOR_OK, "pooler",
			   "none stands before the database; "
			   "database.direct_url may go");
	else if (d->t->conf->database.prepared == CONF_PREPARED_ALWAYS)
		doctor_say(d, DOCTOR_WARN, "pooler",
			   "one stands before the database, and "
			   "database.prepared = always needs one that keeps "
			   "prepared statements; else set auto");
	else
		doctor_say(d, DOCTOR_OK, "pooler",
			   "one stands before the database; what needs a "
			   "session goes by database.direct_url");
}

/* Both ways, where there are two.  True: most sessions are a pooler's. */
static bool check_ways(struct doctor *d)
{
	const struct conf *conf = d->t->conf;
	const struct pg_way way = pg_way(conf, conf->database.url);
	const struct pg_way past = pg_way_direct(&way);
	struct look url = { .pooled = false }, direct = url;
	struct tl_err err;

	if (way.direct == NULL)
		return false;
	if (db_look(&way, look, &url, &err) != TL_OK)
		doctor_say(d, DOCTOR_FAIL, "pooler", "database.url: %s",
			   err.text);
	else if (db_look(&past, look, &direct, &err) != TL_OK)
		doctor_say(d, DOCTOR_FAIL, "pooler", "database.direct_url: %s",
			   err.text);
	else
		say_ways(d, &url, &direct);
	return url.pooled;
}

static void say_sessions(struct doctor *d, const struct tl_str *v, bool pooled)
{
	const struct conf *conf = d->t->conf;
	int64_t runners = conf->runner.count;
	int64_t pools = conf->server.workers + runners; /* a runner's tasks' */
	int64_t need = pooled ? DIRECT_SESSIONS + runners
			      : pools * (conf->database.pool_size + 1) +
					runners * RUNNER_SESSIONS +
					FLUSHER_SESSIONS + SCHEDULER_SESSIONS;
	int64_t have = number(v[S_MAX]), others = number(v[S_OTHERS]);

	doctor_say(d,
		   need > have                ? DOCTOR_FAIL
		   : 2 * need + others > have ? DOCTOR_WARN
					      : DOCTOR_OK,
		   "connections",
		   "max_connections allows %" PRId64 ", tallyd takes up to "
		   "%" PRId64 "%s, twice that during a reload, others have "
		   "%" PRId64 "%s",
		   have, need, pooled ? " past the pooler" : "", others,
		   2 * need + others > have
			   ? "; raise max_connections or lower "
			     "database.pool_size"
			   : "");
}

static void say_schema(struct doctor *d, const char *url)
{
	const char *dir =
		tl_arena_printf(d->t->arena, "%s/migrations", tl_datadir());
	struct migrate_list list = { 0 };
	uint32_t applied = 0, changed = 0;
	struct tl_err err;

	if (migrate_status(url, dir, &list, &err) != TL_OK) {
		doctor_say(d, DOCTOR_FAIL, "schema", "%s", err.text);
		return;
	}
	for (uint32_t i = 0; i < list.n; i++) {
		applied += list.steps[i].applied;
		changed += list.steps[i].changed;
	}
	if (changed > 0)
		doctor_say(d, DOCTOR_FAIL, "schema",
			   "%" PRIu32 " migrations differ from the files in "
			   "'%s'; install the release that made the schema, "
			   "or a later one",
			   changed, dir);
	else if (applied < list.n)
		doctor_say(d, DOCTOR_FAIL, "schema",
			   "%" PRIu32 " of %" PRIu32 " migrations are applied; "
			   "'tallyctl migrate up'",
			   applied, list.n);
	else
		doctor_say(d, DOCTOR_OK, "schema",
			   "all %" PRIu32 " migrations of this release",
			   list.n);
	migrate_list_deinit(&list);
}

static void say_demo(struct doctor *d, struct bulk *b)
{
	struct bulk_rows rows;
	struct tl_err err;

	if (!d->open_doors || d->t->conf->database.seed_demo)
		return; /* harmless, or said already */
	if (freeze_file(d->t, b, "doctor", "demo", &rows, &err) == TL_OK &&
	    rows.n == 1 && number(rows.values[0]) > 0)
		doctor_say(d, DOCTOR_FAIL, "demo keys",
			   "%s of them, which everybody knows, work; "
			   "'tallyctl user suspend' their owners",
			   rows.values[0].ptr);
}

bool doctor_database(struct doctor *d, const char *url)
{
	struct bulk *b = NULL;
	int64_t before_us, after_us;
	struct bulk_rows rows;
	enum tl_status st;
	struct tl_err err;
	bool pooled;

	st = bulk_open(url, &b, &err);
	before_us = wall_now_us();
	if (st == TL_OK)
		st = freeze_file(d->t, b, "doctor", "server", &rows, &err);
	after_us = wall_now_us();
	if (st == TL_OK && (rows.n != 1 || rows.n_columns != S_COLUMNS))
		st = tl_err_set(&err, TL_BROKEN, "its answer is wrong");
	if (st != TL_OK) {
		d->database_away = st == TL_UNAVAILABLE;
		doctor_say(d, DOCTOR_FAIL, "database", "%s%s",
			   st == TL_UNAVAILABLE ? "not available: " : "",
			   err.text);
		bulk_close(&b);
		return false;
	}
	say_version(d, rows.values);
	say_clock(d, number(rows.values[S_CLOCK]), before_us, after_us);
	pooled = check_ways(d);
	say_sessions(d, rows.values, pooled);
	say_schema(d, url);
	say_demo(d, b);
	bulk_close(&b);
	return true;
}
