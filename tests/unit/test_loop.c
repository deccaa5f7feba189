/*
 * test_loop.c - coroutines: order, deadlines, cancels, shields, many sleepers.
 *
 * Nothing is asserted about how long a thing took, only what came before what.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>
#include <event2/event.h>

#include "base/clock.h"
#include "loop/co.h"

static struct event_base *base;
static char name_a[] = "a";
static char trail[256]; /* what the coroutines of a test left, in order */

static void mark(const char *what)
{
	size_t len = strlen(trail);

	snprintf(trail + len, sizeof(trail) - len, "%.200s", what);
}

static void setup(void)
{
	struct tl_err err;

	trail[0] = '\0';
	base = event_base_new();
	ck_assert_int_eq(co_init(base, 20000, &err), TL_OK);
}

static void teardown(void)
{
	ck_assert_uint_eq(co_live(), 0);
	co_deinit();
	event_base_free(base);
}

static void spawn(co_fn fn, void *arg, uint64_t deadline_mono_ms)
{
	struct tl_err err;

	ck_assert_int_eq(co_spawn(fn, arg, deadline_mono_ms, &err), TL_OK);
}

/* ---- order ---- */
static struct co_wait *parked;

static void parker(void *arg)
{
	struct co_wait w;
	struct tl_err err;

	mark(arg);
	co_wait_init(&w);
	parked = &w;
	ck_assert_int_eq(co_wait(&w, &err), TL_OK);
	mark("+");
}

START_TEST(spawn_runs_until_the_first_wait)
{
	spawn(parker, name_a, CO_NO_DEADLINE);
	mark("|");
	ck_assert_uint_eq(co_live(), 1);
	ck_assert_ptr_null(co_self());
	co_wake(parked);
	co_wake(parked); /* idempotent */
	mark("|");       /* only queued */
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "a||+");
}
END_TEST

static void waker_of_parked(void *arg)
{
	(void)arg;
	mark("w");
	co_wake(parked);
	mark("x"); /* the woken one does not run from here */
}

START_TEST(waking_from_a_coroutine_only_queues)
{
	spawn(parker, name_a, CO_NO_DEADLINE);
	spawn(waker_of_parked, NULL, CO_NO_DEADLINE);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "awx+");
}
END_TEST

static void woken_early(void *arg)
{
	struct co_wait w;
	struct tl_err err;

	(void)arg;
	co_wait_init(&w);
	co_wake(&w);
	ck_assert_int_eq(co_wait(&w, &err), TL_OK);
	mark("done");
}

START_TEST(a_wake_before_the_wait_counts)
{
	spawn(woken_early, NULL, CO_NO_DEADLINE);

	ck_assert_str_eq(trail, "done");
}
END_TEST

struct nap {
	uint64_t ms;
	const char *name;
};

static void napper(void *arg)
{
	const struct nap *nap = arg;
	struct tl_err err;

	ck_assert_int_eq(co_sleep_ms(nap->ms, &err), TL_OK);
	mark(nap->name);
}

START_TEST(sleepers_wake_in_order_of_their_time)
{
	struct nap naps[] = {
		{ 60, "c" }, { 0, "a" }, { 30, "b" }, { 90, "d" }
	};

	for (unsigned i = 0; i < 4; i++)
		spawn(napper, &naps[i], CO_NO_DEADLINE);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "abcd");
}
END_TEST

static unsigned n_slept;

static void short_sleeper(void *arg)
{
	uint64_t ms = *(const unsigned *)arg % 97;
	struct tl_err err;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(co_sleep_ms(ms, &err), TL_OK);
	n_slept++;
}

START_TEST(ten_thousand_sleep_at_once)
{
	static unsigned numbers[10000];
	uint64_t deadline = tl_mono_ms() + 600000;

	for (unsigned i = 0; i < 10000; i++) {
		numbers[i] = i;
		spawn(short_sleeper, &numbers[i],
		      i % 2 ? deadline - i : CO_NO_DEADLINE);
	}
	ck_assert_uint_eq(co_live(), 10000);
	event_base_dispatch(base);

	ck_assert_uint_eq(n_slept, 10000);
}
END_TEST

START_TEST(one_too_many_is_full)
{
	struct tl_err err;
	struct nap nap = { 1, "x" };

	co_deinit();
	ck_assert_int_eq(co_init(base, 1, &err), TL_OK);
	spawn(napper, &nap, CO_NO_DEADLINE);

	ck_assert_int_eq(co_spawn(napper, &nap, CO_NO_DEADLINE, &err), TL_FULL);
	event_base_dispatch(base);
	spawn(napper, &nap, CO_NO_DEADLINE); /* room again */
	event_base_dispatch(base);
}
END_TEST

