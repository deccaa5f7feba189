/*
 * The recipes of contrib with the programs that they are for: an application
 * behind each, which tallyd decides for.
 */
#include "config.h"

#include "fronts.h"
#include "lib/fixture.h"
#include "receiver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"

#define ADDRESS_LIMIT "4"

/* Two of each kind: closed while tallyd is down; open, and for callers without
 * a key too. */
static struct front fronts[FRONT_KINDS][2];
static struct receiver *app;
static struct client *via; /* the front in hand */

static void start_all(void)
{
	prepare("server.trusted_proxies=127.0.0.1",
		"limits.address_count=" ADDRESS_LIMIT, "limits.key_count=1000");
	app = receiver_start();
	fixture_again();
	make_key("good", 1000, "");
	make_key("poor", 0, "");
	make_key("far", 1000, "allowed_ips = '{10.0.0.0/8}'");
	for (int i = 0; i < FRONT_KINDS; i++)
		make_key((char[]){ 's', 'l', 'o', 'w', (char)('0' + i), '\0' },
			 1000, "rate_limit = 2");
	sql_close();
	client_close(c);
	for (int i = 0; i < 2 * FRONT_KINDS; i++) {
		struct front *f = &fronts[i / 2][i % 2];

		f->kind = (enum front_kind)(i / 2);
		f->recipe = "gate";
		f->tallyd = d->port;
		f->app = app->port;
		f->open = i % 2 == 1;
		f->ask = f->open ? "cost=0&anonymous=allow" : NULL;
		if (front_program(f->kind) != NULL)
			front_start(f);
	}
	client_on_reply = NULL; /* they are the application's */
}

static void stop_all(void)
{
	for (int i = 0; i < 2 * FRONT_KINDS; i++)
		front_stop(&fronts[i / 2][i % 2]);
	fixture_down();
}

/* From an address of its own.  False: that program is not here. */
static bool through(int kind, bool open, unsigned address)
{
	static char source[32];
	const struct front *f = &fronts[kind][open];

	(void)snprintf(source, sizeof(source), "127.0.%d.%u", 50 + kind,
		       address);
	row_name = front_name((enum front_kind)kind);
	via = client_new(f->port);
	via->source = source;
	return f->pid != 0;
}

static void done(void)
{
	client_free(&via);
	reply_deinit(&r);
}

/* With that key (NULL: none) and more headers. */
static int ask(const char *method, const char *key, const char *more,
	       const char *body)
{
	char *head = key != NULL ? tl_asprintf("Authorization: Bearer %s\r\n%s",
					       key, more)
				 : tl_strdup(more);

	client_request(via, method, "/orders/7?cost=0&scope=x", head, body,
		       strlen(body), &r);
	tl_free(head);
	return r.status;
}

static unsigned seen(void)
{
	return receiver_count(app, NULL);
}

/* What the application got last; waits for the nth call. */
static const char *got(unsigned n)
{
	WAIT_UNTIL(seen() >= n);
	ck_assert_uint_eq(seen(), n);
	return app->calls[n - 1].head;
}

/* How often a header that begins so was sent, in any case. */
static unsigned headers_like(const char *head, const char *begin)
{
	unsigned n = 0;

	for (const char *p = head; (p = strstr(p, "\r\n")) != NULL;) {
		p += 2;
		n += strncasecmp(p, begin, strlen(begin)) == 0;
	}
	return n;
}

static void want_header(const char *head, const char *line)
{
	ck_assert_msg(strcasestr(head, line) != NULL,
		      "%s: the application got no '%s':\n%s", row_name, line,
		      head);
}

static void want_limits(void)
{
	ck_assert_ptr_nonnull(header_of(&r, "RateLimit"));
	ck_assert_ptr_nonnull(header_of(&r, "RateLimit-Policy"));
	ck_assert_int_ge(header_num(&r, "X-RateLimit-Limit"), 1);
	ck_assert_int_ge(header_num(&r, "X-RateLimit-Remaining"), 0);
	ck_assert_int_ge(header_num(&r, "X-RateLimit-Reset"), 1);
	ck_assert_ptr_nonnull(header_of(&r, "X-Request-Id"));
}

