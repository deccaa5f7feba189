/* Standard Webhooks signatures: its published vector, and what goes wrong. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/signature.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* The values that the libraries of the specification are tested with. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID     "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY   "{\"test\": 2432232314}"
#define SIG    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER  "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
#define AT     1614265330

static struct signature_secret secret;
static struct signature_message msg;
static struct tl_err err;

static struct signature_secret parsed(const char *text)
{
	struct signature_secret s;

	ck_assert_msg(signature_secret_parse(tl_str_c(text), &s, &err) == TL_OK,
		      "%s", err.text);
	return s;
}

static void setup(void)
{
	secret = parsed(SECRET);
	msg = (struct signature_message){ .id = TL_STR(ID),
					  .timestamp = TL_STR("1614265330"),
					  .signature = TL_STR(SIG),
					  .body = TL_STR(BODY) };
}

static struct signature_verdict verify(int64_t now_s)
{
	return signature_verify(&msg, &secret, NULL, now_s,
				SIGNATURE_TOLERANCE_S);
}

START_TEST(published_vector_is_made)
{
	char text[SIGNATURE_TEXT];

	signature_make(&secret, TL_STR(ID), AT, TL_STR(BODY), text);
	ck_assert_str_eq(text, SIG);
	ck_assert_uint_eq(strlen(text) + 1, SIGNATURE_TEXT);
}
END_TEST

START_TEST(published_vector_is_verified)
{
	struct signature_verdict v = verify(AT);

	ck_assert_int_eq(v.fault, SIGNATURE_GOOD);
	ck_assert_uint_eq(v.codes, 1);
	ck_assert_str_eq(signature_hint_text(v.hint), "");
}
END_TEST

START_TEST(one_of_several_signatures_is_enough)
{
	msg.signature = TL_STR(OTHER " v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/"
				     "9tdO6mc= v1a,AAAA  " SIG " " OTHER);
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_GOOD);
	ck_assert_uint_eq(verify(AT).codes, 3);
	msg.signature = TL_STR(OTHER " " OTHER);
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_MISMATCH);
}
END_TEST

/* A secret that is being replaced: both sign, each receiver finds its own. */
START_TEST(rotation_satisfies_both_secrets)
{
	struct signature_secret fresh;
	char a[SIGNATURE_TEXT], b[SIGNATURE_TEXT], both[2 * SIGNATURE_TEXT];

	signature_secret_new(&fresh);
	signature_make(&fresh, TL_STR(ID), AT, TL_STR(BODY), a);
	signature_make(&secret, TL_STR(ID), AT, TL_STR(BODY), b);
	snprintf(both, sizeof(both), "%s %s", a, b);
	msg.signature = tl_str_c(both);

	ck_assert_int_eq(verify(AT).fault, SIGNATURE_GOOD);
	secret = fresh;
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_GOOD);
}
END_TEST

START_TEST(tolerance_is_five_minutes_both_ways)
{
	ck_assert_int_eq(verify(AT + 300).fault, SIGNATURE_GOOD);
	ck_assert_int_eq(verify(AT + 301).fault, SIGNATURE_TIMESTAMP_OLD);
	ck_assert_int_eq(verify(AT + 301).age_s, 301);
	ck_assert_int_eq(verify(AT - 300).fault, SIGNATURE_GOOD);
	ck_assert_int_eq(verify(AT - 301).fault, SIGNATURE_TIMESTAMP_NEW);
	ck_assert_int_eq(verify(AT - 301).age_s, -301);
	/* a wrong signature is told first, its age beside */
	msg.body = TL_STR("{}");
	ck_assert_int_eq(verify(AT + 301).fault, SIGNATURE_MISMATCH);
	ck_assert_int_eq(verify(AT + 301).age_s, 301);
}
END_TEST

