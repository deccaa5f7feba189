/*
 * Hostile and odd input over raw sockets: refused in the one error form, the
 * connection closed, no smuggled request answered, no worker lost.
 */
#include "config.h" /* _GNU_SOURCE */

#include "lib/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#ifdef TALLY_SANITIZERS /* which keep what was freed for a while */
#define MEMORY_MAX_KIB (256 * 1024)
#else
#define MEMORY_MAX_KIB (8 * 1024)
#endif
#define RAW(head_) head_ "\r\n"
#define SMUGGLED   "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

/* What is sent, and how it is refused; 0 stands for 400 or 411. */
static const struct {
	const char *name, *bytes;
	size_t len; /* 0: strlen */
	int status;
} rows[] = {
	{ "two different lengths",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: "
	      "2\r\n"
	      "Content-Length: 40\r\n") "{}" SMUGGLED,
	  0, 400 },
	{ "two equal lengths",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: "
	      "2\r\n"
	      "Content-Length: 2\r\n") "{}",
	  0, 400 },
	{ "length and encoding",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: "
	      "5\r\n"
	      "Transfer-Encoding: chunked\r\n") "0\r\n\r\n" SMUGGLED,
	  0, 0 },
	{ "gzip, chunked",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r"
						      "\n" SMUGGLED,
	  0, 0 },
	{ "chunked",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Transfer-Encoding: chunked\r\n") "0\r\n\r\n" SMUGGLED,
	  0, 411 },
	{ "space before the colon",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: "
	      "5\r\n"
	      "Transfer-Encoding : chunked\r\n") "0\r\n\r\n" SMUGGLED,
	  0, 400 },
	{ "folded encoding",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Transfer-Encoding:\r\n chunked\r\nContent-Length: "
	      "5\r\n") "0\r\n\r\n" SMUGGLED,
	  0, 0 },
	{ "length with sign",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Content-Length: +2\r\n") "{}",
	  0, 400 },
	{ "length in hex",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Content-Length: 0x2\r\n") "{}",
	  0, 400 },
	{ "length below zero",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Content-Length: -2\r\n") "{}",
	  0, 400 },
	{ "list of lengths",
	  RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n"
	      "Content-Length: 2, 2\r\n") "{}",
	  0, 400 },
	{ "no length", RAW("POST /api/verify HTTP/1.1\r\nHost: a\r\n") SMUGGLED,
	  0, 411 },
	{ "no host", RAW("GET /health HTTP/1.1\r\n"), 0, 400 },
	{ "two hosts", RAW("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n"), 0,
	  400 },
	{ "absolute form of another host",
	  RAW("GET http://b/health HTTP/1.1\r\nHost: a\r\n"), 0, 400 },
	{ "two slashes", RAW("GET //a/health HTTP/1.1\r\nHost: a\r\n"), 0,
	  400 },
	{ "broken escape", RAW("GET /health%zz HTTP/1.1\r\nHost: a\r\n"), 0,
	  400 },
	{ "escaped NUL", RAW("GET /health%00 HTTP/1.1\r\nHost: a\r\n"), 0,
	  400 },
	{ "bytes above 127", RAW("GET /h\xc3\xa4 HTTP/1.1\r\nHost: a\r\n"), 0,
	  400 },
	{ "blank in the target", RAW("GET /a b HTTP/1.1\r\nHost: a\r\n"), 0,
	  400 },
	{ "empty header name",
	  RAW("GET /health HTTP/1.1\r\nHost: a\r\n: x\r\n"), 0, 400 },
	{ "header name with a blank",
	  RAW("GET /health HTTP/1.1\r\nHost: a\r\nX A: x\r\n"), 0, 400 },
};

/* All that comes until the server closes; answers counted. */
static unsigned answers_to(const char *bytes, size_t len, char first[4096])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(d->port) };
	struct timeval tv = { .tv_sec = 10 };
	char *all = tl_alloc(65537), *p = all;
	size_t got = 0;
	unsigned n = 0;
	ssize_t part;
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)!send(fd, bytes, len, MSG_NOSIGNAL);
	while (got < 65536 && (part = recv(fd, all + got, 65536 - got, 0)) > 0)
		got += (size_t)part;
	ck_assert_msg(part == 0 || errno == ECONNRESET,
		      "the connection stays open:\n%s", all);
	close(fd);
	while ((p = strstr(p, "HTTP/1.1 ")) != NULL) {
		n += p[9] >= '1' && p[9] <= '5'; /* not words of a body */
		p++;
	}
	snprintf(first, 4096, "%.4000s", all);
	tl_free(all);
	return n;
}

