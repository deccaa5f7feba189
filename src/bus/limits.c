/*
 * limits.c - what a queue, and a tenant in it, may do at a time and per
 * window on this host.
 *
 * All of it is counted in the segment: concurrency by places that die with
 * their process, rates by the exact sliding windows of the gate.  What a
 * queue may have is taken before its tasks are claimed, and what was not used
 * is given back.  Whose turn it is within a queue only the database knows, so
 * tenants are judged behind the claim: a task that may not begin goes back,
 * and its tenant is left out for a while.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus_internal.h"
#include "pg/pg.h"
#include "shm/places.h"
#include "store/q_tasks.h"

#define SALT_QUEUE  0x7461736b71ULL
#define SALT_TENANT 0x7461736b74ULL
#define SALT_OWN    0x7461736b6fULL
#define BUSY_MS     25 /* a place may be free again */

static uint64_t queue_tag(const struct runner *r, const char *name)
{
	return shm_tag(r->o.shm, SALT_QUEUE, name, (uint32_t)strlen(name));
}

static uint64_t tenant_tag(const struct runner *r, const struct queue *q,
			   struct tl_str tenant)
{
	uint64_t salt = SALT_TENANT ^ q->tag;

	return shm_tag(r->o.shm, salt, tenant.ptr, (uint32_t)tenant.len);
}

static struct queue *find(struct runner *r, struct tl_str name, bool make)
{
	struct limits *l = &r->limits;
	struct queue *q;

	for (uint32_t i = 0; i < l->n_queues; i++)
		if (tl_str_eq(name, tl_str_c(l->queues[i]->name)))
			return l->queues[i];
	if (!make || l->n_queues == QUEUES_MAX || name.len > QUEUE_NAME_MAX)
		return NULL;
	q = tl_alloc(sizeof(*q));
	snprintf(q->name, sizeof(q->name), "%.*s", (int)name.len, name.ptr);
	q->tag = queue_tag(r, q->name);
	l->queues[l->n_queues++] = q;
	return q;
}

static uint32_t or_none(int32_t v, bool null)
{
	return null ? 0 : (uint32_t)v;
}

void limits_rules(struct runner *r, const struct q_task_queues_row *rows,
		  uint32_t n)
{
	struct limits *l = &r->limits;

	for (uint32_t i = 0; i < l->n_queues;
	     i++) { /* gone rows rule no more */
		struct queue *q = l->queues[i];

		q->concurrency = q->rate_count = 0;
		q->tenant_concurrency = q->tenant_rate_count = 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct q_task_queues_row *row = &rows[i];
		struct queue *q = find(r, row->queue, true);

		if (q == NULL)
			continue;
		q->concurrency =
			or_none(row->concurrency, row->concurrency_null);
		q->rate_count = or_none(row->rate_count, row->rate_count_null);
		q->rate_window_ms = (uint32_t)row->rate_window_ms;
		q->tenant_concurrency = or_none(row->tenant_concurrency,
						row->tenant_concurrency_null);
		q->tenant_rate_count = or_none(row->tenant_rate_count,
					       row->tenant_rate_count_null);
		q->tenant_rate_window_ms = (uint32_t)row->tenant_rate_window_ms;
	}
}

/* ---- rates ---- */

static void wait_until(struct runner *r, uint64_t mono_ms)
{
	if (mono_ms < r->limits.due_mono_ms)
		r->limits.due_mono_ms = mono_ms;
}

/*
 * Up to `want` tokens of the window of tag; how many.  0: *reset_ms_r says
 * how long none will come.  Without a window (the table is full) none.
 */
static uint32_t tokens(struct runner *r, uint64_t tag, uint32_t count,
		       uint32_t window_ms, uint32_t want,
		       struct shm_ticket *t_r, uint64_t *reset_ms_r)
{
	static const uint8_t nobody[16];
	struct shm *s = r->o.shm;
	uint64_t now_ns = tl_mono_ns();
	struct shm_window *w =
		shm_window_get(s, s->windows, s->n_windows, tag, nobody,
			       window_ms, now_ns / TL_NS_PER_MS);
	struct shm_window_result res;

