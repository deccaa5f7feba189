/*
 * bus_internal.h - what the files of the room share.
 *
 * tables.c   the rows that define tasks and events
 * send.c     tasks and events into the database
 * runner.c   a runner's life, what wakes it
 * claim.c    the next tasks, and their start
 * job.c      one attempt
 * judge.c    what becomes of a task that failed
 * finish.c   how attempts ended, into the database
 * watch.c    cancels, claims of the dead, housekeeping
 * limits.c   what a queue and a tenant may do at a time
 */
#ifndef TALLY_BUS_BUS_INTERNAL_H
#define TALLY_BUS_BUS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "bus/runner.h"
#include "loop/co_step.h"
#include "shm/window.h"

struct co;
struct event;
struct pg_listener;
struct pg_pool;
struct q_task_claim_params;
struct q_task_claim_row;
struct q_task_queues_row;

#define POLL_MS        1000 /* safety net, when nobody told us */
#define LOSS_LIMIT     10   /* times that a task may lose its runner */
#define QUEUE_NAME_MAX 40
#define TENANT_MAX     200

/* ---- tables.c, send.c ---- */
struct bus_policies { /* definitions as arrays for SQL */
	uint32_t n;
	struct tl_str *names, *queues, *events;
	int32_t *limits, *delays_ms, *timeouts_ms;
	bool *backoffs;
};
/* Of the tasks for this event; NULL: of all. */
void bus_policies(struct tl_arena *a, const char *event,
		  struct bus_policies *p_r);
enum tl_status bus_payload_read(const struct shape *shape,
				struct tl_arena *arena,
				const struct doc *payload, const void **in_r,
				struct tl_err *err) TL_MUST_CHECK;

/* ---- limits.c ---- */
struct queue { /* one that has limits, or tenants */
	char name[QUEUE_NAME_MAX + 1];
	uint64_t tag;
	uint32_t concurrency, rate_count, rate_window_ms; /* 0: no limit */
	uint32_t tenant_concurrency, tenant_rate_count, tenant_rate_window_ms;
	bool has_turn;
	char turn[TENANT_MAX + 1]; /* the tenant that was served last */
	/* for the claim that is on its way */
	uint32_t want, places, tokens;
	struct shm_ticket ticket;
};
struct full { /* a tenant that is left out for a while */
	struct queue *queue;
	char tenant[TENANT_MAX + 1];
	uint64_t until_mono_ms;
};
#define QUEUES_MAX 256
#define FULL_MAX   64
struct limits {
	struct queue *queues[QUEUES_MAX];
	uint32_t n_queues;
	struct full full[FULL_MAX];
	uint32_t n_full;
	uint64_t due_mono_ms; /* when something refused may go again */
};

/* ---- jobs ---- */
struct job {                 /* one attempt, from claim to end */
	struct tl_list link; /* in runner.jobs */
	struct runner *r;
	struct task t;
	struct tl_arena arena;
	struct tl_str payload_text;
	struct tl_str trace_text; /* of the row; ptr NULL: none */
	uint8_t parent[8];        /* the span that sent it, if it follows one */
	bool follows;
	int32_t retry_limit, retry_delay_ms, timeout_ms;
	bool retry_backoff;
	struct co *co; /* once it has begun */
	uint64_t claimed_mono_ms, deadline_mono_ms;
	int64_t due_us, started_us;
	uint64_t queue_tag, tenant_tag, own_tag; /* places it holds; 0 */
	uint64_t postpone_ms; /* its tenant's own limits refused it; 0 */
	bool cancelled;       /* by an operator */
	bool dropped;         /* we stop, or its claim is another's */
};
enum action { ACT_DONE, ACT_AGAIN, ACT_DEAD, ACT_BACK };
struct ending {
	int64_t task_id;
	int32_t attempt;
	int32_t action; /* enum action */
	const char *outcome;
	int64_t delay_ms, started_us, ended_us;
	char *error; /* owned; NULL */
};
struct endings {
	struct ending *items;
	uint32_t n, cap;
};

struct runner {
	struct runner_opts o;
	uint64_t epoch;
	char node[64];
	struct pg_pool *pool;      /* the bus's own */
	struct pg_pool *task_pool; /* the handlers'; NULL until the first */
	struct pg_listener *listener;
	struct event *wake, *starter, *hurry;
	struct co_step claim, finish, watch;
	struct tl_list jobs, ready; /* begun; claimed only */
	uint32_t n_jobs;            /* of both lists */
	struct endings pending, sent;
	uint64_t sends_seen, deaths_seen;
	unsigned looks, recoveries; /* looks to come, at growing distances */
	bool hungry;                /* the last claim got all it asked for */
	bool in_doubt; /* a claim was lost on its way: it may have been made */
	bool failing;  /* said so */
	uint64_t register_mono_ms, expire_mono_ms, rules_mono_ms, keep_mono_ms;
	uint64_t depth_mono_ms;
	struct limits limits;
	bool draining, dropping;
	void (*drained)(void *arg);
	void *drained_arg;
};

/* claim.c */
uint64_t claim_step(void *arg);
void claim_start_jobs(struct runner *r); /* from the loop */
/* job.c */
struct job *job_new(struct runner *r, const struct task_def *d,
		    const struct q_task_claim_row *row);
void job_begin(struct job *j);                       /* from the loop */
void job_put_back(struct job *j, uint64_t delay_ms); /* one not begun */
void job_cancel(struct job *j, const char *why);
/* When the first of the jobs is out of time, for the master. */
void jobs_publish_due(struct runner *r);
/* judge.c: action, outcome and delay of e; dice: at random, spreads retries */
void judge_failure(const struct job *j, enum tl_status st, uint64_t now_mono_ms,
		   uint32_t dice, struct ending *e);
/* finish.c */
void finish_add(struct runner *r, const struct ending *e);
uint64_t finish_step(void *arg);
bool finish_has(const struct runner *r, int64_t task_id, int32_t attempt);
void endings_deinit(struct endings *e);
/* watch.c */
uint64_t watch_step(void *arg);
/* runner.c */
void runner_failed(struct runner *r, const char *what,
		   const struct tl_err *err);
void runner_worked(struct runner *r);
void runner_check_drained(struct runner *r);

/* limits.c: rules as the database has them now */
void limits_rules(struct runner *r, const struct q_task_queues_row *rows,
		  uint32_t n);
/* Takes places and tokens for up to max tasks and writes what to claim. */
void limits_ask(struct runner *r, uint32_t max, struct tl_arena *a,
		struct q_task_claim_params *p);
/* May it begin?  If not, *delay_ms_r says when to try again. */
bool limits_admit(struct runner *r, struct job *j, uint64_t *delay_ms_r);
/* Gives back what was taken for this claim and not used. */
void limits_settle(struct runner *r);
void limits_leave(struct job *j);
void limits_deinit(struct runner *r);

#endif
