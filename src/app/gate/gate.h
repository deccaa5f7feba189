/*
 * gate.h - the doors where others ask about a key: gate and verify.
 */
#ifndef TALLY_APP_GATE_GATE_H
#define TALLY_APP_GATE_GATE_H

#include "http/http.h"

extern const struct route GATE_ROUTES[];

/* Handlers; each file has one reason. */
void gate_handle(struct req *req);
void gate_below_handle(struct req *req);
/* X-Tally-Status and X-Tally-Reason, and what deny=403 makes of it. */
unsigned gate_error(struct req *req, unsigned status, const char *code);
void verify_handle(struct req *req);
void verify_batch_handle(struct req *req);

/* A limit named by a caller exists, and its scope can be served: else the
 * 400 is sent and false returned.  where: "limit", "items[3].limits[0]". */
bool gate_limit_ok(struct req *req, const struct decide_extra *x,
		   bool have_address, const char *where);

#endif
