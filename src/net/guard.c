/*
 * guard.c - which addresses are public; see guard.h.
 *
 * Sources: the special-purpose registries of IANA for IPv4 and IPv6 (RFC
 * 6890) as of 2024.  Everything is compared in binary form: a comparison of
 * texts lets ::ffff:127.0.0.3 through.
 */
#include "net/guard.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/conf.h"

struct network {
	struct tally_cidr cidr;
	const char *rule;
	const char *words;
};

#define V4(a, b, c, d, prefix)                                                 \
	{                                                                      \
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, a, b, c, d } },    \
			96 + (prefix)                                          \
	}
#define V6(prefix, ...)                                                        \
	{                                                                      \
		{ { __VA_ARGS__ } }, (prefix)                                  \
	}

/* clang-format off */
/* The first that holds an address names the reason: narrow before wide. */
static const struct network refused[] = {
	{ V4(0, 0, 0, 0, 8), "address.this-network", "of this network" },
	{ V4(10, 0, 0, 0, 8), "address.private", "private" },
	{ V4(100, 64, 0, 0, 10), "address.shared",
	  "shared by a carrier's customers" },
	{ V4(127, 0, 0, 0, 8), "address.loopback", "loopback" },
	{ V4(169, 254, 0, 0, 16), "address.link-local", "link-local" },
	{ V4(172, 16, 0, 0, 12), "address.private", "private" },
	{ V4(192, 0, 0, 0, 24), "address.protocol", "for protocols" },
	{ V4(192, 0, 2, 0, 24), "address.documentation", "for documentation" },
	{ V4(192, 168, 0, 0, 16), "address.private", "private" },
	{ V4(198, 18, 0, 0, 15), "address.benchmark", "for benchmarks" },
	{ V4(198, 51, 100, 0, 24), "address.documentation",
	  "for documentation" },
	{ V4(203, 0, 113, 0, 24), "address.documentation",
	  "for documentation" },
	{ V4(224, 0, 0, 0, 4), "address.multicast", "multicast" },
	{ V4(255, 255, 255, 255, 32), "address.broadcast", "broadcast" },
	{ V4(240, 0, 0, 0, 4), "address.reserved", "reserved" },
	{ V4(0, 0, 0, 0, 0), NULL, NULL }, /* all other IPv4 is public */

	{ V6(128, 0), "address.unspecified", "unspecified" },
	{ V6(128, [15] = 1), "address.loopback", "loopback" },
	{ V6(96, 0), "address.compatible", "IPv4-compatible" },
	{ V6(96, 0, 0x64, 0xff, 0x9b), "address.nat64", "NAT64" },
	{ V6(48, 0, 0x64, 0xff, 0x9b, 0, 1), "address.nat64",
	  "NAT64 of a local network" },
	{ V6(64, 1), "address.discard", "for discarding" },
	{ V6(32, 0x20, 1), "address.teredo", "Teredo" },
	{ V6(23, 0x20, 1), "address.protocol", "for protocols" },
	{ V6(32, 0x20, 1, 0x0d, 0xb8), "address.documentation",
	  "for documentation" },
	{ V6(16, 0x20, 2), "address.6to4", "6to4" },
	{ V6(20, 0x3f, 0xff), "address.documentation", "for documentation" },
	{ V6(7, 0xfc), "address.unique-local", "unique local" },
	{ V6(10, 0xfe, 0x80), "address.link-local", "link-local" },
	{ V6(10, 0xfe, 0xc0), "address.site-local", "site-local" },
	{ V6(8, 0xff), "address.multicast", "multicast" },
	{ V6(3, 0x20), NULL, NULL }, /* global unicast */
	{ V6(0, 0), "address.reserved", "outside of what is assigned" },
};

/*
 * IPv6 forms that carry an IPv4 address: the packet may end there, so
 * allowing the outer network (say, NAT64 of one's own) must not allow
 * what is inside.  64:ff9b:1::/48 is not here: where the inner address
 * stands is up to the local network.
 */
