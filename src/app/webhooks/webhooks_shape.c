/*
 * webhooks_shape.c - bodies of the webhook routes, and of what is told.
 */
#include "config.h"

#include "app/webhooks/webhooks.h"

#include "app/keys/keys.h"
#include "net/guard.h"

#define NONE        SHAPE_NO_OFFSET
#define N(m)        offsetof(struct webhook_new, m)
#define P(m)        offsetof(struct webhook_page, m)
#define RATE_MAX    100000
#define CALLS_MAX   100
#define EVENTS_MAX  32
#define OVERLAP_MAX (7 * 86400)
#define PAGE_MAX    100
#define ADMIN_MAX   500
#define SEARCH_MAX  100
#define OUT(kind_, name_, text)                                                \
	{                                                                      \
		.name = (name_), .kind = (kind_), .flags = SHAPE_REQUIRED,     \
		.offset = NONE, .has_offset = NONE, .doc = text                \
	}
#define OUT_NULL(kind_, name_, text)                                           \
	{                                                                      \
		.name = (name_), .kind = (kind_),                              \
		.flags = SHAPE_REQUIRED | SHAPE_NULLABLE, .offset = NONE,      \
		.has_offset = NONE, .doc = text                                \
	}
#define OUT_SUB(kind_, name_, sub_, text)                                      \
	{                                                                      \
		.name = (name_), .kind = (kind_), .flags = SHAPE_REQUIRED,     \
		.offset = NONE, .has_offset = NONE, .sub = (sub_), .doc = text \
	}

/* clang-format off */

/* ---- endpoints ---- */

static const struct shape_field reason_words[] = {
	{ .name = "gone", .doc = "it answered 410" },
	{ .name = "failing", .doc = "all calls of five days failed" },
	{ .name = NULL },
};
static const struct shape reason_shape = { "WebhookDisabledReason", 0,
					   reason_words };

#define VIEW_FIELDS                                                            \
	OUT(SHAPE_UUID, "id", "the endpoint"),                                 \
	OUT(SHAPE_STR, "url", "where it is called"),                           \
	OUT(SHAPE_STR, "description", "what its owner says of it"),            \
	OUT(SHAPE_STRS, "events", "what it is told; * is all"),                \
	OUT(SHAPE_BOOL, "enabled", "whether it is called"),                    \
	OUT(SHAPE_BOOL, "ordered",                                             \
	    "whether events of one subject come one after another")
#define STATE_FIELDS                                                           \
	{ "disabled_reason", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, NONE, \
	  NONE, 0, 0, &reason_shape,                                           \
	  "why tallyd disabled it; null: it did not" },                        \
	OUT_NULL(SHAPE_TIME, "failing_since",                                  \
		 "first failure behind the last success; null: none"),         \
	OUT(SHAPE_TIME, "created_at", "when it was made")
static const struct shape_field view_fields[] = {
	VIEW_FIELDS,
	OUT_NULL(SHAPE_INT, "rate_per_minute",
		 "most calls in a minute; null: any number"),
	OUT_NULL(SHAPE_INT, "concurrency",
		 "most calls at a time; null: ten"),
	STATE_FIELDS,
	OUT_NULL(SHAPE_TIME, "disabled_at", "when it was disabled"),
	OUT_NULL(SHAPE_TIME, "previous_secret_until",
		 "until then the secret before signs too"),
	OUT(SHAPE_TIME, "updated_at", "when it was last changed"),
	{ .name = NULL },
};
const struct shape WEBHOOK_VIEW_SHAPE = { "WebhookView", 0, view_fields };

static const struct shape_field admin_view_fields[] = {
	VIEW_FIELDS,
	STATE_FIELDS,
	OUT(SHAPE_UUID, "user_id", "whose it is"),
	OUT(SHAPE_STR, "user_email", "of that user"),
	OUT(SHAPE_INT, "unfinished", "deliveries under way"),
	{ .name = NULL },
};
const struct shape WEBHOOK_ADMIN_VIEW_SHAPE = { "AdminWebhookView", 0,
						admin_view_fields };

