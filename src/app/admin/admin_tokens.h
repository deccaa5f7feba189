/*
 * admin_tokens.h - /api/admin/tokens: keys of all users, for admins.
 */
#ifndef TALLY_APP_ADMIN_ADMIN_TOKENS_H
#define TALLY_APP_ADMIN_ADMIN_TOKENS_H

#include "http/http.h"

extern const struct route ADMIN_TOKENS_ROUTES[];

#endif
