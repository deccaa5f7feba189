/*
 * pgtest.c - starting and stopping a private PostgreSQL.
 *
 * The postmaster is our child and dies with us (PR_SET_PDEATHSIG), so an
 * aborted test leaves nothing running.
 */
#include "config.h"

#include "pgtest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define READY_LIMIT_S     60
#define MEMORY_FREE_BYTES (4ULL << 30)

struct pgtest {
	char dir[64];
	char bin[PATH_MAX - 64];
	char conninfo[160];
	bool copied;     /* from TEST_CLUSTER, which has templates */
	char of_day[16]; /* of the demo data in its template */
	char listen[48]; /* an address of TCP; none at first */
	pid_t maker;     /* who made the directory and may remove it */
	/* Shared with forked tests, which may stop and start the server. */
	struct server {
		pid_t postmaster; /* 0: not running */
		pid_t owner;      /* its parent; it dies with that one */
	} * server;
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt,
								...)
{
	va_list ap;

	fprintf(stderr, "pgtest: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* The newest of Debian's versions, else whatever PATH knows. */
static void find_bin(struct pgtest *p)
{
	glob_t found;
	char *slash;

	if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0) {
		snprintf(p->bin, sizeof(p->bin), "%s",
			 found.gl_pathv[found.gl_pathc - 1]);
		globfree(&found);
		slash = strrchr(p->bin, '/');
		*slash = '\0';
		return;
	}
	FILE *pipe = popen("dirname \"$(command -v postgres)\"", "r");
	if (pipe == NULL || fgets(p->bin, sizeof(p->bin), pipe) == NULL ||
	    p->bin[0] != '/')
		die("no PostgreSQL server is installed");
	pclose(pipe);
	p->bin[strcspn(p->bin, "\n")] = '\0';
}

/* PostgreSQL refuses to run as root. */
static void become_postgres(void)
{
	struct passwd *pw;

	if (geteuid() != 0)
		return;
	pw = getpwnam("postgres");
	if (pw == NULL || initgroups(pw->pw_name, pw->pw_gid) < 0 ||
	    setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		_exit(126);
}

static pid_t run(const struct pgtest *p, const char *program,
		 char *const argv[])
{
	char path[PATH_MAX], log[128];
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	snprintf(path, sizeof(path), "%s/%s", p->bin, program);
	snprintf(log, sizeof(log), "%s/log", p->dir);
	/* Its own group: Ctrl-C of a terminal is for the test. */
	setpgid(0, 0);
	become_postgres();
	/* After setuid, which clears it.  SIGQUIT: immediate shutdown. */
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent)
		_exit(1);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || chdir(p->dir) < 0)
		_exit(127);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	for (int other = 3; other < 256; other++)
		close(other);
	execv(path, argv);
	_exit(127);
}

const char *pgtest_base(void)
{
	struct statvfs fs;

	return statvfs("/dev/shm", &fs) == 0 &&
			       fs.f_bavail * (uint64_t)fs.f_frsize >=
				       MEMORY_FREE_BYTES
		       ? "/dev/shm"
		       : "/tmp";
}

static void make_dir(struct pgtest *p)
{
	struct passwd *pw = getpwnam("postgres");

	snprintf(p->dir, sizeof(p->dir), "%s/pgt.XXXXXX", pgtest_base());
	if (mkdtemp(p->dir) == NULL)
		die("mkdtemp: %s", strerror(errno));
	if (geteuid() == 0 &&
	    (pw == NULL || chown(p->dir, pw->pw_uid, pw->pw_gid) < 0))
		die("no user postgres to run the server");
	if (chmod(p->dir, 0755) < 0)
		die("chmod: %s", strerror(errno));
}

