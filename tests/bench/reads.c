/*
 * reads.c - a constant rate of dashboard reads, and how long each waited.
 *
 *	reads --port N --keys FORMAT --key-count N [--rate N] [--seconds S]
 *	      [--warm-up S] [--connections N] [--cpu N] --path P [--path P]...
 *
 * Open loop: requests are due at fixed times, whatever became of those before,
 * and a wait counts from the time a request was due.  So a server that stalls
 * is charged for all that would have come meanwhile (no coordinated omission).
 * Each request takes a path in turn and a key at random (FORMAT is a printf
 * format with one %u, seeded alike in every run), and the first connection that
 * has no answer outstanding.  Prints one line of name=value pairs for each
 * path, then one for all; answers other than 200 end it with exit status 1.
 */
#include "config.h" /* _GNU_SOURCE */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"

#define BUF_BYTES       65536
#define HIST_SLOTS      200000 /* of 10 microseconds; the last holds the rest */
#define SLOT_US         10
#define PATHS_MAX       8
#define CONNECTIONS_MAX 1024

struct conn {
	int fd;
	bool busy;
	unsigned path;
	uint64_t due_ns;
	char buf[BUF_BYTES];
	size_t len, want; /* want: 0 until the head is there */
};
struct hist {
	uint64_t slot[HIST_SLOTS], n;
};

static struct {
	uint16_t port;
	double rate, seconds, warm_up;
	unsigned connections, key_count, n_paths;
	int cpu;
	const char *keys, *path[PATHS_MAX];
} opt = { .rate = 2000,
	  .seconds = 10,
	  .warm_up = 2,
	  .connections = 64,
	  .key_count = 1,
	  .cpu = -1 };

static struct conn *conns;
static unsigned *idle, n_idle; /* stack of connections without a request */
static struct hist *hists;     /* one a path, one for all */
static int ep;
static uint64_t begin_ns, count_from_ns, sent, late, bad, random_state = 1;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* xorshift64 */
static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void conn_open(struct conn *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(opt.port) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		perror("reads: connect");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void conn_send(struct conn *c, uint64_t due_ns)
{
	char key[160], text[512];
	int len;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(key, sizeof(key), opt.keys,
		 (unsigned)(random_next() % opt.key_count));
#pragma GCC diagnostic pop
	c->path = (unsigned)(sent++ % opt.n_paths);
	len = snprintf(text, sizeof(text),
		       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		       "Authorization: Bearer %s\r\n\r\n",
		       opt.path[c->path], opt.port, key);
	c->busy = true;
	c->due_ns = due_ns;
	c->len = c->want = 0;
	if (len <= 0 || len >= (int)sizeof(text) ||
	    send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
		fputs("reads: a request could not be sent\n", stderr);
		exit(1);
	}
}

static void note(struct hist *h, uint64_t us)
{
	size_t at = us / SLOT_US;

	h->slot[at < HIST_SLOTS ? at : HIST_SLOTS - 1]++;
	h->n++;
}

static void answered(struct conn *c)
{
	uint64_t us = (now_ns() - c->due_ns) / 1000;

	if (memcmp(c->buf + 9, "200", 3) != 0 && bad++ == 0)
		fprintf(stderr, "reads: %s: %.300s\n", opt.path[c->path],
			c->buf);
	if (c->due_ns >= count_from_ns) {
		note(&hists[c->path], us);
		note(&hists[opt.n_paths], us);
	}
	c->busy = false;
	idle[n_idle++] = (unsigned)(c - conns);
}

static void conn_readable(struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, BUF_BYTES - 1 - c->len,
			 MSG_DONTWAIT);
	char *end, *length;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fputs("reads: the server closed a connection\n", stderr);
		exit(1);
	}
	c->len += (size_t)n;
	c->buf[c->len] = '\0';
	if (c->want == 0) {
		end = memmem(c->buf, c->len, "\r\n\r\n", 4);
		if (end == NULL)
			return;
		length = strstr(c->buf, "Content-Length: ");
		if (length == NULL || length > end) {
			fputs("reads: an answer without a length\n", stderr);
			exit(1);
		}
		c->want = (size_t)(end - c->buf) + 4 +
			  strtoul(length + 16, NULL, 10);
	}
	if (c->len >= c->want)
		answered(c);
}

