/*
 * top_queues.h - the queues of tasks, for top: asked of the database now and
 * then, beside everything else.
 *
 * Nobody waits for the answer: what was answered last is shown with its age.
 * Asking takes the database a twentieth of its time at most.
 * Runs in: tallyctl, one a process.
 */
#ifndef TALLY_TALLYCTL_TOP_QUEUES_H
#define TALLY_TALLYCTL_TOP_QUEUES_H

#include "tallyctl/tallyctl.h"

struct top_queues;
struct top_queues *top_queues_start(struct tallyctl *t);
void top_queues_stop(struct top_queues **q);
/* Goes on with what is under way for so long; 0: does what can be done at
 * once. */
void top_queues_turn(struct top_queues *q, uint32_t ms);
#define TOP_QUEUES_OLD_MS 20000 /* an older answer is no news */
/* {"list": what was answered last, "age_ms": of it, "problem": text}; each
 * may be null. */
const struct doc *top_queues_doc(const struct top_queues *q,
				 struct tl_arena *a);

#endif
