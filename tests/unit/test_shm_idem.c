#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/usage.h"

#define DAY_MS 86400000ULL

static struct shm *shm;
static uint64_t now_ms;
static uint8_t key_id[16] = { 1 }, body[16] = { 2 }, other_body[16] = { 3 };
static struct shm_answer answer, again;
static uint64_t gen;
static uint32_t at;

static void up(void)
{
	shm = segment_open(64, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
	shm_slot_set_state(shm, SHM_SLOT_READY);
	now_ms = shm_wall_ms(shm, tl_mono_ns());
	answer = (struct shm_answer){ .credits_charged = 7, .day = 9 };
}

static void down(void)
{
	shm_close(&shm);
}

static enum shm_idem_found begin(const char *name, const uint8_t *hash,
				 uint64_t wall_ms)
{
	return shm_idem_begin(shm, key_id, tl_str_c(name), hash, wall_ms, true,
			      &at, &again, &gen);
}

START_TEST(the_first_answer_is_given_again)
{
	ck_assert_int_eq(begin("order-1", body, now_ms), SHM_IDEM_CLAIMED);
	shm_idem_done(shm, at, &answer, 5);

	ck_assert_int_eq(begin("order-1", body, now_ms + DAY_MS - 1),
			 SHM_IDEM_REPLAY);
	ck_assert_uint_eq(again.credits_charged, 7);
	ck_assert_uint_eq(gen, 5);
	ck_assert_int_eq(begin("order-1", other_body, now_ms), SHM_IDEM_OTHER);
	ck_assert_int_eq(begin("order-", body, now_ms), SHM_IDEM_CLAIMED);
	key_id[0] = 99; /* another key's name */
	ck_assert_int_eq(begin("order-1", body, now_ms), SHM_IDEM_CLAIMED);
}
END_TEST

START_TEST(what_is_in_work_waits_and_what_was_dropped_is_free)
{
	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_CLAIMED);
	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_PENDING);
	ck_assert_int_eq(begin("a", other_body, now_ms), SHM_IDEM_OTHER);

	shm_idem_drop(shm, at);
	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_CLAIMED);
}
END_TEST

START_TEST(the_claim_of_a_dead_process_is_void)
{
	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_CLAIMED);
	shm_slot_reap(shm, 1);
	shm_slot_take(shm, 1, "test", 0, 2);
	shm_slot_set_state(shm, SHM_SLOT_READY);

	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_CLAIMED);
	shm_idem_done(shm, at, &answer, 0);
	shm_slot_reap(shm, 1);
	ck_assert_int_eq(begin("a", body, now_ms), SHM_IDEM_REPLAY);
}
END_TEST

/* A young segment does not know what an older one was told. */
START_TEST(a_young_segment_asks_the_database)
{
	struct tl_str a = TL_STR("a");

	ck_assert_int_eq(shm_idem_begin(shm, key_id, a, body, now_ms, false,
					&at, &again, &gen),
			 SHM_IDEM_ASK);
	ck_assert_int_eq(shm_idem_begin(shm, key_id, a, body,
					now_ms + DAY_MS + 1000, false, &at,
					&again, &gen),
			 SHM_IDEM_CLAIMED);
}
END_TEST

static void flush_all(void)
{
	struct shm_batch *b;
	struct shm_scan scan;

	shm_scan_begin(shm, &scan, false);
	while (!scan.done) {
		b = shm_batch_fill(shm, &scan);
		if (b != NULL)
			shm_batch_confirm(shm, b);
	}
}

/* Places of one set run out: what was handed over goes, and from then on the
 * database is asked; what was not stays. */
START_TEST(a_full_set_gives_up_what_was_handed_over)
{
	char name[16];
	uint32_t i, full = 0, claimed;

	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		if (begin(name, body, now_ms + i) == SHM_IDEM_CLAIMED)
			shm_idem_done(shm, at, &answer, 0);
		else
			full++;
	}
	claimed = 2000 - full;
	ck_assert_uint_eq(claimed, shm->n_idems); /* all places, all held */
	ck_assert_int_eq(begin("n0", body, now_ms), SHM_IDEM_REPLAY);
	flush_all();

	ck_assert_int_eq(begin("new", body, now_ms + 3000), SHM_IDEM_CLAIMED);
	ck_assert_uint_gt(atomic_load(&shm->head->idem_floor_ms), now_ms);
}
END_TEST

