/*
 * test_ctl.c - both ends of the control socket, and peers that misbehave.
 *
 * The server runs in a child of its own loop; the test is its client.
 */
#include "config.h" /* _GNU_SOURCE: memmem */

#include <check.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/ctl_frame.h"
#include "ctl/ctl_socket.h"

#define WAIT_MS 20000

static struct tl_arena arena;
static struct tl_err err;
static char dir[512];
static pid_t child;

/* ---- the daemon of these tests ---- */

static struct event_base *base;
static struct ctl_call *later;

static void on_status(void *arg, struct ctl_call *call)
{
	struct tl_arena *a = ctl_call_arena(call);
	struct doc *d = doc_object(a);

	doc_set(a, d, "who", doc_str(a, tl_str_c(arg)));
	ctl_answer(call, d);
}

static void answer_later(evutil_socket_t fd, short what, void *arg)
{
	struct tl_err e;

	(void)fd, (void)what, (void)arg;
	(void)tl_err_set(&e, TL_CONFLICT, "line 3 is wrong");
	ctl_refuse(later, &e);
}

static void on_reload(void *arg, struct ctl_call *call)
{
	static const struct timeval soon = { 0, 20000 };

	(void)arg;
	later = call;
	(void)event_base_once(base, -1, EV_TIMEOUT, answer_later, NULL, &soon);
}

static void end_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	(void)event_base_loopbreak(base);
}

static void on_stop(void *arg, struct ctl_call *call)
{
	static const struct timeval soon = { 0, 20000 };

	(void)arg;
	ctl_answer(call, doc_bool(ctl_flag(ctl_call_args(call), "graceful")));
	(void)event_base_once(base, -1, EV_TIMEOUT, end_loop, NULL, &soon);
}

