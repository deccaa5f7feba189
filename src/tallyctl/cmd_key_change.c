/*
 * cmd_key_change.c - key revoke, rotate, rename: committed, and then seen in
 * the segment.
 */
#include <stdio.h>

#include "pg/pg.h"
#include "tally/keyrow.h"
#include "tallyctl/db.h"
#include "tallyctl/key_find.h"
#include "tallyctl/key_input.h"
#include "tallyctl/live.h"
#include "tallyctl/secret.h"

#define GRACE_MAX_S 86400

struct change {
	struct tallyctl *t;
	struct live live;
	struct q_key_list_row key; /* as it was */
	struct tl_str label;       /* rename */
	struct secret secret;      /* rotate */
	int32_t grace_seconds;
	struct q_key_rotate_row made;
};

static enum tl_status find(struct pg *pg, struct change *c, struct tl_err *err)
{
	return key_find(pg, c->t, ctl_text(c->t->args, "key"), &c->key, err);
}

static enum tl_status gone_before(struct tl_err *err)
{
	return tl_err_set(err, TL_NOT_FOUND, "the key was revoked before");
}

/* Until no worker accepts the old secret any longer than it should. */
static enum tl_status wait_for(struct change *c, struct tl_str digest,
			       int64_t grace_until_s, struct tl_err *err)
{
	struct tally_digest d;

	if (digest.len != sizeof(d.b))
		return TL_OK; /* no key of ours: nobody can present it */
	memcpy(d.b, digest.ptr, sizeof(d.b));
	return live_key(&c->live, &d, grace_until_s, err);
}

static enum exit_status run(struct change *c, db_fn fn)
{
	enum exit_status ex = live_open(&c->live, c->t);

	if (ex != EXIT_OK)
		return ex;
	ex = db_do(c->t, fn, c);
	live_close(&c->live);
	return ex;
}

/* What all three tell: of which key. */
static struct doc *key_head(const struct change *c, const struct tl_uuid *id,
			    struct tl_str prefix, struct tl_str label)
{
	struct tl_arena *a = c->t->arena;
	struct doc *o = doc_object(a);

	doc_set(a, o, "id", doc_uuid(a, id));
	doc_set(a, o, "prefix", doc_str(a, prefix));
	doc_set(a, o, "label", doc_str(a, label));
	doc_set(a, o, "user_id", doc_uuid(a, &c->key.user_id));
	doc_set(a, o, "email", doc_str(a, c->key.email));
	return o;
}

static void say(const struct change *c, const char *what, struct tl_str label)
{
	char id[TL_UUID_TEXT];

	tl_uuid_format(&c->key.key_id, id);
	(void)printf("%s %s (%.*s, '%.*s')\n", what, id,
		     (int)c->key.key_prefix.len, c->key.key_prefix.ptr,
		     (int)label.len, label.ptr);
}

/* ---- revoke ---- */

static enum tl_status run_revoke(struct pg *pg, void *arg, struct tl_err *err)
{
	struct q_key_revoke_params p = { .actor = TALLYCTL_ACTOR };
	struct q_key_revoke_row row;
	struct change *c = arg;
	enum tl_status st;

	st = find(pg, c, err);
	if (st != TL_OK)
		return st;
	p.key_id = c->key.key_id;
	live_before(&c->live);
	st = q_key_revoke(pg, &p, c->t->arena, &row, err);
	live_after(&c->live);
	if (st == TL_NOT_FOUND)
		return gone_before(err);
	return st == TL_OK ? wait_for(c, row.digest, 0, err) : st;
}

enum exit_status cmd_key_revoke(struct tallyctl *t)
{
	struct change c = { .t = t };
	enum exit_status ex = run(&c, run_revoke);
	struct doc *o;

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		say(&c, "revoked", c.key.label);
		return ex;
	}
	o = key_head(&c, &c.key.key_id, c.key.key_prefix, c.key.label);
	doc_set(t->arena, o, "revoked", doc_bool(true));
	print_json(o);
	return ex;
}

/* ---- rename ---- */

