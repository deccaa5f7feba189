#include <stdio.h>

#include "decide/internal.h"
#include "shm/entries.h"
#include "shm/metrics.h"

#define SALT_ADDRESS 0x61646472ULL

static void report(struct decide_out *out, const struct rate_want *w,
		   const struct shm_window_result *r, bool shadow_refused)
{
	uint64_t capacity = w->algorithm == TALLY_GCRA ?
				    (w->burst > 0 ? w->burst : 1) :
				    w->limit;
	struct decide_rate *rate = &out->rates[out->n_rates];
	const struct decide_rate *t;

	memcpy(rate->name, w->name, w->name_len);
	rate->name[w->name_len] = 0;
	rate->name_len = w->name_len;
	rate->shadow = w->shadow;
	rate->shadow_refused = shadow_refused;
	rate->limit = (uint32_t)capacity;
	rate->per_window = w->limit;
	rate->charged = 0;
	rate->remaining = r->sum < capacity ? (uint32_t)(capacity - r->sum) : 0;
	/* a gcra's part of a step is not one to spend */
	if (!r->admitted && w->cost > 0 && w->cost <= capacity &&
	    rate->remaining >= w->cost)
		rate->remaining = w->cost - 1;
	rate->window_ms = w->window_ms;
	rate->reset_ms = (uint32_t)((r->reset_ns + TL_NS_PER_MS - 1) /
				    TL_NS_PER_MS);
	t = &out->rates[out->tightest];
	if (out->n_rates == 0 || (!shadow_refused && !w->shadow &&
				  rate->remaining < t->remaining))
		out->tightest = out->n_rates;
	out->n_rates++;
}

static void window_try(struct decide *d, const struct decide_in *in,
		       const struct rate_want *w, struct shm_ticket *t,
		       struct shm_window_result *r)
{
	uint64_t base_ns = d->shm->head->k.created_mono_ns;
	uint64_t window_ns = (uint64_t)w->window_ms * TL_NS_PER_MS;
	bool dry = (in->flags & DECIDE_DRY) != 0;

	if (w->algorithm == TALLY_GCRA)
		shm_gcra_check(w->ring, window_ns, w->limit, w->burst, w->cost,
			       in->mono_ns - base_ns, dry, t, r);
	else if (dry)
		shm_window_peek(w->ring, window_ns, w->limit, w->cost,
				in->mono_ns - base_ns, r);
	else
		shm_window_check(w->ring, window_ns, w->limit, w->cost,
				 base_ns, in->mono_ns, t, r);
}

/* All or none: what was charged before a refusal is taken back. */
bool rates_check(struct decide *d, const struct decide_in *in,
		 const struct rate_want *wants, uint32_t n,
		 struct decide_out *out)
{
	struct shm_window_result r = { .admitted = true };
	struct shm_ticket t;
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct rate_want *w = &wants[i];

		t.cell = NULL;
		window_try(d, in, w, &t, &r);
		if (w->window != NULL && !shm_window_is(w->window, w->tag)) {
			/* taken over between look-up and charge */
			shm_ticket_return(&t);
			rates_return(out);
			out->retry_after_ms = 1000;
			return refuse(out, DECIDE_UNAVAILABLE, DECIDE_R_BUSY);
		}
		report(out, w, &r, w->shadow && !r.admitted);
		if (t.cell != NULL) {
			out->tickets[out->n_tickets++] = t;
			out->rates[out->n_rates - 1].charged = w->cost;
		}
		if (r.admitted)
			continue;
		if (w->shadow) {
			shm_count(d->shm, SHM_C_DECIDE_SHADOW, 1);
			continue;
		}
		rates_return(out);
		out->tightest = out->n_rates - 1;
		out->retry_after_ms = out->rates[out->tightest].reset_ms;
		return refuse(out, DECIDE_RATE_LIMITED, DECIDE_R_LIMIT);
	}
	return true;
}

void rates_return(struct decide_out *out)
{
	uint32_t i;

	while (out->n_tickets > 0)
		shm_ticket_return(&out->tickets[--out->n_tickets]);
	/* what the answer tells is after this request, too */
	for (i = 0; i < out->n_rates; i++) {
		out->rates[i].remaining += out->rates[i].charged;
		out->rates[i].charged = 0;
	}
}

/* ---- which limits apply ---- */

/* A new window length starts from what the old one still holds. */
static void precharge(struct decide *d, const struct shm_limit *l,
		      uint64_t old_tag, struct shm_window *w, uint64_t mono_ns)
{
	struct shm *s = d->shm;
	uint64_t base_ns = s->head->k.created_mono_ns;
	struct shm_window *set =
		s->windows + old_tag % (s->n_windows / SHM_WAYS) * SHM_WAYS;
	struct shm_window_result r;
	struct shm_ticket t;
	uint32_t i, sum;

	for (i = 0; i < SHM_WAYS; i++) {
		if (!shm_window_is(&set[i], old_tag))
			continue;
		sum = shm_window_sum(set[i].ring,
				     (uint64_t)l->prev_window_ms * TL_NS_PER_MS,
				     mono_ns - base_ns);
		sum = sum < l->count ? sum : l->count;
		if (sum > 0)
			shm_window_check(w->ring,
					 (uint64_t)l->window_ms * TL_NS_PER_MS,
					 UINT32_MAX, sum, base_ns, mono_ns, &t,
					 &r);
		return;
	}
}

