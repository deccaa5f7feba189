/*
 * What is due each second.  What is due each hour is a job of the scheduler.
 */
#include "flush/flush_internal.h"

#include "base/clock.h"
#include "shm/policy.h"

#define HOUSE_MS 1000
#define SWEEP_S  60 /* the janitor sees every entry in that time */

static uint32_t entries_a_step(const struct shm *s)
{
	uint32_t most = s->n_keys > s->n_users ? s->n_keys : s->n_users;
	uint64_t live = atomic_load(&s->head->key_live);
	uint32_t n = most / SWEEP_S + 1024;

	/* Less than 5 % free: look for room ahead of need. */
	return live + s->n_keys / 20 > s->n_keys ? n * 8 : n;
}

uint64_t house_step(void *arg)
{
	struct flush *f = arg;
	struct shm *s = f->shm;
	struct spool_stat sp;
	uint32_t ticket;

	/* What is spooled is not in the database yet, so an entry that left
	 * now would come back with a base that is too low. */
	spool_stat(f->spool, f->database_id, &sp);
	shm_janitor_step(s, &f->janitor, entries_a_step(s),
			 f->o.conf->shm.idle_evict_s, sp.records == 0,
			 tl_mono_ns());
	if (shm_refresh_wanted(s, &ticket))
		co_step_at(&f->load, CO_STEP_NOW);
	return tl_mono_ms() + HOUSE_MS;
}
