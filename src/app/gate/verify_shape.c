#include "app/gate/verify.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field credits_fields[] = {
	{ "limit", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits a day" },
	{ "used", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits used today, this request included" },
	{ "remaining", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits left today" },
	{ "resets_at", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "next midnight, UTC" },
	{ .name = NULL },
};
static const struct shape credits_shape = {
	"VerifyCredits", 0, credits_fields
};
static const struct shape_field rate_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "key, address, or the limit's own" },
	{ "limit", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what the window admits" },
	{ "remaining", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what is left of it" },
	{ "reset_ms", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "until the oldest request leaves the window" },
	{ "shadow_refused", SHAPE_BOOL, 0, REPLY, 0, 0, NULL,
	  "true: in shadow mode, and would have refused" },
	{ .name = NULL },
};
static const struct shape rate_shape = { "VerifyRate", 0, rate_fields };

static const struct shape_field code_fields[] = {
	{ .name = "ok" },
	{ .name = "unauthorized" },
	{ .name = "forbidden" },
	{ .name = "rate_limited" },
	{ .name = "quota_exceeded" },
	{ .name = "service_unavailable",
	  .doc = "the key has to be loaded and the database is away" },
	{ .name = NULL },
};
static const struct shape code_shape = { "VerifyCode", 0, code_fields };
static const struct shape_field reply_fields[] = {
	{ "valid", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "may it pass?" },
	{ "code", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &code_shape,
	  "ok, or what a request with the key would be refused with" },
	{ "reason", SHAPE_STR, 0, REPLY, 0, 0, NULL,
	  "why not, when it may not" },
	{ "retry_after_ms", SHAPE_INT, 0, REPLY, 0, 0, NULL,
	  "when to try again, where that helps" },
	{ "user_id", SHAPE_UUID, 0, REPLY, 0, 0, NULL,
	  "the key's owner, when the key is known" },
	{ "key_id", SHAPE_UUID, 0, REPLY, 0, 0, NULL, "the key" },
	{ "plan", SHAPE_STR, 0, REPLY, 0, 0, NULL, "the owner's plan" },
	{ "scopes", SHAPE_STRS, 0, REPLY, 0, 0, NULL,
	  "of the key; empty: all" },
	{ "credits", SHAPE_OBJECT, 0, REPLY, 0, 0, &credits_shape,
	  "the owner's day" },
	{ "rate", SHAPE_ARRAY, SHAPE_REQUIRED, REPLY, 0, 0, &rate_shape,
	  "the limits that applied" },
	{ "request_id", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "for tallyctl explain" },
	{ .name = NULL },
};
const struct shape VERIFY_REPLY_SHAPE = { "VerifyReply", 0, reply_fields };

static const struct shape_field batch_fields[] = {
	{ "results", SHAPE_ARRAY, SHAPE_REQUIRED, REPLY, 0, 0,
	  &VERIFY_REPLY_SHAPE, "one for each item, in order" },
	{ .name = NULL },
};
const struct shape VERIFY_BATCH_REPLY_SHAPE = {
	"VerifyBatchReply", 0, batch_fields
};
/* clang-format on */
