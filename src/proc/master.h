/*
 * master.h - what the master's files share.
 *
 * master.c      main loop, stop
 * start.c       lock, sockets, database, segment, the first crew
 * supervise.c   the table of children: spawn, ready, reap, respawn
 * spawn.c       one fork
 * segment.c     attach, verify, rescue
 * prepare.c     the database before anyone serves (a short-lived child)
 * reload.c      HUP
 * upgrade.c     USR2: another program in this one's place
 * handover.c    what it is told
 * control.c     what tallyctl asks over the socket
 *
 * The master waits in one way only: master_turn() runs its loop, in which
 * signals and deaths of children are seen to.  So start, reload and stop read
 * from top to bottom.
 */
#ifndef TALLY_PROC_MASTER_H
#define TALLY_PROC_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "conf/conf.h"
#include "proc/listen.h"
#include "proc/proc.h"
#include "shm/metrics.h"
#include "shm/shm.h"

struct ctl_call;
struct ctl_server;
struct event;
struct event_base;
struct master;
struct handover;
struct pgembed;

#define MASTER_SIGNALS 7
#define CRASHES_MAX    3 /* within a minute: the segment is given up */
#define MASTER_SLOT    0
#define START_TRIES    3 /* deaths before ready that end a start */

enum child_state { CHILD_NONE, CHILD_STARTING, CHILD_READY, CHILD_STOPPING };

/* A process that lives; its place in master.children is its slot. */
struct child {
	enum child_state state;
	pid_t pid;
	struct post *post; /* NULL: of a configuration before */
	const struct proc_kind *kind;
	uint32_t number;
	struct master *m;
	int ready_fd; /* -1 once it told */
	struct event *ready_event;
	uint64_t started_mono_ms;
	char why[480]; /* it said it cannot start */
	bool fresh;    /* begun by this program, not by the one before */
};

/* A process that should live: worker 3 of this configuration. */
struct post {
	struct crew *crew;
	const struct proc_kind *kind;
	uint32_t number;
	struct child *child;    /* NULL: dead, or not begun */
	unsigned short_lives;   /* in a row, for the back-off */
	unsigned failed_starts; /* in a row, never got ready */
	struct event *timer;
};

/* All processes of one configuration. */
struct crew {
	struct master *m;
	uint64_t generation;
	struct conf *conf; /* owned */
	struct listen_set *listens;
	struct post *posts;
	uint32_t n_posts;
	bool serving; /* all were ready once: from here on deaths are healed */
	bool failed;
	char why[600]; /* it failed */
};

enum master_stop { STOP_NO, STOP_GRACEFUL, STOP_FAST };

struct master {
	const struct conf_source *source;
	struct event_base *base;
	struct event *signals[MASTER_SIGNALS];
	struct event *second, *wake, *watchdog;
	int lock_fd;
	int life_pipe[2]; /* nobody writes: its end is the master's */
	struct tls_seed tls_seed; /* of session tickets */
	int flusher_eventfd;
	int task_eventfd;
	int commit_eventfds[SHM_SLOTS]; /* by slot */
	uint32_t n_commit_eventfds;
	struct pgembed *pg; /* NULL: database.url */
	char *conninfo;
	struct crew *crew;
	uint64_t generations;
	struct child children[SHM_SLOTS];
	/* segment */
	struct shm *shm;
	bool trusted; /* attached with all it knew, nothing to load first */
	/* database */
	pid_t prepare_pid;
	int prepare_fd;
	/* what signals and commands asked for */
	enum master_stop stop;
	unsigned stop_signals;
	bool reload_wanted, reloading, crash_wanted;
	bool upgrade_wanted, upgrading;
	bool hold; /* no respawn: the segment is being looked at */
	unsigned crashes;
	uint64_t crash_mono_ms[CRASHES_MAX];
	uint64_t step_mono_ms; /* the wall clock was set then; 0: it was not */
	bool clock_accepted;   /* an operator says that it is right */
	struct ctl_server *ctl;
	struct ctl_call *reload_call; /* answered by the reload */
	int control_fd; /* the program before listened there; -1 */
	/* upgrade */
	char **argv; /* for the next program, its path first */
	pid_t trial_pid;
	int conf_fd;   /* the configuration in force, for who takes over; -1 */
	int former_fd; /* the program to go back to; -1 */
	uint32_t former_layout; /* of the segment that it leaves; 0: not told */
	bool must_serve; /* there is no program to go back to */
	uint32_t upgrades;       /* tried, whatever came of it */
	char upgrade_error[480]; /* of the last; empty: it went well */
	bool killed_one; /* in the stop: the segment is not clean */
	bool flusher_killed; /* the same, and what it left waits */
	uint64_t started_mono_ms;
};

