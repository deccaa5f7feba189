/*
 * cron_engine.h - fires the jobs: decides which slots are due, records each,
 * runs its work.
 *
 * A slot's row in tallyd.cron_runs is written before its work begins, and
 * written once, so a slot runs at most once whoever dies.  Only while we lead
 * is anything done; see pg/pg_lead.h.
 * Runs in: scheduler.  Its work is coroutines; nothing polls: it wakes for
 * the next slot, when it is told of a change, and once a minute in case
 * somebody has set the clock.
 */
#ifndef TALLY_APP_CRON_CRON_ENGINE_H
#define TALLY_APP_CRON_CRON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "shm/shm.h"

struct event_base;
struct pg;
struct pg_lead;
struct cron_engine;

struct cron_engine_opts {
	struct event_base *base; /* co_init was called on it */
	const struct conf *conf;
	struct shm *shm;
	struct pg *pg;
	const char *node; /* for the history */
};
struct cron_engine *cron_engine_new(const struct cron_engine_opts *o);
/* The lead that its jobs' locks are taken with; before the first call of
 * _leads. */
void cron_engine_set_lead(struct cron_engine *e, struct pg_lead *lead);
/* From the lead's callbacks. */
void cron_engine_leads(struct cron_engine *e, bool leads);
void cron_engine_told(struct cron_engine *e);
/* Begins nothing any more; what runs may end. */
void cron_engine_stop(struct cron_engine *e);
uint32_t cron_engine_running(const struct cron_engine *e);
/* After the last coroutine ended. */
void cron_engine_free(struct cron_engine **e);

#endif
