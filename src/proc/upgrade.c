/*
 * upgrade.c - USR2: another program in this process's place.
 *
 * 1. The new program runs once beside us, as a child: it reads the
 *    configuration, compares the layout of the segment, and says whether it
 *    could go on.  Whatever it does wrong, nobody notices.
 * 2. This process executes it.  Its children stay its children, so workers
 *    serve all the while, and whoever supervises us sees the same process.
 * 3. The new program does what a reload does: schema, new workers beside the
 *    old ones on the same sockets, and only when all are ready the old ones
 *    drain.  When that fails it executes the old program again, which goes on
 *    with the crew as it is.
 *
 * With a segment of another layout old and new workers cannot serve side by
 * side: then the crew stops before step 2 while clients wait in the listening
 * sockets, and the new program makes its segment from the old one.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/pg.h"
#include "proc/handover.h"
#include "proc/master.h"
#include "proc/sdnotify.h"

#define TRIAL_MS    30000
#define READY_MS    30000
#define WITHDRAW_MS 10000
#define POLITE_MS   1000
#define VERDICT_MAX 480

/* First byte of what a trial says; words follow. */
enum verdict { VERDICT_GOOD = 'G', VERDICT_LAYOUT = 'L', VERDICT_BAD = 'B' };

static void tell(int fd, enum verdict v, const char *words)
{
	(void)dprintf(fd, "%c%.*s", v, VERDICT_MAX - 1, words);
}

/* ---- both programs ------------------------------------------------------- */

static enum tl_status crashed(struct tl_err *err)
{
	return tl_err_set(err, TL_BUSY,
			  "a process crashed; the segment is looked at first, "
			  "try again");
}

/*
 * Returns only when it failed.  No signal may come between two programs: what
 * was caught is seen to before, and nobody is born of it; what comes from here
 * on stays pending.  Then only the state is what the next program will find.
 */
static enum tl_status become(struct master *m, enum handover_role role,
			     const char *why, const char *path,
			     struct tl_err *err)
{
	bool held = m->hold;
	sigset_t all, before;
	enum tl_status st;
	struct tl_arena a;

	tl_arena_init(&a);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	m->hold = true;
	event_base_loop(m->base, EVLOOP_NONBLOCK);
	if (m->stop != STOP_NO)
		st = tl_err_set(err, TL_CANCELED, "told to stop");
	else if (m->crash_wanted && role == HANDOVER_FORWARD)
		st = crashed(err);
	else
		st = handover_exec(handover_of(m, role, why, &a), path,
				   m->argv, err);
	m->hold = held;
	sigprocmask(SIG_SETMASK, &before, NULL);
	tl_arena_deinit(&a);
	if (!held)
		crew_spawn(m->crew, NULL); /* of those that died meanwhile */
	return st;
}

static enum tl_status keep_configuration(struct master *m, struct tl_err *err)
{
	int fd, copy;
	FILE *f;

	if (m->conf_fd >= 0)
		close(m->conf_fd);
	m->conf_fd = fd = memfd_create("tallyd conf", MFD_CLOEXEC);
	copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	f = copy < 0 ? NULL : fdopen(copy, "w");
	if (f == NULL) {
		if (copy >= 0)
			close(copy);
		return tl_err_sys(err, "keep the configuration in memory");
	}
	conf_dump(m->crew->conf, false, f);
	if (fclose(f) != 0)
		return tl_err_sys(err, "keep the configuration in memory");
	return TL_OK;
}

/* ---- the old program: trial ---------------------------------------------- */

static _Noreturn void in_trial(struct master *m, int fd)
{
	struct tl_arena a;
	struct tl_err err;

	spawn_reset_signals(m);
	tl_arena_init(&a);
	(void)handover_exec(handover_for_trial(m, fd, &a), m->argv[0], m->argv,
			    &err);
	tell(fd, VERDICT_BAD, err.text);
	_exit(1);
}

