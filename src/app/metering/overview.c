/*
 * overview.c - GET /api/dashboard/overview: who calls, with which key, and
 * today's usage.  Figures come from the segment, names from what the worker
 * remembers of the caller, so it is answered without the database too.
 */
#include "app/keys/keys.h"
#include "app/metering/metering.h"
#include "app/words.h"
#include "shm/entries.h"

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field key_fields[] = {
	{ "id", SHAPE_UUID, SHAPE_REQUIRED, REPLY, 0, 0, NULL, "the key" },
	{ "prefix", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "first characters, to tell keys apart" },
	{ "label", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what its owner calls it" },
	{ "status", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_KEY_STATUS,
	  "active; revoked while a rotated key has its grace" },
	{ "created_at", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was made" },
	{ "last_used_at", SHAPE_TIME, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY,
	  0, 0, NULL, "to the second; this call counts" },
	{ .name = NULL },
};
static const struct shape key_shape = { "OverviewKey", 0, key_fields };

static const struct shape_field fields[] = {
	{ "user", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0, &USER_VIEW_SHAPE,
	  "the caller" },
	{ "usage", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0,
	  &USAGE_SUMMARY_SHAPE, "today, over all keys of the caller" },
	{ "key", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0, &key_shape,
	  "the key that made the call" },
	{ "role", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_ROLE,
	  "of the caller" },
	{ "session_source", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "local" },
	{ "degraded", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the database is away or the flusher late" },
	{ .name = NULL },
};
const struct shape OVERVIEW_SHAPE = { "Overview", 0, fields };
/* clang-format on */

static void write_text(struct doc_writer *w, struct tl_str name,
		       struct tl_str value)
{
	docw_name(w, name);
	docw_str(w, value);
}

static void write_time(struct doc_writer *w, struct tl_str name, int64_t us)
{
	char text[TL_RFC3339_TEXT];
	size_t len = tl_rfc3339_format(us, text);

	write_text(w, name, (struct tl_str){ text, len });
}

static void write_user(struct doc_writer *w, const struct req_profile *who)
{
	docw_name(w, TL_STR("user"));
	docw_object(w, 4);
	write_text(w, TL_STR("email"), who->email);
	docw_name(w, TL_STR("name"));
	if (who->name.ptr != NULL)
		docw_str(w, who->name);
	else
		docw_null(w);
	write_text(w, TL_STR("plan"), who->plan);
	write_text(w, TL_STR("status"), who->status);
}

/* Accepted by its grace only? */
static bool is_revoked(struct req *req)
{
	struct shm *s = req_decide(req)->shm;
	bool revoked = false;
	uint32_t key;

	shm_enter(s);
	key = shm_key_find(s, &req->d.digest);
	if (key != SHM_NONE)
		revoked = (atomic_load(&s->keys[key].flags) &
			   SHM_KEY_REVOKED) != 0;
	shm_leave(s);
	return revoked;
}

static void write_key(struct doc_writer *w, struct req *req,
		      const struct req_profile *who)
{
	struct tl_str digest = { (const char *)req->d.digest.b,
				 sizeof(req->d.digest.b) };
	int64_t used_us = keys_last_used_us(req, digest, 0);
	char id[TL_UUID_TEXT];

	tl_uuid_format(&req->d.key_id, id);
	docw_name(w, TL_STR("key"));
	docw_object(w, 6);
	write_text(w, TL_STR("id"), (struct tl_str){ id, TL_UUID_TEXT - 1 });
	write_text(w, TL_STR("prefix"), who->key_prefix);
	write_text(w, TL_STR("label"), who->key_label);
	write_text(w, TL_STR("status"),
		   is_revoked(req) ? TL_STR("revoked") : TL_STR("active"));
	write_time(w, TL_STR("created_at"), who->key_created_us);
	if (used_us > 0) {
		write_time(w, TL_STR("last_used_at"), used_us);
	} else {
		docw_name(w, TL_STR("last_used_at"));
		docw_null(w);
	}
}

static void reply(struct req *req, const struct req_profile *who,
		  const struct decide_usage *u)
{
	struct doc_writer w;
	struct tl_buf b;

	tl_buf_init(&b);
	docw_init(&w, req->out_format, &b);
	docw_object(&w, 6);
	write_user(&w, who);
	docw_name(&w, TL_STR("usage"));
	metering_write_usage(&w, u->credits_used, u->credits_limit,
			     u->request_count, u->day);
	write_key(&w, req, who);
	write_text(&w, TL_STR("role"),
		   who->admin ? TL_STR("admin") : TL_STR("user"));
	write_text(&w, TL_STR("session_source"), TL_STR("local"));
	docw_name(&w, TL_STR("degraded"));
	docw_bool(&w, who->stale || req_degraded(req));
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}

void overview_handle(struct req *req)
{
	const struct req_profile *who;
	struct decide_usage u;
	enum tl_status st;
	struct tl_err err;

	st = req_profile(req, &who, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	if (!req_charge_now(req))
		return;
	if (metering_usage_now(req, &u))
		reply(req, who, &u);
}
