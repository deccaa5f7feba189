/*
 * slowpath.c - see slowpath.h.
 *
 * One process, poll(2): pairs of sockets, each direction with at most one
 * piece on its way.  The way to the client is never delayed.
 */
#include "config.h" /* _GNU_SOURCE */

#include "lib/slowpath.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/pgtest.h"
#include "lib/world.h"

#define PAIRS_MAX 96
#define SOCKET    "/.s.PGSQL.5432"

struct slowpath {
	pid_t pid;
	char *dir;
	struct orders { /* shared with the process */
		_Atomic uint32_t delay_ms, cuts;
	} * orders;
};

struct half { /* from one socket to the other */
	int from, to;
	size_t len, sent;
	uint64_t due_ns;
	char bytes[32768];
};
struct pair { /* halves[0] leads to the server */
	bool open;
	struct half halves[2];
};

static struct pair pairs[PAIRS_MAX];

static int unix_socket(const char *dir, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s" SOCKET, dir);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void pair_close(struct pair *p)
{
	close(p->halves[0].from);
	close(p->halves[0].to);
	p->open = false;
}

static void pair_open(int client, const char *server_dir)
{
	struct sockaddr_un a;
	int server = unix_socket(server_dir, &a);
	struct pair *p = pairs;

	while (p < pairs + PAIRS_MAX && p->open)
		p++;
	if (p == pairs + PAIRS_MAX ||
	    connect(server, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(server);
		close(client);
		return;
	}
	p->open = true;
	for (int i = 0; i < 2; i++) {
		p->halves[i].from = i == 0 ? client : server;
		p->halves[i].to = i == 0 ? server : client;
		p->halves[i].len = p->halves[i].sent = 0;
	}
}

/* False: this way has ended. */
static bool half_read(struct half *h, uint32_t delay_ms)
{
	ssize_t n = recv(h->from, h->bytes, sizeof(h->bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	h->len = (size_t)n;
	h->sent = 0;
	h->due_ns = test_mono_ns() + delay_ms * 1000000ull;
	return true;
}

static bool half_write(struct half *h)
{
	ssize_t n;

	if (h->len == 0 || test_mono_ns() < h->due_ns)
		return true;
	n = send(h->to, h->bytes + h->sent, h->len - h->sent,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	h->sent += (size_t)n;
	if (h->sent == h->len)
		h->len = 0;
	return true;
}

/* When something is due: in whole milliseconds, upwards. */
static void want_wake(const struct half *h, int *timeout_ms)
{
	uint64_t now = test_mono_ns();
	int ms = h->due_ns > now ? (int)((h->due_ns - now) / 1000000) + 1 : 0;

	if (*timeout_ms < 0 || ms < *timeout_ms)
		*timeout_ms = ms;
}

static void turn(int listener, const char *server_dir, uint32_t delay_ms)
{
	struct pollfd fds[1 + 2 * PAIRS_MAX];
	struct half *of[1 + 2 * PAIRS_MAX];
	int timeout_ms = 100, fd; /* orders are looked at so often */
	nfds_t n = 1;

	fds[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (struct pair *p = pairs; p < pairs + PAIRS_MAX; p++)
		for (int i = 0; i < 2 && p->open; i++) {
			struct half *h = &p->halves[i];
			bool full = h->len > 0;
			bool due = full && test_mono_ns() >= h->due_ns;

			if (full && !due)
				want_wake(h, &timeout_ms);
			of[n] = h;
			fds[n++] = (struct pollfd){ .fd = full && !due ? -1
							  : full       ? h->to
								 : h->from,
						    .events = full ? POLLOUT
								   : POLLIN };
		}
	if (poll(fds, n, timeout_ms) < 0)
		return;
	if (fds[0].revents != 0) {
		fd = accept(listener, NULL, NULL);
		if (fd >= 0)
			pair_open(fd, server_dir);
	}
	for (nfds_t k = 1; k < n; k++) {
		struct half *h = of[k];
		/* both halves of a pair lie beside each other */
		size_t at =
			(size_t)((char *)h - (char *)pairs) / sizeof(*pairs);
		struct pair *p = &pairs[at];

		if (fds[k].revents == 0 || !p->open)
			continue;
		if (h->len > 0
			    ? !half_write(h)
			    : !half_read(h, h == &p->halves[0] ? delay_ms : 0))
			pair_close(p);
	}
}

static void serve(const struct slowpath *w, int listener,
		  const char *server_dir)
{
	uint32_t cuts = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (atomic_load(&w->orders->cuts) != cuts) {
			cuts = atomic_load(&w->orders->cuts);
			for (struct pair *p = pairs; p < pairs + PAIRS_MAX; p++)
				if (p->open)
					pair_close(p);
		}
		turn(listener, server_dir, atomic_load(&w->orders->delay_ms));
	}
}

struct slowpath *slowpath_start(const struct pgtest *server)
{
	struct slowpath *w = tl_alloc(sizeof(*w));
	struct sockaddr_un a;
	int listener;

	w->dir = world_path("slow");
	if (mkdir(w->dir, 0755) != 0)
		world_die("cannot make '%s'", w->dir);
	w->orders = mmap(NULL, sizeof(*w->orders), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	listener = unix_socket(w->dir, &a);
	if (w->orders == MAP_FAILED || listener < 0 ||
	    bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(listener, 128) != 0)
		world_die("no slow way: %s", strerror(errno));
	chmod(a.sun_path, 0777);
	w->pid = fork();
	if (w->pid < 0)
		world_die("fork: %s", strerror(errno));
	if (w->pid == 0)
		serve(w, listener, pgtest_dir(server));
	close(listener);
	return w;
}

char *slowpath_way(const struct slowpath *w, const char *conninfo)
{
	return tl_asprintf("host=%s user=postgres %s", w->dir,
			   strstr(conninfo, "dbname="));
}

void slowpath_delay(struct slowpath *w, uint32_t ms)
{
	atomic_store(&w->orders->delay_ms, ms);
}

void slowpath_cut(struct slowpath *w)
{
	atomic_fetch_add(&w->orders->cuts, 1);
}

void slowpath_stop(struct slowpath **wp)
{
	struct slowpath *w = *wp;

	if (w == NULL)
		return;
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	munmap(w->orders, sizeof(*w->orders));
	tl_free(w->dir);
	tl_freep(wp);
}
