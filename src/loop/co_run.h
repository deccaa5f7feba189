/*
 * co_run.h - another program, run by a coroutine that waits for its end.
 *
 * For work that must block, so that it has no place in a process with a loop,
 * and is rare enough to be worth a process of its own.
 * Suspends: yes.  Blocks the process: for the microseconds of a vfork.
 */
#ifndef TALLY_LOOP_CO_RUN_H
#define TALLY_LOOP_CO_RUN_H

#include "base/str.h"
#include "loop/co.h"

struct co_program {
	const char *path;
	char *const *argv; /* as of execve */
	char *const *env;
	size_t out_max_bytes; /* more is TL_FULL */
};

/*
 * Adds what it writes to stdout; stdin is empty, stderr stays ours.  *code_r:
 * its exit status, 128 and the signal when it was killed.  When the deadline
 * comes first, or we are cancelled, it is killed.  TL_NOT_FOUND: there is no
 * such program.
 */
enum tl_status co_run(const struct co_program *p, struct tl_buf *out,
		      int *code_r, struct tl_err *err) TL_MUST_CHECK;

#endif
