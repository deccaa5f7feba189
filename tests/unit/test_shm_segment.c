#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "procs.h"
#include "segment.h"
#include "shm/entry.h"
#include "shm/metrics.h"
#include "shm/usage.h"
#include "shm/window.h"

/* Making, attaching, refusing; what a damaged header does. */

#define DAY SEGMENT_DAY

static struct shm *shm;
static struct tl_err err;
static enum shm_found found;
static const struct shm_sizes sizes = { .max_keys = 64,
					.max_addresses = 64,
					.max_windows = 64,
					.decision_ring = 64,
					.idempotency = 64,
					.window_ms = 60000 };

static void unlink_all(void)
{
	char path[96], name[64];

	shm_name(segment_instance(), name);
	snprintf(path, sizeof(path), "/dev/shm%s.kept", name);
	unlink(path);
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

static int object(void)
{
	char path[96], name[64];

	shm_name(segment_instance(), name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	return open(path, O_RDWR);
}

static enum tl_status read_it(void)
{
	struct shm *s = NULL;
	enum tl_status st = shm_open_reader(segment_instance(), &s, &err);

	shm_close(&s);
	return st;
}

static enum tl_status open_it(const struct shm_sizes *z)
{
	shm_close(&shm);
	return shm_open_master(segment_instance(), z, &shm, &found, &err);
}

/* ---- attach ---- */

START_TEST(the_next_master_finds_what_was_left)
{
	uint64_t epoch = shm->head->k.epoch;

	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_READY); /* it died */
	shm_mark_clean(shm);
	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_CLEAN);
	/* in use since: a kill now must not look like an orderly stop */
	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_READY);
	ck_assert_uint_eq(shm->head->k.epoch, epoch);

	atomic_store(&shm->head->state, SHM_CREATING); /* died while making */
	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_NONE);
	ck_assert_uint_ne(shm->head->k.epoch, epoch);
}
END_TEST

START_TEST(another_layout_is_refused_and_kept_aside)
{
	uint32_t other = SHM_LAYOUT + 1;
	int fd = object();
	char text[64];

	ck_assert_int_eq(
		pwrite(fd, &other, 4, offsetof(struct shm_constants, layout)),
		4);
	close(fd);
	snprintf(text, sizeof(text), "layout %u, want %u", other, SHM_LAYOUT);

	ck_assert_int_eq(read_it(), TL_VERSION);
	ck_assert_str_eq(err.text, text);
	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_OTHER);
	ck_assert_str_eq(err.text, text);
	ck_assert_uint_eq(atomic_load(&shm->head->key_fresh), 0);
}
END_TEST

START_TEST(what_another_release_has_left_is_seen)
{
	char path[96], name[64], found_name[64];
	uint32_t layout;

	ck_assert_uint_eq(shm_other(segment_instance(), found_name), 0);
	for (layout = 1; layout < SHM_LAYOUT; layout++) {
		snprintf(name, sizeof(name), "/tallyd.%s.v%u",
			 segment_instance(), layout);
		snprintf(path, sizeof(path), "/dev/shm%s", name);
		close(open(path, O_RDWR | O_CREAT, 0600));
		ck_assert_uint_eq(shm_other(segment_instance(), found_name),
				  layout);
		ck_assert_str_eq(found_name, name);
	}
	for (layout = 1; layout < SHM_LAYOUT; layout++) {
		snprintf(path, sizeof(path), "/dev/shm/tallyd.%s.v%u",
			 segment_instance(), layout);
		unlink(path);
	}
}
END_TEST

START_TEST(a_truncated_segment_is_refused)
{
	static const off_t bytes[] = { 0, 100, SHM_PAGE,
				       sizeof(struct shm_head) };
	off_t total = (off_t)shm->total_bytes;
	uint32_t i;
	int fd = object();

	ck_assert_int_eq(ftruncate(fd, total - 1), 0);
	ck_assert_int_eq(read_it(), TL_BROKEN);
	for (i = 4; i-- > 0;) {
		ck_assert_int_eq(ftruncate(fd, bytes[i]), 0);
		ck_assert_int_eq(read_it(), TL_BROKEN);
	}
	close(fd);
	ck_assert_int_eq(open_it(&sizes), TL_OK);
	ck_assert_int_eq(found, SHM_FOUND_OTHER);
}
END_TEST

START_TEST(a_zeroed_header_is_refused)
{
	uint8_t zero[SHM_PAGE] = { 0 };
	int fd = object();

	ck_assert_int_eq(pwrite(fd, zero, sizeof(zero), 0), SHM_PAGE);
	close(fd);

	ck_assert_int_eq(read_it(), TL_BROKEN);
	ck_assert_str_eq(err.text, "no segment: wrong magic");
}
END_TEST