START_TEST(bad_framing_is_refused_once_and_closes)
{
	char first[4096];
	pid_t worker;
	unsigned n;
	int status;

	up(FREE_RATE, "server.workers=1");
	worker = daemon_child(d, "worker");
	EACH_ROW(rows, row)
	{
		size_t len = row->len ? row->len : strlen(row->bytes);

		n = answers_to(row->bytes, len, first);

		ck_assert_msg(n == 1, "%s: %u answers:\n%s", row->name, n,
			      first);
		status = atoi(first + 9);
		if (row->status != 0)
			ck_assert_msg(status == row->status, "%s: %s",
				      row->name, first);
		else
			ck_assert_msg(status == 400 || status == 411, "%s: %s",
				      row->name, first);
		ck_assert_ptr_nonnull(
			strstr(first, "\r\nConnection: close\r\n"));
		ck_assert_ptr_nonnull(strstr(first, "{\"error\":{\"code\":\""));
		ck_assert_int_eq(gate(KEY_PRO, ""), 200);
		ck_assert_int_eq(daemon_child(d, "worker"), worker);
	}
}
END_TEST

START_TEST(too_many_or_too_large_headers_are_refused)
{
	char *raw = tl_alloc(70000), *p, first[4096];
	unsigned i;

	up();
	p = stpcpy(raw, "GET /health HTTP/1.1\r\nHost: a\r\n");
	for (i = 0; i < 100; i++)
		p += sprintf(p, "X-%u: y\r\n", i);
	stpcpy(p, "\r\n");
	ck_assert_uint_eq(answers_to(raw, strlen(raw), first), 1);
	ck_assert_int_eq(atoi(first + 9), 431);

	p = stpcpy(raw, "GET /health HTTP/1.1\r\nHost: a\r\nX: ");
	memset(p, 'x', 40000);
	stpcpy(p + 40000, "\r\n\r\n");
	ck_assert_uint_eq(answers_to(raw, strlen(raw), first), 1);
	ck_assert(atoi(first + 9) == 400 || atoi(first + 9) == 431);
	ck_assert_ptr_nonnull(strstr(first, "{\"error\":{\"code\":\""));
	tl_free(raw);
}
END_TEST

/* evhttp cuts the value at the NUL: what lies behind it is never a key. */
START_TEST(what_lies_behind_a_nul_is_no_key)
{
	static const char raw[] = "GET /api/gate HTTP/1.1\r\nHost: a\r\n"
				  "Authorization: Bearer not_a_known_key\0"
				  "\r\nX-API-Key: \0" KEY_PRO "\r\n\r\n";

	up();

	ck_assert(client_raw(c, raw, sizeof(raw) - 1, &r));

	ck_assert(r.status == 400 || r.status == 401);
	ck_assert_int_eq(used_today(KEY_PRO), 142);
}
END_TEST

START_TEST(a_slow_client_is_cut_off_in_total)
{
	uint64_t start;
	char first[1];
	unsigned i;
	struct pollfd p = { .events = POLLIN | POLLHUP };

	up("server.request_timeout_ms=1000");
	ck_assert(client_get(c, "/health", NULL, &r));
	p.fd = c->fd;
	start = test_mono_ns();

	/* never silent for long, never done */
	for (i = 0; i < 100; i++) {
		if (send(c->fd, i == 0 ? "G" : "x", 1, MSG_NOSIGNAL) < 0 ||
		    (poll(&p, 1, 150) > 0 && recv(c->fd, first, 1, 0) <= 0))
			break;
	}

	ck_assert_uint_lt(i, 100);
	ck_assert_uint_ge(test_mono_ns() - start, 500000000u);
	client_close(c);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
	char raw[4096], *p = raw, want_id[32];
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned i;

	up();
	for (i = 0; i < 20; i++)
		p += sprintf(p,
			     "%s HTTP/1.1\r\nHost: a\r\nX-Request-Id: n%u\r\n"
			     "Authorization: Bearer " KEY_PRO "\r\n\r\n",
			     i % 2 ? "GET /api/usage/today" : "GET /api/gate",
			     i);

	/* the first goes through the client, which then reads the rest */
	ck_assert(client_get(c, "/health", NULL, a));
	ck_assert_int_eq(send(c->fd, raw, (size_t)(p - raw), 0), p - raw);
	for (i = 0; i < 20; i++) {
		ck_assert(client_read(c, a));
		snprintf(want_id, sizeof(want_id), "n%u", i);
		ck_assert_int_eq(a->status, 200);
		ck_assert_pstr_eq(header_of(a, "X-Request-Id"), want_id);
	}
	reply_deinit(a);
	tl_free(a);
}
END_TEST

