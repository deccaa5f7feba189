/*
 * pgtest.h - a throw-away PostgreSQL for tests.
 *
 * A cluster of its own in a fresh directory of /dev/shm or /tmp, copied from
 * the one that tests/lib/cluster.sh has made, if it has: Unix socket only,
 * unless told otherwise, no fsync.  As root it runs under the user postgres.
 * Any failure ends the test program with words, because there is nothing to
 * test without it.  It is also stopped when the program ends or is killed.
 * Forked tests (libcheck's) may stop and start it; what they start ends with
 * them, so a fixture that begins each test calls pgtest_resume, which does
 * nothing while the server runs. Runs in: tests.  Blocks: yes.
 */
#ifndef TALLY_TESTS_PGTEST_H
#define TALLY_TESTS_PGTEST_H

#include <stdbool.h>

struct pgtest;

/* /dev/shm, or /tmp where there is little room: a database is a thousand
 * files, and to make them took most of the tests' time. */
const char *pgtest_base(void);
struct pgtest *pgtest_start(void);
/* A streaming replica of one that runs; SELECT pg_promote() makes it more. */
struct pgtest *pgtest_standby(const struct pgtest *primary);
/* A database to make others from: migrated, with today's demo data or without;
 * NULL when this cluster has none. */
const char *pgtest_template(const struct pgtest *p, bool demo);
/* Superuser, database postgres; borrowed. */
const char *pgtest_conninfo(const struct pgtest *p);
const char *pgtest_dir(const struct pgtest *p); /* of the socket, borrowed */
/* Runs statements over a connection of its own, blocking. */
void pgtest_sql(const struct pgtest *p, const char *sql);
/* First column of the first row; the caller frees. */
char *pgtest_value(const struct pgtest *p, const char *sql);
/* Port 5432 of that address too, from the next start on: an address of
 * 127.0.0.0/8 that nobody else takes. */
void pgtest_listen(struct pgtest *p, const char *address);
void pgtest_kill9(struct pgtest *p); /* the postmaster and its children */
/* SIGSTOP to all of it: connections stay and nothing answers. */
void pgtest_freeze(const struct pgtest *p);
void pgtest_thaw(const struct pgtest *p);
void pgtest_halt(struct pgtest *p);    /* immediate shutdown, files stay */
void pgtest_resume(struct pgtest *p);  /* after kill9 or halt; until ready */
void pgtest_restart(struct pgtest *p); /* fast shutdown, then resume */
void pgtest_stop(struct pgtest **p);   /* and removes the directory */

#endif
