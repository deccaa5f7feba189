/*
 * webhooks_record.h - what is kept of a call: heads, and the start of a text.
 *
 * Pure.  Runs in: runner.  Suspends: no.
 */
#ifndef TALLY_APP_WEBHOOKS_WEBHOOKS_RECORD_H
#define TALLY_APP_WEBHOOKS_WEBHOOKS_RECORD_H

#include "base/mem.h"
#include "base/str.h"

struct fetch_reply;
struct fetch_request;

/* As JSON, in the arena; any bytes of the receiver become good UTF-8. */
struct tl_str webhook_request_json(struct tl_arena *a,
				   const struct fetch_request *rq);
/* with_body: of a failure, whose words may tell why. */
struct tl_str webhook_response_json(struct tl_arena *a,
				    const struct fetch_reply *reply,
				    bool with_body);
/*
 * Retry-After of an answer, in milliseconds and at most an hour: seconds, or
 * a date.  0: there is none that says something.
 */
uint64_t webhook_retry_after_ms(const struct fetch_reply *reply,
				int64_t now_s);

#endif
