/*
 * spawn.c - one fork: title, signals, descriptors, slot, and into the kind's
 * main.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/master.h"
#include "proc/privileges.h"
#include "proc/title.h"

/* The master's handlers write into its own loop: none may run in a child. */
void spawn_reset_signals(struct master *m)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct sigaction ign = { .sa_handler = SIG_IGN };
	sigset_t none;

	/* libevent counts the signals of all loops of a process. */
	for (size_t i = 0; i < MASTER_SIGNALS; i++)
		event_del(m->signals[i]);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			sigaction(sig, &dfl, NULL);
	/* INT and HUP of a terminal reach the whole group; the master alone
	 * decides what they mean. */
	sigaction(SIGINT, &ign, NULL);
	sigaction(SIGHUP, &ign, NULL);
	sigaction(SIGPIPE, &ign, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors from 3 on but these. */
static void close_others(int *keep, size_t n)
{
	unsigned from = 3;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned)keep[i] > from)
			close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

static void keep_descriptors(const struct master *m, const struct proc *p)
{
	int *keep = tl_alloc_array(p->n_listen_fds + m->n_commit_eventfds + 4,
				   sizeof(*keep));
	size_t n = 0;

	keep[n++] = p->master_pipe;
	keep[n++] = p->ready_pipe;
	keep[n++] = p->flusher_eventfd;
	keep[n++] = p->task_eventfd;
	for (uint32_t i = 0; i < p->n_listen_fds; i++)
		keep[n++] = p->listen_fds[i];
	if (p->commit_eventfd >= 0)
		keep[n++] = p->commit_eventfd;
	for (uint32_t i = 0; i < p->n_commit_eventfds; i++)
		keep[n++] = p->commit_eventfds[i];
	close_others(keep, n);
	tl_free(keep);
}

/* The log's own descriptor is not in the list: it is opened anew.  Its level
 * is the master's, who may have been told another one than the file's. */
static void log_again(const struct conf *conf, const struct proc *p)
{
	struct tl_err err;

	if (conf_log_open(conf, &err) != TL_OK)
		log_error("%s; logging to stderr", err.text);
	log_set_process(p->kind->name, p->number);
}

static _Noreturn void in_child(struct master *m, struct post *post,
			       uint32_t slot, int ready_fd)
{
	struct crew *crew = post->crew;
	struct proc p = {
		.kind = post->kind,
		.number = post->number,
		.conf = crew->conf,
		.shm = m->shm,
		.conninfo = m->conninfo,
		.master_pipe = m->life_pipe[0],
		.commit_eventfd = -1,
		.flusher_eventfd = m->flusher_eventfd,
		.task_eventfd = m->task_eventfd,
		.ready_pipe = ready_fd,
		.refresh = crew->generation > 1,
	};
	struct shm_slot *s = &m->shm->slots[slot];
	int code;

	spawn_reset_signals(m);
	privileges_none();
	title_set("tallyd: %s %u", p.kind->name, p.number);
	if (p.kind->listens) {
		p.n_listen_fds = listen_per_worker(crew->listens);
		p.listen_fds = tl_alloc_array(p.n_listen_fds, sizeof(int));
		listen_fds(crew->listens, p.number, p.listen_fds);
		p.commit_eventfd = m->commit_eventfds[slot];
		p.tls_seed = m->tls_seed;
	} else {
		p.commit_eventfds = m->commit_eventfds;
		p.n_commit_eventfds = m->n_commit_eventfds;
	}
	/* a copy would stay here when the master has moved on */
	explicit_bzero(&m->tls_seed, sizeof(m->tls_seed));
	log_close();
	keep_descriptors(m, &p);
	log_again(crew->conf, &p);
	/* One more than the slot's last: no two lives have one identity. */
	shm_slot_take(m->shm, slot, p.kind->name, p.number,
		      (atomic_load(&s->identity) & 0xffffffffffffULL) + 1);
	atomic_store(&s->conf_generation, crew->generation);
	if (p.kind->protects)
		shm_protect_child(m->shm);
	code = p.kind->main(&p);
	tl_free(p.listen_fds);
	exit(code);
}

enum tl_status spawn(struct master *m, struct post *post, uint32_t slot,
		     pid_t *pid_r, int *ready_fd_r, struct tl_err *err)
{
	sigset_t all, before;
	int ready[2];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return tl_err_sys(err, "make a pipe");
	/* Until the child has its own handlers, the master's must not run. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		in_child(m, post, slot, ready[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ready[1]);
	if (pid < 0) {
		close(ready[0]);
		return tl_err_sys(err, "fork");
	}
	*pid_r = pid;
	*ready_fd_r = ready[0];
	return TL_OK;
}
