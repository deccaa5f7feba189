/*
 * cron_house.c - jobs that keep the database's own tables small.
 *
 * In small bites with pauses between them, so that nobody waits long for a
 * table and the write-ahead log is not flooded.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/cron/cron_jobs.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/co.h"
#include "shm/policy.h"
#include "store/q_admin.h"
#include "store/q_cron.h"
#include "store/q_flush.h"
#include "store/q_instance.h"

#define BITE           5000
#define PAUSE_MS       200
#define BUSY_MS        2000
#define BUSY_TRIES     30
#define HOUR_US        (3600 * (int64_t)1000000)
#define IDEMPOTENCY_US (24 * HOUR_US)
#define CHANGE_KEEP_S  (24 * 3600)
#define RUNS_KEEP_US   (90 * 24 * HOUR_US)

static int64_t now_us(const struct cron_call *c)
{
	return shm_wall_us(c->shm, tl_mono_ns());
}

/* One question of the partitions; `dropped` and `busy` say to ask again. */
static enum tl_status keep_once(struct cron_call *c, bool *dropped_r,
				bool *busy_r, struct tl_err *err)
{
	int32_t day = (int32_t)shm_day(c->shm, tl_mono_ns());
	int32_t keep = (int32_t)c->conf->metering.request_log_retention_days;
	const struct q_request_logs_keep_params p = { .day = day,
						      .since_day = day - keep };
	struct q_request_logs_keep_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_request_logs_keep(c->pg, &p, &arena, &row, err);
	if (st == TL_OK) {
		*dropped_r = tl_str_eq(row.outcome, TL_STR("dropped"));
		*busy_r = tl_str_eq(row.outcome, TL_STR("busy"));
	}
	tl_arena_deinit(&arena);
	return st;
}

enum tl_status cron_keep_request_logs(struct cron_call *c, struct tl_err *err)
{
	unsigned weeks = 0, tries = 0;
	bool dropped = true, busy = false;
	enum tl_status st = TL_OK;

	while (st == TL_OK && (dropped || busy)) {
		st = keep_once(c, &dropped, &busy, err);
		weeks += st == TL_OK && dropped;
		if (st == TL_OK && busy && ++tries == BUSY_TRIES)
			return tl_err_set(err, TL_BUSY,
					  "somebody holds a table that is "
					  "needed; dropped %u weeks",
					  weeks);
		if (st == TL_OK && (dropped || busy))
			st = co_sleep_ms(busy ? BUSY_MS : PAUSE_MS, err);
	}
	if (weeks > 0)
		snprintf(c->detail, sizeof(c->detail),
			 "dropped %u week%s of request_logs", weeks,
			 weeks == 1 ? "" : "s");
	return st;
}

/* One bite: how many rows went. */
typedef enum tl_status (*bite_fn)(struct cron_call *c, uint64_t *n_r,
				  struct tl_err *err);

static enum tl_status trim(struct cron_call *c, bite_fn bite, const char *what,
			   struct tl_err *err)
{
	uint64_t n = BITE, sum = 0;
	enum tl_status st = TL_OK;

	while (st == TL_OK && n == BITE) {
		st = bite(c, &n, err);
		if (st == TL_OK)
			sum += n;
		if (st == TL_OK && n == BITE)
			st = co_sleep_ms(PAUSE_MS, err);
	}
	if (sum > 0)
		snprintf(c->detail, sizeof(c->detail), "%" PRIu64 " %s gone",
			 sum, what);
	return st;
}

static enum tl_status bite_idempotency(struct cron_call *c, uint64_t *n_r,
				       struct tl_err *err)
{
	const struct q_idempotency_trim_params p = {
		.before_us = now_us(c) - IDEMPOTENCY_US, .max = BITE
	};

	return q_idempotency_trim(c->pg, &p, n_r, err);
}

enum tl_status cron_trim_idempotency(struct cron_call *c, struct tl_err *err)
{
	return trim(c, bite_idempotency, "answers", err);
}

static enum tl_status bite_changes(struct cron_call *c, uint64_t *n_r,
				   struct tl_err *err)
{
	const struct q_change_trim_params p = { .keep_s = CHANGE_KEEP_S,
						.max = BITE };
	struct q_change_trim_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_change_trim(c->pg, &p, &arena, &row, err);
	if (st == TL_OK)
		*n_r = (uint64_t)row.trimmed;
	tl_arena_deinit(&arena);
	return st;
}

enum tl_status cron_trim_changes(struct cron_call *c, struct tl_err *err)
{
	return trim(c, bite_changes, "changes", err);
}

static enum tl_status bite_runs(struct cron_call *c, uint64_t *n_r,
				struct tl_err *err)
{
	const struct q_cron_trim_params p = { .before_us =
						      now_us(c) - RUNS_KEEP_US,
					      .max = BITE };

	return q_cron_trim(c->pg, &p, n_r, err);
}

enum tl_status cron_trim_runs(struct cron_call *c, struct tl_err *err)
{
	return trim(c, bite_runs, "runs", err);
}

static enum tl_status bite_audit(struct cron_call *c, uint64_t *n_r,
				 struct tl_err *err)
{
	const struct q_audit_trim_params p = {
		.before_us = now_us(c) -
			     (int64_t)c->conf->admin.audit_retention_days * 24 *
				     HOUR_US,
		.max = BITE
	};

	return q_audit_trim(c->pg, &p, n_r, err);
}

enum tl_status cron_trim_audit(struct cron_call *c, struct tl_err *err)
{
	if (c->conf->admin.audit_retention_days == 0)
		return TL_OK;
	return trim(c, bite_audit, "entries", err);
}
