/*
 * title.h - what ps(1) shows of a process.
 *
 * Linux shows the bytes of argv; title_init moves the environment away to
 * make room behind it.  Runs in: all processes.
 */
#ifndef TALLY_PROC_TITLE_H
#define TALLY_PROC_TITLE_H

#include "base/status.h"

void title_init(int argc, char **argv); /* first thing in main */
void title_deinit(void);
/* "tallyd: worker 0"; the short name (ps -C, top) stays "tallyd". */
void title_set(const char *fmt, ...) TL_PRINTF(1, 2);

#endif
