/*
 * http_rig.h - an HTTP server with made-up routes in a child, and a client
 * that sends exactly the bytes it is given.
 *
 * Routes: GET,POST /echo (answers the body, or "ok"), POST /large (bodies up
 * to 256 KiB, answers their length), GET /key (length of the credential),
 * GET /item/{id}, GET /slow (a coroutine that waits 100 ms), GET /query,
 * GET /api/mine (needs a key; RIG_KEY has five requests and three credits),
 * GET /pages/{file} and /none/{file} (of those directories below the web
 * directory), GET /hashed/{file} (of pages/hashed, whose names are hashes),
 * GET /openapi.json.
 */
#ifndef TALLY_TESTS_HTTP_RIG_H
#define TALLY_TESTS_HTTP_RIG_H

#include <stddef.h>
#include <sys/types.h>

struct conf;

#define RIG_KEY "rig_0123456789abcdef"

struct rig {
	pid_t pid;
	int port;
	char log_path[64];
};
typedef void (*rig_tweak_fn)(struct conf *conf);

/* tweak may be NULL; max_files 0: as inherited. */
void rig_start(struct rig *r, rig_tweak_fn tweak, unsigned max_files);
/* Asks it to stop, as SIGTERM does; it must end with 0 (no leak, too). */
void rig_stop(struct rig *r);

int rig_connect(const struct rig *r);
void rig_send(int fd, const void *p, size_t len); /* all of it */
/* One whole answer by its Content-Length (head: none follows). */
char *rig_read_one(int fd, int head);
/* All until the server closes; fails when it does not within seconds. */
char *rig_read_all(int fd);
/* New connection, these bytes, all that comes until it is closed. */
char *rig_closed(const struct rig *r, const char *bytes, size_t len);
unsigned rig_count(const char *text, const char *what);
#define RIG_CLOSED(r, lit) rig_closed((r), (lit), sizeof(lit) - 1)

#endif
