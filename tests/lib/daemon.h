/*
 * daemon.h - one running tallyd of a test.
 *
 * Starts the built program on a free port of 127.0.0.1 with a state
 * directory and an instance of its own, waits until it is ready, and knows
 * its processes.  A daemon that is not stopped dies with the test.
 */
#ifndef TALLY_TESTS_DAEMON_H
#define TALLY_TESTS_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pgtest;
struct json_object;

struct daemon {
	uint16_t port;
	pid_t pid;      /* master; 0 when not running */
	char *conninfo; /* of its database */
	char *state_dir, *log_file, *instance;
	char **argv;
	size_t argc;
	char **env; /* NAME=VALUE for the daemon only */
	size_t n_env;
};

#define DAEMON_MAX_CHILDREN 64

/* Of 127.0.0.1, and free now. */
uint16_t daemon_free_port(void);

/*
 * A fresh database in the server (NULL: the embedded PostgreSQL), demo data
 * seeded, then the settings "section.key=value" up to NULL on top.  _new
 * only prepares; _start also starts and waits until ready, or ends the test
 * with the log.
 */
struct daemon *daemon_new(struct pgtest *pg, const char *const *settings);
struct daemon *daemon_start(struct pgtest *pg, const char *const *settings);
#define DAEMON_SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* A new, empty database of the server: its conninfo, the caller's. */
char *daemon_database(struct pgtest *pg);
/* Of a daemon made without a server; conninfo becomes its own. */
void daemon_on_database(struct daemon *d, char *conninfo);
void daemon_set(struct daemon *d, const char *setting); /* before a spawn */
void daemon_setenv(struct daemon *d, const char *name_value);
void daemon_free(struct daemon **d); /* kills what still runs */

void daemon_spawn(struct daemon *d); /* exec, does not wait */
bool daemon_wait_ready(struct daemon *d, unsigned timeout_ms);
/* Sends sig to the master, waits for its end; wait(2) status, -1: no end. */
int daemon_stop(struct daemon *d, int sig, unsigned timeout_ms);
/* HUP, and waits until the log says that new workers serve. */
void daemon_hup(struct daemon *d);

/* Living children of the master whose title names the kind. */
size_t daemon_children(const struct daemon *d, const char *kind,
		       pid_t pids_r[DAEMON_MAX_CHILDREN]);
/* The only (or first) one, waited for up to 10 s. */
pid_t daemon_child(const struct daemon *d, const char *kind);

/*
 * Kills (SIGKILL) a random child of the kind that has lived min_age_ms: one
 * that dies within its first second is replaced with a delay.
 */
bool daemon_kill_child(const struct daemon *d, const char *kind,
		       unsigned min_age_ms);

char *daemon_log(const struct daemon *d); /* the caller's */
/* The end of it without access lines, for a failure's words; the caller's. */
char *daemon_story(const struct daemon *d);
/* tallyctl --json ARGS...; exit status, output as a tree (or NULL). */
int daemon_ctl(const struct daemon *d, struct json_object **json_r,
	       const char *const *args);

/* Until the condition holds or 15 s passed; what = for the failure. */
#define WAIT_UNTIL(cond)                                                       \
	do {                                                                   \
		unsigned wait_i_;                                              \
		for (wait_i_ = 0; wait_i_ < 1500 && !(cond); wait_i_++)        \
			test_sleep_ms(10);                                     \
	} while (0)

#endif
