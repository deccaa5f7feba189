#include <check.h>
#include <stdlib.h>

#include "asker.h"
#include "procs.h"

/* Limits by name: scopes, overrides, gcra, shadow, changes of a limit. */

static struct tally_limit_row limit;
static struct decide_extra extra;

static void up(void)
{
	asker_up();
	limit = (struct tally_limit_row){ .name = TL_STR("images"),
					  .count = 3,
					  .window_ms = 60000,
					  .algorithm = TALLY_SLIDING,
					  .scope = TALLY_SCOPE_KEY };
	limit.limit_id.b[0] = 9;
	extra = (struct decide_extra){ TL_STR("images"), 1 };
	in.extras = &extra;
	in.n_extras = 1;
}

static void given(void)
{
	asker_limits(&limit, 1);
	asker_take();
}

/* How many of n pass. */
static uint32_t passes(uint32_t n)
{
	uint32_t ok = 0;

	while (n-- > 0)
		ok += ask() == DECIDE_OK;
	return ok;
}

START_TEST(a_named_limit_is_all_or_none_with_the_others)
{
	given();

	ck_assert_uint_eq(passes(5), 3);
	ck_assert_int_eq(out.code, DECIDE_RATE_LIMITED);
	ck_assert_str_eq(out.rates[out.tightest].name, "images");
	ck_assert_uint_eq(asker_charged(), 3); /* refusals gave it back */
	ck_assert_uint_eq(asker_credits(), 3);
	in.n_extras = 0;
	ck_assert_int_eq(ask(), DECIDE_OK);
}
END_TEST

START_TEST(a_named_limit_weighs_its_cost)
{
	given();
	extra.cost = 2;
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
	extra.cost = 1;
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(out.rates[1].remaining, 0);
}
END_TEST

START_TEST(a_refusal_by_quota_gives_all_limits_back)
{
	row.user.base_credits = 1000;
	given();

	ck_assert_uint_eq(passes(5), 0);
	in.cost = 0;
	ck_assert_uint_eq(passes(5), 3);
}
END_TEST

START_TEST(names_are_known_with_their_scope)
{
	enum tally_scope scope = TALLY_SCOPE_USER;

	given();
	ck_assert(decide_limit_known(&asker, TL_STR("images"), &scope));
	ck_assert_int_eq(scope, TALLY_SCOPE_KEY);
	ck_assert(!decide_limit_known(&asker, TL_STR("image"), &scope));
}
END_TEST

/* Two keys of one user, from two addresses. */
static uint32_t passes_of_two(void)
{
	static char other[40];
	struct tl_str first = in.key;
	uint32_t ok = passes(2);

	segment_row(2, 1, &row);
	segment_take_in(shm, &row);
	segment_key_text(2, other);
	in.key = tl_str_c(other);
	in.client = asker_address("192.0.2.77");
	ok += passes(2);
	in.key = first;
	in.client = asker_address("192.0.2.1");
	return ok;
}

static const struct {
	enum tally_scope scope;
	uint32_t ok;
} scopes[] = { { TALLY_SCOPE_KEY, 4 },
	       { TALLY_SCOPE_USER, 3 },
	       { TALLY_SCOPE_ADDRESS, 4 } };

START_TEST(a_limit_counts_by_its_scope)
{
	limit.scope = scopes[_i].scope;
	given();

	ck_assert_uint_eq(passes_of_two(), scopes[_i].ok);
}
END_TEST

START_TEST(an_address_limit_joins_keys_of_one_address)
{
	limit.scope = TALLY_SCOPE_ADDRESS;
	given();
	ck_assert_uint_eq(passes(2), 2);
	segment_row(2, 2, &row);
	segment_take_in(shm, &row);
	in.key = TL_STR("test_00000000000000000000000000000002");

	ck_assert_uint_eq(passes(5), 1);
}
END_TEST

START_TEST(a_key_may_have_its_own_count)
{
	struct tally_override own = { limit.limit_id, 5 };

	row.overrides = &own;
	row.n_overrides = 1;
	given();

	ck_assert_uint_eq(passes(9), 5);
}
END_TEST

/* A limit of scope user that is set for a user counts without being named. */
START_TEST(a_limit_set_for_a_user_counts_always)
{
	struct tally_override own = { limit.limit_id, 2 };

	limit.scope = TALLY_SCOPE_USER;
	row.user.overrides = &own;
	row.user.n_overrides = 1;
	given();
	in.n_extras = 0;

	ck_assert_uint_eq(passes(5), 2);
	ck_assert_str_eq(out.rates[out.tightest].name, "images");
	in.n_extras = 1; /* named as well: once */
	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
	ck_assert_uint_eq(out.n_rates, 2);
}
END_TEST

START_TEST(a_plan_may_set_the_rate_of_keys)
{
	in.n_extras = 0;
	asker.rules.limits_from_plan = true;
	given();

	ck_assert_uint_eq(passes(9), 7);
	row.rate_limit = 8; /* the key's own comes first */
	asker_take();
	ck_assert_uint_eq(passes(9), 1);
}
END_TEST

