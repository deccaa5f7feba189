/*
 * events_shape.c - what the events of GET /api/events look like.
 */
#include "app/events/events.h"
#include "app/metering/metering.h"
#include "app/words.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET

/* clang-format off */
static const struct shape_field request_fields[] = {
	{ "request_id", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "its X-Request-Id; explain tells more of it" },
	{ "key_id", SHAPE_UUID, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the key it was made with" },
	{ "door", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_DECISION_DOOR,
	  "where it was decided; api only when it cost credits" },
	{ "code", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_DECISION_CODE,
	  "the decision" },
	{ "reason", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &WORDS_DECISION_REASON, "of a refusal; null when it was let in" },
	{ "status", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the HTTP status of the answer" },
	{ "credits", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "credits that were charged" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was decided" },
	{ "date", SHAPE_DATE, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the day, UTC" },
	{ .name = NULL },
};
static const struct shape request_shape = {
	"RequestEvent", 0, request_fields
};

static const struct shape_field skipped_fields[] = {
	{ "requests", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "how many" },
	{ .name = NULL },
};
static const struct shape skipped_shape = {
	"SkippedEvent", 0, skipped_fields
};

static const struct shape_field reset_words[] = {
	{ .name = "too_old",
	  .doc = "more was decided since then than is kept" },
	{ .name = "unknown", .doc = "Last-Event-ID is none of this daemon's" },
	{ .name = NULL },
};
static const struct shape reset_reason_shape = {
	"ResetReason", 0, reset_words
};
static const struct shape_field reset_fields[] = {
	{ "reason", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0,
	  &reset_reason_shape, "why" },
	{ .name = NULL },
};
static const struct shape reset_shape = { "ResetEvent", 0, reset_fields };

static const struct shape_field bye_words[] = {
	{ .name = "revoked", .doc = "the key, or its right to this address" },
	{ .name = "suspended", .doc = "the account" },
	{ .name = "expired", .doc = "the key" },
	{ .name = "stopping", .doc = "a restart or reload; connect again" },
	{ .name = "limit", .doc = "the client does not keep up; connect "
				  "again" },
	{ .name = NULL },
};
static const struct shape bye_reason_shape = { "ByeReason", 0, bye_words };
static const struct shape_field bye_fields[] = {
	{ "reason", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &bye_reason_shape,
	  "why" },
	{ .name = NULL },
};
static const struct shape bye_shape = { "ByeEvent", 0, bye_fields };

static const struct shape_field events_fields[] = {
	{ "usage", SHAPE_OBJECT, 0, REPLY, 0, 0, &USAGE_SUMMARY_SHAPE,
	  "today's usage of the caller: at first, and when it has changed" },
	{ "request", SHAPE_OBJECT, 0, REPLY, 0, 0, &request_shape,
	  "a request of one of the caller's keys was decided" },
	{ "skipped", SHAPE_OBJECT, 0, REPLY, 0, 0, &skipped_shape,
	  "so many requests before the next one are not told one by one" },
	{ "reset", SHAPE_OBJECT, 0, REPLY, 0, 0, &reset_shape,
	  "events were missed: load anew what is shown" },
	{ "bye", SHAPE_OBJECT, 0, REPLY, 0, 0, &bye_shape,
	  "the last event: the server closes" },
	{ .name = NULL },
};
const struct shape EVENTS_SHAPE = { "Events", 0, events_fields };
/* clang-format on */
