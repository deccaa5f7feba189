/*
 * test_shape.c - bodies against their tables: values, errors, defaults.
 */
#include <check.h>
#include <stdlib.h>

#include "codec/shape.h"

struct limit {
	struct tl_str name;
	int64_t cost;
	bool has_cost;
};
struct body {
	struct tl_str label;
	bool has_label;
	int64_t cost;
	int64_t any_int;
	bool dry_run;
	struct tl_uuid id;
	struct shape_strs scopes;
	struct shape_array limits;
	struct limit one;
	int64_t at_us;
	const struct doc *meta;
	struct tl_str word;
};

static const struct shape limit_shape = {
	"limit", sizeof(struct limit),
	(const struct shape_field[]){
		{ "name", SHAPE_STR, SHAPE_REQUIRED,
		  offsetof(struct limit, name), SHAPE_NO_OFFSET, 1, 40, NULL,
		  "" },
		{ "cost", SHAPE_INT, 0, offsetof(struct limit, cost),
		  offsetof(struct limit, has_cost), 1, 9, NULL, "" },
		{ NULL, SHAPE_BOOL, 0, 0, 0, 0, 0, NULL, NULL } }
};
static const struct shape words = {
	"words", 0,
	(const struct shape_field[]){ { .name = "sliding", .doc = "exact" },
				      { .name = "gcra" },
				      { .name = NULL } }
};
#define FIELD(n, kind, flags, member, min, max, sub)                           \
	{                                                                      \
		n, kind, flags, offsetof(struct body, member),                 \
			SHAPE_NO_OFFSET, min, max, sub, ""                     \
	}
static const struct shape body_shape = {
	"body", sizeof(struct body),
	(const struct shape_field[]){
		{ "label", SHAPE_STR,
		  SHAPE_NULLABLE | SHAPE_TRIM | SHAPE_NO_CONTROL,
		  offsetof(struct body, label),
		  offsetof(struct body, has_label), 1, 5, NULL, "" },
		FIELD("cost", SHAPE_INT, SHAPE_NULLABLE, cost, 0, 1000000,
		      NULL),
		FIELD("any", SHAPE_INT, 0, any_int, 0, 0, NULL),
		FIELD("dry_run", SHAPE_BOOL, 0, dry_run, 0, 0, NULL),
		FIELD("id", SHAPE_UUID, 0, id, 0, 0, NULL),
		FIELD("scopes", SHAPE_STRS, 0, scopes, 0, 2, NULL),
		FIELD("limits", SHAPE_ARRAY, 0, limits, 1, 2, &limit_shape),
		FIELD("one", SHAPE_OBJECT, 0, one, 0, 0, &limit_shape),
		FIELD("at", SHAPE_TIME, 0, at_us, 0, 0, NULL),
		FIELD("meta", SHAPE_ANY, 0, meta, 0, 0, NULL),
		{ "usd", SHAPE_USD, 0, SHAPE_NO_OFFSET, SHAPE_NO_OFFSET, 0, 0,
		  NULL, "" },
		{ "day", SHAPE_DATE, 0, SHAPE_NO_OFFSET, SHAPE_NO_OFFSET, 0, 0,
		  NULL, "" },
		FIELD("word", SHAPE_STR, SHAPE_NULLABLE, word, 0, 0, &words),
		{ NULL, SHAPE_BOOL, 0, 0, 0, 0, 0, NULL, NULL } }
};

static struct tl_arena arena;
static struct tl_err err;

static void setup(void)
{
	tl_arena_init(&arena);
}

static void teardown(void)
{
	tl_arena_deinit(&arena);
}

static const struct doc *parsed(const char *json)
{
	const struct doc *d = NULL;

	ck_assert_msg(doc_parse(&arena, DOC_JSON, tl_str_c(json), &d, &err) ==
			      TL_OK,
		      "%s", err.text);
	return d;
}

static enum tl_status read_body(const char *json, struct body *b)
{
	return shape_read(&body_shape, &arena, parsed(json), b, &err);
}

START_TEST(reads_every_kind)
{
	struct body b = { .cost = 1 };
	const struct limit *l;

	ck_assert_int_eq(
		read_body("{\"label\":\"  a\xc3\xa9 \",\"cost\":0,\"any\":-5,"
			  "\"dry_run\":true,"
			  "\"id\":\"c0000000-0000-0000-0000-00000000000f\","
			  "\"scopes\":[\"x\",\"\"],"
			  "\"limits\":[{\"name\":\"p\",\"cost\":3},"
			  "{\"name\":\"q\"}],\"one\":{\"name\":\"o\"},"
			  "\"at\":\"1970-01-01T00:00:01Z\",\"meta\":{\"k\":1},"
			  "\"usd\":1.5,\"day\":\"2026-02-28\",\"word\":\"gcra\","
			  "\"other\":9}",
			  &b),
		TL_OK);

	ck_assert(b.has_label && tl_str_eq(b.label, TL_STR("a\xc3\xa9")));
	ck_assert_int_eq(b.cost, 0);
	ck_assert_int_eq(b.any_int, -5);
	ck_assert(b.dry_run);
	ck_assert_uint_eq(b.id.b[15], 15);
	ck_assert_uint_eq(b.scopes.n, 2);
	ck_assert(tl_str_eq(b.scopes.items[0], TL_STR("x")));
	ck_assert_uint_eq(b.limits.n, 2);
	l = b.limits.items;
	ck_assert(tl_str_eq(l[1].name, TL_STR("q")) && !l[1].has_cost);
	ck_assert(l[0].has_cost && l[0].cost == 3);
	ck_assert(tl_str_eq(b.one.name, TL_STR("o")));
	ck_assert_int_eq(b.at_us, 1000000);
	ck_assert_uint_eq(b.meta->n, 1);
	ck_assert(tl_str_eq(b.word, TL_STR("gcra")));
}
END_TEST

