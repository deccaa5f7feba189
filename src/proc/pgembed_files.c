#include "config.h"

#include "proc/pgembed_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "proc/privileges.h"

#define BINARIES_DIR "/usr/lib/postgresql"

/* ---- who and with what --------------------------------------------------- */

enum tl_status pgembed_find_user(struct pgembed *pg, const char *wanted,
				 struct tl_err *err)
{
	const struct passwd *pw;
	char *data = tl_asprintf("%s/data", pg->dir);
	struct stat sb;
	bool made;

	/* A cluster has one owner for life, whatever the settings say now. */
	made = stat(data, &sb) == 0;
	tl_free(data);
	pg->drop = geteuid() == 0;
	if (!pg->drop)
		pw = getpwuid(geteuid());
	else if (made)
		pw = getpwuid(sb.st_uid);
	else if ((pw = getpwnam(wanted)) == NULL)
		pw = getpwnam("nobody");
	if (pw == NULL)
		return tl_err_set(err, TL_NOT_FOUND,
				  "no user for the embedded database: neither "
				  "'%s' nor 'nobody' exists; set "
				  "database.embedded_user",
				  wanted);
	if (pw->pw_uid == 0)
		return tl_err_set(err, TL_INVALID,
				  "the embedded database cannot run as root; "
				  "set database.embedded_user");
	if (made && sb.st_uid != pw->pw_uid)
		return tl_err_set(err, TL_DENIED,
				  "'%s/data' belongs to another user; start as "
				  "root or as that user",
				  pg->dir);
	pg->user = tl_strdup(pw->pw_name);
	pg->uid = pw->pw_uid;
	pg->gid = pw->pw_gid;
	return TL_OK;
}

static bool has_server(const char *bindir)
{
	char *postgres = tl_asprintf("%s/postgres", bindir);
	char *initdb = tl_asprintf("%s/initdb", bindir);
	bool yes = access(postgres, X_OK) == 0 && access(initdb, X_OK) == 0;

	tl_free(postgres);
	tl_free(initdb);
	return yes;
}

/* The version of the cluster there is; 0 when there is none yet. */
static unsigned long cluster_version(const struct pgembed *pg)
{
	char *path = tl_asprintf("%s/data/PG_VERSION", pg->dir);
	unsigned long version = 0;
	char *text = NULL;
	size_t len;

	if (tl_file_read(path, 64, &text, &len, NULL) == TL_OK)
		version = strtoul(text, NULL, 10);
	tl_free(text);
	tl_free(path);
	return version;
}

/* The newest server, or the one that fits the cluster. */
static char *debian_bindir(unsigned long wanted)
{
	unsigned long best = 0;
	const struct dirent *e;
	char *bindir = NULL;
	DIR *d = opendir(BINARIES_DIR);

	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned long version = strtoul(e->d_name, NULL, 10);
		char *candidate;

		if (version <= best || (wanted != 0 && version != wanted))
			continue;
		candidate = tl_asprintf(BINARIES_DIR "/%lu/bin", version);
		if (has_server(candidate)) {
			best = version;
			tl_free(bindir);
			bindir = candidate;
		} else {
			tl_free(candidate);
		}
	}
	if (d != NULL)
		closedir(d);
	return bindir;
}

static char *pg_config_bindir(void)
{
	FILE *f = popen("pg_config --bindir 2>/dev/null", "re");
	char line[512] = "";
	char *bindir = NULL;

	if (f == NULL)
		return NULL;
	if (fgets(line, sizeof(line), f) != NULL) {
		struct tl_str s = tl_str_trim(tl_str_c(line));

		bindir = tl_strndup(s.ptr, s.len);
	}
	pclose(f);
	if (bindir != NULL && !has_server(bindir))
		tl_freep(&bindir);
	return bindir;
}

enum tl_status pgembed_find_binaries(struct pgembed *pg, struct tl_err *err)
{
	unsigned long wanted = cluster_version(pg);

