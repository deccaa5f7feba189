/*
 * ctl_command.c - the table of commands.
 */
#include "ctl/ctl.h"

static const struct ctl_arg stop_args[] = {
	{ "graceful", CTL_ARG_FLAG, NULL, false,
	  "wait for connections, up to server.drain_timeout_ms" },
	{ 0 },
};
static const struct ctl_arg explain_args[] = {
	{ "request_id", CTL_ARG_WORD, "REQUEST-ID", true,
	  "value of X-Request-Id" },
	{ 0 },
};
static const struct ctl_arg tail_args[] = {
	{ "filter", CTL_ARG_REST, "NAME=VALUE", false,
	  "show only decisions that match all" },
	{ "last", CTL_ARG_NUMBER, "N", false,
	  "begin with the newest N that match" },
	{ "once", CTL_ARG_FLAG, NULL, false, "do not follow" },
	{ 0 },
};
static const struct ctl_arg top_args[] = {
	{ "interval", CTL_ARG_NUMBER, "SECONDS", false, "default 2" },
	{ "count", CTL_ARG_NUMBER, "N", false, "end after so many" },
	{ "once", CTL_ARG_FLAG, NULL, false, "one, and no screen of its own" },
	{ 0 },
};
static const struct ctl_arg log_level_args[] = {
	{ "level", CTL_ARG_OPTIONAL, "LEVEL", false,
	  "error, warn, info or debug; default: show it" },
	{ 0 },
};
static const struct ctl_arg config_check_args[] = {
	{ "file", CTL_ARG_OPTIONAL, "FILE", false,
	  "default: what the daemon would read" },
	{ 0 },
};
static const struct ctl_arg config_dump_args[] = {
	{ "secrets", CTL_ARG_FLAG, NULL, false,
	  "show the passwords of [database], cron.token, tracing.headers" },
	{ 0 },
};
static const struct ctl_arg bench_args[] = {
	{ "seconds", CTL_ARG_NUMBER, "N", false, "each figure; default 1" },
	{ "keys", CTL_ARG_NUMBER, "N", false, "default 100000" },
	{ 0 },
};
static const struct ctl_arg completion_args[] = {
	{ "shell", CTL_ARG_WORD, "bash|zsh", true, "whose" },
	{ 0 },
};
static const struct ctl_arg key_create_args[] = {
	{ "email", CTL_ARG_WORD, "EMAIL", true, "the owner" },
	{ "label", CTL_ARG_TEXT, "TEXT", false, "default: Default" },
	{ "expires", CTL_ARG_TEXT, "TIME", false, "RFC 3339, or a date" },
	{ "scopes", CTL_ARG_TEXT, "A,B", false, "default: all" },
	{ "allowed_ips", CTL_ARG_TEXT, "CIDR,...", false, "default: any" },
	{ "rate_limit", CTL_ARG_NUMBER, "N", false, "requests a window" },
	{ "daily_limit", CTL_ARG_NUMBER, "N", false, "credits a day" },
	{ "metadata", CTL_ARG_TEXT, "JSON", false, "an object, yours" },
	{ 0 },
};
static const struct ctl_arg key_import_args[] = {
	{ "file", CTL_ARG_WORD, "FILE|-", true, "CSV or JSON Lines" },
	{ "user", CTL_ARG_TEXT, "EMAIL", false, "owner of lines without one" },
	{ "plan", CTL_ARG_TEXT, "NAME", false, "make unknown owners on it" },
	{ "format", CTL_ARG_TEXT, "csv|jsonl", false, "default: by its look" },
	{ "skip_bad", CTL_ARG_FLAG, NULL, false, "import the good lines" },
	{ "dry_run", CTL_ARG_FLAG, NULL, false, "check all, keep nothing" },
	{ 0 },
};
static const struct ctl_arg key_list_args[] = {
	{ "email", CTL_ARG_OPTIONAL, "EMAIL", false, "default: everybody" },
	{ "all", CTL_ARG_FLAG, NULL, false, "revoked keys too" },
	{ 0 },
};
static const struct ctl_arg key_args[] = { /* revoke, show */
	{ "key", CTL_ARG_WORD, "KEY-ID|PREFIX", true,
	  "prefix: when one active key has it" },
	{ 0 },
};
static const struct ctl_arg key_rename_args[] = {
	{ "key", CTL_ARG_WORD, "KEY-ID|PREFIX", true,
	  "prefix: when one active key has it" },
	{ "label", CTL_ARG_WORD, "LABEL", true, "as it is called then" },
	{ 0 },
};
static const struct ctl_arg key_rotate_args[] = {
	{ "key", CTL_ARG_WORD, "KEY-ID|PREFIX", true,
	  "prefix: when one active key has it" },
	{ "grace_seconds", CTL_ARG_NUMBER, "N", false,
	  "how long the old one still works" },
	{ 0 },
};
static const struct ctl_arg user_create_args[] = {
	{ "email", CTL_ARG_WORD, "EMAIL", true, "unique" },
	{ "plan", CTL_ARG_TEXT, "NAME", true, "name of a plan" },
	{ "name", CTL_ARG_TEXT, "TEXT", false, "default: none" },
	{ 0 },
};
static const struct ctl_arg backup_args[] = {
	{ "file", CTL_ARG_WORD, "FILE|-", true, "is written, or replaced" },
	{ "verify", CTL_ARG_FLAG, NULL, false, "only look whether it is whole" },
	{ 0 },
};
static const struct ctl_arg restore_args[] = {
	{ "file", CTL_ARG_WORD, "FILE", true, "of a backup" },
	{ "clean", CTL_ARG_FLAG, NULL, false,
	  "in place of what the database holds" },
	{ 0 },
};
static const struct ctl_arg user_args[] = { /* show, suspend, activate */
	{ "email", CTL_ARG_WORD, "EMAIL", true, "who" },
	{ 0 },
};
static const struct ctl_arg user_list_args[] = {
	{ "q", CTL_ARG_TEXT, "TEXT", false, "part of e-mail or name" },
	{ 0 },
};
static const struct ctl_arg user_set_args[] = {
	{ "email", CTL_ARG_WORD, "EMAIL", true, "who" },
	{ "plan", CTL_ARG_TEXT, "NAME", false, "name of a plan" },
	{ "name", CTL_ARG_TEXT, "TEXT", false, "empty: none" },
	{ 0 },
};
static const struct ctl_arg plan_create_args[] = {
	{ "plan", CTL_ARG_WORD, "NAME", true, "unique" },
	{ "daily_credits", CTL_ARG_NUMBER, "N", true, "of a user a day" },
	{ "price_cents", CTL_ARG_NUMBER, "N", true, "a month" },
	{ "rate_limit", CTL_ARG_NUMBER, "N", false,
	  "the feature that limits.from_plan looks at" },
	{ "features", CTL_ARG_REST, "FEATURE=VALUE", false, "anything" },
	{ 0 },
};
static const struct ctl_arg plan_set_args[] = {
	{ "plan", CTL_ARG_WORD, "NAME", true, "as it is called now" },
	{ "name", CTL_ARG_TEXT, "NAME", false, "as it is called then" },
	{ "daily_credits", CTL_ARG_NUMBER, "N", false, "of a user a day" },
	{ "price_cents", CTL_ARG_NUMBER, "N", false, "a month" },
	{ "rate_limit", CTL_ARG_NUMBER, "N", false,
	  "the feature that limits.from_plan looks at" },
	{ "features", CTL_ARG_REST, "FEATURE=VALUE", false,
	  "no value: take it away" },
	{ 0 },
};
static const struct ctl_arg queue_args[] = { /* pause, resume */
	{ "queue", CTL_ARG_WORD, "QUEUE", true, "which" },
	{ 0 },
};
static const struct ctl_arg queue_set_args[] = {
	{ "queue", CTL_ARG_WORD, "QUEUE", true, "which" },
	{ "concurrency", CTL_ARG_NUMBER, "N", false,
	  "tasks at a time on a host; 0: no limit" },
	{ "rate", CTL_ARG_NUMBER, "N", false,
	  "tasks that begin in a window on a host; 0: no limit" },
	{ "window", CTL_ARG_NUMBER, "SECONDS", false, "its length" },
	{ "tenant_concurrency", CTL_ARG_NUMBER, "N", false,
	  "the same of each tenant" },
	{ "tenant_rate", CTL_ARG_NUMBER, "N", false,
	  "the same of each tenant" },
	{ "tenant_window", CTL_ARG_NUMBER, "SECONDS", false,
	  "the same of each tenant" },
	{ 0 },
};
static const struct ctl_arg task_args[] = { /* cancel, show */
	{ "task", CTL_ARG_WORD, "TASK", true, "its number" },
	{ 0 },
};
static const struct ctl_arg task_list_args[] = {
	{ "dead", CTL_ARG_FLAG, NULL, false, "those that ended without success" },
	{ "state", CTL_ARG_TEXT, "STATE", false, "those that stand so" },
	{ "queue", CTL_ARG_TEXT, "QUEUE", false, "default: all" },
	{ "name", CTL_ARG_TEXT, "NAME", false, "default: all" },
	{ "last", CTL_ARG_NUMBER, "N", false, "newest so many; default 50" },
	{ 0 },
};
static const struct ctl_arg task_replay_args[] = {
	{ "queue", CTL_ARG_TEXT, "QUEUE", false, "those of this queue" },
	{ "name", CTL_ARG_TEXT, "NAME", false, "those of this name" },
	{ "since", CTL_ARG_TEXT, "TIME", false, "those that ended since then" },
	{ "state", CTL_ARG_TEXT, "STATE", false,
	  "how they ended; default: any but cancelled" },
	{ "max", CTL_ARG_NUMBER, "N", false, "at most; default 1000" },
	{ 0 },
};
static const struct ctl_arg task_retry_args[] = {
	{ "task", CTL_ARG_WORD, "TASK", true, "its number" },
	{ "payload", CTL_ARG_TEXT, "JSON", false, "in place of its own" },
	{ 0 },
};
static const struct ctl_arg limit_args[] = { /* show, delete */
	{ "limit", CTL_ARG_WORD, "NAME", true, "which" },
	{ 0 },
};
static const struct ctl_arg limit_create_args[] = {
	{ "limit", CTL_ARG_WORD, "NAME", true, "as in limit=NAME" },
	{ "count", CTL_ARG_NUMBER, "N", true, "how many in a window" },
	{ "window", CTL_ARG_NUMBER, "SECONDS", false, "its length" },
	{ "window_ms", CTL_ARG_NUMBER, "N", false, "the same, finer" },
	{ "algorithm", CTL_ARG_TEXT, "sliding|gcra", false,
	  "default: sliding" },
	{ "burst", CTL_ARG_NUMBER, "N", false, "of gcra; default: 1" },
	{ "scope", CTL_ARG_TEXT, "key|user|address", false, "default: key" },
	{ "shadow", CTL_ARG_FLAG, NULL, false, "count, refuse nothing" },
	{ 0 },
};
static const struct ctl_arg limit_set_args[] = {
	{ "limit", CTL_ARG_WORD, "NAME", true, "which" },
	{ "count", CTL_ARG_NUMBER, "N", false, "how many in a window" },
	{ "window", CTL_ARG_NUMBER, "SECONDS", false, "its length" },
	{ "window_ms", CTL_ARG_NUMBER, "N", false, "the same, finer" },
	{ "algorithm", CTL_ARG_TEXT, "sliding|gcra", false, "how it counts" },
	{ "burst", CTL_ARG_NUMBER, "N", false, "of gcra" },
	{ "shadow", CTL_ARG_TEXT, "on|off", false, "count, refuse nothing" },
	{ 0 },
};
static const struct ctl_arg limit_override_args[] = {
	{ "limit", CTL_ARG_WORD, "NAME", true, "which" },
	{ "user", CTL_ARG_TEXT, "EMAIL", false, "whose count" },
	{ "key", CTL_ARG_TEXT, "KEY-ID", false, "whose count" },
	{ "count", CTL_ARG_NUMBER, "N", false, "in place of the limit's" },
	{ "remove", CTL_ARG_FLAG, NULL, false, "as everybody again" },
	{ 0 },
};
static const struct ctl_arg cron_args[] = { /* run, pause, resume */
	{ "job", CTL_ARG_WORD, "JOB", true, "see 'cron list'" },
	{ 0 },
};
static const struct ctl_arg cron_history_args[] = {
	{ "job", CTL_ARG_OPTIONAL, "JOB", false, "default: all" },
	{ "last", CTL_ARG_NUMBER, "N", false, "newest so many; default 20" },
	{ 0 },
};
static const struct ctl_arg cron_set_args[] = {
	{ "job", CTL_ARG_WORD, "JOB", true, "see 'cron list'" },
	{ "schedule", CTL_ARG_TEXT, "EXPRESSION", false,
	  "five fields, or @hourly and the like" },
	{ "time_zone", CTL_ARG_TEXT, "NAME", false, "such as Europe/Berlin" },
	{ "defaults", CTL_ARG_FLAG, NULL, false,
	  "of what is not given: as tallyd comes" },
	{ 0 },
};
static const struct ctl_arg usage_args[] = {
	{ "user", CTL_ARG_OPTIONAL, "USER", false, "e-mail address or id" },
	{ "all", CTL_ARG_FLAG, NULL, false, "all users together" },
	{ "days", CTL_ARG_NUMBER, "N", false, "up to today; default 30" },
	{ "chart", CTL_ARG_FLAG, NULL, false, "bars, off a terminal too" },
	{ "csv", CTL_ARG_FLAG, NULL, false, "comma-separated, RFC 4180" },
	{ 0 },
};
static const struct ctl_arg webhook_list_args[] = {
	{ "text", CTL_ARG_OPTIONAL, "TEXT", false,
	  "part of e-mail, description or URL; default: all" },
	{ 0 },
};
static const struct ctl_arg webhook_replay_args[] = {
	{ "webhook", CTL_ARG_WORD, "WEBHOOK-ID", true, "see 'webhook list'" },
	{ "delivery", CTL_ARG_TEXT, "DELIVERY-ID", false, "this one" },
	{ "since", CTL_ARG_TEXT, "TIME", false,
	  "all that failed or was skipped since then" },
	{ 0 },
};
static const struct ctl_arg webhook_verify_args[] = {
	{ "secret_file", CTL_ARG_WORD, "SECRET-FILE", true, "whsec_..." },
	{ "body", CTL_ARG_WORD, "BODY-FILE|-", true, "as it was received" },
	{ "id", CTL_ARG_TEXT, "TEXT", false, "header webhook-id" },
	{ "timestamp", CTL_ARG_TEXT, "TEXT", false,
	  "header webhook-timestamp" },
	{ "signature", CTL_ARG_TEXT, "TEXT", false,
	  "header webhook-signature" },
	{ 0 },
};
static const struct ctl_arg migrate_up_args[] = {
	{ "to", CTL_ARG_NUMBER, "N", false, "highest to apply; default: all" },
	{ 0 },
};
static const struct ctl_arg migrate_down_args[] = {
	{ "to", CTL_ARG_NUMBER, "N", true,
	  "lowest to revert is N + 1; 0: all" },
	{ 0 },
};

