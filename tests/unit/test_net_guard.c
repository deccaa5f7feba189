/* Whom tallyd may call: each refused network at its ends, each odd URL. */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conf/conf.h"
#include "net/guard.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static struct conf *conf;
static struct net_rules rules;
static struct tl_err err;
static const char *rule;

static void use(const char *const *options, size_t n)
{
	struct conf_source src = { .overrides = options, .n_overrides = n };

	conf_free(&conf);
	ck_assert_msg(conf_load(&src, &conf, &err) == TL_OK, "%s", err.text);
	net_rules_init(&rules, conf);
	rule = NULL;
}

static void setup(void)
{
	use(NULL, 0);
}

static void teardown(void)
{
	conf_free(&conf);
}

static enum tl_status check_addr(const char *text)
{
	struct tally_addr a;

	ck_assert_msg(tally_addr_parse(tl_str_c(text), &a), "'%s'", text);
	rule = NULL;
	return net_addr_check(&rules, &a, &rule, &err);
}

static const struct {
	const char *before; /* the address in front, NULL: there is none */
	const char *first, *last;
	const char *after;
	const char *rule;
} networks[] = {
	{ NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0", "address.this-network" },
	{ "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0",
	  "address.private" },
	{ "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0",
	  "address.shared" },
	{ NULL, "100.100.100.200", "100.100.100.200", NULL,
	  "address.shared" }, /* metadata of a cloud */
	{ "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0",
	  "address.loopback" },
	{ "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0",
	  "address.link-local" },
	{ NULL, "169.254.169.254", "169.254.169.254", NULL,
	  "address.link-local" }, /* metadata of most clouds */
	{ "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0",
	  "address.private" },
	{ "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0",
	  "address.protocol" },
	{ "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0",
	  "address.documentation" },
	{ "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0",
	  "address.private" },
	{ "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0",
	  "address.benchmark" },
	{ "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0",
	  "address.documentation" },
	{ "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0",
	  "address.documentation" },
	{ "223.255.255.255", "224.0.0.0", "239.255.255.255", NULL,
	  "address.multicast" },
	{ NULL, "240.0.0.0", "255.255.255.254", NULL, "address.reserved" },
	{ NULL, "255.255.255.255", "255.255.255.255", NULL,
	  "address.broadcast" },
	{ NULL, "::", "::", NULL, "address.unspecified" },
	{ NULL, "::1", "::1", NULL, "address.loopback" },
	{ NULL, "::2", "::ffff:ffff", NULL, "address.compatible" },
	{ NULL, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.unique-local" },
	{ NULL, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.link-local" },
	{ NULL, "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.site-local" },
	{ NULL, "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.multicast" },
	{ "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
	  "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
	  "2001:db9::", "address.documentation" },
	{ NULL, "64:ff9b::", "64:ff9b::ffff:ffff", NULL, "address.nat64" },
	{ NULL, "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.nat64" },
	{ "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::",
	  "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", "address.6to4" },
	{ "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::",
	  "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", NULL, "address.teredo" },
	{ NULL, "2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
	  "2001:200::", "address.protocol" },
	{ NULL, "100::", "100::ffff:ffff:ffff:ffff", NULL, "address.discard" },
	{ "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	  "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
	  "3fff:1000::", "address.documentation" },
	/* what surrounds those without neighbours above */
	{ NULL, "::1:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.reserved" },
	{ NULL, "64:ff9b::1:0:0", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.reserved" },
	{ NULL, "64:ff9b:2::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.reserved" },
	{ NULL, "100:0:0:1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	  "2000::", "address.reserved" },
	{ "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::",
	  "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, "address.reserved" },
	{ NULL, "fe00::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	  "address.reserved" },
	/* mapped addresses are the IPv4 ones */
	{ "::ffff:126.255.255.255", "::ffff:127.0.0.0",
	  "::ffff:127.255.255.255", "::ffff:128.0.0.0", "address.loopback" },
	{ "::ffff:9ff:ffff", "::ffff:a00:0", "::ffff:aff:ffff", "::ffff:b00:0",
	  "address.private" },
	{ NULL, "::ffff:0:127.0.0.1", "::ffff:0:127.0.0.1", NULL,
	  "address.reserved" },
};

START_TEST(networks_are_refused_from_first_to_last)
{
	ck_assert_int_eq(check_addr(networks[_i].first), TL_DENIED);
	ck_assert_str_eq(rule, networks[_i].rule);
	ck_assert_int_eq(check_addr(networks[_i].last), TL_DENIED);
	ck_assert_str_eq(rule, networks[_i].rule);
	if (networks[_i].before != NULL)
		ck_assert_msg(check_addr(networks[_i].before) == TL_OK, "%s",
			      err.text);
	if (networks[_i].after != NULL)
		ck_assert_msg(check_addr(networks[_i].after) == TL_OK, "%s",
			      err.text);
}
END_TEST

START_TEST(words_name_address_and_network)
{
	ck_assert_int_eq(check_addr("::ffff:169.254.169.254"), TL_DENIED);
	ck_assert_str_eq(err.text, "address 169.254.169.254 is link-local "
				   "(169.254.0.0/16)");
	ck_assert_int_eq(check_addr("fd00:ec2::254"), TL_DENIED);
	ck_assert_str_eq(err.text,
			 "address fd00:ec2::254 is unique local (fc00::/7)");
}
END_TEST

START_TEST(private_allow_opens_exactly_its_networks)
{
	static const char *const options[] = {
		"egress.private_allow=10.1.0.0/16, fd12::/32, 127.0.0.2"
	};

	use(options, 1);
	ck_assert_int_eq(check_addr("10.1.0.0"), TL_OK);
	ck_assert_int_eq(check_addr("::ffff:10.1.255.255"), TL_OK);
	ck_assert_int_eq(check_addr("10.2.0.0"), TL_DENIED);
	ck_assert_int_eq(check_addr("10.0.255.255"), TL_DENIED);
	ck_assert_int_eq(check_addr("127.0.0.2"), TL_OK);
	ck_assert_int_eq(check_addr("127.0.0.1"), TL_DENIED);
	ck_assert_int_eq(check_addr("fd12::1"), TL_OK);
	ck_assert_int_eq(check_addr("fd13::1"), TL_DENIED);
	/* the inner address alone opens no wrapper */
	ck_assert_int_eq(check_addr("::10.1.0.0"), TL_DENIED);
	ck_assert_int_eq(check_addr("64:ff9b::10.1.0.0"), TL_DENIED);
}
END_TEST

static const struct {
	const char *addr;
	const char *rule; /* NULL: passes */
} wrapped[] = {
	{ "64:ff9b::8.8.8.8", NULL },
	{ "64:ff9b::127.0.0.1", "address.loopback" },
	{ "64:ff9b::169.254.169.254", "address.link-local" },
	{ "64:ff9b::10.9.9.9", NULL }, /* both are allowed */
	{ "64:ff9b::10.8.9.9", "address.private" },
	{ "::192.168.0.1", "address.private" },
	{ "::9.9.9.9", NULL },
	{ "::ffff:0:127.0.0.1", "address.loopback" },
	{ "::ffff:0:9.9.9.9", NULL },
	{ "2002:7f00:1::", "address.loopback" },
	{ "2002:a9fe:a9fe::1", "address.link-local" },
	{ "2002:808:808::1", NULL },
	{ "2001:0:808:808::80ff:fffe", "address.loopback" }, /* ~127.0.0.1 */
	{ "2001:0:808:808::f7f7:f7f7", NULL },               /* ~8.8.8.8 */
};

START_TEST(allowed_wrappers_are_looked_into)
{
	static const char *const options[] = {
		"egress.private_allow=64:ff9b::/96, ::/96, 2002::/16, "
		"2001::/32, ::ffff:0:0:0/96, 10.9.0.0/16"
	};

	use(options, 1);
	ck_assert_msg(check_addr(wrapped[_i].addr) ==
			      (wrapped[_i].rule == NULL ? TL_OK : TL_DENIED),
		      "%s: %s", wrapped[_i].addr, err.text);
	if (wrapped[_i].rule != NULL) {
		ck_assert_str_eq(rule, wrapped[_i].rule);
		ck_assert_ptr_nonnull(strstr(err.text, "inside of "));
	}
}
END_TEST

START_TEST(only_internet_families_pass)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static const char *const options[] = { "egress.private_allow=::1" };

	in.sin_addr.s_addr = htonl(0x08080808);
	ck_assert_int_eq(
		net_sockaddr_check(&rules, (struct sockaddr *)&in, &rule, &err),
		TL_OK);
	in.sin_addr.s_addr = htonl(0x7f000001);
	ck_assert_int_eq(
		net_sockaddr_check(&rules, (struct sockaddr *)&in, &rule, &err),
		TL_DENIED);
	in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	ck_assert_int_eq(net_sockaddr_check(&rules, (struct sockaddr *)&in6,
					    &rule, &err),
			 TL_DENIED);
	use(options, 1);
	ck_assert_int_eq(net_sockaddr_check(&rules, (struct sockaddr *)&in6,
					    &rule, &err),
			 TL_OK);
	ck_assert_int_eq(
		net_sockaddr_check(&rules, (struct sockaddr *)&un, &rule, &err),
		TL_DENIED);
	ck_assert_str_eq(rule, "address.family");
}
END_TEST

static const struct {
	const char *url;
	const char *rule; /* NULL: passes */
	const char *host; /* as it is called */
} urls[] = {
	{ "https://example.com", NULL, "example.com" },
	{ "HTTPS://Example.COM:443/a?b#c", NULL, "example.com" },
	{ "https://example.com./", NULL, "example.com" },
	{ "https://xn--bcher-kva.example/", NULL, "xn--bcher-kva.example" },
	{ "https://a_b.example:0443/", NULL, "a_b.example" },
	{ "https://8.8.8.8/", NULL, "8.8.8.8" },
	{ "https://8.8.8.8./", NULL, "8.8.8.8" },
	{ "https://[2606:4700::1111]/", NULL, "2606:4700::1111" },
	{ "https://134744072/", NULL, "8.8.8.8" },
	{ "http://example.com/", "scheme", NULL },
	{ "ftp://example.com/", "scheme", NULL },
	{ "file:///etc/passwd", "url", NULL },
	{ "file://localhost/etc/passwd", "scheme", NULL },
	{ "gopher://example.com/", "scheme", NULL },
	{ "javascript:alert(1)", "url", NULL },
	{ "example.com", "url", NULL },
	{ "//example.com/", "url", NULL },
	{ "", "url", NULL },
	{ "https:", "url", NULL },
	{ "https:/example.com/", "url", NULL },
	{ "https:///example.com/", "url", NULL },
	{ "https://", "host", NULL },
	{ "https://:443/", "host", NULL },
	{ "https://?a", "host", NULL },
	{ "https://exa mple.com/", "url", NULL },
	{ "https://example.com/a b", "url", NULL },
	{ " https://example.com/", "url", NULL },
	{ "https://example.com/\n", "url", NULL },
	{ "https://example.com\\@8.8.8.8/", "url", NULL },
	{ "https://ex%00ample.com/", "host", NULL },
	{ "https://b\xc3\xbc"
	  "cher.example/",
	  "url", NULL },
	/* digits of other scripts, which libidn turns into 127.0.0.1 */
	{ "https://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/", "url", NULL },
	{ "https://user@example.com/", "userinfo", NULL },
	{ "https://user:pw@example.com/", "userinfo", NULL },
	{ "https://:pw@example.com/", "userinfo", NULL },
	{ "https://@example.com/", "userinfo", NULL },
	{ "https://example.com:80/", "port", NULL },
	{ "https://example.com:22/", "port", NULL },
	{ "https://example.com:0/", "port", NULL },
	{ "https://example.com:65536/", "port", NULL },
	{ "https://127.0.0.1/", "address.loopback", NULL },
	{ "https://2130706433/", "address.loopback", NULL },
	{ "https://0177.0.0.1/", "address.loopback", NULL },
	{ "https://0x7f.0.0.1/", "address.loopback", NULL },
	{ "https://0x7f000001/", "address.loopback", NULL },
	{ "https://017700000001/", "address.loopback", NULL },
	{ "https://127.1/", "address.loopback", NULL },
	{ "https://127.0.1/", "address.loopback", NULL },
	{ "https://127.0.0.1./", "address.loopback", NULL },
	{ "https://%31%32%37.0.0.1/", "address.loopback", NULL },
	{ "https://0/", "address.this-network", NULL },
	{ "https://2852039166/", "address.link-local", NULL },
	{ "https://169.254.169.254/latest/", "address.link-local", NULL },
	{ "https://[::1]/", "address.loopback", NULL },
	{ "https://[::]/", "address.unspecified", NULL },
	{ "https://[::ffff:127.0.0.1]/", "address.loopback", NULL },
	{ "https://[::ffff:7f00:1]/", "address.loopback", NULL },
	{ "https://[0:0:0:0:0:ffff:a9fe:a9fe]/", "address.link-local", NULL },
	{ "https://[::127.0.0.1]/", "address.compatible", NULL },
	{ "https://[64:ff9b::7f00:1]/", "address.nat64", NULL },
	{ "https://[fd00:ec2::254]/", "address.unique-local", NULL },
	{ "https://[fe80::1%25eth0]/", "host", NULL },
	{ "https://[2606:4700::1111%25eth0]/", "host", NULL },
	{ "https://[8.8.8.8]/", "host", NULL },
	/* neither an address nor a name */
	{ "https://4294967296/", "host", NULL },
	{ "https://256.1.1.1/", "host", NULL },
	{ "https://1.2.3.4.5/", "host", NULL },
	{ "https://08.1.1.1/", "host", NULL },
	{ "https://0x/", "host", NULL },
	{ "https://2130706433./", "host", NULL },
	{ "https://example.0x7f/", "host", NULL },
	{ "https://a..example/", "host", NULL },
	{ "https://.example/", "host", NULL },
	{ "https://./", "host", NULL },
	{ "https://example../", "host", NULL },
	{ "https://localhost/", "address.loopback", NULL },
	{ "https://LocalHost./", "address.loopback", NULL },
	{ "https://a.localhost/", "address.loopback", NULL },
	{ "https://notlocalhost/", NULL, "notlocalhost" },
};

START_TEST(urls_are_judged)
{
	struct net_target target;
	enum tl_status st;

	st = net_url_check(&rules, urls[_i].url, &target, &rule, &err);
	ck_assert_msg(st == (urls[_i].rule == NULL ? TL_OK : TL_DENIED),
		      "'%s': %d %s", urls[_i].url, (int)st, err.text);
	if (urls[_i].rule != NULL) {
		ck_assert_msg(strcmp(rule, urls[_i].rule) == 0, "'%s': %s: %s",
			      urls[_i].url, rule, err.text);
		return;
	}
	ck_assert_str_eq(target.host, urls[_i].host);
	ck_assert_uint_eq(target.port, 443);
	ck_assert(target.https);
	ck_assert(target.literal == (strpbrk(target.host, "xnel") == NULL));
}
END_TEST

START_TEST(http_and_ports_are_opened_by_settings)
{
	static const char *const options[] = { "egress.allow_http=yes",
					       "egress.allowed_ports=8443, 1" };
	static const struct {
		const char *url;
		const char *rule;
	} cases[] = {
		{ "http://example.com/", NULL },
		{ "http://example.com:80/", NULL },
		{ "http://example.com:443/", "port" },
		{ "https://example.com:80/", "port" },
		{ "https://example.com:8443/", NULL },
		{ "http://example.com:8443/", NULL },
		{ "https://example.com:1/", NULL },
		{ "https://example.com:8444/", "port" },
		{ "ftp://example.com/", "scheme" },
		{ "http://2130706433/", "address.loopback" },
	};
	struct net_target target;

	use(options, 2);
	for (int i = 0; i < COUNT(cases); i++) {
		enum tl_status st = net_url_check(&rules, cases[i].url, &target,
						  &rule, &err);

		ck_assert_msg(st == (cases[i].rule ? TL_DENIED : TL_OK), "%s",
			      cases[i].url);
		if (cases[i].rule != NULL)
			ck_assert_str_eq(rule, cases[i].rule);
	}
}
END_TEST

START_TEST(lengths_end_where_they_should)
{
	char url[NET_URL_MAX + 2] = "https://example.com/";
	char host[400] = "https://";
	struct net_target target;
	size_t n = strlen(url);

	memset(url + n, 'a', NET_URL_MAX - n);
	ck_assert_int_eq(net_url_check(&rules, url, &target, &rule, &err),
			 TL_OK);
	url[NET_URL_MAX] = 'a';
	ck_assert_int_eq(net_url_check(&rules, url, &target, &rule, &err),
			 TL_DENIED);
	/* 63 * 4 + 3 dots = 255: labels are fine, the whole is too long */
	for (int i = 0; i < 4; i++) {
		n = strlen(host);
		memset(host + n, 'a', 63);
		host[n + 63] = i < 3 ? '.' : '\0';
	}
	ck_assert_int_eq(net_url_check(&rules, host, &target, &rule, &err),
			 TL_DENIED);
	ck_assert_str_eq(rule, "host");
	host[8 + 253] = '\0';
	ck_assert_int_eq(net_url_check(&rules, host, &target, &rule, &err),
			 TL_OK);
	ck_assert_uint_eq(strlen(target.host), 253);
	/* a label of 64 */
	host[8 + 63] = 'a';
	ck_assert_int_eq(net_url_check(&rules, host, &target, &rule, &err),
			 TL_DENIED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/guard");
	TCase *tc = tcase_create("guard");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, networks_are_refused_from_first_to_last, 0,
			    COUNT(networks));
	tcase_add_test(tc, words_name_address_and_network);
	tcase_add_test(tc, private_allow_opens_exactly_its_networks);
	tcase_add_loop_test(tc, allowed_wrappers_are_looked_into, 0,
			    COUNT(wrapped));
	tcase_add_test(tc, only_internet_families_pass);
	tcase_add_loop_test(tc, urls_are_judged, 0, COUNT(urls));
	tcase_add_test(tc, http_and_ports_are_opened_by_settings);
	tcase_add_test(tc, lengths_end_where_they_should);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
