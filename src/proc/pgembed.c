#include "config.h"

#include "proc/pgembed.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/backoff.h"
#include "proc/pgembed_internal.h"

/* Some ten seconds by the back-off: processes of a server that was killed may
 * be in the way a moment longer than itself. */
#define FAILS_MAX 5

/* ---- one that outlived its master ---------------------------------------- */

static int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* A server works in its data directory: the same one means it is ours. */
static bool works_here(const struct pgembed *pg, pid_t pid)
{
	char path[64], name[32] = "";
	struct stat here, there;
	char *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", (long)pid);
	if (fstat(pg->data_fd, &here) < 0 || stat(path, &there) < 0 ||
	    here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	if (tl_file_read(path, sizeof(name), &text, &len, NULL) == TL_OK)
		snprintf(name, sizeof(name), "%s", text);
	tl_free(text);
	return strncmp(name, "postgres", 8) == 0;
}

static pid_t pid_of_file(const struct pgembed *pg)
{
	char *path = tl_asprintf("%s/data/postmaster.pid", pg->dir);
	char *text = NULL;
	long pid = 0;
	size_t len;

	if (tl_file_read(path, 4096, &text, &len, NULL) == TL_OK)
		pid = strtol(text, NULL, 10);
	tl_free(text);
	tl_free(path);
	return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* Its number now belongs to another process of the same user, or to its own
 * zombie: the server would take that for a running server and refuse. */
static void forget_foreign_pid(const struct pgembed *pg, pid_t pid)
{
	char *path;

	if (kill(pid, 0) < 0)
		return;
	path = tl_asprintf("%s/data/postmaster.pid", pg->dir);
	log_info("'%s' names process %ld, which is not ours; removing it", path,
		 (long)pid);
	unlink(path);
	tl_free(path);
}

/* The socket's lock file is read in the same way.  Only when none runs. */
static void forget_sockets(const struct pgembed *pg)
{
	static const char *const endings[] = { "", ".lock" };

	for (size_t i = 0; i < 2; i++) {
		char *path = tl_asprintf("%s/.s.PGSQL.%d%s", pg->socket_dir,
					 PGEMBED_PORT, endings[i]);

		unlink(path);
		tl_free(path);
	}
}

static void on_gone(evutil_socket_t fd, short what, void *arg);

static bool take_over(struct pgembed *pg)
{
	pid_t pid = pid_of_file(pg);
	int fd;

	if (pid == 0)
		return false;
	fd = pidfd_of(pid);
	/* Looked at behind the descriptor, so the number cannot change hands
	 * in between. */
	if (fd < 0 || !works_here(pg, pid)) {
		if (fd >= 0)
			close(fd);
		forget_foreign_pid(pg, pid);
		return false;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	pg->pid = pid;
	pg->pidfd = fd;
	pg->started_mono_ms = tl_mono_ms();
	pg->gone_event = event_new(pg->base, fd, EV_READ, on_gone, pg);
	event_add(pg->gone_event, NULL);
	log_info("took over the embedded database, process %ld", (long)pid);
	return true;
}

/* ---- supervision --------------------------------------------------------- */

static void server_exec(const struct pgembed *pg, const char *postgres,
			const char *sockets, const char *connections, int out)
{
	char *argv[] = { (char *)(uintptr_t)postgres,
			 (char[]){ "-D" },
			 (char[]){ PGEMBED_DATA_PATH },
			 (char[]){ "-c" },
			 (char[]){ "listen_addresses=" },
			 (char[]){ "-c" },
			 (char *)(uintptr_t)sockets,
			 (char[]){ "-c" },
			 (char[]){ "unix_socket_permissions=0700" },
			 (char[]){ "-c" },
			 (char *)(uintptr_t)connections,
			 (char[]){ "-c" },
			 (char[]){ "cluster_name=tallyd" },
			 (char[]){ "-c" },
			 (char[]){ "jit=off" }, /* short statements only */
			 (char[]){ "-c" },
			 (char[]){ "log_checkpoints=off" },
			 (char[]){ "-c" },
			 (char[]){ "timezone=UTC" },
			 (char[]){ "-c" },
			 /* The role's own name is also our schema's. */
			 (char[]){ "search_path=public" },
			 NULL };
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	pgembed_exec(pg, pg->data_fd, in, out, argv);
}

static enum tl_status server_fork(struct pgembed *pg, struct tl_err *err)
{
	char *postgres = tl_asprintf("%s/postgres", pg->bindir);
	char *sockets =
		tl_asprintf("unix_socket_directories=%s", pg->socket_dir);
	char *connections =
		tl_asprintf("max_connections=%u", pg->max_connections);
	int out = pgembed_log_open(pg);
	enum tl_status st = TL_OK;
	pid_t pid = -1;

	if (out < 0) {
		st = tl_err_sys(err, "open '%s/postgresql.log'", pg->dir);
		goto out;
	}
	pid = fork();
	if (pid == 0)
		server_exec(pg, postgres, sockets, connections, out);
	if (pid < 0) {
		st = tl_err_sys(err, "fork");
		goto out;
	}
	pg->pid = pid;
	pg->pidfd = -1;
	pg->started_mono_ms = tl_mono_ms();
	log_debug("embedded database started, process %ld", (long)pid);
out:
	if (out >= 0)
		close(out);
	tl_free(connections);
	tl_free(sockets);
	tl_free(postgres);
	return st;
}

static void start_later(struct pgembed *pg)
{
	struct timeval tv;
	uint32_t wait_ms;

	if (backoff_lived(pg->started_mono_ms, tl_mono_ms()))
		pg->fails = 0;
	wait_ms = backoff_delay_ms(pg->fails++);
	tv = backoff_timeval(wait_ms);
	log_error("the embedded database ended; start again in %u ms, see "
		  "'%s/postgresql.log'",
		  wait_ms, pg->dir);
	evtimer_add(pg->start_event, &tv);
}

static void server_ended(struct pgembed *pg)
{
	if (pg->gone_event != NULL) {
		event_free(pg->gone_event);
		pg->gone_event = NULL;
	}
	if (pg->pidfd >= 0)
		close(pg->pidfd);
	pg->pidfd = -1;
	pg->pid = 0;
	if (!pg->stopping)
		start_later(pg);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	server_ended(arg);
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
	struct pgembed *pg = arg;
	struct tl_err err;

	(void)fd;
	(void)what;
	if (pgembed_start(pg, &err) != TL_OK) {
		log_error("embedded database: %s", err.text);
		start_later(pg);
	}
}

bool pgembed_reaped(struct pgembed *pg, pid_t pid, int status)
{
	(void)status; /* its own log says why */
	if (pg == NULL || pid != pg->pid)
		return false;
	server_ended(pg);
	return true;
}

bool pgembed_running(const struct pgembed *pg)
{
	return pg->pid != 0;
}

enum tl_status pgembed_check(const struct pgembed *pg, struct tl_err *err)
{
	if (pg->fails < FAILS_MAX)
		return TL_OK;
	return tl_err_set(err, TL_SYSTEM,
			  "embedded database: it ended %u times right after "
			  "its start; see '%s/postgresql.log'",
			  pg->fails, pg->dir);
}

enum tl_status pgembed_start(struct pgembed *pg, struct tl_err *err)
{
	pg->stopping = false;
	if (pg->pid != 0 || take_over(pg))
		return TL_OK;
	forget_sockets(pg);
	return server_fork(pg, err);
}

void pgembed_stop(struct pgembed *pg)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGKILL };
	unsigned n = pg->stops < 2 ? pg->stops : 2;

	pg->stopping = true;
	pg->stops++;
	evtimer_del(pg->start_event);
	if (pg->pid == 0)
		return;
	if (pg->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, pg->pidfd, signals[n], NULL, 0);
	else
		kill(pg->pid, signals[n]);
}

/* ---- life ---------------------------------------------------------------- */

/* Everything but what a URI takes as it is becomes %XX. */
static char *make_conninfo(const struct pgembed *pg)
{
	struct tl_buf b;
	char *uri;

	tl_buf_init(&b);
	tl_buf_adds(&b, "postgresql://tallyd@/tallyd?host=");
	for (const char *c = pg->socket_dir; *c != '\0'; c++) {
		if (isalnum((unsigned char)*c) || strchr("-._~", *c) != NULL)
			tl_buf_addc(&b, *c);
		else
			tl_buf_addf(&b, "%%%02X", (unsigned char)*c);
	}
	uri = tl_strdup(b.ptr);
	tl_buf_deinit(&b);
	return uri;
}

/* Links followed: what stands before the place they lead to counts for who may
 * walk there, and one cluster has one socket, by whatever name it is found. */
static enum tl_status resolve_dir(struct pgembed *pg, struct tl_err *err)
{
	char *real = realpath(pg->dir, NULL);

	if (real == NULL)
		return tl_err_sys(err, "resolve '%s'", pg->dir);
	tl_free(pg->dir);
	pg->dir = tl_strdup(real);
	free(real);
	return TL_OK;
}

enum tl_status pgembed_open(const struct conf *conf, struct event_base *base,
			    struct pgembed **pg_r, struct tl_err *err)
{
	struct pgembed *pg = tl_alloc(sizeof(*pg));
	enum tl_status st;

	pg->base = base;
	pg->data_fd = pg->pidfd = -1;
	pg->dir = tl_asprintf("%s/pg", conf->server.state_dir);
	pg->start_event = evtimer_new(base, on_start, pg);
	/* Old and new workers side by side during a reload, and people. */
	pg->max_connections =
		2 * conf->server.workers * (conf->database.pool_size + 2) +
		2 * conf->runner.count * (conf->database.pool_size + 5) + 60;
	/* Whoever runs it must be able to walk here, if not by the parents. */
	st = tl_mkdirs(pg->dir, 0711, err);
	if (st == TL_OK)
		st = resolve_dir(pg, err);
	if (st == TL_OK)
		st = pgembed_find_user(pg, conf->database.embedded_user, err);
	if (st == TL_OK)
		st = pgembed_find_binaries(pg, err);
	if (st == TL_OK)
		st = pgembed_data_open(pg, err);
	if (st == TL_OK)
		st = pgembed_socket_dir_make(pg, err);
	if (st != TL_OK) {
		pgembed_free(&pg);
		return st;
	}
	pg->conninfo = make_conninfo(pg);
	*pg_r = pg;
	return TL_OK;
}

const char *pgembed_conninfo(const struct pgembed *pg)
{
	return pg->conninfo;
}

void pgembed_free(struct pgembed **pgp)
{
	struct pgembed *pg = *pgp;

	if (pg == NULL)
		return;
	if (pg->gone_event != NULL)
		event_free(pg->gone_event);
	event_free(pg->start_event);
	if (pg->pidfd >= 0)
		close(pg->pidfd);
	if (pg->data_fd >= 0)
		close(pg->data_fd);
	if (pg->socket_dir_private && pg->pid == 0) {
		forget_sockets(pg);
		rmdir(pg->socket_dir);
	}
	tl_free(pg->socket_dir);
	tl_free(pg->conninfo);
	tl_free(pg->bindir);
	tl_free(pg->user);
	tl_free(pg->dir);
	tl_freep(pgp);
}