/* As whoever we are: the build may lie where postgres can't read. */
static bool copy_cluster(struct pgtest *p, const char *data)
{
	FILE *day;
	int status;
	pid_t pid;

	if (access(TEST_CLUSTER "/data/PG_VERSION", R_OK) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		execlp("cp", "cp", "-a", TEST_CLUSTER "/data", data, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("no copy of %s", TEST_CLUSTER "/data");
	day = fopen(TEST_CLUSTER "/day", "r");
	if (day == NULL || fgets(p->of_day, sizeof(p->of_day), day) == NULL)
		die("%s is missing", TEST_CLUSTER "/day");
	fclose(day);
	p->copied = true;
	return true;
}

static void make_cluster(struct pgtest *p)
{
	char data[96];
	char *argv[] = { (char[]){ "initdb" },
			 (char[]){ "-D" },
			 data,
			 (char[]){ "-U" },
			 (char[]){ "postgres" },
			 (char[]){ "--auth=trust" },
			 (char[]){ "--no-sync" },
			 (char[]){ "--encoding=UTF8" },
			 (char[]){ "--locale=C.UTF-8" },
			 NULL };
	int status;
	pid_t pid;

	snprintf(data, sizeof(data), "%s/data", p->dir);
	if (copy_cluster(p, data))
		return;
	pid = run(p, "initdb", argv);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("initdb failed, see %s/log", p->dir);
}

const char *pgtest_template(const struct pgtest *p, bool demo)
{
	char today[16];
	time_t now = time(NULL);
	struct tm tm;

	strftime(today, sizeof(today), "%F\n", gmtime_r(&now, &tm));
	if (!p->copied || (demo && strcmp(today, p->of_day) != 0))
		return NULL;
	return demo ? "tally_demo" : "tally_schema";
}

const char *pgtest_conninfo(const struct pgtest *p)
{
	return p->conninfo;
}

const char *pgtest_dir(const struct pgtest *p)
{
	return p->dir;
}

static void nap(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void wait_until_ready(struct pgtest *p)
{
	for (int i = 0; i < READY_LIMIT_S * 50; i++) {
		PGconn *pq = PQconnectdb(p->conninfo);
		int ok = PQstatus(pq) == CONNECTION_OK;

		PQfinish(pq);
		if (ok)
			return;
		if (waitpid(p->server->postmaster, NULL, WNOHANG) > 0)
			die("the server ended, see %s/log", p->dir);
		nap(20);
	}
	die("the server is not ready, see %s/log", p->dir);
}

/* The state letter and parent of a process; 0: there is none. */
static char look_at(pid_t pid, pid_t *parent_r)
{
	char path[64], text[512];
	const char *end;
	char state = 0;
	size_t n;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	end = strrchr(text, ')');
	if (end == NULL || sscanf(end + 1, " %c %d", &state, &parent) != 2)
		return 0;
	*parent_r = parent;
	return state;
}

static void wait_until_gone(pid_t pid)
{
	for (int i = 0; i < READY_LIMIT_S * 100; i++) {
		pid_t parent;
		char state;

		waitpid(pid, NULL, WNOHANG); /* if it is ours */
		state = look_at(pid, &parent);
		if (state == 0 || state == 'Z')
			return;
		nap(10);
	}
	die("process %d does not end", (int)pid);
}

void pgtest_resume(struct pgtest *p)
{
	char data[96], socket_dir[128], pid_file[128], listen[80];
	char *argv[] = { (char[]){ "postgres" },
			 (char[]){ "-D" },
			 data,
			 (char[]){ "-c" },
			 socket_dir,
			 (char[]){ "-c" },
			 listen,
			 (char[]){ "-c" },
			 (char[]){ "fsync=off" },
			 (char[]){ "-c" },
			 (char[]){ "full_page_writes=off" },
			 (char[]){ "-c" },
			 (char[]){ "shared_buffers=16MB" },
			 (char[]){ "-c" },
			 (char[]){ "max_connections=50" },
			 NULL };

	/* Started by a test that ended: the server ends as well. */
	if (p->server->postmaster != 0 && p->server->owner != p->maker &&
	    p->server->owner != getpid()) {
		wait_until_gone(p->server->postmaster);
		p->server->postmaster = 0;
	}
	if (p->server->postmaster != 0)
		return;
	snprintf(data, sizeof(data), "%s/data", p->dir);
	snprintf(socket_dir, sizeof(socket_dir), "unix_socket_directories=%s",
		 p->dir);
	snprintf(listen, sizeof(listen), "listen_addresses=%s", p->listen);
	/* One that was killed leaves it; its number may be taken by now. */
	snprintf(pid_file, sizeof(pid_file), "%s/data/postmaster.pid", p->dir);
	unlink(pid_file);
	p->server->owner = getpid();
	p->server->postmaster = run(p, "postgres", argv);
	if (p->server->postmaster < 0)
		die("fork: %s", strerror(errno));
	wait_until_ready(p);
}

static struct pgtest *new_server(void)
{
	struct pgtest *p = calloc(1, sizeof(*p));

	if (p == NULL)
		die("no memory");
	p->maker = getpid();
	p->server = mmap(NULL, sizeof(*p->server), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->server == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	find_bin(p);
	make_dir(p);
	snprintf(p->conninfo, sizeof(p->conninfo),
		 "host=%s user=postgres dbname=postgres", p->dir);
	return p;
}

struct pgtest *pgtest_start(void)
{
	struct pgtest *p = new_server();

	make_cluster(p);
	pgtest_resume(p);
	return p;
}

struct pgtest *pgtest_standby(const struct pgtest *primary)
{
	struct pgtest *p = new_server();
	char data[96], from[160];
	char *argv[] = { (char[]){ "pg_basebackup" },
			 (char[]){ "-D" },
			 data,
			 (char[]){ "-d" },
			 from,
			 (char[]){ "-R" },
			 (char[]){ "--no-sync" },
			 (char[]){ "--checkpoint=fast" },
			 NULL };
	int status;
	pid_t pid;

	snprintf(data, sizeof(data), "%s/data", p->dir);
	snprintf(from, sizeof(from), "host=%s user=postgres", primary->dir);
	pid = run(p, "pg_basebackup", argv);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("pg_basebackup failed, see %s/log", p->dir);
	pgtest_resume(p);
	return p;
}

static void ignore_notice(void *arg, const char *words)
{
	(void)arg;
	(void)words;
}

char *pgtest_value(const struct pgtest *p, const char *sql)
{
	PGconn *pq = PQconnectdb(p->conninfo);
	char *value = NULL;
	PGresult *res;

	PQsetNoticeProcessor(pq, ignore_notice, NULL);
	res = PQexec(pq, sql);

	if (PQresultStatus(res) != PGRES_TUPLES_OK &&
	    PQresultStatus(res) != PGRES_COMMAND_OK)
		die("'%s': %s", sql, PQerrorMessage(pq));
	if (PQntuples(res) > 0)
		value = strdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	PQfinish(pq);
	return value;
}

void pgtest_sql(const struct pgtest *p, const char *sql)
{
	free(pgtest_value(p, sql));
}

static void end_postmaster(struct pgtest *p, int signo)
{
	if (p->server->postmaster == 0)
		return;
	kill(p->server->postmaster, signo);
	wait_until_gone(p->server->postmaster);
	p->server->postmaster = 0;
}

/* The postmaster and who it has forked. */
static size_t family(const struct pgtest *p, pid_t pids[256])
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	size_t n = 0;
	pid_t parent;

	if (proc == NULL)
		die("no /proc");
	pids[n++] = p->server->postmaster;
	while (n < 256 && (entry = readdir(proc)) != NULL) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && look_at(pid, &parent) != 0 &&
		    parent == p->server->postmaster)
			pids[n++] = pid;
	}
	closedir(proc);
	return n;
}

/*
 * Backends lead sessions of their own and may be slow to notice, and the next
 * start refuses while one is attached to the old shared memory.
 */
void pgtest_kill9(struct pgtest *p)
{
	pid_t pids[256];
	size_t n;

	if (p->server->postmaster == 0)
		return;
	n = family(p, pids);
	end_postmaster(p, SIGKILL);
	for (size_t i = 1; i < n; i++)
		kill(pids[i], SIGKILL);
	for (size_t i = 1; i < n; i++)
		wait_until_gone(pids[i]);
}

void pgtest_freeze(const struct pgtest *p)
{
	pid_t pids[256];
	size_t n;

	if (p->server->postmaster == 0)
		return;
	kill(p->server->postmaster, SIGSTOP); /* first: it forks no more */
	n = family(p, pids);
	for (size_t i = 1; i < n; i++)
		kill(pids[i], SIGSTOP);
}

void pgtest_thaw(const struct pgtest *p)
{
	pid_t pids[256];
	size_t n;

	if (p->server->postmaster == 0)
		return;
	n = family(p, pids);
	while (n > 0)
		kill(pids[--n], SIGCONT);
}

void pgtest_halt(struct pgtest *p)
{
	end_postmaster(p, SIGQUIT);
}

void pgtest_listen(struct pgtest *p, const char *address)
{
	snprintf(p->listen, sizeof(p->listen), "%s", address);
}

void pgtest_restart(struct pgtest *p)
{
	end_postmaster(p, SIGINT);
	pgtest_resume(p);
}

static int remove_entry(const char *path, const struct stat *sb, int type,
			struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

void pgtest_stop(struct pgtest **p_r)
{
	struct pgtest *p = *p_r;

	*p_r = NULL;
	if (p == NULL)
		return;
	if (p->maker == getpid()) {
		end_postmaster(p, SIGQUIT);
		nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
	munmap(p->server, sizeof(*p->server));
	free(p);
}