	pg->bindir = debian_bindir(wanted);
	if (pg->bindir == NULL)
		pg->bindir = pg_config_bindir();
	if (pg->bindir == NULL && wanted != 0)
		return tl_err_set(err, TL_NOT_FOUND,
				  "no PostgreSQL %lu server found for the "
				  "cluster in '%s'; install postgresql-%lu or "
				  "set database.url",
				  wanted, pg->dir, wanted);
	if (pg->bindir == NULL)
		return tl_err_set(
			err, TL_NOT_FOUND,
			"no PostgreSQL server found (looked in " BINARIES_DIR
			" and asked pg_config); install "
			"postgresql or set database.url");
	return TL_OK;
}

/* ---- running its programs ------------------------------------------------ */

/* Only async-signal-safe calls: this is a fork of the master. */
_Noreturn void pgembed_exec(const struct pgembed *pg, int data_fd, int in,
			    int out, char *const argv[])
{
	char *const env[] = { (char[]){ "PATH=/usr/bin:/bin" },
			      (char[]){ "LC_ALL=C" }, (char[]){ "TZ=UTC" },
			      NULL };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	/* Its own session: Ctrl-C of a terminal must not stop it before the
	 * flusher is done. */
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	if (data_fd == PGEMBED_DATA_FD) { /* dup2 would keep close-on-exec */
		if (fcntl(PGEMBED_DATA_FD, F_SETFD, 0) < 0)
			_exit(126);
	} else if (dup2(data_fd, PGEMBED_DATA_FD) < 0) {
		_exit(126);
	}
	close_range(3, PGEMBED_DATA_FD - 1, 0);
	close_range(PGEMBED_DATA_FD + 1, ~0U, 0);
	/* Not a directory that the user may be unable to come back to. */
	if (chdir("/") < 0)
		_exit(126);
	if (pg->drop && (setgroups(0, NULL) < 0 || setgid(pg->gid) < 0 ||
			 setuid(pg->uid) < 0))
		_exit(126);
	privileges_none();
	execve(argv[0], argv, env);
	_exit(127);
}

int pgembed_log_open(const struct pgembed *pg)
{
	char *path = tl_asprintf("%s/postgresql.log", pg->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	tl_free(path);
	return fd;
}

/* Runs one program to its end; output goes to the server's log. */
static enum tl_status run(const struct pgembed *pg, int data_fd, int in,
			  char *const argv[], struct tl_err *err)
{
	int out = pgembed_log_open(pg);
	int status = 0;
	pid_t pid;

	if (out < 0)
		return tl_err_sys(err, "open '%s/postgresql.log'", pg->dir);
	pid = fork();
	if (pid == 0)
		pgembed_exec(pg, data_fd, in, out, argv);
	close(out);
	if (pid < 0)
		return tl_err_sys(err, "fork");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return tl_err_sys(err, "wait for '%s'", argv[0]);
	if (status != 0)
		return tl_err_set(err, TL_SYSTEM,
				  "'%s' failed (status %d); see "
				  "'%s/postgresql.log'",
				  argv[0], status, pg->dir);
	return TL_OK;
}

static enum tl_status run_initdb(const struct pgembed *pg, int data_fd,
				 struct tl_err *err)
{
	char *initdb = tl_asprintf("%s/initdb", pg->bindir);
	char *argv[] = { initdb,
			 (char[]){ "--pgdata=" PGEMBED_DATA_PATH },
			 (char[]){ "--username=tallyd" },
			 (char[]){ "--encoding=UTF8" },
			 (char[]){ "--locale=C" },
			 (char[]){ "--auth=peer" },
			 (char[]){ "--data-checksums" },
			 (char[]){ "--no-instructions" },
			 NULL };
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	enum tl_status st;

	st = in < 0 ? tl_err_sys(err, "open '/dev/null'")
		    : run(pg, data_fd, in, argv, err);
	if (in >= 0)
		close(in);
	tl_free(initdb);
	return st;
}

/* The database itself, before any server listens. */
static enum tl_status run_create(const struct pgembed *pg, int data_fd,
				 struct tl_err *err)
{
	static const char sql[] = "CREATE DATABASE tallyd;\n";
	char *postgres = tl_asprintf("%s/postgres", pg->bindir);
	char *argv[] = { postgres,
			 (char[]){ "--single" },
			 (char[]){ "-D" },
			 (char[]){ PGEMBED_DATA_PATH },
			 (char[]){ "template1" },
			 NULL };
	enum tl_status st;
	int in[2];

	if (pipe2(in, O_CLOEXEC) < 0) {
		st = tl_err_sys(err, "make a pipe");
		goto out;
	}
	st = tl_write_all(in[1], sql, sizeof(sql) - 1, err);
	close(in[1]);
	if (st == TL_OK)
		st = run(pg, data_fd, in[0], argv, err);
	close(in[0]);
out:
	tl_free(postgres);
	return st;
}

/* ---- the cluster --------------------------------------------------------- */

static enum tl_status write_owned(const struct pgembed *pg, int dir_fd,
				  const char *name, const char *text,
				  struct tl_err *err)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600);
	enum tl_status st;

	if (fd < 0)
		return tl_err_sys(err, "write '%s' of the cluster", name);
	st = tl_write_all(fd, text, strlen(text), err);
	if (st == TL_OK && pg->drop && fchown(fd, pg->uid, pg->gid) < 0)
		st = tl_err_sys(err, "give '%s' to '%s'", name, pg->user);
	if (st == TL_OK && fsync(fd) < 0)
		st = tl_err_sys(err, "write '%s' of the cluster", name);
	close(fd);
	return st;
}

