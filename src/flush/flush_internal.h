/*
 * flush_internal.h - the state that the files of this room share.
 *
 * Everything runs in three steps that come again (loop/co_step.h).  A run of
 * one makes few calls to the database; what it knows between two runs is here.
 * Different steps overlap at every wait.
 */
#ifndef TALLY_FLUSH_FLUSH_INTERNAL_H
#define TALLY_FLUSH_FLUSH_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "flush/flush.h"
#include "flush/spool.h"
#include "loop/co_step.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

enum load_state {
	LOAD_WAIT,    /* for the database, and the spools of older epochs */
	LOAD_TAIL,    /* where the change log ends now */
	LOAD_POLICY,  /* plans, limits */
	LOAD_TODAY,   /* keys with usage of today, page by page */
	LOAD_ANSWERS, /* Idempotency-Keys of the last 24 h */
	LOAD_OPEN,    /* from here on anybody may load */
	LOAD_REFRESH, /* what is held, anew, page by page */
	LOAD_WATCH,   /* the change log */
};

struct flush {
	struct flush_opts o;
	struct shm *shm;
	struct pg_pool *pool;
	struct pg *pg; /* borrowed from pool */
	struct pg_listener *listener;
	struct spool *spool;
	struct event *wake;
	struct co_step deliver, load, house;
	char node[48];
	bool ready_told, dead;

	/* node.c: who we are to the database */
	bool home; /* identity and node were checked since the last trouble */
	bool foreign_told;
	uint8_t database_id[16]; /* all 0: not known yet */

	/* level.c */
	uint64_t trouble_mono_ms; /* first failure since a success; 0 none */
	char trouble[200];
	uint64_t retry_mono_ms; /* no contact before */
	uint32_t backoff_ms;
	bool was_healthy, ever_healthy;
	uint64_t begun_mono_ms;
	bool spool_failed; /* the last append failed */
	uint64_t spool_retry_mono_ms;
	uint64_t level;

	/* deliver.c */
	struct shm_scan scan;
	bool scanning, full_due, drain_scan;
	uint64_t scan_gen, scan_mono_ms, scan_due_mono_ms, full_mono_ms;
	uint64_t interval_ms; /* stretched */
	uint64_t first_gen;   /* the first scan of this process; 0 none yet */
	uint64_t spooled_gen; /* its last one with all in spool or database */
	bool draining;
	void (*drained)(void *arg, bool clean);
	void *drained_arg;

	/* load.c, changes.c */
	enum load_state load_state;
	bool restart_wanted; /* as soon as it is open: from LOAD_TAIL on */
	bool refresh_after;  /* LOAD_OPEN goes on to LOAD_REFRESH */
	int64_t change_xid, change_id;
	struct tl_uuid page_key; /* LOAD_TODAY: after this one */
	uint32_t page_hand;      /* LOAD_REFRESH: from this index */
	uint64_t loaded;
	uint64_t load_from_mono_ms;
	uint64_t change_poll_mono_ms; /* of the last notification */
	uint32_t change_poll_ms;      /* 0: not looking for a late row */
	uint64_t refresh_mono_ms;     /* next re-read anyway */

	/* house.c */
	struct shm_janitor janitor;
};

/* No step runs any more; those in hand end as they like. */
void flush_stop(struct flush *f);
/* It can not go on; says so once, and stops. */
void flush_fail(struct flush *f, const char *fmt, ...) TL_PRINTF(2, 3);

/* ---- level.c ---- */
/* Health of the pool, then the level; each change is logged once. */
void level_update(struct flush *f);
/* A call that began then failed / was answered well. */
void level_failure(struct flush *f, uint64_t from_mono_ms,
		   const struct tl_err *err);
void level_success(struct flush *f);
/* May the database be asked now? */
bool level_reachable(const struct flush *f);
uint64_t level_next_mono_ms(void);
/* All scans up to gen are safe where the configuration wants them. */
void level_commit(struct flush *f, uint64_t gen);

/* ---- node.c ---- */
/*
 * Is it our database, and are we the only one of this node?  Sets f->home.
 * Else calls flush_fail and gives TL_DENIED.  Suspends: yes.
 */
enum tl_status node_visit(struct flush *f, struct tl_err *err) TL_MUST_CHECK;
enum tl_status node_same_database(struct pg *pg, const uint8_t id[16],
				  struct tl_err *err) TL_MUST_CHECK;
bool node_database_known(const struct flush *f);

/* ---- apply.c ---- */
struct apply_batch {
	const char *node;
	uint64_t epoch, seq;
	bool replay; /* of another epoch, from its spool */
	const struct shm_record *records;
	const struct shm_idem_record *idems;
	const void *logs; /* for shm_log_next */
	uint32_t n_records, n_idems, n_logs, log_bytes;
};
/*
 * TL_OK: it is in the database, now or already before (*duplicate_r).
 * TL_CONFLICT: a batch before it is missing there.  TL_DENIED: our epoch was
 * replaced, or it is another database.  Else: unknown, send it again.
 * Suspends: yes.
 */
enum tl_status apply_send(struct flush *f, const struct apply_batch *b,
			  bool *duplicate_r, struct tl_err *err) TL_MUST_CHECK;

/* ---- deliver.c, load.c, changes.c, house.c: steps ---- */
uint64_t deliver_step(void *arg);
void deliver_now(struct flush *f, uint64_t gather_ms);
uint64_t load_step(void *arg);
/* All that is held is read anew. */
void load_restart(struct flush *f);
uint64_t house_step(void *arg);

/* load.c, for changes.c: suspend; TL_BUSY: read again. */
enum tl_status load_policies(struct flush *f, struct tl_err *err) TL_MUST_CHECK;
enum tl_status load_keys(struct flush *f, const struct tally_digest *digests,
			 uint32_t n, struct tl_err *err) TL_MUST_CHECK;
/* One round of the change log; *more_r: at once again. */
enum tl_status changes_read(struct flush *f, bool *more_r,
			    struct tl_err *err) TL_MUST_CHECK;

/* The day that the segment counts in. */
static inline int32_t flush_day(struct flush *f)
{
	return (int32_t)shm_day(f->shm, tl_mono_ns());
}
/* Rows of request_logs of days before it are not kept. */
static inline int32_t flush_log_since(struct flush *f)
{
	return flush_day(f) -
	       (int32_t)f->o.conf->metering.request_log_retention_days;
}
#endif
