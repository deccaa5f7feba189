/*
 * admin_plans.c - what people can have: credits a day and a price.
 */
#include <stddef.h>
#include <string.h>

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "shm/layout.h"
#include "store/q_plans.h"
#include "tally/input.h"

#define NONE SHAPE_NO_OFFSET
#define P(m) offsetof(struct plan_input, m)

struct plan_input {
	struct tl_str name;
	int64_t daily_credit_limit, price_cents;
	const struct doc *features;
	bool has_name, has_limit, has_price, has_features;
};

/* clang-format off */
static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "of the plan" },
	{ "name", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "unique" },
	{ "daily_credit_limit", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  NULL, "credits of a user a day" },
	{ "price_cents", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "a month" },
	{ "features", SHAPE_ANY, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "an object; rate_limit counts with limits.from_plan" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when it was made" },
	{ .name = NULL },
};
const struct shape ADMIN_PLAN_SHAPE = { "Plan", 0, view_fields };

#define PLAN_FIELDS(required_)                                                 \
	{ "name", SHAPE_STR, (required_) | SHAPE_TRIM | SHAPE_NO_CONTROL,      \
	  P(name), P(has_name), 1, TALLY_PLAN_NAME_MAX, NULL, "of no other plan" },  \
	{ "daily_credit_limit", SHAPE_INT, (required_),                        \
	  P(daily_credit_limit), P(has_limit), 0, INT32_MAX, NULL,             \
	  "credits of a user a day; 0 blocks all that is charged" },           \
	{ "price_cents", SHAPE_INT, (required_), P(price_cents),               \
	  P(has_price), 0, INT32_MAX, NULL, "a month" },                       \
	{ "features", SHAPE_ANY, 0, P(features), P(has_features), 0, 0, NULL,  \
	  "an object, in place of the one before; its rate_limit, if any, is " \
	  "an integer above 0" },                                              \
	{ .name = NULL }
static const struct shape_field new_fields[] = { PLAN_FIELDS(SHAPE_REQUIRED) };
static const struct shape_field change_fields[] = { PLAN_FIELDS(0) };
const struct shape ADMIN_PLAN_NEW_SHAPE = {
	"PlanNew", sizeof(struct plan_input), new_fields
};
const struct shape ADMIN_PLAN_CHANGE_SHAPE = {
	"PlanChange", sizeof(struct plan_input), change_fields
};
/* clang-format on */

/* ---- list ---- */

static const struct doc *view(struct tl_arena *a,
			      const struct q_plan_all_row *r)
{
	struct doc *d = doc_object(a);
	const struct doc *features;
	struct tl_err err;

	/* made by hand in SQL it may be nested too deep to be shown */
	if (doc_parse(a, DOC_JSON, r->features, &features, &err) != TL_OK ||
	    features->type != DOC_OBJECT)
		features = doc_object(a);
	doc_set(a, d, "id", doc_uuid(a, &r->plan_id));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "daily_credit_limit", doc_int(a, r->daily_credit_limit));
	doc_set(a, d, "price_cents", doc_int(a, r->price_cents));
	doc_set(a, d, "features", features);
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

void admin_plans_list(struct req *req)
{
	struct q_plan_all_row *rows;
	struct doc *list;
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	st = q_plan_all(req_pg(req), &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	list = doc_array(&req->arena);
	for (uint32_t i = 0; i < n; i++)
		doc_push(&req->arena, list, view(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

/* ---- create, change ---- */

static bool features_text(struct req *req, const struct plan_input *in,
			  struct tl_str *json_r)
{
	const struct doc *rate;
	int64_t n;

	*json_r = TL_STR("{}");
	if (!in->has_features)
		return true;
	if (in->features->type != DOC_OBJECT) {
		req_fail(req, 400, "bad_request",
			 "features: must be an object");
		return false;
	}
	rate = doc_get(in->features, "rate_limit");
	if (rate != NULL && !doc_is_int(rate, 1, INT32_MAX, &n)) {
		req_fail(req, 400, "bad_request",
			 "features.rate_limit: must be an integer from 1 to "
			 "2147483647");
		return false;
	}
	*json_r = doc_json(&req->arena, in->features);
	return true;
}

void admin_plan_create(struct req *req)
{
	struct plan_input in = { .has_features = false };
	struct q_plan_insert_params p = { .max = SHM_PLANS };
	struct q_plan_insert_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_body(req, &in) || !features_text(req, &in, &p.features) ||
	    !admin_actor(req, &p.actor))
		return;
	p.name = in.name;
	p.daily_credit_limit = (int32_t)in.daily_credit_limit;
	p.price_cents = (int32_t)in.price_cents;
	st = q_plan_insert(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND) {
		req_fail(req, 409, "conflict",
			 "there are %d plans, which is all there can be",
			 SHM_PLANS);
		return;
	}
	if (st != TL_OK) {
		admin_fail_taken(req, st, &err, "name", in.name);
		return;
	}
	st = http_policy_live(req->http, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_created(req, "/api/admin/plans", &row.plan_id);
}

void admin_plan_change(struct req *req)
{
	struct plan_input in = { .has_name = false };
	struct q_plan_change_params p = { .name = NULL };
	struct q_plan_change_row row;
	int32_t limit, price;
	struct tl_str features;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "plan_id", &p.plan_id) || !req_body(req, &in) ||
	    !features_text(req, &in, &features))
		return;
	if (!in.has_name && !in.has_limit && !in.has_price &&
	    !in.has_features) {
		req_fail(req, 400, "bad_request",
			 "give name, daily_credit_limit, price_cents or "
			 "features");
		return;
	}
	if (!admin_actor(req, &p.actor))
		return;
	limit = (int32_t)in.daily_credit_limit;
	price = (int32_t)in.price_cents;
	p.name = in.has_name ? &in.name : NULL;
	p.daily_credit_limit = in.has_limit ? &limit : NULL;
	p.price_cents = in.has_price ? &price : NULL;
	p.features = in.has_features ? &features : NULL;
	st = q_plan_change(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND) {
		req_fail(req, 404, "not_found", "there is no such plan");
		return;
	}
	if (st != TL_OK) {
		admin_fail_taken(req, st, &err, "name", in.name);
		return;
	}
	st = http_policy_live(req->http, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_flag(req, "updated");
}
