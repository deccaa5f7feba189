/* Expressions, and when they fire; zones are the system's. */
#include "config.h" /* TALLY_SANITIZERS */

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tally/cron.h"
#include "tally/zone.h"

#define ZONES "/usr/share/zoneinfo"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct tally_zone *zone_of(const char *name)
{
	struct tally_zone *z = NULL;
	struct tl_err err;
	char *path, *data;
	size_t len;

	if (strcmp(name, "UTC") == 0)
		return tally_zone_utc_new();
	path = tl_asprintf(ZONES "/%s", name);
	ck_assert_msg(tl_file_read(path, TALLY_ZONE_FILE_MAX, &data, &len,
				   &err) == TL_OK,
		      "%s: %s", name, err.text);
	ck_assert_msg(tally_zone_parse(data, len, &z, &err) == TL_OK, "%s: %s",
		      name, err.text);
	tl_free(data);
	tl_free(path);
	return z;
}

static int64_t moment(const char *text)
{
	int64_t us;

	ck_assert_msg(tl_rfc3339_parse(tl_str_c(text), &us), "%s", text);
	return us / 1000000;
}

static struct tally_cron parsed(const char *text)
{
	struct tally_cron c;
	struct tl_err err;

	ck_assert_msg(tally_cron_parse(tl_str_c(text), &c, &err) == TL_OK,
		      "'%s': %s", text, err.text);
	return c;
}

/* ---- forms ---- */

