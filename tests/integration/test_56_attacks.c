/*
 * Attacks: many slow connections, floods of random keys and addresses, and
 * workers that die while connections wait for them.
 *
 * How long others wait meanwhile is told; tests/bench/attack.sh wants it within
 * three times of what it is in quiet.
 */
#include "config.h" /* _GNU_SOURCE */

#include "lib/fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "chaos/pest.h"
#include "lib/crowd.h"
#include "shm/layout.h"

#define SLOW         2000
#define QUEUED       100
#define REQUESTS     2000 /* of the client that behaves */
#define FLOOD        6000
#define KNOWN_EVERY  100
#define UNKNOWN_LOOK 200 /* of each worker at once, and so many a second: */
#define UNKNOWN_RATE 50
#define LOADS_MAX    64
/* Three pages of buffers and notes; what sanitizers add is no leak. */
#define CONN_KIB 24

static double value_of(const char *series)
{
	size_t len = strlen(series);

	client_get(c, "/metrics", NULL, &r);
	want(200);
	for (const char *p = r.body; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, series, len) == 0 && p[len] == ' ')
			return strtod(p + len, NULL);
	}
	ck_abort_msg("no series '%s'", series);
}

static long status_kib(pid_t pid, const char *name)
{
	char path[64], *text;
	const char *line;
	long kib;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	text = world_read(path);
	line = strstr(text, name);
	kib = line != NULL ? atol(line + strlen(name)) : 0;
	tl_free(text);
	return kib;
}

/* Of all workers, without the segment. */
static long workers_kib(void)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, "worker", pids);
	long kib = 0;

	for (size_t i = 0; i < n; i++)
		kib += status_kib(pids[i], "\nRssAnon:");
	return kib;
}

/* ---- slow connections ---- */

/* A kept connection, and now and then a new one. */
static void behave(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned i;

	(void)arg;
	for (i = 0; i < REQUESTS; i++) {
		client_get(own, "/api/gate?cost=0", KEY_BUSINESS, a);
		crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
			   a->status, 0);
		if (i % 50 == 49)
			client_close(own);
		test_sleep_ms(1);
	}
	_exit(0);
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double p99_ms(const struct crowd *w)
{
	static double ms[REQUESTS];

	for (unsigned i = 0; i < REQUESTS; i++)
		ms[i] = (double)(w->logs[0].notes[i].got_mono_ns -
				 w->logs[0].notes[i].sent_mono_ns) /
			1e6;
	qsort(ms, REQUESTS, sizeof(*ms), by_number);
	return ms[REQUESTS * 99 / 100];
}

static bool running(const struct crowd *w)
{
	return w->logs[0].n < REQUESTS;
}

/* Header, body, and answers that nobody reads. */
static void slow_begin(int fds[SLOW])
{
	static const char head[] = "GET /health HTTP/1.1\r\nHost: a\r\nX-";
	static const char body[] =
		"POST /api/usage/record HTTP/1.1\r\nHost: a\r\n"
		"Authorization: Bearer " KEY_PRO "\r\n"
		"Content-Length: 1000\r\n\r\n{";
	static const char read[] = "GET /openapi.json HTTP/1.1\r\n"
				   "Host: a\r\n\r\n";
	static const char *const begins[] = { head, body, read };
	int small = 2048;

	for (unsigned i = 0; i < SLOW; i++) {
		const char *text = begins[i % 3];

		fds[i] = pest_connect(d->port, i);
		ck_assert_msg(fds[i] >= 0, "connection %u: %s", i,
			      strerror(errno));
		if (text == read)
			setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small,
				   sizeof(small));
		for (unsigned k = 0; k < (text == read ? 3 : 1); k++)
			(void)!send(fds[i], text, strlen(text), MSG_NOSIGNAL);
	}
}

