#include "app/keys/keys.h"

#include <string.h>

#include <event2/event.h>

#include "base/fd.h"
#include "base/log.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "store/q_keys.h"

#define SETTLE_MS 1000 /* between questions to a database that is away */

/* ---- what was written ---- */

/* False: the 400 is sent. */
static bool scopes_ok(struct req *req, const struct shape_strs *scopes)
{
	struct tl_err err;

	for (uint32_t i = 0; i < scopes->n; i++) {
		if (tally_scope_check(scopes->items[i], &err) == TL_OK)
			continue;
		req_fail(req, 400, "bad_request", "scopes[%u]: %s", i,
			 err.text);
		return false;
	}
	return true;
}

/* In the form of the database; host bits are refused with the cure. */
static bool networks_ok(struct req *req, struct shape_strs *list)
{
	char text[TALLY_ADDR_TEXT + 4];
	struct tally_cidr net;
	struct tl_err err;

	for (uint32_t i = 0; i < list->n; i++) {
		struct tl_str *s = &list->items[i];

		if (tally_cidr_parse(tl_str_trim(*s), &net, &err) != TL_OK) {
			req_fail(req, 400, "bad_request", "allowed_ips[%u]: %s",
				 i, err.text);
			return false;
		}
		s->len = tally_cidr_format(&net, text);
		s->ptr = tl_arena_strndup(&req->arena, text, s->len);
	}
	return true;
}

static bool metadata_ok(struct req *req, const struct doc *d,
			struct tl_str *json_r)
{
	struct tl_buf b;
	bool ok;

	tl_buf_init(&b);
	if (d->type == DOC_OBJECT)
		doc_write(d, DOC_JSON, &b);
	ok = d->type == DOC_OBJECT && b.len <= TALLY_METADATA_MAX;
	if (ok) {
		json_r->ptr = tl_arena_strndup(&req->arena, b.ptr, b.len);
		json_r->len = b.len;
	} else {
		req_fail(req, 400, "bad_request",
			 "metadata: must be an object of at most %d bytes as "
			 "JSON",
			 TALLY_METADATA_MAX);
	}
	tl_buf_deinit(&b);
	return ok;
}

/* ---- secrets ---- */

struct secret {
	char text[TALLY_KEY_TEXT_MAX + 1];
	struct tally_digest digest;
};

static void secret_make(struct req *req, struct secret *s)
{
	uint8_t random[16];

	tl_random(random, sizeof(random));
	tally_key_make(req_conf(req)->keys.prefix, random, s->text);
	tally_key_digest(tl_str_c(s->text), &s->digest);
	explicit_bzero(random, sizeof(random));
}

static struct tl_str secret_prefix(const struct secret *s)
{
	return (struct tl_str){ s->text,
				strnlen(s->text, TALLY_KEY_PREFIX_LEN) };
}

static struct tl_str secret_digest(const struct secret *s)
{
	return (struct tl_str){ (const char *)s->digest.b,
				sizeof(s->digest.b) };
}

/* KeyCreated: the one reply that holds a secret. */
static void reply_created(struct req *req, const struct secret *s,
			  const struct tl_uuid *key_id, struct tl_str label,
			  const char *location)
{
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);
	char id[TL_UUID_TEXT];

	tl_uuid_format(key_id, id);
	doc_set(a, d, "id", doc_str(a, tl_str_c(id)));
	doc_set(a, d, "key", doc_str(a, tl_str_c(s->text)));
	doc_set(a, d, "prefix", doc_str(a, secret_prefix(s)));
	doc_set(a, d, "label", doc_str(a, label));
	req_header_add(req, "Location", "%s/%s", location, id);
	req_reply(req, 201, d);
}

static void reply_flag(struct req *req, const char *name)
{
	struct doc *d = doc_object(&req->arena);

	doc_set(&req->arena, d, name, doc_bool(true));
	req_reply(req, 200, d);
}

/* ---- the acts ---- */

static void fail_no_key(struct req *req)
{
	req_fail(req, 404, "not_found", "there is no such active key");
}

