#include "tallyctl/top_queues.h"

#include <event2/event.h>

#include "base/clock.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "store/q_tasks_admin.h"

#define EVERY_MS     5000
#define SHARE        20   /* at most one in so many parts of the time */
#define ANSWER_MS    5000 /* a question gets */
#define DAEMON_MS    300  /* the daemon gets, to say where its database is */
#define DAEMON_EVERY 10000
#define RATE_S       10 /* the rate is that of the last seconds */

struct answer {
	struct tl_arena arena; /* holds the rest */
	struct q_queue_page_row *rows;
	uint32_t n;
	struct q_queue_ended_row *ended;
	uint32_t n_ended;
	uint64_t mono_ms; /* when; 0: never */
};

struct top_queues {
	struct tallyctl *t;
	struct event_base *base;
	struct pg_pool *pool; /* NULL: nobody knows where the database is */
	struct answer last;
	bool asking;
	uint64_t due_mono_ms;
	struct tl_err err; /* of the last question, "" for none */
};

/* ---- the question ---- */

static enum tl_status ask_rows(struct top_queues *q, struct answer *r)
{
	struct pg *pg = pg_pool_pg(q->pool);
	enum tl_status st;

	st = q_queue_page(pg, NULL, &r->arena, &r->rows, &r->n, &q->err);
	if (st == TL_OK && q->t->conf->runner.audit == CONF_AUDIT_ALL)
		st = q_queue_ended(pg, RATE_S, &r->arena, &r->ended,
				   &r->n_ended, &q->err);
	return st;
}

/* Coroutine. */
static void ask(void *arg)
{
	struct top_queues *q = arg;
	uint64_t began_mono_ms = tl_mono_ms(), took_ms;
	struct answer r = { .n = 0 };

	tl_arena_init(&r.arena);
	if (ask_rows(q, &r) == TL_OK) {
		q->err.text[0] = '\0';
		r.mono_ms = tl_mono_ms();
		tl_arena_deinit(&q->last.arena);
		q->last = r;
	} else {
		tl_arena_deinit(&r.arena);
	}
	took_ms = tl_mono_ms() - began_mono_ms;
	q->due_mono_ms =
		tl_mono_ms() +
		(took_ms * SHARE > EVERY_MS ? took_ms * SHARE : EVERY_MS);
	q->asking = false;
}

/* ---- where ---- */

static const char *find_url(struct top_queues *q)
{
	const struct doc *result, *url;

	if (q->t->conf->database.url[0] != '\0')
		return q->t->conf->database.url;
	if (daemon_ask(q->t, "database", DAEMON_MS, &result, &q->err) != TL_OK)
		return NULL;
	url = doc_get(result, "url");
	return url != NULL && url->type == DOC_STR ? url->str.ptr : NULL;
}

static void find_database(struct top_queues *q)
{
	struct pg_pool_opts opts = {
		.application_name = "tallyctl top",
		.size = 1,
		.queue_max = 1,
		.statement_timeout_ms = ANSWER_MS,
	};
	const char *url = find_url(q);

	q->due_mono_ms = tl_mono_ms();
	if (url == NULL) {
		q->due_mono_ms += DAEMON_EVERY;
		return;
	}
	opts.way = pg_way(q->t->conf, url);
	q->pool = pg_pool_new(&opts);
}

/* ---- beside top ---- */

struct top_queues *top_queues_start(struct tallyctl *t)
{
	struct top_queues *q = tl_alloc(sizeof(*q));

	*q = (struct top_queues){ .t = t, .base = event_base_new() };
	tl_assert(q->base != NULL);
	tl_arena_init(&q->last.arena);
	if (co_init(q->base, 16, &q->err) != TL_OK)
		q->due_mono_ms = UINT64_MAX; /* shown as the problem */
	else
		find_database(q);
	return q;
}

