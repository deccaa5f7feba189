/*
 * test_pg_target.c - connection strings that can not be read; no database.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "pg/pg.h"

static const struct {
	const char *conninfo, *says;
} unreadable[] = {
	{ "password=a hidden", "missing \"=\"" },
	{ "password='hidden", "unterminated quoted string" },
	{ "password=a hidden=b", "invalid connection option" },
	{ "postgressql://u:hidden@h/d?sslmode=require",
	  "invalid connection option" },
	{ "postgresql://u:hidden@[h", "end of string" },
	{ "postgresql://u:hidden%zz@h/d", "invalid percent-encoded token" },
	{ "postgresql://h/d?hidden=1", "invalid URI query parameter" },
};

/* It may be in a log that others read. */
START_TEST(nothing_of_the_string_is_told)
{
	struct tl_err err;

	ck_assert_int_eq(pg_conninfo_check(unreadable[_i].conninfo, NULL, &err),
			 TL_INVALID);

	ck_assert_ptr_null(strstr(err.text, "hidden"));
	ck_assert_msg(strstr(err.text, unreadable[_i].says) != NULL, "%s",
		      err.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pg_target");
	TCase *tc = tcase_create("target");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, nothing_of_the_string_is_told, 0,
			    sizeof(unreadable) / sizeof(unreadable[0]));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