static uint64_t limit_tag(const struct shm *s, const struct shm_limit *l,
			  uint32_t window_ms, const uint8_t subject[16])
{
	uint8_t buf[20];
	uint64_t tag;

	memcpy(buf, subject, 16);
	memcpy(buf + 16, &window_ms, 4);
	tag = shm_tag(s, l->id64, buf, sizeof(buf));
	/* another algorithm is another window: the words differ in meaning */
	if (l->algorithm == TALLY_GCRA)
		tag |= SHM_TAG_GCRA;
	if (l->scope == TALLY_SCOPE_ADDRESS)
		tag |= SHM_TAG_STEAL;
	return tag;
}

/* How long a charge lasts: a burst may reach further than the window. */
static uint64_t lasts_ms(const struct shm_limit *l, uint32_t count)
{
	uint64_t burst = l->algorithm == TALLY_GCRA ? l->burst : 0;

	if (count == 0 || burst <= count)
		return l->window_ms;
	return l->window_ms * burst / count + 1;
}

static bool window_exists(const struct shm *s, uint64_t tag)
{
	const struct shm_window *set =
		s->windows + tag % (s->n_windows / SHM_WAYS) * SHM_WAYS;
	uint32_t i;

	for (i = 0; i < SHM_WAYS; i++)
		if (shm_window_is(&set[i], tag))
			return true;
	return false;
}

static bool want_named(struct decide *d, const struct decide_in *in,
		       const struct shm_limit *l, const uint8_t subject[16],
		       uint32_t count, uint32_t cost, struct rate_want *w_r)
{
	struct shm *s = d->shm;
	uint64_t tag = limit_tag(s, l, l->window_ms, subject);
	bool fresh = l->prev_window_ms != 0 && !window_exists(s, tag);
	struct shm_window *w;

	w = shm_window_get(s, s->windows, s->n_windows, tag, subject,
			   lasts_ms(l, count), in->mono_ns / TL_NS_PER_MS);
	if (w == NULL)
		return false;
	if (fresh && l->algorithm == TALLY_SLIDING)
		precharge(d, l, limit_tag(s, l, l->prev_window_ms, subject), w,
			  in->mono_ns);
	*w_r = (struct rate_want){
		.name = l->name, .name_len = l->name_len, .ring = w->ring,
		.window = w, .tag = tag,
		.algorithm = (enum tally_algorithm)l->algorithm,
		.shadow = l->shadow, .limit = count, .burst = l->burst,
		.window_ms = l->window_ms, .cost = cost
	};
	return true;
}

static void want_own(struct decide *d, const struct shm_policy *policy,
		     const struct decide_out *out, struct rate_want *w_r)
{
	struct shm_key *k = &d->shm->keys[out->key];
	uint32_t own = atomic_load_explicit(&k->rate_limit,
					    memory_order_relaxed);
	uint32_t limit = d->rules.key_count;

	if (own != 0)
		limit = own;
	else if (d->rules.limits_from_plan && out->plan < SHM_PLANS &&
		 policy->plans[out->plan].rate_limit != 0)
		limit = policy->plans[out->plan].rate_limit;
	*w_r = (struct rate_want){ .name = "key", .name_len = 3,
				   .ring = k->ring, .limit = limit,
				   .window_ms = d->rules.window_ms, .cost = 1 };
}

/* An override of the key goes before one of its user. */
static uint32_t count_for(struct decide *d, const struct shm_limit *l,
			  const struct decide_out *out)
{
	struct shm *s = d->shm;
	uint32_t count = l->count;

	if (!shm_extras_override(s, atomic_load(&s->keys[out->key].extras),
				 l->id64, &count))
		(void)shm_extras_override(
			s, atomic_load(&s->users[out->user].extras), l->id64,
			&count);
	return count;
}

/* Limits of scope `user` that are set for this user count always. */
static bool wants_of_user(struct decide *d, const struct decide_in *in,
			  const struct shm_policy *policy,
			  const struct decide_out *out,
			  struct rate_want *wants, uint32_t *n)
{
	uint32_t extras = atomic_load(&d->shm->users[out->user].extras);
	uint32_t i, count;

	if (extras == 0)
		return true;
	for (i = 0; i < SHM_LIMITS; i++) {
		const struct shm_limit *l = &policy->limits[i];

		if (l->id64 == 0 || l->scope != TALLY_SCOPE_USER ||
		    !shm_extras_override(d->shm, extras, l->id64, &count))
			continue;
		/* one too many is a refusal, never a limit left out */
		if (*n > DECIDE_USER_MAX ||
		    !want_named(d, in, l, out->user_id.b,
				count_for(d, l, out), 1, &wants[*n]))
			return false;
		++*n;
	}
	return true;
}

