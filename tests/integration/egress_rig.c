/*
 * egress_rig.c - see egress_rig.h.
 */
#include "config.h" /* _GNU_SOURCE: strcasestr */

#include "egress_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"

struct rig rig;

static struct rig_certs certs;
static struct evconnlistener *listeners[RIG_PORTS];
static struct evdns_server_port *dns;
static struct event *nudge;
static int full_fd, fillers[8];
static struct tl_list peers;

struct peer {
	struct tl_list link;
	struct bufferevent *bev;
	struct event *timer; /* of /delay */
	enum rig_port at;
	bool busy; /* counted in rig.active */
};

/* ---- HTTP ---- */

static void peer_free(struct peer *p)
{
	if (p->busy)
		rig.active--;
	tl_list_unlink(&p->link);
	if (p->timer != NULL)
		event_free(p->timer);
	bufferevent_free(p->bev);
	free(p);
}

static void say(struct peer *p, const char *text)
{
	bufferevent_write(p->bev, text, strlen(text));
}

static void answered(struct peer *p)
{
	if (p->busy)
		rig.active--;
	p->busy = false;
}

static void say_ok(struct peer *p)
{
	say(p, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n"
	       "X-Request-Id:  r1 \r\nX-Empty:\r\n\r\nhello");
	answered(p);
}

static void on_delay(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	say_ok(arg);
}

static void say_delayed(struct peer *p, unsigned ms)
{
	struct timeval tv = { ms / 1000, (long)(ms % 1000) * 1000 };

	if (p->timer == NULL)
		p->timer = evtimer_new(rig.base, on_delay, p);
	evtimer_add(p->timer, &tv);
}

static void say_many(struct peer *p, const char *front, const char *piece,
		     unsigned n, const char *end)
{
	say(p, front);
	for (unsigned i = 0; i < n; i++)
		say(p, piece);
	say(p, end);
	answered(p);
}

/* Small texts fit into the socket's buffer. */
static void hang_up_after(struct peer *p, const char *text)
{
	ck_assert_int_eq(send(bufferevent_getfd(p->bev), text, strlen(text), 0),
			 (ssize_t)strlen(text));
	peer_free(p);
}

/* Nobody is answered before n requests are there. */
static void say_together(unsigned n)
{
	struct tl_list *pos, *tmp;

	if (rig.active < n)
		return;
	TL_LIST_EACH(pos, tmp, &peers)
	{
		struct peer *p = TL_CONTAINER(pos, struct peer, link);

		if (p->busy)
			say_ok(p);
	}
}

