/*
 * cmd_user.c - users: list, show, set, suspend, activate.
 */
#include <inttypes.h>
#include <stdio.h>

#include "pg/pg.h"
#include "store/q_admin.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/live.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define LIST_MAX 10000

struct user {
	struct tallyctl *t;
	struct live live;
	struct tl_str email;
	struct q_user_change_params p;
	struct q_user_show_row row;
	struct q_user_page_row *rows; /* list */
	uint32_t n;
};

static enum tl_status find(struct pg *pg, struct user *u, struct tl_err *err)
{
	enum tl_status st;

	st = q_user_show(pg, u->email, u->t->arena, &u->row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no user '%.*s'; see 'tallyctl user "
				  "list'",
				  (int)u->email.len, u->email.ptr);
	return st;
}

/* ---- list, show ---- */

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct user *u = arg;
	struct tl_str q = ctl_text(u->t->args, "q");
	struct q_user_page_params p = {
		.before_at_us = INT64_MAX / 2, /* behind the newest */
		.q = q.ptr != NULL ? q : TL_STR(""),
		.max = LIST_MAX,
	};

	return q_user_page(pg, &p, u->t->arena, &u->rows, &u->n, err);
}

static const struct doc *row_doc(struct tl_arena *a,
				 const struct q_user_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->user_id));
	doc_set(a, d, "email", doc_str(a, r->email));
	doc_set(a, d, "name", r->name_null ? doc_null() : doc_str(a, r->name));
	doc_set(a, d, "status", doc_str(a, r->status));
	doc_set(a, d, "plan", doc_str(a, r->plan));
	doc_set(a, d, "key_count", doc_int(a, r->key_count));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

static void print_list(struct user *u)
{
	static const char *const heads[] = { "E-MAIL", "STATUS", "PLAN", "KEYS",
					     "NAME" };
	struct table t;

	table_init(&t, u->t->arena, heads, 5, 1u << 3);
	for (uint32_t i = 0; i < u->n; i++) {
		table_text(&t, u->rows[i].email);
		table_text(&t, u->rows[i].status);
		table_text(&t, u->rows[i].plan);
		table_number(&t, u->rows[i].key_count);
		table_text(&t, u->rows[i].name);
	}
	table_print(&t);
}

enum exit_status cmd_user_list(struct tallyctl *t)
{
	struct doc *users = doc_array(t->arena), *d = doc_object(t->arena);
	struct user u = { .t = t };
	enum exit_status ex;

	ex = db_do(t, run_list, &u);
	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_list(&u);
	} else {
		for (uint32_t i = 0; i < u.n; i++)
			doc_push(t->arena, users,
				 row_doc(t->arena, &u.rows[i]));
		doc_set(t->arena, d, "users", users);
		print_json(d);
	}
	if (u.n == LIST_MAX)
		(void)complain(EXIT_OK,
			       "only the newest %d users are shown; narrow it "
			       "down with --q",
			       LIST_MAX);
	return EXIT_OK;
}

static enum tl_status run_show(struct pg *pg, void *arg, struct tl_err *err)
{
	return find(pg, arg, err);
}

static void print_user(const struct user *u)
{
	const struct q_user_show_row *r = &u->row;
	struct tl_arena *a = u->t->arena;
	struct doc *d = doc_object(a);
	char id[TL_UUID_TEXT];

	if (!u->t->json) {
		tl_uuid_format(&r->user_id, id);
		(void)printf("id       %s\ne-mail   %.*s\nname     %.*s\n"
			     "status   %.*s\nplan     %.*s, %d credits a day\n"
			     "keys     %" PRId64 " active\ncreated  %s\n"
			     "updated  %s\n",
			     id, (int)r->email.len, r->email.ptr,
			     (int)(r->name_null ? 1 : r->name.len),
			     r->name_null ? "-" : r->name.ptr,
			     (int)r->status.len, r->status.ptr,
			     (int)r->plan.len, r->plan.ptr,
			     r->daily_credit_limit, r->key_count,
			     time_text(a, r->created_at_us),
			     time_text(a, r->updated_at_us));
		return;
	}
	doc_set(a, d, "id", doc_uuid(a, &r->user_id));
	doc_set(a, d, "email", doc_str(a, r->email));
	doc_set(a, d, "name", r->name_null ? doc_null() : doc_str(a, r->name));
	doc_set(a, d, "status", doc_str(a, r->status));
	doc_set(a, d, "plan", doc_str(a, r->plan));
	doc_set(a, d, "daily_credit_limit", doc_int(a, r->daily_credit_limit));
	doc_set(a, d, "key_count", doc_int(a, r->key_count));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, d, "updated_at", doc_time(a, r->updated_at_us));
	print_json(d);
}