START_TEST(absent_members_leave_their_default)
{
	struct body b = { .cost = 7, .label = TL_STR("old") };

	ck_assert_int_eq(read_body("{}", &b), TL_OK);
	ck_assert_int_eq(b.cost, 7);
	ck_assert(!b.has_label && tl_str_eq(b.label, TL_STR("old")));
}
END_TEST

START_TEST(null_is_absent_unless_one_can_ask)
{
	struct body b = { .cost = 7, .label = TL_STR("old") };

	ck_assert_int_eq(read_body("{\"cost\":null,\"label\":null}", &b),
			 TL_OK);
	ck_assert_int_eq(b.cost, 7);
	ck_assert(b.has_label);
	ck_assert_ptr_null(b.label.ptr);
}
END_TEST

static const struct {
	const char *json, *says;
} wrong[] = {
	{ "[]", "body: must be an object" },
	{ "{\"label\":5}", "label: must be a string of 1 to 5 characters" },
	{ "{\"label\":\"   \"}",
	  "label: must be a string of 1 to 5 characters" },
	{ "{\"label\":\"abcdef\"}",
	  "label: must be a string of 1 to 5 characters" },
	{ "{\"label\":\"a\\u0007b\"}",
	  "label: must hold no control characters" },
	{ "{\"cost\":1000001}", "cost: must be an integer from 0 to 1000000" },
	{ "{\"cost\":-1}", "cost: must be an integer from 0 to 1000000" },
	{ "{\"cost\":1.5}", "cost: must be an integer from 0 to 1000000" },
	{ "{\"cost\":\"1\"}", "cost: must be an integer from 0 to 1000000" },
	{ "{\"cost\":18446744073709551615}",
	  "cost: must be an integer from 0 to 1000000" },
	{ "{\"any\":18446744073709551615}", "any: must be an integer" },
	{ "{\"dry_run\":1}", "dry_run: must be true or false" },
	{ "{\"dry_run\":null}", "dry_run: must be true or false" },
	{ "{\"id\":\"c0000000\"}", "id: must be a UUID" },
	{ "{\"scopes\":\"x\"}", "scopes: must be an array of 0 to 2 strings" },
	{ "{\"scopes\":[\"a\",\"b\",\"c\"]}",
	  "scopes: must be an array of 0 to 2 strings" },
	{ "{\"scopes\":[\"a\",3]}", "scopes[1]: must be a string" },
	{ "{\"limits\":[]}", "limits: must be an array of 1 to 2 items" },
	{ "{\"limits\":[{\"name\":\"a\"},4]}", "limits[1]: must be an object" },
	{ "{\"limits\":[{\"name\":\"a\"},{\"cost\":4}]}",
	  "limits[1].name: is required" },
	{ "{\"limits\":[{\"name\":\"a\",\"cost\":10}]}",
	  "limits[0].cost: must be an integer from 1 to 9" },
	{ "{\"one\":{\"name\":\"\"}}",
	  "one.name: must be a string of 1 to 40 characters" },
	{ "{\"at\":\"yesterday\"}",
	  "at: must be a time like 2026-03-01T12:34:56Z" },
	{ "{\"usd\":\"1\"}", "usd: must be a number" },
	{ "{\"day\":\"2026-02-29\"}", "day: must be a date like 2026-03-01" },
	{ "{\"word\":\"GCRA\"}", "word: must be one of sliding, gcra" },
	{ "{\"word\":\"\"}", "word: must be one of sliding, gcra" },
	{ "{\"word\":7}", "word: must be one of sliding, gcra" },
};

START_TEST(errors_name_the_member_and_its_rule)
{
	struct body b = { .cost = 1 };

	ck_assert_int_eq(read_body(wrong[_i].json, &b), TL_INVALID);
	ck_assert_str_eq(err.text, wrong[_i].says);
	ck_assert_int_eq(shape_check(&body_shape, parsed(wrong[_i].json), &err),
			 TL_INVALID);
	ck_assert_str_eq(err.text, wrong[_i].says);
}
END_TEST

START_TEST(replies_may_hold_nothing_else)
{
	ck_assert_int_eq(shape_check(&body_shape,
				     parsed("{\"cost\":1,\"usd\":3,"
					    "\"one\":{\"name\":\"x\"}}"),
				     &err),
			 TL_OK);
	ck_assert_int_eq(
		shape_check(&body_shape,
			    parsed("{\"one\":{\"name\":\"x\",\"new\":1}}"),
			    &err),
		TL_INVALID);
	ck_assert_str_eq(err.text, "one.new: is not in the shape");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shape");
	TCase *tc = tcase_create("shape");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_every_kind);
	tcase_add_test(tc, absent_members_leave_their_default);
	tcase_add_test(tc, null_is_absent_unless_one_can_ask);
	tcase_add_loop_test(tc, errors_name_the_member_and_its_rule, 0,
			    (int)(sizeof(wrong) / sizeof(wrong[0])));
	tcase_add_test(tc, replies_may_hold_nothing_else);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
