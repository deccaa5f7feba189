/*
 * listener.h - a client of GET /api/events on a raw socket, for tests.
 *
 * Every event is held to what the route says of it.
 */
#ifndef TALLY_TESTS_LISTENER_H
#define TALLY_TESTS_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define LISTENER_BYTES (1 << 20)

struct event {
	char name[32], id[64];
	struct json_object *data;
};
struct listener {
	int fd;
	char head[2048];
	char *buf; /* what was read and not yet used */
	size_t len;
	unsigned comments; /* that went by */
	struct event last; /* the newest one that was read */
};

/* Connects and asks; headers "Name: value\r\n..." or "".  rcvbuf 0: as the
 * system has it.  The answer's head is read; its status. */
int listen_to(struct listener *l, const char *key, const char *headers,
	      int rcvbuf);
/* The same, must be a stream; last_id may be NULL.  Its first event is read,
 * and is one of `usage` or `reset`. */
void listen_on(struct listener *l, const char *key, const char *last_id);
/* Waits for the next event.  False: the server closed. */
bool listen_next(struct listener *l);
/* Takes in what is there now, without waiting; counts events of that name. */
unsigned listen_drain(struct listener *l, const char *name);
/* Passes over others until one of that name; ends the test when none comes. */
void listen_until(struct listener *l, const char *name);
/* That, and then the end. */
void listen_bye(struct listener *l, const char *reason);
const char *event_str(const struct listener *l, const char *member);
int64_t event_num(const struct listener *l, const char *member);
void listen_close(struct listener *l);
/* Value of a figure of /metrics, asked with the fixture's client. */
double metric(const char *series);

#endif
