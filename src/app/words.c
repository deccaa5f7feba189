#include "app/words.h"

/* clang-format off */
static const struct shape_field user_status[] = {
	{ .name = "active" },
	{ .name = "suspended", .doc = "every request gets 403" },
	{ .name = NULL },
};
const struct shape WORDS_USER_STATUS = { "UserStatus", 0, user_status };

static const struct shape_field key_status[] = {
	{ .name = "active" },
	{ .name = "revoked", .doc = "for good, but for the grace of a "
				    "rotated key" },
	{ .name = NULL },
};
const struct shape WORDS_KEY_STATUS = { "KeyStatus", 0, key_status };

static const struct shape_field role[] = {
	{ .name = "admin", .doc = "the e-mail is in admin.emails" },
	{ .name = "user" },
	{ .name = NULL },
};
const struct shape WORDS_ROLE = { "Role", 0, role };

static const struct shape_field limit_algorithm[] = {
	{ .name = "sliding", .doc = "exact" },
	{ .name = "gcra", .doc = "evenly spread" },
	{ .name = NULL },
};
const struct shape WORDS_LIMIT_ALGORITHM = {
	"LimitAlgorithm", 0, limit_algorithm
};

static const struct shape_field limit_scope[] = {
	{ .name = "key" }, { .name = "user" }, { .name = "address" },
	{ .name = NULL },
};
const struct shape WORDS_LIMIT_SCOPE = { "LimitScope", 0, limit_scope };

static const struct shape_field decision_door[] = {
	{ .name = "api", .doc = "a route of the API" },
	{ .name = "gate", .doc = "/api/gate" },
	{ .name = "verify", .doc = "/api/verify" },
	{ .name = "record", .doc = "/api/usage/record" },
	{ .name = "validate", .doc = "/api/auth/validate" },
	{ .name = NULL },
};
const struct shape WORDS_DECISION_DOOR = {
	"DecisionDoor", 0, decision_door
};

static const struct shape_field decision_code[] = {
	{ .name = "ok", .doc = "let in" },
	{ .name = "unauthorized", .doc = "401" },
	{ .name = "forbidden", .doc = "403" },
	{ .name = "rate_limited", .doc = "429" },
	{ .name = "quota_exceeded", .doc = "429" },
	{ .name = "service_unavailable", .doc = "503" },
	{ .name = NULL },
};
const struct shape WORDS_DECISION_CODE = {
	"DecisionCode", 0, decision_code
};

static const struct shape_field decision_reason[] = {
	{ .name = "missing", .doc = "no key" },
	{ .name = "malformed", .doc = "it is no key" },
	{ .name = "two_keys", .doc = "two headers, two keys" },
	{ .name = "unknown", .doc = "no such key" },
	{ .name = "revoked", .doc = "the key is" },
	{ .name = "expired", .doc = "the key is" },
	{ .name = "suspended", .doc = "the user is" },
	{ .name = "address", .doc = "not among allowed_ips" },
	{ .name = "scope", .doc = "the key lacks one" },
	{ .name = "limit", .doc = "a rate limit" },
	{ .name = "quota", .doc = "the user's daily credits" },
	{ .name = "key_quota", .doc = "the key's own daily credits" },
	{ .name = "busy", .doc = "try again" },
	{ .name = "full", .doc = "a table of the segment is" },
	{ .name = "database", .doc = "it was needed and away" },
	{ .name = NULL },
};
const struct shape WORDS_DECISION_REASON = {
	"DecisionReason", 0, decision_reason
};
/* clang-format on */
