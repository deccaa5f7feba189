#include "decide/decide.h"

#include "decide/internal.h"
#include "shm/entries.h"
#include "shm/metrics.h"
#include "shm/pause.h"
#include "shm/usage.h"

static void out_init(struct decide_out *out)
{
	out->code = DECIDE_OK;
	out->reason = DECIDE_R_NONE;
	out->have_key = false;
	out->charged = false;
	out->key = out->user = out->plan = SHM_NONE;
	out->extras = 0;
	out->credits_limit = out->credits_used = out->request_count = 0;
	out->cost = 0;
	out->n_rates = out->tightest = 0;
	out->retry_after_ms = 0;
	out->n_tickets = 0;
}

/*
 * Finds the key and keeps it: stores the time of use, then looks at the
 * state; the janitor sets DYING, then reads the time.  A DYING one is kept.
 * What is found stays for this bracket.
 */
static bool key_hold(struct decide *d, const struct decide_in *in,
		     struct decide_out *out)
{
	struct shm *s = d->shm;
	uint64_t wall_ms = shm_wall_ms(s, in->mono_ns);
	struct shm_key *k;
	struct shm_user *u;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		out->key = shm_key_find(s, &out->digest);
		if (out->key == SHM_NONE)
			return false;
		k = &s->keys[out->key];
		out->user = atomic_load_explicit(&k->user,
						 memory_order_relaxed);
		u = &s->users[out->user];
		if (wall_ms >= atomic_load_explicit(&k->last_used_ms,
						    memory_order_relaxed) +
				       1000)
			shm_usage_touch(s, out->key, wall_ms);
		if (wall_ms >= atomic_load_explicit(&u->last_used_ms,
						    memory_order_relaxed) +
				       1000)
			atomic_store(&u->last_used_ms, wall_ms);
		if ((atomic_load(&k->state) & 0xff) == SHM_LIVE ||
		    shm_key_keep(s, out->key))
			break;
	}
	if (tries == 3)
		return false;
	out->have_key = true;
	memcpy(out->key_id.b, k->key_id, 16);
	memcpy(out->user_id.b, u->user_id, 16);
	out->extras = atomic_load_explicit(&k->extras, memory_order_relaxed);
	out->plan = atomic_load_explicit(&u->plan, memory_order_relaxed);
	return true;
}

static bool key_good(struct decide *d, const struct decide_in *in,
		     struct decide_out *out)
{
	const struct shm_key *k = &d->shm->keys[out->key];
	uint64_t now_s =
		(uint64_t)(shm_wall_us(d->shm, in->mono_ns) / 1000000);
	uint32_t expires = atomic_load_explicit(&k->expires_at_s,
						memory_order_relaxed);
	uint32_t grace = atomic_load_explicit(&k->grace_until_s,
					      memory_order_relaxed);

	if ((atomic_load(&k->flags) & SHM_KEY_REVOKED) != 0 && now_s >= grace)
		return refuse(out, DECIDE_UNAUTHORIZED, DECIDE_R_REVOKED);
	if (expires != 0 && now_s >= expires)
		return refuse(out, DECIDE_UNAUTHORIZED, DECIDE_R_EXPIRED);
	return true;
}

static bool may(struct decide *d, const struct decide_in *in,
		struct decide_out *out)
{
	const struct shm *s = d->shm;
	uint32_t i;

	if ((atomic_load(&s->users[out->user].flags) & SHM_USER_SUSPENDED) != 0)
		return refuse(out, DECIDE_FORBIDDEN, DECIDE_R_SUSPENDED);
	if (out->extras == 0)
		return true;
	if (!shm_extras_address_ok(s, out->extras, &in->client,
				   (in->flags & DECIDE_ADDRESS_KNOWN) != 0))
		return refuse(out, DECIDE_FORBIDDEN, DECIDE_R_ADDRESS);
	if (!shm_extras_any_scope(s, out->extras))
		return true;
	for (i = 0; i < in->n_scopes; i++)
		if (!shm_extras_has_scope(s, out->extras, in->scopes[i]))
			return refuse(out, DECIDE_FORBIDDEN, DECIDE_R_SCOPE);
	return true;
}

static void fill_usage(struct decide *d, struct decide_out *out)
{
	const struct shm_user *u = &d->shm->users[out->user];

	out->credits_limit = atomic_load_explicit(&u->limit,
						  memory_order_relaxed);
	out->credits_used = shm_quota_used(u, out->day);
	out->request_count = shm_requests_used(u, out->day);
}

