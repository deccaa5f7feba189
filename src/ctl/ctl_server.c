/*
 * ctl_server.c - the master's end of the control socket.
 *
 * A connection has one call in hand at a time: while it waits for its answer
 * nothing is read from that client, so a client cannot queue work here.
 * All is bounded: clients, frame size, and silence between frames.
 */
#include "config.h" /* _GNU_SOURCE: struct ucred */

#include "ctl/ctl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "ctl/ctl_frame.h"
#include "ctl/ctl_socket.h"

#define CTL_NO_GROUP   ((gid_t)-1)
#define PEER_GROUPS_MAX 256 /* the members of more are not looked at */

struct ctl_conn {
	struct tl_list node; /* in ctl_server.conns */
	struct ctl_server *server;
	struct bufferevent *be;
	struct ctl_call *call; /* in hand; NULL between calls */
	bool ends;             /* closed once all is written */
	bool half_closed;      /* will send no more; still wants answers */
	bool waits_for_end;    /* a stop was answered: stays to the end */
};

struct ctl_call {
	struct tl_list node;   /* in ctl_server.calls */
	struct ctl_conn *conn; /* NULL: the client left */
	struct tl_arena arena;
	const struct ctl_command *cmd;
	const struct doc *args;
};

struct ctl_server {
	struct event_base *base;
	char *state_dir;
	gid_t group; /* may connect, too; CTL_NO_GROUP: none */
	struct ctl_callbacks cb;
	struct evconnlistener *listener;
	struct event *accept_again; /* after accept failed for lack of fds */
	struct tl_list conns, calls;
	uint32_t n_conns;
};

static const struct timeval idle_time = { CTL_IDLE_MS / 1000,
					  CTL_IDLE_MS % 1000 * 1000 };

static void conn_free(struct ctl_conn *c)
{
	tl_list_unlink(&c->node);
	c->server->n_conns--;
	if (c->call != NULL)
		c->call->conn = NULL;
	bufferevent_free(c->be);
	tl_free(c);
}

static void call_free(struct ctl_call *call)
{
	tl_list_unlink(&call->node);
	tl_arena_deinit(&call->arena);
	tl_free(call);
}

static void send_refusal(struct ctl_conn *c, const struct tl_err *err)
{
	struct tl_buf b;

	tl_buf_init(&b);
	ctl_frame_refusal(&b, err);
	(void)bufferevent_write(c->be, b.ptr, b.len);
	tl_buf_deinit(&b);
}

/* The stream cannot be trusted from here on: say why, then close. */
static void conn_end(struct ctl_conn *c, const struct tl_err *err)
{
	send_refusal(c, err);
	c->ends = true;
	(void)bufferevent_disable(c->be, EV_READ);
}

/* ---- calls ---- */

const struct doc *ctl_call_args(const struct ctl_call *call)
{
	return call->args;
}

struct tl_arena *ctl_call_arena(struct ctl_call *call)
{
	return &call->arena;
}

/* Sends, then lets the client speak again.  Frees the call. */
static void call_done(struct ctl_call *call, const struct tl_buf *frame,
		      bool last)
{
	struct ctl_conn *c = call->conn;

	call_free(call);
	if (c == NULL)
		return;
	c->call = NULL;
	c->waits_for_end = last;
	(void)bufferevent_write(c->be, frame->ptr, frame->len);
	if (!last) {
		if (!c->half_closed)
			(void)bufferevent_enable(c->be, EV_READ);
		/* A second frame may lie in the buffer already. */
		bufferevent_trigger(c->be, EV_READ, BEV_OPT_DEFER_CALLBACKS);
	}
}

void ctl_answer(struct ctl_call *call, const struct doc *result)
{
	bool last = strcmp(call->cmd->name, "stop") == 0;
	struct tl_buf b;

	tl_buf_init(&b);
	ctl_frame_result(&b, result);
	call_done(call, &b, last);
	tl_buf_deinit(&b);
}

