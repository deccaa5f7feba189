/*
 * addr.h - client addresses and CIDR lists.
 *
 * Every address is 16 bytes: IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 * Pure: no name look-up, no I/O.
 */
#ifndef TALLY_TALLY_ADDR_H
#define TALLY_TALLY_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct sockaddr;

struct tally_addr {
	uint8_t b[16];
};
struct tally_cidr {
	struct tally_addr net; /* host bits zero */
	uint8_t bits;	       /* 0..128, counted in the 16-byte form */
};
struct tally_cidr_list {
	struct tally_cidr *items; /* owned */
	uint32_t n;
};

#define TALLY_ADDR_TEXT 46
bool tally_addr_parse(struct tl_str s, struct tally_addr *a_r); /* no port */
/* "203.0.113.9" for mapped ones.  Returns the length. */
size_t tally_addr_format(const struct tally_addr *a, char dst[TALLY_ADDR_TEXT]);
/* Unix sockets give ::1 as loopback.  False for other families. */
bool tally_addr_from_sockaddr(const struct sockaddr *sa, struct tally_addr *a_r);
/* What rate limits count by: IPv4 whole, IPv6 its /64. */
struct tally_addr tally_addr_group(const struct tally_addr *a);

/* "10.0.0.0/8", "::1", "1.2.3.4"; host bits set are refused. */
enum tl_status tally_cidr_parse(struct tl_str s, struct tally_cidr *c_r,
				struct tl_err *err) TL_MUST_CHECK;
size_t tally_cidr_format(const struct tally_cidr *c,
			 char dst[TALLY_ADDR_TEXT + 4]);
bool tally_cidr_has(const struct tally_cidr *c, const struct tally_addr *a);
bool tally_cidr_list_has(const struct tally_cidr_list *l,
			 const struct tally_addr *a);
void tally_cidr_list_deinit(struct tally_cidr_list *l);

/*
 * The client's address: the peer, unless the peer is trusted; then the
 * right-most entry of X-Forwarded-For that is not itself trusted, else
 * X-Real-IP, else the peer.  Malformed entries end the walk there.  A port
 * behind an entry is ignored, since some proxies write one.
 * told_r: false when it is the peer because no header said who was before it.
 */
struct tally_addr tally_addr_client(const struct tally_addr *peer,
				    const struct tally_cidr_list *trusted,
				    struct tl_str forwarded_for,
				    struct tl_str real_ip, bool *told_r);
#endif
