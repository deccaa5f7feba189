#include "config.h"

#include "proc/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/paths.h"
#include "proc/give_away.h"
#include "tls/tls.h"

struct account {
	const char *name;
	uid_t uid;
	gid_t gid;
	char *home;
	bool wanted; /* the configuration names it */
	bool missing;
};

/* ---- which account ------------------------------------------------------- */

static enum tl_status find_group(const char *name, gid_t *gid_r,
				 struct tl_err *err)
{
	const struct group *gr;

	if (name[0] == '\0')
		return TL_OK;
	gr = getgrnam(name);
	if (gr == NULL)
		return tl_err_set(err, TL_NOT_FOUND,
				  "server.group: there is no group '%s'; make "
				  "it with 'groupadd --system %s'",
				  name, name);
	*gid_r = gr->gr_gid;
	return TL_OK;
}

static enum tl_status find_account(const struct conf *conf, struct account *a,
				   struct tl_err *err)
{
	const struct passwd *pw = getpwnam(conf->server.user);
	enum tl_status st;

	*a = (struct account){ .name = conf->server.user };
	a->wanted = conf_is_set(conf, "server.user");
	a->missing = pw == NULL;
	if (pw == NULL && a->wanted)
		return tl_err_set(err, TL_NOT_FOUND,
				  "server.user: there is no user '%s'; make it "
				  "with 'useradd --system %s', or set it to "
				  "root",
				  a->name, a->name);
	if (pw == NULL)
		return TL_OK;
	a->uid = pw->pw_uid;
	a->gid = pw->pw_gid;
	st = find_group(conf->server.group, &a->gid, err);
	if (st == TL_OK)
		a->home = tl_strdup(pw->pw_dir);
	return st;
}

enum tl_status privileges_check(const struct conf *conf, struct tl_err *err)
{
	struct account a;
	enum tl_status st = TL_OK;

	if (geteuid() != 0)
		return TL_OK;
	st = find_account(conf, &a, err);
	tl_free(a.home);
	return st;
}

enum tl_status privileges_group(const struct conf *conf, gid_t *gid_r,
				struct tl_err *err)
{
	return find_group(conf->server.group, gid_r, err);
}

/* ---- what would be in its way -------------------------------------------- */

/* The nearest directory above path that there is. */
static char *existing_parent(const char *path)
{
	char *dir = tl_strdup(path);
	char *slash;

	do {
		slash = strrchr(dir, '/');
		if (slash == NULL || slash == dir) {
			strcpy(dir, slash == NULL ? "." : "/");
			break;
		}
		*slash = '\0';
	} while (access(dir, F_OK) < 0);
	return dir;
}

/* As the account: the real identity asks, not what access(2) would take. */
static bool may(const char *path, int how)
{
	return faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0;
}

static enum tl_status need(const char *path, int how, const char *what,
			   struct tl_err *err)
{
	if (may(path, how))
		return TL_OK;
	return tl_err_set(err, TL_DENIED, "it may not %s '%s'", what, path);
}

static enum tl_status need_above(const char *path, int how, const char *what,
				 struct tl_err *err)
{
	char *dir = existing_parent(path);
	enum tl_status st = need(dir, how, what, err);

	tl_free(dir);
	return st;
}

/* Below the state directory, which is handed over before it is used. */
static bool handed_over(const struct conf *conf, const char *path)
{
	size_t len = strlen(conf->server.state_dir);

	return strncmp(path, conf->server.state_dir, len) == 0 &&
	       path[len] == '/';
}

static enum tl_status need_to_make(const struct conf *conf, const char *path,
				   const char *what, struct tl_err *err)
{
	if (path[0] == '\0' || handed_over(conf, path))
		return TL_OK;
	return need_above(path, W_OK | X_OK, what, err);
}

static enum tl_status need_listen(const struct conf *conf, struct tl_err *err)
{
	const struct conf_strings *names = &conf->server.listen;
	enum tl_status st = TL_OK;

	for (size_t i = 0; i < names->n && st == TL_OK; i++)
		if (strncmp(names->items[i], "unix:", 5) == 0)
			st = need_to_make(conf, names->items[i] + 5,
					  "make sockets in", err);
	return st;
}

/* Each worker reads them, and the next one again. */
static enum tl_status need_tls(const struct conf *conf, struct tl_err *err)
{
	const struct conf_strings *pairs = &conf->tls.certificates;
	enum tl_status st = TL_OK;

	if (!tls_wanted(conf))
		return TL_OK;
	for (size_t i = 0; i < pairs->n && st == TL_OK; i++) {
		char *pair = tl_strdup(pairs->items[i]), *rest = NULL;

		for (char *path = strtok_r(pair, " \t", &rest);
		     path != NULL && st == TL_OK;
		     path = strtok_r(NULL, " \t", &rest))
			st = need(path, R_OK, "read", err);
		tl_free(pair);
	}
	if (st == TL_OK && conf->tls.client_ca[0] != '\0')
		st = need(conf->tls.client_ca, R_OK, "read", err);
	return st;
}

