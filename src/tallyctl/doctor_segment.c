/*
 * doctor_segment.c - is the segment whole, has it room, is the flush well.
 *
 * Only reads, beside processes that write: what is compared is read in the
 * order that makes the comparison true at any moment.
 */
#include <inttypes.h>

#include "shm/entries.h"
#include "shm/usage.h"
#include "tallyctl/doctor.h"

#define FULL_PERCENT 90

/* free + live + ... = capacity, and nobody is left half made. */
static bool check_table(struct doctor *d, const char *what,
			const struct shm_census *c, uint32_t capacity,
			const char *setting)
{
	uint32_t sum =
		c->fresh + c->free + c->init + c->live + c->dying + c->retired;
	uint32_t used = capacity - c->fresh - c->free;

	if (sum != capacity) {
		doctor_say(d, DOCTOR_FAIL, "segment",
			   "%s: %" PRIu32 " entries are accounted for, of "
			   "%" PRIu32
			   "; stop tallyd and start it, which checks "
			   "and repairs",
			   what, sum, capacity);
		return false;
	}
	if (used > capacity / 100 * FULL_PERCENT)
		doctor_say(d, DOCTOR_WARN, "segment",
			   "%s: %" PRIu32 " of %" PRIu32 " in use; raise %s",
			   what, used, capacity, setting);
	if (!d->running && c->init > 0)
		doctor_say(d, DOCTOR_WARN, "segment",
			   "%s: %" PRIu32 " half made by a killed process; "
			   "the next start frees them",
			   what, c->init);
	return true;
}

/* What shm_verify looks at and a reader may, too. */
static const char *key_trouble(const struct shm *s, uint32_t i)
{
	const struct shm_key *k = &s->keys[i];

	if ((atomic_load(&k->state) & 0xff) != SHM_LIVE)
		return NULL;
	if (atomic_load(&k->user) >= s->n_users ||
	    atomic_load(&k->extras) > s->n_extras)
		return "names what is not there";
	for (uint32_t p = 0; p < SHM_PERIODS; p++)
		for (uint32_t m = 0; m < SHM_METRICS; m++) {
			/* flushed first: it never passes the cell */
			uint64_t f = atomic_load(&k->flushed[p][m]);
			uint64_t c = atomic_load(&k->cell[p][m]);

			if (shm_period_of(c) == shm_period_of(f) &&
			    shm_count_of(f) > shm_count_of(c))
				return "has more delivered than used";
		}
	return NULL;
}

static bool check_directory(struct doctor *d, const struct shm *s)
{
	const struct shm_constants *k = &s->head->k;
	uint32_t bad = 0, at;

	for (uint32_t b = 0; b < k->key_buckets; b++)
		for (uint32_t w = 0; w < SHM_BUCKET_WORDS; w++) {
			at = (uint32_t)atomic_load(&s->key_dir[b].word[w]) &
			     0xffffff;
			bad += at > s->n_keys;
		}
	if (bad > 0)
		doctor_say(d, DOCTOR_FAIL, "segment",
			   "%" PRIu32 " words of the directory name keys that "
			   "do not exist; stop tallyd and start it, which "
			   "saves what is not delivered",
			   bad);
	return bad == 0;
}

static bool check_keys(struct doctor *d, const struct shm *s)
{
	uint64_t fresh = atomic_load(&s->head->key_fresh);
	const char *first = NULL;
	uint32_t bad = 0, at = 0;

	for (uint32_t i = 0; i < s->n_keys && i < fresh; i++) {
		const char *trouble = key_trouble(s, i);

		if (trouble != NULL && bad++ == 0) {
			first = trouble;
			at = i;
		}
	}
	if (bad > 0)
		doctor_say(d, DOCTOR_FAIL, "segment",
			   "%" PRIu32 " keys are damaged, number %" PRIu32
			   " %s; stop tallyd and start it, which saves what "
			   "is not delivered",
			   bad, at, first);
	return bad == 0;
}

static void check_flush(struct doctor *d, const struct shm *s)
{
	static const char *const cures[] = {
		"",
		"the database is late or away; usage goes to the spool",
		"the spool is nearly full or cannot be written; bring the "
		"database back or raise metering.spool_max_mib",
		"no room for new keys; bring the database back",
		"keys are refused, usage of three days waits; bring the "
		"database back",
	};
	uint64_t level = atomic_load(&s->head->flush_level), keys;
	uint64_t dropped = atomic_load(&s->head->usage_dropped);
	uint64_t pending[SHM_METRICS];

	shm_pending(s, pending, &keys);
	if (level > 0 && level < sizeof(cures) / sizeof(cures[0]))
		doctor_say(d, level > 1 ? DOCTOR_FAIL : DOCTOR_WARN, "flush",
			   "level %" PRIu64 ": %s", level, cures[level]);
	else
		doctor_say(d, DOCTOR_OK, "flush",
			   "%" PRIu64 " credits of %" PRIu64
			   " keys wait, %" PRIu64 " batches in the spool",
			   pending[SHM_CREDITS], keys,
			   atomic_load(&s->head->spool_records));
	if (dropped > 0)
		doctor_say(d, DOCTOR_WARN, "flush",
			   "%" PRIu64 " credits were given away, as "
			   "metering.outage_policy = open says",
			   dropped);
}

void doctor_segment(struct doctor *d, const struct shm *s)
{
	struct shm_census keys, users;
	bool good;

	if (s == NULL) {
		doctor_say(d, d->running ? DOCTOR_FAIL : DOCTOR_OK, "segment",
			   d->running ? "the daemon runs and there is none for "
					"instance '%s'; is this its "
					"configuration?"
				      : "none of instance '%s'",
			   d->t->conf->server.instance);
		return;
	}
	if (atomic_load(&s->head->state) == SHM_BROKEN) {
		doctor_say(d, DOCTOR_FAIL, "segment",
			   "marked as broken; start tallyd, which saves what "
			   "is not delivered");
		return;
	}
	shm_census_keys(s, &keys);
	shm_census_users(s, &users);
	good = check_table(d, "keys", &keys, s->n_keys, "shm.max_keys");
	good &= check_table(d, "users", &users, s->n_users, "shm.max_users");
	good &= check_directory(d, s);
	good &= check_keys(d, s);
	if (good)
		doctor_say(d, DOCTOR_OK, "segment",
			   "whole: %" PRIu32 " keys of %" PRIu32 ", %" PRIu32
			   " users of %" PRIu32,
			   keys.live, s->n_keys, users.live, s->n_users);
	check_flush(d, s);
}
