/*
 * co_resolve.c - names to addresses without stalling the loop.
 *
 * evdns reads /etc/hosts and /etc/resolv.conf; it knows no nsswitch and no
 * fall-back to TCP, which is why settings can give addresses instead.  It is
 * made at the first look-up: sockets must not exist before the fork.
 */
#include "loop/co.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/co_internal.h"

/*
 * evdns may answer after the coroutine gave up, so the question is on the
 * heap: wait is NULL then (an orphan), and the answer frees it.
 */
struct lookup {
	struct co_wait *wait;
	bool done;
	int result;
	struct evutil_addrinfo *list;
};
static unsigned n_lookups;

static void lookup_free(struct lookup *lk)
{
	if (lk->list != NULL)
		evutil_freeaddrinfo(lk->list);
	tl_free(lk);
	n_lookups--;
}

static void on_answer(int result, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *lk = arg;

	lk->done = true;
	lk->result = result;
	lk->list = list;
	if (lk->wait != NULL)
		co_wake(lk->wait);
	else
		lookup_free(lk);
}

static struct evdns_base *dns_base(void)
{
	struct evdns_base *dns = co_loop.dns;

	if (dns != NULL)
		return dns;
	dns = evdns_base_new(co_loop.base,
			     EVDNS_BASE_INITIALIZE_NAMESERVERS |
				     EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns == NULL) { /* no resolv.conf: the hosts file still counts */
		dns = evdns_base_new(co_loop.base,
				     EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (dns == NULL)
			return NULL;
		evdns_base_load_hosts(dns, "/etc/hosts");
	}
	evdns_base_set_option(dns, "timeout:", "1");
	evdns_base_set_option(dns, "attempts:", "2");
	/* Some servers answer a name in mixed case with silence. */
	evdns_base_set_option(dns, "randomize-case:", "0");
	co_loop.dns = dns;
	return dns;
}

void co_resolve_deinit(void)
{
	if (co_loop.dns == NULL)
		return;
	evdns_base_free(co_loop.dns, 1);
	co_loop.dns = NULL;
	/* Answers to orphans are deferred by one pass. */
	if (n_lookups > 0)
		event_base_loop(co_loop.base, EVLOOP_NONBLOCK);
}

static bool literal(const char *name, struct co_addr *addr)
{
	unsigned char bytes[16];

	if (inet_pton(AF_INET, name, bytes) == 1)
		addr->family = AF_INET;
	else if (inet_pton(AF_INET6, name, bytes) == 1)
		addr->family = AF_INET6;
	else
		return false;
	snprintf(addr->text, sizeof(addr->text), "%s", name);
	return true;
}

static uint32_t copy_addrs(const struct evutil_addrinfo *ai,
			   struct co_addr *addrs, uint32_t max)
{
	uint32_t n = 0;

	for (; ai != NULL && n < max; ai = ai->ai_next) {
		const void *bytes;

		if (ai->ai_family == AF_INET)
			bytes = &((const struct sockaddr_in *)(const void *)
					  ai->ai_addr)
					 ->sin_addr;
		else if (ai->ai_family == AF_INET6)
			bytes = &((const struct sockaddr_in6 *)(const void *)
					  ai->ai_addr)
					 ->sin6_addr;
		else
			continue;
		addrs[n].family = ai->ai_family;
		inet_ntop(ai->ai_family, bytes, addrs[n].text,
			  sizeof(addrs[n].text));
		n++;
	}
	return n;
}

static enum tl_status answer_status(const struct lookup *lk, const char *name,
				    struct tl_err *err)
{
	switch (lk->result) {
	case 0:
		return TL_OK;
	case EVUTIL_EAI_NONAME:
	case EVUTIL_EAI_NODATA:
		return tl_err_set(err, TL_NOT_FOUND, "no host '%.100s'", name);
	default:
		return tl_err_set(err, TL_UNAVAILABLE,
				  "look-up of '%.100s' failed: %s", name,
				  evutil_gai_strerror(lk->result));
	}
}

enum tl_status co_resolve(const char *name, struct co_addr *addrs, uint32_t *n,
			  struct tl_err *err)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_STREAM,
					 .ai_protocol = IPPROTO_TCP };
	struct evdns_getaddrinfo_request *rq;
	struct co_wait w;
	struct lookup *lk;
	enum tl_status st;

	tl_assert(co_self() != NULL && *n > 0);
	if (literal(name, &addrs[0])) {
		*n = 1;
		return TL_OK;
	}
	if (dns_base() == NULL)
		return tl_err_set(err, TL_SYSTEM, "no resolver");
	co_wait_init(&w);
	lk = tl_alloc(sizeof(*lk));
	lk->wait = &w;
	n_lookups++;
	rq = evdns_getaddrinfo(co_loop.dns, name, NULL, &hints, on_answer, lk);
	st = lk->done ? TL_OK : co_wait(&w, err);
	lk->wait = NULL;
	if (!lk->done) { /* rq answers once more, and frees lk then */
		evdns_getaddrinfo_cancel(rq);
		return st;
	}
	if (st == TL_OK)
		st = answer_status(lk, name, err);
	if (st == TL_OK) {
		uint32_t found = copy_addrs(lk->list, addrs, *n);

		if (found == 0)
			st = tl_err_set(err, TL_NOT_FOUND,
					"no address for '%.100s'", name);
		else
			*n = found;
	}
	lookup_free(lk);
	return st;
}
