/*
 * midnight.h - a daemon whose wall clock is near the end of a day.
 *
 * It is shifted with libfaketime; the monotonic clock is left alone, and so is
 * the database's.  Not possible where that library is not installed, and under
 * sanitizers, which insist on being first in LD_PRELOAD.
 */
#ifndef TALLY_TESTS_MIDNIGHT_H
#define TALLY_TESTS_MIDNIGHT_H

#include <stdbool.h>

/* False, and says why on stderr. */
bool midnight_possible(void);
/* Starts what fixture_prepare has prepared: in `seconds` its day ends. */
void midnight_up(int seconds);

#endif
