#include "config.h" /* _GNU_SOURCE */

#include "loop/co_run.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define PIECE_BYTES 16384
#define REAP_MS     1
#define REAP_MAX_MS 5000 /* it was killed, or has closed stdout to end */

/* Nothing of ours goes along: no listener, no connection, no mask. */
static int spawn(const struct co_program *p, int out, pid_t *pid_r)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
#endif
	e = posix_spawn(pid_r, p->path, &files, &attr, p->argv, p->env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return e;
}

/* To its end.  TL_FULL. */
static enum tl_status read_out(const struct co_program *p, int fd,
			       struct tl_buf *out, struct tl_err *err)
{
	size_t before = out->len;
	enum tl_status st = TL_OK;
	ssize_t n = 1;

	while (st == TL_OK && n != 0) {
		tl_buf_reserve(out, PIECE_BYTES + 1);
		n = read(fd, out->ptr + out->len, PIECE_BYTES);
		if (n < 0 && errno == EAGAIN)
			st = co_wait_fd(fd, EV_READ, err);
		else if (n < 0 && errno != EINTR)
			st = tl_err_sys(err, "read from '%s'", p->path);
		else if (n > 0)
			out->len += (size_t)n;
		out->ptr[out->len] = '\0'; /* as all buffers have it */
		if (out->len - before > p->out_max_bytes)
			st = tl_err_set(err, TL_FULL,
					"'%s' writes more than %zu bytes",
					p->path, p->out_max_bytes);
	}
	return st;
}

/* A deadline that has passed must not leave it behind, so behind a shield. */
static enum tl_status reap(const struct co_program *p, pid_t pid, int *code_r,
			   struct tl_err *err)
{
	enum tl_status st = TL_OK;
	int status = 0;
	pid_t got;

	co_shield_begin(REAP_MAX_MS);
	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && st == TL_OK)
		st = co_sleep_ms(REAP_MS, err);
	co_shield_end();
	if (got != pid) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		if (st == TL_OK)
			st = tl_err_sys(err, "wait for '%s'", p->path);
		return st;
	}
	*code_r = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				      : WEXITSTATUS(status);
	return TL_OK;
}

enum tl_status co_run(const struct co_program *p, struct tl_buf *out,
		      int *code_r, struct tl_err *err)
{
	enum tl_status st, reaped;
	struct tl_err why;
	int fds[2], e;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return tl_err_sys(err, "make a pipe");
	e = spawn(p, fds[1], &pid);
	close(fds[1]);
	if (e != 0) {
		close(fds[0]);
		return tl_err_set(err, e == ENOENT ? TL_NOT_FOUND : TL_SYSTEM,
				  "run '%s': %s", p->path, strerror(e));
	}
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	st = read_out(p, fds[0], out, err);
	close(fds[0]);
	if (st != TL_OK)
		(void)kill(pid, SIGKILL);
	reaped = reap(p, pid, code_r, &why);
	if (st == TL_OK && reaped != TL_OK) {
		*err = why;
		st = reaped;
	}
	return st;
}
