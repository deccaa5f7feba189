#include "app/cron/cron_jobs.h"

#define MINUTE_MS 60000

/*
 * Minutes are apart, so that no two hosts' worth of trimming meets on the same
 * disk.  What a run could not end, the next one goes on with, so one late run
 * makes up for any number.
 */
/* clang-format off */
const struct cron_job CRON_JOBS[] = {
	{ .name = "request_logs", .schedule = "7 * * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .at_once = true, .lock = 823401102001,
	  .limit_ms = 5 * MINUTE_MS, .fn = cron_keep_request_logs,
	  .summary = "partitions of request_logs: makes those of this week and "
		     "the next, drops those past their retention" },
	{ .name = "idempotency_records", .schedule = "17 * * * *",
	  .zone = "UTC", .missed = CRON_ONCE, .lock = 823401102002,
	  .limit_ms = 10 * MINUTE_MS, .fn = cron_trim_idempotency,
	  .summary = "forgets answers to Idempotency-Keys after 24 hours" },
	{ .name = "change_log", .schedule = "27 * * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .lock = 823401102003,
	  .limit_ms = 10 * MINUTE_MS, .fn = cron_trim_changes,
	  .summary = "forgets changes that every host has read, after 24 "
		     "hours" },
	{ .name = "cron_runs", .schedule = "37 3 * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .lock = 823401102004,
	  .limit_ms = 10 * MINUTE_MS, .fn = cron_trim_runs,
	  .summary = "forgets runs of jobs after 90 days" },
	{ .name = "keys_expiring", .schedule = "*/15 * * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .lock = 823401102005,
	  .limit_ms = 5 * MINUTE_MS, .fn = cron_tell_expiring,
	  .summary = "tells webhooks of keys that expire within 7 days, and "
		     "within one" },
	{ .name = "webhooks", .schedule = "47 * * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .lock = 823401102006,
	  .limit_ms = 10 * MINUTE_MS, .fn = cron_keep_webhooks,
	  .summary = "ends deliveries whose task was cancelled, forgets those "
		     "of 30 days ago" },
	{ .name = "audit_log", .schedule = "57 3 * * *", .zone = "UTC",
	  .missed = CRON_ONCE, .lock = 823401102007,
	  .limit_ms = 10 * MINUTE_MS, .fn = cron_trim_audit,
	  .summary = "forgets entries of the audit log that are older than "
		     "admin.audit_retention_days" },
	{ .name = NULL },
};
/* clang-format on */
_Static_assert(sizeof(CRON_JOBS) / sizeof(CRON_JOBS[0]) - 1 <= CRON_JOBS_MAX,
	       "raise CRON_JOBS_MAX");

const struct cron_job *cron_job_find(struct tl_str name)
{
	for (const struct cron_job *j = CRON_JOBS; j->name != NULL; j++)
		if (tl_str_eq(name, tl_str_c(j->name)))
			return j;
	return NULL;
}

const char *cron_missed_name(enum cron_missed m)
{
	static const char *const names[] = {
		[CRON_SKIP] = "skip", [CRON_ONCE] = "once", [CRON_ALL] = "all"
	};

	return names[m];
}
