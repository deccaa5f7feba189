/*
 * cmd_plan.c - plans: list, create, set.
 */
#include <stdio.h>
#include <string.h>

#include "pg/pg.h"
#include "store/q_plans.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/live.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

struct plan {
	struct tallyctl *t;
	struct live live;
	struct tl_str name;
	struct doc *features; /* given; a null member: take it away */
	struct q_plan_all_row row;
	struct q_plan_all_row *rows; /* list */
	uint32_t n;
};

static enum tl_status find(struct pg *pg, struct plan *p, struct tl_str name,
			   struct tl_err *err)
{
	enum tl_status st = q_plan_find(pg, name, p->t->arena, &p->row, err);

	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no plan '%.*s'; see 'tallyctl plan "
				  "list'",
				  (int)name.len, name.ptr);
	return st;
}

/* ---- show ---- */

static const struct doc *plan_doc(struct tl_arena *a,
				  const struct q_plan_all_row *r)
{
	struct doc *d = doc_object(a);
	const struct doc *features;
	struct tl_err err;

	if (doc_parse(a, DOC_JSON, r->features, &features, &err) != TL_OK)
		features = doc_null(); /* deeper than we read */
	doc_set(a, d, "id", doc_uuid(a, &r->plan_id));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "daily_credit_limit", doc_int(a, r->daily_credit_limit));
	doc_set(a, d, "price_cents", doc_int(a, r->price_cents));
	doc_set(a, d, "features", features);
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

static void print_plans(struct plan *p, const struct q_plan_all_row *rows,
			uint32_t n)
{
	static const char *const heads[] = { "NAME", "CREDITS/DAY",
					     "PRICE/MONTH", "FEATURES" };
	struct tl_arena *a = p->t->arena;
	struct table t;

	table_init(&t, a, heads, 4, 1u << 1 | 1u << 2);
	for (uint32_t i = 0; i < n; i++) {
		table_text(&t, rows[i].name);
		table_number(&t, rows[i].daily_credit_limit);
		table_text(&t, tl_str_c(tl_arena_printf(
				       a, "%d.%02d", rows[i].price_cents / 100,
				       rows[i].price_cents % 100)));
		table_text(&t, rows[i].features);
	}
	table_print(&t);
}

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct plan *p = arg;

	return q_plan_all(pg, p->t->arena, &p->rows, &p->n, err);
}

enum exit_status cmd_plan_list(struct tallyctl *t)
{
	struct doc *plans = doc_array(t->arena), *d = doc_object(t->arena);
	struct plan p = { .t = t };
	enum exit_status ex = db_do(t, run_list, &p);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_plans(&p, p.rows, p.n);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < p.n; i++)
		doc_push(t->arena, plans, plan_doc(t->arena, &p.rows[i]));
	doc_set(t->arena, d, "plans", plans);
	print_json(d);
	return EXIT_OK;
}

/* ---- create, set ---- */

/* rate_limit=50 is a number, sso=true a boolean, support=email a text. */
static const struct doc *feature_value(struct tl_arena *a, struct tl_str text)
{
	const struct doc *d;
	struct tl_err err;

	if (doc_parse(a, DOC_JSON, text, &d, &err) == TL_OK)
		return d;
	return doc_str(a, text);
}

static enum tl_status read_features(struct plan *p, struct tl_err *err)
{
	const struct doc *words = doc_get(p->t->args, "features"), *rate;
	int64_t n = ctl_number(p->t->args, "rate_limit", -1);
	struct tl_arena *a = p->t->arena;

	p->features = doc_object(a);
	for (uint32_t i = 0; words != NULL && i < words->n; i++) {
		struct tl_str value = words->items[i]->str, name;

		if (memchr(value.ptr, '=', value.len) == NULL ||
		    !tl_str_split(&value, '=', &name) || name.len == 0)
			return tl_err_set(err, TL_INVALID,
					  "'%.*s' is not FEATURE=VALUE",
					  (int)words->items[i]->str.len,
					  words->items[i]->str.ptr);
		doc_set(a, p->features, tl_arena_strndup(a, name.ptr, name.len),
			value.len > 0 ? feature_value(a, value) : doc_null());
	}
	if (n >= 0)
		doc_set(a, p->features, "rate_limit", doc_int(a, n));
	rate = doc_get(p->features, "rate_limit");
	if (rate != NULL && rate->type != DOC_NULL &&
	    !doc_is_int(rate, 1, INT32_MAX, &n))
		return tl_err_set(err, TL_INVALID,
				  "rate_limit must be an integer from 1 to "
				  "2147483647");
	return TL_OK;
}

static struct tl_str json_text(struct tl_arena *a, const struct doc *d)
{
	struct tl_str s;
	struct tl_buf b;

	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	s.ptr = tl_arena_strndup(a, b.ptr, b.len);
	s.len = b.len;
	tl_buf_deinit(&b);
	return s;
}