START_TEST(gcra_allows_its_burst_and_then_its_pace)
{
	uint64_t now;

	limit.algorithm = TALLY_GCRA;
	limit.count = 60; /* one a second */
	limit.burst = 3;
	given();
	now = tl_mono_ns();

	ck_assert_int_eq(ask_at(now), DECIDE_OK);
	ck_assert_int_eq(ask_at(now), DECIDE_OK);
	ck_assert_int_eq(ask_at(now), DECIDE_OK);
	ck_assert_int_eq(ask_at(now), DECIDE_RATE_LIMITED);
	ck_assert_uint_eq(out.retry_after_ms, 1000);
	ck_assert_int_eq(ask_at(now + TL_NS_PER_S), DECIDE_OK);
	ck_assert_int_eq(ask_at(now + TL_NS_PER_S), DECIDE_RATE_LIMITED);
}
END_TEST

START_TEST(a_shadow_limit_refuses_nothing_and_tells)
{
	limit.shadow = true;
	limit.count = 1;
	given();

	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert(!out.rates[1].shadow_refused);
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert(out.rates[1].shadow_refused);
	ck_assert_str_eq(out.rates[out.tightest].name, "key");
	ck_assert_uint_eq(asker_credits(), 2);
}
END_TEST

/* ---- a limit changes ---- */

START_TEST(a_new_count_holds_at_the_next_request)
{
	given();
	ck_assert_uint_eq(passes(5), 3);
	limit.count = 5;
	given();
	ck_assert_uint_eq(passes(5), 2);
	limit.count = 1;
	given();
	ck_assert_uint_eq(passes(5), 0);
}
END_TEST

START_TEST(a_new_window_starts_with_the_old_charges)
{
	given();
	ck_assert_uint_eq(passes(2), 2);
	limit.window_ms = 3600000;
	given();

	ck_assert_uint_eq(passes(5), 1);
}
END_TEST

/* The word of one algorithm read as the other's would refuse for ever, or
 * never let the process go. */
START_TEST(another_algorithm_starts_anew)
{
	limit.algorithm = _i == 0 ? TALLY_GCRA : TALLY_SLIDING;
	limit.window_ms = 3600000;
	limit.burst = 3;
	given();
	ck_assert_uint_eq(passes(5), 3);
	limit.algorithm = _i == 0 ? TALLY_SLIDING : TALLY_GCRA;
	given();

	ck_assert_uint_eq(passes(5), 3);
}
END_TEST

START_TEST(a_limit_that_went_is_no_limit)
{
	given();
	ck_assert_uint_eq(passes(5), 3);
	asker_limits(NULL, 0);

	ck_assert_uint_eq(passes(5), 5);
}
END_TEST

/* ---- a flood ---- */

/* More addresses than the table has places: each still has a limit, and the
 * windows of keys are not taken. */
START_TEST(a_flood_of_addresses_opens_nothing)
{
	struct tally_limit_row two[2];
	struct decide_extra login = { TL_STR("login"), 1 };
	uint32_t i;

	two[0] = two[1] = limit;
	two[1].name = TL_STR("login");
	two[1].limit_id.b[0] = 10;
	two[1].scope = TALLY_SCOPE_ADDRESS;
	asker_limits(two, 2);
	asker_take();
	ck_assert_uint_eq(passes(5), 3);
	asker.rules.key_count = 1000000;
	in.cost = 0;
	in.extras = &login;
	for (i = 0; i < 4 * shm->n_windows; i++) {
		memcpy(in.client.b + 12, &i, 4);
		ck_assert_int_ne(ask(), DECIDE_UNAUTHORIZED);
	}

	in.extras = &extra;
	ck_assert_uint_eq(passes(5), 0);
	ck_assert_int_eq(out.code, DECIDE_RATE_LIMITED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decide/limits");
	TCase *tc = tcase_create("limits");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, asker_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_named_limit_is_all_or_none_with_the_others);
	tcase_add_test(tc, a_named_limit_weighs_its_cost);
	tcase_add_test(tc, a_refusal_by_quota_gives_all_limits_back);
	tcase_add_test(tc, names_are_known_with_their_scope);
	tcase_add_loop_test(tc, a_limit_counts_by_its_scope, 0,
			    sizeof(scopes) / sizeof(scopes[0]));
	tcase_add_test(tc, an_address_limit_joins_keys_of_one_address);
	tcase_add_test(tc, a_key_may_have_its_own_count);
	tcase_add_test(tc, a_limit_set_for_a_user_counts_always);
	tcase_add_test(tc, a_plan_may_set_the_rate_of_keys);
	tcase_add_test(tc, gcra_allows_its_burst_and_then_its_pace);
	tcase_add_test(tc, a_shadow_limit_refuses_nothing_and_tells);
	tcase_add_test(tc, a_new_count_holds_at_the_next_request);
	tcase_add_test(tc, a_new_window_starts_with_the_old_charges);
	tcase_add_loop_test(tc, another_algorithm_starts_anew, 0, 2);
	tcase_add_test(tc, a_limit_that_went_is_no_limit);
	tcase_add_test(tc, a_flood_of_addresses_opens_nothing);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
