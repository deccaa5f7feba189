/*
 * listen.c - many open streams of /api/events, read as they come.
 *
 *	listen --port N --streams N --keys FORMAT [--key-first N] [--key-count
 *N]
 *	       [--cpu N]
 *
 * Stream i is opened with key (i % key-count) + key-first: FORMAT is a printf
 * format with one %u.  Says "streams=N" when all have got their first event;
 * reads until standard input ends, then prints what came.
 */
#include "config.h" /* _GNU_SOURCE */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define BUF_BYTES 65536

static struct {
	uint16_t port;
	unsigned streams, key_first, key_count;
	const char *keys;
	int cpu;
} opt = { .key_count = 1, .cpu = -1 };

static int ep;
static uint64_t bytes, events, ended;
static char buf[BUF_BYTES + 1];

static void fail(const char *what)
{
	fprintf(stderr, "listen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int ask(unsigned i)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(opt.port) };
	char key[160], text[512];
	int fd, n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(key, sizeof(key), opt.keys, i % opt.key_count + opt.key_first);
#pragma GCC diagnostic pop
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		fail("connect");
	n = snprintf(text, sizeof(text),
		     "GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		     "Authorization: Bearer %s\r\n\r\n",
		     opt.port, key);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		fail("send");
	return fd;
}

/* Until the head and the first event are there. */
static void await(int fd)
{
	size_t len = 0;
	ssize_t n;
	char *end;

	do {
		n = recv(fd, buf + len, BUF_BYTES - len, 0);
		if (n <= 0)
			fail("no answer");
		len += (size_t)n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
	} while (end == NULL || strstr(end, "\n\n") == NULL);
	if (strncmp(buf, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "listen: %s\n", buf);
		exit(1);
	}
}

static void readable(int fd)
{
	ssize_t n = recv(fd, buf, BUF_BYTES, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ended++;
		close(fd);
		return;
	}
	bytes += (uint64_t)n;
	for (const char *at = buf;
	     (at = memmem(at, (size_t)(buf + n - at), "\nevent:", 7)) != NULL;
	     at++)
		events++;
}

static void listen_all(void)
{
	struct epoll_event evs[256], ev = { .events = EPOLLIN };

	ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < opt.streams; i++) {
		ev.data.fd = ask(i);
		await(ev.data.fd);
		epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
	}
	printf("streams=%u\n", opt.streams);
	fflush(stdout);
	ev.data.fd = STDIN_FILENO;
	epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 256, -1);

		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd == STDIN_FILENO)
				return;
			readable(evs[i].data.fd);
		}
	}
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "streams", required_argument, NULL, 's' },
		{ "keys", required_argument, NULL, 'k' },
		{ "key-first", required_argument, NULL, 'f' },
		{ "key-count", required_argument, NULL, 'K' },
		{ "cpu", required_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.port = (uint16_t)atoi(optarg);
			break;
		case 's':
			opt.streams = (unsigned)atoi(optarg);
			break;
		case 'k':
			opt.keys = optarg;
			break;
		case 'f':
			opt.key_first = (unsigned)atoi(optarg);
			break;
		case 'K':
			opt.key_count = (unsigned)atoi(optarg);
			break;
		case 'C':
			opt.cpu = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (opt.port == 0 || opt.streams == 0 || opt.keys == NULL ||
	    opt.key_count == 0) {
		fputs("listen: see the top of listen.c for usage\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	cpu_set_t set;

	parse_args(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (opt.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			perror("listen: sched_setaffinity");
	}
	listen_all();
	printf("events=%llu bytes=%llu ended=%llu\n",
	       (unsigned long long)events, (unsigned long long)bytes,
	       (unsigned long long)ended);
	return 0;
}
