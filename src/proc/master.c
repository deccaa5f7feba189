/*
 * master.c - the first process: start, main loop, stop.
 */
#include "config.h"

#include "proc/master.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "proc/backoff.h"
#include "proc/pgembed.h"
#include "proc/sdnotify.h"
#include "proc/title.h"

/* How long a first start waits for a database that is away. */
#define DATABASE_MS      30000
#define EMBEDDED_MS      300000 /* it may have to recover first */
#define FLUSHER_MS       70000  /* its own limit comes before */
#define EMBEDDED_STOP_MS 20000
#define LAST_FLUSHERS    3
#define LOCK_MS          1000
#define LOCK_LOOK_MS     10
#define CRASH_WINDOW_MS  60000

struct shm_sizes master_sizes(const struct conf *conf)
{
	return (struct shm_sizes){
		.max_keys = conf->shm.max_keys,
		.max_users = conf->shm.max_users,
		.max_addresses = conf->shm.max_addresses,
		.max_windows = conf->shm.max_windows,
		.decision_ring = conf->shm.decision_ring,
		.idempotency = conf->shm.idempotency,
		.request_log = conf->shm.request_log,
		.window_ms = conf->limits.window_ms,
	};
}

/* ---- the loop ------------------------------------------------------------ */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg; /* the loop came back: that is all */
}

void master_turn(struct master *m, uint64_t due_mono_ms)
{
	uint64_t now_mono_ms = tl_mono_ms();
	uint64_t left_ms =
		due_mono_ms > now_mono_ms ? due_mono_ms - now_mono_ms : 0;
	struct timeval tv = backoff_timeval(
		left_ms < 3600000 ? (uint32_t)left_ms : 3600000);

	evtimer_add(m->wake, &tv);
	event_base_loop(m->base, EVLOOP_ONCE);
	evtimer_del(m->wake);
}

static void reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->prepare_pid)
			m->prepare_pid = 0;
		else if (!pgembed_reaped(m->pg, pid, status))
			(void)child_reaped(m, pid, status);
	}
}

static void reopen_logs(struct master *m)
{
	struct tl_err err;

	if (log_reopen(&err) != TL_OK)
		log_error("%s; keeping the old log file", err.text);
	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		if (m->children[i].state != CHILD_NONE)
			child_signal(&m->children[i], SIGUSR1);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct master *m = arg;

	(void)what;
	switch ((int)sig) {
	case SIGTERM:
	case SIGINT:
		m->stop = STOP_FAST;
		m->stop_signals++;
		break;
	case SIGQUIT:
		if (m->stop == STOP_NO)
			m->stop = STOP_GRACEFUL;
		break;
	case SIGHUP:
		m->reload_wanted = true;
		break;
	case SIGUSR1:
		reopen_logs(m);
		break;
	default:
		reap(m);
	}
}

static void say_status(struct master *m)
{
	const struct shm_head *h = m->shm->head;

	sdnotify_status("%u workers, %llu keys held, database %s",
			m->crew->conf->server.workers,
			(unsigned long long)atomic_load(&h->key_live),
			atomic_load(&h->database_up) ? "up" : "away");
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	int64_t step_us;
	bool moved;

	(void)fd;
	tls_seed_advance(&m->tls_seed, tl_mono_ms());
	(void)what;
	if (m->shm == NULL || m->shm->my_metrics == NULL)
		return;
	shm_slot_beat(m->shm);
	shm_count(m->shm, SHM_C_LOG_LINES_LOST, log_lost_take());
	children_watch(m);
	moved = shm_clock_adjust(m->shm, false, &step_us);
	if (!moved && !m->clock_warned)
		log_warn("the wall clock was set by %lld ms; periods go on by "
			 "the old time",
			 (long long)(step_us / 1000));
	m->clock_warned = !moved;
	if (m->crew->serving && m->stop == STOP_NO)
		say_status(m);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sdnotify_watchdog();
}

static enum tl_status loop_open(struct master *m, struct tl_err *err)
{
	static const int signals[MASTER_SIGNALS] = {
		SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGCHLD
	};
	struct timeval tv = { .tv_sec = 1 };