/* Never silent for long, never done. */
static void slow_drip(const int fds[SLOW])
{
	static unsigned at;

	for (unsigned i = 0; i < 20; i++, at++)
		if (at % 3 != 2)
			(void)!send(fds[at % SLOW], "x", 1, MSG_NOSIGNAL);
	test_sleep_ms(5);
}

/* How many of them the server has closed; the rest of an unread answer may
 * lie before its end. */
static unsigned slow_closed(int fds[SLOW])
{
	static char sink[65536];
	struct pollfd p = { .events = POLLIN };
	unsigned n = 0;

	for (unsigned i = 0; i < SLOW; i++) {
		if (fds[i] >= 0 && i % 3 == 2) {
			p.fd = fds[i];
			if (poll(&p, 1, 0) == 1 &&
			    (p.revents & (POLLHUP | POLLERR)) != 0) {
				close(fds[i]);
				fds[i] = -1;
			}
		} else if (fds[i] >= 0 &&
			   recv(fds[i], sink, sizeof(sink), MSG_DONTWAIT) <=
				   0 &&
			   errno != EAGAIN) {
			close(fds[i]);
			fds[i] = -1;
		}
		errno = 0;
		n += fds[i] < 0;
	}
	return n;
}

static void many_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < SLOW + 200) {
		files.rlim_cur = SLOW + 200;
		if (files.rlim_max < files.rlim_cur)
			files.rlim_max = files.rlim_cur;
		ck_assert_msg(setrlimit(RLIMIT_NOFILE, &files) == 0,
			      "%d files are needed", SLOW + 200);
	}
}

static void expect_all_answers(const struct crowd *w)
{
	ck_assert_uint_eq(crowd_count(w, 200, -1), REQUESTS);
}

START_TEST(slow_connections_starve_nobody)
{
	static int fds[SLOW];
	struct crowd *quiet, *w;
	double before, after;
	long kib;

	many_files();
	up(FREE_RATE, "server.request_timeout_ms=8000",
	   "server.idle_timeout_ms=8000", "log.access=no");
	quiet = crowd_start(1, behave, NULL);
	crowd_wait(quiet);
	expect_all_answers(quiet);
	kib = workers_kib();

	slow_begin(fds);
	w = crowd_start(1, behave, NULL);
	while (running(w))
		slow_drip(fds);
	kib = workers_kib() - kib;
	crowd_wait(w);

	expect_all_answers(w);
	before = p99_ms(quiet);
	after = p99_ms(w);
	printf("p99 of a client: %.3f ms, beside %d slow connections %.3f ms "
	       "(%.1fx); %ld KiB more\n",
	       before, SLOW, after, after / before, kib);
#ifndef TALLY_SANITIZERS
	ck_assert_int_lt(kib, (long)SLOW * CONN_KIB);
#endif
	/* each of them by its deadline, though it was never silent */
	for (unsigned i = 0; i < 3000 && slow_closed(fds) < SLOW; i++)
		slow_drip(fds);
	ck_assert_uint_eq(slow_closed(fds), SLOW);
	ck_assert_int_eq(gate(KEY_BUSINESS, ""), 200);
	crowd_free(&quiet);
	crowd_free(&w);
}
END_TEST

/* ---- floods ---- */

static void ask_from(const char *key, unsigned address)
{
	char headers[200];

	snprintf(headers, sizeof(headers),
		 "Authorization: Bearer %s\r\n"
		 "X-Forwarded-For: 10.%u.%u.%u\r\n",
		 key, address >> 16 & 255, address >> 8 & 255, address & 255);
	client_request(c, "GET", "/api/gate?cost=0", headers, NULL, 0, &r);
}

static off_t segment_bytes(void)
{
	struct stat sb = { .st_size = 0 };
	char path[128];

	snprintf(path, sizeof(path), "/dev/shm/tallyd.%s.v%u", d->instance,
		 SHM_LAYOUT);
	ck_assert_int_eq(stat(path, &sb), 0);
	return sb.st_size;
}

