/*
 * metrics.c - GET /metrics: the segment in the text format of Prometheus.
 *
 * Every figure is read from shared memory: one worker answers for all
 * processes, and a scrape costs the database nothing.  Labels are bounded
 * (codes, reasons, doors, kinds of processes): never a key, a user, an
 * address or a path.  Format: "Text-based format", version 0.0.4, of the
 * Prometheus documentation; names by its naming rules.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/cron/cron.h"
#include "app/system/system.h"
#include "shm/metrics.h"

#define PAGE "text/plain; version=0.0.4; charset=utf-8"

/* ---- counters ---- */

/* Rows of one family stand together; each counter of enum shm_counter is in
 * exactly one row, or its figure is shown by a family of its own below. */
struct row {
	enum shm_counter counter;
	const char *family, *label, *help;
};
/* clang-format off */
static const struct row rows[] = {
	{ SHM_C_REQUESTS, "tallyd_http_requests_total", NULL,
	  "HTTP requests answered." },
	{ SHM_C_HTTP_2XX, "tallyd_http_responses_total", "class=\"2xx\"",
	  "Answers by class of status." },
	{ SHM_C_HTTP_4XX, "tallyd_http_responses_total", "class=\"4xx\"", NULL },
	{ SHM_C_HTTP_5XX, "tallyd_http_responses_total", "class=\"5xx\"", NULL },
	{ SHM_C_HTTP_OTHER, "tallyd_http_responses_total", "class=\"other\"",
	  NULL },
	{ SHM_C_CONNECTIONS, "tallyd_http_connections_accepted_total", NULL,
	  "Connections accepted." },
	{ SHM_C_REFUSED_FRAMING, "tallyd_http_refused_total",
	  "reason=\"framing\"", "Requests and connections refused before "
	  "routing." },
	{ SHM_C_REFUSED_CONNECTIONS, "tallyd_http_refused_total",
	  "reason=\"connections\"", NULL },
	{ SHM_C_TIMEOUTS, "tallyd_http_refused_total", "reason=\"timeout\"",
	  NULL },
	{ SHM_C_DECISIONS, "tallyd_decisions_total", NULL,
	  "Decisions made." },
	{ SHM_C_DECIDE_OK, "tallyd_decision_results_total", "code=\"ok\"",
	  "Decisions by code." },
	{ SHM_C_DECIDE_UNAUTHORIZED, "tallyd_decision_results_total",
	  "code=\"unauthorized\"", NULL },
	{ SHM_C_DECIDE_FORBIDDEN, "tallyd_decision_results_total",
	  "code=\"forbidden\"", NULL },
	{ SHM_C_DECIDE_RATE_LIMITED, "tallyd_decision_results_total",
	  "code=\"rate_limited\"", NULL },
	{ SHM_C_DECIDE_QUOTA, "tallyd_decision_results_total",
	  "code=\"quota_exceeded\"", NULL },
	{ SHM_C_DECIDE_UNAVAILABLE, "tallyd_decision_results_total",
	  "code=\"service_unavailable\"", NULL },
	{ SHM_C_DECIDE_SHADOW, "tallyd_shadow_refusals_total", NULL,
	  "What limits in shadow mode would have refused." },
	{ SHM_C_CREDITS, "tallyd_credits_charged_total", NULL,
	  "Credits charged." },
	{ SHM_C_KEY_LOADS, "tallyd_key_loads_total", NULL,
	  "Keys read from the database because the segment did not hold "
	  "them." },
	{ SHM_C_KEY_LOAD_UNKNOWN, "tallyd_key_loads_unsuccessful_total",
	  "reason=\"unknown\"", "Loads that gave no key." },
	{ SHM_C_KEY_LOAD_FAILED, "tallyd_key_loads_unsuccessful_total",
	  "reason=\"failed\"", NULL },
	{ SHM_C_NEGATIVE_HITS, "tallyd_negative_cache_hits_total", NULL,
	  "Unknown keys answered without asking the database." },
	{ SHM_C_STRIPE_TIMEOUTS, "tallyd_segment_busy_total",
	  "what=\"stripe\"", "Waits in the segment that were given up." },
	{ SHM_C_CELL_BUSY, "tallyd_segment_busy_total", "what=\"usage_cell\"",
	  NULL },
	{ SHM_C_IDEM_REPLAYS, "tallyd_idempotent_replays_total", NULL,
	  "Answers given again for an Idempotency-Key." },
	{ SHM_C_STRICT_TIMEOUTS, "tallyd_strict_timeouts_total", NULL,
	  "Answers that durability = strict could not wait for." },
	{ SHM_C_FLUSH_BATCHES, "tallyd_flush_batches_total", NULL,
	  "Batches of usage the database took." },
	{ SHM_C_FLUSH_ROWS, "tallyd_flush_rows_total", NULL,
	  "Rows of usage in them." },
	{ SHM_C_FLUSH_FAILURES, "tallyd_flush_failures_total", NULL,
	  "Batches that failed and were sent again." },
	{ SHM_C_FLUSH_DUPLICATES, "tallyd_flush_duplicates_total", NULL,
	  "Batches the database had already." },
	{ SHM_C_SPOOL_RECORDS, "tallyd_spool_records_total", NULL,
	  "Batches written to the spool." },
	{ SHM_C_CHANGES, "tallyd_changes_total", NULL,
	  "Changes of keys, users, plans and limits taken in." },
	{ SHM_C_RESPAWNS, "tallyd_process_respawns_total", NULL,
	  "Processes the master started anew." },
	{ SHM_C_LOG_ROWS, "tallyd_request_log_rows_total", NULL,
	  "Rows of the request log that were taken in." },
	{ SHM_C_LOG_DROPPED, "tallyd_request_log_dropped_total", NULL,
	  "Rows of the request log lost: no room, or their writer was "
	  "killed." },
	{ SHM_C_FLUSH_LOGS, "tallyd_flush_log_rows_total", NULL,
	  "Rows of the request log written to the database." },
	{ SHM_C_STREAM_EVENTS, "tallyd_stream_events_total", NULL,
	  "Events sent on streams." },
	{ SHM_C_STREAMS_REFUSED, "tallyd_streams_refused_total", NULL,
	  "Streams refused because as many were open as may be." },
	{ SHM_C_STREAMS_CLIENT, "tallyd_streams_closed_total",
	  "reason=\"client\"",
	  "Streams that ended; client: it hung up, limit: it did not read." },
	{ SHM_C_STREAMS_LIMIT, "tallyd_streams_closed_total",
	  "reason=\"limit\"", NULL },
	{ SHM_C_STREAMS_STOPPING, "tallyd_streams_closed_total",
	  "reason=\"stopping\"", NULL },
	{ SHM_C_STREAMS_REVOKED, "tallyd_streams_closed_total",
	  "reason=\"revoked\"", NULL },
	{ SHM_C_STREAMS_SUSPENDED, "tallyd_streams_closed_total",
	  "reason=\"suspended\"", NULL },
	{ SHM_C_STREAMS_EXPIRED, "tallyd_streams_closed_total",
	  "reason=\"expired\"", NULL },
	{ SHM_C_TASKS_CLAIMED, "tallyd_tasks_claimed_total", NULL,
	  "Tasks that runners took in hand." },
	{ SHM_C_TASKS_COMPLETED, "tallyd_task_attempts_total",
	  "outcome=\"completed\"",
	  "Attempts of tasks that ended, by outcome; lost: the runner died." },
	{ SHM_C_TASKS_FAILED, "tallyd_task_attempts_total",
	  "outcome=\"failed\"", NULL },
	{ SHM_C_TASKS_EXPIRED, "tallyd_task_attempts_total",
	  "outcome=\"expired\"", NULL },
	{ SHM_C_TASKS_CANCELLED, "tallyd_task_attempts_total",
	  "outcome=\"cancelled\"", NULL },
	{ SHM_C_TASKS_LOST, "tallyd_task_attempts_total",
	  "outcome=\"lost\"", NULL },
	{ SHM_C_TASKS_DEAD, "tallyd_tasks_dead_total", NULL,
	  "Tasks that ended without success." },
	{ SHM_C_TASKS_STALE, "tallyd_task_results_stale_total", NULL,
	  "Results of attempts that did not count any more." },
	{ SHM_C_SPANS_EXPORTED, "tallyd_spans_exported_total", NULL,
	  "Spans that a collector took." },
	{ SHM_C_SPANS_DROPPED, "tallyd_spans_dropped_total", NULL,
	  "Spans that found no room, or that the collector refused." },
	{ SHM_C_LOG_LINES_LOST, "tallyd_log_lines_lost_total", NULL,
	  "Lines that the target of the log did not take." },
	{ SHM_C_TLS_HANDSHAKES, "tallyd_tls_handshakes_total", NULL,
	  "Handshakes of TLS that were done." },
	{ SHM_C_TLS_RESUMED, "tallyd_tls_resumed_total", NULL,
	  "Those of them that went on with a session." },
	{ SHM_C_TLS_FAILURES, "tallyd_tls_failures_total", NULL,
	  "Handshakes of TLS that failed, or that the client gave up." },
	{ SHM_C_WEBHOOKS_DELIVERED, "tallyd_webhook_calls_total",
	  "outcome=\"delivered\"",
	  "Calls of webhooks, by outcome; again: there will be another." },
	{ SHM_C_WEBHOOKS_AGAIN, "tallyd_webhook_calls_total",
	  "outcome=\"again\"", NULL },
	{ SHM_C_WEBHOOKS_FAILED, "tallyd_webhook_calls_total",
	  "outcome=\"failed\"", NULL },
};
/* clang-format on */

