/*
 * watch.c - once a second, and when told: what operators cancelled, what the
 * dead left behind, rules of queues, housekeeping.
 *
 * The claims of a runner that died are found by its identity in the segment,
 * not by time.  A claim that was on its way when its runner died may be
 * committed a moment after the others looked, so they look a few times more,
 * and once a second anyway.
 */
#include "config.h"

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_internal.h"
#include "conf/conf.h"
#include "pg/pg.h"
#include "shm/metrics.h"
#include "store/q_tasks.h"

#define WATCH_MS        1000
#define FAILED_AGAIN_MS 500
#define DEPTH_MS        10000
#define DEPTH_MAX       1000000
#define RULES_MS        5000
#define EXPIRE_MS       30000
#define REGISTER_MS     3600000
#define KEEP_MS         3600000
#define KEEP_AGAIN_MS   10000

static const uint32_t recovery_ms[] = { 500, 200, 50 }; /* by looks left */

static enum tl_status do_register(struct runner *r, struct tl_arena *a,
				  struct tl_err *err)
{
	struct q_task_register_row row;
	struct bus_policies b;
	enum tl_status st;

	bus_policies(a, NULL, &b);
	st = q_task_register(pg_pool_pg(r->pool),
			     &(struct q_task_register_params){
				     .names = { b.n, b.names },
				     .queues = { b.n, b.queues },
				     .events = { b.n, b.events },
				     .retry_limits = { b.n, b.limits },
				     .retry_delays_ms = { b.n, b.delays_ms },
				     .retry_backoffs = { b.n, b.backoffs },
				     .timeouts_ms = { b.n, b.timeouts_ms } },
			     a, &row, err);
	if (st != TL_OK)
		return st;
	r->register_mono_ms = tl_mono_ms() + REGISTER_MS;
	co_step_at(&r->claim, CO_STEP_NOW);
	return TL_OK;
}

/* ---- partitions ---- */

static int32_t today(void)
{
	return (int32_t)(tl_wall_us() / 1000000 / TL_DAY_S);
}

static enum tl_status keep_weeks(struct runner *r, struct tl_arena *a,
				 struct tl_err *err)
{
	const struct conf *c = r->o.conf;
	const struct {
		struct tl_str table;
		uint32_t days;
	} tables[] = {
		{ TL_STR("task_attempt"), c->runner.attempts_retention_days },
		{ TL_STR("task_dead"), c->runner.dead_retention_days },
		{ TL_STR("event"), c->runner.events_retention_days },
	};
	uint64_t next_ms = KEEP_MS;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct q_task_weeks_keep_params p = {
			.table = tables[i].table,
			/* no week ended before 1970: 0 keeps all */
			.since_day =
				tables[i].days == 0
					? 0
					: today() - (int32_t)tables[i].days,
		};
		struct q_task_weeks_keep_row row;
		enum tl_status st = q_task_weeks_keep(pg_pool_pg(r->pool), &p,
						      a, &row, err);

		if (st != TL_OK)
			return st;
		if (!tl_str_eq(row.outcome, TL_STR("done")))
			next_ms = KEEP_AGAIN_MS; /* more of it, or busy */
	}
	r->keep_mono_ms = tl_mono_ms() + next_ms;
	return TL_OK;
}

/* ---- what others said about our tasks ---- */

static struct job *find_job(const struct runner *r, int64_t task_id,
			    int32_t attempt)
{
	const struct tl_list *lists[] = { &r->jobs, &r->ready };

	for (size_t i = 0; i < 2; i++)
		for (struct tl_list *pos = lists[i]->next; pos != lists[i];
		     pos = pos->next) {
			struct job *j = TL_CONTAINER(pos, struct job, link);

			if (j->t.task_id == task_id && j->t.attempt == attempt)
				return j;
		}
	return NULL;
}

/* A claim was made whose answer got lost: nobody runs it. */
static void give_back(struct runner *r, const struct q_task_mine_row *row)
{
	finish_add(r, &(struct ending){ .task_id = row->task_id,
					.attempt = row->attempt,
					.action = ACT_BACK,
					.outcome = "" });
}

static bool listed(const struct q_task_mine_row *rows, uint32_t n,
		   const struct job *j)
{
	for (uint32_t i = 0; i < n; i++)
		if (rows[i].task_id == j->t.task_id &&
		    rows[i].attempt == j->t.attempt)
			return true;
	return false;
}

/* Someone took it for dead and gave it to another one: it ends here. */
static void drop_lost(struct runner *r, const struct q_task_mine_row *rows,
		      uint32_t n, uint64_t asked_mono_ms)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &r->jobs)
	{
		struct job *j = TL_CONTAINER(pos, struct job, link);

		if (j->claimed_mono_ms >= asked_mono_ms || j->dropped ||
		    listed(rows, n, j))
			continue;
		log_warn("the claim of task %lld is lost; cancelling it here",
			 (long long)j->t.task_id);
		j->dropped = true;
		job_cancel(j, "its claim is lost");
	}
}

static enum tl_status look_at_mine(struct runner *r, struct tl_arena *a,
				   struct tl_err *err)
{
	const struct q_task_mine_params p = {
		.epoch = (int64_t)r->epoch,
		.spawn = (int64_t)r->o.shm->identity,
	};
	bool in_doubt = r->in_doubt && !r->claim.running;
	uint64_t asked_mono_ms = tl_mono_ms();
	struct q_task_mine_row *rows;
	enum tl_status st;
	uint32_t n;

