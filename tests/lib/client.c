#include "config.h" /* _GNU_SOURCE */

#include "lib/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"

void (*client_on_reply)(const char *method, const char *target,
			const struct reply *r);

uint64_t test_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void test_sleep_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

struct client *client_new(uint16_t port)
{
	struct client *c = tl_alloc(sizeof(*c));

	c->port = port;
	c->fd = -1;
	c->buf = tl_alloc(CLIENT_HEAD_MAX + CLIENT_BODY_MAX + 1);
	return c;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->len = 0;
}

void client_free(struct client **c)
{
	if (*c == NULL)
		return;
	client_close(*c);
	tl_free((*c)->buf);
	tl_freep(c);
}

void reply_deinit(struct reply *r)
{
	if (r->json != NULL)
		json_object_put(r->json);
	tl_free(r->body);
	r->json = NULL;
	r->body = NULL;
	r->body_len = 0;
	r->status = 0;
	r->head[0] = '\0';
}

static bool bind_source(int fd, const char *source)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	if (source == NULL)
		return true;
	inet_pton(AF_INET, source, &sin.sin_addr);
	return bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;
}

bool client_connect(struct client *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(c->port) };
	struct timeval tv = { .tv_sec = CLIENT_TIMEOUT_S };
	int one = 1;

	inet_pton(AF_INET, c->host != NULL ? c->host : "127.0.0.1",
		  &sin.sin_addr);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!bind_source(c->fd, c->source) ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		client_close(c);
		return false;
	}
	return true;
}

static bool send_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* Reads until at least `want` bytes are there.  False: the end came first. */
static bool fill(struct client *c, size_t want)
{
	ssize_t n;

	while (c->len < want) {
		n = recv(c->fd, c->buf + c->len,
			 CLIENT_HEAD_MAX + CLIENT_BODY_MAX - c->len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		c->len += (size_t)n;
		c->buf[c->len] = '\0';
	}
	return true;
}

static void used(struct client *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->len - n);
	c->len -= n;
	c->buf[c->len] = '\0';
}

static bool read_head(struct client *c, struct reply *r)
{
	char *end;
	size_t n;

	for (;;) {
		end = c->len > 0 ? strstr(c->buf, "\r\n\r\n") : NULL;
		if (end != NULL)
			break;
		if (c->len >= CLIENT_HEAD_MAX || !fill(c, c->len + 1))
			return false;
	}
	n = (size_t)(end - c->buf) + 4;
	if (n >= CLIENT_HEAD_MAX)
		return false;
	memcpy(r->head, c->buf, n);
	r->head[n] = '\0';
	used(c, n);
	return sscanf(r->head, "HTTP/1.%*d %d", &r->status) == 1;
}

/* A stream never ends by itself: up to its first event, which comes at once.
 * Who wants more reads the socket. */
static bool read_event(struct client *c, struct reply *r)
{
	const char *end;

	while ((end = c->len > 0 ? strstr(c->buf, "\n\n") : NULL) == NULL)
		if (!fill(c, c->len + 1))
			return false;
	r->body_len = (size_t)(end - c->buf) + 2;
	r->body = tl_strndup(c->buf, r->body_len);
	used(c, r->body_len);
	return true;
}

static bool read_body(struct client *c, const char *method, struct reply *r)
{
	const char *type;
	long len = header_num(r, "Content-Length");

	if (strcmp(method, "HEAD") == 0 || r->status == 204 || r->status == 304)
		return true;
	type = header_of(r, "Content-Type");
	if (len < 0 && type != NULL && strcmp(type, "text/event-stream") == 0)
		return read_event(c, r);
	if (len < 0) /* until the end; an answer without a length */
		len = fill(c, CLIENT_BODY_MAX) ? CLIENT_BODY_MAX : (long)c->len;
	if (len > CLIENT_BODY_MAX || !fill(c, (size_t)len))
		return false;
	r->body = tl_alloc((size_t)len + 1);
	memcpy(r->body, c->buf, (size_t)len);
	r->body_len = (size_t)len;
	used(c, (size_t)len);
	type = header_of(r, "Content-Type");
	if (type != NULL && strstr(type, "json") != NULL)
		r->json = json_tokener_parse(r->body);
	else if (type != NULL && strstr(type, "msgpack") != NULL)
		r->json = mp_unpack(r->body, r->body_len);
	return true;
}

static bool read_answer(struct client *c, const char *method, struct reply *r)
{
	const char *conn;

	if (!read_head(c, r) || !read_body(c, method, r)) {
		r->status = 0;
		client_close(c);
		return false;
	}
	r->got_mono_ns = test_mono_ns();
	conn = header_of(r, "Connection");
	if (conn != NULL && strcasecmp(conn, "close") == 0)
		client_close(c);
	return true;
}

bool client_read(struct client *c, struct reply *r)
{
	reply_deinit(r);
	return read_answer(c, "GET", r);
}

bool client_request(struct client *c, const char *method, const char *target,
		    const char *headers, const void *body, size_t body_len,
		    struct reply *r)
{
	char length[64] = "";
	char *out;
	size_t head_len;
	bool sent;

