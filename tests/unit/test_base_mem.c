/* Statuses and their words, memory, arenas, lists. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/status.h"

START_TEST(errors_carry_status_and_words)
{
	struct tl_err err;

	ck_assert_int_eq(tl_err_set(&err, TL_FULL, "no room in '%s'", "x"),
			 TL_FULL);
	ck_assert_str_eq(err.text, "no room in 'x'");
	ck_assert_int_eq(err.sys_errno, 0);
	ck_assert_int_eq(tl_err_wrap(&err, "flush of %d", 3), TL_FULL);
	ck_assert_str_eq(err.text, "flush of 3: no room in 'x'");

	errno = ENOENT;
	ck_assert_int_eq(tl_err_sys(&err, "open '%s'", "f"), TL_SYSTEM);
	ck_assert_int_eq(err.status, TL_SYSTEM);
	ck_assert_int_eq(err.sys_errno, ENOENT);
	ck_assert_str_eq(err.text, "open 'f': No such file or directory");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(errors_may_quote_themselves_and_are_cut)
{
	char big[1000];
	struct tl_err err;

	(void)tl_err_set(&err, TL_BUSY, "inner");
	(void)tl_err_set(&err, TL_INVALID, "outer(%s)", err.text);
	ck_assert_str_eq(err.text, "outer(inner)");

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)tl_err_wrap(&err, "%s", big);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(tl_err_set(NULL, TL_BUSY, "x"), TL_BUSY);
	ck_assert_int_eq(tl_err_sys(NULL, "x"), TL_SYSTEM);
}
END_TEST

START_TEST(each_status_has_its_own_words)
{
	for (int a = TL_OK; a <= TL_SYSTEM; a++)
		for (int b = TL_OK; b < a; b++)
			ck_assert_str_ne(tl_status_text((enum tl_status)a),
					 tl_status_text((enum tl_status)b));
}
END_TEST

START_TEST(assert_aborts)
{
	tl_assert(1 + 1 == 3);
}
END_TEST

START_TEST(overflowing_array_ends_the_process)
{
	volatile size_t count = SIZE_MAX / 2;

	tl_free(tl_alloc_array(count, 4));
}
END_TEST

START_TEST(memory_is_zeroed_and_copied)
{
	char *p = tl_alloc(64);
	char *s;

	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(p[i], 0);
	tl_freep(&p);
	ck_assert_ptr_null(p);
	s = tl_strndup("abc\0def", 7);
	ck_assert_str_eq(s, "abc");
	tl_free(s);
	s = tl_strndup("abcdef", 2);
	ck_assert_str_eq(s, "ab");
	tl_free(s);
	s = tl_strdup("x");
	ck_assert_str_eq(s, "x");
	tl_free(s);
	s = tl_asprintf("%s-%d", "a", 5);
	ck_assert_str_eq(s, "a-5");
	tl_free(s);
	tl_free(tl_alloc_array(0, 8));
	tl_free(tl_realloc(NULL, 0));
}
END_TEST

START_TEST(arena_pieces_are_aligned_zeroed_and_apart)
{
	struct tl_arena a;
	char *pieces[300];

	tl_arena_init(&a);
	for (size_t i = 0; i < 300; i++) {
		size_t n = i % 7 == 0 ? 3000 + i * 10 : i;

		pieces[i] = tl_arena_alloc(&a, n);
		ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
		for (size_t k = 0; k < n; k++)
			ck_assert_int_eq(pieces[i][k], 0);
		memset(pieces[i], (int)(i % 251), n);
	}
	for (size_t i = 1; i < 300; i++)
		ck_assert_int_eq((uint8_t)pieces[i][0], (int)(i % 251));
	ck_assert_str_eq(tl_arena_strndup(&a, "hello", 4), "hell");
	ck_assert_str_eq(tl_arena_printf(&a, "%05d", 42), "00042");
	tl_arena_deinit(&a);
	ck_assert_ptr_nonnull(tl_arena_alloc(&a, 1)); /* fit for reuse */
	tl_arena_deinit(&a);
}
END_TEST

struct item {
	int n;
	struct tl_list link;
};

START_TEST(list_keeps_order_and_unlinks_twice)
{
	struct item items[4] = {
		{ .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 }
	};
	struct tl_list head, *pos, *tmp;
	int want = 0;

	tl_list_init(&head);
	ck_assert(tl_list_empty(&head));
	for (int i = 1; i < 4; i++)
		tl_list_append(&head, &items[i].link);
	tl_list_prepend(&head, &items[0].link);
	TL_LIST_EACH(pos, tmp, &head)
	{
		struct item *it = TL_CONTAINER(pos, struct item, link);

		ck_assert_int_eq(it->n, want++);
		tl_list_unlink(pos);
		tl_list_unlink(pos);
	}
	ck_assert_int_eq(want, 4);
	ck_assert(tl_list_empty(&head));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/mem");
	TCase *tc = tcase_create("mem");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, errors_carry_status_and_words);
	tcase_add_test(tc, errors_may_quote_themselves_and_are_cut);
	tcase_add_test(tc, each_status_has_its_own_words);
	tcase_add_test(tc, memory_is_zeroed_and_copied);
	tcase_add_test(tc, arena_pieces_are_aligned_zeroed_and_apart);
	tcase_add_test(tc, list_keeps_order_and_unlinks_twice);
	/* These end their process, so they need one of their own. */
	if (srunner_fork_status(sr) == CK_FORK) {
		TCase *death = tcase_create("death");

		suite_add_tcase(s, death);
		tcase_add_test_raise_signal(death, assert_aborts, SIGABRT);
		tcase_add_exit_test(death, overflowing_array_ends_the_process,
				    71);
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
