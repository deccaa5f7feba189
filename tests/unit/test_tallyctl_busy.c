/*
 * test_tallyctl_busy.c - the busiest keys and addresses of the decision ring.
 */
#include <check.h>
#include <stdlib.h>

#include "decide/decide.h"
#include "segment.h"
#include "shm/ring.h"
#include "tallyctl/busy.h"

#define RING 1024 /* of segment_open */

static struct shm *s;
static struct busy b;
static struct busy_row top[BUSY_TOP];

static void setup(void)
{
	s = segment_open(16, 100);
	busy_init(&b);
	busy_attach(&b, s);
}

static void teardown(void)
{
	busy_deinit(&b);
	segment_close(&s);
}

static void fill(struct shm_decision *r, uint32_t key, const char *client,
		 enum decide_code code, uint32_t cost)
{
	struct tally_addr addr;

	memset(r->key_id, 0, sizeof(r->key_id));
	memcpy(r->key_id, &key, sizeof(key));
	ck_assert(tally_addr_parse(tl_str_c(client), &addr));
	memcpy(r->client, addr.b, sizeof(r->client));
	r->code = (uint8_t)code;
	r->cost = cost;
}

/* One decision; key 0: none was presented. */
static void decided(uint32_t key, const char *client, enum decide_code code,
		    uint32_t cost)
{
	uint64_t pos;
	struct shm_decision *r = shm_ring_claim(s, &pos);

	fill(r, key, client, code, cost);
	shm_ring_publish(r, pos);
}

static uint32_t key_of(const struct busy_row *row)
{
	uint32_t key;

	memcpy(&key, row->id, sizeof(key));
	return key;
}

START_TEST(the_busiest_come_first_with_what_became_of_them)
{
	for (int i = 0; i < 5; i++)
		decided(7, "10.0.0.1", i < 3 ? DECIDE_OK : DECIDE_RATE_LIMITED,
			4);
	decided(8, "10.0.0.2", DECIDE_OK, 1);
	decided(0, "10.0.0.2", DECIDE_UNAUTHORIZED, 0);

	busy_read(&b);

	ck_assert_uint_eq(busy_top(&b.keys, top, BUSY_TOP), 2);
	ck_assert_uint_eq(key_of(&top[0]), 7);
	ck_assert_uint_eq(top[0].decisions, 5);
	ck_assert_uint_eq(top[0].refused, 2);
	ck_assert_uint_eq(top[0].credits, 12);
	ck_assert_uint_eq(key_of(&top[1]), 8);
	ck_assert_uint_eq(busy_top(&b.addresses, top, BUSY_TOP), 2);
	ck_assert_uint_eq(top[1].decisions, 2);
	ck_assert_uint_eq(top[1].refused, 1);
	ck_assert_uint_eq(b.seen, 7);
	ck_assert_uint_eq(b.lost, 0);
}
END_TEST

START_TEST(only_what_came_since_the_last_interval_counts)
{
	decided(1, "10.0.0.1", DECIDE_OK, 1);
	busy_read(&b);
	busy_reset(&b);
	decided(2, "10.0.0.1", DECIDE_OK, 1);

	busy_read(&b);

	ck_assert_uint_eq(busy_top(&b.keys, top, BUSY_TOP), 1);
	ck_assert_uint_eq(key_of(&top[0]), 2);
}
END_TEST

/* As limits count: nobody is busier by changing the low half of an address. */
START_TEST(a_network_of_ipv6_is_one_client)
{
	decided(1, "2001:db8:1:2::3", DECIDE_OK, 1);
	decided(1, "2001:db8:1:2:ffff::1", DECIDE_OK, 1);
	decided(1, "2001:db8:1:3::1", DECIDE_OK, 1);

	busy_read(&b);

	ck_assert_uint_eq(busy_top(&b.addresses, top, BUSY_TOP), 2);
	ck_assert_uint_eq(top[0].decisions, 2);
}
END_TEST

START_TEST(what_was_overwritten_is_told)
{
	for (uint32_t i = 0; i < RING + 100; i++)
		decided(1, "10.0.0.1", DECIDE_OK, 1);

	busy_read(&b);

	ck_assert_uint_eq(b.lost, 100);
	ck_assert_uint_eq(b.seen, RING);
}
END_TEST

START_TEST(a_record_half_written_is_waited_for_once)
{
	struct shm_decision *half;
	uint64_t pos;

	half = shm_ring_claim(s, &pos);
	decided(2, "10.0.0.1", DECIDE_OK, 1);

	busy_read(&b);
	ck_assert_uint_eq(b.seen, 0);
	fill(half, 1, "10.0.0.1", DECIDE_OK, 1);
	shm_ring_publish(half, pos);
	busy_read(&b);
	ck_assert_uint_eq(b.seen, 2);

	(void)shm_ring_claim(s, &pos); /* its writer dies */
	decided(3, "10.0.0.1", DECIDE_OK, 1);
	busy_read(&b);
	busy_read(&b);
	ck_assert_uint_eq(b.seen, 3);
	ck_assert_uint_eq(b.lost, 1);
}
END_TEST

START_TEST(many_keys_are_ranked_and_the_list_is_cut)
{
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t key = 1; key <= 900; key++)
			decided(1000 * round + key, "10.0.0.1", DECIDE_OK, 1);
		decided(5, "10.0.0.1", DECIDE_OK, 1);
		busy_read(&b);
	}

	ck_assert_uint_eq(b.keys.used, 20 * 900);
	ck_assert_uint_eq(busy_top(&b.keys, top, 3), 3);
	ck_assert_uint_eq(key_of(&top[0]), 5);
	ck_assert_uint_eq(top[0].decisions, 21);
	ck_assert_uint_eq(top[1].decisions, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tallyctl busy");
	TCase *t = tcase_create("busy");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_busiest_come_first_with_what_became_of_them);
	tcase_add_test(t, only_what_came_since_the_last_interval_counts);
	tcase_add_test(t, a_network_of_ipv6_is_one_client);
	tcase_add_test(t, what_was_overwritten_is_told);
	tcase_add_test(t, a_record_half_written_is_waited_for_once);
	tcase_add_test(t, many_keys_are_ranked_and_the_list_is_cut);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
