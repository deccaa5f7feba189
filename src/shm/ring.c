#include "shm/ring.h"

struct shm_decision *shm_ring_claim(struct shm *s, uint64_t *pos_r)
{
	uint64_t pos = atomic_fetch_add_explicit(&s->head->ring_next, 1,
						 memory_order_relaxed);
	struct shm_decision *d = &s->ring[pos & (s->n_ring - 1)];

	/*
	 * A seqlock with one writer per lap: a reader that sees the odd
	 * number, or another one after its copy than before, drops the copy.
	 * Release fence: the odd number is visible before any of the body.
	 */
	atomic_store_explicit(&d->seq, 2 * pos + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	*pos_r = pos;
	return d;
}

void shm_ring_publish(struct shm_decision *d, uint64_t pos)
{
	atomic_store_explicit(&d->seq, 2 * pos + 2, memory_order_release);
}

bool shm_ring_read(const struct shm *s, uint64_t pos,
		   struct shm_decision *copy_r)
{
	const struct shm_decision *d = &s->ring[pos & (s->n_ring - 1)];

	if (atomic_load_explicit(&d->seq, memory_order_acquire) != 2 * pos + 2)
		return false;
	memcpy(copy_r, d, sizeof(*copy_r));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&d->seq, memory_order_relaxed) ==
	       2 * pos + 2;
}

enum shm_ring_found shm_ring_owner(const struct shm *s, uint64_t pos,
				   struct tl_uuid *user_id_r)
{
	const struct shm_decision *d = &s->ring[pos & (s->n_ring - 1)];
	uint64_t seq = atomic_load_explicit(&d->seq, memory_order_acquire);

	if (seq < 2 * pos + 2)
		return SHM_RING_NOT_YET;
	if (seq > 2 * pos + 2)
		return SHM_RING_GONE;
	memcpy(user_id_r->b, d->user_id, sizeof(user_id_r->b));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&d->seq, memory_order_relaxed) == seq
		       ? SHM_RING_WHOLE
		       : SHM_RING_GONE;
}

uint64_t shm_ring_next(const struct shm *s)
{
	return atomic_load(&s->head->ring_next);
}

bool shm_ring_find(const struct shm *s, struct tl_str request_id,
		   struct shm_decision *copy_r)
{
	uint64_t next = shm_ring_next(s);
	uint64_t low = next > s->n_ring ? next - s->n_ring : 0;

	while (next-- > low)
		if (shm_ring_read(s, next, copy_r) &&
		    copy_r->request_id_len == request_id.len &&
		    memcmp(copy_r->request_id, request_id.ptr,
			   request_id.len) == 0)
			return true;
	return false;
}