/* The two left over are gauges: connections and streams that are open. */
_Static_assert(sizeof(rows) / sizeof(rows[0]) + 2 == SHM_C_COUNT,
	       "give the new counter a row");

static void family(struct tl_buf *b, const char *name, const char *type,
		   const char *help)
{
	tl_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counters(const struct shm *s, struct tl_buf *b)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		uint64_t v = shm_counter_sum(s, r->counter);

		if (r->help != NULL)
			family(b, r->family, "counter", r->help);
		if (r->label != NULL)
			tl_buf_addf(b, "%s{%s} %" PRIu64 "\n", r->family,
				    r->label, v);
		else
			tl_buf_addf(b, "%s %" PRIu64 "\n", r->family, v);
	}
}

static void refusals(const struct shm *s, struct tl_buf *b)
{
	family(b, "tallyd_refusals_total", "counter",
	       "Decisions that were no, by reason.");
	for (uint32_t i = DECIDE_R_NONE + 1; i < DECIDE_REASONS; i++)
		tl_buf_addf(
			b, "tallyd_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
			decide_reason_name((enum decide_reason)i),
			shm_refused_sum(s, i));
}

/* ---- histograms ---- */

static void seconds(struct tl_buf *b, uint64_t ns)
{
	uint64_t s = ns / TL_NS_PER_S, rest = ns % TL_NS_PER_S;

	tl_buf_addf(b, "%" PRIu64 ".%09" PRIu64, s, rest);
}

