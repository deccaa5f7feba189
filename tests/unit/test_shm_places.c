/*
 * Places of tasks: never more than the limit are held over all processes,
 * whoever is killed or stopped in between, and none is lost.
 */
#include <check.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/places.h"

#define CHILD 5 /* its slot */
#define TAG   0x1234567890ULL
#define PROCS 4
#define FIRST 2 /* slot of the first process of procs_run */

static struct shm *shm;

static void up(void)
{
	shm = segment_open(64, 1000);
	shm_remove(segment_instance());
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	shm_close(&shm);
}

static uint32_t take(uint64_t tag, uint32_t limit, uint32_t times)
{
	uint32_t n = 0;

	while (times-- > 0)
		n += shm_place_take(shm, tag, limit);
	return n;
}

static void give(uint64_t tag, uint32_t times)
{
	while (times-- > 0)
		shm_place_give(shm, tag);
}

/* ---- one process ---- */

START_TEST(places_end_at_the_limit_and_come_back)
{
	ck_assert_uint_eq(take(TAG, 3, 5), 3);
	ck_assert_uint_eq(shm_place_sum(shm, TAG), 3);
	ck_assert_uint_eq(take(TAG + 1, 1, 2), 1); /* of another tag */

	give(TAG, 2);
	ck_assert_uint_eq(shm_place_sum(shm, TAG), 1);
	ck_assert_uint_eq(take(TAG, 3, 5), 2);
	give(TAG, 3);

	ck_assert_uint_eq(shm_place_sum(shm, TAG), 0);
	ck_assert_uint_eq(shm_place_sum(shm, TAG + 1), 1);
}
END_TEST

/* One that was given back must not hide those behind it in its chain. */
START_TEST(tags_that_collide_are_counted_apart)
{
	const uint64_t a = TAG, b = TAG + SHM_TASK_PLACES,
		       c = TAG + 2 * SHM_TASK_PLACES,
		       d = TAG + 3 * SHM_TASK_PLACES;

	take(a, 9, 1);
	take(b, 9, 2);
	take(c, 9, 3);

	give(a, 1);
	ck_assert_uint_eq(take(c, 4, 2), 1); /* there are 3 already */
	ck_assert_uint_eq(take(d, 9, 2), 2); /* where a was */
	ck_assert_uint_eq(take(a, 9, 1), 1);

	ck_assert_uint_eq(shm_place_sum(shm, a), 1);
	ck_assert_uint_eq(shm_place_sum(shm, b), 2);
	ck_assert_uint_eq(shm_place_sum(shm, c), 4);
	ck_assert_uint_eq(shm_place_sum(shm, d), 2);
}
END_TEST

START_TEST(full_table_refuses_new_tags_only)
{
	for (uint64_t i = 1; i <= SHM_TASK_PLACES; i++)
		ck_assert(shm_place_take(shm, i * 7919, 9));

	ck_assert(!shm_place_take(shm, 5, 9));
	ck_assert(shm_place_take(shm, 7919, 9));
	give(2 * 7919, 1);
	ck_assert(shm_place_take(shm, 5, 9));

	ck_assert_uint_eq(shm_place_sum(shm, 5), 1);
	ck_assert_uint_eq(shm_place_sum(shm, 2 * 7919), 0);
	ck_assert_uint_eq(shm_place_sum(shm, 7919), 2);
}
END_TEST

/* Against plain numbers, with more tags than fit comfortably. */
START_TEST(random_walk_agrees_with_plain_counts)
{
	enum { TAGS = 400 };
	uint32_t held[TAGS] = { 0 };

	for (uint32_t i = 0; i < 40000; i++) {
		uint32_t n = procs_random(TAGS);
		uint64_t tag = 1 + (uint64_t)n * n * 37;

		if (procs_random(2) == 0) {
			ck_assert_int_eq(shm_place_take(shm, tag, 3),
					 held[n] < 3);
			held[n] += held[n] < 3;
		} else if (held[n] > 0) {
			shm_place_give(shm, tag);
			held[n]--;
		}
		ck_assert_uint_eq(shm_place_sum(shm, tag), held[n]);
	}
}
END_TEST

/* ---- death ---- */

static void take_two(struct shm *s, void *arg)
{
	const uint32_t *limit = arg;

	shm_place_take(s, TAG, *limit);
	shm_place_take(s, TAG, *limit);
}

