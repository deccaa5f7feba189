/*
 * test_http_conn.c - connections: deadlines, caps, floods, drain.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "http_rig.h"

#define HOST         "Host: a\r\n"
#define GET_ECHO     "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define GET_SLOW     "GET /slow HTTP/1.1\r\n" HOST "\r\n"
#define DRIPS_MAX    400 /* 25 ms apart: ten times the deadline below */
#define FLOOD_MAX    (256u << 20)
#define GROWTH_MAX_K (64u << 10)

static struct rig rig;

static void short_deadline(struct conf *conf)
{
	conf->server.request_timeout_ms = 1000;
	conf->server.idle_timeout_ms = 1000;
}

static void few_connections(struct conf *conf)
{
	conf->server.max_connections = 4;
}

static void few_per_address(struct conf *conf)
{
	free(conf->server.trusted_proxies.items);
	conf->server.trusted_proxies.items = NULL;
	conf->server.trusted_proxies.n = 0;
	conf->server.max_connections_per_address = 3;
}

static void assert_serves(const char *why)
{
	int fd = rig_connect(&rig);
	char *text;

	rig_send(fd, GET_ECHO, strlen(GET_ECHO));
	text = rig_read_one(fd, 0);
	ck_assert_msg(strncmp(text, "HTTP/1.1 200 ", 13) == 0, "%s: %s", why,
		      text);
	free(text);
	close(fd);
}

/* Has the server closed?  Waits for a drip's pause. */
static int closed_meanwhile(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, 25) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static unsigned drip(const char *start, const char *piece)
{
	int fd = rig_connect(&rig);
	unsigned n = 0;

	rig_send(fd, start, strlen(start));
	while (n < DRIPS_MAX && !closed_meanwhile(fd)) {
		(void)!send(fd, piece, strlen(piece), MSG_NOSIGNAL);
		n++;
	}
	close(fd);
	return n;
}

START_TEST(dripping_requests_are_closed)
{
	rig_start(&rig, short_deadline, 0);

	ck_assert_uint_lt(drip("G", "E"), DRIPS_MAX);
	ck_assert_uint_lt(drip("GET /echo HTTP/1.1\r\n", "A: b\r\n"),
			  DRIPS_MAX);
	ck_assert_uint_lt(drip("POST /large HTTP/1.1\r\n" HOST
			       "Content-Length: 9999\r\n\r\n",
			       "x"),
			  DRIPS_MAX);
	/* a second request on a connection that began well */
	ck_assert_uint_lt(drip(GET_ECHO "GET ", "/"), DRIPS_MAX);
	assert_serves("after drips");
	rig_stop(&rig);
}
END_TEST

START_TEST(idle_connections_are_closed)
{
	char *text;
	int fd, never;

	rig_start(&rig, short_deadline, 0);
	fd = rig_connect(&rig);
	never = rig_connect(&rig);
	rig_send(fd, GET_ECHO, strlen(GET_ECHO));

	text = rig_read_all(fd); /* ends when the server closes */

	ck_assert_uint_eq(rig_count(text, "HTTP/1.1 200"), 1);
	free(text);
	free(rig_read_all(never));
	close(fd);
	close(never);
	rig_stop(&rig);
}
END_TEST

static void assert_cap(unsigned cap)
{
	int fds[8];
	unsigned open_ones = 0;

	for (unsigned i = 0; i < 8; i++) {
		char *text;

		fds[i] = rig_connect(&rig);
		(void)!send(fds[i], GET_ECHO, strlen(GET_ECHO), MSG_NOSIGNAL);
		if (i >= cap) {
			text = rig_read_all(fds[i]);
			ck_assert_uint_eq(strlen(text), 0);
		} else {
			text = rig_read_one(fds[i], 0);
			open_ones++;
		}
		free(text);
	}
	ck_assert_uint_eq(open_ones, cap);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
}

START_TEST(connections_are_capped)
{
	rig_start(&rig, few_connections, 0);
	assert_cap(4);
	rig_stop(&rig);
}
END_TEST

START_TEST(connections_of_an_address_are_capped)
{
	rig_start(&rig, few_per_address, 0);
	assert_cap(3);
	rig_stop(&rig);
}
END_TEST

