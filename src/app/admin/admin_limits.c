/*
 * admin_limits.c - limits by name, which the gate and verify may ask for.
 *
 * Name and scope stay as they are: the name stands in proxies' configurations,
 * and counts of one scope mean nothing in another.
 */
#include <stddef.h>
#include <string.h>

#include "app/admin/admin.h"
#include "app/keys/keys.h"
#include "app/words.h"
#include "shm/layout.h"
#include "store/q_limits.h"
#include "tally/input.h"

#define NONE SHAPE_NO_OFFSET
#define L(m) offsetof(struct limit_input, m)

struct limit_input {
	struct tl_str name, algorithm, scope;
	int64_t count, window_ms, burst;
	bool shadow;
	bool has_count, has_window, has_algorithm, has_burst, has_shadow;
};

/* clang-format off */
static const struct shape_field view_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "of the limit" },
	{ "name", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "as in limit=NAME" },
	{ "count", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "how many in a window" },
	{ "window_ms", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "length of the window" },
	{ "algorithm", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  &WORDS_LIMIT_ALGORITHM, "how it counts" },
	{ "burst", SHAPE_INT, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "of gcra: how many at once; 0 for sliding" },
	{ "scope", SHAPE_STR, SHAPE_REQUIRED, NONE, NONE, 0, 0,
	  &WORDS_LIMIT_SCOPE, "whose requests are counted together" },
	{ "shadow", SHAPE_BOOL, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "true: counts and reports, refuses nothing" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, NONE, NONE, 0, 0, NULL,
	  "when it was made" },
	{ .name = NULL },
};
const struct shape ADMIN_LIMIT_SHAPE = { "Limit", 0, view_fields };

#define LIMIT_RULES(required_)                                                 \
	{ "count", SHAPE_INT, (required_), L(count), L(has_count), 0,          \
	  INT32_MAX, NULL, "how many in a window; 0 refuses all" },            \
	{ "window_ms", SHAPE_INT, (required_), L(window_ms), L(has_window),    \
	  1000, INT32_MAX, NULL, "length of the window" },                     \
	{ "algorithm", SHAPE_STR, 0, L(algorithm), L(has_algorithm), 1, 20,    \
	  NULL, "sliding, exact; or gcra, evenly spread" },                    \
	{ "burst", SHAPE_INT, 0, L(burst), L(has_burst), 1, INT32_MAX, NULL,   \
	  "of gcra: how many at once; 1 unless given" },                       \
	{ "shadow", SHAPE_BOOL, 0, L(shadow), L(has_shadow), 0, 0, NULL,       \
	  "true: counts and reports, refuses nothing" },                       \
	{ .name = NULL }
static const struct shape_field new_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, L(name), NONE, 1, SHM_NAME_MAX,
	  NULL, "1 to 40 of a-z 0-9 _ . -; not key or address" },
	{ "scope", SHAPE_STR, 0, L(scope), NONE, 1, 20, NULL,
	  "whose requests are counted together: key (unless given), user or "
	  "address" },
	LIMIT_RULES(SHAPE_REQUIRED)
};
static const struct shape_field change_fields[] = { LIMIT_RULES(0) };
const struct shape ADMIN_LIMIT_NEW_SHAPE = {
	"LimitNew", sizeof(struct limit_input), new_fields
};
const struct shape ADMIN_LIMIT_CHANGE_SHAPE = {
	"LimitChange", sizeof(struct limit_input), change_fields
};
/* clang-format on */

/* ---- list ---- */

static const struct doc *view(struct tl_arena *a,
			      const struct q_limit_all_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->limit_id));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "count", doc_int(a, r->count));
	doc_set(a, d, "window_ms", doc_int(a, r->window_ms));
	doc_set(a, d, "algorithm", doc_str(a, r->algorithm));
	doc_set(a, d, "burst", doc_int(a, r->burst));
	doc_set(a, d, "scope", doc_str(a, r->scope));
	doc_set(a, d, "shadow", doc_bool(r->shadow));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