void ctl_refuse(struct ctl_call *call, const struct tl_err *err)
{
	struct tl_buf b;

	tl_buf_init(&b);
	ctl_frame_refusal(&b, err);
	call_done(call, &b, false);
	tl_buf_deinit(&b);
}

static ctl_fn callback_of(const struct ctl_server *s,
			  const struct ctl_command *cmd)
{
	const struct {
		const char *name;
		ctl_fn fn;
	} served[] = {
		{ "status", s->cb.status },
		{ "database", s->cb.database },
		{ "reload", s->cb.reload },
		{ "stop", s->cb.stop },
		{ "upgrade", s->cb.upgrade },
		{ "log level", s->cb.log_level },
		{ "clock accept", s->cb.clock_accept },
	};

	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		if (strcmp(cmd->name, served[i].name) == 0)
			return served[i].fn;
	}
	tl_assert(!"a command is served that has no callback");
	return NULL;
}

static enum tl_status call_parse(struct ctl_call *call, struct tl_str body,
				 struct tl_err *err)
{
	struct tl_str name;
	enum tl_status st;

	st = ctl_frame_parse_request(&call->arena, body, &name, &call->args,
				     err);
	if (st != TL_OK)
		return st;
	call->cmd = ctl_command_find(name);
	if (call->cmd == NULL || !call->cmd->served)
		return tl_err_set(err, TL_INVALID,
				  "the daemon has no command '%.40s'",
				  name.ptr);
	return ctl_args_check(call->cmd, call->args, err);
}

static void take_frame(struct ctl_conn *c, struct tl_str body)
{
	struct ctl_server *s = c->server;
	struct ctl_call *call = tl_alloc(sizeof(*call));
	struct tl_err err;

	tl_arena_init(&call->arena);
	tl_list_append(&s->calls, &call->node);
	if (call_parse(call, body, &err) != TL_OK) {
		call_free(call);
		send_refusal(c, &err);
		return;
	}
	call->conn = c;
	c->call = call;
	(void)bufferevent_disable(c->be, EV_READ);
	callback_of(s, call->cmd)(s->cb.arg, call);
}

static void take_frames(struct ctl_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->be);
	uint8_t head[CTL_FRAME_HEAD];
	struct tl_err err;
	uint32_t len;

	while (c->call == NULL && !c->ends && !c->waits_for_end &&
	       evbuffer_copyout(in, head, sizeof(head)) ==
		       (ssize_t)sizeof(head)) {
		struct tl_str body = { "", 0 };

		if (ctl_frame_length(head, &len, &err) != TL_OK) {
			conn_end(c, &err);
			return;
		}
		if (evbuffer_get_length(in) < sizeof(head) + len)
			return;
		(void)evbuffer_drain(in, sizeof(head));
		if (len > 0)
			body = (struct tl_str){
				(const char *)evbuffer_pullup(in, len), len
			};
		take_frame(c, body); /* does not free c */
		(void)evbuffer_drain(in, len);
	}
}

/* Goes on with what has come; the last step of each callback. */
static void conn_settle(struct ctl_conn *c)
{
	bool all_written;

	take_frames(c);
	all_written = evbuffer_get_length(bufferevent_get_output(c->be)) == 0;
	if (all_written && (c->ends || (c->half_closed && c->call == NULL)))
		conn_free(c);
}

static void on_read(struct bufferevent *be, void *arg)
{
	(void)be;
	conn_settle(arg);
}

static void on_written(struct bufferevent *be, void *arg)
{
	(void)be;
	conn_settle(arg);
}

static void on_event(struct bufferevent *be, short what, void *arg)
{
	struct ctl_conn *c = arg;

	if (what == (BEV_EVENT_EOF | BEV_EVENT_READING)) {
		c->half_closed = true;
		(void)bufferevent_disable(be, EV_READ);
		conn_settle(c);
	} else {
		conn_free(c); /* idle, broken */
	}
}

/* ---- accepting ---- */

