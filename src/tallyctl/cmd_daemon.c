/*
 * cmd_daemon.c - reload, upgrade, stop, clock accept, log level, database: what
 * goes over the control socket.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tallyctl/tallyctl.h"

#define ASK_MS    5000
#define RELOAD_MS 120000
#define UPGRADE_MS 180000
#define UPGRADE_LOOK_MS 50
/* What a stop may take beside its own limits: the last flush, PostgreSQL. */
#define STOP_EXTRA_MS 60000

static enum exit_status complain_daemon(enum tl_status st,
					const struct tl_err *err)
{
	switch (st) {
	case TL_UNAVAILABLE:
		return complain(EXIT_NOT_RUNNING, "%s; is tallyd running?",
				err->text);
	case TL_DEADLINE:
		return complain(EXIT_FAILED,
				"%s; see 'tallyctl status' and the log",
				err->text);
	default:
		return complain(EXIT_FAILED, "%s", err->text);
	}
}

enum exit_status cmd_reload(struct tallyctl *t)
{
	const struct doc *result;
	struct tl_err err;
	enum tl_status st;

	st = daemon_ask(t, "reload", RELOAD_MS, &result, &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	if (t->json)
		print_json(result);
	else
		(void)puts("reloaded: the new configuration is in use");
	return EXIT_OK;
}

/*
 * The daemon answers that it begins, then executes the new program: that
 * closes this connection and, when it is done, one more upgrade is counted.
 * Between two programs nobody answers for a moment; those that ask wait.
 */
static enum exit_status await_upgrade(struct tallyctl *t, int64_t before)
{
	uint64_t due_mono_ms = tl_mono_ms() + UPGRADE_MS;
	const struct doc *d = NULL, *why;
	struct tl_err err;

	do {
		if (tl_mono_ms() >= due_mono_ms)
			return complain(EXIT_FAILED,
					"the upgrade has not ended after %d s; "
					"see 'tallyctl status' and the log",
					UPGRADE_MS / 1000);
		(void)poll(NULL, 0, UPGRADE_LOOK_MS);
		if (daemon_ask(t, "status", ASK_MS, &d, &err) != TL_OK)
			d = NULL;
	} while (d == NULL || member_number(d, "upgrades") <= before ||
		 strcmp(member_text(d, "state"), "upgrading") == 0);
	why = doc_get(d, "upgrade_error");
	if (why != NULL && why->type == DOC_STR)
		return complain(EXIT_FAILED,
				"upgrade refused, the old program goes on: %s",
				why->str.ptr);
	if (t->json)
		print_json(d);
	else
		(void)printf("upgraded: version %s serves\n",
			     member_text(d, "version"));
	return EXIT_OK;
}

enum exit_status cmd_upgrade(struct tallyctl *t)
{
	const struct doc *result;
	struct tl_err err;
	enum tl_status st;

	st = daemon_ask(t, "upgrade", ASK_MS, &result, &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	return await_upgrade(t, member_number(result, "upgrades"));
}

enum exit_status cmd_clock_accept(struct tallyctl *t)
{
	const struct doc *result;
	struct tl_err err;
	enum tl_status st;
	int64_t step_ms;

	st = daemon_ask(t, "clock accept", ASK_MS, &result, &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	step_ms = member_number(result, "step_ms");
	if (t->json)
		print_json(result);
	else if (step_ms == 0)
		(void)puts("the wall clock was not set: nothing to accept");
	else
		(void)printf("the wall clock, set by %" PRId64
			     " ms, is taken in\n",
			     step_ms);
	return EXIT_OK;
}

/* Its lock and its port are free only when the process has ended, a moment
 * after the connection: a start right behind us must find them so. */
static void await_process(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0)
		(void)poll(&p, 1, ASK_MS);
}

/* Asks it to stop and sees it end. */
static enum exit_status stop_over(struct tallyctl *t, struct ctl_client *c,
				  int pidfd)
{
	const struct conf *conf = t->conf;
	uint32_t limit_ms =
		STOP_EXTRA_MS + (ctl_flag(t->args, "graceful")
					 ? conf->server.drain_timeout_ms
					 : conf->server.stop_timeout_ms);
	const struct doc *result;
	struct tl_err err;
	enum tl_status st;

	st = ctl_client_call(c, "stop", t->args, ASK_MS, t->arena, &result,
			     &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	st = ctl_client_wait_end(c, limit_ms, &err);
	if (st != TL_OK)
		return complain(EXIT_FAILED,
				"the daemon is still stopping after %" PRIu32
				" ms; see its log",
				limit_ms);
	await_process(pidfd);
	return EXIT_OK;
}

enum exit_status cmd_stop(struct tallyctl *t)
{
	struct ctl_client *c = NULL;
	enum exit_status ex;
	struct tl_err err;
	enum tl_status st;
	struct doc *out;
	int pidfd;

	st = ctl_client_open(t->conf->server.state_dir, ASK_MS, &c, &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	pidfd = ctl_client_pidfd(c);
	ex = stop_over(t, c, pidfd);
	if (pidfd >= 0)
		close(pidfd);
	ctl_client_free(&c);
	if (ex != EXIT_OK)
		return ex;
	out = doc_object(t->arena);
	doc_set(t->arena, out, "stopped", doc_bool(true));
	if (t->json)
		print_json(out);
	else
		(void)puts("stopped");
	return EXIT_OK;
}

enum exit_status cmd_database(struct tallyctl *t)
{
	const struct doc *result, *url;
	struct tl_err err;
	enum tl_status st;

	st = daemon_ask(t, "database", ASK_MS, &result, &err);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	url = doc_get(result, "url");
	if (url == NULL || url->type != DOC_STR)
		return complain(EXIT_FAILED, "the daemon's answer has no url");
	if (t->json)
		print_json(result);
	else
		(void)puts(url->str.ptr);
	return EXIT_OK;
}

enum exit_status cmd_log_level(struct tallyctl *t)
{
	const struct doc *result, *level;
	struct ctl_client *c = NULL;
	struct tl_err err;
	enum tl_status st;

	st = ctl_client_open(t->conf->server.state_dir, ASK_MS, &c, &err);
	if (st == TL_OK)
		st = ctl_client_call(c, "log level", t->args, ASK_MS, t->arena,
				     &result, &err);
	ctl_client_free(&c);
	if (st != TL_OK)
		return complain_daemon(st, &err);
	level = doc_get(result, "level");
	if (level == NULL || level->type != DOC_STR)
		return complain(EXIT_FAILED,
				"the daemon's answer has no level");
	if (t->json)
		print_json(result);
	else
		(void)puts(level->str.ptr);
	return EXIT_OK;
}