START_TEST(missing_headers_are_named)
{
	struct signature_message whole = msg;

	msg.id = (struct tl_str){ NULL, 0 };
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_NO_ID);
	msg = whole;
	msg.timestamp.ptr = NULL;
	msg.timestamp.len = 0;
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_NO_TIMESTAMP);
	msg = whole;
	msg.signature.len = 0;
	ck_assert_int_eq(verify(AT).fault, SIGNATURE_NO_SIGNATURE);
	ck_assert_str_eq(signature_fault_text(SIGNATURE_NO_ID),
			 "the header webhook-id is missing");
}
END_TEST

static const struct {
	const char *timestamp, *signature;
	enum signature_fault fault;
} forms[] = {
	{ "hello", SIG, SIGNATURE_TIMESTAMP_FORM },
	{ "1614265330.5", SIG, SIGNATURE_TIMESTAMP_FORM },
	{ "-1", SIG, SIGNATURE_TIMESTAMP_FORM },
	{ "99999999999999", SIG, SIGNATURE_TIMESTAMP_FORM },
	{ "1614265330",
	  "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", SIGNATURE_FORM },
	{ "1614265330", "v1,g0hM9", SIGNATURE_FORM },
	{ "1614265330", "v1,", SIGNATURE_FORM },
	{ "1614265330", "v1,dawfeoifkpqwoekfpqoekf", SIGNATURE_FORM },
	{ "1614265330",
	  "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", SIGNATURE_FORM },
	{ "1614265331", SIG, SIGNATURE_MISMATCH },
};

START_TEST(form_of_headers_is_told)
{
	msg.timestamp = tl_str_c(forms[_i].timestamp);
	msg.signature = tl_str_c(forms[_i].signature);
	ck_assert_int_eq(verify(AT).fault, forms[_i].fault);
}
END_TEST

static const struct {
	const char *signed_body, *got_body;
	enum signature_hint hint;
} bodies[] = {
	{ BODY "\n", BODY, SIGNATURE_HINT_NEWLINE_LOST },
	{ BODY, BODY "\n", SIGNATURE_HINT_NEWLINE_ADDED },
	{ BODY, BODY "\r\n", SIGNATURE_HINT_NEWLINE_ADDED },
	{ "{\n}", "{\r\n}", SIGNATURE_HINT_CRLF },
	{ "", "\n", SIGNATURE_HINT_NEWLINE_ADDED },
	{ "\n", "", SIGNATURE_HINT_NEWLINE_LOST },
	{ BODY, "{\"test\":2432232314}", SIGNATURE_HINT_NONE },
};

START_TEST(changed_bodies_are_recognised)
{
	struct signature_verdict v;
	char text[SIGNATURE_TEXT];

	signature_make(&secret, TL_STR(ID), AT,
		       tl_str_c(bodies[_i].signed_body), text);
	msg.signature = tl_str_c(text);
	msg.body = tl_str_c(bodies[_i].got_body);
	v = verify(AT);
	ck_assert_int_eq(v.fault, SIGNATURE_MISMATCH);
	ck_assert_int_eq(v.hint, bodies[_i].hint);
}
END_TEST

START_TEST(the_other_secret_is_recognised)
{
	struct signature_secret fresh, third;
	struct signature_verdict v;

	signature_secret_new(&fresh);
	signature_secret_new(&third);
	v = signature_verify(&msg, &fresh, &secret, AT, 300);
	ck_assert_int_eq(v.fault, SIGNATURE_MISMATCH);
	ck_assert_int_eq(v.hint, SIGNATURE_HINT_OTHER_SECRET);
	v = signature_verify(&msg, &fresh, &third, AT, 300);
	ck_assert_int_eq(v.hint, SIGNATURE_HINT_NONE);
}
END_TEST

/* HMAC-SHA256 with the characters as the key, made with openssl(1). */
START_TEST(a_secret_taken_as_text_is_recognised)
{
	static const char *const sigs[] = {
		"v1,TcxlhK9b6UD6iVI1ZU2tTqp8PEVfYRseNNfa6b+LcUg=",
		"v1,ELhqG0Ku1gwOc1f4jyKdp3SFGFLAOdJ9bvpWLciCakI=",
	};

	msg.signature = tl_str_c(sigs[_i]);
	ck_assert_int_eq(verify(AT).hint, SIGNATURE_HINT_SECRET_AS_TEXT);
}
END_TEST