	*reset_ms_r = BUSY_MS;
	if (w == NULL)
		return 0;
	for (want = want < count ? want : count; want > 0;) {
		shm_window_check(w->ring, (uint64_t)window_ms * TL_NS_PER_MS,
				 count, want, s->head->k.created_mono_ns,
				 now_ns, t_r, &res);
		if (res.admitted && shm_window_is(w, tag))
			return want;
		if (res.admitted) {
			shm_ticket_return(t_r);
			return 0;
		}
		*reset_ms_r = res.reset_ns / TL_NS_PER_MS + 1;
		want = res.sum < count && count - res.sum < want
			       ? count - res.sum
			       : want / 2;
	}
	return 0;
}

static void give_tokens(struct shm_ticket *t, uint32_t n)
{
	t->cost = n;
	if (n > 0)
		shm_ticket_return(t);
}

/* ---- before a claim ---- */

static void reserve(struct runner *r, struct queue *q, uint32_t max)
{
	uint64_t now = tl_mono_ms(), reset_ms;

	q->want = max;
	q->places = q->tokens = 0;
	if (q->concurrency > 0) {
		while (q->places < max &&
		       shm_place_take(r->o.shm, q->tag, q->concurrency))
			q->places++;
		q->want = q->places;
		if (q->want == 0)
			wait_until(r, now + BUSY_MS);
	}
	if (q->rate_count > 0 && q->want > 0) {
		q->tokens = tokens(r, q->tag, q->rate_count, q->rate_window_ms,
				   q->want, &q->ticket, &reset_ms);
		q->want = q->tokens;
		if (q->want == 0)
			wait_until(r, now + reset_ms);
	}
}

static void forget_full(struct runner *r, uint64_t now)
{
	struct limits *l = &r->limits;

	for (uint32_t i = 0; i < l->n_full;) {
		if (l->full[i].until_mono_ms <= now) {
			l->full[i] = l->full[--l->n_full];
		} else {
			wait_until(r, l->full[i].until_mono_ms);
			i++;
		}
	}
}

void limits_ask(struct runner *r, uint32_t max, struct tl_arena *a,
		struct q_task_claim_params *p)
{
	struct limits *l = &r->limits;
	uint32_t n = l->n_queues;
	struct tl_str *queues = tl_arena_alloc(a, (n + 1) * sizeof(*queues));
	struct tl_str *turns = tl_arena_alloc(a, (n + 1) * sizeof(*turns));
	int32_t *wants = tl_arena_alloc(a, (n + 1) * sizeof(*wants));
	int32_t *each = tl_arena_alloc(a, (n + 1) * sizeof(*each));
	struct tl_str *full_queues, *full_tenants;

	l->due_mono_ms = CO_STEP_NEVER;
	forget_full(r, tl_mono_ms());
	for (uint32_t i = 0; i < n; i++) {
		struct queue *q = l->queues[i];

		reserve(r, q, max);
		queues[i] = tl_str_c(q->name);
		wants[i] = (int32_t)q->want;
		each[i] = (int32_t)(q->tenant_concurrency > 0 &&
						    q->tenant_concurrency < max
					    ? q->tenant_concurrency
					    : max);
		turns[i] = tl_str_c(q->turn);
	}
	full_queues = tl_arena_alloc(a, (l->n_full + 1) * sizeof(*queues));
	full_tenants = tl_arena_alloc(a, (l->n_full + 1) * sizeof(*queues));
	for (uint32_t i = 0; i < l->n_full; i++) {
		full_queues[i] = tl_str_c(l->full[i].queue->name);
		full_tenants[i] = tl_str_c(l->full[i].tenant);
	}
	p->queues = (struct pg_array){ n, queues };
	p->wants = (struct pg_array){ n, wants };
	p->tenant_wants = (struct pg_array){ n, each };
	p->turns = (struct pg_array){ n, turns };
	p->full_queues = (struct pg_array){ l->n_full, full_queues };
	p->full_tenants = (struct pg_array){ l->n_full, full_tenants };
}

/* ---- behind it ---- */

