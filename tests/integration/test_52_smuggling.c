/*
 * Requests on whose borders a proxy and tallyd might disagree, through the
 * recipes for tallyd's own API: what tallyd answers is what the proxy has
 * asked, request by request, and whoever comes next gets the own answer.
 */
#include "config.h"

#include "fronts.h"
#include "h2probes.h"
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
#define H1_MARK    "T1-"
#define H2_MARK    "T2-"

static struct front fronts[FRONT_KINDS];

struct trial {
	const struct front *front;
	const char *name;
	const struct probe *probe; /* or */
	const struct h2_probe *h2_probe;
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

static char *trial_bytes(const struct trial *t, unsigned number, size_t *len_r)
{
	char path[32], next_path[32], *smuggled, *next, *bytes;

	(void)snprintf(path, sizeof(path), "/probe/%u", number);
	(void)snprintf(next_path, sizeof(next_path), "/next/%u", number);
	smuggled = small_request("smuggled", number, t->smuggled, "");
	next = small_request("next", number, t->next, "Connection: close\r\n");
	if (t->probe != NULL)
		bytes = probe_bytes(t->probe, path, t->own, smuggled, next,
				    len_r);
	else
		bytes = h2_bytes(t->h2_probe,
				 &(struct h2_request){ path, t->own }, smuggled,
				 &(struct h2_request){ next_path, t->next },
				 len_r);
	tl_free(next);
	tl_free(smuggled);
	return bytes;
}

static void send_probe(struct trial *t, unsigned number)
{
	size_t len;
	char *bytes = trial_bytes(t, number, &len);

	t->c = client_new(t->probe != NULL ? t->front->port
					   : t->front->h2_port);
	t->answers = tl_alloc(ANSWERS_BYTES);
	ck_assert(client_connect(t->c));
	ck_assert_int_eq(send(t->c->fd, bytes, len, MSG_NOSIGNAL),
			 (ssize_t)len);
	tl_free(bytes);
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

/* False: there is no more. */
static bool read_some(struct trial *t)
{
	ssize_t got = recv(t->c->fd, t->answers + t->len,
			   ANSWERS_BYTES - 1 - t->len, 0);

	if (got <= 0)
		return false;
	t->len += (size_t)got;
	return t->probe != NULL || !h2_done(t->answers, t->len);
}

/* Whatever comes of all, until they close or nothing comes. */
static void read_all(struct trial *t, int n)
{
	struct pollfd p[FRONT_KINDS];
	int open = n;

	for (int i = 0; i < n; i++)
		p[i] = (struct pollfd){ t[i].c->fd, POLLIN, 0 };
	while (open > 0 && poll(p, (nfds_t)n, SILENCE_MS) > 0) {
		for (int i = 0; i < n; i++) {
			if (p[i].revents != 0 && !read_some(&t[i])) {
				p[i].fd = -1;
				open--;
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
			      front_name(t->front->kind), t->name, id,
			      t->answers);
		expected = i < 3 ? i + 1 : expected;
	}
	ck_assert_msg(expected < 3 || strstr(at, "\nHTTP/") == NULL,
		      "%s, '%s': one answer too many in\n%s",
		      front_name(t->front->kind), t->name, t->answers);
}

static void name_ids(struct trial *t, const char *mark, unsigned number)
{
	int who = (int)t->front->kind;

	(void)snprintf(t->own, ID_BYTES, "%s%u-%d-own", mark, number, who);
	(void)snprintf(t->smuggled, ID_BYTES, "%s%u-%d-smuggled", mark, number,
		       who);
	(void)snprintf(t->next, ID_BYTES, "%s%u-%d-next", mark, number, who);
	(void)snprintf(t->other, ID_BYTES, "%s%u-%d-other", mark, number, who);
}

/* Through all of them at once. */
static void try_probe(unsigned number, bool h2)
{
	struct trial t[FRONT_KINDS] = { 0 };
	int n = 0;

	for (int i = 0; i < FRONT_KINDS; i++) {
		struct trial *one = &t[n];

		if (fronts[i].pid == 0)
			continue;
		n++;
		one->front = &fronts[i];
		if (h2)
			one->h2_probe = &H2_PROBES[number];
		else
			one->probe = &PROBES[number];
		one->name = h2 ? one->h2_probe->name : one->probe->name;
		name_ids(one, h2 ? H2_MARK : H1_MARK, number);
		send_probe(one, number);
	}
	for (int i = 0; i < n; i++)
		ask_beside(&t[i], number);
	read_all(t, n);
	for (int i = 0; i < n; i++) {
		if (!h2)
			want_order(&t[i]);
		client_free(&t[i].c);
		tl_free(t[i].answers);
	}
}

START_TEST(each_connection_gets_its_own_answers)
{
	for (unsigned i = 0; i < N_PROBES; i++)
		try_probe(i, false);
}
END_TEST

START_TEST(so_do_those_that_speak_http_2)
{
	for (unsigned i = 0; i < N_H2_PROBES; i++)
		try_probe(i, true);
}
END_TEST

/* ---- what is no attack ---- */

/* As the recipes say it: some give a body its length, others can't. */
static const int chunked_status[FRONT_KINDS] = {
	[FRONT_NGINX] = 200,
	[FRONT_HAPROXY] = 411,
	[FRONT_CADDY] = 411,
	[FRONT_APACHE] = 200,
};

START_TEST(the_api_works_behind_a_proxy)
{
	static const char body[] = "{\"key\":\"" KEY_PRO "\"}";
	struct client *via = client_new(fronts[_i].port);
	char text[512];

	row_name = front_name((enum front_kind)_i);
	via->source = "127.0.52.1";
	if (fronts[_i].pid == 0)
		return;

	/* who asks is told, whatever headers the client wants dropped */
	client_call(via, "/api/verify", NULL, body,
		    "Connection: keep-alive, X-Forwarded-For\r\n", &r);
	want(200);
	ck_assert(json_true(&r, "valid"));
	(void)snprintf(text, sizeof(text),
		       "POST /api/verify HTTP/1.1\r\nHost: a\r\n"
		       "Content-Type: application/json\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n"
		       "%zx\r\n%s\r\n0\r\n\r\n",
		       strlen(body), body);
	ck_assert(client_raw(via, text, strlen(text), &r));
	want(chunked_status[_i]);
	client_get(via, "/api/events", KEY_PRO, &r);
	want(200);
	ck_assert_ptr_nonnull(strstr(r.body, "event: "));
	client_close(via); /* it goes on */
	client_get(via, "/metrics", NULL, &r);
	want(404);

	client_free(&via);
	reply_deinit(&r);
}
END_TEST

/* ---- what tallyd has seen ---- */

/* The lines of all access logs that have the text; the last one of them. */
static unsigned lines_with(const char *log, const char *text,
			   char line[LINE_BYTES])
{
	unsigned n = 0;

	line[0] = '\0';
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

/* A proxy writes its line behind the answer: then they are read once more. */
static bool was_asked(char **asked, const char *id, const char *path,
		      char found[LINE_BYTES])
{
	if (lines_with(*asked, id, found) == 0) {
		tl_free(*asked);
		*asked = all_asked();
	}
	return lines_with(*asked, id, found) == 1 &&
	       strstr(found, path) != NULL;
}

/* Each request that tallyd answered is one that a proxy has asked, by the same
 * path. */
static unsigned compare_logs(const char *seen)
{
	char *lines = tl_strdup(seen), *rest = lines, *one, found[LINE_BYTES];
	char *asked = all_asked();
	unsigned n = 0;

	while ((one = strsep(&rest, "\n")) != NULL) {
		struct json_object *o = json_tokener_parse(one);
		const char *id =
			json_object_get_string(json_at(o, "request_id"));
		const char *path = json_object_get_string(json_at(o, "path"));
		bool yes = true;

		if (path != NULL && strcmp(path, "/health") != 0) {
			WAIT_UNTIL((yes = was_asked(&asked, id, path, found)));
			n++;
		}
		ck_assert_msg(yes, "tallyd answered %s\nand was asked %s", one,
			      found);
		json_object_put(o);
	}
	tl_free(asked);
	tl_free(lines);
	return n;
}

/* Or the probes of this kind were none. */
static void want_honest(const char *seen, const char *mark)
{
	struct trial t = { 0 };
	char line[LINE_BYTES];

	for (int i = 0; i < FRONT_KINDS; i++) {
		t.front = &fronts[i];
		if (t.front->pid == 0)
			continue;
		name_ids(&t, mark, 0);
		ck_assert_uint_eq(lines_with(seen, t.own, line), 1);
		ck_assert_uint_eq(lines_with(seen, t.next, line), 1);
	}
}

static bool stopped(void)
{
	char *log = daemon_log(d);
	bool yes = strstr(log, "\"stopped\"") != NULL;

	tl_free(log);
	return yes;
}

START_TEST(a_proxy_and_tallyd_agree_on_each_request)
{
	char *seen;

	kill(d->pid, SIGTERM); /* it writes what it has to say */
	WAIT_UNTIL(stopped());
	seen = daemon_log(d);

	ck_assert_uint_ge(compare_logs(seen), N_PROBES + N_H2_PROBES);
	want_honest(seen, H1_MARK);
	want_honest(seen, H2_MARK);
	tl_free(seen);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("smuggling");
	TCase *tc = tcase_create("smuggling");

	tcase_add_unchecked_fixture(tc, start_all, stop_all);
	tcase_set_timeout(tc, 90);
	tcase_add_loop_test(tc, the_api_works_behind_a_proxy, 0, FRONT_KINDS);
	tcase_add_test(tc, each_connection_gets_its_own_answers);
	tcase_add_test(tc, so_do_those_that_speak_http_2);
	tcase_add_test(tc, a_proxy_and_tallyd_agree_on_each_request);
	suite_add_tcase(s, tc);
	return fronts_run(s);
}
