/*
 * cmd_revoke.c - key revoke: committed, and then seen in the segment.
 *
 * The database tells the flusher (NOTIFY), the flusher marks the entry.  We
 * only watch: the segment is mapped read-only here.
 *
 * A key that is not held needs the watch too: a worker may be loading the row
 * as it was, and gives that up only when it finds change_gen raised after it
 * began.  A raise that we see between the statement and its answer may be
 * ours or one from before the commit; then a load from before the commit is
 * given LOAD_MS to show itself.
 */
#include <stdio.h>
#include <time.h>

#include "pg/pg.h"
#include "shm/entries.h"
#include "store/q_keys.h"
#include "tally/key.h"
#include "tallyctl/db.h"
#include "tallyctl/tallyctl.h"

#define CANDIDATES_MAX 100
#define WATCH_MS       10000
#define WATCH_STEP_MS  2
#define LOAD_MS        100

struct revoke {
	struct tallyctl *t;
	struct shm *shm;                /* NULL: no daemon has run */
	uint64_t gen_before, gen_after; /* change_gen around the commit */
	uint64_t commit_mono_ms;
	struct tl_uuid key_id;
	struct q_key_revoke_row row;
};

static enum tl_status refuse_many(const struct q_key_list_row *rows, uint32_t n,
				  struct tl_str prefix, struct tl_err *err)
{
	char ids[4 * TL_UUID_TEXT + 8] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < n && at + TL_UUID_TEXT + 1 < sizeof(ids);
	     i++) {
		if (!tl_str_eq(rows[i].status, TL_STR("active")))
			continue;
		ids[at++] = ' ';
		tl_uuid_format(&rows[i].key_id, ids + at);
		at += TL_UUID_TEXT - 1;
	}
	return tl_err_set(err, TL_CONFLICT,
			  "more than one active key is shown as '%.*s'; give "
			  "one of the ids:%s",
			  (int)prefix.len, prefix.ptr, ids);
}

/* KEY-ID, or the prefix of exactly one active key. */
static enum tl_status find_key(struct pg *pg, struct revoke *r,
			       struct tl_err *err)
{
	struct tl_str text = ctl_text(r->t->args, "key");
	const struct q_key_find_by_prefix_params p = { .prefix = text,
						       .max = CANDIDATES_MAX };
	struct q_key_list_row *rows;
	uint32_t n, active = 0;
	enum tl_status st;

	if (tl_uuid_parse(text, &r->key_id))
		return TL_OK;
	st = q_key_find_by_prefix(pg, &p, r->t->arena, &rows, &n, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < n; i++) {
		if (!tl_str_eq(rows[i].status, TL_STR("active")))
			continue;
		r->key_id = rows[i].key_id;
		active++;
	}
	if (active == 0)
		return tl_err_set(err, TL_NOT_FOUND,
				  "no active key is shown as '%.*s'; see "
				  "'tallyctl key list'",
				  (int)text.len, text.ptr);
	return active == 1 ? TL_OK : refuse_many(rows, n, text, err);
}

static enum tl_status run_revoke(struct pg *pg, void *arg, struct tl_err *err)
{
	struct revoke *r = arg;
	struct q_key_revoke_params p = { .actor = TALLYCTL_ACTOR };
	enum tl_status st;

	st = find_key(pg, r, err);
	if (st != TL_OK)
		return st;
	p.key_id = r->key_id;
	if (r->shm != NULL)
		r->gen_before = shm_change_gen(r->shm);
	st = q_key_revoke(pg, &p, r->t->arena, &r->row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no such key, or it was revoked "
				  "before");
	if (r->shm != NULL)
		r->gen_after = shm_change_gen(r->shm);
	r->commit_mono_ms = tl_mono_ms();
	return st;
}

/* Does no worker accept it any more? */
static bool gone(const struct revoke *r)
{
	uint64_t gen = shm_change_gen(r->shm);
	struct tally_digest digest;
	uint32_t at;

	memcpy(digest.b, r->row.digest.ptr, sizeof(digest.b));
	at = shm_key_find(r->shm, &digest);
	if (at != SHM_NONE)
		return (atomic_load(&r->shm->keys[at].flags) &
			SHM_KEY_REVOKED) &&
		       atomic_load(&r->shm->keys[at].grace_until_s) == 0;
	return gen != r->gen_after ||
	       (gen != r->gen_before &&
		tl_mono_ms() - r->commit_mono_ms >= LOAD_MS);
}

/* True when it is so; false when the daemon did not get there in time. */
static bool watch(const struct revoke *r)
{
	static const struct timespec step = { 0, WATCH_STEP_MS * 1000000L };
	uint64_t due_mono_ms = tl_mono_ms() + WATCH_MS, pid;

	while (!gone(r)) {
		if (!shm_slots_alive(r->shm, &pid))
			return true; /* the next start reads the database */
		if (tl_mono_ms() >= due_mono_ms)
			return false;
		(void)nanosleep(&step, NULL);
	}
	return true;
}

static void report(struct revoke *r)
{
	struct tl_arena *a = r->t->arena;
	struct doc *o = doc_object(a);
	char id[TL_UUID_TEXT];

	tl_uuid_format(&r->key_id, id);
	if (!r->t->json) {
		(void)printf("revoked %s (%.*s, '%.*s')\n", id,
			     (int)r->row.key_prefix.len, r->row.key_prefix.ptr,
			     (int)r->row.label.len, r->row.label.ptr);
		return;
	}
	doc_set(a, o, "revoked", doc_bool(true));
	doc_set(a, o, "id", doc_str(a, tl_str_c(id)));
	doc_set(a, o, "prefix", doc_str(a, r->row.key_prefix));
	doc_set(a, o, "label", doc_str(a, r->row.label));
	doc_set(a, o, "user_id", doc_uuid(a, &r->row.user_id));
	print_json(o);
}

static enum exit_status revoke(struct revoke *r)
{
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;

	ex = db_run(r->t, run_revoke, r, &st, &err);
	if (ex != EXIT_OK)
		return ex;
	if (st != TL_OK)
		return complain(st == TL_NOT_FOUND ? EXIT_NOT_FOUND
						   : EXIT_FAILED,
				"%s", err.text);
	if (r->row.digest.len != sizeof(struct tally_digest))
		return complain(EXIT_FAILED, "the key's hash in the database "
					     "is not a SHA-256");
	if (r->shm != NULL && !watch(r))
		return complain(EXIT_FAILED,
				"the key is revoked in the database, but the "
				"daemon has not taken that up within %d ms; "
				"it does with its next look at the database: "
				"see 'tallyctl status'",
				WATCH_MS);
	report(r);
	return EXIT_OK;
}

enum exit_status cmd_key_revoke(struct tallyctl *t)
{
	struct revoke r = { .t = t };
	enum exit_status ex;
	struct tl_err err;
	enum tl_status st;

	st = shm_open_reader(t->conf->server.instance, &r.shm, &err);
	if (st != TL_OK && st != TL_NOT_FOUND)
		return complain(EXIT_FAILED,
				"cannot see the segment, so nothing was "
				"changed: %s",
				err.text);
	ex = revoke(&r);
	shm_close(&r.shm);
	return ex;
}
