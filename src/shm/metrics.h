/*
 * metrics.h - counters, pages of its own for each slot, which alone writes them.
 *
 * Never reset within an epoch; readers add up all slots.  The next process
 * of a slot goes on with its page, so a sum never falls.
 */
#ifndef TALLY_SHM_METRICS_H
#define TALLY_SHM_METRICS_H

#include "shm/shm.h"

#define SHM_SLOT_MASTER	  0
#define SHM_SLOT_DEPARTED (SHM_SLOTS - 1) /* no process takes it */

#define SHM_COUNTER_REASONS    128 /* words of the page from here on */
#define SHM_COUNTER_HISTOGRAMS 192
#define SHM_COUNTER_CRON       512 /* to the end */

enum shm_counter {
	SHM_C_REQUESTS,	    /* HTTP requests answered */
	SHM_C_CONNECTIONS,  /* accepted */
	SHM_C_CONNECTIONS_OPEN_DELTA, /* +1 open, -1 close (wraps) */
	SHM_C_REFUSED_FRAMING, /* refused by the validator */
	SHM_C_REFUSED_CONNECTIONS, /* over a connection cap */
	SHM_C_TIMEOUTS,
	SHM_C_HTTP_2XX, SHM_C_HTTP_4XX, SHM_C_HTTP_5XX, SHM_C_HTTP_OTHER,
	SHM_C_DECISIONS,
	SHM_C_DECIDE_OK, SHM_C_DECIDE_UNAUTHORIZED, SHM_C_DECIDE_FORBIDDEN,
	SHM_C_DECIDE_RATE_LIMITED, SHM_C_DECIDE_QUOTA,
	SHM_C_DECIDE_UNAVAILABLE, SHM_C_DECIDE_SHADOW,
	SHM_C_CREDITS,
	SHM_C_KEY_LOADS, SHM_C_KEY_LOAD_UNKNOWN, SHM_C_KEY_LOAD_FAILED,
	SHM_C_NEGATIVE_HITS, SHM_C_STRIPE_TIMEOUTS, SHM_C_CELL_BUSY,
	SHM_C_IDEM_REPLAYS, SHM_C_STRICT_TIMEOUTS,
	SHM_C_FLUSH_BATCHES, SHM_C_FLUSH_ROWS, SHM_C_FLUSH_FAILURES,
	SHM_C_FLUSH_DUPLICATES, SHM_C_SPOOL_RECORDS, SHM_C_CHANGES,
	SHM_C_RESPAWNS,
	SHM_C_LOG_ROWS,	   /* put into the ring of the request log */
	SHM_C_LOG_DROPPED, /* no room in it, or claimed by one who died */
	SHM_C_FLUSH_LOGS,  /* in the table request_logs */
	SHM_C_STREAMS_OPEN_DELTA, /* as that of the connections */
	SHM_C_STREAM_EVENTS,	  /* sent, to whomever */
	SHM_C_STREAMS_REFUSED,	  /* as many are open as may be */
	/* ended, in the order of enum sse_why */
	SHM_C_STREAMS_CLIENT, SHM_C_STREAMS_LIMIT, SHM_C_STREAMS_STOPPING,
	SHM_C_STREAMS_REVOKED, SHM_C_STREAMS_SUSPENDED, SHM_C_STREAMS_EXPIRED,
	SHM_C_TASKS_CLAIMED,
	/* attempts by outcome */
	SHM_C_TASKS_COMPLETED, SHM_C_TASKS_FAILED, SHM_C_TASKS_EXPIRED,
	SHM_C_TASKS_CANCELLED, SHM_C_TASKS_LOST,
	SHM_C_TASKS_DEAD,  /* ended without success */
	SHM_C_TASKS_STALE, /* results that came too late to count */
	/* calls of webhooks by outcome */
	SHM_C_WEBHOOKS_DELIVERED, SHM_C_WEBHOOKS_AGAIN, SHM_C_WEBHOOKS_FAILED,
	SHM_C_SPANS_EXPORTED, SHM_C_SPANS_DROPPED,
	SHM_C_LOG_LINES_LOST, /* that the log's target did not take */
	SHM_C_TLS_HANDSHAKES, SHM_C_TLS_RESUMED, SHM_C_TLS_FAILURES,
	SHM_C_COUNT
};
_Static_assert(SHM_C_COUNT <= SHM_COUNTER_REASONS, "the page is full");
/*
 * Where else words of the page stand.  Refusals: by the number of their
 * reason (decide.h names them).  Histograms: buckets, each counting its own
 * observations (not those below it), the last one without bound; then the sum.
 */
