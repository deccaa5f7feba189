#include "config.h"

#include "proc/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

struct listener {
	char *address; /* as configured */
	int *fds;      /* one, or one per worker (reuseport) */
	uint32_t n_fds;
	bool manager; /* the service manager's: see listen_view */
};
struct listen_set {
	struct listener *listeners;
	uint32_t n;
};
union any_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static bool is_unix(const char *address)
{
	return strncmp(address, "unix:", 5) == 0;
}

/* ---- addresses ----------------------------------------------------------- */

static enum tl_status unix_address(const char *path, union any_address *a,
				   socklen_t *len_r, struct tl_err *err)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(a->un.sun_path))
		return tl_err_set(err, TL_INVALID,
				  "server.listen: the path '%s' has %zu bytes; "
				  "a socket's name has 1 to %zu",
				  path, len, sizeof(a->un.sun_path) - 1);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path, len);
	*len_r = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return TL_OK;
}

/* 127.0.0.1:3001, [::1]:3001, *:3001 */
static enum tl_status tcp_address(const char *text, union any_address *a,
				  socklen_t *len_r, struct tl_err *err)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	uint64_t port;
	size_t len;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
	    !tl_parse_u64(tl_str_c(colon + 1), 1, 65535, &port))
		goto bad;
	len = (size_t)(colon - text);
	memcpy(host, text, len);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)port);
		if (inet_pton(AF_INET6, host + 1, &a->in6.sin6_addr) != 1)
			goto bad;
		*len_r = sizeof(a->in6);
		return TL_OK;
	}
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons((uint16_t)port);
	if (strcmp(host, "*") != 0 &&
	    inet_pton(AF_INET, host, &a->in.sin_addr) != 1)
		goto bad;
	*len_r = sizeof(a->in);
	return TL_OK;
bad:
	return tl_err_set(err, TL_INVALID,
			  "server.listen: '%s' is no address; give "
			  "127.0.0.1:3001, [::1]:3001 (tls: in front for "
			  "TLS) or unix:/path",
			  text);
}

/* ---- one socket ---------------------------------------------------------- */

