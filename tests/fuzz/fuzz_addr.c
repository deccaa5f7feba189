/*
 * fuzz_addr.c - addresses, networks, and who a request's client is.
 *
 * Lines: a network list (commas), the peer, X-Forwarded-For, X-Real-IP.  What
 * is read is written and read again as the same; a network has exactly the
 * addresses that begin with its bits; the client is told by no header that an
 * untrusted peer sent, and is never a trusted proxy that was walked over.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "tally/addr.h"
#include "tests/fuzz/fuzz.h"

#define NETS_MAX 16

static struct tl_str next_line(struct tl_str *in)
{
	struct tl_str line = { "", 0 };

	(void)tl_str_split(in, '\n', &line);
	return line;
}

static bool bit(const struct tally_addr *a, unsigned i)
{
	return (a->b[i / 8] >> (7 - i % 8) & 1) != 0;
}

/* Bit by bit. */
static bool has(const struct tally_cidr *c, const struct tally_addr *a)
{
	for (unsigned i = 0; i < c->bits; i++)
		if (bit(&c->net, i) != bit(a, i))
			return false;
	return true;
}

static bool parse(struct tl_str s, struct tally_addr *a)
{
	char text[TALLY_ADDR_TEXT], again[TALLY_ADDR_TEXT];
	struct tally_addr b;
	size_t len;

	if (!tally_addr_parse(s, a))
		return false;
	len = tally_addr_format(a, text);
	tl_assert(len == strlen(text) && len < TALLY_ADDR_TEXT);
	tl_assert(tally_addr_parse(tl_str_c(text), &b));
	tl_assert(memcmp(a, &b, sizeof(b)) == 0);
	tally_addr_format(&b, again);
	tl_assert(strcmp(text, again) == 0);
	return true;
}

static bool parse_net(struct tl_str s, struct tally_cidr *c)
{
	char text[TALLY_ADDR_TEXT + 4];
	struct tally_cidr d;
	struct tl_err err;

	if (tally_cidr_parse(s, c, &err) != TL_OK) {
		tl_assert(err.text[0] != '\0');
		return false;
	}
	tl_assert(c->bits <= 128);
	for (unsigned i = c->bits; i < 128; i++)
		tl_assert(!bit(&c->net, i));
	tl_assert(tally_cidr_format(c, text) == strlen(text));
	tl_assert(tally_cidr_parse(tl_str_c(text), &d, NULL) == TL_OK);
	tl_assert(d.bits == c->bits &&
		  memcmp(&c->net, &d.net, sizeof(d.net)) == 0);
	return true;
}

static bool listed(const struct tally_cidr_list *l, const struct tally_addr *a)
{
	bool any = false;

	for (uint32_t i = 0; i < l->n; i++) {
		tl_assert(tally_cidr_has(&l->items[i], a) ==
			  has(&l->items[i], a));
		any |= has(&l->items[i], a);
	}
	tl_assert(tally_cidr_list_has(l, a) == any);
	return any;
}

static void check_client(const struct tally_cidr_list *trusted,
			 const struct tally_addr *peer, struct tl_str forwarded,
			 struct tl_str real)
{
	struct tally_addr client, group, again, a;
	bool told, is_real;

	client = tally_addr_client(peer, trusted, forwarded, real, &told);
	group = tally_addr_group(&client);
	again = tally_addr_group(&group);
	tl_assert(memcmp(&group, &again, sizeof(group)) == 0);
	if (!listed(trusted, peer) || !told) {
		tl_assert(!told && memcmp(&client, peer, sizeof(client)) == 0);
		return;
	}
	is_real = tally_addr_parse(tl_str_trim(real), &a) &&
		  memcmp(&a, &client, sizeof(a)) == 0;
	/* X-Real-IP may name whom it likes, it is a trusted one that says so;
	 * one with a port behind it is_real does not see */
	if (!is_real && memchr(real.ptr, ':', real.len) == NULL &&
	    memcmp(&client, peer, sizeof(client)) != 0)
		tl_assert(!listed(trusted, &client));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str in = { (const char *)data, size };
	struct tl_str nets = next_line(&in), peer_text = next_line(&in);
	struct tl_str forwarded = next_line(&in), real = next_line(&in), one;
	struct tally_cidr items[NETS_MAX];
	struct tally_cidr_list trusted = { .items = items };
	struct tally_addr peer, a;
	struct tl_str rest = forwarded;

	while (trusted.n < NETS_MAX && tl_str_split(&nets, ',', &one))
		if (parse_net(one, &items[trusted.n]))
			trusted.n++;
	if (!parse(peer_text, &peer))
		return 0;
	while (tl_str_split(&rest, ',', &one))
		if (parse(tl_str_trim(one), &a))
			(void)listed(&trusted, &a);
	check_client(&trusted, &peer, forwarded, real);
	return 0;
}
