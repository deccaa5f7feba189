/*
 * load.c - an HTTP load generator for one core of the loopback.
 *
 *	load --port N [--seconds S | --requests N] [--connections N] [--cpu N]
 *	     [--path P] [--keys FORMAT --key-count N] [--batch N [--msgpack]]
 *	     [--body JSON] [--pid PID] [--tls]
 *
 * Keep-alive, no pipelining: a connection sends its next request when the
 * answer is whole.  Requests take the keys in turn: FORMAT is a printf format
 * with one %u.  --batch sends POSTs of N keys each, every request with other
 * keys; --body sends POSTs of that.  --pid adds that process's CPU time per
 * request.  --tls speaks TLS 1.3 and believes any certificate.  Prints one line
 * of name=value pairs.
 */
#include "config.h" /* _GNU_SOURCE */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "base/str.h"

#define BUF_BYTES       65536
#define HIST_SLOTS      100000 /* microseconds; the last one holds the rest */
#define CONNECTIONS_MAX 4096

struct conn {
	int fd;
	SSL *ssl; /* NULL: plain */
	char buf[BUF_BYTES];
	size_t len;
	size_t skip; /* of the body, not read yet */
	uint64_t sent_ns;
};

static struct {
	uint16_t port;
	double seconds;
	unsigned connections, key_count, batch;
	int cpu;
	bool msgpack, tls;
	const char *path, *keys, *body;
	long pid;
} opt = { .seconds = 5,
	  .connections = 64,
	  .key_count = 1,
	  .cpu = -1,
	  .path = "/api/gate" };

static struct tl_buf *requests; /* prepared, sent in turn */
static size_t n_requests, next_request;
static struct conn *conns;
static SSL_CTX *tls;
static int ep;
static uint64_t done, wanted, ok_2xx, other, broken, bytes_in;
static uint64_t hist[HIST_SLOTS];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void key_text(unsigned i, char dst[160])
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(dst, 160, opt.keys, i % opt.key_count);
#pragma GCC diagnostic pop
}

static void make_get(struct tl_buf *b, unsigned i)
{
	char key[160];

	tl_buf_addf(b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n",
		    opt.body != NULL ? "POST" : "GET", opt.path, opt.port);
	if (opt.keys != NULL) {
		key_text(i, key);
		tl_buf_addf(b, "Authorization: Bearer %s\r\n", key);
	}
	if (opt.body != NULL)
		tl_buf_addf(b,
			    "Content-Type: application/json\r\n"
			    "Content-Length: %zu\r\n\r\n%s",
			    strlen(opt.body), opt.body);
	else
		tl_buf_adds(b, "\r\n");
}

static void batch_msgpack(struct tl_buf *b, unsigned first)
{
	unsigned char head[3] = { 0xdc, (unsigned char)(opt.batch >> 8),
				  (unsigned char)opt.batch };
	char key[160];
	unsigned i;

	tl_buf_addc(b, (char)0x81); /* map of one */
	tl_buf_adds(b, "\xa5items");
	tl_buf_add(b, head, 3);
	for (i = 0; i < opt.batch; i++) {
		key_text(first + i, key);
		tl_buf_addc(b, (char)0x81);
		tl_buf_adds(b, "\xa3key");
		tl_buf_addc(b, (char)0xd9);
		tl_buf_addc(b, (char)strlen(key));
		tl_buf_adds(b, key);
	}
}

static void batch_json(struct tl_buf *b, unsigned first)
{
	char key[160];
	unsigned i;

	tl_buf_adds(b, "{\"items\":[");
	for (i = 0; i < opt.batch; i++) {
		key_text(first + i, key);
		tl_buf_addf(b, "%s{\"key\":\"%s\"}", i > 0 ? "," : "", key);
	}
	tl_buf_adds(b, "]}");
}

static void make_batch(struct tl_buf *b, unsigned n)
{
	const char *type =
		opt.msgpack ? "application/msgpack" : "application/json";
	struct tl_buf body;

	tl_buf_init(&body);
	if (opt.msgpack)
		batch_msgpack(&body, n * opt.batch);
	else
		batch_json(&body, n * opt.batch);
	tl_buf_addf(b,
		    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		    "Content-Type: %s\r\nAccept: %s\r\n"
		    "Content-Length: %zu\r\n\r\n",
		    opt.path, opt.port, type, type, body.len);
	tl_buf_add(b, body.ptr, body.len);
	tl_buf_deinit(&body);
}

