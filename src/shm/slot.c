#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/metrics.h"
#include "shm/places.h"
#include "shm/segment.h"
#include "shm/shm.h"

/* Start time in clock ticks since boot: with the pid it names one process.
 * 0: none, or a zombie, which runs no more and may never be waited for. */
static uint64_t start_ticks(uint64_t pid)
{
	char path[64], line[1024], *p;
	unsigned long long ticks = 0;
	FILE *f;
	int i;

	snprintf(path, sizeof(path), "/proc/%llu/stat",
		 (unsigned long long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* the name in brackets may hold blanks: count from the last ')' */
	p = p != NULL ? strrchr(line, ')') : NULL;
	if (p != NULL && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0))
		return 0;
	for (i = 0; p != NULL && i < 20; i++)
		p = strchr(p + 1, ' ');
	if (p != NULL)
		ticks = strtoull(p, NULL, 10);
	return ticks;
}

void shm_slot_take(struct shm *s, uint32_t slot, const char *kind,
		   uint32_t number, uint64_t spawn)
{
	struct shm_slot *p = &s->slots[slot];

	tl_assert(slot < SHM_SLOTS);
	s->slot = slot;
	s->identity = ((uint64_t)slot << 48) | (spawn & 0xffffffffffffULL);
	s->my_metrics = &s->metrics[slot];
	atomic_store(&p->gc_epoch, SHM_EPOCH_IDLE);
	atomic_store(&p->identity, s->identity);
	atomic_store(&p->pid, (uint64_t)getpid());
	atomic_store(&p->start_ticks, start_ticks((uint64_t)getpid()));
	atomic_store(&p->number, number);
	atomic_store(&p->beat_mono_ms, tl_mono_ms());
	atomic_store(&p->started_mono_ms, tl_mono_ms());
	atomic_store(&p->strict_waiting, 0);
	shm_places_clear(s, slot);
	snprintf(p->kind, sizeof(p->kind), "%s", kind);
	atomic_store(&p->state, SHM_SLOT_STARTING);
}

void shm_slot_set_state(struct shm *s, enum shm_slot_state st)
{
	atomic_store(&s->slots[s->slot].state, (uint64_t)st);
}

void shm_slot_beat(struct shm *s)
{
	atomic_store(&s->slots[s->slot].beat_mono_ms, tl_mono_ms());
}

void shm_slot_reap(struct shm *s, uint32_t slot)
{
	struct shm_slot *p = &s->slots[slot];

	atomic_store(&p->state, SHM_SLOT_DEAD);
	atomic_store(&p->gc_epoch, SHM_EPOCH_IDLE);
	atomic_store(&p->pid, 0);
	atomic_store(&p->task_due_mono_ms, 0);
	atomic_store(&p->tasks_running, 0);
	atomic_store(&p->strict_waiting, 0);
	shm_places_clear(s, slot);
	/* its counters stay and its successor goes on with them: moved
	 * elsewhere, a reader could see them twice or not at all */
	atomic_store(&s->metrics[slot].counter[SHM_C_CONNECTIONS_OPEN_DELTA],
		     0);
	atomic_store(&s->metrics[slot].counter[SHM_C_STREAMS_OPEN_DELTA], 0);
	/* its dirty bits may be missing, its claims are free again */
	atomic_store(&s->head->full_scan_wanted, 1);
}

uint64_t shm_strict_waiting(const struct shm *s)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < SHM_SLOTS; i++)
		sum += atomic_load(&s->slots[i].strict_waiting);
	return sum;
}

bool segment_slot_alive(const struct shm_slot *p, uint64_t *pid_r)
{
	uint64_t pid = atomic_load(&p->pid);

	if (pid == 0 || pid == (uint64_t)getpid() || kill((pid_t)pid, 0) < 0)
		return false;
	if (start_ticks(pid) != atomic_load(&p->start_ticks))
		return false; /* the number was given to another one */
	*pid_r = pid;
	return true;
}

bool shm_slots_alive(const struct shm *s, uint64_t *pid_r)
{
	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		if (segment_slot_alive(&s->slots[i], pid_r))
			return true;
	return false;
}

