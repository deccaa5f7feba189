/*
 * net.h - what a process that calls others sets up, after its fork.
 *
 * libcurl is loaded into children only: it may start threads, and a fork
 * would leave them behind.  SIGPIPE must be ignored.
 * Runs in: worker, runner.  Suspends: no.  Blocks: on reading egress.ca_file.
 */
#ifndef TALLY_NET_NET_H
#define TALLY_NET_NET_H

#include <stdint.h>

#include "base/status.h"

struct conf;
struct event_base;
struct net_rules;

/* base: the one of co_init, which comes first.  conf stays till net_deinit. */
enum tl_status net_init(struct event_base *base, const struct conf *conf,
			struct tl_err *err) TL_MUST_CHECK;
/* No call may be under way; before co_deinit.  Nothing if net_init failed. */
void net_deinit(void);
/* Those of this process, for checks of URLs that are to be stored. */
const struct net_rules *net_rules(void);

struct net_load {
	uint32_t calls, waiting;
};
struct net_load net_load(void);

#endif
