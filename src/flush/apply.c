/*
 * A batch on its way into the database: records to arrays, one call.
 *
 * The function there moves last_seq and the sums in one transaction, so each
 * outcome that we do not hear of is settled by sending the same bytes again.
 */
#include "flush/flush_internal.h"

#include <string.h>

#include "base/mem.h"
#include "shm/metrics.h"
#include "store/q_flush.h"

static struct pg_array array(struct tl_arena *arena, uint32_t n, size_t size,
			     void *items_r)
{
	void *items = tl_arena_alloc(arena, n * size + 1);

	memcpy(items_r, &items, sizeof(items));
	return (struct pg_array){ .n = n, .items = items };
}

static void fill_records(struct q_flush_apply_params *p,
			 const struct apply_batch *b, struct tl_arena *arena)
{
	struct tl_uuid *users, *keys;
	int64_t *credits, *requests, *costs, *used;
	int32_t *days;
	uint32_t n = b->n_records;

	p->user_ids = array(arena, n, sizeof(*users), &users);
	p->key_ids = array(arena, n, sizeof(*keys), &keys);
	p->days = array(arena, n, sizeof(*days), &days);
	p->credits = array(arena, n, sizeof(*credits), &credits);
	p->requests = array(arena, n, sizeof(*requests), &requests);
	p->costs = array(arena, n, sizeof(*costs), &costs);
	p->last_used_us = array(arena, n, sizeof(*used), &used);
	for (uint32_t i = 0; i < n; i++) {
		const struct shm_record *r = &b->records[i];

		memcpy(users[i].b, r->user_id, sizeof(users[i].b));
		memcpy(keys[i].b, r->key_id, sizeof(keys[i].b));
		days[i] = (int32_t)r->day;
		credits[i] = (int64_t)r->delta[SHM_CREDITS];
		requests[i] = (int64_t)r->delta[SHM_REQUESTS];
		costs[i] = (int64_t)r->delta[SHM_COST];
		used[i] = (int64_t)(r->last_used_ms * 1000);
	}
}

/* Of whom a request was refused: with their records, as users of the batch. */
static void fill_refused(struct q_flush_apply_params *p,
			 const struct apply_batch *b, struct tl_arena *arena)
{
	uint32_t n = 0;
	struct tl_uuid *users;
	int32_t *days;

	for (uint32_t i = 0; i < b->n_records; i++)
		n += (b->records[i].flags & SHM_RECORD_REFUSED) != 0;
	p->refused_user_ids = array(arena, n, sizeof(*users), &users);
	p->refused_days = array(arena, n, sizeof(*days), &days);
	for (uint32_t i = 0; i < b->n_records; i++) {
		const struct shm_record *r = &b->records[i];

		if ((r->flags & SHM_RECORD_REFUSED) == 0)
			continue;
		memcpy((users++)->b, r->user_id, sizeof(r->user_id));
		*days++ = (int32_t)r->day;
	}
}

static void fill_idems(struct q_flush_apply_params *p,
		       const struct apply_batch *b, struct tl_arena *arena)
{
	struct tl_uuid *keys;
	struct tl_str *names, *hashes;
	int64_t *credits, *costs, *used, *limits, *requests, *at;
	int32_t *days;
	uint32_t n = b->n_idems;

	p->idem_key_ids = array(arena, n, sizeof(*keys), &keys);
	p->idem_keys = array(arena, n, sizeof(*names), &names);
	p->idem_body_hashes = array(arena, n, sizeof(*hashes), &hashes);
	p->idem_days = array(arena, n, sizeof(*days), &days);
	p->idem_credits = array(arena, n, sizeof(*credits), &credits);
	p->idem_costs = array(arena, n, sizeof(*costs), &costs);
	p->idem_used = array(arena, n, sizeof(*used), &used);
	p->idem_limits = array(arena, n, sizeof(*limits), &limits);
	p->idem_requests = array(arena, n, sizeof(*requests), &requests);
	p->idem_at_us = array(arena, n, sizeof(*at), &at);
	for (uint32_t i = 0; i < n; i++) {
		const struct shm_idem_record *r = &b->idems[i];

		memcpy(keys[i].b, r->key_id, sizeof(keys[i].b));
		names[i].ptr = r->name;
		names[i].len = strnlen(r->name, sizeof(r->name));
		hashes[i].ptr = (const char *)r->body_hash;
		hashes[i].len = sizeof(r->body_hash);
		days[i] = (int32_t)r->answer.day;
		credits[i] = (int64_t)r->answer.credits_charged;
		costs[i] = (int64_t)r->answer.cost_micro_usd;
		used[i] = (int64_t)r->answer.credits_used;
		limits[i] = (int64_t)r->answer.daily_limit;
		requests[i] = (int64_t)r->answer.request_count;
		at[i] = (int64_t)(r->at_ms * 1000);
	}
}