static enum tl_status run_rename(struct pg *pg, void *arg, struct tl_err *err)
{
	struct q_key_rename_params p = { .actor = TALLYCTL_ACTOR };
	struct q_key_rename_row row;
	struct change *c = arg;
	enum tl_status st;

	st = find(pg, c, err);
	if (st != TL_OK)
		return st;
	p.key_id = c->key.key_id;
	p.label = c->label;
	st = q_key_rename(pg, &p, c->t->arena, &row, err);
	return st == TL_NOT_FOUND ? gone_before(err) : st;
}

enum exit_status cmd_key_rename(struct tallyctl *t)
{
	struct change c = { .t = t };
	enum exit_status ex;
	struct tl_err err;

	if (key_input_label(ctl_text(t->args, "label"), &c.label, &err) !=
	    TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	/* no decision hangs on it, so there is nothing to wait for */
	ex = db_do(t, run_rename, &c);
	if (ex != EXIT_OK)
		return ex;
	if (!t->json)
		say(&c, "renamed", c.label);
	else
		print_json(
			key_head(&c, &c.key.key_id, c.key.key_prefix, c.label));
	return ex;
}

/* ---- rotate ---- */

static enum tl_status run_rotate(struct pg *pg, void *arg, struct tl_err *err)
{
	struct change *c = arg;
	struct q_key_rotate_params p = {
		.actor = TALLYCTL_ACTOR,
		.digest = secret_digest(&c->secret),
		.prefix = secret_prefix(&c->secret),
		.grace_seconds = c->grace_seconds,
	};
	int64_t until_s = 0;
	enum tl_status st;

	st = find(pg, c, err);
	if (st != TL_OK)
		return st;
	p.key_id = c->key.key_id;
	live_before(&c->live);
	st = q_key_rotate(pg, &p, c->t->arena, &c->made, err);
	live_after(&c->live);
	if (st == TL_NOT_FOUND)
		return gone_before(err);
	if (st != TL_OK)
		return st;
	if (!c->made.grace_until_null)
		until_s = tally_grace_s(c->made.grace_until_us);
	/* The new secret must be told whatever comes now: it is stored. */
	st = wait_for(c, c->made.old_digest, until_s, err);
	if (st != TL_OK)
		(void)complain(EXIT_OK, "of the old key: %s", err->text);
	return TL_OK;
}

static void report_rotated(const struct change *c)
{
	struct tl_arena *a = c->t->arena;
	char id[TL_UUID_TEXT];
	struct doc *o;

	if (!c->t->json) {
		tl_uuid_format(&c->made.key_id, id);
		if (c->grace_seconds > 0)
			(void)fprintf(stderr,
				      "The new key has the id %s; the old one "
				      "works until %s.\n",
				      id, time_text(a, c->made.grace_until_us));
		else
			(void)fprintf(stderr,
				      "The new key has the id %s; the old one "
				      "is revoked.\n",
				      id);
		secret_print(&c->secret);
		return;
	}
	o = key_head(c, &c->made.key_id, secret_prefix(&c->secret),
		     c->made.label);
	doc_set(a, o, "key", doc_str(a, tl_str_c(c->secret.text)));
	doc_set(a, o, "old_id", doc_uuid(a, &c->key.key_id));
	doc_set(a, o, "old_grace_until",
		c->made.grace_until_null ? doc_null()
					 : doc_time(a, c->made.grace_until_us));
	print_json(o);
}

enum exit_status cmd_key_rotate(struct tallyctl *t)
{
	int64_t grace_s = ctl_number(t->args, "grace_seconds", 0);
	struct change c = { .t = t, .grace_seconds = (int32_t)grace_s };
	enum exit_status ex;

	if (grace_s > GRACE_MAX_S)
		return complain(EXIT_USAGE,
				"--grace-seconds must be at most %d",
				GRACE_MAX_S);
	secret_make(&c.secret, t->conf);
	ex = run(&c, run_rotate);
	if (ex == EXIT_OK)
		report_rotated(&c);
	secret_wipe(&c.secret);
	return ex;
}
