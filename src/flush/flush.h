/*
 * flush.h - what the flusher process does.
 *
 * Batches of usage to PostgreSQL exactly once; the spool when it is away;
 * baselines of today at start; plans and limits; change pick-up; the
 * janitor; group commit for strict answers.
 * Runs in: flusher.  Its work is coroutines on the process's loop.
 */
#ifndef TALLY_FLUSH_FLUSH_H
#define TALLY_FLUSH_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "conf/conf.h"
#include "shm/shm.h"

struct event_base;
struct flush;

struct flush_opts {
	struct event_base *base; /* co_init was called on it */
	const struct conf *conf;
	struct shm *shm;
	const char *conninfo;
	int wake_eventfd;           /* workers write: strict answer, policy */
	const int *commit_eventfds; /* to tell workers of committed_gen */
	uint32_t n_commit_eventfds;
	void (*ready)(void *arg); /* once: the first request may come */
	/* It can not go on: a gap, another database, fenced. */
	void (*failed)(void *arg, const char *why);
	void *arg;
};
enum tl_status flush_new(const struct flush_opts *o, struct flush **f_r,
			 struct tl_err *err) TL_MUST_CHECK;
/* Delivers everything to PostgreSQL or the spool, then done(arg, clean):
 * clean is false when usage stays in the segment only.  Workers are gone. */
void flush_drain(struct flush *f, void (*done)(void *arg, bool clean),
		 void *arg);
/* Re-read all keys, users, plans and limits that are held (SIGHUP). */
void flush_refresh_all(struct flush *f);
/* After the drain, or after co_live() fell to 0. */
void flush_free(struct flush **f);

/*
 * For the master, before a flusher runs: rescues a segment that can not be
 * attached into the spool of its epoch: sealed batches as they are, then what
 * is pending beyond them, then answers to Idempotency-Keys.  It may be done
 * twice: what is there already is not written again.
 */
enum tl_status flush_spool_salvage(const char *state_dir, const struct shm *old,
				   struct tl_err *err) TL_MUST_CHECK;
#endif
