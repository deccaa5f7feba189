/*
 * addr.c - see addr.h.
 */
#include "config.h" /* _GNU_SOURCE: memrchr */

#include "tally/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

static const uint8_t mapped_front[12] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255
};

static bool is_mapped(const struct tally_addr *a)
{
	return memcmp(a->b, mapped_front, sizeof(mapped_front)) == 0;
}

static void map_v4(struct tally_addr *a, const void *four_bytes)
{
	memcpy(a->b, mapped_front, sizeof(mapped_front));
	memcpy(a->b + 12, four_bytes, 4);
}

bool tally_addr_parse(struct tl_str s, struct tally_addr *a_r)
{
	char text[TALLY_ADDR_TEXT];
	uint8_t v4[4], v6[16];

	if (s.len == 0 || s.len >= sizeof(text) ||
	    memchr(s.ptr, '\0', s.len) != NULL)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, v4) == 1) {
		map_v4(a_r, v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, v6) == 1) {
		memcpy(a_r->b, v6, sizeof(v6));
		return true;
	}
	return false;
}

size_t tally_addr_format(const struct tally_addr *a, char dst[TALLY_ADDR_TEXT])
{
	if (is_mapped(a))
		inet_ntop(AF_INET, a->b + 12, dst, TALLY_ADDR_TEXT);
	else
		inet_ntop(AF_INET6, a->b, dst, TALLY_ADDR_TEXT);
	return strlen(dst);
}

bool tally_addr_from_sockaddr(const struct sockaddr *sa, struct tally_addr *a_r)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	/* Copied: the caller's storage may be aligned for bytes only. */
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		map_v4(a_r, &in.sin_addr);
		return true;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		memcpy(a_r->b, &in6.sin6_addr, 16);
		return true;
	case AF_UNIX:
		memset(a_r->b, 0, 15);
		a_r->b[15] = 1;
		return true;
	default:
		return false;
	}
}

/* Zeroes what stands behind the first `bits` bits. */
static struct tally_addr mask(const struct tally_addr *a, unsigned bits)
{
	struct tally_addr m = *a;
	unsigned whole = bits / 8;

	if (whole < 16) {
		m.b[whole] &= (uint8_t)(0xff00u >> bits % 8);
		memset(m.b + whole + 1, 0, 15 - whole);
	}
	return m;
}

struct tally_addr tally_addr_group(const struct tally_addr *a)
{
	return is_mapped(a) ? *a : mask(a, 64);
}

enum tl_status tally_cidr_parse(struct tl_str s, struct tally_cidr *c_r,
				struct tl_err *err)
{
	const char *slash = s.len > 0 ? memchr(s.ptr, '/', s.len) : NULL;
	char fixed[TALLY_ADDR_TEXT + 4];
	struct tl_str host = s;
	struct tally_addr a;
	struct tally_cidr c;
	uint64_t bits, most;
	bool v4;

	if (slash != NULL)
		host.len = (size_t)(slash - s.ptr);
	if (!tally_addr_parse(host, &a))
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is not an address or a network",
				  (int)s.len, s.ptr);
	/* The prefix counts in the form that was written. */
	v4 = memchr(host.ptr, ':', host.len) == NULL;
	most = v4 ? 32 : 128;
	bits = most;
	if (slash != NULL &&
	    !tl_parse_u64((struct tl_str){ slash + 1, s.len - host.len - 1 }, 0,
			  most, &bits))
		return tl_err_set(err, TL_INVALID,
				  "the prefix of '%.*s' is not 0 to %d",
				  (int)s.len, s.ptr, (int)most);
	c.bits = (uint8_t)(bits + (v4 ? 96 : 0));
	c.net = mask(&a, c.bits);
	if (memcmp(&c.net, &a, sizeof(a)) != 0) {
		tally_cidr_format(&c, fixed);
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' has bits behind its prefix; give %s",
				  (int)s.len, s.ptr, fixed);
	}
	*c_r = c;
	return TL_OK;
}

size_t tally_cidr_format(const struct tally_cidr *c,
			 char dst[TALLY_ADDR_TEXT + 4])
{
	size_t n = tally_addr_format(&c->net, dst);
	unsigned bits = c->bits;

	if (bits < 128) {
		if (is_mapped(&c->net) && bits >= 96)
			bits -= 96;
		dst[n++] = '/';
		n += tl_fmt_u64(dst + n, bits);
		dst[n] = '\0';
	}
	return n;
}

bool tally_cidr_has(const struct tally_cidr *c, const struct tally_addr *a)
{
	struct tally_addr m = mask(a, c->bits);

	return memcmp(&m, &c->net, sizeof(m)) == 0;
}

bool tally_cidr_list_has(const struct tally_cidr_list *l,
			 const struct tally_addr *a)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (tally_cidr_has(&l->items[i], a))
			return true;
	return false;
}

void tally_cidr_list_deinit(struct tally_cidr_list *l)
{
	tl_freep(&l->items);
	l->n = 0;
}

/* Some proxies write the port too: "192.0.2.1:80", "[2001:db8::1]:80". */
static struct tl_str without_port(struct tl_str s)
{
	const char *colon, *end;
	uint64_t port;

	if (s.len > 0 && s.ptr[0] == '[') {
		end = memchr(s.ptr, ']', s.len);
		if (end == NULL)
			return s;
		colon = end + 1;
	} else {
		colon = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
		end = colon;
		/* Two colons: an IPv6 address, not a port. */
		if (colon == NULL ||
		    memchr(colon + 1, ':',
			   (size_t)(s.ptr + s.len - colon - 1)) != NULL)
			return s;
	}
	if (colon < s.ptr + s.len &&
	    (*colon != ':' ||
	     !tl_parse_u64((struct tl_str){ colon + 1, (size_t)(s.ptr + s.len -
								colon - 1) },
			   0, 65535, &port)))
		return s;
	if (s.ptr[0] == '[')
		s.ptr++;
	s.len = (size_t)(end - s.ptr);
	return s;
}

static bool header_addr(struct tl_str s, struct tally_addr *a_r)
{
	return tally_addr_parse(without_port(tl_str_trim(s)), a_r);
}

/* Cuts the piece behind the last comma off *list. */
static struct tl_str cut_last(struct tl_str *list)
{
	const char *comma = memrchr(list->ptr, ',', list->len);
	struct tl_str piece = *list;

	if (comma == NULL) {
		list->len = 0;
		return piece;
	}
	piece.ptr = comma + 1;
	piece.len = (size_t)(list->ptr + list->len - comma - 1);
	list->len = (size_t)(comma - list->ptr);
	return piece;
}

struct tally_addr tally_addr_client(const struct tally_addr *peer,
				    const struct tally_cidr_list *trusted,
				    struct tl_str forwarded_for,
				    struct tl_str real_ip, bool *told_r)
{
	struct tally_addr a;

	*told_r = false;
	if (!tally_cidr_list_has(trusted, peer))
		return *peer;
	/*
	 * From the right: each trusted proxy appended whom it saw, so what
	 * stands left of the first stranger is hearsay.
	 */
	while (forwarded_for.len > 0) {
		*told_r = header_addr(cut_last(&forwarded_for), &a);
		if (!*told_r)
			break;
		if (!tally_cidr_list_has(trusted, &a))
			return a;
	}
	if (!header_addr(real_ip, &a))
		return *peer;
	*told_r = true;
	return a;
}
