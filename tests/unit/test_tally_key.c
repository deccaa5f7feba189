/* The text of keys, their digest, and what tokens cost. */
#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tally/cost.h"
#include "tally/key.h"

START_TEST(key_text_is_bounded)
{
	char text[140];

	memset(text, 'k', sizeof(text));
	ck_assert(!tally_key_well_formed((struct tl_str){ text, 11 }));
	ck_assert(tally_key_well_formed((struct tl_str){ text, 12 }));
	ck_assert(tally_key_well_formed((struct tl_str){ text, 128 }));
	ck_assert(!tally_key_well_formed((struct tl_str){ text, 129 }));
	ck_assert(!tally_key_well_formed(tl_str_c(NULL)));
	for (int c = 0; c < 256; c++) {
		bool allowed = (c >= '0' && c <= '9') ||
			       (c >= 'A' && c <= 'Z') ||
			       (c >= 'a' && c <= 'z') || c == '.' || c == '_' ||
			       c == '~' || c == '+' || c == '/' || c == '=' ||
			       c == '-';

		text[5] = (char)c;
		ck_assert_msg(tally_key_well_formed(
				      (struct tl_str){ text, 20 }) == allowed,
			      "character %d", c);
	}
}
END_TEST

/* metering.md 2.6 */
static const struct {
	const char *key, *hex;
} digests[] = {
	{ "codexible_demo_pro_2026",
	  "ed349398756ede88d21aab27821a5c0b98ac4057f0ce34b1c2ccfb74b1bd858f" },
	{ "codexible_demo_business_2026",
	  "8866f48cb87eb6f27f83046cf6dc5f4ded50ef062fc51c57986c5766467fc067" },
	{ "codexible_demo_starter_2026",
	  "12871ac7f15eed707b2ed3c22a3c14bb9e37405b2c495ec32cf5c08e78e7b6e7" },
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
	      "5" },
};

static void check_digests(void)
{
	struct tally_digest d;
	char hex[65];

	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		tally_key_digest(tl_str_c(digests[i].key), &d);
		tl_hex(d.b, sizeof(d.b), hex);
		ck_assert_str_eq(hex, digests[i].hex);
	}
}