enum { SHM_REASONS = 32, SHM_BUCKETS = 20, SHM_HISTOGRAM_WORDS = 24 };
enum shm_histogram {
	SHM_H_DECISION, /* sampled: one decision in SHM_H_SAMPLE */
	SHM_H_API, SHM_H_GATE, SHM_H_VERIFY, SHM_H_RECORD, SHM_H_VALIDATE,
	SHM_H_FLUSH, /* one batch, handed to the database */
	SHM_H_TASK_LAG, /* from when a task may begin to its start */
	SHM_H_TASK_RUN, /* one attempt */
	SHM_H_WEBHOOK_CALL, /* one exchange, however it ended */
	SHM_H_WEBHOOK_DELIVERY, /* from the event to its arrival */
	SHM_H_COUNT
};
#define SHM_H_SAMPLE 16
_Static_assert(SHM_COUNTER_HISTOGRAMS + SHM_H_COUNT * SHM_HISTOGRAM_WORDS <=
		       SHM_COUNTER_CRON,
	       "the page is full");
/* Upper bounds in ns, ascending; *n_r of them, the bucket behind the last has
 * none. */
const uint64_t *shm_histogram_bounds(enum shm_histogram h, uint32_t *n_r);
struct shm_histogram_sum {
	uint64_t bucket[SHM_BUCKETS]; /* as stored: each for itself */
	uint64_t count, sum_ns;
};
void shm_histogram_sum(const struct shm *s, enum shm_histogram h,
		       struct shm_histogram_sum *sum_r);
void shm_observe(struct shm *s, enum shm_histogram h, uint64_t ns);
uint64_t shm_refused_sum(const struct shm *s, uint32_t reason);

/*
 * Cron, written by schedulers: runs of each job by outcome, and when one went
 * well last (Unix seconds; the latest of all slots counts).  One word says
 * that this process leads; it counts while the process lives.
 */
#define SHM_CRON_JOBS 16
enum shm_cron {
	SHM_CRON_DONE, SHM_CRON_FAILED, SHM_CRON_SKIPPED, SHM_CRON_MISSED,
	SHM_CRON_LOST,
	SHM_CRON_LAST_DONE, /* the one that is no counter */
	SHM_CRON_WORDS
};
#define SHM_CRON_LEADS (SHM_COUNTER_CRON + SHM_CRON_JOBS * SHM_CRON_WORDS)
_Static_assert(SHM_CRON_LEADS < SHM_COUNTERS, "the page is full");
void shm_cron_count(struct shm *s, uint32_t job, enum shm_cron what);
void shm_cron_done(struct shm *s, uint32_t job, uint64_t wall_s);
uint64_t shm_cron_sum(const struct shm *s, uint32_t job, enum shm_cron what);
uint64_t shm_cron_last_done(const struct shm *s, uint32_t job); /* 0: never */
void shm_cron_lead(struct shm *s, bool leads);
bool shm_cron_leads(const struct shm *s); /* some scheduler of this host */

const char *shm_counter_name(enum shm_counter c);
static inline void shm_count(struct shm *s, enum shm_counter c, uint64_t n)
{
	_Atomic uint64_t *w = &s->my_metrics->counter[c];

	/* one writer: a plain add is enough and needs no locked cycle */
	atomic_store_explicit(
		w, atomic_load_explicit(w, memory_order_relaxed) + n,
		memory_order_relaxed);
}
static inline void shm_count_refused(struct shm *s, uint32_t reason)
{
	shm_count(s, (enum shm_counter)(SHM_COUNTER_REASONS + reason), 1);
}
uint64_t shm_counter_sum(const struct shm *s, enum shm_counter c);

#endif