/* ---- processes ---- */

#define NAMES 40
struct book {
	_Atomic uint32_t charged[NAMES]; /* how often the work was done */
	_Atomic uint32_t wrong;
};

static void ask_often(struct shm *s, uint32_t who, void *arg)
{
	struct book *b = arg;
	struct shm_answer a = { 0 }, got;
	char name[16];
	uint64_t g;
	uint32_t i, n;

	(void)who;
	procs_delays(true);
	while (!procs_over()) {
		n = procs_random(NAMES);
		snprintf(name, sizeof(name), "n%u", n);
		switch (shm_idem_begin(s, key_id, tl_str_c(name), body,
				       shm_wall_ms(s, tl_mono_ns()), true, &i,
				       &got, &g)) {
		case SHM_IDEM_CLAIMED:
			atomic_fetch_add(&b->charged[n], 1);
			procs_breathe();
			a.day = n;
			shm_idem_done(s, i, &a, 0);
			break;
		case SHM_IDEM_REPLAY:
			if (got.day != n)
				atomic_fetch_add(&b->wrong, 1);
			break;
		default:
			break;
		}
	}
}

START_TEST(one_name_is_charged_once_but_for_kills)
{
	struct book *b = procs_shared(sizeof(*b));
	uint32_t kills, i, more = 0;

	kills = procs_run(&(struct procs_job){ .shm = shm,
					       .n = 6,
					       .ms = 500,
					       .kill_every = 3,
					       .run = ask_often,
					       .arg = b });

	ck_assert_uint_eq(atomic_load(&b->wrong), 0);
	for (i = 0; i < NAMES; i++) {
		ck_assert_uint_ge(atomic_load(&b->charged[i]), 1);
		more += atomic_load(&b->charged[i]) - 1;
	}
	ck_assert_uint_le(more, kills);
}
END_TEST

/* Names of one set, taken and given up all the time by several: what one has
 * written is what it reads. */
static void come_and_go(struct shm *s, uint32_t who, void *arg)
{
	struct book *b = arg;
	struct shm_answer a = { 0 }, got;
	uint8_t mine[16] = { 0 };
	char name[16];
	uint64_t g;
	uint32_t i, n;

	procs_delays(true);
	mine[0] = (uint8_t)who;
	for (n = 0; !procs_over(); n++) {
		snprintf(name, sizeof(name), "n%u", n);
		if (shm_idem_begin(s, mine, tl_str_c(name), body, now_ms, true,
				   &i, &got, &g) != SHM_IDEM_CLAIMED)
			continue;
		a.day = who * 1000000 + n;
		shm_idem_done(s, i, &a, 0);
		if (shm_idem_begin(s, mine, tl_str_c(name), body, now_ms, true,
				   &i, &got, &g) != SHM_IDEM_REPLAY ||
		    got.day != a.day)
			atomic_fetch_add(&b->wrong, 1);
		else
			shm_idem_drop(s, i);
	}
}

START_TEST(two_names_never_share_a_place)
{
	struct book *b = procs_shared(sizeof(*b));

	procs_run(&(struct procs_job){
		.shm = shm, .n = 6, .ms = 400, .run = come_and_go, .arg = b });

	ck_assert_uint_eq(atomic_load(&b->wrong), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/idem");
	TCase *tc = tcase_create("idem");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_first_answer_is_given_again);
	tcase_add_test(tc, what_is_in_work_waits_and_what_was_dropped_is_free);
	tcase_add_test(tc, the_claim_of_a_dead_process_is_void);
	tcase_add_test(tc, a_young_segment_asks_the_database);
	tcase_add_test(tc, a_full_set_gives_up_what_was_handed_over);
	tcase_add_test(tc, one_name_is_charged_once_but_for_kills);
	tcase_add_test(tc, two_names_never_share_a_place);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
