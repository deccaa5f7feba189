#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "segment.h"
#include "shm/entry.h"
#include "shm/usage.h"
#include "shm/window.h"

/* What the next master does: check, save what can be saved, other sizes. */

#define DAY SEGMENT_DAY

static struct shm *shm;
static struct tally_key_row row;
static struct tl_err err;
static const struct shm_sizes sizes = { .max_keys = 64,
					.max_addresses = 64,
					.max_windows = 64,
					.decision_ring = 64,
					.idempotency = 64,
					.window_ms = 60000 };

static void unlink_all(void)
{
	shm_remove(segment_instance());
}

static void up(void)
{
	shm = segment_open_sized(&sizes, 1000);
	atexit(unlink_all); /* also when a test fails */
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	shm_close(&shm);
	unlink_all();
}

static char text[30][101];

/* Key n of user n/2 with scopes that take several chunks. */
static uint32_t taken(uint32_t n)
{
	struct tl_str scopes[30];
	uint32_t i;

	for (i = 0; i < 30; i++) {
		memset(text[i], (int)('a' + i % 26), 100);
		scopes[i] = (struct tl_str){ text[i], 100 };
	}
	segment_row(n, n / 2, &row);
	row.scopes = scopes;
	row.n_scopes = 30;
	segment_take_in(shm, &row);
	return shm_key_find(shm, &row.digest);
}

static void use(uint32_t key, uint64_t credits)
{
	uint64_t delta[SHM_METRICS] = { credits, 1, 0 }, used;
	struct shm_window_result r;
	struct shm_ticket t;

	ck_assert_int_eq(shm_usage_add(shm, key, DAY, delta, SHM_COUNT_MAX, 1),
			 TL_OK);
	ck_assert(shm_quota_reserve(
		&shm->users[atomic_load(&shm->keys[key].user)], DAY, credits,
		1000, &used));
	shm_window_check(shm->keys[key].ring,
			 shm->head->k.window_ms * TL_NS_PER_MS, 1000, 3,
			 shm->head->k.created_mono_ns, tl_mono_ns(), &t, &r);
	ck_assert(r.admitted);
}

static uint32_t charged(uint32_t key)
{
	const struct shm_constants *c = &shm->head->k;

	return shm_window_sum(shm->keys[key].ring, c->window_ms * TL_NS_PER_MS,
			      tl_mono_ns() - c->created_mono_ns);
}

static void assert_scopes(uint32_t key)
{
	uint32_t x = atomic_load(&shm->keys[key].extras), i;
	struct tl_str got;

	for (i = 0; i < 30; i++) {
		ck_assert(shm_extras_scope(shm, x, i, &got));
		ck_assert_uint_eq(got.len, 100);
		ck_assert_int_eq(got.ptr[7], 'a' + (int)i % 26);
	}
	ck_assert(!shm_extras_scope(shm, x, 30, &got));
}

/* ---- verify ---- */

START_TEST(a_whole_segment_stays_as_it_was)
{
	struct shm_janitor j = { 0 };
	struct shm_census c;
	uint32_t i;

	for (i = 0; i < 20; i++)
		use(taken(i), i + 1);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
	for (i = 0; i < 5; i++)
		shm_janitor_step(shm, &j, 64, 3600, true, tl_mono_ns());

	shm_census_keys(shm, &c);
	ck_assert_uint_eq(c.live, 20);
	ck_assert_uint_eq(atomic_load(&shm->head->key_live), 20);
	for (i = 0; i < 20; i++) {
		segment_row(i, i / 2, &row);
		ck_assert_uint_eq(shm_key_find(shm, &row.digest), i);
		ck_assert_uint_eq(shm_key_credits(&shm->keys[i], DAY), i + 1);
		assert_scopes(i);
	}
	for (i = 20; i < 64; i++)
		taken(i); /* all other places are free */
}
END_TEST

static void word_out_of_range(void)
{
	atomic_store(&shm->key_dir[0].word[6], dir_word(1, 1, 5000, 0));
}
static void word_twice(void)
{
	atomic_store(
		&shm->key_dir[0].word[5],
		dir_word(1, entry_gen(atomic_load(&shm->keys[0].state)), 0, 0));
}
static void more_flushed(void)
{
	atomic_store(&shm->keys[0].flushed[DAY % 3][0], shm_tagged(DAY, 6));
}
static void user_out_of_range(void)
{
	atomic_store(&shm->keys[0].user, 64);
}
static void user_gone(void)
{
	atomic_store(&shm->keys[0].user, 63);
}
static void extras_out_of_range(void)
{
	atomic_store(&shm->keys[0].extras, shm->n_extras + 1);
}
static void extras_gone(void)
{
	atomic_store(&shm->keys[0].extras, shm->n_extras);
}
static void extras_never_used(void)
{
	uint32_t i = (uint32_t)atomic_load(&shm->head->extras_fresh);

	atomic_store(&shm->extras[i].state, SHM_LIVE);
	atomic_store(&shm->keys[0].extras, i + 1);
}
static void user_never_used(void)
{
	uint32_t i = (uint32_t)atomic_load(&shm->head->user_fresh);

	atomic_store(&shm->users[i].state, SHM_LIVE);
	atomic_store(&shm->keys[0].user, i);
}
static void chain_in_a_ring(void)
{
	struct shm_extras *x =
		&shm->extras[atomic_load(&shm->keys[0].extras) - 1];

	shm->extras[x->next - 1].next = x->next;
}
static void chain_out_of_range(void)
{
	shm->extras[atomic_load(&shm->keys[0].extras) - 1].next = 60000;
}
static void chain_without_its_hash(void)
{
	shm->extras[atomic_load(&shm->keys[0].extras) - 1].hash = 0;
}
static void fresh_out_of_range(void)
{
	atomic_store(&shm->head->user_fresh, 65);
}

