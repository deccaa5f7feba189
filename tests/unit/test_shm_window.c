#include <check.h>
#include <sched.h>
#include <stdlib.h>

#include "procs.h"
#include "segment.h"
#include "shm/window.h"

#define W_NS        (14 * 1000000ULL) /* buckets of 1 ms */
#define W_BUCKET_NS 1000000ULL
/* A base in the past, so that what a test says is "now" is what counts: a
 * second reading would be years away and is never needed. */
#define BASE 0ULL

static struct {
	_Atomic uint64_t cell[SHM_CELLS];
} words;
static struct shm_ticket ticket;
static struct shm_window_result result;

static bool try_at(uint64_t now_ns, uint32_t limit, uint32_t cost)
{
	shm_window_check(words.cell, W_NS, limit, cost, BASE, now_ns, &ticket,
			 &result);
	return result.admitted;
}

START_TEST(limit_is_reached_exactly_and_frees_after_its_window)
{
	const uint64_t t = 1000 * W_BUCKET_NS;
	int i;

	for (i = 0; i < 5; i++)
		ck_assert(try_at(t, 5, 1));
	ck_assert_uint_eq(result.sum, 5);

	ck_assert(!try_at(t, 5, 1));
	ck_assert_uint_eq(result.sum, 5);
	/* the bucket began at t, ends a bucket later, counts a window more */
	ck_assert_uint_eq(result.reset_ns, 15 * W_BUCKET_NS);
	ck_assert(!try_at(t + result.reset_ns - 1, 5, 1));
	ck_assert_uint_eq(result.reset_ns, 1);
	ck_assert(try_at(t + 15 * W_BUCKET_NS, 5, 1));
	ck_assert_uint_eq(result.sum, 1);
}
END_TEST

START_TEST(costs_weigh_and_reset_waits_for_enough)
{
	const uint64_t t = 1000 * W_BUCKET_NS;

	ck_assert(try_at(t, 10, 4));
	ck_assert(try_at(t + 3 * W_BUCKET_NS, 10, 6));

	ck_assert(!try_at(t + 5 * W_BUCKET_NS, 10, 4));
	ck_assert_uint_eq(result.reset_ns, 10 * W_BUCKET_NS);
	ck_assert(!try_at(t + 5 * W_BUCKET_NS, 10, 5));
	ck_assert_uint_eq(result.reset_ns, 13 * W_BUCKET_NS);
	ck_assert(!try_at(t + 5 * W_BUCKET_NS, 10, 11)); /* never fits */
	ck_assert_uint_eq(result.sum, 10);
	ck_assert(!try_at(t + 5 * W_BUCKET_NS, 0, 1));
}
END_TEST

START_TEST(what_is_returned_is_free_again)
{
	const uint64_t t = 1000 * W_BUCKET_NS;

	ck_assert(try_at(t, 3, 3));
	shm_ticket_return(&ticket);
	ck_assert(try_at(t, 3, 2));
	shm_ticket_return(&ticket);
	shm_ticket_return(&ticket); /* of a cell that holds less: nothing */
	ck_assert_uint_eq(shm_window_sum(words.cell, W_NS, t), 0);

	ck_assert(try_at(t, 3, 3));
	ck_assert(try_at(t + 16 * W_BUCKET_NS, 3, 2)); /* the same cell */
	shm_ticket_return(
		&(struct shm_ticket){ ticket.cell, ticket.epoch - 16, 2, 0 });
	ck_assert_uint_eq(
		shm_window_sum(words.cell, W_NS, t + 16 * W_BUCKET_NS), 2);
}
END_TEST

START_TEST(a_look_writes_nothing)
{
	const uint64_t t = 1000 * W_BUCKET_NS;
	uint64_t before[SHM_CELLS];

	ck_assert(try_at(t, 5, 3));
	memcpy(before, &words, sizeof(before));

	shm_window_peek(words.cell, W_NS, 5, 2, t, &result);
	ck_assert(result.admitted);
	ck_assert_uint_eq(result.sum, 3);
	shm_window_peek(words.cell, W_NS, 5, 3, t, &result);
	ck_assert(!result.admitted);
	ck_assert_uint_eq(result.reset_ns, 15 * W_BUCKET_NS);
	ck_assert_mem_eq(before, &words, sizeof(before));
}
END_TEST

