/*
 * start.c - from nothing to a crew that serves: lock, sockets, database,
 * segment, processes.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/master.h"
#include "proc/pgembed.h"

/* How long a first start waits for a database that is away. */
#define DATABASE_MS  30000
#define EMBEDDED_MS  300000 /* it may have to recover first */
#define LOCK_MS      1000
#define LOCK_LOOK_MS 10

/* A master that was killed may have left a child that it had just forked: it
 * still holds the lock, until it has closed what is not its own. */
static bool lock_in_time(int fd)
{
	uint64_t due_mono_ms = tl_mono_ms() + LOCK_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || tl_mono_ms() >= due_mono_ms)
			return false;
		poll(NULL, 0, LOCK_LOOK_MS);
	}
	return true;
}

static enum tl_status lock_instance(struct master *m, struct tl_err *err)
{
	const char *dir = m->crew->conf->server.state_dir;
	char *path = tl_asprintf("%s/tallyd.lock", dir);
	enum tl_status st = tl_mkdirs(dir, 0711, err);

	if (st != TL_OK || m->lock_fd >= 0) /* of the program before */
		goto out;
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (m->lock_fd < 0)
		st = tl_err_sys(err, "open '%s'", path);
	else if (!lock_in_time(m->lock_fd))
		st = tl_err_set(err, TL_BUSY,
				"another tallyd runs on '%s'; stop it or set "
				"server.state_dir",
				dir);
out:
	tl_free(path);
	return st;
}

static enum tl_status make_pipes(struct master *m, struct tl_err *err)
{
	if (m->life_pipe[1] > 0)
		return TL_OK; /* of the program before */
	if (pipe2(m->life_pipe, O_CLOEXEC) < 0)
		return tl_err_sys(err, "make a pipe");
	m->flusher_eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->task_eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->flusher_eventfd < 0 || m->task_eventfd < 0)
		return tl_err_sys(err, "make an eventfd");
	return TL_OK;
}

/* For the caller's psql; in a file, because the daemon is asked by scripts. */
static enum tl_status write_conninfo(struct master *m, struct tl_err *err)
{
	char *path = tl_asprintf("%s/pg/url", m->crew->conf->server.state_dir);
	char *line = tl_asprintf("%s\n", m->conninfo);
	enum tl_status st =
		tl_file_replace(path, line, strlen(line), 0644, err);

	tl_free(line);
	tl_free(path);
	return st;
}

enum tl_status master_database(struct master *m, struct tl_err *err)
{
	const struct conf *conf = m->crew->conf;
	enum tl_status st;

	if (conf->database.url[0] != '\0') {
		m->conninfo = tl_strdup(conf->database.url);
		return TL_OK;
	}
	st = pgembed_open(conf, m->base, &m->pg, err);
	if (st == TL_OK)
		st = pgembed_start(m->pg, err);
	if (st != TL_OK)
		return tl_err_wrap(err, "embedded database");
	m->conninfo = tl_strdup(pgembed_conninfo(m->pg));
	return write_conninfo(m, err);
}

/* A pause that ends at once when told to stop. */
static void pause_ms(struct master *m, uint32_t ms)
{
	uint64_t due_mono_ms = tl_mono_ms() + ms;

	while (m->stop == STOP_NO && tl_mono_ms() < due_mono_ms)
		master_turn(m, due_mono_ms);
}

/*
 * The database's identity; *known_r false when it is away and the segment
 * does without.  A fresh segment knows nothing, so a first start waits.
 */
static enum tl_status database_ask(struct master *m, bool attached,
				   uint64_t id_r[2], bool *known_r,
				   struct tl_err *err)
{
	uint32_t limit_ms = m->pg != NULL ? EMBEDDED_MS : DATABASE_MS;
	uint64_t begin_mono_ms = tl_mono_ms();
	bool told = m->pg != NULL; /* ours needs a moment: no news */
	struct prepared p;
	enum tl_status st;

