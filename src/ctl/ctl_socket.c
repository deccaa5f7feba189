/*
 * ctl_socket.c - the socket file, also below long directory names.
 *
 * sun_path ends at 107 bytes, a state directory below somebody's home easily
 * does not.  Then the directory is opened and named by its descriptor,
 * /proc/self/fd/N/ctl.sock, which is short and means the same file.
 */
#include "config.h" /* _GNU_SOURCE: O_PATH */

#include "ctl/ctl_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* dir_fd stays open while the address is in use. */
struct address {
	struct sockaddr_un sun;
	int dir_fd;
};

static enum tl_status address_open(const char *state_dir, struct address *ad,
				   struct tl_err *err)
{
	int n;

	ad->sun.sun_family = AF_UNIX;
	ad->dir_fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ad->dir_fd < 0)
		return tl_err_sys(err, "open state directory '%s'", state_dir);
	n = snprintf(ad->sun.sun_path, sizeof(ad->sun.sun_path),
		     "%s/" CTL_SOCKET_NAME, state_dir);
	if (n < 0 || (size_t)n >= sizeof(ad->sun.sun_path))
		(void)snprintf(ad->sun.sun_path, sizeof(ad->sun.sun_path),
			       "/proc/self/fd/%d/" CTL_SOCKET_NAME, ad->dir_fd);
	return TL_OK;
}

static enum tl_status listen_at(int fd, const struct address *ad,
				const char *state_dir, struct tl_err *err)
{
	const struct sockaddr *sa = (const struct sockaddr *)&ad->sun;

	/* On Linux the mode of the socket becomes that of the file. */
	if (fchmod(fd, 0600) < 0)
		return tl_err_sys(err, "set mode of the control socket");
	if (bind(fd, sa, sizeof(ad->sun)) < 0 && errno == EADDRINUSE) {
		(void)unlinkat(ad->dir_fd, CTL_SOCKET_NAME, 0);
		if (bind(fd, sa, sizeof(ad->sun)) < 0)
			return tl_err_sys(err, "bind '%s/" CTL_SOCKET_NAME "'",
					  state_dir);
	}
	if (listen(fd, CTL_CLIENTS_MAX) < 0)
		return tl_err_sys(err, "listen on '%s/" CTL_SOCKET_NAME "'",
				  state_dir);
	return TL_OK;
}

enum tl_status ctl_socket_listen(const char *state_dir, int *fd_r,
				 struct tl_err *err)
{
	struct address ad;
	enum tl_status st;
	int fd;

	st = address_open(state_dir, &ad, err);
	if (st != TL_OK)
		return st;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		st = tl_err_sys(err, "make the control socket");
	else
		st = listen_at(fd, &ad, state_dir, err);
	close(ad.dir_fd);
	if (st == TL_OK)
		*fd_r = fd;
	else if (fd >= 0)
		close(fd);
	return st;
}

static enum tl_status connect_failed(const char *state_dir, struct tl_err *err)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		return tl_err_set(err, TL_UNAVAILABLE,
				  "no daemon listens on '%s/" CTL_SOCKET_NAME
				  "'",
				  state_dir);
	case EACCES:
	case EPERM:
		return tl_err_set(err, TL_DENIED,
				  "'%s/" CTL_SOCKET_NAME "' belongs to "
				  "another user; be root or the daemon's user",
				  state_dir);
	case EAGAIN:
		return tl_err_set(err, TL_DEADLINE,
				  "the daemon does not accept connections on "
				  "'%s/" CTL_SOCKET_NAME "'",
				  state_dir);
	default:
		return tl_err_sys(err, "connect to '%s/" CTL_SOCKET_NAME "'",
				  state_dir);
	}
}

enum tl_status ctl_socket_connect(const char *state_dir, uint32_t timeout_ms,
				  int *fd_r, struct tl_err *err)
{
	const struct timeval wait = { .tv_sec = timeout_ms / 1000,
				      .tv_usec = timeout_ms % 1000 * 1000 };
	enum tl_status st = TL_OK;
	struct address ad;
	int fd;

	if (address_open(state_dir, &ad, err) != TL_OK)
		return connect_failed(state_dir, err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		st = tl_err_sys(err, "make a socket");
	else if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) <
		 0)
		st = tl_err_sys(err, "set the socket's time limit");
	else if (connect(fd, (struct sockaddr *)&ad.sun, sizeof(ad.sun)) < 0)
		st = connect_failed(state_dir, err);
	close(ad.dir_fd);
	if (st == TL_OK)
		*fd_r = fd;
	else if (fd >= 0)
		close(fd);
	return st;
}

enum tl_status ctl_socket_share(const char *state_dir, gid_t gid,
				struct tl_err *err)
{
	struct address ad;
	struct stat sb;
	enum tl_status st = address_open(state_dir, &ad, err);

	if (st != TL_OK)
		return st;
	if (fstatat(ad.dir_fd, CTL_SOCKET_NAME, &sb, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (sb.st_gid != gid &&
	     fchownat(ad.dir_fd, CTL_SOCKET_NAME, (uid_t)-1, gid,
		      AT_SYMLINK_NOFOLLOW) < 0) ||
	    fchmodat(ad.dir_fd, CTL_SOCKET_NAME, 0660, 0) < 0)
		st = tl_err_sys(err, "share '%s/" CTL_SOCKET_NAME "'",
				state_dir);
	close(ad.dir_fd);
	return st;
}

void ctl_socket_unlink(const char *state_dir)
{
	struct address ad;

	if (address_open(state_dir, &ad, NULL) != TL_OK)
		return;
	(void)unlinkat(ad.dir_fd, CTL_SOCKET_NAME, 0);
	close(ad.dir_fd);
}