static long rss_kib(pid_t pid)
{
	char path[64], *text;
	const char *line;
	long all, shm;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	text = world_read(path);
	line = strstr(text, "VmRSS:");
	all = line != NULL ? atol(line + 6) : 0;
	line = strstr(text, "RssShmem:");
	shm = line != NULL ? atol(line + 9) : 0;
	tl_free(text);
	return all - shm;
}

START_TEST(a_client_that_never_reads_costs_little_memory)
{
	static const char one[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
	struct pollfd p = { .events = POLLOUT };
	char *many = tl_alloc(sizeof(one) * 1000), *at = many;
	size_t sent = 0;
	long before;
	pid_t worker;
	unsigned i;
	ssize_t n;

	up("server.workers=1", "server.request_timeout_ms=60000");
	worker = daemon_child(d, "worker");
	client_get(c, "/health", NULL, &r);
	before = rss_kib(worker);
	for (i = 0; i < 1000; i++)
		at = stpcpy(at, one);
	p.fd = c->fd;

	while (sent < 64 * 1024 * 1024 && poll(&p, 1, 1000) > 0) {
		n = send(c->fd, many, (size_t)(at - many),
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}

#ifndef TALLY_SANITIZERS /* they keep freed memory for a while */
	ck_assert_int_lt(rss_kib(worker) - before, MEMORY_MAX_KIB);
#else
	(void)before;
#endif
	client_close(c);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	tl_free(many);
}
END_TEST

/* Opens n connections; how many of them answer. */
static unsigned crowd_of(unsigned n)
{
	struct client *many[64];
	unsigned i, good = 0;

	for (i = 0; i < n; i++) {
		many[i] = client_new(d->port);
		good += client_get(many[i], "/health", NULL, &r);
	}
	for (i = 0; i < n; i++)
		client_free(&many[i]);
	return good;
}

START_TEST(connections_of_one_address_are_capped)
{
	up("server.workers=1", "server.max_connections_per_address=10");

	ck_assert_uint_eq(crowd_of(30), 10);

	WAIT_UNTIL(client_get(c, "/health", NULL, &r));
	want(200);
}
END_TEST

START_TEST(a_worker_out_of_descriptors_recovers)
{
	struct rlimit few;
	pid_t worker;
	char *log, *p;
	unsigned lines = 0, i;
	struct client *many[40];

	up("server.workers=1", "database.pool_size=1");
	worker = daemon_child(d, "worker");
	ck_assert_int_eq(prlimit(worker, RLIMIT_NOFILE, NULL, &few), 0);
	few.rlim_cur = 40;
	ck_assert_int_eq(prlimit(worker, RLIMIT_NOFILE, &few, NULL), 0);

	for (i = 0; i < 40; i++) {
		many[i] = client_new(d->port);
		client_connect(many[i]);
	}
	test_sleep_ms(1000);
	for (i = 0; i < 40; i++)
		client_free(&many[i]);
	client_close(c);

	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	want(200);
	ck_assert_int_eq(daemon_child(d, "worker"), worker);
	log = daemon_log(d);
	for (p = log; (p = strstr(p, "accept")) != NULL; p++)
		lines++;
	ck_assert_uint_lt(lines, 30);
	tl_free(log);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hardening");
	TCase *tc = fixture_case(s, "raw");

	tcase_add_test(tc, bad_framing_is_refused_once_and_closes);
	tcase_add_test(tc, too_many_or_too_large_headers_are_refused);
	tcase_add_test(tc, what_lies_behind_a_nul_is_no_key);
	tcase_add_test(tc, a_slow_client_is_cut_off_in_total);
	tcase_add_test(tc, pipelined_requests_are_answered_in_order);
	tcase_add_test(tc, a_client_that_never_reads_costs_little_memory);
	tcase_add_test(tc, connections_of_one_address_are_capped);
	tcase_add_test(tc, a_worker_out_of_descriptors_recovers);
	return fixture_run(s);
}
