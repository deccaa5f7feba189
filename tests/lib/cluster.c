#include "config.h" /* _GNU_SOURCE */

#include "lib/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/sql.h"
#include "lib/world.h"

struct cluster {
	char *bindir;
	char *dir; /* data lies in it, the socket too */
	pid_t pid; /* 0: not running */
	unsigned n_databases;
};

static char *find_bindir(void)
{
	static const char *const patterns[] = {
		"/usr/lib/postgresql/*/bin/initdb", "/usr/local/*/bin/initdb",
		"/usr/bin/initdb"
	};
	char *found = NULL;
	const char *given = getenv("PG_BINDIR");
	glob_t g;
	size_t i;

	if (given != NULL)
		return tl_strdup(given);
	for (i = 0; i < 3 && found == NULL; i++) {
		if (glob(patterns[i], 0, NULL, &g) != 0)
			continue;
		found = tl_strdup(g.gl_pathv[g.gl_pathc - 1]);
		*strrchr(found, '/') = '\0';
		globfree(&g);
	}
	return found;
}

/* PostgreSQL refuses to run as root. */
static void become_postgres(void)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return;
	pw = getpwnam("postgres");
	if (pw == NULL || initgroups("postgres", pw->pw_gid) != 0 ||
	    setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
		_exit(126);
}

static pid_t spawn(const struct cluster *c, const char *const *argv)
{
	char *log = tl_asprintf("%s/log", c->dir);
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		become_postgres();
		prctl(PR_SET_PDEATHSIG, SIGQUIT);
		if (chdir("/") != 0)
			_exit(126);
		fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
		dup2(fd, 1);
		dup2(fd, 2);
		signal(SIGINT, SIG_DFL);
		/* A Ctrl-C at the terminal is for the test, which stops us. */
		setpgid(0, 0);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	tl_free(log);
	return pid;
}

struct cluster *cluster_new(void)
{
	struct cluster *c = tl_alloc(sizeof(*c));
	const struct passwd *pw = getpwnam("postgres");
	char *initdb, *data;
	int status = -1;
	pid_t pid;

	c->bindir = find_bindir();
	if (c->bindir == NULL) {
		tl_free(c);
		return NULL;
	}
	c->dir = world_path("pg");
	if (mkdir(c->dir, 0755) != 0 ||
	    (geteuid() == 0 &&
	     (pw == NULL || chown(c->dir, pw->pw_uid, pw->pw_gid) != 0)))
		world_die("cannot make '%s': %s", c->dir, strerror(errno));
	initdb = tl_asprintf("%s/initdb", c->bindir);
	data = tl_asprintf("%s/data", c->dir);
	pid = spawn(c,
		    (const char *const[]){ initdb, "-D", data, "-U", "postgres",
					   "-A", "trust", "-E", "UTF8",
					   "--locale=C", "--no-sync", NULL });
	if (waitpid(pid, &status, 0) != pid || status != 0)
		world_die("initdb failed, see '%s/log'", c->dir);
	tl_free(initdb);
	tl_free(data);
	cluster_start(c);
	return c;
}

void cluster_start(struct cluster *c)
{
	char *server = tl_asprintf("%s/postgres", c->bindir);
	char *data = tl_asprintf("%s/data", c->dir);
	char *conninfo = cluster_conninfo(c, "postgres");
	uint64_t until = test_mono_ns() + 60ull * 1000000000;
	const char *argv[] = { server,
			       "-D",
			       data,
			       "-k",
			       c->dir,
			       "-c",
			       "listen_addresses=",
			       "-c",
			       "timezone=UTC",
			       "-c",
			       "fsync=off",
			       "-c",
			       "max_connections=60",
			       "-c",
			       "shared_buffers=64MB",
			       NULL };
	PGPing ping = PQPING_NO_RESPONSE;

	while (test_mono_ns() < until && ping != PQPING_OK) {
		/* A killed server's children may still hold its memory, and
		 * the start then fails: again. */
		if (c->pid != 0 && waitpid(c->pid, NULL, WNOHANG) == c->pid)
			c->pid = 0;
		if (c->pid == 0)
			c->pid = spawn(c, argv);
		test_sleep_ms(30);
		ping = PQping(conninfo);
	}
	if (ping != PQPING_OK)
		world_die("PostgreSQL did not start, see '%s/log'", c->dir);
	tl_free(server);
	tl_free(data);
	tl_free(conninfo);
}

void cluster_stop(struct cluster *c, int sig)
{
	if (c->pid == 0)
		return;
	kill(c->pid, sig);
	/* In a fork of its parent it is nobody's child: wait by looking. */
	if (waitpid(c->pid, NULL, 0) != c->pid)
		while (kill(c->pid, 0) == 0)
			test_sleep_ms(10);
	c->pid = 0;
}

bool cluster_running(const struct cluster *c)
{
	return c->pid != 0;
}

void cluster_free(struct cluster **c)
{
	if (*c == NULL)
		return;
	sql_close();
	cluster_stop(*c, SIGQUIT);
	tl_free((*c)->bindir);
	tl_free((*c)->dir);
	tl_freep(c);
}

char *cluster_conninfo(const struct cluster *c, const char *dbname)
{
	return tl_asprintf("host=%s port=5432 user=postgres dbname=%s", c->dir,
			   dbname);
}

char *cluster_create_db(struct cluster *c)
{
	char *admin = cluster_conninfo(c, "postgres");
	char *name = tl_asprintf("t%ld_%u", (long)getpid(), ++c->n_databases);
	char *conninfo = cluster_conninfo(c, name);

	sql_exec(admin, "CREATE DATABASE %s", name);
	sql_close();
	tl_free(admin);
	tl_free(name);
	return conninfo;
}
