/*
 * keys.h - API keys: list, make, rename, rotate, revoke.
 *
 * The same five acts serve a key's owner (/api/keys) and admins
 * (/api/admin/tokens); they differ in whose keys they reach.  A change is
 * committed first, then marked in the segment, then answered: it is effective
 * in every worker before its reply.
 * Runs in: worker.  Suspends: yes, all.
 */
#ifndef TALLY_APP_KEYS_KEYS_H
#define TALLY_APP_KEYS_KEYS_H

#include <stddef.h>

#include "http/http.h"
#include "tally/input.h"

extern const struct route KEYS_ROUTES[];
extern const struct shape KEY_VIEW_SHAPE, KEY_CREATED_SHAPE, KEY_NEW_SHAPE;
extern const struct shape KEY_LABEL_SHAPE, KEY_ROTATE_SHAPE;
extern const struct shape DELETED_SHAPE, UPDATED_SHAPE;

/* What a new key may be given; the struct of KEY_NEW_SHAPE. */
struct key_new {
	struct tl_uuid user_id; /* the admin's route; else the caller */
	struct tl_str label;
	int64_t expires_at_us, rate_limit, daily_credit_limit;
	struct shape_strs scopes, allowed_ips;
	const struct doc *metadata;
};
/* Before it is read: what absent and null members mean. */
#define KEY_NEW_INIT                                                           \
	{                                                                      \
		.label = TL_STR("Default"), .expires_at_us = INT64_MIN,        \
		.daily_credit_limit = -1                                       \
	}
/* Fields of both shapes of new keys; the admin's has user_id before. */
/* clang-format off */
#define KEY_NEW_FIELDS                                                         \
	{ "label", SHAPE_STR,                                                  \
	  SHAPE_TRIM | SHAPE_NO_CONTROL | SHAPE_NULLABLE,                      \
	  offsetof(struct key_new, label), SHAPE_NO_OFFSET, 1,                 \
	  TALLY_LABEL_MAX, NULL, "shown in lists; Default when absent" },      \
	{ "expires_at", SHAPE_TIME, SHAPE_NULLABLE,                            \
	  offsetof(struct key_new, expires_at_us), SHAPE_NO_OFFSET, 0, 0,      \
	  NULL, "when it stops working; in the future" },                      \
	{ "scopes", SHAPE_STRS, SHAPE_NULLABLE,                                \
	  offsetof(struct key_new, scopes), SHAPE_NO_OFFSET, 0,                \
	  TALLY_SCOPES_MAX, NULL, "what it may do; all when empty" },          \
	{ "allowed_ips", SHAPE_STRS, SHAPE_NULLABLE,                           \
	  offsetof(struct key_new, allowed_ips), SHAPE_NO_OFFSET, 0,           \
	  TALLY_NETWORKS_MAX, NULL,                                            \
	  "addresses and networks it may come from; any when empty" },         \
	{ "rate_limit", SHAPE_INT, SHAPE_NULLABLE,                             \
	  offsetof(struct key_new, rate_limit), SHAPE_NO_OFFSET, 1, INT32_MAX, \
	  NULL, "requests per limits.window_ms, for limits.key_count" },       \
	{ "daily_credit_limit", SHAPE_INT, SHAPE_NULLABLE,                     \
	  offsetof(struct key_new, daily_credit_limit), SHAPE_NO_OFFSET, 0,    \
	  INT32_MAX, NULL, "credits a day of this key, beside its owner's" },  \
	{ "metadata", SHAPE_ANY, SHAPE_NULLABLE,                               \
	  offsetof(struct key_new, metadata), SHAPE_NO_OFFSET, 0, 0, NULL,     \
	  "an object of yours, up to 4096 bytes as JSON" }
/* clang-format on */

/*
 * Each answers the request.  owner: the user whose keys may be reached; NULL
 * is everybody's.  A key that is not there, not theirs or revoked is one 404.
 */
void keys_create(struct req *req, const struct tl_uuid *user_id,
		 const struct key_new *k, const char *location);
void keys_rename(struct req *req, const struct tl_uuid *owner);
void keys_revoke(struct req *req, const struct tl_uuid *owner);
void keys_rotate(struct req *req, const struct tl_uuid *owner,
		 const char *location);

/* When a key was last used: the segment's word where it is newer than the
 * database's (0: never), which follows with a flush. */
int64_t keys_last_used_us(struct req *req, struct tl_str digest,
			  int64_t database_us);

/* limit, offset and cursor of lists; the struct of *_LIST_SHAPE. */
struct keys_page {
	int64_t limit, offset;
	struct tl_str cursor, text;
};
/* Where it starts: behind the cursor, else before everything.  False: the
 * cursor is bad, and the 400 is sent. */
bool keys_page_start(struct req *req, const struct keys_page *p,
		     struct http_cursor *from_r);

#endif
