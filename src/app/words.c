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
/* clang-format on */