static void insert(struct req *req, const struct tl_uuid *user_id,
		   const struct key_new *k, struct q_key_insert_params *p,
		   const char *location)
{
	uint32_t max = req_conf(req)->keys.max_per_user;
	struct q_key_insert_row row;
	struct secret s;
	enum tl_status st;
	struct tl_err err;

	secret_make(req, &s);
	p->user_id = *user_id;
	p->digest = secret_digest(&s);
	p->prefix = secret_prefix(&s);
	p->label = k->label;
	p->max_active = (int32_t)max;
	st = q_key_insert(req_pg(req), p, &req->arena, &row, &err);
	if (st != TL_OK)
		req_fail_status(req, st, &err);
	else if (tl_str_eq(row.outcome, TL_STR("too_many")))
		req_fail(req, 409, "key_limit_reached",
			 "%u active keys are the most; revoke one first", max);
	else if (!tl_str_eq(row.outcome, TL_STR("made")))
		req_fail(req, 404, "not_found", "there is no such user");
	else
		reply_created(req, &s, &row.key_id, k->label, location);
	explicit_bzero(&s, sizeof(s));
}

void keys_create(struct req *req, const struct tl_uuid *user_id,
		 const struct key_new *k, const char *location)
{
	int32_t rate = (int32_t)k->rate_limit;
	int32_t daily = (int32_t)k->daily_credit_limit;
	struct shape_strs networks = k->allowed_ips;
	struct q_key_insert_params p = { .scopes = { k->scopes.n,
						     k->scopes.items } };
	struct tl_str json;

	if (k->expires_at_us != INT64_MIN) {
		if (k->expires_at_us <= tl_wall_us()) {
			req_fail(req, 400, "bad_request",
				 "expires_at: must be in the future");
			return;
		}
		p.expires_at_us = &k->expires_at_us;
	}
	if (!scopes_ok(req, &k->scopes) || !networks_ok(req, &networks))
		return;
	p.allowed_ips = (struct pg_array){ networks.n, networks.items };
	if (k->rate_limit != 0)
		p.rate_limit = &rate;
	if (k->daily_credit_limit >= 0)
		p.daily_credit_limit = &daily;
	if (k->metadata != NULL && k->metadata->type != DOC_NULL) {
		if (!metadata_ok(req, k->metadata, &json))
			return;
		p.metadata = &json;
	}
	if (req_actor(req, &p.actor))
		insert(req, user_id, k, &p, location);
}

void keys_rename(struct req *req, const struct tl_uuid *owner)
{
	struct q_key_rename_params p = { .user_id = owner };
	struct q_key_rename_row renamed;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "key_id", &p.key_id) ||
	    !req_body(req, &p.label) || !req_actor(req, &p.actor))
		return;
	st = q_key_rename(req_pg(req), &p, &req->arena, &renamed, &err);
	if (st == TL_NOT_FOUND) {
		fail_no_key(req);
		return;
	}
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	/* what workers remember of labels is old now */
	shm_change_begin(req_decide(req)->shm);
	reply_flag(req, "updated");
}

/* After the commit and before the reply: from here on no worker takes it. */
static void mark_revoked(struct req *req, struct tl_str digest, int64_t until_s)
{
	struct tally_digest d;

	tl_assert(digest.len == sizeof(d.b));
	memcpy(d.b, digest.ptr, sizeof(d.b));
	shm_key_revoke(req_decide(req)->shm, &d, until_s);
}

/*
 * A revocation in doubt: the connection broke, or time was up, before the
 * database had answered.  The answer is 503, and nobody knows whether it was
 * done; a key that somebody wants gone is refused meanwhile, and when the
 * database answers again the segment gets what it holds.  (A rotation in doubt
 * is left to the flusher: the old key is no danger, and may be all there is.)
 */
struct doubt {
	struct http *http;
	struct tally_digest digest;
};

/* Coroutine.  Ends with the worker; the key stays refused then, until its row
 * is taken in again or it is revoked once more. */
static void settle(void *arg)
{
	struct doubt *d = arg;
	struct tl_err err;

	while (http_key_live(d->http, &d->digest, &err) != TL_OK)
		if (co_sleep_ms(SETTLE_MS, &err) != TL_OK)
			break;
	tl_free(d);
}