/* Peer authentication: root and the server's own user are "tallyd". */
static enum tl_status write_access(const struct pgembed *pg, int data_fd,
				   struct tl_err *err)
{
	char *ident =
		tl_asprintf("tallyd root tallyd\ntallyd %s tallyd\n", pg->user);
	enum tl_status st;

	st = write_owned(pg, data_fd, "pg_ident.conf", ident, err);
	if (st == TL_OK)
		st = write_owned(pg, data_fd, "pg_hba.conf",
				 "local all all peer map=tallyd\n", err);
	tl_free(ident);
	return st;
}

/* A cluster that was given to another account still lets the old one in. */
static enum tl_status renew_access(const struct pgembed *pg, const char *data,
				   struct tl_err *err)
{
	char *path = tl_asprintf("%s/pg_ident.conf", data);
	char *line = tl_asprintf("\ntallyd %s tallyd\n", pg->user);
	enum tl_status st;
	char *text = NULL;
	size_t len;

	st = tl_file_read(path, 65536, &text, &len, err);
	if (st == TL_OK && strstr(text, line) == NULL)
		st = write_access(pg, pg->data_fd, err);
	tl_free(text);
	tl_free(line);
	tl_free(path);
	return st;
}

/* A first start that was interrupted leaves half a cluster. */
static enum tl_status remove_tree(const char *path, struct tl_err *err)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return tl_err_sys(err, "fork");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return tl_err_sys(err, "wait for rm");
	return status == 0
		       ? TL_OK
		       : tl_err_set(err, TL_SYSTEM, "cannot remove '%s'", path);
}

/* Made whole under another name, then renamed: half a cluster never counts. */
static enum tl_status cluster_make(const struct pgembed *pg, const char *data,
				   struct tl_err *err)
{
	char *fresh = tl_asprintf("%s.new", data);
	enum tl_status st;
	int fd = -1;

