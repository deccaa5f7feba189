#include <check.h>
#include <stdlib.h>

#include "segment.h"
#include "shm/entry.h"
#include "shm/usage.h"
#include "shm/window.h"

#define KEYS 1024

static struct shm *shm;
static struct tally_key_row row;
static struct tl_err err;
static bool missing;

static void up(void)
{
	shm = segment_open(KEYS, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	shm_close(&shm);
}

static uint32_t taken(uint32_t n, uint32_t user)
{
	segment_row(n, user, &row);
	segment_take_in(shm, &row);
	return shm_key_find(shm, &row.digest);
}

/* As after a long rest, with everything handed over. */
static void rest(uint32_t key)
{
	struct shm_user *u = &shm->users[atomic_load(&shm->keys[key].user)];

	atomic_store(&shm->keys[key].last_used_ms, 1);
	atomic_store(&shm->keys[key].flushed_used_ms, 1);
	atomic_store(&u->last_used_ms, 1);
}

static void sweep(struct shm_janitor *j, uint32_t rounds)
{
	while (rounds-- > 0)
		shm_janitor_step(shm, j, KEYS, 1, true, tl_mono_ns());
}

START_TEST(a_key_taken_in_is_found_with_its_rules)
{
	uint32_t k, u;

	segment_row(7, 3, &row);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);
	row.rate_limit = 12;
	row.daily_credit_limit = 0;
	row.expires_at_s = 99;
	row.base_credits = 5;
	row.user.base_credits = 6;
	row.user.base_requests = 2;
	segment_take_in(shm, &row);

	k = shm_key_find(shm, &row.digest);
	ck_assert_uint_ne(k, SHM_NONE);
	u = shm_user_find(shm, &row.user.user_id);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].user), u);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].rate_limit), 12);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].daily_limit), 0);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].expires_at_s), 99);
	ck_assert_uint_eq(shm_key_credits(&shm->keys[k], SEGMENT_DAY), 5);
	ck_assert_uint_eq(shm_key_credits(&shm->keys[k], SEGMENT_DAY + 1), 0);
	ck_assert_uint_eq(shm_quota_used(&shm->users[u], SEGMENT_DAY), 6);
	ck_assert_uint_eq(shm_requests_used(&shm->users[u], SEGMENT_DAY), 2);
	ck_assert_uint_eq(atomic_load(&shm->users[u].limit), 1000);
}
END_TEST

/* A key that ends after 2106 is good, one that ended before 1970 is not. */
START_TEST(times_beyond_the_word_stay_on_their_side)
{
	static const int64_t at_s[] = { 4418064000, 4294967295, -1, -86400 };
	static const uint32_t words[] = { UINT32_MAX, UINT32_MAX, 1, 1 };
	uint32_t k = taken(7, 3);

	for (int i = 0; i < 4; i++) {
		row.expires_at_s = at_s[i];
		row.grace_until_s = at_s[i];
		segment_take_in(shm, &row);
		ck_assert_uint_eq(atomic_load(&shm->keys[k].expires_at_s),
				  words[i]);
		ck_assert_uint_eq(atomic_load(&shm->keys[k].grace_until_s),
				  words[i]);
	}
}
END_TEST

START_TEST(rules_change_and_counts_stay)
{
	uint64_t delta[SHM_METRICS] = { 4, 1, 0 }, used;
	uint32_t k = taken(7, 3), u = atomic_load(&shm->keys[k].user);

	ck_assert_int_eq(
		shm_usage_add(shm, k, SEGMENT_DAY, delta, SHM_COUNT_MAX, 1),
		TL_OK);
	ck_assert(
		shm_quota_reserve(&shm->users[u], SEGMENT_DAY, 4, 1000, &used));
	row.rate_limit = 9;
	row.base_credits = 4; /* the database has them by now */
	row.user.base_credits = 4;
	row.user.suspended = true;
	segment_take_in(shm, &row);

	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].rate_limit), 9);
	ck_assert_uint_eq(shm_key_credits(&shm->keys[k], SEGMENT_DAY), 4);
	ck_assert_uint_eq(shm_quota_used(&shm->users[u], SEGMENT_DAY), 4);
	ck_assert_uint_eq(atomic_load(&shm->users[u].flags),
			  SHM_USER_SUSPENDED);
	row.user.suspended = false;
	ck_assert_int_eq(shm_user_change(shm, &row.user,
					 shm_change_gen(shm), &err), TL_OK);
	ck_assert_uint_eq(atomic_load(&shm->users[u].flags), 0);
	segment_row(8, 4, &row);
	ck_assert_int_eq(shm_user_change(shm, &row.user,
					 shm_change_gen(shm), &err), TL_NOT_FOUND);
}
END_TEST

