/* Files of tzdata, against the C library; and bytes that are none. */
#include "config.h" /* TALLY_SANITIZERS */

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tally/zone.h"

#define ZONES "/usr/share/zoneinfo"
#ifdef TALLY_SANITIZERS /* the same code, six times slower */
#define STEP_DAYS 35
#else
#define STEP_DAYS 5
#endif
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static enum tl_status load(const char *name, char **data_r, size_t *len_r,
			   struct tally_zone **z_r, struct tl_err *err)
{
	char *path = tl_asprintf(ZONES "/%s", name);
	enum tl_status st =
		tl_file_read(path, TALLY_ZONE_FILE_MAX, data_r, len_r, err);

	ck_assert_msg(st == TL_OK, "%s", path);
	tl_free(path);
	return tally_zone_parse(*data_r, *len_r, z_r, err);
}

/* ---- offsets ---- */

static const char *const names[] = {
	"UTC",
	"Europe/Berlin",
	"Europe/Dublin",
	"Europe/London",
	"Europe/Moscow",
	"America/New_York",
	"America/Sao_Paulo",
	"America/St_Johns",
	"America/Nuuk",
	"Asia/Tehran",
	"Asia/Kathmandu",
	"Asia/Gaza",
	"Africa/Casablanca",
	"Africa/Cairo",
	"Africa/Monrovia",
	"Australia/Lord_Howe",
	"Pacific/Apia",
	"Pacific/Chatham",
	"Pacific/Kiritimati",
	"Antarctica/Troll",
	"Etc/GMT+12",
};

START_TEST(agrees_with_the_c_library)
{
	const int64_t first = -2208988800,
		      step = STEP_DAYS * 86400 + 7 * 3600 + 13 * 60;
	struct tally_zone *z = NULL;
	struct tl_err err;
	char *data;
	size_t len;

	ck_assert_int_eq(load(names[_i], &data, &len, &z, &err), TL_OK);
	setenv("TZ", names[_i], 1);
	tzset();

	for (int64_t t = first; t < first + 300LL * 366 * 86400; t += step) {
		time_t moment = (time_t)t;
		int64_t until;
		struct tm tm;

		localtime_r(&moment, &tm);
		ck_assert_msg(tally_zone_offset(z, t, &until) == tm.tm_gmtoff,
			      "%s at %" PRId64, names[_i], t);
		ck_assert(until > t);
		if (until == INT64_MAX)
			continue;
		moment = (time_t)until - 1;
		localtime_r(&moment, &tm);
		ck_assert_msg(tally_zone_offset(z, t, &until) == tm.tm_gmtoff,
			      "%s ends too late at %" PRId64, names[_i], t);
	}
	tally_zone_free(&z);
	tl_free(data);
}
END_TEST

/* ---- what is no zone ---- */

START_TEST(any_cut_or_flip_is_refused_or_read)
{
	struct tally_zone *z = NULL;
	struct tl_err err;
	int64_t until;
	size_t len;
	char *data, *copy;

	ck_assert_int_eq(load("Europe/Berlin", &data, &len, &z, &err), TL_OK);
	tally_zone_free(&z);
	for (size_t cut = 0; cut < len; cut++) {
		copy = tl_memdup(data, cut + 1); /* so that ASan sees the end */
		ck_assert_int_ne(tally_zone_parse(copy, cut, &z, &err), TL_OK);
		tl_free(copy);
	}
	for (size_t i = 0; i < len; i++) {
		copy = tl_memdup(data, len);
		copy[i] = (char)~copy[i];
		if (tally_zone_parse(copy, len, &z, &err) == TL_OK) {
			(void)tally_zone_offset(z, 1700000000, &until);
			(void)tally_zone_offset(z, 4000000000, &until);
			tally_zone_free(&z);
		}
		tl_free(copy);
	}
	tl_free(data);
}
END_TEST

START_TEST(leap_seconds_and_old_files_are_refused)
{
	struct tally_zone *z = NULL;
	struct tl_err err;
	size_t len;
	char *data;

	ck_assert_int_eq(load("Europe/Berlin", &data, &len, &z, &err), TL_OK);
	tally_zone_free(&z);
	data[4] = '\0';
	ck_assert_int_eq(tally_zone_parse(data, len, &z, &err), TL_VERSION);
	tl_free(data);
	if (access(ZONES "/right/Europe/Berlin", R_OK) != 0)
		return;
	ck_assert_int_eq(load("right/Europe/Berlin", &data, &len, &z, &err),
			 TL_VERSION);
	ck_assert_str_eq(err.text, "it counts leap seconds; take the zone "
				   "without 'right/'");
	tl_free(data);
}
END_TEST

static const struct {
	const char *name;
	bool good;
} words[] = {
	{ "UTC", true },
	{ "Europe/Berlin", true },
	{ "Etc/GMT+5", true },
	{ "America/Port-au-Prince", true },
	{ "", false },
	{ "/etc/passwd", false },
	{ "../../etc/passwd", false },
	{ "Europe//Berlin", false },
	{ "Europe/", false },
	{ "Europe/.", false },
	{ "Europe/Ber lin", false },
	{ "Europe\nBerlin", false },
};

START_TEST(names_name_zones_only)
{
	struct tl_err err;

	ck_assert_int_eq(
		tally_zone_name_check(tl_str_c(words[_i].name), &err) == TL_OK,
		words[_i].good);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tally_zone");
	TCase *tc = tcase_create("zones");
	SRunner *r;
	int failed;

	if (access(ZONES "/Europe/Berlin", R_OK) != 0) {
		puts("SKIP: no tzdata in " ZONES);
		return 77;
	}
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, agrees_with_the_c_library, 0, COUNT(names));
	tcase_add_test(tc, any_cut_or_flip_is_refused_or_read);
	tcase_add_test(tc, leap_seconds_and_old_files_are_refused);
	tcase_add_loop_test(tc, names_name_zones_only, 0, COUNT(words));
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
