#include "app/cron/cron_view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "pg/pg.h"
#include "store/q_cron.h"

#define ROWS_MAX 1000
#define US_PER_S 1000000

static const struct doc *text(struct tl_arena *a, const char *s)
{
	return doc_str(a, tl_str_c(tl_arena_strndup(a, s, strlen(s))));
}

static const struct doc *text_or_null(struct tl_arena *a, struct tl_str s,
				      bool null)
{
	return null ? doc_null() : doc_str(a, s);
}

struct doc *cron_view_run(struct tl_arena *a,
			  const struct q_cron_run_find_row *r)
{
	struct doc *d = doc_object(a);

	doc_set(a, d, "id", doc_int(a, r->run_id));
	doc_set(a, d, "job", doc_str(a, r->job));
	doc_set(a, d, "slot", doc_time(a, r->slot_us));
	doc_set(a, d, "outcome", doc_str(a, r->outcome));
	doc_set(a, d, "detail", text_or_null(a, r->detail, r->detail_null));
	doc_set(a, d, "asked_by",
		text_or_null(a, r->asked_by, r->asked_by_null));
	doc_set(a, d, "node", text_or_null(a, r->node, r->node_null));
	doc_set(a, d, "started_at",
		doc_time_or_null(a, r->started_at_null, r->started_at_us));
	doc_set(a, d, "finished_at",
		doc_time_or_null(a, r->finished_at_null, r->finished_at_us));
	return d;
}

static const struct doc *next_times(const struct cron_plan *p, int64_t now_us,
				    struct tl_arena *a)
{
	struct doc *list = doc_array(a);
	int64_t t = now_us / US_PER_S;

	for (int i = 0; i < CRON_VIEW_TIMES; i++) {
		t = cron_plan_next(p, t);
		if (t == INT64_MAX)
			break;
		doc_push(a, list, doc_time(a, t * US_PER_S));
	}
	return list;
}

static const struct doc *last_run(const struct cron_job *job,
				  const struct q_cron_run_find_row *last,
				  uint32_t n, struct tl_arena *a)
{
	for (uint32_t i = 0; i < n; i++)
		if (tl_str_eq(last[i].job, tl_str_c(job->name)))
			return cron_view_run(a, &last[i]);
	return doc_null();
}

static struct doc *job_view(const struct cron_plan *p, int64_t now_us,
			    struct tl_arena *a)
{
	struct doc *d = doc_object(a);
	bool own = strcmp(p->schedule, p->job->schedule) != 0 ||
		   strcmp(p->zone_name, p->job->zone) != 0;

	doc_set(a, d, "name", text(a, p->job->name));
	doc_set(a, d, "summary", text(a, p->job->summary));
	doc_set(a, d, "schedule", text(a, p->schedule));
	doc_set(a, d, "time_zone", text(a, p->zone_name));
	doc_set(a, d, "changed", doc_bool(own));
	doc_set(a, d, "paused", doc_bool(p->paused));
	doc_set(a, d, "missed", text(a, cron_missed_name(p->job->missed)));
	doc_set(a, d, "problem",
		p->problem[0] != '\0' ? text(a, p->problem) : doc_null());
	doc_set(a, d, "next", next_times(p, now_us, a));
	return d;
}

enum tl_status cron_view_jobs(struct pg *pg, int64_t now_us, struct tl_arena *a,
			      struct doc **jobs_r, struct tl_err *err)
{
	struct q_cron_changes_row *changes;
	struct q_cron_run_find_row *last;
	struct doc *list = doc_array(a), *d;
	uint32_t n_changes, n_last;
	struct cron_plan p;
	enum tl_status st;

	st = q_cron_changes(pg, ROWS_MAX, a, &changes, &n_changes, err);
	if (st == TL_OK)
		st = q_cron_last(pg, ROWS_MAX, a, &last, &n_last, err);
	if (st != TL_OK)
		return st;
	for (const struct cron_job *j = CRON_JOBS; j->name != NULL; j++) {
		cron_plan_init(&p, j, cron_changes_of(changes, n_changes, j));
		d = job_view(&p, now_us, a);
		doc_set(a, d, "last", last_run(j, last, n_last, a));
		doc_push(a, list, d);
		cron_plan_deinit(&p);
	}
	*jobs_r = list;
	return TL_OK;
}

enum tl_status cron_change_check(const struct cron_change *c,
				 struct tl_err *err)
{
	struct tally_zone *zone = NULL;
	struct tally_cron when;

	if (!c->set_schedule && !c->set_zone && !c->set_paused)
		return tl_err_set(err, TL_INVALID,
				  "give what to change: schedule, time_zone, "
				  "paused");
	if (c->set_schedule && c->schedule.ptr != NULL &&
	    tally_cron_parse(c->schedule, &when, err) != TL_OK) {
		tl_err_wrap(err, "schedule");
		return TL_INVALID;
	}
	if (c->set_zone && c->zone.ptr != NULL &&
	    cron_zone_load(c->zone, &zone, err) != TL_OK) {
		tl_err_wrap(err, "time_zone");
		return TL_INVALID;
	}
	tally_zone_free(&zone);
	return TL_OK;
}

enum tl_status cron_change_store(struct pg *pg, const struct cron_job *job,
				 const struct cron_change *c,
				 struct tl_str actor, int64_t now_us,
				 struct tl_arena *a, struct tl_err *err)
{
	const struct tl_str schedule = tl_str_trim(c->schedule);
	const struct q_cron_change_params p = {
		.job = tl_str_c(job->name),
		.set_schedule = c->set_schedule,
		.schedule = c->schedule.ptr != NULL ? &schedule : NULL,
		.set_zone = c->set_zone,
		.time_zone = c->zone.ptr != NULL ? &c->zone : NULL,
		.paused = c->set_paused ? &c->paused : NULL,
		.now_us = now_us,
		.actor = actor,
	};
	struct q_cron_change_row row;

	return q_cron_change(pg, &p, a, &row, err);
}

enum tl_status cron_ask(struct pg *pg, const struct cron_job *job,
			struct tl_str actor, int64_t now_us, struct tl_arena *a,
			int64_t *run_id_r, int64_t *slot_us_r,
			struct tl_err *err)
{
	const struct q_cron_ask_params p = { .job = tl_str_c(job->name),
					     .now_us = now_us,
					     .actor = actor };
	struct q_cron_ask_row row;
	enum tl_status st;

	st = q_cron_ask(pg, &p, a, &row, err);
	if (st != TL_OK)
		return st;
	if (row.run_id_null || row.slot_null)
		return tl_err_set(err, TL_CONFLICT,
				  "job '%s' is asked for or running already",
				  job->name);
	*run_id_r = row.run_id;
	*slot_us_r = row.slot_us;
	return TL_OK;
}