START_TEST(each_flipped_bit_of_the_header_is_refused)
{
	uint8_t whole[sizeof(struct shm_constants)], byte;
	int fd = object();
	uint32_t i, bit;

	ck_assert_int_eq(pread(fd, whole, sizeof(whole), 0),
			 (ssize_t)sizeof(whole));
	for (i = 0; i < offsetof(struct shm_constants, crc) + 4; i++) {
		for (bit = 0; bit < 8; bit++) {
			byte = whole[i] ^ (uint8_t)(1U << bit);
			ck_assert_int_eq(pwrite(fd, &byte, 1, i), 1);
			ck_assert_int_ne(read_it(), TL_OK);
		}
		ck_assert_int_eq(pwrite(fd, &whole[i], 1, i), 1);
	}
	close(fd);
	ck_assert_int_eq(read_it(), TL_OK);
}
END_TEST

static void overlap(struct shm_constants *k)
{
	k->regions[SHM_R_USERS].offset = k->regions[SHM_R_KEYS].offset;
}
static void wrap_around(struct shm_constants *k)
{
	k->regions[SHM_R_KEYS].offset = UINT64_MAX - SHM_PAGE + 1;
	k->regions[SHM_R_KEYS].size_bytes = 2 * SHM_PAGE;
}
static void more_entries(struct shm_constants *k)
{
	k->regions[SHM_R_KEYS].count *= 1000;
}
static void no_power_of_two(struct shm_constants *k)
{
	k->key_buckets = 24;
}
static void no_window(struct shm_constants *k)
{
	k->window_ms = 0;
}
static void (*const wrong[])(struct shm_constants *k) = {
	overlap, wrap_around, more_entries, no_power_of_two, no_window,
};

/* A checksum that is right tells nothing of what it was made of. */
START_TEST(constants_that_can_not_be_mapped_are_refused)
{
	struct shm_constants k;
	int fd = object();

	ck_assert_int_eq(pread(fd, &k, sizeof(k), 0), (ssize_t)sizeof(k));
	wrong[_i](&k);
	k.crc = tl_crc32c(0, &k, offsetof(struct shm_constants, crc));
	ck_assert_int_eq(pwrite(fd, &k, sizeof(k), 0), (ssize_t)sizeof(k));
	close(fd);

	ck_assert_int_eq(read_it(), TL_BROKEN);
	ck_assert_str_eq(err.text,
			 "the regions do not lie as this layout has them");
}
END_TEST

START_TEST(a_segment_that_does_not_fit_says_what_to_do)
{
	struct shm_sizes huge = sizes;
	struct shm *s = NULL;

	huge.max_keys = 4000000000U;
	down();
	ck_assert_int_eq(
		shm_open_master(segment_instance(), &huge, &s, &found, &err),
		TL_FULL);

	ck_assert_ptr_nonnull(strstr(err.text, "lower shm.max_keys"));
	ck_assert_ptr_nonnull(strstr(err.text, "MiB free"));
	ck_assert_ptr_null(s);
	ck_assert_int_eq(read_it(), TL_NOT_FOUND); /* nothing is left */
	shm = segment_open_sized(&sizes, 1000);
}
END_TEST

/* ---- protection ---- */

struct write_to {
	struct shm *s;
	volatile uint8_t *at;
};

static bool write_faults(volatile uint8_t *at, bool as_child)
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		if (as_child) {
			shm_slot_take(shm, 3, "test", 0, 1);
			shm_protect_child(shm);
		}
		*at = *at;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	/* a sanitizer ends the process with a status of its own */
	return !WIFEXITED(st) || WEXITSTATUS(st) != 0;
}

START_TEST(a_reader_cannot_write)
{
	struct shm *s = NULL;

	ck_assert_int_eq(shm_open_reader(segment_instance(), &s, &err), TL_OK);
	ck_assert(s->read_only);
	ck_assert_uint_eq(s->head->k.epoch, shm->head->k.epoch);

	ck_assert(write_faults((volatile uint8_t *)s->head, false));
	ck_assert(write_faults((volatile uint8_t *)s->keys, false));
	ck_assert_uint_eq(shm_day(s, tl_mono_ns()),
			  atomic_load(&shm->head->max_period));
	shm_close(&s);
}
END_TEST

START_TEST(guard_pages_stand_between_the_regions)
{
	uint8_t *base = (uint8_t *)shm->head;
	uint32_t i;

	for (i = 0; i < SHM_REGIONS; i++) {
		const struct shm_region *r = &shm->head->k.regions[i];

		ck_assert_uint_eq(r->offset % SHM_PAGE, 0);
		ck_assert(write_faults(base + r->offset - 1, false));
		if (r->size_bytes > 0)
			ck_assert(!write_faults(
				base + r->offset + r->size_bytes - 1, false));
	}
}
END_TEST

