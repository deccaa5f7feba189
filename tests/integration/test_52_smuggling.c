/*
 * Requests on whose borders a proxy and tallyd might disagree, through the
 * recipes for tallyd's own API: what tallyd answers is what the proxy has
 * asked, request by request, and whoever comes next gets the own answer.
 */
#include "config.h"

#include "fronts.h"
#include "lib/fixture.h"
#include "probes.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "base/mem.h"

#define ANSWERS_BYTES 65536
/* For those who wait for more of a body than comes; nothing is measured. */
#define SILENCE_MS 100
#define ID_BYTES   48
#define LINE_BYTES 2048
#define ID_MARK    'T' /* how those of probes begin */

static struct front fronts[FRONT_KINDS];

struct trial {
	const struct front *front;
	const struct probe *probe;
	char own[ID_BYTES], smuggled[ID_BYTES], next[ID_BYTES];
	char other[ID_BYTES]; /* all X-Request-Id */
	struct client *c;
	char *answers;
	size_t len;
};

static void start_all(void)
{
	prepare(FREE_RATE, "server.trusted_proxies=127.0.0.1");
	fixture_again();
	for (int i = 0; i < FRONT_KINDS; i++) {
		struct front *f = &fronts[i];

		f->kind = (enum front_kind)i;
		f->recipe = "api";
		f->tallyd = d->port;
		if (front_program(f->kind) != NULL)
			front_start(f);
	}
	client_on_reply = NULL; /* some are the proxies' own */
}

static void stop_all(void)
{
	for (int i = 0; i < FRONT_KINDS; i++)
		front_stop(&fronts[i]);
	fixture_down();
}

/* ---- one probe ---- */

static char *small_request(const char *what, unsigned number, const char *id,
			   const char *more)
{
	return tl_asprintf("GET /%s/%u HTTP/1.1\r\nHost: a\r\n"
			   "X-Request-Id: %s\r\n%s\r\n",
			   what, number, id, more);
}

static void send_probe(struct trial *t, unsigned number)
{
	char path[32], *smuggled, *next, *bytes;
	size_t len;

	(void)snprintf(path, sizeof(path), "/probe/%u", number);
	smuggled = small_request("smuggled", number, t->smuggled, "");
	next = small_request("next", number, t->next, "Connection: close\r\n");
	bytes = probe_bytes(t->probe, path, t->own, smuggled, next, &len);
	t->c = client_new(t->front->port);
	t->answers = tl_alloc(ANSWERS_BYTES);
	ck_assert(client_connect(t->c));
	ck_assert_int_eq(send(t->c->fd, bytes, len, MSG_NOSIGNAL),
			 (ssize_t)len);
	tl_free(bytes);
	tl_free(next);
	tl_free(smuggled);
}

/* Somebody else, at the same time. */
static void ask_beside(const struct trial *t, unsigned number)
{
	struct client *beside = client_new(t->front->port);
	char target[32], head[64];

	(void)snprintf(target, sizeof(target), "/beside/%u", number);
	(void)snprintf(head, sizeof(head), "X-Request-Id: %s\r\n", t->other);
	client_request(beside, "GET", target, head, NULL, 0, &r);
	want(404);
	ck_assert_pstr_eq(header_of(&r, "X-Request-Id"), t->other);
	client_free(&beside);
}

/* Whatever comes of all, until they close or nothing comes. */
static void read_all(struct trial *t, int n)
{
	struct pollfd p[FRONT_KINDS];
	int open = 0;

	for (int i = 0; i < n; i++) {
		p[i] = (struct pollfd){ t[i].c->fd, POLLIN, 0 };
		open++;
	}
	while (open > 0 && poll(p, (nfds_t)n, SILENCE_MS) > 0) {
		for (int i = 0; i < n; i++) {
			ssize_t got;

			if (p[i].revents == 0)
				continue;
			got = recv(p[i].fd, t[i].answers + t[i].len,
				   ANSWERS_BYTES - 1 - t[i].len, 0);
			if (got <= 0) {
				p[i].fd = -1;
				open--;
			} else {
				t[i].len += (size_t)got;
			}
		}
	}
}

/* The value of the next X-Request-Id at or behind *at, which moves on. */
static bool next_id(const char **at, char id[ID_BYTES])
{
	const char *p = strcasestr(*at, "\nx-request-id: ");

	if (p == NULL)
		return false;
	p += strlen("\nx-request-id: ");
	(void)snprintf(id, ID_BYTES, "%.*s", (int)strcspn(p, "\r\n"), p);
	*at = p;
	return true;
}

/*
 * Answers in the order of the requests, none twice, none of somebody else's,
 * none behind that to the last one, which asks to close.  They may end early:
 * a refusal closes too.  Ids that no probe has are of requests whose headers
 * were not read.
 */