/* The clock's reading was taken, then the process was stopped for long. */
START_TEST(an_old_reading_is_taken_anew)
{
	uint64_t now = tl_mono_ns();

	ck_assert(try_at(now, 1, 1));

	ck_assert(!try_at(now - 5 * W_BUCKET_NS, 1, 1) ||
		  tl_mono_ns() > now + W_NS);
}
END_TEST

/* A word that is no cell of this clock must not catch a worker for ever. */
START_TEST(a_ring_of_another_clock_refuses)
{
	atomic_store(&words.cell[3], (0x70000000ULL << 32) | 1);

	ck_assert(!try_at(tl_mono_ns(), 100, 1));
	ck_assert(!result.admitted);
}
END_TEST

START_TEST(gcra_spaces_and_bursts)
{
	_Atomic uint64_t tat = 0;
	const uint64_t t = 1000000000, s = 1000000000;
	int i;

	for (i = 0; i < 3; i++) {
		shm_gcra_check(&tat, s, 10, 3, 1, t, false, &ticket, &result);
		ck_assert(result.admitted);
		ck_assert_uint_eq(result.sum, (unsigned)i + 1);
	}
	shm_gcra_check(&tat, s, 10, 3, 1, t, false, &ticket, &result);
	ck_assert(!result.admitted);
	ck_assert_uint_eq(result.reset_ns, s / 10);
	shm_gcra_check(&tat, s, 10, 3, 1, t + s / 10, true, &ticket, &result);
	ck_assert(result.admitted); /* dry: still free */
	shm_gcra_check(&tat, s, 10, 3, 1, t + s / 10, false, &ticket, &result);
	ck_assert(result.admitted);
	shm_ticket_return(&ticket);
	shm_gcra_check(&tat, s, 10, 3, 1, t + s / 10, false, &ticket, &result);
	ck_assert(result.admitted);

	/* its window was emptied before it gave back: not below zero */
	atomic_store(&tat, 0);
	shm_ticket_return(&ticket);
	shm_gcra_check(&tat, s, 10, 3, 1, t, false, &ticket, &result);
	ck_assert(result.admitted);
}
END_TEST

/* Neither a day's window with a large cost nor a huge burst wraps round. */
START_TEST(gcra_does_not_overflow)
{
	const uint64_t day = 86400ULL * 1000000000, t = 1000000000;
	_Atomic uint64_t tat = 0;

	shm_gcra_check(&tat, day, 1, 5, 1000000, t, false, &ticket, &result);
	ck_assert(!result.admitted);
	shm_gcra_check(&tat, 49 * day, 1, UINT32_MAX, 1000000, t, false,
		       &ticket, &result);
	ck_assert(!result.admitted);
	shm_gcra_check(&tat, 49 * day, 1, UINT32_MAX, 1, t, false, &ticket,
		       &result);
	ck_assert(result.admitted);
	shm_gcra_check(&tat, day, 0, 5, 1, t, false, &ticket, &result);
	ck_assert(!result.admitted);
}
END_TEST

/* ---- windows outside keys ---- */

static struct shm *shm;

static void segment_up(void)
{
	shm = segment_open(64, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
}

static void segment_down(void)
{
	shm_close(&shm);
}

static const uint8_t nobody[16];

static struct shm_window *get(uint64_t tag, uint64_t window_ms, uint64_t at_ms)
{
	return shm_window_get(shm, shm->windows, shm->n_windows, tag, nobody,
			      window_ms, at_ms);
}

/* Tags of one set: they differ by multiples of the number of sets, in the
 * bits that chose a stripe once. */
static uint64_t tag_of(uint32_t i, uint64_t kind)
{
	uint64_t sets = shm->n_windows / SHM_WAYS;

	return kind + (sets - kind % sets) + (((1 + i) * sets) << 44);
}

START_TEST(a_full_set_gives_idle_windows_only)
{
	struct shm_window *w[SHM_WAYS];
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++) {
		w[i] = get(tag_of(i, 0), 1000, 5000 + i);
		ck_assert_ptr_nonnull(w[i]);
	}
	ck_assert_ptr_null(get(tag_of(8, 0), 1000, 5100));

	ck_assert_ptr_eq(get(tag_of(2, 0), 1000, 9000), w[2]);
	atomic_store(&w[0]->ring[1], 77);
	ck_assert_ptr_eq(get(tag_of(8, 0), 1000, 9000), w[0]);
	ck_assert_uint_eq(atomic_load(&w[0]->ring[1]), 0);
	ck_assert(!shm_window_is(w[0], tag_of(0, 0)));
}
END_TEST

