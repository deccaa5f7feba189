/*
 * listener.c - see listener.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "app/events/events.h"
#include "base/mem.h"
#include "lib/fixture.h"
#include "lib/shapecheck.h"

#define WAIT_MS 30000

/* False: the end, or nothing within wait_ms (only if that is 0). */
static bool more(struct listener *l, int wait_ms)
{
	struct pollfd pfd = { .fd = l->fd, .events = POLLIN };
	int ready = poll(&pfd, 1, wait_ms);
	ssize_t n;

	ck_assert_msg(ready == 1 || wait_ms == 0, "nothing comes:\n%s", l->buf);
	if (ready != 1)
		return false;
	ck_assert_uint_lt(l->len, LISTENER_BYTES - 1);
	n = recv(l->fd, l->buf + l->len, LISTENER_BYTES - 1 - l->len, 0);
	if (n <= 0)
		return false;
	l->len += (size_t)n;
	l->buf[l->len] = '\0';
	return true;
}

static void used(struct listener *l, size_t n)
{
	memmove(l->buf, l->buf + n, l->len - n + 1);
	l->len -= n;
}

int listen_to(struct listener *l, const char *key, const char *headers,
	      int rcvbuf)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(d->port) };
	int status = 0, n;
	char *end;

	memset(l, 0, sizeof(*l));
	l->buf = tl_alloc(LISTENER_BYTES);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rcvbuf > 0)
		ck_assert_int_eq(setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF,
					    &rcvbuf, sizeof(rcvbuf)),
				 0);
	ck_assert_int_eq(connect(l->fd, (struct sockaddr *)&sin, sizeof(sin)),
			 0);
	n = snprintf(l->head, sizeof(l->head),
		     "GET /api/events HTTP/1.1\r\nHost: test\r\n"
		     "Authorization: Bearer %s\r\n%s\r\n",
		     key, headers);
	ck_assert_int_eq(send(l->fd, l->head, (size_t)n, MSG_NOSIGNAL), n);
	while ((end = strstr(l->buf, "\r\n\r\n")) == NULL)
		ck_assert_msg(more(l, WAIT_MS), "no answer: %s", l->buf);
	n = (int)(end - l->buf) + 4;
	ck_assert_int_lt(n, (int)sizeof(l->head));
	memcpy(l->head, l->buf, (size_t)n);
	l->head[n] = '\0';
	used(l, (size_t)n);
	ck_assert_int_eq(sscanf(l->head, "HTTP/1.1 %d", &status), 1);
	return status;
}

void listen_on(struct listener *l, const char *key, const char *last_id)
{
	char headers[128] = "";

	if (last_id != NULL)
		(void)snprintf(headers, sizeof(headers),
			       "Last-Event-ID: %s\r\n", last_id);
	ck_assert_int_eq(listen_to(l, key, headers, 0), 200);
	ck_assert(listen_next(l));
	ck_assert(strcmp(l->last.name, "usage") == 0 ||
		  strcmp(l->last.name, "reset") == 0);
}

static void forget(struct listener *l)
{
	if (l->last.data != NULL)
		json_object_put(l->last.data);
	memset(&l->last, 0, sizeof(l->last));
}

static void copy_line(const char *block, const char *name, char *dst,
		      size_t cap)
{
	const char *at = strstr(block, name);
	size_t n;

	dst[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(name);
	n = strcspn(at, "\n");
	ck_assert_uint_lt(n, cap);
	memcpy(dst, at, n);
	dst[n] = '\0';
}

/* A whole block of the buffer; false: there is none, or it is a comment. */
static bool take(struct listener *l, bool *comment_r)
{
	char *end = strstr(l->buf, "\n\n");
	char data[1024];
	struct tl_err err;

	*comment_r = false;
	if (end == NULL)
		return false;
	end[1] = '\0'; /* the block keeps its last line whole */
	if (l->buf[0] == ':') {
		l->comments++;
		*comment_r = true;
		used(l, (size_t)(end - l->buf) + 2);
		return false;
	}
	ck_assert_msg(shapecheck_event(&EVENTS_ROUTES[0], tl_str_c(l->buf),
				       &err) == TL_OK,
		      "%s\n%s", err.text, l->buf);
	forget(l);
	copy_line(l->buf, "event: ", l->last.name, sizeof(l->last.name));
	copy_line(l->buf, "id: ", l->last.id, sizeof(l->last.id));
	copy_line(l->buf, "data: ", data, sizeof(data));
	l->last.data = json_tokener_parse(data);
	used(l, (size_t)(end - l->buf) + 2);
	return true;
}

bool listen_next(struct listener *l)
{
	bool comment;

	while (!take(l, &comment))
		if (!comment && !more(l, WAIT_MS))
			return false;
	return true;
}

unsigned listen_drain(struct listener *l, const char *name)
{
	unsigned n = 0;
	bool comment;

	do
		while (take(l, &comment) || comment)
			n += !comment && strcmp(l->last.name, name) == 0;
	while (more(l, 0));
	return n;
}

void listen_until(struct listener *l, const char *name)
{
	do
		ck_assert_msg(listen_next(l), "closed before any '%s'", name);
	while (strcmp(l->last.name, name) != 0);
}

void listen_bye(struct listener *l, const char *reason)
{
	listen_until(l, "bye");
	ck_assert_pstr_eq(event_str(l, "reason"), reason);
	ck_assert(!listen_next(l));
	ck_assert_uint_eq(l->len, 0);
}

static struct json_object *member_of(const struct listener *l,
				     const char *member)
{
	struct json_object *o = NULL;

	(void)json_object_object_get_ex(l->last.data, member, &o);
	return o;
}

const char *event_str(const struct listener *l, const char *member)
{
	return json_object_get_string(member_of(l, member));
}

int64_t event_num(const struct listener *l, const char *member)
{
	return json_object_get_int64(member_of(l, member));
}

void listen_close(struct listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	forget(l);
	tl_freep(&l->buf);
}

double metric(const char *series)
{
	struct reply *own = tl_alloc(sizeof(*own));
	size_t len = strlen(series);
	double v = -1;

	client_get(c, "/metrics", NULL, own);
	ck_assert_int_eq(own->status, 200);
	for (const char *p = own->body; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, series, len) == 0 && p[len] == ' ')
			v = strtod(p + len, NULL);
	}
	reply_deinit(own);
	tl_free(own);
	return v;
}
