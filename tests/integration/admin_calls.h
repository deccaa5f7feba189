/*
 * admin_calls.h - what tests of the admin's routes share.
 *
 * The owner of the Business key is the admin; answers are in r.
 */
#ifndef TALLY_TESTS_ADMIN_CALLS_H
#define TALLY_TESTS_ADMIN_CALLS_H

#include "lib/fixture.h"

#define ADMIN     KEY_BUSINESS
#define ADMINS    "admin.emails=team@codexible.me"
#define WORKERS   "server.workers=4"
#define NOBODY    "00000000-0000-4000-8000-000000000000"

/* As the admin; body: JSON or NULL. */
void admin_send(const char *method, const char *target, const char *body);
#define get(target_) client_get(c, (target_), ADMIN, &r)
/* Rows of the list in r. */
size_t rows(void);
/* The id of what a POST has made, after a look at Location: base/ID.  Valid
 * for the next 3 calls, as path's. */
const char *made(const char *base);
const char *path(const char *fmt, ...) TL_PRINTF(1, 2);
/* Does every worker answer so at the gate? */
bool all_say(const char *key, const char *query, int status);
/* From Link to target; false: there is no next page. */
bool next_page(char target[400]);

#endif