static const struct {
	const char *path, *text;
} fixed[] = {
	{ "/chunked ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" },
	{ "/trailer ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		       "Trailer: X-Late\r\n\r\n"
		       "2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n" },
	{ "/early ", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		     "HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n" },
	{ "/gzip ", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		    "Content-Length: 4\r\n\r\n\x1f\x8b\x08\x01" },
	{ "/teapot ", "HTTP/1.1 418 I'm a teapot\r\nRetry-After: 7\r\n"
		      "Content-Length: 0\r\n\r\n" },
	{ "/empty ", "HTTP/1.1 204 No Content\r\n\r\n" },
	{ "/part ", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart" },
	{ "/length ", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" },
	{ "/head ", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" },
	{ "/silent ", "" },
};
static const struct {
	const char *path, *text;
} cut[] = {
	{ "/close ", "" },
	{ "/then-close ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" },
	{ "/broken ", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart" },
	{ "/garbage ", "220 mail.example ESMTP\r\n" },
	{ "/chunks ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "zz\r\n" },
	{ "/until-close ", "HTTP/1.0 200 OK\r\n\r\nuntil the end" },
};

static void redirect(struct peer *p, const char *query)
{
	char text[1024];
	int status = atoi(query);

	snprintf(text, sizeof(text),
		 "HTTP/1.1 %d Elsewhere\r\nLocation: %.*s\r\n"
		 "Content-Length: 4\r\n\r\ngone",
		 status, (int)strcspn(query + 4, " "), query + 4);
	say(p, text);
	answered(p);
}

/* path: with a blank behind */
static void answer(struct peer *p, const char *path)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (strncmp(path, fixed[i].path, strlen(fixed[i].path)) != 0)
			continue;
		say(p, fixed[i].text);
		if (*fixed[i].text != '\0')
			answered(p);
		return;
	}
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		if (strncmp(path, cut[i].path, strlen(cut[i].path)) == 0) {
			hang_up_after(p, cut[i].text);
			return;
		}
	}
	if (strncmp(path, "/redirect?", 10) == 0)
		redirect(p, path + 10);
	else if (strncmp(path, "/delay?", 7) == 0)
		say_delayed(p, (unsigned)atoi(path + 7));
	else if (strncmp(path, "/together?", 10) == 0)
		say_together((unsigned)atoi(path + 10));
	else if (strncmp(path, "/heads?", 7) == 0)
		say_many(p, "HTTP/1.1 200 OK\r\n", "A: b\r\n",
			 (unsigned)atoi(path + 7), "Content-Length: 0\r\n\r\n");
	else if (strncmp(path, "/chunk-kib?", 11) == 0)
		say_many(p,
			 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			 "\r\n",
			 "10\r\n0123456789abcdef\r\n",
			 64 * (unsigned)atoi(path + 11), "0\r\n\r\n");
	else
		say_ok(p);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct peer *p = arg;
	const char *length;
	char *text, *end;
	size_t whole, n = evbuffer_get_length(in);

	rig.bytes[p->at] += (unsigned)n;
	if (p->at == RIG_MUTE) {
		evbuffer_drain(in, n);
		return;
	}
	text = tl_strndup((const char *)evbuffer_pullup(in, -1), n);
	if (text[0] == 0x16) { /* TLS at the wrong door */
		tl_free(text);
		evbuffer_drain(in, n);
		hang_up_after(p, "HTTP/1.1 400 Bad Request\r\n\r\n");
		return;
	}
	end = strstr(text, "\r\n\r\n");
	length = strcasestr(text, "\r\ncontent-length:");
	if (end == NULL) {
		tl_free(text);
		return;
	}
	whole = (size_t)(end + 4 - text);
	if (length != NULL && length < end)
		whole += (size_t)atol(length + 17);
	if (n >= whole) {
		evbuffer_drain(in, whole);
		snprintf(rig.last_request, sizeof(rig.last_request), "%.*s",
			 (int)whole, text);
		rig.requests++;
		p->busy = true;
		if (++rig.active > rig.active_peak)
			rig.active_peak = rig.active;
		answer(p, strchr(text, ' ') + 1);
	}
	tl_free(text);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		peer_free(arg);
}

static SSL_CTX *ctx_of(enum rig_port at)
{
	switch (at) {
	case RIG_TLS:
		return certs.good;
	case RIG_TLS_OTHER:
		return certs.other;
	case RIG_TLS_EXPIRED:
		return certs.expired;
	case RIG_TLS_SELF:
		return certs.self;
	default:
		return NULL;
	}
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
		      struct sockaddr *sa, int len, void *arg)
{
	struct peer *p = calloc(1, sizeof(*p));
	SSL_CTX *ctx;

	(void)l;
	(void)sa;
	(void)len;
	p->at = (enum rig_port)(intptr_t)arg;
	rig.accepted[p->at]++;
	ctx = ctx_of(p->at);
	p->bev = ctx == NULL ? bufferevent_socket_new(rig.base, fd,
						      BEV_OPT_CLOSE_ON_FREE)
			     : bufferevent_openssl_socket_new(
				       rig.base, fd, SSL_new(ctx),
				       BUFFEREVENT_SSL_ACCEPTING,
				       BEV_OPT_CLOSE_ON_FREE);
	tl_list_append(&peers, &p->link);
	bufferevent_setcb(p->bev, on_read, NULL, on_end, p);
	bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

/* ---- names ---- */

static const struct {
	const char *name, *first, *second;
} names[] = {
	{ "good.test", "127.0.0.2", NULL },
	{ "twin.test", "127.0.0.2", NULL },
	{ "mixed.test", "127.0.0.2", "10.0.0.1" },
	{ "metadata.test", "169.254.169.254", NULL },
};

static void on_question(struct evdns_server_request *rq, void *arg)
{
	static const uint8_t mapped[16] = { [10] = 255, 255, 127, 0, 0, 1 };
	const struct evdns_server_question *q = rq->questions[0];
	int code = 3; /* no such name */
	uint32_t a;

	(void)arg;
	rig.questions++;
	if (strcmp(q->name, "mute.test") == 0) {
		evdns_server_request_drop(rq);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(q->name, names[i].name) != 0)
			continue;
		code = 0;
		if (q->type != EVDNS_TYPE_A)
			continue;
		a = inet_addr(names[i].first);
		evdns_server_request_add_a_reply(rq, q->name, 1, &a, 0);
		if (names[i].second == NULL)
			continue;
		a = inet_addr(names[i].second);
		evdns_server_request_add_a_reply(rq, q->name, 1, &a, 0);
	}
	if (strcmp(q->name, "rebind.test") == 0) {
		code = 0;
		if (q->type == EVDNS_TYPE_A) {
			a = inet_addr(rig.rebind_questions++ == 0
					      ? "127.0.0.2"
					      : "127.0.0.1");
			evdns_server_request_add_a_reply(rq, q->name, 1, &a, 0);
		}
	}
	if (strcmp(q->name, "mapped.test") == 0) {
		code = 0;
		if (q->type == EVDNS_TYPE_AAAA)
			evdns_server_request_add_aaaa_reply(rq, q->name, 1,
							    mapped, 0);
	}
	if (strcmp(q->name, "broken.test") == 0)
		code = 2;
	evdns_server_request_respond(rq, code);
}

static int bound(int type, const char *addr, uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	in.sin_addr.s_addr = inet_addr(addr);
	in.sin_port = htons(*port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&in, &len);
	*port = ntohs(in.sin_port);
	return fd;
}

/* ---- up and down ---- */

static void listen_at(enum rig_port at, int fd)
{
	listeners[at] =
		evconnlistener_new(rig.base, on_accept, (void *)(intptr_t)at,
				   LEV_OPT_CLOSE_ON_FREE, 512, fd);
	ck_assert_ptr_nonnull(listeners[at]);
}

static void open_ports(void)
{
	int fd = -1, twin = -1;

	/* The same port on both; somebody else may have one of them. */
	while (twin < 0) {
		if (fd >= 0)
			close(fd);
		rig.port[RIG_HTTP] = 0;
		fd = bound(SOCK_STREAM, "127.0.0.2", &rig.port[RIG_HTTP]);
		ck_assert_int_ge(fd, 0);
		rig.port[RIG_FORBIDDEN] = rig.port[RIG_HTTP];
		twin = bound(SOCK_STREAM, "127.0.0.1",
			     &rig.port[RIG_FORBIDDEN]);
	}
	listen_at(RIG_HTTP, fd);
	listen_at(RIG_FORBIDDEN, twin);
	for (enum rig_port at = RIG_MUTE; at < RIG_PORTS; at++) {
		fd = bound(SOCK_STREAM, "127.0.0.2", &rig.port[at]);
		ck_assert_int_ge(fd, 0);
		if (at == RIG_FULL)
			full_fd = fd;
		else
			listen_at(at, fd);
	}
	/* Once the queue is full, the kernel lets more SYNs go unanswered. */
	ck_assert_int_eq(listen(full_fd, 0), 0);
	for (int i = 0; i < 8; i++) {
		struct sockaddr_in in = { .sin_family = AF_INET };

		in.sin_addr.s_addr = inet_addr("127.0.0.2");
		in.sin_port = htons(rig.port[RIG_FULL]);
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&in, sizeof(in)) < 0)
			continue; /* EINPROGRESS */
	}
}