static double unknown_loads(void)
{
	return value_of(
		"tallyd_key_loads_unsuccessful_total{reason=\"unknown\"}");
}

/* Each request another key; from a few addresses or from as many. */
static const unsigned addresses[] = { 4, FLOOD };

START_TEST(random_keys_reach_neither_the_database_nor_others)
{
	double looked, most;
	uint64_t begin;
	char key[64];
	off_t bytes;
	unsigned i;
	long kib;

	up("limits.key_count=1000000", "server.trusted_proxies=127.0.0.1",
	   "log.access=no");
	ask_from(KEY_BUSINESS, 1 << 20);
	bytes = segment_bytes();
	kib = workers_kib();
	begin = test_mono_ns();

	for (i = 0; i < FLOOD; i++) {
		snprintf(key, sizeof(key), "random_key_%u_%08lx%08lx", i,
			 random(), random());
		ask_from(key, i % addresses[_i]);
		ck_assert_msg(r.status == 401 || r.status == 429 ||
				      r.status == 503,
			      "answer %d", r.status);
		if (r.status != 401)
			ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
		if (i % KNOWN_EVERY == 0) {
			ask_from(KEY_BUSINESS, i);
			want(200);
		}
	}
	looked = unknown_loads();

	most = 2 * (UNKNOWN_LOOK + LOADS_MAX +
		    UNKNOWN_RATE * (double)(test_mono_ns() - begin) / 1e9);
	printf("%d random keys from %u addresses: %.0f questions to the "
	       "database\n",
	       FLOOD, addresses[_i], looked);
	ck_assert_double_le(looked, most);
	ck_assert_int_eq(segment_bytes(), bytes);
#ifndef TALLY_SANITIZERS
	ck_assert_int_lt(workers_kib() - kib, 4096);
#else
	(void)kib;
#endif
	/* one key is asked about once */
	WAIT_UNTIL((ask_from("the_same_key_again", 7), r.status != 503));
	looked = unknown_loads();
	for (i = 0; i < 300; i++)
		ask_from("the_same_key_again", 1000 + i);
	ck_assert_double_eq(unknown_loads(), looked);
}
END_TEST

/* ---- deaths ---- */

static const int deaths[] = { SIGKILL, SIGSEGV };

/* They wait in the listening socket, and whoever comes next answers them. */
START_TEST(a_dead_worker_costs_no_queued_connection)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	struct client *queued[QUEUED];
	static const char ask[] =
		"GET /api/gate HTTP/1.1\r\nHost: a\r\n"
		"Authorization: Bearer " KEY_BUSINESS "\r\n\r\n";
	size_t n, i;

	up(FREE_RATE);
	WAIT_UNTIL((n = daemon_children(d, "worker", pids)) == 2);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(gate(KEY_BUSINESS, ""), 200);
	client_close(c);
	for (i = 0; i < n; i++)
		kill(pids[i], SIGSTOP);
	for (i = 0; i < QUEUED; i++) {
		queued[i] = client_new(d->port);
		ck_assert(client_connect(queued[i]));
		ck_assert_int_eq(send(queued[i]->fd, ask, sizeof(ask) - 1, 0),
				 sizeof(ask) - 1);
	}

	for (i = 0; i < n; i++) {
		kill(pids[i], deaths[_i]);
		kill(pids[i], SIGCONT);
	}

	for (i = 0; i < QUEUED; i++) {
		ck_assert_msg(client_read(queued[i], &r), "no answer to %zu",
			      i);
		want(200);
		client_free(&queued[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attacks");
	TCase *tc = fixture_case(s, "slow");

	tcase_add_test(tc, slow_connections_starve_nobody);
	tc = fixture_case(s, "floods and deaths");
	tcase_add_loop_test(
		tc, random_keys_reach_neither_the_database_nor_others, 0, 2);
	tcase_add_loop_test(tc, a_dead_worker_costs_no_queued_connection, 0, 2);
	return fixture_run(s);
}
