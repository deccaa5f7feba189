/*
 * cmd_task.c - tasks of the bus: list, show, retry, cancel.
 */
#include <inttypes.h>
#include <stdio.h>

#include "pg/pg.h"
#include "store/q_tasks_admin.h"
#include "tallyctl/db.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define LAST_DEFAULT 50
#define LAST_MAX     10000

struct tasks {
	struct tallyctl *t;
	int64_t id;
	struct q_task_page_row *open;
	struct q_task_dead_page_row *dead;
	uint32_t n;
	struct doc *d; /* show */
	struct tl_str payload, outcome;
};

static const char *state_name(int16_t state)
{
	static const char *const names[] = { "ready", "delayed", "active",
					     "parked" };

	return state >= 0 && state < 4 ? names[state] : "unknown";
}

static const struct doc *text(struct tl_arena *a, const char *s)
{
	return doc_str(a, tl_str_c(s));
}

static const struct doc *or_null(struct tl_arena *a, struct tl_str s, bool null)
{
	return null ? doc_null() : doc_str(a, s);
}

/* What PostgreSQL wrote as JSON; deeper than we read is given as text. */
static const struct doc *json(struct tl_arena *a, struct tl_str s)
{
	const struct doc *d;
	struct tl_err err;

	return doc_parse(a, DOC_JSON, s, &d, &err) == TL_OK ? d : doc_str(a, s);
}

/* ---- list ---- */

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;
	const struct doc *args = k->t->args;
	struct tl_str queue = ctl_text(args, "queue");
	struct tl_str name = ctl_text(args, "name");
	const struct tl_str *q = queue.ptr != NULL ? &queue : NULL;
	const struct tl_str *n = name.ptr != NULL ? &name : NULL;
	int64_t max = ctl_number(args, "last", LAST_DEFAULT);

	if (ctl_flag(args, "dead"))
		return q_task_dead_page(
			pg,
			&(struct q_task_dead_page_params){
				.queue = q, .name = n, .max = max },
			k->t->arena, &k->dead, &k->n, err);
	return q_task_page(pg,
			   &(struct q_task_page_params){
				   .queue = q, .name = n, .max = max },
			   k->t->arena, &k->open, &k->n, err);
}

static const struct doc *open_doc(struct tl_arena *a,
				  const struct q_task_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_int(a, r->task_id));
	doc_set(a, d, "state", text(a, state_name(r->state)));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "queue", doc_str(a, r->queue));
	doc_set(a, d, "tenant", doc_str(a, r->tenant));
	doc_set(a, d, "priority", doc_int(a, r->priority));
	doc_set(a, d, "attempt", doc_int(a, r->attempt));
	doc_set(a, d, "failures", doc_int(a, r->failures));
	doc_set(a, d, "cancelling", doc_bool(r->cancel_wanted));
	doc_set(a, d, "run_at", doc_time(a, r->run_at_us));
	doc_set(a, d, "created_at", doc_time(a, r->created_at_us));
	return d;
}

static const struct doc *dead_doc(struct tl_arena *a,
				  const struct q_task_dead_page_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_int(a, r->task_id));
	doc_set(a, d, "state", doc_str(a, r->outcome));
	doc_set(a, d, "name", doc_str(a, r->name));
	doc_set(a, d, "queue", doc_str(a, r->queue));
	doc_set(a, d, "tenant", doc_str(a, r->tenant));
	doc_set(a, d, "attempt", doc_int(a, r->attempts));
	doc_set(a, d, "ended_at", doc_time(a, r->ended_at_us));
	doc_set(a, d, "error", or_null(a, r->error, r->error_null));
	return d;
}

