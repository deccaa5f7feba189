/*
 * What is due each second.  What is due each hour is a job of the scheduler.
 */
#include "flush/flush_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "shm/policy.h"
#include "store/q_instance.h"

#define HOUSE_MS 1000
#define STEP_US  2000000 /* smaller ones are taken in at once */
#define SWEEP_S  60 /* the janitor sees every entry in that time */

static uint32_t entries_a_step(const struct shm *s)
{
	uint32_t most = s->n_keys > s->n_users ? s->n_keys : s->n_users;
	uint64_t live = atomic_load(&s->head->key_live);
	uint32_t n = most / SWEEP_S + 1024;

	/* Less than 5 % free: look for room ahead of need. */
	return live + s->n_keys / 20 > s->n_keys ? n * 8 : n;
}

/*
 * The master takes a large step of our wall clock in only when the database's
 * says the same.  Asked while there is one, which costs nothing else.
 */
static void ask_clock(struct flush *f)
{
	int64_t step_us = shm_clock_step_us(f->shm);
	struct q_clock_row row;
	struct tl_arena arena;
	uint64_t from_ns, to_ns;
	struct tl_err err;

	if (!f->home || (step_us < STEP_US && step_us > -STEP_US))
		return;
	tl_arena_init(&arena);
	from_ns = tl_mono_ns();
	if (q_clock(f->pg, &arena, &row, &err) == TL_OK) {
		to_ns = tl_mono_ns();
		if (to_ns - from_ns < TL_NS_PER_MS * 1000)
			shm_clock_told(f->shm, row.now_us,
				       from_ns / 2 + to_ns / 2);
	}
	tl_arena_deinit(&arena);
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
	ask_clock(f);
	return tl_mono_ms() + HOUSE_MS;
}
