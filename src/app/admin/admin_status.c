/*
 * admin_status.c - GET /api/admin/status and GET /api/admin/usage.
 *
 * Both show figures of all users, which cost a walk over the tables and the
 * segment: milliseconds here, a second in a large installation.  So they are
 * kept for KEEP_TIMES as long as they took to make, and keys.refresh_seconds at
 * most: on a small database they are the figures of this moment, on a large
 * one asking again and again takes a small part of one connection.
 *
 * Usage of today is what the database holds less what it has got from us,
 * plus what the segment has counted, as shm/books.h says; other hosts' usage
 * follows with their flush.  There is one HTTP server in a process, so what is
 * kept is the file's.
 */
#include "app/admin/admin_status.h"

#include "app/metering/metering.h"
#include "loop/co.h"
#include "shm/books.h"
#include "shm/metrics.h"
#include "store/q_usage.h"

#define KEEP_TIMES 20
#define PAGE_KEYS  16384 /* some hundred microseconds of the loop */
#define TRIES      5
#define BUSY_MS    5

/* What the database says, and what of it came from this segment. */
struct base {
	uint32_t day;
	int64_t users, active_keys, daily_limit;
	int64_t credits, requests; /* of day: database less delivered */
};
struct totals {
	struct base base;
	struct shm_books books; /* of day */
	uint32_t day;
};
static struct {
	bool base_known;
	struct totals t;
	uint64_t made_mono_ms, keep_ms; /* 0: nothing is kept */
	struct tl_err error;            /* of the last look; "" it was well */
} kept;

/* ---- shapes ---- */

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field store_fields[] = {
	{ "database_reachable", SHAPE_BOOL, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "as the flusher sees it" },
	{ "flush_lag_seconds", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "since usage was last looked through and written" },
	{ "pending_rows", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "keys with usage on its way, in the segment and in the spool" },
	{ "dropped_logs", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "requests left out of the request log since the segment was made; "
	  "they were charged" },
	{ "last_error", SHAPE_STR, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY, 0,
	  0, NULL, "why the database can not be asked; null: all is well" },
	{ .name = NULL },
};
static const struct shape store_shape = { "Store", 0, store_fields };
static const struct shape_field status_fields[] = {
	{ "user_count", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "users, suspended ones too" },
	{ "active_token_count", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "keys that were not revoked" },
	{ "today_credits_used", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "by all users" },
	{ "store", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0, &store_shape,
	  "the way of usage into the database" },
	{ .name = NULL },
};
static const struct shape status_shape = { "AdminStatus", 0, status_fields };
static const struct shape_field usage_fields[] = {
	{ "usage", SHAPE_OBJECT, SHAPE_REQUIRED, REPLY, 0, 0,
	  &USAGE_SUMMARY_SHAPE, "today; daily_limit is that of all active "
	  "users together" },
	{ .name = NULL },
};
static const struct shape usage_shape = { "AdminUsage", 0, usage_fields };
/* clang-format on */

/* ---- figures ---- */

/* What the segment holds now.  Suspends between pages. */
static enum tl_status walk(struct req *req, uint32_t day,
			   struct shm_books *books_r, struct tl_err *err)
{
	const struct shm *s = req_decide(req)->shm;
	enum tl_status st = TL_OK;
	uint32_t next = 0;

	memset(books_r, 0, sizeof(*books_r));
	while (shm_books_page(s, day, PAGE_KEYS, &next, books_r) && st == TL_OK)
		st = co_sleep_ms(0, err);
	return st;
}

static enum tl_status ask(struct req *req, uint32_t day,
			  struct q_usage_totals_row *row_r, struct tl_err *err)
{
	const struct shm_head *head = req_decide(req)->shm->head;
	const struct q_usage_totals_params p = {
		.node = tl_str_c(head->k.node_id),
		.epoch = (int64_t)head->k.epoch,
		.day = (int32_t)day,
	};

	return q_usage_totals(req_pg(req), &p, &req->arena, row_r, err);
}

static void take(struct totals *t, const struct q_usage_totals_row *row)
{
	const struct shm_sum *sent = &t->books.delivered;

	t->base = (struct base){
		.day = t->day,
		.users = row->users,
		.active_keys = row->active_keys,
		.daily_limit = row->daily_limit,
		.credits = row->credits - (int64_t)sent->n[SHM_CREDITS],
		.requests = row->requests - (int64_t)sent->n[SHM_REQUESTS],
	};
}

/*
 * Database and segment must be of one state of the flush: no batch between
 * the two looks.  After TRIES it is taken as it is, one batch off at most;
 * and while the spool holds something, off by that.
 */
static enum tl_status look(struct req *req, struct totals *t,
			   struct tl_err *err)
{
	const struct shm *s = req_decide(req)->shm;
	struct q_usage_totals_row row;
	uint64_t before, after;
	enum tl_status st = TL_OK;

	for (int i = 0; i < TRIES && st == TL_OK; i++) {
		bool still = shm_books_mark(s, &before);

		st = ask(req, t->day, &row, err);
		if (st == TL_OK)
			st = walk(req, t->day, &t->books, err);
		if (st != TL_OK)
			return st;
		take(t, &row);
		if ((still && shm_books_mark(s, &after) && after == before &&
		     before <= (uint64_t)row.last_seq) ||
		    atomic_load(&s->head->spool_records) != 0)
			break;
		st = co_sleep_ms(BUSY_MS, err);
	}
	return st;
}

