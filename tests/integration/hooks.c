/*
 * hooks.c - see hooks.h.
 */
#include "config.h"

#include "hooks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct receiver *rec;

void hooks_begin(const char *const *settings)
{
	const char *all[16] = { "runner.count=1",
				"egress.private_allow=127.0.0.0/8",
				"egress.allow_http=yes", FREE_RATE };
	char ports[64];
	size_t n = 0;

	while (all[n] != NULL)
		n++;
	rec = receiver_start();
	snprintf(ports, sizeof(ports), "egress.allowed_ports=%u", rec->port);
	all[n++] = ports;
	while (*settings != NULL && n < 15)
		all[n++] = *settings++;
	fixture_up(all);
}

const char *hook_body(const char *members)
{
	static char body[1024];

	snprintf(body, sizeof(body),
		 "{\"url\": \"http://127.0.0.1:%u/hook\","
		 " \"events\": [\"*\"]%s%s}",
		 rec->port, members[0] != '\0' ? ", " : "", members);
	return body;
}

struct hook hook_make(const char *key, const char *members)
{
	struct hook h;

	client_call(c, "/api/webhooks", key, hook_body(members), "", &r);
	want(201);
	snprintf(h.id, sizeof(h.id), "%s", json_str(&r, "id"));
	snprintf(h.secret, sizeof(h.secret), "%s", json_str(&r, "secret"));
	return h;
}

static const char *target(const struct hook *h, const char *more)
{
	static char text[256];

	snprintf(text, sizeof(text), "/api/webhooks/%s%s", h->id, more);
	return text;
}

static void ask(const char *method, const char *key, const char *path,
		const char *json)
{
	char headers[256];

	reply_deinit(&r);
	snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n%s",
		 key,
		 json[0] != '\0' ? "Content-Type: application/json\r\n" : "");
	client_request(c, method, path, headers, json, strlen(json), &r);
}

void hook_get(const char *key, const struct hook *h, const char *more)
{
	ask("GET", key, target(h, more), "");
}

void hook_post(const char *key, const struct hook *h, const char *more,
	       const char *json)
{
	ask("POST", key, target(h, more), json);
}

void hook_patch(const char *key, const struct hook *h, const char *json)
{
	ask("PATCH", key, target(h, ""), json);
}

void hook_delete(const char *key, const struct hook *h)
{
	ask("DELETE", key, target(h, ""), "");
}

void key_delete(const char *key, const char *key_id)
{
	char path[128];

	snprintf(path, sizeof(path), "/api/keys/%s", key_id);
	ask("DELETE", key, path, "");
}

int64_t hook_deliveries(const struct hook *h, const char *state)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM tallyd.webhook_delivery"
		       " WHERE webhook_id = '%s' AND state = '%s'",
		       h->id, state);
}

int64_t hook_attempts(const struct hook *h)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM tallyd.webhook_attempt"
		       "  JOIN tallyd.webhook_delivery USING (delivery_id)"
		       " WHERE webhook_id = '%s'",
		       h->id);
}

int64_t hook_next_in_s(const struct hook *h)
{
	return sql_num(d->conninfo,
		       "SELECT floor(extract(epoch FROM next_at - (SELECT"
		       "  max(started_at) FROM tallyd.webhook_attempt a"
		       "  WHERE a.delivery_id = d.delivery_id)))::int8"
		       "  FROM tallyd.webhook_delivery d"
		       " WHERE webhook_id = '%s' AND state = 'pending'",
		       h->id);
}

void hooks_due(void)
{
	/* the bus may not have heard yet how the attempt ended */
	WAIT_UNTIL(sql_num(d->conninfo, "SELECT count(*) FROM tallyd.task"
					" WHERE state = 2") == 0);
	sql_exec(d->conninfo, "SELECT tallyd.task_retry(task_id)"
			      "  FROM tallyd.task WHERE state = 1");
}

enum signature_fault hook_verify(const struct receiver_call *call,
				 const char *secret)
{
	const struct signature_message msg = {
		.id = tl_str_c(call->id),
		.timestamp = tl_str_c(call->timestamp),
		.signature = tl_str_c(call->signature),
		.body = tl_str_c(call->body),
	};
	struct signature_secret s;
	struct tl_err err;

	ck_assert_int_eq(signature_secret_parse(tl_str_c(secret), &s, &err),
			 TL_OK);
	return signature_verify(&msg, &s, NULL, time(NULL),
				SIGNATURE_TOLERANCE_S)
		.fault;
}