	if (r->n_jobs == 0 && !in_doubt)
		return TL_OK;
	st = q_task_mine(pg_pool_pg(r->pool), &p, a, &rows, &n, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < n; i++) {
		struct job *j = find_job(r, rows[i].task_id, rows[i].attempt);

		if (j != NULL && rows[i].cancel_wanted && !j->cancelled) {
			j->cancelled = true;
			job_cancel(j, "cancelled by an operator");
		} else if (j == NULL && in_doubt && !r->claim.running &&
			   !finish_has(r, rows[i].task_id, rows[i].attempt)) {
			give_back(r, &rows[i]);
		}
	}
	drop_lost(r, rows, n, asked_mono_ms);
	if (in_doubt && !r->claim.running)
		r->in_doubt = false;
	return TL_OK;
}

/* ---- the dead ---- */

static enum tl_status release(struct runner *r, int64_t spawn,
			      struct tl_arena *a, struct tl_err *err)
{
	const struct q_task_release_params p = { .limit = LOSS_LIMIT,
						 .epoch = (int64_t)r->epoch,
						 .spawn = spawn };
	struct q_task_release_row row;
	enum tl_status st =
		q_task_release(pg_pool_pg(r->pool), &p, a, &row, err);

	if (st != TL_OK || row.released_null || row.released == 0)
		return st;
	log_warn("%d tasks of a runner that died are ready again",
		 row.released);
	shm_count(r->o.shm, SHM_C_TASKS_LOST, (uint64_t)row.released);
	bus_wake();
	co_step_at(&r->claim, CO_STEP_NOW);
	return TL_OK;
}

static enum tl_status look_at_dead(struct runner *r, struct tl_arena *a,
				   struct tl_err *err)
{
	struct q_task_owned_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_task_owned(pg_pool_pg(r->pool), (int64_t)r->epoch, a, &rows, &n,
			  err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++)
		if (!shm_identity_alive(r->o.shm,
					(uint64_t)rows[i].owner_spawn))
			st = release(r, rows[i].owner_spawn, a, err);
	return st;
}

static enum tl_status look_at_hosts(struct runner *r, struct tl_arena *a,
				    struct tl_err *err)
{
	const struct q_task_expire_params p = { .limit = LOSS_LIMIT,
						.epoch = (int64_t)r->epoch,
						.node = tl_str_c(r->node) };
	struct q_task_expire_row row;
	enum tl_status st =
		q_task_expire(pg_pool_pg(r->pool), &p, a, &row, err);

	if (st != TL_OK)
		return st;
	r->expire_mono_ms = tl_mono_ms() + EXPIRE_MS;
	if (!row.released_null && row.released > 0) {
		log_warn("%d tasks of hosts that are gone are ready again",
			 row.released);
		shm_count(r->o.shm, SHM_C_TASKS_LOST, (uint64_t)row.released);
		co_step_at(&r->claim, CO_STEP_NOW);
	}
	return TL_OK;
}

/* ---- the round ---- */

/* For metrics, by one runner of the host. */
static enum tl_status read_depth(struct runner *r, struct tl_arena *a,
				 struct tl_err *err)
{
	struct shm_head *h = r->o.shm->head;
	struct q_task_depth_row row;
	enum tl_status st =
		q_task_depth(pg_pool_pg(r->pool), DEPTH_MAX, a, &row, err);

	if (st != TL_OK)
		return st;
	atomic_store(&h->tasks_ready, (uint64_t)row.ready);
	atomic_store(&h->tasks_delayed, (uint64_t)row.delayed);
	r->depth_mono_ms = tl_mono_ms() + DEPTH_MS;
	return TL_OK;
}

static enum tl_status read_rules(struct runner *r, struct tl_arena *a,
				 struct tl_err *err)
{
	struct q_task_queues_row *rows;
	enum tl_status st;
	uint32_t n;

	/* before the question: who changes them behind it tells us again */
	r->rules_mono_ms = tl_mono_ms() + RULES_MS;
	st = q_task_queues(pg_pool_pg(r->pool), a, &rows, &n, err);
	if (st == TL_OK)
		limits_rules(r, rows, n);
	return st;
}

static enum tl_status round_of(struct runner *r, struct tl_arena *a,
			       struct tl_err *err)
{
	uint64_t now = tl_mono_ms();
	enum tl_status st = TL_OK;

	if (now >= r->keep_mono_ms)
		st = keep_weeks(r, a, err);
	if (st == TL_OK && now >= r->rules_mono_ms)
		st = read_rules(r, a, err);
	if (st == TL_OK && now >= r->register_mono_ms)
		st = do_register(r, a, err);
	if (st == TL_OK)
		st = look_at_mine(r, a, err);
	if (st == TL_OK)
		st = look_at_dead(r, a, err);
	if (st == TL_OK && now >= r->expire_mono_ms)
		st = look_at_hosts(r, a, err);
	if (st == TL_OK && r->o.number == 0 && now >= r->depth_mono_ms)
		st = read_depth(r, a, err);
	return st;
}

uint64_t watch_step(void *arg)
{
	struct runner *r = arg;
	uint64_t next_ms = WATCH_MS;
	struct tl_arena a;
	struct tl_err err;

	jobs_publish_due(r);
	if (r->recoveries > 0)
		next_ms = recovery_ms[--r->recoveries];
	tl_arena_init(&a);
	if (round_of(r, &a, &err) != TL_OK) {
		runner_failed(r, "looking after tasks", &err);
		next_ms = FAILED_AGAIN_MS;
	}
	tl_arena_deinit(&a);
	return tl_mono_ms() + next_ms;
}
