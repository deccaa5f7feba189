#include "config.h"

#include "tallyctl/private_pg.h"

#include <event2/event.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "proc/pgembed.h"

#define START_MS 60000 /* it may have a crash to recover from */
#define STOP_MS  20000 /* then it is asked harder */
#define STEP_MS  20

struct private_pg {
	struct event_base *base;
	struct pgembed *pg;
};

static enum tl_status check_owner(const char *dir, struct tl_err *err)
{
	const struct passwd *pw;
	struct stat sb;

	if (stat(dir, &sb) < 0)
		return tl_err_sys(err, "look at '%s'", dir);
	if (sb.st_uid == geteuid())
		return TL_OK;
	pw = getpwuid(sb.st_uid);
	return tl_err_set(err, TL_DENIED,
			  "'%s' belongs to '%s'; run this as that user, else "
			  "the daemon could not use what is made there",
			  dir, pw != NULL ? pw->pw_name : "somebody else");
}

enum tl_status private_lock(struct tallyctl *t, int *fd_r, struct tl_err *err)
{
	const char *dir = t->conf->server.state_dir;
	char *path = tl_asprintf("%s/tallyd.lock", dir);
	enum tl_status st;
	int fd = -1;

	st = tl_mkdirs(dir, 0711, err);
	if (st == TL_OK)
		st = check_owner(dir, err);
	if (st != TL_OK)
		goto out;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		st = tl_err_sys(err, "open '%s'", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		st = tl_err_set(err, TL_BUSY,
				"a tallyd runs on '%s'; stop it first: "
				"'tallyctl stop'",
				dir);
	if (st == TL_OK) {
		*fd_r = fd;
		fd = -1;
	}
out:
	if (fd >= 0)
		close(fd);
	tl_free(path);
	return st;
}

bool private_pg_exists(const struct tallyctl *t)
{
	return access(tl_arena_printf(t->arena, "%s/pg/data/PG_VERSION",
				      t->conf->server.state_dir),
		      F_OK) == 0;
}

/* What the master's loop does for its cluster. */
static void turn(struct private_pg *p)
{
	static const struct timespec step = { 0, STEP_MS * 1000000L };
	int status;
	pid_t pid;

	(void)event_base_loop(p->base, EVLOOP_NONBLOCK);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		(void)pgembed_reaped(p->pg, pid, status);
	(void)nanosleep(&step, NULL);
}

static enum tl_status await_answer(struct private_pg *p, struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + START_MS;
	enum tl_status st = TL_OK;

	while (st == TL_OK && PQping(private_pg_url(p)) != PQPING_OK) {
		turn(p);
		st = pgembed_check(p->pg, err);
		if (st == TL_OK && tl_mono_ms() >= due_mono_ms)
			st = tl_err_set(err, TL_DEADLINE,
					"the embedded database does not answer "
					"after %d ms; see 'pg/postgresql.log' "
					"in the state directory",
					START_MS);
	}
	return st;
}

enum tl_status private_pg_start(struct tallyctl *t, struct private_pg **p_r,
				struct tl_err *err)
{
	struct private_pg *p = tl_alloc(sizeof(*p));
	enum tl_status st;

	p->base = event_base_new();
	tl_assert(p->base != NULL);
	st = pgembed_open(t->conf, p->base, &p->pg, err);
	if (st == TL_OK)
		st = pgembed_start(p->pg, err);
	if (st == TL_OK)
		st = await_answer(p, err);
	if (st == TL_OK)
		*p_r = p;
	else
		private_pg_stop(&p);
	return st;
}

const char *private_pg_url(const struct private_pg *p)
{
	return pgembed_conninfo(p->pg);
}

void private_pg_stop(struct private_pg **pp)
{
	struct private_pg *p = *pp;
	uint64_t due_mono_ms = 0;

	if (p == NULL)
		return;
	while (p->pg != NULL && pgembed_running(p->pg)) {
		if (tl_mono_ms() >= due_mono_ms) {
			pgembed_stop(p->pg);
			due_mono_ms = tl_mono_ms() + STOP_MS;
		}
		turn(p);
	}
	if (p->pg != NULL)
		pgembed_free(&p->pg);
	event_base_free(p->base);
	tl_freep(pp);
}
