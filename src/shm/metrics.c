#include "shm/metrics.h"

/* Order and number as enum shm_counter. */
static const char *const names[] = {
	"requests", "connections", "connections_open", "refused_framing",
	"refused_connections", "timeouts", "http_2xx", "http_4xx", "http_5xx",
	"http_other", "decisions", "decide_ok", "decide_unauthorized",
	"decide_forbidden", "decide_rate_limited", "decide_quota_exceeded",
	"decide_unavailable", "decide_shadow", "credits", "key_loads",
	"key_loads_unknown", "key_loads_failed", "negative_hits",
	"stripe_timeouts", "usage_cell_busy", "idempotent_replays",
	"strict_timeouts", "flush_batches", "flush_rows", "flush_failures",
	"flush_duplicates", "spool_records", "changes", "respawns",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == SHM_C_COUNT,
	       "a counter without a name");

const char *shm_counter_name(enum shm_counter c)
{
	return names[c];
}

uint64_t shm_counter_sum(const struct shm *s, enum shm_counter c)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < SHM_SLOTS; i++)
		sum += atomic_load_explicit(&s->metrics[i].counter[c],
					    memory_order_relaxed);
	return sum;
}
