/*
 * faketime.h - a daemon whose wall clock is shifted with libfaketime.
 *
 * The monotonic clock is left alone, and so is the database's.  Not possible
 * where that library is not installed, and under sanitizers, which insist on
 * being first in LD_PRELOAD.
 */
#ifndef TALLY_TESTS_FAKETIME_H
#define TALLY_TESTS_FAKETIME_H

#include <stdbool.h>

struct daemon;

/* False, and says why on stderr. */
bool faketime_possible(void);
/* Of the daemon from its next start on; "+3600s". */
void faketime_shift(struct daemon *d, const char *shift);
/* The same, read from the file at each look at the clock. */
void faketime_file(struct daemon *d, const char *path);

#endif