void admin_limits_list(struct req *req)
{
	struct q_limit_all_row *rows;
	struct doc *list;
	enum tl_status st;
	struct tl_err err;
	uint32_t n;

	st = q_limit_all(req_pg(req), &req->arena, &rows, &n, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	list = doc_array(&req->arena);
	for (uint32_t i = 0; i < n; i++)
		doc_push(&req->arena, list, view(&req->arena, &rows[i]));
	req_reply_list(req, list, NULL);
}

/* ---- create, change, delete ---- */

static bool refuse(struct req *req, const struct tl_err *err)
{
	req_fail(req, 400, "bad_request", "%s", err->text);
	return false;
}

static bool words_good(struct req *req, const struct limit_input *in)
{
	struct tl_err err;

	if (in->name.ptr != NULL &&
	    tally_limit_name_check(in->name, &err) != TL_OK)
		return refuse(req, &err);
	if (in->algorithm.ptr != NULL &&
	    tally_algorithm_check(in->algorithm, &err) != TL_OK)
		return refuse(req, &err);
	if (in->scope.ptr != NULL &&
	    tally_limit_scope_check(in->scope, &err) != TL_OK)
		return refuse(req, &err);
	return true;
}

static void fail_burst(struct req *req)
{
	req_fail(req, 400, "bad_request",
		 "burst: belongs to limits of algorithm gcra");
}

static void settle_created(struct req *req, const struct tl_uuid *limit_id)
{
	struct tl_err err;
	enum tl_status st = http_policy_live(req->http, &err);

	if (admin_in_force(req, st, &err))
		admin_reply_created(req, "/api/admin/limits", limit_id);
}

void admin_limit_create(struct req *req)
{
	struct limit_input in = { .algorithm = TL_STR("sliding"),
				  .scope = TL_STR("key") };
	struct q_limit_insert_params p;
	struct q_limit_insert_row row;
	enum tl_status st;
	struct tl_err err;
	bool gcra;

	if (!req_body(req, &in) || !words_good(req, &in))
		return;
	gcra = tl_str_eq(in.algorithm, TL_STR("gcra"));
	if (in.has_burst && !gcra) {
		fail_burst(req);
		return;
	}
	p = (struct q_limit_insert_params){
		.name = in.name,
		.count = (int32_t)in.count,
		.window_ms = (int32_t)in.window_ms,
		.algorithm = in.algorithm,
		.burst = in.has_burst ? (int32_t)in.burst : gcra,
		.scope = in.scope,
		.shadow = in.shadow,
		.max = SHM_LIMITS,
	};
	if (!admin_actor(req, &p.actor))
		return;
	st = q_limit_insert(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_OK)
		settle_created(req, &row.limit_id);
	else if (st == TL_NOT_FOUND)
		req_fail(req, 409, "conflict",
			 "there are %d limits, which is all there can be; "
			 "delete one first",
			 SHM_LIMITS);
	else
		admin_fail_taken(req, st, &err, "name", in.name);
}

static bool store_change(struct req *req, const struct limit_input *in,
			 const struct tl_uuid *limit_id)
{
	int32_t count = (int32_t)in->count, window_ms = (int32_t)in->window_ms;
	int32_t burst = (int32_t)in->burst;
	struct q_limit_change_params p = {
		.limit_id = *limit_id,
		.count = in->has_count ? &count : NULL,
		.window_ms = in->has_window ? &window_ms : NULL,
		.algorithm = in->has_algorithm ? &in->algorithm : NULL,
		.burst = in->has_burst ? &burst : NULL,
		.shadow = in->has_shadow ? &in->shadow : NULL,
	};
	struct q_limit_change_row row;
	enum tl_status st;
	struct tl_err err;

	if (!admin_actor(req, &p.actor))
		return false;
	st = q_limit_change(req_pg(req), &p, &req->arena, &row, &err);
	if (st != TL_OK)
		req_fail_status(req, st, &err);
	else if (tl_str_eq(row.outcome, TL_STR("no_limit")))
		req_fail(req, 404, "not_found", "there is no such limit");
	else if (tl_str_eq(row.outcome, TL_STR("not_gcra")))
		fail_burst(req);
	else
		return true;
	return false;
}

void admin_limit_change(struct req *req)
{
	struct limit_input in = { .has_count = false };
	struct tl_uuid limit_id;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "limit_id", &limit_id) || !req_body(req, &in) ||
	    !words_good(req, &in))
		return;
	if (!in.has_count && !in.has_window && !in.has_algorithm &&
	    !in.has_burst && !in.has_shadow) {
		req_fail(req, 400, "bad_request",
			 "give count, window_ms, algorithm, burst or shadow");
		return;
	}
	if (!store_change(req, &in, &limit_id))
		return;
	st = http_policy_live(req->http, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_flag(req, "updated");
}

void admin_limit_delete(struct req *req)
{
	struct q_limit_delete_params p;
	struct q_limit_delete_row row;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "limit_id", &p.limit_id) ||
	    !admin_actor(req, &p.actor))
		return;
	st = q_limit_delete(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_NOT_FOUND) {
		req_fail(req, 404, "not_found", "there is no such limit");
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	st = http_policy_live(req->http, &err);
	if (admin_in_force(req, st, &err))
		admin_reply_flag(req, "deleted");
}