/* Runs the loop until something happened, due_mono_ms at the latest. */
void master_turn(struct master *m, uint64_t due_mono_ms);
struct shm_sizes master_sizes(const struct conf *conf);
/* Sees to children that have died. */
void master_reap(struct master *m);
/* All children stop and none is replaced; all start again. */
void master_pause(struct master *m);
void master_go_on(struct master *m);

/* start.c */
/* Sockets, lock and pipes that are there already are kept. */
enum tl_status master_start(struct master *m, struct tl_err *err) TL_MUST_CHECK;
/* The connection string; the embedded server when there is none. */
enum tl_status master_database(struct master *m,
			       struct tl_err *err) TL_MUST_CHECK;

/* supervise.c */
/* conf and listens are taken. */
struct crew *crew_new(struct master *m, struct conf *conf,
		      struct listen_set *listens);
void crew_free(struct crew **crew, const struct listen_set *still);
/* Starts what is missing of a kind (NULL: all) as far as slots are free. */
void crew_spawn(struct crew *crew, const struct proc_kind *kind);
/* The same at once, whatever the back-off says. */
void crew_revive(struct crew *crew, const struct proc_kind *kind);
bool crew_ready(const struct crew *crew, const struct proc_kind *kind);
const struct proc_kind *kind_find(const char *name);
bool child_reaped(struct master *m, pid_t pid, int status);
/* Kills runners whose loop stands still while a task is out of time. */
void children_watch(struct master *m);
void child_signal(struct child *c, int sig);
/* Signals every process of a rank; how many there are. */
unsigned children_signal(struct master *m, unsigned rank, int sig);
unsigned children_alive(const struct master *m, unsigned rank);
/* Those that this program began and that are not of the present crew:
 * signals them (0: none), and how many there are. */
unsigned children_strange(struct master *m, int sig);
/* TERM (or QUIT), then KILL at the end of time. */
void children_stop(struct master *m, unsigned rank, int sig, uint32_t limit_ms);

/* spawn.c */
enum tl_status spawn(struct master *m, struct post *post, uint32_t slot,
		     pid_t *pid_r, int *ready_fd_r,
		     struct tl_err *err) TL_MUST_CHECK;

/* In a child: the defaults, but deaf to what a terminal sends to all. */
void spawn_reset_signals(struct master *m);

/* segment.c */
enum tl_status segment_open(struct master *m, enum shm_found *found_r,
			    struct tl_err *err) TL_MUST_CHECK;
/* id: of the database, NULL when it is away. */
enum tl_status segment_settle(struct master *m, enum shm_found found,
			      const uint64_t id[2],
			      struct tl_err *err) TL_MUST_CHECK;
/* The one of the program before, which serves: takes it as it is. */
enum tl_status segment_adopt(struct master *m, struct tl_err *err) TL_MUST_CHECK;
/* Is it bound to the database that this state directory knew last? */
bool segment_of_this_state(const struct master *m);
/* All children are dead.  Verifies, or rescues and makes a new one. */
enum tl_status segment_examine(struct master *m, bool give_up,
			     struct tl_err *err) TL_MUST_CHECK;

/* prepare.c */
struct prepared { /* what the child tells */
	enum tl_status status;
	uint64_t id[2];
	uint32_t migrations;
	char text[480];
};
void prepare_begin(struct master *m);
/* TL_CANCELED: a stop was asked for. */
enum tl_status prepare_end(struct master *m, struct prepared *p_r,
			   struct tl_err *err) TL_MUST_CHECK;
/* Says so when admin.emails names a user whose key everybody knows. */
void warn_of_demo_admins(const struct conf *conf);

/* reload.c */
void reload(struct master *m);
/* The file's configuration and processes of this program, or all as before. */
enum tl_status reload_crew(struct master *m, struct tl_err *err) TL_MUST_CHECK;

/* upgrade.c */
void upgrade(struct master *m);
/* In the program that takes over, in place of master_start. */
enum tl_status upgrade_resume(struct master *m, const struct handover *h,
			      struct tl_err *err) TL_MUST_CHECK;

/* control.c */
enum tl_status control_open(struct master *m, struct tl_err *err) TL_MUST_CHECK;
void control_reloaded(struct master *m, const struct tl_err *err);

#endif