static const struct {
	struct tally_cidr cidr;
	uint8_t at;   /* offset of the IPv4 address */
	uint8_t flip; /* exclusive-or on each byte */
} wrappers[] = {
	{ V6(96, 0), 12, 0 },
	{ V6(96, [8] = 255, 255), 12, 0 },	    /* RFC 7915, translated */
	{ V6(96, 0, 0x64, 0xff, 0x9b), 12, 0 },
	{ V6(16, 0x20, 2), 2, 0 },
	{ V6(32, 0x20, 1), 12, 0xff },
};
/* clang-format on */

void net_rules_init(struct net_rules *rules, const struct conf *conf)
{
	const struct conf_strings *ports = &conf->egress.allowed_ports;
	uint64_t port;

	memset(rules, 0, sizeof(*rules));
	rules->private_allow = conf->egress.private_allow;
	rules->allow_http = conf->egress.allow_http;
	for (size_t i = 0; i < ports->n; i++) {
		if (!tl_parse_u64(tl_str_c(ports->items[i]), 1, 65535, &port) ||
		    rules->n_ports == 256)
			break; /* conf_load checked both */
		rules->ports[rules->n_ports++] = (uint16_t)port;
	}
}

/* Not NULL: the table ends with all addresses. */
static const struct network *network_of(const struct tally_addr *addr)
{
	const struct network *net = refused;

	while (!tally_cidr_has(&net->cidr, addr))
		net++;
	return net;
}

static bool unwrap(const struct tally_addr *addr, struct tally_addr *inner_r)
{
	static const struct tally_addr mapped = { { [10] = 255, 255 } };

	/* :: and ::1 are no IPv4 addresses in disguise. */
	if (network_of(addr)->cidr.bits == 128)
		return false;
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
		if (!tally_cidr_has(&wrappers[i].cidr, addr))
			continue;
		*inner_r = mapped;
		for (size_t j = 0; j < 4; j++)
			inner_r->b[12 + j] =
				addr->b[wrappers[i].at + j] ^ wrappers[i].flip;
		return true;
	}
	return false;
}

static enum tl_status refuse(const struct tally_addr *addr,
			     const struct network *net, const char **rule,
			     struct tl_err *err)
{
	char text[TALLY_ADDR_TEXT], cidr[TALLY_ADDR_TEXT + 4];

	*rule = net->rule;
	tally_addr_format(addr, text);
	tally_cidr_format(&net->cidr, cidr);
	return tl_err_set(err, TL_DENIED, "address %s is %s (%s)", text,
			  net->words, cidr);
}

static enum tl_status check_plain(const struct net_rules *rules,
				  const struct tally_addr *addr,
				  const char **rule, struct tl_err *err)
{
	const struct network *net = network_of(addr);

	if (net->rule == NULL ||
	    tally_cidr_list_has(&rules->private_allow, addr))
		return TL_OK;
	return refuse(addr, net, rule, err);
}

enum tl_status net_addr_check(const struct net_rules *rules,
			      const struct tally_addr *addr, const char **rule,
			      struct tl_err *err)
{
	enum tl_status st = check_plain(rules, addr, rule, err);
	struct tally_addr inner;
	char text[TALLY_ADDR_TEXT];

	if (st != TL_OK || !unwrap(addr, &inner))
		return st;
	st = check_plain(rules, &inner, rule, err);
	if (st == TL_OK)
		return TL_OK;
	tally_addr_format(addr, text);
	return tl_err_wrap(err, "inside of %s", text);
}

enum tl_status net_sockaddr_check(const struct net_rules *rules,
				  const struct sockaddr *sa, const char **rule,
				  struct tl_err *err)
{
	struct tally_addr addr;

	if ((sa->sa_family == AF_INET || sa->sa_family == AF_INET6) &&
	    tally_addr_from_sockaddr(sa, &addr))
		return net_addr_check(rules, &addr, rule, err);
	*rule = "address.family";
	return tl_err_set(err, TL_DENIED,
			  "address family %d is neither IPv4 "
			  "nor IPv6",
			  (int)sa->sa_family);
}