bool shm_identity_alive(const struct shm *s, uint64_t identity)
{
	uint32_t slot = (uint32_t)(identity >> 48);
	uint64_t st;

	if (slot >= SHM_SLOTS)
		return false;
	st = atomic_load(&s->slots[slot].state);
	return st != SHM_SLOT_FREE && st != SHM_SLOT_DEAD &&
	       atomic_load(&s->slots[slot].identity) == identity;
}

void shm_protect_child(struct shm *s)
{
	uint8_t *metrics = (uint8_t *)s->metrics;
	size_t before = (size_t)s->slot * sizeof(struct shm_metrics);
	size_t after = (SHM_SLOTS - s->slot - 1) * sizeof(struct shm_metrics);

	/* best effort: a stray write of a child faults instead of spoiling
	 * what others rely on */
	(void)mprotect(s->head, SHM_PAGE, PROT_READ);
	(void)mprotect(s->policies,
		       (2 * sizeof(struct shm_policy) + SHM_PAGE - 1) /
			       SHM_PAGE * SHM_PAGE,
		       PROT_READ);
	if (before > 0)
		(void)mprotect(metrics, before, PROT_READ);
	if (after > 0)
		(void)mprotect(metrics + before + sizeof(struct shm_metrics),
			       after, PROT_READ);
}

/* ---- epochs ---- */

uint64_t shm_gc_raise(struct shm *s)
{
	return atomic_fetch_add(&s->head->gc_epoch, 1) + 1;
}

bool shm_gc_passed(const struct shm *s, uint64_t epoch)
{
	uint32_t i;

	for (i = 0; i < SHM_SLOTS; i++) {
		uint64_t st = atomic_load(&s->slots[i].state);

		if (st == SHM_SLOT_FREE || st == SHM_SLOT_DEAD)
			continue;
		if (atomic_load(&s->slots[i].gc_epoch) < epoch)
			return false;
	}
	return true;
}

/* ---- time ---- */

uint32_t shm_day(struct shm *s, uint64_t mono_ns)
{
	uint64_t day = (uint64_t)(shm_wall_us(s, mono_ns) / 1000000 / TL_DAY_S);
	uint64_t max = atomic_load_explicit(&s->head->max_period,
					    memory_order_relaxed);

	while (day > max && !s->read_only)
		if (atomic_compare_exchange_weak(&s->head->max_period, &max,
						 day))
			return (uint32_t)day;
	return (uint32_t)(day > max ? day : max);
}

#define STEP_MAX_US  2000000
#define AGREE_US     5000000
#define AGREE_AGE_MS 10000

static int64_t wall_offset_now_us(void)
{
	return tl_wall_us() - (int64_t)(tl_mono_ns() / 1000);
}

int64_t shm_clock_step_us(const struct shm *s)
{
	return wall_offset_now_us() -
	       (int64_t)atomic_load(&s->head->wall_offset_us);
}

bool shm_clock_adjust(struct shm *s, bool accept, int64_t *step_us_r)
{
	int64_t step = shm_clock_step_us(s);

	*step_us_r = step;
	if (!accept && (step >= STEP_MAX_US || step <= -STEP_MAX_US))
		return false;
	atomic_fetch_add(&s->head->wall_offset_us, (uint64_t)step);
	return true;
}

void shm_clock_told(struct shm *s, int64_t database_us, uint64_t mono_ns)
{
	atomic_store(&s->head->database_offset_us,
		     (uint64_t)(database_us - (int64_t)(mono_ns / 1000)));
	atomic_store(&s->head->database_asked_mono_ms, mono_ns / TL_NS_PER_MS);
}

bool shm_clock_agreed(const struct shm *s)
{
	uint64_t asked = atomic_load(&s->head->database_asked_mono_ms);
	int64_t theirs = (int64_t)atomic_load(&s->head->database_offset_us);
	int64_t apart = wall_offset_now_us() - theirs;

	return asked != 0 && tl_mono_ms() < asked + AGREE_AGE_MS &&
	       apart <= AGREE_US && apart >= -AGREE_US;
}
