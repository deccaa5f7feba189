/*
 * collector.c - see collector.h.
 */
#include "config.h"

#include "collector.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/world.h"

#define CALL_MAX (4u << 20)

/* ---- the form ---- */

static void blame(struct collector *c, const char *what)
{
	if (c->wrong[0] == '\0')
		snprintf(c->wrong, sizeof(c->wrong), "%s", what);
}

static struct json_object *member(struct json_object *o, const char *name,
				  enum json_type type)
{
	struct json_object *m = NULL;

	if (o == NULL || !json_object_object_get_ex(o, name, &m) ||
	    json_object_get_type(m) != type)
		return NULL;
	return m;
}

static bool is_id(struct json_object *span, const char *name, size_t len)
{
	const char *s =
		json_object_get_string(member(span, name, json_type_string));

	return s != NULL && strlen(s) == len &&
	       strspn(s, "0123456789abcdef") == len;
}

static bool is_time(struct json_object *span, const char *name)
{
	const char *s =
		json_object_get_string(member(span, name, json_type_string));

	return s != NULL && strlen(s) == 19 && strspn(s, "0123456789") == 19;
}

static void check_attributes(struct collector *c, struct json_object *owner)
{
	struct json_object *all = member(owner, "attributes", json_type_array);

	for (size_t i = 0; all != NULL && i < json_object_array_length(all);
	     i++) {
		struct json_object *a = json_object_array_get_idx(all, i);
		struct json_object *v = member(a, "value", json_type_object);

		if (member(a, "key", json_type_string) == NULL || v == NULL ||
		    json_object_object_length(v) != 1 ||
		    (member(v, "stringValue", json_type_string) == NULL &&
		     member(v, "intValue", json_type_string) == NULL))
			blame(c, "an attribute");
	}
	if (all == NULL)
		blame(c, "attributes");
}

static void check_span(struct collector *c, struct json_object *span)
{
	struct json_object *status = member(span, "status", json_type_object);
	int kind = json_object_get_int(member(span, "kind", json_type_int));

	if (!is_id(span, "traceId", 32) || !is_id(span, "spanId", 16) ||
	    (json_object_object_get_ex(span, "parentSpanId", NULL) &&
	     !is_id(span, "parentSpanId", 16)))
		blame(c, "ids");
	if (!is_time(span, "startTimeUnixNano") ||
	    !is_time(span, "endTimeUnixNano"))
		blame(c, "times");
	if (kind < 1 || kind > 5)
		blame(c, "kind");
	if (member(span, "name", json_type_string) == NULL || status == NULL)
		blame(c, "name or status");
	check_attributes(c, span);
}

static void take_spans(struct collector *c, struct json_object *spans)
{
	for (size_t i = 0; i < json_object_array_length(spans); i++) {
		struct json_object *span = json_object_array_get_idx(spans, i);

		check_span(c, span);
		if (c->n_spans < COLLECTOR_SPANS) {
			c->spans[c->n_spans] = json_object_get(span);
			c->n_spans++;
		}
	}
}

static struct json_object *only(struct json_object *o, const char *name)
{
	struct json_object *list = member(o, name, json_type_array);

	return list != NULL && json_object_array_length(list) == 1
		       ? json_object_array_get_idx(list, 0)
		       : NULL;
}

static void take_body(struct collector *c, const char *body)
{
	struct json_object *o = json_tokener_parse(body);
	struct json_object *r = only(o, "resourceSpans");
	struct json_object *s = only(r, "scopeSpans");
	struct json_object *spans = member(s, "spans", json_type_array);

	check_attributes(c, member(r, "resource", json_type_object));
	if (member(member(s, "scope", json_type_object), "name",
		   json_type_string) == NULL)
		blame(c, "scope");
	if (spans != NULL)
		take_spans(c, spans);
	else
		blame(c, "no spans");
	json_object_put(o);
}

/* ---- calls ---- */