static const char forged[] = "X-Tally-User: root\r\nX-Tally-Plan: Gold\r\n"
			     "x-tally-scopes: admin\r\nX-Tally-Status: 200\r\n"
			     "X_Tally_User: root\r\nX-Tally_User: root\r\n"
			     "X_Tally-User: root\r\nX-Tally-Key: root\r\n";

/* Nothing of the client's own under any name of tallyd's. */
static void want_no_forgery(const char *head)
{
	ck_assert_msg(strstr(head, "root") == NULL &&
			      strstr(head, "Gold") == NULL &&
			      strstr(head, "admin") == NULL &&
			      headers_like(head, "X-Tally-Status") == 0,
		      "%s: the application got\n%s", row_name, head);
}

START_TEST(the_application_learns_who_calls)
{
	unsigned before = seen();
	const char *head;
	int64_t used;

	if (!through(_i, false, 1))
		return;
	used = used_today(key_of("good"));

	ask("POST", key_of("good"), forged, "a body");

	want(200);
	want_limits();
	head = got(before + 1);
	ck_assert_str_eq(app->calls[before].body, "a body");
	ck_assert_str_eq(app->calls[before].path, "/orders/7?cost=0&scope=x");
	want_no_forgery(head);
	want_header(head, "\r\nX-Tally-Plan: Plan of good\r\n");
	ck_assert_uint_eq(headers_like(head, "X-Tally-User: "), 1);
	ck_assert_uint_eq(headers_like(head, "X-Tally-Key: "), 1);
	/* the client's query is none of the gate's: one request, one credit */
	ck_assert_int_eq(used_today(key_of("good")), used + 1);
	/* on the same connections */
	ask("GET", key_of("good"), "", "");
	want(200);
	got(before + 2);
	done();
}
END_TEST

static long accepted(void)
{
	static const char name[] = "\ntallyd_http_connections_accepted_total ";
	const char *line;

	client_get(c, "/metrics", NULL, &r);
	want(200);
	line = strstr(r.body, name);
	ck_assert_ptr_nonnull(line);
	return strtol(line + strlen(name), NULL, 10);
}

/* By each thread of a proxy that has them. */
START_TEST(connections_to_tallyd_are_kept)
{
	long before = accepted();

	if (!through(_i, false, 9))
		return;

	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(ask("GET", key_of("good"), "", ""), 200);

	ck_assert_int_le(accepted(), before + 10);
	done();
}
END_TEST

/* A proxy takes headers away that Connection names: not those it has set. */
START_TEST(a_client_can_not_have_its_name_dropped)
{
	unsigned before = seen();
	const char *head;

	if (!through(_i, false, 7))
		return;

	ask("GET", key_of("good"),
	    "Connection: keep-alive, X-Tally-User, x-tally-key\r\n"
	    "Connection: X-TALLY-PLAN, X-Request-Id\r\n",
	    "");

	want(200);
	head = got(before + 1);
	ck_assert_msg(headers_like(head, "X-Tally-User: ") == 1 &&
			      headers_like(head, "X-Tally-Key: ") == 1 &&
			      headers_like(head, "X-Tally-Plan: ") == 1 &&
			      headers_like(head, "X-Request-Id: ") == 1,
		      "%s: the application got\n%s", row_name, head);
	done();
}
END_TEST

/* Whoever sends two keys is one caller or none. */
START_TEST(the_application_sees_the_key_that_was_decided_on)
{
	unsigned before = seen();
	char more[128];

	if (!through(_i, false, 8))
		return;
	(void)snprintf(more, sizeof(more), "Authorization: Bearer %s\r\n",
		       key_of("poor"));

	ask("GET", key_of("good"), more, "");

	if (r.status == 200) {
		ck_assert_uint_eq(
			headers_like(got(before + 1), "Authorization:"), 1);
		want_header(got(before + 1), key_of("good"));
	} else {
		ck_assert_msg(r.status == 400 || r.status == 401, "%s: %s",
			      row_name, r.head);
		ck_assert_uint_eq(seen(), before);
	}
	done();
}
END_TEST