static void want_order(const struct trial *t)
{
	const char *const ids[] = { t->own, t->smuggled, t->next };
	const char *at = t->answers;
	int expected = 0, i;
	char id[ID_BYTES];

	while (next_id(&at, id)) {
		for (i = expected; i < 3 && strcmp(id, ids[i]) != 0; i++)
			;
		ck_assert_msg(i < 3 || (id[0] != ID_MARK && expected < 3),
			      "%s, '%s': answer of '%s' in\n%s",
			      front_name(t->front->kind), t->probe->name, id,
			      t->answers);
		expected = i < 3 ? i + 1 : expected;
	}
	ck_assert_msg(expected < 3 || strstr(at, "\nHTTP/") == NULL,
		      "%s, '%s': one answer too many in\n%s",
		      front_name(t->front->kind), t->probe->name, t->answers);
}

static void try_probe(unsigned number)
{
	struct trial t[FRONT_KINDS] = { 0 };
	int n = 0;

	for (int i = 0; i < FRONT_KINDS; i++) {
		struct trial *one = &t[n];

		if (fronts[i].pid == 0)
			continue;
		n++;
		one->front = &fronts[i];
		one->probe = &PROBES[number];
		(void)snprintf(one->own, ID_BYTES, "T%u-%d-own", number, i);
		(void)snprintf(one->smuggled, ID_BYTES, "T%u-%d-smuggled",
			       number, i);
		(void)snprintf(one->next, ID_BYTES, "T%u-%d-next", number, i);
		(void)snprintf(one->other, ID_BYTES, "T%u-%d-other", number, i);
		send_probe(one, number);
	}
	for (int i = 0; i < n; i++)
		ask_beside(&t[i], number);
	read_all(t, n);
	for (int i = 0; i < n; i++) {
		want_order(&t[i]);
		client_free(&t[i].c);
		tl_free(t[i].answers);
	}
}

/* ---- what tallyd has seen ---- */

/* The lines of all access logs that have the text; the last one of them. */
static unsigned lines_with(const char *log, const char *text,
			   char line[LINE_BYTES])
{
	unsigned n = 0;

	for (const char *p = log; (p = strstr(p, text)) != NULL; p++) {
		const char *begin = p, *end = p + strcspn(p, "\n");

		while (begin > log && begin[-1] != '\n')
			begin--;
		(void)snprintf(line, LINE_BYTES, "%.*s", (int)(end - begin),
			       begin);
		p = end - (*end == '\0');
		n++;
	}
	return n;
}

/* Each request that tallyd answered is one that a proxy has asked, by the same
 * path. */
static unsigned compare_logs(const char *seen, const char *asked)
{
	char *lines = tl_strdup(seen), *rest = lines, *one, found[LINE_BYTES];
	unsigned n = 0;

	while ((one = strsep(&rest, "\n")) != NULL) {
		struct json_object *o = json_tokener_parse(one);
		struct json_object *path = json_at(o, "path");
		const char *id;

		if (path == NULL ||
		    strcmp(json_object_get_string(path), "/health") == 0) {
			json_object_put(o);
			continue;
		}
		id = json_object_get_string(json_at(o, "request_id"));
		ck_assert_msg(
			lines_with(asked, id, found) == 1 &&
				strstr(found, json_object_get_string(path)),
			"tallyd answered %s\nand was asked %s", one, found);
		n++;
		json_object_put(o);
	}
	tl_free(lines);
	return n;
}

static char *all_asked(void)
{
	char *all = tl_strdup(""), *one, *more;

	for (int i = 0; i < FRONT_KINDS; i++) {
		if (fronts[i].pid == 0)
			continue;
		one = front_access(&fronts[i]);
		more = tl_asprintf("%s%s", all, one);
		tl_free(all);
		tl_free(one);
		all = more;
	}
	return all;
}

START_TEST(a_proxy_and_tallyd_agree_on_each_request)
{
	char *seen, *asked, found[LINE_BYTES];
	unsigned n;

	for (unsigned i = 0; i < N_PROBES; i++)
		try_probe(i);
	kill(d->pid, SIGTERM); /* it writes what it has to say */
	WAIT_UNTIL(lines_with((seen = daemon_log(d)), "stopped", found) > 0);
	asked = all_asked();

	n = compare_logs(seen, asked);

	ck_assert_uint_ge(n, N_PROBES * 2);
	tl_free(seen);
	tl_free(asked);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("smuggling");
	TCase *tc = tcase_create("smuggling");
	unsigned missing = 0;

	for (int i = 0; i < FRONT_KINDS; i++)
		missing += front_program((enum front_kind)i) == NULL;
	if (missing == FRONT_KINDS)
		return 77;
	tcase_add_unchecked_fixture(tc, start_all, stop_all);
	tcase_set_timeout(tc, 90);
	tcase_add_test(tc, a_proxy_and_tallyd_agree_on_each_request);
	suite_add_tcase(s, tc);
	if (fixture_run(s) != 0)
		return 1;
	return missing > 0 ? 77 : 0;
}
