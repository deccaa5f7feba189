/* Which slots are run after an absence, and which are given up. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "app/cron/cron_due.h"
#include "base/clock.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NONE	 NULL

static int64_t moment(const char *text)
{
	int64_t us;

	ck_assert_msg(tl_rfc3339_parse(tl_str_c(text), &us), "%s", text);
	return us / 1000000;
}

static const struct {
	const char *schedule;
	enum cron_missed missed;
	uint32_t missed_max, late_max_s;
	const char *decided, *now;
	/* wanted: */
	const char *first, *last; /* of those that are run */
	uint32_t n;
	uint64_t given_up;
	const char *newest_given_up;
	bool on_time;
} cases[] = {
	/* nothing is due */
	{ "0 * * * *", CRON_ALL, 60, 0, "2026-03-01T12:00:00Z",
	  "2026-03-01T12:59:59Z", NONE, NONE, 0, 0, NONE, false },
	/* on time, whatever the policy */
	{ "0 * * * *", CRON_SKIP, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z",
	  "2026-03-01T12:00:00Z", 1, 0, NONE, true },
	{ "0 * * * *", CRON_SKIP, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T12:00:59Z", "2026-03-01T12:00:00Z",
	  "2026-03-01T12:00:00Z", 1, 0, NONE, true },
	/* a minute late */
	{ "0 * * * *", CRON_SKIP, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T12:01:00Z", NONE, NONE, 0, 1, "2026-03-01T12:00:00Z",
	  false },
	{ "0 * * * *", CRON_ONCE, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T12:01:00Z", "2026-03-01T12:00:00Z",
	  "2026-03-01T12:00:00Z", 1, 0, NONE, false },
	/* three behind */
	{ "0 * * * *", CRON_SKIP, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:30:00Z", NONE, NONE, 0, 3, "2026-03-01T14:00:00Z",
	  false },
	{ "0 * * * *", CRON_ONCE, 0, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:30:00Z", "2026-03-01T14:00:00Z",
	  "2026-03-01T14:00:00Z", 1, 2, "2026-03-01T13:00:00Z", false },
	{ "0 * * * *", CRON_ALL, 60, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:30:00Z", "2026-03-01T12:00:00Z",
	  "2026-03-01T14:00:00Z", 3, 0, NONE, false },
	{ "0 * * * *", CRON_ALL, 2, 0, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:30:00Z", "2026-03-01T13:00:00Z",
	  "2026-03-01T14:00:00Z", 2, 1, "2026-03-01T12:00:00Z", false },
	/* behind, and one on time: it makes up for the others, or comes on
	 * top of the two */
	{ "0 * * * *", CRON_ONCE, 0, 0, "2026-03-01T10:00:00Z",
	  "2026-03-01T14:00:30Z", "2026-03-01T14:00:00Z",
	  "2026-03-01T14:00:00Z", 1, 3, "2026-03-01T13:00:00Z", true },
	{ "0 * * * *", CRON_ALL, 2, 0, "2026-03-01T10:00:00Z",
	  "2026-03-01T14:00:30Z", "2026-03-01T12:00:00Z",
	  "2026-03-01T14:00:00Z", 3, 1, "2026-03-01T11:00:00Z", true },
	/* too late for it */
	{ "* * * * *", CRON_ALL, 60, 900, "2026-03-01T11:00:00Z",
	  "2026-03-01T11:20:30Z", "2026-03-01T11:06:00Z",
	  "2026-03-01T11:20:00Z", 15, 5, "2026-03-01T11:05:00Z", true },
	{ "0 * * * *", CRON_ONCE, 0, 900, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:30:00Z", NONE, NONE, 0, 3, "2026-03-01T14:00:00Z",
	  false },
	{ "0 * * * *", CRON_ONCE, 0, 900, "2026-03-01T11:00:00Z",
	  "2026-03-01T14:14:00Z", "2026-03-01T14:00:00Z",
	  "2026-03-01T14:00:00Z", 1, 2, "2026-03-01T13:00:00Z", false },
	/* a year away: the newest are found without a walk through it */
	{ "0 3 * * *", CRON_ALL, 3, 0, "2025-03-01T03:00:00Z",
	  "2026-03-01T12:00:00Z", "2026-02-27T03:00:00Z",
	  "2026-03-01T03:00:00Z", 3, 29, "2026-02-26T03:00:00Z", false },
	{ "0 0 29 2 *", CRON_ONCE, 0, 0, "2023-03-01T00:00:00Z",
	  "2026-03-01T12:00:00Z", "2024-02-29T00:00:00Z",
	  "2024-02-29T00:00:00Z", 1, 0, NONE, false },
	/* the clock was set back: what is decided stays so */
	{ "* * * * *", CRON_ALL, 60, 0, "2026-03-01T12:00:00Z",
	  "2026-03-01T11:00:00Z", NONE, NONE, 0, 0, NONE, false },
};

