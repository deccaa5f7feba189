/* Files, directories, random bytes. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

static char dir[] = "/tmp/tallyd-test-fd-XXXXXX";
static char path[64];

static void setup(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left behind */
}

START_TEST(replaced_file_has_all_bytes_and_its_mode)
{
	char big[6000];
	struct tl_err err;
	struct stat sb;
	char *data;
	size_t len;

	memset(big, 'x', sizeof(big));
	umask(077);
	ck_assert_int_eq(tl_file_replace(path, "old", 3, 0600, &err), TL_OK);
	ck_assert_int_eq(tl_file_replace(path, big, sizeof(big), 0644, &err),
			 TL_OK);
	ck_assert_int_eq(stat(path, &sb), 0);
	ck_assert_int_eq(sb.st_mode & 07777, 0644);
	ck_assert_int_eq(tl_file_read(path, sizeof(big), &data, &len, &err),
			 TL_OK);
	ck_assert_uint_eq(len, sizeof(big));
	ck_assert_mem_eq(data, big, sizeof(big));
	ck_assert_int_eq(data[len], 0);
	tl_free(data);
}
END_TEST

START_TEST(reading_is_bounded)
{
	struct tl_err err;
	char *data;
	size_t len;

	ck_assert_int_eq(tl_file_replace(path, "12345678", 8, 0600, &err),
			 TL_OK);
	ck_assert_int_eq(tl_file_read(path, 7, &data, &len, &err), TL_FULL);
	ck_assert_int_eq(tl_file_read(path, 8, &data, &len, &err), TL_OK);
	ck_assert_str_eq(data, "12345678");
	tl_free(data);
	ck_assert_int_eq(tl_file_read("/nowhere", 9, &data, &len, &err),
			 TL_SYSTEM);
	ck_assert_int_eq(err.sys_errno, ENOENT);
	ck_assert_int_eq(
		tl_file_read("/proc/self/status", 1 << 20, &data, &len, &err),
		TL_OK);
	ck_assert_uint_gt(len, 100);
	tl_free(data);
}
END_TEST

START_TEST(replacing_in_a_missing_directory_fails)
{
	struct tl_err err;

	ck_assert_int_eq(tl_file_replace("/nowhere/x", "", 0, 0600, &err),
			 TL_SYSTEM);
}
END_TEST

START_TEST(pread_says_when_the_file_is_short)
{
	struct tl_err err;
	char b[4];
	int fd;

	ck_assert_int_eq(tl_file_replace(path, "abcdef", 6, 0600, &err), TL_OK);
	fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(tl_pread_all(fd, b, 4, 2, &err), TL_OK);
	ck_assert_mem_eq(b, "cdef", 4);
	ck_assert_int_eq(tl_pread_all(fd, b, 4, 3, &err), TL_BROKEN);
	ck_assert_str_eq(err.text, "file ends 1 bytes early");
	close(fd);
}
END_TEST

START_TEST(nonblocking_write_stops_with_an_error)
{
	static char big[1 << 20];
	struct tl_err err;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(tl_fd_nonblock(fds[1], &err), TL_OK);
	ck_assert_int_eq(tl_write_all(fds[1], big, sizeof(big), &err),
			 TL_SYSTEM);
	ck_assert_int_eq(err.sys_errno, EAGAIN);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(tl_fd_nonblock(-1, &err), TL_SYSTEM);
}
END_TEST

START_TEST(directories_are_made_with_parents)
{
	char deep[128], file[128];
	struct tl_err err;
	struct stat sb;

	snprintf(deep, sizeof(deep), "%s/a/b//c/", dir);
	ck_assert_int_eq(tl_mkdirs(deep, 0700, &err), TL_OK);
	ck_assert_int_eq(tl_mkdirs(deep, 0700, &err), TL_OK);
	ck_assert(stat(deep, &sb) == 0 && S_ISDIR(sb.st_mode));
	ck_assert_int_eq(tl_file_replace(path, "", 0, 0600, &err), TL_OK);
	snprintf(file, sizeof(file), "%s/x", path);
	ck_assert_int_eq(tl_mkdirs(file, 0700, &err), TL_SYSTEM);
	ck_assert_int_eq(err.sys_errno, ENOTDIR);
	ck_assert_int_eq(tl_mkdirs("", 0700, &err), TL_SYSTEM);
	for (size_t n = strlen(deep); n > strlen(dir); n--) {
		deep[n] = '\0';
		(void)rmdir(deep);
	}
}
END_TEST

START_TEST(random_bytes_fill_everything)
{
	uint8_t b[512], seen = 0;

	memset(b, 0, sizeof(b));
	tl_random(b, sizeof(b));
	for (size_t i = sizeof(b) - 32; i < sizeof(b); i++)
		seen |= b[i];
	ck_assert_uint_ne(seen, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/fd");
	TCase *tc = tcase_create("fd");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, replaced_file_has_all_bytes_and_its_mode);
	tcase_add_test(tc, reading_is_bounded);
	tcase_add_test(tc, replacing_in_a_missing_directory_fails);
	tcase_add_test(tc, pread_says_when_the_file_is_short);
	tcase_add_test(tc, nonblocking_write_stops_with_an_error);
	tcase_add_test(tc, directories_are_made_with_parents);
	tcase_add_test(tc, random_bytes_fill_everything);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
