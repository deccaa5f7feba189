/*
 * cmd_key_list.c - key list, key show.
 */
#include <stdio.h>

#include "pg/pg.h"
#include "tallyctl/db.h"
#include "tallyctl/key_find.h"

#define LIST_MAX 10000

/* ---- list ---- */

struct list {
	struct tallyctl *t;
	struct q_key_list_row *rows;
	uint32_t n;
};

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct list *l = arg;
	struct tl_str email = ctl_text(l->t->args, "email");
	struct q_key_list_by_user_params p = { .max = LIST_MAX };
	enum tl_status st;

	if (email.ptr == NULL)
		return q_key_list(pg, LIST_MAX, l->t->arena, &l->rows, &l->n,
				  err);
	st = key_find_user(pg, l->t, email, &p.user_id, err);
	if (st == TL_OK)
		st = q_key_list_by_user(pg, &p, l->t->arena, &l->rows, &l->n,
					err);
	return st;
}

static const struct doc *metadata_doc(const struct q_key_list_row *r,
				      struct tl_arena *a)
{
	const struct doc *d;

	/* by hand in SQL it may be anything */
	if (r->metadata_null ||
	    doc_parse(a, DOC_JSON, r->metadata, &d, NULL) != TL_OK)
		return doc_null();
	return d;
}

static const struct doc *key_doc(const struct q_key_list_row *r,
				 struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	doc_set(a, o, "id", doc_uuid(a, &r->key_id));
	doc_set(a, o, "prefix", doc_str(a, r->key_prefix));
	doc_set(a, o, "label", doc_str(a, r->label));
	doc_set(a, o, "status", doc_str(a, r->status));
	doc_set(a, o, "email", doc_str(a, r->email));
	doc_set(a, o, "user_id", doc_uuid(a, &r->user_id));
	doc_set(a, o, "created_at", doc_time(a, r->created_at_us));
	doc_set(a, o, "last_used_at",
		r->last_used_at_null ? doc_null()
				     : doc_time(a, r->last_used_at_us));
	doc_set(a, o, "expires_at",
		r->expires_at_null ? doc_null()
				   : doc_time(a, r->expires_at_us));
	doc_set(a, o, "grace_until",
		r->grace_until_null ? doc_null()
				    : doc_time(a, r->grace_until_us));
	doc_set(a, o, "scopes", doc_strs(a, r->scopes.items, r->scopes.n));
	doc_set(a, o, "allowed_ips",
		doc_strs(a, r->allowed_ips.items, r->allowed_ips.n));
	doc_set(a, o, "rate_limit",
		r->rate_limit_null ? doc_null() : doc_int(a, r->rate_limit));
	doc_set(a, o, "daily_credit_limit",
		r->daily_credit_limit_null ? doc_null()
					   : doc_int(a, r->daily_credit_limit));
	doc_set(a, o, "metadata", metadata_doc(r, a));
	return o;
}

static void print_key(const struct q_key_list_row *r, struct tl_arena *a)
{
	char id[TL_UUID_TEXT];

	tl_uuid_format(&r->key_id, id);
	(void)printf(
		"%s %-20.*s %-8.*s %s %.*s '%.*s'\n", id,
		(int)r->key_prefix.len, r->key_prefix.ptr, (int)r->status.len,
		r->status.ptr,
		r->last_used_at_null
			? "never used          "
			: time_text(a, r->last_used_at_us / 1000000 * 1000000),
		(int)r->email.len, r->email.ptr, (int)r->label.len,
		r->label.ptr);
}

enum exit_status cmd_key_list(struct tallyctl *t)
{
	struct doc *keys = doc_array(t->arena), *o = doc_object(t->arena);
	bool all = ctl_flag(t->args, "all");
	struct list l = { .t = t };
	enum exit_status ex;

	ex = db_do(t, run_list, &l);
	if (ex != EXIT_OK)
		return ex;
	for (uint32_t i = 0; i < l.n; i++) {
		if (!all && !tl_str_eq(l.rows[i].status, TL_STR("active")))
			continue;
		if (t->json)
			doc_push(t->arena, keys, key_doc(&l.rows[i], t->arena));
		else
			print_key(&l.rows[i], t->arena);
	}
	doc_set(t->arena, o, "keys", keys);
	if (t->json)
		print_json(o);
	if (l.n == LIST_MAX)
		(void)complain(EXIT_OK,
			       "only the newest %d keys were looked "
			       "at; give an e-mail address",
			       LIST_MAX);
	return EXIT_OK;
}

/* ---- show ---- */

static enum tl_status run_show(struct pg *pg, void *arg, struct tl_err *err)
{
	struct list *l = arg;

	return key_find(pg, l->t, ctl_text(l->t->args, "key"), l->rows, err);
}

static void line(const char *name, struct tl_str text)
{
	(void)printf("%-13s %.*s\n", name, (int)text.len, text.ptr);
}

static void time_line(const char *name, struct tl_arena *a, bool null,
		      const char *none, int64_t at_us)
{
	line(name, tl_str_c(null ? none : time_text(a, at_us)));
}

static void list_line(const char *name, struct pg_array items, const char *none)
{
	const struct tl_str *texts = items.items;

	(void)printf("%-13s", name);
	for (uint32_t i = 0; i < items.n; i++)
		(void)printf(" %.*s", (int)texts[i].len, texts[i].ptr);
	(void)puts(items.n == 0 ? none : "");
}

static void number_line(const char *name, bool null, const char *none,
			int32_t number, const char *what)
{
	if (null)
		line(name, tl_str_c(none));
	else
		(void)printf("%-13s %d %s\n", name, number, what);
}

static void print_whole(const struct q_key_list_row *r, struct tl_arena *a)
{
	char id[TL_UUID_TEXT];

	tl_uuid_format(&r->key_id, id);
	line("id", tl_str_c(id));
	line("prefix", r->key_prefix);
	line("label", r->label);
	line("owner", r->email);
	line("status", r->status);
	time_line("created", a, false, "", r->created_at_us);
	time_line("last used", a, r->last_used_at_null, "never",
		  r->last_used_at_us);
	time_line("expires", a, r->expires_at_null, "never", r->expires_at_us);
	if (!r->revoked_at_null)
		time_line("revoked", a, false, "", r->revoked_at_us);
	if (!r->grace_until_null)
		time_line("works until", a, false, "", r->grace_until_us);
	list_line("scopes", r->scopes, " all");
	list_line("addresses", r->allowed_ips, " any");
	number_line("rate limit", r->rate_limit_null, "as everybody",
		    r->rate_limit, "in limits.window_ms");
	number_line("daily limit", r->daily_credit_limit_null, "of its owner",
		    r->daily_credit_limit, "credits");
	line("metadata", r->metadata_null ? TL_STR("none") : r->metadata);
}

enum exit_status cmd_key_show(struct tallyctl *t)
{
	struct q_key_list_row row;
	struct list l = { .t = t, .rows = &row };
	enum exit_status ex = db_do(t, run_show, &l);

	if (ex != EXIT_OK)
		return ex;
	if (t->json)
		print_json(key_doc(&row, t->arena));
	else
		print_whole(&row, t->arena);
	return ex;
}
