/*
 * explain.h - why a request was let in or refused, for whose it was.
 */
#ifndef TALLY_APP_EXPLAIN_EXPLAIN_H
#define TALLY_APP_EXPLAIN_EXPLAIN_H

#include "http/http.h"

extern const struct route EXPLAIN_ROUTES[];

#endif