START_TEST(digests_are_sha256_again_and_again_and_after_fork)
{
	int status;
	pid_t pid;

	check_digests();
	check_digests();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct tally_digest d;
		char hex[65];

		tally_key_digest(tl_str_c(digests[0].key), &d);
		tl_hex(d.b, sizeof(d.b), hex);
		_exit(strcmp(hex, digests[0].hex) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_digests();
}
END_TEST

START_TEST(made_keys_have_the_form)
{
	static const uint8_t random[16] = { 0x00, 0xff, 0x10 };
	char key[TALLY_KEY_TEXT_MAX + 1];

	tally_key_make("codexible", random, key);
	ck_assert_str_eq(key, "codexible_00ff1000000000000000000000000000");
	ck_assert_uint_eq(strlen(key), 42);
	ck_assert(tally_key_well_formed(tl_str_c(key)));
}
END_TEST

static const struct {
	const char *header, *key; /* NULL: none */
} bearers[] = {
	{ "Bearer abc", "abc" },
	{ "bEARER \t abc \t", "abc" },
	{ "  Bearer abc", "abc" },
	{ "Bearer a b", "a b" }, /* the form is checked by well_formed */
	{ "Bearer", NULL },
	{ "Bearer ", NULL },
	{ "Bearerabc", NULL },
	{ "Basic abc", NULL },
	{ "abc", NULL },
	{ "", NULL },
	{ NULL, NULL },
};

START_TEST(bearer_is_cut_out)
{
	struct tl_str key;
	bool ok = tally_key_from_bearer(tl_str_c(bearers[_i].header), &key);

	ck_assert(ok == (bearers[_i].key != NULL));
	if (ok)
		ck_assert(tl_str_eq(key, tl_str_c(bearers[_i].key)));
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	uint64_t nano;
} usd[] = {
	{ "0.03", true, 30000000 },
	{ "0", true, 0 },
	{ "1000", true, 1000000000000 },
	{ "1000.000000000", true, 1000000000000 },
	{ "0.000000001", true, 1 },
	{ "12.5", true, 12500000000 },
	{ "0.0000000001", false, 0 },
	{ "1000.1", false, 0 },
	{ "1001", false, 0 },
	{ ".5", false, 0 },
	{ "5.", false, 0 },
	{ "", false, 0 },
	{ "-1", false, 0 },
	{ "1e3", false, 0 },
	{ "1.2.3", false, 0 },
	{ "0,03", false, 0 },
};

START_TEST(rates_are_read_exactly)
{
	uint64_t nano = 99;

	ck_assert_msg(tally_cost_parse_usd(tl_str_c(usd[_i].text), &nano) ==
			      usd[_i].ok,
		      "'%s'", usd[_i].text);
	ck_assert_uint_eq(nano, usd[_i].ok ? usd[_i].nano : 99);
}
END_TEST

static const struct {
	const char *model;
	uint32_t prompt, completion;
	uint64_t micro;
	const char *text;
} costs[] = {
	{ "unknown", 1500, 500, 75000, "0.075" }, /* metering.md 5.3 */
	{ "unknown", 0, 0, 0, "0" },
	{ "unknown", 1, 0, 30, "0.00003" },
	{ "unknown", 1000000, 0, 30000000, "30" },
	{ "tiny", 499, 0, 0, "0" },          /* 0.499 micro-USD */
	{ "tiny", 500, 0, 1, "0.000001" },   /* half goes up */
	{ "tiny", 250, 250, 1, "0.000001" }, /* the sum is rounded, not each */
	{ "Tiny", 1000, 0, 30000, "0.03" },  /* exact name match */
	{ "huge", UINT32_MAX, UINT32_MAX, 8589934590000000, "8589934590" },
	{ "unknown", 2147483647, 2147483647, 193273528230, "193273.52823" },
};

START_TEST(cost_is_rounded_half_up_and_never_wraps)
{
	char tiny[] = "tiny", huge[] = "huge";
	struct tally_cost_model models[] = {
		{ tiny, { 1000, 1000 } },
		{ huge, { 1000000000000, 1000000000000 } },
	};
	struct tally_cost_table t = { { 30000000, 60000000 }, models, 2 };
	uint64_t micro =
		tally_cost_micro_usd(&t, tl_str_c(costs[_i].model),
				     costs[_i].prompt, costs[_i].completion);
	char text[32];

	ck_assert_uint_eq(micro, costs[_i].micro);
	ck_assert_uint_eq(tally_cost_format_usd(micro, text), strlen(text));
	ck_assert_str_eq(text, costs[_i].text);
}
END_TEST

START_TEST(table_gives_its_memory_back)
{
	struct tally_cost_table t = { { 0, 0 }, NULL, 0 };

	t.models = tl_alloc_array(1, sizeof(*t.models));
	t.models[0].name = tl_strdup("m");
	t.n_models = 1;
	tally_cost_table_deinit(&t);
	ck_assert_ptr_null(t.models);
	ck_assert_uint_eq(t.n_models, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tally/key");
	TCase *tc = tcase_create("key");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, key_text_is_bounded);
	tcase_add_test(tc, digests_are_sha256_again_and_again_and_after_fork);
	tcase_add_test(tc, made_keys_have_the_form);
	tcase_add_loop_test(tc, bearer_is_cut_out, 0,
			    sizeof(bearers) / sizeof(bearers[0]));
	tcase_add_loop_test(tc, rates_are_read_exactly, 0,
			    sizeof(usd) / sizeof(usd[0]));
	tcase_add_loop_test(tc, cost_is_rounded_half_up_and_never_wraps, 0,
			    sizeof(costs) / sizeof(costs[0]));
	tcase_add_test(tc, table_gives_its_memory_back);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