static enum tl_status trial_begin(struct master *m, int *fd_r,
				  struct tl_err *err)
{
	sigset_t all, before;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return tl_err_sys(err, "make a pipe");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	m->trial_pid = fork();
	if (m->trial_pid == 0)
		in_trial(m, fds[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	if (m->trial_pid < 0) {
		m->trial_pid = 0;
		close(fds[0]);
		return tl_err_sys(err, "fork");
	}
	*fd_r = fds[0];
	return TL_OK;
}

static enum tl_status trial_end(struct master *m, int fd, bool *afresh_r,
				struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + TRIAL_MS;
	char text[VERDICT_MAX + 1];
	bool late;
	ssize_t n;

	while (m->trial_pid != 0 && m->stop == STOP_NO && !m->crash_wanted &&
	       tl_mono_ms() < due_mono_ms)
		master_turn(m, due_mono_ms);
	late = m->trial_pid != 0;
	if (late) {
		kill(m->trial_pid, SIGKILL);
		while (m->trial_pid != 0)
			master_turn(m, tl_mono_ms() + 1000);
	}
	n = read(fd, text, VERDICT_MAX);
	close(fd);
	if (m->stop != STOP_NO)
		return tl_err_set(err, TL_CANCELED, "told to stop");
	if (m->crash_wanted)
		return crashed(err);
	if (late)
		return tl_err_set(err, TL_DEADLINE,
				  "'%s' did not say within %d s whether it "
				  "could go on",
				  m->argv[0], TRIAL_MS / 1000);
	if (n <= 0)
		return tl_err_set(err, TL_INVALID,
				  "'%s' ended without a word; is it a tallyd "
				  "that runs on this machine? try '%s -V'",
				  m->argv[0], m->argv[0]);
	text[n] = '\0';
	*afresh_r = text[0] == VERDICT_LAYOUT;
	if (text[0] == VERDICT_GOOD || text[0] == VERDICT_LAYOUT)
		return TL_OK;
	return tl_err_set(err, TL_INVALID, "%s", text + 1);
}

/* A child that is being started would be neither here nor there. */
static enum tl_status await_quiet(struct master *m, struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + READY_MS;

	while (!crew_ready(m->crew, NULL)) {
		master_turn(m, tl_mono_ms() + 1000);
		if (m->stop != STOP_NO)
			return tl_err_set(err, TL_CANCELED, "told to stop");
		if (m->crash_wanted)
			return crashed(err);
		if (tl_mono_ms() >= due_mono_ms)
			return tl_err_set(err, TL_BUSY,
					  "processes do not get ready; see the "
					  "log");
	}
	return TL_OK;
}

/* ---- the old program: over ----------------------------------------------- */

/* Whoever is in the middle of a conversation is told with the next answer that
 * it ends; those that rest keep the others waiting so long and no longer. */
static void pause_politely(struct master *m)
{
	uint64_t due_mono_ms = tl_mono_ms() + POLITE_MS;

	log_info("the new program has another layout of the segment; clients "
		 "wait while it is made anew");
	m->hold = true;
	children_signal(m, 1, SIGQUIT);
	while (children_alive(m, 1) > 0 && tl_mono_ms() < due_mono_ms)
		master_turn(m, due_mono_ms);
	master_pause(m);
}

/* Returns only when it failed, with all as before. */
static enum tl_status go_forward(struct master *m, bool afresh,
				 struct tl_err *err)
{
	enum tl_status st;

	m->former_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (m->former_fd < 0)
		return tl_err_sys(err, "open the program that runs");
	if (afresh)
		pause_politely(m);
	st = become(m, afresh ? HANDOVER_AFRESH : HANDOVER_FORWARD, NULL,
		    m->argv[0], err);
	if (afresh)
		master_go_on(m);
	return st;
}

static void close_kept(struct master *m)
{
	if (m->former_fd >= 0)
		close(m->former_fd);
	if (m->conf_fd >= 0)
		close(m->conf_fd);
	m->former_fd = m->conf_fd = -1;
}

static void refused(struct master *m, const char *why)
{
	m->upgrades++;
	snprintf(m->upgrade_error, sizeof(m->upgrade_error), "%s", why);
	log_error("upgrade refused, the old program goes on: %s", why);
	sdnotify_upgraded();
}

void upgrade(struct master *m)
{
	bool afresh = false;
	enum tl_status st;
	struct tl_err err;
	int fd;

	m->upgrade_wanted = false;
	m->upgrading = true;
	sdnotify_reloading();
	log_info("upgrade to '%s'", m->argv[0]);
	st = await_quiet(m, &err);
	if (st == TL_OK)
		st = keep_configuration(m, &err);
	if (st == TL_OK)
		st = trial_begin(m, &fd, &err);
	if (st == TL_OK)
		st = trial_end(m, fd, &afresh, &err);
	if (st == TL_OK)
		st = go_forward(m, afresh, &err);
	close_kept(m);
	m->upgrading = false;
	refused(m, err.text);
}

/* ---- the new program ----------------------------------------------------- */

int upgrade_trial(const struct handover *h, const struct conf *fresh)
{
	struct conf *before = NULL;
	enum tl_status st;
	struct tl_err err;

	st = handover_conf(h, &before, &err);
	if (st == TL_OK)
		st = conf_check_reload(before, fresh, &err);
	if (st == TL_OK)
		st = tls_check(fresh, NULL, &err);
	if (st == TL_OK)
		st = handover_check(h, &err);
	conf_free(&before);
	tell(h->verdict_fd,
	     st == TL_OK	? VERDICT_GOOD
	     : st == TL_VERSION ? VERDICT_LAYOUT
				: VERDICT_BAD,
	     st == TL_OK ? "" : err.text);
	return st == TL_OK || st == TL_VERSION ? 0 : 1;
}

/* To the descriptor of the program before, that the object names. */
static enum tl_status exec_former(int fd, const struct doc *doc,
				  char *const *argv, struct tl_err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return handover_exec(doc, path, argv, err);
}

void upgrade_give_up(const struct handover *h, char *const *argv,
		     const struct tl_err *why)
{
	struct tl_arena a;
	struct tl_err err;

	if (h->role == HANDOVER_TRIAL) {
		tell(h->verdict_fd, VERDICT_BAD, why->text);
		return;
	}
	if (h->role == HANDOVER_BACK || h->role == HANDOVER_BACK_AFRESH)
		return; /* there is nobody further back */
	tl_arena_init(&a);
	if (exec_former(handover_former(h),
			handover_again(h,
				       h->role == HANDOVER_AFRESH
					       ? HANDOVER_BACK_AFRESH
					       : HANDOVER_BACK,
				       why->text, &a),
			argv, &err) != TL_OK)
		fprintf(stderr, "tallyd: cannot go back: %s\n", err.text);
	tl_arena_deinit(&a);
}

/* Processes of ours must be gone: the old program does not know them. */
static void await_strangers(struct master *m)
{
	uint64_t due_mono_ms = tl_mono_ms() + WITHDRAW_MS;

	while (children_strange(m, 0) > 0 && tl_mono_ms() < due_mono_ms)
		master_turn(m, due_mono_ms);
	if (children_strange(m, SIGKILL) == 0)
		return;
	while (children_strange(m, 0) > 0)
		master_turn(m, tl_mono_ms() + 1000);
}

/* Returns only when even that failed. */
static void go_back(struct master *m, enum handover_role role, const char *why)
{
	struct tl_err err;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->former_fd);
	if (become(m, role, why, path, &err) != TL_OK)
		log_error("cannot go back to the program before: %s", err.text);
}

static enum tl_status take_over(struct master *m, const struct handover *h,
				struct tl_err *err)
{
	enum tl_status st = handover_check(h, err);

