/*
 * bouncer.h - a pgbouncer in transaction mode before the server of a test.
 *
 * With fewer sessions than a daemon has processes.  It lives in the server's
 * directory and ends with the test.
 */
#ifndef TALLY_TESTS_BOUNCER_H
#define TALLY_TESTS_BOUNCER_H

#include <stdbool.h>

#include "lib/pgtest.h"

#define BOUNCER_SESSIONS 3

/* $TALLY_PGBOUNCER, else where packages put it; NULL: not installed. */
const char *bouncer_program(void);
/* Until it answers; the server runs. */
void bouncer_start(const struct pgtest *server);
void bouncer_kill9(void); /* if it runs */
/* All its sessions, as the next user finds them: with no settings of another
 * and no statements. */
void bouncer_expect_clean(const char *way);
/* The same database through it; the caller's. */
char *bouncer_way(const char *conninfo);

#endif
