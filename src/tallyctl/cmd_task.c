/*
 * cmd_task.c - tasks of the bus: list, show, retry, cancel, replay.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/admin/task_acts.h"
#include "store/q_tasks_admin.h"
#include "tallyctl/db.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define LAST_DEFAULT 50
#define LAST_MAX     10000

struct tasks {
	struct tallyctl *t;
	int64_t id;
	struct task_filter which;
	struct q_task_page_row *rows;
	uint32_t n;
	struct doc *d; /* show */
	struct tl_str payload, outcome;
	struct task_replay replay;
	struct task_replayed replayed;
};

/* ---- list ---- */

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;

	return task_acts_list(pg, &k->which, INT64_MAX,
			      ctl_number(k->t->args, "last", LAST_DEFAULT),
			      k->t->arena, &k->rows, &k->n, err);
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
		const struct q_task_page_row *r = &k->rows[i];

		table_number(&t, r->task_id);
		table_text(&t, r->cancelling ? TL_STR("cancelling") : r->state);
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
		const struct q_task_page_row *r = &k->rows[i];

		table_number(&t, r->task_id);
		table_text(&t, tl_str_c(time_text(a, r->ended_at_us)));
		table_text(&t, r->state);
		table_text(&t, r->name);
		table_number(&t, r->attempt);
		table_text(&t, r->error_null ? TL_STR("") : r->error);
	}
	table_print(&t);
}

static struct task_filter filter_of(struct tallyctl *t)
{
	return (struct task_filter){ .state = ctl_text(t->args, "state"),
				     .queue = ctl_text(t->args, "queue"),
				     .name = ctl_text(t->args, "name") };
}

enum exit_status cmd_task_list(struct tallyctl *t)
{
	struct doc *list = doc_array(t->arena), *d = doc_object(t->arena);
	int64_t last = ctl_number(t->args, "last", LAST_DEFAULT);
	struct tasks k = { .t = t, .which = filter_of(t) };
	enum exit_status ex;

	if (last < 1 || last > LAST_MAX)
		return complain(EXIT_USAGE, "--last must be from 1 to %d",
				LAST_MAX);
	if (ctl_flag(t->args, "dead")) {
		if (k.which.state.ptr != NULL)
			return complain(EXIT_USAGE,
					"give --dead or --state, not both");
		k.which.state = TL_STR("dead");
	}
	ex = db_do(t, run_list, &k);
	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		if (k.n > 0 && !k.rows[0].ended_at_null)
			print_dead(&k);
		else
			print_open(&k);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < k.n; i++)
		doc_push(t->arena, list, task_acts_row(t->arena, &k.rows[i]));
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

static enum tl_status run_show(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;

	return task_acts_show(pg, k->id, k->t->arena, &k->d, err);
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

	return task_acts_cancel(pg, k->id, TALLYCTL_ACTOR, k->t->arena,
				&k->outcome, err);
}

static enum tl_status run_retry(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;

	return task_acts_retry(pg, k->id,
			       k->payload.ptr != NULL ? &k->payload : NULL,
			       TALLYCTL_ACTOR, k->t->arena, &k->outcome, err);
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

/* ---- replay ---- */

static enum tl_status run_replay(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tasks *k = arg;

	return task_acts_replay(pg, &k->replay, TALLYCTL_ACTOR, k->t->arena,
				&k->replayed, err);
}

static enum exit_status show_replayed(const struct tasks *k)
{
	const struct task_replayed *r = &k->replayed;
	struct tl_arena *a = k->t->arena;

	if (k->t->json) {
		print_json(task_acts_replayed(a, r));
		return EXIT_OK;
	}
	(void)printf("%" PRId64 " task%s sent again", r->sent,
		     r->sent == 1 ? "" : "s");
	if (r->suppressed > 0)
		(void)printf("; of %" PRId64 " others an unfinished task has "
			     "the singleton key",
			     r->suppressed);
	(void)puts(r->more ? "; there may be more of them" : "");
	return EXIT_OK;
}

enum exit_status cmd_task_replay(struct tallyctl *t)
{
	struct tl_str since = ctl_text(t->args, "since");
	struct tasks k = { .t = t,
			   .replay = {
				   .which = filter_of(t),
				   .has_since = since.ptr != NULL,
				   .max = ctl_number(t->args, "max",
						     TASK_REPLAY_DEFAULT) } };
	enum exit_status ex;

	if (k.replay.max < 1 || k.replay.max > TASK_REPLAY_MAX)
		return complain(EXIT_USAGE, "--max must be from 1 to %d",
				TASK_REPLAY_MAX);
	if (since.ptr != NULL && !tl_rfc3339_parse(since, &k.replay.since_us))
		return complain(EXIT_USAGE, "--since needs a time as "
					    "2026-03-01T12:00:00Z");
	ex = db_do(t, run_replay, &k);
	return ex == EXIT_OK ? show_replayed(&k) : ex;
}
