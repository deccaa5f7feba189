/* Log lines: one JSON object, one write, the right file. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

static char dir[] = "/tmp/tallyd-test-log-XXXXXX";
static char path[64], moved[64];

static void setup(void)
{
	struct tl_err err;

	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(moved, sizeof(moved), "%s/log.1", dir);
	log_set_process("worker", 3);
	log_set_level(LOG_LV_INFO);
	ck_assert_int_eq(log_open(path, &err), TL_OK);
}

static void teardown(void)
{
	log_close();
	unlink(path);
	unlink(moved);
	rmdir(dir);
}

/* What was written, without "time" and "pid", which differ each time. */
static char *read_log(const char *from)
{
	static char text[200000];
	struct tl_err err;
	char *data, *out = text;
	size_t len;

	ck_assert_int_eq(
		tl_file_read(from, sizeof(text) - 1, &data, &len, &err), TL_OK);
	for (char *l = data, *end; (end = strchr(l, '\n')) != NULL;
	     l = end + 1) {
		char *level = strstr(l, "\"level\"");
		char *pid = strstr(l, ",\"pid\":");

		ck_assert_int_eq(strncmp(l, "{\"time\":\"2", 10), 0);
		ck_assert_int_eq(level[-2], '"');
		ck_assert_int_eq(level[-3], 'Z');
		out += sprintf(out, "%.*s", (int)(pid - level), level);
		pid += strcspn(pid + 1, ",") + 1;
		out += sprintf(out, "%.*s", (int)(end + 1 - pid), pid);
	}
	*out = '\0';
	tl_free(data);
	return text;
}

START_TEST(line_has_level_process_message_and_fields)
{
	log_write(LOG_LV_WARN, "\"status\":200", "flush of '%s' \"late\"\n",
		  "eu-1");
	log_info("plain");

	ck_assert_str_eq(read_log(path),
			 "\"level\":\"warn\",\"process\":\"worker/"
			 "3\",\"msg\":\"flush of "
			 "'eu-1' \\\"late\\\"\\n\",\"status\":200}\n"
			 "\"level\":\"info\",\"process\":\"worker/"
			 "3\",\"msg\":\"plain\"}\n");
}
END_TEST

START_TEST(access_line_keeps_its_members)
{
	log_members(LOG_LV_INFO, TL_STR("\"path\":\"/x\",\"status\":404"));
	log_members(LOG_LV_DEBUG, TL_STR("\"path\":\"/quiet\""));

	ck_assert_str_eq(read_log(path),
			 "\"level\":\"info\",\"process\":\"worker/3\",\"path\":"
			 "\"/x\",\"status\":404}\n");
}
END_TEST

START_TEST(levels_filter)
{
	log_set_level(LOG_LV_ERROR);
	log_warn("no");
	log_write(LOG_LV_INFO, NULL, "no");
	log_error("yes");
	ck_assert_ptr_nonnull(strstr(read_log(path), "yes"));
	ck_assert_ptr_null(strstr(read_log(path), "no\""));
}
END_TEST

START_TEST(long_message_is_cut_with_dots_and_stays_json)
{
	char big[5000];

	memset(big, 'q', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	errno = 7;
	log_info("%s", big);
	ck_assert_int_eq(errno, 7);
	ck_assert_ptr_nonnull(strstr(read_log(path), "qqq...\"}\n"));
}
END_TEST

START_TEST(reopen_follows_a_rename)
{
	struct tl_err err;

	log_info("before");
	ck_assert_int_eq(rename(path, moved), 0);
	log_info("between");
	ck_assert_int_eq(log_reopen(&err), TL_OK);
	log_info("after");

	ck_assert_ptr_nonnull(strstr(read_log(moved), "between"));
	ck_assert_ptr_null(strstr(read_log(moved), "after"));
	ck_assert_ptr_nonnull(strstr(read_log(path), "after"));
}
END_TEST

START_TEST(lines_of_two_processes_do_not_mix)
{
	char big[1500];
	int child_status;
	size_t lines = 0;
	pid_t pid;
	char *text;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		memset(big, 'b', sizeof(big) - 1);
	for (int i = 0; i < 50; i++)
		log_info("%s", big);
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, &child_status, 0), pid);

	text = read_log(path);
	for (char *l = strtok(text, "\n"); l != NULL; l = strtok(NULL, "\n")) {
		const char *m = strstr(l, "\"msg\":\"") + 7;
		const char letter[] = { m[0], '\0' };

		ck_assert_uint_eq(strspn(m, letter), sizeof(big) - 1);
		ck_assert_str_eq(m + sizeof(big) - 1, "\"}");
		lines++;
	}
	ck_assert_uint_eq(lines, 100);
}
END_TEST

START_TEST(unopenable_file_is_an_error_and_keeps_the_old)
{
	struct tl_err err;

	ck_assert_int_eq(log_open("/nowhere/at/all", &err), TL_SYSTEM);
	log_info("still here");
	ck_assert_ptr_nonnull(strstr(read_log(path), "still here"));
}
END_TEST

START_TEST(level_names_parse)
{
	enum log_level level;

	for (int i = LOG_LV_ERROR; i <= LOG_LV_DEBUG; i++) {
		ck_assert(log_level_parse(
			tl_str_c(log_level_name((enum log_level)i)), &level));
		ck_assert_int_eq(level, i);
	}
	ck_assert(!log_level_parse(TL_STR("loud"), &level));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/log");
	TCase *tc = tcase_create("log");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, line_has_level_process_message_and_fields);
	tcase_add_test(tc, access_line_keeps_its_members);
	tcase_add_test(tc, levels_filter);
	tcase_add_test(tc, long_message_is_cut_with_dots_and_stays_json);
	tcase_add_test(tc, reopen_follows_a_rename);
	tcase_add_test(tc, lines_of_two_processes_do_not_mix);
	tcase_add_test(tc, unopenable_file_is_an_error_and_keeps_the_old);
	tcase_add_test(tc, level_names_parse);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