START_TEST(what_is_refused_does_not_reach_the_application)
{
	unsigned before = seen();
	char slow[] = "slow0";

	if (!through(_i, false, 2))
		return;
	slow[4] = (char)('0' + _i);

	ask("GET", NULL, "", "");
	want(401);
	ck_assert_pstr_eq(header_of(&r, "WWW-Authenticate"), "Bearer");
	ck_assert_pstr_eq(json_str(&r, "error.code"), "unauthorized");
	ask("POST", "no_such_key_at_all", forged, "a body");
	want(401);
	ask("GET", key_of("far"), "X-Forwarded-For: 10.1.2.3\r\n", "");
	want(403);
	ck_assert_pstr_eq(json_str(&r, "error.code"), "forbidden");
	ask("POST", key_of("poor"), "", "a body");
	want(429);
	want_limits();
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	ck_assert_pstr_eq(json_str(&r, "error.code"), "quota_exceeded");
	ck_assert_uint_eq(seen(), before);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ask("GET", key_of(slow), "", ""), 200);
	ask("GET", key_of(slow), "", "");
	want(429);
	want_limits();
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	ck_assert_pstr_eq(json_str(&r, "error.code"), "rate_limited");
	got(before + 2);
	done();
}
END_TEST

START_TEST(each_client_has_an_address_limit_of_its_own)
{
	char lie[192];
	int i;

	if (!through(_i, false, 3))
		return;
	for (i = 0; i < atoi(ADDRESS_LIMIT); i++) {
		(void)snprintf(lie, sizeof(lie),
			       "X-Forwarded-For: 10.9.9.%d\r\n"
			       "X-Real-IP: 10.9.8.%d\r\n"
			       "Connection: keep-alive, X-Forwarded-For\r\n",
			       i, i);
		ask("GET", NULL, lie, "");
		want(401);
	}
	ask("GET", NULL, "X-Forwarded-For: 10.9.9.99\r\n", "");
	want(429);
	ck_assert_int_ge(header_num(&r, "Retry-After"), 1);
	/* a good key is none of the address's business */
	ck_assert_int_eq(ask("GET", key_of("good"), "", ""), 200);
	client_free(&via);

	ck_assert(through(_i, false, 4));
	ask("GET", NULL, "", "");

	want(401);
	done();
}
END_TEST

START_TEST(a_caller_without_a_key_has_no_name)
{
	unsigned before = seen();

	if (!through(_i, true, 10))
		return;

	ask("GET", NULL, forged, "");

	want(200);
	want_limits();
	want_no_forgery(got(before + 1));
	for (const char *p = got(before + 1); (p = strcasestr(p, "X-Tally-"));
	     p++)
		ck_assert_msg(strncmp(strchr(p, ':'), ": \r", 3) == 0, "%s: %s",
			      row_name, got(before + 1));
	done();
}
END_TEST

/* Only silence opens it, not a refusal of any kind. */
START_TEST(an_open_gate_refuses_while_tallyd_answers)
{
	unsigned before = seen();
	static char key[8151];
	char *more;

	if (!through(_i, true, 5))
		return;
	memset(key, 'k', sizeof(key) - 1);
	more = tl_asprintf("X-API-Key: %s\r\n", key);

	ask("GET", "no_such_key_at_all", "", "");
	want(401);
	ask("GET", key_of("far"), "", "");
	want(403);
	/* more than tallyd reads */
	ask("GET", key, more, "");

	ck_assert_msg(r.status >= 400 && r.status < 500, "%s: %s", row_name,
		      r.head);
	ck_assert_uint_eq(seen(), before);
	tl_free(more);
	done();
}
END_TEST

