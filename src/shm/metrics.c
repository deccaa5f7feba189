#include "shm/metrics.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

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
	"request_log_rows", "request_log_dropped", "flush_log_rows",
	"streams_open", "stream_events", "streams_refused", "streams_client",
	"streams_limit", "streams_stopping", "streams_revoked",
	"streams_suspended", "streams_expired",
	"tasks_claimed", "task_attempts_completed", "task_attempts_failed",
	"task_attempts_expired", "task_attempts_cancelled",
	"task_attempts_lost", "tasks_dead", "task_results_stale",
	"webhook_calls_delivered", "webhook_calls_again",
	"webhook_calls_failed", "spans_exported",
	"spans_dropped", "log_lines_lost",
	"tls_handshakes", "tls_resumed", "tls_failures",
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

uint64_t shm_refused_sum(const struct shm *s, uint32_t reason)
{
	return shm_counter_sum(s,
			       (enum shm_counter)(SHM_COUNTER_REASONS + reason));
}

/* ---- histograms ---- */

#define US 1000ULL
#define MS 1000000ULL
static const uint64_t short_ns[] = {
	100,	 200,	  500,	  1 * US,   2 * US,   5 * US,	10 * US,
	20 * US, 50 * US, 100 * US, 200 * US, 500 * US, 1 * MS,
};
static const uint64_t long_ns[] = {
	20 * US,  50 * US,  100 * US, 200 * US,	 500 * US,  1 * MS,
	2 * MS,	  5 * MS,   10 * MS,  20 * MS,	 50 * MS,   100 * MS,
	200 * MS, 500 * MS, 1000 * MS, 2000 * MS, 5000 * MS,
};
static const uint64_t call_ns[] = {
	1 * MS,	   2 * MS,    5 * MS,	  10 * MS,   20 * MS,
	50 * MS,   100 * MS,  200 * MS,	  500 * MS,  1000 * MS,
	2000 * MS, 5000 * MS, 10000 * MS, 20000 * MS, 30000 * MS,
};
/* Up to the three days that a delivery is tried for. */
#define MINUTE (60000 * MS)
static const uint64_t delivery_ns[] = {
	5 * MS,	     10 * MS,	  20 * MS,     50 * MS,	    100 * MS,
	200 * MS,    500 * MS,	  1000 * MS,   2000 * MS,   5000 * MS,
	10000 * MS,  30000 * MS,  MINUTE,      10 * MINUTE, 60 * MINUTE,
	240 * MINUTE, 1440 * MINUTE, 4320 * MINUTE,
};
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
_Static_assert(LENGTH(short_ns) < SHM_BUCKETS &&
		       LENGTH(long_ns) < SHM_BUCKETS &&
		       LENGTH(call_ns) < SHM_BUCKETS &&
		       LENGTH(delivery_ns) < SHM_BUCKETS,
	       "no bucket left for what is above");

const uint64_t *shm_histogram_bounds(enum shm_histogram h, uint32_t *n_r)
{
	switch (h) {
	case SHM_H_DECISION:
		*n_r = LENGTH(short_ns);
		return short_ns;
	case SHM_H_WEBHOOK_CALL:
		*n_r = LENGTH(call_ns);
		return call_ns;
	case SHM_H_WEBHOOK_DELIVERY:
		*n_r = LENGTH(delivery_ns);
		return delivery_ns;
	default:
		*n_r = LENGTH(long_ns);
		return long_ns;
	}
}

static enum shm_counter word_of(enum shm_histogram h, uint32_t i)
{
	return (enum shm_counter)(SHM_COUNTER_HISTOGRAMS +
				  (uint32_t)h * SHM_HISTOGRAM_WORDS + i);
}

void shm_observe(struct shm *s, enum shm_histogram h, uint64_t ns)
{
	uint32_t n, i = 0;
	const uint64_t *bounds = shm_histogram_bounds(h, &n);

	while (i < n && ns > bounds[i])
		i++;
	shm_count(s, word_of(h, i), 1);
	shm_count(s, word_of(h, SHM_BUCKETS), ns);
}

void shm_histogram_sum(const struct shm *s, enum shm_histogram h,
		       struct shm_histogram_sum *sum_r)
{
	sum_r->count = 0;
	for (uint32_t i = 0; i < SHM_BUCKETS; i++) {
		sum_r->bucket[i] = shm_counter_sum(s, word_of(h, i));
		sum_r->count += sum_r->bucket[i];
	}
	sum_r->sum_ns = shm_counter_sum(s, word_of(h, SHM_BUCKETS));
}

/* ---- cron ---- */

static uint32_t cron_word(uint32_t job, enum shm_cron what)
{
	tl_assert(job < SHM_CRON_JOBS);
	return SHM_COUNTER_CRON + job * SHM_CRON_WORDS + (uint32_t)what;
}

void shm_cron_count(struct shm *s, uint32_t job, enum shm_cron what)
{
	shm_count(s, (enum shm_counter)cron_word(job, what), 1);
}

void shm_cron_done(struct shm *s, uint32_t job, uint64_t wall_s)
{
	shm_cron_count(s, job, SHM_CRON_DONE);
	atomic_store(
		&s->my_metrics->counter[cron_word(job, SHM_CRON_LAST_DONE)],
		wall_s);
}

uint64_t shm_cron_sum(const struct shm *s, uint32_t job, enum shm_cron what)
{
	return shm_counter_sum(s, (enum shm_counter)cron_word(job, what));
}

uint64_t shm_cron_last_done(const struct shm *s, uint32_t job)
{
	uint64_t last = 0, at;

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		at = atomic_load(
			&s->metrics[i]
				 .counter[cron_word(job, SHM_CRON_LAST_DONE)]);
		if (at > last)
			last = at;
	}
	return last;
}

void shm_cron_lead(struct shm *s, bool leads)
{
	atomic_store(&s->my_metrics->counter[SHM_CRON_LEADS], leads);
}

/* A slot's next process may be of another kind and never touch the word. */
bool shm_cron_leads(const struct shm *s)
{
	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		uint64_t state = atomic_load(&s->slots[i].state);
		pid_t pid = (pid_t)atomic_load(&s->slots[i].pid);

		if (atomic_load(&s->metrics[i].counter[SHM_CRON_LEADS]) != 0 &&
		    strncmp(s->slots[i].kind, "scheduler",
			    sizeof(s->slots[i].kind)) == 0 &&
		    state != SHM_SLOT_FREE && state != SHM_SLOT_DEAD &&
		    pid > 0 && (kill(pid, 0) == 0 || errno == EPERM))
			return true;
	}
	return false;
}