	signal(SIGPIPE, SIG_IGN);
	m->base = event_base_new();
	if (m->base == NULL)
		return tl_err_sys(err, "make an event base");
	tls_seed_init(&m->tls_seed, tl_mono_ms());
	for (size_t i = 0; i < MASTER_SIGNALS; i++) {
		m->signals[i] = evsignal_new(m->base, signals[i], on_signal, m);
		event_add(m->signals[i], NULL);
	}
	m->wake = evtimer_new(m->base, on_wake, m);
	m->second = event_new(m->base, -1, EV_PERSIST, on_second, m);
	event_add(m->second, &tv);
	sdnotify_init();
	if (sdnotify_watchdog_ms() > 0) {
		tv = backoff_timeval(sdnotify_watchdog_ms());
		m->watchdog =
			event_new(m->base, -1, EV_PERSIST, on_watchdog, m);
		event_add(m->watchdog, &tv);
	}
	return TL_OK;
}

/* ---- start --------------------------------------------------------------- */

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

	if (st != TL_OK)
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

static enum tl_status database_open(struct master *m, struct tl_err *err)
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

static enum tl_status start(struct master *m, struct tl_err *err)
{
	const struct conf *conf = m->crew->conf;
	uint64_t t0 = tl_mono_ms(), t1;
	enum tl_status st;
	bool taken;