/* Named twice weighs twice; named at all replaces the 1 it counts unasked. */
static void weigh(struct rate_want *w, uint32_t cost)
{
	w->cost = w->named ? w->cost + cost : cost;
	w->named = true;
}

static struct rate_want *wanted(struct rate_want *wants, uint32_t n,
				const char *name, size_t len)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (wants[i].name_len == len &&
		    memcmp(wants[i].name, name, len) == 0)
			return &wants[i];
	return NULL;
}

static bool want_address(struct decide *d, const struct decide_in *in,
			 struct rate_want *w_r)
{
	struct shm *s = d->shm;
	struct tally_addr group = tally_addr_group(&in->client);
	uint64_t tag = shm_tag(s, SALT_ADDRESS, group.b, 16) | SHM_TAG_STEAL;
	struct shm_window *w;

	w = shm_window_get(s, s->addresses, s->n_addresses, tag, group.b,
			   d->rules.window_ms, in->mono_ns / TL_NS_PER_MS);
	if (w == NULL)
		return false;
	*w_r = (struct rate_want){ .name = "address", .name_len = 7,
				   .tag = tag, .ring = w->ring, .window = w,
				   .limit = d->rules.address_count,
				   .window_ms = d->rules.window_ms, .cost = 1 };
	return true;
}

/* Without a key (out->have_key) only what counts by address applies. */
static bool want_extra(struct decide *d, const struct decide_in *in,
		       const struct shm_policy *policy,
		       const struct decide_extra *x,
		       const struct decide_out *out, struct rate_want *wants,
		       uint32_t *n)
{
	struct rate_want *w = wanted(wants, *n, x->name.ptr, x->name.len);
	const struct shm_limit *l;
	struct tally_addr group;
	const uint8_t *subject = out->key_id.b;
	uint32_t count;

	if (w == NULL && tl_str_eq(x->name, TL_STR("address"))) {
		w = &wants[*n];
		if (!want_address(d, in, w))
			return false;
		++*n;
	} else if (w == NULL) {
		l = shm_policy_limit(policy, x->name);
		if (l == NULL) /* it went away since the caller looked */
			return true;
		if (!out->have_key && l->scope != TALLY_SCOPE_ADDRESS)
			return true;
		count = out->have_key ? count_for(d, l, out) : l->count;
		if (l->scope == TALLY_SCOPE_USER)
			subject = out->user_id.b;
		if (l->scope == TALLY_SCOPE_ADDRESS) {
			group = tally_addr_group(&in->client);
			subject = group.b;
		}
		w = &wants[*n];
		if (!want_named(d, in, l, subject, count, 1, w))
			return false;
		++*n;
	}
	weigh(w, x->cost);
	return true;
}

static bool no_room(struct decide_out *out)
{
	out->retry_after_ms = 1000;
	return refuse(out, DECIDE_UNAVAILABLE, DECIDE_R_FULL);
}

bool rates_of_key(struct decide *d, const struct decide_in *in,
		  const struct shm_policy *policy, struct decide_out *out)
{
	struct rate_want wants[DECIDE_RATES_MAX];
	uint32_t n = 1, i;
	bool room;

	want_own(d, policy, out, &wants[0]);
	room = wants_of_user(d, in, policy, out, wants, &n);
	for (i = 0; room && i < in->n_extras; i++)
		room = want_extra(d, in, policy, &in->extras[i], out, wants,
				  &n);
	return room ? rates_check(d, in, wants, n, out) : no_room(out);
}

void rates_show_key(struct decide *d, const struct decide_in *in,
		    const struct shm_policy *policy, struct decide_out *out)
{
	struct shm_window_result r;
	struct rate_want w;

	want_own(d, policy, out, &w);
	shm_window_peek(w.ring, (uint64_t)w.window_ms * TL_NS_PER_MS, w.limit,
			0, in->mono_ns - d->shm->head->k.created_mono_ns, &r);
	report(out, &w, &r, false);
}

static bool busy(struct decide_out *out)
{
	out->retry_after_ms = 1000;
	return refuse(out, DECIDE_UNAVAILABLE, DECIDE_R_BUSY);
}

bool rates_of_address(struct decide *d, const struct decide_in *in,
		      struct decide_out *out)
{
	struct rate_want w;

	if (!want_address(d, in, &w))
		return busy(out);
	return rates_check(d, in, &w, 1, out);
}

bool rates_of_anonymous(struct decide *d, const struct decide_in *in,
			const struct shm_policy *policy,
			struct decide_out *out)
{
	struct rate_want wants[DECIDE_EXTRAS_MAX + 1];
	uint32_t n = 1, i;

	if (!want_address(d, in, &wants[0]))
		return busy(out);
	for (i = 0; i < in->n_extras; i++)
		if (!want_extra(d, in, policy, &in->extras[i], out, wants, &n))
			return no_room(out);
	return rates_check(d, in, wants, n, out);
}