/* The row was read, then the key was revoked, then the row arrives. */
START_TEST(a_row_older_than_a_change_is_not_taken)
{
	uint64_t gen = shm_change_gen(shm);
	uint32_t k;

	segment_row(7, 3, &row);
	shm_key_revoke(shm, &row.digest, 0); /* not held: only the number */
	ck_assert_int_eq(shm_key_take_in(shm, &row, gen, &missing, &err),
			 TL_BUSY);
	ck_assert(!missing);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);

	k = taken(7, 3);
	gen = shm_change_gen(shm);
	shm_key_revoke(shm, &row.digest, 77);
	ck_assert_int_eq(shm_key_take_in(shm, &row, gen, &missing, &err),
			 TL_BUSY);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].flags), SHM_KEY_REVOKED);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].grace_until_s), 77);

	gen = shm_change_gen(shm);
	shm_user_suspend(shm, &row.user.user_id, true);
	ck_assert_int_eq(shm_key_take_in(shm, &row, gen, &missing, &err),
			 TL_BUSY);
	ck_assert_uint_eq(atomic_load(&shm->users[0].flags),
			  SHM_USER_SUSPENDED);
	shm_user_suspend(shm, &row.user.user_id, false);
	ck_assert_uint_eq(atomic_load(&shm->users[0].flags), 0);
}
END_TEST

/* The rotation was committed first, and is marked last. */
START_TEST(a_grace_that_was_ended_does_not_come_back)
{
	uint32_t k = taken(7, 3);

	shm_key_revoke(shm, &row.digest, 0);
	shm_key_revoke(shm, &row.digest, 77);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].grace_until_s), 0);

	k = taken(8, 3);
	shm_key_revoke(shm, &row.digest, 77);
	shm_key_revoke(shm, &row.digest, 0);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].grace_until_s), 0);
	ck_assert_uint_eq(atomic_load(&shm->keys[k].flags), SHM_KEY_REVOKED);
}
END_TEST

START_TEST(an_unknown_plan_asks_for_the_policies)
{
	segment_row(7, 3, &row);
	row.user.plan_id.b[0] = 9;

	ck_assert_int_eq(
		shm_key_take_in(shm, &row, shm_change_gen(shm), &missing, &err),
		TL_BUSY);
	ck_assert(missing);
}
END_TEST

START_TEST(a_full_table_says_so_and_holds_what_it_has)
{
	uint32_t i;

	for (i = 0; i < KEYS; i++)
		taken(i, 1);
	segment_row(KEYS, 1, &row);

	ck_assert_int_eq(
		shm_key_take_in(shm, &row, shm_change_gen(shm), &missing, &err),
		TL_FULL);
	ck_assert_str_eq(err.text, "no room for another key; raise "
				   "shm.max_keys");
	segment_row(KEYS - 1, 1, &row);
	ck_assert_uint_ne(shm_key_find(shm, &row.digest), SHM_NONE);
	segment_row(5000, 2, &row);
	for (i = 0; i < KEYS; i++) {
		segment_row(i, i + 2, &row);
		if (shm_key_take_in(shm, &row, shm_change_gen(shm), &missing,
				    &err) != TL_OK)
			break;
	}
	ck_assert_uint_eq(i, KEYS - 1); /* users: one was there */
	ck_assert_str_eq(err.text, "no room for another user; raise "
				   "shm.max_users");
}
END_TEST

/* ---- plans ---- */

static enum tl_status set_plan(int64_t limit)
{
	struct tally_plan_row plan = { .name = TL_STR("Pro"),
				       .daily_credit_limit = limit };

	plan.plan_id.b[0] = 1;
	return shm_policy_set(shm, NULL, 0, &plan, 1, &err);
}

START_TEST(limits_of_users_follow_their_plan)
{
	uint32_t k = taken(1, 1), u = atomic_load(&shm->keys[k].user);

	ck_assert_int_eq(set_plan(5), TL_OK);

	ck_assert_uint_eq(atomic_load(&shm->users[u].limit), 5);
}
END_TEST

/* A reader that began before a switch holds its copy until it has left. */
START_TEST(rules_in_use_are_not_overwritten)
{
	const struct shm_policy *p;
	uint64_t limit;

	shm_enter(shm);
	p = shm_policy(shm);
	limit = p->plans[0].daily_credit_limit;
	ck_assert_int_eq(set_plan(5), TL_OK); /* the other copy */
	ck_assert_int_eq(set_plan(6), TL_BUSY);
	ck_assert_uint_eq(p->plans[0].daily_credit_limit, limit);
	shm_leave(shm);
	ck_assert_int_eq(set_plan(6), TL_OK);
}
END_TEST

/* ---- unknown keys ---- */

