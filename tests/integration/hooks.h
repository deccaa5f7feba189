/*
 * hooks.h - endpoints of webhooks as tests make, ask and await them.
 */
#ifndef TALLY_TESTS_HOOKS_H
#define TALLY_TESTS_HOOKS_H

#include "lib/fixture.h"
#include "receiver.h"

#include "net/signature.h"

extern struct receiver *rec; /* of hooks_up */

struct hook {
	char id[40], secret[96];
};

/* A receiver, and a daemon with a runner that may call it, with settings. */
#define hooks_up(...)                                                          \
	hooks_begin((const char *const[]){ NULL, ##__VA_ARGS__, NULL } + 1)
void hooks_begin(const char *const *settings);
/* Body of an endpoint at the receiver that wants all; members: "" or more. */
const char *hook_body(const char *members);
struct hook hook_make(const char *key, const char *members);
/* The answer is in `r`. */
void hook_get(const char *key, const struct hook *h, const char *more);
void hook_post(const char *key, const struct hook *h, const char *more,
	       const char *json);
void hook_patch(const char *key, const struct hook *h, const char *json);
void hook_delete(const char *key, const struct hook *h);
void key_delete(const char *key, const char *key_id);
/* In the database: deliveries in that state, calls made. */
int64_t hook_deliveries(const struct hook *h, const char *state);
int64_t hook_attempts(const struct hook *h);
/* Seconds from the last attempt to the next. */
int64_t hook_next_in_s(const struct hook *h);
/* Every delivery that waits for its next attempt is due now. */
void hooks_due(void);
enum signature_fault hook_verify(const struct receiver_call *call,
				 const char *secret);

#endif