START_TEST(a_child_writes_only_what_is_its_own)
{
	ck_assert(write_faults((volatile uint8_t *)shm->head, true));
	ck_assert(
		!write_faults((volatile uint8_t *)shm->head + SHM_PAGE, true));
	ck_assert(write_faults((volatile uint8_t *)shm->policies, true));
	ck_assert(write_faults((volatile uint8_t *)&shm->metrics[2], true));
	ck_assert(!write_faults((volatile uint8_t *)&shm->metrics[3], true));
	ck_assert(write_faults((volatile uint8_t *)&shm->metrics[4], true));
	ck_assert(!write_faults((volatile uint8_t *)shm->stripes, true));
}
END_TEST

/* ---- slots, counters, time ---- */

static void wait_for_ever(struct shm *s, uint32_t who, void *arg)
{
	(void)s;
	(void)who;
	(void)arg;
	while (!procs_over())
		usleep(1000);
}

static void look_for_life(struct shm *s, uint32_t who, void *arg)
{
	struct write_to *seen = arg;
	uint64_t pid = 0;

	if (who == 0)
		wait_for_ever(s, who, NULL);
	else if (shm_slots_alive(s, &pid))
		seen->s = s;
}

START_TEST(living_processes_of_slots_are_seen)
{
	struct write_to *seen = procs_shared(sizeof(*seen));
	uint64_t pid;

	ck_assert(!shm_slots_alive(shm, &pid));
	procs_run(&(struct procs_job){ .shm = shm,
				       .n = 2,
				       .ms = 100,
				       .run = look_for_life,
				       .arg = seen });
	ck_assert_ptr_nonnull(seen->s);
	ck_assert(!shm_slots_alive(shm, &pid));
	/* the number was given to another process: not the one that we knew */
	atomic_store(&shm->slots[7].pid, (uint64_t)getppid());
	atomic_store(&shm->slots[7].start_ticks, 1);
	ck_assert(!shm_slots_alive(shm, &pid));
}
END_TEST

START_TEST(counters_never_fall_when_a_process_dies)
{
	shm_count(shm, SHM_C_REQUESTS, 5);
	shm_count(shm, SHM_C_CONNECTIONS_OPEN_DELTA, 3);

	shm_slot_reap(shm, 1);
	ck_assert_uint_eq(shm_counter_sum(shm, SHM_C_REQUESTS), 5);
	ck_assert_uint_eq(shm_counter_sum(shm, SHM_C_CONNECTIONS_OPEN_DELTA),
			  0);
	shm_slot_take(shm, 1, "test", 0, 2);
	shm_count(shm, SHM_C_REQUESTS, 1);
	ck_assert_uint_eq(shm_counter_sum(shm, SHM_C_REQUESTS), 6);
}
END_TEST

START_TEST(days_never_fall)
{
	uint64_t now = tl_mono_ns(), day_ns = 86400ULL * TL_NS_PER_S;
	uint32_t day = shm_day(shm, now);

	ck_assert_uint_eq(shm_day(shm, now + 400 * day_ns), day + 400);
	ck_assert_uint_eq(shm_day(shm, now), day + 400);
	ck_assert_uint_eq(shm_day(shm, now + 401 * day_ns), day + 401);
}
END_TEST

START_TEST(large_clock_steps_wait_for_a_word)
{
	int64_t step;

	atomic_fetch_sub(&shm->head->wall_offset_us, 1000000);
	ck_assert(shm_clock_adjust(shm, false, &step));
	atomic_fetch_sub(&shm->head->wall_offset_us, 7200000000);
	ck_assert(!shm_clock_adjust(shm, false, &step));
	ck_assert_int_ge(step, 7199000000);
	ck_assert(shm_clock_adjust(shm, true, &step));
	ck_assert(shm_clock_adjust(shm, false, &step));
	ck_assert_int_lt(step, 1000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/segment");
	TCase *tc = tcase_create("segment");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_next_master_finds_what_was_left);
	tcase_add_test(tc, another_layout_is_refused_and_kept_aside);
	tcase_add_test(tc, what_another_release_has_left_is_seen);
	tcase_add_test(tc, a_truncated_segment_is_refused);
	tcase_add_test(tc, a_zeroed_header_is_refused);
	tcase_add_test(tc, each_flipped_bit_of_the_header_is_refused);
	tcase_add_loop_test(tc, constants_that_can_not_be_mapped_are_refused, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tc, a_segment_that_does_not_fit_says_what_to_do);
	tcase_add_test(tc, a_reader_cannot_write);
	tcase_add_test(tc, guard_pages_stand_between_the_regions);
	tcase_add_test(tc, a_child_writes_only_what_is_its_own);
	tcase_add_test(tc, living_processes_of_slots_are_seen);
	tcase_add_test(tc, counters_never_fall_when_a_process_dies);
	tcase_add_test(tc, days_never_fall);
	tcase_add_test(tc, large_clock_steps_wait_for_a_word);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
