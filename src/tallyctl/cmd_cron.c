/*
 * cmd_cron.c - jobs by the clock: list, history, run, pause, resume, set.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/cron/cron_view.h"
#include "base/clock.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "store/q_cron.h"
#include "tallyctl/db.h"
#include "tallyctl/table.h"
#include "tallyctl/tallyctl.h"

#define LAST_DEFAULT 20
#define LAST_MAX     10000
#define WAIT_MS      4000
#define LOOK_MS      50

struct cron {
	struct tallyctl *t;
	const struct cron_job *job;
	struct doc *jobs;
	struct q_cron_run_find_row *runs;
	uint32_t n;
	struct q_cron_run_find_row run;
	struct cron_change change;
};

static enum exit_status find(struct cron *c)
{
	struct tl_str name = ctl_text(c->t->args, "job");

	c->job = cron_job_find(name);
	if (c->job != NULL)
		return EXIT_OK;
	return complain(EXIT_NOT_FOUND,
			"there is no job '%.*s'; see 'tallyctl cron list'",
			(int)name.len, name.ptr);
}

/* ---- list ---- */

static enum tl_status run_list(struct pg *pg, void *arg, struct tl_err *err)
{
	struct cron *c = arg;

	return cron_view_jobs(pg, tl_wall_us(), c->t->arena, &c->jobs, err);
}

static const char *state_of(const struct doc *job)
{
	if (doc_get(job, "problem")->type == DOC_STR)
		return "broken";
	return doc_get(job, "paused")->boolean ? "paused" : "on";
}

/* "2026-03-01T12:34:56", the rest is for machines. */
static struct tl_str second_of(struct tl_str rfc3339)
{
	return (struct tl_str){ rfc3339.ptr, 19 };
}

static void print_jobs(struct cron *c)
{
	static const char *const heads[] = { "JOB",   "SCHEDULE", "ZONE",
					     "STATE", "LAST",     "OUTCOME" };
	struct table t;

	table_init(&t, c->t->arena, heads, 6, 0);
	for (uint32_t i = 0; i < c->jobs->n; i++) {
		const struct doc *job = c->jobs->items[i];
		const struct doc *last = doc_get(job, "last");
		bool ran = last->type == DOC_OBJECT;

		table_text(&t, tl_str_c(member_text(job, "name")));
		table_text(&t, tl_str_c(member_text(job, "schedule")));
		table_text(&t, tl_str_c(member_text(job, "time_zone")));
		table_text(&t, tl_str_c(state_of(job)));
		table_text(&t, ran ? second_of(doc_get(last, "slot")->str)
				   : TL_STR("-"));
		table_text(&t,
			   tl_str_c(ran ? member_text(last, "outcome") : "-"));
	}
	table_print(&t);
}

/* Slots are whole minutes, in UTC: "2026-03-01 12:34". */
static const char *minute_text(struct tl_arena *a, struct tl_str rfc3339)
{
	char *text = tl_arena_strndup(a, rfc3339.ptr, 16);

	text[10] = ' ';
	return text;
}

static void print_times(struct cron *c)
{
	static const char *const heads[] = { "NEXT (UTC)", "1", "2",
					     "3",          "4", "5" };
	struct tl_arena *a = c->t->arena;
	struct table t;

	table_init(&t, a, heads, 1 + CRON_VIEW_TIMES, 0);
	for (uint32_t i = 0; i < c->jobs->n; i++) {
		const struct doc *job = c->jobs->items[i];
		const struct doc *next = doc_get(job, "next");

		table_text(&t, tl_str_c(member_text(job, "name")));
		for (uint32_t k = 0; k < CRON_VIEW_TIMES; k++)
			table_text(
				&t,
				tl_str_c(k < next->n
						 ? minute_text(
							   a,
							   next->items[k]->str)
						 : ""));
	}
	(void)putchar('\n');
	table_print(&t);
	for (uint32_t i = 0; i < c->jobs->n; i++) {
		const struct doc *job = c->jobs->items[i];

		if (doc_get(job, "problem")->type == DOC_STR)
			(void)complain(EXIT_OK, "%s does not run: %s",
				       member_text(job, "name"),
				       member_text(job, "problem"));
	}
}

enum exit_status cmd_cron_list(struct tallyctl *t)
{
	struct cron c = { .t = t };
	struct doc *d = doc_object(t->arena);
	enum exit_status ex = db_do(t, run_list, &c);

	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_jobs(&c);
		print_times(&c);
		return EXIT_OK;
	}
	doc_set(t->arena, d, "jobs", c.jobs);
	print_json(d);
	return EXIT_OK;
}

/* ---- history ---- */

static enum tl_status run_history(struct pg *pg, void *arg, struct tl_err *err)
{
	struct cron *c = arg;
	struct tl_str name = { NULL, 0 };
	struct q_cron_history_params p = { .max = ctl_number(c->t->args, "last",
							     LAST_DEFAULT) };

	if (c->job != NULL) {
		name = tl_str_c(c->job->name);
		p.job = &name;
	}
	return q_cron_history(pg, &p, c->t->arena, &c->runs, &c->n, err);
}

static void add_run(struct table *t, const struct q_cron_run_find_row *r)
{
	char slot[TL_RFC3339_TEXT];
	bool ended = !r->started_at_null && !r->finished_at_null;
	struct tl_arena *a = t->arena;

	tl_rfc3339_format(r->slot_us, slot);
	table_text(t, r->job);
	table_text(t, tl_str_c(tl_arena_strndup(a, slot, 19)));
	table_text(t, r->outcome);
	table_text(t, ended ? tl_str_c(span_text(a, (r->finished_at_us -
						     r->started_at_us) /
							    1000))
			    : TL_STR(""));
	table_text(t, r->asked_by_null ? TL_STR("schedule") : r->asked_by);
	table_text(t, r->node_null ? TL_STR("") : r->node);
	table_text(t, r->detail_null ? TL_STR("") : r->detail);
}