static void leave_out(struct runner *r, struct queue *q, struct tl_str tenant,
		      uint64_t until_mono_ms)
{
	struct limits *l = &r->limits;
	struct full *f = NULL;

	wait_until(r, until_mono_ms);
	for (uint32_t i = 0; i < l->n_full && f == NULL; i++)
		if (l->full[i].queue == q &&
		    tl_str_eq(tenant, tl_str_c(l->full[i].tenant)))
			f = &l->full[i];
	if (f == NULL && l->n_full == FULL_MAX)
		return;
	if (f == NULL)
		f = &l->full[l->n_full++];
	f->queue = q;
	f->until_mono_ms = until_mono_ms;
	snprintf(f->tenant, sizeof(f->tenant), "%.*s", (int)tenant.len,
		 tenant.ptr);
}

static bool admit_tenant(struct runner *r, struct queue *q, struct job *j,
			 uint64_t *delay_ms_r)
{
	uint64_t tag = tenant_tag(r, q, j->t.tenant);
	struct shm_ticket t;

	*delay_ms_r = BUSY_MS;
	if (q->tenant_concurrency > 0) {
		if (!shm_place_take(r->o.shm, tag, q->tenant_concurrency))
			return false;
		j->tenant_tag = tag;
	}
	return q->tenant_rate_count == 0 ||
	       tokens(r, tag, q->tenant_rate_count, q->tenant_rate_window_ms, 1,
		      &t, delay_ms_r) == 1;
}

bool limits_admit(struct runner *r, struct job *j, uint64_t *delay_ms_r)
{
	struct queue *q = find(r, j->t.queue, j->t.tenant.len > 0);

	if (q == NULL)
		return true;
	if (q->places > 0) {
		j->queue_tag = q->tag;
		q->places--;
	}
	if (j->t.tenant.len > 0 && j->t.tenant.len <= TENANT_MAX)
		snprintf(q->turn, sizeof(q->turn), "%.*s", (int)j->t.tenant.len,
			 j->t.tenant.ptr);
	if (j->t.tenant.len > 0 && !admit_tenant(r, q, j, delay_ms_r)) {
		leave_out(r, q, j->t.tenant, tl_mono_ms() + *delay_ms_r);
		return false;
	}
	if (q->tokens > 0)
		q->tokens--;
	return true;
}

bool task_tenant_admit(struct task *t, uint32_t concurrency,
		       uint32_t rate_count, uint32_t rate_window_ms)
{
	struct job *j = TL_CONTAINER(t, struct job, t);
	struct runner *r = j->r;
	struct queue *q = find(r, t->queue, true);
	uint64_t delay_ms = BUSY_MS, tag;
	struct shm_ticket ticket;
	bool good = true;

	tl_assert(j->own_tag == 0);
	if (q == NULL) /* too many queues have limits: this one has none */
		return true;
	tag = tenant_tag(r, q, t->tenant) ^ SALT_OWN;
	if (concurrency > 0) {
		good = shm_place_take(r->o.shm, tag, concurrency);
		if (good)
			j->own_tag = tag;
	}
	if (good && rate_count > 0)
		good = tokens(r, tag, rate_count, rate_window_ms, 1, &ticket,
			      &delay_ms) == 1;
	if (good)
		return true;
	j->postpone_ms = delay_ms;
	leave_out(r, q, t->tenant, tl_mono_ms() + delay_ms);
	return false;
}

void limits_settle(struct runner *r)
{
	for (uint32_t i = 0; i < r->limits.n_queues; i++) {
		struct queue *q = r->limits.queues[i];

		for (; q->places > 0; q->places--)
			shm_place_give(r->o.shm, q->tag);
		if (q->tokens > 0)
			give_tokens(&q->ticket, q->tokens);
		q->tokens = 0;
	}
}

void limits_leave(struct job *j)
{
	if (j->queue_tag != 0)
		shm_place_give(j->r->o.shm, j->queue_tag);
	if (j->tenant_tag != 0)
		shm_place_give(j->r->o.shm, j->tenant_tag);
	if (j->own_tag != 0)
		shm_place_give(j->r->o.shm, j->own_tag);
	if ((j->queue_tag | j->tenant_tag | j->own_tag) != 0 &&
	    j->r->limits.n_queues > 0 && !j->r->draining)
		co_step_at(&j->r->claim,
			   CO_STEP_NOW); /* there is a place now */
}

void limits_deinit(struct runner *r)
{
	for (uint32_t i = 0; i < r->limits.n_queues; i++)
		tl_free(r->limits.queues[i]);
	r->limits.n_queues = 0;
}
