#include <check.h>
#include <sched.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/entry.h"

/* Keys, users and rules under several processes, with kills. */

#define KEYS 1024

static struct shm *shm;
static struct tally_key_row row;
static struct tl_err err;

static void up(void)
{
	shm = segment_open(KEYS, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
}

static void down(void)
{
	shm_close(&shm);
}

/* Retires nothing: on a slow machine the first keys are idle by now. */
static void sweep(struct shm_janitor *j, uint32_t rounds)
{
	while (rounds-- > 0)
		shm_janitor_step(shm, j, KEYS, 1, false, tl_mono_ns());
}

static enum tl_status set_plan(int64_t limit)
{
	struct tally_plan_row plan = { .name = TL_STR("Pro"),
				       .daily_credit_limit = limit };

	plan.plan_id.b[0] = 1;
	return shm_policy_set(shm, NULL, 0, &plan, 1, &err);
}

struct reader_report {
	_Atomic uint32_t torn, seen;
};

/* Both numbers of a copy are set alike; a reader must never see a mixture. */
static void read_or_write_plans(struct shm *s, uint32_t who, void *arg)
{
	struct reader_report *r = arg;
	const struct shm_policy *p;
	uint64_t a, i = 0;

	procs_delays(true);
	do { // once at least: a busy machine may start us when all is over
		if (who == 0) {
			(void)set_plan((int64_t)++i);
			continue;
		}
		shm_enter(s);
		p = shm_policy(s);
		a = p->plans[0].daily_credit_limit;
		sched_yield();
		if (p->plans[0].daily_credit_limit != a)
			atomic_fetch_add(&r->torn, 1);
		shm_leave(s);
		atomic_fetch_add(&r->seen, 1);
	} while (!procs_over());
}

START_TEST(a_copy_does_not_change_under_its_reader)
{
	struct reader_report *r = procs_shared(sizeof(*r));

	procs_run(&(struct procs_job){ .shm = shm,
				       .n = 4,
				       .ms = 300,
				       .stop_every = 3,
				       .run = read_or_write_plans,
				       .arg = r });

	ck_assert_uint_gt(atomic_load(&r->seen), 0);
	ck_assert_uint_eq(atomic_load(&r->torn), 0);
}
END_TEST

/* ---- one digest, one LIVE entry ---- */

#define SAME_KEYS 500

static void insert_same(struct shm *s, uint32_t who, void *arg)
{
	struct tally_key_row r;
	struct tl_err e;
	bool m;
	uint32_t i;

	procs_delays(arg != NULL || who % 2 == 0);
	for (i = 0; i < SAME_KEYS; i++) {
		segment_row(i, i / 4, &r);
		while (shm_key_take_in(s, &r, shm_change_gen(s), &m, &e) !=
		       TL_OK)
			;
		tl_assert(shm_key_find(s, &r.digest) != SHM_NONE);
	}
}

static void assert_each_once(uint32_t keys)
{
	uint32_t found[SAME_KEYS] = { 0 }, i, j;
	struct shm_census c;

	for (i = 0; i < atomic_load(&shm->head->key_fresh); i++) {
		if (entry_state(atomic_load(&shm->keys[i].state)) != SHM_LIVE)
			continue;
		memcpy(&j, shm->keys[i].key_id, 4);
		ck_assert_uint_lt(j, keys);
		found[j]++;
		segment_row(j, j / 4, &row);
		ck_assert_uint_eq(shm_key_find(shm, &row.digest), i);
	}
	for (j = 0; j < keys; j++)
		ck_assert_uint_eq(found[j], 1);
	shm_census_keys(shm, &c);
	ck_assert_uint_eq(
		c.fresh + c.free + c.init + c.live + c.dying + c.retired, KEYS);
	shm_census_users(shm, &c);
	ck_assert_uint_eq(c.live, (keys + 3) / 4);
}

START_TEST(eight_processes_insert_each_key_once)
{
	procs_run(
		&(struct procs_job){ .shm = shm, .n = 8, .run = insert_same });

	assert_each_once(SAME_KEYS);
	ck_assert_uint_eq(atomic_load(&shm->head->key_live), SAME_KEYS);
}
END_TEST

START_TEST(kills_leave_one_live_entry_a_key)
{
	struct shm_janitor j = { 0 };
	uint32_t kills = 0;

	while (kills == 0) /* a fast machine may be through before one */
		kills = procs_run(&(struct procs_job){ .shm = shm,
						       .n = 8,
						       .kill_every = 1,
						       .run = insert_same,
						       .arg = &j });

	sweep(&j, 2); /* what was INIT is free again */
	/* LIVE and not yet published when its maker died: nobody finds it;
	 * the next master's check frees it, else the janitor when idle */
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	assert_each_once(SAME_KEYS);
}
END_TEST

static bool in_directory(uint32_t key)
{
	uint32_t b, w;

	for (b = 0; b < shm->head->k.key_buckets; b++)
		for (w = 0; w < SHM_BUCKET_WORDS; w++)
			if (dir_index(atomic_load(&shm->key_dir[b].word[w])) ==
			    key)
				return true;
	return false;
}

/* Keys are loaded, used and retired at the same time. */
static void use_or_retire(struct shm *s, uint32_t who, void *arg)
{
	struct shm_janitor j = { 0 };
	struct tally_key_row r;
	struct tl_err e;
	uint32_t i, k;
	bool m;

	(void)arg;
	procs_delays(true);
	while (!procs_over()) {
		if (who == 0) {
			shm_janitor_step(s, &j, KEYS, 1, true, tl_mono_ns());
			continue;
		}
		i = procs_random(8);
		segment_row(i, i / 4, &r);
		shm_enter(s);
		k = shm_key_find(s, &r.digest);
		if (k != SHM_NONE) {
			procs_breathe();
			atomic_fetch_add(&s->keys[k].last_used_ms, 1);
			(void)shm_key_keep(s, k);
			procs_breathe();
			/* idle again for the janitor */
			atomic_store(&s->keys[k].last_used_ms, 1);
			atomic_store(&s->keys[k].flushed_used_ms, 1);
		}
		shm_leave(s);
		if (k == SHM_NONE &&
		    shm_key_take_in(s, &r, shm_change_gen(s), &m, &e) != TL_OK)
			continue;
	}
}

START_TEST(coming_and_going_leaves_one_live_entry_a_key)
{
	uint32_t round, i, live[8], j;

	for (round = 0; round < 4; round++) {
		procs_run(&(struct procs_job){ .shm = shm,
					       .n = 4,
					       .ms = 150,
					       .kill_every = 4,
					       .stop_every = 3,
					       .run = use_or_retire });
		memset(live, 0, sizeof(live));
		for (i = 0; i < atomic_load(&shm->head->key_fresh); i++) {
			uint64_t w = atomic_load(&shm->keys[i].state);

			if (!entry_findable(w))
				continue;
			memcpy(&j, shm->keys[i].key_id, 4);
			segment_row(j, j / 4, &row);
			/* unpublished ones of the dead do not count */
			live[j] += in_directory(i);
		}
		for (j = 0; j < 8; j++)
			ck_assert_uint_le(live[j], 1);
	}
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/crowd");
	TCase *tc = tcase_create("entries");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_copy_does_not_change_under_its_reader);
	tcase_add_test(tc, eight_processes_insert_each_key_once);
	tcase_add_test(tc, kills_leave_one_live_entry_a_key);
	tcase_add_test(tc, coming_and_going_leaves_one_live_entry_a_key);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
