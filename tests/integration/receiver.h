/*
 * receiver.h - somebody whom webhooks are sent to, or the application behind a
 * proxy, for tests.
 *
 * A process of its own with a thread for each call, so that calls overlap as
 * they come; what it saw and how it answers lie in shared memory.
 */
#ifndef TALLY_TESTS_RECEIVER_H
#define TALLY_TESTS_RECEIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RECEIVER_CALLS 8000

struct receiver_call {
	_Atomic bool whole; /* the rest is written */
	int status;         /* that it was answered with */
	char path[64], id[80], timestamp[32], signature[256];
	char head[4096]; /* as it came */
	char body[2048];
};
struct receiver {
	uint16_t port;
	/* How it answers. */
	_Atomic int status;     /* 200 */
	_Atomic int fail_first; /* so many calls get 500 */
	_Atomic int fail_percent;
	_Atomic unsigned delay_ms;
	char header[128]; /* one more, "Name: value\r\n" */
	char body[512];   /* with Content-Type: text/plain */
	/* What came. */
	_Atomic unsigned n, active, peak;
	struct receiver_call calls[RECEIVER_CALLS];
};

/* It ends with this process. */
struct receiver *receiver_start(void);
/* Whole calls of this path (NULL: any). */
unsigned receiver_count(const struct receiver *r, const char *path);
/* Those whose body has the text, answered 200. */
unsigned receiver_got(const struct receiver *r, const char *text);

#endif
