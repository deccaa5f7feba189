/*
 * pgembed.h - the embedded PostgreSQL: a private cluster of this daemon.
 *
 * Lives in <state_dir>/pg: data/ the cluster, run/ the socket when its path is
 * short enough and the server's user may walk to it, postgresql.log.  Listens
 * on a Unix socket only and lets in root and its own user, both as the role
 * "tallyd".  Started by root it runs as another user, who need not be able to
 * walk to the state directory: the server gets its data directory as an open
 * descriptor (/proc/self/fd/N) and never uses the path.
 * Runs in: master.  Suspends: no.  Blocks: pgembed_open, while initdb runs.
 */
#ifndef TALLY_PROC_PGEMBED_H
#define TALLY_PROC_PGEMBED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "conf/conf.h"

struct event_base;
struct pgembed;

/* Finds binaries and user, makes the cluster at first, checks directories. */
enum tl_status pgembed_open(const struct conf *conf, struct event_base *base,
			    struct pgembed **pg_r,
			    struct tl_err *err) TL_MUST_CHECK;
/* Takes over the server that outlived its master, or starts one.  It accepts
 * connections some time later.  From here on it is restarted when it dies. */
enum tl_status pgembed_start(struct pgembed *pg,
			     struct tl_err *err) TL_MUST_CHECK;
/* A connection URI; lives as long as pg. */
const char *pgembed_conninfo(const struct pgembed *pg);
/* waitpid() gave this one: true when it was ours. */
bool pgembed_reaped(struct pgembed *pg, pid_t pid, int status);
bool pgembed_running(const struct pgembed *pg);
/* TL_SYSTEM: it ends again and again, right after each start. */
enum tl_status pgembed_check(const struct pgembed *pg,
			     struct tl_err *err) TL_MUST_CHECK;
/* Asks it to stop, each call harder: SIGINT, SIGQUIT, SIGKILL. */
void pgembed_stop(struct pgembed *pg);
/* Removes the socket directory when it lies outside of the state directory. */
void pgembed_free(struct pgembed **pg);

#endif
