#include <inttypes.h>

#include "app/cron/cron.h"
#include "app/cron/cron_jobs.h"
#include "shm/metrics.h"

void cron_metrics(const struct shm *s, struct tl_buf *b)
{
	static const char *const outcomes[] = {
		[SHM_CRON_DONE] = "done",       [SHM_CRON_FAILED] = "failed",
		[SHM_CRON_SKIPPED] = "skipped", [SHM_CRON_MISSED] = "missed",
		[SHM_CRON_LOST] = "lost",
	};
	const struct cron_job *j;

	tl_buf_adds(b, "# HELP tallyd_cron_leading Whether this host's "
		       "scheduler fires the jobs.\n"
		       "# TYPE tallyd_cron_leading gauge\n");
	tl_buf_addf(b, "tallyd_cron_leading %d\n", shm_cron_leads(s));
	tl_buf_adds(b, "# HELP tallyd_cron_runs_total Runs of jobs that this "
		       "host decided on, by outcome.\n"
		       "# TYPE tallyd_cron_runs_total counter\n");
	for (j = CRON_JOBS; j->name != NULL; j++)
		for (int i = SHM_CRON_DONE; i <= SHM_CRON_LOST; i++)
			tl_buf_addf(b,
				    "tallyd_cron_runs_total{job=\"%s\","
				    "outcome=\"%s\"} %" PRIu64 "\n",
				    j->name, outcomes[i],
				    shm_cron_sum(s, (uint32_t)(j - CRON_JOBS),
						 (enum shm_cron)i));
	tl_buf_adds(b,
		    "# HELP tallyd_cron_last_done_timestamp_seconds When a "
		    "job last went well on this host; 0: not since the "
		    "segment was made.\n"
		    "# TYPE tallyd_cron_last_done_timestamp_seconds gauge\n");
	for (j = CRON_JOBS; j->name != NULL; j++)
		tl_buf_addf(
			b,
			"tallyd_cron_last_done_timestamp_seconds{job=\"%s\"} "
			"%" PRIu64 "\n",
			j->name,
			shm_cron_last_done(s, (uint32_t)(j - CRON_JOBS)));
}
