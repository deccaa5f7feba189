/*
 * main.c - tallyctl: options, settings, one command.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "tallyctl/tallyctl.h"

#define OVERRIDES_MAX 64

extern char **environ;

static const struct {
	const char *name;
	tallyctl_fn fn;
} functions[] = {
	{ "status", cmd_status },
	{ "stats", cmd_stats },
	{ "top", cmd_top },
	{ "explain", cmd_explain },
	{ "tail", cmd_tail },
	{ "reload", cmd_reload },
	{ "upgrade", cmd_upgrade },
	{ "stop", cmd_stop },
	{ "clock accept", cmd_clock_accept },
	{ "log level", cmd_log_level },
	{ "config check", cmd_config_check },
	{ "config dump", cmd_config_dump },
	{ "bench", cmd_bench },
	{ "completion", cmd_completion },
	{ "database", cmd_database },
	{ "doctor", cmd_doctor },
	{ "cron history", cmd_cron_history },
	{ "cron list", cmd_cron_list },
	{ "cron pause", cmd_cron_pause },
	{ "cron resume", cmd_cron_resume },
	{ "cron run", cmd_cron_run },
	{ "cron set", cmd_cron_set },
	{ "key create", cmd_key_create },
	{ "key import", cmd_key_import },
	{ "key list", cmd_key_list },
	{ "key rename", cmd_key_rename },
	{ "key revoke", cmd_key_revoke },
	{ "key rotate", cmd_key_rotate },
	{ "key show", cmd_key_show },
	{ "limit create", cmd_limit_create },
	{ "limit delete", cmd_limit_delete },
	{ "limit list", cmd_limit_list },
	{ "limit override", cmd_limit_override },
	{ "limit set", cmd_limit_set },
	{ "limit show", cmd_limit_show },
	{ "plan create", cmd_plan_create },
	{ "plan list", cmd_plan_list },
	{ "plan set", cmd_plan_set },
	{ "queue list", cmd_queue_list },
	{ "queue pause", cmd_queue_pause },
	{ "queue resume", cmd_queue_resume },
	{ "queue set", cmd_queue_set },
	{ "task cancel", cmd_task_cancel },
	{ "task list", cmd_task_list },
	{ "task replay", cmd_task_replay },
	{ "task retry", cmd_task_retry },
	{ "task show", cmd_task_show },
	{ "user activate", cmd_user_activate },
	{ "user create", cmd_user_create },
	{ "user list", cmd_user_list },
	{ "user set", cmd_user_set },
	{ "user show", cmd_user_show },
	{ "user suspend", cmd_user_suspend },
	{ "usage", cmd_usage },
	{ "webhook list", cmd_webhook_list },
	{ "webhook replay", cmd_webhook_replay },
	{ "webhook verify", cmd_webhook_verify },
	{ "backup", cmd_backup },
	{ "restore", cmd_restore },
	{ "migrate up", cmd_migrate_up },
	{ "migrate down", cmd_migrate_down },
	{ "migrate status", cmd_migrate_status },
};

static tallyctl_fn function_of(const struct ctl_command *c)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(functions[i].name, c->name) == 0)
			return functions[i].fn;
	}
	tl_assert(!"a command of the table has no function");
	return NULL;
}

static void print_usage(FILE *to)
{
	struct tl_buf b;

	(void)fputs("usage: tallyctl [-c FILE] [-o section.key=value] "
		    "[-s STATE_DIR] [--json] COMMAND\n"
		    "       tallyctl -h | -V\n"
		    "commands:\n",
		    to);
	tl_buf_init(&b);
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		tl_buf_reset(&b);
		ctl_command_usage(c, &b);
		(void)fprintf(to, "  %s\n        %s\n", b.ptr, c->summary);
	}
	tl_buf_deinit(&b);
}

/* ---- the command line ---- */

struct line {
	const char *file, *state_dir;
	const char *overrides[OVERRIDES_MAX + 1]; /* and that of -s */
	size_t n_overrides;
	bool json, help, version;
	char **words; /* the command and behind it */
	size_t n_words;
};

static enum exit_status read_option(struct line *l, int opt)
{
	switch (opt) {
	case 'c':
		l->file = optarg;
		return EXIT_OK;
	case 's':
		l->state_dir = optarg;
		return EXIT_OK;
	case 'o':
		if (l->n_overrides == OVERRIDES_MAX)
			return complain(EXIT_USAGE, "more than %d -o options",
					OVERRIDES_MAX);
		l->overrides[l->n_overrides++] = optarg;
		return EXIT_OK;
	case 'j':
		l->json = true;
		return EXIT_OK;
	case 'h':
		l->help = true;
		return EXIT_OK;
	case 'V':
		l->version = true;
		return EXIT_OK;
	default: /* getopt has complained */
		return EXIT_USAGE;
	}
}