static void key_fresh_out_of_range(void)
{
	atomic_store(&shm->head->key_fresh, 1U << 20);
}

static void (*const damages[])(void) = {
	word_out_of_range,
	word_twice,
	more_flushed,
	user_out_of_range,
	user_gone,
	extras_gone,
	chain_in_a_ring,
	chain_out_of_range,
	extras_out_of_range,
	fresh_out_of_range,
	key_fresh_out_of_range,
	chain_without_its_hash,
	extras_never_used,
	user_never_used,
};

START_TEST(damage_is_found)
{
	use(taken(0), 5);
	damages[_i]();

	ck_assert_int_eq(shm_verify(shm, &err), TL_BROKEN);
}
END_TEST

/* ---- a batch that was sealed ---- */

static void more_records(struct shm_batch *b)
{
	b->n_records = UINT32_MAX;
}
static void more_answers(struct shm_batch *b)
{
	b->n_idems = SHM_BATCH_IDEMS + 1;
}
static void more_rows(struct shm_batch *b)
{
	b->log_bytes = SHM_BATCH_LOG_BYTES + 8;
}
static void rows_without_end(struct shm_batch *b)
{
	b->log_end = UINT64_MAX;
}
static void answer_out_of_range(struct shm_batch *b)
{
	b->n_idems = 1;
	b->idem_index[0] = shm->n_idems;
	b->crc = shm_batch_crc(b);
}
static void key_out_of_range(struct shm_batch *b)
{
	b->records[0].key = shm->n_keys;
	b->crc = shm_batch_crc(b);
}
static void other_credits(struct shm_batch *b)
{
	b->records[0].delta[SHM_CREDITS]++;
}
static void other_epoch(struct shm_batch *b)
{
	b->epoch++;
}
static void (*const changes[])(struct shm_batch *b) = {
	more_records,        more_answers,     more_rows,     rows_without_end,
	answer_out_of_range, key_out_of_range, other_credits, other_epoch,
};

START_TEST(a_batch_that_has_changed_is_not_whole)
{
	struct shm_scan scan = { .full = true };
	struct shm_batch *b;

	use(taken(0), 5);
	shm_scan_begin(shm, &scan, true);
	b = shm_batch_fill(shm, &scan);
	ck_assert(shm_batch_whole(shm, b));

	changes[_i](b);

	ck_assert(!shm_batch_whole(shm, b));
}
END_TEST

struct saved {
	uint64_t credits, requests;
	uint32_t n, refused;
};

static void save(void *arg, const struct shm_record *r, uint32_t n,
		 uint64_t epoch)
{
	struct saved *s = arg;

	ck_assert_uint_eq(epoch, shm->head->k.epoch);
	for (; n > 0; n--, r++, s->n++) {
		ck_assert_uint_eq(r->day, DAY);
		s->credits += r->delta[SHM_CREDITS];
		s->requests += r->delta[SHM_REQUESTS];
		s->refused += r->flags == SHM_RECORD_REFUSED;
	}
}

START_TEST(what_is_pending_is_saved_from_a_damaged_one)
{
	struct saved s = { 0 };
	uint32_t i;

	for (i = 0; i < 20; i++)
		use(taken(i), 10);
	atomic_store(&shm->keys[0].flushed[DAY % 3][0], shm_tagged(DAY, 4));
	atomic_store(&shm->keys[1].user, 5000); /* nobody knows whose */
	shm_quota_refused(shm, 2, DAY);
	word_out_of_range();

	ck_assert_int_eq(shm_verify(shm, &err), TL_BROKEN);
	shm_salvage(shm, save, &s);
	ck_assert_uint_eq(s.credits, 190 - 4);
	ck_assert_uint_eq(s.requests, 19);
	ck_assert_uint_ge(s.refused, 1);
}
END_TEST

/* ---- other sizes ---- */

