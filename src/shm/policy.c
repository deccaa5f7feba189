#include "shm/policy.h"

#include "base/hash.h"

uint64_t shm_limit_id64(const struct shm *s, const struct tl_uuid *limit_id)
{
	uint64_t h = tl_siphash13(s->head->k.seed, limit_id->b, 16);

	return h != 0 ? h : 1;
}

const struct shm_limit *shm_policy_limit(const struct shm_policy *p,
					 struct tl_str name)
{
	uint32_t i;

	for (i = 0; i < SHM_LIMITS; i++)
		if (p->limits[i].id64 != 0 &&
		    p->limits[i].name_len == name.len &&
		    memcmp(p->limits[i].name, name.ptr, name.len) == 0)
			return &p->limits[i];
	return NULL;
}

bool shm_policy_shows_limit(const struct shm *s, const struct tl_uuid *limit_id,
			    const struct tally_limit_row *row)
{
	const struct shm_policy *p = shm_policy(s);
	uint64_t id64 = shm_limit_id64(s, limit_id);
	const struct shm_limit *l;
	uint32_t i;

	for (i = 0; i < SHM_LIMITS && p->limits[i].id64 != id64; i++)
		;
	if (i == SHM_LIMITS || row == NULL)
		return i == SHM_LIMITS && row == NULL;
	l = &p->limits[i];
	return tl_str_eq(row->name, (struct tl_str){ l->name, l->name_len }) &&
	       l->algorithm == row->algorithm && l->scope == row->scope &&
	       (l->shadow != 0) == row->shadow && l->count == row->count &&
	       l->burst == row->burst && l->window_ms == row->window_ms;
}

/* The users of a plan get its limit after the switch, one by one. */
static bool users_have(const struct shm *s, uint32_t plan, uint64_t limit)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->user_fresh), i;

	for (i = 0; i < n; i++) {
		const struct shm_user *u = &s->users[i];

		if ((atomic_load(&u->state) & 0xff) == SHM_LIVE &&
		    atomic_load(&u->plan) == plan &&
		    atomic_load(&u->limit) != limit)
			return false;
	}
	return true;
}

bool shm_policy_shows_plan(const struct shm *s,
			   const struct tally_plan_row *row)
{
	const struct shm_policy *p = shm_policy(s);
	const struct shm_plan *plan;
	uint32_t i;

	for (i = 0; i < SHM_PLANS; i++)
		if (p->plans[i].used &&
		    memcmp(p->plans[i].plan_id, row->plan_id.b, 16) == 0)
			break;
	if (i == SHM_PLANS)
		return false;
	plan = &p->plans[i];
	return tl_str_eq(row->name,
			 (struct tl_str){ plan->name, plan->name_len }) &&
	       plan->daily_credit_limit == (uint64_t)row->daily_credit_limit &&
	       plan->rate_limit == row->rate_limit &&
	       users_have(s, i, plan->daily_credit_limit);
}

/* ---- tickets ---- */

uint32_t shm_refresh_want(struct shm *s)
{
	return (uint32_t)(atomic_fetch_add(&s->head->refresh_wanted,
					   1ULL << 32) >>
			  32) +
	       1;
}

bool shm_refresh_done(const struct shm *s, uint32_t ticket)
{
	uint32_t done = (uint32_t)atomic_load(&s->head->refresh_wanted);

	return (int32_t)(done - ticket) >= 0;
}

bool shm_refresh_wanted(const struct shm *s, uint32_t *ticket_r)
{
	uint64_t w = atomic_load(&s->head->refresh_wanted);

	*ticket_r = (uint32_t)(w >> 32);
	return *ticket_r != (uint32_t)w;
}

void shm_refresh_did(struct shm *s, uint32_t ticket)
{
	uint64_t w = atomic_load(&s->head->refresh_wanted);

	while (!atomic_compare_exchange_weak(&s->head->refresh_wanted, &w,
					     (w & ~(uint64_t)UINT32_MAX) |
						     ticket))
		;
}

static bool row_exists(const struct shm *s, uint64_t id64,
		       const struct tally_limit_row *rows, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (shm_limit_id64(s, &rows[i].limit_id) == id64)
			return true;
	return false;
}

static void limit_fill(struct shm_limit *l, uint64_t id64,
		       const struct tally_limit_row *row)
{
	uint32_t before = l->id64 == id64 ? l->window_ms : 0;
	uint32_t prev = l->id64 == id64 ? l->prev_window_ms : 0;

	memset(l, 0, sizeof(*l));
	l->id64 = id64;
	l->name_len = (uint8_t)(row->name.len < SHM_NAME_MAX ? row->name.len
							     : SHM_NAME_MAX);
	memcpy(l->name, row->name.ptr, l->name_len);
	l->algorithm = (uint8_t)row->algorithm;
	l->scope = (uint8_t)row->scope;
	l->shadow = row->shadow;
	l->count = row->count;
	l->burst = row->burst;
	l->window_ms = row->window_ms;
	/* a new window length starts from what the old one had charged */
	l->prev_window_ms =
		before != 0 && before != row->window_ms ? before : prev;
}

