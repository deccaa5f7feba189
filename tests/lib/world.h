/*
 * world.h - what a test program makes in the world, and that it goes again.
 *
 * One directory for each program, in TMPDIR or where pgtest_base() says, and
 * names of segments that begin with its own tag.  At exit of the process that
 * called world_init all of it is removed, the segments too.
 */
#ifndef TALLY_TESTS_WORLD_H
#define TALLY_TESTS_WORLD_H

#include "base/status.h"

void world_init(void);
/* Removes what was made; called at exit, harmless to call twice. */
void world_deinit(void);
const char *world_tag(void);        /* "t12345" */
char *world_path(const char *name); /* in the directory; the caller's */
char *world_read(const char *path); /* whole file; "" when absent */
void world_die(const char *fmt, ...) TL_PRINTF(1, 2) __attribute__((noreturn));

/* A built program of this tree: "tallyd", "tallyctl"; the caller's.  Found
 * by $TALLY_BINDIR, else the current directory and its parents. */
char *world_program(const char *name);

#endif
