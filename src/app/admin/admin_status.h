/*
 * admin_status.h - how the whole installation does: users, keys, usage of
 * today over all users, the way of usage into the database.
 */
#ifndef TALLY_APP_ADMIN_ADMIN_STATUS_H
#define TALLY_APP_ADMIN_ADMIN_STATUS_H

#include "http/http.h"

extern const struct route ADMIN_STATUS_ROUTES[];

#endif
