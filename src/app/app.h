/*
 * app.h - the features: all route tables, the API's table of contents.
 */
#ifndef TALLY_APP_APP_H
#define TALLY_APP_APP_H

#include "bus/bus.h"
#include "http/http.h"

/* NULL-terminated; handed to http_new by the worker. */
extern const struct route *const APP_TABLES[];
/* All tasks and events; handed to bus_open by who sends or runs them. */
extern const struct bus_tables APP_BUS;

#endif