/* Nobody accepts behind a stale name; a live one answers. */
static enum tl_status clear_stale(const char *path, const union any_address *a,
				  socklen_t len, struct tl_err *err)
{
	struct stat sb;
	int fd, rc;

	if (lstat(path, &sb) < 0)
		return TL_OK;
	if (!S_ISSOCK(sb.st_mode))
		return tl_err_set(
			err, TL_EXISTS,
			"listen on 'unix:%s': there is a file of that "
			"name that is no socket",
			path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tl_err_sys(err, "make a socket");
	rc = connect(fd, &a->sa, len);
	close(fd);
	if (rc == 0)
		return tl_err_set(
			err, TL_EXISTS,
			"listen on 'unix:%s': another process accepts "
			"there",
			path);
	if (unlink(path) < 0)
		return tl_err_sys(err, "remove the stale socket '%s'", path);
	return TL_OK;
}

static enum tl_status bind_unix(int fd, const char *path,
				const union any_address *a, socklen_t len,
				struct tl_err *err)
{
	enum tl_status st = clear_stale(path, a, len, err);

	if (st != TL_OK)
		return st;
	/* A reverse proxy runs as another user; the directory guards it. */
	if (bind(fd, &a->sa, len) < 0 || chmod(path, 0666) < 0)
		return tl_err_sys(err, "listen on 'unix:%s'", path);
	return TL_OK;
}

static enum tl_status bind_tcp(int fd, const char *address, bool reuseport,
			       const union any_address *a, socklen_t len,
			       struct tl_err *err)
{
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (reuseport &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
	    (a->sa.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		return tl_err_sys(err, "set options of '%s'", address);
	/* Inherited by what is accepted: answers are written whole. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, &a->sa, len) < 0)
		return tl_err_sys(err, "listen on '%s'", address);
	return TL_OK;
}

static enum tl_status parse(const char *address, union any_address *a,
			    socklen_t *len_r, struct tl_err *err)
{
	memset(a, 0, sizeof(*a));
	return is_unix(address)
		       ? unix_address(address + 5, a, len_r, err)
		       : tcp_address(conf_socket_address(address), a, len_r, err);
}

static enum tl_status open_one(const char *address, bool reuseport, int *fd_r,
			       struct tl_err *err)
{
	union any_address a;
	socklen_t len = 0;
	enum tl_status st;
	int fd;

	st = parse(address, &a, &len, err);
	if (st != TL_OK)
		return st;
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0)
		return tl_err_sys(err, "make a socket for '%s'", address);
	st = is_unix(address) ? bind_unix(fd, address + 5, &a, len, err)
			      : bind_tcp(fd, address, reuseport, &a, len, err);
	if (st == TL_OK && listen(fd, BACKLOG) < 0)
		st = tl_err_sys(err, "listen on '%s'", address);
	if (st != TL_OK) {
		close(fd);
		return st;
	}
	*fd_r = fd;
	return TL_OK;
}

/* ---- the set ------------------------------------------------------------- */

static const struct listener *find(const struct listen_set *set,
				   const char *address)
{
	for (uint32_t i = 0; set != NULL && i < set->n; i++)
		if (strcmp(conf_socket_address(set->listeners[i].address),
			   conf_socket_address(address)) == 0)
			return &set->listeners[i];
	return NULL;
}

static enum tl_status fill(struct listener *l, bool reuseport,
			   const struct listener *old, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	for (uint32_t i = 0; i < l->n_fds && st == TL_OK; i++) {
		if (old == NULL || i >= old->n_fds)
			st = open_one(l->address, reuseport, &l->fds[i], err);
		else if ((l->fds[i] = fcntl(old->fds[i], F_DUPFD_CLOEXEC, 3)) <
			 0)
			st = tl_err_sys(err, "keep the socket of '%s'",
					l->address);
	}
	return st;
}

enum tl_status listen_open(const struct conf *conf,
			   const struct listen_set *old,
			   struct listen_set **set_r, struct tl_err *err)
{
	const struct conf_strings *names = &conf->server.listen;
	struct listen_set *set = tl_alloc(sizeof(*set));
	enum tl_status st = TL_OK;

	set->listeners = tl_alloc_array(names->n, sizeof(*set->listeners));
	for (size_t i = 0; i < names->n && st == TL_OK; i++) {
		struct listener *l = &set->listeners[set->n++];
		const struct listener *before = find(old, names->items[i]);
		bool split =
			conf->server.reuseport && !is_unix(names->items[i]);

		l->address = tl_strdup(names->items[i]);
		l->manager = before != NULL && before->manager;
		split = split && !l->manager; /* it made one, for all */
		l->n_fds = split ? conf->server.workers : 1;
		l->fds = tl_alloc_array(l->n_fds, sizeof(*l->fds));
		for (uint32_t k = 0; k < l->n_fds; k++)
			l->fds[k] = -1;
		st = fill(l, split, before, err);
	}
	if (st != TL_OK) {
		listen_free(&set, old);
		return st;
	}
	*set_r = set;
	return TL_OK;
}

/* ---- sockets that others made -------------------------------------------- */

struct listen_set *listen_none(void)
{
	return tl_alloc(sizeof(struct listen_set));
}

void listen_add(struct listen_set *set, const struct listen_view *v)
{
	struct listener *l;

	set->listeners = tl_realloc(set->listeners,
				    (set->n + 1) * sizeof(*set->listeners));
	l = &set->listeners[set->n++];
	l->address = tl_strdup(v->address);
	l->fds = tl_memdup(v->fds, v->n_fds * sizeof(int));
	l->n_fds = v->n_fds;
	l->manager = v->manager;
}

struct listen_view listen_view(const struct listen_set *set, uint32_t i)
{
	const struct listener *l = &set->listeners[i];

	return (struct listen_view){ l->address, l->fds, l->n_fds,
				     l->manager };
}

static bool bound_to(const union any_address *have,
		     const union any_address *want)
{
	if (have->sa.sa_family != want->sa.sa_family)
		return false;
	switch (have->sa.sa_family) {
	case AF_INET:
		return have->in.sin_port == want->in.sin_port &&
		       have->in.sin_addr.s_addr == want->in.sin_addr.s_addr;
	case AF_INET6:
		return have->in6.sin6_port == want->in6.sin6_port &&
		       memcmp(&have->in6.sin6_addr, &want->in6.sin6_addr,
			      16) == 0;
	default:
		return strcmp(have->un.sun_path, want->un.sun_path) == 0;
	}
}

static void name_of(const union any_address *a, char dst[128])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
		snprintf(dst, 128, "%s:%u", host, ntohs(a->in.sin_port));
	} else if (a->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
		snprintf(dst, 128, "[%s]:%u", host, ntohs(a->in6.sin6_port));
	} else {
		snprintf(dst, 128, "unix:%.108s", a->un.sun_path);
	}
}

static enum tl_status take_passed(const struct conf *conf, int fd,
				  struct listen_set *set, struct tl_err *err)
{
	const struct conf_strings *names = &conf->server.listen;
	struct listen_view v = { NULL, &fd, 1, true };
	union any_address have, want;
	socklen_t len = sizeof(have);
	char name[128];

	memset(&have, 0, sizeof(have));
	if (getsockname(fd, &have.sa, &len) < 0)
		return tl_err_sys(err, "LISTEN_FDS: descriptor %d", fd);
	for (size_t i = 0; i < names->n && v.address == NULL; i++)
		if (parse(names->items[i], &want, &len, err) == TL_OK &&
		    bound_to(&have, &want))
			v.address = names->items[i];
	name_of(&have, name);
	if (v.address == NULL)
		return tl_err_set(err, TL_INVALID,
				  "the service manager passed a socket on '%s', "
				  "which is not in server.listen; add it there "
				  "or remove it from the socket unit",
				  name);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return tl_err_sys(err, "LISTEN_FDS: socket on '%s'", name);
	listen_add(set, &v);
	return TL_OK;
}

#define PASSED_FIRST 3 /* SD_LISTEN_FDS_START */

enum tl_status listen_passed(const struct conf *conf, struct listen_set **set_r,
			     struct tl_err *err)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	struct listen_set *set = listen_none();
	enum tl_status st = TL_OK;
	uint64_t whose, n = 0;

	if (pid != NULL && fds != NULL &&
	    tl_parse_u64(tl_str_c(pid), 1, INT32_MAX, &whose) &&
	    whose == (uint64_t)getpid() &&
	    !tl_parse_u64(tl_str_c(fds), 0, 256, &n))
		n = 0;
	for (uint64_t i = 0; i < n && st == TL_OK; i++)
		st = take_passed(conf, PASSED_FIRST + (int)i, set, err);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (st != TL_OK)
		listen_free(&set, NULL);
	*set_r = set;
	return st;
}

/* ---- use ----------------------------------------------------------------- */

uint32_t listen_per_worker(const struct listen_set *set)
{
	return set->n;
}

void listen_fds(const struct listen_set *set, uint32_t worker, int *fds_r)
{
	for (uint32_t i = 0; i < set->n; i++) {
		const struct listener *l = &set->listeners[i];

		fds_r[i] = l->fds[l->n_fds > 1 ? worker % l->n_fds : 0];
	}
}

void listen_free(struct listen_set **setp, const struct listen_set *still)
{
	struct listen_set *set = *setp;

	if (set == NULL)
		return;
	for (uint32_t i = 0; i < set->n; i++) {
		struct listener *l = &set->listeners[i];
		bool opened = l->n_fds > 0 && l->fds[0] >= 0;

		for (uint32_t k = 0; k < l->n_fds; k++)
			if (l->fds[k] >= 0)
				close(l->fds[k]);
		if (is_unix(l->address) && opened && !l->manager &&
		    find(still, l->address) == NULL)
			unlink(l->address + 5);
		tl_free(l->fds);
		tl_free(l->address);
	}
	tl_free(set->listeners);
	tl_freep(setp);
}
