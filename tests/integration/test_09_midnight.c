/*
 * A day turns while charges run: no count moves, none vanishes, quotas start
 * anew.
 */
#include "lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "lib/faketime.h"
#include "lib/midnight.h"

#define SECONDS_BEFORE 10

START_TEST(midnight_moves_no_count_and_loses_none)
{
	char first[16], date[16] = "";
	int64_t old_day = 0, new_day = 0;
	unsigned tries = 0;

	prepare("limits.key_count=1000000", "limits.address_count=1000000");
	midnight_up(SECONDS_BEFORE);
	make_key("m", 1000000, "");
	ck_assert_int_eq(gate(KEY_STARTER, "cost=52"), 200);
	gate(KEY_STARTER, "");
	want_error(429, "quota_exceeded");
	ck_assert_int_le(header_num(&r, "Retry-After"), SECONDS_BEFORE + 1);

	do {
		client_call(c, "/api/usage/record", key_of("m"), "{}", NULL,
			    &r);
		want(200);
		snprintf(date, sizeof(date), "%s", json_str(&r, "usage.date"));
		if (old_day == 0)
			snprintf(first, sizeof(first), "%s", date);
		if (strcmp(date, first) == 0)
			old_day++;
		else
			new_day++;
		ck_assert_int_eq(json_num(&r, "usage.credits_used"),
				 new_day > 0 ? new_day : old_day);
		test_sleep_ms(2);
	} while (new_day < 50 && tries++ < 20000);

	ck_assert_int_eq(new_day, 50);
	ck_assert_int_eq(gate(KEY_STARTER, "cost=75"), 200);
	ck_assert_int_eq(used_today(KEY_STARTER), 75);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT credits_used FROM daily_usage JOIN "
				 "users USING (user_id) WHERE email = 'm@test' "
				 "AND date = '%s'",
				 first),
			 old_day);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT credits_used FROM daily_usage JOIN "
				 "users USING (user_id) WHERE email = 'm@test' "
				 "AND date = '%s'",
				 date),
			 new_day);
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT credits_used FROM daily_usage WHERE "
				 "user_id = '" USER_STARTER "' AND date = '%s'",
				 first),
			 75);
}
END_TEST

static bool log_has(const char *words)
{
	char *log = daemon_log(d);
	bool has = strstr(log, words) != NULL;

	tl_free(log);
	return has;
}

static void step_to(const char *file, const char *shift)
{
	struct tl_err err;

	ck_assert_int_eq(
		tl_file_replace(file, shift, strlen(shift), 0644, &err), TL_OK);
}

/* It starts two days ahead, and its clock is put right: that is what the
 * database says.  Then it goes wrong, which only an operator may like. */
START_TEST(a_clock_that_was_set_is_followed_when_somebody_agrees)
{
	char *file, today[16];

	prepare("limits.key_count=1000000", "limits.address_count=1000000");
	file = tl_asprintf("%s/clock", d->state_dir);
	step_to(file, "+172800s\n");
	faketime_file(d, file);
	fixture_again();
	make_key("clock", 1000000, "");

	step_to(file, "+0s\n");
	WAIT_UNTIL(log_has("was set by -172"));
	ck_assert(!log_has("is taken in"));
	WAIT_UNTIL(log_has("the database's agrees"));
	ck_assert(log_has("the database's agrees"));

	step_to(file, "+432000s\n"); /* five days */
	WAIT_UNTIL(log_has("was set by 43"));
	client_call(c, "/api/usage/record", key_of("clock"), "{}", NULL, &r);
	want(200);
	snprintf(today, sizeof(today), "%s", json_str(&r, "usage.date"));
	ck_assert_int_eq(daemon_ctl(d, NULL,
				    (const char *const[]){ "clock", "accept",
							   NULL }),
			 0);
	WAIT_UNTIL(log_has("an operator says so"));
	client_call(c, "/api/usage/record", key_of("clock"), "{}", NULL, &r);
	want(200);
	ck_assert_str_ne(json_str(&r, "usage.date"), today);
	tl_free(file);
}
END_TEST

int main(void)
{
	TCase *tc;
	Suite *s;

	if (!midnight_possible())
		return 77;
	s = suite_create("midnight");
	tc = fixture_case(s, "midnight");
	tcase_add_test(tc, midnight_moves_no_count_and_loses_none);
	tcase_add_test(tc,
		       a_clock_that_was_set_is_followed_when_somebody_agrees);
	return fixture_run(s);
}
