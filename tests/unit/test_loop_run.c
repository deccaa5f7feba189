/*
 * test_loop_run.c - programs that coroutines run: what they write, how they
 * end, and that none is left behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/co_run.h"

#define OUT_MAX 100000

static struct event_base *base;
static struct tl_buf out;
static struct {
	const char *path, *script;
	enum tl_status st;
	struct tl_err err;
	int code, ticks;
	bool ended;
} job;

static void setup(void)
{
	struct tl_err err;

	base = event_base_new();
	ck_assert_int_eq(co_init(base, 10, &err), TL_OK);
	tl_buf_init(&out);
	memset(&job, 0, sizeof(job));
	job.path = "/bin/sh";
}

static void teardown(void)
{
	ck_assert_uint_eq(co_live(), 0);
	/* no process is left, dead or alive */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	tl_buf_deinit(&out);
	co_deinit();
	event_base_free(base);
}

static void runner(void *arg)
{
	char sh[] = "sh", c[] = "-c", *script = tl_strdup(job.script);
	char *argv[] = { sh, c, script, NULL };
	char path[] = "PATH=/usr/bin:/bin", mine[] = "MINE=7";
	char *env[] = { path, mine, NULL };
	const struct co_program p = { .path = job.path,
				      .argv = argv,
				      .env = env,
				      .out_max_bytes = OUT_MAX };

	(void)arg;
	job.st = co_run(&p, &out, &job.code, &job.err);
	job.ended = true;
	tl_free(script);
}

static void run(const char *script, uint64_t deadline_mono_ms)
{
	struct tl_err err;

	job.script = script;
	ck_assert_int_eq(co_spawn(runner, NULL, deadline_mono_ms, &err), TL_OK);
	event_base_dispatch(base);
}

START_TEST(output_and_exit_status_come_back)
{
	run("cat; echo out $MINE; echo err >/dev/null; exit 3", CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_OK);
	ck_assert_int_eq(job.code, 3);
	ck_assert_str_eq(out.ptr, "out 7\n");
}
END_TEST

START_TEST(a_long_output_comes_whole)
{
	run("i=0; while [ $i -lt 1000 ]; do echo "
	    "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890; i=$((i+1)); done",
	    CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_OK);
	ck_assert_uint_eq(out.len, 72000);
}
END_TEST

START_TEST(one_that_writes_too_much_is_ended)
{
	run("while :; do echo 0123456789012345678901234567890123456789; done",
	    CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_FULL);
}
END_TEST

static void ticker(void *arg)
{
	struct tl_err err;

	(void)arg;
	while (!job.ended && co_sleep_ms(1, &err) == TL_OK)
		job.ticks++;
}

START_TEST(others_go_on_and_the_deadline_ends_it)
{
	struct tl_err err;

	ck_assert_int_eq(co_spawn(ticker, NULL, CO_NO_DEADLINE, &err), TL_OK);
	run("exec sleep 600", tl_mono_ms() + 300);

	ck_assert_int_eq(job.st, TL_DEADLINE);
	ck_assert_int_gt(job.ticks, 1); /* more on a machine at rest */
}
END_TEST

START_TEST(one_that_closes_its_output_is_waited_for)
{
	run("exec >&-; sleep 0.2; exit 5", CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_OK);
	ck_assert_int_eq(job.code, 5);
}
END_TEST

START_TEST(a_signal_is_told)
{
	run("kill -9 $$", CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_OK);
	ck_assert_int_eq(job.code, 128 + 9);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_not_found)
{
	job.path = "/nonexistent/program";
	run("", CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(job.err.text, "/nonexistent/program"));
}
END_TEST

START_TEST(nothing_of_ours_goes_along)
{
	ck_assert_int_eq(dup2(2, 63), 63); /* not close-on-exec */
	run("[ -e /proc/$$/fd/63 ] && echo leaked || echo clean",
	    CO_NO_DEADLINE);

	ck_assert_int_eq(job.st, TL_OK);
	ck_assert_str_eq(out.ptr, "clean\n");
	close(63);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop_run");
	TCase *tc = tcase_create("run");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, output_and_exit_status_come_back);
	tcase_add_test(tc, a_long_output_comes_whole);
	tcase_add_test(tc, one_that_writes_too_much_is_ended);
	tcase_add_test(tc, others_go_on_and_the_deadline_ends_it);
	tcase_add_test(tc, one_that_closes_its_output_is_waited_for);
	tcase_add_test(tc, a_signal_is_told);
	tcase_add_test(tc, a_program_that_is_not_there_is_not_found);
	tcase_add_test(tc, nothing_of_ours_goes_along);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
