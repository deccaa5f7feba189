#include "shm/places.h"

#include "shm/pause.h"

/* Where the tag is, or would be; NULL: it is not here and there is no room.
 * Linear probing: a place that is given back keeps its tag while its count is
 * 0 and is taken over by the next tag, so chains never break. */
static struct shm_task_place *find(struct shm_task_places *t, uint64_t tag)
{
	struct shm_task_place *room = NULL;

	for (uint32_t i = 0; i < SHM_TASK_PLACES; i++) {
		struct shm_task_place *p =
			&t->place[(tag + i) % SHM_TASK_PLACES];
		uint64_t have = atomic_load(&p->tag);

		if (have == tag)
			return p;
		if (room == NULL && (have == 0 || atomic_load(&p->count) == 0))
			room = p;
		if (have == 0)
			break;
	}
	return room;
}

static uint64_t count_in(const struct shm_task_places *t, uint64_t tag)
{
	for (uint32_t i = 0; i < SHM_TASK_PLACES; i++) {
		const struct shm_task_place *p =
			&t->place[(tag + i) % SHM_TASK_PLACES];
		uint64_t have = atomic_load(&p->tag);

		SHM_PAUSE("place.read");
		if (have == tag)
			return atomic_load(&p->count);
		if (have == 0)
			break;
	}
	return 0;
}

uint64_t shm_place_sum(const struct shm *s, uint64_t tag)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		sum += count_in(&s->places[i], tag);
	return sum;
}

bool shm_place_take(struct shm *s, uint64_t tag, uint32_t limit)
{
	struct shm_task_place *p = find(&s->places[s->slot], tag);

	if (p == NULL)
		return false;
	if (atomic_load(&p->tag) != tag) /* nobody counts on it: count is 0 */
		atomic_store(&p->tag, tag);
	SHM_PAUSE("place.tagged");
	atomic_fetch_add(&p->count, 1);
	SHM_PAUSE("place.added");
	if (shm_place_sum(s, tag) <= limit)
		return true;
	SHM_PAUSE("place.refused");
	atomic_fetch_sub(&p->count, 1);
	return false;
}

void shm_place_give(struct shm *s, uint64_t tag)
{
	struct shm_task_place *p = find(&s->places[s->slot], tag);

	tl_assert(p != NULL && atomic_load(&p->tag) == tag &&
		  atomic_load(&p->count) > 0);
	atomic_fetch_sub(&p->count, 1);
}

void shm_places_clear(struct shm *s, uint32_t slot)
{
	struct shm_task_places *t = &s->places[slot];

	for (uint32_t i = 0; i < SHM_TASK_PLACES; i++) {
		atomic_store(&t->place[i].count, 0);
		atomic_store(&t->place[i].tag, 0);
	}
}