/* Who was stopped for minutes must not make a used window look idle. */
START_TEST(an_old_reading_does_not_make_a_window_idle)
{
	struct shm_window *w = get(tag_of(0, 0), 1000, 5000);

	ck_assert_ptr_eq(get(tag_of(0, 0), 1000, 90000), w);
	ck_assert_ptr_eq(get(tag_of(0, 0), 1000, 6000), w);

	ck_assert_uint_eq(atomic_load(&w->last_mono_ms), 90000);
}
END_TEST

/* A flood of addresses must not take the window of a paid limit. */
START_TEST(addresses_take_over_only_their_kind)
{
	struct shm_window *old, *w;
	uint32_t i;

	for (i = 0; i < SHM_WAYS - 1; i++)
		ck_assert_ptr_nonnull(get(tag_of(i, 0), 1000, 5000));
	old = get(tag_of(0, SHM_TAG_STEAL), 1000, 5050);
	ck_assert_ptr_nonnull(old);
	atomic_store(&old->ring[1], 77);

	ck_assert_ptr_null(get(tag_of(9, 0), 1000, 5100));
	ck_assert_ptr_null(
		get(tag_of(9, SHM_TAG_STEAL | SHM_TAG_GCRA), 1000, 5100));
	ck_assert_ptr_null(get(tag_of(9, SHM_TAG_STEAL), 2000, 5100));
	w = get(tag_of(9, SHM_TAG_STEAL), 1000, 5100);
	ck_assert_ptr_eq(w, old);
	ck_assert_uint_eq(atomic_load(&w->ring[1]), 77); /* charges stay */
}
END_TEST

/* Two tags of one set must not both get one place: eight places, eight tags,
 * taken by four processes at once. */
struct meeting {
	_Atomic uint32_t arrived;
};

static void take_places(struct shm *s, uint32_t who, void *arg)
{
	uint32_t sets = s->n_windows / SHM_WAYS, set;
	struct meeting *m = arg;

	procs_delays(true);
	for (set = 0; set < sets; set++) {
		atomic_fetch_add(&m->arrived, 1);
		while (atomic_load(&m->arrived) < 4 * (set + 1))
			sched_yield();
		/* on a slow machine the stripe may be taken for 50 ms */
		while (get(tag_of(2 * who, 0) + set, 1000000, 5000) == NULL)
			;
		while (get(tag_of(2 * who + 1, 0) + set, 1000000, 5000) == NULL)
			;
	}
}

static bool is_held(uint64_t tag)
{
	uint32_t i;

	for (i = 0; i < shm->n_windows; i++)
		if (shm_window_is(&shm->windows[i], tag))
			return true;
	return false;
}

