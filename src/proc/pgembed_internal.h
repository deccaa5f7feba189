/*
 * pgembed_internal.h - what pgembed.c (supervision) and pgembed_files.c
 * (binaries, user, directories, initdb) share.
 */
#ifndef TALLY_PROC_PGEMBED_INTERNAL_H
#define TALLY_PROC_PGEMBED_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

struct event;
struct event_base;

#define PGEMBED_PORT 5432 /* part of the socket's name only */
/* The data directory's descriptor in the server; its children inherit it. */
#define PGEMBED_DATA_FD   7
#define PGEMBED_DATA_PATH "/proc/self/fd/7"

struct pgembed {
	struct event_base *base;
	char *dir;    /* <state_dir>/pg */
	char *bindir; /* of initdb and postgres */
	char *user;   /* who runs it */
	uid_t uid;
	gid_t gid;
	bool drop;   /* we are root: change to uid, gid */
	int data_fd; /* the data directory, O_PATH */
	char *socket_dir;
	bool socket_dir_private; /* ours alone, under /tmp: removed at the end
				  */
	char *conninfo;
	uint32_t max_connections;
	/* supervision */
	pid_t pid; /* 0: none runs */
	int pidfd; /* of one that is not our child; else -1 */
	bool stopping;
	unsigned stops; /* how often it was asked to */
	unsigned fails;
	uint64_t started_mono_ms;
	struct event *gone_event;  /* pidfd is readable: it ended */
	struct event *start_event; /* start again, after the back-off */
};

/* pgembed_files.c */
enum tl_status pgembed_find_user(struct pgembed *pg, const char *wanted,
				 struct tl_err *err) TL_MUST_CHECK;
enum tl_status pgembed_find_binaries(struct pgembed *pg,
				     struct tl_err *err) TL_MUST_CHECK;
enum tl_status pgembed_data_open(struct pgembed *pg,
				 struct tl_err *err) TL_MUST_CHECK;
enum tl_status pgembed_socket_dir_make(struct pgembed *pg,
				       struct tl_err *err) TL_MUST_CHECK;
/* True when uid, gid may walk every directory above and in path. */
bool pgembed_may_walk(const char *path, uid_t uid, gid_t gid);
/*
 * In a forked child: becomes the server's user, keeps standard descriptors
 * (out is both output and error) and data_fd, and executes argv.
 */
_Noreturn void pgembed_exec(const struct pgembed *pg, int data_fd, int in,
			    int out, char *const argv[]);
int pgembed_log_open(const struct pgembed *pg);

#endif
