/*
 * guard.h - whom tallyd may call: addresses and URLs against the egress rules.
 *
 * An address passes if it is public or inside egress.private_allow.  A URL
 * passes if its scheme, port and host do; a host that is written as an
 * address, in whatever spelling, is judged as the address it means.  URLs are
 * parsed by libcurl, which also makes the calls: checker and caller can not
 * read one differently.  A name must still be looked up and each of its
 * addresses checked; fetch.h does both.
 * Runs in: worker, runner, tallyctl.  Suspends: no.  Blocks: never.
 */
#ifndef TALLY_NET_GUARD_H
#define TALLY_NET_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "tally/addr.h"

struct conf;
struct sockaddr;
struct Curl_URL; /* CURLU of libcurl */

#define NET_URL_MAX       2048 /* bytes */
#define NET_HOST_MAX      253  /* as in the DNS */
#define NET_HTTPS_PORT    443
#define NET_HTTP_PORT     80
#define NET_RULE_URL      "url"
#define NET_RULE_SCHEME   "scheme"
#define NET_RULE_USERINFO "userinfo"
#define NET_RULE_HOST     "host"
#define NET_RULE_PORT     "port"

struct net_rules {
	struct tally_cidr_list private_allow; /* borrowed from the conf */
	bool allow_http;
	uint16_t ports[256]; /* besides 443, and 80 with http */
	uint32_t n_ports;
};
/* conf must outlive the rules. */
void net_rules_init(struct net_rules *rules, const struct conf *conf);

/*
 * TL_DENIED: may not be called.  *rule gets the name of the rule then, static
 * text: one of NET_RULE_... or, of an address, "address.loopback",
 * "address.private", ...; it is not touched otherwise.
 */
enum tl_status net_addr_check(const struct net_rules *rules,
			      const struct tally_addr *addr, const char **rule,
			      struct tl_err *err) TL_MUST_CHECK;
/* Families other than IPv4 and IPv6 are refused. */
enum tl_status net_sockaddr_check(const struct net_rules *rules,
				  const struct sockaddr *sa, const char **rule,
				  struct tl_err *err) TL_MUST_CHECK;

struct net_target {
	char host[NET_HOST_MAX + 1]; /* lower case, no brackets, no last dot */
	uint16_t port;
	bool https;
	bool literal; /* host is an address, and it passed */
};
/* Pure: a name is not looked up.  For URLs that are about to be stored. */
enum tl_status net_url_check(const struct net_rules *rules, const char *url,
			     struct net_target *target_r, const char **rule,
			     struct tl_err *err) TL_MUST_CHECK;

/*
 * The same in two steps, for redirects: text that is absolute or relative to
 * what `parsed` holds, then the judgement; parsed may be called afterwards.
 */
enum tl_status net_url_set(struct Curl_URL *parsed, const char *text,
			   const char **rule, struct tl_err *err) TL_MUST_CHECK;
enum tl_status net_url_judge(const struct net_rules *rules,
			     struct Curl_URL *parsed,
			     struct net_target *target_r, const char **rule,
			     struct tl_err *err) TL_MUST_CHECK;

#endif
