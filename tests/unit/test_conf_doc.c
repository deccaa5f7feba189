/* etc/tallyd.conf and tallyd.conf(5) say what the table of settings says. */
#include "config.h" /* _GNU_SOURCE */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "conf/conf.h"

#define STATE_DIR TALLY_LOCALSTATEDIR "/lib/tallyd"

static char *read_source(const char *name)
{
	char path[512];
	struct tl_err err;
	char *data;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", TEST_SRCDIR, name);
	ck_assert_msg(tl_file_read(path, 1 << 20, &data, &len, &err) == TL_OK,
		      "%s", err.text);
	return data;
}

/* Both texts are written for the usual prefix; install adapts the file. */
static const char *written(const char *def)
{
	return strcmp(def, STATE_DIR) == 0 ? "/var/lib/tallyd" : def;
}

/* Finds "#key = default" under "[section]"; counts how often. */
static int count_in_etc(char *text, const struct conf_doc *d)
{
	char section[64] = "", want[256], name[64];
	const char *key = strchr(d->name, '.') + 1;
	struct tl_str rest = tl_str_c(text), line;
	int found = 0;

	snprintf(name, sizeof(name), "[%.*s]", (int)(key - d->name - 1),
		 d->name);
	snprintf(want, sizeof(want), "#%s =%s%s", key, *d->def ? " " : "",
		 written(d->def));
	while (tl_str_split(&rest, '\n', &line)) {
		if (line.len > 0 && line.ptr[0] == '[')
			snprintf(section, sizeof(section), "%.*s",
				 (int)line.len, line.ptr);
		else if (strcmp(section, name) == 0 &&
			 tl_str_eq(line, tl_str_c(want)))
			found++;
	}
	return found;
}

START_TEST(etc_has_each_setting_once_with_its_default)
{
	char *text = read_source("etc/tallyd.conf");
	const struct conf_doc *d;
	size_t i;

	for (i = 0; (d = conf_doc(i)) != NULL; i++)
		ck_assert_msg(count_in_etc(text, d) == 1,
			      "'%s' is not once in etc/tallyd.conf with its "
			      "default '%s'",
			      d->name, d->def);
	ck_assert_uint_gt(i, 40);
	tl_free(text);
}
END_TEST

static struct conf *load(const char *file)
{
	struct conf_source src = { .file = file };
	struct conf *c = NULL;
	struct tl_err err;

	ck_assert_msg(conf_load(&src, &c, &err) == TL_OK, "%s", err.text);
	return c;
}

static char *dump(const char *file)
{
	struct conf *c = load(file);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	conf_dump(c, false, out);
	fclose(out);
	conf_free(&c);
	return text;
}

/* With all settings switched on nothing is unknown and nothing changes. */
START_TEST(etc_without_comment_marks_gives_the_defaults)
{
	char path[] = "/tmp/tallyd-test-doc-XXXXXX";
	char *text = read_source("etc/tallyd.conf");
	struct tl_str rest = tl_str_c(text), line;
	struct tl_buf bare;
	char *got, *want;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	tl_buf_init(&bare);
	while (tl_str_split(&rest, '\n', &line) &&
	       !tl_str_eq(line, TL_STR("[cost.models]"))) {
		if (tl_str_eq(line, TL_STR("#state_dir = /var/lib/tallyd")))
			line = TL_STR("#state_dir = " STATE_DIR);
		if (line.len > 1 && line.ptr[0] == '#' && line.ptr[1] >= 'a' &&
		    line.ptr[1] <= 'z') {
			line.ptr++;
			line.len--;
		}
		tl_buf_add(&bare, line.ptr, line.len);
		tl_buf_addc(&bare, '\n');
	}
	ck_assert_int_eq(tl_write_all(fd, bare.ptr, bare.len, NULL), TL_OK);
	close(fd);

	got = dump(path);
	want = dump(NULL);
	ck_assert_str_eq(got, want);
	free(got);
	free(want);
	got = dump(TEST_SRCDIR "/etc/tallyd.conf"); /* and as it is */
	want = dump(NULL);
	ck_assert_str_eq(got, want);
	free(got);
	free(want);
	unlink(path);
	tl_buf_deinit(&bare);
	tl_free(text);
}
END_TEST

START_TEST(manual_has_each_setting_with_default_range_and_reload)
{
	char *text = read_source("man/tallyd.conf.5");
	const struct conf_doc *d;
	char head[96], tail[512];

	for (size_t i = 0; (d = conf_doc(i)) != NULL; i++) {
		char *at, *end, *next;
		size_t len;

		snprintf(head, sizeof(head), "\n.It Ic %s\n", d->name);
		at = strstr(text, head);
		ck_assert_msg(at != NULL, "'%s' is not in the page", d->name);
		end = strstr(at + strlen(head), "\n.It ");
		next = strstr(at + strlen(head), "\n.El");
		if (end == NULL || (next != NULL && next < end))
			end = next;
		snprintf(tail, sizeof(tail),
			 "\n.br\nDefault:\n%s%s%s\nRange: %s.\n%s",
			 *d->def ? ".Li " : "",
			 *d->def ? written(d->def) : "empty.",
			 *d->def ? " ." : "", d->range,
			 d->reloadable ? "Reloadable." : "Needs a restart.");
		len = strlen(tail);
		ck_assert_msg(end - at > (ptrdiff_t)len &&
				      memcmp(end - len, tail, len) == 0,
			      "the entry of '%s' should end:%s", d->name, tail);
	}
	tl_free(text);
}
END_TEST

START_TEST(table_is_documented)
{
	const struct conf_doc *d;

	for (size_t i = 0; (d = conf_doc(i)) != NULL; i++) {
		ck_assert_uint_gt(strlen(d->doc), 5);
		ck_assert_uint_gt(strlen(d->range), 3);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf/doc");
	TCase *tc = tcase_create("doc");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, etc_has_each_setting_once_with_its_default);
	tcase_add_test(tc, etc_without_comment_marks_gives_the_defaults);
	tcase_add_test(tc,
		       manual_has_each_setting_with_default_range_and_reload);
	tcase_add_test(tc, table_is_documented);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
