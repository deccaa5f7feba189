/*
 * test_doc_writer.c - building documents and writing them, tree or not.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "codec/doc.h"

static struct tl_arena arena;
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

static const char *json(const struct doc *d)
{
	tl_buf_reset(&out);
	doc_write(d, DOC_JSON, &out);
	return out.ptr;
}

/* The MessagePack of d, read back and written as JSON. */
static const char *through_msgpack(const struct doc *d)
{
	const struct doc *back = NULL;

	tl_buf_reset(&out);
	doc_write(d, DOC_MSGPACK, &out);
	ck_assert_int_eq(
		doc_parse(&arena, DOC_MSGPACK, tl_buf_str(&out), &back, NULL),
		TL_OK);
	return json(back);
}

static const struct {
	uint64_t micro;
	const char *json;
} usd[] = {
	{ 0, "0" },
	{ 1, "0.000001" },
	{ 10, "0.00001" },
	{ 100000, "0.1" },
	{ 1000000, "1" },
	{ 1204500, "1.2045" },
	{ 999999, "0.999999" },
	{ 42000001, "42.000001" },
	{ 1000000000000000, "1000000000" },
	{ UINT64_MAX, "18446744073709.551615" },
};

START_TEST(money_is_exact)
{
	const struct doc *d = doc_usd(&arena, usd[_i].micro);

	ck_assert_str_eq(json(d), usd[_i].json);
	/* MessagePack: the nearest double, whose text may have an exponent */
	ck_assert(strtod(through_msgpack(d), NULL) ==
		  strtod(usd[_i].json, NULL));
}
END_TEST

static const double doubles[] = { 0.0,   -0.0,   1.0,    0.1,  1.0 / 3.0,
				  1e300, 5e-324, 1e22,   1e15, 123456789.125,
				  -2.5,  1e16,   12345e9 };

START_TEST(doubles_read_back_the_same)
{
	const struct doc *back = NULL;

	for (int f = DOC_JSON; f <= DOC_MSGPACK; f++) {
		tl_buf_reset(&out);
		doc_write(doc_double(&arena, doubles[_i]), (enum doc_format)f,
			  &out);
		ck_assert_int_eq(doc_parse(&arena, (enum doc_format)f,
					   tl_buf_str(&out), &back, NULL),
				 TL_OK);
		ck_assert_int_eq(back->type, DOC_DOUBLE);
		ck_assert(back->d == doubles[_i]);
	}
}
END_TEST

START_TEST(what_is_no_number_becomes_null)
{
	struct doc_writer w;

	ck_assert_str_eq(json(doc_double(&arena, NAN)), "null");
	tl_buf_reset(&out);
	docw_init(&w, DOC_JSON, &out);
	docw_double(&w, INFINITY);
	ck_assert_str_eq(out.ptr, "null");
}
END_TEST

START_TEST(tables_grow)
{
	struct doc *arr = doc_array(&arena), *obj = doc_object(&arena);
	int64_t v;

	for (int i = 0; i < 300; i++) {
		doc_push(&arena, arr, doc_int(&arena, i));
		doc_set(&arena, obj, tl_arena_printf(&arena, "n%d", i),
			doc_int(&arena, -i));
	}
	ck_assert_uint_eq(arr->n, 300);
	ck_assert_uint_eq(obj->n, 300);
	for (int i = 0; i < 300; i++) {
		ck_assert(doc_is_int(arr->items[i], i, i, &v));
		ck_assert(doc_is_int(
			doc_get(obj, tl_arena_printf(&arena, "n%d", i)), -i, -i,
			&v));
	}
}
END_TEST

START_TEST(setting_again_replaces)
{
	struct doc *obj = doc_object(&arena);

	doc_set(&arena, obj, "a", doc_bool(true));
	doc_set(&arena, obj, "b", doc_null());
	doc_set(&arena, obj, "a", doc_str(&arena, TL_STR("x\"\n")));
	ck_assert_str_eq(json(obj), "{\"a\":\"x\\\"\\n\",\"b\":null}");
}
END_TEST

START_TEST(names_of_trees_are_escaped)
{
	const struct doc *d = NULL;

	ck_assert_int_eq(doc_parse(&arena, DOC_JSON,
				   TL_STR("{\"a\\\"\\n\":{\"\\u0001\":1}}"), &d,
				   NULL),
			 TL_OK);
	ck_assert_str_eq(json(d), "{\"a\\\"\\n\":{\"\\u0001\":1}}");
}
END_TEST

