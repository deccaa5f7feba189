#include "config.h"

#include "proc/proc.h"

static uint32_t count_workers(const struct conf *conf)
{
	return conf->server.workers;
}

static uint32_t count_runners(const struct conf *conf)
{
	return conf->runner.count;
}

static uint32_t count_one(const struct conf *conf)
{
	(void)conf;
	return 1;
}

/*
 * Started from the top, so the flusher comes first: on a fresh segment
 * workers wait for its baselines.  Stopped by rank: what produces usage
 * before what writes it down.
 */
/* clang-format off */
const struct proc_kind PROC_KINDS[] = {
	{ .name = "flusher", .main = flusher_main, .count = count_one,
	  .stop_rank = 9 },
	{ .name = "worker", .main = worker_main, .count = count_workers,
	  .listens = true, .protects = true, .stop_rank = 1 },
	{ .name = "runner", .main = runner_main, .count = count_runners,
	  .protects = true, .runs_tasks = true, .stop_rank = 1 },
	{ .name = "scheduler", .main = scheduler_main, .count = count_one,
	  .protects = true, .stop_rank = 1 },
	{ .name = NULL },
};
/* clang-format on */