#define NEW_FIELDS(url_flags, events_flags)                                    \
	{ "url", SHAPE_STR, (url_flags) | SHAPE_TRIM | SHAPE_NO_CONTROL,       \
	  N(url), N(has_url), 1, NET_URL_MAX, NULL,                            \
	  "https, public and on a port that egress allows" },                  \
	{ "events", SHAPE_STRS, (events_flags), N(events), N(has_events), 1,   \
	  EVENTS_MAX, NULL, "names of events, or * for all" },                 \
	{ "description", SHAPE_STR, SHAPE_TRIM | SHAPE_NO_CONTROL,             \
	  N(description), N(has_description), 0, WEBHOOKS_DESCRIPTION, NULL,   \
	  "for its owner" },                                                   \
	{ "enabled", SHAPE_BOOL, 0, N(enabled), N(has_enabled), 0, 0, NULL,    \
	  "false: nothing is sent; of a new one, true" },                      \
	{ "ordered", SHAPE_BOOL, 0, N(ordered), N(has_ordered), 0, 0, NULL,    \
	  "true: events of one key, or of one user's usage, come one after "   \
	  "another, each when the one before arrived or was given up" },       \
	{ "rate_per_minute", SHAPE_INT, 0, N(rate_per_minute), N(has_rate), 0, \
	  RATE_MAX, NULL, "most calls in a minute; 0: any number" },           \
	{ "concurrency", SHAPE_INT, 0, N(concurrency), N(has_concurrency), 0,  \
	  CALLS_MAX, NULL, "most calls at a time; 0: ten" }
static const struct shape_field new_fields[] = {
	NEW_FIELDS(SHAPE_REQUIRED, SHAPE_REQUIRED),
	{ .name = NULL },
};
const struct shape WEBHOOK_NEW_SHAPE = {
	"WebhookNew", sizeof(struct webhook_new), new_fields
};
static const struct shape_field change_fields[] = {
	NEW_FIELDS(0, 0),
	{ .name = NULL },
};
const struct shape WEBHOOK_CHANGE_SHAPE = {
	"WebhookChange", sizeof(struct webhook_new), change_fields
};

static const struct shape_field created_fields[] = {
	OUT(SHAPE_UUID, "id", "the endpoint"),
	OUT(SHAPE_STR, "secret", "signs what is sent; shown this once"),
	{ .name = NULL },
};
const struct shape WEBHOOK_CREATED_SHAPE = { "WebhookCreated", 0,
					     created_fields };

static const struct shape_field rotate_fields[] = {
	{ "overlap_seconds", SHAPE_INT, 0, 0, NONE, 0, OVERLAP_MAX, NULL,
	  "how long the secret before signs too; default 86400" },
	{ .name = NULL },
};
const struct shape WEBHOOK_ROTATE_SHAPE = { "WebhookRotate", sizeof(int64_t),
					    rotate_fields };
static const struct shape_field rotated_fields[] = {
	OUT(SHAPE_UUID, "id", "the endpoint"),
	OUT(SHAPE_STR, "secret", "the new one; shown this once"),
	OUT_NULL(SHAPE_TIME, "previous_secret_until",
		 "until then the secret before signs too; null: it does not"),
	{ .name = NULL },
};
const struct shape WEBHOOK_ROTATED_SHAPE = { "WebhookRotated", 0,
					     rotated_fields };

static const struct shape_field tested_fields[] = {
	OUT(SHAPE_UUID, "delivery_id", "see the endpoint's deliveries"),
	{ .name = NULL },
};
const struct shape WEBHOOK_TESTED_SHAPE = { "WebhookTested", 0,
					    tested_fields };

/* ---- deliveries ---- */