/* Sends what is due by now, as far as there are connections. */
static void send_due(uint64_t now, uint64_t total)
{
	uint64_t step = (uint64_t)(1e9 / opt.rate), due;

	while (sent < total && n_idle > 0) {
		due = begin_ns + sent * step;
		if (due > now)
			return;
		conn_send(&conns[idle[--n_idle]], due);
	}
	if (n_idle == 0)
		late++;
}

/* NULL: nothing can be sent before an answer comes. */
static const struct timespec *until_due(uint64_t total, struct timespec *ts)
{
	uint64_t due = begin_ns + sent * (uint64_t)(1e9 / opt.rate);
	uint64_t now = now_ns(), wait = due > now ? due - now : 0;

	if (sent >= total || n_idle == 0)
		return NULL;
	ts->tv_sec = (time_t)(wait / 1000000000u);
	ts->tv_nsec = (long)(wait % 1000000000u);
	return ts;
}

static void run(void)
{
	uint64_t total = (uint64_t)(opt.rate * (opt.seconds + opt.warm_up));
	struct epoll_event evs[256];
	struct timespec ts;
	int n;

	begin_ns = now_ns();
	count_from_ns = begin_ns + (uint64_t)(opt.warm_up * 1e9);
	while (sent < total || n_idle < opt.connections) {
		send_due(now_ns(), total);
		n = epoll_pwait2(ep, evs, 256, until_due(total, &ts), NULL);
		for (int i = 0; i < n; i++)
			conn_readable(evs[i].data.ptr);
	}
}

static double percentile_ms(const struct hist *h, double part)
{
	uint64_t sum = 0, at = (uint64_t)((double)h->n * part);
	size_t i;

	if (at >= h->n && h->n > 0)
		at = h->n - 1;
	for (i = 0; i < HIST_SLOTS - 1; i++) {
		sum += h->slot[i];
		if (sum > at)
			break;
	}
	return (double)((i + 1) * SLOT_US) / 1000;
}

static void report(const char *name, const struct hist *h)
{
	printf("path=%s requests=%llu p50_ms=%.2f p95_ms=%.2f p99_ms=%.2f "
	       "max_ms=%.2f\n",
	       name, (unsigned long long)h->n, percentile_ms(h, 0.5),
	       percentile_ms(h, 0.95), percentile_ms(h, 0.99),
	       percentile_ms(h, 1));
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "warm-up", required_argument, NULL, 'w' },
		{ "connections", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'C' },
		{ "path", required_argument, NULL, 'u' },
		{ "keys", required_argument, NULL, 'k' },
		{ "key-count", required_argument, NULL, 'K' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'p')
			opt.port = (uint16_t)atoi(optarg);
		else if (c == 'r')
			opt.rate = atof(optarg);
		else if (c == 's')
			opt.seconds = atof(optarg);
		else if (c == 'w')
			opt.warm_up = atof(optarg);
		else if (c == 'c')
			opt.connections = (unsigned)atoi(optarg);
		else if (c == 'C')
			opt.cpu = atoi(optarg);
		else if (c == 'u' && opt.n_paths < PATHS_MAX)
			opt.path[opt.n_paths++] = optarg;
		else if (c == 'k')
			opt.keys = optarg;
		else if (c == 'K')
			opt.key_count = (unsigned)atoi(optarg);
		else
			exit(2);
	}
	if (opt.port == 0 || opt.keys == NULL || opt.n_paths == 0 ||
	    opt.rate <= 0 || opt.key_count == 0 || opt.connections == 0 ||
	    opt.connections > CONNECTIONS_MAX) {
		fputs("reads: see the top of reads.c for usage\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	cpu_set_t set;

	parse_args(argc, argv);
	if (opt.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			perror("reads: sched_setaffinity");
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	hists = tl_alloc_array(opt.n_paths + 1, sizeof(*hists));
	conns = tl_alloc_array(opt.connections, sizeof(*conns));
	idle = tl_alloc_array(opt.connections, sizeof(*idle));
	memset(hists, 0, (opt.n_paths + 1) * sizeof(*hists));
	for (unsigned i = 0; i < opt.connections; i++) {
		conn_open(&conns[i]);
		idle[n_idle++] = i;
	}
	run();
	for (unsigned i = 0; i < opt.n_paths; i++)
		report(opt.path[i], &hists[i]);
	report("all", &hists[opt.n_paths]);
	if (late > 0)
		printf("all connections were busy at %llu turns\n",
		       (unsigned long long)late);
	if (bad > 0)
		printf("answers other than 200: %llu\n",
		       (unsigned long long)bad);
	return bad > 0 ? 1 : 0;
}
