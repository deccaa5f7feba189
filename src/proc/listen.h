/*
 * listen.h - the listening sockets of server.listen.
 *
 * The master makes and keeps them; workers inherit them.  A reload makes a
 * new set out of the old one: an address that both have keeps its socket, so
 * no queued connection is lost.
 * Runs in: master.  Suspends: no.  Blocks: never (addresses are numbers).
 */
#ifndef TALLY_PROC_LISTEN_H
#define TALLY_PROC_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "conf/conf.h"

struct listen_set;

/* One listener; borrowed of its set. */
struct listen_view {
	const char *address; /* as configured */
	const int *fds;
	uint32_t n_fds;
	bool manager; /* the service manager made it: its name is not ours */
};

/* old: NULL, or a set to reuse sockets of; it stays the caller's. */
enum tl_status listen_open(const struct conf *conf,
			   const struct listen_set *old,
			   struct listen_set **set_r,
			   struct tl_err *err) TL_MUST_CHECK;
/*
 * Sockets that the service manager passed (LISTEN_FDS, LISTEN_PID of
 * sd_listen_fds(3)), as a set to reuse; empty without any.  Each must be bound
 * to an address of server.listen.  Takes the words out of the environment.
 */
enum tl_status listen_passed(const struct conf *conf, struct listen_set **set_r,
			     struct tl_err *err) TL_MUST_CHECK;
/* For a set that another program of this process made. */
struct listen_set *listen_none(void);
void listen_add(struct listen_set *set, const struct listen_view *v);
struct listen_view listen_view(const struct listen_set *set, uint32_t i);
/* The sockets of one worker, listen_per_worker() of them. */
uint32_t listen_per_worker(const struct listen_set *set);
void listen_fds(const struct listen_set *set, uint32_t worker, int *fds_r);
/* Closes all; removes the names of Unix sockets that `still` does not hold. */
void listen_free(struct listen_set **set, const struct listen_set *still);

#endif
