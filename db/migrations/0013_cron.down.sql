DROP TABLE tallyd.cron_runs;
DROP TABLE tallyd.cron_jobs;
