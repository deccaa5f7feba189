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

#include "base/log.h"
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

struct co_names {
	struct evdns_base *dns;
};

/* Without it libevent writes to stderr past our log. */
static void on_dns_log(int is_warning, const char *words)
{
	if (is_warning)
		log_warn("resolver: %s", words);
	else
		log_debug("resolver: %s", words);
}

static void set_options(struct evdns_base *dns)
{
	evdns_set_log_fn(on_dns_log);
	evdns_base_set_option(dns, "timeout:", "1");
	evdns_base_set_option(dns, "attempts:", "2");
	/* Some servers answer a name in mixed case with silence. */
	evdns_base_set_option(dns, "randomize-case:", "0");
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
	set_options(dns);
	co_loop.dns = dns;
	return dns;
}

static void dns_free(struct evdns_base *dns)
{
	evdns_base_free(dns, 1);
	/* Answers to orphans are deferred by one pass. */
	if (n_lookups > 0)
		event_base_loop(co_loop.base, EVLOOP_NONBLOCK);
}

void co_resolve_deinit(void)
{
	if (co_loop.dns == NULL)
		return;
	dns_free(co_loop.dns);
	co_loop.dns = NULL;
}

enum tl_status co_names_new(char *const *servers, size_t n,
			    struct co_names **names_r, struct tl_err *err)
{
	struct evdns_base *dns =
		evdns_base_new(co_loop.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);

	if (dns == NULL)
		return tl_err_set(err, TL_SYSTEM, "no resolver");
	evdns_base_load_hosts(dns, "/etc/hosts");
	set_options(dns);
	for (size_t i = 0; i < n; i++) {
		if (evdns_base_nameserver_ip_add(dns, servers[i]) == 0)
			continue;
		evdns_base_free(dns, 0);
		return tl_err_set(err, TL_INVALID, "no name server '%.100s'",
				  servers[i]);
	}
	*names_r = tl_alloc(sizeof(**names_r));
	(*names_r)->dns = dns;
	return TL_OK;
}

void co_names_free(struct co_names **names)
{
	if (*names == NULL)
		return;
	dns_free((*names)->dns);
	tl_freep(names);
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

static enum tl_status take_answer(const struct lookup *lk, const char *name,
				  struct co_addr *addrs, uint32_t *n,
				  struct tl_err *err)
{
	enum tl_status st = answer_status(lk, name, err);
	uint32_t found;

	if (st != TL_OK)
		return st;
	found = copy_addrs(lk->list, addrs, *n);
	if (found == 0)
		return tl_err_set(err, TL_NOT_FOUND, "no address for '%.100s'",
				  name);
	*n = found;
	return TL_OK;
}

enum tl_status co_resolve_until(struct co_names *names, const char *name,
				uint64_t due_mono_ms, struct co_addr *addrs,
				uint32_t *n, struct tl_err *err)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_STREAM,
					 .ai_protocol = IPPROTO_TCP };
	struct evdns_getaddrinfo_request *rq;
	struct evdns_base *dns;
	struct co_wait w;
	struct lookup *lk;
	enum tl_status st;

	tl_assert(co_self() != NULL && *n > 0);
	if (literal(name, &addrs[0])) {
		*n = 1;
		return TL_OK;
	}
	dns = names != NULL ? names->dns : dns_base();
	if (dns == NULL)
		return tl_err_set(err, TL_SYSTEM, "no resolver");
	co_wait_init(&w);
	lk = tl_alloc(sizeof(*lk));
	lk->wait = &w;
	n_lookups++;
	rq = evdns_getaddrinfo(dns, name, NULL, &hints, on_answer, lk);
	st = lk->done ? TL_OK : co_wait_until(&w, due_mono_ms, err);
	lk->wait = NULL;
	if (!lk->done) { /* rq answers once more, and frees lk then */
		evdns_getaddrinfo_cancel(rq);
		return st != TL_OK
			       ? st
			       : tl_err_set(err, TL_UNAVAILABLE,
					    "look-up of '%.100s' took too long",
					    name);
	}
	if (st == TL_OK)
		st = take_answer(lk, name, addrs, n, err);
	lookup_free(lk);
	return st;
}

enum tl_status co_resolve(const char *name, struct co_addr *addrs, uint32_t *n,
			  struct tl_err *err)
{
	return co_resolve_until(NULL, name, CO_NO_DEADLINE, addrs, n, err);
}