/* --json is welcome behind the command too, up to "--". */
static void take_json(struct line *l)
{
	size_t kept = 0, i;

	for (i = 0; i < l->n_words && strcmp(l->words[i], "--") != 0; i++) {
		if (strcmp(l->words[i], "--json") == 0)
			l->json = true;
		else
			l->words[kept++] = l->words[i];
	}
	for (; i < l->n_words; i++)
		l->words[kept++] = l->words[i];
	l->n_words = kept;
}

static enum exit_status read_line(struct line *l, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	enum exit_status ex = EXIT_OK;
	int opt;

	/* '+': what stands behind the command belongs to the command. */
	while (ex == EXIT_OK &&
	       (opt = getopt_long(argc, argv, "+c:ho:s:V", longs, NULL)) != -1)
		ex = read_option(l, opt);
	l->words = argv + optind;
	l->n_words = (size_t)(argc - optind);
	take_json(l);
	return ex;
}

/* "key create" is two words; *used_r tells how many were the name. */
static const struct ctl_command *find_command(const struct line *l,
					      size_t *used_r)
{
	const struct ctl_command *c;
	struct tl_buf b;

	*used_r = 1;
	c = ctl_command_find(tl_str_c(l->words[0]));
	if (c != NULL || l->n_words < 2)
		return c;
	tl_buf_init(&b);
	tl_buf_addf(&b, "%s %s", l->words[0], l->words[1]);
	c = ctl_command_find(tl_buf_str(&b));
	tl_buf_deinit(&b);
	*used_r = 2;
	return c;
}

/* ---- settings ---- */

static const char *default_file(void)
{
	static const char installed[] = TALLY_SYSCONFDIR "/tallyd/tallyd.conf";
	const char *given = getenv("TALLYD_CONF");

	if (given != NULL && given[0] != '\0')
		return given;
	return access(installed, F_OK) == 0 ? installed : NULL;
}

static enum exit_status load_settings(struct line *l, struct tl_arena *a,
				      struct conf **conf_r)
{
	struct conf_source src = {
		.file = l->file,
		.overrides = l->overrides,
		.env = (const char *const *)environ,
	};
	struct tl_err err;
	char *absolute;

	if (src.file == NULL)
		src.file = default_file();
	if (l->state_dir != NULL) {
		absolute = realpath(l->state_dir, NULL);
		if (absolute == NULL)
			return complain(EXIT_USAGE,
					"there is no state directory '%s'",
					l->state_dir);
		l->overrides[l->n_overrides++] =
			tl_arena_printf(a, "server.state_dir=%s", absolute);
		free(absolute);
	}
	src.n_overrides = l->n_overrides;
	if (conf_load(&src, conf_r, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return EXIT_OK;
}

static enum exit_status run(struct line *l, struct tl_arena *a)
{
	struct tallyctl t = { .json = l->json, .arena = a };
	const struct ctl_command *c;
	struct conf *conf = NULL;
	enum exit_status ex;
	struct tl_err err;
	size_t used;

	if (l->n_words == 0) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	c = find_command(l, &used);
	if (c == NULL)
		return complain(EXIT_USAGE,
				"there is no command '%s'; see 'tallyctl "
				"-h'",
				l->words[0]);
	if (ctl_args_parse(c, l->words + used, l->n_words - used, a, &t.args,
			   &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	if (c->needs == CTL_NOTHING)
		return function_of(c)(&t);
	if (c->needs == CTL_SETTINGS &&
	    ctl_text(t.args, "file").ptr != NULL)
		l->file = ctl_text(t.args, "file").ptr;
	ex = load_settings(l, a, &conf);
	if (ex != EXIT_OK)
		return ex;
	t.conf = conf;
	ex = function_of(c)(&t);
	conf_free(&conf);
	return ex;
}

int main(int argc, char **argv)
{
	struct line line = { 0 };
	enum exit_status ex;
	struct tl_arena a;

	log_set_process("tallyctl", 0);
	log_set_level(LOG_LV_ERROR);
	ex = read_line(&line, argc, argv);
	if (ex != EXIT_OK)
		return (int)ex;
	if (line.help) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (line.version) {
		(void)puts("tallyctl " PACKAGE_VERSION);
		return EXIT_OK;
	}
	tl_arena_init(&a);
	ex = run(&line, &a);
	tl_arena_deinit(&a);
	return (int)ex;
}
