/*
 * handover.h - what one program of the master hands to the next.
 *
 * An upgrade replaces the program of the master, not the process: it executes
 * the new one with the same number, so its children stay its children, and
 * descriptors (listeners, lock, pipes) stay open.  What the new program must
 * know travels as a JSON object in a memory file, whose descriptor stands in
 * the environment.  Nothing of it is a secret that the process had not.
 *
 * Roles:
 *   trial    a child of the master: says whether this program could go on
 *   forward  take the crew over, put processes of your own in its place
 *   afresh   the crew has stopped; start, with the segment of another layout
 *   back     the new program could not: go on with the crew as it was
 *   back afresh  the same after afresh: start once more
 *
 * Runs in: master, and its trial.  Suspends: no.  Blocks: on memory files.
 */
#ifndef TALLY_PROC_HANDOVER_H
#define TALLY_PROC_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/doc.h"
#include "conf/conf.h"

struct master;

enum handover_role {
	HANDOVER_NONE,
	HANDOVER_TRIAL,
	HANDOVER_FORWARD,
	HANDOVER_AFRESH,
	HANDOVER_BACK,
	HANDOVER_BACK_AFRESH
};

struct handover {
	struct tl_arena arena;
	const struct doc *doc;
	enum handover_role role;
	int verdict_fd; /* trial: where to say it; else -1 */
};

/* *h_r is NULL in a program that nobody handed anything to. */
enum tl_status handover_receive(struct handover **h_r,
				struct tl_err *err) TL_MUST_CHECK;
void handover_free(struct handover **h);
/* The configuration that was in force; the caller's. */
enum tl_status handover_conf(const struct handover *h, struct conf **conf_r,
			     struct tl_err *err) TL_MUST_CHECK;

/* The master's state.  why: NULL, or why it goes back. */
const struct doc *handover_of(struct master *m, enum handover_role role,
			      const char *why, struct tl_arena *a);
/* The same object in another role. */
const struct doc *handover_again(const struct handover *h,
				 enum handover_role role, const char *why,
				 struct tl_arena *a);
/* Of a trial, which needs little: the configuration in force, the layout. */
const struct doc *handover_for_trial(struct master *m, int verdict_fd,
				     struct tl_arena *a);
/*
 * Executes the program with these words (NULL-ended) and the object.  Returns
 * only when that failed, with everything as it was before.
 */
enum tl_status handover_exec(const struct doc *doc, const char *program,
			     char *const *argv, struct tl_err *err);
/* Does this program begin with the configuration that was in force, and not
 * with the file's? */
bool handover_keeps_conf(const struct handover *h);
/* back: what the new program said. */
const char *handover_why(const struct handover *h);
/* Of the segment that the program before worked on. */
uint32_t handover_layout(const struct handover *h);
/* The descriptor of the program before, to go back to. */
int handover_former(const struct handover *h);
/* Takes descriptors, listeners and children into a fresh struct master whose
 * crew has the configuration of handover_conf. */
enum tl_status handover_adopt(const struct handover *h, struct master *m,
			      struct tl_err *err) TL_MUST_CHECK;
/* TL_VERSION: the segment has another layout (the role to ask for is then
 * afresh).  TL_INVALID: it has processes of a kind not known here. */
enum tl_status handover_check(const struct handover *h,
			      struct tl_err *err) TL_MUST_CHECK;

#endif
