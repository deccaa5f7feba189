/*
 * fd.c - see fd.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum tl_status tl_fd_nonblock(int fd, struct tl_err *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return tl_err_sys(err, "make descriptor %d non-blocking", fd);
	return TL_OK;
}

enum tl_status tl_write_all(int fd, const void *p, size_t len,
			    struct tl_err *err)
{
	const char *at = p;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tl_err_sys(err, "write");
		at += n;
		len -= (size_t)n;
	}
	return TL_OK;
}

enum tl_status tl_pread_all(int fd, void *p, size_t len, off_t at,
			    struct tl_err *err)
{
	char *to = p;

	while (len > 0) {
		ssize_t n = pread(fd, to, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tl_err_sys(err, "read");
		if (n == 0)
			return tl_err_set(err, TL_BROKEN,
					  "file ends %zu bytes early", len);
		to += n;
		at += n;
		len -= (size_t)n;
	}
	return TL_OK;
}

/* Reads until the end, not until st_size: /proc files have none. */
static enum tl_status read_whole(int fd, const char *path, size_t max_bytes,
				 char **data_r, size_t *len_r,
				 struct tl_err *err)
{
	size_t cap = max_bytes < 4096 ? max_bytes : 4096, len = 0;
	char *data = tl_alloc(cap + 1);

	for (;;) {
		/* One byte more than allowed shows that there is more. */
		ssize_t n = read(fd, data + len, cap - len + 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			tl_free(data);
			return tl_err_sys(err, "read '%s'", path);
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len <= cap)
			continue;
		if (cap == max_bytes) {
			tl_free(data);
			return tl_err_set(err, TL_FULL,
					  "'%s' is larger than %zu bytes", path,
					  max_bytes);
		}
		cap = cap > max_bytes / 2 ? max_bytes : cap * 2;
		data = tl_realloc(data, cap + 1);
	}
	data[len] = '\0';
	*data_r = data;
	*len_r = len;
	return TL_OK;
}

enum tl_status tl_file_read(const char *path, size_t max_bytes, char **data_r,
			    size_t *len_r, struct tl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum tl_status st;

	if (fd < 0)
		return tl_err_sys(err, "open '%s'", path);
	st = read_whole(fd, path, max_bytes, data_r, len_r, err);
	close(fd);
	return st;
}

/* A rename is durable when its directory is. */
static enum tl_status sync_parent(const char *path, struct tl_err *err)
{
	char *copy = tl_strdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum tl_status st = TL_OK;

	if (fd < 0 || fsync(fd) < 0)
		st = tl_err_sys(err, "sync the directory of '%s'", path);
	if (fd >= 0)
		close(fd);
	tl_free(copy);
	return st;
}

static enum tl_status write_new(const char *path, const void *p, size_t len,
				mode_t mode, struct tl_err *err)
{
	enum tl_status st;
	int fd;

	/* What a killed process of our number left behind. */
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return tl_err_sys(err, "create '%s'", path);
	st = tl_write_all(fd, p, len, err);
	if (st != TL_OK)
		tl_err_wrap(err, "'%s'", path);
	else if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		st = tl_err_sys(err, "sync '%s'", path);
	close(fd);
	return st;
}

enum tl_status tl_file_replace(const char *path, const void *p, size_t len,
			       mode_t mode, struct tl_err *err)
{
	char *beside = tl_asprintf("%s.%ld.new", path, (long)getpid());
	enum tl_status st = write_new(beside, p, len, mode, err);

	if (st == TL_OK && rename(beside, path) < 0)
		st = tl_err_sys(err, "rename '%s' to '%s'", beside, path);
	if (st != TL_OK)
		(void)unlink(beside);
	else
		st = sync_parent(path, err);
	tl_free(beside);
	return st;
}

static enum tl_status make_dir(const char *path, mode_t mode,
			       struct tl_err *err)
{
	struct stat sb;

	if (mkdir(path, mode) == 0)
		return TL_OK;
	if (errno == EEXIST) {
		if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
			return TL_OK;
		errno = ENOTDIR;
	}
	return tl_err_sys(err, "make directory '%s'", path);
}

enum tl_status tl_mkdirs(const char *path, mode_t mode, struct tl_err *err)
{
	char *copy = tl_strdup(path);
	enum tl_status st = TL_OK;

	for (char *p = copy + 1; st == TL_OK && copy[0] != '\0' && *p != '\0';
	     p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		st = make_dir(copy, mode, err);
		*p = '/';
	}
	if (st == TL_OK)
		st = make_dir(copy, mode, err);
	tl_free(copy);
	return st;
}

void tl_random(void *p, size_t len)
{
	char *at = p;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		tl_assert(n > 0); /* the kernel has had it since 3.17 */
		at += n;
		len -= (size_t)n;
	}
}
