/*
 * main.c - tallyd's command line.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/paths.h"
#include "conf/conf.h"
#include "http/evmem.h"
#include "pg/pg.h"
#include "proc/handover.h"
#include "proc/privileges.h"
#include "proc/proc.h"
#include "proc/title.h"
#include "shm/shm.h"
#include "tls/tls.h"

#define DEFAULT_FILE TALLY_SYSCONFDIR "/tallyd/tallyd.conf"
/* EX_USAGE and EX_CONFIG of sysexits.h, which service managers know. */
#define EXIT_USAGE  64
#define EXIT_CONFIG 78

struct options {
	const char *file;
	const char **overrides;
	size_t n_overrides;
	char **again; /* words that start this program again, its path first */
	bool test, daemonize;
};

static void usage(FILE *out)
{
	fputs("usage: tallyd [-DhtV] [-c FILE] [-o section.key=value ...]\n"
	      "  -c FILE  configuration (default " DEFAULT_FILE
	      ", if there is one)\n"
	      "  -o s.k=v one setting, over file and environment\n"
	      "  -t       check the configuration and say what it needs\n"
	      "  -D       go to the background once it serves\n"
	      "  -V       version\n"
	      "  -h       this\n",
	      out);
}

/* Below 0: go on.  Else the exit code. */
static int parse(int argc, char **argv, struct options *o)
{
	int c;

	o->overrides = tl_alloc_array((size_t)argc + 1, sizeof(char *));
	while ((c = getopt(argc, argv, "c:o:tDVh")) != -1) {
		switch (c) {
		case 'c':
			o->file = optarg;
			break;
		case 'o':
			o->overrides[o->n_overrides++] = optarg;
			break;
		case 't':
			o->test = true;
			break;
		case 'D':
			o->daemonize = true;
			break;
		case 'V':
			puts(PACKAGE_STRING);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (o->file == NULL && access(DEFAULT_FILE, F_OK) == 0)
		o->file = DEFAULT_FILE;
	return -1;
}

/* The title takes the place of argv, and a daemon's directory is another one
 * at a reload: what is kept is copied, the file by its whole path. */
static void keep_options(struct options *o)
{
	if (o->file != NULL)
		o->file = tl_path_absolute(o->file);
	for (size_t i = 0; i < o->n_overrides; i++)
		o->overrides[i] = tl_strdup(o->overrides[i]);
}

static void free_options(struct options *o)
{
	for (size_t i = 0; i < o->n_overrides; i++)
		tl_free((void *)(uintptr_t)o->overrides[i]);
	tl_free((void *)(uintptr_t)o->file);
	if (o->again != NULL)
		tl_free(o->again[0]);
	tl_free(o->again);
	tl_free(o->overrides);
}

/* Certificates and keys are read here, which a start leaves to the workers. */
static bool test_tls(const struct conf *conf)
{
	struct tl_str rest, line;
	struct tl_buf notes;
	struct tl_err err;
	bool good;

	tl_buf_init(&notes);
	good = tls_check(conf, &notes, &err) == TL_OK;
	if (!good)
		fprintf(stderr, "tallyd: %s\n", err.text);
	rest = tl_buf_str(&notes);
	while (good && tl_str_split(&rest, '\n', &line))
		if (line.len > 0)
			fprintf(stderr, "tallyd: warning: %.*s\n",
				(int)line.len, line.ptr);
	tl_buf_deinit(&notes);
	return good;
}

static int test(const struct conf *conf)
{
	struct shm_sizes z = {
		.max_keys = conf->shm.max_keys,
		.max_users = conf->shm.max_users,
		.max_addresses = conf->shm.max_addresses,
		.max_windows = conf->shm.max_windows,
		.decision_ring = conf->shm.decision_ring,
		.idempotency = conf->shm.idempotency,
		.request_log = conf->shm.request_log,
		.window_ms = conf->limits.window_ms,
	};
	uint64_t bytes = shm_bytes_needed(&z);

	if (!test_tls(conf))
		return EXIT_CONFIG;
	printf("configuration %s is good; the segment takes %llu bytes "
	       "(%llu MiB) of /dev/shm\n",
	       conf->file != NULL ? conf->file : "(defaults)",
	       (unsigned long long)bytes,
	       (unsigned long long)((bytes + (1 << 20) - 1) >> 20));
	return 0;
}

/* In the parent, which stays until the child serves, so that a script that
 * starts us knows how it went. */
static _Noreturn void await_start(pid_t pid, int fd)
{
	char words[512];
	ssize_t n = read(fd, words, sizeof(words) - 1);
	int status = 0;

	if (n == 1)
		_exit(0);
	if (n > 0) {
		words[n] = '\0';
		fprintf(stderr, "tallyd: %s\n", words);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Where a caller closed one of the first three, no socket of ours may take its
 * number: the log would be written there. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
}

/* A pipe of the caller's, such as a make's job server, or a lock: whoever waits
 * at its other end must not wait for the daemon. */
static void close_inherited(int except)
{
	if (except > 3)
		close_range(3, (unsigned)except - 1, 0);
	close_range((unsigned)except + 1, ~0U, 0);
}

/* Whoever reads our output must see its end, so none of it is kept; errors
 * only where the log goes there. */
static void leave_terminal(bool keep_stderr)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		if (!keep_stderr)
			dup2(null, 2);
		close(null);
	}
	if (chdir("/") < 0)
		log_warn("cannot change to '/': %s", strerror(errno));
}

/* Returns in the child, with the descriptor to tell. */
static int to_background(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "tallyd: cannot fork: %s\n", strerror(errno));
		exit(1);
	}
	if (pid > 0) {
		close(fds[1]);
		await_start(pid, fds[0]);
	}
	setsid();
	close_inherited(fds[1]);
	return fds[1];
}