	for (;;) {
		st = prepare_end(m, &p, err);
		if (st != TL_OK)
			return st;
		if (p.status != TL_UNAVAILABLE)
			break;
		if (m->pg == NULL && attached && segment_of_this_state(m)) {
			log_warn("the database is away (%s); serving from the "
				 "segment",
				 p.text);
			*known_r = false;
			return TL_OK;
		}
		if (!told)
			log_warn("waiting up to %u s for the database: %s",
				 limit_ms / 1000, p.text);
		told = true;
		if (tl_mono_ms() - begin_mono_ms >= limit_ms)
			return tl_err_set(err, TL_UNAVAILABLE,
					  "no database after %u s: %s; check "
					  "database.url",
					  limit_ms / 1000, p.text);
		if (m->pg != NULL) {
			st = pgembed_check(m->pg, err);
			if (st != TL_OK)
				return st;
		}
		pause_ms(m, m->pg != NULL ? 20 : 500);
		prepare_begin(m);
	}
	if (p.status != TL_OK)
		return tl_err_set(err, p.status, "database: %s", p.text);
	if (p.migrations > 0)
		log_info("%u schema migrations applied", p.migrations);
	memcpy(id_r, p.id, sizeof(p.id));
	*known_r = true;
	return TL_OK;
}

static enum tl_status state_open(struct master *m, struct tl_err *err)
{
	uint64_t id[2], t0 = tl_mono_ms(), t1, t2;
	enum shm_found found;
	bool known, attached;
	enum tl_status st;

	prepare_begin(m); /* works while we make the segment */
	st = segment_open(m, &found, err);
	t1 = tl_mono_ms();
	attached = found != SHM_FOUND_NONE && found != SHM_FOUND_OTHER;
	if (st == TL_OK)
		st = database_ask(m, attached, id, &known, err);
	t2 = tl_mono_ms();
	if (st == TL_OK)
		st = segment_settle(m, found, known ? id : NULL, err);
	log_debug("segment opened in %llu ms, database asked in %llu, settled "
		  "in %llu",
		  (unsigned long long)(t1 - t0), (unsigned long long)(t2 - t1),
		  (unsigned long long)(tl_mono_ms() - t2));
	return st;
}

static enum tl_status await_crew(struct master *m, const struct proc_kind *kind,
				 struct tl_err *err)
{
	crew_spawn(m->crew, kind);
	while (!crew_ready(m->crew, kind)) {
		master_turn(m, tl_mono_ms() + 1000);
		if (m->stop != STOP_NO)
			return tl_err_set(err, TL_CANCELED, "told to stop");
		if (m->crew->failed)
			return tl_err_set(err, TL_SYSTEM, "%s", m->crew->why);
	}
	return TL_OK;
}

static enum tl_status write_pid_file(const struct master *m, struct tl_err *err)
{
	const char *path = m->crew->conf->server.pid_file;
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	return path[0] == '\0'
		       ? TL_OK
		       : tl_file_replace(path, text, (size_t)n, 0644, err);
}

/* With the sockets that a service manager or the program before made. */
static enum tl_status open_listeners(struct master *m, struct tl_err *err)
{
	struct listen_set *made = m->crew->listens, *set = NULL;
	enum tl_status st = TL_OK;

	if (made == NULL)
		st = listen_passed(m->crew->conf, &made, err);
	if (st == TL_OK)
		st = listen_open(m->crew->conf, made, &set, err);
	m->crew->listens = set;
	if (st != TL_OK)
		m->crew->listens = made; /* for another try */
	else
		listen_free(&made, set);
	return st;
}

enum tl_status master_start(struct master *m, struct tl_err *err)
{
	uint64_t t0 = tl_mono_ms(), t1;
	enum tl_status st;
	bool taken;

	st = lock_instance(m, err);
	if (st == TL_OK)
		st = make_pipes(m, err);
	if (st == TL_OK)
		st = open_listeners(m, err);
	/* Workers of a master that was killed may still hold the address;
	 * they have ended when the segment is ours. */
	taken = st == TL_SYSTEM && err->sys_errno == EADDRINUSE;
	if (st == TL_OK || taken)
		st = master_database(m, err);
	if (st == TL_OK)
		st = state_open(m, err);
	if (st == TL_OK && taken)
		st = open_listeners(m, err);
	t1 = tl_mono_ms();
	/* A fresh segment needs its baselines before the first request. */
	if (st == TL_OK && !m->trusted)
		st = await_crew(m, kind_find("flusher"), err);
	/* Whoever got an answer of a worker may ask tallyctl next. */
	if (st == TL_OK)
		st = control_open(m, err);
	if (st == TL_OK)
		st = await_crew(m, NULL, err);
	if (st == TL_OK)
		st = write_pid_file(m, err);
	if (st != TL_OK)
		return st;
	m->crew->serving = true;
	log_debug("children ready in %llu ms, start took %llu ms",
		  (unsigned long long)(tl_mono_ms() - t1),
		  (unsigned long long)(tl_mono_ms() - t0));
	return TL_OK;
}