static uint32_t ms_to_midnight(const struct decide *d, uint64_t mono_ns)
{
	uint64_t wall_ms = shm_wall_ms(d->shm, mono_ns);

	return (uint32_t)(86400000 - wall_ms % 86400000);
}

static bool quota_refused(struct decide *d, const struct decide_in *in,
			  struct decide_out *out, enum decide_reason reason)
{
	out->retry_after_ms = ms_to_midnight(d, in->mono_ns);
	rates_return(out);
	if (reason == DECIDE_R_QUOTA && (in->flags & DECIDE_DRY) == 0)
		shm_quota_refused(d->shm, out->key, out->day);
	return refuse(out, DECIDE_QUOTA_EXCEEDED, reason);
}

/* What a dry run or a free request says of the quota. */
static bool quota_look(struct decide *d, const struct decide_in *in,
		       struct decide_out *out)
{
	const struct shm_key *k = &d->shm->keys[out->key];
	uint32_t key_limit = atomic_load(&k->daily_limit);

	fill_usage(d, out);
	if (in->cost == 0 || (in->flags & DECIDE_CHARGE) == 0 ||
	    !d->rules.quota_enabled)
		return true;
	if (key_limit != SHM_NO_LIMIT &&
	    shm_key_credits(k, out->day) + in->cost > key_limit) {
		out->credits_limit = key_limit;
		out->credits_used = shm_key_credits(k, out->day);
		return quota_refused(d, in, out, DECIDE_R_KEY_QUOTA);
	}
	if (out->credits_used + in->cost > out->credits_limit)
		return quota_refused(d, in, out, DECIDE_R_QUOTA);
	return true;
}

/*
 * Quota, then usage.  The key's own limit is looked at first without
 * reserving, so that a refusal by it does not make the user's figure rise
 * and fall in other people's sight; racing charges of one key at its very
 * limit are decided by its usage cell.
 */
static bool charge(struct decide *d, const struct decide_in *in,
		   struct decide_out *out)
{
	struct shm *s = d->shm;
	struct shm_key *k = &s->keys[out->key];
	struct shm_user *u = &s->users[out->user];
	uint64_t delta[SHM_METRICS] = { in->cost, 1, in->cost_micro_usd };
	uint64_t limit = atomic_load(&u->limit);
	uint32_t key_limit = atomic_load(&k->daily_limit);
	enum tl_status st;

	if (d->rules.quota_enabled && key_limit != SHM_NO_LIMIT &&
	    shm_key_credits(k, out->day) + in->cost > key_limit) {
		fill_usage(d, out);
		out->credits_limit = key_limit;
		out->credits_used = shm_key_credits(k, out->day);
		return quota_refused(d, in, out, DECIDE_R_KEY_QUOTA);
	}
	if (!d->rules.metering_enabled) /* looks, and leaves nothing behind */
		return quota_look(d, in, out);
	if (!shm_quota_reserve(u, out->day, in->cost,
			       d->rules.quota_enabled ? limit : SHM_COUNT_MAX,
			       &out->credits_used)) {
		out->credits_limit = limit;
		out->request_count = shm_requests_used(u, out->day);
		return quota_refused(d, in, out, DECIDE_R_QUOTA);
	}
	SHM_PAUSE("decide.reserved");
	st = shm_usage_add(s, out->key, out->day, delta,
			   d->rules.quota_enabled && key_limit != SHM_NO_LIMIT ?
				   key_limit :
				   SHM_COUNT_MAX,
			   shm_wall_ms(s, in->mono_ns));
	if (st == TL_FULL) {
		shm_quota_refund(u, out->day, in->cost);
		fill_usage(d, out);
		out->credits_limit = key_limit;
		out->credits_used = shm_key_credits(k, out->day);
		return quota_refused(d, in, out, DECIDE_R_KEY_QUOTA);
	}
	if (st == TL_BUSY && d->rules.outage_open) {
		atomic_fetch_add(&s->head->usage_dropped, in->cost);
	} else if (st == TL_BUSY) {
		shm_quota_refund(u, out->day, in->cost);
		rates_return(out);
		out->retry_after_ms = 5000;
		return refuse(out, DECIDE_UNAVAILABLE, DECIDE_R_BUSY);
	}
	shm_requests_add(u, out->day, 1);
	out->charged = true;
	out->cost = in->cost;
	shm_count(s, SHM_C_CREDITS, in->cost);
	fill_usage(d, out);
	return true;
}

