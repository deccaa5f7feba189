/*
 * proc.h - the processes: one table of kinds, one way to start each.
 *
 * The master forks them, watches and replaces them; fork, title, signals,
 * descriptors and back-off are written once.  A new kind is one row in
 * kinds.c and one _main.
 */
#ifndef TALLY_PROC_PROC_H
#define TALLY_PROC_PROC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "conf/conf.h"
#include "shm/shm.h"
#include "tls/tls.h"

struct event_base;
struct handover;

/* All a child gets; everything else is closed after fork. */
struct proc {
	const struct proc_kind *kind;
	uint32_t number; /* worker 0, 1, ... */
	const struct conf *conf;
	struct shm *shm;      /* slot taken */
	const char *conninfo; /* of the database, embedded or not */
	int *listen_fds;      /* kinds that listen */
	uint32_t n_listen_fds;
	struct tls_seed tls_seed; /* kinds that listen; all have the same */
	int master_pipe;            /* readable (EOF): the master died */
	int commit_eventfd;         /* this worker's; -1: not a worker */
	const int *commit_eventfds; /* flusher: all workers' */
	uint32_t n_commit_eventfds;
	int flusher_eventfd;
	int task_eventfd; /* wakes the runners; everybody's, never read */
	int ready_pipe; /* proc_ready, proc_fail; -1 when told */
	bool refresh; /* the configuration was reloaded: re-read what is held */
	struct event_base *base; /* made by proc_child_init */
	/* what the master asks, set by signals on the child's loop */
	void (*on_stop)(struct proc *p, bool graceful); /* TERM, QUIT */
	void *state;                                    /* the kind's own */
};

struct proc_kind {
	const char *name;            /* "worker" */
	int (*main)(struct proc *p); /* exit code */
	uint32_t (*count)(const struct conf *conf);
	bool listens, protects; /* protects: shared rules become read-only */
	bool runs_tasks; /* its death leaves claims behind */
	unsigned stop_rank; /* lower ranks stop first: workers 1, flusher 9 */
};
extern const struct proc_kind PROC_KINDS[]; /* ends with .name NULL */

int worker_main(struct proc *p);
int flusher_main(struct proc *p);
int scheduler_main(struct proc *p);
int runner_main(struct proc *p);

/* In a child: event base, signal events, master's death, heartbeat. */
enum tl_status proc_child_init(struct proc *p,
			       struct tl_err *err) TL_MUST_CHECK;
void proc_child_deinit(struct proc *p);
void proc_ready(struct proc *p); /* tells the master, slot READY */
/* Tells the master why this process cannot start or go on; logged there.
 * Returns the exit code, so that `return proc_fail(...)` reads well. */
int proc_fail(struct proc *p, const char *why);
int proc_child_run(struct proc *p); /* the loop; returns the exit code */
void proc_child_exit(struct proc *p, int code); /* ends the loop soon */
/* Cancels what still waits and lets it end; false: something does not. */
bool proc_coroutines_end(struct event_base *base, const char *why);

/* The master's life: returns the exit code of the program. */
struct master_opts {
	const struct conf_source *source; /* for reloads */
	struct conf *conf;                /* taken */
	char **argv; /* for who takes this program's place, path first */
	const struct handover *handover; /* NULL: a start of its own */
	int started_fd; /* gets the words of a failed start, or "" when it
			 * serves; -1 */
};
int master_run(struct master_opts *o);

/* In a trial: says whether this program could go on with that configuration;
 * the exit code. */
int upgrade_trial(const struct handover *h, const struct conf *fresh);
/* Where that did not come so far: a trial says why, one that was to take over
 * executes the program before and does not return. */
void upgrade_give_up(const struct handover *h, char *const *argv,
		     const struct tl_err *why);

#endif
