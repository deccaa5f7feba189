/*
 * receiver.c - see receiver.h.
 */
#include "config.h"

#include "receiver.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/world.h"

struct conn {
	struct receiver *r;
	int fd;
};

/* The value of a header, "" when it is not there. */
static void header(const char *head, const char *name, char *dst, size_t size)
{
	const char *p = head;
	size_t n = strlen(name);

	dst[0] = '\0';
	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		p += n + 1;
		p += strspn(p, " ");
		(void)snprintf(dst, size, "%.*s", (int)strcspn(p, "\r\n"), p);
		return;
	}
}

/* Head and body; false: it hung up. */
static bool read_request(int fd, char *buf, size_t size, char **body_r)
{
	size_t len = 0, want = 0;
	char text[32];

	*body_r = NULL;
	while (*body_r == NULL || len < want) {
		ssize_t n = read(fd, buf + len, size - 1 - len);
		char *end;

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		end = *body_r == NULL ? strstr(buf, "\r\n\r\n") : NULL;
		if (end != NULL) {
			header(buf, "content-length", text, sizeof(text));
			*body_r = end + 4;
			want = (size_t)(*body_r - buf) +
			       strtoul(text, NULL, 10);
		}
	}
	return true;
}

static int choose(struct receiver *r, unsigned number)
{
	if (atomic_load(&r->fail_first) > 0 &&
	    atomic_fetch_sub(&r->fail_first, 1) > 0)
		return 500;
	if ((int)(number * 7919 % 100) < atomic_load(&r->fail_percent))
		return 503;
	return atomic_load(&r->status);
}

static void answer(struct receiver *r, int fd, char *buf, char *body)
{
	unsigned number = atomic_fetch_add(&r->n, 1);
	struct receiver_call *c = &r->calls[number % RECEIVER_CALLS];
	unsigned active = atomic_fetch_add(&r->active, 1) + 1;
	char out[2048];
	int n;

	if (active > atomic_load(&r->peak))
		atomic_store(&r->peak, active);
	header(buf, "webhook-id", c->id, sizeof(c->id));
	header(buf, "webhook-timestamp", c->timestamp, sizeof(c->timestamp));
	header(buf, "webhook-signature", c->signature, sizeof(c->signature));
	(void)sscanf(buf, "%*s %63s", c->path);
	(void)snprintf(c->head, sizeof(c->head), "%.*s", (int)(body - buf),
		       buf);
	(void)snprintf(c->body, sizeof(c->body), "%s", body);
	c->status = choose(r, number);
	test_sleep_ms(atomic_load(&r->delay_ms));
	n = snprintf(out, sizeof(out),
		     "HTTP/1.1 %d Word\r\n%sContent-Type: text/plain\r\n"
		     "X-Request-Id: r%u\r\nSet-Cookie: a=b\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     c->status, r->header, number, strlen(r->body), r->body);
	atomic_fetch_sub(&r->active, 1);
	(void)!write(fd, out, (size_t)n);
	atomic_store(&c->whole, true);
}

static void *serve(void *arg)
{
	struct conn *c = arg;
	char *buf = malloc(65536), *body;

	while (buf != NULL && read_request(c->fd, buf, 65536, &body))
		answer(c->r, c->fd, buf, body);
	close(c->fd);
	free(buf);
	free(c);
	return NULL;
}

static void loop(struct receiver *r, int fd)
{
	for (;;) {
		struct conn *c = malloc(sizeof(*c));
		pthread_t t;

		if (c == NULL)
			_exit(1);
		c->r = r;
		c->fd = accept(fd, NULL, NULL);
		if (c->fd < 0 || pthread_create(&t, NULL, serve, c) != 0)
			_exit(1);
		pthread_detach(t);
	}
}

struct receiver *receiver_start(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct receiver *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (r == MAP_FAILED || fd < 0 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		world_die("no receiver");
	r->port = ntohs(sa.sin_port);
	atomic_store(&r->status, 200);
	pid = fork();
	if (pid < 0)
		world_die("no receiver");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		loop(r, fd);
	}
	close(fd);
	return r;
}

unsigned receiver_count(const struct receiver *r, const char *path)
{
	unsigned n = 0;

	for (unsigned i = 0; i < atomic_load(&r->n); i++)
		n += atomic_load(&r->calls[i].whole) &&
		     (path == NULL || strcmp(r->calls[i].path, path) == 0);
	return n;
}

unsigned receiver_got(const struct receiver *r, const char *text)
{
	unsigned n = 0;

	for (unsigned i = 0; i < atomic_load(&r->n); i++)
		n += atomic_load(&r->calls[i].whole) &&
		     r->calls[i].status == 200 &&
		     strstr(r->calls[i].body, text) != NULL;
	return n;
}