	st = lock_instance(m, err);
	if (st == TL_OK)
		st = make_pipes(m, err);
	if (st == TL_OK)
		st = listen_open(conf, NULL, &m->crew->listens, err);
	/* Workers of a master that was killed may still hold the address;
	 * they have ended when the segment is ours. */
	taken = st == TL_SYSTEM && err->sys_errno == EADDRINUSE;
	if (st == TL_OK || taken)
		st = database_open(m, err);
	if (st == TL_OK)
		st = state_open(m, err);
	if (st == TL_OK && taken)
		st = listen_open(conf, NULL, &m->crew->listens, err);
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

/* ---- crashes ------------------------------------------------------------- */

/* True when this is the third of a minute. */
static bool note_crash(struct master *m)
{
	uint64_t now_mono_ms = tl_mono_ms();

	m->crash_mono_ms[m->crashes++ % CRASHES_MAX] = now_mono_ms;
	/* The place that the next one takes holds the oldest. */
	return m->crashes >= CRASHES_MAX &&
	       now_mono_ms - m->crash_mono_ms[m->crashes % CRASHES_MAX] <
		       CRASH_WINDOW_MS;
}

static void stop_all(struct master *m, int sig, uint32_t worker_ms)
{
	children_stop(m, 1, sig, worker_ms);
	children_stop(m, 9, SIGTERM, FLUSHER_MS);
}

/*
 * A child that died of a fault may have written where it must not.  Nobody
 * may go on with a segment that nobody looked at: all stop, it is verified,
 * all start; connections wait in the listening sockets meanwhile.
 */
static void look_at_segment(struct master *m)
{
	struct tl_err err;
	bool often = note_crash(m);

	log_error("a child crashed; stopping all to verify the segment");
	stop_all(m, SIGTERM, m->crew->conf->server.stop_timeout_ms + 1000);
	m->crash_wanted = false;
	m->hold = false;
	if (m->stop != STOP_NO)
		return;
	if (segment_check(m, often, &err) != TL_OK) {
		log_error("cannot go on: %s", err.text);
		m->stop = STOP_FAST;
		m->killed_one = true; /* so the next start looks again */
		return;
	}
	if (often)
		m->crashes = 0;
	crew_spawn(m->crew, NULL);
}

/* ---- stop ---------------------------------------------------------------- */

static void stop_database(struct master *m)
{
	uint64_t due_mono_ms = tl_mono_ms() + EMBEDDED_STOP_MS;

	if (m->pg == NULL)
		return;
	pgembed_stop(m->pg);
	while (pgembed_running(m->pg)) {
		master_turn(m, due_mono_ms);
		if (pgembed_running(m->pg) && tl_mono_ms() >= due_mono_ms) {
			pgembed_stop(m->pg);
			due_mono_ms = tl_mono_ms() + 5000;
		}
	}
}

/*
 * A flusher that died in the very moment of the stop is replaced once more:
 * the last usage, and answers that wait for a commit, need one.  It has to be
 * ready before it is told to stop, or the signal would just end it.
 */
static void want_flusher(struct master *m)
{
	const struct proc_kind *flusher = kind_find("flusher");
	uint64_t due_mono_ms = tl_mono_ms() + FLUSHER_MS;
	unsigned asked = m->stop_signals;

	if (!m->crew->serving || m->crash_wanted)
		return; /* nothing was counted, or nobody may touch it */
	m->hold = false;
	crew_revive(m->crew, flusher);
	while (children_alive(m, flusher->stop_rank) > 0 &&
	       !crew_ready(m->crew, flusher) && m->stop_signals == asked &&
	       tl_mono_ms() < due_mono_ms)
		master_turn(m, due_mono_ms);
}

/* Whoever kills flushers again and again leaves the rest to the next start. */
static void stop_in_order(struct master *m, int sig, uint32_t worker_ms)
{
	want_flusher(m);
	children_stop(m, 1, sig, worker_ms);
	for (unsigned i = 0; i < LAST_FLUSHERS; i++) {
		want_flusher(m);
		m->flusher_killed = false;
		children_stop(m, 9, SIGTERM, FLUSHER_MS);
		if (!m->flusher_killed || m->stop_signals > 1)
			break;
	}
}

static void stop(struct master *m)
{
	const struct conf *conf = m->crew->conf;
	bool graceful = m->stop == STOP_GRACEFUL;

	sdnotify_stopping();
	sdnotify_status("stopping");
	log_info("stopping");
	if (m->stop == STOP_NO) /* the start failed */
		m->stop = STOP_FAST;
	/* New clients are refused from here on, not left waiting. */
	listen_free(&m->crew->listens, NULL);
	stop_in_order(m, graceful ? SIGQUIT : SIGTERM,
		      (graceful ? conf->server.drain_timeout_ms
				: conf->server.stop_timeout_ms) +
			      1000);
	stop_database(m);
	if (m->shm != NULL && m->shm->my_metrics != NULL) {
		shm_slot_reap(m->shm, MASTER_SLOT);
		if (!m->killed_one)
			shm_mark_clean(m->shm);
	}
	ctl_server_free(&m->ctl);
	if (conf->server.pid_file[0] != '\0')
		unlink(conf->server.pid_file);
	log_info("stopped");
}

/* ---- life ---------------------------------------------------------------- */

static void serve(struct master *m)
{
	while (m->stop == STOP_NO) {
		if (m->crash_wanted)
			look_at_segment(m);
		else if (m->reload_wanted)
			reload(m);
		else
			master_turn(m, UINT64_MAX);
	}
}

static void free_all(struct master *m)
{
	pgembed_free(&m->pg);
	crew_free(&m->crew, NULL);
	for (size_t i = 0; i < MASTER_SIGNALS; i++)
		if (m->signals[i] != NULL)
			event_free(m->signals[i]);
	if (m->base != NULL) {
		event_free(m->wake);
		event_free(m->second);
		if (m->watchdog != NULL)
			event_free(m->watchdog);
		event_base_free(m->base);
	}
	for (uint32_t i = 0; i < m->n_commit_eventfds; i++)
		close(m->commit_eventfds[i]);
	shm_close(&m->shm);
	tl_free(m->conninfo);
	if (m->lock_fd >= 0)
		close(m->lock_fd);
	sdnotify_deinit();
}

/* The process that waits for the start; no words mean that it went well. */
static void tell_starter(struct master_opts *o, const char *words)
{
	if (o->started_fd < 0)
		return;
	(void)!write(o->started_fd, words, strlen(words) + 1);
	close(o->started_fd);
	o->started_fd = -1;
}

int master_run(struct master_opts *o)
{
	struct master *m = tl_alloc(sizeof(*m));
	struct tl_err err;
	enum tl_status st;

	m->lock_fd = m->prepare_fd = -1;
	m->source = o->source;
	m->started_mono_ms = tl_mono_ms();
	title_set("tallyd: master");
	log_set_process("master", 0);
	st = loop_open(m, &err);
	m->crew = crew_new(m, o->conf, NULL);
	o->conf = NULL;
	if (st == TL_OK)
		st = start(m, &err);
	if (st == TL_OK) {
		warn_of_demo_admins(m->crew->conf);
		log_info("serving");
		sdnotify_ready();
		tell_starter(o, "");
		serve(m);
	} else if (st != TL_CANCELED) {
		log_error("start failed: %s", err.text);
		tell_starter(o, err.text);
	}
	stop(m);
	free_all(m);
	tl_free(m);
	return st == TL_OK || st == TL_CANCELED ? 0 : 1;
}
