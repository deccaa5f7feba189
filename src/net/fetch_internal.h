/*
 * fetch_internal.h - what the files behind net.h and fetch.h share.
 */
#ifndef TALLY_NET_FETCH_INTERNAL_H
#define TALLY_NET_FETCH_INTERNAL_H

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include "loop/co.h"
#include "net/fetch.h"

struct event;

/* One per process. */
struct net_state {
	struct event_base *base;
	CURLM *multi; /* NULL: net_init was not called */
	struct event *timer;
	struct net_rules rules;
	struct co_names *names; /* NULL: resolv.conf's */
	X509_STORE *authorities;
	uint32_t max_calls, max_waiting;
	uint32_t n_calls, n_waiting;
	struct tl_list turns; /* of struct turn in net.c, first come first */
};
extern struct net_state net;

/*
 * One request and its answer, on the stack of the coroutine that waits for
 * it: the handle is off the multi handle before that stack unwinds.
 */
struct exchange {
	CURL *easy;
	struct co_wait wait;
	bool done;
	CURLcode result; /* once done */
	struct fetch_reply *reply;
	size_t head_bytes;
	size_t body_max_bytes;
	bool securing;      /* TLS has begun, or is there */
	bool head_open;     /* between a status line and the empty line */
	enum fetch_why why; /* what a callback ended it for; or FETCH_DONE */
	const char *rule;   /* of FETCH_REFUSED */
	struct tl_err *err; /* words of a callback's why */
	char words[CURL_ERROR_SIZE];
};

/* What an exchange is made of; pointers stay until it is over. */
struct exchange_plan {
	CURLU *url;
	const char *method;
	const void *body;
	size_t body_bytes;
	struct curl_slist *headers;
	struct curl_slist *addresses; /* for CURLOPT_RESOLVE */
	uint32_t connect_timeout_ms;
};

/* net.c */
/*
 * Suspends: yes.  A turn among egress.max_calls; TL_OK with *got_r false when
 * due_mono_ms came first.  Give it back after TL_OK with true.
 */
enum tl_status net_turn_take(uint64_t due_mono_ms, bool *got_r,
			     struct tl_err *err) TL_MUST_CHECK;
void net_turn_give(void);
/*
 * Suspends: yes.  Runs ex->easy until it is done or due_mono_ms; ex->done
 * tells.  The handle is free to be cleaned up afterwards, in any case.
 */
enum tl_status net_run(struct exchange *ex, uint64_t due_mono_ms,
		       struct tl_err *err) TL_MUST_CHECK;

/* exchange.c */
/* Makes ex->easy; the caller cleans it up. */
void exchange_open(struct exchange *ex, const struct exchange_plan *plan);
/* What came out of it, once done; words to ex->err. */
enum fetch_why exchange_outcome(struct exchange *ex);
/* Copies times, address and status to ex->reply. */
void exchange_facts(struct exchange *ex);
/* While it was doing what; for timeouts. */
const char *exchange_phase(struct exchange *ex);
/* Only the checks of the address, for any handle; tests use it alone. */
void exchange_guard(struct exchange *ex);

#endif