/* Given with a value, or without: to be taken away. */
static struct tl_str features_given(struct plan *p, struct pg_array *drop_r)
{
	struct tl_arena *a = p->t->arena;
	struct tl_str *names =
		tl_arena_alloc(a, (p->features->n + 1) * sizeof(*names));
	struct doc *set = doc_object(a);

	*drop_r = (struct pg_array){ .items = names };
	for (uint32_t i = 0; i < p->features->n; i++) {
		const struct doc_member *m = &p->features->members[i];

		if (m->value->type == DOC_NULL)
			names[drop_r->n++] = m->name;
		else
			doc_set(a, set, m->name.ptr, m->value);
	}
	return json_text(a, set);
}

static enum tl_status name_taken(struct tl_str name, struct tl_err *err)
{
	return tl_err_set(err, TL_CONFLICT, "there is a plan '%.*s' already",
			  (int)name.len, name.ptr);
}

static enum tl_status run_create(struct pg *pg, void *arg, struct tl_err *err)
{
	struct plan *p = arg;
	const struct doc *args = p->t->args;
	struct pg_array drop;
	const struct q_plan_insert_params in = {
		.name = p->name,
		.daily_credit_limit =
			(int32_t)ctl_number(args, "daily_credits", 0),
		.price_cents = (int32_t)ctl_number(args, "price_cents", 0),
		.features = features_given(p, &drop),
		.max = SHM_PLANS,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_plan_insert_row row;
	enum tl_status st;

	live_before(&p->live);
	st = q_plan_insert(pg, &in, p->t->arena, &row, err);
	live_after(&p->live);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_FULL,
				  "there are %d plans, which is all there can "
				  "be",
				  SHM_PLANS);
	if (st == TL_CONFLICT)
		return name_taken(p->name, err);
	if (st == TL_OK)
		st = live_plan(&p->live, pg, &row.plan_id, err);
	return st == TL_OK ? find(pg, p, p->name, err) : st;
}

static enum tl_status run_set(struct pg *pg, void *arg, struct tl_err *err)
{
	struct plan *p = arg;
	const struct doc *args = p->t->args;
	struct tl_str name = ctl_text(args, "name"), merge;
	int32_t daily = (int32_t)ctl_number(args, "daily_credits", -1);
	int32_t price = (int32_t)ctl_number(args, "price_cents", -1);
	struct q_plan_change_params c = { .actor = TALLYCTL_ACTOR };
	struct q_plan_change_row row;
	enum tl_status st;

	st = find(pg, p, p->name, err);
	if (st != TL_OK)
		return st;
	merge = features_given(p, &c.drop);
	c.plan_id = p->row.plan_id;
	c.name = name.ptr != NULL ? &name : NULL;
	c.daily_credit_limit = daily >= 0 ? &daily : NULL;
	c.price_cents = price >= 0 ? &price : NULL;
	c.merge = &merge;
	live_before(&p->live);
	st = q_plan_change(pg, &c, p->t->arena, &row, err);
	live_after(&p->live);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "the plan went away meanwhile");
	if (st == TL_CONFLICT)
		return name_taken(name, err);
	if (st == TL_OK)
		st = live_plan(&p->live, pg, &row.plan_id, err);
	return st == TL_OK ? find(pg, p, name.ptr != NULL ? name : p->name, err)
			   : st;
}

static enum exit_status store(struct plan *p, db_fn fn)
{
	enum exit_status ex = live_open(&p->live, p->t);

	if (ex != EXIT_OK)
		return ex;
	ex = db_do(p->t, fn, p);
	live_close(&p->live);
	if (ex == EXIT_OK && p->t->json)
		print_json(plan_doc(p->t->arena, &p->row));
	else if (ex == EXIT_OK)
		print_plans(p, &p->row, 1);
	return ex;
}

static enum tl_status read_plan(struct plan *p, struct tl_str name,
				struct tl_err *err)
{
	enum tl_status st;

	st = tally_text_check("a plan's name", name, TALLY_PLAN_NAME_MAX, err);
	return st == TL_OK ? read_features(p, err) : st;
}

enum exit_status cmd_plan_create(struct tallyctl *t)
{
	struct plan p = { .t = t, .name = ctl_text(t->args, "plan") };
	struct tl_err err;

	if (read_plan(&p, p.name, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return store(&p, run_create);
}

enum exit_status cmd_plan_set(struct tallyctl *t)
{
	struct plan p = { .t = t, .name = ctl_text(t->args, "plan") };
	struct tl_str name = ctl_text(t->args, "name");
	struct tl_err err;

	if (read_plan(&p, name.ptr != NULL ? name : p.name, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	if (t->args->n == 1) /* its name only */
		return complain(EXIT_USAGE, "give what to set; see 'tallyctl "
					    "-h'");
	return store(&p, run_set);
}