static void print_open(const struct tasks *k)
{
	static const char *const heads[] = { "TASK",  "STATE",  "NAME",
					     "QUEUE", "TENANT", "ATTEMPT",
					     "RUN AT" };
	struct tl_arena *a = k->t->arena;
	struct table t;

	table_init(&t, a, heads, 7, 1u << 0 | 1u << 5);
	for (uint32_t i = 0; i < k->n; i++) {
		const struct q_task_page_row *r = &k->open[i];

		table_number(&t, r->task_id);
		table_text(&t,
			   tl_str_c(r->cancel_wanted ? "cancelling"
						     : state_name(r->state)));
		table_text(&t, r->name);
		table_text(&t, r->queue);
		table_text(&t, r->tenant);
		table_number(&t, r->attempt);
		table_text(&t, tl_str_c(time_text(a, r->run_at_us)));
	}
	table_print(&t);
}

static void print_dead(const struct tasks *k)
{
	static const char *const heads[] = { "TASK", "ENDED",    "AS",
					     "NAME", "ATTEMPTS", "ERROR" };
	struct tl_arena *a = k->t->arena;
	struct table t;

	table_init(&t, a, heads, 6, 1u << 0 | 1u << 4);
	for (uint32_t i = 0; i < k->n; i++) {
		const struct q_task_dead_page_row *r = &k->dead[i];

		table_number(&t, r->task_id);
		table_text(&t, tl_str_c(time_text(a, r->ended_at_us)));
		table_text(&t, r->outcome);
		table_text(&t, r->name);
		table_number(&t, r->attempts);
		table_text(&t, r->error_null ? TL_STR("") : r->error);
	}
	table_print(&t);
}

enum exit_status cmd_task_list(struct tallyctl *t)
{
	struct doc *list = doc_array(t->arena), *d = doc_object(t->arena);
	int64_t last = ctl_number(t->args, "last", LAST_DEFAULT);
	struct tasks k = { .t = t };
	enum exit_status ex;

	if (last < 1 || last > LAST_MAX)
		return complain(EXIT_USAGE, "--last must be from 1 to %d",
				LAST_MAX);
	ex = db_do(t, run_list, &k);
	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		if (ctl_flag(t->args, "dead"))
			print_dead(&k);
		else
			print_open(&k);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < k.n; i++)
		doc_push(t->arena, list,
			 k.dead != NULL ? dead_doc(t->arena, &k.dead[i])
					: open_doc(t->arena, &k.open[i]));
	doc_set(t->arena, d, "tasks", list);
	print_json(d);
	return EXIT_OK;
}

/* ---- one task ---- */

static enum exit_status read_id(struct tasks *k)
{
	struct tl_str word = ctl_text(k->t->args, "task");

	if (tl_parse_i64(word, 1, INT64_MAX, &k->id))
		return EXIT_OK;
	return complain(EXIT_USAGE, "'%.*s' is not the number of a task",
			(int)word.len, word.ptr);
}

/* ---- show ---- */

static enum tl_status find_open(struct pg *pg, struct tasks *k,
				struct tl_err *err)
{
	struct tl_arena *a = k->t->arena;
	struct q_task_find_row r;
	enum tl_status st = q_task_find(pg, k->id, a, &r, err);
	struct doc *d = doc_object(a);

	if (st != TL_OK)
		return st;
	doc_set(a, d, "id", doc_int(a, r.task_id));
	doc_set(a, d, "state", text(a, state_name(r.state)));
	doc_set(a, d, "name", doc_str(a, r.name));
	doc_set(a, d, "queue", doc_str(a, r.queue));
	doc_set(a, d, "tenant", doc_str(a, r.tenant));
	doc_set(a, d, "priority", doc_int(a, r.priority));
	doc_set(a, d, "payload", json(a, r.payload));
	doc_set(a, d, "singleton_key",
		or_null(a, r.singleton_key, r.singleton_key_null));
	doc_set(a, d, "attempt", doc_int(a, r.attempt));
	doc_set(a, d, "failures", doc_int(a, r.failures));
	doc_set(a, d, "losses", doc_int(a, r.losses));
	doc_set(a, d, "retry_limit", doc_int(a, r.retry_limit));
	doc_set(a, d, "timeout_ms", doc_int(a, r.timeout_ms));
	doc_set(a, d, "run_at", doc_time(a, r.run_at_us));
	doc_set(a, d, "created_at", doc_time(a, r.created_at_us));
	k->d = d;
	return TL_OK;
}

