/*
 * master.c - the first process: main loop, crashes, stop.
 */
#include "config.h"

#include "proc/master.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "proc/backoff.h"
#include "proc/pgembed.h"
#include "proc/sdnotify.h"
#include "proc/title.h"

#define FLUSHER_MS       70000  /* its own limit comes before */
#define EMBEDDED_STOP_MS 20000
#define LAST_FLUSHERS    3
#define CRASH_WINDOW_MS  60000
#define STEP_LASTS_MS    10000

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

void master_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->prepare_pid)
			m->prepare_pid = 0;
		else if (pid == m->trial_pid)
			m->trial_pid = 0;
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
	case SIGUSR2:
		m->upgrade_wanted = true;
		break;
	default:
		master_reap(m);
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

/*
 * Small steps of the wall clock are taken in as they come.  A large one may be
 * a mistake, and days never go back: it has to last, and the database's clock
 * to say the same; or an operator says so.
 */
static void watch_clock(struct master *m)
{
	uint64_t now_mono_ms = tl_mono_ms();
	bool agreed = m->step_mono_ms != 0 &&
		      now_mono_ms >= m->step_mono_ms + STEP_LASTS_MS &&
		      shm_clock_agreed(m->shm);
	int64_t step_us;

	if (shm_clock_adjust(m->shm, agreed || m->clock_accepted, &step_us)) {
		if (m->step_mono_ms != 0)
			log_warn("the wall clock, set by %lld ms, is taken in: "
				 "%s",
				 (long long)(step_us / 1000),
				 m->clock_accepted ? "an operator says so"
				 : agreed	   ? "the database's agrees"
						   : "it was set back");
		m->step_mono_ms = 0;
	} else if (m->step_mono_ms == 0) {
		log_warn("the wall clock was set by %lld ms; periods go on by "
			 "the old time until the database's clock agrees or "
			 "'tallyctl clock accept' says so",
			 (long long)(step_us / 1000));
		m->step_mono_ms = now_mono_ms;
	}
	m->clock_accepted = false;
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;

	(void)fd;
	(void)what;
	if (m->shm == NULL || m->shm->my_metrics == NULL)
		return;
	shm_slot_beat(m->shm);
	shm_count(m->shm, SHM_C_LOG_LINES_LOST, log_lost_take());
	tls_seed_advance(&m->tls_seed, tl_mono_ms());
	children_watch(m);
	watch_clock(m);
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
		SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD
	};
	struct timeval tv = { .tv_sec = 1 };

	signal(SIGPIPE, SIG_IGN);
	m->base = event_base_new();
	if (m->base == NULL)
		return tl_err_sys(err, "make an event base");
	for (size_t i = 0; i < MASTER_SIGNALS; i++) {
		m->signals[i] = evsignal_new(m->base, signals[i], on_signal, m);
		event_add(m->signals[i], NULL);
	}
	m->wake = evtimer_new(m->base, on_wake, m);
	tls_seed_init(&m->tls_seed, tl_mono_ms());
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

void master_pause(struct master *m)
{
	m->hold = true;
	stop_all(m, SIGTERM, m->crew->conf->server.stop_timeout_ms + 1000);
}

void master_go_on(struct master *m)
{
	m->hold = false;
	if (m->stop == STOP_NO)
		crew_spawn(m->crew, NULL);
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
	master_pause(m);
	m->crash_wanted = false;
	m->hold = false;
	if (m->stop != STOP_NO)
		return;
	if (segment_examine(m, often, &err) != TL_OK) {
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

	/* Nothing was counted, nobody may touch it, or it could not start.  A
	 * worker may have answered before the start was over. */
	if (m->shm == NULL || m->shm->my_metrics == NULL || m->crash_wanted ||
	    m->crew->failed)
		return;
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
		else if (m->upgrade_wanted)
			upgrade(m);
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
	if (m->control_fd >= 0)
		close(m->control_fd);
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

	m->lock_fd = m->prepare_fd = m->control_fd = -1;
	m->conf_fd = m->former_fd = -1;
	m->source = o->source;
	m->argv = o->argv;
	m->started_mono_ms = tl_mono_ms();
	title_set("tallyd: master");
	log_set_process("master", 0);
	st = loop_open(m, &err);
	m->crew = crew_new(m, o->conf, NULL);
	o->conf = NULL;
	if (st == TL_OK)
		st = o->handover == NULL
			     ? master_start(m, &err)
			     : upgrade_resume(m, o->handover, &err);
	if (st == TL_OK) {
		if (o->handover == NULL) {
			warn_of_demo_admins(m->crew->conf);
			log_info("serving");
			sdnotify_ready();
		}
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
