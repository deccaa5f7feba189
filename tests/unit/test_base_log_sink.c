/* Log targets: what is sent where, and that nothing waits for its reader. */
#include "config.h" /* _GNU_SOURCE */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_sink.h"

static char dir[64], path[80];
static int listener;
static char got[300000];

static int listen_there(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void setup(void)
{
	strcpy(dir, "/tmp/tallyd-test-sink-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	listener = listen_there();
	log_set_process("worker", 3);
	log_set_level(LOG_LV_INFO);
	(void)log_lost_take();
}

static void teardown(void)
{
	log_close();
	close(listener);
	unlink(path);
	rmdir(dir);
}

static void open_target(const char *target)
{
	struct tl_err err;

	ck_assert_int_eq(log_open_target(target, path, &err), TL_OK);
}

/* The next datagram, or "" when there is none. */
static const char *receive(void)
{
	ssize_t n = recv(listener, got, sizeof(got) - 1, MSG_DONTWAIT);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

/* ---- journald ---- */

static const char *framed(const char *line)
{
	struct tl_buf out;

	tl_buf_init(&out);
	log_journal_frame(LOG_LV_WARN, "worker/3", tl_str_c(line), &out);
	ck_assert_uint_eq(strlen(out.ptr), out.len);
	strcpy(got, out.ptr);
	tl_buf_deinit(&out);
	return got;
}

#define HEAD "PRIORITY=4\nSYSLOG_IDENTIFIER=tallyd\n"

START_TEST(members_become_fields)
{
	ck_assert_str_eq(
		framed("{\"time\":\"2026\",\"level\":\"warn\",\"process\":"
		       "\"worker/3\",\"pid\":7,\"msg\":\"it \\\"broke\\\"\","
		       "\"request_id\":\"r-1\",\"a b\":true}\n"),
		HEAD "TALLYD_TIME=2026\nTALLYD_PROCESS=worker/3\n"
		     "TALLYD_REQUEST_ID=r-1\nTALLYD_A_B=true\n"
		     "MESSAGE=it \"broke\"\n");
}
END_TEST

START_TEST(requests_are_told_by_what_was_asked)
{
	const char *f =
		framed("{\"msg\":\"request\",\"method\":\"GET\",\"path\":"
		       "\"/x\",\"status\":404}");

	ck_assert_ptr_nonnull(strstr(f, "\nMESSAGE=GET /x 404\n"));
	ck_assert_ptr_nonnull(strstr(f, "\nTALLYD_STATUS=404\n"));
}
END_TEST

/* A client's line end must not begin a field of its own choice. */
START_TEST(a_value_with_line_ends_has_a_length)
{
	static const char want[] = "TALLYD_PATH\n\x0c\0\0\0\0\0\0\0"
				   "a\nPRIORITY=0\n";
	struct tl_buf out;

	tl_buf_init(&out);
	log_journal_frame(LOG_LV_INFO, "worker/3",
			  TL_STR("{\"path\":\"a\\nPRIORITY=0\",\"msg\":\"m\"}"),
			  &out);

	ck_assert_ptr_nonnull(memmem(out.ptr, out.len, want, sizeof(want) - 1));
	ck_assert_ptr_nonnull(memmem(out.ptr, out.len, "\nMESSAGE=m\n", 11));
	tl_buf_deinit(&out);
}
END_TEST

static const char *const other_texts[] = {
	"127.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 5",
	"",
	"{",
	"{\"a\"",
	"{\"a\":\"b",
	"{\"a\":\"\\",
	"{\"a\":\"\\u00\"}",
	"{\"a\":{\"b\":1}}",
	"{\"a\":1} and more",
};
START_TEST(other_text_is_the_message)
{
	char want[300];

	snprintf(want, sizeof(want), HEAD "MESSAGE=%s\nTALLYD_PROCESS=%s\n",
		 other_texts[_i], "worker/3");
	ck_assert_str_eq(framed(other_texts[_i]), want);
}
END_TEST

START_TEST(escapes_are_undone)
{
	ck_assert_ptr_nonnull(
		strstr(framed("{\"msg\":\"\\u0001\\t\\u00e9\\u20ac\\/\"}"),
		       "MESSAGE=\x01\t\xc3\xa9\xe2\x82\xac/\n"));
}
END_TEST

START_TEST(journal_gets_an_entry_a_line)
{
	open_target("journald");
	log_error("one");
	ck_assert_uint_eq(log_lines(LOG_LV_INFO, TL_STR("two\nthree\n")), 10);

	ck_assert_ptr_nonnull(strstr(receive(), "PRIORITY=3\n"));
	ck_assert_ptr_nonnull(strstr(got, "MESSAGE=one\n"));
	ck_assert_ptr_nonnull(strstr(receive(), "MESSAGE=two\n"));
	ck_assert_ptr_nonnull(strstr(receive(), "MESSAGE=three\n"));
	ck_assert_str_eq(receive(), "");
	ck_assert_uint_eq(log_lost_take(), 0);
}
END_TEST

/* Larger than any datagram: a sealed file of memory instead. */
START_TEST(large_entries_come_as_a_file)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	static char big[280000];
	int fd;

	memset(big, 'q', sizeof(big) - 2);
	big[sizeof(big) - 2] = '\n';
	open_target("journald");
	ck_assert_uint_eq(log_lines(LOG_LV_INFO, tl_str_c(big)), strlen(big));

	ck_assert_int_eq(recvmsg(listener, &msg, MSG_DONTWAIT), 0);
	ck_assert_uint_ge(msg.msg_controllen, CMSG_LEN(sizeof(fd)));
	memcpy(&fd, CMSG_DATA((struct cmsghdr *)(void *)control), sizeof(fd));
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW |
							 F_SEAL_WRITE |
							 F_SEAL_SEAL);
	ck_assert_int_gt(pread(fd, got, sizeof(got), 0), 279998);
	ck_assert_ptr_nonnull(strstr(got, "MESSAGE=qqqq"));
	close(fd);
}
END_TEST

/* ---- syslog ---- */

START_TEST(syslog_lines_have_priority_time_and_name)
{
	char want[32], name[32];
	unsigned pri, day, h, m, s;
	char month[4];
	int at = 0;

	open_target("syslog:local3");
	log_warn("careful");

	ck_assert_int_eq(sscanf(receive(), "<%u>%3s %2u %2u:%2u:%2u %n", &pri,
				month, &day, &h, &m, &s, &at),
			 6);
	ck_assert_uint_eq(pri, 19 * 8 + 4);
	snprintf(want, sizeof(want), "tallyd[%d]: {\"time\"", (int)getpid());
	snprintf(name, sizeof(name), "%.*s", (int)strlen(want), got + at);
	ck_assert_str_eq(name, want);
	ck_assert_ptr_nonnull(strstr(got, "\"msg\":\"careful\"}"));
	ck_assert_ptr_null(strchr(got, '\n'));
}
END_TEST

START_TEST(syslog_is_daemon_when_nothing_is_said)
{
	open_target("syslog");
	log_info("x");
	ck_assert_int_eq(strncmp(receive(), "<30>", 4), 0);
}
END_TEST

START_TEST(long_lines_are_cut_for_syslog)
{
	static char big[20000];

	memset(big, 'q', sizeof(big) - 2);
	big[sizeof(big) - 2] = '\n';
	open_target("syslog");
	log_lines(LOG_LV_INFO, tl_str_c(big));
	ck_assert_uint_eq(strlen(receive()), 8192);
	ck_assert_str_eq(got + 8188, "q...");
}
END_TEST

START_TEST(a_new_syslogd_is_found_again)
{
	open_target("syslog");
	log_info("first");
	ck_assert_ptr_nonnull(strstr(receive(), "first"));

	close(listener);
	unlink(path);
	listener = listen_there();
	log_info("second");

	ck_assert_ptr_nonnull(strstr(receive(), "second"));
	ck_assert_uint_eq(log_lost_take(), 0);
}
END_TEST

START_TEST(nobody_listens_is_counted_and_no_harm)
{
	close(listener);
	unlink(path);
	open_target("syslog");
	for (int i = 0; i < 5; i++)
		log_info("gone");
	ck_assert_uint_eq(log_lines(LOG_LV_INFO, TL_STR("a\nb\n")), 4);
	ck_assert_uint_eq(log_lost_take(), 7);
	ck_assert_uint_eq(log_lost_take(), 0);
	listener = listen_there();
}
END_TEST

/* The queue of a socket that nobody reads holds some lines; then single ones
 * are lost and gathered ones are the caller's to keep. */
START_TEST(a_full_socket_takes_no_more)
{
	static const char lines[] = "one\ntwo\n";
	unsigned taken = 0;

	open_target("syslog");
	while (log_lines(LOG_LV_INFO, TL_STR("x\n")) == 2)
		taken++;
	ck_assert_uint_gt(taken, 0);
	ck_assert_uint_eq(log_lost_take(), 0);
	log_info("lost");
	ck_assert_uint_eq(log_lost_take(), 1);

	receive();
	ck_assert_uint_eq(log_lines(LOG_LV_INFO, tl_str_c(lines)), 4);
	ck_assert_uint_eq(log_lost_take(), 0);
}
END_TEST

/* ---- pipes ---- */

/* In a child, whose stderr is a pipe that nobody reads. */
static void fill_pipe(int reader)
{
	static char big[9001];
	struct tl_err err;
	uint64_t lines = 0;
	size_t n;

	if (log_open_target("stderr", NULL, &err) != TL_OK)
		_exit(10);
	while ((n = log_lines(LOG_LV_INFO, TL_STR("abcdefgh\nijklmnop\n"))) ==
	       18)
		lines += 2;
	if (lines < 100 || n % 9 != 0 || log_lost_take() != 0)
		_exit(11);
	log_info("lost");
	if (log_lost_take() != 1)
		_exit(12);
	/* half of a long line fits: it is lost, and the next one whole */
	memset(big, 'q', sizeof(big) - 2);
	big[sizeof(big) - 2] = '\n';
	if (read(reader, got, 8192) != 8192)
		_exit(13);
	if (log_lines(LOG_LV_INFO, tl_str_c(big)) != 9000 ||
	    log_lost_take() != 1)
		_exit(14);
	if (read(reader, got, sizeof(got)) < 8192)
		_exit(15);
	if (log_lines(LOG_LV_INFO, TL_STR("whole\n")) != 6)
		_exit(16);
	memset(got, 0, 100);
	if (read(reader, got, sizeof(got)) != 7 ||
	    strcmp(got, "\nwhole\n") != 0)
		_exit(17);
	_exit(0);
}

START_TEST(a_full_pipe_does_not_stop_the_process)
{
	int fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		fill_pipe(fds[0]);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "killed");
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_full_disk_is_counted)
{
	struct tl_err err;

	ck_assert_int_eq(log_open_target("file:/dev/full", NULL, &err), TL_OK);
	log_info("no room");
	ck_assert_uint_eq(log_lost_take(), 1);
}
END_TEST

