#include "shm/layout_hash.h"

#include <stddef.h>

#include "shm/layout.h"

#define OFF(t, m) offsetof(struct t, m)

static const uint64_t facts[] = {
	SHM_LAYOUT, SHM_SLOTS, SHM_CELLS, SHM_SPAN, SHM_PERIODS, SHM_METRICS,
	SHM_STRIPES, SHM_LIMITS, SHM_PLANS, SHM_BATCHES, SHM_BATCH_RECORDS,
	SHM_BATCH_IDEMS, SHM_COUNTERS, SHM_NAME_MAX, SHM_WAYS, SHM_REGIONS,
	sizeof(struct shm_constants), sizeof(struct shm_head),
	sizeof(struct shm_slot), sizeof(struct shm_metrics),
	sizeof(struct shm_stripe), sizeof(struct shm_policy),
	sizeof(struct shm_limit), sizeof(struct shm_plan),
	sizeof(struct shm_bucket), sizeof(struct shm_key),
	sizeof(struct shm_user), sizeof(struct shm_extras),
	sizeof(struct shm_negative), sizeof(struct shm_window),
	sizeof(struct shm_batch), sizeof(struct shm_record),
	sizeof(struct shm_idem), sizeof(struct shm_idem_record),
	sizeof(struct shm_decision), sizeof(struct shm_log_row),
	sizeof(struct shm_log_slot), SHM_BATCH_LOGS, SHM_BATCH_LOG_BYTES,
	SHM_MODEL_MAX, OFF(shm_log_row, model_len), OFF(shm_batch, logs),
	OFF(shm_batch, log_end), OFF(shm_head, log_next),
	OFF(shm_head, log_done),
	OFF(shm_head, gc_epoch), OFF(shm_head, policy_gen),
	OFF(shm_head, max_period), OFF(shm_head, key_free),
	OFF(shm_head, user_free), OFF(shm_head, extras_free),
	OFF(shm_head, ring_next), OFF(shm_head, flush_gen),
	OFF(shm_slot, strict_waiting), OFF(shm_head, next_seq),
	OFF(shm_head, full_scan_wanted),
	OFF(shm_slot, gc_epoch), OFF(shm_slot, kind),
	OFF(shm_key, last_used_ms), OFF(shm_key, flags), OFF(shm_key, base),
	OFF(shm_key, cell), OFF(shm_key, flushed), OFF(shm_key, ring),
	OFF(shm_user, limit), OFF(shm_user, quota), OFF(shm_user, base),
	OFF(shm_user, flags), OFF(shm_user, extras), OFF(shm_user, mark),
	OFF(shm_user, refused), OFF(shm_user, refused_flushed),
	OFF(shm_record, flags),
	OFF(shm_extras, items), OFF(shm_window, window_ms),
	OFF(shm_window, ring), OFF(shm_limit, count), OFF(shm_plan, rate_limit),
	OFF(shm_batch, records), OFF(shm_batch, idems), OFF(shm_record, delta),
	OFF(shm_record, snapshot), OFF(shm_idem, rec), OFF(shm_idem, commit_gen),
	OFF(shm_idem_record, answer), OFF(shm_decision, request_id),
	OFF(shm_decision, cost), OFF(shm_decision, quota_used),
	SHM_TASK_PLACES, sizeof(struct shm_task_places),
	OFF(shm_head, task_sends), OFF(shm_slot, task_due_mono_ms),
};

/* FNV-1a, 64 bit (Fowler, Noll, Vo): the job needs no more than spread. */
uint64_t shm_layout_hash(void)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	size_t i;
	int b;

	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		for (b = 0; b < 64; b += 8)
			h = (h ^ ((facts[i] >> b) & 0xff)) * 0x100000001b3ULL;
	return h;
}