/* The database is away: what it said last, and all we have counted since. */
static enum tl_status look_without(struct req *req, struct totals *t,
				   struct tl_err *err)
{
	t->base = kept.t.base;
	if (t->base.day != t->day) { /* of this day it holds nothing yet */
		t->base.day = t->day;
		t->base.credits = t->base.requests = 0;
	}
	return walk(req, t->day, &t->books, err);
}

static enum tl_status totals(struct req *req, struct totals *t_r,
			     struct tl_err *err)
{
	uint64_t begun = tl_mono_ms(), took, most;
	struct totals t = { .day = req->d.day };
	struct tl_err why;
	enum tl_status st;

	if (kept.keep_ms != 0 && kept.t.day == t.day &&
	    begun < kept.made_mono_ms + kept.keep_ms) {
		*t_r = kept.t;
		return TL_OK;
	}
	st = look(req, &t, err);
	if (st != TL_OK) {
		kept.error = *err;
		if (!kept.base_known || look_without(req, &t, &why) != TL_OK)
			return st;
	} else {
		kept.error.text[0] = '\0';
		kept.base_known = true;
	}
	took = tl_mono_ms() - begun;
	most = 1000ULL * req_conf(req)->keys.refresh_seconds;
	kept.keep_ms = took * KEEP_TIMES < most ? took * KEEP_TIMES : most;
	kept.made_mono_ms = tl_mono_ms();
	kept.t = *t_r = t;
	return TL_OK;
}

static uint64_t sum(int64_t base, uint64_t counted)
{
	int64_t v = base + (int64_t)counted;

	return v > 0 ? (uint64_t)v : 0; /* rows were deleted by hand */
}

/* ---- replies ---- */

static int64_t lag_s(const struct shm_head *head)
{
	bool behind = atomic_load(&head->flush_level) != 0 ||
		      atomic_load(&head->spool_records) != 0;
	uint64_t then = behind ? atomic_load(&head->last_commit_mono_ms)
			       : atomic_load(&head->last_scan_mono_ms);
	uint64_t now = tl_mono_ms();

	if (then == 0) /* nothing since the segment was made */
		then = head->k.created_mono_ns / TL_NS_PER_MS;
	return now > then ? (int64_t)((now - then) / 1000) : 0;
}

static const struct doc *store_view(struct req *req, const struct totals *t)
{
	const struct shm *s = req_decide(req)->shm;
	struct tl_arena *a = &req->arena;
	struct doc *d = doc_object(a);
	uint64_t spooled =
		atomic_load(&s->head->spool_bytes) / sizeof(struct shm_record);

	doc_set(a, d, "database_reachable",
		doc_bool(atomic_load(&s->head->database_up) != 0));
	doc_set(a, d, "flush_lag_seconds", doc_int(a, lag_s(s->head)));
	doc_set(a, d, "pending_rows",
		doc_int(a, (int64_t)(t->books.pending_keys + spooled)));
	doc_set(a, d, "dropped_logs",
		doc_int(a, (int64_t)shm_counter_sum(s, SHM_C_LOG_DROPPED)));
	doc_set(a, d, "last_error",
		kept.error.text[0] != '\0'
			? doc_str(a, tl_str_c(kept.error.text))
			: doc_null());
	return d;
}

static void status_handle(struct req *req)
{
	struct tl_arena *a = &req->arena;
	struct totals t;
	struct doc *d;
	enum tl_status st;
	struct tl_err err;

	st = totals(req, &t, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	d = doc_object(a);
	doc_set(a, d, "user_count", doc_int(a, t.base.users));
	doc_set(a, d, "active_token_count", doc_int(a, t.base.active_keys));
	doc_set(a, d, "today_credits_used",
		doc_int(a, (int64_t)sum(t.base.credits,
					t.books.counted.n[SHM_CREDITS])));
	doc_set(a, d, "store", store_view(req, &t));
	req_reply(req, 200, d);
}

static void usage_handle(struct req *req)
{
	struct doc_writer w;
	struct tl_buf b;
	struct totals t;
	enum tl_status st;
	struct tl_err err;

	st = totals(req, &t, &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	tl_buf_init(&b);
	docw_init(&w, req->out_format, &b);
	docw_object(&w, 1);
	docw_name(&w, TL_STR("usage"));
	metering_write_usage(
		&w, sum(t.base.credits, t.books.counted.n[SHM_CREDITS]),
		(uint64_t)t.base.daily_limit,
		sum(t.base.requests, t.books.counted.n[SHM_REQUESTS]), t.day);
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}

/* clang-format off */
const struct route ADMIN_STATUS_ROUTES[] = {
	{ .id = "adminStatus", .methods = HTTP_GET,
	  .path = "/api/admin/status", .auth = AUTH_ADMIN,
	  .out = &status_shape, .handler = status_handle,
	  .summary = "How many users and keys, and how the store does" },
	{ .id = "adminUsage", .methods = HTTP_GET, .path = "/api/admin/usage",
	  .auth = AUTH_ADMIN, .out = &usage_shape, .handler = usage_handle,
	  .summary = "Today's usage of all users together" },
	{ .path = NULL },
};
/* clang-format on */
