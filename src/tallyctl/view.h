/*
 * view.h - the segment as documents: what status and stats show.
 *
 * Only reads; all figures are exact by themselves and together "as of about
 * now".  Works on the segment of a dead daemon too.
 */
#ifndef TALLY_TALLYCTL_VIEW_H
#define TALLY_TALLYCTL_VIEW_H

#include "codec/doc.h"
#include "conf/conf.h"
#include "shm/shm.h"

/* Processes that have a slot, with their age and whether they live. */
struct doc *view_process(const struct shm_slot *slot, struct tl_arena *a);
const struct doc *view_processes(const struct shm *s, struct tl_arena *a);
const struct doc *view_segment(const struct shm *s, const char *instance,
			       struct tl_arena *a);
const char *view_level_words(int64_t level);
/* Level, lag, what waits; capacity that is left. */
const struct doc *view_flush(const struct shm *s, struct tl_arena *a);
const struct doc *view_spool(const struct shm *s, const struct conf *conf,
			     struct tl_arena *a);
/* All counters summed over the processes, departed ones included. */
const struct doc *view_stats(const struct shm *s, struct tl_arena *a);

#endif
