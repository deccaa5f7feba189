/*
 * What is due each second, and each hour.
 */
#include "flush/flush_internal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shm/policy.h"
#include "store/q_flush.h"
#include "store/q_instance.h"

#define HOUSE_MS       1000
#define SWEEP_S        60 /* the janitor sees every entry in that time */
#define TRIM_MS        (3600 * 1000)
#define TRIM_MAX       5000
#define BUSY_MS        60000
#define LOGS_LATE_MS   10000 /* the database was away */
#define TRIM_PAUSE_MS  200
#define IDEMPOTENCY_US (24 * 3600 * (int64_t)1000000)
#define CHANGE_KEEP_S  (24 * 3600)

static uint32_t entries_a_step(const struct shm *s)
{
	uint32_t most = s->n_keys > s->n_users ? s->n_keys : s->n_users;
	uint64_t live = atomic_load(&s->head->key_live);
	uint32_t n = most / SWEEP_S + 1024;

	/* Less than 5 % free: look for room ahead of need. */
	return live + s->n_keys / 20 > s->n_keys ? n * 8 : n;
}

uint64_t house_step(struct flush *f)
{
	struct shm *s = f->shm;
	struct spool_stat sp;
	uint32_t ticket;

	/* What is spooled is not in the database yet, so an entry that left
	 * now would come back with a base that is too low. */
	spool_stat(f->spool, f->database_id, &sp);
	shm_janitor_step(s, &f->janitor, entries_a_step(s),
			 f->o.conf->shm.idle_evict_s, sp.records == 0,
			 tl_mono_ns());
	if (shm_refresh_wanted(s, &ticket))
		flush_task_at(&f->load, FLUSH_NOW);
	if (f->home && (tl_mono_ms() >= f->trim_mono_ms ||
			tl_mono_ms() >= f->logs_mono_ms))
		flush_task_at(&f->trim, FLUSH_NOW);
	return tl_mono_ms() + HOUSE_MS;
}

/* In small bites; more_r: there may be more. */
static enum tl_status trim_some(struct flush *f, bool *more_r,
				struct tl_err *err)
{
	struct q_change_trim_row row = { 0 };
	struct tl_arena arena;
	uint64_t n = 0;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_idempotency_trim(
		f->pg,
		&(struct q_idempotency_trim_params){
			.before_us = shm_wall_us(f->shm, tl_mono_ns()) -
				     IDEMPOTENCY_US,
			.max = TRIM_MAX },
		&n, err);
	if (st == TL_OK)
		st = q_change_trim(
			f->pg,
			&(struct q_change_trim_params){ .keep_s = CHANGE_KEEP_S,
							.max = TRIM_MAX },
			&arena, &row, err);
	tl_arena_deinit(&arena);
	*more_r = n == TRIM_MAX || row.trimmed == TRIM_MAX;
	return st;
}

/*
 * The table request_logs: this week's partition and the next one's are there
 * before anybody needs them, and those that are too old go, one a step, so
 * that nobody waits long for the table.
 */
static void keep_partitions(struct flush *f)
{
	struct q_request_logs_keep_row row = { 0 };
	uint32_t next_ms = TRIM_MS;
	struct tl_arena arena;
	struct tl_err err;

	tl_arena_init(&arena);
	if (q_request_logs_keep(f->pg,
				&(struct q_request_logs_keep_params){
					.day = flush_day(f),
					.since_day = flush_log_since(f) },
				&arena, &row, &err) != TL_OK) {
		log_warn("partitions of request_logs could not be looked "
			 "after: %s; again in %d s",
			 err.text, LOGS_LATE_MS / 1000);
		next_ms = LOGS_LATE_MS;
	} else if (tl_str_eq(row.outcome, TL_STR("dropped"))) {
		log_info("dropped the oldest week of request_logs");
		next_ms = TRIM_PAUSE_MS;
	} else if (tl_str_eq(row.outcome, TL_STR("busy"))) {
		next_ms = BUSY_MS;
	}
	tl_arena_deinit(&arena);
	f->logs_mono_ms = tl_mono_ms() + next_ms;
}

uint64_t trim_step(struct flush *f)
{
	struct tl_err err;
	bool more = false;

	if (tl_mono_ms() >= f->logs_mono_ms)
		keep_partitions(f);
	if (tl_mono_ms() < f->trim_mono_ms)
		return FLUSH_NEVER;
	if (trim_some(f, &more, &err) != TL_OK) {
		log_warn("old records could not be trimmed: %s; again in an "
			 "hour",
			 err.text);
		more = false;
	}
	f->trim_mono_ms = tl_mono_ms() + (more ? TRIM_PAUSE_MS : TRIM_MS);
	return more ? f->trim_mono_ms : FLUSH_NEVER;
}
