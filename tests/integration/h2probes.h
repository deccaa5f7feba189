/*
 * h2probes.h - the like in HTTP/2, whose requests a proxy writes anew as
 * HTTP/1.1: what it does not look at becomes lines of a head.
 */
#ifndef TALLY_TESTS_H2PROBES_H
#define TALLY_TESTS_H2PROBES_H

#include <stdbool.h>
#include <stddef.h>

#define H2_HEADERS 4

/* Texts as in probes.h; NULL: what is usual. */
struct h2_probe {
	const char *name;
	const char *method, *path, *authority, *scheme;
	const char *headers[H2_HEADERS][2]; /* up to a NULL */
	const char *body;                   /* NULL: none */
	const char *trailer[2];
};
extern const struct h2_probe H2_PROBES[];
extern const unsigned N_H2_PROBES;

struct h2_request {
	const char *path, *id;
};

/* A connection's bytes: the probe on stream 1, then `next`, an honest request
 * on stream 3; the caller's. */
char *h2_bytes(const struct h2_probe *p, const struct h2_request *own,
	       const char *smuggled, const struct h2_request *next,
	       size_t *len_r);
/* Of what came so far: is stream 3 answered or given up? */
bool h2_done(const char *bytes, size_t len);

#endif
