/*
 * pages.h - what a browser opens: the dashboard and the documentation.
 */
#ifndef TALLY_APP_PAGES_PAGES_H
#define TALLY_APP_PAGES_PAGES_H

#include "http/http.h"

extern const struct route PAGES_ROUTES[];

#endif
