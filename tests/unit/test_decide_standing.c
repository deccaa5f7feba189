/*
 * What a stream asks: is its key still good?  And how it follows the ring.
 */
#include <check.h>
#include <stdlib.h>

#include "asker.h"
#include "shm/metrics.h"
#include "shm/ring.h"
#include "shm/usage.h"

static enum decide_reason standing(bool keep)
{
	return decide_standing(&asker, &row.digest, &in.client, keep,
			       tl_mono_ns());
}

/* ---- the key ---- */

START_TEST(a_good_key_stays_and_nothing_is_counted)
{
	uint64_t used_ms;

	asker_take();
	ck_assert_int_eq(ask(), DECIDE_OK);
	used_ms = atomic_load(&shm->keys[0].last_used_ms);
	atomic_store(&shm->keys[0].last_used_ms, used_ms - 5000);

	for (int i = 0; i < 200; i++) /* twice the limit */
		ck_assert_int_eq(standing(false), DECIDE_R_NONE);

	ck_assert_uint_eq(asker_charged(), 1);
	ck_assert_uint_eq(asker_credits(), 1);
	ck_assert_uint_eq(shm_counter_sum(shm, SHM_C_DECISIONS), 1);
	ck_assert_uint_eq(atomic_load(&shm->keys[0].last_used_ms),
			  used_ms - 5000);
}
END_TEST

START_TEST(to_keep_it_is_to_use_it)
{
	asker_take();
	atomic_store(&shm->keys[0].last_used_ms, 1);
	atomic_store(&shm->users[0].last_used_ms, 1);

	ck_assert_int_eq(standing(true), DECIDE_R_NONE);

	ck_assert_uint_gt(atomic_load(&shm->keys[0].last_used_ms), 1);
	ck_assert_uint_gt(atomic_load(&shm->users[0].last_used_ms), 1);
	ck_assert_uint_eq(asker_charged(), 0);
}
END_TEST

/* With and without keeping it. */
START_TEST(a_key_that_is_no_longer_good_is_told)
{
	bool keep = _i != 0;

	ck_assert_int_eq(standing(keep), DECIDE_R_UNKNOWN);
	asker_take();
	shm_user_suspend(shm, &row.user.user_id, true);
	ck_assert_int_eq(standing(keep), DECIDE_R_SUSPENDED);
	shm_user_suspend(shm, &row.user.user_id, false);
	ck_assert_int_eq(standing(keep), DECIDE_R_NONE);
	shm_key_revoke(shm, &row.digest, tl_wall_us() / 1000000 + 60);
	ck_assert_int_eq(standing(keep), DECIDE_R_NONE); /* its grace */
	shm_key_revoke(shm, &row.digest, 0);
	ck_assert_int_eq(standing(keep), DECIDE_R_REVOKED);
}
END_TEST

START_TEST(a_key_expires_and_knows_its_networks)
{
	struct tally_cidr home;
	struct tl_err err;

	ck_assert_int_eq(tally_cidr_parse(TL_STR("192.0.2.0/24"), &home, &err),
			 TL_OK);
	row.expires_at_s = tl_wall_us() / 1000000 + 60;
	row.allowed = &home;
	row.n_allowed = 1;
	asker_take();

	ck_assert_int_eq(standing(false), DECIDE_R_NONE);
	in.client = asker_address("198.51.100.1");
	ck_assert_int_eq(standing(false), DECIDE_R_ADDRESS);
	ck_assert_int_eq(decide_standing(&asker, &row.digest, &in.client, false,
					 tl_mono_ns() + 61 * TL_NS_PER_S),
			 DECIDE_R_EXPIRED);
}
END_TEST

/* ---- the ring ---- */

static void leave_record(void)
{
	decide_record(&asker, &out, DECIDE_D_GATE, &in.client, TL_STR("id"),
		      NULL, 200, in.mono_ns, in.mono_ns);
}

START_TEST(a_record_is_somebodys_once_it_is_whole)
{
	struct tl_uuid who, nobody = { { 0 } };
	struct shm_decision *half;
	uint64_t pos;

	asker_take();
	ck_assert_int_eq(ask(), DECIDE_OK);
	leave_record();
	in.key = TL_STR("");
	ask();
	leave_record();
	half = shm_ring_claim(shm, &pos);

	ck_assert_int_eq(shm_ring_owner(shm, 0, &who), SHM_RING_WHOLE);
	ck_assert_mem_eq(who.b, row.user.user_id.b, 16);
	ck_assert_int_eq(shm_ring_owner(shm, 1, &who), SHM_RING_WHOLE);
	ck_assert_mem_eq(who.b, nobody.b, 16);
	ck_assert_uint_eq(pos, 2);
	ck_assert_int_eq(shm_ring_owner(shm, 2, &who), SHM_RING_NOT_YET);
	shm_ring_publish(half, pos);
	ck_assert_int_eq(shm_ring_owner(shm, 2, &who), SHM_RING_WHOLE);
}
END_TEST

START_TEST(a_record_that_was_overwritten_is_gone)
{
	struct tl_uuid who;

	asker_take();
	ck_assert_int_eq(ask(), DECIDE_OK);
	for (uint32_t i = 0; i < shm->n_ring + 1; i++)
		leave_record();

	ck_assert_int_eq(shm_ring_owner(shm, 0, &who), SHM_RING_GONE);
	ck_assert_int_eq(shm_ring_owner(shm, 1, &who), SHM_RING_WHOLE);
	/* the next lap, not begun */
	ck_assert_int_eq(shm_ring_owner(shm, shm->n_ring + 1, &who),
			 SHM_RING_NOT_YET);
	(void)shm_ring_claim(shm, &(uint64_t){ 0 });
	ck_assert_int_eq(shm_ring_owner(shm, 1, &who), SHM_RING_GONE);
}
END_TEST

START_TEST(a_dry_run_is_recorded_without_a_cost)
{
	struct shm_decision d;

	asker_take();
	in.cost = 7;
	in.flags |= DECIDE_DRY;
	ck_assert_int_eq(ask(), DECIDE_OK);
	leave_record();
	in.flags &= ~(unsigned)DECIDE_DRY;
	ck_assert_int_eq(ask(), DECIDE_OK);
	leave_record();

	ck_assert(shm_ring_read(shm, 0, &d));
	ck_assert_uint_eq(d.cost, 0);
	ck_assert(shm_ring_read(shm, 1, &d));
	ck_assert_uint_eq(d.cost, 7);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decide_standing");
	TCase *tc = tcase_create("standing");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, asker_up, asker_down);
	tcase_add_test(tc, a_good_key_stays_and_nothing_is_counted);
	tcase_add_test(tc, to_keep_it_is_to_use_it);
	tcase_add_loop_test(tc, a_key_that_is_no_longer_good_is_told, 0, 2);
	tcase_add_test(tc, a_key_expires_and_knows_its_networks);
	tcase_add_test(tc, a_record_is_somebodys_once_it_is_whole);
	tcase_add_test(tc, a_record_that_was_overwritten_is_gone);
	tcase_add_test(tc, a_dry_run_is_recorded_without_a_cost);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
