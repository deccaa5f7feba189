/*
 * admin_tasks_shape.c - bodies of the routes of tasks and queues.
 */
#include <stddef.h>

#include "app/admin/admin_tasks.h"

#define NONE      SHAPE_NO_OFFSET
#define REPLY     NONE, NONE, 0, 0, NULL
#define MUST      SHAPE_REQUIRED
#define MAYBE     (SHAPE_REQUIRED | SHAPE_NULLABLE)
#define NAME_MAX_ 100 /* of a task */
#define LIST_MAX  500
#define Q(m)      offsetof(struct admin_tasks_query, m)
#define R(m)      offsetof(struct task_replay, m)

/* clang-format off */
static const struct shape_field asked_fields[] = {
	{ .name = "ready", .doc = "runs as soon as there is room" },
	{ .name = "delayed", .doc = "waits for run_at" },
	{ .name = "active", .doc = "runs" },
	{ .name = "parked", .doc = "no runner has ever known its name" },
	{ .name = "dead", .doc = "ended without success, in any of the "
				 "following ways" },
	{ .name = "failed" },
	{ .name = "expired", .doc = "out of time" },
	{ .name = "lost", .doc = "its runner died too often" },
	{ .name = "cancelled" },
	{ .name = NULL },
};
static const struct shape asked_words = { "TaskState", 0, asked_fields };
static const struct shape_field query_fields[] = {
	{ "state", SHAPE_STR, 0, Q(which.state), NONE, 0, 0, &asked_words,
	  "those that stand so; default: those that are not finished" },
	{ "queue", SHAPE_STR, 0, Q(which.queue), NONE, 1, QUEUE_NAME_MAX, NULL,
	  "those of this queue" },
	{ "name", SHAPE_STR, 0, Q(which.name), NONE, 1, NAME_MAX_, NULL,
	  "those of this name" },
	{ "limit", SHAPE_INT, 0, Q(limit), NONE, 1, LIST_MAX, NULL,
	  "most tasks in the reply; default 100" },
	{ "cursor", SHAPE_STR, 0, Q(cursor), NONE, 1, HTTP_CURSOR_TEXT_MAX,
	  NULL, "from the Link of the page before" },
	{ .name = NULL },
};
const struct shape ADMIN_TASKS_QUERY_SHAPE = {
	"TaskListQuery", sizeof(struct admin_tasks_query), query_fields
};

#define TASK_FIELDS                                                            \
	{ "id", SHAPE_INT, MUST, REPLY, "its number" },                        \
	{ "state", SHAPE_STR, MUST, REPLY,                                     \
	  "ready, delayed, active, parked; how it ended: completed, failed, "  \
	  "expired, lost, cancelled" },                                        \
	{ "name", SHAPE_STR, MUST, REPLY, "what it is to do" },                \
	{ "queue", SHAPE_STR, MUST, REPLY, "where it waits" },                 \
	{ "tenant", SHAPE_STR, MUST, REPLY,                                    \
	  "whose turn it takes within the queue; empty: nobody's" },           \
	{ "priority", SHAPE_INT, MAYBE, REPLY, "higher goes first" },          \
	{ "attempt", SHAPE_INT, MUST, REPLY, "how often it was begun" },       \
	{ "cancelling", SHAPE_BOOL, MUST, REPLY,                               \
	  "it was cancelled while it ran, and has not ended yet" },            \
	{ "created_at", SHAPE_TIME, MUST, REPLY, "when it was sent" },         \
	{ "run_at", SHAPE_TIME, MAYBE, REPLY,                                  \
	  "when it may begin; null: it has ended" },                           \
	{ "ended_at", SHAPE_TIME, MAYBE, REPLY, "null: it has not" },          \
	{ "error", SHAPE_STR, MAYBE, REPLY, "why it ended so" }

static const struct shape_field task_fields[] = {
	TASK_FIELDS,
	{ .name = NULL },
};
const struct shape ADMIN_TASK_SHAPE = { "Task", 0, task_fields };

static const struct shape_field attempt_fields[] = {
	{ "attempt", SHAPE_INT, MUST, REPLY, "1, 2, and so on" },
	{ "outcome", SHAPE_STR, MUST, REPLY,
	  "completed, failed, expired, lost or cancelled" },
	{ "started_at", SHAPE_TIME, MAYBE, REPLY,
	  "null: its runner died before" },
	{ "ended_at", SHAPE_TIME, MUST, REPLY, "when" },
	{ "error", SHAPE_STR, MAYBE, REPLY, "why" },
	{ .name = NULL },
};
static const struct shape attempt_shape = { "TaskAttempt", 0, attempt_fields };
/* Of a task that went well only its attempts are left. */
static const struct shape_field whole_fields[] = {
	TASK_FIELDS,
	{ "failures", SHAPE_INT, MAYBE, REPLY,
	  "attempts that count towards retry_limit; null: it has ended" },
	{ "losses", SHAPE_INT, MAYBE, REPLY,
	  "attempts whose runner died; null: it has ended" },
	{ "payload", SHAPE_ANY, MAYBE, REPLY,
	  "what it was sent with; null: it went well" },
	{ "singleton_key", SHAPE_STR, MAYBE, REPLY,
	  "no other unfinished task of the queue has it" },
	{ "event_id", SHAPE_INT, MAYBE, REPLY, "the event that made it" },
	{ "retry_limit", SHAPE_INT, MAYBE, REPLY,
	  "attempts after the first that fails; null: it went well" },
	{ "retry_delay_ms", SHAPE_INT, MAYBE, REPLY,
	  "before the next attempt; null: it went well" },
	{ "retry_backoff", SHAPE_BOOL, MAYBE, REPLY,
	  "twice the delay each time; null: it went well" },
	{ "timeout_ms", SHAPE_INT, MAYBE, REPLY,
	  "of an attempt; null: it went well" },
	{ "attempts", SHAPE_ARRAY, MUST, NONE, NONE, 0, 0, &attempt_shape,
	  "how those that ended did, oldest first; with runner.audit = "
	  "failures without those that went well" },
	{ .name = NULL },
};
const struct shape ADMIN_TASK_WHOLE_SHAPE = { "TaskWhole", 0, whole_fields };

