/*
 * net.c - libcurl's multi handle on the event loop; see net.h.
 *
 * All callbacks here run on the loop's stack and only wake coroutines, which
 * queues; none runs inside of libcurl.  Adding and removing handles happens
 * on coroutine stacks: adding only arms the timer, removing may close a
 * connection (measured: 10 KiB of stack with TLS).
 */
#include "net/net.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/err.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "net/fetch_internal.h"

#define CONNECTIONS_KEPT 128

struct net_state net;

/* ---- the multi handle ---- */

struct watch { /* one socket of libcurl's */
	struct event event;
};

static void wake_finished(void)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(net.multi, &left)) != NULL) {
		struct exchange *ex = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &ex);
		ex->done = true;
		ex->result = msg->data.result;
		co_wake(&ex->wait);
	}
}

static void on_event(evutil_socket_t fd, short events, void *arg)
{
	int what = 0, running;

	(void)arg;
	if ((events & EV_READ) != 0)
		what |= CURL_CSELECT_IN;
	if ((events & EV_WRITE) != 0)
		what |= CURL_CSELECT_OUT;
	curl_multi_socket_action(net.multi, fd, what, &running);
	wake_finished();
}

static void on_time(evutil_socket_t fd, short events, void *arg)
{
	int running;

	(void)fd;
	(void)events;
	(void)arg;
	curl_multi_socket_action(net.multi, CURL_SOCKET_TIMEOUT, 0, &running);
	wake_finished();
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
			void *of_socket)
{
	struct watch *w = of_socket;
	short events = EV_PERSIST;

	(void)easy;
	(void)arg;
	if (w != NULL)
		event_del(&w->event);
	if (what == CURL_POLL_REMOVE) {
		tl_free(w);
		curl_multi_assign(net.multi, fd, NULL);
		return 0;
	}
	if (w == NULL) {
		w = tl_alloc(sizeof(*w));
		curl_multi_assign(net.multi, fd, w);
	}
	if (what != CURL_POLL_OUT)
		events |= EV_READ;
	if (what != CURL_POLL_IN)
		events |= EV_WRITE;
	event_assign(&w->event, net.base, fd, events, on_event, NULL);
	event_add(&w->event, NULL);
	return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
			      .tv_usec = timeout_ms % 1000 * 1000 };

	(void)multi;
	(void)arg;
	if (timeout_ms < 0)
		evtimer_del(net.timer);
	else
		evtimer_add(net.timer, &tv);
	return 0;
}

enum tl_status net_run(struct exchange *ex, uint64_t due_mono_ms,
		       struct tl_err *err)
{
	enum tl_status st;
	CURLMcode rc;

	co_wait_init(&ex->wait);
	curl_easy_setopt(ex->easy, CURLOPT_PRIVATE, ex);
	rc = curl_multi_add_handle(net.multi, ex->easy);
	if (rc != CURLM_OK)
		return tl_err_set(err, TL_BROKEN, "libcurl: %s",
				  curl_multi_strerror(rc));
	st = co_wait_until(&ex->wait, due_mono_ms, err);
	curl_multi_remove_handle(net.multi, ex->easy);
	/* An answer that came with the stop is an answer. */
	return ex->done ? TL_OK : st;
}

/* ---- turns ---- */

struct turn { /* on the stack of who waits */
	struct tl_list link;
	struct co_wait wait;
	bool granted;
};

void net_turn_give(void)
{
	struct turn *next;

	if (tl_list_empty(&net.turns)) {
		net.n_calls--;
		return;
	}
	next = TL_CONTAINER(net.turns.next, struct turn, link);
	tl_list_unlink(&next->link);
	net.n_waiting--;
	next->granted = true;
	co_wake(&next->wait);
}

enum tl_status net_turn_take(uint64_t due_mono_ms, bool *got_r,
			     struct tl_err *err)
{
	struct turn turn = { .granted = false };
	enum tl_status st;