static void daemon_main(int ready_fd)
{
	static char who[] = "tests";
	const struct ctl_callbacks cb = { .status = on_status,
					  .database = on_status,
					  .reload = on_reload,
					  .stop = on_stop,
					  .log_level = on_status,
					  .arg = who };
	struct ctl_server *s;

	(void)signal(SIGPIPE, SIG_IGN); /* as every process of tallyd */
	base = event_base_new();
	if (ctl_server_new(base, dir, -1, &cb, &s, &err) != TL_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	(void)!write(ready_fd, "r", 1);
	(void)event_base_dispatch(base);
	ctl_server_free(&s);
	event_base_free(base);
	_exit(0);
}

static void start_daemon(void)
{
	char c;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	child = fork();
	if (child == 0) {
		close(p[0]);
		daemon_main(p[1]);
	}
	close(p[1]);
	ck_assert_int_eq(read(p[0], &c, 1), 1);
	close(p[0]);
}

static void setup_dir(void)
{
	tl_arena_init(&arena);
	(void)snprintf(dir, sizeof(dir), "/tmp/tally-ctl.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	child = 0;
}

static void setup(void)
{
	setup_dir();
	start_daemon();
}

static void teardown(void)
{
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	ctl_socket_unlink(dir);
	(void)rmdir(dir);
	tl_arena_deinit(&arena);
}

/* ---- helpers ---- */

static struct ctl_client *client(void)
{
	struct ctl_client *c = NULL;

	ck_assert_msg(ctl_client_open(dir, WAIT_MS, &c, &err) == TL_OK, "%s",
		      err.text);
	return c;
}

static enum tl_status call(struct ctl_client *c, const char *cmd,
			   const char *args, const struct doc **result_r)
{
	const struct doc *d = NULL;

	if (args != NULL)
		ck_assert_int_eq(
			doc_parse(&arena, DOC_JSON, tl_str_c(args), &d, &err),
			TL_OK);
	return ctl_client_call(c, cmd, d, WAIT_MS, &arena, result_r, &err);
}

static void check_status(struct ctl_client *c)
{
	const struct doc *d = NULL;

	ck_assert_msg(call(c, "status", NULL, &d) == TL_OK, "%s", err.text);
	ck_assert(tl_str_eq(doc_get(d, "who")->str, TL_STR("tests")));
}

static int raw_client(void)
{
	int fd = -1;

	ck_assert_int_eq(ctl_socket_connect(dir, WAIT_MS, &fd, &err), TL_OK);
	return fd;
}

/* Everything until the server closes, as text behind the first head. */
static size_t read_to_end(int fd, char *dst, size_t cap)
{
	size_t len = 0;
	ssize_t n;

	while (len < cap - 1 && (n = read(fd, dst + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	dst[len] = '\0';
	close(fd);
	return len;
}

/* ---- the promises ---- */

START_TEST(one_connection_carries_many_calls)
{
	struct ctl_client *c = client();

	for (int i = 0; i < 50; i++)
		check_status(c);
	ctl_client_free(&c);
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST(refusals_come_through_with_status_and_words)
{
	static const struct {
		const char *cmd, *args;
		enum tl_status st;
		const char *text;
	} cases[] = {
		{ "reload", NULL, TL_CONFLICT, "line 3 is wrong" },
		{ "nonsense", NULL, TL_INVALID,
		  "the daemon has no command 'nonsense'" },
		{ "key create", NULL, TL_INVALID,
		  "the daemon has no command 'key create'" },
		{ "stop", "{\"graceful\":5}", TL_INVALID,
		  "'graceful' of 'stop' has the wrong type" },
	};
	struct ctl_client *c = client();
	const struct doc *d = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(call(c, cases[i].cmd, cases[i].args, &d),
				 cases[i].st);
		ck_assert_str_eq(err.text, cases[i].text);
	}
	check_status(c); /* and the connection still works */
	ctl_client_free(&c);
}
END_TEST

START_TEST(the_end_of_the_connection_tells_that_the_daemon_is_gone)
{
	struct ctl_client *c = client();
	const struct doc *d = NULL;

	ck_assert_int_eq(call(c, "stop", "{\"graceful\":true}", &d), TL_OK);
	ck_assert(d->type == DOC_BOOL && d->boolean);

	ck_assert_int_eq(ctl_client_wait_end(c, WAIT_MS, &err), TL_OK);
	ctl_client_free(&c);
	ck_assert_int_eq(ctl_client_open(dir, WAIT_MS, &c, &err),
			 TL_UNAVAILABLE);
}
END_TEST

START_TEST(frames_in_one_write_are_answered_in_order)
{
	struct tl_buf b;
	char got[1024];
	int fd = raw_client();

	tl_buf_init(&b);
	ctl_frame_request(&b, "reload", NULL);
	ctl_frame_request(&b, "status", NULL);
	ctl_frame_request(&b, "what", NULL);
	ck_assert_int_eq(write(fd, b.ptr, b.len), (ssize_t)b.len);
	tl_buf_deinit(&b);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);

	/* reading stops while a call is in hand, so none is lost */
	ck_assert_uint_gt(read_to_end(fd, got, sizeof(got)), 4);
	ck_assert_ptr_nonnull(memmem(got, sizeof(got), "line 3", 6));
	ck_assert_ptr_nonnull(memmem(got, sizeof(got), "tests", 5));
	ck_assert_ptr_nonnull(memmem(got, sizeof(got), "'what'", 6));
}
END_TEST

START_TEST(a_frame_over_the_limit_ends_the_connection)
{
	char got[512] = { 0 };
	int fd = raw_client();

	ck_assert_int_eq(write(fd, "\x01\x00\x10\x00zzzz", 8), 8);

	ck_assert_uint_gt(read_to_end(fd, got, sizeof(got)), 4);
	ck_assert_ptr_nonnull(strstr(got + 4, "over the limit of 1048576"));
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	const char *says;
} garbage[] = {
	{ "\0\0\0\0", 4, "at byte 0: no value" },
	{ "\4\0\0\0null", 8, "needs the string 'cmd'" },
	{ "\2\0\0\0{]", 6, "at byte" },
	{ "\12\0\0\0{\"cmd\":12}", 14, "needs the string 'cmd'" },
	{ "\31\0\0\0{\"cmd\":\"stop\",\"args\":[1]}", 29, "not an object" },
};

START_TEST(garbage_is_refused_and_the_next_frame_is_heard)
{
	struct tl_buf b;
	char got[1024] = { 0 };
	int fd = raw_client();

	tl_buf_init(&b);
	tl_buf_add(&b, garbage[_i].bytes, garbage[_i].len);
	ctl_frame_request(&b, "status", NULL);
	ck_assert_int_eq(write(fd, b.ptr, b.len), (ssize_t)b.len);
	tl_buf_deinit(&b);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);

	ck_assert_uint_gt(read_to_end(fd, got, sizeof(got)), 4);
	ck_assert_ptr_nonnull(memmem(got, sizeof(got), garbage[_i].says,
				     strlen(garbage[_i].says)));
	ck_assert_ptr_nonnull(memmem(got, sizeof(got), "tests", 5));
}
END_TEST

START_TEST(clients_that_leave_disturb_nobody)
{
	struct ctl_client *c = client();
	struct tl_buf b;

	tl_buf_init(&b);
	ctl_frame_request(&b, "reload", NULL);
	for (int i = 0; i < 40; i++) {
		size_t n = i % 2 == 0 ? 7 : b.len; /* half a frame, a frame */
		int fd = raw_client();

		ck_assert_int_eq(write(fd, b.ptr, n), (ssize_t)n);
		close(fd);
		if (i % 2 == 1)
			usleep(30000); /* one reload at a time here */
		check_status(c);
	}
	tl_buf_deinit(&b);
	ctl_client_free(&c);
}
END_TEST

START_TEST(clients_are_bounded)
{
	struct ctl_client *c[CTL_CLIENTS_MAX], *extra;
	const struct doc *d = NULL;

	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		c[i] = client();
		check_status(c[i]);
	}
	extra = client();
	ck_assert_int_eq(call(extra, "status", NULL, &d), TL_BUSY);
	ctl_client_free(&extra);
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		check_status(c[i]);
		ctl_client_free(&c[i]);
	}
}
END_TEST

START_TEST(a_silent_daemon_is_a_deadline)
{
	struct ctl_client *c = client();
	const struct doc *d = NULL;

	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	ck_assert_int_eq(
		ctl_client_call(c, "status", NULL, 50, &arena, &d, &err),
		TL_DEADLINE);
	ck_assert_str_eq(err.text, "the daemon does not answer");
	ctl_client_free(&c);
}
END_TEST

START_TEST(a_dead_daemon_is_not_running)
{
	struct ctl_client *c = NULL;

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	child = 0;
	ck_assert_int_eq(ctl_client_open(dir, WAIT_MS, &c, &err),
			 TL_UNAVAILABLE);
	ck_assert_ptr_null(c);

	start_daemon(); /* takes over the file that was left */
	c = client();
	check_status(c);
	ctl_client_free(&c);
}
END_TEST

START_TEST(other_users_are_refused)
{
	char path[600];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/" CTL_SOCKET_NAME, dir);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	for (int open_file = 0; open_file < 2; open_file++) {
		if (open_file)
			ck_assert_int_eq(chmod(path, 0666), 0);
		pid = fork();
		if (pid == 0) {
			const struct doc *d = NULL;
			struct ctl_client *c = NULL;
			enum tl_status st;

			if (setuid(65534) != 0)
				_exit(9);
			st = ctl_client_open(dir, WAIT_MS, &c, &err);
			if (st == TL_OK)
				st = ctl_client_call(c, "stop", NULL, WAIT_MS,
						     &arena, &d, &err);
			_exit(st == TL_DENIED ? 0 : 1);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

START_TEST(long_directories_work)
{
	struct ctl_client *c;
	struct stat sb;
	char top[64], path[600];

	memcpy(top, dir, strlen(dir) + 1);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(dir + strlen(dir), 80, "/%070d", i);
		ck_assert_int_eq(mkdir(dir, 0700), 0);
	}
	start_daemon();

	c = client();
	check_status(c);
	ctl_client_free(&c);
	(void)snprintf(path, sizeof(path), "%s/" CTL_SOCKET_NAME, dir);
	ck_assert_int_eq(lstat(path, &sb), 0);
	ck_assert(S_ISSOCK(sb.st_mode));
	ck_assert_int_eq(sb.st_mode & 0777, 0600);

	teardown();
	child = 0;
	while (strcmp(dir, top) != 0) {
		*strrchr(dir, '/') = '\0';
		(void)rmdir(dir);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ctl");
	TCase *tc = tcase_create("socket"), *own = tcase_create("directory");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_connection_carries_many_calls);
	tcase_add_test(tc, refusals_come_through_with_status_and_words);
	tcase_add_test(tc,
		       the_end_of_the_connection_tells_that_the_daemon_is_gone);
	tcase_add_test(tc, frames_in_one_write_are_answered_in_order);
	tcase_add_test(tc, a_frame_over_the_limit_ends_the_connection);
	tcase_add_loop_test(tc, garbage_is_refused_and_the_next_frame_is_heard,
			    0, (int)(sizeof(garbage) / sizeof(garbage[0])));
	tcase_add_test(tc, clients_that_leave_disturb_nobody);
	tcase_add_test(tc, clients_are_bounded);
	tcase_add_test(tc, a_silent_daemon_is_a_deadline);
	tcase_add_test(tc, a_dead_daemon_is_not_running);
	tcase_add_test(tc, other_users_are_refused);
	suite_add_tcase(s, tc);
	tcase_set_timeout(own, 60);
	tcase_add_checked_fixture(own, setup_dir, NULL);
	tcase_add_test(own, long_directories_work);
	suite_add_tcase(s, own);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
