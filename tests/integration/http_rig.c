/*
 * http_rig.c - see http_rig.h.
 */
#include "http_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "http/http.h"
#include "loop/co.h"
#include "shm/entries.h"
#include "shm/policy.h"

#define ANSWER_WAIT_MS 10000

static void echo(struct req *req)
{
	req_reply_buf(req, 200, req->body.len > 0 ? req->body : TL_STR("ok"));
}

static void large(struct req *req)
{
	char *text = tl_arena_printf(&req->arena, "%zu", req->body.len);

	req_reply_buf(req, 200, tl_str_c(text));
}

static void key_length(struct req *req)
{
	struct tl_str key = { NULL, 0 };
	enum tl_status st = req_credential(req, &key);

	req_reply_buf(req, 200,
		      tl_str_c(tl_arena_printf(&req->arena, "%d %zu", (int)st,
					       key.len)));
}

static void item(struct req *req)
{
	req_header_add(req, "X-Odd", "%s", "one\r\nX-Two: 2");
	req_reply_buf(req, 200, req_path_param(req, "id"));
}

static void slow(struct req *req)
{
	struct tl_err err;

	if (co_sleep_ms(100, &err) != TL_OK)
		req_fail(req, 503, "service_unavailable", "%s", err.text);
	else
		req_reply_buf(req, 200, TL_STR("slow"));
}

static void query(struct req *req)
{
	struct tl_str rest = req->query, name, value;
	struct tl_buf b;

	tl_buf_init(&b);
	while (req_query_next(req, &rest, &name, &value)) {
		tl_buf_add(&b, name.ptr, name.len);
		tl_buf_addc(&b, '=');
		tl_buf_add(&b, value.ptr, value.len);
		tl_buf_addc(&b, ';');
	}
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}

static const struct http_files pages = { .dir = "pages",
					 .policy = HTTP_POLICY,
					 .absent = "none here" };
static const struct http_files nothing = { .dir = "none",
					   .policy = HTTP_POLICY,
					   .absent = "none here" };
static const struct http_files hashed = { .dir = "pages/hashed",
					  .policy = HTTP_POLICY,
					  .absent = "none here",
					  .hashed = true };

static void page(struct req *req)
{
	req_reply_file(req, &pages, req_path_param(req, "file"));
}

static void none(struct req *req)
{
	req_reply_file(req, &nothing, req_path_param(req, "file"));
}

static void asset(struct req *req)
{
	req_reply_file(req, &hashed, req_path_param(req, "file"));
}

static const struct route routes[] = {
	{ .id = "asset",
	  .methods = HTTP_GET,
	  .path = "/hashed/{file}",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = asset },
	{ .id = "page",
	  .methods = HTTP_GET,
	  .path = "/pages/{file}",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = page },
	{ .id = "none",
	  .methods = HTTP_GET,
	  .path = "/none/{file}",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = none },
	{ .id = "description",
	  .methods = HTTP_GET,
	  .path = "/openapi.json",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .content_type = "application/json",
	  .handler = req_reply_description },
	{ .id = "echo",
	  .methods = HTTP_GET | HTTP_POST,
	  .path = "/echo",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = echo },
	{ .id = "large",
	  .methods = HTTP_POST,
	  .path = "/large",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .body_max_bytes = 262144,
	  .handler = large },
	{ .id = "key",
	  .methods = HTTP_GET,
	  .path = "/key",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = key_length },
	{ .id = "item",
	  .methods = HTTP_GET,
	  .path = "/item/{id}",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = item },
	{ .id = "slow",
	  .methods = HTTP_GET,
	  .path = "/slow",
	  .auth = AUTH_NONE,
	  .handler = slow },
	{ .id = "query",
	  .methods = HTTP_GET,
	  .path = "/query",
	  .auth = AUTH_NONE,
	  .flags = ROUTE_INLINE,
	  .handler = query },
	{ .id = "mine",
	  .methods = HTTP_GET,
	  .path = "/api/mine",
	  .auth = AUTH_KEY,
	  .flags = ROUTE_INLINE | ROUTE_METERED,
	  .handler = echo },
	{ .path = NULL },
};

/* ---- the child ---- */

static struct event_base *base;

static void drained(void *arg)
{
	(void)arg;
	event_base_loopexit(base, NULL);
}

static void on_term(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	http_drain(arg, true, drained, NULL);
}

static struct shm *segment(const struct conf *conf, char instance[32])
{
	struct shm_sizes z = { .max_keys = 64,
			       .max_users = 64,
			       .max_addresses = 64,
			       .max_windows = 64,
			       .decision_ring = 64,
			       .idempotency = 64,
			       .window_ms = conf->limits.window_ms };
	enum shm_found found;
	struct tl_err err;
	int64_t step_us;
	struct shm *s;

	(void)snprintf(instance, 32, "test-http-%d", (int)getpid());
	if (shm_open_master(instance, &z, &s, &found, &err) != TL_OK) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	shm_slot_take(s, 1, "worker", 0, 1);
	(void)shm_clock_adjust(s, true, &step_us);
	return s;
}

