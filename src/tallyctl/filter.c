#include "tallyctl/filter.h"

#include "ctl/decision.h"
#include "decide/decide.h"

static bool is_id_text(struct tl_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
		      c == '-'))
			return false;
	}
	return s.len > 0 && s.len < TL_UUID_TEXT;
}

static bool known_name(struct tl_str s, const char *(*name_of)(unsigned),
		       unsigned last)
{
	for (unsigned i = 0; i <= last; i++) {
		if (tl_str_eq(s, tl_str_c(name_of(i))))
			return true;
	}
	return false;
}

static const char *code_of(unsigned i)
{
	return decide_code_name((enum decide_code)i);
}

static const char *reason_of(unsigned i)
{
	return decide_reason_name((enum decide_reason)i);
}

static const char *door_of(unsigned i)
{
	return decide_door_name((enum decide_door)i);
}

static enum tl_status set_known(struct tl_str *to, struct tl_str value,
				const char *(*name_of)(unsigned), unsigned last,
				const char *what, struct tl_err *err)
{
	if (!known_name(value, name_of, last))
		return tl_err_set(err, TL_INVALID, "there is no %s '%.*s'",
				  what, (int)value.len, value.ptr);
	*to = value;
	return TL_OK;
}

static enum tl_status set_number(bool *have, uint64_t *to, struct tl_str value,
				 struct tl_err *err)
{
	if (!tl_parse_u64(value, 0, UINT16_MAX, to))
		return tl_err_set(err, TL_INVALID, "'%.*s' is not a number",
				  (int)value.len, value.ptr);
	*have = true;
	return TL_OK;
}

static enum tl_status set_client(struct filter *f, struct tl_str value,
				 struct tl_err *err)
{
	f->have_client = true;
	return tally_cidr_parse(value, &f->client, err);
}

enum tl_status filter_add(struct filter *f, struct tl_str word,
			  struct tl_err *err)
{
	struct tl_str value = word, name = { "", 0 };

	if (!tl_str_split(&value, '=', &name) || name.len == word.len ||
	    value.len == 0)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is no filter; give NAME=VALUE",
				  (int)word.len, word.ptr);
	if (tl_str_eq(name, TL_STR("code")))
		return set_known(&f->code, value, code_of, DECIDE_LOAD, "code",
				 err);
	if (tl_str_eq(name, TL_STR("reason")))
		return set_known(&f->reason, value, reason_of,
				 DECIDE_REASONS - 1, "reason", err);
	if (tl_str_eq(name, TL_STR("door")))
		return set_known(&f->door, value, door_of, DECIDE_D_VALIDATE,
				 "door", err);
	if (tl_str_eq(name, TL_STR("status")))
		return set_number(&f->have_status, &f->status, value, err);
	if (tl_str_eq(name, TL_STR("worker")))
		return set_number(&f->have_worker, &f->worker, value, err);
	if (tl_str_eq(name, TL_STR("client")))
		return set_client(f, value, err);
	if (tl_str_eq(name, TL_STR("limit")))
		f->limit = value;
	else if (tl_str_eq(name, TL_STR("request")))
		f->request = value;
	else if (tl_str_eq(name, TL_STR("user")) && is_id_text(value))
		f->user = value;
	else if (tl_str_eq(name, TL_STR("key")) && is_id_text(value))
		f->key = value;
	else if (tl_str_eq(name, TL_STR("key")))
		f->key_prefix = value;
	else
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is no filter; give code, reason, "
				  "door, status, key, user, client, limit, "
				  "request or worker",
				  (int)word.len, word.ptr);
	return TL_OK;
}

bool filter_wants_keys(const struct filter *f)
{
	return f->key_prefix.len > 0;
}

static bool id_begins(const uint8_t id[16], struct tl_str begin)
{
	char text[TL_UUID_TEXT];
	struct tl_uuid u;

	if (begin.len == 0)
		return true;
	memcpy(u.b, id, sizeof(u.b));
	tl_uuid_format(&u, text);
	return memcmp(text, begin.ptr, begin.len) == 0;
}

static bool key_listed(const struct filter *f, const uint8_t id[16])
{
	if (f->key_prefix.len == 0)
		return true;
	for (uint32_t i = 0; i < f->n_keys; i++) {
		if (memcmp(f->keys[i].b, id, 16) == 0)
			return true;
	}
	return false;
}

static bool same(struct tl_str want, const char *have)
{
	return want.len == 0 || tl_str_eq(want, tl_str_c(have));
}

bool filter_match(const struct filter *f, const struct shm_decision *d)
{
	struct tally_addr addr;

	memcpy(addr.b, d->client, sizeof(addr.b));
	return same(f->code, decide_code_name(d->code)) &&
	       same(f->reason, decide_reason_name(d->reason)) &&
	       same(f->door, decide_door_name(d->door)) &&
	       (f->limit.len == 0 || tl_str_eq(f->limit, decision_limit(d))) &&
	       (f->request.len == 0 ||
		tl_str_eq(f->request, decision_request(d))) &&
	       id_begins(d->key_id, f->key) && id_begins(d->user_id, f->user) &&
	       key_listed(f, d->key_id) &&
	       (!f->have_client || tally_cidr_has(&f->client, &addr)) &&
	       (!f->have_status || f->status == d->http_status) &&
	       (!f->have_worker || f->worker == d->worker);
}