static enum tl_status find_dead(struct pg *pg, struct tasks *k,
				struct tl_err *err)
{
	struct tl_arena *a = k->t->arena;
	struct q_task_dead_find_row r;
	enum tl_status st = q_task_dead_find(pg, k->id, a, &r, err);
	struct doc *d = doc_object(a);

	if (st != TL_OK)
		return st;
	doc_set(a, d, "id", doc_int(a, r.task_id));
	doc_set(a, d, "state", doc_str(a, r.outcome));
	doc_set(a, d, "name", doc_str(a, r.name));
	doc_set(a, d, "queue", doc_str(a, r.queue));
	doc_set(a, d, "tenant", doc_str(a, r.tenant));
	doc_set(a, d, "priority", doc_int(a, r.priority));
	doc_set(a, d, "payload", json(a, r.payload));
	doc_set(a, d, "singleton_key",
		or_null(a, r.singleton_key, r.singleton_key_null));
	doc_set(a, d, "attempt", doc_int(a, r.attempts));
	doc_set(a, d, "retry_limit", doc_int(a, r.retry_limit));
	doc_set(a, d, "timeout_ms", doc_int(a, r.timeout_ms));
	doc_set(a, d, "error", or_null(a, r.error, r.error_null));
	doc_set(a, d, "ended_at", doc_time(a, r.ended_at_us));
	doc_set(a, d, "created_at", doc_time(a, r.created_at_us));
	k->d = d;
	return TL_OK;
}

static struct doc *attempts_doc(struct tl_arena *a,
				const struct q_task_attempts_row *rows,
				uint32_t n)
{
	struct doc *list = doc_array(a);

	for (uint32_t i = 0; i < n; i++) {
		const struct q_task_attempts_row *r = &rows[i];
		struct doc *d = doc_object(a);

		doc_set(a, d, "attempt", doc_int(a, r->attempt));
		doc_set(a, d, "outcome", doc_str(a, r->outcome));
		doc_set(a, d, "started_at",
			r->started_at_null ? doc_null()
					   : doc_time(a, r->started_at_us));
		doc_set(a, d, "ended_at", doc_time(a, r->ended_at_us));
		doc_set(a, d, "error", or_null(a, r->error, r->error_null));
		doc_push(a, list, d);
	}
	return list;
}

static enum tl_status no_task(const struct tasks *k, struct tl_err *err)
{
	return tl_err_set(err, TL_NOT_FOUND,
			  "there is no task %" PRId64 "; see 'tallyctl task "
			  "list'",
			  k->id);
}

static enum tl_status run_show(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;
	struct tl_arena *a = k->t->arena;
	struct q_task_attempts_row *rows;
	enum tl_status st;
	uint32_t n;

	st = find_open(pg, k, err);
	if (st == TL_NOT_FOUND)
		st = find_dead(pg, k, err);
	if (st != TL_OK && st != TL_NOT_FOUND)
		return st;
	st = q_task_attempts(pg, k->id, a, &rows, &n, err);
	if (st != TL_OK)
		return st;
	if (k->d == NULL && n == 0)
		return no_task(k, err);
	if (k->d == NULL) { /* it went well: its attempts are what is left */
		k->d = doc_object(a);
		doc_set(a, k->d, "id", doc_int(a, k->id));
		doc_set(a, k->d, "state", text(a, "completed"));
		doc_set(a, k->d, "name", doc_str(a, rows[0].name));
	}
	doc_set(a, k->d, "attempts", attempts_doc(a, rows, n));
	return TL_OK;
}

static void print_members(const struct doc *d)
{
	struct tl_buf b;

	tl_buf_init(&b);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct doc_member *m = &d->members[i];

		if (m->value->type == DOC_NULL || m->value->type == DOC_ARRAY)
			continue;
		tl_buf_reset(&b);
		if (m->value->type == DOC_STR)
			tl_buf_add(&b, m->value->str.ptr, m->value->str.len);
		else
			doc_write(m->value, DOC_JSON, &b);
		(void)printf("%-14.*s %s\n", (int)m->name.len, m->name.ptr,
			     b.ptr);
	}
	tl_buf_deinit(&b);
}

