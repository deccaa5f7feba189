/* SipHash-1-3 and CRC32C against published values and slow references. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

START_TEST(crc32c_matches_rfc3720)
{
	uint8_t up[32], same[32];

	for (size_t i = 0; i < sizeof(up); i++)
		up[i] = (uint8_t)i;
	ck_assert_uint_eq(tl_crc32c(0, up, 32), 0x46dd794e);
	memset(same, 0, sizeof(same));
	ck_assert_uint_eq(tl_crc32c(0, same, 32), 0x8a9136aa);
	memset(same, 0xff, sizeof(same));
	ck_assert_uint_eq(tl_crc32c(0, same, 32), 0x62a8ab43);
	ck_assert_uint_eq(tl_crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(tl_crc32c_portable(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(tl_crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(crc32c_goes_on_where_it_stopped)
{
	uint8_t data[100];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		uint32_t whole = tl_crc32c_portable(0, data, sizeof(data));
		uint32_t front = tl_crc32c(0, data, cut);

		ck_assert_uint_eq(front, tl_crc32c_portable(0, data, cut));
		ck_assert_uint_eq(
			tl_crc32c(front, data + cut, sizeof(data) - cut),
			whole);
	}
}
END_TEST

/*
 * The authors publish vectors for 2-4 rounds only.  These come from a second
 * implementation that gives the published ones when told 2-4; the first three
 * are in the tests of Rust's library too.  Key 00..0f, input 00, 00 01, ...
 */
START_TEST(siphash13_matches_known_values)
{
	uint8_t seed[16], in[16];
	static const struct {
		size_t len;
		uint64_t hash;
	} t[] = {
		{ 0, 0xabac0158050fc4dcULL }, { 1, 0xc9f49bf37d57ca93ULL },
		{ 2, 0x82cb9b024dc7d44dULL }, { 7, 0xd3927d989bb11140ULL },
		{ 8, 0x369095118d299a8eULL }, { 15, 0xd320d86d2a519956ULL },
	};

	for (size_t i = 0; i < 16; i++)
		seed[i] = in[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_uint_eq(tl_siphash13(seed, in, t[i].len), t[i].hash);
	seed[15] ^= 1;
	ck_assert_uint_ne(tl_siphash13(seed, in, 0), t[0].hash);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/hash");
	TCase *tc = tcase_create("hash");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, crc32c_matches_rfc3720);
	tcase_add_test(tc, crc32c_goes_on_where_it_stopped);
	tcase_add_test(tc, siphash13_matches_known_values);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
