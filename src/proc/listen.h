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

/* old: NULL, or a set to reuse sockets of; it stays the caller's. */
enum tl_status listen_open(const struct conf *conf,
			   const struct listen_set *old,
			   struct listen_set **set_r,
			   struct tl_err *err) TL_MUST_CHECK;
/* The sockets of one worker, listen_per_worker() of them. */
uint32_t listen_per_worker(const struct listen_set *set);
void listen_fds(const struct listen_set *set, uint32_t worker, int *fds_r);
/* Closes all; removes the names of Unix sockets that `still` does not hold. */
void listen_free(struct listen_set **set, const struct listen_set *still);

#endif