static void load_conf(uint16_t dns_port, const char *const *more)
{
	static char own[4][160];
	const char *options[16] = { own[0],
				    own[1],
				    own[2],
				    own[3],
				    "egress.private_allow=127.0.0.2",
				    "egress.allow_http=yes" };
	struct conf_source src = { .overrides = options, .n_overrides = 6 };
	struct tl_err err;

	snprintf(own[0], sizeof(own[0]), "egress.nameservers=127.0.0.1:%u",
		 dns_port);
	snprintf(own[1], sizeof(own[1]), "egress.ca_file=%s", certs.ca_path);
	snprintf(own[2], sizeof(own[2]),
		 "egress.allowed_ports=%u, %u, %u, %u, %u, %u, %u",
		 rig.port[RIG_HTTP], rig.port[RIG_MUTE], rig.port[RIG_FULL],
		 rig.port[RIG_TLS], rig.port[RIG_TLS_OTHER],
		 rig.port[RIG_TLS_EXPIRED], rig.port[RIG_TLS_SELF]);
	snprintf(own[3], sizeof(own[3]), "egress.max_calls=256");
	for (; more != NULL && *more != NULL; more++)
		options[src.n_overrides++] = *more;
	ck_assert_msg(conf_load(&src, &rig.conf, &err) == TL_OK, "%s",
		      err.text);
}

