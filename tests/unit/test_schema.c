/*
 * test_schema.c - what a shape says as JSON Schema.
 */
#include <check.h>
#include <stdlib.h>

#include "codec/schema.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET

static const struct shape words = {
	"Word", 0,
	(const struct shape_field[]){
		{ .name = "sliding", .doc = "exact" },
		{ .name = "gcra", .doc = "evenly spread" },
		{ .name = NULL } }
};
static const struct shape part = { "Part", 0,
				   (const struct shape_field[]){
					   { "id", SHAPE_UUID, SHAPE_REQUIRED,
					     REPLY, 0, 0, NULL, NULL },
					   { .name = NULL } } };

static const struct shape whole = {
	"Whole", 0,
	(const struct shape_field[]){
		{ "one", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0, &part,
		  NULL },
		{ "more", SHAPE_ARRAY, 0, REPLY, 0, 0, &part, NULL },
		{ .name = NULL } }
};

static struct tl_arena arena;
static struct doc *schemas;

static void setup(void)
{
	tl_arena_init(&arena);
	schemas = doc_object(&arena);
}

static void teardown(void)
{
	tl_arena_deinit(&arena);
}

static void is_json(const struct doc *d, const char *want)
{
	struct tl_buf b;

	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	tl_buf_addc(&b, '\0');
	ck_assert_str_eq(b.ptr, want);
	tl_buf_deinit(&b);
}

/* clang-format off */
static const struct {
	struct shape_field field;
	const char *json;
} kinds[] = {
	{ { "x", SHAPE_BOOL, 0, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":\"boolean\"}" },
	{ { "x", SHAPE_INT, 0, REPLY, 1, 9, NULL, "so many" },
	  "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,"
	  "\"maximum\":9,\"description\":\"so many\"}" },
	{ { "x", SHAPE_INT, SHAPE_NULLABLE, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":[\"integer\",\"null\"],\"format\":\"int64\"}" },
	{ { "x", SHAPE_STR, 0, REPLY, 1, 40, NULL, NULL },
	  "{\"type\":\"string\",\"minLength\":1,\"maxLength\":40}" },
	{ { "x", SHAPE_STR, 0, REPLY, 0, 0, &words, NULL },
	  "{\"$ref\":\"#/components/schemas/Word\"}" },
	{ { "x", SHAPE_STR, SHAPE_NULLABLE, REPLY, 0, 0, &words, NULL },
	  "{\"anyOf\":[{\"$ref\":\"#/components/schemas/Word\"},"
	  "{\"type\":\"null\"}]}" },
	{ { "x", SHAPE_UUID, SHAPE_NULLABLE, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":[\"string\",\"null\"],\"format\":\"uuid\"}" },
	{ { "x", SHAPE_STRS, 0, REPLY, 0, 2, NULL, NULL },
	  "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
	  "\"minItems\":0,\"maxItems\":2}" },
	{ { "x", SHAPE_OBJECT, 0, REPLY, 0, 0, &part, NULL },
	  "{\"$ref\":\"#/components/schemas/Part\"}" },
	{ { "x", SHAPE_OBJECT, SHAPE_NULLABLE, REPLY, 0, 0, &part, "one" },
	  "{\"anyOf\":[{\"$ref\":\"#/components/schemas/Part\"},"
	  "{\"type\":\"null\"}],\"description\":\"one\"}" },
	{ { "x", SHAPE_ARRAY, 0, REPLY, 0, 0, &part, NULL },
	  "{\"type\":\"array\",\"items\":"
	  "{\"$ref\":\"#/components/schemas/Part\"}}" },
	{ { "x", SHAPE_USD, 0, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":\"number\"}" },
	{ { "x", SHAPE_TIME, 0, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":\"string\",\"format\":\"date-time\"}" },
	{ { "x", SHAPE_DATE, 0, REPLY, 0, 0, NULL, NULL },
	  "{\"type\":\"string\",\"format\":\"date\"}" },
	{ { "x", SHAPE_ANY, 0, REPLY, 0, 0, NULL, NULL }, "{}" },
};
/* clang-format on */

START_TEST(each_kind_has_its_schema)
{
	is_json(schema_of_field(&arena, &kinds[_i].field, schemas),
		kinds[_i].json);
}
END_TEST

START_TEST(words_become_one_named_enum)
{
	(void)schema_of_field(&arena, &kinds[4].field, schemas);
	(void)schema_of_field(&arena, &kinds[5].field, schemas);

	is_json(schemas, "{\"Word\":{\"type\":\"string\","
			 "\"enum\":[\"sliding\",\"gcra\"],"
			 "\"description\":\"`sliding`: exact; "
			 "`gcra`: evenly spread\"}}");
}
END_TEST

START_TEST(a_shape_is_named_once_with_those_it_is_made_of)
{
	(void)schema_ref(&arena, &whole, schemas);
	is_json(schema_ref(&arena, &whole, schemas),
		"{\"$ref\":\"#/components/schemas/Whole\"}");

	ck_assert_uint_eq(schemas->n, 2);
	is_json(doc_get(schemas, "Whole"),
		"{\"type\":\"object\",\"properties\":{"
		"\"one\":{\"$ref\":\"#/components/schemas/Part\"},"
		"\"more\":{\"type\":\"array\",\"items\":"
		"{\"$ref\":\"#/components/schemas/Part\"}}},"
		"\"required\":[\"one\"]}");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("schema");
	TCase *c = tcase_create("schema");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, each_kind_has_its_schema, 0,
			    (int)(sizeof(kinds) / sizeof(kinds[0])));
	tcase_add_test(c, words_become_one_named_enum);
	tcase_add_test(c, a_shape_is_named_once_with_those_it_is_made_of);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
