#include "config.h"

#include "proc/give_away.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define DEPTH_MAX 8 /* spool and pg have two; the cluster is not entered */
#define SEGMENTS  "/dev/shm"

struct heir {
	uid_t uid;
	gid_t gid;
};

static enum tl_status give_tree(int dir_fd, const char *path,
				const struct heir *h, unsigned depth,
				struct tl_err *err);

/* fd: O_PATH, of the file itself even when that is a link. */
static enum tl_status give_one(int fd, const char *path, const struct heir *h,
			       unsigned depth, struct tl_err *err)
{
	enum tl_status st = TL_OK;
	struct stat sb;

	if (fstat(fd, &sb) < 0)
		return tl_err_sys(err, "look at '%s'", path);
	/* What is not root's has its owner: the cluster of another account,
	 * or all of it, when this is not the first start. */
	if (S_ISLNK(sb.st_mode) || (sb.st_uid != 0 && sb.st_uid != h->uid))
		return TL_OK;
	if (S_ISDIR(sb.st_mode) && depth < DEPTH_MAX)
		st = give_tree(fd, path, h, depth + 1, err);
	else if (S_ISREG(sb.st_mode) && sb.st_nlink != 1)
		return TL_OK;
	if (st == TL_OK && sb.st_uid == 0 &&
	    fchownat(fd, "", h->uid, h->gid, AT_EMPTY_PATH) < 0)
		st = tl_err_sys(err, "give '%s' away", path);
	return st;
}

static enum tl_status give_at(int dir_fd, const char *dir, const char *name,
			      const struct heir *h, unsigned depth,
			      struct tl_err *err)
{
	int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	enum tl_status st;
	char *path;

	if (fd < 0)
		return TL_OK; /* it went away */
	path = tl_asprintf("%s/%s", dir, name);
	st = give_one(fd, path, h, depth, err);
	tl_free(path);
	close(fd);
	return st;
}

static enum tl_status give_tree(int dir_fd, const char *path,
				const struct heir *h, unsigned depth,
				struct tl_err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	enum tl_status st = TL_OK;
	const struct dirent *e;

	if (d == NULL) {
		st = tl_err_sys(err, "read '%s'", path);
		if (fd >= 0)
			close(fd);
		return st;
	}
	while (st == TL_OK && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			st = give_at(fd, path, e->d_name, h, depth, err);
	closedir(d);
	return st;
}

static enum tl_status give_state(const char *dir, const struct heir *h,
				 struct tl_err *err)
{
	enum tl_status st = tl_mkdirs(dir, 0711, err);
	int fd;

	if (st != TL_OK)
		return st;
	/* The directory may be a link of the operator's: that one is followed.
	 */
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return tl_err_sys(err, "open '%s'", dir);
	st = give_one(fd, dir, h, 0, err);
	close(fd);
	return st;
}

/* Of all layouts: an upgrade may read the one before. */
static enum tl_status give_segments(const char *instance, const struct heir *h,
				    struct tl_err *err)
{
	char *front = tl_asprintf("tallyd.%s.v", instance);
	DIR *d = opendir(SEGMENTS);
	enum tl_status st = TL_OK;
	const struct dirent *e;

	while (d != NULL && st == TL_OK && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, front, strlen(front)) == 0)
			st = give_at(dirfd(d), SEGMENTS, e->d_name, h,
				     DEPTH_MAX, err);
	if (d != NULL)
		closedir(d);
	tl_free(front);
	return st;
}

/* In a directory of root's, such as /var/log, only root can make it. */
static enum tl_status give_log(const char *path, const struct heir *h,
			       struct tl_err *err)
{
	enum tl_status st;
	int fd;

	if (path[0] != '/')
		return TL_OK;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return tl_err_sys(err, "open log file '%s'", path);
	st = give_one(fd, path, h, DEPTH_MAX, err);
	close(fd);
	return st;
}

enum tl_status give_away(const struct conf *conf, uid_t uid, gid_t gid,
			 struct tl_err *err)
{
	const struct heir h = { uid, gid };
	enum tl_status st = give_state(conf->server.state_dir, &h, err);

	if (st == TL_OK)
		st = give_segments(conf->server.instance, &h, err);
	if (st == TL_OK)
		st = give_log(conf->log.file, &h, err);
	return st;
}
