/*
 * test_ctl_command.c - command lines and "args" objects against one table.
 */
#include <check.h>
#include <stdlib.h>

#include "ctl/ctl.h"

static struct tl_arena arena;
static struct tl_err err;
static struct tl_buf out;

static void setup(void)
{
	tl_arena_init(&arena);
	tl_buf_init(&out);
}

static void teardown(void)
{
	tl_buf_deinit(&out);
	tl_arena_deinit(&arena);
}

#define MAX_WORDS 12
struct line {
	const char *cmd;
	const char *words[MAX_WORDS];
	const char *args; /* as JSON */
	const char *error;
};

static enum tl_status parse(const struct line *l, const struct doc **args_r)
{
	const struct ctl_command *c = ctl_command_find(tl_str_c(l->cmd));
	char *words[MAX_WORDS];
	size_t n = 0;

	ck_assert_ptr_nonnull(c);
	for (; l->words[n] != NULL; n++)
		words[n] = tl_arena_strndup(&arena, l->words[n],
					    strlen(l->words[n]));
	return ctl_args_parse(c, words, n, &arena, args_r, &err);
}

static const struct line lines[] = {
	{ "status", { NULL }, "{}", NULL },
	{ "stop", { NULL }, "{}", NULL },
	{ "stop", { "--graceful" }, "{\"graceful\":true}", NULL },
	{ "explain", { "abc" }, "{\"request_id\":\"abc\"}", NULL },
	{ "explain", { "--", "--x" }, "{\"request_id\":\"--x\"}", NULL },
	{ "explain", { "-" }, "{\"request_id\":\"-\"}", NULL },
	{ "tail", { NULL }, "{}", NULL },
	{ "tail",
	  { "code=ok", "--last", "5", "key=x", "--once" },
	  "{\"filter\":[\"code=ok\",\"key=x\"],\"last\":5,\"once\":true}",
	  NULL },
	{ "key create",
	  { "a@b.c", "--rate-limit=7", "--label", "x=y", "--allowed-ips",
	    "10.0.0.0/8", "--label2" },
	  NULL,
	  "'key create' has no option '--label2'" },
	{ "key create",
	  { "--label", "--odd", "a@b.c", "--daily-limit", "0" },
	  "{\"label\":\"--odd\",\"email\":\"a@b.c\",\"daily_limit\":0}",
	  NULL },
	{ "key list", { NULL }, "{}", NULL },
	{ "key list",
	  { "a@b.c", "--all" },
	  "{\"email\":\"a@b.c\",\"all\":true}",
	  NULL },
	{ "user create",
	  { "a@b.c", "--plan=Pro", "--name=" },
	  "{\"email\":\"a@b.c\",\"plan\":\"Pro\",\"name\":\"\"}",
	  NULL },
	{ "migrate down", { "--to", "0" }, "{\"to\":0}", NULL },
	{ "status", { "now" }, NULL, "'status' does not take 'now'" },
	{ "status", { "-v" }, NULL, "'status' has no option '-v'" },
	{ "stop",
	  { "--graceful=1" },
	  NULL,
	  "option '--graceful' takes no value" },
	{ "explain", { NULL }, NULL, "'explain' needs REQUEST-ID" },
	{ "explain", { "a", "b" }, NULL, "'explain' does not take 'b'" },
	{ "tail", { "--last" }, NULL, "option '--last' needs N" },
	{ "tail",
	  { "--last", "-1" },
	  NULL,
	  "'-1' is not a number from 0 to 2147483647" },
	{ "tail",
	  { "--last=2147483648" },
	  NULL,
	  "'2147483648' is not a number from 0 to 2147483647" },
	{ "tail", { "\xff" }, NULL, "NAME=VALUE is not valid UTF-8" },
	{ "key create",
	  { "a@b.c", "--rate_limit=1" },
	  NULL,
	  "'key create' has no option '--rate_limit'" },
	{ "key create",
	  { "a@b.c", "--label=a", "--label=b" },
	  NULL,
	  "TEXT is given twice" },
	{ "user create", { "a@b.c" }, NULL, "'user create' needs --plan NAME" },
	{ "migrate down", { NULL }, NULL, "'migrate down' needs --to N" },
};