/* So that rig_turn comes back. */
static void on_nudge(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
}

void rig_up(const char *const *options)
{
	struct timeval tv = { 0, 20000 };
	uint16_t dns_port = 0;
	struct tl_err err;
	int fd;

	memset(&rig, 0, sizeof(rig));
	signal(SIGPIPE, SIG_IGN);
	tl_list_init(&peers);
	snprintf(rig.log_path, sizeof(rig.log_path),
		 "/tmp/tallyd-egress-log-XXXXXX");
	close(mkstemp(rig.log_path));
	ck_assert_int_eq(log_open(rig.log_path, &err), TL_OK);
	rig_certs_make(&certs);
	rig.base = event_base_new();
	nudge = event_new(rig.base, -1, EV_PERSIST, on_nudge, NULL);
	event_add(nudge, &tv);
	open_ports();
	fd = bound(SOCK_DGRAM, "127.0.0.1", &dns_port);
	dns = evdns_add_server_port_with_base(rig.base, fd, 0, on_question,
					      NULL);
	load_conf(dns_port, options);
	ck_assert_int_eq(co_init(rig.base, 4096, &err), TL_OK);
	ck_assert_msg(net_init(rig.base, rig.conf, &err) == TL_OK, "%s",
		      err.text);
}

void rig_down(void)
{
	struct tl_list *pos, *tmp;

	ck_assert_uint_eq(co_live(), 0);
	ck_assert_uint_eq(net_load().calls, 0);
	ck_assert_uint_eq(net_load().waiting, 0);
	/* of 64 KiB; 0 where stacks are not painted */
	ck_assert_uint_lt(co_stack_high_water(), 32768);
	net_deinit();
	co_deinit();
	TL_LIST_EACH(pos, tmp, &peers)
	peer_free(TL_CONTAINER(pos, struct peer, link));
	for (int i = 0; i < RIG_PORTS; i++)
		if (listeners[i] != NULL)
			evconnlistener_free(listeners[i]);
	for (int i = 0; i < 8; i++)
		close(fillers[i]);
	close(full_fd);
	event_free(nudge);
	evdns_close_server_port(dns);
	event_base_free(rig.base);
	conf_free(&rig.conf);
	rig_certs_free(&certs);
	log_close();
	unlink(rig.log_path);
}

unsigned rig_log_lines(const char *text)
{
	struct tl_str rest, line;
	struct tl_err err;
	unsigned n = 0;
	char *data;
	size_t len;

	ck_assert_int_eq(tl_file_read(rig.log_path, 1 << 20, &data, &len, &err),
			 TL_OK);
	rest = (struct tl_str){ data, len };
	while (tl_str_split(&rest, '\n', &line))
		if (memmem(line.ptr, line.len, text, strlen(text)) != NULL)
			n++;
	tl_free(data);
	return n;
}

/* ---- calls ---- */

void rig_url(struct rig_call *c, const char *url_format, enum rig_port port)
{
	const char *p = strstr(url_format, "%P");

	if (p == NULL)
		snprintf(c->url, sizeof(c->url), "%s", url_format);
	else
		snprintf(c->url, sizeof(c->url), "%.*s%u%s",
			 (int)(p - url_format), url_format, rig.port[port],
			 p + 2);
	c->rq.url = c->url;
}

static void call_job(void *arg)
{
	struct rig_call *c = arg;

	c->co = co_self();
	c->st = fetch(&c->rq, &c->reply, &c->err);
	c->done = true;
}

void rig_start(struct rig_call *c, uint64_t deadline_mono_ms)
{
	struct tl_err err;

	if (c->rq.method == NULL)
		c->rq.method = "GET";
	ck_assert_int_eq(co_spawn(call_job, c, deadline_mono_ms, &err), TL_OK);
}

void rig_turn(void)
{
	event_base_loop(rig.base, EVLOOP_ONCE);
}

void rig_wait(struct rig_call *c)
{
	while (!c->done)
		rig_turn();
}

void rig_get(struct rig_call *c, const char *url_format, enum rig_port port)
{
	rig_url(c, url_format, port);
	rig_start(c, CO_NO_DEADLINE);
	rig_wait(c);
}

void rig_free(struct rig_call *c)
{
	fetch_reply_deinit(&c->reply);
	memset(c, 0, sizeof(*c));
}
