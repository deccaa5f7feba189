/*
 * cmd_limit.c - named limits: list, show, create, set, delete.
 */
#include <inttypes.h>
#include <stdio.h>

#include "pg/pg.h"
#include "store/q_limits.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/live.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define OVERRIDES_SHOWN 10000

struct limit {
	struct tallyctl *t;
	struct live live;
	struct tl_str name;
	int32_t count, window_ms, burst; /* -1: not given */
	struct tl_str algorithm, scope;  /* ptr NULL: not given */
	int shadow;                      /* -1: not given */
	struct q_limit_all_row row;
	struct q_limit_all_row *rows;          /* list */
	struct q_override_page_row *overrides; /* show */
	uint32_t n;
};

static enum tl_status find(struct pg *pg, struct limit *l, struct tl_err *err)
{
	enum tl_status st =
		q_limit_find(pg, l->name, l->t->arena, &l->row, err);

	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no limit '%.*s'; see 'tallyctl "
				  "limit list'",
				  (int)l->name.len, l->name.ptr);
	return st;
}

/* ---- list, show ---- */

static struct doc *limit_doc(struct tl_arena *a,
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

static const char *window_text(struct tl_arena *a, int32_t window_ms)
{
	return window_ms % 1000 == 0
		       ? tl_arena_printf(a, "%d s", window_ms / 1000)
		       : tl_arena_printf(a, "%d ms", window_ms);
}

static void print_limits(struct limit *l, const struct q_limit_all_row *rows,
			 uint32_t n)
{
	static const char *const heads[] = { "NAME",  "COUNT",  "WINDOW",
					     "SCOPE", "SHADOW", "ALGORITHM" };
	struct tl_arena *a = l->t->arena;
	struct table t;

	table_init(&t, a, heads, 6, 1u << 1 | 1u << 2);
	for (uint32_t i = 0; i < n; i++) {
		const struct q_limit_all_row *r = &rows[i];

		table_text(&t, r->name);
		table_number(&t, r->count);
		table_text(&t, tl_str_c(window_text(a, r->window_ms)));
		table_text(&t, r->scope);
		table_text(&t, r->shadow ? TL_STR("on") : TL_STR("off"));
		table_text(&t, r->burst > 0
				       ? tl_str_c(tl_arena_printf(
						 a, "gcra, burst %d", r->burst))
				       : r->algorithm);
	}
	table_print(&t);
}

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct limit *l = arg;

	return q_limit_all(pg, l->t->arena, &l->rows, &l->n, err);
}

enum exit_status cmd_limit_list(struct tallyctl *t)
{
	struct doc *limits = doc_array(t->arena), *d = doc_object(t->arena);
	struct limit l = { .t = t };
	enum exit_status ex = db_do(t, run_list, &l);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_limits(&l, l.rows, l.n);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < l.n; i++)
		doc_push(t->arena, limits, limit_doc(t->arena, &l.rows[i]));
	doc_set(t->arena, d, "limits", limits);
	print_json(d);
	return EXIT_OK;
}

static enum tl_status run_show(struct pg *pg, void *arg, struct tl_err *err)
{
	struct limit *l = arg;
	struct q_override_page_params p = {
		.before_at_us = INT64_MAX / 2, /* behind the newest */
		.max = OVERRIDES_SHOWN,
	};
	enum tl_status st = find(pg, l, err);

	if (st != TL_OK)
		return st;
	p.limit_id = l->row.limit_id;
	return q_override_page(pg, &p, l->t->arena, &l->overrides, &l->n, err);
}

static const struct doc *override_doc(struct tl_arena *a,
				      const struct q_override_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->limit_override_id));
	doc_set(a, d, "user",
		r->email_null ? doc_null() : doc_str(a, r->email));
	doc_set(a, d, "key_id",
		r->key_id_null ? doc_null() : doc_uuid(a, &r->key_id));
	doc_set(a, d, "count", doc_int(a, r->count));
	return d;
}

static void print_overrides(struct limit *l)
{
	static const char *const heads[] = { "OVERRIDE", "OF" };
	char id[TL_UUID_TEXT];
	struct table t;

	if (l->n == 0)
		return;
	table_init(&t, l->t->arena, heads, 2, 1u);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct q_override_page_row *r = &l->overrides[i];

		table_number(&t, r->count);
		if (!r->key_id_null)
			tl_uuid_format(&r->key_id, id);
		table_text(&t, r->key_id_null ? r->email : tl_str_c(id));
	}
	(void)putchar('\n');
	table_print(&t);
}

