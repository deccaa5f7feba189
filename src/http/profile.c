/*
 * profile.c - who calls: e-mail, plan, label; remembered for a while.
 *
 * What a decision needs is in the segment; what people are shown is not, and
 * a dashboard asks for it at each of its requests.  A worker remembers a few
 * thousand of them.  An entry is good while the segment's change_gen is what
 * it was before the SELECT, which every change of a key, user or plan raises,
 * and for keys.refresh_seconds at most, because a label that was changed in
 * SQL raises nothing.  With the database away the last known is better than
 * none: it is given and marked stale.
 */
#include "base/hash.h"
#include "base/log.h"
#include "http/http_internal.h"
#include "shm/entries.h"
#include "store/q_profile.h"

#define PROFILES 8192 /* direct mapped; about 250 bytes each when used */

struct entry {
	struct tl_uuid key_id;
	uint64_t change_gen, loaded_mono_ms;
	int64_t key_created_us;
	/* behind the struct, in this order */
	uint16_t email_len, plan_len, status_len, prefix_len, label_len;
	uint16_t name_len;
	bool name_null;
	char text[];
};
struct http_profiles {
	struct entry *slots[PROFILES];
};

void http_profiles_init(struct http *h)
{
	h->profiles = tl_alloc(sizeof(*h->profiles));
	memset(h->profiles, 0, sizeof(*h->profiles));
}

void http_profiles_deinit(struct http *h)
{
	if (h->profiles == NULL)
		return;
	for (size_t i = 0; i < PROFILES; i++)
		tl_free(h->profiles->slots[i]);
	tl_free(h->profiles);
	h->profiles = NULL;
}

/* Hashed: ids that were chosen, not drawn, may differ in their last byte. */
static struct entry **slot_of(struct http *h, const struct tl_uuid *key_id)
{
	static const uint8_t seed[16];
	uint64_t n = tl_siphash13(seed, key_id->b, sizeof(key_id->b));

	return &h->profiles->slots[n % PROFILES];
}

static void put(char **at, uint16_t *len_r, struct tl_str s)
{
	*len_r = (uint16_t)s.len;
	if (s.len > 0)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
}

static void remember(struct http *h, const struct tl_uuid *key_id,
		     const struct q_profile_load_row *row, uint64_t gen)
{
	size_t len = row->email.len + row->plan.len + row->status.len +
		     row->key_prefix.len + row->label.len + row->name.len;
	struct entry **slot = slot_of(h, key_id), *e;
	char *at;

	tl_free(*slot);
	*slot = e = tl_alloc(sizeof(*e) + len);
	e->key_id = *key_id;
	e->change_gen = gen;
	e->loaded_mono_ms = tl_mono_ms();
	e->key_created_us = row->created_at_us;
	e->name_null = row->name_null;
	at = e->text;
	put(&at, &e->email_len, row->email);
	put(&at, &e->plan_len, row->plan);
	put(&at, &e->status_len, row->status);
	put(&at, &e->prefix_len, row->key_prefix);
	put(&at, &e->label_len, row->label);
	put(&at, &e->name_len, row->name);
}

static struct tl_str take(struct tl_arena *a, const char **at, uint16_t len)
{
	struct tl_str s = { tl_arena_strndup(a, *at, len), len };

	*at += len;
	return s;
}

static const struct req_profile *give(struct req *req, const struct entry *e,
				      bool stale)
{
	struct req_profile *p = tl_arena_alloc(&req->arena, sizeof(*p));
	struct tl_arena *a = &req->arena;
	const char *at = e->text;

	p->email = take(a, &at, e->email_len);
	p->plan = take(a, &at, e->plan_len);
	p->status = take(a, &at, e->status_len);
	p->key_prefix = take(a, &at, e->prefix_len);
	p->key_label = take(a, &at, e->label_len);
	p->name = take(a, &at, e->name_len);
	if (e->name_null)
		p->name = (struct tl_str){ NULL, 0 };
	p->key_id = e->key_id;
	p->key_created_us = e->key_created_us;
	p->admin = http_is_admin(req->http->conf, p->email);
	p->stale = stale;
	return p;
}

bool http_is_admin(const struct conf *conf, struct tl_str email)
{
	for (size_t i = 0; i < conf->admin.emails.n; i++)
		if (tl_str_ieq(email, tl_str_c(conf->admin.emails.items[i])))
			return true;
	return false;
}

enum tl_status http_profile(struct req *req, const struct tl_uuid *key_id,
			    const struct req_profile **p_r, struct tl_err *err)
{
	struct http *h = req->http;
	struct entry *e = *slot_of(h, key_id);
	uint64_t gen = shm_change_gen(h->shm);
	struct q_profile_load_row row;
	enum tl_status st;

	if (e != NULL && !tl_uuid_eq(&e->key_id, key_id))
		e = NULL;
	if (e != NULL && e->change_gen == gen &&
	    tl_mono_ms() < e->loaded_mono_ms +
				   1000ULL * h->conf->keys.refresh_seconds) {
		*p_r = give(req, e, false);
		return TL_OK;
	}
	st = q_profile_load(req_pg(req), *key_id, &req->arena, &row, err);
	if (st == TL_OK) {
		remember(h, key_id, &row, gen);
		*p_r = give(req, *slot_of(h, key_id), false);
		return TL_OK;
	}
	/* the world moved on while the query was under way */
	e = *slot_of(h, key_id);
	if (st != TL_NOT_FOUND && e != NULL && tl_uuid_eq(&e->key_id, key_id)) {
		*p_r = give(req, e, true);
		return TL_OK;
	}
	return st;
}

enum tl_status req_profile(struct req *req, const struct req_profile **p_r,
			   struct tl_err *err)
{
	return http_profile(req, &req->d.key_id, p_r, err);
}

bool req_actor(struct req *req, struct tl_str *email_r)
{
	const struct req_profile *who;
	struct tl_err err;
	enum tl_status st = req_profile(req, &who, &err);

	if (st != TL_OK) {
		req_fail_status(req, st == TL_NOT_FOUND ? TL_UNAVAILABLE : st,
				&err);
		return false;
	}
	*email_r = who->email;
	return true;
}
