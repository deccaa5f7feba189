/*
 * docs.h - the API's description, for programs and for people.
 */
#ifndef TALLY_APP_DOCS_DOCS_H
#define TALLY_APP_DOCS_DOCS_H

#include "http/http.h"

extern const struct route DOCS_ROUTES[];

#endif
