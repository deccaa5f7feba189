/*
 * cron_hooks.c - jobs of webhooks: what is told by the clock, and what of it
 * is kept.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/cron/cron_jobs.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/co.h"
#include "shm/policy.h"
#include "store/q_webhooks.h"

#define BITE      1000
#define PAUSE_MS  100
#define KEEP_DAYS 30
#define DAY_US    (TL_DAY_S * (int64_t)1000000)

/* One bite: how many rows it was. */
typedef enum tl_status (*bite_fn)(struct cron_call *c, uint64_t *n_r,
				  struct tl_err *err);

static enum tl_status repeat(struct cron_call *c, bite_fn bite, uint64_t *sum,
			     struct tl_err *err)
{
	uint64_t n = BITE;
	enum tl_status st = TL_OK;

	while (st == TL_OK && n >= BITE) {
		st = bite(c, &n, err);
		if (st == TL_OK)
			*sum += n;
		if (st == TL_OK && n >= BITE)
			st = co_sleep_ms(PAUSE_MS, err);
	}
	return st;
}

static enum tl_status bite_expiring(struct cron_call *c, uint64_t *n_r,
				    struct tl_err *err)
{
	struct q_keys_expiring_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_keys_expiring(c->pg, BITE, &arena, &row, err);
	if (st == TL_OK)
		*n_r = (uint64_t)row.told;
	tl_arena_deinit(&arena);
	return st;
}

enum tl_status cron_tell_expiring(struct cron_call *c, struct tl_err *err)
{
	uint64_t sum = 0;
	enum tl_status st = repeat(c, bite_expiring, &sum, err);

	if (sum > 0)
		snprintf(c->detail, sizeof(c->detail),
			 "told of %" PRIu64 " key%s", sum, sum == 1 ? "" : "s");
	return st;
}

static enum tl_status bite_sweep(struct cron_call *c, uint64_t *n_r,
				 struct tl_err *err)
{
	struct q_webhook_sweep_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_webhook_sweep(c->pg, BITE, &arena, &row, err);
	if (st == TL_OK)
		*n_r = (uint64_t)row.failed;
	tl_arena_deinit(&arena);
	return st;
}

static enum tl_status bite_deliveries(struct cron_call *c, uint64_t *n_r,
				      struct tl_err *err)
{
	const struct q_webhook_trim_params p = {
		.before_us =
			shm_wall_us(c->shm, tl_mono_ns()) - KEEP_DAYS * DAY_US,
		.max = BITE,
	};

	return q_webhook_trim(c->pg, &p, n_r, err);
}

static enum tl_status bite_alerts(struct cron_call *c, uint64_t *n_r,
				  struct tl_err *err)
{
	const struct q_usage_alert_trim_params p = {
		.before_day =
			(int32_t)shm_day(c->shm, tl_mono_ns()) - KEEP_DAYS,
		.max = BITE,
	};

	return q_usage_alert_trim(c->pg, &p, n_r, err);
}

enum tl_status cron_keep_webhooks(struct cron_call *c, struct tl_err *err)
{
	uint64_t failed = 0, gone = 0, alerts = 0;
	enum tl_status st = repeat(c, bite_sweep, &failed, err);

	if (st == TL_OK)
		st = repeat(c, bite_deliveries, &gone, err);
	if (st == TL_OK)
		st = repeat(c, bite_alerts, &alerts, err);
	if (failed + gone > 0)
		snprintf(c->detail, sizeof(c->detail),
			 "%" PRIu64 " deliveries had lost their task, %" PRIu64
			 " deliveries gone",
			 failed, gone);
	return st;
}