static void print_attempts(struct tallyctl *t, const struct doc *list)
{
	static const char *const heads[] = { "ATTEMPT", "OUTCOME", "STARTED",
					     "ENDED", "ERROR" };
	struct table out;

	table_init(&out, t->arena, heads, 5, 1u << 0);
	for (uint32_t i = 0; i < list->n; i++) {
		const struct doc *a = list->items[i];
		const char *error = member_text(a, "error");

		table_number(&out, member_number(a, "attempt"));
		table_text(&out, tl_str_c(member_text(a, "outcome")));
		table_text(&out, tl_str_c(member_text(a, "started_at")));
		table_text(&out, tl_str_c(member_text(a, "ended_at")));
		table_text(&out, tl_str_c(error));
	}
	table_print(&out);
}

enum exit_status cmd_task_show(struct tallyctl *t)
{
	struct tasks k = { .t = t };
	enum exit_status ex = read_id(&k);
	const struct doc *attempts;

	if (ex == EXIT_OK)
		ex = db_do(t, run_show, &k);

	if (ex != EXIT_OK)
		return ex;
	if (t->json) {
		print_json(k.d);
		return EXIT_OK;
	}
	print_members(k.d);
	attempts = doc_get(k.d, "attempts");
	if (attempts->n > 0) {
		(void)putchar('\n');
		print_attempts(t, attempts);
	}
	return EXIT_OK;
}

/* ---- cancel, retry ---- */

static enum tl_status run_cancel(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;
	struct q_task_cancel_row row;
	enum tl_status st = q_task_cancel(
		pg,
		&(struct q_task_cancel_params){ .task_id = k->id,
						.actor = TALLYCTL_ACTOR },
		k->t->arena, &row, err);

	if (st == TL_OK && row.outcome_null)
		return no_task(k, err);
	k->outcome = row.outcome;
	return st;
}

static enum tl_status run_retry(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;
	struct q_task_retry_row row;
	enum tl_status st = q_task_retry(
		pg,
		&(struct q_task_retry_params){
			.task_id = k->id,
			.payload = k->payload.ptr != NULL ? &k->payload : NULL,
			.actor = TALLYCTL_ACTOR },
		k->t->arena, &row, err);

	if (st == TL_OK && row.outcome_null)
		return no_task(k, err);
	if (st == TL_OK && tl_str_eq(row.outcome, TL_STR("suppressed")))
		return tl_err_set(err, TL_CONFLICT,
				  "an unfinished task has its singleton key");
	k->outcome = row.outcome;
	return st;
}

static enum exit_status change(struct tasks *k, db_fn fn)
{
	struct tallyctl *t = k->t;
	struct doc *d = doc_object(t->arena);
	enum exit_status ex = read_id(k);

	if (ex == EXIT_OK)
		ex = db_do(t, fn, k);
	if (ex != EXIT_OK)
		return ex;
	doc_set(t->arena, d, "id", doc_int(t->arena, k->id));
	doc_set(t->arena, d, "outcome", doc_str(t->arena, k->outcome));
	if (t->json)
		print_json(d);
	else
		(void)printf("task %" PRId64 ": %.*s\n", k->id,
			     (int)k->outcome.len, k->outcome.ptr);
	return EXIT_OK;
}

enum exit_status cmd_task_cancel(struct tallyctl *t)
{
	struct tasks k = { .t = t };

	return change(&k, run_cancel);
}

enum exit_status cmd_task_retry(struct tallyctl *t)
{
	struct tasks k = { .t = t, .payload = ctl_text(t->args, "payload") };
	const struct doc *payload;
	struct tl_err err;

	if (k.payload.ptr != NULL && (doc_parse(t->arena, DOC_JSON, k.payload,
						&payload, &err) != TL_OK ||
				      payload->type != DOC_OBJECT))
		return complain(EXIT_USAGE, "--payload must be a JSON object");
	return change(&k, run_retry);
}
