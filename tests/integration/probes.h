/*
 * probes.h - requests on whose borders a proxy and a server may disagree.
 */
#ifndef TALLY_TESTS_PROBES_H
#define TALLY_TESTS_PROBES_H

#include <stddef.h>

struct probe {
	const char *name;
	const char *line; /* NULL: "POST $P HTTP/1.1" */
	const char *head; /* lines behind Host and X-Request-Id */
	const char *body;
};

/* What stands for what:
 *   $P  the path of the probe
 *   $S  the request that would be smuggled, whole
 *   $L  its length, $H the same in hex
 *   $M  its length and that of a last chunk, "0\r\n\r\n"
 *   $0  a NUL
 */
extern const struct probe PROBES[];
extern const unsigned N_PROBES;

/* That in a text, expanded; the caller's. */
char *probe_expand(const char *text, const char *path, const char *smuggled,
		   size_t *len_r);
/* The bytes and their number; the caller's.  id: X-Request-Id, `more` stands
 * behind the probe. */
char *probe_bytes(const struct probe *p, const char *path, const char *id,
		  const char *smuggled, const char *more, size_t *len_r);

#endif
