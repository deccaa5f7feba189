/*
 * fronts.h - a reverse proxy with a recipe of contrib, for tests.
 *
 * The recipe is taken as it stands there; only addresses, and where a test
 * says so its commented line for a tallyd that is down, are changed as an
 * operator would.  Each runs in the foreground with a directory of its own, as
 * nobody when the test is root, and ends with the test program.
 */
#ifndef TALLY_TESTS_FRONTS_H
#define TALLY_TESTS_FRONTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>

enum front_kind { FRONT_NGINX, FRONT_HAPROXY, FRONT_CADDY, FRONT_APACHE };
#define FRONT_KINDS 4

struct front {
	enum front_kind kind;
	const char *recipe; /* "gate" or "api" */
	uint16_t tallyd, app;
	bool open;       /* lets requests pass while tallyd is down */
	const char *ask; /* the gate's query; NULL: the recipe's */

	uint16_t port, h2_port; /* h2_port: HTTP/2 without TLS */
	pid_t pid;
	char *dir;
};

const char *front_name(enum front_kind kind);
/* $TALLY_NGINX and so on, else where packages put it; NULL: not installed. */
const char *front_program(enum front_kind kind);
/* As fixture_run; 77 where programs are missing, and says what to install.
 * The tests leave those out. */
int fronts_run(Suite *s);
/* kind to ask are given; waits until it listens. */
void front_start(struct front *f);
void front_stop(struct front *f);
/* A line for each request: method, target and the X-Request-Id of its answer
 * are in it.  The caller's; complete after the stop. */
char *front_access(const struct front *f);

#endif
