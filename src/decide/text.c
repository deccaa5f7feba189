#include <stdio.h>

#include "decide/decide.h"
#include "shm/ring.h"

static const char *const code_names[] = {
	[DECIDE_OK] = "ok",
	[DECIDE_UNAUTHORIZED] = "unauthorized",
	[DECIDE_FORBIDDEN] = "forbidden",
	[DECIDE_RATE_LIMITED] = "rate_limited",
	[DECIDE_QUOTA_EXCEEDED] = "quota_exceeded",
	[DECIDE_UNAVAILABLE] = "service_unavailable",
	[DECIDE_LOAD] = "loading",
};
static const char *const reason_names[] = {
	[DECIDE_R_NONE] = "",
	[DECIDE_R_MISSING] = "missing",
	[DECIDE_R_MALFORMED] = "malformed",
	[DECIDE_R_UNKNOWN] = "unknown",
	[DECIDE_R_REVOKED] = "revoked",
	[DECIDE_R_EXPIRED] = "expired",
	[DECIDE_R_SUSPENDED] = "suspended",
	[DECIDE_R_ADDRESS] = "address",
	[DECIDE_R_SCOPE] = "scope",
	[DECIDE_R_LIMIT] = "limit",
	[DECIDE_R_QUOTA] = "quota",
	[DECIDE_R_KEY_QUOTA] = "key_quota",
	[DECIDE_R_BUSY] = "busy",
	[DECIDE_R_FULL] = "full",
	[DECIDE_R_TWO_KEYS] = "two_keys",
	[DECIDE_R_DATABASE] = "database",
};
static const char *const door_names[] = {
	[DECIDE_D_API] = "api",		[DECIDE_D_GATE] = "gate",
	[DECIDE_D_VERIFY] = "verify",	[DECIDE_D_RECORD] = "record",
	[DECIDE_D_VALIDATE] = "validate",
};

const char *decide_code_name(enum decide_code c)
{
	return (unsigned)c < sizeof(code_names) / sizeof(code_names[0]) ?
		       code_names[c] :
		       "?";
}

const char *decide_reason_name(enum decide_reason r)
{
	return (unsigned)r < sizeof(reason_names) / sizeof(reason_names[0]) ?
		       reason_names[r] :
		       "?";
}

const char *decide_door_name(enum decide_door d)
{
	return (unsigned)d < sizeof(door_names) / sizeof(door_names[0]) ?
		       door_names[d] :
		       "?";
}

unsigned decide_http_status(enum decide_code c)
{
	switch (c) {
	case DECIDE_OK:
		return 200;
	case DECIDE_UNAUTHORIZED:
		return 401;
	case DECIDE_FORBIDDEN:
		return 403;
	case DECIDE_RATE_LIMITED:
	case DECIDE_QUOTA_EXCEEDED:
		return 429;
	case DECIDE_UNAVAILABLE:
	case DECIDE_LOAD:
		break;
	}
	return 503;
}

static const char *fixed_message(enum decide_reason r)
{
	switch (r) {
	case DECIDE_R_MISSING:
		return "API key is missing; send it as Authorization: Bearer";
	case DECIDE_R_MALFORMED:
	case DECIDE_R_UNKNOWN:
		return "API key is not known";
	case DECIDE_R_REVOKED:
		return "API key was revoked";
	case DECIDE_R_EXPIRED:
		return "API key has expired";
	case DECIDE_R_TWO_KEYS:
		return "Authorization and X-API-Key carry different keys; send "
		       "one";
	case DECIDE_R_SUSPENDED:
		return "account is suspended";
	case DECIDE_R_ADDRESS:
		return "API key is not allowed from this address";
	case DECIDE_R_SCOPE:
		return "API key lacks a scope that is asked for";
	case DECIDE_R_FULL:
		return "no room for another window; try again later";
	case DECIDE_R_DATABASE:
		return "the key is not held and the database is away; try "
		       "again later";
	case DECIDE_R_BUSY:
	case DECIDE_R_NONE:
	case DECIDE_R_LIMIT:
	case DECIDE_R_QUOTA:
	case DECIDE_R_KEY_QUOTA:
	case DECIDE_REASONS:
		break;
	}
	return "the counter is busy; try again later";
}

size_t decide_message(const struct decide_out *out, char *dst, size_t cap)
{
	const struct decide_rate *r = &out->rates[out->tightest];
	int n;

	switch (out->reason) {
	case DECIDE_R_LIMIT:
		n = snprintf(dst, cap,
			     "Rate limit '%s' reached (%u per %u ms); retry in "
			     "%u ms",
			     r->name, r->per_window, r->window_ms,
			     out->retry_after_ms);
		break;
	case DECIDE_R_QUOTA:
	case DECIDE_R_KEY_QUOTA:
		n = snprintf(dst, cap,
			     "Daily credit limit%s reached (%llu/%llu)",
			     out->reason == DECIDE_R_KEY_QUOTA ? " of the key" :
								 "",
			     (unsigned long long)out->credits_used,
			     (unsigned long long)out->credits_limit);
		break;
	default:
		n = snprintf(dst, cap, "%s", fixed_message(out->reason));
	}
	return (size_t)n < cap ? (size_t)n : cap - 1;
}

static uint32_t clip32(uint64_t v)
{
	return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

void decide_record(struct decide *d, const struct decide_out *out,
		   enum decide_door door, const struct tally_addr *client,
		   struct tl_str request_id, const uint8_t *trace_id,
		   unsigned http_status, uint64_t start_mono_ns,
		   uint64_t end_mono_ns)
{
	const struct decide_rate *r = &out->rates[out->tightest];
	struct shm_decision *rec;
	uint64_t pos;
	size_t n;

	rec = shm_ring_claim(d->shm, &pos);
	rec->wall_us = shm_wall_us(d->shm, start_mono_ns);
	rec->duration_ns = end_mono_ns - start_mono_ns;
	if (out->have_key) {
		memcpy(rec->key_id, out->key_id.b, 16);
		memcpy(rec->user_id, out->user_id.b, 16);
	} else {
		memset(rec->key_id, 0, 16);
		memset(rec->user_id, 0, 16);
	}
	memcpy(rec->client, client->b, 16);
	if (trace_id != NULL)
		memcpy(rec->trace_id, trace_id, 16);
	else
		memset(rec->trace_id, 0, 16);
	rec->request_id_len = (uint8_t)(request_id.len < 64 ? request_id.len
							    : 64);
	memcpy(rec->request_id, request_id.ptr, rec->request_id_len);
	rec->door = (uint8_t)door;
	rec->code = (uint8_t)out->code;
	rec->reason = (uint8_t)out->reason;
	rec->http_status = (uint16_t)http_status;
	rec->worker = (uint16_t)d->worker;
	rec->cost = out->cost;
	rec->limit_count = rec->limit_sum = rec->reset_ms = 0;
	memset(rec->limit_name, 0, sizeof(rec->limit_name));
	if (out->n_rates > 0) {
		n = r->name_len < sizeof(rec->limit_name) ?
			    r->name_len :
			    sizeof(rec->limit_name);
		memcpy(rec->limit_name, r->name, n);
		rec->limit_count = r->limit;
		rec->limit_sum = r->limit - r->remaining;
		rec->reset_ms = out->code == DECIDE_OK ? r->reset_ms
						       : out->retry_after_ms;
	} else if (out->retry_after_ms != 0) {
		rec->reset_ms = out->retry_after_ms;
	}
	rec->quota_limit = clip32(out->credits_limit);
	rec->quota_used = clip32(out->credits_used);
	shm_ring_publish(rec, pos);
}