/* What a reload, a log that moved and the end have to do again. */
static enum tl_status need_all(const struct conf *conf, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	if (conf->file != NULL) /* a reload reads it again */
		st = need(conf->file, R_OK, "read", err);
	if (st == TL_OK)
		st = need(tl_datadir(), R_OK | X_OK, "read", err);
	if (st == TL_OK)
		st = need_above(conf->server.state_dir, X_OK, "walk", err);
	if (st == TL_OK && conf->log.file[0] == '/')
		st = need_above(conf->log.file, X_OK, "walk", err);
	if (st == TL_OK)
		st = need_to_make(conf, conf->server.pid_file, "write into",
				  err);
	if (st == TL_OK)
		st = need_listen(conf, err);
	if (st == TL_OK)
		st = need_tls(conf, err);
	return st;
}

/* A directory that is somebody else's is not ours to give away. */
static enum tl_status need_owner(const char *path, const struct account *a,
				 bool roots_too, struct tl_err *err)
{
	struct stat sb;

	if (stat(path, &sb) < 0 || sb.st_uid == a->uid ||
	    (roots_too && sb.st_uid == 0))
		return TL_OK;
	return tl_err_set(err, TL_DENIED,
			  "'%s' belongs to another account, number %lu; stop "
			  "all that uses it, then 'chown -R %s' it",
			  path, (unsigned long)sb.st_uid, a->name);
}

static enum tl_status look_around(const struct conf *conf,
				  const struct account *a, struct tl_err *err)
{
	char *cluster = tl_asprintf("%s/pg/data", conf->server.state_dir);
	enum tl_status st;

	st = need_owner(conf->server.state_dir, a, true, err);
	if (st == TL_OK)
		st = need_owner(cluster, a, false, err);
	tl_free(cluster);
	if (st != TL_OK)
		return st;
	/* For a moment, so that groups and access lists count, too. */
	if (initgroups(a->name, a->gid) < 0 || setegid(a->gid) < 0 ||
	    seteuid(a->uid) < 0)
		return tl_err_sys(err, "take the identity of '%s'", a->name);
	st = need_all(conf, err);
	if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(0, NULL) < 0)
		return tl_err_sys(err, "take root's identity back");
	return st;
}

/* ---- the change ---------------------------------------------------------- */

static int capabilities_set(uint32_t mask)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = mask, .permitted = mask, .inheritable = mask }
	};

	return (int)syscall(SYS_capset, &head, data);
}

void privileges_none(void)
{
	if (geteuid() == 0) /* kept: a root without them is less than others */
		return;
	/* Where root was kept it is needed as such: the embedded server's
	 * socket lies in a directory of another account. */
	if (geteuid() == 0)
		return;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)capabilities_set(0); /* a filter of system calls may refuse */
}

/* Ambient: an upgrade executes the next release, which needs it as well. */
static enum tl_status become(const struct account *a, struct tl_err *err)
{
	if (initgroups(a->name, a->gid) < 0 ||
	    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	    setresgid(a->gid, a->gid, a->gid) < 0 ||
	    setresuid(a->uid, a->uid, a->uid) < 0)
		return tl_err_sys(err, "change to the user '%s'", a->name);
	/* A container may have none to give. */
	if (capabilities_set(1U << CAP_NET_BIND_SERVICE) < 0)
		privileges_none();
	else
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
			    CAP_NET_BIND_SERVICE, 0, 0);
	if (setresuid(0, 0, 0) == 0)
		return tl_err_set(err, TL_BROKEN,
				  "the change to the user '%s' can be undone",
				  a->name);
	/* No set-user-id program brings anything back. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return tl_err_sys(err, "give up new privileges");
	/* The kernel takes it away with a change of identity: then there would
	 * be no core files, and /proc/self would be root's. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	/* Where libpq and libcurl look for the account's own files. */
	setenv("HOME", a->home, 1);
	setenv("USER", a->name, 1);
	setenv("LOGNAME", a->name, 1);
	return TL_OK;
}

static char *why_root(const struct account *a, const struct tl_err *err)
{
	return tl_asprintf("running as root: the user '%s' %s%s; see "
			   "PRIVILEGES in tallyd(8)",
			   a->name,
			   a->missing ? "does not exist; make it with "
					"'useradd --system' or set server.user"
				      : "cannot be taken, ",
			   a->missing ? "" : err->text);
}

static enum tl_status drop_to(const struct conf *conf, const struct account *a,
			      char **stays_r, struct tl_err *err)
{
	enum tl_status st;

	if (a->missing) {
		*stays_r = why_root(a, err);
		return TL_OK;
	}
	if (a->uid == 0) /* the operator said so */
		return TL_OK;
	st = look_around(conf, a, err);
	if (st == TL_DENIED && !a->wanted) {
		*stays_r = why_root(a, err);
		return TL_OK;
	}
	if (st == TL_OK)
		st = give_away(conf, a->uid, a->gid, err);
	if (st == TL_OK)
		st = become(a, err);
	return st == TL_OK ? st : tl_err_wrap(err, "server.user '%s'", a->name);
}

enum tl_status privileges_drop(const struct conf *conf, char **stays_r,
			       struct tl_err *err)
{
	struct account a;
	enum tl_status st;

	*stays_r = NULL;
	if (geteuid() != 0)
		return TL_OK;
	st = find_account(conf, &a, err);
	if (st == TL_OK)
		st = drop_to(conf, &a, stays_r, err);
	tl_free(a.home);
	return st;
}