START_TEST(one_place_is_given_to_one_tag)
{
	uint32_t sets = shm->n_windows / SHM_WAYS, set, i, lost = 0;

	procs_run(&(struct procs_job){
		.shm = shm,
		.n = 4,
		.run = take_places,
		.arg = procs_shared(sizeof(struct meeting)) });

	for (set = 0; set < sets; set++)
		for (i = 0; i < SHM_WAYS; i++)
			lost += !is_held(tag_of(i, 0) + set);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

/* ---- the property: in no window more than the limit ---- */

#define LOG_MAX 400000
struct admission {
	uint64_t reading_ns; /* 0: not known exactly */
	uint32_t epoch, cost;
};
struct shared_log {
	_Atomic uint64_t ring[SHM_CELLS];
	uint32_t limit;
	_Atomic uint32_t n, refused;
	struct admission row[LOG_MAX];
};

static void hammer(struct shm *s, uint32_t who, void *arg)
{
	struct shared_log *log = arg;
	struct shm_window_result r;
	struct shm_ticket t;
	uint64_t now, base = s->head->k.created_mono_ns;
	uint32_t cost, i;

	(void)who;
	procs_delays(true);
	/* goes on until the limit was reached at least once */
	while (!procs_over() || atomic_load(&log->refused) == 0) {
		cost = 1 + procs_random(1 + log->limit / 10);
		now = tl_mono_ns();
		shm_window_check(log->ring, W_NS, log->limit, cost, base, now,
				 &t, &r);
		if (!r.admitted) {
			atomic_fetch_add(&log->refused, 1);
			continue;
		}
		if (procs_random(16) == 0) { /* a later limit refused it */
			shm_ticket_return(&t);
			continue;
		}
		i = atomic_fetch_add(&log->n, 1);
		if (i >= LOG_MAX)
			return;
		/* a reading taken anew is known by its bucket only */
		log->row[i] = (struct admission){
			(now - base) / W_BUCKET_NS + 64 == t.epoch ? now : 0,
			t.epoch, cost
		};
	}
}

static int by_epoch(const void *a, const void *b)
{
	const struct admission *x = a, *y = b;

	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

static int by_reading(const void *a, const void *b)
{
	const struct admission *x = a, *y = b;

	return (x->reading_ns > y->reading_ns) -
	       (x->reading_ns < y->reading_ns);
}

/* The most in any B + 1 neighbouring buckets, which hold any window. */
static uint64_t worst_buckets(struct admission *a, uint32_t n)
{
	uint64_t sum = 0, worst = 0;
	uint32_t i, first = 0;

	qsort(a, n, sizeof(*a), by_epoch);
	for (i = 0; i < n; i++) {
		sum += a[i].cost;
		while (a[first].epoch + SHM_SPAN < a[i].epoch)
			sum -= a[first++].cost;
		worst = sum > worst ? sum : worst;
	}
	return worst;
}

/* The most in any W by the very readings. */
static uint64_t worst_window(struct admission *a, uint32_t n)
{
	uint64_t sum = 0, worst = 0;
	uint32_t i, first = 0;

	qsort(a, n, sizeof(*a), by_reading);
	for (i = 0; i < n; i++) {
		if (a[i].reading_ns == 0) {
			first = i + 1;
			continue;
		}
		sum += a[i].cost;
		while (a[first].reading_ns + W_NS < a[i].reading_ns)
			sum -= a[first++].cost;
		worst = sum > worst ? sum : worst;
	}
	return worst;
}

static const uint32_t limits[] = { 1, 2, 3, 10, 100, 1000 };

START_TEST(no_window_holds_more_than_the_limit)
{
	struct shared_log *log = procs_shared(sizeof(*log));
	struct procs_job job = { .shm = shm,
				 .n = 4,
				 .ms = 400,
				 .kill_every = 4,
				 .stop_every = 3,
				 .run = hammer,
				 .arg = log };
	uint32_t n;

	log->limit = limits[_i];
	procs_run(&job);
	n = atomic_load(&log->n);
	n = n < LOG_MAX ? n : LOG_MAX;

	/* rows that a kill left empty stand at bucket 0 and cost nothing */
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_le(worst_buckets(log->row, n), log->limit);
	ck_assert_uint_le(worst_window(log->row, n), log->limit);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/window");
	TCase *pure = tcase_create("pure");
	TCase *table = tcase_create("table");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, pure);
	tcase_add_test(pure,
		       limit_is_reached_exactly_and_frees_after_its_window);
	tcase_add_test(pure, costs_weigh_and_reset_waits_for_enough);
	tcase_add_test(pure, what_is_returned_is_free_again);
	tcase_add_test(pure, a_look_writes_nothing);
	tcase_add_test(pure, an_old_reading_is_taken_anew);
	tcase_add_test(pure, a_ring_of_another_clock_refuses);
	tcase_add_test(pure, gcra_spaces_and_bursts);
	tcase_add_test(pure, gcra_does_not_overflow);
	suite_add_tcase(s, table);
	tcase_add_checked_fixture(table, segment_up, segment_down);
	tcase_set_timeout(table, 60);
	tcase_add_test(table, a_full_set_gives_idle_windows_only);
	tcase_add_test(table, an_old_reading_does_not_make_a_window_idle);
	tcase_add_test(table, addresses_take_over_only_their_kind);
	tcase_add_test(table, one_place_is_given_to_one_tag);
	tcase_add_loop_test(table, no_window_holds_more_than_the_limit, 0,
			    sizeof(limits) / sizeof(limits[0]));
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
