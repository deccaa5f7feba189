/*
 * cluster.h - a throw-away PostgreSQL that a test may stop and kill.
 *
 * Made under the test's own directory on a Unix socket; as root the server
 * runs as user postgres.  fsync is off: what is killed here is processes,
 * not machines.  Needs world_init (world.h) before.
 */
#ifndef TALLY_TESTS_CLUSTER_H
#define TALLY_TESTS_CLUSTER_H

#include <signal.h>
#include <stdbool.h>

struct cluster;

/* Makes and starts it.  NULL: no PostgreSQL server is installed. */
struct cluster *cluster_new(void);
void cluster_free(struct cluster **c);

/* SIGINT: fast shutdown.  SIGQUIT: immediate.  SIGKILL.  Waits for the end. */
void cluster_stop(struct cluster *c, int sig);
void cluster_start(struct cluster *c); /* waits until it answers */
bool cluster_running(const struct cluster *c);

/* "host=... user=postgres dbname=NAME"; the caller's.  _create makes it. */
char *cluster_conninfo(const struct cluster *c, const char *dbname);
char *cluster_create_db(struct cluster *c);

#endif