static unsigned long resident_kib(pid_t pid)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	(void)fclose(f);
	return kib;
}

/* Sends until the server takes no more; never reads. */
static size_t flood(int fd, const char *request)
{
	size_t sent = 0, len = strlen(request);
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	while (sent < FLOOD_MAX && poll(&pfd, 1, 500) == 1 &&
	       (pfd.revents & (POLLERR | POLLHUP)) == 0) {
		ssize_t n = send(fd, request + sent % len, len - sent % len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	return sent;
}

START_TEST(a_client_that_never_reads_is_held_back)
{
	unsigned long before;
	size_t sent;
	int fd;

	rig_start(&rig, NULL, 0);
	assert_serves("at first");
	before = resident_kib(rig.pid);
	fd = rig_connect(&rig);

	sent = flood(fd, GET_ECHO);

	ck_assert_uint_lt(sent, FLOOD_MAX);
	ck_assert_uint_lt(resident_kib(rig.pid), before + GROWTH_MAX_K);
	assert_serves("beside the flood");
	close(fd);
	rig_stop(&rig);
}
END_TEST

/* Reading must stay off while an answer is pending. */
START_TEST(pipelining_behind_a_pending_answer_is_in_order)
{
	char *first, *second;
	int fd;

	rig_start(&rig, NULL, 0);
	fd = rig_connect(&rig);
	rig_send(fd, GET_SLOW GET_ECHO, strlen(GET_SLOW GET_ECHO));

	first = rig_read_one(fd, 0);
	second = rig_read_one(fd, 0);

	ck_assert_str_eq(strstr(first, "\r\n\r\n") + 4, "slow");
	ck_assert_str_eq(strstr(second, "\r\n\r\n") + 4, "ok");
	free(first);
	free(second);
	close(fd);
	rig_stop(&rig);
}
END_TEST

START_TEST(clients_that_leave_are_survived)
{
	struct linger reset = { 1, 0 };

	rig_start(&rig, NULL, 0);
	for (int i = 0; i < 20; i++) {
		int fd = rig_connect(&rig);

		rig_send(fd, GET_SLOW GET_ECHO GET_SLOW,
			 strlen(GET_SLOW GET_ECHO GET_SLOW));
		if (i % 2 == 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset,
					 sizeof(reset));
		close(fd);
	}
	assert_serves("after hang-ups");
	rig_stop(&rig); /* and its requests were all answered: status 0 */
}
END_TEST

static unsigned log_lines_with(const char *words)
{
	static char text[1 << 20];
	FILE *f = fopen(rig.log_path, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return rig_count(text, words);
}

START_TEST(running_out_of_descriptors_passes)
{
	int fds[60];

	rig_start(&rig, NULL, 32);
	assert_serves("at first");
	for (size_t i = 0; i < 60; i++)
		fds[i] = rig_connect(&rig); /* the backlog takes the rest */
	for (int i = 0; i < 40 && log_lines_with("cannot accept") == 0; i++)
		usleep(100 * 1000);

	for (size_t i = 0; i < 60; i++)
		close(fds[i]);

	assert_serves("when descriptors are free again");
	ck_assert_uint_eq(log_lines_with("cannot accept"), 1);
	rig_stop(&rig);
}
END_TEST

START_TEST(stopping_answers_what_is_in_hand)
{
	char *text, *idle_end;
	int fd, idle;

	rig_start(&rig, NULL, 0);
	idle = rig_connect(&rig);
	rig_send(idle, GET_ECHO, strlen(GET_ECHO));
	free(rig_read_one(idle, 0));
	fd = rig_connect(&rig);
	rig_send(fd, GET_SLOW, strlen(GET_SLOW));

	rig_stop(&rig);

	text = rig_read_all(fd);
	idle_end = rig_read_all(idle);
	ck_assert_uint_eq(rig_count(text, "HTTP/1.1 200"), 1);
	ck_assert_ptr_nonnull(strstr(text, "\r\nConnection: close\r\n"));
	ck_assert_uint_eq(strlen(idle_end), 0);
	free(text);
	free(idle_end);
	close(fd);
	close(idle);
}
END_TEST

/* Never the query: it may hold a key. */
START_TEST(the_access_log_has_a_line_per_request)
{
	char *text;

	rig_start(&rig, NULL, 0);
	text = RIG_CLOSED(&rig, "GET /echo?key=secret HTTP/1.1\r\n" HOST
				"Authorization: Bearer topsecretkey1\r\n"
				"Connection: close\r\n\r\n");
	free(text);
	for (int i = 0; i < 40 && log_lines_with("\"msg\":\"request\"") == 0;
	     i++)
		usleep(100 * 1000);

	ck_assert_uint_eq(log_lines_with("\"path\":\"/echo\",\"status\":200"),
			  1);
	ck_assert_uint_eq(log_lines_with("secret"), 0);
	rig_stop(&rig);
}
END_TEST

/* ---- traces, when no spans are exported ---- */

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT   "00-" TRACE_ID "-00f067aa0ba902b7-01"

static void parents_trusted(struct conf *conf)
{
	conf->tracing.parents = CONF_PARENTS_TRUSTED;
}

static void parents_trusted_and_we_are(struct conf *conf)
{
	struct tally_cidr_list *l = &conf->server.trusted_proxies;
	struct tl_err err;

	parents_trusted(conf);
	free(l->items);
	*l = (struct tally_cidr_list){ tl_alloc(sizeof(*l->items)), 1 };
	ck_assert_int_eq(tally_cidr_parse(TL_STR("127.0.0.1"), l->items, &err),
			 TL_OK);
}

static void parents_none(struct conf *conf)
{
	conf->tracing.parents = CONF_PARENTS_NONE;
}

static const struct {
	rig_tweak_fn tweak;
	const char *headers;
	unsigned lines; /* with its id */
} followed[] = {
	{ NULL, "Traceparent: " PARENT "\r\n", 1 },
	{ NULL, "traceparent: " PARENT "x\r\n", 0 },
	{ NULL, "traceparent: " PARENT "\r\ntraceparent: " PARENT "\r\n", 0 },
	{ NULL, "", 0 },
	{ parents_trusted, "traceparent: " PARENT "\r\n", 0 },
	{ parents_trusted_and_we_are, "traceparent: " PARENT "\r\n", 1 },
	{ parents_none, "traceparent: " PARENT "\r\n", 0 },
};
START_TEST(only_whom_the_settings_let_is_followed)
{
	char request[400];

	snprintf(request, sizeof(request),
		 "GET /echo HTTP/1.1\r\n" HOST "%sConnection: close\r\n\r\n",
		 followed[_i].headers);
	rig_start(&rig, followed[_i].tweak, 0);
	free(rig_closed(&rig, request, strlen(request)));
	for (int i = 0; i < 100 && log_lines_with("\"msg\":\"request\"") == 0;
	     i++)
		usleep(100 * 1000);

	ck_assert_uint_eq(log_lines_with("\"msg\":\"request\""), 1);
	ck_assert_uint_eq(log_lines_with("\"trace_id\":\"" TRACE_ID "\""),
			  followed[_i].lines);
	ck_assert_uint_eq(log_lines_with("trace_id"), followed[_i].lines);
	rig_stop(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_conn");
	TCase *tc = tcase_create("connections");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, dripping_requests_are_closed);
	tcase_add_test(tc, idle_connections_are_closed);
	tcase_add_test(tc, connections_are_capped);
	tcase_add_test(tc, connections_of_an_address_are_capped);
	tcase_add_test(tc, a_client_that_never_reads_is_held_back);
	tcase_add_test(tc, pipelining_behind_a_pending_answer_is_in_order);
	tcase_add_test(tc, clients_that_leave_are_survived);
	tcase_add_test(tc, running_out_of_descriptors_passes);
	tcase_add_test(tc, stopping_answers_what_is_in_hand);
	tcase_add_test(tc, the_access_log_has_a_line_per_request);
	tcase_add_loop_test(tc, only_whom_the_settings_let_is_followed, 0,
			    sizeof(followed) / sizeof(followed[0]));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