	if (st == TL_OK)
		st = handover_adopt(h, m, err);
	if (st == TL_OK)
		st = segment_adopt(m, err);
	if (st == TL_OK)
		st = master_database(m, err);
	if (st == TL_OK)
		st = control_open(m, err);
	return st;
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The schema first: the crew that serves knows how to live with it. */
static enum tl_status change_crew(struct master *m, struct tl_err *err)
{
	struct prepared p;
	enum tl_status st;

	prepare_begin(m);
	st = prepare_end(m, &p, err);
	if (st == TL_OK && m->crash_wanted)
		return crashed(err);
	if (st == TL_OK && p.status == TL_UNAVAILABLE)
		log_warn("the database is away (%s); the schema is not looked "
			 "at",
			 p.text);
	else if (st == TL_OK && p.status != TL_OK)
		st = tl_err_set(err, p.status, "database: %s", p.text);
	else if (st == TL_OK && p.migrations > 0)
		log_info("%u schema migrations applied", p.migrations);
	return st == TL_OK ? reload_crew(m, err) : st;
}

static enum tl_status forward(struct master *m, const struct handover *h,
			      struct tl_err *err)
{
	enum tl_status st = take_over(m, h, err);

	if (st != TL_OK) {
		upgrade_give_up(h, m->argv, err);
		return st; /* nobody can go on */
	}
	unblock_signals();
	master_reap(m);
	m->crew->serving = true;
	crew_spawn(m->crew, NULL);
	st = change_crew(m, err);
	if (st != TL_OK && m->stop == STOP_NO) {
		await_strangers(m);
		go_back(m, HANDOVER_BACK, err->text);
		refused(m, err->text);
	}
	return TL_OK;
}

/* The crew has stopped, and drained: a start, but with the sockets in which
 * clients wait. */
static enum tl_status afresh(struct master *m, const struct handover *h,
			     struct tl_err *err)
{
	enum tl_status st = handover_adopt(h, m, err);

