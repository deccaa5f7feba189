/*
 * cmd_override.c - limit override: one user's or one key's own count.
 */
#include <stdio.h>

#include "decide/decide.h"
#include "pg/pg.h"
#include "store/q_admin.h"
#include "store/q_limits.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/live.h"
#include "tallyctl/tallyctl.h"

struct override {
	struct tallyctl *t;
	struct live live;
	struct tl_str limit, email; /* email.ptr NULL: a key's */
	int32_t count;              /* -1: remove it */
	struct tl_uuid limit_id, user_id, key_id;
	struct tl_str digest; /* of the key */
};

static enum tl_status find(struct pg *pg, struct override *o,
			   struct tl_err *err)
{
	struct q_limit_all_row limit;
	struct q_user_show_row user;
	enum tl_status st;

	st = q_limit_find(pg, o->limit, o->t->arena, &limit, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no limit '%.*s'; see 'tallyctl "
				  "limit list'",
				  (int)o->limit.len, o->limit.ptr);
	if (st != TL_OK)
		return st;
	o->limit_id = limit.limit_id;
	if (o->email.ptr == NULL)
		return TL_OK;
	st = q_user_show(pg, o->email, o->t->arena, &user, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no user '%.*s'; see 'tallyctl user "
				  "list'",
				  (int)o->email.len, o->email.ptr);
	if (st == TL_OK)
		o->user_id = user.user_id;
	return st;
}

static enum tl_status set(struct pg *pg, struct override *o, struct tl_err *err)
{
	const struct q_override_set_params p = {
		.limit_id = o->limit_id,
		.user_id = o->email.ptr != NULL ? &o->user_id : NULL,
		.key_id = o->email.ptr == NULL ? &o->key_id : NULL,
		.max = TALLY_OVERRIDES_MAX,
		.max_user = DECIDE_USER_MAX,
		.count = o->count,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_override_set_row row;
	enum tl_status st;

	st = q_override_set(pg, &p, o->t->arena, &row, err);
	if (st != TL_OK)
		return st;
	o->digest = row.digest;
	if (tl_str_eq(row.outcome, TL_STR("set")))
		return TL_OK;
	if (tl_str_eq(row.outcome, TL_STR("too_many")))
		return tl_err_set(err, TL_FULL,
				  "a user or key has at most %d overrides, a "
				  "user at most %d for limits of scope user; "
				  "remove one first",
				  TALLY_OVERRIDES_MAX, DECIDE_USER_MAX);
	return tl_err_set(err, TL_NOT_FOUND,
			  "there is no such key; see 'tallyctl key list'");
}

static enum tl_status remove_it(struct pg *pg, struct override *o,
				struct tl_err *err)
{
	const struct q_override_remove_params p = {
		.limit_id = o->limit_id,
		.user_id = o->email.ptr != NULL ? &o->user_id : NULL,
		.key_id = o->email.ptr == NULL ? &o->key_id : NULL,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_override_remove_row row;
	enum tl_status st;

	st = q_override_remove(pg, &p, o->t->arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no such override; see 'tallyctl "
				  "limit show %.*s'",
				  (int)o->limit.len, o->limit.ptr);
	if (st == TL_OK)
		o->digest = row.digest;
	return st;
}

static enum tl_status run(struct pg *pg, void *arg, struct tl_err *err)
{
	struct override *o = arg;
	struct tally_digest digest;
	enum tl_status st;

	st = find(pg, o, err);
	if (st != TL_OK)
		return st;
	live_before(&o->live);
	st = o->count >= 0 ? set(pg, o, err) : remove_it(pg, o, err);
	live_after(&o->live);
	if (st != TL_OK)
		return st;
	if (o->email.ptr != NULL)
		return live_override(&o->live, pg, &o->limit_id, &o->user_id,
				     NULL, err);
	if (o->digest.len != sizeof(digest.b))
		return TL_OK; /* no key of ours: nobody can present it */
	memcpy(digest.b, o->digest.ptr, sizeof(digest.b));
	return live_override(&o->live, pg, &o->limit_id, NULL, &digest, err);
}

static void report(const struct override *o)
{
	struct tl_arena *a = o->t->arena;
	struct doc *d = doc_object(a);
	bool user = o->email.ptr != NULL;
	char id[TL_UUID_TEXT];
	struct tl_str who = o->email;

	if (!user) {
		tl_uuid_format(&o->key_id, id);
		who = tl_str_c(id);
	}
	if (!o->t->json) {
		if (o->count >= 0)
			(void)printf("%.*s: %d for %.*s\n", (int)o->limit.len,
				     o->limit.ptr, o->count, (int)who.len,
				     who.ptr);
		else
			(void)printf("%.*s: as everybody for %.*s\n",
				     (int)o->limit.len, o->limit.ptr,
				     (int)who.len, who.ptr);
		return;
	}
	doc_set(a, d, "limit", doc_str(a, o->limit));
	doc_set(a, d, "user", user ? doc_str(a, who) : doc_null());
	doc_set(a, d, "key_id", user ? doc_null() : doc_uuid(a, &o->key_id));
	doc_set(a, d, "count",
		o->count >= 0 ? doc_int(a, o->count) : doc_null());
	print_json(d);
}

enum exit_status cmd_limit_override(struct tallyctl *t)
{
	struct tl_str key = ctl_text(t->args, "key");
	bool remove = ctl_flag(t->args, "remove");
	struct override o = {
		.t = t,
		.limit = ctl_text(t->args, "limit"),
		.email = ctl_text(t->args, "user"),
		.count = (int32_t)ctl_number(t->args, "count", -1),
	};
	enum exit_status ex;

	if ((o.email.ptr != NULL) == (key.ptr != NULL))
		return complain(EXIT_USAGE, "give --user EMAIL or --key "
					    "KEY-ID");
	if (key.ptr != NULL && !tl_uuid_parse(key, &o.key_id))
		return complain(EXIT_USAGE,
				"'%.*s' is no key id; see 'tallyctl key list'",
				(int)key.len, key.ptr);
	if ((o.count >= 0) == remove)
		return complain(EXIT_USAGE, "give --count N or --remove");
	ex = live_open(&o.live, t);
	if (ex != EXIT_OK)
		return ex;
	ex = db_do(t, run, &o);
	live_close(&o.live);
	if (ex == EXIT_OK)
		report(&o);
	return ex;
}