START_TEST(one_process_loads_an_unknown_key)
{
	uint64_t now = tl_mono_ms();

	segment_row(7, 3, &row);
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now),
			 SHM_NEG_NONE);
	ck_assert(shm_negative_claim(shm, &row.digest, now));
	ck_assert(!shm_negative_claim(shm, &row.digest, now));
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now),
			 SHM_NEG_LOADING);
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now + 2000),
			 SHM_NEG_NONE); /* it takes too long */

	shm_negative_settle(shm, &row.digest, now, 5000);
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now + 4999),
			 SHM_NEG_UNKNOWN);
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now + 5000),
			 SHM_NEG_NONE);
	ck_assert(shm_negative_claim(shm, &row.digest, now + 5000));
	shm_negative_settle(shm, &row.digest, now + 5000, 0);
	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now + 5000),
			 SHM_NEG_NONE);
}
END_TEST

START_TEST(a_dead_loader_is_replaced)
{
	uint64_t now = tl_mono_ms();

	segment_row(7, 3, &row);
	ck_assert(shm_negative_claim(shm, &row.digest, now));
	shm_slot_reap(shm, 1);

	ck_assert_int_eq(shm_negative_look(shm, &row.digest, now),
			 SHM_NEG_NONE);
	shm_slot_take(shm, 1, "test", 0, 2);
	ck_assert(shm_negative_claim(shm, &row.digest, now));
}
END_TEST

/* ---- extras ---- */

static struct tl_str scopes[] = { TL_STR("read"), TL_STR("write"),
				  TL_STR("tally.verify") };

START_TEST(equal_extras_are_shared)
{
	uint32_t a, b, c;

	segment_row(1, 1, &row);
	row.scopes = scopes;
	row.n_scopes = 2;
	segment_take_in(shm, &row);
	a = atomic_load(&shm->keys[shm_key_find(shm, &row.digest)].extras);
	segment_row(2, 2, &row);
	row.scopes = scopes;
	row.n_scopes = 2;
	segment_take_in(shm, &row);
	b = atomic_load(&shm->keys[shm_key_find(shm, &row.digest)].extras);
	row.n_scopes = 3;
	segment_take_in(shm, &row);
	c = atomic_load(&shm->keys[shm_key_find(shm, &row.digest)].extras);

	ck_assert_uint_ne(a, 0);
	ck_assert_uint_eq(a, b);
	ck_assert_uint_ne(c, a);
	ck_assert(shm_extras_has_scope(shm, a, TL_STR("write")));
	ck_assert(!shm_extras_has_scope(shm, a, TL_STR("writ")));
	ck_assert(!shm_extras_has_scope(shm, a, TL_STR("tally.verify")));
	ck_assert(shm_extras_has_scope(shm, c, TL_STR("tally.verify")));
	ck_assert(!shm_extras_any_scope(shm, 0));
}
END_TEST

static char long_text[40][101];

/* More than one chunk holds: a chain. */
static uint32_t long_scopes(struct tl_str *dst)
{
	uint32_t i, j;

	for (i = 0; i < 30; i++) {
		for (j = 0; j < 100; j++)
			long_text[i][j] = (char)('a' + (i + j) % 26);
		dst[i] = (struct tl_str){ long_text[i], 100 };
	}
	return 30;
}

START_TEST(long_lists_are_chained_and_bounded)
{
	struct tl_str many[64], got;
	uint32_t n = long_scopes(many), x, i;

	segment_row(1, 1, &row);
	row.scopes = many;
	row.n_scopes = n;
	segment_take_in(shm, &row);
	x = atomic_load(&shm->keys[shm_key_find(shm, &row.digest)].extras);
	for (i = 0; i < n; i++) {
		ck_assert(shm_extras_scope(shm, x, i, &got));
		ck_assert(tl_str_eq(got, many[i]));
	}
	ck_assert(!shm_extras_scope(shm, x, n, &got));

	for (i = n; i < 64; i++)
		many[i] = many[i - n];
	row.n_scopes = 64;
	ck_assert_int_eq(
		shm_key_take_in(shm, &row, shm_change_gen(shm), &missing, &err),
		TL_FULL);
}
END_TEST

START_TEST(extras_nobody_names_are_freed)
{
	struct shm_janitor j = { 0 };
	struct tl_str many[64];
	uint32_t x, k;

	segment_row(1, 1, &row);
	row.scopes = many;
	row.n_scopes = long_scopes(many);
	segment_take_in(shm, &row);
	k = shm_key_find(shm, &row.digest);
	x = atomic_load(&shm->keys[k].extras);
	atomic_store(&shm->keys[k].last_used_ms, UINT64_MAX / 2);
	sweep(&j, 10); /* named: stays */
	ck_assert_int_eq(entry_state(atomic_load(&shm->extras[x - 1].state)),
			 SHM_LIVE);

	row.n_scopes = 0;
	segment_take_in(shm, &row);
	sweep(&j, 1); /* retired at most */
	ck_assert_uint_eq(j.freed_extras, 0);
	sweep(&j, 2);
	ck_assert_uint_eq(j.freed_extras, 1);
	ck_assert_int_eq(entry_state(atomic_load(&shm->extras[x - 1].state)),
			 SHM_FREE);
}
END_TEST