/* A 401 counts on the client's address, and past that limit is a 429. */
static void refused_401(struct decide *d, const struct decide_in *in,
			struct decide_out *out)
{
	enum decide_reason reason = out->reason;

	if ((in->flags & DECIDE_401_COUNTS) == 0 || !d->rules.limits_enabled ||
	    (in->flags & DECIDE_ADDRESS_KNOWN) == 0)
		return;
	if (rates_of_address(d, in, out))
		refuse(out, DECIDE_UNAUTHORIZED, reason);
	out->n_tickets = 0;
}

static bool credential(struct decide *d, const struct decide_in *in,
		       struct decide_out *out)
{
	if (in->digest_given) {
		out->digest = in->digest;
	} else if (in->key.len == 0) {
		return refuse(out, DECIDE_UNAUTHORIZED, DECIDE_R_MISSING);
	} else if (!tally_key_well_formed(in->key)) {
		return refuse(out, DECIDE_UNAUTHORIZED, DECIDE_R_MALFORMED);
	} else {
		tally_key_digest(in->key, &out->digest);
	}
	if (key_hold(d, in, out))
		return key_good(d, in, out);
	if ((in->flags & DECIDE_UNKNOWN) != 0)
		return refuse(out, DECIDE_UNAUTHORIZED, DECIDE_R_UNKNOWN);
	return refuse(out, DECIDE_LOAD, DECIDE_R_NONE);
}

static void run(struct decide *d, const struct decide_in *in,
		struct decide_out *out)
{
	bool dry = (in->flags & DECIDE_DRY) != 0;

	if ((in->flags & DECIDE_ANONYMOUS) != 0 && !in->digest_given &&
	    in->key.len == 0) {
		if (d->rules.limits_enabled &&
		    (in->flags & DECIDE_ADDRESS_KNOWN) != 0)
			rates_of_anonymous(d, in, shm_policy(d->shm), out);
		return;
	}
	if (!credential(d, in, out)) {
		if (out->have_key)
			fill_usage(d, out);
		if (out->code == DECIDE_UNAUTHORIZED)
			refused_401(d, in, out);
		return;
	}
	if (!may(d, in, out)) {
		fill_usage(d, out);
		if ((in->flags & DECIDE_RATE) != 0 && d->rules.limits_enabled)
			rates_show_key(d, in, shm_policy(d->shm), out);
		return;
	}
	if ((in->flags & DECIDE_RATE) != 0 && d->rules.limits_enabled &&
	    !rates_of_key(d, in, shm_policy(d->shm), out)) {
		fill_usage(d, out);
		return;
	}
	if ((in->flags & DECIDE_CHARGE) == 0 || dry || in->cost == 0)
		quota_look(d, in, out);
	else
		charge(d, in, out);
}

static const enum shm_counter code_counters[] = {
	[DECIDE_OK] = SHM_C_DECIDE_OK,
	[DECIDE_UNAUTHORIZED] = SHM_C_DECIDE_UNAUTHORIZED,
	[DECIDE_FORBIDDEN] = SHM_C_DECIDE_FORBIDDEN,
	[DECIDE_RATE_LIMITED] = SHM_C_DECIDE_RATE_LIMITED,
	[DECIDE_QUOTA_EXCEEDED] = SHM_C_DECIDE_QUOTA,
	[DECIDE_UNAVAILABLE] = SHM_C_DECIDE_UNAVAILABLE,
};

static void count(struct decide *d, const struct decide_out *out)
{
	if (out->code == DECIDE_LOAD)
		return;
	shm_count(d->shm, SHM_C_DECISIONS, 1);
	shm_count(d->shm, code_counters[out->code], 1);
	if (out->code != DECIDE_OK)
		shm_count_refused(d->shm, out->reason);
}

/* Two clock readings cost a fifth of a decision, so one in sixteen is timed. */
static bool is_sample(const struct decide *d)
{
	return atomic_load_explicit(&d->shm->my_metrics
					     ->counter[SHM_C_DECISIONS],
				    memory_order_relaxed) %
		       SHM_H_SAMPLE ==
	       0;
}

void decide(struct decide *d, const struct decide_in *in,
	    struct decide_out *out)
{
	uint64_t begun_ns = is_sample(d) ? tl_mono_ns() : 0;

