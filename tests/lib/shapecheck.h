/*
 * shapecheck.h - is a reply what its route says it is?
 *
 * Every answer that a test's client gets goes through here: the members of a
 * success by the route's `out`, those of a refusal by the one error form, and
 * the status by what the description of the API lists for the route.
 */
#ifndef TALLY_TESTS_SHAPECHECK_H
#define TALLY_TESTS_SHAPECHECK_H

#include "base/status.h"
#include "base/str.h"
#include "lib/client.h"

struct route;

/* The lines of one event of a stream: has it an id, and does the route list it
 * with these members? */
enum tl_status shapecheck_event(const struct route *route, struct tl_str event,
				struct tl_err *err) TL_MUST_CHECK;
/* Ends the test with the route and the member that is wrong. */
void shapecheck(const char *method, const char *target, const struct reply *r);

#endif
