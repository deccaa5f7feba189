/*
 * send.c - tasks and events into the database.
 */
#include "config.h"

#include "base/mem.h"
#include "bus/bus_internal.h"
#include "codec/doc.h"
#include "codec/shape.h"
#include "pg/pg.h"
#include "store/q_tasks.h"

static enum tl_status check_payload(const char *what, const char *name,
				    const struct shape *shape,
				    const struct doc *payload,
				    struct tl_arena *arena, struct tl_err *err)
{
	if (bus_payload_read(shape, arena, payload, NULL, err) == TL_OK)
		return TL_OK;
	return tl_err_wrap(err, "%s '%s'", what, name);
}

enum tl_status bus_payload_read(const struct shape *shape,
				struct tl_arena *arena,
				const struct doc *payload, const void **in_r,
				struct tl_err *err)
{
	enum tl_status st = TL_OK;
	void *in = NULL;

	if (payload == NULL || payload->type != DOC_OBJECT)
		return tl_err_set(err, TL_INVALID,
				  "the payload must be an object");
	if (shape != NULL) {
		in = tl_arena_alloc(arena, shape->size_bytes + 1);
		st = shape_read(shape, arena, payload, in, err);
	}
	if (st == TL_OK && in_r != NULL)
		*in_r = in;
	return st;
}

enum tl_status task_send(struct pg *pg, const struct task_send *s,
			 struct tl_arena *arena, int64_t *id_r,
			 struct tl_err *err)
{
	const struct task_def *d = bus_task(tl_str_c(s->name));
	struct q_task_insert_params p;
	struct q_task_insert_row row;
	enum tl_status st;

	tl_assert(d != NULL);
	st = check_payload("task", s->name, d->payload, s->payload, arena, err);
	if (st != TL_OK)
		return st;
	p = (struct q_task_insert_params){
		.delay_ms = (int64_t)s->delay_ms,
		.rank = (int16_t)-s->priority,
		.name = tl_str_c(d->name),
		.queue = tl_str_c(s->queue != NULL ? s->queue : d->queue),
		.tenant = s->tenant.ptr != NULL ? s->tenant : TL_STR(""),
		.payload = doc_json(arena, s->payload),
		.singleton_key =
			s->singleton_key.len > 0 ? &s->singleton_key : NULL,
		.retry_limit = (int32_t)d->retry_limit,
		.retry_delay_ms = (int32_t)d->retry_delay_ms,
		.retry_backoff = d->retry_backoff,
		.timeout_ms = (int32_t)(s->timeout_ms > 0 ? s->timeout_ms
							  : d->timeout_ms),
	};
	st = q_task_insert(pg, &p, arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_EXISTS,
				  "task '%s': an unfinished one has the "
				  "singleton key '%.*s'",
				  s->name, (int)s->singleton_key.len,
				  s->singleton_key.ptr);
	if (st == TL_OK && id_r != NULL)
		*id_r = row.task_id;
	return st;
}

enum tl_status event_emit(struct pg *pg, const char *name,
			  const struct doc *payload, struct tl_arena *arena,
			  int64_t *id_r, struct tl_err *err)
{
	const struct event_def *d = bus_event(tl_str_c(name));
	struct q_event_insert_row row;
	struct bus_policies b;
	enum tl_status st;

	tl_assert(d != NULL);
	st = check_payload("event", name, d->payload, payload, arena, err);
	if (st != TL_OK)
		return st;
	bus_policies(arena, name, &b);
	st = q_event_insert(pg,
			    &(struct q_event_insert_params){
				    .event = tl_str_c(name),
				    .payload = doc_json(arena, payload),
				    .names = { b.n, b.names },
				    .queues = { b.n, b.queues },
				    .retry_limits = { b.n, b.limits },
				    .retry_delays_ms = { b.n, b.delays_ms },
				    .retry_backoffs = { b.n, b.backoffs },
				    .timeouts_ms = { b.n, b.timeouts_ms } },
			    arena, &row, err);
	if (st == TL_OK && id_r != NULL)
		*id_r = row.event_id;
	return st;
}
