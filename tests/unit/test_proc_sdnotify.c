/* The words for the service manager, over both kinds of socket names. */
#include "config.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proc/sdnotify.h"

static int manager = -1;
static char name[64];

/* '@' in front: the abstract namespace. */
static void listen_as(const char *prefix)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(name, sizeof(name), "%stallyd-test-notify-%ld", prefix,
		 (long)getpid());
	strcpy(sa.sun_path, name);
	if (name[0] == '@')
		sa.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(
		bind(manager, (struct sockaddr *)&sa,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				 strlen(name))),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void teardown(void)
{
	sdnotify_deinit();
	if (manager >= 0)
		close(manager);
	if (name[0] == '/')
		unlink(name);
}

static void expect(const char *text)
{
	char got[512];
	ssize_t n = recv(manager, got, sizeof(got) - 1, 0);

	ck_assert_int_ge(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, text);
}

START_TEST(words_arrive)
{
	listen_as(_i == 0 ? "@" : "/tmp/");
	sdnotify_init();

	sdnotify_ready();
	expect("READY=1");
	sdnotify_status("%u workers", 4);
	expect("STATUS=4 workers");
	sdnotify_stopping();
	expect("STOPPING=1");
	sdnotify_watchdog();
	expect("WATCHDOG=1");
}
END_TEST

START_TEST(reload_tells_when)
{
	char got[128] = "";
	unsigned long long us = 0;

	listen_as("@");
	sdnotify_init();

	sdnotify_reloading();

	ck_assert_int_gt(recv(manager, got, sizeof(got) - 1, 0), 0);
	ck_assert_int_eq(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &us),
			 1);
	ck_assert_uint_gt(us, 0);
}
END_TEST

START_TEST(environment_is_not_passed_on)
{
	listen_as("@");
	setenv("WATCHDOG_USEC", "3000000", 1);

	sdnotify_init();

	ck_assert_uint_eq(sdnotify_watchdog_ms(), 1500);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
}
END_TEST

START_TEST(watchdog_of_another_process_is_not_ours)
{
	listen_as("@");
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);

	sdnotify_init();

	ck_assert_uint_eq(sdnotify_watchdog_ms(), 0);
}
END_TEST

START_TEST(without_a_manager_nothing_happens)
{
	static const char *const names[] = { "", "relative", "@",
					     "/nonexistent/socket" };

	setenv("NOTIFY_SOCKET", names[_i], 1);

	sdnotify_init();

	sdnotify_ready();
	ck_assert_uint_eq(sdnotify_watchdog_ms(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc/sdnotify");
	TCase *tc = tcase_create("sdnotify");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, words_arrive, 0, 2);
	tcase_add_test(tc, reload_tells_when);
	tcase_add_test(tc, environment_is_not_passed_on);
	tcase_add_test(tc, watchdog_of_another_process_is_not_ours);
	tcase_add_loop_test(tc, without_a_manager_nothing_happens, 0, 4);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