	if (st != TL_OK) {
		upgrade_give_up(h, m->argv, err);
		return st;
	}
	unblock_signals();
	m->former_layout = handover_layout(h);
	m->must_serve = h->role == HANDOVER_BACK_AFRESH;
	st = master_start(m, err);
	if (st == TL_OK || m->stop != STOP_NO || h->role != HANDOVER_AFRESH)
		return st;
	log_error("the new program cannot start: %s", err->text);
	m->hold = true;
	master_pause(m);
	go_back(m, HANDOVER_BACK_AFRESH, err->text);
	return st;
}

/* The program before is this one again: nothing but to go on. */
static enum tl_status back(struct master *m, const struct handover *h,
			   struct tl_err *err)
{
	enum tl_status st = take_over(m, h, err);

	if (st != TL_OK)
		return st;
	unblock_signals();
	master_reap(m);
	m->crew->serving = true;
	crew_spawn(m->crew, NULL);
	return TL_OK;
}

static void upgraded(struct master *m)
{
	m->upgrades++;
	log_info("upgraded: version %s, %u workers", PACKAGE_VERSION,
		 m->crew->conf->server.workers);
	sdnotify_upgraded();
}

enum tl_status upgrade_resume(struct master *m, const struct handover *h,
			      struct tl_err *err)
{
	bool goes_back = h->role == HANDOVER_BACK ||
			 h->role == HANDOVER_BACK_AFRESH;
	enum tl_status st;

	m->upgrading = true;
	if (h->role == HANDOVER_FORWARD)
		st = forward(m, h, err);
	else if (h->role == HANDOVER_BACK)
		st = back(m, h, err);
	else
		st = afresh(m, h, err);
	close_kept(m);
	m->upgrading = false;
	if (st == TL_OK && goes_back)
		refused(m, handover_why(h));
	else if (st == TL_OK && m->upgrade_error[0] == '\0')
		upgraded(m);
	return st;
}