	if (net.n_calls < net.max_calls) {
		net.n_calls++;
		*got_r = true;
		return TL_OK;
	}
	if (net.n_waiting >= net.max_waiting)
		return tl_err_set(err, TL_FULL,
				  "%u calls are under way and %u are waiting",
				  net.n_calls, net.n_waiting);
	net.n_waiting++;
	co_wait_init(&turn.wait);
	tl_list_append(&net.turns, &turn.link);
	st = co_wait_until(&turn.wait, due_mono_ms, err);
	if (!turn.granted) {
		tl_list_unlink(&turn.link);
		net.n_waiting--;
	} else if (st != TL_OK) { /* stopped with the turn in hand */
		net_turn_give();
	}
	if (st == TL_OK)
		*got_r = turn.granted;
	return st;
}

/* ---- the process ---- */

/*
 * Our own store, not libcurl's: it is read once a process instead of with
 * each connection (the bundle of Debian takes 10 ms), and a file can add to
 * the system's authorities instead of replacing them.
 */
static enum tl_status load_authorities(const char *file, struct tl_err *err)
{
	unsigned long code;

	net.authorities = X509_STORE_new();
	tl_assert(net.authorities != NULL);
	/* An authority may be any certificate that was given, as in libcurl. */
	X509_STORE_set_flags(net.authorities,
			     X509_V_FLAG_TRUSTED_FIRST |
				     X509_V_FLAG_PARTIAL_CHAIN);
	X509_STORE_set_default_paths(net.authorities);
	ERR_clear_error(); /* places that are not there */
	if (*file == '\0' || X509_STORE_load_file(net.authorities, file) == 1)
		return TL_OK;
	code = ERR_peek_error();
	ERR_clear_error();
	return tl_err_set(err, TL_INVALID,
			  "egress.ca_file: can not read '%s' as PEM: %s", file,
			  ERR_reason_error_string(code));
}

static enum tl_status check_library(struct tl_err *err)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if (v->ssl_version != NULL &&
	    strncmp(v->ssl_version, "OpenSSL/", 8) == 0)
		return TL_OK;
	return tl_err_set(err, TL_VERSION,
			  "libcurl was built with '%s' and not with OpenSSL; "
			  "install its OpenSSL flavour",
			  v->ssl_version != NULL ? v->ssl_version : "no TLS");
}

static void open_multi(void)
{
	net.multi = curl_multi_init();
	net.timer = evtimer_new(net.base, on_time, NULL);
	tl_assert(net.multi != NULL && net.timer != NULL);
	curl_multi_setopt(net.multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(net.multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(net.multi, CURLMOPT_MAXCONNECTS,
			  (long)CONNECTIONS_KEPT);
}

enum tl_status net_init(struct event_base *base, const struct conf *conf,
			struct tl_err *err)
{
	const struct conf_strings *servers = &conf->egress.nameservers;
	enum tl_status st;

	tl_assert(net.multi == NULL && base == co_base());
	memset(&net, 0, sizeof(net));
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return tl_err_set(err, TL_SYSTEM, "libcurl does not start");
	net.base = base;
	net.max_calls = conf->egress.max_calls;
	net.max_waiting = conf->egress.max_waiting;
	tl_list_init(&net.turns);
	net_rules_init(&net.rules, conf);
	open_multi();
	st = check_library(err);
	if (st == TL_OK)
		st = load_authorities(conf->egress.ca_file, err);
	if (st == TL_OK && servers->n > 0)
		st = co_names_new(servers->items, servers->n, &net.names, err);
	if (st != TL_OK)
		net_deinit();
	return st;
}

void net_deinit(void)
{
	if (net.multi == NULL)
		return;
	tl_assert(net.n_calls == 0 && net.n_waiting == 0);
	curl_multi_cleanup(net.multi);
	event_free(net.timer);
	co_names_free(&net.names);
	X509_STORE_free(net.authorities);
	curl_global_cleanup();
	memset(&net, 0, sizeof(net));
}

const struct net_rules *net_rules(void)
{
	tl_assert(net.multi != NULL);
	return &net.rules;
}

struct net_load net_load(void)
{
	return (struct net_load){ .calls = net.n_calls,
				  .waiting = net.n_waiting };
}
