/*
 * prepare.c - the database before anyone serves: schema, demo data, identity.
 *
 * Done by a short-lived child with blocking calls: the master must go on
 * seeing to signals and children meanwhile, and keeps no libpq of its own.
 */
#include "config.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/paths.h"
#include "loop/co.h"
#include "pg/migrate.h"
#include "pg/pg.h"
#include "proc/master.h"
#include "proc/title.h"
#include "store/q_instance.h"

/* ---- in the child -------------------------------------------------------- */

static enum tl_status schema(const struct conf *conf, const char *conninfo,
			     uint32_t *n_r, struct tl_err *err)
{
	char *dir = tl_asprintf("%s/migrations", tl_datadir());
	enum tl_status st;
	bool current = false;

	if (conf->database.auto_migrate) {
		st = migrate_up(conninfo, dir, UINT32_MAX, n_r, err);
	} else {
		st = migrate_check(conninfo, dir, &current, err);
		if (st == TL_OK && !current)
			st = tl_err_set(err, TL_VERSION,
					"the database's schema is older than "
					"this release; run 'tallyctl migrate "
					"up' or set database.auto_migrate");
	}
	tl_free(dir);
	return st;
}

static enum tl_status seed(const struct conf *conf, const char *conninfo,
			   struct tl_err *err)
{
	char *path;
	enum tl_status st;

	if (!conf->database.seed_demo)
		return TL_OK;
	path = tl_asprintf("%s/seed/demo.sql", tl_datadir());
	st = migrate_run_file(conninfo, path, err);
	tl_free(path);
	return st;
}

struct identity {
	struct pg_pool *pool;
	uint64_t id[2];
	enum tl_status status;
	struct tl_err *err;
	struct event_base *base;
};

static void ask_identity(void *arg)
{
	struct identity *id = arg;
	struct q_instance_get_row row;
	struct tl_arena arena;

	tl_arena_init(&arena);
	id->status =
		q_instance_get(pg_pool_pg(id->pool), &arena, &row, id->err);
	if (id->status == TL_OK)
		memcpy(id->id, row.database_id.b, 16);
	tl_arena_deinit(&arena);
	event_base_loopexit(id->base, NULL);
}

/* Through the same generated function as everybody: a loop for one query. */
static enum tl_status read_identity(const struct pg_way *way, uint64_t id_r[2],
				    struct tl_err *err)
{
	struct pg_pool_opts o = {
		.way = *way,
		.application_name = "tallyd start",
		.size = 1,
		.queue_max = 1,
		.statement_timeout_ms = 10000,
	};
	struct identity id = { .base = event_base_new(), .err = err };
	enum tl_status st = co_init(id.base, 16, err);

	if (st != TL_OK)
		return st;
	id.pool = pg_pool_new(&o);
	st = co_spawn(ask_identity, &id, tl_mono_ms() + 10000, err);
	if (st == TL_OK) {
		event_base_dispatch(id.base);
		st = id.status;
	}
	if (proc_coroutines_end(id.base, "done")) {
		pg_pool_free(&id.pool); /* the server hears good-bye */
		co_deinit();
		event_base_free(id.base);
	}
	if (st == TL_OK)
		memcpy(id_r, id.id, 16);
	return st;
}

/* What is told in one database is not heard in another. */
static enum tl_status check_direct(const struct pg_way *way,
				   const uint64_t id[2], struct tl_err *err)
{
	struct pg_way direct = pg_way_direct(way);
	uint64_t theirs[2];
	enum tl_status st;

	if (way->direct == NULL)
		return TL_OK;
	st = read_identity(&direct, theirs, err);
	if (st == TL_OK && memcmp(theirs, id, sizeof(theirs)) != 0)
		st = tl_err_set(err, TL_DENIED,
				"it is another database than that of "
				"database.url");
	return st == TL_OK ? st : tl_err_wrap(err, "database.direct_url");
}

static enum tl_status work(const struct conf *conf, const struct pg_way *way,
			   struct prepared *p, struct tl_err *err)
{
	const char *direct = pg_way_direct(way).conninfo;
	uint64_t t0 = tl_mono_ms(), t1, t2;
	enum tl_status st = schema(conf, direct, &p->migrations, err);

	if (st != TL_OK)
		return st;
	t1 = tl_mono_ms();
	st = seed(conf, direct, err);
	if (st != TL_OK)
		return tl_err_wrap(err, "demo data");
	t2 = tl_mono_ms();
	st = read_identity(way, p->id, err);
	if (st == TL_OK)
		st = check_direct(way, p->id, err);
	log_debug("database: schema %llu ms, demo data %llu ms, identity %llu "
		  "ms",
		  (unsigned long long)(t1 - t0), (unsigned long long)(t2 - t1),
		  (unsigned long long)(tl_mono_ms() - t2));
	return st;
}

static _Noreturn void in_child(struct master *m, int out)
{
	const struct pg_way way = pg_way(m->crew->conf, m->conninfo);
	const struct pg_way direct = pg_way_direct(&way);
	struct prepared p = { .status = TL_OK };
	struct tl_err err;
	enum tl_status st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	spawn_reset_signals(m);
	title_set("tallyd: start");
	/* For the blocking calls, which know the connection string only. */
	if (direct.hostaddr != NULL)
		setenv("PGHOSTADDR", direct.hostaddr, 1);
	st = work(m->crew->conf, &way, &p, &err);
	if (st != TL_OK) {
		p.status = st;
		snprintf(p.text, sizeof(p.text), "%s", err.text);
	}
	(void)!write(out, &p, sizeof(p)); /* less than PIPE_BUF: whole */
	_exit(0);
}

/* ---- in the master ------------------------------------------------------- */

/* Without database.seed_demo too: an earlier start may have made the users. */
void warn_of_demo_admins(const struct conf *conf)
{
	static const char *const demo[] = { "demo@codexible.me",
					    "team@codexible.me",
					    "starter@codexible.me" };

	for (size_t i = 0; i < conf->admin.emails.n; i++)
		for (size_t j = 0; j < sizeof(demo) / sizeof(demo[0]); j++)
			if (strcasecmp(conf->admin.emails.items[i], demo[j]) ==
			    0)
				log_warn("DANGER: admin.emails names '%s', "
					 "whose key is public: everyone who "
					 "reaches this server is an admin; "
					 "remove it from admin.emails",
					 demo[j]);
}

void prepare_begin(struct master *m)
{
	sigset_t all, before;
	int fds[2];

	m->prepare_fd = -1;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	m->prepare_pid = fork();
	if (m->prepare_pid == 0)
		in_child(m, fds[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	m->prepare_fd = fds[0];
	if (m->prepare_pid < 0)
		m->prepare_pid = 0;
}

enum tl_status prepare_end(struct master *m, struct prepared *p_r,
			   struct tl_err *err)
{
	struct prepared p;
	ssize_t n;

	while (m->prepare_pid != 0 && m->stop == STOP_NO)
		master_turn(m, tl_mono_ms() + 1000);
	if (m->prepare_pid != 0)
		kill(m->prepare_pid, SIGKILL);
	n = m->prepare_fd < 0 ? -1 : read(m->prepare_fd, &p, sizeof(p));
	if (m->prepare_fd >= 0)
		close(m->prepare_fd);
	m->prepare_fd = -1;
	if (m->stop != STOP_NO)
		return tl_err_set(err, TL_CANCELED, "told to stop");
	if (n != (ssize_t)sizeof(p))
		return tl_err_set(err, TL_SYSTEM,
				  "the process that prepares the database "
				  "ended before it was done");
	*p_r = p;
	return TL_OK;
}