static const struct shape_field retry_fields[] = {
	{ "payload", SHAPE_ANY, SHAPE_NULLABLE,
	  offsetof(struct admin_tasks_retry, payload), NONE, 0, 0, NULL,
	  "an object in place of its own" },
	{ .name = NULL },
};
const struct shape ADMIN_TASK_RETRY_SHAPE = {
	"TaskRetry", sizeof(struct admin_tasks_retry), retry_fields
};

static const struct shape_field changed_fields[] = {
	{ "id", SHAPE_INT, MUST, REPLY, "of the task" },
	{ "outcome", SHAPE_STR, MUST, REPLY,
	  "sent; due: it waited; cancelled; cancelling: it runs still" },
	{ .name = NULL },
};
const struct shape ADMIN_TASK_CHANGED_SHAPE = {
	"TaskChanged", 0, changed_fields
};

static const struct shape_field end_fields[] = {
	{ .name = "failed" }, { .name = "expired" }, { .name = "lost" },
	{ .name = "cancelled" }, { .name = NULL },
};
static const struct shape end_words = { "TaskEnd", 0, end_fields };
static const struct shape_field replay_fields[] = {
	{ "queue", SHAPE_STR, 0, R(which.queue), NONE, 1, QUEUE_NAME_MAX, NULL,
	  "those of this queue" },
	{ "name", SHAPE_STR, 0, R(which.name), NONE, 1, NAME_MAX_, NULL,
	  "those of this name" },
	{ "since", SHAPE_TIME, 0, R(since_us), R(has_since), 0, 0, NULL,
	  "those that ended since then" },
	{ "state", SHAPE_STR, 0, R(which.state), NONE, 0, 0, &end_words,
	  "those that ended so; default: all but cancelled" },
	{ "max", SHAPE_INT, 0, R(max), NONE, 1, TASK_REPLAY_MAX, NULL,
	  "at most; default 1000" },
	{ .name = NULL },
};
const struct shape ADMIN_TASK_REPLAY_SHAPE = {
	"TaskReplay", sizeof(struct task_replay), replay_fields
};

static const struct shape_field replayed_fields[] = {
	{ "replayed", SHAPE_INT, MUST, REPLY, "tasks sent again" },
	{ "suppressed", SHAPE_INT, MUST, REPLY,
	  "tasks left where they are: an unfinished one has their singleton "
	  "key" },
	{ "more", SHAPE_BOOL, MUST, REPLY,
	  "max came before the end: there may be more of them" },
	{ .name = NULL },
};
const struct shape ADMIN_TASK_REPLAYED_SHAPE = {
	"TasksReplayed", 0, replayed_fields
};

static const struct shape_field queue_fields[] = {
	{ "queue", SHAPE_STR, MUST, REPLY, "its name" },
	{ "ready", SHAPE_INT, MUST, REPLY, "tasks that wait for room" },
	{ "delayed", SHAPE_INT, MUST, REPLY, "tasks that wait for their time" },
	{ "active", SHAPE_INT, MUST, REPLY, "tasks that run" },
	{ "parked", SHAPE_INT, MUST, REPLY,
	  "tasks whose name no runner has ever known" },
	{ "dead", SHAPE_INT, MUST, REPLY, "tasks that ended without success" },
	{ "oldest_at", SHAPE_TIME, MAYBE, REPLY,
	  "since when the oldest of the ready ones waits; null: there is "
	  "none" },
	{ "paused_at", SHAPE_TIME, MAYBE, REPLY, "null: it is open" },
	{ "concurrency", SHAPE_INT, MAYBE, REPLY,
	  "tasks at a time on a host; null: no limit" },
	{ "rate", SHAPE_INT, MAYBE, REPLY,
	  "tasks that begin in a window on a host; null: no limit" },
	{ "rate_window_ms", SHAPE_INT, MAYBE, REPLY, "of rate" },
	{ "tenant_concurrency", SHAPE_INT, MAYBE, REPLY,
	  "the same of each tenant" },
	{ "tenant_rate", SHAPE_INT, MAYBE, REPLY, "the same of each tenant" },
	{ "tenant_rate_window_ms", SHAPE_INT, MAYBE, REPLY, "of tenant_rate" },
	{ .name = NULL },
};
const struct shape ADMIN_QUEUE_SHAPE = { "Queue", 0, queue_fields };
/* clang-format on */