static const struct shape_field state_words[] = {
	{ .name = "waiting", .doc = "behind an earlier one of its subject" },
	{ .name = "pending", .doc = "is being sent, or will be again" },
	{ .name = "delivered", .doc = "the receiver answered 2xx" },
	{ .name = "failed", .doc = "given up" },
	{ .name = "skipped", .doc = "the endpoint was disabled" },
	{ .name = NULL },
};
static const struct shape state_shape = { "WebhookDeliveryState", 0,
					  state_words };

static const struct shape_field attempt_fields[] = {
	OUT(SHAPE_INT, "attempt", "1, 2, ..."),
	OUT(SHAPE_TIME, "started_at", "when the call began"),
	OUT(SHAPE_INT, "duration_ms", "until its answer or its end"),
	OUT_NULL(SHAPE_INT, "status", "of the answer; null: none came"),
	OUT_NULL(SHAPE_STR, "error_code",
		 "HTTP_ERROR, SSRF_BLOCKED, INTERNAL_ERROR, or of the "
		 "transport; null: it arrived"),
	OUT_NULL(SHAPE_STR, "error", "the same in words"),
	OUT(SHAPE_ANY, "request", "method, url and headers"),
	OUT_NULL(SHAPE_ANY, "response",
		 "status, reason, some headers, and the beginning of a text or "
		 "why it was left out"),
	{ .name = NULL },
};
static const struct shape attempt_shape = { "WebhookAttempt", 0,
					    attempt_fields };
static const struct shape_field delivery_fields[] = {
	OUT(SHAPE_UUID, "id", "the delivery"),
	OUT(SHAPE_STR, "message_id", "webhook-id, the same in each attempt"),
	OUT(SHAPE_STR, "event", "its name"),
	OUT_SUB(SHAPE_STR, "state", &state_shape, "what became of it"),
	OUT(SHAPE_INT, "attempts", "calls made"),
	OUT(SHAPE_TIME, "created_at", "when it happened"),
	OUT_NULL(SHAPE_TIME, "next_at", "of the next attempt, when one failed"),
	OUT_NULL(SHAPE_TIME, "ended_at", "null: it is under way"),
	OUT(SHAPE_ANY, "body", "as it is sent"),
	OUT_SUB(SHAPE_ARRAY, "log", &attempt_shape,
		"the last 20 attempts, first one first"),
	{ .name = NULL },
};
const struct shape WEBHOOK_DELIVERY_SHAPE = { "WebhookDelivery", 0,
					      delivery_fields };