START_TEST(a_line_becomes_args)
{
	const struct line *l = &lines[_i];
	const struct doc *args = NULL;
	enum tl_status st = parse(l, &args);

	if (l->error != NULL) {
		ck_assert_int_eq(st, TL_INVALID);
		ck_assert_str_eq(err.text, l->error);
		return;
	}
	ck_assert_msg(st == TL_OK, "%s", err.text);
	doc_write(args, DOC_JSON, &out);
	ck_assert_str_eq(out.ptr, l->args);
}
END_TEST

static const struct {
	const char *cmd, *args, *error;
} objects[] = {
	{ "stop", "{\"graceful\":false}", NULL },
	{ "tail", "{\"filter\":[],\"last\":0}", NULL },
	{ "stop", "{\"graceful\":1}",
	  "'graceful' of 'stop' has the wrong type" },
	{ "tail", "{\"filter\":[1]}", "'filter' of 'tail' has the wrong type" },
	{ "tail", "{\"filter\":\"x\"}",
	  "'filter' of 'tail' has the wrong type" },
	{ "tail", "{\"last\":-1}", "'last' of 'tail' has the wrong type" },
	{ "stop", "{\"now\":true}",
	  "'stop' got a member of 'args' that it does not know" },
	{ "explain", "{}", "'explain' needs REQUEST-ID" },
};

START_TEST(an_object_keeps_the_same_rules)
{
	const struct ctl_command *c =
		ctl_command_find(tl_str_c(objects[_i].cmd));
	const struct doc *d = NULL;

	ck_assert_int_eq(doc_parse(&arena, DOC_JSON, tl_str_c(objects[_i].args),
				   &d, &err),
			 TL_OK);
	if (objects[_i].error == NULL) {
		ck_assert_int_eq(ctl_args_check(c, d, &err), TL_OK);
		return;
	}
	ck_assert_int_eq(ctl_args_check(c, d, &err), TL_INVALID);
	ck_assert_str_eq(err.text, objects[_i].error);
}
END_TEST

START_TEST(values_are_read_with_their_default)
{
	static const struct line l = {
		"tail", { "x=y", "--last", "3", "--once" }, NULL, NULL
	};
	const struct doc *args = NULL;

	ck_assert_int_eq(parse(&l, &args), TL_OK);

	ck_assert(ctl_flag(args, "once"));
	ck_assert(!ctl_flag(args, "last"));
	ck_assert(!ctl_flag(args, "graceful"));
	ck_assert_int_eq(ctl_number(args, "last", 9), 3);
	ck_assert_int_eq(ctl_number(args, "to", 9), 9);
	ck_assert_ptr_null(ctl_text(args, "label").ptr);
}
END_TEST

START_TEST(usage_shows_what_may_be_left_out)
{
	ctl_command_usage(ctl_command_find(TL_STR("key create")), &out);
	ck_assert_str_eq(out.ptr,
			 "key create EMAIL [--label TEXT] [--expires TIME] "
			 "[--scopes A,B] [--allowed-ips CIDR,...] "
			 "[--rate-limit N] [--daily-limit N] "
			 "[--metadata JSON]");
	tl_buf_reset(&out);
	ctl_command_usage(ctl_command_find(TL_STR("tail")), &out);
	ck_assert_str_eq(out.ptr, "tail [NAME=VALUE ...] [--last N] [--once]");
	tl_buf_reset(&out);
	ctl_command_usage(ctl_command_find(TL_STR("user create")), &out);
	ck_assert_str_eq(out.ptr,
			 "user create EMAIL --plan NAME [--name TEXT]");
}
END_TEST

START_TEST(the_table_is_sound)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		ck_assert_ptr_eq(ctl_command_find(tl_str_c(c->name)), c);
		ck_assert_uint_gt(strlen(c->summary), 0);
		ck_assert(c->served || c->needs != CTL_DAEMON);
		for (const struct ctl_arg *a = c->args;
		     a != NULL && a->name != NULL; a++) {
			ck_assert(a->kind == CTL_ARG_FLAG || a->value != NULL);
			ck_assert_ptr_nonnull(a->doc);
		}
	}
	ck_assert_ptr_null(ctl_command_find(TL_STR("key")));
	ck_assert_ptr_null(ctl_command_find(TL_STR("")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ctl_command");
	TCase *tc = tcase_create("table");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_line_becomes_args, 0,
			    (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_loop_test(tc, an_object_keeps_the_same_rules, 0,
			    (int)(sizeof(objects) / sizeof(objects[0])));
	tcase_add_test(tc, values_are_read_with_their_default);
	tcase_add_test(tc, usage_shows_what_may_be_left_out);
	tcase_add_test(tc, the_table_is_sound);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