const struct ctl_command CTL_COMMANDS[] = {
	{ "status", NULL, "processes, segment, flush, database, spool",
	  CTL_SEGMENT, true },
	{ "stats", NULL, "counters summed over all processes", CTL_SEGMENT,
	  false },
	{ "top", top_args, "what it does now, again and again", CTL_SEGMENT,
	  false },
	{ "explain", explain_args, "why a request was let in or refused",
	  CTL_SEGMENT, false },
	{ "tail", tail_args, "follow the decisions", CTL_SEGMENT, false },
	{ "reload", NULL, "read the configuration again", CTL_DAEMON, true },
	{ "stop", stop_args, "stop the daemon and wait until it is gone",
	  CTL_DAEMON, true },
	{ "upgrade", NULL, "the program as it is on disk now takes over",
	  CTL_DAEMON, true },
	{ "clock accept", NULL, "the wall clock, which was set, is right",
	  CTL_DAEMON, true },
	{ "log level", log_level_args,
	  "which lines are written, until the next reload", CTL_DAEMON, true },
	{ "config check", config_check_args, "is a configuration valid?",
	  CTL_SETTINGS, false },
	{ "config dump", config_dump_args, "every setting as it is in force",
	  CTL_SETTINGS, false },
	{ "bench", bench_args, "how fast this machine decides", CTL_NOTHING,
	  false },
	{ "completion", completion_args, "completions for a shell", CTL_NOTHING,
	  false },
	{ "database", NULL, "connection string of the daemon's database",
	  CTL_DAEMON, true },
	{ "doctor", NULL, "is everything in order, do the books balance?",
	  CTL_DATABASE, false },
	{ "cron history", cron_history_args, "runs of jobs, newest first",
	  CTL_DATABASE, false },
	{ "cron list", NULL, "jobs by the clock and their next five times",
	  CTL_DATABASE, false },
	{ "cron pause", cron_args, "a job runs only when it is asked for",
	  CTL_DATABASE, false },
	{ "cron resume", cron_args, "a job runs by its schedule again",
	  CTL_DATABASE, false },
	{ "cron run", cron_args, "run a job at once", CTL_DATABASE, false },
	{ "cron set", cron_set_args, "change when a job runs, on all hosts",
	  CTL_DATABASE, false },
	{ "key create", key_create_args, "make a key; shown this once",
	  CTL_DATABASE, false },
	{ "key import", key_import_args, "keys of another product, by hash",
	  CTL_DATABASE, false },
	{ "key list", key_list_args, "keys, newest first", CTL_DATABASE,
	  false },
	{ "key rename", key_rename_args, "another label for a key",
	  CTL_DATABASE, false },
	{ "key revoke", key_args, "end a key at once", CTL_DATABASE, false },
	{ "key rotate", key_rotate_args, "a new secret in a key's place",
	  CTL_DATABASE, false },
	{ "key show", key_args, "one key and its rules", CTL_DATABASE, false },
	{ "limit create", limit_create_args, "make a named limit",
	  CTL_DATABASE, false },
	{ "limit delete", limit_args, "remove a limit and its overrides",
	  CTL_DATABASE, false },
	{ "limit list", NULL, "all named limits", CTL_DATABASE, false },
	{ "limit override", limit_override_args,
	  "a count of its own for a user or a key", CTL_DATABASE, false },
	{ "limit set", limit_set_args, "change a limit", CTL_DATABASE, false },
	{ "limit show", limit_args, "a limit and its overrides", CTL_DATABASE,
	  false },
	{ "plan create", plan_create_args, "make a plan", CTL_DATABASE,
	  false },
	{ "plan list", NULL, "all plans", CTL_DATABASE, false },
	{ "plan set", plan_set_args, "change a plan", CTL_DATABASE, false },
	{ "queue list", NULL, "queues of tasks", CTL_DATABASE, false },
	{ "queue pause", queue_args, "begin none of its tasks",
	  CTL_DATABASE, false },
	{ "queue resume", queue_args, "begin its tasks again", CTL_DATABASE,
	  false },
	{ "queue set", queue_set_args, "limits of a queue", CTL_DATABASE,
	  false },
	{ "task cancel", task_args, "take a task out of the way",
	  CTL_DATABASE, false },
	{ "task list", task_list_args, "tasks, newest first", CTL_DATABASE,
	  false },
	{ "task replay", task_replay_args,
	  "send tasks again that ended without success", CTL_DATABASE,
	  false },
	{ "task retry", task_retry_args,
	  "send one task again that ended without success", CTL_DATABASE,
	  false },
	{ "task show", task_args, "a task and its attempts", CTL_DATABASE,
	  false },
	{ "user activate", user_args, "let a user in again", CTL_DATABASE,
	  false },
	{ "user create", user_create_args, "make a user and a first key",
	  CTL_DATABASE, false },
	{ "user list", user_list_args, "users, newest first", CTL_DATABASE,
	  false },
	{ "user set", user_set_args, "change plan or name of a user",
	  CTL_DATABASE, false },
	{ "user show", user_args, "one user", CTL_DATABASE, false },
	{ "user suspend", user_args, "keep a user out at once", CTL_DATABASE,
	  false },
	{ "usage", usage_args, "what a user has used, day by day",
	  CTL_DATABASE, false },
	{ "webhook list", webhook_list_args, "endpoints of all users",
	  CTL_DATABASE, false },
	{ "webhook replay", webhook_replay_args,
	  "send what did not arrive once more", CTL_DATABASE, false },
	{ "webhook verify", webhook_verify_args,
	  "which part of a signature is wrong?", CTL_NOTHING, false },
	{ "backup", backup_args, "database and segment in one file",
	  CTL_DATABASE, false },
	{ "restore", restore_args, "a backup becomes the database",
	  CTL_DATABASE, false },
	{ "migrate up", migrate_up_args, "apply schema migrations",
	  CTL_DATABASE, false },
	{ "migrate down", migrate_down_args, "revert schema migrations",
	  CTL_DATABASE, false },
	{ "migrate status", NULL, "list schema migrations", CTL_DATABASE,
	  false },
	{ 0 },
};