/* Where an upgrade is to look for the program. */
static char *path_of(const char *name)
{
	const char *rest = getenv("PATH");
	char *path;

	if (strchr(name, '/') != NULL)
		return tl_path_absolute(name);
	while (rest != NULL && *rest != '\0') {
		size_t len = strcspn(rest, ":");

		path = tl_asprintf("%.*s/%s", (int)len, rest, name);
		if (path[0] == '/' && access(path, X_OK) == 0)
			return path;
		tl_free(path);
		rest += len + (rest[len] == ':');
	}
	return realpath("/proc/self/exe", NULL);
}

/* Not to the background: it is there already. */
static char **words_again(const struct options *o, char *path)
{
	char **argv = tl_alloc_array(4 + 2 * o->n_overrides, sizeof(*argv));
	size_t n = 0;

	argv[n++] = path;
	if (o->file != NULL) {
		argv[n++] = (char *)(uintptr_t)"-c";
		argv[n++] = (char *)(uintptr_t)o->file;
	}
	for (size_t i = 0; i < o->n_overrides; i++) {
		argv[n++] = (char *)(uintptr_t)"-o";
		argv[n++] = (char *)(uintptr_t)o->overrides[i];
	}
	return argv;
}

/* In a program that an upgrade started: the configuration that it is to have.
 * A trial reads the file as any start does, and tells what is wrong with it;
 * who takes over begins with what was in force. */
static enum tl_status load(const struct conf_source *source,
			   const struct handover *h, struct conf **conf_r,
			   struct tl_err *err)
{
	return h != NULL && handover_keeps_conf(h)
		       ? handover_conf(h, conf_r, err)
		       : conf_load(source, conf_r, err);
}

/* What no single value shows.  Words on standard error: there is no log yet. */
static enum tl_status checked(const struct conf *conf, struct tl_err *err)
{
	/* Else a start would wait for a server that no string like this can
	 * name. */
	enum tl_status st = pg_way_check(conf, err);

	if (st == TL_OK)
		st = privileges_check(conf, err);
	return st;
}

/* The account first: it has to open the log again.  Who takes over has the
 * one that the program before changed to. */
static bool settle(struct options *o, const struct conf *conf, bool taken_over)
{
	char *stays = NULL;
	struct tl_err err;
	bool ok, logs;

	ok = taken_over || privileges_drop(conf, &stays, &err) == TL_OK;
	logs = ok && conf_log_open(conf, &err) == TL_OK;
	/* It serves already: better without its file than not at all. */
	if (ok && !logs && taken_over)
		log_error("%s; logging to stderr", err.text);
	else if (!logs)
		ok = false;
	if (!ok)
		fprintf(stderr, "tallyd: %s\n", err.text);
	else if (stays != NULL)
		log_warn("%s", stays);
	tl_free(stays);
	if (ok && o->daemonize)
		leave_terminal(conf_log_is_stderr(conf));
	return ok;
}

/* Before there is a log; a trial's words are the old program's. */
static int refuse(const struct options *o, const struct handover *h,
		  const struct tl_err *err)
{
	if (h != NULL)
		upgrade_give_up(h, o->again, err);
	fprintf(stderr, "tallyd: %s\n", err->text);
	return EXIT_CONFIG;
}

static int serve(struct options *o, struct conf_source *source,
		 struct master_opts *mo)
{
	int code;

	if (o->daemonize)
		mo->started_fd = to_background();
	log_share();
	log_set_level(mo->conf->log.level);
	if (!settle(o, mo->conf, mo->handover != NULL))
		return EXIT_CONFIG;
	source->env = (const char *const *)environ; /* HOME is another one */
	code = master_run(mo);
	log_close();
	return code;
}

static int run(struct options *o)
{
	struct conf_source source = { .file = o->file,
				      .overrides = o->overrides,
				      .n_overrides = o->n_overrides,
				      .env = (const char *const *)environ };
	struct master_opts mo = { .source = &source, .started_fd = -1 };
	struct handover *h = NULL;
	struct tl_err err;
	enum tl_status st;
	int code;

	st = handover_receive(&h, &err);
	if (st == TL_OK)
		st = load(&source, h, &mo.conf, &err);
	if (st == TL_OK && (h == NULL || h->role == HANDOVER_TRIAL))
		st = checked(mo.conf, &err);
	if (st != TL_OK) {
		code = refuse(o, h, &err);
	} else if (o->test) {
		code = test(mo.conf);
	} else if (h != NULL && h->role == HANDOVER_TRIAL) {
		code = upgrade_trial(h, mo.conf);
	} else {
		mo.handover = h;
		mo.argv = o->again;
		code = serve(o, &source, &mo);
	}
	conf_free(&mo.conf);
	handover_free(&h);
	return code;
}

int main(int argc, char **argv)
{
	struct options o = { NULL, NULL, 0, NULL, false, false };
	int code;

	open_standard();
	code = parse(argc, argv, &o);
	http_evmem_install(); /* before anything of libevent */
	if (code < 0) {
		keep_options(&o);
		o.again = words_again(&o, path_of(argv[0]));
		title_init(argc, argv);
		code = run(&o);
		title_deinit();
		free_options(&o);
	} else {
		tl_free(o.overrides);
	}
	return code;
}