static const struct {
	const char *text, *zone, *after;
	const char *next[4]; /* up to NULL */
} good[] = {
	{ "* * * * *", "UTC", "2026-03-01T12:34:56Z",
	  { "2026-03-01T12:35:00Z", "2026-03-01T12:36:00Z" } },
	{ "* * * * *", "UTC", "2026-03-01T12:35:00Z",
	  { "2026-03-01T12:36:00Z" } },
	{ "  5   4 * *   * ", "UTC", "2026-03-01T12:34:56Z",
	  { "2026-03-02T04:05:00Z", "2026-03-03T04:05:00Z" } },
	{ "*/15 * * * *", "UTC", "2026-03-01T12:34:56Z",
	  { "2026-03-01T12:45:00Z", "2026-03-01T13:00:00Z",
	    "2026-03-01T13:15:00Z" } },
	{ "10-20/5 9-10 * * *", "UTC", "2026-03-01T09:16:00Z",
	  { "2026-03-01T09:20:00Z", "2026-03-01T10:10:00Z",
	    "2026-03-01T10:15:00Z", "2026-03-01T10:20:00Z" } },
	{ "0,30,45-46 0 * * *", "UTC", "2026-03-01T00:00:00Z",
	  { "2026-03-01T00:30:00Z", "2026-03-01T00:45:00Z",
	    "2026-03-01T00:46:00Z", "2026-03-02T00:00:00Z" } },
	{ "0 0 * jan,JUL *", "UTC", "2026-07-31T00:00:00Z",
	  { "2027-01-01T00:00:00Z" } },
	{ "0 0 1 feb-apr *", "UTC", "2026-02-28T00:00:00Z",
	  { "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z",
	    "2027-02-01T00:00:00Z" } },
	{ "0 12 * * mon-fri", "UTC", "2026-03-06T12:00:00Z", /* a Friday */
	  { "2026-03-09T12:00:00Z", "2026-03-10T12:00:00Z" } },
	{ "0 12 * * 0", "UTC", "2026-03-01T12:00:00Z",
	  { "2026-03-08T12:00:00Z" } },
	{ "0 12 * * 7", "UTC", "2026-03-01T12:00:00Z",
	  { "2026-03-08T12:00:00Z" } },
	{ "0 12 * * fri-sun", "UTC", "2026-03-05T12:00:00Z",
	  { "2026-03-06T12:00:00Z", "2026-03-07T12:00:00Z",
	    "2026-03-08T12:00:00Z", "2026-03-13T12:00:00Z" } },
	{ "0 12 * * */2", "UTC", "2026-03-01T11:00:00Z", /* from Sunday on */
	  { "2026-03-01T12:00:00Z", "2026-03-03T12:00:00Z",
	    "2026-03-05T12:00:00Z", "2026-03-07T12:00:00Z" } },
	/* two days: one that fits is enough ... */
	{ "0 0 13 * fri", "UTC", "2026-03-01T00:00:00Z",
	  { "2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z",
	    "2026-03-20T00:00:00Z" } },
	{ "0 0 1,15 * wed", "UTC", "2026-07-01T00:00:00Z",
	  { "2026-07-08T00:00:00Z", "2026-07-15T00:00:00Z",
	    "2026-07-22T00:00:00Z", "2026-07-29T00:00:00Z" } },
	/* ... but a star with a step restricts nothing, so both must */
	{ "0 0 */2 * fri", "UTC", "2026-03-01T00:00:00Z",
	  { "2026-03-13T00:00:00Z", "2026-03-27T00:00:00Z" } },
	{ "0 0 31 * *", "UTC", "2026-03-31T00:00:00Z",
	  { "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z" } },
	{ "59 23 31 12 *", "UTC", "2026-03-31T00:00:00Z",
	  { "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z" } },
	{ "0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z",
	  { "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z" } },
	{ "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z",
	  { "2104-02-29T00:00:00Z" } },
	{ "0 0 29 2 */7", "UTC", "2088-03-01T00:00:00Z", /* on a Sunday */
	  { "2128-02-29T00:00:00Z" } },
	{ "@hourly", "UTC", "2026-12-31T23:00:00Z",
	  { "2027-01-01T00:00:00Z" } },
	{ "@daily", "UTC", "2026-12-31T23:00:00Z",
	  { "2027-01-01T00:00:00Z" } },
	{ "@midnight", "UTC", "2026-12-31T00:00:00Z",
	  { "2027-01-01T00:00:00Z" } },
	{ "@weekly", "UTC", "2026-12-31T00:00:00Z",
	  { "2027-01-03T00:00:00Z" } },
	{ "@Monthly", "UTC", "2026-12-31T00:00:00Z",
	  { "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z" } },
	{ "@yearly", "UTC", "2026-12-31T00:00:00Z",
	  { "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z" } },
	{ "@annually", "UTC", "2027-01-01T00:00:00Z",
	  { "2028-01-01T00:00:00Z" } },
	{ "0 0 1 1 *", "UTC", "1969-06-01T00:00:00Z",
	  { "1970-01-01T00:00:00Z" } },

	/* Berlin, 29 March 2026: from 02:00 to 03:00 in one step */
	{ "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
	  { "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z",
	    "2026-03-30T00:30:00Z" } },
	{ "*/20 1-3 29 3 *", "Europe/Berlin", "2026-03-29T00:40:00Z",
	  { "2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z" } },
	{ "0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
	  { "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z" } },
	{ "* * * * *", "Europe/Berlin", "2026-03-29T00:59:00Z",
	  { "2026-03-29T01:00:00Z", "2026-03-29T01:01:00Z" } },
	/* 25 October 2026: from 03:00 back to 02:00 */
	{ "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
	  { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" } },
	{ "30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z",
	  { "2026-10-26T01:30:00Z" } }, /* within the second 02:xx */
	{ "*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
	  { "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z",
	    "2026-10-25T02:30:00Z" } },
	{ "0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
	  { "2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z" } },
	/* long after the table of the file ends */
	{ "30 2 * 3 sun", "Europe/Berlin", "2085-03-24T12:00:00Z",
	  { "2085-03-25T01:00:00Z", "2086-03-03T01:30:00Z" } },
	/* New York, 8 March and 1 November 2026 */
	{ "15 2 * * *", "America/New_York", "2026-03-07T12:00:00Z",
	  { "2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z" } },
	{ "15 1 * * *", "America/New_York", "2026-10-31T12:00:00Z",
	  { "2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z" } },
	/* Lord Howe: half an hour, 4 October and 5 April 2026 */
	{ "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
	  { "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z" } },
	{ "45 1 * * *", "Australia/Lord_Howe", "2026-04-03T15:00:00Z",
	  { "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z" } },
	/* half hours and a quarter from UTC */
	{ "0 9 * * *", "Asia/Kathmandu", "2026-03-01T00:00:00Z",
	  { "2026-03-01T03:15:00Z" } },
	/* Apia had no 30 December 2011 at all */
	{ "0 10 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00Z",
	  { "2011-12-30T10:00:00Z", "2012-12-29T20:00:00Z" } },
	/* Dublin's winter is its daylight saving, below zero */
	{ "30 1 * * *", "Europe/Dublin", "2040-03-24T12:00:00Z",
	  { "2040-03-25T01:00:00Z", "2040-03-26T00:30:00Z" } },
	/* from the name of a country that gave it up */
	{ "30 2 27 3 *", "Europe/Moscow", "2026-01-01T00:00:00Z",
	  { "2026-03-26T23:30:00Z" } },
};

START_TEST(fires_when_it_says)
{
	struct tally_zone *z = zone_of(good[_i].zone);
	struct tally_cron c = parsed(good[_i].text);
	int64_t t = moment(good[_i].after);
	char got[TL_RFC3339_TEXT];

	for (size_t i = 0; i < 4 && good[_i].next[i] != NULL; i++) {
		t = tally_cron_next(&c, z, t);
		tl_rfc3339_format(t * 1000000, got);
		ck_assert_msg(strcmp(got, good[_i].next[i]) == 0,
			      "'%s' in %s after %s, number %zu: %s, not %s",
			      good[_i].text, good[_i].zone, good[_i].after, i,
			      got, good[_i].next[i]);
	}
	tally_zone_free(&z);
}
END_TEST

static const struct {
	const char *text, *words;
} bad[] = {
	{ "", "five fields are needed: minute, hour, day of month, month, day "
	      "of week; there are 0" },
	{ "*", "five fields are needed: minute, hour, day of month, month, day "
	       "of week; there is 1" },
	{ "* * * *", "five fields are needed: minute, hour, day of month, "
		     "month, day of week; there are 4" },
	{ "0 * * * * *", "five fields are needed: minute, hour, day of month, "
			 "month, day of week; there are more than 5" },
	{ "60 * * * *", "minute: 60 is not 0 to 59" },
	{ "* 24 * * *", "hour: 24 is not 0 to 23" },
	{ "* * 0 * *", "day of month: 0 is not 1 to 31" },
	{ "* * 32 * *", "day of month: 32 is not 1 to 31" },
	{ "* * * 13 *", "month: 13 is not 1 to 12" },
	{ "* * * 0 *", "month: 0 is not 1 to 12" },
	{ "* * * * 8", "day of week: 8 is not 0 to 7" },
	{ "x * * * *", "minute: 'x' is not a number" },
	{ "-1 * * * *", "minute: a number is missing; give 0 to 59" },
	{ "1- * * * *", "minute: a number is missing; give 0 to 59" },
	{ "+1 * * * *", "minute: '+1' is not a number" },
	{ "* 1.5 * * *", "hour: '1.5' is not a number" },
	{ "* * ? * *", "day of month: '?' is not a number" },
	{ "* * L * *", "day of month: 'L' is not a number" },
	{ "* * * march *", "month: 'march' is neither a number nor a name such "
			   "as jan" },
	{ "* * * * mon#2", "day of week: 'mon#2' is neither a number nor a "
			   "name such as mon" },
	{ "* * * mon *", "month: 'mon' is neither a number nor a name such as "
			 "jan" },
	{ "* 22-2 * * *", "hour: 22-2 runs backwards; give two ranges" },
	{ "* * * * fri-mon", "day of week: fri-mon runs backwards; give two "
			     "ranges" },
	{ "1-2-3 * * * *", "minute: '2-3' is not a number" },
	{ "*/0 * * * *", "minute: '0' is no step; give 1 to 59" },
	{ "*/60 * * * *", "minute: '60' is no step; give 1 to 59" },
	{ "*/ * * * *", "minute: '' is no step; give 1 to 59" },
	{ "*/x * * * *", "minute: 'x' is no step; give 1 to 59" },
	{ "*/5/5 * * * *", "minute: '5/5' is no step; give 1 to 59" },
	{ "/5 * * * *", "minute: a number is missing; give 0 to 59" },
	{ "5/15 * * * *", "minute: a step needs a range; write 5-59/15" },
	{ "** * * * *", "minute: '**' is not a number" },
	{ "1,,2 * * * *", "minute: there is nothing between two commas" },
	{ ",1 * * * *", "minute: there is nothing between two commas" },
	{ "1, * * * *", "minute: there is nothing between two commas" },
	{ "* , * * *", "hour: there is nothing between two commas" },
	{ "99999999999999999999 * * * *",
	  "minute: '99999999999999999999' is not a number" },
	{ "@reboot", "'@reboot' is not known; give @hourly, @daily, @weekly, "
		     "@monthly or @yearly" },
	{ "@", "'@' is not known; give @hourly, @daily, @weekly, @monthly or "
	       "@yearly" },
	{ "0 0 30 2 *", "day of month: no month that is named has such a day, "
			"so it would never come" },
	{ "0 0 31 feb,apr,jun,sep,nov *",
	  "day of month: no month that is named has such a day, so it would "
	  "never come" },
	{ "*\t* * * *", "an expression has no control characters" },
};

START_TEST(refuses_with_words)
{
	struct tally_cron c;
	struct tl_err err;

	ck_assert_int_eq(tally_cron_parse(tl_str_c(bad[_i].text), &c, &err),
			 TL_INVALID);
	ck_assert_str_eq(err.text, bad[_i].words);
}
END_TEST

START_TEST(refuses_what_is_long)
{
	char text[TALLY_CRON_TEXT_MAX + 2];
	struct tally_cron c;
	struct tl_err err;

	memset(text, '*', sizeof(text));
	ck_assert_int_eq(tally_cron_parse((struct tl_str){ text, sizeof(text) },
					  &c, &err),
			 TL_INVALID);
	ck_assert_str_eq(err.text,
			 "an expression has at most 200 characters");
}
END_TEST

/* ---- against a walk, minute by minute, with the clock of the C library ---- */

static uint64_t seed = 88172645463325252ULL;
static uint32_t any(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* The local clock of TZ as if it were UTC. */
static int64_t local_of(int64_t t)
{
	time_t moment_ = (time_t)t;
	struct tm tm;

	ck_assert_ptr_nonnull(localtime_r(&moment_, &tm));
	return t + tm.tm_gmtoff;
}

static bool fits(const struct tally_cron *c, int64_t local)
{
	time_t t = (time_t)local;
	struct tm tm;
	bool day, wday;

	gmtime_r(&t, &tm);
	day = (c->days >> tm.tm_mday & 1) != 0;
	wday = (c->weekdays >> tm.tm_wday & 1) != 0;
	if (c->any_day || c->any_weekday ? !(day && wday) : !(day || wday))
		return false;
	return (c->minutes >> tm.tm_min & 1) != 0 &&
	       (c->hours >> tm.tm_hour & 1) != 0 &&
	       (c->months >> (tm.tm_mon + 1) & 1) != 0;
}

static void random_field(struct tl_buf *b, unsigned min, unsigned max)
{
	unsigned from = min + any(max - min + 1);
	unsigned to = from + any(max - from + 1);

	switch (any(6)) {
	case 0:
		tl_buf_addf(b, "%u ", from);
		break;
	case 1:
		tl_buf_addf(b, "%u-%u ", from, to);
		break;
	case 2:
		tl_buf_addf(b, "*/%u ", 1 + any(max));
		break;
	case 3:
		tl_buf_addf(b, "%u,%u ", from, to);
		break;
	default:
		tl_buf_adds(b, "* ");
	}
}

/* Around changes of the clock; seconds of Unix time. */
static const struct {
	const char *zone, *around;
} walks[] = {
	{ "Europe/Berlin", "2026-03-29T01:00:00Z" },
	{ "Europe/Berlin", "2026-10-25T01:00:00Z" },
	{ "America/New_York", "2026-03-08T07:00:00Z" },
	{ "America/New_York", "2026-11-01T06:00:00Z" },
	{ "Australia/Lord_Howe", "2026-10-03T15:30:00Z" },
	{ "Australia/Lord_Howe", "2026-04-04T15:00:00Z" },
	{ "Pacific/Apia", "2011-12-30T10:00:00Z" },
	{ "America/Sao_Paulo", "2018-11-04T03:00:00Z" }, /* no midnight */
	{ "Asia/Tehran", "2022-03-21T20:30:00Z" },
	{ "Europe/Dublin", "2045-10-29T01:00:00Z" },
	{ "Africa/Casablanca", "2026-02-15T02:00:00Z" },
	{ "Antarctica/Troll", "2026-03-29T01:00:00Z" }, /* two hours */
	{ "America/New_York", "2090-03-12T07:00:00Z" },
	{ "UTC", "2028-02-29T00:00:00Z" },
	{ "UTC", "2026-12-31T23:00:00Z" },
};
#ifdef TALLY_SANITIZERS /* the same code, six times slower */
#define WALK_TRIES 2
#else
#define WALK_TRIES 12
#endif
#define WALK_DAYS 2

static void walk(const struct tally_zone *z, const char *text, int64_t from,
		 int64_t to)
{
	struct tally_cron c = parsed(text);
	int64_t reached = INT64_MIN, l, t;
	int64_t next = tally_cron_next(&c, z, from - 60);

	for (t = from - 3 * TL_DAY_S; t < from; t += 60)
		if ((l = local_of(t)) > reached)
			reached = l;
	for (; t < to; t += 60) {
		bool due = false;

		l = local_of(t);
		/* what the clock has come to, or leapt over, just now */
		for (int64_t m = reached + 60; m <= l; m += 60)
			due = due || fits(&c, m);
		if (l > reached)
			reached = l;
		ck_assert_msg(due == (next == t),
			      "'%s' at %" PRId64 ": due %d, next %" PRId64,
			      text, t, due, next);
		if (due)
			next = tally_cron_next(&c, z, t);
	}
}

START_TEST(agrees_with_a_walk)
{
	struct tally_zone *z = zone_of(walks[_i].zone);
	int64_t around = moment(walks[_i].around);
	struct tally_cron c;
	struct tl_buf b;

	setenv("TZ", walks[_i].zone, 1);
	tzset();
	seed += (uint64_t)_i * 7919;
	tl_buf_init(&b);
	for (int i = 0; i < WALK_TRIES; i++) {
		tl_buf_reset(&b);
		random_field(&b, 0, 59);
		random_field(&b, 0, any(2) == 0 ? 4 : 23);
		random_field(&b, 1, 31);
		tl_buf_adds(&b, "* ");
		random_field(&b, 0, 7);
		if (tally_cron_parse(tl_buf_str(&b), &c, NULL) == TL_OK)
			walk(z, b.ptr, around - WALK_DAYS * TL_DAY_S,
			     around + WALK_DAYS * TL_DAY_S);
	}
	tl_buf_deinit(&b);
	tally_zone_free(&z);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tally_cron");
	TCase *tc = tcase_create("forms");
	SRunner *r;
	int failed;

	if (access(ZONES "/Europe/Berlin", R_OK) != 0) {
		puts("SKIP: no tzdata in " ZONES);
		return 77;
	}
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, fires_when_it_says, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses_with_words, 0, COUNT(bad));
	tcase_add_test(tc, refuses_what_is_long);
	tcase_add_loop_test(tc, agrees_with_a_walk, 0, COUNT(walks));
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