/* label: "" or "name=\"value\",". */
static void histogram(const struct shm *s, enum shm_histogram h,
		      const char *name, const char *label, struct tl_buf *b)
{
	struct shm_histogram_sum sum;
	size_t len = strlen(label);
	uint64_t below = 0;
	const uint64_t *bounds;
	uint32_t n, i;

	bounds = shm_histogram_bounds(h, &n);
	shm_histogram_sum(s, h, &sum);
	for (i = 0; i < n; i++) {
		below += sum.bucket[i];
		tl_buf_addf(b, "%s_bucket{%sle=\"", name, label);
		seconds(b, bounds[i]);
		tl_buf_addf(b, "\"} %" PRIu64 "\n", below);
	}
	tl_buf_addf(b, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, label,
		    sum.count);
	if (len > 0) /* without the comma */
		tl_buf_addf(b, "%s_sum{%.*s} ", name, (int)len - 1, label);
	else
		tl_buf_addf(b, "%s_sum ", name);
	seconds(b, sum.sum_ns);
	if (len > 0)
		tl_buf_addf(b, "\n%s_count{%.*s} %" PRIu64 "\n", name,
			    (int)len - 1, label, sum.count);
	else
		tl_buf_addf(b, "\n%s_count %" PRIu64 "\n", name, sum.count);
}