/* All at once: each waits for its own patience. */
static void ask_all(struct client *all[FRONT_KINDS][2])
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       "GET /orders HTTP/1.1\r\nHost: a\r\n%s"
		       "Authorization: Bearer %s\r\n\r\n",
		       forged, key_of("good"));
	for (int i = 0; i < 2 * FRONT_KINDS; i++) {
		const struct front *f = &fronts[i / 2][i % 2];
		struct client *one = client_new(f->port);

		all[i / 2][i % 2] = one;
		if (f->pid != 0) {
			ck_assert(client_connect(one));
			ck_assert_int_eq(send(one->fd, text, strlen(text), 0),
					 (ssize_t)strlen(text));
		}
	}
}

/* 503 of the closed ones, the application's answer of the open ones. */
static void want_down(void)
{
	struct client *all[FRONT_KINDS][2];
	unsigned before = seen(), reached = 0;

	ask_all(all);
	for (int i = 0; i < 2 * FRONT_KINDS; i++) {
		struct client **one = &all[i / 2][i % 2];

		row_name = front_name((enum front_kind)(i / 2));
		if (fronts[i / 2][0].pid == 0) {
			client_free(one);
			continue;
		}
		ck_assert(client_read(*one, &r));
		want(i % 2 == 1 ? 200 : 503);
		if (i % 2 == 0) {
			ck_assert_int_eq(header_num(&r, "Retry-After"), 5);
			ck_assert_pstr_eq(json_str(&r, "error.code"),
					  "service_unavailable");
		}
		reached += i % 2 == 1;
		client_free(one);
	}
	WAIT_UNTIL(seen() >= before + reached);
	ck_assert_uint_eq(seen(), before + reached);
	for (; before < seen(); before++) {
		want_no_forgery(app->calls[before].head);
		ck_assert_uint_eq(
			headers_like(app->calls[before].head, "X-Tally-"), 0);
	}
}

static bool refused(void)
{
	bool yes = !client_connect(c);

	client_close(c);
	return yes;
}

START_TEST(while_tallyd_is_down_the_gate_is_closed_or_open)
{
	pid_t workers[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, "worker", workers);

	for (size_t i = 0; i < n; i++)
		kill(workers[i], SIGSTOP);
	want_down();
	for (size_t i = 0; i < n; i++)
		kill(workers[i], SIGCONT);
	kill(d->pid, SIGTERM); /* its parent is another process */
	WAIT_UNTIL(refused());
	want_down();

	fixture_again();

	for (int i = 0; i < FRONT_KINDS; i++) {
		if (through(i, false, 6))
			ck_assert_int_eq(ask("GET", key_of("good"), "", ""),
					 200);
		done();
	}
	daemon_stop(d, SIGTERM, 15000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("recipes");
	TCase *tc = tcase_create("recipes");

	tcase_add_unchecked_fixture(tc, start_all, stop_all);
	tcase_set_timeout(tc, 90);
	tcase_add_loop_test(tc, the_application_learns_who_calls, 0,
			    FRONT_KINDS);
	tcase_add_loop_test(tc, connections_to_tallyd_are_kept, 0, FRONT_KINDS);
	tcase_add_loop_test(tc, a_client_can_not_have_its_name_dropped, 0,
			    FRONT_KINDS);
	tcase_add_loop_test(tc,
			    the_application_sees_the_key_that_was_decided_on, 0,
			    FRONT_KINDS);
	tcase_add_loop_test(tc, what_is_refused_does_not_reach_the_application,
			    0, FRONT_KINDS);
	tcase_add_loop_test(tc, each_client_has_an_address_limit_of_its_own, 0,
			    FRONT_KINDS);
	tcase_add_loop_test(tc, a_caller_without_a_key_has_no_name, 0,
			    FRONT_KINDS);
	tcase_add_loop_test(tc, an_open_gate_refuses_while_tallyd_answers, 0,
			    FRONT_KINDS);
	tcase_add_test(tc, while_tallyd_is_down_the_gate_is_closed_or_open);
	suite_add_tcase(s, tc);
	return fronts_run(s);
}