#define A16 "AAAAAAAAAAAAAAAA"
static const struct {
	const char *text;
	size_t len; /* 0: refused */
} secrets[] = {
	{ SECRET, 24 },
	{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 24 },
	{ "whsec_" A16 A16 "AAA=", 26 },
	{ "whsec_" A16 A16 "AA==", 25 },
	{ "whsec_" A16 A16 A16 A16 A16 "AAAAAA==", 64 },
	{ "whsec_" A16 A16 A16 A16 A16 "AAAAAAA=", 0 }, /* 65 bytes */
	{ "whsec_" A16 "AAAAAAAAAAAAAAA=", 0 },         /* 23 bytes */
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", 0 },
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_w", 0 }, /* base64url */
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0 },
	{ " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0 },
	{ "whsec_" A16 A16 "AAB=", 0 }, /* bits left over */
	{ "whsec_====", 0 },
	{ "whsec_", 0 },
	{ "", 0 },
};

START_TEST(form_of_secrets_is_strict)
{
	struct signature_secret s;
	enum tl_status st;

	st = signature_secret_parse(tl_str_c(secrets[_i].text), &s, &err);
	ck_assert_msg(st == (secrets[_i].len > 0 ? TL_OK : TL_INVALID), "'%s'",
		      secrets[_i].text);
	if (st == TL_OK)
		ck_assert_uint_eq(s.len, secrets[_i].len);
	else /* words go to logs and people */
		ck_assert_ptr_null(strstr(err.text, "AAAA"));
}
END_TEST

START_TEST(new_secrets_differ_and_read_back)
{
	struct signature_secret a, b, back;
	char text[SIGNATURE_SECRET_TEXT];

	signature_secret_new(&a);
	signature_secret_new(&b);
	ck_assert_mem_ne(a.key, b.key, SIGNATURE_KEY_NEW);
	signature_secret_format(&a, text);
	ck_assert_int_eq(strncmp(text, "whsec_", 6), 0);
	back = parsed(text);
	ck_assert_uint_eq(back.len, a.len);
	ck_assert_mem_eq(back.key, a.key, a.len);
	signature_secret_format(&secret, text);
	ck_assert_str_eq(text, SECRET);
	signature_secret_wipe(&a);
	ck_assert_uint_eq(a.len, 0);
}
END_TEST

START_TEST(ids_have_no_full_stop)
{
	ck_assert(signature_id_valid(TL_STR(ID)));
	ck_assert(signature_id_valid(
		TL_STR("1f81eb52-5198-4599-803e-771906343485")));
	ck_assert(!signature_id_valid(TL_STR("a.b")));
	ck_assert(!signature_id_valid(TL_STR("")));
	ck_assert(!signature_id_valid(TL_STR("a\nb")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/signature");
	TCase *tc = tcase_create("signature");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, published_vector_is_made);
	tcase_add_test(tc, published_vector_is_verified);
	tcase_add_test(tc, one_of_several_signatures_is_enough);
	tcase_add_test(tc, rotation_satisfies_both_secrets);
	tcase_add_test(tc, tolerance_is_five_minutes_both_ways);
	tcase_add_test(tc, missing_headers_are_named);
	tcase_add_loop_test(tc, form_of_headers_is_told, 0, COUNT(forms));
	tcase_add_loop_test(tc, changed_bodies_are_recognised, 0,
			    COUNT(bodies));
	tcase_add_test(tc, the_other_secret_is_recognised);
	tcase_add_loop_test(tc, a_secret_taken_as_text_is_recognised, 0, 2);
	tcase_add_loop_test(tc, form_of_secrets_is_strict, 0, COUNT(secrets));
	tcase_add_test(tc, new_secrets_differ_and_read_back);
	tcase_add_test(tc, ids_have_no_full_stop);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
