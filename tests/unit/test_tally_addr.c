/* Addresses, networks, and whose address a request has. */
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "tally/addr.h"

static struct tally_addr addr(const char *text)
{
	struct tally_addr a;

	ck_assert_msg(tally_addr_parse(tl_str_c(text), &a), "'%s'", text);
	return a;
}

static const struct {
	const char *in, *out; /* out NULL: refused */
} addresses[] = {
	{ "203.0.113.9", "203.0.113.9" },
	{ "::ffff:203.0.113.9", "203.0.113.9" },
	{ "::FFFF:cb00:7109", "203.0.113.9" },
	{ "::1", "::1" },
	{ "::", "::" },
	{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.254",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe" },
	{ "", NULL },
	{ "1.2.3", NULL },
	{ "1.2.3.4.5", NULL },
	{ "01.2.3.4", NULL },
	{ "256.2.3.4", NULL },
	{ " 1.2.3.4", NULL },
	{ "1.2.3.4 ", NULL },
	{ "1.2.3.4:80", NULL },
	{ "[::1]", NULL },
	{ "fe80::1%eth0", NULL },
	{ "1::2::3", NULL },
	{ "localhost", NULL },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL },
};

START_TEST(address_text_is_strict)
{
	struct tally_addr a;
	char text[TALLY_ADDR_TEXT];
	bool ok = tally_addr_parse(tl_str_c(addresses[_i].in), &a);

	ck_assert_msg(ok == (addresses[_i].out != NULL), "'%s'",
		      addresses[_i].in);
	if (!ok)
		return;
	ck_assert_uint_eq(tally_addr_format(&a, text), strlen(text));
	ck_assert_str_eq(text, addresses[_i].out);
}
END_TEST

START_TEST(nul_inside_does_not_shorten)
{
	struct tally_addr a;

	ck_assert(!tally_addr_parse((struct tl_str){ "1.2.3.4\0x", 9 }, &a));
}
END_TEST

START_TEST(sockets_give_addresses)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr = { htonl(0x01020304) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr other = { .sa_family = AF_UNSPEC };
	struct tally_addr a, want;

	ck_assert(tally_addr_from_sockaddr((struct sockaddr *)&in, &a));
	want = addr("1.2.3.4");
	ck_assert_mem_eq(&a, &want, 16);
	want = addr("2001:db8::5");
	memcpy(&in6.sin6_addr, want.b, 16);
	ck_assert(tally_addr_from_sockaddr((struct sockaddr *)&in6, &a));
	ck_assert_mem_eq(&a, &want, 16);
	ck_assert(tally_addr_from_sockaddr((struct sockaddr *)&un, &a));
	want = addr("::1");
	ck_assert_mem_eq(&a, &want, 16);
	ck_assert(!tally_addr_from_sockaddr(&other, &a));
}
END_TEST

START_TEST(ipv6_is_counted_by_its_64)
{
	struct tally_addr a = addr("2001:db8:1:2:3:4:5:6"), g;
	char text[TALLY_ADDR_TEXT];

	g = tally_addr_group(&a);
	tally_addr_format(&g, text);
	ck_assert_str_eq(text, "2001:db8:1:2::");
	a = addr("203.0.113.9");
	g = tally_addr_group(&a);
	ck_assert_mem_eq(&g, &a, 16);
}
END_TEST

static const struct {
	const char *net, *out; /* out NULL: refused */
	const char *in, *outside;
} nets[] = {
	{ "10.0.0.0/8", "10.0.0.0/8", "10.255.1.2", "11.0.0.0" },
	{ "::ffff:10.0.0.0/104", "10.0.0.0/8", "10.1.2.3", "::1" },
	{ "1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.5" },
	{ "1.2.3.4/32", "1.2.3.4", "::ffff:1.2.3.4", "1.2.3.5" },
	{ "0.0.0.0/0", "0.0.0.0/0", "255.1.1.1", "::1" },
	{ "128.0.0.0/1", "128.0.0.0/1", "255.1.1.1", "127.255.255.255" },
	{ "1.2.3.4/31", "1.2.3.4/31", "1.2.3.5", "1.2.3.6" },
	{ "::/0", "::/0", "1.2.3.4", NULL },
	{ "::1", "::1", "::1", "127.0.0.1" },
	{ "2001:db8::/33", "2001:db8::/33",
	  "2001:db8:7fff::", "2001:db8:8000::" },
	{ "1.2.3.4/31 ", NULL, NULL, NULL },
	{ "1.2.3.5/31", NULL, NULL, NULL },
	{ "10.0.0.1/8", NULL, NULL, NULL },
	{ "10.0.0.0/33", NULL, NULL, NULL },
	{ "::/129", NULL, NULL, NULL },
	{ "::1/64", NULL, NULL, NULL },
	{ "10.0.0.0/", NULL, NULL, NULL },
	{ "10.0.0.0/-1", NULL, NULL, NULL },
	{ "10.0.0.0/8/8", NULL, NULL, NULL },
	{ "/8", NULL, NULL, NULL },
	{ "", NULL, NULL, NULL },
	{ "10/8", NULL, NULL, NULL },
};

START_TEST(network_text_is_strict_and_membership_exact)
{
	struct tally_cidr c;
	struct tally_addr a;
	char text[TALLY_ADDR_TEXT + 4];
	struct tl_err err;
	enum tl_status st = tally_cidr_parse(tl_str_c(nets[_i].net), &c, &err);

	ck_assert_msg((st == TL_OK) == (nets[_i].out != NULL), "'%s'",
		      nets[_i].net);
	if (st != TL_OK) {
		ck_assert_int_eq(st, TL_INVALID);
		return;
	}
	ck_assert_uint_eq(tally_cidr_format(&c, text), strlen(text));
	ck_assert_str_eq(text, nets[_i].out);
	a = addr(nets[_i].in);
	ck_assert(tally_cidr_has(&c, &a));
	if (nets[_i].outside != NULL) {
		a = addr(nets[_i].outside);
		ck_assert(!tally_cidr_has(&c, &a));
	}
}
END_TEST