static void settle_start(evutil_socket_t fd, short events, void *arg)
{
	struct tl_err err;

	(void)fd;
	(void)events;
	if (co_spawn(settle, arg, CO_NO_DEADLINE, &err) == TL_OK)
		return;
	log_warn("a revocation in doubt is not settled: %s; the key stays "
		 "refused",
		 err.text);
	tl_free(arg);
}

static void revoke_in_doubt(struct req *req, struct tl_str digest)
{
	static const struct timeval at_once = { 0, 0 };
	struct doubt *d = tl_alloc(sizeof(*d));

	mark_revoked(req, digest, 0);
	d->http = req->http;
	memcpy(d->digest.b, digest.ptr, sizeof(d->digest.b));
	/* coroutines begin on the loop's stack only */
	if (event_base_once(co_base(), -1, EV_TIMEOUT, settle_start, d,
			    &at_once) < 0)
		tl_free(d);
}

static enum tl_status
revoke(struct req *req, const struct q_key_revoke_params *p, struct tl_err *err)
{
	const struct q_key_revocable_params which = { .key_id = p->key_id,
						      .user_id = p->user_id };
	struct q_key_revocable_row key;
	struct q_key_revoke_row row;
	enum tl_status st;

	/* known before it is needed: in doubt there is nobody to ask */
	st = q_key_revocable(req_pg(req), &which, &req->arena, &key, err);
	if (st != TL_OK)
		return st;
	st = q_key_revoke(req_pg(req), p, &req->arena, &row, err);
	if (st == TL_OK)
		mark_revoked(req, row.digest, 0);
	else if (pg_err_in_doubt(err))
		revoke_in_doubt(req, key.digest);
	return st;
}

void keys_revoke(struct req *req, const struct tl_uuid *owner)
{
	struct q_key_revoke_params p = { .user_id = owner };
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "key_id", &p.key_id) || !req_actor(req, &p.actor))
		return;
	st = revoke(req, &p, &err);
	if (st == TL_OK)
		reply_flag(req, "deleted");
	else if (st == TL_NOT_FOUND)
		fail_no_key(req);
	else
		req_fail_status(req, st, &err);
}

void keys_rotate(struct req *req, const struct tl_uuid *owner,
		 const char *location)
{
	struct q_key_rotate_params p = { .user_id = owner };
	struct q_key_rotate_row row;
	int64_t grace_seconds = 0;
	struct secret s;
	enum tl_status st;
	struct tl_err err;

	if (!req_path_uuid(req, "key_id", &p.key_id) ||
	    !req_body(req, &grace_seconds) || !req_actor(req, &p.actor))
		return;
	secret_make(req, &s);
	p.digest = secret_digest(&s);
	p.prefix = secret_prefix(&s);
	p.grace_seconds = (int32_t)grace_seconds;
	st = q_key_rotate(req_pg(req), &p, &req->arena, &row, &err);
	if (st == TL_OK) {
		mark_revoked(req, row.old_digest,
			     row.grace_until_null
				     ? 0
				     : tally_grace_s(row.grace_until_us));
		reply_created(req, &s, &row.key_id, row.label, location);
	} else if (st == TL_NOT_FOUND) {
		fail_no_key(req);
	} else {
		req_fail_status(req, st, &err);
	}
	explicit_bzero(&s, sizeof(s));
}

int64_t keys_last_used_us(struct req *req, struct tl_str digest,
			  int64_t database_us)
{
	struct shm *s = req_decide(req)->shm;
	struct tally_digest d;
	int64_t us = 0;
	uint32_t key;

	if (digest.len != sizeof(d.b))
		return database_us;
	memcpy(d.b, digest.ptr, sizeof(d.b));
	shm_enter(s);
	key = shm_key_find(s, &d);
	if (key != SHM_NONE)
		us = (int64_t)atomic_load(&s->keys[key].last_used_ms) * 1000;
	shm_leave(s);
	return us > database_us ? us : database_us;
}
