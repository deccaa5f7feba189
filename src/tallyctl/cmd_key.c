/*
 * cmd_key.c - key create, user create: straight to the database, which tells
 * the daemon.  The secret is printed once and is nowhere else.
 */
#include "base/clock.h"
#include "pg/pg.h"
#include "store/q_users.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/key_find.h"
#include "tallyctl/key_input.h"
#include "tallyctl/secret.h"

/* A key to be made, for a user that is there or is made with it. */
struct new_key {
	struct tallyctl *t;
	/* input */
	struct tl_str email;
	struct tl_str plan, name; /* user create; plan.len 0: key create */
	struct tl_str label;
	const int64_t *expires_us;
	const int32_t *rate_limit, *daily_limit;
	struct pg_array scopes, networks;
	const struct tl_str *metadata;
	int64_t expires_value;
	int32_t rate_value, daily_value;
	struct tl_str metadata_value;
	/* result */
	struct secret secret;
	struct tl_uuid user_id;
	struct q_key_insert_row made;
};

/* The user is known by now. */
static enum tl_status insert_key(struct pg *pg, struct new_key *k,
				 struct tl_err *err)
{
	uint32_t max = k->t->conf->keys.max_per_user;
	struct q_key_insert_params p;
	enum tl_status st;

	secret_make(&k->secret, k->t->conf);
	p = (struct q_key_insert_params){
		.actor = TALLYCTL_ACTOR,
		.user_id = k->user_id,
		.digest = secret_digest(&k->secret),
		.prefix = secret_prefix(&k->secret),
		.label = k->label,
		.max_active = (int32_t)max,
		.expires_at_us = k->expires_us,
		.scopes = k->scopes,
		.allowed_ips = k->networks,
		.rate_limit = k->rate_limit,
		.daily_credit_limit = k->daily_limit,
		.metadata = k->metadata,
	};
	st = q_key_insert(pg, &p, k->t->arena, &k->made, err);
	if (st != TL_OK)
		return st;
	if (tl_str_eq(k->made.outcome, TL_STR("too_many")))
		return tl_err_set(err, TL_FULL,
				  "'%.*s' has %u active keys, which is "
				  "keys.max_per_user; revoke one first",
				  (int)k->email.len, k->email.ptr, max);
	if (!tl_str_eq(k->made.outcome, TL_STR("made")))
		return tl_err_set(err, TL_NOT_FOUND,
				  "the user went away meanwhile");
	return TL_OK;
}

static enum tl_status run_key_create(struct pg *pg, void *arg,
				     struct tl_err *err)
{
	struct new_key *k = arg;
	enum tl_status st;

	st = key_find_user(pg, k->t, k->email, &k->user_id, err);
	return st == TL_OK ? insert_key(pg, k, err) : st;
}

/* In one transaction: no user without the key that was shown. */
static enum tl_status insert_user(struct pg *tx, void *arg, struct tl_err *err)
{
	struct new_key *k = arg;
	const struct q_user_insert_params p = {
		.email = k->email,
		.name = k->name.len > 0 ? &k->name : NULL,
		.plan = k->plan,
		.actor = TALLYCTL_ACTOR,
	};
	struct q_user_insert_row row;
	enum tl_status st;

	st = q_user_insert(tx, &p, k->t->arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND, "there is no plan '%.*s'",
				  (int)k->plan.len, k->plan.ptr);
	if (st == TL_CONFLICT)
		return tl_err_set(err, TL_CONFLICT,
				  "there is a user '%.*s' already",
				  (int)k->email.len, k->email.ptr);
	if (st != TL_OK)
		return st;
	k->user_id = row.user_id;
	return insert_key(tx, k, err);
}

static enum tl_status run_user_create(struct pg *pg, void *arg,
				      struct tl_err *err)
{
	return pg_transaction(pg, insert_user, arg, err);
}

static enum exit_status complain_store(enum tl_status st,
				       const struct tl_err *err)
{
	return complain(st == TL_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_FAILED, "%s",
			err->text);
}