enum exit_status cmd_limit_show(struct tallyctl *t)
{
	struct limit l = { .t = t, .name = ctl_text(t->args, "limit") };
	struct doc *overrides = doc_array(t->arena), *d;
	enum exit_status ex = db_do(t, run_show, &l);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_limits(&l, &l.row, 1);
		print_overrides(&l);
	} else {
		for (uint32_t i = 0; i < l.n; i++)
			doc_push(t->arena, overrides,
				 override_doc(t->arena, &l.overrides[i]));
		d = limit_doc(t->arena, &l.row);
		doc_set(t->arena, d, "overrides", overrides);
		print_json(d);
	}
	if (l.n == OVERRIDES_SHOWN)
		(void)complain(EXIT_OK,
			       "only the newest %d overrides are shown",
			       OVERRIDES_SHOWN);
	return EXIT_OK;
}

/* ---- what is given ---- */

static enum tl_status read_window(struct limit *l, struct tl_err *err)
{
	int64_t s = ctl_number(l->t->args, "window", -1);
	int64_t ms = ctl_number(l->t->args, "window_ms", -1);

	l->window_ms = -1;
	if (s < 0 && ms < 0)
		return TL_OK;
	if (s >= 0 && ms >= 0)
		return tl_err_set(err, TL_INVALID,
				  "give --window or --window-ms, not both");
	if (s >= 0)
		ms = s * 1000;
	if (ms < 1000 || ms > INT32_MAX)
		return tl_err_set(err, TL_INVALID,
				  "a window must be from 1 to 2147483 seconds");
	l->window_ms = (int32_t)ms;
	return TL_OK;
}

static enum tl_status read_limit(struct limit *l, struct tl_err *err)
{
	const struct doc *args = l->t->args;
	enum tl_status st = read_window(l, err);

	l->count = (int32_t)ctl_number(args, "count", -1);
	l->burst = (int32_t)ctl_number(args, "burst", -1);
	l->algorithm = ctl_text(args, "algorithm");
	l->scope = ctl_text(args, "scope");
	if (st == TL_OK && l->burst == 0)
		st = tl_err_set(err, TL_INVALID, "--burst must be 1 or more");
	if (st == TL_OK && l->algorithm.ptr != NULL)
		st = tally_algorithm_check(l->algorithm, err);
	if (st == TL_OK && l->scope.ptr != NULL)
		st = tally_limit_scope_check(l->scope, err);
	return st;
}

static enum tl_status read_switch(struct limit *l, struct tl_err *err)
{
	struct tl_str text = ctl_text(l->t->args, "shadow");

	l->shadow = -1;
	if (text.ptr == NULL)
		return TL_OK;
	l->shadow = tl_str_eq(text, TL_STR("on"));
	if (l->shadow == 1 || tl_str_eq(text, TL_STR("off")))
		return TL_OK;
	return tl_err_set(err, TL_INVALID, "--shadow must be on or off");
}

/* ---- create, set, delete ---- */

static enum tl_status no_burst(struct tl_err *err)
{
	return tl_err_set(err, TL_INVALID,
			  "--burst belongs to limits of --algorithm gcra");
}

static enum tl_status run_create(struct pg *pg, void *arg, struct tl_err *err)
{
	struct limit *l = arg;
	bool gcra = tl_str_eq(l->algorithm, TL_STR("gcra"));
	const struct q_limit_insert_params p = {
		.name = l->name,
		.count = l->count,
		.window_ms = l->window_ms,
		.algorithm = l->algorithm,
		.burst = l->burst > 0 ? l->burst : gcra,
		.scope = l->scope,
		.shadow = l->shadow == 1,
		.max = SHM_LIMITS,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_limit_insert_row row;
	enum tl_status st;

	st = q_limit_insert(pg, &p, l->t->arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_FULL,
				  "there are %d limits, which is all there can "
				  "be; delete one first",
				  SHM_LIMITS);
	if (st == TL_CONFLICT)
		return tl_err_set(err, TL_CONFLICT,
				  "there is a limit '%.*s' already",
				  (int)l->name.len, l->name.ptr);
	if (st == TL_OK)
		st = live_limit(&l->live, pg, &row.limit_id, err);
	return st == TL_OK ? find(pg, l, err) : st;
}

static enum tl_status run_set(struct pg *pg, void *arg, struct tl_err *err)
{
	struct limit *l = arg;
	const bool shadow = l->shadow == 1;
	struct q_limit_change_params p = {
		.count = l->count >= 0 ? &l->count : NULL,
		.window_ms = l->window_ms > 0 ? &l->window_ms : NULL,
		.algorithm = l->algorithm.ptr != NULL ? &l->algorithm : NULL,
		.burst = l->burst > 0 ? &l->burst : NULL,
		.shadow = l->shadow >= 0 ? &shadow : NULL,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_limit_change_row row;
	enum tl_status st = find(pg, l, err);

