/*
 * test_doc.c - both parsers: what they take, what they refuse, and that no
 * input makes them do anything else.
 */
#include "config.h" /* TALLY_SANITIZERS */

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "codec/doc.h"

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

/*
 * In a block of exactly its size and without a NUL behind, so that the
 * sanitizer sees a byte read too many.
 */
static enum tl_status parse(enum doc_format f, const void *p, size_t len,
			    const struct doc **doc_r)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum tl_status st;

	if (len > 0)
		memcpy(copy, p, len);
	memset(&err, 0, sizeof(err));
	st = doc_parse(&arena, f, (struct tl_str){ copy, len }, doc_r, &err);
	memset(copy, 'x', len); /* the document must not borrow from it */
	free(copy);
	return st;
}

static const char *as_json(const struct doc *d)
{
	struct tl_buf b;
	char *text;

	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	text = tl_arena_strndup(&arena, b.ptr, b.len);
	tl_buf_deinit(&b);
	return text;
}

#define S(lit) lit, sizeof(lit) - 1
struct good {
	enum doc_format f;
	const char *in;
	size_t len;
	const char *json; /* what it is, written as JSON */
};
static const struct good good[] = {
	{ DOC_JSON, S("0"), "0" },
	{ DOC_JSON, S(" \t\r\n-12 "), "-12" },
	{ DOC_JSON, S("-0"), "0" },
	{ DOC_JSON, S("9223372036854775807"), "9223372036854775807" },
	{ DOC_JSON, S("-9223372036854775808"), "-9223372036854775808" },
	{ DOC_JSON, S("9223372036854775808"), "9223372036854775808" },
	{ DOC_JSON, S("18446744073709551615"), "18446744073709551615" },
	{ DOC_JSON, S("1.5"), "1.5" },
	{ DOC_JSON, S("1.0"), "1.0" },
	{ DOC_JSON, S("1E3"), "1000.0" },
	{ DOC_JSON, S("1e-7"), "1e-07" },
	{ DOC_JSON, S("0.1"), "0.1" },
	{ DOC_JSON, S("2.2250738585072014e-308"), "2.2250738585072014e-308" },
	{ DOC_JSON, S("null"), "null" },
	{ DOC_JSON, S("[true,false,null]"), "[true,false,null]" },
	{ DOC_JSON, S("\"\""), "\"\"" },
	{ DOC_JSON, S("\"a\\u0041\\n\\/\""), "\"aA\\n/\"" },
	{ DOC_JSON, S("\"\\ud83d\\ude00\""), "\"\xf0\x9f\x98\x80\"" },
	{ DOC_JSON, S("\"\xf0\x9f\x98\x80\""), "\"\xf0\x9f\x98\x80\"" },
	{ DOC_JSON, S("{}"), "{}" },
	{ DOC_JSON, S("[ ]"), "[]" },
	{ DOC_JSON, S("{\"\":{\"a\":[1,{\"b\":[]}]},\"c\":\"d\"}"),
	  "{\"\":{\"a\":[1,{\"b\":[]}]},\"c\":\"d\"}" },
	{ DOC_JSON, S("{\"a\":{\"x\":1},\"b\":{\"x\":2}}"),
	  "{\"a\":{\"x\":1},\"b\":{\"x\":2}}" },
	{ DOC_JSON, S("{\"q\\\"\\\\\":\":,{\"}"), "{\"q\\\"\\\\\":\":,{\"}" },
	{ DOC_MSGPACK, S("\x00"), "0" },
	{ DOC_MSGPACK, S("\x7f"), "127" },
	{ DOC_MSGPACK, S("\xe0"), "-32" },
	{ DOC_MSGPACK, S("\xd0\x80"), "-128" },
	{ DOC_MSGPACK, S("\xd1\x80\x00"), "-32768" },
	{ DOC_MSGPACK, S("\xd2\x80\x00\x00\x00"), "-2147483648" },
	{ DOC_MSGPACK, S("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
	  "-9223372036854775808" },
	{ DOC_MSGPACK, S("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"),
	  "9223372036854775807" },
	{ DOC_MSGPACK, S("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
	  "18446744073709551615" },
	{ DOC_MSGPACK, S("\xcc\xff"), "255" },
	{ DOC_MSGPACK, S("\xcd\xff\xff"), "65535" },
	{ DOC_MSGPACK, S("\xce\xff\xff\xff\xff"), "4294967295" },
	{ DOC_MSGPACK, S("\xca\x3f\xc0\x00\x00"), "1.5" },
	{ DOC_MSGPACK, S("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), "1.5" },
	{ DOC_MSGPACK, S("\xc0"), "null" },
	{ DOC_MSGPACK, S("\x92\xc2\xc3"), "[false,true]" },
	{ DOC_MSGPACK, S("\xa0"), "\"\"" },
	{ DOC_MSGPACK,
	  S("\xa3"
	    "abc"),
	  "\"abc\"" },
	{ DOC_MSGPACK,
	  S("\xd9\x01"
	    "a"),
	  "\"a\"" },
	{ DOC_MSGPACK,
	  S("\xda\x00\x01"
	    "a"),
	  "\"a\"" },
	{ DOC_MSGPACK,
	  S("\xdb\x00\x00\x00\x01"
	    "a"),
	  "\"a\"" },
	{ DOC_MSGPACK, S("\x80"), "{}" },
	{ DOC_MSGPACK, S("\x90"), "[]" },
	{ DOC_MSGPACK,
	  S("\x82\xa1"
	    "a\x91\x01\xa1"
	    "b\x80"),
	  "{\"a\":[1],\"b\":{}}" },
	{ DOC_MSGPACK,
	  S("\xde\x00\x01\xa1"
	    "a\xdc\x00\x01\x05"),
	  "{\"a\":[5]}" },
	{ DOC_MSGPACK,
	  S("\xdf\x00\x00\x00\x01\xa1"
	    "a\xdd\x00\x00\x00\x01\x05"),
	  "{\"a\":[5]}" },
};

START_TEST(takes_every_form)
{
	const struct good *g = &good[_i];
	const struct doc *d = NULL;
	struct tl_buf b;

	ck_assert_msg(parse(g->f, g->in, g->len, &d) == TL_OK, "%s: %s",
		      g->json, err.text);
	ck_assert_str_eq(as_json(d), g->json);

	/* and through both writers back to the same */
	tl_buf_init(&b);
	for (int f = DOC_JSON; f <= DOC_MSGPACK; f++) {
		tl_buf_reset(&b);
		doc_write(d, (enum doc_format)f, &b);
		ck_assert_int_eq(parse((enum doc_format)f, b.ptr, b.len, &d),
				 TL_OK);
		ck_assert_str_eq(as_json(d), g->json);
	}
	tl_buf_deinit(&b);
}
END_TEST

struct bad {
	enum doc_format f;
	const char *in;
	size_t len;
	const char *says;
};
static const struct bad bad[] = {
	{ DOC_JSON, S(""), "at byte 0: no value" },
	{ DOC_JSON, S("  "), "at byte 2: no value" },
	{ DOC_JSON, S("1 2"), "at byte 2: " },
	{ DOC_JSON, S("{} x"), "at byte 3: unexpected character" },
	{ DOC_JSON, S("{}{}"), "at byte 2: " },
	{ DOC_JSON, S("1\0"), "at byte 1: unexpected character" },
	{ DOC_JSON, S("[1,]"), "at byte " },
	{ DOC_JSON, S("{\"a\":1,}"), "at byte " },
	{ DOC_JSON, S("{\"a\" 1}"), "at byte " },
	{ DOC_JSON, S("{a:1}"), "at byte 1: unexpected character" },
	{ DOC_JSON, S("[1:2]"), "at byte " },
	{ DOC_JSON, S(":"), "at byte " },
	{ DOC_JSON, S("[1}"), "at byte " },
	{ DOC_JSON, S("]"), "at byte 0: unexpected closing bracket" },
	{ DOC_JSON, S("["), "at byte 1: ends inside" },
	{ DOC_JSON, S("/**/1"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("'a'"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("TRUE"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("tru"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("truefalse"), "at byte 4: " },
	{ DOC_JSON, S("\v1"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("NaN"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("Infinity"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("-Infinity"), "at byte 1: number without digits" },
	{ DOC_JSON, S("01"), "at byte 1: number begins with a zero" },
	{ DOC_JSON, S("00"), "at byte 1: number begins with a zero" },
	{ DOC_JSON, S("[-00.5]"), "at byte 3: number begins with a zero" },
	{ DOC_JSON, S("+1"), "at byte 0: unexpected character" },
	{ DOC_JSON, S(".5"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("1."), "at byte 2: number ends behind its point" },
	{ DOC_JSON, S("1e"), "at byte 2: number without exponent digits" },
	{ DOC_JSON, S("-"), "at byte 1: number without digits" },
	{ DOC_JSON, S("1-2"), "at byte " },
	{ DOC_JSON, S("1e999"), "number '1e999' is too large" },
	{ DOC_JSON, S("18446744073709551616"),
	  "at byte 0: integer needs more than 64 bits" },
	{ DOC_JSON, S("[-9223372036854775809]"),
	  "at byte 1: integer needs more than 64 bits" },
	{ DOC_JSON, S("\"a\tb\""), "at byte 2: control character in a string" },
	{ DOC_JSON, S("\"a\0b\""), "at byte 2: control character in a string" },
	{ DOC_JSON, S("\"abc"), "at byte 0: string does not end" },
	{ DOC_JSON, S("\"abc\\"), "at byte 4: string does not end" },
	{ DOC_JSON, S("\"abc\\\""), "at byte 0: string does not end" },
	{ DOC_JSON, S("\"\\x\""), "at byte 1: unknown escape" },
	{ DOC_JSON, S("\"\\\0\""), "at byte 1: unknown escape" },
	{ DOC_JSON, S("\"\\u12\""), "at byte 1: \\u needs four hex digits" },
	{ DOC_JSON, S("\"\\u12g4\""), "at byte 1: \\u needs four hex digits" },
	{ DOC_JSON, S("\"\\u0000\""), "at byte 1: \\u0000 is not allowed" },
	{ DOC_JSON, S("\"\\ud800\""), "\\u escape is half a surrogate pair" },
	{ DOC_JSON, S("\"\\ud800\\u0041\""), "half a surrogate pair" },
	{ DOC_JSON, S("\"\\udc00\""), "at byte 1: \\u escape is half" },
	{ DOC_JSON, S("\"\xff\""), "at byte 0: string is not valid UTF-8" },
	{ DOC_JSON, S("\"\xed\xa0\x80\""), "not valid UTF-8" },
	{ DOC_JSON, S("\"\xc0\x80\""), "not valid UTF-8" },
	{ DOC_JSON, S("\xc3\xa9"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("\xef\xbb\xbf{}"), "at byte 0: unexpected character" },
	{ DOC_JSON, S("{\"a\":1,\"b\":2,\"a\":3}"), "names a member twice" },
	{ DOC_JSON, S("[{\"a\":{\"x\":1},\"\\u0061\":{}}]"),
	  "names a member twice" },
	{ DOC_MSGPACK, S(""), "at byte 0: no value" },
	{ DOC_MSGPACK, S("\xc1"), "at byte 0: byte 0xc1" },
	{ DOC_MSGPACK, S("\x01\x02"), "at byte 1: more bytes" },
	{ DOC_MSGPACK, S("\xcd\x01"), "at byte 0: ends inside a value" },
	{ DOC_MSGPACK, S("\x92\x01"), "at byte 0: array says more items" },
	{ DOC_MSGPACK,
	  S("\x92\xa1"
	    "a"),
	  "at byte 3: ends too early" },
	{ DOC_MSGPACK, S("\xdd\xff\xff\xff\xff"), "array says more items" },
	{ DOC_MSGPACK, S("\xdf\xff\xff\xff\xff"), "map says more members" },
	{ DOC_MSGPACK, S("\xdb\xff\xff\xff\xff"), "string is longer" },
	{ DOC_MSGPACK, S("\xdb\xff\xff"), "at byte 0: ends inside a value" },
	{ DOC_MSGPACK,
	  S("\xa2"
	    "a"),
	  "string is longer" },
	{ DOC_MSGPACK, S("\xa1\xff"), "string is not valid UTF-8" },
	{ DOC_MSGPACK, S("\xa1\x00"), "NUL is not allowed" },
	{ DOC_MSGPACK, S("\x81\x01\x02"), "at byte 1: map key is not" },
	{ DOC_MSGPACK, S("\x81\x90\x02"), "at byte 1: map key is not" },
	{ DOC_MSGPACK,
	  S("\x81\xa1"
	    "a"),
	  "at byte 3: ends too early" },
	{ DOC_MSGPACK,
	  S("\xc4\x01"
	    "a"),
	  "binary data is not accepted" },
	{ DOC_MSGPACK, S("\xc6\x00"), "at byte 0: ends inside a value" },
	{ DOC_MSGPACK, S("\xd4\x01\x02"), "extension types" },
	{ DOC_MSGPACK, S("\xd8\x01"), "extension types" },
	{ DOC_MSGPACK, S("\xc7\x01\x05\x02"), "extension types" },
	{ DOC_MSGPACK, S("\xca\x7f\xc0\x00\x00"), "NaN and infinity" },
	{ DOC_MSGPACK, S("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
	  "NaN and infinity" },
	{ DOC_MSGPACK,
	  S("\x82\xa1"
	    "a\x01\xa1"
	    "a\x02"),
	  "names a member twice" },
};

START_TEST(refuses_and_says_where)
{
	const struct bad *b = &bad[_i];
	const struct doc *d = NULL;

	ck_assert_msg(parse(b->f, b->in, b->len, &d) == TL_INVALID,
		      "'%.*s' passed", (int)b->len, b->in);
	ck_assert_msg(strstr(err.text, b->says) != NULL, "'%s' lacks '%s'",
		      err.text, b->says);
	ck_assert_ptr_null(d);
}
END_TEST

START_TEST(depth_ends_at_the_limit)
{
	char json[2 * DOC_DEPTH_MAX + 2], pack[DOC_DEPTH_MAX + 1];
	const struct doc *d;

	memset(json, '[', DOC_DEPTH_MAX);
	memset(json + DOC_DEPTH_MAX, ']', DOC_DEPTH_MAX);
	memset(pack, '\x91', DOC_DEPTH_MAX - 1);
	pack[DOC_DEPTH_MAX - 1] = '\x90';
	ck_assert_int_eq(parse(DOC_JSON, json, 2 * DOC_DEPTH_MAX, &d), TL_OK);
	ck_assert_int_eq(parse(DOC_MSGPACK, pack, DOC_DEPTH_MAX, &d), TL_OK);

	memset(json, '[', DOC_DEPTH_MAX + 1);
	memset(json + DOC_DEPTH_MAX + 1, ']', DOC_DEPTH_MAX + 1);
	memset(pack, '\x91', DOC_DEPTH_MAX);
	pack[DOC_DEPTH_MAX] = '\x90';
	ck_assert_int_eq(parse(DOC_JSON, json, 2 * DOC_DEPTH_MAX + 2, &d),
			 TL_INVALID);
	ck_assert_str_eq(err.text, "at byte 32: nested too deep");
	ck_assert_int_eq(parse(DOC_MSGPACK, pack, DOC_DEPTH_MAX + 1, &d),
			 TL_INVALID);
	ck_assert_str_eq(err.text, "at byte 32: nested too deep");
}
END_TEST

START_TEST(values_end_at_the_limit)
{
	size_t len = 2 * DOC_VALUES_MAX + 1;
	char *json = malloc(len);
	const struct doc *d;

	/* the array and one value less than the limit */
	for (size_t i = 0; i < len; i++)
		json[i] = i % 2 == 0 ? ',' : '1';
	json[0] = '[';
	json[2 * DOC_VALUES_MAX - 2] = ']';
	ck_assert_int_eq(parse(DOC_JSON, json, 2 * DOC_VALUES_MAX - 1, &d),
			 TL_OK);
	json[2 * DOC_VALUES_MAX - 2] = ',';
	json[2 * DOC_VALUES_MAX] = ']';
	ck_assert_int_eq(parse(DOC_JSON, json, len, &d), TL_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "too many values"));
	free(json);
}
END_TEST

/* An object of n members, its last name that of member `again`. */
static enum tl_status parse_wide(uint32_t n, uint32_t again)
{
	struct doc_writer w;
	struct tl_buf b;
	const struct doc *d;
	enum tl_status st;

	tl_buf_init(&b);
	docw_init(&w, DOC_MSGPACK, &b);
	docw_object(&w, n);
	for (uint32_t i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "m%u",
			       i == n - 1 ? again : i);
		docw_name(&w, tl_str_c(name));
		docw_null(&w);
	}
	st = parse(DOC_MSGPACK, b.ptr, b.len, &d);
	tl_buf_deinit(&b);
	return st;
}

START_TEST(repeated_names_are_found_in_wide_objects)
{
	for (uint32_t n = 2; n < 300; n += 7) {
		ck_assert_int_eq(parse_wide(n, n - 1), TL_OK);
		ck_assert_int_eq(parse_wide(n, 0), TL_INVALID);
		ck_assert_int_eq(parse_wide(n, n - 2), TL_INVALID);
	}
	ck_assert_int_eq(parse_wide(30000, 29999), TL_OK);
	ck_assert_int_eq(parse_wide(30000, 1), TL_INVALID);
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Changes a few bytes, or cuts, or doubles a piece. */
static size_t mutate(char *p, size_t len, size_t cap, uint64_t *rnd)
{
	static const char spice[] = "{}[]\",:\\u0dD8\0\x80\xff\xdf\x91\xc1"
				    "e-.19\xa1";
	uint64_t n = next_random(rnd) % 4 + 1;

	while (n-- > 0 && len > 0) {
		size_t at = next_random(rnd) % len;
		size_t piece = next_random(rnd) % (len - at) + 1;

		switch (next_random(rnd) % 4) {
		case 0:
			p[at] = spice[next_random(rnd) % sizeof(spice)];
			break;
		case 1:
			p[at] = (char)next_random(rnd);
			break;
		case 2:
			memmove(p + at, p + at + piece, len - at - piece);
			len -= piece;
			break;
		default:
			if (len + piece > cap)
				break;
			memmove(p + at + piece, p + at, len - at);
			len += piece;
		}
	}
	return len;
}

/* What passes must come back from both writers as it was. */
static void check_survivor(const struct doc *d)
{
	const char *text = as_json(d);
	const struct doc *again;
	struct tl_buf b;

	tl_buf_init(&b);
	doc_write(d, DOC_MSGPACK, &b);
	ck_assert_int_eq(parse(DOC_MSGPACK, b.ptr, b.len, &again), TL_OK);
	ck_assert_str_eq(as_json(again), text);
	ck_assert_int_eq(parse(DOC_JSON, text, strlen(text), &again), TL_OK);
	ck_assert_str_eq(as_json(again), text);
	tl_buf_deinit(&b);
}

START_TEST(hostile_input_is_refused_or_whole)
{
	uint64_t rnd = 88172645463325252u + (uint64_t)_i;
	uint32_t passed = 0;

	for (int round = 0; round < 4000; round++) {
		const struct good *g = &good[next_random(&rnd) %
					     (sizeof(good) / sizeof(good[0]))];
		const struct doc *d;
		char in[256];
		size_t len;

		memcpy(in, g->in, g->len);
		len = mutate(in, g->len, sizeof(in), &rnd);
		if (parse(g->f, in, len, &d) == TL_OK) {
			passed++;
			check_survivor(d);
		} else {
			ck_assert_int_eq(err.status, TL_INVALID);
			ck_assert_uint_gt(strlen(err.text), 10);
		}
		tl_arena_deinit(&arena);
	}
	ck_assert_uint_gt(passed, 100);
}
END_TEST

START_TEST(every_cut_is_refused)
{
	static const char json[] = "{\"a\":[1,2.5,\"\\u00e9x\"],\"b\":null}";
	const struct doc *d;
	struct tl_buf b;

	tl_buf_init(&b);
	ck_assert_int_eq(parse(DOC_JSON, S(json), &d), TL_OK);
	doc_write(d, DOC_MSGPACK, &b);
	for (size_t n = 0; n < sizeof(json) - 1; n++)
		ck_assert_int_eq(parse(DOC_JSON, json, n, &d), TL_INVALID);
	for (size_t n = 0; n < b.len; n++)
		ck_assert_int_eq(parse(DOC_MSGPACK, b.ptr, n, &d), TL_INVALID);
	tl_buf_deinit(&b);
}
END_TEST

START_TEST(members_are_found_and_integers_are_exact)
{
	static const char json[] = "{\"a\":7,\"b\":7.0,\"c\":\"7\","
				   "\"d\":18446744073709551615}";
	const struct doc *d;
	int64_t v = 0;

	ck_assert_int_eq(parse(DOC_JSON, S(json), &d), TL_OK);

	ck_assert(doc_is_int(doc_get(d, "a"), 7, 7, &v));
	ck_assert_int_eq(v, 7);
	ck_assert(!doc_is_int(doc_get(d, "a"), 8, 9, &v));
	ck_assert(!doc_is_int(doc_get(d, "b"), 0, 9, &v));
	ck_assert(!doc_is_int(doc_get(d, "c"), 0, 9, &v));
	ck_assert(!doc_is_int(doc_get(d, "d"), INT64_MIN, INT64_MAX, &v));
	ck_assert_int_eq(doc_get(d, "d")->type, DOC_UINT);
	ck_assert(!doc_is_int(doc_get(d, "e"), 0, 9, &v));
	ck_assert_ptr_null(doc_get(doc_get(d, "a"), "a"));
	ck_assert_ptr_null(doc_get(NULL, "a"));
}
END_TEST

#ifndef TALLY_SANITIZERS /* which want more addresses than there are */
static const struct {
	enum doc_format format;
	const char *bytes;
} small[] = {
	{ DOC_JSON, "{\"a\":1}" },
	{ DOC_JSON, "{\"a\":[1,2]}" },
	{ DOC_JSON, "[[[[]]]]" },
	{ DOC_MSGPACK, "\x81\xa1"
		       "a\x01" },
};

/* A charge that is refused for our lack of memory would not be sent again. */
START_TEST(no_memory_is_not_the_clients_fault)
{
	struct rlimit none = { 0, 0 };
	struct tl_str in = tl_str_c(small[_i].bytes);
	enum tl_status st;
	const struct doc *d;
	size_t size;

	ck_assert_int_eq(parse(small[_i].format, in.ptr, in.len, &d), TL_OK);
	setrlimit(RLIMIT_AS, &none);
	for (size = 1 << 20; size > 0; size -= size > 4096 ? 4096 : 8)
		while (malloc(size) != NULL)
			;

	st = doc_parse(&arena, small[_i].format, in, &d, &err);

	_exit(st == TL_OK ? 0 : 1); /* want: the status of no memory */
}
END_TEST
#endif

int main(void)
{
	Suite *s = suite_create("doc");
	TCase *tc = tcase_create("parse");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, takes_every_form, 0,
			    (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_loop_test(tc, refuses_and_says_where, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(tc, depth_ends_at_the_limit);
	tcase_add_test(tc, values_end_at_the_limit);
	tcase_add_test(tc, repeated_names_are_found_in_wide_objects);
	tcase_add_loop_test(tc, hostile_input_is_refused_or_whole, 0, 8);
	tcase_add_test(tc, every_cut_is_refused);
	tcase_add_test(tc, members_are_found_and_integers_are_exact);
#ifndef TALLY_SANITIZERS
	tcase_add_loop_exit_test(tc, no_memory_is_not_the_clients_fault, 71, 0,
				 (int)(sizeof(small) / sizeof(small[0])));
#endif
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
