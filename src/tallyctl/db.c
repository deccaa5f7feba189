#include "tallyctl/db.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop/co.h"
#include "pg/pg.h"

#define DB_LIMIT_MS       8000     /* of one command, connecting included */
#define LONG_LIMIT_MS     86400000 /* a person may be typing the input */
#define LONG_STATEMENT_MS 600000
#define CONNECT_MS        3000
#define STEP_MS           10
#define ASK_MS            2000

/* What the daemon uses. */
static enum exit_status ask_url(struct tallyctl *t, const char *member,
				const char **url_r)
{
	const struct doc *result, *url;
	struct tl_err err;

	if (daemon_ask(t, "database", ASK_MS, &result, &err) != TL_OK)
		return complain(EXIT_NOT_RUNNING,
				"%s, and without it there is no embedded "
				"database; start tallyd or give "
				"-o database.url=...",
				err.text);
	url = doc_get(result, member);
	if (url == NULL || url->type != DOC_STR)
		return complain(EXIT_FAILED, "the daemon's answer has no url");
	*url_r = url->str.ptr;
	return EXIT_OK;
}

static enum exit_status db_url(struct tallyctl *t, const char **url_r)
{
	if (t->conf->database.url[0] == '\0')
		return ask_url(t, "url", url_r);
	*url_r = t->conf->database.url;
	return EXIT_OK;
}

enum exit_status db_direct_url(struct tallyctl *t, const char **url_r)
{
	const struct pg_way way = pg_way(t->conf, t->conf->database.url);
	const struct pg_way direct = pg_way_direct(&way);

	if (t->conf->database.url[0] == '\0')
		return ask_url(t, "direct_url", url_r);
	*url_r = direct.conninfo;
	/* The blocking calls know the connection string only. */
	if (direct.hostaddr != NULL)
		setenv("PGHOSTADDR", direct.hostaddr, 1);
	return EXIT_OK;
}

struct run {
	struct pg_pool *pool;
	db_fn fn;
	void *arg;
	uint32_t limit_ms, statement_ms;
	enum tl_status status;
	bool done;
	struct tl_err *err;
};

/* The pool tries on for ever; a person does not wait so long. */
static enum tl_status wait_connected(struct pg_pool *pool, struct tl_err *err)
{
	for (uint32_t ms = 0; !pg_pool_healthy(pool); ms += STEP_MS) {
		enum tl_status st;

		if (ms >= CONNECT_MS)
			return tl_err_set(err, TL_UNAVAILABLE, "%s",
					  pg_pool_trouble(pool));
		st = co_sleep_ms(STEP_MS, err);
		if (st != TL_OK)
			return st;
	}
	return TL_OK;
}

static void run_coroutine(void *arg)
{
	struct run *r = arg;

	r->status = wait_connected(r->pool, r->err);
	if (r->status == TL_OK)
		r->status = r->fn(pg_pool_pg(r->pool), r->arg, r->err);
	r->done = true;
}

/* The loop turns until fn is through, and then until nobody uses the pool. */
static enum tl_status turn(struct run *r, struct event_base *base,
			   struct tl_err *err)
{
	enum tl_status st;

	st = co_spawn(run_coroutine, r, tl_mono_ms() + r->limit_ms, err);
	if (st != TL_OK)
		return st;
	while (!r->done && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	co_cancel_all("the command is through");
	while (co_live() > 0 && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	return TL_OK;
}

static enum tl_status run_with_pool(const struct pg_way *way, struct run *r,
				    struct tl_err *err)
{
	const struct pg_pool_opts opts = {
		.way = *way,
		.application_name = "tallyctl",
		.size = 1,
		.queue_max = 1,
		.statement_timeout_ms = r->statement_ms,
	};
	struct event_base *base = event_base_new();
	enum tl_status st;

	tl_assert(base != NULL);
	st = co_init(base, 16, err);
	if (st == TL_OK) {
		r->pool = pg_pool_new(&opts);
		st = turn(r, base, err);
		pg_pool_free(&r->pool);
		co_deinit();
	}
	event_base_free(base);
	return st;
}

static enum exit_status run(struct tallyctl *t, struct run *r,
			    enum tl_status *st_r)
{
	enum exit_status ex;
	const char *url;
	struct pg_way way;

	ex = db_url(t, &url);
	if (ex != EXIT_OK)
		return ex;
	way = pg_way(t->conf, url);
	if (run_with_pool(&way, r, r->err) != TL_OK)
		return complain(EXIT_FAILED, "%s", r->err->text);
	if (r->status == TL_UNAVAILABLE || r->status == TL_DEADLINE)
		return complain(EXIT_DATABASE,
				"the database is not available: %s; look "
				"whether it was done before you try again",
				r->err->text);
	*st_r = r->status;
	return EXIT_OK;
}

enum exit_status db_run(struct tallyctl *t, db_fn fn, void *arg,
			enum tl_status *st_r, struct tl_err *err)
{
	struct run r = { .fn = fn,
			 .arg = arg,
			 .err = err,
			 .limit_ms = DB_LIMIT_MS,
			 .statement_ms = DB_LIMIT_MS };

	return run(t, &r, st_r);
}

enum tl_status db_look(const struct pg_way *way, db_fn fn, void *arg,
		       struct tl_err *err)
{
	struct run r = { .fn = fn,
			 .arg = arg,
			 .err = err,
			 .limit_ms = DB_LIMIT_MS,
			 .statement_ms = DB_LIMIT_MS };
	enum tl_status st = run_with_pool(way, &r, err);

	return st == TL_OK ? r.status : st;
}

enum exit_status db_do(struct tallyctl *t, db_fn fn, void *arg)
{
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;

	ex = db_run(t, fn, arg, &st, &err);
	if (ex != EXIT_OK || st == TL_OK)
		return ex;
	if (st == TL_NOT_FOUND)
		return complain(EXIT_NOT_FOUND, "%s", err.text);
	return complain(st == TL_INVALID ? EXIT_USAGE : EXIT_FAILED, "%s",
			err.text);
}

enum exit_status db_run_long(struct tallyctl *t, db_fn fn, void *arg,
			     enum tl_status *st_r, struct tl_err *err)
{
	struct run r = { .fn = fn,
			 .arg = arg,
			 .err = err,
			 .limit_ms = LONG_LIMIT_MS,
			 .statement_ms = LONG_STATEMENT_MS };

	return run(t, &r, st_r);
}
