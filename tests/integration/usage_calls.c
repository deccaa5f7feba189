#include "usage_calls.h"

#include <math.h>
#include <stdio.h>

#include <json-c/json.h>

void get(const char *key, const char *target)
{
	client_get(c, target, key, &r);
}

void record(const char *key, const char *body)
{
	client_call(c, "/api/usage/record", key, body, NULL, &r);
	want(200);
}

size_t rows(void)
{
	ck_assert(json_object_is_type(r.json, json_type_array));
	return json_object_array_length(r.json);
}

int64_t usd(const char *path)
{
	struct json_object *o = json_at(r.json, path);

	ck_assert_ptr_nonnull(o);
	return llround(json_object_get_double(o) * 1e6);
}

const char *day(int back)
{
	return sql_str(d->conninfo, "SELECT " TODAY " - %d", back);
}

void insert_usage(const char *name, int back, int credits, int requests,
		  int cost)
{
	sql_exec(d->conninfo,
		 "INSERT INTO daily_usage (user_id, key_id, date, "
		 "credits_used, request_count, cost_micro_usd) SELECT user_id, "
		 "key_id, " TODAY " - %d, %d, %d, %d FROM api_keys WHERE "
		 "key_hash = encode(sha256('%s'::bytea), 'hex')",
		 back, credits, requests, cost, key_of(name));
}

void expect_day(unsigned i, const char *date, int64_t credits, int64_t requests,
		int64_t cost)
{
	char path[64];

	snprintf(path, sizeof(path), "%u.date", i);
	ck_assert_pstr_eq(json_str(&r, path), date);
	snprintf(path, sizeof(path), "%u.credits_used", i);
	ck_assert_int_eq(json_num(&r, path), credits);
	snprintf(path, sizeof(path), "%u.request_count", i);
	ck_assert_int_eq(json_num(&r, path), requests);
	snprintf(path, sizeof(path), "%u.cost_usd", i);
	ck_assert_int_eq(usd(path), cost);
}
