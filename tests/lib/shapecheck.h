/*
 * shapecheck.h - is a reply what its route says it is?
 *
 * Every answer that a test's client gets goes through here: the members of a
 * success by the route's `out`, those of a refusal by the one error form, and
 * the status by what the description of the API lists for the route.
 */
#ifndef TALLY_TESTS_SHAPECHECK_H
#define TALLY_TESTS_SHAPECHECK_H

#include "lib/client.h"

/* Ends the test with the route and the member that is wrong. */
void shapecheck(const char *method, const char *target, const struct reply *r);

#endif