/* ---- deadline, cancel, shield ---- */
static void sticky_sleeper(void *arg)
{
	enum tl_status want = *(enum tl_status *)arg;
	struct tl_err err;

	ck_assert_int_eq(co_sleep_ms(600000, &err), want);
	ck_assert_int_eq(co_sleep_ms(600000, &err), want);
	ck_assert_int_eq(err.status, want);
	mark(err.text);
}

START_TEST(a_deadline_ends_this_and_every_later_wait)
{
	enum tl_status want = TL_DEADLINE;

	spawn(sticky_sleeper, &want, tl_mono_ms() + 20);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "deadline passed");
}
END_TEST

START_TEST(a_cancel_ends_this_and_every_later_wait)
{
	enum tl_status want = TL_CANCELED;

	spawn(sticky_sleeper, &want, tl_mono_ms() + 600000);
	co_cancel_all("shutdown");
	ck_assert_str_eq(trail, ""); /* queued, not run */
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "canceled: shutdown");
}
END_TEST

static void looks_at_the_clock(void *arg)
{
	(void)arg;
	ck_assert_uint_le(co_left_ms(), 5000);
	ck_assert_uint_gt(co_left_ms(), 0);
	co_shield_begin(600000);
	ck_assert_uint_gt(co_left_ms(), 5000);
	co_shield_end();
	ck_assert_uint_le(co_left_ms(), 5000);
	mark("ok");
}

START_TEST(what_is_left_is_told)
{
	spawn(looks_at_the_clock, NULL, tl_mono_ms() + 5000);

	ck_assert_str_eq(trail, "ok");
}
END_TEST

/* Clean-up after the deadline may wait, but not longer than its own limit. */
static void shielded_cleaner(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(co_sleep_ms(600000, &err), TL_DEADLINE);
	co_shield_begin(600000);
	ck_assert_int_eq(co_sleep_ms(5, &err), TL_OK);
	co_shield_end();
	co_shield_begin(10);
	ck_assert_int_eq(co_sleep_ms(600000, &err), TL_DEADLINE);
	ck_assert_int_eq(co_sleep_ms(1, &err), TL_DEADLINE);
	co_shield_end();
	ck_assert_int_eq(co_sleep_ms(1, &err), TL_DEADLINE);
	mark("clean");
}

START_TEST(a_shield_holds_for_its_limit)
{
	spawn(shielded_cleaner, NULL, tl_mono_ms() + 10);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "clean");
}
END_TEST

static void canceled_in_shield(void *arg)
{
	struct tl_err err;

	(void)arg;
	co_shield_begin(600000);
	ck_assert_int_eq(co_sleep_ms(10, &err), TL_OK);
	mark("shielded ");
	co_shield_end();
	ck_assert_int_eq(co_sleep_ms(1, &err), TL_CANCELED);
	mark(err.text);
}

START_TEST(a_cancel_waits_for_the_end_of_a_shield)
{
	spawn(canceled_in_shield, NULL, CO_NO_DEADLINE);
	co_cancel_all("gone");
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "shielded canceled: gone");
}
END_TEST

static void until_waiter(void *arg)
{
	struct co_wait w;
	struct tl_err err;

	(void)arg;
	co_wait_init(&w);
	ck_assert_int_eq(co_wait_until(&w, tl_mono_ms() + 5, &err), TL_OK);
	ck_assert(!w.woken);
	parked = &w;
	mark("parked ");
	ck_assert_int_eq(co_wait_until(&w, tl_mono_ms() + 600000, &err), TL_OK);
	ck_assert(w.woken);
	mark("woken");
}

static void wake_parked_later(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(co_sleep_ms(30, &err), TL_OK);
	co_wake(parked);
}

START_TEST(a_bounded_wait_tells_which_came_first)
{
	spawn(until_waiter, NULL, CO_NO_DEADLINE);
	spawn(wake_parked_later, NULL, CO_NO_DEADLINE);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "parked woken");
}
END_TEST

/* ---- descriptors and names ---- */
static int pipe_fds[2];

static void pipe_reader(void *arg)
{
	struct tl_err err;
	bool ready = true;
	char c;

	(void)arg;
	ck_assert_int_eq(co_wait_fd_until(pipe_fds[0], EV_READ,
					  tl_mono_ms() + 5, &ready, &err),
			 TL_OK);
	ck_assert(!ready);
	mark("silent ");
	ck_assert_int_eq(co_wait_fd(pipe_fds[0], EV_READ, &err), TL_OK);
	ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
	mark("read");
}

static void pipe_writer(void *arg)
{
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(co_sleep_ms(30, &err), TL_OK);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
}