void top_queues_stop(struct top_queues **qp)
{
	struct top_queues *q = *qp;

	if (q == NULL)
		return;
	if (q->due_mono_ms != UINT64_MAX) {
		co_cancel_all("top ends");
		while (co_live() > 0 &&
		       event_base_loop(q->base, EVLOOP_ONCE) == 0)
			;
		if (q->pool != NULL)
			pg_pool_free(&q->pool);
		co_deinit();
	}
	event_base_free(q->base);
	tl_arena_deinit(&q->last.arena);
	tl_free(q);
	*qp = NULL;
}

void top_queues_turn(struct top_queues *q, uint32_t ms)
{
	const struct timeval tv = { .tv_usec = (suseconds_t)ms * 1000 };
	uint64_t now = tl_mono_ms();

	if (q->pool == NULL && now >= q->due_mono_ms)
		find_database(q);
	if (q->pool != NULL && !q->asking && now >= q->due_mono_ms &&
	    pg_pool_healthy(q->pool))
		q->asking = co_spawn(ask, q, now + ANSWER_MS, &q->err) == TL_OK;
	if (ms == 0) {
		(void)event_base_loop(q->base, EVLOOP_NONBLOCK);
		return;
	}
	(void)event_base_loopexit(q->base, &tv);
	(void)event_base_dispatch(q->base);
}

/* ---- what is shown ---- */

static const struct doc *rate_of(const struct top_queues *q, struct tl_arena *a,
				 struct tl_str queue)
{
	int64_t ended = 0;

	if (q->t->conf->runner.audit != CONF_AUDIT_ALL)
		return doc_null(); /* what went well leaves no trace */
	for (uint32_t i = 0; i < q->last.n_ended; i++)
		if (tl_str_eq(q->last.ended[i].queue, queue))
			ended = q->last.ended[i].ended;
	return doc_double(a, (double)ended / RATE_S);
}

static const struct doc *row_doc(const struct top_queues *q, struct tl_arena *a,
				 const struct q_queue_page_row *r)
{
	int64_t age_ms = (tl_wall_us() - r->oldest_at_us) / 1000;
	struct doc *o = doc_object(a);

	doc_set(a, o, "queue", doc_str(a, r->queue));
	doc_set(a, o, "paused", doc_bool(!r->paused_at_null));
	doc_set(a, o, "ready", doc_int(a, r->ready));
	doc_set(a, o, "delayed", doc_int(a, r->delayed));
	doc_set(a, o, "active", doc_int(a, r->active));
	doc_set(a, o, "parked", doc_int(a, r->parked));
	doc_set(a, o, "dead", doc_int(a, r->dead));
	doc_set(a, o, "oldest_age_ms",
		r->oldest_at_null ? doc_null()
				  : doc_int(a, age_ms > 0 ? age_ms : 0));
	doc_set(a, o, "per_second", rate_of(q, a, r->queue));
	return o;
}

/* NULL: none. */
static const char *problem(const struct top_queues *q, int64_t age_ms)
{
	if (q->err.text[0] != '\0')
		return q->err.text;
	if (q->pool != NULL && !pg_pool_healthy(q->pool))
		return pg_pool_trouble(q->pool);
	if (q->last.mono_ms == 0)
		return "the database has not answered yet";
	return age_ms > TOP_QUEUES_OLD_MS ? "the database does not answer"
					  : NULL;
}

const struct doc *top_queues_doc(const struct top_queues *q, struct tl_arena *a)
{
	int64_t age_ms = (int64_t)(tl_mono_ms() - q->last.mono_ms);
	struct doc *o = doc_object(a), *list = doc_array(a);
	const char *text = problem(q, age_ms);
	bool known = q->last.mono_ms != 0;

	for (uint32_t i = 0; i < q->last.n; i++)
		doc_push(a, list, row_doc(q, a, &q->last.rows[i]));
	doc_set(a, o, "list", known ? list : doc_null());
	doc_set(a, o, "age_ms", known ? doc_int(a, age_ms) : doc_null());
	doc_set(a, o, "problem",
		text == NULL ? doc_null()
			     : doc_str(a, tl_str_c(tl_arena_strndup(
						  a, text, strlen(text)))));
	return o;
}
