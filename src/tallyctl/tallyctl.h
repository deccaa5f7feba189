/*
 * tallyctl.h - what the commands of tallyctl share.
 *
 * Each command is one function: it prints its result (one JSON object with
 * --json, words without) and returns the exit status.  Complaints go to
 * stderr and say what to do.
 */
#ifndef TALLY_TALLYCTL_TALLYCTL_H
#define TALLY_TALLYCTL_TALLYCTL_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/doc.h"
#include "conf/conf.h"
#include "ctl/ctl.h"
#include "shm/shm.h"

/* Documented in tallyctl(8). */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_NOT_FOUND = 4,
	EXIT_DATABASE = 69, /* EX_UNAVAILABLE of sysexits.h */
};

struct tallyctl {
	const struct conf *conf;
	bool json;
	struct tl_arena *arena;
	const struct doc *args; /* checked against the command's table */
};

typedef enum exit_status (*tallyctl_fn)(struct tallyctl *t);
enum exit_status cmd_status(struct tallyctl *t);
enum exit_status cmd_stats(struct tallyctl *t);
enum exit_status cmd_top(struct tallyctl *t);
enum exit_status cmd_explain(struct tallyctl *t);
enum exit_status cmd_tail(struct tallyctl *t);
enum exit_status cmd_reload(struct tallyctl *t);
enum exit_status cmd_upgrade(struct tallyctl *t);
enum exit_status cmd_clock_accept(struct tallyctl *t);
enum exit_status cmd_stop(struct tallyctl *t);
enum exit_status cmd_log_level(struct tallyctl *t);
enum exit_status cmd_config_check(struct tallyctl *t);
enum exit_status cmd_config_dump(struct tallyctl *t);
enum exit_status cmd_bench(struct tallyctl *t);
enum exit_status cmd_completion(struct tallyctl *t);
enum exit_status cmd_database(struct tallyctl *t);
enum exit_status cmd_doctor(struct tallyctl *t);
enum exit_status cmd_cron_history(struct tallyctl *t);
enum exit_status cmd_cron_list(struct tallyctl *t);
enum exit_status cmd_cron_pause(struct tallyctl *t);
enum exit_status cmd_cron_resume(struct tallyctl *t);
enum exit_status cmd_cron_run(struct tallyctl *t);
enum exit_status cmd_cron_set(struct tallyctl *t);
enum exit_status cmd_key_create(struct tallyctl *t);
enum exit_status cmd_key_import(struct tallyctl *t);
enum exit_status cmd_key_list(struct tallyctl *t);
enum exit_status cmd_key_rename(struct tallyctl *t);
enum exit_status cmd_key_revoke(struct tallyctl *t);
enum exit_status cmd_key_rotate(struct tallyctl *t);
enum exit_status cmd_key_show(struct tallyctl *t);
enum exit_status cmd_limit_create(struct tallyctl *t);
enum exit_status cmd_limit_delete(struct tallyctl *t);
enum exit_status cmd_limit_list(struct tallyctl *t);
enum exit_status cmd_limit_override(struct tallyctl *t);
enum exit_status cmd_limit_set(struct tallyctl *t);
enum exit_status cmd_limit_show(struct tallyctl *t);
enum exit_status cmd_plan_create(struct tallyctl *t);
enum exit_status cmd_plan_list(struct tallyctl *t);
enum exit_status cmd_plan_set(struct tallyctl *t);
enum exit_status cmd_queue_list(struct tallyctl *t);
enum exit_status cmd_queue_pause(struct tallyctl *t);
enum exit_status cmd_queue_resume(struct tallyctl *t);
enum exit_status cmd_queue_set(struct tallyctl *t);
enum exit_status cmd_task_cancel(struct tallyctl *t);
enum exit_status cmd_task_list(struct tallyctl *t);
enum exit_status cmd_task_replay(struct tallyctl *t);
enum exit_status cmd_task_retry(struct tallyctl *t);
enum exit_status cmd_task_show(struct tallyctl *t);
enum exit_status cmd_user_activate(struct tallyctl *t);
enum exit_status cmd_user_create(struct tallyctl *t);
enum exit_status cmd_user_list(struct tallyctl *t);
enum exit_status cmd_user_set(struct tallyctl *t);
enum exit_status cmd_user_show(struct tallyctl *t);
enum exit_status cmd_user_suspend(struct tallyctl *t);
enum exit_status cmd_webhook_list(struct tallyctl *t);
enum exit_status cmd_webhook_replay(struct tallyctl *t);
enum exit_status cmd_webhook_verify(struct tallyctl *t);
enum exit_status cmd_backup(struct tallyctl *t);
enum exit_status cmd_restore(struct tallyctl *t);
enum exit_status cmd_usage(struct tallyctl *t);
enum exit_status cmd_migrate_up(struct tallyctl *t);
enum exit_status cmd_migrate_down(struct tallyctl *t);
enum exit_status cmd_migrate_status(struct tallyctl *t);

/* Who the audit log says it was. */
#define TALLYCTL_ACTOR TL_STR("tallyctl")

/* Prints "tallyctl: ..." to stderr and returns the status it was given. */
enum exit_status complain(enum exit_status status, const char *fmt, ...)
	TL_PRINTF(2, 3);
/* One line on stdout, flushed. */
void print_json(const struct doc *d);
/* Moments and ages for people and documents. */
const char *time_text(struct tl_arena *a, int64_t wall_us);
/* "3 d 4 h", "5 min 6 s", "7 s", "8 ms"; below 0: never. */
const char *span_text(struct tl_arena *a, int64_t ms);
const char *ago_text(struct tl_arena *a, int64_t ms);
/* Of a document made here: -1 and "-" when there is no such number or text. */
int64_t member_number(const struct doc *o, const char *name);
const char *member_text(const struct doc *o, const char *name);

/*
 * One question to the daemon on a connection of its own.  TL_UNAVAILABLE: it
 * is not running.  TL_DEADLINE: it hangs.
 */
enum tl_status daemon_ask(struct tallyctl *t, const char *cmd,
			  uint32_t timeout_ms, const struct doc **result_r,
			  struct tl_err *err) TL_MUST_CHECK;

/* The segment of the instance, read-only. */
enum exit_status segment_open(struct tallyctl *t, struct shm **shm_r);
/* For those that follow it: true when another one has taken its place, made
 * anew or with other sizes; *s is that one then. */
bool segment_reopen(struct tallyctl *t, struct shm **s);

#endif