const char *head_value(const char *head, const char *name)
{
	static char value[1024];

	for (const char *p = head; p != NULL; p = strstr(p, "\r\n")) {
		p += strspn(p, "\r\n");
		if (strncasecmp(p, name, strlen(name)) != 0 ||
		    p[strlen(name)] != ':')
			continue;
		p += strlen(name) + 1;
		p += strspn(p, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r\n"),
			 p);
		return value;
	}
	return "";
}

/* One whole call to buf; where its body begins, NULL: it was none. */
static char *read_call(int fd, char *buf)
{
	size_t len = 0, want = 0;
	char *body = NULL;

	while (len < CALL_MAX - 1) {
		ssize_t n = recv(fd, buf + len, CALL_MAX - 1 - len, 0);

		if (n <= 0)
			return NULL;
		len += (size_t)n;
		buf[len] = '\0';
		if (body == NULL) {
			body = strstr(buf, "\r\n\r\n");
			if (body == NULL)
				continue;
			body[2] = '\0';
			body += 4;
			want = strtoul(head_value(buf, "Content-Length"), NULL,
				       10);
		}
		if (len - (size_t)(body - buf) >= want)
			return body;
	}
	return NULL;
}

static void answer(int fd, int status, const char *header, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %d x\r\nConnection: close\r\n%s"
			 "Content-Length: %zu\r\n\r\n%s",
			 status, header, strlen(body), body);

	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static void take_call(struct collector *c, int fd, char *buf)
{
	char *body = read_call(fd, buf);
	int status = c->status;

	if (body == NULL)
		return;
	if (strncmp(buf, "POST /v1/traces ", 16) != 0) {
		snprintf(c->other_head, sizeof(c->other_head), "%s", buf);
		c->others++;
		answer(fd, 200, "", "");
		return;
	}
	snprintf(c->head, sizeof(c->head), "%s", buf);
	if (c->forbidden != NULL && strstr(body, c->forbidden) != NULL)
		c->leaked = true;
	if (status < 300)
		take_body(c, body);
	c->calls++;
	answer(fd, status, c->header, c->answer);
}

static void *serve(void *arg)
{
	struct collector *c = arg;
	char *buf = malloc(CALL_MAX);
	int fd;

	while (buf != NULL && (fd = accept(c->listen_fd, NULL, NULL)) >= 0) {
		take_call(c, fd, buf);
		close(fd);
	}
	free(buf);
	return NULL;
}

struct collector *collector_start(void)
{
	static struct collector c;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	pthread_t thread;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(c.listen_fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(c.listen_fd, 64) != 0 ||
	    getsockname(c.listen_fd, (struct sockaddr *)&in, &len) != 0)
		world_die("no collector");
	c.port = ntohs(in.sin_port);
	c.status = 200;
	strcpy(c.answer, "{}");
	if (pthread_create(&thread, NULL, serve, &c) != 0)
		world_die("no thread for the collector");
	return &c;
}

void collector_deaf(struct collector *c)
{
	shutdown(c->listen_fd, SHUT_RDWR);
}

/* ---- what came ---- */

struct json_object *collector_span(struct collector *c, const char *name,
				   unsigned i)
{
	for (unsigned k = 0; k < c->n_spans; k++)
		if (strcmp(span_text(c->spans[k], "name"), name) == 0 &&
		    i-- == 0)
			return c->spans[k];
	return NULL;
}

const char *span_text(struct json_object *span, const char *name)
{
	struct json_object *m = NULL;

	if (span == NULL || !json_object_object_get_ex(span, name, &m))
		return "";
	return json_object_get_string(m);
}

const char *span_attr(struct json_object *span, const char *key)
{
	struct json_object *all = member(span, "attributes", json_type_array);

	for (size_t i = 0; all != NULL && i < json_object_array_length(all);
	     i++) {
		struct json_object *a = json_object_array_get_idx(all, i), *v;

		if (strcmp(span_text(a, "key"), key) != 0)
			continue;
		v = member(a, "value", json_type_object);
		return *span_text(v, "stringValue") != '\0'
			       ? span_text(v, "stringValue")
			       : span_text(v, "intValue");
	}
	return NULL;
}
