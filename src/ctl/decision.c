#include "ctl/decision.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "decide/decide.h"

static bool is_zero(const uint8_t b[16])
{
	static const uint8_t zero[16];

	return memcmp(b, zero, sizeof(zero)) == 0;
}

struct tl_str decision_limit(const struct shm_decision *d)
{
	return (struct tl_str){ d->limit_name,
				strnlen(d->limit_name, sizeof(d->limit_name)) };
}

static void add_time(struct tl_buf *out, int64_t wall_us)
{
	char text[TL_RFC3339_TEXT];

	/* whole seconds, rounded up: never a moment too early */
	(void)tl_rfc3339_format((wall_us + 999999) / 1000000 * 1000000, text);
	tl_buf_adds(out, text);
}

static int64_t next_midnight_us(int64_t wall_us)
{
	const int64_t day_us = (int64_t)TL_DAY_S * 1000000;

	return (wall_us / day_us + 1) * day_us;
}

static void add_limit(const struct shm_decision *d, struct tl_buf *out)
{
	struct tl_str name = decision_limit(d);

	if (name.len > 0)
		tl_buf_addf(
			out, "; limit '%.*s' stood at %" PRIu32 " of %" PRIu32,
			(int)name.len, name.ptr, d->limit_sum, d->limit_count);
}

static void words_ok(const struct shm_decision *d, struct tl_buf *out)
{
	if (is_zero(d->key_id))
		tl_buf_adds(out, "let in without a key");
	else if (d->cost == 0)
		tl_buf_adds(out, "let in, free of credits");
	else
		tl_buf_addf(out, "let in for %" PRIu32 " credit%s", d->cost,
			    d->cost == 1 ? "" : "s");
	if (d->quota_limit > 0)
		tl_buf_addf(out, " (%" PRIu32 " of %" PRIu32 " used today)",
			    d->quota_used, d->quota_limit);
	add_limit(d, out);
}

static void words_rate(const struct shm_decision *d, struct tl_buf *out)
{
	struct tl_str name = decision_limit(d);

	tl_buf_addf(out,
		    "refused with %u: limit '%.*s' allows %" PRIu32
		    " in its window and %" PRIu32
		    " were charged; it passes from ",
		    d->http_status, (int)name.len, name.ptr, d->limit_count,
		    d->limit_sum);
	add_time(out, d->wall_us + (int64_t)d->reset_ms * 1000);
	tl_buf_adds(out, " on");
}

static void words_quota(const struct shm_decision *d, struct tl_buf *out)
{
	const char *whose =
		d->reason == DECIDE_R_KEY_QUOTA ? " of the key" : "";

	tl_buf_addf(out, "refused with %u: ", d->http_status);
	if (d->quota_used >= d->quota_limit)
		tl_buf_addf(out,
			    "daily credits%s used up (%" PRIu32 "/%" PRIu32 ")",
			    whose, d->quota_used, d->quota_limit);
	else
		tl_buf_addf(out,
			    "daily credits%s left do not suffice (%" PRIu32
			    "/%" PRIu32 " used)",
			    whose, d->quota_used, d->quota_limit);
	tl_buf_adds(out, "; it passes from ");
	add_time(out, next_midnight_us(d->wall_us));
	tl_buf_adds(out, " on");
}

/* What is wrong, and when the same request would pass. */
static const char *reason_words(unsigned reason)
{
	switch (reason) {
	case DECIDE_R_MISSING:
		return "no key was presented; it passes with one";
	case DECIDE_R_MALFORMED:
		return "what was presented has not the form of a key; it "
		       "passes with a key";
	case DECIDE_R_TWO_KEYS:
		return "Authorization and X-API-Key hold different keys; it "
		       "passes with one of them";
	case DECIDE_R_UNKNOWN:
		return "the key is unknown; it passes with another key";
	case DECIDE_R_REVOKED:
		return "the key was revoked, which is final; it passes with "
		       "another key";
	case DECIDE_R_EXPIRED:
		return "the key has expired; it passes with another key";
	case DECIDE_R_SUSPENDED:
		return "the user is suspended; it passes when the user is "
		       "active again";
	case DECIDE_R_ADDRESS:
		return "the client's address is not among the key's "
		       "allowed_ips; it passes from one that is";
	case DECIDE_R_SCOPE:
		return "the key lacks a scope that was asked for; it passes "
		       "with a key that has it";
	case DECIDE_R_BUSY:
		return "an entry of the segment was busy; it passes when "
		       "tried again";
	case DECIDE_R_DATABASE:
		return "the key was not held and the database did not answer; "
		       "it passes when the database is back";
	case DECIDE_R_FULL:
		return "a table of the segment is full; it passes when idle "
		       "entries were removed, or with a larger [shm]";
	default:
		return NULL;
	}
}

void decision_words(const struct shm_decision *d, struct tl_buf *out)
{
	const char *why = reason_words(d->reason);

	switch (d->code) {
	case DECIDE_OK:
		words_ok(d, out);
		return;
	case DECIDE_RATE_LIMITED:
		words_rate(d, out);
		return;
	case DECIDE_QUOTA_EXCEEDED:
		words_quota(d, out);
		return;
	default:
		tl_buf_addf(out, "refused with %u: %s", d->http_status,
			    why != NULL ? why : "for no recorded reason");
	}
}

/* ---- documents and lines ---- */