START_TEST(dead_process_leaves_no_place_behind)
{
	static const struct {
		const char *point;
		uint32_t nth, limit;
	} deaths[] = {
		{ "place.tagged", 1, 9 },  { "place.added", 1, 9 },
		{ "place.tagged", 2, 9 },  { "place.added", 2, 9 },
		{ "place.refused", 1, 2 }, { "place.read", 1, 9 },
	};

	ck_assert(shm_place_take(shm, TAG, 9)); /* ours stays */
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		uint32_t limit = deaths[i].limit;

		ck_assert(procs_die_at(shm, CHILD, deaths[i].point,
				       deaths[i].nth, take_two, &limit));
		ck_assert_uint_eq(shm_place_sum(shm, TAG), 1);
	}
	ck_assert_uint_eq(take(TAG, 3, 5), 2);
}
END_TEST

/* ---- a crowd ---- */

struct crowd {
	uint32_t limit;
	_Atomic uint64_t inside, most, taken;
	_Atomic uint64_t mine[PROCS]; /* identity while it holds one; 0 */
	_Atomic uint64_t wrong;
};

static void note_most(struct crowd *c, uint64_t n)
{
	uint64_t most = atomic_load(&c->most);

	while (n > most && !atomic_compare_exchange_weak(&c->most, &most, n))
		;
}

static void come_and_go(struct shm *s, uint32_t who, void *arg)
{
	struct crowd *c = arg;

	(void)who;
	procs_delays(true);
	while (!procs_over() || atomic_load(&c->taken) == 0) {
		if (!shm_place_take(s, TAG, c->limit)) {
			procs_breathe();
			continue;
		}
		note_most(c, atomic_fetch_add(&c->inside, 1) + 1);
		atomic_fetch_add(&c->taken, 1);
		procs_breathe();
		atomic_fetch_sub(&c->inside, 1);
		shm_place_give(s, TAG);
	}
}

START_TEST(crowd_stays_within_the_limit_and_leaves_nothing)
{
	struct crowd *c = procs_shared(sizeof(*c));

	c->limit = (uint32_t)_i + 1;
	procs_run(&(struct procs_job){ .shm = shm,
				       .n = PROCS,
				       .ms = 300,
				       .stop_every = 10,
				       .run = come_and_go,
				       .arg = c });

	ck_assert_uint_gt(atomic_load(&c->taken), 0);
	ck_assert_uint_ge(atomic_load(&c->most), 1);
	ck_assert_uint_le(atomic_load(&c->most), c->limit);
	ck_assert_uint_eq(shm_place_sum(shm, TAG), 0);
}
END_TEST

/* Whoever holds the only place looks round: no living process may hold it as
 * well.  What a dead one had written down does not count, it is known by its
 * identity. */
static void alone(struct shm *s, uint32_t who, void *arg)
{
	struct crowd *c = arg;

	procs_delays(true);
	while (!procs_over() || atomic_load(&c->taken) == 0) {
		if (!shm_place_take(s, TAG, 1)) {
			procs_breathe();
			continue;
		}
		atomic_store(&c->mine[who], s->identity);
		procs_breathe();
		for (uint32_t i = 0; i < PROCS; i++) {
			const struct shm_slot *p = &s->slots[FIRST + i];
			uint64_t id = atomic_load(&c->mine[i]);

			if (i != who && id != 0 &&
			    id == atomic_load(&p->identity) &&
			    atomic_load(&p->state) != SHM_SLOT_DEAD)
				atomic_fetch_add(&c->wrong, 1);
		}
		atomic_fetch_add(&c->taken, 1);
		atomic_store(&c->mine[who], 0);
		shm_place_give(s, TAG);
	}
}

START_TEST(only_place_has_one_holder_while_holders_are_killed)
{
	struct crowd *c = procs_shared(sizeof(*c));
	uint32_t kills;

	kills = procs_run(&(struct procs_job){ .shm = shm,
					       .n = PROCS,
					       .ms = 300,
					       .kill_every = 3,
					       .kills = 30,
					       .run = alone,
					       .arg = c });

	ck_assert_uint_ge(kills, 30);
	ck_assert_uint_gt(atomic_load(&c->taken), 0);
	ck_assert_uint_eq(atomic_load(&c->wrong), 0);
	ck_assert_uint_eq(shm_place_sum(shm, TAG), 0);
	ck_assert(shm_place_take(shm, TAG, 1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm_places");
	TCase *tc = tcase_create("places");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, up, down);
	tcase_add_test(tc, places_end_at_the_limit_and_come_back);
	tcase_add_test(tc, tags_that_collide_are_counted_apart);
	tcase_add_test(tc, full_table_refuses_new_tags_only);
	tcase_add_test(tc, random_walk_agrees_with_plain_counts);
	tcase_add_test(tc, dead_process_leaves_no_place_behind);
	tcase_add_loop_test(tc, crowd_stays_within_the_limit_and_leaves_nothing,
			    0, 3);
	tcase_add_test(tc, only_place_has_one_holder_while_holders_are_killed);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
