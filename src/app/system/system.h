/*
 * system.h - routes about the daemon itself: health.
 */
#ifndef TALLY_APP_SYSTEM_SYSTEM_H
#define TALLY_APP_SYSTEM_SYSTEM_H

#include "http/http.h"

extern const struct route SYSTEM_ROUTES[];

void metrics_handle(struct req *req);

#endif