/* ---- the janitor ---- */

START_TEST(an_idle_key_goes_and_its_user_after_it)
{
	uint32_t k = taken(1, 1), u = atomic_load(&shm->keys[k].user);
	struct shm_janitor j = { 0 };
	struct shm_census c;

	sweep(&j, 4);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k); /* fresh */
	rest(k);
	sweep(&j, 2);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);
	sweep(&j, 2);
	ck_assert_uint_eq(j.freed_keys, 1);
	atomic_store(&shm->users[u].last_used_ms, 1);
	sweep(&j, 6);
	ck_assert_uint_eq(j.freed_users, 1);

	shm_census_keys(shm, &c);
	ck_assert_uint_eq(c.fresh + c.free, KEYS);
	ck_assert_uint_eq(taken(2, 2), k); /* the place is given again */
	ck_assert_uint_eq(atomic_load(&shm->head->key_live), 1);
}
END_TEST

/* Unflushed usage, charges in the window, a spool, a late use: it stays. */
START_TEST(a_key_that_holds_something_stays)
{
	const struct shm_constants *c = &shm->head->k;
	uint32_t k = taken(1, 1);
	struct shm_janitor j = { 0 };
	struct shm_window_result r;
	struct shm_ticket t;

	rest(k);
	atomic_store(&shm->keys[k].cell[0][0], shm_tagged(SEGMENT_DAY, 1));
	sweep(&j, 4);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	atomic_store(&shm->keys[k].flushed[0][0], shm_tagged(SEGMENT_DAY, 1));

	shm_window_check(shm->keys[k].ring, c->window_ms * TL_NS_PER_MS, 5, 1,
			 c->created_mono_ns, tl_mono_ns(), &t, &r);
	sweep(&j, 4);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	shm_ticket_return(&t);

	shm_janitor_step(shm, &j, KEYS, 1, false, tl_mono_ns()); /* spool */
	shm_janitor_step(shm, &j, KEYS, 1, false, tl_mono_ns());
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), k);
	sweep(&j, 2);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);
}
END_TEST

/* Freed only when whoever may hold its index has left, and usage that came
 * late has been handed over. */
START_TEST(a_retired_key_waits_for_readers_and_usage)
{
	uint64_t delta[SHM_METRICS] = { 1, 1, 0 };
	uint32_t k = taken(1, 1);
	struct shm_janitor j = { 0 };

	rest(k);
	shm_enter(shm);
	sweep(&j, 4);
	ck_assert_uint_eq(shm_key_find(shm, &row.digest), SHM_NONE);
	ck_assert_uint_eq(j.freed_keys, 0);
	ck_assert_int_eq(
		shm_usage_add(shm, k, SEGMENT_DAY, delta, SHM_COUNT_MAX, 1),
		TL_OK);
	shm_leave(shm);
	sweep(&j, 4);
	ck_assert_uint_eq(j.freed_keys, 0);

	atomic_store(&shm->keys[k].flushed[SEGMENT_DAY % 3][0],
		     shm_tagged(SEGMENT_DAY, 1));
	atomic_store(&shm->keys[k].flushed[SEGMENT_DAY % 3][1],
		     shm_tagged(SEGMENT_DAY, 1));
	sweep(&j, 1);
	ck_assert_uint_eq(j.freed_keys, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/entries");
	TCase *tc = tcase_create("entries");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_key_taken_in_is_found_with_its_rules);
	tcase_add_test(tc, times_beyond_the_word_stay_on_their_side);
	tcase_add_test(tc, rules_change_and_counts_stay);
	tcase_add_test(tc, a_row_older_than_a_change_is_not_taken);
	tcase_add_test(tc, a_grace_that_was_ended_does_not_come_back);
	tcase_add_test(tc, an_unknown_plan_asks_for_the_policies);
	tcase_add_test(tc, a_full_table_says_so_and_holds_what_it_has);
	tcase_add_test(tc, limits_of_users_follow_their_plan);
	tcase_add_test(tc, rules_in_use_are_not_overwritten);
	tcase_add_test(tc, one_process_loads_an_unknown_key);
	tcase_add_test(tc, a_dead_loader_is_replaced);
	tcase_add_test(tc, equal_extras_are_shared);
	tcase_add_test(tc, long_lists_are_chained_and_bounded);
	tcase_add_test(tc, extras_nobody_names_are_freed);
	tcase_add_test(tc, an_idle_key_goes_and_its_user_after_it);
	tcase_add_test(tc, a_key_that_holds_something_stays);
	tcase_add_test(tc, a_retired_key_waits_for_readers_and_usage);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
