/*
 * cmd_webhook.c - outgoing webhooks: list, replay, verify.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/webhooks/webhooks.h"
#include "base/clock.h"
#include "net/signature.h"
#include "pg/pg.h"
#include "store/q_webhooks.h"
#include "tallyctl/db.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define LIST_MAX 10000
#define BODY_MAX ((size_t)4 * 1024 * 1024)

struct hooks {
	struct tallyctl *t;
	struct q_webhook_search_row *rows;
	uint32_t n;
	struct q_webhook_replay_params replay;
	struct tl_uuid delivery_id;
	int64_t since_us;
	int32_t replayed;
};

/* ---- list ---- */

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct hooks *h = arg;
	struct tl_str text = ctl_text(h->t->args, "text");
	struct q_webhook_search_params p = {
		.before_us = INT64_MAX / 2, /* all there are */
		.text = text.ptr != NULL ? text : TL_STR(""),
		.max = LIST_MAX,
	};

	return q_webhook_search(pg, &p, h->t->arena, &h->rows, &h->n, err);
}

static const char *state_of(struct tl_arena *a,
			    const struct q_webhook_search_row *r)
{
	if (!r->disabled_reason_null)
		return tl_arena_strndup(a, r->disabled_reason.ptr,
					r->disabled_reason.len);
	if (!r->enabled)
		return "disabled";
	return r->failing_since_null ? "on" : "on, fails";
}

static struct tl_str joined(struct tl_arena *a, const struct pg_array *events)
{
	const struct tl_str *names = events->items;
	struct tl_str s;
	struct tl_buf b;

	tl_buf_init(&b);
	for (uint32_t i = 0; i < events->n; i++) {
		if (i > 0)
			tl_buf_addc(&b, ',');
		tl_buf_add(&b, names[i].ptr, names[i].len);
	}
	s.len = b.len;
	s.ptr = tl_arena_strndup(a, b.ptr, b.len);
	tl_buf_deinit(&b);
	return s;
}

static void print_list(const struct hooks *h)
{
	static const char *const heads[] = { "WEBHOOK",    "USER",   "STATE",
					     "UNFINISHED", "EVENTS", "URL" };
	struct tl_arena *a = h->t->arena;
	char id[TL_UUID_TEXT];
	struct table t;

	table_init(&t, a, heads, 6, 1U << 3);
	for (uint32_t i = 0; i < h->n; i++) {
		tl_uuid_format(&h->rows[i].webhook_id, id);
		table_text(&t, tl_str_c(id));
		table_text(&t, h->rows[i].email);
		table_text(&t, tl_str_c(state_of(a, &h->rows[i])));
		table_number(&t, h->rows[i].unfinished);
		table_text(&t, joined(a, &h->rows[i].events));
		table_text(&t, h->rows[i].url);
	}
	table_print(&t);
}

static const struct doc *row_doc(struct tl_arena *a,
				 const struct q_webhook_search_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_uuid(a, &r->webhook_id));
	doc_set(a, d, "user", doc_str(a, r->email));
	doc_set(a, d, "url", doc_str(a, r->url));
	doc_set(a, d, "events", doc_strs(a, r->events.items, r->events.n));
	doc_set(a, d, "state", doc_str(a, tl_str_c(state_of(a, r))));
	doc_set(a, d, "unfinished", doc_int(a, r->unfinished));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

enum exit_status cmd_webhook_list(struct tallyctl *t)
{
	struct hooks h = { .t = t };
	struct doc *d = doc_object(t->arena), *list = doc_array(t->arena);
	enum exit_status ex = db_do(t, run_list, &h);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_list(&h);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < h.n; i++)
		doc_push(t->arena, list, row_doc(t->arena, &h.rows[i]));
	doc_set(t->arena, d, "webhooks", list);
	print_json(d);
	return EXIT_OK;
}

/* ---- replay ---- */

static enum tl_status run_replay(struct pg *pg, void *arg, struct tl_err *err)
{
	struct hooks *h = arg;
	const struct q_webhook_one_params which = {
		.webhook_id = h->replay.webhook_id
	};
	struct q_webhook_replay_row row;
	struct q_webhook_own_row own;
	enum tl_status st;

	st = q_webhook_one(pg, &which, h->t->arena, &own, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no such endpoint; see 'tallyctl "
				  "webhook list'");
	if (st == TL_OK)
		st = q_webhook_replay(pg, &h->replay, h->t->arena, &row, err);
	if (st == TL_OK)
		h->replayed = row.replayed;
	return st;
}

enum exit_status cmd_webhook_replay(struct tallyctl *t)
{
	struct tl_str delivery = ctl_text(t->args, "delivery");
	struct tl_str since = ctl_text(t->args, "since");
	struct hooks h = { .t = t,
			   .replay = { .actor = TALLYCTL_ACTOR,
				       .max = WEBHOOKS_REPLAY_MAX } };
	enum exit_status ex;
	struct doc *d;