static void make_requests(void)
{
	size_t i;

	n_requests = opt.keys == NULL ? 1 : opt.key_count;
	if (opt.batch > 0)
		n_requests = (opt.key_count + opt.batch - 1) / opt.batch;
	requests = tl_alloc_array(n_requests, sizeof(*requests));
	for (i = 0; i < n_requests; i++) {
		tl_buf_init(&requests[i]);
		if (opt.batch > 0)
			make_batch(&requests[i], (unsigned)i);
		else
			make_get(&requests[i], (unsigned)i);
	}
}

static ssize_t put_some(struct conn *c, const char *p, size_t len)
{
	int n;

	if (c->ssl == NULL)
		return send(c->fd, p, len, MSG_NOSIGNAL);
	n = SSL_write(c->ssl, p, (int)len);
	errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE ? EAGAIN
								 : ECONNRESET;
	return n;
}

static ssize_t take_some(struct conn *c, char *p, size_t room)
{
	int n;

	if (c->ssl == NULL)
		return recv(c->fd, p, room, MSG_DONTWAIT);
	n = SSL_read(c->ssl, p, (int)room);
	errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN
								: ECONNRESET;
	return n;
}

static void conn_send(struct conn *c)
{
	const struct tl_buf *b = &requests[next_request++ % n_requests];
	size_t off = 0;
	ssize_t n;

	c->sent_ns = now_ns();
	while (off < b->len) {
		n = put_some(c, b->ptr + off, b->len - off);
		if (n > 0)
			off += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return; /* the read side will see it */
	}
}

