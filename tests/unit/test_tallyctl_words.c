/*
 * test_tallyctl_words.c - decisions in words, the filter of tail, and what
 * people write about keys.
 */
#include <check.h>
#include <stdlib.h>

#include "codec/doc.h"
#include "ctl/decision.h"
#include "decide/decide.h"
#include "tallyctl/filter.h"
#include "tally/input.h"
#include "tallyctl/key_input.h"

static struct tl_arena arena;
static struct tl_buf out;
static struct tl_err err;
static struct shm_decision d;

static void setup(void)
{
	tl_arena_init(&arena);
	tl_buf_init(&out);
	memset(&d, 0, sizeof(d));
	d.wall_us = 1772366400000000; /* 2026-03-01T12:00:00Z */
	memset(d.key_id, 0xab, sizeof(d.key_id));
	memset(d.user_id, 0xcd, sizeof(d.user_id));
	memcpy(d.client, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x09", 16);
	memcpy(d.request_id, "req-1", 5);
	d.trace_id[0] = 10;
	d.request_id_len = 5;
	d.door = DECIDE_D_GATE;
	d.code = DECIDE_OK;
	d.http_status = 200;
	d.cost = 1;
	memcpy(d.limit_name, "key", 3);
	d.limit_count = 100;
	d.limit_sum = 59;
	d.quota_limit = 250;
	d.quota_used = 143;
	d.duration_ns = 1234567;
}

static void teardown(void)
{
	tl_buf_deinit(&out);
	tl_arena_deinit(&arena);
}

static const char *words(void)
{
	tl_buf_reset(&out);
	decision_words(&d, &out);
	return out.ptr;
}

START_TEST(who_was_let_in_sees_what_it_cost)
{
	ck_assert_str_eq(words(), "let in for 1 credit (143 of 250 used "
				  "today); limit 'key' stood at 59 of 100");
	d.cost = 0;
	d.limit_name[0] = '\0';
	ck_assert_str_eq(words(),
			 "let in, free of credits (143 of 250 used today)");
	memset(d.key_id, 0, sizeof(d.key_id));
	d.quota_limit = 0;
	ck_assert_str_eq(words(), "let in without a key");
}
END_TEST

START_TEST(a_refusal_tells_when_it_passes)
{
	d.code = DECIDE_RATE_LIMITED;
	d.reason = DECIDE_R_LIMIT;
	d.http_status = 429;
	d.limit_sum = 100;
	d.reset_ms = 52310;
	ck_assert_str_eq(words(),
			 "refused with 429: limit 'key' allows 100 in its "
			 "window and 100 were charged; it passes from "
			 "2026-03-01T12:00:53Z on");

	d.code = DECIDE_QUOTA_EXCEEDED;
	d.reason = DECIDE_R_QUOTA;
	d.http_status = 403; /* deny=403 */
	d.quota_used = 250;
	d.cost = 3;
	ck_assert_str_eq(words(),
			 "refused with 403: daily credits used up (250/250); "
			 "it passes from 2026-03-02T00:00:00Z on");
	d.quota_used = 249;
	ck_assert_str_eq(words(),
			 "refused with 403: daily credits left do not suffice "
			 "(249/250 used); it passes from "
			 "2026-03-02T00:00:00Z on");
	d.reason = DECIDE_R_KEY_QUOTA;
	ck_assert_ptr_nonnull(strstr(words(), "daily credits of the key"));
}
END_TEST

/* Every reason that decide.h knows has words of its own. */
START_TEST(no_reason_is_without_words)
{
	d.code = DECIDE_UNAUTHORIZED;
	d.http_status = 401;
	for (int r = DECIDE_R_MISSING; r < DECIDE_REASONS; r++) {
		if (r == DECIDE_R_LIMIT || r == DECIDE_R_QUOTA ||
		    r == DECIDE_R_KEY_QUOTA)
			continue; /* told by their code */
		d.reason = (uint8_t)r;
		ck_assert_ptr_null(strstr(words(), "no recorded reason"));
		ck_assert_ptr_nonnull(strstr(out.ptr, "it passes"));
	}
	d.reason = 200; /* of a later release */
	ck_assert_ptr_nonnull(strstr(words(), "no recorded reason"));
}
END_TEST

START_TEST(the_document_holds_the_record)
{
	doc_write(decision_doc(&d, &arena), DOC_JSON, &out);
	ck_assert_str_eq(
		out.ptr,
		"{\"time\":\"2026-03-01T12:00:00Z\",\"request_id\":\"req-1\","
		"\"trace_id\":\"0a000000000000000000000000000000\","
		"\"door\":\"gate\",\"code\":\"ok\",\"reason\":null,"
		"\"status\":200,"
		"\"key_id\":\"abababab-abab-abab-abab-abababababab\","
		"\"user_id\":\"cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd\","
		"\"client\":\"203.0.113.9\",\"limit\":{\"name\":\"key\","
		"\"limit\":100,\"charged\":59,\"reset_ms\":0},"
		"\"credits\":{\"limit\":250,\"used\":143,\"cost\":1},"
		"\"retry_after_ms\":null,\"worker\":0,\"duration_us\":1234,"
		"\"text\":\"let in for 1 "
		"credit (143 of 250 used today); limit 'key' stood at 59 of "
		"100\"}");
}
END_TEST

START_TEST(names_that_fill_their_field_are_whole)
{
	memcpy(d.limit_name, "0123456789abcdef", 16);
	memset(d.request_id, 'r', 64);
	d.request_id_len = 64;
	ck_assert_uint_eq(decision_limit(&d).len, 16);
	ck_assert_uint_eq(decision_request(&d).len, 64);
	d.request_id_len = 65; /* torn or foreign: never read past the field */
	ck_assert_uint_eq(decision_request(&d).len, 0);
}
END_TEST

static const struct {
	const char *filter;
	bool match;
} filters[] = {
	{ "code=ok", true },
	{ "code=rate_limited", false },
	{ "reason=revoked", false },
	{ "door=gate", true },
	{ "door=verify", false },
	{ "status=200", true },
	{ "status=429", false },
	{ "worker=0", true },
	{ "worker=1", false },
	{ "limit=key", true },
	{ "limit=ke", false },
	{ "request=req-1", true },
	{ "request=req-", false },
	{ "key=ab", true },
	{ "key=abababab-abab-abab-abab-abababababab", true },
	{ "key=ac", false },
	{ "user=cdcd", true },
	{ "user=ab", false },
	{ "client=203.0.113.9", true },
	{ "client=203.0.113.0/24", true },
	{ "client=198.51.100.0/24", false },
};

START_TEST(filters_choose)
{
	struct filter f = { 0 };

	ck_assert_int_eq(filter_add(&f, tl_str_c(filters[_i].filter), &err),
			 TL_OK);
	ck_assert_int_eq(filter_match(&f, &d), filters[_i].match);
}
END_TEST

START_TEST(several_filters_must_all_match)
{
	struct filter f = { 0 };

	ck_assert(filter_match(&f, &d));
	ck_assert_int_eq(filter_add(&f, TL_STR("code=ok"), &err), TL_OK);
	ck_assert_int_eq(filter_add(&f, TL_STR("key=ab"), &err), TL_OK);
	ck_assert(filter_match(&f, &d));
	ck_assert_int_eq(filter_add(&f, TL_STR("door=api"), &err), TL_OK);
	ck_assert(!filter_match(&f, &d));
}
END_TEST

START_TEST(a_shown_prefix_needs_its_ids)
{
	struct filter f = { 0 };

	ck_assert_int_eq(filter_add(&f, TL_STR("key=codexible_01"), &err),
			 TL_OK);
	ck_assert(filter_wants_keys(&f));
	ck_assert(!filter_match(&f, &d));
	memset(f.keys[0].b, 0xab, 16);
	f.n_keys = 1;
	ck_assert(filter_match(&f, &d));
}
END_TEST

static const char *const bad_filters[] = {
	"",          "code",     "=ok",        "code=",
	"code=OK",   "reason=x", "door=back",  "status=abc",
	"status=-1", "client=x", "colour=red", "user=codexible_x",
};

START_TEST(unknown_filters_are_refused)
{
	struct filter f = { 0 };

	ck_assert_int_eq(filter_add(&f, tl_str_c(bad_filters[_i]), &err),
			 TL_INVALID);
}
END_TEST

/* ---- what people write ---- */

START_TEST(lists_are_cut_and_checked)
{
	struct tl_str *items;
	uint32_t n;

	ck_assert_int_eq(
		key_input_scopes(TL_STR(" a , b:c "), &arena, &items, &n, &err),
		TL_OK);
	ck_assert_uint_eq(n, 2);
	ck_assert(tl_str_eq(items[1], TL_STR("b:c")));
	ck_assert_int_eq(key_input_networks(TL_STR("10.0.0.0/8,::1"), &arena,
					    &items, &n, &err),
			 TL_OK);
	ck_assert_uint_eq(n, 2);

	ck_assert_int_eq(key_input_scopes(TL_STR(""), &arena, &items, &n, &err),
			 TL_INVALID);
	ck_assert_int_eq(
		key_input_scopes(TL_STR("a,,b"), &arena, &items, &n, &err),
		TL_INVALID);
	ck_assert_int_eq(
		key_input_scopes(TL_STR("a b"), &arena, &items, &n, &err),
		TL_INVALID);
	ck_assert_int_eq(key_input_networks(TL_STR("10.0.0.0/33"), &arena,
					    &items, &n, &err),
			 TL_INVALID);
}
END_TEST

START_TEST(thirty_two_scopes_and_no_more)
{
	struct tl_str *items;
	uint32_t n;

	for (int i = 0; i < 31; i++)
		tl_buf_adds(&out, "s,");
	tl_buf_adds(&out, "s");
	ck_assert_int_eq(
		key_input_scopes(tl_buf_str(&out), &arena, &items, &n, &err),
		TL_OK);
	ck_assert_uint_eq(n, 32);
	tl_buf_adds(&out, ",s");
	ck_assert_int_eq(
		key_input_scopes(tl_buf_str(&out), &arena, &items, &n, &err),
		TL_INVALID);
}
END_TEST

START_TEST(times_lie_ahead)
{
	int64_t us = 0;

	ck_assert_int_eq(key_input_expires(TL_STR("1970-01-02"), 0, &us, &err),
			 TL_OK);
	ck_assert_int_eq(us, 86400000000);
	ck_assert_int_eq(
		key_input_expires(TL_STR("1970-01-01T00:00:01Z"), 0, &us, &err),
		TL_OK);
	ck_assert_int_eq(us, 1000000);
	ck_assert_int_eq(
		key_input_expires(TL_STR("1970-01-02"), 86400000000, &us, &err),
		TL_INVALID);
	ck_assert_int_eq(key_input_expires(TL_STR("soon"), 0, &us, &err),
			 TL_INVALID);
}
END_TEST

START_TEST(texts_have_their_rules)
{
	struct tl_str label = { NULL, 0 };

	ck_assert_int_eq(key_input_label(TL_STR("  CI  "), &label, &err),
			 TL_OK);
	ck_assert(tl_str_eq(label, TL_STR("CI")));
	ck_assert_int_eq(key_input_label(TL_STR("   "), &label, &err),
			 TL_INVALID);
	ck_assert_int_eq(key_input_label(TL_STR("a\tb"), &label, &err),
			 TL_INVALID);
	ck_assert_int_eq(tally_email_check(TL_STR("a@b"), &err), TL_OK);
	ck_assert_int_eq(tally_email_check(TL_STR("@b"), &err), TL_INVALID);
	ck_assert_int_eq(tally_email_check(TL_STR("a@"), &err), TL_INVALID);
	ck_assert_int_eq(tally_email_check(TL_STR("a b@c"), &err), TL_INVALID);
	ck_assert_int_eq(tally_email_check(TL_STR(""), &err), TL_INVALID);
	ck_assert_int_eq(tally_text_check("a name", TL_STR("\x01"), 255,
					  &err),
			 TL_INVALID);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tallyctl_words");
	TCase *tc = tcase_create("words");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, who_was_let_in_sees_what_it_cost);
	tcase_add_test(tc, a_refusal_tells_when_it_passes);
	tcase_add_test(tc, no_reason_is_without_words);
	tcase_add_test(tc, the_document_holds_the_record);
	tcase_add_test(tc, names_that_fill_their_field_are_whole);
	tcase_add_loop_test(tc, filters_choose, 0,
			    (int)(sizeof(filters) / sizeof(filters[0])));
	tcase_add_test(tc, several_filters_must_all_match);
	tcase_add_test(tc, a_shown_prefix_needs_its_ids);
	tcase_add_loop_test(
		tc, unknown_filters_are_refused, 0,
		(int)(sizeof(bad_filters) / sizeof(bad_filters[0])));
	tcase_add_test(tc, lists_are_cut_and_checked);
	tcase_add_test(tc, thirty_two_scopes_and_no_more);
	tcase_add_test(tc, times_lie_ahead);
	tcase_add_test(tc, texts_have_their_rules);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