	if (st != TL_OK)
		return st;
	p.limit_id = l->row.limit_id;
	st = q_limit_change(pg, &p, l->t->arena, &row, err);
	if (st != TL_OK)
		return st;
	if (tl_str_eq(row.outcome, TL_STR("not_gcra")))
		return no_burst(err);
	st = live_limit(&l->live, pg, &p.limit_id, err);
	return st == TL_OK ? find(pg, l, err) : st;
}

static enum tl_status run_delete(struct pg *pg, void *arg, struct tl_err *err)
{
	struct limit *l = arg;
	struct q_limit_delete_params p = { .actor = TALLYCTL_ACTOR };
	struct q_limit_delete_row row;
	enum tl_status st = find(pg, l, err);

	if (st != TL_OK)
		return st;
	p.limit_id = l->row.limit_id;
	st = q_limit_delete(pg, &p, l->t->arena, &row, err);
	if (st == TL_OK || st == TL_NOT_FOUND) /* somebody else was faster */
		st = live_limit(&l->live, pg, &p.limit_id, err);
	return st;
}

static enum exit_status store(struct limit *l, db_fn fn)
{
	enum exit_status ex = live_open(&l->live, l->t);

	if (ex != EXIT_OK)
		return ex;
	ex = db_do(l->t, fn, l);
	live_close(&l->live);
	return ex;
}

static enum exit_status show(struct limit *l, enum exit_status ex)
{
	if (ex == EXIT_OK && l->t->json)
		print_json(limit_doc(l->t->arena, &l->row));
	else if (ex == EXIT_OK)
		print_limits(l, &l->row, 1);
	return ex;
}

enum exit_status cmd_limit_create(struct tallyctl *t)
{
	struct limit l = { .t = t, .name = ctl_text(t->args, "limit") };
	enum tl_status st;
	struct tl_err err;

	st = tally_limit_name_check(l.name, &err);
	if (st == TL_OK)
		st = read_limit(&l, &err);
	if (st == TL_OK && l.window_ms < 0)
		st = tl_err_set(&err, TL_INVALID,
				"give --window SECONDS or --window-ms N");
	if (st == TL_OK && l.algorithm.ptr == NULL)
		l.algorithm = TL_STR("sliding");
	if (st == TL_OK && l.scope.ptr == NULL)
		l.scope = TL_STR("key");
	if (st == TL_OK && l.burst > 0 &&
	    !tl_str_eq(l.algorithm, TL_STR("gcra")))
		st = no_burst(&err);
	if (st != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	l.shadow = ctl_flag(t->args, "shadow");
	return show(&l, store(&l, run_create));
}

enum exit_status cmd_limit_set(struct tallyctl *t)
{
	struct limit l = { .t = t, .name = ctl_text(t->args, "limit") };
	enum tl_status st;
	struct tl_err err;

	st = read_limit(&l, &err);
	if (st == TL_OK)
		st = read_switch(&l, &err);
	if (st == TL_OK && t->args->n == 1) /* its name only */
		st = tl_err_set(&err, TL_INVALID,
				"give what to set; see 'tallyctl -h'");
	if (st != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return show(&l, store(&l, run_set));
}

enum exit_status cmd_limit_delete(struct tallyctl *t)
{
	struct limit l = { .t = t, .name = ctl_text(t->args, "limit") };
	struct doc *d = doc_object(t->arena);
	enum exit_status ex = store(&l, run_delete);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		(void)printf("deleted %.*s\n", (int)l.name.len, l.name.ptr);
		return EXIT_OK;
	}
	doc_set(t->arena, d, "deleted", doc_bool(true));
	doc_set(t->arena, d, "id", doc_uuid(t->arena, &l.row.limit_id));
	doc_set(t->arena, d, "name", doc_str(t->arena, l.name));
	print_json(d);
	return EXIT_OK;
}