	reply_deinit(r);
	if (c->fd < 0 && !client_connect(c))
		return false;
	if (body != NULL)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
			 body_len);
	out = tl_asprintf("%s %s HTTP/1.1\r\nHost: test\r\n%s%s\r\n", method,
			  target, headers != NULL ? headers : "", length);
	head_len = strlen(out);
	if (body_len > 0) { /* one write: a kill falls before or behind it */
		out = tl_realloc(out, head_len + body_len);
		memcpy(out + head_len, body, body_len);
	}
	r->sent_mono_ns = test_mono_ns();
	sent = send_all(c->fd, out, head_len + body_len);
	tl_free(out);
	if (!sent) {
		client_close(c);
		return false;
	}
	if (!read_answer(c, method, r))
		return false;
	if (client_on_reply != NULL)
		client_on_reply(method, target, r);
	return true;
}

/* Both empty when it is none. */
static void request_line(const char *bytes, size_t len, char method[16],
			 char target[512])
{
	char line[640];
	size_t n = len < sizeof(line) ? len : sizeof(line) - 1;

	memcpy(line, bytes, n);
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (sscanf(line, "%15[A-Z] %511s HTTP/", method, target) != 2)
		method[0] = target[0] = '\0';
}

bool client_raw(struct client *c, const void *bytes, size_t len,
		struct reply *r)
{
	char method[16], target[512];
	bool ok;

	client_close(c);
	reply_deinit(r);
	if (!client_connect(c))
		return false;
	r->sent_mono_ns = test_mono_ns();
	/* The answer may come, and the connection close, before all is sent. */
	(void)send_all(c->fd, bytes, len);
	request_line(bytes, len, method, target);
	ok = read_answer(c, method, r);
	client_close(c);
	if (ok && client_on_reply != NULL)
		client_on_reply(method, target, r);
	return ok;
}

bool client_get(struct client *c, const char *target, const char *key,
		struct reply *r)
{
	char headers[512] = "";

	if (key != NULL)
		snprintf(headers, sizeof(headers),
			 "Authorization: Bearer %s\r\n", key);
	return client_request(c, "GET", target, headers, NULL, 0, r);
}

bool client_call(struct client *c, const char *target, const char *key,
		 const char *json_text, const char *headers, struct reply *r)
{
	const char *type =
		c->msgpack ? "application/msgpack" : "application/json";
	struct json_object *o = NULL;
	char *head, *packed = NULL;
	size_t len = strlen(json_text);
	bool ok;

	if (c->msgpack) {
		o = json_tokener_parse(json_text);
		packed = mp_pack(o, &len);
		json_object_put(o);
	}
	head = tl_asprintf("%s%s%sContent-Type: %s\r\nAccept: %s\r\n%s",
			   key != NULL ? "Authorization: Bearer " : "",
			   key != NULL ? key : "", key != NULL ? "\r\n" : "",
			   type, type, headers != NULL ? headers : "");
	ok = client_request(c, "POST", target, head,
			    packed != NULL ? packed : json_text, len, r);
	tl_free(head);
	tl_free(packed);
	return ok;
}

const char *header_of(const struct reply *r, const char *name)
{
	static char value[1024];
	const char *line = r->head, *end;
	size_t n = strlen(name), len;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " \t");
		end = strstr(line, "\r\n");
		len = end != NULL ? (size_t)(end - line) : strlen(line);
		if (len >= sizeof(value))
			len = sizeof(value) - 1;
		memcpy(value, line, len);
		value[len] = '\0';
		return value;
	}
	return NULL;
}

long header_num(const struct reply *r, const char *name)
{
	const char *v = header_of(r, name);
	char *end;
	long n;

	if (v == NULL || *v == '\0')
		return -1;
	n = strtol(v, &end, 10);
	return *end == '\0' ? n : -1;
}

struct json_object *json_at(struct json_object *o, const char *path)
{
	char name[64];
	size_t n;

	while (o != NULL && *path != '\0') {
		n = strcspn(path, ".");
		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + (path[n] == '.');
		if (json_object_is_type(o, json_type_array))
			o = json_object_array_get_idx(o,
						      strtoul(name, NULL, 10));
		else if (!json_object_is_type(o, json_type_object) ||
			 !json_object_object_get_ex(o, name, &o))
			return NULL;
	}
	return o;
}

const char *json_str(const struct reply *r, const char *path)
{
	struct json_object *o = json_at(r->json, path);

	return json_object_is_type(o, json_type_string)
		       ? json_object_get_string(o)
		       : NULL;
}

int64_t json_num(const struct reply *r, const char *path)
{
	struct json_object *o = json_at(r->json, path);

	return json_object_is_type(o, json_type_int) ? json_object_get_int64(o)
						     : INT64_MIN;
}

bool json_true(const struct reply *r, const char *path)
{
	struct json_object *o = json_at(r->json, path);

	return json_object_is_type(o, json_type_boolean) &&
	       json_object_get_boolean(o);
}
