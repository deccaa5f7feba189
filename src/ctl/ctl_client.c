/*
 * ctl_client.c - tallyctl's end: one question at a time, each with its limit.
 */
#include "config.h"

#include "ctl/ctl.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/ctl_frame.h"
#include "ctl/ctl_socket.h"

struct ctl_client {
	int fd;
	struct tl_buf in, out;
};

enum tl_status ctl_client_open(const char *state_dir, uint32_t timeout_ms,
			       struct ctl_client **client_r, struct tl_err *err)
{
	struct ctl_client *c;
	enum tl_status st;
	int fd;

	st = ctl_socket_connect(state_dir, timeout_ms, &fd, err);
	if (st != TL_OK)
		return st;
	c = tl_alloc(sizeof(*c));
	c->fd = fd;
	tl_buf_init(&c->in);
	tl_buf_init(&c->out);
	*client_r = c;
	return TL_OK;
}

void ctl_client_free(struct ctl_client **client)
{
	struct ctl_client *c = *client;

	if (c == NULL)
		return;
	*client = NULL;
	close(c->fd);
	tl_buf_deinit(&c->in);
	tl_buf_deinit(&c->out);
	tl_free(c);
}

int ctl_client_pidfd(const struct ctl_client *client)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    peer.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

/* Waits for `events` until the moment; TL_DEADLINE past it. */
static enum tl_status wait_for(const struct ctl_client *c, short events,
			       uint64_t due_mono_ms, struct tl_err *err)
{
	struct pollfd p = { .fd = c->fd, .events = events };

	for (;;) {
		uint64_t now = tl_mono_ms();
		uint64_t left = due_mono_ms > now ? due_mono_ms - now : 0;
		int n = poll(&p, 1, (int)(left < 60000 ? left : 60000));

		if (n > 0)
			return TL_OK;
		if (n < 0 && errno != EINTR)
			return tl_err_sys(err, "wait for the daemon");
		if (n == 0 && left == 0)
			return tl_err_set(err, TL_DEADLINE,
					  "the daemon does not answer");
	}
}

static enum tl_status send_all(struct ctl_client *c, uint64_t due_mono_ms,
			       struct tl_err *err)
{
	size_t at = 0;

	while (at < c->out.len) {
		enum tl_status st = wait_for(c, POLLOUT, due_mono_ms, err);
		ssize_t n;

		if (st != TL_OK)
			return st;
		n = send(c->fd, c->out.ptr + at, c->out.len - at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			at += (size_t)n;
		else if (errno == EPIPE || errno == ECONNRESET)
			return TL_OK; /* its last words may say why */
		else if (errno != EAGAIN && errno != EINTR)
			return tl_err_sys(err, "write to the daemon");
	}
	return TL_OK;
}

/* Some more bytes; *end_r when there are no more. */
static enum tl_status receive(struct ctl_client *c, uint64_t due_mono_ms,
			      bool *end_r, struct tl_err *err)
{
	enum tl_status st = wait_for(c, POLLIN, due_mono_ms, err);
	char some[4096];
	ssize_t n;

	if (st != TL_OK)
		return st;
	n = recv(c->fd, some, sizeof(some), MSG_DONTWAIT);
	*end_r = n == 0 || (n < 0 && errno == ECONNRESET);
	if (n > 0)
		tl_buf_add(&c->in, some, (size_t)n);
	else if (!*end_r && errno != EAGAIN && errno != EINTR)
		return tl_err_sys(err, "read from the daemon");
	return TL_OK;
}

/* A whole frame in c->in; its body. */
static enum tl_status receive_frame(struct ctl_client *c, uint64_t due_mono_ms,
				    struct tl_str *body_r, struct tl_err *err)
{
	uint32_t len = 0;
	enum tl_status st;
	bool end = false;

	for (;;) {
		if (c->in.len >= CTL_FRAME_HEAD) {
			st = ctl_frame_length((const uint8_t *)c->in.ptr, &len,
					      err);
			if (st != TL_OK)
				return tl_err_wrap(err, "answer of the daemon");
			if (c->in.len >= CTL_FRAME_HEAD + len)
				break;
		}
		if (end)
			return tl_err_set(err, TL_UNAVAILABLE,
					  "the daemon closed the connection "
					  "without an answer");
		st = receive(c, due_mono_ms, &end, err);
		if (st != TL_OK)
			return st;
	}
	*body_r = (struct tl_str){ c->in.ptr + CTL_FRAME_HEAD, len };
	return TL_OK;
}

enum tl_status ctl_client_call(struct ctl_client *client, const char *cmd,
			       const struct doc *args, uint32_t timeout_ms,
			       struct tl_arena *a, const struct doc **result_r,
			       struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + timeout_ms;
	struct tl_str body;
	enum tl_status st;

	tl_buf_reset(&client->in);
	tl_buf_reset(&client->out);
	ctl_frame_request(&client->out, cmd, args);
	st = send_all(client, due_mono_ms, err);
	if (st == TL_OK)
		st = receive_frame(client, due_mono_ms, &body, err);
	if (st == TL_OK)
		st = ctl_frame_parse_answer(a, body, result_r, err);
	return st;
}

enum tl_status ctl_client_wait_end(struct ctl_client *client,
				   uint32_t timeout_ms, struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + timeout_ms;
	enum tl_status st = TL_OK;
	bool end = false;

	while (st == TL_OK && !end) {
		tl_buf_reset(&client->in);
		st = receive(client, due_mono_ms, &end, err);
	}
	return st;
}