/* For peers that get no connection: one frame if it fits, then the end. */
static void turn_away(int fd, enum tl_status why, const char *words)
{
	struct tl_err err;
	struct tl_buf b;

	tl_buf_init(&b);
	(void)tl_err_set(&err, why, "%s", words);
	ctl_frame_refusal(&b, &err);
	(void)send(fd, b.ptr, b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	tl_buf_deinit(&b);
	close(fd);
}

static bool peer_in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (group == CTL_NO_GROUP)
		return false;
	if (peer->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool peer_allowed(const struct ctl_server *s, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid() ||
	       peer_in_group(fd, &peer, s->group);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
		      struct sockaddr *sa, int sa_len, void *arg)
{
	struct ctl_server *s = arg;
	struct ctl_conn *c;

	(void)l, (void)sa, (void)sa_len;
	if (!peer_allowed(s, fd)) {
		log_warn("control socket: peer of another user refused");
		turn_away(fd, TL_DENIED,
			  "only root, the daemon's user and server.group, "
			  "if that is set, may do that");
		return;
	}
	if (s->n_conns >= CTL_CLIENTS_MAX) {
		turn_away(fd, TL_BUSY, "too many control clients; try again");
		return;
	}
	c = tl_alloc(sizeof(*c));
	c->server = s;
	c->be = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	tl_assert(c->be != NULL);
	tl_list_append(&s->conns, &c->node);
	s->n_conns++;
	bufferevent_setcb(c->be, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->be, EV_READ, 0,
				 CTL_FRAME_MAX + CTL_FRAME_HEAD);
	(void)bufferevent_set_timeouts(c->be, &idle_time, &idle_time);
	(void)bufferevent_enable(c->be, EV_READ | EV_WRITE);
}

/* Out of descriptors: the queue waits, or the loop would spin on it. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval pause = { 1, 0 };
	struct ctl_server *s = arg;
	struct tl_err err;

	(void)tl_err_sys(&err, "accept on the control socket");
	log_warn("%s; again in 1000 ms", err.text);
	(void)evconnlistener_disable(l);
	(void)event_add(s->accept_again, &pause);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_server *s = arg;

	(void)fd, (void)what;
	(void)evconnlistener_enable(s->listener);
}

enum tl_status ctl_server_new(struct event_base *base, const char *state_dir,
			      int listen_fd, const struct ctl_callbacks *cb,
			      struct ctl_server **server_r, struct tl_err *err)
{
	struct ctl_server *s;
	enum tl_status st;
	int fd = listen_fd;

	st = fd >= 0 ? TL_OK : ctl_socket_listen(state_dir, &fd, err);
	if (st != TL_OK)
		return st;
	s = tl_alloc(sizeof(*s));
	s->base = base;
	s->state_dir = tl_strdup(state_dir);
	s->group = CTL_NO_GROUP;
	s->cb = *cb;
	tl_list_init(&s->conns);
	tl_list_init(&s->calls);
	s->accept_again = event_new(base, -1, 0, on_accept_again, s);
	s->listener = evconnlistener_new(
		base, on_accept, s,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	tl_assert(s->accept_again != NULL && s->listener != NULL);
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	*server_r = s;
	return TL_OK;
}

enum tl_status ctl_server_share(struct ctl_server *s, gid_t gid,
				struct tl_err *err)
{
	enum tl_status st = ctl_socket_share(s->state_dir, gid, err);

	if (st == TL_OK)
		s->group = gid;
	return st;
}

int ctl_server_fd(const struct ctl_server *s)
{
	return evconnlistener_get_fd(s->listener);
}

void ctl_server_free(struct ctl_server **server)
{
	struct ctl_server *s = *server;
	struct tl_list *at, *next;

	if (s == NULL)
		return;
	*server = NULL;
	ctl_socket_unlink(s->state_dir);
	evconnlistener_free(s->listener);
	event_free(s->accept_again);
	TL_LIST_EACH(at, next, &s->conns)
	conn_free(TL_CONTAINER(at, struct ctl_conn, node));
	TL_LIST_EACH(at, next, &s->calls)
	call_free(TL_CONTAINER(at, struct ctl_call, node));
	tl_free(s->state_dir);
	tl_free(s);
}