static void histograms(const struct shm *s, struct tl_buf *b)
{
	static const char requests[] = "tallyd_http_request_duration_seconds";
	char label[32];

	family(b, "tallyd_decision_duration_seconds", "histogram",
	       "Time of a decision in shared memory; one in 16 is timed.");
	histogram(s, SHM_H_DECISION, "tallyd_decision_duration_seconds", "", b);
	family(b, requests, "histogram",
	       "Time from a request's last byte to its answer, by door.");
	for (int door = DECIDE_D_API; door <= DECIDE_D_VALIDATE; door++) {
		(void)snprintf(label, sizeof(label), "door=\"%s\",",
			       decide_door_name((enum decide_door)door));
		histogram(s, (enum shm_histogram)(SHM_H_API + door), requests,
			  label, b);
	}
	family(b, "tallyd_flush_duration_seconds", "histogram",
	       "Time of handing one batch to the database.");
	histogram(s, SHM_H_FLUSH, "tallyd_flush_duration_seconds", "", b);
	family(b, "tallyd_task_lag_seconds", "histogram",
	       "Time from when a task may begin to its start.");
	histogram(s, SHM_H_TASK_LAG, "tallyd_task_lag_seconds", "", b);
	family(b, "tallyd_task_duration_seconds", "histogram",
	       "Time of one attempt of a task.");
	histogram(s, SHM_H_TASK_RUN, "tallyd_task_duration_seconds", "", b);
	family(b, "tallyd_webhook_call_duration_seconds", "histogram",
	       "Time of one call of a webhook, however it ended.");
	histogram(s, SHM_H_WEBHOOK_CALL, "tallyd_webhook_call_duration_seconds",
		  "", b);
	family(b, "tallyd_webhook_delivery_seconds", "histogram",
	       "Time from an event to its arrival at an endpoint.");
	histogram(s, SHM_H_WEBHOOK_DELIVERY, "tallyd_webhook_delivery_seconds",
		  "", b);
}

/* ---- gauges ---- */

static void gauge(struct tl_buf *b, const char *name, const char *help,
		  uint64_t v)
{
	family(b, name, "gauge", help);
	tl_buf_addf(b, "%s %" PRIu64 "\n", name, v);
}

static void tables(const struct shm *s, struct tl_buf *b)
{
	const struct {
		const char *name;
		uint64_t held, max;
	} t[] = {
		{ "keys", atomic_load(&s->head->key_live), s->n_keys },
		{ "users", atomic_load(&s->head->user_live), s->n_users },
		{ "extras", atomic_load(&s->head->extras_live), s->n_extras },
	};

	family(b, "tallyd_segment_entries", "gauge",
	       "Entries of the segment's tables that are in use.");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		tl_buf_addf(
			b, "tallyd_segment_entries{table=\"%s\"} %" PRIu64 "\n",
			t[i].name, t[i].held);
	family(b, "tallyd_segment_entries_limit", "gauge",
	       "Entries the segment's tables have room for.");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		tl_buf_addf(
			b,
			"tallyd_segment_entries_limit{table=\"%s\"} %" PRIu64
			"\n",
			t[i].name, t[i].max);
}

/* Kinds are the master's table of processes: a handful. */
static void processes(const struct shm *s, struct tl_buf *b)
{
	bool shown[SHM_SLOTS] = { false };

	family(b, "tallyd_processes", "gauge", "Living processes by kind.");
	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		const char *kind = s->slots[i].kind;
		uint32_t n = 0;

		if (shown[i] || kind[0] == '\0')
			continue;
		for (uint32_t j = i; j < SHM_SLOTS; j++) {
			const struct shm_slot *slot = &s->slots[j];
			uint64_t state = atomic_load(&slot->state);
			pid_t pid = (pid_t)atomic_load(&slot->pid);

			if (strncmp(slot->kind, kind, sizeof(slot->kind)) != 0)
				continue;
			shown[j] = true;
			n += state != SHM_SLOT_FREE && state != SHM_SLOT_DEAD &&
			     pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
		}
		tl_buf_addf(b, "tallyd_processes{kind=\"%.*s\"} %u\n",
			    (int)sizeof(s->slots[i].kind), kind, n);
	}
}

