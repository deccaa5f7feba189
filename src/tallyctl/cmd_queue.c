/*
 * cmd_queue.c - queues of the task bus: list, pause, resume, set.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/admin/task_acts.h"
#include "store/q_tasks_admin.h"
#include "tallyctl/db.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

struct queues {
	struct tallyctl *t;
	struct tl_str name;
	bool pause;
	struct q_queue_page_row *rows;
	uint32_t n;
};

static struct tl_str limit_text(struct tl_arena *a, int32_t at_a_time,
				bool no_places, int32_t rate, bool no_rate,
				int32_t window_ms)
{
	char places[32] = "", tokens[64] = "";

	if (!no_places)
		(void)snprintf(places, sizeof(places), "%d at a time%s",
			       at_a_time, no_rate ? "" : ", ");
	if (!no_rate)
		(void)snprintf(tokens, sizeof(tokens), "%d in %s", rate,
			       span_text(a, window_ms));
	return tl_str_c(tl_arena_printf(a, "%s%s", places, tokens));
}

static void print_queues(const struct queues *q)
{
	static const char *const heads[] = {
		"QUEUE",  "STATE", "READY", "DELAYED",    "ACTIVE",
		"PARKED", "DEAD",  "LIMIT", "OF A TENANT"
	};
	struct tl_arena *a = q->t->arena;
	struct table t;

	table_init(&t, a, heads, 9,
		   1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6);
	for (uint32_t i = 0; i < q->n; i++) {
		const struct q_queue_page_row *r = &q->rows[i];

		table_text(&t, r->queue);
		table_text(&t, r->paused_at_null ? TL_STR("open")
						 : TL_STR("paused"));
		table_number(&t, r->ready);
		table_number(&t, r->delayed);
		table_number(&t, r->active);
		table_number(&t, r->parked);
		table_number(&t, r->dead);
		table_text(&t,
			   limit_text(a, r->concurrency, r->concurrency_null,
				      r->rate_count, r->rate_count_null,
				      r->rate_window_ms));
		table_text(&t, limit_text(a, r->tenant_concurrency,
					  r->tenant_concurrency_null,
					  r->tenant_rate_count,
					  r->tenant_rate_count_null,
					  r->tenant_rate_window_ms));
	}
	table_print(&t);
}

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct queues *q = arg;

	return q_queue_page(pg, NULL, q->t->arena, &q->rows, &q->n, err);
}

static enum exit_status show(struct queues *q)
{
	struct tallyctl *t = q->t;
	struct doc *list = doc_array(t->arena), *d = doc_object(t->arena);

	if (!t->json) {
		print_queues(q);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < q->n; i++)
		doc_push(t->arena, list,
			 task_acts_queue(t->arena, &q->rows[i]));
	doc_set(t->arena, d, "queues", list);
	print_json(d);
	return EXIT_OK;
}

enum exit_status cmd_queue_list(struct tallyctl *t)
{
	struct queues q = { .t = t };
	enum exit_status ex = db_do(t, run_list, &q);

	return ex == EXIT_OK ? show(&q) : ex;
}

/* ---- changes: all of them end with that queue's line ---- */

static enum tl_status run_pause(struct pg *pg, void *arg, struct tl_err *err)
{
	struct queues *q = arg;

	q->n = 1;
	q->rows = tl_arena_alloc(q->t->arena, sizeof(*q->rows));
	return task_acts_queue_pause(pg, q->name, q->pause, TALLYCTL_ACTOR,
				     q->t->arena, q->rows, err);
}

static const int32_t *given(struct queues *q, const char *name, int64_t times)
{
	int64_t n = ctl_number(q->t->args, name, -1);
	int32_t *v;

	if (n < 0)
		return NULL;
	v = tl_arena_alloc(q->t->arena, sizeof(*v));
	*v = n * times > INT32_MAX ? INT32_MAX : (int32_t)(n * times);
	return v;
}

static enum tl_status run_set(struct pg *pg, void *arg, struct tl_err *err)
{
	struct queues *q = arg;
	const struct q_queue_set_params p = {
		.queue = q->name,
		.concurrency = given(q, "concurrency", 1),
		.rate = given(q, "rate", 1),
		.rate_window_ms = given(q, "window", 1000),
		.tenant_concurrency = given(q, "tenant_concurrency", 1),
		.tenant_rate = given(q, "tenant_rate", 1),
		.tenant_rate_window_ms = given(q, "tenant_window", 1000),
		.actor = TALLYCTL_ACTOR,
	};
	struct q_queue_set_row row;
	enum tl_status st = q_queue_set(pg, &p, q->t->arena, &row, err);

	if (st == TL_CONFLICT) /* by a CHECK of the table */
		return tl_err_set(err, TL_INVALID,
				  "the name of a queue is made of A-Z a-z 0-9 "
				  "_ . : -, and a window has 1 to 86400 "
				  "seconds");
	q->n = 1;
	q->rows = tl_arena_alloc(q->t->arena, sizeof(*q->rows));
	return st == TL_OK ? task_acts_queue_find(pg, q->name, q->t->arena,
						  q->rows, err)
			   : st;
}

static enum exit_status change(struct tallyctl *t, db_fn fn, bool pause)
{
	struct queues q = { .t = t,
			    .name = ctl_text(t->args, "queue"),
			    .pause = pause };
	enum exit_status ex;

	if (q.name.len == 0 || q.name.len > QUEUE_NAME_MAX)
		return complain(EXIT_USAGE,
				"a queue's name has 1 to %d characters",
				QUEUE_NAME_MAX);
	ex = db_do(t, fn, &q);
	return ex == EXIT_OK ? show(&q) : ex;
}

enum exit_status cmd_queue_pause(struct tallyctl *t)
{
	return change(t, run_pause, true);
}

enum exit_status cmd_queue_resume(struct tallyctl *t)
{
	return change(t, run_pause, false);
}

enum exit_status cmd_queue_set(struct tallyctl *t)
{
	if (t->args->n == 1) /* its name only */
		return complain(EXIT_USAGE, "give what to set; see 'tallyctl "
					    "-h'");
	return change(t, run_set, false);
}