static enum tl_status limits_fill(const struct shm *s, struct shm_policy *p,
				  const struct tally_limit_row *rows,
				  uint32_t n, struct tl_err *err)
{
	uint32_t i, j, free_at;

	for (i = 0; i < SHM_LIMITS; i++)
		if (p->limits[i].id64 != 0 &&
		    !row_exists(s, p->limits[i].id64, rows, n))
			memset(&p->limits[i], 0, sizeof(p->limits[i]));
	for (i = 0; i < n; i++) {
		uint64_t id64 = shm_limit_id64(s, &rows[i].limit_id);

		free_at = SHM_LIMITS;
		for (j = 0; j < SHM_LIMITS && p->limits[j].id64 != id64; j++)
			if (p->limits[j].id64 == 0 && free_at == SHM_LIMITS)
				free_at = j;
		j = j < SHM_LIMITS ? j : free_at;
		if (j == SHM_LIMITS)
			return tl_err_set(err, TL_FULL,
					  "more than %d named limits",
					  SHM_LIMITS);
		limit_fill(&p->limits[j], id64, &rows[i]);
	}
	p->n_limits = n;
	return TL_OK;
}

static enum tl_status plans_fill(struct shm_policy *p,
				 const struct tally_plan_row *rows, uint32_t n,
				 struct tl_err *err)
{
	uint32_t i, j, free_at;
	struct shm_plan *plan;

	/* a plan that users name cannot go (foreign key), so rows only come */
	for (i = 0; i < n; i++) {
		free_at = SHM_PLANS;
		for (j = 0; j < SHM_PLANS; j++) {
			plan = &p->plans[j];
			if (plan->used && memcmp(plan->plan_id,
						 rows[i].plan_id.b, 16) == 0)
				break;
			if (!plan->used && free_at == SHM_PLANS)
				free_at = j;
		}
		j = j < SHM_PLANS ? j : free_at;
		if (j == SHM_PLANS)
			return tl_err_set(err, TL_FULL, "more than %d plans",
					  SHM_PLANS);
		plan = &p->plans[j];
		memset(plan, 0, sizeof(*plan));
		plan->used = 1;
		memcpy(plan->plan_id, rows[i].plan_id.b, 16);
		plan->name_len = (uint8_t)(rows[i].name.len < 200 ?
						   rows[i].name.len :
						   200);
		memcpy(plan->name, rows[i].name.ptr, plan->name_len);
		plan->daily_credit_limit =
			(uint64_t)rows[i].daily_credit_limit;
		plan->rate_limit = rows[i].rate_limit;
	}
	p->n_plans = n;
	return TL_OK;
}

static bool plans_limits_differ(const struct shm_policy *a,
				const struct shm_policy *b)
{
	uint32_t i;

	for (i = 0; i < SHM_PLANS; i++)
		if (a->plans[i].daily_credit_limit !=
		    b->plans[i].daily_credit_limit)
			return true;
	return false;
}

static void users_follow(struct shm *s, const struct shm_policy *p)
{
	uint32_t n = (uint32_t)atomic_load(&s->head->user_fresh), i, plan;

	for (i = 0; i < n; i++) {
		struct shm_user *u = &s->users[i];

		if ((atomic_load(&u->state) & 0xff) != SHM_LIVE)
			continue;
		plan = atomic_load(&u->plan);
		if (plan < SHM_PLANS)
			atomic_store(&u->limit,
				     p->plans[plan].daily_credit_limit);
	}
}

enum tl_status shm_policy_set(struct shm *s,
			      const struct tally_limit_row *limits,
			      uint32_t n_limits,
			      const struct tally_plan_row *plans,
			      uint32_t n_plans, struct tl_err *err)
{
	uint64_t gen = atomic_load(&s->head->policy_gen), epoch;
	const struct shm_policy *now = &s->policies[gen & 1];
	struct shm_policy *next = &s->policies[(gen + 1) & 1];
	enum tl_status st;

	/* readers of the other copy began before the last switch: the epoch
	 * that began with it is kept in policy_gen's upper bits */
	if (!shm_gc_passed(s, gen >> 16))
		return tl_err_set(err, TL_BUSY,
				  "a process still reads the older rules");
	memcpy(next, now, sizeof(*next));
	st = limits_fill(s, next, limits, n_limits, err);
	if (st == TL_OK)
		st = plans_fill(next, plans, n_plans, err);
	if (st != TL_OK)
		return st;
	if (memcmp(next, now, sizeof(*next)) == 0)
		return TL_OK;
	/* switch first, then begin the epoch: whoever shows the new epoch has
	 * read its number after the switch, so it reads the new copy; the
	 * other way round a reader of the old one could show the new epoch */
	epoch = atomic_load(&s->head->gc_epoch) + 1;
	atomic_store(&s->head->policy_gen,
		     (epoch << 16) | (((gen & 0xffff) + 1) & 0xffff));
	shm_gc_raise(s);
	if (plans_limits_differ(now, next))
		users_follow(s, next);
	return TL_OK;
}