START_TEST(all_live_state_moves_to_other_sizes)
{
	struct shm_sizes bigger = sizes;
	uint8_t key_id[16] = { 1 }, body[16] = { 2 };
	struct shm_answer answer = { .day = 7 }, got;
	uint64_t epoch = shm->head->k.epoch, total[SHM_METRICS], n, gen;
	struct shm_window *w;
	uint32_t i, at, k;

	for (i = 0; i < 20; i++)
		use(taken(i), i + 1);
	w = shm_window_get(shm, shm->windows, shm->n_windows, 77, key_id, 60000,
			   5);
	atomic_store(&w->ring[2], 99);
	ck_assert_int_eq(shm_idem_begin(shm, key_id, TL_STR("a"), body,
					1700000000000, true, &at, &got, &gen),
			 SHM_IDEM_CLAIMED);
	shm_idem_done(shm, at, &answer, 0);
	/* retired, with usage that came late */
	k = taken(21);
	use(k, 100);
	dir_remove(&(struct entry_table){ .dir = shm->key_dir,
					  .buckets = shm->head->k.key_buckets },
		   dir_hash(shm, row.digest.b, 32), k);
	atomic_store(&shm->keys[k].state, entry_word(SHM_RETIRED, 1, 0, 1));
	bigger.max_keys = 5000;
	bigger.max_windows = 640;

	ck_assert_int_eq(shm_resize(segment_instance(), &bigger, &shm, &err),
			 TL_OK);

	ck_assert_uint_eq(shm->n_keys, 5000);
	ck_assert_uint_eq(shm->head->k.epoch, epoch);
	for (i = 0; i < 20; i++) {
		segment_row(i, i / 2, &row);
		k = shm_key_find(shm, &row.digest);
		ck_assert_uint_ne(k, SHM_NONE);
		ck_assert_uint_eq(shm_key_credits(&shm->keys[k], DAY), i + 1);
		ck_assert_uint_eq(charged(k), 3);
		ck_assert_uint_eq(atomic_load(&shm->keys[k].user),
				  shm_user_find(shm, &row.user.user_id));
		assert_scopes(k);
	}
	shm_pending(shm, total, &n);
	ck_assert_uint_eq(total[SHM_CREDITS], 20 * 21 / 2 + 100);
	w = shm_window_get(shm, shm->windows, shm->n_windows, 77, key_id, 60000,
			   5);
	ck_assert_uint_eq(atomic_load(&w->ring[2]), 99);
	ck_assert_int_eq(shm_idem_begin(shm, key_id, TL_STR("a"), body,
					1700000000000, true, &at, &got, &gen),
			 SHM_IDEM_REPLAY);
	ck_assert_uint_eq(got.day, 7);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

START_TEST(another_window_starts_with_the_old_charges)
{
	struct shm_sizes other = sizes;
	uint32_t k = taken(0);

	use(k, 1);
	other.window_ms = 1000;
	ck_assert_int_eq(shm_resize(segment_instance(), &other, &shm, &err),
			 TL_OK);

	ck_assert_uint_eq(charged(0), 3);
}
END_TEST

START_TEST(what_does_not_fit_stays_where_it_is)
{
	struct shm_sizes smaller = sizes;
	struct shm *before = shm;
	uint32_t i;

	for (i = 0; i < 20; i++)
		use(taken(i), 1);
	smaller.max_keys = 19;
	smaller.max_users = 64;
	ck_assert_int_eq(shm_resize(segment_instance(), &smaller, &shm, &err),
			 TL_FULL);

	ck_assert_ptr_eq(shm, before);
	segment_row(19, 9, &row);
	ck_assert_uint_ne(shm_key_find(shm, &row.digest), SHM_NONE);
}
END_TEST

START_TEST(a_batch_on_its_way_forbids_other_sizes)
{
	struct shm_sizes bigger = sizes;
	struct shm_scan scan;

	use(taken(0), 1);
	shm_scan_begin(shm, &scan, true);
	ck_assert_ptr_nonnull(shm_batch_fill(shm, &scan));
	bigger.max_keys = 128;

	ck_assert_int_eq(shm_resize(segment_instance(), &bigger, &shm, &err),
			 TL_BUSY);
}
END_TEST

/* A master that was killed in the middle of it left its half behind. */
START_TEST(a_half_made_copy_does_not_stop_the_next)
{
	struct shm_sizes bigger = sizes;
	char name[64], path[96];
	FILE *f;

	shm_name(segment_instance(), name);
	snprintf(path, sizeof(path), "/dev/shm/new.%s", name + 1);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	bigger.max_keys = 128;

	ck_assert_int_eq(shm_resize(segment_instance(), &bigger, &shm, &err),
			 TL_OK);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/repair");
	TCase *tc = tcase_create("repair");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_whole_segment_stays_as_it_was);
	tcase_add_loop_test(tc, damage_is_found, 0,
			    sizeof(damages) / sizeof(damages[0]));
	tcase_add_loop_test(tc, a_batch_that_has_changed_is_not_whole, 0,
			    sizeof(changes) / sizeof(changes[0]));
	tcase_add_test(tc, what_is_pending_is_saved_from_a_damaged_one);
	tcase_add_test(tc, all_live_state_moves_to_other_sizes);
	tcase_add_test(tc, another_window_starts_with_the_old_charges);
	tcase_add_test(tc, what_does_not_fit_stays_where_it_is);
	tcase_add_test(tc, a_batch_on_its_way_forbids_other_sizes);
	tcase_add_test(tc, a_half_made_copy_does_not_stop_the_next);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