static void print_runs(struct cron *c, const struct q_cron_run_find_row *runs,
		       uint32_t n)
{
	static const char *const heads[] = { "JOB", "SLOT", "OUTCOME", "TOOK",
					     "BY",  "NODE", "DETAIL" };
	struct table t;

	table_init(&t, c->t->arena, heads, 7, 0);
	for (uint32_t i = 0; i < n; i++)
		add_run(&t, &runs[i]);
	table_print(&t);
}

enum exit_status cmd_cron_history(struct tallyctl *t)
{
	struct cron c = { .t = t };
	int64_t last = ctl_number(t->args, "last", LAST_DEFAULT);
	struct doc *d = doc_object(t->arena), *list = doc_array(t->arena);
	enum exit_status ex = EXIT_OK;

	if (last < 1 || last > LAST_MAX)
		return complain(EXIT_USAGE, "--last must be 1 to %d", LAST_MAX);
	if (ctl_text(t->args, "job").ptr != NULL)
		ex = find(&c);
	if (ex == EXIT_OK)
		ex = db_do(t, run_history, &c);
	if (ex != EXIT_OK)
		return ex;
	if (!t->json) {
		print_runs(&c, c.runs, c.n);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < c.n; i++)
		doc_push(t->arena, list, cron_view_run(t->arena, &c.runs[i]));
	doc_set(t->arena, d, "runs", list);
	print_json(d);
	return EXIT_OK;
}

/* ---- run ---- */

static bool is_over(const struct q_cron_run_find_row *r)
{
	return !tl_str_eq(r->outcome, TL_STR("asked")) &&
	       !tl_str_eq(r->outcome, TL_STR("running"));
}

static enum tl_status run_run(struct pg *pg, void *arg, struct tl_err *err)
{
	struct cron *c = arg;
	uint64_t due_mono_ms = tl_mono_ms() + WAIT_MS;
	int64_t id = 0, slot_us;
	enum tl_status st;

	st = cron_ask(pg, c->job, TALLYCTL_ACTOR, tl_wall_us(), c->t->arena,
		      &id, &slot_us, err);
	while (st == TL_OK) {
		st = q_cron_run_find(pg, id, c->t->arena, &c->run, err);
		if (st != TL_OK || is_over(&c->run) ||
		    tl_mono_ms() >= due_mono_ms)
			break;
		st = co_sleep_ms(LOOK_MS, err);
	}
	return st;
}

enum exit_status cmd_cron_run(struct tallyctl *t)
{
	struct cron c = { .t = t };
	enum exit_status ex = find(&c);

	if (ex == EXIT_OK)
		ex = db_do(t, run_run, &c);
	if (ex != EXIT_OK)
		return ex;
	if (t->json)
		print_json(cron_view_run(t->arena, &c.run));
	else
		print_runs(&c, &c.run, 1);
	if (tl_str_eq(c.run.outcome, TL_STR("asked")))
		return complain(EXIT_OK, "no scheduler has begun it yet; it "
					 "runs when one leads");
	if (!is_over(&c.run))
		return complain(EXIT_OK,
				"it is still running; see 'tallyctl "
				"cron history %s'",
				c.job->name);
	return tl_str_eq(c.run.outcome, TL_STR("done")) ? EXIT_OK : EXIT_FAILED;
}

/* ---- pause, resume, set ---- */

static enum tl_status run_change(struct pg *pg, void *arg, struct tl_err *err)
{
	struct cron *c = arg;
	enum tl_status st;

	st = cron_change_store(pg, c->job, &c->change, TALLYCTL_ACTOR,
			       tl_wall_us(), c->t->arena, err);
	return st == TL_OK ? run_list(pg, c, err) : st;
}

/* The job as it is now, alone. */
static enum exit_status change(struct cron *c)
{
	enum exit_status ex = db_do(c->t, run_change, c);
	struct doc *one = doc_array(c->t->arena);

	if (ex != EXIT_OK)
		return ex;
	doc_push(c->t->arena, one, c->jobs->items[c->job - CRON_JOBS]);
	c->jobs = one;
	if (c->t->json) {
		print_json(one->items[0]);
	} else {
		print_jobs(c);
		print_times(c);
	}
	return EXIT_OK;
}

static enum exit_status set_paused(struct tallyctl *t, bool paused)
{
	struct cron c = { .t = t };
	enum exit_status ex = find(&c);

	c.change.set_paused = true;
	c.change.paused = paused;
	return ex == EXIT_OK ? change(&c) : ex;
}

enum exit_status cmd_cron_pause(struct tallyctl *t)
{
	return set_paused(t, true);
}

enum exit_status cmd_cron_resume(struct tallyctl *t)
{
	return set_paused(t, false);
}

enum exit_status cmd_cron_set(struct tallyctl *t)
{
	struct cron c = { .t = t };
	bool defaults = ctl_flag(t->args, "defaults");
	enum exit_status ex = find(&c);
	struct tl_err err;

	if (ex != EXIT_OK)
		return ex;
	c.change.schedule = ctl_text(t->args, "schedule");
	c.change.zone = ctl_text(t->args, "time_zone");
	c.change.set_schedule = defaults || c.change.schedule.ptr != NULL;
	c.change.set_zone = defaults || c.change.zone.ptr != NULL;
	if (t->args->n == 1) /* the job only */
		return complain(EXIT_USAGE, "give --schedule, --time-zone or "
					    "--defaults");
	if (cron_change_check(&c.change, &err) != TL_OK)
		return complain(EXIT_USAGE, "%s", err.text);
	return change(&c);
}