START_TEST(a_shared_level_is_for_children_too)
{
	int status;
	pid_t pid;

	log_share();
	ck_assert_int_eq(log_get_level(), LOG_LV_INFO);
	pid = fork();
	if (pid == 0) {
		log_set_level(LOG_LV_DEBUG);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(log_get_level(), LOG_LV_DEBUG);
}
END_TEST

START_TEST(facilities)
{
	ck_assert_int_eq(log_facility(TL_STR("daemon")), 3);
	ck_assert_int_eq(log_facility(TL_STR("LOCAL7")), 23);
	ck_assert_int_eq(log_facility(TL_STR("loud")), -1);
	ck_assert_int_eq(log_facility(TL_STR("")), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/log_sink");
	TCase *tc = tcase_create("sink");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, members_become_fields);
	tcase_add_test(tc, requests_are_told_by_what_was_asked);
	tcase_add_test(tc, a_value_with_line_ends_has_a_length);
	tcase_add_loop_test(tc, other_text_is_the_message, 0,
			    sizeof(other_texts) / sizeof(other_texts[0]));
	tcase_add_test(tc, escapes_are_undone);
	tcase_add_test(tc, journal_gets_an_entry_a_line);
	tcase_add_test(tc, large_entries_come_as_a_file);
	tcase_add_test(tc, syslog_lines_have_priority_time_and_name);
	tcase_add_test(tc, syslog_is_daemon_when_nothing_is_said);
	tcase_add_test(tc, long_lines_are_cut_for_syslog);
	tcase_add_test(tc, a_new_syslogd_is_found_again);
	tcase_add_test(tc, nobody_listens_is_counted_and_no_harm);
	tcase_add_test(tc, a_full_socket_takes_no_more);
	tcase_add_test(tc, a_full_pipe_does_not_stop_the_process);
	tcase_add_test(tc, a_full_disk_is_counted);
	tcase_add_test(tc, a_shared_level_is_for_children_too);
	tcase_add_test(tc, facilities);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