static const struct shape_field page_fields[] = {
	{ "limit", SHAPE_INT, 0, P(limit), NONE, 1, PAGE_MAX, NULL,
	  "most deliveries in the reply; default 50" },
	{ "cursor", SHAPE_STR, 0, P(cursor), NONE, 1, HTTP_CURSOR_TEXT_MAX,
	  NULL, "from the Link of the page before" },
	{ "state", SHAPE_STR, 0, P(state), NONE, 0, 0, &state_shape,
	  "only those in this state" },
	{ .name = NULL },
};
const struct shape WEBHOOK_PAGE_SHAPE = {
	"WebhookDeliveriesQuery", sizeof(struct webhook_page), page_fields
};
static const struct shape_field admin_page_fields[] = {
	{ "q", SHAPE_STR, 0, P(text), NONE, 0, SEARCH_MAX, NULL,
	  "part of e-mail, description or URL, in any case" },
	{ "limit", SHAPE_INT, 0, P(limit), NONE, 1, ADMIN_MAX, NULL,
	  "most endpoints in the reply; default 100" },
	{ "cursor", SHAPE_STR, 0, P(cursor), NONE, 1, HTTP_CURSOR_TEXT_MAX,
	  NULL, "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape WEBHOOK_ADMIN_PAGE_SHAPE = {
	"WebhookListQuery", sizeof(struct webhook_page), admin_page_fields
};

static const struct shape_field since_fields[] = {
	{ "since", SHAPE_TIME, SHAPE_REQUIRED, 0, NONE, 0, 0, NULL,
	  "those that happened since then" },
	{ .name = NULL },
};
const struct shape WEBHOOK_SINCE_SHAPE = { "WebhookReplay", sizeof(int64_t),
					   since_fields };
static const struct shape_field replayed_fields[] = {
	OUT(SHAPE_INT, "replayed", "deliveries that are sent again"),
	{ .name = NULL },
};
const struct shape WEBHOOK_REPLAYED_SHAPE = { "WebhookReplayed", 0,
					      replayed_fields };

/* ---- what is told ---- */

static const struct shape_field threshold_fields[] = {
	OUT(SHAPE_DATE, "date", "the day, in UTC"),
	OUT(SHAPE_INT, "threshold_percent", "50, 80, 90 or 100"),
	OUT(SHAPE_INT, "credits_used", "of that day"),
	OUT(SHAPE_INT, "daily_credit_limit", "of the user's plan"),
	{ .name = NULL },
};
static const struct shape threshold_shape = { "UsageThreshold", 0,
					      threshold_fields };
static const struct shape_field exceeded_fields[] = {
	OUT(SHAPE_DATE, "date", "the day, in UTC"),
	OUT(SHAPE_INT, "credits_used", "of that day, as it was told"),
	OUT(SHAPE_INT, "daily_credit_limit", "of the user's plan"),
	{ .name = NULL },
};
static const struct shape exceeded_shape = { "QuotaExceeded", 0,
					     exceeded_fields };
#define KEY_FIELDS                                                             \
	OUT(SHAPE_UUID, "key_id", "the key"),                                  \
	OUT(SHAPE_STR, "prefix", "its first characters"),                      \
	OUT(SHAPE_STR, "label", "what its owner calls it")
static const struct shape_field key_fields[] = {
	KEY_FIELDS,
	{ .name = NULL },
};
static const struct shape key_shape = { "KeyEvent", 0, key_fields };
static const struct shape_field rotated_key_fields[] = {
	KEY_FIELDS,
	OUT(SHAPE_UUID, "replaces_key_id", "the key before"),
	OUT_NULL(SHAPE_TIME, "grace_until",
		 "until then that one works; null: it does not"),
	{ .name = NULL },
};
static const struct shape rotated_key_shape = { "KeyRotated", 0,
						rotated_key_fields };
static const struct shape_field expiring_fields[] = {
	KEY_FIELDS,
	OUT(SHAPE_TIME, "expires_at", "when it stops working"),
	OUT(SHAPE_INT, "days", "7 or 1: it is less than that"),
	{ .name = NULL },
};
static const struct shape expiring_shape = { "KeyExpiring", 0,
					     expiring_fields };
static const struct shape_field disabled_fields[] = {
	OUT(SHAPE_UUID, "webhook_id", "the endpoint"),
	OUT(SHAPE_STR, "url", "where it was called"),
	OUT_SUB(SHAPE_STR, "reason", &reason_shape, "why"),
	{ .name = NULL },
};
static const struct shape disabled_shape = { "WebhookDisabled", 0,
					     disabled_fields };

/* Sent in SQL: the payload that the bus knows has user_id beside these. */
const struct event_def WEBHOOKS_EVENTS[] = {
	{ .name = "usage.threshold", .payload = &threshold_shape,
	  .doc = "50, 80, 90 or 100 % of the day's credits are used: each once "
		 "a day" },
	{ .name = "quota.exceeded", .payload = &exceeded_shape,
	  .doc = "the first request of a day was refused because the user's "
		 "credits of that day are used up" },
	{ .name = "key.created", .payload = &key_shape,
	  .doc = "a key was made or imported" },
	{ .name = "key.rotated", .payload = &rotated_key_shape,
	  .doc = "a key has a successor" },
	{ .name = "key.revoked", .payload = &key_shape,
	  .doc = "a key was revoked, or the grace of a rotated one ended" },
	{ .name = "key.expiring", .payload = &expiring_shape,
	  .doc = "a key expires within 7 days, and within one" },
	{ .name = "webhook.disabled", .payload = &disabled_shape,
	  .doc = "tallyd gave another endpoint up" },
	{ .name = NULL },
};
/* clang-format on */