enum exit_status cmd_user_show(struct tallyctl *t)
{
	struct user u = { .t = t, .email = ctl_text(t->args, "email") };
	enum exit_status ex = db_do(t, run_show, &u);

	if (ex == EXIT_OK)
		print_user(&u);
	return ex;
}

/* ---- change ---- */

/* What a decision hangs on; a change that changes nothing tells nobody, so
 * there would be nothing to wait for. */
static bool matters(const struct user *u)
{
	return (u->p.plan != NULL && !tl_str_eq(*u->p.plan, u->row.plan)) ||
	       (u->p.status != NULL && !tl_str_eq(*u->p.status, u->row.status));
}

static enum tl_status run_change(struct pg *pg, void *arg, struct tl_err *err)
{
	struct user *u = arg;
	struct q_user_change_row row;
	enum tl_status st;
	bool wait;

	st = find(pg, u, err);
	if (st != TL_OK)
		return st;
	wait = matters(u);
	u->p.user_id = u->row.user_id;
	u->p.actor = TALLYCTL_ACTOR;
	live_before(&u->live);
	st = q_user_change(pg, &u->p, u->t->arena, &row, err);
	live_after(&u->live);
	if (st != TL_OK)
		return st;
	if (tl_str_eq(row.outcome, TL_STR("no_plan")))
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no plan '%.*s'; see 'tallyctl plan "
				  "list'",
				  (int)u->p.plan->len, u->p.plan->ptr);
	if (!tl_str_eq(row.outcome, TL_STR("changed")))
		return tl_err_set(err, TL_NOT_FOUND,
				  "the user went away meanwhile");
	if (wait)
		st = live_user(&u->live, pg, &u->p.user_id, err);
	return st == TL_OK ? find(pg, u, err) : st; /* as it is now */
}

static enum exit_status change(struct user *u)
{
	enum exit_status ex = live_open(&u->live, u->t);

	if (ex != EXIT_OK)
		return ex;
	ex = db_do(u->t, run_change, u);
	live_close(&u->live);
	if (ex == EXIT_OK)
		print_user(u);
	return ex;
}

enum exit_status cmd_user_set(struct tallyctl *t)
{
	struct tl_str plan = ctl_text(t->args, "plan");
	struct tl_str name = ctl_text(t->args, "name");
	struct user u = { .t = t, .email = ctl_text(t->args, "email") };
	struct tl_err err;

	if (plan.ptr == NULL && name.ptr == NULL)
		return complain(EXIT_USAGE, "give --plan, --name or both");
	if (name.len > 0 &&
	    tally_text_check("a name", name, TALLY_NAME_MAX, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	u.p.plan = plan.ptr != NULL ? &plan : NULL;
	u.p.name = name.ptr != NULL ? &name : NULL;
	return change(&u);
}

static enum exit_status set_status(struct tallyctl *t, const char *status)
{
	struct user u = { .t = t, .email = ctl_text(t->args, "email") };
	struct tl_str text = tl_str_c(status);

	u.p.status = &text;
	return change(&u);
}

enum exit_status cmd_user_suspend(struct tallyctl *t)
{
	return set_status(t, "suspended");
}

enum exit_status cmd_user_activate(struct tallyctl *t)
{
	return set_status(t, "active");
}