static void print_new_key(struct new_key *k)
{
	struct tl_arena *a = k->t->arena;
	struct doc *o = doc_object(a);

	if (!k->t->json) {
		secret_print(&k->secret);
		return;
	}
	doc_set(a, o, "id", doc_uuid(a, &k->made.key_id));
	doc_set(a, o, "key", doc_str(a, tl_str_c(k->secret.text)));
	doc_set(a, o, "prefix", doc_str(a, secret_prefix(&k->secret)));
	doc_set(a, o, "label", doc_str(a, k->label));
	doc_set(a, o, "user_id", doc_uuid(a, &k->user_id));
	doc_set(a, o, "email", doc_str(a, k->email));
	if (k->plan.len > 0)
		doc_set(a, o, "plan", doc_str(a, k->plan));
	print_json(o);
}

static enum exit_status create(struct new_key *k, db_fn fn)
{
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;

	ex = db_run(k->t, fn, k, &st, &err);
	if (ex == EXIT_OK && st != TL_OK)
		ex = complain_store(st, &err);
	if (ex == EXIT_OK)
		print_new_key(k);
	secret_wipe(&k->secret);
	return ex;
}

static enum tl_status read_limits(struct new_key *k, struct tl_err *err)
{
	int64_t rate = ctl_number(k->t->args, "rate_limit", -1);
	int64_t daily = ctl_number(k->t->args, "daily_limit", -1);

	if (rate == 0)
		return tl_err_set(err, TL_INVALID,
				  "--rate-limit must be 1 or more");
	if (rate > 0) {
		k->rate_value = (int32_t)rate;
		k->rate_limit = &k->rate_value;
	}
	if (daily >= 0) {
		k->daily_value = (int32_t)daily;
		k->daily_limit = &k->daily_value;
	}
	return TL_OK;
}

static enum tl_status read_lists(struct new_key *k, struct tl_err *err)
{
	struct tl_str scopes = ctl_text(k->t->args, "scopes");
	struct tl_str networks = ctl_text(k->t->args, "allowed_ips");
	enum tl_status st = TL_OK;
	struct tl_str *items;
	uint32_t n;

	if (scopes.ptr != NULL) {
		st = key_input_scopes(scopes, k->t->arena, &items, &n, err);
		if (st == TL_OK)
			k->scopes = (struct pg_array){ n, items };
	}
	if (st == TL_OK && networks.ptr != NULL) {
		st = key_input_networks(networks, k->t->arena, &items, &n, err);
		if (st == TL_OK)
			k->networks = (struct pg_array){ n, items };
	}
	return st;
}

static enum tl_status read_key(struct new_key *k, struct tl_err *err)
{
	struct tl_str label = ctl_text(k->t->args, "label");
	struct tl_str expires = ctl_text(k->t->args, "expires");
	struct tl_str metadata = ctl_text(k->t->args, "metadata");
	enum tl_status st = TL_OK;

	k->label = TL_STR("Default");
	if (label.ptr != NULL)
		st = key_input_label(label, &k->label, err);
	if (st == TL_OK && expires.ptr != NULL) {
		st = key_input_expires(expires, tl_wall_us(), &k->expires_value,
				       err);
		k->expires_us = &k->expires_value;
	}
	if (st == TL_OK)
		st = read_limits(k, err);
	if (st == TL_OK)
		st = read_lists(k, err);
	if (st == TL_OK && metadata.ptr != NULL) {
		st = key_input_metadata(metadata, k->t->arena,
					&k->metadata_value, err);
		k->metadata = &k->metadata_value;
	}
	return st;
}

enum exit_status cmd_key_create(struct tallyctl *t)
{
	struct new_key k = { .t = t, .email = ctl_text(t->args, "email") };
	struct tl_err err;

	if (read_key(&k, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return create(&k, run_key_create);
}

enum exit_status cmd_user_create(struct tallyctl *t)
{
	struct new_key k = { .t = t,
			     .email = ctl_text(t->args, "email"),
			     .plan = ctl_text(t->args, "plan"),
			     .name = ctl_text(t->args, "name") };
	struct tl_err err;
	enum tl_status st;

	st = tally_email_check(k.email, &err);
	if (st == TL_OK && k.name.len > 0)
		st = tally_text_check("a name", k.name, TALLY_NAME_MAX, &err);
	if (st == TL_OK && k.plan.len == 0)
		st = tl_err_set(&err, TL_INVALID, "--plan is empty");
	if (st == TL_OK)
		st = read_key(&k, &err);
	if (st != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return create(&k, run_user_create);
}
