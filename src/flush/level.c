/*
 * How bad it is, and who is told.
 *
 * Levels as everybody sees them in head->flush_level:
 *  0  batches go to the database
 *  1  no success for FIRST_MS: they go to the spool, until the database is
 *     back and has all of it
 *  2  the spool is at 80 % of its limit or can not be written
 *  3  as 2, and less than 1 % of the entries are free
 */
#include "flush/flush_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/metrics.h"

#define FIRST_MS        5000
#define FIRST_STRICT_MS 1000 /* strict answers wait, and may go from disk */
#define BACKOFF_MIN_MS  100
#define BACKOFF_OUT_MS  1000
#define BACKOFF_MAX_MS  30000
#define POLL_MS         100 /* of the pool's health */

static bool strict_from_disk(const struct flush *f)
{
	return f->o.conf->metering.durability == CONF_STRICT &&
	       f->o.conf->metering.strict_accepts == CONF_DISK;
}

static uint64_t first_ms(const struct flush *f)
{
	return strict_from_disk(f) ? FIRST_STRICT_MS : FIRST_MS;
}

static bool out_for_long(const struct flush *f, uint64_t now)
{
	return f->trouble_mono_ms != 0 &&
	       now >= f->trouble_mono_ms + first_ms(f);
}

static bool entries_low(const struct shm *s)
{
	uint64_t live = atomic_load(&s->head->key_live);

	return live + s->n_keys / 100 > s->n_keys;
}

static void level_set(struct flush *f, uint64_t level,
		      const struct spool_stat *sp)
{
	uint64_t old = f->level;

	if (level == old)
		return;
	f->level = level;
	atomic_store(&f->shm->head->flush_level, level);
	if (level == 0)
		log_info("flush level 0: the database has everything; "
			 "%" PRIu64 " spool writes in this outage took %" PRIu64
			 " us each, %" PRIu64 " us at most",
			 sp->appends,
			 sp->appends > 0 ? sp->sync_us_total / sp->appends : 0,
			 sp->sync_us_max);
	else if (level == 1 && f->trouble_mono_ms != 0)
		log_warn("flush level 1: no commit for %" PRIu64
			 " ms (%s); usage goes to the spool",
			 tl_mono_ms() - f->trouble_mono_ms, f->trouble);
	else if (level == 1)
		log_info("flush level 1: the spool is delivered, %" PRIu64
			 " batches",
			 sp->records);
	else
		log_error("flush level %" PRIu64 ": spool holds %" PRIu64
			  " of %" PRIu64 " KiB%s; usage is kept in the segment"
			  "%s",
			  level, sp->bytes >> 10, sp->max_bytes >> 10,
			  f->spool_failed ? " and can not be written" : "",
			  level == 3 ? ", where keys have no room left" : "");
}

void level_update(struct flush *f)
{
	struct shm_head *head = f->shm->head;
	uint64_t now = tl_mono_ms(), level = 0;
	bool healthy = pg_pool_healthy(f->pool);
	struct spool_stat sp;

	if (healthy && !f->was_healthy) {
		f->retry_mono_ms = 0;
		f->backoff_ms = 0;
	} else if (!healthy) {
		f->home = false;
		if (f->trouble_mono_ms == 0)
			f->trouble_mono_ms = now;
		snprintf(f->trouble, sizeof(f->trouble), "%s",
			 pg_pool_trouble(f->pool));
	}
	f->was_healthy = healthy;
	f->ever_healthy |= healthy;
	spool_stat(f->spool, f->database_id, &sp);
	if (sp.records > 0 || out_for_long(f, now))
		level = 1;
	if (f->spool_failed || sp.bytes / 4 >= sp.max_bytes / 5)
		level = 2;
	if (level == 2 && entries_low(f->shm))
		level = 3;
	level_set(f, level, &sp);
	atomic_store(&head->spool_bytes, sp.bytes);
	atomic_store(&head->spool_records, sp.records);
	atomic_store(&head->database_up, f->home && f->trouble_mono_ms == 0);
}

/* Half of it is by chance, so that many hosts do not come back at once. */
static uint64_t jitter(uint64_t ms)
{
	uint32_t r;

	tl_random(&r, sizeof(r));
	return ms / 2 + r % (ms / 2 + 1);
}

void level_failure(struct flush *f, uint64_t from_mono_ms,
		   const struct tl_err *err)
{
	uint32_t least = f->level > 0 ? BACKOFF_OUT_MS : BACKOFF_MIN_MS;

	if (err->status == TL_CANCELED) { /* the process ends */
		flush_stop(f);
		return;
	}
	f->home = false;
	if (f->trouble_mono_ms == 0)
		log_warn("flush failed: %s; usage is kept, trying again",
			 err->text);
	if (f->trouble_mono_ms == 0 || f->trouble_mono_ms > from_mono_ms)
		f->trouble_mono_ms = from_mono_ms;
	snprintf(f->trouble, sizeof(f->trouble), "%.190s", err->text);
	f->backoff_ms = f->backoff_ms == 0 ? least : f->backoff_ms * 2;
	if (f->backoff_ms < least)
		f->backoff_ms = least;
	if (f->backoff_ms > BACKOFF_MAX_MS)
		f->backoff_ms = BACKOFF_MAX_MS;
	f->retry_mono_ms = tl_mono_ms() + jitter(f->backoff_ms);
	shm_count(f->shm, SHM_C_FLUSH_FAILURES, 1);
}

void level_success(struct flush *f)
{
	f->trouble_mono_ms = 0;
	f->backoff_ms = 0;
	f->retry_mono_ms = 0;
}

bool level_reachable(const struct flush *f)
{
	return pg_pool_healthy(f->pool) && tl_mono_ms() >= f->retry_mono_ms;
}

/* Not the database's next try: before it the level may have to rise, the pool
 * may be well again, and a spool that was stuck may take usage. */
uint64_t level_next_mono_ms(void)
{
	return tl_mono_ms() + POLL_MS;
}

void level_commit(struct flush *f, uint64_t gen)
{
	struct shm_head *head = f->shm->head;
	const uint64_t one = 1;

	if (gen <= atomic_load(&head->committed_gen))
		return;
	shm_committed(f->shm, gen);
	if (f->o.conf->metering.durability != CONF_STRICT &&
	    shm_strict_waiting(f->shm) == 0)
		return;
	for (uint32_t i = 0; i < f->o.n_commit_eventfds; i++) {
		/* Full means that it is readable, which is all it shall be. */
		if (write(f->o.commit_eventfds[i], &one, sizeof(one)) < 0)
			continue;
	}
}