static void check_given_up(int i, const struct cron_due *d)
{
	ck_assert_msg(d->missed == cases[i].given_up, "%d: %d given up", i,
		      (int)d->missed);
	if (d->missed > 0)
		ck_assert_int_eq(d->missed_last,
				 moment(cases[i].newest_given_up));
}

START_TEST(slots_are_run_as_the_policy_says)
{
	struct cron_job job = { .name = "test",
				.schedule = cases[_i].schedule,
				.zone = "UTC",
				.missed = cases[_i].missed,
				.missed_max = cases[_i].missed_max,
				.late_max_s = cases[_i].late_max_s };
	struct cron_plan p;
	struct cron_due d;
	bool due;

	cron_plan_init(&p, &job, NULL);
	ck_assert_str_eq(p.problem, "");

	due = cron_due(&p, moment(cases[_i].decided), moment(cases[_i].now),
		       &d);

	ck_assert_msg(due == (cases[_i].n + cases[_i].given_up > 0), "%d", _i);
	if (due) {
		ck_assert_msg(d.n == cases[_i].n, "%d: %u slots", _i, d.n);
		ck_assert_int_eq(d.on_time, cases[_i].on_time);
		check_given_up(_i, &d);
	}
	if (due && d.n > 0) {
		ck_assert_int_eq(d.slots[0], moment(cases[_i].first));
		ck_assert_int_eq(d.slots[d.n - 1], moment(cases[_i].last));
		ck_assert_int_eq(d.decided, moment(cases[_i].last));
	}
	cron_plan_deinit(&p);
}
END_TEST

START_TEST(a_plan_without_sense_is_never_due)
{
	struct cron_job job = { .name = "test", .zone = "UTC" };
	struct cron_plan p;
	struct cron_due d;

	job.schedule = "61 * * * *";
	cron_plan_init(&p, &job, NULL);
	ck_assert_str_eq(p.problem, "minute: 61 is not 0 to 59");
	ck_assert(!cron_due(&p, 0, moment("2026-03-01T12:00:00Z"), &d));
	ck_assert(cron_plan_next(&p, 0) == INT64_MAX);
	cron_plan_deinit(&p);
	job.schedule = "* * * * *";
	job.zone = "Europe/Atlantis";
	cron_plan_init(&p, &job, NULL);
	ck_assert_ptr_nonnull(strstr(p.problem, "no time zone"));
	ck_assert(!cron_due(&p, 0, moment("2026-03-01T12:00:00Z"), &d));
	cron_plan_deinit(&p);
}
END_TEST

/* What each row of the table must keep. */
START_TEST(the_table_of_jobs_is_in_order)
{
	struct cron_plan p;

	for (const struct cron_job *j = CRON_JOBS; j->name != NULL; j++) {
		cron_plan_init(&p, j, NULL);
		ck_assert_msg(p.problem[0] == '\0', "%s: %s", j->name,
			      p.problem);
		cron_plan_deinit(&p);
		ck_assert(cron_job_find(tl_str_c(j->name)) == j);
		ck_assert(j->fn != NULL && j->summary != NULL);
		ck_assert_uint_gt(j->limit_ms, 0);
		ck_assert_uint_le(j->missed_max, CRON_MISSED_MAX);
		ck_assert((j->missed == CRON_ALL) == (j->missed_max > 0));
		for (const struct cron_job *k = CRON_JOBS; k != j; k++)
			ck_assert_int_ne(j->lock, k->lock);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cron_due");
	TCase *tc = tcase_create("due");
	SRunner *r;
	int failed;

	tcase_add_loop_test(tc, slots_are_run_as_the_policy_says, 0,
			    COUNT(cases));
	tcase_add_test(tc, a_plan_without_sense_is_never_due);
	tcase_add_test(tc, the_table_of_jobs_is_in_order);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