/* What is read ahead must not wait for more. */
static void shake_hands(struct conn *c)
{
	SSL_free(c->ssl);
	c->ssl = SSL_new(tls);
	SSL_set_fd(c->ssl, c->fd);
	if (SSL_connect(c->ssl) != 1) {
		fputs("load: no TLS\n", stderr);
		exit(1);
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void conn_open(struct conn *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(opt.port) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->len = c->skip = 0;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		perror("load: connect");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (opt.tls)
		shake_hands(c);
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void answered(struct conn *c, const char *head)
{
	uint64_t us = (now_ns() - c->sent_ns) / 1000;

	hist[us < HIST_SLOTS ? us : HIST_SLOTS - 1]++;
	if (head[9] == '2')
		ok_2xx++;
	else
		other++;
	done++;
}

/* Takes whole answers out of the buffer.  False: not HTTP. */
static bool conn_parse(struct conn *c)
{
	char *end, *length;
	size_t head, body;

	end = memmem(c->buf, c->len, "\r\n\r\n", 4);
	if (end == NULL)
		return c->len < BUF_BYTES;
	head = (size_t)(end - c->buf) + 4;
	length = memmem(c->buf, head, "Content-Length: ", 16);
	if (length == NULL)
		return false;
	body = strtoul(length + 16, NULL, 10);
	answered(c, c->buf);
	if (head + body > c->len) { /* the rest is still to come */
		c->skip = head + body - c->len;
		c->len = 0;
	} else {
		c->len -= head + body;
		conn_send(c);
	}
	return true;
}

/* False: there is nothing more, or it is another connection now. */
static bool conn_read(struct conn *c)
{
	ssize_t n = take_some(c, c->buf + c->len, BUF_BYTES - c->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		broken++;
		close(c->fd);
		conn_open(c);
		conn_send(c);
		return false;
	}
	bytes_in += (uint64_t)n;
	if (c->skip > 0) { /* no pipelining: nothing lies behind the body */
		c->skip -= (size_t)n < c->skip ? (size_t)n : c->skip;
		if (c->skip == 0)
			conn_send(c);
		return true;
	}
	c->len += (size_t)n;
	if (!conn_parse(c)) {
		fputs("load: not an answer with a length\n", stderr);
		exit(1);
	}
	return true;
}

/* The socket does not tell of what OpenSSL has read ahead. */
static void conn_readable(struct conn *c)
{
	while (conn_read(c) && c->ssl != NULL && SSL_has_pending(c->ssl) == 1)
		;
}

static double percentile(double part)
{
	uint64_t sum = 0, at = (uint64_t)((double)done * part);
	size_t i;

	for (i = 0; i < HIST_SLOTS - 1; i++) {
		sum += hist[i];
		if (sum > at)
			break;
	}
	return (double)i;
}

/* CPU time of a process in microseconds, from /proc/PID/stat. */
static double cpu_us(long pid)
{
	char path[64], text[1024];
	unsigned long user, sys;
	const char *p;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')');
	if (p == NULL || sscanf(p + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
				" %lu %lu",
				&user, &sys) != 2)
		return 0;
	return (double)(user + sys) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void run(void)
{
	struct epoll_event evs[256];
	uint64_t end = now_ns() + (uint64_t)(opt.seconds * 1e9);
	unsigned i;
	int n;

	for (i = 0; i < opt.connections; i++)
		conn_send(&conns[i]);
	while (wanted > 0 ? done < wanted : now_ns() < end) {
		n = epoll_wait(ep, evs, 256, 100);
		for (i = 0; (int)i < n; i++)
			conn_readable(evs[i].data.ptr);
	}
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' },
		{ "requests", required_argument, NULL, 'n' },
		{ "connections", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'C' },
		{ "path", required_argument, NULL, 'u' },
		{ "keys", required_argument, NULL, 'k' },
		{ "key-count", required_argument, NULL, 'K' },
		{ "batch", required_argument, NULL, 'b' },
		{ "msgpack", no_argument, NULL, 'm' },
		{ "body", required_argument, NULL, 'B' },
		{ "pid", required_argument, NULL, 'P' },
		{ "tls", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.port = (uint16_t)atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'n':
			wanted = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			opt.connections = (unsigned)atoi(optarg);
			break;
		case 'C':
			opt.cpu = atoi(optarg);
			break;
		case 'u':
			opt.path = optarg;
			break;
		case 'k':
			opt.keys = optarg;
			break;
		case 'K':
			opt.key_count = (unsigned)atoi(optarg);
			break;
		case 'b':
			opt.batch = (unsigned)atoi(optarg);
			break;
		case 'm':
			opt.msgpack = true;
			break;
		case 'B':
			opt.body = optarg;
			break;
		case 'P':
			opt.pid = atol(optarg);
			break;
		case 't':
			opt.tls = true;
			break;
		default:
			exit(2);
		}
	}
	if (opt.port == 0 || opt.connections == 0 || opt.key_count == 0 ||
	    opt.connections > CONNECTIONS_MAX ||
	    (opt.batch > 0 && opt.keys == NULL)) {
		fputs("load: see the top of load.c for usage\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint64_t start;
	double cpu, took;
	cpu_set_t set;
	unsigned i;

	parse_args(argc, argv);
	if (opt.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			perror("load: sched_setaffinity");
	}
	if (opt.tls) {
		tls = SSL_CTX_new(TLS_client_method());
		if (tls == NULL ||
		    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1)
			return 1;
		SSL_CTX_set_read_ahead(tls, 1);
	}
	make_requests();
	conns = tl_alloc_array(opt.connections, sizeof(*conns));
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < opt.connections; i++)
		conn_open(&conns[i]); /* what is measured are kept ones */
	cpu = opt.pid > 0 ? cpu_us(opt.pid) : 0;
	start = now_ns();
	run();
	took = (double)(now_ns() - start) / 1e9;
	printf("requests=%llu seconds=%.3f rps=%.0f ok=%llu other=%llu "
	       "broken=%llu p50_us=%.0f p99_us=%.0f bytes=%llu",
	       (unsigned long long)done, took, (double)done / took,
	       (unsigned long long)ok_2xx, (unsigned long long)other,
	       (unsigned long long)broken, percentile(0.5), percentile(0.99),
	       (unsigned long long)bytes_in);
	if (opt.batch > 0)
		printf(" items=%.0f", (double)done * opt.batch / took);
	if (opt.pid > 0 && done > 0)
		printf(" cpu_us=%.2f", (cpu_us(opt.pid) - cpu) / (double)done);
	putchar('\n');
	return 0;
}