/* RIG_KEY: five requests a minute, three credits a day. */
static void take_in_key(struct shm *s)
{
	struct tally_plan_row plan = { .plan_id.b[0] = 1,
				       .name = TL_STR("Pro"),
				       .daily_credit_limit = 3 };
	struct tally_key_row row = { .key_id.b[0] = 2,
				     .rate_limit = 5,
				     .daily_credit_limit = -1,
				     .user.user_id.b[0] = 3,
				     .user.plan_id = plan.plan_id };
	bool missing;
	struct tl_err err;

	row.user.day = (int32_t)shm_day(s, tl_mono_ns());
	tally_key_digest(TL_STR(RIG_KEY), &row.digest);
	if (shm_policy_set(s, NULL, 0, &plan, 1, &err) != TL_OK ||
	    shm_key_take_in(s, &row, shm_change_gen(s), &missing, &err) !=
		    TL_OK) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
}

static void serve(int listen_fd, rig_tweak_fn tweak, const char *log_path)
{
	const struct route *const tables[] = { routes, NULL };
	struct event_config *ec = event_config_new();
	struct conf *conf;
	struct http *http;
	struct event *term;
	struct tl_err err;
	char instance[32];
	struct shm *shm;

	event_config_set_flag(ec, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(ec);
	event_config_free(ec);
	if (log_open(log_path, &err) != TL_OK ||
	    co_init(base, 64, &err) != TL_OK ||
	    conf_load(&(struct conf_source){ .file = NULL }, &conf, &err) !=
		    TL_OK)
		_exit(1);
	if (tweak != NULL)
		tweak(conf);
	shm = segment(conf, instance);
	take_in_key(shm);
	if (http_new(&(struct http_opts){ .base = base,
					  .conf = conf,
					  .shm = shm,
					  .listen_fds = &listen_fd,
					  .n_listen_fds = 1,
					  .tables = tables,
					  .commit_eventfd = -1,
					  .flusher_eventfd = -1 },
		     &http, &err) != TL_OK) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	term = evsignal_new(base, SIGTERM, on_term, http);
	event_add(term, NULL);
	event_base_dispatch(base);
	event_free(term);
	if (http_requests_open(http) != 0 || http_connections_open(http) != 0)
		_exit(2);
	http_free(&http);
	co_deinit();
	shm_close(&shm);
	shm_remove(instance);
	conf_free(&conf);
	event_base_free(base);
	libevent_global_shutdown();
	log_close();
	close(listen_fd);
	exit(0); /* not _exit: the leak check runs at exit */
}

void rig_start(struct rig *r, rig_tweak_fn tweak, unsigned max_files)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(fd, 256), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	r->port = ntohs(a.sin_port);
	(void)snprintf(r->log_path, sizeof(r->log_path),
		       "/tmp/tally-http-rig.%d.log", r->port);
	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0) {
		struct rlimit lim = { max_files, max_files };

		if (max_files > 0)
			(void)setrlimit(RLIMIT_NOFILE, &lim);
		serve(fd, tweak, r->log_path);
	}
	close(fd);
}

void rig_stop(struct rig *r)
{
	int status = 0;

	ck_assert_int_eq(kill(r->pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the server ended with status 0x%x", (unsigned)status);
	unlink(r->log_path);
}

/* ---- the client ---- */

int rig_connect(const struct rig *r)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)r->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0,
		      "connect: %s", strerror(errno));
	return fd;
}

void rig_send(int fd, const void *p, size_t len)
{
	const char *at = p;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		ck_assert_msg(n > 0, "send: %s", strerror(errno));
		at += n;
		len -= (size_t)n;
	}
}

/* 0 at the end; a reset counts as one. */
static size_t read_some(int fd, char *p, size_t room)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	ck_assert_msg(poll(&pfd, 1, ANSWER_WAIT_MS) == 1,
		      "no answer and no end");
	n = read(fd, p, room);
	return n > 0 ? (size_t)n : 0;
}

char *rig_read_one(int fd, int head)
{
	size_t len = 0, want = 0, cap = 1 << 20;
	char *text = malloc(cap);

	while (want == 0 || len < want) {
		size_t n =
			read_some(fd, text + len, want == 0 ? 1 : want - len);
		const char *end, *length;

		ck_assert_msg(n > 0, "closed within an answer");
		len += n;
		text[len] = '\0';
		end = want == 0 ? strstr(text, "\r\n\r\n") : NULL;
		if (end == NULL)
			continue;
		want = len;
		length = strstr(text, "Content-Length: ");
		if (!head && length != NULL)
			want += strtoul(length + 16, NULL, 10);
		ck_assert_uint_lt(want, cap);
	}
	return text;
}

char *rig_read_all(int fd)
{
	size_t len = 0, cap = 1 << 20, n;
	char *text = malloc(cap);

	while (len + 1 < cap &&
	       (n = read_some(fd, text + len, cap - len - 1)) > 0)
		len += n;
	text[len] = '\0';
	return text;
}

char *rig_closed(const struct rig *r, const char *bytes, size_t len)
{
	int fd = rig_connect(r);
	char *text;

	rig_send(fd, bytes, len);
	text = rig_read_all(fd);
	close(fd);
	return text;
}

unsigned rig_count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}
