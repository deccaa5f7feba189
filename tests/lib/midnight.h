/*
 * midnight.h - a daemon whose wall clock is near the end of a day.
 *
 * faketime.h tells where that is possible.
 */
#ifndef TALLY_TESTS_MIDNIGHT_H
#define TALLY_TESTS_MIDNIGHT_H

#include <stdbool.h>

/* False, and says why on stderr. */
bool midnight_possible(void);
/* Starts what fixture_prepare has prepared: in `seconds` its day ends. */
void midnight_up(int seconds);

#endif