START_TEST(host_bits_come_with_a_cure)
{
	struct tally_cidr c;
	struct tl_err err;

	ck_assert_int_eq(tally_cidr_parse(TL_STR("10.1.2.3/8"), &c, &err),
			 TL_INVALID);
	ck_assert_str_eq(err.text, "'10.1.2.3/8' has bits behind its prefix; "
				   "give 10.0.0.0/8");
}
END_TEST

/* Trusted are 10.0.0.0/8 and ::1. */
static const struct {
	const char *peer, *forwarded, *real_ip, *want;
	bool told;
} clients[] = {
	/* a stranger's headers mean nothing */
	{ "9.9.9.9", "1.1.1.1", "2.2.2.2", "9.9.9.9", false },
	{ "10.0.0.1", NULL, NULL, "10.0.0.1", false },
	{ "10.0.0.1", "1.1.1.1", NULL, "1.1.1.1", true },
	{ "::1", " 1.1.1.1 ", NULL, "1.1.1.1", true },
	/* what stands left of the first stranger is hearsay */
	{ "10.0.0.1", "6.6.6.6, 1.1.1.1", NULL, "1.1.1.1", true },
	{ "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2,::1", NULL, "1.1.1.1", true },
	{ "10.0.0.1", "1.1.1.1", "2.2.2.2", "1.1.1.1", true },
	/* only trusted ones: X-Real-IP, then the peer */
	{ "10.0.0.1", "10.0.0.3, 10.0.0.2", "2.2.2.2", "2.2.2.2", true },
	{ "10.0.0.1", "10.0.0.3", NULL, "10.0.0.1", true },
	{ "10.0.0.1", NULL, "2001:db8::1", "2001:db8::1", true },
	/* malformed: the walk ends there */
	{ "10.0.0.1", "1.1.1.1, junk", "2.2.2.2", "2.2.2.2", true },
	{ "10.0.0.1", "1.1.1.1, junk, 10.0.0.2", NULL, "10.0.0.1", false },
	{ "10.0.0.1", "junk, 1.1.1.1", NULL, "1.1.1.1", true },
	{ "10.0.0.1", "1.1.1.1,", NULL, "10.0.0.1", false },
	{ "10.0.0.1", "unknown", "junk", "10.0.0.1", false },
	/* ports, as some proxies write them */
	{ "10.0.0.1", "1.1.1.1:4711", NULL, "1.1.1.1", true },
	{ "10.0.0.1", "[2001:db8::1]:4711", NULL, "2001:db8::1", true },
	{ "10.0.0.1", "[2001:db8::1]", NULL, "2001:db8::1", true },
	{ "10.0.0.1", "2001:db8::1", NULL, "2001:db8::1", true },
	{ "10.0.0.1", "1.1.1.1:99999", NULL, "10.0.0.1", false },
	{ "10.0.0.1", "[2001:db8::1", NULL, "10.0.0.1", false },
	{ "10.0.0.1", "[2001:db8::1]x", NULL, "10.0.0.1", false },
	/* a mapped address is the IPv4 address */
	{ "::ffff:10.0.0.1", "::ffff:1.1.1.1", NULL, "1.1.1.1", true },
};

START_TEST(client_is_the_nearest_stranger)
{
	struct tally_cidr items[2];
	struct tally_cidr_list trusted = { items, 2 };
	struct tally_addr peer = addr(clients[_i].peer), got;
	char text[TALLY_ADDR_TEXT];
	bool told;

	ck_assert_int_eq(
		tally_cidr_parse(TL_STR("10.0.0.0/8"), &items[0], NULL), TL_OK);
	ck_assert_int_eq(tally_cidr_parse(TL_STR("::1"), &items[1], NULL),
			 TL_OK);
	got = tally_addr_client(&peer, &trusted,
				tl_str_c(clients[_i].forwarded),
				tl_str_c(clients[_i].real_ip), &told);
	ck_assert(told == clients[_i].told);
	tally_addr_format(&got, text);
	ck_assert_str_eq(text, clients[_i].want);
}
END_TEST

START_TEST(empty_list_has_nobody)
{
	struct tally_cidr_list l = { NULL, 0 };
	struct tally_addr a = addr("::1");

	ck_assert(!tally_cidr_list_has(&l, &a));
	l.items = tl_alloc_array(1, sizeof(*l.items));
	l.n = 1;
	ck_assert(tally_cidr_list_has(&l, &a)); /* ::/0 */
	tally_cidr_list_deinit(&l);
	ck_assert(!tally_cidr_list_has(&l, &a));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tally/addr");
	TCase *tc = tcase_create("addr");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, address_text_is_strict, 0,
			    sizeof(addresses) / sizeof(addresses[0]));
	tcase_add_test(tc, nul_inside_does_not_shorten);
	tcase_add_test(tc, sockets_give_addresses);
	tcase_add_test(tc, ipv6_is_counted_by_its_64);
	tcase_add_loop_test(tc, network_text_is_strict_and_membership_exact, 0,
			    sizeof(nets) / sizeof(nets[0]));
	tcase_add_test(tc, host_bits_come_with_a_cure);
	tcase_add_loop_test(tc, client_is_the_nearest_stranger, 0,
			    sizeof(clients) / sizeof(clients[0]));
	tcase_add_test(tc, empty_list_has_nobody);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
