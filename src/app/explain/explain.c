/*
 * explain.c - GET /api/explain/{request_id}: the decision ring, as `tallyctl
 * explain` reads it, but only what is the caller's own.
 *
 * Ids may be the clients' choice, so several users may have used the same one:
 * what is looked for is the newest of one's own.  The whole ring is walked for
 * a foreign id as for an unknown one, and both get the same answer.
 */
#include "app/explain/explain.h"

#include <inttypes.h>

#include "app/words.h"
#include "ctl/decision.h"
#include "loop/co.h"
#include "shm/ring.h"

#define PAGE 4096 /* records without a pause: a third of a millisecond */

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field limit_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "which; key and address are built in" },
	{ "limit", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what it admits in its window" },
	{ "charged", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what stood in the window then" },
	{ "reset_ms", SHAPE_INT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "until the window was free again, from then; null when it "
	  "refused: see retry_after_ms" },
	{ .name = NULL },
};
static const struct shape limit_shape = { "DecisionLimit", 0, limit_fields };
static const struct shape_field credit_fields[] = {
	{ "limit", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of the day" },
	{ "used", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of them, with this request" },
	{ "cost", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of this request" },
	{ .name = NULL },
};
static const struct shape credit_shape = { "DecisionCredits", 0,
					   credit_fields };
static const struct shape_field explain_fields[] = {
	{ "request_id", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the X-Request-Id of its answer" },
	{ "trace_id", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "of W3C Trace Context, in hex; null: it belonged to none" },
	{ "time", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when it was decided" },
	{ "text", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "let in or refused, why, and when it passes, in one sentence" },
	{ "lines", SHAPE_STRS, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the same, cut where it may be" },
	{ "door", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_DECISION_DOOR,
	  "where it was asked" },
	{ "code", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &WORDS_DECISION_CODE,
	  "ok, or the error" },
	{ "reason", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &WORDS_DECISION_REASON, "of a refusal; null: it was let in" },
	{ "status", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "of HTTP" },
	{ "key_id", SHAPE_UUID, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "null: no known key" },
	{ "user_id", SHAPE_UUID, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "null: no known key" },
	{ "client", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  NULL, "address that it came from" },
	{ "limit", SHAPE_OBJECT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0, 0,
	  &limit_shape, "the one that refused, else the tightest" },
	{ "credits", SHAPE_OBJECT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0,
	  0, &credit_shape, "null: no known key" },
	{ "retry_after_ms", SHAPE_INT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY,
	  0, 0, NULL, "of a refusal that passes by itself" },
	{ "worker", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "number of the process that decided" },
	{ "duration_us", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "from the request's arrival to its answer" },
	{ .name = NULL },
};
static const struct shape explain_shape = { "Explanation", 0, explain_fields };
/* clang-format on */

struct search {
	struct tl_str request_id;
	const struct tl_uuid *user_id; /* NULL: anybody's, for admins */
};

static bool is_it(const struct search *s, const struct shm_decision *d)
{
	return tl_str_eq(decision_request(d), s->request_id) &&
	       (s->user_id == NULL ||
		memcmp(d->user_id, s->user_id->b, 16) == 0);
}

/* Suspends between pages.  TL_NOT_FOUND. */
static enum tl_status find(const struct shm *shm, const struct search *s,
			   struct shm_decision *d_r, struct tl_err *err)
{
	uint64_t next = shm_ring_next(shm);
	uint64_t low = next > shm->n_ring ? next - shm->n_ring : 0;
	enum tl_status st = TL_OK;

	while (next-- > low && st == TL_OK) {
		if (shm_ring_read(shm, next, d_r) && is_it(s, d_r))
			return TL_OK;
		if (next % PAGE == 0)
			st = co_sleep_ms(0, err);
	}
	if (st != TL_OK)
		return st;
	return tl_err_set(err, TL_NOT_FOUND,
			  "no decision on this request of yours is known, or "
			  "no longer: the last %" PRIu32 " of all users are",
			  shm->n_ring);
}

/* "refused with 429: ...; it passes from ... on": one line each. */
static const struct doc *lines_of(const struct doc *text, struct tl_arena *a)
{
	struct doc *lines = doc_array(a);
	const char *at = text->str.ptr, *end = at + text->str.len, *cut;

	while (at < end) {
		for (cut = at; cut < end; cut++)
			if (end - cut > 2 && cut[0] == ';' && cut[1] == ' ')
				break;
		doc_push(a, lines,
			 doc_str(a, (struct tl_str){ at, (size_t)(cut - at) }));
		at = cut < end ? cut + 2 : end;
	}
	return lines;
}

/* One's own first: that needs no database.  An admin's next look is at all. */
static enum tl_status search(struct req *req, struct tl_str request_id,
			     struct shm_decision *d_r, struct tl_err *err)
{
	const struct tl_uuid user_id = req->d.user_id;
	struct search s = { request_id, &user_id };
	const struct req_profile *who;
	enum tl_status st;
	struct tl_err why;

	st = find(req_decide(req)->shm, &s, d_r, err);
	if (st != TL_NOT_FOUND)
		return st;
	if (req_profile(req, &who, &why) != TL_OK || !who->admin)
		return st;
	s.user_id = NULL;
	return find(req_decide(req)->shm, &s, d_r, err);
}

static void explain_handle(struct req *req)
{
	struct tl_str request_id = req_path_param(req, "request_id");
	struct shm_decision d;
	enum tl_status st;
	struct tl_err err;
	struct doc *doc;

	if (!http_request_id_good(request_id)) {
		req_fail(req, 400, "bad_request",
			 "request_id: must be 1 to 64 of A-Z a-z 0-9 . _ -");
		return;
	}
	st = search(req, request_id, &d, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	doc = decision_doc(&d, &req->arena);
	doc_set(&req->arena, doc, "lines",
		lines_of(doc_get(doc, "text"), &req->arena));
	req_reply(req, 200, doc);
}

/* clang-format off */
const struct route EXPLAIN_ROUTES[] = {
	{ .id = "explainRequest", .methods = HTTP_GET,
	  .path = "/api/explain/{request_id}", .auth = AUTH_KEY,
	  .out = &explain_shape, .handler = explain_handle,
	  .summary = "Why a request of the caller's was let in or refused" },
	{ .path = NULL },
};
/* clang-format on */