START_TEST(a_descriptor_wakes_its_reader)
{
	ck_assert_int_eq(pipe(pipe_fds), 0);
	spawn(pipe_reader, NULL, CO_NO_DEADLINE);
	spawn(pipe_writer, NULL, CO_NO_DEADLINE);
	event_base_dispatch(base);

	ck_assert_str_eq(trail, "silent read");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

static void resolver(void *arg)
{
	struct co_addr addrs[4];
	uint32_t n = 4;
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(co_resolve("localhost", addrs, &n, &err), TL_OK);
	ck_assert_uint_ge(n, 1);
	ck_assert(strcmp(addrs[0].text, "127.0.0.1") == 0 ||
		  strcmp(addrs[0].text, "::1") == 0);
	n = 4;
	ck_assert_int_eq(co_resolve("192.0.2.7", addrs, &n, &err), TL_OK);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(addrs[0].family, AF_INET);
	n = 4;
	ck_assert_int_eq(co_resolve("2001:db8::1", addrs, &n, &err), TL_OK);
	ck_assert_int_eq(addrs[0].family, AF_INET6);
	ck_assert_str_eq(addrs[0].text, "2001:db8::1");
	mark("resolved");
}

START_TEST(localhost_and_literals_resolve)
{
	spawn(resolver, NULL, CO_NO_DEADLINE);
	while (co_live() > 0)
		event_base_loop(base, EVLOOP_ONCE);

	ck_assert_str_eq(trail, "resolved");
}
END_TEST

/* The answer, or its refusal, comes when nobody waits any more. */
static void gives_up_resolving(void *arg)
{
	struct co_addr addrs[1];
	uint32_t n = 1;
	struct tl_err err;

	(void)arg;
	ck_assert_int_eq(co_resolve("tallyd.invalid", addrs, &n, &err),
			 TL_CANCELED);
	mark("gave up");
}

START_TEST(a_look_up_can_be_left)
{
	spawn(gives_up_resolving, NULL, CO_NO_DEADLINE);
	co_cancel_all("test");
	while (co_live() > 0)
		event_base_loop(base, EVLOOP_ONCE);

	ck_assert_str_eq(trail, "gave up");
}
END_TEST

/* ---- stacks ---- */
static int deep(volatile char *below, int n)
{
	volatile char frame[512];

	frame[0] = below != NULL ? below[0] : 'x';
	return n == 0 ? frame[0] : deep(frame, n - 1) + frame[0];
}

static void overflower(void *arg)
{
	(void)arg;
	deep(NULL, 1000000);
}

START_TEST(an_overflow_has_a_name)
{
	char text[4096];
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		spawn(overflower, NULL, CO_NO_DEADLINE);
		_exit(0);
	}
	close(fds[1]);
	while (len < sizeof(text) - 1 &&
	       (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);

	ck_assert_ptr_nonnull(strstr(text, "stack overflow in coroutine\n"));
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

START_TEST(stacks_stay_below_half)
{
	spawn(resolver, NULL, CO_NO_DEADLINE);
	while (co_live() > 0)
		event_base_loop(base, EVLOOP_ONCE);

	ck_assert_uint_lt(co_stack_high_water(), 32768);
}
END_TEST

START_TEST(waiting_on_the_loop_is_a_bug)
{
	struct tl_err err;

	(void)!co_sleep_ms(1, &err);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("co");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, spawn_runs_until_the_first_wait);
	tcase_add_test(tc, waking_from_a_coroutine_only_queues);
	tcase_add_test(tc, a_wake_before_the_wait_counts);
	tcase_add_test(tc, sleepers_wake_in_order_of_their_time);
	tcase_add_test(tc, ten_thousand_sleep_at_once);
	tcase_add_test(tc, one_too_many_is_full);
	tcase_add_test(tc, a_deadline_ends_this_and_every_later_wait);
	tcase_add_test(tc, a_cancel_ends_this_and_every_later_wait);
	tcase_add_test(tc, what_is_left_is_told);
	tcase_add_test(tc, a_shield_holds_for_its_limit);
	tcase_add_test(tc, a_cancel_waits_for_the_end_of_a_shield);
	tcase_add_test(tc, a_bounded_wait_tells_which_came_first);
	tcase_add_test(tc, a_descriptor_wakes_its_reader);
	tcase_add_test(tc, localhost_and_literals_resolve);
	tcase_add_test(tc, a_look_up_can_be_left);
	tcase_add_test(tc, an_overflow_has_a_name);
	tcase_add_test(tc, stacks_stay_below_half);
	tcase_add_test_raise_signal(tc, waiting_on_the_loop_is_a_bug, 6);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
