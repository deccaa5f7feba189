/*
 * cron_run.c - one run of a job: lock, row, work, outcome.
 */
#include <stdio.h>
#include <string.h>

#include "app/cron/cron_engine_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_lead.h"
#include "shm/metrics.h"
#include "store/q_cron.h"

#define FINISH_MS 5000

void cron_run_forget(struct cron_job_state *j)
{
	j->queue.n = 0;
	j->asked_run = 0;
}

enum tl_status cron_run_pass(struct cron_job_state *j, int64_t slot_s,
			     const char *outcome, const char *why,
			     struct tl_err *err)
{
	const struct q_cron_pass_params p = {
		.job = tl_str_c(j->def->name),
		.slot_us = slot_s * CRON_US_PER_S,
		.node = tl_str_c(j->e->o.node),
		.outcome = tl_str_c(outcome),
		.detail = tl_str_c(why),
	};
	uint64_t n;

	return q_cron_pass(j->e->o.pg, &p, &n, err);
}

/* TL_NOT_FOUND: somebody has it. */
static enum tl_status claim(struct cron_job_state *j, int64_t slot_s,
			    struct tl_err *err)
{
	const struct q_cron_claim_params p = {
		.job = tl_str_c(j->def->name),
		.slot_us = slot_s * CRON_US_PER_S,
		.node = tl_str_c(j->e->o.node),
	};
	struct q_cron_claim_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_cron_claim(j->e->o.pg, &p, &arena, &row, err);
	if (st == TL_OK)
		j->run_id = row.run_id;
	tl_arena_deinit(&arena);
	return st;
}

/* Of a run that was asked for: the row is there. */
static enum tl_status begin(struct cron_job_state *j, int64_t run_id,
			    struct tl_err *err)
{
	const struct q_cron_begin_params p = { .node = tl_str_c(j->e->o.node),
					       .run_id = run_id };
	enum tl_status st;
	uint64_t n;

	st = q_cron_begin(j->e->o.pg, &p, &n, err);
	if (st == TL_OK && n == 0)
		return TL_NOT_FOUND;
	if (st == TL_OK)
		j->run_id = run_id;
	return st;
}

/* Also when the run's time is over: it must be known how it ended. */
static void finish(struct cron_job_state *j, enum shm_cron how,
		   const char *detail)
{
	static const char *const outcomes[] = {
		[SHM_CRON_DONE] = "done",
		[SHM_CRON_FAILED] = "failed",
		[SHM_CRON_SKIPPED] = "skipped",
	};
	const struct q_cron_finish_params p = {
		.outcome = tl_str_c(outcomes[how]),
		.detail = tl_str_c(detail),
		.run_id = j->run_id,
	};
	struct shm *s = j->e->o.shm;
	enum tl_status st;
	struct tl_err err;
	uint64_t n;

	co_shield_begin(FINISH_MS);
	st = q_cron_finish(j->e->o.pg, &p, &n, &err);
	co_shield_end();
	if (st != TL_OK) {
		log_warn("job '%s' %s, which could not be written down: %s; it "
			 "will count as lost",
			 j->def->name, outcomes[how], err.text);
		j->e->stale = true;
	}
	if (how == SHM_CRON_DONE)
		shm_cron_done(
			s, j->index,
			(uint64_t)(cron_engine_now_us(j->e) / CRON_US_PER_S));
	else
		shm_cron_count(s, j->index, how);
}

static void work(struct cron_job_state *j, int64_t slot_us)
{
	struct cron_call call = {
		.pg = j->e->o.pg,
		.conf = j->e->o.conf,
		.shm = j->e->o.shm,
		.slot_us = slot_us,
	};
	struct tl_err err;

	if (j->def->fn(&call, &err) == TL_OK) {
		log_at(call.detail[0] != '\0' ? LOG_LV_INFO : LOG_LV_DEBUG,
		       "job '%s' is done%s%s", j->def->name,
		       call.detail[0] != '\0' ? ": " : "", call.detail);
		finish(j, SHM_CRON_DONE, call.detail);
		return;
	}
	log_warn("job '%s' failed: %s; its next slot tries again", j->def->name,
		 err.text);
	finish(j, SHM_CRON_FAILED, err.text);
}

/* Takes the next of its queue, or the run that was asked for: its row is
 * ours then.  TL_BUSY: the lock is not; the slot is passed over. */
static enum tl_status take(struct cron_job_state *j, int64_t *slot_us_r,
			   struct tl_err *err)
{
	const int64_t asked = j->asked_run;
	enum tl_status st, locked;
	int64_t slot_s = 0;

	if (asked == 0) {
		slot_s = j->queue.slots[0];
		memmove(j->queue.slots, j->queue.slots + 1,
			--j->queue.n * sizeof(j->queue.slots[0]));
	}
	j->asked_run = 0;
	*slot_us_r =
		asked != 0 ? cron_engine_now_us(j->e) : slot_s * CRON_US_PER_S;
	locked = pg_lead_lock(j->e->lead, j->def->lock, err);
	if (locked != TL_OK && locked != TL_BUSY)
		return locked;
	if (locked == TL_BUSY && asked == 0) {
		st = cron_run_pass(j, slot_s, "skipped", err->text, err);
		shm_cron_count(j->e->o.shm, j->index, SHM_CRON_SKIPPED);
		return st == TL_OK ? TL_BUSY : st;
	}
	j->claiming = true;
	st = asked != 0 ? begin(j, asked, err) : claim(j, slot_s, err);
	j->claiming = false;
	if (st == TL_OK && locked == TL_BUSY)
		finish(j, SHM_CRON_SKIPPED, "its lock is held elsewhere");
	else if (st != TL_OK && locked == TL_OK)
		pg_lead_unlock(j->e->lead, j->def->lock);
	return st == TL_OK ? locked : st;
}

static void run(void *arg)
{
	struct cron_job_state *j = arg;
	struct cron_engine *e = j->e;
	enum tl_status st;
	struct tl_err err;
	int64_t slot_us;

	j->co = co_self();
	st = take(j, &slot_us, &err);
	if (st == TL_OK) {
		work(j, slot_us);
		pg_lead_unlock(e->lead, j->def->lock);
	} else if (st != TL_BUSY && st != TL_NOT_FOUND) {
		/* Was it claimed?  The database is asked before we go on. */
		log_warn("a slot of job '%s' could not be taken: %s",
			 j->def->name, err.text);
		cron_run_forget(j);
		e->stale = true;
	}
	j->co = NULL;
	j->run_id = 0;
	j->running = false;
	if (e->stale)
		cron_engine_arm(e, CRON_RETRY_MS);
	else if (j->queue.n > 0 || j->asked_run != 0)
		cron_engine_kick(e);
}

enum tl_status cron_run_start(struct cron_job_state *j, struct tl_err *err)
{
	enum tl_status st;

	if (j->running || (j->queue.n == 0 && j->asked_run == 0))
		return TL_OK;
	j->running = true;
	st = co_spawn(run, j, tl_mono_ms() + j->def->limit_ms, err);
	if (st != TL_OK)
		j->running = false;
	return st;
}