static void write_sample(struct doc_writer *w)
{
	docw_object(w, 6);
	docw_name(w, TL_STR("empty"));
	docw_array(w, 0);
	docw_name(w, TL_STR("list"));
	docw_array(w, 4);
	docw_int(w, -1);
	docw_array(w, 1);
	docw_object(w, 0);
	docw_bool(w, false);
	docw_uint(w, UINT64_MAX);
	docw_name(w, TL_STR("deep"));
	docw_object(w, 1);
	docw_name(w, TL_STR("x"));
	docw_object(w, 1);
	docw_name(w, TL_STR("y"));
	docw_array(w, 2);
	docw_null(w);
	docw_usd(w, 1500000);
	docw_name(w, TL_STR("min"));
	docw_int(w, INT64_MIN);
	docw_name(w, TL_STR("doc"));
	docw_doc(w, doc_bool(true));
	docw_name(w, TL_STR("text"));
	docw_str(w, TL_STR("tab\there"));
}
static const char sample[] =
	"{\"empty\":[],\"list\":[-1,[{}],false,18446744073709551615],"
	"\"deep\":{\"x\":{\"y\":[null,1.5]}},\"min\":-9223372036854775808,"
	"\"doc\":true,\"text\":\"tab\\there\"}";

START_TEST(writing_without_a_tree_gives_both_formats)
{
	const struct doc *back = NULL;
	struct doc_writer w;

	docw_init(&w, DOC_JSON, &out);
	write_sample(&w);
	ck_assert_str_eq(out.ptr, sample);
	ck_assert_uint_eq(w.depth, 0);

	tl_buf_reset(&out);
	docw_init(&w, DOC_MSGPACK, &out);
	write_sample(&w);
	ck_assert_int_eq(
		doc_parse(&arena, DOC_MSGPACK, tl_buf_str(&out), &back, NULL),
		TL_OK);
	ck_assert_str_eq(json(back), sample);
}
END_TEST

START_TEST(msgpack_takes_the_shortest_form)
{
	struct doc_writer w;

	docw_init(&w, DOC_MSGPACK, &out);
	docw_array(&w, 5);
	docw_int(&w, 1);
	docw_int(&w, -1);
	docw_int(&w, 300);
	docw_usd(&w, 3000000);
	docw_str(&w, TL_STR("ab"));
	ck_assert_uint_eq(out.len, 10);
	ck_assert_mem_eq(out.ptr,
			 "\x95\x01\xff\xcd\x01\x2c\x03\xa2"
			 "ab",
			 10);
}
END_TEST

/* Replies wrap documents that came in at full depth. */
START_TEST(writes_deeper_than_it_reads)
{
	const struct doc *d = NULL;
	char in[2 * DOC_DEPTH_MAX];

	memset(in, '[', DOC_DEPTH_MAX);
	memset(in + DOC_DEPTH_MAX, ']', DOC_DEPTH_MAX);
	ck_assert_int_eq(doc_parse(&arena, DOC_JSON,
				   (struct tl_str){ in, sizeof(in) }, &d, NULL),
			 TL_OK);
	for (int i = 0; i < DOC_WRITE_DEPTH_MAX - DOC_DEPTH_MAX; i++) {
		struct doc *wrap = doc_array(&arena);

		doc_push(&arena, wrap, d);
		d = wrap;
	}
	ck_assert_uint_eq(strlen(json(d)), 2 * DOC_WRITE_DEPTH_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doc_writer");
	TCase *tc = tcase_create("write");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, money_is_exact, 0,
			    (int)(sizeof(usd) / sizeof(usd[0])));
	tcase_add_loop_test(tc, doubles_read_back_the_same, 0,
			    (int)(sizeof(doubles) / sizeof(doubles[0])));
	tcase_add_test(tc, what_is_no_number_becomes_null);
	tcase_add_test(tc, tables_grow);
	tcase_add_test(tc, setting_again_replaces);
	tcase_add_test(tc, names_of_trees_are_escaped);
	tcase_add_test(tc, writing_without_a_tree_gives_both_formats);
	tcase_add_test(tc, msgpack_takes_the_shortest_form);
	tcase_add_test(tc, writes_deeper_than_it_reads);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
