/*
 * router.h - finds the route of a path: the tables of all features, compiled.
 *
 * Paths without parameters lie in a hash table; patterns are compared segment
 * by segment, literals before parameters before "*", which as the last one
 * stands for all that follows.  A slash at the end is another path
 * (and thus not found).  Pure.  Runs in: worker.  Suspends: no.
 */
#ifndef TALLY_HTTP_ROUTER_H
#define TALLY_HTTP_ROUTER_H

#include "base/status.h"
#include "base/str.h"

struct route;
struct router;
struct router_match;

/* tables: NULL-terminated.  TL_INVALID: a row that can never be reached, or
 * that contradicts itself or another: ids are unique, lists have a shape. */
enum tl_status router_new(const struct route *const *tables,
			  struct router **r_r,
			  struct tl_err *err) TL_MUST_CHECK;
void router_free(struct router **r);
/* m_r->route NULL with m_r->allowed not 0: the method is not allowed. */
void router_find(const struct router *r, unsigned method, struct tl_str path,
		 struct router_match *m_r);
/* "GET, HEAD, POST" of a mask; NUL-terminated. */
#define ROUTER_ALLOW_TEXT 64
size_t router_allow(unsigned methods, char dst[ROUTER_ALLOW_TEXT]);

#endif