/* Stops before anything that is no row: a spool may hold what it likes. */
static void fill_logs(struct q_flush_apply_params *p,
		      const struct apply_batch *b, struct tl_arena *arena)
{
	struct tl_uuid *users, *keys;
	struct tl_str *models;
	int64_t *prompt, *completion, *credits, *costs, *at_us;
	const struct shm_log_row *r;
	uint32_t n = b->n_logs, at = 0, i = 0;
	int32_t *days;

	p->log_user_ids = array(arena, n, sizeof(*users), &users);
	p->log_key_ids = array(arena, n, sizeof(*keys), &keys);
	p->log_models = array(arena, n, sizeof(*models), &models);
	p->log_prompt_tokens = array(arena, n, sizeof(*prompt), &prompt);
	p->log_completion_tokens =
		array(arena, n, sizeof(*completion), &completion);
	p->log_credits = array(arena, n, sizeof(*credits), &credits);
	p->log_costs = array(arena, n, sizeof(*costs), &costs);
	p->log_at_us = array(arena, n, sizeof(*at_us), &at_us);
	p->log_days = array(arena, n, sizeof(*days), &days);
	while (i < n && (r = shm_log_next(b->logs, b->log_bytes, &at))) {
		memcpy(users[i].b, r->user_id, sizeof(users[i].b));
		memcpy(keys[i].b, r->key_id, sizeof(keys[i].b));
		models[i] = shm_log_model(r);
		prompt[i] = r->prompt_tokens;
		completion[i] = r->completion_tokens;
		credits[i] = r->credits;
		costs[i] = (int64_t)r->cost_micro_usd;
		at_us[i] = r->created_us;
		days[i++] = (int32_t)r->day;
	}
	p->log_user_ids.n = p->log_key_ids.n = p->log_models.n = i;
	p->log_prompt_tokens.n = p->log_completion_tokens.n = i;
	p->log_credits.n = p->log_costs.n = p->log_at_us.n = i;
	p->log_days.n = i;
}

struct apply_call {
	struct flush *f;
	struct q_flush_apply_params p;
	struct tl_arena arena;
	bool duplicate;
	int64_t logs_added;
};

static enum tl_status call(struct pg *pg, struct apply_call *c,
			   struct tl_err *err)
{
	struct q_flush_apply_row row;
	enum tl_status st;

	st = q_flush_apply(pg, &c->p, &c->arena, &row, err);
	if (st == TL_OK) {
		c->duplicate = tl_str_eq(row.outcome, TL_STR("duplicate"));
		c->logs_added = row.logs_added;
	} else if (st == TL_CONFLICT &&
		   strcmp(pg_err_sqlstate(err), "TL001") != 0) {
		/* TL002: another epoch took our node.  Anything else that
		 * conflicts may heal, and is sent again. */
		bool ours = strcmp(pg_err_sqlstate(err), "TL002") == 0;

		st = err->status = ours ? TL_DENIED : TL_BROKEN;
	}
	return st;
}

/*
 * An older epoch may be new to the database, so nothing but this look tells
 * that it is the one we checked; on the same connection, in one transaction.
 */
static enum tl_status call_checked(struct pg *tx, void *arg, struct tl_err *err)
{
	struct apply_call *c = arg;
	enum tl_status st;

	st = node_same_database(tx, c->f->database_id, err);
	return st == TL_OK ? call(tx, c, err) : st;
}

enum tl_status apply_send(struct flush *f, const struct apply_batch *b,
			  bool *duplicate_r, struct tl_err *err)
{
	struct apply_call *c = tl_alloc(sizeof(*c)); /* not for the stack */
	uint64_t begun_ns = tl_mono_ns();
	enum tl_status st;

	c->f = f;
	tl_arena_init(&c->arena);
	c->p.node = tl_str_c(b->node);
	c->p.epoch = (int64_t)b->epoch;
	c->p.seq = (int64_t)b->seq;
	c->p.replay = b->replay;
	fill_records(&c->p, b, &c->arena);
	fill_refused(&c->p, b, &c->arena);
	fill_idems(&c->p, b, &c->arena);
	fill_logs(&c->p, b, &c->arena);
	c->p.log_since_day = flush_log_since(f);
	if (b->replay)
		st = pg_transaction(f->pg, call_checked, c, err);
	else
		st = call(f->pg, c, err);
	shm_observe(f->shm, SHM_H_FLUSH, tl_mono_ns() - begun_ns);
	if (st == TL_OK) {
		*duplicate_r = c->duplicate;
		shm_count(f->shm, SHM_C_FLUSH_BATCHES, 1);
		shm_count(f->shm, SHM_C_FLUSH_ROWS,
			  c->duplicate ? 0 : b->n_records);
		shm_count(f->shm, SHM_C_FLUSH_DUPLICATES, c->duplicate);
		shm_count(f->shm, SHM_C_FLUSH_LOGS, (uint64_t)c->logs_added);
	}
	tl_arena_deinit(&c->arena);
	tl_free(c);
	return st;
}
