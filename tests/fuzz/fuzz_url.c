/*
 * fuzz_url.c - URLs against the rules of egress.
 *
 * The first byte is a set of rules, the rest the URL.  One that may be called
 * names its host in plain form; put together again from what was found it is
 * found as the same; an address in it is a public one by a reading of its
 * own, and no name of it is one that resolvers take for an address.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/guard.h"
#include "tests/fuzz/fuzz.h"

/* Networks that no public address lies in; the most of them is enough. */
static bool is_inner(const uint8_t b[4])
{
	return b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 ||
	       (b[0] == 169 && b[1] == 254) || (b[0] == 192 && b[1] == 168) ||
	       (b[0] == 172 && b[1] >= 16 && b[1] < 32) ||
	       (b[0] == 100 && b[1] >= 64 && b[1] < 128);
}

static void check_literal(const char *host)
{
	static const uint8_t mapped[12] = { [10] = 255, 255 };
	uint8_t b[16], v4[4];

	if (inet_pton(AF_INET, host, v4) == 1) {
		tl_assert(!is_inner(v4));
		return;
	}
	tl_assert(inet_pton(AF_INET6, host, b) == 1);
	if (memcmp(b, mapped, 12) == 0) {
		tl_assert(!is_inner(b + 12));
		return;
	}
	tl_assert(b[0] >> 5 == 1); /* 2000::/3 */
	if (b[0] == 0x20 && b[1] == 2)
		tl_assert(!is_inner(b + 2));
}

static void check_name(const char *host)
{
	const char *dot = strrchr(host, '.'), *last;
	struct in_addr any;
	size_t len = strlen(host);

	last = dot != NULL ? dot + 1 : host;
	tl_assert(len > 0 && len <= NET_HOST_MAX);
	tl_assert(strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789._-") ==
		  len);
	tl_assert(last[0] != '\0' && strspn(last, "0123456789") < strlen(last));
	tl_assert(inet_aton(host, &any) == 0);
	tl_assert(strcmp(last, "localhost") != 0);
}

static void check_target(const struct net_rules *rules,
			 const struct net_target *t)
{
	char url[NET_HOST_MAX + 64];
	struct net_target again;
	const char *rule = NULL;
	bool v6 = strchr(t->host, ':') != NULL;

	tl_assert(t->https || rules->allow_http);
	tl_assert(t->port == (t->https ? 443 : 80) || t->port == 8443);
	if (t->literal)
		check_literal(t->host);
	else
		check_name(t->host);
	snprintf(url, sizeof(url), "%s://%s%s%s:%u/",
		 t->https ? "https" : "http", v6 ? "[" : "", t->host,
		 v6 ? "]" : "", (unsigned)t->port);
	tl_assert(net_url_check(rules, url, &again, &rule, NULL) == TL_OK);
	tl_assert(strcmp(again.host, t->host) == 0 && again.port == t->port &&
		  again.https == t->https && again.literal == t->literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { data, size };
	struct net_rules rules = { .allow_http = (fuzz_u8(&b) & 1) != 0,
				   .ports = { 8443 },
				   .n_ports = 1 };
	char *url = tl_strndup(fuzz_rest(&b).ptr, b.n);
	const char *rule = NULL;
	struct net_target t;
	struct tl_err err;

	if (net_url_check(&rules, url, &t, &rule, &err) == TL_OK) {
		tl_assert(rule == NULL);
		check_target(&rules, &t);
	} else {
		tl_assert(err.status == TL_DENIED && rule != NULL);
		tl_assert(err.text[0] != '\0');
	}
	tl_free(url);
	return 0;
}
