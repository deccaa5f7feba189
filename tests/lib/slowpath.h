/*
 * slowpath.h - a way to the database that can be slow, cut or closed.
 *
 * A process between a daemon and the server's Unix socket.  It ends with the
 * test program.
 */
#ifndef TALLY_TESTS_SLOWPATH_H
#define TALLY_TESTS_SLOWPATH_H

#include <stdint.h>

struct pgtest;
struct slowpath;

struct slowpath *slowpath_start(const struct pgtest *server);
/* The same database through it; the caller's. */
char *slowpath_way(const struct slowpath *w, const char *conninfo);
/* Whatever a client sends waits for so long; a pipeline waits once. */
void slowpath_delay(struct slowpath *w, uint32_t ms);
/* Ends all connections that there are. */
void slowpath_cut(struct slowpath *w);
void slowpath_stop(struct slowpath **w);

#endif