	out_init(out);
	out->day = shm_day(d->shm, in->mono_ns);
	/* asked for; `charged` tells the rest.  A dry run costs nothing. */
	if ((in->flags & (DECIDE_CHARGE | DECIDE_DRY)) == DECIDE_CHARGE)
		out->cost = in->cost;
	shm_enter(d->shm);
	run(d, in, out);
	shm_leave(d->shm);
	if (begun_ns != 0 && out->code != DECIDE_LOAD)
		shm_observe(d->shm, SHM_H_DECISION, tl_mono_ns() - begun_ns);
	count(d, out);
}

void decide_charge(struct decide *d, const struct decide_in *in,
		   struct decide_out *out)
{
	shm_enter(d->shm);
	out->code = DECIDE_OK;
	out->cost = in->cost; /* asked for; `charged` tells the rest */
	/* time has passed and the entry may have gone: find it anew */
	if (!key_hold(d, in, out)) {
		rates_return(out);
		out->retry_after_ms = 1000;
		refuse(out, DECIDE_UNAVAILABLE, DECIDE_R_BUSY);
	} else if (!key_good(d, in, out) || !may(d, in, out)) {
		rates_return(out); /* revoked since the first phase */
	} else if (in->cost == 0) {
		quota_look(d, in, out);
	} else {
		charge(d, in, out);
	}
	shm_leave(d->shm);
	if (out->code != DECIDE_OK) /* the first phase counted an ok */
		count(d, out);
}

void decide_address(struct decide *d, const struct tally_addr *client,
		    uint64_t mono_ns, struct decide_out *out)
{
	struct decide_in in = { .flags = DECIDE_RATE | DECIDE_ADDRESS_KNOWN,
				.client = *client, .mono_ns = mono_ns };

	out_init(out);
	out->day = shm_day(d->shm, mono_ns);
	shm_enter(d->shm);
	if (d->rules.limits_enabled)
		rates_of_address(d, &in, out);
	shm_leave(d->shm);
	count(d, out);
}

/* As key_hold, without a use of it: the janitor may take it at any time. */
static bool key_look(const struct shm *s, struct decide_out *out)
{
	const struct shm_key *k;

	out->key = shm_key_find(s, &out->digest);
	if (out->key == SHM_NONE)
		return false;
	k = &s->keys[out->key];
	out->user = atomic_load_explicit(&k->user, memory_order_relaxed);
	out->extras = atomic_load_explicit(&k->extras, memory_order_relaxed);
	return true;
}

enum decide_reason decide_standing(struct decide *d,
				   const struct tally_digest *digest,
				   const struct tally_addr *client, bool keep,
				   uint64_t mono_ns)
{
	struct decide_in in = { .flags = DECIDE_ADDRESS_KNOWN,
				.client = *client,
				.mono_ns = mono_ns };
	struct decide_out out;

	out_init(&out);
	out.digest = *digest;
	shm_enter(d->shm);
	if (keep ? !key_hold(d, &in, &out) : !key_look(d->shm, &out))
		out.reason = DECIDE_R_UNKNOWN;
	else if (key_good(d, &in, &out))
		(void)may(d, &in, &out);
	shm_leave(d->shm);
	return out.reason;
}

bool decide_limit_known(const struct decide *d, struct tl_str name,
			enum tally_scope *scope_r)
{
	const struct shm_limit *l;

	if (tl_str_eq(name, TL_STR("key"))) {
		*scope_r = TALLY_SCOPE_KEY;
		return true;
	}
	if (tl_str_eq(name, TL_STR("address"))) {
		*scope_r = TALLY_SCOPE_ADDRESS;
		return true;
	}
	shm_enter(d->shm);
	l = shm_policy_limit(shm_policy(d->shm), name);
	if (l != NULL)
		*scope_r = (enum tally_scope)l->scope;
	shm_leave(d->shm);
	return l != NULL;
}

bool decide_usage(const struct decide *d, const struct tl_uuid *user_id,
		  uint64_t mono_ns, struct decide_usage *u_r)
{
	const struct shm_user *u;
	uint32_t user;

	shm_enter(d->shm);
	user = shm_user_find(d->shm, user_id);
	if (user != SHM_NONE) {
		u = &d->shm->users[user];
		u_r->day = shm_day(d->shm, mono_ns);
		u_r->credits_used = shm_quota_used(u, u_r->day);
		u_r->credits_limit = atomic_load(&u->limit);
		u_r->request_count = shm_requests_used(u, u_r->day);
	}
	shm_leave(d->shm);
	return user != SHM_NONE;
}