static void age(struct tl_buf *b, const char *name, const char *help,
		uint64_t then_ms, uint64_t now_ms)
{
	family(b, name, "gauge", help);
	tl_buf_addf(b, "%s ", name);
	if (then_ms == 0)
		tl_buf_adds(b, "NaN");
	else
		seconds(b, (now_ms > then_ms ? now_ms - then_ms : 0) *
				   TL_NS_PER_MS);
	tl_buf_addc(b, '\n');
}

static uint64_t tasks_running(const struct shm *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		sum += atomic_load(&s->slots[i].tasks_running);
	return sum;
}

static void gauges(struct req *req, const struct shm *s, struct tl_buf *b)
{
	const struct shm_head *h = s->head;
	uint64_t now_ms = req->start_mono_ns / TL_NS_PER_MS;

	family(b, "tallyd_build_info", "gauge", "Version of the daemon.");
	tl_buf_adds(b,
		    "tallyd_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	gauge(b, "tallyd_http_connections", "Open connections.",
	      shm_counter_sum(s, SHM_C_CONNECTIONS_OPEN_DELTA));
	family(b, "tallyd_tasks", "gauge",
	       "Tasks of the database by what they wait for, counted every 10 "
	       "s and up to a million.");
	tl_buf_addf(b, "tallyd_tasks{state=\"ready\"} %" PRIu64 "\n",
		    atomic_load(&h->tasks_ready));
	tl_buf_addf(b, "tallyd_tasks{state=\"delayed\"} %" PRIu64 "\n",
		    atomic_load(&h->tasks_delayed));
	gauge(b, "tallyd_tasks_running", "Tasks that runners have in hand.",
	      tasks_running(s));
	gauge(b, "tallyd_streams", "Open streams of events.",
	      shm_counter_sum(s, SHM_C_STREAMS_OPEN_DELTA));
	gauge(b, "tallyd_segment_bytes", "Size of the segment.",
	      s->total_bytes);
	tables(s, b);
	processes(s, b);
	gauge(b, "tallyd_database_up",
	      "Whether the flusher reaches the database.",
	      atomic_load(&h->database_up));
	gauge(b, "tallyd_ready", "Whether /health?ready=1 says ok.",
	      !req_degraded(req));
	gauge(b, "tallyd_flush_level",
	      "0 normal; 1 to 4: steps of tallyctl status.",
	      atomic_load(&h->flush_level));
	age(b, "tallyd_flush_age_seconds",
	    "Time since the flusher last looked for usage.",
	    atomic_load(&h->last_scan_mono_ms), now_ms);
	age(b, "tallyd_flush_commit_age_seconds",
	    "Time since the database last took a batch.",
	    atomic_load(&h->last_commit_mono_ms), now_ms);
	gauge(b, "tallyd_spool_bytes", "Bytes of usage in the spool.",
	      atomic_load(&h->spool_bytes));
	gauge(b, "tallyd_spool_limit_bytes", "metering.spool_max_mib in bytes.",
	      (uint64_t)req_conf(req)->metering.spool_max_mib << 20);
	gauge(b, "tallyd_strict_waiting",
	      "Answers that wait for durability = strict.",
	      shm_strict_waiting(s));
	family(b, "tallyd_usage_dropped_credits_total", "counter",
	       "Credits let through uncounted by outage_policy = open.");
	tl_buf_addf(b, "tallyd_usage_dropped_credits_total %" PRIu64 "\n",
		    atomic_load(&h->usage_dropped));
}

void metrics_handle(struct req *req)
{
	const struct shm *s = req_decide(req)->shm;
	struct tl_buf b;

	if (!tally_cidr_list_has(&req_conf(req)->metrics.allow, &req->client)) {
		req_fail(req, 403, "forbidden",
			 "metrics.allow does not list this address");
		return;
	}
	tl_buf_init(&b);
	gauges(req, s, &b);
	counters(s, &b);
	refusals(s, &b);
	histograms(s, &b);
	cron_metrics(s, &b);
	req_header_add(req, "Content-Type", "%s", PAGE);
	req_header_add(req, "Cache-Control", "no-store");
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}