	log_info("making a database cluster in '%s', run by '%s'", data,
		 pg->user);
	st = remove_tree(fresh, err);
	if (st != TL_OK)
		goto out;
	if (mkdir(fresh, 0700) < 0 ||
	    (pg->drop && chown(fresh, pg->uid, pg->gid) < 0) ||
	    (fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		st = tl_err_sys(err, "make '%s'", fresh);
		goto out;
	}
	st = run_initdb(pg, fd, err);
	if (st == TL_OK)
		st = write_access(pg, fd, err);
	if (st == TL_OK)
		st = run_create(pg, fd, err);
	if (st == TL_OK && (fsync(fd) < 0 || rename(fresh, data) < 0))
		st = tl_err_sys(err, "put '%s' in place", data);
out:
	if (fd >= 0)
		close(fd);
	tl_free(fresh);
	return st;
}

enum tl_status pgembed_data_open(struct pgembed *pg, struct tl_err *err)
{
	char *data = tl_asprintf("%s/data", pg->dir);
	enum tl_status st = TL_OK;

	if (access(data, F_OK) < 0)
		st = cluster_make(pg, data, err);
	if (st == TL_OK) {
		pg->data_fd = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (pg->data_fd < 0)
			st = tl_err_sys(err, "open '%s'", data);
		else
			st = renew_access(pg, data, err);
	}
	tl_free(data);
	return st;
}

/* ---- the socket's directory ---------------------------------------------- */

bool pgembed_may_walk(const char *path, uid_t uid, gid_t gid)
{
	char *part = tl_strdup(path);
	bool may = path[0] == '/';
	size_t len = strlen(part);

	for (size_t i = 1; may && i <= len; i++) {
		struct stat sb;
		mode_t bit;

		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		may = stat(part, &sb) == 0;
		if (may) {
			bit = sb.st_uid == uid   ? S_IXUSR
			      : sb.st_gid == gid ? S_IXGRP
						 : S_IXOTH;
			may = (sb.st_mode & bit) != 0;
		}
		if (i < len)
			part[i] = '/';
	}
	tl_free(part);
	return may;
}

/* 0700 and the server's; whoever else made it must not get our data. */
static enum tl_status private_dir(const struct pgembed *pg, const char *path,
				  struct tl_err *err)
{
	struct stat sb;

	if (mkdir(path, 0700) == 0) {
		if (pg->drop && lchown(path, pg->uid, pg->gid) < 0)
			return tl_err_sys(err, "give '%s' to '%s'", path,
					  pg->user);
	} else if (errno != EEXIST) {
		return tl_err_sys(err, "make '%s'", path);
	}
	if (lstat(path, &sb) < 0)
		return tl_err_sys(err, "look at '%s'", path);
	if (!S_ISDIR(sb.st_mode) || sb.st_uid != pg->uid ||
	    (sb.st_mode & 07777) != 0700)
		return tl_err_set(err, TL_DENIED,
				  "'%s' is not a directory of '%s' alone; "
				  "remove it",
				  path, pg->user);
	return TL_OK;
}

enum tl_status pgembed_socket_dir_make(struct pgembed *pg, struct tl_err *err)
{
	static const uint8_t seed[16] = "tallyd socket";
	char *run = tl_asprintf("%s/run", pg->dir);
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat sb;
	int len;

	len = snprintf(name, sizeof(name), "%s/.s.PGSQL.%d", run, PGEMBED_PORT);
	if (len > 0 && (size_t)len < sizeof(name) &&
	    pgembed_may_walk(pg->dir, pg->uid, pg->gid)) {
		pg->socket_dir = run;
		pg->socket_dir_private = false;
		return private_dir(pg, run, err);
	}
	/* Named by the directory itself too, so that a server whose state
	 * directory was deleted under it does not stand in the way. */
	tl_free(run);
	if (fstat(pg->data_fd, &sb) < 0)
		return tl_err_sys(err, "look at '%s/data'", pg->dir);
	pg->socket_dir = tl_asprintf(
		"/tmp/tallyd-%016llx",
		(unsigned long long)(tl_siphash13(seed, pg->dir,
						  strlen(pg->dir)) ^
				     tl_siphash13(seed, &sb.st_ino,
						  sizeof(sb.st_ino))));
	pg->socket_dir_private = true;
	return private_dir(pg, pg->socket_dir, err);
}