	if (!tl_uuid_parse(ctl_text(t->args, "webhook"), &h.replay.webhook_id))
		return complain(EXIT_USAGE, "the endpoint is given by its id");
	if ((delivery.ptr != NULL) == (since.ptr != NULL))
		return complain(EXIT_USAGE, "give --delivery or --since");
	if (delivery.ptr != NULL && !tl_uuid_parse(delivery, &h.delivery_id))
		return complain(EXIT_USAGE, "--delivery needs an id");
	if (since.ptr != NULL && !tl_rfc3339_parse(since, &h.since_us))
		return complain(EXIT_USAGE, "--since needs a time as "
					    "2026-03-01T12:00:00Z");
	h.replay.delivery_id = delivery.ptr != NULL ? &h.delivery_id : NULL;
	h.replay.since_us = since.ptr != NULL ? &h.since_us : NULL;
	ex = db_do(t, run_replay, &h);
	if (ex != EXIT_OK)
		return ex;
	if (t->json) {
		d = doc_object(t->arena);
		doc_set(t->arena, d, "replayed", doc_int(t->arena, h.replayed));
		print_json(d);
	} else {
		printf("%" PRId32 " deliver%s sent again\n", h.replayed,
		       h.replayed == 1 ? "y is" : "ies are");
	}
	return EXIT_OK;
}

/* ---- verify ---- */

static enum exit_status read_all(const char *path, struct tl_buf *b)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	char piece[4096];
	size_t n;

	if (f == NULL)
		return complain(EXIT_FAILED, "cannot open '%s': %s", path,
				strerror(errno));
	while (b->len <= BODY_MAX &&
	       (n = fread(piece, 1, sizeof(piece), f)) > 0)
		tl_buf_add(b, piece, n);
	if (!standard)
		fclose(f);
	if (b->len > BODY_MAX)
		return complain(EXIT_FAILED, "'%s' is too large", path);
	return EXIT_OK;
}

static enum exit_status print_verdict(struct tallyctl *t,
				      const struct signature_verdict *v)
{
	const char *hint = signature_hint_text(v->hint);
	bool good = v->fault == SIGNATURE_GOOD;
	struct tl_arena *a = t->arena;
	struct doc *d;

	if (t->json) {
		d = doc_object(a);
		doc_set(a, d, "good", doc_bool(good));
		doc_set(a, d, "verdict",
			doc_str(a, tl_str_c(signature_fault_text(v->fault))));
		doc_set(a, d, "hint",
			*hint != '\0' ? doc_str(a, tl_str_c(hint))
				      : doc_null());
		doc_set(a, d, "age_seconds", doc_int(a, v->age_s));
		doc_set(a, d, "signatures", doc_int(a, v->codes));
		print_json(d);
		return good ? EXIT_OK : EXIT_FAILED;
	}
	printf("%s%s%s\n", signature_fault_text(v->fault),
	       *hint != '\0' ? "; " : "", hint);
	return good ? EXIT_OK : EXIT_FAILED;
}

static enum exit_status verify(struct tallyctl *t, const struct tl_buf *secret,
			       const struct tl_buf *body)
{
	const struct signature_message msg = {
		.id = ctl_text(t->args, "id"),
		.timestamp = ctl_text(t->args, "timestamp"),
		.signature = ctl_text(t->args, "signature"),
		.body = tl_buf_str(body),
	};
	struct signature_secret key;
	struct signature_verdict v;
	struct tl_err err;

	if (signature_secret_parse(tl_str_trim(tl_buf_str(secret)), &key,
				   &err) != TL_OK)
		return complain(EXIT_USAGE, "the secret: %s", err.text);
	v = signature_verify(&msg, &key, NULL, tl_wall_us() / 1000000,
			     SIGNATURE_TOLERANCE_S);
	signature_secret_wipe(&key);
	return print_verdict(t, &v);
}

enum exit_status cmd_webhook_verify(struct tallyctl *t)
{
	struct tl_buf secret, body;
	enum exit_status ex;

	tl_buf_init(&secret);
	tl_buf_init(&body);
	ex = read_all(ctl_text(t->args, "secret_file").ptr, &secret);
	if (ex == EXIT_OK)
		ex = read_all(ctl_text(t->args, "body").ptr, &body);
	if (ex == EXIT_OK)
		ex = verify(t, &secret, &body);
	if (secret.ptr != NULL)
		explicit_bzero(secret.ptr, secret.len);
	tl_buf_deinit(&secret);
	tl_buf_deinit(&body);
	return ex;
}