static void set_id(struct tl_arena *a, struct doc *o, const char *name,
		   const uint8_t id[16])
{
	char text[TL_UUID_TEXT];
	struct tl_uuid u;

	if (is_zero(id)) {
		doc_set(a, o, name, doc_null());
		return;
	}
	memcpy(u.b, id, sizeof(u.b));
	tl_uuid_format(&u, text);
	doc_set(a, o, name,
		doc_str(a, tl_str_c(tl_arena_strndup(a, text, sizeof(text)))));
}

static const struct doc *copy_str(struct tl_arena *a, struct tl_str s)
{
	return doc_str(
		a, (struct tl_str){ tl_arena_strndup(a, s.ptr, s.len), s.len });
}

static const struct doc *client_doc(const struct shm_decision *d,
				    struct tl_arena *a)
{
	char text[TALLY_ADDR_TEXT];
	struct tally_addr addr;

	if (is_zero(d->client))
		return doc_null();
	memcpy(addr.b, d->client, sizeof(addr.b));
	return copy_str(
		a, (struct tl_str){ text, tally_addr_format(&addr, text) });
}

static const struct doc *limit_doc(const struct shm_decision *d,
				   struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	if (decision_limit(d).len == 0)
		return doc_null();
	doc_set(a, o, "name", copy_str(a, decision_limit(d)));
	doc_set(a, o, "limit", doc_int(a, d->limit_count));
	doc_set(a, o, "charged", doc_int(a, d->limit_sum));
	doc_set(a, o, "reset_ms",
		d->code == DECIDE_OK ? doc_int(a, d->reset_ms) : doc_null());
	return o;
}

static const struct doc *credits_doc(const struct shm_decision *d,
				     struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	if (is_zero(d->key_id))
		return doc_null();
	doc_set(a, o, "limit", doc_int(a, d->quota_limit));
	doc_set(a, o, "used", doc_int(a, d->quota_used));
	doc_set(a, o, "cost", doc_int(a, d->cost));
	return o;
}

struct tl_str decision_request(const struct shm_decision *d)
{
	size_t len = d->request_id_len;

	return (struct tl_str){ d->request_id,
				len <= sizeof(d->request_id) ? len : 0 };
}

static const struct doc *trace_doc(const struct shm_decision *d,
				   struct tl_arena *a)
{
	char hex[2 * sizeof(d->trace_id) + 1];

	if (is_zero(d->trace_id))
		return doc_null();
	tl_hex(d->trace_id, sizeof(d->trace_id), hex);
	return copy_str(a, tl_str_c(hex));
}

struct doc *decision_doc(const struct shm_decision *d, struct tl_arena *a)
{
	struct doc *o = doc_object(a);
	char time[TL_RFC3339_TEXT];
	struct tl_buf words;

	tl_buf_init(&words);
	decision_words(d, &words);
	doc_set(a, o, "time",
		copy_str(a, (struct tl_str){ time, tl_rfc3339_format(d->wall_us,
								     time) }));
	doc_set(a, o, "request_id", copy_str(a, decision_request(d)));
	doc_set(a, o, "trace_id", trace_doc(d, a));
	doc_set(a, o, "door", doc_str(a, tl_str_c(decide_door_name(d->door))));
	doc_set(a, o, "code", doc_str(a, tl_str_c(decide_code_name(d->code))));
	doc_set(a, o, "reason",
		d->reason == DECIDE_R_NONE
			? doc_null()
			: doc_str(a, tl_str_c(decide_reason_name(d->reason))));
	doc_set(a, o, "status", doc_int(a, d->http_status));
	set_id(a, o, "key_id", d->key_id);
	set_id(a, o, "user_id", d->user_id);
	doc_set(a, o, "client", client_doc(d, a));
	doc_set(a, o, "limit", limit_doc(d, a));
	doc_set(a, o, "credits", credits_doc(d, a));
	doc_set(a, o, "retry_after_ms",
		d->code != DECIDE_OK && d->reset_ms > 0
			? doc_int(a, d->reset_ms)
			: doc_null());
	doc_set(a, o, "worker", doc_int(a, d->worker));
	doc_set(a, o, "duration_us",
		doc_int(a, (int64_t)(d->duration_ns / 1000)));
	doc_set(a, o, "text",
		copy_str(a, (struct tl_str){ words.ptr, words.len }));
	tl_buf_deinit(&words);
	return o;
}

void decision_line(const struct shm_decision *d, struct tl_buf *out)
{
	char time[TL_RFC3339_TEXT], id[TL_UUID_TEXT] = "-";
	char client[TALLY_ADDR_TEXT] = "-";
	struct tally_addr addr;
	struct tl_uuid u;

	(void)tl_rfc3339_format(d->wall_us / 1000 * 1000, time);
	if (!is_zero(d->key_id)) {
		memcpy(u.b, d->key_id, sizeof(u.b));
		tl_uuid_format(&u, id);
	}
	if (!is_zero(d->client)) {
		memcpy(addr.b, d->client, sizeof(addr.b));
		(void)tally_addr_format(&addr, client);
	}
	tl_buf_addf(out, "%s %u %s %s key %s from %s request %.*s: ", time,
		    d->http_status, decide_door_name(d->door),
		    decide_code_name(d->code), id, client,
		    (int)decision_request(d).len, decision_request(d).ptr);
	decision_words(d, out);
}
